/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What image files said about themselves when they were last read. The kernel says of each whether that can be so
 * still: a file that was written to, replaced, cut short or moved away since is read again. Thread safe; no lock is held
 * over I/O. */
#include <sys/stat.h>

#include "qcow2.h"

typedef struct QemuSeen QemuSeen;

QemuSeen *qemu_seen_new(void);
void qemu_seen_free(QemuSeen *seen); /* NULL allowed */

/* What the file at path says, which st is of; NULL: it has to be read. */
QemuImageInfo *qemu_seen_find(QemuSeen *seen, const char *path, const struct stat *st);
/* fd was read from, snapshots included, after st was taken of it. Nothing is kept of a file that was changed a moment
 * before: one more change might not be told apart from that one. Nor of one whose file system is not known to tell
 * each change, such as those of other machines, nor of a block device. */
void qemu_seen_note(QemuSeen *seen, const char *path, int fd, const struct stat *st, QemuImageInfo *info);
/* How many files it knows of. */
guint qemu_seen_count(QemuSeen *seen);
