/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/file.h"
#include "remote.h"
#include "seen.h"

#define CHAIN_MAX 200

/* ---- files --------------------------------------------------------------------- */

const char *qemu_disk_path(const VireoDomainDisk *disk)
{
    if (!disk->source)
        return NULL;
    if (disk->type != VIREO_DOMAIN_DISK_TYPE_NETWORK)
        return disk->type == VIREO_DOMAIN_DISK_TYPE_BLOCK ? disk->source->dev : disk->source->file;
    g_autofree char *location = qemu_remote_location(disk->source, "", NULL);
    return g_intern_string(location); /* one for each place there is: as few as there are definitions */
}

VireoDomainDisk *qemu_disk_named(const VireoDomain *doc, const char *dev)
{
    VEC_EACH(doc->devices->disks, i)
    if (g_str_equal(doc->devices->disks.items[i]->target->dev, dev))
        return doc->devices->disks.items[i];
    return NULL;
}

VireoDomainDiskSource *qemu_image_source(const char *path, gboolean block, VireoDomainDiskType *type)
{
    VireoDomainDiskSource *source = g_new0(VireoDomainDiskSource, 1);

    if (qemu_is_remote(path)) {
        *type = VIREO_DOMAIN_DISK_TYPE_NETWORK;
        qemu_remote_source(path, source);
        return source;
    }
    *type = block ? VIREO_DOMAIN_DISK_TYPE_BLOCK : VIREO_DOMAIN_DISK_TYPE_FILE;
    *(block ? &source->dev : &source->file) = g_strdup(path);
    return source;
}

void qemu_disk_set_image(VireoDomainDisk *disk, const char *path, gboolean block, VireoDomainStorageFormat format)
{
    VireoDomainDiskSource *source = qemu_image_source(path, block, &disk->type);

    g_clear_pointer(&disk->backing_store, vireo_domain_backing_store_free);
    vireo_domain_disk_source_free(disk->source);
    disk->source = source;
    disk->driver->type = format;
}

gboolean qemu_image_is_there(const char *path)
{
    return qemu_is_remote(path) || g_file_test(path, G_FILE_TEST_EXISTS);
}

gboolean qemu_is_block(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

int qemu_image_open(const char *path, int flags, GError **error)
{
    struct stat st;
    int fd = vireo_file_open_trusted(path, O_PATH, error);

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "%s is neither a regular file nor a block device", path);
        close(fd);
        return -1;
    }
    if (flags & O_PATH)
        return fd;
    /* The file that was looked at, whatever the path means by now. */
    g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", fd);
    int opened = open(self, flags | O_CLOEXEC | O_NONBLOCK);
    if (opened < 0)
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot open %s: %s", path, g_strerror(errno));
    close(fd);
    return opened;
}

static QemuImageInfo *inspect_remote(const char *path, gboolean raw, GError **error)
{
    if (!raw)
        return qemu_remote_inspect(path, NULL, error);
    g_autoptr(QemuImageInfo) info = qemu_image_info_new();
    return qemu_remote_size(path, &info->virtual_size, error) ? g_steal_pointer(&info) : NULL;
}

static QemuImageInfo *inspect_local(const char *path, gboolean raw, gboolean snapshots, GError **error)
{
    int fd = qemu_image_open(path, O_RDONLY, error);

    if (fd < 0)
        return NULL;
    QemuImageInfo *info = raw ? qemu_image_info_raw(fd, path, error)
                              : qemu_image_info_read(fd, path, snapshots, error);
    close(fd);
    return info;
}

/* It is what is said of it. */
static gboolean is_as_said(const QemuImageInfo *info, const char *path, const char *said, GError **error)
{
    if (info->is_qcow2 || g_strcmp0(said, "qcow2"))
        return TRUE;
    qemu_refuse(error, VIREO_ERR_OPERATION_FAILED, "bring the right one back; 'vireo doctor' tells more",
                "image %s is not in qcow2 format, as is said of it", path);
    return FALSE;
}

