/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain's snapshots: one XML file each, one that names the current, and one that tells whose children those are
 * whose parents have gone. */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/file.h"
#include "snapshot_gone.h"

#define METADATA_MAX (8u * 1024 * 1024)
#define CURRENT_FILE ".current"
#define GONE_FILE ".gone"
#define CURRENT "" /* what CURRENT_FILE names is told in GONE_FILE like the parent of a snapshot */

struct QemuTree {
    GMutex lock;
    GHashTable *snaps; /* name -> QemuSnap */
    char *current;
    QemuGone *gone; /* the job's */
    gboolean unsure; /* the job's: on disk more may have gone than here */
    gboolean remain; /* the job's: files of those that are struck, which could not be removed */
    gboolean published;  /* but for what follows */
    GPtrArray *changed;  /* names, in the order of their first change */
    GHashTable *is_changed; /* set of them, borrowed */
};

QemuSnap *qemu_snap_new(VireoDomainSnapshot *doc)
{
    QemuSnap *snap = g_new0(QemuSnap, 1);

    snap->refs = 1;
    snap->doc = doc;
    return snap;
}

QemuSnap *qemu_snap_ref(QemuSnap *snap)
{
    if (snap)
        g_atomic_int_inc(&snap->refs);
    return snap;
}

void qemu_snap_unref(QemuSnap *snap)
{
    if (!snap || !g_atomic_int_dec_and_test(&snap->refs))
        return;
    vireo_domain_snapshot_free(snap->doc);
    g_free(snap);
}

const char *qemu_snap_parent(const QemuSnap *snap)
{
    return snap->doc->parent ? snap->doc->parent->name : NULL;
}

gboolean qemu_snap_has_memory(const QemuSnap *snap)
{
    return snap->doc->state == VIREO_DOMAIN_SNAPSHOT_STATE_RUNNING ||
           snap->doc->state == VIREO_DOMAIN_SNAPSHOT_STATE_PAUSED;
}

const char *qemu_snap_memory_file(const QemuSnap *snap)
{
    return snap->doc->memory ? snap->doc->memory->file : NULL;
}

gboolean qemu_snap_is_external(const QemuSnap *snap)
{
    const VireoDomainSnapshot *doc = snap->doc;

    if (doc->memory && doc->memory->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL)
        return TRUE;
    if (!doc->disks)
        return FALSE;
    VEC_EACH(doc->disks->disks, i)
    if (doc->disks->disks.items[i]->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL)
        return TRUE;
    return FALSE;
}

/* ---- memory -------------------------------------------------------------------- */

QemuTree *qemu_tree_new(void)
{
    QemuTree *tree = g_new0(QemuTree, 1);

    g_mutex_init(&tree->lock);
    tree->snaps = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                        (GDestroyNotify)qemu_snap_unref);
    tree->gone = qemu_gone_new();
    tree->changed = g_ptr_array_new_with_free_func(g_free);
    tree->is_changed = g_hash_table_new(g_str_hash, g_str_equal);
    return tree;
}

void qemu_tree_free(QemuTree *tree)
{
    if (!tree)
        return;
    g_hash_table_unref(tree->is_changed);
    g_ptr_array_unref(tree->changed);
    g_hash_table_unref(tree->snaps);
    g_free(tree->current);
    qemu_gone_free(tree->gone);
    g_mutex_clear(&tree->lock);
    g_free(tree);
}

guint qemu_tree_count(QemuTree *tree)
{
    g_mutex_lock(&tree->lock);
    guint count = g_hash_table_size(tree->snaps);
    g_mutex_unlock(&tree->lock);
    return count;
}

QemuSnap *qemu_tree_find(QemuTree *tree, const char *name)
{
    g_mutex_lock(&tree->lock);
    QemuSnap *snap = name ? qemu_snap_ref(g_hash_table_lookup(tree->snaps, name)) : NULL;
    g_mutex_unlock(&tree->lock);
    return snap;
}

char *qemu_tree_current(QemuTree *tree)
{
    g_mutex_lock(&tree->lock);
    char *current = g_strdup(tree->current);
    g_mutex_unlock(&tree->lock);
    return current;
}

static gint by_time(gconstpointer a, gconstpointer b)
{
    const QemuSnap *x = *(QemuSnap *const *)a, *y = *(QemuSnap *const *)b;

    if (x->doc->creation_time != y->doc->creation_time)
        return x->doc->creation_time < y->doc->creation_time ? -1 : 1;
    return strcmp(x->doc->name, y->doc->name);
}

