/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects/tree.h"

struct VireoTree {
    gint refs;
    guint n;
    VireoTreeNode *nodes;
    const VireoTreeNode *first_root;
    const VireoTreeNode *current;
    GHashTable *by_name;
};

static void adopt(VireoTree *tree, const struct vireo_tree_node *given)
{
    const VireoTreeNode **tails = g_new0(const VireoTreeNode *, tree->n + 1);

    for (guint i = 0; i < tree->n; i++) {
        VireoTreeNode *node = &tree->nodes[i];
        VireoTreeNode *parent = given[i].parent ? g_hash_table_lookup(tree->by_name, given[i].parent) : NULL;
        guint slot = parent ? (guint)(parent - tree->nodes) : tree->n;

        node->parent = parent;
        if (tails[slot])
            ((VireoTreeNode *)tails[slot])->next_sibling = node;
        else if (parent)
            parent->first_child = node;
        else
            tree->first_root = node;
        tails[slot] = node;
        if (parent)
            parent->n_children++;
    }
    g_free(tails);
}

VireoTree *vireo_tree_new(guint n, const struct vireo_tree_node *given)
{
    VireoTree *tree = g_new0(VireoTree, 1);

    tree->refs = 1;
    tree->n = n;
    tree->nodes = g_new0(VireoTreeNode, MAX(n, 1));
    tree->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < n; i++) {
        VireoTreeNode *node = &tree->nodes[i];

        node->name = g_strdup(given[i].name);
        node->creation_time = given[i].creation_time;
        node->state = given[i].state;
        node->flags = given[i].flags;
        if (node->flags & VIREO_TREE_CURRENT)
            tree->current = node;
        g_hash_table_insert(tree->by_name, node->name, node);
    }
    adopt(tree, given);
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
    for (guint i = 0; i < tree->n; i++)
        g_free(tree->nodes[i].name);
    g_hash_table_unref(tree->by_name);
    g_free(tree->nodes);
    g_free(tree);
}

guint vireo_tree_size(const VireoTree *tree)
{
    return tree ? tree->n : 0;
}

const VireoTreeNode *vireo_tree_find(const VireoTree *tree, const char *name)
{
    return tree ? g_hash_table_lookup(tree->by_name, name) : NULL;
}

const VireoTreeNode *vireo_tree_current(const VireoTree *tree)
{
    return tree ? tree->current : NULL;
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

static gboolean selected(const VireoTreeNode *node, guint32 filter)
{
    const guint32 leaves = VIREO_DOMAIN_SNAPSHOT_LIST_LEAVES, inner = VIREO_DOMAIN_SNAPSHOT_LIST_NO_LEAVES;
    const guint32 with = VIREO_DOMAIN_SNAPSHOT_LIST_METADATA, without = VIREO_DOMAIN_SNAPSHOT_LIST_NO_METADATA;
    const guint32 internal = VIREO_DOMAIN_SNAPSHOT_LIST_INTERNAL, external = VIREO_DOMAIN_SNAPSHOT_LIST_EXTERNAL;
    const guint32 states = VIREO_DOMAIN_SNAPSHOT_LIST_ACTIVE | VIREO_DOMAIN_SNAPSHOT_LIST_INACTIVE |
                           VIREO_DOMAIN_SNAPSHOT_LIST_DISK_ONLY;
    guint32 places = (node->flags & VIREO_TREE_EXTERNAL ? external : 0) |
                     (node->flags & VIREO_TREE_INTERNAL ? internal : 0);

    return passes(filter, leaves | inner, node->n_children ? inner : leaves) &&
           passes(filter, with | without, node->flags & VIREO_TREE_METADATA ? with : without) &&
           passes(filter, internal | external, places) && passes(filter, states, state_bit(node));
}

GPtrArray *vireo_tree_select(const VireoTree *tree, const VireoTreeNode *from, gboolean deep,
                             guint32 filter)
{
    GPtrArray *found = g_ptr_array_new();
    const VireoTreeNode *node;

    if (!tree)
        return found;
    node = from ? from->first_child : tree->first_root;
    while (node) {
        if (selected(node, filter))
            g_ptr_array_add(found, (gpointer)node);
        if (deep && node->first_child) {
            node = node->first_child;
            continue;
        }
        while (node && !node->next_sibling && node->parent != from)
            node = node->parent;
        node = node ? node->next_sibling : NULL;
    }
    return found;
}

GArray *vireo_tree_describe(const VireoTree *tree)
{
    GArray *nodes = g_array_new(FALSE, FALSE, sizeof(struct vireo_tree_node));

    for (guint i = 0; tree && i < tree->n; i++) {
        const VireoTreeNode *from = &tree->nodes[i];
        struct vireo_tree_node node = {
            .size = sizeof node,
            .flags = from->flags,
            .name = from->name,
            .parent = from->parent ? from->parent->name : NULL,
            .creation_time = from->creation_time,
            .state = from->state,
        };

        g_array_append_val(nodes, node);
    }
    return nodes;
}
