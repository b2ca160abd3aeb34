/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver in a process of its own: started, watched, and started again when it dies. Its module
 * goes LOADED -> ACTIVE -> QUARANTINED -> ACTIVE; clients keep their connections.
 */
#pragma once

#include "host/host.h"
#include "loader/module.h"
#include "router/router.h"

/* How a driver is run; section [driver NAME] of the settings. */
typedef struct {
    gboolean process; /* in a process of its own */
    char *user;       /* whose; NULL: the daemon's */
    guint memory_max; /* MiB; 0: no limit */
    gboolean no_new_privs;
    char *deny;         /* groups of system calls, separated by ',' */
    guint init_timeout; /* seconds */
    guint alive_timeout; /* seconds; 0: none */
} VireoDriverSettings;

typedef struct VireoIsolate VireoIsolate;

typedef struct {
    const char *program; /* vireo-driver-host */
    const VireoHostDirs *dirs;
    VireoHost *host;
    VireoRouter *router;
    const VireoDriverSettings *settings;
    gboolean verbose;
    guint workers;
} VireoIsolateConfig;

/* For a module of which no code is in this process. Copies the config; what it points to must
 * outlive it. */
VireoIsolate *vireo_isolate_new(VireoModule *module, const VireoIsolateConfig *config);
/* Starts the process and waits until it serves. FALSE with the reason; unless the driver itself
 * refused to start it is tried again, by and by. */
gboolean vireo_isolate_start(VireoIsolate *isolate, GError **error);
/* Ends the process; begun for all before one is waited for. */
void vireo_isolate_stop(VireoIsolate *isolate);
void vireo_isolate_free(VireoIsolate *isolate); /* after the connections are closed */

typedef struct {
    pid_t pid;    /* 0: none at present */
    guint starts; /* of its process so far */
    gint64 since; /* of the present one; seconds since the epoch */
} VireoIsolateInfo;
void vireo_isolate_info(VireoIsolate *isolate, VireoIsolateInfo *info);
