/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net.h"

#include <net/if.h>
#include <unistd.h>

#include "process.h"

#define HELPER_S 20

/* ---- names --------------------------------------------------------------------- */

static gboolean is_guest_name(const VireoDomainDevices *devices, const char *name)
{
    VEC_EACH(devices->interfaces, i)
    if (devices->interfaces.items[i]->guest && !g_strcmp0(devices->interfaces.items[i]->guest->dev, name))
        return TRUE;
    VEC_EACH(devices->hostdevs, i)
    if (!g_strcmp0(devices->hostdevs.items[i]->source->interface, name))
        return TRUE;
    return FALSE;
}

static gboolean is_alias(const VireoDomainDevices *devices, const char *alias)
{
    VEC_EACH(devices->interfaces, i)
    if (!g_strcmp0(devices->interfaces.items[i]->alias, alias))
        return TRUE;
    return FALSE;
}

/* PREFIX and the first number that nobody has. Caller frees. */
static char *first_free(const VireoDomainDevices *devices, const char *prefix,
                        gboolean (*taken)(const VireoDomainDevices *, const char *))
{
    for (guint i = 0;; i++) {
        g_autofree char *name = g_strdup_printf("%s%u", prefix, i);

        if (!taken(devices, name))
            return g_steal_pointer(&name);
    }
}

static char *host_name(void)
{
    static gint next;

    for (;;) {
        g_autofree char *name = g_strdup_printf("vnet%d", g_atomic_int_add(&next, 1));

        if (!if_nametoindex(name))
            return g_steal_pointer(&name);
    }
}

void lxc_net_name(VireoDomain *doc)
{
    VireoDomainDevices *devices = doc->devices;

    VEC_EACH(devices->interfaces, i)
    {
        VireoDomainInterface *nic = devices->interfaces.items[i];

        if (!nic->alias)
            nic->alias = first_free(devices, "net", is_alias);
        if (!nic->guest)
            nic->guest = g_new0(VireoDomainInterfaceGuest, 1);
        if (!nic->guest->dev)
            nic->guest->dev = first_free(devices, "eth", is_guest_name);
        if (nic->type == VIREO_DOMAIN_INTERFACE_TYPE_DIRECT)
            continue;
        if (!nic->target)
            nic->target = g_new0(VireoDomainInterfaceTarget, 1);
        if (!nic->target->dev)
            nic->target->dev = host_name();
    }
}

gboolean lxc_net_check(const VireoDomain *doc, GError **error)
{
    VEC_EACH(doc->devices->interfaces, i)
    {
        const VireoDomainInterface *nic = doc->devices->interfaces.items[i];
        const char *name = !nic->source ? NULL : nic->source->bridge ? nic->source->bridge : nic->source->dev;

        if (!name || if_nametoindex(name))
            continue;
        lxc_error(error, VIREO_ERR_OPERATION_FAILED, "this host has no interface '%s'", name);
        return FALSE;
    }
    return TRUE;
}

/* ---- what runs ----------------------------------------------------------------- */

static void set(GPtrArray *argv, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void set(GPtrArray *argv, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(argv, g_strdup_vprintf(format, args));
    va_end(args);
}

static gboolean run(LxcDomain *dom, const char *command, GPtrArray *settings, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    LxcProcess init;

    if (!lxc_domain_init(dom, &init, error))
        return FALSE;
    g_autofree char *pid = g_strdup_printf("%d", (int)init.pid);
    g_ptr_array_add(argv, (char *)command);
    g_ptr_array_add(argv, pid);
    for (guint i = 0; i < settings->len; i++)
        g_ptr_array_add(argv, settings->pdata[i]);
    gboolean good = lxc_helper_run(dom, HELPER_S, NULL, argv, error);
    close(init.fd);
    return good;
}

static gboolean is_macvlan(const VireoDomainInterface *nic)
{
    return nic->type == VIREO_DOMAIN_INTERFACE_TYPE_DIRECT;
}

static void set_gateways(GPtrArray *argv, const VireoDomainInterface *nic)
{
    VEC_EACH(nic->routes, i)
    if (nic->routes.items[i]->gateway)
        set(argv, "gateway=%s", nic->routes.items[i]->gateway);
}

static GPtrArray *settings_of(const VireoDomainInterface *nic)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

    set(argv, "kind=%s", is_macvlan(nic) ? "macvlan" : "veth");
    set(argv, "name=%s", nic->guest->dev);
    set(argv, "up=%d", nic->link != VIREO_DOMAIN_LINK_STATE_DOWN);
    if (!is_macvlan(nic)) {
        set(argv, "host=%s", nic->target->dev);
        set(argv, "master=%s", nic->source && nic->source->bridge ? nic->source->bridge : "");
    }
    set_gateways(argv, nic);
    return argv;
}

/* The kernel's numbers of macvlan modes. */
static int mode_of(const VireoDomainInterface *nic)
{
    switch (nic->source->mode) {
    case VIREO_DOMAIN_INTERFACE_SOURCE_MODE_PRIVATE:
        return 1;
    case VIREO_DOMAIN_INTERFACE_SOURCE_MODE_BRIDGE:
        return 4;
    case VIREO_DOMAIN_INTERFACE_SOURCE_MODE_PASSTHROUGH:
        return 8;
    default:
        return 2;
    }
}

gboolean lxc_net_attach(LxcDomain *dom, const VireoDomainInterface *nic, GError **error)
{
    g_autoptr(GPtrArray) argv = settings_of(nic);

    set(argv, "mac=%s", nic->mac->address);
    if (nic->has_mtu)
        set(argv, "mtu=%u", nic->mtu);
    if (is_macvlan(nic)) {
        set(argv, "lower=%s", nic->source->dev);
        set(argv, "mode=%d", mode_of(nic));
    }
    VEC_EACH(nic->ips, i)
    {
        const VireoIp *ip = nic->ips.items[i];

        if (ip->address)
            set(argv, "address=%s/%u", ip->address,
                ip->has_prefix ? ip->prefix : strchr(ip->address, ':') ? 64 : 24);
    }
    return run(dom, "add-net", argv, error);
}

gboolean lxc_net_detach(LxcDomain *dom, const VireoDomainInterface *nic, GError **error)
{
    g_autoptr(GPtrArray) argv = settings_of(nic);

    return run(dom, "remove-net", argv, error);
}

gboolean lxc_net_update(LxcDomain *dom, const VireoDomainInterface *nic, GError **error)
{
    g_autoptr(GPtrArray) argv = settings_of(nic);

    return run(dom, "set-net", argv, error);
}

gboolean lxc_net_move(LxcDomain *dom, const char *name, gboolean into, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);

    set(argv, "kind=phys");
    set(argv, "host=%s", name);
    set(argv, "name=%s", name);
    return run(dom, into ? "add-net" : "remove-net", argv, error);
}

/* liblxc plugs all of them in. */
gboolean lxc_net_started(LxcDomain *dom, const VireoDomain *doc, GError **error)
{
    VEC_EACH(doc->devices->interfaces, i)
    {
        const VireoDomainInterface *nic = doc->devices->interfaces.items[i];

        if (nic->link == VIREO_DOMAIN_LINK_STATE_DOWN && !lxc_net_update(dom, nic, error))
            return FALSE;
    }
    return TRUE;
}
