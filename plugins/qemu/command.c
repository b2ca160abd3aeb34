/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a definition to QEMU's command line. */
#include "engine.h"
#include "firmware.h"
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
    vireo_options_add(out, "accel", doc->type == VIREO_DOMAIN_VIRT_KVM ? "kvm" : "tcg");
    vireo_options_switch(out, "usb", FALSE);
    vireo_options_switch(out, "dump-guest-core", FALSE);
    if (doc->features && doc->features->vmport != VIREO_TRISTATE_UNSET)
        vireo_options_switch(out, "vmport", doc->features->vmport == VIREO_TRISTATE_YES);
    if (!doc->features || !doc->features->acpi)
        vireo_options_switch(out, "acpi", FALSE);
    qemu_firmware_machine(doc, out);
    vireo_argv_add(launch->argv, "-machine", out->str, NULL);
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

        vireo_options_switch(out, feature->name, !off);
    }
    if (strpbrk(out->str, " \t\n")) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "'%s' is no CPU model", out->str);
        return FALSE;
    }
    vireo_argv_add(launch->argv, "-cpu", out->str, NULL);
    return TRUE;
}

static void size(QemuLaunch *launch)
{
    const VireoDomain *doc = launch->doc;
    const VireoDomainCpuTopology *topology = doc->cpu->topology;
    guint now = doc->vcpu->has_current ? doc->vcpu->current : doc->vcpu->text;

    vireo_argv_addf(launch->argv, "-m", "size=%" G_GUINT64_FORMAT "k", doc->memory->text);
    if (topology)
        vireo_argv_addf(launch->argv, "-smp", "%u,maxcpus=%u,sockets=%u,cores=%u,threads=%u", now,
                        doc->vcpu->text, topology->sockets, topology->cores, topology->threads);
    else
        vireo_argv_addf(launch->argv, "-smp", "%u,maxcpus=%u,sockets=%u,cores=1,threads=1", now,
                        doc->vcpu->text, doc->vcpu->text);
}

