/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures: one request for the time of all virtual CPUs, one for the rest of all machines. */
#include "ops.h"

#include <string.h>

#include "kit/stats.h"

#define SERVED (VIREO_DOMAIN_STATS_STATE | VIREO_DOMAIN_STATS_CPU_TOTAL | VIREO_DOMAIN_STATS_BALLOON | VIREO_DOMAIN_STATS_VCPU)
#define COUNTER "Win32_PerfRawData_HvStats_HyperVHypervisorVirtualProcessor"

/* ---- what is counted ---------------------------------------------------------------------- */

/* Name of the machine -> nanoseconds. A counter is called "NAME:Hv VP 0". */
static GHashTable *read_times(HypervTalk *talk)
{
    GHashTable *times = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const GPtrArray *all = hyperv_query(talk, HYPERV_CIMV2, "select Name,PercentTotalRunTime from " COUNTER);

    for (guint i = 0; i < all->len; i++) {
        const char *name = vireo_cim_string(all->pdata[i], "Name"), *colon = strrchr(name, ':');
        g_autofree char *machine = colon ? g_strndup(name, (gsize)(colon - name)) : NULL;
        guint64 *time = machine ? g_hash_table_lookup(times, machine) : NULL;

        if (!machine)
            continue;
        if (!time) {
            time = g_new0(guint64, 1);
            g_hash_table_insert(times, g_steal_pointer(&machine), time);
        }
        *time += vireo_cim_number(all->pdata[i], "PercentTotalRunTime") * 100;
    }
    return times;
}

static guint64 time_of(GHashTable *times, const HypervMachine *machine)
{
    const guint64 *time = g_hash_table_lookup(times, machine->name);

    return time && hyperv_state_is_active(machine->state) ? *time : 0;
}

guint64 *hyperv_vcpu_times(HypervTalk *talk, const HypervMachine *machine)
{
    const GPtrArray *all = hyperv_query(talk, HYPERV_CIMV2, "select Name,PercentTotalRunTime from " COUNTER);
    guint64 *times = g_new0(guint64, machine->vcpus + 1);

    for (guint i = 0; i < all->len; i++) {
        const char *name = vireo_cim_string(all->pdata[i], "Name"), *blank = strrchr(name, ' ');
        gboolean own = g_str_has_prefix(name, machine->name) && name[strlen(machine->name)] == ':';
        guint64 number = own && blank ? g_ascii_strtoull(blank, NULL, 10) : G_MAXUINT64;

        if (number < machine->vcpus)
            times[number] = vireo_cim_number(all->pdata[i], "PercentTotalRunTime") * 100;
    }
    return times;
}

/* GUID -> KiB that the machine has just now. */
static GHashTable *read_memory(HypervTalk *talk)
{
    GHashTable *memory = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    VireoCim *args = vireo_cim_new("");

    vireo_cim_add_number(args, "RequestedInformation", "uint32", 0);
    vireo_cim_add_number(args, "RequestedInformation", "uint32", 103);
    const VireoCim *answer = hyperv_invoke(talk, hyperv_service(talk, HYPERV_VSMS), "GetSummaryInformation", args);
    for (guint i = 0; i < vireo_cim_count(answer, "SummaryInformation"); i++) {
        g_autoptr(VireoCim) one = vireo_cim_dup_object(answer, "SummaryInformation", i);
        guint64 kib = one ? vireo_cim_number(one, "MemoryUsage") * 1024 : 0;

        if (kib)
            g_hash_table_insert(memory, g_ascii_strup(vireo_cim_string(one, "Name"), -1), g_memdup2(&kib, sizeof kib));
    }
    return memory;
}

int hyperv_domain_get_info(void *handle, vireo_call *call, const vireo_domain_get_info_args *args,
                           vireo_domain_get_info_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);

    if (!machine)
        return VIREO_FAIL;
    ret->state = (guint8)hyperv_state_of(machine->state);
    ret->maxMem = ret->memory = machine->memory;
    ret->nrVirtCpu = (guint16)machine->vcpus;
    if (hyperv_state_is_active(machine->state)) {
        g_autoptr(GHashTable) times = read_times(&talk);

        ret->cpuTime = time_of(times, machine);
    }
    return hyperv_talk_finish(&talk, call);
}

/* ---- many machines ------------------------------------------------------------------------- */

