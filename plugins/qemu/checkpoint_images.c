/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checkpoints in all the images a domain and its snapshots consist of. */
#include "checkpoint.h"

#include "bitmaps.h"
#include "engine.h"
#include "images.h"
#include "snapshot.h"

#define SHARED "" /* in place of a disk: more than one has it */

static char *top_of(const VireoDomain *machine, const char *dev)
{
    const VireoDomainDisk *disk = qemu_disk_named(machine, dev);

    return disk && disk->driver->type == VIREO_DOMAIN_STORAGE_FORMAT_QCOW2
               ? qemu_real_path(qemu_disk_path(disk)) : NULL;
}

/* ---- the line ------------------------------------------------------------------------------------- */

/* How many of the candidates come before it. */
static guint rank(QemuDomain *dom, const char *name, GHashTable *candidates)
{
    g_autoptr(GPtrArray) line = qemu_checkpoint_before(dom, name);
    guint count = 0;

    for (guint i = 0; i < line->len; i++)
        count += g_hash_table_contains(candidates, ((VireoDomainCheckpoint *)line->pdata[i])->name);
    return count;
}

static GHashTable *taking_notes(QemuDomain *dom, VireoQmp *qmp, const VireoDomain *machine)
{
    GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    VEC_EACH(machine->devices->disks, i)
    {
        g_autofree char *top = top_of(machine, machine->devices->disks.items[i]->target->dev);
        g_autoptr(GPtrArray) bitmaps = top ? qemu_bitmaps_of(qmp, top, NULL) : NULL;

        for (guint n = 0; bitmaps && n < bitmaps->len; n++) {
            const QemuBitmap *bitmap = bitmaps->pdata[n];

            if (bitmap->recording && qemu_checkpoint_fate(dom, bitmap->name) != QEMU_CHECKPOINT_GONE)
                g_hash_table_add(names, g_strdup(bitmap->name));
        }
    }
    return names;
}

void qemu_checkpoints_reseat(QemuDomain *dom)
{
    g_autoptr(QemuDef) machine = qemu_domain_current(dom);
    g_autoptr(VireoQmp) qmp = qemu_domain_active(dom) ? qemu_domain_monitor(dom, NULL) : NULL;
    g_autoptr(GPtrArray) known = qemu_checkpoint_below(dom, NULL);
    guint best_rank = 0;
    const char *best = NULL;
    GHashTableIter iter;
    gpointer name;

    if (!known->len || !machine)
        return;
    g_autoptr(GHashTable) names = taking_notes(dom, qmp, machine->doc);
    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        guint one = rank(dom, name, names);

        if (one <= best_rank)
            continue;
        best_rank = one;
        best = name;
    }
    qemu_checkpoint_set_current(dom, best, NULL);
    qemu_checkpoints_publish(dom);
}

/* It has a bitmap of the disk, or should have. */
static gboolean says(QemuDomain *dom, GPtrArray *bitmaps, const VireoDomainCheckpoint *doc,
                     const char *dev)
{
    return qemu_checkpoint_has(doc, dev) &&
           (qemu_checkpoint_fate(dom, doc->name) != QEMU_CHECKPOINT_DELETED ||
            qemu_bitmaps_find(bitmaps, doc->name));
}

gboolean qemu_checkpoint_continues(QemuDomain *dom, VireoQmp *qmp, const VireoDomain *machine,
                                   const VireoDomainCheckpoint *doc)
{
    g_autoptr(GPtrArray) line = qemu_checkpoint_line(dom, NULL);

    for (guint i = 0; i < doc->disks->disks.n; i++) {
        const char *dev = doc->disks->disks.items[i]->name;
        guint n = 0;

        g_autofree char *top = qemu_checkpoint_has(doc, dev) ? top_of(machine, dev) : NULL;
        g_autoptr(GPtrArray) bitmaps = top ? qemu_bitmaps_of(qmp, top, NULL) : NULL;

        while (bitmaps && n < line->len && !says(dom, bitmaps, line->pdata[n], dev))
            n++;
        if (!qemu_checkpoint_has(doc, dev) || (bitmaps && n == line->len))
            continue;
        const QemuBitmap *before =
            bitmaps ? qemu_bitmaps_find(bitmaps, ((VireoDomainCheckpoint *)line->pdata[n])->name) : NULL;
        if (!before || !before->recording)
            return FALSE;
    }
    return TRUE;
}

/* ---- all images ------------------------------------------------------------------------------------ */

