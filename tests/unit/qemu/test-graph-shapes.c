/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shapes of trees that are known to go wrong elsewhere, by their letters in the matrix: D what is
 * refused, W what is accepted and loses data. Each is carried out on disks in memory, which read every
 * snapshot after every step. */
#include "model.h"

#include <string.h>

static const ModelWay no_crash = { .crash = G_MAXUINT };

static Model *one_disk(void)
{
    Model *model = model_new(7);

    model_add_disk(model, "vda", "/vm/vda", QEMU_FILE_QCOW2);
    return model;
}

static void take(Model *model, const char *name, const char *kind)
{
    ModelWay way = no_crash;
    g_autoptr(GError) error = NULL;

    g_assert_true(model_create(model, &way, name, kind, QEMU_SNAP_NO, &error));
    g_assert_no_error(error);
    model_write(model, "vda");
}

static void go_to(Model *model, const char *name, gboolean discard)
{
    ModelWay way = no_crash;

    g_assert_true(model_revert(model, &way, name, discard, NULL));
    model_write(model, "vda");
    model_check(model, TRUE);
}

static guint count(const QemuPlan *plan, QemuStepKind kind)
{
    guint n = 0;

    for (guint i = 0; i < plan->steps->len; i++)
        n += qemu_plan_step(plan, i)->kind == kind;
    return n;
}

static const QemuPlan *drop(Model *model, guint collect, const char *name)
{
    static ModelWay way;

    way = no_crash;
    way.collect = collect;
    g_assert_true(model_delete(model, &way, &name, 1, NULL));
    model_check(model, TRUE);
    return way.plan;
}

static const QemuPlan *drop_below(Model *model, const char *name, gboolean itself)
{
    static ModelWay way;
    g_autoptr(GPtrArray) below = model_subtree(model, name);

    way = no_crash;
    g_assert_true(model_delete(model, &way, (const char *const *)below->pdata,
                               below->len - !itself, NULL));
    model_check(model, TRUE);
    return way.plan;
}

/* e1 -> i1: the overlay in which i1 is stored is not unlinked with e1. */
static void test_w1(void)
{
    Model *model = one_disk();

    take(model, "e1", "e");
    take(model, "i1", "i");
    const QemuPlan *plan = drop(model, 0, "e1");
    g_assert_cmpuint(count(plan, QEMU_STEP_UNLINK) + count(plan, QEMU_STEP_PULL), ==, 0);
    go_to(model, "i1", TRUE);
    model_free(model);
}

/* i1 -> e1: going back to i1 does not write below e1's overlay. */
static void test_w2(void)
{
    Model *model = one_disk();

    take(model, "i1", "i");
    take(model, "e1", "e");
    go_to(model, "i1", TRUE);
    g_assert_cmpstr(model_active(model, "vda"), !=, "/vm/vda");
    go_to(model, "e1", TRUE);
    go_to(model, "i1", TRUE);
    model_free(model);
}

/* s1 with two children: a hidden image, nothing is written into what both read. */
static void test_w3_d6(void)
{
    Model *model = one_disk();

    take(model, "s0", "e");
    take(model, "s1", "e");
    take(model, "s2", "e");
    go_to(model, "s1", TRUE);
    take(model, "s4", "e");
    const QemuPlan *plan = drop(model, QEMU_COLLECT_COMMIT, "s1");
    g_assert_cmpuint(count(plan, QEMU_STEP_COMMIT) + count(plan, QEMU_STEP_PULL), ==, 0);
    /* When one of the two has gone, it is merged into the other. */
    plan = drop(model, 0, "s2");
    g_assert_cmpuint(count(plan, QEMU_STEP_PULL), ==, 1);
    go_to(model, "s4", TRUE);
    model_free(model);
}

/* The base is also another domain's: not written, not unlinked, whatever is allowed. */
static void test_w4(void)
{
    Model *model = one_disk();

    take(model, "s1", "e");
    model_add_outside(model, "other", "/vm/vda", TRUE);
    const QemuPlan *plan = drop(model, QEMU_COLLECT_COMMIT, "s1");
    g_assert_cmpuint(plan->steps->len, ==, 1);
    g_assert_true(model_exists(model, "/vm/vda"));
    model_free(model);
}

