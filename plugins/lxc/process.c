/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "kit/file.h"
#include "kit/json.h"
#include "kit/process.h"
#include "native.h"
#include "net.h"

#define START_S 60
#define RESTORE_S 600
#define GONE_MS 20000
#define THAW_MS 50
#define OUTPUT_MAX 8192
#define LIVE_MAX (16u * 1024 * 1024)

void lxc_process_close(LxcProcess *process)
{
    if (process->fd >= 0)
        close(process->fd);
    process->fd = -1;
}

/* ---- the helper ---------------------------------------------------------------- */

static char *take_output(int fd)
{
    char *text = g_malloc0(OUTPUT_MAX + 1);
    gsize len = 0;
    gssize n;

    /* Who was started by it may hold the other end: what is there is all. */
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (len < OUTPUT_MAX && (n = read(fd, text + len, OUTPUT_MAX - len)) > 0)
        len += (gsize)n;
    close(fd);
    g_strchomp(text);
    return text;
}

static gboolean await(struct vireo_child *child, int timeout_s, int *status)
{
    gboolean ended = vireo_process_wait(child->pidfd, timeout_s * 1000);
    siginfo_t info = { 0 };

    if (!ended)
        vireo_process_signal(child->pidfd, SIGKILL);
    waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED);
    close(child->pidfd);
    *status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    return ended;
}

gboolean lxc_program_run(LxcDriver *driver, struct vireo_spawn *spec, int timeout_s, char **out, int *status,
                         GError **error)
{
    struct vireo_child child;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0) {
        lxc_error(error, VIREO_ERR_SYSTEM_ERROR, "pipe: %s", g_strerror(errno));
        return FALSE;
    }
    spec->out = ends[1];
    spec->err = spec->err < 0 ? -1 : ends[1];
    int rc = driver->host->spawn(driver->core, spec, &child), saved = errno;
    close(ends[1]);
    if (rc < 0) {
        close(ends[0]);
        lxc_error(error, VIREO_ERR_SYSTEM_ERROR, "%s cannot be run: %s", spec->argv[0], g_strerror(saved));
        return FALSE;
    }
    gboolean in_time = await(&child, timeout_s, status);
    *out = take_output(ends[0]);
    if (!in_time)
        lxc_error(error, VIREO_ERR_OPERATION_TIMEOUT, "%s %s did not end within %d s", spec->argv[0], spec->argv[1], timeout_s);
    return in_time;
}

/* What liblxc runs, it finds by PATH. A start is better without: newuidmap would ask whether the daemon's user may have
 * the ids, which liblxc else maps itself. */
static char **environment(LxcDriver *driver, const char *command)
{
    const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    g_autofree char *beside = driver->criu ? g_path_get_dirname(driver->criu) : g_strdup("/");
    char **env = g_new0(char *, 4);

    env[0] = g_str_equal(command, "start") ? g_strdup("PATH=/") : g_strdup_printf("PATH=%s:%s", beside, path);
    env[1] = g_strdup("HOME=/");
    env[2] = g_strdup("LANG=C");
    return env;
}

gboolean lxc_helper_run(LxcDomain *dom, int timeout_s, char **out, GPtrArray *given, GError **error)
{
    LxcDriver *driver = dom->space->driver;
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_auto(GStrv) env = environment(driver, given->pdata[0]);
    struct vireo_spawn spec = { .size = sizeof spec, .env = (const char *const *)env, .in = -1, .err = -1 };
    g_autofree char *text = NULL;
    int status;

    g_ptr_array_add(argv, driver->helper);
    g_ptr_array_add(argv, given->pdata[0]);
    g_ptr_array_add(argv, dom->space->run_dir);
    g_ptr_array_add(argv, dom->uuid_text);
    for (guint i = 1; i < given->len; i++)
        g_ptr_array_add(argv, given->pdata[i]);
    g_ptr_array_add(argv, NULL);
    spec.argv = (const char *const *)argv->pdata;
    if (!lxc_program_run(driver, &spec, timeout_s, &text, &status, error))
        return FALSE;
    if (status == 0) {
        if (out)
            *out = g_steal_pointer(&text);
        return TRUE;
    }
    lxc_error(error, VIREO_ERR_OPERATION_FAILED, "%s%s", *text ? text : driver->helper, *text ? "" : " ended without a reason");
    return FALSE;
}

