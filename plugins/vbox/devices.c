/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The devices of a document as those of a machine. */
#include "spec.h"

#include <string.h>

#include "kit/disk.h"

/* ---- where a disk goes ------------------------------------------------------------------- */

typedef struct {
    const VboxBus *bus;
    VwStorageControllerType type; /* 0: what VirtualBox takes by itself */
    guint index;                  /* of the controller */
    gint32 port, device;
} Place;

static const VboxBus *bus_with(VwStorageBus bus)
{
    const VboxBus *one = vbox_buses;

    while (one->bus && one->bus != bus)
        one++;
    return one;
}

static VireoDomainDiskBus bus_of_name(const char *target)
{
    return g_str_has_prefix(target, "hd")   ? VIREO_DOMAIN_DISK_BUS_IDE
           : g_str_has_prefix(target, "sd") ? VIREO_DOMAIN_DISK_BUS_SCSI
           : g_str_has_prefix(target, "fd") ? VIREO_DOMAIN_DISK_BUS_FDC
                                            : VIREO_DOMAIN_DISK_BUS_UNSET;
}

static const VboxBus *bus_for(VireoDomainDiskBus bus)
{
    const VboxBus *one = vbox_buses;

    while (one->bus && one->disk != bus)
        one++;
    return one;
}

/* The model stands with the controller of that number, when the document has it. */
static gboolean find_controller(const VireoDomainDevices *devices, const VboxBus *bus, Place *place, GError **error)
{
    VwStorageBus found = bus->bus;

    for (guint i = 0; i < devices->controllers.n; i++) {
        const VireoDomainController *controller = devices->controllers.items[i];

        if (controller->type != bus->controller || (controller->has_index ? controller->index : 0) != place->index)
            continue;
        if (!vbox_controller_type(controller->model, controller->type, &found, &place->type))
            return vireo_refuse(error, controller->line,
                                "controller model '%s': there are piix3, piix4 and ich6 for ide, "
                                "and lsilogic, buslogic, lsisas1068 and virtio-scsi for scsi",
                                controller->model);
    }
    place->bus = bus_with(found);
    return TRUE;
}

static gboolean find_place(const VireoDomainDevices *devices, const VireoDomainDisk *disk, Place *place, GError **error)
{
    VireoDomainDiskBus wanted = disk->target->bus ? disk->target->bus : bus_of_name(disk->target->dev);
    const VboxBus *bus = bus_for(wanted);
    guint unit;

    *place = (Place){0};
    if (!bus->bus)
        return vireo_refuse(error, disk->line, "disk '%s': the buses are ide, sata, scsi and fdc", disk->target->dev);
    gboolean ide = bus->bus == VW_STORAGE_BUS_IDE, floppy = bus->bus == VW_STORAGE_BUS_FLOPPY;
    if (disk->address && disk->address->type != VIREO_ADDRESS_TYPE_DRIVE)
        return vireo_refuse(error, disk->line, "disk '%s' needs an address of type drive", disk->target->dev);
    if (disk->address) {
        place->index = disk->address->controller;
        unit = ide ? (guint)disk->address->bus * 2 + disk->address->unit : disk->address->unit;
    } else {
        int number = vireo_disk_number(disk->target->dev, bus->prefix);

        if (number < 0)
            return vireo_refuse(error, disk->line, "disk target '%s': on this bus they are %sa, %sb and so on",
                                disk->target->dev, bus->prefix, bus->prefix);
        place->index = (guint)number / bus->places;
        unit = (guint)number % bus->places;
    }
    if (!find_controller(devices, bus, place, error))
        return FALSE;
    if (unit >= place->bus->places)
        return vireo_refuse(error, disk->line, "disk '%s': there are %u places on this bus", disk->target->dev,
                            place->bus->places);
    place->port = (gint32)(ide ? unit / 2 : floppy ? 0 : unit);
    place->device = (gint32)(ide ? unit % 2 : floppy ? unit : 0);
    return TRUE;
}

