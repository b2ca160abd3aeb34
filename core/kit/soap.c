/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls, and the session they belong to. */
#include <string.h>

#include "kit/retry.h"
#include "kit/soap-private.h"

#define LOGIN_PAUSE_MS  5000
#define SLICE_MS        100
#define MEMORY_PER_BYTE 8 /* of an answer, once it is structs */
#define MAX_ANSWER      (64u * 1024 * 1024)

struct VireoSoap {
    const VireoSoapService *service;
    VireoHttp *http;
    VireoSoapSession session;
    gboolean has_session;
    void *opaque;
    char *path, *action;
    guint tries;
    gsize max_memory;
    gint64 timeout_ms;
    SoapTape *record, *replay;
    GMutex lock; /* of what follows; never held over a call */
    GCond renewed;
    guint generation; /* counts the sessions */
    gboolean renewing, closed;
    GError *login_error; /* why the last login failed */
    gint64 login_failed; /* when, monotonic microseconds */
};

static gboolean open_tapes(VireoSoap *soap, const VireoSoapOptions *options, GError **error)
{
    if (options->record && !(soap->record = soap_tape_new(soap->service, options->record, FALSE, error)))
        return FALSE;
    return !options->replay || (soap->replay = soap_tape_new(soap->service, options->replay, TRUE, error));
}

VireoSoap *vireo_soap_new(const VireoSoapOptions *options, GError **error)
{
    VireoHttp *http = vireo_http_new(&options->http, error);

    if (!http)
        return NULL;
    VireoSoap *soap = g_new0(VireoSoap, 1);
    soap->service = options->service;
    soap->http = http;
    soap->has_session = options->session != NULL;
    if (options->session)
        soap->session = *options->session;
    if (!soap->session.login_pause_ms)
        soap->session.login_pause_ms = LOGIN_PAUSE_MS;
    soap->opaque = options->opaque;
    soap->tries = options->tries ? options->tries : 1;
    soap->path = g_strdup(options->path ? options->path : "/");
    soap->action = g_strdup_printf("SOAPAction: \"%s\"", soap->service->action);
    soap->max_memory = (options->http.max_answer ? options->http.max_answer : MAX_ANSWER) * MEMORY_PER_BYTE;
    soap->timeout_ms = options->http.timeout_ms ? options->http.timeout_ms : 60000;
    g_mutex_init(&soap->lock);
    g_cond_init(&soap->renewed);
    if (open_tapes(soap, options, error))
        return soap;
    vireo_soap_free(soap);
    return NULL;
}

void vireo_soap_close(VireoSoap *soap)
{
    g_mutex_lock(&soap->lock);
    soap->closed = TRUE;
    g_cond_broadcast(&soap->renewed);
    g_mutex_unlock(&soap->lock);
    vireo_http_close(soap->http);
}

void vireo_soap_free(VireoSoap *soap)
{
    if (!soap)
        return;
    vireo_http_free(soap->http);
    soap_tape_free(soap->record);
    soap_tape_free(soap->replay);
    g_clear_error(&soap->login_error);
    g_mutex_clear(&soap->lock);
    g_cond_clear(&soap->renewed);
    g_free(soap->path);
    g_free(soap->action);
    g_free(soap);
}

VireoHttp *vireo_soap_http(VireoSoap *soap)
{
    return soap->http;
}

/* ---- one request, one answer ----------------------------------------------------- */

typedef struct {
    VireoSoap *soap;
    const VireoSoapOperation *operation;
    const char *body;
    VireoSoapEach each;
    void *opaque;
    VireoArena *arena;
} Call;

typedef struct {
    VireoSoapDecoder *decoder;
    GString *copy; /* NULL: nobody records */
} Answer;

static gboolean on_answer(const void *data, gsize len, void *opaque, GError **error)
{
    Answer *answer = opaque;

    if (answer->copy)
        g_string_append_len(answer->copy, data, (gssize)len);
    return vireo_soap_decoder_feed(answer->decoder, data, len, error);
}

static gboolean ask_tape(const Call *call, Answer *answer, GError **error)
{
    g_autofree char *text = soap_tape_answer(call->soap->replay, call->operation->name, call->body, error);

    return text && on_answer(text, strlen(text), answer, error);
}

/* Servers in front of the service do not speak SOAP. */
static void blame_server(VireoSoap *soap, guint status, GError **error)
{
    if (status != 500 || !error || !g_error_matches(*error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_PROTOCOL))
        return;
    g_clear_error(error);
    g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_STATUS, "%s answers with status 500 and no fault",
                vireo_http_server(soap->http));
}

