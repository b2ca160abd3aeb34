/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Single devices of a machine: disks, media and cards. A machine has one configuration, whether it runs or not. */
#include "ops.h"

#include <string.h>

#include "spec.h"

#define PREFIX "Microsoft:Hyper-V:"

typedef enum { ATTACH, DETACH, UPDATE } Change;

/* ---- resources come, change and go ------------------------------------------------------- */

static char *id_of(const char *guid)
{
    return g_strconcat("Microsoft:", guid, NULL);
}

static VireoCim *resource_new(const char *class, guint type, const char *sub_type)
{
    g_autofree char *full = g_strconcat(PREFIX, sub_type, NULL);
    VireoCim *resource = vireo_cim_add_number(vireo_cim_new(class), "ResourceType", "uint16", type);

    return vireo_cim_add(resource, "ResourceSubType", NULL, full);
}

static VireoCim *put_parent(VireoCim *resource, const char *class, const char *instance_id)
{
    g_autofree char *path = vireo_cim_path_format(HYPERV_SPACE, class, "InstanceID", instance_id);

    return vireo_cim_add(resource, "Parent", NULL, path);
}

/* Takes resource. The new one's InstanceID; "" when there is an error. */
static const char *add(HypervTalk *talk, const char *guid, VireoCim *resource)
{
    g_autoptr(VireoCim) given = resource;
    g_autofree char *id = id_of(guid);
    VireoCim *args = vireo_cim_new("");
    const VireoCim *made = NULL;

    vireo_cim_add_path(args, "AffectedConfiguration", hyperv_at(talk, "Msvm_VirtualSystemSettingData", id));
    vireo_cim_add_embedded(args, "ResourceSettings", given);
    hyperv_invoke_made(talk, hyperv_service(talk, HYPERV_VSMS), "AddResourceSettings", args, "ResultingResourceSettings",
                       vireo_cim_class(given), &made);
    return made && !talk->error ? vireo_cim_string(made, "InstanceID") : "";
}

void hyperv_resource_modify(HypervTalk *talk, VireoCim *changes)
{
    g_autoptr(VireoCim) given = changes;

    hyperv_invoke(talk, hyperv_service(talk, HYPERV_VSMS), "ModifyResourceSettings",
                  vireo_cim_add_embedded(vireo_cim_new(""), "ResourceSettings", given));
}

static void take_away(HypervTalk *talk, const VireoCim *resource)
{
    const char *class = vireo_cim_class(resource);
    const VireoCim *path = hyperv_at(talk, class, vireo_cim_string(resource, "InstanceID"));

    hyperv_invoke(talk, hyperv_service(talk, HYPERV_VSMS), "RemoveResourceSettings",
                  vireo_cim_add_path(vireo_cim_new(""), "ResourceSettings", path));
}

/* What is in it goes first. */
static void remove_device(HypervTalk *talk, const HypervDevice *device)
{
    if (device->inside)
        take_away(talk, device->inside);
    if (device->bus != HYPERV_FLOPPY) /* its drive stays */
        take_away(talk, device->device);
}

/* ---- disks --------------------------------------------------------------------------------- */

static const char *need_controller(HypervTalk *talk, const char *guid, HypervBus bus, guint index)
{
    g_autofree char *id = id_of(guid);
    g_autoptr(GPtrArray) all = hyperv_controllers(hyperv_resources(talk, id), bus);

    if (talk->error || index < all->len)
        return talk->error ? "" : vireo_cim_string(all->pdata[index], "InstanceID");
    if (bus != HYPERV_SCSI) {
        hyperv_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                           "the machine has no such controller: one with EFI has SCSI disks only");
        return "";
    }
    const char *made = "";
    for (guint i = all->len; i <= index && !talk->error; i++)
        made = add(talk, guid, resource_new("Msvm_ResourceAllocationSettingData", bus, "Synthetic SCSI Controller"));
    return made;
}

static void put_medium(HypervTalk *talk, const char *guid, const VireoDomainDisk *disk, const char *drive)
{
    gboolean dvd = disk->device == VIREO_DOMAIN_DISK_DEVICE_CDROM;
    const char *sub_type = dvd                                               ? "Virtual CD/DVD Disk"
                           : disk->device == VIREO_DOMAIN_DISK_DEVICE_FLOPPY ? "Virtual Floppy Disk"
                                                                             : "Virtual Hard Disk";

    if (talk->error || !disk->source || !disk->source->file || !*disk->source->file)
        return;
    VireoCim *medium = resource_new("Msvm_StorageAllocationSettingData", HYPERV_MEDIUM, sub_type);
    put_parent(medium, "Msvm_ResourceAllocationSettingData", drive);
    add(talk, guid, vireo_cim_add_item(medium, "HostResource", NULL, disk->source->file));
}

