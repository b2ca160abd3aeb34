/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one near end asks of the far one: connections and calls. Shared by the server's files only.
 */
#pragma once

#include "far/server.h"

/* Twice for each channel: when it has ended, and (last) when none of its threads runs any more. */
typedef void (*VireoFarServed)(VireoFarChannel *channel, gboolean last, gpointer opaque);

/* Receives on the channel, on threads of its own, until it ends. */
void vireo_far_serve(VireoFarServer *server, VireoRouter *router, VireoFarChannel *channel,
                     VireoFarServed served, gpointer opaque);
/* So many connections more, or fewer, are open. */
void vireo_far_server_count(VireoFarServer *server, int more);
/* The number of a space; 0 for NULL. */
guint32 vireo_far_server_space(VireoFarServer *server, const vireo_space *space);
