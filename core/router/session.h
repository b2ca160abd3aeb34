/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one client of the wire does: it authenticates, opens a connection to a driver, calls, listens to
 * events. Sits between the transport and the router.
 */
#pragma once

#include "auth/identity.h"
#include "router/router.h"
#include "rpc/rpc.h"

typedef struct VireoSession VireoSession;

/* Calls on the daemon itself: fills call->ret or fails. */
typedef int (*VireoDaemonCall)(VireoRpcClient *client, vireo_call *call, gpointer opaque);

/* The `opaque` of vireo_session_handler. */
typedef struct {
    VireoRouter *router;
    VireoDaemonCall admin_call;  /* serve = "admin": runs on the I/O thread and must not block */
    gpointer admin_opaque;
    VireoDaemonCall daemon_call; /* serve = "daemon": runs on a worker */
    gpointer daemon_opaque;      /* a function that is NULL: such calls are refused */
} VireoSessionConfig;

extern const VireoRpcHandler vireo_session_handler;

/* Whether only read-only calls are taken, by the socket or by the client's own wish. */
gboolean vireo_session_is_readonly(VireoSession *session);
/* Whose session it is; borrowed; NULL when the kernel does not tell. */
VireoIdentity *vireo_session_identity(VireoSession *session);

/* How many calls are being carried out, over all sessions. */
guint vireo_session_calls_running(void);
