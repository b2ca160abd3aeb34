/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which files snapshot operations made. */
#include "take.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images.h"
#include "kit/file.h"
#include "remote.h"
#include "sidefile.h"

/* All of them are written anew when one goes. Those that come are written to a file of their own, again and again, until
 * they are ADDED_MAX: so that to take a snapshot costs the same however many there are. What was added counts while it
 * says the same stamp as the rest. */
#define ADDED_MAX 64

struct QemuKeptFiles {
    QemuFiles *all, *added; /* what was added is in both */
    gint64 stamp; /* 0: all is not on disk, for it is nothing */
    guint n_added;
};

static char *files_key(QemuDomain *dom)
{
    return g_strdup_printf("images/%s/%s", dom->space->key, dom->uuid_text);
}

static char *added_key(QemuDomain *dom)
{
    return g_strdup_printf("images-added/%s/%s", dom->space->key, dom->uuid_text);
}

static GHashTable *path_set(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void qemu_files_free(QemuFiles *files)
{
    if (!files)
        return;
    g_hash_table_unref(files->owned);
    g_hash_table_unref(files->released);
    g_hash_table_unref(files->kept);
    g_hash_table_unref(files->bases);
    g_hash_table_unref(files->points);
    g_hash_table_unref(files->given);
    g_hash_table_unref(files->emptied);
    g_hash_table_unref(files->cut);
    g_free(files);
}

static void read_set(JsonArray *list, GHashTable *set)
{
    for (guint i = 0; i < vireo_json_length(list); i++)
        g_hash_table_add(set, g_strdup(json_array_get_string_element(list, i)));
}

static void files_parse(JsonObject *saved, QemuFiles *files)
{
    read_set(vireo_json_array(saved, "owned"), files->owned);
    read_set(vireo_json_array(saved, "released"), files->released);
    read_set(vireo_json_array(saved, "kept"), files->kept);
    read_set(vireo_json_array(saved, "bases"), files->bases);
    read_set(vireo_json_array(saved, "points"), files->points);
    read_set(vireo_json_array(saved, "given"), files->given);
    read_set(vireo_json_array(saved, "emptied"), files->emptied);
    read_set(vireo_json_array(saved, "cut"), files->cut);
}

QemuFiles *qemu_files_new(void)
{
    QemuFiles *files = g_new0(QemuFiles, 1);

    files->owned = path_set();
    files->released = path_set();
    files->kept = path_set();
    files->bases = path_set();
    files->points = path_set();
    files->given = path_set();
    files->emptied = path_set();
    files->cut = path_set();
    return files;
}

static void unite_set(GHashTable *set, GHashTable *more)
{
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, more);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        if (!g_hash_table_contains(set, path))
            g_hash_table_add(set, g_strdup(path));
}

static void unite(QemuFiles *files, const QemuFiles *more)
{
    unite_set(files->owned, more->owned);
    unite_set(files->released, more->released);
    unite_set(files->kept, more->kept);
    unite_set(files->bases, more->bases);
    unite_set(files->points, more->points);
    unite_set(files->given, more->given);
    unite_set(files->emptied, more->emptied);
    unite_set(files->cut, more->cut);
}

void qemu_kept_files_free(QemuKeptFiles *kept)
{
    if (!kept)
        return;
    qemu_files_free(kept->all);
    qemu_files_free(kept->added);
    g_free(kept);
}

static void all_read(const char *key, const void *data, size_t len, void *opaque)
{
    g_autoptr(JsonObject) saved = vireo_json_parse(data, (gssize)len, NULL);
    QemuKeptFiles *kept = opaque;

    kept->stamp = vireo_json_int(saved, "stamp", 1);
    files_parse(saved, kept->all);
}

static void added_read(const char *key, const void *data, size_t len, void *opaque)
{
    g_autoptr(JsonObject) saved = vireo_json_parse(data, (gssize)len, NULL);
    QemuKeptFiles *kept = opaque;

    if (!saved || !kept->stamp || vireo_json_int(saved, "stamp", 0) != kept->stamp)
        return;
    files_parse(saved, kept->added);
    kept->n_added = ADDED_MAX; /* the next time all are written */
    unite(kept->all, kept->added);
}

