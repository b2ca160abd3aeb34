/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attach, detach and update of devices: in the stored definition, in a running guest, or both. */
#include "hotplug.h"
#include "ops.h"

#include <string.h>

#include "change.h"
#include "events.h"
#include "images.h"

/* The lists of devices that can be changed one by one. */
#define DEVICE_LISTS(X)                                                                            \
    X(disks) X(controllers) X(interfaces) X(serials) X(consoles) X(channels) X(inputs) X(graphics) \
    X(videos) X(watchdogs) X(rngs) X(panics)

/* ---- the document of one device ------------------------------------------------ */

static VireoDomainDevices *parse_device(QemuSpace *space, const char *xml, GError **error)
{
    g_autoptr(VireoDomainDevices) device = vireo_domain_devices_parse_member(xml, 0, error);
    VireoDomain around = { .devices = device };

    if (!device || !vireo_model_path_set_check(space->driver->honoured, &around, error))
        return NULL;
    VEC_EACH(device->disks, i)
    if (!device->disks.items[i]->target || !device->disks.items[i]->target->dev) {
        qemu_error(error, VIREO_ERR_XML_ERROR, "the disk has no target");
        return NULL;
    }
    return g_steal_pointer(&device);
}

/* The device itself: of the lists exactly one has exactly one item. */
static VireoDomainDisk *the_disk(const VireoDomainDevices *device)
{
    return device->disks.n ? device->disks.items[0] : NULL;
}

static VireoDomainInterface *the_interface(const VireoDomainDevices *device)
{
    return device->interfaces.n ? device->interfaces.items[0] : NULL;
}

/* ---- finding it in a definition ------------------------------------------------ */

#define NOT_FOUND G_MAXUINT

static guint find_disk(const VireoDomain *doc, const VireoDomainDisk *like)
{
    VEC_EACH(doc->devices->disks, i)
    if (g_str_equal(doc->devices->disks.items[i]->target->dev, like->target->dev))
        return i;
    return NOT_FOUND;
}

static gboolean same_place(const VireoDeviceAddress *a, const VireoDeviceAddress *b)
{
    return a && b && a->domain == b->domain && a->bus == b->bus && a->slot == b->slot &&
           a->function == b->function;
}

/* By MAC; a document without one means the only card, or the one at its address. */
static guint find_interface(const VireoDomain *doc, const VireoDomainInterface *like)
{
    guint found = NOT_FOUND, count = 0;

    VEC_EACH(doc->devices->interfaces, i)
    {
        const VireoDomainInterface *iface = doc->devices->interfaces.items[i];
        gboolean same = like->mac ? !g_ascii_strcasecmp(iface->mac->address, like->mac->address)
                                  : iface->type == like->type;

        if (!same || (like->address && !same_place(iface->address, like->address)))
            continue;
        found = i;
        count++;
    }
    return count == 1 ? found : NOT_FOUND;
}

static guint find_controller(const VireoDomain *doc, const VireoDomainController *like)
{
    VEC_EACH(doc->devices->controllers, i)
    if (doc->devices->controllers.items[i]->type == like->type &&
        doc->devices->controllers.items[i]->index == like->index)
        return i;
    return NOT_FOUND;
}

static const char *describe(const VireoDomainDevices *device)
{
    if (the_disk(device))
        return the_disk(device)->target->dev;
    if (the_interface(device) && the_interface(device)->mac)
        return the_interface(device)->mac->address;
    return device->interfaces.n ? "interface" : device->controllers.n ? "controller" : "device";
}

static gboolean missing(const VireoDomainDevices *device, GError **error)
{
    qemu_error(error, VIREO_ERR_DEVICE_MISSING, "the domain has no such device: %s",
               describe(device));
    return FALSE;
}

/* ---- the stored definition ----------------------------------------------------- */

/* Moves the device into the document and fills in what it left open. */
static gboolean add_device(QemuSpace *space, VireoDomain *doc, VireoDomainDevices *device,
                           GError **error)
{
    const VireoDomainDisk *disk = the_disk(device);

    if (disk && find_disk(doc, disk) != NOT_FOUND) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "the domain has a disk '%s' already",
                   disk->target->dev);
        return FALSE;
    }
    if (device->interfaces.n && device->interfaces.items[0]->mac &&
        find_interface(doc, device->interfaces.items[0]) != NOT_FOUND) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "the domain has an interface %s already",
                   describe(device));
        return FALSE;
    }
