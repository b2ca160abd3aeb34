/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Network cards of a running guest. */
#include "hotplug.h"

#include <unistd.h>

#include "events.h"
#include "launch.h"

#define MONITOR_S 30

static gboolean add_tap(QemuHot *hot, VireoDomainInterface *iface, GError **error)
{
    VireoQmpWait wait = qemu_wait(hot->dom->space->driver, hot->call, MONITOR_S);
    g_autofree char *name = g_strdup_printf("fd-%s", iface->alias);

    if (!iface->target)
        iface->target = g_new0(VireoDomainInterfaceTarget, 1);
    int fd = qemu_tap_open(&iface->target->dev, iface->source ? iface->source->bridge : NULL,
                           iface->mac->address, error);
    if (fd < 0)
        return FALSE;
    g_autoptr(JsonNode) sent = vireo_qmp_call_fd(
        hot->qmp, "getfd", vireo_json_new('s', "fdname", name, 0), fd, &wait, error);
    close(fd);
    if (!sent)
        return FALSE;
    JsonObject *netdev = qemu_interface_netdev(iface, 0);
    json_object_set_string_member(netdev, "fd", name);
    if (qemu_hot_run(hot, "netdev_add", netdev, error))
        return TRUE;
    qemu_hot_run(hot, "closefd", vireo_json_new('s', "fdname", name, 0), NULL);
    return FALSE;
}

static void del_netdev(QemuHot *hot, const VireoDomainInterface *iface)
{
    g_autofree char *id = g_strdup_printf("host%s", iface->alias);

    qemu_hot_run(hot, "netdev_del", vireo_json_new('s', "id", id, 0), NULL);
}

gboolean qemu_hot_net_attach(QemuHot *hot, VireoDomainInterface *iface, GError **error)
{
    int order = iface->boot ? (int)iface->boot->order : 0;
    gboolean ready = iface->type == VIREO_DOMAIN_INTERFACE_TYPE_USER
                         ? qemu_hot_run(hot, "netdev_add", qemu_interface_netdev(iface, -1), error)
                         : add_tap(hot, iface, error);

    if (!ready)
        return FALSE;
    if (qemu_hot_run(hot, "device_add", qemu_interface_device(hot->doc, iface, order), error) &&
        (iface->link != VIREO_DOMAIN_LINK_STATE_DOWN || qemu_hot_net_link(hot, iface, error)))
        return TRUE;
    del_netdev(hot, iface);
    return FALSE;
}

void qemu_hot_net_release(QemuHot *hot, const VireoDomainInterface *iface)
{
    del_netdev(hot, iface);
}

gboolean qemu_hot_net_link(QemuHot *hot, const VireoDomainInterface *iface, GError **error)
{
    gboolean up = iface->link != VIREO_DOMAIN_LINK_STATE_DOWN;

    return qemu_hot_run(hot, "set_link",
                        vireo_json_new('s', "name", iface->alias, 'b', "up", up, 0), error);
}
