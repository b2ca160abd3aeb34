/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/http.h"

#include <curl/curl.h>
#include <string.h>

#include "util/error.h"

#define CONNECT_TIMEOUT_MS 10000
#define TIMEOUT_MS         60000
#define STALL_MS           60000
#define IDLE_MS            60000
#define UNSAFE_IDLE_MS     5000 /* a kept connection older than this may just be closing */
#define CONNECTIONS        32
#define MAX_ANSWER         (64u * 1024 * 1024)
#define SLICE_MS           100 /* between two looks at wait->cancelled */

G_DEFINE_QUARK(vireo-http-error-quark, vireo_http_error)

int vireo_http_error_number(const GError *error)
{
    switch (error->code) {
    case VIREO_HTTP_ERROR_CONNECT:
    case VIREO_HTTP_ERROR_TLS:
    case VIREO_HTTP_ERROR_CLOSED:
        return VIREO_ERROR_NO_CONNECT;
    case VIREO_HTTP_ERROR_TIMEOUT:
        return VIREO_ERROR_OPERATION_TIMEOUT;
    case VIREO_HTTP_ERROR_CANCELLED:
        return VIREO_ERROR_OPERATION_ABORTED;
    case VIREO_HTTP_ERROR_AUTH:
        return VIREO_ERROR_AUTH_FAILED;
    case VIREO_HTTP_ERROR_INVALID:
        return VIREO_ERROR_INVALID_ARG;
    default:
        return VIREO_ERROR_HTTP_ERROR;
    }
}

/* What one request has of curl: lent to it, then kept for the next. */
typedef struct {
    CURL *easy;
    CURLM *multi;
    gint64 idle_since; /* monotonic microseconds */
} Lane;

struct VireoHttp {
    char *server, *ca_file, *pin, *proxy, *user, *password, *user_agent;
    gboolean insecure, keep_certificate;
    VireoHttpAuth auth;
    guint connect_timeout_ms, timeout_ms, stall_ms, idle_ms, max_connections;
    gsize max_answer;
    CURLSH *share;
    GMutex share_locks[CURL_LOCK_DATA_LAST];
    GMutex lock; /* of what follows */
    GCond freed;
    GQueue idle; /* Lane, the one used last in front */
    GPtrArray *busy;
    guint opened;
    gboolean closed;
    GBytes *certificate;
};

/* One request on its way. */
typedef struct {
    VireoHttp *http;
    Lane *lane;
    const VireoHttpWait *wait;
    gint64 end; /* monotonic microseconds, G_MAXINT64: never */
    VireoHttpSink sink;
    VireoHttpSource source;
    void *opaque;
    const char *body; /* instead of source */
    gsize len, sent;
    gboolean safe, file, part, any_status;
    guint64 got;
    GError *error; /* of sink, source or limit */
    char reason[CURL_ERROR_SIZE];
} Request;

/* ---- making and ending one ------------------------------------------------------- */

static void share_lock(CURL *easy, curl_lock_data data, curl_lock_access access, void *opaque)
{
    g_mutex_lock(&((VireoHttp *)opaque)->share_locks[data]);
}

static void share_unlock(CURL *easy, curl_lock_data data, void *opaque)
{
    g_mutex_unlock(&((VireoHttp *)opaque)->share_locks[data]);
}

static gpointer curl_once(gpointer unused)
{
    return GINT_TO_POINTER(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

/* Scheme, host and port alone: whatever else an URL carries is not ours to send or to show. */
static char *server_of(const char *url, GError **error)
{
    g_autoptr(GUri) uri = url ? g_uri_parse(url, G_URI_FLAGS_NONE, NULL) : NULL;
    const char *scheme = uri ? g_uri_get_scheme(uri) : NULL;
    const char *host = uri ? g_uri_get_host(uri) : NULL;

    if (!host || !*host || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)) {
        g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_INVALID,
                    "a server is named as http://HOST[:PORT] or https://HOST[:PORT]");
        return NULL;
    }
    return g_uri_join(G_URI_FLAGS_NONE, scheme, NULL, host, g_uri_get_port(uri), "", NULL, NULL);
}

