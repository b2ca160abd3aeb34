/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of a domain document this driver acts on; anything else is refused when it is defined. */
#include "driver.h"

#include <net/if.h>
#include <string.h>
#include <sys/utsname.h>

#include "kit/document.h"

static const char *const paths[] = {
    "domain.type", "domain.id", "domain.name", "domain.uuid", "domain.title", "domain.description", "domain.metadata",
    "domain.memory", "domain.currentMemory", "domain.memtune.hard_limit", "domain.memtune.soft_limit",
    "domain.memtune.swap_hard_limit", "domain.vcpu", "domain.vcpu.placement", "domain.vcpu.cpuset",
    "domain.cputune.shares", "domain.cputune.period", "domain.cputune.quota", "domain.numatune.memory.mode",
    "domain.numatune.memory.nodeset", "domain.numatune.memory.placement", "domain.blkiotune.*",
    "domain.resource.partition", "domain.os.type", "domain.os.type.arch", "domain.os.init", "domain.os.initarg",
    "domain.os.initenv.*", "domain.os.initdir", "domain.os.inituser", "domain.os.initgroup", "domain.idmap.*",
    "domain.features.privnet", "domain.features.capabilities.*", "domain.clock.offset", "domain.on_poweroff",
    "domain.on_reboot", "domain.on_crash", "domain.devices.emulator", "domain.devices.filesystem.type",
    "domain.devices.filesystem.accessmode", "domain.devices.filesystem.driver.type",
    "domain.devices.filesystem.driver.format", "domain.devices.filesystem.source.dir",
    "domain.devices.filesystem.source.file", "domain.devices.filesystem.source.dev",
    "domain.devices.filesystem.source.name", "domain.devices.filesystem.source.usage",
    "domain.devices.filesystem.source.units", "domain.devices.filesystem.target.*",
    "domain.devices.filesystem.readonly", "domain.devices.filesystem.alias.*", "domain.devices.interface.type",
    "domain.devices.interface.mac.*", "domain.devices.interface.source.bridge",
    "domain.devices.interface.source.network",
    "domain.devices.interface.source.dev", "domain.devices.interface.source.mode",
    "domain.devices.interface.target.dev", "domain.devices.interface.guest.dev", "domain.devices.interface.link.*",
    "domain.devices.interface.mtu.*", "domain.devices.interface.ip.family", "domain.devices.interface.ip.address",
    "domain.devices.interface.ip.prefix", "domain.devices.interface.route.family",
    "domain.devices.interface.route.address", "domain.devices.interface.route.prefix",
    "domain.devices.interface.route.gateway", "domain.devices.interface.alias.*", "domain.devices.disk.type",
    "domain.devices.disk.device", "domain.devices.disk.source.dev", "domain.devices.disk.target.*",
    "domain.devices.disk.readonly", "domain.devices.disk.alias.*", "domain.devices.hostdev.mode",
    "domain.devices.hostdev.type", "domain.devices.hostdev.source.block", "domain.devices.hostdev.source.char",
    "domain.devices.hostdev.source.interface", "domain.devices.hostdev.alias.*", "domain.devices.console.type",
    "domain.devices.console.tty", "domain.devices.console.source.path", "domain.devices.console.target.type",
    "domain.devices.console.target.port", "domain.devices.console.alias.*", "domain.lxc:namespace.*", NULL
};

VireoModelPathSet *lxc_honoured_paths(GError **error)
{
    return vireo_model_path_set_new(&vireo_domain_type, paths, error);
}

const VireoDomainFilesystem *lxc_doc_root(const VireoDomain *doc)
{
    VEC_EACH(doc->devices->filesystems, i)
    if (g_str_equal(doc->devices->filesystems.items[i]->target, "/"))
        return doc->devices->filesystems.items[i];
    return NULL;
}

gboolean lxc_doc_mapped(const VireoDomain *doc)
{
    return doc->idmap && doc->idmap->uids.n && doc->idmap->gids.n;
}

