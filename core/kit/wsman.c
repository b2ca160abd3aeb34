/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/wsman.h"

#include <string.h>

#include "kit/retry.h"
#include "kit/wsman-private.h"

#define ANONYMOUS    "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
#define TRANSFER     "http://schemas.xmlsoap.org/ws/2004/09/transfer"
#define ENVELOPE     512000 /* bytes: what services allow by default */
#define OPERATION_MS 60000
#define BATCH        32000
#define JOB_MS       250
#define JOB_MISSES   5 /* looks at a job that may fail, one after the other */

#define FAULT_TOO_MANY      2150859174u
#define JOB_STARTED         4096
#define MAX_ANSWER          (32u * 1024 * 1024)
#define MAX_ITEMS           1000000

/* One connection that a user was authenticated on. */
typedef struct {
    VireoHttp *http;
    WsmanSeal *seal; /* NULL: not yet */
} Channel;

struct VireoWsman {
    VireoWsmanAuth auth;
    gboolean https;
    VireoHttp *http; /* of requests that do not need a channel */
    VireoHttpOptions options;
    char *url, *ca_file, *proxy, *user, *password, *host;
    WsmanLogin *login; /* NULL: without GSSAPI */
    guint operation_ms, batch, job_ms;
    gint requests;
    GMutex lock; /* of what follows */
    GQueue idle;       /* Channel */
    GPtrArray *busy;   /* Channel */
    gboolean closed;
};

/* ---- life ------------------------------------------------------------------------ */

/* Whether a connection is that of a user. Kerberos can also say with each request who that is, which is enough where TLS
 * encrypts. */
static gboolean needs_channel(const VireoWsman *wsman)
{
    return wsman->auth == VIREO_WSMAN_NTLM || (wsman->auth == VIREO_WSMAN_KERBEROS && !wsman->https);
}

VireoWsman *vireo_wsman_new(const VireoWsmanOptions *options, GError **error)
{
    VireoWsman *wsman = g_new0(VireoWsman, 1);
    VireoHttpOptions *http = &wsman->options;

    wsman->auth = options->auth;
    wsman->operation_ms = options->operation_ms ? options->operation_ms : OPERATION_MS;
    wsman->batch = options->batch ? options->batch : BATCH;
    wsman->job_ms = options->job_ms ? options->job_ms : JOB_MS;
    g_mutex_init(&wsman->lock);
    g_queue_init(&wsman->idle);
    wsman->busy = g_ptr_array_new();
    *http = options->http;
    http->url = wsman->url = g_strdup(http->url);
    http->ca_file = wsman->ca_file = g_strdup(http->ca_file);
    http->proxy = wsman->proxy = g_strdup(http->proxy);
    http->user = wsman->user = g_strdup(http->user ? http->user : "");
    http->password = wsman->password = g_strdup(http->password ? http->password : "");
    wsman->host = g_strdup(options->host ? options->host : "localhost");
    http->certificate = options->auth != VIREO_WSMAN_BASIC;
    http->auth = options->auth == VIREO_WSMAN_BASIC ? VIREO_HTTP_AUTH_BASIC : VIREO_HTTP_AUTH_NONE;
    wsman->https = wsman->url && g_ascii_strncasecmp(wsman->url, "https:", 6) == 0;
    http->timeout_ms = http->timeout_ms ? http->timeout_ms : wsman->operation_ms + WSMAN_SLACK_MS;
    http->max_answer = http->max_answer ? http->max_answer : MAX_ANSWER;
    if (needs_channel(wsman))
        http->max_connections = 1; /* in each channel */
    if (wsman->auth != VIREO_WSMAN_BASIC)
        wsman->login = wsman_login_new(wsman->auth, wsman->host, wsman->user, wsman->password, error);
    if (wsman->login || wsman->auth == VIREO_WSMAN_BASIC)
        wsman->http = vireo_http_new(http, error);
    if (wsman->http)
        return wsman;
    vireo_wsman_free(wsman);
    return NULL;
}

static void channel_free(Channel *channel)
{
    wsman_seal_free(channel->seal);
    vireo_http_free(channel->http);
    g_free(channel);
}

void vireo_wsman_close(VireoWsman *wsman)
{
    g_mutex_lock(&wsman->lock);
    wsman->closed = TRUE;
    for (guint i = 0; i < wsman->busy->len; i++)
        vireo_http_close(((Channel *)wsman->busy->pdata[i])->http);
    g_mutex_unlock(&wsman->lock);
    vireo_http_close(wsman->http);
}

