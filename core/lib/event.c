/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "lib/client.h"
#include "ops/codec.h"

/* A message, shared by the handlers that get it. */
typedef struct {
    gatomicrefcount refs;
    const VireoOp *op; /* NULL: the connection ended */
    VireoArena *arena;
    gpointer msg;
} Event;

typedef struct {
    GSource source;
    VireoClient *client; /* outlives the source */
    guint id;
    const VireoOp *event;
    VireoClientEventFunc func;
    gpointer opaque;
    GQueue queue; /* Event; guarded by the client's lock */
} Handler;

static void event_unref(Event *event)
{
    if (!g_atomic_ref_count_dec(&event->refs))
        return;
    vireo_arena_free(event->arena);
    g_free(event);
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    Handler *handler = (Handler *)source;
    GMutex *lock = &handler->client->lock;
    Event *event;

    g_mutex_lock(lock);
    event = g_queue_pop_head(&handler->queue);
    if (g_queue_is_empty(&handler->queue))
        g_source_set_ready_time(source, -1);
    g_mutex_unlock(lock);
    if (!event)
        return G_SOURCE_CONTINUE;
    handler->func(handler->client, event->op, event->msg, handler->opaque);
    event_unref(event);
    return G_SOURCE_CONTINUE;
}

static void finalize(GSource *source)
{
    g_queue_clear_full(&((Handler *)source)->queue, (GDestroyNotify)event_unref);
}

static GSourceFuncs handler_funcs = { NULL, NULL, dispatch, finalize, NULL, NULL };

static gboolean no_callback(gpointer data)
{
    return G_SOURCE_CONTINUE;
}

guint vireo_client_add_handler(VireoClient *client, GMainContext *context, const VireoOp *event,
                               VireoClientEventFunc func, gpointer opaque, GDestroyNotify destroy)
{
    GSource *source = g_source_new(&handler_funcs, sizeof(Handler));
    Handler *handler = (Handler *)source;
    guint id;

    handler->client = client;
    handler->event = event;
    handler->func = func;
    handler->opaque = opaque;
    g_queue_init(&handler->queue);
    /* Only so that GLib runs `destroy` with the source. */
    g_source_set_callback(source, no_callback, opaque, destroy);
    g_source_set_static_name(source, "vireo-client");
    g_mutex_lock(&client->lock);
    id = handler->id = ++client->next_handler;
    g_ptr_array_add(client->handlers, handler);
    g_source_attach(source, context);
    g_mutex_unlock(&client->lock);
    return id;
}

static void free_handler(Handler *handler)
{
    g_source_destroy(&handler->source);
    g_source_unref(&handler->source);
}

void vireo_client_remove_handler(VireoClient *client, guint id)
{
    Handler *found = NULL;

    g_mutex_lock(&client->lock);
    for (guint i = 0; i < client->handlers->len && !found; i++) {
        Handler *handler = client->handlers->pdata[i];

        if (handler->id == id)
            found = g_ptr_array_steal_index(client->handlers, i);
    }
    g_mutex_unlock(&client->lock);
    if (found)
        free_handler(found);
}

void vireo_client_free_handlers(VireoClient *client)
{
    for (guint i = 0; i < client->handlers->len; i++)
        free_handler(client->handlers->pdata[i]);
    g_ptr_array_free(client->handlers, TRUE);
}

static void give(VireoClient *client, Event *event)
{
    for (guint i = 0; i < client->handlers->len; i++) {
        Handler *handler = client->handlers->pdata[i];

        if (event->op && handler->event && handler->event != event->op)
            continue;
        g_atomic_ref_count_inc(&event->refs);
        g_queue_push_tail(&handler->queue, event);
        g_source_set_ready_time(&handler->source, 0);
    }
}

static Event *event_new(const VireoOp *op)
{
    Event *event = g_new0(Event, 1);

    g_atomic_ref_count_init(&event->refs);
    event->op = op;
    event->arena = vireo_arena_new();
    return event;
}

void vireo_client_deliver(VireoClient *client, const VireoRpcHeader *header, const guint8 *payload,
                          gsize size)
{
    VireoProgram program;
    const VireoOp *op;
    Event *event;

    if (!vireo_program_find(header->program, header->version, &program))
        return;
    op = vireo_op_by_proc(program, header->proc);
    if (!op || op->kind != VIREO_OP_EVENT || !op->ret)
        return;
    event = event_new(op);
    event->msg = vireo_arena_alloc(event->arena, op->ret->size);
    /* A message of a newer daemon that does not fit is no reason to end the connection. */
    if (vireo_wire_decode(op->ret, payload, size, event->arena, event->msg, NULL, NULL))
        give(client, event);
    event_unref(event);
}

void vireo_client_deliver_end(VireoClient *client)
{
    Event *event = event_new(NULL);

    give(client, event);
    event_unref(event);
}