gboolean lxc_helper(LxcDomain *dom, int timeout_s, char **out, GError **error, const char *command, ...)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    va_list args;

    g_ptr_array_add(argv, (char *)command);
    va_start(args, command);
    for (const char *arg; (arg = va_arg(args, const char *));)
        g_ptr_array_add(argv, (char *)arg);
    va_end(args);
    return lxc_helper_run(dom, timeout_s, out, argv, error);
}

/* ---- saved state --------------------------------------------------------------- */

/* In the run directory, and not durable: what it is about does not outlive the host, so nobody waits for the disk. */
#define LIVE_FILE "/live"

static void save(LxcDomain *dom, const VireoDomain *doc, gboolean started)
{
    LxcDriver *driver = dom->space->driver;
    g_autofree char *path = lxc_domain_path(dom, dom->space->run_dir, LIVE_FILE), *fresh = g_strconcat(path, ".new", NULL);
    g_autofree char *xml = vireo_domain_format(doc, VIREO_MODEL_FORMAT_SECURE);
    g_autoptr(GError) error = NULL;

    g_mutex_lock(&dom->lock);
    g_autoptr(JsonObject) saved = vireo_json_new(
        's', "uuid", dom->uuid_text, 's', "name", dom->name, 'i', "pid",
        (gint64)(started ? dom->init.pid : 0), 'i', "start", (gint64)(started ? dom->init.start : 0), 'i', "monitor",
        (gint64)(started ? dom->monitor.pid : 0), 'i', "monitor_start", (gint64)(started ? dom->monitor.start : 0), 's',
        "cgroup", dom->cgroup, 'b', "autodestroy", dom->autodestroy, 's', "xml", xml, 0);
    g_mutex_unlock(&dom->lock);
    g_autofree char *text = vireo_json_text(saved);
    if (!g_file_set_contents_full(fresh, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, &error) || rename(fresh, path) < 0)
        driver->host->log(driver->core, VIREO_LOG_ERROR, dom->space->uri, "the state of domain '%s' cannot be saved: %s",
                          dom->name, error ? error->message : g_strerror(errno));
}

void lxc_live_save(LxcDomain *dom)
{
    g_autoptr(LxcDef) live = lxc_domain_live(dom);

    if (live)
        save(dom, live->doc, TRUE);
}

/* ---- watching ------------------------------------------------------------------ */

static void start_again(LxcDomain *dom, guint generation);
typedef struct {
    LxcDomain *dom;
    guint generation;
} Ended;

static void ended_work(void *opaque)
{
    Ended *ended = opaque;

    if (!lxc_process_settle(ended->dom, ended->generation))
        start_again(ended->dom, ended->generation);
    lxc_domain_unref(ended->dom);
    g_free(ended);
}

static void init_ended(int fd, int events, void *opaque)
{
    LxcDomain *dom = opaque;
    const struct vireo_host *host = dom->space->driver->host;
    Ended *ended = g_new0(Ended, 1);

    g_mutex_lock(&dom->lock);
    uint64_t watch = dom->watch;
    dom->watch = 0;
    ended->dom = lxc_domain_ref(dom);
    ended->generation = dom->generation;
    g_mutex_unlock(&dom->lock);
    if (watch) {
        host->unwatch(dom->space->driver->core, watch);
        lxc_domain_unref(dom);
    }
    host->defer(dom->space->driver->core, ended_work, ended);
}

static void watch(LxcDomain *dom)
{
    LxcDriver *driver = dom->space->driver;

    g_mutex_lock(&dom->lock);
    if (dom->init.fd >= 0 && !dom->watch)
        dom->watch = driver->host->watch(driver->core, dom->init.fd, VIREO_WATCH_IN, init_ended, lxc_domain_ref(dom));
    g_mutex_unlock(&dom->lock);
}

