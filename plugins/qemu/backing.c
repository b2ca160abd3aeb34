/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a definition says of an image's chain. The headers of the images count; a document may repeat them, as that of a
 * running guest does, but not say something else. */
#include "engine.h"
#include "images.h"
#include "remote.h"

static char *store_path(const VireoDomainBackingStore *store, const char *dev)
{
    const VireoDomainDiskSource *source = store->source;

    if (source->file || source->dev)
        return g_strdup(source->file ? source->file : source->dev);
    return store->type == VIREO_DOMAIN_DISK_TYPE_NETWORK ? qemu_remote_location(source, dev, NULL) : NULL;
}

static gboolean is_same(const char *said, const char *found)
{
    g_autofree char *a = qemu_real_path(said), *b = qemu_real_path(found);

    return !g_strcmp0(said, found) || (a && !g_strcmp0(a, b));
}

gboolean qemu_backing_check(VireoDomainDisk *disk, GError **error)
{
    g_autoptr(GPtrArray) chain = disk->backing_store ? qemu_image_chain(disk, NULL) : NULL;
    const VireoDomainBackingStore *store = disk->backing_store;

    for (guint i = 1; chain && store; i++, store = store->backing_store) {
        const QemuImage *above = chain->pdata[MIN(i, chain->len) - 1], *image = i < chain->len ? chain->pdata[i] : NULL;
        g_autofree char *said = store->source ? store_path(store, disk->target->dev) : NULL;

        /* An empty one says that the chain ends. */
        if (store->source ? image && said && is_same(said, image->path) : !image)
            continue;
        qemu_refuse(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "leave <backingStore> out, or change the image (qemu-img rebase)",
                    "disk '%s': backingStore says '%s' where image %s is based on '%s'", disk->target->dev,
                    said ? said : "", above->path, image ? image->path : "");
        return FALSE;
    }
    g_clear_pointer(&disk->backing_store, vireo_domain_backing_store_free);
    return TRUE;
}
