/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine's configuration as a domain document. */
#include "driver.h"

#include <string.h>

#include "document.h"
#include "drive.h"

const char *const esx_describe_paths[] = {
    "config.annotation", "config.guestId", "config.hardware", "config.cpuAllocation", "config.firmware",
};
const guint esx_describe_n_paths = G_N_ELEMENTS(esx_describe_paths);

typedef struct {
    const VireoSoapType *type;
    const char *name;
} Model;

static const Model scsi_models[] = {
    { &vim_virtual_bus_logic_controller_type, "buslogic" },
    { &vim_virtual_lsi_logic_sas_controller_type, "lsisas1068" },
    { &vim_virtual_lsi_logic_controller_type, "lsilogic" },
    { &vim_para_virtual_scsi_controller_type, "vmpvscsi" },
    { NULL, NULL },
};

static const Model card_models[] = {
    { &vim_virtual_e1000e_type, "e1000e" },   { &vim_virtual_e1000_type, "e1000" },
    { &vim_virtual_vmxnet3_type, "vmxnet3" }, { &vim_virtual_vmxnet2_type, "vmxnet2" },
    { &vim_virtual_vmxnet_type, "vmxnet" },   { &vim_virtual_pc_net32_type, "vlance" },
    { NULL, NULL },
};

static const char *model_of(const Model *models, gpointer device)
{
    for (; models->type; models++)
        if (vireo_soap_cast(device, models->type))
            return models->name;
    return NULL;
}

/* ---- disks --------------------------------------------------------------------------- */

static const VimVirtualController *controller_of(const VimVirtualHardware *hardware, const VimVirtualDevice *device)
{
    for (guint i = 0; device->has_controller_key && i < hardware->device.n; i++)
        if (hardware->device.items[i]->key == device->controller_key)
            return vireo_soap_cast(hardware->device.items[i], &vim_virtual_controller_type);
    return NULL;
}

/* Where the disk sits. FALSE: on something that is not described. */
static gboolean place_disk(VireoDomainDisk *disk, const VimVirtualController *controller, guint unit)
{
    gpointer any = (gpointer)controller;
    VireoDomainDiskBus kind = vireo_soap_cast(any, &vim_virtual_scsi_controller_type)   ? VIREO_DOMAIN_DISK_BUS_SCSI
                              : vireo_soap_cast(any, &vim_virtual_sata_controller_type) ? VIREO_DOMAIN_DISK_BUS_SATA
                              : vireo_soap_cast(any, &vim_virtual_ide_controller_type)  ? VIREO_DOMAIN_DISK_BUS_IDE
                                                                                        : VIREO_DOMAIN_DISK_BUS_UNSET;

    if (disk->device == VIREO_DOMAIN_DISK_DEVICE_FLOPPY)
        esx_drive_put(disk, VIREO_DOMAIN_DISK_BUS_FDC, 0, unit);
    else if (kind != VIREO_DOMAIN_DISK_BUS_UNSET)
        esx_drive_put(disk, kind, (guint)controller->bus_number, unit);
    return disk->target != NULL;
}

static void set_source(VireoDomainDisk *disk, VimVirtualDevice *device)
{
    const VimVirtualDeviceFileBackingInfo *file =
        vireo_soap_cast(device->backing, &vim_virtual_device_file_backing_info_type);
    const VimVirtualDeviceDeviceBackingInfo *host =
        vireo_soap_cast(device->backing, &vim_virtual_device_device_backing_info_type);

    disk->type = host ? VIREO_DOMAIN_DISK_TYPE_BLOCK : VIREO_DOMAIN_DISK_TYPE_FILE;
    if (file && *file->file_name) {
        disk->source = g_new0(VireoDomainDiskSource, 1);
        disk->source->file = g_strdup(file->file_name);
    } else if (host && *host->device_name) {
        disk->source = g_new0(VireoDomainDiskSource, 1);
        disk->source->dev = g_strdup(host->device_name);
    }
}

