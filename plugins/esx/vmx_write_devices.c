/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices, into a VMX file. */
#include <string.h>

#include "drive.h"
#include "vmx_devices.h"

/* ---- disks --------------------------------------------------------------------------- */

static gboolean write_controller(EsxVmx *vmx, const VireoDomainDevices *devices, VireoDomainControllerType type, guint index,
                                 GError **error)
{
    const VireoDomainController *wanted = esx_controller_find(devices, type, index);
    const char *model = wanted && wanted->model && !g_str_equal(wanted->model, "auto") ? wanted->model : NULL;
    const char *prefix = type == VIREO_DOMAIN_CONTROLLER_TYPE_SCSI ? "scsi" : "sata";
    const char *name = esx_vmx_name_out(esx_vmx_scsi_models, model);

    if (model && !name)
        return vireo_refuse(error, wanted->line,
                            "controller model '%s': SCSI has lsilogic, buslogic, lsisas1068 and vmpvscsi",
                            model);
    if (esx_vmx_is(vmx, FALSE, "%s%u.present", prefix, index))
        return TRUE;
    esx_vmx_set(vmx, "true", "%s%u.present", prefix, index);
    esx_vmx_set(vmx, name, "%s%u.virtualDev", prefix, index);
    return TRUE;
}

static gboolean write_controllers(EsxVmx *vmx, const VireoDomainDevices *devices, GError **error)
{
    for (guint i = 0; i < devices->controllers.n; i++) {
        const VireoDomainController *one = devices->controllers.items[i];

        if (one->type == VIREO_DOMAIN_CONTROLLER_TYPE_IDE || one->type == VIREO_DOMAIN_CONTROLLER_TYPE_FDC)
            continue;
        if (one->type != VIREO_DOMAIN_CONTROLLER_TYPE_SCSI && one->type != VIREO_DOMAIN_CONTROLLER_TYPE_SATA)
            return vireo_refuse(error, one->line, "the controllers are of type scsi, sata, ide and fdc");
        if (one->has_index && one->index > 3)
            return vireo_refuse(error, one->line, "there are no more than four controllers of a kind");
        if (!write_controller(vmx, devices, one->type, one->has_index ? one->index : 0, error))
            return FALSE;
    }
    return TRUE;
}

static const char *type_of(const VireoDomainDisk *disk, gboolean scsi)
{
    gboolean file = disk->type == VIREO_DOMAIN_DISK_TYPE_FILE || disk->type == VIREO_DOMAIN_DISK_TYPE_UNSET;

    switch (disk->device) {
    case VIREO_DOMAIN_DISK_DEVICE_UNSET:
    case VIREO_DOMAIN_DISK_DEVICE_DISK:
        return !file ? NULL : scsi ? "scsi-hardDisk" : "ata-hardDisk";
    case VIREO_DOMAIN_DISK_DEVICE_CDROM:
        return file ? "cdrom-image" : "atapi-cdrom";
    case VIREO_DOMAIN_DISK_DEVICE_LUN:
        return file ? NULL : "cdrom-raw";
    default:
        return NULL;
    }
}

static void write_file(EsxVmx *vmx, const EsxVmxHost *host, const VireoDomainDisk *disk, const char *place)
{
    const VireoDomainDiskSource *source = disk->source;
    g_autofree char *file = source && source->file ? esx_vmx_file_out(host, source->file) : NULL;
    gboolean search = source && source->startup_policy == VIREO_DOMAIN_STARTUP_POLICY_OPTIONAL && !source->dev && !file;

    if (search) {
        esx_vmx_set(vmx, "auto detect", "%s.fileName", place);
        esx_vmx_set(vmx, "true", "%s.autodetect", place);
    } else
        esx_vmx_set(vmx, file ? file : source && source->dev ? source->dev : "emptyBackingString", "%s.fileName", place);
}

static gboolean write_floppy(EsxVmx *vmx, const EsxVmxHost *host, const VireoDomainDisk *disk, GError **error)
{
    g_autofree char *place = NULL;
    guint bus, unit;

    if (disk->target->bus != VIREO_DOMAIN_DISK_BUS_FDC)
        return vireo_refuse(error, disk->line, "disk '%s': floppies are on the bus fdc", disk->target->dev);
    if (!esx_drive_find(disk, &bus, &unit, error))
        return FALSE;
    place = g_strdup_printf("floppy%u", unit);
    esx_vmx_set(vmx, "true", "%s.present", place);
    esx_vmx_set(vmx, disk->type == VIREO_DOMAIN_DISK_TYPE_BLOCK ? "device" : "file", "%s.fileType", place);
    write_file(vmx, host, disk, place);
    return TRUE;
}