static GPtrArray *snap_array(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)qemu_snap_unref);
}

static GPtrArray *sorted_all(QemuTree *tree)
{
    GPtrArray *sorted = snap_array();
    GHashTableIter iter;
    gpointer snap;

    g_mutex_lock(&tree->lock);
    g_hash_table_iter_init(&iter, tree->snaps);
    while (g_hash_table_iter_next(&iter, NULL, &snap))
        g_ptr_array_add(sorted, qemu_snap_ref(snap));
    g_mutex_unlock(&tree->lock);
    g_ptr_array_sort(sorted, by_time);
    return sorted;
}

/* name ("": none) -> its children, in the order of `sorted`; borrowed. */
static GHashTable *by_parent(GPtrArray *sorted)
{
    GHashTable *children =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);

    for (guint i = 0; i < sorted->len; i++) {
        const char *parent = qemu_snap_parent(sorted->pdata[i]);
        GPtrArray *list = g_hash_table_lookup(children, parent ? parent : "");

        if (!list) {
            list = g_ptr_array_new();
            g_hash_table_insert(children, (char *)(parent ? parent : ""), list);
        }
        g_ptr_array_add(list, sorted->pdata[i]);
    }
    return children;
}

/* All below name (NULL: all), each followed by what is below it. */
static GPtrArray *walk(QemuTree *tree, const char *name)
{
    g_autoptr(GPtrArray) sorted = sorted_all(tree), waiting = g_ptr_array_new();
    g_autoptr(GHashTable) children = by_parent(sorted);
    GPtrArray *out = snap_array();

    for (;;) {
        const GPtrArray *below = g_hash_table_lookup(children, name ? name : "");

        for (guint i = below ? below->len : 0; i-- > 0;)
            g_ptr_array_add(waiting, below->pdata[i]);
        if (!waiting->len)
            return out;
        QemuSnap *next = g_ptr_array_steal_index(waiting, waiting->len - 1);
        g_ptr_array_add(out, qemu_snap_ref(next));
        name = next->doc->name;
    }
}

GPtrArray *qemu_tree_all(QemuTree *tree)
{
    return walk(tree, NULL);
}

GPtrArray *qemu_tree_below(QemuTree *tree, const char *name)
{
    g_autoptr(GPtrArray) down = walk(tree, name);
    GPtrArray *up = snap_array();

    for (guint i = down->len; i-- > 0;)
        g_ptr_array_add(up, qemu_snap_ref(down->pdata[i]));
    return up;
}

/* ---- disk ---------------------------------------------------------------------- */

static char *tree_path(QemuDomain *dom, const char *file)
{
    return g_build_filename(dom->space->snapshot_dir, dom->uuid_text, file, NULL);
}

static char *snap_path(QemuDomain *dom, const char *name)
{
    g_autofree char *file = g_strconcat(name, ".xml", NULL);

    return tree_path(dom, file);
}

/* On disk: what was removed in the tree's directory. */
static gboolean sync_dir(QemuDomain *dom, GError **error)
{
    g_autofree char *path = tree_path(dom, NULL);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gboolean done = fd >= 0 ? fsync(fd) == 0 : errno == ENOENT;

    if (!done)
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot sync %s: %s", path, g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return done;
}

static gboolean unlink_file(QemuDomain *dom, const char *name, GError **error)
{
    g_autofree char *path = snap_path(dom, name);

    if (unlink(path) == 0 || errno == ENOENT)
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot remove %s: %s", path, g_strerror(errno));
    return FALSE;
}

/* The files of those that are struck, unless that is done. */
static gboolean remove_files(QemuDomain *dom, GError **error)
{
    g_autoptr(GPtrArray) names = qemu_gone_struck(dom->tree->gone);

    for (guint i = 0; dom->tree->remain && i < names->len; i++)
        if (!unlink_file(dom, names->pdata[i], error))
            return FALSE;
    if (dom->tree->remain && !sync_dir(dom, error))
        return FALSE;
    dom->tree->remain = FALSE;
    return TRUE;
}

static gboolean write_snap(QemuDomain *dom, const QemuSnap *snap, GError **error)
{
    g_autofree char *dir = tree_path(dom, NULL), *path = snap_path(dom, snap->doc->name);
    g_autofree char *xml = vireo_domain_snapshot_format(
        snap->doc, VIREO_MODEL_FORMAT_SECURE);

    return vireo_file_mkdir(dir, 0700, error) &&
           vireo_file_write(path, xml, strlen(xml), 0600, error);
}

