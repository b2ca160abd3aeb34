/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads what is on disk into a graph; nothing counts that was true yesterday and may not be today. */
#include "engine.h"

#include <string.h>
#include <sys/stat.h>

#include "images.h"
#include "kit/file.h"
#include "remote.h"
#include "sidefile.h"

#define DEPTH_MAX 2000 /* a loop, most probably */
#define SCAN_MAX 10000

typedef struct {
    QemuDomain *dom;
    QemuGraph *graph;
    const QemuFiles *files;
    GHashTable *named; /* real paths of what snapshots say they made */
    GHashTable *dirs; /* of our images */
    GHashTable *ignore;
    GHashTable *reals; /* path -> the same without links */
    guint most, looked; /* at so much, 0: at all; and how much that was */
    gboolean may_stop, over; /* when somebody waits; it was too much */
    gboolean unreadable; /* the image that was looked at last is there, but what it is based on is not known */
    char *real_dir;    /* of which the last path was, and which is without links; NULL: not known */
} Build;

static void build_clear(Build *build)
{
    g_hash_table_unref(build->named);
    g_hash_table_unref(build->dirs);
    g_hash_table_unref(build->reals);
    g_free(build->real_dir);
    qemu_graph_free(build->graph);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Build, build_clear)

/* Before the next snapshot, file or domain is looked at. */
static gboolean goes_on(Build *build)
{
    build->over |= (build->most && build->looked >= build->most) || (build->may_stop && qemu_domain_must_yield(build->dom));
    build->looked++;
    return !build->over;
}

static gboolean in_real_dir(Build *build, const char *path)
{
    const char *slash = strrchr(path, '/');
    gsize len = slash ? (gsize)(slash - path) : 0;

    if (!len || qemu_is_remote(path))
        return FALSE;
    if (build->real_dir && strlen(build->real_dir) == len && !strncmp(build->real_dir, path, len))
        return TRUE;
    g_free(build->real_dir);
    build->real_dir = g_strndup(path, len);
    if (vireo_file_is_real(build->real_dir))
        return TRUE;
    g_clear_pointer(&build->real_dir, g_free);
    return FALSE;
}

/* Most images are in one directory, the way to which is looked at once. */
static char *real_path(Build *build, const char *path)
{
    const char *base = strrchr(path, '/');
    struct stat st;

    if (base && base[1] && !g_str_equal(base, "/.") && !g_str_equal(base, "/..") && in_real_dir(build, path) &&
        lstat(path, &st) == 0 && !S_ISLNK(st.st_mode))
        return g_strdup(path);
    return qemu_real_path(path);
}

/* Most paths are named by many snapshots. Borrowed; NULL: there is no such file. */
static const char *real_of(Build *build, const char *path)
{
    char *real = path ? g_hash_table_lookup(build->reals, path) : NULL;

    if (!real && path && (real = real_path(build, path)))
        g_hash_table_insert(build->reals, g_strdup(path), real);
    return real;
}

static guint64 used_bytes(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (guint64)st.st_blocks * 512 : 0;
}

static guint flags_of(const Build *build, const char *path)
{
    guint flags = 0;

    if (g_hash_table_contains(build->files->owned, path) || g_hash_table_contains(build->named, path))
        flags |= QEMU_FILE_OWNED;
    if (g_hash_table_contains(build->files->released, path))
        flags |= QEMU_FILE_RELEASED;
    return flags;
}

static const char *backing_of(Build *build, const char *path, const QemuImageInfo *info, GError **error)
{
    if (!info->is_qcow2 || !info->backing)
        return NULL;
    g_autofree char *full = qemu_image_below(path, info, NULL, error);
    const char *real = real_of(build, full);

    if (full && !real)
        qemu_refuse(error, VIREO_ERR_OPERATION_FAILED,
                    "bring it back; 'vireo doctor' tells more",
                    "image %s is based on %s, which is not there",
                   path, info->backing);
    return real;
}

