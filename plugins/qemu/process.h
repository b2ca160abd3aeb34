/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

typedef struct {
    gboolean paused;       /* leave the guest stopped */
    int incoming_fd;       /* migration stream to start from, -1: boot; taken */
    const char *snapshot;  /* load this internal snapshot before the guest runs; NULL: none */
    int running_reason, paused_reason; /* of the state that is published */
    gboolean reset_nvram;  /* the firmware's variables are made anew, also those of a saved state */
    QemuDef *def;          /* run this instead of the stored definition; borrowed; may be NULL */
} QemuStart;

/* Starts the domain; job held, domain not running. On success its state is published. */
gboolean qemu_process_start(QemuDomain *dom, vireo_call *call, const QemuStart *how,
                            GError **error);
/* A transient domain outlives the end of its process from now on, to be started anew; or not any more: then it ends if
 * it was not started. Job held; without effect on a persistent one. */
void qemu_process_revive(QemuDomain *dom, gboolean reviving);
/* Kills the process and waits for its end; everything is tidied up and published on return. The job
 * need not be held. FALSE when it was not running. */
gboolean qemu_process_kill(QemuDomain *dom, int reason);
/* The process of that generation has ended: tidy up, publish. Idempotent. */
void qemu_process_ended(QemuDomain *dom, guint generation, int fallback_reason);
/* A transient domain goes with its process, unless it has been defined meanwhile. With its job. */
void qemu_process_bury(QemuDomain *dom);
/* Asks QEMU to quit; the end is noticed by the watch. reason: shutoff reason to report. */
void qemu_process_quit(QemuDomain *dom, int reason);
/* Begins to watch a process whose fields are filled in (start and reattach). */
void qemu_process_watch(QemuDomain *dom);
/* Connects the monitor's callbacks; opaque holds a reference to the domain. */
VireoQmp *qemu_process_connect(QemuDomain *dom, const char *path, GError **error);
char *qemu_process_qmp_path(QemuDomain *dom);
/* Groups QEMU's user needs for its devices; caller frees with g_array_unref (guint32). */
GArray *qemu_process_groups(QemuDriver *driver);
/* Removes what a process leaves in the run directory. */
void qemu_process_sweep(QemuDomain *dom);
/* Reads vCPU threads, ptys and the display's port into the live definition. */
gboolean qemu_process_learn(QemuDomain *dom, VireoQmpBatch *batch, guint first, VireoDomain *doc,
                            GError **error);
void qemu_process_ask(VireoQmpBatch *batch, const VireoDomain *doc);