static gboolean write_current(QemuDomain *dom, const char *name, GError **error)
{
    g_autofree char *dir = tree_path(dom, NULL), *path = tree_path(dom, CURRENT_FILE);

    if (!name)
        return vireo_file_remove(path, error);
    return vireo_file_mkdir(dir, 0700, error) &&
           vireo_file_write(path, name, strlen(name), 0600, error);
}

/* Although writing it failed: it may not last, or may. */
static gboolean is_written(const char *path, const char *text)
{
    g_autofree char *found = NULL;

    vireo_file_read(path, METADATA_MAX, &found, NULL, NULL);
    return !g_strcmp0(found, text);
}

/* gone becomes what is known of those that went; taken. */
static gboolean write_gone(QemuDomain *dom, QemuGone *gone, GError **error)
{
    g_autofree char *path = tree_path(dom, GONE_FILE), *text = qemu_gone_text(gone);

    if (text ? !vireo_file_write(path, text, strlen(text), 0600, error) : !vireo_file_remove(path, error)) {
        qemu_gone_free(gone);
        dom->tree->unsure = is_written(path, text);
        return FALSE;
    }
    qemu_gone_free(dom->tree->gone);
    dom->tree->gone = gone;
    dom->tree->unsure = FALSE;
    return TRUE;
}

gboolean qemu_tree_catch_up(QemuDomain *dom, GError **error)
{
    return !dom->tree->unsure || write_gone(dom, qemu_gone_copy(dom->tree->gone), error);
}

static void load_gone(QemuDomain *dom)
{
    QemuDriver *driver = dom->space->driver;
    g_autofree char *path = tree_path(dom, GONE_FILE), *text = NULL;
    g_autoptr(GError) error = NULL;
    QemuGone *gone;

    if (!vireo_file_read(path, METADATA_MAX, &text, NULL, NULL))
        return;
    gone = qemu_gone_parse(text, &error);
    if (!gone) {
        driver->host->log(driver->core, VIREO_LOG_ERROR, dom->space->uri,
                          "%s is left alone, snapshots whose parents have gone become roots: %s", path, error->message);
        return;
    }
    qemu_gone_free(dom->tree->gone);
    dom->tree->gone = gone;
}

static void set_parent(VireoDomainSnapshot *doc, const char *parent)
{
    g_clear_pointer(&doc->parent, vireo_domain_snapshot_parent_free);
    if (!parent)
        return;
    doc->parent = g_new0(VireoDomainSnapshotParent, 1);
    doc->parent->name = g_strdup(parent);
}

static gboolean is_older(const struct stat *a, const struct stat *b)
{
    return a->st_ctim.tv_sec < b->st_ctim.tv_sec ||
           (a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec <= b->st_ctim.tv_nsec);
}

/* Gone, although its file is still there: the daemon was killed. One that somebody put there since is a snapshot. */
static gboolean is_struck(QemuDomain *dom, const char *name)
{
    g_autofree char *path = snap_path(dom, name), *gone = tree_path(dom, GONE_FILE);
    struct stat of_file, of_gone;

    return qemu_gone_is_struck(dom->tree->gone, name) && stat(path, &of_file) == 0 && stat(gone, &of_gone) == 0 &&
           is_older(&of_file, &of_gone);
}

/* A parent that was moved away by hand leaves roots. */
static void find_parent(QemuTree *tree, QemuSnap *snap)
{
    g_autofree char *says = g_strdup(qemu_snap_parent(snap));
    const char *parent;

    if (!says || g_hash_table_contains(tree->snaps, says))
        return;
    parent = qemu_gone_parent(tree->gone, says);
    if (qemu_gone_has(tree->gone, says))
        qemu_gone_stale(tree->gone, snap->doc->name, says);
    set_parent(snap->doc, parent && g_hash_table_contains(tree->snaps, parent) ? parent : NULL);
}

static void load_one(QemuDomain *dom, const char *file)
{
    QemuDriver *driver = dom->space->driver;
    g_autofree char *path = tree_path(dom, file), *xml = NULL;
    g_autoptr(GError) error = NULL;
    VireoDomainSnapshot *doc = NULL;

    if (vireo_file_read(path, METADATA_MAX, &xml, NULL, &error))
        doc = vireo_domain_snapshot_parse(xml, 0, &error);
    if (doc && doc->name)
        g_hash_table_insert(dom->tree->snaps, g_strdup(doc->name), qemu_snap_new(doc));
    else
        driver->host->log(driver->core, VIREO_LOG_ERROR, dom->space->uri,
                          "snapshot metadata %s is left alone: %s", path,
                          error ? error->message : "it has no name");
}

