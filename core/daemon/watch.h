/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tells when files of some directories have come, gone or changed, and when it is quiet again. */
#pragma once

#include <glib.h>

typedef struct VireoWatch VireoWatch;

/* dirs: NULL terminated; one that is missing is noticed when it is made below a directory that is
 * there. changed runs on the default main context, once for everything that happened close together. */
VireoWatch *vireo_watch_new(const char *const *dirs, void (*changed)(gpointer opaque), gpointer opaque);
void vireo_watch_free(VireoWatch *watch); /* NULL allowed */