/* ---- checking ---------------------------------------------------------------------------- */

static gboolean check_disk(const VireoDomainDevices *devices, const VireoDomainDisk *disk, GError **error)
{
    gboolean hard = disk->device == VIREO_DOMAIN_DISK_DEVICE_DISK || disk->device == VIREO_DOMAIN_DISK_DEVICE_UNSET;
    gboolean floppy = disk->device == VIREO_DOMAIN_DISK_DEVICE_FLOPPY;
    const char *file = disk->source ? disk->source->file : NULL;
    Place place;

    if (!hard && !floppy && disk->device != VIREO_DOMAIN_DISK_DEVICE_CDROM)
        return vireo_refuse(error, disk->line, "disk '%s': there are hard disks, CD-ROMs and floppies",
                            disk->target->dev);
    if (disk->type && disk->type != VIREO_DOMAIN_DISK_TYPE_FILE)
        return vireo_refuse(error, disk->line, "disk '%s': disks are of type file", disk->target->dev);
    if (hard && !file)
        return vireo_refuse(error, disk->line, "disk '%s' needs a source file", disk->target->dev);
    if (file && *file != '/' && !(g_ascii_isalpha(*file) && file[1] == ':'))
        return vireo_refuse(error, disk->line,
                            "disk '%s': the source file '%s' has to be an absolute path on the server",
                            disk->target->dev, file);
    if (disk->readonly && hard)
        return vireo_refuse(error, disk->line, "disk '%s': a hard disk cannot be read-only", disk->target->dev);
    if (!find_place(devices, disk, &place, error))
        return FALSE;
    if (floppy != (place.bus->bus == VW_STORAGE_BUS_FLOPPY))
        return vireo_refuse(error, disk->line, "disk '%s': floppies and nothing else are on the bus fdc",
                            disk->target->dev);
    return TRUE;
}

static gboolean check_card(const VireoDomainInterface *card, GError **error)
{
    const VireoDomainInterfaceSource *source = card->source;
    gboolean good = card->type == VIREO_DOMAIN_INTERFACE_TYPE_USER || card->type == VIREO_DOMAIN_INTERFACE_TYPE_NULL ||
                    (card->type == VIREO_DOMAIN_INTERFACE_TYPE_BRIDGE && source && source->bridge) ||
                    (card->type == VIREO_DOMAIN_INTERFACE_TYPE_INTERNAL && source && source->name) ||
                    (card->type == VIREO_DOMAIN_INTERFACE_TYPE_NETWORK && source && source->network);

    if (!good)
        return vireo_refuse(error, card->line,
                            "interfaces are of type user (NAT), null, bridge with a source bridge, internal "
                            "with a source name, and network with a host-only adapter as the source network");
    if (card->model && !vbox_card_type(card->model))
        return vireo_refuse(error, card->line,
                            "interface model '%s': there are Am79C970A, Am79C973, 82540EM (e1000), "
                            "82543GC, 82545EM and virtio",
                            card->model);
    return TRUE;
}

static VwPortMode port_mode(VireoDomainChardevType type)
{
    switch (type) {
    case VIREO_DOMAIN_CHARDEV_TYPE_NULL:
        return VW_PORT_MODE_DISCONNECTED;
    case VIREO_DOMAIN_CHARDEV_TYPE_PIPE:
        return VW_PORT_MODE_HOST_PIPE;
    case VIREO_DOMAIN_CHARDEV_TYPE_DEV:
        return VW_PORT_MODE_HOST_DEVICE;
    case VIREO_DOMAIN_CHARDEV_TYPE_FILE:
        return VW_PORT_MODE_RAW_FILE;
    case VIREO_DOMAIN_CHARDEV_TYPE_TCP:
        return VW_PORT_MODE_TCP;
    default:
        return 0;
    }
}