/* Reverting elsewhere does not remove what other snapshots are based on, whichever is current. */
static void test_w5(void)
{
    Model *model = one_disk();

    take(model, "s1", "e");
    take(model, "s2", "e");
    take(model, "s3", "e");
    go_to(model, "s1", TRUE);
    go_to(model, "s2", TRUE);
    go_to(model, "s3", TRUE);
    model_free(model);
}

static void test_d1_d2(void)
{
    Model *model = one_disk();

    take(model, "s1", "e");
    take(model, "s2", "i");
    take(model, "s3", "e");
    const char *active = g_strdup(model_active(model, "vda"));
    const QemuPlan *plan = drop_below(model, "s1", TRUE); /* the guest is on top of all that */
    g_assert_cmpuint(count(plan, QEMU_STEP_PULL), ==, 1);
    g_assert_cmpuint(count(plan, QEMU_STEP_UNLINK), ==, 1);
    g_assert_cmpuint(model_files(model), ==, 2);
    g_assert_cmpstr(model_active(model, "vda"), ==, active);
    g_free((void *)active);
    model_free(model);

    model = one_disk();
    take(model, "s0", "e");
    take(model, "s1", "e");
    take(model, "s2", "e");
    go_to(model, "s0", TRUE); /* the guest is elsewhere: the branch just goes */
    plan = drop_below(model, "s1", TRUE);
    g_assert_cmpuint(count(plan, QEMU_STEP_PULL), ==, 0);
    g_assert_cmpuint(model_files(model), ==, 2);
    model_free(model);
}

static void test_d3(void)
{
    Model *model = one_disk();

    take(model, "s1", "e");
    drop_below(model, "s1", FALSE);
    g_assert_cmpuint(model_snapshots(model)->len, ==, 1);
    drop_below(model, "s1", TRUE);
    g_assert_cmpuint(model_snapshots(model)->len, ==, 0);
    model_free(model);
}

/* The current one, and the guest went on from there. */
static void test_d4(void)
{
    Model *model = one_disk();

    take(model, "s1", "e");
    take(model, "s2", "e");
    go_to(model, "s1", TRUE);
    drop(model, 0, "s1");
    go_to(model, "s2", TRUE);
    model_free(model);
}

/* In the middle of a branch where the guest is not: its one child takes it in. */
static void test_d5(void)
{
    Model *model = one_disk();

    take(model, "s1", "e");
    take(model, "s2", "e");
    take(model, "s3", "e");
    go_to(model, "s1", TRUE);
    const QemuPlan *plan = drop(model, 0, "s2");
    g_assert_cmpuint(count(plan, QEMU_STEP_PULL), ==, 1);
    g_assert_cmpuint(count(plan, QEMU_STEP_UNLINK), ==, 1);
    go_to(model, "s3", TRUE);
    model_free(model);
}

/* i1 -> e1: e1 goes; the image with i1 takes the overlay in when that is allowed, else it stays. */
static void test_d7(void)
{
    for (guint allowed = 0; allowed < 2; allowed++) {
        Model *model = one_disk();

        take(model, "i1", "i");
        take(model, "e1", "e");
        const QemuPlan *plan = drop(model, allowed ? QEMU_COLLECT_COMMIT : 0, "e1");
        g_assert_cmpuint(count(plan, QEMU_STEP_COMMIT), ==, allowed);
        g_assert_cmpuint(model_files(model), ==, 2 - allowed);
        go_to(model, "i1", TRUE);
        model_free(model);
    }
}

/* i1 -> e1: i1 goes out of an image that is not the guest's any more. */
static void test_d8(void)
{
    Model *model = one_disk();

    take(model, "i1", "i");
    take(model, "e1", "e");
    const QemuPlan *plan = drop(model, 0, "i1");
    g_assert_cmpuint(count(plan, QEMU_STEP_DROP_POINT), ==, 1);
    g_assert_cmpstr(qemu_plan_step(plan, 1)->image, ==, "/vm/vda");
    model_free(model);
}

