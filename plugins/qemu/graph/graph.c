/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes, edges, references. */
#include "inside.h"

#include <string.h>
#include <vireo/ops.h>

/* ---- nodes --------------------------------------------------------------------- */

static void point_free(gpointer opaque)
{
    QemuPoint *point = opaque;

    g_free(point->tag);
    g_free(point);
}

static void node_free(gpointer opaque)
{
    QemuNode *node = opaque;

    g_free(node->path);
    g_ptr_array_unref(node->children);
    g_hash_table_unref(node->points);
    g_free(node);
}

static void ref_free(gpointer opaque)
{
    QemuRef *ref = opaque;

    g_free(ref->slot);
    g_free(ref);
}

static void holder_free(gpointer opaque)
{
    QemuHolder *holder = opaque;

    g_free(holder->name);
    g_ptr_array_unref(holder->refs);
    g_free(holder);
}

QemuGraph *qemu_graph_new(void)
{
    QemuGraph *graph = g_new0(QemuGraph, 1);

    graph->nodes = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, node_free);
    graph->holders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, holder_free);
    graph->no_points = g_hash_table_new(g_str_hash, g_str_equal);
    return graph;
}

void qemu_graph_free(QemuGraph *graph)
{
    if (!graph)
        return;
    g_hash_table_unref(graph->holders);
    g_hash_table_unref(graph->nodes);
    g_hash_table_unref(graph->no_points);
    g_free(graph->incomplete);
    g_free(graph);
}

QemuNode *qemu_graph_node(const QemuGraph *graph, const char *path)
{
    return path ? g_hash_table_lookup(graph->nodes, path) : NULL;
}

gboolean qemu_graph_has(const QemuGraph *graph, const char *path)
{
    return qemu_graph_node(graph, path) != NULL;
}

static QemuNode *known(const QemuGraph *graph, const char *path, GError **error)
{
    QemuNode *node = qemu_graph_node(graph, path);

    if (!node)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "image %s is not known", path);
    return node;
}

void qemu_node_rebase(QemuNode *node, QemuNode *backing)
{
    if (node->backing)
        g_ptr_array_remove_fast(node->backing->children, node);
    node->backing = backing;
    if (backing)
        g_ptr_array_add(backing->children, node);
}

gboolean qemu_graph_add(QemuGraph *graph, const char *path, QemuFileKind kind, guint flags,
                        guint64 bytes, const char *backing, GError **error)
{
    QemuNode *below = backing ? known(graph, backing, error) : NULL;

    if (backing && !below)
        return FALSE;
    if (qemu_graph_has(graph, path)) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "image %s is there twice", path);
        return FALSE;
    }
    QemuNode *node = g_new0(QemuNode, 1);
    node->path = g_strdup(path);
    node->kind = kind;
    node->flags = flags;
    node->bytes = bytes;
    node->children = g_ptr_array_new();
    node->points = g_hash_table_ref(graph->no_points);
    g_hash_table_insert(graph->nodes, node->path, node);
    qemu_node_rebase(node, below);
    return TRUE;
}

void qemu_graph_mark(QemuGraph *graph, const char *path, guint flags)
{
    QemuNode *node = qemu_graph_node(graph, path);

    if (node)
        node->flags |= flags;
}

void qemu_graph_unmark(QemuGraph *graph, const char *path, guint flags)
{
    QemuNode *node = qemu_graph_node(graph, path);

    if (node)
        node->flags &= ~flags;
}

gboolean qemu_graph_add_point(QemuGraph *graph, const char *path, const char *tag, guint64 bytes,
                              GError **error)
{
    QemuNode *node = known(graph, path, error);

    if (!node)
        return FALSE;
    if (g_hash_table_contains(node->points, tag)) {
        qemu_refuse(error, VIREO_ERR_OPERATION_FAILED,
                    "another name; or remove it with qemu-img snapshot -d",
                    "image %s already holds a snapshot '%s'",
                   path, tag);
        return FALSE;
    }
    QemuPoint *point = g_new0(QemuPoint, 1);
    point->tag = g_strdup(tag);
    point->bytes = bytes;
    if (node->points == graph->no_points) {
        g_hash_table_unref(node->points);
        node->points = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, point_free);
    }
    g_hash_table_insert(node->points, point->tag, point);
    return TRUE;
}

void qemu_node_drop_point(QemuNode *node, const char *tag)
{
    g_hash_table_remove(node->points, tag);
}

void qemu_graph_remove(QemuGraph *graph, QemuNode *node)
{
    qemu_node_rebase(node, NULL);
    g_hash_table_remove(graph->nodes, node->path);
}

/* ---- references ---------------------------------------------------------------- */

static char *holder_key(QemuHoldKind kind, const char *name)
{
    return g_strdup_printf("%d %s", (int)kind, name);
}

