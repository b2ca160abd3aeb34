/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sound.h"

static int blocking_init(const struct vireo_host *given, vireo_core *given_core, void **self)
{
    (void)given;
    (void)given_core;
    (void)self;
    for (;;)
        pause();
    return VIREO_FAIL;
}
#define INIT blocking_init
#include "table.h"