static void add_chain(GHashTable *images, const VireoDomainDisk *disk)
{
    char *at = disk->driver->type == VIREO_DOMAIN_STORAGE_FORMAT_QCOW2
                   ? qemu_real_path(qemu_disk_path(disk)) : NULL;
    const char *dev = disk->target->dev;

    while (at) {
        const char *known = g_hash_table_lookup(images, at);
        char *next = qemu_engine_backing(at);

        if (known && g_str_equal(known, dev))
            g_clear_pointer(&next, g_free); /* and all below it */
        g_hash_table_insert(images, at, g_strdup(known && !g_str_equal(known, dev) ? SHARED : dev));
        at = next;
    }
}

/* Path -> disk it is an image of. */
static GHashTable *all_images(QemuDomain *dom, const VireoDomain *machine)
{
    GHashTable *images = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GPtrArray) snaps = qemu_tree_all(dom->tree);

    VEC_EACH(machine->devices->disks, i)
    add_chain(images, machine->devices->disks.items[i]);
    for (guint s = 0; s < snaps->len; s++) {
        const VireoDomain *doc = ((QemuSnap *)snaps->pdata[s])->doc->domain;

        for (guint i = 0; doc && i < doc->devices->disks.n; i++)
            add_chain(images, doc->devices->disks.items[i]);
    }
    return images;
}

gboolean qemu_checkpoint_name_free(QemuDomain *dom, VireoQmp *qmp, const VireoDomain *machine,
                                   const char *name, GError **error)
{
    g_autoptr(GHashTable) images = all_images(dom, machine);
    GHashTableIter iter;
    gpointer path;

    if (qemu_checkpoint_fate(dom, name) != QEMU_CHECKPOINT_GONE) {
        qemu_refuse(error, VIREO_ERR_OPERATION_FAILED,
                    "another name",
                    "what the former checkpoint '%s' of domain '%s' noted down is still needed by "
                    "those before it", name, dom->name);
        return FALSE;
    }
    g_hash_table_iter_init(&iter, images);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        g_autoptr(GPtrArray) bitmaps = qemu_bitmaps_of(qmp, path, NULL);

        if (!bitmaps || !qemu_bitmaps_find(bitmaps, name))
            continue;
        qemu_refuse(error, VIREO_ERR_OPERATION_FAILED,
                    "another name, or checkpoint-create --redefine and checkpoint-delete it",
                    "image %s holds a bitmap '%s' already, of a checkpoint that was forgotten", (char *)path,
                    name);
        return FALSE;
    }
    return TRUE;
}

/* ---- deleting --------------------------------------------------------------------------------------- */

/* The one before it that the disk took part in; NULL: none. */
static const char *before(GPtrArray *line, const char *dev)
{
    for (guint i = 1; i < line->len; i++)
        if (qemu_checkpoint_has(line->pdata[i], dev))
            return ((VireoDomainCheckpoint *)line->pdata[i])->name;
    return NULL;
}

/* What it noted down goes to the one before, which goes on taking notes if it did. */
static void dissolve_into(const QemuBitmap *bitmap, const QemuBitmap *older, const char *before,
                          GPtrArray *edits)
{
    if (!older)
        qemu_bitmap_edit(edits, bitmap->recording ? QEMU_BITMAP_ADD : QEMU_BITMAP_ADD_OFF, before, NULL,
                         NULL);
    else if (bitmap->recording && !older->recording)
        qemu_bitmap_edit(edits, QEMU_BITMAP_ENABLE, before, NULL, NULL);
    qemu_bitmap_edit(edits, QEMU_BITMAP_MERGE, before, NULL, bitmap->name);
}

/* Returns FALSE when something of it stays. */
static gboolean dissolve_in(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *path,
                            const char *dev, GPtrArray *line, GError **error)
{
    const char *name = ((VireoDomainCheckpoint *)line->pdata[0])->name, *older = before(line, dev);
    g_autoptr(GPtrArray) bitmaps = qemu_bitmaps_of(qmp, path, error);
    g_autoptr(GPtrArray) edits = qemu_bitmap_edits();
    const QemuBitmap *bitmap = bitmaps ? qemu_bitmaps_find(bitmaps, name) : NULL;
    const QemuBitmap *into = bitmap && older ? qemu_bitmaps_find(bitmaps, older) : NULL;

    if (!bitmap)
        return bitmaps != NULL;
    if (bitmap->broken || (into && into->broken))
        qemu_checkpoint_cut(dom, name);
    else if (older)
        dissolve_into(bitmap, into, older, edits);
    qemu_bitmap_edit(edits, QEMU_BITMAP_REMOVE, name, NULL, NULL);
    return qemu_bitmaps_change(dom, call, qmp, path, edits, error);
}

