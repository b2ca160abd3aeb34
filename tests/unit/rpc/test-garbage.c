/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packets with random faults, in random pieces, with descriptors in random places: the server goes
 * on serving others and leaks nothing. The seed is printed; --seed repeats a run. */
#include "fixture.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ops/catalogue.h"

#define CLIENTS 400

static guint32 choose(const guint32 *values, guint n)
{
    return values[g_test_rand_int_range(0, (gint32)n)];
}

static GByteArray *random_packet(void)
{
    static const guint32 programs[] = {0x20008086, 0x20008086, 0x20008086,
                                       0x6b656570, 0x06900690, 7};
    static const guint32 procs[] = {PROC_ECHO, PROC_STREAM, PROC_VERSION, PROC_EVENT, 1, 2, 999};
    static const guint32 types[] = {0, 0, 0, 1, 2, 3, 3, 3, 4, 5, 6};
    static const guint32 sizes[] = {0, 0, 1, 3, 4, 12, 100, 4000, 70000, 270000};
    guint32 size = choose(sizes, G_N_ELEMENTS(sizes));
    g_autofree guint8 *payload = g_malloc0(MAX(size, 4));
    GByteArray *packet;

    if (g_test_rand_bit())
        payload[3] = g_test_rand_int_range(0, 34);
    packet =
        packet_make(choose(programs, 6), choose(procs, 7), choose(types, 11),
                    g_test_rand_int_range(0, 5), g_test_rand_int_range(0, 30) / 10, payload, size);
    if (g_test_rand_int_range(0, 4) == 0)
        packet->data[g_test_rand_int_range(0, MIN(packet->len, 40))] = g_test_rand_int();
    if (g_test_rand_int_range(0, 8) == 0)
        g_byte_array_set_size(packet, g_test_rand_int_range(1, packet->len + 1));
    return packet;
}

/* Writes what the server takes, and reads away what it says. */
static gboolean push(int fd, GByteArray *packet)
{
    static guint8 sink[65536];
    gsize pos = 0;

    for (guint patience = 200; pos < packet->len && patience > 0; patience--) {
        gsize piece = g_test_rand_int_range(1, 9000), rest = packet->len - pos;
        gsize part = g_test_rand_bit() ? rest : MIN(rest, piece);
        gssize n = send(fd, packet->data + pos, part, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno != EAGAIN)
            return FALSE;
        pos += MAX(n, 0);
        if (n < 0)
            g_usleep(200);
        while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) > 0)
            ;
    }
    return pos == packet->len;
}

static gboolean try_send_fd(int socket, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec dummy = {"", 1};
    struct msghdr message = {.msg_iov = &dummy,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    *(int *)CMSG_DATA(head) = fd;
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

static guint count_fds(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    guint n = 0;

    while (g_dir_read_name(dir))
        n++;
    return n;
}

static void test_garbage(void)
{
    g_autoptr(Fixture) f = fixture_new(NULL);
    guint before = count_fds();
    int good;

    f->stream_dup = TRUE;
    for (guint i = 0; i < CLIENTS; i++) {
        int fd = fixture_connect(f), pair[2];
        guint packets = g_test_rand_int_range(1, 12);

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
        fixture_wait(f, &f->opened, i + 1);
        f->stream_fd = pair[0];
        f->stream_how = g_test_rand_int_range(1, 8);
        for (guint k = 0; k < packets; k++) {
            g_autoptr(GByteArray) packet = random_packet();

            if (!push(fd, packet) ||
                (g_test_rand_int_range(0, 6) == 0 && !try_send_fd(fd, pair[1])))
                break;
        }
        close(fd);
        fixture_wait(f, &f->closed, i + 1);
        close(pair[0]);
        close(pair[1]);
    }
    good = fixture_connect(f);
    send_call(good, PROC_ECHO, 1);
    expect(good, VIREO_RPC_REPLY, 1, VIREO_RPC_OK);
    close(good);
    fixture_wait(f, &f->closed, CLIENTS + 1);
    fixture_answer_all(f); /* they hold descriptors */
    g_assert_cmpuint(count_fds(), ==, before);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rpc/garbage", test_garbage);
    return g_test_run();
}
