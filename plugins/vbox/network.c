/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Host-only adapters as networks. VirtualBox names them, and never takes one down: a network is active when its adapter
 * is up and its DHCP server, if there is one, is switched on. */
#include "ops.h"

#include <arpa/inet.h>
#include <string.h>

#include "spec.h"

#define OBJECT_NOT_FOUND 0x80bb0001u

typedef struct {
    const char *ref, *name, *id, *dhcp; /* dhcp: "" when it has no DHCP server */
    const char *address, *mask;
    gboolean up, served;
} Adapter;

/* ---- reading ----------------------------------------------------------------------------- */

static const char *dhcp_of(VboxTalk *talk, const char *network)
{
    const vw_i_virtual_box_get_dhcp_servers_ret *all =
        VBOX_CALL(talk, i_virtual_box_get_dhcp_servers, ._this = talk->web);

    for (guint i = 0; i < all->returnval.n; i++)
        if (g_str_equal(VBOX_GET(talk, idhcp_server_get_network_name, all->returnval.items[i]), network))
            return all->returnval.items[i];
    return "";
}

static void adapter_read(VboxTalk *talk, const char *ref, Adapter *adapter)
{
    *adapter = (Adapter){.ref = ref,
                         .name = VBOX_GET(talk, i_host_network_interface_get_name, ref),
                         .id = VBOX_GET(talk, i_host_network_interface_get_id, ref),
                         .address = VBOX_GET(talk, i_host_network_interface_get_ip_address, ref),
                         .mask = VBOX_GET(talk, i_host_network_interface_get_network_mask, ref),
                         .up = VBOX_GET(talk, i_host_network_interface_get_status, ref) ==
                               VW_HOST_NETWORK_INTERFACE_STATUS_UP};
    adapter->dhcp = dhcp_of(talk, VBOX_GET(talk, i_host_network_interface_get_network_name, ref));
    adapter->served = *adapter->dhcp && VBOX_GET(talk, idhcp_server_get_enabled, adapter->dhcp);
}

static gboolean is_active(const Adapter *adapter)
{
    return adapter->up && (adapter->served || !*adapter->dhcp);
}

/* What a call means. */
static void adapter_find(VboxTalk *talk, const vireo_network_ref *net, Adapter *adapter)
{
    const char *host = VBOX_GET(talk, i_virtual_box_get_host, talk->web);
    char text[37];

    vireo_model_uuid_format(net->uuid, text);
    const char *ref = VBOX_CALL(talk, i_host_find_host_network_interface_by_id, ._this = host, .id = text)->returnval;
    if (talk->error) {
        g_clear_error(&talk->error);
        vbox_talk_refuse(talk, VIREO_ERR_NO_NETWORK, "there is no host-only adapter '%s' any more", net->name);
    }
    adapter_read(talk, ref, adapter);
}

/* ---- what is published --------------------------------------------------------------------- */

typedef struct {
    char *name;
    guint8 uuid[16];
    gboolean active;
} Network;

void vbox_network_free(gpointer opaque)
{
    Network *network = opaque;

    g_free(network->name);
    g_free(network);
}

static void tell(VboxServer *server, const Network *network, int event)
{
    vireo_network_event_lifecycle_msg msg = {.net = {.name = network->name}, .event = event};

    memcpy(msg.net.uuid, network->uuid, 16);
    server->driver->host->event(server->space, VIREO_EVENT_network_event_lifecycle, &msg);
}

/* With the server's lock. */
static void publish(VboxServer *server, const Network *network)
{
    struct vireo_object object = {
        .size = sizeof object,
        .klass = VIREO_CLASS_NETWORK,
        .name = network->name,
        .id = -1,
        .flags = VIREO_OBJECT_PERSISTENT | VIREO_OBJECT_QUIET | (network->active ? VIREO_OBJECT_ACTIVE : 0),
        .event = -1,
    };

    memcpy(object.uuid, network->uuid, 16);
    server->driver->host->publish(server->space, &object);
}

static void withdraw(VboxServer *server, const Network *network)
{
    server->driver->host->withdraw(server->space, VIREO_CLASS_NETWORK, network->name, network->uuid);
}

/* Takes network. */
static void take(VboxServer *server, Network *network, gboolean quiet)
{
    const Network *known = g_hash_table_lookup(server->networks, network->name);

    publish(server, network);
    if (!quiet && !known)
        tell(server, network, VIREO_NETWORK_EVENT_DEFINED);
    if (!quiet && network->active != (known && known->active))
        tell(server, network, network->active ? VIREO_NETWORK_EVENT_STARTED : VIREO_NETWORK_EVENT_STOPPED);
    g_hash_table_replace(server->networks, network->name, network);
}

