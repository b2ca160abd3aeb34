/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of a document can be honoured. */
#include "spec.h"

#include <string.h>

#include "kit/disk.h"

static const char *const paths[] = {
    "domain.type",
    "domain.id",
    "domain.name",
    "domain.uuid",
    "domain.description",
    "domain.memory",
    "domain.currentMemory",
    "domain.vcpu",
    "domain.vcpu.current",
    "domain.vcpu.placement",
    "domain.os.type",
    "domain.os.type.arch",
    "domain.os.firmware",
    "domain.os.firmware.feature.*",
    "domain.os.boot.dev",
    "domain.features.acpi",
    "domain.features.apic",
    "domain.clock.offset",
    "domain.on_poweroff",
    "domain.on_reboot",
    "domain.on_crash",
    "domain.devices.disk.type",
    "domain.devices.disk.device",
    "domain.devices.disk.source.file",
    "domain.devices.disk.source.dev",
    "domain.devices.disk.target.dev",
    "domain.devices.disk.target.bus",
    "domain.devices.disk.readonly",
    "domain.devices.disk.address.*",
    "domain.devices.controller.type",
    "domain.devices.controller.index",
    "domain.devices.interface.type",
    "domain.devices.interface.mac.address",
    "domain.devices.interface.source.bridge",
    "domain.devices.interface.source.network",
    "domain.devices.serial.type",
    "domain.devices.serial.source.path",
    "domain.devices.serial.target.port",
    "domain.devices.tpm.model",
    "domain.devices.tpm.backend.type",
    "domain.devices.tpm.backend.version",
    NULL,
};

VireoModelPathSet *hyperv_honoured_paths(GError **error)
{
    return vireo_model_path_set_new(&vireo_domain_type, paths, error);
}

/* ---- devices ------------------------------------------------------------------------- */

static VireoDomainDiskBus bus_of(const VireoDomainDisk *disk)
{
    const char *dev = disk->target->dev;

    return disk->target->bus                                       ? disk->target->bus
           : disk->device == VIREO_DOMAIN_DISK_DEVICE_FLOPPY       ? VIREO_DOMAIN_DISK_BUS_FDC
           : g_str_has_prefix(dev, "sd")                           ? VIREO_DOMAIN_DISK_BUS_SCSI
                                                                   : VIREO_DOMAIN_DISK_BUS_IDE;
}

void hyperv_disk_place(const VireoDomainDisk *disk, HypervBus *bus, guint *controller, guint *unit)
{
    const VireoDeviceAddress *address = disk->address;
    VireoDomainDiskBus given = bus_of(disk);
    const char *prefix = given == VIREO_DOMAIN_DISK_BUS_SCSI  ? "sd"
                         : given == VIREO_DOMAIN_DISK_BUS_IDE ? "hd"
                                                              : "fd";
    int number = vireo_disk_number(disk->target->dev, prefix);
    guint index = number < 0 ? G_MAXUINT : (guint)number, room = given == VIREO_DOMAIN_DISK_BUS_IDE ? 2 : 64;

    *bus = given == VIREO_DOMAIN_DISK_BUS_SCSI  ? HYPERV_SCSI
           : given == VIREO_DOMAIN_DISK_BUS_IDE ? HYPERV_IDE
                                                : HYPERV_FLOPPY;
    *controller = number < 0 ? G_MAXUINT : index / room;
    *unit = number < 0 ? G_MAXUINT : index % room;
    if (!address || number >= 0)
        return;
    *controller = *bus == HYPERV_IDE ? (guint)address->bus : address->controller;
    *unit = address->unit;
}

/* A disk of the host is named by its number there. */
static gboolean check_source(const VireoDomainDisk *disk, GError **error)
{
    const VireoDomainDiskSource *source = disk->source;
    gboolean hard = !disk->device || disk->device == VIREO_DOMAIN_DISK_DEVICE_DISK;

    if (disk->type == VIREO_DOMAIN_DISK_TYPE_BLOCK) {
        const char *number = source ? source->dev : NULL;

        return (hard && number && *number && strspn(number, "0123456789") == strlen(number) && strlen(number) < 6) ||
               vireo_refuse(error, disk->line,
                            "disk '%s': a disk of the host is a hard disk, and its <source dev=> the number it has there",
                            disk->target->dev);
    }
    if (disk->type && disk->type != VIREO_DOMAIN_DISK_TYPE_FILE)
        return vireo_refuse(error, disk->line, "disk '%s': disks are of type file, or block", disk->target->dev);
    return !hard || (source && source->file && *source->file) ||
           vireo_refuse(error, disk->line, "disk '%s' needs a <source file=>, a path on the server", disk->target->dev);
}

