/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "drive.h"

#include "kit/disk.h"

typedef struct {
    VireoDomainDiskBus kind;
    const char *prefix; /* of targets */
    guint buses, units;
    guint letters; /* per bus */
} Kind;

static const Kind kinds[] = {
    { VIREO_DOMAIN_DISK_BUS_SCSI, "sd", 4, 16, 15 },
    { VIREO_DOMAIN_DISK_BUS_SATA, "sd", 4, 30, 30 },
    { VIREO_DOMAIN_DISK_BUS_IDE, "hd", 2, 2, 2 },
    { VIREO_DOMAIN_DISK_BUS_FDC, "fd", 1, 2, 2 },
};

static const Kind *kind_of(VireoDomainDiskBus bus)
{
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (kinds[i].kind == bus)
            return &kinds[i];
    return bus == VIREO_DOMAIN_DISK_BUS_UNSET ? kinds : NULL;
}

guint esx_drive_buses(VireoDomainDiskBus bus)
{
    const Kind *kind = kind_of(bus);

    return kind ? kind->buses : 0;
}

guint esx_drive_units(VireoDomainDiskBus bus)
{
    const Kind *kind = kind_of(bus);

    return kind ? kind->units : 0;
}

static gboolean refuse(GError **error, const VireoDomainDisk *disk, const char *text)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERROR_CONFIG_UNSUPPORTED, "(domain_definition):%u: disk '%s': %s", disk->line,
                disk->target->dev, text);
    return FALSE;
}

static gboolean from_letters(const VireoDomainDisk *disk, const Kind *kind, guint *bus, guint *unit, GError **error)
{
    int number = vireo_disk_number(disk->target->dev, kind->prefix);
    g_autofree char *text = NULL;

    if (number < 0) {
        text = g_strdup_printf("on this bus they are %sa, %sb and so on", kind->prefix, kind->prefix);
        return refuse(error, disk, text);
    }
    *bus = (guint)number / kind->letters;
    *unit = (guint)number % kind->letters;
    if (kind->kind == VIREO_DOMAIN_DISK_BUS_SCSI && *unit >= ESX_SCSI_SELF)
        ++*unit;
    return TRUE;
}

gboolean esx_drive_find(const VireoDomainDisk *disk, guint *bus, guint *unit, GError **error)
{
    const Kind *kind = kind_of(disk->target->bus);
    g_autofree char *text = NULL;

    if (!kind)
        return refuse(error, disk, "the buses are scsi, sata and ide, and fdc for floppies");
    if (disk->address && disk->address->type != VIREO_ADDRESS_TYPE_DRIVE)
        return refuse(error, disk, "it needs an address of type drive");
    if (disk->address) {
        *bus = kind->kind == VIREO_DOMAIN_DISK_BUS_IDE ? (guint)disk->address->bus : disk->address->controller;
        *unit = disk->address->unit;
    } else if (!from_letters(disk, kind, bus, unit, error))
        return FALSE;
    if (*bus < kind->buses && *unit < kind->units && (kind->letters != 15 || *unit != ESX_SCSI_SELF))
        return TRUE;
    text = g_strdup_printf("there is no place %u:%u on this bus, which has %u times %u", *bus, *unit, kind->buses,
                           kind->letters);
    return refuse(error, disk, text);
}

void esx_drive_put(VireoDomainDisk *disk, VireoDomainDiskBus bus_kind, guint bus, guint unit)
{
    const Kind *kind = kind_of(bus_kind);
    gboolean behind = kind->kind == VIREO_DOMAIN_DISK_BUS_SCSI && unit > ESX_SCSI_SELF;
    gboolean ide = kind->kind == VIREO_DOMAIN_DISK_BUS_IDE;

    if (!disk->target)
        disk->target = g_new0(VireoDomainDiskTarget, 1);
    disk->target->bus = kind->kind;
    disk->target->dev = vireo_disk_name(kind->prefix, bus * kind->letters + unit - behind);
    disk->address = vireo_disk_address(ide ? 0 : bus, ide ? bus : 0, unit);
}

const VireoDomainController *esx_controller_find(const VireoDomainDevices *devices, VireoDomainControllerType type,
                                                 guint index)
{
    for (guint i = 0; i < devices->controllers.n; i++) {
        const VireoDomainController *one = devices->controllers.items[i];

        if (one->type == type && (one->has_index ? one->index : 0) == index)
            return one;
    }
    return NULL;
}

void esx_controller_add(VireoDomainDevices *devices, VireoDomainControllerType type, guint index, const char *model)
{
    VireoDomainController *controller = g_new0(VireoDomainController, 1);

    controller->type = type;
    controller->has_index = TRUE;
    controller->index = index;
    controller->model = g_strdup(model);
    vireo_list_append(&devices->controllers, controller);
}
