/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What containers use, as their control groups and interfaces say. */
#include "ops.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "kit/node.h"
#include "kit/params.h"
#include "kit/stats.h"
#include "process.h"

#define HELPER_S 20

static const LxcItem memory_usage = { "memory", "memory.usage_in_bytes", "memory.current" };
static const LxcItem memory_stat = { "memory", "memory.stat", "memory.stat" };
static const LxcItem cpu_usage = { "cpuacct", "cpuacct.usage", "cpu.stat" };
static const LxcItem cpu_split = { "cpuacct", "cpuacct.stat", "cpu.stat" };

/* ---- figures ------------------------------------------------------------------- */

static char *cgroup_of(LxcDomain *dom)
{
    g_mutex_lock(&dom->lock);
    char *cgroup = dom->id != -1 ? g_strdup(dom->cgroup) : NULL;
    g_mutex_unlock(&dom->lock);
    return cgroup;
}

static guint64 cpu_ns(const char *cgroup)
{
    guint64 value = 0;
    gboolean v2 = lxc_cgroup_version("cpuacct") == 2;

    lxc_cgroup_number(cgroup, &cpu_usage, v2 ? "usage_usec" : NULL, &value);
    return v2 ? value * 1000 : value;
}

/* user or system */
static guint64 cpu_part_ns(const char *cgroup, const char *part)
{
    gboolean v2 = lxc_cgroup_version("cpuacct") == 2;
    g_autofree char *key = g_strconcat(part, v2 ? "_usec" : NULL, NULL);
    guint64 value = 0;

    lxc_cgroup_number(cgroup, &cpu_split, key, &value);
    return v2 ? value * 1000 : value * (1000000000 / (guint64)sysconf(_SC_CLK_TCK));
}

static guint64 usage_kib(const char *cgroup)
{
    guint64 value = 0;

    lxc_cgroup_number(cgroup, &memory_usage, NULL, &value);
    return value / 1024;
}

static guint64 rss_kib(const char *cgroup)
{
    guint64 value = 0;

    lxc_cgroup_number(cgroup, &memory_stat, lxc_cgroup_version("memory") == 2 ? "anon" : "total_rss", &value);
    return value / 1024;
}

int lxc_domain_get_info(void *handle, vireo_call *call, const vireo_domain_get_info_args *args,
                        vireo_domain_get_info_ret *ret)
{
    g_autoptr(LxcDomain) dom = lxc_domain_find(lxc_conn(handle), call, &args->dom);
    g_autoptr(LxcDef) def = dom ? lxc_domain_current(dom) : NULL;

    if (!dom)
        return VIREO_FAIL;
    g_autofree char *cgroup = cgroup_of(dom);
    if (def) {
        ret->maxMem = def->doc->memory->text;
        ret->memory = cgroup ? usage_kib(cgroup) : def->doc->current_memory;
        ret->nrVirtCpu = (guint16)def->doc->vcpu->text;
    }
    g_mutex_lock(&dom->lock);
    ret->state = (guint8)dom->state;
    g_mutex_unlock(&dom->lock);
    ret->cpuTime = cgroup ? cpu_ns(cgroup) : 0;
    return VIREO_OK;
}

/* Nothing labels containers here. */
int lxc_domain_get_security_label(void *handle, vireo_call *call, const vireo_domain_get_security_label_args *args,
                                  vireo_domain_get_security_label_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    ret->label.val = conn->driver->host->alloc(call, 1);
    ret->label.len = 1;
    return VIREO_OK;
}

