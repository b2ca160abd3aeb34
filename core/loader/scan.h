/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What lies in a module directory, and whether it may be loaded.
 *
 * A module is code that runs with the daemon's rights, so: it is a regular file (a symbolic link is
 * refused, wherever it points: packages install files), it belongs to root or to the owner of the
 * daemon's own program, and nobody else may write to it, to its directory or to a directory above.
 * A directory above that others may write to is allowed when it is sticky.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* What tells one content of a file from another. */
typedef struct {
    guint64 device, inode, size;
    gint64 modified, changed; /* nanoseconds */
} VireoFileMark;

gboolean vireo_file_mark_equal(const VireoFileMark *a, const VireoFileMark *b);

typedef struct {
    char *path;    /* in the resolved directory */
    char *refused; /* why it may not be loaded; NULL when it may */
    int fd;        /* open for reading; -1 when refused */
    VireoFileMark mark;
} VireoScanEntry;

typedef struct {
    char *dir;          /* as asked for */
    char *trouble;      /* "no such directory", "holds no driver module", ...; NULL */
    gboolean insecure;  /* `trouble` is about who may write to it */
    GPtrArray *entries; /* of VireoScanEntry, by file name; the array owns them */
} VireoScan;

/* The user besides root who may own modules: the owner of the running program, who could change
 * what it does anyway. In an installed system that is root. */
uid_t vireo_scan_default_owner(void);

/* Looks at every file NAME.so of a directory. Never fails: trouble is in the result. */
VireoScan *vireo_scan_dir(const char *dir, uid_t owner);
void vireo_scan_free(VireoScan *scan); /* closes the files; NULL allowed */

/* Whether a file is still the regular file that was marked. */
gboolean vireo_scan_unchanged(const char *path, const VireoFileMark *mark);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoScan, vireo_scan_free)
