/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The settings of vireod.conf; packaging/vireod.conf documents each. */
#pragma once

#include "daemon/settings.h"
#include "rpc/rpc.h"

typedef struct {
    gboolean compat_sockets;
    guint rw_mode, ro_mode, admin_mode;
    gint gid; /* of the sockets; -1: the daemon's */
    VireoRpcLimits limits, admin_limits;
    guint min_workers, max_workers, priority_workers;
    guint query_timeout, modify_timeout; /* seconds; 0: never */
    int log_level;
    char *log_outputs, *log_filters; /* NULL: not set */
    char *default_uri;               /* NULL: not set */
    GStrv masked_drivers;            /* NULL: none */
    gboolean isolate_drivers;        /* those whose section does not say */
    VireoSettings *drivers;
} VireoDaemonConfig;

/* Reads the file; without one the defaults hold. What [vireod] says holds for every daemon, and
 * [vireod NAME] overrides it in the daemon of that driver. [driver NAME] says how a driver is run. Every
 * mistake, also in a section about another daemon, is an error that names file, key and what was
 * expected. */
VireoDaemonConfig *vireo_daemon_config_load(const char *path, const char *driver, GError **error);
void vireo_daemon_config_free(VireoDaemonConfig *config);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoDaemonConfig, vireo_daemon_config_free)
