/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* Files of the daemon's own state, and files of which somebody else may own the way to them.
 * Errors are G_FILE_ERROR with the path and the system's reason, which errno holds too; all functions
 * are thread safe. */

/* Writes data so that after a crash the file holds either the old or the new content, whole:
 * temporary file beside it, fsync, rename, fsync of the directory. mode: as given, without umask.
 * What an interrupted write leaves behind has a name that begins with a dot. */
gboolean vireo_file_write(const char *path, const void *data, gsize len, mode_t mode,
                          GError **error);
/* Removes a file and makes that durable; a missing file is no error. */
gboolean vireo_file_remove(const char *path, GError **error);
/* Reads a regular file of at most max bytes; the text is NUL terminated, the caller frees it. */
gboolean vireo_file_read(const char *path, gsize max, char **data, gsize *len, GError **error);
/* mkdir -p; every directory made gets mode. An existing one is left as it is. */
gboolean vireo_file_mkdir(const char *path, mode_t mode, GError **error);

/* Opens an absolute path component by component. A symbolic link is followed only when neither it
 * nor the directory it is in can be changed by anybody but root and the daemon's own user: whoever
 * can swap a link does not get to choose what the daemon touches. flags: of open(2), O_CLOEXEC is
 * added. Returns the descriptor, owned by the caller, or -1. */
int vireo_file_open_trusted(const char *path, int flags, GError **error);

/* Whether a path names something that is there, is absolute, and is as short as it can be: without links, "." or "..". */
gboolean vireo_file_is_real(const char *path);

/* Ownership by descriptor (also of O_PATH): no path is looked up twice. */
gboolean vireo_file_set_owner(int fd, const char *shown, uid_t uid, gid_t gid, GError **error);

G_END_DECLS
