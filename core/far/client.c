/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The near end: connections and calls on their way out. What comes in is in listen.c. */
#include "far/client.h"

#include <string.h>

#include "auth/identity.h"
#include "far/near.h"
#include "ops/codec.h"
#include "util/error.h"

VireoFarClient *vireo_far_client_new(vireo_core *core, const VireoFarClientHandler *handler,
                                     gpointer opaque)
{
    VireoFarClient *client = g_new0(VireoFarClient, 1);

    client->core = core;
    client->handler = handler;
    client->opaque = opaque;
    client->mirror = vireo_far_mirror_new(core);
    client->pending = g_hash_table_new(NULL, NULL);
    client->conns = g_hash_table_new(NULL, NULL);
    client->reason = g_strdup("it has not been started");
    g_mutex_init(&client->lock);
    return client;
}

void vireo_far_client_stop(VireoFarClient *client)
{
    GThread *thread = g_steal_pointer(&client->thread);

    vireo_far_client_cut(client);
    if (thread)
        g_thread_join(thread);
}

void vireo_far_client_free(VireoFarClient *client)
{
    if (!client)
        return;
    vireo_far_client_stop(client);
    vireo_far_mirror_free(client->mirror);
    g_hash_table_unref(client->pending);
    g_hash_table_unref(client->conns);
    g_free(client->reason);
    g_mutex_clear(&client->lock);
    g_free(client);
}

void vireo_far_client_attach(VireoFarClient *client, int fd)
{
    GThread *before = g_steal_pointer(&client->thread);
    g_autofree char *name = g_strdup_printf("far-%.11s", vireo_core_name(client->core));

    if (before)
        g_thread_join(before);
    g_mutex_lock(&client->lock);
    client->channel = vireo_far_channel_new(fd);
    client->pinged = client->ponged = 0;
    client->ready = FALSE;
    g_clear_pointer(&client->reason, g_free);
    g_mutex_unlock(&client->lock);
    client->thread = g_thread_new(name, vireo_far_client_listen, client);
}

/* With the lock held. */
static VireoFarChannel *channel_of(VireoFarClient *client)
{
    return client->channel ? vireo_far_channel_ref(client->channel) : NULL;
}

void vireo_far_client_cut(VireoFarClient *client)
{
    g_autoptr(VireoFarChannel) channel = NULL;

    g_mutex_lock(&client->lock);
    channel = channel_of(client);
    g_mutex_unlock(&client->lock);
    if (channel)
        vireo_far_channel_cut(channel);
}

gboolean vireo_far_client_ping(VireoFarClient *client)
{
    g_autoptr(VireoFarChannel) channel = NULL;

    if (g_atomic_int_get(&client->ponged) != client->pinged)
        return FALSE;
    g_mutex_lock(&client->lock);
    channel = channel_of(client);
    g_mutex_unlock(&client->lock);
    if (channel)
        vireo_far_channel_send(channel, VIREO_FAR_PING, (guint32)++client->pinged, 0, NULL, NULL, 0);
    return TRUE;
}

guint vireo_far_client_n_conns(VireoFarClient *client)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&client->lock);

    return g_hash_table_size(client->conns);
}

/* ---- sending what is pending ---- */

static int fail(VireoFarClient *client, vireo_call *call, const char *why)
{
    return vireo_call_fail(call, VIREO_ERR_OPERATION_FAILED, "driver '%s': %s",
                           vireo_core_name(client->core), why);
}

/* With the lock held: the number by which the answer will be known. */
static void enter(VireoFarClient *client, VireoFarPending *pending)
{
    do
        pending->serial = ++client->last_serial;
    while (!pending->serial ||
           g_hash_table_contains(client->pending, GUINT_TO_POINTER(pending->serial)));
    g_hash_table_insert(client->pending, GUINT_TO_POINTER(pending->serial), pending);
}

/* Something to send, kept apart from its call: that may be ended by the loss of the channel before
 * it is sent. */
typedef struct {
    VireoFarChannel *channel;
    VireoFarKind kind;
    guint32 serial, id;
    GByteArray *body;
    int fds[VIREO_FAR_FDS_MAX];
    guint n_fds;
} Parcel;

