/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects/tree.h"

/*  a - b - d*      f (a second root, disk only, without metadata)
 *    \ c - e                                                       */
static const struct vireo_tree_node nodes[] = {
    { .name = "a", .flags = VIREO_TREE_INTERNAL | VIREO_TREE_METADATA, .state = VIREO_DOMAIN_RUNNING },
    { .name = "b", .parent = "a", .flags = VIREO_TREE_INTERNAL | VIREO_TREE_METADATA, .state = VIREO_DOMAIN_SHUTOFF },
    { .name = "c", .parent = "a", .flags = VIREO_TREE_EXTERNAL | VIREO_TREE_METADATA, .state = VIREO_DOMAIN_PAUSED },
    { .name = "d", .parent = "b", .flags = VIREO_TREE_INTERNAL | VIREO_TREE_METADATA | VIREO_TREE_CURRENT,
      .state = VIREO_DOMAIN_RUNNING },
    { .name = "e", .parent = "c", .flags = VIREO_TREE_EXTERNAL | VIREO_TREE_METADATA, .state = VIREO_DOMAIN_RUNNING },
    { .name = "f", .parent = "gone", .flags = VIREO_TREE_EXTERNAL | VIREO_TREE_DISK_ONLY,
      .state = VIREO_DOMAIN_RUNNING },
};

static void expect(const VireoTree *tree, const char *from, gboolean deep, guint32 filter, const char *names)
{
    g_autoptr(GPtrArray) found = vireo_tree_select(tree, from ? vireo_tree_find(tree, from) : NULL, deep, filter);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < found->len; i++)
        g_string_append(text, ((const VireoTreeNode *)found->pdata[i])->name);
    g_assert_cmpstr(text->str, ==, names);
}

static void test_walks(void)
{
    VireoTree *tree = vireo_tree_new(G_N_ELEMENTS(nodes), nodes);

    expect(tree, NULL, TRUE, 0, "abdcef");
    expect(tree, NULL, FALSE, 0, "af");
    expect(tree, "a", FALSE, 0, "bc");
    expect(tree, "a", TRUE, 0, "bdce");
    expect(tree, "c", TRUE, 0, "e");
    expect(tree, "d", TRUE, 0, "");
    expect(tree, "f", TRUE, 0, "");
    vireo_tree_unref(tree);
}

static void test_filters(void)
{
    VireoTree *tree = vireo_tree_new(G_N_ELEMENTS(nodes), nodes);

    expect(tree, NULL, TRUE, VIREO_DOMAIN_SNAPSHOT_LIST_LEAVES, "def");
    expect(tree, NULL, TRUE, VIREO_DOMAIN_SNAPSHOT_LIST_NO_LEAVES, "abc");
    expect(tree, NULL, TRUE, VIREO_DOMAIN_SNAPSHOT_LIST_LEAVES | VIREO_DOMAIN_SNAPSHOT_LIST_NO_LEAVES, "abdcef");
    expect(tree, NULL, TRUE, VIREO_DOMAIN_SNAPSHOT_LIST_METADATA, "abdce");
    expect(tree, NULL, TRUE, VIREO_DOMAIN_SNAPSHOT_LIST_NO_METADATA, "f");
    expect(tree, NULL, TRUE, VIREO_DOMAIN_SNAPSHOT_LIST_INTERNAL, "abd");
    expect(tree, NULL, TRUE, VIREO_DOMAIN_SNAPSHOT_LIST_EXTERNAL, "cef");
    expect(tree, NULL, TRUE, VIREO_DOMAIN_SNAPSHOT_LIST_ACTIVE, "adce");
    expect(tree, NULL, TRUE, VIREO_DOMAIN_SNAPSHOT_LIST_INACTIVE, "b");
    expect(tree, NULL, TRUE, VIREO_DOMAIN_SNAPSHOT_LIST_DISK_ONLY, "f");
    expect(tree, "a", TRUE, VIREO_DOMAIN_SNAPSHOT_LIST_EXTERNAL | VIREO_DOMAIN_SNAPSHOT_LIST_LEAVES, "e");
    vireo_tree_unref(tree);
}

static void test_relations(void)
{
    VireoTree *tree = vireo_tree_new(G_N_ELEMENTS(nodes), nodes);

    g_assert_cmpuint(vireo_tree_size(tree), ==, 6);
    g_assert_cmpstr(vireo_tree_current(tree)->name, ==, "d");
    g_assert_cmpstr(vireo_tree_find(tree, "e")->parent->name, ==, "c");
    g_assert_null(vireo_tree_find(tree, "f")->parent);
    g_assert_null(vireo_tree_find(tree, "x"));
    g_assert_cmpuint(vireo_tree_find(tree, "a")->n_children, ==, 2);
    g_assert_cmpuint(vireo_tree_size(NULL), ==, 0);
    g_assert_null(vireo_tree_find(NULL, "a"));
    vireo_tree_unref(tree);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tree/walks", test_walks);
    g_test_add_func("/tree/filters", test_filters);
    g_test_add_func("/tree/relations", test_relations);
    return g_test_run();
}
