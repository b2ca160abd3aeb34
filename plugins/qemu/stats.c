/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures of a running guest. */
#include "stats.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "events.h"
#include "images.h"
#include "kit/file.h"
#include "kit/process.h"
#include "ops.h"
#include "kit/params.h"
#include "remote.h"

const VireoDomainDisk *qemu_find_disk(const VireoDomain *doc, const char *name, GError **error)
{
    VEC_EACH(doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];

        if (!g_strcmp0(disk->target->dev, name) || !g_strcmp0(qemu_disk_path(disk), name))
            return disk;
    }
    qemu_error(error, VIREO_ERR_INVALID_ARG, "domain '%s' has no disk '%s'", doc->name, name);
    return NULL;
}

/* The entry of a list from QEMU whose member "qdev" names the alias. */
static JsonObject *entry_of(JsonArray *list, const char *alias)
{
    for (guint i = 0; i < vireo_json_length(list); i++) {
        JsonObject *entry = vireo_json_element(list, i);
        const char *qdev = vireo_json_string(entry, "qdev");
        g_auto(GStrv) parts = qdev ? g_strsplit(qdev, "/", -1) : NULL;

        if (parts && g_strv_contains((const char *const *)parts, alias))
            return entry;
    }
    return NULL;
}

/* ---- memory -------------------------------------------------------------------- */

static guint64 resident_kib(QemuDomain *dom)
{
    VireoProcessUsage usage = { 0 };

    g_mutex_lock(&dom->lock);
    pid_t pid = dom->pid;
    g_mutex_unlock(&dom->lock);
    return vireo_process_usage(pid, 0, &usage) ? usage.resident_kib : 0;
}

static const struct {
    const char *qemu, *name;
    int tag;
    guint64 unit;
} balloon_fields[] = {
    { "stat-swap-in", "swap_in", VIREO_DOMAIN_MEMORY_STAT_SWAP_IN, 1024 },
    { "stat-swap-out", "swap_out", VIREO_DOMAIN_MEMORY_STAT_SWAP_OUT, 1024 },
    { "stat-major-faults", "major_fault", VIREO_DOMAIN_MEMORY_STAT_MAJOR_FAULT, 1 },
    { "stat-minor-faults", "minor_fault", VIREO_DOMAIN_MEMORY_STAT_MINOR_FAULT, 1 },
    { "stat-free-memory", "unused", VIREO_DOMAIN_MEMORY_STAT_UNUSED, 1024 },
    { "stat-total-memory", "available", VIREO_DOMAIN_MEMORY_STAT_AVAILABLE, 1024 },
    { "stat-available-memory", "usable", VIREO_DOMAIN_MEMORY_STAT_USABLE, 1024 },
    { "stat-disk-caches", "disk_caches", VIREO_DOMAIN_MEMORY_STAT_DISK_CACHES, 1024 },
    { "stat-htlb-pgalloc", "hugetlb_pgalloc", VIREO_DOMAIN_MEMORY_STAT_HUGETLB_PGALLOC, 1 },
    { "stat-htlb-pgfail", "hugetlb_pgfail", VIREO_DOMAIN_MEMORY_STAT_HUGETLB_PGFAIL, 1 },
};

/* What the guest's balloon driver last reported; NULL when it has no balloon. */
static JsonNode *balloon_stats(QemuDomain *dom, const VireoDomain *doc, VireoQmp *qmp,
                               const VireoQmpWait *wait)
{
    if (!doc->devices->memballoon || !doc->devices->memballoon->alias)
        return NULL;
    g_autofree char *path =
        g_strdup_printf("/machine/peripheral/%s", doc->devices->memballoon->alias);
    return vireo_qmp_call(qmp, "qom-get",
                          vireo_json_new('s', "path", path, 's', "property", "guest-stats", 0),
                          wait, NULL);
}