static gboolean check_disk(const VireoDomainDisk *disk, GError **error)
{
    HypervBus bus;
    guint controller, unit;

    if (!disk->target || !disk->target->dev)
        return vireo_refuse(error, disk->line, "a disk needs a <target dev=>");
    if (disk->device == VIREO_DOMAIN_DISK_DEVICE_LUN)
        return vireo_refuse(error, disk->line, "disk '%s': there are disks, cdroms and floppies", disk->target->dev);
    VireoDomainDiskBus given = bus_of(disk);
    gboolean floppy = disk->device == VIREO_DOMAIN_DISK_DEVICE_FLOPPY;
    if (floppy != (given == VIREO_DOMAIN_DISK_BUS_FDC) ||
        (!floppy && given != VIREO_DOMAIN_DISK_BUS_IDE && given != VIREO_DOMAIN_DISK_BUS_SCSI))
        return vireo_refuse(error, disk->line, "disk '%s': the buses are ide and scsi, and fdc for floppies",
                            disk->target->dev);
    hyperv_disk_place(disk, &bus, &controller, &unit);
    if ((bus == HYPERV_IDE && (controller > 1 || unit > 1)) || (bus == HYPERV_SCSI && (controller > 3 || unit > 63)) ||
        (bus == HYPERV_FLOPPY && (controller || unit)))
        return vireo_refuse(error, disk->line, "disk '%s': names are hda to hdd, sda and on for scsi, and fda",
                            disk->target->dev);
    return check_source(disk, error);
}

static gboolean check_card(const VireoDomainInterface *card, GError **error)
{
    const VireoDomainInterfaceSource *source = card->source;

    if (card->type == VIREO_DOMAIN_INTERFACE_TYPE_NULL)
        return TRUE;
    if ((card->type != VIREO_DOMAIN_INTERFACE_TYPE_NETWORK && card->type != VIREO_DOMAIN_INTERFACE_TYPE_BRIDGE) ||
        !source || !(source->network || source->bridge))
        return vireo_refuse(error, card->line,
                            "an interface is of type network (or bridge), whose source is the name of a virtual switch, "
                            "or of type null");
    return TRUE;
}

static gboolean check_serials(const VireoDomainDevices *devices, GError **error)
{
    guint seen = 0;

    for (guint i = 0; i < devices->serials.n; i++) {
        const VireoDomainChardev *serial = devices->serials.items[i];
        const VireoDomainChardevSource *source = serial->sources.n ? serial->sources.items[0] : NULL;
        guint64 port = hyperv_port_of(devices, i);

        if (serial->type != VIREO_DOMAIN_CHARDEV_TYPE_PIPE || !source || !source->path || !*source->path)
            return vireo_refuse(error, serial->line, "a serial port is of type pipe, whose source is the path of a named "
                                                     "pipe on the server");
        if (port > 1 || (seen & (1u << port)))
            return vireo_refuse(error, serial->line, "there are two serial ports, 0 and 1");
        seen |= 1u << port;
    }
    return TRUE;
}

guint64 hyperv_port_of(const VireoDomainDevices *devices, guint index)
{
    const VireoDomainChardevTarget *target = devices->serials.items[index]->target;

    return target && target->has_port ? target->port : index;
}

gboolean hyperv_devices_check(const VireoDomainDevices *devices, GError **error)
{
    for (guint i = 0; devices && i < devices->disks.n; i++) {
        if (!check_disk(devices->disks.items[i], error))
            return FALSE;
        for (guint j = 0; j < i; j++)
            if (g_str_equal(devices->disks.items[i]->target->dev, devices->disks.items[j]->target->dev))
                return vireo_refuse(error, devices->disks.items[i]->line, "two disks are '%s'",
                                    devices->disks.items[i]->target->dev);
    }
    for (guint i = 0; devices && i < devices->interfaces.n; i++)
        if (!check_card(devices->interfaces.items[i], error))
            return FALSE;
    for (guint i = 0; devices && i < devices->controllers.n; i++) {
        VireoDomainControllerType type = devices->controllers.items[i]->type;

        if (type != VIREO_DOMAIN_CONTROLLER_TYPE_SCSI && type != VIREO_DOMAIN_CONTROLLER_TYPE_IDE &&
            type != VIREO_DOMAIN_CONTROLLER_TYPE_FDC)
            return vireo_refuse(error, devices->controllers.items[i]->line, "controllers are of type ide, scsi and fdc");
    }
    return !devices || check_serials(devices, error);
}

