/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures. Those of disks and interfaces follow from the time the guest has executed, so that they
 * grow while it runs and stand still while it does not. */
#include "ops.h"

#include <string.h>

#include "kit/stats.h"
#include "params.h"

#define SECOND G_GUINT64_CONSTANT(1000000000)

static guint64 work(const TestDomain *dom, guint64 per_second)
{
    return test_domain_cpu_ns(dom) / (SECOND / 1000) * per_second / 1000;
}

int test_domain_get_info(TestConn *conn, vireo_call *call, const vireo_domain_get_info_args *args,
                         vireo_domain_get_info_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    ret->state = (uint8_t)dom->state;
    ret->maxMem = dom->max_memory;
    ret->memory = dom->memory;
    ret->nrVirtCpu = (uint16_t)dom->vcpus;
    ret->cpuTime = test_domain_cpu_ns(dom);
    return VIREO_OK;
}

int test_domain_memory_stats(TestConn *conn, vireo_call *call,
                             const vireo_domain_memory_stats_args *args,
                             vireo_domain_memory_stats_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    const vireo_domain_memory_stat facts[] = {
        {VIREO_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON, dom->memory},
        {VIREO_DOMAIN_MEMORY_STAT_AVAILABLE, dom->memory},
        {VIREO_DOMAIN_MEMORY_STAT_UNUSED, dom->memory / 2},
        {VIREO_DOMAIN_MEMORY_STAT_USABLE, dom->memory / 2},
        {VIREO_DOMAIN_MEMORY_STAT_MINOR_FAULT, work(dom, 100)},
        {VIREO_DOMAIN_MEMORY_STAT_MAJOR_FAULT, work(dom, 1)},
        {VIREO_DOMAIN_MEMORY_STAT_SWAP_IN, 0},
        {VIREO_DOMAIN_MEMORY_STAT_SWAP_OUT, 0},
        {VIREO_DOMAIN_MEMORY_STAT_RSS, dom->memory / 2},
    };
    ret->stats.len = MIN(args->maxStats, G_N_ELEMENTS(facts));
    ret->stats.val = NEW(call, vireo_domain_memory_stat, G_N_ELEMENTS(facts));
    memcpy(ret->stats.val, facts, sizeof facts);
    return VIREO_OK;
}

/* ---- disks and interfaces ---------------------------------------------------------------------
 */

static guint64 disk_size(const TestDomain *dom, const VireoDomainDisk *disk)
{
    const char *path = test_disk_path(disk);
    GBytes *content = path ? g_hash_table_lookup(dom->node->images, path) : NULL;

    return content ? g_bytes_get_size(content) : 0;
}

static int no_such(vireo_call *call, const char *what, const char *name)
{
    return FAIL(call, VIREO_ERR_INVALID_ARG, "the domain has no %s '%s'", what, name);
}

int test_domain_block_stats_flags(TestConn *conn, vireo_call *call,
                                  const vireo_domain_block_stats_flags_args *args,
                                  vireo_domain_block_stats_flags_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = NULL;
    TestParams params = {.call = call};

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    doc = test_domain_document(dom);
    if (*args->path && !test_disk_find(doc, args->path))
        return no_such(call, "disk", args->path);
    test_params_llong(&params, "rd_operations", (gint64)work(dom, 20));
    test_params_llong(&params, "rd_bytes", (gint64)work(dom, 20 * 4096));
    test_params_llong(&params, "wr_operations", (gint64)work(dom, 10));
    test_params_llong(&params, "wr_bytes", (gint64)work(dom, 10 * 4096));
    test_params_llong(&params, "errs", 0);
    TEST_PARAMS_COUNTED(&params, args->nparams, ret);
    return VIREO_OK;
}

int test_domain_get_block_info(TestConn *conn, vireo_call *call,
                               const vireo_domain_get_block_info_args *args,
                               vireo_domain_get_block_info_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = dom ? test_domain_document(dom) : NULL;
    VireoDomainDisk *disk = doc ? test_disk_find(doc, args->path) : NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!disk)
        return no_such(call, "disk", args->path);
    ret->capacity = G_GUINT64_CONSTANT(1) << 30;
    ret->allocation = ret->physical = disk_size(dom, disk);
    return VIREO_OK;
}

int test_domain_get_disk_errors(TestConn *conn, vireo_call *call,
                                const vireo_domain_get_disk_errors_args *args,
                                vireo_domain_get_disk_errors_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    if (args->maxerrors == 0) { /* asks how many there can be: one per disk */
        g_autoptr(VireoDomain) doc = test_domain_document(dom);

        ret->nerrors = doc->devices ? (gint32)doc->devices->disks.n : 0;
    }
    return VIREO_OK;
}