static gpointer once(const Call *call, const VireoHttpWait *wait, GError **error)
{
    VireoSoap *soap = call->soap;
    const char *headers[] = { "Content-Type: text/xml; charset=utf-8", soap->action, NULL };
    g_autoptr(VireoSoapDecoder) decoder =
        vireo_soap_decoder_new(soap->service, call->operation, call->arena, soap->max_memory, call->each, call->opaque);
    g_autoptr(GString) copy = soap->record ? g_string_new(NULL) : NULL;
    Answer answer = { decoder, copy };
    VireoHttpPost post = { .path = soap->path, .headers = headers, .body = call->body, .len = strlen(call->body),
                           .safe = call->operation->safe, .sink = on_answer, .opaque = &answer };
    GError *failure = NULL;
    gpointer ret = NULL;

    if (soap->replay ? ask_tape(call, &answer, &failure) : vireo_http_post(soap->http, &post, wait, &failure))
        ret = vireo_soap_decoder_finish(decoder, &failure);
    if (copy && copy->len &&
        !soap_tape_record(soap->record, call->operation->name, call->body, post.status, copy->str, copy->len,
                          failure ? NULL : &failure))
        ret = NULL;
    if (failure) {
        blame_server(soap, post.status, &failure);
        g_propagate_error(error, failure);
    }
    return ret;
}

/* ---- the session ----------------------------------------------------------------- */

/* What is left of the caller's time. */
typedef struct {
    VireoHttpWait wait;
    gint64 end;
} Clock;

static Clock clock_start(const VireoSoap *soap, const VireoHttpWait *wait)
{
    Clock clock = { .wait = wait ? *wait : (VireoHttpWait){ 0 } };
    gint64 timeout = clock.wait.timeout_ms ? clock.wait.timeout_ms : soap->timeout_ms;

    clock.end = timeout < 0 ? G_MAXINT64 : g_get_monotonic_time() + timeout * 1000;
    return clock;
}

static const VireoHttpWait *clock_left(Clock *clock)
{
    clock->wait.timeout_ms =
        clock->end == G_MAXINT64 ? -1 : MAX(1, (clock->end - g_get_monotonic_time()) / 1000);
    return &clock->wait;
}

static gboolean out_of_time(VireoSoap *soap, const Clock *clock, GError **error)
{
    const VireoHttpWait *wait = &clock->wait;
    gboolean cancelled = (wait->cancelled && wait->cancelled(wait->opaque)) ||
                         g_cancellable_is_cancelled(wait->cancellable);

    if (!cancelled && g_get_monotonic_time() < clock->end)
        return FALSE;
    g_set_error(error, VIREO_HTTP_ERROR, cancelled ? VIREO_HTTP_ERROR_CANCELLED : VIREO_HTTP_ERROR_TIMEOUT,
                cancelled ? "the request to %s was cancelled" : "no session with %s was made in time",
                vireo_http_server(soap->http));
    return TRUE;
}

/* Waits while another thread makes a session. TRUE: it is this one's to make. */
static gboolean my_turn(VireoSoap *soap, guint seen, Clock *clock, GError **error)
{
    while (soap->renewing && soap->generation == seen && !soap->closed) {
        g_cond_wait_until(&soap->renewed, &soap->lock, g_get_monotonic_time() + SLICE_MS * 1000);
        g_mutex_unlock(&soap->lock);
        gboolean stop = out_of_time(soap, clock, error);
        g_mutex_lock(&soap->lock);
        if (stop)
            return FALSE;
    }
    if (soap->generation != seen)
        return FALSE;
    if (soap->closed) {
        g_set_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_CANCELLED, "the connection to %s is closed",
                    vireo_http_server(soap->http));
        return FALSE;
    }
    if (soap->login_error && g_get_monotonic_time() - soap->login_failed < soap->session.login_pause_ms * 1000LL) {
        g_propagate_error(error, g_error_copy(soap->login_error));
        return FALSE;
    }
    return soap->renewing = TRUE;
}

/* One caller's impatience is nobody else's failure. */
static gboolean worth_keeping(const GError *error)
{
    return !g_error_matches(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_CANCELLED) &&
           !g_error_matches(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_TIMEOUT);
}