QemuImageInfo *qemu_image_inspect_as(const char *path, const char *said, gboolean snapshots, GError **error)
{
    gboolean raw = !g_strcmp0(said, "raw");
    g_autoptr(QemuImageInfo) info = qemu_is_remote(path) ? inspect_remote(path, raw, error)
                                                         : inspect_local(path, raw, snapshots, error);

    return info && is_as_said(info, path, said, error) ? g_steal_pointer(&info) : NULL;
}

static QemuImageInfo *look_again(QemuDriver *driver, const char *path, guint64 *used, GError **error)
{
    int fd = qemu_image_open(path, O_RDONLY, error);
    QemuImageInfo *info = NULL;
    struct stat st;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0)
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "image %s: %s", path, g_strerror(errno));
    else
        info = qemu_image_info_read(fd, path, TRUE, error);
    if (info) {
        qemu_seen_note(driver->seen, path, fd, &st, info);
        *used = (guint64)st.st_blocks * 512;
    }
    close(fd);
    return info;
}

QemuImageInfo *qemu_image_look(QemuDriver *driver, const char *path, const char *said, guint64 *used, GError **error)
{
    gboolean local = !qemu_is_remote(path);
    struct stat st;
    guint64 bytes = 0;

    if (local && stat(path, &st) == 0)
        bytes = (guint64)st.st_blocks * 512;
    else
        local = FALSE; /* whoever reads it says why not */
    if (!used)
        used = &bytes;
    *used = bytes;
    if (!local || !g_strcmp0(said, "raw"))
        return qemu_image_inspect_as(path, said, TRUE, error);
    g_autoptr(QemuImageInfo) info = qemu_seen_find(driver->seen, path, &st);
    if (!info && !(info = look_again(driver, path, used, error)))
        return NULL;
    return is_as_said(info, path, said, error) ? g_steal_pointer(&info) : NULL;
}

QemuImageInfo *qemu_image_inspect(const char *path, gboolean snapshots, GError **error)
{
    return qemu_image_inspect_as(path, NULL, snapshots, error);
}

static void image_free(gpointer opaque)
{
    QemuImage *image = opaque;

    g_free(image->path);
    g_free(image);
}

char *qemu_image_below(const char *image, const QemuImageInfo *info, VireoDomainStorageFormat *format, GError **error)
{
    VireoDomainStorageFormat said = VIREO_DOMAIN_STORAGE_FORMAT_UNSET;
    char *path = NULL;

    if (!qemu_is_remote(info->backing)) {
        g_autofree char *dir = g_path_get_dirname(image);

        if (!qemu_is_remote(image) || g_path_is_absolute(info->backing))
            path = g_canonicalize_filename(info->backing, dir);
    } else {
        path = qemu_remote_canonical(info->backing, &said);
    }
    if (!path)
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "image %s: its backing file '%s' is neither a local file nor an image of a server of a kind that "
                   "is served", image, info->backing);
    if (format)
        *format = info->backing_format ? vireo_domain_storage_format_from_string(info->backing_format) : said;
    return path;
}

static QemuImage *image_new(char *path, VireoDomainStorageFormat format, gboolean readonly)
{
    QemuImage *image = g_new0(QemuImage, 1);

    image->path = path;
    image->format = format;
    image->readonly = readonly;
    return image;
}

/* The next one below; NULL without error at the end of the chain. driver: what it has seen is enough; NULL: read it. */
static QemuImage *image_below(QemuDriver *driver, const QemuImage *image, const char *dev, GError **error)
{
    const char *said = vireo_domain_storage_format_to_string(image->format);
    g_autoptr(QemuImageInfo) info = driver ? qemu_image_look(driver, image->path, said, NULL, error)
                                           : qemu_image_inspect_as(image->path, said, FALSE, error);

    if (!info) {
        g_prefix_error(error, "disk '%s': ", dev);
        return NULL;
    }
    if (image->format != VIREO_DOMAIN_STORAGE_FORMAT_QCOW2)
        return NULL;
    if (!info->backing)
        return NULL;
    VireoDomainStorageFormat format;
    char *path = qemu_image_below(image->path, info, &format, error);
    if (!path)
        return NULL;
    if (format != VIREO_DOMAIN_STORAGE_FORMAT_RAW && format != VIREO_DOMAIN_STORAGE_FORMAT_QCOW2) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "disk '%s': image %s does not say that its backing file %s is raw or qcow2 "
                   "(it says: %s)", dev, image->path, path,
                   info->backing_format ? info->backing_format : "nothing");
        g_free(path);
        return NULL;
    }
    return image_new(path, format, TRUE);
}

