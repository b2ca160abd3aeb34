/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures of many machines at once, from what the server has told already: no request is made. */
#include "ops.h"

#include <string.h>

#include "kit/stats.h"

#define SERVED (VIREO_DOMAIN_STATS_STATE | VIREO_DOMAIN_STATS_BALLOON | VIREO_DOMAIN_STATS_VCPU)
#define MOST   6

#define FLAG(name) VIREO_CONNECT_GET_ALL_DOMAINS_STATS_##name

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

static void fill(vireo_domain_stats_record *record, const struct vireo_host *host, vireo_call *call,
                 const EsxMachine *machine, guint groups)
{
    record->dom.name = host->strdup(call, machine->name);
    memcpy(record->dom.uuid, machine->uuid, 16);
    record->dom.id = machine->power == VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF ? -1 : machine->id;
    record->params.val = host->alloc(call, sizeof *record->params.val * MOST);
    if (groups & VIREO_DOMAIN_STATS_STATE) {
        add(record, host, call, "state.state", VIREO_TYPED_PARAM_INT, (guint64)esx_machine_state(machine));
        add(record, host, call, "state.reason", VIREO_TYPED_PARAM_INT, (guint64)machine->reason);
    }
    if (groups & VIREO_DOMAIN_STATS_BALLOON) {
        add(record, host, call, "balloon.current", VIREO_TYPED_PARAM_ULLONG, machine->memory);
        add(record, host, call, "balloon.maximum", VIREO_TYPED_PARAM_ULLONG, machine->max_memory);
    }
    if (groups & VIREO_DOMAIN_STATS_VCPU) {
        add(record, host, call, "vcpu.current", VIREO_TYPED_PARAM_UINT, machine->vcpus);
        add(record, host, call, "vcpu.maximum", VIREO_TYPED_PARAM_UINT, machine->vcpus);
    }
}

int esx_connect_get_all_domain_stats(void *handle, vireo_call *call, const vireo_connect_get_all_domain_stats_args *args,
                                     vireo_connect_get_all_domain_stats_ret *ret)
{
    EsxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    guint groups = args->stats ? args->stats : SERVED;

    if ((args->flags & FLAG(ENFORCE_STATS)) && (args->stats & ~(guint)SERVED))
        return host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED, "statistics groups 0x%x are not served",
                          args->stats & ~(guint)SERVED);
    g_autoptr(GPtrArray) machines = vireo_machines_all(conn->server->machines);
    ret->retStats.val = host->alloc(call, sizeof *ret->retStats.val * (machines->len + 1));
    for (guint i = 0; i < machines->len; i++) {
        const EsxMachine *machine = machines->pdata[i];
        gboolean active = machine->power != VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF;

        if (vireo_stats_is_asked_for(args, machine->uuid) && vireo_stats_chosen(args->flags, active, TRUE, esx_machine_state(machine)))
            fill(&ret->retStats.val[ret->retStats.len++], host, call, machine, groups);
    }
    return VIREO_OK;
}
