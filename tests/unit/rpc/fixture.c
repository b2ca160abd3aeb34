/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ops/catalogue.h"

#define PATIENCE 5 /* seconds */

typedef struct {
    VireoRpcClient *client;
    VireoRpcRequest *request;
} Kept;

static void opened(VireoRpcClient *client, gpointer opaque)
{
    Fixture *f = opaque;

    if (f->authenticate)
        vireo_rpc_client_set_authenticated(client);
    if (f->keepalive)
        vireo_rpc_client_enable_keepalive(client);
    g_mutex_lock(&f->lock);
    f->opened++;
    g_cond_broadcast(&f->cond);
    g_mutex_unlock(&f->lock);
}

static void closed(VireoRpcClient *client, gpointer opaque)
{
    Fixture *f = opaque;

    g_mutex_lock(&f->lock);
    f->closed++;
    g_cond_broadcast(&f->cond);
    g_mutex_unlock(&f->lock);
}

static void stream_done(const char *error, gpointer opaque)
{
    Fixture *f = opaque;

    g_mutex_lock(&f->lock);
    f->streams_done++;
    g_free(f->stream_error);
    f->stream_error = g_strdup(error);
    g_cond_broadcast(&f->cond);
    g_mutex_unlock(&f->lock);
}

static void start_stream(Fixture *f, VireoRpcClient *client, VireoRpcRequest *request)
{
    int fd = f->stream_dup ? fcntl(f->stream_fd, F_DUPFD_CLOEXEC, 3) : f->stream_fd;

    vireo_rpc_stream_start(client, &request->header, fd, f->stream_how, f->stream_offset,
                           f->stream_length, stream_done, f);
}

typedef struct {
    Fixture *fixture;
    VireoRpcClient *client;
    VireoRpcRequest *request;
} Late;

static gpointer late_stream(gpointer opaque)
{
    g_autofree Late *late = opaque;

    vireo_rpc_reply(late->client, &late->request->header, NULL, NULL, NULL, 0);
    g_usleep(100 * 1000);
    start_stream(late->fixture, late->client, late->request);
    vireo_rpc_request_release(late->client, late->request);
    vireo_rpc_client_unref(late->client);
    return NULL;
}

static void answer_text(VireoRpcClient *client, VireoRpcRequest *request)
{
    vireo_connect_get_hostname_ret ret = {0};
    gsize size = get_u32(request->payload);

    ret.hostname = g_malloc(size + 1);
    memset(ret.hostname, 'x', size);
    ret.hostname[size] = 0;
    vireo_rpc_reply(client, &request->header, vireo_op_by_name("connect_get_hostname"), &ret, NULL,
                    0);
    g_free(ret.hostname);
}

static void call(VireoRpcClient *client, VireoRpcRequest *request, gpointer opaque)
{
    Fixture *f = opaque;
    vireo_connect_get_lib_version_ret version = {.lib_ver = 9000001};
    vireo_connect_event_connection_closed_msg msg = {.reason = 3};

    g_mutex_lock(&f->lock);
    f->calls++;
    f->call_bytes += request->size;
    g_array_append_val(f->procs, request->header.serial);
    g_cond_broadcast(&f->cond);
    g_mutex_unlock(&f->lock);
    g_assert_cmpuint((gsize)request->payload % 8, ==, 0);

    switch (request->header.proc) {
    case PROC_KEEP: {
        Kept *kept = g_new(Kept, 1);

        kept->client = vireo_rpc_client_ref(client);
        kept->request = request;
        g_mutex_lock(&f->lock);
        g_ptr_array_add(f->kept, kept);
        g_cond_broadcast(&f->cond);
        g_mutex_unlock(&f->lock);
        return;
    }
    case PROC_LATE_STREAM: {
        Late *late = g_new(Late, 1);

        *late = (Late){f, vireo_rpc_client_ref(client), request};
        g_thread_unref(g_thread_new("late", late_stream, late));
        return;
    }
    case PROC_STREAM:
        vireo_rpc_reply(client, &request->header, NULL, NULL, NULL, 0);
        start_stream(f, client, request);
        break;
    case PROC_VERSION:
        vireo_rpc_reply(client, &request->header, vireo_op_by_name("connect_get_lib_version"),
                        &version, NULL, 0);
        break;
    case PROC_TEXT:
        answer_text(client, request);
        break;
    case PROC_EVENT:
        vireo_rpc_send_event(client, vireo_op_by_name("connect_event_connection_closed"), &msg);
        vireo_rpc_reply(client, &request->header, NULL, NULL, NULL, 0);
        break;
    default:
        vireo_rpc_reply(client, &request->header, NULL, NULL, request->fds, request->n_fds);
        if (request->header.proc == PROC_CLOSE)
            vireo_rpc_client_close(client);
    }
    vireo_rpc_request_release(client, request);
}

static const VireoRpcHandler handler = {opened, call, closed};

static gpointer serve(gpointer opaque)
{
    Fixture *f = opaque;

    g_main_context_push_thread_default(f->context);
    g_main_loop_run(f->loop);
    g_main_context_pop_thread_default(f->context);
    return NULL;
}