static guint port_number(const VireoDomainChardev *serial, guint index)
{
    return serial->target && serial->target->has_port ? serial->target->port : index;
}

static gboolean check_serial(const VireoDomainChardev *serial, guint index, GError **error)
{
    const VireoDomainChardevSource *source = serial->sources.n ? serial->sources.items[0] : NULL;
    VwPortMode mode = port_mode(serial->type);

    if (!mode)
        return vireo_refuse(error, serial->line, "serial ports are of type null, dev, file, pipe and tcp");
    if (port_number(serial, index) >= VBOX_SERIALS)
        return vireo_refuse(error, serial->line, "there are %d serial ports, from 0", VBOX_SERIALS);
    if (mode == VW_PORT_MODE_TCP ? !source || !source->service
                                 : mode != VW_PORT_MODE_DISCONNECTED && (!source || !source->path))
        return vireo_refuse(error, serial->line, "the serial port needs a source");
    return TRUE;
}

static gboolean check_others(const VireoDomainDevices *devices, GError **error)
{
    for (guint i = 0; i < devices->filesystems.n; i++) {
        const VireoDomainFilesystem *folder = devices->filesystems.items[i];

        if (folder->type != VIREO_DOMAIN_FILESYSTEM_TYPE_MOUNT || !folder->source || !folder->source->dir ||
            !folder->target)
            return vireo_refuse(error, folder->line,
                                "shared folders are filesystems of type mount, with a source dir and a "
                                "target dir");
    }
    for (guint i = 0; i < devices->graphics.n; i++)
        if (devices->graphics.items[i]->type != VIREO_DOMAIN_GRAPHICS_TYPE_RDP || i > 0)
            return vireo_refuse(error, devices->graphics.items[i]->line, "there is one display, of type rdp");
    for (guint i = 0; i < devices->videos.n; i++) {
        const VireoDomainVideo *video = devices->videos.items[i];

        if (i > 0 || (video->model && video->model->type && video->model->type != VIREO_DOMAIN_VIDEO_MODEL_VBOX))
            return vireo_refuse(error, video->line, "there is one video card, of model vbox");
    }
    return TRUE;
}

gboolean vbox_devices_check(const VireoDomainDevices *devices, GError **error)
{
    if (!devices)
        return TRUE;
    if (devices->interfaces.n > VBOX_CARDS)
        return vireo_refuse(error, devices->line, "there are %d interfaces at most", VBOX_CARDS);
    for (guint i = 0; i < devices->disks.n; i++)
        if (!check_disk(devices, devices->disks.items[i], error))
            return FALSE;
    for (guint i = 0; i < devices->controllers.n; i++) {
        const VireoDomainController *controller = devices->controllers.items[i];
        VwStorageControllerType type;
        VwStorageBus bus;

        if (!vbox_controller_type(controller->model, controller->type, &bus, &type))
            return vireo_refuse(error, controller->line,
                                "the controllers are of type ide, sata, scsi and fdc, with a model "
                                "that VirtualBox has");
    }
    for (guint i = 0; i < devices->interfaces.n; i++)
        if (!check_card(devices->interfaces.items[i], error))
            return FALSE;
    for (guint i = 0; i < devices->serials.n; i++)
        if (!check_serial(devices->serials.items[i], i, error))
            return FALSE;
    return check_others(devices, error);
}

/* ---- storage ----------------------------------------------------------------------------- */

static void remove_storage(VboxTalk *talk, const char *machine)
{
    const vw_i_machine_get_storage_controllers_ret *refs =
        VBOX_CALL(talk, i_machine_get_storage_controllers, ._this = machine);

    for (guint i = 0; i < refs->returnval.n; i++) {
        const char *ref = vbox_talk_take(talk, refs->returnval.items[i]);

        VBOX_CALL(talk, i_machine_remove_storage_controller, ._this = machine,
                  .name = VBOX_GET(talk, i_storage_controller_get_name, ref));
    }
}

