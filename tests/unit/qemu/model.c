/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model.h"

#include <string.h>

typedef struct {
    char *path, *backing;
    QemuFileKind kind;
    gint cells[CELLS]; /* 0: not allocated */
    GHashTable *points; /* tag -> gint[CELLS] */
    gboolean owned, released;
} Image;

typedef struct {
    char *slot, *path, *tag;
    gint expected[CELLS];
} Part;

typedef struct {
    char *name, *parent;
    GPtrArray *parts; /* Part */
} Snap;

typedef struct {
    char *name, *path;
    gint expected[CELLS];
} Outside;

struct Model {
    GRand *rand;
    GHashTable *images;
    GPtrArray *slots;   /* char * */
    GHashTable *active; /* slot -> path */
    GHashTable *present; /* slot -> gint[CELLS], what the guest must read; none: in between */
    GPtrArray *snaps;   /* Snap, in the order of their creation */
    GPtrArray *outside;
    Snap *pending;      /* to be entered by KEEP */
    char *current;
    gint next_value, next_file;
    QemuPlan *plan;
};

static guint64 steps_done;

guint64 model_steps(void)
{
    return steps_done;
}

/* ---- making ---------------------------------------------------------------------- */

static void image_free(gpointer opaque)
{
    Image *image = opaque;

    g_free(image->path);
    g_free(image->backing);
    g_hash_table_unref(image->points);
    g_free(image);
}

static void part_free(gpointer opaque)
{
    Part *part = opaque;

    g_free(part->slot);
    g_free(part->path);
    g_free(part->tag);
    g_free(part);
}

static void snap_free(gpointer opaque)
{
    Snap *snap = opaque;

    if (!snap)
        return;
    g_free(snap->name);
    g_free(snap->parent);
    g_ptr_array_unref(snap->parts);
    g_free(snap);
}

static void outside_free(gpointer opaque)
{
    Outside *outside = opaque;

    g_free(outside->name);
    g_free(outside->path);
    g_free(outside);
}

Model *model_new(guint seed)
{
    Model *model = g_new0(Model, 1);

    model->rand = g_rand_new_with_seed(seed);
    model->images = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, image_free);
    model->slots = g_ptr_array_new_with_free_func(g_free);
    model->active = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    model->present = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    model->snaps = g_ptr_array_new_with_free_func(snap_free);
    model->outside = g_ptr_array_new_with_free_func(outside_free);
    return model;
}

void model_free(Model *model)
{
    g_rand_free(model->rand);
    g_hash_table_unref(model->images);
    g_ptr_array_unref(model->slots);
    g_hash_table_unref(model->active);
    g_hash_table_unref(model->present);
    g_ptr_array_unref(model->snaps);
    g_ptr_array_unref(model->outside);
    snap_free(model->pending);
    g_free(model->current);
    qemu_plan_free(model->plan);
    g_free(model);
}

GRand *model_rand(Model *model)
{
    return model->rand;
}

static Image *image_at(Model *model, const char *path)
{
    return path ? g_hash_table_lookup(model->images, path) : NULL;
}

static Image *image_make(Model *model, const char *path, QemuFileKind kind, const char *backing)
{
    Image *image = g_new0(Image, 1);

    image->path = g_strdup(path);
    image->backing = g_strdup(backing);
    image->kind = kind;
    image->points = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_replace(model->images, image->path, image);
    return image;
}

/* ---- reading ---------------------------------------------------------------------- */

static gint read_cell(Model *model, const char *path, guint cell)
{
    for (guint depth = 0; path; depth++) {
        const Image *image = image_at(model, path);

        if (!image)
            g_error("%s is read and does not exist", path);
        g_assert_cmpuint(depth, <, 1000);
        if (image->cells[cell])
            return image->cells[cell];
        path = image->backing;
    }
    return 0;
}

static void read_all(Model *model, const char *path, const char *tag, gint *out)
{
    const Image *image = image_at(model, path);
    const gint *point = image && tag ? g_hash_table_lookup(image->points, tag) : NULL;

    if (!image || (tag && !point))
        g_error("%s '%s' is read and is not there", path, tag ? tag : "");
    for (guint i = 0; i < CELLS; i++)
        out[i] = point ? (point[i] ? point[i] : read_cell(model, image->backing, i))
                       : read_cell(model, path, i);
}

