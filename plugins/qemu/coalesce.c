/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Space that deleted snapshots leave, given back in the background. */
#include "coalesce.h"

#include <sys/stat.h>

#include "backup.h"
#include "engine.h"
#include "ops.h"
#include "params.h"
#include "saving.h"

#define AGAIN_US (100 * 1000)       /* after somebody else wanted the domain */
#define RETRY_US (500 * 1000) /* after a failure, then twice as much each time */
#define TRIES_MAX 8

typedef struct {
    QemuDomain *dom;
    gint64 not_before;
    guint tries;
} Entry;

struct QemuCoalescer {
    GMutex lock;
    GCond changed;
    GQueue queue; /* Entry */
    gboolean stop;
    GThread *thread;
};

typedef enum { DONE, MORE, LATER, FAILED } Outcome;

/* ---- what a client sees ------------------------------------------------------------- */

static guint64 used_bytes(const char *path)
{
    struct stat st;

    return path && stat(path, &st) == 0 ? (guint64)st.st_blocks * 512 : 0;
}

static void announce(QemuDomain *dom, const QemuStep *step)
{
    g_mutex_lock(&dom->lock);
    dom->merge.image = g_strdup(step->image);
    dom->merge.total = step->bytes;
    dom->merge.before = used_bytes(step->image);
    dom->merge.since = g_get_monotonic_time();
    g_mutex_unlock(&dom->lock);
}

static void withdraw(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    g_clear_pointer(&dom->merge.image, g_free);
    g_mutex_unlock(&dom->lock);
}

static void fill_backup(QemuParams *params, const QemuBackupFigures *figures, gboolean completed)
{
    qemu_param_int(params, "operation", VIREO_DOMAIN_JOB_OPERATION_BACKUP);
    qemu_param_ullong(params, "time_elapsed", figures->elapsed_ms);
    if (figures->pull) {
        qemu_param_ullong(params, "disk_temp_used", figures->done);
        qemu_param_ullong(params, "disk_temp_total", figures->total);
    } else {
        qemu_param_ullong(params, "disk_total", figures->total);
        qemu_param_ullong(params, "disk_processed", figures->done);
        qemu_param_ullong(params, "disk_remaining", figures->total - figures->done);
    }
    if (completed)
        qemu_param_boolean(params, "success", figures->success);
    if (figures->problem)
        qemu_param_string(params, "errmsg", figures->problem);
}

int qemu_domain_get_job_stats(void *handle, vireo_call *call,
                              const vireo_domain_get_job_stats_args *args,
                              vireo_domain_get_job_stats_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    gboolean completed = (args->flags & VIREO_DOMAIN_JOB_STATS_COMPLETED) != 0;
    g_auto(QemuParams) params = { 0 };
    QemuBackupFigures figures;

    if (!dom)
        return VIREO_FAIL;
    qemu_params_init(&params, conn->driver, call);
    if (qemu_saving_stats(dom, completed, (args->flags & VIREO_DOMAIN_JOB_STATS_KEEP_COMPLETED) != 0, &params,
                          &ret->type)) {
        ret->params.val = qemu_params_take(&params, &ret->params.len);
        return VIREO_OK;
    }
    gboolean backup =
        qemu_backup_figures(dom, completed,
                            (args->flags & VIREO_DOMAIN_JOB_STATS_KEEP_COMPLETED) != 0, &figures);
    if (backup || completed) {
        ret->type = backup ? figures.type : VIREO_DOMAIN_JOB_NONE;
        if (backup)
            fill_backup(&params, &figures, completed);
        ret->params.val = qemu_params_take(&params, &ret->params.len);
        return VIREO_OK;
    }
    g_mutex_lock(&dom->lock);
    QemuMerge merge = dom->merge;
    merge.image = g_strdup(merge.image);
    g_mutex_unlock(&dom->lock);
    g_autofree char *image = merge.image;
    ret->type = image ? VIREO_DOMAIN_JOB_BOUNDED : VIREO_DOMAIN_JOB_NONE;
    if (image) {
        guint64 now = used_bytes(image);
        guint64 done = MIN(now > merge.before ? now - merge.before : 0, merge.total);

        qemu_param_int(&params, "operation", VIREO_DOMAIN_JOB_OPERATION_SNAPSHOT_DELETE);
        qemu_param_ullong(&params, "time_elapsed",
                          (guint64)(g_get_monotonic_time() - merge.since) / 1000);
        qemu_param_ullong(&params, "data_total", merge.total);
        qemu_param_ullong(&params, "data_processed", done);
        qemu_param_ullong(&params, "data_remaining", merge.total - done);
        qemu_param_ullong(&params, "disk_total", merge.total);
        qemu_param_ullong(&params, "disk_processed", done);
        qemu_param_ullong(&params, "disk_remaining", merge.total - done);
    }
    ret->params.val = qemu_params_take(&params, &ret->params.len);
    return VIREO_OK;
}

