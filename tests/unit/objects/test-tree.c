/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <time.h>

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
    g_assert_cmpstr(vireo_tree_find(tree, "e")->parent, ==, "c");
    g_assert_true(vireo_tree_parent(tree, vireo_tree_find(tree, "e")) == vireo_tree_find(tree, "c"));
    g_assert_null(vireo_tree_find(tree, "f")->parent);
    g_assert_null(vireo_tree_find(tree, "x"));
    g_assert_cmpuint(vireo_tree_size(NULL), ==, 0);
    g_assert_null(vireo_tree_find(NULL, "a"));
    vireo_tree_unref(tree);
}

/* Takes `before`. */
static VireoTree *with(VireoTree *before, const char *name, const char *parent, guint flags)
{
    VireoTree *after = vireo_tree_with(before, &(struct vireo_tree_node){ .name = name, .parent = parent, .flags = flags });

    g_assert_nonnull(after);
    vireo_tree_unref(before);
    return after;
}

static VireoTree *without(VireoTree *before, const char *name)
{
    VireoTree *after = vireo_tree_without(before, name);

    vireo_tree_unref(before);
    return after;
}

static void test_changes(void)
{
    VireoTree *old = vireo_tree_new(G_N_ELEMENTS(nodes), nodes);
    VireoTree *tree = with(vireo_tree_ref(old), "g", "b", VIREO_TREE_CURRENT);

    expect(tree, NULL, TRUE, 0, "abdgcef");
    g_assert_cmpstr(vireo_tree_current(tree)->name, ==, "g");
    tree = with(tree, "g", "b", 0);
    g_assert_null(vireo_tree_current(tree));
    tree = with(tree, "c", "d", VIREO_TREE_EXTERNAL | VIREO_TREE_CURRENT); /* moves, with what is below it */
    expect(tree, NULL, TRUE, 0, "abdcegf");
    expect(tree, "a", TRUE, VIREO_DOMAIN_SNAPSHOT_LIST_EXTERNAL, "ce");
    g_assert_null(vireo_tree_with(tree, &(struct vireo_tree_node){ .name = "c", .parent = "e" }));
    g_assert_null(vireo_tree_with(tree, &(struct vireo_tree_node){ .name = "c", .parent = "c" }));
    tree = without(tree, "d");
    expect(tree, NULL, TRUE, 0, "abcegf");
    g_assert_cmpstr(vireo_tree_find(tree, "c")->parent, ==, "b");
    g_assert_cmpstr(vireo_tree_current(tree)->name, ==, "c");
    tree = without(without(without(tree, "c"), "a"), "nobody");
    g_assert_null(vireo_tree_current(tree));
    expect(tree, NULL, FALSE, 0, "bf");
    expect(tree, NULL, TRUE, 0, "begf");
    tree = without(without(without(without(tree, "b"), "e"), "f"), "g");
    g_assert_null(tree);
    tree = with(NULL, "new", "gone", 0);
    g_assert_null(vireo_tree_find(tree, "new")->parent);
    expect(old, NULL, TRUE, 0, "abdcef"); /* none of it reached the tree it began with */
    g_assert_cmpstr(vireo_tree_current(old)->name, ==, "d");
    vireo_tree_unref(tree);
    vireo_tree_unref(old);
}

static void test_forests(void)
{
    const struct vireo_tree_node twice[] = { { .name = "a" }, { .name = "a" } };
    const struct vireo_tree_node ring[] = { { .name = "a", .parent = "c" }, { .name = "b", .parent = "a" },
                                            { .name = "c", .parent = "b" }, { .name = "d" } };

    g_assert_true(vireo_tree_is_forest(G_N_ELEMENTS(nodes), nodes));
    g_assert_true(vireo_tree_is_forest(0, NULL));
    g_assert_false(vireo_tree_is_forest(2, twice));
    g_assert_false(vireo_tree_is_forest(4, ring));
}

/* ---- against a list of names and parents, changed at random ---- */

#define NAMES 200

static char all_names[NAMES][8];

