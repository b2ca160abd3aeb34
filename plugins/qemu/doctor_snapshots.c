/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots against what is on disk. */
#include "doctor.h"

#include <string.h>

#include "images.h"
#include "save.h"
#include "sidefile.h"

/* What one snapshot consists of, and how much of it is there. */
typedef struct {
    guint parts, there;
    guint memories;     /* images that hold its memory */
    GString *missing;   /* in words */
    gboolean can_tell;  /* what is missing is missing from a place that is there */
} Parts;

static VireoDomainSnapshotLocation where(const VireoDomainSnapshot *doc, const char *dev)
{
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++)
        if (g_str_equal(doc->disks->disks.items[i]->name, dev))
            return doc->disks->disks.items[i]->snapshot;
    return doc->disks ? VIREO_DOMAIN_SNAPSHOT_LOCATION_NO : VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL;
}

static void missing(Parts *parts, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void missing(Parts *parts, const char *format, ...)
{
    va_list args;

    if (parts->missing->len)
        g_string_append(parts->missing, ", ");
    va_start(args, format);
    g_string_append_vprintf(parts->missing, format, args);
    va_end(args);
}

/* A directory in which nothing of the domain is any more may not be mounted. */
static gboolean is_known_place(const QemuDoctor *doctor, const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *real = qemu_real_path(dir);

    return real && g_hash_table_contains(doctor->dirs, real);
}

static void look_at_disk(QemuDoctor *doctor, const VireoDomainSnapshot *doc, const VireoDomainDisk *disk,
                         Parts *parts)
{
    VireoDomainSnapshotLocation kind = where(doc, disk->target->dev);
    const char *path = qemu_disk_path(disk);
    gboolean inside = kind == VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL;

    if (disk->readonly || !path || (!inside && kind != VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL))
        return;
    const QemuLooked *looked =
        qemu_doctor_look(doctor, path, disk->driver->type == VIREO_DOMAIN_STORAGE_FORMAT_QCOW2);
    const QemuImageSnapshot *point =
        inside && looked->info ? qemu_image_info_snapshot(looked->info, doc->name) : NULL;

    parts->parts++;
    if (looked->missing) {
        parts->can_tell &= is_known_place(doctor, path);
        missing(parts, "image %s of disk '%s'", path, disk->target->dev);
    } else if (inside && !point) {
        missing(parts, "its internal snapshot in %s (disk '%s')", path, disk->target->dev);
        parts->can_tell &= looked->info != NULL;
    } else {
        parts->there++;
    }
    parts->memories += point && point->has_vmstate;
}

static void look_at_memory(const QemuSnapFile *file, Parts *parts)
{
    g_autoptr(GError) error = NULL;

    if (g_str_equal(file->slot, "memory") && !qemu_save_check(file->path, &error))
        missing(parts, "its memory (%s)", error->message);
}

static void look_at_files(QemuDoctor *doctor, const VireoDomainSnapshot *doc, Parts *parts)
{
    gboolean has = doc->state == VIREO_DOMAIN_SNAPSHOT_STATE_RUNNING ||
                   doc->state == VIREO_DOMAIN_SNAPSHOT_STATE_PAUSED;
    QemuSnapFile files[QEMU_SNAP_FILES];

    qemu_snap_files(doc, files);
    for (guint i = 0; i < QEMU_SNAP_FILES; i++) {
        if (!files[i].path)
            continue;
        parts->parts++;
        if (g_file_test(files[i].path, G_FILE_TEST_IS_REGULAR)) {
            parts->there++;
            look_at_memory(&files[i], parts);
            continue;
        }
        parts->can_tell &= is_known_place(doctor, files[i].path);
        missing(parts, "its %s %s", files[i].slot, files[i].path);
    }
    if (has && !(doc->memory && doc->memory->file) && parts->there && !parts->memories) {
        parts->parts++;
        missing(parts, "the guest's memory, which is in none of its images");
    }
}

static void judge(QemuDoctor *doctor, const char *name, const Parts *parts)
{
    gboolean ghost = parts->parts && !parts->there;
    gboolean repair = ghost && parts->can_tell && doctor->whole;

    if (!parts->missing->len)
        return;
    if (ghost)
        qemu_doctor_find(doctor, "ghost", VIREO_DOCTOR_BROKEN, NULL, name,
                         g_strdup_printf("of snapshot '%s' nothing is there: %s is missing", name,
                                         parts->missing->str),
                         repair ? g_strdup_printf("forget it (snapshot-delete %s --metadata); its description of "
                                                  "the machine goes with it: snapshot-dumpxml shows it", name)
                                : g_strdup("bring the files back: it may be that their storage is only not "
                                           "mounted"),
                         repair);
    else
        qemu_doctor_find(doctor, "incomplete", VIREO_DOCTOR_BROKEN, NULL, name,
                         g_strdup_printf("of snapshot '%s' a part is gone: %s; it cannot be reverted to", name,
                                         parts->missing->str),
                         g_strdup_printf("bring that back, or remove what is left of it: snapshot-delete %s",
                                         name),
                         FALSE);
    if (repair)
        g_ptr_array_add(doctor->ghosts, g_strdup(name));
}

static void look_at_snapshot(QemuDoctor *doctor, const VireoDomainSnapshot *doc)
{
    Parts parts = { .missing = g_string_new(""), .can_tell = TRUE };

    if (!doc->domain) {
        qemu_doctor_find(doctor, "no-machine", VIREO_DOCTOR_WARNING, NULL, doc->name,
                         g_strdup_printf("snapshot '%s' does not say what machine it was taken of; it cannot be "
                                         "reverted to", doc->name),
                         g_strdup("redefine it with a <domain> (snapshot-create --redefine)"), FALSE);
    } else {
        VEC_EACH(doc->domain->devices->disks, i)
        look_at_disk(doctor, doc, doc->domain->devices->disks.items[i], &parts);
        look_at_files(doctor, doc, &parts);
        judge(doctor, doc->name, &parts);
    }
    g_string_free(parts.missing, TRUE);
}

void qemu_doctor_snapshots(QemuDoctor *doctor)
{
    g_autoptr(GPtrArray) snaps = qemu_tree_all(doctor->dom->tree);

    for (guint i = 0; i < snaps->len; i++)
        look_at_snapshot(doctor, ((QemuSnap *)snaps->pdata[i])->doc);
}

/* Files of metadata that no snapshot came of. */
void qemu_doctor_metadata(QemuDoctor *doctor)
{
    QemuDomain *dom = doctor->dom;
    g_autofree char *path = g_build_filename(dom->space->snapshot_dir, dom->uuid_text, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *file;

    while (dir && (file = g_dir_read_name(dir))) {
        g_autofree char *name = g_str_has_suffix(file, ".xml") ? g_strndup(file, strlen(file) - 4) : NULL;
        g_autoptr(QemuSnap) snap = name ? qemu_tree_find(dom->tree, name) : NULL;
        g_autofree char *full = g_build_filename(path, file, NULL);

        if (!name || snap)
            continue;
        qemu_doctor_find(doctor, "bad-metadata", VIREO_DOCTOR_WARNING, full, name,
                         g_strdup_printf("%s cannot be understood, so there is no snapshot '%s'", full, name),
                         g_strdup("correct it and restart the daemon, or move it away and redefine the snapshot"),
                         FALSE);
    }
}
