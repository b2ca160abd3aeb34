/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One plan from its first step to its last, with a journal that is always ahead of it. */
#include "engine.h"

#include <errno.h>
#include <string.h>

#include "change.h"
#include "coalesce.h"
#include "images.h"
#include "remote.h"
#include "sidefile.h"
#include "take.h"
#include "tell.h"

#define UNLINK_MAX 16 /* at once; the rest goes in the background */
#define POINTS_MAX 64
#define LOOK_US (2 * G_USEC_PER_SEC) /* not more often for operations that only add */

typedef struct {
    QemuPlan *plan;
    guint begun;
    gboolean sent, goes_on, stops, freezes;
    VireoDomainSnapshot *keep;
    VireoDomain *definition;
} Journal;

static void journal_clear(Journal *journal)
{
    qemu_plan_free(journal->plan);
    vireo_domain_snapshot_free(journal->keep);
    vireo_domain_free(journal->definition);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Journal, journal_clear)

static char *journal_key(QemuDomain *dom)
{
    return g_strdup_printf("plan/%s/%s", dom->space->key, dom->uuid_text);
}

static gboolean journal_save(const QemuWork *work, guint begun, gboolean sent, GError **error)
{
    QemuDomain *dom = work->dom;
    QemuDriver *driver = dom->space->driver;
    g_autofree char *key = journal_key(dom), *plan = qemu_plan_text(work->plan);
    g_autofree char *keep =
        work->keep ? vireo_domain_snapshot_format(work->keep, VIREO_MODEL_FORMAT_SECURE) : NULL;
    g_autofree char *definition =
        work->definition ? vireo_domain_format(work->definition, VIREO_MODEL_FORMAT_SECURE |
                                                                     VIREO_MODEL_FORMAT_INACTIVE)
                         : NULL;
    g_autoptr(JsonObject) object =
        vireo_json_new('s', "plan", plan, 'i', "begun", (gint64)begun, 'b', "sent", sent, 's', "keep",
                       keep, 's', "definition", definition, 'b', "goes-on", work->goes_on, 'b', "stops",
                       work->stops, 'b', "freezes", work->freezes, 0);
    g_autofree char *text = vireo_json_text(object);

    if (driver->host->state_save(driver->core, key, text, strlen(text)) == 0)
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot note down what is done to domain '%s': %s",
               dom->name, g_strerror(errno));
    return FALSE;
}

/* One that cannot be removed would be carried out once more by the next daemon. */
static void journal_end(QemuDomain *dom)
{
    g_autofree char *key = journal_key(dom);

    dom->unfinished = dom->space->driver->host->state_drop(dom->space->driver->core, key) != 0;
    if (dom->unfinished)
        qemu_coalesce(dom);
}

/* The journal stays, and what it says is done when that is possible: before the next operation, or soon. */
static gboolean put_off(QemuDomain *dom, GError **error)
{
    dom->unfinished = TRUE;
    qemu_coalesce(dom);
    g_prefix_error(error, "the operation is finished, or undone, as soon as that can be written: ");
    return FALSE;
}

gboolean qemu_work_sent(QemuWork *work, GError **error)
{
    return journal_save(work, work->plan->no_return, TRUE, error);
}

/* ---- steps that change what the driver knows ----------------------------------------- */

static gboolean point_disk_at(VireoDomain *doc, const QemuStep *step)
{
    VEC_EACH(doc->devices->disks, i)
    {
        VireoDomainDisk *disk = doc->devices->disks.items[i];

        if (!g_str_equal(disk->target->dev, step->slot))
            continue;
        g_autofree char *real = qemu_real_path(qemu_disk_path(disk));
        if (!g_strcmp0(real, step->image))
            return FALSE;
        qemu_disk_set_image(disk, step->image, FALSE, VIREO_DOMAIN_STORAGE_FORMAT_QCOW2);
        return TRUE;
    }
    return FALSE;
}

