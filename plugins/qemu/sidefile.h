/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"
#include "graph/plan.h"

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
/* What is in the file is on disk afterwards. */
gboolean qemu_side_sync(const char *path, GError **error);
/* path is what fresh was, at once and for good; fresh may have become it before. */
gboolean qemu_side_replace(const char *path, const char *fresh, GError **error);
/* QEMU's user can reach the file, and its directory is there, where that is one of ours. */
gboolean qemu_side_open_way(QemuDomain *dom, const char *path, GError **error);

/* ---- in snapshots -------------------------------------------------------------------------------------- */

/* The files of a snapshot that are no disk's: its memory and copies of files like these. */
#define QEMU_SNAP_FILES 3
typedef struct {
    const char *slot; /* "memory", "nvram", "tpm" */
    const char *path; /* NULL: the snapshot has none */
} QemuSnapFile;
void qemu_snap_files(const VireoDomainSnapshot *doc, QemuSnapFile files[QEMU_SNAP_FILES]);
/* Among what the snapshot says it has: which of it is not there, or cannot be read; NULL: none. Caller frees. */
char *qemu_snap_files_wrong(const VireoDomainSnapshot *doc);

#define QEMU_SIDES 2
typedef struct {
    QemuSideFile files[QEMU_SIDES];
    guint n;
    char *texts[QEMU_SIDES][4]; /* what files point to */
} QemuSides;
void qemu_sides_clear(QemuSides *sides);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QemuSides, qemu_sides_clear)
/* Taking a snapshot: names the copies in doc. keep: all there is, not only what doc asks for. */
gboolean qemu_sides_describe(QemuDomain *dom, VireoDomainSnapshot *doc, const VireoDomain *machine,
                             gboolean keep, GError **error);
void qemu_sides_taken(QemuSides *sides, QemuDomain *dom, const VireoDomainSnapshot *doc, const VireoDomain *machine);
/* Going back to it on that machine. reset_nvram: to the template. */
void qemu_sides_reverted(QemuSides *sides, QemuDomain *dom, const VireoDomainSnapshot *doc,
                         const VireoDomain *machine, gboolean reset_nvram);
/* COPY, without QEMU. */
gboolean qemu_side_step(QemuDomain *dom, vireo_call *call, const QemuStep *step, GError **error);

/* ---- of running guests (sidefile_live.c) -------------------------------------------------------------- */

/* Opens what a COPY writes to; the action that fills it, part of a transaction; waits for that. */
gboolean qemu_side_open(QemuDomain *dom, VireoQmp *qmp, const QemuStep *step, GError **error);
/* Whether something of it can only be copied while the guest stands still. */
gboolean qemu_side_needs_stop(const QemuPlan *plan);
/* NULL: QEMU does not do it. */
JsonObject *qemu_side_action(const QemuStep *step);
gboolean qemu_side_wait(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const QemuPlan *plan,
                        GError **error);
/* The same after a restart, and closes it. */
gboolean qemu_side_rest(VireoQmp *qmp, const QemuPlan *plan, GError **error);
/* All that was opened for a plan. */
void qemu_side_close(VireoQmp *qmp, const QemuPlan *plan);
/* The snapshot's variables become the file's, whose guest stands still: its memory has them already. */
gboolean qemu_side_load(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const VireoDomainSnapshot *doc,
                        GError **error);
