/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fills in what a document left open, so that what is stored and shown is what will run. */
#include "driver.h"

#include <string.h>
#include <sys/random.h>

#include "firmware.h"
#include "probe.h"
#include "remote.h"
#include "tpm.h"

#define NEW(slot, Type) ((slot) ? (slot) : ((slot) = g_new0(Type, 1)))

static void set_text(char **slot, const char *text)
{
    g_free(*slot);
    *slot = g_strdup(text);
}

/* ---- the machine --------------------------------------------------------------- */

static char *machine_list(QemuEmulator *emulator)
{
    g_autoptr(GString) list = g_string_new(NULL);

    for (guint i = 0; i < emulator->machines->len; i++) {
        const QemuMachine *machine = emulator->machines->pdata[i];

        if (!machine->deprecated)
            g_string_append_printf(list, "%s%s", list->len ? ", " : "",
                                   machine->alias ? machine->alias : machine->name);
    }
    return g_strdup(list->str);
}

static QemuEmulator *complete_machine(QemuSpace *space, VireoDomain *doc, GError **error)
{
    VireoDomainOsMachine *type = doc->os->type;
    QemuEmulator *emulator;

    if (!type || type->text != VIREO_DOMAIN_OS_TYPE_HVM) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "QEMU runs guests of os type 'hvm' only, not '%s'",
                   type ? vireo_domain_os_type_to_string(type->text) : "(none)");
        return NULL;
    }
    if (!type->arch)
        type->arch = g_strdup(qemu_host_arch());
    if (doc->devices->emulator)
        emulator = qemu_emulator_at(space->driver, doc->devices->emulator, error);
    else
        emulator = qemu_emulator_for_arch(space->driver, type->arch, error);
    if (!emulator)
        return NULL;
    if (!g_str_equal(emulator->arch, type->arch) &&
        !(g_str_equal(type->arch, "i686") && g_str_equal(emulator->arch, "x86_64"))) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "emulator %s runs architecture '%s', not '%s'", emulator->path, emulator->arch,
                   type->arch);
        return NULL;
    }
    if (!doc->devices->emulator)
        doc->devices->emulator = g_strdup(emulator->path);
    const QemuMachine *machine = qemu_emulator_machine(emulator, type->machine);
    if (!machine) {
        g_autofree char *list = machine_list(emulator);
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "machine type '%s' is not one of %s (it has: %s)",
                   type->machine ? type->machine : "(default)", emulator->path, list);
        return NULL;
    }
    set_text(&type->machine, machine->name);
    if ((int)doc->vcpu->text > machine->cpus_max) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "%u vCPUs are more than the %d of machine type '%s'", doc->vcpu->text,
                   machine->cpus_max, machine->name);
        return NULL;
    }
    return emulator;
}

static gboolean complete_identity(VireoDomain *doc, GError **error)
{
    if (!doc->has_uuid) {
        if (getrandom(doc->uuid, 16, 0) != 16) {
            qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "no random numbers for a uuid");
            return FALSE;
        }
        doc->uuid[6] = (guint8)((doc->uuid[6] & 0x0f) | 0x40);
        doc->uuid[8] = (guint8)((doc->uuid[8] & 0x3f) | 0x80);
        doc->has_uuid = TRUE;
    }
    if (doc->name && !strchr(doc->name, '/') && *doc->name)
        return TRUE;
    qemu_error(error, VIREO_ERR_XML_ERROR, "a domain needs a name, without '/': '%s'",
               doc->name ? doc->name : "");
    return FALSE;
}

static gboolean complete_size(VireoDomain *doc, GError **error)
{
    if (!doc->memory || !doc->memory->text) {
        qemu_error(error, VIREO_ERR_XML_ERROR, "domain '%s' needs <memory>", doc->name);
        return FALSE;
    }
    /* QEMU wants whole MiB on most machines. */
    doc->memory->text = (doc->memory->text + 1023) / 1024 * 1024;
    if (!doc->has_current_memory || doc->current_memory > doc->memory->text)
        doc->current_memory = doc->memory->text;
    doc->has_current_memory = TRUE;
    if (!doc->vcpu) {
        doc->vcpu = g_new0(VireoDomainVcpu, 1);
        doc->vcpu->placement = VIREO_DOMAIN_VCPU_PLACEMENT_STATIC;
    }
    if (!doc->vcpu->has_text) {
        doc->vcpu->text = 1;
        doc->vcpu->has_text = TRUE;
    }
    if (doc->vcpu->has_current && doc->vcpu->current > doc->vcpu->text) {
        qemu_error(error, VIREO_ERR_XML_ERROR, "%u current vCPUs are more than %u",
                   doc->vcpu->current, doc->vcpu->text);
        return FALSE;
    }
    return TRUE;
}

