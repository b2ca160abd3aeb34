/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launch.h"
#include "tpm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void qemu_device_place(JsonObject *device, const VireoDomain *doc, const VireoDeviceAddress *at)
{
    g_autofree char *bus = NULL, *slot = NULL;

    if (!at || at->type != VIREO_ADDRESS_TYPE_PCI)
        return;
    bus = at->bus ? g_strdup_printf("pci.%u", (guint)at->bus)
                  : g_strdup(qemu_doc_is_q35(doc) ? "pcie.0" : "pci.0");
    slot = at->function ? g_strdup_printf("0x%x.0x%x", (guint)at->slot, (guint)at->function)
                        : g_strdup_printf("0x%x", (guint)at->slot);
    json_object_set_string_member(device, "bus", bus);
    json_object_set_string_member(device, "addr", slot);
    if (at->multifunction == VIREO_TRISTATE_YES)
        json_object_set_boolean_member(device, "multifunction", TRUE);
}

/* ---- controllers --------------------------------------------------------------- */

static gboolean usb_controller(QemuLaunch *launch, const VireoDomainController *controller,
                               GError **error)
{
    static const struct {
        const char *model, *driver;
    } known[] = { { "piix3-uhci", "piix3-usb-uhci" }, { "piix4-uhci", "piix4-usb-uhci" },
                  { "ehci", "usb-ehci" },             { "nec-xhci", "nec-usb-xhci" },
                  { "qemu-xhci", "qemu-xhci" },       { "ich9-ehci1", "ich9-usb-ehci1" },
                  { "ich9-uhci1", "ich9-usb-uhci1" }, { "ich9-uhci2", "ich9-usb-uhci2" },
                  { "ich9-uhci3", "ich9-usb-uhci3" } };
    const char *model = controller->model ? controller->model : "piix3-uhci";

    if (g_str_equal(model, "none"))
        return TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(known); i++) {
        if (!g_str_equal(known[i].model, model))
            continue;
        JsonObject *device =
            vireo_json_new('s', "driver", known[i].driver, 's', "id", controller->alias, 0);
        if (controller->has_ports && strstr(model, "xhci")) {
            json_object_set_int_member(device, "p2", controller->ports);
            json_object_set_int_member(device, "p3", controller->ports);
        }
        if (controller->has_master) {
            json_object_set_string_member(device, "masterbus", "usb.0");
            json_object_set_int_member(device, "firstport", controller->master);
        }
        qemu_device_place(device, launch->doc, controller->address);
        qemu_launch_json(launch, "-device", device);
        return TRUE;
    }
    qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "USB controller model '%s' is not served",
               model);
    return FALSE;
}

JsonObject *qemu_scsi_controller_device(const VireoDomain *doc, const VireoDomainController *controller,
                                        GError **error)
{
    const char *model = controller->model ? controller->model : "virtio-scsi";
    const char *driver = NULL;

    if (g_str_has_prefix(model, "virtio"))
        driver = "virtio-scsi-pci";
    else if (g_str_equal(model, "lsilogic"))
        driver = "lsi";
    else if (g_str_equal(model, "lsisas1068"))
        driver = "mptsas1068";
    if (!driver) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "SCSI controller model '%s' is not served",
                   model);
        return NULL;
    }
    JsonObject *device = vireo_json_new('s', "driver", driver, 's', "id", controller->alias, 0);
    if (g_str_has_prefix(driver, "virtio"))
        json_object_set_int_member(device, "num_queues", qemu_virtio_queues(doc));
    qemu_device_place(device, doc, controller->address);
    return device;
}

