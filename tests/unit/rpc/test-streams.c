/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streams: pipes, sockets, pseudo terminals and files, both ways. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ops/catalogue.h"

#define BLOCK 262120

/* Opens the stream of serial 1 on `fd`, the fixture's end. */
static int start(Fixture *f, int fd, int how)
{
    int client = fixture_connect(f);

    f->stream_fd = fd;
    f->stream_how = how;
    send_call(client, PROC_STREAM, 1);
    expect(client, VIREO_RPC_REPLY, 1, VIREO_RPC_OK);
    return client;
}

static void expect_data(int client, const void *data, gsize size)
{
    gsize got = 0;

    while (got < size) {
        Packet packet = receive(client);

        g_assert_cmpuint(packet.header.type, ==, VIREO_RPC_STREAM);
        g_assert_cmpuint(packet.header.status, ==, VIREO_RPC_CONTINUE);
        g_assert_cmpuint(packet.payload->len, >, 0);
        g_assert_cmpuint(packet.payload->len, <=, MIN(BLOCK, size - got));
        g_assert_cmpmem(packet.payload->data, packet.payload->len, (const char *)data + got,
                        packet.payload->len);
        got += packet.payload->len;
        packet_clear(&packet);
    }
}

static void expect_stream_end(int client)
{
    Packet packet = receive(client);

    g_assert_cmpuint(packet.header.type, ==, VIREO_RPC_STREAM);
    g_assert_cmpuint(packet.header.status, ==, VIREO_RPC_CONTINUE);
    g_assert_cmpuint(packet.payload->len, ==, 0);
    packet_clear(&packet);
}

static void finish(Fixture *f, int client, const char *error)
{
    send_stream(client, PROC_STREAM, 1, VIREO_RPC_OK, NULL, 0);
    expect(client, VIREO_RPC_STREAM, 1, VIREO_RPC_OK);
    fixture_wait(f, &f->streams_done, 1);
    g_assert_cmpstr(f->stream_error, ==, error);
    /* Late packets are ignored. */
    send_stream(client, PROC_STREAM, 1, VIREO_RPC_CONTINUE, "late", 4);
    send_call(client, PROC_ECHO, 9);
    expect(client, VIREO_RPC_REPLY, 9, VIREO_RPC_OK);
    close(client);
}

static void test_pipe_from(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int pair[2], client;

    g_assert_cmpint(pipe(pair), ==, 0);
    client = start(f, pair[0], VIREO_STREAM_FROM_FD);
    g_assert_cmpint(write(pair[1], "hello", 5), ==, 5);
    expect_data(client, "hello", 5);
    close(pair[1]);
    expect_stream_end(client);
    finish(f, client, NULL);
}

static void test_socket_both(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int pair[2], client;
    char text[8] = {0};

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    client = start(f, pair[0], VIREO_STREAM_FROM_FD | VIREO_STREAM_TO_FD);
    for (guint i = 0; i < 100; i++) {
        send_stream(client, PROC_STREAM, 1, VIREO_RPC_CONTINUE, "ping", 4);
        g_assert_cmpint(read(pair[1], text, sizeof text), ==, 4);
        g_assert_cmpint(write(pair[1], "pong!", 5), ==, 5);
        expect_data(client, "pong!", 5);
    }
    finish(f, client, NULL);
    g_assert_cmpint(read(pair[1], text, sizeof text), ==, 0);
    close(pair[1]);
}

static void test_pty(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int master, slave, client;
    char text[8] = {0};

    g_assert_cmpint(openpty(&master, &slave, NULL, NULL, NULL), ==, 0);
    client = start(f, master, VIREO_STREAM_FROM_FD | VIREO_STREAM_TO_FD);
    g_assert_cmpint(write(slave, "login", 5), ==, 5);
    expect_data(client, "login", 5);
    send_stream(client, PROC_STREAM, 1, VIREO_RPC_CONTINUE, "me\n", 3);
    g_assert_cmpint(read(slave, text, sizeof text), ==, 3);
    expect_data(client, "me\r\n", 4); /* the echo */
    close(slave);
    expect_stream_end(client);
    finish(f, client, NULL);
}

