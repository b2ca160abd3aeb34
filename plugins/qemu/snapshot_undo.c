/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way back of a snapshot whose transaction has taken place. */
#include "take.h"

#include "events.h"
#include "images.h"
#include "sidefile.h"

#define JOB_ID "vireo-undo"
#define POLL_US 5000
#define READY_US (600 * G_USEC_PER_SEC) /* a guest that goes on may have written much */
#define END_US (15 * G_USEC_PER_SEC)

static char *job_status(VireoQmp *qmp)
{
    g_autoptr(JsonNode) answer = vireo_qmp_call(qmp, "query-jobs", NULL, NULL, NULL);
    JsonArray *jobs = vireo_json_node_array(answer);

    for (guint i = 0; i < vireo_json_length(jobs); i++) {
        JsonObject *job = vireo_json_element(jobs, i);

        if (!g_strcmp0(vireo_json_string(job, "id"), JOB_ID))
            return g_strdup(vireo_json_string(job, "status"));
    }
    return NULL;
}

static gboolean becomes_ready(VireoQmp *qmp)
{
    gint64 until = g_get_monotonic_time() + READY_US;

    while (g_get_monotonic_time() < until) {
        g_autofree char *status = job_status(qmp);

        if (!status || g_str_equal(status, "ready"))
            return status != NULL;
        if (g_str_equal(status, "concluded"))
            return FALSE;
        g_usleep(POLL_US);
    }
    return FALSE;
}

/* What is in the overlay goes down, and the disk is on the lower image again. */
static void commit_live(QemuWork *work, const QemuStep *step)
{
    VireoQmp *qmp = work->qmp;
    g_autofree char *node = qemu_live_node(qmp, step->image, NULL);
    g_autofree char *base = qemu_live_node(qmp, step->other, NULL);

    qemu_job_forget(work->dom, JOB_ID);
    if (!node || !base ||
        !vireo_qmp_run(qmp, "block-commit",
                       vireo_json_new('s', "job-id", JOB_ID, 's', "device", node, 's', "base-node", base,
                                      'b', "auto-dismiss", FALSE, 0),
                       NULL, NULL))
        return;
    const char *end = becomes_ready(qmp) ? "job-complete" : "job-cancel";
    vireo_qmp_run(qmp, end, vireo_json_new('s', "id", JOB_ID, 0), NULL, NULL);
    qemu_job_wait(work->dom, NULL, qmp, JOB_ID, NULL);
}

static void drop_point(QemuWork *work, const QemuStep *step)
{
    g_autofree char *node = qemu_live_node(work->qmp, step->image, NULL);

    if (node)
        vireo_qmp_run(work->qmp, "blockdev-snapshot-delete-internal-sync",
                      vireo_json_new('s', "device", node, 's', "name", step->tag, 0), NULL, NULL);
}

/* QEMU is gone, and with it whoever could write: the same on the files. */
static void commit_file(QemuWork *work, const QemuStep *step)
{
    QemuDriver *driver = work->dom->space->driver;
    QemuStep down = { QEMU_STEP_COMMIT, step->image, step->other, NULL, step->slot, 0 };
    QemuStep gone = { QEMU_STEP_UNLINK, step->image, NULL, NULL, NULL, 0 };
    g_autoptr(GError) error = NULL;

    if (qemu_engine_image_step(work->dom, NULL, &down, &error) &&
        qemu_engine_image_step(work->dom, NULL, &gone, &error))
        return;
    driver->host->log(driver->core, VIREO_LOG_WARNING, work->dom->space->uri,
                      "domain '%s': %s stays in use, it cannot be merged into %s: %s", work->dom->name, step->image,
                      step->other, error->message);
    qemu_work_keep_overlay(work, step);
}

/* Until what is left of the process is gone: nobody else has its images then. */
static gboolean has_ended(QemuWork *work)
{
    QemuDomain *dom = work->dom;
    gint64 until = g_get_monotonic_time() + END_US;

    if (work->qmp && vireo_qmp_is_open(work->qmp))
        return FALSE;
    g_mutex_lock(&dom->lock);
    while ((dom->id != -1 || dom->ending) && g_cond_wait_until(&dom->changed, &dom->lock, until))
        continue;
    gboolean ended = dom->id == -1 && !dom->ending;
    g_mutex_unlock(&dom->lock);
    return ended;
}

static void undo_live(QemuWork *work, const QemuStep *step)
{
    if (step->kind == QEMU_STEP_OVERLAY)
        commit_live(work, step);
    if (step->kind == QEMU_STEP_POINT)
        drop_point(work, step);
    if (qemu_step_is_overlay(step) && qemu_live_is_top(work->qmp, step->image))
        qemu_work_keep_overlay(work, step);
}

static void undo_file(QemuWork *work, const QemuStep *step)
{
    QemuStep drop = { QEMU_STEP_DROP_POINT, step->image, NULL, step->tag, NULL, 0 };

    if (step->kind == QEMU_STEP_OVERLAY)
        commit_file(work, step);
    if (step->kind == QEMU_STEP_ADOPT) /* it may hold more than the guest wrote */
        qemu_work_keep_overlay(work, step);
    if (step->kind == QEMU_STEP_POINT)
        qemu_engine_image_step(work->dom, NULL, &drop, NULL);
}

void qemu_undo_transaction(QemuWork *work)
{
    gboolean ended = has_ended(work);

    for (guint i = work->plan->no_return; i-- > 0;) {
        const QemuStep *step = qemu_plan_step(work->plan, i);

        if (step->kind == QEMU_STEP_STATE || step->kind == QEMU_STEP_COPY)
            qemu_engine_unlink(work->dom, step->image, NULL);
        else if (ended)
            undo_file(work, step);
        else
            undo_live(work, step);
        /* QEMU may end in the middle. */
        if (!ended && has_ended(work)) {
            ended = TRUE;
            i = work->plan->no_return;
        }
    }
}

/* One that could not be merged back stays in use. */
static gboolean is_in_use(QemuWork *work, const char *image)
{
    g_autoptr(QemuDef) now = qemu_domain_current(work->dom);

    for (guint i = 0; now && i < now->doc->devices->disks.n; i++) {
        g_autofree char *real = qemu_real_path(qemu_disk_path(now->doc->devices->disks.items[i]));

        if (!g_strcmp0(real, image))
            return TRUE;
    }
    return now == NULL;
}

void qemu_undo_overlays(QemuWork *work, guint count)
{
    for (guint i = 0; i < count; i++)
        if (qemu_plan_step(work->plan, i)->kind == QEMU_STEP_COPY)
            qemu_engine_unlink(work->dom, qemu_plan_step(work->plan, i)->image, NULL);
    if (work->qmp && vireo_qmp_is_open(work->qmp))
        qemu_side_close(work->qmp, work->plan);
    while (work->qmp && count-- > 0) {
        const QemuStep *step = qemu_plan_step(work->plan, count);
        gboolean open = vireo_qmp_is_open(work->qmp);

        if (!qemu_step_is_overlay(step) || (open && qemu_live_is_top(work->qmp, step->image)))
            continue;
        if (open)
            qemu_live_close(work->qmp, step->image);
        if (step->kind == QEMU_STEP_OVERLAY && !is_in_use(work, step->image))
            qemu_engine_unlink(work->dom, step->image, NULL);
    }
}
