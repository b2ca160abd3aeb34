/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A timer is still set when fini has returned. */
#include "sound.h"

static void nothing(void *opaque)
{
    (void)opaque;
}

static int timed_init(const struct vireo_host *given, vireo_core *given_core, void **self)
{
    int status = sound_init(given, given_core, self);

    host->timer(core, 3600000, nothing, NULL);
    return status;
}
#define INIT timed_init
#include "table.h"
