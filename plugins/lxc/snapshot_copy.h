/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copies of what a container has on disk: a directory with everything below it, or an image file. */
#pragma once

#include <glib.h>

typedef struct {
    gboolean (*stop)(gpointer opaque); /* NULL: nobody can stop it */
    gpointer opaque;
} LxcCopy;

/* With owners, modes, times, extended attributes, hard links, nodes and holes. What is mounted below is not part of it.
 * A subvolume of btrfs becomes another one at once, and files share their blocks where the file system can do that.
 * `to` must not be there; when this fails, what there is of it is the caller's to remove. */
gboolean lxc_copy(const char *from, const char *to, const LxcCopy *copy, GError **error);
/* Until a copy is on disk. */
gboolean lxc_flush(const char *path, GError **error);
/* A file or a directory with everything below it; none is no error. */
gboolean lxc_remove(const char *path, GError **error);
