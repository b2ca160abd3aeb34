/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why an image that was given up is still there, in words; and who else uses images. */
#include "inside.h"

#define CHILDREN_NAMED 4

static char *by_whom(const QemuHolder *holder, const QemuRef *ref)
{
    if (holder->kind == QEMU_HOLD_ACTIVE)
        return g_strdup_printf("disk '%s' uses it", ref->slot);
    if (holder->kind == QEMU_HOLD_SNAPSHOT)
        return g_strdup_printf("snapshot '%s' is in it", holder->name);
    return g_strdup_printf("%s uses it", holder->name);
}

/* Who refers to the image or, present FALSE, to a point inside it; NULL: nobody. */
static char *referred_to(const QemuGraph *graph, const QemuNode *node, gboolean present)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, graph->holders);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const QemuHolder *holder = value;

        for (guint i = 0; i < holder->refs->len; i++) {
            const QemuRef *ref = holder->refs->pdata[i];

            if (ref->node == node && (ref->point == NULL) == present)
                return by_whom(holder, ref);
        }
    }
    return NULL;
}

static char *several(const QemuNode *node)
{
    GString *text = g_string_new("");

    for (guint i = 0; i < node->children->len && i < CHILDREN_NAMED; i++)
        g_string_append_printf(text, "%s%s", i ? ", " : "",
                               ((const QemuNode *)node->children->pdata[i])->path);
    g_string_append_printf(text, "%s are based on it",
                           node->children->len > CHILDREN_NAMED ? " and others" : "");
    return g_string_free(text, FALSE);
}

static char *children(const QemuNode *node)
{
    const QemuNode *child = node->children->len ? node->children->pdata[0] : NULL;

    if (node->children->len > 1)
        return several(node);
    if (!child)
        return NULL;
    if (g_hash_table_size(child->points))
        return g_strdup_printf("%s is based on it and holds internal snapshots, which would lose what "
                               "they inherit", child->path);
    if (qemu_node_shared(child))
        return g_strdup_printf("%s is based on it and is read by others, so it is not written to",
                               child->path);
    return g_strdup_printf("%s is based on it and cannot be written to", child->path);
}

char *qemu_graph_kept(const QemuGraph *graph, const char *path)
{
    const QemuNode *node = qemu_graph_node(graph, path);
    char *reason = node ? referred_to(graph, node, TRUE) : NULL;

    if (!node || reason)
        return reason;
    if ((reason = referred_to(graph, node, FALSE)))
        return reason;
    if (node->given)
        return g_strdup("a snapshot without metadata is in it, which is yours");
    if (!(node->flags & QEMU_FILE_OWNED))
        return g_strdup("it was not made by a snapshot: such images are never removed");
    if (node->flags & QEMU_FILE_READONLY)
        return g_strdup("it is read-only");
    return children(node);
}

void qemu_graph_each_outside(const QemuGraph *graph, QemuOutside *tell, void *opaque)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, graph->holders);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const QemuHolder *holder = value;

        for (guint i = 0; holder->kind >= QEMU_HOLD_OUTSIDE && i < holder->refs->len; i++) {
            const QemuNode *node = ((const QemuRef *)holder->refs->pdata[i])->node;

            tell(holder->name, node->path, node->backing ? node->backing->path : NULL, opaque);
        }
    }
}