static char *controller_name(const VboxBus *bus, guint index)
{
    return index ? g_strdup_printf("%s %u", bus->name, index) : g_strdup(bus->name);
}

/* Its name, when it is there for that place. */
static char *need_controller(VboxTalk *talk, const char *machine, GHashTable *made, const Place *place)
{
    char *name = controller_name(place->bus, place->index);

    if (!g_hash_table_add(made, g_strdup(name)))
        return name;
    const char *ref = VBOX_CALL(talk, i_machine_add_storage_controller, ._this = machine, .name = name,
                                .connection_type = place->bus->bus)
                          ->returnval;
    vbox_talk_take(talk, ref);
    if (place->type)
        VBOX_CALL(talk, i_storage_controller_set_controller_type, ._this = ref, .controller_type = place->type);
    if (place->bus->bus == VW_STORAGE_BUS_SATA)
        VBOX_CALL(talk, i_storage_controller_set_port_count, ._this = ref, .port_count = place->bus->places);
    return name;
}

static VwDeviceType device_type(const VireoDomainDisk *disk)
{
    return disk->device == VIREO_DOMAIN_DISK_DEVICE_CDROM    ? VW_DEVICE_TYPE_DVD
           : disk->device == VIREO_DOMAIN_DISK_DEVICE_FLOPPY ? VW_DEVICE_TYPE_FLOPPY
                                                             : VW_DEVICE_TYPE_HARD_DISK;
}

const char *vbox_disk_medium(VboxTalk *talk, const VireoDomainDisk *disk)
{
    VwDeviceType type = device_type(disk);

    if (!disk->source || !disk->source->file)
        return "";
    return VBOX_CALL(talk, i_virtual_box_open_medium, ._this = talk->web, .location = disk->source->file,
                     .device_type = type,
                     .access_mode = type == VW_DEVICE_TYPE_DVD ? VW_ACCESS_MODE_READ_ONLY : VW_ACCESS_MODE_READ_WRITE)
        ->returnval;
}

static void put_disk(VboxTalk *talk, const char *machine, const char *controller, const Place *place,
                     const VireoDomainDisk *disk)
{
    const char *medium = vbox_disk_medium(talk, disk);

    if (*medium)
        VBOX_CALL(talk, i_machine_attach_device, ._this = machine, .name = controller, .controller_port = place->port,
                  .device = place->device, .type = device_type(disk), .medium = medium);
    else
        VBOX_CALL(talk, i_machine_attach_device_without_medium, ._this = machine, .name = controller,
                  .controller_port = place->port, .device = place->device, .type = device_type(disk));
}

static void apply_disk(VboxTalk *talk, const char *machine, GHashTable *made, const VireoDomainDevices *devices,
                       const VireoDomainDisk *disk)
{
    Place place;

    if (talk->error || !find_place(devices, disk, &place, &talk->error))
        return;
    g_autofree char *controller = need_controller(talk, machine, made, &place);
    put_disk(talk, machine, controller, &place, disk);
}

/* On the controller it has; else on one that is made. */
void vbox_disk_attach(VboxTalk *talk, const char *machine, const VireoDomainDevices *devices,
                      const VireoDomainDisk *disk)
{
    g_autoptr(GHashTable) made = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Place place;

    if (talk->error || !find_place(devices, disk, &place, &talk->error))
        return;
    g_autofree char *name = g_strdup(vbox_controller_find(talk, machine, place.bus->controller, place.index));
    if (!*name && !talk->error) {
        g_free(name);
        name = need_controller(talk, machine, made, &place);
    }
    put_disk(talk, machine, name, &place, disk);
}