/* A session newer than the one that was seen ended. */
static gboolean renew(VireoSoap *soap, guint seen, Clock *clock, GError **error)
{
    g_autoptr(GError) failure = NULL;

    g_mutex_lock(&soap->lock);
    gboolean mine = my_turn(soap, seen, clock, &failure);
    g_mutex_unlock(&soap->lock);
    if (mine) {
        vireo_http_forget(soap->http);
        gboolean done = soap->session.login(soap, clock_left(clock), soap->opaque, &failure);

        if (!done && !failure)
            g_set_error(&failure, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_PROTOCOL, "no session with %s could be made",
                        vireo_http_server(soap->http));
        g_mutex_lock(&soap->lock);
        soap->renewing = FALSE;
        soap->generation += done ? 1 : 0;
        g_clear_error(&soap->login_error);
        if (!done && worth_keeping(failure))
            soap->login_error = g_error_copy(failure);
        soap->login_failed = g_get_monotonic_time();
        g_cond_broadcast(&soap->renewed);
        g_mutex_unlock(&soap->lock);
    }
    gboolean renewed = !failure;
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return renewed;
}

static guint current_session(VireoSoap *soap)
{
    g_mutex_lock(&soap->lock);
    guint generation = soap->generation;
    g_mutex_unlock(&soap->lock);
    return generation;
}

gboolean vireo_soap_login(VireoSoap *soap, const VireoHttpWait *wait, GError **error)
{
    Clock clock = clock_start(soap, wait);

    return !soap->has_session || renew(soap, current_session(soap), &clock, error);
}

/* ---- calls ------------------------------------------------------------------------ */

static gboolean connection_failed(const GError *error)
{
    return g_error_matches(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_CONNECT) ||
           g_error_matches(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_CLOSED);
}

/* A server that is just being restarted is asked again, when that can do no harm. */
static gpointer attempt(const Call *call, Clock *clock, GError **error)
{
    gint64 left = clock_left(clock)->timeout_ms;
    VireoRetry retry = { .tries = call->operation->safe && !call->each ? call->soap->tries : 1,
                         .deadline_ms = left < 0 ? 0 : (guint)MIN(left, G_MAXUINT),
                         .cancelled = clock->wait.cancelled, .opaque = clock->wait.opaque };
    g_autoptr(GError) failure = NULL;
    gpointer ret = NULL;

    do {
        g_clear_error(&failure);
        ret = once(call, clock_left(clock), &failure);
    } while (!ret && connection_failed(failure) && vireo_retry_again(&retry));
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return ret;
}

static gpointer run(const Call *call, gboolean with_session, const VireoHttpWait *wait, GError **error)
{
    VireoSoap *soap = call->soap;
    Clock clock = clock_start(soap, wait);
    guint session = current_session(soap);
    g_autoptr(GError) failure = NULL;
    gpointer ret = attempt(call, &clock, &failure);

    if (!ret && with_session && soap->has_session && soap->session.expired(failure, soap->opaque)) {
        g_clear_error(&failure);
        if (renew(soap, session, &clock, &failure))
            ret = attempt(call, &clock, &failure);
    }
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return ret;
}

static gpointer call_with(VireoSoap *soap, const VireoSoapOperation *operation, gconstpointer args,
                          const VireoHttpWait *wait, VireoSoapEach each, void *opaque, VireoArena *arena,
                          gboolean with_session, GError **error)
{
    g_autofree char *body = vireo_soap_encode(soap->service, operation, args, error);
    Call call = { soap, operation, body, each, opaque, arena };

    if (!body)
        return NULL;
    gpointer ret = run(&call, with_session, wait, error);
    explicit_bzero(body, strlen(body)); /* it may hold a password */
    return ret;
}

gpointer vireo_soap_call(VireoSoap *soap, const VireoSoapOperation *operation, gconstpointer args,
                         const VireoHttpWait *wait, VireoArena *arena, GError **error)
{
    return call_with(soap, operation, args, wait, NULL, NULL, arena, TRUE, error);
}

gpointer vireo_soap_call_plain(VireoSoap *soap, const VireoSoapOperation *operation, gconstpointer args,
                               const VireoHttpWait *wait, VireoArena *arena, GError **error)
{
    return call_with(soap, operation, args, wait, NULL, NULL, arena, FALSE, error);
}

gpointer vireo_soap_call_each(VireoSoap *soap, const VireoSoapOperation *operation, gconstpointer args,
                              const VireoHttpWait *wait, VireoSoapEach each, void *opaque, VireoArena *arena,
                              GError **error)
{
    return call_with(soap, operation, args, wait, each, opaque, arena, TRUE, error);
}