GPtrArray *qemu_image_alone(const VireoDomainDisk *disk)
{
    GPtrArray *chain = g_ptr_array_new_with_free_func(image_free);
    const char *path = qemu_disk_path(disk);

    if (path)
        g_ptr_array_add(chain, image_new(g_strdup(path), disk->driver->type, disk->readonly));
    return chain;
}

static GPtrArray *chain_of(QemuDriver *driver, const VireoDomainDisk *disk, GError **error)
{
    g_autoptr(GPtrArray) chain = g_ptr_array_new_with_free_func(image_free);
    const char *path = qemu_disk_path(disk);
    g_autoptr(GError) failure = NULL;

    if (!path)
        return g_steal_pointer(&chain);
    if (!g_path_is_absolute(path) && !qemu_is_remote(path)) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "disk '%s': '%s' is not an absolute path",
                   disk->target->dev, path);
        return NULL;
    }
    QemuImage *image = image_new(g_strdup(path), disk->driver->type, disk->readonly);
    image->named = TRUE;
    do {
        g_ptr_array_add(chain, image);
        if (chain->len > CHAIN_MAX) {
            qemu_error(error, VIREO_ERR_OPERATION_FAILED,
                       "disk '%s': more than %d images are based on each other",
                       disk->target->dev, CHAIN_MAX);
            return NULL;
        }
        image = image_below(driver, image, disk->target->dev, &failure);
    } while (image);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    return g_steal_pointer(&chain);
}

GPtrArray *qemu_image_chain(const VireoDomainDisk *disk, GError **error)
{
    return chain_of(NULL, disk, error);
}

GPtrArray *qemu_image_chain_seen(QemuDriver *driver, const VireoDomainDisk *disk)
{
    return chain_of(driver, disk, NULL);
}

/* ---- ownership ----------------------------------------------------------------- */

typedef struct {
    char *path;
    dev_t dev;
    ino_t ino;
    uid_t uid;
    gid_t gid;
    mode_t mode;
    GHashTable *holders; /* uuid text */
} Owner;

void qemu_image_owner_free(gpointer opaque)
{
    Owner *owner = opaque;

    g_free(owner->path);
    g_hash_table_unref(owner->holders);
    g_free(owner);
}

static char *owner_key(dev_t dev, ino_t ino)
{
    return g_strdup_printf("owner/%llx-%llx", (unsigned long long)dev, (unsigned long long)ino);
}

static gboolean owner_save(QemuDriver *driver, const char *key, const Owner *owner, GError **error)
{
    JsonArray *holders = json_array_new();
    GHashTableIter iter;
    gpointer holder;

    g_hash_table_iter_init(&iter, owner->holders);
    while (g_hash_table_iter_next(&iter, &holder, NULL))
        json_array_add_string_element(holders, holder);
    g_autoptr(JsonObject) saved = vireo_json_new(
        's', "path", owner->path, 'i', "dev", (gint64)owner->dev, 'i', "ino", (gint64)owner->ino,
        'i', "uid", (gint64)owner->uid, 'i', "gid", (gint64)owner->gid, 'i', "mode",
        (gint64)owner->mode, 'a', "holders", holders, 0);
    g_autofree char *text = vireo_json_text(saved);
    if (driver->host->state_save(driver->core, key, text, strlen(text)) == 0)
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot record the owner of %s: %s", owner->path,
               g_strerror(errno));
    return FALSE;
}

