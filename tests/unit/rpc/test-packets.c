/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Framing: what is answered, what is ignored, what ends a connection. */
#include "fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ops/catalogue.h"

#define REMOTE    0x20008086
#define KEEPALIVE 0x6b656570

static void test_call(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int fd = fixture_connect(f);
    Packet packet;

    send_call(fd, PROC_ECHO, 0);
    expect(fd, VIREO_RPC_REPLY, 0, VIREO_RPC_OK);
    send_call(fd, PROC_VERSION, 1);
    packet = receive(fd);
    g_assert_cmphex(packet.header.program, ==, REMOTE);
    g_assert_cmpint(packet.header.proc, ==, PROC_VERSION);
    g_assert_cmpuint(packet.payload->len, ==, 8);
    g_assert_cmpuint(get_u32(packet.payload->data + 4), ==, 9000001);
    packet_clear(&packet);
    send_call(fd, PROC_EVENT, 2);
    packet = receive(fd);
    g_assert_cmpuint(packet.header.type, ==, VIREO_RPC_MESSAGE);
    g_assert_cmpuint(packet.header.serial, ==, 1);
    g_assert_cmpuint(get_u32(packet.payload->data), ==, 3);
    packet_clear(&packet);
    expect(fd, VIREO_RPC_REPLY, 2, VIREO_RPC_OK);
    send_call(fd, PROC_CLOSE, 3);
    expect(fd, VIREO_RPC_REPLY, 3, VIREO_RPC_OK);
    expect_eof(fd);
    close(fd);
}

/* A packet that arrives byte by byte, and one that is cut in each place by the end of the client.
 */
static void test_pieces(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    g_autoptr(GByteArray) bytes = packet_make(REMOTE, PROC_ECHO, VIREO_RPC_CALL, 7, 0, "abcde", 5);
    int fd = fixture_connect(f);

    for (guint i = 0; i < bytes->len; i++) {
        g_assert_cmpint(send(fd, bytes->data + i, 1, 0), ==, 1);
        g_usleep(500);
    }
    expect(fd, VIREO_RPC_REPLY, 7, VIREO_RPC_OK);
    close(fd);
    g_assert_cmpuint(f->call_bytes, ==, 5);
    for (guint cut = 0; cut < bytes->len; cut++) {
        fd = fixture_connect(f);
        g_assert_cmpint(send(fd, bytes->data, cut, 0), ==, cut);
        close(fd);
    }
    fixture_wait(f, &f->closed, 1 + bytes->len);
    g_assert_cmpuint(f->calls, ==, 1);
}

static void test_sizes(void)
{
    static const guint32 bad[] = {0, 3, 4, 27, 33554437, 0x7fffffff, 0xffffffff};
    g_autoptr(Fixture) f = fixture_new(NULL);
    g_autofree guint8 *big = g_malloc0(33554436 - 28);
    int fd;

    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        GByteArray *bytes = g_byte_array_new();

        fd = fixture_connect(f);
        put_u32(bytes, bad[i]);
        send_bytes(fd, bytes);
        expect_eof(fd);
        close(fd);
    }
    g_assert_cmpuint(f->calls, ==, 0);
    fd = fixture_connect(f);
    send_bytes(fd, packet_make(REMOTE, PROC_ECHO, VIREO_RPC_CALL, 1, 0, big, 33554436 - 28));
    expect(fd, VIREO_RPC_REPLY, 1, VIREO_RPC_OK);
    g_assert_cmpuint(f->call_bytes, ==, 33554436 - 28);
    /* Every size around the buffers. */
    for (gsize size = 65536 - 28 - 3; size < 65536 - 28 + 4; size++) {
        send_bytes(fd, packet_make(REMOTE, PROC_ECHO, VIREO_RPC_CALL, size, 0, big, size));
        expect(fd, VIREO_RPC_REPLY, size, VIREO_RPC_OK);
    }
    close(fd);
}

