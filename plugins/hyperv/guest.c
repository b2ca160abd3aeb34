/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the integration services in a guest tell. */
#include "ops.h"

#include <stdio.h>

#include "spec.h"

/* "Microsoft:GuestNetwork\MACHINE\CARD" is of the card "Microsoft:MACHINE\CARD". */
static gboolean belongs(const VireoCim *told, const HypervDevice *card)
{
    const char *one = strchr(vireo_cim_string(told, "InstanceID"), '\\');
    const char *other = strchr(vireo_cim_string(card->device, "InstanceID"), '\\');
    const char *which = one ? strchr(one + 1, '\\') : NULL;

    return which && other && g_ascii_strncasecmp(which, other, strlen(which)) == 0;
}

/* "24", "64", or "255.255.255.0" */
static guint prefix_of(const char *subnet)
{
    guint part[4], bits = 0;

    if (!subnet || sscanf(subnet, "%u.%u.%u.%u", &part[0], &part[1], &part[2], &part[3]) != 4)
        return subnet ? (guint)g_ascii_strtoull(subnet, NULL, 10) : 0;
    for (guint i = 0; i < 4; i++)
        for (guint byte = part[i]; byte & 0x80; byte = (byte << 1) & 0xff)
            bits++;
    return bits;
}

static void take_card(HypervConn *conn, vireo_call *call, const VireoCim *told, const HypervDevice *card,
                      vireo_domain_interface *into)
{
    const struct vireo_host *host = conn->driver->host;
    guint n = vireo_cim_count(told, "IPAddresses");

    into->name = host->strdup(call, card->mac);
    into->hwaddr = host->strdup(call, card->mac);
    into->addrs.val = host->alloc(call, sizeof *into->addrs.val * (n + 1));
    for (guint i = 0; i < n; i++) {
        const char *text = vireo_cim_text_at(told, "IPAddresses", i);
        g_autoptr(GInetAddress) address = text ? g_inet_address_new_from_string(text) : NULL;
        vireo_domain_ip_addr *one = &into->addrs.val[into->addrs.len];

        if (!address)
            continue;
        one->type = g_inet_address_get_family(address) == G_SOCKET_FAMILY_IPV6 ? VIREO_IP_ADDR_TYPE_IPV6
                                                                               : VIREO_IP_ADDR_TYPE_IPV4;
        one->addr = host->strdup(call, text);
        one->prefix = prefix_of(vireo_cim_text_at(told, "Subnets", i));
        into->addrs.len++;
    }
}

int hyperv_domain_interface_addresses(void *handle, vireo_call *call,
                                      const vireo_domain_interface_addresses_args *args,
                                      vireo_domain_interface_addresses_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;

    if (args->source != VIREO_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
        return conn->driver->host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED,
                                        "addresses are known from the services in the guest: ask the source 'agent'");
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);
    if (!machine)
        return VIREO_FAIL;
    g_autofree char *id = g_strconcat("Microsoft:", machine->guid, NULL);
    const GPtrArray *told = hyperv_query(
        &talk, HYPERV_SPACE, "select * from Msvm_GuestNetworkAdapterConfiguration where InstanceID like '%%%s%%'",
        machine->guid);
    g_autoptr(GPtrArray) devices = hyperv_devices(&talk, hyperv_resources(&talk, id));
    ret->ifaces.val = conn->driver->host->alloc(call, sizeof *ret->ifaces.val * (devices->len + 1));
    for (guint i = 0; i < devices->len; i++)
        for (guint j = 0; j < told->len; j++)
            if (((HypervDevice *)devices->pdata[i])->mac && belongs(told->pdata[j], devices->pdata[i])) {
                take_card(conn, call, told->pdata[j], devices->pdata[i], &ret->ifaces.val[ret->ifaces.len++]);
                break;
            }
    return hyperv_talk_finish(&talk, call);
}

int hyperv_domain_get_hostname(void *handle, vireo_call *call, const vireo_domain_get_hostname_args *args,
                               vireo_domain_get_hostname_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);

    if (!machine)
        return VIREO_FAIL;
    const VireoCim *part =
        hyperv_query_one(&talk, HYPERV_SPACE, NULL,
                         "select * from Msvm_KvpExchangeComponent where SystemName='%s'", machine->guid);
    for (guint i = 0; i < vireo_cim_count(part, "GuestIntrinsicExchangeItems"); i++) {
        g_autoptr(VireoCim) item = vireo_cim_dup_object(part, "GuestIntrinsicExchangeItems", i);

        if (item && g_str_equal(vireo_cim_string(item, "Name"), "FullyQualifiedDomainName"))
            ret->hostname = conn->driver->host->strdup(call, vireo_cim_string(item, "Data"));
    }
    if (!ret->hostname || !*ret->hostname)
        hyperv_talk_refuse(&talk, VIREO_ERR_NO_HOSTNAME, "the services in the guest tell no host name");
    return hyperv_talk_finish(&talk, call);
}
