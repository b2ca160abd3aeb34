/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Going back where images are shared with what shall stay: by new ones. */
#include "revert.h"

#include <string.h>

#include "images.h"
#include "machine.h"
#include "process.h"
#include "sidefile.h"

static gboolean is_in(const QemuSnap *snap, const char *dev)
{
    const VireoDomainSnapshotDisks *disks = snap->doc->disks;

    for (guint i = 0; disks && i < disks->disks.n; i++) {
        const VireoDomainSnapshotDisk *disk = disks->disks.items[i];

        if (g_str_equal(disk->name, dev))
            return disk->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL ||
                   disk->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL;
    }
    return disks == NULL;
}

gboolean qemu_revert_keep_disks(QemuRevert *revert, VireoDomain *doc, GError **error)
{
    g_autoptr(QemuDef) now = qemu_domain_current(revert->dom);

    VEC_EACH(doc->devices->disks, i)
    {
        VireoDomainDisk *disk = doc->devices->disks.items[i];
        const VireoDomainDisk *present = qemu_disk_named(now->doc, disk->target->dev);

        if (is_in(revert->snap, disk->target->dev) || disk->readonly || !present ||
            !present->source)
            continue;
        vireo_domain_disk_source_free(disk->source);
        disk->source = vireo_domain_disk_source_copy(present->source);
        disk->type = present->type;
        disk->driver->type = present->driver->type;
        g_clear_pointer(&disk->backing_store, vireo_domain_backing_store_free);
    }
    return TRUE;
}

/* ---- the plan --------------------------------------------------------------------------- */

/* NULL: it is no file, and nobody said where else new images go. */
static char *stem_of(const QemuRevert *revert, const VireoDomainDisk *disk)
{
    g_autoptr(VireoDomainDisk) real = vireo_domain_disk_copy(disk);

    if (real->type == VIREO_DOMAIN_DISK_TYPE_FILE) {
        char *path = qemu_real_path(real->source->file);

        g_free(real->source->file);
        real->source->file = path ? path : g_strdup("/");
    }
    return qemu_overlay_stem(revert->dom->space->driver, revert->def->doc, real, NULL);
}

/* /images/vm.qcow2 becomes /images/vm.NAME-1a2b3c4d: the same for a plan that is told and for the one that is
 * carried out then, another one after that. */
static char *new_image(const char *slot, void *opaque)
{
    const QemuRevert *revert = opaque;
    const VireoDomainDisk *disk = qemu_disk_named(revert->def->doc, slot);
    g_autofree char *stem = disk ? stem_of(revert, disk) : NULL;
    g_autofree char *seed = g_strdup_printf(
        "%s/%s/%s/%s", revert->dom->uuid_text, revert->snap->doc->name, slot,
        qemu_graph_held(revert->graph, QEMU_HOLD_ACTIVE, "", slot, NULL));
    guint number = g_str_hash(seed);

    while (stem) {
        g_autofree char *more = g_strdup_printf("-%08x", number++);
        char *name = qemu_overlay_path(stem, revert->snap->doc->name, more);

        if (!g_file_test(name, G_FILE_TEST_EXISTS))
            return name;
        g_free(name);
    }
    return NULL;
}

/* Every disk the snapshot says it has must be there. */
static gboolean check_disks(const QemuRevert *revert, GError **error)
{
    const char *name = revert->snap->doc->name;

    VEC_EACH(revert->def->doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = revert->def->doc->devices->disks.items[i];
        const char *dev = disk->target->dev;

        if (disk->readonly || !qemu_disk_path(disk) || !is_in(revert->snap, dev) ||
            qemu_graph_held(revert->graph, QEMU_HOLD_SNAPSHOT, name, dev, NULL))
            continue;
        qemu_refuse(error, VIREO_ERR_OPERATION_FAILED,
                    "bring it back, or revert to another one; 'vireo doctor' tells what is left of it",
                    "snapshot '%s' is not in the image of disk '%s' (%s)", name, dev,
                   qemu_disk_path(disk));
        return FALSE;
    }
    g_autofree char *wrong = qemu_snap_files_wrong(revert->snap->doc);
    if (wrong)
        qemu_refuse(error, VIREO_ERR_OPERATION_FAILED, "bring the file back, or revert to another one", "%s", wrong);
    return wrong == NULL;
}

/* What no snapshot has, but the guest starts with. */
static gboolean check_media(const QemuRevert *revert, GError **error)
{
    VEC_EACH(revert->def->doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = revert->def->doc->devices->disks.items[i];
        g_autoptr(GError) failure = NULL;
        g_autoptr(GPtrArray) chain = disk->readonly ? qemu_image_chain(disk, &failure) : NULL;

        if (!failure)
            continue;
        qemu_refuse(error, VIREO_ERR_OPERATION_FAILED, "bring it back, or revert to another one",
                    "snapshot '%s' was taken with another image: %s", revert->snap->doc->name, failure->message);
        return FALSE;
    }
    return TRUE;
}

