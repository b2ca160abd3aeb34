/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "kit/file.h"
#include "kit/snapshots.h"

typedef struct {
    char *dir;
    VireoSnapshots *snapshots;
} Fixture;

static const guint8 uuid[16] = { 1 };

static void set_up(Fixture *fixture, gconstpointer data)
{
    g_autofree char *top = g_dir_make_tmp("vireo-XXXXXX", NULL);

    fixture->dir = g_build_filename(top, "tree", NULL);
    fixture->snapshots = vireo_snapshots_load(fixture->dir);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    g_autofree char *top = g_path_get_dirname(fixture->dir), *tree = g_build_filename(fixture->dir, "tree.json", NULL);

    g_assert_null(vireo_snapshots_trouble(fixture->snapshots));
    g_assert_true(vireo_snapshots_forget(fixture->snapshots, NULL));
    vireo_snapshots_free(fixture->snapshots);
    g_unlink(tree);
    g_rmdir(fixture->dir);
    g_assert_cmpint(g_rmdir(top), ==, 0);
    g_free(fixture->dir);
}

static void reload(Fixture *fixture)
{
    vireo_snapshots_free(fixture->snapshots);
    fixture->snapshots = vireo_snapshots_load(fixture->dir);
}

static VireoDomainSnapshot *document(const char *name, const char *parent, const char *state)
{
    g_autofree char *above = parent ? g_strdup_printf("<parent><name>%s</name></parent>", parent) : g_strdup("");
    g_autofree char *xml = g_strdup_printf("<domainsnapshot><name>%s</name><state>%s</state>%s<creationTime>7</creationTime>"
                                           "</domainsnapshot>", name, state, above);
    g_autoptr(GError) error = NULL;
    VireoDomainSnapshot *doc = vireo_domain_snapshot_parse(xml, 0, &error);

    g_assert_no_error(error);
    return doc;
}

static void put(Fixture *fixture, const char *name, const char *parent, const char *note)
{
    g_autoptr(VireoDomainSnapshot) doc = document(name, parent, "shutoff");
    g_autoptr(GError) error = NULL;

    vireo_snapshots_put(fixture->snapshots, doc, TRUE, note, &error);
    g_assert_no_error(error);
}

static void expect(Fixture *fixture, const char *below, const char *wanted)
{
    g_autoptr(GPtrArray) names = vireo_snapshots_below(fixture->snapshots, below);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < names->len; i++)
        g_string_append_printf(text, "%s%s", i ? " " : "", (char *)names->pdata[i]);
    g_assert_cmpstr(text->str, ==, wanted);
}

static void expect_parent(Fixture *fixture, const char *name, const char *parent)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDomainSnapshot) doc = vireo_snapshots_read(fixture->snapshots, name, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(doc->parent ? doc->parent->name : NULL, ==, parent);
}

static void remove_these(Fixture *fixture, const char *names)
{
    g_auto(GStrv) list = g_strsplit(names, " ", -1);
    g_autoptr(GPtrArray) array = g_ptr_array_new();
    g_autoptr(GError) error = NULL;

    for (guint i = 0; list[i]; i++)
        g_ptr_array_add(array, list[i]);
    vireo_snapshots_remove(fixture->snapshots, array, NULL, &error);
    g_assert_no_error(error);
}

static void test_tree(Fixture *fixture, gconstpointer data)
{
    put(fixture, "a", NULL, "to do");
    put(fixture, "b", "a", NULL);
    put(fixture, "c", "b", NULL);
    put(fixture, "d", "a", "later");
    reload(fixture);
    g_autofree char *note = vireo_snapshots_note(fixture->snapshots), *current = vireo_snapshots_current(fixture->snapshots);
    g_assert_cmpstr(note, ==, "later");
    g_assert_cmpstr(current, ==, "d");
    expect(fixture, NULL, "c d b a");
    expect(fixture, "a", "c d b");
    expect(fixture, "b", "c");
    remove_these(fixture, "a b d");
    reload(fixture);
    expect(fixture, NULL, "c");
    expect_parent(fixture, "c", NULL);
    g_assert_null(vireo_snapshots_current(fixture->snapshots));
    g_assert_null(vireo_snapshots_note(fixture->snapshots));
}

static void test_a_removed_parent(Fixture *fixture, gconstpointer data)
{
    put(fixture, "a", NULL, NULL);
    put(fixture, "b", "a", NULL);
    put(fixture, "c", "b", NULL);
    remove_these(fixture, "b");
    expect_parent(fixture, "c", "a");
    remove_these(fixture, "c");
    g_autofree char *current = vireo_snapshots_current(fixture->snapshots);
    g_assert_cmpstr(current, ==, "a");
}

