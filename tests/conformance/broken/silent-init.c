/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sound.h"

static int silent_init(const struct vireo_host *given, vireo_core *given_core, void **self)
{
    (void)given;
    (void)given_core;
    (void)self;
    return VIREO_FAIL;
}
#define INIT silent_init
#include "table.h"