static gboolean pci_controller(QemuLaunch *launch, const VireoDomainController *controller,
                               GError **error)
{
    JsonObject *device;

    if (controller->index == 0)
        return TRUE;
    if (!g_strcmp0(controller->model, "pcie-root-port")) {
        device = vireo_json_new('s', "driver", "pcie-root-port", 's', "id", controller->alias, 'i',
                                "port", (gint64)controller->target->port, 'i', "chassis",
                                (gint64)controller->target->chassis, 0);
    } else if (!g_strcmp0(controller->model, "pci-bridge")) {
        device = vireo_json_new('s', "driver", "pci-bridge", 's', "id", controller->alias, 'i',
                                "chassis_nr", (gint64)controller->index, 0);
    } else {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "PCI controller model '%s' is not served",
                   controller->model ? controller->model : "(none)");
        return FALSE;
    }
    qemu_device_place(device, launch->doc, controller->address);
    qemu_launch_json(launch, "-device", device);
    return TRUE;
}

static gboolean one_controller(QemuLaunch *launch, const VireoDomainController *controller,
                               GError **error)
{
    g_autofree char *sata = NULL;
    gboolean q35 = qemu_doc_is_q35(launch->doc);
    JsonObject *device;

    switch (controller->type) {
    case VIREO_DOMAIN_CONTROLLER_TYPE_PCI:
        return pci_controller(launch, controller, error);
    case VIREO_DOMAIN_CONTROLLER_TYPE_USB:
        return usb_controller(launch, controller, error);
    case VIREO_DOMAIN_CONTROLLER_TYPE_SCSI:
        device = qemu_scsi_controller_device(launch->doc, controller, error);
        if (device)
            qemu_launch_json(launch, "-device", device);
        return device != NULL;
    case VIREO_DOMAIN_CONTROLLER_TYPE_IDE:
        return TRUE; /* part of the machine */
    case VIREO_DOMAIN_CONTROLLER_TYPE_FDC:
        if (q35)
            qemu_launch_json(launch, "-device", vireo_json_new('s', "driver", "isa-fdc", 0));
        return TRUE;
    case VIREO_DOMAIN_CONTROLLER_TYPE_SATA:
        if (q35 && controller->index == 0)
            return TRUE;
        sata = g_strdup_printf("sata%u", controller->index); /* what its disks name */
        device = vireo_json_new('s', "driver", "ahci", 's', "id", sata, 0);
        break;
    case VIREO_DOMAIN_CONTROLLER_TYPE_VIRTIO_SERIAL:
        device = vireo_json_new('s', "driver", "virtio-serial-pci", 's', "id", controller->alias, 0);
        break;
    default:
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "controller type '%s' is not served",
                   vireo_domain_controller_type_to_string(controller->type));
        return FALSE;
    }
    qemu_device_place(device, launch->doc, controller->address);
    qemu_launch_json(launch, "-device", device);
    return TRUE;
}

static int by_pci_bus(gconstpointer a, gconstpointer b)
{
    const VireoDomainController *x = *(VireoDomainController *const *)a,
                                *y = *(VireoDomainController *const *)b;
    int px = x->type != VIREO_DOMAIN_CONTROLLER_TYPE_PCI,
        py = y->type != VIREO_DOMAIN_CONTROLLER_TYPE_PCI;

    if (px != py)
        return px - py;
    return px ? 0 : (int)x->index - (int)y->index;
}

gboolean qemu_command_controllers(QemuLaunch *launch, GError **error)
{
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();

    /* Buses before what sits on them. */
    VEC_EACH(launch->doc->devices->controllers, i)
    g_ptr_array_add(sorted, launch->doc->devices->controllers.items[i]);
    g_ptr_array_sort(sorted, by_pci_bus);
    for (guint i = 0; i < sorted->len; i++)
        if (!one_controller(launch, sorted->pdata[i], error))
            return FALSE;
    return TRUE;
}

/* ---- character devices --------------------------------------------------------- */

/* A file the daemon opens: QEMU's user needs no way to it. */
static int open_output(const char *path, gboolean append, GError **error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW |
                            (append ? O_APPEND : O_TRUNC), 0600);

    if (fd < 0)
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot open %s: %s", path, g_strerror(errno));
    return fd;
}

