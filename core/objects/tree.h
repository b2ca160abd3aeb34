/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain's snapshots or checkpoints: immutable, reference counted, indexed by name. A changed tree shares
 * with the one before all but the O(log n) of it that differ. */
#pragma once

#include <glib.h>
#include <vireo/driver.h>

typedef struct VireoTreeNode VireoTreeNode;
struct VireoTreeNode {
    char *name;
    char *parent; /* name of the parent, which is in the tree; NULL: a root */
    gint64 creation_time;
    gint32 state;
    guint32 flags; /* enum vireo_tree_flags, without CURRENT: vireo_tree_current() */
};

typedef struct VireoTree VireoTree;

/* Whether names are unique and nobody is an ancestor of itself. */
gboolean vireo_tree_is_forest(guint n, const struct vireo_tree_node *nodes);

/* Of a forest. A parent that is not among the nodes makes a node a root. */
VireoTree *vireo_tree_new(guint n, const struct vireo_tree_node *nodes);
VireoTree *vireo_tree_ref(VireoTree *tree);
void vireo_tree_unref(VireoTree *tree); /* NULL allowed */

/* The same tree (NULL: none yet) with one node more, or with another one of that name. CURRENT makes it the
 * current one instead of the one before. NULL: its parent is itself, or below it. */
VireoTree *vireo_tree_with(VireoTree *tree, const struct vireo_tree_node *node);
/* The same tree without that node; its children get its parent. NULL: none is left. */
VireoTree *vireo_tree_without(VireoTree *tree, const char *name);

guint vireo_tree_size(const VireoTree *tree);
const VireoTreeNode *vireo_tree_find(const VireoTree *tree, const char *name);
const VireoTreeNode *vireo_tree_current(const VireoTree *tree);
/* NULL: a root. */
const VireoTreeNode *vireo_tree_parent(const VireoTree *tree, const VireoTreeNode *node);

/* All nodes, parents first, strings borrowed: struct vireo_tree_node. Free with g_array_unref. */
GArray *vireo_tree_describe(const VireoTree *tree);

/* The nodes that a list call means, parents before children, children in the order they were first handed
 * over. `from` NULL: the whole tree, and then only roots unless `deep`; otherwise its children, or its
 * descendants when `deep`. filter: bits of VIREO_DOMAIN_SNAPSHOT_LIST_* (without ROOTS/DESCENDANTS), groups of
 * which both or none mean any. Array of const VireoTreeNode *. */
GPtrArray *vireo_tree_select(const VireoTree *tree, const VireoTreeNode *from, gboolean deep,
                             guint32 filter);
