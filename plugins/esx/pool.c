/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Storage pools are datastores, and targets of iSCSI adapters. Which there are and which of them can be reached is known; the
 * rest is asked for. */
#include "ops.h"

#include <string.h>

#include "volume.h"

EsxThing *esx_pool_find(EsxConn *conn, vireo_call *call, const char *name)
{
    EsxThing *pool = esx_thing_find(conn->server, ESX_POOLS, name);

    if (!pool)
        conn->driver->host->fail(call, VIREO_ERR_NO_STORAGE_POOL, "there is no datastore '%s' any more", name);
    return pool;
}

/* Properties of the pool of that name; NULL: failed. */
static VimObjectContent *properties(EsxConn *conn, vireo_call *call, const EsxThing *pool, const char *const *paths,
                                    guint n, VireoArena *arena)
{
    VireoHttpWait wait = esx_wait(call);
    GError *error = NULL;
    VimObjectContent *found = esx_properties_of(conn->server, pool->ref, paths, n, &wait, arena, &error);

    if (!found)
        esx_fail(conn->driver, call, error);
    return found;
}

typedef struct {
    gboolean accessible;
    guint64 capacity, available;
} Sizes;

/* found: the datastore. All that a target has is in its units. */
static gboolean sizes_of(EsxConn *conn, vireo_call *call, const EsxThing *pool, const VimObjectContent *found,
                         VireoArena *arena, Sizes *sizes)
{
    GError *error = NULL;

    if (esx_thing_is_target(pool)) {
        g_autoptr(GPtrArray) units = esx_volumes(conn, call, pool, NULL, arena, &error);

        sizes->accessible = TRUE;
        for (guint i = 0; units && i < units->len; i++)
            sizes->capacity += ((const EsxVolume *)units->pdata[i])->capacity;
        return units || esx_fail(conn->driver, call, error) == VIREO_OK;
    }
    const VimDatastoreSummary *summary =
        vireo_soap_value_struct(esx_property(found, "summary"), &vim_datastore_summary_type);
    if (summary && summary->accessible)
        *sizes = (Sizes){ TRUE, (guint64)summary->capacity,
                          (guint64)MIN(summary->free_space, summary->capacity) };
    return TRUE;
}

int esx_storage_pool_get_info(void *handle, vireo_call *call, const vireo_storage_pool_get_info_args *args,
                              vireo_storage_pool_get_info_ret *ret)
{
    static const char *const paths[] = { "summary" };
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = esx_pool_find(conn, call, args->pool.name);
    gboolean target = pool && esx_thing_is_target(pool);
    VimObjectContent *found = pool && !target ? properties(conn, call, pool, paths, 1, arena) : NULL;
    Sizes sizes = { 0 };

    if ((!found && !target) || !sizes_of(conn, call, pool, found, arena, &sizes))
        return VIREO_FAIL;
    ret->state = sizes.accessible ? VIREO_STORAGE_POOL_RUNNING : VIREO_STORAGE_POOL_INACCESSIBLE;
    ret->capacity = sizes.capacity;
    ret->available = sizes.available;
    ret->allocation = sizes.capacity - sizes.available;
    return VIREO_OK;
}

/* A folder of the host, a file system of VMware's own, or one of somebody else. */
int esx_pool_kind(const VireoSoapValue *info)
{
    return vireo_soap_value_struct(info, &vim_local_datastore_info_type) ? VIREO_STORAGE_POOL_KIND_DIR
           : vireo_soap_value_struct(info, &vim_nas_datastore_info_type) ? VIREO_STORAGE_POOL_KIND_NETFS
                                                                         : VIREO_STORAGE_POOL_KIND_FS;
}

static void set_source(VireoStoragePool *doc, const VimObjectContent *found)
{
    const VireoSoapValue *info = esx_property(found, "info");
    const VimNasDatastoreInfo *shared = vireo_soap_value_struct(info, &vim_nas_datastore_info_type);

    if (!shared || !shared->nas)
        return;
    VireoStoragePoolHost *host = g_new0(VireoStoragePoolHost, 1);
    host->name = g_strdup(shared->nas->remote_host);
    vireo_list_append(&doc->source->hosts, host);
    doc->source->dir = g_strdup(shared->nas->remote_path);
}

