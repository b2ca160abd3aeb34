/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a machine gets of its host's CPUs and memory. */
#include "ops.h"

static const struct {
    const char *name;
    int value; /* what clients say instead of a number */
} levels[] = {
    [VIM_SHARES_LEVEL_LOW] = { "low", -1 },
    [VIM_SHARES_LEVEL_NORMAL] = { "normal", -2 },
    [VIM_SHARES_LEVEL_HIGH] = { "high", -3 },
};

static VimResourceAllocationInfo *allocation(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom, const char *path,
                                             VireoArena *arena)
{
    VimObjectContent *found = esx_machine_properties(conn, call, dom, &path, 1, arena);
    VimResourceAllocationInfo *info =
        found ? vireo_soap_value_struct(esx_property(found, path), &vim_resource_allocation_info_type) : NULL;

    if (found && !info)
        conn->driver->host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED, "the server does not say what machine '%s' gets",
                                 dom->name);
    return info;
}

/* ---- CPUs ---------------------------------------------------------------------------- */

int esx_domain_get_scheduler_type(void *handle, vireo_call *call, const vireo_domain_get_scheduler_type_args *args,
                                  vireo_domain_get_scheduler_type_ret *ret)
{
    EsxConn *conn = handle;

    if (!esx_machine_ref(conn, call, &args->dom))
        return VIREO_FAIL;
    ret->type = conn->driver->host->strdup(call, "allocation");
    ret->nparams = 3;
    return VIREO_OK;
}

static int shares_of(const VimSharesInfo *shares)
{
    for (guint i = 0; shares && i < G_N_ELEMENTS(levels); i++)
        if (levels[i].name && (guint)shares->level == i)
            return levels[i].value;
    return shares ? shares->shares : -2;
}

static int give(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom, guint most, vireo_typed_param **val, guint32 *len)
{
    const struct vireo_host *host = conn->driver->host;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimResourceAllocationInfo *cpu = allocation(conn, call, dom, "config.cpuAllocation", arena);

    if (!cpu)
        return VIREO_FAIL;
    const vireo_typed_param params[] = {
        { .field = "reservation", .value = { .type = VIREO_TYPED_PARAM_LLONG, .l = cpu->has_reservation ? cpu->reservation : 0 } },
        { .field = "limit", .value = { .type = VIREO_TYPED_PARAM_LLONG, .l = cpu->has_limit ? cpu->limit : -1 } },
        { .field = "shares", .value = { .type = VIREO_TYPED_PARAM_INT, .i = shares_of(cpu->shares) } },
    };
    *len = MIN(most, G_N_ELEMENTS(params));
    *val = host->alloc(call, sizeof params);
    for (guint i = 0; i < *len; i++) {
        (*val)[i] = params[i];
        (*val)[i].field = host->strdup(call, params[i].field);
    }
    return VIREO_OK;
}

int esx_domain_get_scheduler_parameters_flags(void *handle, vireo_call *call,
                                              const vireo_domain_get_scheduler_parameters_flags_args *args,
                                              vireo_domain_get_scheduler_parameters_flags_ret *ret)
{
    return give(handle, call, &args->dom, (guint)MAX(args->nparams, 0), &ret->params.val, &ret->params.len);
}

static gboolean take_shares(VimSharesInfo *shares, int value)
{
    shares->level = VIM_SHARES_LEVEL_CUSTOM;
    shares->shares = value;
    for (guint i = 0; i < G_N_ELEMENTS(levels); i++)
        if (levels[i].name && levels[i].value == value) {
            shares->level = (VimSharesLevel)i;
            shares->shares = 0; /* the server's to say */
        }
    return shares->shares >= 0;
}

int esx_domain_set_scheduler_parameters_flags(void *handle, vireo_call *call,
                                              const vireo_domain_set_scheduler_parameters_flags_args *args)
{
    EsxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    VimSharesInfo shares = { 0 };
    VimResourceAllocationInfo cpu = { 0 };
    VimVirtualMachineConfigSpec spec = { .cpu_allocation = &cpu };

    for (guint i = 0; i < args->params.len; i++) {
        const char *name = args->params.val[i].field;
        const vireo_typed_param_value *value = &args->params.val[i].value;
        gboolean good = TRUE;

        if (g_str_equal(name, "reservation")) {
            cpu.has_reservation = TRUE;
            cpu.reservation = value->l;
            good = value->l >= 0;
        } else if (g_str_equal(name, "limit")) {
            cpu.has_limit = TRUE;
            cpu.limit = value->l;
            good = value->l >= -1;
        } else if (g_str_equal(name, "shares")) {
            cpu.shares = &shares;
            good = take_shares(&shares, value->i);
        } else
            return host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED, "%s: there are reservation, limit and shares", name);
        if (!good)
            return host->fail(call, VIREO_ERR_INVALID_ARG, "%s: reservation is a number of MHz, limit likewise or -1 for "
                              "none, shares a number or -1, -2 or -3 for low, normal or high", name);
    }
    return esx_machine_reconfigure(conn, call, &args->dom, &spec);
}

/* ---- memory -------------------------------------------------------------------------- */

int esx_domain_get_memory_parameters(void *handle, vireo_call *call, const vireo_domain_get_memory_parameters_args *args,
                                     vireo_domain_get_memory_parameters_ret *ret)
{
    EsxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimResourceAllocationInfo *memory = allocation(conn, call, &args->dom, "config.memoryAllocation", arena);

    if (!memory)
        return VIREO_FAIL;
    ret->params.val = host->alloc(call, sizeof *ret->params.val);
    ret->params.len = 1;
    ret->params.val->field = host->strdup(call, "min_guarantee");
    ret->params.val->value.type = VIREO_TYPED_PARAM_ULLONG;
    ret->params.val->value.ul = memory->has_reservation ? (guint64)MAX(memory->reservation, 0) * 1024 : 0;
    return VIREO_OK;
}

int esx_domain_set_memory_parameters(void *handle, vireo_call *call, const vireo_domain_set_memory_parameters_args *args)
{
    EsxConn *conn = handle;
    VimResourceAllocationInfo memory = { 0 };
    VimVirtualMachineConfigSpec spec = { .memory_allocation = &memory };

    for (guint i = 0; i < args->params.len; i++) {
        const vireo_typed_param *param = &args->params.val[i];

        if (!g_str_equal(param->field, "min_guarantee"))
            return conn->driver->host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED, "%s: there is min_guarantee", param->field);
        if (param->value.ul / 1024 >= G_MAXINT64)
            return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "min_guarantee: that is too much");
        memory.has_reservation = TRUE;
        memory.reservation = (gint64)(param->value.ul / 1024 + (param->value.ul % 1024 != 0));
    }
    return esx_machine_reconfigure(conn, call, &args->dom, &spec);
}