void lxc_live_let_go(LxcDomain *dom)
{
    LxcDriver *driver = dom->space->driver;

    g_mutex_lock(&dom->lock);
    uint64_t id = dom->watch;
    dom->watch = 0;
    g_mutex_unlock(&dom->lock);
    if (!id)
        return;
    driver->host->unwatch(driver->core, id);
    lxc_domain_unref(dom);
}

/* ---- the end ------------------------------------------------------------------- */

static void remove_run_dir(LxcDomain *dom)
{
    static const char *const files[] = { LIVE_FILE, LIVE_FILE ".new", "/config", "/log", "" };

    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = lxc_domain_path(dom, dom->space->run_dir, files[i]);

        if (*files[i] ? unlink(path) : rmdir(path))
            continue;
    }
}

/* Nothing runs any more; with `ending` held. */
static void clear(LxcDomain *dom)
{
    lxc_live_let_go(dom);
    lxc_cgroup_remove(dom->cgroup);
    remove_run_dir(dom);
    g_mutex_lock(&dom->lock);
    lxc_process_close(&dom->init);
    lxc_process_close(&dom->monitor);
    dom->id = -1;
    g_mutex_unlock(&dom->lock);
}

static void tell_end(LxcDomain *dom, int reason)
{
    g_mutex_lock(&dom->lock);
    gboolean transient = !dom->config;
    dom->state = VIREO_DOMAIN_SHUTOFF;
    dom->reason = dom->end_reason ? dom->end_reason : reason;
    dom->end_reason = 0;
    dom->autodestroy = FALSE;
    g_mutex_unlock(&dom->lock);
    lxc_domain_publish(dom);
    if (transient)
        lxc_domain_forget(dom);
}

static void finish(LxcDomain *dom, int reason)
{
    clear(dom);
    tell_end(dom, reason);
}

/* Whether it was to reboot, and its monitor ended: liblxc cannot serve a console again that somebody had. */
static gboolean ends_too_soon(LxcDomain *dom)
{
    g_autofree char *path = lxc_domain_path(dom, dom->space->run_dir, "/log"), *log = NULL;
    g_autoptr(LxcDef) live = lxc_domain_live(dom);

    g_mutex_lock(&dom->lock);
    gboolean wanted = dom->end_reason != 0;
    g_mutex_unlock(&dom->lock);
    return !wanted && live && live->doc->on_reboot != VIREO_DOMAIN_LIFECYCLE_DESTROY &&
           vireo_file_read(path, LIVE_MAX, &log, NULL, NULL) && strstr(log, "Failed to add console handlers");
}

static gboolean is_init_of(pid_t pid, pid_t monitor, const char *helper)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid), *text = NULL;
    g_autofree char *link = g_strdup_printf("/proc/%d/exe", (int)pid), *exe = NULL;
    g_autofree char *parent = g_strdup_printf("\nPPid:\t%d\n", (int)monitor);
    const char *inside;

    if (!g_file_get_contents(path, &text, NULL, NULL) || !strstr(text, parent) || !(inside = strstr(text, "\nNSpid:")))
        return FALSE;
    g_autofree char *line = g_strndup(inside + 1, strcspn(inside + 1, "\n"));
    exe = g_file_read_link(link, NULL);
    return g_str_has_suffix(line, "\t1") && exe && !g_str_equal(exe, helper);
}

/* The init that a monitor has started after a reboot; 0: none yet. */
static pid_t new_init(LxcDomain *dom, pid_t monitor)
{
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)))
        if (g_ascii_isdigit(*name) && is_init_of(atoi(name), monitor, dom->space->driver->helper))
            return atoi(name);
    return 0;
}

static void tell_reboot(LxcDomain *dom)
{
    vireo_domain_event_callback_reboot_msg message = { .msg.dom = { .id = dom->id, .name = dom->name } };

    memcpy(message.msg.dom.uuid, dom->uuid, 16);
    dom->space->driver->host->event(dom->space->published, VIREO_EVENT_domain_event_callback_reboot, &message);
}