static int output_set(QemuLaunch *launch, const char *path, gboolean append, GError **error)
{
    int fd = launch->preview ? -1 : open_output(path, append, error);
    int set = (int)launch->fds->len + 1;

    if (launch->preview)
        return set;
    if (fd < 0)
        return -1;
    int child = qemu_launch_fd(launch, fd);
    vireo_argv_addf(launch->argv, "-add-fd", "fd=%d,set=%d", child, set);
    return set;
}

static void listening(GString *out)
{
    vireo_options_switch(out, "server", TRUE);
    vireo_options_switch(out, "wait", FALSE);
}

static gboolean chardev_socket(QemuLaunch *launch, const VireoDomainChardev *dev, GString *out,
                               GError **error)
{
    VireoDomainChardevSource *source = dev->sources.n ? dev->sources.items[0] : NULL;

    vireo_options_add(out, NULL, "socket");
    if (dev->type == VIREO_DOMAIN_CHARDEV_TYPE_TCP) {
        gboolean bind = source->mode == VIREO_DOMAIN_CHARDEV_MODE_BIND;

        vireo_options_add(out, "host", source->host ? source->host : "127.0.0.1");
        vireo_options_add(out, "port", source->service);
        if (bind)
            listening(out);
        if (dev->protocol == VIREO_DOMAIN_CHARDEV_PROTOCOL_TELNET)
            vireo_options_switch(out, "telnet", TRUE);
        return TRUE;
    }
    if (source && source->mode == VIREO_DOMAIN_CHARDEV_MODE_CONNECT) {
        vireo_options_add(out, "path", source->path ? source->path : "");
        return TRUE;
    }
    int fd = qemu_launch_listen(launch, source->path, error);
    vireo_options_addf(out, "fd", "%d", fd);
    listening(out);
    return fd >= 0;
}

static gboolean chardev(QemuLaunch *launch, VireoDomainChardev *dev, GError **error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    VireoDomainChardevSource *source = dev->sources.n ? dev->sources.items[0] : NULL;
    int set;

    switch (dev->type) {
    case VIREO_DOMAIN_CHARDEV_TYPE_PTY:
        vireo_options_add(out, NULL, "pty");
        break;
    case VIREO_DOMAIN_CHARDEV_TYPE_NULL:
        vireo_options_add(out, NULL, "null");
        break;
    case VIREO_DOMAIN_CHARDEV_TYPE_FILE:
        set = output_set(launch, source->path, source->append == VIREO_TRISTATE_YES, error);
        if (set < 0)
            return FALSE;
        vireo_options_add(out, NULL, "file");
        vireo_options_addf(out, "path", "/dev/fdset/%d", set);
        vireo_options_switch(out, "append", TRUE);
        break;
    default:
        if (dev->type == VIREO_DOMAIN_CHARDEV_TYPE_UNIX && !source) {
            source = g_new0(VireoDomainChardevSource, 1);
            vireo_list_append(&dev->sources, source);
        }
        if (dev->type == VIREO_DOMAIN_CHARDEV_TYPE_UNIX && !source->path) {
            source->mode = VIREO_DOMAIN_CHARDEV_MODE_BIND;
            source->path = g_strdup_printf("%s/%s-%s.sock", launch->dom->space->run_dir,
                                           launch->dom->uuid_text, dev->alias);
        }
        if (!chardev_socket(launch, dev, out, error))
            return FALSE;
    }
    vireo_options_addf(out, "id", "char%s", dev->alias);
    if (dev->log) {
        set = output_set(launch, dev->log->file, dev->log->append == VIREO_TRISTATE_YES, error);
        if (set < 0)
            return FALSE;
        vireo_options_addf(out, "logfile", "/dev/fdset/%d", set);
        vireo_options_switch(out, "logappend", TRUE);
    }
    vireo_argv_add(launch->argv, "-chardev", out->str, NULL);
    return TRUE;
}

