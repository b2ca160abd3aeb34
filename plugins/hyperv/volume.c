/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server's default folder for virtual disks as one pool. Nothing of it is kept: files are asked for when they are
 * needed. */
#include "ops.h"

#include <string.h>

#include "spec.h"

#define POOL    "default-pool"
#define SERVICE "Msvm_ImageManagementService"
#define FIXED   2
#define DYNAMIC 3

static const guint8 pool_uuid[16] = {0x1d, 0x40, 0x5e, 0x0a, 0x60, 0xb5, 0x4f, 0x42,
                                     0x88, 0x2c, 0x5a, 0x37, 0x68, 0x79, 0x70, 0x76};

void hyperv_volume_publish(HypervServer *server)
{
    struct vireo_object object = {
        .size = sizeof object,
        .klass = VIREO_CLASS_STORAGE_POOL,
        .kind = VIREO_CONNECT_LIST_STORAGE_POOLS_DIR,
        .name = POOL,
        .id = -1,
        .flags = VIREO_OBJECT_PERSISTENT | VIREO_OBJECT_AUTOSTART | VIREO_OBJECT_ACTIVE | VIREO_OBJECT_QUIET,
        .event = -1,
    };

    memcpy(object.uuid, pool_uuid, sizeof pool_uuid);
    server->driver->host->publish(server->space, &object);
}

void hyperv_volume_clear(HypervServer *server)
{
    server->driver->host->withdraw(server->space, VIREO_CLASS_STORAGE_POOL, POOL, pool_uuid);
}

/* FALSE: the call has failed. */
static gboolean begin(HypervTalk *talk, HypervConn *conn, vireo_call *call, const vireo_storage_pool_ref *pool)
{
    VireoHttpWait wait = hyperv_wait(call);

    if (pool && memcmp(pool->uuid, pool_uuid, sizeof pool_uuid) != 0) {
        conn->driver->host->fail(call, VIREO_ERR_NO_STORAGE_POOL, "there is no storage pool '%s', only " POOL, pool->name);
        return FALSE;
    }
    hyperv_talk_begin(talk, conn->server, call, &wait);
    return TRUE;
}

/* ---- files --------------------------------------------------------------------------------- */

static const char *folder_of(HypervTalk *talk)
{
    const VireoCim *settings =
        hyperv_query_one(talk, HYPERV_SPACE, "default folder for virtual disks",
                         "select * from Msvm_VirtualSystemManagementServiceSettingData");

    return vireo_cim_string(settings, "DefaultVirtualHardDiskPath");
}

/* "C:\vms\" of "C:\vms" and of itself; caller frees. */
static char *with_slash(const char *folder)
{
    return g_strconcat(folder, g_str_has_suffix(folder, "\\") ? "" : "\\", NULL);
}

static const char *name_of(const VireoCim *file)
{
    const char *path = vireo_cim_string(file, "Name"), *slash = strrchr(path, '\\');

    return slash ? slash + 1 : path;
}

static gboolean is_disk(const VireoCim *file)
{
    const char *dot = strrchr(name_of(file), '.');

    return dot && (g_ascii_strcasecmp(dot, ".vhdx") == 0 || g_ascii_strcasecmp(dot, ".vhd") == 0);
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    return g_ascii_strcasecmp(name_of(*(VireoCim *const *)a), name_of(*(VireoCim *const *)b));
}