void vireo_wsman_free(VireoWsman *wsman)
{
    if (!wsman)
        return;
    g_queue_clear_full(&wsman->idle, (GDestroyNotify)channel_free);
    g_ptr_array_unref(wsman->busy);
    vireo_http_free(wsman->http);
    wsman_login_free(wsman->login);
    g_mutex_clear(&wsman->lock);
    explicit_bzero(wsman->password, strlen(wsman->password));
    g_free(wsman->url);
    g_free(wsman->ca_file);
    g_free(wsman->proxy);
    g_free(wsman->user);
    g_free(wsman->password);
    g_free(wsman->host);
    g_free(wsman);
}

guint vireo_wsman_requests(VireoWsman *wsman)
{
    return (guint)g_atomic_int_get(&wsman->requests);
}

/* ---- messages -------------------------------------------------------------------- */

static void put_selectors(GString *text, const VireoCim *path)
{
    g_string_append(text, "<w:SelectorSet>");
    for (guint i = 0; vireo_cim_name_at(path, i); i++) {
        const char *name = vireo_cim_name_at(path, i);

        g_string_append_printf(text, "<w:Selector Name=\"%s\">", name);
        vireo_cim_escape(text, vireo_cim_string(path, name));
        g_string_append(text, "</w:Selector>");
    }
    g_string_append(text, "</w:SelectorSet>");
}

GString *wsman_begin(VireoWsman *wsman, const char *uri, const char *action, const VireoCim *path, const char *more,
                     guint operation_ms, char **id)
{
    g_autofree char *uuid = g_uuid_string_random();
    GString *text = g_string_new(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" "
        "xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" xmlns:n=\"" WSMAN_ENUMERATION "\" "
        "xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" "
        "xmlns:p=\"http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd\"><s:Header><a:To>");

    *id = g_strconcat("uuid:", uuid, NULL);
    vireo_cim_escape(text, vireo_http_server(wsman->http));
    g_string_append(text, "/wsman</a:To><w:ResourceURI s:mustUnderstand=\"true\">");
    vireo_cim_escape(text, uri);
    g_string_append(text, "</w:ResourceURI><a:ReplyTo><a:Address s:mustUnderstand=\"true\">" ANONYMOUS
                          "</a:Address></a:ReplyTo><a:Action s:mustUnderstand=\"true\">");
    vireo_cim_escape(text, action);
    g_string_append_printf(text,
                           "</a:Action><w:MaxEnvelopeSize s:mustUnderstand=\"true\">%u</w:MaxEnvelopeSize>"
                           "<a:MessageID>%s</a:MessageID><w:Locale xml:lang=\"en-US\" s:mustUnderstand=\"false\"/>"
                           "<p:DataLocale xml:lang=\"en-US\" s:mustUnderstand=\"false\"/>"
                           "<w:OperationTimeout>PT%u.%03uS</w:OperationTimeout>",
                           ENVELOPE, *id, operation_ms / 1000, operation_ms % 1000);
    if (path && vireo_cim_name_at(path, 0))
        put_selectors(text, path);
    g_string_append(text, more);
    g_string_append(text, "</s:Header><s:Body>");
    return text;
}

static GString *begin(VireoWsman *wsman, const char *uri, const char *action, const VireoCim *path, char **id)
{
    return wsman_begin(wsman, uri, action, path, "", wsman->operation_ms, id);
}

static gboolean take_bytes(const void *data, gsize len, void *opaque, GError **error)
{
    (void)error;
    g_string_append_len(opaque, data, (gssize)len);
    return TRUE;
}

static gboolean refused(VireoWsman *wsman, guint status, GError **error)
{
    if (status == 401 && wsman->auth == VIREO_WSMAN_KERBEROS)
        g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_AUTH,
                    "%s does not take the Kerberos ticket for HTTP/%s (status 401): its key is another one, the user "
                    "is not known there, or it does not offer Kerberos",
                    vireo_http_server(wsman->http), wsman->host);
    else if (status == 401)
        g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_AUTH,
                    "%s does not let %s in (status 401): the user or the password is wrong, or it does not offer this "
                    "way of authentication",
                    vireo_http_server(wsman->http), *wsman->user ? wsman->user : "this process");
    else
        g_set_error(error, VIREO_HTTP_ERROR, status == 404 ? VIREO_HTTP_ERROR_NOT_FOUND : VIREO_HTTP_ERROR_STATUS,
                    "%s answers with status %u to /wsman", vireo_http_server(wsman->http), status);
    return FALSE;
}

