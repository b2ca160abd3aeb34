/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

typedef struct {
    char *name;
    gboolean has_vmstate;
} QemuImageSnapshot;

/* What an image file says about itself. */
typedef struct {
    gboolean is_qcow2;
    gboolean is_empty;        /* nothing was ever written to it; only with snapshots read */
    guint64 virtual_size;     /* bytes; of a raw image its length */
    char *backing;            /* as written in the header, NULL: none */
    char *backing_format;     /* NULL: not written */
    GPtrArray *snapshots;     /* QemuImageSnapshot */
} QemuImageInfo;

/* Reads the header (and, when snapshots is set, the snapshot table and whether there is anything). fd is borrowed. */
QemuImageInfo *qemu_image_info_read(int fd, const char *shown, gboolean snapshots, GError **error);
void qemu_image_info_free(QemuImageInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuImageInfo, qemu_image_info_free)
/* NULL when there is none of that name. */
const QemuImageSnapshot *qemu_image_info_snapshot(const QemuImageInfo *info, const char *name);