/* path is real. said: its format, by whoever names it. */
static gboolean add_chain(Build *build, const char *path, const char *said, guint depth, GError **error)
{
    g_autoptr(GError) failure = NULL;

    if (qemu_graph_has(build->graph, path))
        return TRUE;
    if (depth > DEPTH_MAX) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED,
                   "more than %d images are based on each other, or one on itself (%s): that is set right "
                   "with qemu-img rebase", DEPTH_MAX, path);
        return FALSE;
    }
    guint64 bytes;
    g_autoptr(QemuImageInfo) info = qemu_image_look(build->dom->space->driver, path, said, &bytes, error);
    build->unreadable = !info;
    if (!info)
        return FALSE;
    gboolean raw = !info->is_qcow2;
    const char *backing = raw ? NULL : backing_of(build, path, info, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (backing && !add_chain(build, backing, info->backing_format, depth + 1, error))
        return FALSE;
    if (!qemu_graph_add(build->graph, path, raw ? QEMU_FILE_RAW : QEMU_FILE_QCOW2,
                        flags_of(build, path), bytes, backing, error))
        return FALSE;
    for (guint i = 0; !raw && i < info->snapshots->len; i++)
        if (!qemu_graph_add_point(build->graph, path,
                                  ((QemuImageSnapshot *)info->snapshots->pdata[i])->name,
                                  bytes, error))
            return FALSE;
    return TRUE;
}

static gboolean add_disk(Build *build, const VireoDomainDisk *disk, const char **real, GError **error)
{
    const char *path = qemu_disk_path(disk);

    *real = NULL;
    if (!path)
        return TRUE;
    if (!(*real = real_of(build, path))) {
        qemu_refuse(error, VIREO_ERR_OPERATION_FAILED,
                    "bring it back, or correct the definition",
                    "disk '%s': image %s is not there",
                   disk->target->dev, path);
        return FALSE;
    }
    if (add_chain(build, *real, vireo_domain_storage_format_to_string(disk->driver->type), 0, error))
        return TRUE;
    g_prefix_error(error, "disk '%s': ", disk->target->dev);
    *real = NULL;
    return FALSE;
}

/* ---- ours ------------------------------------------------------------------------- */

/* A medium may be gone for long: no snapshot has it. Unless it is raw it may be based on what they have. */
static gboolean can_do_without(Build *build, const VireoDomainDisk *disk, const GError *error)
{
    if (disk->readonly && disk->driver->type != VIREO_DOMAIN_STORAGE_FORMAT_RAW)
        qemu_graph_set_incomplete(build->graph, error->message);
    return disk->readonly;
}

static gboolean add_definition(Build *build, const VireoDomain *doc, GError **error)
{
    VEC_EACH(doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];
        g_autoptr(GError) failure = NULL;
        const char *path = NULL;

        if (!add_disk(build, disk, &path, &failure) && !can_do_without(build, disk, failure)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
        if (path && !qemu_graph_hold(build->graph,
                                     disk->readonly ? QEMU_HOLD_OUTSIDE : QEMU_HOLD_ACTIVE,
                                     disk->readonly ? "a read-only disk" : "", disk->target->dev,
                                     path, NULL, error))
            return FALSE;
    }
    return TRUE;
}

/* The stored definition of a running domain, where it names other images. */
static void add_stored(Build *build, const VireoDomain *doc)
{
    g_autoptr(QemuDef) config = qemu_domain_config(build->dom);

    if (!config || config->doc == doc)
        return;
    VEC_EACH(config->doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = config->doc->devices->disks.items[i];
        const VireoDomainDisk *now = qemu_disk_named(doc, disk->target->dev);
        const char *path = NULL;

        if (now && !g_strcmp0(qemu_disk_path(now), qemu_disk_path(disk)))
            continue;
        if (add_disk(build, disk, &path, NULL) && path)
            qemu_graph_hold(build->graph, QEMU_HOLD_OUTSIDE, "the stored definition",
                            disk->target->dev, path, NULL, NULL);
    }
}

/* One that is not there, or cannot be read, may come back: what it needs stays until then, or until nothing refers
 * to it any more. */
static void cannot_read(Build *build, const char *who, const GError *error)
{
    g_autofree char *why = g_strdup_printf("%s: %s", who, error->message);

    qemu_graph_set_incomplete(build->graph, why);
}

/* Where a snapshot keeps a disk. Going back to what is not there is refused when it is tried. */
static void hold_disk(Build *build, const QemuSnap *snap, const VireoDomainDisk *disk,
                      gboolean external)
{
    g_autoptr(GError) error = NULL;
    const char *path = NULL, *name = snap->doc->name;

    if (!disk || disk->readonly)
        return;
    if (!add_disk(build, disk, &path, &error)) {
        g_autofree char *who = g_strdup_printf("snapshot '%s'", name);

        cannot_read(build, who, error);
    }
    if (!path)
        return;
    qemu_graph_hold(build->graph, QEMU_HOLD_SNAPSHOT, name, disk->target->dev, path,
                    external ? NULL : name, NULL);
}

