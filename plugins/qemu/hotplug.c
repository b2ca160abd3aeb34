/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices that come and go: in the stored definition, and disks and interfaces of a running guest. */
#include "ops.h"

#include <string.h>
#include <unistd.h>

#include "events.h"
#include "images.h"
#include "launch.h"
#include "livestate.h"
#include "stats.h"

#define UNPLUG_MS 10000

/* One device out of a document; exactly one member is set. */
typedef struct {
    VireoDomainDisk *disk;
    VireoDomainInterface *iface;
    VireoDomainController *controller;
} Device;

static void device_clear(Device *device)
{
    vireo_domain_disk_free(device->disk);
    vireo_domain_interface_free(device->iface);
    vireo_domain_controller_free(device->controller);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Device, device_clear)

static gboolean parse_device(const char *xml, Device *device, GError **error)
{
    const char *at = xml;

    while (g_ascii_isspace(*at))
        at++;
    if (g_str_has_prefix(at, "<disk"))
        device->disk = vireo_domain_disk_parse(xml, 0, error);
    else if (g_str_has_prefix(at, "<interface"))
        device->iface = vireo_domain_interface_parse(xml, 0, error);
    else if (g_str_has_prefix(at, "<controller"))
        device->controller = vireo_domain_controller_parse(xml, 0, error);
    else {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "disks, interfaces and controllers can be attached and detached, not %.40s", at);
        return FALSE;
    }
    return device->disk || device->iface || device->controller;
}

static VireoDomain *with_device(QemuDomain *dom, const QemuDef *base, const Device *device,
                                GError **error)
{
    g_autoptr(VireoDomain) doc = vireo_domain_copy(base->doc);

    if (device->disk)
        vireo_list_append(&doc->devices->disks, vireo_domain_disk_copy(device->disk));
    if (device->iface)
        vireo_list_append(&doc->devices->interfaces, vireo_domain_interface_copy(device->iface));
    if (device->controller)
        vireo_list_append(&doc->devices->controllers,
                          vireo_domain_controller_copy(device->controller));
    if (!vireo_model_path_set_check(dom->space->driver->honoured, doc, error) ||
        !qemu_def_complete(dom->space, doc, error))
        return NULL;
    return g_steal_pointer(&doc);
}

#define LIST_REMOVE(list, index)                                                                   \
    do {                                                                                           \
        memmove(&(list).items[index], &(list).items[(index) + 1],                                  \
                sizeof *(list).items * ((list).n - (index)-1));                                    \
        (list).n--;                                                                                \
    } while (0)

static int find_interface(const VireoDomain *doc, const VireoDomainInterface *wanted)
{
    VEC_EACH(doc->devices->interfaces, i)
    {
        const VireoDomainInterface *iface = doc->devices->interfaces.items[i];

        if (wanted->mac ? !g_ascii_strcasecmp(wanted->mac->address, iface->mac->address)
                        : doc->devices->interfaces.n == 1 && wanted->type == iface->type)
            return (int)i;
    }
    return -1;
}

static int find_disk(const VireoDomain *doc, const VireoDomainDisk *wanted)
{
    VEC_EACH(doc->devices->disks, i)
    if (wanted->target && g_str_equal(doc->devices->disks.items[i]->target->dev, wanted->target->dev))
        return (int)i;
    return -1;
}

static int missing(GError **error, const VireoDomain *doc)
{
    qemu_error(error, VIREO_ERR_DEVICE_MISSING, "domain '%s' has no such device", doc->name);
    return -1;
}

static VireoDomain *without_device(const QemuDef *base, const Device *device, GError **error)
{
    g_autoptr(VireoDomain) doc = vireo_domain_copy(base->doc);
    int at = device->disk    ? find_disk(doc, device->disk)
             : device->iface ? find_interface(doc, device->iface)
                             : -1;

    if (at < 0) {
        missing(error, doc);
        return NULL;
    }
    if (device->disk) {
        vireo_domain_disk_free(doc->devices->disks.items[at]);
        LIST_REMOVE(doc->devices->disks, (guint)at);
    } else {
        vireo_domain_interface_free(doc->devices->interfaces.items[at]);
        LIST_REMOVE(doc->devices->interfaces, (guint)at);
    }
    return g_steal_pointer(&doc);
}

/* ---- live ---------------------------------------------------------------------- */

static gboolean remove_nodes(VireoQmp *qmp, const VireoDomainDisk *disk, guint depth)
{
    gboolean gone = TRUE;

    for (guint i = 0; i < depth; i++)
        for (int storage = 0; storage < 2; storage++) {
            g_autofree char *name = qemu_disk_node_name(disk, i, storage);

            gone &= vireo_qmp_run(qmp, "blockdev-del", vireo_json_new('s', "node-name", name, 0),
                                  NULL, NULL);
        }
    return gone;
}

