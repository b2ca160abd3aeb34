/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes are the disks and images in datastores; a volume's key is its path. */
#include "ops.h"

#include <string.h>

#include "volume.h"

char *esx_volume_path(const char *pool, const char *file)
{
    return g_strdup_printf("[%s] %s", pool, file);
}

/* ---- finding them --------------------------------------------------------------------- */

static EsxRef *browser_of(EsxConn *conn, vireo_call *call, const EsxThing *pool, VireoArena *arena, GError **error)
{
    static const char *const paths[] = { "browser" };
    VireoHttpWait wait = esx_wait(call);
    VimObjectContent *found = esx_properties_of(conn->server, pool->ref, paths, 1, &wait, arena, error);
    EsxRef *browser = found ? esx_property_ref(found, "browser") : NULL;

    if (found && !browser)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED, "the server lets nobody look into datastore '%s'",
                    pool->name);
    return browser;
}

/* folder: NULL: all of the datastore. What has been found; NULL: failed. */
static const VireoSoapValue *search(EsxConn *conn, vireo_call *call, const EsxThing *pool, const char *folder,
                                    const char *pattern, VireoArena *arena, GError **error)
{
    VimVmDiskFileQueryFlags details = { .capacity_kb = TRUE };
    VimVmDiskFileQuery disks = { .base.soap.type = &vim_vm_disk_file_query_type, .details = &details };
    VimIsoImageFileQuery images = { .base.soap.type = &vim_iso_image_file_query_type };
    VimFloppyImageFileQuery floppies = { .base.soap.type = &vim_floppy_image_file_query_type };
    VimFileQuery *queries[] = { &disks.base, &images.base, &floppies.base };
    VimFileQueryFlags flags = { .file_type = TRUE, .file_size = TRUE };
    VimHostDatastoreBrowserSearchSpec spec = { .query = { G_N_ELEMENTS(queries), queries }, .details = &flags,
                                               .match_pattern = { 1, &pattern } };
    g_autofree char *path = folder && *folder ? esx_volume_path(pool->name, folder) : g_strdup_printf("[%s]", pool->name);
    VireoHttpWait wait = esx_wait(call);
    EsxRef *browser = browser_of(conn, call, pool, arena, error), *task = NULL;

    if (browser && folder) {
        VimSearchDatastoreTaskArgs args = { ._this = browser, .datastore_path = path, .search_spec = &spec };
        VimSearchDatastoreTaskRet *ret = vim_search_datastore_task(conn->server->soap, &args, &wait, arena, error);
        task = ret ? ret->returnval : NULL;
    } else if (browser) {
        VimSearchDatastoreSubFoldersTaskArgs args = { ._this = browser, .datastore_path = path, .search_spec = &spec };
        VimSearchDatastoreSubFoldersTaskRet *ret =
            vim_search_datastore_sub_folders_task(conn->server->soap, &args, &wait, arena, error);
        task = ret ? ret->returnval : NULL;
    }
    return task ? esx_task_value(conn, call, task, arena, error) : NULL;
}

/* Of "[POOL] FOLDER/" or "[POOL]/FOLDER" the folder, without slashes around it. */
static char *folder_of(const char *path)
{
    const char *end = path ? strchr(path, ']') : NULL;
    const char *begin = end ? end + 1 + strspn(end + 1, " /") : "";
    gsize len = strlen(begin);

    while (len && begin[len - 1] == '/')
        len--;
    return g_strndup(begin, len);
}

static void take_folder(GPtrArray *into, const VimHostDatastoreBrowserSearchResults *results, VireoArena *arena)
{
    g_autofree char *folder = folder_of(results->folder_path);

    for (guint i = 0; i < results->file.n; i++) {
        VimFileInfo *file = results->file.items[i];
        const VimVmDiskFileInfo *disk = vireo_soap_cast(file, &vim_vm_disk_file_info_type);
        g_autofree char *name = g_strdup_printf("%s%s%s", folder, *folder ? "/" : "", file->path);
        EsxVolume *volume = vireo_arena_alloc(arena, sizeof *volume);

        if (vireo_soap_cast(file, &vim_folder_file_info_type))
            continue;
        volume->name = vireo_arena_strdup(arena, name);
        volume->disk = disk != NULL;
        volume->size = (guint64)MAX(file->file_size, 0);
        volume->capacity = disk ? (guint64)MAX(disk->capacity_kb, 0) * 1024 : volume->size;
        g_ptr_array_add(into, volume);
    }
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(EsxVolume *const *)a)->name, (*(EsxVolume *const *)b)->name);
}

