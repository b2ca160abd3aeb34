/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where every device sits. Addresses are written into the definition once and stay: a guest finds
 * its devices where it left them, and a snapshot loads into the same machine. */
#include "driver.h"

#include <string.h>

#include "kit/disk.h"

#define SLOTS 32
#define BUSES 64
#define SPARE_PORTS 4 /* of a q35 machine, for devices plugged in later */

typedef struct {
    gboolean q35;
    guint8 used[BUSES][SLOTS]; /* bit per function */
    guint ports;               /* root ports so far: bus 1..ports */
    VireoDomain *doc;
} Layout;

static VireoDeviceAddress *pci_address(guint bus, guint slot, guint function)
{
    VireoDeviceAddress *address = g_new0(VireoDeviceAddress, 1);

    address->type = VIREO_ADDRESS_TYPE_PCI;
    address->has_domain = address->has_bus = address->has_slot = address->has_function = TRUE;
    address->bus = bus;
    address->slot = slot;
    address->function = function;
    return address;
}

/* Marks an address the document gave. */
static gboolean take(Layout *layout, const VireoDeviceAddress *address, const char *who,
                     GError **error)
{
    if (!address || address->type != VIREO_ADDRESS_TYPE_PCI)
        return TRUE;
    if (address->bus >= BUSES || address->slot >= SLOTS) {
        qemu_error(error, VIREO_ERR_XML_ERROR, "%s: there is no PCI address %02x:%02x", who,
                   (guint)address->bus, (guint)address->slot);
        return FALSE;
    }
    guint8 bit = (guint8)(1u << (address->function & 7));
    if (layout->used[address->bus][address->slot] & bit) {
        qemu_error(error, VIREO_ERR_XML_ERROR, "%s: PCI address %02x:%02x.%x is used twice", who,
                   (guint)address->bus, (guint)address->slot, (guint)address->function);
        return FALSE;
    }
    layout->used[address->bus][address->slot] |= bit;
    return TRUE;
}

/* ---- controllers --------------------------------------------------------------- */

static VireoDomainController *find_controller(VireoDomain *doc, VireoDomainControllerType type,
                                              guint index)
{
    VEC_EACH(doc->devices->controllers, i)
    {
        VireoDomainController *controller = doc->devices->controllers.items[i];

        if (controller->type == type && controller->index == index)
            return controller;
    }
    return NULL;
}

static VireoDomainController *need_controller(VireoDomain *doc, VireoDomainControllerType type,
                                              guint index, const char *model)
{
    VireoDomainController *controller = find_controller(doc, type, index);

    if (!controller) {
        controller = g_new0(VireoDomainController, 1);
        controller->type = type;
        controller->index = index;
        vireo_list_append(&doc->devices->controllers, controller);
    }
    controller->has_index = TRUE;
    if (!controller->model)
        controller->model = g_strdup(model);
    return controller;
}

static void number_controllers(VireoDomain *doc)
{
    guint next[16] = { 0 };

    VEC_EACH(doc->devices->controllers, i)
    {
        VireoDomainController *controller = doc->devices->controllers.items[i];

        if (controller->has_index)
            next[controller->type] = MAX(next[controller->type], controller->index + 1);
    }
    VEC_EACH(doc->devices->controllers, i)
    {
        VireoDomainController *controller = doc->devices->controllers.items[i];

        if (controller->has_index)
            continue;
        controller->index = next[controller->type]++;
        controller->has_index = TRUE;
    }
}

static void root_port(Layout *layout, guint index, guint slot, guint function)
{
    VireoDomainController *port =
        need_controller(layout->doc, VIREO_DOMAIN_CONTROLLER_TYPE_PCI, index, "pcie-root-port");

    if (!port->target)
        port->target = g_new0(VireoDomainControllerTarget, 1);
    if (!port->target->has_chassis)
        port->target->chassis = index;
    if (!port->target->has_port)
        port->target->port = (slot << 3) | function;
    port->target->has_chassis = port->target->has_port = TRUE;
    if (!port->pci_model)
        port->pci_model = g_strdup("pcie-root-port");
    if (!port->address) {
        port->address = pci_address(0, slot, function);
        if (function == 0)
            port->address->multifunction = VIREO_TRISTATE_YES;
    }
}

