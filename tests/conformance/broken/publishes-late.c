/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A start is shown some time after it was answered. */
#include "sound.h"

static void show(void *opaque)
{
    (void)opaque;
    pthread_mutex_lock(&lock);
    for (const Domain *domain = domains; domain; domain = domain->next)
        publish(domain);
    pthread_mutex_unlock(&lock);
}

static int late_create(void *conn, vireo_call *call, const vireo_domain_create_with_flags_args *args,
                       vireo_domain_create_with_flags_ret *ret)
{
    Domain *domain;
    int started = 0;

    (void)conn;
    pthread_mutex_lock(&lock);
    domain = find(&args->dom);
    if (domain && domain->id == -1) {
        started = 1;
        domain->id = ++last_id;
        ret->dom.name = host->strdup(call, domain->name);
        memcpy(ret->dom.uuid, domain->uuid, 16);
        ret->dom.id = domain->id;
    }
    pthread_mutex_unlock(&lock);
    if (!domain)
        return no_domain(call, &args->dom);
    if (!started || !host->timer(core, 20, show, NULL))
        return host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain is already running");
    return VIREO_OK;
}
#define CREATE late_create
#define INFO_ROW(X)
#include "table.h"