static gboolean adopt(LxcDomain *dom, pid_t pid)
{
    g_autoptr(LxcDef) live = lxc_domain_live(dom);
    guint64 start = vireo_process_start_time(pid);
    int fd = start ? vireo_process_open(pid, start) : -1;

    if (fd < 0)
        return FALSE;
    if (live->doc->on_reboot == VIREO_DOMAIN_LIFECYCLE_DESTROY) {
        vireo_process_signal(fd, SIGKILL);
        close(fd);
        return FALSE;
    }
    g_mutex_lock(&dom->lock);
    lxc_process_close(&dom->init);
    dom->init = (LxcProcess){ pid, start, fd };
    dom->id = pid;
    g_mutex_unlock(&dom->lock);
    lxc_live_save(dom);
    lxc_domain_publish(dom);
    watch(dom);
    tell_reboot(dom);
    return TRUE;
}

/* The monitor tidies up after the init, or starts another one after a reboot. FALSE: nobody did. */
static gboolean settle(LxcDomain *dom)
{
    gint64 until = g_get_monotonic_time() + GONE_MS * 1000;
    int step = 50;

    while (g_get_monotonic_time() < until) {
        if (dom->monitor.fd < 0 || vireo_process_wait(dom->monitor.fd, step)) {
            if (ends_too_soon(dom))
                return FALSE;
            finish(dom, VIREO_DOMAIN_SHUTOFF_SHUTDOWN);
            return TRUE;
        }
        pid_t pid = new_init(dom, dom->monitor.pid);
        if (pid && pid != dom->init.pid && adopt(dom, pid))
            return TRUE;
        step = MIN(step * 2, 1000);
    }
    vireo_process_signal(dom->monitor.fd, SIGKILL);
    vireo_process_wait(dom->monitor.fd, 1000);
    finish(dom, VIREO_DOMAIN_SHUTOFF_CRASHED);
    return TRUE;
}

/* With `lock`. */
static gboolean has_ended(LxcDomain *dom, guint generation)
{
    return dom->id != -1 && dom->generation == generation && !vireo_process_start_time(dom->init.pid);
}

gboolean lxc_process_settle(LxcDomain *dom, guint generation)
{
    g_mutex_lock(&dom->ending);
    g_mutex_lock(&dom->lock);
    gboolean due = has_ended(dom, generation);
    g_mutex_unlock(&dom->lock);
    gboolean settled = !due || settle(dom);
    g_mutex_unlock(&dom->ending);
    return settled;
}

/* What is frozen does not die in version 1 of control groups, and somebody may be about to freeze it. */
static gboolean await_end(int pidfd, const char *cgroup)
{
    gboolean gone = vireo_process_wait(pidfd, 5);

    for (int waited = 0; !gone && waited < GONE_MS; waited += THAW_MS) {
        lxc_cgroup_thaw(cgroup);
        gone = vireo_process_wait(pidfd, THAW_MS);
    }
    return gone;
}

gboolean lxc_process_kill(LxcDomain *dom, int reason, GError **error)
{
    LxcProcess init;

    if (!lxc_domain_need_active(dom, error))
        return FALSE;
    g_mutex_lock(&dom->lock);
    guint generation = dom->generation;
    g_autofree char *cgroup = g_strdup(dom->cgroup);
    dom->end_reason = reason;
    g_mutex_unlock(&dom->lock);
    if (lxc_domain_init(dom, &init, NULL)) {
        vireo_process_signal(init.fd, SIGKILL);
        gboolean gone = await_end(init.fd, cgroup);
        close(init.fd);
        if (!gone) {
            lxc_error(error, VIREO_ERR_OPERATION_TIMEOUT, "the init of domain '%s' does not end", dom->name);
            return FALSE;
        }
    }
    lxc_process_settle(dom, generation);
    return TRUE;
}

/* ---- the beginning ------------------------------------------------------------- */

