/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/file.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *dir;

static char *in(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

static void no_temporaries(void)
{
    g_autoptr(GDir) listing = g_dir_open(dir, 0, NULL);

    for (const char *name; (name = g_dir_read_name(listing));)
        g_assert_false(g_str_has_prefix(name, ".writing-"));
}

static void test_write(void)
{
    g_autofree char *path = in("state.xml"), *text = NULL;
    g_autoptr(GError) error = NULL;
    struct stat st;
    gsize len;

    g_assert_true(vireo_file_write(path, "one", 3, 0600, &error));
    g_assert_true(vireo_file_write(path, "second", 6, 0640, &error));
    g_assert_true(vireo_file_read(path, 6, &text, &len, &error));
    g_assert_cmpstr(text, ==, "second");
    g_assert_cmpuint(len, ==, 6);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0640);
    g_assert_false(vireo_file_read(path, 5, &text, &len, &error));
    g_assert_nonnull(strstr(error->message, path));
    g_clear_error(&error);

    /* A directory in the way: the old content stays and no temporary file is left. */
    g_autofree char *blocked = in("blocked"), *inside = in("blocked/x");
    g_mkdir(blocked, 0700);
    g_mkdir(inside, 0700);
    g_assert_false(vireo_file_write(blocked, "x", 1, 0600, &error));
    g_clear_error(&error);
    no_temporaries();
    g_assert_true(vireo_file_remove(path, &error));
    g_assert_true(vireo_file_remove(path, &error));
    g_rmdir(inside);
    g_rmdir(blocked);
}

static void test_links(void)
{
    g_autofree char *real = in("real"), *good = in("good"), *open_dir = in("open"),
                    *bad = in("open/bad"), *via = in("open/via"), *loop = in("loop"),
                    *through = in("open/via/real");
    g_autoptr(GError) error = NULL;
    int fd;

    g_assert_true(g_file_set_contents(real, "content", -1, NULL));
    g_assert_cmpint(symlink("real", good), ==, 0);
    g_mkdir(open_dir, 0700);
    g_chmod(open_dir, 0777);
    g_assert_cmpint(symlink(real, bad), ==, 0);
    g_assert_cmpint(symlink(dir, via), ==, 0);
    g_assert_cmpint(symlink("loop", loop), ==, 0);

    fd = vireo_file_open_trusted(good, O_RDONLY, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    fd = vireo_file_open_trusted(good, O_PATH, &error);
    g_assert_cmpint(fd, >=, 0);
    g_assert_true(vireo_file_set_owner(fd, good, getuid(), getgid(), &error));
    close(fd);
    g_assert_cmpint(vireo_file_open_trusted(bad, O_RDONLY, &error), ==, -1);
    g_assert_nonnull(strstr(error->message, "symbolic link"));
    g_clear_error(&error);
    g_assert_cmpint(vireo_file_open_trusted(through, O_PATH, &error), ==, -1);
    g_assert_nonnull(strstr(error->message, "symbolic link"));
    g_clear_error(&error);
    g_assert_cmpint(vireo_file_open_trusted(loop, O_RDONLY, &error), ==, -1);
    g_clear_error(&error);
    g_assert_cmpint(vireo_file_open_trusted("relative", O_RDONLY, &error), ==, -1);
    g_clear_error(&error);
    g_autofree char *missing = in("nothing/here"), *around = in("open/../real"),
                    *twice = g_strconcat(dir, "//real", NULL);
    g_assert_true(vireo_file_is_real(real));
    g_assert_true(vireo_file_is_real(open_dir));
    const char *const not_real[] = { good, bad, through, loop, missing, around, twice, "relative", "", "/", "." };
    for (guint i = 0; i < G_N_ELEMENTS(not_real); i++)
        g_assert_false(vireo_file_is_real(not_real[i]));
    g_assert_cmpint(vireo_file_open_trusted(missing, O_RDONLY, &error), ==, -1);
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
    g_clear_error(&error);

    g_unlink(bad);
    g_unlink(via);
    g_unlink(loop);
    g_unlink(good);
    g_unlink(real);
    g_rmdir(open_dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("vireo-file-XXXXXX", NULL);
    g_test_add_func("/file/write", test_write);
    g_test_add_func("/file/links", test_links);
    int rc = g_test_run();
    g_rmdir(dir);
    g_free(dir);
    return rc;
}
