/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/snapshots.h"

#include <string.h>
#include <unistd.h>

#include "kit/file.h"
#include "kit/json.h"

#define TREE_FILE "tree.json"
#define TREE_MAX (64u * 1024 * 1024)
#define DOCUMENT_MAX (8u * 1024 * 1024)
#define FILE_NAME_MAX 200 /* leaves room for what is put around it */

#define DISK_ONLY VIREO_DOMAIN_SNAPSHOT_STATE_DISK_SNAPSHOT

/* What is known without reading its document. */
typedef struct {
    char *name, *parent;
    gint64 created;
    VireoDomainSnapshotState state;
    gboolean external;
} Entry;

/* One state of the file: a change makes another one. */
typedef struct {
    GPtrArray *entries; /* in the order in which they came */
    GHashTable *by_name;
    char *current, *note;
} Tree;

struct VireoSnapshots {
    char *dir, *trouble;
    GMutex lock;
    Tree *tree;
};

static gboolean refuse(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static gboolean refuse(GError **error, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(VIREO_ERROR, code, format, args));
    va_end(args);
    return FALSE;
}

/* ---- in memory ----------------------------------------------------------------- */

static void entry_free(gpointer opaque)
{
    Entry *entry = opaque;

    g_free(entry->name);
    g_free(entry->parent);
    g_free(entry);
}

static void tree_free(Tree *tree)
{
    if (!tree)
        return;
    g_hash_table_unref(tree->by_name);
    g_ptr_array_unref(tree->entries);
    g_free(tree->current);
    g_free(tree->note);
    g_free(tree);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tree, tree_free)

static Tree *tree_new(const char *current, const char *note)
{
    Tree *tree = g_new0(Tree, 1);

    tree->entries = g_ptr_array_new_with_free_func(entry_free);
    tree->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    tree->current = g_strdup(current);
    tree->note = g_strdup(note);
    return tree;
}

static Entry *tree_add(Tree *tree, const Entry *from, const char *parent)
{
    Entry *entry = g_new(Entry, 1);

    *entry = *from;
    entry->name = g_strdup(from->name);
    entry->parent = g_strdup(parent);
    g_ptr_array_add(tree->entries, entry);
    g_hash_table_insert(tree->by_name, entry->name, entry);
    return entry;
}

static Entry *tree_find(const Tree *tree, const char *name)
{
    return name ? g_hash_table_lookup(tree->by_name, name) : NULL;
}

/* The nearest ancestor of name, or itself, that is not among those; NULL: there is none. */
static const char *tree_staying(const Tree *tree, const char *name, GHashTable *doomed)
{
    while (name && doomed && g_hash_table_contains(doomed, name)) {
        const Entry *entry = tree_find(tree, name);

        name = entry ? entry->parent : NULL;
    }
    return name;
}

/* The same without those (NULL: all stay). */
static Tree *tree_copy(const Tree *tree, GHashTable *doomed, const char *note)
{
    Tree *copy = tree_new(tree_staying(tree, tree->current, doomed), note);

    for (guint i = 0; i < tree->entries->len; i++) {
        const Entry *entry = tree->entries->pdata[i];

        if (!doomed || !g_hash_table_contains(doomed, entry->name))
            tree_add(copy, entry, tree_staying(tree, entry->parent, doomed));
    }
    return copy;
}

/* ---- on disk ------------------------------------------------------------------- */

char *vireo_snapshot_file_name(const char *name)
{
    return strlen(name) <= FILE_NAME_MAX ? g_strdup(name) : g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);
}

static char *document_path(const VireoSnapshots *snapshots, const char *name)
{
    g_autofree char *file = vireo_snapshot_file_name(name);

    return g_strdup_printf("%s/%s.xml", snapshots->dir, file);
}

static char *tree_text(const Tree *tree)
{
    JsonArray *list = json_array_new();

    for (guint i = 0; i < tree->entries->len; i++) {
        const Entry *entry = tree->entries->pdata[i];

        json_array_add_object_element(
            list, vireo_json_new('s', "name", entry->name, 's', "parent", entry->parent, 'i', "created", entry->created,
                                 's', "state", vireo_domain_snapshot_state_to_string(entry->state), 'b', "external",
                                 entry->external, 0));
    }
    g_autoptr(JsonObject) whole =
        vireo_json_new('s', "current", tree->current, 's', "note", tree->note, 'a', "snapshots", list, 0);
    return vireo_json_text(whole);
}