/* True reasons for what liblxc would not say so well. */
static gboolean check_root(const VireoDomain *doc, GError **error)
{
    const VireoDomainFilesystem *root = lxc_doc_root(doc);
    const char *path = root->source->dir    ? root->source->dir
                       : root->source->file ? root->source->file
                       : root->source->name ? root->source->name
                                            : root->source->dev;
    struct stat info;
    mode_t wanted = root->source->file ? S_IFREG : root->source->dev ? S_IFBLK : S_IFDIR;

    if (stat(path, &info) < 0) {
        lxc_error(error, VIREO_ERR_OPERATION_FAILED, "the root of the container, %s: %s", path, g_strerror(errno));
        return FALSE;
    }
    if ((info.st_mode & S_IFMT) == wanted)
        return TRUE;
    lxc_error(error, VIREO_ERR_OPERATION_FAILED, "the root of the container, %s, is no %s", path,
              wanted == S_IFREG ? "file" : wanted == S_IFBLK ? "block device" : "directory");
    return FALSE;
}

static gboolean write_config(LxcDomain *dom, const VireoDomain *doc, GError **error)
{
    g_autofree char *dir = lxc_domain_path(dom, dom->space->run_dir, ""), *text = NULL;
    g_autofree char *path = g_build_filename(dir, "config", NULL), *log = g_build_filename(dir, "log", NULL);
    g_autofree char *delta = lxc_domain_path(dom, dom->space->state_dir, "/delta");

    if (!(text = lxc_native_config(dom, doc, error)))
        return FALSE;
    return (lxc_doc_root(doc)->type != VIREO_DOMAIN_FILESYSTEM_TYPE_TEMPLATE ||
            vireo_file_mkdir(delta, 0755, error)) &&
           vireo_file_mkdir(dir, 0700, error) &&
           /* Of no use after a crash of the host: they need not wait for the disk. */
           g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, error) &&
           g_file_set_contents_full(log, "", 0, G_FILE_SET_CONTENTS_NONE, 0600, error);
}

/* "PID MONITOR" of the helper. The caller closes both. */
static gboolean take_processes(const char *text, LxcProcess *init, LxcProcess *monitor)
{
    int pid = 0, parent = 0;

    init->fd = monitor->fd = -1;
    if (sscanf(text, "%d %d", &pid, &parent) != 2)
        return FALSE;
    *init = (LxcProcess){ pid, vireo_process_start_time(pid), -1 };
    *monitor = (LxcProcess){ parent, vireo_process_start_time(parent), -1 };
    init->fd = init->start ? vireo_process_open(pid, init->start) : -1;
    monitor->fd = monitor->start ? vireo_process_open(parent, monitor->start) : -1;
    return init->fd >= 0 && monitor->fd >= 0;
}

static void now_runs(LxcDomain *dom, LxcDef *def, LxcProcess init, LxcProcess monitor, int reason)
{
    g_mutex_lock(&dom->lock);
    LxcDef *old = dom->live;
    dom->live = def;
    dom->init = init;
    dom->monitor = monitor;
    dom->generation++;
    dom->end_reason = 0;
    dom->id = init.pid; /* libvirt's clients take it for a process in the container's control groups */
    dom->state = VIREO_DOMAIN_RUNNING;
    dom->reason = reason;
    g_mutex_unlock(&dom->lock);
    lxc_def_unref(old);
}

static void set_cgroup(LxcDomain *dom, char *cgroup)
{
    g_mutex_lock(&dom->lock);
    g_free(dom->cgroup);
    dom->cgroup = cgroup;
    g_mutex_unlock(&dom->lock);
}

static GPtrArray *way_to_start(const VireoDomain *doc, const char *images)
{
    GPtrArray *argv = g_ptr_array_new();

    g_ptr_array_add(argv, images ? "restore" : "start");
    g_ptr_array_add(argv, images ? (char *)images : doc->os->init);
    VEC_EACH(doc->os->initargs, i)
    if (!images)
        g_ptr_array_add(argv, doc->os->initargs.items[i]);
    return argv;
}

static void end_abandoned(LxcDomain *dom)
{
    static const LxcItem procs = { "freezer", "cgroup.procs", "cgroup.procs" };

    for (int waited = 0; waited < GONE_MS; waited += THAW_MS) {
        g_autofree char *left = NULL;

        if (!lxc_cgroup_read(dom->cgroup, &procs, &left, NULL) || !*g_strstrip(left))
            return;
        lxc_cgroup_kill(dom->cgroup);
        lxc_cgroup_thaw(dom->cgroup);
        g_usleep(THAW_MS * 1000);
    }
}

