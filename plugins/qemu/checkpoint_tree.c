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
    GHashTable *docs;   /* name -> VireoDomainCheckpoint, with the parent they really have */
    GHashTable *hidden; /* names of those that clients do not see -> QemuCheckpointFate */
    char *current;      /* may be hidden */
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
    points->hidden = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return points;
}

void qemu_checkpoints_free(QemuCheckpoints *points)
{
    if (!points)
        return;
    g_hash_table_unref(points->docs);
    g_hash_table_unref(points->hidden);
    g_free(points->current);
    g_mutex_clear(&points->lock);
    g_free(points);
}

static const char *parent_of(const VireoDomainCheckpoint *doc)
{
    return doc && doc->parent ? doc->parent->name : NULL;
}

static void set_parent(VireoDomainCheckpoint *doc, const char *parent)
{
    VireoDomainCheckpointParent *link = parent ? g_new0(VireoDomainCheckpointParent, 1) : NULL;

    if (link)
        link->name = g_strdup(parent);
    g_clear_pointer(&doc->parent, vireo_domain_checkpoint_parent_free);
    doc->parent = link;
}

/* The first of name and those before it that clients see. Lock held. */
static const char *seen(const QemuCheckpoints *points, const char *name)
{
    while (name && g_hash_table_contains(points->hidden, name))
        name = parent_of(g_hash_table_lookup(points->docs, name));
    return name;
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
    guint count = g_hash_table_size(dom->checkpoints->docs) -
                  g_hash_table_size(dom->checkpoints->hidden);
    g_mutex_unlock(&dom->checkpoints->lock);
    return count;
}

VireoDomainCheckpoint *qemu_checkpoint_find(QemuDomain *dom, const char *name)
{
    QemuCheckpoints *points = dom->checkpoints;
    VireoDomainCheckpoint *doc = NULL;

    g_mutex_lock(&points->lock);
    if (!g_hash_table_contains(points->hidden, name))
        doc = vireo_domain_checkpoint_copy(g_hash_table_lookup(points->docs, name));
    if (doc) {
        g_autofree char *parent = g_strdup(seen(points, parent_of(doc)));
        set_parent(doc, parent);
    }
    g_mutex_unlock(&points->lock);
    return doc;
}

QemuCheckpointFate qemu_checkpoint_fate(QemuDomain *dom, const char *name)
{
    QemuCheckpoints *points = dom->checkpoints;
    QemuCheckpointFate fate = QEMU_CHECKPOINT_GONE;

    g_mutex_lock(&points->lock);
    if (g_hash_table_contains(points->hidden, name))
        fate = GPOINTER_TO_INT(g_hash_table_lookup(points->hidden, name));
    else if (g_hash_table_contains(points->docs, name))
        fate = QEMU_CHECKPOINT_SEEN;
    g_mutex_unlock(&points->lock);
    return fate;
}

char *qemu_checkpoint_current(QemuDomain *dom)
{
    g_mutex_lock(&dom->checkpoints->lock);
    char *current = g_strdup(dom->checkpoints->current);
    g_mutex_unlock(&dom->checkpoints->lock);
    return current;
}

char *qemu_checkpoint_current_seen(QemuDomain *dom)
{
    g_mutex_lock(&dom->checkpoints->lock);
    char *current = g_strdup(seen(dom->checkpoints, dom->checkpoints->current));
    g_mutex_unlock(&dom->checkpoints->lock);
    return current;
}

/* Lock held. all: hidden ones too. */
static void collect_below(QemuCheckpoints *points, const char *name, gboolean all, GPtrArray *out)
{
    GHashTableIter iter;
    gpointer key, doc;

    g_hash_table_iter_init(&iter, points->docs);
    while (g_hash_table_iter_next(&iter, &key, &doc)) {
        if (g_strcmp0(parent_of(doc), name))
            continue;
        collect_below(points, key, all, out);
        if (all || !g_hash_table_contains(points->hidden, key))
            g_ptr_array_add(out, g_strdup(key));
    }
}

