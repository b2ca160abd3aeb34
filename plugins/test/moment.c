/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "moment.h"

#include <string.h>
#include <time.h>

void test_moment_free(TestMoment *moment)
{
    if (!moment)
        return;
    g_free(moment->name);
    g_free(moment->parent);
    g_free(moment->description);
    g_clear_pointer(&moment->doc, vireo_domain_snapshot_free);
    g_clear_pointer(&moment->disks, g_ptr_array_unref);
    g_clear_pointer(&moment->domain, g_ref_string_release);
    g_clear_pointer(&moment->inactive, g_ref_string_release);
    test_saved_free(moment->data);
    g_free(moment);
}

void test_snapshots_free(struct TestMoments *moments)
{
    if (!moments)
        return;
    g_ptr_array_unref(moments->items);
    g_hash_table_unref(moments->hidden);
    g_free(moments->current);
    g_free(moments);
}

static TestMoments **slot_of(TestDomain *dom, guint klass)
{
    return klass == VIREO_CLASS_DOMAIN_SNAPSHOT ? &dom->snapshots : &dom->checkpoints;
}

TestMoments *test_moments_get(TestDomain *dom, guint klass)
{
    TestMoments **slot = slot_of(dom, klass);

    if (*slot)
        return *slot;
    *slot = g_new0(TestMoments, 1);
    (*slot)->klass = klass;
    (*slot)->items = g_ptr_array_new_with_free_func((GDestroyNotify)test_moment_free);
    (*slot)->hidden =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)test_saved_free);
    return *slot;
}

guint test_moments_count(const TestMoments *moments)
{
    return moments ? moments->items->len : 0;
}

guint test_snapshots_count(const TestDomain *dom)
{
    return test_moments_count(dom->snapshots);
}

guint test_checkpoints_count(const TestDomain *dom)
{
    return test_moments_count(dom->checkpoints);
}

TestMoment *test_moments_find(const TestMoments *moments, const char *name)
{
    for (guint i = 0; moments && name && i < moments->items->len; i++) {
        TestMoment *moment = moments->items->pdata[i];

        if (strcmp(moment->name, name) == 0)
            return moment;
    }
    return NULL;
}

void test_moments_set_current(TestMoments *moments, const char *name)
{
    char *copy = g_strdup(name);

    g_free(moments->current);
    moments->current = copy;
}

void test_moments_put(TestMoments *moments, TestMoment *moment)
{
    TestMoment *old = test_moments_find(moments, moment->name);
    guint index;

    if (!old) {
        g_ptr_array_add(moments->items, moment);
        return;
    }
    g_ptr_array_find(moments->items, old, &index);
    test_moment_free(old);
    moments->items->pdata[index] = moment;
}

void test_moments_drop(TestMoments *moments, TestMoment *moment)
{
    for (guint i = 0; i < moments->items->len; i++) {
        TestMoment *child = moments->items->pdata[i];

        if (g_strcmp0(child->parent, moment->name) != 0)
            continue;
        g_free(child->parent);
        child->parent = g_strdup(moment->parent);
    }
    if (g_strcmp0(moments->current, moment->name) == 0)
        test_moments_set_current(moments, moment->parent);
    g_ptr_array_remove(moments->items, moment);
}

gboolean test_moments_is_below(const TestMoments *moments, const char *name, const char *top)
{
    const TestMoment *at = test_moments_find(moments, name);

    for (guint steps = 0; at && at->parent && steps <= moments->items->len; steps++) {
        if (strcmp(at->parent, top) == 0)
            return TRUE;
        at = test_moments_find(moments, at->parent);
    }
    return FALSE;
}

static void collect(const TestMoments *moments, const TestMoment *moment, GPtrArray *into)
{
    for (guint i = 0; i < moments->items->len; i++) {
        TestMoment *child = moments->items->pdata[i];

        if (g_strcmp0(child->parent, moment->name) != 0)
            continue;
        collect(moments, child, into);
        g_ptr_array_add(into, child);
    }
}

GPtrArray *test_moments_below(const TestMoments *moments, const TestMoment *moment)
{
    GPtrArray *below = g_ptr_array_new();

    collect(moments, moment, below);
    return below;
}

