/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/node.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "util/file.h"

#define FACT_MAX (4u * 1024 * 1024)
#define CPU_DIR "/sys/devices/system/cpu"
#define NODE_DIR "/sys/devices/system/node"

static char *fact_text(const char *path)
{
    char *text = NULL;

    if (!vireo_file_read(path, FACT_MAX, &text, NULL, NULL))
        return NULL;
    return g_strchomp(text);
}

static gint64 fact_number(const char *path, gint64 fallback)
{
    g_autofree char *text = fact_text(path);

    return text && *text ? g_ascii_strtoll(text, NULL, 10) : fallback;
}

/* "0-3,8" to an ascending array of gint. */
static GArray *parse_list(const char *text)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(gint));

    while (text && g_ascii_isdigit(*text)) {
        char *end;
        gint first = (gint)strtol(text, &end, 10), last = first;

        if (*end == '-')
            last = (gint)strtol(end + 1, &end, 10);
        for (gint i = first; i <= last && i < 1 << 20; i++)
            g_array_append_val(list, i);
        text = *end == ',' ? end + 1 : end;
    }
    return list;
}

static GArray *fact_list(const char *path)
{
    g_autofree char *text = fact_text(path);
    GArray *list = parse_list(text);
    gint zero = 0;

    if (!list->len)
        g_array_append_val(list, zero);
    return list;
}

GArray *vireo_node_cells(void)
{
    return fact_list(NODE_DIR "/online");
}

static int cpu_fact(int cpu, const char *name, int fallback)
{
    g_autofree char *path = g_strdup_printf(CPU_DIR "/cpu%d/topology/%s", cpu, name);
    gint64 value = fact_number(path, fallback);

    return value < 0 ? fallback : (int)value;
}

static int cpu_mhz(void)
{
    g_autofree char *text = fact_text("/proc/cpuinfo");
    const char *line = text ? strstr(text, "cpu MHz") : NULL;

    line = line ? strchr(line, ':') : NULL;
    return line ? (int)g_ascii_strtod(line + 1, NULL) : 0;
}

/* ---- info ---------------------------------------------------------------------- */

static guint count_distinct(GArray *cpus, gboolean cores)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < cpus->len; i++) {
        int cpu = g_array_index(cpus, gint, i);
        int package = cpu_fact(cpu, "physical_package_id", 0);

        g_hash_table_add(seen, cores ? g_strdup_printf("%d.%d.%d", package,
                                                       cpu_fact(cpu, "die_id", 0),
                                                       cpu_fact(cpu, "core_id", cpu))
                                     : g_strdup_printf("%d", package));
    }
    return g_hash_table_size(seen);
}

gboolean vireo_node_info(VireoNodeInfo *info, GError **error)
{
    g_autoptr(GArray) cpus = fact_list(CPU_DIR "/online");
    g_autoptr(GArray) cells = vireo_node_cells();
    VireoNodeMemoryStats memory;
    struct utsname name;

    if (!vireo_node_memory_stats(-1, &memory, error))
        return FALSE;
    memset(info, 0, sizeof *info);
    uname(&name);
    g_strlcpy(info->model, name.machine, sizeof info->model);
    info->memory_kib = memory.total;
    info->cpus = (int)cpus->len;
    info->mhz = cpu_mhz();

    int sockets = (int)count_distinct(cpus, FALSE), cores = (int)count_distinct(cpus, TRUE);
    info->nodes = (int)cells->len;
    info->sockets = MAX(1, sockets / info->nodes);
    info->cores = MAX(1, cores / sockets);
    info->threads = MAX(1, info->cpus / cores);
    /* nodes * sockets * cores * threads must give the number of CPUs; an uneven host is shown flat. */
    if (info->nodes * info->sockets * info->cores * info->threads != info->cpus) {
        info->nodes = info->sockets = info->threads = 1;
        info->cores = info->cpus;
    }
    return TRUE;
}

/* ---- statistics ---------------------------------------------------------------- */

