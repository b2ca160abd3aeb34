/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rpc/stream.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "ops/catalogue.h"

#define HOLE_SIZE 12 /* payload of a hole: hyper length, u32 flags */

VireoRpcStream *rpc_stream_ref(VireoRpcStream *stream)
{
    g_atomic_int_inc(&stream->refs);
    return stream;
}

void rpc_stream_unref(VireoRpcStream *stream)
{
    if (!stream || !g_atomic_int_dec_and_test(&stream->refs))
        return;
    if (stream->fd >= 0)
        close(stream->fd);
    g_free(stream->step.packet);
    g_free(stream);
}

static void stream_bury(gpointer stream)
{
    rpc_stream_unref(stream);
}

/* ---- the end ---- */

static void set_events(VireoRpcStream *stream, guint events)
{
    struct epoll_event event = {.events = events, .data.ptr = &stream->watch};
    int change = events == 0 ? EPOLL_CTL_DEL : stream->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

    if (events == stream->events)
        return;
    epoll_ctl(stream->server->epoll_fd, change, stream->fd, &event);
    stream->events = events;
}

/* error NULL: in good order. */
static void finish(VireoRpcStream *stream, const char *error)
{
    VireoRpcClient *client = stream->client;

    if (!client)
        return;
    g_mutex_lock(&client->lock);
    client->streams = g_list_remove(client->streams, stream);
    g_mutex_unlock(&client->lock);
    stream->client = NULL;
    set_events(stream, 0);
    if (!stream->busy) {
        close(stream->fd);
        stream->fd = -1;
    }
    while (stream->in.length > 0) {
        RpcStreamIn *in = g_queue_pop_head(&stream->in);

        if (!stream->busy || in != stream->step.in)
            g_free(in);
        rpc_client_give_slot(client);
    }
    if (stream->done)
        stream->done(error, stream->opaque);
    vireo_rpc_client_unref(client);
    rpc_server_bury(stream->server, stream, stream_bury);
}

void rpc_stream_fail_with(VireoRpcStream *stream, int code, const char *text)
{
    if (!stream->client)
        return;
    rpc_send_error(stream->client, &stream->header, VIREO_RPC_STREAM, code, VIREO_FROM_STREAMS, text);
    finish(stream, text);
}

void rpc_stream_fail(VireoRpcStream *stream, const char *what, int error)
{
    g_autofree char *text =
        error ? g_strdup_printf("%s: %s", what, g_strerror(error)) : g_strdup(what);

    rpc_stream_fail_with(stream, error ? VIREO_ERR_SYSTEM_ERROR : VIREO_ERR_RPC, text);
}

void rpc_streams_abandon(VireoRpcClient *client)
{
    while (client->streams)
        finish(client->streams->data, "the client has gone");
}

/* Confirms a finish or an abort. */
static void confirm(VireoRpcStream *stream, const char *error)
{
    rpc_send_empty(stream->client, &stream->header, VIREO_RPC_STREAM, VIREO_RPC_OK);
    finish(stream, error);
}

/* ---- descriptor to client ---- */

void rpc_stream_read_end(VireoRpcStream *stream)
{
    stream->reading = FALSE;
    rpc_send_empty(stream->client, &stream->header, VIREO_RPC_STREAM, VIREO_RPC_CONTINUE);
}

void rpc_stream_written(VireoRpcStream *stream)
{
    stream->queued = FALSE;
    if (stream->client)
        rpc_stream_go(stream);
}

void rpc_stream_send(VireoRpcStream *stream, guint8 *packet, gsize size)
{
    VireoRpcHeader header = stream->header;

    header.status = VIREO_RPC_CONTINUE;
    rpc_put_header(packet, RPC_HEADER + size, &header);
    stream->queued = !rpc_send(stream->client, packet, RPC_HEADER + size, NULL, 0, stream, FALSE);
}

void rpc_stream_send_hole(VireoRpcStream *stream, guint64 length)
{
    guint8 packet[RPC_HEADER + HOLE_SIZE] = {0};
    VireoRpcHeader header = stream->header;

    header.type = VIREO_RPC_STREAM_HOLE;
    header.status = VIREO_RPC_CONTINUE;
    rpc_put_header(packet, sizeof packet, &header);
    rpc_put_u32(packet + RPC_HEADER, length >> 32);
    rpc_put_u32(packet + RPC_HEADER + 4, (guint32)length);
    stream->queued = !rpc_send(stream->client, packet, sizeof packet, NULL, 0, stream, FALSE);
}

