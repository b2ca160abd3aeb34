/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a client asks for, disk by disk, filled up with what it left open. */
#include "snapshot.h"

#include <limits.h>
#include <string.h>

#include "engine.h"
#include "images.h"

/* A name in <disks> is a target or the path of an image. */
static const VireoDomainDisk *find_disk(const VireoDomain *doc, const char *name)
{
    VEC_EACH(doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];

        if (g_str_equal(disk->target->dev, name) || !g_strcmp0(qemu_disk_path(disk), name))
            return disk;
    }
    return NULL;
}

static VireoDomainSnapshotDisk *asked_for(const VireoDomainSnapshot *doc, const VireoDomainDisk *disk)
{
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++) {
        VireoDomainSnapshotDisk *asked = doc->disks->disks.items[i];

        if (g_str_equal(disk->target->dev, asked->name) ||
            !g_strcmp0(qemu_disk_path(disk), asked->name))
            return asked;
    }
    return NULL;
}

static gboolean unsupported(GError **error, const char *dev, const char *what, const char *instead)
{
    qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED, instead, "disk '%s': %s", dev, what);
    return FALSE;
}

static gboolean check_names(const VireoDomainSnapshot *doc, const VireoDomain *machine,
                            GError **error)
{
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++) {
        const char *name = doc->disks->disks.items[i]->name;
        const VireoDomainDisk *disk = find_disk(machine, name);

        if (!disk) {
            qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                        "leave it out; <disks> names targets or images that the domain has",
                        "the domain has no disk '%s'", name);
            return FALSE;
        }
        for (guint k = 0; k < i; k++)
            if (find_disk(machine, doc->disks->disks.items[k]->name) == disk)
                return unsupported(error, disk->target->dev, "it is named twice",
                                   "name it once, by its target or by its image");
    }
    return TRUE;
}

static VireoDomainSnapshotLocation fallback(const QemuRequest *request, const VireoDomainDisk *disk)
{
    switch (disk->snapshot) {
    case VIREO_DOMAIN_DISK_SNAPSHOT_NO:
        return VIREO_DOMAIN_SNAPSHOT_LOCATION_NO;
    case VIREO_DOMAIN_DISK_SNAPSHOT_EXTERNAL:
        return VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL;
    case VIREO_DOMAIN_DISK_SNAPSHOT_INTERNAL:
        return VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL;
    case VIREO_DOMAIN_DISK_SNAPSHOT_MANUAL:
        return VIREO_DOMAIN_SNAPSHOT_LOCATION_MANUAL;
    default:
        return request->fallback;
    }
}

char *qemu_overlay_stem(const QemuDriver *driver, const VireoDomain *machine,
                        const VireoDomainDisk *disk, GError **error)
{
    const char *path = qemu_disk_path(disk), *dir = driver->config.overlay_dir;

    if (disk->type == VIREO_DOMAIN_DISK_TYPE_FILE) {
        const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');

        return dot && slash && dot > slash + 1 ? g_strndup(path, (gsize)(dot - path)) : g_strdup(path);
    }
    if (dir)
        return g_strdup_printf("%s/%s-%s", dir, machine->name, disk->target->dev);
    unsupported(error, disk->target->dev, "its image is no file, so that nothing tells where an overlay "
                "goes",
                "name one with <source file='...'/>, or set overlay_dir in section [snapshots] of qemu.conf");
    return NULL;
}

char *qemu_overlay_path(const char *stem, const char *name, const char *more)
{
    g_autofree char *path = g_strconcat(stem, ".", name, NULL);
    const char *slash = strrchr(stem, '/'), *end;
    gsize room = (slash ? (gsize)(slash + 1 - stem) : 0) + NAME_MAX - strlen(more);

    if (strlen(path) > room) {
        path[room] = 0;
        if (!g_utf8_validate(path, -1, &end) && path + room - end < 4)
            path[end - path] = 0; /* not half a letter */
    }
    return g_strconcat(path, more, NULL);
}

/* /images/vm.qcow2 becomes /images/vm.NAME, or vm.NAME-2 where that is taken. */
static char *overlay_name(const QemuRequest *request, const VireoDomainDisk *disk, GError **error)
{
    g_autofree char *stem = qemu_overlay_stem(request->driver, request->machine, disk, error);
    char *overlay = stem ? qemu_overlay_path(stem, request->name, "") : NULL;

    for (guint i = 2; overlay && !request->reuse && g_file_test(overlay, G_FILE_TEST_EXISTS); i++) {
        g_autofree char *more = g_strdup_printf("-%u", i);

        g_free(overlay);
        overlay = qemu_overlay_path(stem, request->name, more);
    }
    return overlay;
}

