/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* A file that takes a disk's data: made, unless reuse, and opened in the running QEMU. Nothing that belongs
 * to a domain or a snapshot is taken. */
typedef struct {
    const char *path;
    VireoDomainStorageFormat format; /* UNSET: of what is there, or of the disk */
    gboolean is_block, reuse;
    const char *over; /* shows this node where nothing was written to it; NULL: nothing */
} QemuBlockTarget;
/* Its node; caller frees. *made: the file was not there before. On failure nothing is left of it. */
char *qemu_block_target(QemuDomain *dom, vireo_call *call, VireoQmp *qmp,
                        const VireoDomainDisk *disk, const QemuBlockTarget *target, gboolean *made,
                        GError **error);

/* Flag COPY of a rebase: the oldest way to ask for a copy. */
gboolean qemu_block_rebase_copy(QemuDomain *dom, vireo_call *call,
                                const vireo_domain_block_rebase_args *args, GError **error);
