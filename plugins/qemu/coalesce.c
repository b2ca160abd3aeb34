/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Space that deleted snapshots leave, given back in the background. */
#include "coalesce.h"

#include <sys/stat.h>

#include "backup.h"
#include "engine.h"
#include "ops.h"
#include "kit/params.h"
#include "saving.h"

#define AGAIN_US (100 * 1000)       /* after somebody else wanted the domain */
#define RETRY_US (500 * 1000) /* after a failure, then twice as much each time */
#define DOUBLED_MAX 9         /* times */
#define UNLINK_MAX 32 /* before it is looked up anew what is left to do */

typedef struct {
    QemuDomain *dom;
    gint64 not_before;
    guint tries;
    GThread *by;    /* which has it; NULL: it waits */
    gboolean again; /* asked for meanwhile */
    char *said;     /* the failure that is in the log; NULL: none since something was done */
} Entry;

struct QemuCoalescer {
    GMutex lock;
    GCond changed;
    GQueue queue; /* Entry: one for each domain, until nothing is left to do there */
    gboolean started, stop;
    GPtrArray *threads; /* GThread; begun when there is work for them */
    guint most, idle;
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

static void fill_backup(VireoParams *params, const QemuBackupFigures *figures, gboolean completed)
{
    vireo_param_int(params, "operation", VIREO_DOMAIN_JOB_OPERATION_BACKUP);
    vireo_param_ullong(params, "time_elapsed", figures->elapsed_ms);
    if (figures->pull) {
        vireo_param_ullong(params, "disk_temp_used", figures->done);
        vireo_param_ullong(params, "disk_temp_total", figures->total);
    } else {
        vireo_param_ullong(params, "disk_total", figures->total);
        vireo_param_ullong(params, "disk_processed", figures->done);
        vireo_param_ullong(params, "disk_remaining", figures->total - figures->done);
    }
    if (completed)
        vireo_param_boolean(params, "success", figures->success);
    if (figures->problem)
        vireo_param_string(params, "errmsg", figures->problem);
}

int qemu_domain_get_job_stats(void *handle, vireo_call *call,
                              const vireo_domain_get_job_stats_args *args,
                              vireo_domain_get_job_stats_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    gboolean completed = (args->flags & VIREO_DOMAIN_JOB_STATS_COMPLETED) != 0;
    g_auto(VireoParams) params = { 0 };
    QemuBackupFigures figures;

    if (!dom)
        return VIREO_FAIL;
    vireo_params_init(&params, conn->driver->host, call);
    if (qemu_saving_stats(dom, completed, (args->flags & VIREO_DOMAIN_JOB_STATS_KEEP_COMPLETED) != 0, &params,
                          &ret->type)) {
        ret->params.val = vireo_params_take(&params, &ret->params.len);
        return VIREO_OK;
    }
    gboolean backup =
        qemu_backup_figures(dom, completed,
                            (args->flags & VIREO_DOMAIN_JOB_STATS_KEEP_COMPLETED) != 0, &figures);
    if (backup || completed) {
        ret->type = backup ? figures.type : VIREO_DOMAIN_JOB_NONE;
        if (backup)
            fill_backup(&params, &figures, completed);
        ret->params.val = vireo_params_take(&params, &ret->params.len);
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

        vireo_param_int(&params, "operation", VIREO_DOMAIN_JOB_OPERATION_SNAPSHOT_DELETE);
        vireo_param_ullong(&params, "time_elapsed",
                          (guint64)(g_get_monotonic_time() - merge.since) / 1000);
        vireo_param_ullong(&params, "data_total", merge.total);
        vireo_param_ullong(&params, "data_processed", done);
        vireo_param_ullong(&params, "data_remaining", merge.total - done);
        vireo_param_ullong(&params, "disk_total", merge.total);
        vireo_param_ullong(&params, "disk_processed", done);
        vireo_param_ullong(&params, "disk_remaining", merge.total - done);
    }
    ret->params.val = vireo_params_take(&params, &ret->params.len);
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

static Outcome failed(QemuDomain *dom, GError **error)
{
    if (!qemu_domain_must_yield(dom))
        return FAILED;
    g_clear_error(error);
    return LATER;
}

/* Nothing is to be done by what could be read; is that all? */
static Outcome nothing_left(QemuDomain *dom, const QemuGraph *graph, GError **error)
{
    if (qemu_graph_incomplete(graph)) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "%s", qemu_graph_incomplete(graph));
        return failed(dom, error);
    }
    if (!qemu_reap_all_seen(dom, graph, error) || !qemu_lost_give_back(dom, error))
        return failed(dom, error);
    return qemu_domain_must_yield(dom) ? LATER : DONE;
}