static const char *disk_path(const VireoDomain *doc, const char *dev)
{
    const VireoDomainDisk *disk = qemu_disk_named(doc, dev);

    return disk ? qemu_disk_path(disk) : NULL;
}

static gboolean switch_disk(QemuWork *work, const QemuStep *step, GError **error)
{
    QemuDomain *dom = work->dom;
    g_autoptr(QemuDef) config = qemu_domain_config(dom), live = qemu_domain_live(dom);

    if (work->definition && config) {
        VireoDomain *doc = vireo_domain_copy(work->definition);
        g_free(doc->name);
        doc->name = g_strdup(dom->name);
        g_autoptr(QemuDef) def = qemu_def_new(doc);
        return qemu_domain_store(dom, def, error);
    }
    /* A stored definition that names another image for the disk is left as it is. */
    if (config && (!live || !g_strcmp0(disk_path(config->doc, step->slot),
                                       disk_path(live->doc, step->slot)))) {
        VireoDomain *doc = vireo_domain_copy(config->doc);
        g_autoptr(QemuDef) def = qemu_def_new(doc);

        if (point_disk_at(doc, step) && !qemu_domain_store(dom, def, error))
            return FALSE;
    }
    if (live) {
        g_autoptr(VireoDomain) doc = vireo_domain_copy(live->doc);

        if (point_disk_at(doc, step))
            qemu_change_live_to(dom, g_steal_pointer(&doc));
    }
    return TRUE;
}

static gboolean set_current(QemuDomain *dom, const char *name, GError **error)
{
    g_autoptr(QemuSnap) snap = qemu_tree_find(dom->tree, name);

    return !snap || qemu_tree_set_current(dom, name, error);
}

/* What QEMU has to do with it. *done: there is nothing else to do. */
static gboolean live_step(QemuWork *work, const QemuStep *step, gboolean *done, GError **error)
{
    if (!work->qmp && qemu_domain_active(work->dom))
        work->qmp = work->own_qmp = qemu_domain_monitor(work->dom, NULL);
    return !work->qmp || qemu_live_step(work->dom, work->call, work->qmp, step, done, error);
}

/* A big one takes its time. */
static gboolean remove_image(QemuDomain *dom, const char *path, GError **error)
{
    if (!qemu_domain_share_job(dom, error))
        return FALSE;
    gboolean removed = qemu_engine_remove(dom, path, error);
    qemu_domain_unshare_job(dom);
    return removed;
}

guint qemu_work_unlink(QemuWork *work, guint from, guint most, const QemuStep **failed, GError **error)
{
    const QemuPlan *plan = work->plan;
    g_autoptr(GPtrArray) gone = g_ptr_array_new();
    gboolean done;
    guint n = 0;

    *failed = NULL;
    for (; n < most && !*failed && from + n < plan->steps->len; n++) {
        const QemuStep *step = qemu_plan_step(plan, from + n);

        if (step->kind != QEMU_STEP_UNLINK || (n && qemu_domain_must_yield(work->dom)))
            break;
        if (live_step(work, step, &done, error) && remove_image(work->dom, step->image, error))
            g_ptr_array_add(gone, step->image);
        else
            *failed = step;
    }
    if (!qemu_files_gone(work->dom, (const char *const *)gone->pdata, gone->len, *failed ? NULL : error) && !*failed)
        *failed = qemu_plan_step(plan, from);
    return n;
}

gboolean qemu_work_step(QemuWork *work, const QemuStep *step, GError **error)
{
    QemuDomain *dom = work->dom;
    gboolean done = FALSE;

    switch (step->kind) {
    case QEMU_STEP_KEEP:
        return !work->keep ||
               qemu_tree_put(dom, qemu_snap_new(vireo_domain_snapshot_copy(work->keep)), error);
    case QEMU_STEP_FORGET:
        return qemu_tree_remove(dom, (const char *const *)&step->tag, 1, error);
    case QEMU_STEP_CURRENT:
        return set_current(dom, step->tag, error);
    case QEMU_STEP_SWITCH:
        return switch_disk(work, step, error);
    case QEMU_STEP_REPLACE:
        return qemu_side_replace(step->image, step->other, error);
    default:
        if (!live_step(work, step, &done, error))
            return FALSE;
        return done || qemu_engine_image_step(dom, work->call, step, error);
    }
}