int qemu_domain_abort_job_flags(void *handle, vireo_call *call,
                                const vireo_domain_abort_job_flags_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (qemu_backup_abort(dom) || qemu_saving_abort(dom))
        return VIREO_OK;
    g_mutex_lock(&dom->lock);
    gboolean busy = dom->merge.image != NULL;
    dom->merge.stop = busy;
    g_cond_broadcast(&dom->changed);
    g_mutex_unlock(&dom->lock);
    if (busy)
        return VIREO_OK;
    return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                    "domain '%s' has no job that could be aborted; instead: blockjob --abort "
                                    "for one of a disk", dom->name);
}

/* ---- one domain ---------------------------------------------------------------------- */

static Outcome failed(QemuDomain *dom, const QemuStep *step, const GError *error)
{
    QemuDriver *driver = dom->space->driver;

    if (qemu_domain_must_yield(dom))
        return LATER;
    driver->host->log(driver->core, VIREO_LOG_WARNING, dom->space->uri,
                      "domain '%s': space is not given back yet%s%s: %s", dom->name,
                      step ? ", " : "", step ? step->image : "", error->message);
    return FAILED;
}

/* Internal snapshots that an operation left because QEMU or the disk failed. */
static Outcome drop_points(QemuDomain *dom, VireoQmp *qmp, const QemuGraph *graph)
{
    g_autoptr(QemuFiles) files = qemu_files_load(dom);
    GHashTableIter iter;
    gpointer note;

    if (!g_hash_table_size(files->points))
        return DONE;
    g_hash_table_iter_init(&iter, files->points);
    while (g_hash_table_iter_next(&iter, &note, NULL)) {
        const char *image;
        g_autofree char *tag = qemu_point_read(note, &image);
        g_autoptr(GError) error = NULL;
        QemuStep step = { QEMU_STEP_DROP_POINT, (char *)image, NULL, tag, NULL, 0 };
        QemuWork work = { .dom = dom, .qmp = qmp };

        if (tag && qemu_graph_has(graph, image) && !qemu_graph_holds(graph, image, tag) &&
            !qemu_graph_is_shared(graph, image) && !qemu_work_step(&work, &step, &error))
            return failed(dom, &step, error);
        g_hash_table_iter_remove(&iter);
    }
    return qemu_files_save(dom, files, NULL) ? MORE : FAILED;
}

/* What is left to do is looked up anew after each image: meanwhile others may have come to need it. */
static Outcome one_image(QemuDomain *dom)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDef) machine = qemu_domain_current(dom);
    g_autoptr(VireoQmp) qmp = NULL;
    g_autoptr(QemuPlan) plan = qemu_plan_new();

    if (!machine)
        return DONE;
    if (qemu_domain_active(dom) && !(qmp = qemu_domain_monitor(dom, &error)))
        return failed(dom, NULL, error);
    g_autoptr(QemuGraph) graph = qemu_engine_graph(dom, machine->doc, NULL, &error);
    if (!graph)
        return failed(dom, NULL, error);
    Outcome points = drop_points(dom, qmp, graph);
    if (points != DONE)
        return points;
    qemu_plan_collect(graph, plan, 0);
    if (!plan->steps->len)
        return DONE;
    const QemuStep *step = qemu_plan_step(plan, 0);
    QemuWork work = { .dom = dom, .qmp = qmp, .plan = plan };
    if (step->kind == QEMU_STEP_PULL)
        announce(dom, step);
    gboolean done = qemu_work_step(&work, step, &error);
    withdraw(dom);
    return done ? MORE : failed(dom, step, error);
}

