/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connection URIs: which socket they mean, and what of them the daemon gets to see. */
#pragma once

#include <glib.h>

typedef struct {
    char *scheme;     /* without transport; NULL: no URI was given */
    char *name;       /* for the daemon: without transport and client parameters; "": it chooses */
    char *socket;     /* the parameter `socket=`, or NULL */
    gboolean session; /* the per-user daemon */
    gboolean direct;  /* the parameter `mode=direct`: the daemon of the scheme's driver */
} VireoUri;

/* text NULL or "": no URI. Error: VIREO_ERR_INVALID_ARG for what is no URI, VIREO_ERR_NO_SUPPORT
 * for a transport that this client does not have. */
VireoUri *vireo_uri_parse(const char *text, GError **error);
void vireo_uri_free(VireoUri *uri);

/* The URI of the environment, or NULL. Caller frees. */
char *vireo_uri_from_environment(void);

/* The socket to try: that of the URI, else the first well-known path that exists (of the daemon for
 * all, then of the driver's own; with `mode=direct` only the latter), else the path where it should
 * be. Caller frees. */
char *vireo_uri_find_socket(const VireoUri *uri, gboolean readonly);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoUri, vireo_uri_free)
