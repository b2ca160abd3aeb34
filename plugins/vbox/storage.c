/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The media VirtualBox knows as volumes of one pool. Nothing of them is kept: they are asked for when they are needed. */
#include "ops.h"

#include <string.h>

#define POOL "default-pool"

static const guint8 pool_uuid[16] = {0x6f, 0x1d, 0x5a, 0x52, 0x7c, 0x0e, 0x4b, 0x43,
                                     0x9a, 0x5e, 0x1b, 0x0c, 0x76, 0x62, 0x6f, 0x78};

typedef struct {
    const char *ref, *name, *key, *path; /* the name is unique */
} Medium;

/* ---- the pool ------------------------------------------------------------------------------ */

void vbox_storage_publish(VboxServer *server)
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

void vbox_storage_clear(VboxServer *server)
{
    server->driver->host->withdraw(server->space, VIREO_CLASS_STORAGE_POOL, POOL, pool_uuid);
}

void vbox_storage_changed(VboxServer *server)
{
    vireo_storage_pool_event_refresh_msg msg = {.pool = {.name = (char *)POOL}};

    memcpy(msg.pool.uuid, pool_uuid, sizeof pool_uuid);
    server->driver->host->event(server->space, VIREO_EVENT_storage_pool_event_refresh, &msg);
}

static gboolean is_pool(VboxConn *conn, vireo_call *call, const vireo_storage_pool_ref *pool)
{
    if (memcmp(pool->uuid, pool_uuid, sizeof pool_uuid) == 0)
        return TRUE;
    conn->driver->host->fail(call, VIREO_ERR_NO_STORAGE_POOL, "there is no storage pool '%s', only " POOL, pool->name);
    return FALSE;
}

/* FALSE: it is none of the server's. */
static gboolean begin_on_pool(VboxTalk *talk, VboxConn *conn, vireo_call *call, const vireo_storage_pool_ref *pool)
{

    if (!is_pool(conn, call, pool))
        return FALSE;
    vbox_begin(talk, conn, call);
    return TRUE;
}

static const char *folder_of(VboxTalk *talk)
{
    return VBOX_GET(talk, i_system_properties_get_default_machine_folder,
                    VBOX_GET(talk, i_virtual_box_get_system_properties, talk->web));
}

/* ---- media --------------------------------------------------------------------------------- */

static const Medium *medium_named(const GArray *media, const char *name)
{
    for (guint i = 0; i < media->len; i++)
        if (g_str_equal(g_array_index(media, Medium, i).name, name))
            return &g_array_index(media, Medium, i);
    return NULL;
}

/* Files in different folders may have one name. */
static void add_media(VboxTalk *talk, GArray *media, guint n, const char *const *refs)
{
    for (guint i = 0; i < n && !talk->error; i++) {
        Medium medium = {.ref = refs[i],
                         .name = VBOX_GET(talk, i_medium_get_name, refs[i]),
                         .key = VBOX_GET(talk, i_medium_get_id, refs[i]),
                         .path = VBOX_GET(talk, i_medium_get_location, refs[i])};

        if (medium_named(media, medium.name)) {
            g_autofree char *other = g_strdup_printf("%s (%s)", medium.name, medium.key);
            medium.name = vireo_arena_strdup(talk->arena, other);
        }
        g_array_append_val(media, medium);
    }
}

static GArray *read_media(VboxTalk *talk)
{
    GArray *media = g_array_new(FALSE, FALSE, sizeof(Medium));
    const vw_i_virtual_box_get_hard_disks_ret *disks = VBOX_CALL(talk, i_virtual_box_get_hard_disks, ._this = talk->web);
    const vw_i_virtual_box_get_dvd_images_ret *dvds = VBOX_CALL(talk, i_virtual_box_get_dvd_images, ._this = talk->web);
    const vw_i_virtual_box_get_floppy_images_ret *floppies =
        VBOX_CALL(talk, i_virtual_box_get_floppy_images, ._this = talk->web);

    add_media(talk, media, disks->returnval.n, (const char *const *)disks->returnval.items);
    add_media(talk, media, dvds->returnval.n, (const char *const *)dvds->returnval.items);
    add_media(talk, media, floppies->returnval.n, (const char *const *)floppies->returnval.items);
    return media;
}

/* VirtualBox tells what it saw last: after a resize that is the size before. */
void vbox_medium_sizes(VboxTalk *talk, const char *medium, guint64 *capacity, guint64 *allocation)
{
    VBOX_CALL(talk, i_medium_refresh_state, ._this = medium);
    *capacity = (guint64)VBOX_GET(talk, i_medium_get_logical_size, medium);
    *allocation = (guint64)VBOX_GET(talk, i_medium_get_size, medium);
}

