/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine's configuration as a domain document. */
#include "driver.h"

#include <string.h>

#include "kit/disk.h"
#include "spec.h"

/* ---- disks --------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    VwStorageBus bus;
    VwStorageControllerType type;
    guint index;    /* among those that are controllers of the same type here */
    guint instance; /* among those of its type there */
} Controller;

static const VboxBus *bus_of(VwStorageBus bus)
{
    for (const VboxBus *one = vbox_buses; one->bus; one++)
        if (one->bus == bus)
            return one;
    return NULL;
}

static GArray *describe_controllers(VboxTalk *talk, const char *machine, VireoDomainDevices *devices)
{
    const vw_i_machine_get_storage_controllers_ret *refs =
        VBOX_CALL(talk, i_machine_get_storage_controllers, ._this = machine);
    GArray *all = g_array_new(FALSE, FALSE, sizeof(Controller));

    for (guint i = 0; i < refs->returnval.n; i++) {
        const char *ref = refs->returnval.items[i];
        Controller one = {.name = VBOX_GET(talk, i_storage_controller_get_name, ref),
                          .bus = VBOX_GET(talk, i_storage_controller_get_bus, ref),
                          .type = VBOX_GET(talk, i_storage_controller_get_controller_type, ref),
                          .instance = VBOX_GET(talk, i_storage_controller_get_instance, ref)};
        const VboxBus *bus = bus_of(one.bus);

        if (!bus)
            continue;
        for (guint j = 0; j < devices->controllers.n; j++)
            one.index += devices->controllers.items[j]->type == bus->controller;
        VireoDomainController *controller = g_new0(VireoDomainController, 1);
        controller->type = bus->controller;
        controller->index = one.index;
        controller->has_index = TRUE;
        controller->model = g_strdup(vbox_controller_model(one.type));
        vireo_list_append(&devices->controllers, controller);
        g_array_append_val(all, one);
    }
    return all;
}

static gboolean is_taken(const VireoDomainDevices *devices, const char *target)
{
    for (guint i = 0; i < devices->disks.n; i++)
        if (g_str_equal(devices->disks.items[i]->target->dev, target))
            return TRUE;
    return FALSE;
}

/* By its place; where two buses have the same letters, the next free one. */
static char *target_name(const VireoDomainDevices *devices, const char *prefix, guint index)
{
    char *name = vireo_disk_name(prefix, index);

    while (is_taken(devices, name)) {
        g_free(name);
        name = vireo_disk_name(prefix, ++index);
    }
    return name;
}

static void set_source(VboxTalk *talk, VireoDomainDisk *disk, const char *medium)
{
    gboolean host = *medium && VBOX_GET(talk, i_medium_get_host_drive, medium);

    disk->type = host ? VIREO_DOMAIN_DISK_TYPE_BLOCK : VIREO_DOMAIN_DISK_TYPE_FILE;
    if (!*medium)
        return;
    char *location = g_strdup(VBOX_GET(talk, i_medium_get_location, medium));
    disk->source = g_new0(VireoDomainDiskSource, 1);
    *(host ? &disk->source->dev : &disk->source->file) = location;
    if (VBOX_GET(talk, i_medium_get_type, medium) == VW_MEDIUM_TYPE_SHAREABLE)
        disk->shareable = TRUE;
}

static const Controller *controller_of(const GArray *controllers, const VwIMediumAttachment *attachment)
{
    for (guint i = 0; i < controllers->len; i++)
        if (g_str_equal(g_array_index(controllers, Controller, i).name, attachment->controller))
            return &g_array_index(controllers, Controller, i);
    return NULL;
}

