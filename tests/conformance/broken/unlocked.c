/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Says that any number of calls may run at once, and keeps its answer in one place. */
#include "sound.h"

static int hasty_xml(void *conn, vireo_call *call, const vireo_domain_get_xml_desc_args *args,
                     vireo_domain_get_xml_desc_ret *ret)
{
    static char text[4096];
    vireo_domain_get_xml_desc_ret own = { 0 };
    int status = sound_xml(conn, call, args, &own);

    if (status != VIREO_OK)
        return status;
    strcpy(text, own.xml);
    usleep(100);
    ret->xml = host->strdup(call, text);
    return VIREO_OK;
}
#define GET_XML hasty_xml
#include "table.h"