static gboolean post(VireoWsman *wsman, VireoHttp *http, VireoHttpPost *request, GString *answer,
                     const VireoHttpWait *wait, GError **error)
{
    request->path = "/wsman";
    request->any_status = TRUE;
    request->sink = take_bytes;
    request->opaque = answer;
    g_string_truncate(answer, 0);
    g_atomic_int_inc(&wsman->requests);
    return vireo_http_post(http, request, wait, error);
}

static void post_clear(VireoHttpPost *request)
{
    g_clear_pointer(&request->content_type, g_free);
    g_clear_pointer(&request->challenge, g_free);
}

/* ---- connections that belong to a user ------------------------------------------- */

static Channel *channel_take(VireoWsman *wsman, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&wsman->lock);
    Channel *channel = g_queue_pop_head(&wsman->idle);

    if (!channel) {
        channel = g_new0(Channel, 1);
        channel->http = vireo_http_new(&wsman->options, error);
    }
    if (!channel->http) {
        g_free(channel);
        return NULL;
    }
    if (wsman->closed)
        vireo_http_close(channel->http);
    g_ptr_array_add(wsman->busy, channel);
    return channel;
}

static void channel_give(VireoWsman *wsman, Channel *channel)
{
    g_mutex_lock(&wsman->lock);
    g_ptr_array_remove_fast(wsman->busy, channel);
    g_queue_push_head(&wsman->idle, channel);
    g_mutex_unlock(&wsman->lock);
}

/* Sends a token with an empty body. challenge: the server's before, and its next one; NULL: it sends none. */
static gboolean send_token(VireoWsman *wsman, Channel *channel, const char *token, char **challenge, guint *status,
                           const VireoHttpWait *wait, GError **error)
{
    g_autoptr(GString) answer = g_string_new(NULL);
    const char *headers[] = {"Content-Type: application/soap+xml;charset=UTF-8", token, NULL};
    VireoHttpPost request = {.headers = headers, .body = ""};

    if (!post(wsman, channel->http, &request, answer, wait, error))
        return FALSE;
    *status = request.status;
    g_free(*challenge);
    *challenge = g_steal_pointer(&request.challenge);
    post_clear(&request);
    return TRUE;
}

static void bind_to(WsmanSeal *seal, VireoHttp *http)
{
    g_autoptr(GBytes) certificate = vireo_http_dup_certificate(http);

    wsman_seal_bind(seal, certificate);
}

/* Tokens until both sides know who the other is. NTLM ends with one of ours, Kerberos with one of theirs. */
static gboolean authenticate(VireoWsman *wsman, Channel *channel, const VireoHttpWait *wait, GError **error)
{
    g_autofree char *challenge = NULL;
    guint status = 401;

    g_clear_pointer(&channel->seal, wsman_seal_free);
    channel->seal = wsman_seal_new(wsman->login, error);
    if (!channel->seal)
        return FALSE;
    for (guint i = 0; i < 4; i++) {
        GError *wrong = NULL;
        bind_to(channel->seal, channel->http);
        g_autofree char *token = wsman_seal_step(channel->seal, challenge, &wrong);
        gboolean ready = wsman_seal_ready(channel->seal);

        if (!wrong && token)
            send_token(wsman, channel, token, &challenge, &status, wait, &wrong);
        if (wrong) {
            g_propagate_error(error, wrong);
            g_clear_pointer(&channel->seal, wsman_seal_free);
            return FALSE;
        }
        if (ready && (!token || status / 100 == 2))
            return TRUE;
        if (ready || !token || (status != 401 && status / 100 != 2) || !challenge || !*challenge)
            break;
    }
    g_clear_pointer(&channel->seal, wsman_seal_free);
    return refused(wsman, status, error);
}

