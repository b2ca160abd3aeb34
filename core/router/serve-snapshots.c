/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every list, count, lookup and relation of snapshots and checkpoints, from one published tree. */
#include <string.h>

#include "router/private.h"

/* ROOTS in calls on a domain and DESCENDANTS in calls on a snapshot are the same bit. */
#define WALK_BIT VIREO_DOMAIN_SNAPSHOT_LIST_ROOTS
#define TOPOLOGICAL_BIT VIREO_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL

enum { OF_DOMAIN, OF_NODE };

static VireoTree *tree_of(const VireoTarget *target, const VireoServeRow *row)
{
    return vireo_object_tree(target->object, row->klass);
}

static GPtrArray *select_nodes(vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    guint32 flags = (guint32)vireo_op_get_flags(call->op, call->args);
    gboolean deep = row->which == OF_NODE ? (flags & WALK_BIT) != 0 : (flags & WALK_BIT) == 0;

    return vireo_tree_select(tree_of(target, row), row->which == OF_NODE ? target->node : NULL, deep,
                             flags & ~(guint32)(WALK_BIT | TOPOLOGICAL_BIT));
}

static void fill_domain(vireo_call *call, vireo_domain_ref *ref, const VireoObject *object)
{
    ref->name = vireo_arena_strdup(call->arena, object->name);
    memcpy(ref->uuid, object->uuid, sizeof ref->uuid);
    ref->id = object->id;
}

/* Snapshot and checkpoint references have the same layout. */
static void fill(vireo_call *call, vireo_domain_snapshot_ref *ref, const VireoTarget *target,
                 const VireoTreeNode *node)
{
    ref->name = vireo_arena_strdup(call->arena, node->name);
    fill_domain(call, &ref->dom, target->object);
}

static int list_all(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    g_autoptr(GPtrArray) nodes = select_nodes(call, target, row);
    const VireoWireField *field = &call->op->ret->fields[0];
    VireoWireArray *list = (VireoWireArray *)((char *)call->ret + field->offset);
    vireo_domain_snapshot_ref *refs = vireo_arena_alloc(call->arena, nodes->len * sizeof *refs);

    if (nodes->len > field->limit)
        return vireo_call_fail(call, VIREO_ERR_RPC, "%u are more than the protocol can list (%u)", nodes->len,
                               field->limit);
    for (guint i = 0; i < nodes->len; i++) {
        if (i == 0)
            fill(call, &refs[0], target, nodes->pdata[0]);
        refs[i].dom = refs[0].dom;
        refs[i].name = vireo_arena_strdup(call->arena, ((const VireoTreeNode *)nodes->pdata[i])->name);
    }
    *list = (VireoWireArray){ nodes->len, refs };
    return VIREO_OK;
}

static int list_names(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    g_autoptr(GPtrArray) nodes = select_nodes(call, target, row);
    const VireoWireField *field = &call->op->ret->fields[0];
    VireoWireArray *list = (VireoWireArray *)((char *)call->ret + field->offset);
    char **names = vireo_arena_alloc(call->arena, nodes->len * sizeof *names);

    for (guint i = 0; i < nodes->len; i++)
        names[i] = vireo_arena_strdup(call->arena, ((const VireoTreeNode *)nodes->pdata[i])->name);
    *list = (VireoWireArray){ MIN(nodes->len, field->limit), names };
    return VIREO_OK;
}

static void answer_int(vireo_call *call, gint32 value)
{
    *(gint32 *)((char *)call->ret + call->op->ret->fields[0].offset) = value;
}

static int count(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    g_autoptr(GPtrArray) nodes = select_nodes(call, target, row);

    answer_int(call, (gint32)nodes->len);
    return VIREO_OK;
}

static int answer_node(vireo_call *call, const VireoTarget *target, const VireoTreeNode *node)
{
    fill(call, (gpointer)((char *)call->ret + call->op->ret->fields[0].offset), target, node);
    return VIREO_OK;
}

