/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine.h"

VireoDomain *qemu_doc_inactive(const VireoDomain *doc)
{
    g_autofree char *xml = vireo_domain_format(
        doc, VIREO_MODEL_FORMAT_INACTIVE | VIREO_MODEL_FORMAT_SECURE);

    VireoDomain *copy = vireo_domain_parse(xml, VIREO_MODEL_PARSE_INACTIVE, NULL);

    VEC_EACH(copy->devices->graphics, i)
        if (copy->devices->graphics.items[i]->autoport == VIREO_TRISTATE_YES)
            copy->devices->graphics.items[i]->port = -1;
    return copy;
}

static void drop_chardev_details(VireoDomainChardev *dev)
{
    g_clear_pointer(&dev->log, vireo_domain_chardev_log_free);
    g_clear_pointer(&dev->tty, g_free);
    while (dev->sources.n)
        vireo_domain_chardev_source_free(dev->sources.items[--dev->sources.n]);
}

static char *machine_text(const VireoDomain *source)
{
    g_autoptr(VireoDomain) doc = vireo_domain_copy(source);
    VireoDomainDevices *devices = doc->devices;

    g_clear_pointer(&doc->title, g_free);
    g_clear_pointer(&doc->description, g_free);
    g_clear_pointer(&doc->metadata, g_free);
    g_clear_pointer(&doc->name, g_free);
    doc->name = g_strdup("x");
    doc->has_id = FALSE;
    doc->current_memory = doc->memory ? doc->memory->text : 0;
    doc->on_poweroff = doc->on_reboot = doc->on_crash = VIREO_DOMAIN_LIFECYCLE_DESTROY;
    while (devices->graphics.n)
        vireo_domain_graphics_free(devices->graphics.items[--devices->graphics.n]);
    VEC_EACH(devices->serials, i) drop_chardev_details(devices->serials.items[i]);
    VEC_EACH(devices->consoles, i) drop_chardev_details(devices->consoles.items[i]);
    VEC_EACH(devices->channels, i) drop_chardev_details(devices->channels.items[i]);
    VEC_EACH(devices->disks, i)
    {
        VireoDomainDisk *disk = devices->disks.items[i];

        disk->snapshot = VIREO_DOMAIN_DISK_SNAPSHOT_UNSET;
        g_clear_pointer(&disk->backing_store, vireo_domain_backing_store_free);
    }
    return vireo_domain_format(doc, VIREO_MODEL_FORMAT_INACTIVE);
}

gboolean qemu_same_machine(const VireoDomain *a, const VireoDomain *b)
{
    g_autofree char *x = machine_text(a), *y = machine_text(b);

    return g_str_equal(x, y);
}