/* ---- checks -------------------------------------------------------------------- */

static gboolean check_filesystem(const VireoDomain *doc, const VireoDomainFilesystem *fs, GError **error)
{
    const VireoDomainFilesystemSource *source = fs->source;
    gboolean root = g_str_equal(fs->target, "/"), good;
    const char *what;

    if (!g_path_is_absolute(fs->target) || strstr(fs->target, "/../") || g_str_has_suffix(fs->target, "/.."))
        return vireo_refuse(error, fs->line, "<target dir='%s'> is no absolute path without '..'", fs->target);
    switch (fs->type) {
    case VIREO_DOMAIN_FILESYSTEM_TYPE_MOUNT:
        good = source && source->dir && g_path_is_absolute(source->dir);
        what = "a mounted file system needs <source dir='/PATH'/>";
        break;
    case VIREO_DOMAIN_FILESYSTEM_TYPE_BIND:
        good = !root && source && source->dir && g_path_is_absolute(source->dir) && !strstr(source->dir, "..");
        what = "a bound directory needs <source dir='/PATH'/> inside the container, and cannot be its root";
        break;
    case VIREO_DOMAIN_FILESYSTEM_TYPE_RAM:
        good = !root && source && source->has_usage;
        what = "a file system in memory needs <source usage=''/>, and cannot be the root";
        break;
    case VIREO_DOMAIN_FILESYSTEM_TYPE_FILE:
        good = root && source && source->file && (!fs->driver || (fs->driver->type <= VIREO_DOMAIN_FILESYSTEM_DRIVER_TYPE_LOOP &&
               (!fs->driver->format || fs->driver->format == VIREO_DOMAIN_STORAGE_FORMAT_RAW)));
        what = "an image file can be the root only, with <source file=''/> and the format raw";
        break;
    case VIREO_DOMAIN_FILESYSTEM_TYPE_BLOCK:
        good = source && source->dev;
        what = "a block device needs <source dev=''/>";
        break;
    case VIREO_DOMAIN_FILESYSTEM_TYPE_TEMPLATE:
        good = root && source && source->name && g_path_is_absolute(source->name);
        what = "a template is the root, and <source name='/PATH'/> the directory of what is common";
        break;
    default:
        good = FALSE;
        what = "file systems of type volume are not supported; name the directory or device";
    }
    if (!good)
        return vireo_refuse(error, fs->line, "%s", what);
    if (fs->accessmode > VIREO_DOMAIN_FILESYSTEM_ACCESS_MAPPED)
        return vireo_refuse(error, fs->line, "accessmode can be passthrough or mapped");
    if (fs->accessmode == VIREO_DOMAIN_FILESYSTEM_ACCESS_MAPPED && (!root || !lxc_doc_mapped(doc)))
        return vireo_refuse(error, fs->line, "accessmode='mapped' is for the root of a container with <idmap>");
    return TRUE;
}

void lxc_doc_complete_mac(VireoDomainInterface *nic)
{
    if (!nic->mac)
        nic->mac = g_new0(VireoDomainInterfaceMac, 1);
    if (!nic->mac->address)
        nic->mac->address = g_strdup_printf("52:54:00:%02x:%02x:%02x", g_random_int_range(0, 256),
                                            g_random_int_range(0, 256), g_random_int_range(0, 256));
}

