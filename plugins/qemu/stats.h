/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* A disk by target or by the path of its image; fails with INVALID_ARG. */
const VireoDomainDisk *qemu_find_disk(const VireoDomain *doc, const char *name, GError **error);

/* Bytes: what the guest sees, what the image takes, how long the file or device is. */
typedef struct {
    guint64 capacity, allocation, physical;
} QemuDiskSize;
/* Read from the image itself, whether the guest runs or not. */
gboolean qemu_image_size(const char *path, VireoDomainStorageFormat format, QemuDiskSize *size, GError **error);
gboolean qemu_disk_size(const VireoDomainDisk *disk, QemuDiskSize *size, GError **error);
