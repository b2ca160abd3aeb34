/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kit/process.h"

#define FREEZE_MS 10000
#define CPUS_MAX 8192
#define ENDING ".monitor"

/* ---- hierarchies --------------------------------------------------------------- */

typedef struct {
    char *top; /* below which containers are */
    int version;
} Hierarchy;

static GHashTable *hierarchies; /* controller -> Hierarchy; never changes */
static GPtrArray *tops;         /* of all of them */

/* Where liblxc begins: the groups of process 1. controllers: as in its /proc/PID/cgroup, "" for version 2. */
static char *top_of(const char *mount, const char *controllers)
{
    g_autofree char *text = NULL, *wanted = g_strdup_printf(":%s:", controllers);

    if (!g_file_get_contents("/proc/1/cgroup", &text, NULL, NULL))
        return g_strdup(mount);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        char *path = strchr(lines[i], ':');

        if (!path || !g_str_has_prefix(path, wanted))
            continue;
        path += strlen(wanted);
        if (g_str_has_suffix(path, "/init.scope"))
            path[strlen(path) - strlen("/init.scope")] = '\0';
        return g_strconcat(mount, g_str_equal(path, "/") ? "" : path, NULL);
    }
    return g_strdup(mount);
}

/* Each once, however often it is mounted. */
static void add_top(const char *top)
{
    if (!g_ptr_array_find_with_equal_func(tops, top, g_str_equal, NULL))
        g_ptr_array_add(tops, g_strdup(top));
}

static void add(const char *controller, const char *top, int version)
{
    Hierarchy *hierarchy;

    if (g_hash_table_contains(hierarchies, controller))
        return;
    hierarchy = g_new(Hierarchy, 1);
    *hierarchy = (Hierarchy){ g_strdup(top), version };
    g_hash_table_insert(hierarchies, g_strdup(controller), hierarchy);
}

static void add_v2(const char *mount)
{
    g_autofree char *path = g_build_filename(mount, "cgroup.controllers", NULL), *text = NULL;
    g_autofree char *top = top_of(mount, "");

    add_top(top);
    add("freezer", top, 2); /* in every one of them */
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return;
    g_auto(GStrv) names = g_strsplit_set(text, " \n", -1);
    for (guint i = 0; names[i]; i++)
        if (*names[i])
            add(g_str_equal(names[i], "io") ? "blkio" : names[i], top, 2);
    if (g_hash_table_contains(hierarchies, "cpu"))
        add("cpuacct", top, 2);
    add("devices", top, 2);
}

static void add_v1(const char *mount, const char *options)
{
    static const char *const known = " cpu cpuacct cpuset memory blkio freezer devices ";
    g_auto(GStrv) names = g_strsplit(options, ",", -1);
    g_autoptr(GString) controllers = g_string_new(NULL);

    for (guint i = 0; names[i]; i++)
        if (!g_str_equal(names[i], "rw") && !g_str_equal(names[i], "ro") && !g_str_has_prefix(names[i], "release_agent") &&
            !g_str_equal(names[i], "xattr") && !g_str_equal(names[i], "clone_children"))
            g_string_append_printf(controllers, "%s%s", controllers->len ? "," : "", names[i]);
    g_autofree char *top = top_of(mount, controllers->str);
    add_top(top);
    for (guint i = 0; names[i]; i++) {
        g_autofree char *word = g_strdup_printf(" %s ", names[i]);

        if (strstr(known, word))
            add(names[i], top, 1);
    }
}

/* Lines of /proc/self/mountinfo: "... ROOT MOUNT OPTIONS [...] - TYPE SOURCE SUPER". Version 1 first: what is mounted
 * there is no controller of the other. */
static void find(void)
{
    g_autofree char *text = NULL;

    hierarchies = g_hash_table_new(g_str_hash, g_str_equal);
    tops = g_ptr_array_new();
    if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
        return;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (int version = 1; version <= 2; version++)
        for (guint i = 0; lines[i]; i++) {
            g_auto(GStrv) halves = g_strsplit(lines[i], " - ", 2);
            g_auto(GStrv) left = g_strsplit(halves[0] ? halves[0] : "", " ", -1);
            g_auto(GStrv) right = g_strsplit(halves[0] && halves[1] ? halves[1] : "", " ", -1);

            if (g_strv_length(left) < 6 || g_strv_length(right) < 3 || !g_str_has_prefix(left[4], "/sys/fs/cgroup"))
                continue;
            if (version == 1 && g_str_equal(right[0], "cgroup"))
                add_v1(left[4], right[2]);
            else if (version == 2 && g_str_equal(right[0], "cgroup2"))
                add_v2(left[4]);
        }
}

