/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Snapshots that have gone although files of others still name them as their parents: whose children those are now. So
 * removing one costs the same however many are below it; and so does removing many at one stroke. Not thread safe. */
typedef struct QemuGone QemuGone;
QemuGone *qemu_gone_new(void);
void qemu_gone_free(QemuGone *gone);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuGone, qemu_gone_free)
QemuGone *qemu_gone_copy(const QemuGone *gone);

/* name goes; whoever is below it belongs to parent (NULL: to nobody) from now on. */
void qemu_gone_add(QemuGone *gone, const char *name, const char *parent);
/* The file of child names `says`, which has gone. What was said of it first counts: the file is as old as that. */
void qemu_gone_stale(QemuGone *gone, const char *child, const char *says);
/* The file of child names its own parent again, or is not there any more. */
void qemu_gone_settle(QemuGone *gone, const char *child);

gboolean qemu_gone_has(const QemuGone *gone, const char *name);
/* There is a file of that name which counts, whatever was to become of it. */
void qemu_gone_is_there(QemuGone *gone, const char *name);

/* The file of name does not count any more, although it may still be there: once this is written, all of them are
 * removed, or none. */
void qemu_gone_strike(QemuGone *gone, const char *name);
gboolean qemu_gone_is_struck(const QemuGone *gone, const char *name);
/* Their files are removed. */
void qemu_gone_forget_struck(QemuGone *gone);
/* Their names, borrowed; the array is freed by the caller. */
GPtrArray *qemu_gone_struck(const QemuGone *gone);

/* Those whose files name one that has gone; the names are borrowed, the array is freed by the caller. */
GPtrArray *qemu_gone_children(const QemuGone *gone);
/* The nearest above name that has not gone; NULL: none. Borrowed. */
const char *qemu_gone_parent(const QemuGone *gone, const char *name);

/* What is needed to understand the files, and nothing else is kept; NULL: nothing. Caller frees. And back. */
char *qemu_gone_text(QemuGone *gone);
QemuGone *qemu_gone_parse(const char *text, GError **error);
