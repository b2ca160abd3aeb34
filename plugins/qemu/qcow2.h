/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

#include <string.h>

#define QCOW2_MAGIC 0x514649fbu

/* Numbers as the format keeps them; at needs no alignment. */
static inline guint32 qemu_qcow2_be32(const guint8 *at)
{
    guint32 value;

    memcpy(&value, at, sizeof value);
    return GUINT32_FROM_BE(value);
}

static inline guint64 qemu_qcow2_be64(const guint8 *at)
{
    guint64 value;

    memcpy(&value, at, sizeof value);
    return GUINT64_FROM_BE(value);
}

/* All of len bytes at offset, or FALSE. */
gboolean qemu_qcow2_read(int fd, guint64 offset, void *data, gsize len);

typedef struct {
    char *id; /* QEMU's number for it; where a name will do as well, it looks for a number first */
    char *name;
    gboolean has_vmstate;
    guint64 map_at; /* its table of the image's clusters, and how long that is */
    guint32 map_len;
} QemuImageSnapshot;

/* What an image file says about itself; counted, and never changed once several have it. */
typedef struct {
    gint refs;
    gboolean is_qcow2;
    gboolean is_empty;        /* nothing was ever written to it; only with snapshots read */
    guint64 virtual_size;     /* bytes; of a raw image its length */
    char *backing;            /* as written in the header, NULL: none */
    char *backing_format;     /* NULL: not written */
    GPtrArray *snapshots;     /* QemuImageSnapshot */
} QemuImageInfo;

QemuImageInfo *qemu_image_info_new(void);
/* One more internal snapshot in info->snapshots, which owns it. */
QemuImageSnapshot *qemu_image_info_add(GPtrArray *snapshots, const char *id, const char *name);
/* Nothing but its length: what is in a raw image is the guest's word. */
QemuImageInfo *qemu_image_info_raw(int fd, const char *shown, GError **error);
/* Reads the header (and, when snapshots is set, the snapshot table and whether there is anything). fd is borrowed. */
QemuImageInfo *qemu_image_info_read(int fd, const char *shown, gboolean snapshots, GError **error);
QemuImageInfo *qemu_image_info_ref(QemuImageInfo *info);
void qemu_image_info_free(QemuImageInfo *info); /* drops one reference; NULL allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuImageInfo, qemu_image_info_free)
/* NULL when there is none of that name. */
const QemuImageSnapshot *qemu_image_info_snapshot(const QemuImageInfo *info, const char *name);
/* The image says of clusters which the snapshot needs, too, that they are the present's alone: whoever opens it writes to
 * them. fd is borrowed. */
gboolean qemu_qcow2_is_shared(int fd, const QemuImageSnapshot *snapshot);
/* QEMU, asked to go to the snapshot of that name, would go to another one whose number it is. */
gboolean qemu_image_info_misleads(const QemuImageInfo *info, const char *name);