/* An overlay that holds an internal snapshot is not flattened: what that inherits would be lost. */
static void test_trap_flatten(void)
{
    Model *model = one_disk();

    take(model, "e1", "e");
    take(model, "e2", "e");
    take(model, "i1", "i");
    const QemuPlan *plan = drop(model, 0, "e2");
    g_assert_cmpuint(count(plan, QEMU_STEP_PULL), ==, 0);
    plan = drop(model, 0, "i1"); /* now nothing is in the way */
    g_assert_cmpuint(count(plan, QEMU_STEP_PULL), ==, 1);
    g_assert_cmpuint(count(plan, QEMU_STEP_UNLINK), ==, 1);
    model_free(model);
}

/* Cycles of taking and deleting do not make a chain longer. */
static void test_no_growth(void)
{
    Model *model = one_disk();

    for (guint i = 0; i < 10; i++) {
        take(model, "s", "e");
        drop(model, 0, "s");
        g_assert_cmpuint(model_files(model), ==, 2);
    }
    model_free(model);
}

/* A released image that two are based on is copied into one of them only when the chain is too long. */
static void test_shorten(void)
{
    ModelWay way = no_crash;

    for (guint crash = 0; crash < 2; crash++) {
        Model *model = one_disk();

        take(model, "e1", "e");
        take(model, "e2", "e");
        go_to(model, "e2", FALSE); /* the present before stays: a second image on top of e2's */
        take(model, "e3", "e");
        g_assert_cmpuint(count(drop(model, 0, "e2"), QEMU_STEP_PULL), ==, 0);
        guint files = model_files(model);
        way.crash = G_MAXUINT;
        g_assert_true(model_shorten(model, &way, 4));
        g_assert_cmpuint(way.plan->steps->len, ==, 0);
        way.crash = crash ? 1 : G_MAXUINT;
        model_shorten(model, &way, 3);
        g_assert_cmpuint(count(way.plan, QEMU_STEP_PULL), ==, 1);
        g_assert_cmpuint(way.plan->steps->len, ==, 1);
        model_check(model, FALSE);
        g_assert_cmpuint(model_files(model), ==, files);
        g_autoptr(QemuGraph) graph = model_graph(model);
        g_assert_cmpuint(qemu_graph_depth(graph, model_active(model, "vda")), ==, 3);
        model_free(model);
    }
}

static void test_refusals(void)
{
    Model *model = model_new(3);
    ModelWay way = no_crash;
    const struct {
        const char *kinds, *words;
        QemuSnapKind memory;
    } bad[] = {
        { "ni", "raw", QEMU_SNAP_NO },
        { "nn", "nothing is selected", QEMU_SNAP_NO },
        { "ne", "only together with an internal", QEMU_SNAP_INTERNAL },
    };

    model_add_disk(model, "vda", "/vm/vda", QEMU_FILE_QCOW2);
    model_add_disk(model, "vdb", "/vm/vdb", QEMU_FILE_RAW);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(model_create(model, &way, "s", bad[i].kinds, bad[i].memory, &error));
        g_assert_nonnull(strstr(error->message, bad[i].words));
    }
    /* Each disk as it likes. */
    g_assert_true(model_create(model, &way, "a", "ie", QEMU_SNAP_EXTERNAL, NULL));
    g_assert_true(model_create(model, &way, "b", "ee", QEMU_SNAP_NO, NULL));
    g_assert_true(model_create(model, &way, "c", "nn", QEMU_SNAP_EXTERNAL, NULL));
    g_assert_true(model_exists(model, "/vm/c.mem"));
    drop(model, 0, "c");
    g_assert_false(model_exists(model, "/vm/c.mem")); /* W9 */
    g_assert_false(model_create(model, &way, "a", "ee", QEMU_SNAP_NO, NULL));
    model_free(model);
}