/* FALSE: somebody else wrote it. */
static gboolean add_from_json(Tree *tree, JsonObject *object)
{
    const char *name = vireo_json_string(object, "name"), *parent = vireo_json_string(object, "parent");
    Entry entry = { .name = (char *)name,
                    .created = vireo_json_int(object, "created", 0),
                    .state = vireo_domain_snapshot_state_from_string(vireo_json_string(object, "state")),
                    .external = vireo_json_bool(object, "external") };

    if (!name || !*name || *name == '.' || strchr(name, '/') || tree_find(tree, name))
        return FALSE;
    tree_add(tree, &entry, parent);
    return TRUE;
}

static gboolean is_below(const Tree *tree, const char *name, const char *top)
{
    const Entry *at = tree_find(tree, name);

    for (guint steps = 0; at && steps <= tree->entries->len; steps++) {
        if (g_strcmp0(at->parent, top) == 0)
            return TRUE;
        at = tree_find(tree, at->parent);
    }
    return FALSE;
}

static Tree *tree_parse(const char *text, GError **error)
{
    g_autoptr(JsonObject) whole = vireo_json_parse(text, -1, error);
    g_autoptr(Tree) tree = tree_new(vireo_json_string(whole, "current"), vireo_json_string(whole, "note"));
    JsonArray *list = vireo_json_array(whole, "snapshots");
    gboolean good = list != NULL;

    if (!whole)
        return NULL;
    for (guint i = 0; good && i < vireo_json_length(list); i++)
        good = add_from_json(tree, vireo_json_element(list, i));
    for (guint i = 0; good && i < tree->entries->len; i++) {
        const Entry *entry = tree->entries->pdata[i];

        good = !entry->parent || (tree_find(tree, entry->parent) && !is_below(tree, entry->name, entry->name));
    }
    good = good && (!tree->current || tree_find(tree, tree->current));
    if (!good)
        refuse(error, VIREO_ERR_INTERNAL_ERROR, "this is no tree of snapshots");
    return good ? g_steal_pointer(&tree) : NULL;
}

/* Of changes that were cut short. */
static void drop_strays(VireoSnapshots *snapshots)
{
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GDir) dir = g_dir_open(snapshots->dir, 0, NULL);
    const char *file;

    for (guint i = 0; i < snapshots->tree->entries->len; i++) {
        g_autofree char *name = vireo_snapshot_file_name(((Entry *)snapshots->tree->entries->pdata[i])->name);

        g_hash_table_add(known, g_strconcat(name, ".xml", NULL));
    }
    while (dir && (file = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(snapshots->dir, file, NULL);

        if (g_str_has_suffix(file, ".xml") && !g_hash_table_contains(known, file))
            unlink(path);
    }
}