QemuHolder *qemu_graph_holder(const QemuGraph *graph, QemuHoldKind kind, const char *name)
{
    g_autofree char *key = holder_key(kind, name);

    return g_hash_table_lookup(graph->holders, key);
}

QemuRef *qemu_holder_ref(const QemuHolder *holder, const char *slot)
{
    for (guint i = 0; holder && i < holder->refs->len; i++) {
        QemuRef *ref = holder->refs->pdata[i];

        if (g_str_equal(ref->slot, slot))
            return ref;
    }
    return NULL;
}

static QemuHolder *holder_make(QemuGraph *graph, QemuHoldKind kind, const char *name)
{
    QemuHolder *holder = qemu_graph_holder(graph, kind, name);

    if (holder)
        return holder;
    holder = g_new0(QemuHolder, 1);
    holder->kind = kind;
    holder->name = g_strdup(name);
    holder->refs = g_ptr_array_new_with_free_func(ref_free);
    g_hash_table_insert(graph->holders, holder_key(kind, name), holder);
    return holder;
}

static gboolean is_outside(QemuHoldKind kind)
{
    return kind == QEMU_HOLD_OUTSIDE || kind == QEMU_HOLD_RUNNING;
}

gboolean qemu_graph_hold(QemuGraph *graph, QemuHoldKind kind, const char *name, const char *slot,
                         const char *path, const char *tag, GError **error)
{
    QemuNode *node = known(graph, path, error);
    QemuPoint *point = node && tag ? g_hash_table_lookup(node->points, tag) : NULL;

    if (!node)
        return FALSE;
    if (tag && !point) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "image %s holds no snapshot '%s'", path, tag);
        return FALSE;
    }
    QemuHolder *holder = holder_make(graph, kind, name);
    if (qemu_holder_ref(holder, slot)) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "'%s' refers to two images for '%s'", name,
                   slot);
        return FALSE;
    }
    QemuRef *ref = g_new0(QemuRef, 1);
    ref->slot = g_strdup(slot);
    ref->node = node;
    ref->point = point;
    g_ptr_array_add(holder->refs, ref);
    *(point ? &point->holds : &node->holds) += 1;
    node->outside += is_outside(kind);
    node->running += kind == QEMU_HOLD_RUNNING;
    if (!point && !is_outside(kind))
        node->flags &= ~(guint)QEMU_FILE_RELEASED; /* that it was given up has been undone */
    return TRUE;
}

void qemu_holder_drop(QemuHolder *holder, QemuRef *ref, gboolean released)
{
    *(ref->point ? &ref->point->holds : &ref->node->holds) -= 1;
    ref->node->outside -= is_outside(holder->kind);
    ref->node->running -= holder->kind == QEMU_HOLD_RUNNING;
    if (released && !ref->point)
        ref->node->flags |= QEMU_FILE_RELEASED;
    g_ptr_array_remove_fast(holder->refs, ref);
}

void qemu_graph_drop(QemuGraph *graph, QemuHoldKind kind, const char *name, gboolean released)
{
    QemuHolder *holder = qemu_graph_holder(graph, kind, name);
    g_autofree char *key = holder_key(kind, name);

    if (!holder)
        return;
    while (holder->refs->len)
        qemu_holder_drop(holder, holder->refs->pdata[0], released);
    g_hash_table_remove(graph->holders, key);
}

gboolean qemu_graph_leave_out(QemuGraph *graph, const char *path)
{
    QemuNode *node = qemu_graph_node(graph, path);
    g_autofree char *name = g_strconcat("file ", path, NULL);
    gboolean found = qemu_graph_holder(graph, QEMU_HOLD_OUTSIDE, name) != NULL;

    if (!node || node->children->len || node->holds > (guint)found || qemu_node_has_held_points(node))
        return FALSE;
    qemu_graph_drop(graph, QEMU_HOLD_OUTSIDE, name, FALSE);
    qemu_graph_remove(graph, node);
    return TRUE;
}

/* ---- looking ------------------------------------------------------------------- */

guint qemu_graph_holds(const QemuGraph *graph, const char *path, const char *tag)
{
    const QemuNode *node = qemu_graph_node(graph, path);
    const QemuPoint *point = node && tag ? g_hash_table_lookup(node->points, tag) : NULL;

    if (!node || (tag && !point))
        return 0;
    return point ? point->holds : node->holds;
}

void qemu_graph_set_incomplete(QemuGraph *graph, const char *why)
{
    if (!graph->incomplete)
        graph->incomplete = g_strdup(why);
}

const char *qemu_graph_incomplete(const QemuGraph *graph)
{
    return graph->incomplete;
}

guint qemu_graph_children(const QemuGraph *graph, const char *path)
{
    const QemuNode *node = qemu_graph_node(graph, path);

    return node ? node->children->len : 0;
}