static gboolean holds(VireoQmp *qmp, const char *path, const char *name)
{
    g_autoptr(GPtrArray) bitmaps = qemu_bitmaps_of(qmp, path, NULL);

    return !bitmaps || qemu_bitmaps_find(bitmaps, name);
}

gboolean qemu_checkpoint_dissolve(QemuDomain *dom, vireo_call *call, VireoQmp *qmp,
                                  const VireoDomain *machine, const char *name, gboolean *left,
                                  GError **error)
{
    g_autoptr(GHashTable) images = all_images(dom, machine);
    g_autoptr(GPtrArray) line = qemu_checkpoint_before(dom, name);
    g_autoptr(QemuGraph) graph = qemu_engine_graph(dom, machine, NULL, error);
    GHashTableIter iter;
    gpointer path, dev;

    *left = FALSE;
    if (!graph)
        return FALSE;
    g_hash_table_iter_init(&iter, images);
    while (g_hash_table_iter_next(&iter, &path, &dev)) {
        gboolean top = FALSE;

        VEC_EACH(machine->devices->disks, i)
        {
            g_autofree char *own = top_of(machine, machine->devices->disks.items[i]->target->dev);
            top |= !g_strcmp0(own, path);
        }
        if (!holds(qmp, path, name))
            continue;
        g_autoptr(GError) failure = NULL;
        gboolean may = *(char *)dev && !qemu_graph_is_shared(graph, path);
        if (may && dissolve_in(dom, call, qmp, path, dev, line, &failure))
            continue;
        if (top && failure) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
        *left = TRUE;
    }
    return TRUE;
}

/* ---- of a domain that is off ------------------------------------------------------------------------ */

static void unmake(QemuDomain *dom, vireo_call *call, const VireoDomain *machine,
                   const VireoDomainCheckpoint *doc, guint count)
{
    while (count-- > 0) {
        const char *dev = doc->disks->disks.items[count]->name;
        g_autofree char *top = qemu_checkpoint_has(doc, dev) ? top_of(machine, dev) : NULL;
        g_autoptr(GPtrArray) edits = qemu_bitmap_edits();

        if (!top)
            continue;
        qemu_bitmap_edit(edits, QEMU_BITMAP_REMOVE, doc->name, NULL, NULL);
        qemu_bitmaps_change(dom, call, NULL, top, edits, NULL);
    }
}

gboolean qemu_checkpoint_make_off(QemuDomain *dom, vireo_call *call, const VireoDomain *machine,
                                  const VireoDomainCheckpoint *doc, GError **error)
{
    for (guint i = 0; i < doc->disks->disks.n; i++) {
        const char *dev = doc->disks->disks.items[i]->name;
        g_autofree char *top = qemu_checkpoint_has(doc, dev) ? top_of(machine, dev) : NULL;
        g_autoptr(GPtrArray) edits = qemu_bitmap_edits();

        if (!qemu_checkpoint_has(doc, dev))
            continue;
        qemu_bitmap_edit(edits, QEMU_BITMAP_ADD, doc->name, NULL, NULL);
        if (!top)
            qemu_error(error, VIREO_ERR_OPERATION_FAILED, "the image of disk '%s' is not there", dev);
        if (top && qemu_bitmaps_change(dom, call, NULL, top, edits, error))
            continue;
        unmake(dom, call, machine, doc, i);
        return FALSE;
    }
    /* Those before go on taking notes until now: they may say too much, never too little. */
    g_autoptr(GPtrArray) line = qemu_checkpoint_before(dom, doc->parent ? doc->parent->name : NULL);
    for (guint i = 0; i < doc->disks->disks.n; i++) {
        const char *dev = doc->disks->disks.items[i]->name;
        g_autofree char *top = qemu_checkpoint_has(doc, dev) ? top_of(machine, dev) : NULL;
        g_autoptr(GPtrArray) edits = qemu_bitmap_edits();

        g_autoptr(GPtrArray) bitmaps = top ? qemu_bitmaps_of(NULL, top, NULL) : NULL;
        for (guint n = 0; bitmaps && n < line->len; n++) {
            const char *before = ((VireoDomainCheckpoint *)line->pdata[n])->name;
            const QemuBitmap *bitmap = qemu_bitmaps_find(bitmaps, before);

            if (bitmap && bitmap->recording)
                qemu_bitmap_edit(edits, QEMU_BITMAP_DISABLE, before, NULL, NULL);
        }
        if (top)
            qemu_bitmaps_change(dom, call, NULL, top, edits, NULL);
    }
    return TRUE;
}
