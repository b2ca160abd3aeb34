/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The running daemon: sockets above, engine below, and when to stop. */
#pragma once

#include "daemon/config.h"
#include "daemon/engine.h"
#include "daemon/paths.h"
#include "daemon/share.h"
#include "daemon/watch.h"
#include "rpc/rpc.h"

typedef struct {
    const VireoPaths *paths;
    VireoDaemonConfig *config;
    gboolean verbose;
    guint timeout; /* seconds without a client or guest after which the daemon ends; 0: never */
    GMainLoop *loop;
    VireoEngine *engine;
    VireoRpcServer *server, *admin_server;
    VireoShare *share; /* of the one driver; NULL: all are served */
    GSource *idle;    /* runs while there is no client */
    GThread *starter; /* starts the drivers that left state behind */
    VireoWatch *watch; /* of the driver directories */
} VireoDaemon;

/* Makes engine and sockets; the daemon takes the config. Everything runs once the loop does. */
gboolean vireo_daemon_start(VireoDaemon *daemon, GError **error);
/* Opens the sockets, or takes those handed over. */
gboolean vireo_daemon_listen(VireoDaemon *daemon, GError **error);
/* Closes the sockets, ends what runs in the drivers' names. Guests keep running. */
void vireo_daemon_stop(VireoDaemon *daemon);
/* Reads the settings again; what is wrong is logged and leaves the old ones in force. */
void vireo_daemon_reload(VireoDaemon *daemon);
void vireo_daemon_set_timeout(VireoDaemon *daemon, guint seconds);

/* Answers the admin program; a VireoDaemonCall with the daemon as `opaque`. */
int vireo_admin_call(VireoRpcClient *client, vireo_call *call, gpointer opaque);

