/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Whether two definitions describe the same machine to the guest: what is only for people, for the
 * host or for the next start does not count. */
gboolean qemu_same_machine(const VireoDomain *a, const VireoDomain *b);
/* A copy as it would be stored: nothing that only describes a running guest. */
VireoDomain *qemu_doc_inactive(const VireoDomain *doc);
