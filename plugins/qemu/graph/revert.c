/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Going back to a snapshot: new images first, then the switch, then what is not needed any more. */
#include "inside.h"

#include <vireo/ops.h>

typedef struct {
    QemuGraph *graph;
    QemuPlan *plan;
    const QemuRevertRequest *request;
    GPtrArray *slots, *images; /* char *, where each goes */
    GPtrArray *undo, *clones;  /* images that hold an internal snapshot for the time being */
} Revert;

static void revert_clear(Revert *revert)
{
    g_ptr_array_unref(revert->slots);
    g_ptr_array_unref(revert->images);
    g_ptr_array_unref(revert->undo);
    g_ptr_array_unref(revert->clones);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Revert, revert_clear)

static void goes_to(Revert *revert, const char *slot, const char *image)
{
    g_ptr_array_add(revert->slots, g_strdup(slot));
    g_ptr_array_add(revert->images, g_strdup(image));
}

static QemuNode *active_node(const Revert *revert, const char *slot)
{
    const QemuRef *ref =
        qemu_holder_ref(qemu_graph_holder(revert->graph, QEMU_HOLD_ACTIVE, ""), slot);

    return ref ? ref->node : NULL;
}

/* The image may be overwritten: only the present is in it, or only the present is above it and is
 * given up. */
static gboolean can_apply(const Revert *revert, const QemuNode *node, const QemuNode *active)
{
    if (revert->request->memory && revert->request->misleading &&
        g_hash_table_contains(revert->request->misleading, node->path))
        return FALSE;
    if (qemu_node_shared(node) || (node->flags & QEMU_FILE_READONLY) || revert->graph->incomplete)
        return FALSE;
    if (node == active)
        return node->holds == 1 && !node->children->len;
    return active && revert->request->discard && !node->holds && node->children->len == 1 &&
           active->backing == node && active->holds == 1 && !active->children->len &&
           !qemu_node_has_held_points(active) && (active->flags & QEMU_FILE_OWNED);
}

static gboolean new_image(Revert *revert, QemuStepKind kind, const char *slot,
                          const QemuNode *source, const QemuPoint *point, GError **error)
{
    const QemuNode *below = point ? source->backing : source;
    g_autofree char *path = revert->request->new_image(slot, revert->request->opaque);
    guint64 bytes = kind == QEMU_STEP_CLONE ? source->bytes : point ? point->bytes : 0;

    if (!path) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "disk '%s': its image is no file, so that nothing tells where a new one goes; set "
                   "overlay_dir in section [snapshots] of qemu.conf", slot);
        return FALSE;
    }
    if (!qemu_graph_add(revert->graph, path, QEMU_FILE_QCOW2, QEMU_FILE_OWNED, bytes,
                        below ? below->path : NULL, error))
        return FALSE;
    qemu_plan_add(revert->plan, kind, path, source->path, point ? point->tag : NULL, slot, bytes);
    if (kind == QEMU_STEP_CLONE) {
        if (!qemu_graph_add_point(revert->graph, path, point->tag, 0, error))
            return FALSE;
        g_ptr_array_add(revert->clones, g_strdup(path));
    }
    goes_to(revert, slot, path);
    return TRUE;
}

static gboolean apply_later(Revert *revert, const char *slot, QemuNode *node, GError **error)
{
    if (g_hash_table_contains(node->points, QEMU_UNDO_TAG)) {
        qemu_plan_add(revert->plan, QEMU_STEP_DROP_POINT, node->path, NULL, QEMU_UNDO_TAG, slot, 0);
        qemu_node_drop_point(node, QEMU_UNDO_TAG);
    }
    if (!qemu_graph_add_point(revert->graph, node->path, QEMU_UNDO_TAG, 0, error))
        return FALSE;
    qemu_plan_add(revert->plan, QEMU_STEP_POINT, node->path, NULL, QEMU_UNDO_TAG, slot, 0);
    g_ptr_array_add(revert->undo, g_strdup(node->path));
    goes_to(revert, slot, node->path);
    return TRUE;
}

static gboolean one_disk(Revert *revert, const QemuRef *ref, GError **error)
{
    const QemuNode *active = active_node(revert, ref->slot);

    if (ref->node->kind == QEMU_FILE_STATE)
        return TRUE;
    if (!ref->point)
        return new_image(revert, QEMU_STEP_OVERLAY, ref->slot, ref->node, NULL, error);
    if (can_apply(revert, ref->node, active))
        return apply_later(revert, ref->slot, ref->node, error);
    return new_image(revert, revert->request->memory ? QEMU_STEP_CLONE : QEMU_STEP_EXTRACT,
                     ref->slot, ref->node, ref->point, error);
}

static void drop(Revert *revert, GPtrArray *images, const char *tag)
{
    for (guint i = 0; i < images->len; i++) {
        QemuNode *node = qemu_graph_node(revert->graph, images->pdata[i]);

        qemu_plan_add(revert->plan, QEMU_STEP_DROP_POINT, node->path, NULL, tag, NULL, 0);
        qemu_node_drop_point(node, tag);
    }
}

gboolean qemu_plan_revert(QemuGraph *graph, QemuPlan *plan, const QemuRevertRequest *request,
                          GError **error)
{
    const QemuHolder *holder = qemu_graph_holder(graph, QEMU_HOLD_SNAPSHOT, request->name);
    g_auto(Revert) revert = { graph, plan, request,
                              g_ptr_array_new_with_free_func(g_free),
                              g_ptr_array_new_with_free_func(g_free),
                              g_ptr_array_new_with_free_func(g_free),
                              g_ptr_array_new_with_free_func(g_free) };

    for (guint i = 0; holder && i < holder->refs->len; i++)
        if (!one_disk(&revert, holder->refs->pdata[i], error))
            return FALSE;
    for (guint i = 0; i < request->n_sides; i++)
        qemu_plan_add(plan, QEMU_STEP_COPY, request->sides[i].fresh, request->sides[i].copy,
                      request->sides[i].how, request->sides[i].slot, 0);
    for (guint i = 0; i < revert.undo->len; i++)
        qemu_plan_add(plan, QEMU_STEP_APPLY, revert.undo->pdata[i], NULL, request->name, NULL, 0);
    plan->no_return = plan->steps->len;
    for (guint i = 0; i < revert.slots->len; i++)
        qemu_plan_switch(graph, plan, revert.slots->pdata[i],
                         qemu_graph_node(graph, revert.images->pdata[i]), request->discard);
    for (guint i = 0; i < request->n_sides; i++)
        qemu_plan_add(plan, QEMU_STEP_REPLACE, request->sides[i].live, request->sides[i].fresh, NULL,
                      request->sides[i].slot, 0);
    qemu_plan_add(plan, QEMU_STEP_CURRENT, NULL, NULL, request->name, NULL, 0);
    drop(&revert, revert.undo, QEMU_UNDO_TAG);
    drop(&revert, revert.clones, request->name);
    qemu_plan_collect(graph, plan, 0);
    return TRUE;
}