static gboolean is_snapshot(const VireoServeRow *row)
{
    return row->klass == VIREO_CLASS_DOMAIN_SNAPSHOT;
}

static int none(vireo_call *call, const VireoServeRow *row, const char *format, const char *detail)
{
    g_autofree char *text = g_strdup_printf("%s %s '%s'", is_snapshot(row) ? "domain snapshot" : "domain checkpoint",
                                            format, detail);

    return vireo_call_fail(call, is_snapshot(row) ? VIREO_ERR_NO_DOMAIN_SNAPSHOT : VIREO_ERR_NO_DOMAIN_CHECKPOINT,
                           "no %s", text);
}

static int lookup(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    const VireoWireField *name = vireo_wire_field(call->op->args, "name");
    const char *wanted = *(char **)((char *)call->args + name->offset);
    const VireoTreeNode *node = vireo_tree_find(tree_of(target, row), wanted);

    return node ? answer_node(call, target, node) : none(call, row, "with matching name", wanted);
}

static int parent(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    const VireoTreeNode *above = vireo_tree_parent(tree_of(target, row), target->node);

    if (above)
        return answer_node(call, target, above);
    return vireo_call_fail(call, is_snapshot(row) ? VIREO_ERR_NO_DOMAIN_SNAPSHOT : VIREO_ERR_NO_DOMAIN_CHECKPOINT,
                           "'%s' is a root and has no parent", target->node->name);
}

static int current(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    const VireoTreeNode *node = vireo_tree_current(tree_of(target, row));

    if (node)
        return answer_node(call, target, node);
    return vireo_call_fail(call, VIREO_ERR_NO_DOMAIN_SNAPSHOT, "domain '%s' has no current snapshot",
                           target->object->name);
}

static int has_current(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    answer_int(call, vireo_tree_current(tree_of(target, row)) != NULL);
    return VIREO_OK;
}

static int is_current(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    answer_int(call, vireo_tree_current(tree_of(target, row)) == target->node);
    return VIREO_OK;
}

static int has_flag(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    answer_int(call, (target->node->flags & row->which) != 0);
    return VIREO_OK;
}

#define SNAPSHOT(op, fn, which) { VIREO_OP_##op, fn, VIREO_CLASS_DOMAIN_SNAPSHOT, which }
#define CHECKPOINT(op, fn, which) { VIREO_OP_##op, fn, VIREO_CLASS_DOMAIN_CHECKPOINT, which }

const VireoServeRow vireo_serve_snapshots[] = {
    SNAPSHOT(domain_snapshot_num, count, OF_DOMAIN),
    SNAPSHOT(domain_snapshot_list_names, list_names, OF_DOMAIN),
    SNAPSHOT(domain_list_all_snapshots, list_all, OF_DOMAIN),
    SNAPSHOT(domain_snapshot_num_children, count, OF_NODE),
    SNAPSHOT(domain_snapshot_list_children_names, list_names, OF_NODE),
    SNAPSHOT(domain_snapshot_list_all_children, list_all, OF_NODE),
    SNAPSHOT(domain_snapshot_lookup_by_name, lookup, 0),
    SNAPSHOT(domain_has_current_snapshot, has_current, 0),
    SNAPSHOT(domain_snapshot_current, current, 0),
    SNAPSHOT(domain_snapshot_get_parent, parent, 0),
    SNAPSHOT(domain_snapshot_is_current, is_current, 0),
    SNAPSHOT(domain_snapshot_has_metadata, has_flag, VIREO_TREE_METADATA),
    CHECKPOINT(domain_list_all_checkpoints, list_all, OF_DOMAIN),
    CHECKPOINT(domain_checkpoint_list_all_children, list_all, OF_NODE),
    CHECKPOINT(domain_checkpoint_lookup_by_name, lookup, 0),
    CHECKPOINT(domain_checkpoint_get_parent, parent, 0),
    { 0 },
};
