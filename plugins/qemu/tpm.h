/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "launch.h"
#include "tell.h"

/* A TPM made by swtpm: one process per guest, that ends with QEMU; its state is one file. */

gboolean qemu_tpm_complete(VireoDomain *doc, GError **error);
/* The file with its state; NULL: the machine has no TPM. Caller frees. */
char *qemu_tpm_path(const QemuSpace *space, const VireoDomain *doc);
/* The file is there afterwards, empty at first. */
gboolean qemu_tpm_prepare(QemuDomain *dom, const VireoDomain *doc, GError **error);
/* Starts swtpm and says so on QEMU's command line. */
gboolean qemu_command_tpm(QemuLaunch *launch, GError **error);
gboolean qemu_tpm_is_installed(void);
/* The end of a transient guest: its state goes, unless its definition says persistent_state='yes'. */
void qemu_tpm_bury(QemuDomain *dom);
/* Undefining: the state goes, unless it is to be kept. */
gboolean qemu_tpm_undefine(QemuDomain *dom, guint flags, QemuTell *tell, GError **error);
