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

/* vireo_domain_interface: of those cards of which something is told. */
static GArray *cards_of(HypervTalk *talk, HypervConn *conn, const HypervMachine *machine)
{
    GArray *cards = g_array_new(FALSE, TRUE, sizeof(vireo_domain_interface));
    g_autofree char *id = g_strconcat("Microsoft:", machine->guid, NULL);
    const GPtrArray *told = hyperv_query(
        talk, HYPERV_SPACE, "select * from Msvm_GuestNetworkAdapterConfiguration where InstanceID like '%%%s%%'",
        machine->guid);
    g_autoptr(GPtrArray) devices = hyperv_devices(talk, hyperv_resources(talk, id));

    for (guint i = 0; i < devices->len; i++)
        for (guint j = 0; j < told->len; j++)
            if (((HypervDevice *)devices->pdata[i])->mac && belongs(told->pdata[j], devices->pdata[i])) {
                g_array_set_size(cards, cards->len + 1);
                take_card(conn, talk->call, told->pdata[j], devices->pdata[i],
                          &g_array_index(cards, vireo_domain_interface, cards->len - 1));
                break;
            }
    return cards;
}

/* Name and value: what is told of that kind. Owned by the talk. */
static const VireoCim *told_by(HypervTalk *talk, const HypervMachine *machine)
{
    const VireoCim *part =
        hyperv_query_one(talk, HYPERV_SPACE, NULL,
                         "select * from Msvm_KvpExchangeComponent where SystemName='%s'", machine->guid);
    VireoCim *told = vireo_cim_new("");

    for (guint i = 0; i < vireo_cim_count(part, "GuestIntrinsicExchangeItems"); i++) {
        g_autoptr(VireoCim) item = vireo_cim_dup_object(part, "GuestIntrinsicExchangeItems", i);
        const char *value = item ? vireo_cim_string(item, "Data") : "";

        if (*value)
            vireo_cim_add(told, vireo_cim_string(item, "Name"), NULL, value);
    }
    return hyperv_own(talk, told);
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
    g_autoptr(GArray) cards = cards_of(&talk, conn, machine);
    ret->ifaces.len = cards->len;
    ret->ifaces.val = conn->driver->host->alloc(call, sizeof *ret->ifaces.val * (cards->len + 1));
    for (guint i = 0; i < cards->len; i++)
        ret->ifaces.val[i] = g_array_index(cards, vireo_domain_interface, i);
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
    const char *name = vireo_cim_string(told_by(&talk, machine), "FullyQualifiedDomainName");
    if (*name)
        ret->hostname = conn->driver->host->strdup(call, name);
    else
        hyperv_talk_refuse(&talk, VIREO_ERR_NO_HOSTNAME, "the services in the guest tell no host name");
    return hyperv_talk_finish(&talk, call);
}

/* ---- all at once ----------------------------------------------------------------------- */

#define KINDS (VIREO_DOMAIN_GUEST_INFO_OS | VIREO_DOMAIN_GUEST_INFO_HOSTNAME | VIREO_DOMAIN_GUEST_INFO_INTERFACES)

static void put_text(VireoParams *params, const VireoCim *told, const char *there, const char *here)
{
    if (*vireo_cim_string(told, there))
        vireo_param_string(params, here, vireo_cim_string(told, there));
}

/* Windows has a number for its processor, Linux the word. */
static void put_os(VireoParams *params, const VireoCim *told)
{
    static const struct {
        const char *number, *word;
    } processors[] = {{"0", "x86"}, {"9", "x86_64"}, {"12", "aarch64"}};
    const char *machine = vireo_cim_string(told, "ProcessorArchitecture");

    put_text(params, told, "OSName", "os.name");
    put_text(params, told, "OSVersion", "os.version");
    put_text(params, told, "OSBuildNumber", "os.kernel-release");
    for (guint i = 0; i < G_N_ELEMENTS(processors); i++)
        if (g_str_equal(machine, processors[i].number))
            machine = processors[i].word;
    if (*machine)
        vireo_param_string(params, "os.machine", machine);
}

static void put_card(VireoParams *params, guint number, const vireo_domain_interface *card)
{
    g_autofree char *name = g_strdup_printf("if.%u.name", number), *mac = g_strdup_printf("if.%u.hwaddr", number);
    g_autofree char *count = g_strdup_printf("if.%u.addr.count", number);

    vireo_param_string(params, name, card->name);
    vireo_param_string(params, mac, card->name);
    vireo_param_uint(params, count, card->addrs.len);
    for (guint i = 0; i < card->addrs.len; i++) {
        const vireo_domain_ip_addr *one = &card->addrs.val[i];
        g_autofree char *type = g_strdup_printf("if.%u.addr.%u.type", number, i);
        g_autofree char *address = g_strdup_printf("if.%u.addr.%u.addr", number, i);
        g_autofree char *prefix = g_strdup_printf("if.%u.addr.%u.prefix", number, i);

        vireo_param_string(params, type, one->type == VIREO_IP_ADDR_TYPE_IPV6 ? "ipv6" : "ipv4");
        vireo_param_string(params, address, one->addr);
        vireo_param_uint(params, prefix, one->prefix);
    }
}

int hyperv_domain_get_guest_info(void *handle, vireo_call *call, const vireo_domain_get_guest_info_args *args,
                                 vireo_domain_get_guest_info_ret *ret)
{
    HypervConn *conn = handle;
    guint wanted = args->types ? args->types : KINDS;
    g_auto(VireoParams) params = {0};
    HypervTalk talk;

    if (wanted & ~KINDS)
        return conn->driver->host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED,
                                        "the services in the guest tell its system, its host name and its addresses, "
                                        "and nothing else");
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);
    if (!machine)
        return VIREO_FAIL;
    if (!hyperv_state_is_active(machine->state))
        hyperv_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", machine->name);
    vireo_params_init(&params, conn->driver->host, call);
    const VireoCim *told = told_by(&talk, machine);
    if (wanted & VIREO_DOMAIN_GUEST_INFO_OS)
        put_os(&params, told);
    if (wanted & VIREO_DOMAIN_GUEST_INFO_HOSTNAME)
        put_text(&params, told, "FullyQualifiedDomainName", "hostname");
    if (wanted & VIREO_DOMAIN_GUEST_INFO_INTERFACES) {
        g_autoptr(GArray) cards = cards_of(&talk, conn, machine);

        if (cards->len)
            vireo_param_uint(&params, "if.count", cards->len);
        for (guint i = 0; i < cards->len; i++)
            put_card(&params, i, &g_array_index(cards, vireo_domain_interface, i));
    }
    if (!params.list->len)
        hyperv_talk_refuse(&talk, VIREO_ERR_AGENT_UNRESPONSIVE, "the services in the guest tell nothing of that");
    ret->params.val = vireo_params_take(&params, &ret->params.len);
    return hyperv_talk_finish(&talk, call);
}
