/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The near end: what comes in. A far end that breaks the rules is cut off, with words for what it
 * did. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "far/near.h"
#include "ops/codec.h"

#define LOG_LINES   500 /* that are passed on in LOG_SECONDS; of more only the number */
#define LOG_SECONDS 10
#define STREAM_HOW  (VIREO_STREAM_FROM_FD | VIREO_STREAM_TO_FD | VIREO_STREAM_SPARSE | VIREO_STREAM_CONFIRM)

/* What one channel needs while it lasts. */
typedef struct {
    VireoFarClient *client;
    VireoFarChannel *channel;
    gboolean greeted, synced;
    char *goodbye;
    guint stage;
    gint64 log_since;
    guint log_lines;
} Listening;

VireoFarPending *vireo_far_client_take(VireoFarClient *client, guint32 serial)
{
    VireoFarPending *pending;

    g_mutex_lock(&client->lock);
    pending = g_hash_table_lookup(client->pending, GUINT_TO_POINTER(serial));
    if (pending) {
        g_hash_table_remove(client->pending, GUINT_TO_POINTER(serial));
        pending->serial = 0;
    }
    g_mutex_unlock(&client->lock);
    return pending;
}

static void end_call(VireoFarClient *client, vireo_call *call, int code, const char *why)
{
    vireo_call_fail(call, code, "%s", why);
    vireo_call_finish(call, VIREO_FAIL);
}

/* ---- connections ---- */

static void fail_waiting(VireoFarConn *conn, int code, const char *why)
{
    VireoFarClient *client = conn->client;
    VireoFarPending *pending;

    for (;;) {
        g_mutex_lock(&client->lock);
        pending = g_queue_pop_head(&conn->waiting);
        g_mutex_unlock(&client->lock);
        if (!pending)
            return;
        g_clear_pointer(&pending->body, g_byte_array_unref);
        end_call(client, pending->call, code, why);
    }
}

static void opened_first(VireoFarConn *conn, vireo_call *call, const VireoFarOpened *told)
{
    VireoFarClient *client = conn->client;
    vireo_conn_open_ret *ret = call->ret;

    g_mutex_lock(&client->lock);
    conn->state = VIREO_FAR_CONN_OPEN;
    g_hash_table_add(client->conns, conn);
    g_mutex_unlock(&client->lock);
    ret->conn = conn;
    ret->space = conn->space;
    ret->uri = vireo_arena_strdup(call->arena, told->uri);
    vireo_call_finish(call, VIREO_OK);
}

static void opened_again(Listening *listening, VireoFarConn *conn, int code, const char *why)
{
    VireoFarClient *client = conn->client;
    gboolean unwanted;

    g_mutex_lock(&client->lock);
    unwanted = conn->unwanted;
    conn->state = why ? VIREO_FAR_CONN_CLOSED : VIREO_FAR_CONN_OPEN;
    g_mutex_unlock(&client->lock);
    vireo_far_mirror_settle(client->mirror, conn->space, !why);
    if (why) {
        g_log("vireo", G_LOG_LEVEL_WARNING,
              "driver '%s': a connection could not be opened again: %s",
              vireo_core_name(client->core), why);
        fail_waiting(conn, code, why);
    } else if (!unwanted) {
        vireo_far_conn_flush(conn);
    } else {
        vireo_far_channel_send(listening->channel, VIREO_FAR_CLOSE, 0, conn->number, NULL, NULL, 0);
    }
    if (unwanted)
        vireo_far_conn_free(conn);
}

static gboolean answer_open(Listening *listening, VireoFarPending *pending,
                            const VireoFarReply *head, const VireoFarMessage *rest, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VireoFarConn *conn = pending->conn;
    VireoFarOpened told = {0};
    vireo_space *space = NULL;
    gboolean good = head->status == VIREO_OK;

    if (good && !vireo_far_message_read(rest, &vireo_far_type_opened, arena, &told, NULL, error))
        good = FALSE;
    space = vireo_far_mirror_space(listening->client->mirror, told.space);
    if (good && told.space && !space)
        good = vireo_far_refuse(error, "opens a connection in space %u, which it has not named", told.space);
    if (*error || !good) {
        const char *why = *error          ? (*error)->message
                          : head->message ? head->message
                                          : "no reason was given";
        int code = *error ? VIREO_ERR_INTERNAL_ERROR : head->code;

        if (!pending->call) {
            opened_again(listening, conn, code, why);
        } else {
            vireo_call *call = pending->call;

            vireo_far_conn_free(conn);
            end_call(listening->client, call, code, why);
        }
        return !*error;
    }
    if (pending->call) {
        conn->space = space;
        opened_first(conn, pending->call, &told);
    } else {
        opened_again(listening, conn, VIREO_ERR_OPERATION_FAILED,
                     space == conn->space ? NULL : "it shows other objects than before");
    }
    return TRUE;
}

