/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Our own program: which drivers there are, what they can do, and what they can not. */
#include <string.h>

#include "daemon/engine.h"
#include "loader/check.h"
#include "util/error.h"

static void fill_info(vireo_call *call, vireo_driver_info *to, const VireoModuleInfo *from)
{
    to->name = vireo_arena_strdup(call->arena, from->name);
    to->version = vireo_arena_strdup(call->arena, from->version);
    to->schemes = vireo_arena_strdup(call->arena, from->schemes);
    to->path = vireo_arena_strdup(call->arena, from->path);
    to->state = vireo_arena_strdup(call->arena, vireo_module_state_name(from->state));
    to->reason = vireo_arena_strdup(call->arena, from->reason);
    to->abi_major = from->abi_major;
    to->abi_target = from->abi_target;
    to->threads = vireo_arena_strdup(call->arena, from->note ? vireo_note_threads_name(from->threads) : "");
    to->n_ops = from->note ? from->note->n_ops : 0;
}

static int driver_list(VireoEngine *engine, vireo_call *call)
{
    vireo_vireo_driver_list_ret *ret = call->ret;
    g_autoptr(GPtrArray) modules = NULL;

    vireo_loader_scan(vireo_engine_loader(engine));
    modules = vireo_loader_list(vireo_engine_loader(engine));
    ret->drivers.len = MIN(modules->len, VIREO_LIMIT_DRIVER_LIST_MAX);
    ret->drivers.val = vireo_arena_alloc(call->arena, ret->drivers.len * sizeof *ret->drivers.val);
    for (guint i = 0; i < ret->drivers.len; i++)
        fill_info(call, &ret->drivers.val[i], modules->pdata[i]);
    return VIREO_OK;
}

static int no_driver(vireo_call *call, const char *name)
{
    return vireo_call_fail(call, VIREO_ERR_NO_CONNECT, "no driver '%s' (see 'vireo drivers')", name);
}

static int driver_get(VireoEngine *engine, vireo_call *call)
{
    const vireo_vireo_driver_get_args *args = call->args;
    vireo_vireo_driver_get_ret *ret = call->ret;
    VireoModule *module = vireo_loader_by_name(vireo_engine_loader(engine), args->name);
    g_autoptr(VireoModuleInfo) info = module ? vireo_module_info(module) : NULL;
    g_autofree VireoNoteOp *ops = NULL;
    guint n = 0;

    if (!module)
        return no_driver(call, args->name);
    fill_info(call, &ret->driver, info);
    ops = info->note ? vireo_note_effective_ops(info->note, &n) : NULL;
    ret->ops.len = n;
    ret->ops.val = vireo_arena_alloc(call->arena, n * sizeof *ret->ops.val);
    for (guint i = 0; i < n; i++)
        ret->ops.val[i] = (vireo_driver_op){
            .id = ops[i].id,
            .name = (char *)vireo_op_by_id(ops[i].id)->name,
            .native = ops[i].native,
            .trivial = ops[i].trivial,
            .active = ops[i].active,
            .inactive = ops[i].inactive,
        };
    return VIREO_OK;
}

/* "esx" of "esx", "esx:///" and "esx+unix:///". */
static char *scheme_of(const char *uri)
{
    return g_strndup(uri, strcspn(uri, "+:"));
}

/* The operations of a note as rows, so that the router can say what it would do with them. */
typedef struct {
    VireoNoteOp *ops;
    guint n;
    struct vireo_op row;
} Rows;

static const struct vireo_op *row_of(gconstpointer opaque, guint32 id)
{
    Rows *rows = (Rows *)opaque;

    for (guint i = 0; i < rows->n; i++)
        if (rows->ops[i].id == id) {
            rows->row = (struct vireo_op){ .id = id, .native = rows->ops[i].native, .trivial = rows->ops[i].trivial,
                                           .active = rows->ops[i].active, .inactive = rows->ops[i].inactive };
            return &rows->row;
        }
    return NULL;
}

static void fill_can(vireo_call *call, const VireoOp *op, guint64 flags, const char *driver, const Rows *rows)
{
    vireo_vireo_can_ret *ret = call->ret;
    const struct vireo_op *row = row_of(rows, op->id);
    g_autofree char *reason = NULL;

    ret->driver = vireo_arena_strdup(call->arena, driver);
    ret->op = (char *)op->name;
    ret->known = op->known_flags;
    if (row) {
        ret->native = row->native;
        ret->trivial = row->trivial;
        ret->active = row->active;
        ret->inactive = row->inactive;
    }
    ret->answer = vireo_router_can(op, flags, driver, row_of, rows, &reason);
    ret->reason = vireo_arena_strdup(call->arena, reason ? reason : "");
}

static int can(VireoEngine *engine, vireo_call *call)
{
    const vireo_vireo_can_args *args = call->args;
    g_autofree char *scheme = scheme_of(args->uri);
    VireoModule *module = vireo_loader_by_scheme(vireo_engine_loader(engine), scheme);
    const VireoOp *op = vireo_op_by_name(args->op);
    g_autoptr(VireoModuleInfo) info = NULL;
    g_autofree char *unknown = NULL;
    Rows rows = { 0 };
    guint64 flags;

    if (!module)
        module = vireo_loader_by_name(vireo_engine_loader(engine), scheme);
    if (!module)
        return no_driver(call, scheme);
    if (!op)
        return vireo_call_fail(call, VIREO_ERR_INVALID_ARG, "no operation is called '%s'", args->op);
    if (!vireo_op_parse_flags(op, args->flags, &flags, &unknown)) {
        g_autofree char *known = vireo_op_flag_names(op, op->known_flags);

        return vireo_call_fail(call, VIREO_ERR_INVALID_ARG, "%s has no flag '%s' (it has: %s)", op->name, unknown, known);
    }
    info = vireo_module_info(module);
    if (!info->note)
        return vireo_call_fail(call, VIREO_ERR_NO_CONNECT, "driver '%s': %s", info->name, info->reason);
    rows.ops = vireo_note_effective_ops(info->note, &rows.n);
    fill_can(call, op, flags, info->name, &rows);
    g_free(rows.ops);
    return VIREO_OK;
}

int vireo_engine_introspect(VireoEngine *engine, vireo_call *call)
{
    switch (call->op->id) {
    case VIREO_OP_vireo_driver_list:
        return driver_list(engine, call);
    case VIREO_OP_vireo_driver_get:
        return driver_get(engine, call);
    case VIREO_OP_vireo_can:
        return can(engine, call);
    default:
        return vireo_call_fail(call, VIREO_ERR_NO_SUPPORT, "%s", call->op->name);
    }
}
