/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stands for what: here and in VirtualBox. */
#include "spec.h"

#include <string.h>

const VboxBus vbox_buses[] = {
    {VW_STORAGE_BUS_IDE, VIREO_DOMAIN_CONTROLLER_TYPE_IDE, VIREO_DOMAIN_DISK_BUS_IDE, "hd", 4, "IDE", "PIIX3IDE"},
    {VW_STORAGE_BUS_SATA, VIREO_DOMAIN_CONTROLLER_TYPE_SATA, VIREO_DOMAIN_DISK_BUS_SATA, "sd", 30, "SATA", "AHCI"},
    {VW_STORAGE_BUS_SCSI, VIREO_DOMAIN_CONTROLLER_TYPE_SCSI, VIREO_DOMAIN_DISK_BUS_SCSI, "sd", 16, "SCSI", "LSILOGICSCSI"},
    {VW_STORAGE_BUS_FLOPPY, VIREO_DOMAIN_CONTROLLER_TYPE_FDC, VIREO_DOMAIN_DISK_BUS_FDC, "fd", 2, "Floppy", "I82078"},
    {VW_STORAGE_BUS_SAS, VIREO_DOMAIN_CONTROLLER_TYPE_SCSI, VIREO_DOMAIN_DISK_BUS_SCSI, "sd", 255, "SAS", "LSILOGICSAS"},
    {VW_STORAGE_BUS_VIRTIO_SCSI, VIREO_DOMAIN_CONTROLLER_TYPE_SCSI, VIREO_DOMAIN_DISK_BUS_SCSI, "sd", 256, "VirtIO", "VIRTIO-SCSI"},
    {0},
};

static const struct {
    VwStorageControllerType type;
    VwStorageBus bus;
    const char *model;
} controllers[] = {
    {VW_STORAGE_CONTROLLER_TYPE_LSI_LOGIC, VW_STORAGE_BUS_SCSI, "lsilogic"},
    {VW_STORAGE_CONTROLLER_TYPE_BUS_LOGIC, VW_STORAGE_BUS_SCSI, "buslogic"},
    {VW_STORAGE_CONTROLLER_TYPE_LSI_LOGIC_SAS, VW_STORAGE_BUS_SAS, "lsisas1068"},
    {VW_STORAGE_CONTROLLER_TYPE_VIRTIO_SCSI, VW_STORAGE_BUS_VIRTIO_SCSI, "virtio-scsi"},
    {VW_STORAGE_CONTROLLER_TYPE_PIIX3, VW_STORAGE_BUS_IDE, "piix3"},
    {VW_STORAGE_CONTROLLER_TYPE_PIIX4, VW_STORAGE_BUS_IDE, "piix4"},
    {VW_STORAGE_CONTROLLER_TYPE_ICH6, VW_STORAGE_BUS_IDE, "ich6"},
};

const char *vbox_controller_model(VwStorageControllerType type)
{
    for (guint i = 0; i < G_N_ELEMENTS(controllers); i++)
        if (controllers[i].type == type)
            return controllers[i].model;
    return NULL;
}

gboolean vbox_controller_type(const char *model, VireoDomainControllerType kind, VwStorageBus *bus,
                              VwStorageControllerType *type)
{
    *type = 0;
    for (const VboxBus *one = vbox_buses; one->bus; one++)
        if (one->controller == kind && !model) {
            *bus = one->bus;
            return TRUE;
        }
    for (guint i = 0; model && i < G_N_ELEMENTS(controllers); i++)
        if (g_ascii_strcasecmp(controllers[i].model, model) == 0) {
            gboolean ide = controllers[i].bus == VW_STORAGE_BUS_IDE;

            *bus = controllers[i].bus;
            *type = controllers[i].type;
            return ide ? kind == VIREO_DOMAIN_CONTROLLER_TYPE_IDE : kind == VIREO_DOMAIN_CONTROLLER_TYPE_SCSI;
        }
    return FALSE;
}

static const struct {
    VwNetworkAdapterType type;
    const char *model;
} cards[] = {
    {VW_NETWORK_ADAPTER_TYPE_AM79_C970_A, "Am79C970A"}, {VW_NETWORK_ADAPTER_TYPE_AM79_C973, "Am79C973"},
    {VW_NETWORK_ADAPTER_TYPE_I82540_EM, "82540EM"},     {VW_NETWORK_ADAPTER_TYPE_I82543_GC, "82543GC"},
    {VW_NETWORK_ADAPTER_TYPE_I82545_EM, "82545EM"},     {VW_NETWORK_ADAPTER_TYPE_VIRTIO, "virtio"},
    {VW_NETWORK_ADAPTER_TYPE_I82540_EM, "e1000"},
};

