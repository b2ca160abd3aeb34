/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KIND "anon_inode:[userfaultfd]"

typedef struct {
    guint64 start, length;
} Range;

static int pidfd_of(QemuDomain *dom, pid_t *pid)
{
    g_mutex_lock(&dom->lock);
    int fd = dom->pidfd >= 0 ? fcntl(dom->pidfd, F_DUPFD_CLOEXEC, 3) : -1;
    *pid = dom->pid;
    g_mutex_unlock(&dom->lock);
    return fd;
}

static int get_fd(int pidfd, int number)
{
    return (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
}

/* Of memory whose writes are watched: VmFlags has "uw". */
static GArray *watched_ranges(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps", (int)pid), *text = NULL;
    GArray *ranges = g_array_new(FALSE, FALSE, sizeof(Range));
    Range last = { 0 };

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return ranges;
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        guint64 start, end;
        char mode;

        if (g_str_has_prefix(line, "VmFlags:") && strstr(line, " uw") && last.length)
            g_array_append_val(ranges, last);
        else if (sscanf(line, "%" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x %c", &start, &end, &mode) == 3)
            last = (Range){ start, end - start };
    }
    return ranges;
}

/* Ranges of another descriptor are refused, which does no harm. Who waits already is not woken by the first. */
static void let_go(int fd, const GArray *ranges)
{
    for (guint i = 0; i < ranges->len; i++) {
        const Range *range = &g_array_index(ranges, Range, i);
        struct uffdio_range part = { .start = range->start, .len = range->length };

        if (ioctl(fd, UFFDIO_UNREGISTER, &part) == 0)
            ioctl(fd, UFFDIO_WAKE, &part);
    }
}

static void let_go_all(int pidfd, pid_t pid, const GArray *ranges)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", (int)pid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *target = g_file_read_link(path, NULL);
        int fd = !g_strcmp0(target, KIND) ? get_fd(pidfd, (int)g_ascii_strtoll(name, NULL, 10)) : -1;

        if (fd < 0)
            continue;
        let_go(fd, ranges);
        close(fd);
    }
}

gboolean qemu_watch_end(QemuDomain *dom)
{
    pid_t pid;
    int pidfd = pidfd_of(dom, &pid);

    if (pidfd < 0)
        return FALSE;
    g_autoptr(GArray) before = watched_ranges(pid);
    if (before->len)
        let_go_all(pidfd, pid, before);
    close(pidfd);
    g_autoptr(GArray) after = before->len ? watched_ranges(pid) : g_array_ref(before);
    return !after->len;
}

gboolean qemu_watch_can_end(QemuDomain *dom)
{
    pid_t pid;
    int pidfd = pidfd_of(dom, &pid), fd = pidfd >= 0 ? get_fd(pidfd, STDERR_FILENO) : -1;
    gboolean can = fd >= 0;

    if (fd >= 0)
        close(fd);
    if (pidfd >= 0)
        close(pidfd);
    return can;
}