typedef struct {
    const struct vireo_host *host;
    vireo_call *call;
    GArray *params;
} Params;

static vireo_typed_param_value *add(Params *params, const char *name, int type)
{
    vireo_typed_param one = {.field = params->host->strdup(params->call, name), .value = {.type = type}};

    g_array_append_val(params->params, one);
    return &g_array_index(params->params, vireo_typed_param, params->params->len - 1).value;
}

#define ADD_INT(params, name, number)   (add(params, name, VIREO_TYPED_PARAM_INT)->i = (number))
#define ADD_UINT(params, name, number)  (add(params, name, VIREO_TYPED_PARAM_UINT)->ui = (number))
#define ADD_ULONG(params, name, number) (add(params, name, VIREO_TYPED_PARAM_ULLONG)->ul = (number))

static void fill(vireo_domain_stats_record *record, Params *params, const HypervMachine *machine, guint groups,
                 GHashTable *times, GHashTable *memory)
{
    gboolean active = hyperv_state_is_active(machine->state);
    const guint64 *now = memory ? g_hash_table_lookup(memory, machine->guid) : NULL;

    record->dom.name = params->host->strdup(params->call, machine->name);
    memcpy(record->dom.uuid, machine->uuid, 16);
    record->dom.id = active ? machine->id : -1;
    if (groups & VIREO_DOMAIN_STATS_STATE) {
        ADD_INT(params, "state.state", hyperv_state_of(machine->state));
        ADD_INT(params, "state.reason", machine->reason);
    }
    if (times && active)
        ADD_ULONG(params, "cpu.time", time_of(times, machine));
    if (groups & VIREO_DOMAIN_STATS_BALLOON) {
        ADD_ULONG(params, "balloon.current", now ? *now : machine->memory);
        ADD_ULONG(params, "balloon.maximum", machine->memory);
    }
    if (groups & VIREO_DOMAIN_STATS_VCPU) {
        ADD_UINT(params, "vcpu.current", machine->vcpus);
        ADD_UINT(params, "vcpu.maximum", machine->vcpus);
    }
    record->params.len = params->params->len;
    record->params.val = params->host->alloc(params->call, sizeof *record->params.val * (params->params->len + 1));
    memcpy(record->params.val, params->params->data, sizeof *record->params.val * params->params->len);
}

static gboolean is_asked_for(const vireo_connect_get_all_domain_stats_args *args, const HypervMachine *machine)
{
    for (guint i = 0; i < args->doms.len; i++)
        if (memcmp(args->doms.val[i].uuid, machine->uuid, 16) == 0)
            return TRUE;
    return args->doms.len == 0;
}

int hyperv_connect_get_all_domain_stats(void *handle, vireo_call *call,
                                        const vireo_connect_get_all_domain_stats_args *args,
                                        vireo_connect_get_all_domain_stats_ret *ret)
{
    HypervConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    guint groups = args->stats ? args->stats : SERVED;
    VireoHttpWait wait = hyperv_wait(call);
    g_autoptr(GHashTable) times = NULL, memory = NULL;
    HypervTalk talk;

    if ((args->flags & VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS) && (args->stats & ~(guint)SERVED))
        return host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED, "statistics groups 0x%x are not served",
                          args->stats & ~(guint)SERVED);
    g_autoptr(GPtrArray) machines = hyperv_machine_all(conn->server);
    ret->retStats.val = host->alloc(call, sizeof *ret->retStats.val * (machines->len + 1));
    hyperv_talk_begin(&talk, conn->server, call, &wait);
    if (groups & VIREO_DOMAIN_STATS_CPU_TOTAL)
        times = read_times(&talk);
    if (groups & VIREO_DOMAIN_STATS_BALLOON)
        memory = read_memory(&talk);
    for (guint i = 0; i < machines->len; i++) {
        g_autoptr(GArray) array = g_array_new(FALSE, TRUE, sizeof(vireo_typed_param));
        Params params = {host, call, array};
        const HypervMachine *machine = machines->pdata[i];

        if (is_asked_for(args, machine) && vireo_stats_chosen(args->flags, hyperv_state_is_active(machine->state), TRUE,
                                                              hyperv_state_of(machine->state)))
            fill(&ret->retStats.val[ret->retStats.len++], &params, machine, groups, times, memory);
    }
    return hyperv_talk_finish(&talk, call);
}
