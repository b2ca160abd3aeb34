/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine's configuration as a domain document. */
#include "ops.h"

#include <string.h>

#include "kit/disk.h"
#include "spec.h"

/* ---- resources ----------------------------------------------------------------------- */

const GPtrArray *hyperv_resources(HypervTalk *talk, const char *instance_id)
{
    return hyperv_query(talk, HYPERV_SPACE,
                        "select * from CIM_ResourceAllocationSettingData where InstanceID like '%s%%'", instance_id);
}

static guint type_of(const VireoCim *resource)
{
    return (guint)vireo_cim_number(resource, "ResourceType");
}

gboolean hyperv_is_in(const VireoCim *inside, const VireoCim *outside)
{
    g_autofree char *parent = vireo_cim_path_value(vireo_cim_string(inside, "Parent"), "InstanceID");

    return parent && g_ascii_strcasecmp(parent, vireo_cim_string(outside, "InstanceID")) == 0;
}

static gint by_place(gconstpointer a, gconstpointer b)
{
    const VireoCim *one = *(VireoCim *const *)a, *other = *(VireoCim *const *)b;
    int order = (int)vireo_cim_number(one, "Address") - (int)vireo_cim_number(other, "Address");

    return order ? order : strcmp(vireo_cim_string(one, "InstanceID"), vireo_cim_string(other, "InstanceID"));
}

GPtrArray *hyperv_controllers(const GPtrArray *resources, HypervBus bus)
{
    GPtrArray *found = g_ptr_array_new();

    for (guint i = 0; i < resources->len; i++)
        if (type_of(resources->pdata[i]) == bus)
            g_ptr_array_add(found, resources->pdata[i]);
    g_ptr_array_sort(found, by_place);
    return found;
}

static const VireoCim *inside_of(const GPtrArray *resources, const VireoCim *device, guint type)
{
    for (guint i = 0; i < resources->len; i++)
        if (type_of(resources->pdata[i]) == type && hyperv_is_in(resources->pdata[i], device))
            return resources->pdata[i];
    return NULL;
}

static void device_free(gpointer opaque)
{
    HypervDevice *device = opaque;

    g_free(device->target);
    g_free(device->mac);
    g_free(device);
}

static void add_drive(GPtrArray *all, const GPtrArray *resources, const VireoCim *drive, HypervBus bus, guint controller)
{
    HypervDevice *device = g_new0(HypervDevice, 1);
    guint unit = (guint)vireo_cim_number(drive, "AddressOnParent");

    device->device = drive;
    device->inside = inside_of(resources, drive, HYPERV_MEDIUM);
    device->bus = bus;
    device->controller = controller;
    device->unit = unit;
    device->target = bus == HYPERV_IDE    ? vireo_disk_name("hd", controller * 2 + unit)
                     : bus == HYPERV_SCSI ? vireo_disk_name("sd", controller * 64 + unit)
                                          : vireo_disk_name("fd", unit);
    g_ptr_array_add(all, device);
}

static void add_drives(GPtrArray *all, const GPtrArray *resources, HypervBus bus)
{
    g_autoptr(GPtrArray) controllers = hyperv_controllers(resources, bus);

    for (guint i = 0; i < controllers->len; i++)
        for (guint j = 0; j < resources->len; j++) {
            guint type = type_of(resources->pdata[j]);

            if ((type == HYPERV_DISK || type == HYPERV_DVD) && hyperv_is_in(resources->pdata[j], controllers->pdata[i]))
                add_drive(all, resources, resources->pdata[j], bus, i);
        }
}

/* 00155D0A0B0C */
static char *spell_mac(const char *digits)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; digits[i]; i++)
        g_string_append_printf(text, i && i % 2 == 0 ? ":%c" : "%c", g_ascii_tolower(digits[i]));
    return g_string_free(text, FALSE);
}

static gint by_target(gconstpointer a, gconstpointer b)
{
    const HypervDevice *one = *(HypervDevice *const *)a, *other = *(HypervDevice *const *)b;
    int order = (one->target != NULL) - (other->target != NULL);

    if (order)
        return -order;
    if (!one->target)
        return strcmp(one->mac, other->mac);
    order = (int)strlen(one->target) - (int)strlen(other->target);
    return order ? order : strcmp(one->target, other->target);
}

