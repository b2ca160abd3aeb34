/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a definition to QEMU's command line. */
#include "launch.h"

#include <string.h>

#include "probe.h"

/* ---- boot order ---------------------------------------------------------------- */

static VireoDomainBootDevice boot_kind(const VireoDomainDisk *disk)
{
    if (disk->device == VIREO_DOMAIN_DISK_DEVICE_CDROM)
        return VIREO_DOMAIN_BOOT_DEVICE_CDROM;
    if (disk->device == VIREO_DOMAIN_DISK_DEVICE_FLOPPY)
        return VIREO_DOMAIN_BOOT_DEVICE_FD;
    return VIREO_DOMAIN_BOOT_DEVICE_HD;
}

int qemu_boot_index(const VireoDomain *doc, char kind, guint index)
{
    const VireoDomainDevices *devices = doc->devices;
    VireoDomainBootDevice wanted = VIREO_DOMAIN_BOOT_DEVICE_NETWORK;

    if (kind == 'n') {
        if (devices->interfaces.items[index]->boot)
            return (int)devices->interfaces.items[index]->boot->order;
        if (index > 0)
            return 0;
    } else {
        if (devices->disks.items[index]->boot)
            return (int)devices->disks.items[index]->boot->order;
        wanted = boot_kind(devices->disks.items[index]);
        for (guint i = 0; i < index; i++) /* the first of its kind */
            if (boot_kind(devices->disks.items[i]) == wanted)
                return 0;
    }
    VEC_EACH(doc->os->boots, i)
    if (doc->os->boots.items[i] == wanted)
        return (int)i + 1;
    return 0;
}

/* ---- parts --------------------------------------------------------------------- */

static gboolean machine(QemuLaunch *launch, GError **error)
{
    VireoDomain *doc = launch->doc;
    QemuDriver *driver = launch->dom->space->driver;
    g_autoptr(GString) out = g_string_new(doc->os->type->machine);
    const char *reason = NULL;

    if (doc->type == VIREO_DOMAIN_VIRT_KVM) {
        QemuEmulator *emulator = qemu_emulator_at(driver, doc->devices->emulator, error);

        if (!emulator)
            return FALSE;
        if (!qemu_emulator_kvm(driver, emulator, &reason)) {
            qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                       "domain type 'kvm' cannot be run on this host: %s (type 'qemu' can)", reason);
            return FALSE;
        }
    }
    g_string_append(out, doc->type == VIREO_DOMAIN_VIRT_KVM ? ",accel=kvm" : ",accel=tcg");
    g_string_append(out, ",usb=off,dump-guest-core=off");
    if (doc->features && doc->features->vmport != VIREO_TRISTATE_UNSET)
        g_string_append_printf(out, ",vmport=%s",
                               doc->features->vmport == VIREO_TRISTATE_YES ? "on" : "off");
    if (!doc->features || !doc->features->acpi)
        g_string_append(out, ",acpi=off");
    qemu_launch_arg(launch, "-machine", out->str);
    return TRUE;
}

static gboolean cpu(QemuLaunch *launch, GError **error)
{
    const VireoDomainCpu *model = launch->doc->cpu;
    g_autoptr(GString) out = g_string_new(NULL);
    gboolean kvm = launch->doc->type == VIREO_DOMAIN_VIRT_KVM;

    switch (model->mode) {
    case VIREO_DOMAIN_CPU_MODE_HOST_PASSTHROUGH:
        if (!kvm) {
            qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                       "CPU mode 'host-passthrough' needs domain type 'kvm'");
            return FALSE;
        }
        g_string_append(out, "host");
        break;
    case VIREO_DOMAIN_CPU_MODE_HOST_MODEL:
        g_string_append(out, kvm ? "host" : "max");
        break;
    case VIREO_DOMAIN_CPU_MODE_MAXIMUM:
        g_string_append(out, "max");
        break;
    default:
        g_string_append(out, model->model && model->model->text ? model->model->text : "qemu64");
    }
    VEC_EACH(model->features, i)
    {
        const VireoDomainCpuFeature *feature = model->features.items[i];
        gboolean off = feature->policy == VIREO_DOMAIN_CPU_POLICY_DISABLE ||
                       feature->policy == VIREO_DOMAIN_CPU_POLICY_FORBID;

        g_string_append_printf(out, ",%s=%s", feature->name, off ? "off" : "on");
    }
    if (strpbrk(out->str, " \t\n")) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "'%s' is no CPU model", out->str);
        return FALSE;
    }
    qemu_launch_arg(launch, "-cpu", out->str);
    return TRUE;
}

