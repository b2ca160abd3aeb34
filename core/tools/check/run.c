/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/check/run.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/check/child.h"

#define MOST_DEATHS 12 /* of one check in steps; then it ends */
#define MOST_OUTPUT 65536
#define ORPHAN_MS   2000

typedef struct {
    CheckResult result;
    gboolean wanted, ended, told;
    pid_t pid; /* 0: does not run */
    int pipe, output;
    char *dir;
    GString *said;
    CheckShared *shared;
    gint64 began;
    guint deaths;
    gboolean done; /* the child said that it came to its end */
} Run;

typedef struct {
    const CheckTask *task;
    Run *runs;
    CheckTold told;
    gpointer opaque;
} Batch;

/* Sanitizers' run-times ask for these; elsewhere nobody does. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "exitcode=99:leak_check_at_exit=0:handle_abort=0:allow_user_segv_handler=1";
}

__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
    return "exitcode=0:halt_on_error=0:report_signal_unsafe=0:second_deadlock_stack=1";
}

const char *check_sanitizer(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return "address";
#elif defined(__SANITIZE_THREAD__)
    return "thread";
#else
    return "none";
#endif
}

/* ---- the child ---- */

static void be_child(const CheckTask *task, const Run *run, int report)
{
    gboolean sanitized = strcmp(check_sanitizer(), "none") != 0;

    setpgid(0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_DUMPABLE, sanitized, 0, 0, 0); /* no core files; LeakSanitizer traces itself */
    dup2(run->output, 1);
    dup2(run->output, 2);
    setvbuf(stdout, NULL, _IONBF, 0);
    if (chdir(run->dir) != 0)
        _exit(126);
    check_child_begin(run->shared, report, run->dir, !sanitized);
    run->result.check->run(task);
    check_child_end();
}

static void start(Batch *batch, Run *run)
{
    int fds[2];

    if (!run->dir) {
        run->dir = g_dir_make_tmp("vireo-check-XXXXXX", NULL);
        run->shared = mmap(NULL, sizeof *run->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        run->output = memfd_create("output", MFD_CLOEXEC);
        run->said = g_string_new(NULL);
        run->began = check_now();
        if (!run->dir || run->shared == MAP_FAILED || run->output == -1 || chmod(run->dir, 0711) != 0)
            g_error("cannot make a place for check '%s': %s", run->result.check->name, g_strerror(errno));
    }
    memset(run->shared->slots, 0, sizeof run->shared->slots);
    run->shared->n_slots = 0;
    run->done = FALSE;
    if (pipe2(fds, O_CLOEXEC) != 0)
        g_error("pipe: %s", g_strerror(errno));
    fflush(NULL);
    run->pid = fork();
    if (run->pid == -1)
        g_error("fork: %s", g_strerror(errno));
    if (run->pid == 0) {
        close(fds[0]);
        be_child(batch->task, run, fds[1]);
    }
    close(fds[1]);
    run->pipe = fds[0];
    fcntl(run->pipe, F_SETFL, O_NONBLOCK);
}

/* ---- what became of it ---- */

static Run *run_named(const Batch *batch, const char *name)
{
    for (guint i = 0; i < n_checks; i++)
        if (strcmp(checks[i].name, name) == 0)
            return &batch->runs[i];
    g_error("there is no check '%s'", name);
}

static void add(Run *run, char *finding)
{
    for (guint i = 0; i < run->result.findings->len; i++)
        if (strcmp(run->result.findings->pdata[i], finding) == 0) {
            g_free(finding);
            return;
        }
    g_ptr_array_add(run->result.findings, finding);
}

static void add_of(const Batch *batch, const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, " ", 2);

    add(run_named(batch, parts[0]), g_strdup(parts[1]));
}

static void take_line(const Batch *batch, Run *run, const char *line)
{
    const char *text = line + 1;

    if (*line == CHECK_SAYS_FAIL)
        add(run, g_strdup(text));
    else if (*line == CHECK_SAYS_FAIL_OF)
        add_of(batch, text);
    else if (*line == CHECK_SAYS_SKIP && !run->result.reason)
        run->result.reason = g_strdup(text);
    else if (*line == CHECK_SAYS_NOTE) {
        g_free(run->result.remark);
        run->result.remark = g_strdup(text);
    } else if (*line == CHECK_SAYS_DONE)
        run->done = TRUE;
}

static void hear(const Batch *batch, Run *run)
{
    char bytes[4096];
    char *end;
    ssize_t n;

    while ((n = read(run->pipe, bytes, sizeof bytes)) > 0)
        g_string_append_len(run->said, bytes, n);
    while ((end = strchr(run->said->str, '\n'))) {
        *end = 0;
        take_line(batch, run, run->said->str);
        g_string_erase(run->said, 0, end - run->said->str + 1);
    }
}

