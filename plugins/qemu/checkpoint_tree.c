/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain's checkpoints: one XML file each, and one that names the latest. */
#include "checkpoint.h"

#include <string.h>
#include <unistd.h>

#include "kit/file.h"

#define METADATA_MAX (8u * 1024 * 1024)
#define CURRENT_FILE ".current"

struct QemuCheckpoints {
    GMutex lock;
    GHashTable *docs; /* name -> VireoDomainCheckpoint */
    char *current;
};

static void doc_free(gpointer doc)
{
    vireo_domain_checkpoint_free(doc);
}

QemuCheckpoints *qemu_checkpoints_new(void)
{
    QemuCheckpoints *points = g_new0(QemuCheckpoints, 1);

    g_mutex_init(&points->lock);
    points->docs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, doc_free);
    return points;
}

void qemu_checkpoints_free(QemuCheckpoints *points)
{
    if (!points)
        return;
    g_hash_table_unref(points->docs);
    g_free(points->current);
    g_mutex_clear(&points->lock);
    g_free(points);
}

static const char *parent_of(const VireoDomainCheckpoint *doc)
{
    return doc->parent ? doc->parent->name : NULL;
}

gboolean qemu_checkpoint_has(const VireoDomainCheckpoint *doc, const char *dev)
{
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++)
        if (g_str_equal(doc->disks->disks.items[i]->name, dev))
            return doc->disks->disks.items[i]->checkpoint == VIREO_DOMAIN_CHECKPOINT_KIND_BITMAP;
    return FALSE;
}

guint qemu_checkpoints_count(QemuDomain *dom)
{
    g_mutex_lock(&dom->checkpoints->lock);
    guint count = g_hash_table_size(dom->checkpoints->docs);
    g_mutex_unlock(&dom->checkpoints->lock);
    return count;
}

VireoDomainCheckpoint *qemu_checkpoint_find(QemuDomain *dom, const char *name)
{
    g_mutex_lock(&dom->checkpoints->lock);
    VireoDomainCheckpoint *doc =
        vireo_domain_checkpoint_copy(g_hash_table_lookup(dom->checkpoints->docs, name));
    g_mutex_unlock(&dom->checkpoints->lock);
    return doc;
}

char *qemu_checkpoint_current(QemuDomain *dom)
{
    g_mutex_lock(&dom->checkpoints->lock);
    char *current = g_strdup(dom->checkpoints->current);
    g_mutex_unlock(&dom->checkpoints->lock);
    return current;
}

/* Lock held. */
static void collect_below(QemuCheckpoints *points, const char *name, GPtrArray *out)
{
    GHashTableIter iter;
    gpointer key, doc;

    g_hash_table_iter_init(&iter, points->docs);
    while (g_hash_table_iter_next(&iter, &key, &doc)) {
        if (g_strcmp0(parent_of(doc), name))
            continue;
        collect_below(points, key, out);
        g_ptr_array_add(out, g_strdup(key));
    }
}

GPtrArray *qemu_checkpoint_below(QemuDomain *dom, const char *name)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);

    g_mutex_lock(&dom->checkpoints->lock);
    collect_below(dom->checkpoints, name, out);
    g_mutex_unlock(&dom->checkpoints->lock);
    return out;
}

GPtrArray *qemu_checkpoint_line(QemuDomain *dom, const char *name)
{
    g_autoptr(GPtrArray) line = g_ptr_array_new_with_free_func(doc_free);
    QemuCheckpoints *points = dom->checkpoints;
    gboolean found = !name;

    g_mutex_lock(&points->lock);
    const char *at = points->current;
    while (at) {
        VireoDomainCheckpoint *doc = g_hash_table_lookup(points->docs, at);

        g_ptr_array_add(line, vireo_domain_checkpoint_copy(doc));
        found |= !g_strcmp0(at, name);
        at = name && found ? NULL : parent_of(doc);
    }
    g_mutex_unlock(&points->lock);
    return found ? g_steal_pointer(&line) : NULL;
}