static gboolean nic_is(const VireoDomainInterface *nic, const char *name)
{
    return (nic->target && g_strcmp0(nic->target->dev, name) == 0) ||
           (nic->mac && g_ascii_strcasecmp(nic->mac->address, name) == 0);
}

static gboolean has_nic(const VireoDomain *doc, const char *name)
{
    for (guint i = 0; doc->devices && i < doc->devices->interfaces.n; i++)
        if (nic_is(doc->devices->interfaces.items[i], name))
            return TRUE;
    return FALSE;
}

int test_domain_interface_stats(TestConn *conn, vireo_call *call,
                                const vireo_domain_interface_stats_args *args,
                                vireo_domain_interface_stats_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = NULL;

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    doc = test_domain_document(dom);
    if (!has_nic(doc, args->device))
        return no_such(call, "interface", args->device);
    ret->rx_packets = (gint64)work(dom, 50);
    ret->rx_bytes = ret->rx_packets * 512;
    ret->tx_packets = (gint64)work(dom, 25);
    ret->tx_bytes = ret->tx_packets * 512;
    return VIREO_OK;
}

int test_domain_interface_addresses(TestConn *conn, vireo_call *call,
                                    const vireo_domain_interface_addresses_args *args,
                                    vireo_domain_interface_addresses_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = NULL;
    guint n;

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    if (args->source > VIREO_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP)
        return FAIL(call, VIREO_ERR_ARGUMENT_UNSUPPORTED, "address source %u does not exist",
                    args->source);
    doc = test_domain_document(dom);
    n = doc->devices ? doc->devices->interfaces.n : 0;
    ret->ifaces.val = NEW(call, vireo_domain_interface, n + 1);
    for (guint i = 0; i < n; i++) {
        const VireoDomainInterface *nic = doc->devices->interfaces.items[i];
        vireo_domain_interface *at = &ret->ifaces.val[ret->ifaces.len++];
        g_autofree char *address = g_strdup_printf("192.168.122.%u", 2 + i % 250);
        g_autofree char *name = g_strdup_printf("testnet%u", i);

        at->name = DUP(call, nic->target && nic->target->dev ? nic->target->dev : name);
        at->hwaddr = DUP(call, nic->mac->address);
        at->addrs.len = 1;
        at->addrs.val = NEW(call, vireo_domain_ip_addr, 1);
        at->addrs.val[0] = (vireo_domain_ip_addr){0, DUP(call, address), 24};
    }
    return VIREO_OK;
}

/* ---- CPU time ---------------------------------------------------------------------------------
 */

static void cpu_fields(TestParams *params, guint64 ns, gboolean total)
{
    test_params_ullong(params, "cpu_time", ns);
    if (!total)
        return;
    test_params_ullong(params, "user_time", ns / 4 * 3);
    test_params_ullong(params, "system_time", ns / 4);
}

int test_domain_get_cpu_stats(TestConn *conn, vireo_call *call,
                              const vireo_domain_get_cpu_stats_args *args,
                              vireo_domain_get_cpu_stats_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    int cpus = node->info.cpus;
    TestParams params = {.call = call};

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    if (args->start_cpu >= cpus || args->start_cpu < -1)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "no CPU %d: there are %d", args->start_cpu, cpus);
    if (args->ncpus == 0) {
        ret->nparams = cpus;
        return VIREO_OK;
    }
    if (args->start_cpu == -1) {
        cpu_fields(&params, test_domain_cpu_ns(dom), TRUE);
        TEST_PARAMS_COUNTED(&params, args->nparams, ret);
        return VIREO_OK;
    }
    ret->nparams = 1;
    for (guint i = 0; args->nparams && i < args->ncpus && args->start_cpu + (int)i < cpus; i++)
        cpu_fields(&params, test_domain_cpu_ns(dom) / (guint)cpus, FALSE);
    TEST_PARAMS_GIVE(&params, ret->params);
    return VIREO_OK;
}

/* ---- everything at once -----------------------------------------------------------------------
 */

static void add_state(TestParams *params, TestDomain *dom)
{
    test_params_int(params, "state.state", dom->state);
    test_params_int(params, "state.reason", dom->reason);
}

static void add_cpu(TestParams *params, TestDomain *dom)
{
    guint64 ns = test_domain_cpu_ns(dom);

    test_params_ullong(params, "cpu.time", ns);
    test_params_ullong(params, "cpu.user", ns / 4 * 3);
    test_params_ullong(params, "cpu.system", ns / 4);
}