static void recall_one(const char *key, const void *data, size_t len, void *opaque)
{
    QemuDriver *driver = opaque;
    g_autoptr(JsonObject) saved = vireo_json_parse(data, (gssize)len, NULL);
    JsonArray *holders = vireo_json_array(saved, "holders");

    if (!saved || !vireo_json_string(saved, "path"))
        return;
    Owner *owner = g_new0(Owner, 1);
    owner->path = g_strdup(vireo_json_string(saved, "path"));
    owner->dev = (dev_t)vireo_json_int(saved, "dev", 0);
    owner->ino = (ino_t)vireo_json_int(saved, "ino", 0);
    owner->uid = (uid_t)vireo_json_int(saved, "uid", 0);
    owner->gid = (gid_t)vireo_json_int(saved, "gid", 0);
    owner->mode = (mode_t)vireo_json_int(saved, "mode", 0600);
    owner->holders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < vireo_json_length(holders); i++)
        g_hash_table_add(owner->holders, g_strdup(json_array_get_string_element(holders, i)));
    g_hash_table_insert(driver->images, g_strdup(key), owner);
}

void qemu_image_recall(QemuDriver *driver)
{
    driver->host->state_each(driver->core, "owner/", recall_one, driver);
}

static gboolean usable_by(QemuDriver *driver, const struct stat *st, gboolean write)
{
    mode_t want = write ? 06 : 04;

    if (driver->uid == 0)
        return TRUE;
    if (st->st_uid == driver->uid)
        return ((st->st_mode >> 6) & want) == want;
    if (st->st_gid == driver->gid)
        return ((st->st_mode >> 3) & want) == want;
    return (st->st_mode & want) == want;
}

static gboolean set_mode(int fd, mode_t mode)
{
    g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", fd);

    return chmod(self, mode & 07777) == 0;
}

/* Changes the owner; images_lock held. */
static gboolean give_locked(QemuDriver *driver, const char *holder, const QemuImage *image, int fd,
                            const struct stat *st, GError **error)
{
    g_autofree char *key = owner_key(st->st_dev, st->st_ino);
    Owner *owner = g_hash_table_lookup(driver->images, key);
    gboolean known = owner != NULL;

    if (!known && usable_by(driver, st, !image->readonly))
        return TRUE;
    if (!known && !image->named) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED,
                   "%s is only named inside another image and QEMU's user (uid %u) may not read "
                   "it: make it readable", image->path, (unsigned)driver->uid);
        return FALSE;
    }
    if (!known && S_ISREG(st->st_mode) && st->st_nlink > 1) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED,
                   "%s has %lu hard links: its owner is not changed, make it usable for QEMU's "
                   "user (uid %u)", image->path, (unsigned long)st->st_nlink,
                   (unsigned)driver->uid);
        return FALSE;
    }
    if (!known) {
        owner = g_new0(Owner, 1);
        owner->path = g_strdup(image->path);
        owner->dev = st->st_dev;
        owner->ino = st->st_ino;
        owner->uid = st->st_uid;
        owner->gid = st->st_gid;
        owner->mode = st->st_mode;
        owner->holders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_hash_table_insert(driver->images, g_strdup(key), owner);
    }
    g_hash_table_add(owner->holders, g_strdup(holder));
    if (!owner_save(driver, key, owner, error)) {
        g_hash_table_remove(owner->holders, holder);
        if (!known)
            g_hash_table_remove(driver->images, key);
        return FALSE;
    }
    if (!vireo_file_set_owner(fd, image->path, driver->uid, driver->gid, error))
        return FALSE;
    mode_t need = image->readonly ? 0400 : 0600;
    if ((st->st_mode & need) != need)
        set_mode(fd, st->st_mode | need);
    return TRUE;
}

