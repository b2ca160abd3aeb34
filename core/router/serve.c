/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "router/private.h"

static const VireoServeRow **by_op; /* one slot per row of vireo_ops */

static void index_rows(const VireoServeRow *rows)
{
    for (; rows->id; rows++)
        by_op[vireo_op_by_id(rows->id) - vireo_ops] = rows;
}

const VireoServeRow *vireo_serve_row(const VireoOp *op)
{
    static gsize once;

    if (g_once_init_enter(&once)) {
        by_op = g_new0(const VireoServeRow *, vireo_n_ops);
        index_rows(vireo_serve_objects);
        index_rows(vireo_serve_snapshots);
        g_once_init_leave(&once, 1);
    }
    return by_op[op - vireo_ops];
}

static void set_string(vireo_call *call, const VireoWireType *type, void *at, const char *name, const char *value)
{
    const VireoWireField *field = vireo_wire_field(type, name);

    if (field && field->kind == VIREO_WIRE_STRING)
        *(char **)((char *)at + field->offset) = vireo_arena_strdup(call->arena, value ? value : "");
}

static void set_int(const VireoWireType *type, void *at, const char *name, gint32 value)
{
    const VireoWireField *field = vireo_wire_field(type, name);

    if (field && field->kind == VIREO_WIRE_INT)
        *(gint32 *)((char *)at + field->offset) = value;
}

void vireo_reference_fill(vireo_call *call, const VireoWireType *type, void *at, const VireoObject *object)
{
    const VireoWireField *uuid = vireo_wire_field(type, "uuid");

    set_string(call, type, at, "name", object->name);
    set_string(call, type, at, "mac", object->key);
    set_string(call, type, at, "usageID", object->key);
    set_int(type, at, "usageType", object->kind);
    set_int(type, at, "id", object->id);
    if (uuid)
        memcpy((char *)at + uuid->offset, object->uuid, 16);
}
