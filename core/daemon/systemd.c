/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/systemd.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char *notify_path;
static guint n_fds;

void vireo_systemd_start(void)
{
    const char *pid = g_getenv("LISTEN_PID"), *fds = g_getenv("LISTEN_FDS");

    notify_path = g_strdup(g_getenv("NOTIFY_SOCKET"));
    if (pid && fds && g_ascii_strtoull(pid, NULL, 10) == (guint64)getpid())
        n_fds = (guint)g_ascii_strtoull(fds, NULL, 10);
    g_unsetenv("NOTIFY_SOCKET");
    g_unsetenv("LISTEN_PID");
    g_unsetenv("LISTEN_FDS");
    g_unsetenv("LISTEN_FDNAMES");
}

void vireo_systemd_notify(const char *state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    gsize length = notify_path ? strlen(notify_path) : 0;
    int fd;

    if (length == 0 || length >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, notify_path, length);
    if (address.sun_path[0] == '@')
        address.sun_path[0] = 0;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
               offsetof(struct sockaddr_un, sun_path) + length) < 0)
        g_warning("the service manager cannot be told %s: %s", state, g_strerror(errno));
    close(fd);
}

void vireo_systemd_notify_reloading(void)
{
    g_autofree char *state =
        g_strdup_printf("RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT, g_get_monotonic_time());

    vireo_systemd_notify(state);
}

guint vireo_systemd_n_fds(void)
{
    return n_fds;
}