static QemuKeptFiles *kept_of(QemuDomain *dom)
{
    const QemuDriver *driver = dom->space->driver;
    g_autofree char *all = files_key(dom), *added = added_key(dom);

    if (dom->files)
        return dom->files;
    dom->files = g_new0(QemuKeptFiles, 1);
    dom->files->all = qemu_files_new();
    dom->files->added = qemu_files_new();
    driver->host->state_each(driver->core, all, all_read, dom->files);
    driver->host->state_each(driver->core, added, added_read, dom->files);
    return dom->files;
}

const QemuFiles *qemu_files_of(QemuDomain *dom)
{
    return kept_of(dom)->all;
}

QemuFiles *qemu_files_load(QemuDomain *dom)
{
    QemuFiles *files = qemu_files_new();

    unite(files, qemu_files_of(dom));
    return files;
}

static JsonArray *set_array(GHashTable *set)
{
    JsonArray *list = json_array_new();
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, set);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        json_array_add_string_element(list, path);
    return list;
}

static gboolean write_files(QemuDomain *dom, const char *key, const QemuFiles *files, gint64 stamp, GError **error)
{
    QemuDriver *driver = dom->space->driver;
    g_autoptr(JsonObject) object =
        vireo_json_new('s', "domain", dom->name, 'i', "stamp", stamp, 'a', "owned", set_array(files->owned), 'a',
                       "released", set_array(files->released), 'a', "kept", set_array(files->kept), 'a', "bases",
                       set_array(files->bases), 'a', "points", set_array(files->points), 'a', "given",
                       set_array(files->given), 'a', "emptied", set_array(files->emptied), 'a', "cut",
                       set_array(files->cut), 0);
    g_autofree char *text = vireo_json_text(object);

    if (driver->host->state_save(driver->core, key, text, strlen(text)) == 0)
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot note down the images of domain '%s': %s",
               dom->name, g_strerror(errno));
    return FALSE;
}

/* From now on they are these. */
static void keep(QemuDomain *dom, const QemuFiles *files, gint64 stamp)
{
    QemuKeptFiles *now = g_new0(QemuKeptFiles, 1);

    now->all = qemu_files_new();
    now->added = qemu_files_new();
    now->stamp = stamp;
    unite(now->all, files);
    qemu_kept_files_free(dom->files);
    dom->files = now;
}

gboolean qemu_files_save(QemuDomain *dom, const QemuFiles *files, GError **error)
{
    QemuDriver *driver = dom->space->driver;
    g_autofree char *key = files_key(dom), *added = added_key(dom);
    gint64 stamp = MAX(kept_of(dom)->stamp + 1, g_get_real_time());
    gboolean had_added = dom->files->n_added > 0;

    if (!g_hash_table_size(files->owned) && !g_hash_table_size(files->released) &&
        !g_hash_table_size(files->points) && !g_hash_table_size(files->given) &&
        !g_hash_table_size(files->emptied) && !g_hash_table_size(files->cut)) {
        stamp = 0;
        if (driver->host->state_drop(driver->core, key) != 0) {
            g_clear_pointer(&dom->files, qemu_kept_files_free);
            return TRUE;
        }
    } else if (!write_files(dom, key, files, stamp, error)) {
        g_clear_pointer(&dom->files, qemu_kept_files_free); /* one or the other is on disk */
        return FALSE;
    }
    keep(dom, files, stamp);
    if (had_added || !stamp)
        driver->host->state_drop(driver->core, added);
    return TRUE;
}

gboolean qemu_files_add(QemuDomain *dom, const QemuFiles *more, GError **error)
{
    QemuKeptFiles *kept = kept_of(dom);
    g_autoptr(QemuFiles) all = NULL;
    g_autofree char *key = added_key(dom);

    if (!kept->stamp || kept->n_added >= ADDED_MAX) {
        all = qemu_files_load(dom);
        unite(all, more);
        return qemu_files_save(dom, all, error);
    }
    unite(kept->added, more);
    if (!write_files(dom, key, kept->added, kept->stamp, error)) {
        g_clear_pointer(&dom->files, qemu_kept_files_free);
        return FALSE;
    }
    unite(kept->all, more);
    kept->n_added++;
    return TRUE;
}