GPtrArray *esx_volumes(EsxConn *conn, vireo_call *call, const EsxThing *pool, const char *file, VireoArena *arena,
                       GError **error)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    g_autofree char *folder = file ? g_strndup(file, slash ? (gsize)(slash - file) : 0) : NULL;
    VireoHttpWait wait = esx_wait(call);

    if (esx_thing_is_target(pool))
        return esx_units(conn->server, pool, &wait, arena, error);
    const VireoSoapValue *found = search(conn, call, pool, folder, slash ? slash + 1 : file ? file : "*", arena, error);
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    if (!found)
        return NULL;
    const VimHostDatastoreBrowserSearchResults *one =
        vireo_soap_value_struct(found, &vim_host_datastore_browser_search_results_type);
    if (one)
        take_folder(all, one, arena);
    for (guint i = 0; !one && i < vireo_soap_value_length(found); i++) {
        one = vireo_soap_value_struct(vireo_soap_value_item(found, i), &vim_host_datastore_browser_search_results_type);
        if (one)
            take_folder(all, one, arena);
        one = NULL;
    }
    g_ptr_array_sort(all, by_name);
    return g_steal_pointer(&all);
}

/* One that leads out of the datastore would be the server's to refuse. */
static gboolean is_name(const char *file)
{
    g_auto(GStrv) parts = g_strsplit(file, "/", -1);

    for (guint i = 0; parts[i]; i++)
        if (!*parts[i] || g_str_equal(parts[i], ".") || g_str_equal(parts[i], ".."))
            return FALSE;
    return parts[0] != NULL;
}

EsxVolume *esx_volume_find(EsxConn *conn, vireo_call *call, const EsxThing *pool, const char *file, VireoArena *arena,
                           GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) found = is_name(file) ? esx_volumes(conn, call, pool, file, arena, &why) : NULL;

    for (guint i = 0; found && i < found->len; i++)
        if (g_str_equal(((EsxVolume *)found->pdata[i])->name, file))
            return found->pdata[i];
    if (why && !g_error_matches(why, VIREO_ERROR, VIREO_ERR_NO_STORAGE_VOL))
        g_propagate_error(error, g_steal_pointer(&why));
    else
        g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_STORAGE_VOL, "datastore '%s' has no volume '%s'", pool->name, file);
    return NULL;
}

/* ---- lists and lookups ----------------------------------------------------------------- */

static char *key_of(const EsxThing *pool, const EsxVolume *volume)
{
    return volume->key ? g_strdup(volume->key) : esx_volume_path(pool->name, volume->name);
}

static char *path_of(const EsxThing *pool, const EsxVolume *volume)
{
    return volume->path ? g_strdup(volume->path) : esx_volume_path(pool->name, volume->name);
}

static vireo_storage_vol_ref reference(EsxConn *conn, vireo_call *call, const EsxThing *pool, const EsxVolume *volume)
{
    const struct vireo_host *host = conn->driver->host;
    g_autofree char *key = key_of(pool, volume);

    return (vireo_storage_vol_ref){ .pool = host->strdup(call, pool->name), .name = host->strdup(call, volume->name),
                                    .key = host->strdup(call, key) };
}

/* All of a pool; NULL: failed. */
static GPtrArray *list(EsxConn *conn, vireo_call *call, const char *name, VireoArena *arena, EsxThing **pool)
{
    GError *error = NULL;
    GPtrArray *all = NULL;

    *pool = esx_pool_find(conn, call, name);
    if (!*pool)
        return NULL;
    all = esx_volumes(conn, call, *pool, NULL, arena, &error);
    if (!all)
        esx_fail(conn->driver, call, error);
    return all;
}

