/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "objects/space.h"

static GString *heard;

static void note_event(vireo_space *space, guint32 event, gconstpointer data, gpointer opaque)
{
    const vireo_domain_event_lifecycle_msg *msg = data;

    g_assert_cmpuint(event, ==, VIREO_EVENT_domain_event_lifecycle);
    g_string_append_printf(heard, "%s:%d/%d ", msg->dom.name, msg->event, msg->detail);
}

static void expect_events(const char *text)
{
    g_assert_cmpstr(heard->str, ==, text);
    g_string_truncate(heard, 0);
}

static struct vireo_object domain(const char *name, guint8 tag, gint id, gint state, gint reason, guint32 flags)
{
    struct vireo_object object = { .size = sizeof object, .klass = VIREO_CLASS_DOMAIN, .name = name, .id = id,
                                   .state = state, .reason = reason, .flags = flags, .event = -1 };

    memset(object.uuid, tag, sizeof object.uuid);
    return object;
}

static void publish(vireo_space *space, struct vireo_object object)
{
    vireo_space_publish(space, &object);
}

static void test_lifecycle(void)
{
    vireo_space *space = vireo_space_new("x:///", note_event, NULL);
    const guint32 kept = VIREO_OBJECT_PERSISTENT;
    struct vireo_object redefined;

    publish(space, domain("a", 1, -1, VIREO_DOMAIN_SHUTOFF, 0, kept));
    expect_events("a:0/0 ");
    publish(space, domain("a", 1, -1, VIREO_DOMAIN_SHUTOFF, 0, kept));
    expect_events("");
    redefined = domain("a", 1, -1, VIREO_DOMAIN_SHUTOFF, 0, kept);
    redefined.event = VIREO_DOMAIN_EVENT_DEFINED;
    redefined.detail = VIREO_DOMAIN_EVENT_DEFINED_UPDATED;
    vireo_space_publish(space, &redefined);
    expect_events("a:0/1 ");
    publish(space, domain("a", 1, 7, VIREO_DOMAIN_RUNNING, VIREO_DOMAIN_RUNNING_BOOTED, kept));
    expect_events("a:2/0 a:4/0 ");
    publish(space, domain("a", 1, 7, VIREO_DOMAIN_PAUSED, VIREO_DOMAIN_PAUSED_IOERROR, kept));
    expect_events("a:3/2 ");
    publish(space, domain("a", 1, 7, VIREO_DOMAIN_SHUTDOWN, 0, kept));
    expect_events("a:6/0 ");
    publish(space, domain("a", 1, -1, VIREO_DOMAIN_SHUTOFF, VIREO_DOMAIN_SHUTOFF_CRASHED, kept));
    expect_events("a:5/2 ");
    publish(space, domain("b", 1, -1, VIREO_DOMAIN_SHUTOFF, 0, kept));
    expect_events("a:1/1 b:0/2 ");
    vireo_space_withdraw(space, VIREO_CLASS_DOMAIN, "b", NULL);
    expect_events("b:1/0 ");
    vireo_space_free(space);
}

static void test_transient(void)
{
    vireo_space *space = vireo_space_new("x:///", note_event, NULL);

    publish(space, domain("t", 2, 3, VIREO_DOMAIN_PAUSED, VIREO_DOMAIN_PAUSED_USER, 0));
    expect_events("t:2/0 t:3/0 ");
    publish(space, domain("t", 2, -1, VIREO_DOMAIN_SHUTOFF, VIREO_DOMAIN_SHUTOFF_DESTROYED, 0));
    vireo_space_withdraw(space, VIREO_CLASS_DOMAIN, "t", NULL);
    expect_events("t:5/1 ");
    publish(space, domain("q", 3, 4, VIREO_DOMAIN_RUNNING, 0, VIREO_OBJECT_QUIET));
    expect_events("");
    vireo_space_free(space);
}

static void test_lookups(void)
{
    vireo_space *space = vireo_space_new("x:///", note_event, NULL);
    guint8 uuid[16];
    g_autoptr(VireoObject) found = NULL;
    g_autoptr(GPtrArray) all = NULL;

    memset(uuid, 5, sizeof uuid);
    g_assert_false(vireo_space_serves(space, VIREO_CLASS_DOMAIN));
    publish(space, domain("a", 5, 9, VIREO_DOMAIN_RUNNING, 1, 0));
    g_assert_true(vireo_space_serves(space, VIREO_CLASS_DOMAIN));
    found = vireo_space_by_uuid(space, VIREO_CLASS_DOMAIN, uuid);
    g_assert_cmpstr(found->name, ==, "a");
    g_clear_pointer(&found, vireo_object_unref);
    publish(space, domain("renamed", 5, -1, VIREO_DOMAIN_SHUTOFF, 1, VIREO_OBJECT_PERSISTENT));
    g_assert_null(vireo_space_by_name(space, VIREO_CLASS_DOMAIN, "a"));
    g_assert_null(vireo_space_by_id(space, VIREO_CLASS_DOMAIN, 9));
    found = vireo_space_by_name(space, VIREO_CLASS_DOMAIN, "renamed");
    g_assert_nonnull(found);
    all = vireo_space_list(space, VIREO_CLASS_DOMAIN, NULL, NULL);
    g_assert_cmpuint(all->len, ==, 1);
    vireo_space_free(space);
    g_assert_cmpstr(found->name, ==, "renamed"); /* a reference outlives the space */
}

