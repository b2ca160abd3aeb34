/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The transport: sockets, framing, request slots, keepalive, descriptors and streams. It knows
 * packets and bytes; what a call means is the business of whoever set the handler.
 *
 * Threads: all of a server's I/O and every handler function run on the thread that iterates the
 * main context the server was created on. The functions marked [any thread] may be called from
 * workers; they write at once where they can, else queue, and never block. The program ignores
 * SIGPIPE.
 *
 * Memory per client is bounded: it is not read from while its request slots are used up or it
 * leaves too many answers unread, and it loses its connection when it leaves too many events
 * unread.
 */
#pragma once

#include <glib.h>
#include "ops/catalogue.h"

typedef struct VireoRpcServer VireoRpcServer;
typedef struct VireoRpcClient VireoRpcClient; /* reference counted */
typedef struct VireoRpcStream VireoRpcStream;

typedef enum {
    VIREO_RPC_CALL = 0,
    VIREO_RPC_REPLY = 1,
    VIREO_RPC_MESSAGE = 2,
    VIREO_RPC_STREAM = 3,
    VIREO_RPC_CALL_WITH_FDS = 4,
    VIREO_RPC_REPLY_WITH_FDS = 5,
    VIREO_RPC_STREAM_HOLE = 6,
} VireoRpcType;

typedef enum { VIREO_RPC_OK = 0, VIREO_RPC_ERROR = 1, VIREO_RPC_CONTINUE = 2 } VireoRpcStatus;

typedef struct {
    guint32 program, version;
    gint32 proc;
    guint32 type, serial, status;
} VireoRpcHeader;

/* One CALL as it came in. It holds one of the client's request slots until it is released. */
typedef struct {
    VireoRpcHeader header;
    const guint8 *payload; /* aligned to 8 */
    gsize size;
    const int *fds;
    guint n_fds;
} VireoRpcRequest;

/* Which socket a client came in by. */
typedef enum {
    VIREO_RPC_SOCKET_RW,
    VIREO_RPC_SOCKET_RO,
    VIREO_RPC_SOCKET_ADMIN
} VireoRpcSocketKind;

typedef struct {
    /* A client was accepted. Attach what belongs to it with vireo_rpc_client_set_data. */
    void (*opened)(VireoRpcClient *client, gpointer opaque);
    /* A call with status OK. The handler answers at once or keeps the request and answers later;
     * either way it ends with vireo_rpc_request_release (also when the client has gone). */
    void (*call)(VireoRpcClient *client, VireoRpcRequest *request, gpointer opaque);
    /* The client is gone: no handler function is called for it any more. */
    void (*closed)(VireoRpcClient *client, gpointer opaque);
} VireoRpcHandler;

typedef struct {
    guint max_clients;           /* accepting stops above it */
    guint max_anonymous_clients; /* the same for clients not yet authenticated; 0: no such limit */
    guint max_client_requests;   /* a client with so many calls under way is not read from */
    guint max_message;           /* largest length word accepted */
    gint keepalive_interval;     /* seconds; -1: never */
    guint keepalive_count;
} VireoRpcLimits;

extern const VireoRpcLimits vireo_rpc_default_limits;

/* ---- server ---- */

VireoRpcServer *vireo_rpc_server_new(GMainContext *context, const VireoRpcLimits *limits,
                                     const VireoRpcHandler *handler, gpointer opaque);
/* Closes every socket and client; queued replies are lost. */
void vireo_rpc_server_free(VireoRpcServer *server);
/* Makes the server's context wait in the server's own epoll set, which saves a system call a turn.
 * For one server of the process, with all its other servers made already, before the context first
 * runs. */
void vireo_rpc_server_drive(VireoRpcServer *server);
/* Listens on a path (an old socket file is replaced; mode and gid applied, -1: leave) or on a
 * socket somebody else bound (socket activation). */
gboolean vireo_rpc_server_listen(VireoRpcServer *server, VireoRpcSocketKind kind, const char *path,
                                 guint mode, gint gid, GError **error);