/* The present is only given up when that was asked for (W14). */
static void test_present_is_kept(void)
{
    Model *model = one_disk();

    take(model, "s1", "e");
    g_autofree char *present = g_strdup(model_active(model, "vda"));
    go_to(model, "s1", FALSE);
    g_assert_true(model_exists(model, present));
    g_autofree char *second = g_strdup(model_active(model, "vda"));
    go_to(model, "s1", TRUE); /* W10: twice in a second */
    g_assert_false(model_exists(model, second));
    g_assert_true(model_exists(model, present));
    model_free(model);
}

/* Every operation, cut short in every step. */
static void test_every_step(void)
{
    for (guint crash = 1; crash < 12; crash++) {
        for (guint what = 0; what < 4; what++) {
            Model *model = one_disk();
            ModelWay way = { .crash = crash };
            const char *gone[] = { "e2", "i1" };

            take(model, "i1", "i");
            take(model, "e1", "e");
            take(model, "e2", "e");
            take(model, "e3", "e");
            if (what == 0)
                model_create(model, &way, "new", "e", QEMU_SNAP_EXTERNAL, NULL);
            else if (what == 1)
                model_delete(model, &way, gone, 2, NULL);
            else
                model_revert(model, &way, what == 2 ? "i1" : "e1", TRUE, NULL);
            model_check(model, TRUE);
            go_to(model, "e3", TRUE);
            go_to(model, "e1", TRUE);
            model_free(model);
        }
    }
}

static char *new_image(const char *slot, void *opaque)
{
    return g_strdup("/vm/new");
}

/* Trees as metadata from elsewhere may describe them: the guest's image is also a snapshot's. */
static void test_metadata_from_elsewhere(void)
{
    g_autoptr(QemuGraph) graph = qemu_graph_new();
    g_autoptr(QemuPlan) plan = qemu_plan_new(), collected = qemu_plan_new();
    const QemuRevertRequest request = { "i", TRUE, FALSE, new_image, NULL };

    g_assert_true(qemu_graph_add(graph, "/vm/a", QEMU_FILE_QCOW2, QEMU_FILE_RELEASED, 1, NULL, NULL));
    g_assert_true(qemu_graph_add_point(graph, "/vm/a", "i", 1, NULL));
    g_assert_true(qemu_graph_hold(graph, QEMU_HOLD_ACTIVE, "", "vda", "/vm/a", NULL, NULL));
    g_assert_true(qemu_graph_hold(graph, QEMU_HOLD_SNAPSHOT, "e", "vda", "/vm/a", NULL, NULL));
    g_assert_true(qemu_graph_hold(graph, QEMU_HOLD_SNAPSHOT, "i", "vda", "/vm/a", "i", NULL));
    g_assert_true(qemu_plan_revert(graph, plan, &request, NULL));
    g_assert_cmpuint(count(plan, QEMU_STEP_APPLY), ==, 0);
    g_assert_cmpuint(count(plan, QEMU_STEP_EXTRACT), ==, 1);
    /* And one that was given up once and is a snapshot's again is not written to. */
    g_assert_true(qemu_graph_add(graph, "/vm/b", QEMU_FILE_QCOW2, QEMU_FILE_OWNED, 1, "/vm/a", NULL));
    g_assert_true(qemu_graph_hold(graph, QEMU_HOLD_ACTIVE, "", "vdb", "/vm/b", NULL, NULL));
    qemu_plan_collect(graph, collected, QEMU_COLLECT_COMMIT);
    g_assert_cmpuint(collected->steps->len, ==, 0);
}

/* Who else reads the image of the guest; kind ACTIVE: nobody. */
static QemuGraph *with_reader(QemuHoldKind kind)
{
    QemuGraph *graph = qemu_graph_new();

    g_assert_true(qemu_graph_add(graph, "/vm/a", QEMU_FILE_QCOW2, 0, 1, NULL, NULL));
    g_assert_true(qemu_graph_add_point(graph, "/vm/a", "i", 1, NULL));
    g_assert_true(qemu_graph_hold(graph, QEMU_HOLD_ACTIVE, "", "vda", "/vm/a", NULL, NULL));
    g_assert_true(qemu_graph_add(graph, "/else/b", QEMU_FILE_QCOW2, 0, 1, "/vm/a", NULL));
    if (kind != QEMU_HOLD_ACTIVE)
        g_assert_true(qemu_graph_hold(graph, kind, "b", "vda", "/else/b", NULL, NULL));
    return graph;
}