static Outcome collect(QemuDomain *dom)
{
    Outcome outcome = DONE;

    if (!g_mutex_trylock(&dom->job))
        return LATER;
    if (!qemu_blockjobs_none(dom, NULL, NULL)) {
        g_mutex_unlock(&dom->job);
        return LATER;
    }
    g_mutex_lock(&dom->lock);
    dom->yields = TRUE;
    g_mutex_unlock(&dom->lock);
    if (!dom->gone)
        outcome = qemu_work_catch_up(dom, NULL) ? one_image(dom) : FAILED;
    g_mutex_lock(&dom->lock);
    if (dom->merge.stop)
        outcome = DONE;
    dom->yields = dom->merge.stop = FALSE;
    g_mutex_unlock(&dom->lock);
    g_mutex_unlock(&dom->job);
    return outcome;
}

/* ---- the thread ----------------------------------------------------------------------- */

static void entry_free(Entry *entry)
{
    qemu_domain_unref(entry->dom);
    g_free(entry);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Entry, entry_free)

/* The first that is due; NULL: the driver ends. Waits. */
static Entry *next(QemuCoalescer *this)
{
    Entry *found = NULL;

    g_mutex_lock(&this->lock);
    while (!this->stop && !found) {
        gint64 now = g_get_monotonic_time(), soonest = G_MAXINT64;

        for (GList *link = this->queue.head; link && !found; link = link->next) {
            Entry *entry = link->data;

            soonest = MIN(soonest, entry->not_before);
            if (entry->not_before <= now) {
                g_queue_delete_link(&this->queue, link);
                found = entry;
                break;
            }
        }
        if (!found && soonest == G_MAXINT64)
            g_cond_wait(&this->changed, &this->lock);
        else if (!found)
            g_cond_wait_until(&this->changed, &this->lock, soonest);
    }
    g_mutex_unlock(&this->lock);
    return found;
}

static void enqueue(QemuCoalescer *this, QemuDomain *dom, gint64 delay, guint tries)
{
    gint64 due = g_get_monotonic_time() + delay;

    g_mutex_lock(&this->lock);
    for (GList *link = this->queue.head; link; link = link->next) {
        Entry *entry = link->data;

        if (entry->dom != dom)
            continue;
        entry->not_before = MIN(entry->not_before, due);
        entry->tries = MIN(entry->tries, tries);
        dom = NULL;
        break;
    }
    if (dom) {
        Entry *entry = g_new0(Entry, 1);

        entry->dom = qemu_domain_ref(dom);
        entry->not_before = due;
        entry->tries = tries;
        g_queue_push_tail(&this->queue, entry);
    }
    g_cond_signal(&this->changed);
    g_mutex_unlock(&this->lock);
}

static gpointer work(gpointer opaque)
{
    QemuCoalescer *this = opaque;

    for (;;) {
        g_autoptr(Entry) entry = next(this);

        if (!entry)
            return NULL;
        switch (collect(entry->dom)) {
        case MORE:
            enqueue(this, entry->dom, 0, 0);
            break;
        case LATER:
            enqueue(this, entry->dom, AGAIN_US, entry->tries);
            break;
        case FAILED:
            if (entry->tries < TRIES_MAX)
                enqueue(this, entry->dom, (gint64)RETRY_US << entry->tries, entry->tries + 1);
            break;
        case DONE:
            break;
        }
    }
}

QemuCoalescer *qemu_coalescer_new(void)
{
    QemuCoalescer *this = g_new0(QemuCoalescer, 1);

    g_mutex_init(&this->lock);
    g_cond_init(&this->changed);
    g_queue_init(&this->queue);
    return this;
}

void qemu_coalescer_start(QemuCoalescer *this)
{
    this->thread = g_thread_new("qemu-coalescer", work, this);
}

void qemu_coalescer_free(QemuCoalescer *this)
{
    g_mutex_lock(&this->lock);
    this->stop = TRUE;
    g_cond_signal(&this->changed);
    g_mutex_unlock(&this->lock);
    if (this->thread)
        g_thread_join(this->thread);
    g_queue_clear_full(&this->queue, (GDestroyNotify)entry_free);
    g_mutex_clear(&this->lock);
    g_cond_clear(&this->changed);
    g_free(this);
}

void qemu_coalesce(QemuDomain *dom)
{
    enqueue(dom->space->driver->coalescer, dom, 0, 0);
}

void qemu_coalesce_rest(QemuDomain *dom)
{
    g_autoptr(QemuFiles) files = qemu_files_load(dom);

    if (g_hash_table_size(files->released) || g_hash_table_size(files->points) || dom->unfinished)
        qemu_coalesce(dom);
}