static void test_anonymous_size(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    GByteArray *bytes = g_byte_array_new();
    int fd;

    f->authenticate = FALSE;
    fd = fixture_connect(f);
    put_u32(bytes, 4 * 1024 * 1024);
    send_bytes(fd, bytes);
    expect_eof(fd);
    close(fd);
}

static void test_bad_headers(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    guint8 many[4] = {0, 0, 0, 33};
    int fd = fixture_connect(f);

    send_bytes(fd, packet_make(REMOTE, PROC_ECHO, 7, 0, 0, NULL, 0));
    expect_eof(fd);
    close(fd);
    fd = fixture_connect(f);
    send_bytes(fd, packet_make(REMOTE, PROC_ECHO, VIREO_RPC_CALL, 0, 3, NULL, 0));
    expect_eof(fd);
    close(fd);
    fd = fixture_connect(f);
    send_bytes(fd, packet_make(REMOTE, PROC_ECHO, VIREO_RPC_CALL_WITH_FDS, 0, 0, NULL, 0));
    expect_eof(fd);
    close(fd);
    fd = fixture_connect(f);
    send_bytes(fd, packet_make(REMOTE, PROC_ECHO, VIREO_RPC_CALL_WITH_FDS, 0, 0, many, 4));
    expect_eof(fd);
    close(fd);
    g_assert_cmpuint(f->calls, ==, 0);
}

static void test_status(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int fd = fixture_connect(f);

    for (guint i = 0; i < 20; i++) {
        send_bytes(fd, packet_make(REMOTE, PROC_ECHO, VIREO_RPC_CALL, i, 1, NULL, 0));
        expect_error(fd, VIREO_RPC_REPLY, i, 39, "Unexpected message status 1");
    }
    send_bytes(fd, packet_make(KEEPALIVE, 1, VIREO_RPC_CALL, 5, 0, NULL, 0));
    expect_error(fd, VIREO_RPC_REPLY, 5, 39, "Cannot find program 1801807216 version 1");
    g_assert_cmpuint(f->calls, ==, 0);
    close(fd);
}

/* Packets that no call or stream is waiting for leave no trace, and take no slot for good. */
static void test_ignored(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int fd = fixture_connect(f);

    for (guint i = 0; i < 20; i++) {
        send_bytes(fd, packet_make(REMOTE, 1, VIREO_RPC_REPLY, 0, 0, NULL, 0));
        send_bytes(fd, packet_make(REMOTE, 1, VIREO_RPC_MESSAGE, 0, 0, "abcd", 4));
        send_stream(fd, 201, i, VIREO_RPC_CONTINUE, "data", 4);
        send_stream(fd, 201, i, VIREO_RPC_OK, NULL, 0);
        send_bytes(fd, packet_make(KEEPALIVE, 9, VIREO_RPC_MESSAGE, 0, 0, NULL, 0));
    }
    expect_silence(fd, 50);
    send_call(fd, PROC_ECHO, 99);
    expect(fd, VIREO_RPC_REPLY, 99, VIREO_RPC_OK);
    close(fd);
}

/* Many calls in one write, answered in order; then calls answered out of order. */
static void test_pipelined(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    GByteArray *all = g_byte_array_new();
    int fd = fixture_connect(f);

    for (guint i = 0; i < 5000; i++) {
        g_autoptr(GByteArray) one = call_make(PROC_ECHO, i);

        g_byte_array_append(all, one->data, one->len);
    }
    send_bytes(fd, all);
    for (guint i = 0; i < 5000; i++)
        expect(fd, VIREO_RPC_REPLY, i, VIREO_RPC_OK);
    send_call(fd, PROC_KEEP, 1);
    send_call(fd, PROC_KEEP, 2);
    send_call(fd, PROC_ECHO, 3);
    expect(fd, VIREO_RPC_REPLY, 3, VIREO_RPC_OK);
    fixture_wait(f, &f->kept->len, 2);
    fixture_answer(f, 2);
    expect(fd, VIREO_RPC_REPLY, 2, VIREO_RPC_OK);
    fixture_answer(f, 1);
    expect(fd, VIREO_RPC_REPLY, 1, VIREO_RPC_OK);
    close(fd);
}

