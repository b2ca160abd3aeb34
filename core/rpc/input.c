/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading packets. One read takes what there is into the server's scratch buffer, where small
 * packets are handled in place; only the beginning of a packet is kept per client, so an idle
 * client holds no buffer. A read never crosses a descriptor that follows a packet, since the kernel
 * ends it there.
 */
#include "rpc/internal.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ops/catalogue.h"

#define LARGE_FIRST                                                                                \
    (4 * RPC_SCRATCH) /* a large packet's buffer grows from this as bytes arrive                   \
                       */
#define LARGE_FRONT 4

/* ---- requests ---- */

static RpcRequest *request_new(gsize capacity)
{
    RpcRequest *request = g_malloc(sizeof *request + capacity);

    memset(request, 0, sizeof *request);
    request->capacity = capacity;
    return request;
}

void rpc_request_free(RpcRequest *request)
{
    if (!request)
        return;
    for (guint i = 0; i < request->request.n_fds; i++)
        close(request->request.fds[i]);
    g_free((int *)request->request.fds);
    if (request->client)
        vireo_rpc_client_unref(request->client);
    g_free(request);
}

void rpc_input_clear(VireoRpcClient *client)
{
    for (guint i = 0; client->in_fds && i < client->in_fds->len; i++)
        close(g_array_index(client->in_fds, RpcInFd, i).fd);
    g_clear_pointer(&client->in_fds, g_array_unref);
    g_clear_pointer(&client->carry, g_free);
    g_clear_pointer(&client->large, rpc_request_free);
    g_clear_pointer(&client->fd_call, rpc_request_free);
    client->carry_size = 0;
}

/* ---- one packet ---- */

typedef struct {
    VireoRpcHeader header;
    const guint8 *payload;
    gsize size;
    guint n_fds;
    RpcRequest *owner; /* whose buffer the payload is in; NULL: the scratch buffer's */
} Packet;

/* Reads the header; FALSE, with the connection closed, when it is not one. */
static gboolean parse_header(VireoRpcClient *client, const guint8 *at, gsize size, Packet *packet)
{
    packet->header = rpc_get_header(at);
    packet->payload = at + RPC_HEADER;
    packet->size = size - RPC_HEADER;
    packet->n_fds = 0;
    if (packet->header.type > VIREO_RPC_STREAM_HOLE || packet->header.status > VIREO_RPC_CONTINUE) {
        rpc_client_kick(client, "a packet with a bad header");
        return FALSE;
    }
    if (packet->header.type != VIREO_RPC_CALL_WITH_FDS &&
        packet->header.type != VIREO_RPC_REPLY_WITH_FDS)
        return TRUE;
    if (packet->size < 4 || (packet->n_fds = rpc_get_u32(packet->payload)) > RPC_MAX_FDS) {
        rpc_client_kick(client, "a packet with a bad count of descriptors");
        return FALSE;
    }
    packet->payload += 4;
    packet->size -= 4;
    return TRUE;
}

/* The packet as something that can be kept; its bytes move only when they must. */
static RpcRequest *keep(Packet *packet)
{
    RpcRequest *request = packet->owner;

    if (!request) {
        request = request_new(packet->size);
        memcpy(request->bytes, packet->payload, packet->size);
        request->request.payload = request->bytes;
    } else {
        gsize front = packet->payload - request->bytes;

        if (front % 8 != 0)
            memmove(request->bytes, packet->payload, packet->size);
        request->request.payload = front % 8 != 0 ? request->bytes : packet->payload;
    }
    request->request.header = packet->header;
    request->request.size = packet->size;
    packet->owner = NULL;
    return request;
}

static void call_arrived(VireoRpcClient *client, RpcRequest *request)
{
    VireoRpcServer *server = client->server;

    request->client = vireo_rpc_client_ref(client);
    g_mutex_lock(&client->lock);
    client->slots++;
    request->next = client->requests;
    client->requests = request;
    g_mutex_unlock(&client->lock);
    if (request->request.header.status != VIREO_RPC_OK) {
        g_autofree char *text =
            g_strdup_printf("Unexpected message status %u", request->request.header.status);

        rpc_send_error(client, &request->request.header, VIREO_RPC_REPLY, VIREO_ERR_RPC,
                       VIREO_FROM_RPC, text);
        vireo_rpc_request_release(client, &request->request);
        return;
    }
    server->handler.call(client, &request->request, server->opaque);
}