static void parcel_clear(Parcel *parcel)
{
    g_clear_pointer(&parcel->channel, vireo_far_channel_unref);
    g_clear_pointer(&parcel->body, g_byte_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parcel, parcel_clear)

/* With the lock held: enters what is pending and packs it. */
static void pack(VireoFarClient *client, VireoFarPending *pending, GByteArray *body, Parcel *parcel)
{
    const vireo_call *call = pending->call;

    enter(client, pending);
    *parcel = (Parcel){
        .channel = channel_of(client), .serial = pending->serial, .body = g_byte_array_ref(body)};
    parcel->kind = pending->opens ? VIREO_FAR_OPEN : VIREO_FAR_CALL;
    if (pending->opens)
        return;
    parcel->id = call->op->id;
    parcel->n_fds = MIN(call->n_fds, VIREO_FAR_FDS_MAX);
    if (parcel->n_fds)
        memcpy(parcel->fds, call->fds, parcel->n_fds * sizeof(int));
}

/* Without it. FALSE when it cannot be sent although there is a channel; what waits at a channel
 * that is cut learns that otherwise. */
static gboolean post(VireoFarClient *client, const Parcel *parcel)
{
    if (!parcel->channel ||
        vireo_far_channel_send(parcel->channel, parcel->kind, parcel->serial, parcel->id,
                               parcel->body, parcel->fds, parcel->n_fds))
        return TRUE;
    return vireo_far_channel_is_cut(parcel->channel) ||
           !vireo_far_client_take(client, parcel->serial);
}

static void on_cancel(vireo_call *call, gpointer opaque)
{
    VireoFarPending *pending = opaque;
    VireoFarClient *client = pending->conn->client;
    g_autoptr(VireoFarChannel) channel = NULL;
    guint32 serial;

    g_mutex_lock(&client->lock);
    serial = pending->serial;
    channel = channel_of(client);
    g_mutex_unlock(&client->lock);
    if (serial && channel)
        vireo_far_channel_send(channel, VIREO_FAR_CANCEL, serial, 0, NULL, NULL, 0);
}

static VireoFarPending *pending_new(VireoFarConn *conn, vireo_call *call)
{
    VireoFarPending *pending = vireo_arena_alloc(call->arena, sizeof *pending);

    pending->conn = conn;
    pending->call = call;
    return pending;
}

/* With the lock held: a closed connection becomes one that is being opened. */
static gboolean claim(VireoFarConn *conn, Parcel *parcel)
{
    if (conn->state != VIREO_FAR_CONN_CLOSED || !conn->client->ready)
        return FALSE;
    conn->state = VIREO_FAR_CONN_OPENING;
    conn->again = (VireoFarPending){.conn = conn, .opens = TRUE};
    pack(conn->client, &conn->again, conn->open, parcel);
    return TRUE;
}

void vireo_far_client_reopen(VireoFarClient *client)
{
    g_autoptr(GArray) parcels = g_array_new(FALSE, FALSE, sizeof(Parcel));
    GHashTableIter iter;
    gpointer conn;

    g_array_set_clear_func(parcels, (GDestroyNotify)parcel_clear);
    g_mutex_lock(&client->lock);
    client->ready = TRUE;
    g_hash_table_iter_init(&iter, client->conns);
    while (g_hash_table_iter_next(&iter, &conn, NULL)) {
        Parcel parcel;

        if (!claim(conn, &parcel))
            continue;
        vireo_far_mirror_await(client->mirror, ((VireoFarConn *)conn)->space);
        g_array_append_val(parcels, parcel);
    }
    g_mutex_unlock(&client->lock);
    for (guint i = 0; i < parcels->len; i++)
        post(client, &g_array_index(parcels, Parcel, i));
}

/* ---- calls ---- */

static GByteArray *encode_call(const VireoFarConn *conn, const vireo_call *call, GError **error)
{
    g_autoptr(GByteArray) body = g_byte_array_sized_new(256);
    VireoFarCall head = {.conn = conn->number};

    if (call->deadline)
        head.timeout_us = (guint64)MAX(call->deadline - g_get_monotonic_time(), 1);
    if (!vireo_wire_encode(&vireo_far_type_call, &head, body, error) ||
        (call->op->args && !vireo_wire_encode(call->op->args, call->args, body, error)))
        return NULL;
    if (body->len <= VIREO_FAR_BODY_MAX)
        return g_steal_pointer(&body);
    g_set_error_literal(error, VIREO_ERROR, VIREO_ERR_RPC, "the arguments are too large");
    return NULL;
}

/* With the lock held: packs what is to be sent now, if anything. FALSE: there is no far end; with
 * the reason. */
static gboolean place(VireoFarConn *conn, VireoFarPending *pending, GByteArray *body,
                      Parcel *parcel)
{
    VireoFarClient *client = conn->client;

    if (!client->channel && client->reason)
        return FALSE;
    if (client->channel && conn->state == VIREO_FAR_CONN_OPEN) {
        pack(client, pending, body, parcel);
        return TRUE;
    }
    pending->body = g_byte_array_ref(body);
    g_queue_push_tail(client->channel ? &conn->waiting : &client->orphans, pending);
    if (client->channel)
        claim(conn, parcel);
    return TRUE;
}

static int forward(VireoFarConn *conn, vireo_call *call)
{
    VireoFarClient *client = conn->client;
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) body = encode_call(conn, call, &error);
    g_auto(Parcel) parcel = {0};
    g_autofree char *reason = NULL;
    VireoFarPending *pending;

    if (!body)
        return vireo_call_fail(call, error->code, "%s", error->message);
    pending = pending_new(conn, call);
    call->cancel_opaque = pending;
    g_atomic_pointer_set(&call->on_cancel, on_cancel);
    g_mutex_lock(&client->lock);
    if (!place(conn, pending, body, &parcel))
        reason = g_strdup(client->reason);
    g_mutex_unlock(&client->lock);
    if (reason)
        return fail(client, call, reason);
    return post(client, &parcel) ? VIREO_PENDING : fail(client, call, "the call cannot be sent");
}

