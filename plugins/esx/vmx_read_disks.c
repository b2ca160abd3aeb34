/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks and their controllers, out of a VMX file. */
#include "drive.h"
#include "vmx_devices.h"

static const struct {
    const char *prefix;
    VireoDomainDiskBus bus;
    VireoDomainControllerType controller;
    gboolean own; /* the controller has an entry of its own */
} kinds[] = {
    { "scsi", VIREO_DOMAIN_DISK_BUS_SCSI, VIREO_DOMAIN_CONTROLLER_TYPE_SCSI, TRUE },
    { "sata", VIREO_DOMAIN_DISK_BUS_SATA, VIREO_DOMAIN_CONTROLLER_TYPE_SATA, TRUE },
    { "ide", VIREO_DOMAIN_DISK_BUS_IDE, VIREO_DOMAIN_CONTROLLER_TYPE_IDE, FALSE },
};

/* What deviceType means. Where it is absent, the name of the file tells. */
static const struct {
    const char *vmx;
    VireoDomainDiskDevice device;
    VireoDomainDiskType type;
} types[] = {
    { "scsi-hardDisk", VIREO_DOMAIN_DISK_DEVICE_DISK, VIREO_DOMAIN_DISK_TYPE_FILE },
    { "ata-hardDisk", VIREO_DOMAIN_DISK_DEVICE_DISK, VIREO_DOMAIN_DISK_TYPE_FILE },
    { "disk", VIREO_DOMAIN_DISK_DEVICE_DISK, VIREO_DOMAIN_DISK_TYPE_FILE },
    { "cdrom-image", VIREO_DOMAIN_DISK_DEVICE_CDROM, VIREO_DOMAIN_DISK_TYPE_FILE },
    { "atapi-cdrom", VIREO_DOMAIN_DISK_DEVICE_CDROM, VIREO_DOMAIN_DISK_TYPE_BLOCK },
    { "cdrom-raw", VIREO_DOMAIN_DISK_DEVICE_LUN, VIREO_DOMAIN_DISK_TYPE_BLOCK },
    { "scsi-passthru", VIREO_DOMAIN_DISK_DEVICE_LUN, VIREO_DOMAIN_DISK_TYPE_BLOCK },
};

static gboolean set_type(VireoDomainDisk *disk, const char *place, const char *type, const char *file, GError **error)
{
    g_autofree char *key = NULL;

    if (!type)
        type = file && g_str_has_suffix(file, ".iso") ? "cdrom-image" : "disk";
    for (guint i = 0; i < G_N_ELEMENTS(types); i++)
        if (g_ascii_strcasecmp(types[i].vmx, type) == 0) {
            disk->device = types[i].device;
            disk->type = types[i].type;
            return TRUE;
        }
    key = g_strconcat(place, ".deviceType", NULL);
    return esx_vmx_refuse(error, key, type, "scsi-hardDisk, ata-hardDisk, cdrom-image, cdrom-raw, atapi-cdrom or scsi-passthru");
}

static void set_source(const EsxVmx *vmx, const EsxVmxHost *host, VireoDomainDisk *disk, const char *place, const char *file)
{
    gboolean search = esx_vmx_is(vmx, FALSE, "%s.autodetect", place) || g_strcmp0(file, "auto detect") == 0;
    gboolean none = !file || g_str_equal(file, "emptyBackingString") || search;

    if (none && !search)
        return;
    disk->source = g_new0(VireoDomainDiskSource, 1);
    if (search)
        disk->source->startup_policy = VIREO_DOMAIN_STARTUP_POLICY_OPTIONAL;
    else if (disk->type == VIREO_DOMAIN_DISK_TYPE_BLOCK)
        disk->source->dev = g_strdup(file);
    else
        disk->source->file = esx_vmx_file_in(host, file);
}

/* NULL, without an error: nothing is there. */
static VireoDomainDisk *read_disk(const EsxVmx *vmx, const EsxVmxHost *host, const char *place, GError **error)
{
    const char *file = esx_vmx_get(vmx, "%s.fileName", place);
    VireoDomainDisk *disk = NULL;

    if (!esx_vmx_is(vmx, FALSE, "%s.present", place))
        return NULL;
    disk = g_new0(VireoDomainDisk, 1);
    if (!set_type(disk, place, esx_vmx_get(vmx, "%s.deviceType", place), file, error)) {
        vireo_model_free(&vireo_domain_disk_type, disk);
        return NULL;
    }
    if (esx_vmx_is(vmx, FALSE, "%s.clientDevice", place)) {
        disk->device = VIREO_DOMAIN_DISK_DEVICE_CDROM; /* what is in it is somewhere else */
        file = NULL;
    }
    set_source(vmx, host, disk, place, file);
    disk->readonly = disk->device != VIREO_DOMAIN_DISK_DEVICE_DISK;
    if (esx_vmx_is(vmx, FALSE, "%s.writeThrough", place)) {
        disk->driver = g_new0(VireoDomainDiskDriver, 1);
        disk->driver->cache = VIREO_DOMAIN_DISK_CACHE_WRITETHROUGH;
    }
    return disk;
}