static gboolean write_disk(EsxVmx *vmx, const EsxVmxHost *host, const VireoDomainDevices *devices,
                           const VireoDomainDisk *disk, GError **error)
{
    VireoDomainDiskBus bus = disk->target->bus;
    gboolean scsi = bus == VIREO_DOMAIN_DISK_BUS_SCSI || bus == VIREO_DOMAIN_DISK_BUS_UNSET;
    gboolean sata = bus == VIREO_DOMAIN_DISK_BUS_SATA;
    const char *type = type_of(disk, scsi);
    guint index, unit;

    if (disk->device == VIREO_DOMAIN_DISK_DEVICE_FLOPPY)
        return write_floppy(vmx, host, disk, error);
    if (!type || bus == VIREO_DOMAIN_DISK_BUS_FDC)
        return vireo_refuse(error, disk->line,
                            "disk '%s': hard disks are files, CD-ROMs files or devices, luns devices",
                            disk->target->dev);
    if (!esx_drive_find(disk, &index, &unit, error))
        return FALSE;
    if ((scsi || sata) && !write_controller(vmx, devices,
                                            scsi ? VIREO_DOMAIN_CONTROLLER_TYPE_SCSI : VIREO_DOMAIN_CONTROLLER_TYPE_SATA,
                                            index, error))
        return FALSE;
    g_autofree char *place = g_strdup_printf("%s%u:%u", scsi ? "scsi" : sata ? "sata" : "ide", index, unit);
    if (esx_vmx_is(vmx, FALSE, "%s.present", place))
        return vireo_refuse(error, disk->line, "disk '%s': there is another one at %s", disk->target->dev, place);
    esx_vmx_set(vmx, "true", "%s.present", place);
    esx_vmx_set(vmx, type, "%s.deviceType", place);
    write_file(vmx, host, disk, place);
    if (disk->driver && disk->driver->cache == VIREO_DOMAIN_DISK_CACHE_WRITETHROUGH)
        esx_vmx_set(vmx, "true", "%s.writeThrough", place);
    else if (disk->driver && disk->driver->cache > VIREO_DOMAIN_DISK_CACHE_DEFAULT)
        return vireo_refuse(error, disk->line,
                            "disk '%s': the cache is writethrough or the default", disk->target->dev);
    return TRUE;
}

gboolean esx_vmx_write_disks(EsxVmx *vmx, const EsxVmxHost *host, const VireoDomainDevices *devices, GError **error)
{
    if (!write_controllers(vmx, devices, error))
        return FALSE;
    for (guint i = 0; i < devices->disks.n; i++)
        if (!write_disk(vmx, host, devices, devices->disks.items[i], error))
            return FALSE;
    /* A machine has floppy drives unless it says that it has none. */
    for (guint i = 0; i < esx_drive_units(VIREO_DOMAIN_DISK_BUS_FDC); i++)
        if (!esx_vmx_get(vmx, "floppy%u.present", i))
            esx_vmx_set(vmx, "false", "floppy%u.present", i);
    return TRUE;
}

/* ---- interfaces ------------------------------------------------------------------------- */

/* Addresses that a host makes up, that a vCenter makes up, and all others. */
static void write_mac(EsxVmx *vmx, const VireoDomainInterfaceMac *mac, const char *place)
{
    const char *address = mac ? mac->address : NULL;
    gboolean fixed = address && g_strcmp0(mac->type, "static") == 0;
    gboolean host = !fixed && (!address || g_ascii_strncasecmp(address, "00:0c:29", 8) == 0);
    gboolean center = !fixed && !host && g_ascii_strncasecmp(address, "00:50:56", 8) == 0;

    esx_vmx_set(vmx, host ? "generated" : center ? "vpx" : "static", "%s.addressType", place);
    esx_vmx_set(vmx, address, host || center ? "%s.generatedAddress" : "%s.address", place);
    if (host && address)
        esx_vmx_set(vmx, "0", "%s.generatedAddressOffset", place);
    if (mac && (mac->check == VIREO_TRISTATE_NO || (address && !host && g_ascii_strncasecmp(address, "00:50:56", 8) != 0)))
        esx_vmx_set(vmx, "false", "%s.checkMACAddress", place);
}

