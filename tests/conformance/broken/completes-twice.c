/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sound.h"

static void end_twice(void *call)
{
    int cancelled = host->cancelled(call);

    rebooted(call);
    if (!cancelled)
        host->complete(call, VIREO_OK);
}

static int double_reboot(void *conn, vireo_call *call, const vireo_domain_reboot_args *args)
{
    (void)conn;
    return reboot_by(call, args, end_twice, 1);
}
#define REBOOT double_reboot
#include "table.h"
