/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Moves the domain to another free name in the tables; nothing is stored or published. */
gboolean qemu_domain_renamed(QemuDomain *dom, const char *name, GError **error);
/* The domain a document is about, made when there is none, with its job held (qemu_domain_end).
 * fresh: it was made. NULL with OPERATION_FAILED when name or uuid belong to another one. */
QemuDomain *qemu_domain_admit(QemuSpace *space, const VireoDomain *doc, gboolean *fresh,
                              GError **error);
