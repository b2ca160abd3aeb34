/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names by which QEMU knows the devices of a running guest. */
#include "driver.h"

static void set(char **alias, char *made)
{
    /* A name of the user's own stays. */
    if (*alias && g_str_has_prefix(*alias, "ua-")) {
        g_free(made);
        return;
    }
    g_free(*alias);
    *alias = made;
}

static guint disk_number(const char *dev)
{
    guint number = 0;

    for (const char *c = dev + 2; *c; c++)
        number = number * 26 + (guint)(*c - 'a') + 1;
    return number - 1;
}

static void alias_disk(VireoDomainDisk *disk)
{
    const VireoDeviceAddress *at = disk->address;
    const char *bus = vireo_domain_disk_bus_to_string(disk->target->bus);

    if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_VIRTIO)
        set(&disk->alias, g_strdup_printf("virtio-disk%u", disk_number(disk->target->dev)));
    else if (disk->target->bus == VIREO_DOMAIN_DISK_BUS_SCSI)
        set(&disk->alias, g_strdup_printf("scsi%u-%u-%u-%u", at->controller, (guint)at->bus,
                                          at->target, at->unit));
    else
        set(&disk->alias,
            g_strdup_printf("%s%u-%u-%u", bus, at->controller, (guint)at->bus, at->unit));
}

static void alias_controller(const VireoDomain *doc, VireoDomainController *controller)
{
    guint index = controller->index;

    switch (controller->type) {
    case VIREO_DOMAIN_CONTROLLER_TYPE_PCI:
        set(&controller->alias, index ? g_strdup_printf("pci.%u", index)
                                      : g_strdup(qemu_doc_is_q35(doc) ? "pcie.0" : "pci.0"));
        break;
    case VIREO_DOMAIN_CONTROLLER_TYPE_SATA:
        /* The first one of q35 is part of the machine, which calls it so. */
        set(&controller->alias, index || !qemu_doc_is_q35(doc) ? g_strdup_printf("sata%u", index) : g_strdup("ide"));
        break;
    case VIREO_DOMAIN_CONTROLLER_TYPE_IDE:
        set(&controller->alias, g_strdup("ide"));
        break;
    case VIREO_DOMAIN_CONTROLLER_TYPE_USB:
        set(&controller->alias, index ? g_strdup_printf("usb%u", index) : g_strdup("usb"));
        break;
    default:
        set(&controller->alias,
            g_strdup_printf("%s%u", vireo_domain_controller_type_to_string(controller->type),
                            index));
    }
}

void qemu_alias_assign(VireoDomain *doc)
{
    VireoDomainDevices *devices = doc->devices;

    VEC_EACH(devices->disks, i) alias_disk(devices->disks.items[i]);
    VEC_EACH(devices->controllers, i) alias_controller(doc, devices->controllers.items[i]);
    VEC_EACH(devices->interfaces, i)
    set(&devices->interfaces.items[i]->alias, g_strdup_printf("net%u", i));
    VEC_EACH(devices->serials, i)
    set(&devices->serials.items[i]->alias, g_strdup_printf("serial%u", i));
    VEC_EACH(devices->consoles, i)
    {
        VireoDomainChardev *console = devices->consoles.items[i];
        gboolean mirror = console->target->type == VIREO_DOMAIN_CHARDEV_TARGET_TYPE_SERIAL;

        set(&console->alias, g_strdup_printf(mirror ? "serial%u" : "console%u", i));
    }
    VEC_EACH(devices->channels, i)
    set(&devices->channels.items[i]->alias, g_strdup_printf("channel%u", i));
    VEC_EACH(devices->inputs, i)
    set(&devices->inputs.items[i]->alias, g_strdup_printf("input%u", i));
    VEC_EACH(devices->videos, i)
    set(&devices->videos.items[i]->alias, g_strdup_printf("video%u", i));
    VEC_EACH(devices->watchdogs, i)
    set(&devices->watchdogs.items[i]->alias, g_strdup_printf("watchdog%u", i));
    VEC_EACH(devices->tpms, i) set(&devices->tpms.items[i]->alias, g_strdup_printf("tpm%u", i));
    VEC_EACH(devices->rngs, i) set(&devices->rngs.items[i]->alias, g_strdup_printf("rng%u", i));
    if (devices->memballoon && devices->memballoon->model != VIREO_DOMAIN_BALLOON_MODEL_NONE)
        set(&devices->memballoon->alias, g_strdup("balloon0"));
}
