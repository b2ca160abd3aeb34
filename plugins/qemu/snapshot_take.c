/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taking a snapshot of a running guest: everything at one moment, or nothing. */
#include "snapshot.h"

#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "engine.h"
#include "events.h"
#include "images.h"
#include "save.h"

#define FREEZE_S 60
#define READY_MS 60000

static const VireoDomainDisk *disk_of(const QemuTake *take, const char *dev)
{
    VEC_EACH(take->machine->devices->disks, i)
    if (g_str_equal(take->machine->devices->disks.items[i]->target->dev, dev))
        return take->machine->devices->disks.items[i];
    return NULL;
}

static gboolean is_overlay(const QemuStep *step)
{
    return step->kind == QEMU_STEP_OVERLAY || step->kind == QEMU_STEP_ADOPT;
}

/* ---- overlays ----------------------------------------------------------------------- */

static gboolean open_overlay(QemuTake *take, const QemuStep *step, GError **error)
{
    QemuWork *work = take->work;
    QemuDomain *dom = work->dom;
    QemuImage image = { step->image, VIREO_DOMAIN_STORAGE_FORMAT_QCOW2, FALSE, TRUE };

    if (step->kind == QEMU_STEP_ADOPT &&
        !qemu_image_give(dom->space->driver, dom->uuid_text, &image, error))
        return FALSE;
    if (step->kind == QEMU_STEP_OVERLAY &&
        !qemu_engine_make_overlay(dom, work->call, step->image, step->other, error))
        return FALSE;
    if (qemu_live_open(dom, work->qmp, disk_of(take, step->slot), step->image, error))
        return TRUE;
    if (step->kind == QEMU_STEP_OVERLAY)
        qemu_engine_unlink(dom, step->image, NULL);
    return FALSE;
}

static void close_overlays(QemuTake *take, guint count)
{
    QemuWork *work = take->work;

    while (count-- > 0) {
        const QemuStep *step = qemu_plan_step(work->plan, count);

        if (!is_overlay(step))
            continue;
        qemu_live_close(work->qmp, step->image);
        if (step->kind == QEMU_STEP_OVERLAY)
            qemu_engine_unlink(work->dom, step->image, NULL);
    }
}

static gboolean open_overlays(QemuTake *take, GError **error)
{
    for (guint i = 0; i < take->work->plan->no_return; i++) {
        const QemuStep *step = qemu_plan_step(take->work->plan, i);

        if (!is_overlay(step) || open_overlay(take, step, error))
            continue;
        close_overlays(take, i);
        return FALSE;
    }
    return TRUE;
}

/* ---- back, after the transaction ------------------------------------------------------ */

static gboolean is_ready(VireoQmp *qmp, const char *id)
{
    g_autoptr(JsonNode) answer = vireo_qmp_call(qmp, "query-jobs", NULL, NULL, NULL);
    JsonArray *jobs = vireo_json_node_array(answer);

    for (guint i = 0; i < vireo_json_length(jobs); i++) {
        JsonObject *job = vireo_json_element(jobs, i);

        if (!g_strcmp0(vireo_json_string(job, "id"), id))
            return !g_strcmp0(vireo_json_string(job, "status"), "ready");
    }
    return FALSE;
}

/* The guest stands still, so there is nothing in the overlay: it goes down in no time. */
static void commit_back(QemuTake *take, const QemuStep *step)
{
    VireoQmp *qmp = take->work->qmp;
    g_autofree char *node = qemu_live_node(qmp, step->image, NULL);
    g_autofree char *base = qemu_live_node(qmp, step->other, NULL);
    const char *id = "vireo-undo";

    qemu_job_forget(take->work->dom, id);
    if (!node || !base ||
        !vireo_qmp_run(qmp, "block-commit",
                       vireo_json_new('s', "job-id", id, 's', "device", node, 's', "base-node", base,
                                      'b', "auto-dismiss", FALSE, 0),
                       NULL, NULL))
        return;
    for (guint waited = 0; waited < READY_MS && !is_ready(qmp, id); waited += 5)
        g_usleep(5000);
    vireo_qmp_run(qmp, "job-complete", vireo_json_new('s', "id", id, 0), NULL, NULL);
    qemu_job_wait(take->work->dom, NULL, qmp, id, NULL);
}

