/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects/space.h"

#include <string.h>

#include "objects/lifecycle.h"

#define N_CLASSES (VIREO_CLASS_ADMIN_CLIENT + 1)

/* The objects of one class. by_name owns a reference each; the others borrow. */
typedef struct {
    GHashTable *by_name, *by_uuid, *by_id;
    gboolean served;
} Table;

struct vireo_space {
    char *name;
    VireoSpaceSink sink;
    gpointer opaque;
    const VireoSpaceTap *tap; /* NULL: none */
    gpointer tap_opaque;
    GMutex publishing; /* one change and its events after the other */
    GRWLock lock;      /* the tables; held for pointer operations only */
    Table tables[N_CLASSES];
};

static guint uuid_hash(gconstpointer uuid)
{
    guint32 words[4];

    memcpy(words, uuid, sizeof words);
    return words[0] ^ words[1] ^ words[2] ^ words[3];
}

static gboolean uuid_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, 16) == 0;
}

vireo_space *vireo_space_new(const char *name, VireoSpaceSink sink, gpointer opaque)
{
    vireo_space *space = g_new0(vireo_space, 1);

    space->name = g_strdup(name);
    space->sink = sink;
    space->opaque = opaque;
    g_mutex_init(&space->publishing);
    g_rw_lock_init(&space->lock);
    for (guint i = 0; i < N_CLASSES; i++) {
        Table *table = &space->tables[i];

        table->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)vireo_object_unref);
        table->by_uuid = g_hash_table_new(uuid_hash, uuid_equal);
        table->by_id = g_hash_table_new(g_direct_hash, g_direct_equal);
    }
    return space;
}

void vireo_space_free(vireo_space *space)
{
    if (!space)
        return;
    for (guint i = 0; i < N_CLASSES; i++) {
        g_hash_table_unref(space->tables[i].by_id);
        g_hash_table_unref(space->tables[i].by_uuid);
        g_hash_table_unref(space->tables[i].by_name);
    }
    g_rw_lock_clear(&space->lock);
    g_mutex_clear(&space->publishing);
    g_free(space->name);
    g_free(space);
}

const char *vireo_space_name(const vireo_space *space)
{
    return space->name;
}

static Table *table_of(vireo_space *space, guint klass)
{
    return &space->tables[klass < N_CLASSES ? klass : VIREO_CLASS_NONE];
}

static VireoObject *find(Table *table, const char *name, const guint8 *uuid)
{
    VireoObject *found = NULL;

    if (uuid)
        found = g_hash_table_lookup(table->by_uuid, uuid);
    if (!found && name)
        found = g_hash_table_lookup(table->by_name, name);
    return found;
}

static void take_out(Table *table, VireoObject *object)
{
    if (vireo_object_has_uuid(object))
        g_hash_table_remove(table->by_uuid, object->uuid);
    if (object->id != -1)
        g_hash_table_remove(table->by_id, GINT_TO_POINTER(object->id));
    g_hash_table_remove(table->by_name, object->name);
}

static void put_in(Table *table, VireoObject *object)
{
    g_hash_table_insert(table->by_name, object->name, object);
    if (vireo_object_has_uuid(object))
        g_hash_table_insert(table->by_uuid, object->uuid, object);
    if (object->id != -1)
        g_hash_table_insert(table->by_id, GINT_TO_POINTER(object->id), object);
}

/* Swaps `before` (may be NULL) for `after` (may be NULL), whose reference the table takes. Another object of
 * its name gives way. */
static void swap(vireo_space *space, Table *table, VireoObject *before, VireoObject *after)
{
    VireoObject *namesake;

    g_rw_lock_writer_lock(&space->lock);
    if (before)
        take_out(table, before);
    namesake = after ? g_hash_table_lookup(table->by_name, after->name) : NULL;
    if (namesake)
        take_out(table, namesake);
    if (after)
        put_in(table, after);
    table->served = TRUE;
    g_rw_lock_writer_unlock(&space->lock);
}