/* The path of the host's disk of that number; NULL: there is an error. Caller frees. */
static char *drive_path(HypervTalk *talk, const char *number)
{
    const VireoCim *drive = hyperv_query_one(talk, HYPERV_SPACE, NULL, "select * from Msvm_DiskDrive where DriveNumber=%s",
                                             number);
    static const char *const keys[] = {"CreationClassName", "DeviceID", "SystemCreationClassName", "SystemName"};
    GString *path = g_string_new("\\\\.\\root\\virtualization\\v2:Msvm_DiskDrive");

    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_auto(GStrv) parts = g_strsplit(vireo_cim_string(drive, keys[i]), "\\", -1);
        g_autofree char *value = g_strjoinv("\\\\", parts);

        g_string_append_printf(path, "%c%s=\"%s\"", i ? ',' : '.', keys[i], value);
    }
    if (!vireo_cim_text(drive, "DeviceID"))
        hyperv_talk_refuse(talk, VIREO_ERR_INVALID_ARG, "%s has no disk %s", talk->server->uri->host, number);
    return g_string_free(path, talk->error != NULL);
}

/* What holds a medium, or is the host's disk. */
static VireoCim *drive_new(HypervTalk *talk, const VireoDomainDisk *disk)
{
    gboolean dvd = disk->device == VIREO_DOMAIN_DISK_DEVICE_CDROM;
    const char *class = "Msvm_ResourceAllocationSettingData";

    if (disk->type != VIREO_DOMAIN_DISK_TYPE_BLOCK)
        return resource_new(class, dvd ? HYPERV_DVD : HYPERV_DISK, dvd ? "Synthetic DVD Drive" : "Synthetic Disk Drive");
    g_autofree char *path = drive_path(talk, disk->source->dev);
    VireoCim *drive = resource_new(class, HYPERV_DISK, "Physical Disk Drive");
    return vireo_cim_add_item(drive, "HostResource", NULL, path ? path : "");
}

void hyperv_disk_attach(HypervTalk *talk, const char *guid, const VireoDomainDisk *disk)
{
    HypervBus bus;
    guint index, unit;

    hyperv_disk_place(disk, &bus, &index, &unit);
    const char *drive = need_controller(talk, guid, bus, index);
    if (talk->error)
        return;
    if (bus != HYPERV_FLOPPY) {
        g_autofree char *place = g_strdup_printf("%u", unit);
        VireoCim *made = drive_new(talk, disk);

        put_parent(made, "Msvm_ResourceAllocationSettingData", drive);
        drive = add(talk, guid, vireo_cim_add(made, "AddressOnParent", NULL, place));
    }
    put_medium(talk, guid, disk, drive);
    if (!talk->error || bus == HYPERV_FLOPPY || !*drive)
        return;
    GError *before = g_steal_pointer(&talk->error); /* no drive without its disk stays behind */
    take_away(talk, hyperv_at(talk, "Msvm_ResourceAllocationSettingData", drive));
    g_clear_error(&talk->error);
    talk->error = before;
}

/* ---- cards --------------------------------------------------------------------------------- */

static void connect_card(HypervTalk *talk, const char *guid, const VireoDomainInterface *card, const char *port)
{
    const char *name = !card->source                                     ? NULL
                       : card->type == VIREO_DOMAIN_INTERFACE_TYPE_BRIDGE ? card->source->bridge
                                                                          : card->source->network;
    g_autofree char *to = name && !talk->error ? hyperv_switch_named(talk, name) : NULL;

    if (!to)
        return;
    g_autofree char *path =
        g_strdup_printf("\\\\.\\root\\virtualization\\v2:Msvm_VirtualEthernetSwitch.CreationClassName="
                        "\"Msvm_VirtualEthernetSwitch\",Name=\"%s\"",
                        to);
    VireoCim *connection =
        resource_new("Msvm_EthernetPortAllocationSettingData", HYPERV_CONNECTION, "Ethernet Connection");
    put_parent(connection, "Msvm_SyntheticEthernetPortSettingData", port);
    add(talk, guid, vireo_cim_add_item(connection, "HostResource", NULL, path));
}