static void complete_cpu(VireoDomain *doc)
{
    VireoDomainCpu *cpu = NEW(doc->cpu, VireoDomainCpu);

    if (cpu->mode == VIREO_DOMAIN_CPU_MODE_UNSET && !cpu->model) {
        cpu->mode = VIREO_DOMAIN_CPU_MODE_CUSTOM;
        cpu->match = VIREO_DOMAIN_CPU_MATCH_EXACT;
        cpu->check = VIREO_DOMAIN_CPU_CHECK_NONE;
        cpu->model = g_new0(VireoDomainCpuModel, 1);
        cpu->model->fallback = VIREO_DOMAIN_CPU_FALLBACK_FORBID;
        cpu->model->text =
            g_strdup(g_str_equal(doc->os->type->arch, "i686") ? "qemu32" : "qemu64");
    }
    if (cpu->mode == VIREO_DOMAIN_CPU_MODE_UNSET)
        cpu->mode = VIREO_DOMAIN_CPU_MODE_CUSTOM;
    if (cpu->mode == VIREO_DOMAIN_CPU_MODE_CUSTOM && cpu->match == VIREO_DOMAIN_CPU_MATCH_UNSET)
        cpu->match = VIREO_DOMAIN_CPU_MATCH_EXACT;
    if (cpu->check == VIREO_DOMAIN_CPU_CHECK_UNSET)
        cpu->check = VIREO_DOMAIN_CPU_CHECK_NONE;
}

/* ---- devices ------------------------------------------------------------------- */

static VireoDomainDiskBus bus_of_name(const VireoDomainDisk *disk)
{
    const char *dev = disk->target->dev;

    if (disk->device == VIREO_DOMAIN_DISK_DEVICE_FLOPPY || g_str_has_prefix(dev, "fd"))
        return VIREO_DOMAIN_DISK_BUS_FDC;
    if (g_str_has_prefix(dev, "hd"))
        return VIREO_DOMAIN_DISK_BUS_IDE;
    if (g_str_has_prefix(dev, "sd"))
        return disk->device == VIREO_DOMAIN_DISK_DEVICE_CDROM ? VIREO_DOMAIN_DISK_BUS_SATA
                                                              : VIREO_DOMAIN_DISK_BUS_SCSI;
    return VIREO_DOMAIN_DISK_BUS_VIRTIO;
}

int qemu_disk_index(const char *dev)
{
    int index = 0;

    if (strlen(dev) < 3 || strlen(dev) > 6)
        return -1;
    for (const char *c = dev + 2; *c; c++) {
        if (*c < 'a' || *c > 'z')
            return -1;
        index = index * 26 + (*c - 'a') + 1;
    }
    return index - 1;
}

static gboolean complete_remote(const VireoDomainDisk *disk, GError **error)
{
    g_autofree char *location = qemu_remote_location(disk->source, disk->target->dev, error);

    if (!location)
        return FALSE;
    if (!disk->readonly && qemu_remote_is_readonly(location)) {
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED, "add <readonly/>, or make an overlay of it (qemu-img create -b)",
                    "disk '%s': nothing can be written to %s", disk->target->dev, location);
        return FALSE;
    }
    return TRUE;
}