static void nothing(Fixture *f)
{
}

Fixture *fixture_new(const VireoRpcLimits *limits)
{
    Fixture *f = g_new0(Fixture, 1);
    g_autoptr(GError) error = NULL;

    signal(SIGPIPE, SIG_IGN);
    f->dir = g_dir_make_tmp("vireo-rpc-XXXXXX", &error);
    g_assert_no_error(error);
    f->path = g_build_filename(f->dir, "sock", NULL);
    f->context = g_main_context_new();
    f->loop = g_main_loop_new(f->context, FALSE);
    f->kept = g_ptr_array_new();
    f->procs = g_array_new(FALSE, FALSE, sizeof(guint32));
    f->stream_fd = -1;
    f->authenticate = TRUE;
    g_mutex_init(&f->lock);
    g_cond_init(&f->cond);
    f->server = vireo_rpc_server_new(f->context, limits, &handler, f);
    vireo_rpc_server_listen(f->server, VIREO_RPC_SOCKET_RW, f->path, 0600, -1, &error);
    g_assert_no_error(error);
    if (g_getenv("RPC_TEST_DRIVE"))
        vireo_rpc_server_drive(f->server);
    f->thread = g_thread_new("server", serve, f);
    fixture_run(f, nothing); /* a loop that does not run yet cannot be quit */
    return f;
}

void fixture_free(Fixture *f)
{
    if (!f)
        return;
    g_main_loop_quit(f->loop);
    g_thread_join(f->thread);
    vireo_rpc_server_free(f->server);
    for (guint i = 0; i < f->kept->len; i++) {
        Kept *kept = f->kept->pdata[i];

        vireo_rpc_request_release(kept->client, kept->request);
        vireo_rpc_client_unref(kept->client);
        g_free(kept);
    }
    g_assert_cmpuint(f->opened, ==, f->closed);
    g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
    g_rmdir(f->dir);
    g_ptr_array_unref(f->kept);
    g_array_unref(f->procs);
    g_main_loop_unref(f->loop);
    g_main_context_unref(f->context);
    g_mutex_clear(&f->lock);
    g_cond_clear(&f->cond);
    g_free(f->stream_error);
    g_free(f->dir);
    g_free(f->path);
    g_free(f);
}

int fixture_connect(Fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = PATIENCE};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, f->path);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

static void answer(Kept *kept)
{
    vireo_rpc_reply(kept->client, &kept->request->header, NULL, NULL, NULL, 0);
    vireo_rpc_request_release(kept->client, kept->request);
    vireo_rpc_client_unref(kept->client);
    g_free(kept);
}

void fixture_answer(Fixture *f, guint32 serial)
{
    Kept *kept = NULL;

    g_mutex_lock(&f->lock);
    for (guint i = 0; i < f->kept->len && !kept; i++) {
        Kept *one = f->kept->pdata[i];

        if (one->request->header.serial == serial)
            kept = g_ptr_array_steal_index(f->kept, i);
    }
    g_mutex_unlock(&f->lock);
    g_assert_nonnull(kept);
    answer(kept);
}

void fixture_answer_all(Fixture *f)
{
    for (;;) {
        Kept *kept = NULL;

        g_mutex_lock(&f->lock);
        if (f->kept->len > 0)
            kept = g_ptr_array_steal_index(f->kept, 0);
        g_mutex_unlock(&f->lock);
        if (!kept)
            return;
        answer(kept);
    }
}

void fixture_wait(Fixture *f, guint *value, guint want)
{
    gint64 end = g_get_monotonic_time() + PATIENCE * G_USEC_PER_SEC;

    g_mutex_lock(&f->lock);
    while (*value != want && g_cond_wait_until(&f->cond, &f->lock, end))
        ;
    g_assert_cmpuint(*value, ==, want);
    g_mutex_unlock(&f->lock);
}

guint fixture_n_kept(Fixture *f)
{
    guint n;

    g_mutex_lock(&f->lock);
    n = f->kept->len;
    g_mutex_unlock(&f->lock);
    return n;
}

typedef struct {
    Fixture *fixture;
    void (*fn)(Fixture *fixture);
    gboolean over;
} Run;

static gboolean run_it(gpointer opaque)
{
    Run *run = opaque;

    run->fn(run->fixture);
    g_mutex_lock(&run->fixture->lock);
    run->over = TRUE;
    g_cond_broadcast(&run->fixture->cond);
    g_mutex_unlock(&run->fixture->lock);
    return G_SOURCE_REMOVE;
}

void fixture_run(Fixture *f, void (*fn)(Fixture *fixture))
{
    Run run = {f, fn, FALSE};
    GSource *source = g_idle_source_new();

    g_source_set_callback(source, run_it, &run, NULL);
    g_source_attach(source, f->context);
    g_source_unref(source);
    g_mutex_lock(&f->lock);
    while (!run.over)
        g_cond_wait(&f->cond, &f->lock);
    g_mutex_unlock(&f->lock);
}

/* ---- packets ---- */

void put_u32(GByteArray *bytes, guint32 value)
{
    value = GUINT32_TO_BE(value);
    g_byte_array_append(bytes, (guint8 *)&value, 4);
}