static gboolean send_on(VireoWsman *wsman, Channel *channel, const GString *message, gboolean safe, GString *answer,
                        guint *status, const VireoHttpWait *wait, GError **error)
{
    gboolean encrypt = !wsman->https;
    g_autofree char *type = encrypt ? wsman_seal_type(channel->seal) : NULL;
    const char *headers[] = {encrypt ? type : "Content-Type: application/soap+xml;charset=UTF-8", NULL};
    g_autoptr(GString) sealed = encrypt ? wsman_seal_wrap(channel->seal, message, error) : NULL;
    const GString *body = encrypt ? sealed : message;
    VireoHttpPost request = {.headers = headers, .safe = safe};

    if (!body)
        return FALSE;
    request.body = body->str;
    request.len = body->len;
    if (!post(wsman, channel->http, &request, answer, wait, error)) {
        g_clear_pointer(&channel->seal, wsman_seal_free); /* nobody knows which message comes next */
        return FALSE;
    }
    *status = request.status;
    gboolean is_sealed = request.content_type && g_str_has_prefix(request.content_type, "multipart/encrypted");
    post_clear(&request);
    if (!encrypt || *status == 401 || !answer->len)
        return TRUE;
    g_autoptr(GString) plain = NULL;
    if (is_sealed)
        plain = wsman_seal_unwrap(channel->seal, answer, error);
    else
        g_set_error(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_ANSWER,
                    "%s answers with status %u and without encryption to an encrypted message",
                    vireo_http_server(wsman->http), *status);
    if (!plain) {
        g_clear_pointer(&channel->seal, wsman_seal_free);
        return FALSE;
    }
    g_string_truncate(answer, 0);
    g_string_append_len(answer, plain->str, (gssize)plain->len);
    return TRUE;
}

/* A connection that was made again knows nobody: status 401, and nothing was done. */
static gboolean send_in_channel(VireoWsman *wsman, const GString *message, gboolean safe, GString *answer,
                                guint *status, const VireoHttpWait *wait, GError **error)
{
    Channel *channel = channel_take(wsman, error);
    gboolean good = channel != NULL;

    for (guint i = 0; good && i < 2; i++) {
        gboolean fresh = !channel->seal;

        good = (!fresh || authenticate(wsman, channel, wait, error)) &&
               send_on(wsman, channel, message, safe, answer, status, wait, error);
        if (!good || *status != 401 || fresh)
            break;
        g_clear_pointer(&channel->seal, wsman_seal_free);
    }
    if (channel)
        channel_give(wsman, channel);
    return good;
}

/* ---- one exchange ---------------------------------------------------------------- */

/* Over https a ticket goes with each request: whether a connection stays the user's is up to the server. */
static gboolean send_plain(VireoWsman *wsman, const GString *message, gboolean safe, GString *answer, guint *status,
                           const VireoHttpWait *wait, GError **error)
{
    gboolean ticket = wsman->auth == VIREO_WSMAN_KERBEROS;
    g_autoptr(WsmanSeal) seal = ticket ? wsman_seal_new(wsman->login, error) : NULL;

    if (seal)
        bind_to(seal, wsman->http);
    g_autofree char *token = seal ? wsman_seal_step(seal, NULL, error) : NULL, *more = NULL;
    const char *headers[] = {"Content-Type: application/soap+xml;charset=UTF-8", token, NULL};
    VireoHttpPost request = {.headers = headers, .body = message->str, .len = message->len, .safe = safe};
    GError *wrong = NULL;

    if (ticket && !token)
        return FALSE;
    gboolean good = post(wsman, wsman->http, &request, answer, wait, error);
    *status = request.status;
    if (good && ticket && request.challenge && *request.challenge) /* who they are, or why they refuse */
        more = wsman_seal_step(seal, request.challenge, &wrong);
    post_clear(&request);
    if (wrong)
        g_propagate_error(error, wrong);
    return good && !wrong;
}

/* A ticket may be bound to a certificate that only the connection for it has shown: status 401, and nothing was done. */
static gboolean send_bound(VireoWsman *wsman, const GString *message, gboolean safe, GString *answer, guint *status,
                           const VireoHttpWait *wait, GError **error)
{
    for (guint i = 0;; i++) {
        GError *wrong = NULL;
        g_autoptr(GBytes) before = vireo_http_dup_certificate(wsman->http);
        gboolean good = send_plain(wsman, message, safe, answer, status, wait, &wrong);
        g_autoptr(GBytes) now = vireo_http_dup_certificate(wsman->http);

        if (*status != 401 || i || !now || (before && g_bytes_equal(before, now))) {
            if (wrong)
                g_propagate_error(error, wrong);
            return good;
        }
        g_clear_error(&wrong);
    }
}

