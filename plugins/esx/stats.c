/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures: from what the server has told already, and for all machines' CPU time a request or two. */
#include "ops.h"

#include <string.h>

#include "kit/stats.h"

#define SERVED                                                                                     \
    (VIREO_DOMAIN_STATS_STATE | VIREO_DOMAIN_STATS_CPU_TOTAL | VIREO_DOMAIN_STATS_BALLOON | VIREO_DOMAIN_STATS_VCPU)
#define MOST 7

#define FLAG(name) VIREO_CONNECT_GET_ALL_DOMAINS_STATS_##name

static gboolean is_active(const EsxMachine *machine)
{
    return machine->power != VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF;
}

/* Brings up to date what is known of those that run; one that is off has used nothing. */
static gboolean read_cpu_times(EsxServer *server, const GPtrArray *machines, const VireoHttpWait *wait, GError **error)
{
    g_autofree EsxRef **refs = g_new0(EsxRef *, machines->len + 1);
    guint n = 0;

    for (guint i = 0; i < machines->len; i++) {
        const EsxMachine *machine = machines->pdata[i];

        if (is_active(machine))
            refs[n++] = machine->ref;
        else
            esx_cpu_forget(server, machine->ref);
    }
    return n == 0 || esx_cpu_read(server, refs, n, wait, error);
}

int esx_domain_get_info(void *handle, vireo_call *call, const vireo_domain_get_info_args *args,
                        vireo_domain_get_info_ret *ret)
{
    EsxConn *conn = handle;
    EsxMachine *machine = esx_machine_find(conn->server, args->dom.uuid);
    g_autoptr(GPtrArray) one = g_ptr_array_new_with_free_func(esx_machine_free);
    VireoHttpWait wait = esx_wait(call);
    GError *error = NULL;

    if (!machine)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", args->dom.name);
    g_ptr_array_add(one, machine);
    if (!read_cpu_times(conn->server, one, &wait, &error))
        return esx_fail(conn->driver, call, error);
    ret->state = (guint8)esx_machine_state(machine);
    ret->maxMem = machine->max_memory;
    ret->memory = machine->memory;
    ret->nrVirtCpu = (guint16)machine->vcpus;
    ret->cpuTime = esx_cpu_time(conn->server, machine->ref);
    return VIREO_OK;
}

/* ---- of many ---------------------------------------------------------------------------- */

static void add(vireo_domain_stats_record *record, const struct vireo_host *host, vireo_call *call, const char *name,
                int type, guint64 value)
{
    vireo_typed_param *param = &record->params.val[record->params.len++];

    param->field = host->strdup(call, name);
    param->value.type = type;
    if (type == VIREO_TYPED_PARAM_INT)
        param->value.i = (int32_t)value;
    else if (type == VIREO_TYPED_PARAM_UINT)
        param->value.ui = (uint32_t)value;
    else
        param->value.ul = value;
}

static void fill(vireo_domain_stats_record *record, const EsxServer *server, vireo_call *call,
                 const EsxMachine *machine, guint groups)
{
    const struct vireo_host *host = server->driver->host;

    record->dom.name = host->strdup(call, machine->name);
    memcpy(record->dom.uuid, machine->uuid, 16);
    record->dom.id = is_active(machine) ? machine->id : -1;
    record->params.val = host->alloc(call, sizeof *record->params.val * MOST);
    if (groups & VIREO_DOMAIN_STATS_STATE) {
        add(record, host, call, "state.state", VIREO_TYPED_PARAM_INT, (guint64)esx_machine_state(machine));
        add(record, host, call, "state.reason", VIREO_TYPED_PARAM_INT, (guint64)machine->reason);
    }
    if ((groups & VIREO_DOMAIN_STATS_CPU_TOTAL) && is_active(machine))
        add(record, host, call, "cpu.time", VIREO_TYPED_PARAM_ULLONG, esx_cpu_time(server, machine->ref));
    if (groups & VIREO_DOMAIN_STATS_BALLOON) {
        add(record, host, call, "balloon.current", VIREO_TYPED_PARAM_ULLONG, machine->memory);
        add(record, host, call, "balloon.maximum", VIREO_TYPED_PARAM_ULLONG, machine->max_memory);
    }
    if (groups & VIREO_DOMAIN_STATS_VCPU) {
        add(record, host, call, "vcpu.current", VIREO_TYPED_PARAM_UINT, machine->vcpus);
        add(record, host, call, "vcpu.maximum", VIREO_TYPED_PARAM_UINT, machine->vcpus);
    }
}

/* References to the machines that the call means. */
static GPtrArray *chosen(EsxServer *server, const vireo_connect_get_all_domain_stats_args *args)
{
    GPtrArray *machines = vireo_machines_all(server->machines);

    for (guint i = machines->len; i > 0; i--) {
        const EsxMachine *machine = machines->pdata[i - 1];

        if (!vireo_stats_is_asked_for(args, machine->uuid) ||
            !vireo_stats_chosen(args->flags, is_active(machine), TRUE, esx_machine_state(machine)))
            g_ptr_array_remove_index(machines, i - 1);
    }
    return machines;
}

int esx_connect_get_all_domain_stats(void *handle, vireo_call *call, const vireo_connect_get_all_domain_stats_args *args,
                                     vireo_connect_get_all_domain_stats_ret *ret)
{
    EsxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    guint groups = args->stats ? args->stats : SERVED;
    VireoHttpWait wait = esx_wait(call);
    GError *error = NULL;

    if ((args->flags & FLAG(ENFORCE_STATS)) && (args->stats & ~(guint)SERVED))
        return host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED, "statistics groups 0x%x are not served",
                          args->stats & ~(guint)SERVED);
    g_autoptr(GPtrArray) machines = chosen(conn->server, args);
    /* Without waiting there is what was known before. */
    if ((groups & VIREO_DOMAIN_STATS_CPU_TOTAL) && !(args->flags & FLAG(NOWAIT)) &&
        !read_cpu_times(conn->server, machines, &wait, &error))
        return esx_fail(conn->driver, call, error);
    ret->retStats.val = host->alloc(call, sizeof *ret->retStats.val * (machines->len + 1));
    for (guint i = 0; i < machines->len; i++)
        fill(&ret->retStats.val[ret->retStats.len++], conn->server, call, machines->pdata[i], groups);
    return VIREO_OK;
}