/* ---- disk ------------------------------------------------------------------------------------------ */

static char *point_path(QemuDomain *dom, const char *name)
{
    g_autofree char *file = name && *name != '.' ? g_strconcat(name, ".xml", NULL) : g_strdup(name);

    return g_build_filename(dom->space->checkpoint_dir, dom->uuid_text, file, NULL);
}

static gboolean write_current(QemuDomain *dom, const char *name, GError **error)
{
    g_autofree char *path = point_path(dom, CURRENT_FILE);

    if (name ? !vireo_file_write(path, name, strlen(name), 0600, error)
             : !vireo_file_remove(path, error))
        return FALSE;
    g_mutex_lock(&dom->checkpoints->lock);
    g_free(dom->checkpoints->current);
    dom->checkpoints->current = g_strdup(name);
    g_mutex_unlock(&dom->checkpoints->lock);
    return TRUE;
}

static void load_one(QemuDomain *dom, const char *path)
{
    QemuDriver *driver = dom->space->driver;
    g_autofree char *xml = NULL;
    g_autoptr(GError) error = NULL;
    VireoDomainCheckpoint *doc = NULL;

    if (vireo_file_read(path, METADATA_MAX, &xml, NULL, &error))
        doc = vireo_domain_checkpoint_parse(xml, 0, &error);
    if (doc && doc->name)
        g_hash_table_insert(dom->checkpoints->docs, g_strdup(doc->name), doc);
    else
        driver->host->log(driver->core, VIREO_LOG_ERROR, dom->space->uri,
                          "checkpoint metadata %s is left alone: %s", path,
                          error ? error->message : "it has no name");
}

void qemu_checkpoints_load(QemuDomain *dom)
{
    QemuCheckpoints *points = dom->checkpoints;
    g_autofree char *dir_path = point_path(dom, NULL), *current = point_path(dom, CURRENT_FILE);
    g_autoptr(GDir) dir = g_dir_open(dir_path, 0, NULL);
    GHashTableIter iter;
    const char *file;
    gpointer value;

    while (dir && (file = g_dir_read_name(dir)))
        if (g_str_has_suffix(file, ".xml")) {
            g_autofree char *path = g_build_filename(dir_path, file, NULL);
            load_one(dom, path);
        }
    if (!vireo_file_read(current, 4096, &points->current, NULL, NULL) ||
        !g_hash_table_contains(points->docs, points->current))
        g_clear_pointer(&points->current, g_free);
    g_hash_table_iter_init(&iter, points->docs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VireoDomainCheckpoint *doc = value;

        if (doc->parent && !g_hash_table_contains(points->docs, doc->parent->name))
            g_clear_pointer(&doc->parent, vireo_domain_checkpoint_parent_free);
    }
}

/* ---- changes --------------------------------------------------------------------------------------- */

gboolean qemu_checkpoint_put(QemuDomain *dom, VireoDomainCheckpoint *doc, gboolean current,
                             GError **error)
{
    g_autofree char *dir = point_path(dom, NULL), *path = point_path(dom, doc->name);
    g_autofree char *xml = vireo_domain_checkpoint_format(doc, VIREO_MODEL_FORMAT_SECURE);
    g_autofree char *name = g_strdup(doc->name);

    if (!vireo_file_mkdir(dir, 0700, error) ||
        !vireo_file_write(path, xml, strlen(xml), 0600, error)) {
        vireo_domain_checkpoint_free(doc);
        return FALSE;
    }
    g_mutex_lock(&dom->checkpoints->lock);
    g_hash_table_insert(dom->checkpoints->docs, g_strdup(name), doc);
    g_mutex_unlock(&dom->checkpoints->lock);
    return !current || write_current(dom, name, error);
}