static gboolean options_fine(const VireoHttpOptions *options, GError **error)
{
    const char *wrong = NULL;

    if (options->pin && !g_str_has_prefix(options->pin, "sha256//"))
        wrong = "a pinned key is written as sha256//BASE64";
    else if (options->auth > VIREO_HTTP_AUTH_NEGOTIATE)
        wrong = "this way of authentication is not known";
    else if (options->auth == VIREO_HTTP_AUTH_BASIC && !options->user)
        wrong = "authentication needs a user";
    else if (options->ca_file && !g_file_test(options->ca_file, G_FILE_TEST_IS_REGULAR)) {
        g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_INVALID,
                    "there is no file of certificates %s", options->ca_file);
        return FALSE;
    }
    if (wrong)
        g_set_error_literal(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_INVALID, wrong);
    return !wrong;
}

VireoHttp *vireo_http_new(const VireoHttpOptions *options, GError **error)
{
    static GOnce once = G_ONCE_INIT;
    g_autofree char *server = server_of(options->url, error);

    if (!server || !options_fine(options, error))
        return NULL;
    if (!g_once(&once, curl_once, NULL)) {
        g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_INVALID, "libcurl does not start");
        return NULL;
    }
    VireoHttp *http = g_new0(VireoHttp, 1);
    http->server = g_steal_pointer(&server);
    http->ca_file = g_strdup(options->ca_file);
    http->pin = g_strdup(options->pin);
    http->proxy = g_strdup(options->proxy ? options->proxy : "");
    http->auth = options->auth;
    http->user = g_strdup(options->user);
    http->password = g_strdup(options->password);
    http->user_agent = g_strdup(options->user_agent ? options->user_agent : "vireo");
    http->insecure = options->insecure;
    http->keep_certificate = options->certificate;
    http->connect_timeout_ms = options->connect_timeout_ms ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    http->timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_MS;
    http->stall_ms = options->stall_ms ? options->stall_ms : STALL_MS;
    http->idle_ms = options->idle_ms ? options->idle_ms : IDLE_MS;
    http->max_connections = options->max_connections ? options->max_connections : CONNECTIONS;
    http->max_answer = options->max_answer ? options->max_answer : MAX_ANSWER;
    http->busy = g_ptr_array_new();
    g_queue_init(&http->idle);
    g_mutex_init(&http->lock);
    g_cond_init(&http->freed);
    for (guint i = 0; i < G_N_ELEMENTS(http->share_locks); i++)
        g_mutex_init(&http->share_locks[i]);
    http->share = curl_share_init();
    curl_share_setopt(http->share, CURLSHOPT_USERDATA, http);
    curl_share_setopt(http->share, CURLSHOPT_LOCKFUNC, share_lock);
    curl_share_setopt(http->share, CURLSHOPT_UNLOCKFUNC, share_unlock);
    curl_share_setopt(http->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
    curl_share_setopt(http->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    return http;
}

static void lane_free(Lane *lane)
{
    curl_easy_cleanup(lane->easy);
    curl_multi_cleanup(lane->multi);
    g_free(lane);
}

static Lane *lane_new(void)
{
    Lane *lane = g_new0(Lane, 1);

    lane->easy = curl_easy_init();
    lane->multi = curl_multi_init();
    g_assert(lane->easy && lane->multi);
    return lane;
}

static void wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    g_free(secret);
}

void vireo_http_free(VireoHttp *http)
{
    if (!http)
        return;
    g_assert(!http->busy->len);
    g_queue_clear_full(&http->idle, (GDestroyNotify)lane_free);
    g_ptr_array_unref(http->busy);
    curl_share_cleanup(http->share);
    for (guint i = 0; i < G_N_ELEMENTS(http->share_locks); i++)
        g_mutex_clear(&http->share_locks[i]);
    g_mutex_clear(&http->lock);
    g_cond_clear(&http->freed);
    g_clear_pointer(&http->certificate, g_bytes_unref);
    g_free(http->server);
    g_free(http->ca_file);
    g_free(http->pin);
    wipe(http->proxy);
    g_free(http->user);
    wipe(http->password);
    g_free(http->user_agent);
    g_free(http);
}

