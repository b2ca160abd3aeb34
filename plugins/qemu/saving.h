/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QEMU writes a guest's memory to a file: what a client sees of it (domjobinfo), and may stop (domjobabort). */
#include "driver.h"
#include "kit/params.h"

/* operation: enum of domain job operations. */
void qemu_saving_begin(QemuDomain *dom, int operation);
/* An event of QEMU, at that time: how long the guest stood still. */
void qemu_saving_heard(QemuDomain *dom, const char *event, gint64 usec);
void qemu_saving_end(QemuDomain *dom, gboolean success);

/* Hands fd to QEMU; then begins to write to it. */
gboolean qemu_saving_pass(VireoQmp *qmp, int fd, GError **error);
gboolean qemu_saving_start(VireoQmp *qmp, GError **error);
/* As long as QEMU watches the guest's memory. It cannot be told to stop where that cannot be ended. */
void qemu_saving_watched(QemuDomain *dom, gboolean can_end);
/* Waits until QEMU has reached that state of a migration, or has completed it. Cancels when the client gives up or
 * domjobabort asks for it; then FALSE with OPERATION_ABORTED. call may be NULL. */
gboolean qemu_saving_wait(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *until, GError **error);
/* Ends what QEMU writes, of an earlier daemon, and waits for the end. */
void qemu_saving_cancel(VireoQmp *qmp);

/* For domjobinfo. FALSE: nothing is written, or, when completed, nothing has been. */
gboolean qemu_saving_stats(QemuDomain *dom, gboolean completed, gboolean keep, VireoParams *params, int *type);
/* FALSE: nothing is written. */
gboolean qemu_saving_abort(QemuDomain *dom);
