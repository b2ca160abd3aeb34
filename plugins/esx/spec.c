/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain document as the configuration of a new machine. */
#include "spec.h"

#include <string.h>

#include "document.h"
#include "drive.h"

/* Keys of devices that are to be made are negative; those every machine gets have these. */
#define IDE_KEY 200

static const char *const paths[] = {
    "domain.type", "domain.id", "domain.name", "domain.uuid", "domain.description", "domain.memory", "domain.currentMemory",
    "domain.vcpu", "domain.vcpu.placement", "domain.cputune.shares", "domain.os.type", "domain.os.type.arch",
    "domain.os.firmware", "domain.cpu.topology.*", "domain.clock.offset", "domain.devices.disk.type",
    "domain.devices.disk.device", "domain.devices.disk.source.file", "domain.devices.disk.source.dev",
    "domain.devices.disk.target.dev", "domain.devices.disk.target.bus", "domain.devices.disk.readonly",
    "domain.devices.disk.address.*", "domain.devices.controller.type", "domain.devices.controller.index",
    "domain.devices.controller.model", "domain.devices.interface.type", "domain.devices.interface.mac.address",
    "domain.devices.interface.mac.type", "domain.devices.interface.source.bridge",
    "domain.devices.interface.source.switchid", "domain.devices.interface.source.portid",
    "domain.devices.interface.source.portgroupid",
    "domain.devices.interface.source.connectionid", "domain.devices.interface.model.type", "domain.devices.video.model.type", "domain.devices.video.model.vram", "domain.vmware:datacenterpath",
    "domain.vmware:moref", NULL,
};

VireoModelPathSet *esx_honoured_paths(GError **error)
{
    return vireo_model_path_set_new(&vireo_domain_type, paths, error);
}

/* ---- devices ------------------------------------------------------------------------- */

static gpointer add(EsxSpec *spec, const VireoSoapType *type)
{
    VimVirtualDeviceConfigSpec *change = vireo_arena_alloc(spec->arena, sizeof *change);
    VimVirtualDevice *device = vireo_arena_alloc(spec->arena, type->size);

    device->soap.type = type;
    device->key = -(gint32)spec->changes->len - 1;
    change->operation = VIM_VIRTUAL_DEVICE_CONFIG_SPEC_OPERATION_ADD;
    change->device = device;
    g_ptr_array_add(spec->changes, change);
    return device;
}

static gpointer backing(EsxSpec *spec, VimVirtualDevice *device, const VireoSoapType *type)
{
    VimVirtualDeviceBackingInfo *made = vireo_arena_alloc(spec->arena, type->size);

    made->soap.type = type;
    device->backing = made;
    return made;
}

static const VireoSoapType *scsi_type(const char *model)
{
    static const struct {
        const char *name;
        const VireoSoapType *type;
    } models[] = {
        { "lsilogic", &vim_virtual_lsi_logic_controller_type }, { "buslogic", &vim_virtual_bus_logic_controller_type },
        { "lsisas1068", &vim_virtual_lsi_logic_sas_controller_type }, { "vmpvscsi", &vim_para_virtual_scsi_controller_type },
    };

    for (guint i = 0; i < G_N_ELEMENTS(models); i++)
        if (!model || g_str_equal(models[i].name, model) || g_str_equal(model, "auto"))
            return models[i].type;
    return NULL;
}

/* The key of the controller of that kind and number, made when it is first needed. 0: refused. */
static gint32 controller_key(EsxSpec *spec, VireoDomainControllerType type, guint bus, GError **error)
{
    gboolean scsi = type == VIREO_DOMAIN_CONTROLLER_TYPE_SCSI;
    const VireoDomainController *wanted = esx_controller_find(spec->domain->devices, type, bus);
    const VireoSoapType *kind = scsi ? scsi_type(wanted ? wanted->model : NULL) : &vim_virtual_ahci_controller_type;

    if (bus > 3) {
        vireo_refuse(error, 0, "there are no more than four controllers of a kind");
        return 0;
    }
    if (!kind) {
        vireo_refuse(error, wanted->line,
                     "SCSI controller model '%s': there are lsilogic, buslogic, lsisas1068 and vmpvscsi",
               wanted->model);
        return 0;
    }
    if (!spec->controllers[scsi][bus]) {
        VimVirtualController *made = add(spec, kind);

        made->bus_number = (gint32)bus;
        if (scsi)
            ((VimVirtualSCSIController *)made)->shared_bus = VIM_VIRTUAL_SCSI_SHARING_NO_SHARING;
        spec->controllers[scsi][bus] = made->base.key;
    }
    return spec->controllers[scsi][bus];
}

