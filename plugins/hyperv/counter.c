/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the host's performance counters say of virtual disks and cards. They are of machines that run, and count from when
 * those were started. What they call "per second" is a sum: raw data leaves it to the reader to divide. */
#include <string.h>

#include "ops.h"
#include "spec.h"

#define OF_DISKS "Win32_PerfRawData_Counters_HyperVVirtualStorageDevice"
#define OF_CARDS "Win32_PerfRawData_NvspNicStats_HyperVVirtualNetworkAdapter"

static const struct {
    const char *property, *single, *many; /* there, of one disk here, and of all machines */
} of_disk[] = {{"ReadOperationsPerSec", "rd_operations", "rd.reqs"},
               {"ReadBytesPersec", "rd_bytes", "rd.bytes"},
               {"WriteOperationsPerSec", "wr_operations", "wr.reqs"},
               {"WriteBytesPersec", "wr_bytes", "wr.bytes"},
               {"ErrorCount", "errs", "errors"}};

static const struct {
    const char *property, *many;
} of_card[] = {{"BytesReceivedPersec", "rx.bytes"},           {"PacketsReceivedPersec", "rx.pkts"},
               {"DroppedPacketsIncomingPersec", "rx.drop"},   {"BytesSentPersec", "tx.bytes"},
               {"PacketsSentPersec", "tx.pkts"},              {"DroppedPacketsOutgoingPersec", "tx.drop"}};

/* ---- which counter is whose ---------------------------------------------------------------- */

/* A disk's is called as its file, C:\vms\a.vhdx, with dashes: "C:-vms-a.vhdx", or "--?-C:-vms-a.vhdx". */
static char *key_of_file(const char *file)
{
    g_autofree char *lower = g_utf8_strdown(file, -1);
    const char *key = g_strdelimit(lower, "\\/", '-');

    if (g_str_has_prefix(key, "--?-unc-"))
        return g_strconcat("--", key + strlen("--?-unc-"), NULL);
    return g_strdup(g_str_has_prefix(key, "--?-") ? key + strlen("--?-") : key);
}

/* A card's is called "NAME_Network Adapter_MACHINE--CARD" when it is Microsoft:MACHINE\CARD. */
static char *key_of_card(const char *instance_id)
{
    g_auto(GStrv) part = g_strsplit(strchr(instance_id, ':') ? strchr(instance_id, ':') + 1 : "", "\\", 3);
    g_autofree char *key = part[0] && part[1] ? g_strdup_printf("%s--%s", part[0], part[1]) : g_strdup("");

    return g_ascii_strdown(key, -1);
}

static char *key_of(const HypervDevice *device)
{
    return device->target ? key_of_file(hyperv_file_of(device))
                          : key_of_card(vireo_cim_string(device->device, "InstanceID"));
}

/* key -> VireoCim of the talk */
static GHashTable *read_counters(HypervTalk *talk, gboolean disks)
{
    GHashTable *all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const GPtrArray *rows = hyperv_query(talk, HYPERV_CIMV2, "select * from %s", disks ? OF_DISKS : OF_CARDS);

    for (guint i = 0; i < rows->len; i++) {
        const char *name = vireo_cim_string(rows->pdata[i], "Name"), *behind = strrchr(name, '_');

        g_hash_table_replace(all, disks ? key_of_file(name) : g_ascii_strdown(behind ? behind + 1 : name, -1),
                             rows->pdata[i]);
    }
    return all;
}

static const VireoCim *find(GHashTable *counters, const HypervDevice *device)
{
    g_autofree char *key = key_of(device);

    return g_hash_table_lookup(counters, key);
}

/* ---- one device ---------------------------------------------------------------------------- */

/* The counters of the disk whose target or file that is, or of the card with that MAC address; NULL: refused. */
static const VireoCim *counters_of(HypervTalk *talk, const HypervMachine *machine, const char *name, gboolean disk)
{
    g_autofree char *id = g_strconcat("Microsoft:", machine->guid, NULL);
    g_autoptr(GHashTable) counters = NULL;

    if (!hyperv_state_is_active(machine->state))
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", machine->name);
    g_autoptr(GPtrArray) devices = hyperv_devices(talk, hyperv_resources(talk, id));
    for (guint i = 0; i < devices->len; i++) {
        const HypervDevice *one = devices->pdata[i];

        if (disk ? !one->target || (g_strcmp0(one->target, name) && g_ascii_strcasecmp(hyperv_file_of(one), name))
                 : !one->mac || g_ascii_strcasecmp(one->mac, name))
            continue;
        counters = read_counters(talk, disk);
        const VireoCim *found = find(counters, one);
        if (!found)
            hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_FAILED, "%s counts nothing for '%s'", talk->server->uri->host,
                               name);
        return found;
    }
    hyperv_talk_refuse(talk, VIREO_ERR_INVALID_ARG,
                       disk ? "the machine has no disk '%s': it is named by its target or its file"
                            : "the machine has no interface '%s': it is named by its MAC address",
                       name);
    return NULL;
}

int hyperv_domain_block_stats_flags(void *handle, vireo_call *call, const vireo_domain_block_stats_flags_args *args,
                                    vireo_domain_block_stats_flags_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);
    g_auto(VireoParams) params = {0};

    if (!machine)
        return VIREO_FAIL;
    const VireoCim *counters = counters_of(&talk, machine, args->path, TRUE);
    vireo_params_init(&params, conn->driver->host, call);
    for (guint i = 0; counters && i < G_N_ELEMENTS(of_disk); i++)
        vireo_param_llong(&params, of_disk[i].single, (gint64)vireo_cim_number(counters, of_disk[i].property));
    ret->params.val = vireo_params_take(&params, &ret->params.len);
    return hyperv_talk_finish(&talk, call);
}

