/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What deletes give up: noted down by the call, which looks at nothing but the snapshots that go, and given back when all
 * images have been looked at. */
#include "engine.h"

#include <string.h>

#include "images.h"
#include "remote.h"
#include "sidefile.h"

#define POINTS_AT_ONCE 4 /* each is a program that runs, or a job of QEMU's */
#define UNLINK_AT_ONCE 16

/* ---- the note ------------------------------------------------------------------------- */

/* A file that is not there now is nothing that could be given back. */
static const char *add_real(GHashTable *set, const char *path)
{
    char *real = qemu_real_path(path);

    if (real)
        g_hash_table_add(set, real);
    return real;
}

static void note_disk(const VireoDomainSnapshot *doc, const VireoDomainDisk *disk, QemuFiles *more)
{
    VireoDomainSnapshotLocation kind = qemu_snap_location(doc, disk->target->dev);
    g_autofree char *real = NULL;

    if (disk->readonly)
        return;
    if (kind == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL)
        add_real(more->released, qemu_disk_path(disk));
    else if (kind == VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL && (real = qemu_real_path(qemu_disk_path(disk))))
        g_hash_table_add(more->points, qemu_point_note(real, doc->name));
}

/* What it refers to, and what nobody but its metadata says was made by a snapshot. */
static void note_one(const VireoDomainSnapshot *doc, QemuFiles *more)
{
    QemuSnapFile files[QEMU_SNAP_FILES];

    qemu_snap_files(doc, files);
    for (guint i = 0; i < QEMU_SNAP_FILES; i++)
        if (add_real(more->owned, files[i].path) && doc->domain)
            add_real(more->released, files[i].path);
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++) {
        const VireoDomainSnapshotDisk *disk = doc->disks->disks.items[i];

        if (disk->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL && disk->source)
            add_real(more->owned, disk->source->file);
    }
    for (guint i = 0; doc->domain && i < doc->domain->devices->disks.n; i++)
        note_disk(doc, doc->domain->devices->disks.items[i], more);
}

gboolean qemu_reap_note(QemuDomain *dom, GPtrArray *snaps, GError **error)
{
    g_autoptr(QemuFiles) more = qemu_files_new();

    for (guint i = 0; i < snaps->len; i++)
        note_one(((const QemuSnap *)snaps->pdata[i])->doc, more);
    return qemu_files_add(dom, more, error);
}

gboolean qemu_reap_has_rest(QemuDomain *dom)
{
    const QemuFiles *files = qemu_files_of(dom);

    return g_hash_table_size(files->released) || g_hash_table_size(files->points) || g_hash_table_size(files->cut);
}

/* ---- against the graph ------------------------------------------------------------------ */

/* One that has gone, or that somebody refers to again, or that never was ours. Of what cannot be read nothing is known. */
static gboolean is_settled(const QemuGraph *graph, const char *path)
{
    guint flags = qemu_graph_flags(graph, path);

    if (!qemu_graph_has(graph, path))
        return !qemu_is_remote(path) && !g_file_test(path, G_FILE_TEST_EXISTS);
    return !(flags & QEMU_FILE_OWNED) || (!(flags & QEMU_FILE_RELEASED) && !qemu_graph_is_shared(graph, path));
}

static gboolean drop_settled(gpointer path, gpointer value, gpointer graph)
{
    return is_settled(graph, path);
}

static gboolean drop_point(gpointer note, gpointer value, gpointer graph)
{
    const char *image;
    g_autofree char *tag = qemu_point_read(note, &image);

    if (tag && !qemu_graph_has(graph, image))
        return !qemu_is_remote(image) && !g_file_test(image, G_FILE_TEST_EXISTS);
    return !tag || !qemu_graph_release_point(graph, image, tag);
}

gboolean qemu_reap_settle(QemuDomain *dom, QemuGraph *graph, GError **error)
{
    g_autoptr(QemuFiles) files = qemu_files_load(dom);
    guint dropped = g_hash_table_foreach_remove(files->released, drop_settled, graph);

    dropped += g_hash_table_foreach_remove(files->points, drop_point, graph);
    return !dropped || qemu_files_save(dom, files, error);
}

