/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Going back. Everything is checked before a running guest is disturbed. */
#include "ops.h"
#include "snapshot.h"

#include <errno.h>
#include <string.h>

#include "bitmaps.h"
#include "checkpoint.h"
#include "events.h"
#include "firmware.h"
#include "images.h"
#include "process.h"
#include "revert.h"
#include "save.h"
#include "sidefile.h"
#include "take.h"
#include "tell.h"

static void revert_clear(QemuRevert *revert)
{
    qemu_def_unref(revert->def);
    if (revert->tops)
        g_ptr_array_unref(revert->tops);
    vireo_qmp_unref(revert->qmp);
    qemu_graph_free(revert->graph);
    qemu_plan_free(revert->plan);
    g_clear_pointer(&revert->left, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QemuRevert, revert_clear)

static gboolean plan(QemuRevert *revert, guint flags, GError **error)
{
    QemuDomain *dom = revert->dom;
    const QemuSnap *snap = revert->snap;
    gboolean memory = qemu_snap_has_memory(snap);
    g_autoptr(QemuDef) live = qemu_domain_live(dom);

    if (!snap->doc->domain) {
        qemu_refuse(error, VIREO_ERR_SNAPSHOT_REVERT_RISKY,
                    "redefine it with a <domain> (snapshot-create --redefine)",
                    "snapshot '%s' does not say what machine it was taken of", snap->doc->name);
        return FALSE;
    }
    revert->start = memory || (flags & (VIREO_DOMAIN_SNAPSHOT_REVERT_RUNNING |
                                        VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED));
    revert->paused = (flags & VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED) ||
                     (memory && snap->doc->state == VIREO_DOMAIN_SNAPSHOT_STATE_PAUSED &&
                      !(flags & VIREO_DOMAIN_SNAPSHOT_REVERT_RUNNING));
    if (!revert->start && !dom->config) {
        qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                    "flag RUNNING or PAUSED",
                    "domain '%s' is transient and would be gone after reverting to snapshot '%s', which is "
                   "of a stopped guest", dom->name, snap->doc->name);
        return FALSE;
    }
    if (dom->managed_save && !revert->force) {
        qemu_refuse(error, VIREO_ERR_SNAPSHOT_REVERT_RISKY,
                    "managedsave-remove first, or flag FORCE, which removes it",
                    "domain '%s' has a managed save image: it would be started on disks it does not "
                   "belong to", dom->name);
        return FALSE;
    }
    g_autoptr(VireoDomain) doc = vireo_domain_copy(snap->doc->domain);
    if (!qemu_def_complete(dom->space, doc, error))
        return FALSE;
    g_free(doc->name); /* it may have been renamed since */
    doc->name = g_strdup(dom->name);
    if (!qemu_revert_keep_disks(revert, doc, error))
        return FALSE;
    revert->def = qemu_def_new(g_steal_pointer(&doc));
    if (revert->reset_nvram && !qemu_nvram_can_reset(revert->def->doc, error))
        return FALSE;
    if (!qemu_nvram_is_own(dom, revert->def->doc, FALSE, error))
        return FALSE;
    revert->qmp = live ? qemu_domain_monitor(dom, error) : NULL;
    if (live && !revert->qmp)
        return FALSE;
    if (!qemu_revert_plan(revert, error))
        return FALSE;
    revert->tops = qemu_snapshot_tops(dom, revert->in_place ? live->doc : revert->def->doc,
                                      revert->in_place ? revert->qmp : NULL, error);
    return revert->tops && qemu_snapshot_complete(snap, revert->def->doc, revert->tops, error);
}