/* Images in which the snapshot's name is another one's number. */
static GHashTable *misleading(const QemuRevert *revert)
{
    GHashTable *images = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    VEC_EACH(revert->def->doc->devices->disks, i)
    {
        const char *tag = NULL, *path = qemu_graph_held(revert->graph, QEMU_HOLD_SNAPSHOT, revert->snap->doc->name,
                                                        revert->def->doc->devices->disks.items[i]->target->dev, &tag);
        g_autoptr(QemuImageInfo) info = path && tag ? qemu_image_inspect(path, TRUE, NULL) : NULL;

        if (info && qemu_image_info_misleads(info, tag))
            g_hash_table_add(images, g_strdup(path));
    }
    return images;
}

/* ---- the present ------------------------------------------------------------------------- */

/* The image a disk leaves behind, when there is anything in it that nothing else has. */
static const char *present(const QemuRevert *revert, const char *slot)
{
    const char *path = qemu_graph_held(revert->graph, QEMU_HOLD_ACTIVE, "", slot, NULL);
    g_autoptr(QemuImageInfo) info = path ? qemu_image_inspect(path, TRUE, NULL) : NULL;

    return info && !info->is_empty && (qemu_graph_flags(revert->graph, path) & QEMU_FILE_OWNED) &&
                   qemu_graph_holds(revert->graph, path, NULL) == 1
               ? path : NULL;
}

/* The newest present is kept unless it is to be given up; what an earlier revert left goes then. */
static void sort_presents(QemuRevert *revert, const VireoDomain *now)
{
    g_autoptr(QemuFiles) files = qemu_files_load(revert->dom);
    GHashTableIter iter;
    gpointer old;

    revert->left = g_ptr_array_new_with_free_func(g_free);
    VEC_EACH(now->devices->disks, i)
    {
        const char *slot = now->devices->disks.items[i]->target->dev;
        const char *path = is_in(revert->snap, slot) ? present(revert, slot) : NULL;

        if (path)
            g_ptr_array_add(revert->left, g_strdup(path));
        else if ((path = qemu_graph_held(revert->graph, QEMU_HOLD_ACTIVE, "", slot, NULL)) &&
                 is_in(revert->snap, slot))
            qemu_graph_mark(revert->graph, path, QEMU_FILE_RELEASED);
    }
    g_hash_table_iter_init(&iter, files->kept);
    while ((revert->left->len || revert->force) && g_hash_table_iter_next(&iter, &old, NULL))
        if (!qemu_graph_holds(revert->graph, old, NULL))
            qemu_graph_mark(revert->graph, old, QEMU_FILE_RELEASED);
    if (revert->force)
        g_ptr_array_set_size(revert->left, 0);
}

static void tell_presents(const QemuRevert *revert)
{
    QemuDriver *driver = revert->dom->space->driver;

    for (guint i = 0; i < revert->left->len; i++)
        driver->host->log(driver->core, VIREO_LOG_INFO, revert->dom->space->uri,
                          "domain '%s': what was there before the revert to '%s' is kept in %s",
                          revert->dom->name, revert->snap->doc->name,
                          (char *)revert->left->pdata[i]);
}

static gboolean adds_images(const QemuPlan *plan)
{
    for (guint i = 0; i < plan->steps->len; i++) {
        QemuStepKind kind = qemu_plan_step(plan, i)->kind;

        if (kind == QEMU_STEP_OVERLAY || kind == QEMU_STEP_EXTRACT || kind == QEMU_STEP_CLONE ||
            kind == QEMU_STEP_SWITCH)
            return TRUE;
    }
    return FALSE;
}

/* QEMU leaves a guest that is suspended or has crashed as it is. */
static gboolean can_load(const QemuDomain *dom)
{
    return dom->state == VIREO_DOMAIN_RUNNING || dom->state == VIREO_DOMAIN_PAUSED;
}