static gboolean exchange(VireoWsman *wsman, const GString *message, const char *id, gboolean safe,
                         VireoWsmanAnswer *answer, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(GString) bytes = g_string_new(NULL);
    guint status = 0;
    gboolean good = needs_channel(wsman) ? send_in_channel(wsman, message, safe, bytes, &status, wait, error)
                                         : send_bound(wsman, message, safe, bytes, &status, wait, error);

    if (!good)
        return FALSE;
    if (status != 200 && status != 500 && status != 400)
        return refused(wsman, status, error);
    if (!vireo_wsman_answer_read(bytes->str, bytes->len, answer, error)) {
        gboolean fault = error && g_error_matches(*error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_FAULT);

        if (error && *error && !fault)
            g_prefix_error(error, "%s, status %u: ", vireo_http_server(wsman->http), status);
        return FALSE;
    }
    if (!id || g_strcmp0(answer->relates_to, id) == 0)
        return TRUE;
    g_set_error(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_ANSWER, "%s answers to another message than the one sent",
                vireo_http_server(wsman->http));
    vireo_wsman_answer_clear(answer);
    return FALSE;
}

gboolean wsman_talk(VireoWsman *wsman, GString *message, char *id, gboolean safe, VireoWsmanAnswer *answer,
                    const VireoHttpWait *wait, GError **error)
{
    VireoRetry retry = {.tries = 6,
                        .first_ms = 100,
                        .most_ms = 2000,
                        .cancelled = wait ? wait->cancelled : NULL,
                        .opaque = wait ? wait->opaque : NULL};
    g_autoptr(GString) text = g_string_append(message, "</s:Body></s:Envelope>");
    g_autofree char *mine = id;

    for (;;) {
        GError *wrong = NULL;

        if (exchange(wsman, text, mine, safe, answer, wait, &wrong))
            return TRUE;
        if (vireo_wsman_error_number(wrong) != FAULT_TOO_MANY || !vireo_retry_again(&retry)) {
            g_propagate_error(error, wrong);
            return FALSE;
        }
        g_error_free(wrong);
    }
}

gboolean wsman_no_body(const VireoWsman *wsman, GError **error)
{
    g_set_error(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_ANSWER, "%s answers without what was asked for",
                vireo_http_server(wsman->http));
    return FALSE;
}

VireoCim *vireo_wsman_identify(VireoWsman *wsman, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(GString) message = g_string_new(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" "
        "xmlns:i=\"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd\"><s:Header/><s:Body>"
        "<i:Identify/></s:Body></s:Envelope>");
    g_auto(VireoWsmanAnswer) answer = {0};

    if (!exchange(wsman, message, NULL, TRUE, &answer, wait, error) || (!answer.body && !wsman_no_body(wsman, error)))
        return NULL;
    return g_steal_pointer(&answer.body);
}

VireoCim *vireo_wsman_get(VireoWsman *wsman, const VireoCim *path, const VireoHttpWait *wait, GError **error)
{
    g_auto(VireoWsmanAnswer) answer = {0};
    char *id;
    GString *message = begin(wsman, vireo_cim_uri(path), TRANSFER "/Get", path, &id);

    if (!wsman_talk(wsman, message, id, TRUE, &answer, wait, error) || (!answer.body && !wsman_no_body(wsman, error)))
        return NULL;
    return g_steal_pointer(&answer.body);
}

/* ---- enumerations ---------------------------------------------------------------- */

/* Nobody wants the rest: the service need not keep it. */
static void release(VireoWsman *wsman, const char *uri, const char *context)
{
    g_auto(VireoWsmanAnswer) answer = {0};
    VireoHttpWait wait = {.timeout_ms = 5000};
    char *id;
    GString *message = begin(wsman, uri, WSMAN_ENUMERATION "/Release", NULL, &id);

    g_string_append(message, "<n:Release><n:EnumerationContext>");
    vireo_cim_escape(message, context);
    g_string_append(message, "</n:EnumerationContext></n:Release>");
    wsman_talk(wsman, message, id, TRUE, &answer, &wait, NULL);
}

