/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages that arrive as they were sent, and garbage that does no harm. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "far/channel.h"

typedef struct {
    VireoFarChannel *here, *there;
    int raw; /* what `there` would write with */
} Pair;

static void set_up(Pair *pair, gconstpointer unused)
{
    int fds[2];

    g_assert_true(vireo_far_socketpair(fds));
    pair->here = vireo_far_channel_new(fds[0]);
    pair->there = vireo_far_channel_new(fds[1]);
    pair->raw = fds[1];
}

static void tear_down(Pair *pair, gconstpointer unused)
{
    vireo_far_channel_unref(pair->here);
    vireo_far_channel_unref(pair->there);
}

static guint open_descriptors(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    guint n = 0;

    while (g_dir_read_name(dir))
        n++;
    return n;
}

static void check_round(Pair *pair, gsize size)
{
    g_autoptr(GByteArray) body = g_byte_array_new();
    g_auto(VireoFarMessage) message = { 0 };

    g_byte_array_set_size(body, (guint)size);
    for (gsize i = 0; i < size; i++)
        body->data[i] = (guint8)(i * 7);
    g_assert_true(vireo_far_channel_send(pair->there, VIREO_FAR_CALL, 5, 6, body, NULL, 0));
    g_assert_true(vireo_far_channel_receive(pair->here, &message, NULL));
    g_assert_cmpuint(message.kind, ==, VIREO_FAR_CALL);
    g_assert_cmpuint(message.serial, ==, 5);
    g_assert_cmpuint(message.id, ==, 6);
    g_assert_cmpmem(message.body, message.size, body->data, body->len);
    g_assert_cmpuint(message.n_fds, ==, 0);
}

static void test_sizes(Pair *pair, gconstpointer unused)
{
    guint before = open_descriptors();

    check_round(pair, 0);
    check_round(pair, 1);
    check_round(pair, 65536);
    check_round(pair, 65537);
    check_round(pair, 8 << 20);
    g_assert_cmpuint(open_descriptors(), ==, before);
}

static void test_too_large(Pair *pair, gconstpointer unused)
{
    g_autoptr(GByteArray) body = g_byte_array_new();

    g_byte_array_set_size(body, VIREO_FAR_BODY_MAX + 1);
    g_assert_false(vireo_far_channel_send(pair->there, VIREO_FAR_CALL, 1, 1, body, NULL, 0));
    g_assert_false(vireo_far_channel_is_cut(pair->there));
}

static void test_descriptors(Pair *pair, gconstpointer unused)
{
    guint before = open_descriptors();
    struct stat sent, got;
    int ends[2];

    g_assert_cmpint(pipe(ends), ==, 0);
    for (guint large = 0; large < 2; large++) {
        g_autoptr(GByteArray) body = g_byte_array_new();
        g_auto(VireoFarMessage) message = { 0 };

        g_byte_array_set_size(body, large ? 100000 : 10);
        g_assert_true(vireo_far_channel_send(pair->there, VIREO_FAR_REPLY, 1, 0, body, ends, 2));
        g_assert_true(vireo_far_channel_receive(pair->here, &message, NULL));
        g_assert_cmpuint(message.n_fds, ==, 2);
        g_assert_cmpint(fstat(ends[1], &sent), ==, 0);
        g_assert_cmpint(fstat(message.fds[1], &got), ==, 0);
        g_assert_cmpuint(got.st_ino, ==, sent.st_ino);
        g_assert_cmpint(fcntl(message.fds[1], F_GETFD), ==, FD_CLOEXEC);
    }
    close(ends[0]);
    close(ends[1]);
    g_assert_cmpuint(open_descriptors(), ==, before);
}

/* An end that does not read holds up nobody, and gets everything in order once it does. */
static void test_backlog(Pair *pair, gconstpointer unused)
{
    const guint n = 3000;
    g_autoptr(GByteArray) body = g_byte_array_new();
    g_auto(VireoFarMessage) message = { 0 };

    g_byte_array_set_size(body, 4096);
    for (guint i = 0; i < n; i++)
        g_assert_true(vireo_far_channel_send(pair->there, VIREO_FAR_CALL, i, 0, body, NULL, 0));
    for (guint i = 0; i < n; i++) {
        g_assert_true(vireo_far_channel_receive(pair->here, &message, NULL));
        g_assert_cmpuint(message.serial, ==, i);
    }
}

/* But its patience ends. */
static void test_never_reads(Pair *pair, gconstpointer unused)
{
    g_autoptr(GByteArray) body = g_byte_array_new();
    guint sent = 0;

    g_byte_array_set_size(body, 60000);
    while (sent < 100000 && vireo_far_channel_send(pair->there, VIREO_FAR_CALL, 1, 0, body, NULL, 0))
        sent++;
    g_assert_cmpuint(sent, <, 2000);
    g_assert_true(vireo_far_channel_is_cut(pair->there));
}