/* Disks and images of CDs in the folder; those of snapshots have other endings. Sorted; the caller's. */
static GPtrArray *read_files(HypervTalk *talk)
{
    g_autofree char *folder = with_slash(folder_of(talk));
    g_autofree char *drive = g_strndup(folder, strcspn(folder, "\\"));
    g_autofree char *quoted_drive = vireo_wql_quote(drive), *quoted = vireo_wql_quote(folder + strlen(drive));
    GPtrArray *found = g_ptr_array_new();

    if (talk->error)
        return found;
    const GPtrArray *all = hyperv_query(
        talk, HYPERV_CIMV2, "select Name,FileSize from CIM_DataFile where Drive=%s and Path=%s", quoted_drive, quoted);
    for (guint i = 0; i < all->len; i++) {
        const char *dot = strrchr(name_of(all->pdata[i]), '.');

        if (is_disk(all->pdata[i]) || (dot && g_ascii_strcasecmp(dot, ".iso") == 0))
            g_ptr_array_add(found, all->pdata[i]);
    }
    g_ptr_array_sort(found, by_name);
    return found;
}

/* By its name or its path, which is also its key; NULL: there is none, or an error. */
static const VireoCim *find(HypervTalk *talk, const char *name, const char *path)
{
    g_autoptr(GPtrArray) files = read_files(talk);

    for (guint i = 0; i < files->len; i++)
        if (name ? g_ascii_strcasecmp(name_of(files->pdata[i]), name) == 0
                 : g_ascii_strcasecmp(vireo_cim_string(files->pdata[i], "Name"), path) == 0)
            return files->pdata[i];
    hyperv_talk_refuse(talk, VIREO_ERR_NO_STORAGE_VOL, "no storage vol with matching %s '%s'", name ? "name" : "path",
                       name ? name : path);
    return NULL;
}

/* What is in the file of a virtual disk; NULL: it is none. Caller frees. */
static VireoCim *read_disk(HypervTalk *talk, const VireoCim *file)
{
    if (!file || !is_disk(file) || talk->error)
        return NULL;
    const VireoCim *answer =
        hyperv_invoke(talk, hyperv_service(talk, SERVICE), "GetVirtualHardDiskSettingData",
                      vireo_cim_add(vireo_cim_new(""), "Path", NULL, vireo_cim_string(file, "Name")));
    return vireo_cim_dup_object(answer, "SettingData", 0);
}

static void read_sizes(HypervTalk *talk, const VireoCim *file, guint64 *capacity, guint64 *allocation)
{
    g_autoptr(VireoCim) disk = read_disk(talk, file);

    *allocation = file ? vireo_cim_number(file, "FileSize") : 0;
    *capacity = disk ? vireo_cim_number(disk, "MaxInternalSize") : *allocation;
}

static vireo_storage_vol_ref reference(HypervConn *conn, vireo_call *call, const char *name, const char *path)
{
    const struct vireo_host *host = conn->driver->host;

    return (vireo_storage_vol_ref){
        .pool = host->strdup(call, POOL), .name = host->strdup(call, name), .key = host->strdup(call, path)};
}

/* ---- the pool's calls ------------------------------------------------------------------------ */

int hyperv_storage_pool_list_all_volumes(void *handle, vireo_call *call,
                                         const vireo_storage_pool_list_all_volumes_args *args,
                                         vireo_storage_pool_list_all_volumes_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;

    if (!begin(&talk, conn, call, &args->pool))
        return VIREO_FAIL;
    g_autoptr(GPtrArray) files = read_files(&talk);
    ret->vols.val = conn->driver->host->alloc(call, sizeof *ret->vols.val * (files->len + 1));
    for (guint i = 0; i < files->len; i++)
        ret->vols.val[i] = reference(conn, call, name_of(files->pdata[i]), vireo_cim_string(files->pdata[i], "Name"));
    ret->vols.len = ret->ret = files->len;
    return hyperv_talk_finish(&talk, call);
}

/* Of the drive that the folder is on. */
static void read_room(HypervTalk *talk, const char *folder, guint64 *capacity, guint64 *available)
{
    g_autofree char *drive = g_strndup(folder, strcspn(folder, "\\"));
    g_autofree char *quoted = vireo_wql_quote(drive);
    const VireoCim *disk = hyperv_query_one(talk, HYPERV_CIMV2, NULL,
                                            "select Size,FreeSpace from Win32_LogicalDisk where DeviceID=%s", quoted);

    *capacity = vireo_cim_number(disk, "Size");
    *available = MIN(*capacity, vireo_cim_number(disk, "FreeSpace"));
}

