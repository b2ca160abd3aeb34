/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures: one request for the time of all virtual CPUs, one for the memory of all machines; disks and cards are in
 * counter.c. */
#include "ops.h"

#include <string.h>

#include "kit/stats.h"

#define SERVED                                                                                                         \
    (VIREO_DOMAIN_STATS_STATE | VIREO_DOMAIN_STATS_CPU_TOTAL | VIREO_DOMAIN_STATS_BALLOON | VIREO_DOMAIN_STATS_VCPU |   \
     VIREO_DOMAIN_STATS_INTERFACE | VIREO_DOMAIN_STATS_BLOCK)
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

/* Of all machines; NULL: not asked for. */
typedef struct {
    GHashTable *times, *memory;
    HypervDevicesOfAll *devices;
} Figures;

static Figures read_figures(HypervTalk *talk, guint groups)
{
    gboolean disks = groups & VIREO_DOMAIN_STATS_BLOCK, cards = groups & VIREO_DOMAIN_STATS_INTERFACE;

    return (Figures){.times = groups & VIREO_DOMAIN_STATS_CPU_TOTAL ? read_times(talk) : NULL,
                     .memory = groups & VIREO_DOMAIN_STATS_BALLOON ? read_memory(talk) : NULL,
                     .devices = disks || cards ? hyperv_devices_of_all(talk, disks, cards) : NULL};
}

static void figures_clear(Figures *figures)
{
    g_clear_pointer(&figures->times, g_hash_table_unref);
    g_clear_pointer(&figures->memory, g_hash_table_unref);
    g_clear_pointer(&figures->devices, hyperv_devices_of_all_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Figures, figures_clear)

static void fill(HypervTalk *talk, vireo_domain_stats_record *record, const HypervMachine *machine, guint groups,
                 const Figures *figures)
{
    const struct vireo_host *host = talk->server->driver->host;
    gboolean active = hyperv_state_is_active(machine->state);
    const guint64 *now = figures->memory ? g_hash_table_lookup(figures->memory, machine->guid) : NULL;
    g_auto(VireoParams) params = {0};

    record->dom.name = host->strdup(talk->call, machine->name);
    memcpy(record->dom.uuid, machine->uuid, 16);
    record->dom.id = active ? machine->id : -1;
    vireo_params_init(&params, host, talk->call);
    if (groups & VIREO_DOMAIN_STATS_STATE) {
        vireo_param_int(&params, "state.state", hyperv_state_of(machine->state));
        vireo_param_int(&params, "state.reason", machine->reason);
    }
    if (figures->times && active)
        vireo_param_ullong(&params, "cpu.time", time_of(figures->times, machine));
    if (groups & VIREO_DOMAIN_STATS_BALLOON) {
        vireo_param_ullong(&params, "balloon.current", now ? *now : machine->memory);
        vireo_param_ullong(&params, "balloon.maximum", machine->memory);
    }
    if (groups & VIREO_DOMAIN_STATS_VCPU) {
        vireo_param_uint(&params, "vcpu.current", machine->vcpus);
        vireo_param_uint(&params, "vcpu.maximum", machine->vcpus);
    }
    if (figures->devices)
        hyperv_devices_of_all_put(talk, figures->devices, machine, &params);
    record->params.val = vireo_params_take(&params, &record->params.len);
}

int hyperv_connect_get_all_domain_stats(void *handle, vireo_call *call,
                                        const vireo_connect_get_all_domain_stats_args *args,
                                        vireo_connect_get_all_domain_stats_ret *ret)
{
    HypervConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    guint groups = args->stats ? args->stats : SERVED;
    VireoHttpWait wait = hyperv_wait(call);
    HypervTalk talk;

    if ((args->flags & VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS) && (args->stats & ~(guint)SERVED))
        return host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED, "statistics groups 0x%x are not served",
                          args->stats & ~(guint)SERVED);
    g_autoptr(GPtrArray) machines = vireo_machines_all(conn->server->machines);
    ret->retStats.val = host->alloc(call, sizeof *ret->retStats.val * (machines->len + 1));
    hyperv_talk_begin(&talk, conn->server, call, &wait);
    g_auto(Figures) figures = read_figures(&talk, groups);
    for (guint i = 0; i < machines->len; i++) {
        const HypervMachine *machine = machines->pdata[i];

        if (vireo_stats_is_asked_for(args, machine->uuid) &&
            vireo_stats_chosen(args->flags, hyperv_state_is_active(machine->state), TRUE, hyperv_state_of(machine->state)))
            fill(&talk, &ret->retStats.val[ret->retStats.len++], machine, groups, &figures);
    }
    return hyperv_talk_finish(&talk, call);
}