#define MOVE(list)                                                                                 \
    VEC_EACH(device->list, i) vireo_list_append(&doc->devices->list, device->list.items[i]);       \
    device->list.n = 0;
    DEVICE_LISTS(MOVE)
#undef MOVE
    if (device->memballoon) {
        vireo_domain_memballoon_free(doc->devices->memballoon);
        doc->devices->memballoon = g_steal_pointer(&device->memballoon);
    }
    return qemu_def_complete(space, doc, error);
}

#define REMOVE(list, i, free_one)                                                                  \
    do {                                                                                           \
        free_one((list).items[i]);                                                                 \
        (list).n--;                                                                                \
        memmove(&(list).items[i], &(list).items[(i) + 1], ((list).n - (i)) * sizeof *(list).items); \
    } while (0)

static gboolean remove_device(VireoDomain *doc, const VireoDomainDevices *device, GError **error)
{
    VireoDomainDevices *devices = doc->devices;
    guint at;

    if (device->disks.n) {
        if ((at = find_disk(doc, device->disks.items[0])) == NOT_FOUND)
            return missing(device, error);
        REMOVE(devices->disks, at, vireo_domain_disk_free);
        return TRUE;
    }
    if (device->interfaces.n) {
        if ((at = find_interface(doc, device->interfaces.items[0])) == NOT_FOUND)
            return missing(device, error);
        REMOVE(devices->interfaces, at, vireo_domain_interface_free);
        return TRUE;
    }
    if (device->controllers.n) {
        if ((at = find_controller(doc, device->controllers.items[0])) == NOT_FOUND)
            return missing(device, error);
        REMOVE(devices->controllers, at, vireo_domain_controller_free);
        return TRUE;
    }
    qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
               "only disks, interfaces and controllers are taken out of a definition one by one");
    return FALSE;
}

/* The new document replaces the old one; its place on the bus stays. */
static gboolean replace_device(QemuSpace *space, VireoDomain *doc, VireoDomainDevices *device,
                               GError **error)
{
    VireoDomainDisk *disk = the_disk(device);
    VireoDomainInterface *iface = the_interface(device);
    guint at;

    if (disk && (at = find_disk(doc, disk)) != NOT_FOUND) {
        VireoDomainDisk *old = doc->devices->disks.items[at];

        if (!disk->address && old->target->bus == disk->target->bus)
            disk->address = g_steal_pointer(&old->address);
        doc->devices->disks.items[at] = disk;
        device->disks.n = 0;
        vireo_domain_disk_free(old);
    } else if (iface && (at = find_interface(doc, iface)) != NOT_FOUND) {
        VireoDomainInterface *old = doc->devices->interfaces.items[at];

        if (!iface->address)
            iface->address = g_steal_pointer(&old->address);
        if (!iface->mac)
            iface->mac = g_steal_pointer(&old->mac);
        doc->devices->interfaces.items[at] = iface;
        device->interfaces.n = 0;
        vireo_domain_interface_free(old);
    } else if (disk || iface) {
        return missing(device, error);
    } else {
        qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                   "only disks and interfaces are updated");
        return FALSE;
    }
    return qemu_def_complete(space, doc, error);
}

/* ---- by its name --------------------------------------------------------------- */

