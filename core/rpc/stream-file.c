/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File I/O of streams, on workers: a file cannot be polled and may make its reader wait. */
#include "rpc/stream.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_WORKERS 4

/* ---- on a worker ---- */

/* Where the next data begins and ends. A file system that cannot tell has data everywhere. */
static gboolean find_data(VireoRpcStream *stream, guint64 *hole, guint64 *data)
{
    struct stat info;
    off_t at = stream->read_at, start = lseek(stream->fd, at, SEEK_DATA), end;

    *hole = 0;
    *data = G_MAXUINT64;
    if (start < 0 && errno == ENXIO) {
        if (fstat(stream->fd, &info) < 0)
            return FALSE;
        *hole = info.st_size > at ? info.st_size - at : 0;
        *data = 0;
        return TRUE;
    }
    if (start < 0)
        return TRUE;
    *hole = start - at;
    end = lseek(stream->fd, start, SEEK_HOLE);
    if (end > start)
        *data = end - start;
    return TRUE;
}

static void step_read(VireoRpcStream *stream)
{
    RpcStreamStep *step = &stream->step;
    guint64 data = G_MAXUINT64;
    gssize n;

    if ((stream->how & VIREO_STREAM_SPARSE) && !find_data(stream, &step->hole, &data)) {
        step->error = errno;
        return;
    }
    step->hole = MIN(step->hole, stream->left);
    if (step->hole > 0 || data == 0)
        return;
    if (!step->packet)
        step->packet = g_malloc(RPC_HEADER + RPC_STREAM_MAX);
    do
        n = pread(stream->fd, step->packet + RPC_HEADER,
                  MIN(RPC_STREAM_MAX, MIN(data, stream->left)), stream->read_at);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        step->error = errno;
    else
        step->size = n;
}

static int write_all(int fd, const guint8 *at, gsize size, guint64 offset)
{
    while (size > 0) {
        gssize n = pwrite(fd, at, size, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        at += n;
        size -= n;
        offset += n;
    }
    return 0;
}

/* Zeroes a range: without blocks where the file system can, with written zeros where it cannot. */
static int write_hole(int fd, guint64 offset, guint64 length)
{
    static const guint8 zeros[65536];
    struct stat info;
    guint64 end = offset + length, inside;

    if (fstat(fd, &info) < 0)
        return errno;
    if (S_ISREG(info.st_mode) && end > (guint64)info.st_size && ftruncate(fd, end) < 0)
        return errno;
    inside = S_ISREG(info.st_mode)
                 ? MIN(length, (guint64)info.st_size > offset ? info.st_size - offset : 0)
                 : length;
    if (inside == 0 ||
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, inside) == 0)
        return 0;
    while (inside > 0) {
        gsize part = MIN(inside, sizeof zeros);
        int error = write_all(fd, zeros, part, offset);

        if (error)
            return error;
        offset += part;
        inside -= part;
    }
    return 0;
}

static void step_over(gpointer what);

static void run_step(gpointer what, gpointer unused)
{
    VireoRpcStream *stream = what;
    RpcStreamStep *step = &stream->step;

    if (!step->in)
        step_read(stream);
    else if (step->in->hole)
        step->error = write_hole(stream->fd, stream->write_at, step->in->hole);
    else
        step->error = write_all(stream->fd, step->in->bytes, step->in->size, stream->write_at);
    rpc_server_post(stream->server, step_over, stream);
}

/* ---- on the I/O thread ---- */

static void send_step(VireoRpcStream *stream)
{
    RpcStreamStep *step = &stream->step;
    guint64 length = step->hole ? step->hole : step->size;

    stream->read_at += length;
    if (stream->left != G_MAXUINT64)
        stream->left -= length;
    if (step->hole)
        rpc_stream_send_hole(stream, step->hole);
    else if (step->size > 0)
        rpc_stream_send(stream, step->packet, step->size);
    if (length == 0 || stream->left == 0)
        rpc_stream_read_end(stream);
}

static void step_over(gpointer what)
{
    VireoRpcStream *stream = what;
    RpcStreamStep *step = &stream->step;
    RpcStreamIn *in = g_steal_pointer(&step->in);

    stream->busy = FALSE;
    if (!stream->client) {
        g_free(in);
    } else if (step->error) {
        rpc_stream_fail(stream, in ? "cannot write the file" : "cannot read the file", step->error);
    } else {
        if (in) {
            stream->write_at += in->hole ? in->hole : in->size;
            rpc_stream_in_done(stream);
        } else {
            send_step(stream);
        }
        rpc_stream_go(stream);
    }
    rpc_stream_unref(stream);
}

void rpc_stream_file_go(VireoRpcStream *stream)
{
    VireoRpcServer *server = stream->server;
    RpcStreamStep *step = &stream->step;

    if (stream->busy || (!stream->in.head && (!stream->reading || stream->queued)))
        return;
    step->in = g_queue_peek_head(&stream->in);
    step->size = 0;
    step->hole = 0;
    step->error = 0;
    stream->busy = TRUE;
    rpc_stream_ref(stream);
    if (!server->files)
        server->files = g_thread_pool_new(run_step, NULL, FILE_WORKERS, FALSE, NULL);
    g_thread_pool_push(server->files, stream, NULL);
}