/* A point that is given up while others read the image goes when they do not any more. */
static void test_points_of_shared(void)
{
    g_autoptr(QemuGraph) shared = with_reader(QEMU_HOLD_OUTSIDE), ours = with_reader(QEMU_HOLD_ACTIVE);
    g_autoptr(QemuPlan) plan = qemu_plan_new(), later = qemu_plan_new();
    const char *name = "i";

    g_assert_true(qemu_graph_hold(shared, QEMU_HOLD_SNAPSHOT, "i", "vda", "/vm/a", "i", NULL));
    g_assert_false(qemu_graph_release_point(shared, "/vm/a", "i"));
    g_assert_true(qemu_plan_delete(shared, plan, &name, 1, 0, NULL));
    g_assert_cmpuint(count(plan, QEMU_STEP_DROP_POINT), ==, 0);
    g_assert_true(qemu_graph_release_point(ours, "/vm/a", "i"));
    qemu_plan_collect(ours, later, 0);
    g_assert_cmpuint(count(later, QEMU_STEP_DROP_POINT), ==, 1);
}

/* Another guest that has the image open keeps new points out of it; a file that is based on it does not. */
static void test_points_of_open(void)
{
    const QemuSnapDisk disk = { "vda", QEMU_SNAP_INTERNAL, NULL, FALSE };
    const QemuSnapRequest request = { .name = "j", .disks = &disk, .n_disks = 1 };

    for (QemuHoldKind kind = QEMU_HOLD_OUTSIDE; kind <= QEMU_HOLD_RUNNING; kind++) {
        g_autoptr(QemuGraph) graph = with_reader(kind);
        g_autoptr(QemuPlan) plan = qemu_plan_new();
        g_autoptr(GError) error = NULL;

        g_assert_true(qemu_plan_create(graph, plan, &request, &error) == (kind == QEMU_HOLD_OUTSIDE));
        g_assert_true(!error || strstr(error->message, "a guest that runs"));
    }
}

/* One that QEMU cannot take out of its image keeps nothing else waiting, and nothing is merged into that image. */
static void test_point_waits(void)
{
    g_autoptr(QemuGraph) graph = qemu_graph_new();
    g_autoptr(QemuPlan) plan = qemu_plan_new();
    const guint given_up = QEMU_FILE_OWNED | QEMU_FILE_RELEASED;

    g_assert_true(qemu_graph_add(graph, "/vm/a", QEMU_FILE_QCOW2, given_up, 1, NULL, NULL));
    g_assert_true(qemu_graph_add(graph, "/vm/b", QEMU_FILE_QCOW2, QEMU_FILE_OWNED, 1, "/vm/a", NULL));
    g_assert_true(qemu_graph_add_point(graph, "/vm/b", "s", 1, NULL));
    g_assert_true(qemu_graph_add(graph, "/vm/c", QEMU_FILE_QCOW2, given_up, 1, NULL, NULL));
    g_assert_true(qemu_graph_hold(graph, QEMU_HOLD_ACTIVE, "", "vda", "/vm/b", NULL, NULL));
    g_assert_true(qemu_graph_release_point(graph, "/vm/b", "s"));
    qemu_graph_point_waits(graph, "/vm/b", "s");
    qemu_plan_collect(graph, plan, 0);
    g_assert_cmpuint(plan->steps->len, ==, 1);
    g_assert_cmpint(qemu_plan_step(plan, 0)->kind, ==, QEMU_STEP_UNLINK);
    g_assert_cmpstr(qemu_plan_step(plan, 0)->image, ==, "/vm/c");
    g_assert_true(qemu_graph_release_point(graph, "/vm/b", "s")); /* it stays noted down */
}

