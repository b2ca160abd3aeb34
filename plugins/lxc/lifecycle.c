/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting and ending, as clients ask for it. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup.h"
#include "kit/process.h"
#include "process.h"
#include "save.h"
#include "snapshot.h"

/* ---- starting ------------------------------------------------------------------ */

int lxc_domain_create_with_flags(void *handle, vireo_call *call, const vireo_domain_create_with_flags_args *args,
                                 vireo_domain_create_with_flags_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!lxc_domain_boot(dom, (args->flags & VIREO_DOMAIN_START_FORCE_BOOT) != 0, &error))
        return lxc_fail(conn->driver, call, error);
    if (args->flags & VIREO_DOMAIN_START_AUTODESTROY)
        lxc_conn_own(conn, dom);
    lxc_domain_fill_ref(dom, call, &ret->dom);
    return VIREO_OK;
}

int lxc_domain_create_xml(void *handle, vireo_call *call, const vireo_domain_create_xml_args *args,
                          vireo_domain_create_xml_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(GError) error = NULL;
    gboolean fresh;
    g_autoptr(LxcDef) def = lxc_def_parse(
        conn->driver, args->xml_desc, args->flags & VIREO_DOMAIN_START_VALIDATE ? LXC_DEF_VALIDATE : 0, &error);
    g_autoptr(LxcDomainJob) dom = def ? lxc_domain_admit(conn->space, def->doc, &fresh, &error) : NULL;

    if (!dom)
        return lxc_fail(conn->driver, call, error);
    if (!lxc_process_start(dom, def, VIREO_DOMAIN_RUNNING_BOOTED, &error)) {
        if (fresh)
            lxc_domain_forget(dom);
        return lxc_fail(conn->driver, call, error);
    }
    if (fresh)
        lxc_snapshots_attach(dom);
    if (args->flags & VIREO_DOMAIN_START_AUTODESTROY)
        lxc_conn_own(conn, dom);
    lxc_domain_fill_ref(dom, call, &ret->dom);
    return VIREO_OK;
}

/* ---- ending -------------------------------------------------------------------- */

int lxc_domain_destroy_flags(void *handle, vireo_call *call, const vireo_domain_destroy_flags_args *args)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    return lxc_process_kill(dom, VIREO_DOMAIN_SHUTOFF_DESTROYED, &error) ? VIREO_OK
                                                                         : lxc_fail(conn->driver, call, error);
}

/* What the program that is the init takes as a wish to power off, or to reboot. */
static int signal_for(pid_t pid, gboolean reboot)
{
    g_autofree char *link = g_strdup_printf("/proc/%d/exe", (int)pid), *exe = g_file_read_link(link, NULL);
    g_autofree char *name = g_path_get_basename(exe ? exe : "");

    if (g_str_equal(name, "systemd"))
        return SIGRTMIN + (reboot ? 5 : 4);
    if (g_str_has_prefix(name, "busybox"))
        return reboot ? SIGTERM : SIGUSR2;
    if (g_str_equal(name, "init"))
        return reboot ? SIGINT : SIGPWR;
    return reboot ? SIGHUP : SIGTERM;
}

/* sysvinit's way: a request in its FIFO. FALSE: the container has none. */
static gboolean ask_initctl(pid_t pid, gboolean reboot)
{
    static const char *const places[] = { "run/initctl", "dev/initctl" };
    struct {
        int magic, command, runlevel, sleep;
        char data[368];
    } request = { .magic = 0x03091969, .command = 1, .runlevel = reboot ? '6' : '0' };
    struct open_how how = { .flags = O_WRONLY | O_NONBLOCK | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
    g_autofree char *path = g_strdup_printf("/proc/%d/root", (int)pid);
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    gboolean asked = FALSE;
    struct stat info;

    for (guint i = 0; root >= 0 && i < G_N_ELEMENTS(places) && !asked; i++) {
        int fd = (int)syscall(SYS_openat2, root, places[i], &how, sizeof how);

        asked = fd >= 0 && fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode) &&
                write(fd, &request, sizeof request) == sizeof request;
        if (fd >= 0)
            close(fd);
    }
    if (root >= 0)
        close(root);
    return asked;
}

/* initctl, signal: what the caller allows; neither: the one, or else the other. */
static int ask(LxcConn *conn, vireo_call *call, const vireo_domain_ref *ref, gboolean initctl, gboolean by_signal,
               gboolean reboot)
{
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, ref);
    g_autoptr(GError) error = NULL;
    LxcProcess init;

    if (!dom)
        return VIREO_FAIL;
    if (!lxc_domain_init(dom, &init, &error))
        return lxc_fail(conn->driver, call, error);
    gboolean any = !initctl && !by_signal;
    gboolean asked = (initctl || any) && ask_initctl(init.pid, reboot);
    if (!asked && (by_signal || any))
        asked = vireo_process_signal(init.fd, signal_for(init.pid, reboot));
    close(init.fd);
    return asked ? VIREO_OK
                 : conn->driver->host->fail(call, VIREO_ERR_OPERATION_FAILED,
                                            "the init of domain '%s' has no initctl; its signal may do", dom->name);
}