static gboolean put_on_bus(EsxSpec *spec, const VireoDomainDisk *disk, VimVirtualDevice *device, GError **error)
{
    guint bus = 0, unit = 0;

    if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_FDC)
        return vireo_refuse(error, disk->line, "disk '%s': the buses are scsi, sata and ide", disk->target->dev);
    if (!esx_drive_find(disk, &bus, &unit, error))
        return FALSE;
    if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_IDE)
        device->controller_key = IDE_KEY + (gint32)bus;
    else
        device->controller_key = controller_key(spec,
                                                disk->target->bus == VIREO_DOMAIN_DISK_BUS_SATA
                                                    ? VIREO_DOMAIN_CONTROLLER_TYPE_SATA
                                                    : VIREO_DOMAIN_CONTROLLER_TYPE_SCSI,
                                                bus, error);
    device->has_controller_key = device->has_unit_number = TRUE;
    device->unit_number = (gint32)unit;
    return device->controller_key != 0;
}

static gboolean is_datastore_path(const char *file)
{
    const char *end = file && *file == '[' ? strstr(file, "] ") : NULL;

    return end && end > file + 1 && end[2];
}

static gboolean add_hard_disk(EsxSpec *spec, const VireoDomainDisk *disk, GError **error)
{
    const char *file = disk->source ? disk->source->file : NULL;

    if (!is_datastore_path(file))
        return vireo_refuse(error, disk->line,
                            "disk '%s' needs a source file of the form '[DATASTORE] FOLDER/NAME.vmdk'",
                            disk->target->dev);
    if (disk->readonly)
        return vireo_refuse(error, disk->line, "disk '%s': a hard disk cannot be read-only", disk->target->dev);
    VimVirtualDevice probe = { 0 };
    if (!put_on_bus(spec, disk, &probe, error)) /* its controller comes first */
        return FALSE;
    VimVirtualDisk *device = add(spec, &vim_virtual_disk_type);
    device->base.has_controller_key = device->base.has_unit_number = TRUE;
    device->base.controller_key = probe.controller_key;
    device->base.unit_number = probe.unit_number;
    VimVirtualDiskFlatVer2BackingInfo *flat = backing(spec, &device->base, &vim_virtual_disk_flat_ver2_backing_info_type);
    flat->base.file_name = file;
    flat->disk_mode = "persistent";
    if (!spec->first_file)
        spec->first_file = file;
    return TRUE;
}

static gboolean add_cdrom(EsxSpec *spec, const VireoDomainDisk *disk, GError **error)
{
    const char *file = disk->source ? disk->source->file : NULL;
    const char *dev = disk->source ? disk->source->dev : NULL;
    VimVirtualDevice probe = { 0 };

    if (file && !is_datastore_path(file))
        return vireo_refuse(error, disk->line,
                            "disk '%s' needs a source file of the form '[DATASTORE] FOLDER/NAME.iso'",
                            disk->target->dev);
    if (!put_on_bus(spec, disk, &probe, error))
        return FALSE;
    VimVirtualDevice *device = add(spec, &vim_virtual_cdrom_type);
    device->has_controller_key = device->has_unit_number = TRUE;
    device->controller_key = probe.controller_key;
    device->unit_number = probe.unit_number;
    if (file)
        ((VimVirtualCdromIsoBackingInfo *)backing(spec, device, &vim_virtual_cdrom_iso_backing_info_type))->base.file_name =
            file;
    else {
        const VireoSoapType *type = dev ? &vim_virtual_cdrom_atapi_backing_info_type
                                        : &vim_virtual_cdrom_remote_atapi_backing_info_type;
        VimVirtualDeviceDeviceBackingInfo *host = backing(spec, device, type);
        host->device_name = dev ? dev : "";
    }
    return TRUE;
}