/* With its descriptors, if any, in `fd_call`. FALSE: the packet has to wait. */
static gboolean packet_complete(VireoRpcClient *client, Packet *packet)
{
    if (packet->header.program == vireo_program_number(VIREO_PROGRAM_KEEPALIVE) &&
        packet->header.version == 1) {
        rpc_keepalive_packet(client, &packet->header);
        return TRUE;
    }
    switch (packet->header.type) {
    case VIREO_RPC_CALL:
    case VIREO_RPC_CALL_WITH_FDS:
        call_arrived(client, keep(packet));
        return TRUE;
    case VIREO_RPC_STREAM:
    case VIREO_RPC_STREAM_HOLE:
        return rpc_stream_packet(client, &packet->header, packet->payload, packet->size);
    default:
        return TRUE;
    }
}

static gboolean process(VireoRpcClient *client, Packet *packet)
{
    if (packet->n_fds == 0)
        return packet_complete(client, packet);
    client->fds_wanted = packet->n_fds;
    client->fd_call = keep(packet);
    client->fd_call->request.fds = g_new(int, client->fds_wanted);
    return TRUE;
}

/* ---- descriptors ---- */

/* Takes the byte at `parsed` and the descriptor that came with it. */
static void take_fd(VireoRpcClient *client)
{
    RpcRequest *request = client->fd_call;
    RpcInFd *in;
    Packet packet = {0};

    client->parsed++;
    in = client->in_fds && client->in_fds->len > 0 ? &g_array_index(client->in_fds, RpcInFd, 0)
                                                   : NULL;
    if (!in || in->end != client->parsed) {
        rpc_client_kick(client, "a descriptor is missing");
        return;
    }
    ((int *)request->request.fds)[request->request.n_fds++] = in->fd;
    g_array_remove_index(client->in_fds, 0);
    if (--client->fds_wanted > 0)
        return;
    client->fd_call = NULL;
    packet.header = request->request.header;
    if (packet.header.type == VIREO_RPC_CALL_WITH_FDS &&
        packet.header.program != vireo_program_number(VIREO_PROGRAM_KEEPALIVE))
        call_arrived(client, request);
    else
        rpc_request_free(request);
}

static gboolean collect_fds(VireoRpcClient *client, struct msghdr *message)
{
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
        guint n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        if (!client->in_fds)
            client->in_fds = g_array_new(FALSE, FALSE, sizeof(RpcInFd));
        for (guint i = 0; i < n; i++) {
            RpcInFd in = {.end = client->received};

            memcpy(&in.fd, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
            g_array_append_val(client->in_fds, in);
        }
    }
    return !(message->msg_flags & MSG_CTRUNC) &&
           (!client->in_fds || client->in_fds->len <= RPC_MAX_FDS);
}

static gboolean stray_fd(VireoRpcClient *client)
{
    return client->in_fds && client->in_fds->len > 0 &&
           g_array_index(client->in_fds, RpcInFd, 0).end <= client->parsed;
}

/* ---- buffers ---- */

/* Whether a packet may be handled now; if not, the client is stalled, under the same lock by which
 * a slot or a queue changes. */
static gboolean admit(VireoRpcClient *client)
{
    gboolean may;

    g_mutex_lock(&client->lock);
    may = !client->closing && !client->broken &&
          client->slots < MAX(client->server->limits.max_client_requests, 1) &&
          client->out_bytes <= RPC_OUT_HIGH;
    if (!may) {
        client->stalled = TRUE;
        rpc_client_rearm_locked(client);
    }
    g_mutex_unlock(&client->lock);
    return may;
}

static void cork(VireoRpcClient *client, gboolean corked)
{
    g_mutex_lock(&client->lock);
    client->corked = corked;
    g_mutex_unlock(&client->lock);
}

/* Whether another whole packet is there. */
static gboolean another(const guint8 *at, gsize size)
{
    return size >= RPC_HEADER && rpc_get_u32(at) <= size;
}

static gsize largest_packet(VireoRpcClient *client)
{
    gsize limit = client->server->limits.max_message;

    return client->authenticated ? limit : MIN(limit, RPC_ANONYMOUS_MESSAGE);
}

static void start_large(VireoRpcClient *client, const guint8 *at, gsize size, gsize total)
{
    RpcRequest *large = request_new(LARGE_FRONT + MIN(total, LARGE_FIRST));

    memcpy(large->bytes + LARGE_FRONT, at, size);
    large->have = size;
    large->total = total;
    client->large = large;
}