int lxc_domain_memory_stats(void *handle, vireo_call *call, const vireo_domain_memory_stats_args *args,
                            vireo_domain_memory_stats_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    guint64 faults = 0;

    if (!dom)
        return VIREO_FAIL;
    g_autofree char *cgroup = cgroup_of(dom);
    g_autoptr(LxcDef) live = lxc_domain_live(dom);
    if (!cgroup || !live) {
        lxc_domain_need_active(dom, &error);
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
    }
    lxc_cgroup_number(cgroup, &memory_stat, lxc_cgroup_version("memory") == 2 ? "pgmajfault" : "total_pgmajfault", &faults);
    const vireo_domain_memory_stat stats[] = {
        { VIREO_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON, live->doc->current_memory },
        { VIREO_DOMAIN_MEMORY_STAT_RSS, rss_kib(cgroup) },
        { VIREO_DOMAIN_MEMORY_STAT_MAJOR_FAULT, faults },
        { VIREO_DOMAIN_MEMORY_STAT_UNUSED,
          live->doc->current_memory - MIN(usage_kib(cgroup), live->doc->current_memory) },
    };
    ret->stats.len = MIN(args->maxStats, G_N_ELEMENTS(stats));
    ret->stats.val = conn->driver->host->alloc(call, sizeof stats);
    memcpy(ret->stats.val, stats, sizeof *stats * ret->stats.len);
    return VIREO_OK;
}

/* ---- CPU time ------------------------------------------------------------------ */

static void cpu_total(VireoParams *params, const char *cgroup)
{
    vireo_param_ullong(params, "cpu_time", cpu_ns(cgroup));
    vireo_param_ullong(params, "user_time", cpu_part_ns(cgroup, "user"));
    vireo_param_ullong(params, "system_time", cpu_part_ns(cgroup, "system"));
}

/* Of one CPU after the other, from first on; the number of CPUs the host has is what is returned. Version 2 knows
 * the sum only. */
static guint cpu_each(VireoParams *params, const char *cgroup, guint first, guint n, GError **error)
{
    static const LxcItem each = { "cpuacct", "cpuacct.usage_percpu", NULL };
    g_autofree char *text = NULL;
    int present = vireo_node_cpu_map(NULL, NULL, NULL, error);

    if (present <= 0 || !lxc_cgroup_read(cgroup, &each, &text, error))
        return 0;
    g_auto(GStrv) words = g_strsplit(g_strstrip(text), " ", -1);
    guint cpus = MIN((guint)present, g_strv_length(words));
    for (guint cpu = first; cpu < cpus && cpu - first < n; cpu++)
        vireo_param_ullong(params, "cpu_time", g_ascii_strtoull(words[cpu], NULL, 10));
    return cpus;
}

/* One row of figures for each CPU, or one for all of them (start_cpu -1). Room for nothing asks how long a row is, and
 * no CPUs how many there are. */
int lxc_domain_get_cpu_stats(void *handle, vireo_call *call, const vireo_domain_get_cpu_stats_args *args,
                             vireo_domain_get_cpu_stats_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);
    g_auto(VireoParams) params = { 0 };
    g_autoptr(GError) error = NULL;
    guint cpus = 1;

    if (!dom)
        return VIREO_FAIL;
    g_autofree char *cgroup = cgroup_of(dom);
    if (!cgroup)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
    vireo_params_init(&params, conn->driver->host, call);
    if (args->start_cpu < 0)
        cpu_total(&params, cgroup);
    else if (!(cpus = cpu_each(&params, cgroup, (guint)args->start_cpu, MAX(args->ncpus, 1), &error)))
        return lxc_fail(conn->driver, call, error);
    if (args->start_cpu >= (gint64)cpus)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "this host has no CPU %d: they are 0 to %u",
                                        args->start_cpu, cpus - 1);
    ret->nparams = (gint32)(args->start_cpu < 0 ? params.list->len : args->ncpus ? 1 : cpus);
    if (args->nparams)
        ret->params.val = vireo_params_take(&params, &ret->params.len);
    return VIREO_OK;
}

/* ---- disks --------------------------------------------------------------------- */

typedef struct {
    guint64 rd_ops, rd_bytes, wr_ops, wr_bytes;
} DiskFigures;

