/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shows the right state at once, and an old one after it. */
#include "sound.h"

static void show_old(void *opaque)
{
    (void)opaque;
    pthread_mutex_lock(&lock);
    for (const Domain *domain = domains; domain; domain = domain->next) {
        Domain old = *domain;

        old.id = -1;
        publish(&old);
    }
    pthread_mutex_unlock(&lock);
}

static int stale_create(void *conn, vireo_call *call, const vireo_domain_create_with_flags_args *args,
                        vireo_domain_create_with_flags_ret *ret)
{
    int status = sound_create(conn, call, args, ret);

    if (status == VIREO_OK)
        host->timer(core, 100, show_old, NULL);
    return status;
}
#define CREATE stale_create
#define INFO_ROW(X)
#include "table.h"