int qemu_domain_memory_stats(void *handle, vireo_call *call,
                             const vireo_domain_memory_stats_args *args,
                             vireo_domain_memory_stats_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoQmp) qmp = dom ? qemu_domain_monitor(dom, &error) : NULL;
    g_autoptr(QemuDef) live = dom ? qemu_domain_live(dom) : NULL;
    VireoQmpWait wait = qemu_wait(conn->driver, call, 5);
    guint n = 0;

    if (!dom)
        return VIREO_FAIL;
    if (!qmp || !live)
        return qemu_fail(conn->driver, call, error);
    g_autoptr(JsonNode) node = balloon_stats(dom, live->doc, qmp, &wait);
    JsonObject *stats = vireo_json_object(vireo_json_node_object(node), "stats");
    vireo_domain_memory_stat *out =
        conn->driver->host->alloc(call, sizeof *out * (G_N_ELEMENTS(balloon_fields) + 3));
    g_mutex_lock(&dom->lock);
    out[n].tag = VIREO_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON;
    out[n++].val = dom->balloon_kib;
    g_mutex_unlock(&dom->lock);
    for (guint i = 0; i < G_N_ELEMENTS(balloon_fields); i++) {
        gint64 value = vireo_json_int(stats, balloon_fields[i].qemu, -1);

        if (value < 0) /* also what QEMU says for unknown: all ones */
            continue;
        out[n].tag = balloon_fields[i].tag;
        out[n++].val = (guint64)value / balloon_fields[i].unit;
    }
    gint64 updated = vireo_json_int(vireo_json_node_object(node), "last-update", 0);
    out[n].tag = VIREO_DOMAIN_MEMORY_STAT_LAST_UPDATE;
    out[n++].val = (guint64)updated;
    out[n].tag = VIREO_DOMAIN_MEMORY_STAT_RSS;
    out[n++].val = resident_kib(dom);
    ret->stats.val = out;
    ret->stats.len = MIN(n, args->maxStats);
    return VIREO_OK;
}

/* ---- disks --------------------------------------------------------------------- */

int qemu_domain_block_stats_flags(void *handle, vireo_call *call,
                                  const vireo_domain_block_stats_flags_args *args,
                                  vireo_domain_block_stats_flags_ret *ret)
{
    static const struct {
        const char *qemu, *name;
    } fields[] = { { "wr_bytes", "wr_bytes" },         { "wr_operations", "wr_operations" },
                   { "rd_bytes", "rd_bytes" },         { "rd_operations", "rd_operations" },
                   { "flush_operations", "flush_operations" },
                   { "wr_total_time_ns", "wr_total_times" },
                   { "rd_total_time_ns", "rd_total_times" },
                   { "flush_total_time_ns", "flush_total_times" } };
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoQmp) qmp = dom ? qemu_domain_monitor(dom, &error) : NULL;
    g_autoptr(QemuDef) live = dom ? qemu_domain_live(dom) : NULL;
    VireoQmpWait wait = qemu_wait(conn->driver, call, 30);
    g_auto(VireoParams) params = { 0 };

    if (!dom)
        return VIREO_FAIL;
    if (!qmp || !live)
        return qemu_fail(conn->driver, call, error);
    const VireoDomainDisk *disk = qemu_find_disk(live->doc, args->path, &error);
    if (!disk)
        return qemu_fail(conn->driver, call, error);
    g_autoptr(JsonNode) node = vireo_qmp_call(qmp, "query-blockstats", NULL, &wait, &error);
    if (!node)
        return qemu_fail(conn->driver, call, error);
    JsonObject *stats =
        vireo_json_object(entry_of(vireo_json_node_array(node), disk->alias), "stats");
    vireo_params_init(&params, conn->driver->host, call);
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
        vireo_param_llong(&params, fields[i].name, vireo_json_int(stats, fields[i].qemu, 0));
    ret->params.val = vireo_params_take(&params, &ret->params.len);
    return VIREO_OK;
}

/* What of it is allocated the server does not say: all of it. */
static gboolean remote_size(const char *path, VireoDomainStorageFormat format, QemuDiskSize *size, GError **error)
{
    if (!qemu_remote_size(path, &size->physical, error))
        return FALSE;
    size->capacity = size->allocation = size->physical;
    if (format != VIREO_DOMAIN_STORAGE_FORMAT_QCOW2)
        return TRUE;
    g_autoptr(QemuImageInfo) info = qemu_image_inspect(path, FALSE, error);
    size->capacity = info ? info->virtual_size : 0;
    return info != NULL;
}

