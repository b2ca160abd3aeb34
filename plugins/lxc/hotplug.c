/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices that come, change and go, in the definition and in what runs: interfaces, and nodes of devices. */
#include "ops.h"

#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "native.h"
#include "net.h"
#include "process.h"

#define HELPER_S 20

typedef struct {
    LxcDriver *driver;
    const VireoDomainDevices *given; /* one device */
} Plug;

/* ---- definitions --------------------------------------------------------------- */

static const char *hostdev_path(const VireoDomainHostdev *dev)
{
    return dev->source->block ? dev->source->block : dev->source->char_ ? dev->source->char_ : dev->source->interface;
}

static int find_disk(const VireoDomain *doc, const VireoDomainDisk *given)
{
    VEC_EACH(doc->devices->disks, i)
    if (given->target && !g_strcmp0(doc->devices->disks.items[i]->target->dev, given->target->dev))
        return (int)i;
    return -1;
}

static int find_hostdev(const VireoDomain *doc, const VireoDomainHostdev *given)
{
    VEC_EACH(doc->devices->hostdevs, i)
    if (!g_strcmp0(hostdev_path(doc->devices->hostdevs.items[i]), hostdev_path(given)))
        return (int)i;
    return -1;
}

static int find_interface(const VireoDomain *doc, const VireoDomainInterface *given)
{
    VEC_EACH(doc->devices->interfaces, i)
    if (given->mac && given->mac->address &&
        !g_ascii_strcasecmp(doc->devices->interfaces.items[i]->mac->address, given->mac->address))
        return (int)i;
    return -1;
}

static gboolean refuse(GError **error, const char *what)
{
    lxc_error(error, VIREO_ERR_OPERATION_UNSUPPORTED, "%s", what);
    return FALSE;
}

#define KINDS "a disk, an interface or a host device can be attached and detached"

/* Where the given device is in its list of doc; -1: it is not; -2: it is of another kind. */
static int find(const VireoDomain *doc, const VireoDomainDevices *given)
{
    return given->disks.n        ? find_disk(doc, given->disks.items[0])
           : given->hostdevs.n   ? find_hostdev(doc, given->hostdevs.items[0])
           : given->interfaces.n ? find_interface(doc, given->interfaces.items[0])
                                 : -2;
}