int esx_storage_pool_list_all_volumes(void *handle, vireo_call *call, const vireo_storage_pool_list_all_volumes_args *args,
                                      vireo_storage_pool_list_all_volumes_ret *ret)
{
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = NULL;
    g_autoptr(GPtrArray) all = list(conn, call, args->pool.name, arena, &pool);

    if (!all)
        return VIREO_FAIL;
    ret->ret = all->len;
    if (!args->need_results)
        return VIREO_OK;
    ret->vols.val = conn->driver->host->alloc(call, sizeof *ret->vols.val * (all->len + 1));
    ret->vols.len = all->len;
    for (guint i = 0; i < all->len; i++)
        ret->vols.val[i] = reference(conn, call, pool, all->pdata[i]);
    return VIREO_OK;
}

/* The volume of a call, in arena; NULL: failed. */
static EsxVolume *find(EsxConn *conn, vireo_call *call, const char *pool_name, const char *file, VireoArena *arena,
                       EsxThing **pool)
{
    EsxVolume *volume = NULL;
    GError *error = NULL;

    *pool = esx_pool_find(conn, call, pool_name);
    if (*pool && !(volume = esx_volume_find(conn, call, *pool, file, arena, &error)))
        esx_fail(conn->driver, call, error);
    return volume;
}

int esx_storage_vol_lookup_by_name(void *handle, vireo_call *call, const vireo_storage_vol_lookup_by_name_args *args,
                                   vireo_storage_vol_lookup_by_name_ret *ret)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = NULL;
    const EsxVolume *volume = find(handle, call, args->pool.name, args->name, arena, &pool);

    if (!volume)
        return VIREO_FAIL;
    ret->vol = reference(handle, call, pool, volume);
    return VIREO_OK;
}

/* The unit of a target with that key or path; an error has been told of, or *vol is what it was. */
static int lookup_unit(EsxConn *conn, vireo_call *call, const char *text, vireo_storage_vol_ref *vol)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GPtrArray) pools = esx_thing_all(conn->server, ESX_POOLS);
    GError *error = NULL;

    for (guint i = 0; i < pools->len; i++) {
        const EsxThing *pool = pools->pdata[i];
        g_autoptr(GPtrArray) all =
            esx_thing_is_target(pool) ? esx_volumes(conn, call, pool, NULL, arena, &error) : g_ptr_array_new();

        if (!all)
            return esx_fail(conn->driver, call, error);
        for (guint j = 0; j < all->len; j++) {
            const EsxVolume *volume = all->pdata[j];

            if (!g_str_equal(volume->key, text) && !g_str_equal(volume->path, text))
                continue;
            *vol = reference(conn, call, pool, volume);
            return VIREO_OK;
        }
    }
    return conn->driver->host->fail(call, VIREO_ERR_NO_STORAGE_VOL, "no volume '%s': paths are '[DATASTORE] FOLDER/FILE'",
                                    text);
}

/* "[POOL] FILE", or of a unit. */
static int lookup_by_path(EsxConn *conn, vireo_call *call, const char *path, vireo_storage_vol_ref *vol)
{
    const char *end = *path == '[' ? strstr(path, "] ") : NULL;
    g_autofree char *name = end ? g_strndup(path + 1, (gsize)(end - path) - 1) : NULL;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = name ? esx_thing_find(conn->server, ESX_POOLS, name) : NULL;
    GError *error = NULL;

    if (!pool)
        return lookup_unit(conn, call, path, vol);
    const EsxVolume *volume = esx_volume_find(conn, call, pool, end + 2, arena, &error);
    if (!volume)
        return esx_fail(conn->driver, call, error);
    *vol = reference(conn, call, pool, volume);
    return VIREO_OK;
}

int esx_storage_vol_lookup_by_key(void *handle, vireo_call *call, const vireo_storage_vol_lookup_by_key_args *args,
                                  vireo_storage_vol_lookup_by_key_ret *ret)
{
    return lookup_by_path(handle, call, args->key, &ret->vol);
}

int esx_storage_vol_lookup_by_path(void *handle, vireo_call *call, const vireo_storage_vol_lookup_by_path_args *args,
                                   vireo_storage_vol_lookup_by_path_ret *ret)
{
    return lookup_by_path(handle, call, args->path, &ret->vol);
}

/* ---- what they are --------------------------------------------------------------------- */

