/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Networks are the host's virtual switches, with their port groups; what they are cannot be changed, only made anew. */
#include "ops.h"

#include <string.h>

#include "kit/document.h"

#define PORTS 128

/* ---- describing ------------------------------------------------------------------------ */

static gpointer item(const VireoSoapValue *list, guint index, const VireoSoapType *type)
{
    return vireo_soap_value_struct(vireo_soap_value_item(list, index), type);
}

static VimHostVirtualSwitch *switch_named(const VimObjectContent *host, const char *name)
{
    const VireoSoapValue *list = esx_property(host, "config.network.vswitch");

    for (guint i = 0; i < vireo_soap_value_length(list); i++) {
        VimHostVirtualSwitch *one = item(list, i, &vim_host_virtual_switch_type);

        if (one && g_str_equal(one->name, name))
            return one;
    }
    return NULL;
}

/* Of those of the host, the ones on that switch. */
static GPtrArray *groups_of(const VimObjectContent *host, const char *name)
{
    const VireoSoapValue *list = esx_property(host, "config.network.portgroup");
    GPtrArray *all = g_ptr_array_new();

    for (guint i = 0; i < vireo_soap_value_length(list); i++) {
        VimHostPortGroup *one = item(list, i, &vim_host_port_group_type);

        if (one && g_str_equal(one->spec->vswitch_name, name))
            g_ptr_array_add(all, one);
    }
    return all;
}

/* Whether the host itself is on it, and machines are not. */
static gboolean is_the_hosts(const VimObjectContent *host, const char *group)
{
    const VireoSoapValue *list = esx_property(host, "config.network.vnic");

    for (guint i = 0; i < vireo_soap_value_length(list); i++) {
        const VimHostVirtualNic *one = item(list, i, &vim_host_virtual_nic_type);

        if (one && g_str_equal(one->portgroup, group))
            return TRUE;
    }
    return FALSE;
}

/* The server counts bits per second and bytes, documents KiB. */
static VireoBandwidth *describe_shaping(const VimHostNetworkPolicy *policy)
{
    const VimHostNetworkTrafficShapingPolicy *shaping = policy ? policy->shaping_policy : NULL;

    if (!shaping || !shaping->has_enabled || !shaping->enabled)
        return NULL;
    VireoBandwidth *bandwidth = g_new0(VireoBandwidth, 1);
    VireoBandwidthRate rate = {
        .has_average = shaping->has_average_bandwidth, .average = (guint64)shaping->average_bandwidth / 8000,
        .has_peak = shaping->has_peak_bandwidth, .peak = (guint64)shaping->peak_bandwidth / 8000,
        .has_burst = shaping->has_burst_size, .burst = (guint64)shaping->burst_size / 1024,
    };
    bandwidth->inbound = g_memdup2(&rate, sizeof rate);
    bandwidth->outbound = g_memdup2(&rate, sizeof rate);
    return bandwidth;
}

static void add_uplink(VireoNetwork *doc, const char *device)
{
    VireoNetworkForwardInterface *interface = g_new0(VireoNetworkForwardInterface, 1);

    if (!doc->forward) {
        doc->forward = g_new0(VireoNetworkForward, 1);
        doc->forward->mode = VIREO_NETWORK_FORWARD_MODE_BRIDGE;
        doc->forward->dev = g_strdup(device);
    }
    interface->dev = g_strdup(device);
    vireo_list_append(&doc->forward->interfaces, interface);
}

static void describe_uplinks(VireoNetwork *doc, const VimHostVirtualSwitch *is)
{
    gpointer bridge = is->spec ? is->spec->bridge : NULL;
    const VimHostVirtualSwitchBondBridge *bond = vireo_soap_cast(bridge, &vim_host_virtual_switch_bond_bridge_type);
    const VimHostVirtualSwitchSimpleBridge *one = vireo_soap_cast(bridge, &vim_host_virtual_switch_simple_bridge_type);

    for (guint i = 0; bond && i < bond->nic_device.n; i++)
        add_uplink(doc, bond->nic_device.items[i]);
    if (one)
        add_uplink(doc, one->nic_device);
}

static void describe_group(VireoNetwork *doc, const VimHostPortGroupSpec *spec)
{
    VireoNetworkPortGroup *group = g_new0(VireoNetworkPortGroup, 1);

    group->name = g_strdup(spec->name);
    group->bandwidth = describe_shaping(spec->policy);
    if (spec->vlan_id > 0) {
        VireoVlanTag *tag = g_new0(VireoVlanTag, 1);

        tag->has_id = TRUE;
        tag->id = (guint32)spec->vlan_id;
        group->vlan = g_new0(VireoVlan, 1);
        vireo_list_append(&group->vlan->tags, tag);
    }
    vireo_list_append(&doc->portgroups, group);
}