static void size(QemuLaunch *launch)
{
    const VireoDomain *doc = launch->doc;
    const VireoDomainCpuTopology *topology = doc->cpu->topology;
    guint now = doc->vcpu->has_current ? doc->vcpu->current : doc->vcpu->text;

    qemu_launch_argf(launch, "-m", "size=%" G_GUINT64_FORMAT "k", doc->memory->text);
    if (topology)
        qemu_launch_argf(launch, "-smp", "%u,maxcpus=%u,sockets=%u,cores=%u,threads=%u", now,
                         doc->vcpu->text, topology->sockets, topology->cores, topology->threads);
    else
        qemu_launch_argf(launch, "-smp", "%u,maxcpus=%u,sockets=%u,cores=1,threads=1", now,
                         doc->vcpu->text, doc->vcpu->text);
}

static gboolean clock_args(QemuLaunch *launch, GError **error)
{
    const VireoDomainClock *clock = launch->doc->clock;

    switch (clock->offset) {
    case VIREO_DOMAIN_CLOCK_OFFSET_UTC:
        qemu_launch_arg(launch, "-rtc", "base=utc");
        break;
    case VIREO_DOMAIN_CLOCK_OFFSET_LOCALTIME:
        qemu_launch_arg(launch, "-rtc", "base=localtime");
        break;
    default:
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "clock offset '%s' is not served",
                   vireo_domain_clock_offset_to_string(clock->offset));
        return FALSE;
    }
    VEC_EACH(clock->timers, i)
    {
        const VireoDomainTimer *timer = clock->timers.items[i];

        if (timer->name == VIREO_DOMAIN_TIMER_NAME_HPET && timer->present == VIREO_TRISTATE_NO)
            qemu_launch_arg(launch, "-no-hpet", NULL);
        if (timer->name == VIREO_DOMAIN_TIMER_NAME_PIT &&
            timer->tickpolicy == VIREO_DOMAIN_TIMER_TICK_DELAY)
            qemu_launch_arg(launch, "-global", "kvm-pit.lost_tick_policy=delay");
    }
    return TRUE;
}

/* A kernel, an initrd, a firmware: QEMU opens it by name and must be able to. */
static gboolean boot_file(QemuLaunch *launch, const char *option, const char *path, GError **error)
{
    const QemuImage image = { (char *)path, VIREO_DOMAIN_STORAGE_FORMAT_RAW, TRUE, TRUE };

    if (!path)
        return TRUE;
    if (launch->preview) {
        qemu_launch_arg(launch, option, path);
        return TRUE;
    }
    if (!qemu_image_give(launch->dom->space->driver, launch->dom->uuid_text, &image, error)) {
        g_prefix_error(error, "%s: ", option + 1);
        return FALSE;
    }
    int fd = qemu_image_open(path, 0, error);
    if (fd < 0) {
        g_prefix_error(error, "%s: ", option + 1);
        return FALSE;
    }
    /* Through the descriptor: the way to the file need not be open for QEMU's user. */
    qemu_launch_argf(launch, option, "/dev/fd/%d", qemu_launch_fd(launch, fd));
    return TRUE;
}

static gboolean boot(QemuLaunch *launch, GError **error)
{
    const VireoDomainOs *os = launch->doc->os;

    g_autoptr(GString) options = g_string_new("strict=on");

    if (os->bootmenu && os->bootmenu->enable == VIREO_TRISTATE_YES)
        g_string_append(options, ",menu=on");
    if (os->bootmenu && os->bootmenu->has_timeout)
        g_string_append_printf(options, ",splash-time=%u", os->bootmenu->timeout);
    qemu_launch_arg(launch, "-boot", options->str);
    if (os->loader && os->loader->text && os->loader->type == VIREO_DOMAIN_LOADER_TYPE_PFLASH) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "firmware in flash is not served");
        return FALSE;
    }
    if (os->loader && !boot_file(launch, "-bios", os->loader->text, error))
        return FALSE;
    if (!boot_file(launch, "-kernel", os->kernel, error) ||
        !boot_file(launch, "-initrd", os->initrd, error))
        return FALSE;
    if (os->kernel && os->cmdline)
        qemu_launch_arg(launch, "-append", os->cmdline);
    return TRUE;
}

static void actions(QemuLaunch *launch)
{
    /* The end of a guest is the daemon's to decide: see events.c. */
    qemu_launch_argf(launch, "-action", "shutdown=pause,panic=pause,reboot=%s",
                     launch->doc->on_reboot == VIREO_DOMAIN_LIFECYCLE_RESTART ? "reset"
                                                                             : "shutdown");
}

