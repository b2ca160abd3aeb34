/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a block job, whoever waits or does not, whether the daemon was there or not. */
#include "blockjob.h"

#include <string.h>
#include <sys/stat.h>

#include "backup.h"
#include "bitmaps.h"
#include "change.h"
#include "engine.h"
#include "events.h"
#include "images.h"
#include "livestate.h"
#include "remote.h"

#define TELL_S 10
#define CANCELLED "Operation canceled" /* QEMU's words for a job that was cut short */

/* ---- events ------------------------------------------------------------------------- */

static void announce(QemuDomain *dom, const QemuBlockJob *job, const char *path, int status)
{
    const struct vireo_host *host = dom->space->driver->host;
    vireo_domain_ref self = { .name = dom->name, .id = dom->id };
    vireo_domain_event_block_job_msg by_path = { .path = (char *)path, .type = job->type,
                                                 .status = status };
    vireo_domain_event_block_job_2_msg by_disk = { .dst = job->dev, .type = job->type,
                                                   .status = status };

    memcpy(self.uuid, dom->uuid, 16);
    by_path.dom = by_disk.dom = self;
    host->event(dom->space->published, VIREO_EVENT_domain_event_block_job, &by_path);
    host->event(dom->space->published, VIREO_EVENT_domain_event_block_job_2, &by_disk);
}

/* dom->lock held. */
static QemuBlockJob *by_id(QemuDomain *dom, const char *id)
{
    GHashTableIter iter;
    gpointer job;

    g_hash_table_iter_init(&iter, dom->block_jobs);
    while (id && g_hash_table_iter_next(&iter, NULL, &job))
        if (g_str_equal(((QemuBlockJob *)job)->id, id))
            return job;
    return NULL;
}

void qemu_blockjob_status(QemuDomain *dom, const char *id, const char *status)
{
    gboolean ready = g_str_equal(status, "ready"), pending = g_str_equal(status, "pending");
    gboolean over = g_str_equal(status, "null") || g_str_equal(status, "concluded");
    g_autoptr(QemuBlockJob) job = NULL;

    if (!ready && !pending && !over)
        return;
    g_mutex_lock(&dom->lock);
    if ((job = by_id(dom, id))) {
        qemu_blockjob_ref(job);
        ready = ready && !job->ready;
        job->ready |= ready;
    }
    g_mutex_unlock(&dom->lock);
    if (!job)
        return;
    if (ready) {
        announce(dom, job, job->path, VIREO_DOMAIN_BLOCK_JOB_READY);
        qemu_live_touch(dom);
    }
    if (over || pending)
        qemu_blockjobs_settle_soon(dom);
}

/* dom->lock held. */
static void decide(QemuBlockJob *job, const char *problem, gboolean cancelled)
{
    job->over = TRUE;
    job->succeeded = !problem && !cancelled;
    if (cancelled || !g_strcmp0(problem, CANCELLED))
        job->abort = TRUE;
    else if (problem && !job->problem)
        job->problem = g_strdup(problem);
}

void qemu_blockjob_over(QemuDomain *dom, JsonObject *data, gboolean cancelled)
{
    g_mutex_lock(&dom->lock);
    QemuBlockJob *job = by_id(dom, vireo_json_string(data, "device"));
    if (job) {
        job->len = (guint64)vireo_json_int(data, "len", 0);
        job->offset = (guint64)vireo_json_int(data, "offset", 0);
        decide(job, vireo_json_string(data, "error"), cancelled);
    }
    g_mutex_unlock(&dom->lock);
}

/* ---- finding out -------------------------------------------------------------------- */

static gboolean moves(const QemuBlockJob *job)
{
    return job->type == VIREO_DOMAIN_BLOCK_JOB_TYPE_COPY ||
           job->type == VIREO_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT;
}

static const char *goal(const QemuBlockJob *job)
{
    return job->type == VIREO_DOMAIN_BLOCK_JOB_TYPE_COPY ? job->target : job->base;
}

/* The chain of the disk is another one now. */
static gboolean has_worked(const QemuBlockJob *job)
{
    return job->succeeded && (!moves(job) || job->pivot);
}

