/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ops/catalogue.h"
#include "util/error.h"

static int fail(const char *path, int fd, GError **error)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "%s: %s", path, g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* "process 123 (vireod)" from the file's two lines. */
static char *describe(int fd)
{
    char text[128] = {0};
    gssize n = pread(fd, text, sizeof text - 1, 0);
    g_auto(GStrv) lines = g_strsplit(n > 0 ? text : "", "\n", 3);
    const char *pid = lines[0] && *lines[0] ? lines[0] : "(unknown)";
    const char *title = lines[0] && lines[1] && *lines[1] ? lines[1] : NULL;

    return title ? g_strdup_printf("process %s (%s)", pid, title) : g_strdup_printf("process %s", pid);
}

static int refuse(const char *path, int fd, GError **error)
{
    g_autofree char *holder = describe(fd);

    g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID, "%s is held by %s",
                path, holder);
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

/* Locks of the open file, which can be asked about without being taken. */
int vireo_instance_lock(const char *path, const char *title, GError **error)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    g_autofree char *text = g_strdup_printf("%d\n%s%s", (int)getpid(), title ? title : "", title ? "\n" : "");
    int fd;

    for (;;) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
            return fail(path, fd, error);
        if (fcntl(fd, F_OFD_SETLK, &whole) < 0)
            return errno == EAGAIN || errno == EACCES ? refuse(path, fd, error) : fail(path, fd, error);
        if (is_there(path, fd))
            break;
        close(fd);
    }
    if (ftruncate(fd, 0) < 0 || write(fd, text, strlen(text)) < 0)
        return fail(path, fd, error);
    return fd;
}

void vireo_instance_unlock(const char *path, int fd)
{
    if (fd < 0)
        return;
    unlink(path);
    close(fd);
}

char *vireo_instance_holder(const char *path)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    char *holder = NULL;

    if (fd < 0)
        return NULL;
    if (fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK && is_there(path, fd))
        holder = describe(fd);
    close(fd);
    return holder;
}
