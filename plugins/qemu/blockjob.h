/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Long work on one disk of a running guest: pull, commit, copy. QEMU does it; what is written here
 * outlives the daemon, so that a job is found again and its end is never missed. At most one job per
 * disk. Fields are guarded by dom->lock; dom->job is held by whoever begins or settles one. */
typedef struct {
    gint refs;
    int type;            /* VIREO_DOMAIN_BLOCK_JOB_TYPE_... */
    char *dev, *id;      /* disk target; QEMU's name of the job */
    char *path;          /* the disk's image when it began */
    char *base;          /* of a commit: the image written to */
    char *target;        /* of a copy: the image written to */
    VireoDomainStorageFormat format; /* of the image the disk moves to when it pivots */
    gboolean is_block;               /* that image is a block device */
    GStrv images;        /* every file QEMU has open for it */
    gboolean remove;     /* images that are not needed any more are unlinked at the end */
    gboolean ready, abort, pivot; /* in step with the source; what was asked for */
    gboolean over, succeeded;     /* QEMU said so */
    gboolean settled;
    guint64 len, offset; /* when it was over */
    char *problem;       /* why it failed */
} QemuBlockJob;

QemuBlockJob *qemu_blockjob_new(int type, const char *dev, const char *path, GPtrArray *chain);
QemuBlockJob *qemu_blockjob_ref(QemuBlockJob *job);
void qemu_blockjob_unref(QemuBlockJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuBlockJob, qemu_blockjob_unref)
const char *qemu_blockjob_kind(const QemuBlockJob *job);

/* ---- a domain's jobs (blockjob.c) --------------------------------------------------- */

GHashTable *qemu_blockjobs_new(void);
/* Enters the job, on disk first, and starts it; on failure nothing is left of it. args: taken, without
 * the job's name. */
gboolean qemu_blockjob_begin(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, QemuBlockJob *job,
                             const char *command, JsonObject *args, GError **error);
/* Only enters it: the caller starts it. */
gboolean qemu_blockjob_enter(QemuDomain *dom, QemuBlockJob *job, GError **error);
/* It was not started. */
void qemu_blockjob_forget(QemuDomain *dom, const QemuBlockJob *job);
/* The job of a disk, by target or image; NULL without error: none. */
QemuBlockJob *qemu_blockjob_find(QemuDomain *dom, const char *disk, GError **error);
/* For the live document: <mirror> and the images below. */
void qemu_blockjobs_show(QemuDomain *dom, VireoDomain *doc);
/* Saved with the live state; dom->lock held. NULL: none. */
JsonArray *qemu_blockjobs_saved(QemuDomain *dom);
void qemu_blockjobs_restore(QemuDomain *dom, JsonArray *saved);

/* (blockjob_ops.c) Tells QEMU what was asked for: to pivot, or to abort. */
gboolean qemu_blockjob_tell(QemuDomain *dom, VireoQmp *qmp, const QemuBlockJob *job, const VireoQmpWait *wait,
                            GError **error);

/* ---- what QEMU says; on the monitor's thread ------------------------------------------ */

void qemu_blockjob_status(QemuDomain *dom, const char *id, const char *status);
void qemu_blockjob_over(QemuDomain *dom, JsonObject *data, gboolean cancelled);

/* ---- the end (blockjob_end.c) --------------------------------------------------------- */

/* Carries through what jobs that are over mean: definition, nodes, files, events. Job held. */
void qemu_blockjobs_settle(QemuDomain *dom);
/* The same later, on a worker. */
void qemu_blockjobs_settle_soon(QemuDomain *dom);
/* The guest has ended: what can be known of its jobs is known now. */
void qemu_blockjobs_ended(QemuDomain *dom);
/* At start: jobs whose end nobody heard of. */
void qemu_blockjobs_recover(QemuDomain *dom);

/* ---- chains (blockchain.c) ------------------------------------------------------------ */

/* Looks at the images below the disks of what runs: the document shows them. */
void qemu_chains_look(QemuDomain *dom, const VireoDomain *doc);
/* An image of a chain (QemuImage) by "vda[2]" or path: its place, 0 is the disk's own; -1 with error. */
int qemu_chain_find(GPtrArray *chain, const char *dev, const char *name, GError **error);
/* Number of an image in the document and in "vda[2]". */
guint qemu_chain_index(GPtrArray *chain, guint place);
/* How the image at place `from` names the one at place `to`: relative as their headers do, or NULL
 * with error when one of them does not. Caller frees. */
char *qemu_chain_relative(GPtrArray *chain, guint from, guint to, GError **error);
/* Bytes per second of a bandwidth argument. */
gboolean qemu_block_speed(guint64 bandwidth, gboolean bytes, gint64 *speed, GError **error);
/* The disk of a running guest that a job may work on. */
const VireoDomainDisk *qemu_block_disk(QemuDomain *dom, const VireoDomain *doc, const char *name,
                                       GError **error);