int hyperv_storage_pool_get_info(void *handle, vireo_call *call, const vireo_storage_pool_get_info_args *args,
                                 vireo_storage_pool_get_info_ret *ret)
{
    HypervTalk talk;

    if (!begin(&talk, handle, call, &args->pool))
        return VIREO_FAIL;
    ret->state = VIREO_STORAGE_POOL_RUNNING;
    read_room(&talk, folder_of(&talk), &ret->capacity, &ret->available);
    ret->allocation = ret->capacity - ret->available;
    return hyperv_talk_finish(&talk, call);
}

/* There is nothing to be read again: files are asked for whenever they are needed. */
int hyperv_storage_pool_refresh(void *handle, vireo_call *call, const vireo_storage_pool_refresh_args *args)
{
    HypervConn *conn = handle;
    vireo_storage_pool_event_refresh_msg msg = {.pool = {.name = (char *)POOL}};
    HypervTalk talk;

    if (!begin(&talk, conn, call, &args->pool))
        return VIREO_FAIL;
    folder_of(&talk);
    memcpy(msg.pool.uuid, pool_uuid, sizeof pool_uuid);
    if (!talk.error)
        conn->driver->host->event(conn->server->space, VIREO_EVENT_storage_pool_event_refresh, &msg);
    return hyperv_talk_finish(&talk, call);
}

int hyperv_storage_pool_get_xml_desc(void *handle, vireo_call *call, const vireo_storage_pool_get_xml_desc_args *args,
                                     vireo_storage_pool_get_xml_desc_ret *ret)
{
    HypervConn *conn = handle;
    g_autoptr(VireoStoragePool) doc = g_new0(VireoStoragePool, 1);
    HypervTalk talk;

    if (!begin(&talk, conn, call, &args->pool))
        return VIREO_FAIL;
    doc->type = VIREO_STORAGE_POOL_KIND_DIR;
    doc->name = g_strdup(POOL);
    doc->has_uuid = TRUE;
    memcpy(doc->uuid, pool_uuid, sizeof pool_uuid);
    doc->target = g_new0(VireoStoragePoolTarget, 1);
    doc->target->path = g_strdup(folder_of(&talk));
    doc->has_capacity = doc->has_allocation = doc->has_available = TRUE;
    read_room(&talk, doc->target->path, &doc->capacity, &doc->available);
    doc->allocation = doc->capacity - doc->available;
    g_autofree char *text = vireo_storage_pool_format(doc, 0);
    ret->xml = conn->driver->host->strdup(call, text);
    return hyperv_talk_finish(&talk, call);
}

int hyperv_storage_pool_lookup_by_volume(void *handle, vireo_call *call,
                                         const vireo_storage_pool_lookup_by_volume_args *args,
                                         vireo_storage_pool_lookup_by_volume_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;

    begin(&talk, conn, call, NULL);
    find(&talk, NULL, args->vol.key);
    ret->pool.name = conn->driver->host->strdup(call, POOL);
    memcpy(ret->pool.uuid, pool_uuid, sizeof pool_uuid);
    return hyperv_talk_finish(&talk, call);
}

/* ---- volumes --------------------------------------------------------------------------------- */

static int look_up(HypervConn *conn, vireo_call *call, const char *name, const char *path, vireo_storage_vol_ref *vol)
{
    HypervTalk talk;

    begin(&talk, conn, call, NULL);
    const VireoCim *file = find(&talk, name, path);
    if (file)
        *vol = reference(conn, call, name_of(file), vireo_cim_string(file, "Name"));
    return hyperv_talk_finish(&talk, call);
}