static void find_current(QemuTree *tree)
{
    g_autofree char *says = g_steal_pointer(&tree->current);
    const char *name = says;

    if (says && !g_hash_table_contains(tree->snaps, says)) {
        name = qemu_gone_parent(tree->gone, says);
        if (qemu_gone_has(tree->gone, says))
            qemu_gone_stale(tree->gone, CURRENT, says);
    }
    if (name && g_hash_table_contains(tree->snaps, name))
        tree->current = g_strdup(name);
}

void qemu_tree_load(QemuDomain *dom)
{
    QemuTree *tree = dom->tree;
    g_autofree char *dir_path = tree_path(dom, NULL), *current = tree_path(dom, CURRENT_FILE);
    g_autoptr(GDir) dir = g_dir_open(dir_path, 0, NULL);
    GHashTableIter iter;
    gpointer name, snap;
    const char *file;

    load_gone(dom);
    while (dir && (file = g_dir_read_name(dir))) {
        g_autofree char *of = g_str_has_suffix(file, ".xml") ? g_strndup(file, strlen(file) - 4) : NULL;

        if (of && is_struck(dom, of))
            tree->remain |= !unlink_file(dom, of, NULL);
        else if (of)
            load_one(dom, file);
    }
    g_hash_table_iter_init(&iter, tree->snaps);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        qemu_gone_is_there(tree->gone, name);
    vireo_file_read(current, 4096, &tree->current, NULL, NULL);
    find_current(tree);
    g_hash_table_iter_init(&iter, tree->snaps);
    while (g_hash_table_iter_next(&iter, NULL, &snap))
        find_parent(tree, snap);
}

/* ---- changes ------------------------------------------------------------------- */

/* With the lock held. */
static void note_change(QemuTree *tree, const char *name)
{
    char *copy;

    if (!name || g_hash_table_contains(tree->is_changed, name))
        return;
    copy = g_strdup(name);
    g_ptr_array_add(tree->changed, copy);
    g_hash_table_add(tree->is_changed, copy);
}

/* Takes snap. */
static void enter(QemuTree *tree, QemuSnap *snap)
{
    g_mutex_lock(&tree->lock);
    g_hash_table_insert(tree->snaps, g_strdup(snap->doc->name), snap);
    note_change(tree, snap->doc->name);
    g_mutex_unlock(&tree->lock);
}

/* Files that name one of that name mean another one than there will be. */
static gboolean free_name(QemuDomain *dom, const char *name, GError **error)
{
    QemuTree *tree = dom->tree;
    g_autoptr(GPtrArray) children = NULL;

    if (!qemu_gone_has(tree->gone, name) && !qemu_gone_is_struck(tree->gone, name))
        return TRUE;
    children = qemu_gone_children(tree->gone);
    for (guint i = 0; i < children->len; i++) {
        g_autoptr(QemuSnap) child = qemu_tree_find(tree, children->pdata[i]);

        if (g_str_equal(children->pdata[i], CURRENT) ? !write_current(dom, tree->current, error)
                                                     : child && !write_snap(dom, child, error))
            return FALSE;
    }
    return remove_files(dom, error) && write_gone(dom, qemu_gone_new(), error);
}

gboolean qemu_tree_put(QemuDomain *dom, QemuSnap *snap, GError **error)
{
    if (!free_name(dom, snap->doc->name, error) || !write_snap(dom, snap, error)) {
        qemu_snap_unref(snap);
        return FALSE;
    }
    qemu_gone_settle(dom->tree->gone, snap->doc->name);
    enter(dom->tree, snap);
    return TRUE;
}

static void be_current(QemuTree *tree, const char *name)
{
    g_mutex_lock(&tree->lock);
    note_change(tree, tree->current);
    note_change(tree, name);
    g_free(tree->current);
    tree->current = g_strdup(name);
    g_mutex_unlock(&tree->lock);
}

gboolean qemu_tree_set_current(QemuDomain *dom, const char *name, GError **error)
{
    if (!write_current(dom, name, error))
        return FALSE;
    qemu_gone_settle(dom->tree->gone, CURRENT);
    be_current(dom->tree, name);
    return TRUE;
}