/* A client that does not read: one packet waits, the source stays unread. */
static void test_back_pressure_from(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    g_autofree char *data = g_malloc(16 << 20);
    int pair[2], client;
    gsize sent = 0;
    gint64 end = g_get_monotonic_time() + G_USEC_PER_SEC / 2;

    for (guint i = 0; i < 16 << 20; i++)
        data[i] = i >> 4;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    client = start(f, pair[0], VIREO_STREAM_FROM_FD);
    while (sent < 16 << 20 && g_get_monotonic_time() < end) {
        gssize n = send(pair[1], data + sent, (16 << 20) - sent, MSG_DONTWAIT);

        if (n > 0)
            sent += n;
        else
            g_usleep(10000);
    }
    g_assert_cmpuint(sent, <, 2 << 20);
    send_call(client, PROC_ECHO, 5); /* other calls go on */
    fixture_wait(f, &f->calls, 2);
    close(pair[1]);
    for (gsize got = 0;;) {
        Packet packet = receive(client);

        if (packet.header.type == VIREO_RPC_STREAM && packet.payload->len == 0) {
            g_assert_cmpuint(got, ==, sent);
            packet_clear(&packet);
            break;
        }
        if (packet.header.type == VIREO_RPC_STREAM)
            g_assert_cmpmem(packet.payload->data, packet.payload->len, data + got,
                            packet.payload->len);
        if (packet.header.type == VIREO_RPC_STREAM)
            got += packet.payload->len;
        packet_clear(&packet);
    }
    finish(f, client, NULL);
}

/* A sink that does not take the data: the client's slots fill, then it is not read from. */
static void test_back_pressure_to(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    g_autofree char *data = g_malloc(BLOCK);
    int pair[2], client;
    gsize got = 0;
    guint packets = 0;
    struct timeval soon = {.tv_usec = 300000};

    memset(data, 'd', BLOCK);
    g_assert_cmpint(pipe(pair), ==, 0);
    client = start(f, pair[1], VIREO_STREAM_TO_FD);
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    for (; packets < 40; packets++) {
        g_autoptr(GByteArray) bytes = packet_make(0x20008086, PROC_STREAM, VIREO_RPC_STREAM, 1,
                                                  VIREO_RPC_CONTINUE, data, BLOCK);
        gssize n = send(client, bytes->data, bytes->len, 0);

        if (n < (gssize)bytes->len) {
            /* Complete the packet once there is room again. */
            GByteArray *rest = g_byte_array_new();
            char buffer[BLOCK];

            n = MAX(n, 0);
            g_byte_array_append(rest, bytes->data + n, bytes->len - n);
            for (gsize drained = 0; drained < 4 * BLOCK;) {
                gssize part = read(pair[0], buffer, sizeof buffer);

                g_assert_cmpint(part, >, 0);
                drained += part;
                got += part;
            }
            send_bytes(client, rest);
            packets++;
            break;
        }
    }
    g_assert_cmpuint(packets, <, 20);
    send_stream(client, PROC_STREAM, 1, VIREO_RPC_OK, NULL, 0);
    while (got < (gsize)packets * BLOCK) {
        char buffer[65536];
        gssize part = read(pair[0], buffer, sizeof buffer);

        g_assert_cmpint(part, >, 0);
        got += part;
    }
    g_assert_cmpint(read(pair[0], data, 1), ==, 0); /* all there, and closed */
    expect(client, VIREO_RPC_STREAM, 1, VIREO_RPC_OK);
    fixture_wait(f, &f->streams_done, 1);
    g_assert_null(f->stream_error);
    close(pair[0]);
    close(client);
}

static void test_abort(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    g_autofree char *data = g_malloc0(BLOCK);
    int pair[2], client;

    g_assert_cmpint(pipe(pair), ==, 0);
    client = start(f, pair[1], VIREO_STREAM_TO_FD);
    /* With data that the sink has not taken: its slots come back. */
    for (guint i = 0; i < 3; i++)
        send_stream(client, PROC_STREAM, 1, VIREO_RPC_CONTINUE, data, BLOCK);
    send_stream(client, PROC_STREAM, 1, VIREO_RPC_ERROR, NULL, 0);
    expect(client, VIREO_RPC_STREAM, 1, VIREO_RPC_OK);
    fixture_wait(f, &f->streams_done, 1);
    g_assert_cmpstr(f->stream_error, ==, "the client aborted the stream");
    for (guint i = 0; i < 5; i++)
        send_call(client, PROC_KEEP, 10 + i);
    fixture_wait(f, &f->kept->len, 5);
    close(pair[0]);
    close(client);
}