/* Lines of version 1: "8:0 Read 4096". device NULL: the sum of all. */
static void add_v1(const char *cgroup, const char *file, const char *device, guint64 *rd, guint64 *wr)
{
    const LxcItem item = { "blkio", file, NULL };
    g_autofree char *text = NULL;

    if (!lxc_cgroup_read(cgroup, &item, &text, NULL))
        return;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        g_auto(GStrv) row = g_strsplit(lines[i], " ", 3);

        if (g_strv_length(row) != 3 || (device && !g_str_equal(row[0], device)))
            continue;
        if (g_str_equal(row[1], "Read"))
            *rd += g_ascii_strtoull(row[2], NULL, 10);
        else if (g_str_equal(row[1], "Write"))
            *wr += g_ascii_strtoull(row[2], NULL, 10);
    }
}

/* Lines of version 2: "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 ...". */
static void add_v2(const char *text, const char *device, DiskFigures *figures)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    const struct {
        const char *key;
        guint64 *value;
    } keys[] = { { "rbytes=", &figures->rd_bytes }, { "wbytes=", &figures->wr_bytes },
                 { "rios=", &figures->rd_ops }, { "wios=", &figures->wr_ops } };

    for (guint i = 0; lines[i]; i++) {
        g_auto(GStrv) words = g_strsplit(lines[i], " ", -1);

        for (guint w = 1; words[0] && words[w] && (!device || g_str_equal(words[0], device)); w++)
            for (guint k = 0; k < G_N_ELEMENTS(keys); k++)
                if (g_str_has_prefix(words[w], keys[k].key))
                    *keys[k].value += g_ascii_strtoull(words[w] + strlen(keys[k].key), NULL, 10);
    }
}

/* What the container has read and written; device NULL: of all devices. */
static gboolean disk_figures(const char *cgroup, const char *device, DiskFigures *figures, GError **error)
{
    static const LxcItem all = { "blkio", "blkio.throttle.io_serviced_recursive", "io.stat" };
    g_autofree char *text = NULL;

    *figures = (DiskFigures){ 0 };
    if (!lxc_cgroup_read(cgroup, &all, &text, error))
        return FALSE;
    if (lxc_cgroup_version("blkio") == 2) {
        add_v2(text, device, figures);
        return TRUE;
    }
    add_v1(cgroup, all.v1, device, &figures->rd_ops, &figures->wr_ops);
    add_v1(cgroup, "blkio.throttle.io_service_bytes_recursive", device, &figures->rd_bytes, &figures->wr_bytes);
    return TRUE;
}

/* Of a disk, by its target or source, or of all that the container works with: "". */
int lxc_domain_block_stats_flags(void *handle, vireo_call *call, const vireo_domain_block_stats_flags_args *args,
                                 vireo_domain_block_stats_flags_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_autofree char *device = NULL;
    g_auto(VireoParams) params = { 0 };
    DiskFigures figures;

    if (!dom)
        return VIREO_FAIL;
    g_autofree char *cgroup = cgroup_of(dom);
    g_autoptr(LxcDef) live = lxc_domain_live(dom);
    if (!cgroup || !live)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
    VEC_EACH(live->doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = live->doc->devices->disks.items[i];

        if (!device && (g_str_equal(disk->target->dev, args->path) || g_str_equal(disk->source->dev, args->path)))
            device = lxc_cgroup_disk(disk->source->dev);
    }
    if (*args->path && !device)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "domain '%s' has no disk '%s'", dom->name,
                                        args->path);
    if (!disk_figures(cgroup, device, &figures, &error))
        return lxc_fail(conn->driver, call, error);
    vireo_params_init(&params, conn->driver->host, call);
    vireo_param_llong(&params, "rd_bytes", (gint64)figures.rd_bytes);
    vireo_param_llong(&params, "rd_operations", (gint64)figures.rd_ops);
    vireo_param_llong(&params, "wr_bytes", (gint64)figures.wr_bytes);
    vireo_param_llong(&params, "wr_operations", (gint64)figures.wr_ops);
    ret->params.val = vireo_params_take(&params, &ret->params.len);
    return VIREO_OK;
}

