/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's memory of one moment, written while the guest goes on. QEMU watches what the guest writes to
 * (background-snapshot) and saves each page before it changes. Where the kernel does not let QEMU watch, the memory is
 * copied while it changes, again and again, and the moment is at the end. */
#include "sidefile.h"
#include "take.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "save.h"
#include "saving.h"
#include "watch.h"

#define BACKGROUND "background-snapshot"
#define SWITCHOVER "pause-before-switchover"
#define BANDWIDTH (G_GINT64_CONSTANT(1) << 40)
#define RUN_US (30 * G_USEC_PER_SEC)
#define COPY_PAUSE_MS 50
#define MORE_ROOM (64u << 20) /* the devices' state, and memory that is not the guest's */

typedef struct {
    QemuTake *take;
    QemuDomain *dom;
    VireoQmp *qmp;
} Going;

/* ---- QEMU's settings ------------------------------------------------------------------ */

static gboolean set_capability(VireoQmp *qmp, const char *name, gboolean on, GError **error)
{
    JsonArray *list = json_array_new();

    json_array_add_object_element(list, vireo_json_new('s', "capability", name, 'b', "state", on, 0));
    return vireo_qmp_run(qmp, "migrate-set-capabilities", vireo_json_new('a', "capabilities", list, 0), NULL, error);
}

static gboolean set_number(VireoQmp *qmp, const char *name, gint64 value)
{
    return vireo_qmp_run(qmp, "migrate-set-parameters", vireo_json_new('i', name, value, 0), NULL, NULL);
}

static void restore_settings(VireoQmp *qmp)
{
    set_capability(qmp, BACKGROUND, FALSE, NULL);
    set_capability(qmp, SWITCHOVER, FALSE, NULL);
    set_number(qmp, "downtime-limit", 300);
}

/* ---- the guest stands still, for as short as may be ------------------------------------ */

static void set_quiet(QemuDomain *dom, gboolean quiet)
{
    g_mutex_lock(&dom->lock);
    dom->quiet_states = quiet;
    g_mutex_unlock(&dom->lock);
}

static gboolean is_running(VireoQmp *qmp)
{
    g_autoptr(JsonNode) node = vireo_qmp_call(qmp, "query-status", NULL, NULL, NULL);

    return vireo_json_bool(vireo_json_node_object(node), "running");
}

/* QEMU sets it going itself once it has the state of the devices and watches the memory. */
static gboolean goes_on(Going *going, GError **error)
{
    gint64 until = g_get_monotonic_time() + RUN_US;

    while (!is_running(going->qmp)) {
        g_autoptr(JsonNode) node = vireo_qmp_call(going->qmp, "query-migrate", NULL, NULL, error);
        const char *status = vireo_json_string(vireo_json_node_object(node), "status");

        if (!node)
            return FALSE;
        if (!g_strcmp0(status, "failed") || g_get_monotonic_time() > until) {
            const char *why = vireo_json_string(vireo_json_node_object(node), "error-desc");
            qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU did not save the guest: %s",
                       why ? why : "it does not begin");
            return FALSE;
        }
        g_usleep(500);
    }
    return TRUE;
}

/* Said in one breath: QEMU does it without waiting for us. */
static gboolean now(Going *going, JsonObject *actions, GError **error)
{
    g_autoptr(VireoQmpBatch) batch = vireo_qmp_batch_new(going->qmp);

    vireo_qmp_batch_add(batch, "stop", NULL);
    vireo_qmp_batch_add(batch, "transaction", actions);
    vireo_qmp_batch_add(batch, "migrate", vireo_json_new('s', "uri", "fd:save", 0));
    gboolean done = vireo_qmp_batch_wait(batch, NULL, error);
    going->take->sent = vireo_qmp_batch_get(batch, 1) != NULL;
    if (!going->take->sent && vireo_qmp_batch_get(batch, 2))
        qemu_saving_cancel(going->qmp);
    return done;
}

/* The moment is now, the memory follows. */
static gboolean in_background(Going *going, GError **error)
{
    QemuTake *take = going->take;
    QemuWork *work = take->work;
    g_autoptr(JsonObject) actions = qemu_live_actions(work->dom, going->qmp, work->plan, TRUE, error);

    qemu_saving_watched(going->dom, qemu_watch_can_end(going->dom));
    if (!actions || !qemu_work_sent(work, error) || !now(going, json_object_ref(actions), error) ||
        !goes_on(going, error))
        return FALSE;
    set_quiet(going->dom, FALSE);
    return qemu_lost_check_points(work->plan, error) && qemu_quiesce_end(take, error) &&
           qemu_side_wait(going->dom, work->call, going->qmp, work->plan, error) && qemu_saving_wait(going->dom, work->call, going->qmp, "completed", error);
}