static void apply_storage(VboxTalk *talk, const char *machine, const VireoDomainDevices *devices)
{
    g_autoptr(GHashTable) made = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    remove_storage(talk, machine);
    for (guint i = 0; i < devices->controllers.n; i++) {
        const VireoDomainController *controller = devices->controllers.items[i];
        Place place = {.index = controller->has_index ? controller->index : 0};
        VwStorageBus bus;

        vbox_controller_type(controller->model, controller->type, &bus, &place.type);
        place.bus = bus_with(bus);
        g_free(need_controller(talk, machine, made, &place));
    }
    for (guint i = 0; i < devices->disks.n; i++)
        apply_disk(talk, machine, made, devices, devices->disks.items[i]);
}

/* ---- the others -------------------------------------------------------------------------- */

static VwNetworkAttachmentType attachment_of(VireoDomainInterfaceType type)
{
    return type == VIREO_DOMAIN_INTERFACE_TYPE_USER       ? VW_NETWORK_ATTACHMENT_TYPE_NAT
           : type == VIREO_DOMAIN_INTERFACE_TYPE_BRIDGE   ? VW_NETWORK_ATTACHMENT_TYPE_BRIDGED
           : type == VIREO_DOMAIN_INTERFACE_TYPE_INTERNAL ? VW_NETWORK_ATTACHMENT_TYPE_INTERNAL
           : type == VIREO_DOMAIN_INTERFACE_TYPE_NETWORK  ? VW_NETWORK_ATTACHMENT_TYPE_HOST_ONLY
                                                          : VW_NETWORK_ATTACHMENT_TYPE_NULL;
}

/* "08:00:27:aa:bb:cc" without colons. Caller frees. */
static char *plain_mac(const char *address)
{
    GString *text = g_string_new(NULL);

    for (; *address; address++)
        if (*address != ':')
            g_string_append_c(text, g_ascii_toupper(*address));
    return g_string_free(text, FALSE);
}

/* What of a card can be changed while the machine runs, too. */
static void connect_card(VboxTalk *talk, const char *ref, const VireoDomainInterface *card)
{
    if (card->type == VIREO_DOMAIN_INTERFACE_TYPE_BRIDGE)
        VBOX_CALL(talk, i_network_adapter_set_bridged_interface, ._this = ref,
                  .bridged_interface = card->source->bridge);
    else if (card->type == VIREO_DOMAIN_INTERFACE_TYPE_INTERNAL)
        VBOX_CALL(talk, i_network_adapter_set_internal_network, ._this = ref, .internal_network = card->source->name);
    else if (card->type == VIREO_DOMAIN_INTERFACE_TYPE_NETWORK)
        VBOX_CALL(talk, i_network_adapter_set_host_only_interface, ._this = ref,
                  .host_only_interface = card->source->network);
    VBOX_CALL(talk, i_network_adapter_set_attachment_type, ._this = ref, .attachment_type = attachment_of(card->type));
    VBOX_CALL(talk, i_network_adapter_set_cable_connected, ._this = ref,
              .cable_connected = card->link != VIREO_DOMAIN_LINK_STATE_DOWN);
}

static void apply_card(VboxTalk *talk, const char *machine, guint slot, const VireoDomainInterface *card)
{
    const char *ref =
        vbox_talk_take(talk, VBOX_CALL(talk, i_machine_get_network_adapter, ._this = machine, .slot = slot)->returnval);

    VBOX_CALL(talk, i_network_adapter_set_enabled, ._this = ref, .enabled = card != NULL);
    if (!card)
        return;
    if (card->model)
        VBOX_CALL(talk, i_network_adapter_set_adapter_type, ._this = ref, .adapter_type = vbox_card_type(card->model));
    if (card->mac && card->mac->address) {
        g_autofree char *mac = plain_mac(card->mac->address);

        VBOX_CALL(talk, i_network_adapter_set_mac_address, ._this = ref, .mac_address = mac);
    }
    connect_card(talk, ref, card);
}