/* Those that stay, and whose parents do not; in no particular order. */
static GPtrArray *children_of(QemuTree *tree, GHashTable *doomed)
{
    GPtrArray *children = snap_array();
    GHashTableIter iter;
    gpointer snap, name;

    g_mutex_lock(&tree->lock);
    g_hash_table_iter_init(&iter, tree->snaps);
    while (g_hash_table_iter_next(&iter, &name, &snap))
        if (qemu_snap_parent(snap) && g_hash_table_contains(doomed, qemu_snap_parent(snap)) &&
            !g_hash_table_contains(doomed, name))
            g_ptr_array_add(children, qemu_snap_ref(snap));
    g_mutex_unlock(&tree->lock);
    return children;
}

/* The one it is below that stays; NULL: none. Caller frees. */
static char *staying_parent(QemuTree *tree, const QemuSnap *snap, GHashTable *doomed)
{
    const char *name = qemu_snap_parent(snap);

    g_mutex_lock(&tree->lock);
    while (name && g_hash_table_contains(doomed, name)) {
        const QemuSnap *above = g_hash_table_lookup(tree->snaps, name);
        name = above ? qemu_snap_parent(above) : NULL;
    }
    char *copy = g_strdup(name);
    g_mutex_unlock(&tree->lock);
    return copy;
}

/* What they are from now on, in memory: their files name those that go, and what is written of these tells what that
 * means. */
static void hand_over(QemuTree *tree, GPtrArray *children, GHashTable *doomed)
{
    for (guint i = 0; i < children->len; i++) {
        const QemuSnap *child = children->pdata[i];
        g_autofree char *parent = staying_parent(tree, child, doomed);
        VireoDomainSnapshot *doc = vireo_domain_snapshot_copy(child->doc);

        set_parent(doc, parent);
        enter(tree, qemu_snap_new(doc));
    }
}

static void leave(QemuTree *tree, const char *name)
{
    g_mutex_lock(&tree->lock);
    note_change(tree, name);
    g_hash_table_remove(tree->snaps, name);
    g_mutex_unlock(&tree->lock);
}

/* What is to be known when they have gone. */
static QemuGone *gone_with(QemuDomain *dom, GHashTable *doomed, GPtrArray *children, const char *current)
{
    gboolean strike = g_hash_table_size(doomed) > 1;
    QemuGone *gone = qemu_gone_copy(dom->tree->gone);
    GHashTableIter iter;
    gpointer name;

    if (remove_files(dom, NULL))
        qemu_gone_forget_struck(gone);
    g_hash_table_iter_init(&iter, doomed);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_autoptr(QemuSnap) snap = qemu_tree_find(dom->tree, name);
        g_autofree char *parent = snap ? staying_parent(dom->tree, snap, doomed) : NULL;

        qemu_gone_settle(gone, name);
        if (snap)
            qemu_gone_add(gone, name, parent);
        if (snap && strike)
            qemu_gone_strike(gone, name);
    }
    for (guint i = 0; i < children->len; i++) {
        const QemuSnap *child = children->pdata[i];
        qemu_gone_stale(gone, child->doc->name, qemu_snap_parent(child));
    }
    if (current)
        qemu_gone_stale(gone, CURRENT, current);
    return gone;
}

/* Several go with what is written of them, one with its file. */
static gboolean strike(QemuDomain *dom, GHashTable *doomed, GPtrArray *children, const char *current, GError **error)
{
    gboolean many = g_hash_table_size(doomed) > 1;
    GHashTableIter iter;
    gpointer name;

    if ((many || children->len || current) &&
        !write_gone(dom, gone_with(dom, doomed, children, current), error))
        return FALSE;
    dom->tree->remain |= many;
    g_hash_table_iter_init(&iter, doomed);
    while (!many && g_hash_table_iter_next(&iter, &name, NULL)) {
        if (!unlink_file(dom, name, error))
            return FALSE;
        qemu_gone_settle(dom->tree->gone, name);
    }
    return TRUE;
}

gboolean qemu_tree_remove(QemuDomain *dom, const char *const *names, guint n_names, GError **error)
{
    QemuTree *tree = dom->tree;
    g_autoptr(GHashTable) doomed = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < n_names; i++)
        g_hash_table_add(doomed, (char *)names[i]);
    g_autoptr(GPtrArray) children = children_of(tree, doomed);
    g_autofree char *was = qemu_tree_current(tree);
    g_autoptr(QemuSnap) current = was && g_hash_table_contains(doomed, was) ? qemu_tree_find(tree, was) : NULL;
    g_autofree char *next = current ? staying_parent(tree, current, doomed) : NULL;

    if (!n_names)
        return TRUE;
    if (!strike(dom, doomed, children, current ? was : NULL, error))
        return FALSE;
    hand_over(tree, children, doomed);
    if (current)
        be_current(tree, next);
    for (guint i = 0; i < n_names; i++)
        leave(tree, names[i]);
    return tree->remain ? remove_files(dom, error) : sync_dir(dom, error);
}

