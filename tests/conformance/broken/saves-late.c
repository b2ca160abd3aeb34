/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps definitions when it is told to stop, which a daemon that is killed does not do. */
#include "sound.h"

static int unsaved_define(void *conn, vireo_call *call, const vireo_domain_define_xml_flags_args *args,
                          vireo_domain_define_xml_flags_ret *ret)
{
    Domain fresh = { 0 };

    (void)conn;
    if (!read_domain(args->xml, &fresh))
        return host->fail(call, VIREO_ERR_XML_ERROR, "a <domain> with <name> and <uuid> is needed");
    pthread_mutex_lock(&lock);
    memcpy(ret->dom.uuid, fresh.uuid, 16);
    if (!find(&ret->dom)) {
        add(&fresh);
        publish(&fresh);
    }
    pthread_mutex_unlock(&lock);
    ret->dom.name = host->strdup(call, fresh.name);
    ret->dom.id = -1;
    return VIREO_OK;
}

static void saving_fini(void *self)
{
    for (const Domain *domain = domains; domain; domain = domain->next)
        save(domain);
    sound_fini(self);
}
#define DEFINE unsaved_define
#define FINI   saving_fini
#include "table.h"
