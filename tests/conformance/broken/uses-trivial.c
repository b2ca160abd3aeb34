/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Acts on a flag that its table says makes no difference. */
#include "sound.h"

static int choosy_undefine(void *conn, vireo_call *call, const vireo_domain_undefine_flags_args *args)
{
    if (args->flags & VIREO_DOMAIN_UNDEFINE_NVRAM)
        return host->fail(call, VIREO_ERR_OPERATION_INVALID, "there is no NVRAM to remove");
    return sound_undefine(conn, call, args);
}
#define UNDEFINE choosy_undefine
#include "table.h"
