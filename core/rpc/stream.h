/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One stream between a client and a descriptor. It belongs to the I/O thread. Descriptors that can
 * be polled are read and written there; regular files are left to a worker, one step at a time, and
 * while `busy` is set the worker alone touches `step`.
 */
#pragma once

#include "rpc/internal.h"

/* What a client sent and the descriptor has not taken yet; each holds a request slot. */
typedef struct {
    guint64 hole; /* its length; 0: data */
    gsize size, pos;
    guint8 bytes[];
} RpcStreamIn;

/* One piece of file I/O. */
typedef struct {
    RpcStreamIn *in; /* to write; NULL: read */
    guint8 *packet;  /* read: RPC_HEADER bytes of room, then data */
    gsize size;      /* read: bytes of data, 0 and no hole: the end */
    guint64 hole;    /* read: a hole of that length instead */
    int error;       /* errno */
} RpcStreamStep;

struct VireoRpcStream {
    RpcWatch watch;
    gint refs;
    VireoRpcServer *server;
    VireoRpcClient *client; /* referenced; NULL once the stream is over */
    VireoRpcHeader header;
    int fd;
    int how;
    gboolean attached, file, busy;
    guint events; /* registered with epoll; 0: not registered */

    gboolean reading;      /* there may be more to read from the descriptor */
    gboolean queued;       /* a packet of ours waits in the client's queue */
    guint64 read_at, left; /* left: G_MAXUINT64 without a limit */

    gboolean writing, finishing; /* finishing: the client said it has sent everything */
    guint64 write_at;
    GQueue in;
    gboolean told, verdict; /* VIREO_STREAM_CONFIRM: the driver knows that this was all; it has said that all is well */

    RpcStreamStep step;
    VireoRpcStreamDone done;
    gpointer opaque;
};

/* Does what can be done next. */
void rpc_stream_go(VireoRpcStream *stream);
/* The read side has no more; the client is told. */
void rpc_stream_read_end(VireoRpcStream *stream);
/* Ends the stream with an error that the client is told. */
void rpc_stream_fail(VireoRpcStream *stream, const char *what, int error);
/* The first of what the client sent has been taken. */
void rpc_stream_in_done(VireoRpcStream *stream);

/* Hands the client what was read into packet behind RPC_HEADER; a hole. */
void rpc_stream_send(VireoRpcStream *stream, guint8 *packet, gsize size);
void rpc_stream_send_hole(VireoRpcStream *stream, guint64 length);
/* Ends the stream with the driver's own error. */
void rpc_stream_fail_with(VireoRpcStream *stream, int code, const char *text);

/* stream-confirm.c: streams with VIREO_STREAM_CONFIRM. Bytes taken, 0 when it has to wait; -1 when the stream is
 * over. */
gssize rpc_stream_confirm_write(VireoRpcStream *stream, const guint8 *at, gsize size);
gssize rpc_stream_confirm_hole(VireoRpcStream *stream, guint64 length);
/* Takes one message of the driver. */
void rpc_stream_confirm_read(VireoRpcStream *stream, guint8 *packet);
/* The client has sent everything. TRUE: the driver has said that all is well. */
gboolean rpc_stream_confirm_finish(VireoRpcStream *stream);

/* stream-file.c: starts a step on a worker when there is one to do. */
void rpc_stream_file_go(VireoRpcStream *stream);