static const Hierarchy *hierarchy_of(const char *controller)
{
    static gsize once;

    if (g_once_init_enter(&once)) {
        find();
        g_once_init_leave(&once, 1);
    }
    return g_hash_table_lookup(hierarchies, controller);
}

int lxc_cgroup_version(const char *controller)
{
    const Hierarchy *hierarchy = hierarchy_of(controller);

    return hierarchy ? hierarchy->version : 0;
}

/* ---- files --------------------------------------------------------------------- */

static char *path_of(const char *cgroup, const char *controller, const char *file)
{
    const Hierarchy *hierarchy = hierarchy_of(controller);

    return hierarchy && cgroup && file ? g_strconcat(hierarchy->top, cgroup, "/", file, NULL) : NULL;
}

static char *item_path(const char *cgroup, const LxcItem *item)
{
    return path_of(cgroup, item->controller, lxc_cgroup_version(item->controller) == 1 ? item->v1 : item->v2);
}

static gboolean fail(GError **error, const LxcItem *item, const char *path)
{
    if (path)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED, "%s: %s", path, g_strerror(errno));
    else
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_UNSUPPORTED,
                    "control groups of this host have no %s of the controller '%s'", item->v1 ? item->v1 : item->v2,
                    item->controller);
    return FALSE;
}

gboolean lxc_cgroup_read(const char *cgroup, const LxcItem *item, char **text, GError **error)
{
    g_autofree char *path = item_path(cgroup, item);

    return (path && g_file_get_contents(path, text, NULL, NULL)) || fail(error, item, path);
}

static gboolean put(const char *path, const char *text)
{
    int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    gboolean good = fd >= 0 && write(fd, text, strlen(text)) == (gssize)strlen(text);
    int saved = errno;

    if (fd >= 0)
        close(fd);
    errno = saved;
    return good;
}

gboolean lxc_cgroup_write(const char *cgroup, const LxcItem *item, const char *text, GError **error)
{
    g_autofree char *path = item_path(cgroup, item);

    return put(path, text) || fail(error, item, path);
}

gboolean lxc_cgroup_number(const char *cgroup, const LxcItem *item, const char *key, guint64 *value)
{
    g_autofree char *text = NULL;
    const char *at;

    if (!lxc_cgroup_read(cgroup, item, &text, NULL))
        return FALSE;
    at = text;
    if (key) {
        g_autofree char *first = g_strconcat(key, " ", NULL), *later = g_strconcat("\n", key, " ", NULL);

        at = g_str_has_prefix(text, first) ? text : strstr(text, later);
        at = at ? strchr(at, ' ') : NULL;
    }
    if (!at || !g_ascii_isdigit(*(at += strspn(at, " "))))
        return FALSE;
    *value = g_ascii_strtoull(at, NULL, 10);
    return TRUE;
}

/* What the container made below its own goes first. */
static void remove_tree(const char *path)
{
    const char *name;

    if (rmdir(path) == 0 || errno == ENOENT)
        return;
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *below = g_build_filename(path, name, NULL);

        if (g_file_test(below, G_FILE_TEST_IS_DIR) && !g_file_test(below, G_FILE_TEST_IS_SYMLINK))
            remove_tree(below);
    }
    if (rmdir(path) < 0 && errno != ENOENT)
        g_debug("%s: %s", path, g_strerror(errno));
}

void lxc_cgroup_remove(const char *cgroup)
{
    for (guint i = 0; cgroup && hierarchy_of("freezer") && i < tops->len; i++) {
        g_autofree char *path = g_strconcat(tops->pdata[i], cgroup, NULL), *monitor = g_strconcat(path, ENDING, NULL);

        remove_tree(path);
        remove_tree(monitor);
    }
}

/* ---- disks --------------------------------------------------------------------- */

