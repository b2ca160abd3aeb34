/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Carries the plans of graph/ out: on files while the guest is off, through QEMU while it runs. */
#include "driver.h"
#include "graph/plan.h"
#include "snapshot.h"

/* ---- what is known (engine_known.c) --------------------------------------------------------------- */

/* Files snapshot operations made that no snapshot names any more, or not yet; kept by the host. */
typedef struct {
    GHashTable *owned, *released; /* paths */
    GHashTable *kept; /* of these: the present that the last revert left */
    GHashTable *bases; /* what images were put on: QEMU may read it, although only a header names it later */
    GHashTable *points; /* internal snapshots that are to go, see qemu_point_note */
    GHashTable *given; /* notes of snapshots without metadata, the images they are in: the user's */
    GHashTable *emptied; /* notes of files that a commit left where they were, see qemu_files_empty */
    GHashTable *cut; /* images that were not written to the end, see qemu_lost_give_back */
} QemuFiles;
QemuFiles *qemu_files_new(void);
/* A copy of what is noted down; the domain's job is held. */
QemuFiles *qemu_files_load(QemuDomain *dom);
gboolean qemu_files_save(QemuDomain *dom, const QemuFiles *files, GError **error);
/* The same without a copy: borrowed, until something is saved. */
const QemuFiles *qemu_files_of(QemuDomain *dom);
/* Notes down more of them, at a price that does not depend on how many there are. */
gboolean qemu_files_add(QemuDomain *dom, const QemuFiles *more, GError **error);
void qemu_kept_files_free(QemuKeptFiles *kept); /* NULL allowed */
/* An internal snapshot in an image as one text, and back: path points into the note. Caller frees. */
char *qemu_point_note(const char *image, const char *tag);
char *qemu_point_read(const char *note, const char **image);
/* What the snapshots (QemuSnap) say they made, and the images they are in, are their owner's from now on: never
 * unlinked. */
gboolean qemu_files_disown(QemuDomain *dom, GPtrArray *snaps, GError **error);
/* Files that are there no more. */
gboolean qemu_files_gone(QemuDomain *dom, const char *const *paths, guint n_paths, GError **error);
/* A snapshot of that name has metadata again. */
gboolean qemu_files_take_back(QemuDomain *dom, const char *name, GError **error);
/* A commit moved away what the file held, and leaves it: it is based on an image of the domain still, but as long
 * as it is as it is now nobody reads it. */
gboolean qemu_files_empty(QemuDomain *dom, const char *path, GError **error);
/* Those that are as they were then are left out of the graph, unless something in it refers to them. */
void qemu_files_leave_out_emptied(QemuDomain *dom, QemuGraph *graph);
/* The domain goes. The files stay; those that were to be merged or removed, and have not been yet, stay noted
 * down under its name, for a domain of the same uuid or for whoever looks after them. */
void qemu_files_leave(QemuDomain *dom);
/* A file that a domain which is not there any more left so. */
typedef struct {
    char *domain, *uuid, *path;
} QemuLeftover;
void qemu_leftover_free(gpointer leftover);
/* Those of a space that still are there (QemuLeftover); what has gone is forgotten. */
GPtrArray *qemu_files_unowned(QemuSpace *space);
void qemu_files_free(QemuFiles *files);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuFiles, qemu_files_free)
/* A path as files are told apart: without links. NULL: there is no such file. Caller frees. */
char *qemu_real_path(const char *path);
/* The same of a file that is to be made; NULL with error: it has nowhere to be. */
char *qemu_real_new_path(const char *path, GError **error);
/* Paths that the domain's snapshots and their files are known to consist of. */
GHashTable *qemu_known_paths(QemuDomain *dom);

/* ---- the graph (engine_graph.c) --------------------------------------------------------------------- */

/* What is found now: the chains of doc, the snapshots, everybody else. ignore: paths of files that are
 * about to become ours; NULL: none. */
QemuGraph *qemu_engine_graph(QemuDomain *dom, const VireoDomain *doc, GHashTable *ignore,
                             GError **error);