/* images: what it is restored from; NULL: it begins. */
static gboolean start(LxcDomain *dom, LxcDef *def, const char *images, int reason, GError **error)
{
    g_autoptr(VireoDomain) doc = vireo_domain_copy(def->doc);
    g_autofree char *out = NULL, *native = lxc_native_cgroup(dom, doc);
    LxcProcess init = { .fd = -1 }, monitor = { .fd = -1 };

    if (lxc_domain_active(dom)) {
        lxc_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is already running", dom->name);
        return FALSE;
    }
    lxc_net_name(doc);
    VEC_EACH(doc->devices->consoles, i)
    if (!doc->devices->consoles.items[i]->alias)
        doc->devices->consoles.items[i]->alias = g_strdup_printf("console%u", i);
    set_cgroup(dom, g_strconcat("/", native, NULL));
    lxc_cgroup_remove(dom->cgroup);
    if (!check_root(doc, error) || !lxc_net_check(doc, error) || !write_config(dom, doc, error)) {
        remove_run_dir(dom);
        return FALSE;
    }
    save(dom, doc, FALSE);
    g_autoptr(GPtrArray) argv = way_to_start(doc, images);
    if (!lxc_helper_run(dom, images ? RESTORE_S : START_S, &out, argv, error)) {
        if (images) /* what CRIU has made, nobody else knows of */
            end_abandoned(dom);
        lxc_cgroup_remove(dom->cgroup);
        remove_run_dir(dom);
        return FALSE;
    }
    if (!take_processes(out, &init, &monitor)) {
        lxc_error(error, VIREO_ERR_OPERATION_FAILED, "the init of domain '%s' ended at once", dom->name);
        lxc_process_close(&init);
        lxc_process_close(&monitor);
        remove_run_dir(dom);
        return FALSE;
    }
    now_runs(dom, lxc_def_new(g_steal_pointer(&doc)), init, monitor, reason);
    lxc_live_save(dom);
    g_autoptr(LxcDef) live = lxc_domain_live(dom);
    if (live)
        lxc_cgroup_count(dom->cgroup, live->doc);
    if (live && !lxc_net_started(dom, live->doc, error)) {
        lxc_process_kill(dom, VIREO_DOMAIN_SHUTOFF_FAILED, NULL);
        return FALSE;
    }
    lxc_domain_publish(dom);
    watch(dom);
    return TRUE;
}

gboolean lxc_process_start(LxcDomain *dom, LxcDef *def, int reason, GError **error)
{
    return start(dom, def, NULL, reason, error);
}

gboolean lxc_process_restore(LxcDomain *dom, LxcDef *def, const char *images, GError **error)
{
    return start(dom, def, images, VIREO_DOMAIN_RUNNING_RESTORED, error);
}

/* A reboot that the monitor left undone. */
static void start_again(LxcDomain *dom, guint generation)
{
    LxcDriver *driver = dom->space->driver;
    g_autoptr(GError) error = NULL;

    g_mutex_lock(&dom->job);
    g_mutex_lock(&dom->ending);
    g_autoptr(LxcDef) live = lxc_domain_live(dom);
    g_mutex_lock(&dom->lock);
    gboolean due = has_ended(dom, generation) && !dom->end_reason;
    if (due) {
        dom->id = -1;
        dom->generation--; /* the same one goes on: it still ends with whom it belongs to */
    }
    g_mutex_unlock(&dom->lock);
    if (due)
        clear(dom);
    g_mutex_unlock(&dom->ending);
    if (due && lxc_process_start(dom, live, VIREO_DOMAIN_RUNNING_BOOTED, &error)) {
        tell_reboot(dom);
    } else if (due) {
        driver->host->log(driver->core, VIREO_LOG_ERROR, dom->space->uri, "domain '%s' does not start again: %s", dom->name,
                          error->message);
        tell_end(dom, VIREO_DOMAIN_SHUTOFF_FAILED);
    }
    g_mutex_unlock(&dom->job);
}