static void add_death(Run *run, int status)
{
    const char *in = check_where(run->shared);
    g_autofree char *place = in ? g_strdup_printf(" in %s", in)
                                : g_strdup(", in no operation: on a thread of the driver's own, or after it");

    if (WIFSIGNALED(status))
        add(run, g_strdup_printf("signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)), place));
    else
        add(run, g_strdup_printf("exited with status %d%s", WEXITSTATUS(status), place));
}

/* The longest that some thread has been in one function of the driver; *what is its name. */
static gint64 longest(const CheckShared *shared, const char **what)
{
    gint64 now = check_now(), most = 0;

    for (int i = 0; i < CHECK_SLOTS; i++) {
        gint64 since = __atomic_load_n(&shared->slots[i].since, __ATOMIC_SEQ_CST);

        if (since && now - since >= most) {
            most = now - since;
            *what = shared->slots[i].what;
        }
    }
    return most;
}

static gboolean is_overdue(const Batch *batch, Run *run)
{
    gint64 limit = (gint64)batch->task->seconds * 1000;
    const char *what = NULL;

    if (longest(run->shared, &what) > limit) {
        add(run, g_strdup_printf("%s did not return within %u seconds", what, batch->task->seconds));
        return TRUE;
    }
    if (check_now() - run->began > limit * 10) {
        add(run, g_strdup_printf("the check did not end within %u seconds", batch->task->seconds * 10));
        return TRUE;
    }
    return FALSE;
}

/* One that does not die, since it is frozen say, is not waited for: it is tried again after the next check. */
static void end_one(pid_t pid)
{
    kill(pid, SIGKILL);
    for (int waited = 0; waited < ORPHAN_MS && waitpid(pid, NULL, WNOHANG) == 0; waited += 5)
        g_usleep(5000);
}

/* Processes that a dead child left: they have become ours. */
static void end_orphans(const Batch *batch)
{
    g_autofree char *path = g_strdup_printf("/proc/self/task/%d/children", (int)getpid());
    g_autofree char *text = NULL;
    g_auto(GStrv) pids = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return;
    pids = g_strsplit(g_strstrip(text), " ", -1);
    for (char **word = pids; *word; word++) {
        pid_t pid = (pid_t)atoi(*word);
        gboolean ours = pid <= 0;

        for (guint i = 0; i < n_checks; i++)
            ours |= batch->runs[i].pid == pid;
        if (!ours)
            end_one(pid);
    }
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    return remove(path);
}

static char *read_output(int fd)
{
    struct stat info;
    gsize size;
    char *text;
    ssize_t n;

    if (fstat(fd, &info) != 0 || info.st_size <= 0)
        return NULL;
    size = (gsize)MIN(info.st_size, MOST_OUTPUT);
    text = g_malloc0(size + 1);
    n = pread(fd, text, size, info.st_size - (off_t)size);
    text[MAX(n, 0)] = 0;
    for (char *p = text; p < text + n; p++)
        if (!*p)
            *p = '?';
    return text;
}

/* What a sanitizer found, one line each. */
static void read_sanitizer(Run *run)
{
    g_auto(GStrv) lines = run->result.output ? g_strsplit(run->result.output, "\n", -1) : NULL;

    for (char **line = lines; line && *line; line++) {
        const char *text = strstr(*line, "SUMMARY: ");

        if (text && strstr(text, "Sanitizer"))
            add(run, g_strdup(text + strlen("SUMMARY: ")));
        else if (strstr(*line, ": runtime error: ")) /* undefined behaviour has no summary */
            add(run, g_strdup(*line));
    }
}

static void conclude(Run *run)
{
    run->result.verdict = run->result.findings->len ? CHECK_FAILED : run->result.reason ? CHECK_SKIPPED : CHECK_OK;
    run->ended = TRUE;
}

static void finish(Run *run)
{
    run->result.output = read_output(run->output);
    read_sanitizer(run);
    run->result.milliseconds = check_now() - run->began;
    conclude(run);
    nftw(run->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    munmap(run->shared, sizeof *run->shared);
    close(run->output);
    g_string_free(run->said, TRUE);
    g_clear_pointer(&run->dir, g_free);
}

/* After a death: the child's steps behind the one it died in may be fine. */
static gboolean goes_on(Run *run)
{
    if (!run->result.check->in_steps || run->deaths++ >= MOST_DEATHS)
        return FALSE;
    run->shared->first_step = run->shared->step + 1;
    return TRUE;
}

static void look_at(Batch *batch, Run *run)
{
    gboolean overdue = is_overdue(batch, run);
    int status;

    hear(batch, run);
    if (overdue)
        kill(run->pid, SIGKILL);
    if (waitpid(run->pid, &status, overdue ? 0 : WNOHANG) != run->pid)
        return;
    kill(-run->pid, SIGKILL);
    hear(batch, run);
    close(run->pipe);
    run->pid = 0;
    end_orphans(batch);
    if (!run->done && !overdue)
        add_death(run, status);
    if (!run->done && goes_on(run))
        start(batch, run);
    else
        finish(run);
}

/* ---- all of them ---- */

static void skip(Run *run, char *reason)
{
    run->result.reason = reason;
    conclude(run);
}

/* Whether it may start now; one that can not be made ends here. */
static gboolean is_ready(Batch *batch, Run *run)
{
    const Check *check = run->result.check;
    const Run *needed = check->needs ? run_named(batch, check->needs) : NULL;

    if (needed && !needed->ended)
        return FALSE;
    if (needed && needed->result.verdict == CHECK_FAILED) {
        skip(run, g_strdup_printf("check '%s' failed", check->needs));
        return FALSE;
    }
    if (needed && needed->result.verdict == CHECK_SKIPPED) {
        skip(run, g_strdup(needed->result.reason));
        return FALSE;
    }
    if (check->uses_glib && strcmp(check_sanitizer(), "thread") == 0) {
        skip(run, g_strdup("it runs threads of GLib, which ThreadSanitizer cannot follow"));
        return FALSE;
    }
    return TRUE;
}

static void tell(Batch *batch)
{
    for (guint i = 0; i < n_checks; i++) {
        Run *run = &batch->runs[i];

        if (run->wanted && !run->ended)
            return;
        if (run->told || (!run->wanted && run->result.verdict != CHECK_FAILED))
            continue;
        run->told = TRUE;
        batch->told(&run->result, batch->opaque);
    }
}

static guint start_ready(Batch *batch, guint running, guint jobs)
{
    for (guint i = 0; i < n_checks && running < jobs; i++) {
        Run *run = &batch->runs[i];

        if (run->ended || run->pid || !is_ready(batch, run))
            continue;
        if (!run->result.check->run) { /* what there was to find is known by now */
            run->result.remark = g_strdup(run_named(batch, run->result.check->needs)->result.remark);
            conclude(run);
            continue;
        }
        start(batch, run);
        running++;
    }
    return running;
}

static guint n_running(const Batch *batch)
{
    guint n = 0;

    for (guint i = 0; i < n_checks; i++)
        n += batch->runs[i].pid != 0;
    return n;
}

static guint n_left(const Batch *batch)
{
    guint n = 0;

    for (guint i = 0; i < n_checks; i++)
        n += !batch->runs[i].ended;
    return n;
}

static void choose(Batch *batch, const gboolean *chosen)
{
    for (guint i = 0; i < n_checks; i++) {
        Run *run = &batch->runs[i];

        run->result.check = &checks[i];
        run->result.findings = g_ptr_array_new_with_free_func(g_free);
        run->wanted = chosen[i];
        run->ended = TRUE;
    }
    for (guint i = 0; i < n_checks; i++)
        for (const Check *check = chosen[i] ? &checks[i] : NULL; check;
             check = check->needs ? run_named(batch, check->needs)->result.check : NULL)
            batch->runs[check - checks].ended = FALSE;
}

static void result_free(gpointer data)
{
    CheckResult *result = data;

    g_ptr_array_unref(result->findings);
    g_free(result->reason);
    g_free(result->remark);
    g_free(result->output);
    g_free(result);
}

GPtrArray *check_run_all(const CheckTask *task, const gboolean *chosen, guint jobs, CheckTold told,
                         gpointer opaque)
{
    g_autofree Run *runs = g_new0(Run, n_checks);
    GPtrArray *results = g_ptr_array_new_with_free_func(result_free);
    Batch batch = { task, runs, told, opaque };

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    choose(&batch, chosen);
    while (n_left(&batch)) {
        start_ready(&batch, n_running(&batch), jobs);
        tell(&batch);
        for (guint i = 0; i < n_checks; i++)
            if (runs[i].pid)
                look_at(&batch, &runs[i]);
        if (n_running(&batch))
            g_usleep(2000);
    }
    tell(&batch);
    for (guint i = 0; i < n_checks; i++)
        if (runs[i].wanted || runs[i].result.verdict == CHECK_FAILED)
            g_ptr_array_add(results, g_memdup2(&runs[i].result, sizeof runs[i].result));
        else
            g_ptr_array_unref(runs[i].result.findings);
    return results;
}
