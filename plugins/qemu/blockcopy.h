/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Flag COPY of a rebase: the oldest way to ask for a copy. */
gboolean qemu_block_rebase_copy(QemuDomain *dom, vireo_call *call,
                                const vireo_domain_block_rebase_args *args, GError **error);
