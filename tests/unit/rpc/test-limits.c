/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits on clients, keepalive, idle connections, listening. */
#include "fixture.h"

#include <glib/gstdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ops/catalogue.h"

static void test_max_clients(void)
{
    VireoRpcLimits limits = vireo_rpc_default_limits;
    g_autoptr(Fixture) f = NULL;
    int fds[4];

    limits.max_clients = 2;
    f = fixture_new(&limits);
    for (guint i = 0; i < 4; i++) {
        fds[i] = fixture_connect(f);
        send_call(fds[i], PROC_ECHO, i);
    }
    expect(fds[0], VIREO_RPC_REPLY, 0, VIREO_RPC_OK);
    expect(fds[1], VIREO_RPC_REPLY, 1, VIREO_RPC_OK);
    expect_silence(fds[2], 100);
    close(fds[0]);
    expect(fds[2], VIREO_RPC_REPLY, 2, VIREO_RPC_OK);
    expect_silence(fds[3], 50);
    close(fds[1]);
    expect(fds[3], VIREO_RPC_REPLY, 3, VIREO_RPC_OK);
    close(fds[2]);
    close(fds[3]);
}

static void authenticate_first(Fixture *f)
{
    g_autoptr(GPtrArray) clients = vireo_rpc_server_clients(f->server);
    guint anonymous;

    vireo_rpc_client_set_authenticated(clients->pdata[0]);
    g_assert_cmpuint(vireo_rpc_server_n_clients(f->server, &anonymous), ==, 2);
    g_assert_cmpuint(anonymous, ==, 1);
}

static void test_max_anonymous(void)
{
    VireoRpcLimits limits = vireo_rpc_default_limits;
    g_autoptr(Fixture) f = NULL;
    int fds[3];

    limits.max_anonymous_clients = 2;
    f = fixture_new(&limits);
    f->authenticate = FALSE;
    for (guint i = 0; i < 3; i++) {
        fds[i] = fixture_connect(f);
        send_call(fds[i], PROC_ECHO, i);
    }
    expect(fds[0], VIREO_RPC_REPLY, 0, VIREO_RPC_OK);
    expect(fds[1], VIREO_RPC_REPLY, 1, VIREO_RPC_OK);
    expect_silence(fds[2], 100);
    fixture_run(f, authenticate_first);
    expect(fds[2], VIREO_RPC_REPLY, 2, VIREO_RPC_OK);
    for (guint i = 0; i < 3; i++)
        close(fds[i]);
}

static void more_clients(Fixture *f)
{
    VireoRpcLimits limits;

    vireo_rpc_server_get_limits(f->server, &limits);
    limits.max_clients = 10;
    limits.max_client_requests = 2;
    vireo_rpc_server_set_limits(f->server, &limits);
}

static void test_change_limits(void)
{
    VireoRpcLimits limits = vireo_rpc_default_limits;
    g_autoptr(Fixture) f = NULL;
    int one, two;

    limits.max_clients = 1;
    limits.max_client_requests = 1;
    f = fixture_new(&limits);
    one = fixture_connect(f);
    two = fixture_connect(f);
    send_call(two, PROC_ECHO, 7);
    send_call(one, PROC_KEEP, 1);
    fixture_wait(f, &f->kept->len, 1);
    send_call(one, PROC_ECHO, 2);
    expect_silence(two, 50);
    expect_silence(one, 50);
    fixture_run(f, more_clients);
    expect(two, VIREO_RPC_REPLY, 7, VIREO_RPC_OK);
    expect(one, VIREO_RPC_REPLY, 2, VIREO_RPC_OK);
    close(one);
    close(two);
}

static void send_ping(int fd, gint32 proc)
{
    send_bytes(fd, packet_make(vireo_program_number(VIREO_PROGRAM_KEEPALIVE), proc,
                               VIREO_RPC_MESSAGE, 0, 0, NULL, 0));
}

