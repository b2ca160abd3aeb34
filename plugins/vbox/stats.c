/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures of running machines, from what VirtualBox's debugger counts. */
#include "ops.h"

#include <string.h>

#include "kit/stats.h"
#include "spec.h"

#define PATTERN "/Public/*|/TM/CPU/*/cNs*"
#define SERVED                                                                                                         \
    (VIREO_DOMAIN_STATS_STATE | VIREO_DOMAIN_STATS_CPU_TOTAL | VIREO_DOMAIN_STATS_BALLOON | VIREO_DOMAIN_STATS_VCPU |  \
     VIREO_DOMAIN_STATS_INTERFACE | VIREO_DOMAIN_STATS_BLOCK)
#define COUNTED (VIREO_DOMAIN_STATS_CPU_TOTAL | VIREO_DOMAIN_STATS_INTERFACE | VIREO_DOMAIN_STATS_BLOCK)

/* ---- the counters ------------------------------------------------------------------------------ */

typedef struct {
    GHashTable *values; /* name -> guint64 */
    guint64 cpu_time;   /* nanoseconds that all CPUs did not halt */
} Counters;

static void counters_clear(Counters *counters)
{
    g_clear_pointer(&counters->values, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Counters, counters_clear)

/* <Counter c='512' name='/Public/...'/>, <U64 val='7' name='/TM/...'/> */
static void read_counter(GMarkupParseContext *context, const char *element, const char **names, const char **values,
                         gpointer opaque, GError **error)
{
    Counters *counters = opaque;
    const char *name = NULL;
    guint64 value = 0;

    (void)context, (void)element, (void)error;
    for (guint i = 0; names[i]; i++)
        if (g_str_equal(names[i], "name"))
            name = values[i];
        else if (g_str_equal(names[i], "c") || g_str_equal(names[i], "val"))
            value = g_ascii_strtoull(values[i], NULL, 10);
    if (!name)
        return;
    g_hash_table_replace(counters->values, g_strdup(name), g_memdup2(&value, sizeof value));
    if (g_str_has_suffix(name, "/cNsExecuting") || g_str_has_suffix(name, "/cNsOther"))
        counters->cpu_time += value;
}

static guint64 counter(const Counters *counters, const char *format, ...) G_GNUC_PRINTF(2, 3);
static guint64 counter(const Counters *counters, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *name = g_strdup_vprintf(format, args);
    va_end(args);
    const guint64 *value = g_hash_table_lookup(counters->values, name);
    return value ? *value : 0;
}

/* What is off counts nothing; and one that somebody does something with just now is not waited for. */
static void counters_read(VboxTalk *talk, const char *machine, Counters *counters)
{
    static const GMarkupParser parser = {.start_element = read_counter};
    VboxHold hold;

    counters->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (talk->error)
        return;
    if (!vbox_hold_briefly(talk, machine, &hold)) {
        g_clear_error(&talk->error);
        return;
    }
    const char *debugger = *hold.console ? VBOX_TAKE(talk, i_console_get_debugger, hold.console) : "";
    const char *text =
        *debugger ? VBOX_CALL(talk, i_machine_debugger_get_stats, ._this = debugger, .pattern = PATTERN)->returnval : "";
    g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(&parser, 0, counters, NULL);
    g_markup_parse_context_parse(context, text, (gssize)strlen(text), NULL);
    vbox_let_go(talk, &hold);
}

/* Of one machine that has to run. */
static gboolean counters_of(VboxTalk *talk, const vireo_domain_ref *dom, const char **machine, Counters *counters)
{
    *machine = vbox_machine_ref(talk, dom->uuid);
    if (!talk->error && !vbox_state_is_active(VBOX_GET(talk, i_machine_get_state, *machine)))
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
    counters_read(talk, *machine, counters);
    return talk->error == NULL;
}

/* ---- one machine --------------------------------------------------------------------------------- */

int vbox_domain_get_info(void *handle, vireo_call *call, const vireo_domain_get_info_args *args,
                         vireo_domain_get_info_ret *ret)
{
    VboxConn *conn = handle;
    g_autoptr(VboxMachine) machine = vbox_machine_find(conn->server, args->dom.uuid);
    g_auto(Counters) counters = {0};
    VboxTalk talk;

    if (!machine)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", args->dom.name);
    ret->state = (guint8)vbox_state_of(machine->state);
    ret->maxMem = ret->memory = machine->memory;
    ret->nrVirtCpu = (guint16)machine->vcpus;
    if (!vbox_state_is_active(machine->state))
        return VIREO_OK;
    vbox_begin(&talk, conn, call);
    counters_read(&talk, vbox_machine_ref(&talk, args->dom.uuid), &counters);
    ret->cpuTime = counters.cpu_time;
    return vbox_talk_finish(&talk, call);
}

static const VboxDiskPlace *disk_named(const GArray *disks, const char *name)
{
    for (guint i = 0; i < disks->len; i++) {
        const VboxDiskPlace *disk = &g_array_index(disks, VboxDiskPlace, i);

        if (g_str_equal(disk->target, name) || (*disk->path && g_str_equal(disk->path, name)))
            return disk;
    }
    return NULL;
}

/* Of the file that is written to: with snapshots, what has changed since the last one. */
int vbox_domain_get_block_info(void *handle, vireo_call *call, const vireo_domain_get_block_info_args *args,
                               vireo_domain_get_block_info_ret *ret)
{
    VboxConn *conn = handle;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    g_autoptr(GArray) disks = vbox_disk_list(&talk, vbox_machine_ref(&talk, args->dom.uuid));
    const VboxDiskPlace *disk = disk_named(disks, args->path);
    if (!disk)
        vbox_talk_refuse(&talk, VIREO_ERR_INVALID_ARG, "domain '%s' has no disk '%s'", args->dom.name, args->path);
    else if (!*disk->medium)
        vbox_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID, "disk '%s' has no medium", args->path);
    else
        vbox_medium_sizes(&talk, disk->medium, &ret->capacity, &ret->allocation);
    ret->physical = ret->allocation;
    return vbox_talk_finish(&talk, call);
}