static void leave(VboxServer *server, const Network *network)
{
    if (network->active)
        tell(server, network, VIREO_NETWORK_EVENT_STOPPED);
    withdraw(server, network);
    tell(server, network, VIREO_NETWORK_EVENT_UNDEFINED);
}

void vbox_network_read_all(VboxTalk *talk, gboolean quiet)
{
    VboxServer *server = talk->server;
    guint64 number = vireo_machines_number(server->machines);
    const char *host = VBOX_GET(talk, i_virtual_box_get_host, talk->web);
    const vw_i_host_find_host_network_interfaces_of_type_ret *refs =
        VBOX_CALL(talk, i_host_find_host_network_interfaces_of_type, ._this = host,
                  .type = VW_HOST_NETWORK_INTERFACE_TYPE_HOST_ONLY);
    g_autoptr(GHashTable) there = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, vbox_network_free);
    GHashTableIter iter;
    gpointer network;

    for (guint i = 0; i < refs->returnval.n; i++) {
        Network *one = g_new0(Network, 1);
        Adapter adapter;

        adapter_read(talk, refs->returnval.items[i], &adapter);
        one->name = g_strdup(adapter.name);
        one->active = is_active(&adapter);
        vireo_model_uuid_parse(adapter.id, one->uuid);
        g_hash_table_replace(there, one->name, one);
    }
    if (talk->error)
        return;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    if (server->networks_seen > number)
        return;
    server->networks_seen = number;
    g_hash_table_iter_init(&iter, server->networks);
    while (g_hash_table_iter_next(&iter, NULL, &network))
        if (!g_hash_table_contains(there, ((Network *)network)->name)) {
            leave(server, network);
            g_hash_table_iter_remove(&iter);
        }
    g_hash_table_iter_init(&iter, there);
    while (g_hash_table_iter_next(&iter, NULL, &network)) {
        g_hash_table_iter_steal(&iter);
        take(server, network, quiet);
    }
}

void vbox_network_clear(VboxServer *server)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    GHashTableIter iter;
    gpointer network;

    g_hash_table_iter_init(&iter, server->networks);
    while (g_hash_table_iter_next(&iter, NULL, &network))
        withdraw(server, network);
    g_hash_table_remove_all(server->networks);
}

/* ---- documents ----------------------------------------------------------------------------- */

static const char *const paths[] = {
    "network.name",          "network.uuid",      "network.bridge.name",         "network.ip.address",
    "network.ip.netmask",    "network.ip.prefix", "network.ip.family",           "network.ip.dhcp.range.start",
    "network.ip.dhcp.range.end", NULL,
};

VireoModelPathSet *vbox_network_paths(GError **error)
{
    return vireo_model_path_set_new(&vireo_network_type, paths, error);
}

/* Of an IPv4 address; 0: it is none. */
static guint32 number_of(const char *text)
{
    struct in_addr address;

    return text && inet_pton(AF_INET, text, &address) == 1 ? ntohl(address.s_addr) : 0;
}

static void spell(guint32 number, char text[INET_ADDRSTRLEN])
{
    struct in_addr address = {.s_addr = htonl(number)};

    inet_ntop(AF_INET, &address, text, INET_ADDRSTRLEN);
}

static guint32 mask_of(const VireoNetworkAddress *ip)
{
    guint32 given = ip->has_prefix ? (ip->prefix >= 1 && ip->prefix <= 32 ? ~0u << (32 - ip->prefix) : 0)
                                   : number_of(ip->netmask ? ip->netmask : "255.255.255.0");

    return given && (~given & (~given + 1)) == 0 ? given : 0; /* ones, then zeros */
}

static const VireoNetworkDhcpRange *range_of(const VireoNetwork *doc)
{
    const VireoNetworkDhcp *dhcp = doc->ips.n ? doc->ips.items[0]->dhcp : NULL;

    return dhcp && dhcp->ranges.n ? dhcp->ranges.items[0] : NULL;
}

static gboolean refuse(GError **error, guint line, const char *text)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_CONFIG_UNSUPPORTED, "(network_definition):%u: %s", line, text);
    return FALSE;
}