gboolean qemu_revert_plan(QemuRevert *revert, GError **error)
{
    g_autoptr(QemuDef) now = qemu_domain_current(revert->dom);
    gboolean memory = qemu_snap_has_memory(revert->snap) && !qemu_snap_memory_file(revert->snap);
    g_auto(QemuSides) sides = { 0 };

    qemu_sides_reverted(&sides, revert->dom, revert->snap->doc, revert->def->doc, revert->reset_nvram);
    QemuRevertRequest request = { revert->snap->doc->name, revert->force, memory, new_image, revert,
                                  sides.files, sides.n, NULL };

    revert->plan = qemu_plan_new();
    revert->graph = qemu_engine_graph(revert->dom, now->doc, NULL, error);
    if (!revert->graph || !check_disks(revert, error))
        return FALSE;
    sort_presents(revert, now->doc);
    g_autoptr(GHashTable) images = misleading(revert);
    request.misleading = images;
    if (!qemu_plan_revert(revert->graph, revert->plan, &request, error))
        return FALSE;
    /* A snapshot of nothing but memory has no disk to go back to. */
    revert->branches = adds_images(revert->plan) || qemu_snap_memory_file(revert->snap);
    if (revert->qmp && !revert->branches && !revert->reset_nvram && qemu_snap_has_memory(revert->snap))
        revert->in_place = !revert->def->doc->devices->tpms.n && /* its state is a file of swtpm, too */
                           can_load(revert->dom) && qemu_same_machine(now->doc, revert->def->doc);
    revert->branches |= sides.n && !revert->in_place;
    if (revert->start && !revert->in_place && !check_media(revert, error))
        return FALSE;
    if (revert->dom->config || !revert->dom->autodestroy || revert->in_place)
        return TRUE;
    qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                "destroy it, and create it from the snapshot's <domain>",
                "domain '%s' would have to be started anew to go back to snapshot '%s', but it ends with the connection "
                "that started it", revert->dom->name, revert->snap->doc->name);
    return FALSE;
}

/* ---- carrying it out ---------------------------------------------------------------------- */

static void set_images(const QemuRevert *revert, VireoDomain *doc)
{
    for (guint i = 0; i < revert->plan->steps->len; i++) {
        const QemuStep *step = qemu_plan_step(revert->plan, i);
        VireoDomainDisk *disk = step->kind == QEMU_STEP_SWITCH ? qemu_disk_named(doc, step->slot) : NULL;

        if (disk)
            qemu_disk_set_image(disk, step->image, FALSE, VIREO_DOMAIN_STORAGE_FORMAT_QCOW2);
    }
}

VireoDomain *qemu_revert_definition(const QemuRevert *revert)
{
    const VireoDomain *stored = revert->snap->doc->inactive_domain;
    VireoDomain *doc = vireo_domain_copy(stored ? stored : revert->def->doc);

    g_free(doc->name);
    doc->name = g_strdup(revert->dom->name);
    if (stored)
        qemu_revert_keep_disks((QemuRevert *)revert, doc, NULL);
    set_images(revert, doc);
    return doc;
}

/* Everything that can fail for want of room has been done. */
static gboolean stop_guest(void *opaque, GError **error)
{
    QemuRevert *revert = opaque;

    if (revert->qmp)
        qemu_process_kill(revert->dom, VIREO_DOMAIN_SHUTOFF_FROM_SNAPSHOT);
    g_clear_pointer(&revert->qmp, vireo_qmp_unref);
    return TRUE;
}

static gboolean start_guest(void *opaque, GError **error)
{
    QemuRevert *revert = opaque;

    return !revert->start || qemu_revert_start(revert, error);
}

/* Images the guest writes to are neither changed nor copied. */
static gboolean needs_stopped_guest(const QemuRevert *revert)
{
    for (guint i = 0; revert->qmp && i < revert->plan->no_return; i++) {
        const QemuStep *step = qemu_plan_step(revert->plan, i);

        if (step->kind == QEMU_STEP_POINT || step->kind == QEMU_STEP_APPLY ||
            ((step->kind == QEMU_STEP_CLONE || step->kind == QEMU_STEP_EXTRACT) &&
             qemu_live_is_top(revert->qmp, step->other)))
            return TRUE;
    }
    return FALSE;
}

gboolean qemu_revert_branch(QemuRevert *revert, GError **error)
{
    g_autoptr(VireoDomain) definition = qemu_revert_definition(revert);
    g_autoptr(VireoDomain) machine = vireo_domain_copy(revert->def->doc);
    QemuWork work = { .dom = revert->dom, .call = revert->call, .plan = revert->plan,
                      .after = revert->graph, .definition = definition, .middle = stop_guest,
                      .after_switch = start_guest, .opaque = revert };

    set_images(revert, machine);
    qemu_def_unref(revert->def);
    revert->def = qemu_def_new(g_steal_pointer(&machine));
    if (needs_stopped_guest(revert))
        stop_guest(revert, NULL);
    if (revert->left->len || revert->force)
        work.left = revert->left;
    if (!qemu_work_run(&work, error))
        return FALSE;
    tell_presents(revert);
    return TRUE;
}
