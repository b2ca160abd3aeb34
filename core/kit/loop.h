/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* One thread that turns one GMainContext: where a driver's sockets, timers and child watches run.
 * Callbacks on it must not block. Every function may be called from any thread. */
typedef struct VireoLoop VireoLoop;

/* name: of the thread, at most 15 bytes are visible. Never fails (g_thread_new aborts on ENOMEM). */
VireoLoop *vireo_loop_new(const char *name);
/* Stops and joins the thread; sources that are still attached are destroyed. NULL is fine. Must not
 * be called on the loop's own thread. */
void vireo_loop_free(VireoLoop *loop);
GMainContext *vireo_loop_context(VireoLoop *loop);

/* Calls func(opaque) on the loop's thread after delay_ms (0: as soon as it can). free_opaque runs
 * when the source goes away, called or not. The source is released by the loop. */
void vireo_loop_later(VireoLoop *loop, guint delay_ms, void (*func)(void *), void *opaque,
                      GDestroyNotify free_opaque);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoLoop, vireo_loop_free)

G_END_DECLS