/* ---- interfaces ---------------------------------------------------------------- */

/* A line of the file: what it received and what it sent, each bytes, packets, errors and drops. */
static gboolean counters_of(const char *file, const char *name, long long rx[4], long long tx[4])
{
    g_autofree char *text = NULL, *wanted = g_strconcat(name, ":", NULL);

    if (!g_file_get_contents(file, &text, NULL, NULL))
        return FALSE;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        const char *line = g_strstrip(lines[i]);

        if (g_str_has_prefix(line, wanted))
            return sscanf(line + strlen(wanted), "%lld %lld %lld %lld %*d %*d %*d %*d %lld %lld %lld %lld", &rx[0], &rx[1],
                          &rx[2], &rx[3], &tx[0], &tx[1], &tx[2], &tx[3]) == 8;
    }
    return FALSE;
}

/* What the host's end sends the container receives; one without such an end is counted in the container. */
static gboolean interface_counters(LxcDomain *dom, const VireoDomainInterface *nic, vireo_domain_interface_stats_ret *out)
{
    g_autofree char *inside = g_strdup_printf("/proc/%d/net/dev", dom->id);
    gboolean direct = nic->type == VIREO_DOMAIN_INTERFACE_TYPE_DIRECT;
    long long rx[4], tx[4];

    if (direct ? !nic->guest || !counters_of(inside, nic->guest->dev, rx, tx)
               : !nic->target || !counters_of("/proc/thread-self/net/dev", nic->target->dev, tx, rx))
        return FALSE;
    *out = (vireo_domain_interface_stats_ret){ rx[0], rx[1], rx[2], rx[3], tx[0], tx[1], tx[2], tx[3] };
    return TRUE;
}

int lxc_domain_interface_stats(void *handle, vireo_call *call, const vireo_domain_interface_stats_args *args,
                               vireo_domain_interface_stats_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(LxcDef) live = lxc_domain_live(dom);
    if (!live)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
    VEC_EACH(live->doc->devices->interfaces, i)
    {
        const VireoDomainInterface *nic = live->doc->devices->interfaces.items[i];
        const char *name = nic->target ? nic->target->dev : NULL;

        if ((!g_strcmp0(name, args->device) || !g_ascii_strcasecmp(nic->mac->address, args->device)) &&
            interface_counters(dom, nic, ret))
            return VIREO_OK;
    }
    return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "domain '%s' has no interface '%s'", dom->name,
                                    args->device);
}

/* Lines of the helper: "NAME MAC ADDRESS PREFIX", those of one interface one after the other. */
static void add_address(LxcConn *conn, vireo_call *call, char **row, vireo_domain_interface_addresses_ret *ret)
{
    const struct vireo_host *host = conn->driver->host;
    vireo_domain_interface *at = ret->ifaces.len ? &ret->ifaces.val[ret->ifaces.len - 1] : NULL;

    if (!at || strcmp(at->name, row[0])) {
        at = &ret->ifaces.val[ret->ifaces.len++];
        at->name = host->strdup(call, row[0]);
        at->hwaddr = host->strdup(call, row[1]);
        at->addrs.val = host->alloc(call, sizeof *at->addrs.val * 64);
    }
    if (at->addrs.len < 64)
        at->addrs.val[at->addrs.len++] =
            (vireo_domain_ip_addr){ strchr(row[2], ':') ? 1 : 0, host->strdup(call, row[2]),
                                    (guint32)g_ascii_strtoull(row[3], NULL, 10) };
}