int esx_storage_vol_get_info(void *handle, vireo_call *call, const vireo_storage_vol_get_info_args *args,
                             vireo_storage_vol_get_info_ret *ret)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = NULL;
    const EsxVolume *volume = find(handle, call, args->vol.pool, args->vol.name, arena, &pool);

    if (!volume)
        return VIREO_FAIL;
    ret->type = volume->path ? VIREO_STORAGE_VOL_BLOCK : VIREO_STORAGE_VOL_FILE;
    ret->capacity = volume->capacity;
    ret->allocation = volume->size;
    return VIREO_OK;
}

int esx_storage_vol_get_info_flags(void *handle, vireo_call *call, const vireo_storage_vol_get_info_flags_args *args,
                                   vireo_storage_vol_get_info_flags_ret *ret)
{
    vireo_storage_vol_get_info_args plain = { .vol = args->vol };
    vireo_storage_vol_get_info_ret info = { 0 };

    if (esx_storage_vol_get_info(handle, call, &plain, &info) != VIREO_OK)
        return VIREO_FAIL;
    ret->type = info.type;
    ret->capacity = info.capacity;
    ret->allocation = info.allocation;
    return VIREO_OK;
}

int esx_storage_vol_get_path(void *handle, vireo_call *call, const vireo_storage_vol_get_path_args *args,
                             vireo_storage_vol_get_path_ret *ret)
{
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = NULL;
    const EsxVolume *volume = find(conn, call, args->vol.pool, args->vol.name, arena, &pool);
    g_autofree char *path = volume ? path_of(pool, volume) : NULL;

    if (!volume)
        return VIREO_FAIL;
    ret->name = conn->driver->host->strdup(call, path);
    return VIREO_OK;
}

/* NULL: no volume is called like that. */
static const char *format_named(const char *name)
{
    return g_str_has_suffix(name, ".vmdk") ? "vmdk"
           : g_str_has_suffix(name, ".iso") ? "iso"
           : g_str_has_suffix(name, ".flp") ? "raw"
                                            : NULL;
}

static const char *format_of(const EsxVolume *volume)
{
    const char *format = format_named(volume->name);

    return volume->disk ? "vmdk" : format ? format : "raw";
}

int esx_storage_vol_get_xml_desc(void *handle, vireo_call *call, const vireo_storage_vol_get_xml_desc_args *args,
                                 vireo_storage_vol_get_xml_desc_ret *ret)
{
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = NULL;
    const EsxVolume *volume = find(conn, call, args->vol.pool, args->vol.name, arena, &pool);

    if (!volume)
        return VIREO_FAIL;
    g_autofree char *path = path_of(pool, volume), *key = key_of(pool, volume);
    VireoStorageVolTarget target = { .path = path, .format = (char *)format_of(volume) };
    VireoStorageVol doc = {
        .type = volume->path ? VIREO_STORAGE_VOL_KIND_BLOCK : VIREO_STORAGE_VOL_KIND_FILE,
        .name = (char *)volume->name, .key = key, .has_capacity = TRUE,
        .capacity = volume->capacity, .has_allocation = TRUE, .allocation = volume->size, .target = &target,
    };
    g_autofree char *text = vireo_storage_vol_format(&doc, 0);
    ret->xml = conn->driver->host->strdup(call, text);
    return VIREO_OK;
}

/* ---- making and deleting them ------------------------------------------------------------ */

static const char *const honoured[] = {
    "volume.type", "volume.name", "volume.key", "volume.capacity", "volume.allocation", "volume.target.path",
    "volume.target.format.type", NULL,
};

static gboolean acceptable(const VireoStorageVol *doc, GError **error)
{
    const char *format = doc->target ? doc->target->format : NULL;
    const char *is = format_named(doc->name);
    const char *why = doc->type > VIREO_STORAGE_VOL_KIND_FILE  ? "volumes are of type file"
                      : !is_name(doc->name)                    ? "its name is FOLDER/FILE.vmdk"
                      : !is                                    ? "its name has to end in .vmdk, .iso or .flp"
                      : format && g_str_equal(is, "vmdk") && !g_str_equal(format, is) ? "its format is vmdk"
                      : format && !g_str_equal(format, is) && !g_str_equal(format, "raw") ? "an image has no format but iso or raw"
                                                               : NULL;

    if (why)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_CONFIG_UNSUPPORTED, "volume '%s': %s", doc->name, why);
    return why == NULL;
}

