/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One operation in terms of another: arguments and results are matched by name. */
#include <string.h>

#include "router/private.h"

/* What a member takes within its struct. */
static gsize value_size(const VireoWireField *field)
{
    switch (field->form) {
    case VIREO_WIRE_ARRAY:
        return sizeof(VireoWireArray);
    case VIREO_WIRE_OPTIONAL:
        return sizeof(void *);
    case VIREO_WIRE_FIXED:
        return field->limit * vireo_wire_element_size(field);
    default:
        return vireo_wire_element_size(field);
    }
}

/* Copies the members both structs have. Only the surface: what they point to stays where it is. */
static void copy_common(const VireoWireType *from_type, const void *from, const VireoWireType *to_type, void *to)
{
    for (guint i = 0; from_type && to_type && i < from_type->n_fields; i++) {
        const VireoWireField *source = &from_type->fields[i];
        const VireoWireField *target = vireo_wire_field(to_type, source->name);

        if (target && value_size(target) == value_size(source))
            memcpy((char *)to + target->offset, (const char *)from + source->offset, value_size(source));
    }
}

static void set_number(const VireoWireField *field, void *struct_, guint64 value)
{
    char *at = (char *)struct_ + field->offset;

    if (value_size(field) == 8)
        *(guint64 *)at = value;
    else
        *(guint32 *)at = (guint32)value;
}

void vireo_derive_enter(vireo_call *call, VireoOuter *outer)
{
    const VireoOp *source = vireo_source_of(call->op);
    gpointer args = source->args ? vireo_arena_alloc(call->arena, source->args->size) : NULL;

    *outer = (VireoOuter){ call->op, call->args, call->ret };
    if (!vireo_convert_args(call->op, call->args, args))
        copy_common(call->op->args, call->args, source->args, args);
    for (const VireoDeriveSet *set = call->op->derive_set; set && set->field; set++) {
        const VireoWireField *field = vireo_wire_field(source->args, set->field);

        if (field)
            set_number(field, args, set->value);
    }
    call->op = source;
    call->args = args;
    call->ret = source->ret ? vireo_arena_alloc(call->arena, source->ret->size) : NULL;
}

void vireo_derive_leave(vireo_call *call, const VireoOuter *outer, gboolean ok)
{
    if (ok && !vireo_convert_ret(outer->op, call->ret, outer->ret, outer->args, call->arena))
        copy_common(call->op->ret, call->ret, outer->op->ret, outer->ret);
    call->op = outer->op;
    call->args = outer->args;
    call->ret = outer->ret;
}
