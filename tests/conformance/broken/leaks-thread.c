/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sound.h"

static void *wait_for_ever(void *opaque)
{
    (void)opaque;
    for (;;)
        pause();
    return NULL;
}

static int threaded_init(const struct vireo_host *given, vireo_core *given_core, void **self)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
        return VIREO_FAIL;
    pthread_setname_np(thread, "poller");
    pthread_detach(thread);
    return sound_init(given, given_core, self);
}
#define INIT threaded_init
#include "table.h"
