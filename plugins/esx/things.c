/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a host has besides machines: datastores and iSCSI targets, switches and network cards, read together and published. */
#include "driver.h"

#include <string.h>

static void thing_clear(gpointer opaque)
{
    EsxThing *thing = opaque;

    esx_ref_free(thing->ref);
    g_free(thing->name);
    g_free(thing->key);
}

void esx_thing_unref(EsxThing *thing)
{
    if (thing)
        g_atomic_rc_box_release_full(thing, thing_clear);
}

static void thing_unref(gpointer thing)
{
    esx_thing_unref(thing);
}

/* uuid_of: what makes its UUID, the same as that of libvirt's driver; NULL: it needs none. */
static EsxThing *add(GPtrArray *things, const EsxRef *ref, const char *name, const char *key, const char *uuid_of, gboolean active)
{
    EsxThing *thing = g_atomic_rc_box_new0(EsxThing);
    g_autofree char *digest = uuid_of ? g_compute_checksum_for_string(G_CHECKSUM_MD5, uuid_of, -1) : NULL;

    thing->ref = ref ? esx_ref_copy(ref) : NULL;
    thing->name = g_strdup(name);
    thing->key = g_strdup(key);
    thing->active = active;
    if (digest)
        vireo_model_uuid_parse(digest, thing->uuid);
    g_ptr_array_add(things, thing);
    return thing;
}

/* ---- the lists ----------------------------------------------------------------------- */

static const guint classes[ESX_THINGS] = {
    [ESX_POOLS] = VIREO_CLASS_STORAGE_POOL, [ESX_NETWORKS] = VIREO_CLASS_NETWORK, [ESX_CARDS] = VIREO_CLASS_INTERFACE,
};

static EsxThing *among(const GPtrArray *things, const char *name, const guint8 *uuid)
{
    for (guint i = 0; things && i < things->len; i++) {
        EsxThing *thing = things->pdata[i];

        if ((!name || g_str_equal(thing->name, name)) && (!uuid || memcmp(thing->uuid, uuid, 16) == 0))
            return thing;
    }
    return NULL;
}

static int filter_of(EsxThings kind, const EsxThing *thing)
{
    return kind != ESX_POOLS                                ? 0
           : thing->kind == VIREO_STORAGE_POOL_KIND_DIR     ? VIREO_CONNECT_LIST_STORAGE_POOLS_DIR
           : thing->kind == VIREO_STORAGE_POOL_KIND_NETFS   ? VIREO_CONNECT_LIST_STORAGE_POOLS_NETFS
           : thing->kind == VIREO_STORAGE_POOL_KIND_ISCSI   ? VIREO_CONNECT_LIST_STORAGE_POOLS_ISCSI
                                                            : VIREO_CONNECT_LIST_STORAGE_POOLS_FS;
}

static void publish(EsxServer *server, EsxThings kind, const EsxThing *thing, gboolean quiet)
{
    struct vireo_object object = {
        .size = sizeof object,
        .klass = classes[kind],
        .name = thing->name,
        .id = -1,
        .flags = VIREO_OBJECT_PERSISTENT | VIREO_OBJECT_AUTOSTART | (thing->active ? VIREO_OBJECT_ACTIVE : 0) |
                 (quiet ? VIREO_OBJECT_QUIET : 0),
        .kind = filter_of(kind, thing),
        .key = thing->key,
        .event = -1,
    };

    memcpy(object.uuid, thing->uuid, 16);
    server->driver->host->publish(server->space, &object);
}

/* With the lock held: publishing is cheap and calls nothing back. Takes things. */
static void replace(EsxServer *server, EsxThings kind, GPtrArray *things, gboolean quiet)
{
    g_autoptr(GPtrArray) before = server->things[kind];

    server->things[kind] = things;
    for (guint i = 0; before && i < before->len; i++) {
        const EsxThing *thing = before->pdata[i];

        if (!among(things, thing->name, thing->uuid))
            server->driver->host->withdraw(server->space, classes[kind], thing->name, thing->uuid);
    }
    for (guint i = 0; i < things->len; i++)
        publish(server, kind, things->pdata[i], quiet);
}

EsxThing *esx_thing_find(EsxServer *server, EsxThings kind, const char *name)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    EsxThing *thing = among(server->things[kind], name, NULL);

    return thing ? g_atomic_rc_box_acquire(thing) : NULL;
}

EsxThing *esx_thing_with_key(EsxServer *server, EsxThings kind, const char *key)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    const GPtrArray *things = server->things[kind];

    for (guint i = 0; things && i < things->len; i++)
        if (g_strcmp0(((EsxThing *)things->pdata[i])->key, key) == 0)
            return g_atomic_rc_box_acquire(things->pdata[i]);
    return NULL;
}

GPtrArray *esx_thing_all(EsxServer *server, EsxThings kind)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    const GPtrArray *things = server->things[kind];
    GPtrArray *all = g_ptr_array_new_with_free_func(thing_unref);

    for (guint i = 0; things && i < things->len; i++)
        g_ptr_array_add(all, g_atomic_rc_box_acquire(things->pdata[i]));
    return all;
}

