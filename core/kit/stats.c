/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/stats.h"

#include <string.h>

#define FLAG(name) VIREO_CONNECT_GET_ALL_DOMAINS_STATS_##name

/* Of a group that nothing was said about all pass. */
static gboolean passes(guint flags, guint group, guint have)
{
    return !(flags & group) || (flags & have);
}

static guint filter_of(int state)
{
    switch (state) {
    case VIREO_DOMAIN_RUNNING:
        return FLAG(RUNNING);
    case VIREO_DOMAIN_PAUSED:
        return FLAG(PAUSED);
    case VIREO_DOMAIN_SHUTOFF:
        return FLAG(SHUTOFF);
    default:
        return FLAG(OTHER);
    }
}

gboolean vireo_stats_is_asked_for(const vireo_connect_get_all_domain_stats_args *args, const guint8 uuid[16])
{
    for (guint i = 0; i < args->doms.len; i++)
        if (memcmp(args->doms.val[i].uuid, uuid, 16) == 0)
            return TRUE;
    return args->doms.len == 0;
}

gboolean vireo_stats_chosen(guint flags, gboolean active, gboolean persistent, int state)
{
    return passes(flags, FLAG(ACTIVE) | FLAG(INACTIVE), active ? FLAG(ACTIVE) : FLAG(INACTIVE)) &&
           passes(flags, FLAG(PERSISTENT) | FLAG(TRANSIENT), persistent ? FLAG(PERSISTENT) : FLAG(TRANSIENT)) &&
           passes(flags, FLAG(RUNNING) | FLAG(PAUSED) | FLAG(SHUTOFF) | FLAG(OTHER), filter_of(state));
}
