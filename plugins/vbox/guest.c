/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine's note, and what the Guest Additions in it tell. */
#include "ops.h"

#include <gio/gio.h>
#include <string.h>

#include "spec.h"

/* ---- the description --------------------------------------------------------------------- */

static gboolean is_description(VboxConn *conn, vireo_call *call, int type, int code)
{
    if (type == VIREO_DOMAIN_METADATA_DESCRIPTION)
        return TRUE;
    conn->driver->host->fail(call, code,
                             "a machine of VirtualBox has a description, and neither a title nor other metadata");
    return FALSE;
}

int vbox_domain_get_metadata(void *handle, vireo_call *call, const vireo_domain_get_metadata_args *args,
                             vireo_domain_get_metadata_ret *ret)
{
    VboxConn *conn = handle;
    VboxTalk talk;

    if (!is_description(conn, call, args->type, VIREO_ERR_NO_DOMAIN_METADATA))
        return VIREO_FAIL;
    vbox_begin(&talk, conn, call);
    const char *note = VBOX_GET(&talk, i_machine_get_description, vbox_machine_ref(&talk, args->dom.uuid));
    if (!*note)
        vbox_talk_refuse(&talk, VIREO_ERR_NO_DOMAIN_METADATA, "domain '%s' has no description", args->dom.name);
    ret->metadata = conn->driver->host->strdup(call, note);
    return vbox_talk_finish(&talk, call);
}

int vbox_domain_set_metadata(void *handle, vireo_call *call, const vireo_domain_set_metadata_args *args)
{
    VboxConn *conn = handle;
    VboxHold hold;
    VboxTalk talk;

    if (!is_description(conn, call, args->type, VIREO_ERR_ARGUMENT_UNSUPPORTED))
        return VIREO_FAIL;
    vbox_begin(&talk, conn, call);
    if (vbox_hold(&talk, vbox_machine_ref(&talk, args->dom.uuid), &hold)) {
        VBOX_CALL(&talk, i_machine_set_description, ._this = hold.machine,
                  .description = args->metadata ? args->metadata : "");
        VBOX_CALL(&talk, i_machine_save_settings, ._this = hold.machine);
        vbox_let_go(&talk, &hold);
    }
    return vbox_talk_finish(&talk, call);
}

/* ---- addresses ------------------------------------------------------------------------------ */

static const char *told(VboxTalk *talk, const char *machine, guint card, const char *what)
{
    g_autofree char *name = g_strdup_printf("/VirtualBox/GuestInfo/Net/%u/%s", card, what);

    return VBOX_CALL(talk, i_machine_get_guest_property_value, ._this = machine, .property = name)->returnval;
}

static guint prefix_of(const char *mask)
{
    g_autoptr(GInetAddress) address = g_inet_address_new_from_string(mask);
    guint32 bits = 0;

    if (address && g_inet_address_get_native_size(address) == sizeof bits)
        memcpy(&bits, g_inet_address_to_bytes(address), sizeof bits);
    return (guint)__builtin_popcount(bits);
}

static void read_card(VboxTalk *talk, vireo_call *call, const char *machine, guint card, vireo_domain_interface *into)
{
    const struct vireo_host *host = talk->server->driver->host;
    const char *address = told(talk, machine, card, "V4/IP"), *name = told(talk, machine, card, "Name");
    g_autofree char *mac = vbox_spell_mac(told(talk, machine, card, "MAC")),
                    *number = g_strdup_printf("%u", card);

    into->name = host->strdup(call, *name ? name : number);
    into->hwaddr = host->strdup(call, mac);
    into->addrs.val = host->alloc(call, sizeof *into->addrs.val);
    if (!*address)
        return;
    into->addrs.len = 1;
    into->addrs.val[0] = (vireo_domain_ip_addr){.type = VIREO_IP_ADDR_TYPE_IPV4,
                                                .addr = host->strdup(call, address),
                                                .prefix = prefix_of(told(talk, machine, card, "V4/Netmask"))};
}

/* The guest writes them, anything it likes: there are no more than a machine has cards. */
int vbox_domain_interface_addresses(void *handle, vireo_call *call, const vireo_domain_interface_addresses_args *args,
                                    vireo_domain_interface_addresses_ret *ret)
{
    VboxConn *conn = handle;
    VboxTalk talk;

    if (args->source != VIREO_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
        return conn->driver->host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED,
                                        "addresses are known from the Guest Additions: ask the source 'agent'");
    vbox_begin(&talk, conn, call);
    const char *machine = vbox_machine_ref(&talk, args->dom.uuid);
    if (!talk.error && !vbox_state_is_active(VBOX_GET(&talk, i_machine_get_state, machine)))
        vbox_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", args->dom.name);
    const char *count = VBOX_CALL(&talk, i_machine_get_guest_property_value, ._this = machine,
                                  .property = "/VirtualBox/GuestInfo/Net/Count")
                            ->returnval;
    if (!*count)
        vbox_talk_refuse(&talk, VIREO_ERR_AGENT_UNRESPONSIVE,
                         "the Guest Additions of domain '%s' tell nothing: there may be none", args->dom.name);
    guint n = (guint)MIN(g_ascii_strtoull(count, NULL, 10), VBOX_CARDS);
    ret->ifaces.val = conn->driver->host->alloc(call, sizeof *ret->ifaces.val * (n + 1));
    for (guint card = 0; card < n && !talk.error; card++)
        read_card(&talk, call, machine, card, &ret->ifaces.val[ret->ifaces.len++]);
    return vbox_talk_finish(&talk, call);
}