int vbox_domain_block_stats(void *handle, vireo_call *call, const vireo_domain_block_stats_args *args,
                            vireo_domain_block_stats_ret *ret)
{
    VboxConn *conn = handle;
    g_auto(Counters) counters = {0};
    const char *machine;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    counters_of(&talk, &args->dom, &machine, &counters);
    g_autoptr(GArray) disks = vbox_disk_list(&talk, machine);
    const VboxDiskPlace *disk = disk_named(disks, args->path);
    if (!disk)
        vbox_talk_refuse(&talk, VIREO_ERR_INVALID_ARG, "domain '%s' has no disk '%s'", args->dom.name, args->path);
    else
        *ret = (vireo_domain_block_stats_ret){
            .rd_req = (gint64)counter(&counters, "/Public/Storage/%s/ReqsRead", disk->counters),
            .rd_bytes = (gint64)counter(&counters, "/Public/Storage/%s/BytesRead", disk->counters),
            .wr_req = (gint64)counter(&counters, "/Public/Storage/%s/ReqsWrite", disk->counters),
            .wr_bytes = (gint64)counter(&counters, "/Public/Storage/%s/BytesWritten", disk->counters),
            .errs = (gint64)counter(&counters, "/Public/Storage/%s/ReqsFailed", disk->counters),
        };
    return vbox_talk_finish(&talk, call);
}

/* The MAC address of the card in that place; NULL: there is none. Caller frees. */
static char *card_in(VboxTalk *talk, const char *machine, guint slot)
{
    const char *ref = VBOX_CALL(talk, i_machine_get_network_adapter, ._this = machine, .slot = slot)->returnval;

    if (!VBOX_GET(talk, i_network_adapter_get_enabled, ref))
        return NULL;
    return vbox_spell_mac(VBOX_GET(talk, i_network_adapter_get_mac_address, ref));
}