void vireo_http_close(VireoHttp *http)
{
    g_mutex_lock(&http->lock);
    http->closed = TRUE;
    for (guint i = 0; i < http->busy->len; i++)
        curl_multi_wakeup(((Lane *)http->busy->pdata[i])->multi);
    g_cond_broadcast(&http->freed);
    g_mutex_unlock(&http->lock);
}

const char *vireo_http_server(VireoHttp *http)
{
    return http->server;
}

void vireo_http_connections(VireoHttp *http, guint *now, guint *opened)
{
    g_mutex_lock(&http->lock);
    *now = http->idle.length + http->busy->len;
    *opened = http->opened;
    g_mutex_unlock(&http->lock);
}

GBytes *vireo_http_dup_certificate(VireoHttp *http)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&http->lock);

    return http->certificate ? g_bytes_ref(http->certificate) : NULL;
}

void vireo_http_forget(VireoHttp *http)
{
    CURL *easy = curl_easy_init();

    curl_easy_setopt(easy, CURLOPT_SHARE, http->share);
    curl_easy_setopt(easy, CURLOPT_COOKIELIST, "ALL");
    curl_easy_cleanup(easy);
}

char *vireo_http_escape(const char *text)
{
    return g_uri_escape_string(text, "/", FALSE);
}

/* ---- waiting --------------------------------------------------------------------- */

static gboolean closed(VireoHttp *http)
{
    g_mutex_lock(&http->lock);
    gboolean is = http->closed;
    g_mutex_unlock(&http->lock);
    return is;
}

/* Time is up, or nobody wants the answer any more. */
static gboolean given_up(Request *request, GError **error)
{
    const VireoHttpWait *wait = request->wait;

    if ((wait && ((wait->cancelled && wait->cancelled(wait->opaque)) ||
                  g_cancellable_is_cancelled(wait->cancellable))) || closed(request->http)) {
        g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_CANCELLED, "the request to %s was cancelled",
                    request->http->server);
        return TRUE;
    }
    if (g_get_monotonic_time() < request->end)
        return FALSE;
    g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_TIMEOUT, "%s did not answer in time",
                request->http->server);
    return TRUE;
}

static void idle_expire(VireoHttp *http, gint64 now, GQueue *expired)
{
    Lane *lane;

    while ((lane = g_queue_peek_tail(&http->idle)) && now - lane->idle_since > http->idle_ms * 1000LL)
        g_queue_push_tail(expired, g_queue_pop_tail(&http->idle));
}

/* An idle lane, a new one, or NULL: none is to be had within a slice. */
static Lane *lane_take(VireoHttp *http)
{
    gint64 now = g_get_monotonic_time();
    GQueue expired = G_QUEUE_INIT;

    g_mutex_lock(&http->lock);
    idle_expire(http, now, &expired);
    if (!http->idle.length && http->busy->len >= http->max_connections && !http->closed)
        g_cond_wait_until(&http->freed, &http->lock, now + SLICE_MS * 1000);
    Lane *lane = g_queue_pop_head(&http->idle);
    if (!lane && http->busy->len < http->max_connections)
        lane = lane_new();
    if (lane)
        g_ptr_array_add(http->busy, lane);
    g_mutex_unlock(&http->lock);
    g_queue_clear_full(&expired, (GDestroyNotify)lane_free);
    return lane;
}

