/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects/tree.h"

#include <string.h>

#include "objects/treap.h"

typedef struct {
    VireoTreapItem base;
    VireoTreeNode node;   /* its strings are GRefString */
    guint hash;           /* of the name */
    guint64 seq, parent;  /* numbers, from 1, in the order of first appearance; parent 0: a root */
} Item;

struct VireoTree {
    gint refs;
    guint n;
    guint64 last_seq;
    VireoTreap *by_name, *by_parent;
    Item *current; /* its own reference; NULL: none */
};

/* ---- the two orders ---- */

typedef struct {
    guint hash;
    const char *name;
} Name;

typedef struct {
    guint64 parent, seq;
} Place;

static gint by_name(gconstpointer key, gconstpointer data)
{
    const Name *name = key;
    const Item *item = data;

    if (name->hash != item->hash)
        return name->hash < item->hash ? -1 : 1;
    return strcmp(name->name, item->node.name);
}

static gint by_parent(gconstpointer key, gconstpointer data)
{
    const Place *place = key;
    const Item *item = data;

    if (place->parent != item->parent)
        return place->parent < item->parent ? -1 : 1;
    return place->seq < item->seq ? -1 : place->seq > item->seq;
}

static Item *find(const VireoTree *tree, const char *name)
{
    return tree && name ? vireo_treap_find(tree->by_name, &(Name){ g_str_hash(name), name }, by_name) : NULL;
}

static const Item *item_of(const VireoTreeNode *node)
{
    return (const Item *)(gconstpointer)((const char *)node - G_STRUCT_OFFSET(Item, node));
}

/* The first child of that number from seq on. */
static const Item *child_from(const VireoTree *tree, guint64 parent, guint64 seq)
{
    const Item *found = vireo_treap_from(tree->by_parent, &(Place){ parent, seq }, by_parent);

    return found && found->parent == parent ? found : NULL;
}

/* ---- items ---- */

static void item_free(gpointer data)
{
    Item *item = data;

    g_ref_string_release(item->node.name);
    g_clear_pointer(&item->node.parent, g_ref_string_release);
    g_free(item);
}

/* Steps of splitmix64: numbers that follow each other get weights that do not. */
static guint64 weight_of(guint64 seq)
{
    guint64 mixed = seq * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);

    mixed = (mixed ^ mixed >> 30) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

/* parent: its name, NULL for a root. */
static Item *item_new(char *name, guint64 seq, char *parent, guint64 parent_seq,
                      const struct vireo_tree_node *given)
{
    Item *item = g_new0(Item, 1);

    item->base.refs = 1;
    item->base.free = item_free;
    item->base.weight = weight_of(seq);
    item->node.name = g_ref_string_acquire(name);
    item->node.parent = parent ? g_ref_string_acquire(parent) : NULL;
    item->node.creation_time = given->creation_time;
    item->node.state = given->state;
    item->node.flags = given->flags & ~(guint32)VIREO_TREE_CURRENT;
    item->hash = g_str_hash(name);
    item->seq = seq;
    item->parent = parent_seq;
    return item;
}

static void set_current(VireoTree *tree, Item *item)
{
    if (item)
        vireo_treap_item_ref(item);
    vireo_treap_item_unref(tree->current);
    tree->current = item;
}

static void enter_name(VireoTree *tree, Item *item)
{
    tree->by_name = vireo_treap_put(tree->by_name, item, &(Name){ item->hash, item->node.name }, by_name);
}

static void enter_place(VireoTree *tree, Item *item)
{
    tree->by_parent = vireo_treap_put(tree->by_parent, item, &(Place){ item->parent, item->seq }, by_parent);
}

static void leave_place(VireoTree *tree, const Item *item)
{
    tree->by_parent = vireo_treap_drop(tree->by_parent, &(Place){ item->parent, item->seq }, by_parent);
}

/* ---- whole trees ---- */