static void add_balloon(TestParams *params, TestDomain *dom)
{
    test_params_ullong(params, "balloon.current", dom->memory);
    test_params_ullong(params, "balloon.maximum", dom->max_memory);
}

static void add_vcpus(TestParams *params, TestDomain *dom, const VireoDomain *doc)
{
    test_params_uint(params, "vcpu.current", dom->vcpus);
    test_params_uint(params, "vcpu.maximum", doc->vcpu->text);
    for (guint i = 0; test_domain_active(dom) && i < dom->vcpus; i++) {
        g_autofree char *state = g_strdup_printf("vcpu.%u.state", i);
        g_autofree char *time = g_strdup_printf("vcpu.%u.time", i);

        test_params_int(params, state, VIREO_VCPU_RUNNING);
        test_params_ullong(params, time, test_domain_cpu_ns(dom) / dom->vcpus);
    }
}

static void add_indexed(TestParams *params, const char *prefix, guint index, const char *name,
                        guint64 value)
{
    g_autofree char *field = g_strdup_printf("%s.%u.%s", prefix, index, name);

    test_params_ullong(params, field, value);
}

static void add_name(TestParams *params, const char *prefix, guint index, const char *name,
                     const char *value)
{
    g_autofree char *field = g_strdup_printf("%s.%u.%s", prefix, index, name);

    if (value)
        test_params_string(params, field, value);
}

static void add_nics(TestParams *params, TestDomain *dom, const VireoDomain *doc)
{
    guint n = doc->devices && test_domain_active(dom) ? doc->devices->interfaces.n : 0;

    test_params_uint(params, "net.count", n);
    for (guint i = 0; i < n; i++) {
        const VireoDomainInterface *nic = doc->devices->interfaces.items[i];

        add_name(params, "net", i, "name",
                 nic->target && nic->target->dev ? nic->target->dev : nic->mac->address);
        add_indexed(params, "net", i, "rx.bytes", work(dom, 50) * 512);
        add_indexed(params, "net", i, "rx.pkts", work(dom, 50));
        add_indexed(params, "net", i, "tx.bytes", work(dom, 25) * 512);
        add_indexed(params, "net", i, "tx.pkts", work(dom, 25));
    }
}

static void add_disks(TestParams *params, TestDomain *dom, const VireoDomain *doc)
{
    guint n = doc->devices ? doc->devices->disks.n : 0;

    test_params_uint(params, "block.count", n);
    for (guint i = 0; i < n; i++) {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];

        add_name(params, "block", i, "name", disk->target->dev);
        add_name(params, "block", i, "path", test_disk_path(disk));
        add_indexed(params, "block", i, "allocation", disk_size(dom, disk));
        add_indexed(params, "block", i, "capacity", G_GUINT64_CONSTANT(1) << 30);
        add_indexed(params, "block", i, "physical", disk_size(dom, disk));
    }
}

static void add_vm(TestParams *params, TestDomain *dom)
{
    test_params_uint(params, "vm.test.boots.sum", dom->guest.boots);
    test_params_uint(params, "vm.test.nvram.sum", dom->nvram);
}

#define ALL_STATS                                                                                  \
    (VIREO_DOMAIN_STATS_STATE | VIREO_DOMAIN_STATS_CPU_TOTAL | VIREO_DOMAIN_STATS_BALLOON |        \
     VIREO_DOMAIN_STATS_VCPU | VIREO_DOMAIN_STATS_INTERFACE | VIREO_DOMAIN_STATS_BLOCK |           \
     VIREO_DOMAIN_STATS_VM)

static void add_record(vireo_call *call, TestDomain *dom, guint stats,
                       vireo_domain_stats_record *record)
{
    g_autoptr(VireoDomain) doc = test_domain_document(dom);
    TestParams params = {.call = call};

    record->dom = test_domain_ref(call, dom);
    if (stats & VIREO_DOMAIN_STATS_STATE)
        add_state(&params, dom);
    if (stats & VIREO_DOMAIN_STATS_CPU_TOTAL)
        add_cpu(&params, dom);
    if (stats & VIREO_DOMAIN_STATS_BALLOON)
        add_balloon(&params, dom);
    if (stats & VIREO_DOMAIN_STATS_VCPU)
        add_vcpus(&params, dom, doc);
    if (stats & VIREO_DOMAIN_STATS_INTERFACE)
        add_nics(&params, dom, doc);
    if (stats & VIREO_DOMAIN_STATS_BLOCK)
        add_disks(&params, dom, doc);
    if (stats & VIREO_DOMAIN_STATS_VM)
        add_vm(&params, dom);
    TEST_PARAMS_GIVE(&params, record->params);
}

