/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Monitor callbacks; opaque is the domain. They run on the loop and never block. */
void qemu_event(VireoQmp *qmp, const char *name, JsonObject *data, gint64 usec, void *opaque);
void qemu_event_closed(VireoQmp *qmp, const GError *why, void *opaque);
/* The guest has powered itself off or was reset into a shutdown: do what the definition says. */
void qemu_event_guest_off(QemuDomain *dom);

/* Waits for a job of QEMU to conclude and dismisses it. TRUE when it succeeded. */
gboolean qemu_job_wait(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *id,
                       GError **error);
/* Waits until a job that is not finalized by itself is ready to be. FALSE: it failed or was cut
 * short, and has been dismissed. */
gboolean qemu_job_pending(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *id,
                          GError **error);
/* Forgets an old answer, before a job of that id is started. */
void qemu_job_forget(QemuDomain *dom, const char *id);
/* Waits until QEMU reported the device as gone. */
gboolean qemu_device_wait(QemuDomain *dom, vireo_call *call, const char *id, int timeout_ms);
void qemu_device_forget(QemuDomain *dom, const char *id);
/* For blocking calls: until the client gives up or that many seconds. */
VireoQmpWait qemu_wait(QemuDriver *driver, vireo_call *call, int seconds);