/* The first step, with those like it in the same image. */
static gboolean carry_out(QemuWork *work, const QemuStep *step, GError **error)
{
    const QemuStep *left = NULL, *next = step;

    if (step->kind == QEMU_STEP_UNLINK)
        return qemu_work_unlink(work, 0, UNLINK_MAX, &left, error) && !left;
    if (step->kind == QEMU_STEP_PULL)
        announce(work->dom, step);
    for (guint i = 1; qemu_work_step(work, next, error); i++) {
        next = i < work->plan->steps->len ? qemu_plan_step(work->plan, i) : NULL;
        if (!next || next->kind != QEMU_STEP_DROP_POINT || step->kind != QEMU_STEP_DROP_POINT ||
            !g_str_equal(next->image, step->image) || qemu_domain_must_yield(work->dom))
            return TRUE;
    }
    return FALSE;
}

/* What is left to do is looked up anew after each image that is written to: meanwhile others may have come to need it. */
static Outcome one_image(QemuDomain *dom, GError **error)
{
    g_autoptr(QemuDef) machine = qemu_domain_current(dom);
    g_autoptr(VireoQmp) qmp = NULL;
    g_autoptr(QemuPlan) plan = qemu_plan_new();

    if (!machine || !qemu_reap_has_rest(dom))
        return DONE;
    if (qemu_domain_active(dom) && !(qmp = qemu_domain_monitor(dom, error)))
        return failed(dom, error);
    g_autoptr(GError) failure = NULL;
    g_autoptr(QemuGraph) graph = qemu_engine_graph_within(dom, machine->doc, 0, &failure);
    if (!graph && !failure)
        return LATER;
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    if (!graph || !qemu_reap_settle(dom, graph, error))
        return failed(dom, error);
    qemu_plan_collect(graph, plan, 0);
    if (!plan->steps->len)
        qemu_plan_shorten(graph, plan, (guint)dom->space->driver->config.shorten_above);
    if (!plan->steps->len)
        return nothing_left(dom, graph, error);
    if (qemu_domain_must_yield(dom))
        return LATER;
    const QemuStep *step = qemu_plan_step(plan, 0);
    QemuWork work = { .dom = dom, .qmp = qmp, .plan = plan };
    gboolean done = carry_out(&work, step, error);
    withdraw(dom);
    if (done)
        return MORE;
    g_prefix_error(error, "%s: ", step->image);
    return failed(dom, error);
}

static Outcome collect(QemuDomain *dom, GError **error)
{
    Outcome outcome = DONE;

    if (!g_mutex_trylock(&dom->job))
        return LATER;
    if (!qemu_blockjobs_none(dom, NULL, NULL)) {
        qemu_domain_give_job(dom);
        return LATER;
    }
    g_mutex_lock(&dom->lock);
    dom->yields = TRUE;
    g_mutex_unlock(&dom->lock);
    if (!dom->gone)
        outcome = qemu_work_catch_up(dom, error) ? one_image(dom, error) : FAILED;
    g_mutex_lock(&dom->lock);
    if (dom->merge.stop)
        outcome = DONE;
    dom->yields = dom->news = dom->merge.stop = FALSE;
    g_mutex_unlock(&dom->lock);
    qemu_domain_give_job(dom);
    return outcome;
}

/* The same failure is told once. The entry is this thread's. */
static Outcome collect_and_tell(Entry *entry)
{
    QemuDriver *driver = entry->dom->space->driver;
    g_autoptr(GError) error = NULL;
    Outcome outcome = collect(entry->dom, &error);

    if (outcome == MORE || outcome == DONE)
        g_clear_pointer(&entry->said, g_free);
    if (outcome != FAILED || !g_strcmp0(entry->said, error->message))
        return outcome;
    g_free(entry->said);
    entry->said = g_strdup(error->message);
    driver->host->log(driver->core, VIREO_LOG_WARNING, entry->dom->space->uri,
                      "domain '%s': space is not given back yet, that is tried again: %s", entry->dom->name,
                      error->message);
    return outcome;
}

/* ---- the threads ---------------------------------------------------------------------- */

static void entry_free(Entry *entry)
{
    qemu_domain_unref(entry->dom);
    g_free(entry->said);
    g_free(entry);
}