static void lane_give(VireoHttp *http, Lane *lane)
{
    long connects = 0;

    curl_easy_getinfo(lane->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_setopt(lane->easy, CURLOPT_COOKIEFILE, NULL); /* curl 7.88 forgets to free this list */
    curl_easy_reset(lane->easy);
    lane->idle_since = g_get_monotonic_time();
    g_mutex_lock(&http->lock);
    http->opened += (guint)connects;
    g_ptr_array_remove_fast(http->busy, lane);
    g_queue_push_head(&http->idle, lane);
    g_cond_signal(&http->freed);
    g_mutex_unlock(&http->lock);
}

static void wake(GCancellable *cancellable, gpointer multi)
{
    curl_multi_wakeup(multi);
}

/* Turns the request until it is done. */
static gboolean turn(Request *request, CURLcode *code, GError **error)
{
    Lane *lane = request->lane;
    int running = 1, left;

    while (running) {
        if (given_up(request, error))
            return FALSE;
        curl_multi_perform(lane->multi, &running);
        if (running)
            curl_multi_poll(lane->multi, NULL, 0, SLICE_MS, NULL);
    }
    for (CURLMsg *message; (message = curl_multi_info_read(lane->multi, &left));)
        if (message->msg == CURLMSG_DONE)
            *code = message->data.result;
    return TRUE;
}

/* ---- one request ----------------------------------------------------------------- */

static guint status_of(CURL *easy)
{
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return (guint)status;
}

static gboolean wanted(const Request *request, guint status)
{
    if (request->part)
        return status == 206;
    if (request->any_status)
        return TRUE;
    return status / 100 == 2 || (!request->file && status == 500);
}

static size_t on_data(char *data, size_t size, size_t count, void *opaque)
{
    Request *request = opaque;
    gsize len = size * count;

    if (!wanted(request, status_of(request->lane->easy)))
        return len;
    request->got += len;
    if (!request->file && request->got > request->http->max_answer) {
        g_set_error(&request->error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_TOO_LARGE,
                    "%s answers with more than the %" G_GSIZE_FORMAT " bytes allowed",
                    request->http->server, request->http->max_answer);
        return 0;
    }
    if (!request->sink || request->sink(data, len, request->opaque, &request->error))
        return len;
    if (!request->error)
        g_set_error(&request->error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_FILE,
                    "the receiver of the data from %s gave up", request->http->server);
    return 0;
}

static size_t on_send(char *data, size_t size, size_t count, void *opaque)
{
    Request *request = opaque;
    gsize len = size * count;

    if (request->source) {
        gssize got = request->source(data, len, request->opaque, &request->error);

        if (got >= 0)
            return (size_t)got;
        if (!request->error)
            g_set_error(&request->error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_FILE,
                        "the source of the data for %s gave up", request->http->server);
        return CURL_READFUNC_ABORT;
    }
    len = MIN(len, request->len - request->sent);
    memcpy(data, request->body + request->sent, len);
    request->sent += len;
    return len;
}

/* A kept connection that broke: curl sends again what can be sent again. */
static int on_seek(void *opaque, curl_off_t offset, int origin)
{
    Request *request = opaque;

    if (!request->safe || origin != SEEK_SET || (gsize)offset > request->len)
        return CURL_SEEKFUNC_FAIL;
    request->sent = (gsize)offset;
    return CURL_SEEKFUNC_OK;
}

static void set_tls(VireoHttp *http, CURL *easy)
{
    gboolean verify = !http->insecure && !http->pin;

    curl_easy_setopt(easy, CURLOPT_CERTINFO, http->keep_certificate ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
    if (http->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (http->pin)
        curl_easy_setopt(easy, CURLOPT_PINNEDPUBLICKEY, http->pin);
}

static void set_options(Request *request, const char *url)
{
    VireoHttp *http = request->http;
    CURL *easy = request->lane->easy;

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SHARE, http->share);
    curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "");
    curl_easy_setopt(easy, CURLOPT_PROXY, http->proxy);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, http->user_agent);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)http->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN,
                     (long)((request->safe ? http->idle_ms : MIN(http->idle_ms, UNSAFE_IDLE_MS)) + 999) / 1000);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->reason);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(easy, CURLOPT_READDATA, request);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, request);
    if (http->auth == VIREO_HTTP_AUTH_BASIC) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, http->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, http->password ? http->password : "");
    }
    if (http->auth == VIREO_HTTP_AUTH_NEGOTIATE) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_NEGOTIATE);
        curl_easy_setopt(easy, CURLOPT_USERPWD, ":");
    }
    if (request->file) {
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)(http->stall_ms + 999) / 1000);
    } else
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    set_tls(http, easy);
}

static VireoHttpError error_of(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return VIREO_HTTP_ERROR_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
        return VIREO_HTTP_ERROR_TLS;
    case CURLE_OPERATION_TIMEDOUT:
        return VIREO_HTTP_ERROR_TIMEOUT;
    case CURLE_URL_MALFORMAT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
        return VIREO_HTTP_ERROR_INVALID;
    default:
        return VIREO_HTTP_ERROR_CLOSED;
    }
}

