/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit/process.h"

#define OUTPUT_MAX 65536
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static gboolean is_unwanted(QemuDriver *driver, QemuDomain *dom, vireo_call *call)
{
    return (call && driver->host->cancelled(call)) || (dom && qemu_domain_must_yield(dom));
}

static int wait_for(QemuDriver *driver, QemuDomain *dom, vireo_call *call, int pidfd, int timeout_ms,
                    GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)timeout_ms * 1000;

    for (;;) {
        gint64 left = (deadline - g_get_monotonic_time()) / 1000;

        if (vireo_process_wait(pidfd, (int)CLAMP(left, 0, dom ? 20 : 100)))
            return 0;
        if (is_unwanted(driver, dom, call)) {
            qemu_error(error, VIREO_ERR_OPERATION_ABORTED, "the request was cancelled");
            return -1;
        }
        if (left <= 0) {
            qemu_error(error, VIREO_ERR_OPERATION_TIMEOUT, "no end after %d ms", timeout_ms);
            return -1;
        }
    }
}

/* The exit status. A host that collects its children itself leaves nothing to ask: then what was
 * printed has to tell, and an empty output counts as success. */
static int exit_status(int pidfd, const char *output)
{
    siginfo_t info = { 0 };

    if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0)
        return output && *output ? 1 : 0;
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

static char *read_output(int fd)
{
    char *text = g_malloc(OUTPUT_MAX + 1);
    ssize_t len = pread(fd, text, OUTPUT_MAX, 0);

    text[MAX(len, 0)] = 0;
    return g_strchomp(text);
}

static int run(QemuDriver *driver, QemuDomain *dom, vireo_call *call, const char *const *argv,
               gboolean as_qemu, int timeout_ms, char **output, GError **error)
{
    int fd = memfd_create("output", MFD_CLOEXEC);
    struct vireo_spawn spawn = { .size = sizeof spawn, .argv = argv, .in = -1, .out = fd, .err = fd };
    struct vireo_child child = { .pidfd = -1 };
    int status = -1;

    if (as_qemu && driver->privileged) {
        spawn.flags |= VIREO_SPAWN_SET_USER | VIREO_SPAWN_NO_NEW_PRIVS;
        spawn.uid = driver->uid;
        spawn.gid = driver->gid;
    }
    if (driver->host->spawn(driver->core, &spawn, &child) < 0) {
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot run %s: %s", argv[0], g_strerror(errno));
        close(fd);
        return -1;
    }
    int waited = wait_for(driver, dom, call, child.pidfd, timeout_ms, error);
    if (waited < 0) {
        vireo_process_signal(child.pidfd, SIGKILL);
        vireo_process_wait(child.pidfd, 5000);
        g_prefix_error(error, "%s: ", argv[0]);
    }
    g_autofree char *text = read_output(fd);
    int code = exit_status(child.pidfd, text);
    if (waited == 0)
        status = code;
    close(child.pidfd);
    close(fd);
    if (output)
        *output = g_steal_pointer(&text);
    return status;
}

int qemu_run(QemuDriver *driver, vireo_call *call, const char *const *argv, gboolean as_qemu,
             int timeout_ms, char **output, GError **error)
{
    return run(driver, NULL, call, argv, as_qemu, timeout_ms, output, error);
}

int qemu_run_for(QemuDomain *dom, vireo_call *call, const char *const *argv, int timeout_ms,
                 char **output, GError **error)
{
    return run(dom->space->driver, dom, call, argv, TRUE, timeout_ms, output, error);
}