static gboolean is_bookkeeping(QemuStepKind kind)
{
    return kind == QEMU_STEP_KEEP || kind == QEMU_STEP_FORGET || kind == QEMU_STEP_CURRENT ||
           kind == QEMU_STEP_SWITCH || kind == QEMU_STEP_REPLACE;
}

/* ---- in order ------------------------------------------------------------------------- */

static void add_all(GHashTable *set, const QemuGraph *graph, guint flags)
{
    g_autoptr(GPtrArray) files = qemu_graph_files(graph, flags);

    for (guint i = 0; i < files->len; i++)
        g_hash_table_add(set, g_strdup(files->pdata[i]));
}

static void note_released(const char *path, const char *tag, void *opaque)
{
    g_hash_table_add(((QemuFiles *)opaque)->points, qemu_point_note(path, tag));
}

/* Those that the plan removes, and those that it cannot. Of what could not be read nothing is known. */
static void note_points(const QemuPlan *plan, const QemuGraph *after, QemuFiles *files)
{
    GHashTableIter iter;
    gpointer known;
    const char *image;

    g_hash_table_iter_init(&iter, files->points);
    while (g_hash_table_iter_next(&iter, &known, NULL)) {
        g_autofree char *tag = qemu_point_read(known, &image);

        if (!tag || qemu_graph_has(after, image))
            g_hash_table_iter_remove(&iter);
    }
    qemu_graph_each_released_point(after, note_released, files);
    for (guint i = 0; i < plan->steps->len; i++) {
        const QemuStep *step = qemu_plan_step(plan, i);
        g_autofree char *note = step->tag && step->image ? qemu_point_note(step->image, step->tag) : NULL;

        if (i >= plan->no_return && step->kind == QEMU_STEP_DROP_POINT)
            g_hash_table_add(files->points, g_steal_pointer(&note));
    }
}

/* Of what is gone, or was written to since, nothing is said any more. */
static void check_given(const QemuWork *work, QemuFiles *files)
{
    GHashTableIter iter;
    gpointer known;
    const char *image;

    g_hash_table_iter_init(&iter, files->given);
    while (g_hash_table_iter_next(&iter, &known, NULL)) {
        g_autofree char *tag = qemu_point_read(known, &image);

        if (!tag || (qemu_graph_has(work->after, image) ? !qemu_graph_give(work->after, image, tag)
                                                        : !qemu_is_remote(image) &&
                                                              !g_file_test(image, G_FILE_TEST_EXISTS)))
            g_hash_table_iter_remove(&iter);
    }
}

/* What the images of a new snapshot are, and what they are put on. */
static void note_new(const QemuWork *work, QemuFiles *files)
{
    for (guint i = 0; i < work->plan->no_return; i++) {
        const QemuStep *step = qemu_plan_step(work->plan, i);
        gboolean overlay = qemu_step_is_overlay(step);

        if (overlay)
            g_hash_table_add(files->bases, g_strdup(step->other));
        if (step->image && (qemu_graph_flags(work->after, step->image) & QEMU_FILE_OWNED))
            g_hash_table_add(files->owned, g_strdup(step->image));
        if (work->given && (overlay || step->kind == QEMU_STEP_POINT))
            g_hash_table_add(files->given, qemu_point_note(overlay ? step->other : step->image, work->given));
    }
}

static gboolean note_added(const QemuWork *work, GError **error)
{
    g_autoptr(QemuFiles) more = qemu_files_new();

    note_new(work, more);
    return qemu_files_add(work->dom, more, error);
}

