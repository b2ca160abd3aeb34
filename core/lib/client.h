/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the client share. Everything below `lock` in VireoClient is guarded by it. */
#pragma once

#include "lib/vireo_client.h"
#include "rpc/header.h"

#define VIREO_CLIENT_MAX_FDS 32
#define VIREO_CLIENT_MAX_LENGTH 33554436u

/* A packet on its way out; descriptors follow its last byte, one each. */
typedef struct {
    GByteArray *bytes;
    gsize sent;
    int *fds;
    guint n_fds, fds_sent;
} VireoPacket;

/* A call that waits for its reply; lives on the caller's stack. */
typedef struct {
    guint32 program, serial;
    GCond done_cond;
    gboolean done;
    VireoRpcHeader header;
    GByteArray *reply; /* with length word and header; NULL when the connection ended */
    int fds[VIREO_CLIENT_MAX_FDS];
    guint n_fds;
} VireoPending;

/* A packet on its way in. */
typedef struct {
    GByteArray *bytes;
    gsize have, need;
    gboolean have_length;
    VireoRpcHeader header;
    int fds[VIREO_CLIENT_MAX_FDS];
    guint n_fds, fds_due;
} VireoIncoming;

struct VireoClient {
    gatomicrefcount refs;
    char *uri, *socket;
    gboolean opened; /* CONNECT_OPEN was done, so CONNECT_CLOSE is due */
    int fd, wake_fd;
    GThread *thread;
    VireoIncoming in; /* the I/O thread's own */

    GMutex lock;
    GCond writable;
    guint32 next_serial;
    GHashTable *calls;   /* serial -> VireoPending */
    GHashTable *streams; /* serial -> VireoStream */
    GQueue out;          /* VireoPacket */
    gsize out_bytes;
    gsize stream_bytes;  /* received and not yet taken */
    GPtrArray *handlers;
    guint next_handler;
    gboolean stop;
    GError *failure; /* set once the connection has ended */
};

/* io.c: all with the lock held */
void vireo_client_queue(VireoClient *client, GByteArray *bytes, const int *fds, guint n_fds);
void vireo_client_fail(VireoClient *client, GError *error);
void vireo_client_wake(VireoClient *client);
gpointer vireo_client_io_thread(gpointer client);
void vireo_packet_free(VireoPacket *packet);

/* packet.c */
GByteArray *vireo_packet_new(const VireoRpcHeader *header);
void vireo_packet_seal(GByteArray *bytes);
/* Turns an error payload into a GError; remote (with arena), when not NULL, gets all of it. */
void vireo_packet_error(const guint8 *payload, gsize size, VireoArena *arena, vireo_error *remote,
                        GError **error);

/* event.c, with the lock held */
void vireo_client_deliver(VireoClient *client, const VireoRpcHeader *header, const guint8 *payload,
                          gsize size);
void vireo_client_deliver_end(VireoClient *client);
void vireo_client_free_handlers(VireoClient *client);

/* stream.c, with the lock held */
VireoStream *vireo_stream_new(VireoClient *client, const VireoOp *op, guint32 serial);
void vireo_stream_incoming(VireoStream *stream, const VireoRpcHeader *header, const guint8 *payload,
                           gsize size);
void vireo_stream_lost(VireoStream *stream, const GError *error);