static gboolean chain_changed(QemuDomain *dom, const QemuBlockJob *job)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    const VireoDomainDisk *disk = live ? qemu_disk_named(live->doc, job->dev) : NULL;
    g_autoptr(GPtrArray) chain = disk ? qemu_image_chain(disk, NULL) : NULL;

    return job->type != VIREO_DOMAIN_BLOCK_JOB_TYPE_BACKUP && chain &&
           chain->len < g_strv_length(job->images);
}

/* QEMU knows nothing of it: it was never begun, or dismissed while nobody listened. */
static void look_at_disk(QemuDomain *dom, QemuBlockJob *job, VireoQmp *qmp)
{
    g_autofree char *real = qemu_real_path(goal(job));
    gboolean succeeded = moves(job) ? real && qemu_live_is_top(qmp, real) : chain_changed(dom, job);

    g_mutex_lock(&dom->lock);
    if (!job->over) {
        job->over = TRUE;
        job->succeeded = succeeded;
    }
    g_mutex_unlock(&dom->lock);
}

/* All data has been moved; the header that relies on it is written after this. */
static void finalize(QemuDomain *dom, const QemuBlockJob *job, VireoQmp *qmp)
{
    g_autofree char *real = qemu_real_path(job->base ? job->base : job->path);
    g_autoptr(GError) error = NULL;
    g_autofree char *node = real ? qemu_live_node(qmp, real, &error) : NULL;
    g_autofree char *top = qemu_real_path(job->path);

    if (top)
        qemu_bitmaps_raise(dom, NULL, qmp, top, NULL);
    if (node && qemu_live_flush(qmp, node, &error))
        vireo_qmp_run(qmp, "job-finalize", vireo_json_new('s', "id", job->id, 0), NULL, NULL);
    else
        vireo_qmp_run(qmp, "job-cancel", vireo_json_new('s', "id", job->id, 0), NULL, NULL);
}

/* FALSE: it still runs, or nobody can tell yet. */
static gboolean ask_qemu(QemuDomain *dom, QemuBlockJob *job, VireoQmp *qmp)
{
    g_autoptr(JsonNode) answer = vireo_qmp_call(qmp, "query-jobs", NULL, NULL, NULL);
    JsonArray *list = vireo_json_node_array(answer);

    if (!answer)
        return FALSE;
    for (guint i = 0; i < vireo_json_length(list); i++) {
        JsonObject *one = vireo_json_element(list, i);

        if (g_strcmp0(vireo_json_string(one, "id"), job->id))
            continue;
        gboolean over = !g_strcmp0(vireo_json_string(one, "status"), "concluded");
        if (!g_strcmp0(vireo_json_string(one, "status"), "pending"))
            finalize(dom, job, qmp);
        g_mutex_lock(&dom->lock);
        if (over && !job->over)
            decide(job, vireo_json_string(one, "error"), FALSE);
        if (!g_strcmp0(vireo_json_string(one, "status"), "ready"))
            job->ready = TRUE;
        g_mutex_unlock(&dom->lock);
        return over;
    }
    look_at_disk(dom, job, qmp);
    return TRUE;
}

/* A server does not tell: what went there is taken for newer. */
static gint64 changed_at(const char *path)
{
    struct stat st;

    if (path && qemu_is_remote(path))
        return G_MAXINT64;
    return path && stat(path, &st) == 0
               ? (gint64)st.st_mtim.tv_sec * G_USEC_PER_SEC + st.st_mtim.tv_nsec / 1000
               : 0;
}

/* QEMU is gone. Until the disk moved both images were the same; then only one was written to. */
static void guess(QemuDomain *dom, QemuBlockJob *job)
{
    QemuDriver *driver = dom->space->driver;

    job->over = TRUE;
    job->succeeded = moves(job) && job->pivot && job->ready &&
                     changed_at(goal(job)) >= changed_at(job->path);
    if (moves(job) && job->pivot)
        driver->host->log(driver->core, VIREO_LOG_WARNING, dom->space->uri,
                          "domain '%s': QEMU ended while disk '%s' moved from %s to %s: %s was written "
                          "last and is kept", dom->name, job->dev, job->path, goal(job),
                          job->succeeded ? goal(job) : job->path);
}

/* ---- carrying through ----------------------------------------------------------------- */

