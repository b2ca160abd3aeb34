/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The parts of taking a snapshot of a running guest. */
#include "engine.h"
#include "snapshot.h"

static inline gboolean qemu_step_is_overlay(const QemuStep *step)
{
    return step->kind == QEMU_STEP_OVERLAY || step->kind == QEMU_STEP_ADOPT;
}

/* snapshot_undo.c: after the transaction. The disks go back to the images they had, with all that the guest wrote
 * meanwhile; an overlay from which that cannot be done stays in use, so that nothing is lost. QEMU may have ended. */
void qemu_undo_transaction(QemuWork *work);
/* QEMU lets go of overlays among the first count steps that it does not use; those made here are removed. */
void qemu_undo_overlays(QemuWork *work, guint count);

/* snapshot_quiesce.c: the guest's agent has it write everything to its file systems and hold them. */
gboolean qemu_quiesce_begin(QemuTake *take, GError **error);
/* Lets it go on; without effect when it was not asked to hold. FALSE: it may still be held, and is asked again in the
 * background. */
gboolean qemu_quiesce_end(QemuTake *take, GError **error);
/* Whether the guest's file systems are held in the memory of that snapshot; on disk. */
void qemu_quiesce_note(QemuDomain *dom, const char *name, gboolean held);
gboolean qemu_quiesce_noted(QemuDomain *dom, const char *name);
/* The domain is gone. */
void qemu_quiesce_drop(QemuDomain *dom);
/* The same for a guest that was restored, or left by an earlier daemon; in the background, it may take its time. */
void qemu_quiesce_release(QemuDomain *dom);

/* snapshot_sweep.c: when the domains of a space are known. */
void qemu_snapshots_sweep(QemuSpace *space);

/* snapshot_live.c: the moment, then the memory of that moment while the guest goes on. */
gboolean qemu_take_going_on(QemuTake *take, GError **error);
/* What an earlier daemon left in the middle, for qemu_work_recover. background: the transaction has taken place and
 * the memory follows. TRUE: so it does, the rest is done when all is written, and what work points to is taken. FALSE:
 * QEMU writes nothing any more. */
gboolean qemu_live_recover(QemuWork *work, gboolean background);
/* A space is loaded, and nobody knows it yet: what recover found goes on, and has the jobs of its domains. */
void qemu_live_recover_begin(QemuDriver *driver);
/* Waits for all that goes on since a restart. */
void qemu_live_recover_end(QemuDriver *driver);