static void describe_disk(VboxTalk *talk, VireoDomainDevices *devices, const GArray *controllers,
                          const VwIMediumAttachment *attachment)
{
    const Controller *on = controller_of(controllers, attachment);

    if (!on)
        return;
    const VboxBus *bus = bus_of(on->bus);
    gboolean ide = on->bus == VW_STORAGE_BUS_IDE, floppy = on->bus == VW_STORAGE_BUS_FLOPPY;
    guint port = (guint)attachment->port, device = (guint)attachment->device;
    guint unit = ide || floppy ? device : port;
    VireoDomainDisk *disk = g_new0(VireoDomainDisk, 1);
    disk->device = attachment->type == VW_DEVICE_TYPE_DVD      ? VIREO_DOMAIN_DISK_DEVICE_CDROM
                   : attachment->type == VW_DEVICE_TYPE_FLOPPY ? VIREO_DOMAIN_DISK_DEVICE_FLOPPY
                                                               : VIREO_DOMAIN_DISK_DEVICE_DISK;
    disk->readonly = attachment->type == VW_DEVICE_TYPE_DVD;
    set_source(talk, disk, attachment->medium);
    disk->target = g_new0(VireoDomainDiskTarget, 1);
    disk->target->bus = bus->disk;
    disk->target->dev = target_name(devices, bus->prefix, on->index * bus->places + (ide ? port * 2 + device : unit));
    disk->address = vireo_disk_address(on->index, ide ? port : 0, unit);
    vireo_list_append(&devices->disks, disk);
}

static void describe_storage(VboxTalk *talk, const char *machine, VireoDomainDevices *devices)
{
    g_autoptr(GArray) controllers = describe_controllers(talk, machine, devices);
    const vw_i_machine_get_medium_attachments_ret *attachments =
        VBOX_CALL(talk, i_machine_get_medium_attachments, ._this = machine);

    for (guint i = 0; i < attachments->returnval.n; i++)
        describe_disk(talk, devices, controllers, attachments->returnval.items[i]);
}

const VwIMediumAttachment *vbox_disk_find(VboxTalk *talk, const char *machine, const char *target)
{
    VireoDomainDevices *devices = g_new0(VireoDomainDevices, 1);
    g_autoptr(GArray) controllers = describe_controllers(talk, machine, devices);
    const vw_i_machine_get_medium_attachments_ret *all =
        VBOX_CALL(talk, i_machine_get_medium_attachments, ._this = machine);
    const VwIMediumAttachment *found = NULL;

    for (guint i = 0; !found && i < all->returnval.n; i++) {
        guint before = devices->disks.n;

        describe_disk(talk, devices, controllers, all->returnval.items[i]);
        if (devices->disks.n > before && g_str_equal(devices->disks.items[before]->target->dev, target))
            found = all->returnval.items[i];
    }
    vireo_model_free(&vireo_domain_devices_type, devices);
    return talk->error ? NULL : found;
}

static void place_clear(gpointer opaque)
{
    VboxDiskPlace *place = opaque;

    g_free(place->target);
    g_free(place->counters);
}

GArray *vbox_disk_list(VboxTalk *talk, const char *machine)
{
    VireoDomainDevices *devices = g_new0(VireoDomainDevices, 1);
    g_autoptr(GArray) controllers = describe_controllers(talk, machine, devices);
    const vw_i_machine_get_medium_attachments_ret *all =
        VBOX_CALL(talk, i_machine_get_medium_attachments, ._this = machine);
    GArray *places = g_array_new(FALSE, FALSE, sizeof(VboxDiskPlace));

    g_array_set_clear_func(places, place_clear);
    for (guint i = 0; i < all->returnval.n; i++) {
        const VwIMediumAttachment *attachment = all->returnval.items[i];
        const Controller *on = controller_of(controllers, attachment);
        guint before = devices->disks.n;

        describe_disk(talk, devices, controllers, attachment);
        if (devices->disks.n == before)
            continue;
        const VireoDomainDisk *disk = devices->disks.items[before];
        gboolean ide = on->bus == VW_STORAGE_BUS_IDE;
        VboxDiskPlace place = {
            .target = g_strdup(disk->target->dev),
            .medium = attachment->medium,
            .path = disk->source && disk->source->file ? vireo_arena_strdup(talk->arena, disk->source->file) : "",
            .counters = g_strdup_printf("%s%u/Port%d",
                                        on->type == VW_STORAGE_CONTROLLER_TYPE_BUS_LOGIC ? "BUSLOGIC"
                                                                                          : bus_of(on->bus)->counters,
                                        on->instance, ide ? attachment->port * 2 + attachment->device : attachment->port)};
        g_array_append_val(places, place);
    }
    vireo_model_free(&vireo_domain_devices_type, devices);
    return places;
}

const char *vbox_controller_find(VboxTalk *talk, const char *machine, VireoDomainControllerType type, guint index)
{
    VireoDomainDevices *devices = g_new0(VireoDomainDevices, 1);
    g_autoptr(GArray) controllers = describe_controllers(talk, machine, devices);
    const char *found = "";

    for (guint i = 0; i < controllers->len; i++) {
        const Controller *one = &g_array_index(controllers, Controller, i);

        if (one->index == index && bus_of(one->bus)->controller == type)
            found = one->name;
    }
    vireo_model_free(&vireo_domain_devices_type, devices);
    return found;
}