/* ---- calls ---- */

/* What a client's stream may be joined with. */
static gboolean can_stream(int fd)
{
    struct stat about;

    return fstat(fd, &about) == 0 &&
           (S_ISREG(about.st_mode) || S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode) ||
            S_ISCHR(about.st_mode) || S_ISBLK(about.st_mode));
}

static gboolean take_stream(vireo_call *call, const VireoFarReply *head, VireoFarMessage *message,
                            GError **error)
{
    int fd = message->n_fds ? message->fds[message->n_fds - 1] : -1;

    if (call->op->stream == VIREO_STREAM_NONE || head->how & ~STREAM_HOW || fd < 0 ||
        !can_stream(fd))
        return vireo_far_refuse(error, "answers %s with a stream that is none", call->op->name);
    message->n_fds--;
    call->stream_fd = fd;
    call->stream_how = head->how;
    call->stream_offset = head->offset;
    call->stream_length = head->length;
    return TRUE;
}

static gboolean take_result(vireo_call *call, const VireoFarReply *head, VireoFarMessage *message,
                            gsize at, GError **error)
{
    const VireoWireType *type = call->op->ret;
    gsize used = 0;

    if (!vireo_wire_decode(type, message->body + at, message->size - at, call->arena, call->ret,
                           &used, error))
        return FALSE;
    if (at + used != message->size)
        return vireo_far_refuse(error, "answers %s with more than its result", call->op->name);
    if (head->how && !take_stream(call, head, message, error))
        return FALSE;
    if (message->n_fds && call->op->fds != VIREO_FDS_OUT)
        return vireo_far_refuse(error, "answers %s with descriptors", call->op->name);
    for (guint i = 0; i < message->n_fds; i++)
        vireo_host_services.reply_fd(call, message->fds[i]);
    message->n_fds = 0;
    return TRUE;
}

static gboolean answer_call(VireoFarPending *pending, const VireoFarReply *head,
                            VireoFarMessage *message, gsize at, GError **error)
{
    vireo_call *call = pending->call;
    VireoFarClient *client = pending->conn->client;

    if (head->status == VIREO_OK && take_result(call, head, message, at, error)) {
        vireo_call_finish(call, VIREO_OK);
    } else if (*error) {
        g_autofree char *why =
            g_strdup_printf("driver '%s': it %s", vireo_core_name(client->core), (*error)->message);

        end_call(client, call, VIREO_ERR_INTERNAL_ERROR, why);
    } else {
        end_call(client, call, head->code, head->message ? head->message : "no reason was given");
    }
    return !*error;
}

static gboolean on_reply(Listening *listening, VireoFarMessage *message, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VireoFarMessage rest = *message;
    VireoFarReply head;
    VireoFarPending *pending;
    gsize at;

    if (!vireo_far_message_read(message, &vireo_far_type_reply, arena, &head, &at, error))
        return FALSE;
    if (head.status != VIREO_OK && head.status != VIREO_FAIL)
        return vireo_far_refuse(error, "answers with status %d", head.status);
    pending = vireo_far_client_take(listening->client, message->serial);
    if (!pending)
        return vireo_far_refuse(error, "answers call %u, which waits for no answer", message->serial);
    if (!pending->opens)
        return answer_call(pending, &head, message, at, error);
    rest.body += at;
    rest.size -= at;
    return answer_open(listening, pending, &head, &rest, error);
}

static gboolean on_progress(Listening *listening, const VireoFarMessage *message, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VireoFarClient *client = listening->client;
    VireoFarPending *pending;
    VireoFarProgress told;
    vireo_call *call = NULL;

    if (!vireo_far_message_read(message, &vireo_far_type_progress, arena, &told, NULL, error))
        return FALSE;
    g_mutex_lock(&client->lock);
    pending = g_hash_table_lookup(client->pending, GUINT_TO_POINTER(message->serial));
    if (pending && pending->call)
        call = vireo_call_ref(pending->call);
    g_mutex_unlock(&client->lock);
    if (!call)
        return TRUE; /* it has just been answered */
    vireo_host_services.progress(call, told.done, told.total, told.what);
    vireo_call_unref(call);
    return TRUE;
}

/* ---- the rest ---- */