/* Where the disk is now; what the document said of its chain is no longer so. */
static gboolean change_disk(VireoDomain *doc, const void *opaque, GError **error)
{
    const QemuBlockJob *job = opaque;
    VireoDomainDisk *disk = qemu_disk_named(doc, job->dev);

    if (!disk || g_strcmp0(qemu_disk_path(disk), job->path))
        return TRUE; /* a stored definition that names another image is left as it is */
    g_clear_pointer(&disk->backing_store, vireo_domain_backing_store_free);
    if (!moves(job))
        return TRUE;
    qemu_disk_set_image(disk, goal(job), job->is_block, job->format);
    return TRUE;
}

static void change_definitions(QemuDomain *dom, const QemuBlockJob *job)
{
    QemuDriver *driver = dom->space->driver;
    g_autoptr(QemuDef) config = qemu_domain_config(dom);
    g_autoptr(GError) error = NULL;

    if (config)
        qemu_change_config(dom, change_disk, job, &error);
    if (qemu_domain_active(dom))
        qemu_change_live(dom, change_disk, job, NULL);
    if (error)
        driver->host->log(driver->core, VIREO_LOG_ERROR, dom->space->uri,
                          "domain '%s': disk '%s' is on %s now, but that could not be stored: %s",
                          dom->name, job->dev, goal(job) ? goal(job) : job->path, error->message);
}

/* Every image the domain's disks consist of; NULL: that cannot be read. */
static GHashTable *used_paths(const VireoDomain *doc)
{
    g_autoptr(GHashTable) set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    VEC_EACH(doc->devices->disks, i)
    {
        g_autoptr(GPtrArray) chain = qemu_image_chain(doc->devices->disks.items[i], NULL);

        if (!chain)
            return NULL;
        for (guint n = 0; n < chain->len; n++) {
            char *real = qemu_real_path(((QemuImage *)chain->pdata[n])->path);

            if (real)
                g_hash_table_add(set, real);
        }
    }
    return g_steal_pointer(&set);
}

static void image_goes(QemuDomain *dom, const QemuBlockJob *job, const char *path, gboolean emptied)
{
    QemuDriver *driver = dom->space->driver;
    g_autoptr(GError) error = NULL;

    if (job->remove ? !qemu_engine_unlink(dom, path, &error) : emptied && !qemu_files_empty(dom, path, &error))
        driver->host->log(driver->core, VIREO_LOG_WARNING, dom->space->uri, "domain '%s': %s", dom->name,
                          error->message);
}

/* What the disk does not consist of any more. */
static void let_go(QemuDomain *dom, const QemuBlockJob *job, VireoQmp *qmp)
{
    QemuDriver *driver = dom->space->driver;
    g_autoptr(QemuDef) def = qemu_domain_current(dom);
    g_autoptr(GHashTable) used = def ? used_paths(def->doc) : NULL;
    gboolean emptied = qmp && job->base, failed_copy = job->target && !has_worked(job);

    for (guint i = 0; job->images[i]; i++) {
        g_autofree char *real = qemu_real_path(job->images[i]);

        /* A server that has gone says nothing of what is used; where a copy would have gone never is. */
        if (!real || (used ? g_hash_table_contains(used, real)
                           : !failed_copy || !g_str_equal(job->images[i], job->target)))
            continue;
        if (qmp)
            qemu_live_close(qmp, real);
        qemu_image_take_back_one(driver, dom->uuid_text, job->images[i]);
        if (has_worked(job))
            image_goes(dom, job, real, emptied);
    }
}

static int outcome(const QemuBlockJob *job)
{
    if (job->problem)
        return VIREO_DOMAIN_BLOCK_JOB_FAILED;
    if (!has_worked(job))
        return job->abort ? VIREO_DOMAIN_BLOCK_JOB_CANCELED : VIREO_DOMAIN_BLOCK_JOB_FAILED;
    return VIREO_DOMAIN_BLOCK_JOB_COMPLETED;
}