/* Of what could not be read nothing else is known. */
static gboolean is_in_graph(gpointer path, gpointer value, gpointer graph)
{
    return qemu_graph_has(graph, path);
}

/* What can be collected is on disk before the first reference goes. */
static gboolean note_files(const QemuWork *work, GError **error)
{
    if (!work->after)
        return TRUE;
    if (work->only_adds)
        return note_added(work, error);
    g_autoptr(QemuFiles) files = qemu_files_load(work->dom);
    g_hash_table_foreach_remove(files->released, is_in_graph, work->after);
    note_new(work, files);
    check_given(work, files);
    add_all(files->owned, work->after, QEMU_FILE_OWNED);
    add_all(files->released, work->after, QEMU_FILE_OWNED | QEMU_FILE_RELEASED);
    for (guint i = work->plan->no_return; i < work->plan->steps->len; i++)
        if (qemu_plan_step(work->plan, i)->kind == QEMU_STEP_UNLINK)
            g_hash_table_add(files->released, g_strdup(qemu_plan_step(work->plan, i)->image));
    note_points(work->plan, work->after, files);
    if (work->left)
        g_hash_table_remove_all(files->kept);
    for (guint i = 0; work->left && i < work->left->len; i++)
        g_hash_table_add(files->kept, g_strdup(work->left->pdata[i]));
    return qemu_files_save(work->dom, files, error);
}

/* A chain that the coalescer is to look at, although nothing is to be collected. */
static gboolean is_too_long(const QemuWork *work)
{
    guint above = (guint)work->dom->space->driver->config.shorten_above;
    g_autoptr(QemuDef) now = qemu_domain_current(work->dom);
    g_autoptr(GPtrArray) released =
        work->after ? qemu_graph_files(work->after, QEMU_FILE_OWNED | QEMU_FILE_RELEASED) : NULL;

    for (guint i = 0; released && released->len && now && i < now->doc->devices->disks.n; i++) {
        g_autofree char *real = qemu_real_path(qemu_disk_path(now->doc->devices->disks.items[i]));

        if (real && qemu_graph_depth(work->after, real) > above)
            return TRUE;
    }
    return FALSE;
}

/* What could not be collected before, and was not asked for: others may have let go of it since. Or nobody knows yet. */
static gboolean has_more(const QemuWork *work)
{
    g_autoptr(QemuPlan) plan = qemu_plan_new();

    if (work->after)
        qemu_plan_collect(work->after, plan, 0);
    return plan->steps->len > 0 || (work->after && qemu_graph_incomplete(work->after));
}

/* All that are forgotten one after the other, at once. */
static gboolean forget_run(QemuWork *work, guint *at, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (; *at < work->plan->steps->len && qemu_plan_step(work->plan, *at)->kind == QEMU_STEP_FORGET; (*at)++)
        g_ptr_array_add(names, qemu_plan_step(work->plan, *at)->tag);
    return qemu_tree_remove(work->dom, (const char *const *)names->pdata, names->len, error);
}

static gboolean keep_books(QemuWork *work, guint *at, GError **error)
{
    while (*at < work->plan->steps->len && is_bookkeeping(qemu_plan_step(work->plan, *at)->kind)) {
        if (qemu_plan_step(work->plan, *at)->kind == QEMU_STEP_FORGET) {
            if (!forget_run(work, at, error))
                return FALSE;
        } else if (!qemu_work_step(work, qemu_plan_step(work->plan, (*at)++), error)) {
            return FALSE;
        }
    }
    return TRUE;
}

static void log_put_off(const QemuWork *work, const QemuStep *step, const GError *error)
{
    QemuDriver *driver = work->dom->space->driver;

    driver->host->log(driver->core, VIREO_LOG_WARNING, work->dom->space->uri,
                      "domain '%s': step '%s' on %s of a snapshot operation is put off: %s", work->dom->name,
                      qemu_step_kind_name(step->kind), step->image, error->message);
}

