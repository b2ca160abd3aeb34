/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/process.h"

guint64 vireo_process_start_time(pid_t pid)
{
    g_auto(GStrv) field = vireo_proc_stat(pid, 0);
    char state = field ? *field[VIREO_PROC_STAT_STATE] : 'X';

    if (state == 'Z' || state == 'X' || g_strv_length(field) <= VIREO_PROC_STAT_START_TIME)
        return 0;
    return g_ascii_strtoull(field[VIREO_PROC_STAT_START_TIME], NULL, 10);
}

int vireo_process_open(pid_t pid, guint64 start_time)
{
    int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

    if (fd < 0)
        return -1;
    /* Asked after the descriptor is held: now the number cannot be given to another process. */
    guint64 found = vireo_process_start_time(pid);
    if (found && (!start_time || found == start_time))
        return fd;
    close(fd);
    return -1;
}

gboolean vireo_process_signal(int pidfd, int signal)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0;
}

gboolean vireo_process_wait(int pidfd, int timeout_ms)
{
    struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };
    int ready;

    do
        ready = poll(&poll_fd, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    return ready > 0;
}

gboolean vireo_process_usage(pid_t pid, pid_t tid, VireoProcessUsage *usage)
{
    g_auto(GStrv) field = vireo_proc_stat(pid, tid);
    guint64 tick_ns = 1000000000u / (guint64)sysconf(_SC_CLK_TCK);

    if (!field || g_strv_length(field) < 37)
        return FALSE;
    usage->user_ns = g_ascii_strtoull(field[11], NULL, 10) * tick_ns;
    usage->system_ns = g_ascii_strtoull(field[12], NULL, 10) * tick_ns;
    usage->resident_kib =
        g_ascii_strtoull(field[21], NULL, 10) * (guint64)sysconf(_SC_PAGESIZE) / 1024;
    usage->last_cpu = (int)g_ascii_strtoll(field[36], NULL, 10);
    return TRUE;
}
