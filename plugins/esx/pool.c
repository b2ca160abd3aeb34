/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Storage pools are datastores. Which there are and which of them can be reached is known; the rest is asked for. */
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

int esx_storage_pool_get_info(void *handle, vireo_call *call, const vireo_storage_pool_get_info_args *args,
                              vireo_storage_pool_get_info_ret *ret)
{
    static const char *const paths[] = { "summary" };
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = esx_pool_find(conn, call, args->pool.name);
    VimObjectContent *found = pool ? properties(conn, call, pool, paths, 1, arena) : NULL;
    const VimDatastoreSummary *summary =
        found ? vireo_soap_value_struct(esx_property(found, "summary"), &vim_datastore_summary_type) : NULL;

    if (!found)
        return VIREO_FAIL;
    ret->state = VIREO_STORAGE_POOL_INACCESSIBLE;
    if (summary && summary->accessible) {
        ret->state = VIREO_STORAGE_POOL_RUNNING;
        ret->capacity = (guint64)summary->capacity;
        ret->available = (guint64)summary->free_space;
        ret->allocation = ret->capacity - MIN(ret->available, ret->capacity);
    }
    return VIREO_OK;
}

/* A folder of the host, a file system of VMware's own, or one of somebody else. */
int esx_pool_kind(const VireoSoapValue *info)
{
    return vireo_soap_value_struct(info, &vim_local_datastore_info_type) ? VIREO_STORAGE_POOL_KIND_DIR
           : vireo_soap_value_struct(info, &vim_nas_datastore_info_type) ? VIREO_STORAGE_POOL_KIND_NETFS
                                                                         : VIREO_STORAGE_POOL_KIND_FS;
}

static void set_kind(VireoStoragePool *doc, const VimObjectContent *found)
{
    const VireoSoapValue *info = esx_property(found, "info");
    const VimNasDatastoreInfo *shared = vireo_soap_value_struct(info, &vim_nas_datastore_info_type);

    doc->source = g_new0(VireoStoragePoolSource, 1);
    doc->type = esx_pool_kind(info);
    if (!shared || !shared->nas)
        return;
    VireoStoragePoolHost *host = g_new0(VireoStoragePoolHost, 1);
    host->name = g_strdup(shared->nas->remote_host);
    vireo_list_append(&doc->source->hosts, host);
    doc->source->dir = g_strdup(shared->nas->remote_path);
}

int esx_storage_pool_get_xml_desc(void *handle, vireo_call *call, const vireo_storage_pool_get_xml_desc_args *args,
                                  vireo_storage_pool_get_xml_desc_ret *ret)
{
    static const char *const paths[] = { "summary", "info" };
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = esx_pool_find(conn, call, args->pool.name);
    VimObjectContent *found = pool ? properties(conn, call, pool, paths, 2, arena) : NULL;
    const VimDatastoreSummary *summary =
        found ? vireo_soap_value_struct(esx_property(found, "summary"), &vim_datastore_summary_type) : NULL;

    if (!found)
        return VIREO_FAIL;
    VireoStoragePool *doc = g_new0(VireoStoragePool, 1);
    doc->name = g_strdup(pool->name);
    doc->has_uuid = TRUE;
    memcpy(doc->uuid, pool->uuid, 16);
    set_kind(doc, found);
    if (summary && summary->accessible) {
        doc->has_capacity = doc->has_available = doc->has_allocation = TRUE;
        doc->capacity = (guint64)summary->capacity;
        doc->available = (guint64)summary->free_space;
        doc->allocation = doc->capacity - MIN(doc->available, doc->capacity);
    }
    doc->target = g_new0(VireoStoragePoolTarget, 1);
    doc->target->path = g_strdup(pool->key);
    g_autofree char *text =
        vireo_storage_pool_format(doc, args->flags & VIREO_STORAGE_XML_INACTIVE ? VIREO_MODEL_FORMAT_INACTIVE : 0);
    ret->xml = conn->driver->host->strdup(call, text);
    vireo_storage_pool_free(doc);
    return VIREO_OK;
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
    if (!vim_refresh_datastore(conn->server->soap, &refresh, &wait, arena, &error) ||
        !esx_things_read(conn->server, FALSE, &wait, &error))
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