/* What takes its time is left to the coalescer, and what follows, which may need it. */
static gboolean is_for_later(QemuStepKind kind, guint points, guint unlinks)
{
    return kind == QEMU_STEP_PULL || (kind == QEMU_STEP_UNLINK && !unlinks) || (kind == QEMU_STEP_DROP_POINT && !points);
}

gboolean qemu_work_collect(QemuWork *work, guint at, guint points, guint unlinks)
{
    gboolean more = FALSE;

    while (at < work->plan->steps->len) {
        const QemuStep *step = qemu_plan_step(work->plan, at), *failed = NULL;
        g_autoptr(GError) failure = NULL;

        if (is_for_later(step->kind, points, unlinks)) /* and noted down */
            return TRUE;
        if (step->kind == QEMU_STEP_UNLINK) {
            guint n = qemu_work_unlink(work, at, unlinks, &failed, &failure);
            unlinks -= n;
            at += n;
        } else {
            points -= step->kind == QEMU_STEP_DROP_POINT;
            failed = qemu_work_step(work, step, &failure) ? NULL : step;
            at++;
        }
        more |= failed || step->kind == QEMU_STEP_DROP_POINT; /* which is noted down */
        if (failed)
            log_put_off(work, failed, failure);
    }
    return more;
}

/* Nothing is lost when collecting stops in the middle: what is left over is known as released. */
static gboolean finish(QemuWork *work, GError **error)
{
    guint at = work->plan->no_return;

    if (!keep_books(work, &at, error))
        return put_off(work->dom, error);
    if (work->after_switch && !work->after_switch(work->opaque, error)) {
        journal_end(work->dom);
        qemu_coalesce(work->dom); /* what follows is noted down */
        return FALSE;
    }
    gboolean more = qemu_work_collect(work, at, POINTS_MAX, UNLINK_MAX);
    journal_end(work->dom);
    if (work->only_adds)
        qemu_coalesce_from(work->dom, work->dom->looked + LOOK_US);
    else if (more || has_more(work) || is_too_long(work))
        qemu_coalesce(work->dom);
    return TRUE;
}

static void roll_back(QemuDomain *dom, const QemuPlan *plan, guint done)
{
    g_autoptr(QemuPlan) back = qemu_plan_rollback(plan, done);

    for (guint i = 0; back && i < back->steps->len; i++)
        qemu_engine_image_step(dom, NULL, qemu_plan_step(back, i), NULL);
}

static gboolean first_steps(QemuWork *work, guint *done, GError **error)
{
    for (*done = 0; *done < work->plan->no_return; (*done)++)
        if (!journal_save(work, *done + 1, FALSE, error) ||
            !qemu_engine_image_step(work->dom, work->call, qemu_plan_step(work->plan, *done), error))
            return FALSE;
    return TRUE;
}

static gboolean run(QemuWork *work, GError **error)
{
    guint done = 0;
    gboolean begun = work->before_by_hand
                         ? journal_save(work, work->plan->no_return, FALSE, error)
                         : first_steps(work, &done, error);

    gboolean passed = begun && (!work->middle || work->middle(work->opaque, error));

    if (passed && note_files(work, error) && journal_save(work, work->plan->no_return + 1, FALSE, error))
        return finish(work, error);
    for (guint i = 0; !passed && i < work->plan->no_return; i++)
        if (qemu_plan_step(work->plan, i)->image)
            qemu_error_add_room(error, qemu_plan_step(work->plan, i)->image);
    if (passed && work->before_by_hand)
        return put_off(work->dom, error); /* the guest writes to the overlays */
    roll_back(work->dom, work->plan, done);
    journal_end(work->dom);
    return FALSE;
}

gboolean qemu_work_run(QemuWork *work, GError **error)
{
    if (work->tell) {
        qemu_tell_plan(work->tell, work->plan, work->after);
        return TRUE;
    }
    gboolean done = run(work, error);

    vireo_qmp_unref(work->own_qmp);
    return done;
}