/* The first that is due, to be settled; NULL: the driver ends. Waits. With the lock held. */
static Entry *next(QemuCoalescer *this)
{
    while (!this->stop) {
        gint64 now = g_get_monotonic_time(), soonest = G_MAXINT64;

        for (GList *link = this->queue.head; link; link = link->next) {
            Entry *entry = link->data;

            if (entry->by)
                continue;
            if (entry->not_before <= now) {
                entry->by = g_thread_self();
                return entry;
            }
            soonest = MIN(soonest, entry->not_before);
        }
        this->idle++;
        if (soonest == G_MAXINT64)
            g_cond_wait(&this->changed, &this->lock);
        else
            g_cond_wait_until(&this->changed, &this->lock, soonest);
        this->idle--;
    }
    return NULL;
}

/* Behind all others, so that each domain gets its turn. With the lock held. */
static void settle(QemuCoalescer *this, Entry *entry, Outcome outcome)
{
    gint64 delay = outcome == LATER ? AGAIN_US : 0;

    g_queue_remove(&this->queue, entry);
    if (outcome == DONE && !entry->again) {
        entry_free(entry);
        return;
    }
    if (outcome == FAILED)
        delay = (gint64)RETRY_US << MIN(entry->tries++, DOUBLED_MAX);
    if (outcome == MORE || outcome == DONE)
        entry->tries = 0;
    if (entry->again && outcome != LATER)
        delay = 0;
    entry->by = NULL;
    entry->again = FALSE;
    entry->not_before = g_get_monotonic_time() + delay;
    g_queue_push_tail(&this->queue, entry);
}

static gpointer work(gpointer opaque)
{
    QemuCoalescer *this = opaque;
    Entry *entry;

    g_mutex_lock(&this->lock);
    while ((entry = next(this))) {
        g_mutex_unlock(&this->lock);
        Outcome outcome = collect_and_tell(entry);
        g_mutex_lock(&this->lock);
        settle(this, entry, outcome);
    }
    g_mutex_unlock(&this->lock);
    return NULL;
}

/* One thread more when all have work. With the lock held. */
static void wake(QemuCoalescer *this)
{
    if (this->started && !this->stop && !this->idle && this->threads->len < this->most)
        g_ptr_array_add(this->threads, g_thread_new("qemu-coalescer", work, this));
    g_cond_signal(&this->changed);
}

static Entry *entry_of(QemuCoalescer *this, QemuDomain *dom)
{
    for (GList *link = this->queue.head; link; link = link->next)
        if (((Entry *)link->data)->dom == dom)
            return link->data;
    return NULL;
}

QemuCoalescer *qemu_coalescer_new(guint most)
{
    QemuCoalescer *this = g_new0(QemuCoalescer, 1);

    g_mutex_init(&this->lock);
    g_cond_init(&this->changed);
    g_queue_init(&this->queue);
    this->threads = g_ptr_array_new();
    this->most = most ? most : g_get_num_processors();
    return this;
}

void qemu_coalescer_start(QemuCoalescer *this)
{
    g_mutex_lock(&this->lock);
    this->started = TRUE;
    for (guint i = 0; i < this->queue.length && i < this->most; i++)
        wake(this);
    g_mutex_unlock(&this->lock);
}

void qemu_coalescer_free(QemuCoalescer *this)
{
    g_mutex_lock(&this->lock);
    this->stop = TRUE;
    g_cond_broadcast(&this->changed);
    g_mutex_unlock(&this->lock);
    for (guint i = 0; i < this->threads->len; i++)
        g_thread_join(this->threads->pdata[i]);
    g_ptr_array_unref(this->threads);
    g_queue_clear_full(&this->queue, (GDestroyNotify)entry_free);
    g_mutex_clear(&this->lock);
    g_cond_clear(&this->changed);
    g_free(this);
}

/* The domain has something to be looked after from then on. */
static void enter(QemuDomain *dom, gint64 not_before)
{
    QemuCoalescer *this = dom->space->driver->coalescer;
    Entry *entry;

    g_mutex_lock(&this->lock);
    entry = entry_of(this, dom);
    if (!entry) {
        entry = g_new0(Entry, 1);
        entry->dom = qemu_domain_ref(dom);
        entry->not_before = not_before;
        g_queue_push_tail(&this->queue, entry);
    }
    if (entry->by != g_thread_self()) { /* which sees by itself whether anything is left to do */
        entry->again = entry->by != NULL;
        entry->not_before = MIN(entry->not_before, not_before);
        entry->tries = 0;
        wake(this);
    }
    g_mutex_unlock(&this->lock);
}

void qemu_coalesce(QemuDomain *dom)
{
    enter(dom, 0);
}

void qemu_coalesce_from(QemuDomain *dom, gint64 not_before)
{
    if (qemu_reap_has_rest(dom))
        enter(dom, not_before);
}

void qemu_coalesce_rest(QemuDomain *dom)
{
    if (qemu_reap_has_rest(dom) || dom->unfinished)
        qemu_coalesce(dom);
}