static gboolean complete_disk(VireoDomain *doc, VireoDomainDisk *disk, GError **error)
{
    VireoDomainDiskDriver *driver = NEW(disk->driver, VireoDomainDiskDriver);
    const char *name;

    if (!disk->target || qemu_disk_index(disk->target->dev) < 0) {
        qemu_error(error, VIREO_ERR_XML_ERROR, "disk target '%s' is not a device name such as vda",
                   disk->target ? disk->target->dev : "");
        return FALSE;
    }
    if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_UNSET)
        disk->target->bus = bus_of_name(disk);
    if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_IDE && qemu_doc_is_q35(doc)) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "disk '%s': machine type '%s' has no IDE bus (use sata)", disk->target->dev,
                   doc->os->type->machine);
        return FALSE;
    }
    if (!driver->name)
        driver->name = g_strdup("qemu");
    if (!g_str_equal(driver->name, "qemu")) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "disk '%s': unknown driver '%s'",
                   disk->target->dev, driver->name);
        return FALSE;
    }
    if (driver->type == VIREO_DOMAIN_STORAGE_FORMAT_UNSET)
        driver->type = VIREO_DOMAIN_STORAGE_FORMAT_RAW;
    if (driver->type != VIREO_DOMAIN_STORAGE_FORMAT_RAW &&
        driver->type != VIREO_DOMAIN_STORAGE_FORMAT_QCOW2) {
        name = vireo_domain_storage_format_to_string(driver->type);
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "disk '%s': image format '%s' is not served (raw, qcow2)", disk->target->dev,
                   name);
        return FALSE;
    }
    if (disk->type != VIREO_DOMAIN_DISK_TYPE_FILE && disk->type != VIREO_DOMAIN_DISK_TYPE_BLOCK &&
        disk->type != VIREO_DOMAIN_DISK_TYPE_NETWORK) {
        name = vireo_domain_disk_type_to_string(disk->type);
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "disk '%s': source type '%s' is not served (file, block, network)", disk->target->dev,
                   name);
        return FALSE;
    }
    if (disk->device == VIREO_DOMAIN_DISK_DEVICE_CDROM)
        disk->readonly = TRUE;
    if (disk->type == VIREO_DOMAIN_DISK_TYPE_NETWORK)
        return complete_remote(disk, error);
    if (disk->source && (disk->source->file || disk->source->dev))
        return qemu_backing_check(disk, error);
    if (disk->device == VIREO_DOMAIN_DISK_DEVICE_CDROM ||
        disk->device == VIREO_DOMAIN_DISK_DEVICE_FLOPPY)
        return TRUE;
    qemu_error(error, VIREO_ERR_XML_ERROR, "disk '%s' has no source", disk->target->dev);
    return FALSE;
}

static gboolean complete_disks(VireoDomain *doc, GError **error)
{
    VEC_EACH(doc->devices->disks, i)
    {
        VireoDomainDisk *disk = doc->devices->disks.items[i];

        if (!complete_disk(doc, disk, error))
            return FALSE;
        for (guint j = 0; j < i; j++)
            if (g_str_equal(doc->devices->disks.items[j]->target->dev, disk->target->dev)) {
                qemu_error(error, VIREO_ERR_XML_ERROR, "disk target '%s' is used twice",
                           disk->target->dev);
                return FALSE;
            }
    }
    return TRUE;
}

static gboolean complete_interface(VireoDomain *doc, VireoDomainInterface *iface, GError **error)
{
    guint8 tail[3];

    if (!iface->mac) {
        if (getrandom(tail, sizeof tail, 0) != sizeof tail) {
            qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "no random numbers for a MAC address");
            return FALSE;
        }
        iface->mac = g_new0(VireoDomainInterfaceMac, 1);
        iface->mac->address =
            g_strdup_printf("52:54:00:%02x:%02x:%02x", tail[0], tail[1], tail[2]);
    }
    if (!iface->model)
        iface->model = g_strdup(qemu_doc_is_q35(doc) ? "e1000e" : "rtl8139");
    switch (iface->type) {
    case VIREO_DOMAIN_INTERFACE_TYPE_USER:
    case VIREO_DOMAIN_INTERFACE_TYPE_ETHERNET:
        return TRUE;
    case VIREO_DOMAIN_INTERFACE_TYPE_BRIDGE:
        if (iface->source && iface->source->bridge)
            return TRUE;
        qemu_error(error, VIREO_ERR_XML_ERROR, "interface %s of type 'bridge' names no bridge",
                   iface->mac->address);
        return FALSE;
    default:
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "interface %s: type '%s' is not served (user, bridge, ethernet)",
                   iface->mac->address, vireo_domain_interface_type_to_string(iface->type));
        return FALSE;
    }
}