/* Units of a target are made, changed and filled where the target is. */
gboolean esx_volume_is_file(const EsxThing *pool, GError **error)
{
    if (!esx_thing_is_target(pool))
        return TRUE;
    g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_UNSUPPORTED,
                "pool '%s' is an iSCSI target: its volumes can be looked at, and nothing else", pool->name);
    return FALSE;
}

/* A document that is fine and whose volume is not there yet; NULL: failed. */
static VireoStorageVol *read_new(EsxConn *conn, vireo_call *call, const EsxThing *pool, const char *xml, guint flags,
                                 VireoArena *arena, GError **error)
{
    guint how = VIREO_MODEL_PARSE_INACTIVE | (flags & VIREO_STORAGE_VOL_CREATE_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0);
    VireoStorageVol *doc = vireo_storage_vol_parse(xml, how, error);
    gboolean good = doc && vireo_model_check(&vireo_storage_vol_type, doc, honoured, error) && acceptable(doc, error);

    if (good && esx_volume_find(conn, call, pool, doc->name, arena, NULL)) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_STORAGE_VOL_EXIST, "datastore '%s' has a volume '%s' already", pool->name,
                    doc->name);
        good = FALSE;
    }
    if (good)
        return doc;
    vireo_storage_vol_free(doc);
    return NULL;
}

static gboolean make_folder(EsxConn *conn, vireo_call *call, const EsxThing *pool, const char *file, VireoArena *arena,
                            GError **error)
{
    const char *slash = strrchr(file, '/');
    g_autofree char *folder = slash ? g_strndup(file, (gsize)(slash - file)) : NULL;
    g_autofree char *path = slash ? esx_volume_path(pool->name, folder) : NULL;
    VimMakeDirectoryArgs args = { ._this = conn->server->content->file_manager, .name = path,
                                  .datacenter = conn->server->datacenter, .has_create_parent_directories = TRUE,
                                  .create_parent_directories = TRUE };
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(GError) why = NULL;

    if (!slash || vim_make_directory(conn->server->soap, &args, &wait, arena, &why) ||
        vireo_soap_is_fault(why, "FileAlreadyExists") || vireo_soap_is_fault(why, "AlreadyExists"))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean has_managers(EsxServer *server, GError **error)
{
    if (server->content->file_manager && server->content->virtual_disk_manager)
        return TRUE;
    g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_UNSUPPORTED, "this server lets nobody change its datastores");
    return FALSE;
}

static gboolean create(EsxConn *conn, vireo_call *call, const EsxThing *pool, const VireoStorageVol *doc, VireoArena *arena,
                       GError **error)
{
    g_autofree char *path = esx_volume_path(pool->name, doc->name);
    gboolean whole = doc->has_allocation && doc->allocation >= doc->capacity;
    VimFileBackedVirtualDiskSpec spec = {
        .base = { .soap.type = &vim_file_backed_virtual_disk_spec_type, .disk_type = whole ? "preallocated" : "thin",
                  .adapter_type = "lsiLogic" },
        .capacity_kb = (gint64)((doc->capacity + 1023) / 1024),
    };
    VimCreateVirtualDiskTaskArgs args = { ._this = conn->server->content->virtual_disk_manager, .name = path,
                                          .datacenter = conn->server->datacenter, .spec = &spec.base };
    VireoHttpWait wait = esx_wait(call);

    if (!g_str_has_suffix(doc->name, ".vmdk")) /* as large as what will be uploaded */
        return make_folder(conn, call, pool, doc->name, arena, error) &&
               esx_volume_put_empty(conn->server, pool->name, doc->name, &wait, error);
    if (!doc->has_capacity || !doc->capacity) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_XML_ERROR, "volume '%s' needs a <capacity>", doc->name);
        return FALSE;
    }
    if (!make_folder(conn, call, pool, doc->name, arena, error))
        return FALSE;
    VimCreateVirtualDiskTaskRet *ret = vim_create_virtual_disk_task(conn->server->soap, &args, &wait, arena, error);
    return ret && esx_task_end(conn, call, ret->returnval, error);
}

