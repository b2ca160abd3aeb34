/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "util/error.h"

int vireo_instance_lock(const char *path, GError **error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    char text[32] = {0};
    gssize n;

    if (fd < 0) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "%s: %s", path, g_strerror(errno));
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        n = read(fd, text, sizeof text - 1);
        text[strcspn(text, "\n")] = 0;
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID,
                    "another daemon runs here: %s is held by process %s", path,
                    n > 0 ? text : "(unknown)");
        close(fd);
        return -1;
    }
    g_snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || write(fd, text, strlen(text)) < 0) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "%s: %s", path, g_strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}