static void test_trees(void)
{
    vireo_space *space = vireo_space_new("x:///", note_event, NULL);
    const struct vireo_tree_node nodes[] = { { .name = "s1" }, { .name = "s2", .parent = "s1" } };
    g_autoptr(VireoObject) old = NULL;
    g_autoptr(VireoObject) after = NULL;
    guint8 uuid[16];

    memset(uuid, 6, sizeof uuid);
    publish(space, domain("a", 6, -1, VIREO_DOMAIN_SHUTOFF, 0, VIREO_OBJECT_PERSISTENT));
    vireo_space_publish_tree(space, VIREO_CLASS_DOMAIN_SNAPSHOT, uuid, 2, nodes);
    old = vireo_space_by_uuid(space, VIREO_CLASS_DOMAIN, uuid);
    publish(space, domain("a", 6, 1, VIREO_DOMAIN_RUNNING, 1, VIREO_OBJECT_PERSISTENT));
    after = vireo_space_by_uuid(space, VIREO_CLASS_DOMAIN, uuid);
    g_assert_cmpuint(vireo_tree_size(after->snapshots), ==, 2);
    g_clear_pointer(&after, vireo_object_unref);
    vireo_space_publish_tree(space, VIREO_CLASS_DOMAIN_SNAPSHOT, uuid, 0, NULL);
    after = vireo_space_by_uuid(space, VIREO_CLASS_DOMAIN, uuid);
    g_assert_cmpuint(vireo_tree_size(after->snapshots), ==, 0);
    g_assert_cmpuint(vireo_tree_size(old->snapshots), ==, 2);
    vireo_space_free(space);
}

static void test_nodes(void)
{
    vireo_space *space = vireo_space_new("x:///", note_event, NULL);
    const struct vireo_tree_node first = { .name = "s1" },
                                 second = { .name = "s2", .parent = "s1", .flags = VIREO_TREE_CURRENT },
                                 below_itself = { .name = "s1", .parent = "s2" };
    g_autoptr(VireoObject) old = NULL;
    g_autoptr(VireoObject) after = NULL;
    guint8 uuid[16], nobody[16] = { 9 };

    memset(uuid, 6, sizeof uuid);
    publish(space, domain("a", 6, -1, VIREO_DOMAIN_SHUTOFF, 0, VIREO_OBJECT_PERSISTENT));
    g_assert_true(vireo_space_publish_node(space, VIREO_CLASS_DOMAIN_SNAPSHOT, uuid, &first));
    vireo_space_publish_node(space, VIREO_CLASS_DOMAIN_SNAPSHOT, uuid, &second);
    vireo_space_publish_node(space, VIREO_CLASS_DOMAIN_CHECKPOINT, uuid, &first);
    vireo_space_publish_node(space, VIREO_CLASS_DOMAIN_SNAPSHOT, nobody, &first);
    vireo_space_withdraw_node(space, VIREO_CLASS_DOMAIN_SNAPSHOT, nobody, "s1");
    old = vireo_space_by_uuid(space, VIREO_CLASS_DOMAIN, uuid);
    g_assert_cmpstr(vireo_tree_current(old->snapshots)->name, ==, "s2");
    g_assert_cmpuint(vireo_tree_size(old->checkpoints), ==, 1);
    g_assert_false(vireo_space_publish_node(space, VIREO_CLASS_DOMAIN_SNAPSHOT, uuid, &below_itself));
    vireo_space_withdraw_node(space, VIREO_CLASS_DOMAIN_SNAPSHOT, uuid, "s1");
    after = vireo_space_by_uuid(space, VIREO_CLASS_DOMAIN, uuid);
    g_assert_cmpuint(vireo_tree_size(after->snapshots), ==, 1);
    g_assert_null(vireo_tree_find(after->snapshots, "s2")->parent);
    g_assert_cmpstr(vireo_tree_find(old->snapshots, "s2")->parent, ==, "s1");
    vireo_space_free(space);
}

/* Readers beside a writer: what they see is whole. */
static gpointer read_on(gpointer opaque)
{
    vireo_space *space = opaque;

    for (guint i = 0; i < 20000; i++) {
        g_autoptr(VireoObject) object = vireo_space_by_name(space, VIREO_CLASS_DOMAIN, "a");

        g_assert_nonnull(object);
        g_assert_cmpuint(object->vcpus, ==, object->memory_kib);
    }
    return NULL;
}

static void test_threads(void)
{
    vireo_space *space = vireo_space_new("x:///", note_event, NULL);
    struct vireo_object object = domain("a", 7, 1, VIREO_DOMAIN_RUNNING, 1, VIREO_OBJECT_QUIET);
    GThread *readers[3];

    vireo_space_publish(space, &object);
    for (guint i = 0; i < G_N_ELEMENTS(readers); i++)
        readers[i] = g_thread_new("reader", read_on, space);
    for (guint i = 0; i < 5000; i++) {
        object.vcpus = i;
        object.memory_kib = i;
        vireo_space_publish(space, &object);
    }
    for (guint i = 0; i < G_N_ELEMENTS(readers); i++)
        g_thread_join(readers[i]);
    vireo_space_free(space);
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    heard = g_string_new(NULL);
    g_test_add_func("/space/lifecycle", test_lifecycle);
    g_test_add_func("/space/transient", test_transient);
    g_test_add_func("/space/lookups", test_lookups);
    g_test_add_func("/space/trees", test_trees);
    g_test_add_func("/space/nodes", test_nodes);
    g_test_add_func("/space/threads", test_threads);
    result = g_test_run();
    g_string_free(heard, TRUE);
    return result;
}