gboolean vireo_tree_is_forest(guint n, const struct vireo_tree_node *nodes)
{
    g_autoptr(GHashTable) index = g_hash_table_new(g_str_hash, g_str_equal); /* name -> index + 1 */
    g_autofree guint *seen = g_new0(guint, n + 1);                          /* in which walk */

    for (guint i = 0; i < n; i++)
        if (!g_hash_table_insert(index, (char *)nodes[i].name, GUINT_TO_POINTER(i + 1)))
            return FALSE;
    for (guint i = 0; i < n; i++) {
        guint at = i + 1;

        while (at && !seen[at - 1]) {
            const char *parent = nodes[at - 1].parent;

            seen[at - 1] = i + 1;
            at = parent ? GPOINTER_TO_UINT(g_hash_table_lookup(index, parent)) : 0;
        }
        if (at && seen[at - 1] == i + 1)
            return FALSE;
    }
    return TRUE;
}

static VireoTree *tree_alone(void)
{
    VireoTree *tree = g_new0(VireoTree, 1);

    tree->refs = 1;
    return tree;
}

VireoTree *vireo_tree_new(guint n, const struct vireo_tree_node *given)
{
    g_autoptr(GHashTable) index = g_hash_table_new(g_str_hash, g_str_equal); /* name -> index + 1 */
    g_autofree char **names = g_new(char *, n + 1);
    VireoTree *tree = tree_alone();

    tree->n = n;
    tree->last_seq = n;
    for (guint i = 0; i < n; i++) {
        names[i] = g_ref_string_new(given[i].name);
        g_hash_table_insert(index, names[i], GUINT_TO_POINTER(i + 1));
    }
    for (guint i = 0; i < n; i++) {
        gpointer found = given[i].parent ? g_hash_table_lookup(index, given[i].parent) : NULL;
        guint parent = GPOINTER_TO_UINT(found);
        Item *item = item_new(names[i], i + 1, parent ? names[parent - 1] : NULL, parent, &given[i]);

        enter_name(tree, item);
        enter_place(tree, item);
        if (given[i].flags & VIREO_TREE_CURRENT)
            set_current(tree, item);
        vireo_treap_item_unref(item);
    }
    for (guint i = 0; i < n; i++)
        g_ref_string_release(names[i]);
    return tree;
}

VireoTree *vireo_tree_ref(VireoTree *tree)
{
    g_atomic_int_inc(&tree->refs);
    return tree;
}

void vireo_tree_unref(VireoTree *tree)
{
    if (!tree || !g_atomic_int_dec_and_test(&tree->refs))
        return;
    vireo_treap_unref(tree->by_name);
    vireo_treap_unref(tree->by_parent);
    vireo_treap_item_unref(tree->current);
    g_free(tree);
}

/* ---- one change ---- */

static VireoTree *copy_of(const VireoTree *tree)
{
    VireoTree *copy = tree_alone();

    if (!tree)
        return copy;
    copy->n = tree->n;
    copy->last_seq = tree->last_seq;
    copy->by_name = vireo_treap_ref(tree->by_name);
    copy->by_parent = vireo_treap_ref(tree->by_parent);
    set_current(copy, tree->current);
    return copy;
}

static gboolean is_below(const VireoTree *tree, const Item *item, const Item *above)
{
    while (item && item != above)
        item = find(tree, item->node.parent);
    return item != NULL;
}

VireoTree *vireo_tree_with(VireoTree *tree, const struct vireo_tree_node *given)
{
    Item *old = find(tree, given->name), *parent = find(tree, given->parent);
    gboolean moved = old && old->parent != (parent ? parent->seq : 0);
    char *name = old ? g_ref_string_acquire(old->node.name) : g_ref_string_new(given->name);
    VireoTree *changed;
    Item *item;

    /* The way up is as long as the tree is deep; it is gone only for a node that moves with what is below it. */
    if (old && (parent == old || (moved && child_from(tree, old->seq, 0) && is_below(tree, parent, old)))) {
        g_ref_string_release(name);
        return NULL;
    }
    changed = copy_of(tree);
    changed->n += !old;
    item = item_new(name, old ? old->seq : ++changed->last_seq, parent ? parent->node.name : NULL,
                    parent ? parent->seq : 0, given);
    if (moved)
        leave_place(changed, old);
    enter_name(changed, item);
    enter_place(changed, item);
    if (given->flags & VIREO_TREE_CURRENT)
        set_current(changed, item);
    else if (old && old == changed->current)
        set_current(changed, NULL);
    vireo_treap_item_unref(item);
    g_ref_string_release(name);
    return changed;
}

