/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Parts of URIs that say where a driver's server is and how to reach it. What is wrong is an error of domain
 * VIREO_ERROR that names the parameter; strings are replaced, and the caller frees them. */

/* NAME=0 or NAME=1. */
gboolean vireo_place_switch(const char *name, const char *value, gboolean *into, GError **error);
/* server=HOST[:PORT]; port 0: there is none. */
gboolean vireo_place_server(const char *value, char **host, guint *port, GError **error);
/* proxy=[http|socks|socks4|socks4a|socks5://]HOST[:PORT], as the HTTP client wants it. */
gboolean vireo_place_proxy(const char *value, char **proxy, GError **error);
/* Hands each NAME=VALUE of a query, unescaped, to the function, until one is refused. */
typedef gboolean (*VireoPlaceParameter)(const char *name, const char *value, void *opaque, GError **error);
gboolean vireo_place_query(const char *query, VireoPlaceParameter parameter, void *opaque, GError **error);
/* "SCHEME://HOST:PORT", with brackets around an IPv6 address. */
char *vireo_place_url(const char *scheme, const char *host, guint port);
/* Without slashes at both ends. */
void vireo_place_strip(char **path);

G_END_DECLS