static gboolean on_log(Listening *listening, const VireoFarMessage *message, GError **error)
{
    static const GLogLevelFlags levels[] = {G_LOG_LEVEL_DEBUG, G_LOG_LEVEL_INFO,
                                            G_LOG_LEVEL_WARNING, G_LOG_LEVEL_WARNING};
    g_autoptr(VireoArena) arena = vireo_arena_new();
    gint64 now = g_get_monotonic_time();
    VireoFarLog told;

    if (!vireo_far_message_read(message, &vireo_far_type_log, arena, &told, NULL, error))
        return FALSE;
    if (now - listening->log_since > LOG_SECONDS * G_USEC_PER_SEC) {
        if (listening->log_lines > LOG_LINES)
            g_log("vireo", G_LOG_LEVEL_WARNING, "%s: %u lines were left out",
                  vireo_core_name(listening->client->core), listening->log_lines - LOG_LINES);
        listening->log_since = now;
        listening->log_lines = 0;
    }
    if (++listening->log_lines <= LOG_LINES)
        g_log("vireo", levels[CLAMP(told.prio, 0, 3)], "%s", told.text);
    return TRUE;
}

static gboolean on_hello(Listening *listening, const VireoFarMessage *message, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VireoFarClient *client = listening->client;
    VireoFarHello hello;

    if (listening->greeted)
        return vireo_far_refuse(error, "says hello twice");
    if (message->kind != VIREO_FAR_HELLO)
        return vireo_far_refuse(error, "begins with %s instead of HELLO", vireo_far_kind_name(message->kind));
    if (!vireo_far_message_read(message, &vireo_far_type_hello, arena, &hello, NULL, error))
        return FALSE;
    if (hello.protocol != VIREO_FAR_PROTOCOL)
        return vireo_far_refuse(error, "is of version %s and speaks protocol %u; this daemon speaks %u",
                                hello.core, hello.protocol, VIREO_FAR_PROTOCOL);
    if (hello.threads > VIREO_PARALLEL)
        return vireo_far_refuse(error, "has thread model %u, which is unknown", hello.threads);
    listening->greeted = TRUE;
    vireo_far_mirror_begin(client->mirror);
    return client->handler->hello(client, &hello, client->opaque, error);
}

static gboolean on_sync_end(Listening *listening, GError **error)
{
    VireoFarClient *client = listening->client;

    if (listening->synced)
        return vireo_far_refuse(error, "ends its beginning twice");
    listening->synced = TRUE;
    vireo_far_client_reopen(client);
    vireo_far_mirror_end(client->mirror);
    client->handler->ready(client, client->opaque);
    return TRUE;
}

static gboolean on_goodbye(Listening *listening, const VireoFarMessage *message, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VireoFarGoodbye told;

    if (!vireo_far_message_read(message, &vireo_far_type_goodbye, arena, &told, NULL, error))
        return FALSE;
    g_free(listening->goodbye);
    listening->goodbye = g_strdup(told.reason);
    listening->stage = told.stage;
    return TRUE;
}

static gboolean handle(Listening *listening, VireoFarMessage *message, GError **error)
{
    VireoFarClient *client = listening->client;

    if (!listening->greeted && message->kind != VIREO_FAR_LOG && message->kind != VIREO_FAR_GOODBYE)
        return on_hello(listening, message, error);
    switch (message->kind) {
    case VIREO_FAR_HELLO:
        return on_hello(listening, message, error);
    case VIREO_FAR_SYNC_BEGIN:
        return TRUE;
    case VIREO_FAR_SYNC_END:
        return on_sync_end(listening, error);
    case VIREO_FAR_SPACE:
    case VIREO_FAR_PUBLISH:
    case VIREO_FAR_WITHDRAW:
    case VIREO_FAR_TREE:
    case VIREO_FAR_NODE:
    case VIREO_FAR_NODE_WITHDRAW:
    case VIREO_FAR_EVENT:
        return vireo_far_mirror_take(client->mirror, message, error);
    case VIREO_FAR_REPLY:
        return on_reply(listening, message, error);
    case VIREO_FAR_PROGRESS:
        return on_progress(listening, message, error);
    case VIREO_FAR_PONG:
        g_atomic_int_set(&client->ponged, (gint)message->serial);
        return TRUE;
    case VIREO_FAR_LOG:
        return on_log(listening, message, error);
    case VIREO_FAR_GOODBYE:
        return on_goodbye(listening, message, error);
    default:
        return vireo_far_refuse(error, "sends a message of kind %u, which there is not", message->kind);
    }
}

/* ---- the end of a channel ---- */

static gint by_serial(gconstpointer a, gconstpointer b)
{
    guint32 left = (*(VireoFarPending *const *)a)->serial,
            right = (*(VireoFarPending *const *)b)->serial;

    return left < right ? -1 : left > right;
}

