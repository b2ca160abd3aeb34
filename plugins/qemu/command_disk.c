/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launch.h"
#include "remote.h"

#include <string.h>

char *qemu_disk_node_name(const VireoDomainDisk *disk, guint depth, gboolean storage)
{
    const char *suffix = storage ? "-file" : "";

    return depth ? g_strdup_printf("%s-base%u%s", disk->target->dev, depth, suffix)
                 : g_strdup_printf("%s%s", disk->target->dev, suffix);
}

static JsonObject *cache_options(const VireoDomainDisk *disk)
{
    switch (disk->driver->cache) {
    case VIREO_DOMAIN_DISK_CACHE_NONE:
    case VIREO_DOMAIN_DISK_CACHE_DIRECTSYNC:
        return vireo_json_new('b', "direct", TRUE, 'b', "no-flush", FALSE, 0);
    case VIREO_DOMAIN_DISK_CACHE_UNSAFE:
        return vireo_json_new('b', "direct", FALSE, 'b', "no-flush", TRUE, 0);
    case VIREO_DOMAIN_DISK_CACHE_WRITEBACK:
    case VIREO_DOMAIN_DISK_CACHE_WRITETHROUGH:
        return vireo_json_new('b', "direct", FALSE, 'b', "no-flush", FALSE, 0);
    default:
        return NULL;
    }
}

static JsonObject *storage_node(const VireoDomainDisk *disk, const char *path, const char *name,
                                gboolean block)
{
    const char *aio = NULL;
    JsonObject *node, *cache = cache_options(disk);

    if (disk->driver->io != VIREO_DOMAIN_DISK_IO_UNSET)
        aio = vireo_domain_disk_io_to_string(disk->driver->io);
    if (qemu_is_remote(path))
        node = qemu_remote_options(path);
    else
        node = vireo_json_new('s', "driver",
                              !block                                           ? "file"
                              : disk->device == VIREO_DOMAIN_DISK_DEVICE_CDROM ? "host_cdrom"
                                                                               : "host_device",
                              's', "filename", path, 's', "aio", aio, 0);
    json_object_set_string_member(node, "node-name", name);
    json_object_set_boolean_member(node, "auto-read-only", TRUE);
    json_object_set_string_member(node, "discard", "unmap");
    if (cache)
        json_object_set_object_member(node, "cache", cache);
    return node;
}

static JsonObject *format_node(const VireoDomainDisk *disk, VireoDomainStorageFormat type,
                               const char *name, gboolean top, gboolean readonly)
{
    g_autofree char *file = g_strconcat(name, "-file", NULL);
    const char *discard = NULL, *zeroes = NULL;

    if (top && disk->driver->discard != VIREO_DOMAIN_DISK_DISCARD_UNSET)
        discard = vireo_domain_disk_discard_to_string(disk->driver->discard);
    if (top && disk->driver->detect_zeroes != VIREO_DOMAIN_DISK_DETECT_ZEROES_UNSET)
        zeroes = vireo_domain_disk_detect_zeroes_to_string(disk->driver->detect_zeroes);
    return vireo_json_new('s', "driver", vireo_domain_storage_format_to_string(type), 's',
                          "node-name", name, 's', "file", file, 'b', "read-only", readonly, 's',
                          "discard", discard, 's', "detect-zeroes", zeroes, 'o', "cache",
                          cache_options(disk), 0);
}

static JsonObject *image_node(const VireoDomainDisk *disk, const QemuImage *image, guint depth,
                              gboolean last)
{
    g_autofree char *name = qemu_disk_node_name(disk, depth, FALSE);
    g_autofree char *below = qemu_disk_node_name(disk, depth + 1, FALSE);
    JsonObject *node = format_node(disk, image->format, name, !depth, depth > 0 || disk->readonly);

    if (image->format != VIREO_DOMAIN_STORAGE_FORMAT_QCOW2)
        return node;
    /* Said explicitly: QEMU opens nothing that was not looked at before. */
    if (last)
        json_object_set_null_member(node, "backing");
    else
        json_object_set_string_member(node, "backing", below);
    return node;
}

void qemu_disk_overlay_nodes(const VireoDomainDisk *disk, const char *path, const char *name,
                             JsonObject **storage, JsonObject **format)
{
    g_autofree char *file = g_strconcat(name, "-file", NULL);

    *storage = storage_node(disk, path, file, FALSE);
    *format = format_node(disk, VIREO_DOMAIN_STORAGE_FORMAT_QCOW2, name, TRUE, FALSE);
    json_object_set_null_member(*format, "backing");
}

GPtrArray *qemu_disk_nodes(const VireoDomainDisk *disk, GPtrArray *chain)
{
    GPtrArray *nodes = g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);

    for (guint depth = chain->len; depth-- > 0;) {
        const QemuImage *image = chain->pdata[depth];
        g_autofree char *file = qemu_disk_node_name(disk, depth, TRUE);

        g_ptr_array_add(nodes, storage_node(disk, image->path, file,
                                            depth ? qemu_is_block(image->path)
                                                  : disk->type == VIREO_DOMAIN_DISK_TYPE_BLOCK));
        g_ptr_array_add(nodes, image_node(disk, image, depth, depth + 1 == chain->len));
    }
    return nodes;
}