static gboolean chain_has(Model *model, const char *path, const char *wanted)
{
    for (const Image *image; path && (image = image_at(model, path)); path = image->backing)
        if (g_str_equal(path, wanted))
            return TRUE;
    return FALSE;
}

static void may_write(Model *model, const char *path)
{
    for (guint i = 0; i < model->outside->len; i++) {
        const Outside *outside = model->outside->pdata[i];

        if (chain_has(model, outside->path, path))
            g_error("%s is written to and '%s' reads it", path, outside->name);
    }
}

static void expect(Model *model, const char *who, const char *path, const char *tag,
                   const gint *expected)
{
    gint got[CELLS];

    read_all(model, path, tag, got);
    if (memcmp(got, expected, sizeof got))
        g_error("%s: %s '%s' reads other bytes than its own", who, path, tag ? tag : "");
}

static void check_readers(Model *model)
{
    GHashTableIter iter;
    gpointer slot, path;

    for (guint i = 0; i < model->snaps->len; i++) {
        const Snap *snap = model->snaps->pdata[i];

        for (guint p = 0; p < snap->parts->len; p++) {
            const Part *part = snap->parts->pdata[p];

            expect(model, snap->name, part->path, part->tag, part->expected);
        }
    }
    for (guint i = 0; i < model->outside->len; i++) {
        const Outside *outside = model->outside->pdata[i];

        expect(model, outside->name, outside->path, NULL, outside->expected);
    }
    g_hash_table_iter_init(&iter, model->active);
    while (g_hash_table_iter_next(&iter, &slot, &path)) {
        const gint *present = g_hash_table_lookup(model->present, slot);
        gint got[CELLS];

        if (present)
            expect(model, "the guest", path, NULL, present);
        else
            read_all(model, path, NULL, got);
    }
}

static void learn_present(Model *model)
{
    for (guint i = 0; i < model->slots->len; i++) {
        const char *slot = model->slots->pdata[i];
        gint *cells = g_new0(gint, CELLS);

        read_all(model, g_hash_table_lookup(model->active, slot), NULL, cells);
        g_hash_table_replace(model->present, g_strdup(slot), cells);
    }
}

/* ---- the world -------------------------------------------------------------------- */

void model_add_disk(Model *model, const char *slot, const char *path, QemuFileKind kind)
{
    image_make(model, path, kind, NULL);
    g_ptr_array_add(model->slots, g_strdup(slot));
    g_hash_table_replace(model->active, g_strdup(slot), g_strdup(path));
    model_write(model, slot);
}

void model_write(Model *model, const char *slot)
{
    Image *image = image_at(model, g_hash_table_lookup(model->active, slot));
    guint count = (guint)g_rand_int_range(model->rand, 1, 4);

    while (count-- > 0)
        image->cells[g_rand_int_range(model->rand, 0, CELLS)] = ++model->next_value;
    learn_present(model);
}

void model_add_outside(Model *model, const char *name, const char *path, gboolean overlay)
{
    Outside *outside = g_new0(Outside, 1);

    outside->name = g_strdup(name);
    outside->path = g_strdup(path);
    if (overlay) {
        g_free(outside->path);
        outside->path = g_strdup_printf("/else/%s", name);
        Image *image = image_make(model, outside->path, QEMU_FILE_QCOW2, path);
        image->cells[0] = ++model->next_value;
    }
    read_all(model, outside->path, NULL, outside->expected);
    g_ptr_array_add(model->outside, outside);
}

void model_drop_outside(Model *model, const char *name)
{
    for (guint i = 0; i < model->outside->len; i++) {
        Outside *outside = model->outside->pdata[i];

        if (!g_str_equal(outside->name, name))
            continue;
        if (g_str_has_prefix(outside->path, "/else/"))
            g_hash_table_remove(model->images, outside->path);
        g_ptr_array_remove_index(model->outside, i);
        return;
    }
}