/* ---- after an accident ----------------------------------------------------------------- */

static void journal_read(const char *key, const void *data, size_t len, void *opaque)
{
    g_autoptr(JsonObject) saved = vireo_json_parse(data, (gssize)len, NULL);
    const char *plan = vireo_json_string(saved, "plan"), *keep = vireo_json_string(saved, "keep");
    const char *definition = vireo_json_string(saved, "definition");
    Journal *journal = opaque;

    if (!plan || journal->plan)
        return;
    journal->plan = qemu_plan_parse(plan, strlen(plan), NULL);
    journal->begun = (guint)vireo_json_int(saved, "begun", 0);
    journal->sent = vireo_json_bool(saved, "sent");
    journal->goes_on = vireo_json_bool(saved, "goes-on");
    journal->stops = vireo_json_bool(saved, "stops");
    journal->freezes = vireo_json_bool(saved, "freezes");
    journal->keep = keep ? vireo_domain_snapshot_parse(keep, 0, NULL) : NULL;
    journal->definition =
        definition ? vireo_domain_parse(definition, VIREO_MODEL_PARSE_INACTIVE, NULL) : NULL;
}

/* Whether the guest writes to the plan's overlays; one that is gone may have. */
static gboolean took_effect(VireoQmp *qmp, const QemuPlan *plan)
{
    for (guint i = 0; qmp && i < plan->steps->len; i++)
        if (qemu_plan_step(plan, i)->kind == QEMU_STEP_SWITCH &&
            qemu_live_is_top(qmp, qemu_plan_step(plan, i)->image))
            return TRUE;
    return qmp == NULL;
}

void qemu_work_keep_overlay(QemuWork *work, const QemuStep *step)
{
    QemuStep at = { QEMU_STEP_SWITCH, step->image, NULL, NULL, step->slot, 0 };

    switch_disk(work, &at, NULL);
}

gboolean qemu_work_finish_late(QemuWork *work, GError **error)
{
    const QemuPlan *plan = work->plan;
    g_autoptr(QemuFiles) files = qemu_files_load(work->dom);

    for (guint i = 0; work->keep && i < plan->no_return; i++) {
        const QemuStep *step = qemu_plan_step(plan, i);

        if (step->kind == QEMU_STEP_OVERLAY || step->kind == QEMU_STEP_ADOPT || step->kind == QEMU_STEP_STATE)
            g_hash_table_add(files->owned, g_strdup(step->image));
    }
    return qemu_files_save(work->dom, files, error) && journal_save(work, plan->no_return + 1, FALSE, error) &&
           finish(work, error);
}

void qemu_work_give_up(QemuWork *work)
{
    qemu_undo_transaction(work);
    qemu_undo_overlays(work, work->plan->no_return);
    roll_back(work->dom, work->plan, 0);
    journal_end(work->dom);
}

/* The guest goes on with the overlays; that there was to be a snapshot is forgotten. */
static gboolean keep_overlays(QemuWork *work)
{
    const QemuPlan *plan = work->plan;
    gboolean done = TRUE;

    for (guint i = 0; i < plan->steps->len; i++) {
        const QemuStep *step = qemu_plan_step(plan, i);
        QemuStep drop = { QEMU_STEP_DROP_POINT, step->image, NULL, step->tag, NULL, 0 };

        if (step->kind == QEMU_STEP_SWITCH)
            done &= switch_disk(work, step, NULL);
        if (step->kind == QEMU_STEP_POINT)
            qemu_work_step(work, &drop, NULL);
        if (step->kind == QEMU_STEP_STATE || step->kind == QEMU_STEP_COPY)
            qemu_engine_unlink(work->dom, step->image, NULL);
    }
    return done;
}