/* ---- character devices --------------------------------------------------------- */

static VireoDomainChardev *chardev_new(VireoDomainChardevType type,
                                       VireoDomainChardevTargetType target)
{
    VireoDomainChardev *dev = g_new0(VireoDomainChardev, 1);

    dev->type = type;
    dev->target = g_new0(VireoDomainChardevTarget, 1);
    dev->target->type = target;
    dev->target->has_port = TRUE;
    return dev;
}

/* The first console of an x86 guest is its first serial port seen from another side. */
static void complete_consoles(VireoDomain *doc)
{
    VireoDomainDevices *devices = doc->devices;
    VireoDomainChardev *first = devices->consoles.n ? devices->consoles.items[0] : NULL;
    gboolean on_serial =
        first && (!first->target || first->target->type == VIREO_DOMAIN_CHARDEV_TARGET_TYPE_UNSET ||
                  first->target->type == VIREO_DOMAIN_CHARDEV_TARGET_TYPE_SERIAL);

    if (first && on_serial && !devices->serials.n) {
        VireoDomainChardev *serial = vireo_domain_chardev_copy(first);

        vireo_domain_chardev_target_free(serial->target);
        serial->target = g_new0(VireoDomainChardevTarget, 1);
        serial->target->has_port = TRUE;
        vireo_list_append(&devices->serials, serial);
    }
    if (!devices->serials.n)
        return;
    if (!first)
        vireo_list_append(&devices->consoles,
                          chardev_new(VIREO_DOMAIN_CHARDEV_TYPE_PTY,
                                      VIREO_DOMAIN_CHARDEV_TARGET_TYPE_SERIAL));
    else if (!on_serial)
        return;
    /* Whatever it said, it is the serial port. */
    VireoDomainChardev *mirror = vireo_domain_chardev_copy(devices->serials.items[0]);
    vireo_domain_chardev_free(devices->consoles.items[0]);
    vireo_domain_chardev_target_free(mirror->target);
    mirror->target = g_new0(VireoDomainChardevTarget, 1);
    mirror->target->type = VIREO_DOMAIN_CHARDEV_TARGET_TYPE_SERIAL;
    mirror->target->has_port = TRUE;
    g_clear_pointer(&mirror->address, vireo_device_address_free);
    devices->consoles.items[0] = mirror;
}

static gboolean chardev_served(const VireoDomainChardev *dev, const char *what, GError **error)
{
    switch (dev->type) {
    case VIREO_DOMAIN_CHARDEV_TYPE_UNSET:
    case VIREO_DOMAIN_CHARDEV_TYPE_PTY:
    case VIREO_DOMAIN_CHARDEV_TYPE_NULL:
    case VIREO_DOMAIN_CHARDEV_TYPE_UNIX:
        return TRUE;
    case VIREO_DOMAIN_CHARDEV_TYPE_FILE:
        if (dev->sources.n && dev->sources.items[0]->path)
            return TRUE;
        qemu_error(error, VIREO_ERR_XML_ERROR, "%s of type 'file' has no path", what);
        return FALSE;
    case VIREO_DOMAIN_CHARDEV_TYPE_TCP:
        if (dev->sources.n && dev->sources.items[0]->service)
            return TRUE;
        qemu_error(error, VIREO_ERR_XML_ERROR, "%s of type 'tcp' has no service", what);
        return FALSE;
    default:
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "%s: type '%s' is not served (pty, file, unix, tcp, null)", what,
                   vireo_domain_chardev_type_to_string(dev->type));
        return FALSE;
    }
}