static gboolean plug_disk(QemuDomain *dom, VireoQmp *qmp, VireoDomain *doc, VireoDomainDisk *disk,
                          const VireoQmpWait *wait, GError **error)
{
    QemuDriver *driver = dom->space->driver;
    g_autoptr(GPtrArray) chain = qemu_image_chain(disk, error);
    guint added = 0;

    if (!chain)
        return FALSE;
    if (disk->target->bus != VIREO_DOMAIN_DISK_BUS_VIRTIO &&
        disk->target->bus != VIREO_DOMAIN_DISK_BUS_SCSI) {
        qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                   "disk '%s': nothing can be plugged into bus '%s' of a running guest",
                   disk->target->dev, vireo_domain_disk_bus_to_string(disk->target->bus));
        return FALSE;
    }
    for (guint i = 0; i < chain->len; i++)
        if (!qemu_image_give(driver, dom->uuid_text, chain->pdata[i], error))
            return FALSE;
    g_autoptr(GPtrArray) nodes = qemu_disk_nodes(disk, chain);
    for (guint i = 0; i < nodes->len; i++, added++)
        if (!vireo_qmp_run(qmp, "blockdev-add", json_object_ref(nodes->pdata[i]), wait, error))
            break;
    if (added == nodes->len &&
        vireo_qmp_run(qmp, "device_add", qemu_disk_device(doc, disk, 0), wait, error))
        return TRUE;
    remove_nodes(qmp, disk, chain->len);
    return FALSE;
}

static gboolean plug_interface(VireoQmp *qmp, VireoDomain *doc, VireoDomainInterface *iface,
                               const VireoQmpWait *wait, GError **error)
{
    g_autofree char *name = g_strdup_printf("host%s", iface->alias);
    JsonObject *netdev = NULL;

    if (iface->type == VIREO_DOMAIN_INTERFACE_TYPE_USER) {
        netdev = qemu_interface_netdev(iface, -1);
    } else {
        if (!iface->target)
            iface->target = g_new0(VireoDomainInterfaceTarget, 1);
        int fd = qemu_tap_open(&iface->target->dev, iface->source ? iface->source->bridge : NULL,
                               iface->mac->address, error);
        g_autoptr(JsonNode) passed =
            fd >= 0 ? vireo_qmp_call_fd(qmp, "getfd", vireo_json_new('s', "fdname", name, 0), fd,
                                        wait, error)
                    : NULL;
        if (fd >= 0)
            close(fd);
        if (!passed)
            return FALSE;
        netdev = qemu_interface_netdev(iface, 0);
        json_object_set_string_member(netdev, "fd", name);
    }
    if (!vireo_qmp_run(qmp, "netdev_add", netdev, wait, error))
        return FALSE;
    if (vireo_qmp_run(qmp, "device_add", qemu_interface_device(doc, iface, 0), wait, error))
        return TRUE;
    vireo_qmp_run(qmp, "netdev_del", vireo_json_new('s', "id", name, 0), NULL, NULL);
    return FALSE;
}

/* An alias no other device has: the numbers of those that left are free again. */
static void name_interface(const VireoDomain *doc, VireoDomainInterface *iface)
{
    for (guint n = 0;; n++) {
        g_autofree char *name = g_strdup_printf("net%u", n);
        gboolean taken = FALSE;

        VEC_EACH(doc->devices->interfaces, i)
        taken |= !g_strcmp0(doc->devices->interfaces.items[i]->alias, name);
        if (taken)
            continue;
        g_free(iface->alias);
        iface->alias = g_steal_pointer(&name);
        return;
    }
}

/* A disk's alias follows from where it is; the others keep theirs. */
static void name_disk(const VireoDomain *doc, VireoDomainDisk *disk)
{
    g_autoptr(VireoDomain) copy = vireo_domain_copy(doc);
    int at = find_disk(copy, disk);

    qemu_alias_assign(copy);
    g_free(disk->alias);
    disk->alias = g_strdup(copy->devices->disks.items[at]->alias);
}

static gboolean attach_live(QemuDomain *dom, vireo_call *call, const Device *device, GError **error)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, error);
    VireoQmpWait wait = qemu_wait(dom->space->driver, call, 30);
    gboolean plugged;

    if (!live || !qmp)
        return FALSE;
    if (device->controller) {
        qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                   "a controller cannot be plugged into a running guest");
        return FALSE;
    }
    g_autoptr(VireoDomain) doc = with_device(dom, live, device, error);
    if (!doc)
        return FALSE;
    if (device->disk) {
        VireoDomainDisk *disk = doc->devices->disks.items[doc->devices->disks.n - 1];

        name_disk(doc, disk);
        plugged = plug_disk(dom, qmp, doc, disk, &wait, error);
    } else {
        VireoDomainInterface *iface =
            doc->devices->interfaces.items[doc->devices->interfaces.n - 1];

        name_interface(doc, iface);
        plugged = plug_interface(qmp, doc, iface, &wait, error);
    }
    if (!plugged)
        return FALSE;
    qemu_domain_set_live(dom, qemu_def_new(g_steal_pointer(&doc)));
    return qemu_live_save(dom, error);
}