int lxc_domain_shutdown_flags(void *handle, vireo_call *call, const vireo_domain_shutdown_flags_args *args)
{
    return ask(lxc_conn(handle), call, &args->dom, (args->flags & VIREO_DOMAIN_SHUTDOWN_INITCTL) != 0,
               (args->flags & VIREO_DOMAIN_SHUTDOWN_SIGNAL) != 0, FALSE);
}

int lxc_domain_reboot(void *handle, vireo_call *call, const vireo_domain_reboot_args *args)
{
    return ask(lxc_conn(handle), call, &args->dom, (args->flags & VIREO_DOMAIN_REBOOT_INITCTL) != 0,
               (args->flags & VIREO_DOMAIN_REBOOT_SIGNAL) != 0, TRUE);
}

int lxc_domain_reset(void *handle, vireo_call *call, const vireo_domain_reset_args *args)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(LxcDef) live = lxc_domain_live(dom);
    if (!live || !lxc_domain_need_persistent(dom, "it would be gone before it starts again", &error))
        return error ? lxc_fail(conn->driver, call, error)
                     : conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running",
                                                dom->name);
    if (!lxc_process_kill(dom, VIREO_DOMAIN_SHUTOFF_DESTROYED, &error) ||
        !lxc_process_start(dom, live, VIREO_DOMAIN_RUNNING_BOOTED, &error))
        return lxc_fail(conn->driver, call, error);
    return VIREO_OK;
}

/* ---- pausing ------------------------------------------------------------------- */

static int pause_or_resume(LxcConn *conn, vireo_call *call, const vireo_domain_ref *ref, gboolean pause)
{
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, ref);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!lxc_domain_need_active(dom, &error))
        return lxc_fail(conn->driver, call, error);
    if ((dom->state == VIREO_DOMAIN_PAUSED) == pause)
        return VIREO_OK;
    if (!lxc_cgroup_freeze(dom->cgroup, pause, &error))
        return lxc_fail(conn->driver, call, error);
    if (!lxc_domain_active(dom))
        return VIREO_OK;
    lxc_domain_set_state(dom, pause ? VIREO_DOMAIN_PAUSED : VIREO_DOMAIN_RUNNING,
                         pause ? (int)VIREO_DOMAIN_PAUSED_USER : (int)VIREO_DOMAIN_RUNNING_UNPAUSED);
    lxc_domain_publish(dom);
    return VIREO_OK;
}

int lxc_domain_suspend(void *handle, vireo_call *call, const vireo_domain_suspend_args *args)
{
    return pause_or_resume(lxc_conn(handle), call, &args->dom, TRUE);
}

int lxc_domain_resume(void *handle, vireo_call *call, const vireo_domain_resume_args *args)
{
    return pause_or_resume(lxc_conn(handle), call, &args->dom, FALSE);
}

/* ---- signals ------------------------------------------------------------------- */

/* The process that has this number inside the container; -1: none. */
static int process_inside(const char *cgroup, pid_t init, gint64 number)
{
    static const LxcItem procs = { "freezer", "cgroup.procs", "cgroup.procs" };
    g_autofree char *text = NULL;

    if (!lxc_cgroup_read(cgroup, &procs, &text, NULL))
        return -1;
    g_auto(GStrv) pids = g_strsplit(text, "\n", -1);
    for (guint i = 0; pids[i] && *pids[i]; i++) {
        int pid = (int)g_ascii_strtoll(pids[i], NULL, 10), fd = vireo_process_open(pid, 0);
        g_autofree char *path = g_strdup_printf("/proc/%d/status", pid), *status = NULL;
        const char *inside = NULL;

        if (g_file_get_contents(path, &status, NULL, NULL))
            inside = strstr(status, "\nNSpid:");
        if (inside) {
            g_autofree char *line = g_strndup(inside + 7, strcspn(inside + 7, "\n"));
            g_auto(GStrv) numbers = g_strsplit_set(line, "\t ", -1);
            guint n = g_strv_length(numbers);

            if (fd >= 0 && n > 2 && g_ascii_strtoll(numbers[n - 1], NULL, 10) == number)
                return fd;
        }
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

int lxc_domain_send_process_signal(void *handle, vireo_call *call, const vireo_domain_send_process_signal_args *args)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    LxcProcess init;
    int number = (int)args->signum;

    if (!dom)
        return VIREO_FAIL;
    if (args->pid_value <= 0 || args->signum >= VIREO_DOMAIN_PROCESS_SIGNAL_RT32)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG,
                                        "a signal from 0 to 63 goes to one process with a number above 0");
    if (!lxc_domain_init(dom, &init, &error))
        return lxc_fail(conn->driver, call, error);
    int fd = args->pid_value == 1 ? init.fd : process_inside(dom->cgroup, init.pid, args->pid_value);
    gboolean sent = fd >= 0 && vireo_process_signal(fd, number);
    if (fd >= 0 && fd != init.fd)
        close(fd);
    close(init.fd);
    return sent ? VIREO_OK
                : conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                           "no process %" G_GINT64_FORMAT " in domain '%s'", args->pid_value, dom->name);
}