static gboolean explain(Request *request, CURLcode code, GError **error)
{
    const char *server = request->http->server;
    const char *reason = request->reason[0] ? request->reason : curl_easy_strerror(code);
    VireoHttpError kind = error_of(code);

    if (request->error)
        g_propagate_error(error, g_steal_pointer(&request->error));
    else if (kind == VIREO_HTTP_ERROR_CLOSED)
        g_set_error(error, VIREO_HTTP_ERROR, kind, "the connection to %s ended before its answer: %s", server,
                    code == CURLE_SEND_FAIL_REWIND ? "the server closed it" : reason);
    else if (kind == VIREO_HTTP_ERROR_TIMEOUT)
        g_set_error(error, VIREO_HTTP_ERROR, kind, "%s did not answer in time: %s", server, reason);
    else
        g_set_error(error, VIREO_HTTP_ERROR, kind, "cannot talk to %s: %s", server, reason);
    return FALSE;
}

static gboolean refuse_status(Request *request, guint status, const char *path, GError **error)
{
    VireoHttpError kind = status == 401 || status == 407 ? VIREO_HTTP_ERROR_AUTH
                          : status == 404                ? VIREO_HTTP_ERROR_NOT_FOUND
                                                         : VIREO_HTTP_ERROR_STATUS;
    g_autofree char *shown = g_strndup(path, strcspn(path, "?"));

    g_set_error(error, VIREO_HTTP_ERROR, kind, "%s answers with status %u%s to %s", request->http->server,
                status, status == 401 ? " (not authorised)" : status == 404 ? " (not found)" : "", shown);
    return FALSE;
}

/* curl tells it as PEM, and only of a connection that was made for this request. */
static void take_certificate(VireoHttp *http, CURL *easy)
{
    static const char begin[] = "Cert:-----BEGIN CERTIFICATE-----";
    struct curl_certinfo *chain = NULL;

    curl_easy_getinfo(easy, CURLINFO_CERTINFO, &chain);
    for (struct curl_slist *one = chain && chain->num_of_certs ? chain->certinfo[0] : NULL; one; one = one->next) {
        if (!g_str_has_prefix(one->data, begin))
            continue;
        gsize len = 0;
        const char *text = one->data + strlen(begin);
        g_autofree char *base64 = g_strndup(text, strcspn(text, "-"));
        guchar *der = g_base64_decode(base64, &len);
        g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&http->lock);
        g_clear_pointer(&http->certificate, g_bytes_unref);
        http->certificate = g_bytes_new_take(der, len);
    }
}

static gboolean run(Request *request, GError **error)
{
    const VireoHttpWait *wait = request->wait;
    CURLcode code = CURLE_OK;
    gulong watch = 0;

    curl_multi_add_handle(request->lane->multi, request->lane->easy);
    if (wait && wait->cancellable)
        watch = g_cancellable_connect(wait->cancellable, G_CALLBACK(wake), request->lane->multi, NULL);
    gboolean done = turn(request, &code, error);
    if (watch)
        g_cancellable_disconnect(wait->cancellable, watch);
    curl_multi_remove_handle(request->lane->multi, request->lane->easy);
    if (request->http->keep_certificate)
        take_certificate(request->http, request->lane->easy);
    if (done && code != CURLE_OK)
        return explain(request, code, error);
    g_clear_error(&request->error);
    return done;
}

static gboolean begin(Request *request, const char *path, const char *url, GError **error)
{
    const VireoHttpWait *wait = request->wait;
    gint64 timeout = wait && wait->timeout_ms ? wait->timeout_ms
                     : request->file          ? -1
                                              : (gint64)request->http->timeout_ms;

    if (!path || *path != '/' || strpbrk(path, " \r\n")) {
        g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_INVALID,
                    "a path begins with '/' and has its blanks escaped");
        return FALSE;
    }
    request->end = timeout < 0 ? G_MAXINT64 : g_get_monotonic_time() + timeout * 1000;
    do {
        if (given_up(request, error))
            return FALSE;
        request->lane = lane_take(request->http);
    } while (!request->lane);
    set_options(request, url);
    return TRUE;
}

static struct curl_slist *header_list(const char *const *headers)
{
    /* Asking first whether a body is welcome costs a round trip, and a second with servers that do
     * not know of it. */
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");