/* Without where it comes from. */
static VireoStoragePool *pool_document(const EsxThing *pool, const Sizes *sizes)
{
    VireoStoragePool *doc = g_new0(VireoStoragePool, 1);

    doc->name = g_strdup(pool->name);
    doc->has_uuid = TRUE;
    memcpy(doc->uuid, pool->uuid, 16);
    doc->type = pool->kind;
    doc->has_capacity = doc->has_available = doc->has_allocation = sizes->accessible;
    doc->capacity = sizes->capacity;
    doc->available = sizes->available;
    doc->allocation = sizes->capacity - sizes->available;
    doc->source = g_new0(VireoStoragePoolSource, 1);
    doc->target = g_new0(VireoStoragePoolTarget, 1);
    doc->target->path = g_strdup(esx_thing_is_target(pool) ? "/vmfs/devices/disks" : pool->key);
    return doc;
}

int esx_storage_pool_get_xml_desc(void *handle, vireo_call *call, const vireo_storage_pool_get_xml_desc_args *args,
                                  vireo_storage_pool_get_xml_desc_ret *ret)
{
    static const char *const paths[] = { "summary", "info" };
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = esx_pool_find(conn, call, args->pool.name);
    gboolean target = pool && esx_thing_is_target(pool);
    VimObjectContent *found = pool && !target ? properties(conn, call, pool, paths, 2, arena) : NULL;
    VireoHttpWait wait = esx_wait(call);
    GError *error = NULL;
    Sizes sizes = { 0 };

    if ((!found && !target) || !sizes_of(conn, call, pool, found, arena, &sizes))
        return VIREO_FAIL;
    VireoStoragePool *doc = pool_document(pool, &sizes);
    gboolean good = !target || esx_target_describe(conn->server, pool, doc, &wait, &error);
    if (found)
        set_source(doc, found);
    g_autofree char *text =
        vireo_storage_pool_format(doc, args->flags & VIREO_STORAGE_XML_INACTIVE ? VIREO_MODEL_FORMAT_INACTIVE : 0);
    ret->xml = conn->driver->host->strdup(call, text);
    vireo_storage_pool_free(doc);
    return good ? VIREO_OK : esx_fail(conn->driver, call, error);
}

int esx_storage_pool_refresh(void *handle, vireo_call *call, const vireo_storage_pool_refresh_args *args)
{
    EsxConn *conn = handle;
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = esx_pool_find(conn, call, args->pool.name);
    VimRefreshDatastoreArgs refresh = { ._this = pool ? pool->ref : NULL };
    GError *error = NULL;

    if (!pool)
        return VIREO_FAIL;
    gboolean good = esx_thing_is_target(pool)
                        ? esx_target_rescan(conn->server, pool, &wait, &error)
                        : vim_refresh_datastore(conn->server->soap, &refresh, &wait, arena, &error) != NULL;
    if (!good || !esx_things_read(conn->server, FALSE, &wait, &error))
        return esx_fail(conn->driver, call, error);
    return VIREO_OK;
}

/* The host mounts its datastores by itself, always. */
int esx_storage_pool_set_autostart(void *handle, vireo_call *call, const vireo_storage_pool_set_autostart_args *args)
{
    EsxConn *conn = handle;

    if (args->autostart)
        return VIREO_OK;
    return conn->driver->host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED,
                                    "datastore '%s': the host mounts all of its datastores when it starts", args->pool.name);
}

static vireo_storage_pool_ref reference(EsxConn *conn, vireo_call *call, const EsxThing *pool)
{
    vireo_storage_pool_ref ref = { .name = conn->driver->host->strdup(call, pool->name) };

    memcpy(ref.uuid, pool->uuid, 16);
    return ref;
}

int esx_storage_pool_lookup_by_volume(void *handle, vireo_call *call, const vireo_storage_pool_lookup_by_volume_args *args,
                                      vireo_storage_pool_lookup_by_volume_ret *ret)
{
    g_autoptr(EsxThing) pool = esx_pool_find(handle, call, args->vol.pool);

    if (pool)
        ret->pool = reference(handle, call, pool);
    return pool ? VIREO_OK : VIREO_FAIL;
}

int esx_storage_pool_lookup_by_target_path(void *handle, vireo_call *call,
                                           const vireo_storage_pool_lookup_by_target_path_args *args,
                                           vireo_storage_pool_lookup_by_target_path_ret *ret)
{
    EsxConn *conn = handle;
    g_autoptr(EsxThing) pool = esx_thing_with_key(conn->server, ESX_POOLS, args->path);

    if (!pool)
        return conn->driver->host->fail(call, VIREO_ERR_NO_STORAGE_POOL, "no datastore is mounted at '%s'", args->path);
    ret->pool = reference(conn, call, pool);
    return VIREO_OK;
}