/* The same as long as there is little to look at, and nobody waits for the domain while that is done in the background;
 * otherwise NULL without error. most: snapshots, files and domains; 0: whatever there is. */
QemuGraph *qemu_engine_graph_within(QemuDomain *dom, const VireoDomain *doc, guint most, GError **error);
/* Only what is below the present, enough to put new images on top of it. running: and which guests have any of that open,
 * enough to take points in it. Nothing may be collected or overwritten by what it says. */
QemuGraph *qemu_engine_present(QemuDomain *dom, const VireoDomain *doc, gboolean running, GError **error);

/* Where a snapshot says that it keeps a disk. */
VireoDomainSnapshotLocation qemu_snap_location(const VireoDomainSnapshot *doc, const char *dev);
/* The domains of all spaces. */
GPtrArray *qemu_engine_domains(QemuDriver *driver);

/* ---- what deletes give up (engine_reap.c) ------------------------------------------------------------- */

/* Notes down what the snapshots (QemuSnap) refer to, and what they made: at a price that depends on nothing but them.
 * Somebody else may refer to all of it: nothing is given back by what the note says alone. */
gboolean qemu_reap_note(QemuDomain *dom, GPtrArray *snaps, GError **error);
/* Something is noted. The job is held, or nobody knows the domain yet. */
gboolean qemu_reap_has_rest(QemuDomain *dom);
/* Takes back of the notes what the graph shows to be none of that any more. */
gboolean qemu_reap_settle(QemuDomain *dom, QemuGraph *graph, GError **error);
/* Whether all that is noted and there is in the graph. */
gboolean qemu_reap_all_seen(QemuDomain *dom, const QemuGraph *graph, GError **error);
/* Gives back what takes no time, when there is little to look at and little to do; the rest is the coalescer's. FALSE: there
 * is too much to look at. */
gboolean qemu_reap_little(QemuDomain *dom, vireo_call *call);
/* The graph, and whether a delete would look at all of it. */
QemuGraph *qemu_reap_graph(QemuDomain *dom, const VireoDomain *doc, gboolean *little, GError **error);
/* All that takes no time, however much there is to look at: for whoever does something that it would be in the way of. */
void qemu_reap_quick(QemuDomain *dom, vireo_call *call);
/* The same if a new snapshot would want a name that was given up; or if something is to be written to path. */
void qemu_reap_for(QemuDomain *dom, vireo_call *call, const VireoDomainSnapshot *doc);
void qemu_reap_path(QemuDomain *dom, vireo_call *call, const char *path);

/* ---- images (engine_images.c) ------------------------------------------------------------------------ */

/* Says so where a failure may be one of room. */
void qemu_error_add_room(GError **error, const char *path);
/* Makes an empty file that QEMU's user may write, owned like the file `like`; NULL: like no other. */
gboolean qemu_engine_make_file(QemuDomain *dom, const char *path, const char *like, GError **error);
/* An overlay of backing. */
gboolean qemu_engine_make_overlay(QemuDomain *dom, vireo_call *call, const char *path,
                                  const char *backing, GError **error);
/* Runs a tool of QEMU's on an image it may write to, while nothing else has it open. yields: it is ended when
 * somebody wants the domain. */
gboolean qemu_engine_image_tool(QemuDomain *dom, gboolean yields, vireo_call *call, const char *image,
                                const char *const *argv, GError **error);
/* Gives back the clusters that count as used in an image and are not, if there are any; nothing else has it open. */
gboolean qemu_engine_recount(QemuDomain *dom, gboolean yields, vireo_call *call, const char *image, GError **error);
/* One step with files only. */
gboolean qemu_engine_image_step(QemuDomain *dom, vireo_call *call, const QemuStep *step,
                                GError **error);
/* The file an image is based on; NULL: none. Caller frees. */
char *qemu_engine_backing(const char *path);
/* Sets right an image in which a merge was cut short; before a guest may read it. */
gboolean qemu_engine_mend(QemuDomain *dom, GError **error);
gboolean qemu_engine_unlink(QemuDomain *dom, const char *path, GError **error);
/* The same without noting down that it is gone. */
gboolean qemu_engine_remove(QemuDomain *dom, const char *path, GError **error);

