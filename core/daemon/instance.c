/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "util/error.h"

static int fail(const char *path, int fd, GError **error)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "%s: %s", path, g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int refuse(const char *path, int fd, GError **error)
{
    char text[32] = {0};
    gssize n = read(fd, text, sizeof text - 1);

    text[strcspn(text, "\n")] = 0;
    g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID,
                "another daemon runs here: %s is held by process %s", path,
                n > 0 ? text : "(unknown)");
    close(fd);
    return -1;
}

/* A daemon that ends removes its file: a lock on a file that is gone says nothing. */
static gboolean is_there(const char *path, int fd)
{
    struct stat held, named;

    return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
           held.st_dev == named.st_dev;
}

int vireo_instance_lock(const char *path, GError **error)
{
    char text[32];
    int fd;

    for (;;) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
            return fail(path, fd, error);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
            return refuse(path, fd, error);
        if (is_there(path, fd))
            break;
        close(fd);
    }
    g_snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || write(fd, text, strlen(text)) < 0)
        return fail(path, fd, error);
    return fd;
}
