/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bitmap directory of a qcow2 image. */
#include "bitmaps.h"

#include <fcntl.h>
#include <unistd.h>

#include "images.h"
#include "qcow2.h"
#include "remote.h"

#define EXT_BITMAPS       0x23852875u
#define AUTOCLEAR_BITMAPS 1u
#define EXTENSIONS_MAX    64
#define DIRECTORY_MAX     (64u * 1024 * 1024)
#define ENTRY_HEAD        24
#define FLAG_IN_USE       1u
#define FLAG_AUTO         2u

static gboolean read_entries(const guint8 *directory, guint64 size, guint32 count, GPtrArray *out)
{
    guint64 at = 0;

    for (guint32 i = 0; i < count; i++) {
        if (at + ENTRY_HEAD > size)
            return FALSE;
        const guint8 *entry = directory + at;
        guint32 flags = qemu_qcow2_be32(entry + 12), extra = qemu_qcow2_be32(entry + 20);
        guint name_len = (guint)(entry[18] << 8 | entry[19]);
        guint64 len = ENTRY_HEAD + (guint64)extra + name_len;

        if (at + len > size)
            return FALSE;
        g_autofree char *name = g_strndup((const char *)entry + ENTRY_HEAD + extra, name_len);
        qemu_bitmap_new(out, name, (flags & FLAG_AUTO) && !(flags & FLAG_IN_USE),
                        (flags & FLAG_IN_USE) != 0);
        at += (len + 7) & ~7ull;
    }
    return TRUE;
}

static gboolean read_directory(int fd, guint64 at, GPtrArray *out)
{
    guint8 ext[24];

    if (!qemu_qcow2_read(fd, at, ext, sizeof ext))
        return FALSE;
    guint64 size = qemu_qcow2_be64(ext + 8);
    if (size > DIRECTORY_MAX)
        return FALSE;
    g_autofree guint8 *directory = g_malloc0(size + 1);
    return qemu_qcow2_read(fd, qemu_qcow2_be64(ext + 16), directory, size) &&
           read_entries(directory, size, qemu_qcow2_be32(ext), out);
}

static gboolean read_image(int fd, GPtrArray *out)
{
    guint8 head[104] = {0}, ext[8];

    if (!qemu_qcow2_read(fd, 0, head, sizeof head) || qemu_qcow2_be32(head) != QCOW2_MAGIC ||
        qemu_qcow2_be32(head + 4) < 3 || !(qemu_qcow2_be64(head + 88) & AUTOCLEAR_BITMAPS))
        return TRUE;
    guint64 at = qemu_qcow2_be32(head + 100);
    for (guint i = 0;
         i < EXTENSIONS_MAX && qemu_qcow2_read(fd, at, ext, sizeof ext) && qemu_qcow2_be32(ext);
         i++) {
        if (qemu_qcow2_be32(ext) == EXT_BITMAPS)
            return read_directory(fd, at + 8, out);
        at += 8 + (((guint64)qemu_qcow2_be32(ext + 4) + 7) & ~7ull);
    }
    return TRUE;
}

GPtrArray *qemu_bitmaps_read(const char *path, GError **error)
{
    g_autoptr(GPtrArray) out = qemu_bitmaps_new();

    if (qemu_is_remote(path)) {
        g_autoptr(QemuImageInfo) info = qemu_remote_inspect(path, out, error);

        return info ? g_steal_pointer(&out) : NULL;
    }
    int fd = qemu_image_open(path, O_RDONLY, error);

    if (fd < 0)
        return NULL;
    gboolean sound = read_image(fd, out);
    close(fd);
    if (sound)
        return g_steal_pointer(&out);
    qemu_error(error, VIREO_ERR_OPERATION_FAILED, "image %s is damaged: its bitmaps", path);
    return NULL;
}