const char *vbox_card_model(VwNetworkAdapterType type)
{
    for (guint i = 0; i < G_N_ELEMENTS(cards); i++)
        if (cards[i].type == type)
            return cards[i].model;
    return NULL;
}

VwNetworkAdapterType vbox_card_type(const char *model)
{
    for (guint i = 0; i < G_N_ELEMENTS(cards); i++)
        if (g_ascii_strcasecmp(cards[i].model, model) == 0)
            return cards[i].type;
    return 0;
}

static const struct {
    VwDeviceType type;
    VireoDomainBootDevice device;
} boots[] = {
    {VW_DEVICE_TYPE_FLOPPY, VIREO_DOMAIN_BOOT_DEVICE_FD},
    {VW_DEVICE_TYPE_HARD_DISK, VIREO_DOMAIN_BOOT_DEVICE_HD},
    {VW_DEVICE_TYPE_DVD, VIREO_DOMAIN_BOOT_DEVICE_CDROM},
    {VW_DEVICE_TYPE_NETWORK, VIREO_DOMAIN_BOOT_DEVICE_NETWORK},
};

VireoDomainBootDevice vbox_boot_device(VwDeviceType type)
{
    for (guint i = 0; i < G_N_ELEMENTS(boots); i++)
        if (boots[i].type == type)
            return boots[i].device;
    return VIREO_DOMAIN_BOOT_DEVICE_UNSET;
}

static VwDeviceType boot_type(VireoDomainBootDevice device)
{
    for (guint i = 0; i < G_N_ELEMENTS(boots); i++)
        if (boots[i].device == device)
            return boots[i].type;
    return VW_DEVICE_TYPE_NULL;
}

/* ---- what can be honoured ---------------------------------------------------------------- */

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
    "domain.os.boot.dev",
    "domain.features.pae",
    "domain.features.acpi",
    "domain.features.apic",
    "domain.clock.offset",
    "domain.on_poweroff",
    "domain.on_reboot",
    "domain.on_crash",
    "domain.devices.disk.type",
    "domain.devices.disk.device",
    "domain.devices.disk.source.file",
    "domain.devices.disk.target.dev",
    "domain.devices.disk.target.bus",
    "domain.devices.disk.readonly",
    "domain.devices.disk.address.*",
    "domain.devices.controller.type",
    "domain.devices.controller.index",
    "domain.devices.controller.model",
    "domain.devices.filesystem.type",
    "domain.devices.filesystem.source.dir",
    "domain.devices.filesystem.target.dir",
    "domain.devices.filesystem.readonly",
    "domain.devices.interface.type",
    "domain.devices.interface.mac.address",
    "domain.devices.interface.source.bridge",
    "domain.devices.interface.source.name",
    "domain.devices.interface.source.network",
    "domain.devices.interface.model.type",
    "domain.devices.interface.link.state",
    "domain.devices.serial.type",
    "domain.devices.serial.source.path",
    "domain.devices.serial.source.mode",
    "domain.devices.serial.source.host",
    "domain.devices.serial.source.service",
    "domain.devices.serial.target.port",
    "domain.devices.graphics.type",
    "domain.devices.graphics.port",
    "domain.devices.graphics.autoport",
    "domain.devices.video.model.type",
    "domain.devices.video.model.vram",
    "domain.devices.video.model.heads",
    NULL,
};

VireoModelPathSet *vbox_honoured_paths(GError **error)
{
    return vireo_model_path_set_new(&vireo_domain_type, paths, error);
}

static gboolean check_os(const VireoDomain *domain, GError **error)
{
    const VireoDomainOsMachine *type = domain->os ? domain->os->type : NULL;

    if (!type || type->text != VIREO_DOMAIN_OS_TYPE_HVM)
        return vireo_refuse(error, domain->line, "the <os> needs <type>hvm</type>");
    if (type->arch && !g_str_equal(type->arch, "i686") && !g_str_equal(type->arch, "x86_64"))
        return vireo_refuse(error, type->line, "arch '%s': there are i686 and x86_64", type->arch);
    if (domain->os->boots.n > VBOX_BOOT_PLACES)
        return vireo_refuse(error, domain->os->line, "there are %d places for <boot>", VBOX_BOOT_PLACES);
    return TRUE;
}

