/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The driver's I/O thread and its deferred work, made of poll and pthreads alone. */
#pragma once

#include <glib.h>
#include <vireo/driver.h>

typedef struct CheckLoop CheckLoop;

CheckLoop *check_loop_new(void);
/* Callbacks that have not begun do not run any more. */
void check_loop_free(CheckLoop *loop);

guint64 check_loop_watch(CheckLoop *loop, int fd, int events, vireo_watch_fn *fn, void *opaque);
guint64 check_loop_timer(CheckLoop *loop, guint milliseconds, vireo_timer_fn *fn, void *opaque);
/* Waits for a callback of this id that is running, unless it is the caller. */
void check_loop_remove(CheckLoop *loop, guint64 id);
/* Runs fn on a thread of its own. */
void check_loop_defer(CheckLoop *loop, vireo_timer_fn *fn, void *opaque);
/* Waits until nothing deferred runs: the daemon's workers end before fini. */
void check_loop_drain(CheckLoop *loop);
guint check_loop_n_sources(CheckLoop *loop);
