/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection's own thread: it reads all packets and writes what the socket would not take at
 * once. Callers write directly while nothing is queued.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/client.h"

/* Stream data that nobody takes: above this, and with no call waiting, the socket is not read. */
#define STREAM_BYTES_MAX (16u << 20)

#define KEEPALIVE_PING 1
#define KEEPALIVE_PONG 2

void vireo_packet_free(VireoPacket *packet)
{
    if (!packet)
        return;
    for (guint i = packet->fds_sent; i < packet->n_fds; i++)
        close(packet->fds[i]);
    g_byte_array_unref(packet->bytes);
    g_free(packet->fds);
    g_free(packet);
}

void vireo_client_wake(VireoClient *client)
{
    guint64 one = 1;

    if (write(client->wake_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: the thread is awake already */
}

/* The connection has ended: everyone who waits gets to know. Takes the error. */
void vireo_client_fail(VireoClient *client, GError *error)
{
    GHashTableIter iter;
    gpointer value;

    if (client->failure) {
        g_error_free(error);
        return;
    }
    client->failure = error;
    g_hash_table_iter_init(&iter, client->calls);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VireoPending *pending = value;

        pending->done = TRUE;
        g_cond_signal(&pending->done_cond);
    }
    g_hash_table_remove_all(client->calls);
    g_hash_table_iter_init(&iter, client->streams);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        vireo_stream_lost(value, error);
    g_hash_table_remove_all(client->streams);
    g_cond_broadcast(&client->writable);
    vireo_client_deliver_end(client);
}

/* How one descriptor crosses: beside a single byte that means nothing. */
typedef struct {
    char nothing;
    struct iovec byte;
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message;
} FdMessage;

static void fd_message_init(FdMessage *fd)
{
    memset(fd, 0, sizeof(*fd));
    fd->byte = (struct iovec){ &fd->nothing, 1 };
    fd->message = (struct msghdr){ .msg_iov = &fd->byte,
                                   .msg_iovlen = 1,
                                   .msg_control = &fd->control,
                                   .msg_controllen = sizeof(fd->control.space) };
}

static gboolean send_one_fd(int socket_fd, int fd)
{
    FdMessage carrier;
    struct cmsghdr *head;

    fd_message_init(&carrier);
    head = CMSG_FIRSTHDR(&carrier.message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    return sendmsg(socket_fd, &carrier.message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

/* TRUE once all of it is written; FALSE with errno otherwise. */
static gboolean write_packet(VireoClient *client, VireoPacket *packet)
{
    while (packet->sent < packet->bytes->len) {
        gssize n = send(client->fd, packet->bytes->data + packet->sent,
                        packet->bytes->len - packet->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FALSE;
        packet->sent += n;
        client->out_bytes -= n;
    }
    while (packet->fds_sent < packet->n_fds) {
        if (!send_one_fd(client->fd, packet->fds[packet->fds_sent]))
            return FALSE;
        close(packet->fds[packet->fds_sent++]);
    }
    return TRUE;
}

static void flush(VireoClient *client)
{
    VireoPacket *packet;

    while (!client->failure && (packet = g_queue_peek_head(&client->out))) {
        if (!write_packet(client, packet)) {
            if (errno == EAGAIN)
                return;
            /* What the peer said before it left is still to be read: the reading side reports. */
            shutdown(client->fd, SHUT_WR);
            client->out_bytes = 0;
            g_queue_clear_full(&client->out, (GDestroyNotify)vireo_packet_free);
            break;
        }
        vireo_packet_free(g_queue_pop_head(&client->out));
    }
    g_cond_broadcast(&client->writable);
}

void vireo_client_queue(VireoClient *client, GByteArray *bytes, const int *fds, guint n_fds)
{
    VireoPacket *packet = g_new0(VireoPacket, 1);
    gboolean idle = g_queue_is_empty(&client->out);

    packet->bytes = bytes;
    packet->fds = n_fds ? g_memdup2(fds, n_fds * sizeof(int)) : NULL;
    packet->n_fds = n_fds;
    g_queue_push_tail(&client->out, packet);
    client->out_bytes += bytes->len;
    if (idle)
        flush(client);
    if (!g_queue_is_empty(&client->out))
        vireo_client_wake(client);
}

static void answer_ping(VireoClient *client, const VireoRpcHeader *ping)
{
    VireoRpcHeader pong = *ping;

    pong.proc = KEEPALIVE_PONG;
    vireo_client_queue(client, vireo_packet_new(&pong), NULL, 0);
}

static void complete_call(VireoClient *client, VireoIncoming *in)
{
    VireoPending *pending = g_hash_table_lookup(client->calls, GUINT_TO_POINTER(in->header.serial));

    if (!pending || pending->program != in->header.program)
        return;
    g_hash_table_remove(client->calls, GUINT_TO_POINTER(pending->serial));
    pending->header = in->header;
    pending->reply = g_steal_pointer(&in->bytes);
    memcpy(pending->fds, in->fds, sizeof(in->fds));
    pending->n_fds = in->n_fds;
    in->n_fds = 0;
    pending->done = TRUE;
    g_cond_signal(&pending->done_cond);
}

static void dispatch(VireoClient *client, VireoIncoming *in)
{
    const guint8 *payload = in->bytes->data + RPC_HEADER;
    gsize size = in->bytes->len - RPC_HEADER;
    VireoStream *stream;

    if (in->header.program == vireo_program_number(VIREO_PROGRAM_KEEPALIVE)) {
        if (in->header.proc == KEEPALIVE_PING)
            answer_ping(client, &in->header);
        return;
    }
    switch (in->header.type) {
    case VIREO_RPC_REPLY:
    case VIREO_RPC_REPLY_WITH_FDS:
        complete_call(client, in);
        break;
    case VIREO_RPC_MESSAGE:
        vireo_client_deliver(client, &in->header, payload, size);
        break;
    case VIREO_RPC_STREAM:
    case VIREO_RPC_STREAM_HOLE:
        stream = g_hash_table_lookup(client->streams, GUINT_TO_POINTER(in->header.serial));
        if (stream)
            vireo_stream_incoming(stream, &in->header, payload, size);
        break;
    default:
        break;
    }
}

static void reset_incoming(VireoIncoming *in)
{
    for (guint i = 0; i < in->n_fds; i++)
        close(in->fds[i]);
    g_clear_pointer(&in->bytes, g_byte_array_unref);
    memset(in, 0, sizeof(*in));
}

static gboolean protocol_error(GError **error, const char *what)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_RPC, "the daemon broke the protocol: %s", what);
    return FALSE;
}

/* TRUE: some of what is due was read. FALSE without error: nothing there yet. */
static gboolean read_bytes(VireoClient *client, GError **error)
{
    VireoIncoming *in = &client->in;
    gssize n;

    do
        n = recv(client->fd, in->bytes->data + in->have, in->need - in->have, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        in->have += n;
        return TRUE;
    }
    if (n < 0 && errno == EAGAIN)
        return FALSE;
    g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "the daemon closed the connection%s%s",
                n < 0 ? ": " : "", n < 0 ? g_strerror(errno) : "");
    return FALSE;
}

static gboolean read_fd(VireoClient *client, GError **error)
{
    VireoIncoming *in = &client->in;
    FdMessage carrier;
    struct cmsghdr *head;
    gssize n;

    fd_message_init(&carrier);
    n = recvmsg(client->fd, &carrier.message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return FALSE;
    head = n == 1 ? CMSG_FIRSTHDR(&carrier.message) : NULL;
    if (!head || head->cmsg_type != SCM_RIGHTS || head->cmsg_len != CMSG_LEN(sizeof(int)))
        return protocol_error(error, "a file descriptor is missing");
    memcpy(&in->fds[in->n_fds++], CMSG_DATA(head), sizeof(int));
    return TRUE;
}

static gboolean begin_body(VireoIncoming *in, GError **error)
{
    guint32 length = rpc_get_u32(in->bytes->data);

    if (length < RPC_HEADER || length > VIREO_CLIENT_MAX_LENGTH)
        return protocol_error(error, "a packet of impossible length");
    g_byte_array_set_size(in->bytes, length);
    in->need = length;
    in->have_length = TRUE;
    return TRUE;
}

/* The body is complete: how many descriptors follow? Their count is cut out of the payload. */
static gboolean end_body(VireoIncoming *in, GError **error)
{
    in->header = rpc_get_header(in->bytes->data);
    if (in->header.type != VIREO_RPC_REPLY_WITH_FDS)
        return TRUE;
    if (in->bytes->len < RPC_HEADER + 4)
        return protocol_error(error, "a packet too short for its descriptors");
    in->fds_due = rpc_get_u32(in->bytes->data + RPC_HEADER);
    if (in->fds_due > VIREO_CLIENT_MAX_FDS)
        return protocol_error(error, "too many file descriptors");
    g_byte_array_remove_range(in->bytes, RPC_HEADER, 4);
    in->have = in->need = in->bytes->len;
    return TRUE;
}

/* Takes one step in reading a packet; TRUE when there may be more to read now. */
static gboolean read_step(VireoClient *client, GError **error)
{
    VireoIncoming *in = &client->in;

    if (!in->bytes) {
        in->bytes = g_byte_array_sized_new(256);
        g_byte_array_set_size(in->bytes, 4);
        in->need = 4;
    }
    if (in->have < in->need) {
        if (!read_bytes(client, error))
            return FALSE;
        if (in->have < in->need)
            return TRUE;
        if (!in->have_length)
            return begin_body(in, error);
        if (!end_body(in, error))
            return FALSE;
    }
    while (in->n_fds < in->fds_due)
        if (!read_fd(client, error))
            return FALSE;
    g_mutex_lock(&client->lock);
    dispatch(client, in);
    g_mutex_unlock(&client->lock);
    reset_incoming(in);
    return TRUE;
}

static gboolean wait_for_work(VireoClient *client, gboolean *readable)
{
    struct pollfd polls[] = { { client->wake_fd, POLLIN, 0 }, { client->fd, 0, 0 } };
    guint64 count;
    gboolean stop;

    g_mutex_lock(&client->lock);
    if (client->stream_bytes < STREAM_BYTES_MAX || g_hash_table_size(client->calls))
        polls[1].events |= POLLIN;
    if (!g_queue_is_empty(&client->out))
        polls[1].events |= POLLOUT;
    stop = client->stop;
    g_mutex_unlock(&client->lock);
    if (stop)
        return FALSE;
    if (!polls[1].events)
        polls[1].fd = -1;
    while (poll(polls, G_N_ELEMENTS(polls), -1) < 0 && errno == EINTR)
        ;
    if (polls[0].revents && read(client->wake_fd, &count, sizeof(count)) < 0)
        count = 0;
    if (polls[1].revents & POLLOUT) {
        g_mutex_lock(&client->lock);
        flush(client);
        g_mutex_unlock(&client->lock);
    }
    *readable = (polls[1].revents & ~POLLOUT) != 0;
    return TRUE;
}

gpointer vireo_client_io_thread(gpointer data)
{
    VireoClient *client = data;
    g_autoptr(GError) error = NULL;
    gboolean readable = FALSE;

    while (!error && wait_for_work(client, &readable)) {
        /* One packet's steps at most before the next look at writing and throttling. */
        if (readable)
            for (guint i = 0; i < 4 && read_step(client, &error); i++)
                ;
    }
    reset_incoming(&client->in);
    g_mutex_lock(&client->lock);
    if (!error)
        g_set_error(&error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "the connection is closed");
    vireo_client_fail(client, g_steal_pointer(&error));
    g_mutex_unlock(&client->lock);
    return NULL;
}