static void add_image(Model *model, QemuGraph *graph, const Image *image)
{
    guint flags = (image->owned ? QEMU_FILE_OWNED : 0u) | (image->released ? QEMU_FILE_RELEASED : 0u);
    GHashTableIter iter;
    gpointer tag;

    if (qemu_graph_has(graph, image->path))
        return;
    if (image->backing)
        add_image(model, graph, image_at(model, image->backing));
    g_assert_true(
        qemu_graph_add(graph, image->path, image->kind, flags, CELLS, image->backing, NULL));
    g_hash_table_iter_init(&iter, image->points);
    while (g_hash_table_iter_next(&iter, &tag, NULL))
        g_assert_true(qemu_graph_add_point(graph, image->path, tag, CELLS, NULL));
}

QemuGraph *model_graph(Model *model)
{
    QemuGraph *graph = qemu_graph_new();
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, model->images);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        add_image(model, graph, value);
    g_hash_table_iter_init(&iter, model->active);
    while (g_hash_table_iter_next(&iter, &key, &value))
        g_assert_true(qemu_graph_hold(graph, QEMU_HOLD_ACTIVE, "", key, value, NULL, NULL));
    for (guint i = 0; i < model->snaps->len; i++) {
        const Snap *snap = model->snaps->pdata[i];

        for (guint p = 0; p < snap->parts->len; p++) {
            const Part *part = snap->parts->pdata[p];

            g_assert_true(qemu_graph_hold(graph, QEMU_HOLD_SNAPSHOT, snap->name, part->slot,
                                          part->path, part->tag, NULL));
        }
    }
    for (guint i = 0; i < model->outside->len; i++) {
        const Outside *outside = model->outside->pdata[i];

        g_assert_true(qemu_graph_hold(graph, QEMU_HOLD_OUTSIDE, outside->name, "disk",
                                      outside->path, NULL, NULL));
    }
    return graph;
}

/* ---- steps ------------------------------------------------------------------------ */

static Snap *find_snap(Model *model, const char *name)
{
    for (guint i = 0; i < model->snaps->len; i++)
        if (g_str_equal(((Snap *)model->snaps->pdata[i])->name, name))
            return model->snaps->pdata[i];
    return NULL;
}

static void keep(Model *model, const char *name)
{
    if (find_snap(model, name))
        return;
    g_assert_nonnull(model->pending);
    g_assert_cmpstr(model->pending->name, ==, name);
    g_ptr_array_add(model->snaps, g_steal_pointer(&model->pending));
}

static void forget(Model *model, const char *name)
{
    Snap *snap = find_snap(model, name);

    if (!snap)
        return;
    for (guint i = 0; i < model->snaps->len; i++) {
        Snap *child = model->snaps->pdata[i];

        if (g_strcmp0(child->parent, name))
            continue;
        g_free(child->parent);
        child->parent = g_strdup(snap->parent);
    }
    if (!g_strcmp0(model->current, name)) {
        g_free(model->current);
        model->current = g_strdup(snap->parent);
    }
    g_ptr_array_remove(model->snaps, snap);
}

static void copy_point(Model *model, const QemuStep *step, guint cells, gboolean with_tag)
{
    const Image *source = image_at(model, step->other);
    const gint *point = g_hash_table_lookup(source->points, step->tag);
    Image *image = image_make(model, step->image, QEMU_FILE_QCOW2, source->backing);

    image->owned = TRUE;
    memcpy(image->cells, point, cells * sizeof *point);
    if (with_tag)
        g_hash_table_replace(image->points, g_strdup(step->tag),
                             g_memdup2(point, CELLS * sizeof *point));
}

/* As `qemu-img rebase` and block-stream do: what is not allocated is copied from in between. */
static void pull(Model *model, const QemuStep *step, guint cells)
{
    Image *image = image_at(model, step->image);

    may_write(model, step->image);
    for (guint i = 0; i < cells; i++) {
        const char *at = image->backing;

        while (!image->cells[i] && at && g_strcmp0(at, step->other)) {
            image->cells[i] = image_at(model, at)->cells[i];
            at = image_at(model, at)->backing;
        }
    }
    if (cells < CELLS)
        return;
    g_free(image->backing);
    image->backing = g_strdup(step->other);
}

static void commit(Model *model, const QemuStep *step, guint cells)
{
    const Image *image = image_at(model, step->image);
    Image *below = image_at(model, step->other);

    may_write(model, step->other);
    for (guint i = 0; i < cells; i++)
        if (image->cells[i])
            below->cells[i] = image->cells[i];
}