VireoSnapshots *vireo_snapshots_load(const char *dir)
{
    VireoSnapshots *snapshots = g_new0(VireoSnapshots, 1);
    g_autofree char *path = g_build_filename(dir, TREE_FILE, NULL), *text = NULL;
    g_autoptr(GError) error = NULL;

    snapshots->dir = g_strdup(dir);
    g_mutex_init(&snapshots->lock);
    if (vireo_file_read(path, TREE_MAX, &text, NULL, &error))
        snapshots->tree = tree_parse(text, &error);
    if (error && !g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        snapshots->trouble = g_strdup_printf("%s: %s", path, error->message);
    else if (!error)
        drop_strays(snapshots);
    if (!snapshots->tree)
        snapshots->tree = tree_new(NULL, NULL);
    return snapshots;
}

void vireo_snapshots_free(VireoSnapshots *snapshots)
{
    if (!snapshots)
        return;
    tree_free(snapshots->tree);
    g_mutex_clear(&snapshots->lock);
    g_free(snapshots->trouble);
    g_free(snapshots->dir);
    g_free(snapshots);
}

/* ---- reading ------------------------------------------------------------------- */

const char *vireo_snapshots_trouble(const VireoSnapshots *snapshots)
{
    return snapshots->trouble;
}

guint vireo_snapshots_count(VireoSnapshots *snapshots)
{
    g_mutex_lock(&snapshots->lock);
    guint count = snapshots->tree->entries->len;
    g_mutex_unlock(&snapshots->lock);
    return count;
}

gboolean vireo_snapshots_has(VireoSnapshots *snapshots, const char *name)
{
    g_mutex_lock(&snapshots->lock);
    gboolean has = tree_find(snapshots->tree, name) != NULL;
    g_mutex_unlock(&snapshots->lock);
    return has;
}

char *vireo_snapshots_current(VireoSnapshots *snapshots)
{
    g_mutex_lock(&snapshots->lock);
    char *current = g_strdup(snapshots->tree->current);
    g_mutex_unlock(&snapshots->lock);
    return current;
}

char *vireo_snapshots_note(VireoSnapshots *snapshots)
{
    g_mutex_lock(&snapshots->lock);
    char *note = g_strdup(snapshots->tree->note);
    g_mutex_unlock(&snapshots->lock);
    return note;
}

/* Level by level from above, and then the other way round. */
GPtrArray *vireo_snapshots_below(VireoSnapshots *snapshots, const char *name)
{
    g_autoptr(GPtrArray) down = g_ptr_array_new();
    GPtrArray *up = g_ptr_array_new_with_free_func(g_free);

    g_mutex_lock(&snapshots->lock);
    const GPtrArray *entries = snapshots->tree->entries;
    g_autoptr(GHashTable) children = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
    for (guint i = 0; i < entries->len; i++) {
        Entry *entry = entries->pdata[i];
        const char *parent = entry->parent ? entry->parent : ""; /* which is no name */
        GPtrArray *siblings = g_hash_table_lookup(children, parent);

        if (!siblings)
            g_hash_table_insert(children, (char *)parent, siblings = g_ptr_array_new());
        g_ptr_array_add(siblings, entry->name);
    }
    const char *at = name ? name : "";
    for (guint next = 0; at; next++) {
        GPtrArray *siblings = g_hash_table_lookup(children, at);

        for (guint i = 0; siblings && i < siblings->len; i++)
            g_ptr_array_add(down, siblings->pdata[i]);
        at = next < down->len ? down->pdata[next] : NULL;
    }
    for (guint i = down->len; i-- > 0;)
        g_ptr_array_add(up, g_strdup(down->pdata[i]));
    g_mutex_unlock(&snapshots->lock);
    return up;
}

void vireo_snapshot_set_parent(VireoDomainSnapshot *doc, const char *parent)
{
    g_clear_pointer(&doc->parent, vireo_domain_snapshot_parent_free);
    if (!parent)
        return;
    doc->parent = g_new0(VireoDomainSnapshotParent, 1);
    doc->parent->name = g_strdup(parent);
}

VireoDomainSnapshot *vireo_snapshots_read(VireoSnapshots *snapshots, const char *name, GError **error)
{
    g_autofree char *path = document_path(snapshots, name), *xml = NULL;

    g_mutex_lock(&snapshots->lock);
    const Entry *entry = tree_find(snapshots->tree, name);
    gboolean known = entry != NULL;
    g_autofree char *parent = g_strdup(known ? entry->parent : NULL);
    g_mutex_unlock(&snapshots->lock);
    if (!known) {
        refuse(error, VIREO_ERR_NO_DOMAIN_SNAPSHOT, "there is no snapshot '%s'", name);
        return NULL;
    }
    if (!vireo_file_read(path, DOCUMENT_MAX, &xml, NULL, error))
        return NULL;
    VireoDomainSnapshot *doc = vireo_domain_snapshot_parse(xml, 0, error);
    if (!doc)
        return NULL;
    vireo_snapshot_set_parent(doc, parent);
    return doc;
}

/* ---- changes ------------------------------------------------------------------- */

static gboolean usable(const VireoSnapshots *snapshots, GError **error)
{
    return !snapshots->trouble ||
           refuse(error, VIREO_ERR_OPERATION_FAILED, "the snapshots cannot be changed until this is mended: %s",
                  snapshots->trouble);
}

/* The moment at which a change takes place. Takes tree. */
static gboolean commit(VireoSnapshots *snapshots, Tree *tree, GError **error)
{
    g_autofree char *path = g_build_filename(snapshots->dir, TREE_FILE, NULL), *text = tree_text(tree);

    if (!vireo_file_mkdir(snapshots->dir, 0700, error) || !vireo_file_write(path, text, strlen(text), 0600, error)) {
        tree_free(tree);
        return FALSE;
    }
    g_mutex_lock(&snapshots->lock);
    Tree *old = snapshots->tree;
    snapshots->tree = tree;
    g_mutex_unlock(&snapshots->lock);
    tree_free(old);
    return TRUE;
}

static gboolean is_external(const VireoDomainSnapshot *doc)
{
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++)
        if (doc->disks->disks.items[i]->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL)
            return TRUE;
    return doc->memory && doc->memory->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL;
}