int lxc_domain_interface_addresses(void *handle, vireo_call *call, const vireo_domain_interface_addresses_args *args,
                                   vireo_domain_interface_addresses_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    g_autoptr(LxcDomain) dom = lxc_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_autofree char *out = NULL;
    LxcProcess init;

    if (!dom)
        return VIREO_FAIL;
    if (args->source != VIREO_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT && args->source != VIREO_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)
        return conn->driver->host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED,
                                        "addresses are asked from the container itself: source agent or lease");
    if (!lxc_domain_init(dom, &init, &error))
        return lxc_fail(conn->driver, call, error);
    g_autofree char *pid = g_strdup_printf("%d", (int)init.pid);
    gboolean good = lxc_helper(dom, HELPER_S, &out, &error, "addresses", pid, NULL);
    close(init.fd);
    if (!good)
        return lxc_fail(conn->driver, call, error);
    g_auto(GStrv) lines = g_strsplit(out, "\n", -1);
    ret->ifaces.val = conn->driver->host->alloc(call, sizeof *ret->ifaces.val * (g_strv_length(lines) + 1));
    for (guint i = 0; lines[i]; i++) {
        g_auto(GStrv) row = g_strsplit(lines[i], " ", -1);

        if (g_strv_length(row) == 4)
            add_address(conn, call, row, ret);
    }
    return VIREO_OK;
}

/* ---- of all containers --------------------------------------------------------- */

#define GROUPS                                                                                     \
    (VIREO_DOMAIN_STATS_STATE | VIREO_DOMAIN_STATS_CPU_TOTAL | VIREO_DOMAIN_STATS_BALLOON |        \
     VIREO_DOMAIN_STATS_VCPU | VIREO_DOMAIN_STATS_INTERFACE | VIREO_DOMAIN_STATS_BLOCK)

static void add_interfaces(VireoParams *params, LxcDomain *dom, const VireoDomain *doc)
{
    static const char *const keys[] = { "rx.bytes", "rx.pkts", "rx.errs", "rx.drop",
                                        "tx.bytes", "tx.pkts", "tx.errs", "tx.drop" };
    guint n = 0;

    VEC_EACH(doc->devices->interfaces, i)
    {
        const VireoDomainInterface *nic = doc->devices->interfaces.items[i];
        vireo_domain_interface_stats_ret stats;
        g_autofree char *name = g_strdup_printf("net.%u.name", n);

        if (!interface_counters(dom, nic, &stats))
            continue;
        const gint64 values[] = { stats.rx_bytes, stats.rx_packets, stats.rx_errs, stats.rx_drop,
                                  stats.tx_bytes, stats.tx_packets, stats.tx_errs, stats.tx_drop };
        vireo_param_string(params, name, nic->target && nic->target->dev ? nic->target->dev : nic->guest->dev);
        for (guint k = 0; k < G_N_ELEMENTS(keys); k++) {
            g_autofree char *key = g_strdup_printf("net.%u.%s", n, keys[k]);

            vireo_param_ullong(params, key, (guint64)values[k]);
        }
        n++;
    }
    vireo_param_uint(params, "net.count", n);
}

static void add_disks(VireoParams *params, const VireoDomain *doc, const char *cgroup)
{
    VEC_EACH(doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];
        g_autofree char *name = g_strdup_printf("block.%u.name", i), *path = g_strdup_printf("block.%u.path", i);
        g_autofree char *device = lxc_cgroup_disk(disk->source->dev);
        DiskFigures figures;

        vireo_param_string(params, name, disk->target->dev);
        vireo_param_string(params, path, disk->source->dev);
        if (!device || !disk_figures(cgroup, device, &figures, NULL))
            continue;
        const struct {
            const char *key;
            guint64 value;
        } rows[] = { { "rd.reqs", figures.rd_ops }, { "rd.bytes", figures.rd_bytes },
                     { "wr.reqs", figures.wr_ops }, { "wr.bytes", figures.wr_bytes } };
        for (guint k = 0; k < G_N_ELEMENTS(rows); k++) {
            g_autofree char *key = g_strdup_printf("block.%u.%s", i, rows[k].key);

            vireo_param_ullong(params, key, rows[k].value);
        }
    }
    vireo_param_uint(params, "block.count", doc->devices->disks.n);
}