static gboolean write_network(EsxVmx *vmx, const VireoDomainInterface *card, const char *place, GError **error)
{
    const VireoDomainInterfaceSource *source = card->source;
    g_autofree char *id = NULL;

    if (card->type == VIREO_DOMAIN_INTERFACE_TYPE_USER) {
        esx_vmx_set(vmx, "nat", "%s.connectionType", place);
    } else if (card->type == VIREO_DOMAIN_INTERFACE_TYPE_BRIDGE && source && source->bridge) {
        gboolean custom = card->target && card->target->dev;
        esx_vmx_set(vmx, source->bridge, "%s.networkName", place);
        esx_vmx_set(vmx, custom ? "custom" : "bridged", "%s.connectionType", place);
        esx_vmx_set(vmx, custom ? card->target->dev : NULL, "%s.vnet", place);
    } else if (card->type == VIREO_DOMAIN_INTERFACE_TYPE_VDS && source && source->has_switchid) {
        id = esx_vmx_uuid_text(source->switchid);
        esx_vmx_set(vmx, id, "%s.dvs.switchId", place);
        esx_vmx_set(vmx, source->portid, "%s.dvs.portId", place);
        esx_vmx_set(vmx, source->portgroupid, "%s.dvs.portgroupId", place);
        esx_vmx_set(vmx, source->connectionid, "%s.dvs.connectionId", place);
    } else
        return vireo_refuse(error, card->line, "interfaces are of type bridge, user and vds, with their source");
    return TRUE;
}

static gboolean write_card(EsxVmx *vmx, const VireoDomainInterface *card, const char *place, GError **error)
{
    static const char *const models[] = { "vlance", "vmxnet", "vmxnet2", "vmxnet3", "e1000", "e1000e", NULL };
    g_autofree char *model = card->model ? g_ascii_strdown(card->model, -1) : NULL;
    gboolean second = g_strcmp0(model, "vmxnet2") == 0;

    if (model && !g_strv_contains(models, model))
        return vireo_refuse(error, card->line,
                            "interface model '%s': there are e1000, e1000e, vmxnet, vmxnet2, vmxnet3 and vlance",
                            card->model);
    esx_vmx_set(vmx, "true", "%s.present", place);
    esx_vmx_set(vmx, second ? "vmxnet" : model, "%s.virtualDev", place);
    esx_vmx_set(vmx, second ? "15" : NULL, "%s.features", place);
    if (!write_network(vmx, card, place, error))
        return FALSE;
    write_mac(vmx, card->mac, place);
    return TRUE;
}

/* ---- ports -------------------------------------------------------------------------------- */

static gboolean write_port(EsxVmx *vmx, const EsxVmxHost *host, const VireoDomainChardev *port, const char *place,
                           GError **error)
{
    const VireoDomainChardevSource *source = port->sources.n ? port->sources.items[0] : NULL;
    const char *path = source ? source->path : NULL, *type = NULL;
    g_autofree char *file = NULL;

    switch (port->type) {
    case VIREO_DOMAIN_CHARDEV_TYPE_DEV:
        type = "device";
        break;
    case VIREO_DOMAIN_CHARDEV_TYPE_FILE:
        type = "file";
        file = path ? esx_vmx_file_out(host, path) : NULL;
        break;
    case VIREO_DOMAIN_CHARDEV_TYPE_PIPE:
        type = "pipe";
        break;
    case VIREO_DOMAIN_CHARDEV_TYPE_TCP: {
        const char *protocol = port->protocol ? vireo_domain_chardev_protocol_to_string(port->protocol) : "raw";

        type = "network";
        if (!source || !source->service)
            return vireo_refuse(error, port->line, "a port of type tcp needs host and service");
        file = g_strdup_printf("%s://%s:%s", esx_vmx_name_out(esx_vmx_schemes, protocol), source->host ? source->host : "",
                               source->service);
        esx_vmx_set(vmx, source->mode == VIREO_DOMAIN_CHARDEV_MODE_BIND ? "server" : "client", "%s.network.endPoint", place);
        break;
    }
    default:
        return vireo_refuse(error, port->line, "ports are of type dev, file, pipe and, if serial, tcp");
    }
    esx_vmx_set(vmx, "true", "%s.present", place);
    esx_vmx_set(vmx, type, "%s.fileType", place);
    esx_vmx_set(vmx, file ? file : path, "%s.fileName", place);
    if (port->type == VIREO_DOMAIN_CHARDEV_TYPE_DEV && !path)
        esx_vmx_set(vmx, "true", "%s.autodetect", place);
    return TRUE;
}

static gboolean write_ports(EsxVmx *vmx, const EsxVmxHost *host, VireoDomainChardev *const *ports, guint n, gboolean serial,
                            GError **error)
{
    for (guint i = 0; i < n; i++) {
        guint index = ports[i]->target && ports[i]->target->has_port ? ports[i]->target->port : i;
        g_autofree char *place = g_strdup_printf(serial ? "serial%u" : "parallel%u", index);

        if (index >= (serial ? ESX_VMX_SERIALS : ESX_VMX_PARALLELS) || esx_vmx_is(vmx, FALSE, "%s.present", place))
            return vireo_refuse(error, ports[i]->line, "there is no place for %s", place);
        if (!serial && ports[i]->type == VIREO_DOMAIN_CHARDEV_TYPE_TCP)
            return vireo_refuse(error, ports[i]->line, "a parallel port is of type dev or file");
        if (!write_port(vmx, host, ports[i], place, error))
            return FALSE;
        /* The guest's waiting for the port leaves the CPU to others. */
        esx_vmx_set(vmx, serial ? "true" : NULL, "%s.yieldOnMsrRead", place);
    }
    return TRUE;
}