/* A client with all its slots in use is not read from; others are served. */
static void test_slots(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int fd = fixture_connect(f), other;

    for (guint i = 0; i < 5; i++)
        send_call(fd, PROC_KEEP, i);
    fixture_wait(f, &f->kept->len, 5);
    send_call(fd, PROC_ECHO, 100);
    send_bytes(fd, packet_make(KEEPALIVE, 1, VIREO_RPC_MESSAGE, 0, 0, NULL, 0));
    expect_silence(fd, 100);
    other = fixture_connect(f);
    send_call(other, PROC_ECHO, 0);
    expect(other, VIREO_RPC_REPLY, 0, VIREO_RPC_OK);
    close(other);
    fixture_answer(f, 3);
    expect(fd, VIREO_RPC_REPLY, 3, VIREO_RPC_OK);
    expect(fd, VIREO_RPC_REPLY, 100, VIREO_RPC_OK);
    expect(fd, VIREO_RPC_MESSAGE, 0, VIREO_RPC_OK);
    /* It can go away while it is not read from. */
    send_call(fd, PROC_KEEP, 5);
    fixture_wait(f, &f->kept->len, 5);
    send_call(fd, PROC_ECHO, 101);
    close(fd);
    fixture_wait(f, &f->closed, 2);
}

static int n_open_fds(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    int n = 0;

    while (g_dir_read_name(dir))
        n++;
    return n;
}

static GByteArray *fd_call(guint32 serial, guint n)
{
    guint8 count[4] = {0, 0, 0, n};

    return packet_make(REMOTE, PROC_ECHO, VIREO_RPC_CALL_WITH_FDS, serial, 0, count, 4);
}

static void test_fds(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int fd = fixture_connect(f), before, pair[2];
    Packet packet;

    fixture_wait(f, &f->opened, 1);
    before = n_open_fds();
    send_bytes(fd, fd_call(1, 0));
    expect(fd, VIREO_RPC_REPLY, 1, VIREO_RPC_OK);
    g_assert_cmpint(pipe(pair), ==, 0);
    for (guint round = 0; round < 3; round++) {
        guint n = round == 0 ? 1 : round == 1 ? 2 : 32;

        /* The next call comes in one piece with what goes before it. */
        send_bytes(fd, fd_call(2, n));
        for (guint i = 0; i < n; i++)
            send_one_fd(fd, pair[1]);
        send_call(fd, PROC_ECHO, 3);
        packet = receive(fd);
        g_assert_cmpuint(packet.header.type, ==, VIREO_RPC_REPLY_WITH_FDS);
        g_assert_cmpuint(packet.n_fds, ==, n);
        for (guint i = 0; i < n; i++) {
            char byte = 0;

            g_assert_cmpint(write(packet.fds[i], "z", 1), ==, 1);
            g_assert_cmpint(read(pair[0], &byte, 1), ==, 1);
            g_assert_cmpint(byte, ==, 'z');
        }
        packet_clear(&packet);
        expect(fd, VIREO_RPC_REPLY, 3, VIREO_RPC_OK);
    }
    /* On a packet that is ignored they are closed. */
    send_bytes(fd, packet_make(REMOTE, 1, VIREO_RPC_REPLY_WITH_FDS, 0, 0, "\0\0\0\1", 4));
    send_one_fd(fd, pair[1]);
    send_call(fd, PROC_ECHO, 4);
    expect(fd, VIREO_RPC_REPLY, 4, VIREO_RPC_OK);
    close(pair[0]);
    close(pair[1]);
    g_assert_cmpint(n_open_fds(), ==, before);
    close(fd);
}

