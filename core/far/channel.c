/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "far/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ops/codec.h"
#include "util/error.h"

#define INLINE_MAX  (64 * 1024)
#define BACKLOG_MAX (64 * 1024 * 1024) /* bytes kept for an end that does not read */
#define IN_FILE     1                  /* flag: the body is in a memory file, the last descriptor */
#define SEALS       (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

typedef struct {
    guint32 size; /* of the body */
    guint16 kind, flags;
    guint32 serial, id;
} Header;

/* One message on its way out. */
typedef struct {
    Header header;
    const void *body; /* NULL when in a file */
    int fds[VIREO_FAR_FDS_MAX + 1];
    guint n_fds;
} Packet;

struct VireoFarChannel {
    gint refs;
    int fd;
    gint cut; /* atomic */
    GMutex lock;
    GCond wake;
    GQueue backlog; /* Packet, with bodies and descriptors of their own */
    gsize backlog_size;
    gboolean busy; /* the backlog holds something, or the writer still has one in hand */
    GThread *writer;
};

gboolean vireo_far_socketpair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0;
}

VireoFarChannel *vireo_far_channel_new(int fd)
{
    VireoFarChannel *channel = g_new0(VireoFarChannel, 1);

    channel->refs = 1;
    channel->fd = fd;
    g_mutex_init(&channel->lock);
    g_cond_init(&channel->wake);
    g_queue_init(&channel->backlog);
    return channel;
}

VireoFarChannel *vireo_far_channel_ref(VireoFarChannel *channel)
{
    g_atomic_int_inc(&channel->refs);
    return channel;
}

static void packet_free(gpointer data)
{
    Packet *packet = data;

    for (guint i = 0; i < packet->n_fds; i++)
        close(packet->fds[i]);
    g_free((gpointer)packet->body);
    g_free(packet);
}

void vireo_far_channel_unref(VireoFarChannel *channel)
{
    if (!channel || !g_atomic_int_dec_and_test(&channel->refs))
        return;
    vireo_far_channel_cut(channel);
    if (channel->writer)
        g_thread_join(channel->writer);
    g_queue_clear_full(&channel->backlog, packet_free);
    close(channel->fd);
    g_cond_clear(&channel->wake);
    g_mutex_clear(&channel->lock);
    g_free(channel);
}

void vireo_far_channel_cut(VireoFarChannel *channel)
{
    if (!g_atomic_int_compare_and_exchange(&channel->cut, 0, 1))
        return;
    shutdown(channel->fd, SHUT_RDWR);
    g_mutex_lock(&channel->lock);
    g_cond_signal(&channel->wake);
    g_mutex_unlock(&channel->lock);
}

gboolean vireo_far_channel_is_cut(VireoFarChannel *channel)
{
    return g_atomic_int_get(&channel->cut) != 0;
}

/* ---- out ---- */

static gboolean put(int fd, const Packet *packet, int flags)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof packet->fds)];
    } control;
    struct iovec parts[] = {
        {(void *)&packet->header, sizeof packet->header},
        {(void *)packet->body, packet->body ? packet->header.size : 0},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = packet->body ? 2 : 1};
    gsize size = packet->n_fds * sizeof(int);
    ssize_t n;

    if (packet->n_fds) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(size);
        memset(control.bytes, 0, message.msg_controllen);
        control.align = (struct cmsghdr){CMSG_LEN(size), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.align), packet->fds, size);
    }
    do
        n = sendmsg(fd, &message, MSG_NOSIGNAL | flags);
    while (n < 0 && errno == EINTR);
    return n >= 0;
}

static gpointer write_backlog(gpointer opaque)
{
    VireoFarChannel *channel = opaque;

    g_mutex_lock(&channel->lock);
    while (!g_atomic_int_get(&channel->cut)) {
        Packet *packet = g_queue_pop_head(&channel->backlog);

        channel->busy = packet != NULL;
        if (!packet) {
            g_cond_wait(&channel->wake, &channel->lock);
            continue;
        }
        channel->backlog_size -= packet->header.size;
        g_mutex_unlock(&channel->lock);
        put(channel->fd, packet, 0);
        packet_free(packet);
        g_mutex_lock(&channel->lock);
    }
    g_mutex_unlock(&channel->lock);
    return NULL;
}