static gboolean check_overlay(const QemuRequest *request, const VireoDomainDisk *disk,
                              const char *path, GError **error)
{
    gboolean there = g_file_test(path, G_FILE_TEST_EXISTS);
    const char *dev = disk->target->dev;
    g_autoptr(QemuImageInfo) info = NULL;

    if (disk->shareable)
        return unsupported(error, dev, "it is shared by several guests", "snapshot='no' for this disk");
    if (there && !request->reuse) {
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "another file, or flag REUSE_EXT, which uses what is there",
                    "disk '%s': %s exists already, and an overlay begins empty", dev, path);
        return FALSE;
    }
    if (!there && request->reuse) {
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "make it first (qemu-img create), or leave out REUSE_EXT",
                    "disk '%s': %s does not exist, so it cannot be reused", dev, path);
        return FALSE;
    }
    if (!there)
        return TRUE;
    if (!(info = qemu_image_inspect(path, FALSE, error)))
        return FALSE;
    return info->is_qcow2 || unsupported(error, dev, "the overlay is not in qcow2 format",
                                        "a qcow2 file, or leave out REUSE_EXT");
}

static gboolean fill_external(QemuRequest *request, const VireoDomainDisk *disk,
                              const VireoDomainSnapshotDisk *asked, QemuSnapDisk *out, GError **error)
{
    const VireoDomainSnapshotDriver *driver = asked ? asked->driver : NULL;
    const char *dev = disk->target->dev;
    char *path = NULL;

    if (asked && asked->type != VIREO_DOMAIN_DISK_TYPE_UNSET &&
        asked->type != VIREO_DOMAIN_DISK_TYPE_FILE)
        return unsupported(error, dev, "an overlay must be a file", "<source file='...'/>");
    if (driver && driver->type != VIREO_DOMAIN_STORAGE_FORMAT_UNSET &&
        driver->type != VIREO_DOMAIN_STORAGE_FORMAT_QCOW2)
        return unsupported(error, dev, "an overlay must be in qcow2 format",
                           "<driver type='qcow2'/>, or none");
    g_autofree char *wanted = asked && asked->source && asked->source->file
                                  ? g_strdup(asked->source->file)
                                  : overlay_name(request, disk, error);
    if (!wanted || !(path = qemu_real_new_path(wanted, error)))
        return FALSE;
    g_ptr_array_add(request->texts, path);
    if (!check_overlay(request, disk, path, error))
        return FALSE;
    /* Two disks must not get the same one. */
    for (guint i = 0; i < request->disks->len; i++)
        if (!g_strcmp0(g_array_index(request->disks, QemuSnapDisk, i).overlay, path))
            return unsupported(error, dev, "another disk has an overlay of that name", "another file");
    out->kind = QEMU_SNAP_EXTERNAL;
    out->overlay = path;
    out->reuse = request->reuse;
    return TRUE;
}

static gboolean fill_disk(QemuRequest *request, const VireoDomainSnapshot *doc,
                          const VireoDomainDisk *disk, GError **error)
{
    const VireoDomainSnapshotDisk *asked = asked_for(doc, disk);
    VireoDomainSnapshotLocation kind = asked ? asked->snapshot : VIREO_DOMAIN_SNAPSHOT_LOCATION_UNSET;
    QemuSnapDisk out = { .slot = disk->target->dev };
    gboolean named = kind && kind != VIREO_DOMAIN_SNAPSHOT_LOCATION_NO;

    if (!kind)
        kind = asked && asked->source ? VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL
                                      : fallback(request, disk);
    if (disk->readonly || !qemu_disk_path(disk)) {
        if (named)
            return unsupported(error, out.slot, disk->readonly ? "it is read-only" : "it is empty",
                               "snapshot='no', or leave it out");
        kind = VIREO_DOMAIN_SNAPSHOT_LOCATION_NO;
    }
    if (kind != VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL && asked && asked->source)
        return unsupported(error, out.slot, "only an external snapshot has a <source>",
                           "snapshot='external', or no <source>");
    if (kind == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL &&
        !fill_external(request, disk, asked, &out, error))
        return FALSE;
    if (kind == VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL)
        out.kind = QEMU_SNAP_INTERNAL;
    if (kind == VIREO_DOMAIN_SNAPSHOT_LOCATION_MANUAL)
        out.kind = QEMU_SNAP_MANUAL;
    g_array_append_val(request->disks, out);
    request->kinds[out.kind]++;
    return TRUE;
}

