/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Old operations whose answer has another shape than the one they are served from. */
#include <string.h>

#include "router/private.h"

static gint64 number(const vireo_typed_param *params, guint32 n, const char *name, gint64 otherwise)
{
    for (guint32 i = 0; i < n; i++) {
        if (strcmp(params[i].field, name) != 0)
            continue;
        switch (params[i].value.type) {
        case VIREO_TYPED_PARAM_INT:
        case VIREO_TYPED_PARAM_BOOLEAN:
            return params[i].value.i;
        case VIREO_TYPED_PARAM_UINT:
            return params[i].value.ui;
        case VIREO_TYPED_PARAM_LLONG:
        case VIREO_TYPED_PARAM_ULLONG:
            return params[i].value.l;
        default:
            return otherwise;
        }
    }
    return otherwise;
}

static void ask_block_stats(const void *outer, void *inner)
{
    const vireo_domain_block_stats_args *from = outer;
    vireo_domain_block_stats_flags_args *to = inner;

    to->dom = from->dom;
    to->path = from->path;
    to->nparams = VIREO_LIMIT_DOMAIN_BLOCK_STATS_PARAMETERS_MAX;
}

static void tell_block_stats(const void *inner, void *outer, const void *args, VireoArena *arena)
{
    const vireo_domain_block_stats_flags_ret *from = inner;
    vireo_domain_block_stats_ret *to = outer;
    const vireo_typed_param *at = from->params.val;
    guint32 n = from->params.len;

    to->rd_req = number(at, n, "rd_operations", -1);
    to->rd_bytes = number(at, n, "rd_bytes", -1);
    to->wr_req = number(at, n, "wr_operations", -1);
    to->wr_bytes = number(at, n, "wr_bytes", -1);
    to->errs = number(at, n, "errs", -1);
}

static void ask_job_info(const void *outer, void *inner)
{
    ((vireo_domain_get_job_stats_args *)inner)->dom = ((const vireo_domain_get_job_info_args *)outer)->dom;
}

static void tell_job_info(const void *inner, void *outer, const void *args, VireoArena *arena)
{
    const vireo_domain_get_job_stats_ret *from = inner;
    vireo_domain_get_job_info_ret *to = outer;
    const vireo_typed_param *at = from->params.val;
    guint32 n = from->params.len;

    to->type = from->type;
    to->timeElapsed = (guint64)number(at, n, "time_elapsed", 0);
    to->timeRemaining = (guint64)number(at, n, "time_remaining", 0);
    to->dataTotal = (guint64)number(at, n, "data_total", 0);
    to->dataProcessed = (guint64)number(at, n, "data_processed", 0);
    to->dataRemaining = (guint64)number(at, n, "data_remaining", 0);
    to->memTotal = (guint64)number(at, n, "memory_total", 0);
    to->memProcessed = (guint64)number(at, n, "memory_processed", 0);
    to->memRemaining = (guint64)number(at, n, "memory_remaining", 0);
    to->fileTotal = (guint64)number(at, n, "disk_total", 0);
    to->fileProcessed = (guint64)number(at, n, "disk_processed", 0);
    to->fileRemaining = (guint64)number(at, n, "disk_remaining", 0);
}

static void ask_num_of_volumes(const void *outer, void *inner)
{
    ((vireo_storage_pool_list_all_volumes_args *)inner)->pool =
        ((const vireo_storage_pool_num_of_volumes_args *)outer)->pool;
}

static void tell_num_of_volumes(const void *inner, void *outer, const void *args, VireoArena *arena)
{
    ((vireo_storage_pool_num_of_volumes_ret *)outer)->num =
        (int)((const vireo_storage_pool_list_all_volumes_ret *)inner)->ret;
}

static void ask_list_volumes(const void *outer, void *inner)
{
    vireo_storage_pool_list_all_volumes_args *to = inner;

    to->pool = ((const vireo_storage_pool_list_volumes_args *)outer)->pool;
    to->need_results = 1;
}

static void tell_list_volumes(const void *inner, void *outer, const void *args, VireoArena *arena)
{
    const vireo_storage_pool_list_all_volumes_ret *from = inner;
    vireo_storage_pool_list_volumes_ret *to = outer;
    int most = ((const vireo_storage_pool_list_volumes_args *)args)->maxnames;

    to->names.len = MIN(from->vols.len, (guint32)MAX(most, 0));
    to->names.val = vireo_arena_alloc(arena, sizeof *to->names.val * (to->names.len + 1));
    for (guint32 i = 0; i < to->names.len; i++)
        to->names.val[i] = from->vols.val[i].name;
}

typedef struct {
    guint32 id, source;
    void (*ask)(const void *outer_args, void *inner_args);
    void (*tell)(const void *inner_ret, void *outer_ret, const void *outer_args, VireoArena *arena);
} Conversion;

static const Conversion conversions[] = {
    { VIREO_OP_domain_block_stats, VIREO_OP_domain_block_stats_flags, ask_block_stats, tell_block_stats },
    { VIREO_OP_domain_get_job_info, VIREO_OP_domain_get_job_stats, ask_job_info, tell_job_info },
    { VIREO_OP_storage_pool_num_of_volumes, VIREO_OP_storage_pool_list_all_volumes, ask_num_of_volumes,
      tell_num_of_volumes },
    { VIREO_OP_storage_pool_list_volumes, VIREO_OP_storage_pool_list_all_volumes, ask_list_volumes, tell_list_volumes },
};

static const Conversion *conversion_of(const VireoOp *op)
{
    for (guint i = 0; i < G_N_ELEMENTS(conversions); i++)
        if (conversions[i].id == op->id)
            return &conversions[i];
    return NULL;
}

const VireoOp *vireo_source_of(const VireoOp *op)
{
    const Conversion *conversion = op->derive_from ? NULL : conversion_of(op);

    return conversion ? vireo_op_by_id(conversion->source) : op->derive_from;
}

gboolean vireo_convert_args(const VireoOp *op, const void *outer, void *inner)
{
    const Conversion *conversion = conversion_of(op);

    if (conversion)
        conversion->ask(outer, inner);
    return conversion != NULL;
}

gboolean vireo_convert_ret(const VireoOp *op, const void *inner, void *outer, const void *args, VireoArena *arena)
{
    const Conversion *conversion = conversion_of(op);

    if (conversion)
        conversion->tell(inner, outer, args, arena);
    return conversion != NULL;
}