static void expect_message(int fd, gint32 proc)
{
    Packet packet = receive(fd);

    g_assert_false(packet.eof);
    g_assert_cmphex(packet.header.program, ==, vireo_program_number(VIREO_PROGRAM_KEEPALIVE));
    g_assert_cmpint(packet.header.proc, ==, proc);
    g_assert_cmpuint(packet.header.type, ==, VIREO_RPC_MESSAGE);
    g_assert_cmpuint(packet.header.serial, ==, 0);
    g_assert_cmpuint(packet.payload->len, ==, 0);
    packet_clear(&packet);
}

/* Pings are answered, and none are sent to a client that did not ask for them. */
static void test_pong(void)
{
    VireoRpcLimits limits = vireo_rpc_default_limits;
    g_autoptr(Fixture) f = NULL;
    int fd;

    limits.keepalive_interval = 1;
    f = fixture_new(&limits);
    f->authenticate = FALSE;
    fd = fixture_connect(f);
    for (guint i = 0; i < 20; i++) {
        send_ping(fd, 1);
        expect_message(fd, 2);
        send_ping(fd, 2);
    }
    expect_silence(fd, 2500);
    close(fd);
}

static void test_keepalive(void)
{
    VireoRpcLimits limits = vireo_rpc_default_limits;
    g_autoptr(Fixture) f = NULL;
    gint64 start;
    int fd;

    limits.keepalive_interval = 1;
    limits.keepalive_count = 2;
    f = fixture_new(&limits);
    f->keepalive = TRUE;
    fd = fixture_connect(f);
    /* Any packet counts as a sign of life. */
    for (guint i = 0; i < 4; i++) {
        expect_message(fd, 1);
        if (i % 2)
            send_ping(fd, 2);
        else
            send_call(fd, PROC_ECHO, i);
        if (i % 2 == 0)
            expect(fd, VIREO_RPC_REPLY, i, VIREO_RPC_OK);
    }
    start = g_get_monotonic_time();
    expect_message(fd, 1);
    expect_message(fd, 1);
    expect_eof(fd);
    g_assert_cmpfloat((g_get_monotonic_time() - start) / 1e6, >, 1.5);
    g_assert_cmpfloat((g_get_monotonic_time() - start) / 1e6, <, 4.5);
    close(fd);
}

/* More idle connections than there may be clients: the rest waits, nothing else suffers. */
static void test_idle(void)
{
    VireoRpcLimits limits = vireo_rpc_default_limits;
    g_autoptr(Fixture) f = NULL;
    g_autofree int *fds = NULL;
    struct rlimit files;
    guint n, taken, before;
    gint64 cpu;
    struct rusage usage;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &files), ==, 0);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    n = MIN(10000, (files.rlim_max - 200) / 2);
    taken = n / 2;
    limits.max_clients = taken;
    f = fixture_new(&limits);
    fds = g_new(int, n);
    /* The backlog is finite as well: connect no more than both take. */
    n = MIN(n, taken + 900);
    for (guint i = 0; i < n; i++)
        fds[i] = fixture_connect(f);
    fixture_wait(f, &f->opened, taken);
    getrusage(RUSAGE_SELF, &usage);
    cpu = usage.ru_utime.tv_sec * G_USEC_PER_SEC + usage.ru_utime.tv_usec +
          usage.ru_stime.tv_sec * G_USEC_PER_SEC + usage.ru_stime.tv_usec;
    g_usleep(G_USEC_PER_SEC / 2);
    getrusage(RUSAGE_SELF, &usage);
    cpu = usage.ru_utime.tv_sec * G_USEC_PER_SEC + usage.ru_utime.tv_usec +
          usage.ru_stime.tv_sec * G_USEC_PER_SEC + usage.ru_stime.tv_usec - cpu;
    g_assert_cmpint(cpu, <, 20000);
    g_assert_cmpuint(f->opened, ==, taken);
    before = f->calls;
    for (guint i = 0; i < taken; i += 97) {
        send_call(fds[i], PROC_ECHO, i);
        expect(fds[i], VIREO_RPC_REPLY, i, VIREO_RPC_OK);
        before++;
    }
    g_assert_cmpuint(f->calls, ==, before);
    for (guint i = 0; i < n; i++)
        close(fds[i]);
    fixture_wait(f, &f->closed, n);
    g_test_message("%u connections, %u clients at once", n, taken);
}