void vbox_card_attach(VboxTalk *talk, const char *machine, const VireoDomainInterface *card)
{
    for (guint slot = 0; slot < VBOX_CARDS && !talk->error; slot++) {
        const char *ref = VBOX_CALL(talk, i_machine_get_network_adapter, ._this = machine, .slot = slot)->returnval;

        if (VBOX_GET(talk, i_network_adapter_get_enabled, ref))
            continue;
        apply_card(talk, machine, slot, card);
        return;
    }
    vbox_talk_refuse(talk, VIREO_ERR_OPERATION_FAILED, "the machine has %d interfaces already", VBOX_CARDS);
}

/* "" when there is an error. */
static const char *card_with(VboxTalk *talk, const char *machine, const char *mac, guint *slot)
{
    g_autofree char *wanted = plain_mac(mac);

    for (*slot = 0; *slot < VBOX_CARDS && !talk->error; ++*slot) {
        const char *ref = VBOX_CALL(talk, i_machine_get_network_adapter, ._this = machine, .slot = *slot)->returnval;

        if (VBOX_GET(talk, i_network_adapter_get_enabled, ref) &&
            g_str_equal(VBOX_GET(talk, i_network_adapter_get_mac_address, ref), wanted))
            return ref;
    }
    vbox_talk_refuse(talk, VIREO_ERR_DEVICE_MISSING, "the machine has no interface with address %s", mac);
    return "";
}

void vbox_card_detach(VboxTalk *talk, const char *machine, const char *mac)
{
    guint slot;

    if (*card_with(talk, machine, mac, &slot))
        apply_card(talk, machine, slot, NULL);
}

void vbox_card_update(VboxTalk *talk, const char *machine, const VireoDomainInterface *card)
{
    guint slot;
    const char *ref = card_with(talk, machine, card->mac->address, &slot);

    if (card->model && vbox_card_type(card->model) != VBOX_GET(talk, i_network_adapter_get_adapter_type, ref))
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_UNSUPPORTED,
                         "interface %s: its model stays what it is; its source and link are changed",
                         card->mac->address);
    connect_card(talk, ref, card);
}

static void apply_serial(VboxTalk *talk, const char *machine, guint slot, const VireoDomainChardev *serial)
{
    static const guint io[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8}, irq[] = {4, 3, 4, 3};
    const char *ref =
        vbox_talk_take(talk, VBOX_CALL(talk, i_machine_get_serial_port, ._this = machine, .slot = slot)->returnval);

    VBOX_CALL(talk, i_serial_port_set_host_mode, ._this = ref, .host_mode = VW_PORT_MODE_DISCONNECTED);
    VBOX_CALL(talk, i_serial_port_set_enabled, ._this = ref, .enabled = serial != NULL);
    if (!serial)
        return;
    const VireoDomainChardevSource *source = serial->sources.n ? serial->sources.items[0] : NULL;
    gboolean tcp = serial->type == VIREO_DOMAIN_CHARDEV_TYPE_TCP,
             server = source && source->mode == VIREO_DOMAIN_CHARDEV_MODE_BIND;
    g_autofree char *path = !source  ? g_strdup("")
                            : !tcp   ? g_strdup(source->path)
                            : server ? g_strdup(source->service)
                                     : g_strdup_printf("%s:%s", source->host ? source->host : "", source->service);
    VBOX_CALL(talk, i_serial_port_set_io_address, ._this = ref, .io_address = io[slot]);
    VBOX_CALL(talk, i_serial_port_set_irq, ._this = ref, .irq = irq[slot]);
    VBOX_CALL(talk, i_serial_port_set_path, ._this = ref, .path = path ? path : "");
    VBOX_CALL(talk, i_serial_port_set_server, ._this = ref, .server = server);
    VBOX_CALL(talk, i_serial_port_set_host_mode, ._this = ref, .host_mode = port_mode(serial->type));
}

