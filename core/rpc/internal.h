/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of this room share.
 *
 * Locking: a client's lock covers its descriptor, its output queue, its request slots and its list
 * of streams, so that answers are written from any thread without waking the I/O thread. Everything
 * else belongs to the I/O thread. Order: client, then the server's task lock.
 */
#pragma once

#include <gio/gio.h>
#include <sys/epoll.h>

#include "rpc/header.h"

#define RPC_LARGEST           33554436 /* bytes of a packet that every client takes */
#define RPC_MAX_FDS           32       /* per packet */
#define RPC_STREAM_MAX        262120   /* stream bytes per packet that every client takes */
#define RPC_SCRATCH           65536    /* packets up to this size are parsed where they were read */
#define RPC_ANONYMOUS_MESSAGE (1024 * 1024) /* largest packet before authentication */
#define RPC_OUT_HIGH          (1024 * 1024) /* a client with more unread answers is not read from */
#define RPC_EVENTS_MAX                                                                             \
    (16 * 1024 * 1024)         /* a client with more unread bytes loses its connection             \
                                */
#define RPC_LINGER          10 /* seconds a closing client has to read what is queued */
#define RPC_EVENTS_PER_TURN 64
#define RPC_WHEEL           64 /* slots of one second */

/* What an epoll event leads to. */
typedef struct RpcWatch RpcWatch;
struct RpcWatch {
    void (*ready)(RpcWatch *watch, guint events);
};

typedef void (*RpcTaskFn)(gpointer what);
typedef struct RpcRequest RpcRequest;
typedef struct RpcOut RpcOut;

typedef struct {
    RpcWatch watch;
    VireoRpcServer *server;
    VireoRpcSocketKind kind;
    int fd;
    char *path; /* NULL: somebody else's */
    gboolean polled;
} RpcListener;

struct VireoRpcServer {
    GSource *source;
    GMainContext *context;
    GThread *thread; /* set while it dispatches */
    int epoll_fd;
    RpcWatch wake;
    int wake_fd;
    /* Events that were seen while the context waited, for the turn that follows. */
    struct epoll_event pending[RPC_EVENTS_PER_TURN];
    guint n_pending;
    VireoRpcHandler handler;
    gpointer opaque;
    VireoRpcLimits limits;
    GPtrArray *listeners;
    gboolean accepting;
    gint64 accept_retry; /* monotonic microseconds; 0: none */
    GQueue clients;      /* by rising id */
    guint n_anonymous;
    GPtrArray *buried; /* dropped once no event can name them */
    GMutex task_lock;
    GArray *tasks;
    GQueue wheel[RPC_WHEEL];
    gint64 wheel_second; /* every slot before it is empty */
    guint wheel_used;
    GThreadPool *files;
    guint8 *scratch;
    guint8 *stream_scratch;
};

struct RpcRequest {
    VireoRpcRequest request; /* first: the public part */
    VireoRpcClient *client;  /* referenced */
    RpcRequest *next;
    gsize capacity, have, total; /* while a large packet is being read */
    _Alignas(8) guint8 bytes[];  /* a large packet starts at +4, so that its payload is aligned */
};

struct RpcOut {
    RpcOut *next;
    VireoRpcStream *stream; /* told once the packet is written; referenced */
    int *fds;
    guint n_fds, fd_pos;
    gsize size, pos;
    guint8 bytes[];
};

struct VireoRpcClient {
    RpcWatch watch;
    gint refs;
    VireoRpcServer *server;
    guint64 id;
    VireoRpcSocketKind kind;
    gint64 since;
    gpointer data;
    GList link; /* in server->clients */
    gboolean authenticated;

    /* I/O thread: input */
    gboolean stalled; /* not read from until a slot, the queue or a stream changes */
    guint8 *carry;    /* the beginning of a packet */
    gsize carry_size;
    RpcRequest *large;   /* a packet beyond RPC_SCRATCH */
    RpcRequest *fd_call; /* a packet whose descriptors are still to come */
    guint fds_wanted;
    guint64 received, parsed; /* stream positions */
    GArray *in_fds;