/* "domain-create of 'vm1'" */
static char *describe(const vireo_call *call)
{
    g_autofree char *name = g_strdelimit(g_strdup(call->op->name), "_", '-');
    const VireoWireType *ref =
        call->op->object != VIREO_CLASS_NONE ? call->op->args->fields[0].type : NULL;
    const VireoWireField *field = ref ? vireo_wire_field(ref, "name") : NULL;
    const char *object = NULL;

    if (field && field->kind == VIREO_WIRE_STRING && field->form == VIREO_WIRE_ONE)
        object =
            *(char *const *)((const char *)call->args + call->op->object_offset + field->offset);
    return object ? g_strdup_printf("%s of '%s'", name, object) : g_steal_pointer(&name);
}

static char *describe_all(const GPtrArray *orphans)
{
    g_autofree char *first = NULL;
    guint n = 0;

    for (guint i = 0; i < orphans->len; i++) {
        const VireoFarPending *pending = orphans->pdata[i];

        if (pending->call && !pending->body && n++ == 0)
            first = describe(pending->call);
    }
    if (n < 2)
        return n ? g_strdup_printf("during %s", first) : NULL;
    return g_strdup_printf("during %s and %u other call%s", first, n - 1, n > 2 ? "s" : "");
}

/* Takes the channel away from the client; what waited for it. */
static GPtrArray *let_go(VireoFarClient *client)
{
    GPtrArray *orphans = g_ptr_array_new();
    GHashTableIter iter;
    gpointer at;

    g_mutex_lock(&client->lock);
    g_clear_pointer(&client->channel, vireo_far_channel_unref);
    client->ready = FALSE;
    g_hash_table_iter_init(&iter, client->pending);
    while (g_hash_table_iter_next(&iter, NULL, &at))
        g_ptr_array_add(orphans, at);
    g_ptr_array_sort(orphans, by_serial);
    for (guint i = 0; i < orphans->len; i++)
        ((VireoFarPending *)orphans->pdata[i])->serial = 0;
    g_hash_table_remove_all(client->pending);
    g_hash_table_iter_init(&iter, client->conns);
    while (g_hash_table_iter_next(&iter, &at, NULL)) {
        VireoFarConn *conn = at;

        if (conn->state == VIREO_FAR_CONN_OPEN)
            conn->state = VIREO_FAR_CONN_CLOSED;
        while (!g_queue_is_empty(&conn->waiting))
            g_ptr_array_add(orphans, g_queue_pop_head(&conn->waiting));
    }
    g_mutex_unlock(&client->lock);
    return orphans;
}

static void bury(VireoFarClient *client, VireoFarPending *pending, const char *why)
{
    VireoFarConn *conn = pending->conn;
    vireo_call *call = pending->call;
    gboolean gone = FALSE;

    g_clear_pointer(&pending->body, g_byte_array_unref);
    if (pending->opens) {
        g_mutex_lock(&client->lock);
        conn->state = VIREO_FAR_CONN_CLOSED;
        gone = call || conn->unwanted;
        g_mutex_unlock(&client->lock);
    }
    if (gone)
        vireo_far_conn_free(conn);
    if (call)
        end_call(client, call, VIREO_ERR_OPERATION_FAILED, why);
}

static void lose(Listening *listening, const char *violation)
{
    VireoFarClient *client = listening->client;
    g_autoptr(GPtrArray) orphans = let_go(client);
    g_autofree char *during = describe_all(orphans);
    VireoFarLoss loss = {violation, listening->goodbye, listening->stage, during};
    g_autofree char *reason = client->handler->lost(client, &loss, client->opaque);
    g_autofree char *why =
        g_strdup_printf("driver '%s': %s", vireo_core_name(client->core), reason);

    g_mutex_lock(&client->lock);
    client->reason = g_steal_pointer(&reason);
    while (!g_queue_is_empty(&client->orphans))
        g_ptr_array_add(orphans, g_queue_pop_head(&client->orphans));
    g_mutex_unlock(&client->lock);
    for (guint i = 0; i < orphans->len; i++)
        bury(client, orphans->pdata[i], why);
}

gpointer vireo_far_client_listen(gpointer opaque)
{
    VireoFarClient *client = opaque;
    g_autoptr(VireoFarChannel) channel = vireo_far_channel_ref(client->channel);
    Listening listening = {.client = client, .channel = channel};
    g_auto(VireoFarMessage) message = {0};
    g_autoptr(GError) error = NULL;

    while (vireo_far_channel_receive(channel, &message, &error) &&
           handle(&listening, &message, &error))
        continue;
    vireo_far_channel_cut(channel);
    lose(&listening, error ? error->message : NULL);
    g_free(listening.goodbye);
    return NULL;
}
