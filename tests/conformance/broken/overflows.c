/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes behind the end of what it has; without AddressSanitizer nobody notices. */
#include "sound.h"

static int generous_info(void *conn, vireo_call *call, const vireo_domain_get_info_args *args,
                         vireo_domain_get_info_ret *ret)
{
    volatile size_t size = 20;
    volatile char *text = malloc(size);

    text[size] = 1;
    free((void *)text);
    return sound_info(conn, call, args, ret);
}
#define INFO generous_info
#include "table.h"