void hyperv_card_attach(HypervTalk *talk, const char *guid, const VireoDomainInterface *card)
{
    VireoCim *port = resource_new("Msvm_SyntheticEthernetPortSettingData", HYPERV_CARD, "Synthetic Ethernet Port");

    vireo_cim_add(port, "ElementName", NULL, "Network Adapter");
    if (card->mac && card->mac->address) {
        g_autofree char *mac = g_ascii_strup(card->mac->address, -1);
        g_auto(GStrv) parts = g_strsplit(mac, ":", -1);
        g_autofree char *digits = g_strjoinv("", parts);

        vireo_cim_add(port, "Address", NULL, digits);
        vireo_cim_add(port, "StaticMacAddress", "boolean", "true");
    }
    const char *made = add(talk, guid, port);
    connect_card(talk, guid, card, made);
}

/* ---- serial ports -------------------------------------------------------------------------- */

static void connect_port(HypervTalk *talk, const VireoCim *port, const char *pipe)
{
    VireoCim *changes = vireo_cim_new(vireo_cim_class(port));

    vireo_cim_add(changes, "InstanceID", NULL, vireo_cim_string(port, "InstanceID"));
    vireo_cim_add_item(changes, "Connection", NULL, pipe);
    hyperv_resource_modify(talk, changes);
}

void hyperv_serials_apply(HypervTalk *talk, const GPtrArray *resources, const VireoDomainDevices *devices)
{
    g_autoptr(GPtrArray) ports = hyperv_ports(resources);
    const char *pipes[2] = {"", ""};

    for (guint i = 0; devices && i < devices->serials.n; i++) {
        guint64 port = hyperv_port_of(devices, i);

        pipes[port] = devices->serials.items[i]->sources.items[0]->path;
        if (port >= ports->len)
            hyperv_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED, "the machine has no serial port %u", (guint)port);
    }
    for (guint i = 0; i < MIN(ports->len, G_N_ELEMENTS(pipes)) && !talk->error; i++)
        if (!g_str_equal(vireo_cim_string(ports->pdata[i], "Connection"), pipes[i]))
            connect_port(talk, ports->pdata[i], pipes[i]);
}

/* A port that is connected to nothing is the same as none. */
static void change_serial(HypervTalk *talk, const GPtrArray *resources, const VireoDomainDevices *wanted, Change what)
{
    g_autoptr(GPtrArray) ports = hyperv_ports(resources);
    guint64 number = hyperv_port_of(wanted, 0);
    const char *pipe = wanted->serials.items[0]->sources.items[0]->path;
    const VireoCim *port = number < ports->len ? ports->pdata[number] : NULL;
    const char *is = port ? vireo_cim_string(port, "Connection") : "";

    if (!port)
        hyperv_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED, "the machine has no serial port %u", (guint)number);
    else if (what == ATTACH && *is)
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_FAILED, "serial port %u is connected to '%s' already", (guint)number,
                           is);
    else if (what != ATTACH && !*is)
        hyperv_talk_refuse(talk, VIREO_ERR_DEVICE_MISSING, "serial port %u is not connected", (guint)number);
    else if (what == DETACH && !g_str_equal(is, pipe))
        hyperv_talk_refuse(talk, VIREO_ERR_DEVICE_MISSING, "serial port %u is connected to '%s'", (guint)number, is);
    else
        connect_port(talk, port, what == DETACH ? "" : pipe);
}

/* ---- one device ------------------------------------------------------------------------------ */

static const HypervDevice *find(HypervTalk *talk, const GPtrArray *devices, const VireoDomainDevices *wanted)
{
    const VireoDomainDisk *disk = wanted->disks.n ? wanted->disks.items[0] : NULL;
    const VireoDomainInterface *card = wanted->interfaces.n ? wanted->interfaces.items[0] : NULL;
    const char *mac = card && card->mac ? card->mac->address : NULL;

    for (guint i = 0; i < devices->len; i++) {
        const HypervDevice *one = devices->pdata[i];

        if (disk ? g_strcmp0(one->target, disk->target->dev) == 0
                 : mac && one->mac && g_ascii_strcasecmp(one->mac, mac) == 0)
            return one;
    }
    if (disk)
        hyperv_talk_refuse(talk, VIREO_ERR_DEVICE_MISSING, "the machine has no disk '%s'", disk->target->dev);
    else
        hyperv_talk_refuse(talk, VIREO_ERR_DEVICE_MISSING, "the machine has no interface '%s'", mac ? mac : "without <mac>");
    return NULL;
}