/* The image of a snapshot without metadata, below the one in use. */
static QemuGraph *with_frozen(void)
{
    QemuGraph *graph = qemu_graph_new();

    g_assert_true(qemu_graph_add(graph, "/vm/a", QEMU_FILE_QCOW2, 0, 1, NULL, NULL));
    g_assert_true(qemu_graph_add(graph, "/vm/b", QEMU_FILE_QCOW2, QEMU_FILE_OWNED | QEMU_FILE_RELEASED, 1, "/vm/a",
                                 NULL));
    g_assert_true(qemu_graph_add(graph, "/vm/c", QEMU_FILE_QCOW2, QEMU_FILE_OWNED, 1, "/vm/b", NULL));
    g_assert_true(qemu_graph_hold(graph, QEMU_HOLD_ACTIVE, "", "vda", "/vm/c", NULL, NULL));
    return graph;
}

/* What is the user's stays, until it is written to again. */
static void test_given(void)
{
    g_autoptr(QemuGraph) ours = with_frozen(), given = with_frozen(), inside = with_frozen();
    g_autoptr(QemuPlan) merged = qemu_plan_new(), kept = qemu_plan_new();

    qemu_plan_collect(ours, merged, 0);
    g_assert_cmpuint(count(merged, QEMU_STEP_UNLINK), ==, 1);
    g_assert_true(qemu_graph_give(given, "/vm/b", "e"));
    g_autofree char *why = qemu_graph_kept(given, "/vm/b");
    g_assert_nonnull(strstr(why, "yours"));
    qemu_plan_collect(given, kept, 0);
    g_assert_cmpuint(kept->steps->len, ==, 0);
    g_assert_false(qemu_graph_give(given, "/vm/c", "e"));
    g_assert_false(qemu_graph_give(given, "/vm/none", "e"));
    /* A point may be in the image in use. */
    g_assert_true(qemu_graph_add_point(inside, "/vm/c", "i", 1, NULL));
    g_assert_true(qemu_graph_give(inside, "/vm/c", "i"));
    g_assert_false(qemu_graph_release_point(inside, "/vm/c", "i"));
}

/* Deleting costs the same however many there are. */
static void test_many(void)
{
    g_autoptr(QemuGraph) graph = qemu_graph_new();
    g_autoptr(QemuPlan) plan = qemu_plan_new();

    g_assert_true(qemu_graph_add(graph, "/vm/vda", QEMU_FILE_QCOW2, 0, 1, NULL, NULL));
    g_assert_true(qemu_graph_hold(graph, QEMU_HOLD_ACTIVE, "", "vda", "/vm/vda", NULL, NULL));
    for (guint i = 0; i < 100000; i++) {
        g_autofree char *name = g_strdup_printf("s%u", i);

        g_assert_true(qemu_graph_add_point(graph, "/vm/vda", name, 1, NULL));
        g_assert_true(
            qemu_graph_hold(graph, QEMU_HOLD_SNAPSHOT, name, "vda", "/vm/vda", name, NULL));
    }
    gint64 start = g_get_monotonic_time();
    const char *name = "s777";
    g_assert_true(qemu_plan_delete(graph, plan, &name, 1, 0, NULL));
    gint64 took = g_get_monotonic_time() - start;
    g_assert_cmpuint(plan->steps->len, ==, 2);
    g_test_message("one of 100,000: %" G_GINT64_FORMAT " us", took);
    g_assert_cmpint(took, <, 20000);
}

static guint place(const QemuPlan *plan, QemuStepKind kind)
{
    for (guint i = 0; i < plan->steps->len; i++)
        if (qemu_plan_step(plan, i)->kind == kind)
            return i;
    return G_MAXUINT;
}

static QemuGraph *with_variables(void)
{
    QemuGraph *graph = qemu_graph_new();

    g_assert_true(qemu_graph_add(graph, "/vm/vda", QEMU_FILE_QCOW2, 0, 1, NULL, NULL));
    g_assert_true(qemu_graph_hold(graph, QEMU_HOLD_ACTIVE, "", "vda", "/vm/vda", NULL, NULL));
    return graph;
}