/* ---- cards --------------------------------------------------------------------------- */

char *vbox_spell_mac(const char *digits)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; digits[i]; i++)
        g_string_append_printf(text, i && i % 2 == 0 ? ":%c" : "%c", g_ascii_tolower(digits[i]));
    return g_string_free(text, FALSE);
}

static gboolean set_card_source(VboxTalk *talk, const char *ref, VireoDomainInterface *card)
{
    card->source = g_new0(VireoDomainInterfaceSource, 1);
    switch (VBOX_GET(talk, i_network_adapter_get_attachment_type, ref)) {
    case VW_NETWORK_ATTACHMENT_TYPE_NAT:
        card->type = VIREO_DOMAIN_INTERFACE_TYPE_USER;
        g_clear_pointer(&card->source, g_free);
        return TRUE;
    case VW_NETWORK_ATTACHMENT_TYPE_NULL:
        card->type = VIREO_DOMAIN_INTERFACE_TYPE_NULL;
        g_clear_pointer(&card->source, g_free);
        return TRUE;
    case VW_NETWORK_ATTACHMENT_TYPE_BRIDGED:
        card->type = VIREO_DOMAIN_INTERFACE_TYPE_BRIDGE;
        card->source->bridge = g_strdup(VBOX_GET(talk, i_network_adapter_get_bridged_interface, ref));
        return TRUE;
    case VW_NETWORK_ATTACHMENT_TYPE_INTERNAL:
        card->type = VIREO_DOMAIN_INTERFACE_TYPE_INTERNAL;
        card->source->name = g_strdup(VBOX_GET(talk, i_network_adapter_get_internal_network, ref));
        return TRUE;
    case VW_NETWORK_ATTACHMENT_TYPE_HOST_ONLY:
        card->type = VIREO_DOMAIN_INTERFACE_TYPE_NETWORK;
        card->source->network = g_strdup(VBOX_GET(talk, i_network_adapter_get_host_only_interface, ref));
        return TRUE;
    default:
        return FALSE;
    }
}

static void describe_card(VboxTalk *talk, const char *machine, VireoDomainDevices *devices, guint slot)
{
    const char *ref = VBOX_CALL(talk, i_machine_get_network_adapter, ._this = machine, .slot = slot)->returnval;

    if (!VBOX_GET(talk, i_network_adapter_get_enabled, ref))
        return;
    VireoDomainInterface *card = g_new0(VireoDomainInterface, 1);
    if (!set_card_source(talk, ref, card)) {
        vireo_model_free(&vireo_domain_interface_type, card);
        return;
    }
    card->mac = g_new0(VireoDomainInterfaceMac, 1);
    card->mac->address = vbox_spell_mac(VBOX_GET(talk, i_network_adapter_get_mac_address, ref));
    card->model = g_strdup(vbox_card_model(VBOX_GET(talk, i_network_adapter_get_adapter_type, ref)));
    if (!VBOX_GET(talk, i_network_adapter_get_cable_connected, ref))
        card->link = VIREO_DOMAIN_LINK_STATE_DOWN;
    vireo_list_append(&devices->interfaces, card);
}

/* ---- the other devices --------------------------------------------------------------- */

