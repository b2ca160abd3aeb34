/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Giving up references, and what becomes of the files nobody needs any more. */
#include "inside.h"

#include <vireo/ops.h>

static gboolean is_free(const QemuNode *node)
{
    return (node->flags & QEMU_FILE_RELEASED) && !node->holds && !qemu_node_has_held_points(node);
}

static gboolean is_ours(const QemuNode *node)
{
    return (node->flags & QEMU_FILE_OWNED) && !(node->flags & QEMU_FILE_READONLY) && !node->outside;
}

/* A file that may go once what lies above it does not need it. */
static gboolean is_between(const QemuNode *node)
{
    return is_free(node) && is_ours(node) && node->children->len == 1;
}

/* Copying into an image keeps its present content, but what an internal snapshot of it inherits
 * would be lost; and an image that others read is not written to. */
static gboolean can_take(const QemuNode *node)
{
    return node->kind == QEMU_FILE_QCOW2 && !(node->flags & QEMU_FILE_READONLY) &&
           !g_hash_table_size(node->points) && !qemu_node_shared(node);
}

static gboolean can_pull(const QemuNode *node)
{
    return is_between(node) && can_take(node->children->pdata[0]);
}

static void unlink_node(QemuGraph *graph, QemuPlan *plan, QemuNode *node)
{
    qemu_plan_add(plan, QEMU_STEP_UNLINK, node->path, NULL, NULL, NULL, 0);
    qemu_graph_remove(graph, node);
}

/* Everything between child and the next file that must stay, in one go. */
static void pull(QemuGraph *graph, QemuPlan *plan, QemuNode *child)
{
    QemuNode *between = child->backing, *stays = between;
    guint64 bytes = 0;

    while (stays && is_between(stays)) {
        bytes += stays->bytes;
        stays = stays->backing;
    }
    qemu_plan_add(plan, QEMU_STEP_PULL, child->path, stays ? stays->path : NULL, NULL, NULL, bytes);
    child->bytes += bytes;
    qemu_node_rebase(child, stays);
    while (between != stays) {
        QemuNode *next = between->backing;

        unlink_node(graph, plan, between);
        between = next;
    }
}

/* An overlay that only one image above the free one below it needs: its data goes down, it goes
 * away, and whoever referred to it refers to the image below. */
static gboolean can_commit(const QemuNode *node)
{
    const QemuNode *below = node->backing;

    return below && is_ours(node) && !g_hash_table_size(node->points) && !qemu_node_shared(below) &&
           (below->flags & QEMU_FILE_RELEASED) && !below->holds && below->children->len == 1 &&
           !(below->flags & QEMU_FILE_READONLY) && below->kind != QEMU_FILE_STATE;
}

/* Only the active definition is moved: what snapshots say is not rewritten. */
static const char *only_active(QemuGraph *graph, const QemuNode *node)
{
    QemuHolder *active = qemu_graph_holder(graph, QEMU_HOLD_ACTIVE, "");

    for (guint i = 0; active && i < active->refs->len; i++) {
        const QemuRef *ref = active->refs->pdata[i];

        if (ref->node == node && node->holds == 1)
            return ref->slot;
    }
    return NULL;
}

static void commit(QemuGraph *graph, QemuPlan *plan, QemuNode *node)
{
    QemuNode *below = node->backing;
    g_autofree char *slot = g_strdup(only_active(graph, node));

    qemu_plan_add(plan, QEMU_STEP_COMMIT, node->path, below->path, NULL, NULL, node->bytes);
    below->bytes += node->bytes;
    while (node->children->len) {
        QemuNode *child = node->children->pdata[0];

        qemu_plan_add(plan, QEMU_STEP_REPOINT, child->path, below->path, NULL, NULL, 0);
        qemu_node_rebase(child, below);
    }
    if (slot)
        qemu_plan_switch(graph, plan, slot, below, FALSE);
    unlink_node(graph, plan, node);
}

static void drop_point(QemuPlan *plan, QemuNode *node, const QemuPoint *point)
{
    qemu_plan_add(plan, QEMU_STEP_DROP_POINT, node->path, NULL, point->tag, NULL, 0);
    qemu_node_drop_point(node, point->tag);
}

/* Leaves first: what goes away need not be copied. */
static gboolean collect_leaf(QemuGraph *graph, QemuPlan *plan, QemuNode *node, guint flags)
{
    if (!is_free(node) || !is_ours(node) || node->children->len)
        return FALSE;
    unlink_node(graph, plan, node);
    return TRUE;
}

static gboolean collect_point(QemuGraph *graph, QemuPlan *plan, QemuNode *node, guint flags)
{
    GHashTableIter iter;
    gpointer value;

    if (!graph->has_released_points || (node->flags & QEMU_FILE_READONLY) || qemu_node_shared(node))
        return FALSE;
    g_hash_table_iter_init(&iter, node->points);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const QemuPoint *point = value;

        if (!point->released || point->holds || point->waits)
            continue;
        drop_point(plan, node, point);
        return TRUE;
    }
    return FALSE;
}

static gboolean collect_between(QemuGraph *graph, QemuPlan *plan, QemuNode *node, guint flags)
{
    if (can_pull(node) && !can_pull(node->children->pdata[0])) {
        pull(graph, plan, node->children->pdata[0]);
        return TRUE;
    }
    if ((flags & QEMU_COLLECT_COMMIT) && can_commit(node) &&
        (only_active(graph, node) || is_free(node))) {
        commit(graph, plan, node);
        return TRUE;
    }
    return FALSE;
}