static gboolean add_disk(EsxSpec *spec, const VireoDomainDisk *disk, GError **error)
{
    if (disk->device == VIREO_DOMAIN_DISK_DEVICE_CDROM)
        return add_cdrom(spec, disk, error);
    if (disk->device == VIREO_DOMAIN_DISK_DEVICE_DISK || disk->device == VIREO_DOMAIN_DISK_DEVICE_UNSET)
        return add_hard_disk(spec, disk, error);
    return vireo_refuse(error, disk->line, "disk '%s': hard disks and CD-ROMs can be defined", disk->target->dev);
}

static const VireoSoapType *card_type(const char *model)
{
    static const struct {
        const char *name;
        const VireoSoapType *type;
    } models[] = {
        { "e1000", &vim_virtual_e1000_type },     { "e1000e", &vim_virtual_e1000e_type },
        { "vmxnet3", &vim_virtual_vmxnet3_type }, { "vmxnet2", &vim_virtual_vmxnet2_type },
        { "vmxnet", &vim_virtual_vmxnet_type },   { "vlance", &vim_virtual_pc_net32_type },
    };

    for (guint i = 0; i < G_N_ELEMENTS(models); i++)
        if (!model || g_ascii_strcasecmp(models[i].name, model) == 0)
            return models[i].type;
    return NULL;
}

static gboolean add_card(EsxSpec *spec, const VireoDomainInterface *card, GError **error)
{
    const VireoSoapType *type = card_type(card->model);

    if (!type)
        return vireo_refuse(error, card->line,
                            "interface model '%s': there are e1000, e1000e, vmxnet, vmxnet2, vmxnet3 and vlance",
                            card->model);
    if (card->type != VIREO_DOMAIN_INTERFACE_TYPE_BRIDGE || !card->source || !card->source->bridge)
        return vireo_refuse(error, card->line,
                            "interfaces are of type bridge, with the name of a port group as source");
    VimVirtualEthernetCard *device = add(spec, type);
    VimVirtualEthernetCardNetworkBackingInfo *network =
        backing(spec, &device->base, &vim_virtual_ethernet_card_network_backing_info_type);
    network->base.device_name = card->source->bridge;
    device->address_type = card->mac && card->mac->address ? "manual" : "generated";
    device->mac_address = card->mac ? card->mac->address : NULL;
    return TRUE;
}

/* Every machine gets a card of its own; this one is only compared with it. */
static gboolean check_video(const VireoDomainVideo *video, GError **error)
{
    if (video->model && video->model->type && video->model->type != VIREO_DOMAIN_VIDEO_MODEL_VMVGA)
        return vireo_refuse(error, video->line, "the video model is vmvga");
    if (video->model && video->model->has_vram && video->model->vram != 4096)
        return vireo_refuse(error, video->line, "the video memory of a new machine is 4096 KiB");
    return TRUE;
}

static gboolean add_devices(EsxSpec *spec, GError **error)
{
    const VireoDomainDevices *devices = spec->domain->devices;

    for (guint i = 0; i < devices->controllers.n; i++) {
        const VireoDomainController *controller = devices->controllers.items[i];

        if (controller->type == VIREO_DOMAIN_CONTROLLER_TYPE_IDE)
            continue;
        if (controller->type != VIREO_DOMAIN_CONTROLLER_TYPE_SCSI && controller->type != VIREO_DOMAIN_CONTROLLER_TYPE_SATA)
            return vireo_refuse(error, controller->line, "the controllers are of type scsi, sata and ide");
        if (!controller_key(spec, controller->type, controller->has_index ? controller->index : 0, error))
            return FALSE;
    }
    for (guint i = 0; i < devices->disks.n; i++)
        if (!add_disk(spec, devices->disks.items[i], error))
            return FALSE;
    for (guint i = 0; i < devices->interfaces.n; i++)
        if (!add_card(spec, devices->interfaces.items[i], error))
            return FALSE;
    for (guint i = 0; i < devices->videos.n; i++)
        if (!check_video(devices->videos.items[i], error))
            return FALSE;
    return TRUE;
}

/* ---- the machine --------------------------------------------------------------------- */

static VimResourceAllocationInfo *allocation(EsxSpec *spec)
{
    return vireo_arena_alloc(spec->arena, sizeof(VimResourceAllocationInfo));
}

