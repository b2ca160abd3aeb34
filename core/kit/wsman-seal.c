/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NTLM and Kerberos by GSSAPI, and messages encrypted with them as WinRM does over HTTP. */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <string.h>

#include "kit/wsman-private.h"

#define BOUNDARY "--Encrypted Boundary"
#define SIGNATURE 16 /* of NTLM, in front of what is encrypted */

typedef struct {
    const char *scheme, *protocol; /* in HTTP */
    const char *hint; /* what it takes to say who one is */
    gss_OID_desc oid;
} Mechanism;

static Mechanism ntlm = {"Negotiate", "SPNEGO", " (NTLM needs gss-ntlmssp on this host)",
                         {10, (void *)"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a"}};
static Mechanism kerberos = {"Kerberos", "Kerberos", " (Kerberos needs a ticket in the cache of this process)",
                             {9, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"}};

struct WsmanLogin {
    Mechanism *mechanism;
    gss_name_t user, target; /* user GSS_C_NO_NAME: that of the ticket */
    gss_cred_id_t credential; /* NTLM's, one for all: gss-ntlmssp 1.2 keeps some KiB of each for ever */
};

struct WsmanSeal {
    const WsmanLogin *login;
    gss_cred_id_t ticket; /* Kerberos', as there is another one when it has run out */
    gss_ctx_id_t context;
    GString *binding; /* NULL: none */
    gboolean ready;
};

static gboolean fail(const Mechanism *mechanism, GError **error, const char *what, const char *hint, OM_uint32 major,
                     OM_uint32 minor)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 unused, more = 0;

    gss_display_status(&unused, minor ? minor : major, minor ? GSS_C_MECH_CODE : GSS_C_GSS_CODE,
                       (gss_OID)&mechanism->oid, &more, &text);
    g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_AUTH, "%s: %.*s%s", what, (int)text.length,
                text.value ? (char *)text.value : "", hint);
    gss_release_buffer(&unused, &text);
    return FALSE;
}

static gboolean import(const Mechanism *mechanism, const char *text, gss_OID type, gss_name_t *name, GError **error)
{
    gss_buffer_desc buffer = {strlen(text), (void *)text};
    OM_uint32 minor, major = gss_import_name(&minor, &buffer, type, name);

    return !GSS_ERROR(major) || fail(mechanism, error, "cannot use that name", mechanism->hint, major, minor);
}

static gboolean take_password(WsmanLogin *login, const char *password, GError **error)
{
    gss_buffer_desc secret = {strlen(password), (void *)password};
    gss_OID_set_desc mechanisms = {1, &login->mechanism->oid};
    OM_uint32 minor, major = gss_acquire_cred_with_password(&minor, login->user, &secret, GSS_C_INDEFINITE, &mechanisms,
                                                            GSS_C_INITIATE, &login->credential, NULL, NULL);

    return !GSS_ERROR(major) || fail(login->mechanism, error, "cannot use that user and password",
                                     login->mechanism->hint, major, minor);
}

WsmanLogin *wsman_login_new(VireoWsmanAuth auth, const char *host, const char *user, const char *password,
                            GError **error)
{
    WsmanLogin *login = g_new0(WsmanLogin, 1);
    g_autofree char *service = g_strdup_printf("HTTP@%s", host);

    login->mechanism = auth == VIREO_WSMAN_NTLM ? &ntlm : &kerberos;
    if ((!*user || import(login->mechanism, user, GSS_C_NT_USER_NAME, &login->user, error)) &&
        import(login->mechanism, service, GSS_C_NT_HOSTBASED_SERVICE, &login->target, error) &&
        (auth != VIREO_WSMAN_NTLM || take_password(login, password, error)))
        return login;
    wsman_login_free(login);
    return NULL;
}

void wsman_login_free(WsmanLogin *login)
{
    OM_uint32 minor;

    if (!login)
        return;
    gss_release_cred(&minor, &login->credential);
    gss_release_name(&minor, &login->user);
    gss_release_name(&minor, &login->target);
    g_free(login);
}

WsmanSeal *wsman_seal_new(const WsmanLogin *login, GError **error)
{
    WsmanSeal *seal = g_new0(WsmanSeal, 1);
    gss_OID_set_desc mechanisms = {1, &login->mechanism->oid};
    OM_uint32 minor, major;

    seal->login = login;
    if (login->credential)
        return seal;
    major = gss_acquire_cred(&minor, login->user, GSS_C_INDEFINITE, &mechanisms, GSS_C_INITIATE, &seal->ticket, NULL, NULL);
    if (!GSS_ERROR(major))
        return seal;
    fail(login->mechanism, error, "there is no Kerberos ticket to use", login->mechanism->hint, major, minor);
    wsman_seal_free(seal);
    return NULL;
}

void wsman_seal_free(WsmanSeal *seal)
{
    OM_uint32 minor;

    if (!seal)
        return;
    gss_release_cred(&minor, &seal->ticket);
    gss_delete_sec_context(&minor, &seal->context, GSS_C_NO_BUFFER);
    if (seal->binding)
        g_string_free(seal->binding, TRUE);
    g_free(seal);
}