int vbox_domain_interface_stats(void *handle, vireo_call *call, const vireo_domain_interface_stats_args *args,
                                vireo_domain_interface_stats_ret *ret)
{
    VboxConn *conn = handle;
    g_auto(Counters) counters = {0};
    gboolean found = FALSE;
    const char *machine;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    counters_of(&talk, &args->dom, &machine, &counters);
    *ret = (vireo_domain_interface_stats_ret){-1, -1, -1, -1, -1, -1, -1, -1};
    for (guint slot = 0; slot < VBOX_CARDS && !found && !talk.error; slot++) {
        g_autofree char *mac = card_in(&talk, machine, slot);

        found = mac && g_ascii_strcasecmp(mac, args->device) == 0;
        ret->rx_bytes = (gint64)counter(&counters, "/Public/NetAdapter/%u/BytesReceived", slot);
        ret->tx_bytes = (gint64)counter(&counters, "/Public/NetAdapter/%u/BytesTransmitted", slot);
    }
    if (!found)
        vbox_talk_refuse(&talk, VIREO_ERR_INVALID_ARG, "domain '%s' has no interface with the MAC address '%s'",
                         args->dom.name, args->device);
    return vbox_talk_finish(&talk, call);
}

int vbox_domain_memory_stats(void *handle, vireo_call *call, const vireo_domain_memory_stats_args *args,
                             vireo_domain_memory_stats_ret *ret)
{
    VboxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    g_autoptr(VboxMachine) machine = vbox_machine_find(conn->server, args->dom.uuid);

    if (!machine || !vbox_state_is_active(machine->state))
        return host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", args->dom.name);
    if (args->maxStats == 0)
        return VIREO_OK;
    ret->stats.val = host->alloc(call, sizeof *ret->stats.val);
    ret->stats.val[0] =
        (vireo_domain_memory_stat){.tag = VIREO_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON, .val = machine->memory};
    ret->stats.len = 1;
    return VIREO_OK;
}

/* ---- many machines --------------------------------------------------------------------------------- */

#define FLAG(name) VIREO_CONNECT_GET_ALL_DOMAINS_STATS_##name

typedef struct {
    const struct vireo_host *host;
    vireo_call *call;
    GArray *params;
} Params;

static vireo_typed_param *add(Params *params, int type, const char *format, ...) G_GNUC_PRINTF(3, 4);
static vireo_typed_param *add(Params *params, int type, const char *format, ...)
{
    vireo_typed_param one = {.value = {.type = type}};
    va_list args;

    va_start(args, format);
    g_autofree char *name = g_strdup_vprintf(format, args);
    va_end(args);
    one.field = params->host->strdup(params->call, name);
    g_array_append_val(params->params, one);
    return &g_array_index(params->params, vireo_typed_param, params->params->len - 1);
}

#define ADD_INT(params, number, ...)   (add(params, VIREO_TYPED_PARAM_INT, __VA_ARGS__)->value.i = (number))
#define ADD_UINT(params, number, ...)  (add(params, VIREO_TYPED_PARAM_UINT, __VA_ARGS__)->value.ui = (number))
#define ADD_ULONG(params, number, ...) (add(params, VIREO_TYPED_PARAM_ULLONG, __VA_ARGS__)->value.ul = (number))
#define ADD_TEXT(params, text, ...)                                                                                    \
    (add(params, VIREO_TYPED_PARAM_STRING, __VA_ARGS__)->value.s = (params)->host->strdup((params)->call, text))

static void add_disks(Params *params, VboxTalk *talk, const char *machine, const Counters *counters)
{
    g_autoptr(GArray) disks = vbox_disk_list(talk, machine);

    ADD_UINT(params, disks->len, "block.count");
    for (guint i = 0; i < disks->len; i++) {
        const VboxDiskPlace *disk = &g_array_index(disks, VboxDiskPlace, i);
        const char *name = disk->counters;

        ADD_TEXT(params, disk->target, "block.%u.name", i);
        if (*disk->path)
            ADD_TEXT(params, disk->path, "block.%u.path", i);
        ADD_ULONG(params, counter(counters, "/Public/Storage/%s/ReqsRead", name), "block.%u.rd.reqs", i);
        ADD_ULONG(params, counter(counters, "/Public/Storage/%s/BytesRead", name), "block.%u.rd.bytes", i);
        ADD_ULONG(params, counter(counters, "/Public/Storage/%s/ReqsWrite", name), "block.%u.wr.reqs", i);
        ADD_ULONG(params, counter(counters, "/Public/Storage/%s/BytesWritten", name), "block.%u.wr.bytes", i);
    }
}