/* The copy is what the original is. */
static gboolean copy(EsxConn *conn, vireo_call *call, const EsxThing *pool, const VireoStorageVol *doc,
                     const vireo_storage_vol_ref *original, VireoArena *arena, GError **error)
{
    g_autofree char *path = esx_volume_path(pool->name, doc->name);
    g_autofree char *from = esx_volume_path(original->pool, original->name);
    VimCopyVirtualDiskTaskArgs args = {
        ._this = conn->server->content->virtual_disk_manager, .source_name = from,
        .source_datacenter = conn->server->datacenter, .dest_name = path, .dest_datacenter = conn->server->datacenter,
    };
    g_autoptr(EsxThing) there = esx_thing_find(conn->server, ESX_POOLS, original->pool);
    const EsxVolume *is = there ? esx_volume_find(conn, call, there, original->name, arena, error) : NULL;
    VireoHttpWait wait = esx_wait(call);

    if (!there)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_STORAGE_POOL, "there is no datastore '%s' any more", original->pool);
    if (!is)
        return FALSE;
    if (!is->disk || (doc->has_capacity && is->capacity && doc->capacity != is->capacity)) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_UNSUPPORTED,
                    is->disk ? "volume '%s': a copy has the capacity of its original" : "volume '%s' is no disk: only disks are copied",
                    is->disk ? doc->name : is->name);
        return FALSE;
    }
    if (!make_folder(conn, call, pool, doc->name, arena, error))
        return FALSE;
    VimCopyVirtualDiskTaskRet *ret = vim_copy_virtual_disk_task(conn->server->soap, &args, &wait, arena, error);
    return ret && esx_task_end(conn, call, ret->returnval, error);
}

/* original: what it is a copy of; NULL: of nothing. */
static int make(EsxConn *conn, vireo_call *call, const char *pool_name, const char *xml, guint flags,
                const vireo_storage_vol_ref *original, vireo_storage_vol_ref *made)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = esx_pool_find(conn, call, pool_name);
    GError *error = NULL;

    if (!pool)
        return VIREO_FAIL;
    VireoStorageVol *doc = esx_volume_is_file(pool, &error) && has_managers(conn->server, &error)
                               ? read_new(conn, call, pool, xml, flags, arena, &error) : NULL;
    gboolean good = doc && (original ? copy(conn, call, pool, doc, original, arena, &error)
                                     : create(conn, call, pool, doc, arena, &error));
    if (good)
        *made = reference(conn, call, pool, &(EsxVolume){ .name = doc->name });
    vireo_storage_vol_free(doc);
    return good ? VIREO_OK : esx_fail(conn->driver, call, error);
}

int esx_storage_vol_create_xml(void *handle, vireo_call *call, const vireo_storage_vol_create_xml_args *args,
                               vireo_storage_vol_create_xml_ret *ret)
{
    return make(handle, call, args->pool.name, args->xml, args->flags, NULL, &ret->vol);
}

int esx_storage_vol_create_xml_from(void *handle, vireo_call *call, const vireo_storage_vol_create_xml_from_args *args,
                                    vireo_storage_vol_create_xml_from_ret *ret)
{
    return make(handle, call, args->pool.name, args->xml, args->flags, &args->clonevol, &ret->vol);
}

/* A disk's own files go with it. */
static EsxRef *begin_delete(EsxConn *conn, vireo_call *call, const EsxVolume *volume, const char *path, VireoArena *arena,
                            GError **error)
{
    const VimServiceContent *content = conn->server->content;
    VireoHttpWait wait = esx_wait(call);

    if (volume->disk) {
        VimDeleteVirtualDiskTaskArgs args = { ._this = content->virtual_disk_manager, .name = path,
                                              .datacenter = conn->server->datacenter };
        VimDeleteVirtualDiskTaskRet *ret = vim_delete_virtual_disk_task(conn->server->soap, &args, &wait, arena, error);
        return ret ? ret->returnval : NULL;
    }
    VimDeleteDatastoreFileTaskArgs args = { ._this = content->file_manager, .name = path,
                                            .datacenter = conn->server->datacenter };
    VimDeleteDatastoreFileTaskRet *ret = vim_delete_datastore_file_task(conn->server->soap, &args, &wait, arena, error);
    return ret ? ret->returnval : NULL;
}