/* W12: the firmware's variables are copied before there is a snapshot, replaced after there is no way
 * back, and gone with it. */
static void test_w12(void)
{
    g_autoptr(QemuGraph) graph = with_variables();
    g_autoptr(QemuPlan) create = qemu_plan_new(), revert = qemu_plan_new(), delete = qemu_plan_new();
    const QemuSnapDisk disk = { .slot = "vda", .kind = QEMU_SNAP_INTERNAL };
    const QemuSideFile side = { "nvram", "/vm/vars", "/vm/vars.s1", "/vm/vars.new", "raw>raw" };
    const QemuSnapRequest ask = { .name = "s1", .disks = &disk, .n_disks = 1, .sides = &side, .n_sides = 1 };
    const QemuRevertRequest back = { .name = "s1", .sides = &side, .n_sides = 1 };
    const char *name = "s1";

    g_assert_true(qemu_plan_create(graph, create, &ask, NULL));
    guint copy = place(create, QEMU_STEP_COPY);
    g_assert_cmpuint(copy, <, create->no_return);
    g_assert_cmpstr(qemu_plan_step(create, copy)->image, ==, "/vm/vars.s1");
    g_assert_cmpuint(qemu_graph_holds(graph, "/vm/vars.s1", NULL), ==, 1);
    g_autoptr(QemuPlan) undo = qemu_plan_rollback(create, create->no_return);
    g_assert_cmpstr(qemu_plan_step(undo, place(undo, QEMU_STEP_UNLINK))->image, ==, "/vm/vars.s1");

    g_assert_true(qemu_plan_revert(graph, revert, &back, NULL));
    copy = place(revert, QEMU_STEP_COPY);
    g_assert_cmpuint(copy, <, revert->no_return);
    g_assert_cmpstr(qemu_plan_step(revert, copy)->image, ==, "/vm/vars.new");
    g_assert_cmpstr(qemu_plan_step(revert, copy)->other, ==, "/vm/vars.s1");
    guint replace = place(revert, QEMU_STEP_REPLACE);
    g_assert_cmpuint(replace, >=, revert->no_return);
    g_assert_cmpuint(replace, <, place(revert, QEMU_STEP_CURRENT));
    g_assert_cmpuint(count(revert, QEMU_STEP_UNLINK), ==, 0);

    g_assert_true(qemu_plan_delete(graph, delete, &name, 1, 0, NULL));
    g_assert_cmpstr(qemu_plan_step(delete, place(delete, QEMU_STEP_UNLINK))->image, ==, "/vm/vars.s1");
    g_assert_false(qemu_graph_has(graph, "/vm/vars.s1"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/graph/W1", test_w1);
    g_test_add_func("/graph/W2", test_w2);
    g_test_add_func("/graph/W3-D6", test_w3_d6);
    g_test_add_func("/graph/W4", test_w4);
    g_test_add_func("/graph/W5", test_w5);
    g_test_add_func("/graph/W12", test_w12);
    g_test_add_func("/graph/D1-D2", test_d1_d2);
    g_test_add_func("/graph/D3", test_d3);
    g_test_add_func("/graph/D4", test_d4);
    g_test_add_func("/graph/D5", test_d5);
    g_test_add_func("/graph/D7", test_d7);
    g_test_add_func("/graph/D8", test_d8);
    g_test_add_func("/graph/trap-flatten", test_trap_flatten);
    g_test_add_func("/graph/no-growth", test_no_growth);
    g_test_add_func("/graph/shorten", test_shorten);
    g_test_add_func("/graph/refusals", test_refusals);
    g_test_add_func("/graph/present", test_present_is_kept);
    g_test_add_func("/graph/every-step", test_every_step);
    g_test_add_func("/graph/points-of-shared", test_points_of_shared);
    g_test_add_func("/graph/points-of-open", test_points_of_open);
    g_test_add_func("/graph/point-waits", test_point_waits);
    g_test_add_func("/graph/given", test_given);
    g_test_add_func("/graph/elsewhere", test_metadata_from_elsewhere);
    g_test_add_func("/graph/many", test_many);
    return g_test_run();
}
