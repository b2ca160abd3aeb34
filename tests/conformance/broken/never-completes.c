/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sound.h"

static void forget(void *call)
{
    (void)call;
}

static int forgetful_reboot(void *conn, vireo_call *call, const vireo_domain_reboot_args *args)
{
    (void)conn;
    return reboot_by(call, args, forget, 30);
}
#define REBOOT forgetful_reboot
#include "table.h"