/* With another parent, of which nothing is known but name and number. */
static void hand_over(VireoTree *tree, const Item *old, char *parent, guint64 parent_seq)
{
    const struct vireo_tree_node same = {
        .creation_time = old->node.creation_time,
        .state = old->node.state,
        .flags = old->node.flags,
    };
    Item *item = item_new(old->node.name, old->seq, parent, parent_seq, &same);
    gboolean is_current = tree->current == old;

    leave_place(tree, old);
    enter_name(tree, item);
    enter_place(tree, item);
    if (is_current)
        set_current(tree, item);
    vireo_treap_item_unref(item);
}

VireoTree *vireo_tree_without(VireoTree *tree, const char *name)
{
    const Item *gone = find(tree, name), *child;
    VireoTree *changed;

    if (!gone)
        return tree ? vireo_tree_ref(tree) : NULL;
    if (tree->n == 1)
        return NULL;
    changed = copy_of(tree);
    changed->n--;
    for (child = child_from(tree, gone->seq, 0); child; child = child_from(tree, gone->seq, child->seq + 1))
        hand_over(changed, child, gone->node.parent, gone->parent);
    if (changed->current == gone)
        set_current(changed, NULL);
    leave_place(changed, gone);
    changed->by_name = vireo_treap_drop(changed->by_name, &(Name){ gone->hash, gone->node.name }, by_name);
    return changed;
}

/* ---- looking ---- */

guint vireo_tree_size(const VireoTree *tree)
{
    return tree ? tree->n : 0;
}

static const VireoTreeNode *node_of(const Item *item)
{
    return item ? &item->node : NULL;
}

const VireoTreeNode *vireo_tree_find(const VireoTree *tree, const char *name)
{
    return node_of(find(tree, name));
}

const VireoTreeNode *vireo_tree_current(const VireoTree *tree)
{
    return node_of(tree ? tree->current : NULL);
}

const VireoTreeNode *vireo_tree_parent(const VireoTree *tree, const VireoTreeNode *node)
{
    return vireo_tree_find(tree, node->parent);
}

/* A group of filter bits: none set means any. */
static gboolean passes(guint32 filter, guint32 group, guint32 own)
{
    return !(filter & group) || (filter & own);
}

static guint32 state_bit(const VireoTreeNode *node)
{
    if (node->flags & VIREO_TREE_DISK_ONLY)
        return VIREO_DOMAIN_SNAPSHOT_LIST_DISK_ONLY;
    if (node->state == VIREO_DOMAIN_SHUTOFF)
        return VIREO_DOMAIN_SNAPSHOT_LIST_INACTIVE;
    return VIREO_DOMAIN_SNAPSHOT_LIST_ACTIVE;
}

static gboolean selected(const VireoTreeNode *node, gboolean is_leaf, guint32 filter)
{
    const guint32 leaves = VIREO_DOMAIN_SNAPSHOT_LIST_LEAVES, inner = VIREO_DOMAIN_SNAPSHOT_LIST_NO_LEAVES;
    const guint32 with = VIREO_DOMAIN_SNAPSHOT_LIST_METADATA, without = VIREO_DOMAIN_SNAPSHOT_LIST_NO_METADATA;
    const guint32 internal = VIREO_DOMAIN_SNAPSHOT_LIST_INTERNAL, external = VIREO_DOMAIN_SNAPSHOT_LIST_EXTERNAL;
    const guint32 states = VIREO_DOMAIN_SNAPSHOT_LIST_ACTIVE | VIREO_DOMAIN_SNAPSHOT_LIST_INACTIVE |
                           VIREO_DOMAIN_SNAPSHOT_LIST_DISK_ONLY;
    guint32 places = (node->flags & VIREO_TREE_EXTERNAL ? external : 0) |
                     (node->flags & VIREO_TREE_INTERNAL ? internal : 0);

    return passes(filter, leaves | inner, is_leaf ? leaves : inner) &&
           passes(filter, with | without, node->flags & VIREO_TREE_METADATA ? with : without) &&
           passes(filter, internal | external, places) && passes(filter, states, state_bit(node));
}