static void own(Build *build, const char *path)
{
    const char *real = real_of(build, path);

    if (real)
        g_hash_table_add(build->named, (char *)real);
}

static void own_files(Build *build, const QemuSnap *snap)
{
    const VireoDomainSnapshot *doc = snap->doc;

    QemuSnapFile files[QEMU_SNAP_FILES];

    qemu_snap_files(doc, files);
    for (guint i = 0; i < QEMU_SNAP_FILES; i++)
        if (files[i].path)
            own(build, files[i].path);
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++)
        if (doc->disks->disks.items[i]->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL &&
            doc->disks->disks.items[i]->source)
            own(build, doc->disks->disks.items[i]->source->file);
}

static void hold_file(Build *build, const QemuSnap *snap, const QemuSnapFile *file)
{
    const char *path = real_of(build, file->path);

    if (!path)
        return;
    if (!qemu_graph_has(build->graph, path))
        qemu_graph_add(build->graph, path, QEMU_FILE_STATE, flags_of(build, path), used_bytes(path),
                       NULL, NULL);
    qemu_graph_hold(build->graph, QEMU_HOLD_SNAPSHOT, snap->doc->name, file->slot, path, NULL, NULL);
}

VireoDomainSnapshotLocation qemu_snap_location(const VireoDomainSnapshot *doc, const char *dev)
{
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++)
        if (g_str_equal(doc->disks->disks.items[i]->name, dev))
            return doc->disks->disks.items[i]->snapshot;
    return VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL;
}

static void add_snapshot(Build *build, const QemuSnap *snap)
{
    const VireoDomainSnapshot *doc = snap->doc;
    QemuSnapFile files[QEMU_SNAP_FILES];

    if (!doc->domain)
        return;
    VEC_EACH(doc->domain->devices->disks, i)
    {
        const VireoDomainDisk *disk = doc->domain->devices->disks.items[i];
        VireoDomainSnapshotLocation kind = qemu_snap_location(doc, disk->target->dev);

        if (kind == VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL ||
            kind == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL)
            hold_disk(build, snap, disk, kind == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL);
    }
    qemu_snap_files(doc, files);
    for (guint i = 0; i < QEMU_SNAP_FILES; i++)
        hold_file(build, snap, &files[i]);
}

static void add_files(Build *build, GHashTable *set)
{
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, set);
    while (g_hash_table_iter_next(&iter, &path, NULL) && goes_on(build)) {
        g_autoptr(GError) error = NULL;

        if (!qemu_graph_has(build->graph, path) && g_file_test(path, G_FILE_TEST_IS_REGULAR) &&
            !add_chain(build, path, NULL, 0, &error))
            qemu_graph_set_incomplete(build->graph, error->message);
    }
}

static void give(Build *build)
{
    GHashTableIter iter;
    gpointer note;
    const char *image;

    g_hash_table_iter_init(&iter, build->files->given);
    while (g_hash_table_iter_next(&iter, &note, NULL)) {
        g_autofree char *tag = qemu_point_read(note, &image);

        if (tag)
            qemu_graph_give(build->graph, image, tag);
    }
}

static gboolean is_somewhere(const Build *build, const char *image)
{
    return qemu_graph_has(build->graph, image) || qemu_is_remote(image) || g_file_test(image, G_FILE_TEST_EXISTS);
}

/* Internal snapshots that are to go, whoever the image belongs to. */
static void add_points(Build *build)
{
    GHashTableIter iter;
    gpointer note;
    const char *image;

    g_hash_table_iter_init(&iter, build->files->points);
    while (g_hash_table_iter_next(&iter, &note, NULL)) {
        g_autofree char *tag = qemu_point_read(note, &image);
        g_autoptr(GError) error = NULL;

        if (!tag || !goes_on(build) || !is_somewhere(build, image))
            continue;
        if (add_chain(build, image, NULL, 0, &error))
            qemu_graph_release_point(build->graph, image, tag);
        else
            qemu_graph_set_incomplete(build->graph, error->message);
        if (qemu_lost_waits(build->dom, note))
            qemu_graph_point_waits(build->graph, image, tag);
    }
}