static GPtrArray *below(QemuDomain *dom, const char *name, gboolean all)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);

    g_mutex_lock(&dom->checkpoints->lock);
    collect_below(dom->checkpoints, name, all, out);
    g_mutex_unlock(&dom->checkpoints->lock);
    return out;
}

GPtrArray *qemu_checkpoint_below(QemuDomain *dom, const char *name)
{
    return below(dom, name, FALSE);
}

GPtrArray *qemu_checkpoint_before(QemuDomain *dom, const char *name)
{
    GPtrArray *line = g_ptr_array_new_with_free_func(doc_free);
    QemuCheckpoints *points = dom->checkpoints;
    const VireoDomainCheckpoint *doc;

    g_mutex_lock(&points->lock);
    while (name && (doc = g_hash_table_lookup(points->docs, name))) {
        g_ptr_array_add(line, vireo_domain_checkpoint_copy(doc));
        name = parent_of(doc);
    }
    g_mutex_unlock(&points->lock);
    return line;
}

GPtrArray *qemu_checkpoint_line(QemuDomain *dom, const char *name)
{
    g_autofree char *current = qemu_checkpoint_current(dom);
    g_autoptr(GPtrArray) line = qemu_checkpoint_before(dom, current);

    for (guint i = 0; name && i < line->len; i++) {
        if (g_strcmp0(((VireoDomainCheckpoint *)line->pdata[i])->name, name))
            continue;
        g_ptr_array_set_size(line, (gint)i + 1);
        return g_steal_pointer(&line);
    }
    return name ? NULL : g_steal_pointer(&line);
}

/* ---- disk ------------------------------------------------------------------------------------------ */

static const char *const suffixes[] = {
    [QEMU_CHECKPOINT_SEEN] = ".xml",
    [QEMU_CHECKPOINT_FORGOTTEN] = ".forgotten",
    [QEMU_CHECKPOINT_DELETED] = ".deleted",
};

static char *point_path(QemuDomain *dom, const char *name, QemuCheckpointFate fate)
{
    g_autofree char *file = name && *name != '.' ? g_strconcat(name, suffixes[fate], NULL)
                                                 : g_strdup(name);

    return g_build_filename(dom->space->checkpoint_dir, dom->uuid_text, file, NULL);
}

static gboolean write_current(QemuDomain *dom, const char *name, GError **error)
{
    g_autofree char *path = point_path(dom, CURRENT_FILE, QEMU_CHECKPOINT_SEEN);

    if (name ? !vireo_file_write(path, name, strlen(name), 0600, error)
             : !vireo_file_remove(path, error))
        return FALSE;
    g_mutex_lock(&dom->checkpoints->lock);
    g_free(dom->checkpoints->current);
    dom->checkpoints->current = g_strdup(name);
    g_mutex_unlock(&dom->checkpoints->lock);
    return TRUE;
}

gboolean qemu_checkpoint_set_current(QemuDomain *dom, const char *name, GError **error)
{
    g_autofree char *current = qemu_checkpoint_current(dom);

    return !g_strcmp0(current, name) || write_current(dom, name, error);
}

static void load_one(QemuDomain *dom, const char *path, QemuCheckpointFate fate)
{
    QemuDriver *driver = dom->space->driver;
    QemuCheckpoints *points = dom->checkpoints;
    g_autofree char *xml = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDomainCheckpoint) doc = NULL;

    if (vireo_file_read(path, METADATA_MAX, &xml, NULL, &error))
        doc = vireo_domain_checkpoint_parse(xml, 0, &error);
    if (!doc || !doc->name) {
        driver->host->log(driver->core, VIREO_LOG_ERROR, dom->space->uri,
                          "checkpoint metadata %s is left alone: %s", path,
                          error ? error->message : "it has no name");
        return;
    }
    /* Cut short in between: it is still seen, or again. */
    if (fate != QEMU_CHECKPOINT_SEEN && g_hash_table_contains(points->docs, doc->name))
        return;
    if (fate != QEMU_CHECKPOINT_SEEN)
        g_hash_table_insert(points->hidden, g_strdup(doc->name), GINT_TO_POINTER(fate));
    g_autofree char *name = g_strdup(doc->name);
    g_hash_table_insert(points->docs, g_steal_pointer(&name), g_steal_pointer(&doc));
}