static void raise_lifecycle(vireo_space *space, const VireoObject *named, gint32 event, gint32 detail)
{
    vireo_domain_event_lifecycle_msg msg = { .event = event, .detail = detail };

    msg.dom.name = named->name;
    msg.dom.id = named->id;
    memcpy(msg.dom.uuid, named->uuid, sizeof msg.dom.uuid);
    space->sink(space, VIREO_EVENT_domain_event_lifecycle, &msg, space->opaque);
}

static void raise_changes(vireo_space *space, const VireoObject *before, const VireoObject *after)
{
    VireoLifecycle events[VIREO_LIFECYCLE_MOST];
    guint n = vireo_lifecycle_of_domain(before, after, events);

    for (guint i = 0; i < n; i++) {
        gboolean old = !after || (events[i].event == VIREO_DOMAIN_EVENT_UNDEFINED && before);

        raise_lifecycle(space, old ? before : after, events[i].event, events[i].detail);
    }
}

/* Trees belong to the object, not to one publishing of it. */
static VireoObject *with_trees_of(VireoObject *object, const VireoObject *before)
{
    object->snapshots = before && before->snapshots ? vireo_tree_ref(before->snapshots) : NULL;
    object->checkpoints = before && before->checkpoints ? vireo_tree_ref(before->checkpoints) : NULL;
    return object;
}

void vireo_space_publish(vireo_space *space, const struct vireo_object *published)
{
    Table *table = table_of(space, published->klass);
    VireoObject *after = vireo_object_new(published);
    g_autoptr(VireoObject) before = NULL;
    g_autoptr(VireoObject) seen = vireo_object_ref(after);

    g_mutex_lock(&space->publishing);
    before = find(table, published->name, vireo_object_has_uuid(after) ? after->uuid : NULL);
    if (before)
        vireo_object_ref(before);
    swap(space, table, before, with_trees_of(after, before));
    if (published->klass == VIREO_CLASS_DOMAIN && !(published->flags & VIREO_OBJECT_QUIET)) {
        if (published->event >= 0)
            raise_lifecycle(space, seen, published->event, published->detail);
        else
            raise_changes(space, before, seen);
    }
    if (space->tap)
        space->tap->published(space, published, space->tap_opaque);
    g_mutex_unlock(&space->publishing);
}

void vireo_space_withdraw(vireo_space *space, guint klass, const char *name, const guint8 *uuid)
{
    Table *table = table_of(space, klass);
    g_autoptr(VireoObject) before = NULL;

    g_mutex_lock(&space->publishing);
    before = find(table, name, uuid);
    if (before) {
        vireo_object_ref(before);
        swap(space, table, before, NULL);
        if (klass == VIREO_CLASS_DOMAIN)
            raise_changes(space, before, NULL);
    }
    if (before && space->tap)
        space->tap->withdrawn(space, klass, name, uuid, space->tap_opaque);
    g_mutex_unlock(&space->publishing);
}

void vireo_space_publish_tree(vireo_space *space, guint klass, const guint8 *uuid, guint n,
                              const struct vireo_tree_node *nodes)
{
    Table *table = table_of(space, VIREO_CLASS_DOMAIN);
    VireoTree *tree = n ? vireo_tree_new(n, nodes) : NULL;
    g_autoptr(VireoObject) before = NULL;

    g_mutex_lock(&space->publishing);
    before = find(table, NULL, uuid);
    if (before) {
        vireo_object_ref(before);
        swap(space, table, before, vireo_object_with_tree(before, klass, tree));
    } else {
        vireo_tree_unref(tree);
    }
    if (before && space->tap)
        space->tap->tree(space, klass, uuid, n, nodes, space->tap_opaque);
    g_mutex_unlock(&space->publishing);
}

/* The tree of the domain as it is; *ret: the domain, a new reference, NULL when there is none. */
static VireoTree *tree_now(vireo_space *space, guint klass, const guint8 *uuid, VireoObject **ret)
{
    VireoObject *domain = find(table_of(space, VIREO_CLASS_DOMAIN), NULL, uuid);

    *ret = domain ? vireo_object_ref(domain) : NULL;
    return domain ? vireo_object_tree(domain, klass) : NULL;
}