int hyperv_storage_vol_lookup_by_name(void *handle, vireo_call *call,
                                      const vireo_storage_vol_lookup_by_name_args *args,
                                      vireo_storage_vol_lookup_by_name_ret *ret)
{
    return look_up(handle, call, args->name, NULL, &ret->vol);
}

int hyperv_storage_vol_lookup_by_key(void *handle, vireo_call *call, const vireo_storage_vol_lookup_by_key_args *args,
                                     vireo_storage_vol_lookup_by_key_ret *ret)
{
    return look_up(handle, call, NULL, args->key, &ret->vol);
}

int hyperv_storage_vol_lookup_by_path(void *handle, vireo_call *call,
                                      const vireo_storage_vol_lookup_by_path_args *args,
                                      vireo_storage_vol_lookup_by_path_ret *ret)
{
    return look_up(handle, call, NULL, args->path, &ret->vol);
}

int hyperv_storage_vol_get_path(void *handle, vireo_call *call, const vireo_storage_vol_get_path_args *args,
                                vireo_storage_vol_get_path_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;

    begin(&talk, conn, call, NULL);
    const VireoCim *file = find(&talk, NULL, args->vol.key);
    if (file)
        ret->name = conn->driver->host->strdup(call, vireo_cim_string(file, "Name"));
    return hyperv_talk_finish(&talk, call);
}

int hyperv_storage_vol_get_info(void *handle, vireo_call *call, const vireo_storage_vol_get_info_args *args,
                                vireo_storage_vol_get_info_ret *ret)
{
    HypervTalk talk;

    begin(&talk, handle, call, NULL);
    ret->type = VIREO_STORAGE_VOL_FILE;
    read_sizes(&talk, find(&talk, NULL, args->vol.key), &ret->capacity, &ret->allocation);
    return hyperv_talk_finish(&talk, call);
}

int hyperv_storage_vol_get_info_flags(void *handle, vireo_call *call,
                                      const vireo_storage_vol_get_info_flags_args *args,
                                      vireo_storage_vol_get_info_flags_ret *ret)
{
    vireo_storage_vol_get_info_args plain = {.vol = args->vol};
    vireo_storage_vol_get_info_ret info = {0};
    int status = hyperv_storage_vol_get_info(handle, call, &plain, &info);

    *ret = (vireo_storage_vol_get_info_flags_ret){
        .type = info.type, .capacity = info.capacity, .allocation = info.allocation};
    return status;
}

int hyperv_storage_vol_get_xml_desc(void *handle, vireo_call *call, const vireo_storage_vol_get_xml_desc_args *args,
                                    vireo_storage_vol_get_xml_desc_ret *ret)
{
    HypervConn *conn = handle;
    g_autoptr(VireoStorageVol) doc = g_new0(VireoStorageVol, 1);
    HypervTalk talk;

    begin(&talk, conn, call, NULL);
    const VireoCim *file = find(&talk, NULL, args->vol.key);
    if (file) {
        const char *dot = strrchr(name_of(file), '.');

        doc->type = VIREO_STORAGE_VOL_KIND_FILE;
        doc->name = g_strdup(name_of(file));
        doc->key = g_strdup(vireo_cim_string(file, "Name"));
        doc->has_capacity = doc->has_allocation = TRUE;
        read_sizes(&talk, file, &doc->capacity, &doc->allocation);
        doc->target = g_new0(VireoStorageVolTarget, 1);
        doc->target->path = g_strdup(doc->key);
        doc->target->format = g_strdup(!is_disk(file)                             ? "iso"
                                       : g_ascii_strcasecmp(dot, ".vhd") == 0 ? "vpc"
                                                                                  : "vhdx");
        g_autofree char *text = vireo_storage_vol_format(doc, 0);
        ret->xml = conn->driver->host->strdup(call, text);
    }
    return hyperv_talk_finish(&talk, call);
}

/* ---- new ones ---------------------------------------------------------------------------------- */

