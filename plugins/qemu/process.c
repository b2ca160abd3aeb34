/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A QEMU process from its start to its end. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blockjob.h"
#include "channel.h"
#include "checkpoint.h"
#include "coalesce.h"
#include "engine.h"
#include "events.h"
#include "firmware.h"
#include "images.h"
#include "kit/file.h"
#include "kit/process.h"
#include "launch.h"
#include "livestate.h"
#include "snapshot.h"
#include "tpm.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#define LOG_TAIL 4096
#define KILL_MS 10000
#define TERM_MS 3000

char *qemu_process_qmp_path(QemuDomain *dom)
{
    return qemu_domain_path(dom, dom->space->run_dir, ".qmp");
}

VireoQmp *qemu_process_connect(QemuDomain *dom, const char *path, GError **error)
{
    static const VireoQmpCallbacks callbacks = { qemu_event, qemu_event_closed,
                                                 (GDestroyNotify)qemu_domain_unref };
    VireoQmp *qmp = vireo_qmp_connect(vireo_loop_context(dom->space->driver->loop), path,
                                      &callbacks, qemu_domain_ref(dom), error);

    if (!qmp)
        qemu_domain_unref(dom);
    return qmp;
}

/* ---- the log ------------------------------------------------------------------- */

static int log_open(QemuDomain *dom, QemuLaunch *launch)
{
    g_autofree char *path = g_strdup_printf("%s/%s.log", dom->space->log_dir, dom->name);
    g_autofree char *line = vireo_argv_show(launch->argv);
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *when = g_date_time_format_iso8601(now);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;

    g_autofree char *text = g_strdup_printf("%s starting: %s\n", when, line);
    if (fd >= 0 && write(fd, text, strlen(text)) < 0)
        errno = 0; /* a full disk does not keep a guest from starting */
    dom->log_start = fd >= 0 && fstat(fd, &st) == 0 ? (guint64)st.st_size : 0;
    g_free(dom->log_path);
    dom->log_path = g_steal_pointer(&path);
    return fd;
}

/* What QEMU wrote since it was started, the last lines of it. */
static char *log_tail(QemuDomain *dom)
{
    int fd = dom->log_path ? open(dom->log_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    g_autofree char *text = g_malloc0(LOG_TAIL + 1);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return g_strdup("");
    guint64 from = MAX(dom->log_start, (guint64)MAX(0, st.st_size - LOG_TAIL));
    ssize_t got = pread(fd, text, LOG_TAIL, (off_t)from);
    close(fd);
    text[MAX(got, 0)] = 0;
    g_auto(GStrv) lines = g_strsplit(g_strstrip(text), "\n", -1);
    g_autoptr(GString) tail = g_string_new(NULL);
    for (guint i = 0; lines[i]; i++) {
        char *stamp = strstr(lines[i], "Z qemu"); /* the time QEMU puts in front */

        if (!g_str_has_prefix(lines[i], "char device redirected") &&
            !g_str_has_prefix(lines[i], "VNC server running"))
            g_string_append_printf(tail, "%s%s", tail->len ? "; " : "", stamp ? stamp + 2 : lines[i]);
    }
    return g_strdup(tail->str);
}

/* ---- start --------------------------------------------------------------------- */

GArray *qemu_process_groups(QemuDriver *driver)
{
    GArray *groups = g_array_new(FALSE, FALSE, sizeof(guint32));
    struct stat st;

    if (stat("/dev/kvm", &st) == 0 && (st.st_mode & 0060) == 0060 && st.st_gid != 0)
        g_array_append_val(groups, st.st_gid);
    return groups;
}

static gboolean spawn(QemuDomain *dom, QemuLaunch *launch, struct vireo_child *child,
                      GError **error)
{
    QemuDriver *driver = dom->space->driver;
    g_autoptr(GArray) groups = qemu_process_groups(driver);
    int log = log_open(dom, launch);
    struct vireo_spawn request = {
        .size = sizeof request,
        .flags = VIREO_SPAWN_DETACH | VIREO_SPAWN_NO_NEW_PRIVS,
        .argv = vireo_argv_get(launch->argv),
        .in = -1,
        .out = log,
        .err = log,
        .fds = (const struct vireo_fd_map *)(void *)launch->fds->data,
        .n_fds = launch->fds->len,
    };

    if (driver->privileged) {
        request.flags |= VIREO_SPAWN_SET_USER;
        request.uid = driver->uid;
        request.gid = driver->gid;
        request.groups = (const guint32 *)(void *)groups->data;
        request.n_groups = groups->len;
    }
    int rc = driver->host->spawn(driver->core, &request, child);
    int saved = errno;
    if (log >= 0)
        close(log);
    if (rc == 0)
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot run %s: %s", vireo_argv_get(launch->argv)[0],
               g_strerror(saved));
    return FALSE;
}