/* NULL: it is no disk, or on something that is not described. */
static VireoDomainDisk *disk_of(const VimVirtualHardware *hardware, VimVirtualDevice *device)
{
    VireoDomainDiskDevice kind = vireo_soap_cast(device, &vim_virtual_disk_type)     ? VIREO_DOMAIN_DISK_DEVICE_DISK
                                 : vireo_soap_cast(device, &vim_virtual_cdrom_type)  ? VIREO_DOMAIN_DISK_DEVICE_CDROM
                                 : vireo_soap_cast(device, &vim_virtual_floppy_type) ? VIREO_DOMAIN_DISK_DEVICE_FLOPPY
                                                                                     : VIREO_DOMAIN_DISK_DEVICE_UNSET;
    if (!kind)
        return NULL;
    VireoDomainDisk *disk = g_new0(VireoDomainDisk, 1);
    disk->device = kind;
    set_source(disk, device);
    if (disk->device == VIREO_DOMAIN_DISK_DEVICE_CDROM)
        disk->readonly = TRUE;
    if (place_disk(disk, controller_of(hardware, device), device->has_unit_number ? (guint)device->unit_number : 0))
        return disk;
    vireo_model_free(&vireo_domain_disk_type, disk);
    return NULL;
}

char *esx_describe_target(const VimVirtualHardware *hardware, VimVirtualDevice *device)
{
    VireoDomainDisk *disk = disk_of(hardware, device);
    char *name = disk ? g_strdup(disk->target->dev) : NULL;

    vireo_model_free(&vireo_domain_disk_type, disk);
    return name;
}

/* ---- the other devices --------------------------------------------------------------- */

static gboolean used(const VimVirtualHardware *hardware, gint32 key)
{
    for (guint i = 0; i < hardware->device.n; i++)
        if (hardware->device.items[i]->has_controller_key && hardware->device.items[i]->controller_key == key)
            return TRUE;
    return FALSE;
}

/* Every machine has its IDE controllers; they are named when something is on them. */
static void describe_controller(VireoDomainDevices *devices, const VimVirtualHardware *hardware,
                                const VimVirtualController *device)
{
    gpointer any = (gpointer)device;
    const char *model = model_of(scsi_models, any);
    VireoDomainControllerType type = model ? VIREO_DOMAIN_CONTROLLER_TYPE_SCSI
                                     : vireo_soap_cast(any, &vim_virtual_sata_controller_type)
                                         ? VIREO_DOMAIN_CONTROLLER_TYPE_SATA
                                     : vireo_soap_cast(any, &vim_virtual_ide_controller_type) &&
                                             used(hardware, device->base.key)
                                         ? VIREO_DOMAIN_CONTROLLER_TYPE_IDE
                                         : VIREO_DOMAIN_CONTROLLER_TYPE_UNSET;
    guint index = type == VIREO_DOMAIN_CONTROLLER_TYPE_IDE ? 0 : (guint)device->bus_number;

    if (type == VIREO_DOMAIN_CONTROLLER_TYPE_UNSET)
        return;
    if (esx_controller_find(devices, type, index))
        return;
    esx_controller_add(devices, type, index, model);
}

static void on_switch(VireoDomainInterface *card, const VimDistributedVirtualSwitchPortConnection *port)
{
    card->type = VIREO_DOMAIN_INTERFACE_TYPE_VDS;
    card->source->has_switchid = esx_read_uuid(port->switch_uuid, card->source->switchid);
    card->source->portid = g_strdup(port->port_key);
    card->source->portgroupid = g_strdup(port->portgroup_key);
    if (port->has_connection_cookie)
        card->source->connectionid = g_strdup_printf("%d", port->connection_cookie);
}

static void describe_card(VireoDomainDevices *devices, VimVirtualEthernetCard *device)
{
    const VimVirtualDeviceDeviceBackingInfo *named =
        vireo_soap_cast(device->base.backing, &vim_virtual_device_device_backing_info_type);
    const VimVirtualEthernetCardDistributedVirtualPortBackingInfo *port = vireo_soap_cast(
        device->base.backing, &vim_virtual_ethernet_card_distributed_virtual_port_backing_info_type);
    VireoDomainInterface *card = g_new0(VireoDomainInterface, 1);

    card->source = g_new0(VireoDomainInterfaceSource, 1);
    card->type = VIREO_DOMAIN_INTERFACE_TYPE_BRIDGE;
    if (port)
        on_switch(card, port->port);
    else
        card->source->bridge = g_strdup(named ? named->device_name : "");
    if (device->mac_address) {
        card->mac = g_new0(VireoDomainInterfaceMac, 1);
        card->mac->address = g_ascii_strdown(device->mac_address, -1);
        if (g_strcmp0(device->address_type, "manual") != 0 && device->address_type)
            card->mac->type = g_strdup("generated");
    }
    card->model = g_strdup(model_of(card_models, device));
    vireo_list_append(&devices->interfaces, card);
}

