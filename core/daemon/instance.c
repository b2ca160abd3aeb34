/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ops/catalogue.h"
#include "util/error.h"
#include "util/process.h"

#define CHILD_MS 5000 /* for what a child does before it is another program */
#define LOOK_MS  10

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

/* Locks are the open file's, which a child of the holder has too until it has become another program. FALSE: only such a
 * child is left of it. */
static gboolean has_holder(int fd)
{
    char text[32] = {0};
    gssize n = pread(fd, text, sizeof text - 1, 0);
    pid_t pid = n > 0 ? (pid_t)g_ascii_strtoll(text, NULL, 10) : 0;
    g_auto(GStrv) stat = pid > 0 ? vireo_proc_stat(pid, 0) : NULL;

    return stat && !strchr("ZX", *stat[VIREO_PROC_STAT_STATE]);
}

/* They can be asked about without being taken. */
int vireo_instance_lock(const char *path, const char *title, GError **error)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    g_autofree char *text = g_strdup_printf("%d\n%s%s", (int)getpid(), title ? title : "", title ? "\n" : "");
    gboolean locked;
    int fd;

    for (guint waited = 0;; waited += LOOK_MS) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
            return fail(path, fd, error);
        locked = fcntl(fd, F_OFD_SETLK, &whole) == 0;
        if (!locked && errno != EAGAIN && errno != EACCES)
            return fail(path, fd, error);
        if (locked && is_there(path, fd))
            break;
        if (!locked && (waited >= CHILD_MS || has_holder(fd)))
            return refuse(path, fd, error);
        close(fd);
        if (!locked)
            g_usleep(LOOK_MS * 1000);
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
    if (fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK && is_there(path, fd) &&
        has_holder(fd))
        holder = describe(fd);
    close(fd);
    return holder;
}
