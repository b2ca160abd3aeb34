/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the client's files only. */
#pragma once

#include "far/client.h"
#include "far/mirror.h"

typedef struct VireoFarConn VireoFarConn;

/* What waits for a REPLY. Lives in the arena of its call; that of an opening-again, in its
 * connection. */
typedef struct {
    VireoFarConn *conn;
    vireo_call *call; /* NULL: nobody asked, the connection is opened again */
    gboolean opens;
    guint32 serial;   /* 0: not sent */
    GByteArray *body; /* until it is sent */
} VireoFarPending;

typedef enum {
    VIREO_FAR_CONN_CLOSED,
    VIREO_FAR_CONN_OPENING,
    VIREO_FAR_CONN_OPEN
} VireoFarConnState;

/* A connection of the router's; the far end's dies with the channel and is opened again. */
struct VireoFarConn {
    VireoFarClient *client;
    guint32 number;
    GByteArray *open; /* the OPEN's body */
    vireo_space *space;
    /* under the client's lock */
    VireoFarConnState state;
    gboolean unwanted; /* closed while being opened */
    GQueue waiting;    /* VireoFarPending: until it is open */
    VireoFarPending again;
};

struct VireoFarClient {
    vireo_core *core;
    const VireoFarClientHandler *handler;
    gpointer opaque;
    VireoFarMirror *mirror; /* the thread's */
    GThread *thread;
    gint last_conn;
    gint pinged, ponged; /* numbers; atomic */
    GMutex lock;              /* what follows */
    VireoFarChannel *channel; /* NULL: none */
    gboolean ready;
    char *reason; /* while there is no channel; NULL: not known yet */
    guint32 last_serial;
    GHashTable *pending; /* serial -> VireoFarPending */
    GHashTable *conns;   /* set of VireoFarConn that have been open */
    GQueue orphans;      /* VireoFarPending that learn the reason with those above */
};

/* Takes what waits under a serial; NULL when it has been answered or taken already. */
VireoFarPending *vireo_far_client_take(VireoFarClient *client, guint32 serial);
/* On the client's thread: the far end takes calls; opens all connections again. */
void vireo_far_client_reopen(VireoFarClient *client);
/* Sends what waited for the connection. */
void vireo_far_conn_flush(VireoFarConn *conn);
void vireo_far_conn_free(VireoFarConn *conn);

/* listen.c: the client's thread. */
gpointer vireo_far_client_listen(gpointer client);
