/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A few threads receive on a channel, and whichever gets a call carries it out: no hand-over
 * between threads. One of them always keeps receiving, so that a call which blocks holds back
 * nobody; when there are no more to be had, calls go to the workers instead.
 */
#include "far/serve.h"

#include <string.h>
#include <unistd.h>

#include "ops/codec.h"
#include "util/error.h"

#define RECEIVERS_MAX   8
#define RECEIVERS_SPARE 3  /* as many stay when there is nothing to do */
#define EARLY_MAX       16 /* cancellations that overtook their calls */

typedef struct {
    gint refs;
    VireoFarServer *server;
    VireoRouter *router;
    VireoFarChannel *channel;
    VireoFarServed served;
    gpointer opaque;
    GMutex lock;       /* what follows */
    GHashTable *conns; /* number -> Conn */
    GHashTable *calls; /* serial -> vireo_call */
    guint32 early[EARLY_MAX];
    guint last_early;
    guint receivers, receiving; /* threads; those that wait for a message */
    gboolean ended;
} Service;

/* A connection that the near end opened. */
typedef struct {
    gint refs;
    VireoConn *conn;
    VireoArena *arena; /* of what follows */
    const VireoFarOpen *asked;
} Conn;

/* One OPEN or CALL on its way; lives in the arena of its call, or in its own. */
typedef struct {
    Service *service;
    VireoArena *arena; /* OPEN only */
    VireoFarOpen open;
    Conn *conn; /* CALL only */
    guint32 serial;
    int fds[VIREO_FAR_FDS_MAX];
} Request;

static void service_unref(Service *service)
{
    if (!g_atomic_int_dec_and_test(&service->refs))
        return;
    g_hash_table_unref(service->conns);
    g_hash_table_unref(service->calls);
    vireo_far_channel_unref(service->channel);
    g_mutex_clear(&service->lock);
    g_free(service);
}

static void conn_unref(gpointer data)
{
    Conn *conn = data;

    if (!g_atomic_int_dec_and_test(&conn->refs))
        return;
    vireo_conn_unref(conn->conn);
    vireo_arena_free(conn->arena);
}

static const char *identity_of(gconstpointer opaque, const char *what)
{
    const VireoFarOpen *asked = opaque;

    for (guint i = 0; i < asked->identity.len; i++)
        if (strcmp(asked->identity.val[i].name, what) == 0)
            return asked->identity.val[i].value;
    return NULL;
}

/* The near end does not keep to the rules, or is of another kind. */
static void cut(Service *service, const char *why)
{
    g_log("vireo", G_LOG_LEVEL_WARNING, "a near end is cut off: %s", why);
    vireo_far_channel_cut(service->channel);
}

/* ---- replies ---- */

static void reply(Service *service, guint32 serial, const VireoFarReply *head,
                  const VireoWireType *type, gconstpointer what, const int *fds, guint n_fds)
{
    g_autoptr(GByteArray) body = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    if (vireo_wire_encode(&vireo_far_type_reply, head, body, &error) &&
        (!type || vireo_wire_encode(type, what, body, &error)) && body->len <= VIREO_FAR_BODY_MAX) {
        vireo_far_channel_send(service->channel, VIREO_FAR_REPLY, serial, 0, body, fds, n_fds);
        return;
    }
    vireo_far_channel_tell(
        service->channel, VIREO_FAR_REPLY, serial, 0, &vireo_far_type_reply,
        &(VireoFarReply){.status = VIREO_FAIL,
                         .code = VIREO_ERR_INTERNAL_ERROR,
                         .message = error ? error->message : "the result is too large"});
}

static void refuse(Service *service, guint32 serial, int code, const char *message)
{
    g_autofree char *text =
        g_utf8_make_valid(message, (gssize)MIN(strlen(message), VIREO_FAR_TEXT_MAX / 4));
    VireoFarReply head = {
        .status = VIREO_FAIL, .code = code ? code : VIREO_ERR_INTERNAL_ERROR, .message = text};

    reply(service, serial, &head, NULL, NULL, NULL, 0);
}

