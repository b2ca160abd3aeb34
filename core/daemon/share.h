/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver of this daemon, shared with daemons for all drivers: the socket they come to, and what
 * they are told when the driver does not serve. Functions belong to the main thread.
 */
#pragma once

#include "daemon/engine.h"

typedef struct VireoShare VireoShare;

/* Before the driver starts; the engine must outlive it. */
VireoShare *vireo_share_new(VireoEngine *engine, const char *driver);
/* Closes the socket and every channel. */
void vireo_share_free(VireoShare *share); /* NULL allowed */

/* Listens on a path, for root and this user alone, or on a socket that somebody else bound. */
gboolean vireo_share_listen(VireoShare *share, const char *path, GError **error);
gboolean vireo_share_listen_fd(VireoShare *share, int fd, GError **error);

/* How many connections clients have to the driver by other daemons. */
guint vireo_share_n_conns(VireoShare *share);