typedef gboolean Collect(QemuGraph *graph, QemuPlan *plan, QemuNode *node, guint flags);

static gboolean collect_one(QemuGraph *graph, QemuPlan *plan, Collect *collect, guint flags)
{
    guint free_ones = QEMU_FILE_OWNED | (flags & QEMU_COLLECT_COMMIT ? 0u : QEMU_FILE_RELEASED);
    g_autoptr(GPtrArray) files = qemu_graph_files(graph, collect == collect_point ? 0u : free_ones);

    for (guint i = 0; i < files->len; i++)
        if (collect(graph, plan, qemu_graph_node(graph, files->pdata[i]), flags))
            return TRUE;
    return FALSE;
}

void qemu_plan_collect(QemuGraph *graph, QemuPlan *plan, guint flags)
{
    while (!graph->incomplete && (collect_one(graph, plan, collect_leaf, flags) ||
                                  (graph->has_released_points && collect_one(graph, plan, collect_point, flags)) ||
                                  collect_one(graph, plan, collect_between, flags)))
        continue;
}

/* ---- chains that are too long --------------------------------------------------- */

/* An image that the present needs, of which others need what is below it too; the smallest. */
static QemuNode *to_shorten(QemuNode *top)
{
    QemuNode *best = NULL;

    for (QemuNode *node = top; node->backing; node = node->backing) {
        const QemuNode *below = node->backing;

        if (is_free(below) && (below->flags & QEMU_FILE_OWNED) && below->children->len > 1 &&
            can_take(node) && (!best || below->bytes < best->backing->bytes))
            best = node;
    }
    return best;
}

void qemu_plan_shorten(QemuGraph *graph, QemuPlan *plan, guint above)
{
    QemuHolder *active = qemu_graph_holder(graph, QEMU_HOLD_ACTIVE, "");

    for (guint i = 0; active && i < active->refs->len; i++) {
        QemuNode *top = ((QemuRef *)active->refs->pdata[i])->node, *node;

        if (qemu_graph_depth(graph, top->path) <= above || !(node = to_shorten(top)))
            continue;
        QemuNode *below = node->backing, *stays = below->backing;
        qemu_plan_add(plan, QEMU_STEP_PULL, node->path, stays ? stays->path : NULL, NULL, NULL,
                      below->bytes);
        node->bytes += below->bytes;
        qemu_node_rebase(node, stays);
    }
}

/* ---- delete --------------------------------------------------------------------- */

/* The internal snapshots that only this one referred to. One in an image that others read stays until they do not. */
static void drop_points(QemuGraph *graph, QemuPlan *plan, QemuHolder *holder)
{
    while (holder->refs->len) {
        QemuRef *ref = holder->refs->pdata[0];
        QemuNode *node = ref->node;
        QemuPoint *point = ref->point;

        qemu_holder_drop(holder, ref, TRUE);
        if (!point || point->holds || (is_free(node) && is_ours(node) && !node->children->len))
            continue;
        if (qemu_node_shared(node))
            qemu_graph_mark_point(graph, point);
        else
            drop_point(plan, node, point);
    }
}

static gboolean check_names(QemuGraph *graph, const char *const *names, guint n_names,
                            GError **error)
{
    for (guint i = 0; i < n_names; i++) {
        const QemuHolder *holder = qemu_graph_holder(graph, QEMU_HOLD_SNAPSHOT, names[i]);

        for (guint r = 0; holder && r < holder->refs->len; r++) {
            const QemuNode *node = ((const QemuRef *)holder->refs->pdata[r])->node;

            if (!(node->flags & QEMU_FILE_READONLY) || !((const QemuRef *)holder->refs->pdata[r])->point)
                continue;
            qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                        "make the file writable, or snapshot-delete --metadata",
                        "snapshot '%s' is inside %s, which is read-only", names[i], node->path);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean qemu_plan_delete(QemuGraph *graph, QemuPlan *plan, const char *const *names,
                          guint n_names, guint flags, GError **error)
{
    if (!check_names(graph, names, n_names, error))
        return FALSE;
    for (guint i = 0; i < n_names; i++)
        qemu_plan_add(plan, QEMU_STEP_FORGET, NULL, NULL, names[i], NULL, 0);
    for (guint i = 0; i < n_names; i++) {
        QemuHolder *holder = qemu_graph_holder(graph, QEMU_HOLD_SNAPSHOT, names[i]);

        if (holder)
            drop_points(graph, plan, holder);
        qemu_graph_drop(graph, QEMU_HOLD_SNAPSHOT, names[i], TRUE);
    }
    qemu_plan_collect(graph, plan, flags);
    return TRUE;
}

void qemu_plan_forget(QemuGraph *graph, QemuPlan *plan, const char *const *names, guint n_names)
{
    for (guint i = 0; i < n_names; i++) {
        qemu_plan_add(plan, QEMU_STEP_FORGET, NULL, NULL, names[i], NULL, 0);
        qemu_graph_drop(graph, QEMU_HOLD_SNAPSHOT, names[i], FALSE);
    }
}

void qemu_plan_drop_point(QemuGraph *graph, QemuPlan *plan, const char *path, const char *tag)
{
    QemuNode *node = qemu_graph_node(graph, path);

    if (!node || qemu_graph_holds(graph, path, tag) || !g_hash_table_contains(node->points, tag))
        return;
    qemu_plan_add(plan, QEMU_STEP_DROP_POINT, path, NULL, tag, NULL, 0);
    qemu_node_drop_point(node, tag);
}