static gboolean check_interface(VireoDomain *doc, VireoDomainInterface *nic, GError **error)
{
    const VireoDomainInterfaceSource *source = nic->source;

    if (doc->lxc_namespace && doc->lxc_namespace->lxc_sharenet)
        return vireo_refuse(error, nic->line, "a container that shares a network namespace has no interfaces");
    switch (nic->type) {
    case VIREO_DOMAIN_INTERFACE_TYPE_BRIDGE:
        if (!source || !source->bridge)
            return vireo_refuse(error, nic->line, "an interface on a bridge needs <source bridge=''/>");
        break;
    case VIREO_DOMAIN_INTERFACE_TYPE_ETHERNET:
        break;
    case VIREO_DOMAIN_INTERFACE_TYPE_DIRECT:
        if (!source || !source->dev)
            return vireo_refuse(error, nic->line, "a direct interface needs <source dev=''/>");
        break;
    case VIREO_DOMAIN_INTERFACE_TYPE_NETWORK:
        return vireo_refuse(error, nic->line, "there are no virtual networks for containers: name the network's bridge, "
                                              "with type='bridge' and <source bridge=''/>");
    default:
        return vireo_refuse(error, nic->line, "interfaces can be of type bridge, ethernet or direct");
    }
    if (nic->guest && nic->guest->dev && (!*nic->guest->dev || strlen(nic->guest->dev) >= IFNAMSIZ))
        return vireo_refuse(error, nic->line, "'%s' is no name for an interface: 1 to %d characters", nic->guest->dev,
                            IFNAMSIZ - 1);
    lxc_doc_complete_mac(nic);
    return TRUE;
}

static gboolean check_devices(VireoDomain *doc, GError **error)
{
    VireoDomainDevices *devices = doc->devices;
    guint roots = 0;

    VEC_EACH(devices->filesystems, i)
    {
        if (!check_filesystem(doc, devices->filesystems.items[i], error))
            return FALSE;
        roots += g_str_equal(devices->filesystems.items[i]->target, "/");
    }
    if (roots != 1)
        return vireo_refuse(error, doc->line, "a container needs one <filesystem> with <target dir='/'/>");
    VEC_EACH(devices->interfaces, i)
    if (!check_interface(doc, devices->interfaces.items[i], error))
        return FALSE;
    VEC_EACH(devices->disks, i)
    {
        const VireoDomainDisk *disk = devices->disks.items[i];

        if (disk->type != VIREO_DOMAIN_DISK_TYPE_BLOCK || !disk->source || !disk->source->dev || !disk->target ||
            !disk->target->dev || strchr(disk->target->dev, '/'))
            return vireo_refuse(error, disk->line, "disks are of type block, with <source dev=''/> and <target dev=''/>");
    }
    VEC_EACH(devices->hostdevs, i)
    {
        const VireoDomainHostdev *dev = devices->hostdevs.items[i];

        if (dev->mode != VIREO_DOMAIN_HOSTDEV_MODE_CAPABILITIES ||
            !(dev->source->block || dev->source->char_ || dev->source->interface))
            return vireo_refuse(error, dev->line, "host devices are of mode capabilities and type storage, misc or net");
    }
    VEC_EACH(devices->consoles, i)
    if (devices->consoles.items[i]->type != VIREO_DOMAIN_CHARDEV_TYPE_PTY && !lxc_doc_silent(doc))
        return vireo_refuse(error, devices->consoles.items[i]->line, "consoles are of type pty, or the only one of type null");
    return TRUE;
}

static gboolean check_rest(const VireoDomain *doc, GError **error)
{
    struct utsname host;

    uname(&host);
    if (doc->type != VIREO_DOMAIN_VIRT_LXC)
        return vireo_refuse(error, doc->line, "the type of a container is lxc");
    if (doc->os->type->text != VIREO_DOMAIN_OS_TYPE_EXE)
        return vireo_refuse(error, doc->line, "the OS type of a container is exe");
    if (doc->os->type->arch && strcmp(doc->os->type->arch, host.machine) &&
        !(g_str_equal(host.machine, "x86_64") && g_str_equal(doc->os->type->arch, "i686")))
        return vireo_refuse(error, doc->line, "this host runs no programs of %s", doc->os->type->arch);
    if (doc->current_memory > doc->memory->text)
        return vireo_refuse(error, doc->line, "<currentMemory> is more than <memory>");
    if (doc->idmap && (!doc->idmap->uids.n || !doc->idmap->gids.n))
        return vireo_refuse(error, doc->idmap->line, "<idmap> needs a range of uid and one of gid");
    if (doc->clock && doc->clock->offset > VIREO_DOMAIN_CLOCK_OFFSET_UTC)
        return vireo_refuse(error, doc->clock->line, "a container has its host's clock: offset utc");
    if (doc->on_poweroff > VIREO_DOMAIN_LIFECYCLE_DESTROY || doc->on_crash > VIREO_DOMAIN_LIFECYCLE_DESTROY ||
        doc->on_reboot > VIREO_DOMAIN_LIFECYCLE_RESTART)
        return vireo_refuse(error, doc->line,
                            "on_poweroff and on_crash can be destroy, and on_reboot restart or destroy");
    return TRUE;
}