gboolean vireo_node_cpu_stats(int cpu, VireoNodeCpuStats *stats, GError **error)
{
    g_autofree char *text = NULL;
    char name[32];
    unsigned long long user, nice, system, idle, iowait, irq, softirq;
    guint64 tick_ns = 1000000000u / (guint64)sysconf(_SC_CLK_TCK);

    if (!vireo_file_read("/proc/stat", FACT_MAX, &text, NULL, error))
        return FALSE;
    if (cpu < 0)
        g_strlcpy(name, "cpu ", sizeof name);
    else
        g_snprintf(name, sizeof name, "cpu%d ", cpu);
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (!g_str_has_prefix(line, name))
            continue;
        if (sscanf(line + strlen(name), "%llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system,
                   &idle, &iowait, &irq, &softirq) < 7)
            break;
        stats->user = (user + nice) * tick_ns;
        stats->kernel = (system + irq + softirq) * tick_ns;
        stats->idle = idle * tick_ns;
        stats->iowait = iowait * tick_ns;
        return TRUE;
    }
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "the host has no active CPU %d", cpu);
    return FALSE;
}

static guint64 meminfo_value(const char *text, const char *name)
{
    const char *at = text;

    while ((at = strstr(at, name))) {
        at += strlen(name);
        if (*at == ':')
            return g_ascii_strtoull(at + 1, NULL, 10);
    }
    return 0;
}

gboolean vireo_node_memory_stats(int cell, VireoNodeMemoryStats *stats, GError **error)
{
    g_autofree char *path = cell < 0 ? g_strdup("/proc/meminfo")
                                     : g_strdup_printf(NODE_DIR "/node%d/meminfo", cell);
    g_autofree char *text = NULL;

    /* A kernel without NUMA has no node directory: the one node is the host. */
    if (cell == 0 && !g_file_test(path, G_FILE_TEST_EXISTS))
        return vireo_node_memory_stats(-1, stats, error);
    if (!vireo_file_read(path, FACT_MAX, &text, NULL, error))
        return FALSE;
    memset(stats, 0, sizeof *stats);
    stats->total = meminfo_value(text, "MemTotal");
    stats->free = meminfo_value(text, "MemFree");
    if (cell < 0) {
        stats->buffers = meminfo_value(text, "Buffers");
        stats->cached = meminfo_value(text, "\nCached");
    }
    return TRUE;
}

int vireo_node_cpu_map(guint8 **map, gsize *len, guint *online, GError **error)
{
    g_autoptr(GArray) present = fact_list(CPU_DIR "/present");
    g_autoptr(GArray) active = fact_list(CPU_DIR "/online");
    int count = g_array_index(present, gint, present->len - 1) + 1;

    if (online)
        *online = active->len;
    if (!map)
        return count;
    *len = (gsize)(count + 7) / 8;
    *map = g_malloc0(*len);
    for (guint i = 0; i < active->len; i++) {
        int cpu = g_array_index(active, gint, i);

        if (cpu < count)
            (*map)[cpu / 8] |= (guint8)(1u << (cpu % 8));
    }
    return count;
}

gboolean vireo_node_free_pages(int cell, guint page_kib, guint64 *count, GError **error)
{
    g_autofree char *path = g_strdup_printf(
        NODE_DIR "/node%d/hugepages/hugepages-%ukB/free_hugepages", cell, page_kib);
    g_autofree char *text = NULL;

    if (page_kib == (guint)(sysconf(_SC_PAGESIZE) / 1024)) {
        VireoNodeMemoryStats memory;

        if (!vireo_node_memory_stats(cell, &memory, error))
            return FALSE;
        *count = memory.free / page_kib;
        return TRUE;
    }
    if (!vireo_file_read(path, 4096, &text, NULL, error)) {
        g_prefix_error(error, "page size %u KiB in cell %d: ", page_kib, cell);
        return FALSE;
    }
    *count = g_ascii_strtoull(text, NULL, 10);
    return TRUE;
}

/* ---- identity ------------------------------------------------------------------ */

