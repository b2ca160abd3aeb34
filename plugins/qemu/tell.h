/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"
#include "graph/plan.h"

/* What a call would do, collected where it would be done: whoever carries something out and is given a
 * QemuTell tells it instead and returns TRUE. Steps that a plan of graph/ has are told from that very plan. */

typedef struct QemuTell QemuTell; /* engine.h has it, too */
QemuTell *qemu_tell_new(QemuDomain *dom, vireo_call *call);
void qemu_tell_free(QemuTell *tell);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuTell, qemu_tell_free)

/* One step. effect: VIREO_PLAN_...; file, other: NULL for none; bytes: copied, or for a file that goes found
 * out when 0. text: for people. */
void qemu_tell_step(QemuTell *tell, const char *kind, guint effect, const char *file, const char *other,
                    guint64 bytes, const char *text, ...) G_GNUC_PRINTF(7, 8);
/* All of a plan; what it gave up and leaves of the graph is told as kept. */
void qemu_tell_plan(QemuTell *tell, const QemuPlan *plan, const QemuGraph *after);
/* What collects in the plans that follow is done in the background, all of it. */
void qemu_tell_later(QemuTell *tell);
/* The first bookkeeping steps only: what is done to the images was told otherwise. */
void qemu_tell_records(QemuTell *tell, const QemuPlan *plan);
/* A snapshot whose metadata goes and whose files stay. */
void qemu_tell_forget(QemuTell *tell, const VireoDomainSnapshot *doc, const char *why_files_stay);
/* reason: taken. */
void qemu_tell_kept(QemuTell *tell, const char *file, const char *point, char *reason);
/* guest: VIREO_PLAN_GUEST_...; pause_us: -1: not known. */
void qemu_tell_guest(QemuTell *tell, int guest, gint64 pause_us);
/* Into the answer of the call. */
void qemu_tell_fill(const QemuTell *tell, vireo_plan *ret);

/* Bytes of memory of the guest as it runs now. */
guint64 qemu_tell_memory(QemuDomain *dom);
/* About how long a guest stands still while so much memory is written; microseconds. */
gint64 qemu_tell_pause(guint64 bytes);

/* ---- the calls: they do it when told is NULL -------------------------------------------------------- */

int qemu_snapshot_create(QemuConn *conn, vireo_call *call,
                         const vireo_domain_snapshot_create_xml_args *args,
                         vireo_domain_snapshot_create_xml_ret *ret, vireo_plan *told);
int qemu_snapshot_delete(QemuConn *conn, vireo_call *call, const vireo_domain_snapshot_delete_args *args,
                         vireo_plan *told);
int qemu_snapshot_revert(QemuConn *conn, vireo_call *call,
                         const vireo_domain_revert_to_snapshot_args *args, vireo_plan *told);
int qemu_undefine(QemuConn *conn, vireo_call *call, const vireo_domain_undefine_flags_args *args,
                  vireo_plan *told);