/* ---- channel bindings ------------------------------------------------------------ */

/* What an element of DER holds; NULL: it ends too early. */
static const guint8 *der_open(const guint8 *at, const guint8 *end, gsize *len)
{
    gsize more = at && end - at >= 2 && at[1] & 0x80 ? at[1] & 0x7f : 0;

    if (!at || end - at < 2 || more > 4 || (gsize)(end - at) < 2 + more)
        return NULL;
    *len = more ? 0 : at[1];
    for (gsize i = 0; i < more; i++)
        *len = *len << 8 | at[2 + i];
    at += 2 + more;
    return *len <= (gsize)(end - at) ? at : NULL;
}

/* RFC 5929: the one of the certificate's signature, and SHA-256 instead of older ones. */
static GChecksumType digest_of(const guint8 *der, gsize size)
{
    static const struct {
        const char *oid;
        gsize len;
        GChecksumType type;
    } others[] = {{"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", 9, G_CHECKSUM_SHA384}, /* with RSA */
                  {"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", 9, G_CHECKSUM_SHA512},
                  {"\x2a\x86\x48\xce\x3d\x04\x03\x03", 8, G_CHECKSUM_SHA384}, /* with ECDSA */
                  {"\x2a\x86\x48\xce\x3d\x04\x03\x04", 8, G_CHECKSUM_SHA512},
                  {"\x60\x86\x48\x01\x65\x03\x04\x02\x02", 9, G_CHECKSUM_SHA384}, /* as a parameter of RSA-PSS */
                  {"\x60\x86\x48\x01\x65\x03\x04\x02\x03", 9, G_CHECKSUM_SHA512}};
    gsize len = 0;
    const guint8 *signed_part = der_open(der_open(der, der + size, &len), der + size, &len);
    const guint8 *algorithm = signed_part ? der_open(signed_part + len, der + size, &len) : NULL;

    for (guint i = 0; algorithm && i < G_N_ELEMENTS(others); i++)
        if (memmem(algorithm, len, others[i].oid, others[i].len))
            return others[i].type;
    return G_CHECKSUM_SHA256;
}

void wsman_seal_bind(WsmanSeal *seal, GBytes *certificate)
{
    gsize size = 0;
    const guint8 *der = certificate ? g_bytes_get_data(certificate, &size) : NULL;
    guint8 digest[64];
    gsize len = sizeof digest;

    if (!size)
        return;
    GChecksum *sum = g_checksum_new(digest_of(der, size));
    g_checksum_update(sum, der, (gssize)size);
    g_checksum_get_digest(sum, digest, &len);
    g_checksum_free(sum);
    if (seal->binding)
        g_string_free(seal->binding, TRUE);
    seal->binding = g_string_append_len(g_string_new("tls-server-end-point:"), (char *)digest, (gssize)len);
}

/* ---- tokens ---------------------------------------------------------------------- */

gboolean wsman_seal_ready(const WsmanSeal *seal)
{
    return seal->ready;
}

char *wsman_seal_type(const WsmanSeal *seal)
{
    return g_strdup_printf("Content-Type: multipart/encrypted;protocol=\"application/HTTP-%s-session-encrypted\";"
                           "boundary=\"Encrypted Boundary\"",
                           seal->login->mechanism->protocol);
}

char *wsman_seal_step(WsmanSeal *seal, const char *challenge, GError **error)
{
    const WsmanLogin *login = seal->login;
    gsize len = 0;
    g_autofree guchar *token = challenge ? g_base64_decode(challenge, &len) : NULL;
    gss_buffer_desc in = {len, token}, out = GSS_C_EMPTY_BUFFER;
    struct gss_channel_bindings_struct bound = {.application_data = {seal->binding ? seal->binding->len : 0,
                                                                     seal->binding ? seal->binding->str : NULL}};
    OM_uint32 minor, unused, flags = GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_REPLAY_FLAG;

    if (login->mechanism == &kerberos)
        flags |= GSS_C_MUTUAL_FLAG;
    OM_uint32 major = gss_init_sec_context(&minor, login->credential ? login->credential : seal->ticket, &seal->context,
                                           login->target, &login->mechanism->oid, flags, GSS_C_INDEFINITE,
                                           seal->binding ? &bound : GSS_C_NO_CHANNEL_BINDINGS, len ? &in : GSS_C_NO_BUFFER, NULL, &out, &flags, NULL);
    g_autofree char *text = out.length ? g_base64_encode(out.value, out.length) : NULL;

    gss_release_buffer(&unused, &out);
    seal->ready = major == GSS_S_COMPLETE;
    if (!GSS_ERROR(major))
        return text ? g_strdup_printf("Authorization: %s %s", login->mechanism->scheme, text) : NULL;
    fail(login->mechanism, error, len ? "the server's token is not understood" : "there is no way to say who this is", "", major,
         minor);
    return NULL;
}

/* ---- messages -------------------------------------------------------------------- */

