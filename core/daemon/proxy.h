/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Drivers that daemons of their own run, each behind a socket. One that is needed is asked, which
 * starts it where a service manager listens for it; while clients have connections to it, it is asked
 * again until it comes back. All functions may be called from any thread.
 */
#pragma once

#include "loader/info.h"
#include "router/router.h"

typedef struct VireoProxies VireoProxies;

/* dir: where the sockets are, each named after its driver. The router must outlive it. */
VireoProxies *vireo_proxies_new(VireoRouter *router, const char *dir);
/* Ends all channels; calls fail from now on. Connections may still be closed. */
void vireo_proxies_stop(VireoProxies *proxies);
/* After the router's workers. */
void vireo_proxies_free(VireoProxies *proxies); /* NULL allowed */
/* The socket of a driver that is somewhere else. */
void vireo_proxies_set_path(VireoProxies *proxies, const char *driver, const char *path);

/* Where a driver has a daemon of its own, free with g_free; NULL: it has none. It stays so once its
 * daemon has been asked. */
char *vireo_proxies_path(VireoProxies *proxies, const char *driver);
/* The name of the driver with that URI scheme that has a daemon of its own; NULL: none. Asks those
 * that have not been asked before. Blocks. */
char *vireo_proxies_by_scheme(VireoProxies *proxies, const char *scheme);
/* Makes the router know the driver, and waits until its daemon takes calls. Blocks. */
gboolean vireo_proxies_ensure(VireoProxies *proxies, const char *driver, GError **error);
/* What there is to say about one, or NULL; and about all, an array of VireoModuleInfo. */
VireoModuleInfo *vireo_proxies_info(VireoProxies *proxies, const char *driver);
GPtrArray *vireo_proxies_list(VireoProxies *proxies);
/* Sockets may have come or gone: what is awaited is asked again at once. */
void vireo_proxies_look(VireoProxies *proxies);
