/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine.h"

/* One revert while it is worked on. */
typedef struct {
    QemuDomain *dom;
    vireo_call *call;
    const QemuSnap *snap;
    QemuDef *def;      /* the machine it was taken of, with the images it will have */
    GPtrArray *tops;   /* read from the files, or from QEMU when it is the same machine */
    VireoQmp *qmp;     /* NULL when it does not run */
    QemuGraph *graph;
    QemuPlan *plan;
    gboolean branches; /* images are added: the plan is carried out */
    gboolean in_place; /* the running QEMU can load it */
    gboolean force;
    gboolean reset_nvram;
    GPtrArray *left; /* char *, images with a present that is kept */
    gboolean start, paused; /* what it shall be afterwards */
} QemuRevert;

/* snapshot_revert.c: starts the guest with what the snapshot holds of its memory. */
gboolean qemu_revert_start(QemuRevert *revert, GError **error);

/* ---- snapshot_branch.c ---------------------------------------------------------------------------- */

/* Disks that are not in the snapshot keep the images they have now. */
gboolean qemu_revert_keep_disks(QemuRevert *revert, VireoDomain *doc, GError **error);
/* Asks the graph; refuses what cannot be gone back to. */
gboolean qemu_revert_plan(QemuRevert *revert, GError **error);
/* The definition to store; the caller owns it. */
VireoDomain *qemu_revert_definition(const QemuRevert *revert);
/* Carries the plan out; the guest is stopped when everything it needs is there. */
gboolean qemu_revert_branch(QemuRevert *revert, GError **error);