/* By what is given of them. Belongs to the talk; NULL: there is none, or an error. */
static const Medium *find(VboxTalk *talk, const char *name, const char *key, const char *path)
{
    g_autoptr(GArray) media = read_media(talk);
    Medium *found = vireo_arena_alloc(talk->arena, sizeof *found);

    for (guint i = 0; i < media->len && !talk->error; i++) {
        *found = g_array_index(media, Medium, i);
        if ((!name || g_str_equal(found->name, name)) && (!key || g_ascii_strcasecmp(found->key, key) == 0) &&
            (!path || g_str_equal(found->path, path)))
            return found;
    }
    vbox_talk_refuse(talk, VIREO_ERR_NO_STORAGE_VOL, "no storage vol with matching %s '%s'",
                     path   ? "path"
                     : name ? "name"
                            : "key",
                     path   ? path
                     : name ? name
                            : key);
    return NULL;
}

const char *vbox_volume_medium(VboxTalk *talk, const vireo_storage_vol_ref *vol)
{
    const Medium *medium = find(talk, NULL, vol->key, NULL);

    return medium ? medium->ref : "";
}

static vireo_storage_vol_ref reference(VboxConn *conn, vireo_call *call, const Medium *medium)
{
    const struct vireo_host *host = conn->driver->host;

    return (vireo_storage_vol_ref){.pool = host->strdup(call, POOL),
                                   .name = host->strdup(call, medium->name),
                                   .key = host->strdup(call, medium->key)};
}

/* The media, in a talk that begins; NULL: it is none of the server's pools. */
static GArray *begin_on_media(VboxTalk *talk, VboxConn *conn, vireo_call *call, const vireo_storage_pool_ref *pool)
{
    return begin_on_pool(talk, conn, call, pool) ? read_media(talk) : NULL;
}

/* ---- the pool's calls ------------------------------------------------------------------------ */

int vbox_storage_pool_list_all_volumes(void *handle, vireo_call *call,
                                       const vireo_storage_pool_list_all_volumes_args *args,
                                       vireo_storage_pool_list_all_volumes_ret *ret)
{
    VboxConn *conn = handle;
    VboxTalk talk;
    g_autoptr(GArray) media = begin_on_media(&talk, conn, call, &args->pool);

    if (!media)
        return VIREO_FAIL;
    ret->vols.val = conn->driver->host->alloc(call, sizeof *ret->vols.val * (media->len + 1));
    for (guint i = 0; i < media->len; i++)
        ret->vols.val[i] = reference(conn, call, &g_array_index(media, Medium, i));
    ret->vols.len = ret->ret = media->len;
    return vbox_talk_finish(&talk, call);
}

static void add_sizes(VboxTalk *talk, guint64 *capacity, guint64 *allocation)
{
    g_autoptr(GArray) media = read_media(talk);

    for (guint i = 0; i < media->len && !talk->error; i++) {
        guint64 one, file;

        vbox_medium_sizes(talk, g_array_index(media, Medium, i).ref, &one, &file);
        *capacity += one;
        *allocation += file;
    }
}

int vbox_storage_pool_get_info(void *handle, vireo_call *call, const vireo_storage_pool_get_info_args *args,
                               vireo_storage_pool_get_info_ret *ret)
{
    VboxConn *conn = handle;
    VboxTalk talk;

    if (!begin_on_pool(&talk, conn, call, &args->pool))
        return VIREO_FAIL;
    ret->state = VIREO_STORAGE_POOL_RUNNING;
    add_sizes(&talk, &ret->capacity, &ret->allocation);
    return vbox_talk_finish(&talk, call);
}

int vbox_storage_pool_get_xml_desc(void *handle, vireo_call *call, const vireo_storage_pool_get_xml_desc_args *args,
                                   vireo_storage_pool_get_xml_desc_ret *ret)
{
    VboxConn *conn = handle;
    g_autoptr(VireoStoragePool) doc = g_new0(VireoStoragePool, 1);
    VboxTalk talk;

    if (!begin_on_pool(&talk, conn, call, &args->pool))
        return VIREO_FAIL;
    doc->type = VIREO_STORAGE_POOL_KIND_DIR;
    doc->name = g_strdup(POOL);
    doc->has_uuid = TRUE;
    memcpy(doc->uuid, pool_uuid, sizeof pool_uuid);
    doc->has_capacity = doc->has_allocation = doc->has_available = TRUE;
    add_sizes(&talk, &doc->capacity, &doc->allocation);
    doc->target = g_new0(VireoStoragePoolTarget, 1);
    doc->target->path = g_strdup(folder_of(&talk));
    g_autofree char *text = vireo_storage_pool_format(doc, 0);
    ret->xml = conn->driver->host->strdup(call, text);
    return vbox_talk_finish(&talk, call);
}

