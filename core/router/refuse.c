/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is refused before a driver is asked, and in which words. */
#include <string.h>

#include "router/private.h"

/* The operation as people write it: domain-snapshot-delete. */
static char *spoken(const VireoOp *op)
{
    return g_strdelimit(g_strdup(op->name), "_", '-');
}

int vireo_refuse_readonly(const VireoConn *conn, vireo_call *call)
{
    const VireoOp *op = call->op;
    const VireoWireField *arg = op->readonly_arg ? vireo_wire_field(op->args, op->readonly_arg) : NULL;
    guint64 flags;

    if (!conn->readonly)
        return VIREO_OK;
    if (op->readonly_refused)
        return vireo_call_fail(call, VIREO_ERR_OPERATION_DENIED, "read only access prevents %s", op->api ? op->api : op->name);
    flags = op->readonly_flags & vireo_op_get_flags(op, call->args);
    if (flags) {
        g_autofree char *names = vireo_op_flag_names(op, flags);

        return vireo_call_fail(call, VIREO_ERR_OPERATION_DENIED, "read only access prevents %s with %s", op->api, names);
    }
    if (arg && *(gint32 *)((char *)call->args + arg->offset) == op->readonly_value)
        return vireo_call_fail(call, VIREO_ERR_OPERATION_DENIED, "read only access prevents %s with this %s",
                               op->api, op->readonly_arg);
    return VIREO_OK;
}

int vireo_refuse_unsupported(const VireoConn *conn, vireo_call *call)
{
    g_autofree char *name = spoken(call->op);

    return vireo_call_fail(call, VIREO_ERR_NO_SUPPORT, "driver '%s' does not serve %s%s%s%s", conn->backend->name,
                           name, call->op->api ? " (" : "", call->op->api ? call->op->api : "",
                           call->op->api ? ")" : "");
}

guint64 vireo_core_flags(const VireoOp *op)
{
    /* A getter's note that the client understands string parameters is for the encoder. */
    for (const VireoFlag *flag = op->flags; flag && flag->name; flag++)
        if (strcmp(flag->name, "STRING_OKAY") == 0)
            return flag->bit;
    return 0;
}

static int refuse_unknown(const VireoConn *conn, vireo_call *call, const struct vireo_op *row, guint64 refused)
{
    g_autofree char *name = spoken(call->op);
    g_autofree char *names = vireo_op_flag_names(call->op, refused);
    g_autofree char *supported = vireo_op_flag_names(call->op, row->native | row->trivial | vireo_core_flags(call->op));
    gboolean several = (refused & (refused - 1)) != 0;

    return vireo_call_fail(call, VIREO_ERR_INVALID_ARG, "driver '%s': %s: flag%s %s %s not supported (supported: %s)",
                           conn->backend->name, name, several ? "s" : "", names, several ? "are" : "is", supported);
}

static int refuse_rules(const VireoConn *conn, vireo_call *call, guint64 flags)
{
    for (const VireoFlagRule *rule = call->op->flag_rules; rule && rule->kind; rule++) {
        g_autofree char *first = vireo_op_flag_names(call->op, rule->first);
        g_autofree char *second = vireo_op_flag_names(call->op, rule->second);
        g_autofree char *name = spoken(call->op);

        if (!(flags & rule->first))
            continue;
        if (rule->kind == VIREO_FLAGS_EXCLUSIVE && (flags & rule->second))
            return vireo_call_fail(call, VIREO_ERR_INVALID_ARG, "%s: flags %s and %s are mutually exclusive", name,
                                   first, second);
        if (rule->kind == VIREO_FLAGS_REQUIRES && !(flags & rule->second))
            return vireo_call_fail(call, VIREO_ERR_INVALID_ARG, "%s: flag %s requires flag %s", name, first, second);
    }
    return VIREO_OK;
}

static int refuse_state(const VireoConn *conn, vireo_call *call, const struct vireo_op *row, guint64 flags,
                        const VireoObject *object)
{
    gboolean active = vireo_object_is_active(object);
    guint64 bound = flags & (active ? row->inactive : row->active);
    g_autofree char *names = NULL;
    g_autofree char *name = NULL;

    if (!bound)
        return VIREO_OK;
    names = vireo_op_flag_names(call->op, bound);
    name = spoken(call->op);
    return vireo_call_fail(call, VIREO_ERR_OPERATION_INVALID, "%s: %s has no effect while '%s' is %s, so it is refused",
                           name, names, object->name, active ? "running" : "not running");
}

int vireo_refuse_flags(const VireoConn *conn, vireo_call *call, const struct vireo_op *row,
                       const VireoTarget *target)
{
    guint64 flags = vireo_op_get_flags(call->op, call->args);
    guint64 refused = flags & ~(row->native | row->trivial | vireo_core_flags(call->op));

    if (!flags)
        return VIREO_OK;
    if (refused)
        return refuse_unknown(conn, call, row, refused);
    if (refuse_rules(conn, call, flags) != VIREO_OK)
        return VIREO_FAIL;
    return target->object ? refuse_state(conn, call, row, flags, target->object) : VIREO_OK;
}
