/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sidefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "images.h"
#include "kit/file.h"
#include "run.h"

#define COPY_MS 600000

static gboolean fail(GError **error, const char *what, const char *path)
{
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot %s %s: %s", what, path, g_strerror(errno));
    return FALSE;
}

static gboolean sync_path(const char *path, int flags, GError **error)
{
    int fd = open(path, flags | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    gboolean done = fd >= 0 && fsync(fd) == 0;

    if (!done)
        fail(error, "write", path);
    if (fd >= 0)
        close(fd);
    return done;
}

static gboolean sync_parent(const char *path, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path);

    return sync_path(dir, O_DIRECTORY, error);
}

/* As QEMU's user: what is in a file a guest writes to is nobody's word. */
static gboolean run_copy(QemuDomain *dom, vireo_call *call, const QemuSideCopy *copy, GError **error)
{
    const char *plain[] = { "/bin/cp", "--reflink=auto", copy->from, copy->to, NULL };
    const char *convert[] = { "/usr/bin/qemu-img", "convert", "-q", "-f", copy->from_format, "-O",
                              copy->to_format, copy->from, copy->to, NULL };
    gboolean same = g_str_equal(copy->from_format, copy->to_format) && g_str_equal(copy->to_format, "raw");
    g_autofree char *output = NULL;
    int status = qemu_run(dom->space->driver, call, same ? plain : convert, TRUE, COPY_MS, &output, error);

    if (status > 0)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "cannot copy %s to %s: %s", copy->from, copy->to,
                   output && *output ? output : "failed without a message");
    return status == 0;
}

gboolean qemu_side_copy(QemuDomain *dom, vireo_call *call, const QemuSideCopy *copy, GError **error)
{
    QemuDriver *driver = dom->space->driver;
    QemuImage from = { (char *)copy->from, VIREO_DOMAIN_STORAGE_FORMAT_RAW, TRUE, TRUE };

    if (!qemu_engine_make_file(dom, copy->to, copy->like, error))
        return FALSE;
    gboolean done = qemu_image_give(driver, dom->uuid_text, &from, error) && run_copy(dom, call, copy, error);
    if (!qemu_domain_active(dom))
        qemu_image_take_back(driver, dom->uuid_text);
    done = done && sync_path(copy->to, 0, error) && sync_parent(copy->to, error);
    if (!done)
        qemu_engine_unlink(dom, copy->to, NULL);
    return done;
}

gboolean qemu_side_replace(const char *path, const char *fresh, GError **error)
{
    if (rename(fresh, path) < 0 && (errno != ENOENT || access(path, F_OK) < 0))
        return fail(error, "replace", path);
    return sync_parent(path, error);
}

static void let_through(const char *dir)
{
    struct stat st;

    if (stat(dir, &st) == 0 && (st.st_mode & 0011) != 0011)
        chmod(dir, (st.st_mode & 07777) | 0011);
}

gboolean qemu_side_open_way(QemuDomain *dom, const char *path, GError **error)
{
    const char *ours = dom->space->nvram_dir;
    g_autofree char *dir = g_path_get_dirname(path);

    if (!g_str_equal(dir, ours))
        return TRUE;
    if (!vireo_file_mkdir(ours, 0711, error))
        return FALSE;
    /* Searchable, not readable: what else is there is in closed directories. */
    if (dom->space->driver->privileged)
        for (guint level = 0; level < 3; level++) {
            g_autofree char *up = level < 2 ? g_path_get_dirname(dir) : g_strdup(dir);

            let_through(dir);
            g_free(dir);
            dir = g_steal_pointer(&up);
        }
    return TRUE;
}