/* ---- memory ----------------------------------------------------------------------- */

static gboolean check_memory(QemuRequest *request, const VireoDomainSnapshot *doc, GError **error)
{
    VireoDomainSnapshotLocation kind =
        doc->memory ? doc->memory->snapshot : VIREO_DOMAIN_SNAPSHOT_LOCATION_UNSET;
    const char *file = doc->memory ? doc->memory->file : NULL;

    if (!kind && file)
        kind = VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL;
    request->memory_asked = kind;
    if (file && !(request->memory_file = qemu_real_new_path(file, error)))
        return FALSE;
    if (kind == VIREO_DOMAIN_SNAPSHOT_LOCATION_MANUAL) {
        qemu_refuse(error, VIREO_ERR_XML_ERROR,
                    "memory 'internal', 'external' or 'no'",
                    "the memory of a guest cannot be kept by hand ('manual')");
        return FALSE;
    }
    if (kind > VIREO_DOMAIN_SNAPSHOT_LOCATION_NO && (!request->active || request->disk_only)) {
        qemu_refuse(error, VIREO_ERR_XML_ERROR,
                    "leave out <memory>, or give it snapshot='no'",
                    request->active ? "a snapshot of disks only (flag DISK_ONLY) has no memory"
                                   : "a guest that is off has no memory to save");
        return FALSE;
    }
    if ((kind == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL) != (file != NULL)) {
        qemu_refuse(error, VIREO_ERR_XML_ERROR,
                    "<memory snapshot='external' file='...'/>",
                    file ? "only external memory has a file"
                                                    : "external memory needs a file");
        return FALSE;
    }
    if (file && g_file_test(file, G_FILE_TEST_EXISTS)) {
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "another file",
                    "%s exists already, memory is not written over it", file);
        return FALSE;
    }
    return TRUE;
}

/* Left open, memory goes where the disks go. */
static gboolean choose_memory(QemuRequest *request, GError **error)
{
    request->memory = QEMU_SNAP_NO;
    if (!request->active || request->disk_only ||
        request->memory_asked == VIREO_DOMAIN_SNAPSHOT_LOCATION_NO)
        return TRUE;
    if (request->memory_asked == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL) {
        request->memory = QEMU_SNAP_EXTERNAL;
        return TRUE;
    }
    if (request->kinds[QEMU_SNAP_INTERNAL] ||
        request->memory_asked == VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL) {
        request->memory = QEMU_SNAP_INTERNAL;
        return TRUE;
    }
    qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                "name a file for it (<memory snapshot='external' file='...'/>), or leave it out (flag DISK_ONLY)",
                "no disk of snapshot '%s' can hold the guest's memory: none has an internal snapshot",
               request->name);
    return FALSE;
}

QemuRequest *qemu_request_new(const QemuDriver *driver, const VireoDomainSnapshot *doc,
                              const VireoDomain *machine, guint flags, gboolean active,
                              GError **error)
{
    g_autoptr(QemuRequest) request = g_new0(QemuRequest, 1);

    request->driver = driver;
    request->machine = machine;
    request->name = doc->name;
    request->active = active;
    request->disk_only = (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY) != 0;
    request->reuse = (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT) != 0;
    request->disks = g_array_new(FALSE, TRUE, sizeof(QemuSnapDisk));
    request->texts = g_ptr_array_new_with_free_func(g_free);
    if (!check_names(doc, machine, error) || !check_memory(request, doc, error))
        return NULL;
    request->fallback = request->disk_only || request->memory_file
                            ? VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL
                            : VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL;
    VEC_EACH(machine->devices->disks, i)
    if (!fill_disk(request, doc, machine->devices->disks.items[i], error))
        return NULL;
    if (!choose_memory(request, error))
        return NULL;
    if (request->reuse && !request->kinds[QEMU_SNAP_EXTERNAL]) {
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "leave out REUSE_EXT, or give a disk an external snapshot",
                    "flag REUSE_EXT cannot take effect: no disk gets an overlay");
        return NULL;
    }
    return g_steal_pointer(&request);
}

void qemu_request_free(QemuRequest *request)
{
    if (!request)
        return;
    if (request->disks)
        g_array_unref(request->disks);
    if (request->texts)
        g_ptr_array_unref(request->texts);
    g_free(request->memory_file);
    g_free(request);
}