static VireoNetwork *describe(const EsxThing *thing, const VimHostVirtualSwitch *is, const VimObjectContent *host)
{
    g_autoptr(GPtrArray) groups = groups_of(host, thing->name);
    VireoNetwork *doc = g_new0(VireoNetwork, 1);

    doc->name = g_strdup(thing->name);
    doc->has_uuid = TRUE;
    memcpy(doc->uuid, thing->uuid, 16);
    doc->bandwidth = is->spec ? describe_shaping(is->spec->policy) : NULL;
    describe_uplinks(doc, is);
    for (guint i = 0; i < groups->len; i++) {
        const VimHostPortGroup *group = groups->pdata[i];

        if (!is_the_hosts(host, group->spec->name))
            describe_group(doc, group->spec);
    }
    return doc;
}

/* Everything about the host's networks, in arena; NULL: failed. */
static VimObjectContent *ask(EsxConn *conn, const VireoHttpWait *wait, VireoArena *arena, GError **error)
{
    static const char *const paths[] = { "config.network.vswitch", "config.network.portgroup",
                                         "config.network.vnic", "configManager.networkSystem" };

    return esx_properties_of(conn->server, conn->server->host, paths, G_N_ELEMENTS(paths), wait, arena, error);
}

static gboolean not_there(const char *name, GError **error)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_NETWORK, "the host has no switch '%s' any more", name);
    return FALSE;
}

static char *describe_named(EsxConn *conn, vireo_call *call, const char *name, GError **error)
{
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) thing = esx_thing_find(conn->server, ESX_NETWORKS, name);
    VimObjectContent *host = ask(conn, &wait, arena, error);
    const VimHostVirtualSwitch *is = host ? switch_named(host, name) : NULL;

    if (!host || ((!thing || !is) && !not_there(name, error)))
        return NULL;
    VireoNetwork *doc = describe(thing, is, host);
    char *text = vireo_network_format(doc, 0);
    vireo_network_free(doc);
    return text;
}

int esx_network_get_xml_desc(void *handle, vireo_call *call, const vireo_network_get_xml_desc_args *args,
                             vireo_network_get_xml_desc_ret *ret)
{
    EsxConn *conn = handle;
    GError *error = NULL;
    g_autofree char *text = describe_named(conn, call, args->net.name, &error);

    if (!text)
        return esx_fail(conn->driver, call, error);
    ret->xml = conn->driver->host->strdup(call, text);
    return VIREO_OK;
}

/* The host sets up its switches by itself, always. */
int esx_network_set_autostart(void *handle, vireo_call *call, const vireo_network_set_autostart_args *args)
{
    EsxConn *conn = handle;

    if (args->autostart)
        return VIREO_OK;
    return conn->driver->host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED,
                                    "network '%s': the host sets up all of its switches when it starts", args->net.name);
}

/* ---- making and removing ----------------------------------------------------------------- */

typedef struct {
    EsxConn *conn;
    const VireoHttpWait *wait;
    VireoArena *arena;
    EsxRef *system; /* HostNetworkSystem */
} Talk;

static const char *const honoured[] = {
    "network.name", "network.uuid", "network.connections", "network.forward.dev", "network.forward.mode",
    "network.forward.interface.dev", "network.forward.interface.connections", "network.bandwidth.*",
    "network.portgroup.name", "network.portgroup.vlan.tag.id", "network.portgroup.bandwidth.*", NULL,
};

static gboolean refuse(GError **error, const VireoNetwork *doc, const char *why)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_CONFIG_UNSUPPORTED, "network '%s': %s", doc->name, why);
    return FALSE;
}

static gboolean same_rate(const VireoBandwidthRate *one, const VireoBandwidthRate *other)
{
    return one && other && one->average == other->average && one->peak == other->peak && one->burst == other->burst;
}

/* FALSE: refused. *shaping: NULL when there is none. */
static gboolean make_shaping(const VireoNetwork *doc, const VireoBandwidth *bandwidth, VireoArena *arena,
                             VimHostNetworkTrafficShapingPolicy **shaping, GError **error)
{
    *shaping = NULL;
    if (!bandwidth || (!bandwidth->inbound && !bandwidth->outbound))
        return TRUE;
    const VireoBandwidthRate *rate = bandwidth->inbound;
    if (!same_rate(rate, bandwidth->outbound) || rate->has_floor)
        return refuse(error, doc, "a switch has one <bandwidth>: inbound and outbound are the same, without a floor");
    if (!rate->average || !rate->peak || !rate->burst || MAX(rate->average, rate->peak) > G_MAXINT64 / 8000 ||
        rate->burst > G_MAXINT64 / 1024)
        return refuse(error, doc, "its <bandwidth> needs average, peak and burst");
    *shaping = vireo_arena_alloc(arena, sizeof **shaping);
    **shaping = (VimHostNetworkTrafficShapingPolicy){
        .has_enabled = TRUE, .enabled = TRUE, .has_average_bandwidth = TRUE, .has_peak_bandwidth = TRUE,
        .has_burst_size = TRUE, .average_bandwidth = (gint64)rate->average * 8000,
        .peak_bandwidth = (gint64)rate->peak * 8000, .burst_size = (gint64)rate->burst * 1024,
    };
    return TRUE;
}