static void load_all(QemuDomain *dom, QemuCheckpointFate fate)
{
    g_autofree char *dir_path = point_path(dom, NULL, fate);
    g_autoptr(GDir) dir = g_dir_open(dir_path, 0, NULL);
    const char *file;

    while (dir && (file = g_dir_read_name(dir)))
        if (g_str_has_suffix(file, suffixes[fate])) {
            g_autofree char *path = g_build_filename(dir_path, file, NULL);
            load_one(dom, path, fate);
        }
}

void qemu_checkpoints_load(QemuDomain *dom)
{
    QemuCheckpoints *points = dom->checkpoints;
    g_autofree char *current = point_path(dom, CURRENT_FILE, QEMU_CHECKPOINT_SEEN);
    GHashTableIter iter;
    gpointer value;

    load_all(dom, QEMU_CHECKPOINT_SEEN);
    load_all(dom, QEMU_CHECKPOINT_FORGOTTEN);
    load_all(dom, QEMU_CHECKPOINT_DELETED);
    if (!vireo_file_read(current, 4096, &points->current, NULL, NULL) ||
        !g_hash_table_contains(points->docs, points->current))
        g_clear_pointer(&points->current, g_free);
    g_hash_table_iter_init(&iter, points->docs);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (parent_of(value) && !g_hash_table_contains(points->docs, parent_of(value)))
            set_parent(value, NULL);
}

/* ---- changes --------------------------------------------------------------------------------------- */

static gboolean write_doc(QemuDomain *dom, const VireoDomainCheckpoint *doc, QemuCheckpointFate fate,
                          GError **error)
{
    g_autofree char *dir = point_path(dom, NULL, fate), *path = point_path(dom, doc->name, fate);
    g_autofree char *xml = vireo_domain_checkpoint_format(doc, VIREO_MODEL_FORMAT_SECURE);

    return vireo_file_mkdir(dir, 0700, error) &&
           vireo_file_write(path, xml, strlen(xml), 0600, error);
}

/* Enters it as what it is now; on disk already. Takes doc. */
static void enter(QemuDomain *dom, VireoDomainCheckpoint *doc, QemuCheckpointFate fate)
{
    QemuCheckpoints *points = dom->checkpoints;

    g_mutex_lock(&points->lock);
    if (fate == QEMU_CHECKPOINT_SEEN)
        g_hash_table_remove(points->hidden, doc->name);
    else
        g_hash_table_insert(points->hidden, g_strdup(doc->name), GINT_TO_POINTER(fate));
    g_hash_table_insert(points->docs, g_strdup(doc->name), doc);
    g_mutex_unlock(&points->lock);
}

static gboolean store(QemuDomain *dom, VireoDomainCheckpoint *doc, QemuCheckpointFate fate,
                      GError **error)
{
    g_autofree char *name = g_strdup(doc->name);
    QemuCheckpointFate before = qemu_checkpoint_fate(dom, name);

    if (!write_doc(dom, doc, fate, error)) {
        vireo_domain_checkpoint_free(doc);
        return FALSE;
    }
    enter(dom, doc, fate);
    if (before == fate || before == QEMU_CHECKPOINT_GONE)
        return TRUE;
    g_autofree char *old = point_path(dom, name, before);
    return vireo_file_remove(old, error);
}

/* As it is, with its real parent; NULL: there is none. */
static VireoDomainCheckpoint *raw(QemuDomain *dom, const char *name)
{
    g_mutex_lock(&dom->checkpoints->lock);
    VireoDomainCheckpoint *doc =
        vireo_domain_checkpoint_copy(g_hash_table_lookup(dom->checkpoints->docs, name));
    g_mutex_unlock(&dom->checkpoints->lock);
    return doc;
}