gboolean vireo_snapshots_put(VireoSnapshots *snapshots, const VireoDomainSnapshot *doc, gboolean make_current,
                             const char *note, GError **error)
{
    g_autofree char *path = document_path(snapshots, doc->name);
    g_autofree char *xml = vireo_domain_snapshot_format(doc, VIREO_MODEL_FORMAT_SECURE);
    const Entry given = { .name = doc->name, .created = doc->creation_time, .state = doc->state,
                          .external = is_external(doc) };

    if (!usable(snapshots, error) || !vireo_file_mkdir(snapshots->dir, 0700, error) ||
        !vireo_file_write(path, xml, strlen(xml), 0600, error))
        return FALSE;
    Tree *tree = tree_copy(snapshots->tree, NULL, note);
    Entry *entry = tree_find(tree, doc->name);
    const char *parent = doc->parent ? doc->parent->name : NULL;
    if (entry) {
        g_free(entry->parent);
        entry->parent = g_strdup(parent);
        entry->created = given.created;
        entry->state = given.state;
        entry->external = given.external;
    } else {
        tree_add(tree, &given, parent);
    }
    if (make_current) {
        g_free(tree->current);
        tree->current = g_strdup(doc->name);
    }
    return commit(snapshots, tree, error);
}

gboolean vireo_snapshots_remove(VireoSnapshots *snapshots, GPtrArray *names, const char *note, GError **error)
{
    g_autoptr(GHashTable) doomed = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < names->len; i++)
        g_hash_table_add(doomed, names->pdata[i]);
    if (!usable(snapshots, error) || !commit(snapshots, tree_copy(snapshots->tree, doomed, note), error))
        return FALSE;
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *path = document_path(snapshots, names->pdata[i]);

        unlink(path); /* or it is a stray at the next start */
    }
    return TRUE;
}

gboolean vireo_snapshots_set_current(VireoSnapshots *snapshots, const char *name, const char *note, GError **error)
{
    if (!usable(snapshots, error))
        return FALSE;
    Tree *tree = tree_copy(snapshots->tree, NULL, note);
    g_free(tree->current);
    tree->current = g_strdup(name);
    return commit(snapshots, tree, error);
}

gboolean vireo_snapshots_set_note(VireoSnapshots *snapshots, const char *note, GError **error)
{
    return usable(snapshots, error) && commit(snapshots, tree_copy(snapshots->tree, NULL, note), error);
}

gboolean vireo_snapshots_forget(VireoSnapshots *snapshots, GError **error)
{
    g_autoptr(GPtrArray) all = vireo_snapshots_below(snapshots, NULL);
    g_autofree char *path = g_build_filename(snapshots->dir, TREE_FILE, NULL);

    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;
    if (!vireo_snapshots_remove(snapshots, all, NULL, error) || !vireo_file_remove(path, error))
        return FALSE;
    rmdir(snapshots->dir);
    return TRUE;
}

/* ---- rules --------------------------------------------------------------------- */

static gboolean check_name(const char *name, GError **error)
{
    if (*name && *name != '.' && !strchr(name, '/') && !strpbrk(name, "\n\r"))
        return TRUE;
    return refuse(error, VIREO_ERR_XML_DETAIL,
                  "'%s' is no name for a snapshot: it must not be empty, begin with '.' or contain '/'", name);
}

gboolean vireo_snapshots_name(VireoSnapshots *snapshots, VireoDomainSnapshot *doc, GError **error)
{
    gint64 number = g_get_real_time() / G_USEC_PER_SEC;

    while (!doc->name) {
        g_autofree char *name = g_strdup_printf("%" G_GINT64_FORMAT, number++);

        if (!vireo_snapshots_has(snapshots, name))
            doc->name = g_steal_pointer(&name);
    }
    if (!check_name(doc->name, error))
        return FALSE;
    return !vireo_snapshots_has(snapshots, doc->name) ||
           refuse(error, VIREO_ERR_OPERATION_FAILED, "snapshot '%s' already exists", doc->name);
}

static gboolean is_online(VireoDomainSnapshotState state)
{
    return state == VIREO_DOMAIN_SNAPSHOT_STATE_RUNNING || state == VIREO_DOMAIN_SNAPSHOT_STATE_PAUSED;
}