static void update_disk(HypervTalk *talk, const char *guid, const HypervDevice *device, const VireoDomainDisk *disk)
{
    if (!disk->device || disk->device == VIREO_DOMAIN_DISK_DEVICE_DISK) {
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_UNSUPPORTED,
                           "disk '%s' is a hard disk: only the media of cdroms and floppies can be changed",
                           disk->target->dev);
        return;
    }
    if (device->inside)
        take_away(talk, device->inside);
    put_medium(talk, guid, disk, vireo_cim_string(device->device, "InstanceID"));
}

static void change_one(HypervTalk *talk, const char *guid, const VireoDomainDevices *wanted, Change what)
{
    const VireoDomainDisk *disk = wanted->disks.n ? wanted->disks.items[0] : NULL;
    const VireoDomainInterface *card = wanted->interfaces.n ? wanted->interfaces.items[0] : NULL;
    g_autofree char *id = id_of(guid);
    g_autoptr(GPtrArray) devices = NULL;

    if (!disk && !card && wanted->serials.n)
        return change_serial(talk, hyperv_resources(talk, id), wanted, what);
    if (!disk && !card) {
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_UNSUPPORTED,
                           "disks, interfaces and serial ports can be attached and detached, media changed, and "
                           "interfaces and serial ports connected elsewhere");
        return;
    }
    if (what == ATTACH)
        return disk ? hyperv_disk_attach(talk, guid, disk) : hyperv_card_attach(talk, guid, card);
    devices = hyperv_devices(talk, hyperv_resources(talk, id));
    const HypervDevice *device = talk->error ? NULL : find(talk, devices, wanted);
    if (!device)
        return;
    if (what == DETACH)
        remove_device(talk, device);
    else if (disk)
        update_disk(talk, guid, device, disk);
    else {
        if (device->inside)
            take_away(talk, device->inside);
        connect_card(talk, guid, card, vireo_cim_string(device->device, "InstanceID"));
    }
}

void hyperv_devices_apply(HypervTalk *talk, const char *guid, const VireoDomainDevices *wanted)
{
    g_autofree char *id = id_of(guid);
    const GPtrArray *resources = hyperv_resources(talk, id);
    g_autoptr(GPtrArray) devices = hyperv_devices(talk, resources);

    hyperv_serials_apply(talk, resources, wanted);
    for (guint i = 0; i < devices->len; i++)
        remove_device(talk, devices->pdata[i]);
    for (guint i = 0; wanted && i < wanted->disks.n && !talk->error; i++)
        hyperv_disk_attach(talk, guid, wanted->disks.items[i]);
    for (guint i = 0; wanted && i < wanted->interfaces.n && !talk->error; i++)
        hyperv_card_attach(talk, guid, wanted->interfaces.items[i]);
}

/* Devices stand in documents of domains: what is refused there is refused here. */
static VireoDomainDevices *read_device(HypervConn *conn, const char *xml, GError **error)
{
    VireoDomainDevices *devices = vireo_model_parse_member(&vireo_domain_devices_type, xml, -1, 0, error);
    VireoDomain domain = {.type = VIREO_DOMAIN_VIRT_HYPERV, .devices = devices};

    if (devices && vireo_model_path_set_check(conn->driver->honoured, &domain, error) &&
        hyperv_devices_check(devices, error))
        return devices;
    if (devices)
        vireo_model_free(&vireo_domain_devices_type, devices);
    return NULL;
}

static int run(HypervConn *conn, vireo_call *call, const vireo_domain_ref *dom, const char *xml, Change what)
{
    GError *error = NULL;
    VireoDomainDevices *devices = read_device(conn, xml, &error);
    HypervTalk talk;

    if (!devices)
        return hyperv_fail(conn->driver, call, error);
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, dom);
    if (machine)
        change_one(&talk, machine->guid, devices, what);
    vireo_model_free(&vireo_domain_devices_type, devices);
    return machine ? hyperv_talk_finish(&talk, call) : VIREO_FAIL;
}

int hyperv_domain_attach_device_flags(void *handle, vireo_call *call, const vireo_domain_attach_device_flags_args *args)
{
    return run(handle, call, &args->dom, args->xml, ATTACH);
}

int hyperv_domain_detach_device_flags(void *handle, vireo_call *call, const vireo_domain_detach_device_flags_args *args)
{
    return run(handle, call, &args->dom, args->xml, DETACH);
}

int hyperv_domain_update_device_flags(void *handle, vireo_call *call, const vireo_domain_update_device_flags_args *args)
{
    return run(handle, call, &args->dom, args->xml, UPDATE);
}