/* ---- where QEMU cannot watch ------------------------------------------------------------ */

/* The memory first, the moment is when what is left of it is little. QEMU stops the guest for that. */
static gboolean by_copying(Going *going, GError **error)
{
    QemuTake *take = going->take;
    QemuWork *work = take->work;

    set_number(going->qmp, "downtime-limit", COPY_PAUSE_MS);
    if (!set_capability(going->qmp, SWITCHOVER, TRUE, error) || !qemu_saving_start(going->qmp, error) ||
        !qemu_saving_wait(going->dom, work->call, going->qmp, "pre-switchover", error))
        return FALSE;
    if (!qemu_work_sent(work, error))
        return FALSE;
    take->sent = qemu_live_transaction(work->dom, going->qmp, work->plan, TRUE, error);
    return take->sent && qemu_lost_check_points(work->plan, error) && qemu_side_wait(going->dom, work->call, going->qmp, work->plan, error) &&
           vireo_qmp_run(going->qmp, "migrate-continue", vireo_json_new('s', "state", "pre-switchover", 0), NULL, error) &&
           qemu_saving_wait(going->dom, NULL, going->qmp, "completed", error) &&
           vireo_qmp_run(going->qmp, "cont", NULL, NULL, error);
}

/* ---- room ------------------------------------------------------------------------------- */

/* All that may be needed is taken beforehand: QEMU cannot be left in the middle without harm to the guest. */
static gboolean take_room(QemuDomain *dom, int fd, const char *path, GError **error)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    off_t at = lseek(fd, 0, SEEK_CUR);
    guint64 memory = live ? live->doc->memory->text * 1024 : 0, need = memory + memory / 64 + MORE_ROOM;

    if (at >= 0 && (fallocate(fd, FALLOC_FL_KEEP_SIZE, at, (off_t)need) == 0 || errno == EOPNOTSUPP))
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "the guest's memory has no room in %s (%" G_GUINT64_FORMAT " MiB): %s", path,
               need >> 20, g_strerror(errno));
    return FALSE;
}

/* ---- in order --------------------------------------------------------------------------- */

static gboolean write_memory(Going *going, int fd, GError **error)
{
    QemuDriver *driver = going->dom->space->driver;
    g_autoptr(GError) why = NULL;
    gboolean background = set_capability(going->qmp, BACKGROUND, TRUE, &why);

    if (!background)
        driver->host->log(driver->core, VIREO_LOG_INFO, going->dom->space->uri,
                          "domain '%s': QEMU may not watch the guest's memory (%s; sysctl vm.unprivileged_userfaultfd "
                          "allows it), so it is copied while it changes", going->dom->name, why->message);
    set_number(going->qmp, "max-bandwidth", BANDWIDTH);
    if (!qemu_saving_pass(going->qmp, fd, error) || !qemu_quiesce_begin(going->take, error))
        return FALSE;
    set_quiet(going->dom, TRUE);
    gboolean done = background ? in_background(going, error) : by_copying(going, error);
    /* However it failed: the guest is not left standing. */
    if (background && !done)
        qemu_watch_end(going->dom);
    if (vireo_qmp_is_open(going->qmp) && !is_running(going->qmp)) {
        qemu_saving_cancel(going->qmp);
        vireo_qmp_run(going->qmp, "cont", NULL, NULL, NULL);
    }
    set_quiet(going->dom, FALSE);
    restore_settings(going->qmp);
    return done;
}

gboolean qemu_take_going_on(QemuTake *take, GError **error)
{
    QemuWork *work = take->work;
    Going going = { .take = take, .dom = work->dom, .qmp = work->qmp };
    const char *path = take->request->memory_file;
    int fd = qemu_save_create(work->dom, path, TRUE, error);

    if (fd < 0)
        return FALSE;
    qemu_saving_begin(work->dom, VIREO_DOMAIN_JOB_OPERATION_SNAPSHOT);
    gboolean done = take_room(work->dom, fd, path, error) && write_memory(&going, fd, error) &&
                    qemu_save_finish(fd, path, error);
    done = qemu_quiesce_end(take, done ? error : NULL) && done;
    close(fd);
    if (!done && take->sent)
        qemu_undo_transaction(work);
    if (!done)
        unlink(path);
    qemu_saving_end(work->dom, done);
    return done;
}

/* ---- after the daemon was away ------------------------------------------------------------ */

typedef struct {
    QemuWork work; /* owns what it points to */
    GThread *thread;
    gint has_job;
} Rest;

