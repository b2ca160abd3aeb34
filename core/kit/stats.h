/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Whether a domain is among those that flags of virConnectGetAllDomainStats choose: VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE,
 * _INACTIVE, _PERSISTENT, _TRANSIENT, _RUNNING, _PAUSED, _SHUTOFF and _OTHER; other bits are ignored. state: a
 * VIREO_DOMAIN_* state. Any thread. */
gboolean vireo_stats_chosen(guint flags, gboolean active, gboolean persistent, int state);

G_END_DECLS