/* The child's copies are its own; ours would keep a dead QEMU's socket open. */
static void close_parents(QemuLaunch *launch)
{
    for (guint i = 0; i < launch->fds->len; i++)
        close(g_array_index(launch->fds, struct vireo_fd_map, i).parent);
    g_array_set_size(launch->fds, 0);
}

void qemu_process_ask(VireoQmpBatch *batch, const VireoDomain *doc)
{
    vireo_qmp_batch_add(batch, "query-cpus-fast", NULL);
    vireo_qmp_batch_add(batch, "query-chardev", NULL);
    if (doc->devices->graphics.n)
        vireo_qmp_batch_add(batch, "query-vnc", NULL);
}

static void learn_pty(VireoDomainChardev *dev, JsonArray *chardevs)
{
    g_autofree char *label = g_strconcat("char", dev->alias, NULL);

    if (dev->type != VIREO_DOMAIN_CHARDEV_TYPE_PTY)
        return;
    for (guint i = 0; i < vireo_json_length(chardevs); i++) {
        JsonObject *entry = vireo_json_element(chardevs, i);
        const char *file = vireo_json_string(entry, "filename");

        if (g_strcmp0(vireo_json_string(entry, "label"), label) || !file ||
            !g_str_has_prefix(file, "pty:"))
            continue;
        if (!dev->sources.n)
            vireo_list_append(&dev->sources, g_new0(VireoDomainChardevSource, 1));
        g_free(dev->sources.items[0]->path);
        dev->sources.items[0]->path = g_strdup(file + 4);
    }
}

static void learn_chardevs(VireoDomain *doc, JsonArray *chardevs)
{
    VireoDomainDevices *devices = doc->devices;

    VEC_EACH(devices->serials, i) learn_pty(devices->serials.items[i], chardevs);
    VEC_EACH(devices->channels, i) learn_pty(devices->channels.items[i], chardevs);
    VEC_EACH(devices->consoles, i)
    {
        VireoDomainChardev *console = devices->consoles.items[i];

        learn_pty(console, chardevs);
        if (console->type != VIREO_DOMAIN_CHARDEV_TYPE_PTY || !console->sources.n)
            continue;
        g_free(console->tty);
        console->tty = g_strdup(console->sources.items[0]->path);
    }
}

gboolean qemu_process_learn(QemuDomain *dom, VireoQmpBatch *batch, guint first, VireoDomain *doc,
                            GError **error)
{
    JsonArray *cpus = vireo_json_node_array(vireo_qmp_batch_get(batch, first));
    g_autoptr(GArray) tids = g_array_new(FALSE, FALSE, sizeof(gint));

    for (guint i = 0; i < vireo_json_length(cpus); i++) {
        gint tid = (gint)vireo_json_int(vireo_json_element(cpus, i), "thread-id", 0);
        g_array_append_val(tids, tid);
    }
    g_mutex_lock(&dom->lock);
    g_array_unref(dom->vcpu_tids);
    dom->vcpu_tids = g_steal_pointer(&tids);
    g_mutex_unlock(&dom->lock);
    learn_chardevs(doc, vireo_json_node_array(vireo_qmp_batch_get(batch, first + 1)));
    qemu_channel_learn(doc, vireo_json_node_array(vireo_qmp_batch_get(batch, first + 1)));
    if (doc->devices->graphics.n) {
        JsonObject *vnc = vireo_json_node_object(vireo_qmp_batch_get(batch, first + 2));
        const char *service = vireo_json_string(vnc, "service");

        if (service) {
            doc->devices->graphics.items[0]->port = (gint32)g_ascii_strtoll(service, NULL, 10);
            doc->devices->graphics.items[0]->has_port = TRUE;
        }
    }
    return TRUE;
}

