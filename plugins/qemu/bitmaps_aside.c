/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A tool that is killed while it writes to an image leaves the image's bitmaps unusable, and copying data
 * up is no change to be noted down. So they wait in a file of their own meanwhile. */
#include "bitmaps.h"

#include "engine.h"
#include "images.h"

#define IMAGE_TOOL "/usr/bin/qemu-img"

static gboolean make_aside(QemuDomain *dom, vireo_call *call, const char *image, const char *aside,
                           GError **error)
{
    g_autoptr(QemuImageInfo) info = qemu_image_inspect(image, FALSE, error);

    if (!info || !qemu_engine_make_file(dom, aside, image, error))
        return FALSE;
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, info->virtual_size);
    const char *argv[] = { IMAGE_TOOL, "create", "-q", "-f", "qcow2", aside, size, NULL };
    return qemu_engine_image_tool(dom, FALSE, call, aside, argv, error);
}

gboolean qemu_bitmaps_set_aside(QemuDomain *dom, vireo_call *call, const char *image, const char *aside,
                                GError **error)
{
    g_autoptr(GPtrArray) bitmaps = qemu_bitmaps_read(image, error);
    g_autoptr(GPtrArray) copies = qemu_bitmap_edits(), removals = qemu_bitmap_edits();

    if (!bitmaps || !bitmaps->len)
        return bitmaps != NULL;
    for (guint i = 0; i < bitmaps->len; i++) {
        const QemuBitmap *bitmap = bitmaps->pdata[i];

        if (bitmap->broken)
            continue;
        qemu_bitmap_edit(copies, bitmap->recording ? QEMU_BITMAP_ADD : QEMU_BITMAP_ADD_OFF, bitmap->name,
                         NULL, NULL);
        qemu_bitmap_edit(copies, QEMU_BITMAP_MERGE, bitmap->name, image, bitmap->name);
        qemu_bitmap_edit(removals, QEMU_BITMAP_REMOVE, bitmap->name, NULL, NULL);
    }
    return make_aside(dom, call, image, aside, error) &&
           qemu_bitmaps_change(dom, call, NULL, aside, copies, error) &&
           qemu_bitmaps_change(dom, call, NULL, image, removals, error);
}

gboolean qemu_bitmaps_put_back(QemuDomain *dom, const char *image, const char *aside, GError **error)
{
    if (!aside || !g_file_test(aside, G_FILE_TEST_EXISTS))
        return TRUE;
    g_autoptr(GPtrArray) bitmaps = qemu_bitmaps_read(aside, error);
    g_autoptr(GPtrArray) there = qemu_bitmaps_read(image, error);
    g_autoptr(GPtrArray) edits = qemu_bitmap_edits();
    if (!bitmaps || !there)
        return FALSE;
    for (guint i = 0; i < bitmaps->len; i++) {
        const QemuBitmap *bitmap = bitmaps->pdata[i], *mine = qemu_bitmaps_find(there, bitmap->name);

        if (mine && mine->broken)
            qemu_bitmap_edit(edits, QEMU_BITMAP_REMOVE, bitmap->name, NULL, NULL);
        if (!mine || mine->broken)
            qemu_bitmap_edit(edits, bitmap->recording ? QEMU_BITMAP_ADD : QEMU_BITMAP_ADD_OFF,
                             bitmap->name, NULL, NULL);
        qemu_bitmap_edit(edits, QEMU_BITMAP_MERGE, bitmap->name, aside, bitmap->name);
    }
    return qemu_bitmaps_change(dom, NULL, NULL, image, edits, error) &&
           qemu_engine_unlink(dom, aside, error);
}