static void settle(QemuDomain *dom, QemuBlockJob *job)
{
    QemuDriver *driver = dom->space->driver;
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, NULL);
    gboolean active = qemu_domain_active(dom);

    if (active && (!qmp || !ask_qemu(dom, job, qmp)))
        return;
    if (!job->over)
        guess(dom, job);
    gboolean backup = job->type == VIREO_DOMAIN_BLOCK_JOB_TYPE_BACKUP;
    if (has_worked(job) && !backup)
        change_definitions(dom, job);
    if (qmp) /* until then it keeps images open */
        vireo_qmp_run(qmp, "job-dismiss", vireo_json_new('s', "id", job->id, 0), NULL, NULL);
    if (backup)
        qemu_backup_job_dismissed(dom, qmp, job);
    else
        let_go(dom, job, qmp);
    int status = outcome(job);
    gboolean moved = moves(job) && status == VIREO_DOMAIN_BLOCK_JOB_COMPLETED;
    const char *why = job->problem ? job->problem : active ? "unknown" : "the guest ended";
    g_mutex_lock(&dom->lock);
    job->settled = TRUE;
    if (status == VIREO_DOMAIN_BLOCK_JOB_FAILED)
        g_hash_table_insert(dom->failed_jobs, g_strdup(job->dev),
                            g_strdup_printf("the last one (%s) failed: %s", qemu_blockjob_kind(job), why));
    g_hash_table_remove(dom->block_jobs, job->dev);
    g_cond_broadcast(&dom->changed);
    g_mutex_unlock(&dom->lock);
    qemu_live_keep(dom);
    if (status == VIREO_DOMAIN_BLOCK_JOB_FAILED)
        driver->host->log(driver->core, VIREO_LOG_WARNING, dom->space->uri,
                          "domain '%s': the %s of disk '%s' failed: %s", dom->name,
                          qemu_blockjob_kind(job), job->dev, why);
    announce(dom, job, moved ? goal(job) : job->path, status);
    if (backup)
        qemu_backup_job_over(dom, qmp, job, status);
}

static GPtrArray *all_jobs(QemuDomain *dom)
{
    GPtrArray *jobs = g_ptr_array_new_with_free_func((GDestroyNotify)qemu_blockjob_unref);
    GHashTableIter iter;
    gpointer job;

    g_mutex_lock(&dom->lock);
    g_hash_table_iter_init(&iter, dom->block_jobs);
    while (g_hash_table_iter_next(&iter, NULL, &job))
        g_ptr_array_add(jobs, qemu_blockjob_ref(job));
    g_mutex_unlock(&dom->lock);
    return jobs;
}

void qemu_blockjobs_settle(QemuDomain *dom)
{
    g_autoptr(GPtrArray) jobs = all_jobs(dom);

    for (guint i = 0; i < jobs->len; i++)
        settle(dom, jobs->pdata[i]);
}

static void settle_now(void *opaque)
{
    QemuDomain *dom = opaque;

    qemu_domain_take_job(dom);
    if (!dom->gone)
        qemu_blockjobs_settle(dom);
    qemu_domain_give_job(dom);
    qemu_domain_unref(dom);
}

void qemu_blockjobs_settle_soon(QemuDomain *dom)
{
    QemuDriver *driver = dom->space->driver;

    driver->host->defer(driver->core, settle_now, qemu_domain_ref(dom));
}

void qemu_blockjobs_ended(QemuDomain *dom)
{
    g_mutex_lock(&dom->lock);
    guint count = g_hash_table_size(dom->block_jobs);
    g_mutex_unlock(&dom->lock);
    if (!count)
        return;
    /* Before the live state is dropped, if it can be: else the next start does it first. */
    if (!g_mutex_trylock(&dom->job)) {
        qemu_blockjobs_settle_soon(dom);
        return;
    }
    qemu_blockjobs_settle(dom);
    qemu_domain_give_job(dom);
}

/* Asked for, but perhaps QEMU never heard of it; twice does not hurt. */
static void tell_again(QemuDomain *dom)
{
    VireoQmpWait wait = qemu_wait(dom->space->driver, NULL, TELL_S);
    g_autoptr(GPtrArray) jobs = all_jobs(dom);
    g_autoptr(VireoQmp) qmp = jobs->len ? qemu_domain_monitor(dom, NULL) : NULL;

    for (guint i = 0; qmp && i < jobs->len; i++) {
        const QemuBlockJob *job = jobs->pdata[i];

        if (job->pivot || job->abort)
            qemu_blockjob_tell(dom, qmp, job, &wait, NULL);
    }
}

void qemu_blockjobs_recover(QemuDomain *dom)
{
    qemu_domain_take_job(dom);
    qemu_blockjobs_settle(dom);
    tell_again(dom);
    qemu_domain_give_job(dom);
}