static gboolean pull(VireoWsman *wsman, const char *uri, const char *context, VireoWsmanAnswer *answer,
                     const VireoHttpWait *wait, GError **error)
{
    for (guint i = 0;; i++) {
        GError *wrong = NULL;
        char *id;
        GString *message = begin(wsman, uri, WSMAN_ENUMERATION "/Pull", NULL, &id);

        g_string_append(message, "<n:Pull><n:EnumerationContext>");
        vireo_cim_escape(message, context);
        g_string_append_printf(message, "</n:EnumerationContext><n:MaxElements>%u</n:MaxElements></n:Pull>",
                               wsman->batch);
        if (wsman_talk(wsman, message, id, FALSE, answer, wait, &wrong))
            return TRUE;
        if (vireo_wsman_error_number(wrong) != WSMAN_FAULT_TIMED_OUT || i == 3) {
            g_propagate_error(error, wrong);
            return FALSE;
        }
        g_error_free(wrong); /* there was nothing yet */
    }
}

static gboolean take_items(VireoWsman *wsman, GPtrArray *all, VireoWsmanAnswer *answer, GError **error)
{
    if (!answer->items)
        return wsman_no_body(wsman, error);
    for (guint i = 0; i < answer->items->len; i++)
        g_ptr_array_add(all, vireo_cim_hold(answer->items->pdata[i]));
    if (all->len <= MAX_ITEMS)
        return TRUE;
    g_set_error(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_ANSWER, "%s does not stop enumerating",
                vireo_http_server(wsman->http));
    return FALSE;
}

GPtrArray *vireo_wsman_query(VireoWsman *wsman, const char *space, const char *wql, const VireoHttpWait *wait,
                             GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)vireo_cim_unref);
    g_autofree char *uri = g_strconcat(VIREO_WSMAN_WMI, space, "/*", NULL), *context = NULL;
    g_auto(VireoWsmanAnswer) answer = {0};
    char *id;
    GString *message = begin(wsman, uri, WSMAN_ENUMERATION "/Enumerate", NULL, &id);
    guint empty = 0;

    g_string_append_printf(message,
                           "<n:Enumerate><w:OptimizeEnumeration/><w:MaxElements>%u</w:MaxElements>"
                           "<w:Filter Dialect=\"" WSMAN_WQL "\">",
                           wsman->batch);
    vireo_cim_escape(message, wql);
    g_string_append(message, "</w:Filter></n:Enumerate>");
    gboolean good = wsman_talk(wsman, message, id, TRUE, &answer, wait, error);
    while (good && take_items(wsman, all, &answer, error)) {
        g_free(context);
        context = answer.end ? NULL : g_steal_pointer(&answer.context);
        empty = answer.items->len ? 0 : empty + 1;
        vireo_wsman_answer_clear(&answer);
        if (!context)
            return g_steal_pointer(&all);
        if (empty > 100) {
            g_set_error(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_ANSWER, "%s keeps answering with nothing",
                        vireo_http_server(wsman->http));
            break;
        }
        good = pull(wsman, uri, context, &answer, wait, error);
    }
    if (context)
        release(wsman, uri, context);
    return NULL;
}

/* ---- methods --------------------------------------------------------------------- */

/* Where an instance is, as a value. */
static void put_path(GString *text, const VireoCim *path)
{
    g_string_append(text, "<a:Address>" ANONYMOUS "</a:Address><a:ReferenceParameters><w:ResourceURI>");
    vireo_cim_escape(text, vireo_cim_uri(path));
    g_string_append(text, "</w:ResourceURI>");
    put_selectors(text, path);
    g_string_append(text, "</a:ReferenceParameters>");
}

static void put_argument(GString *text, const VireoCim *args, const char *name)
{
    for (guint i = 0; i < vireo_cim_count(args, name); i++) {
        const char *value = vireo_cim_text_at(args, name, i);

        g_string_append_printf(text, "<m:%s>", name);
        if (!value)
            put_path(text, vireo_cim_path_at(args, name, i));
        else if (g_str_has_prefix(value, "<INSTANCE ")) /* '>' is escaped in it: nothing ends the section early */
            g_string_append_printf(text, "<![CDATA[%s]]>", value);
        else
            vireo_cim_escape(text, value);
        g_string_append_printf(text, "</m:%s>", name);
    }
}

