/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everything below the wire, put together: loader, host, events, router. */
#pragma once

#include "daemon/settings.h"
#include "host/host.h"
#include "loader/registry.h"
#include "router/router.h"

typedef struct VireoEngine VireoEngine;

typedef struct {
    VireoHostDirs dirs;
    const char *const *driver_dirs; /* NULL terminated; an earlier one wins */
    const char *const *masked;      /* drivers left alone; NULL: none */
    const char *only;               /* the one driver that is served; NULL: all */
    const char *proxies;            /* directory of the sockets of drivers with daemons of their own; NULL: none */
    const char *title;              /* of this program, for others who want a driver that it runs; NULL: it
                                     * is not said, and nobody is kept out */
    const char *default_uri;        /* for connections without URI; NULL: the engine chooses */
    gboolean session;               /* a user's daemon: the default URI is a /session one */
    guint min_workers, max_workers, priority_workers;
    VireoSettings *drivers;         /* how each is run; NULL: all in this process */
    const char *driver_host;        /* the program for those in a process of their own */
    gboolean verbose;               /* they report everything */
    guint init_ms;                  /* how long a driver's init may take; 0: the loader's default */
} VireoEngineConfig;

/* Copies the config. Looks for modules; starts none. */
VireoEngine *vireo_engine_new(const VireoEngineConfig *config);
/* Ends what runs in the drivers' names; guests keep running. */
void vireo_engine_free(VireoEngine *engine);

/* Makes the one driver that is served this process's. FALSE: there is no such driver, or another
 * process runs it. */
gboolean vireo_engine_claim(VireoEngine *engine, GError **error);
/* Starts the drivers that left state behind, so that they find their guests again, and the one
 * driver when it is the only one. The others start when a URI first needs them. Blocks. */
void vireo_engine_start(VireoEngine *engine);

/* Looks for drivers that have come or gone. */
void vireo_engine_scan(VireoEngine *engine);
/* What there is to say about every driver, here or in a daemon of its own: VireoModuleInfo by name. */
GPtrArray *vireo_engine_drivers(VireoEngine *engine);
/* About one, by name or URI scheme; its daemon is asked when only that knows. NULL: there is none. */
VireoModuleInfo *vireo_engine_driver(VireoEngine *engine, const char *name);

VireoLoader *vireo_engine_loader(VireoEngine *engine);
VireoRouter *vireo_engine_router(VireoEngine *engine);
VireoWorkers *vireo_engine_workers(VireoEngine *engine);

/* How a driver is run; NULL: in this process. */
const VireoDriverSettings *vireo_engine_settings(VireoEngine *engine, const char *name);
/* The process of a driver that has one of its own; NULL: it has none. */
VireoIsolate *vireo_engine_isolate(VireoEngine *engine, const char *name);

/* Carries out an operation of our own program (serve = "daemon"). */
int vireo_engine_introspect(VireoEngine *engine, vireo_call *call);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoEngine, vireo_engine_free)
