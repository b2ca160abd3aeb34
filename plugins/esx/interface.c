/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interfaces are the host's physical network cards. */
#include "ops.h"

static VimPhysicalNic *card_named(const VimObjectContent *host, const char *name)
{
    const VireoSoapValue *list = esx_property(host, "config.network.pnic");

    for (guint i = 0; i < vireo_soap_value_length(list); i++) {
        VimPhysicalNic *one = vireo_soap_value_struct(vireo_soap_value_item(list, i), &vim_physical_nic_type);

        if (one && g_str_equal(one->device, name))
            return one;
    }
    return NULL;
}

/* "255.255.255.0" is 24. */
static guint prefix_of(const char *mask)
{
    g_autoptr(GInetAddress) address = mask ? g_inet_address_new_from_string(mask) : NULL;
    const guint8 *bytes = address ? g_inet_address_to_bytes(address) : NULL;
    guint bits = 0;

    for (gsize i = 0; address && i < g_inet_address_get_native_size(address); i++)
        for (guint bit = 0x80; bit && (bytes[i] & bit); bit >>= 1)
            bits++;
    return bits;
}

static void set_address(VireoInterface *doc, const VimHostIpConfig *ip)
{
    gboolean fixed = ip && ip->ip_address && *ip->ip_address;

    if (!ip || (!ip->dhcp && !fixed))
        return;
    VireoInterfaceProtocol *protocol = g_new0(VireoInterfaceProtocol, 1);
    protocol->family = VIREO_IP_FAMILY_IPV4;
    protocol->dhcp = ip->dhcp;
    if (fixed) {
        VireoInterfaceAddress *address = g_new0(VireoInterfaceAddress, 1);

        address->address = g_strdup(ip->ip_address);
        address->prefix = prefix_of(ip->subnet_mask);
        address->has_prefix = address->prefix > 0;
        vireo_list_append(&protocol->ips, address);
    }
    vireo_list_append(&doc->protocols, protocol);
}

int esx_interface_get_xml_desc(void *handle, vireo_call *call, const vireo_interface_get_xml_desc_args *args,
                               vireo_interface_get_xml_desc_ret *ret)
{
    static const char *const paths[] = { "config.network.pnic" };
    EsxConn *conn = handle;
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    GError *error = NULL;
    VimObjectContent *host = esx_properties_of(conn->server, conn->server->host, paths, 1, &wait, arena, &error);
    const VimPhysicalNic *card = host ? card_named(host, args->iface.name) : NULL;

    if (!host)
        return esx_fail(conn->driver, call, error);
    if (!card)
        return conn->driver->host->fail(call, VIREO_ERR_NO_INTERFACE, "the host has no network card '%s' any more",
                                        args->iface.name);
    VireoInterface *doc = g_new0(VireoInterface, 1);
    doc->type = VIREO_INTERFACE_KIND_ETHERNET;
    doc->name = g_strdup(card->device);
    doc->start = VIREO_INTERFACE_START_MODE_ONBOOT;
    doc->mac = g_strdup(card->mac);
    doc->link = g_new0(VireoInterfaceLink, 1);
    doc->link->state = card->link_speed ? VIREO_INTERFACE_LINK_STATE_UP : VIREO_INTERFACE_LINK_STATE_DOWN;
    doc->link->has_speed = card->link_speed != NULL;
    doc->link->speed = card->link_speed ? (guint32)card->link_speed->speed_mb : 0;
    set_address(doc, card->spec ? card->spec->ip : NULL);
    g_autofree char *text =
        vireo_interface_format(doc, args->flags & VIREO_INTERFACE_XML_INACTIVE ? VIREO_MODEL_FORMAT_INACTIVE : 0);
    ret->xml = conn->driver->host->strdup(call, text);
    vireo_interface_free(doc);
    return VIREO_OK;
}
