/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starting processes. All that needs memory is prepared before the fork; between fork and exec only
 * plain system calls are made, since other threads may have held any lock at that moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/core-private.h"
#include "host/given.h"
#include "util/process.h"

#define SPARE_FD 700 /* where descriptors wait while the low numbers are dealt out */

static const char *const plain_env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                         "HOME=/", "LANG=C", NULL };

typedef struct {
    const struct vireo_spawn *spec;
    struct vireo_fd_map *maps; /* standard descriptors first */
    guint n_maps;
    int report; /* the child writes errno here when it fails */
} Plan;

static void reset_signals(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (int i = 1; i < 65; i++)
        sigaction(i, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A limit that holds for a driver's own process is none of its guests'. */
static void free_memory_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_DATA, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_DATA, &limit);
    }
}

/* Moves every descriptor out of the way, then to its number; all others close on exec. */
static int deal_descriptors(Plan *plan)
{
    int report = fcntl(plan->report, F_DUPFD_CLOEXEC, SPARE_FD);

    if (report == -1)
        return -1;
    plan->report = report;
    for (guint i = 0; i < plan->n_maps; i++) {
        plan->maps[i].parent = fcntl(plan->maps[i].parent, F_DUPFD_CLOEXEC, SPARE_FD);
        if (plan->maps[i].parent == -1)
            return -1;
    }
    if (syscall(SYS_close_range, 0, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) != 0)
        return -1;
    for (guint i = 0; i < plan->n_maps; i++)
        if (dup2(plan->maps[i].parent, plan->maps[i].child) == -1)
            return -1;
    return 0;
}

static int become_user(const struct vireo_spawn *spec)
{
    if (!(spec->flags & VIREO_SPAWN_SET_USER))
        return 0;
    /* The raw calls: glibc's would signal threads that this process does not have. */
    if (syscall(SYS_setgroups, spec->n_groups, spec->groups) != 0 && geteuid() == 0)
        return -1;
    if (syscall(SYS_setresgid, spec->gid, spec->gid, spec->gid) != 0)
        return -1;
    return syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid) == 0 ? 0 : -1;
}

static G_GNUC_NORETURN void be_child(Plan *plan)
{
    const struct vireo_spawn *spec = plan->spec;
    const char *const *env = spec->env ? spec->env : plain_env;
    int failure;

    reset_signals();
    free_memory_limit();
    if ((!(spec->flags & VIREO_SPAWN_DETACH) || setsid() != -1) && deal_descriptors(plan) == 0 &&
        become_user(spec) == 0 && chdir(spec->cwd ? spec->cwd : "/") == 0 &&
        (!(spec->flags & VIREO_SPAWN_NO_NEW_PRIVS) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0))
        execve(spec->argv[0], (char *const *)spec->argv, (char *const *)env);
    failure = errno;
    if (write(plan->report, &failure, sizeof failure) < 0)
        _exit(126);
    _exit(127);
}

static int parent_side(pid_t pid, int report, struct vireo_child *child)
{
    int failure = 0;
    ssize_t n;

    do
        n = read(report, &failure, sizeof failure);
    while (n == -1 && errno == EINTR);
    close(report);
    if (n > 0) {
        waitpid(pid, NULL, 0);
        errno = failure;
        return -1;
    }
    *child = (struct vireo_child){
        .pid = pid,
        .pidfd = (int)syscall(SYS_pidfd_open, pid, 0),
        .start_time = vireo_pid_start_time(pid),
    };
    return 0;
}

static int fork_and_exec(Plan *plan, struct vireo_child *child)
{
    int report[2];
    pid_t pid;
    int saved;

    if (pipe2(report, O_CLOEXEC) != 0)
        return -1;
    plan->report = report[1];
    pid = fork();
    if (pid == 0)
        be_child(plan);
    saved = errno;
    close(report[1]);
    if (pid == -1) {
        close(report[0]);
        errno = saved;
        return -1;
    }
    return parent_side(pid, report[0], child);
}

static int spawn_known(const struct vireo_spawn *spec, struct vireo_child *child)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    g_autofree struct vireo_fd_map *maps = g_new(struct vireo_fd_map, spec->n_fds + 3);
    Plan plan = { .spec = spec, .maps = maps, .n_maps = spec->n_fds + 3 };
    int result, saved;

    if (null == -1)
        return -1;
    maps[0] = (struct vireo_fd_map){ spec->in == -1 ? null : spec->in, 0 };
    maps[1] = (struct vireo_fd_map){ spec->out == -1 ? null : spec->out, 1 };
    maps[2] = (struct vireo_fd_map){ spec->err == -1 ? null : spec->err, 2 };
    for (guint i = 0; i < spec->n_fds; i++)
        maps[i + 3] = spec->fds[i];
    result = fork_and_exec(&plan, child);
    saved = errno;
    close(null);
    errno = saved;
    return result;
}

int vireo_spawn_child(vireo_core *core, const struct vireo_spawn *given, struct vireo_child *child)
{
    const guint32 flags = VIREO_SPAWN_DETACH | VIREO_SPAWN_SET_USER | VIREO_SPAWN_NO_NEW_PRIVS;
    struct vireo_spawn spec;

    if (!vireo_given_copy(&spec, sizeof spec, VIREO_SPAWN_LEAST, given) || spec.flags & ~flags) {
        errno = EINVAL;
        return -1;
    }
    return spawn_known(&spec, child);
}