/* ---- the machine --------------------------------------------------------------------- */

VireoTristate hyperv_secure_boot_of(const VireoDomainOs *os)
{
    const VireoDomainFirmwareInfo *info = os->firmware_info;

    return info && info->features.n ? info->features.items[info->features.n - 1]->enabled : VIREO_TRISTATE_UNSET;
}

gboolean hyperv_has_tpm(const VireoDomain *domain)
{
    return domain->devices && domain->devices->tpms.n;
}

static gboolean check_security(const VireoDomain *domain, GError **error)
{
    const VireoDomainFirmwareInfo *info = domain->os->firmware_info;
    const VireoDomainTpm *tpm = hyperv_has_tpm(domain) ? domain->devices->tpms.items[0] : NULL;
    gboolean efi = domain->os->firmware == VIREO_DOMAIN_OS_FIRMWARE_EFI;

    for (guint i = 0; info && i < info->features.n; i++)
        if (!g_str_equal(info->features.items[i]->name, "secure-boot"))
            return vireo_refuse(error, info->features.items[i]->line, "feature '%s': the firmware has secure-boot",
                                info->features.items[i]->name);
    if (!efi && (tpm || (info && info->features.n)))
        return vireo_refuse(error, domain->line, "secure boot and a TPM need <os firmware='efi'>");
    if (!tpm)
        return TRUE;
    if (domain->devices->tpms.n > 1 || (tpm->model > VIREO_DOMAIN_TPM_MODEL_DEFAULT && tpm->model != VIREO_DOMAIN_TPM_MODEL_TPM_CRB) ||
        !tpm->backend || tpm->backend->type != VIREO_DOMAIN_TPM_BACKEND_EMULATOR ||
        (tpm->backend->version && tpm->backend->version != VIREO_DOMAIN_TPM_VERSION_2_0))
        return vireo_refuse(error, tpm->line, "a machine has one TPM: tpm-crb, with an emulator of version 2.0");
    return TRUE;
}

static gboolean check_os(const VireoDomain *domain, GError **error)
{
    const VireoDomainOsMachine *type = domain->os ? domain->os->type : NULL;

    if (!type || type->text != VIREO_DOMAIN_OS_TYPE_HVM)
        return vireo_refuse(error, domain->line, "the <os> needs <type>hvm</type>");
    if (type->arch && !g_str_equal(type->arch, "i686") && !g_str_equal(type->arch, "x86_64"))
        return vireo_refuse(error, type->line, "arch '%s': there are i686 and x86_64", type->arch);
    if (domain->os->firmware == VIREO_DOMAIN_OS_FIRMWARE_EFI && domain->os->boots.n)
        return vireo_refuse(error, domain->os->line, "a machine with EFI keeps its boot order itself: leave <boot> out");
    return TRUE;
}

static gboolean check_life(const VireoDomain *domain, GError **error)
{
    if ((domain->on_poweroff && domain->on_poweroff != VIREO_DOMAIN_LIFECYCLE_DESTROY) ||
        (domain->on_crash && domain->on_crash != VIREO_DOMAIN_LIFECYCLE_DESTROY) ||
        (domain->on_reboot && domain->on_reboot != VIREO_DOMAIN_LIFECYCLE_RESTART))
        return vireo_refuse(error, domain->line,
                            "a machine ends with <on_poweroff> and <on_crash> destroy, and <on_reboot> restart");
    return TRUE;
}

gboolean hyperv_spec_check(const VireoDomain *domain, GError **error)
{
    if (domain->type != VIREO_DOMAIN_VIRT_HYPERV)
        return vireo_refuse(error, domain->line, "domain type '%s': this driver runs domains of type 'hyperv' only",
                            vireo_domain_virt_to_string(domain->type));
    if (!domain->memory || !domain->memory->has_text || !domain->memory->text)
        return vireo_refuse(error, domain->line, "the domain has no <memory>");
    if (domain->has_current_memory && domain->current_memory != domain->memory->text)
        return vireo_refuse(error, domain->line, "<currentMemory> is as much as <memory>");
    if (domain->vcpu && domain->vcpu->has_current && domain->vcpu->current != domain->vcpu->text)
        return vireo_refuse(error, domain->vcpu->line, "current vcpu count must equal maximum");
    if (domain->clock && domain->clock->offset && domain->clock->offset != VIREO_DOMAIN_CLOCK_OFFSET_UTC)
        return vireo_refuse(error, domain->clock->line, "the clock offset is utc");
    return check_os(domain, error) && check_security(domain, error) && check_life(domain, error) && hyperv_devices_check(domain->devices, error);
}
