/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taking a snapshot of a running guest: everything at one moment, or nothing. */
#include "images.h"
#include "livestate.h"
#include "save.h"
#include "sidefile.h"
#include "take.h"

/* ---- overlays ----------------------------------------------------------------------- */

static gboolean open_overlay(QemuTake *take, const QemuStep *step, GError **error)
{
    QemuWork *work = take->work;
    QemuDomain *dom = work->dom;
    QemuImage image = { step->image, VIREO_DOMAIN_STORAGE_FORMAT_QCOW2, FALSE, TRUE };

    if (step->kind == QEMU_STEP_COPY)
        return qemu_side_open(dom, work->qmp, step, error);
    if (step->kind == QEMU_STEP_ADOPT &&
        !qemu_image_give(dom->space->driver, dom->uuid_text, &image, error))
        return FALSE;
    if (step->kind == QEMU_STEP_OVERLAY &&
        !qemu_engine_make_overlay(dom, work->call, step->image, step->other, error))
        return FALSE;
    gboolean opened = qemu_live_open(dom, work->qmp, qemu_disk_named(take->machine, step->slot), step->image, error);
    if (step->kind == QEMU_STEP_ADOPT)
        qemu_nodes_forget(dom);
    if (opened)
        return TRUE;
    if (step->kind == QEMU_STEP_OVERLAY)
        qemu_engine_unlink(dom, step->image, NULL);
    return FALSE;
}

static gboolean open_overlays(QemuTake *take, GError **error)
{
    for (guint i = 0; i < take->work->plan->no_return; i++) {
        const QemuStep *step = qemu_plan_step(take->work->plan, i);

        if (!(qemu_step_is_overlay(step) || step->kind == QEMU_STEP_COPY) ||
            open_overlay(take, step, error))
            continue;
        qemu_undo_overlays(take->work, i);
        return FALSE;
    }
    return TRUE;
}

/* ---- the moment ------------------------------------------------------------------------ */

static gboolean internal_memory(QemuTake *take, GError **error)
{
    QemuWork *work = take->work;
    const QemuNodes *known = qemu_nodes_of(work->dom, work->qmp, error);
    g_autofree char *first = NULL;

    if (!known)
        return FALSE;
    JsonArray *nodes = json_array_new();
    for (guint i = 0; i < work->plan->no_return; i++) {
        const QemuStep *step = qemu_plan_step(work->plan, i);
        g_autofree char *node = qemu_nodes_find(known, step->image, FALSE);

        if (step->kind != QEMU_STEP_POINT)
            continue;
        if (!node) {
            qemu_error(error, VIREO_ERR_OPERATION_FAILED, "QEMU has no image %s", step->image);
            json_array_unref(nodes);
            return FALSE;
        }
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

    take->sent = qemu_live_transaction(work->dom, work->qmp, work->plan, !inside, error);
    gboolean taken = take->sent && qemu_side_wait(work->dom, work->call, work->qmp, work->plan, error) &&
                     (!inside || internal_memory(take, error));
    if (!taken)
        qemu_lost_note_points(work->dom, work->plan);
    if (!taken || !qemu_lost_check_points(work->plan, error))
        return FALSE;
    if (take->request->memory != QEMU_SNAP_EXTERNAL)
        return TRUE;
    gboolean saved = qemu_save_memory(work->dom, work->call, work->qmp, take->request->memory_file,
                                      take->running, error);
    /* What is undone writes to images, and a paused guest's are written to by jobs. */
    if (!saved || !take->running || take->request->kinds[QEMU_SNAP_MANUAL])
        qemu_live_wake(work->dom, work->qmp, NULL);
    return saved;
}

static void set_quiet(QemuDomain *dom, gboolean quiet)
{
    g_mutex_lock(&dom->lock);
    dom->quiet_states = quiet;
    g_mutex_unlock(&dom->lock);
}

/* Until its owner has copied what was to be copied by hand. */
static void stay_paused(QemuDomain *dom)
{
    qemu_domain_set_state(dom, VIREO_DOMAIN_PAUSED, VIREO_DOMAIN_PAUSED_SNAPSHOT);
    qemu_domain_publish(dom);
    qemu_live_touch(dom);
}

/* With the guest stopped where there is memory to keep, and going on afterwards. */
static gboolean stopped(QemuTake *take, GError **error)
{
    QemuWork *work = take->work;
    gboolean manual = take->request->kinds[QEMU_SNAP_MANUAL] > 0;
    gboolean stop = take->running && (manual || take->request->memory != QEMU_SNAP_NO ||
                                      qemu_side_needs_stop(work->plan));

    if (!qemu_quiesce_begin(take, error) || !qemu_work_sent(work, error))
        return FALSE;
    set_quiet(work->dom, TRUE);
    gboolean done = (!stop || vireo_qmp_run(work->qmp, "stop", NULL, NULL, error)) && capture(take, error);
    if (!done && take->sent)
        qemu_undo_transaction(work);
    /* A paused guest does not run for one instruction, although QEMU has let go of its images. */
    if (stop && !(done && manual))
        vireo_qmp_run(work->qmp, "cont", NULL, NULL, NULL);
    set_quiet(work->dom, FALSE);
    if (stop && done && manual)
        stay_paused(work->dom);
    return done;
}

gboolean qemu_take_live(void *opaque, GError **error)
{
    QemuTake *take = opaque;
    QemuWork *work = take->work;

    if (!open_overlays(take, error))
        return FALSE;
    gboolean done = take->live ? qemu_take_going_on(take, error) : stopped(take, error);
    gboolean thawed = qemu_quiesce_end(take, done ? error : NULL);
    if (done && !thawed)
        qemu_undo_transaction(work);
    if (!done || !thawed)
        qemu_undo_overlays(work, work->plan->no_return);
    else
        qemu_side_close(work->qmp, work->plan);
    return done && thawed;
}
