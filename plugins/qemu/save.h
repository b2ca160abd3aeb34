/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Managed save images; job held. */
gboolean qemu_managed_restore(QemuDomain *dom, vireo_call *call, guint flags, GError **error);
gboolean qemu_managed_drop(QemuDomain *dom, GError **error);
/* Writes the state of a stopped guest to a new file, in the format of saved guests. */
gboolean qemu_save_memory(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *path,
                          gboolean running, GError **error);
/* Begins such a file; a descriptor where the state is to be written, -1 with error. */
int qemu_save_create(QemuDomain *dom, const char *path, gboolean running, GError **error);
/* All is in it: gives back the room that was taken behind its end, and has it on disk. */
gboolean qemu_save_finish(int fd, const char *path, GError **error);
/* A descriptor at the beginning of the state in such a file; -1 with error. */
int qemu_save_open(const char *path, GError **error);
/* FALSE with error where that would fail, or the file is shorter than it was. */
gboolean qemu_save_check(const char *path, GError **error);