gboolean esx_thing_is_target(const EsxThing *pool)
{
    return pool->kind == VIREO_STORAGE_POOL_KIND_ISCSI;
}

void esx_things_clear(EsxServer *server)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    for (guint i = 0; i < ESX_THINGS; i++) {
        if (server->things[i])
            replace(server, i, g_ptr_array_new(), TRUE);
        g_clear_pointer(&server->things[i], g_ptr_array_unref);
    }
}

void esx_things_free(EsxServer *server)
{
    for (guint i = 0; i < ESX_THINGS; i++)
        g_clear_pointer(&server->things[i], g_ptr_array_unref);
}

/* ---- reading them -------------------------------------------------------------------- */

/* Where the host has mounted it; servers may leave that out. */
static const char *path_of(EsxServer *server, const VimObjectContent *store)
{
    const VireoSoapValue *hosts = esx_property(store, "host");

    for (guint i = 0; i < vireo_soap_value_length(hosts); i++) {
        const VimDatastoreHostMount *mount =
            vireo_soap_value_struct(vireo_soap_value_item(hosts, i), &vim_datastore_host_mount_type);

        if (mount && g_str_equal(mount->key->value, server->host->value))
            return mount->mount_info->path;
    }
    return NULL;
}

static void add_store(EsxServer *server, GPtrArray *into, const VimObjectContent *store)
{
    const VimDatastoreSummary *summary =
        vireo_soap_value_struct(esx_property(store, "summary"), &vim_datastore_summary_type);
    const char *path = path_of(server, store);

    if (!summary || !*summary->name || among(into, summary->name, NULL))
        return;
    if (!path)
        path = *summary->url ? summary->url : store->obj->value;
    add(into, store->obj, summary->name, path, path, summary->accessible)->kind = esx_pool_kind(esx_property(store, "info"));
}

static void add_target(const VimHostInternetScsiHba *adapter, const VimHostInternetScsiHbaStaticTarget *target, void *into)
{
    const char *name = target->i_scsi_name;

    (void)adapter;
    if (*name && !among(into, name, NULL))
        add(into, NULL, name, name, name, TRUE)->kind = VIREO_STORAGE_POOL_KIND_ISCSI;
}

static GPtrArray *switches_of(const VimObjectContent *host)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(thing_unref);
    const VireoSoapValue *list = esx_property(host, "config.network.vswitch");

    for (guint i = 0; i < vireo_soap_value_length(list); i++) {
        const VimHostVirtualSwitch *one =
            vireo_soap_value_struct(vireo_soap_value_item(list, i), &vim_host_virtual_switch_type);

        if (one && *one->name && !among(all, one->name, NULL))
            add(all, NULL, one->name, one->key, *one->key ? one->key : one->name, TRUE);
    }
    return all;
}

static GPtrArray *cards_of(const VimObjectContent *host)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(thing_unref);
    const VireoSoapValue *list = esx_property(host, "config.network.pnic");

    for (guint i = 0; i < vireo_soap_value_length(list); i++) {
        const VimPhysicalNic *one = vireo_soap_value_struct(vireo_soap_value_item(list, i), &vim_physical_nic_type);

        if (one && *one->device && !among(all, one->device, NULL))
            add(all, NULL, one->device, one->mac, NULL, one->link_speed != NULL);
    }
    return all;
}

gboolean esx_things_read(EsxServer *server, gboolean quiet, const VireoHttpWait *wait, GError **error)
{
    static const char *const paths[] = { "datastore", "config.network.vswitch", "config.network.pnic",
                                         "config.storageDevice.hostBusAdapter" };
    static const char *const store_paths[] = { "summary", "host", "info" };
    g_autoptr(VireoArena) arena = vireo_arena_new();
    guint64 number = vireo_machines_number(server->machines);
    VimObjectContent *host = esx_properties_of(server, server->host, paths, G_N_ELEMENTS(paths), wait, arena, error);
    VimRetrievePropertiesRet *stores =
        host ? esx_datastore_properties(server, host, store_paths, G_N_ELEMENTS(store_paths), wait, arena, error) : NULL;
    if (!stores)
        return FALSE;
    GPtrArray *pools = g_ptr_array_new_with_free_func(thing_unref);
    for (guint i = 0; i < stores->returnval.n; i++)
        add_store(server, pools, stores->returnval.items[i]);
    esx_targets_each(host, add_target, pools);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    if (number < server->things_seen) {
        g_ptr_array_unref(pools);
        return TRUE; /* something newer has been taken in already */
    }
    server->things_seen = number;
    replace(server, ESX_POOLS, pools, quiet);
    replace(server, ESX_NETWORKS, switches_of(host), quiet);
    replace(server, ESX_CARDS, cards_of(host), quiet);
    return TRUE;
}