/* An image that became wrong after it was looked at; QEMU names only its own node. */
static void explain_images(const VireoDomain *doc, GError **error)
{
    VEC_EACH(doc->devices->disks, i)
    {
        g_autoptr(GError) failure = NULL;
        g_autoptr(GPtrArray) chain = qemu_image_chain(doc->devices->disks.items[i], &failure);

        if (chain)
            continue;
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "%s", failure->message);
        return;
    }
}

/* The error of a start: what QEMU itself wrote says more than a closed monitor. */
static void explain(QemuDomain *dom, int pidfd, const VireoDomain *doc, GError **error)
{
    gboolean over = vireo_process_wait(pidfd, 200);
    g_autofree char *tail = log_tail(dom);

    if (!error || !*error || (!over && (*error)->code != VIREO_QMP_ERROR_CLOSED))
        return;
    g_clear_error(error);
    explain_images(doc, error);
    if (!*error)
        qemu_error(error, VIREO_ERR_INTERNAL_ERROR, "QEMU ended at once: %s",
                   *tail ? tail : "it left no message");
}

static void reap(int pidfd)
{
    siginfo_t info = { 0 };

    waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
}

static void abandon(QemuDomain *dom, VireoQmp *qmp, const struct vireo_child *child)
{
    vireo_qmp_close(qmp);
    vireo_process_signal(child->pidfd, SIGKILL);
    vireo_process_wait(child->pidfd, KILL_MS);
    reap(child->pidfd);
    close(child->pidfd);
    qemu_image_take_back(dom->space->driver, dom->uuid_text);
    qemu_process_sweep(dom);
    qemu_live_drop(dom);
}

static void batch_vnc_password(VireoQmpBatch *batch, const VireoDomain *doc)
{
    const char *password = doc->devices->graphics.n ? doc->devices->graphics.items[0]->passwd : NULL;

    if (password)
        vireo_qmp_batch_add(batch, "set_password",
                            vireo_json_new('s', "protocol", "vnc", 's', "password", password, 0));
}

/* What the command line has no words for. */
static void batch_devices(VireoQmpBatch *batch, const VireoDomain *doc)
{
    const VireoDomainMemballoon *balloon = doc->devices->memballoon;

    VEC_EACH(doc->devices->interfaces, i)
    if (doc->devices->interfaces.items[i]->link == VIREO_DOMAIN_LINK_STATE_DOWN)
        vireo_qmp_batch_add(batch, "set_link",
                            vireo_json_new('s', "name", doc->devices->interfaces.items[i]->alias,
                                           'b', "up", FALSE, 0));
    if (!balloon || !balloon->has_stats || balloon->model == VIREO_DOMAIN_BALLOON_MODEL_NONE)
        return;
    g_autofree char *path = g_strdup_printf("/machine/peripheral/%s", balloon->alias);
    vireo_qmp_batch_add(batch, "qom-set",
                        vireo_json_new('s', "path", path, 's', "property",
                                       "guest-stats-polling-interval", 'i', "value",
                                       (gint64)balloon->stats, 0));
}

static gboolean wait_incoming(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, GError **error)
{
    for (;;) {
        g_autoptr(JsonNode) node = vireo_qmp_call(qmp, "query-migrate", NULL, NULL, error);
        const char *status = vireo_json_string(vireo_json_node_object(node), "status");

        if (!node)
            return FALSE;
        if (!g_strcmp0(status, "completed"))
            return TRUE;
        if (!g_strcmp0(status, "failed")) {
            qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU could not load the saved state");
            return FALSE;
        }
        if (call && dom->space->driver->host->cancelled(call)) {
            qemu_error(error, VIREO_ERR_OPERATION_ABORTED, "the request was cancelled");
            return FALSE;
        }
        g_usleep(2000);
    }
}

/* flash: what a saved state brings is replaced by this; NULL: it stays. */
typedef struct {
    pid_t pid;
    GBytes *flash;
} Fresh;