static gboolean check(const VireoNetwork *doc, GError **error)
{
    const VireoNetworkAddress *ip = doc->ips.n ? doc->ips.items[0] : NULL;
    const VireoNetworkDhcpRange *range = range_of(doc);

    if (doc->bridge && doc->bridge->name && g_strcmp0(doc->bridge->name, doc->name) != 0)
        return refuse(error, doc->bridge->line, "the bridge is the adapter itself: it has the name of the network");
    if (!ip)
        return TRUE;
    if (doc->ips.n > 1 || ip->family == VIREO_IP_FAMILY_IPV6 || !number_of(ip->address))
        return refuse(error, ip->line, "a host-only adapter gets one IPv4 address");
    guint32 mask = mask_of(ip), net = number_of(ip->address) & mask;
    if (!mask)
        return refuse(error, ip->line, "the netmask is ones and then zeros, or a prefix from 1 to 32");
    if (ip->dhcp && ip->dhcp->ranges.n > 1)
        return refuse(error, ip->dhcp->line, "VirtualBox's DHCP server has one range");
    if (range && ((number_of(range->start) & mask) != net || (number_of(range->end) & mask) != net ||
                  number_of(range->start) > number_of(range->end)))
        return refuse(error, range->line, "the DHCP range has to be within the network, from its start to its end");
    return TRUE;
}

static VireoNetwork *describe(VboxTalk *talk, const Adapter *adapter)
{
    VireoNetwork *doc = g_new0(VireoNetwork, 1);

    doc->name = g_strdup(adapter->name);
    doc->has_uuid = vireo_model_uuid_parse(adapter->id, doc->uuid);
    doc->bridge = g_new0(VireoNetworkBridge, 1);
    doc->bridge->name = g_strdup(adapter->name);
    if (!number_of(adapter->address))
        return doc;
    VireoNetworkAddress *ip = g_new0(VireoNetworkAddress, 1);
    ip->address = g_strdup(adapter->address);
    ip->netmask = g_strdup(adapter->mask);
    vireo_list_append(&doc->ips, ip);
    const char *low = *adapter->dhcp ? VBOX_GET(talk, idhcp_server_get_lower_ip, adapter->dhcp) : "";
    if (!number_of(low))
        return doc;
    VireoNetworkDhcpRange *range = g_new0(VireoNetworkDhcpRange, 1);
    range->start = g_strdup(low);
    range->end = g_strdup(VBOX_GET(talk, idhcp_server_get_upper_ip, adapter->dhcp));
    ip->dhcp = g_new0(VireoNetworkDhcp, 1);
    vireo_list_append(&ip->dhcp->ranges, range);
    return doc;
}

/* ---- changing -------------------------------------------------------------------------------- */

static const char *need_dhcp(VboxTalk *talk, const Adapter *adapter)
{
    const char *network = VBOX_GET(talk, i_host_network_interface_get_network_name, adapter->ref);

    return *adapter->dhcp ? adapter->dhcp
                          : VBOX_CALL(talk, i_virtual_box_create_dhcp_server, ._this = talk->web, .name = network)
                                ->returnval;
}

/* A server that serves nothing, and that is switched off, says that the network is inactive; nothing else can. */
static void switch_dhcp(VboxTalk *talk, const Adapter *adapter, gboolean range, gboolean active)
{
    if (active && !range) {
        if (*adapter->dhcp)
            VBOX_CALL(talk, i_virtual_box_remove_dhcp_server, ._this = talk->web, .server = adapter->dhcp);
        return;
    }
    const char *dhcp = need_dhcp(talk, adapter);
    VBOX_CALL(talk, idhcp_server_set_enabled, ._this = dhcp, .enabled = active);
    if (talk->error || active)
        return;
    VBOX_CALL(talk, idhcp_server_stop, ._this = dhcp);
    g_clear_error(&talk->error); /* it does not run */
}

/* Its own address: the first that is neither the host's nor one it gives away. */
static guint32 dhcp_address(guint32 host, guint32 mask, guint32 from, guint32 to)
{
    guint32 number = (host & mask) + 1;

    while (number == host || (number >= from && number <= to))
        number++;
    return number;
}

