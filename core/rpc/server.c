/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rpc/internal.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TASK_ROUNDS 4 /* then sockets have their turn */

typedef struct {
    GSource source;
    VireoRpcServer *server;
} RpcSource;

typedef struct {
    RpcTaskFn fn;
    gpointer what;
} Task;

typedef struct {
    gpointer what;
    GDestroyNotify free_fn;
} Buried;

const VireoRpcLimits vireo_rpc_default_limits = {
    .max_clients = 5000,
    .max_anonymous_clients = 20,
    .max_client_requests = 5,
    .max_message = 33554436,
    .keepalive_interval = 5,
    .keepalive_count = 5,
};

gint64 rpc_now(void)
{
    return g_get_monotonic_time() / G_USEC_PER_SEC;
}

gboolean rpc_server_is_current(VireoRpcServer *server)
{
    return g_atomic_pointer_get(&server->thread) == g_thread_self();
}

static void wake(VireoRpcServer *server)
{
    guint64 one = 1;
    gssize n = write(server->wake_fd, &one, sizeof one);

    g_assert(n == sizeof one);
}

void rpc_server_post(VireoRpcServer *server, RpcTaskFn fn, gpointer what)
{
    Task task = {fn, what};
    gboolean first;

    g_mutex_lock(&server->task_lock);
    first = server->tasks->len == 0;
    g_array_append_val(server->tasks, task);
    g_mutex_unlock(&server->task_lock);
    if (first && !rpc_server_is_current(server))
        wake(server);
}

static void run_tasks(VireoRpcServer *server, guint rounds)
{
    for (guint round = 0; round < rounds; round++) {
        g_autoptr(GArray) tasks = NULL;

        g_mutex_lock(&server->task_lock);
        if (server->tasks->len > 0) {
            tasks = server->tasks;
            server->tasks = g_array_new(FALSE, FALSE, sizeof(Task));
        }
        g_mutex_unlock(&server->task_lock);
        if (!tasks)
            return;
        for (guint i = 0; i < tasks->len; i++) {
            Task *task = &g_array_index(tasks, Task, i);

            task->fn(task->what);
        }
    }
    wake(server);
}

void rpc_server_bury(VireoRpcServer *server, gpointer what, GDestroyNotify free_fn)
{
    Buried *buried = g_new(Buried, 1);

    buried->what = what;
    buried->free_fn = free_fn;
    g_ptr_array_add(server->buried, buried);
}

static void empty_graves(VireoRpcServer *server)
{
    while (server->buried->len > 0) {
        g_autofree Buried *buried =
            g_ptr_array_steal_index_fast(server->buried, server->buried->len - 1);

        buried->free_fn(buried->what);
    }
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer unused)
{
    VireoRpcServer *server = ((RpcSource *)source)->server;
    struct epoll_event *events = server->pending;
    gint n = (gint)server->n_pending;

    g_assert(!rpc_server_is_current(server));
    g_atomic_pointer_set(&server->thread, g_thread_self());
    if (n == 0)
        n = epoll_wait(server->epoll_fd, events, RPC_EVENTS_PER_TURN, 0);
    for (int i = 0; i < n; i++) {
        RpcWatch *watch = events[i].data.ptr;

        watch->ready(watch, events[i].events);
    }
    server->n_pending = 0;
    rpc_timers_run(server);
    run_tasks(server, TASK_ROUNDS);
    empty_graves(server);
    rpc_timers_arm(server);
    g_atomic_pointer_set(&server->thread, NULL);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {.dispatch = dispatch};

/* The eventfd is edge-triggered: it need not be read. */
static void woken(RpcWatch *watch, guint events)
{
}

VireoRpcServer *vireo_rpc_server_new(GMainContext *context, const VireoRpcLimits *limits,
                                     const VireoRpcHandler *handler, gpointer opaque)
{
    VireoRpcServer *server = g_new0(VireoRpcServer, 1);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &server->wake};

    server->context = g_main_context_ref(context ? context : g_main_context_default());
    server->handler = *handler;
    server->opaque = opaque;
    server->limits = limits ? *limits : vireo_rpc_default_limits;
    server->listeners = g_ptr_array_new_with_free_func((GDestroyNotify)rpc_listener_free);
    server->buried = g_ptr_array_new();
    server->tasks = g_array_new(FALSE, FALSE, sizeof(Task));
    server->scratch = g_malloc(RPC_SCRATCH);
    server->accepting = TRUE;
    server->wheel_second = rpc_now();
    g_mutex_init(&server->task_lock);
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->epoll_fd < 0 || server->wake_fd < 0)
        g_error("no descriptors left for an event loop: %s", g_strerror(errno));
    server->wake.ready = woken;
    epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->wake_fd, &event);

    server->source = g_source_new(&source_funcs, sizeof(RpcSource));
    ((RpcSource *)server->source)->server = server;
    g_source_set_static_name(server->source, "vireo-rpc");
    /* It never recurses; GLib would take it out of the poll set, and wake itself up, for each turn.
     */
    g_source_set_can_recurse(server->source, TRUE);
    g_source_add_unix_fd(server->source, server->epoll_fd, G_IO_IN);
    g_source_attach(server->source, server->context);
    return server;
}

void vireo_rpc_server_free(VireoRpcServer *server)
{
    if (!server)
        return;
    g_atomic_pointer_set(&server->thread, g_thread_self());
    rpc_poll_stop(server);
    server->n_pending = 0;
    vireo_rpc_server_close_listeners(server);
    while (server->clients.head)
        rpc_client_disconnect(server->clients.head->data);
    if (server->files)
        g_thread_pool_free(server->files, FALSE, TRUE);
    run_tasks(server, G_MAXUINT);
    empty_graves(server);
    g_source_destroy(server->source);
    g_source_unref(server->source);
    close(server->epoll_fd);
    close(server->wake_fd);
    g_ptr_array_unref(server->listeners);
    g_ptr_array_unref(server->buried);
    g_array_unref(server->tasks);
    g_mutex_clear(&server->task_lock);
    g_main_context_unref(server->context);
    g_free(server->scratch);
    g_free(server->stream_scratch);
    g_free(server);
}

static void resume_client(gpointer client, gpointer unused)
{
    VireoRpcClient *c = client;

    g_mutex_lock(&c->lock);
    rpc_client_resume_locked(c);
    g_mutex_unlock(&c->lock);
}

void vireo_rpc_server_set_limits(VireoRpcServer *server, const VireoRpcLimits *limits)
{
    server->limits = *limits;
    rpc_listeners_update(server);
    g_queue_foreach(&server->clients, resume_client, NULL);
}

void vireo_rpc_server_get_limits(VireoRpcServer *server, VireoRpcLimits *limits)
{
    *limits = server->limits;
}

guint vireo_rpc_server_n_clients(VireoRpcServer *server, guint *anonymous)
{
    if (anonymous)
        *anonymous = server->n_anonymous;
    return server->clients.length;
}

GPtrArray *vireo_rpc_server_clients(VireoRpcServer *server)
{
    GPtrArray *clients = g_ptr_array_new_with_free_func((GDestroyNotify)vireo_rpc_client_unref);

    for (GList *item = server->clients.head; item; item = item->next)
        g_ptr_array_add(clients, vireo_rpc_client_ref(item->data));
    return clients;
}