static gboolean check_life(const VireoDomain *domain, GError **error)
{
    if ((domain->on_poweroff && domain->on_poweroff != VIREO_DOMAIN_LIFECYCLE_DESTROY) ||
        (domain->on_crash && domain->on_crash != VIREO_DOMAIN_LIFECYCLE_DESTROY) ||
        (domain->on_reboot && domain->on_reboot != VIREO_DOMAIN_LIFECYCLE_RESTART))
        return vireo_refuse(error, domain->line,
                            "a machine ends with <on_poweroff> and <on_crash> destroy, and "
                            "<on_reboot> restart");
    return TRUE;
}

gboolean vbox_spec_check(const VireoDomain *domain, GError **error)
{
    if (domain->type != VIREO_DOMAIN_VIRT_VBOX)
        return vireo_refuse(error, domain->line, "domain type '%s': this driver runs domains of type 'vbox' only",
                            vireo_domain_virt_to_string(domain->type));
    if (!domain->memory || !domain->memory->has_text || !domain->memory->text)
        return vireo_refuse(error, domain->line, "the domain has no <memory>");
    if (domain->has_current_memory && domain->current_memory != domain->memory->text)
        return vireo_refuse(error, domain->line,
                            "<currentMemory> is as much as <memory>: VirtualBox has no other limit");
    if (domain->vcpu && domain->vcpu->has_current && domain->vcpu->current != domain->vcpu->text)
        return vireo_refuse(error, domain->vcpu->line, "current vcpu count must equal maximum");
    if (domain->clock && domain->clock->offset && domain->clock->offset != VIREO_DOMAIN_CLOCK_OFFSET_UTC &&
        domain->clock->offset != VIREO_DOMAIN_CLOCK_OFFSET_LOCALTIME)
        return vireo_refuse(error, domain->clock->line, "the clock offset is utc or localtime");
    return check_os(domain, error) && check_life(domain, error) && vbox_devices_check(domain->devices, error);
}

/* ---- the machine without its devices ----------------------------------------------------- */

static void apply_firmware(VboxTalk *talk, const char *machine, const VireoDomain *domain)
{
    const char *firmware = VBOX_TAKE(talk, i_machine_get_firmware_settings, machine);
    const char *platform = VBOX_TAKE(talk, i_machine_get_platform, machine);
    const char *x86 = VBOX_TAKE(talk, i_platform_get_x86, platform);
    const VireoDomainFeatures *features = domain->features;
    gboolean efi = domain->os->firmware == VIREO_DOMAIN_OS_FIRMWARE_EFI;
    gboolean local = domain->clock && domain->clock->offset == VIREO_DOMAIN_CLOCK_OFFSET_LOCALTIME;

    VBOX_CALL(talk, i_firmware_settings_set_firmware_type, ._this = firmware,
              .firmware_type = efi ? VW_FIRMWARE_TYPE_EFI : VW_FIRMWARE_TYPE_BIOS);
    VBOX_CALL(talk, i_firmware_settings_set_acpi_enabled, ._this = firmware,
              .acpi_enabled = features && features->acpi);
    VBOX_CALL(talk, i_firmware_settings_set_ioapic_enabled, ._this = firmware,
              .ioapic_enabled = features && features->apic);
    VBOX_CALL(talk, i_platform_set_rtc_use_utc, ._this = platform, .rtc_use_utc = !local);
    VBOX_CALL(talk, i_platform_x86_set_cpu_property, ._this = x86, .property = VW_CPU_PROPERTY_TYPE_X86_PAE,
              .value = features && features->pae);
}

static void apply_boot(VboxTalk *talk, const char *machine, const VireoDomain *domain)
{
    for (guint i = 0; i < VBOX_BOOT_PLACES; i++) {
        VireoDomainBootDevice device = i < domain->os->boots.n ? domain->os->boots.items[i]
                                       : i == 0                ? VIREO_DOMAIN_BOOT_DEVICE_HD
                                                               : VIREO_DOMAIN_BOOT_DEVICE_UNSET;

        VBOX_CALL(talk, i_machine_set_boot_order, ._this = machine, .position = i + 1, .device = boot_type(device));
    }
}

void vbox_spec_apply(VboxTalk *talk, const char *machine, const VireoDomain *domain)
{
    VBOX_CALL(talk, i_machine_set_description, ._this = machine,
              .description = domain->description ? domain->description : "");
    VBOX_CALL(talk, i_machine_set_memory_size, ._this = machine,
              .memory_size = (guint32)((domain->memory->text + 1023) / 1024));
    VBOX_CALL(talk, i_machine_set_cpu_count, ._this = machine,
              .cpu_count = domain->vcpu && domain->vcpu->has_text ? domain->vcpu->text : 1);
    apply_firmware(talk, machine, domain);
    apply_boot(talk, machine, domain);
}
