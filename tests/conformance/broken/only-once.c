/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts in a process once. */
#include "sound.h"

static int once_init(const struct vireo_host *given, vireo_core *given_core, void **self)
{
    static int times;

    if (times++) {
        given->log(given_core, VIREO_LOG_ERROR, "broken", "I have run before");
        return VIREO_FAIL;
    }
    return sound_init(given, given_core, self);
}
#define INIT once_init
#include "table.h"