static struct vireo_tree_node describe(const TestMoments *moments, const TestMoment *moment)
{
    gboolean current = g_strcmp0(moments->current, moment->name) == 0;

    return (struct vireo_tree_node){
        .size = sizeof(struct vireo_tree_node),
        .flags = moment->tree_flags | VIREO_TREE_METADATA | (current ? VIREO_TREE_CURRENT : 0u),
        .name = moment->name,
        .parent = moment->parent,
        .creation_time = moment->creation,
        .state = moment->state,
    };
}

void test_moments_publish(TestDomain *dom, const TestMoments *moments)
{
    guint n = moments->items->len;
    g_autofree struct vireo_tree_node *nodes = g_new0(struct vireo_tree_node, n + 1);

    for (guint i = 0; i < n; i++)
        nodes[i] = describe(moments, moments->items->pdata[i]);
    test->host->publish_tree(dom->node->space, moments->klass, dom->uuid, n, nodes);
}

void test_moment_publish(TestDomain *dom, const TestMoments *moments, const TestMoment *moment)
{
    struct vireo_tree_node node = describe(moments, moment);

    test->host->publish_node(dom->node->space, moments->klass, dom->uuid, &node);
}

TestMoment *test_moment_of(TestDomain *dom, vireo_call *call, guint klass, const char *name)
{
    gboolean snapshot = klass == VIREO_CLASS_DOMAIN_SNAPSHOT;
    TestMoment *moment = test_moments_find(*slot_of(dom, klass), name);

    if (moment)
        return moment;
    FAIL(call, snapshot ? VIREO_ERR_NO_DOMAIN_SNAPSHOT : VIREO_ERR_NO_DOMAIN_CHECKPOINT,
         "domain '%s' has no %s '%s'", dom->name, snapshot ? "snapshot" : "checkpoint", name);
    return NULL;
}

char *test_moment_new_name(const TestMoments *moments, vireo_call *call, const char *given)
{
    if (!given) {
        gint64 number = (gint64)time(NULL);
        char *name = g_strdup_printf("%" G_GINT64_FORMAT, number);

        while (test_moments_find(moments, name) || g_hash_table_contains(moments->hidden, name)) {
            g_free(name);
            name = g_strdup_printf("%" G_GINT64_FORMAT, ++number);
        }
        return name;
    }
    if (!*given || given[0] == '.' || strchr(given, '/')) {
        FAIL(call, VIREO_ERR_XML_DETAIL,
             "invalid name '%s': it must not begin with '.' or contain '/'", given);
        return NULL;
    }
    if (test_moments_find(moments, given) || g_hash_table_contains(moments->hidden, given)) {
        FAIL(call, VIREO_ERR_OPERATION_FAILED, "domain moment %s already exists", given);
        return NULL;
    }
    return g_strdup(given);
}

int test_moment_check_parent(const TestMoments *moments, vireo_call *call, const char *name,
                             const char *parent)
{
    if (!parent)
        return VIREO_OK;
    if (strcmp(name, parent) == 0)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "'%s' cannot be its own parent", name);
    if (!test_moments_find(moments, parent))
        return FAIL(call, VIREO_ERR_INVALID_ARG, "there is no '%s' to be the parent of '%s'",
                    parent, name);
    if (test_moments_is_below(moments, parent, name))
        return FAIL(call, VIREO_ERR_INVALID_ARG, "'%s' is below '%s': the tree would be a cycle",
                    parent, name);
    return VIREO_OK;
}

static void delete_one(TestMoments *moments, TestMoment *moment, gboolean metadata_only)
{
    if (metadata_only && moment->data)
        g_hash_table_replace(moments->hidden, g_strdup(moment->name),
                             g_steal_pointer(&moment->data));
    test_moments_drop(moments, moment);
}

int test_moment_delete(TestDomain *dom, TestMoments *moments, TestMoment *moment, gboolean children,
                       gboolean children_only, gboolean metadata_only)
{
    if (children || children_only) {
        g_autoptr(GPtrArray) below = test_moments_below(moments, moment);

        for (guint i = 0; i < below->len; i++)
            delete_one(moments, below->pdata[i], metadata_only);
    }
    if (!children_only)
        delete_one(moments, moment, metadata_only);
    test_moments_publish(dom, moments);
    return VIREO_OK;
}
