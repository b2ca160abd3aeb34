/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"

#include <stdlib.h>

static int exiting_init(const struct vireo_host *host, vireo_core *core, void **self)
{
    (void)host;
    (void)core;
    (void)self;
    exit(7);
    return VIREO_FAIL;
}

VIREO_DRIVER(initexits, "1", "initexits", VIREO_SERIAL, BASE_OPS, exiting_init, base_fini)
