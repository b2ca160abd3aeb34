/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NTLM by GSSAPI, and messages encrypted with it as WinRM does over HTTP. */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <string.h>

#include "kit/wsman-private.h"

#define BOUNDARY  "--Encrypted Boundary"
#define SIGNATURE 16 /* of NTLM, in front of what is encrypted */

static gss_OID_desc ntlm = {10, (void *)"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a"};

struct WsmanSeal {
    gss_cred_id_t credential;
    gss_name_t target;
    gss_ctx_id_t context;
    gboolean ready;
};

static gboolean fail(GError **error, const char *what, OM_uint32 major, OM_uint32 minor)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 unused, more = 0;

    (void)major;
    gss_display_status(&unused, minor ? minor : major, minor ? GSS_C_MECH_CODE : GSS_C_GSS_CODE, &ntlm, &more, &text);
    g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_AUTH, "%s: %.*s (NTLM needs gss-ntlmssp on this host)", what,
                (int)text.length, text.value ? (char *)text.value : "");
    gss_release_buffer(&unused, &text);
    return FALSE;
}

static gboolean import(const char *text, gss_OID type, gss_name_t *name, GError **error)
{
    gss_buffer_desc buffer = {strlen(text), (void *)text};
    OM_uint32 minor, major = gss_import_name(&minor, &buffer, type, name);

    return !GSS_ERROR(major) || fail(error, "cannot use that name", major, minor);
}

WsmanSeal *wsman_seal_new(const char *host, const char *user, const char *password, GError **error)
{
    WsmanSeal *seal = g_new0(WsmanSeal, 1);
    g_autofree char *service = g_strdup_printf("HTTP@%s", host);
    gss_buffer_desc secret = {strlen(password), (void *)password};
    gss_OID_set_desc mechanisms = {1, &ntlm};
    gss_name_t who = GSS_C_NO_NAME;
    OM_uint32 minor, major;
    gboolean good = import(user, GSS_C_NT_USER_NAME, &who, error) &&
                    import(service, GSS_C_NT_HOSTBASED_SERVICE, &seal->target, error);

    if (good) {
        major = gss_acquire_cred_with_password(&minor, who, &secret, GSS_C_INDEFINITE, &mechanisms, GSS_C_INITIATE,
                                               &seal->credential, NULL, NULL);
        good = !GSS_ERROR(major) || fail(error, "cannot use that user and password", major, minor);
    }
    gss_release_name(&minor, &who);
    if (good)
        return seal;
    wsman_seal_free(seal);
    return NULL;
}

void wsman_seal_free(WsmanSeal *seal)
{
    OM_uint32 minor;

    if (!seal)
        return;
    gss_release_cred(&minor, &seal->credential);
    gss_release_name(&minor, &seal->target);
    gss_delete_sec_context(&minor, &seal->context, GSS_C_NO_BUFFER);
    g_free(seal);
}

gboolean wsman_seal_ready(WsmanSeal *seal)
{
    return seal->ready;
}

char *wsman_seal_step(WsmanSeal *seal, const char *challenge, GError **error)
{
    gsize len = 0;
    g_autofree guchar *token = challenge ? g_base64_decode(challenge, &len) : NULL;
    gss_buffer_desc in = {len, token}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, flags = GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_REPLAY_FLAG;
    OM_uint32 major = gss_init_sec_context(&minor, seal->credential, &seal->context, seal->target, &ntlm, flags,
                                           GSS_C_INDEFINITE, GSS_C_NO_CHANNEL_BINDINGS, len ? &in : GSS_C_NO_BUFFER,
                                           NULL, &out, &flags, NULL);
    char *text = out.length ? g_base64_encode(out.value, out.length) : NULL;

    gss_release_buffer(&minor, &out);
    if (GSS_ERROR(major)) {
        fail(error, "the server's NTLM token is not understood", major, minor);
        g_clear_pointer(&text, g_free);
    }
    seal->ready = major == GSS_S_COMPLETE;
    return text;
}

GString *wsman_seal_wrap(WsmanSeal *seal, const GString *plain, GError **error)
{
    gss_buffer_desc in = {plain->len, plain->str}, out = GSS_C_EMPTY_BUFFER;
    int sealed = 0;
    OM_uint32 minor, major = gss_wrap(&minor, seal->context, 1, GSS_C_QOP_DEFAULT, &in, &sealed, &out);
    guint32 header = GUINT32_TO_LE(SIGNATURE);

    if (GSS_ERROR(major) || !sealed || out.length < SIGNATURE) {
        fail(error, "cannot encrypt for the server", major, minor);
        gss_release_buffer(&minor, &out);
        return NULL;
    }
    GString *message = g_string_new(BOUNDARY "\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n");
    g_string_append_printf(message,
                           "\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%" G_GSIZE_FORMAT "\r\n"
                           BOUNDARY "\r\n\tContent-Type: application/octet-stream\r\n",
                           plain->len);
    g_string_append_len(message, (char *)&header, sizeof header);
    g_string_append_len(message, out.value, (gssize)out.length);
    g_string_append(message, BOUNDARY "--\r\n");
    gss_release_buffer(&minor, &out);
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