static void describe_serial(VboxTalk *talk, const char *machine, VireoDomainDevices *devices, guint slot)
{
    static const struct {
        VwPortMode mode;
        VireoDomainChardevType type;
    } kinds[] = {
        {VW_PORT_MODE_DISCONNECTED, VIREO_DOMAIN_CHARDEV_TYPE_NULL},
        {VW_PORT_MODE_HOST_PIPE, VIREO_DOMAIN_CHARDEV_TYPE_PIPE},
        {VW_PORT_MODE_HOST_DEVICE, VIREO_DOMAIN_CHARDEV_TYPE_DEV},
        {VW_PORT_MODE_RAW_FILE, VIREO_DOMAIN_CHARDEV_TYPE_FILE},
        {VW_PORT_MODE_TCP, VIREO_DOMAIN_CHARDEV_TYPE_TCP},
    };
    const char *ref = VBOX_CALL(talk, i_machine_get_serial_port, ._this = machine, .slot = slot)->returnval;

    if (!VBOX_GET(talk, i_serial_port_get_enabled, ref))
        return;
    VwPortMode mode = VBOX_GET(talk, i_serial_port_get_host_mode, ref);
    const char *path = VBOX_GET(talk, i_serial_port_get_path, ref), *colon = strrchr(path, ':');
    VireoDomainChardev *serial = g_new0(VireoDomainChardev, 1);
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (kinds[i].mode == mode)
            serial->type = kinds[i].type;
    if (mode != VW_PORT_MODE_DISCONNECTED) {
        VireoDomainChardevSource *source = g_new0(VireoDomainChardevSource, 1);
        gboolean server = mode == VW_PORT_MODE_TCP && VBOX_GET(talk, i_serial_port_get_server, ref);

        if (mode != VW_PORT_MODE_TCP)
            source->path = g_strdup(path);
        else {
            source->mode = server ? VIREO_DOMAIN_CHARDEV_MODE_BIND : VIREO_DOMAIN_CHARDEV_MODE_CONNECT;
            source->host = colon ? g_strndup(path, (gsize)(colon - path)) : g_strdup("");
            source->service = g_strdup(colon ? colon + 1 : path);
        }
        vireo_list_append(&serial->sources, source);
    }
    serial->target = g_new0(VireoDomainChardevTarget, 1);
    serial->target->has_port = TRUE;
    serial->target->port = slot;
    vireo_list_append(&devices->serials, serial);
}

static void describe_folders(VboxTalk *talk, const char *machine, VireoDomainDevices *devices)
{
    const vw_i_machine_get_shared_folders_ret *refs = VBOX_CALL(talk, i_machine_get_shared_folders, ._this = machine);

    for (guint i = 0; i < refs->returnval.n; i++) {
        const char *ref = refs->returnval.items[i];
        VireoDomainFilesystem *folder = g_new0(VireoDomainFilesystem, 1);

        folder->type = VIREO_DOMAIN_FILESYSTEM_TYPE_MOUNT;
        folder->source = g_new0(VireoDomainFilesystemSource, 1);
        folder->source->dir = g_strdup(VBOX_GET(talk, i_shared_folder_get_host_path, ref));
        folder->target = g_strdup(VBOX_GET(talk, i_shared_folder_get_name, ref));
        folder->readonly = !VBOX_GET(talk, i_shared_folder_get_writable, ref);
        vireo_list_append(&devices->filesystems, folder);
    }
}

static void describe_screen(VboxTalk *talk, const char *machine, VireoDomainDevices *devices)
{
    const char *adapter = VBOX_GET(talk, i_machine_get_graphics_adapter, machine);
    const char *server = VBOX_GET(talk, i_machine_get_vrde_server, machine);
    VireoDomainVideo *video = g_new0(VireoDomainVideo, 1);

    video->model = g_new0(VireoDomainVideoModelOptions, 1);
    video->model->type = VIREO_DOMAIN_VIDEO_MODEL_VBOX;
    video->model->has_vram = video->model->has_heads = TRUE;
    video->model->vram = VBOX_GET(talk, i_graphics_adapter_get_vram_size, adapter) * 1024;
    video->model->heads = VBOX_GET(talk, i_graphics_adapter_get_monitor_count, adapter);
    vireo_list_append(&devices->videos, video);
    if (!*server || !VBOX_GET(talk, ivrde_server_get_enabled, server))
        return;
    const char *ports = VBOX_CALL(talk, ivrde_server_get_vrde_property, ._this = server, .key = "TCP/Ports")->returnval;
    VireoDomainGraphics *graphics = g_new0(VireoDomainGraphics, 1);
    graphics->type = VIREO_DOMAIN_GRAPHICS_TYPE_RDP;
    graphics->has_port = TRUE;
    graphics->port = (gint32)strtol(ports, NULL, 10);
    if (!graphics->port)
        graphics->autoport = VIREO_TRISTATE_YES;
    vireo_list_append(&devices->graphics, graphics);
}

/* ---- the machine --------------------------------------------------------------------- */