static void apply_serials(VboxTalk *talk, const char *machine, const VireoDomainDevices *devices)
{
    const VireoDomainChardev *ports[VBOX_SERIALS] = {NULL};

    for (guint i = 0; i < devices->serials.n; i++)
        ports[port_number(devices->serials.items[i], i)] = devices->serials.items[i];
    for (guint i = 0; i < VBOX_SERIALS; i++)
        apply_serial(talk, machine, i, ports[i]);
}

void vbox_folder_attach(VboxTalk *talk, const char *machine, const VireoDomainFilesystem *folder)
{
    VBOX_CALL(talk, i_machine_create_shared_folder, ._this = machine, .name = folder->target,
              .host_path = folder->source->dir, .writable = !folder->readonly, .auto_mount_point = "");
}

/* All, or the one of that name; whether there was any. */
static gboolean remove_folders(VboxTalk *talk, const char *machine, const char *wanted)
{
    const vw_i_machine_get_shared_folders_ret *old = VBOX_CALL(talk, i_machine_get_shared_folders, ._this = machine);
    gboolean found = FALSE;

    for (guint i = 0; i < old->returnval.n; i++) {
        const char *name =
            VBOX_GET(talk, i_shared_folder_get_name, vbox_talk_take(talk, old->returnval.items[i]));

        if (talk->error || (wanted && !g_str_equal(name, wanted)))
            continue;
        VBOX_CALL(talk, i_machine_remove_shared_folder, ._this = machine, .name = name);
        found = TRUE;
    }
    return found;
}

void vbox_folder_detach(VboxTalk *talk, const char *machine, const char *target)
{
    if (!remove_folders(talk, machine, target))
        vbox_talk_refuse(talk, VIREO_ERR_DEVICE_MISSING, "the machine has no shared folder '%s'", target);
}

static void apply_folders(VboxTalk *talk, const char *machine, const VireoDomainDevices *devices)
{
    remove_folders(talk, machine, NULL);
    for (guint i = 0; i < devices->filesystems.n; i++)
        vbox_folder_attach(talk, machine, devices->filesystems.items[i]);
}

static void apply_screen(VboxTalk *talk, const char *machine, const VireoDomainDevices *devices)
{
    const char *adapter = VBOX_TAKE(talk, i_machine_get_graphics_adapter, machine);
    const char *server = VBOX_TAKE(talk, i_machine_get_vrde_server, machine);
    const VireoDomainVideoModelOptions *model = devices->videos.n ? devices->videos.items[0]->model : NULL;
    const VireoDomainGraphics *graphics = devices->graphics.n ? devices->graphics.items[0] : NULL;

    if (model && model->has_vram)
        VBOX_CALL(talk, i_graphics_adapter_set_vram_size, ._this = adapter, .vram_size = (model->vram + 1023) / 1024);
    if (model && model->has_heads)
        VBOX_CALL(talk, i_graphics_adapter_set_monitor_count, ._this = adapter, .monitor_count = model->heads);
    if (graphics && graphics->has_port && graphics->port > 0) {
        g_autofree char *port = g_strdup_printf("%d", graphics->port);

        VBOX_CALL(talk, ivrde_server_set_vrde_property, ._this = server, .key = "TCP/Ports", .value = port);
    }
    if (*server)
        VBOX_CALL(talk, ivrde_server_set_enabled, ._this = server, .enabled = graphics != NULL);
    else if (graphics)
        vbox_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                         "domain.devices.graphics: this VirtualBox has no remote display");
}

void vbox_devices_apply(VboxTalk *talk, const char *machine, const VireoDomainDevices *devices)
{
    static const VireoDomainDevices none = {0};

    if (!devices)
        devices = &none;
    apply_storage(talk, machine, devices);
    for (guint i = 0; i < VBOX_CARDS; i++)
        apply_card(talk, machine, i, i < devices->interfaces.n ? devices->interfaces.items[i] : NULL);
    apply_serials(talk, machine, devices);
    apply_folders(talk, machine, devices);
    apply_screen(talk, machine, devices);
}
