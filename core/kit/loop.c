/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/loop.h"

struct VireoLoop {
    GMainContext *context;
    GMainLoop *main;
    GThread *thread;
};

typedef struct {
    void (*func)(void *);
    void *opaque;
    GDestroyNotify free_opaque;
} Later;

static gpointer loop_run(gpointer opaque)
{
    VireoLoop *loop = opaque;

    g_main_context_push_thread_default(loop->context);
    g_main_loop_run(loop->main);
    g_main_context_pop_thread_default(loop->context);
    return NULL;
}

VireoLoop *vireo_loop_new(const char *name)
{
    VireoLoop *loop = g_new0(VireoLoop, 1);

    loop->context = g_main_context_new();
    loop->main = g_main_loop_new(loop->context, FALSE);
    loop->thread = g_thread_new(name, loop_run, loop);
    return loop;
}

static gboolean loop_quit(gpointer main)
{
    g_main_loop_quit(main);
    return G_SOURCE_REMOVE;
}

void vireo_loop_free(VireoLoop *loop)
{
    if (!loop)
        return;
    /* From inside the context: a quit before the thread reached g_main_loop_run would be lost. */
    g_autoptr(GSource) quit = g_idle_source_new();
    g_source_set_callback(quit, loop_quit, loop->main, NULL);
    g_source_attach(quit, loop->context);
    g_thread_join(loop->thread);
    g_main_loop_unref(loop->main);
    g_main_context_unref(loop->context);
    g_free(loop);
}

GMainContext *vireo_loop_context(VireoLoop *loop)
{
    return loop->context;
}

static gboolean later_run(gpointer opaque)
{
    Later *later = opaque;

    later->func(later->opaque);
    return G_SOURCE_REMOVE;
}

static void later_free(gpointer opaque)
{
    Later *later = opaque;

    if (later->free_opaque)
        later->free_opaque(later->opaque);
    g_free(later);
}

void vireo_loop_later(VireoLoop *loop, guint delay_ms, void (*func)(void *), void *opaque,
                      GDestroyNotify free_opaque)
{
    g_autoptr(GSource) source = delay_ms ? g_timeout_source_new(delay_ms) : g_idle_source_new();
    Later *later = g_new0(Later, 1);

    later->func = func;
    later->opaque = opaque;
    later->free_opaque = free_opaque;
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, later_run, later, later_free);
    g_source_attach(source, loop->context);
}
