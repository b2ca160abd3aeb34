/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A driver's I/O thread: descriptors and timers, one callback at a time, asleep in between. */
#pragma once

#include <glib.h>
#include <vireo/driver.h>

typedef struct VireoIoThread VireoIoThread;

VireoIoThread *vireo_io_thread_new(const char *name);
void vireo_io_thread_free(VireoIoThread *io);

guint64 vireo_io_watch(VireoIoThread *io, int fd, int events, vireo_watch_fn *fn, void *opaque);
guint64 vireo_io_timer(VireoIoThread *io, guint milliseconds, vireo_timer_fn *fn, void *opaque);
/* Waits for a callback of this id that is running, unless called from it. */
void vireo_io_remove(VireoIoThread *io, guint64 id);