static gboolean detach_live(QemuDomain *dom, vireo_call *call, const Device *device, GError **error)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, error);
    VireoQmpWait wait = qemu_wait(dom->space->driver, call, 30);

    if (!live || !qmp)
        return FALSE;
    g_autoptr(VireoDomain) doc = without_device(live, device, error);
    if (!doc)
        return FALSE;
    int at = device->disk ? find_disk(live->doc, device->disk)
                          : find_interface(live->doc, device->iface);
    const VireoDomainDisk *disk = device->disk ? live->doc->devices->disks.items[at] : NULL;
    const char *alias = disk ? disk->alias : live->doc->devices->interfaces.items[at]->alias;

    qemu_device_forget(dom, alias);
    if (!vireo_qmp_run(qmp, "device_del", vireo_json_new('s', "id", alias, 0), &wait, error))
        return FALSE;
    if (!qemu_device_wait(dom, call, alias, UNPLUG_MS)) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED,
                   "the guest does not let go of the device; it may still do so later");
        return FALSE;
    }
    if (disk) {
        g_autoptr(GPtrArray) chain = qemu_image_chain(disk, NULL);
        remove_nodes(qmp, disk, chain ? chain->len : 1);
    } else {
        g_autofree char *netdev = g_strdup_printf("host%s", alias);
        vireo_qmp_run(qmp, "netdev_del", vireo_json_new('s', "id", netdev, 0), NULL, NULL);
    }
    qemu_domain_set_live(dom, qemu_def_new(g_steal_pointer(&doc)));
    return qemu_live_save(dom, error);
}

static gboolean change_config(QemuDomain *dom, const Device *device, gboolean attach, GError **error)
{
    g_autoptr(QemuDef) config = qemu_domain_config(dom);
    VireoDomain *doc = attach ? with_device(dom, config, device, error)
                              : without_device(config, device, error);

    if (!doc)
        return FALSE;
    g_autoptr(QemuDef) def = qemu_def_new(doc);
    return qemu_domain_store(dom, def, error);
}

/* Stored first: what cannot be stored is not plugged either; what cannot be plugged is taken out
 * again. */
static int change(QemuConn *conn, vireo_call *call, const vireo_domain_ref *ref, const char *xml,
                  guint flags, gboolean attach)
{
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, ref);
    g_autoptr(QemuDef) before = dom ? qemu_domain_config(dom) : NULL;
    g_autoptr(GError) error = NULL;
    g_auto(Device) device = { 0 };
    gboolean live, config, done = TRUE;

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_impact(dom, flags, &live, &config, &error) ||
        !parse_device(xml, &device, &error))
        return qemu_fail(conn->driver, call, error);
    if (config)
        done = change_config(dom, &device, attach, &error);
    if (done && live && !(attach ? attach_live : detach_live)(dom, call, &device, &error)) {
        done = FALSE;
        if (config)
            qemu_domain_store(dom, before, NULL);
    }
    return done ? VIREO_OK : qemu_fail(conn->driver, call, error);
}

int qemu_domain_attach_device_flags(void *handle, vireo_call *call,
                                    const vireo_domain_attach_device_flags_args *args)
{
    return change(qemu_conn(handle), call, &args->dom, args->xml, args->flags, TRUE);
}

int qemu_domain_detach_device_flags(void *handle, vireo_call *call,
                                    const vireo_domain_detach_device_flags_args *args)
{
    return change(qemu_conn(handle), call, &args->dom, args->xml, args->flags, FALSE);
}

/* ---- size ---------------------------------------------------------------------- */

int qemu_domain_block_resize(void *handle, vireo_call *call,
                             const vireo_domain_block_resize_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoQmp) qmp = dom ? qemu_domain_monitor(dom, &error) : NULL;
    g_autoptr(QemuDef) live = dom ? qemu_domain_live(dom) : NULL;
    VireoQmpWait wait = qemu_wait(conn->driver, call, 60);
    guint64 bytes = args->flags & VIREO_DOMAIN_BLOCK_RESIZE_BYTES ? args->size : args->size * 1024;

    if (!dom)
        return VIREO_FAIL;
    const VireoDomainDisk *disk = qmp && live ? qemu_find_disk(live->doc, args->disk, &error) : NULL;
    if (!disk)
        return qemu_fail(conn->driver, call, error);
    g_autofree char *node = qemu_disk_node_name(disk, 0, FALSE);
    if (!vireo_qmp_run(qmp, "block_resize",
                       vireo_json_new('s', "node-name", node, 'i', "size", (gint64)bytes, 0), &wait,
                       &error))
        return qemu_fail(conn->driver, call, error);
    return VIREO_OK;
}