char *lxc_cgroup_disk(const char *path)
{
    struct stat info;

    if (stat(path, &info) < 0 || !S_ISBLK(info.st_mode))
        return NULL;
    g_autofree char *number = g_strdup_printf("%u:%u", major(info.st_rdev), minor(info.st_rdev));
    g_autofree char *partition = g_strdup_printf("/sys/dev/block/%s/partition", number);
    g_autofree char *whole = g_strdup_printf("/sys/dev/block/%s/../dev", number), *text = NULL;
    if (g_file_test(partition, G_FILE_TEST_EXISTS) && g_file_get_contents(whole, &text, NULL, NULL))
        return g_strdup(g_strstrip(text));
    return g_steal_pointer(&number);
}

void lxc_cgroup_count(const char *cgroup, const VireoDomain *doc)
{
    static const LxcItem item = { "blkio", "blkio.throttle.read_bps_device", NULL };

    if (lxc_cgroup_version("blkio") != 1)
        return;
    VEC_EACH(doc->devices->disks, i)
    {
        g_autofree char *disk = lxc_cgroup_disk(doc->devices->disks.items[i]->source->dev);
        g_autofree char *none = g_strconcat(disk ? disk : "", " 0", NULL);
        gboolean limited = FALSE;

        for (guint t = 0; doc->blkiotune && t < doc->blkiotune->devices.n; t++) {
            g_autofree char *other = lxc_cgroup_disk(doc->blkiotune->devices.items[t]->path);

            limited |= !g_strcmp0(disk, other);
        }
        if (disk && !limited)
            lxc_cgroup_write(cgroup, &item, none, NULL);
    }
}

/* ---- freezing ------------------------------------------------------------------ */

static const LxcItem freezer = { "freezer", "freezer.state", "cgroup.freeze" };
static const LxcItem freezer_events = { "freezer", "freezer.state", "cgroup.events" };

gboolean lxc_cgroup_frozen(const char *cgroup)
{
    g_autofree char *text = NULL;

    return lxc_cgroup_read(cgroup, &freezer_events, &text, NULL) &&
           (lxc_cgroup_version("freezer") == 1 ? g_str_has_prefix(text, "FROZEN") : strstr(text, "frozen 1") != NULL);
}

void lxc_cgroup_thaw(const char *cgroup)
{
    lxc_cgroup_write(cgroup, &freezer, lxc_cgroup_version("freezer") == 1 ? "THAWED" : "0", NULL);
}

void lxc_cgroup_kill(const char *cgroup)
{
    static const LxcItem procs = { "freezer", "cgroup.procs", "cgroup.procs" };
    g_autofree char *text = NULL;

    if (!lxc_cgroup_read(cgroup, &procs, &text, NULL))
        return;
    g_auto(GStrv) pids = g_strsplit(text, "\n", -1);
    for (guint i = 0; pids[i] && *pids[i]; i++) {
        int fd = vireo_process_open((pid_t)g_ascii_strtoll(pids[i], NULL, 10), 0);

        if (fd < 0)
            continue;
        vireo_process_signal(fd, SIGKILL);
        close(fd);
    }
}

gboolean lxc_cgroup_freeze(const char *cgroup, gboolean freeze, GError **error)
{
    gboolean v1 = lxc_cgroup_version("freezer") == 1;
    const char *text = v1 ? (freeze ? "FROZEN" : "THAWED") : (freeze ? "1" : "0");

    /* Version 1 may have to be told again until every process has stopped. */
    for (int waited = 0; waited < FREEZE_MS; waited++) {
        if ((waited == 0 || (v1 && waited % 50 == 0)) && !lxc_cgroup_write(cgroup, &freezer, text, error))
            return FALSE;
        if (lxc_cgroup_frozen(cgroup) == freeze)
            return TRUE;
        g_usleep(1000);
    }
    lxc_cgroup_thaw(cgroup);
    lxc_error(error, VIREO_ERR_OPERATION_TIMEOUT, "processes of the container do not stop within %d s",
              FREEZE_MS / 1000);
    return FALSE;
}

/* ---- limits -------------------------------------------------------------------- */

void lxc_limit_free(gpointer data)
{
    LxcLimit *limit = data;

    g_free(limit->file);
    g_free(limit->value);
    g_free(limit);
}

