/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* What must be known about a running guest to find it again: kept by the host, on disk before a
 * start is reported as done. */
gboolean qemu_live_save(QemuDomain *dom, GError **error);
void qemu_live_drop(QemuDomain *dom);
/* Saves it again while the guest runs; what cannot be written now is with the next change. */
void qemu_live_keep(QemuDomain *dom);
/* The state changed: the same, later, on a worker. */
void qemu_live_touch(QemuDomain *dom);
/* Finds the guests of a space again: at start, once, after its definitions are loaded. */
void qemu_live_reattach(QemuSpace *space);
/* URIs of spaces that have saved state; g_strfreev. */
char **qemu_live_uris(QemuDriver *driver);