/* No descriptor left for a new client: it waits, without a busy loop, and is served later. */
static void test_no_descriptors(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    struct rlimit files, few;
    int fd = fixture_connect(f), hold[64];
    guint n = 0;
    struct rusage usage;
    gint64 cpu;

    fixture_wait(f, &f->opened, 1);
    getrlimit(RLIMIT_NOFILE, &files);
    few = files;
    few.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &few);
    while (n < 64 && (hold[n] = dup(fd)) >= 0)
        n++;
    close(hold[--n]);
    g_test_expect_message("vireo", G_LOG_LEVEL_WARNING, "cannot accept a client*");
    hold[n] = fixture_connect(f);
    send_call(hold[n], PROC_ECHO, 1);
    expect_silence(hold[n], 500);
    getrusage(RUSAGE_SELF, &usage);
    cpu = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec +
          (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_USEC_PER_SEC;
    g_usleep(300000);
    getrusage(RUSAGE_SELF, &usage);
    cpu = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec +
          (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_USEC_PER_SEC - cpu;
    g_assert_cmpint(cpu, <, 20000);
    setrlimit(RLIMIT_NOFILE, &files);
    expect(hold[n], VIREO_RPC_REPLY, 1, VIREO_RPC_OK);
    g_test_assert_expected_messages();
    for (guint i = 0; i <= n; i++)
        close(hold[i]);
    close(fd);
}

static void test_listen(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *deep = g_strnfill(120, 'd');
    g_autofree char *path = g_build_filename(f->dir, "none", "sock", NULL);
    struct stat info;
    int pair[2];

    g_assert_cmpint(g_stat(f->path, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 07777, ==, 0600);
    g_assert_false(vireo_rpc_server_listen(f->server, VIREO_RPC_SOCKET_RW, deep, 0600, -1, &error));
    g_assert_nonnull(strstr(error->message, "longer than"));
    g_clear_error(&error);
    g_assert_false(vireo_rpc_server_listen(f->server, VIREO_RPC_SOCKET_RW, path, 0600, -1, &error));
    g_assert_nonnull(strstr(error->message, "No such file"));
    g_clear_error(&error);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    g_assert_false(vireo_rpc_server_listen_fd(f->server, VIREO_RPC_SOCKET_RW, pair[0], &error));
    g_assert_nonnull(error);
    close(pair[0]);
    close(pair[1]);
}

static void check_peer(Fixture *f)
{
    g_autoptr(GPtrArray) clients = vireo_rpc_server_clients(f->server);
    pid_t pid;
    uid_t uid;
    gid_t gid;
    guint64 start;

    g_assert_true(vireo_rpc_client_peer(clients->pdata[0], &pid, &uid, &gid, &start));
    g_assert_cmpint(pid, ==, getpid());
    g_assert_cmpuint(uid, ==, getuid());
    g_assert_cmpuint(gid, ==, getgid());
    g_assert_cmpuint(start, >, 0);
}

static void test_peer(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    int fd = fixture_connect(f);

    fixture_wait(f, &f->opened, 1);
    fixture_run(f, check_peer);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rpc/limits/max-clients", test_max_clients);
    g_test_add_func("/rpc/limits/max-anonymous", test_max_anonymous);
    g_test_add_func("/rpc/limits/change", test_change_limits);
    g_test_add_func("/rpc/limits/pong", test_pong);
    g_test_add_func("/rpc/limits/keepalive", test_keepalive);
    g_test_add_func("/rpc/limits/idle", test_idle);
    g_test_add_func("/rpc/limits/no-descriptors", test_no_descriptors);
    g_test_add_func("/rpc/limits/listen", test_listen);
    g_test_add_func("/rpc/limits/peer", test_peer);
    return g_test_run();
}