/* VirtualBox looks at each file again. */
int vbox_storage_pool_refresh(void *handle, vireo_call *call, const vireo_storage_pool_refresh_args *args)
{
    VboxConn *conn = handle;
    VboxTalk talk;
    g_autoptr(GArray) media = begin_on_media(&talk, conn, call, &args->pool);

    if (!media)
        return VIREO_FAIL;
    for (guint i = 0; i < media->len && !talk.error; i++)
        VBOX_CALL(&talk, i_medium_refresh_state, ._this = g_array_index(media, Medium, i).ref);
    if (!talk.error)
        vbox_storage_changed(conn->server);
    return vbox_talk_finish(&talk, call);
}

int vbox_storage_pool_lookup_by_volume(void *handle, vireo_call *call,
                                       const vireo_storage_pool_lookup_by_volume_args *args,
                                       vireo_storage_pool_lookup_by_volume_ret *ret)
{
    VboxConn *conn = handle;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    find(&talk, NULL, args->vol.key, NULL);
    ret->pool.name = conn->driver->host->strdup(call, POOL);
    memcpy(ret->pool.uuid, pool_uuid, sizeof pool_uuid);
    return vbox_talk_finish(&talk, call);
}

/* ---- volumes --------------------------------------------------------------------------------- */

static int look_up(VboxConn *conn, vireo_call *call, const char *name, const char *key, const char *path,
                   vireo_storage_vol_ref *vol)
{
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const Medium *medium = find(&talk, name, key, path);
    if (medium)
        *vol = reference(conn, call, medium);
    return vbox_talk_finish(&talk, call);
}

int vbox_storage_vol_lookup_by_name(void *handle, vireo_call *call, const vireo_storage_vol_lookup_by_name_args *args,
                                    vireo_storage_vol_lookup_by_name_ret *ret)
{
    return look_up(handle, call, args->name, NULL, NULL, &ret->vol);
}

int vbox_storage_vol_lookup_by_key(void *handle, vireo_call *call, const vireo_storage_vol_lookup_by_key_args *args,
                                   vireo_storage_vol_lookup_by_key_ret *ret)
{
    return look_up(handle, call, NULL, args->key, NULL, &ret->vol);
}

int vbox_storage_vol_lookup_by_path(void *handle, vireo_call *call, const vireo_storage_vol_lookup_by_path_args *args,
                                    vireo_storage_vol_lookup_by_path_ret *ret)
{
    return look_up(handle, call, NULL, NULL, args->path, &ret->vol);
}

int vbox_storage_vol_get_path(void *handle, vireo_call *call, const vireo_storage_vol_get_path_args *args,
                              vireo_storage_vol_get_path_ret *ret)
{
    VboxConn *conn = handle;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const Medium *medium = find(&talk, NULL, args->vol.key, NULL);
    if (medium)
        ret->name = conn->driver->host->strdup(call, medium->path);
    return vbox_talk_finish(&talk, call);
}

static int get_info(VboxConn *conn, vireo_call *call, const char *key, guint64 *capacity, guint64 *allocation)
{
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const Medium *medium = find(&talk, NULL, key, NULL);
    if (medium)
        vbox_medium_sizes(&talk, medium->ref, capacity, allocation);
    return vbox_talk_finish(&talk, call);
}

int vbox_storage_vol_get_info(void *handle, vireo_call *call, const vireo_storage_vol_get_info_args *args,
                              vireo_storage_vol_get_info_ret *ret)
{
    ret->type = VIREO_STORAGE_VOL_FILE;
    return get_info(handle, call, args->vol.key, &ret->capacity, &ret->allocation);
}

int vbox_storage_vol_get_info_flags(void *handle, vireo_call *call, const vireo_storage_vol_get_info_flags_args *args,
                                    vireo_storage_vol_get_info_flags_ret *ret)
{
    ret->type = VIREO_STORAGE_VOL_FILE;
    return get_info(handle, call, args->vol.key, &ret->capacity, &ret->allocation);
}

/* What clients call a format, and VirtualBox. */
static const struct {
    const char *here, *there;
} formats[] = {{"vdi", "VDI"}, {"vmdk", "VMDK"}, {"vpc", "VHD"}};

