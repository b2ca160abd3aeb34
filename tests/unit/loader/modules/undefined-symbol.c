/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"

int nobody_defines_this(void);

static int calling_init(const struct vireo_host *host, vireo_core *core, void **self)
{
    return base_init(host, core, self) + nobody_defines_this();
}

VIREO_DRIVER(undefined, "1", "undefined", VIREO_SERIAL, BASE_OPS, calling_init, base_fini)