/* ---- images that were not written to the end (engine_lost.c) ------------------------------------------- */

/* Notes that such an image may hold clusters that nothing refers to, or that are not known to be its alone. Where that
 * cannot be noted it stays so. The job is held. */
void qemu_lost_note(QemuDomain *dom, const char *image);
/* The guest's QEMU has forgotten an internal snapshot that the image still has: nothing but another process takes it out
 * of there. note: see qemu_point_note. */
void qemu_lost_wait(QemuDomain *dom, const char *image, const char *tag);
gboolean qemu_lost_waits(QemuDomain *dom, const char *note);
/* The new internal snapshots of the plan are whole, and stay so. */
gboolean qemu_lost_check_points(const QemuPlan *plan, GError **error);
/* None of them could be taken. */
void qemu_lost_note_points(QemuDomain *dom, const QemuPlan *plan);
/* Sets that right while the guest is off. Images that are in use, or that cannot be mended, stay noted: FALSE. */
gboolean qemu_lost_give_back(QemuDomain *dom, GError **error);

/* ---- QEMU's nodes (engine_nodes.c) ------------------------------------------------------------------ */

/* Which node is of which file, whose bitmaps there are, and which names are taken. */
typedef struct QemuNodes QemuNodes;
/* As they are now; NULL with error. */
QemuNodes *qemu_nodes_ask(VireoQmp *qmp, GError **error);
/* The domain's, whose job is held: QEMU is asked only when it was sent something since that is not noted below.
 * Borrowed, until the next call. */
QemuNodes *qemu_nodes_of(QemuDomain *dom, VireoQmp *qmp, GError **error);
void qemu_nodes_free(QemuNodes *nodes); /* NULL allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuNodes, qemu_nodes_free)
/* The node of the image in a file, or of the file itself; NULL: QEMU has not opened it. Caller frees. */
char *qemu_nodes_find(const QemuNodes *nodes, const char *path, gboolean storage);
/* As QEMU tells them; NULL: none. Borrowed. */
JsonArray *qemu_nodes_bitmaps(const QemuNodes *nodes, const char *node);
/* For an image of that disk. Caller frees. */
char *qemu_nodes_new_name(QemuNodes *nodes, const char *dev);
/* An image was opened by two commands, or n were sent, that are noted with this. */
void qemu_nodes_opened(QemuNodes *nodes, const char *path, const char *name);
void qemu_nodes_passed(QemuNodes *nodes, guint n);
/* Something was opened that may have bitmaps. */
void qemu_nodes_forget(QemuDomain *dom);

/* ---- running guests (engine_live.c) ------------------------------------------------------------------ */

/* QEMU's node of an image file; NULL: it has not opened it. Caller frees. */
char *qemu_live_node(VireoQmp *qmp, const char *path, GError **error);
/* What QEMU says of an image it has open (its ImageInfo); NULL: it has not, or does not answer. */
JsonObject *qemu_live_image(VireoQmp *qmp, const char *path);
/* A name no node has, for an image of that disk. Caller frees. */
char *qemu_live_new_name(VireoQmp *qmp, const char *dev, GError **error);
/* What QEMU still holds of an image's tables is on disk afterwards. A job that moves data into an image
 * does not see to that, and QEMU may be killed. */
gboolean qemu_live_flush(VireoQmp *qmp, const char *node, GError **error);
/* Opens an overlay whose file is there already, for disk slot. */
gboolean qemu_live_open(QemuDomain *dom, VireoQmp *qmp, const VireoDomainDisk *disk,
                        const char *path, GError **error);
/* The nodes of a file QEMU does not use any more. */
void qemu_live_close(VireoQmp *qmp, const char *path);
/* Whether a disk of the guest is this image. */
gboolean qemu_live_is_top(VireoQmp *qmp, const char *path);
/* Reopens an image below a disk's own. */
gboolean qemu_live_writable(QemuDomain *dom, VireoQmp *qmp, const char *path, gboolean writable,
                            GError **error);
