/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rpc/internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ops/codec.h"

#define PACKETS_PER_WRITE 16
#define BUFFER_KEEP       (256 * 1024) /* an encoding buffer larger than this is not kept */

/* ---- the queue ---- */

static RpcOut *out_new(const guint8 *bytes, gsize size, const int *fds, guint n_fds)
{
    RpcOut *out = g_malloc(sizeof *out + size);

    memset(out, 0, sizeof *out);
    memcpy(out->bytes, bytes, size);
    out->size = size;
    out->fds = n_fds > 0 ? g_memdup2(fds, n_fds * sizeof *fds) : NULL;
    out->n_fds = n_fds;
    return out;
}

static void out_free(RpcOut *out)
{
    for (guint i = out->fd_pos; i < out->n_fds; i++)
        close(out->fds[i]);
    g_free(out->fds);
    rpc_stream_unref(out->stream);
    g_free(out);
}

void rpc_output_clear_locked(VireoRpcClient *client)
{
    while (client->out) {
        RpcOut *next = client->out->next;

        out_free(client->out);
        client->out = next;
    }
    client->out_tail = &client->out;
    client->out_bytes = 0;
}

/* Ends a connection from any thread: the I/O thread sees the hang-up and closes. */
static void break_locked(VireoRpcClient *client)
{
    client->broken = TRUE;
    shutdown(client->fd, SHUT_RDWR);
}