static void apply_range(VboxTalk *talk, Adapter *adapter, const VireoNetwork *doc, const VireoNetworkDhcpRange *range)
{
    const VireoNetworkAddress *ip = doc->ips.items[0];
    guint32 host = number_of(ip->address), mask = mask_of(ip);
    guint32 own = dhcp_address(host, mask, number_of(range->start), number_of(range->end));
    char mask_text[INET_ADDRSTRLEN], own_text[INET_ADDRSTRLEN];

    if ((own & mask) != (host & mask) || own == (host | ~mask))
        vbox_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                         "the DHCP range leaves no address for the DHCP server itself");
    spell(mask, mask_text);
    spell(own, own_text);
    adapter->dhcp = need_dhcp(talk, adapter);
    VBOX_CALL(talk, idhcp_server_set_configuration, ._this = adapter->dhcp, .ip_address = own_text,
              .network_mask = mask_text, .from_ip_address = range->start, .to_ip_address = range->end);
}

static void apply(VboxTalk *talk, Adapter *adapter, const VireoNetwork *doc, gboolean active)
{
    const VireoNetworkDhcpRange *range = range_of(doc);

    if (doc->ips.n) {
        char mask[INET_ADDRSTRLEN];

        spell(mask_of(doc->ips.items[0]), mask);
        VBOX_CALL(talk, i_host_network_interface_enable_static_ip_config, ._this = adapter->ref,
                  .ip_address = doc->ips.items[0]->address, .network_mask = mask);
    }
    if (range)
        apply_range(talk, adapter, doc, range);
    else if (*adapter->dhcp) {
        VBOX_CALL(talk, i_virtual_box_remove_dhcp_server, ._this = talk->web, .server = adapter->dhcp);
        adapter->dhcp = "";
    }
    switch_dhcp(talk, adapter, range != NULL, active);
}

static void remove_adapter(VboxTalk *talk, vireo_call *call, const char *id)
{
    const char *host = VBOX_GET(talk, i_virtual_box_get_host, talk->web);
    const char *progress =
        VBOX_CALL(talk, i_host_remove_host_only_network_interface, ._this = host, .id = id)->returnval;

    if (!talk->error)
        vbox_talk_follow(talk, call, progress);
}

/* VirtualBox decides on name and UUID. */
static void check_identity(VboxTalk *talk, const VireoNetwork *doc, const Adapter *adapter)
{
    guint8 uuid[16];

    if (!g_str_equal(doc->name, adapter->name))
        vbox_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                         "VirtualBox names its host-only adapters itself: a new one is called '%s', not '%s'",
                         adapter->name, doc->name);
    else if (doc->has_uuid && (!vireo_model_uuid_parse(adapter->id, uuid) || memcmp(uuid, doc->uuid, 16) != 0))
        vbox_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                         "VirtualBox gives its host-only adapters their UUIDs: '%s' has %s", adapter->name,
                         adapter->id);
}

static void create_adapter(VboxTalk *talk, vireo_call *call, const VireoNetwork *doc, gboolean active, Adapter *adapter)
{
    const char *host = VBOX_GET(talk, i_virtual_box_get_host, talk->web);
    const vw_i_host_create_host_only_network_interface_ret *made =
        VBOX_CALL(talk, i_host_create_host_only_network_interface, ._this = host);

    if (talk->error || !vbox_talk_follow(talk, call, made->returnval))
        return;
    adapter_read(talk, made->host_interface, adapter);
    check_identity(talk, doc, adapter);
    apply(talk, adapter, doc, active);
    if (!talk->error)
        return;
    GError *before = g_steal_pointer(&talk->error);
    remove_adapter(talk, NULL, adapter->id);
    g_clear_error(&talk->error);
    talk->error = before;
}

static gboolean find_named(VboxTalk *talk, const char *name, Adapter *adapter)
{
    const char *host = VBOX_GET(talk, i_virtual_box_get_host, talk->web);
    const vw_i_host_find_host_network_interfaces_of_type_ret *refs =
        VBOX_CALL(talk, i_host_find_host_network_interfaces_of_type, ._this = host,
                  .type = VW_HOST_NETWORK_INTERFACE_TYPE_HOST_ONLY);

    for (guint i = 0; i < refs->returnval.n; i++)
        if (g_str_equal(VBOX_GET(talk, i_host_network_interface_get_name, refs->returnval.items[i]), name)) {
            adapter_read(talk, refs->returnval.items[i], adapter);
            return TRUE;
        }
    return FALSE;
}

