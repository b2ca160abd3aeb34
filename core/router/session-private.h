/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the session's files only. */
#pragma once

#include "router/session.h"

struct VireoSession {
    gint refs;
    const VireoSessionConfig *config;
    VireoRpcClient *client;
    gboolean readonly;
    GMutex lock;            /* what follows */
    VireoConn *conn;        /* NULL until opened, and after close */
    gboolean opening, gone;
    GHashTable *calls;      /* set of vireo_call under way */
    GHashTable *callbacks;  /* callback id -> Callback; session-events.c */
    gint next_callback;
    VireoIdentity *identity; /* NULL: the kernel does not tell */
};

VireoSession *vireo_session_ref(VireoSession *session);
void vireo_session_unref(VireoSession *session);
/* A new reference to the connection, or NULL. */
VireoConn *vireo_session_conn(VireoSession *session);
VireoEventHub *vireo_session_hub(VireoSession *session);

/* Answers a call the core serves for the connection itself. VIREO_PENDING: it will be finished later. */
int vireo_session_serve(VireoSession *session, vireo_call *call);

/* session-events.c */
int vireo_session_events(VireoSession *session, VireoConn *conn, vireo_call *call);
void vireo_session_drop_events(VireoSession *session);

/* session-offer.c: finished later. */
int vireo_session_offer(VireoSession *session, VireoConn *conn, vireo_call *call);