static void pump_read(VireoRpcStream *stream)
{
    VireoRpcServer *server = stream->server;
    guint8 *packet;
    gssize n;

    if (!server->stream_scratch)
        server->stream_scratch = g_malloc(RPC_HEADER + RPC_STREAM_MAX);
    packet = server->stream_scratch;
    if (stream->how & VIREO_STREAM_CONFIRM) {
        rpc_stream_confirm_read(stream, packet);
        return;
    }
    n = read(stream->fd, packet + RPC_HEADER, MIN(RPC_STREAM_MAX, stream->left));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* A pseudo terminal says EIO once nobody has the other side open, a socket that what was written stays unread. */
    if (n == 0 || (n < 0 && (errno == EIO || (errno == ECONNRESET && stream->writing)))) {
        rpc_stream_read_end(stream);
        return;
    }
    if (n < 0) {
        rpc_stream_fail(stream, "cannot read from the stream's source", errno);
        return;
    }
    if (stream->left != G_MAXUINT64)
        stream->left -= n;
    rpc_stream_send(stream, packet, n);
    if (stream->left == 0)
        rpc_stream_read_end(stream);
}

/* ---- client to descriptor ---- */

void rpc_stream_in_done(VireoRpcStream *stream)
{
    g_free(g_queue_pop_head(&stream->in));
    rpc_client_give_slot(stream->client);
}

/* Bytes taken, 0 when it has to wait; -1 when the stream is over. */
static gssize write_some(VireoRpcStream *stream, const guint8 *at, gsize size)
{
    gssize n = -1;

    if (stream->how & VIREO_STREAM_CONFIRM)
        return rpc_stream_confirm_write(stream, at, size);
    n = write(stream->fd, at, size);
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    rpc_stream_fail(stream, "cannot write to the stream's target", errno);
    return -1;
}

static void pump_write(VireoRpcStream *stream)
{
    while (stream->client && stream->in.head) {
        RpcStreamIn *in = stream->in.head->data;
        gssize n = in->hole ? rpc_stream_confirm_hole(stream, in->hole)
                            : write_some(stream, in->bytes + in->pos, in->size - in->pos);

        if (n <= 0)
            return;
        in->pos += in->hole ? 0 : n;
        if (in->pos == in->size)
            rpc_stream_in_done(stream);
    }
}

static gboolean wants_to_read(const VireoRpcStream *stream)
{
    return stream->reading ? !stream->queued : (stream->how & VIREO_STREAM_CONFIRM) && !stream->verdict;
}

