/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trees that nobody thought of. GRAPH_TREES and GRAPH_SEED say how many and which. */
#include <stdlib.h>

#include "model.h"

#define OPERATIONS 200

static guint setting(const char *name, guint fallback)
{
    const char *text = g_getenv(name);

    return text ? (guint)strtoul(text, NULL, 10) : fallback;
}

static const char *any(GRand *rand, GPtrArray *names)
{
    return names->pdata[g_rand_int_range(rand, 0, (gint)names->len)];
}

static guint maybe_crash(GRand *rand)
{
    return g_rand_int_range(rand, 0, 4) ? G_MAXUINT : (guint)g_rand_int_range(rand, 1, 8);
}

static void create(Model *model, ModelWay *way, guint number)
{
    GRand *rand = model_rand(model);
    g_autofree char *name = g_strdup_printf("s%u", number);
    QemuSnapKind memory = (QemuSnapKind)g_rand_int_range(rand, 0, 3);
    char kinds[3] = { "nieem"[g_rand_int_range(rand, 0, 5)], "nieem"[g_rand_int_range(rand, 0, 5)], 0 };
    g_autoptr(GError) error = NULL;

    if (!model_create(model, way, name, kinds, memory, &error) && error)
        g_assert_true(error->message && *error->message);
}

static void delete_some(Model *model, ModelWay *way, GPtrArray *names)
{
    GRand *rand = model_rand(model);
    const char *name = any(rand, names);
    g_autoptr(GPtrArray) below = model_subtree(model, name);
    guint what = (guint)g_rand_int_range(rand, 0, 6);

    way->collect = g_rand_boolean(rand) ? QEMU_COLLECT_COMMIT : 0;
    if (what == 0)
        model_delete(model, way, (const char *const *)below->pdata, below->len, NULL);
    else if (what == 1 && below->len > 1) /* children only */
        model_delete(model, way, (const char *const *)below->pdata, below->len - 1, NULL);
    else if (what == 2)
        model_forget(model, way, name);
    else
        g_assert_true(model_delete(model, way, &name, 1, NULL));
    model_check(model, what != 2);
}

static void outside(Model *model, guint number)
{
    GRand *rand = model_rand(model);
    g_autofree char *name = g_strdup_printf("o%u", number % 3);
    g_autoptr(QemuGraph) graph = model_graph(model);
    g_autoptr(GPtrArray) files = qemu_graph_files(graph, 0);
    const char *path = any(rand, files);

    model_drop_outside(model, name);
    /* The guest writes its own image: nobody else may read that. */
    if (qemu_graph_holds(graph, path, NULL) && !qemu_graph_children(graph, path))
        return;
    if (model_exists(model, path) && !g_str_has_prefix(path, "/else/") &&
        !g_str_has_suffix(path, ".mem"))
        model_add_outside(model, name, path, g_rand_boolean(rand));
}

static gboolean active_is_read(Model *model, const char *slot)
{
    g_autoptr(QemuGraph) graph = model_graph(model);

    return qemu_graph_is_shared(graph, model_active(model, slot)) ||
           qemu_graph_children(graph, model_active(model, slot));
}

static void one(Model *model, guint number)
{
    GRand *rand = model_rand(model);
    g_autoptr(GPtrArray) names = model_snapshots(model);
    ModelWay way = { .crash = maybe_crash(rand) };
    gint what = g_rand_int_range(rand, 0, 20);

    if (what < 6 || !names->len)
        create(model, &way, number);
    else if (what < 11)
        delete_some(model, &way, names);
    else if (what < 15)
        model_revert(model, &way, any(rand, names), g_rand_boolean(rand), NULL);
    else if (what < 16)
        outside(model, number);
    for (guint i = 0; i < 2; i++) {
        const char *slot = i ? "vdb" : "vda";

        if (g_rand_boolean(rand) && !active_is_read(model, slot))
            model_write(model, slot);
    }
    model_check(model, FALSE);
}

static void test_random(void)
{
    guint trees = setting("GRAPH_TREES", 60), seed = setting("GRAPH_SEED", 1);
    gint64 start = g_get_monotonic_time();

    for (guint tree = 0; tree < trees; tree++) {
        Model *model = model_new(seed + tree);

        if (g_test_verbose())
            g_test_message("seed %u", seed + tree);
        model_add_disk(model, "vda", "/vm/vda", QEMU_FILE_QCOW2);
        model_add_disk(model, "vdb", "/vm/vdb", tree % 4 ? QEMU_FILE_QCOW2 : QEMU_FILE_RAW);
        for (guint i = 0; i < OPERATIONS; i++)
            one(model, i);
        model_free(model);
    }
    g_test_message("%u operations, %" G_GUINT64_FORMAT " steps, %.1f s", trees * OPERATIONS,
                   model_steps(), (double)(g_get_monotonic_time() - start) / 1e6);
    g_assert_cmpuint(model_steps(), >, trees * OPERATIONS / 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/graph/random", test_random);
    return g_test_run();
}
