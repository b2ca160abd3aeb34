/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/client.h"
#include "ops/codec.h"

/* The most data that fits in one packet of any daemon there ever was. */
#define CHUNK 262120
/* A sender waits while so much is queued and not yet taken by the socket. */
#define QUEUE_MAX (4 * CHUNK)

extern const VireoWireType vireo_type_stream_hole;

typedef struct {
    GBytes *data; /* NULL: a hole */
    gsize taken;
    gint64 hole;
} Part;

struct VireoStream {
    VireoClient *client; /* a reference */
    const VireoOp *op;
    guint32 serial;
    /* guarded by the client's lock */
    GQueue in;
    GCond changed;
    gboolean eof;    /* the daemon sends no more data */
    gboolean ending; /* we said finish or abort: late data is dropped */
    gboolean over;   /* the daemon forgot the stream */
    GError *error;
    int event_fd;
};

static void part_free(Part *part)
{
    if (part->data)
        g_bytes_unref(part->data);
    g_free(part);
}

VireoStream *vireo_stream_new(VireoClient *client, const VireoOp *op, guint32 serial)
{
    VireoStream *stream = g_new0(VireoStream, 1);

    stream->client = vireo_client_ref(client);
    stream->op = op;
    stream->serial = serial;
    stream->event_fd = -1;
    g_queue_init(&stream->in);
    g_cond_init(&stream->changed);
    g_hash_table_insert(client->streams, GUINT_TO_POINTER(serial), stream);
    return stream;
}

static gboolean would_not_wait(VireoStream *stream)
{
    return !g_queue_is_empty(&stream->in) || stream->eof || stream->over;
}

static void show_state(VireoStream *stream)
{
    guint64 count = 1;

    g_cond_broadcast(&stream->changed);
    if (stream->event_fd < 0)
        return;
    if (would_not_wait(stream))
        count = write(stream->event_fd, &count, sizeof(count)) > 0;
    else
        count = read(stream->event_fd, &count, sizeof(count)) > 0;
}

static void end(VireoStream *stream)
{
    stream->over = TRUE;
    g_hash_table_remove(stream->client->streams, GUINT_TO_POINTER(stream->serial));
}

void vireo_stream_lost(VireoStream *stream, const GError *error)
{
    stream->over = TRUE;
    if (!stream->error)
        stream->error = g_error_copy(error);
    show_state(stream);
    g_cond_broadcast(&stream->client->writable);
}

static void push_part(VireoStream *stream, GBytes *data, gint64 hole)
{
    Part *part = g_new0(Part, 1);

    part->data = data;
    part->hole = hole;
    stream->client->stream_bytes += data ? g_bytes_get_size(data) : 0;
    g_queue_push_tail(&stream->in, part);
}

static void incoming_hole(VireoStream *stream, const guint8 *payload, gsize size)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    vireo_stream_hole hole = { 0 };

    if (vireo_wire_decode(&vireo_type_stream_hole, payload, size, arena, &hole, NULL, NULL) &&
        hole.length > 0)
        push_part(stream, NULL, hole.length);
}

void vireo_stream_incoming(VireoStream *stream, const VireoRpcHeader *header, const guint8 *payload,
                           gsize size)
{
    if (header->program != vireo_program_number(stream->op->program) ||
        header->proc != stream->op->proc)
        return;
    if (header->status == VIREO_RPC_ERROR) {
        if (!stream->error)
            vireo_packet_error(payload, size, NULL, NULL, &stream->error);
        end(stream);
        g_cond_broadcast(&stream->client->writable);
    } else if (header->status == VIREO_RPC_OK) {
        end(stream);
    } else if (stream->ending) {
        return;
    } else if (header->type == VIREO_RPC_STREAM_HOLE) {
        incoming_hole(stream, payload, size);
    } else if (size > 0) {
        push_part(stream, g_bytes_new(payload, size), 0);
    } else {
        stream->eof = TRUE;
    }
    show_state(stream);
}

/* ---- the caller's side ---- */

static GByteArray *stream_packet(VireoStream *stream, VireoRpcType type, VireoRpcStatus status)
{
    VireoRpcHeader header = {
        .program = vireo_program_number(stream->op->program),
        .version = 1,
        .proc = stream->op->proc,
        .type = type,
        .serial = stream->serial,
        .status = status,
    };

    return vireo_packet_new(&header);
}

static gboolean is_over(VireoStream *stream, GError **error)
{
    if (!stream->over && !stream->ending)
        return FALSE;
    if (stream->error)
        g_propagate_error(error, g_error_copy(stream->error));
    else
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID, "the stream has ended");
    return TRUE;
}

/* Waits for room, then queues; takes the bytes. */
static gboolean send_packet(VireoStream *stream, GByteArray *bytes, GError **error)
{
    VireoClient *client = stream->client;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&client->lock);

    while (client->out_bytes > QUEUE_MAX && !client->failure && !stream->over)
        g_cond_wait(&client->writable, &client->lock);
    if (is_over(stream, error)) {
        g_byte_array_unref(bytes);
        return FALSE;
    }
    vireo_packet_seal(bytes);
    vireo_client_queue(client, bytes, NULL, 0);
    return TRUE;
}