    for (guint i = 0; headers && headers[i]; i++)
        list = curl_slist_append(list, headers[i]);
    return list;
}

/* The server's part of an exchange of tokens, where there are some; NULL: it sends none. */
static char *challenge_of(CURL *easy)
{
    struct curl_header *header;
    g_autofree char *found = NULL;

    for (size_t i = 0; curl_easy_header(easy, "WWW-Authenticate", i, CURLH_HEADER, -1, &header) == CURLHE_OK; i++) {
        gsize scheme = g_ascii_strncasecmp(header->value, "Negotiate", 9) == 0  ? 9
                       : g_ascii_strncasecmp(header->value, "Kerberos", 8) == 0 ? 8
                                                                                : 0;
        if (!scheme || (found && *found))
            continue;
        g_free(found);
        found = g_strstrip(g_strdup(header->value + scheme));
    }
    return g_steal_pointer(&found);
}

gboolean vireo_http_post(VireoHttp *http, VireoHttpPost *post, const VireoHttpWait *wait, GError **error)
{
    g_autofree char *url = g_strconcat(http->server, post->path, NULL);
    Request request = { .http = http, .wait = wait, .sink = post->sink, .opaque = post->opaque,
                        .body = post->body, .len = post->len, .safe = post->safe, .any_status = post->any_status };
    const char *type = NULL;

    if (!begin(&request, post->path, url, error))
        return FALSE;
    struct curl_slist *headers = header_list(post->headers);
    CURL *easy = request.lane->easy;
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->len);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    gboolean done = run(&request, error);
    post->status = status_of(easy);
    if (done && post->any_status) {
        curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
        post->content_type = g_strdup(type);
        post->challenge = challenge_of(easy);
    }
    lane_give(http, request.lane);
    curl_slist_free_all(headers);
    if (done && !wanted(&request, post->status))
        return refuse_status(&request, post->status, post->path, error);
    return done;
}

static gboolean set_transfer(CURL *easy, const VireoHttpTransfer *transfer, char *range, gsize range_size,
                             GError **error)
{
    const char *method = transfer->method;

    if (g_str_equal(method, "PUT") || g_str_equal(method, "POST")) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)transfer->size);
    } else if (g_str_equal(method, "HEAD"))
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (!g_str_equal(method, "GET") && !g_str_equal(method, "DELETE")) {
        g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_INVALID, "no files are moved with %s", method);
        return FALSE;
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, g_str_equal(method, "HEAD") ? NULL : method);
    if (!transfer->offset && !transfer->length)
        return TRUE;
    int used = g_snprintf(range, range_size, "%" G_GUINT64_FORMAT "-", transfer->offset);
    if (transfer->length)
        g_snprintf(range + used, range_size - (gsize)used, "%" G_GUINT64_FORMAT,
                   transfer->offset + transfer->length - 1);
    curl_easy_setopt(easy, CURLOPT_RANGE, range);
    return TRUE;
}

gboolean vireo_http_transfer(VireoHttp *http, VireoHttpTransfer *transfer, const VireoHttpWait *wait,
                             GError **error)
{
    g_autofree char *url = g_strconcat(http->server, transfer->path, NULL);
    g_autofree char *type = g_strdup_printf(
        "Content-Type: %s", transfer->content_type ? transfer->content_type : "application/octet-stream");
    Request request = { .http = http, .wait = wait, .sink = transfer->sink, .source = transfer->source,
                        .opaque = transfer->opaque, .file = TRUE,
                        .part = transfer->offset || transfer->length };
    const char *lines[] = { transfer->source ? type : NULL, NULL };
    curl_off_t size = -1;
    char range[64];

    if (!begin(&request, transfer->path, url, error))
        return FALSE;
    struct curl_slist *headers = header_list(lines);
    CURL *easy = request.lane->easy;
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    gboolean done = set_transfer(easy, transfer, range, sizeof range, error) && run(&request, error);
    guint status = status_of(easy);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
    transfer->answer_size = size;
    lane_give(http, request.lane);
    curl_slist_free_all(headers);
    if (!done || wanted(&request, status))
        return done;
    if (status != 200)
        return refuse_status(&request, status, transfer->path, error);
    g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_STATUS, "%s does not serve parts of files",
                http->server);
    return FALSE;
}