int hyperv_domain_interface_stats(void *handle, vireo_call *call, const vireo_domain_interface_stats_args *args,
                                  vireo_domain_interface_stats_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);
    gint64 value[G_N_ELEMENTS(of_card)] = {0};

    if (!machine)
        return VIREO_FAIL;
    const VireoCim *counters = counters_of(&talk, machine, args->device, FALSE);
    for (guint i = 0; counters && i < G_N_ELEMENTS(of_card); i++)
        value[i] = (gint64)vireo_cim_number(counters, of_card[i].property);
    ret->rx_bytes = value[0];
    ret->rx_packets = value[1];
    ret->rx_drop = value[2];
    ret->tx_bytes = value[3];
    ret->tx_packets = value[4];
    ret->tx_drop = value[5];
    ret->rx_errs = ret->tx_errs = -1; /* not counted */
    return hyperv_talk_finish(&talk, call);
}

/* ---- all machines -------------------------------------------------------------------------- */

struct HypervDevicesOfAll {
    GHashTable *resources; /* GUID -> GPtrArray of VireoCim */
    GHashTable *disks, *cards;
};

static void sort_by_machine(HypervDevicesOfAll *all, const GPtrArray *rows)
{
    for (guint i = 0; i < rows->len; i++) {
        g_autofree char *guid = hyperv_owner_of(vireo_cim_string(rows->pdata[i], "InstanceID"));
        GPtrArray *own = g_hash_table_lookup(all->resources, guid);

        if (!own) {
            own = g_ptr_array_new();
            g_hash_table_insert(all->resources, g_steal_pointer(&guid), own);
        }
        g_ptr_array_add(own, rows->pdata[i]);
    }
}

/* A host without these counters still says what devices there are. */
static GHashTable *try_counters(HypervTalk *talk, gboolean disks)
{
    gboolean before = talk->error != NULL;
    GHashTable *counters = read_counters(talk, disks);

    if (!before && g_error_matches(talk->error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_FAULT))
        g_clear_error(&talk->error);
    return counters;
}

HypervDevicesOfAll *hyperv_devices_of_all(HypervTalk *talk, gboolean disks, gboolean cards)
{
    HypervDevicesOfAll *all = g_new0(HypervDevicesOfAll, 1);

    all->resources =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    sort_by_machine(all, hyperv_resources(talk, "Microsoft:"));
    all->disks = disks ? try_counters(talk, TRUE) : NULL;
    all->cards = cards ? try_counters(talk, FALSE) : NULL;
    return all;
}

void hyperv_devices_of_all_free(HypervDevicesOfAll *all)
{
    if (!all)
        return;
    g_hash_table_unref(all->resources);
    g_clear_pointer(&all->disks, g_hash_table_unref);
    g_clear_pointer(&all->cards, g_hash_table_unref);
    g_free(all);
}

static void put_disk(VireoParams *params, guint n, const HypervDevice *disk, const VireoCim *counters)
{
    g_autofree char *name = g_strdup_printf("block.%u.name", n), *path = g_strdup_printf("block.%u.path", n);

    vireo_param_string(params, name, disk->target);
    vireo_param_string(params, path, hyperv_file_of(disk));
    for (guint i = 0; counters && i < G_N_ELEMENTS(of_disk); i++) {
        g_autofree char *field = g_strdup_printf("block.%u.%s", n, of_disk[i].many);

        vireo_param_ullong(params, field, vireo_cim_number(counters, of_disk[i].property));
    }
}

static void put_card(VireoParams *params, guint n, const HypervDevice *card, const VireoCim *counters)
{
    g_autofree char *name = g_strdup_printf("net.%u.name", n);

    vireo_param_string(params, name, card->mac);
    for (guint i = 0; counters && i < G_N_ELEMENTS(of_card); i++) {
        g_autofree char *field = g_strdup_printf("net.%u.%s", n, of_card[i].many);

        vireo_param_ullong(params, field, vireo_cim_number(counters, of_card[i].property));
    }
}

/* Those of drives that are empty are left out. */
static void put_devices(VireoParams *params, const GPtrArray *devices, gboolean disks, GHashTable *counters)
{
    guint n = 0;

    for (guint i = 0; i < devices->len; i++) {
        const HypervDevice *one = devices->pdata[i];

        if (disks ? one->target && *hyperv_file_of(one) : one->mac != NULL)
            (disks ? put_disk : put_card)(params, n++, one, counters ? find(counters, one) : NULL);
    }
    vireo_param_uint(params, disks ? "block.count" : "net.count", n);
}

void hyperv_devices_of_all_put(HypervTalk *talk, const HypervDevicesOfAll *all, const HypervMachine *machine,
                               VireoParams *params)
{
    gboolean active = hyperv_state_is_active(machine->state);
    const GPtrArray *own = g_hash_table_lookup(all->resources, machine->guid);
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(GPtrArray) devices = hyperv_devices(talk, own ? own : none);

    if (all->disks)
        put_devices(params, devices, TRUE, active ? all->disks : NULL);
    if (all->cards)
        put_devices(params, devices, FALSE, active ? all->cards : NULL);
}