static gboolean is_below(char *const *parents, int at, int above)
{
    while (at >= 0 && at != above) {
        const char *parent = parents[at];

        at = parent && *parent ? atoi(parent + 1) : -1;
    }
    return at >= 0;
}

static void compare(const VireoTree *tree, char *const *parents)
{
    g_autoptr(GPtrArray) all = vireo_tree_select(tree, NULL, TRUE, 0);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    guint n = 0;

    for (guint i = 0; i < NAMES; i++) {
        const VireoTreeNode *node = vireo_tree_find(tree, all_names[i]);

        g_assert_cmpint(node != NULL, ==, parents[i] != NULL);
        n += node != NULL;
        if (node)
            g_assert_cmpstr(node->parent ? node->parent : "", ==, parents[i]);
    }
    g_assert_cmpuint(vireo_tree_size(tree), ==, n);
    g_assert_cmpuint(all->len, ==, n);
    for (guint i = 0; i < n; i++) {
        const VireoTreeNode *node = all->pdata[i];

        g_assert_true(!node->parent || g_hash_table_contains(seen, node->parent));
        g_assert_true(g_hash_table_add(seen, node->name));
    }
}

static void test_random(void)
{
    char *parents[NAMES] = { NULL }; /* NULL: not there; "": a root */
    char *kept_parents[NAMES] = { NULL };
    VireoTree *tree = NULL, *kept = NULL;

    for (guint i = 0; i < NAMES; i++)
        g_snprintf(all_names[i], sizeof all_names[i], "n%u", i);
    for (guint round = 0; round < 20000; round++) {
        int at = g_test_rand_int_range(0, NAMES), parent = g_test_rand_int_range(0, NAMES);
        const char *above = parents[parent] && !is_below(parents, parent, at) ? all_names[parent] : NULL;

        if (parents[at] && g_test_rand_bit()) {
            for (guint i = 0; i < NAMES; i++)
                if (parents[i] && strcmp(parents[i], all_names[at]) == 0)
                    parents[i] = parents[at];
            parents[at] = NULL;
            tree = without(tree, all_names[at]);
        } else {
            parents[at] = (char *)(above ? above : "");
            tree = with(tree, all_names[at], above, 0);
        }
        if (round % 500)
            continue;
        compare(tree, parents);
        compare(kept, kept_parents); /* as it was 500 changes ago */
        vireo_tree_unref(kept);
        kept = tree ? vireo_tree_ref(tree) : NULL;
        memcpy(kept_parents, parents, sizeof parents);
    }
    vireo_tree_unref(kept);
    vireo_tree_unref(tree);
}

/* ---- cost ---- */

static double change_seconds(guint n)
{
    struct timespec began, ended;
    VireoTree *tree = NULL;
    char name[16], parent[16] = "";

    for (guint i = 0; i < n; i++) {
        g_snprintf(name, sizeof name, "c%u", i);
        tree = with(tree, name, i ? parent : NULL, VIREO_TREE_CURRENT);
        memcpy(parent, name, sizeof parent);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
    for (guint i = 0; i < 500; i++) {
        tree = with(tree, "last", parent, VIREO_TREE_CURRENT);
        tree = without(tree, "last");
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
    vireo_tree_unref(tree);
    return (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
}

/* A thousand times the nodes; a change that looked at all of them would take a thousand times as long. */
static void test_cost(void)
{
    double few = change_seconds(50), many = change_seconds(50000);

    g_test_message("500 changes: %.0f us of 50 nodes, %.0f us of 50000", few * 1e6, many * 1e6);
    g_assert_cmpfloat(many, <, 30 * few);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tree/walks", test_walks);
    g_test_add_func("/tree/filters", test_filters);
    g_test_add_func("/tree/relations", test_relations);
    g_test_add_func("/tree/changes", test_changes);
    g_test_add_func("/tree/forests", test_forests);
    g_test_add_func("/tree/random", test_random);
    g_test_add_func("/tree/cost", test_cost);
    return g_test_run();
}
