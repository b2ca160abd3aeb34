/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Worker threads. Threads start when work needs them and then wait without ever waking up in vain. */
#pragma once

#include <glib.h>

typedef struct VireoWorkers VireoWorkers;
typedef void (*VireoWork)(gpointer opaque);

typedef struct {
    guint min, max, priority; /* set */
    guint threads, idle, queued; /* seen */
} VireoWorkersInfo;

/* At most `max` ordinary threads, and `priority` further ones that take high-priority work only. */
VireoWorkers *vireo_workers_new(guint min, guint max, guint priority);
/* Finishes what is queued, then joins every thread. */
void vireo_workers_free(VireoWorkers *workers);

/* Runs work(opaque) on some worker, high priority before the rest. Any thread; never blocks. */
void vireo_workers_push(VireoWorkers *workers, gboolean high, VireoWork work, gpointer opaque);

void vireo_workers_info(VireoWorkers *workers, VireoWorkersInfo *info);
void vireo_workers_resize(VireoWorkers *workers, guint min, guint max, guint priority);