static void reply_success(const Request *request, const vireo_call *call)
{
    VireoFarReply head = {.status = VIREO_OK};
    int fds[VIREO_FAR_FDS_MAX];
    guint n = call->reply_fds ? call->reply_fds->len : 0;

    if (n >= VIREO_FAR_FDS_MAX) {
        refuse(request->service, request->serial, VIREO_ERR_INTERNAL_ERROR,
               "too many descriptors in the reply");
        return;
    }
    if (n)
        memcpy(fds, call->reply_fds->data, n * sizeof *fds);
    if (call->stream_fd != -1) {
        head.how = call->stream_how;
        head.offset = call->stream_offset;
        head.length = call->stream_length;
        fds[n++] = call->stream_fd;
    }
    reply(request->service, request->serial, &head, call->op->ret, call->ret, fds, n);
}

static void finished(vireo_call *call, int status, gpointer opaque)
{
    const Request *request = opaque;
    Service *service = request->service;
    Conn *conn = request->conn;

    if (status == VIREO_OK)
        reply_success(request, call);
    else
        refuse(service, request->serial, call->error_code,
               call->error_message ? call->error_message : "no reason was given");
    g_mutex_lock(&service->lock);
    g_hash_table_remove(service->calls, GUINT_TO_POINTER(request->serial));
    g_mutex_unlock(&service->lock);
    for (guint i = 0; i < call->n_fds; i++)
        close(call->fds[i]);
    vireo_call_unref(call);
    conn_unref(conn);
    service_unref(service);
}

static void progress(vireo_call *call, guint64 done, guint64 total, const char *what)
{
    const Request *request = call->on_progress_opaque;
    VireoFarProgress told = {done, total, (char *)what};

    vireo_far_channel_tell(request->service->channel, VIREO_FAR_PROGRESS, request->serial, 0,
                           &vireo_far_type_progress, &told);
}

/* ---- connections ---- */

static void open_conn(gpointer opaque)
{
    Request *request = opaque;
    Service *service = request->service;
    VireoConnCaller caller = {request->open.readonly != 0, identity_of, &request->open};
    g_autoptr(GError) error = NULL;
    VireoConn *opened = vireo_conn_open(service->router, request->open.uri, &caller, &error);
    VireoFarOpened told = {0};
    g_autofree char *uri = opened ? g_strdup(vireo_conn_uri(opened)) : NULL;
    guint32 serial = request->serial;
    gboolean ended;
    Conn *conn;

    if (!opened) {
        refuse(service, request->serial, error->code, error->message);
        vireo_arena_free(request->arena);
        service_unref(service);
        return;
    }
    conn = vireo_arena_alloc(request->arena, sizeof *conn);
    *conn = (Conn){1, opened, request->arena, &request->open};
    told.space = vireo_far_server_space(service->server, vireo_conn_space(opened));
    told.uri = uri;
    g_mutex_lock(&service->lock);
    ended = service->ended;
    if (!ended && g_hash_table_replace(service->conns, GUINT_TO_POINTER(request->open.conn), conn))
        vireo_far_server_count(service->server, 1);
    g_mutex_unlock(&service->lock);
    if (ended)
        conn_unref(conn);
    else
        reply(service, serial, &(VireoFarReply){.status = VIREO_OK}, &vireo_far_type_opened, &told,
              NULL, 0);
    service_unref(service);
}

static void on_open(Service *service, const VireoFarMessage *message, gboolean may_block)
{
    VireoArena *arena = vireo_arena_new();
    Request *request = vireo_arena_alloc(arena, sizeof *request);
    g_autoptr(GError) error = NULL;

    if (!vireo_far_message_read(message, &vireo_far_type_open, arena, &request->open, NULL,
                                &error)) {
        cut(service, error->message);
        vireo_arena_free(arena);
        return;
    }
    g_atomic_int_inc(&service->refs);
    request->service = service;
    request->arena = arena;
    request->serial = message->serial;
    if (may_block)
        open_conn(request);
    else
        vireo_workers_push(vireo_host_workers(vireo_router_host(service->router)), TRUE, open_conn,
                           request);
}

static void on_close(Service *service, guint32 number)
{
    Conn *conn;

    g_mutex_lock(&service->lock);
    conn = g_hash_table_lookup(service->conns, GUINT_TO_POINTER(number));
    if (conn)
        g_hash_table_steal(service->conns, GUINT_TO_POINTER(number));
    g_mutex_unlock(&service->lock);
    if (!conn)
        return;
    vireo_far_server_count(service->server, -1);
    conn_unref(conn);
}

