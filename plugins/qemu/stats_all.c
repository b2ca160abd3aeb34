/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All figures of many domains in one call. The questions to all QEMUs are sent before the first
 * answer is waited for, and those that hang together delay the others once. */
#include "ops.h"

#include <string.h>

#include "events.h"
#include "images.h"
#include "kit/file.h"
#include "kit/process.h"
#include "kit/stats.h"
#include "kit/params.h"
#include "remote.h"
#include "stats.h"

#define ANSWER_S 5
#define GROUPS_SERVED                                                                              \
    (VIREO_DOMAIN_STATS_STATE | VIREO_DOMAIN_STATS_CPU_TOTAL | VIREO_DOMAIN_STATS_BALLOON |        \
     VIREO_DOMAIN_STATS_VCPU | VIREO_DOMAIN_STATS_INTERFACE | VIREO_DOMAIN_STATS_BLOCK)

typedef struct {
    QemuDomain *dom;
    QemuDef *def;
    gboolean active;
    VireoQmpBatch *batch; /* query-blockstats; NULL: not asked */
} Subject;

static void subject_free(gpointer opaque)
{
    Subject *subject = opaque;

    qemu_domain_unref(subject->dom);
    qemu_def_unref(subject->def);
    vireo_qmp_batch_free(subject->batch);
    g_free(subject);
}

static GPtrArray *choose(QemuConn *conn, const vireo_connect_get_all_domain_stats_args *args)
{
    GPtrArray *subjects = g_ptr_array_new_with_free_func(subject_free);
    g_autoptr(GPtrArray) all = NULL;

    if (args->doms.len) {
        all = g_ptr_array_new_with_free_func((GDestroyNotify)qemu_domain_unref);
        for (guint i = 0; i < args->doms.len; i++) {
            QemuDomain *dom = qemu_domain_by_uuid(conn->space, args->doms.val[i].uuid);

            if (dom) /* one that is gone meanwhile is left out */
                g_ptr_array_add(all, dom);
        }
    } else {
        all = qemu_domain_all(conn->space);
    }
    for (guint i = 0; i < all->len; i++) {
        QemuDomain *dom = all->pdata[i];

        g_mutex_lock(&dom->lock);
        gboolean active = dom->id != -1, take = vireo_stats_chosen(args->flags, active, dom->config != NULL, dom->state);
        g_mutex_unlock(&dom->lock);
        QemuDef *def = take ? qemu_domain_current(dom) : NULL;
        if (!def)
            continue;
        Subject *subject = g_new0(Subject, 1);
        subject->dom = qemu_domain_ref(dom);
        subject->def = def;
        subject->active = active;
        g_ptr_array_add(subjects, subject);
    }
    return subjects;
}

static void ask(Subject *subject, guint groups)
{
    VireoQmp *qmp = NULL;

    if (!subject->active || !(groups & VIREO_DOMAIN_STATS_BLOCK))
        return;
    qmp = qemu_domain_monitor(subject->dom, NULL);
    if (!qmp)
        return;
    subject->batch = vireo_qmp_batch_new(qmp);
    vireo_qmp_batch_add(subject->batch, "query-blockstats", NULL);
    vireo_qmp_unref(qmp);
}

/* ---- one group each ------------------------------------------------------------ */

static void add_state(VireoParams *params, Subject *subject)
{
    g_mutex_lock(&subject->dom->lock);
    int state = subject->dom->state, reason = subject->dom->reason;
    g_mutex_unlock(&subject->dom->lock);
    vireo_param_int(params, "state.state", state);
    vireo_param_int(params, "state.reason", reason);
}

static void add_cpu(VireoParams *params, Subject *subject)
{
    VireoProcessUsage usage;

    g_mutex_lock(&subject->dom->lock);
    pid_t pid = subject->dom->id != -1 ? subject->dom->pid : 0;
    g_mutex_unlock(&subject->dom->lock);
    if (!pid || !vireo_process_usage(pid, 0, &usage))
        return;
    vireo_param_ullong(params, "cpu.time", usage.user_ns + usage.system_ns);
    vireo_param_ullong(params, "cpu.user", usage.user_ns);
    vireo_param_ullong(params, "cpu.system", usage.system_ns);
}

static void add_balloon(VireoParams *params, Subject *subject)
{
    const VireoDomain *doc = subject->def->doc;
    VireoProcessUsage usage;

    g_mutex_lock(&subject->dom->lock);
    pid_t pid = subject->dom->id != -1 ? subject->dom->pid : 0;
    guint64 current = pid && subject->dom->balloon_kib ? subject->dom->balloon_kib
                                                       : doc->current_memory;
    g_mutex_unlock(&subject->dom->lock);
    vireo_param_ullong(params, "balloon.current", current);
    vireo_param_ullong(params, "balloon.maximum", doc->memory->text);
    if (pid && vireo_process_usage(pid, 0, &usage))
        vireo_param_ullong(params, "balloon.rss", usage.resident_kib);
}