static void add_record(LxcConn *conn, vireo_call *call, LxcDomain *dom, guint groups, vireo_domain_stats_record *record)
{
    g_auto(VireoParams) params = { 0 };
    g_autofree char *cgroup = cgroup_of(dom);
    g_autoptr(LxcDef) def = lxc_domain_current(dom);

    vireo_params_init(&params, conn->driver->host, call);
    lxc_domain_fill_ref(dom, call, &record->dom);
    if (groups & VIREO_DOMAIN_STATS_STATE) {
        vireo_param_int(&params, "state.state", dom->state);
        vireo_param_int(&params, "state.reason", dom->reason);
    }
    if (cgroup && (groups & VIREO_DOMAIN_STATS_CPU_TOTAL)) {
        vireo_param_ullong(&params, "cpu.time", cpu_ns(cgroup));
        vireo_param_ullong(&params, "cpu.user", cpu_part_ns(cgroup, "user"));
        vireo_param_ullong(&params, "cpu.system", cpu_part_ns(cgroup, "system"));
    }
    if (def && (groups & VIREO_DOMAIN_STATS_BALLOON)) {
        vireo_param_ullong(&params, "balloon.current", def->doc->current_memory);
        vireo_param_ullong(&params, "balloon.maximum", def->doc->memory->text);
        if (cgroup)
            vireo_param_ullong(&params, "balloon.rss", rss_kib(cgroup));
    }
    if (def && (groups & VIREO_DOMAIN_STATS_VCPU)) {
        vireo_param_uint(&params, "vcpu.current", def->doc->vcpu->text);
        vireo_param_uint(&params, "vcpu.maximum", def->doc->vcpu->text);
    }
    if (def && cgroup && (groups & VIREO_DOMAIN_STATS_INTERFACE))
        add_interfaces(&params, dom, def->doc);
    if (def && cgroup && (groups & VIREO_DOMAIN_STATS_BLOCK))
        add_disks(&params, def->doc, cgroup);
    record->params.val = vireo_params_take(&params, &record->params.len);
}

static GPtrArray *choose(LxcConn *conn, const vireo_connect_get_all_domain_stats_args *args)
{
    g_autoptr(GPtrArray) all = lxc_domain_all(conn->space);
    GPtrArray *chosen = g_ptr_array_new_with_free_func((GDestroyNotify)lxc_domain_unref);

    for (guint i = 0; i < args->doms.len; i++) {
        LxcDomain *dom = lxc_domain_by_uuid(conn->space, args->doms.val[i].uuid);

        if (dom)
            g_ptr_array_add(chosen, dom);
    }
    for (guint i = 0; !args->doms.len && i < all->len; i++) {
        LxcDomain *dom = all->pdata[i];

        if (vireo_stats_chosen(args->flags, lxc_domain_active(dom), dom->config != NULL, dom->state))
            g_ptr_array_add(chosen, lxc_domain_ref(dom));
    }
    return chosen;
}

int lxc_connect_get_all_domain_stats(void *handle, vireo_call *call, const vireo_connect_get_all_domain_stats_args *args,
                                     vireo_connect_get_all_domain_stats_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    guint groups = args->stats ? args->stats : GROUPS;

    if ((args->flags & VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS) && (groups & ~(guint)GROUPS))
        return conn->driver->host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED, "statistics groups 0x%x are not served",
                                        groups & ~(guint)GROUPS);
    g_autoptr(GPtrArray) doms = choose(conn, args);
    ret->retStats.val = conn->driver->host->alloc(call, sizeof *ret->retStats.val * (doms->len + 1));
    for (guint i = 0; i < doms->len; i++)
        add_record(conn, call, doms->pdata[i], groups, &ret->retStats.val[ret->retStats.len++]);
    return VIREO_OK;
}
