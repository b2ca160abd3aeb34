/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asking for, slowing down and ending block jobs. None of it waits for another operation. */
#include "blockjob.h"
#include "ops.h"

#include "bitmaps.h"
#include "engine.h"
#include "events.h"
#include "livestate.h"

#define MIB (1024 * 1024)
#define MONITOR_S 10

/* ---- info --------------------------------------------------------------------------- */

/* Until a copy is in step, and ready to pivot, it is never shown as complete. */
static void fill(vireo_domain_get_block_job_info_ret *ret, const QemuBlockJob *job,
                 JsonObject *entry, gboolean bytes)
{
    guint64 speed = (guint64)vireo_json_int(entry, "speed", 0);

    ret->found = 1;
    ret->type = job->type;
    ret->bandwidth = bytes ? speed : (speed + MIB - 1) / MIB;
    ret->cur = (guint64)vireo_json_int(entry, "offset", 0);
    ret->end = (guint64)vireo_json_int(entry, "len", 0);
    if (job->ready && !ret->end)
        ret->cur = ret->end = 1;
    else if (!job->ready && ret->cur >= ret->end)
        ret->end = ret->cur + 1;
}

static JsonObject *entry_of(JsonNode *answer, const char *id)
{
    JsonArray *list = vireo_json_node_array(answer);

    for (guint i = 0; i < vireo_json_length(list); i++)
        if (!g_strcmp0(vireo_json_string(vireo_json_element(list, i), "device"), id))
            return vireo_json_element(list, i);
    return NULL;
}

int qemu_domain_get_block_job_info(void *handle, vireo_call *call,
                                   const vireo_domain_get_block_job_info_args *args,
                                   vireo_domain_get_block_job_info_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    VireoQmpWait wait = qemu_wait(conn->driver, call, MONITOR_S);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(QemuBlockJob) job = qemu_blockjob_find(dom, args->path, &error);
    if (error)
        return qemu_fail(conn->driver, call, error);
    if (!job)
        return VIREO_OK;
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, &error);
    g_autoptr(JsonNode) answer =
        qmp ? vireo_qmp_call(qmp, "query-block-jobs", NULL, &wait, &error) : NULL;
    if (!answer)
        return qemu_fail(conn->driver, call, error);
    fill(ret, job, entry_of(answer, job->id),
         (args->flags & VIREO_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES) != 0);
    return VIREO_OK;
}

/* ---- speed and end ---------------------------------------------------------------------- */

/* A job may fail by itself before it is asked for its end. */
static void say_none(QemuDomain *dom, const char *disk, GError **error)
{
    g_mutex_lock(&dom->lock);
    const char *last = g_hash_table_lookup(dom->failed_jobs, disk);
    qemu_error(error, VIREO_ERR_INVALID_ARG, "disk '%s' of domain '%s' has no block job%s%s", disk, dom->name,
               last ? "; " : "", last ? last : "");
    g_mutex_unlock(&dom->lock);
}

static QemuBlockJob *need_job(QemuDomain *dom, const char *disk, VireoQmp **qmp, GError **error)
{
    g_autoptr(GError) failure = NULL;
    QemuBlockJob *job = qemu_blockjob_find(dom, disk, &failure);

    if (!job && !failure)
        say_none(dom, disk, &failure);
    if (job && (*qmp = qemu_domain_monitor(dom, error)))
        return job;
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    qemu_blockjob_unref(job);
    return NULL;
}

int qemu_domain_block_job_set_speed(void *handle, vireo_call *call,
                                    const vireo_domain_block_job_set_speed_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    VireoQmpWait wait = qemu_wait(conn->driver, call, MONITOR_S);
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoQmp) qmp = NULL;
    gint64 speed;

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_block_speed(args->bandwidth,
                          (args->flags & VIREO_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES) != 0, &speed,
                          &error))
        return qemu_fail(conn->driver, call, error);
    g_autoptr(QemuBlockJob) job = need_job(dom, args->path, &qmp, &error);
    if (!job || !vireo_qmp_run(qmp, "block-job-set-speed",
                               vireo_json_new('s', "device", job->id, 'i', "speed", speed, 0), &wait,
                               &error))
        return qemu_fail(conn->driver, call, error);
    return VIREO_OK;
}

/* QEMU was not told, so that it can be asked for again. FALSE: the job has ended by itself in between. */
static gboolean ask_no_more(QemuDomain *dom, QemuBlockJob *job, gboolean pivot)
{
    g_mutex_lock(&dom->lock);
    gboolean over = job->over;
    if (!over)
        *(pivot ? &job->pivot : &job->abort) = FALSE;
    g_mutex_unlock(&dom->lock);
    if (!over)
        qemu_live_keep(dom);
    return !over;
}

