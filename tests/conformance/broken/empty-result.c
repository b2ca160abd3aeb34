/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Says OK and leaves out the string that the answer is. */
#include "sound.h"

static int empty_xml(void *conn, vireo_call *call, const vireo_domain_get_xml_desc_args *args,
                     vireo_domain_get_xml_desc_ret *ret)
{
    int status = sound_xml(conn, call, args, ret);

    ret->xml = NULL;
    return status;
}
#define GET_XML empty_xml
#include "table.h"