static void add_vcpus(VireoParams *params, Subject *subject)
{
    const VireoDomainVcpu *vcpu = subject->def->doc->vcpu;
    g_autoptr(GArray) tids = NULL;

    vireo_param_uint(params, "vcpu.current", vcpu->has_current ? vcpu->current : vcpu->text);
    vireo_param_uint(params, "vcpu.maximum", vcpu->text);
    g_mutex_lock(&subject->dom->lock);
    pid_t pid = subject->dom->id != -1 ? subject->dom->pid : 0;
    tids = g_array_copy(subject->dom->vcpu_tids);
    g_mutex_unlock(&subject->dom->lock);
    for (guint i = 0; pid && i < tids->len; i++) {
        g_autofree char *state = g_strdup_printf("vcpu.%u.state", i);
        g_autofree char *time = g_strdup_printf("vcpu.%u.time", i);
        VireoProcessUsage usage;

        if (!vireo_process_usage(pid, g_array_index(tids, gint, i), &usage))
            continue;
        vireo_param_int(params, state, VIREO_VCPU_RUNNING);
        vireo_param_ullong(params, time, usage.user_ns + usage.system_ns);
    }
}

static void add_interfaces(VireoParams *params, Subject *subject)
{
    static const struct {
        const char *name, *file; /* the host's end sends what the guest receives */
    } counters[] = { { "rx.bytes", "tx_bytes" },   { "rx.pkts", "tx_packets" },
                     { "rx.errs", "tx_errors" },   { "rx.drop", "tx_dropped" },
                     { "tx.bytes", "rx_bytes" },   { "tx.pkts", "rx_packets" },
                     { "tx.errs", "rx_errors" },   { "tx.drop", "rx_dropped" } };
    const VireoDomainDevices *devices = subject->def->doc->devices;
    guint shown = 0;

    if (!subject->active)
        return;
    vireo_param_uint(params, "net.count", devices->interfaces.n);
    VEC_EACH(devices->interfaces, i)
    {
        const VireoDomainInterface *iface = devices->interfaces.items[i];
        const char *dev = iface->target ? iface->target->dev : NULL;
        g_autofree char *name = g_strdup_printf("net.%u.name", shown);

        if (!dev) {
            shown++;
            continue;
        }
        vireo_param_string(params, name, dev);
        for (guint c = 0; c < G_N_ELEMENTS(counters); c++) {
            g_autofree char *path =
                g_strdup_printf("/sys/class/net/%s/statistics/%s", dev, counters[c].file);
            g_autofree char *key = g_strdup_printf("net.%u.%s", shown, counters[c].name);
            g_autofree char *text = NULL;

            if (vireo_file_read(path, 4096, &text, NULL, NULL))
                vireo_param_ullong(params, key, g_ascii_strtoull(text, NULL, 10));
        }
        shown++;
    }
}

static JsonObject *stats_of(JsonArray *list, const char *alias)
{
    for (guint i = 0; i < vireo_json_length(list); i++) {
        JsonObject *entry = vireo_json_element(list, i);
        const char *qdev = vireo_json_string(entry, "qdev");
        g_auto(GStrv) parts = qdev ? g_strsplit(qdev, "/", -1) : NULL;

        if (parts && alias && g_strv_contains((const char *const *)parts, alias))
            return vireo_json_object(entry, "stats");
    }
    return NULL;
}

static void add_size(VireoParams *params, guint index, const char *path, VireoDomainStorageFormat format)
{
    g_autofree char *file = g_strdup_printf("block.%u.path", index);
    g_autofree char *allocation = g_strdup_printf("block.%u.allocation", index);
    g_autofree char *capacity = g_strdup_printf("block.%u.capacity", index);
    g_autofree char *physical = g_strdup_printf("block.%u.physical", index);
    QemuDiskSize size;

    if (qemu_is_remote(path))
        return; /* nobody asks a server each time somebody looks */
    vireo_param_string(params, file, path);
    if (!qemu_image_size(path, format, &size, NULL))
        return;
    vireo_param_ullong(params, allocation, size.allocation);
    vireo_param_ullong(params, capacity, size.capacity);
    vireo_param_ullong(params, physical, size.physical);
}

static void add_name(VireoParams *params, guint index, const VireoDomainDisk *disk, guint depth)
{
    g_autofree char *name = g_strdup_printf("block.%u.name", index);
    g_autofree char *backing = g_strdup_printf("block.%u.backingIndex", index);

    vireo_param_string(params, name, disk->target->dev);
    if (depth)
        vireo_param_uint(params, backing, depth);
}

