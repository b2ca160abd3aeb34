/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"
#include "graph/plan.h"

/* One snapshot's metadata; never changes once it is in a tree. */
typedef struct {
    gint refs;
    VireoDomainSnapshot *doc;
} QemuSnap;
QemuSnap *qemu_snap_new(VireoDomainSnapshot *doc); /* takes doc */
QemuSnap *qemu_snap_ref(QemuSnap *snap);
void qemu_snap_unref(QemuSnap *snap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuSnap, qemu_snap_unref)
const char *qemu_snap_parent(const QemuSnap *snap);
/* Whether it holds the guest's memory (was taken while it ran). */
gboolean qemu_snap_has_memory(const QemuSnap *snap);
/* Whether any part of it is outside the images it was taken of. */
gboolean qemu_snap_is_external(const QemuSnap *snap);
/* The file that holds its memory; NULL: none does. */
const char *qemu_snap_memory_file(const QemuSnap *snap);

/* ---- the tree (snapshot_tree.c): thread safe; changes are on disk when a function returns ------ */

QemuTree *qemu_tree_new(void);
void qemu_tree_free(QemuTree *tree);
void qemu_tree_load(QemuDomain *dom);
void qemu_tree_publish(QemuDomain *dom);
guint qemu_tree_count(QemuTree *tree);
QemuSnap *qemu_tree_find(QemuTree *tree, const char *name);
char *qemu_tree_current(QemuTree *tree);
/* All, parents before children (QemuSnap). */
GPtrArray *qemu_tree_all(QemuTree *tree);
/* All below name, children before parents, without name itself. */
GPtrArray *qemu_tree_below(QemuTree *tree, const char *name);
/* Adds or replaces; takes snap. */
gboolean qemu_tree_put(QemuDomain *dom, QemuSnap *snap, GError **error);
/* Removes these, all or none of them; children of theirs that stay get the nearest parent that does, and so does being
 * current. One that is not there is no error. Costs three writes at most, however many they are. */
gboolean qemu_tree_remove(QemuDomain *dom, const char *const *names, guint n_names, GError **error);
gboolean qemu_tree_remove_all(QemuDomain *dom, GError **error);
/* Before anything else is done to the domain: when writing failed, and what is on disk may be more than that, it is
 * set right. */
gboolean qemu_tree_catch_up(QemuDomain *dom, GError **error);
gboolean qemu_tree_set_current(QemuDomain *dom, const char *name, GError **error);

/* ---- images (snapshot_images.c) ----------------------------------------------------------------- */

typedef struct {
    char *dev;  /* disk target */
    char *node; /* QEMU's name of the image on top of it now */
    char *path;
    gboolean is_qcow2;
    GPtrArray *tags; /* char * of the internal snapshots in it */
    GHashTable *with_memory; /* tags that hold memory */
} QemuTop;
/* What the top images of the writable disks hold, in the order of the disks: asked from QEMU when
 * qmp is given, else read from the files. */
GPtrArray *qemu_snapshot_tops(QemuDomain *dom, const VireoDomain *doc, VireoQmp *qmp,
                              GError **error);
gboolean qemu_top_holds(const QemuTop *top, const char *tag, gboolean *memory);
const QemuTop *qemu_tops_find(GPtrArray *tops, const char *dev);
/* qemu-img snapshot on the image of a stopped guest; what is 'c', 'a' or 'd'. */
gboolean qemu_snapshot_image_do(QemuDomain *dom, vireo_call *call, const char *path, char what,
                                const char *tag, GError **error);
/* Runs snapshot-save, -load or -delete in QEMU and waits. memory: node that holds it, NULL for
 * delete. nodes: JSON array, taken. */
gboolean qemu_snapshot_job(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *command,
                           const char *tag, const char *memory, JsonArray *nodes, GError **error);
/* The load job for a tag on every disk that takes part, validated first. */
gboolean qemu_snapshot_load_job(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *name,
                                GError **error);
/* Refuses a snapshot that cannot be reverted to with these images; names the disk. */
gboolean qemu_snapshot_complete(const QemuSnap *snap, const VireoDomain *doc, GPtrArray *tops,
                                GError **error);
/* Whether the snapshot says that this disk is in it, internally. */
gboolean qemu_snap_has_disk(const QemuSnap *snap, const char *dev);
/* snapshot_define.c: REDEFINE. */
QemuSnap *qemu_snapshot_redefine(QemuDomain *dom, VireoDomainSnapshot *doc, guint flags,
                                 GError **error);
/* snapshot_revert.c: undoes what an earlier daemon began and did not finish; at start. */
void qemu_revert_recover(QemuDomain *dom);

/* ---- taking (snapshot_request.c, snapshot_take.c) ------------------------------------------------- */

/* A request in which nothing is open any more. */
typedef struct {
    const char *name; /* borrowed */
    const QemuDriver *driver;   /* borrowed too */
    const VireoDomain *machine;
    gboolean active, disk_only, reuse;
    VireoDomainSnapshotLocation fallback, memory_asked;
    GArray *disks; /* QemuSnapDisk; slots are borrowed from the definition */
    GPtrArray *texts;
    guint kinds[4]; /* how many disks of each QemuSnapKind */
    QemuSnapKind memory;
    char *memory_file;
} QemuRequest;
QemuRequest *qemu_request_new(const QemuDriver *driver, const VireoDomainSnapshot *doc,
                              const VireoDomain *machine, guint flags, gboolean active,
                              GError **error);
/* What new images of a disk are called, before what sets them apart: /images/vm of /images/vm.qcow2. NULL with
 * error: nowhere can be told. Caller frees. */
char *qemu_overlay_stem(const QemuDriver *driver, const VireoDomain *machine,
                        const VireoDomainDisk *disk, GError **error);
/* STEM.NAME, then more; as much of the first two as a file's name has room for. Caller frees. */
char *qemu_overlay_path(const char *stem, const char *name, const char *more);
void qemu_request_free(QemuRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuRequest, qemu_request_free)

struct QemuWork;
typedef struct {
    struct QemuWork *work;
    const QemuRequest *request;
    const VireoDomain *machine;
    gboolean running, quiesce, live;
    gboolean frozen; /* the guest's file systems may be held */
    gboolean sent; /* the transaction has taken place */
} QemuTake;
/* The steps before the point of no return in a running QEMU; opaque is a QemuTake. */
gboolean qemu_take_live(void *take, GError **error);
