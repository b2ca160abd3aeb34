/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streams whose two sides say how they ended: messages of a socket, each with a byte of enum vireo_stream_say. */
#include "rpc/stream.h"

#include <string.h>
#include <sys/socket.h>

#define MOST_DATA 65536

static gssize say(VireoRpcStream *stream, guint8 what, gconstpointer data, gsize size)
{
    struct iovec parts[] = { { &what, 1 }, { (gpointer)data, size } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = G_N_ELEMENTS(parts) };

    return sendmsg(stream->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A driver that does not listen any more has mostly said why. */
static gssize say_or_fail(VireoRpcStream *stream, guint8 what, gconstpointer data, gsize size)
{
    g_autofree guint8 *packet = NULL;
    gssize n = say(stream, what, data, size);

    if (n >= 0)
        return 1;
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
        return 0;
    packet = g_malloc(RPC_HEADER + RPC_STREAM_MAX);
    rpc_stream_confirm_read(stream, packet);
    if (stream->verdict && what == VIREO_STREAM_SAY_DONE)
        return 1;
    if (stream->client)
        rpc_stream_fail(stream, "the driver takes no more of the stream", 0);
    return -1;
}

gssize rpc_stream_confirm_write(VireoRpcStream *stream, const guint8 *at, gsize size)
{
    gsize part = MIN(size, MOST_DATA);
    gssize n = say_or_fail(stream, VIREO_STREAM_SAY_DATA, at, part);

    return n > 0 ? (gssize)part : n;
}

gssize rpc_stream_confirm_hole(VireoRpcStream *stream, guint64 length)
{
    return say_or_fail(stream, VIREO_STREAM_SAY_HOLE, &length, sizeof length);
}

gboolean rpc_stream_confirm_finish(VireoRpcStream *stream)
{
    if (!stream->verdict && !stream->told)
        stream->told = say_or_fail(stream, VIREO_STREAM_SAY_DONE, NULL, 0) > 0;
    return stream->verdict;
}

/* What follows the byte `what`, in packet behind RPC_HEADER; -1 and errno, ENODATA when nothing comes any more. */
static gssize receive(VireoRpcStream *stream, guint8 *what, guint8 *packet)
{
    struct iovec parts[] = { { what, 1 }, { packet + RPC_HEADER, RPC_STREAM_MAX } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = G_N_ELEMENTS(parts) };
    gssize n;

    do /* A reset tells that something stays unread there; what was said before that is still to be had. */
        n = recvmsg(stream->fd, &message, MSG_DONTWAIT);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n == 0)
        errno = ENODATA;
    else if (n > 0 && message.msg_flags & MSG_TRUNC)
        errno = EMSGSIZE;
    else if (n > 0)
        return n - 1;
    return -1;
}

static void take_hole(VireoRpcStream *stream, const guint8 *data)
{
    guint64 length;

    memcpy(&length, data, sizeof length);
    if (length > G_MAXINT64)
        rpc_stream_fail(stream, "the driver sends a hole of a negative length", 0);
    else if (length)
        rpc_stream_send_hole(stream, length);
}

static void take_failure(VireoRpcStream *stream, const guint8 *data, gsize size)
{
    guint32 code;
    g_autofree char *raw = g_strndup((const char *)data + sizeof code, size - sizeof code);
    g_autofree char *text = g_utf8_make_valid(raw, -1);

    memcpy(&code, data, sizeof code);
    rpc_stream_fail_with(stream, (int)code, *text ? text : "the driver does not say why the stream failed");
}

void rpc_stream_confirm_read(VireoRpcStream *stream, guint8 *packet)
{
    guint8 what = 0;
    gssize n = receive(stream, &what, packet);
    const guint8 *data = packet + RPC_HEADER;

    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0)
        rpc_stream_fail(stream, "the driver has given the stream up", errno == ENODATA ? 0 : errno);
    else if (what == VIREO_STREAM_SAY_DATA && stream->reading && n > 0)
        rpc_stream_send(stream, packet, (gsize)n);
    else if (what == VIREO_STREAM_SAY_HOLE && stream->reading && stream->how & VIREO_STREAM_SPARSE && n == 8)
        take_hole(stream, data);
    else if (what == VIREO_STREAM_SAY_DONE) {
        stream->verdict = TRUE;
        if (stream->reading)
            rpc_stream_read_end(stream);
    } else if (what == VIREO_STREAM_SAY_FAILED && n >= 4)
        take_failure(stream, data, (gsize)n);
    else
        rpc_stream_fail(stream, "the driver says something unknown on the stream", 0);
}
