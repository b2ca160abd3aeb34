/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conventions of the wire that every driver would have to know otherwise: a count asked with room for
 * nothing, lists that nobody wants, strings for a client that cannot take them.
 */
#include <string.h>

#include "router/private.h"

static gint32 *int_member(const VireoWireType *type, void *struct_, const char *name)
{
    const VireoWireField *field = vireo_wire_field(type, name);

    if (!field || field->form != VIREO_WIRE_ONE ||
        (field->kind != VIREO_WIRE_INT && field->kind != VIREO_WIRE_UINT))
        return NULL;
    return (gint32 *)((char *)struct_ + field->offset);
}

static VireoWireArray *array_member(const VireoWireType *type, void *struct_, const VireoWireType *of)
{
    for (guint i = 0; type && i < type->n_fields; i++)
        if (type->fields[i].form == VIREO_WIRE_ARRAY && (!of || type->fields[i].type == of))
            return (VireoWireArray *)((char *)struct_ + type->fields[i].offset);
    return NULL;
}

static const VireoWireType *typed_param_type(const VireoWireType *ret)
{
    const VireoWireField *params = vireo_wire_field(ret, "params");

    return params && params->form == VIREO_WIRE_ARRAY && vireo_wire_field(params->type, "value") ? params->type : NULL;
}

static void drop_strings(VireoWireArray *params)
{
    vireo_typed_param *at = params->val;
    guint32 kept = 0;

    for (guint32 i = 0; i < params->len; i++)
        if (at[i].value.type != VIREO_TYPED_PARAM_STRING)
            at[kept++] = at[i];
    params->len = kept;
}

static void trim_params(vireo_call *call)
{
    const VireoWireType *element = typed_param_type(call->op->ret);
    gint32 *asked = int_member(call->op->args, call->args, "nparams");
    gint32 *told = int_member(call->op->ret, call->ret, "nparams");
    /* Where it is asked about several at once, the number is that of each. */
    gint32 *several = int_member(call->op->args, call->args, "ncpus");
    guint32 times = several ? (guint32)CLAMP(*several, 1, G_MAXINT16) : 1;
    guint64 strings_ok = vireo_core_flags(call->op);
    VireoWireArray *params;

    if (!element)
        return;
    params = array_member(call->op->ret, call->ret, element);
    if (strings_ok && !(vireo_op_get_flags(call->op, call->args) & strings_ok))
        drop_strings(params);
    /* A driver that knows the convention gives the count alone when asked with room for nothing. */
    if (told && (params->len || !asked || *asked) && !(several && *told))
        *told = (gint32)params->len;
    if (asked && told)
        params->len = (guint32)MIN(params->len, (guint64)MAX(*asked, 0) * times);
}

static void trim_list(vireo_call *call)
{
    gint32 *wanted = int_member(call->op->args, call->args, "need_results");
    gint32 *most = NULL;
    VireoWireArray *list = array_member(call->op->ret, call->ret, NULL);
    gint32 *count = int_member(call->op->ret, call->ret, "ret");

    if (!list)
        return;
    if (wanted && count) {
        if (list->len || *wanted) /* else the driver may have counted without a list */
            *count = (gint32)list->len;
        if (!*wanted)
            list->len = 0;
    }
    for (guint i = 0; !most && i < 4; i++)
        most = int_member(call->op->args, call->args,
                          (const char *const[]){ "maxnames", "maxids", "maxuuids", "maxcells" }[i]);
    if (most)
        list->len = MIN(list->len, (guint32)MAX(*most, 0));
}

void vireo_result_trim(vireo_call *call)
{
    if (!call->op->ret || !call->op->args)
        return;
    trim_params(call);
    trim_list(call);
}
