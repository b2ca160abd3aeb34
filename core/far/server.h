/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The far end: one driver of this process for cores in others. Each near end has a channel of its
 * own; whatever the driver publishes goes to all of them.
 */
#pragma once

#include "far/channel.h"
#include "router/router.h"

typedef struct VireoFarServer VireoFarServer;

/* A near end has gone; `left` are there still. On a thread of the server's. */
typedef void (*VireoFarServerGone)(VireoFarServer *server, guint left, gpointer opaque);

/* Before the router's host starts a driver; both must outlive the server. */
VireoFarServer *vireo_far_server_new(VireoRouter *router, VireoFarServerGone gone, gpointer opaque);
/* Cuts every channel and waits until none of its threads runs. Calls under way are cancelled; they
 * may end later. */
void vireo_far_server_free(VireoFarServer *server); /* NULL allowed */

/* Which driver it is; before the first channel. Strings are borrowed for as long as the server
 * lives. */
void vireo_far_server_set_driver(VireoFarServer *server, const char *core_version, const char *name,
                                 const char *version, const char *schemes, guint threads,
                                 VireoBackendRow row, gconstpointer table);

/* Serves a near end on a connected socket, which is taken: tells it who is here and what has been
 * published. Any thread, any time. */
void vireo_far_server_add(VireoFarServer *server, int fd);

/* How many connections near ends have open. Any thread. */
guint vireo_far_server_n_conns(VireoFarServer *server);

/* The driver's init has succeeded: calls are taken from now on. */
void vireo_far_server_ready(VireoFarServer *server);
/* The driver cannot serve, or will not any more; tells all near ends why. */
void vireo_far_server_goodbye(VireoFarServer *server, const char *reason);
/* A line for the near ends' logs; prio: enum vireo_log. */
void vireo_far_server_log(VireoFarServer *server, int prio, const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoFarServer, vireo_far_server_free)