guint qemu_graph_flags(const QemuGraph *graph, const char *path)
{
    const QemuNode *node = qemu_graph_node(graph, path);

    return node ? node->flags : 0;
}

const char *qemu_graph_held(const QemuGraph *graph, QemuHoldKind kind, const char *name,
                            const char *slot, const char **tag)
{
    const QemuRef *ref = qemu_holder_ref(qemu_graph_holder(graph, kind, name), slot);

    if (tag)
        *tag = ref && ref->point ? ref->point->tag : NULL;
    return ref ? ref->node->path : NULL;
}

guint qemu_graph_depth(const QemuGraph *graph, const char *path)
{
    guint depth = 0;

    for (const QemuNode *node = qemu_graph_node(graph, path); node; node = node->backing)
        depth++;
    return depth;
}

gboolean qemu_node_shared(const QemuNode *node)
{
    if (node->outside)
        return TRUE;
    for (guint i = 0; i < node->children->len; i++)
        if (qemu_node_shared(node->children->pdata[i]))
            return TRUE;
    return FALSE;
}

gboolean qemu_node_is_open(const QemuNode *node)
{
    if (node->running)
        return TRUE;
    for (guint i = 0; i < node->children->len; i++)
        if (qemu_node_is_open(node->children->pdata[i]))
            return TRUE;
    return FALSE;
}

gboolean qemu_graph_is_shared(const QemuGraph *graph, const char *path)
{
    const QemuNode *node = qemu_graph_node(graph, path);

    return node && qemu_node_shared(node);
}

gboolean qemu_node_has_held_points(const QemuNode *node)
{
    GHashTableIter iter;
    gpointer point;

    g_hash_table_iter_init(&iter, node->points);
    while (g_hash_table_iter_next(&iter, NULL, &point))
        if (((QemuPoint *)point)->holds || ((QemuPoint *)point)->given)
            return TRUE;
    return FALSE;
}

void qemu_graph_mark_point(QemuGraph *graph, QemuPoint *point)
{
    point->released = graph->has_released_points = TRUE;
}

gboolean qemu_graph_release_point(QemuGraph *graph, const char *path, const char *tag)
{
    const QemuNode *node = qemu_graph_node(graph, path);
    QemuPoint *point = node ? g_hash_table_lookup(node->points, tag) : NULL;

    if (!point || point->holds || point->given)
        return FALSE;
    qemu_graph_mark_point(graph, point);
    return TRUE;
}

void qemu_graph_point_waits(QemuGraph *graph, const char *path, const char *tag)
{
    const QemuNode *node = qemu_graph_node(graph, path);
    QemuPoint *point = node ? g_hash_table_lookup(node->points, tag) : NULL;

    if (point)
        point->waits = TRUE;
}

/* Written to by the domain itself, so that what it held has gone. */
static gboolean is_active(const QemuGraph *graph, const QemuNode *node)
{
    const QemuHolder *active = qemu_graph_holder(graph, QEMU_HOLD_ACTIVE, "");

    for (guint i = 0; active && i < active->refs->len; i++)
        if (((const QemuRef *)active->refs->pdata[i])->node == node)
            return TRUE;
    return FALSE;
}

gboolean qemu_graph_give(QemuGraph *graph, const char *path, const char *tag)
{
    QemuNode *node = qemu_graph_node(graph, path);
    QemuPoint *point = node ? g_hash_table_lookup(node->points, tag) : NULL;

    if (!node || (!point && is_active(graph, node)))
        return FALSE;
    if (point)
        point->given = TRUE;
    node->given = TRUE;
    node->flags &= ~(guint)(QEMU_FILE_OWNED | QEMU_FILE_RELEASED);
    return TRUE;
}

void qemu_graph_each_released_point(const QemuGraph *graph, QemuReleased *tell, void *opaque)
{
    GHashTableIter nodes, points;
    gpointer node, point;

    if (!graph->has_released_points)
        return;
    g_hash_table_iter_init(&nodes, graph->nodes);
    while (g_hash_table_iter_next(&nodes, NULL, &node)) {
        g_hash_table_iter_init(&points, ((QemuNode *)node)->points);
        while (g_hash_table_iter_next(&points, NULL, &point))
            if (((QemuPoint *)point)->released)
                tell(((QemuNode *)node)->path, ((QemuPoint *)point)->tag, opaque);
    }
}

static gint by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *qemu_graph_files(const QemuGraph *graph, guint flags)
{
    GPtrArray *files = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, graph->nodes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const QemuNode *node = value;

        if ((node->flags & flags) == flags)
            g_ptr_array_add(files, node->path);
    }
    g_ptr_array_sort(files, by_text);
    return files;
}
