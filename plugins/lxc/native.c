/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cgroup.h"
#include "kit/document.h"

#define PASSWD_MAX (1024 * 1024)

typedef struct {
    LxcDomain *dom;
    const VireoDomain *doc;
    GString *out;
    GError *error; /* the first one; nothing that follows counts */
} Native;

static void refuse(Native *native, guint line, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void refuse(Native *native, guint line, const char *format, ...)
{
    va_list args;

    if (native->error)
        return;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    vireo_refuse(&native->error, line, "%s", text);
}

/* One line. A value never becomes a second one. */
static void add(Native *native, const char *key, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void add(Native *native, const char *key, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *value = g_strdup_vprintf(format, args);
    va_end(args);
    if (strpbrk(value, "\n\r"))
        refuse(native, native->doc->line, "a line break cannot be part of %s", key);
    g_string_append_printf(native->out, "%s = %s\n", key, value);
}

/* A path as a field of an fstab line. */
static char *field(const char *path)
{
    g_autoptr(GString) out = g_string_new(NULL);

    for (; *path; path++)
        if (strchr(" \t\n\\", *path))
            g_string_append_printf(out, "\\%03o", *path);
        else
            g_string_append_c(out, *path);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static void add_mount(Native *native, const char *source, const char *target, const char *type, const char *options)
{
    g_autofree char *from = field(source), *to = field(target + strspn(target, "/"));

    add(native, "lxc.mount.entry", "%s %s %s %s 0 0", from, to, type, options);
}

/* ---- the first process --------------------------------------------------------- */

static char *read_in_root(const char *root, const char *path)
{
    int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_IN_ROOT };
    int fd = dir < 0 ? -1 : (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
    char *text = NULL;
    struct stat info;

    if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= PASSWD_MAX) {
        gssize n = read(fd, text = g_malloc0((gsize)info.st_size + 1), (gsize)info.st_size);

        text[MAX(n, 0)] = '\0';
    }
    if (fd >= 0)
        close(fd);
    if (dir >= 0)
        close(dir);
    return text;
}

/* A number, or a name in a file of the container's root. */
static void add_id(Native *native, const char *key, const char *file, const char *name)
{
    const VireoDomainFilesystem *root = lxc_doc_root(native->doc);
    const char *dir = root->source->dir ? root->source->dir : root->source->name;
    guint64 id;

    if (!name)
        return;
    if (g_ascii_string_to_unsigned(name, 10, 0, G_MAXUINT32 - 1, &id, NULL)) {
        add(native, key, "%" G_GUINT64_FORMAT, id);
        return;
    }
    g_autofree char *text = dir ? read_in_root(dir, file) : NULL;
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        g_auto(GStrv) fields = g_strsplit(lines[i], ":", 4);

        if (g_strv_length(fields) >= 3 && g_str_equal(fields[0], name)) {
            add(native, key, "%s", fields[2]);
            return;
        }
    }
    refuse(native, native->doc->line, "'%s' is not in %s of the container; give a number", name, file);
}

static void add_init(Native *native)
{
    const VireoDomainOs *os = native->doc->os;

    if (os->initdir)
        add(native, "lxc.init.cwd", "%s", os->initdir);
    add_id(native, "lxc.init.uid", "etc/passwd", os->inituser);
    add_id(native, "lxc.init.gid", "etc/group", os->initgroup);
    add(native, "lxc.environment", "container_uuid=%s", native->dom->uuid_text);
    add(native, "lxc.environment", "TERM=linux");
    VEC_EACH(os->initenvs, i)
    add(native, "lxc.environment", "%s=%s", os->initenvs.items[i]->name,
        os->initenvs.items[i]->text ? os->initenvs.items[i]->text : "");
}

/* ---- file systems -------------------------------------------------------------- */

static const char *colon_free(Native *native, const char *path, guint line)
{
    if (strchr(path, ':'))
        refuse(native, line, "the root cannot be at %s: a path of it has no ':'", path);
    return path;
}

static void add_root(Native *native, const VireoDomainFilesystem *fs)
{
    const VireoDomainFilesystemSource *source = fs->source;

    if (fs->type == VIREO_DOMAIN_FILESYSTEM_TYPE_TEMPLATE) {
        g_autofree char *delta = lxc_domain_path(native->dom, native->dom->space->state_dir, "/delta");

        add(native, "lxc.rootfs.path", "overlay:%s:%s", colon_free(native, source->name, fs->line),
            colon_free(native, delta, fs->line));
    } else if (fs->type == VIREO_DOMAIN_FILESYSTEM_TYPE_FILE) {
        add(native, "lxc.rootfs.path", "loop:%s", source->file);
    } else if (source->dir) {
        add(native, "lxc.rootfs.path", "dir:%s", source->dir);
    } else {
        /* liblxc finds out what file system is on a loop device, and mounts no other block device. */
        add(native, "lxc.rootfs.path", "loop:%s", source->dev);
    }
    gboolean mapped = fs->accessmode == VIREO_DOMAIN_FILESYSTEM_ACCESS_MAPPED;
    if (mapped || fs->readonly)
        add(native, "lxc.rootfs.options", "%s%s%s", mapped ? "idmap=container" : "", mapped && fs->readonly ? "," : "",
            fs->readonly ? "ro" : "");
}

static guint64 usage_bytes(const VireoDomainFilesystemSource *source)
{
    static const struct {
        const char *unit;
        guint64 bytes;
    } units[] = { { "bytes", 1 }, { "b", 1 }, { "KB", 1000 }, { "k", 1024 }, { "KiB", 1024 }, { "MB", 1000000 },
                  { "M", 1 << 20 }, { "MiB", 1 << 20 }, { "GB", 1000000000 }, { "G", 1 << 30 }, { "GiB", 1 << 30 } };

    for (guint i = 0; source->units && i < G_N_ELEMENTS(units); i++)
        if (g_str_equal(units[i].unit, source->units))
            return source->usage * units[i].bytes;
    return source->usage * 1024;
}

static void add_filesystem(Native *native, const VireoDomainFilesystem *fs)
{
    const VireoDomainFilesystem *root = lxc_doc_root(native->doc);
    const VireoDomainFilesystemSource *source = fs->source;
    const char *ro = fs->readonly ? ",ro" : "";

    if (fs->type == VIREO_DOMAIN_FILESYSTEM_TYPE_RAM) {
        g_autofree char *options =
            g_strdup_printf("size=%" G_GUINT64_FORMAT ",nosuid,nodev,create=dir%s", usage_bytes(source), ro);
        add_mount(native, "tmpfs", fs->target, "tmpfs", options);
        return;
    }
    if (fs->type == VIREO_DOMAIN_FILESYSTEM_TYPE_BLOCK) {
        g_autofree char *options = g_strdup_printf("create=dir%s", ro);
        add_mount(native, source->dev, fs->target, "auto", options);
        return;
    }
    g_autofree char *options = g_strdup_printf("rbind,create=dir%s", ro);
    if (fs->type == VIREO_DOMAIN_FILESYSTEM_TYPE_MOUNT) {
        if (!g_file_test(source->dir, G_FILE_TEST_IS_DIR))
            refuse(native, fs->line, "%s is no directory of this host", source->dir);
        add_mount(native, source->dir, fs->target, "none", options);
    } else if (root->type == VIREO_DOMAIN_FILESYSTEM_TYPE_MOUNT) {
        g_autofree char *inside = g_strconcat(root->source->dir, source->dir, NULL);
        add_mount(native, inside, fs->target, "none", options);
    } else {
        refuse(native, fs->line, "directories of the container are bound only where its root is a directory");
    }
}

/* ---- devices ------------------------------------------------------------------- */

char *lxc_native_device(const char *path, GError **error)
{
    struct stat info;

    if (stat(path, &info) == 0 && (S_ISBLK(info.st_mode) || S_ISCHR(info.st_mode)))
        return g_strdup_printf("%c %u:%u", S_ISBLK(info.st_mode) ? 'b' : 'c', major(info.st_rdev), minor(info.st_rdev));
    lxc_error(error, VIREO_ERR_INVALID_ARG, "%s is no device of this host", path);
    return NULL;
}

static void add_device_rule(Native *native, const char *what, const char *rule)
{
    int version = lxc_cgroup_version("devices");

    if (version)
        add(native, version == 2 ? (what[0] == 'a' ? "lxc.cgroup2.devices.allow" : "lxc.cgroup2.devices.deny")
                                 : (what[0] == 'a' ? "lxc.cgroup.devices.allow" : "lxc.cgroup.devices.deny"), "%s", rule);
}

static void add_device(Native *native, const char *path, const char *target, gboolean readonly)
{
    g_autofree char *device = lxc_native_device(path, native->error ? NULL : &native->error);
    g_autofree char *rule = g_strconcat(device ? device : "", readonly ? " rm" : " rwm", NULL);

    if (!device)
        return;
    add_mount(native, path, target, "none", readonly ? "bind,ro,create=file" : "bind,create=file");
    add_device_rule(native, "allow", rule);
}

static void add_devices(Native *native)
{
    static const char *const usual[] = { "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm",
                                         "c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm" };
    const VireoDomainDevices *devices = native->doc->devices;

    add_device_rule(native, "deny", "a");
    for (guint i = 0; i < G_N_ELEMENTS(usual); i++)
        add_device_rule(native, "allow", usual[i]);
    VEC_EACH(devices->disks, i)
    {
        const VireoDomainDisk *disk = devices->disks.items[i];
        g_autofree char *target = g_strconcat("dev/", disk->target->dev, NULL);

        add_device(native, disk->source->dev, target, disk->readonly);
    }
    VEC_EACH(devices->hostdevs, i)
    {
        const VireoDomainHostdevSource *source = devices->hostdevs.items[i]->source;
        const char *path = source->block ? source->block : source->char_;

        if (path)
            add_device(native, path, path, FALSE);
    }
}

/* ---- network ------------------------------------------------------------------- */

static void net(Native *native, guint number, const char *key, const char *format, ...) G_GNUC_PRINTF(4, 5);
static void net(Native *native, guint number, const char *key, const char *format, ...)
{
    g_autofree char *name = g_strdup_printf("lxc.net.%u.%s", number, key);
    va_list args;

    va_start(args, format);
    g_autofree char *value = g_strdup_vprintf(format, args);
    va_end(args);
    add(native, name, "%s", value);
}

static void add_addresses(Native *native, guint number, const VireoDomainInterface *nic)
{
    VEC_EACH(nic->ips, i)
    {
        const VireoIp *ip = nic->ips.items[i];
        gboolean six = strchr(ip->address ? ip->address : "", ':') != NULL;

        if (ip->address)
            net(native, number, six ? "ipv6.address" : "ipv4.address", "%s/%u", ip->address,
                ip->has_prefix ? ip->prefix : six ? 64 : 24);
    }
    VEC_EACH(nic->routes, i)
    {
        const VireoRoute *route = nic->routes.items[i];
        gboolean six = strchr(route->address ? route->address : "", ':') != NULL;

        if ((route->has_prefix && route->prefix) || !route->gateway)
            refuse(native, nic->line, "the only route can be the default one, with a prefix of 0 and a gateway");
        else
            net(native, number, six ? "ipv6.gateway" : "ipv4.gateway", "%s", route->gateway);
    }
}

static void add_interface(Native *native, guint number, const VireoDomainInterface *nic)
{
    static const char *const modes[] = { "vepa", "vepa", "private", "bridge", "passthru" };

    if (nic->type == VIREO_DOMAIN_INTERFACE_TYPE_DIRECT) {
        net(native, number, "type", "macvlan");
        net(native, number, "link", "%s", nic->source->dev);
        net(native, number, "macvlan.mode", "%s", modes[MIN(nic->source->mode, G_N_ELEMENTS(modes) - 1)]);
    } else {
        net(native, number, "type", "veth");
        if (nic->source && nic->source->bridge)
            net(native, number, "link", "%s", nic->source->bridge);
        net(native, number, "veth.pair", "%s", nic->target->dev);
    }
    net(native, number, "name", "%s", nic->guest->dev);
    net(native, number, "hwaddr", "%s", nic->mac->address);
    if (nic->has_mtu)
        net(native, number, "mtu", "%u", nic->mtu);
    net(native, number, "flags", "up");
    add_addresses(native, number, nic);
}

/* The init of another container, or NULL. */
static char *init_of(Native *native, const char *name, guint line)
{
    g_autoptr(LxcDomain) other = lxc_domain_by_name(native->dom->space, name);
    g_autoptr(GError) error = NULL;
    LxcProcess init;

    if (other && lxc_domain_init(other, &init, &error)) {
        close(init.fd);
        return g_strdup_printf("%d", (int)init.pid);
    }
    refuse(native, line, "namespaces of '%s' cannot be shared: no such container runs", name);
    return NULL;
}

static void add_share(Native *native, const char *key, const VireoDomainLxcShare *share, gboolean network)
{
    guint64 pid;

    if (!share)
        return;
    if (g_str_equal(share->type, "name")) {
        g_autofree char *init = init_of(native, share->value, share->line);

        if (init)
            add(native, key, "%s", init);
    } else if (g_str_equal(share->type, "pid") &&
               g_ascii_string_to_unsigned(share->value, 10, 1, G_MAXINT, &pid, NULL)) {
        add(native, key, "%" G_GUINT64_FORMAT, pid);
    } else if (network && g_str_equal(share->type, "netns") && !strchr(share->value, '/')) {
        add(native, key, "/run/netns/%s", share->value);
    } else {
        refuse(native, share->line, "a namespace is shared by type name, pid%s", network ? " or netns" : "");
    }
}

/* Without interfaces the container still has a network namespace of its own, with nothing in it: the host's
 * is shared only by who names it. */
static void add_network(Native *native)
{
    const VireoDomainDevices *devices = native->doc->devices;
    const VireoDomainLxcNamespace *shares = native->doc->lxc_namespace;
    guint number = 0;

    VEC_EACH(devices->interfaces, i)
    add_interface(native, number++, devices->interfaces.items[i]);
    VEC_EACH(devices->hostdevs, i)
    {
        const char *name = devices->hostdevs.items[i]->source->interface;

        if (!name)
            continue;
        net(native, number, "type", "phys");
        net(native, number, "link", "%s", name);
        net(native, number++, "flags", "up");
    }
    if (!number)
        net(native, 0, "type", "empty");
    if (!shares)
        return;
    add_share(native, "lxc.namespace.share.net", shares->lxc_sharenet, TRUE);
    add_share(native, "lxc.namespace.share.ipc", shares->lxc_shareipc, FALSE);
    add_share(native, "lxc.namespace.share.uts", shares->lxc_shareuts, FALSE);
}

/* ---- rights -------------------------------------------------------------------- */

static void add_idmap(Native *native)
{
    const VireoDomainIdmap *map = native->doc->idmap;

    for (guint i = 0; map && i < map->uids.n + map->gids.n; i++) {
        const VireoDomainIdmapEntry *entry =
            i < map->uids.n ? map->uids.items[i] : map->gids.items[i - map->uids.n];

        add(native, "lxc.idmap", "%c %u %u %u", i < map->uids.n ? 'u' : 'g', entry->start, entry->target, entry->count);
    }
}

static void add_capabilities(Native *native)
{
    static const VireoDomainCapabilities none;
    static const char *const never = " audit_control mac_admin mac_override mknod sys_module sys_rawio sys_time ";
    const VireoDomainFeatures *features = native->doc->features;
    const VireoDomainCapabilities *caps = features && features->capabilities ? features->capabilities : &none;
    const struct {
        const char *name;
        VireoTristate state;
    } rows[] = {
#define ROW(name) { #name, caps->name },
        LXC_CAPABILITIES(ROW)
#undef ROW
    };
    gboolean keep = caps->policy == VIREO_DOMAIN_CAPABILITIES_POLICY_DENY;
    gboolean all = caps->policy == VIREO_DOMAIN_CAPABILITIES_POLICY_ALLOW;

    if (keep)
        add(native, "lxc.cap.keep", "%s", "none");
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *word = g_strdup_printf(" %s ", rows[i].name);
        gboolean dropped = rows[i].state == VIREO_TRISTATE_NO ||
                           (rows[i].state == VIREO_TRISTATE_UNSET && !all && strstr(never, word));

        if (keep ? rows[i].state == VIREO_TRISTATE_YES : dropped)
            add(native, keep ? "lxc.cap.keep" : "lxc.cap.drop", "%s", rows[i].name);
    }
}