static gboolean is_chosen(const TestDomain *dom, guint flags)
{
    return vireo_stats_chosen(flags, test_domain_active(dom), dom->config != NULL, dom->state);
}

static GPtrArray *chosen(TestNode *node, const vireo_connect_get_all_domain_stats_args *args)
{
    GPtrArray *doms = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;

    for (guint i = 0; i < args->doms.len; i++) {
        TestDomain *dom = g_hash_table_lookup(node->by_uuid, args->doms.val[i].uuid);

        if (dom)
            g_ptr_array_add(doms, dom);
    }
    if (args->doms.len)
        return doms;
    g_hash_table_iter_init(&iter, node->by_uuid);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (is_chosen(value, args->flags))
            g_ptr_array_add(doms, value);
    return doms;
}

int test_connect_get_all_domain_stats(TestConn *conn, vireo_call *call,
                                      const vireo_connect_get_all_domain_stats_args *args,
                                      vireo_connect_get_all_domain_stats_ret *ret)
{
    TEST_LOCK(conn);
    g_autoptr(GPtrArray) doms = NULL;
    guint stats = args->stats ? args->stats : ALL_STATS;

    if ((args->flags & VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS) && (stats & ~ALL_STATS))
        return FAIL(call, VIREO_ERR_ARGUMENT_UNSUPPORTED, "stats groups 0x%x are not supported",
                    stats & ~(guint)ALL_STATS);
    doms = chosen(node, args);
    ret->retStats.val = NEW(call, vireo_domain_stats_record, doms->len + 1);
    for (guint i = 0; i < doms->len; i++)
        add_record(call, doms->pdata[i], stats, &ret->retStats.val[ret->retStats.len++]);
    return VIREO_OK;
}

/* ---- jobs -------------------------------------------------------------------------------------
 */

static void add_job(TestParams *params, const TestJob *job)
{
    gint64 now = job->end_us ? job->end_us : g_get_monotonic_time();
    gint64 elapsed = now - job->begin_us;
    guint64 done = (guint64)MIN(elapsed, job->planned_us), total = (guint64)job->planned_us;

    test_params_int(params, "operation", job->operation);
    test_params_ullong(params, "time_elapsed", (guint64)elapsed / 1000);
    if (!job->end_us)
        test_params_ullong(params, "time_remaining", (total - done) / 1000);
    test_params_ullong(params, "data_total", total);
    test_params_ullong(params, "data_processed", done);
    test_params_ullong(params, "data_remaining", total - done);
    if (job->end_us)
        test_params_boolean(params, "success", job->outcome == VIREO_DOMAIN_JOB_COMPLETED);
}

int test_domain_get_job_stats(TestConn *conn, vireo_call *call,
                              const vireo_domain_get_job_stats_args *args,
                              vireo_domain_get_job_stats_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    gboolean completed = args->flags & VIREO_DOMAIN_JOB_STATS_COMPLETED;
    TestParams params = {.call = call};
    TestJob *job;

    if (!dom)
        return VIREO_FAIL;
    job = dom->extra ? completed ? &dom->extra->last_job : &dom->extra->job : NULL;
    ret->type = job ? job->outcome : VIREO_DOMAIN_JOB_NONE;
    if (ret->type == VIREO_DOMAIN_JOB_NONE)
        return VIREO_OK;
    add_job(&params, job);
    TEST_PARAMS_GIVE(&params, ret->params);
    if (completed && !(args->flags & VIREO_DOMAIN_JOB_STATS_KEEP_COMPLETED))
        *job = (TestJob){0};
    return VIREO_OK;
}

int test_domain_abort_job_flags(TestConn *conn, vireo_call *call,
                                const vireo_domain_abort_job_flags_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (!dom->extra || dom->extra->job.outcome != VIREO_DOMAIN_JOB_BOUNDED)
        return FAIL(call, VIREO_ERR_OPERATION_INVALID, "no job runs on domain '%s'", dom->name);
    dom->extra->job.abort = TRUE;
    return VIREO_OK;
}

int test_domain_get_control_info(TestConn *conn, vireo_call *call,
                                 const vireo_domain_get_control_info_args *args,
                                 vireo_domain_get_control_info_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    ret->state = VIREO_DOMAIN_CONTROL_OK;
    if (dom->extra && dom->extra->job.outcome == VIREO_DOMAIN_JOB_BOUNDED) {
        ret->state = VIREO_DOMAIN_CONTROL_JOB;
        ret->stateTime = (guint64)(g_get_monotonic_time() - dom->extra->job.begin_us) / 1000;
    }
    return VIREO_OK;
}
