/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Targets of a host's iSCSI adapters are pools, too, and the logical units reached through one its volumes: they are looked
 * at, and made elsewhere. */
#include "driver.h"

#include <string.h>

#include "volume.h"

#define ADAPTERS "config.storageDevice.hostBusAdapter"
#define TOPOLOGY "config.storageDevice.scsiTopology.adapter"
#define UNITS    "config.storageDevice.scsiLun"

/* Adapter number i of a host, when it is one for iSCSI. */
static const VimHostInternetScsiHba *adapter_at(const VireoSoapValue *adapters, guint i)
{
    return vireo_soap_value_struct(vireo_soap_value_item(adapters, i), &vim_host_internet_scsi_hba_type);
}

void esx_targets_each(const VimObjectContent *host, EsxTargetFound found, void *opaque)
{
    const VireoSoapValue *adapters = esx_property(host, ADAPTERS);

    for (guint i = 0; i < vireo_soap_value_length(adapters); i++) {
        const VimHostInternetScsiHba *adapter = adapter_at(adapters, i);

        for (guint j = 0; adapter && j < adapter->configured_static_target.n; j++)
            found(adapter, adapter->configured_static_target.items[j], opaque);
    }
}

static VimObjectContent *read_host(EsxServer *server, const char *const *paths, guint n, const VireoHttpWait *wait,
                                   VireoArena *arena, GError **error)
{
    return esx_properties_of(server, server->host, paths, n, wait, arena, error);
}

/* ---- the target ------------------------------------------------------------------------------ */

typedef struct {
    const char *name;
    const VimHostInternetScsiHbaStaticTarget *target; /* the first of that name */
    GPtrArray *devices; /* adapters that reach it */
} Wanted;

static void is_it(const VimHostInternetScsiHba *adapter, const VimHostInternetScsiHbaStaticTarget *target, void *opaque)
{
    Wanted *wanted = opaque;

    if (!g_str_equal(target->i_scsi_name, wanted->name))
        return;
    if (!wanted->target)
        wanted->target = target;
    g_ptr_array_add(wanted->devices, (gpointer)adapter->base.device);
}

static gboolean find_target(EsxServer *server, const EsxThing *pool, Wanted *wanted, const VireoHttpWait *wait,
                            VireoArena *arena, GError **error)
{
    static const char *const paths[] = { ADAPTERS };
    VimObjectContent *host = read_host(server, paths, 1, wait, arena, error);

    if (host)
        esx_targets_each(host, is_it, wanted);
    if (host && !wanted->target)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_STORAGE_POOL, "the host has no target '%s' any more", pool->name);
    return host && wanted->target;
}

gboolean esx_target_describe(EsxServer *server, const EsxThing *pool, VireoStoragePool *doc, const VireoHttpWait *wait,
                             GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GPtrArray) devices = g_ptr_array_new();
    Wanted wanted = { pool->name, NULL, devices };

    if (!find_target(server, pool, &wanted, wait, arena, error))
        return FALSE;
    VireoStoragePoolHost *host = g_new0(VireoStoragePoolHost, 1);
    VireoStoragePoolDevice *device = g_new0(VireoStoragePoolDevice, 1);
    host->name = g_strdup(wanted.target->address);
    device->path = g_strdup(pool->name);
    vireo_list_append(&doc->source->hosts, host);
    vireo_list_append(&doc->source->devices, device);
    return TRUE;
}

gboolean esx_target_rescan(EsxServer *server, const EsxThing *pool, const VireoHttpWait *wait, GError **error)
{
    static const char *const paths[] = { "configManager.storageSystem" };
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GPtrArray) devices = g_ptr_array_new();
    Wanted wanted = { pool->name, NULL, devices };
    VimObjectContent *host = read_host(server, paths, 1, wait, arena, error);
    EsxRef *storage = host ? esx_property_ref(host, paths[0]) : NULL;

    if (host && !storage)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_UNSUPPORTED, "this server lets nobody look for new units");
    if (!storage || !find_target(server, pool, &wanted, wait, arena, error))
        return FALSE;
    for (guint i = 0; i < devices->len; i++) {
        VimRescanHbaArgs args = { ._this = storage, .hba_device = devices->pdata[i] };

        if (!vim_rescan_hba(server->soap, &args, wait, arena, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- its units --------------------------------------------------------------------------------- */

static void add_disk(GPtrArray *into, const VireoSoapValue *units, const char *key, VireoArena *arena)
{
    for (guint i = 0; i < vireo_soap_value_length(units); i++) {
        const VimHostScsiDisk *disk = vireo_soap_value_struct(vireo_soap_value_item(units, i), &vim_host_scsi_disk_type);

        if (!disk || g_strcmp0(disk->base.key, key) != 0)
            continue;
        for (guint j = 0; j < into->len; j++)
            if (g_str_equal(((EsxVolume *)into->pdata[j])->key, disk->base.uuid))
                return; /* reached on two ways */
        EsxVolume *volume = vireo_arena_alloc(arena, sizeof *volume);
        volume->name = disk->base.canonical_name && *disk->base.canonical_name ? disk->base.canonical_name : disk->base.uuid;
        volume->key = disk->base.uuid;
        volume->path = disk->device_path;
        volume->capacity = (guint64)MAX(disk->capacity->block, 0) * (guint64)MAX(disk->capacity->block_size, 0);
        volume->size = volume->capacity;
        g_ptr_array_add(into, volume);
    }
}

static gboolean leads_to(const VimHostScsiTopologyTarget *target, const char *name)
{
    const VimHostInternetScsiTargetTransport *transport =
        target->transport ? vireo_soap_cast(target->transport, &vim_host_internet_scsi_target_transport_type) : NULL;

    return transport && g_str_equal(transport->i_scsi_name, name);
}

GPtrArray *esx_units(EsxServer *server, const EsxThing *pool, const VireoHttpWait *wait, VireoArena *arena, GError **error)
{
    static const char *const paths[] = { TOPOLOGY, UNITS };
    VimObjectContent *host = read_host(server, paths, G_N_ELEMENTS(paths), wait, arena, error);
    const VireoSoapValue *adapters = host ? esx_property(host, TOPOLOGY) : NULL;
    GPtrArray *all = host ? g_ptr_array_new() : NULL;

    for (guint i = 0; i < vireo_soap_value_length(adapters); i++) {
        const VimHostScsiTopologyInterface *adapter =
            vireo_soap_value_struct(vireo_soap_value_item(adapters, i), &vim_host_scsi_topology_interface_type);

        for (guint j = 0; adapter && j < adapter->target.n; j++)
            for (guint k = 0; leads_to(adapter->target.items[j], pool->name) && k < adapter->target.items[j]->lun.n; k++)
                add_disk(all, esx_property(host, UNITS), adapter->target.items[j]->lun.items[k]->scsi_lun, arena);
    }
    return all;
}