/* Talks the new process through its start; it stands still until `cont`. */
static gboolean greet(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, VireoDomain *doc,
                      const QemuStart *how, const Fresh *fresh, GError **error)
{
    gboolean incoming = how->incoming_fd >= 0;
    QemuDriver *driver = dom->space->driver;
    VireoQmpWait wait = qemu_wait(driver, call, driver->config.start_timeout_s);
    g_autoptr(VireoQmpBatch) batch = vireo_qmp_batch_new(qmp);

    qemu_process_ask(batch, doc);
    batch_vnc_password(batch, doc);
    batch_devices(batch, doc);
    if (doc->current_memory < doc->memory->text && doc->devices->memballoon &&
        doc->devices->memballoon->model != VIREO_DOMAIN_BALLOON_MODEL_NONE && !incoming)
        vireo_qmp_batch_add(batch, "balloon",
                            vireo_json_new('i', "value", (gint64)doc->current_memory * 1024, 0));
    if (!vireo_qmp_batch_wait(batch, &wait, error) ||
        !qemu_process_learn(dom, batch, 0, doc, error))
        return FALSE;
    if (incoming && !wait_incoming(dom, call, qmp, error))
        return FALSE;
    if (how->snapshot && !qemu_snapshot_load_job(dom, call, qmp, how->snapshot, error))
        return FALSE;
    if (fresh->flash && !qemu_flash_write(dom, qmp, fresh->pid, fresh->flash, error))
        return FALSE;
    return how->paused || vireo_qmp_run(qmp, "cont", NULL, &wait, error);
}

static void announce(QemuDomain *dom, const struct vireo_child *child, VireoQmp *qmp,
                     VireoDomain *doc, const QemuStart *how)
{
    QemuDef *live = qemu_def_new(doc);

    g_mutex_lock(&dom->lock);
    qemu_def_unref(dom->live);
    dom->live = live;
    dom->pid = child->pid;
    dom->start_time = child->start_time;
    dom->pidfd = child->pidfd;
    dom->qmp = qmp;
    dom->id = g_atomic_int_add(&dom->space->driver->next_id, 1) + 1;
    live->doc->id = dom->id;
    live->doc->has_id = TRUE;
    dom->generation++;
    dom->end_reason = 0;
    dom->stop_reason = 0;
    dom->balloon_kib = doc->current_memory;
    dom->state = how->paused ? VIREO_DOMAIN_PAUSED : VIREO_DOMAIN_RUNNING;
    dom->reason = how->paused ? how->paused_reason : how->running_reason;
    g_hash_table_remove_all(dom->jobs);
    g_hash_table_remove_all(dom->removed);
    g_hash_table_remove_all(dom->stuck);
    g_mutex_unlock(&dom->lock);
}

/* Of the process before; a transient domain has had but that one. */
static gboolean wait_for_end(QemuDomain *dom, GError **error)
{
    g_mutex_lock(&dom->lock);
    while (dom->ending && !dom->bury)
        g_cond_wait(&dom->changed, &dom->lock);
    dom->early_off = FALSE;
    g_queue_clear_full(&dom->ports, g_free);
    g_mutex_unlock(&dom->lock);
    qemu_process_bury(dom);
    if (dom->gone)
        qemu_error(error, VIREO_ERR_OPERATION_INVALID, "transient domain '%s' has ended", dom->name);
    return !dom->gone;
}

gboolean qemu_process_start(QemuDomain *dom, vireo_call *call, const QemuStart *how,
                            GError **error)
{
    QemuDriver *driver = dom->space->driver;

    if (!wait_for_end(dom, error))
        return FALSE;
    qemu_blockjobs_settle(dom); /* of the process before: where its disks are */
    g_autoptr(QemuDef) def = how->def ? qemu_def_ref(how->def) : qemu_domain_config(dom);
    g_autoptr(VireoDomain) doc = def ? vireo_domain_copy(def->doc) : NULL;
    g_autofree char *path = qemu_process_qmp_path(dom);
    g_autoptr(QemuLaunch) launch = NULL;
    struct vireo_child child = { .pidfd = -1 };
    g_autoptr(GBytes) flash = NULL;

    if (!doc) {
        qemu_error(error, VIREO_ERR_NO_DOMAIN, "domain '%s' had no definition to keep, and ended", dom->name);
        return FALSE;
    }
    launch = qemu_launch_new(dom, doc);
    launch->incoming_fd = how->incoming_fd;
    launch->qmp_path = path;
    if (driver->uid == (uid_t)-1) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "%s", driver->no_user);
        return FALSE;
    }
    if (!qemu_engine_mend(dom, error) || !qemu_nvram_is_own(dom, doc, TRUE, error) ||
        !qemu_nvram_prepare(dom, call, doc, how->reset_nvram, error))
        return FALSE;
    if (how->reset_nvram && (how->incoming_fd >= 0 || how->snapshot) &&
        !(flash = qemu_nvram_fresh(dom, call, doc, error)))
        return FALSE;
    qemu_alias_assign(doc);
    if (!qemu_command_build(launch, error) || !spawn(dom, launch, &child, error)) {
        qemu_image_take_back(driver, dom->uuid_text);
        qemu_process_sweep(dom);
        return FALSE;
    }
    close_parents(launch);
    VireoQmp *qmp = qemu_process_connect(dom, path, error);
    const Fresh fresh = { child.pid, flash };
    if (!qmp || !greet(dom, call, qmp, doc, how, &fresh, error)) {
        explain(dom, child.pidfd, doc, error);
        abandon(dom, qmp, &child);
        vireo_qmp_unref(qmp);
        return FALSE;
    }
    qemu_chains_look(dom, doc);
    announce(dom, &child, qmp, g_steal_pointer(&doc), how);
    if (!qemu_live_save(dom, error)) {
        qemu_process_kill(dom, VIREO_DOMAIN_SHUTOFF_FAILED);
        return FALSE;
    }
    qemu_domain_publish(dom);
    qemu_channel_started(dom);
    qemu_process_watch(dom);
    if (dom->early_off)
        qemu_event_guest_off(dom);
    return TRUE;
}

