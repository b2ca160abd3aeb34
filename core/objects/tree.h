/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain's snapshots or checkpoints: immutable, reference counted, indexed by name. */
#pragma once

#include <glib.h>
#include <vireo/driver.h>

typedef struct VireoTreeNode VireoTreeNode;
struct VireoTreeNode {
    char *name;
    const VireoTreeNode *parent;      /* NULL: a root */
    const VireoTreeNode *first_child; /* children in the order they were handed over */
    const VireoTreeNode *next_sibling;
    gint64 creation_time;
    gint32 state;
    guint32 flags; /* enum vireo_tree_flags */
    guint n_children;
};

typedef struct VireoTree VireoTree;

/* A parent that is not among the nodes makes a node a root. */
VireoTree *vireo_tree_new(guint n, const struct vireo_tree_node *nodes);
VireoTree *vireo_tree_ref(VireoTree *tree);
void vireo_tree_unref(VireoTree *tree);

guint vireo_tree_size(const VireoTree *tree);
const VireoTreeNode *vireo_tree_find(const VireoTree *tree, const char *name);
const VireoTreeNode *vireo_tree_current(const VireoTree *tree);

/* All nodes as they were handed over, strings borrowed: struct vireo_tree_node. Free with g_array_unref. */
GArray *vireo_tree_describe(const VireoTree *tree);

/* The nodes that a list call means, parents before children. `from` NULL: the whole tree, and then
 * only roots unless `deep`; otherwise its children, or its descendants when `deep`. filter: bits of
 * VIREO_DOMAIN_SNAPSHOT_LIST_* (without ROOTS/DESCENDANTS), groups of which both or none mean any.
 * Array of const VireoTreeNode *. */
GPtrArray *vireo_tree_select(const VireoTree *tree, const VireoTreeNode *from, gboolean deep,
                             guint32 filter);