/* What they say is not true of what the snapshot holds, and QEMU does not go back while they are there. */
static gboolean drop_bitmaps(QemuRevert *revert, VireoQmp *qmp, GError **error)
{
    for (guint i = 0; i < revert->tops->len; i++) {
        const QemuTop *top = revert->tops->pdata[i];
        g_autofree char *real = qemu_real_path(top->path);

        if (real && qemu_snap_has_disk(revert->snap, top->dev) &&
            !qemu_bitmaps_drop(revert->dom, revert->call, qmp, real, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- in the running QEMU ------------------------------------------------------- */

static void set_quiet(QemuDomain *dom, gboolean quiet)
{
    g_mutex_lock(&dom->lock);
    dom->quiet_states = quiet;
    g_mutex_unlock(&dom->lock);
}

static gboolean load_in_place(QemuRevert *revert, GError **error)
{
    QemuDomain *dom = revert->dom;
    gboolean was_running = dom->state == VIREO_DOMAIN_RUNNING;

    set_quiet(dom, TRUE);
    /* Stopped first: not one instruction runs between loading and the state that was asked for. */
    gboolean loaded = vireo_qmp_run(revert->qmp, "stop", NULL, NULL, error) &&
                      drop_bitmaps(revert, revert->qmp, error) &&
                      qemu_snapshot_load_job(dom, revert->call, revert->qmp,
                                             revert->snap->doc->name, error) &&
                      qemu_side_load(dom, revert->call, revert->qmp, revert->snap->doc, error);
    gboolean go = loaded ? !revert->paused : was_running;
    if (go && !vireo_qmp_run(revert->qmp, "cont", NULL, NULL, loaded ? error : NULL))
        loaded = FALSE;
    set_quiet(dom, FALSE);
    if (!loaded)
        return FALSE;
    gboolean same = was_running == go;
    qemu_domain_set_state(dom, go ? VIREO_DOMAIN_RUNNING : VIREO_DOMAIN_PAUSED,
                          go ? VIREO_DOMAIN_RUNNING_FROM_SNAPSHOT
                             : VIREO_DOMAIN_PAUSED_FROM_SNAPSHOT);
    if (same && go)
        qemu_domain_publish_event(dom, VIREO_DOMAIN_EVENT_RESUMED,
                                  VIREO_DOMAIN_EVENT_RESUMED_FROM_SNAPSHOT);
    else
        qemu_domain_publish(dom);
    return TRUE;
}

/* ---- in the images of a stopped guest ------------------------------------------ */

#define UNDO_TAG "vireo-undo"

static gboolean image_each(QemuRevert *revert, guint count, char what, const char *tag, GError **error)
{
    for (guint i = 0, done = 0; i < revert->tops->len && done < count; i++) {
        const QemuTop *top = revert->tops->pdata[i];

        if (!qemu_snap_has_disk(revert->snap, top->dev))
            continue;
        done++;
        if (!qemu_snapshot_image_do(revert->dom, NULL, top->path, what, tag, error))
            return FALSE;
    }
    return TRUE;
}

/* Of an attempt that was cut short. */
static void drop_undo(QemuRevert *revert)
{
    for (guint i = 0; i < revert->tops->len; i++) {
        const QemuTop *top = revert->tops->pdata[i];

        if (qemu_snap_has_disk(revert->snap, top->dev) && qemu_top_holds(top, UNDO_TAG, NULL))
            qemu_snapshot_image_do(revert->dom, NULL, top->path, 'd', UNDO_TAG, NULL);
    }
}

/* On disk from before the first image is changed until the last one has been. */
static char *journal_key(QemuDomain *dom)
{
    return g_strdup_printf("revert/%s/%s", dom->space->key, dom->uuid_text);
}

static gboolean journal_begin(QemuDomain *dom, GError **error)
{
    QemuDriver *driver = dom->space->driver;
    g_autofree char *key = journal_key(dom);

    if (driver->host->state_save(driver->core, key, UNDO_TAG, strlen(UNDO_TAG)) == 0)
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot note down the revert: %s",
               g_strerror(errno));
    return FALSE;
}

static void journal_end(QemuDomain *dom)
{
    g_autofree char *key = journal_key(dom);

    dom->space->driver->host->state_drop(dom->space->driver->core, key);
}

static void journal_seen(const char *key, const void *data, size_t len, void *opaque)
{
    *(gboolean *)opaque = TRUE;
}

/* All disks or none: what they hold now is kept aside until the last one has gone back. */
static gboolean apply_to_images(QemuRevert *revert, GError **error)
{
    const guint all = G_MAXUINT;

    drop_undo(revert);
    if (!image_each(revert, all, 'c', UNDO_TAG, error)) {
        image_each(revert, all, 'd', UNDO_TAG, NULL);
        return FALSE;
    }
    if (!journal_begin(revert->dom, error)) {
        image_each(revert, all, 'd', UNDO_TAG, NULL);
        return FALSE;
    }
    if (!drop_bitmaps(revert, NULL, error)) {
        journal_end(revert->dom);
        image_each(revert, all, 'd', UNDO_TAG, NULL);
        return FALSE;
    }
    gboolean applied = image_each(revert, all, 'a', revert->snap->doc->name, error);
    if (!applied)
        image_each(revert, all, 'a', UNDO_TAG, NULL);
    journal_end(revert->dom);
    image_each(revert, all, 'd', UNDO_TAG, NULL);
    return applied;
}

/* The daemon died between the first disk and the last: all go back to what they held before. */
void qemu_revert_recover(QemuDomain *dom)
{
    g_autofree char *key = journal_key(dom);
    g_autoptr(QemuDef) config = qemu_domain_config(dom);
    QemuDriver *driver = dom->space->driver;
    gboolean found = FALSE, whole = TRUE;

    driver->host->state_each(driver->core, key, journal_seen, &found);
    if (!found || !config || qemu_domain_active(dom))
        return;
    g_autoptr(GPtrArray) tops = qemu_snapshot_tops(dom, config->doc, NULL, NULL);
    for (guint i = 0; tops && i < tops->len; i++) {
        const QemuTop *top = tops->pdata[i];

        if (qemu_top_holds(top, UNDO_TAG, NULL))
            whole &= qemu_snapshot_image_do(dom, NULL, top->path, 'a', UNDO_TAG, NULL);
    }
    driver->host->log(driver->core, VIREO_LOG_WARNING, dom->space->uri,
                      tops && whole ? "domain '%s': a revert that was cut short is undone"
                                    : "domain '%s': a revert was cut short and cannot be undone yet",
                      dom->name);
    if (tops && whole)
        journal_end(dom);
}

gboolean qemu_revert_start(QemuRevert *revert, GError **error)
{
    const char *file = qemu_snap_memory_file(revert->snap);
    QemuStart how = { .paused = revert->paused,
                      .incoming_fd = -1,
                      .snapshot = qemu_snap_has_memory(revert->snap) && !file
                                      ? revert->snap->doc->name : NULL,
                      .running_reason = VIREO_DOMAIN_RUNNING_FROM_SNAPSHOT,
                      .paused_reason = VIREO_DOMAIN_PAUSED_FROM_SNAPSHOT,
                      .def = revert->def,
                      .reset_nvram = revert->reset_nvram };

    if (file && qemu_snap_has_memory(revert->snap) &&
        (how.incoming_fd = qemu_save_open(file, error)) < 0)
        return FALSE;
    return qemu_process_start(revert->dom, revert->call, &how, error);
}

static gboolean through_restart(QemuRevert *revert, GError **error)
{
    if (revert->qmp)
        qemu_process_kill(revert->dom, VIREO_DOMAIN_SHUTOFF_FROM_SNAPSHOT);
    if (qemu_snap_has_memory(revert->snap) ? !drop_bitmaps(revert, NULL, error)
                                           : !apply_to_images(revert, error))
        return FALSE;
    return !revert->start || qemu_revert_start(revert, error);
}

static gboolean adopt_definition(QemuRevert *revert, GError **error)
{
    QemuDomain *dom = revert->dom;

    if (!dom->config)
        return TRUE;
    g_autoptr(QemuDef) def = qemu_def_new(qemu_revert_definition(revert));
    return qemu_domain_store(dom, def, error);
}

static gboolean go_back(QemuRevert *revert, GError **error)
{
    if (revert->force && revert->dom->managed_save && !qemu_managed_drop(revert->dom, error))
        return FALSE;
    if (revert->branches)
        return qemu_revert_branch(revert, error);
    return (revert->in_place ? load_in_place(revert, error) : through_restart(revert, error)) &&
           adopt_definition(revert, error) &&
           qemu_tree_set_current(revert->dom, revert->snap->doc->name, error);
}

static void tell_guest(QemuTell *tell, const QemuRevert *revert)
{
    if (revert->in_place)
        qemu_tell_guest(tell, VIREO_PLAN_GUEST_LOADED, qemu_tell_pause(0));
    else if (revert->qmp)
        qemu_tell_guest(tell, revert->start ? VIREO_PLAN_GUEST_RESTARTED : VIREO_PLAN_GUEST_STOPPED, -1);
    else if (revert->start)
        qemu_tell_guest(tell, VIREO_PLAN_GUEST_STARTED, 0);
}

/* The counterpart of go_back. */
static void tell_back(QemuTell *tell, const QemuRevert *revert)
{
    const char *name = revert->snap->doc->name;

    if (revert->force && revert->dom->managed_save) {
        g_autofree char *saved = qemu_domain_path(revert->dom, revert->dom->space->save_dir, ".save");

        qemu_tell_step(tell, "unlink", VIREO_PLAN_REMOVES, saved, NULL, 0,
                       "remove the managed save image %s", saved);
    }
    if (revert->branches || !qemu_snap_has_memory(revert->snap)) {
        qemu_tell_plan(tell, revert->plan, revert->graph);
    } else {
        qemu_tell_step(tell, "load", VIREO_PLAN_CHANGES, NULL, NULL, 0,
                       revert->in_place ? "load internal snapshot '%s' into the QEMU that runs"
                                        : "start a QEMU that loads internal snapshot '%s'", name);
        qemu_tell_records(tell, revert->plan);
    }
    for (guint i = 0; revert->branches && i < revert->left->len; i++)
        qemu_tell_kept(tell, revert->left->pdata[i], NULL,
                       g_strdup("it holds what was there before, until the next revert that leaves one"));
    tell_guest(tell, revert);
}

int qemu_snapshot_revert(QemuConn *conn, vireo_call *call,
                         const vireo_domain_revert_to_snapshot_args *args, vireo_plan *told)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->snap.dom);
    g_auto(QemuRevert) revert = { .dom = dom, .call = call };

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(QemuSnap) snap = qemu_tree_find(dom->tree, args->snap.name);
    if (!snap)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN_SNAPSHOT,
                                        "domain '%s' has no snapshot '%s'; instead: one of "
                                        "snapshot-list", dom->name,
                                        args->snap.name);
    revert.snap = snap;
    revert.reset_nvram = (args->flags & VIREO_DOMAIN_SNAPSHOT_REVERT_RESET_NVRAM) != 0;
    revert.force = (args->flags & VIREO_DOMAIN_SNAPSHOT_REVERT_FORCE) != 0;
    if (!qemu_blockjobs_none(dom, NULL, &error) || !plan(&revert, args->flags, &error))
        return qemu_fail(conn->driver, call, error);
    if (told) {
        g_autoptr(QemuTell) tell = qemu_tell_new(dom, call);

        tell_back(tell, &revert);
        qemu_tell_fill(tell, told);
        return VIREO_OK;
    }
    qemu_process_revive(dom, TRUE);
    gboolean back = go_back(&revert, &error);
    qemu_process_revive(dom, FALSE);
    if (back)
        qemu_checkpoints_reseat(dom);
    if (back && qemu_snap_has_memory(snap) && qemu_quiesce_noted(dom, snap->doc->name))
        qemu_quiesce_release(dom);
    qemu_domain_publish(dom);
    if (!dom->gone)
        qemu_tree_publish(dom); /* also when the guest did not start: the disks have gone back */
    return back ? VIREO_OK : qemu_fail(conn->driver, call, error);
}