static void describe_os(VboxTalk *talk, const char *machine, VireoDomain *domain)
{
    const char *firmware = VBOX_GET(talk, i_machine_get_firmware_settings, machine);
    const char *guest = VBOX_GET(talk, i_machine_get_os_type_id, machine);
    VwFirmwareType type = VBOX_GET(talk, i_firmware_settings_get_firmware_type, firmware);

    domain->os = g_new0(VireoDomainOs, 1);
    domain->os->type = g_new0(VireoDomainOsMachine, 1);
    domain->os->type->text = VIREO_DOMAIN_OS_TYPE_HVM;
    domain->os->type->arch = g_strdup(g_str_has_suffix(guest, "_64") ? "x86_64" : "i686");
    if (type != VW_FIRMWARE_TYPE_BIOS)
        domain->os->firmware = VIREO_DOMAIN_OS_FIRMWARE_EFI;
    for (guint i = 1; i <= VBOX_BOOT_PLACES; i++) {
        VireoDomainBootDevice device =
            vbox_boot_device(VBOX_CALL(talk, i_machine_get_boot_order, ._this = machine, .position = i)->returnval);

        if (device == VIREO_DOMAIN_BOOT_DEVICE_UNSET)
            continue;
        domain->os->boots.items = g_renew(VireoDomainBootDevice, domain->os->boots.items, domain->os->boots.n + 1);
        domain->os->boots.items[domain->os->boots.n++] = device;
    }
    domain->features = g_new0(VireoDomainFeatures, 1);
    domain->features->acpi = VBOX_GET(talk, i_firmware_settings_get_acpi_enabled, firmware);
    if (VBOX_GET(talk, i_firmware_settings_get_ioapic_enabled, firmware))
        domain->features->apic = g_new0(VireoDomainFeatureApic, 1);
}

static void describe_platform(VboxTalk *talk, const char *machine, VireoDomain *domain)
{
    const char *platform = VBOX_GET(talk, i_machine_get_platform, machine);
    const char *x86 = VBOX_GET(talk, i_platform_get_x86, platform);

    domain->features->pae =
        VBOX_CALL(talk, i_platform_x86_get_cpu_property, ._this = x86, .property = VW_CPU_PROPERTY_TYPE_X86_PAE)
            ->returnval;
    domain->clock = g_new0(VireoDomainClock, 1);
    domain->clock->offset = VBOX_GET(talk, i_platform_get_rtc_use_utc, platform) ? VIREO_DOMAIN_CLOCK_OFFSET_UTC
                                                                                 : VIREO_DOMAIN_CLOCK_OFFSET_LOCALTIME;
}

VireoDomain *vbox_describe(VboxTalk *talk, const VboxMachine *machine, const char *ref)
{
    VireoDomain *domain = g_new0(VireoDomain, 1);
    const char *note = VBOX_GET(talk, i_machine_get_description, ref);

    domain->type = VIREO_DOMAIN_VIRT_VBOX;
    domain->has_id = vbox_state_is_active(machine->state);
    domain->id = machine->id;
    domain->name = g_strdup(machine->name);
    domain->has_uuid = TRUE;
    memcpy(domain->uuid, machine->uuid, 16);
    domain->description = *note ? g_strdup(note) : NULL;
    domain->memory = g_new0(VireoDomainMemory, 1);
    domain->memory->text = (guint64)VBOX_GET(talk, i_machine_get_memory_size, ref) * 1024;
    domain->memory->has_text = TRUE;
    domain->current_memory = domain->memory->text;
    domain->has_current_memory = TRUE;
    domain->vcpu = g_new0(VireoDomainVcpu, 1);
    domain->vcpu->text = VBOX_GET(talk, i_machine_get_cpu_count, ref);
    domain->vcpu->has_text = TRUE;
    describe_os(talk, ref, domain);
    describe_platform(talk, ref, domain);
    domain->on_poweroff = domain->on_crash = VIREO_DOMAIN_LIFECYCLE_DESTROY;
    domain->on_reboot = VIREO_DOMAIN_LIFECYCLE_RESTART;
    domain->devices = g_new0(VireoDomainDevices, 1);
    describe_storage(talk, ref, domain->devices);
    describe_folders(talk, ref, domain->devices);
    for (guint slot = 0; slot < VBOX_CARDS; slot++)
        describe_card(talk, ref, domain->devices, slot);
    for (guint slot = 0; slot < VBOX_SERIALS; slot++)
        describe_serial(talk, ref, domain->devices, slot);
    describe_screen(talk, ref, domain->devices);
    return domain;
}