/* ---- defaults ------------------------------------------------------------------ */

gboolean lxc_doc_silent(const VireoDomain *doc)
{
    const VireoDomainDevices *devices = doc->devices;

    return devices->consoles.n == 1 && devices->consoles.items[0]->type == VIREO_DOMAIN_CHARDEV_TYPE_NULL;
}

static void complete_console(VireoDomain *doc)
{
    VireoDomainDevices *devices = doc->devices;

    if (!devices->consoles.n) {
        VireoDomainChardev *console = g_new0(VireoDomainChardev, 1);

        console->type = VIREO_DOMAIN_CHARDEV_TYPE_PTY;
        vireo_list_append(&devices->consoles, console);
    }
    VEC_EACH(devices->consoles, i)
    {
        VireoDomainChardev *console = devices->consoles.items[i];

        if (!console->target)
            console->target = g_new0(VireoDomainChardevTarget, 1);
        console->target->type = VIREO_DOMAIN_CHARDEV_TARGET_TYPE_LXC;
        console->target->port = i;
        console->target->has_port = TRUE;
    }
}

gboolean lxc_doc_complete(VireoDomain *doc, GError **error)
{
    if (!doc->memory || !doc->memory->has_text)
        return vireo_refuse(error, doc->line, "a container needs <memory>");
    if (!doc->has_uuid) {
        g_autofree char *uuid = g_uuid_string_random();

        doc->has_uuid = vireo_model_uuid_parse(uuid, doc->uuid);
    }
    if (!doc->has_current_memory) {
        doc->current_memory = doc->memory->text;
        doc->has_current_memory = TRUE;
    }
    if (!doc->vcpu) {
        doc->vcpu = g_new0(VireoDomainVcpu, 1);
        doc->vcpu->placement = VIREO_DOMAIN_VCPU_PLACEMENT_STATIC;
    }
    if (!doc->vcpu->has_text) {
        doc->vcpu->text = 1;
        doc->vcpu->has_text = TRUE;
    }
    if (!doc->os->type) {
        doc->os->type = g_new0(VireoDomainOsMachine, 1);
        doc->os->type->text = VIREO_DOMAIN_OS_TYPE_EXE;
    }
    if (!doc->os->type->arch) {
        struct utsname host;

        uname(&host);
        doc->os->type->arch = g_strdup(host.machine);
    }
    if (!doc->os->init)
        doc->os->init = g_strdup("/sbin/init");
    complete_console(doc);
    return check_rest(doc, error) && check_devices(doc, error);
}

LxcDef *lxc_def_parse(LxcDriver *driver, const char *xml, guint flags, GError **error)
{
    guint parse = (flags & LXC_DEF_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0) |
                  (flags & LXC_DEF_LIVE ? 0 : VIREO_MODEL_PARSE_INACTIVE);
    g_autoptr(VireoDomain) doc = vireo_domain_parse(xml, parse, error);

    if (!doc || (!(flags & LXC_DEF_TRUSTED) && !vireo_model_path_set_check(driver->honoured, doc, error)) ||
        !lxc_doc_complete(doc, error))
        return NULL;
    return lxc_def_new(g_steal_pointer(&doc));
}