int vbox_storage_vol_get_xml_desc(void *handle, vireo_call *call, const vireo_storage_vol_get_xml_desc_args *args,
                                  vireo_storage_vol_get_xml_desc_ret *ret)
{
    VboxConn *conn = handle;
    g_autoptr(VireoStorageVol) doc = g_new0(VireoStorageVol, 1);
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const Medium *medium = find(&talk, NULL, args->vol.key, NULL);
    if (medium) {
        const char *format = VBOX_GET(&talk, i_medium_get_format, medium->ref), *shown = NULL;

        for (guint i = 0; i < G_N_ELEMENTS(formats); i++)
            if (g_ascii_strcasecmp(formats[i].there, format) == 0)
                shown = formats[i].here;
        doc->type = VIREO_STORAGE_VOL_KIND_FILE;
        doc->name = g_strdup(medium->name);
        doc->key = g_strdup(medium->key);
        doc->has_capacity = doc->has_allocation = TRUE;
        vbox_medium_sizes(&talk, medium->ref, &doc->capacity, &doc->allocation);
        doc->target = g_new0(VireoStorageVolTarget, 1);
        doc->target->path = g_strdup(medium->path);
        doc->target->format = shown ? g_strdup(shown) : g_ascii_strdown(format, -1);
        g_autofree char *text = vireo_storage_vol_format(doc, 0);
        ret->xml = conn->driver->host->strdup(call, text);
    }
    return vbox_talk_finish(&talk, call);
}

/* ---- new ones ---------------------------------------------------------------------------------- */

static const char *const paths[] = {
    "volume.type",        "volume.name",        "volume.key", "volume.capacity", "volume.allocation",
    "volume.target.path", "volume.target.format.type", NULL,
};

VireoModelPathSet *vbox_storage_paths(GError **error)
{
    return vireo_model_path_set_new(&vireo_storage_vol_type, paths, error);
}

static gboolean refuse(GError **error, guint line, const char *format, const char *what)
{
    g_autofree char *text = g_strdup_printf("(storage_volume_definition):%u: %s", line, format);

    g_set_error(error, VIREO_ERROR, VIREO_ERR_CONFIG_UNSUPPORTED, "%s: '%s'", text, what);
    return FALSE;
}

/* VirtualBox's name of the format; NULL: it makes none of that kind. */
static const char *format_of(const VireoStorageVol *doc)
{
    const char *wanted = doc->target && doc->target->format ? doc->target->format : "vdi";

    for (guint i = 0; i < G_N_ELEMENTS(formats); i++)
        if (g_str_equal(formats[i].here, wanted))
            return formats[i].there;
    return NULL;
}

static gboolean check(const VireoStorageVol *doc, gboolean clone, GError **error)
{
    if (doc->type && doc->type != VIREO_STORAGE_VOL_KIND_FILE)
        return refuse(error, doc->line, "a volume is of type file", vireo_storage_vol_kind_to_string(doc->type));
    if (strpbrk(doc->name, "/\\") || g_str_equal(doc->name, ".") || g_str_equal(doc->name, ".."))
        return refuse(error, doc->line, "the name is that of a file in the folder of the pool", doc->name);
    if (!format_of(doc))
        return refuse(error, doc->line, "the formats are vdi, vmdk and vpc", doc->target->format);
    if (!clone && (!doc->has_capacity || !doc->capacity))
        return refuse(error, doc->line, "the volume needs a <capacity>", doc->name);
    return TRUE;
}

/* The parsed document; NULL: failed. */
static VireoStorageVol *read_document(VboxConn *conn, vireo_call *call, const char *xml, gboolean validate,
                                      gboolean clone)
{
    GError *error = NULL;
    VireoStorageVol *doc = vireo_storage_vol_parse(
        xml, VIREO_MODEL_PARSE_INACTIVE | (validate ? VIREO_MODEL_PARSE_VALIDATE : 0), &error);

    if (doc && vireo_model_path_set_check(conn->driver->honoured_volume, doc, &error) && check(doc, clone, &error))
        return doc;
    vireo_storage_vol_free(doc);
    vbox_fail(conn->driver, call, error);
    return NULL;
}

static const char *new_medium(VboxTalk *talk, const VireoStorageVol *doc)
{
    g_autoptr(GArray) media = read_media(talk);
    g_autofree char *path = g_strdup_printf("%s/%s", folder_of(talk), doc->name);

    if (medium_named(media, doc->name))
        vbox_talk_refuse(talk, VIREO_ERR_STORAGE_VOL_EXIST, "storage volume '%s' exists already", doc->name);
    return VBOX_CALL(talk, i_virtual_box_create_medium, ._this = talk->web, .format = format_of(doc), .location = path,
                     .access_mode = VW_ACCESS_MODE_READ_WRITE, .a_device_type_type = VW_DEVICE_TYPE_HARD_DISK)
        ->returnval;
}

