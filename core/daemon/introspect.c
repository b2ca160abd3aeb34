/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Our own program: which drivers there are, what they can do, and what they can not. */
#include <string.h>
#include <unistd.h>

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

    vireo_engine_scan(engine);
    modules = vireo_engine_drivers(engine);
    ret->drivers.len = MIN(modules->len, VIREO_LIMIT_DRIVER_LIST_MAX);
    ret->drivers.val = vireo_arena_alloc(call->arena, ret->drivers.len * sizeof *ret->drivers.val);
    for (guint i = 0; i < ret->drivers.len; i++)
        fill_info(call, &ret->drivers.val[i], modules->pdata[i]);
    return VIREO_OK;
}

static void fill_place(VireoEngine *engine, vireo_call *call, const char *name, vireo_driver_place *to)
{
    const VireoDriverSettings *settings = vireo_engine_settings(engine, name);
    VireoIsolate *isolate = vireo_engine_isolate(engine, name);
    VireoIsolateInfo info = { 0 };

    if (isolate)
        vireo_isolate_info(isolate, &info);
    else if (!settings || !settings->process)
        info.pid = getpid();
    to->name = vireo_arena_strdup(call->arena, name);
    to->isolation = settings && settings->process ? "process" : "in-process";
    to->user = settings && settings->process && settings->user ? settings->user : "";
    to->pid = info.pid;
    to->starts = info.starts;
    to->since = info.since;
}

static int driver_places(VireoEngine *engine, vireo_call *call)
{
    vireo_vireo_driver_places_ret *ret = call->ret;
    g_autoptr(GPtrArray) modules = vireo_loader_list(vireo_engine_loader(engine));

    ret->places.len = MIN(modules->len, VIREO_LIMIT_DRIVER_LIST_MAX);
    ret->places.val = vireo_arena_alloc(call->arena, ret->places.len * sizeof *ret->places.val);
    for (guint i = 0; i < ret->places.len; i++)
        fill_place(engine, call, ((const VireoModuleInfo *)modules->pdata[i])->name, &ret->places.val[i]);
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
    g_autoptr(VireoModuleInfo) info = vireo_engine_driver(engine, args->name);
    g_autofree VireoNoteOp *ops = NULL;
    guint n = 0;

    if (!info)
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

/* What the module's note tells; NULL when it has none that can be read. */
static VireoNoteTable *read_table(vireo_call *call, const VireoModuleInfo *info)
{
    if (info->note)
        return vireo_note_table_new(info->note);
    vireo_call_fail(call, VIREO_ERR_NO_CONNECT, "driver '%s': %s", info->name, info->reason);
    return NULL;
}

static void fill_can(vireo_call *call, const VireoOp *op, const VireoOffer *offer, const vireo_op_offer *answer)
{
    vireo_vireo_can_ret *ret = call->ret;

    ret->driver = vireo_arena_strdup(call->arena, offer->driver);
    ret->op = (char *)op->name;
    ret->answer = answer->answer;
    ret->native = answer->native;
    ret->trivial = answer->trivial;
    ret->active = answer->active;
    ret->inactive = answer->inactive;
    ret->known = answer->known;
    ret->reason = answer->reason;
}

static int can(VireoEngine *engine, vireo_call *call)
{
    const vireo_vireo_can_args *args = call->args;
    g_autofree char *scheme = scheme_of(args->uri);
    g_autoptr(VireoModuleInfo) info = vireo_engine_driver(engine, scheme);
    g_autoptr(VireoNoteTable) table = NULL;
    vireo_op_offer answer;
    VireoOffer offer;
    const VireoOp *op;
    guint64 flags;

    if (!info)
        return no_driver(call, scheme);
    if (vireo_offer_read(call, args->op, args->flags, &op, &flags) != VIREO_OK ||
        !(table = read_table(call, info)))
        return VIREO_FAIL;
    offer = vireo_note_table_offer(table);
    vireo_offer_tell(call, &offer, op, flags, &(VireoCase){ 0 }, &answer);
    fill_can(call, op, &offer, &answer);
    return VIREO_OK;
}

static int driver_ops(VireoEngine *engine, vireo_call *call)
{
    const vireo_vireo_driver_ops_args *args = call->args;
    vireo_vireo_driver_ops_ret *ret = call->ret;
    g_autoptr(VireoModuleInfo) info = vireo_engine_driver(engine, args->name);
    g_autoptr(VireoNoteTable) table = NULL;
    VireoOffer offer;

    if (!info)
        return no_driver(call, args->name);
    fill_info(call, &ret->driver, info);
    table = read_table(call, info);
    if (!table)
        return VIREO_FAIL;
    offer = vireo_note_table_offer(table);
    ret->ops.len = vireo_offer_tell_all(call, &offer, &(VireoCase){ 0 }, &ret->ops.val);
    return VIREO_OK;
}

int vireo_engine_introspect(VireoEngine *engine, vireo_call *call)
{
    switch (call->op->id) {
    case VIREO_OP_vireo_driver_list:
        return driver_list(engine, call);
    case VIREO_OP_vireo_driver_get:
        return driver_get(engine, call);
    case VIREO_OP_vireo_driver_places:
        return driver_places(engine, call);
    case VIREO_OP_vireo_can:
        return can(engine, call);
    case VIREO_OP_vireo_driver_ops:
        return driver_ops(engine, call);
    default:
        return vireo_call_fail(call, VIREO_ERR_NO_SUPPORT, "%s", call->op->name);
    }
}