void vireo_far_conn_flush(VireoFarConn *conn)
{
    VireoFarClient *client = conn->client;

    for (;;) {
        g_auto(Parcel) parcel = {0};
        VireoFarPending *pending;

        g_mutex_lock(&client->lock);
        pending = client->channel && conn->state == VIREO_FAR_CONN_OPEN
                      ? g_queue_pop_head(&conn->waiting)
                      : NULL;
        if (pending) {
            pack(client, pending, pending->body, &parcel);
            g_clear_pointer(&pending->body, g_byte_array_unref);
        }
        g_mutex_unlock(&client->lock);
        if (!pending)
            return;
        if (!post(client, &parcel))
            vireo_call_finish(pending->call,
                              fail(client, pending->call, "the call cannot be sent"));
    }
}

/* ---- connections ---- */

static GByteArray *encode_open(guint32 number, const vireo_call *call, GError **error)
{
    const vireo_conn_open_args *args = call->args;
    VireoFarOpen open = {.conn = number, .readonly = args->readonly, .uri = args->uri};
    VireoFarPair pairs[16];
    g_autoptr(GByteArray) body = g_byte_array_new();

    open.identity.val = pairs;
    for (const char *const *name = vireo_identity_names; *name && call->identity_get; name++) {
        const char *value = call->identity_get(call->identity, *name);

        if (value && open.identity.len < G_N_ELEMENTS(pairs))
            pairs[open.identity.len++] = (VireoFarPair){(char *)*name, (char *)value};
    }
    return vireo_wire_encode(&vireo_far_type_open, &open, body, error) ? g_steal_pointer(&body)
                                                                       : NULL;
}

static int open_conn(VireoFarClient *client, vireo_call *call)
{
    VireoFarConn *conn = g_new0(VireoFarConn, 1);
    g_auto(Parcel) parcel = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *reason = NULL;
    VireoFarPending *pending = pending_new(conn, call);

    conn->client = client;
    conn->state = VIREO_FAR_CONN_OPENING;
    pending->opens = TRUE;
    g_queue_init(&conn->waiting);
    conn->number = (guint32)g_atomic_int_add(&client->last_conn, 1) + 1;
    conn->open = encode_open(conn->number, call, &error);
    if (!conn->open) {
        vireo_far_conn_free(conn);
        return vireo_call_fail(call, error->code, "%s", error->message);
    }
    g_mutex_lock(&client->lock);
    if (client->ready)
        pack(client, pending, conn->open, &parcel);
    else
        reason = g_strdup(client->reason ? client->reason : "it is just starting");
    g_mutex_unlock(&client->lock);
    if (!reason && !post(client, &parcel))
        reason = g_strdup("the call cannot be sent");
    if (!reason)
        return VIREO_PENDING;
    vireo_far_conn_free(conn);
    return fail(client, call, reason);
}

void vireo_far_conn_free(VireoFarConn *conn)
{
    if (conn->open)
        g_byte_array_unref(conn->open);
    g_free(conn);
}

static int close_conn(VireoFarConn *conn)
{
    VireoFarClient *client = conn->client;
    g_autoptr(VireoFarChannel) channel = NULL;
    gboolean later;
    guint32 number = conn->number;

    g_mutex_lock(&client->lock);
    g_hash_table_remove(client->conns, conn);
    later = conn->state == VIREO_FAR_CONN_OPENING;
    conn->unwanted = TRUE;
    channel = conn->state == VIREO_FAR_CONN_OPEN ? channel_of(client) : NULL;
    g_mutex_unlock(&client->lock);
    if (channel)
        vireo_far_channel_send(channel, VIREO_FAR_CLOSE, 0, number, NULL, NULL, 0);
    if (!later)
        vireo_far_conn_free(conn);
    return VIREO_OK;
}

int vireo_far_client_call(void *handle, vireo_call *call)
{
    switch (call->op->id) {
    case VIREO_OP_conn_open:
        return open_conn(handle, call);
    case VIREO_OP_conn_close:
        return close_conn(handle);
    default:
        return forward(handle, call);
    }
}