/* A copy of the device, as it would be given to detach it; NULL with the error of libvirtd. */
static VireoDomainDevices *device_of_alias(const VireoDomain *doc, const char *alias, GError **error)
{
    g_autoptr(VireoDomainDevices) found = g_new0(VireoDomainDevices, 1);
    const VireoDomainDevices *devices = doc->devices;

#define PICK(list, kind)                                                                           \
    VEC_EACH(devices->list, i)                                                                     \
    if (!g_strcmp0(devices->list.items[i]->alias, alias)) {                                        \
        vireo_list_append(&found->list, vireo_domain_##kind##_copy(devices->list.items[i]));       \
        return g_steal_pointer(&found);                                                            \
    }
    PICK(disks, disk)
    PICK(interfaces, interface)
    PICK(controllers, controller)
    PICK(serials, chardev)
    PICK(consoles, chardev)
    PICK(channels, chardev)
    PICK(inputs, input)
    PICK(videos, video)
    PICK(watchdogs, watchdog)
    PICK(rngs, rng)
#undef PICK
    qemu_error(error, VIREO_ERR_DEVICE_MISSING, "no device found with alias %s", alias);
    return NULL;
}

typedef enum { HOT_ATTACH, HOT_DETACH, HOT_UPDATE } Kind;

typedef struct {
    QemuSpace *space;
    Kind kind;
    VireoDomainDevices *device; /* as it was given; every use works on a copy */
} Edit;

static gboolean edit_config(VireoDomain *doc, const void *opaque, GError **error)
{
    const Edit *edit = opaque;
    g_autoptr(VireoDomainDevices) device = vireo_domain_devices_copy(edit->device);

    switch (edit->kind) {
    case HOT_ATTACH:
        return add_device(edit->space, doc, device, error);
    case HOT_DETACH:
        return remove_device(doc, device, error);
    default:
        return replace_device(edit->space, doc, device, error);
    }
}

/* ---- the running guest --------------------------------------------------------- */

static gboolean alias_taken(const VireoDomain *doc, const char *alias)
{
    VEC_EACH(doc->devices->interfaces, i)
    if (!g_strcmp0(doc->devices->interfaces.items[i]->alias, alias))
        return TRUE;
    return FALSE;
}

static void name_interface(const VireoDomain *doc, VireoDomainInterface *iface)
{
    if (iface->alias && g_str_has_prefix(iface->alias, "ua-"))
        return;
    for (guint i = 0;; i++) {
        g_autofree char *alias = g_strdup_printf("net%u", i);

        if (alias_taken(doc, alias))
            continue;
        g_free(iface->alias);
        iface->alias = g_steal_pointer(&alias);
        return;
    }
}

/* Of what the new device needs a running guest can only get SCSI controllers. */
static gboolean can_have_controllers(const QemuHot *hot, GError **error)
{
    for (guint i = hot->controllers; i < hot->doc->devices->controllers.n; i++) {
        VireoDomainController *new = hot->doc->devices->controllers.items[i];

        if (new->type != VIREO_DOMAIN_CONTROLLER_TYPE_SCSI) {
            qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                       "the device needs another %s controller, which a running guest does not get",
                       vireo_domain_controller_type_to_string(new->type));
            return FALSE;
        }
        new->alias = g_strdup_printf("scsi%u", new->index);
    }
    return TRUE;
}

/* The disk's alias alone: the others keep the names by which QEMU knows them. */
static void name_disk(const VireoDomain *doc, VireoDomainDisk *disk)
{
    VireoDomainDisk *items[] = { disk };
    VireoDomainDevices only = { .disks = { 1, items } };
    VireoDomain around = { .os = doc->os, .devices = &only };

    qemu_alias_assign(&around);
}

static gboolean live_attach(QemuHot *hot, VireoDomainDevices *device, GError **error)
{
    VireoDomainDisk *disk = the_disk(device);
    VireoDomainInterface *iface = the_interface(device);
    gboolean done;

    hot->controllers = hot->doc->devices->controllers.n;
    if (!disk && !iface) {
        qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                   "only disks and interfaces are attached to a running guest");
        return FALSE;
    }
    if (iface)
        name_interface(hot->doc, iface);
    if (!add_device(hot->dom->space, hot->doc, device, error) ||
        !can_have_controllers(hot, error))
        return FALSE;
    if (disk)
        name_disk(hot->doc, disk);
    done = disk ? qemu_hot_disk_attach(hot, disk, error) : qemu_hot_net_attach(hot, iface, error);
    if (!done)
        return FALSE;
    g_autofree char *alias = g_strdup(disk ? disk->alias : iface->alias);
    qemu_change_live_to(hot->dom, g_steal_pointer(&hot->doc));
    qemu_hot_event_added(hot, alias);
    return TRUE;
}

static gboolean detach_scsi(QemuHot *hot, const VireoDomainController *controller, GError **error)
{
    VEC_EACH(hot->doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = hot->doc->devices->disks.items[i];

        if (disk->target->bus != VIREO_DOMAIN_DISK_BUS_SCSI || disk->address->controller != controller->index)
            continue;
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "device cannot be detached: device is busy: disk '%s' is on it",
                   disk->target->dev);
        return FALSE;
    }
    return qemu_hot_unplug(hot, controller->alias, error);
}

