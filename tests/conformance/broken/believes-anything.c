/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes whatever it is given for a definition. */
#include "sound.h"

static int trusting_define(void *conn, vireo_call *call, const vireo_domain_define_xml_flags_args *args,
                           vireo_domain_define_xml_flags_ret *ret)
{
    if (strstr(args->xml, "</domain>") || strncmp(args->xml, "<domain", 7) != 0)
        return sound_define(conn, call, args, ret);
    ret->dom.name = host->strdup(call, "unnamed");
    return VIREO_OK;
}
#define DEFINE trusting_define
#include "table.h"