/* The arguments of the transaction that makes all overlays and internal snapshots of the plan at once; NULL with error.
 * points: whether internal ones too. */
JsonObject *qemu_live_actions(QemuDomain *dom, VireoQmp *qmp, const QemuPlan *plan, gboolean points,
                              GError **error);
/* Carries it out. */
gboolean qemu_live_transaction(QemuDomain *dom, VireoQmp *qmp, const QemuPlan *plan, gboolean points,
                               GError **error);
/* PULL and DROP_POINT on images QEMU has open. *done: it was one of these. */
gboolean qemu_live_step(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const QemuStep *step,
                        gboolean *done, GError **error);

/* (engine_wake.c) Whether the guest has not run since its memory was written out: QEMU 7.2 does not write it
 * out twice. */
gboolean qemu_live_let_go(VireoQmp *qmp);
/* Gives such a guest its images back, although it stays paused. */
gboolean qemu_live_wake(QemuDomain *dom, VireoQmp *qmp, GError **error);

/* ---- carrying out (engine_work.c) -------------------------------------------------------------------- */

typedef struct QemuWork {
    QemuDomain *dom;
    vireo_call *call;
    VireoQmp *qmp;             /* NULL: the guest does not run */
    VireoQmp *own_qmp;         /* of a guest that was started in between; qemu_work_run's own */
    QemuPlan *plan;
    QemuGraph *after;          /* what the plan left of the graph */
    gboolean only_adds;        /* the graph is of the present only: see qemu_engine_present */
    GPtrArray *left;           /* paths of a present that is kept, instead of an earlier one; NULL */
    VireoDomainSnapshot *keep; /* entered into the tree by KEEP; NULL: none */
    VireoDomain *definition;   /* stored by the first SWITCH; NULL: SWITCH changes the present one */
    /* Between what can be undone and the rest; NULL: nothing. FALSE: undo. */
    gboolean (*middle)(void *opaque, GError **error);
    /* After definitions and the tree have changed, before anything is collected; NULL: nothing. */
    gboolean (*after_switch)(void *opaque, GError **error);
    void *opaque;
    gboolean before_by_hand;   /* the steps before no_return are done by middle */
    struct QemuTell *tell;     /* nothing is done: the plan is told; NULL: carried out */
    gboolean goes_on;          /* the guest writes to new images before no_return */
    const char *given;         /* the name of the snapshot taken without metadata */
    gboolean stops, freezes;   /* meanwhile the guest stands still; its file systems are held */
} QemuWork;

/* Journals and carries out; undoes what it did when it fails before the point of no return. */
gboolean qemu_work_run(QemuWork *work, GError **error);
/* Notes that what QEMU is told next may have happened, whatever becomes of the daemon. */
gboolean qemu_work_sent(QemuWork *work, GError **error);
/* One step behind the point of no return; the job is held. */
gboolean qemu_work_step(QemuWork *work, const QemuStep *step, GError **error);
/* What collects, from that step on, in order until something takes its time, at most so many points and files. Returns
 * whether anything is left. */
gboolean qemu_work_collect(QemuWork *work, guint at, guint points, guint unlinks);
/* The same of the steps from one on that remove images, at most so many; *failed: one that cannot be removed now, or
 * NULL. Returns how many there were. */
guint qemu_work_unlink(QemuWork *work, guint from, guint most, const QemuStep **failed, GError **error);
/* The guest goes on with an overlay although there is to be no snapshot. */
void qemu_work_keep_overlay(QemuWork *work, const QemuStep *step);
/* Of an earlier daemon: what comes before the point of no return has been done. */
gboolean qemu_work_finish_late(QemuWork *work, GError **error);
/* The same: it has been done, and is undone. */
void qemu_work_give_up(QemuWork *work);
/* At start, after the guests were found: finishes or undoes what an earlier daemon began. */
void qemu_work_recover(QemuDomain *dom);
/* Before anything else is done to the domain, the job is held: the same of what could not be written down. FALSE: it
 * still cannot. */
gboolean qemu_work_catch_up(QemuDomain *dom, GError **error);