static gboolean read_own_controller(const EsxVmx *vmx, guint kind, guint bus, VireoDomainDevices *devices, GError **error)
{
    g_autofree char *key = g_strdup_printf("%s%u.virtualDev", kinds[kind].prefix, bus);
    const char *model = esx_vmx_get(vmx, "%s", key);
    const char *name = kinds[kind].bus == VIREO_DOMAIN_DISK_BUS_SCSI ? esx_vmx_name_in(esx_vmx_scsi_models, model) : NULL;

    if (model && !name && kinds[kind].bus == VIREO_DOMAIN_DISK_BUS_SCSI)
        return esx_vmx_refuse(error, key, model, "buslogic, lsilogic, lsisas1068 or pvscsi");
    esx_controller_add(devices, kinds[kind].controller, bus, name);
    return TRUE;
}

static gboolean read_bus(const EsxVmx *vmx, const EsxVmxHost *host, guint kind, guint bus, VireoDomainDevices *devices,
                         GError **error)
{
    guint before = devices->disks.n;
    gboolean good = TRUE;

    for (guint unit = 0; good && unit < esx_drive_units(kinds[kind].bus); unit++) {
        g_autofree char *place = g_strdup_printf("%s%u:%u", kinds[kind].prefix, bus, unit);
        g_autoptr(GError) problem = NULL;
        VireoDomainDisk *disk = read_disk(vmx, host, place, &problem);

        good = !problem;
        if (problem)
            g_propagate_error(error, g_steal_pointer(&problem));
        if (!disk)
            continue;
        esx_drive_put(disk, kinds[kind].bus, bus, unit);
        vireo_list_append(&devices->disks, disk);
    }
    if (good && !kinds[kind].own && devices->disks.n > before &&
        (!devices->controllers.n || devices->controllers.items[devices->controllers.n - 1]->type != kinds[kind].controller))
        esx_controller_add(devices, kinds[kind].controller, 0, NULL);
    return good;
}

static void read_floppies(const EsxVmx *vmx, const EsxVmxHost *host, VireoDomainDevices *devices)
{
    for (guint i = 0; i < esx_drive_units(VIREO_DOMAIN_DISK_BUS_FDC); i++) {
        g_autofree char *place = g_strdup_printf("floppy%u", i);
        gboolean file = g_strcmp0(esx_vmx_get(vmx, "%s.fileType", place), "file") == 0;
        if (!esx_vmx_is(vmx, FALSE, "%s.present", place))
            continue;
        VireoDomainDisk *disk = g_new0(VireoDomainDisk, 1);
        disk->device = VIREO_DOMAIN_DISK_DEVICE_FLOPPY;
        disk->type = file ? VIREO_DOMAIN_DISK_TYPE_FILE : VIREO_DOMAIN_DISK_TYPE_BLOCK;
        set_source(vmx, host, disk, place, esx_vmx_get(vmx, "%s.fileName", place));
        esx_drive_put(disk, VIREO_DOMAIN_DISK_BUS_FDC, 0, i);
        vireo_list_append(&devices->disks, disk);
    }
}

gboolean esx_vmx_read_disks(const EsxVmx *vmx, const EsxVmxHost *host, VireoDomainDevices *devices, GError **error)
{
    for (guint kind = 0; kind < G_N_ELEMENTS(kinds); kind++)
        for (guint bus = 0; bus < esx_drive_buses(kinds[kind].bus); bus++) {
            gboolean there = !kinds[kind].own || esx_vmx_is(vmx, FALSE, "%s%u.present", kinds[kind].prefix, bus);

            if (there && kinds[kind].own && !read_own_controller(vmx, kind, bus, devices, error))
                return FALSE;
            if (there && !read_bus(vmx, host, kind, bus, devices, error))
                return FALSE;
        }
    read_floppies(vmx, host, devices);
    return TRUE;
}