GPtrArray *hyperv_devices(HypervTalk *talk, const GPtrArray *resources)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(device_free);

    (void)talk;
    add_drives(all, resources, HYPERV_IDE);
    add_drives(all, resources, HYPERV_SCSI);
    for (guint i = 0; i < resources->len; i++)
        if (type_of(resources->pdata[i]) == HYPERV_FLOPPY && inside_of(resources, resources->pdata[i], HYPERV_MEDIUM))
            add_drive(all, resources, resources->pdata[i], HYPERV_FLOPPY, 0);
        else if (type_of(resources->pdata[i]) == HYPERV_CARD) {
            HypervDevice *device = g_new0(HypervDevice, 1);

            device->device = resources->pdata[i];
            device->inside = inside_of(resources, device->device, HYPERV_CONNECTION);
            device->mac = spell_mac(vireo_cim_string(device->device, "Address"));
            g_ptr_array_add(all, device);
        }
    g_ptr_array_sort(all, by_target);
    return all;
}

const char *hyperv_file_of(const HypervDevice *device)
{
    return device->inside ? vireo_cim_string(device->inside, "HostResource") : "";
}

char *hyperv_number_of(HypervTalk *talk, const HypervDevice *device)
{
    const char *path = device->target ? vireo_cim_string(device->device, "HostResource") : "";
    g_autofree char *id = strstr(path, "Msvm_DiskDrive") ? vireo_cim_path_value(path, "DeviceID") : NULL;
    const GPtrArray *drives = id ? hyperv_query(talk, HYPERV_SPACE, "select * from Msvm_DiskDrive") : NULL;

    for (guint i = 0; drives && i < drives->len; i++)
        if (g_ascii_strcasecmp(vireo_cim_string(drives->pdata[i], "DeviceID"), id) == 0)
            return g_strdup(vireo_cim_string(drives->pdata[i], "DriveNumber"));
    return id ? g_strdup("") : NULL;
}

char *hyperv_switch_of(HypervTalk *talk, const HypervDevice *device)
{
    const char *path = hyperv_file_of(device);
    g_autofree char *guid = *path ? vireo_cim_path_value(path, "Name") : NULL;
    g_autofree char *key = guid ? g_ascii_strup(guid, -1) : NULL;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&talk->server->lock);

    return key ? g_strdup(g_hash_table_lookup(talk->server->networks, key)) : NULL;
}

/* ---- the document -------------------------------------------------------------------- */

static void describe_disk(HypervTalk *talk, VireoDomainDevices *devices, const HypervDevice *one)
{
    VireoDomainDisk *disk = g_new0(VireoDomainDisk, 1);
    const char *file = hyperv_file_of(one);
    char *number = hyperv_number_of(talk, one);
    gboolean dvd = vireo_cim_number(one->device, "ResourceType") == HYPERV_DVD;

    disk->device = dvd                          ? VIREO_DOMAIN_DISK_DEVICE_CDROM
                   : one->bus == HYPERV_FLOPPY ? VIREO_DOMAIN_DISK_DEVICE_FLOPPY
                                                : VIREO_DOMAIN_DISK_DEVICE_DISK;
    disk->type = number ? VIREO_DOMAIN_DISK_TYPE_BLOCK : VIREO_DOMAIN_DISK_TYPE_FILE;
    disk->readonly = dvd;
    if (number || *file)
        disk->source = g_new0(VireoDomainDiskSource, 1);
    if (number)
        disk->source->dev = number;
    else if (*file)
        disk->source->file = g_strdup(file);
    disk->target = g_new0(VireoDomainDiskTarget, 1);
    disk->target->dev = g_strdup(one->target);
    disk->target->bus = one->bus == HYPERV_IDE    ? VIREO_DOMAIN_DISK_BUS_IDE
                        : one->bus == HYPERV_SCSI ? VIREO_DOMAIN_DISK_BUS_SCSI
                                                  : VIREO_DOMAIN_DISK_BUS_FDC;
    disk->address = one->bus == HYPERV_IDE ? vireo_disk_address(0, one->controller, one->unit)
                                           : vireo_disk_address(one->controller, 0, one->unit);
    vireo_list_append(&devices->disks, disk);
}

static void describe_card(HypervTalk *talk, VireoDomainDevices *devices, const HypervDevice *one)
{
    VireoDomainInterface *card = g_new0(VireoDomainInterface, 1);
    char *name = hyperv_switch_of(talk, one);

    card->type = name ? VIREO_DOMAIN_INTERFACE_TYPE_NETWORK : VIREO_DOMAIN_INTERFACE_TYPE_NULL;
    card->mac = g_new0(VireoDomainInterfaceMac, 1);
    card->mac->address = g_strdup(one->mac);
    if (name) {
        card->source = g_new0(VireoDomainInterfaceSource, 1);
        card->source->network = name;
    }
    vireo_list_append(&devices->interfaces, card);
}