static void undo_transaction(QemuTake *take)
{
    QemuWork *work = take->work;

    for (guint i = work->plan->no_return; i-- > 0;) {
        const QemuStep *step = qemu_plan_step(work->plan, i);
        g_autofree char *node = qemu_live_node(work->qmp, step->image, NULL);

        if (is_overlay(step))
            commit_back(take, step);
        if (step->kind == QEMU_STEP_POINT && node)
            vireo_qmp_run(work->qmp, "blockdev-snapshot-delete-internal-sync",
                          vireo_json_new('s', "device", node, 's', "name", step->tag, 0), NULL, NULL);
        if (step->kind == QEMU_STEP_STATE)
            unlink(step->image);
    }
}

/* ---- the moment ------------------------------------------------------------------------ */

static gboolean agent(QemuTake *take, const char *command, GError **error)
{
    g_autofree char *text = g_strdup_printf("{\"execute\":\"%s\"}", command);
    g_autoptr(JsonObject) answer =
        qemu_agent_command(take->work->dom, take->work->call, text, FREEZE_S, error);

    return answer != NULL;
}

static gboolean internal_memory(QemuTake *take, GError **error)
{
    QemuWork *work = take->work;
    JsonArray *nodes = json_array_new();
    g_autofree char *first = NULL;

    for (guint i = 0; i < work->plan->no_return; i++) {
        const QemuStep *step = qemu_plan_step(work->plan, i);
        g_autofree char *node =
            step->kind == QEMU_STEP_POINT ? qemu_live_node(work->qmp, step->image, NULL) : NULL;

        if (!node)
            continue;
        json_array_add_string_element(nodes, node);
        if (!first)
            first = g_steal_pointer(&node);
    }
    return qemu_snapshot_job(work->dom, work->call, work->qmp, "snapshot-save", take->request->name,
                             first, nodes, error);
}

static gboolean capture(QemuTake *take, GError **error)
{
    QemuWork *work = take->work;
    gboolean inside = take->request->memory == QEMU_SNAP_INTERNAL;

    if (!qemu_live_transaction(work->qmp, work->plan, !inside, error))
        return FALSE;
    take->sent = TRUE;
    if (inside)
        return internal_memory(take, error);
    return take->request->memory != QEMU_SNAP_EXTERNAL ||
           qemu_save_memory(work->dom, work->call, work->qmp, take->request->memory_file,
                            take->running, error);
}

static void set_quiet(QemuDomain *dom, gboolean quiet)
{
    g_mutex_lock(&dom->lock);
    dom->quiet_states = quiet;
    g_mutex_unlock(&dom->lock);
}

/* With the guest stopped where there is memory to keep, and going on afterwards. */
static gboolean stopped(QemuTake *take, GError **error)
{
    QemuWork *work = take->work;
    gboolean stop = take->running && take->request->memory != QEMU_SNAP_NO;

    if (stop && !vireo_qmp_run(work->qmp, "stop", NULL, NULL, error))
        return FALSE;
    gboolean done = qemu_work_sent(work, error) && capture(take, error);
    if (!done && take->sent)
        undo_transaction(take);
    /* A paused guest does not run for one instruction, although QEMU has let go of its images. */
    if (stop)
        vireo_qmp_run(work->qmp, "cont", NULL, NULL, NULL);
    return done;
}

gboolean qemu_take_live(void *opaque, GError **error)
{
    QemuTake *take = opaque;
    QemuWork *work = take->work;

    if (!open_overlays(take, error))
        return FALSE;
    gboolean frozen = !take->quiesce || agent(take, "guest-fsfreeze-freeze", error);
    set_quiet(work->dom, TRUE);
    gboolean done = frozen && stopped(take, error);
    set_quiet(work->dom, FALSE);
    if (take->quiesce)
        agent(take, "guest-fsfreeze-thaw", NULL);
    if (!done)
        close_overlays(take, work->plan->no_return);
    return done;
}