/* start: it is active afterwards; else as it was, and a new one is not. */
static int make(VboxConn *conn, vireo_call *call, const char *xml, gboolean validate, gboolean start,
                vireo_network_ref *net)
{
    GError *error = NULL;
    g_autoptr(VireoNetwork) doc = vireo_network_parse(
        xml, VIREO_MODEL_PARSE_INACTIVE | (validate ? VIREO_MODEL_PARSE_VALIDATE : 0), &error);
    Adapter adapter = {0};
    VboxTalk talk;

    if (!doc || !vireo_model_path_set_check(conn->driver->honoured_network, doc, &error) || !check(doc, &error))
        return vbox_fail(conn->driver, call, error);
    vbox_begin(&talk, conn, call);
    if (find_named(&talk, doc->name, &adapter)) {
        check_identity(&talk, doc, &adapter);
        apply(&talk, &adapter, doc, start || is_active(&adapter));
    } else if (!talk.error)
        create_adapter(&talk, call, doc, start, &adapter);
    if (!talk.error) {
        net->name = conn->driver->host->strdup(call, adapter.name);
        vireo_model_uuid_parse(adapter.id, net->uuid);
    }
    vbox_network_read_all(&talk, FALSE);
    return vbox_talk_finish(&talk, call);
}

int vbox_network_define_xml_flags(void *handle, vireo_call *call, const vireo_network_define_xml_flags_args *args,
                                  vireo_network_define_xml_flags_ret *ret)
{
    return make(handle, call, args->xml, (args->flags & VIREO_NETWORK_DEFINE_VALIDATE) != 0, FALSE, &ret->net);
}

int vbox_network_create_xml_flags(void *handle, vireo_call *call, const vireo_network_create_xml_flags_args *args,
                                  vireo_network_create_xml_flags_ret *ret)
{
    return make(handle, call, args->xml, (args->flags & VIREO_NETWORK_CREATE_VALIDATE) != 0, TRUE, &ret->net);
}

typedef enum { START, STOP, REMOVE } Action;

static void act(VboxTalk *talk, vireo_call *call, const Adapter *adapter, Action what)
{
    gboolean range = *adapter->dhcp && number_of(VBOX_GET(talk, idhcp_server_get_lower_ip, adapter->dhcp));

    if (what == START && is_active(adapter))
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID, "network '%s' is active already", adapter->name);
    else if (what == STOP && !is_active(adapter))
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID, "network '%s' is not active", adapter->name);
    if (what == START && !adapter->up)
        VBOX_CALL(talk, i_host_network_interface_enable_static_ip_config, ._this = adapter->ref,
                  .ip_address = adapter->address, .network_mask = adapter->mask);
    if (what != REMOVE) {
        switch_dhcp(talk, adapter, range, what == START);
        return;
    }
    remove_adapter(talk, call, adapter->id);
    if (!talk->error && *adapter->dhcp)
        VBOX_CALL(talk, i_virtual_box_remove_dhcp_server, ._this = talk->web, .server = adapter->dhcp);
}

static int run(VboxConn *conn, vireo_call *call, const vireo_network_ref *net, Action what)
{
    Adapter adapter;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    adapter_find(&talk, net, &adapter);
    act(&talk, call, &adapter, what);
    GError *failed = g_steal_pointer(&talk.error);
    vbox_network_read_all(&talk, FALSE);
    if (failed) {
        g_clear_error(&talk.error);
        talk.error = failed;
    }
    return vbox_talk_finish(&talk, call);
}

int vbox_network_create(void *handle, vireo_call *call, const vireo_network_create_args *args)
{
    return run(handle, call, &args->net, START);
}

int vbox_network_destroy(void *handle, vireo_call *call, const vireo_network_destroy_args *args)
{
    return run(handle, call, &args->net, STOP);
}

int vbox_network_undefine(void *handle, vireo_call *call, const vireo_network_undefine_args *args)
{
    return run(handle, call, &args->net, REMOVE);
}

/* Whether what a call means is published. */
static gboolean is_known(VboxConn *conn, vireo_call *call, const vireo_network_ref *net)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&conn->server->lock);
    const Network *known = g_hash_table_lookup(conn->server->networks, net->name);

    if (known && memcmp(known->uuid, net->uuid, sizeof known->uuid) == 0)
        return TRUE;
    conn->driver->host->fail(call, VIREO_ERR_NO_NETWORK, "there is no host-only adapter '%s'", net->name);
    return FALSE;
}

int vbox_network_set_autostart(void *handle, vireo_call *call, const vireo_network_set_autostart_args *args)
{
    VboxConn *conn = handle;

    if (!is_known(conn, call, &args->net))
        return VIREO_FAIL;
    if (!args->autostart)
        return VIREO_OK;
    return conn->driver->host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED,
                                    "VirtualBox brings the adapter '%s' up when a machine that uses it starts: it has "
                                    "no other autostart of networks",
                                    args->net.name);
}