gboolean qemu_image_size(const char *path, VireoDomainStorageFormat format, QemuDiskSize *size, GError **error)
{
    struct stat st;

    if (qemu_is_remote(path))
        return remote_size(path, format, size, error);
    int fd = qemu_image_open(path, O_RDONLY, error);
    if (fd < 0)
        return FALSE;
    g_autoptr(QemuImageInfo) info = qemu_image_info_read(fd, path, FALSE, error);
    gboolean known = info && fstat(fd, &st) == 0;
    if (known && S_ISBLK(st.st_mode)) {
        known = ioctl(fd, BLKGETSIZE64, &size->physical) == 0;
        size->allocation = size->physical;
    } else if (known) {
        size->physical = (guint64)st.st_size;
        size->allocation = (guint64)st.st_blocks * 512;
    }
    if (info && !known)
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "%s: %s", path, g_strerror(errno));
    close(fd);
    if (!known)
        return FALSE;
    /* A raw disk stays raw, whatever its guest wrote into its first sector. */
    size->capacity = format == VIREO_DOMAIN_STORAGE_FORMAT_QCOW2 ? info->virtual_size : size->physical;
    return TRUE;
}

gboolean qemu_disk_size(const VireoDomainDisk *disk, QemuDiskSize *size, GError **error)
{
    const char *path = qemu_disk_path(disk);

    if (path)
        return qemu_image_size(path, disk->driver->type, size, error);
    qemu_error(error, VIREO_ERR_INVALID_ARG, "disk '%s' has no medium", disk->target->dev);
    return FALSE;
}

int qemu_domain_get_block_info(void *handle, vireo_call *call,
                               const vireo_domain_get_block_info_args *args,
                               vireo_domain_get_block_info_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(QemuDef) def = dom ? qemu_domain_current(dom) : NULL;
    g_autoptr(GError) error = NULL;
    QemuDiskSize size;

    if (!dom)
        return VIREO_FAIL;
    if (!def)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "domain '%s' is gone",
                                        dom->name);
    const VireoDomainDisk *disk = qemu_find_disk(def->doc, args->path, &error);
    if (!disk || !qemu_disk_size(disk, &size, &error))
        return qemu_fail(conn->driver, call, error);
    ret->allocation = size.allocation;
    ret->capacity = size.capacity;
    ret->physical = size.physical;
    return VIREO_OK;
}

/* ---- interfaces ---------------------------------------------------------------- */

static gint64 counter(const char *dev, const char *name)
{
    g_autofree char *path = g_strdup_printf("/sys/class/net/%s/statistics/%s", dev, name);
    g_autofree char *text = NULL;

    if (!vireo_file_read(path, 4096, &text, NULL, NULL))
        return -1;
    return g_ascii_strtoll(text, NULL, 10);
}

/* The host's end sends what the guest receives. */
static void tap_counters(const char *dev, gint64 out[8])
{
    static const char *const names[] = { "tx_bytes", "tx_packets", "tx_errors", "tx_dropped",
                                         "rx_bytes", "rx_packets", "rx_errors", "rx_dropped" };

    for (guint i = 0; i < 8; i++)
        out[i] = counter(dev, names[i]);
}

int qemu_domain_interface_stats(void *handle, vireo_call *call,
                                const vireo_domain_interface_stats_args *args,
                                vireo_domain_interface_stats_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(QemuDef) live = dom ? qemu_domain_live(dom) : NULL;
    gint64 value[8];

    if (!dom)
        return VIREO_FAIL;
    if (!live)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                        "domain '%s' is not running", dom->name);
    VEC_EACH(live->doc->devices->interfaces, i)
    {
        const VireoDomainInterface *iface = live->doc->devices->interfaces.items[i];
        const char *dev = iface->target ? iface->target->dev : NULL;

        if (g_strcmp0(dev, args->device) && g_ascii_strcasecmp(iface->mac->address, args->device))
            continue;
        if (!dev)
            return conn->driver->host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED,
                                            "interface %s is of type 'user': it has no counters",
                                            args->device);
        tap_counters(dev, value);
        ret->rx_bytes = value[0];
        ret->rx_packets = value[1];
        ret->rx_errs = value[2];
        ret->rx_drop = value[3];
        ret->tx_bytes = value[4];
        ret->tx_packets = value[5];
        ret->tx_errs = value[6];
        ret->tx_drop = value[7];
        return VIREO_OK;
    }
    return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "domain '%s' has no interface '%s'",
                                    dom->name, args->device);
}