static void limit(GPtrArray *limits, const char *controller, const char *v1, const char *v2, char *value)
{
    int version = lxc_cgroup_version(controller);
    LxcLimit *made = g_new(LxcLimit, 1);

    *made = (LxcLimit){ controller, version, g_strdup(version == 2 ? v2 : v1), value };
    g_ptr_array_add(limits, made);
}

#define NUMBER(value) g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)(value))

static void add_memory(GPtrArray *limits, const VireoDomain *doc)
{
    const VireoDomainMemtune *tune = doc->memtune;
    guint64 hard = tune && tune->has_hard_limit ? tune->hard_limit : doc->current_memory;

    limit(limits, "memory", "memory.limit_in_bytes", "memory.max", NUMBER(hard * 1024));
    if (tune && tune->has_soft_limit)
        limit(limits, "memory", "memory.soft_limit_in_bytes", "memory.high", NUMBER(tune->soft_limit * 1024));
    if (!tune || !tune->has_swap_hard_limit)
        return;
    if (lxc_cgroup_version("memory") == 2) /* there it is that of swap alone */
        limit(limits, "memory", NULL, "memory.swap.max",
              NUMBER((tune->swap_hard_limit - MIN(hard, tune->swap_hard_limit)) * 1024));
    else
        limit(limits, "memory", "memory.memsw.limit_in_bytes", NULL, NUMBER(tune->swap_hard_limit * 1024));
}

static void add_cpu(GPtrArray *limits, const VireoDomain *doc)
{
    const VireoDomainCputune *tune = doc->cputune;
    g_autofree char *cpus = doc->vcpu->cpuset ? lxc_cgroup_cpus(doc->vcpu->cpuset) : NULL;
    gboolean v2 = lxc_cgroup_version("cpu") == 2;

    if (cpus)
        limit(limits, "cpuset", "cpuset.cpus", "cpuset.cpus", g_steal_pointer(&cpus));
    if (doc->numatune && doc->numatune->memory && doc->numatune->memory->nodeset)
        limit(limits, "cpuset", "cpuset.mems", "cpuset.mems", lxc_cgroup_cpus(doc->numatune->memory->nodeset));
    if (!tune)
        return;
    if (tune->has_shares)
        limit(limits, "cpu", "cpu.shares", "cpu.weight",
              NUMBER(v2 ? 1 + (tune->shares - 2) * 9999 / 262142 : tune->shares));
    if (v2 && (tune->has_period || tune->has_quota)) {
        g_autofree char *quota = tune->has_quota && tune->quota > 0 ? NUMBER(tune->quota) : g_strdup("max");

        limit(limits, "cpu", NULL, "cpu.max",
              g_strdup_printf("%s %" G_GUINT64_FORMAT, quota, tune->has_period ? tune->period : 100000));
        return;
    }
    if (tune->has_period)
        limit(limits, "cpu", "cpu.cfs_period_us", NULL, NUMBER(tune->period));
    if (tune->has_quota)
        limit(limits, "cpu", "cpu.cfs_quota_us", NULL,
              g_strdup_printf("%" G_GINT64_FORMAT, tune->quota > 0 ? tune->quota : (gint64)-1));
}

static gboolean add_device(GPtrArray *limits, const VireoDomainBlkiotuneDevice *device, GError **error)
{
    const struct {
        gboolean set;
        guint64 value;
        const char *v1, *v2;
    } rows[] = {
        { device->has_read_bytes_sec, device->read_bytes_sec, "blkio.throttle.read_bps_device", "rbps" },
        { device->has_write_bytes_sec, device->write_bytes_sec, "blkio.throttle.write_bps_device", "wbps" },
        { device->has_read_iops_sec, device->read_iops_sec, "blkio.throttle.read_iops_device", "riops" },
        { device->has_write_iops_sec, device->write_iops_sec, "blkio.throttle.write_iops_device", "wiops" },
    };
    gboolean v2 = lxc_cgroup_version("blkio") == 2;
    struct stat info;

    if (stat(device->path, &info) < 0 || !S_ISBLK(info.st_mode)) {
        lxc_error(error, VIREO_ERR_INVALID_ARG, "%s is no block device of this host", device->path);
        return FALSE;
    }
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *number = rows[i].value ? NUMBER(rows[i].value) : g_strdup(v2 ? "max" : "0");
        const char *key = v2 ? rows[i].v2 : "";

        if (rows[i].set)
            limit(limits, "blkio", rows[i].v1, "io.max",
                  g_strdup_printf("%u:%u %s%s%s", major(info.st_rdev), minor(info.st_rdev), key, v2 ? "=" : "",
                                  number));
    }
    if (device->has_weight)
        limit(limits, "blkio", "blkio.weight_device", "io.weight",
              g_strdup_printf("%u:%u %u", major(info.st_rdev), minor(info.st_rdev), device->weight));
    return TRUE;
}