/* ---- calls ---- */

/* With the lock held. */
static gboolean was_cancelled(Service *service, guint32 serial)
{
    for (guint i = 0; i < EARLY_MAX; i++)
        if (service->early[i] == serial) {
            service->early[i] = 0;
            return TRUE;
        }
    return FALSE;
}

static gboolean begin(Service *service, Request *request, guint32 number, vireo_call *call)
{
    gboolean twice;

    g_mutex_lock(&service->lock);
    request->conn = g_hash_table_lookup(service->conns, GUINT_TO_POINTER(number));
    if (request->conn)
        g_atomic_int_inc(&request->conn->refs);
    twice = g_hash_table_contains(service->calls, GUINT_TO_POINTER(request->serial));
    if (request->conn && !twice) {
        g_hash_table_insert(service->calls, GUINT_TO_POINTER(request->serial), call);
        call->cancelled = was_cancelled(service, request->serial);
    }
    g_mutex_unlock(&service->lock);
    if (twice && request->conn)
        conn_unref(request->conn);
    return request->conn && !twice;
}

static gboolean decode_call(const VireoFarMessage *message, VireoFarCall *head, vireo_call *call,
                            GError **error)
{
    const VireoWireType *type = call->op->args;
    gsize used, more = 0;

    call->args = type ? vireo_arena_alloc(call->arena, type->size) : NULL;
    if (!vireo_far_message_read(message, &vireo_far_type_call, call->arena, head, &used, error) ||
        !vireo_wire_decode(type, message->body + used, message->size - used, call->arena,
                           call->args, &more, error))
        return FALSE;
    if (used + more == message->size)
        return TRUE;
    g_set_error_literal(error, VIREO_ERROR, VIREO_ERR_RPC, "a call is too long");
    return FALSE;
}

static void on_call(Service *service, VireoFarMessage *message, gboolean may_block)
{
    const VireoOp *op = vireo_op_by_id(message->id);
    g_autoptr(GError) error = NULL;
    VireoFarCall head;
    vireo_call *call;
    Request *request;

    if (!op || op->kind != VIREO_OP_CALL || op->id == VIREO_OP_conn_open ||
        op->id == VIREO_OP_conn_close) {
        refuse(service, message->serial, VIREO_ERR_NO_SUPPORT,
               "the far end does not know the operation");
        return;
    }
    call = vireo_call_new(op, vireo_arena_new(), NULL);
    request = vireo_arena_alloc(call->arena, sizeof *request);
    request->service = service;
    request->serial = message->serial;
    if (!decode_call(message, &head, call, &error)) {
        cut(service, error->message);
        vireo_call_unref(call);
        return;
    }
    if (!begin(service, request, head.conn, call)) {
        refuse(service, message->serial, VIREO_ERR_INTERNAL_ERROR,
               "the far end does not know the connection");
        vireo_call_unref(call);
        return;
    }
    g_atomic_int_inc(&service->refs);
    memcpy(request->fds, message->fds, message->n_fds * sizeof(int));
    call->fds = request->fds;
    call->n_fds = message->n_fds;
    message->n_fds = 0;
    call->identity_get = identity_of;
    call->identity = request->conn->asked;
    call->deadline =
        head.timeout_us ? g_get_monotonic_time() + (gint64)MIN(head.timeout_us, G_MAXINT64 / 2) : 0;
    call->relayed = TRUE;
    call->may_block = may_block;
    call->on_progress = progress;
    call->on_progress_opaque = request;
    call->done = finished;
    call->opaque = request;
    vireo_router_call(request->conn->conn, vireo_call_ref(call));
}

static void on_cancel(Service *service, guint32 serial)
{
    vireo_call *call;

    g_mutex_lock(&service->lock);
    call = g_hash_table_lookup(service->calls, GUINT_TO_POINTER(serial));
    if (call)
        vireo_call_ref(call);
    else
        service->early[service->last_early++ % EARLY_MAX] = serial;
    g_mutex_unlock(&service->lock);
    if (!call)
        return;
    vireo_call_cancel(call);
    vireo_call_unref(call);
}

/* ---- receiving ---- */

static gpointer receive(gpointer opaque);

