/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sound.h"

static int zealous_undefine(void *conn, vireo_call *call, const vireo_domain_undefine_flags_args *args)
{
    int status = sound_undefine(conn, call, args);

    if (status == VIREO_OK)
        host->withdraw(space, VIREO_CLASS_DOMAIN, args->dom.name, args->dom.uuid);
    return status;
}
#define UNDEFINE zealous_undefine
#include "table.h"