/* One that came after the graph was built. */
static gboolean was_seen(const QemuGraph *graph, const char *path, GError **error)
{
    if (qemu_graph_has(graph, path) || qemu_is_remote(path) || !g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;
    qemu_error(error, VIREO_ERR_OPERATION_FAILED, "image %s was not there, or was no file, when all images were looked at",
               path);
    return FALSE;
}

gboolean qemu_reap_all_seen(QemuDomain *dom, const QemuGraph *graph, GError **error)
{
    const QemuFiles *files = qemu_files_of(dom);
    GHashTableIter iter;
    gpointer path;
    const char *image;

    g_hash_table_iter_init(&iter, files->released);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        if (!was_seen(graph, path, error))
            return FALSE;
    g_hash_table_iter_init(&iter, files->points);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        g_autofree char *tag = qemu_point_read(path, &image);

        if (tag && !was_seen(graph, image, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- at once ---------------------------------------------------------------------------- */

static gboolean look(QemuDomain *dom, vireo_call *call, guint most, guint points, guint unlinks)
{
    g_autoptr(QemuDef) machine = qemu_domain_current(dom);
    g_autoptr(VireoQmp) qmp = qemu_domain_active(dom) ? qemu_domain_monitor(dom, NULL) : NULL;
    g_autoptr(QemuPlan) plan = qemu_plan_new();

    if (!machine || (qemu_domain_active(dom) && !qmp) || !qemu_blockjobs_none(dom, NULL, NULL))
        return FALSE;
    g_autoptr(QemuGraph) graph = qemu_engine_graph_within(dom, machine->doc, most, NULL);
    QemuWork work = { .dom = dom, .call = call, .qmp = qmp, .plan = plan };
    if (!graph)
        return FALSE;
    qemu_plan_collect(graph, plan, 0);
    qemu_work_collect(&work, 0, points, unlinks);
    return TRUE;
}

/* How much a delete looks at before it answers; 0: nothing, it is known to be more. */
static guint at_most(QemuDomain *dom)
{
    guint most = (guint)dom->space->driver->config.delete_looks_at;

    return qemu_tree_count(dom->tree) + g_hash_table_size(qemu_files_of(dom)->owned) < most ? most : 0;
}

gboolean qemu_reap_little(QemuDomain *dom, vireo_call *call)
{
    guint most = at_most(dom);

    return most && look(dom, call, most, POINTS_AT_ONCE, UNLINK_AT_ONCE);
}

QemuGraph *qemu_reap_graph(QemuDomain *dom, const VireoDomain *doc, gboolean *little, GError **error)
{
    guint most = at_most(dom);
    QemuGraph *graph = most ? qemu_engine_graph_within(dom, doc, most, NULL) : NULL;

    *little = graph != NULL;
    return graph ? graph : qemu_engine_graph(dom, doc, NULL, error);
}

void qemu_reap_quick(QemuDomain *dom, vireo_call *call)
{
    if (qemu_reap_has_rest(dom))
        look(dom, call, 0, G_MAXUINT, G_MAXUINT);
}

static gboolean has_point(QemuDomain *dom, const char *name)
{
    GHashTableIter iter;
    gpointer note;
    const char *image;

    g_hash_table_iter_init(&iter, qemu_files_of(dom)->points);
    while (g_hash_table_iter_next(&iter, &note, NULL)) {
        g_autofree char *tag = qemu_point_read(note, &image);

        if (!g_strcmp0(tag, name))
            return TRUE;
    }
    return FALSE;
}

static gboolean has_file(QemuDomain *dom, const char *path)
{
    g_autofree char *real = qemu_real_path(path);

    return real && g_hash_table_contains(qemu_files_of(dom)->released, real);
}

/* One that would get its name from the snapshot. */
static gboolean has_file_named(QemuDomain *dom, const char *name)
{
    g_autofree char *end = g_strconcat(".", name, NULL);
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, qemu_files_of(dom)->released);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        if (g_str_has_suffix(path, end))
            return TRUE;
    return FALSE;
}

void qemu_reap_for(QemuDomain *dom, vireo_call *call, const VireoDomainSnapshot *doc)
{
    QemuSnapFile files[QEMU_SNAP_FILES];
    gboolean found = has_point(dom, doc->name) || has_file_named(dom, doc->name);

    qemu_snap_files(doc, files);
    for (guint i = 0; i < QEMU_SNAP_FILES; i++)
        found |= has_file(dom, files[i].path);
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++) {
        const VireoDomainSnapshotDisk *disk = doc->disks->disks.items[i];

        found |= disk->source && has_file(dom, disk->source->file);
    }
    if (found)
        qemu_reap_quick(dom, call);
}

void qemu_reap_path(QemuDomain *dom, vireo_call *call, const char *path)
{
    if (has_file(dom, path))
        qemu_reap_quick(dom, call);
}