/* ---- end ----------------------------------------------------------------------- */

typedef struct {
    QemuDomain *dom;
    guint generation;
} Ended;

static void ended_work(void *opaque)
{
    Ended *ended = opaque;

    qemu_process_ended(ended->dom, ended->generation, VIREO_DOMAIN_SHUTOFF_CRASHED);
    qemu_domain_unref(ended->dom);
    g_free(ended);
}

/* On the driver's I/O thread: the rest may touch the disk and moves to a worker. */
static void ended_watch(int fd, int events, void *opaque)
{
    QemuDomain *dom = opaque;
    Ended *ended = g_new0(Ended, 1);

    g_mutex_lock(&dom->lock);
    uint64_t watch = dom->pidfd == fd ? dom->watch : 0;
    if (watch)
        dom->watch = 0;
    ended->generation = dom->generation;
    g_mutex_unlock(&dom->lock);
    if (!watch) {
        g_free(ended);
        return;
    }
    dom->space->driver->host->unwatch(dom->space->driver->core, watch);
    ended->dom = dom; /* the watch's reference */
    dom->space->driver->host->defer(dom->space->driver->core, ended_work, ended);
}

void qemu_process_watch(QemuDomain *dom)
{
    QemuDriver *driver = dom->space->driver;

    g_mutex_lock(&dom->lock);
    if (dom->pidfd >= 0 && !dom->watch)
        dom->watch = driver->host->watch(driver->core, dom->pidfd, VIREO_WATCH_IN, ended_watch,
                                         qemu_domain_ref(dom));
    g_mutex_unlock(&dom->lock);
}

void qemu_process_sweep(QemuDomain *dom)
{
    g_autoptr(GDir) dir = g_dir_open(dom->space->run_dir, 0, NULL);
    const char *file;

    while (dir && (file = g_dir_read_name(dir)))
        if (g_str_has_prefix(file, dom->uuid_text)) {
            g_autofree char *path = g_build_filename(dom->space->run_dir, file, NULL);
            unlink(path);
        }
}

/* Everything but the announcement, outside of any lock. */
static void tidy_up(QemuDomain *dom, VireoQmp *qmp, int pidfd, uint64_t watch)
{
    QemuDriver *driver = dom->space->driver;

    if (watch) {
        driver->host->unwatch(driver->core, watch);
        qemu_domain_unref(dom); /* the watch's */
    }
    vireo_qmp_close(qmp);
    vireo_qmp_unref(qmp);
    if (pidfd >= 0) {
        reap(pidfd);
        close(pidfd);
    }
    qemu_image_take_back(driver, dom->uuid_text);
    qemu_process_sweep(dom);
    qemu_live_drop(dom);
}

static void has_ended(QemuDomain *dom)
{
    if (!dom->reviving) {
        qemu_domain_set_live(dom, NULL);
        qemu_coalesce(dom); /* what could not be merged while it ran */
    }
    g_mutex_lock(&dom->lock);
    dom->ending = FALSE;
    g_cond_broadcast(&dom->changed);
    g_mutex_unlock(&dom->lock);
}