static void unlink_image(Model *model, const char *path)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, model->images);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (!g_strcmp0(((Image *)value)->backing, path))
            g_error("%s is unlinked and %s is based on it", path, ((Image *)value)->path);
    if (image_at(model, path) && !image_at(model, path)->owned)
        g_error("%s is unlinked and it is not ours", path);
    g_hash_table_remove(model->images, path);
}

static void change_image(Model *model, const QemuStep *step, guint cells)
{
    Image *image = image_at(model, step->image);

    may_write(model, step->image);
    if (step->kind == QEMU_STEP_POINT)
        g_hash_table_replace(image->points, g_strdup(step->tag),
                             g_memdup2(image->cells, sizeof image->cells));
    if (step->kind == QEMU_STEP_DROP_POINT && image)
        g_hash_table_remove(image->points, step->tag);
    if (step->kind == QEMU_STEP_APPLY) {
        const gint *point = g_hash_table_lookup(image->points, step->tag);

        g_assert_nonnull(point);
        memcpy(image->cells, point, cells * sizeof *point);
    }
    if (step->kind == QEMU_STEP_REPOINT) {
        g_free(image->backing);
        image->backing = g_strdup(step->other);
    }
}

/* Half of a step is what is left of it when the daemon dies. */
static void carry_out(Model *model, const QemuStep *step, gboolean half)
{
    guint cells = half ? CELLS / 2 : CELLS;

    steps_done++;
    switch (step->kind) {
    case QEMU_STEP_OVERLAY:
    case QEMU_STEP_ADOPT:
        image_make(model, step->image, QEMU_FILE_QCOW2, step->other)->owned = TRUE;
        break;
    case QEMU_STEP_STATE:
        image_make(model, step->image, QEMU_FILE_STATE, NULL)->owned = TRUE;
        image_at(model, step->image)->cells[0] = 1;
        break;
    case QEMU_STEP_EXTRACT:
    case QEMU_STEP_CLONE:
        copy_point(model, step, cells, step->kind == QEMU_STEP_CLONE);
        break;
    case QEMU_STEP_SWITCH:
        g_hash_table_replace(model->active, g_strdup(step->slot), g_strdup(step->image));
        image_at(model, step->image)->released = FALSE;
        break;
    case QEMU_STEP_KEEP:
        keep(model, step->tag);
        break;
    case QEMU_STEP_FORGET:
        forget(model, step->tag);
        break;
    case QEMU_STEP_CURRENT:
        g_free(model->current);
        model->current = g_strdup(step->tag);
        break;
    case QEMU_STEP_PULL:
        pull(model, step, cells);
        break;
    case QEMU_STEP_COMMIT:
        commit(model, step, cells);
        break;
    case QEMU_STEP_UNLINK:
        unlink_image(model, step->image);
        break;
    default:
        change_image(model, step, cells);
    }
    check_readers(model);
}

/* What a daemon does that finds the plan in its journal. */
static gboolean recover(Model *model, const QemuPlan *plan, guint begun)
{
    g_autofree char *text = qemu_plan_text(plan);
    g_autoptr(QemuPlan) journal = qemu_plan_parse(text, strlen(text), NULL);
    g_autoptr(QemuPlan) back = qemu_plan_rollback(journal, begun);

    for (guint i = 0; back && i < back->steps->len; i++)
        carry_out(model, qemu_plan_step(back, i), FALSE);
    if (back) {
        g_clear_pointer(&model->pending, snap_free);
        return FALSE;
    }
    for (guint i = begun - 1; i < journal->steps->len; i++)
        carry_out(model, qemu_plan_step(journal, i), FALSE);
    return TRUE;
}