gboolean vireo_stream_send(VireoStream *stream, gconstpointer data, gsize size, GError **error)
{
    const guint8 *at = data;

    while (size > 0) {
        GByteArray *bytes = stream_packet(stream, VIREO_RPC_STREAM, VIREO_RPC_CONTINUE);
        gsize part = MIN(size, CHUNK);

        g_byte_array_append(bytes, at, part);
        if (!send_packet(stream, bytes, error))
            return FALSE;
        at += part;
        size -= part;
    }
    return TRUE;
}

gboolean vireo_stream_send_hole(VireoStream *stream, gint64 length, GError **error)
{
    GByteArray *bytes = stream_packet(stream, VIREO_RPC_STREAM_HOLE, VIREO_RPC_CONTINUE);
    vireo_stream_hole hole = { .length = length };

    if (!vireo_wire_encode(&vireo_type_stream_hole, &hole, bytes, error)) {
        g_byte_array_unref(bytes);
        return FALSE;
    }
    return send_packet(stream, bytes, error);
}

/* Takes from the first part as much as fits. */
static gsize take(VireoStream *stream, guint8 *buffer, gsize size, gint64 *hole)
{
    Part *part = g_queue_peek_head(&stream->in);
    gsize n;

    if (part->data) {
        gsize length;
        const guint8 *data = g_bytes_get_data(part->data, &length);

        n = MIN(size, length - part->taken);
        memcpy(buffer, data + part->taken, n);
        part->taken += n;
        stream->client->stream_bytes -= n;
        if (part->taken < length)
            return n;
    } else if (hole) {
        *hole = part->hole;
        n = 0;
    } else {
        n = MIN(size, (guint64)part->hole);
        memset(buffer, 0, n);
        part->hole -= n;
        if (part->hole > 0)
            return n;
    }
    part_free(g_queue_pop_head(&stream->in));
    return n;
}

gssize vireo_stream_recv(VireoStream *stream, gpointer buffer, gsize size, gint64 *hole, GError **error)
{
    VireoClient *client = stream->client;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&client->lock);
    gssize n;

    if (hole)
        *hole = 0;
    while (!would_not_wait(stream))
        g_cond_wait(&stream->changed, &client->lock);
    if (g_queue_is_empty(&stream->in)) {
        if (stream->error) {
            g_propagate_error(error, g_error_copy(stream->error));
            return -1;
        }
        return 0;
    }
    n = take(stream, buffer, size, hole);
    if (!would_not_wait(stream))
        show_state(stream);
    vireo_client_wake(client);
    return n;
}

int vireo_stream_fd(VireoStream *stream)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&stream->client->lock);

    if (stream->event_fd < 0) {
        stream->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        show_state(stream);
    }
    return stream->event_fd;
}

static void drop_input(VireoStream *stream)
{
    Part *part;

    while ((part = g_queue_pop_head(&stream->in))) {
        if (part->data)
            stream->client->stream_bytes -= g_bytes_get_size(part->data) - part->taken;
        part_free(part);
    }
    vireo_client_wake(stream->client);
}

static gboolean say_end(VireoStream *stream, VireoRpcStatus status, gboolean wait, GError **error)
{
    VireoClient *client = stream->client;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&client->lock);

    if (!stream->over && !stream->ending) {
        GByteArray *bytes = stream_packet(stream, VIREO_RPC_STREAM, status);

        stream->ending = TRUE;
        drop_input(stream);
        vireo_client_queue(client, bytes, NULL, 0);
    }
    while (wait && !stream->over)
        g_cond_wait(&stream->changed, &client->lock);
    if (wait && stream->error) {
        g_propagate_error(error, g_error_copy(stream->error));
        return FALSE;
    }
    return TRUE;
}

gboolean vireo_stream_finish(VireoStream *stream, GError **error)
{
    return say_end(stream, VIREO_RPC_OK, TRUE, error);
}

gboolean vireo_stream_abort(VireoStream *stream, GError **error)
{
    return say_end(stream, VIREO_RPC_ERROR, TRUE, error);
}

void vireo_stream_free(VireoStream *stream)
{
    VireoClient *client;

    if (!stream)
        return;
    client = stream->client;
    say_end(stream, VIREO_RPC_ERROR, FALSE, NULL);
    g_mutex_lock(&client->lock);
    drop_input(stream);
    g_hash_table_remove(client->streams, GUINT_TO_POINTER(stream->serial));
    g_mutex_unlock(&client->lock);
    if (stream->event_fd >= 0)
        close(stream->event_fd);
    g_cond_clear(&stream->changed);
    g_clear_error(&stream->error);
    g_free(stream);
    vireo_client_unref(client);
}
