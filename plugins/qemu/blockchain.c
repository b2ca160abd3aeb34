/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images of a disk as people name them. */
#include "blockjob.h"

#include <string.h>

#include "engine.h"
#include "images.h"
#include "remote.h"
#include "stats.h"

#define MIB (1024 * 1024)

void qemu_chains_look(QemuDomain *dom, const VireoDomain *doc)
{
    qemu_remote_ask_first(dom);
    VEC_EACH(doc->devices->disks, i)
    {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];
        GPtrArray *chain = qemu_image_chain_seen(dom->space->driver, disk);

        for (guint n = 0; chain && n < chain->len; n++)
            ((QemuImage *)chain->pdata[n])->is_block = qemu_is_block(((QemuImage *)chain->pdata[n])->path);
        g_mutex_lock(&dom->lock);
        if (chain)
            g_hash_table_insert(dom->chains, g_strdup(disk->target->dev), chain);
        else
            g_hash_table_remove(dom->chains, disk->target->dev);
        g_mutex_unlock(&dom->lock);
    }
    qemu_remote_ask_first(NULL);
}

/* Counted from below: an overlay that joins changes no number. */
guint qemu_chain_index(GPtrArray *chain, guint place)
{
    return chain->len - place;
}

static int by_number(GPtrArray *chain, const char *dev, const char *name)
{
    g_autofree char *prefix = g_strconcat(dev, "[", NULL);
    guint64 number = 0;

    if (!g_str_has_prefix(name, prefix) || !g_str_has_suffix(name, "]"))
        return -1;
    g_autofree char *digits = g_strndup(name + strlen(prefix), strlen(name) - strlen(prefix) - 1);
    if (!g_ascii_string_to_unsigned(digits, 10, 1, chain->len, &number, NULL))
        return -1;
    return (int)(chain->len - number);
}

int qemu_chain_find(GPtrArray *chain, const char *dev, const char *name, GError **error)
{
    g_autofree char *real = qemu_real_path(name);
    int place = by_number(chain, dev, name);

    for (guint i = 0; place < 0 && i < chain->len; i++) {
        const QemuImage *image = chain->pdata[i];
        g_autofree char *its = qemu_real_path(image->path);

        if (g_str_equal(image->path, name) || (real && !g_strcmp0(its, real)))
            place = (int)i;
    }
    if (place < 0)
        qemu_refuse(error, VIREO_ERR_INVALID_ARG,
                    "an image of its chain, by path or as vda[N] of dumpxml",
                    "disk '%s' has no image '%s' in its chain", dev,
                   name);
    return place;
}

char *qemu_chain_relative(GPtrArray *chain, guint from, guint to, GError **error)
{
    g_autofree char *name = g_strdup("");

    for (guint i = from; i < to; i++) {
        const char *path = ((QemuImage *)chain->pdata[i])->path;
        g_autoptr(QemuImageInfo) info = qemu_image_inspect(path, FALSE, error);

        if (!info)
            return NULL;
        if (!info->backing || g_path_is_absolute(info->backing)) {
            qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                        "leave out RELATIVE",
                        "image %s does not name the one below by a relative path",
                       path);
            return NULL;
        }
        g_autofree char *dir = *name ? g_path_get_dirname(name) : g_strdup(".");
        char *next = g_str_equal(dir, ".") ? g_strdup(info->backing)
                                           : g_build_filename(dir, info->backing, NULL);
        g_free(name);
        name = next;
    }
    return g_steal_pointer(&name);
}

gboolean qemu_block_speed(guint64 bandwidth, gboolean bytes, gint64 *speed, GError **error)
{
    if (bandwidth > (guint64)G_MAXINT64 / (bytes ? 1 : MIB)) {
        qemu_refuse(error, VIREO_ERR_OVERFLOW,
                    "a smaller one, or 0 for no limit",
                    "a bandwidth of %" G_GUINT64_FORMAT " is too much",
                   bandwidth);
        return FALSE;
    }
    *speed = (gint64)(bandwidth * (bytes ? 1 : MIB));
    return TRUE;
}

const VireoDomainDisk *qemu_block_disk(QemuDomain *dom, const VireoDomain *doc, const char *name,
                                       GError **error)
{
    const VireoDomainDisk *disk = qemu_find_disk(doc, name, error);

    if (!disk || !qemu_blockjobs_none(dom, disk->target->dev, error))
        return NULL;
    if (!disk->readonly && !disk->shareable && qemu_disk_path(disk))
        return disk;
    qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                "a writable disk with an image that no other guest shares",
                "disk '%s' is %s: no block job can work on it",
               disk->target->dev, !qemu_disk_path(disk) ? "empty"
                                  : disk->readonly      ? "read-only"
                                                        : "shareable");
    return NULL;
}
