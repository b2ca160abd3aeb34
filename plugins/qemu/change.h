/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Changes one document; FALSE refuses. */
typedef gboolean (*QemuChange)(VireoDomain *doc, const void *opaque, GError **error);

/* Definitions never change once they are shared: these replace them by a changed copy. Job held. */

/* Stores and publishes the copy. */
gboolean qemu_change_config(QemuDomain *dom, QemuChange change, const void *opaque, GError **error);
/* The same of what runs; saved for a restart of the daemon. */
gboolean qemu_change_live(QemuDomain *dom, QemuChange change, const void *opaque, GError **error);
/* Shares doc (taken) as what runs, unless the guest has ended meanwhile. */
void qemu_change_live_to(QemuDomain *dom, VireoDomain *doc);