static void describe_video(VireoDomainDevices *devices, const VimVirtualMachineVideoCard *device)
{
    VireoDomainVideo *video = g_new0(VireoDomainVideo, 1);

    video->model = g_new0(VireoDomainVideoModelOptions, 1);
    video->model->type = VIREO_DOMAIN_VIDEO_MODEL_VMVGA;
    video->model->has_vram = device->has_video_ram_size_in_kb;
    video->model->vram = (guint32)device->video_ram_size_in_kb;
    vireo_list_append(&devices->videos, video);
}

static void describe_device(VireoDomainDevices *devices, const VimVirtualHardware *hardware, VimVirtualDevice *device)
{
    VireoDomainDisk *disk = disk_of(hardware, device);
    gpointer as;

    if (disk)
        vireo_list_append(&devices->disks, disk);
    else if ((as = vireo_soap_cast(device, &vim_virtual_controller_type)))
        describe_controller(devices, hardware, as);
    else if ((as = vireo_soap_cast(device, &vim_virtual_ethernet_card_type)))
        describe_card(devices, as);
    else if ((as = vireo_soap_cast(device, &vim_virtual_machine_video_card_type)))
        describe_video(devices, as);
}

/* ---- the machine --------------------------------------------------------------------- */

static void describe_cpus(VireoDomain *domain, const VimVirtualHardware *hardware,
                          const VimResourceAllocationInfo *allocation)
{
    guint cores = hardware->has_num_cores_per_socket ? (guint)hardware->num_cores_per_socket : 1;
    guint cpus = (guint)MAX(1, hardware->num_cpu);

    domain->vcpu = g_new0(VireoDomainVcpu, 1);
    domain->vcpu->placement = VIREO_DOMAIN_VCPU_PLACEMENT_STATIC;
    domain->vcpu->text = cpus;
    domain->vcpu->has_text = TRUE;
    if (cores > 1 && cpus % cores == 0) {
        domain->cpu = g_new0(VireoDomainCpu, 1);
        domain->cpu->topology = g_new0(VireoDomainCpuTopology, 1);
        *domain->cpu->topology = (VireoDomainCpuTopology){ .has_sockets = TRUE, .sockets = cpus / cores, .has_cores = TRUE,
                                                           .cores = cores, .has_threads = TRUE, .threads = 1 };
    }
    if (allocation && allocation->shares && allocation->shares->level == VIM_SHARES_LEVEL_CUSTOM) {
        domain->cputune = g_new0(VireoDomainCputune, 1);
        domain->cputune->has_shares = TRUE;
        domain->cputune->shares = (guint64)allocation->shares->shares;
    }
}

VireoDomain *esx_describe(EsxServer *server, const EsxMachine *machine, const VimObjectContent *object)
{
    VireoDomain *domain = g_new0(VireoDomain, 1);
    const VimVirtualHardware *hardware =
        vireo_soap_value_struct(esx_property(object, "config.hardware"), &vim_virtual_hardware_type);
    const char *note = vireo_soap_value_text(esx_property(object, "config.annotation"));

    domain->type = VIREO_DOMAIN_VIRT_VMWARE;
    domain->has_id = machine->power != VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF;
    domain->id = machine->id;
    domain->name = g_strdup(machine->name);
    domain->has_uuid = TRUE;
    memcpy(domain->uuid, machine->uuid, 16);
    domain->description = note && *note ? g_strdup(note) : NULL;
    domain->memory = g_new0(VireoDomainMemory, 1);
    domain->memory->text = machine->max_memory;
    domain->memory->has_text = TRUE;
    domain->current_memory = machine->memory;
    domain->has_current_memory = TRUE;
    esx_describe_os(domain, vireo_soap_value_text(esx_property(object, "config.guestId")),
                vireo_soap_value_text(esx_property(object, "config.firmware")));
    domain->devices = g_new0(VireoDomainDevices, 1);
    if (hardware)
        describe_cpus(domain, hardware,
                      vireo_soap_value_struct(esx_property(object, "config.cpuAllocation"), &vim_resource_allocation_info_type));
    for (guint i = 0; hardware && i < hardware->device.n; i++)
        describe_device(domain->devices, hardware, hardware->device.items[i]);
    domain->vmware_datacenterpath = g_strdup(server->datacenter_path);
    domain->vmware_moref = g_strdup(machine->ref->value);
    return domain;
}
