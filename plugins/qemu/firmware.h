/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "launch.h"
#include "tell.h"

/* Firmware in flash, and the file in which it keeps its variables. */

/* ---- which firmware (firmware.c) ------------------------------------------------------------------ */

/* One file of the host's firmware descriptions (QEMU's docs/interop/firmware.json) that is of use here. */
typedef struct {
    char *executable, *template; /* template: NULL when it keeps no variables */
    VireoDomainLoaderFormat format, template_format;
    gboolean stateless;
    GPtrArray *targets;  /* char *, "ARCH MACHINE-PATTERN" */
    GHashTable *features;
} QemuFirmware;
/* UEFI firmware in flash, in the order in which it is to be tried (QemuFirmware). */
GPtrArray *qemu_firmware_all(QemuDriver *driver);
gboolean qemu_firmware_suits(const QemuFirmware *firmware, const char *arch, const char *machine);
/* <os>: chooses the firmware, its template and the variables' file where the document leaves them open. */
gboolean qemu_firmware_complete(QemuSpace *space, VireoDomain *doc, GError **error);

/* ---- its variables (nvram.c) ------------------------------------------------------------------------ */

/* The file; NULL: the guest keeps none. */
const char *qemu_nvram_path(const VireoDomain *doc);
const char *qemu_nvram_format(const VireoDomain *doc);
gboolean qemu_nvram_complete(QemuSpace *space, VireoDomain *doc, GError **error);
/* Before a start: the file is there afterwards. fresh: made anew from the template. */
gboolean qemu_nvram_prepare(QemuDomain *dom, vireo_call *call, const VireoDomain *doc, gboolean fresh,
                            GError **error);
/* Why the variables of this machine cannot be made anew; TRUE when they can. */
gboolean qemu_nvram_can_reset(const VireoDomain *doc, GError **error);
/* Refuses a file that another domain keeps its variables in. active: only when that one runs. */
gboolean qemu_nvram_is_own(QemuDomain *dom, const VireoDomain *doc, gboolean active, GError **error);
/* What is in the template, whatever its format. */
GBytes *qemu_nvram_fresh(QemuDomain *dom, vireo_call *call, const VireoDomain *doc, GError **error);
/* Undefining: removes the file, leaves it, or refuses because nobody said which. */
gboolean qemu_nvram_undefine(QemuDomain *dom, guint flags, QemuTell *tell, GError **error);

/* The variables in the memory of a QEMU whose guest stands still (flash.c). */
gboolean qemu_flash_write(QemuDomain *dom, VireoQmp *qmp, pid_t pid, GBytes *content, GError **error);

/* ---- on QEMU's command line (nvram.c) ------------------------------------------------------------------ */

void qemu_firmware_machine(const VireoDomain *doc, GString *options);
gboolean qemu_command_firmware(QemuLaunch *launch, GError **error);