static gboolean live_detach(QemuHot *hot, const VireoDomainDevices *device, GError **error)
{
    const VireoDomainDevices *devices = hot->doc->devices;
    guint at;

    if (device->disks.n) {
        if ((at = find_disk(hot->doc, device->disks.items[0])) == NOT_FOUND)
            return missing(device, error);
        const VireoDomainDisk *disk = devices->disks.items[at];
        if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_VIRTIO ||
            disk->target->bus == VIREO_DOMAIN_DISK_BUS_SCSI)
            return qemu_blockjobs_none(hot->dom, disk->target->dev, error) &&
                   qemu_hot_unplug(hot, disk->alias, error);
        qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                   "a disk on the %s bus cannot be detached while the guest runs",
                   vireo_domain_disk_bus_to_string(disk->target->bus));
        return FALSE;
    }
    if (device->interfaces.n) {
        if ((at = find_interface(hot->doc, device->interfaces.items[0])) == NOT_FOUND)
            return missing(device, error);
        return qemu_hot_unplug(hot, devices->interfaces.items[at]->alias, error);
    }
    if (device->controllers.n) {
        if ((at = find_controller(hot->doc, device->controllers.items[0])) == NOT_FOUND)
            return missing(device, error);
        if (devices->controllers.items[at]->type == VIREO_DOMAIN_CONTROLLER_TYPE_SCSI)
            return detach_scsi(hot, devices->controllers.items[at], error);
    }
    qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
               "only disks, interfaces and SCSI controllers are detached from a running guest");
    return FALSE;
}

static gboolean update_medium(QemuHot *hot, VireoDomainDevices *device, guint at, gboolean force,
                              GError **error)
{
    VireoDomainDisk *disk = hot->doc->devices->disks.items[at], *wanted = the_disk(device);

    if (disk->device != VIREO_DOMAIN_DISK_DEVICE_CDROM &&
        disk->device != VIREO_DOMAIN_DISK_DEVICE_FLOPPY) {
        qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                   "disk '%s' has no exchangeable medium: it cannot be changed while the guest "
                   "runs", disk->target->dev);
        return FALSE;
    }
    g_autoptr(VireoDomainDisk) old = vireo_domain_disk_copy(disk);
    if (!replace_device(hot->dom->space, hot->doc, device, error))
        return FALSE;
    g_free(wanted->alias);
    wanted->alias = g_strdup(old->alias);
    if (!qemu_hot_disk_medium(hot, old, wanted, force, error))
        return FALSE;
    qemu_change_live_to(hot->dom, g_steal_pointer(&hot->doc));
    return TRUE;
}

/* Of a running card only the cable can be pulled and plugged in. */
static gboolean update_link(QemuHot *hot, const VireoDomainInterface *wanted, guint at,
                            GError **error)
{
    VireoDomainInterface *iface = hot->doc->devices->interfaces.items[at];
    const char *bridge = iface->source ? iface->source->bridge : NULL;
    const char *wanted_bridge = wanted->source ? wanted->source->bridge : NULL;

    if (iface->type != wanted->type || g_strcmp0(bridge, wanted_bridge) ||
        (wanted->model && g_strcmp0(iface->model, wanted->model))) {
        qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                   "of interface %s only the link state changes while the guest runs",
                   iface->mac->address);
        return FALSE;
    }
    iface->link = wanted->link;
    if (!qemu_hot_net_link(hot, iface, error))
        return FALSE;
    qemu_change_live_to(hot->dom, g_steal_pointer(&hot->doc));
    return TRUE;
}

static gboolean live_update(QemuHot *hot, VireoDomainDevices *device, gboolean force,
                            GError **error)
{
    guint at = device->disks.n        ? find_disk(hot->doc, the_disk(device))
               : device->interfaces.n ? find_interface(hot->doc, the_interface(device))
                                      : NOT_FOUND;

    if (at == NOT_FOUND)
        return missing(device, error);
    return device->disks.n ? update_medium(hot, device, at, force, error)
                           : update_link(hot, the_interface(device), at, error);
}