static void rest_clear(Rest *rest)
{
    qemu_plan_free(g_steal_pointer(&rest->work.plan));
    vireo_domain_snapshot_free(g_steal_pointer(&rest->work.keep));
    vireo_domain_free(g_steal_pointer(&rest->work.definition));
    vireo_qmp_unref(g_steal_pointer(&rest->work.qmp));
    qemu_domain_unref(g_steal_pointer(&rest->work.dom));
}

static void rest_free(gpointer opaque)
{
    Rest *rest = opaque;

    if (rest->thread)
        g_thread_join(rest->thread);
    rest_clear(rest);
    g_free(rest);
}

static const char *memory_file(const QemuPlan *plan)
{
    for (guint i = 0; i < plan->no_return; i++)
        if (qemu_plan_step(plan, i)->kind == QEMU_STEP_STATE)
            return qemu_plan_step(plan, i)->image;
    return NULL;
}

static gboolean close_memory(const char *path, GError **error)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    gboolean done = fd >= 0 && qemu_save_finish(fd, path, error);

    if (fd >= 0)
        close(fd);
    return done;
}

static void finish_rest(Rest *rest)
{
    QemuWork *work = &rest->work;
    QemuDomain *dom = work->dom;
    QemuDriver *driver = dom->space->driver;
    g_autoptr(GError) error = NULL;
    gboolean done = qemu_saving_wait(dom, NULL, work->qmp, "completed", &error);

    if (!done && g_atomic_int_get(&driver->stopping) && vireo_qmp_is_open(work->qmp))
        return; /* the next daemon does it */
    if (!done)
        qemu_watch_end(dom);
    restore_settings(work->qmp);
    done = done && qemu_side_rest(work->qmp, work->plan, &error) && close_memory(memory_file(work->plan), &error) && qemu_work_finish_late(work, &error);
    if (!done)
        qemu_work_give_up(work);
    qemu_saving_end(dom, done);
    driver->host->log(driver->core, VIREO_LOG_WARNING, dom->space->uri,
                      "domain '%s': the snapshot that an earlier daemon began is %s%s%s", dom->name,
                      done ? "finished" : "undone", error ? ": " : "", error ? error->message : "");
    qemu_tree_publish(dom);
}

static gpointer rest_thread(gpointer opaque)
{
    Rest *rest = opaque;
    QemuDomain *dom = rest->work.dom;

    qemu_domain_take_job(dom);
    qemu_saving_begin(dom, VIREO_DOMAIN_JOB_OPERATION_SNAPSHOT);
    qemu_saving_watched(dom, qemu_watch_can_end(dom));
    g_atomic_int_set(&rest->has_job, TRUE);
    finish_rest(rest);
    g_mutex_unlock(&dom->job);
    rest_clear(rest);
    return NULL;
}

static char *status_of(VireoQmp *qmp)
{
    g_autoptr(JsonNode) node = vireo_qmp_call(qmp, "query-migrate", NULL, NULL, NULL);

    return g_strdup(vireo_json_string(vireo_json_node_object(node), "status"));
}

static void add_rest(QemuWork *work)
{
    QemuDriver *driver = work->dom->space->driver;
    Rest *rest = g_new0(Rest, 1);

    rest->work = *work;
    qemu_domain_ref(work->dom);
    if (!driver->rests)
        driver->rests = g_ptr_array_new_with_free_func(rest_free);
    g_ptr_array_add(driver->rests, rest);
}

void qemu_live_recover_begin(QemuDriver *driver)
{
    for (guint i = 0; driver->rests && i < driver->rests->len; i++) {
        Rest *rest = driver->rests->pdata[i];

        if (!rest->thread)
            rest->thread = g_thread_new("qemu-snapshot", rest_thread, rest);
        while (!g_atomic_int_get(&rest->has_job))
            g_usleep(1000);
    }
}

gboolean qemu_live_recover(QemuWork *work, gboolean background)
{
    g_autofree char *status = work->qmp ? status_of(work->qmp) : NULL;

    if (!status) {
        qemu_watch_end(work->dom);
        return FALSE;
    }
    if (background && (g_str_equal(status, "active") || g_str_equal(status, "completed"))) {
        add_rest(work);
        return TRUE;
    }
    qemu_watch_end(work->dom);
    qemu_saving_cancel(work->qmp);
    qemu_watch_end(work->dom);
    restore_settings(work->qmp);
    return FALSE;
}

void qemu_live_recover_end(QemuDriver *driver)
{
    g_clear_pointer(&driver->rests, g_ptr_array_unref);
}