static void add_cards(Params *params, VboxTalk *talk, const char *machine, const Counters *counters)
{
    guint at = params->params->len, n = 0;

    ADD_UINT(params, 0, "net.count");
    for (guint slot = 0; slot < VBOX_CARDS && !talk->error; slot++) {
        g_autofree char *mac = card_in(talk, machine, slot);

        if (!mac)
            continue;
        ADD_TEXT(params, mac, "net.%u.name", n);
        ADD_ULONG(params, counter(counters, "/Public/NetAdapter/%u/BytesReceived", slot), "net.%u.rx.bytes", n);
        ADD_ULONG(params, counter(counters, "/Public/NetAdapter/%u/BytesTransmitted", slot), "net.%u.tx.bytes", n);
        n++;
    }
    g_array_index(params->params, vireo_typed_param, at).value.ui = n;
}

static void add_counted(Params *params, VboxTalk *talk, const VboxMachine *machine, guint groups)
{
    g_auto(Counters) counters = {0};
    const char *ref = vbox_machine_ref(talk, machine->uuid);

    counters_read(talk, ref, &counters);
    if (groups & VIREO_DOMAIN_STATS_CPU_TOTAL)
        ADD_ULONG(params, counters.cpu_time, "cpu.time");
    if (groups & VIREO_DOMAIN_STATS_INTERFACE)
        add_cards(params, talk, ref, &counters);
    if (groups & VIREO_DOMAIN_STATS_BLOCK)
        add_disks(params, talk, ref, &counters);
}

static void fill(vireo_domain_stats_record *record, VboxTalk *talk, Params *params, const VboxMachine *machine,
                 guint groups)
{
    gboolean active = vbox_state_is_active(machine->state);

    record->dom.name = params->host->strdup(params->call, machine->name);
    memcpy(record->dom.uuid, machine->uuid, 16);
    record->dom.id = active ? machine->id : -1;
    if (groups & VIREO_DOMAIN_STATS_STATE) {
        ADD_INT(params, vbox_state_of(machine->state), "state.state");
        ADD_INT(params, machine->reason, "state.reason");
    }
    if (groups & VIREO_DOMAIN_STATS_BALLOON) {
        ADD_ULONG(params, machine->memory, "balloon.current");
        ADD_ULONG(params, machine->memory, "balloon.maximum");
    }
    if (groups & VIREO_DOMAIN_STATS_VCPU) {
        ADD_UINT(params, machine->vcpus, "vcpu.current");
        ADD_UINT(params, machine->vcpus, "vcpu.maximum");
    }
    if (active && (groups & COUNTED))
        add_counted(params, talk, machine, groups);
    record->params.len = params->params->len;
    record->params.val = params->host->alloc(params->call, sizeof *record->params.val * (params->params->len + 1));
    memcpy(record->params.val, params->params->data, sizeof *record->params.val * params->params->len);
}

int vbox_connect_get_all_domain_stats(void *handle, vireo_call *call,
                                      const vireo_connect_get_all_domain_stats_args *args,
                                      vireo_connect_get_all_domain_stats_ret *ret)
{
    VboxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    guint groups = args->stats ? args->stats : SERVED;
    VboxTalk talk;

    if ((args->flags & FLAG(ENFORCE_STATS)) && (args->stats & ~(guint)SERVED))
        return host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED, "statistics groups 0x%x are not served",
                          args->stats & ~(guint)SERVED);
    g_autoptr(GPtrArray) machines = vireo_machines_all(conn->server->machines);
    ret->retStats.val = host->alloc(call, sizeof *ret->retStats.val * (machines->len + 1));
    vbox_begin(&talk, conn, call);
    for (guint i = 0; i < machines->len && !talk.error; i++) {
        g_autoptr(GArray) array = g_array_new(FALSE, TRUE, sizeof(vireo_typed_param));
        Params params = {host, call, array};

        const VboxMachine *machine = machines->pdata[i];
        gboolean active = vbox_state_is_active(machine->state);

        if (vireo_stats_is_asked_for(args, machine->uuid) &&
            vireo_stats_chosen(args->flags, active, TRUE, vbox_state_of(machine->state)))
            fill(&ret->retStats.val[ret->retStats.len++], &talk, &params, machine, groups);
    }
    return vbox_talk_finish(&talk, call);
}