/* Names of snapshots have no '/', paths of images begin with one; that of a server gets two. */
char *qemu_point_note(const char *image, const char *tag)
{
    return g_strconcat(tag, qemu_is_remote(image) ? "//" : "", image, NULL);
}

char *qemu_point_read(const char *note, const char **image)
{
    const char *slash = strchr(note, '/');

    *image = slash && slash[1] == '/' ? slash + 2 : slash;
    return slash ? g_strndup(note, (gsize)(slash - note)) : NULL;
}

static void disown(QemuFiles *files, const char *path)
{
    g_autofree char *real = qemu_real_path(path);

    if (!real)
        return;
    g_hash_table_remove(files->owned, real);
    g_hash_table_remove(files->released, real);
}

/* All of one snapshot. */
static void forget_notes(GHashTable *notes, const char *name)
{
    GHashTableIter iter;
    gpointer note;
    const char *image;

    g_hash_table_iter_init(&iter, notes);
    while (g_hash_table_iter_next(&iter, &note, NULL)) {
        g_autofree char *tag = qemu_point_read(note, &image);

        if (!g_strcmp0(tag, name))
            g_hash_table_iter_remove(&iter);
    }
}

static void give(QemuFiles *files, const VireoDomainSnapshot *doc)
{
    for (guint i = 0; doc->domain && doc->disks && i < doc->disks->disks.n; i++) {
        const VireoDomainSnapshotDisk *disk = doc->disks->disks.items[i];
        const VireoDomainDisk *was = qemu_disk_named(doc->domain, disk->name);
        g_autofree char *real = was ? qemu_real_path(qemu_disk_path(was)) : NULL;

        if (real && disk->snapshot != VIREO_DOMAIN_SNAPSHOT_LOCATION_NO)
            g_hash_table_add(files->given, qemu_point_note(real, doc->name));
    }
}

gboolean qemu_files_take_back(QemuDomain *dom, const char *name, GError **error)
{
    g_autoptr(QemuFiles) files = qemu_files_load(dom);
    guint before = g_hash_table_size(files->given);

    forget_notes(files->given, name);
    return g_hash_table_size(files->given) == before || qemu_files_save(dom, files, error);
}

gboolean qemu_files_gone(QemuDomain *dom, const char *const *paths, guint n_paths, GError **error)
{
    const QemuFiles *now = qemu_files_of(dom);
    gboolean noted = FALSE;

    for (guint i = 0; i < n_paths && !noted; i++)
        noted = g_hash_table_contains(now->owned, paths[i]) || g_hash_table_contains(now->released, paths[i]);
    if (!noted)
        return TRUE;
    g_autoptr(QemuFiles) files = qemu_files_load(dom);
    for (guint i = 0; i < n_paths; i++) {
        g_hash_table_remove(files->owned, paths[i]);
        g_hash_table_remove(files->released, paths[i]);
    }
    return qemu_files_save(dom, files, error);
}

static void disown_one(QemuFiles *files, const VireoDomainSnapshot *doc)
{
    QemuSnapFile sides[QEMU_SNAP_FILES];

    qemu_snap_files(doc, sides);
    for (guint i = 0; i < QEMU_SNAP_FILES; i++)
        disown(files, sides[i].path);
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++)
        if (doc->disks->disks.items[i]->source)
            disown(files, doc->disks->disks.items[i]->source->file);
    forget_notes(files->points, doc->name);
    give(files, doc);
}

gboolean qemu_files_disown(QemuDomain *dom, GPtrArray *snaps, GError **error)
{
    g_autoptr(QemuFiles) files = qemu_files_load(dom);

    for (guint i = 0; i < snaps->len; i++)
        disown_one(files, ((QemuSnap *)snaps->pdata[i])->doc);
    return qemu_files_save(dom, files, error);
}