static const char *const paths[] = {
    "volume.type",       "volume.name", "volume.key", "volume.capacity", "volume.allocation", "volume.target.path",
    "volume.target.format.type", NULL,
};

VireoModelPathSet *hyperv_volume_paths(GError **error)
{
    return vireo_model_path_set_new(&vireo_storage_vol_type, paths, error);
}

static gboolean refuse(GError **error, const VireoStorageVol *doc, const char *text)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_CONFIG_UNSUPPORTED, "(storage_volume_definition):%u: volume '%s': %s",
                doc->line, doc->name, text);
    return FALSE;
}

static gboolean check(const VireoStorageVol *doc, GError **error)
{
    const char *format = doc->target ? doc->target->format : NULL, *dot = strrchr(doc->name, '.');
    gboolean vhd = dot && g_ascii_strcasecmp(dot, ".vhd") == 0;

    if (doc->type && doc->type != VIREO_STORAGE_VOL_KIND_FILE)
        return refuse(error, doc, "a volume is of type file");
    if (strpbrk(doc->name, "/\\:*?\"<>|"))
        return refuse(error, doc, "the name is that of a file in the folder of the pool");
    if (!vhd && !(dot && g_ascii_strcasecmp(dot, ".vhdx") == 0))
        return refuse(error, doc, "the name ends in .vhdx or .vhd");
    if (format && !g_str_equal(format, vhd ? "vpc" : "vhdx"))
        return refuse(error, doc, "the format is vhdx, or vpc for a name in .vhd");
    if (!doc->has_capacity || !doc->capacity || doc->capacity % 512)
        return refuse(error, doc, "it needs a <capacity>, of whole sectors of 512 bytes");
    return TRUE;
}

static int make(HypervConn *conn, vireo_call *call, const VireoStorageVol *doc, vireo_storage_vol_ref *vol)
{
    gboolean full = doc->has_allocation && doc->allocation >= doc->capacity;
    VireoCim *disk = vireo_cim_new("Msvm_VirtualHardDiskSettingData");
    HypervTalk talk;

    begin(&talk, conn, call, NULL);
    g_autofree char *folder = with_slash(folder_of(&talk)), *path = g_strconcat(folder, doc->name, NULL);
    g_autoptr(GPtrArray) files = read_files(&talk);
    for (guint i = 0; i < files->len; i++)
        if (g_ascii_strcasecmp(name_of(files->pdata[i]), doc->name) == 0)
            hyperv_talk_refuse(&talk, VIREO_ERR_STORAGE_VOL_EXIST, "storage volume '%s' exists already", doc->name);
    vireo_cim_add_number(disk, "Type", "uint16", full ? FIXED : DYNAMIC);
    vireo_cim_add_number(disk, "Format", "uint16", g_str_has_suffix(doc->name, "x") || g_str_has_suffix(doc->name, "X") ? 3 : 2);
    vireo_cim_add(disk, "Path", NULL, path);
    vireo_cim_add_number(disk, "MaxInternalSize", "uint64", doc->capacity);
    hyperv_invoke(&talk, hyperv_service(&talk, SERVICE), "CreateVirtualHardDisk",
                  vireo_cim_add_embedded(vireo_cim_new(""), "VirtualDiskSettingData", disk));
    vireo_cim_unref(disk);
    *vol = reference(conn, call, doc->name, path);
    return hyperv_talk_finish(&talk, call);
}

int hyperv_storage_vol_create_xml(void *handle, vireo_call *call, const vireo_storage_vol_create_xml_args *args,
                                  vireo_storage_vol_create_xml_ret *ret)
{
    HypervConn *conn = handle;
    guint how = args->flags & VIREO_STORAGE_VOL_CREATE_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0;
    GError *error = NULL;
    g_autoptr(VireoStorageVol) doc = vireo_storage_vol_parse(args->xml, VIREO_MODEL_PARSE_INACTIVE | how, &error);

    if (!doc || !vireo_model_path_set_check(conn->driver->honoured_volume, doc, &error) || !check(doc, &error))
        return hyperv_fail(conn->driver, call, error);
    return make(conn, call, doc, &ret->vol);
}