/* ---- asking ------------------------------------------------------------------------------------ */

int vbox_network_get_bridge_name(void *handle, vireo_call *call, const vireo_network_get_bridge_name_args *args,
                                 vireo_network_get_bridge_name_ret *ret)
{
    VboxConn *conn = handle;

    if (!is_known(conn, call, &args->net))
        return VIREO_FAIL;
    ret->name = conn->driver->host->strdup(call, args->net.name);
    return VIREO_OK;
}

int vbox_network_get_xml_desc(void *handle, vireo_call *call, const vireo_network_get_xml_desc_args *args,
                              vireo_network_get_xml_desc_ret *ret)
{
    VboxConn *conn = handle;
    Adapter adapter;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    adapter_find(&talk, &args->net, &adapter);
    g_autoptr(VireoNetwork) doc = describe(&talk, &adapter);
    if (!talk.error) {
        g_autofree char *text = vireo_network_format(doc, 0);
        ret->xml = conn->driver->host->strdup(call, text);
    }
    return vbox_talk_finish(&talk, call);
}

/* The MAC addresses of cards on that adapter, as VirtualBox spells them. */
static GPtrArray *cards_on(VboxTalk *talk, const char *name)
{
    GPtrArray *all = g_ptr_array_new();
    g_autoptr(GPtrArray) machines = vireo_machines_all(talk->server->machines);

    for (guint i = 0; i < machines->len && !talk->error; i++) {
        const char *machine = vbox_machine_ref(talk, ((VboxMachine *)machines->pdata[i])->uuid);

        for (guint slot = 0; slot < VBOX_CARDS; slot++) {
            const char *ref = VBOX_CALL(talk, i_machine_get_network_adapter, ._this = machine, .slot = slot)->returnval;

            if (VBOX_GET(talk, i_network_adapter_get_enabled, ref) &&
                VBOX_GET(talk, i_network_adapter_get_attachment_type, ref) == VW_NETWORK_ATTACHMENT_TYPE_HOST_ONLY &&
                g_str_equal(VBOX_GET(talk, i_network_adapter_get_host_only_interface, ref), name))
                g_ptr_array_add(all, (char *)VBOX_GET(talk, i_network_adapter_get_mac_address, ref));
        }
    }
    return all;
}

/* VirtualBox is asked for one address at a time. FALSE: it knows no lease for that one. */
static gboolean read_lease(VboxTalk *talk, vireo_call *call, const Adapter *adapter, const char *mac,
                           vireo_network_dhcp_lease *lease)
{
    const struct vireo_host *host = talk->server->driver->host;
    const vw_idhcp_server_find_lease_by_mac_ret *found =
        VBOX_CALL(talk, idhcp_server_find_lease_by_mac, ._this = adapter->dhcp, .mac = mac);

    if (talk->error && vireo_soap_fault(talk->error)) {
        g_clear_error(&talk->error); /* no lease, or no lease at all yet */
        return FALSE;
    }
    if (talk->error || !g_str_equal(found->state, "acked"))
        return FALSE;
    *lease = (vireo_network_dhcp_lease){.iface = host->strdup(call, adapter->name),
                                        .expirytime = found->issued + found->expire,
                                        .type = VIREO_IP_ADDR_TYPE_IPV4,
                                        .mac = host->strdup(call, mac),
                                        .ipaddr = host->strdup(call, found->address),
                                        .prefix = (guint)__builtin_popcount(number_of(adapter->mask))};
    return TRUE;
}

int vbox_network_get_dhcp_leases(void *handle, vireo_call *call, const vireo_network_get_dhcp_leases_args *args,
                                 vireo_network_get_dhcp_leases_ret *ret)
{
    VboxConn *conn = handle;
    Adapter adapter;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    adapter_find(&talk, &args->net, &adapter);
    g_autoptr(GPtrArray) cards = cards_on(&talk, adapter.name);
    ret->leases.val = conn->driver->host->alloc(call, sizeof *ret->leases.val * (cards->len + 1));
    for (guint i = 0; i < cards->len && *adapter.dhcp && !talk.error; i++) {
        g_autofree char *mac = vbox_spell_mac(cards->pdata[i]);

        if ((!args->mac || g_ascii_strcasecmp(args->mac, mac) == 0) &&
            read_lease(&talk, call, &adapter, mac, &ret->leases.val[ret->leases.len]))
            ret->leases.len++;
    }
    ret->ret = ret->leases.len;
    return vbox_talk_finish(&talk, call);
}