static gboolean attach(VireoDomain *doc, const void *opaque, GError **error)
{
    const Plug *plug = opaque;
    int at = find(doc, plug->given);

    if (at == -2)
        return refuse(error, KINDS);
    if (at >= 0) {
        lxc_error(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' has this device already", doc->name);
        return FALSE;
    }
    g_autoptr(VireoDomainDevices) copy = vireo_domain_devices_copy(plug->given);
    if (copy->disks.n)
        vireo_list_append(&doc->devices->disks, g_steal_pointer(&copy->disks.items[0]));
    if (copy->hostdevs.n)
        vireo_list_append(&doc->devices->hostdevs, g_steal_pointer(&copy->hostdevs.items[0]));
    if (copy->interfaces.n)
        vireo_list_append(&doc->devices->interfaces, g_steal_pointer(&copy->interfaces.items[0]));
    copy->disks.n = copy->hostdevs.n = copy->interfaces.n = 0;
    return vireo_model_path_set_check(plug->driver->honoured, doc, error);
}

/* Cable, bridge and whatever else is written anew; what it does not say stays. */
static gboolean update(VireoDomain *doc, const void *opaque, GError **error)
{
    const Plug *plug = opaque;
    int at = find(doc, plug->given);

    if (!plug->given->interfaces.n)
        return refuse(error, "only interfaces can be updated");
    if (at < 0) {
        lxc_error(error, VIREO_ERR_DEVICE_MISSING, "domain '%s' has no interface with this MAC address", doc->name);
        return FALSE;
    }
    VireoDomainInterface **slot = &doc->devices->interfaces.items[at], *old = *slot;
    VireoDomainInterface *nic = vireo_domain_interface_copy(plug->given->interfaces.items[0]);
    if (!nic->alias)
        nic->alias = g_steal_pointer(&old->alias);
    if (!nic->target)
        nic->target = g_steal_pointer(&old->target);
    if (!nic->guest)
        nic->guest = g_steal_pointer(&old->guest);
    vireo_domain_interface_free(old);
    *slot = nic;
    return vireo_model_path_set_check(plug->driver->honoured, doc, error);
}

#define TAKE_OUT(list, at, free_one)                                                               \
    do {                                                                                           \
        free_one((list)->items[at]);                                                               \
        memmove(&(list)->items[at], &(list)->items[(at) + 1],                                      \
                sizeof *(list)->items * ((list)->n - (guint)(at) - 1));                            \
        (list)->n--;                                                                               \
    } while (0)

static gboolean detach(VireoDomain *doc, const void *opaque, GError **error)
{
    const Plug *plug = opaque;
    int at = find(doc, plug->given);

    if (at == -2)
        return refuse(error, KINDS);
    if (at < 0) {
        lxc_error(error, VIREO_ERR_DEVICE_MISSING, "domain '%s' has no such device", doc->name);
        return FALSE;
    }
    if (plug->given->disks.n)
        TAKE_OUT(&doc->devices->disks, at, vireo_domain_disk_free);
    else if (plug->given->hostdevs.n)
        TAKE_OUT(&doc->devices->hostdevs, at, vireo_domain_hostdev_free);
    else
        TAKE_OUT(&doc->devices->interfaces, at, vireo_domain_interface_free);
    return TRUE;
}

/* ---- what runs ----------------------------------------------------------------- */

typedef struct {
    char *source, *target;
    gboolean readonly;
} Node;

static void node_clear(Node *node)
{
    g_free(node->source);
    g_free(node->target);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Node, node_clear)

static gboolean node_of(const VireoDomain *doc, const VireoDomainDevices *given, Node *node, GError **error)
{
    int at = find(doc, given);

    if (lxc_doc_mapped(doc))
        return refuse(error, "a container with <idmap> cannot be given devices while it runs");
    if (given->disks.n) {
        const VireoDomainDisk *disk = doc->devices->disks.items[at];

        *node = (Node){ g_strdup(disk->source->dev), g_strconcat("/dev/", disk->target->dev, NULL), disk->readonly };
    } else {
        const char *path = hostdev_path(doc->devices->hostdevs.items[at]);

        *node = (Node){ g_strdup(path), g_strdup(path), FALSE };
    }
    return TRUE;
}

/* With version 2 it is a program in the kernel, which liblxc writes. */
static gboolean allow(LxcDomain *dom, const Node *node, const char *device, gboolean allowed, GError **error)
{
    static const LxcItem items[] = { { "devices", "devices.deny", NULL }, { "devices", "devices.allow", NULL } };
    g_autofree char *rule = g_strconcat(device, allowed && node->readonly ? " r" : " rw", NULL);

    return lxc_cgroup_version("devices") == 2
               ? lxc_helper(dom, HELPER_S, NULL, error, "set-group", items[allowed].v1, rule, NULL)
               : lxc_cgroup_write(dom->cgroup, &items[allowed], rule, error);
}

static gboolean make_node(LxcDomain *dom, const char *command, const Node *node, const char *device, GError **error)
{
    LxcProcess init;

    if (!lxc_domain_init(dom, &init, error))
        return FALSE;
    g_autofree char *pid = g_strdup_printf("%d", (int)init.pid);
    gboolean good = lxc_helper(dom, HELPER_S, NULL, error, command, pid, node->target, device, NULL);
    close(init.fd);
    return good;
}

static gboolean attach_node(LxcDomain *dom, const VireoDomain *doc, const VireoDomainDevices *given, GError **error)
{
    g_auto(Node) node = { 0 };

    if (!node_of(doc, given, &node, error))
        return FALSE;
    g_autofree char *device = lxc_native_device(node.source, error);
    if (!device || !allow(dom, &node, device, TRUE, error))
        return FALSE;
    if (make_node(dom, "add-node", &node, device, error)) {
        lxc_cgroup_count(dom->cgroup, doc);
        return TRUE;
    }
    allow(dom, &node, device, FALSE, NULL);
    return FALSE;
}

static gboolean detach_node(LxcDomain *dom, const VireoDomain *doc, const VireoDomainDevices *given, GError **error)
{
    g_auto(Node) node = { 0 };

    if (!node_of(doc, given, &node, error))
        return FALSE;
    g_autofree char *device = lxc_native_device(node.source, error);
    return device && allow(dom, &node, device, FALSE, error) && make_node(dom, "remove-node", &node, device, error);
}

/* What the container shares it has no say in. */
static gboolean owns_network(const VireoDomain *doc, GError **error)
{
    if (!doc->lxc_namespace || !doc->lxc_namespace->lxc_sharenet)
        return TRUE;
    return refuse(error, "a container that shares a network namespace is given no interfaces");
}

static const char *card_of(const VireoDomainDevices *given)
{
    return given->hostdevs.n ? given->hostdevs.items[0]->source->interface : NULL;
}

static gboolean attach_live(LxcDomain *dom, const VireoDomain *now, VireoDomain *then, const void *opaque, GError **error)
{
    const Plug *plug = opaque;
    const char *card = card_of(plug->given);

    if (!card && !plug->given->interfaces.n)
        return attach_node(dom, then, plug->given, error);
    if (!owns_network(now, error))
        return FALSE;
    if (card)
        return lxc_net_move(dom, card, TRUE, error);
    lxc_net_name(then);
    return lxc_net_attach(dom, then->devices->interfaces.items[find(then, plug->given)], error);
}

static gboolean detach_live(LxcDomain *dom, const VireoDomain *now, VireoDomain *then, const void *opaque, GError **error)
{
    const Plug *plug = opaque;
    const char *card = card_of(plug->given);

    if (card)
        return lxc_net_move(dom, card, FALSE, error);
    if (!plug->given->interfaces.n)
        return detach_node(dom, now, plug->given, error);
    return lxc_net_detach(dom, now->devices->interfaces.items[find(now, plug->given)], error);
}

/* Everything but the cable and the bridge, as text. Caller frees. */
static char *fixed_part(const VireoDomain *doc, const VireoDomainDevices *given)
{
    g_autoptr(VireoDomainDevices) one = g_new0(VireoDomainDevices, 1);
    VireoDomainInterface *nic = vireo_domain_interface_copy(doc->devices->interfaces.items[find(doc, given)]);

    nic->link = VIREO_DOMAIN_LINK_STATE_UNSET;
    if (nic->source)
        g_clear_pointer(&nic->source->bridge, g_free);
    vireo_list_append(&one->interfaces, nic);
    return vireo_domain_devices_format(one, 0);
}

static gboolean update_live(LxcDomain *dom, const VireoDomain *now, VireoDomain *then, const void *opaque, GError **error)
{
    const Plug *plug = opaque;
    g_autofree char *before = fixed_part(now, plug->given), *after = fixed_part(then, plug->given);

    if (!g_str_equal(before, after))
        return refuse(error, "of an interface of a running container only the link state and the bridge change");
    return lxc_net_update(dom, then->devices->interfaces.items[find(then, plug->given)], error);
}

static int change(void *handle, vireo_call *call, const vireo_domain_ref *ref, const char *xml, guint flags, LxcChange edit,
                  LxcApply apply)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDomainDevices) given = vireo_domain_devices_parse_member(xml, VIREO_MODEL_PARSE_INACTIVE, &error);
    Plug plug = { conn->driver, given };

    if (!given)
        return lxc_fail(conn->driver, call, error);
    g_autoptr(LxcDomainJob) dom = lxc_domain_begin(conn, call, ref);
    if (!dom)
        return VIREO_FAIL;
    if (edit == attach && given->interfaces.n) /* the same in all definitions */
        lxc_doc_complete_mac(given->interfaces.items[0]);
    return lxc_domain_change(dom, flags, edit, apply, &plug, &error) ? VIREO_OK : lxc_fail(conn->driver, call, error);
}

int lxc_domain_attach_device_flags(void *handle, vireo_call *call, const vireo_domain_attach_device_flags_args *args)
{
    return change(handle, call, &args->dom, args->xml, args->flags, attach, attach_live);
}

int lxc_domain_detach_device_flags(void *handle, vireo_call *call, const vireo_domain_detach_device_flags_args *args)
{
    return change(handle, call, &args->dom, args->xml, args->flags, detach, detach_live);
}

int lxc_domain_update_device_flags(void *handle, vireo_call *call, const vireo_domain_update_device_flags_args *args)
{
    return change(handle, call, &args->dom, args->xml, args->flags, update, update_live);
}