static void test_broken_sink(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int pair[2], client;

    g_assert_cmpint(pipe(pair), ==, 0);
    client = start(f, pair[1], VIREO_STREAM_TO_FD);
    close(pair[0]);
    send_stream(client, PROC_STREAM, 1, VIREO_RPC_CONTINUE, "data", 4);
    expect_error(client, VIREO_RPC_STREAM, 1, 38,
                 "cannot write to the stream's target: Broken pipe");
    fixture_wait(f, &f->streams_done, 1);
    g_assert_nonnull(f->stream_error);
    send_call(client, PROC_ECHO, 2);
    expect(client, VIREO_RPC_REPLY, 2, VIREO_RPC_OK);
    close(client);
}

static void test_wrong_way(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int pair[2], client;

    g_assert_cmpint(pipe(pair), ==, 0);
    client = start(f, pair[0], VIREO_STREAM_FROM_FD);
    send_stream(client, PROC_STREAM, 1, VIREO_RPC_CONTINUE, "data", 4);
    expect_error(client, VIREO_RPC_STREAM, 1, 39, "the stream takes no data");
    close(client);
    close(pair[1]);
}

static void test_client_leaves(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int pair[2], client;
    char byte;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    client = start(f, pair[0], VIREO_STREAM_FROM_FD | VIREO_STREAM_TO_FD);
    close(client);
    g_assert_cmpint(read(pair[1], &byte, 1), ==, 0);
    fixture_wait(f, &f->streams_done, 1);
    g_assert_cmpstr(f->stream_error, ==, "the client has gone");
    close(pair[1]);
}

/* What the client sends right after the reply is not lost when the stream is joined later. */
static void test_late_join(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int pair[2], client = fixture_connect(f);
    char text[16] = {0};

    g_assert_cmpint(pipe(pair), ==, 0);
    f->stream_fd = pair[1];
    f->stream_how = VIREO_STREAM_TO_FD;
    send_call(client, PROC_LATE_STREAM, 1);
    expect(client, VIREO_RPC_REPLY, 1, VIREO_RPC_OK);
    send_stream(client, PROC_LATE_STREAM, 1, VIREO_RPC_CONTINUE, "early", 5);
    send_stream(client, PROC_LATE_STREAM, 1, VIREO_RPC_OK, NULL, 0);
    expect(client, VIREO_RPC_STREAM, 1, VIREO_RPC_OK);
    g_assert_cmpint(read(pair[0], text, sizeof text), ==, 5);
    g_assert_cmpstr(text, ==, "early");
    close(pair[0]);
    close(client);
}

/* ---- files ---- */