gboolean qemu_image_give(QemuDriver *driver, const char *holder, const QemuImage *image,
                         GError **error)
{
    struct stat st;

    if (!driver->privileged || driver->uid == 0 || !driver->config.set_ownership || qemu_is_remote(image->path))
        return TRUE;
    int fd = qemu_image_open(image->path, O_PATH, error);
    if (fd < 0)
        return FALSE;
    if (fstat(fd, &st) < 0) {
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "%s: %s", image->path, g_strerror(errno));
        close(fd);
        return FALSE;
    }
    g_mutex_lock(&driver->images_lock);
    gboolean given = give_locked(driver, holder, image, fd, &st, error);
    g_mutex_unlock(&driver->images_lock);
    close(fd);
    return given;
}

gboolean qemu_image_first_owner(QemuDriver *driver, const char *path, uid_t *uid, gid_t *gid,
                                mode_t *mode)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return FALSE;
    g_autofree char *key = owner_key(st.st_dev, st.st_ino);
    g_mutex_lock(&driver->images_lock);
    const Owner *owner = g_hash_table_lookup(driver->images, key);
    *uid = owner ? owner->uid : st.st_uid;
    *gid = owner ? owner->gid : st.st_gid;
    *mode = owner ? owner->mode : st.st_mode;
    g_mutex_unlock(&driver->images_lock);
    return TRUE;
}

/* Only the very file that was given, and only while it is still QEMU's. */
static void restore(QemuDriver *driver, const Owner *owner)
{
    g_autoptr(GError) error = NULL;
    struct stat st;
    int fd = qemu_image_open(owner->path, O_PATH, &error);

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == owner->dev && st.st_ino == owner->ino &&
        st.st_uid == driver->uid) {
        vireo_file_set_owner(fd, owner->path, owner->uid, owner->gid, &error);
        if ((st.st_mode & 07777) != (owner->mode & 07777))
            set_mode(fd, owner->mode);
    }
    if (fd >= 0)
        close(fd);
    if (error)
        driver->host->log(driver->core, VIREO_LOG_WARNING, "images",
                          "%s is not given back to its owner: %s", owner->path, error->message);
}

/* path: of that file only; NULL: of all. */
static void release(QemuDriver *driver, const char *path, gboolean (*drop)(const char *, void *),
                    void *opaque)
{
    GHashTableIter images, holders;
    gpointer key, value, holder;

    g_mutex_lock(&driver->images_lock);
    g_hash_table_iter_init(&images, driver->images);
    while (g_hash_table_iter_next(&images, &key, &value)) {
        Owner *owner = value;
        gboolean changed = FALSE;

        if (path && !g_str_equal(owner->path, path))
            continue;
        g_hash_table_iter_init(&holders, owner->holders);
        while (g_hash_table_iter_next(&holders, &holder, NULL))
            if (drop(holder, opaque)) {
                g_hash_table_iter_remove(&holders);
                changed = TRUE;
            }
        if (!changed)
            continue;
        if (g_hash_table_size(owner->holders)) {
            owner_save(driver, key, owner, NULL);
            continue;
        }
        restore(driver, owner);
        driver->host->state_drop(driver->core, key);
        g_hash_table_iter_remove(&images);
    }
    g_mutex_unlock(&driver->images_lock);
}

static gboolean is_holder(const char *holder, void *opaque)
{
    return g_str_equal(holder, opaque);
}

void qemu_image_take_back(QemuDriver *driver, const char *holder)
{
    release(driver, NULL, is_holder, (void *)holder);
}

void qemu_image_take_back_one(QemuDriver *driver, const char *holder, const char *path)
{
    release(driver, path, is_holder, (void *)holder);
}

typedef struct {
    gboolean (*alive)(const char *, void *);
    void *opaque;
} Alive;

static gboolean is_lost(const char *holder, void *opaque)
{
    Alive *alive = opaque;

    return !alive->alive(holder, alive->opaque);
}

void qemu_image_take_back_lost(QemuDriver *driver, gboolean (*alive)(const char *, void *),
                               void *opaque)
{
    Alive arg = { alive, opaque };

    release(driver, NULL, is_lost, &arg);
}
