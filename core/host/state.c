/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Durable state: one file per key below the driver's state directory, replaced atomically. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "host/core-private.h"

#define KEPT "kept" /* folder of the keys, apart from what the driver itself puts in its directory */

/* Letters, digits, '.', '_', '-', with '/' between parts that are neither empty nor start with '.'. */
static gboolean key_is_valid(const char *key)
{
    gboolean start = TRUE;

    for (const char *p = key; *p; p++) {
        if (start && (*p == '.' || *p == '/'))
            return FALSE;
        if (!g_ascii_isalnum(*p) && !strchr("._-/", *p))
            return FALSE;
        start = *p == '/';
    }
    return *key && !start;
}

static char *path_of(vireo_core *core, const char *key)
{
    if (!key_is_valid(key)) {
        errno = EINVAL;
        return NULL;
    }
    return g_build_filename(core->dirs[VIREO_DIR_STATE], KEPT, key, NULL);
}

static gboolean write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FALSE;
        data += n;
        len -= (size_t)n;
    }
    return TRUE;
}

static int sync_folder(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result;

    if (fd == -1)
        return -1;
    result = fsync(fd);
    close(fd);
    return result;
}

static int write_file(const char *path, const void *data, size_t len)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *temp = g_build_filename(folder, ".writing-XXXXXX", NULL);
    int fd = g_mkstemp_full(temp, O_RDWR | O_CLOEXEC, 0600);
    int saved;

    if (fd == -1)
        return -1;
    if (write_all(fd, data, len) && fdatasync(fd) == 0 && close(fd) == 0) {
        if (rename(temp, path) == 0)
            return sync_folder(path);
        fd = -1;
    }
    saved = errno;
    if (fd != -1)
        close(fd);
    unlink(temp);
    errno = saved;
    return -1;
}

int vireo_state_save(vireo_core *core, const char *key, const void *data, size_t len)
{
    g_autofree char *path = path_of(core, key);
    g_autofree char *folder = path ? g_path_get_dirname(path) : NULL;

    if (!path)
        return -1;
    if (write_file(path, data, len) == 0)
        return 0;
    if (errno != ENOENT || g_mkdir_with_parents(folder, 0700) != 0)
        return -1;
    return write_file(path, data, len);
}

int vireo_state_drop(vireo_core *core, const char *key)
{
    g_autofree char *path = path_of(core, key);

    if (!path)
        return -1;
    if (unlink(path) != 0)
        return errno == ENOENT ? 0 : -1;
    return sync_folder(path);
}

/* What an interrupted write left behind. */
static gboolean is_temporary(const char *name)
{
    return name[0] == '.';
}

static void walk(const char *folder, const char *key, const char *prefix, vireo_state_fn *fn, void *opaque)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *own = *key ? g_strconcat(key, "/", name, NULL) : g_strdup(name);
        g_autofree char *data = NULL;
        gsize len;

        if (g_file_test(path, G_FILE_TEST_IS_DIR))
            walk(path, own, prefix, fn, opaque);
        else if (g_str_has_prefix(own, prefix) && !is_temporary(name) &&
                 g_file_get_contents(path, &data, &len, NULL))
            fn(own, data, len, opaque);
    }
}

void vireo_state_each(vireo_core *core, const char *prefix, vireo_state_fn *fn, void *opaque)
{
    g_autofree char *folder = g_build_filename(core->dirs[VIREO_DIR_STATE], KEPT, NULL);

    walk(folder, "", prefix ? prefix : "", fn, opaque);
}
