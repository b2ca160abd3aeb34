/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/exits.h"

#include <stdlib.h>
#include <unistd.h>

static __thread VireoExitCaught guard;
static __thread gpointer guard_opaque;

static void on_exit_called(int status, void *unused)
{
    if (!guard)
        return;
    guard(status, guard_opaque);
    for (;;)
        pause();
}

void vireo_exit_guard(VireoExitCaught caught, gpointer opaque)
{
    guard = caught;
    guard_opaque = opaque;
    on_exit(on_exit_called, NULL); /* each time: what was registered last runs first, and once */
}

void vireo_exit_unguard(void)
{
    guard = NULL;
}