static void close_overlays(VireoQmp *qmp, const QemuPlan *plan)
{
    for (guint i = 0; qmp && i < plan->no_return; i++)
        if (qemu_plan_step(plan, i)->kind == QEMU_STEP_OVERLAY ||
            qemu_plan_step(plan, i)->kind == QEMU_STEP_ADOPT)
            qemu_live_close(qmp, qemu_plan_step(plan, i)->image);
    if (qmp)
        qemu_side_close(qmp, plan);
}

/* It stood still for the snapshot only. */
static void let_run(QemuDomain *dom, VireoQmp *qmp)
{
    if (qemu_domain_active(dom) && vireo_qmp_run(qmp, "cont", NULL, NULL, NULL))
        qemu_domain_set_state(dom, VIREO_DOMAIN_RUNNING, VIREO_DOMAIN_RUNNING_UNPAUSED);
}

/* at_start: of an earlier daemon, which may have left the guest standing still. */
static void recover(QemuDomain *dom, gboolean at_start)
{
    QemuDriver *driver = dom->space->driver;
    g_autofree char *key = journal_key(dom);
    g_auto(Journal) journal = { 0 };
    const char *what = "is undone";

    dom->unfinished = FALSE;
    if (!qemu_domain_active(dom))
        qemu_engine_mend(dom, NULL);
    driver->host->state_each(driver->core, key, journal_read, &journal);
    g_autoptr(VireoQmp) qmp = qemu_domain_active(dom) ? qemu_domain_monitor(dom, NULL) : NULL;
    if (qmp && dom->state == VIREO_DOMAIN_PAUSED)
        qemu_live_wake(dom, qmp, NULL);
    if (!journal.plan)
        return;
    QemuWork work = { .dom = dom, .qmp = qmp, .plan = journal.plan, .keep = journal.keep,
                      .definition = journal.definition };
    if (journal.begun > journal.plan->no_return) {
        what = finish(&work, NULL) ? "is finished" : "cannot be finished yet";
        vireo_qmp_unref(work.own_qmp);
    } else if (qmp && qemu_live_recover(&work, journal.goes_on && journal.sent && took_effect(qmp, journal.plan))) {
        g_steal_pointer(&qmp);
        g_steal_pointer(&journal.plan);
        g_steal_pointer(&journal.keep);
        g_steal_pointer(&journal.definition);
        what = "goes on";
    } else if (journal.goes_on && journal.sent && took_effect(qmp, journal.plan)) {
        qemu_work_give_up(&work);
    } else if (journal.sent && took_effect(qmp, journal.plan)) {
        if (qmp)
            qemu_side_close(qmp, journal.plan);
        if (keep_overlays(&work))
            journal_end(dom);
        else
            dom->unfinished = TRUE;
        what = dom->unfinished ? "cannot be given up yet" : "is given up; its overlays stay in use";
    } else {
        close_overlays(qmp, journal.plan);
        roll_back(dom, journal.plan, journal.begun);
        journal_end(dom);
    }
    if (at_start && work.qmp && journal.stops)
        let_run(dom, work.qmp);
    if (at_start && work.qmp && journal.freezes)
        qemu_quiesce_release(dom);
    if (at_start || !dom->unfinished)
        driver->host->log(driver->core, VIREO_LOG_WARNING, dom->space->uri,
                          "domain '%s': a snapshot operation that was cut short %s", dom->name, what);
}

void qemu_work_recover(QemuDomain *dom)
{
    recover(dom, TRUE);
}

gboolean qemu_work_catch_up(QemuDomain *dom, GError **error)
{
    if (!qemu_tree_catch_up(dom, error))
        return FALSE;
    if (!dom->unfinished)
        return TRUE;
    recover(dom, FALSE);
    qemu_domain_publish(dom);
    qemu_tree_publish(dom);
    if (!dom->unfinished)
        return TRUE;
    qemu_error(error, VIREO_ERR_OPERATION_FAILED,
               "domain '%s': an earlier operation on its snapshots cannot be finished or undone yet: is there room "
               "for its definition and metadata?", dom->name);
    return FALSE;
}