/* The next place for a device: on a pc a slot of bus 0, on q35 a root port of its own. */
static gboolean place(Layout *layout, VireoDeviceAddress **address, const char *who, GError **error)
{
    if (*address)
        return TRUE;
    if (!layout->q35) {
        for (guint slot = 2; slot < SLOTS; slot++)
            if (!layout->used[0][slot]) {
                layout->used[0][slot] = 1;
                *address = pci_address(0, slot, 0);
                return TRUE;
            }
    } else {
        for (guint bus = 1; bus < BUSES - SPARE_PORTS; bus++)
            if (!layout->used[bus][0]) {
                layout->used[bus][0] = 1;
                layout->ports = MAX(layout->ports, bus);
                *address = pci_address(bus, 0, 0);
                return TRUE;
            }
    }
    qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "%s: no PCI slot is left", who);
    return FALSE;
}

static void place_ports(Layout *layout)
{
    guint slot = 2, function = 0, want = layout->ports + SPARE_PORTS;

    for (guint bus = 1; bus <= want; bus++) {
        VireoDomainController *port =
            find_controller(layout->doc, VIREO_DOMAIN_CONTROLLER_TYPE_PCI, bus);

        if (port && port->address)
            continue;
        while (layout->used[0][slot] & (1u << function)) {
            function = (function + 1) % 8;
            slot += function == 0;
        }
        layout->used[0][slot] |= (guint8)(1u << function);
        root_port(layout, bus, slot, function);
    }
}

/* ---- disks --------------------------------------------------------------------- */

static gboolean drive_taken(VireoDomain *doc, const VireoDomainDisk *self, guint controller,
                            guint bus, guint unit)
{
    VEC_EACH(doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];

        if (disk != self && disk->target->bus == self->target->bus && disk->address &&
            disk->address->controller == controller && disk->address->bus == bus &&
            disk->address->unit == unit)
            return TRUE;
    }
    return FALSE;
}

/* "sdh" is the second unit of the second controller, so that a name says where its disk sits. */
static gboolean place_by_name(VireoDomain *doc, VireoDomainDisk *disk, const guint shape[3])
{
    guint index = (guint)qemu_disk_index(disk->target->dev);
    guint unit = index % shape[2];
    guint bus = index / shape[2] % shape[1];
    guint controller = index / shape[2] / shape[1];

    if (controller >= shape[0] || drive_taken(doc, disk, controller, bus, unit))
        return FALSE;
    disk->address = vireo_disk_address(controller, bus, unit);
    return TRUE;
}

static gboolean place_drive(VireoDomain *doc, VireoDomainDisk *disk, GError **error)
{
    /* controllers, buses of each, units of each bus */
    guint shape[3] = { 4, 1, 7 };

    if (disk->address)
        return TRUE;
    if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_IDE)
        shape[0] = 1, shape[1] = 2, shape[2] = 2;
    else if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_FDC)
        shape[0] = 1, shape[2] = 2;
    else if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_SATA)
        shape[2] = 6;
    if (place_by_name(doc, disk, shape))
        return TRUE;
    for (guint c = 0; c < shape[0]; c++)
        for (guint b = 0; b < shape[1]; b++)
            for (guint u = 0; u < shape[2]; u++)
                if (!drive_taken(doc, disk, c, b, u)) {
                    disk->address = vireo_disk_address(c, b, u);
                    return TRUE;
                }
    qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "disk '%s': no place is left on bus '%s'",
               disk->target->dev, vireo_domain_disk_bus_to_string(disk->target->bus));
    return FALSE;
}

static gboolean disk_controllers(Layout *layout, GError **error)
{
    VireoDomain *doc = layout->doc;

    VEC_EACH(doc->devices->disks, i)
    {
        VireoDomainDisk *disk = doc->devices->disks.items[i];

        switch (disk->target->bus) {
        case VIREO_DOMAIN_DISK_BUS_VIRTIO:
            continue;
        case VIREO_DOMAIN_DISK_BUS_IDE:
        case VIREO_DOMAIN_DISK_BUS_SATA:
        case VIREO_DOMAIN_DISK_BUS_SCSI:
        case VIREO_DOMAIN_DISK_BUS_FDC:
            break;
        default:
            qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                       "disk '%s': bus '%s' is not served (virtio, ide, sata, scsi, fdc)",
                       disk->target->dev, vireo_domain_disk_bus_to_string(disk->target->bus));
            return FALSE;
        }
        if (!place_drive(doc, disk, error))
            return FALSE;
        if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_IDE)
            need_controller(doc, VIREO_DOMAIN_CONTROLLER_TYPE_IDE, 0, NULL);
        else if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_FDC)
            need_controller(doc, VIREO_DOMAIN_CONTROLLER_TYPE_FDC, 0, NULL);
        else if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_SATA)
            need_controller(doc, VIREO_DOMAIN_CONTROLLER_TYPE_SATA, disk->address->controller,
                            NULL);
        else
            need_controller(doc, VIREO_DOMAIN_CONTROLLER_TYPE_SCSI, disk->address->controller,
                            "virtio-scsi");
    }
    return TRUE;
}

