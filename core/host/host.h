/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host: what drivers may ask of the core. One VireoHost a process, one vireo_core a driver. */
#pragma once

#include <glib.h>
#include "event/hub.h"
#include "host/workers.h"
#include "objects/space.h"

typedef struct VireoHost VireoHost;

/* Base directories; a driver's own lie below, under its name. Its settings are <config>/<name>.conf. */
typedef struct {
    char *config, *state, *run, *log, *cache;
} VireoHostDirs;

/* Everything given must outlive the host. */
VireoHost *vireo_host_new(const VireoHostDirs *dirs, VireoWorkers *workers, VireoEventHub *hub);
/* Stops the drivers that run. */
void vireo_host_free(VireoHost *host);
VireoWorkers *vireo_host_workers(VireoHost *host);
VireoEventHub *vireo_host_events(VireoHost *host);
/* How many guests run, in all that drivers have published. Any thread. */
guint vireo_host_n_active(VireoHost *host);

/* Told of every space when it is made, before anybody has it. Set before the first driver starts. */
typedef void (*VireoHostSpaceMade)(vireo_space *space, gpointer opaque);
void vireo_host_watch_spaces(VireoHost *host, VireoHostSpaceMade made, gpointer opaque);

/* The core's side of the driver of that name, made on first use. */
vireo_core *vireo_host_core(VireoHost *host, const char *name);

/* Runs the driver's init on the calling thread (not the main loop). On failure the error carries
 * what the driver logged last. */
gboolean vireo_core_start(vireo_core *core, const struct vireo_driver *driver, GError **error);
/* Runs fini and ends the driver's I/O thread. Guests keep running. */
void vireo_core_stop(vireo_core *core);
/* The space of that name, made on first use. */
vireo_space *vireo_core_space(vireo_core *core, const char *name);
void *vireo_core_self(vireo_core *core);
const char *vireo_core_name(vireo_core *core);

/* The service table handed to drivers. */
extern const struct vireo_host vireo_host_services;