static gboolean add_name(GPtrArray *names, EsxServer *server, const VireoNetwork *doc, const char *device, GError **error)
{
    g_autoptr(EsxThing) card = esx_thing_find(server, ESX_CARDS, device);

    for (guint i = 0; i < names->len; i++)
        if (g_str_equal(names->pdata[i], device))
            return TRUE;
    g_ptr_array_add(names, (char *)device);
    if (card)
        return TRUE;
    g_set_error(error, VIREO_ERROR, VIREO_ERR_CONFIG_UNSUPPORTED, "network '%s': the host has no network card '%s'", doc->name,
                device);
    return FALSE;
}

static gboolean take_uplinks(EsxServer *server, const VireoNetwork *doc, GPtrArray *names, GError **error)
{
    const VireoNetworkForward *forward = doc->forward;

    if (!forward)
        return TRUE;
    if (forward->mode != VIREO_NETWORK_FORWARD_MODE_BRIDGE)
        return refuse(error, doc, "its forward mode is bridge, or it has no <forward>");
    if (forward->dev && !add_name(names, server, doc, forward->dev, error))
        return FALSE;
    for (guint i = 0; i < forward->interfaces.n; i++)
        if (!add_name(names, server, doc, forward->interfaces.items[i]->dev, error))
            return FALSE;
    return names->len || refuse(error, doc, "its <forward> needs an <interface>");
}

static gboolean add_switch(const Talk *talk, const VireoNetwork *doc, GPtrArray *names, GError **error)
{
    VimHostVirtualSwitchBondBridge bond = { .base.soap.type = &vim_host_virtual_switch_bond_bridge_type,
                                            .nic_device = { names->len, (const char **)names->pdata } };
    VimHostNetworkPolicy policy = { .shaping_policy = NULL };
    VimHostVirtualSwitchSpec spec = { .num_ports = PORTS, .bridge = names->len ? &bond.base : NULL };
    VimAddVirtualSwitchArgs args = { ._this = talk->system, .vswitch_name = doc->name, .spec = &spec };

    if (!make_shaping(doc, doc->bandwidth, talk->arena, &policy.shaping_policy, error))
        return FALSE;
    spec.policy = policy.shaping_policy ? &policy : NULL;
    return vim_add_virtual_switch(talk->conn->server->soap, &args, talk->wait, talk->arena, error) != NULL;
}

static gboolean add_group(const Talk *talk, const VireoNetwork *doc, const VireoNetworkPortGroup *group, gboolean try,
                          GError **error)
{
    VimHostNetworkPolicy policy = { .shaping_policy = NULL };
    VimHostPortGroupSpec spec = { .name = group->name, .vswitch_name = doc->name, .policy = &policy };
    VimAddPortGroupArgs args = { ._this = talk->system, .portgrp = &spec };

    if (group->vlan && (group->vlan->tags.n != 1 || group->vlan->trunk == VIREO_TRISTATE_YES))
        return refuse(error, doc, "the <vlan> of a port group has one tag");
    if (group->vlan)
        spec.vlan_id = (gint32)group->vlan->tags.items[0]->id;
    if (!make_shaping(doc, group->bandwidth, talk->arena, &policy.shaping_policy, error))
        return FALSE;
    return try || vim_add_port_group(talk->conn->server->soap, &args, talk->wait, talk->arena, error) != NULL;
}

static gboolean remove_group(const Talk *talk, const char *name, GError **error)
{
    VimRemovePortGroupArgs args = { ._this = talk->system, .pg_name = name };

    return vim_remove_port_group(talk->conn->server->soap, &args, talk->wait, talk->arena, error) != NULL;
}

static gboolean remove_switch(const Talk *talk, const char *name, GError **error)
{
    VimRemoveVirtualSwitchArgs args = { ._this = talk->system, .vswitch_name = name };

    return vim_remove_virtual_switch(talk->conn->server->soap, &args, talk->wait, talk->arena, error) != NULL;
}

/* All of it, or nothing. */
static gboolean add_all(const Talk *talk, const VireoNetwork *doc, GPtrArray *names, GError **error)
{
    guint made = 0;

    if (!add_switch(talk, doc, names, error))
        return FALSE;
    while (made < doc->portgroups.n && add_group(talk, doc, doc->portgroups.items[made], FALSE, error))
        made++;
    if (made == doc->portgroups.n)
        return TRUE;
    while (made--)
        remove_group(talk, doc->portgroups.items[made]->name, NULL);
    remove_switch(talk, doc->name, NULL);
    return FALSE;
}

