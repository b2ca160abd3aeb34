/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A call that was cancelled never ends. */
#include "sound.h"

static void end_unless_cancelled(void *call)
{
    if (!host->cancelled(call))
        host->complete(call, VIREO_OK);
}

static int deaf_reboot(void *conn, vireo_call *call, const vireo_domain_reboot_args *args)
{
    (void)conn;
    return reboot_by(call, args, end_unless_cancelled, 30);
}
#define REBOOT deaf_reboot
#include "table.h"