guint qemu_virtio_queues(const VireoDomain *doc)
{
    return MIN(doc->vcpu->text, 256);
}

/* Which bus of which controller, and where on it. */
static void place_disk(JsonObject *device, const VireoDomain *doc, const VireoDomainDisk *disk)
{
    const VireoDeviceAddress *at = disk->address;
    g_autofree char *bus = NULL;

    switch (disk->target->bus) {
    case VIREO_DOMAIN_DISK_BUS_VIRTIO:
        qemu_device_place(device, doc, at);
        return;
    case VIREO_DOMAIN_DISK_BUS_SCSI:
        bus = g_strdup_printf("scsi%u.0", at->controller);
        json_object_set_int_member(device, "channel", (gint64)at->bus);
        json_object_set_int_member(device, "scsi-id", at->target);
        json_object_set_int_member(device, "lun", at->unit);
        break;
    case VIREO_DOMAIN_DISK_BUS_SATA:
        bus = at->controller ? g_strdup_printf("sata%u.%u", at->controller, at->unit)
                             : g_strdup_printf("ide.%u", at->unit);
        if (!qemu_doc_is_q35(doc)) {
            g_free(bus);
            bus = g_strdup_printf("sata%u.%u", at->controller, at->unit);
        }
        break;
    case VIREO_DOMAIN_DISK_BUS_IDE:
        bus = g_strdup_printf("ide.%u", (guint)at->bus);
        json_object_set_int_member(device, "unit", at->unit);
        break;
    default: /* a floppy */
        json_object_set_int_member(device, "unit", at->unit);
        return;
    }
    json_object_set_string_member(device, "bus", bus);
}

JsonObject *qemu_disk_device(const VireoDomain *doc, const VireoDomainDisk *disk, int boot_index)
{
    gboolean cdrom = disk->device == VIREO_DOMAIN_DISK_DEVICE_CDROM;
    gboolean removable = cdrom || disk->device == VIREO_DOMAIN_DISK_DEVICE_FLOPPY;
    gboolean empty = !qemu_disk_path(disk);
    g_autofree char *node = qemu_disk_node_name(disk, 0, FALSE);
    const char *driver;

    switch (disk->target->bus) {
    case VIREO_DOMAIN_DISK_BUS_VIRTIO:
        driver = "virtio-blk-pci";
        break;
    case VIREO_DOMAIN_DISK_BUS_SCSI:
        driver = cdrom ? "scsi-cd" : "scsi-hd";
        break;
    case VIREO_DOMAIN_DISK_BUS_FDC:
        driver = "floppy";
        break;
    default:
        driver = cdrom ? "ide-cd" : "ide-hd";
    }
    JsonObject *device = vireo_json_new('s', "driver", driver, 's', "id", disk->alias, 's',
                                        "drive", empty ? NULL : node, 's', "serial", disk->serial,
                                        0);
    place_disk(device, doc, disk);
    if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_VIRTIO)
        json_object_set_int_member(device, "num-queues", qemu_virtio_queues(doc));
    if (boot_index)
        json_object_set_int_member(device, "bootindex", boot_index);
    if (!removable && disk->shareable)
        json_object_set_boolean_member(device, "share-rw", TRUE);
    if (!removable && (disk->driver->cache == VIREO_DOMAIN_DISK_CACHE_WRITETHROUGH ||
                       disk->driver->cache == VIREO_DOMAIN_DISK_CACHE_DIRECTSYNC))
        json_object_set_string_member(device, "write-cache", "off");
    if (!removable && disk->driver->error_policy != VIREO_DOMAIN_DISK_ERROR_POLICY_UNSET)
        json_object_set_string_member(
            device, "werror",
            disk->driver->error_policy == VIREO_DOMAIN_DISK_ERROR_POLICY_ENOSPACE
                ? "enospc"
                : vireo_domain_disk_error_policy_to_string(disk->driver->error_policy));
    if (!removable && disk->driver->rerror_policy != VIREO_DOMAIN_DISK_ERROR_POLICY_UNSET)
        json_object_set_string_member(
            device, "rerror",
            vireo_domain_disk_error_policy_to_string(disk->driver->rerror_policy));
    return device;
}

gboolean qemu_command_disks(QemuLaunch *launch, GError **error)
{
    VireoDomain *doc = launch->doc;

    VEC_EACH(doc->devices->disks, i)
    {
        VireoDomainDisk *disk = doc->devices->disks.items[i];
        g_autoptr(GPtrArray) nodes = qemu_disk_nodes(disk, launch->chains->pdata[i]);

        for (guint n = 0; n < nodes->len; n++)
            qemu_launch_json(launch, "-blockdev", json_object_ref(nodes->pdata[n]));
        qemu_launch_json(launch, "-device",
                         qemu_disk_device(doc, disk, qemu_boot_index(doc, 'd', i)));
    }
    return TRUE;
}