/* TRUE: it was carried out; FALSE: it was undone. The flags go where a driver would note them. */
static gboolean run(Model *model, ModelWay *way, QemuGraph *after)
{
    const QemuPlan *plan = model->plan;

    way->plan = model->plan;
    for (guint i = 0; i < plan->steps->len; i++) {
        carry_out(model, qemu_plan_step(plan, i), way->crash == i + 1);
        if (way->crash == i + 1 && !recover(model, plan, i + 1))
            return FALSE;
        if (way->crash == i + 1)
            break;
    }
    g_autoptr(GPtrArray) files = qemu_graph_files(after, 0);
    g_assert_cmpuint(files->len, ==, g_hash_table_size(model->images));
    for (guint i = 0; i < files->len; i++) {
        Image *image = image_at(model, files->pdata[i]);
        guint flags = qemu_graph_flags(after, files->pdata[i]);

        g_assert_nonnull(image);
        g_assert_cmpuint(qemu_graph_children(after, image->path) > 0 || !image->backing ||
                             qemu_graph_has(after, image->backing), ==, TRUE);
        image->owned = (flags & QEMU_FILE_OWNED) != 0;
        image->released = (flags & QEMU_FILE_RELEASED) != 0;
    }
    return TRUE;
}

static QemuPlan *fresh_plan(Model *model)
{
    qemu_plan_free(model->plan);
    return model->plan = qemu_plan_new();
}

/* ---- operations ------------------------------------------------------------------- */

static void expect_part(Model *model, const char *slot, const char *path, const char *tag)
{
    Part *part = g_new0(Part, 1);

    part->slot = g_strdup(slot);
    part->path = g_strdup(path);
    part->tag = g_strdup(tag);
    if (image_at(model, path))
        read_all(model, path, NULL, part->expected);
    else
        part->expected[0] = 1; /* memory */
    g_ptr_array_add(model->pending->parts, part);
}

gboolean model_create(Model *model, ModelWay *way, const char *name, const char *kinds,
                      QemuSnapKind memory, GError **error)
{
    g_autoptr(QemuGraph) graph = model_graph(model);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *memory_file = g_strdup_printf("/vm/%s.mem", name);
    QemuSnapDisk disks[8] = { 0 };
    QemuSnapRequest request = { name, disks, model->slots->len, memory, memory_file, FALSE };

    g_clear_pointer(&model->pending, snap_free);
    model->pending = g_new0(Snap, 1);
    model->pending->name = g_strdup(name);
    model->pending->parent = g_strdup(model->current);
    model->pending->parts = g_ptr_array_new_with_free_func(part_free);
    for (guint i = 0; i < model->slots->len; i++) {
        const char *path = g_hash_table_lookup(model->active, model->slots->pdata[i]);
        char *overlay = g_strdup_printf("/vm/%s-%s.%d", (char *)model->slots->pdata[i], name,
                                        ++model->next_file);

        g_ptr_array_add(names, overlay);
        disks[i].slot = model->slots->pdata[i];
        disks[i].overlay = overlay;
        disks[i].kind = kinds[i] == 'i'   ? QEMU_SNAP_INTERNAL
                        : kinds[i] == 'e' ? QEMU_SNAP_EXTERNAL
                        : kinds[i] == 'm' ? QEMU_SNAP_MANUAL
                                          : QEMU_SNAP_NO;
        if (kinds[i] == 'i' || kinds[i] == 'e')
            expect_part(model, disks[i].slot, path, kinds[i] == 'i' ? name : NULL);
    }
    if (memory == QEMU_SNAP_EXTERNAL)
        expect_part(model, "memory", memory_file, NULL);
    return qemu_plan_create(graph, fresh_plan(model), &request, error) && run(model, way, graph);
}

gboolean model_delete(Model *model, ModelWay *way, const char *const *names, guint n, GError **error)
{
    g_autoptr(QemuGraph) graph = model_graph(model);

    return qemu_plan_delete(graph, fresh_plan(model), names, n, way->collect, error) &&
           run(model, way, graph);
}

gboolean model_forget(Model *model, ModelWay *way, const char *name)
{
    g_autoptr(QemuGraph) graph = model_graph(model);
    guint files = model_files(model);

    qemu_plan_forget(graph, fresh_plan(model), &name, 1);
    gboolean done = run(model, way, graph);
    g_assert_cmpuint(model_files(model), ==, files);
    return done;
}

static char *revert_image(const char *slot, void *opaque)
{
    Model *model = opaque;

    return g_strdup_printf("/vm/%s-revert.%d", slot, ++model->next_file);
}