gboolean vireo_rpc_server_listen_fd(VireoRpcServer *server, VireoRpcSocketKind kind, int fd,
                                    GError **error);
/* Stops accepting and unlinks the paths; clients stay. */
void vireo_rpc_server_close_listeners(VireoRpcServer *server);

void vireo_rpc_server_set_limits(VireoRpcServer *server, const VireoRpcLimits *limits);
void vireo_rpc_server_get_limits(VireoRpcServer *server, VireoRpcLimits *limits);
guint vireo_rpc_server_n_clients(VireoRpcServer *server, guint *anonymous);
/* Connected clients by rising id; free with g_ptr_array_unref. */
GPtrArray *vireo_rpc_server_clients(VireoRpcServer *server);

/* ---- client ---- */

VireoRpcClient *vireo_rpc_client_ref(VireoRpcClient *client);
void vireo_rpc_client_unref(VireoRpcClient *client);
void vireo_rpc_client_set_data(VireoRpcClient *client, gpointer data);
gpointer vireo_rpc_client_data(VireoRpcClient *client);

guint64 vireo_rpc_client_id(const VireoRpcClient *client); /* unique in the process, from 1 */
VireoRpcSocketKind vireo_rpc_client_kind(const VireoRpcClient *client);
gint64 vireo_rpc_client_since(const VireoRpcClient *client); /* seconds since the epoch */
/* The peer as the kernel tells it; FALSE when it does not. start_time: clock ticks, 0 unknown; it
 * is read from /proc, so pass NULL where it is not needed. [I/O thread] */
gboolean vireo_rpc_client_peer(const VireoRpcClient *client, pid_t *pid, uid_t *uid, gid_t *gid,
                               guint64 *start_time);
/* New clients count as anonymous until this is called. */
void vireo_rpc_client_set_authenticated(VireoRpcClient *client);
/* Starts our own pings (the client said it understands them). */
void vireo_rpc_client_enable_keepalive(VireoRpcClient *client);
/* Closes once everything queued is written, or the client has not read it for 10 seconds.
 * [any thread] */
void vireo_rpc_client_close(VireoRpcClient *client);

/* ---- answers [any thread] ---- */

/* Sends a REPLY with status OK (REPLY_WITH_FDS when n_fds > 0; the fds are duplicated). op NULL or
 * without result: an empty reply. An unencodable result is turned into an error reply. */
void vireo_rpc_reply(VireoRpcClient *client, const VireoRpcHeader *call, const VireoOp *op,
                     gconstpointer ret, const int *fds, guint n_fds);
/* Sends a REPLY with status ERROR. */
void vireo_rpc_reply_error(VireoRpcClient *client, const VireoRpcHeader *call,
                           const vireo_error *error);
/* Sends an event message. */
void vireo_rpc_send_event(VireoRpcClient *client, const VireoOp *op, gconstpointer msg);
/* Gives the request slot back and frees the request with its payload and fds. */
void vireo_rpc_request_release(VireoRpcClient *client, VireoRpcRequest *request);

/* ---- streams [any thread] ---- */

/* Joins the stream of a call with fd (which becomes the stream's), to be called right after
 * vireo_rpc_reply of that call and before its request is released: what the client sends between
 * the two is held back. how: enum vireo_stream_how; offset and length are for regular files, length
 * 0: to the end. done, when not NULL, runs once on the I/O thread at the end, error NULL when the
 * client finished in good order. The stream ends with its client; when that has already gone, done
 * runs on the calling thread. Regular files are read and written at offset, by workers; other
 * descriptors are made non-blocking. */
typedef void (*VireoRpcStreamDone)(const char *error, gpointer opaque);
void vireo_rpc_stream_start(VireoRpcClient *client, const VireoRpcHeader *call, int fd, int how,
                            guint64 offset, guint64 length, VireoRpcStreamDone done,
                            gpointer opaque);