static char *uuid_from(const char *text)
{
    char hex[33];
    guint n = 0;

    for (; text && *text && n < 32; text++)
        if (g_ascii_isxdigit(*text))
            hex[n++] = g_ascii_tolower(*text);
    if (n < 32)
        return NULL;
    hex[32] = 0;
    return g_strdup_printf("%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

char *vireo_node_uuid(void)
{
    static const char *const sources[] = {
        "/sys/class/dmi/id/product_uuid",
        "/etc/machine-id",
        "/proc/sys/kernel/random/boot_id",
    };
    char *uuid = NULL;

    for (guint i = 0; !uuid && i < G_N_ELEMENTS(sources); i++) {
        g_autofree char *text = fact_text(sources[i]);

        uuid = uuid_from(text);
    }
    return uuid;
}

char *vireo_node_hostname(void)
{
    char name[256];

    if (gethostname(name, sizeof name) < 0)
        return g_strdup("localhost");
    name[sizeof name - 1] = 0;
    return g_strdup(name);
}

/* ---- documents ----------------------------------------------------------------- */

/* Sizes in KiB that the kernel offers, ascending; the small page first. */
static GArray *page_sizes(void)
{
    GArray *sizes = g_array_new(FALSE, FALSE, sizeof(guint));
    guint small = (guint)(sysconf(_SC_PAGESIZE) / 1024);
    g_autoptr(GDir) dir = g_dir_open("/sys/kernel/mm/hugepages", 0, NULL);
    const char *name;

    g_array_append_val(sizes, small);
    while (dir && (name = g_dir_read_name(dir))) {
        guint size;

        if (sscanf(name, "hugepages-%ukB", &size) != 1)
            continue;
        guint at = sizes->len;
        while (at > 1 && g_array_index(sizes, guint, at - 1) > size)
            at--;
        g_array_insert_val(sizes, at, size);
    }
    return sizes;
}

static void cell_pages(GString *out, int cell, guint64 total_kib)
{
    g_autoptr(GArray) sizes = page_sizes();

    for (guint i = 0; i < sizes->len; i++) {
        guint size = g_array_index(sizes, guint, i);
        g_autofree char *path = g_strdup_printf(
            NODE_DIR "/node%d/hugepages/hugepages-%ukB/nr_hugepages", cell, size);
        guint64 count = i ? (guint64)fact_number(path, 0) : total_kib / size;

        g_string_append_printf(out, "          <pages unit='KiB' size='%u'>%" G_GUINT64_FORMAT
                                    "</pages>\n", size, count);
    }
}

static void cell_distances(GString *out, int cell)
{
    g_autofree char *path = g_strdup_printf(NODE_DIR "/node%d/distance", cell);
    g_autofree char *text = fact_text(path);
    g_auto(GStrv) value = g_strsplit(text ? text : "10", " ", -1);

    g_string_append(out, "          <distances>\n");
    for (guint i = 0; value[i]; i++)
        g_string_append_printf(out, "            <sibling id='%u' value='%s'/>\n", i, value[i]);
    g_string_append(out, "          </distances>\n");
}

static void cell_cpus(GString *out, int cell)
{
    g_autofree char *path = g_strdup_printf(NODE_DIR "/node%d/cpulist", cell);
    g_autoptr(GArray) cpus =
        fact_list(g_file_test(path, G_FILE_TEST_EXISTS) ? path : CPU_DIR "/online");

    g_string_append_printf(out, "          <cpus num='%u'>\n", cpus->len);
    for (guint i = 0; i < cpus->len; i++) {
        int cpu = g_array_index(cpus, gint, i);
        g_autofree char *siblings_path =
            g_strdup_printf(CPU_DIR "/cpu%d/topology/thread_siblings_list", cpu);
        g_autofree char *siblings = fact_text(siblings_path);
        g_autofree char *self = g_strdup_printf("%d", cpu);

        g_string_append_printf(out,
                               "            <cpu id='%d' socket_id='%d' die_id='%d' core_id='%d' "
                               "siblings='%s'/>\n",
                               cpu, cpu_fact(cpu, "physical_package_id", 0),
                               cpu_fact(cpu, "die_id", 0), cpu_fact(cpu, "core_id", cpu),
                               siblings ? siblings : self);
    }
    g_string_append(out, "          </cpus>\n");
}

static void host_topology(GString *out)
{
    g_autoptr(GArray) cells = vireo_node_cells();

    g_string_append_printf(out, "    <topology>\n      <cells num='%u'>\n", cells->len);
    for (guint i = 0; i < cells->len; i++) {
        int cell = g_array_index(cells, gint, i);
        VireoNodeMemoryStats memory = { 0 };

        vireo_node_memory_stats(cell, &memory, NULL);
        g_string_append_printf(out,
                               "        <cell id='%d'>\n          <memory unit='KiB'>%"
                               G_GUINT64_FORMAT "</memory>\n", cell, memory.total);
        cell_pages(out, cell, memory.total);
        cell_distances(out, cell);
        cell_cpus(out, cell);
        g_string_append(out, "        </cell>\n");
    }
    g_string_append(out, "      </cells>\n    </topology>\n");
}

static void host_cpu(GString *out, const VireoNodeInfo *info)
{
    g_autoptr(GArray) sizes = page_sizes();
    g_autofree char *cpuinfo = fact_text("/proc/cpuinfo");
    const char *vendor = NULL;

    if (cpuinfo && strstr(cpuinfo, "AuthenticAMD"))
        vendor = "AMD";
    else if (cpuinfo && strstr(cpuinfo, "GenuineIntel"))
        vendor = "Intel";
    g_string_append_printf(out, "    <cpu>\n      <arch>%s</arch>\n", info->model);
    if (vendor)
        g_string_append_printf(out, "      <vendor>%s</vendor>\n", vendor);
    g_string_append_printf(
        out, "      <topology sockets='%d' dies='1' cores='%d' threads='%d'/>\n", info->sockets,
        info->cores, info->threads);
    for (guint i = 0; i < sizes->len; i++)
        g_string_append_printf(out, "      <pages unit='KiB' size='%u'/>\n",
                               g_array_index(sizes, guint, i));
    g_string_append(out, "    </cpu>\n");
}

char *vireo_node_capabilities_host(void)
{
    g_autofree char *uuid = vireo_node_uuid();
    GString *out = g_string_new("  <host>\n");
    VireoNodeInfo info = { .nodes = 1, .sockets = 1, .cores = 1, .threads = 1 };

    vireo_node_info(&info, NULL);
    if (uuid)
        g_string_append_printf(out, "    <uuid>%s</uuid>\n", uuid);
    host_cpu(out, &info);
    g_string_append(out, "    <power_management/>\n    <iommu support='no'/>\n");
    host_topology(out);
    g_string_append(out, "  </host>\n");
    return g_string_free(out, FALSE);
}

static void sysinfo_entry(GString *out, const char *entry, const char *file, guint *found)
{
    g_autofree char *path = g_strconcat("/sys/class/dmi/id/", file, NULL);
    g_autofree char *text = fact_text(path);

    if (!text || !*text)
        return;
    g_autofree char *shown = g_markup_escape_text(text, -1);
    g_string_append_printf(out, "    <entry name='%s'>%s</entry>\n", entry, shown);
    ++*found;
}

char *vireo_node_sysinfo(void)
{
    static const struct {
        const char *block;
        struct {
            const char *entry, *file;
        } entries[8];
    } blocks[] = {
        { "bios",
          { { "vendor", "bios_vendor" }, { "version", "bios_version" }, { "date", "bios_date" },
            { "release", "bios_release" } } },
        { "system",
          { { "manufacturer", "sys_vendor" }, { "product", "product_name" },
            { "version", "product_version" }, { "serial", "product_serial" },
            { "uuid", "product_uuid" }, { "sku", "product_sku" }, { "family", "product_family" } } },
        { "baseBoard",
          { { "manufacturer", "board_vendor" }, { "product", "board_name" },
            { "version", "board_version" }, { "serial", "board_serial" },
            { "asset", "board_asset_tag" } } },
    };
    g_autoptr(GString) out = g_string_new("<sysinfo type='smbios'>\n");
    guint found = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(blocks); i++) {
        g_autoptr(GString) block = g_string_new(NULL);
        guint before = found;

        for (gsize j = 0; j < 8 && blocks[i].entries[j].entry; j++)
            sysinfo_entry(block, blocks[i].entries[j].entry, blocks[i].entries[j].file, &found);
        if (found > before)
            g_string_append_printf(out, "  <%s>\n%s  </%s>\n", blocks[i].block, block->str,
                                   blocks[i].block);
    }
    g_string_append(out, "</sysinfo>\n");
    return found ? g_strdup(out->str) : NULL;
}