/* Keeps a copy for the writer. */
static gboolean keep(VireoFarChannel *channel, const Packet *packet)
{
    Packet *copy = g_memdup2(packet, sizeof *packet);
    gboolean room;

    copy->body = packet->body ? g_memdup2(packet->body, packet->header.size) : NULL;
    for (guint i = 0; i < copy->n_fds; i++)
        copy->fds[i] = fcntl(packet->fds[i], F_DUPFD_CLOEXEC, 0);
    g_mutex_lock(&channel->lock);
    channel->backlog_size += copy->header.size;
    room = channel->backlog_size <= BACKLOG_MAX;
    channel->busy = TRUE;
    g_queue_push_tail(&channel->backlog, copy);
    if (!channel->writer)
        channel->writer = g_thread_new("far-writer", write_backlog, channel);
    g_cond_signal(&channel->wake);
    g_mutex_unlock(&channel->lock);
    if (!room)
        vireo_far_channel_cut(channel);
    return room;
}

static gboolean is_busy(VireoFarChannel *channel)
{
    gboolean busy;

    g_mutex_lock(&channel->lock);
    busy = channel->busy;
    g_mutex_unlock(&channel->lock);
    return busy;
}

static gboolean send_packet(VireoFarChannel *channel, const Packet *packet)
{
    if (g_atomic_int_get(&channel->cut))
        return FALSE;
    if (!is_busy(channel)) {
        if (put(channel->fd, packet, MSG_DONTWAIT))
            return TRUE;
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
            vireo_far_channel_cut(channel);
            return FALSE;
        }
    }
    return keep(channel, packet);
}

/* A sealed file with the bytes, or -1. */
static int memory_file(const GByteArray *body)
{
    int fd = memfd_create("vireo-far", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    gsize done = 0;

    while (fd >= 0 && done < body->len) {
        ssize_t n = write(fd, body->data + done, body->len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            close(fd);
            return -1;
        }
        done += (gsize)n;
    }
    if (fd >= 0)
        fcntl(fd, F_ADD_SEALS, SEALS);
    return fd;
}

gboolean vireo_far_channel_send(VireoFarChannel *channel, VireoFarKind kind, guint32 serial,
                                guint32 id, const GByteArray *body, const int *fds, guint n_fds)
{
    Packet packet = {
        {body ? body->len : 0, kind, 0, serial, id}, body ? body->data : NULL, {0}, n_fds};
    int file;
    gboolean sent;

    if (n_fds > VIREO_FAR_FDS_MAX || packet.header.size > VIREO_FAR_BODY_MAX)
        return FALSE;
    if (n_fds)
        memcpy(packet.fds, fds, n_fds * sizeof *fds);
    if (packet.header.size <= INLINE_MAX)
        return send_packet(channel, &packet);
    file = memory_file(body);
    if (file < 0)
        return FALSE;
    packet.header.flags = IN_FILE;
    packet.body = NULL;
    packet.fds[packet.n_fds++] = file;
    sent = send_packet(channel, &packet);
    close(file);
    return sent;
}

gboolean vireo_far_channel_tell(VireoFarChannel *channel, VireoFarKind kind, guint32 serial,
                                guint32 id, const VireoWireType *type, gconstpointer body)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    return vireo_wire_encode(type, body, bytes, NULL) &&
           vireo_far_channel_send(channel, kind, serial, id, bytes, NULL, 0);
}

/* ---- in ---- */

static void let_go(VireoFarMessage *message)
{
    for (guint i = 0; i < message->n_fds; i++)
        if (message->fds[i] >= 0)
            close(message->fds[i]);
    message->n_fds = 0;
    g_clear_pointer(&message->large, g_free);
}

void vireo_far_message_clear(VireoFarMessage *message)
{
    let_go(message);
    g_clear_pointer(&message->buffer, g_free);
}

static gboolean broken(GError **error, const char *why)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_RPC, "sent what is no message: %s", why);
    return FALSE;
}

