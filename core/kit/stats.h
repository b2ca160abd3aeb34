/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <vireo/driver.h>

G_BEGIN_DECLS

/* Whether the call is for that domain: for those it lists, or for all. */
gboolean vireo_stats_is_asked_for(const vireo_connect_get_all_domain_stats_args *args, const guint8 uuid[16]);
/* Whether a domain is among those that flags of virConnectGetAllDomainStats choose: VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE,
 * _INACTIVE, _PERSISTENT, _TRANSIENT, _RUNNING, _PAUSED, _SHUTOFF and _OTHER; other bits are ignored. state: a
 * VIREO_DOMAIN_* state. Any thread. */
gboolean vireo_stats_chosen(guint flags, gboolean active, gboolean persistent, int state);

G_END_DECLS