VireoCim *vireo_wsman_invoke(VireoWsman *wsman, const VireoCim *path, const char *method, const VireoCim *args,
                             const VireoHttpWait *wait, GError **error)
{
    g_autofree char *action = g_strconcat(vireo_cim_uri(path), "/", method, NULL);
    g_auto(VireoWsmanAnswer) answer = {0};
    char *id;
    GString *message = begin(wsman, vireo_cim_uri(path), action, path, &id);

    g_string_append_printf(message, "<m:%s_INPUT xmlns:m=\"%s\">", method, vireo_cim_uri(path));
    for (guint i = 0; args && vireo_cim_name_at(args, i); i++)
        put_argument(message, args, vireo_cim_name_at(args, i));
    g_string_append_printf(message, "</m:%s_INPUT>", method);
    if (!wsman_talk(wsman, message, id, FALSE, &answer, wait, error) || (!answer.body && !wsman_no_body(wsman, error)))
        return NULL;
    return g_steal_pointer(&answer.body);
}

static const char *meaning(guint32 number)
{
    static const char *const values[] = {"it failed",
                                         "access is denied",
                                         "that is not supported",
                                         "its state is not known",
                                         "it took too long",
                                         "a parameter is not accepted",
                                         "something is in use",
                                         "the state does not allow it",
                                         "something has the wrong type",
                                         "something is not available",
                                         "memory is used up"};

    return number - 32768 < G_N_ELEMENTS(values) ? values[number - 32768] : "no reason is known for it";
}

/* 7: completed; above 32767: completed with warnings. */
static gboolean job_done(const VireoCim *job, const char *method, GError **error)
{
    guint64 state = vireo_cim_number(job, "JobState");
    guint32 code = (guint32)vireo_cim_number(job, "ErrorCode");
    const char *text = vireo_cim_string(job, "ErrorDescription");

    if (state == 7 || state >= 32768)
        return TRUE;
    g_autofree char *words = *text ? g_strdup_printf("%s: %s", method, text)
                                   : g_strdup_printf("%s ended with error %u: %s", method, code, meaning(code));
    g_propagate_error(error, wsman_error_new(VIREO_WSMAN_ERROR_JOB, code, NULL, words));
    return FALSE;
}

static gboolean job_wait(VireoWsman *wsman, const VireoCim *path, const char *method, VireoWsmanProgress progress,
                         void *opaque, GError **error)
{
    for (guint misses = 0, pause = MIN(10, wsman->job_ms);; pause = MIN(pause * 2, wsman->job_ms)) {
        GError *wrong = NULL;
        g_autoptr(VireoCim) job = vireo_wsman_get(wsman, path, NULL, &wrong);
        guint64 state = job ? vireo_cim_number(job, "JobState") : 0;

        if (state >= 7 && state != 11)
            return job_done(job, method, error);
        gboolean gone = wrong && g_str_equal(vireo_wsman_error_subcode(wrong), "DestinationUnreachable");
        if (job && progress)
            progress((guint)vireo_cim_number(job, "PercentComplete"), opaque);
        misses = job ? 0 : misses + 1;
        if (gone || misses > JOB_MISSES || g_error_matches(wrong, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_CANCELLED)) {
            g_prefix_error(&wrong, "%s was started, but how it ended is not known: ", method);
            g_propagate_error(error, wrong);
            return FALSE;
        }
        g_clear_error(&wrong);
        g_usleep(pause * 1000);
    }
}

gboolean vireo_wsman_follow(VireoWsman *wsman, const char *method, const VireoCim *answer, VireoWsmanProgress progress,
                            void *opaque, VireoCim **job, GError **error)
{
    guint64 value = vireo_cim_number(answer, "ReturnValue");
    const VireoCim *path = vireo_cim_path(answer, "Job");

    if (job)
        *job = path ? vireo_cim_hold(path) : NULL;
    if (!vireo_cim_text(answer, "ReturnValue"))
        return wsman_no_body(wsman, error);
    if (value == 0)
        return TRUE;
    if (value == JOB_STARTED && path)
        return job_wait(wsman, path, method, progress, opaque, error);
    g_autofree char *text =
        g_strdup_printf("%s returned %" G_GUINT64_FORMAT ": %s", method, value, meaning((guint32)value));
    g_propagate_error(error, wsman_error_new(VIREO_WSMAN_ERROR_RETURNED, (guint32)value, NULL, text));
    return FALSE;
}

VireoCim *vireo_wsman_path(const char *space, const char *class, const char *key, const char *value)
{
    g_autofree char *uri = g_strconcat(VIREO_WSMAN_WMI, space, "/", class, NULL);
    VireoCim *path = vireo_cim_new(uri);

    return key ? vireo_cim_add(path, key, NULL, value) : path;
}