guint32 get_u32(const guint8 *at)
{
    return (guint32)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

GByteArray *packet_make(guint32 program, gint32 proc, guint32 type, guint32 serial, guint32 status,
                        const void *payload, gsize size)
{
    GByteArray *bytes = g_byte_array_new();

    put_u32(bytes, 28 + size);
    put_u32(bytes, program);
    put_u32(bytes, 1);
    put_u32(bytes, proc);
    put_u32(bytes, type);
    put_u32(bytes, serial);
    put_u32(bytes, status);
    if (size > 0)
        g_byte_array_append(bytes, payload, size);
    return bytes;
}

GByteArray *call_make(gint32 proc, guint32 serial)
{
    return packet_make(vireo_program_number(VIREO_PROGRAM_REMOTE), proc, VIREO_RPC_CALL, serial,
                       VIREO_RPC_OK, NULL, 0);
}

void send_bytes(int fd, GByteArray *bytes)
{
    gsize pos = 0;

    while (pos < bytes->len) {
        gssize n = send(fd, bytes->data + pos, bytes->len - pos, MSG_NOSIGNAL);

        g_assert_cmpint(n, >, 0);
        pos += n;
    }
    g_byte_array_unref(bytes);
}

void send_call(int fd, gint32 proc, guint32 serial)
{
    send_bytes(fd, call_make(proc, serial));
}

void send_stream(int fd, gint32 proc, guint32 serial, guint32 status, const void *data, gsize size)
{
    send_bytes(fd, packet_make(vireo_program_number(VIREO_PROGRAM_REMOTE), proc, VIREO_RPC_STREAM,
                               serial, status, data, size));
}

void send_one_fd(int socket, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec dummy = {"", 1};
    struct msghdr message = {
        .msg_iov = &dummy,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    g_assert_cmpint(sendmsg(socket, &message, MSG_NOSIGNAL), ==, 1);
}

static gboolean read_all(int fd, guint8 *at, gsize size)
{
    gsize pos = 0;

    while (pos < size) {
        gssize n = recv(fd, at + pos, size - pos, 0);

        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return FALSE;
        if (n < 0)
            g_error("no packet within %d s: %s", PATIENCE, g_strerror(errno));
        pos += n;
    }
    return TRUE;
}

static int receive_one_fd(int socket)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    char byte = 1;
    struct iovec dummy = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &dummy,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    int fd;

    g_assert_cmpint(recvmsg(socket, &message, 0), ==, 1);
    g_assert_cmpint(byte, ==, 0);
    g_assert_nonnull(CMSG_FIRSTHDR(&message));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

Packet receive(int fd)
{
    Packet packet = {.payload = g_byte_array_new()};
    guint8 head[28];
    gsize size;

    if (!read_all(fd, head, sizeof head)) {
        packet.eof = TRUE;
        return packet;
    }
    size = get_u32(head) - 28;
    packet.header = (VireoRpcHeader){
        get_u32(head + 4),  get_u32(head + 8),  get_u32(head + 12),
        get_u32(head + 16), get_u32(head + 20), get_u32(head + 24),
    };
    g_byte_array_set_size(packet.payload, size);
    g_assert_true(read_all(fd, packet.payload->data, size));
    if (packet.header.type != VIREO_RPC_REPLY_WITH_FDS)
        return packet;
    packet.n_fds = get_u32(packet.payload->data);
    for (guint i = 0; i < packet.n_fds; i++)
        packet.fds[i] = receive_one_fd(fd);
    return packet;
}

void packet_clear(Packet *packet)
{
    g_byte_array_unref(packet->payload);
    for (guint i = 0; i < packet->n_fds; i++)
        close(packet->fds[i]);
}

void expect(int fd, guint32 type, guint32 serial, guint32 status)
{
    Packet packet = receive(fd);

    g_assert_false(packet.eof);
    g_assert_cmpuint(packet.header.type, ==, type);
    g_assert_cmpuint(packet.header.serial, ==, serial);
    g_assert_cmpuint(packet.header.status, ==, status);
    packet_clear(&packet);
}

void expect_error(int fd, guint32 type, guint32 serial, guint32 code, const char *text)
{
    Packet packet = receive(fd);
    gsize length;

    g_assert_false(packet.eof);
    g_assert_cmpuint(packet.header.type, ==, type);
    g_assert_cmpuint(packet.header.serial, ==, serial);
    g_assert_cmpuint(packet.header.status, ==, VIREO_RPC_ERROR);
    g_assert_cmpuint(get_u32(packet.payload->data), ==, code);
    g_assert_cmpuint(get_u32(packet.payload->data + 8), ==, 1);
    length = get_u32(packet.payload->data + 12);
    g_assert_cmpuint(length, ==, strlen(text));
    g_assert_cmpmem(packet.payload->data + 16, length, text, length);
    packet_clear(&packet);
}

void expect_eof(int fd)
{
    Packet packet = receive(fd);

    g_assert_true(packet.eof);
    packet_clear(&packet);
}

void expect_silence(int fd, int milliseconds)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};

    g_assert_cmpint(poll(&one, 1, milliseconds), ==, 0);
}
