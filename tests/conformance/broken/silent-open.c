/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Refuses what it does not know without a word. */
#include "sound.h"

static int silent_open(void *self, vireo_call *call, const vireo_conn_open_args *args, vireo_conn_open_ret *ret)
{
    return strstr(args->uri, ":///default") ? sound_open(self, call, args, ret) : VIREO_FAIL;
}
#define OPEN silent_open
#include "table.h"
