/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The image graph: image files, the points inside them (internal snapshots) and who needs which.
 * Nothing in this folder opens a file or talks to QEMU. The caller adds what it found and asks for a
 * plan; others carry plans out. Not thread safe. Errors are wire error numbers (qemu_error). */

#include <glib.h>

G_BEGIN_DECLS

typedef struct QemuGraph QemuGraph;

typedef enum { QEMU_FILE_RAW, QEMU_FILE_QCOW2, QEMU_FILE_STATE /* memory, NVRAM */ } QemuFileKind;

typedef enum {
    QEMU_FILE_OWNED = 1 << 0,    /* made by a snapshot operation: may be unlinked */
    QEMU_FILE_RELEASED = 1 << 1, /* given up by a delete or a revert: may be collected */
    QEMU_FILE_READONLY = 1 << 2,
} QemuFileFlags;

/* Who refers to images. OUTSIDE is whatever is not this domain: other domains' definitions, foreign
 * files that were found to be based on an image, pins; RUNNING, that it has them open, too. */
typedef enum { QEMU_HOLD_ACTIVE, QEMU_HOLD_SNAPSHOT, QEMU_HOLD_OUTSIDE, QEMU_HOLD_RUNNING } QemuHoldKind;

QemuGraph *qemu_graph_new(void);
void qemu_graph_free(QemuGraph *graph);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuGraph, qemu_graph_free)

/* ---- building: what was found --------------------------------------------------- */

/* bytes: what the file itself holds. backing: added before, NULL: none. Adding a path again is FALSE
 * and changes nothing. */
gboolean qemu_graph_add(QemuGraph *graph, const char *path, QemuFileKind kind, guint flags,
                        guint64 bytes, const char *backing, GError **error);
gboolean qemu_graph_has(const QemuGraph *graph, const char *path);
/* More flags for a file that is known. */
void qemu_graph_mark(QemuGraph *graph, const char *path, guint flags);
void qemu_graph_unmark(QemuGraph *graph, const char *path, guint flags);
/* FALSE: something is based on the file, or refers to it; "file PATH", that it was found, does not count. */
gboolean qemu_graph_leave_out(QemuGraph *graph, const char *path);
gboolean qemu_graph_add_point(QemuGraph *graph, const char *path, const char *tag, guint64 bytes,
                              GError **error);
/* name: of the snapshot, domain or file that refers; "" for the active definition. slot: the disk.
 * tag: NULL for the present content of the image. */
gboolean qemu_graph_hold(QemuGraph *graph, QemuHoldKind kind, const char *name, const char *slot,
                         const char *path, const char *tag, GError **error);

/* ---- looking -------------------------------------------------------------------- */

/* How often the present content (tag NULL) or a point is referred to. */
guint qemu_graph_holds(const QemuGraph *graph, const char *path, const char *tag);
/* Something that may need images of the graph could not be read: nothing is collected or overwritten. */
void qemu_graph_set_incomplete(QemuGraph *graph, const char *why);
/* What was said first of that; NULL: all was read. */
const char *qemu_graph_incomplete(const QemuGraph *graph);
guint qemu_graph_children(const QemuGraph *graph, const char *path);
guint qemu_graph_flags(const QemuGraph *graph, const char *path);
/* The file a holder's slot refers to, NULL: none. */
const char *qemu_graph_held(const QemuGraph *graph, QemuHoldKind kind, const char *name,
                            const char *slot, const char **tag);
/* How many images it is made of, itself included; 0: it is not known. */
guint qemu_graph_depth(const QemuGraph *graph, const char *path);
/* Whether something outside reads the image, directly or from above. */
gboolean qemu_graph_is_shared(const QemuGraph *graph, const char *path);
/* Why a file stays although it was given up: who needs it, or what keeps it from being merged. NULL: nothing
 * does. Caller frees. */
char *qemu_graph_kept(const QemuGraph *graph, const char *path);
/* A snapshot gave the point up: it may be collected. FALSE: it is not there, or is referred to again. */
gboolean qemu_graph_release_point(QemuGraph *graph, const char *path, const char *tag);
/* It cannot be taken out of the image for the time being, even when it was given up. */
void qemu_graph_point_waits(QemuGraph *graph, const char *path, const char *tag);
/* What snapshot tag found in the image is the user's now: its point there, or else the present content. The image
 * is never collected. FALSE: it is not there, or no longer what it was. */
gboolean qemu_graph_give(QemuGraph *graph, const char *path, const char *tag);
typedef void QemuReleased(const char *path, const char *tag, void *opaque);
void qemu_graph_each_released_point(const QemuGraph *graph, QemuReleased *tell, void *opaque);
/* Who is not ours and refers to images; backing: what the image is based on, NULL: nothing. */
typedef void QemuOutside(const char *who, const char *path, const char *backing, void *opaque);
void qemu_graph_each_outside(const QemuGraph *graph, QemuOutside *tell, void *opaque);
/* Paths of all files with these flags, sorted; the strings are the graph's. */
GPtrArray *qemu_graph_files(const QemuGraph *graph, guint flags);

G_END_DECLS