void qemu_process_bury(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    gboolean bury = dom->bury, transient = !dom->config;
    dom->bury = FALSE;
    g_mutex_unlock(&dom->lock);
    if (bury && !transient)
        has_ended(dom);
    if (!bury || !transient)
        return;
    qemu_tpm_bury(dom);
    qemu_files_leave(dom);
    qemu_checkpoints_remove_all(dom, NULL);
    qemu_tree_remove_all(dom, NULL); /* they are a transient domain's only as long as it runs */
    qemu_domain_forget(dom);
    g_mutex_lock(&dom->lock);
    dom->ending = FALSE;
    g_cond_broadcast(&dom->changed);
    g_mutex_unlock(&dom->lock);
}

void qemu_process_revive(QemuDomain *dom, gboolean reviving)
{
    g_mutex_lock(&dom->lock);
    if (dom->reviving && !reviving && dom->id == -1)
        dom->ending = dom->bury = TRUE; /* it was not: buried when the job is given back */
    dom->reviving = reviving && !dom->config;
    g_mutex_unlock(&dom->lock);
}

void qemu_process_ended(QemuDomain *dom, guint generation, int fallback_reason)
{
    g_mutex_lock(&dom->lock);
    if (dom->id == -1 || dom->generation != generation) {
        g_mutex_unlock(&dom->lock);
        return;
    }
    VireoQmp *qmp = g_steal_pointer(&dom->qmp);
    int pidfd = dom->pidfd;
    uint64_t watch = dom->watch;
    gboolean transient = !dom->config && !dom->reviving;
    dom->pidfd = -1;
    dom->pid = 0;
    dom->watch = 0;
    dom->state = VIREO_DOMAIN_SHUTOFF;
    dom->reason = dom->end_reason ? dom->end_reason : fallback_reason;
    dom->end_reason = 0;
    dom->ending = TRUE;
    dom->id = -1;
    dom->quiet_states = dom->reset_on_shutdown = dom->autodestroy = FALSE;
    g_cond_broadcast(&dom->changed);
    g_mutex_unlock(&dom->lock);

    qemu_domain_publish(dom);
    qemu_blockjobs_ended(dom);
    tidy_up(dom, qmp, pidfd, watch);
    if (!transient) {
        has_ended(dom);
        return;
    }
    g_mutex_lock(&dom->lock);
    dom->bury = TRUE;
    g_cond_broadcast(&dom->changed);
    g_mutex_unlock(&dom->lock);
    /* Otherwise whoever has the job does it before giving that back. */
    if (g_mutex_trylock(&dom->job))
        qemu_domain_give_job(dom);
}

gboolean qemu_process_kill(QemuDomain *dom, int reason)
{
    int pidfd = -1;

    g_mutex_lock(&dom->lock);
    gboolean active = dom->id != -1;
    guint generation = dom->generation;
    if (active) {
        dom->end_reason = reason;
        pidfd = dom->pidfd >= 0 ? fcntl(dom->pidfd, F_DUPFD_CLOEXEC, 3) : -1;
    }
    g_mutex_unlock(&dom->lock);
    if (!active)
        return FALSE;
    if (pidfd >= 0) {
        /* Bitmaps, and what a guest wrote but did not flush, reach the images when QEMU ends by itself;
         * killed it also leaves clusters behind that nothing uses. */
        if (reason != VIREO_DOMAIN_SHUTOFF_FAILED && vireo_process_signal(pidfd, SIGTERM))
            vireo_process_wait(pidfd, TERM_MS);
        vireo_process_signal(pidfd, SIGKILL);
        vireo_process_wait(pidfd, KILL_MS);
        close(pidfd);
    }
    qemu_process_ended(dom, generation, reason);
    return TRUE;
}

void qemu_process_quit(QemuDomain *dom, int reason)
{
    g_mutex_lock(&dom->lock);
    VireoQmp *qmp = dom->qmp ? vireo_qmp_ref(dom->qmp) : NULL;
    if (dom->id != -1)
        dom->end_reason = reason;
    if (!qmp && dom->pidfd >= 0)
        vireo_process_signal(dom->pidfd, SIGTERM);
    g_mutex_unlock(&dom->lock);
    if (qmp)
        vireo_qmp_send(qmp, "quit", NULL, -1, NULL, NULL);
    vireo_qmp_unref(qmp);
}