static gboolean set_cpus(EsxSpec *spec, GError **error)
{
    const VireoDomain *domain = spec->domain;
    guint cpus, cores;

    if (!esx_cores(domain, &cpus, &cores, error))
        return FALSE;
    spec->config.has_num_cpus = TRUE;
    spec->config.num_cpus = (gint32)cpus;
    spec->config.has_num_cores_per_socket = cores > 0;
    spec->config.num_cores_per_socket = (gint32)cores;
    if (domain->cputune && domain->cputune->has_shares) {
        VimSharesInfo *shares = vireo_arena_alloc(spec->arena, sizeof *shares);

        shares->level = VIM_SHARES_LEVEL_CUSTOM;
        shares->shares = (gint32)MIN(domain->cputune->shares, G_MAXINT32);
        spec->config.cpu_allocation = allocation(spec);
        spec->config.cpu_allocation->shares = shares;
    }
    return TRUE;
}

/* The server takes multiples of 4 MiB. */
static void set_memory(EsxSpec *spec)
{
    const VireoDomain *domain = spec->domain;
    guint64 most = ESX_MEMORY_MIB(domain->memory->text);

    spec->config.has_memory_mb = TRUE;
    spec->config.memory_mb = (gint64)most;
    if (domain->has_current_memory && domain->current_memory < domain->memory->text) {
        spec->config.memory_allocation = allocation(spec);
        spec->config.memory_allocation->has_limit = TRUE;
        spec->config.memory_allocation->limit = (gint64)(domain->current_memory / 1024);
    }
}

gboolean esx_spec_make(EsxSpec *spec, const VireoDomain *domain, gboolean devices, VireoArena *arena, GError **error)
{
    g_autofree char *name = esx_escape_name(domain->name);
    char uuid[37];

    *spec = (EsxSpec){ .domain = domain, .arena = arena, .changes = g_ptr_array_new() };
    vireo_model_uuid_format(domain->uuid, uuid);
    spec->config.name = vireo_arena_strdup(arena, name);
    spec->config.uuid = vireo_arena_strdup(arena, uuid);
    spec->config.annotation = domain->description;
    if (!esx_acceptable(domain, error) || !set_cpus(spec, error) || (devices && !add_devices(spec, error)))
        return FALSE;
    set_memory(spec);
    spec->config.guest_id = g_strcmp0(domain->os->type->arch, "i686") == 0 ? "otherGuest" : "otherGuest64";
    if (domain->os->firmware)
        spec->config.firmware = domain->os->firmware == VIREO_DOMAIN_OS_FIRMWARE_EFI ? "efi" : "bios";
    spec->config.device_change.n = spec->changes->len;
    spec->config.device_change.items = (VimVirtualDeviceConfigSpec **)spec->changes->pdata;
    return TRUE;
}

/* Those controllers that need not be made. */
static void take_controllers(EsxSpec *spec, const VimVirtualHardware *hardware)
{
    for (guint i = 0; hardware && i < hardware->device.n; i++) {
        const VimVirtualController *one = vireo_soap_cast(hardware->device.items[i], &vim_virtual_controller_type);
        gboolean scsi = vireo_soap_cast((gpointer)one, &vim_virtual_scsi_controller_type) != NULL;

        if ((scsi || vireo_soap_cast((gpointer)one, &vim_virtual_sata_controller_type)) && one->bus_number >= 0 &&
            one->bus_number < 4)
            spec->controllers[scsi][one->bus_number] = one->base.key;
    }
}

gboolean esx_spec_add(EsxSpec *spec, const VireoDomain *domain, const VimVirtualHardware *hardware, VireoArena *arena,
                      GError **error)
{
    *spec = (EsxSpec){ .domain = domain, .arena = arena, .changes = g_ptr_array_new() };
    take_controllers(spec, hardware);
    if (!add_devices(spec, error))
        return FALSE;
    spec->config.device_change.n = spec->changes->len;
    spec->config.device_change.items = (VimVirtualDeviceConfigSpec **)spec->changes->pdata;
    return TRUE;
}

void esx_spec_clear(EsxSpec *spec)
{
    g_clear_pointer(&spec->changes, g_ptr_array_unref);
}