static gboolean chardevs(QemuLaunch *launch, GError **error)
{
    VireoDomainDevices *devices = launch->doc->devices;

    VEC_EACH(devices->serials, i)
    {
        VireoDomainChardev *dev = devices->serials.items[i];
        g_autofree char *id = g_strdup_printf("char%s", dev->alias);

        if (!chardev(launch, dev, error))
            return FALSE;
        JsonObject *device = vireo_json_new('s', "driver", dev->target->model, 's', "chardev", id,
                                            's', "id", dev->alias, 0);
        if (g_str_equal(dev->target->model, "isa-serial"))
            json_object_set_int_member(device, "index", dev->target->port);
        qemu_launch_json(launch, "-device", device);
    }
    VEC_EACH(devices->consoles, i)
    {
        VireoDomainChardev *dev = devices->consoles.items[i];
        g_autofree char *id = g_strdup_printf("char%s", dev->alias);

        if (dev->target->type == VIREO_DOMAIN_CHARDEV_TARGET_TYPE_SERIAL)
            continue;
        if (!chardev(launch, dev, error))
            return FALSE;
        qemu_launch_json(launch, "-device",
                         vireo_json_new('s', "driver", "virtconsole", 's', "chardev", id, 's', "id",
                                        dev->alias, 's', "bus", "virtio-serial0.0", 0));
    }
    VEC_EACH(devices->channels, i)
    {
        VireoDomainChardev *dev = devices->channels.items[i];
        g_autofree char *id = g_strdup_printf("char%s", dev->alias);

        if (!chardev(launch, dev, error))
            return FALSE;
        JsonObject *device = vireo_json_new('s', "driver", "virtserialport", 's', "chardev", id,
                                            's', "id", dev->alias, 's', "name", dev->target->name,
                                            's', "bus", "virtio-serial0.0", 0);
        if (dev->address && dev->address->port)
            json_object_set_int_member(device, "nr",
                                       g_ascii_strtoll(dev->address->port, NULL, 10));
        qemu_launch_json(launch, "-device", device);
    }
    return TRUE;
}

/* ---- network ------------------------------------------------------------------- */

JsonObject *qemu_interface_netdev(const VireoDomainInterface *iface, int fd)
{
    g_autofree char *id = g_strdup_printf("host%s", iface->alias);

    if (iface->type == VIREO_DOMAIN_INTERFACE_TYPE_USER)
        return vireo_json_new('s', "type", "user", 's', "id", id, 0);
    g_autofree char *number = g_strdup_printf("%d", fd);
    return vireo_json_new('s', "type", "tap", 's', "id", id, 's', "fd", number, 0);
}

JsonObject *qemu_interface_device(const VireoDomain *doc, const VireoDomainInterface *iface,
                                  int boot_index)
{
    g_autofree char *netdev = g_strdup_printf("host%s", iface->alias);
    const char *driver =
        g_str_has_prefix(iface->model, "virtio") ? "virtio-net-pci" : iface->model;
    JsonObject *device = vireo_json_new('s', "driver", driver, 's', "netdev", netdev, 's', "id",
                                        iface->alias, 's', "mac", iface->mac->address, 0);

    qemu_device_place(device, doc, iface->address);
    if (boot_index)
        json_object_set_int_member(device, "bootindex", boot_index);
    return device;
}

static gboolean interfaces(QemuLaunch *launch, GError **error)
{
    VEC_EACH(launch->doc->devices->interfaces, i)
    {
        VireoDomainInterface *iface = launch->doc->devices->interfaces.items[i];
        int child = -1;

        if (iface->type != VIREO_DOMAIN_INTERFACE_TYPE_USER && !launch->preview) {
            if (!iface->target)
                iface->target = g_new0(VireoDomainInterfaceTarget, 1);
            int fd = qemu_tap_open(&iface->target->dev,
                                   iface->source ? iface->source->bridge : NULL,
                                   iface->mac->address, error);
            if (fd < 0)
                return FALSE;
            child = qemu_launch_fd(launch, fd);
        }
        qemu_launch_json(launch, "-netdev", qemu_interface_netdev(iface, child));
        qemu_launch_json(launch, "-device",
                         qemu_interface_device(launch->doc, iface,
                                               qemu_boot_index(launch->doc, 'n', i)));
    }
    return TRUE;
}