static int open_file(Fixture *f)
{
    g_autofree char *path = g_build_filename(f->dir, "file", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    unlink(path);
    return fd;
}

static void test_file_from(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    g_autofree char *data = g_malloc(1000000);
    int fd = open_file(f), client;

    for (guint i = 0; i < 1000000; i++)
        data[i] = i * 7 >> 3;
    g_assert_cmpint(write(fd, data, 1000000), ==, 1000000);
    client = start(f, dup(fd), VIREO_STREAM_FROM_FD);
    expect_data(client, data, 1000000);
    expect_stream_end(client);
    finish(f, client, NULL);

    f->streams_done = 0;
    f->stream_offset = 1000;
    f->stream_length = 500000;
    client = start(f, fd, VIREO_STREAM_FROM_FD);
    expect_data(client, data + 1000, 500000);
    expect_stream_end(client);
    finish(f, client, NULL);
}

static void test_file_to(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    g_autofree char *data = g_malloc(BLOCK), *back = g_malloc(BLOCK);
    int fd = open_file(f), client;

    for (guint i = 0; i < BLOCK; i++)
        data[i] = i * 11 >> 2;
    f->stream_offset = 4096;
    client = start(f, dup(fd), VIREO_STREAM_TO_FD);
    for (guint i = 0; i < 20; i++)
        send_stream(client, PROC_STREAM, 1, VIREO_RPC_CONTINUE, data, BLOCK);
    finish(f, client, NULL);
    for (guint i = 0; i < 20; i++) {
        g_assert_cmpint(pread(fd, back, BLOCK, 4096 + (off_t)i * BLOCK), ==, BLOCK);
        g_assert_cmpmem(back, BLOCK, data, BLOCK);
    }
    close(fd);
}

static void test_file_abort(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    g_autofree char *data = g_malloc0(BLOCK);
    int client = start(f, open_file(f), VIREO_STREAM_TO_FD);

    for (guint i = 0; i < 10; i++)
        send_stream(client, PROC_STREAM, 1, VIREO_RPC_CONTINUE, data, BLOCK);
    send_stream(client, PROC_STREAM, 1, VIREO_RPC_ERROR, NULL, 0);
    expect(client, VIREO_RPC_STREAM, 1, VIREO_RPC_OK);
    for (guint i = 0; i < 5; i++)
        send_call(client, PROC_KEEP, 10 + i);
    fixture_wait(f, &f->kept->len, 5);
    close(client);
}

static void expect_hole(int client, guint64 length)
{
    Packet packet = receive(client);

    g_assert_cmpuint(packet.header.type, ==, VIREO_RPC_STREAM_HOLE);
    g_assert_cmpuint(packet.header.status, ==, VIREO_RPC_CONTINUE);
    g_assert_cmpuint(packet.payload->len, ==, 12);
    g_assert_cmpuint((guint64)get_u32(packet.payload->data) << 32 |
                         get_u32(packet.payload->data + 4),
                     ==, length);
    packet_clear(&packet);
}

static void test_sparse_from(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int fd = open_file(f), client;
    char block[65536];

    memset(block, 'b', sizeof block);
    g_assert_cmpint(pwrite(fd, block, sizeof block, 5LL << 30), ==, sizeof block);
    g_assert_cmpint(ftruncate(fd, (5LL << 30) + (1 << 20)), ==, 0);
    if (lseek(fd, 0, SEEK_DATA) != 5LL << 30) {
        g_test_skip("this file system does not tell where its holes are");
        close(fd);
        return;
    }
    client = start(f, fd, VIREO_STREAM_FROM_FD | VIREO_STREAM_SPARSE);
    expect_hole(client, 5LL << 30);
    expect_data(client, block, sizeof block);
    expect_hole(client, (1 << 20) - sizeof block);
    expect_stream_end(client);
    finish(f, client, NULL);
}

static void send_hole(int client, guint64 length)
{
    GByteArray *payload = g_byte_array_new();

    put_u32(payload, length >> 32);
    put_u32(payload, length);
    put_u32(payload, 0);
    send_bytes(client, packet_make(0x20008086, PROC_STREAM, VIREO_RPC_STREAM_HOLE, 1,
                                   VIREO_RPC_CONTINUE, payload->data, payload->len));
    g_byte_array_unref(payload);
}

static void test_sparse_to(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    g_autofree char *old = g_malloc(200000);
    int fd = open_file(f), client;
    struct stat info;
    char byte = 1;

    memset(old, 'o', 200000);
    g_assert_cmpint(write(fd, old, 200000), ==, 200000);
    client = start(f, dup(fd), VIREO_STREAM_TO_FD | VIREO_STREAM_SPARSE);
    send_stream(client, PROC_STREAM, 1, VIREO_RPC_CONTINUE, "begin", 5);
    send_hole(client, 3LL << 30);
    send_stream(client, PROC_STREAM, 1, VIREO_RPC_CONTINUE, "end", 3);
    send_hole(client, 1000);
    finish(f, client, NULL);
    g_assert_cmpint(fstat(fd, &info), ==, 0);
    g_assert_cmpint(info.st_size, ==, (3LL << 30) + 5 + 3 + 1000);
    g_assert_cmpint(info.st_blocks, <, 2048);
    for (guint at = 5; at < 200000; at += 997) {
        g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
        g_assert_cmpint(byte, ==, 0);
    }
    g_assert_cmpint(pread(fd, old, 3, (3LL << 30) + 5), ==, 3);
    g_assert_cmpmem(old, 3, "end", 3);
    close(fd);
}

static void test_hole_refused(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int client = start(f, open_file(f), VIREO_STREAM_TO_FD);

    send_hole(client, 1000);
    expect_error(client, VIREO_RPC_STREAM, 1, 39, "the stream takes no holes");
    close(client);
}

/* ---- streams that are confirmed ---- */

static int start_confirmed(Fixture *f, int how, int *driver)
{
    int pair[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
    *driver = pair[1];
    return start(f, pair[0], how | VIREO_STREAM_CONFIRM);
}

static void say(int driver, guint8 what, gconstpointer data, gsize size)
{
    struct iovec parts[] = { { &what, 1 }, { (gpointer)data, size } };

    g_assert_cmpint(writev(driver, parts, 2), ==, (gssize)size + 1);
}

static void expect_said(int driver, guint8 what, gconstpointer data, gsize size)
{
    guint8 message[128];

    g_assert_cmpint(read(driver, message, sizeof message), ==, (gssize)size + 1);
    g_assert_cmpint(message[0], ==, what);
    g_assert_cmpmem(message + 1, size, data, size);
}

/* The client hears that it is done when the driver has said so. */
static void test_confirmed_upload(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    struct pollfd poll_client = { .events = POLLIN };
    int driver, client = start_confirmed(f, VIREO_STREAM_TO_FD, &driver);

    send_stream(client, PROC_STREAM, 1, VIREO_RPC_CONTINUE, "data", 4);
    expect_said(driver, VIREO_STREAM_SAY_DATA, "data", 4);
    send_stream(client, PROC_STREAM, 1, VIREO_RPC_OK, NULL, 0);
    expect_said(driver, VIREO_STREAM_SAY_DONE, NULL, 0);
    poll_client.fd = client;
    g_assert_cmpint(poll(&poll_client, 1, 100), ==, 0);
    say(driver, VIREO_STREAM_SAY_DONE, NULL, 0);
    close(driver);
    expect(client, VIREO_RPC_STREAM, 1, VIREO_RPC_OK);
    fixture_wait(f, &f->streams_done, 1);
    g_assert_null(f->stream_error);
    close(client);
}

static void test_confirmed_upload_fails(void)
{
    const guint32 code = VIREO_ERR_OPERATION_FAILED;
    g_autoptr(GByteArray) said = g_byte_array_new();

    g_byte_array_append(said, (const guint8 *)&code, sizeof code);
    g_byte_array_append(said, (const guint8 *)"the disk is full", 16);
    for (guint late = 0; late < 2; late++) { /* before the client has sent everything, and after */
        g_autoptr(Fixture) f = fixture_new(NULL);
        int driver, client = start_confirmed(f, VIREO_STREAM_TO_FD, &driver);

        send_stream(client, PROC_STREAM, 1, late ? VIREO_RPC_OK : VIREO_RPC_CONTINUE, "data", late ? 0 : 4);
        expect_said(driver, late ? VIREO_STREAM_SAY_DONE : VIREO_STREAM_SAY_DATA, "data", late ? 0 : 4);
        say(driver, VIREO_STREAM_SAY_FAILED, said->data, said->len);
        close(driver);
        expect_error(client, VIREO_RPC_STREAM, 1, VIREO_ERR_OPERATION_FAILED, "the disk is full");
        close(client);
    }
}

static void test_confirmed_driver_dies(void)
{
    for (guint how = VIREO_STREAM_FROM_FD; how <= VIREO_STREAM_TO_FD; how++) {
        g_autoptr(Fixture) f = fixture_new(NULL);
        int driver, client = start_confirmed(f, (int)how, &driver);

        if (how == VIREO_STREAM_TO_FD)
            send_stream(client, PROC_STREAM, 1, VIREO_RPC_OK, NULL, 0);
        close(driver);
        expect_error(client, VIREO_RPC_STREAM, 1, VIREO_ERR_RPC, "the driver has given the stream up");
        close(client);
    }
}

/* A client that goes has not finished: the driver is not told DONE. */
static void test_confirmed_upload_aborted(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int driver, client = start_confirmed(f, VIREO_STREAM_TO_FD, &driver);
    guint8 byte;

    send_stream(client, PROC_STREAM, 1, VIREO_RPC_CONTINUE, "data", 4);
    send_stream(client, PROC_STREAM, 1, VIREO_RPC_ERROR, NULL, 0);
    expect(client, VIREO_RPC_STREAM, 1, VIREO_RPC_OK);
    expect_said(driver, VIREO_STREAM_SAY_DATA, "data", 4);
    g_assert_cmpint(read(driver, &byte, 1), ==, 0);
    close(driver);
    close(client);
}

static void test_confirmed_download(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int driver, client = start_confirmed(f, VIREO_STREAM_FROM_FD | VIREO_STREAM_SPARSE, &driver);
    const guint64 hole = 1 << 20;

    say(driver, VIREO_STREAM_SAY_DATA, "hello", 5);
    expect_data(client, "hello", 5);
    say(driver, VIREO_STREAM_SAY_HOLE, &hole, sizeof hole);
    expect_hole(client, hole);
    say(driver, VIREO_STREAM_SAY_DONE, NULL, 0);
    close(driver);
    expect_stream_end(client);
    finish(f, client, NULL);
}

/* More than the driver takes at once, and a hole among it. */
static void test_confirmed_much(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    g_autofree char *data = g_malloc0(BLOCK), *got = g_malloc(BLOCK + 1);
    int driver, client = start_confirmed(f, VIREO_STREAM_TO_FD | VIREO_STREAM_SPARSE, &driver);
    gsize holes = 0, taken = 0;
    gssize n;

    for (guint i = 0; i < 3; i++)
        send_stream(client, PROC_STREAM, 1, VIREO_RPC_CONTINUE, data, BLOCK);
    send_hole(client, 4096);
    send_stream(client, PROC_STREAM, 1, VIREO_RPC_OK, NULL, 0);
    while ((n = read(driver, got, BLOCK + 1)) > 0 && *got != VIREO_STREAM_SAY_DONE) {
        holes += *got == VIREO_STREAM_SAY_HOLE;
        taken += *got == VIREO_STREAM_SAY_DATA ? (gsize)n - 1 : 0;
    }
    g_assert_cmpuint(taken, ==, 3 * BLOCK);
    g_assert_cmpuint(holes, ==, 1);
    say(driver, VIREO_STREAM_SAY_DONE, NULL, 0);
    expect(client, VIREO_RPC_STREAM, 1, VIREO_RPC_OK);
    close(driver);
    close(client);
}

static void test_confirmed_nonsense(void)
{
    static const guint8 words[] = { 0, 77, VIREO_STREAM_SAY_FAILED, VIREO_STREAM_SAY_HOLE, VIREO_STREAM_SAY_DATA };

    for (guint i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autoptr(Fixture) f = fixture_new(NULL);
        int driver, client = start_confirmed(f, VIREO_STREAM_FROM_FD, &driver);

        say(driver, words[i], "", 0);
        expect_error(client, VIREO_RPC_STREAM, 1, VIREO_ERR_RPC, "the driver says something unknown on the stream");
        close(driver);
        close(client);
    }
}

/* Who never writes is not cut off in silence. */
static void test_reset_is_no_end(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int pair[2], client;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    g_assert_cmpint(write(pair[0], "unread", 6), ==, 6);
    client = start(f, pair[0], VIREO_STREAM_FROM_FD);
    close(pair[1]);
    expect_error(client, VIREO_RPC_STREAM, 1, VIREO_ERR_SYSTEM_ERROR,
                 "cannot read from the stream's source: Connection reset by peer");
    close(client);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rpc/stream/pipe-from", test_pipe_from);
    g_test_add_func("/rpc/stream/socket-both", test_socket_both);
    g_test_add_func("/rpc/stream/pty", test_pty);
    g_test_add_func("/rpc/stream/back-pressure-from", test_back_pressure_from);
    g_test_add_func("/rpc/stream/back-pressure-to", test_back_pressure_to);
    g_test_add_func("/rpc/stream/abort", test_abort);
    g_test_add_func("/rpc/stream/broken-sink", test_broken_sink);
    g_test_add_func("/rpc/stream/wrong-way", test_wrong_way);
    g_test_add_func("/rpc/stream/client-leaves", test_client_leaves);
    g_test_add_func("/rpc/stream/late-join", test_late_join);
    g_test_add_func("/rpc/stream/file-from", test_file_from);
    g_test_add_func("/rpc/stream/file-to", test_file_to);
    g_test_add_func("/rpc/stream/file-abort", test_file_abort);
    g_test_add_func("/rpc/stream/sparse-from", test_sparse_from);
    g_test_add_func("/rpc/stream/sparse-to", test_sparse_to);
    g_test_add_func("/rpc/stream/hole-refused", test_hole_refused);
    g_test_add_func("/rpc/stream/confirmed-upload", test_confirmed_upload);
    g_test_add_func("/rpc/stream/confirmed-upload-fails", test_confirmed_upload_fails);
    g_test_add_func("/rpc/stream/confirmed-driver-dies", test_confirmed_driver_dies);
    g_test_add_func("/rpc/stream/confirmed-upload-aborted", test_confirmed_upload_aborted);
    g_test_add_func("/rpc/stream/confirmed-download", test_confirmed_download);
    g_test_add_func("/rpc/stream/confirmed-much", test_confirmed_much);
    g_test_add_func("/rpc/stream/confirmed-nonsense", test_confirmed_nonsense);
    g_test_add_func("/rpc/stream/reset-is-no-end", test_reset_is_no_end);
    return g_test_run();
}