/* The server makes the UUID; a document may have the right one. */
static gboolean has_its_uuid(const Talk *talk, const VireoNetwork *doc, GError **error)
{
    g_autoptr(EsxThing) made = esx_thing_find(talk->conn->server, ESX_NETWORKS, doc->name);

    if (!made)
        return not_there(doc->name, error);
    if (!doc->has_uuid || memcmp(doc->uuid, made->uuid, 16) == 0)
        return TRUE;
    for (guint i = 0; i < doc->portgroups.n; i++)
        remove_group(talk, doc->portgroups.items[i]->name, NULL);
    remove_switch(talk, doc->name, NULL);
    esx_things_read(talk->conn->server, FALSE, talk->wait, NULL);
    return refuse(error, doc, "the server gives it another UUID: leave the <uuid> out");
}

static gboolean check(const Talk *talk, const VireoNetwork *doc, GPtrArray *names, GError **error)
{
    g_autoptr(EsxThing) there = esx_thing_find(talk->conn->server, ESX_NETWORKS, doc->name);

    if (there) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_UNSUPPORTED,
                    "network '%s' exists: a definition does not change it (undefine it first)", doc->name);
        return FALSE;
    }
    if (!vireo_model_check(&vireo_network_type, doc, honoured, error) || !take_uplinks(talk->conn->server, doc, names, error))
        return FALSE;
    for (guint i = 0; i < doc->portgroups.n; i++)
        if (!add_group(talk, doc, doc->portgroups.items[i], TRUE, error))
            return FALSE;
    return TRUE;
}

/* Who to ask to change networks; FALSE: failed. */
static gboolean begin(Talk *talk, const VimObjectContent *host, GError **error)
{
    talk->system = host ? esx_property_ref(host, "configManager.networkSystem") : NULL;
    if (host && !talk->system)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_UNSUPPORTED, "this server lets nobody change the host's networks");
    return talk->system != NULL;
}

int esx_network_define_xml_flags(void *handle, vireo_call *call, const vireo_network_define_xml_flags_args *args,
                                 vireo_network_define_xml_flags_ret *ret)
{
    EsxConn *conn = handle;
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    guint how = VIREO_MODEL_PARSE_INACTIVE |
                (args->flags & VIREO_NETWORK_DEFINE_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0);
    Talk talk = { .conn = conn, .wait = &wait, .arena = arena };
    GError *error = NULL;
    VireoNetwork *doc = vireo_network_parse(args->xml, how, &error);
    gboolean good = doc && check(&talk, doc, names, &error) && begin(&talk, ask(conn, &wait, arena, &error), &error) &&
                    add_all(&talk, doc, names, &error) && esx_things_read(conn->server, FALSE, &wait, &error) &&
                    has_its_uuid(&talk, doc, &error);
    g_autoptr(EsxThing) made = good ? esx_thing_find(conn->server, ESX_NETWORKS, doc->name) : NULL;

    if (made) {
        ret->net.name = conn->driver->host->strdup(call, made->name);
        memcpy(ret->net.uuid, made->uuid, 16);
    } else if (good)
        not_there(doc->name, &error);
    vireo_network_free(doc);
    return made ? VIREO_OK : esx_fail(conn->driver, call, error);
}

static gboolean is_free(const char *name, const GPtrArray *groups, GError **error)
{
    for (guint i = 0; i < groups->len; i++) {
        const VimHostPortGroup *group = groups->pdata[i];

        if (group->port.n) { /* machines, and the host itself */
            g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID, "network '%s' is in use: port group '%s' has %u ports",
                        name, group->spec->name, group->port.n);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean undefine(Talk *talk, const char *name, GError **error)
{
    VimObjectContent *host = ask(talk->conn, talk->wait, talk->arena, error);
    gboolean good = begin(talk, host, error) && (switch_named(host, name) || not_there(name, error));
    g_autoptr(GPtrArray) groups = good ? groups_of(host, name) : NULL;

    good = good && is_free(name, groups, error);
    for (guint i = 0; good && i < groups->len; i++)
        good = remove_group(talk, ((VimHostPortGroup *)groups->pdata[i])->spec->name, error);
    return good && remove_switch(talk, name, error);
}

int esx_network_undefine(void *handle, vireo_call *call, const vireo_network_undefine_args *args)
{
    EsxConn *conn = handle;
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    Talk talk = { .conn = conn, .wait = &wait, .arena = arena };
    GError *error = NULL;
    gboolean good = undefine(&talk, args->net.name, &error);

    if (!esx_things_read(conn->server, FALSE, &wait, good ? &error : NULL))
        good = FALSE;
    return good ? VIREO_OK : esx_fail(conn->driver, call, error);
}