static void add_block(VireoParams *params, const VireoDomainDisk *disk, guint index,
                      JsonArray *answer)
{
    static const struct {
        const char *name, *qemu;
    } counters[] = { { "rd.reqs", "rd_operations" },  { "rd.bytes", "rd_bytes" },
                     { "rd.times", "rd_total_time_ns" }, { "wr.reqs", "wr_operations" },
                     { "wr.bytes", "wr_bytes" },      { "wr.times", "wr_total_time_ns" },
                     { "fl.reqs", "flush_operations" }, { "fl.times", "flush_total_time_ns" } };
    JsonObject *stats = stats_of(answer, disk->alias);
    const char *file = qemu_disk_path(disk);

    add_name(params, index, disk, 0);
    for (guint c = 0; stats && c < G_N_ELEMENTS(counters); c++) {
        g_autofree char *key = g_strdup_printf("block.%u.%s", index, counters[c].name);

        vireo_param_ullong(params, key, (guint64)vireo_json_int(stats, counters[c].qemu, 0));
    }
    if (file)
        add_size(params, index, file, disk->driver->type);
}

/* The deadline is that of the whole call: many that hang take no longer than one. */
static void add_blocks(VireoParams *params, Subject *subject, gboolean backing, VireoQmpWait *wait, gint64 deadline)
{
    const VireoDomainDevices *devices = subject->def->doc->devices;
    JsonArray *answer = NULL;

    wait->timeout_ms = MAX(1, (deadline - g_get_monotonic_time()) / 1000);
    if (subject->batch && vireo_qmp_batch_wait(subject->batch, wait, NULL))
        answer = vireo_json_node_array(vireo_qmp_batch_get(subject->batch, 0));
    g_autoptr(GPtrArray) chains = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    guint index = 0, count = 0;

    /* What cannot be read has no image below. */
    VEC_EACH(devices->disks, i)
    {
        GPtrArray *chain = backing && subject->active ? qemu_image_chain(devices->disks.items[i], NULL) : NULL;

        g_ptr_array_add(chains, chain ? chain : g_ptr_array_new());
        count += MAX(1, ((GPtrArray *)chains->pdata[i])->len);
    }
    vireo_param_uint(params, "block.count", count);
    VEC_EACH(devices->disks, i)
    {
        GPtrArray *chain = chains->pdata[i];

        add_block(params, devices->disks.items[i], index++, answer);
        for (guint depth = 1; depth < chain->len; depth++, index++) {
            const QemuImage *image = chain->pdata[depth];

            add_name(params, index, devices->disks.items[i], depth);
            add_size(params, index, image->path, image->format);
        }
    }
}

int qemu_connect_get_all_domain_stats(void *handle, vireo_call *call,
                                      const vireo_connect_get_all_domain_stats_args *args,
                                      vireo_connect_get_all_domain_stats_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    guint groups = args->stats ? args->stats : G_MAXUINT;
    VireoQmpWait wait = qemu_wait(conn->driver, call, 0);
    gint64 deadline = g_get_monotonic_time() + ANSWER_S * G_USEC_PER_SEC;

    if ((args->flags & VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS) &&
        (args->stats & ~(guint)GROUPS_SERVED))
        return conn->driver->host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED,
                                        "statistics groups 0x%x are not served",
                                        args->stats & ~(guint)GROUPS_SERVED);
    g_autoptr(GPtrArray) subjects = choose(conn, args);
    for (guint i = 0; i < subjects->len; i++)
        ask(subjects->pdata[i], groups);
    ret->retStats.len = subjects->len;
    ret->retStats.val =
        conn->driver->host->alloc(call, sizeof *ret->retStats.val * (subjects->len + 1));
    for (guint i = 0; i < subjects->len; i++) {
        Subject *subject = subjects->pdata[i];
        vireo_domain_stats_record *record = &ret->retStats.val[i];
        g_auto(VireoParams) params = { 0 };

        vireo_params_init(&params, conn->driver->host, call);
        qemu_domain_fill_ref(subject->dom, call, &record->dom);
        if (groups & VIREO_DOMAIN_STATS_STATE)
            add_state(&params, subject);
        if (groups & VIREO_DOMAIN_STATS_CPU_TOTAL)
            add_cpu(&params, subject);
        if (groups & VIREO_DOMAIN_STATS_BALLOON)
            add_balloon(&params, subject);
        if (groups & VIREO_DOMAIN_STATS_VCPU)
            add_vcpus(&params, subject);
        if (groups & VIREO_DOMAIN_STATS_INTERFACE)
            add_interfaces(&params, subject);
        if (groups & VIREO_DOMAIN_STATS_BLOCK)
            add_blocks(&params, subject, (args->flags & VIREO_CONNECT_GET_ALL_DOMAINS_STATS_BACKING) != 0, &wait,
                       deadline);
        record->params.val = vireo_params_take(&params, &record->params.len);
    }
    return VIREO_OK;
}