/* ---- everybody else ---------------------------------------------------------------- */

/* A raw image of a server that is none of ours: its server need not be asked. */
static gboolean is_far_away(const Build *build, const VireoDomainDisk *disk)
{
    return disk->type == VIREO_DOMAIN_DISK_TYPE_NETWORK && disk->driver->type == VIREO_DOMAIN_STORAGE_FORMAT_RAW &&
           qemu_disk_path(disk) && !qemu_graph_has(build->graph, qemu_disk_path(disk));
}

/* An image of others that is not there is their affair. One that is there may need what they do not say. */
static void hold_outside(Build *build, QemuHoldKind kind, const char *who, const VireoDomain *doc)
{
    VEC_EACH(doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];
        g_autoptr(GError) error = NULL;
        const char *path = NULL;

        if (is_far_away(build, disk))
            continue;
        build->unreadable = FALSE;
        if (!add_disk(build, disk, &path, &error) && build->unreadable)
            cannot_read(build, who, error);
        if (path)
            qemu_graph_hold(build->graph, kind, who, disk->target->dev, path, NULL, NULL);
    }
}

/* In words. Names are not the same in one space. Caller frees. */
static char *who_is(const Build *build, const QemuDomain *other)
{
    return other->space == build->dom->space ? g_strdup_printf("domain '%s'", other->name)
                                             : g_strdup_printf("domain '%s' (%s)", other->name, other->uuid_text);
}

static void add_domain(Build *build, QemuDomain *other)
{
    g_autoptr(QemuDef) live = qemu_domain_live(other), config = qemu_domain_config(other);
    g_autofree char *who = who_is(build, other);
    g_autoptr(GPtrArray) snaps = qemu_tree_all(other->tree);

    if (live)
        hold_outside(build, QEMU_HOLD_RUNNING, who, live->doc);
    if (config)
        hold_outside(build, QEMU_HOLD_OUTSIDE, who, config->doc);
    for (guint i = 0; i < snaps->len && goes_on(build); i++) {
        const VireoDomainSnapshot *doc = ((QemuSnap *)snaps->pdata[i])->doc;
        g_autofree char *name = g_strdup_printf("snapshot '%s' of %s", doc->name, who);

        if (doc->domain)
            hold_outside(build, QEMU_HOLD_OUTSIDE, name, doc->domain);
    }
}

GPtrArray *qemu_engine_domains(QemuDriver *driver)
{
    GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)qemu_domain_unref);
    g_autoptr(GPtrArray) spaces = g_ptr_array_new();
    GHashTableIter iter;
    gpointer space;

    g_mutex_lock(&driver->lock);
    g_hash_table_iter_init(&iter, driver->spaces);
    while (g_hash_table_iter_next(&iter, NULL, &space))
        g_ptr_array_add(spaces, space);
    g_mutex_unlock(&driver->lock);
    for (guint i = 0; i < spaces->len; i++) {
        g_autoptr(GPtrArray) all = qemu_domain_all(spaces->pdata[i]);

        for (guint d = 0; d < all->len; d++)
            g_ptr_array_add(found, qemu_domain_ref(all->pdata[d]));
    }
    return found;
}

static void add_domains(Build *build)
{
    g_autoptr(GPtrArray) all = qemu_engine_domains(build->dom->space->driver);

    for (guint i = 0; i < all->len && goes_on(build); i++)
        if (all->pdata[i] != build->dom)
            add_domain(build, all->pdata[i]);
}

static gboolean is_foreign(Build *build, const char *path)
{
    g_autoptr(QemuImageInfo) info = qemu_image_look(build->dom->space->driver, path, NULL, NULL, NULL);
    const char *backing = info ? backing_of(build, path, info, NULL) : NULL;

    return backing && qemu_graph_has(build->graph, backing);
}