/* Handles the packets in a buffer and returns how many bytes it took. */
static gsize parse(VireoRpcClient *client, const guint8 *at, gsize size)
{
    gsize pos = 0;

    while (client->fd >= 0 && pos < size) {
        Packet packet = {0};
        gsize length;

        if (client->fd_call) {
            pos++;
            take_fd(client);
            continue;
        }
        if (stray_fd(client)) {
            rpc_client_kick(client, "a descriptor that no packet announced");
            break;
        }
        if (size - pos < 4)
            break;
        length = rpc_get_u32(at + pos);
        if (length < RPC_HEADER || length > largest_packet(client)) {
            rpc_client_kick(client, "a packet of a size that is not allowed");
            break;
        }
        if (length > RPC_SCRATCH) {
            start_large(client, at + pos, size - pos, length);
            pos = size;
            break;
        }
        if (size - pos < length || !admit(client))
            break;
        if (!client->corked && another(at + pos + length, size - pos - length))
            cork(client, TRUE);
        if (!parse_header(client, at + pos, length, &packet))
            break;
        client->parsed += length;
        if (!process(client, &packet)) {
            client->parsed -= length;
            break;
        }
        pos += length;
    }
    return pos;
}

/* A large packet that is complete. */
static void parse_large(VireoRpcClient *client)
{
    RpcRequest *large = client->large;
    Packet packet = {.owner = large};

    if (!admit(client) || !parse_header(client, large->bytes + LARGE_FRONT, large->total, &packet))
        return;
    client->large = NULL;
    client->parsed += large->total;
    if (!process(client, &packet)) {
        client->parsed -= large->total;
        client->large = large;
    } else if (packet.owner) {
        rpc_request_free(large);
    }
}

/* Handles what is in the scratch buffer; keeps the rest. */
static void parse_scratch(VireoRpcClient *client, gsize size)
{
    const guint8 *scratch = client->server->scratch;
    gsize used;

    used = parse(client, scratch, size);
    if (client->corked) {
        cork(client, FALSE);
        if (client->fd >= 0)
            rpc_output_flush(client);
    }
    if (client->fd < 0 || used == size)
        return;
    client->carry_size = size - used;
    client->carry = g_memdup2(scratch + used, client->carry_size);
}

/* Moves what was kept into the scratch buffer. */
static gsize unpack_carry(VireoRpcClient *client)
{
    gsize size = client->carry_size;

    if (size > 0)
        memcpy(client->server->scratch, client->carry, size);
    g_clear_pointer(&client->carry, g_free);
    client->carry_size = 0;
    return size;
}

void rpc_input_resume(VireoRpcClient *client)
{
    g_mutex_lock(&client->lock);
    client->stalled = FALSE;
    g_mutex_unlock(&client->lock);
    if (client->large && client->large->have == client->large->total)
        parse_large(client);
    if (client->fd >= 0 && !client->stalled && client->carry_size > 0)
        parse_scratch(client, unpack_carry(client));
    g_mutex_lock(&client->lock);
    rpc_client_rearm_locked(client);
    g_mutex_unlock(&client->lock);
}

/* ---- reading ---- */

static gssize receive(VireoRpcClient *client, guint8 *at, gsize room)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(RPC_MAX_FDS * sizeof(int))];
    } control;
    struct iovec vector = {.iov_base = at, .iov_len = room};
    struct msghdr message = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    gssize n = recvmsg(client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        rpc_client_disconnect(client);
        return 0;
    }
    client->received += n;
    client->heard = TRUE;
    if (client->keepalive)
        client->last_input = rpc_now();
    if ((message.msg_controllen > 0 || (message.msg_flags & MSG_CTRUNC)) &&
        !collect_fds(client, &message)) {
        rpc_client_kick(client, "too many descriptors");
        return 0;
    }
    return n;
}

static void read_large(VireoRpcClient *client)
{
    RpcRequest *large = client->large;
    gsize room = large->capacity - LARGE_FRONT;
    gssize n;

    if (large->have == room) {
        room = MIN(large->total, room * 2);
        large->capacity = LARGE_FRONT + room;
        client->large = large = g_realloc(large, sizeof *large + large->capacity);
    }
    n = receive(client, large->bytes + LARGE_FRONT + large->have,
                MIN(room, large->total) - large->have);
    if (client->fd < 0)
        return;
    large->have += n;
    if (large->have == large->total)
        parse_large(client);
}

void rpc_input_ready(VireoRpcClient *client)
{
    gsize have;
    gssize n;

    if (client->large) {
        read_large(client);
        return;
    }
    have = unpack_carry(client);
    n = receive(client, client->server->scratch + have, RPC_SCRATCH - have);
    if (client->fd < 0)
        return;
    if (n > 0)
        parse_scratch(client, have + n);
    else if (have > 0) {
        client->carry_size = have;
        client->carry = g_memdup2(client->server->scratch, have);
    }
}