gboolean model_revert(Model *model, ModelWay *way, const char *name, gboolean discard, GError **error)
{
    g_autoptr(QemuGraph) graph = model_graph(model);
    const Snap *snap = find_snap(model, name);
    gboolean memory = g_rand_boolean(model->rand);
    QemuRevertRequest request = { name, discard, memory, revert_image, model };

    if (!qemu_plan_revert(graph, fresh_plan(model), &request, error))
        return FALSE;
    g_hash_table_remove_all(model->present);
    gboolean done = run(model, way, graph);
    learn_present(model);
    for (guint i = 0; done && i < snap->parts->len; i++) {
        const Part *part = snap->parts->pdata[i];

        if (g_strcmp0(part->slot, "memory"))
            g_assert_true(model_reads_as(model, part->slot, name));
    }
    return done;
}

gboolean model_shorten(Model *model, ModelWay *way, guint above)
{
    g_autoptr(QemuGraph) graph = model_graph(model);

    qemu_plan_shorten(graph, fresh_plan(model), above);
    return run(model, way, graph);
}

gboolean model_collect(Model *model, ModelWay *way)
{
    g_autoptr(QemuGraph) graph = model_graph(model);

    qemu_plan_collect(graph, fresh_plan(model), way->collect);
    return run(model, way, graph);
}

/* ---- questions -------------------------------------------------------------------- */

GPtrArray *model_snapshots(Model *model)
{
    GPtrArray *names = g_ptr_array_new();

    for (guint i = 0; i < model->snaps->len; i++)
        g_ptr_array_add(names, ((Snap *)model->snaps->pdata[i])->name);
    return names;
}

GPtrArray *model_subtree(Model *model, const char *name)
{
    GPtrArray *names = g_ptr_array_new();
    g_autoptr(GHashTable) in = g_hash_table_new(g_str_hash, g_str_equal);

    g_hash_table_add(in, (void *)name);
    for (guint i = 0; i < model->snaps->len; i++) {
        const Snap *snap = model->snaps->pdata[i];

        if (!g_str_equal(snap->name, name) &&
            (!snap->parent || !g_hash_table_contains(in, snap->parent)))
            continue;
        g_hash_table_add(in, snap->name);
        g_ptr_array_insert(names, 0, snap->name);
    }
    return names;
}

gboolean model_reads_as(Model *model, const char *slot, const char *snapshot)
{
    const Snap *snap = find_snap(model, snapshot);
    gint got[CELLS];

    read_all(model, g_hash_table_lookup(model->active, slot), NULL, got);
    for (guint i = 0; i < snap->parts->len; i++) {
        const Part *part = snap->parts->pdata[i];

        if (g_str_equal(part->slot, slot))
            return !memcmp(part->expected, got, sizeof got);
    }
    return FALSE;
}

gboolean model_exists(Model *model, const char *path)
{
    return image_at(model, path) != NULL;
}

const char *model_active(Model *model, const char *slot)
{
    return g_hash_table_lookup(model->active, slot);
}

guint model_files(Model *model)
{
    return g_hash_table_size(model->images);
}

/* A released file of ours may only be there when something needs it. */
static void check_leaks(Model *model)
{
    g_autoptr(QemuGraph) graph = model_graph(model);
    GHashTableIter iter, points;
    gpointer value, tag;

    g_hash_table_iter_init(&iter, model->images);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Image *image = value, *child = NULL;
        guint children = qemu_graph_children(graph, image->path);
        gboolean held = qemu_graph_holds(graph, image->path, NULL) > 0;
        GHashTableIter others;
        gpointer other;

        g_hash_table_iter_init(&points, image->points);
        while (g_hash_table_iter_next(&points, &tag, NULL))
            held |= qemu_graph_holds(graph, image->path, tag) > 0;
        if (held || !image->owned || !image->released || children > 1)
            continue;
        g_hash_table_iter_init(&others, model->images);
        while (g_hash_table_iter_next(&others, NULL, &other))
            if (!g_strcmp0(((Image *)other)->backing, image->path))
                child = other;
        if (!child || (!g_hash_table_size(child->points) &&
                       !qemu_graph_is_shared(graph, child->path)))
            g_error("%s is left over", image->path);
    }
}

void model_check(Model *model, gboolean collected)
{
    check_readers(model);
    if (collected)
        check_leaks(model);
}
