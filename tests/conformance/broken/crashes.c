/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Believes that the domain is always there. */
#include "sound.h"

static int trusting_info(void *conn, vireo_call *call, const vireo_domain_get_info_args *args,
                         vireo_domain_get_info_ret *ret)
{
    const Domain *domain = find(&args->dom);

    (void)conn;
    (void)call;
    ret->state = *(volatile const int *)&domain->id == -1 ? VIREO_DOMAIN_SHUTOFF : VIREO_DOMAIN_RUNNING;
    return VIREO_OK;
}
#define INFO trusting_info
#include "table.h"