/* ---- display, input, the rest --------------------------------------------------- */

static gboolean video(QemuLaunch *launch, GError **error)
{
    VEC_EACH(launch->doc->devices->videos, i)
    {
        const VireoDomainVideo *card = launch->doc->devices->videos.items[i];
        const char *driver = NULL;

        switch (card->model->type) {
        case VIREO_DOMAIN_VIDEO_MODEL_NONE:
            continue;
        case VIREO_DOMAIN_VIDEO_MODEL_VGA:
            driver = i ? "secondary-vga" : "VGA";
            break;
        case VIREO_DOMAIN_VIDEO_MODEL_CIRRUS:
            driver = "cirrus-vga";
            break;
        case VIREO_DOMAIN_VIDEO_MODEL_VIRTIO:
            driver = i ? "virtio-gpu-pci" : "virtio-vga";
            break;
        case VIREO_DOMAIN_VIDEO_MODEL_QXL:
            driver = i ? "qxl" : "qxl-vga";
            break;
        case VIREO_DOMAIN_VIDEO_MODEL_BOCHS:
            driver = "bochs-display";
            break;
        case VIREO_DOMAIN_VIDEO_MODEL_RAMFB:
            driver = "ramfb";
            break;
        default:
            qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "video model '%s' is not served",
                       vireo_domain_video_model_to_string(card->model->type));
            return FALSE;
        }
        JsonObject *device = vireo_json_new('s', "driver", driver, 's', "id", card->alias, 0);
        if (card->model->type == VIREO_DOMAIN_VIDEO_MODEL_VGA && card->model->has_vram)
            json_object_set_int_member(device, "vgamem_mb", MAX(1, card->model->vram / 1024));
        if (card->model->type != VIREO_DOMAIN_VIDEO_MODEL_RAMFB)
            qemu_device_place(device, launch->doc, card->address);
        qemu_launch_json(launch, "-device", device);
    }
    return TRUE;
}

static gboolean inputs(QemuLaunch *launch, GError **error)
{
    VEC_EACH(launch->doc->devices->inputs, i)
    {
        const VireoDomainInput *input = launch->doc->devices->inputs.items[i];
        const char *kind = input->type == VIREO_DOMAIN_INPUT_TYPE_KEYBOARD ? "kbd"
                           : input->type == VIREO_DOMAIN_INPUT_TYPE_TABLET ? "tablet"
                                                                           : "mouse";
        g_autofree char *driver = NULL;

        if (input->bus == VIREO_DOMAIN_INPUT_BUS_PS2)
            continue; /* part of the machine */
        if (input->bus == VIREO_DOMAIN_INPUT_BUS_USB)
            driver = g_strconcat("usb-", kind, NULL);
        else if (input->bus == VIREO_DOMAIN_INPUT_BUS_VIRTIO)
            driver = g_strdup_printf("virtio-%s-pci", input->type == VIREO_DOMAIN_INPUT_TYPE_KEYBOARD
                                                          ? "keyboard"
                                                          : kind);
        if (!driver || input->type > VIREO_DOMAIN_INPUT_TYPE_KEYBOARD) {
            qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "input '%s' on bus '%s' is not served",
                       vireo_domain_input_type_to_string(input->type),
                       vireo_domain_input_bus_to_string(input->bus));
            return FALSE;
        }
        JsonObject *device = vireo_json_new('s', "driver", driver, 's', "id", input->alias, 0);
        if (input->bus == VIREO_DOMAIN_INPUT_BUS_USB && input->address && input->address->port) {
            json_object_set_string_member(device, "bus", "usb.0");
            json_object_set_string_member(device, "port", input->address->port);
        }
        qemu_device_place(device, launch->doc, input->address);
        qemu_launch_json(launch, "-device", device);
    }
    return TRUE;
}