static gboolean check_fields(const VireoDomainSnapshot *doc, const guint8 uuid[16], guint flags, GError **error)
{
    if (!doc->name)
        return refuse(error, VIREO_ERR_XML_ERROR, "a snapshot that is redefined needs its <name>");
    if (!check_name(doc->name, error))
        return FALSE;
    if (!doc->state)
        return refuse(error, VIREO_ERR_XML_ERROR, "snapshot '%s' that is redefined needs its <state>", doc->name);
    if (!doc->has_creation_time)
        return refuse(error, VIREO_ERR_XML_ERROR, "snapshot '%s' that is redefined needs its <creationTime>", doc->name);
    if (!is_online(doc->state) && doc->state != VIREO_DOMAIN_SNAPSHOT_STATE_SHUTOFF && doc->state != DISK_ONLY)
        return refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                      "snapshot '%s': the state can be running, paused, shutoff or disk-snapshot", doc->name);
    if (doc->domain && doc->domain->has_uuid && memcmp(doc->domain->uuid, uuid, 16))
        return refuse(error, VIREO_ERR_INVALID_ARG, "snapshot '%s' is one of another domain: its <domain> has another uuid",
                      doc->name);
    if ((flags & VIREO_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY) && doc->state != DISK_ONLY)
        return refuse(error, VIREO_ERR_INVALID_ARG, "snapshot '%s' is not one of disks only, as flag DISK_ONLY says",
                      doc->name);
    return TRUE;
}

/* With the lock. */
static gboolean check_parent(const Tree *tree, const char *name, const char *parent, GError **error)
{
    if (!parent)
        return TRUE;
    if (g_str_equal(parent, name))
        return refuse(error, VIREO_ERR_INVALID_ARG, "snapshot '%s' cannot be its own parent", name);
    if (!tree_find(tree, parent))
        return refuse(error, VIREO_ERR_INVALID_ARG,
                      "snapshot '%s' names a parent '%s' that does not exist: redefine that one first", name, parent);
    if (is_below(tree, parent, name))
        return refuse(error, VIREO_ERR_INVALID_ARG, "parent '%s' of snapshot '%s' is below it", parent, name);
    return TRUE;
}

/* With the lock. old: the one that is replaced, or NULL. */
static gboolean check_state(const Entry *old, const VireoDomainSnapshot *doc, GError **error)
{
    if (old && (old->state == DISK_ONLY) != (doc->state == DISK_ONLY))
        return refuse(error, VIREO_ERR_INVALID_ARG, "snapshot '%s' cannot change between disks only and the whole guest",
                      doc->name);
    if (old && is_online(old->state) != is_online(doc->state))
        return refuse(error, VIREO_ERR_INVALID_ARG, "snapshot '%s' cannot change between a running and a stopped guest",
                      doc->name);
    return TRUE;
}

gboolean vireo_snapshots_redefine(VireoSnapshots *snapshots, VireoDomainSnapshot *doc, const guint8 uuid[16], guint flags,
                                  GError **error)
{
    if (!usable(snapshots, error) || !check_fields(doc, uuid, flags, error))
        return FALSE;
    g_mutex_lock(&snapshots->lock);
    const Entry *old = tree_find(snapshots->tree, doc->name);
    gboolean known = old != NULL, good = check_parent(snapshots->tree, doc->name, doc->parent ? doc->parent->name : NULL, error) &&
                                         check_state(old, doc, error);
    g_mutex_unlock(&snapshots->lock);
    if (!good || doc->domain || !known)
        return good;
    g_autoptr(VireoDomainSnapshot) before = vireo_snapshots_read(snapshots, doc->name, NULL);
    if (!before)
        return TRUE;
    doc->domain = g_steal_pointer(&before->domain);
    if (!doc->inactive_domain)
        doc->inactive_domain = g_steal_pointer(&before->inactive_domain);
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

void vireo_snapshots_publish(VireoSnapshots *snapshots, const struct vireo_host *host, vireo_space *space,
                             const guint8 uuid[16])
{
    g_mutex_lock(&snapshots->lock);
    const Tree *tree = snapshots->tree;
    g_autofree struct vireo_tree_node *nodes = g_new0(struct vireo_tree_node, tree->entries->len + 1);
    for (guint i = 0; i < tree->entries->len; i++) {
        const Entry *entry = tree->entries->pdata[i];

        nodes[i] = (struct vireo_tree_node){
            .size = sizeof(struct vireo_tree_node),
            .name = entry->name,
            .parent = entry->parent,
            .creation_time = entry->created,
            .state = shown_state(entry->state),
            .flags = VIREO_TREE_METADATA | (g_strcmp0(tree->current, entry->name) ? 0u : VIREO_TREE_CURRENT) |
                     (entry->external ? VIREO_TREE_EXTERNAL : VIREO_TREE_INTERNAL) |
                     (entry->state == DISK_ONLY ? VIREO_TREE_DISK_ONLY : 0u),
        };
    }
    host->publish_tree(space, VIREO_CLASS_DOMAIN_SNAPSHOT, uuid, tree->entries->len, nodes);
    g_mutex_unlock(&snapshots->lock);
}