int hyperv_storage_vol_delete(void *handle, vireo_call *call, const vireo_storage_vol_delete_args *args)
{
    HypervTalk talk;

    begin(&talk, handle, call, NULL);
    const VireoCim *file = find(&talk, NULL, args->vol.key);
    if (file)
        hyperv_invoke(&talk,
                      hyperv_own(&talk, vireo_wsman_path(HYPERV_CIMV2, "CIM_DataFile", "Name",
                                                         vireo_cim_string(file, "Name"))),
                      "Delete", NULL);
    return hyperv_talk_finish(&talk, call);
}

int hyperv_storage_vol_resize(void *handle, vireo_call *call, const vireo_storage_vol_resize_args *args)
{
    HypervTalk talk;
    guint64 now = 0, size = 0;

    begin(&talk, handle, call, NULL);
    const VireoCim *file = find(&talk, NULL, args->vol.key);
    read_sizes(&talk, file, &now, &size);
    guint64 wanted = args->capacity + (args->flags & VIREO_STORAGE_VOL_RESIZE_DELTA ? now : 0);
    if (file && !is_disk(file))
        hyperv_talk_refuse(&talk, VIREO_ERR_OPERATION_UNSUPPORTED, "volume '%s' is no virtual disk", args->vol.name);
    if (wanted < now || wanted > G_MAXINT64 || wanted % 512)
        hyperv_talk_refuse(&talk, VIREO_ERR_INVALID_ARG,
                           "volume '%s' has %" G_GUINT64_FORMAT " bytes: it becomes larger, by whole sectors of 512",
                           args->vol.name, now);
    if (!talk.error) {
        VireoCim *how = vireo_cim_add(vireo_cim_new(""), "Path", NULL, vireo_cim_string(file, "Name"));

        hyperv_invoke(&talk, hyperv_service(&talk, SERVICE), "ResizeVirtualHardDisk",
                      vireo_cim_add_number(how, "MaxInternalSize", "uint64", wanted));
    }
    return hyperv_talk_finish(&talk, call);
}

/* ---- the disks of a machine ---------------------------------------------------------------- */

/* The file of the disk with that target or path; "": there is an error, or none in it. */
static const char *file_of_disk(HypervTalk *talk, const GPtrArray *devices, const char *name)
{
    for (guint i = 0; i < devices->len; i++) {
        const HypervDevice *one = devices->pdata[i];
        const char *file = hyperv_file_of(one);

        if (!one->target || (!g_str_equal(one->target, name) && g_ascii_strcasecmp(file, name) != 0))
            continue;
        if (!*file)
            hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_FAILED, "there is no file in disk '%s'", name);
        return file;
    }
    hyperv_talk_refuse(talk, VIREO_ERR_INVALID_ARG,
                       "the machine has no disk '%s': it is named by its target or its file", name);
    return "";
}

int hyperv_domain_get_block_info(void *handle, vireo_call *call, const vireo_domain_get_block_info_args *args,
                                 vireo_domain_get_block_info_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);

    if (!machine)
        return VIREO_FAIL;
    g_autofree char *id = g_strconcat("Microsoft:", machine->guid, NULL);
    g_autoptr(GPtrArray) devices = hyperv_devices(&talk, hyperv_resources(&talk, id));
    const char *path = file_of_disk(&talk, devices, args->path);
    g_autofree char *quoted = vireo_wql_quote(path);
    const VireoCim *file = hyperv_query_one(&talk, HYPERV_CIMV2, "such file",
                                            "select Name,FileSize from CIM_DataFile where Name=%s", quoted);
    read_sizes(&talk, file, &ret->capacity, &ret->allocation);
    ret->physical = ret->allocation;
    return hyperv_talk_finish(&talk, call);
}
