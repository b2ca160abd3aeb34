/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one client of the wire does: it authenticates, opens a connection to a driver, calls, listens to
 * events. Sits between the transport and the router.
 */
#pragma once

#include "router/router.h"
#include "rpc/rpc.h"

typedef struct VireoSession VireoSession;

/* Calls on the daemon itself (serve = "admin" or "daemon"): fills call->ret or fails. Runs on the I/O
 * thread and must not block. */
typedef int (*VireoDaemonCall)(VireoRpcClient *client, vireo_call *call, gpointer opaque);

/* The `opaque` of vireo_session_handler. */
typedef struct {
    VireoRouter *router;
    VireoDaemonCall daemon_call; /* NULL: such calls are refused */
    gpointer opaque;
} VireoSessionConfig;

extern const VireoRpcHandler vireo_session_handler;

/* How many calls are being carried out, over all sessions. */
guint vireo_session_calls_running(void);