/* What is asked for is on disk before QEMU hears of it: who finds the job again knows. */
static gboolean ask(QemuDomain *dom, QemuBlockJob *job, gboolean pivot, GError **error)
{
    gboolean mirror = job->type == VIREO_DOMAIN_BLOCK_JOB_TYPE_COPY ||
                      job->type == VIREO_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT;

    g_mutex_lock(&dom->lock);
    gboolean ready = job->ready, asked = job->pivot || (pivot && job->abort);
    if ((!pivot || (mirror && ready)) && !asked)
        *(pivot ? &job->pivot : &job->abort) = TRUE;
    g_mutex_unlock(&dom->lock);
    if (pivot && (!mirror || !ready)) {
        qemu_error(error, mirror ? VIREO_ERR_BLOCK_COPY_ACTIVE : VIREO_ERR_OPERATION_INVALID,
                   mirror ? "the %s of disk '%s' is not in step yet: pivot when it is ready"
                          : "a %s of disk '%s' has nothing to pivot to: it ends by itself",
                   qemu_blockjob_kind(job), job->dev);
        return FALSE;
    }
    if (!asked && qemu_live_save(dom, error))
        return TRUE;
    if (!asked) {
        ask_no_more(dom, job, pivot);
        return FALSE;
    }
    qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                "wait for its end",
                "the %s of disk '%s' is being ended already",
               qemu_blockjob_kind(job), job->dev);
    return FALSE;
}

static gboolean wait_settled(QemuDomain *dom, vireo_call *call, QemuBlockJob *job, GError **error)
{
    const struct vireo_host *host = dom->space->driver->host;
    gboolean over = FALSE;

    g_mutex_lock(&dom->lock);
    while (!(over = job->settled) && !host->cancelled(call))
        g_cond_wait_until(&dom->changed, &dom->lock, g_get_monotonic_time() + 200000);
    g_mutex_unlock(&dom->lock);
    if (!over)
        qemu_error(error, VIREO_ERR_OPERATION_ABORTED, "the %s of disk '%s' has not ended yet",
                   qemu_blockjob_kind(job), job->dev);
    else if (job->pivot && !job->succeeded)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "disk '%s' has not moved: %s", job->dev,
                   job->problem ? job->problem : "the guest ended");
    return over && (!job->pivot || job->succeeded);
}

/* From the moment on at which the disk moves notes are taken where it moves to. */
static gboolean move_bitmaps(QemuDomain *dom, VireoQmp *qmp, const QemuBlockJob *job, GError **error)
{
    g_autofree char *goal = qemu_real_path(job->target ? job->target : job->base);
    g_autoptr(GStrvBuilder) paths = g_strv_builder_new();

    for (guint i = 0; job->images[i]; i++) {
        g_autofree char *real = qemu_real_path(job->images[i]);

        if (real)
            g_strv_builder_add(paths, real);
    }
    g_auto(GStrv) chain = g_strv_builder_end(paths);
    if (goal && qemu_bitmaps_move(dom, qmp, (const char *const *)chain, goal, error))
        return TRUE;
    g_prefix_error(error, "the checkpoints of disk '%s' cannot move to %s with it (delete them, or end "
                   "the job without pivoting): ", job->dev, job->target ? job->target : job->base);
    return FALSE;
}

gboolean qemu_blockjob_tell(QemuDomain *dom, VireoQmp *qmp, const QemuBlockJob *job, const VireoQmpWait *wait,
                            GError **error)
{
    return (!job->pivot || move_bitmaps(dom, qmp, job, error)) &&
           vireo_qmp_run(qmp, job->pivot ? "block-job-complete" : "block-job-cancel",
                         vireo_json_new('s', "device", job->id, 0), wait, error);
}

int qemu_domain_block_job_abort(void *handle, vireo_call *call,
                                const vireo_domain_block_job_abort_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    VireoQmpWait wait = qemu_wait(conn->driver, NULL, MONITOR_S);
    gboolean pivot = (args->flags & VIREO_DOMAIN_BLOCK_JOB_ABORT_PIVOT) != 0;
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoQmp) qmp = NULL;

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(QemuBlockJob) job = need_job(dom, args->path, &qmp, &error);
    if (!job || !ask(dom, job, pivot, &error))
        return qemu_fail(conn->driver, call, error);
    if (!qemu_blockjob_tell(dom, qmp, job, &wait, &error)) {
        if (ask_no_more(dom, job, pivot))
            return qemu_fail(conn->driver, call, error);
        g_clear_error(&error);
    }
    if (!(args->flags & VIREO_DOMAIN_BLOCK_JOB_ABORT_ASYNC) &&
        !wait_settled(dom, call, job, &error))
        return qemu_fail(conn->driver, call, error);
    return VIREO_OK;
}