gboolean qemu_checkpoint_put(QemuDomain *dom, VireoDomainCheckpoint *doc, gboolean current,
                             GError **error)
{
    g_autofree char *name = g_strdup(doc->name);
    g_autoptr(VireoDomainCheckpoint) old = raw(dom, name);

    if (old)
        set_parent(doc, parent_of(old));
    return store(dom, doc, QEMU_CHECKPOINT_SEEN, error) &&
           (!current || write_current(dom, name, error));
}

static gboolean hand_over_children(QemuDomain *dom, const char *name, const char *parent,
                                   GError **error)
{
    g_autoptr(GPtrArray) all = below(dom, name, TRUE);

    for (guint i = 0; i < all->len; i++) {
        g_autoptr(VireoDomainCheckpoint) doc = raw(dom, all->pdata[i]);

        if (g_strcmp0(parent_of(doc), name))
            continue;
        set_parent(doc, parent);
        QemuCheckpointFate fate = qemu_checkpoint_fate(dom, doc->name);
        if (!store(dom, g_steal_pointer(&doc), fate, error))
            return FALSE;
    }
    return TRUE;
}

gboolean qemu_checkpoint_remove(QemuDomain *dom, const char *name, GError **error)
{
    g_autoptr(VireoDomainCheckpoint) doc = raw(dom, name);
    g_autofree char *current = qemu_checkpoint_current(dom);
    g_autofree char *path = point_path(dom, name, qemu_checkpoint_fate(dom, name));

    if (!doc)
        return TRUE;
    if (!hand_over_children(dom, name, parent_of(doc), error) ||
        (!g_strcmp0(current, name) && !write_current(dom, parent_of(doc), error)) ||
        !vireo_file_remove(path, error))
        return FALSE;
    g_mutex_lock(&dom->checkpoints->lock);
    g_hash_table_remove(dom->checkpoints->docs, name);
    g_hash_table_remove(dom->checkpoints->hidden, name);
    g_mutex_unlock(&dom->checkpoints->lock);
    return TRUE;
}

/* Hidden ones that nothing comes before: nobody asks what was written since. */
static gboolean remove_needless(QemuDomain *dom, GError **error)
{
    for (gboolean found = TRUE; found;) {
        g_autoptr(GPtrArray) all = below(dom, NULL, TRUE);

        found = FALSE;
        for (guint i = 0; i < all->len; i++) {
            g_autoptr(VireoDomainCheckpoint) doc = raw(dom, all->pdata[i]);

            if (parent_of(doc) || qemu_checkpoint_fate(dom, doc->name) == QEMU_CHECKPOINT_SEEN)
                continue;
            if (!qemu_checkpoint_remove(dom, doc->name, error))
                return FALSE;
            found = TRUE;
        }
    }
    return TRUE;
}

gboolean qemu_checkpoint_hide(QemuDomain *dom, const char *name, QemuCheckpointFate fate,
                              GError **error)
{
    VireoDomainCheckpoint *doc = raw(dom, name);

    return !doc || (store(dom, doc, fate, error) && remove_needless(dom, error));
}

void qemu_checkpoint_cut(QemuDomain *dom, const char *name)
{
    g_autofree char *current = qemu_checkpoint_current(dom);

    if (!current)
        return;
    if (name)
        hand_over_children(dom, name, NULL, NULL);
    if (!name || g_str_equal(name, current))
        write_current(dom, NULL, NULL);
    remove_needless(dom, NULL);
}

gboolean qemu_checkpoints_remove_all(QemuDomain *dom, GError **error)
{
    g_autoptr(GPtrArray) all = below(dom, NULL, TRUE);
    g_autofree char *dir = point_path(dom, NULL, QEMU_CHECKPOINT_SEEN);

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
    g_autofree char *current = qemu_checkpoint_current_seen(dom);
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