/* One descriptor travels with one byte that no length counts. */
static gboolean send_fd(int socket, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec dummy = {.iov_base = "", .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &dummy,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

/* Whether a failed write only means "later". */
static gboolean later(VireoRpcClient *client)
{
    if (errno == EAGAIN || errno == EINTR)
        return TRUE;
    break_locked(client);
    return FALSE;
}

/* Closes each descriptor it has sent; FALSE when some are left. */
static gboolean send_fds_locked(VireoRpcClient *client, const int *fds, guint n, guint *done)
{
    while (*done < n) {
        if (!send_fd(client->fd, fds[*done])) {
            later(client);
            return FALSE;
        }
        close(fds[(*done)++]);
    }
    return TRUE;
}

/* TRUE when nothing is left that could be written. */
static gboolean write_now_locked(VireoRpcClient *client, const guint8 *packet, gsize size,
                                 gsize *sent, const int *fds, guint n_fds, guint *fds_sent)
{
    gssize n;

    if (client->out || client->corked)
        return FALSE;
    n = send(client->fd, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return !later(client);
    *sent = n;
    return (*sent == size && send_fds_locked(client, fds, n_fds, fds_sent)) || client->broken;
}

static void queue_locked(VireoRpcClient *client, RpcOut *out, gboolean event)
{
    *client->out_tail = out;
    client->out_tail = &out->next;
    client->out_bytes += out->size;
    if (event && client->out_bytes > RPC_EVENTS_MAX) {
        g_warning("client %" G_GUINT64_FORMAT " does not read its events: connection closed with "
                  "%zu bytes unread",
                  client->id, client->out_bytes);
        break_locked(client);
    }
    rpc_client_rearm_locked(client);
}

gboolean rpc_send(VireoRpcClient *client, const guint8 *packet, gsize size, const int *fds,
                  guint n_fds, VireoRpcStream *stream, gboolean event)
{
    gsize sent = 0;
    guint fds_sent = 0;
    gboolean all;

    g_mutex_lock(&client->lock);
    all = client->fd < 0 || client->broken ||
          write_now_locked(client, packet, size, &sent, fds, n_fds, &fds_sent);
    if (!all) {
        RpcOut *out = out_new(packet + sent, size - sent, fds + fds_sent, n_fds - fds_sent);

        out->stream = stream ? rpc_stream_ref(stream) : NULL;
        fds_sent = n_fds;
        queue_locked(client, out, event);
    }
    g_mutex_unlock(&client->lock);
    for (guint i = fds_sent; i < n_fds; i++)
        close(fds[i]);
    return all;
}

/* Takes what was written off the queue, onto `done`; FALSE when the rest has to wait. */
static gboolean advance_locked(VireoRpcClient *client, gsize n, RpcOut ***done)
{
    while (client->out) {
        RpcOut *out = client->out;
        gsize part = MIN(n, out->size - out->pos);

        out->pos += part;
        n -= part;
        client->out_bytes -= part;
        if (out->pos < out->size)
            return FALSE;
        if (!send_fds_locked(client, out->fds, out->n_fds, &out->fd_pos))
            return FALSE;
        client->out = out->next;
        if (!client->out)
            client->out_tail = &client->out;
        out->next = NULL;
        **done = out;
        *done = &out->next;
        if (n == 0)
            return TRUE;
    }
    return TRUE;
}

/* One write of as many packets as may share it: descriptors follow their own packet. */
static gboolean write_some_locked(VireoRpcClient *client, RpcOut ***done)
{
    struct iovec vector[PACKETS_PER_WRITE];
    struct msghdr message = {.msg_iov = vector};
    gsize total = 0;
    gssize n = 0;

    for (RpcOut *out = client->out; out && message.msg_iovlen < PACKETS_PER_WRITE;
         out = out->next) {
        vector[message.msg_iovlen].iov_base = out->bytes + out->pos;
        vector[message.msg_iovlen++].iov_len = out->size - out->pos;
        total += out->size - out->pos;
        if (out->n_fds > 0)
            break;
    }
    if (total > 0)
        n = sendmsg(client->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) {
        later(client);
        return FALSE;
    }
    return advance_locked(client, n, done) && (gsize)n == total;
}

void rpc_output_flush(VireoRpcClient *client)
{
    RpcOut *written = NULL, **tail = &written;
    gboolean over;

    g_mutex_lock(&client->lock);
    while (client->out && !client->broken && write_some_locked(client, &tail))
        ;
    if (client->out_bytes <= RPC_OUT_HIGH)
        rpc_client_resume_locked(client);
    rpc_client_rearm_locked(client);
    over = client->broken || (client->closing && !client->out);
    g_mutex_unlock(&client->lock);
    while (written) {
        RpcOut *next = written->next;

        if (written->stream)
            rpc_stream_written(written->stream);
        out_free(written);
        written = next;
    }
    if (over)
        rpc_client_disconnect(client);
}

/* ---- packets ---- */

static void buffer_free(gpointer buffer)
{
    g_byte_array_unref(buffer);
}

/* This thread's encoding buffer, with room for a header in front. */
static GByteArray *buffer_start(gsize front)
{
    static GPrivate private = G_PRIVATE_INIT(buffer_free);
    GByteArray *buffer = g_private_get(&private);

    if (buffer && buffer->len > BUFFER_KEEP) {
        g_private_replace(&private, NULL);
        buffer = NULL;
    }
    if (!buffer) {
        buffer = g_byte_array_sized_new(1024);
        g_private_set(&private, buffer);
    }
    g_byte_array_set_size(buffer, front);
    return buffer;
}

/* Fills in the header and sends. Takes the descriptors. */
static void send_buffer(VireoRpcClient *client, const VireoRpcHeader *like, VireoRpcType type,
                        VireoRpcStatus status, GByteArray *buffer, const int *fds, guint n_fds)
{
    VireoRpcHeader header = *like;

    header.type = type;
    header.status = status;
    rpc_put_header(buffer->data, buffer->len, &header);
    if (type == VIREO_RPC_REPLY_WITH_FDS)
        rpc_put_u32(buffer->data + RPC_HEADER, n_fds);
    rpc_send(client, buffer->data, buffer->len, fds, n_fds, NULL, type == VIREO_RPC_MESSAGE);
}

void rpc_send_empty(VireoRpcClient *client, const VireoRpcHeader *header, VireoRpcType type,
                    VireoRpcStatus status)
{
    send_buffer(client, header, type, status, buffer_start(RPC_HEADER), NULL, 0);
}

static void send_error(VireoRpcClient *client, const VireoRpcHeader *header, VireoRpcType type,
                       const vireo_error *error)
{
    GByteArray *buffer = buffer_start(RPC_HEADER);

    if (!vireo_wire_encode(&vireo_type_error, error, buffer, NULL)) {
        rpc_send_error(client, header, type, VIREO_ERR_INTERNAL_ERROR, VIREO_FROM_RPC,
                       "internal error: the error message does not fit the protocol");
        return;
    }
    send_buffer(client, header, type, VIREO_RPC_ERROR, buffer, NULL, 0);
}

void rpc_send_error(VireoRpcClient *client, const VireoRpcHeader *header, VireoRpcType type,
                    int code, int domain, const char *message)
{
    vireo_error error = {
        .code = code,
        .domain = domain,
        .message = (char *)message,
        .level = VIREO_ERR_ERROR,
        .str1 = (char *)"%s",
        .str2 = (char *)message,
        .int1 = -1,
        .int2 = -1,
    };

    send_error(client, header, type, &error);
}

void vireo_rpc_reply_error(VireoRpcClient *client, const VireoRpcHeader *call,
                           const vireo_error *error)
{
    send_error(client, call, VIREO_RPC_REPLY, error);
}

static void refuse_result(VireoRpcClient *client, const VireoRpcHeader *call, const char *why)
{
    g_autofree char *message = g_strdup_printf("Unable to encode message payload: %s", why);

    rpc_send_error(client, call, VIREO_RPC_REPLY, VIREO_ERR_RPC, VIREO_FROM_RPC, message);
}

void vireo_rpc_reply(VireoRpcClient *client, const VireoRpcHeader *call, const VireoOp *op,
                     gconstpointer ret, const int *fds, guint n_fds)
{
    GByteArray *buffer = buffer_start(n_fds > 0 ? RPC_HEADER + 4 : RPC_HEADER);
    g_autoptr(GError) error = NULL;
    int own[RPC_MAX_FDS];
    guint n = 0;

    if (n_fds > RPC_MAX_FDS) {
        refuse_result(client, call, "too many descriptors");
        return;
    }
    if (op && op->ret && ret && !vireo_wire_encode(op->ret, ret, buffer, &error)) {
        refuse_result(client, call, error->message);
        return;
    }
    if (buffer->len > RPC_LARGEST) {
        refuse_result(client, call, "larger than the protocol allows");
        return;
    }
    for (; n < n_fds; n++) {
        own[n] = fcntl(fds[n], F_DUPFD_CLOEXEC, 3);
        if (own[n] >= 0)
            continue;
        while (n > 0)
            close(own[--n]);
        refuse_result(client, call, "a descriptor cannot be duplicated");
        return;
    }
    send_buffer(client, call, n_fds > 0 ? VIREO_RPC_REPLY_WITH_FDS : VIREO_RPC_REPLY, VIREO_RPC_OK,
                buffer, own, n_fds);
}

void vireo_rpc_send_event(VireoRpcClient *client, const VireoOp *op, gconstpointer msg)
{
    VireoRpcHeader header = {
        .program = vireo_program_number(op->program),
        .version = 1,
        .proc = op->proc,
        .serial = 1,
    };
    GByteArray *buffer = buffer_start(RPC_HEADER);
    g_autoptr(GError) error = NULL;

    if (op->ret && !vireo_wire_encode(op->ret, msg, buffer, &error)) {
        g_warning("event %s cannot be sent: %s", op->name, error->message);
        return;
    }
    send_buffer(client, &header, VIREO_RPC_MESSAGE, VIREO_RPC_OK, buffer, NULL, 0);
}