/* ---- all of it ----------------------------------------------------------------- */

char *lxc_native_cgroup(const LxcDomain *dom, const VireoDomain *doc)
{
    const char *partition = doc->resource && doc->resource->partition ? doc->resource->partition : "";

    partition += strspn(partition, "/");
    return g_strconcat(partition, *partition ? "/" : "", "vireo-lxc-", dom->uuid_text, NULL);
}

static void add_limits(Native *native)
{
    g_autofree char *cgroup = lxc_native_cgroup(native->dom, native->doc);
    g_autoptr(GPtrArray) limits = lxc_cgroup_limits(native->doc, native->error ? NULL : &native->error);

    add(native, "lxc.cgroup.dir.container", "%s", cgroup);
    add(native, "lxc.cgroup.dir.monitor", "%s.monitor", cgroup);
    add(native, "lxc.cgroup.dir.monitor.pivot", "lxc.pivot");
    for (guint i = 0; limits && i < limits->len; i++) {
        const LxcLimit *limit = limits->pdata[i];
        g_autofree char *key = g_strconcat(limit->version == 2 ? "lxc.cgroup2." : "lxc.cgroup.", limit->file, NULL);

        add(native, key, "%s", limit->value);
    }
}

static void add_uts(Native *native)
{
    g_autofree char *name = g_strdup(native->doc->name);

    g_strcanon(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", '-');
    add(native, "lxc.uts.name", "%.64s", name);
}

char *lxc_native_config(LxcDomain *dom, const VireoDomain *doc, GError **error)
{
    Native native = { .dom = dom, .doc = doc, .out = g_string_new(NULL) };
    const VireoDomainFilesystem *root = lxc_doc_root(doc);

    add_root(&native, root);
    add_uts(&native);
    add(&native, "lxc.arch", "%s", doc->os->type->arch);
    add(&native, "lxc.mount.auto", "proc:mixed sys:mixed cgroup:mixed");
    add(&native, "lxc.pty.max", "1024");
    if (lxc_doc_silent(doc))
        add(&native, "lxc.console.path", "none");
    add(&native, "lxc.tty.max", "%u", doc->devices->consoles.n - 1);
    add(&native, "lxc.apparmor.allow_incomplete", "1");
    if (dom->space->driver->seccomp)
        add(&native, "lxc.seccomp.profile", "%s", dom->space->driver->seccomp);
    VEC_EACH(doc->devices->filesystems, i)
    if (doc->devices->filesystems.items[i] != root)
        add_filesystem(&native, doc->devices->filesystems.items[i]);
    add_init(&native);
    add_devices(&native);
    add_network(&native);
    add_idmap(&native);
    add_capabilities(&native);
    add_limits(&native);
    if (!native.error)
        return g_string_free(native.out, FALSE);
    g_string_free(native.out, TRUE);
    g_propagate_error(error, native.error);
    return NULL;
}