/* Leaves first, so that what is left when it is cut short is a tree. */
gboolean qemu_tree_remove_all(QemuDomain *dom, GError **error)
{
    g_autoptr(GPtrArray) all = qemu_tree_below(dom->tree, NULL);
    g_autofree char *dir = tree_path(dom, NULL);

    if (!qemu_tree_set_current(dom, NULL, error) || !remove_files(dom, error))
        return FALSE;
    for (guint i = 0; i < all->len; i++) {
        const char *name = ((QemuSnap *)all->pdata[i])->doc->name;

        if (!unlink_file(dom, name, error))
            return FALSE;
        leave(dom->tree, name);
    }
    if (!sync_dir(dom, error) || !write_gone(dom, qemu_gone_new(), error))
        return FALSE;
    rmdir(dir);
    return TRUE;
}

/* ---- publishing ---------------------------------------------------------------- */

static int shown_state(VireoDomainSnapshotState state)
{
    switch (state) {
    case VIREO_DOMAIN_SNAPSHOT_STATE_RUNNING:
        return VIREO_DOMAIN_RUNNING;
    case VIREO_DOMAIN_SNAPSHOT_STATE_PAUSED:
        return VIREO_DOMAIN_PAUSED;
    case VIREO_DOMAIN_SNAPSHOT_STATE_SHUTOFF:
        return VIREO_DOMAIN_SHUTOFF;
    default:
        return VIREO_DOMAIN_NOSTATE;
    }
}

static struct vireo_tree_node describe(const QemuSnap *snap, const char *current)
{
    gboolean disk_only = snap->doc->state == VIREO_DOMAIN_SNAPSHOT_STATE_DISK_SNAPSHOT;

    return (struct vireo_tree_node){
        .size = sizeof(struct vireo_tree_node),
        .name = snap->doc->name,
        .parent = qemu_snap_parent(snap),
        .creation_time = snap->doc->creation_time,
        .state = shown_state(snap->doc->state),
        .flags = VIREO_TREE_METADATA | (g_strcmp0(current, snap->doc->name) ? 0u : VIREO_TREE_CURRENT) |
                 (qemu_snap_is_external(snap) ? VIREO_TREE_EXTERNAL : VIREO_TREE_INTERNAL) |
                 (disk_only ? VIREO_TREE_DISK_ONLY : 0u),
    };
}

static void publish_whole(QemuDomain *dom, const char *current)
{
    g_autoptr(GPtrArray) all = qemu_tree_all(dom->tree);
    g_autofree struct vireo_tree_node *nodes = g_new0(struct vireo_tree_node, all->len + 1);

    for (guint i = 0; i < all->len; i++)
        nodes[i] = describe(all->pdata[i], current);
    dom->space->driver->host->publish_tree(dom->space->published, VIREO_CLASS_DOMAIN_SNAPSHOT,
                                           dom->uuid, all->len, nodes);
}

static void publish_changed(QemuDomain *dom, const GPtrArray *names, const char *current)
{
    const struct vireo_host *host = dom->space->driver->host;
    vireo_space *space = dom->space->published;

    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        g_autoptr(QemuSnap) snap = qemu_tree_find(dom->tree, name);

        if (!snap) {
            host->withdraw_node(space, VIREO_CLASS_DOMAIN_SNAPSHOT, dom->uuid, name);
            continue;
        }
        struct vireo_tree_node node = describe(snap, current);
        host->publish_node(space, VIREO_CLASS_DOMAIN_SNAPSHOT, dom->uuid, &node);
    }
}

void qemu_tree_publish(QemuDomain *dom)
{
    QemuTree *tree = dom->tree;

    g_mutex_lock(&tree->lock);
    g_autofree char *current = g_strdup(tree->current);
    g_autoptr(GPtrArray) changed = g_steal_pointer(&tree->changed);
    gboolean known = tree->published;
    tree->changed = g_ptr_array_new_with_free_func(g_free);
    g_hash_table_remove_all(tree->is_changed);
    tree->published = TRUE;
    g_mutex_unlock(&tree->lock);
    if (known)
        publish_changed(dom, changed, current);
    else
        publish_whole(dom, current);
}