static gboolean hand_over_children(QemuDomain *dom, const char *name, const char *parent,
                                   GError **error)
{
    g_autoptr(GPtrArray) below = qemu_checkpoint_below(dom, name);

    for (guint i = 0; i < below->len; i++) {
        VireoDomainCheckpoint *doc = qemu_checkpoint_find(dom, below->pdata[i]);

        if (g_strcmp0(parent_of(doc), name)) {
            vireo_domain_checkpoint_free(doc);
            continue;
        }
        g_clear_pointer(&doc->parent, vireo_domain_checkpoint_parent_free);
        if (parent) {
            doc->parent = g_new0(VireoDomainCheckpointParent, 1);
            doc->parent->name = g_strdup(parent);
        }
        if (!qemu_checkpoint_put(dom, doc, FALSE, error))
            return FALSE;
    }
    return TRUE;
}

gboolean qemu_checkpoint_remove(QemuDomain *dom, const char *name, GError **error)
{
    g_autoptr(VireoDomainCheckpoint) doc = qemu_checkpoint_find(dom, name);
    g_autofree char *path = point_path(dom, name), *current = qemu_checkpoint_current(dom);

    if (!doc)
        return TRUE;
    if (!hand_over_children(dom, name, parent_of(doc), error) ||
        (!g_strcmp0(current, name) && !write_current(dom, parent_of(doc), error)) ||
        !vireo_file_remove(path, error))
        return FALSE;
    g_mutex_lock(&dom->checkpoints->lock);
    g_hash_table_remove(dom->checkpoints->docs, name);
    g_mutex_unlock(&dom->checkpoints->lock);
    return TRUE;
}

gboolean qemu_checkpoints_remove_all(QemuDomain *dom, GError **error)
{
    g_autoptr(GPtrArray) all = qemu_checkpoint_below(dom, NULL);
    g_autofree char *dir = point_path(dom, NULL);

    for (guint i = 0; i < all->len; i++)
        if (!qemu_checkpoint_remove(dom, all->pdata[i], error))
            return FALSE;
    rmdir(dir);
    return TRUE;
}

void qemu_checkpoints_publish(QemuDomain *dom)
{
    g_autoptr(GPtrArray) names = qemu_checkpoint_below(dom, NULL);
    g_autoptr(GPtrArray) docs = g_ptr_array_new_with_free_func(doc_free);
    g_autofree char *current = qemu_checkpoint_current(dom);
    g_autofree struct vireo_tree_node *nodes = g_new0(struct vireo_tree_node, names->len + 1);

    for (guint i = 0; i < names->len; i++) {
        VireoDomainCheckpoint *doc = qemu_checkpoint_find(dom, names->pdata[names->len - 1 - i]);

        g_ptr_array_add(docs, doc);
        nodes[i].size = sizeof nodes[i];
        nodes[i].name = doc->name;
        nodes[i].parent = parent_of(doc);
        nodes[i].creation_time = doc->creation_time;
        nodes[i].flags =
            VIREO_TREE_METADATA | (g_strcmp0(current, doc->name) ? 0u : VIREO_TREE_CURRENT);
    }
    dom->space->driver->host->publish_tree(dom->space->published, VIREO_CLASS_DOMAIN_CHECKPOINT,
                                           dom->uuid, names->len, nodes);
}

gboolean qemu_checkpoints_none(QemuDomain *dom, const char *dev, GError **error)
{
    g_autofree char *name = NULL;
    GHashTableIter iter;
    gpointer doc;

    g_mutex_lock(&dom->checkpoints->lock);
    g_hash_table_iter_init(&iter, dom->checkpoints->docs);
    while (!name && g_hash_table_iter_next(&iter, NULL, &doc))
        if (!dev || qemu_checkpoint_has(doc, dev))
            name = g_strdup(((VireoDomainCheckpoint *)doc)->name);
    g_mutex_unlock(&dom->checkpoints->lock);
    if (!name)
        return TRUE;
    qemu_error(error, VIREO_ERR_OPERATION_INVALID,
               "checkpoint '%s' of domain '%s' would no longer say what has changed: delete it first",
               name, dom->name);
    return FALSE;
}