static gboolean clock_args(QemuLaunch *launch, GError **error)
{
    const VireoDomainClock *clock = launch->doc->clock;

    switch (clock->offset) {
    case VIREO_DOMAIN_CLOCK_OFFSET_UTC:
        vireo_argv_add(launch->argv, "-rtc", "base=utc", NULL);
        break;
    case VIREO_DOMAIN_CLOCK_OFFSET_LOCALTIME:
        vireo_argv_add(launch->argv, "-rtc", "base=localtime", NULL);
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
            vireo_argv_add(launch->argv, "-no-hpet", NULL);
        if (timer->name == VIREO_DOMAIN_TIMER_NAME_PIT &&
            timer->tickpolicy == VIREO_DOMAIN_TIMER_TICK_DELAY)
            vireo_argv_add(launch->argv, "-global", "kvm-pit.lost_tick_policy=delay", NULL);
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
        vireo_argv_add(launch->argv, option, path, NULL);
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
    vireo_argv_addf(launch->argv, option, "/dev/fd/%d", qemu_launch_fd(launch, fd));
    return TRUE;
}

static gboolean boot(QemuLaunch *launch, GError **error)
{
    const VireoDomainOs *os = launch->doc->os;

    g_autoptr(GString) options = g_string_new("strict=on");

    if (os->bootmenu && os->bootmenu->enable == VIREO_TRISTATE_YES)
        vireo_options_switch(options, "menu", TRUE);
    if (os->bootmenu && os->bootmenu->has_timeout)
        vireo_options_addf(options, "splash-time", "%u", os->bootmenu->timeout);
    vireo_argv_add(launch->argv, "-boot", options->str, NULL);
    if (os->loader && os->loader->type == VIREO_DOMAIN_LOADER_TYPE_PFLASH) {
        if (!qemu_command_firmware(launch, error))
            return FALSE;
    } else if (os->loader && !boot_file(launch, "-bios", os->loader->text, error))
        return FALSE;
    if (!boot_file(launch, "-kernel", os->kernel, error) ||
        !boot_file(launch, "-initrd", os->initrd, error))
        return FALSE;
    if (os->kernel && os->cmdline)
        vireo_argv_add(launch->argv, "-append", os->cmdline, NULL);
    return TRUE;
}

static void actions(QemuLaunch *launch)
{
    /* The end of a guest is the daemon's to decide: see events.c. */
    vireo_argv_addf(launch->argv, "-action", "shutdown=pause,panic=pause,reboot=%s",
                    launch->doc->on_reboot == VIREO_DOMAIN_LIFECYCLE_RESTART ? "reset"
                                                                            : "shutdown");
}

static gboolean display(QemuLaunch *launch, GError **error)
{
    const VireoDomainDevices *devices = launch->doc->devices;
    const QemuConfig *config = &launch->dom->space->driver->config;

    vireo_argv_add(launch->argv, "-display", "none", NULL);
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
        vireo_options_switch(out, "password", TRUE);
    vireo_options_add(out, "share",
                      vireo_domain_graphics_share_policy_to_string(vnc->share_policy));
    vireo_argv_add(launch->argv, "-vnc", out->str, NULL);
    if (vnc->keymap)
        vireo_argv_add(launch->argv, "-k", vnc->keymap, NULL);
    return TRUE;
}

static gboolean give_images(QemuLaunch *launch, GError **error)
{
    VireoDomainDevices *devices = launch->doc->devices;
    g_autoptr(GHashTable) known = launch->preview ? NULL : qemu_known_paths(launch->dom);

    VEC_EACH(devices->disks, i)
    {
        VireoDomainDisk *disk = devices->disks.items[i];
        GPtrArray *chain = launch->preview ? qemu_image_alone(disk) : qemu_image_chain(disk, error);

        if (!chain)
            return FALSE;
        g_ptr_array_add(launch->chains, chain);
        if (launch->preview)
            continue;
        for (guint n = 0; n < chain->len; n++) {
            QemuImage *image = chain->pdata[n];

            image->named |= g_hash_table_contains(known, image->path);
            if (!qemu_image_give(launch->dom->space->driver, launch->dom->uuid_text, image,
                                 error)) {
                g_prefix_error(error, "disk '%s': ", disk->target->dev);
                return FALSE;
            }
        }
    }
    return TRUE;
}

gboolean qemu_command_build(QemuLaunch *launch, GError **error)
{
    QemuDriver *driver = launch->dom->space->driver;
    VireoDomain *doc = launch->doc;

    vireo_argv_add(launch->argv, doc->devices->emulator, NULL);
    vireo_argv_addf(launch->argv, "-name", "guest=%s,debug-threads=on", launch->dom->uuid_text);
    vireo_argv_add(launch->argv, "-S", NULL);
    vireo_argv_add(launch->argv, "-no-user-config", NULL);
    vireo_argv_add(launch->argv, "-nodefaults", NULL);
    if (driver->config.sandbox)
        vireo_argv_add(launch->argv, "-sandbox",
                       "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", NULL);
    if (!machine(launch, error) || !cpu(launch, error))
        return FALSE;
    size(launch);
    vireo_argv_add(launch->argv, "-uuid", launch->dom->uuid_text, NULL);
    int monitor = qemu_launch_listen(launch, launch->qmp_path, error);
    if (monitor < 0)
        return FALSE;
    vireo_argv_addf(launch->argv, "-chardev", "socket,id=charmonitor,fd=%d,server=on,wait=off", monitor);
    vireo_argv_add(launch->argv, "-mon", "chardev=charmonitor,id=monitor,mode=control", NULL);
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
        vireo_argv_addf(launch->argv, "-incoming", "fd:%d", fd);
    }
    vireo_argv_add(launch->argv, "-msg", "timestamp=on", NULL);
    return TRUE;
}