/* ---- finding again ------------------------------------------------------------- */

static LxcDomain *domain_of(LxcSpace *space, JsonObject *saved, LxcDef *def)
{
    LxcDomain *dom = lxc_domain_by_uuid(space, def->doc->uuid);

    if (dom)
        return dom;
    dom = lxc_domain_new(space, def->doc->uuid, def->doc->name);
    if (lxc_domain_register(dom, NULL))
        return dom;
    lxc_domain_unref(dom);
    return NULL;
}

/* One that was being started when the daemon ended has no pid yet. */
static char *processes_of(LxcDomain *dom, JsonObject *saved)
{
    gint64 pid = vireo_json_int(saved, "pid", 0), monitor = vireo_json_int(saved, "monitor", 0);
    char *out = NULL;

    if (pid)
        return g_strdup_printf("%d %d", (int)pid, (int)monitor);
    return lxc_helper(dom, START_S, &out, NULL, "find", NULL) ? out : NULL;
}

static void reattach(LxcSpace *space, const char *path, const char *text)
{
    LxcDriver *driver = space->driver;
    g_autoptr(JsonObject) saved = vireo_json_parse(text, -1, NULL);
    const char *xml = vireo_json_string(saved, "xml");
    g_autoptr(GError) error = NULL;
    g_autoptr(LxcDef) def = xml ? lxc_def_parse(driver, xml, LXC_DEF_TRUSTED | LXC_DEF_LIVE, &error) : NULL;
    g_autoptr(LxcDomain) dom = def ? domain_of(space, saved, def) : NULL;
    LxcProcess init = { .fd = -1 }, monitor = { .fd = -1 };

    if (!dom) {
        driver->host->log(driver->core, VIREO_LOG_ERROR, space->uri, "%s: %s", path,
                          error ? error->message : "it cannot be read");
        return;
    }
    g_autofree char *numbers = processes_of(dom, saved);
    if (numbers)
        take_processes(numbers, &init, &monitor);
    guint64 start = (guint64)vireo_json_int(saved, "start", 0);
    if (start && start != init.start)
        lxc_process_close(&init); /* a stranger with its number */
    start = (guint64)vireo_json_int(saved, "monitor_start", 0);
    if (start && start != monitor.start)
        lxc_process_close(&monitor);
    set_cgroup(dom, g_strdup(vireo_json_string(saved, "cgroup")));
    now_runs(dom, g_steal_pointer(&def), init, monitor, VIREO_DOMAIN_RUNNING_UNKNOWN);
    dom->autodestroy = vireo_json_bool(saved, "autodestroy");
    if (lxc_cgroup_frozen(dom->cgroup))
        lxc_domain_set_state(dom, VIREO_DOMAIN_PAUSED, VIREO_DOMAIN_PAUSED_UNKNOWN);
    if (monitor.fd < 0) {
        if (init.fd >= 0) /* nobody is left who could tidy up after it */
            vireo_process_signal(init.fd, SIGKILL);
        lxc_cgroup_thaw(dom->cgroup);
        finish(dom, VIREO_DOMAIN_SHUTOFF_UNKNOWN);
        return;
    }
    lxc_live_save(dom);
    if (dom->autodestroy) { /* whom it belonged to is gone */
        dom->end_reason = VIREO_DOMAIN_SHUTOFF_DESTROYED;
        vireo_process_signal(init.fd, SIGKILL);
        lxc_cgroup_thaw(dom->cgroup); /* what is frozen does not die in version 1 */
    }
    if (init.fd >= 0) {
        watch(dom);
        return;
    }
    Ended *ended = g_new(Ended, 1);
    *ended = (Ended){ lxc_domain_ref(dom), dom->generation };
    driver->host->defer(driver->core, ended_work, ended);
}

void lxc_live_reattach(LxcSpace *space)
{
    g_autoptr(GDir) dir = g_dir_open(space->run_dir, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_strconcat(space->run_dir, "/", name, LIVE_FILE, NULL), *text = NULL;

        if (vireo_file_read(path, LIVE_MAX, &text, NULL, NULL))
            reattach(space, path, text);
    }
}
