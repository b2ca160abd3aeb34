/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sound.h"

static int exiting_init(const struct vireo_host *given, vireo_core *given_core, void **self)
{
    (void)given;
    (void)given_core;
    (void)self;
    exit(3);
}
#define INIT exiting_init
#include "table.h"