/* Files nobody told us of that are based on images of ours. */
static gboolean scan_dir(Build *build, const char *dir_path)
{
    g_autoptr(GDir) dir = g_dir_open(dir_path, 0, NULL);
    gboolean found = FALSE;
    const char *file;

    for (guint i = 0; dir && i < SCAN_MAX && (file = g_dir_read_name(dir)) && goes_on(build); i++) {
        g_autofree char *path = g_build_filename(dir_path, file, NULL);

        if ((build->ignore && g_hash_table_contains(build->ignore, path)) ||
            qemu_graph_has(build->graph, path) || !g_file_test(path, G_FILE_TEST_IS_REGULAR) ||
            g_file_test(path, G_FILE_TEST_IS_SYMLINK) || !is_foreign(build, path))
            continue;
        g_autofree char *name = g_strconcat("file ", path, NULL);
        if (add_chain(build, path, NULL, 0, NULL) &&
            qemu_graph_hold(build->graph, QEMU_HOLD_OUTSIDE, name, "", path, NULL, NULL))
            found = TRUE;
    }
    return found;
}

static void scan_dirs(Build *build)
{
    g_autoptr(GPtrArray) files = qemu_graph_files(build->graph, 0);
    gboolean found = TRUE;
    GHashTableIter iter;
    gpointer dir;

    for (guint i = 0; i < files->len; i++)
        if (!qemu_is_remote(files->pdata[i]))
            g_hash_table_add(build->dirs, g_path_get_dirname(files->pdata[i]));
    while (found) {
        found = FALSE;
        g_hash_table_iter_init(&iter, build->dirs);
        while (g_hash_table_iter_next(&iter, &dir, NULL))
            found |= scan_dir(build, dir);
    }
}

/* Noted down before an operation that was cut short: what is referred to is not released. */
static void unmark_held(QemuGraph *graph)
{
    g_autoptr(GPtrArray) files = qemu_graph_files(graph, QEMU_FILE_RELEASED);

    for (guint i = 0; i < files->len; i++)
        if (qemu_graph_holds(graph, files->pdata[i], NULL))
            qemu_graph_unmark(graph, files->pdata[i], QEMU_FILE_RELEASED);
}

static Build build_begin(QemuDomain *dom, GHashTable *ignore)
{
    return (Build){ .dom = dom, .graph = qemu_graph_new(), .files = qemu_files_of(dom), .ignore = ignore,
                    .named = g_hash_table_new(g_str_hash, g_str_equal),
                    .dirs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                    .reals = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free) };
}

/* NULL without error: it was too much. */
static QemuGraph *build_all(Build *build, const VireoDomain *doc, GError **error)
{
    QemuDomain *dom = build->dom;
    g_autoptr(GPtrArray) snaps = qemu_tree_all(dom->tree);

    for (guint i = 0; i < snaps->len; i++)
        own_files(build, snaps->pdata[i]);
    if (!add_definition(build, doc, error))
        return NULL;
    add_stored(build, doc);
    for (guint i = 0; i < snaps->len && goes_on(build); i++)
        add_snapshot(build, snaps->pdata[i]);
    add_files(build, build->named);
    add_files(build, build->files->owned);
    add_files(build, build->files->released);
    give(build);
    add_points(build);
    scan_dirs(build);
    add_domains(build);
    if (build->over)
        return NULL;
    unmark_held(build->graph);
    dom->looked = g_get_monotonic_time();
    return g_steal_pointer(&build->graph);
}

QemuGraph *qemu_engine_graph(QemuDomain *dom, const VireoDomain *doc, GHashTable *ignore,
                             GError **error)
{
    g_auto(Build) build = build_begin(dom, ignore);

    return build_all(&build, doc, error);
}

QemuGraph *qemu_engine_graph_within(QemuDomain *dom, const VireoDomain *doc, guint most, GError **error)
{
    g_auto(Build) build = build_begin(dom, NULL);

    build.most = most;
    build.may_stop = TRUE;
    return build_all(&build, doc, error);
}

static void add_running(Build *build)
{
    g_autoptr(GPtrArray) all = qemu_engine_domains(build->dom->space->driver);

    for (guint i = 0; i < all->len; i++) {
        g_autoptr(QemuDef) live = all->pdata[i] != build->dom ? qemu_domain_live(all->pdata[i]) : NULL;

        if (live)
            hold_outside(build, QEMU_HOLD_RUNNING, ((QemuDomain *)all->pdata[i])->uuid_text, live->doc);
    }
}

QemuGraph *qemu_engine_present(QemuDomain *dom, const VireoDomain *doc, gboolean running, GError **error)
{
    g_auto(Build) build = build_begin(dom, NULL);

    if (!add_definition(&build, doc, error))
        return NULL;
    if (running)
        add_running(&build);
    give(&build);
    return g_steal_pointer(&build.graph);
}
