/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tools in a guest tell, and its description. */
#include "ops.h"

VimObjectContent *esx_machine_properties(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom,
                                         const char *const *paths, guint n, VireoArena *arena)
{
    EsxRef *machine = esx_machine_ref(conn, call, dom);
    VireoHttpWait wait = esx_wait(call);
    GError *error = NULL;
    VimObjectContent *found =
        machine ? esx_properties_of(conn->server, machine, paths, n, &wait, arena, &error) : NULL;

    if (machine && !found)
        esx_fail(conn->driver, call, error);
    return found;
}

int esx_domain_get_hostname(void *handle, vireo_call *call, const vireo_domain_get_hostname_args *args,
                            vireo_domain_get_hostname_ret *ret)
{
    static const char *const paths[] = { "guest.hostName" };
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimObjectContent *found = esx_machine_properties(conn, call, &args->dom, paths, 1, arena);
    const char *name = found ? vireo_soap_value_text(esx_property(found, paths[0])) : NULL;

    if (!found)
        return VIREO_FAIL;
    if (!name || !*name)
        return conn->driver->host->fail(call, VIREO_ERR_NO_HOSTNAME, "the tools in the guest tell no host name");
    ret->hostname = conn->driver->host->strdup(call, name);
    return VIREO_OK;
}

/* ---- addresses ----------------------------------------------------------------------- */

static int prefix_of(const VimGuestNicInfo *card, const char *address)
{
    for (guint i = 0; card->ip_config && i < card->ip_config->ip_address.n; i++)
        if (g_str_equal(card->ip_config->ip_address.items[i]->ip_address, address))
            return card->ip_config->ip_address.items[i]->prefix_length;
    return 0;
}

static void take_card(EsxConn *conn, vireo_call *call, const VimGuestNicInfo *card, vireo_domain_interface *into)
{
    const struct vireo_host *host = conn->driver->host;
    guint n = card->ip_address.n;

    into->name = host->strdup(call, card->network ? card->network : "");
    into->hwaddr = card->mac_address ? host->strdup(call, card->mac_address) : NULL;
    into->addrs.val = host->alloc(call, sizeof *into->addrs.val * (n + 1));
    for (guint i = 0; i < n; i++) {
        g_autoptr(GInetAddress) address = g_inet_address_new_from_string(card->ip_address.items[i]);
        vireo_domain_ip_addr *one = &into->addrs.val[into->addrs.len];

        if (!address)
            continue;
        one->type = g_inet_address_get_family(address) == G_SOCKET_FAMILY_IPV6 ? VIREO_IP_ADDR_TYPE_IPV6
                                                                               : VIREO_IP_ADDR_TYPE_IPV4;
        one->addr = host->strdup(call, card->ip_address.items[i]);
        one->prefix = (uint32_t)prefix_of(card, one->addr);
        into->addrs.len++;
    }
}

int esx_domain_interface_addresses(void *handle, vireo_call *call, const vireo_domain_interface_addresses_args *args,
                                   vireo_domain_interface_addresses_ret *ret)
{
    static const char *const paths[] = { "guest.net" };
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();

    if (args->source != VIREO_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
        return conn->driver->host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED,
                                        "addresses are known from the tools in the guest: ask the source 'agent'");
    VimObjectContent *found = esx_machine_properties(conn, call, &args->dom, paths, 1, arena);
    if (!found)
        return VIREO_FAIL;
    const VireoSoapValue *cards = esx_property(found, paths[0]);
    guint n = vireo_soap_value_length(cards);
    ret->ifaces.val = conn->driver->host->alloc(call, sizeof *ret->ifaces.val * (n + 1));
    for (guint i = 0; i < n; i++) {
        const VimGuestNicInfo *card = vireo_soap_value_struct(vireo_soap_value_item(cards, i), &vim_guest_nic_info_type);

        if (card)
            take_card(conn, call, card, &ret->ifaces.val[ret->ifaces.len++]);
    }
    return VIREO_OK;
}

/* ---- the description ----------------------------------------------------------------- */

static int only_description(EsxConn *conn, vireo_call *call, int type, int code)
{
    if (type == VIREO_DOMAIN_METADATA_DESCRIPTION)
        return VIREO_OK;
    return conn->driver->host->fail(call, code, "a machine has a description, and neither a title nor other metadata");
}

int esx_domain_get_metadata(void *handle, vireo_call *call, const vireo_domain_get_metadata_args *args,
                            vireo_domain_get_metadata_ret *ret)
{
    static const char *const paths[] = { "config.annotation" };
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();

    if (only_description(conn, call, args->type, VIREO_ERR_NO_DOMAIN_METADATA) != VIREO_OK)
        return VIREO_FAIL;
    VimObjectContent *found = esx_machine_properties(conn, call, &args->dom, paths, 1, arena);
    const char *note = found ? vireo_soap_value_text(esx_property(found, paths[0])) : NULL;
    if (!found)
        return VIREO_FAIL;
    if (!note || !*note)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN_METADATA, "the machine has no description");
    ret->metadata = conn->driver->host->strdup(call, note);
    return VIREO_OK;
}

int esx_domain_set_metadata(void *handle, vireo_call *call, const vireo_domain_set_metadata_args *args)
{
    EsxConn *conn = handle;
    VimVirtualMachineConfigSpec spec = { .annotation = args->metadata ? args->metadata : "" };

    return only_description(conn, call, args->type, VIREO_ERR_ARGUMENT_UNSUPPORTED) == VIREO_OK
               ? esx_machine_reconfigure(conn, call, &args->dom, &spec)
               : VIREO_FAIL;
}