/* What is in front of the encrypted bytes stands apart; padding counts as text. */
static gboolean wrap_split(WsmanSeal *seal, const GString *plain, GString *header, GString *cipher, GError **error)
{
    g_autofree char *copy = g_memdup2(plain->str, plain->len);
    gss_iov_buffer_desc part[] = {{GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, GSS_C_EMPTY_BUFFER},
                                  {GSS_IOV_BUFFER_TYPE_DATA, {plain->len, copy}},
                                  {GSS_IOV_BUFFER_TYPE_PADDING | GSS_IOV_BUFFER_FLAG_ALLOCATE, GSS_C_EMPTY_BUFFER}};
    int sealed = 0;
    OM_uint32 minor, unused, major =
        gss_wrap_iov(&minor, seal->context, 1, GSS_C_QOP_DEFAULT, &sealed, part, G_N_ELEMENTS(part));

    if (!GSS_ERROR(major)) {
        g_string_append_len(header, part[0].buffer.value, (gssize)part[0].buffer.length);
        g_string_append_len(cipher, part[1].buffer.value, (gssize)part[1].buffer.length);
        g_string_append_len(cipher, part[2].buffer.value, (gssize)part[2].buffer.length);
        part[1].buffer = (gss_buffer_desc)GSS_C_EMPTY_BUFFER; /* not theirs to free */
        gss_release_iov_buffer(&unused, part, G_N_ELEMENTS(part));
    }
    return (!GSS_ERROR(major) && sealed) || fail(seal->login->mechanism, error, "cannot encrypt for the server", "", major, minor);
}

/* gss-ntlmssp writes its signature and what follows in one piece, and nothing else. */
static gboolean wrap_whole(WsmanSeal *seal, const GString *plain, GString *header, GString *cipher, GError **error)
{
    gss_buffer_desc in = {plain->len, plain->str}, out = GSS_C_EMPTY_BUFFER;
    int sealed = 0;
    OM_uint32 minor, unused, major = gss_wrap(&minor, seal->context, 1, GSS_C_QOP_DEFAULT, &in, &sealed, &out);
    gboolean good = !GSS_ERROR(major) && sealed && out.length >= SIGNATURE;

    if (good) {
        g_string_append_len(header, out.value, SIGNATURE);
        g_string_append_len(cipher, (char *)out.value + SIGNATURE, (gssize)out.length - SIGNATURE);
    } else
        fail(seal->login->mechanism, error, "cannot encrypt for the server", "", major, minor);
    gss_release_buffer(&unused, &out);
    return good;
}

GString *wsman_seal_wrap(WsmanSeal *seal, const GString *plain, GError **error)
{
    g_autoptr(GString) header = g_string_new(NULL), cipher = g_string_new(NULL);
    const char *protocol = seal->login->mechanism->protocol;

    if (!(seal->login->mechanism == &ntlm ? wrap_whole : wrap_split)(seal, plain, header, cipher, error))
        return NULL;
    guint32 size = GUINT32_TO_LE((guint32)header->len);
    GString *message = g_string_new(NULL);
    g_string_append_printf(message,
                           BOUNDARY "\r\n\tContent-Type: application/HTTP-%s-session-encrypted\r\n"
                           "\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%" G_GSIZE_FORMAT "\r\n"
                           BOUNDARY "\r\n\tContent-Type: application/octet-stream\r\n",
                           protocol, cipher->len);
    g_string_append_len(message, (char *)&size, sizeof size);
    g_string_append_len(message, header->str, (gssize)header->len);
    g_string_append_len(message, cipher->str, (gssize)cipher->len);
    g_string_append(message, BOUNDARY "--\r\n");
    return message;
}

/* Just behind that text, from there on; NULL: it is not there. */
static const char *behind(const char *from, const char *end, const char *text)
{
    const char *at = from ? memmem(from, (gsize)(end - from), text, strlen(text)) : NULL;

    return at ? at + strlen(text) : NULL;
}

/* What is encrypted may look like a boundary: it is found by its length. */
GString *wsman_seal_unwrap(WsmanSeal *seal, const GString *message, GError **error)
{
    const char *end = message->str + message->len;
    const char *length = behind(message->str, end, "Length=");
    const char *octets = behind(length, end, "application/octet-stream\r\n");
    guint64 plain = length ? g_ascii_strtoull(length, NULL, 10) : 0;
    guint32 header = 0;

    if (octets && (gsize)(end - octets) >= sizeof header)
        memcpy(&header, octets, sizeof header);
    header = GUINT32_FROM_LE(header);
    gsize room = octets ? (gsize)(end - octets) : 0;
    if (room < sizeof header || header > 1024 || plain > room || sizeof header + header + plain > room) {
        g_set_error(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_ANSWER, "the answer is no encrypted message");
        return NULL;
    }
    gss_buffer_desc in = {header + (gsize)plain, (char *)octets + sizeof header}, out = GSS_C_EMPTY_BUFFER;
    int sealed = 0;
    OM_uint32 minor, major = gss_unwrap(&minor, seal->context, &in, &out, &sealed, NULL);
    GString *text = GSS_ERROR(major) || !sealed ? NULL : g_string_new_len(out.value, (gssize)out.length);
    gss_release_buffer(&minor, &out);
    if (!text)
        g_set_error(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_ANSWER,
                    "the answer was not encrypted by the server that was authenticated");
    return text;
}