static void test_bad_fds(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int before = n_open_fds(), fd = fixture_connect(f);

    /* Announced, but an ordinary byte instead. */
    send_bytes(fd, fd_call(1, 1));
    g_assert_cmpint(send(fd, "", 1, 0), ==, 1);
    expect_eof(fd);
    close(fd);
    /* Not announced, before a packet. */
    fd = fixture_connect(f);
    send_one_fd(fd, 0);
    send_call(fd, PROC_ECHO, 1);
    expect_eof(fd);
    close(fd);
    /* Announced, but the client goes away. */
    fd = fixture_connect(f);
    send_bytes(fd, fd_call(1, 3));
    send_one_fd(fd, 0);
    close(fd);
    fixture_wait(f, &f->closed, 3);
    g_assert_cmpuint(f->calls, ==, 0);
    g_assert_cmpint(n_open_fds(), ==, before);
}

/* A large packet with descriptors: the payload is aligned although a count stands before it. */
static void test_large_fds(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    g_autofree guint8 *payload = g_malloc0(200000);
    int fd = fixture_connect(f);
    Packet packet;

    payload[3] = 2;
    send_bytes(fd, packet_make(REMOTE, PROC_ECHO, VIREO_RPC_CALL_WITH_FDS, 1, 0, payload, 200000));
    send_one_fd(fd, 0);
    send_one_fd(fd, 0);
    packet = receive(fd);
    g_assert_cmpuint(packet.n_fds, ==, 2);
    packet_clear(&packet);
    g_assert_cmpuint(f->call_bytes, ==, 200000 - 4);
    close(fd);
}

/* A client that asks without reading: its answers wait, the daemon's memory does not grow, and all
 * of it comes in the end. */
static void test_slow_reader(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    guint8 size[4] = {0, 1, 0x86, 0xa0}; /* 100000 */
    int fd = fixture_connect(f);

    for (guint i = 0; i < 300; i++)
        send_bytes(fd, packet_make(REMOTE, PROC_TEXT, VIREO_RPC_CALL, i, 0, size, 4));
    g_usleep(200 * 1000);
    g_mutex_lock(&f->lock);
    g_assert_cmpuint(f->calls, <, 30);
    g_mutex_unlock(&f->lock);
    for (guint i = 0; i < 300; i++) {
        Packet packet = receive(fd);

        g_assert_cmpuint(packet.header.serial, ==, i);
        g_assert_cmpuint(packet.payload->len, ==, 100004);
        packet_clear(&packet);
    }
    close(fd);
}

static void flood(Fixture *f)
{
    g_autoptr(GPtrArray) clients = vireo_rpc_server_clients(f->server);
    const VireoOp *op = vireo_op_by_name("domain_event_callback_control_error");
    g_autofree char *name = g_strnfill(100000, 'n');
    vireo_domain_event_callback_control_error_msg msg = {.msg.dom.name = name};

    for (guint i = 0; i < 400; i++)
        vireo_rpc_send_event(clients->pdata[0], op, &msg);
}

/* A client that leaves its events unread loses its connection. */
static void test_unread_events(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int fd = fixture_connect(f);

    fixture_wait(f, &f->opened, 1);
    g_test_expect_message("vireo", G_LOG_LEVEL_WARNING, "*does not read its events*");
    fixture_run(f, flood);
    fixture_wait(f, &f->closed, 1);
    g_test_assert_expected_messages();
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rpc/call", test_call);
    g_test_add_func("/rpc/pieces", test_pieces);
    g_test_add_func("/rpc/sizes", test_sizes);
    g_test_add_func("/rpc/anonymous-size", test_anonymous_size);
    g_test_add_func("/rpc/bad-headers", test_bad_headers);
    g_test_add_func("/rpc/status", test_status);
    g_test_add_func("/rpc/ignored", test_ignored);
    g_test_add_func("/rpc/pipelined", test_pipelined);
    g_test_add_func("/rpc/slots", test_slots);
    g_test_add_func("/rpc/fds", test_fds);
    g_test_add_func("/rpc/bad-fds", test_bad_fds);
    g_test_add_func("/rpc/large-fds", test_large_fds);
    g_test_add_func("/rpc/slow-reader", test_slow_reader);
    g_test_add_func("/rpc/unread-events", test_unread_events);
    return g_test_run();
}