static void describe_controllers(VireoDomainDevices *devices, const GPtrArray *resources)
{
    g_autoptr(GPtrArray) scsi = hyperv_controllers(resources, HYPERV_SCSI);

    for (guint i = 0; i < scsi->len; i++) {
        VireoDomainController *controller = g_new0(VireoDomainController, 1);

        controller->type = VIREO_DOMAIN_CONTROLLER_TYPE_SCSI;
        controller->index = i;
        controller->has_index = TRUE;
        vireo_list_append(&devices->controllers, controller);
    }
}

static gint by_id(gconstpointer a, gconstpointer b)
{
    return strcmp(vireo_cim_string(*(VireoCim *const *)a, "InstanceID"),
                  vireo_cim_string(*(VireoCim *const *)b, "InstanceID"));
}

GPtrArray *hyperv_ports(const GPtrArray *resources)
{
    GPtrArray *found = g_ptr_array_new();

    for (guint i = 0; i < resources->len; i++)
        if (type_of(resources->pdata[i]) == HYPERV_SERIAL)
            g_ptr_array_add(found, resources->pdata[i]);
    g_ptr_array_sort(found, by_id);
    return found;
}

static void describe_serials(VireoDomainDevices *devices, const GPtrArray *resources)
{
    g_autoptr(GPtrArray) ports = hyperv_ports(resources);

    for (guint i = 0; i < ports->len; i++) {
        const char *pipe = vireo_cim_string(ports->pdata[i], "Connection");

        if (!*pipe)
            continue;
        VireoDomainChardev *serial = g_new0(VireoDomainChardev, 1);
        VireoDomainChardevSource *source = g_new0(VireoDomainChardevSource, 1);
        serial->type = VIREO_DOMAIN_CHARDEV_TYPE_PIPE;
        source->path = g_strdup(pipe);
        vireo_list_append(&serial->sources, source);
        serial->target = g_new0(VireoDomainChardevTarget, 1);
        serial->target->has_port = TRUE;
        serial->target->port = i;
        vireo_list_append(&devices->serials, serial);
    }
}

/* A host that has no such class says so with a fault. */
const VireoCim *hyperv_security_of(HypervTalk *talk, const char *guid)
{
    gboolean before = talk->error != NULL;
    const VireoCim *security =
        hyperv_query_one(talk, HYPERV_SPACE, NULL,
                         "select * from Msvm_SecuritySettingData where InstanceID like 'Microsoft:%s%%'", guid);

    if (!before && g_error_matches(talk->error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_FAULT))
        g_clear_error(&talk->error);
    return security;
}

static void describe_security(HypervTalk *talk, VireoDomain *domain, const char *guid, const VireoCim *settings)
{
    VireoDomainFirmwareFeature *feature = g_new0(VireoDomainFirmwareFeature, 1);

    feature->name = g_strdup("secure-boot");
    feature->enabled = vireo_cim_flag(settings, "SecureBootEnabled") ? VIREO_TRISTATE_YES : VIREO_TRISTATE_NO;
    domain->os->firmware_info = g_new0(VireoDomainFirmwareInfo, 1);
    vireo_list_append(&domain->os->firmware_info->features, feature);
    if (!vireo_cim_flag(hyperv_security_of(talk, guid), "TpmEnabled"))
        return;
    VireoDomainTpm *tpm = g_new0(VireoDomainTpm, 1);
    tpm->model = VIREO_DOMAIN_TPM_MODEL_TPM_CRB;
    tpm->backend = g_new0(VireoDomainTpmBackendOptions, 1);
    tpm->backend->type = VIREO_DOMAIN_TPM_BACKEND_EMULATOR;
    tpm->backend->version = VIREO_DOMAIN_TPM_VERSION_2_0;
    vireo_list_append(&domain->devices->tpms, tpm);
}

