/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks and interfaces come to a machine and go. It has one configuration: what changes it while it runs takes effect
 * at once. */
#include "ops.h"

#include <string.h>

#include "spec.h"

/* The device of a call as a document that holds nothing else; NULL: refused. */
static VireoDomain *read_device(EsxConn *conn, const char *xml, GError **error)
{
    VireoDomainDevices *devices =
        vireo_model_parse_member(&vireo_domain_devices_type, xml, -1, VIREO_MODEL_PARSE_INACTIVE, error);
    VireoDomain *domain = devices ? g_new0(VireoDomain, 1) : NULL;
    gboolean good = devices != NULL;

    if (!domain)
        return NULL;
    domain->devices = devices;
    if (devices->disks.n + devices->interfaces.n != 1)
        good = vireo_refuse(error, devices->line, "disks and interfaces can be attached and detached");
    if (good && vireo_model_path_set_check(conn->driver->honoured, domain, error))
        return domain;
    vireo_domain_free(domain);
    return NULL;
}

/* The machine's devices, in arena; NULL: failed. */
static VimVirtualHardware *hardware_of(EsxConn *conn, const EsxRef *machine, const VireoHttpWait *wait, VireoArena *arena,
                                       GError **error)
{
    static const char *const paths[] = { "config.hardware" };
    VimObjectContent *object = esx_properties_of(conn->server, machine, paths, 1, wait, arena, error);
    VimVirtualHardware *hardware =
        object ? vireo_soap_value_struct(esx_property(object, paths[0]), &vim_virtual_hardware_type) : NULL;

    if (object && !hardware)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED, "the server does not say what devices the machine has");
    return hardware;
}

static VimVirtualDevice *disk_named(const VimVirtualHardware *hardware, const char *target)
{
    for (guint i = 0; i < hardware->device.n; i++) {
        g_autofree char *name = esx_describe_target(hardware, hardware->device.items[i]);

        if (g_strcmp0(name, target) == 0)
            return hardware->device.items[i];
    }
    return NULL;
}

static VimVirtualDevice *card_with(const VimVirtualHardware *hardware, const char *address)
{
    for (guint i = 0; i < hardware->device.n; i++) {
        const VimVirtualEthernetCard *card = vireo_soap_cast(hardware->device.items[i], &vim_virtual_ethernet_card_type);

        if (card && card->mac_address && g_ascii_strcasecmp(card->mac_address, address) == 0)
            return hardware->device.items[i];
    }
    return NULL;
}

/* The one the document means; NULL: there is none. */
static VimVirtualDevice *find(const VimVirtualHardware *hardware, const VireoDomain *wanted, GError **error)
{
    const VireoDomainDevices *devices = wanted->devices;
    VimVirtualDevice *device = NULL;

    if (devices->disks.n) {
        device = disk_named(hardware, devices->disks.items[0]->target->dev);
        if (!device)
            vireo_refuse(error, devices->disks.items[0]->line, "the machine has no disk '%s'",
                         devices->disks.items[0]->target->dev);
        return device;
    }
    const VireoDomainInterface *card = devices->interfaces.items[0];
    if (card->mac && card->mac->address)
        device = card_with(hardware, card->mac->address);
    if (!device)
        vireo_refuse(error, card->line, "the machine has no interface with the address '%s'",
                     card->mac && card->mac->address ? card->mac->address : "");
    return device;
}

static gboolean add_one(EsxSpec *spec, const VireoDomain *wanted, const VimVirtualHardware *hardware, VireoArena *arena,
                        GError **error)
{
    const VireoDomainDisk *disk = wanted->devices->disks.n ? wanted->devices->disks.items[0] : NULL;

    if (disk && disk_named(hardware, disk->target->dev))
        return vireo_refuse(error, disk->line, "the machine has a disk '%s' already", disk->target->dev);
    return esx_spec_add(spec, wanted, hardware, arena, error);
}