/* ---- lists ---- */

typedef struct {
    guint64 parent;
    const Item *item;
} Row;

static void add_row(gpointer item, gpointer rows)
{
    g_array_append_vals(rows, &(Row){ ((const Item *)item)->parent, item }, 1);
}

/* Where the children of that number begin; not before `from`, and most probably near it. */
static guint first_of(const GArray *rows, guint from, guint64 parent)
{
    guint low = from, high = from;

    for (guint step = 1; high < rows->len && g_array_index(rows, Row, high).parent < parent; step *= 2) {
        low = high + 1;
        high += step;
    }
    high = MIN(high, rows->len);
    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(rows, Row, middle).parent < parent)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static gboolean is_child(const GArray *rows, guint at, guint64 parent)
{
    return at < rows->len && g_array_index(rows, Row, at).parent == parent;
}

/* All below that number: with the whole tree in one piece, as the way down to each child is longer. */
static void select_deep(const VireoTree *tree, guint64 top, guint32 filter, GPtrArray *found)
{
    g_autoptr(GArray) rows = g_array_sized_new(FALSE, FALSE, sizeof(Row), tree->n);
    g_autoptr(GArray) above = g_array_new(FALSE, FALSE, sizeof(guint)); /* rows whose siblings are still to come */
    guint at;

    vireo_treap_each(tree->by_parent, add_row, rows);
    at = first_of(rows, 0, top);
    if (!is_child(rows, at, top))
        return;
    for (;;) {
        const Item *item = g_array_index(rows, Row, at).item;
        guint from = g_array_index(rows, Row, at).parent < item->seq ? at : 0;
        guint child = first_of(rows, from, item->seq);
        gboolean is_leaf = !is_child(rows, child, item->seq);

        if (selected(&item->node, is_leaf, filter))
            g_ptr_array_add(found, (gpointer)&item->node);
        if (!is_leaf) {
            g_array_append_val(above, at);
            at = child;
            continue;
        }
        while (!is_child(rows, at + 1, g_array_index(rows, Row, at).parent)) {
            if (!above->len)
                return;
            at = g_array_index(above, guint, above->len - 1);
            g_array_set_size(above, above->len - 1);
        }
        at++;
    }
}

GPtrArray *vireo_tree_select(const VireoTree *tree, const VireoTreeNode *from, gboolean deep,
                             guint32 filter)
{
    GPtrArray *found = g_ptr_array_new();
    guint64 top = from ? item_of(from)->seq : 0;

    if (!tree)
        return found;
    if (deep) {
        select_deep(tree, top, filter, found);
        return found;
    }
    for (const Item *item = child_from(tree, top, 0); item; item = child_from(tree, top, item->seq + 1))
        if (selected(&item->node, !child_from(tree, item->seq, 0), filter))
            g_ptr_array_add(found, (gpointer)&item->node);
    return found;
}

GArray *vireo_tree_describe(const VireoTree *tree)
{
    GArray *nodes = g_array_new(FALSE, FALSE, sizeof(struct vireo_tree_node));
    g_autoptr(GPtrArray) all = vireo_tree_select(tree, NULL, TRUE, 0);

    for (guint i = 0; i < all->len; i++) {
        const VireoTreeNode *from = all->pdata[i];
        struct vireo_tree_node node = {
            .size = sizeof node,
            .flags = from->flags | (from == vireo_tree_current(tree) ? VIREO_TREE_CURRENT : 0u),
            .name = from->name,
            .parent = from->parent,
            .creation_time = from->creation_time,
            .state = from->state,
        };

        g_array_append_val(nodes, node);
    }
    return nodes;
}
