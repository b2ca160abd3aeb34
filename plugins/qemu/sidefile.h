/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Files beside the disks that belong to a guest: its firmware's variables. A snapshot holds a copy. */

/* What is put behind the name of a file that will replace it. */
#define QEMU_SIDE_NEW ".vireo-new"
/* QEMU's node of the variables. */
#define QEMU_NVRAM_NODE "pflash1"

typedef struct {
    const char *from, *from_format; /* raw, qcow2 */
    const char *to, *to_format;     /* a file that is not there yet */
    const char *like;               /* whose owner it gets; may not be there */
} QemuSideCopy;
/* Makes a durable copy of the contents; nothing is left when it fails. */
gboolean qemu_side_copy(QemuDomain *dom, vireo_call *call, const QemuSideCopy *copy, GError **error);
/* path is what fresh was, at once and for good; fresh may have become it before. */
gboolean qemu_side_replace(const char *path, const char *fresh, GError **error);
/* QEMU's user can reach the file, and its directory is there, where that is one of ours. */
gboolean qemu_side_open_way(QemuDomain *dom, const char *path, GError **error);