    /* I/O thread: keepalive and linger */
    gboolean keepalive;
    gboolean heard; /* since the deadline was set */
    gint pings_left;
    gint64 last_input, deadline; /* monotonic seconds */
    gint64 slot;                 /* of the wheel, -1: in none */
    GList timer;

    GMutex lock;
    int fd;          /* -1 once closed */
    guint events;    /* registered with epoll */
    gboolean corked; /* the I/O thread flushes soon */
    gboolean closing, broken;
    gboolean resume_posted;
    guint slots; /* in use */
    RpcRequest *requests;
    RpcOut *out, **out_tail;
    gsize out_bytes;
    GList *streams;
};

typedef struct {
    int fd;
    guint64 end; /* stream position after the byte it came with */
} RpcInFd;

/* ---- server.c ---- */
/* Runs fn on the I/O thread, after what it is doing now. [any thread] */
void rpc_server_post(VireoRpcServer *server, RpcTaskFn fn, gpointer what);
gboolean rpc_server_is_current(VireoRpcServer *server);
/* Calls free_fn once the current batch of events is over. */
void rpc_server_bury(VireoRpcServer *server, gpointer what, GDestroyNotify free_fn);
gint64 rpc_now(void); /* monotonic seconds */

/* ---- poll.c ---- */
void rpc_poll_stop(VireoRpcServer *server);

/* ---- listen.c ---- */
void rpc_listeners_update(VireoRpcServer *server);
void rpc_listener_free(RpcListener *listener);

/* ---- client.c ---- */
/* Takes fd; NULL when it cannot be watched. */
VireoRpcClient *rpc_client_new(VireoRpcServer *server, int fd, VireoRpcSocketKind kind);
/* The end of a connection. [I/O thread] */
void rpc_client_disconnect(VireoRpcClient *client);
/* Logs why and disconnects. */
void rpc_client_kick(VireoRpcClient *client, const char *why);
void rpc_client_rearm_locked(VireoRpcClient *client);
/* Slots. Taking is for the I/O thread. */
void rpc_client_take_slot(VireoRpcClient *client);
void rpc_client_give_slot(VireoRpcClient *client);
/* Something a stalled client waited for may have happened. */
void rpc_client_resume_locked(VireoRpcClient *client);

/* ---- input.c ---- */
void rpc_input_ready(VireoRpcClient *client);
void rpc_input_resume(VireoRpcClient *client);
void rpc_input_clear(VireoRpcClient *client);
void rpc_request_free(RpcRequest *request);

/* ---- output.c ---- */
/* Writes or queues a packet; TRUE when nothing of it had to be queued. `stream` is told when a
 * queued packet is written. [any thread] */
gboolean rpc_send(VireoRpcClient *client, const guint8 *packet, gsize size, const int *fds,
                  guint n_fds, VireoRpcStream *stream, gboolean event);
/* Writes what is queued. [I/O thread] */
void rpc_output_flush(VireoRpcClient *client);
void rpc_output_clear_locked(VireoRpcClient *client);
/* An error reply, or with type STREAM a stream's end. */
void rpc_send_error(VireoRpcClient *client, const VireoRpcHeader *header, VireoRpcType type,
                    int code, int domain, const char *message);
void rpc_send_empty(VireoRpcClient *client, const VireoRpcHeader *header, VireoRpcType type,
                    VireoRpcStatus status);

/* ---- keepalive.c ---- */
void rpc_keepalive_packet(VireoRpcClient *client, const VireoRpcHeader *header);
void rpc_timer_set(VireoRpcClient *client, gint64 second);
void rpc_timer_clear(VireoRpcClient *client);
void rpc_timers_run(VireoRpcServer *server);
void rpc_timers_arm(VireoRpcServer *server);

/* ---- stream.c ---- */
/* FALSE: its call is still being answered; the client is stalled until that is over. */
gboolean rpc_stream_packet(VireoRpcClient *client, const VireoRpcHeader *header,
                           const guint8 *payload, gsize size);
void rpc_stream_written(VireoRpcStream *stream);
VireoRpcStream *rpc_stream_ref(VireoRpcStream *stream);
void rpc_stream_unref(VireoRpcStream *stream);
/* The client is gone. */
void rpc_streams_abandon(VireoRpcClient *client);
