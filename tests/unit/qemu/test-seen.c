/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is remembered of images, and when it must not be. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "qemu/seen.h"

typedef struct {
    char *dir, *path;
    QemuSeen *seen;
    QemuImageInfo *info;
} Fixture;

static void write_file(const char *path, const char *text)
{
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void set_up(Fixture *f, gconstpointer data)
{
    f->dir = g_dir_make_tmp("seen-XXXXXX", NULL);
    f->path = g_build_filename(f->dir, "image", NULL);
    f->seen = qemu_seen_new();
    f->info = qemu_image_info_new();
    write_file(f->path, "first");
}

static void tear_down(Fixture *f, gconstpointer data)
{
    g_unlink(f->path);
    g_rmdir(f->dir);
    qemu_seen_free(f->seen);
    qemu_image_info_free(f->info);
    g_free(f->path);
    g_free(f->dir);
}

/* age: how long ago it was last changed, seconds; negative: in times to come. */
static struct stat stamp(const Fixture *f, double age)
{
    gint64 at = g_get_real_time() - (gint64)(age * G_USEC_PER_SEC);
    struct stat st;

    g_assert_cmpint(stat(f->path, &st), ==, 0);
    st.st_ctim = st.st_mtim = (struct timespec){ at / G_USEC_PER_SEC, at % G_USEC_PER_SEC * 1000 + 1 };
    return st;
}

static void note(Fixture *f, const struct stat *st)
{
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    qemu_seen_note(f->seen, f->path, fd, st, f->info);
    close(fd);
}

static gboolean knows(Fixture *f, const struct stat *st)
{
    g_autoptr(QemuImageInfo) info = qemu_seen_find(f->seen, f->path, st);

    g_assert_true(info == NULL || info == f->info);
    return info != NULL;
}

/* On a file system that does not tell changes nothing is ever known; then there is nothing to be seen here. */
static gboolean can_know(Fixture *f, struct stat *st)
{
    *st = stamp(f, 10);
    note(f, st);
    if (qemu_seen_count(f->seen) == 1)
        return TRUE;
    g_test_skip("the file system of the temporary directory is not one whose stamps are relied on");
    return FALSE;
}

static void test_same(Fixture *f, gconstpointer data)
{
    struct stat st;

    if (!can_know(f, &st))
        return;
    g_assert_true(knows(f, &st));
    g_assert_true(knows(f, &st));
}

static void test_changed(Fixture *f, gconstpointer data)
{
    struct stat st;

    for (guint what = 0; what < 6; what++) {
        if (!can_know(f, &st))
            return;
        struct stat now = st;
        now.st_dev += what == 0;
        now.st_ino += what == 1;
        now.st_size += what == 2;
        now.st_mtim.tv_nsec += what == 3;
        now.st_ctim.tv_nsec += what == 4;
        now.st_ctim.tv_sec += what == 5;
        g_assert_false(knows(f, &now));
        g_assert_false(knows(f, &st)); /* it is forgotten */
        g_assert_cmpuint(qemu_seen_count(f->seen), ==, 0);
    }
}

/* By the kernel's own stamps: of the same length, of the same age, by the same name. */
static void test_behind(Fixture *f, gconstpointer data)
{
    struct stat st, now;
    struct timespec old[2] = { { 1000000000, 5 }, { 1000000000, 5 } };

    if (!can_know(f, &st))
        return;
    g_usleep(300 * 1000);
    g_assert_cmpint(stat(f->path, &st), ==, 0);
    note(f, &st);
    g_assert_true(knows(f, &st));
    int fd = open(f->path, O_WRONLY | O_CLOEXEC); /* in place, and the old time of writing */
    g_assert_cmpint(write(fd, "other", 5), ==, 5);
    g_assert_cmpint(futimens(fd, old), ==, 0);
    close(fd);
    g_assert_cmpint(stat(f->path, &now), ==, 0);
    g_assert_cmpint(now.st_size, ==, st.st_size);
    g_assert_false(knows(f, &now));
}

/* Whether it is known when it was changed that long ago; whole: by a clock of whole seconds. */
static gboolean kept(Fixture *f, double age, gboolean whole)
{
    for (;;) {
        gint64 began = g_get_monotonic_time();
        struct stat st = stamp(f, age);

        if (whole)
            st.st_mtim.tv_nsec = st.st_ctim.tv_nsec = 0;
        note(f, &st);
        if (g_get_monotonic_time() - began < 50 * 1000) /* else it may have become old enough */
            return knows(f, &st);
    }
}

static void test_a_moment_ago(Fixture *f, gconstpointer data)
{
    struct stat st;

    if (!can_know(f, &st))
        return;
    g_assert_false(kept(f, 0.1, FALSE));
    g_assert_true(kept(f, 1, FALSE));
    g_assert_false(kept(f, -3600, FALSE));
    g_assert_false(kept(f, 1, TRUE));
    g_assert_true(kept(f, 10, TRUE));
}

static void test_device(Fixture *f, gconstpointer data)
{
    struct stat st = stamp(f, 10);

    st.st_mode = S_IFBLK | 0600;
    note(f, &st);
    g_assert_false(knows(f, &st));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/seen/same", Fixture, NULL, set_up, test_same, tear_down);
    g_test_add("/seen/changed", Fixture, NULL, set_up, test_changed, tear_down);
    g_test_add("/seen/behind", Fixture, NULL, set_up, test_behind, tear_down);
    g_test_add("/seen/a-moment-ago", Fixture, NULL, set_up, test_a_moment_ago, tear_down);
    g_test_add("/seen/device", Fixture, NULL, set_up, test_device, tear_down);
    return g_test_run();
}