/* ---- emptied by a commit --------------------------------------------------------------- */

/* Nobody has written to the file since when the note is the same. NULL: not a file. Caller frees. */
static char *emptied_note(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return NULL;
    return g_strdup_printf("%" G_GUINT64_FORMAT " %" G_GINT64_FORMAT ".%09ld %s", (guint64)st.st_ino,
                           (gint64)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, path);
}

/* NULL: the file is another one now. */
static const char *emptied_path(const char *note)
{
    const char *path = strchr(note, '/');
    g_autofree char *now = path ? emptied_note(path) : NULL;

    return g_strcmp0(now, note) ? NULL : path;
}

static gboolean is_void(gpointer note, gpointer value, gpointer opaque)
{
    return !emptied_path(note);
}

gboolean qemu_files_empty(QemuDomain *dom, const char *path, GError **error)
{
    g_autoptr(QemuFiles) files = qemu_files_load(dom);
    char *note = emptied_note(path);

    if (!note)
        return TRUE;
    g_hash_table_foreach_remove(files->emptied, is_void, NULL);
    g_hash_table_add(files->emptied, note);
    return qemu_files_save(dom, files, error);
}

void qemu_files_leave_out_emptied(QemuDomain *dom, QemuGraph *graph)
{
    const QemuFiles *files = qemu_files_of(dom);
    gboolean again = TRUE;

    while (again) { /* those above make way for those below */
        GHashTableIter iter;
        gpointer note;

        again = FALSE;
        g_hash_table_iter_init(&iter, files->emptied);
        while (g_hash_table_iter_next(&iter, &note, NULL)) {
            const char *path = emptied_path(note);

            again |= path && qemu_graph_leave_out(graph, path);
        }
    }
}

/* ---- of domains that have gone ------------------------------------------------------------ */

/* Points in it are those of the snapshots that go with the domain, and may come back by REDEFINE. */
static gboolean is_left(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_autoptr(QemuImageInfo) info = fd >= 0 ? qemu_image_info_read(fd, path, TRUE, NULL) : NULL;

    if (fd >= 0)
        close(fd);
    return info && (!info->snapshots || info->snapshots->len == 0);
}

static void keep_left(GHashTable *set)
{
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, set);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        if (!is_left(path))
            g_hash_table_iter_remove(&iter);
}

static gboolean is_not_in(gpointer path, gpointer value, gpointer set)
{
    return !g_hash_table_contains(set, path);
}

static gboolean has_gone(gpointer path, gpointer value, gpointer opaque)
{
    return !g_file_test(path, G_FILE_TEST_EXISTS);
}

void qemu_files_leave(QemuDomain *dom)
{
    QemuDriver *driver = dom->space->driver;
    g_autoptr(QemuFiles) files = qemu_files_load(dom);
    guint left;

    qemu_quiesce_drop(dom);
    g_hash_table_foreach_remove(files->released, is_not_in, files->owned);
    g_hash_table_remove_all(files->kept);
    g_hash_table_remove_all(files->bases);
    g_hash_table_remove_all(files->given);
    g_hash_table_remove_all(files->emptied);
    g_hash_table_foreach_remove(files->cut, has_gone, NULL);
    keep_left(files->released);
    g_hash_table_foreach_remove(files->owned, is_not_in, files->released);
    left = g_hash_table_size(files->released);
    if (!qemu_files_save(dom, files, NULL) || !left)
        return;
    driver->host->log(driver->core, VIREO_LOG_WARNING, dom->space->uri,
                      "domain '%s' goes before %u images that no snapshot needs were merged; they stay: a "
                      "domain with its uuid (%s) on the same images takes that up again",
                      dom->name, left, dom->uuid_text);
}

typedef struct {
    QemuSpace *space;
    GPtrArray *found, *empty; /* QemuLeftover; keys */
} Unowned;

void qemu_leftover_free(gpointer data)
{
    QemuLeftover *leftover = data;

    g_free(leftover->domain);
    g_free(leftover->uuid);
    g_free(leftover->path);
    g_free(leftover);
}