/* ---- folders and the screen --------------------------------------------------------------- */

static gboolean write_folders(EsxVmx *vmx, const VireoDomainDevices *devices, GError **error)
{
    g_autofree char *count = g_strdup_printf("%u", devices->filesystems.n);

    if (!devices->filesystems.n)
        return TRUE;
    esx_vmx_set(vmx, "false", "isolation.tools.hgfs.disable");
    esx_vmx_set(vmx, count, "sharedFolder.maxNum");
    for (guint i = 0; i < devices->filesystems.n; i++) {
        const VireoDomainFilesystem *folder = devices->filesystems.items[i];

        if (folder->type > VIREO_DOMAIN_FILESYSTEM_TYPE_MOUNT || !folder->source || !folder->source->dir || !folder->target)
            return vireo_refuse(error, folder->line, "filesystems are of type mount, with a source and a target dir");
        esx_vmx_set(vmx, "true", "sharedFolder%u.present", i);
        esx_vmx_set(vmx, "true", "sharedFolder%u.enabled", i);
        esx_vmx_set(vmx, "true", "sharedFolder%u.readAccess", i);
        esx_vmx_set(vmx, folder->readonly ? "false" : "true", "sharedFolder%u.writeAccess", i);
        esx_vmx_set(vmx, folder->source->dir, "sharedFolder%u.hostPath", i);
        esx_vmx_set(vmx, folder->target, "sharedFolder%u.guestName", i);
    }
    return TRUE;
}

static gboolean write_screen(EsxVmx *vmx, const VireoDomainDevices *devices, GError **error)
{
    const VireoDomainGraphics *screen = devices->graphics.n ? devices->graphics.items[0] : NULL;
    const VireoDomainGraphicsListen *listen = screen && screen->listens.n ? screen->listens.items[0] : NULL;
    g_autofree char *port = NULL;

    if (!screen)
        return TRUE;
    if (devices->graphics.n > 1 || screen->type != VIREO_DOMAIN_GRAPHICS_TYPE_VNC)
        return vireo_refuse(error, screen->line, "a machine has one <graphics>, of type vnc");
    esx_vmx_set(vmx, "true", "RemoteDisplay.vnc.enabled");
    if (screen->has_port && screen->port > 0 && screen->autoport != VIREO_TRISTATE_YES)
        port = g_strdup_printf("%d", screen->port);
    esx_vmx_set(vmx, port, "RemoteDisplay.vnc.port");
    esx_vmx_set(vmx, screen->listen_address ? screen->listen_address : listen ? listen->address : NULL, "RemoteDisplay.vnc.ip");
    esx_vmx_set(vmx, screen->keymap, "RemoteDisplay.vnc.keymap");
    esx_vmx_set(vmx, screen->passwd, "RemoteDisplay.vnc.password");
    return TRUE;
}

static gboolean write_video(EsxVmx *vmx, const VireoDomainDevices *devices, GError **error)
{
    const VireoDomainVideo *video = devices->videos.n ? devices->videos.items[0] : NULL;
    g_autofree char *size = NULL;

    if (!video)
        return TRUE;
    if (devices->videos.n > 1 || (video->model && video->model->type && video->model->type != VIREO_DOMAIN_VIDEO_MODEL_VMVGA))
        return vireo_refuse(error, video->line, "a machine has one <video>, of model vmvga");
    if (video->model && video->model->has_vram)
        size = g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)video->model->vram * 1024);
    esx_vmx_set(vmx, size, "svga.vramSize");
    return TRUE;
}

gboolean esx_vmx_write_devices(EsxVmx *vmx, const EsxVmxHost *host, const VireoDomainDevices *devices, GError **error)
{
    if (devices->interfaces.n > ESX_VMX_CARDS)
        return vireo_refuse(error, devices->line, "a machine has at most %d interfaces", ESX_VMX_CARDS);
    for (guint i = 0; i < devices->interfaces.n; i++) {
        g_autofree char *place = g_strdup_printf("ethernet%u", i);

        if (!write_card(vmx, devices->interfaces.items[i], place, error))
            return FALSE;
    }
    return write_folders(vmx, devices, error) &&
           write_ports(vmx, host, devices->serials.items, devices->serials.n, TRUE, error) &&
           write_ports(vmx, host, devices->parallels.items, devices->parallels.n, FALSE, error) &&
           write_screen(vmx, devices, error) && write_video(vmx, devices, error);
}