static gboolean add_blkio(GPtrArray *limits, const VireoDomain *doc, GError **error)
{
    const VireoDomainBlkiotune *tune = doc->blkiotune;

    if (!tune)
        return TRUE;
    if (tune->has_weight)
        limit(limits, "blkio", "blkio.weight", "io.weight",
              g_strdup_printf(lxc_cgroup_version("blkio") == 2 ? "default %u" : "%u", tune->weight));
    VEC_EACH(tune->devices, i)
    if (!add_device(limits, tune->devices.items[i], error))
        return FALSE;
    return TRUE;
}

GPtrArray *lxc_cgroup_limits(const VireoDomain *doc, GError **error)
{
    g_autoptr(GPtrArray) limits = g_ptr_array_new_with_free_func(lxc_limit_free);

    add_memory(limits, doc);
    add_cpu(limits, doc);
    if (!add_blkio(limits, doc, error))
        return NULL;
    for (guint i = 0; i < limits->len; i++) {
        const LxcLimit *made = limits->pdata[i];
        const Hierarchy *hierarchy = hierarchy_of(made->controller);

        /* A memory limit is always there; who has no such controller is not told to have one. */
        if (!hierarchy && g_str_equal(made->controller, "memory") && !doc->memtune) {
            g_ptr_array_remove_index(limits, i--);
        } else if (!hierarchy || !made->file) {
            lxc_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "control groups of this host have no controller '%s'",
                      made->controller);
            return NULL;
        }
    }
    return g_steal_pointer(&limits);
}

static gboolean write_limit(const char *cgroup, const LxcLimit *made, GError **error)
{
    const LxcItem item = { made->controller, made->file, made->file };

    return lxc_cgroup_write(cgroup, &item, made->value, error);
}

gboolean lxc_cgroup_apply(const char *cgroup, const VireoDomain *now, const VireoDomain *then, GError **error)
{
    g_autoptr(GPtrArray) before = lxc_cgroup_limits(now, error), after = before ? lxc_cgroup_limits(then, error) : NULL;

    for (guint i = 0; after && i < after->len; i++) {
        const LxcLimit *made = after->pdata[i];
        gboolean same = FALSE;

        for (guint j = 0; j < before->len && !same; j++) {
            const LxcLimit *old = before->pdata[j];

            same = g_str_equal(old->file, made->file) && g_str_equal(old->value, made->value);
        }
        if (same || write_limit(cgroup, made, error))
            continue;
        /* What was changed before it goes back. */
        for (guint j = 0; j < before->len; j++)
            write_limit(cgroup, before->pdata[j], NULL);
        return FALSE;
    }
    return after != NULL;
}

char *lxc_cgroup_cpus(const char *text)
{
    g_autofree guint8 *set = g_malloc0(CPUS_MAX);
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    g_autoptr(GString) out = g_string_new(NULL);

    for (guint i = 0; parts[i]; i++) {
        gboolean off = parts[i][0] == '^';
        char *end;
        guint64 first = g_ascii_strtoull(parts[i] + off, &end, 10);
        guint64 last = *end == '-' ? g_ascii_strtoull(end + 1, NULL, 10) : first;

        for (guint64 cpu = first; cpu <= last && cpu < CPUS_MAX; cpu++)
            set[cpu] = !off;
    }
    for (guint cpu = 0; cpu < CPUS_MAX; cpu++)
        if (set[cpu])
            g_string_append_printf(out, "%s%u", out->len ? "," : "", cpu);
    return out->len ? g_string_free(g_steal_pointer(&out), FALSE) : NULL;
}