static gboolean change_one(EsxSpec *spec, VimVirtualDevice *device, VimVirtualDeviceConfigSpecOperation operation,
                           VireoArena *arena)
{
    VimVirtualDeviceConfigSpec *change = vireo_arena_alloc(arena, sizeof *change);
    VimVirtualDeviceConfigSpec **list = vireo_arena_alloc(arena, sizeof *list);

    change->operation = operation;
    change->device = device;
    *list = change;
    spec->config.device_change.n = 1;
    spec->config.device_change.items = list;
    return TRUE;
}

/* What is in a CD-ROM drive. */
static gboolean edit_one(EsxSpec *spec, const VireoDomain *wanted, const VimVirtualHardware *hardware, VireoArena *arena,
                         GError **error)
{
    VimVirtualDevice *device = find(hardware, wanted, error);
    EsxSpec fresh = { 0 };
    gboolean good = device != NULL;

    if (good && (!vireo_soap_cast(device, &vim_virtual_cdrom_type) || !wanted->devices->disks.n ||
                 wanted->devices->disks.items[0]->device != VIREO_DOMAIN_DISK_DEVICE_CDROM))
        good = vireo_refuse(error, wanted->devices->line, "what can be changed is what is in a CD-ROM drive");
    if (good && esx_spec_add(&fresh, wanted, NULL, arena, error)) {
        VimVirtualDeviceConfigSpec *made = fresh.changes->pdata[fresh.changes->len - 1];

        device->backing = made->device->backing;
        good = change_one(spec, device, VIM_VIRTUAL_DEVICE_CONFIG_SPEC_OPERATION_EDIT, arena);
    } else
        good = FALSE;
    esx_spec_clear(&fresh);
    return good;
}

static int change(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom, const char *xml, guint flags,
                  VimVirtualDeviceConfigSpecOperation operation)
{
    EsxRef *machine = esx_machine_ref(conn, call, dom);
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    EsxSpec spec = { 0 };
    GError *error = NULL;

    if (!machine)
        return VIREO_FAIL;
    if (dom->id != -1 && (flags & VIREO_DOMAIN_AFFECT_CONFIG) && !(flags & VIREO_DOMAIN_AFFECT_LIVE))
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED,
                                        "domain '%s' is active, and a change takes effect at once: ask for both, LIVE and "
                                        "CONFIG", dom->name);
    VireoDomain *wanted = read_device(conn, xml, &error);
    VimVirtualHardware *hardware = wanted ? hardware_of(conn, machine, &wait, arena, &error) : NULL;
    gboolean good = hardware != NULL;
    if (good && operation == VIM_VIRTUAL_DEVICE_CONFIG_SPEC_OPERATION_ADD)
        good = add_one(&spec, wanted, hardware, arena, &error);
    else if (good && operation == VIM_VIRTUAL_DEVICE_CONFIG_SPEC_OPERATION_EDIT)
        good = edit_one(&spec, wanted, hardware, arena, &error);
    else if (good) {
        VimVirtualDevice *device = find(hardware, wanted, &error);
        good = device && change_one(&spec, device, operation, arena);
    }
    int status = good ? esx_machine_reconfigure(conn, call, dom, &spec.config) : esx_fail(conn->driver, call, error);
    esx_spec_clear(&spec);
    vireo_domain_free(wanted);
    return status;
}

int esx_domain_attach_device_flags(void *handle, vireo_call *call, const vireo_domain_attach_device_flags_args *args)
{
    return change(handle, call, &args->dom, args->xml, args->flags, VIM_VIRTUAL_DEVICE_CONFIG_SPEC_OPERATION_ADD);
}

/* Files stay. */
int esx_domain_detach_device_flags(void *handle, vireo_call *call, const vireo_domain_detach_device_flags_args *args)
{
    return change(handle, call, &args->dom, args->xml, args->flags, VIM_VIRTUAL_DEVICE_CONFIG_SPEC_OPERATION_REMOVE);
}

int esx_domain_update_device_flags(void *handle, vireo_call *call, const vireo_domain_update_device_flags_args *args)
{
    return change(handle, call, &args->dom, args->xml, args->flags, VIM_VIRTUAL_DEVICE_CONFIG_SPEC_OPERATION_EDIT);
}