static void set_tree(vireo_space *space, guint klass, VireoObject *domain, VireoTree *tree)
{
    swap(space, table_of(space, VIREO_CLASS_DOMAIN), domain, vireo_object_with_tree(domain, klass, tree));
}

gboolean vireo_space_publish_node(vireo_space *space, guint klass, const guint8 *uuid,
                                  const struct vireo_tree_node *node)
{
    g_autoptr(VireoObject) domain = NULL;
    VireoTree *before, *after;

    g_mutex_lock(&space->publishing);
    before = tree_now(space, klass, uuid, &domain);
    after = domain ? vireo_tree_with(before, node) : NULL;
    if (after)
        set_tree(space, klass, domain, after);
    if (after && space->tap)
        space->tap->node(space, klass, uuid, node, space->tap_opaque);
    g_mutex_unlock(&space->publishing);
    return after || !domain;
}

void vireo_space_withdraw_node(vireo_space *space, guint klass, const guint8 *uuid, const char *name)
{
    g_autoptr(VireoObject) domain = NULL;
    VireoTree *before;
    gboolean there;

    g_mutex_lock(&space->publishing);
    before = tree_now(space, klass, uuid, &domain);
    there = vireo_tree_find(before, name) != NULL;
    if (there)
        set_tree(space, klass, domain, vireo_tree_without(before, name));
    if (there && space->tap)
        space->tap->node_withdrawn(space, klass, uuid, name, space->tap_opaque);
    g_mutex_unlock(&space->publishing);
}

void vireo_space_event(vireo_space *space, guint32 event, gconstpointer msg)
{
    g_mutex_lock(&space->publishing);
    space->sink(space, event, msg, space->opaque);
    if (space->tap)
        space->tap->event(space, event, msg, space->tap_opaque);
    g_mutex_unlock(&space->publishing);
}

void vireo_space_set_tap(vireo_space *space, const VireoSpaceTap *tap, gpointer opaque)
{
    space->tap = tap;
    space->tap_opaque = opaque;
}

void vireo_space_hold(vireo_space *space, void (*fn)(vireo_space *space, gpointer opaque), gpointer opaque)
{
    g_mutex_lock(&space->publishing);
    fn(space, opaque);
    g_mutex_unlock(&space->publishing);
}

gboolean vireo_space_serves(vireo_space *space, guint klass)
{
    gboolean served;

    g_rw_lock_reader_lock(&space->lock);
    served = table_of(space, klass)->served;
    g_rw_lock_reader_unlock(&space->lock);
    return served;
}

typedef enum { BY_NAME, BY_UUID, BY_ID } Key;

static VireoObject *lookup(vireo_space *space, guint klass, Key by, gconstpointer key)
{
    Table *table = table_of(space, klass);
    GHashTable *hash = by == BY_NAME ? table->by_name : by == BY_UUID ? table->by_uuid : table->by_id;
    VireoObject *found;

    g_rw_lock_reader_lock(&space->lock);
    found = g_hash_table_lookup(hash, key);
    if (found)
        vireo_object_ref(found);
    g_rw_lock_reader_unlock(&space->lock);
    return found;
}

VireoObject *vireo_space_by_uuid(vireo_space *space, guint klass, const guint8 *uuid)
{
    return lookup(space, klass, BY_UUID, uuid);
}

VireoObject *vireo_space_by_name(vireo_space *space, guint klass, const char *name)
{
    return lookup(space, klass, BY_NAME, name);
}

VireoObject *vireo_space_by_id(vireo_space *space, guint klass, gint32 id)
{
    return lookup(space, klass, BY_ID, GINT_TO_POINTER(id));
}

GPtrArray *vireo_space_list(vireo_space *space, guint klass, VireoObjectFilter filter,
                            gconstpointer opaque)
{
    GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)vireo_object_unref);
    GHashTableIter iter;
    gpointer value;

    g_rw_lock_reader_lock(&space->lock);
    g_hash_table_iter_init(&iter, table_of(space, klass)->by_name);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (!filter || filter(value, opaque))
            g_ptr_array_add(found, vireo_object_ref(value));
    g_rw_lock_reader_unlock(&space->lock);
    return found;
}