static gboolean complete_chardevs(VireoDomain *doc, GError **error)
{
    VireoDomainDevices *devices = doc->devices;

    VEC_EACH(devices->serials, i)
    {
        VireoDomainChardev *dev = devices->serials.items[i];
        VireoDomainChardevTarget *target = NEW(dev->target, VireoDomainChardevTarget);

        if (dev->type == VIREO_DOMAIN_CHARDEV_TYPE_UNSET)
            dev->type = VIREO_DOMAIN_CHARDEV_TYPE_PTY;
        if (!target->has_port)
            target->port = i;
        target->has_port = TRUE;
        if (target->type == VIREO_DOMAIN_CHARDEV_TARGET_TYPE_UNSET)
            target->type = VIREO_DOMAIN_CHARDEV_TARGET_TYPE_ISA_SERIAL;
        if (!target->model)
            target->model = g_strdup(target->type == VIREO_DOMAIN_CHARDEV_TARGET_TYPE_ISA_SERIAL
                                         ? "isa-serial"
                                         : vireo_domain_chardev_target_type_to_string(target->type));
        if (!chardev_served(dev, "serial port", error))
            return FALSE;
    }
    VEC_EACH(devices->consoles, i)
    {
        VireoDomainChardev *dev = devices->consoles.items[i];
        VireoDomainChardevTarget *target = NEW(dev->target, VireoDomainChardevTarget);

        if (dev->type == VIREO_DOMAIN_CHARDEV_TYPE_UNSET)
            dev->type = VIREO_DOMAIN_CHARDEV_TYPE_PTY;
        target->port = i;
        target->has_port = TRUE;
        if (!chardev_served(dev, "console", error))
            return FALSE;
    }
    VEC_EACH(devices->channels, i)
    {
        VireoDomainChardev *dev = devices->channels.items[i];

        if (!dev->target || dev->target->type != VIREO_DOMAIN_CHARDEV_TARGET_TYPE_VIRTIO) {
            qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                       "channel %u: only targets of type 'virtio' are served", i);
            return FALSE;
        }
        if (!chardev_served(dev, "channel", error))
            return FALSE;
    }
    return TRUE;
}

/* ---- display and the rest ------------------------------------------------------ */

static gboolean complete_graphics(QemuSpace *space, VireoDomain *doc, GError **error)
{
    VEC_EACH(doc->devices->graphics, i)
    {
        VireoDomainGraphics *graphics = doc->devices->graphics.items[i];

        if (graphics->type != VIREO_DOMAIN_GRAPHICS_TYPE_VNC || i > 0) {
            qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                       "graphics: one display of type 'vnc' is served, not '%s'",
                       vireo_domain_graphics_type_to_string(graphics->type));
            return FALSE;
        }
        /* What a running guest got is not what its definition asks for. */
        if (!graphics->has_port || graphics->port == -1 ||
            graphics->autoport == VIREO_TRISTATE_YES) {
            graphics->autoport = VIREO_TRISTATE_YES;
            graphics->has_port = TRUE;
            graphics->port = -1;
        }
        if (!graphics->listens.n) {
            VireoDomainGraphicsListen *listen = g_new0(VireoDomainGraphicsListen, 1);

            listen->type = VIREO_DOMAIN_GRAPHICS_LISTEN_TYPE_ADDRESS;
            listen->address = g_strdup(graphics->listen_address);
            vireo_list_append(&graphics->listens, listen);
        }
        VireoDomainGraphicsListen *listen = graphics->listens.items[0];
        if (listen->type == VIREO_DOMAIN_GRAPHICS_LISTEN_TYPE_ADDRESS && !listen->address)
            listen->address = g_strdup(space->driver->config.vnc_listen);
        if (listen->type == VIREO_DOMAIN_GRAPHICS_LISTEN_TYPE_ADDRESS)
            set_text(&graphics->listen_address, listen->address);
    }
    return TRUE;
}

static void complete_video(VireoDomain *doc)
{
    VireoDomainDevices *devices = doc->devices;

    if (devices->graphics.n && !devices->videos.n) {
        VireoDomainVideo *video = g_new0(VireoDomainVideo, 1);

        vireo_list_append(&devices->videos, video);
    }
    VEC_EACH(devices->videos, i)
    {
        VireoDomainVideo *video = devices->videos.items[i];
        VireoDomainVideoModelOptions *model = NEW(video->model, VireoDomainVideoModelOptions);

        if (model->type == VIREO_DOMAIN_VIDEO_MODEL_UNSET ||
            model->type == VIREO_DOMAIN_VIDEO_MODEL_DEFAULT)
            model->type = VIREO_DOMAIN_VIDEO_MODEL_VGA;
        if (model->type == VIREO_DOMAIN_VIDEO_MODEL_NONE)
            continue;
        if (!model->has_vram && (model->type == VIREO_DOMAIN_VIDEO_MODEL_VGA ||
                                 model->type == VIREO_DOMAIN_VIDEO_MODEL_CIRRUS)) {
            model->vram = 16384;
            model->has_vram = TRUE;
        }
        if (!model->has_heads)
            model->heads = 1;
        model->has_heads = TRUE;
        if (i == 0 && model->primary == VIREO_TRISTATE_UNSET)
            model->primary = VIREO_TRISTATE_YES;
    }
}