static void start_receiver(Service *service)
{
    g_atomic_int_inc(&service->refs);
    g_thread_unref(g_thread_new("far", receive, service));
}

/* This thread may be away for a while; FALSE when it must not, as nobody would receive. */
static gboolean step_back(Service *service)
{
    gboolean start = FALSE, last;

    g_mutex_lock(&service->lock);
    last = --service->receiving == 0;
    if (last && service->receivers < RECEIVERS_MAX) {
        service->receivers++;
        service->receiving++;
        start = TRUE;
    }
    g_mutex_unlock(&service->lock);
    if (start)
        start_receiver(service);
    return start || !last;
}

/* FALSE when there are enough without this thread. */
static gboolean step_in(Service *service)
{
    gboolean wanted;

    g_mutex_lock(&service->lock);
    wanted = service->receiving < RECEIVERS_SPARE;
    service->receiving += wanted;
    g_mutex_unlock(&service->lock);
    return wanted;
}

static gboolean handle(Service *service, VireoFarMessage *message)
{
    gboolean may_block;

    switch (message->kind) {
    case VIREO_FAR_OPEN:
    case VIREO_FAR_CALL:
        may_block = step_back(service);
        if (message->kind == VIREO_FAR_OPEN)
            on_open(service, message, may_block);
        else
            on_call(service, message, may_block);
        return step_in(service);
    case VIREO_FAR_CLOSE:
        on_close(service, message->id);
        return TRUE;
    case VIREO_FAR_CANCEL:
        on_cancel(service, message->serial);
        return TRUE;
    case VIREO_FAR_PING:
        vireo_far_channel_send(service->channel, VIREO_FAR_PONG, message->serial, 0, NULL, NULL, 0);
        return TRUE;
    default:
        cut(service, "its message is of no kind that a far end takes");
        return TRUE;
    }
}

/* Nobody asks any more; what is under way is told to give up. */
static void end(Service *service)
{
    g_autoptr(GHashTable) conns = NULL;
    g_autoptr(GPtrArray) calls = g_ptr_array_new_with_free_func((GDestroyNotify)vireo_call_unref);
    GHashTableIter iter;
    gpointer call;

    g_mutex_lock(&service->lock);
    if (service->ended) {
        g_mutex_unlock(&service->lock);
        return;
    }
    service->ended = TRUE;
    conns = g_steal_pointer(&service->conns);
    service->conns = g_hash_table_new(NULL, NULL);
    vireo_far_server_count(service->server, -(int)g_hash_table_size(conns));
    g_hash_table_iter_init(&iter, service->calls);
    while (g_hash_table_iter_next(&iter, NULL, &call))
        g_ptr_array_add(calls, vireo_call_ref(call));
    g_mutex_unlock(&service->lock);
    for (guint i = 0; i < calls->len; i++)
        vireo_call_cancel(calls->pdata[i]);
    vireo_far_channel_cut(service->channel);
    service->served(service->channel, FALSE, service->opaque);
}

static gpointer receive(gpointer opaque)
{
    Service *service = opaque;
    g_auto(VireoFarMessage) message = {0};
    g_autoptr(GError) error = NULL;
    gboolean in = TRUE, last;

    while (in && vireo_far_channel_receive(service->channel, &message, &error))
        in = handle(service, &message);
    if (error)
        cut(service, error->message);
    if (in)
        end(service);
    g_mutex_lock(&service->lock);
    service->receiving -= in;
    last = --service->receivers == 0;
    g_mutex_unlock(&service->lock);
    if (last)
        service->served(service->channel, TRUE, service->opaque);
    service_unref(service);
    return NULL;
}

void vireo_far_serve(VireoFarServer *server, VireoRouter *router, VireoFarChannel *channel,
                     VireoFarServed served, gpointer opaque)
{
    Service *service = g_new0(Service, 1);

    service->refs = 1;
    service->server = server;
    service->router = router;
    service->channel = vireo_far_channel_ref(channel);
    service->served = served;
    service->opaque = opaque;
    g_mutex_init(&service->lock);
    service->conns = g_hash_table_new_full(NULL, NULL, NULL, conn_unref);
    service->calls = g_hash_table_new(NULL, NULL);
    service->receivers = service->receiving = 2;
    start_receiver(service);
    start_receiver(service);
    service_unref(service);
}