static void stream_ready(RpcWatch *watch, guint events)
{
    VireoRpcStream *stream = (VireoRpcStream *)watch;

    if (!stream->client)
        return;
    if (stream->in.head && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        pump_write(stream);
    if (stream->client && wants_to_read(stream) && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        pump_read(stream);
    else if (stream->client && !stream->reading && !stream->in.head && (events & EPOLLERR))
        rpc_stream_fail(stream, "cannot write to the stream's target", EPIPE);
    if (stream->client)
        rpc_stream_go(stream);
}

void rpc_stream_go(VireoRpcStream *stream)
{
    guint events = 0;

    if (stream->finishing && !stream->in.head && !stream->busy) {
        if (!stream->writing || !(stream->how & VIREO_STREAM_CONFIRM) || rpc_stream_confirm_finish(stream))
            confirm(stream, NULL);
        if (!stream->client)
            return;
    }
    if (stream->file) {
        rpc_stream_file_go(stream);
        return;
    }
    if (wants_to_read(stream))
        events |= EPOLLIN;
    if (stream->in.head || (stream->finishing && !stream->told))
        events |= EPOLLOUT;
    set_events(stream, events);
}

/* ---- what the client sends ---- */

static void data_arrived(VireoRpcStream *stream, const guint8 *payload, gsize size, guint64 hole)
{
    RpcStreamIn *in;
    gssize n = 0;

    if (!stream->writing || stream->finishing) {
        rpc_stream_fail(stream, "the stream takes no data", 0);
        return;
    }
    if (!stream->file && !hole && !stream->in.head) {
        n = write_some(stream, payload, size);
        if (n < 0 || (gsize)n == size)
            return;
    }
    in = g_malloc(sizeof *in + size - n);
    in->hole = hole;
    in->size = size - n;
    in->pos = 0;
    memcpy(in->bytes, payload + n, size - n);
    rpc_client_take_slot(stream->client);
    g_queue_push_tail(&stream->in, in);
}

static void hole_arrived(VireoRpcStream *stream, const guint8 *payload, gsize size)
{
    guint64 length;

    if (!(stream->how & VIREO_STREAM_SPARSE) || !(stream->file || stream->how & VIREO_STREAM_CONFIRM)) {
        rpc_stream_fail(stream, "the stream takes no holes", 0);
        return;
    }
    if (size < HOLE_SIZE || rpc_get_u32(payload + 8) != 0) {
        rpc_stream_fail(stream, "a hole of an unknown form", 0);
        return;
    }
    length = (guint64)rpc_get_u32(payload) << 32 | rpc_get_u32(payload + 4);
    if (length > G_MAXINT64) {
        rpc_stream_fail(stream, "a hole of a negative length", 0);
        return;
    }
    if (length > 0)
        data_arrived(stream, payload, 0, length);
}

static void attach(VireoRpcStream *stream)
{
    struct epoll_event event = {.events = 0, .data.ptr = &stream->watch};

    if (stream->attached || !stream->client)
        return;
    stream->attached = TRUE;
    if (epoll_ctl(stream->server->epoll_fd, EPOLL_CTL_ADD, stream->fd, &event) == 0) {
        epoll_ctl(stream->server->epoll_fd, EPOLL_CTL_DEL, stream->fd, NULL);
        fcntl(stream->fd, F_SETFL, fcntl(stream->fd, F_GETFL) | O_NONBLOCK);
    } else if (errno == EPERM) {
        stream->file = TRUE;
    } else {
        rpc_stream_fail(stream, "cannot watch the stream's descriptor", errno);
        return;
    }
    rpc_stream_go(stream);
}

/* The stream of that call; or, with *pending, a call that may still open it. */
static VireoRpcStream *find_locked(VireoRpcClient *client, const VireoRpcHeader *h,
                                   gboolean *pending)
{
    *pending = FALSE;
    for (GList *item = client->streams; item; item = item->next) {
        VireoRpcStream *stream = item->data;
        const VireoRpcHeader *own = &stream->header;

        if (own->serial == h->serial && own->proc == h->proc && own->program == h->program &&
            own->version == h->version)
            return stream;
    }
    for (RpcRequest *request = client->requests; request && !*pending; request = request->next) {
        const VireoRpcHeader *own = &request->request.header;

        *pending = own->serial == h->serial && own->proc == h->proc && own->program == h->program &&
                   own->version == h->version;
    }
    return NULL;
}

gboolean rpc_stream_packet(VireoRpcClient *client, const VireoRpcHeader *header,
                           const guint8 *payload, gsize size)
{
    VireoRpcStream *stream;
    gboolean pending;

    g_mutex_lock(&client->lock);
    stream = find_locked(client, header, &pending);
    if (!stream && pending) {
        client->stalled = TRUE;
        rpc_client_rearm_locked(client);
    }
    g_mutex_unlock(&client->lock);
    if (!stream)
        return !pending;
    attach(stream);
    if (!stream->client)
        return TRUE;
    if (header->status == VIREO_RPC_ERROR) {
        confirm(stream, "the client aborted the stream");
        return TRUE;
    }
    if (header->status == VIREO_RPC_OK)
        stream->finishing = TRUE;
    else if (header->type == VIREO_RPC_STREAM_HOLE)
        hole_arrived(stream, payload, size);
    else if (size > 0)
        data_arrived(stream, payload, size, 0);
    if (stream->client)
        rpc_stream_go(stream);
    return TRUE;
}

static void attach_task(gpointer what)
{
    attach(what);
    rpc_stream_unref(what);
}

void vireo_rpc_stream_start(VireoRpcClient *client, const VireoRpcHeader *call, int fd, int how,
                            guint64 offset, guint64 length, VireoRpcStreamDone done,
                            gpointer opaque)
{
    VireoRpcStream *stream = g_new0(VireoRpcStream, 1);
    gboolean gone;

    stream->watch.ready = stream_ready;
    stream->refs = 2; /* the client's list and the task */
    stream->header = *call;
    stream->header.type = VIREO_RPC_STREAM;
    stream->fd = fd;
    stream->how = how;
    stream->reading = (how & VIREO_STREAM_FROM_FD) != 0;
    stream->writing = (how & VIREO_STREAM_TO_FD) != 0;
    stream->read_at = stream->write_at = offset;
    stream->left = length ? length : G_MAXUINT64;
    stream->done = done;
    stream->opaque = opaque;

    g_mutex_lock(&client->lock);
    gone = client->fd < 0;
    if (!gone) {
        stream->server = client->server;
        stream->client = vireo_rpc_client_ref(client);
        client->streams = g_list_prepend(client->streams, stream);
        rpc_server_post(client->server, attach_task, stream);
        rpc_client_resume_locked(client);
    }
    g_mutex_unlock(&client->lock);
    if (!gone)
        return;
    if (done)
        done("the client has gone", opaque);
    stream->refs = 1;
    rpc_stream_unref(stream);
}