static void add_input(VireoDomain *doc, VireoDomainInputType type)
{
    VEC_EACH(doc->devices->inputs, i)
    {
        VireoDomainInput *input = doc->devices->inputs.items[i];

        if (input->type == type && input->bus == VIREO_DOMAIN_INPUT_BUS_PS2)
            return;
    }
    VireoDomainInput *input = g_new0(VireoDomainInput, 1);
    input->type = type;
    input->bus = VIREO_DOMAIN_INPUT_BUS_PS2;
    vireo_list_append(&doc->devices->inputs, input);
}

static void complete_inputs(VireoDomain *doc)
{
    VEC_EACH(doc->devices->inputs, i)
    {
        VireoDomainInput *input = doc->devices->inputs.items[i];

        if (input->bus == VIREO_DOMAIN_INPUT_BUS_UNSET)
            input->bus = input->type == VIREO_DOMAIN_INPUT_TYPE_TABLET ? VIREO_DOMAIN_INPUT_BUS_USB
                                                                      : VIREO_DOMAIN_INPUT_BUS_PS2;
    }
    if (!doc->devices->graphics.n)
        return;
    add_input(doc, VIREO_DOMAIN_INPUT_TYPE_MOUSE);
    add_input(doc, VIREO_DOMAIN_INPUT_TYPE_KEYBOARD);
}

gboolean qemu_def_complete(QemuSpace *space, VireoDomain *doc, GError **error)
{
    if (doc->type != VIREO_DOMAIN_VIRT_QEMU && doc->type != VIREO_DOMAIN_VIRT_KVM) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "domain type '%s' is not run by this driver (qemu, kvm)",
                   vireo_domain_virt_to_string(doc->type));
        return FALSE;
    }
    if (!complete_identity(doc, error) || !complete_size(doc, error) ||
        !complete_machine(space, doc, error))
        return FALSE;
    if (!qemu_firmware_complete(space, doc, error))
        return FALSE;
    complete_cpu(doc);
    if (!doc->clock)
        doc->clock = g_new0(VireoDomainClock, 1);
    if (doc->clock->offset == VIREO_DOMAIN_CLOCK_OFFSET_UNSET)
        doc->clock->offset = VIREO_DOMAIN_CLOCK_OFFSET_UTC;
    if (!doc->os->kernel && !doc->os->boots.n &&
        (!doc->os->loader || doc->os->loader->type == VIREO_DOMAIN_LOADER_TYPE_PFLASH)) {
        gboolean own_order = FALSE;

        VEC_EACH(doc->devices->disks, i) own_order |= doc->devices->disks.items[i]->boot != NULL;
        VEC_EACH(doc->devices->interfaces, i)
        own_order |= doc->devices->interfaces.items[i]->boot != NULL;
        if (!own_order)
            vireo_list_append(&doc->os->boots, VIREO_DOMAIN_BOOT_DEVICE_HD);
    }
    if (!complete_disks(doc, error))
        return FALSE;
    VEC_EACH(doc->devices->interfaces, i)
    {
        if (!complete_interface(doc, doc->devices->interfaces.items[i], error))
            return FALSE;
    }
    complete_consoles(doc);
    if (!complete_chardevs(doc, error) || !complete_graphics(space, doc, error))
        return FALSE;
    if (!qemu_tpm_complete(doc, error))
        return FALSE;
    complete_video(doc);
    complete_inputs(doc);
    if (!doc->devices->memballoon) {
        doc->devices->memballoon = g_new0(VireoDomainMemballoon, 1);
        doc->devices->memballoon->model = VIREO_DOMAIN_BALLOON_MODEL_VIRTIO;
    }
    return qemu_address_assign(doc, error);
}
