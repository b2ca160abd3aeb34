/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/iothread.h"

#include <glib-unix.h>

typedef struct {
    gint refs;
    GRecMutex running; /* held over the callback, so that a remover can wait for it */
    gboolean dead;
    int fd;
    vireo_watch_fn *on_fd;
    vireo_timer_fn *on_time;
    void *opaque;
    GSource *source;
    VireoIoThread *io;
    guint64 id;
} Watch;

struct VireoIoThread {
    GMainContext *context;
    GMainLoop *loop;
    GThread *thread;
    GMutex lock;
    GHashTable *watches; /* guint64 * -> Watch * */
    guint64 last_id;
};

static void watch_unref(gpointer data)
{
    Watch *watch = data;

    if (!g_atomic_int_dec_and_test(&watch->refs))
        return;
    g_rec_mutex_clear(&watch->running);
    g_free(watch);
}

static Watch *watch_ref(Watch *watch)
{
    g_atomic_int_inc(&watch->refs);
    return watch;
}

static gpointer run(gpointer opaque)
{
    VireoIoThread *io = opaque;

    g_main_context_push_thread_default(io->context);
    g_main_loop_run(io->loop);
    g_main_context_pop_thread_default(io->context);
    return NULL;
}

VireoIoThread *vireo_io_thread_new(const char *name)
{
    VireoIoThread *io = g_new0(VireoIoThread, 1);

    g_mutex_init(&io->lock);
    io->watches = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, watch_unref);
    io->context = g_main_context_new();
    io->loop = g_main_loop_new(io->context, FALSE);
    io->thread = g_thread_new(name, run, io);
    return io;
}

void vireo_io_thread_free(VireoIoThread *io)
{
    GHashTableIter iter;
    gpointer watch;

    if (!io)
        return;
    g_main_loop_quit(io->loop);
    g_thread_join(io->thread);
    g_hash_table_iter_init(&iter, io->watches);
    while (g_hash_table_iter_next(&iter, NULL, &watch)) {
        g_source_destroy(((Watch *)watch)->source);
        g_source_unref(((Watch *)watch)->source);
    }
    g_hash_table_unref(io->watches);
    g_main_loop_unref(io->loop);
    g_main_context_unref(io->context);
    g_mutex_clear(&io->lock);
    g_free(io);
}

static int from_condition(GIOCondition condition)
{
    return (condition & (G_IO_IN | G_IO_PRI) ? VIREO_WATCH_IN : 0) |
           (condition & G_IO_OUT ? VIREO_WATCH_OUT : 0) |
           (condition & G_IO_HUP ? VIREO_WATCH_HANGUP : 0) |
           (condition & (G_IO_ERR | G_IO_NVAL) ? VIREO_WATCH_ERROR : 0);
}

static gboolean fd_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    Watch *watch = opaque;

    g_rec_mutex_lock(&watch->running);
    if (!watch->dead)
        watch->on_fd(fd, from_condition(condition), watch->opaque);
    g_rec_mutex_unlock(&watch->running);
    return G_SOURCE_CONTINUE;
}

static void forget(VireoIoThread *io, guint64 id)
{
    g_mutex_lock(&io->lock);
    g_hash_table_remove(io->watches, &id);
    g_mutex_unlock(&io->lock);
}

static gboolean time_is_up(gpointer opaque)
{
    Watch *watch = opaque;

    g_rec_mutex_lock(&watch->running);
    if (!watch->dead) {
        watch->dead = TRUE;
        watch->on_time(watch->opaque);
        g_source_unref(watch->source);
        forget(watch->io, watch->id);
    }
    g_rec_mutex_unlock(&watch->running);
    return G_SOURCE_REMOVE;
}

/* Takes the source. The table, the source's callback and, briefly, a remover hold references. */
static guint64 add(VireoIoThread *io, Watch *watch, GSource *source, GSourceFunc callback)
{
    guint64 id;

    watch->refs = 2;
    watch->io = io;
    watch->source = source;
    g_rec_mutex_init(&watch->running);
    g_source_set_callback(source, callback, watch, watch_unref);
    g_mutex_lock(&io->lock);
    id = watch->id = ++io->last_id;
    g_hash_table_insert(io->watches, &watch->id, watch);
    g_mutex_unlock(&io->lock);
    g_source_attach(source, io->context);
    return id;
}

guint64 vireo_io_watch(VireoIoThread *io, int fd, int events, vireo_watch_fn *fn, void *opaque)
{
    Watch *watch = g_new0(Watch, 1);
    GIOCondition condition = G_IO_ERR | G_IO_HUP;

    condition |= events & VIREO_WATCH_IN ? G_IO_IN : 0;
    condition |= events & VIREO_WATCH_OUT ? G_IO_OUT : 0;
    watch->fd = fd;
    watch->on_fd = fn;
    watch->opaque = opaque;
    return add(io, watch, g_unix_fd_source_new(fd, condition), G_SOURCE_FUNC(fd_ready));
}

guint64 vireo_io_timer(VireoIoThread *io, guint milliseconds, vireo_timer_fn *fn, void *opaque)
{
    Watch *watch = g_new0(Watch, 1);

    watch->fd = -1;
    watch->on_time = fn;
    watch->opaque = opaque;
    return add(io, watch, g_timeout_source_new(milliseconds), time_is_up);
}

void vireo_io_remove(VireoIoThread *io, guint64 id)
{
    Watch *watch;

    g_mutex_lock(&io->lock);
    watch = g_hash_table_lookup(io->watches, &id);
    if (watch)
        watch_ref(watch);
    g_mutex_unlock(&io->lock);
    if (!watch)
        return;
    g_rec_mutex_lock(&watch->running);
    if (!watch->dead) {
        watch->dead = TRUE;
        g_source_destroy(watch->source);
        g_source_unref(watch->source);
        forget(io, id);
    }
    g_rec_mutex_unlock(&watch->running);
    watch_unref(watch);
}