/* source: NULL for an empty one. */
static int make(VboxConn *conn, vireo_call *call, const VireoStorageVol *doc, const char *source,
                vireo_storage_vol_ref *vol)
{
    gboolean full = doc->has_allocation && doc->has_capacity && doc->allocation >= doc->capacity;
    VwMediumVariant variant[] = {full ? VW_MEDIUM_VARIANT_FIXED : VW_MEDIUM_VARIANT_STANDARD};
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const Medium *from = source ? find(&talk, NULL, source, NULL) : NULL;
    if (from && doc->has_capacity && doc->capacity != (guint64)VBOX_GET(&talk, i_medium_get_logical_size, from->ref))
        vbox_talk_refuse(&talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                         "a copy of '%s' has its capacity: resize it afterwards", from->name);
    const char *ref = new_medium(&talk, doc);
    const char *progress =
        from ? VBOX_CALL(&talk, i_medium_clone_to_base, ._this = from->ref, .target = ref, .variant = {1, variant})
                   ->returnval
             : VBOX_CALL(&talk, i_medium_create_base_storage, ._this = ref, .logical_size = (gint64)doc->capacity,
                         .variant = {1, variant})
                   ->returnval;
    if (!talk.error)
        vbox_talk_follow(&talk, call, progress);
    if (talk.error && *ref)
        vbox_talk_take(&talk, ref);
    const Medium made = {.ref = ref, .name = doc->name, .key = VBOX_GET(&talk, i_medium_get_id, ref)};
    *vol = reference(conn, call, &made);
    return vbox_talk_finish(&talk, call);
}

int vbox_storage_vol_create_xml(void *handle, vireo_call *call, const vireo_storage_vol_create_xml_args *args,
                                vireo_storage_vol_create_xml_ret *ret)
{
    g_autoptr(VireoStorageVol) doc =
        read_document(handle, call, args->xml, (args->flags & VIREO_STORAGE_VOL_CREATE_VALIDATE) != 0, FALSE);

    return doc && is_pool(handle, call, &args->pool) ? make(handle, call, doc, NULL, &ret->vol) : VIREO_FAIL;
}

int vbox_storage_vol_create_xml_from(void *handle, vireo_call *call, const vireo_storage_vol_create_xml_from_args *args,
                                     vireo_storage_vol_create_xml_from_ret *ret)
{
    g_autoptr(VireoStorageVol) doc =
        read_document(handle, call, args->xml, (args->flags & VIREO_STORAGE_VOL_CREATE_VALIDATE) != 0, TRUE);

    return doc && is_pool(handle, call, &args->pool) ? make(handle, call, doc, args->clonevol.key, &ret->vol)
                                                     : VIREO_FAIL;
}

int vbox_storage_vol_delete(void *handle, vireo_call *call, const vireo_storage_vol_delete_args *args)
{
    VboxConn *conn = handle;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const Medium *medium = find(&talk, NULL, args->vol.key, NULL);
    const char *progress = VBOX_GET(&talk, i_medium_delete_storage, medium ? medium->ref : "");
    if (!talk.error && vbox_talk_follow(&talk, call, progress))
        vbox_talk_take(&talk, medium->ref);
    return vbox_talk_finish(&talk, call);
}

int vbox_storage_vol_resize(void *handle, vireo_call *call, const vireo_storage_vol_resize_args *args)
{
    VboxConn *conn = handle;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const Medium *medium = find(&talk, NULL, args->vol.key, NULL);
    guint64 now = 0, file;
    if (medium)
        vbox_medium_sizes(&talk, medium->ref, &now, &file);
    guint64 wanted = args->capacity + (args->flags & VIREO_STORAGE_VOL_RESIZE_DELTA ? now : 0);
    if (wanted < now || wanted > G_MAXINT64)
        vbox_talk_refuse(&talk, VIREO_ERR_INVALID_ARG,
                         "volume '%s' has %" G_GUINT64_FORMAT " bytes, and VirtualBox makes none smaller",
                         args->vol.name, now);
    const char *progress =
        VBOX_CALL(&talk, i_medium_resize, ._this = medium ? medium->ref : "", .logical_size = (gint64)wanted)->returnval;
    if (!talk.error)
        vbox_talk_follow(&talk, call, progress);
    return vbox_talk_finish(&talk, call);
}
