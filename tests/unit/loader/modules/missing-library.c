/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"

int library_that_goes_missing(void);

static int calling_init(const struct vireo_host *host, vireo_core *core, void **self)
{
    return base_init(host, core, self) + library_that_goes_missing();
}

VIREO_DRIVER(missing, "1", "missing", VIREO_SERIAL, BASE_OPS, calling_init, base_fini)