static void refuse_redefinition(Fixture *fixture, VireoDomainSnapshot *doc, int code)
{
    g_autoptr(VireoDomainSnapshot) taken = doc;
    g_autoptr(GError) error = NULL;

    g_assert_false(vireo_snapshots_redefine(fixture->snapshots, taken, uuid, 0, &error));
    g_assert_error(error, VIREO_ERROR, code);
}

static void test_redefinitions(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VireoDomainSnapshot) other = document("b", NULL, "shutoff");
    g_autoptr(GError) error = NULL;

    put(fixture, "a", NULL, NULL);
    put(fixture, "b", "a", NULL);
    refuse_redefinition(fixture, document("a", "a", "shutoff"), VIREO_ERR_INVALID_ARG);
    refuse_redefinition(fixture, document("a", "b", "shutoff"), VIREO_ERR_INVALID_ARG);
    refuse_redefinition(fixture, document("c", "none", "shutoff"), VIREO_ERR_INVALID_ARG);
    refuse_redefinition(fixture, document("a", NULL, "disk-snapshot"), VIREO_ERR_INVALID_ARG);
    refuse_redefinition(fixture, document("a", NULL, "running"), VIREO_ERR_INVALID_ARG);
    refuse_redefinition(fixture, document("c", NULL, "crashed"), VIREO_ERR_CONFIG_UNSUPPORTED);
    refuse_redefinition(fixture, document(".x", NULL, "shutoff"), VIREO_ERR_XML_DETAIL);
    g_assert_true(vireo_snapshots_redefine(fixture->snapshots, other, uuid, 0, &error));
    g_assert_true(vireo_snapshots_put(fixture->snapshots, other, FALSE, NULL, &error));
    expect_parent(fixture, "b", NULL);
}

static void test_names(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VireoDomainSnapshot) doc = document("a", NULL, "shutoff");
    g_autofree char *whole = g_strnfill(240, 'x'), *file = vireo_snapshot_file_name(whole);
    g_autoptr(GError) error = NULL;

    put(fixture, "a", NULL, NULL);
    g_assert_false(vireo_snapshots_name(fixture->snapshots, doc, &error));
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED);
    g_clear_pointer(&doc->name, g_free);
    g_assert_true(vireo_snapshots_name(fixture->snapshots, doc, NULL));
    g_assert_cmpint(atol(doc->name), >, 1000000000);
    g_assert_cmpuint(strlen(file), ==, 64);
    put(fixture, whole, "a", NULL);
    reload(fixture);
    expect_parent(fixture, whole, "a");
}

/* What an interrupted change leaves is removed; what somebody else wrote is not. */
static void test_what_is_found(Fixture *fixture, gconstpointer data)
{
    g_autofree char *stray = g_build_filename(fixture->dir, "z.xml", NULL), *tree = g_build_filename(fixture->dir, "tree.json", NULL);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    static const char *const bad[] = {
        "{", "[]", "{\"snapshots\":[{\"name\":\"a\",\"parent\":\"a\"}]}", "{\"snapshots\":[{\"name\":\"a\",\"parent\":\"b\"}]}",
        "{\"snapshots\":[{\"name\":\"../a\"}]}", "{\"snapshots\":[],\"current\":\"a\"}",
        "{\"snapshots\":[{\"name\":\"a\"},{\"name\":\"a\"}]}", "{\"snapshots\":[7]}", "{\"snapshots\":7}",
    };

    put(fixture, "a", NULL, NULL);
    g_assert_true(g_file_set_contents(stray, "", 0, NULL));
    reload(fixture);
    g_assert_false(g_file_test(stray, G_FILE_TEST_EXISTS));
    expect(fixture, NULL, "a");
    g_assert_true(vireo_file_read(tree, 10000, &text, NULL, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(VireoDomainSnapshot) doc = document("b", NULL, "shutoff");

        g_assert_true(g_file_set_contents(tree, bad[i], -1, NULL));
        reload(fixture);
        g_assert_nonnull(vireo_snapshots_trouble(fixture->snapshots));
        g_assert_false(vireo_snapshots_put(fixture->snapshots, doc, TRUE, NULL, &error));
        g_assert_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED);
        g_clear_error(&error);
    }
    g_assert_true(g_file_set_contents(tree, text, -1, NULL));
    reload(fixture);
    expect_parent(fixture, "a", NULL);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*run)(Fixture *, gconstpointer);
    } tests[] = {
        { "/snapshots/tree", test_tree },
        { "/snapshots/a-removed-parent", test_a_removed_parent },
        { "/snapshots/redefinitions", test_redefinitions },
        { "/snapshots/names", test_names },
        { "/snapshots/what-is-found", test_what_is_found },
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].run, tear_down);
    return g_test_run();
}