int esx_storage_vol_delete(void *handle, vireo_call *call, const vireo_storage_vol_delete_args *args)
{
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = NULL;
    g_autofree char *path = esx_volume_path(args->vol.pool, args->vol.name);
    const EsxVolume *volume = find(conn, call, args->vol.pool, args->vol.name, arena, &pool);
    GError *error = NULL;

    if (!volume)
        return VIREO_FAIL;
    EsxRef *task = esx_volume_is_file(pool, &error) && has_managers(conn->server, &error) ? begin_delete(conn, call, volume, path, arena, &error) : NULL;
    if (!task || !esx_task_end(conn, call, task, &error))
        return esx_fail(conn->driver, call, error);
    return VIREO_OK;
}

/* ---- changing disks ------------------------------------------------------------------------ */

/* A disk, in arena; NULL: failed. */
static EsxVolume *find_disk(EsxConn *conn, vireo_call *call, const vireo_storage_vol_ref *vol, VireoArena *arena)
{
    g_autoptr(EsxThing) pool = NULL;
    EsxVolume *volume = find(conn, call, vol->pool, vol->name, arena, &pool);
    GError *error = NULL;

    if (!volume)
        return NULL;
    if (esx_volume_is_file(pool, &error) && volume->disk && has_managers(conn->server, &error))
        return volume;
    if (!error)
        g_set_error(&error, VIREO_ERROR, VIREO_ERR_OPERATION_UNSUPPORTED, "volume '%s' is an image: only disks can be changed",
                    vol->name);
    esx_fail(conn->driver, call, error);
    return NULL;
}

int esx_storage_vol_wipe_pattern(void *handle, vireo_call *call, const vireo_storage_vol_wipe_pattern_args *args)
{
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autofree char *path = esx_volume_path(args->vol.pool, args->vol.name);
    VireoHttpWait wait = esx_wait(call);
    GError *error = NULL;

    if (args->algorithm != VIREO_STORAGE_VOL_WIPE_ALG_ZERO)
        return conn->driver->host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED, "the server wipes with zeros (algorithm zero) alone");
    if (!find_disk(conn, call, &args->vol, arena))
        return VIREO_FAIL;
    VimZeroFillVirtualDiskTaskArgs wipe = { ._this = conn->server->content->virtual_disk_manager, .name = path,
                                            .datacenter = conn->server->datacenter };
    VimZeroFillVirtualDiskTaskRet *ret = vim_zero_fill_virtual_disk_task(conn->server->soap, &wipe, &wait, arena, &error);
    if (!ret || !esx_task_end(conn, call, ret->returnval, &error))
        return esx_fail(conn->driver, call, error);
    return VIREO_OK;
}

int esx_storage_vol_wipe(void *handle, vireo_call *call, const vireo_storage_vol_wipe_args *args)
{
    vireo_storage_vol_wipe_pattern_args zeros = { .vol = args->vol, .algorithm = VIREO_STORAGE_VOL_WIPE_ALG_ZERO };

    return esx_storage_vol_wipe_pattern(handle, call, &zeros);
}

int esx_storage_vol_resize(void *handle, vireo_call *call, const vireo_storage_vol_resize_args *args)
{
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autofree char *path = esx_volume_path(args->vol.pool, args->vol.name);
    const EsxVolume *volume = find_disk(conn, call, &args->vol, arena);
    guint64 capacity = args->capacity;
    VireoHttpWait wait = esx_wait(call);
    GError *error = NULL;

    if (!volume)
        return VIREO_FAIL;
    if (args->flags & VIREO_STORAGE_VOL_RESIZE_DELTA)
        capacity = capacity > G_MAXINT64 ? G_MAXUINT64 : capacity + volume->capacity;
    if (!volume->capacity || capacity < volume->capacity || capacity > G_MAXINT64)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, volume->capacity ? "disk '%s' can only grow" :
                                        "the server does not say how large disk '%s' is", args->vol.name);
    VimExtendVirtualDiskTaskArgs extend = {
        ._this = conn->server->content->virtual_disk_manager, .name = path, .datacenter = conn->server->datacenter,
        .new_capacity_kb = (gint64)((capacity + 1023) / 1024), .has_eager_zero = TRUE,
        .eager_zero = (args->flags & VIREO_STORAGE_VOL_RESIZE_ALLOCATE) != 0,
    };
    VimExtendVirtualDiskTaskRet *ret = vim_extend_virtual_disk_task(conn->server->soap, &extend, &wait, arena, &error);
    if (!ret || !esx_task_end(conn, call, ret->returnval, &error))
        return esx_fail(conn->driver, call, error);
    return VIREO_OK;
}