static gboolean display(QemuLaunch *launch, GError **error)
{
    const VireoDomainDevices *devices = launch->doc->devices;
    const QemuConfig *config = &launch->dom->space->driver->config;

    qemu_launch_arg(launch, "-display", "none");
    if (!devices->graphics.n)
        return TRUE;
    const VireoDomainGraphics *vnc = devices->graphics.items[0];
    const VireoDomainGraphicsListen *listen = vnc->listens.items[0];
    g_autoptr(GString) out = g_string_new(NULL);

    if (listen->type == VIREO_DOMAIN_GRAPHICS_LISTEN_TYPE_NONE)
        g_string_append(out, "none");
    else if (listen->type == VIREO_DOMAIN_GRAPHICS_LISTEN_TYPE_ADDRESS) {
        gboolean six = strchr(listen->address, ':') != NULL;

        if (!six && strpbrk(listen->address, ", ")) {
            qemu_error(error, VIREO_ERR_XML_ERROR, "'%s' is no address to listen on",
                       listen->address);
            return FALSE;
        }
        /* QEMU itself looks for a free port: no race with anybody else. */
        g_string_append_printf(out, six ? "[%s]:" : "%s:", listen->address);
        if (vnc->port == -1 || vnc->autoport == VIREO_TRISTATE_YES)
            g_string_append_printf(out, "%d,to=%d", config->vnc_port_min - 5900,
                                   config->vnc_port_max - 5900);
        else
            g_string_append_printf(out, "%d", vnc->port - 5900);
    } else {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "VNC: listen type '%s' is not served",
                   vireo_domain_graphics_listen_type_to_string(listen->type));
        return FALSE;
    }
    if (vnc->passwd)
        g_string_append(out, ",password=on");
    if (vnc->share_policy != VIREO_DOMAIN_GRAPHICS_SHARE_POLICY_UNSET)
        g_string_append_printf(out, ",share=%s", vireo_domain_graphics_share_policy_to_string(
                                                     vnc->share_policy));
    qemu_launch_arg(launch, "-vnc", out->str);
    if (vnc->keymap)
        qemu_launch_arg(launch, "-k", vnc->keymap);
    return TRUE;
}

static gboolean give_images(QemuLaunch *launch, GError **error)
{
    VireoDomainDevices *devices = launch->doc->devices;

    VEC_EACH(devices->disks, i)
    {
        VireoDomainDisk *disk = devices->disks.items[i];
        GPtrArray *chain = launch->preview ? qemu_image_alone(disk) : qemu_image_chain(disk, error);

        if (!chain)
            return FALSE;
        g_ptr_array_add(launch->chains, chain);
        if (launch->preview)
            continue;
        for (guint n = 0; n < chain->len; n++)
            if (!qemu_image_give(launch->dom->space->driver, launch->dom->uuid_text,
                                 chain->pdata[n], error)) {
                g_prefix_error(error, "disk '%s': ", disk->target->dev);
                return FALSE;
            }
    }
    return TRUE;
}

gboolean qemu_command_build(QemuLaunch *launch, GError **error)
{
    QemuDriver *driver = launch->dom->space->driver;
    VireoDomain *doc = launch->doc;

    qemu_launch_arg(launch, doc->devices->emulator, NULL);
    qemu_launch_argf(launch, "-name", "guest=%s,debug-threads=on", launch->dom->uuid_text);
    qemu_launch_arg(launch, "-S", NULL);
    qemu_launch_arg(launch, "-no-user-config", NULL);
    qemu_launch_arg(launch, "-nodefaults", NULL);
    if (driver->config.sandbox)
        qemu_launch_arg(launch, "-sandbox",
                        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    if (!machine(launch, error) || !cpu(launch, error))
        return FALSE;
    size(launch);
    qemu_launch_arg(launch, "-uuid", launch->dom->uuid_text);
    int monitor = qemu_launch_listen(launch, launch->qmp_path, error);
    if (monitor < 0)
        return FALSE;
    qemu_launch_argf(launch, "-chardev", "socket,id=charmonitor,fd=%d,server=on,wait=off", monitor);
    qemu_launch_arg(launch, "-mon", "chardev=charmonitor,id=monitor,mode=control");
    if (!clock_args(launch, error))
        return FALSE;
    actions(launch);
    if (!boot(launch, error) || !qemu_command_controllers(launch, error) ||
        !give_images(launch, error) || !qemu_command_disks(launch, error) ||
        !qemu_command_devices(launch, error) || !display(launch, error))
        return FALSE;
    if (launch->incoming_fd >= 0) {
        int fd = qemu_launch_fd(launch, launch->incoming_fd);

        launch->incoming_fd = -1;
        qemu_launch_argf(launch, "-incoming", "fd:%d", fd);
    }
    qemu_launch_arg(launch, "-msg", "timestamp=on");
    g_ptr_array_add(launch->argv, NULL);
    return TRUE;
}
