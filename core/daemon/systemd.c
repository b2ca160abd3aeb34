/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/systemd.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char *notify_path;
static guint n_fds;
static GStrv fd_names;
static guint64 watchdog; /* microseconds; 0: not wanted */

static gboolean is_for_us(const char *pid)
{
    return pid && g_ascii_strtoull(pid, NULL, 10) == (guint64)getpid();
}

void vireo_systemd_start(void)
{
    const char *fds = g_getenv("LISTEN_FDS"), *names = g_getenv("LISTEN_FDNAMES");
    const char *interval = g_getenv("WATCHDOG_USEC"), *watched = g_getenv("WATCHDOG_PID");

    notify_path = g_strdup(g_getenv("NOTIFY_SOCKET"));
    if (fds && is_for_us(g_getenv("LISTEN_PID")))
        n_fds = (guint)g_ascii_strtoull(fds, NULL, 10);
    fd_names = g_strsplit(n_fds > 0 && names ? names : "", ":", -1);
    if (interval && (!watched || is_for_us(watched)))
        watchdog = g_ascii_strtoull(interval, NULL, 10);
    g_unsetenv("NOTIFY_SOCKET");
    g_unsetenv("LISTEN_PID");
    g_unsetenv("LISTEN_FDS");
    g_unsetenv("LISTEN_FDNAMES");
    g_unsetenv("WATCHDOG_USEC");
    g_unsetenv("WATCHDOG_PID");
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

const char *vireo_systemd_fd_name(guint i)
{
    return i < g_strv_length(fd_names) ? fd_names[i] : "";
}

void vireo_systemd_status(const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *state = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    state = g_strconcat("STATUS=", text, NULL);
    vireo_systemd_notify(state);
}

void vireo_systemd_extend(guint seconds)
{
    g_autofree char *state = g_strdup_printf("EXTEND_TIMEOUT_USEC=%" G_GUINT64_FORMAT, seconds * (guint64)G_USEC_PER_SEC);

    vireo_systemd_notify(state);
}

static gboolean alive(gpointer unused)
{
    vireo_systemd_notify("WATCHDOG=1");
    return G_SOURCE_CONTINUE;
}

void vireo_systemd_watch(void)
{
    if (watchdog > 0)
        g_timeout_add((guint)MIN(watchdog / 2000, G_MAXINT), alive, NULL);
}