/* ---- all of it ----------------------------------------------------------------- */

static gboolean usb_needed(VireoDomain *doc)
{
    VEC_EACH(doc->devices->inputs, i)
    if (doc->devices->inputs.items[i]->bus == VIREO_DOMAIN_INPUT_BUS_USB)
        return TRUE;
    return FALSE;
}

static void implied_controllers(Layout *layout)
{
    VireoDomain *doc = layout->doc;
    gboolean channels = doc->devices->channels.n > 0;

    need_controller(doc, VIREO_DOMAIN_CONTROLLER_TYPE_PCI, 0,
                    layout->q35 ? "pcie-root" : "pci-root");
    VEC_EACH(doc->devices->consoles, i)
    channels |= doc->devices->consoles.items[i]->target->type ==
                VIREO_DOMAIN_CHARDEV_TARGET_TYPE_VIRTIO;
    if (channels)
        need_controller(doc, VIREO_DOMAIN_CONTROLLER_TYPE_VIRTIO_SERIAL, 0, NULL);
    if (usb_needed(doc) && !find_controller(doc, VIREO_DOMAIN_CONTROLLER_TYPE_USB, 0))
        need_controller(doc, VIREO_DOMAIN_CONTROLLER_TYPE_USB, 0,
                        layout->q35 ? "qemu-xhci" : "piix3-uhci");
}

/* Those that the machine type has at a fixed place. */
static void fixed_controllers(Layout *layout)
{
    VEC_EACH(layout->doc->devices->controllers, i)
    {
        VireoDomainController *controller = layout->doc->devices->controllers.items[i];

        if (controller->address || controller->index != 0)
            continue;
        if (!layout->q35 && controller->type == VIREO_DOMAIN_CONTROLLER_TYPE_IDE)
            controller->address = pci_address(0, 1, 1);
        if (layout->q35 && controller->type == VIREO_DOMAIN_CONTROLLER_TYPE_SATA)
            controller->address = pci_address(0, 0x1f, 2);
        if (!layout->q35 && controller->type == VIREO_DOMAIN_CONTROLLER_TYPE_USB &&
            !g_strcmp0(controller->model, "piix3-uhci"))
            controller->address = pci_address(0, 1, 2);
    }
}

static gboolean on_pci(const VireoDomainController *controller)
{
    switch (controller->type) {
    case VIREO_DOMAIN_CONTROLLER_TYPE_SCSI:
    case VIREO_DOMAIN_CONTROLLER_TYPE_SATA:
    case VIREO_DOMAIN_CONTROLLER_TYPE_VIRTIO_SERIAL:
        return TRUE;
    case VIREO_DOMAIN_CONTROLLER_TYPE_USB:
        return g_strcmp0(controller->model, "none") != 0;
    default:
        return FALSE;
    }
}

static gboolean on_pci_input(const VireoDomainInput *input)
{
    return input->bus == VIREO_DOMAIN_INPUT_BUS_VIRTIO;
}

typedef gboolean (*Visit)(Layout *, VireoDeviceAddress **, const char *, GError **);

static gboolean visit_take(Layout *layout, VireoDeviceAddress **address, const char *who,
                           GError **error)
{
    return take(layout, *address, who, error);
}

/* Every PCI device, in the order in which places are given out. */
static gboolean each_device(Layout *layout, Visit visit, GError **error)
{
    VireoDomainDevices *devices = layout->doc->devices;

    VEC_EACH(devices->videos, i)
    if (devices->videos.items[i]->model->type != VIREO_DOMAIN_VIDEO_MODEL_NONE &&
        !visit(layout, &devices->videos.items[i]->address, "video", error))
        return FALSE;
    VEC_EACH(devices->interfaces, i)
    if (!visit(layout, &devices->interfaces.items[i]->address, "interface", error))
        return FALSE;
    VEC_EACH(devices->controllers, i)
    if (on_pci(devices->controllers.items[i]) &&
        !visit(layout, &devices->controllers.items[i]->address, "controller", error))
        return FALSE;
    VEC_EACH(devices->disks, i)
    if (devices->disks.items[i]->target->bus == VIREO_DOMAIN_DISK_BUS_VIRTIO &&
        !visit(layout, &devices->disks.items[i]->address, devices->disks.items[i]->target->dev,
               error))
        return FALSE;
    VEC_EACH(devices->inputs, i)
    if (on_pci_input(devices->inputs.items[i]) &&
        !visit(layout, &devices->inputs.items[i]->address, "input", error))
        return FALSE;
    VEC_EACH(devices->watchdogs, i)
    if (devices->watchdogs.items[i]->model == VIREO_DOMAIN_WATCHDOG_MODEL_I6300ESB &&
        !visit(layout, &devices->watchdogs.items[i]->address, "watchdog", error))
        return FALSE;
    if (devices->memballoon && devices->memballoon->model != VIREO_DOMAIN_BALLOON_MODEL_NONE &&
        !visit(layout, &devices->memballoon->address, "memballoon", error))
        return FALSE;
    VEC_EACH(devices->rngs, i)
    if (!visit(layout, &devices->rngs.items[i]->address, "rng", error))
        return FALSE;
    return TRUE;
}

