/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Virtual switches as networks: they are always there, and made by whoever manages the host. */
#include "ops.h"

#include <string.h>

#include "spec.h"

static void publish(HypervServer *server, const char *guid, const char *name)
{
    struct vireo_object object = {
        .size = sizeof object,
        .klass = VIREO_CLASS_NETWORK,
        .name = name,
        .id = -1,
        .flags = VIREO_OBJECT_PERSISTENT | VIREO_OBJECT_QUIET | VIREO_OBJECT_ACTIVE | VIREO_OBJECT_AUTOSTART,
        .event = -1,
    };

    vireo_model_uuid_parse(guid, object.uuid);
    server->driver->host->publish(server->space, &object);
}

static void withdraw(HypervServer *server, const char *guid, const char *name)
{
    guint8 uuid[16];

    vireo_model_uuid_parse(guid, uuid);
    server->driver->host->withdraw(server->space, VIREO_CLASS_NETWORK, name, uuid);
}

static gboolean is_value(gpointer key, gpointer value, gpointer wanted)
{
    (void)key;
    return g_str_equal(value, wanted);
}

void hyperv_network_read_all(HypervTalk *talk)
{
    HypervServer *server = talk->server;
    const GPtrArray *all = hyperv_query(talk, HYPERV_SPACE, "select Name,ElementName from Msvm_VirtualEthernetSwitch");
    GHashTable *there = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter iter;
    gpointer guid, name;

    for (guint i = 0; i < all->len; i++) {
        g_autofree char *id = g_ascii_strup(vireo_cim_string(all->pdata[i], "Name"), -1);
        const char *given = vireo_cim_string(all->pdata[i], "ElementName");
        gboolean taken = g_hash_table_find(there, is_value, (gpointer)given) != NULL;

        if (hyperv_is_guid(id))
            g_hash_table_replace(there, g_strdup(id), taken ? g_strdup_printf("%s (%s)", given, id) : g_strdup(given));
    }
    if (talk->error) {
        g_hash_table_unref(there);
        return;
    }
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    g_hash_table_iter_init(&iter, server->networks);
    while (g_hash_table_iter_next(&iter, &guid, &name))
        if (!g_hash_table_contains(there, guid))
            withdraw(server, guid, name);
    g_hash_table_iter_init(&iter, there);
    while (g_hash_table_iter_next(&iter, &guid, &name))
        publish(server, guid, name);
    g_hash_table_unref(server->networks);
    server->networks = there;
}

void hyperv_network_clear(HypervServer *server)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    GHashTableIter iter;
    gpointer guid, name;

    g_hash_table_iter_init(&iter, server->networks);
    while (g_hash_table_iter_next(&iter, &guid, &name))
        withdraw(server, guid, name);
    g_hash_table_remove_all(server->networks);
}

static char *known_switch(HypervServer *server, const char *name)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    GHashTableIter iter;
    gpointer guid, known;

    g_hash_table_iter_init(&iter, server->networks);
    while (g_hash_table_iter_next(&iter, &guid, &known))
        if (g_str_equal(known, name))
            return g_strdup(guid);
    return NULL;
}

char *hyperv_switch_named(HypervTalk *talk, const char *name)
{
    char *guid = known_switch(talk->server, name);

    if (guid || talk->error)
        return guid;
    hyperv_network_read_all(talk); /* somebody may just have made it */
    guid = known_switch(talk->server, name);
    if (!guid)
        hyperv_talk_refuse(talk, VIREO_ERR_NO_NETWORK, "there is no virtual switch '%s'", name);
    return guid;
}

int hyperv_network_get_xml_desc(void *handle, vireo_call *call, const vireo_network_get_xml_desc_args *args,
                                vireo_network_get_xml_desc_ret *ret)
{
    HypervConn *conn = handle;
    g_autoptr(VireoNetwork) doc = g_new0(VireoNetwork, 1);
    g_autofree char *guid = known_switch(conn->server, args->net.name);

    if (!guid)
        return conn->driver->host->fail(call, VIREO_ERR_NO_NETWORK, "there is no virtual switch '%s' any more",
                                        args->net.name);
    doc->name = g_strdup(args->net.name);
    doc->has_uuid = TRUE;
    memcpy(doc->uuid, args->net.uuid, 16);
    g_autofree char *text = vireo_network_format(doc, 0);
    ret->xml = conn->driver->host->strdup(call, text);
    return VIREO_OK;
}