static gboolean change_live(QemuDomain *dom, vireo_call *call, const Edit *edit, gboolean force,
                            GError **error)
{
    g_autoptr(VireoDomainDevices) device = vireo_domain_devices_copy(edit->device);
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, error);
    gboolean done;

    if (!qmp)
        return FALSE;
    if (!live) {
        qemu_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
        return FALSE;
    }
    QemuHot hot = { dom, call, qmp, vireo_domain_copy(live->doc) };
    switch (edit->kind) {
    case HOT_ATTACH:
        done = live_attach(&hot, device, error);
        break;
    case HOT_DETACH:
        done = live_detach(&hot, device, error);
        break;
    default:
        done = live_update(&hot, device, force, error);
    }
    vireo_domain_free(hot.doc);
    return done;
}

/* ---- operations ---------------------------------------------------------------- */

/* A definition that would refuse it stops it before the guest sees it. What is made up for a device
 * to be attached to both (its MAC address) is made up once. */
static gboolean try_config(QemuDomain *dom, const Edit *edit, GError **error)
{
    g_autoptr(QemuDef) stored = qemu_domain_config(dom);
    g_autoptr(VireoDomain) trial = vireo_domain_copy(stored->doc);
    VireoDomainInterface *iface = the_interface(edit->device);

    if (!edit_config(trial, edit, error))
        return FALSE;
    if (edit->kind != HOT_ATTACH || !iface || iface->mac)
        return TRUE;
    const VireoDomainDevices *devices = trial->devices;
    iface->mac = g_new0(VireoDomainInterfaceMac, 1);
    iface->mac->address =
        g_strdup(devices->interfaces.items[devices->interfaces.n - 1]->mac->address);
    return TRUE;
}

/* Live first: what the guest refuses is not stored either. */
static gboolean change(QemuDomain *dom, vireo_call *call, const Edit *edit, gboolean live, gboolean config,
                       gboolean force, GError **error)
{
    return (!live || !config || try_config(dom, edit, error)) &&
           (!live || change_live(dom, call, edit, force, error)) &&
           (!config || qemu_change_config(dom, edit_config, edit, error));
}

static int change_device(void *handle, vireo_call *call, const vireo_domain_ref *ref, Kind kind,
                         const char *xml, guint flags)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, ref);
    gboolean force = (flags & VIREO_DOMAIN_DEVICE_MODIFY_FORCE) != 0, live, config;
    g_autoptr(VireoDomainDevices) device = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_impact(dom, flags, &live, &config, &error) ||
        !(device = parse_device(conn->space, xml, &error)))
        return qemu_fail(conn->driver, call, error);
    const Edit edit = { conn->space, kind, device };
    return change(dom, call, &edit, live, config, force, &error) ? VIREO_OK : qemu_fail(conn->driver, call, error);
}

int qemu_domain_attach_device_flags(void *handle, vireo_call *call,
                                    const vireo_domain_attach_device_flags_args *args)
{
    return change_device(handle, call, &args->dom, HOT_ATTACH, args->xml, args->flags);
}

int qemu_domain_detach_device_flags(void *handle, vireo_call *call,
                                    const vireo_domain_detach_device_flags_args *args)
{
    return change_device(handle, call, &args->dom, HOT_DETACH, args->xml, args->flags);
}

int qemu_domain_update_device_flags(void *handle, vireo_call *call,
                                    const vireo_domain_update_device_flags_args *args)
{
    return change_device(handle, call, &args->dom, HOT_UPDATE, args->xml, args->flags);
}

int qemu_domain_detach_device_alias(void *handle, vireo_call *call,
                                    const vireo_domain_detach_device_alias_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);
    g_autoptr(VireoDomainDevices) device = NULL;
    gboolean live, config;

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_impact(dom, args->flags, &live, &config, &error))
        return qemu_fail(conn->driver, call, error);
    g_autoptr(QemuDef) def = live ? qemu_domain_live(dom) : qemu_domain_config(dom);
    if (!def)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
    device = device_of_alias(def->doc, args->alias, &error);
    const Edit edit = { conn->space, HOT_DETACH, device };
    return device && change(dom, call, &edit, live, config, FALSE, &error) ? VIREO_OK
                                                                          : qemu_fail(conn->driver, call, error);
}