static void describe_os(VireoDomain *domain, const VireoCim *settings)
{
    static const VireoDomainBootDevice devices[] = {VIREO_DOMAIN_BOOT_DEVICE_FD, VIREO_DOMAIN_BOOT_DEVICE_CDROM,
                                                    VIREO_DOMAIN_BOOT_DEVICE_HD, VIREO_DOMAIN_BOOT_DEVICE_NETWORK};
    gboolean efi = g_str_has_suffix(vireo_cim_string(settings, "VirtualSystemSubType"), ":2");

    domain->os = g_new0(VireoDomainOs, 1);
    domain->os->type = g_new0(VireoDomainOsMachine, 1);
    domain->os->type->text = VIREO_DOMAIN_OS_TYPE_HVM;
    domain->os->type->arch = g_strdup("x86_64");
    if (efi)
        domain->os->firmware = VIREO_DOMAIN_OS_FIRMWARE_EFI;
    for (guint i = 0; !efi && i < vireo_cim_count(settings, "BootOrder"); i++) {
        guint64 device = g_ascii_strtoull(vireo_cim_text_at(settings, "BootOrder", i), NULL, 10);

        if (device >= G_N_ELEMENTS(devices))
            continue;
        domain->os->boots.items = g_renew(VireoDomainBootDevice, domain->os->boots.items, domain->os->boots.n + 1);
        domain->os->boots.items[domain->os->boots.n++] = devices[device];
    }
}

static void describe_resources(VireoDomain *domain, const GPtrArray *resources)
{
    domain->memory = g_new0(VireoDomainMemory, 1);
    domain->memory->has_text = domain->has_current_memory = TRUE;
    domain->vcpu = g_new0(VireoDomainVcpu, 1);
    domain->vcpu->has_text = TRUE;
    for (guint i = 0; i < resources->len; i++) {
        guint64 quantity = vireo_cim_number(resources->pdata[i], "VirtualQuantity");

        if (type_of(resources->pdata[i]) == 3)
            domain->vcpu->text = (guint32)quantity;
        else if (type_of(resources->pdata[i]) == 4)
            domain->memory->text = domain->current_memory = quantity * 1024;
    }
}

VireoDomain *hyperv_describe(HypervTalk *talk, const HypervMachine *machine)
{
    VireoDomain *domain = g_new0(VireoDomain, 1);
    g_autofree char *id = g_strconcat("Microsoft:", machine->guid, NULL);
    const VireoCim *settings = hyperv_query_one(
        talk, HYPERV_SPACE, "settings of this machine",
        "select * from Msvm_VirtualSystemSettingData where InstanceID='%s'", id);
    const GPtrArray *resources = hyperv_resources(talk, id);
    g_autoptr(GPtrArray) devices = hyperv_devices(talk, resources);

    domain->type = VIREO_DOMAIN_VIRT_HYPERV;
    domain->has_id = hyperv_state_is_active(machine->state);
    domain->id = machine->id;
    domain->name = g_strdup(machine->name);
    domain->has_uuid = TRUE;
    memcpy(domain->uuid, machine->uuid, 16);
    g_autofree char *notes = hyperv_notes_of(settings);
    domain->description = *notes ? g_steal_pointer(&notes) : NULL;
    describe_os(domain, settings);
    describe_resources(domain, resources);
    domain->clock = g_new0(VireoDomainClock, 1);
    domain->clock->offset = VIREO_DOMAIN_CLOCK_OFFSET_UTC;
    domain->on_poweroff = domain->on_crash = VIREO_DOMAIN_LIFECYCLE_DESTROY;
    domain->on_reboot = VIREO_DOMAIN_LIFECYCLE_RESTART;
    domain->devices = g_new0(VireoDomainDevices, 1);
    describe_controllers(domain->devices, resources);
    for (guint i = 0; i < devices->len; i++)
        if (((HypervDevice *)devices->pdata[i])->target)
            describe_disk(talk, domain->devices, devices->pdata[i]);
        else
            describe_card(talk, domain->devices, devices->pdata[i]);
    describe_serials(domain->devices, resources);
    if (domain->os->firmware == VIREO_DOMAIN_OS_FIRMWARE_EFI)
        describe_security(talk, domain, machine->guid, settings);
    return domain;
}

int hyperv_domain_get_xml_desc(void *handle, vireo_call *call, const vireo_domain_get_xml_desc_args *args,
                               vireo_domain_get_xml_desc_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);

    if (!machine)
        return VIREO_FAIL;
    VireoDomain *domain = hyperv_describe(&talk, machine);
    if (!talk.error) {
        g_autofree char *text =
            vireo_domain_format(domain, args->flags & VIREO_DOMAIN_XML_INACTIVE ? VIREO_MODEL_FORMAT_INACTIVE : 0);

        ret->xml = conn->driver->host->strdup(call, text);
    }
    vireo_domain_free(domain);
    return hyperv_talk_finish(&talk, call);
}