static gboolean rngs(QemuLaunch *launch, GError **error)
{
    VEC_EACH(launch->doc->devices->rngs, i)
    {
        const VireoDomainRng *rng = launch->doc->devices->rngs.items[i];
        g_autofree char *backend = g_strdup_printf("obj%s", rng->alias);

        if (rng->backend->model == VIREO_DOMAIN_RNG_BACKEND_RANDOM)
            qemu_launch_json(launch, "-object",
                             vireo_json_new('s', "qom-type", "rng-random", 's', "id", backend, 's',
                                            "filename",
                                            rng->backend->text ? rng->backend->text
                                                               : "/dev/urandom", 0));
        else if (rng->backend->model == VIREO_DOMAIN_RNG_BACKEND_BUILTIN)
            qemu_launch_json(launch, "-object",
                             vireo_json_new('s', "qom-type", "rng-builtin", 's', "id", backend, 0));
        else {
            qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "rng backend '%s' is not served",
                       vireo_domain_rng_backend_to_string(rng->backend->model));
            return FALSE;
        }
        JsonObject *device = vireo_json_new('s', "driver", "virtio-rng-pci", 's', "rng", backend,
                                            's', "id", rng->alias, 0);
        qemu_device_place(device, launch->doc, rng->address);
        qemu_launch_json(launch, "-device", device);
    }
    return TRUE;
}

static gboolean watchdogs(QemuLaunch *launch, GError **error)
{
    VEC_EACH(launch->doc->devices->watchdogs, i)
    {
        const VireoDomainWatchdog *dog = launch->doc->devices->watchdogs.items[i];
        const char *model = vireo_domain_watchdog_model_to_string(dog->model);

        if (dog->model != VIREO_DOMAIN_WATCHDOG_MODEL_I6300ESB &&
            dog->model != VIREO_DOMAIN_WATCHDOG_MODEL_IB700) {
            qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "watchdog model '%s' is not served",
                       model);
            return FALSE;
        }
        JsonObject *device = vireo_json_new('s', "driver", model, 's', "id", dog->alias, 0);
        if (dog->model == VIREO_DOMAIN_WATCHDOG_MODEL_I6300ESB)
            qemu_device_place(device, launch->doc, dog->address);
        qemu_launch_json(launch, "-device", device);
        vireo_argv_addf(launch->argv, "-action", "watchdog=%s",
                        dog->action == VIREO_DOMAIN_WATCHDOG_ACTION_DUMP
                            ? "pause"
                            : vireo_domain_watchdog_action_to_string(dog->action));
    }
    return TRUE;
}

gboolean qemu_command_devices(QemuLaunch *launch, GError **error)
{
    const VireoDomainMemballoon *balloon = launch->doc->devices->memballoon;

    if (!chardevs(launch, error) || !interfaces(launch, error) || !video(launch, error) ||
        !inputs(launch, error) || !rngs(launch, error) || !watchdogs(launch, error) || !qemu_command_tpm(launch, error))
        return FALSE;
    if (balloon && balloon->model != VIREO_DOMAIN_BALLOON_MODEL_NONE) {
        JsonObject *device =
            vireo_json_new('s', "driver", "virtio-balloon-pci", 's', "id", balloon->alias, 0);

        qemu_device_place(device, launch->doc, balloon->address);
        qemu_launch_json(launch, "-device", device);
    }
    VEC_EACH(launch->doc->devices->panics, i)
    qemu_launch_json(launch, "-device", vireo_json_new('s', "driver", "pvpanic", 0));
    return TRUE;
}