static gboolean take_root_ports(Layout *layout, GError **error)
{
    VEC_EACH(layout->doc->devices->controllers, i)
    {
        VireoDomainController *controller = layout->doc->devices->controllers.items[i];

        if (controller->type != VIREO_DOMAIN_CONTROLLER_TYPE_PCI || controller->index == 0)
            continue;
        if (!take(layout, controller->address, "PCI controller", error))
            return FALSE;
    }
    return TRUE;
}

static void chardev_addresses(VireoDomain *doc)
{
    guint port = 1;

    VEC_EACH(doc->devices->channels, i)
    {
        VireoDomainChardev *dev = doc->devices->channels.items[i];

        if (!dev->address) {
            dev->address = g_new0(VireoDeviceAddress, 1);
            dev->address->type = VIREO_ADDRESS_TYPE_VIRTIO_SERIAL;
            dev->address->has_controller = dev->address->has_bus = TRUE;
            dev->address->port = g_strdup_printf("%u", port);
        }
        port++;
    }
    VEC_EACH(doc->devices->inputs, i)
    {
        VireoDomainInput *input = doc->devices->inputs.items[i];

        if (input->bus == VIREO_DOMAIN_INPUT_BUS_USB && !input->address) {
            input->address = g_new0(VireoDeviceAddress, 1);
            input->address->type = VIREO_ADDRESS_TYPE_USB;
            input->address->has_bus = TRUE;
            input->address->port = g_strdup_printf("%u", i + 1);
        }
    }
}

/* A port for every bus in use and some more; a definition that has its spare ports gets no others. */
static void complete_ports(Layout *layout)
{
    guint highest = 0;

    for (guint bus = 1; bus < BUSES; bus++) {
        VireoDomainController *port =
            find_controller(layout->doc, VIREO_DOMAIN_CONTROLLER_TYPE_PCI, bus);

        if (port && port->address)
            highest = bus;
    }
    if (!highest || layout->ports > highest)
        place_ports(layout);
}

/* What <model name='...'/> says is what QEMU is given anyway. */
static gboolean check_names(const VireoDomain *doc, GError **error)
{
    VEC_EACH(doc->devices->controllers, i)
    {
        const VireoDomainController *controller = doc->devices->controllers.items[i];

        if (!controller->pci_model || !g_strcmp0(controller->pci_model, controller->model))
            continue;
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "controller %u: model name '%s' is not served (%s)",
                   controller->index, controller->pci_model, controller->model ? controller->model : "none");
        return FALSE;
    }
    return TRUE;
}

gboolean qemu_address_assign(VireoDomain *doc, GError **error)
{
    Layout layout = { .q35 = qemu_doc_is_q35(doc), .doc = doc };

    layout.used[0][0] = 0xff;                       /* the host bridge */
    if (layout.q35)
        layout.used[0][0x1f] = 0x01 | 0x08;         /* ISA bridge, SMBus */
    else
        layout.used[0][1] = 0x01 | 0x08;            /* ISA bridge, ACPI */
    number_controllers(doc);
    implied_controllers(&layout);
    if (!check_names(doc, error) || !disk_controllers(&layout, error))
        return FALSE;
    fixed_controllers(&layout);
    if (!take_root_ports(&layout, error) || !each_device(&layout, visit_take, error))
        return FALSE;
    /* The display is where firmware and guests look for it. */
    if (doc->devices->videos.n && !doc->devices->videos.items[0]->address &&
        doc->devices->videos.items[0]->model->type != VIREO_DOMAIN_VIDEO_MODEL_NONE) {
        guint slot = layout.q35 ? 1 : 2;

        if (!layout.used[0][slot]) {
            layout.used[0][slot] = 1;
            doc->devices->videos.items[0]->address = pci_address(0, slot, 0);
        }
    }
    if (!layout.q35)
        layout.used[0][2] |= 1; /* kept for a display that comes later */
    else
        layout.used[0][1] |= 1;
    if (!each_device(&layout, place, error))
        return FALSE;
    if (layout.q35)
        complete_ports(&layout);
    chardev_addresses(doc);
    return TRUE;
}