static void unowned_read(const char *key, const void *data, size_t len, void *opaque)
{
    Unowned *unowned = opaque;
    const char *uuid = strrchr(key, '/') + 1;
    guint8 bytes[16];
    g_autoptr(QemuDomain) owner =
        vireo_model_uuid_parse(uuid, bytes) ? qemu_domain_by_uuid(unowned->space, bytes) : NULL;
    g_autoptr(JsonObject) saved = owner ? NULL : vireo_json_parse(data, (gssize)len, NULL);
    JsonArray *released = vireo_json_array(saved, "released");
    guint before = unowned->found->len;

    if (owner)
        return;
    for (guint i = 0; i < vireo_json_length(released); i++) {
        const char *path = json_array_get_string_element(released, i);
        QemuLeftover *leftover;

        if (!g_file_test(path, G_FILE_TEST_EXISTS))
            continue;
        leftover = g_new0(QemuLeftover, 1);
        leftover->domain = g_strdup(vireo_json_string(saved, "domain"));
        leftover->uuid = g_strdup(uuid);
        leftover->path = g_strdup(path);
        g_ptr_array_add(unowned->found, leftover);
    }
    if (unowned->found->len == before)
        g_ptr_array_add(unowned->empty, g_strdup(key));
}

GPtrArray *qemu_files_unowned(QemuSpace *space)
{
    const struct vireo_host *host = space->driver->host;
    g_autofree char *prefix = g_strdup_printf("images/%s/", space->key);
    g_autoptr(GPtrArray) empty = g_ptr_array_new_with_free_func(g_free);
    Unowned unowned = { space, g_ptr_array_new_with_free_func(qemu_leftover_free), empty };

    host->state_each(space->driver->core, prefix, unowned_read, &unowned);
    for (guint i = 0; i < empty->len; i++)
        host->state_drop(space->driver->core, empty->pdata[i]);
    return unowned.found;
}

char *qemu_real_path(const char *path)
{
    if (qemu_is_remote(path))
        return qemu_remote_canonical(path, NULL);
    if (path && vireo_file_is_real(path))
        return g_strdup(path);
    char *real = path ? realpath(path, NULL) : NULL;
    char *copy = g_strdup(real);

    free(real);
    return copy;
}

char *qemu_real_new_path(const char *path, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path), *base = g_path_get_basename(path);
    g_autofree char *real = g_path_is_absolute(path) ? qemu_real_path(dir) : NULL;

    if (real)
        return g_build_filename(real, base, NULL);
    qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
               g_path_is_absolute(path) ? "%s: there is no such directory"
                                        : "'%s' is not an absolute path", path);
    return NULL;
}

/* looked: paths that have been, borrowed; many snapshots name the same. */
static void add_real(GHashTable *set, GHashTable *looked, const char *path)
{
    char *real = path && g_hash_table_add(looked, (char *)path) ? qemu_real_path(path) : NULL;

    if (real)
        g_hash_table_add(set, real);
}

static void add_keys(GHashTable *set, GHashTable *from)
{
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, from);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        g_hash_table_add(set, g_strdup(path));
}

GHashTable *qemu_known_paths(QemuDomain *dom)
{
    g_autoptr(GPtrArray) snaps = qemu_tree_all(dom->tree);
    g_autoptr(QemuFiles) files = qemu_files_load(dom);
    g_autoptr(GHashTable) looked = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTable *set = path_set();

    add_keys(set, files->owned);
    add_keys(set, files->released);
    add_keys(set, files->bases);
    for (guint i = 0; i < snaps->len; i++) {
        const VireoDomainSnapshot *doc = ((QemuSnap *)snaps->pdata[i])->doc;

        for (guint d = 0; doc->disks && d < doc->disks->disks.n; d++)
            if (doc->disks->disks.items[d]->source)
                add_real(set, looked, doc->disks->disks.items[d]->source->file);
        if (!doc->domain)
            continue;
        VEC_EACH(doc->domain->devices->disks, d)
        add_real(set, looked, qemu_disk_path(doc->domain->devices->disks.items[d]));
    }
    return set;
}
