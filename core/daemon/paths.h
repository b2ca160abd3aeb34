/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where this daemon keeps things. */
#pragma once

#include "host/host.h"

typedef struct {
    gboolean session; /* a user's own daemon */
    char *driver;     /* the one driver that a daemon of its own serves; NULL: all */
    char *title;      /* of the program, with the driver */
    char *sockets, *compat_sockets; /* how the names of the sockets begin */
    VireoHostDirs dirs;
    char *compat;  /* directory of the libvirt socket names */
    char *drivers; /* directory of the sockets by which drivers with daemons of their own are reached */
    char *config_file;
    char *lock; /* held while the daemon runs; contains its pid */
    GStrv driver_dirs;
    char *driver_host; /* the program that runs a driver in a process of its own */
} VireoPaths;

/* root: every path goes below it; NULL: the system's, or the user's own for anyone but root. Given
 * driver directories replace the built-in ones. driver: the one to be served, NULL: all. Error: no
 * runtime directory for a user's daemon. */
VireoPaths *vireo_paths_new(const char *root, const char *config_file, const char *const *driver_dirs,
                            const char *driver, GError **error);
void vireo_paths_free(VireoPaths *paths);
/* Makes the directories that are missing. */
gboolean vireo_paths_make(VireoPaths *paths, gboolean compat, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoPaths, vireo_paths_free)