/* All descriptors that arrived; the body's own file included. */
static gboolean take_fds(struct msghdr *header, int *fds, guint *n_fds)
{
    gboolean fits = TRUE;

    *n_fds = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        gsize n = c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS
                      ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int)
                      : 0;
        const unsigned char *data = CMSG_DATA(c);

        for (gsize i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, data + i * sizeof fd, sizeof fd);
            if (*n_fds <= VIREO_FAR_FDS_MAX)
                fds[(*n_fds)++] = fd;
            else
                close(fd);
        }
        fits = fits && *n_fds <= VIREO_FAR_FDS_MAX + 1;
    }
    return fits;
}

static gboolean read_file(VireoFarMessage *message, int fd, gsize size, GError **error)
{
    struct stat about;
    gsize done = 0;

    if (size > VIREO_FAR_BODY_MAX)
        return broken(error, "it is too large");
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || (gsize)about.st_size != size ||
        (fcntl(fd, F_GET_SEALS) & SEALS) != SEALS)
        return broken(error, "its file is not what it should be");
    message->large = g_malloc(MAX(size, 1));
    while (done < size) {
        ssize_t n = pread(fd, message->large + done, size - done, (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return broken(error, "its file cannot be read");
        done += (gsize)n;
    }
    message->body = message->large;
    return TRUE;
}

static gboolean understand(VireoFarMessage *message, gsize n, int flags, const int *fds,
                           guint n_fds, GError **error)
{
    Header header;
    gboolean in_file;

    message->n_fds = MIN(n_fds, VIREO_FAR_FDS_MAX);
    memcpy(message->fds, fds, message->n_fds * sizeof *fds);
    if (n < sizeof header || (flags & MSG_TRUNC))
        return broken(error, n < sizeof header ? "it is too short" : "it is too long");
    if (flags & MSG_CTRUNC)
        return broken(error, "descriptors were lost (too many, or this process may not have more)");
    memcpy(&header, message->buffer, sizeof header);
    message->kind = header.kind;
    message->serial = header.serial;
    message->id = header.id;
    message->size = header.size;
    message->body = message->buffer + sizeof header;
    in_file = header.flags == IN_FILE;
    if (header.flags & ~IN_FILE || n - sizeof header != (in_file ? 0 : header.size))
        return broken(error, "its length is wrong");
    if (!in_file)
        return n_fds <= VIREO_FAR_FDS_MAX || broken(error, "it has too many descriptors");
    if (n_fds == 0)
        return broken(error, "its file is missing");
    message->n_fds = n_fds - 1;
    return read_file(message, fds[n_fds - 1], header.size, error);
}

gboolean vireo_far_channel_receive(VireoFarChannel *channel, VireoFarMessage *message,
                                   GError **error)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE((VIREO_FAR_FDS_MAX + 1) * sizeof(int))];
    } control;
    struct iovec part = {NULL, sizeof(Header) + INLINE_MAX};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    int fds[VIREO_FAR_FDS_MAX + 1];
    guint n_fds;
    gboolean ok;
    ssize_t n;

    let_go(message);
    if (!message->buffer)
        message->buffer = g_malloc(part.iov_len);
    part.iov_base = message->buffer;
    header.msg_control = control.bytes;
    header.msg_controllen = sizeof control;
    do
        n = recvmsg(channel->fd, &header, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return FALSE;
    take_fds(&header, fds, &n_fds);
    ok = understand(message, (gsize)n, header.msg_flags, fds, n_fds, error);
    if (n_fds > message->n_fds)
        close(fds[n_fds - 1]);
    return ok;
}

gboolean vireo_far_message_read(const VireoFarMessage *message, const VireoWireType *type,
                                VireoArena *arena, gpointer out, gsize *rest, GError **error)
{
    gsize used = 0;

    memset(out, 0, type->size);
    if (!vireo_wire_decode(type, message->body, message->size, arena, out, &used, error))
        return FALSE;
    if (rest)
        *rest = used;
    return rest || used == message->size || broken(error, "its body is too long");
}