static void test_end(Pair *pair, gconstpointer unused)
{
    g_auto(VireoFarMessage) message = { 0 };
    g_autoptr(GError) error = NULL;

    vireo_far_channel_cut(pair->there);
    g_assert_false(vireo_far_channel_receive(pair->here, &message, &error));
    g_assert_no_error(error);
    g_assert_false(vireo_far_channel_send(pair->there, VIREO_FAR_CANCEL, 1, 0, NULL, NULL, 0));
    vireo_far_channel_send(pair->here, VIREO_FAR_CANCEL, 1, 0, NULL, NULL, 0);
}

/* ---- garbage ---- */

typedef struct {
    guint32 size;
    guint16 kind, flags;
    guint32 serial, id;
} Header;

static void write_raw(int to, const void *bytes, gsize size, const int *fds, guint n_fds)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * 128)];
    } control = { 0 };
    struct iovec part = { (void *)bytes, size };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

    if (n_fds) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        control.align = (struct cmsghdr){ CMSG_LEN(sizeof(int) * n_fds), SOL_SOCKET, SCM_RIGHTS };
        memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * n_fds);
    }
    g_assert_cmpint(sendmsg(to, &message, 0), ==, (gssize)size);
}

static void expect_broken(Pair *pair, const char *why)
{
    g_auto(VireoFarMessage) message = { 0 };
    g_autoptr(GError) error = NULL;

    g_assert_false(vireo_far_channel_receive(pair->here, &message, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, why));
}

static int file_of(gsize size, int seals)
{
    int fd = memfd_create("test", MFD_ALLOW_SEALING);

    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    if (seals)
        fcntl(fd, F_ADD_SEALS, seals);
    return fd;
}

static void test_garbage(Pair *pair, gconstpointer unused)
{
    const int all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    guint before = open_descriptors();
    const struct {
        Header header;
        gsize more;
        int file, seals, n_fds; /* file: its size, -1 none */
        const char *why;
    } cases[] = {
        { { 1, 1, 0, 0, 0 }, 0, -1, 0, 0, "length is wrong" },
        { { 0xffffffff, 1, 0, 0, 0 }, 8, -1, 0, 0, "length is wrong" },
        { { 8, 1, 2, 0, 0 }, 8, -1, 0, 0, "length is wrong" },
        { { 100000, 1, 1, 0, 0 }, 0, -1, 0, 0, "file is missing" },
        { { 100000, 1, 1, 0, 0 }, 0, 99999, all, 0, "not what it should be" },
        { { 100000, 1, 1, 0, 0 }, 0, 100000, 0, 0, "not what it should be" },
        { { 0xfffffff0, 1, 1, 0, 0 }, 0, 100000, all, 0, "too large" },
        { { 0, 1, 0, 0, 0 }, 0, -1, 0, 65, "too many descriptors" },
        { { 0, 1, 0, 0, 0 }, 0, -1, 0, 100, "descriptors were lost" },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint8 bytes[64] = { 0 };
        int fds[128], n = 0;

        memcpy(bytes, &cases[i].header, sizeof(Header));
        for (n = 0; n < cases[i].n_fds; n++)
            fds[n] = pair->raw;
        if (cases[i].file >= 0)
            fds[n++] = file_of((gsize)cases[i].file, cases[i].seals);
        write_raw(pair->raw, bytes, sizeof(Header) + cases[i].more, fds, (guint)n);
        if (cases[i].file >= 0)
            close(fds[n - 1]);
        expect_broken(pair, cases[i].why);
    }
    write_raw(pair->raw, "abc", 3, NULL, 0);
    expect_broken(pair, "too short");
    g_assert_cmpuint(open_descriptors(), ==, before);
}

static void test_random(Pair *pair, gconstpointer unused)
{
    g_auto(VireoFarMessage) message = { 0 };

    for (guint i = 0; i < 20000; i++) {
        guint8 bytes[256];
        gsize size = (gsize)g_random_int_range(1, sizeof bytes);

        for (gsize j = 0; j < size; j++)
            bytes[j] = (guint8)g_random_int();
        if (size >= sizeof(Header) && g_random_boolean()) {
            Header header = { (guint32)(size - sizeof(Header)), (guint16)g_random_int_range(0, 80), 0, 1, 1 };

            memcpy(bytes, &header, sizeof header);
        }
        write_raw(pair->raw, bytes, size, NULL, 0);
        vireo_far_channel_receive(pair->here, &message, NULL);
    }
    check_round(pair, 100);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add("/far/channel/" name, Pair, NULL, set_up, function, tear_down)
    TEST("sizes", test_sizes);
    TEST("too-large", test_too_large);
    TEST("descriptors", test_descriptors);
    TEST("backlog", test_backlog);
    TEST("never-reads", test_never_reads);
    TEST("end", test_end);
    TEST("garbage", test_garbage);
    TEST("random", test_random);
    return g_test_run();
}
