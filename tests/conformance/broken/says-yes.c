/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Has an answer for domains that do not exist. */
#include "sound.h"

static int obliging_xml(void *conn, vireo_call *call, const vireo_domain_get_xml_desc_args *args,
                        vireo_domain_get_xml_desc_ret *ret)
{
    int there;

    pthread_mutex_lock(&lock);
    there = find(&args->dom) != NULL;
    pthread_mutex_unlock(&lock);
    if (there)
        return sound_xml(conn, call, args, ret);
    ret->xml = host->strdup(call, "<domain/>");
    return VIREO_OK;
}
#define GET_XML obliging_xml
#include "table.h"
