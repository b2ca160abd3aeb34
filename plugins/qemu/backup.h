/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "blockjob.h"

#define QEMU_BACKUP_TLS "backup-tls" /* QEMU's name of the server's certificates */

/* A backup of a running guest: QEMU writes its disks to files (push), or shows them as they were at
 * one moment over NBD until it is ended (pull). One at a time; each disk has a block job. Fields are
 * guarded by dom->lock; dom->job is held by whoever begins or ends one. */
typedef struct {
    char *dev, *path;     /* disk; file written to */
    char *node;           /* QEMU's, of that file */
    char *source, *bitmap; /* the disk's node and the bitmap in it; NULL: all of it */
    gboolean made;        /* the file is ours */
    int status;           /* VIREO_DOMAIN_BLOCK_JOB_...; -1: at work */
    guint64 len, offset;
} QemuBackupDisk;

struct QemuBackup {
    VireoDomainBackup *doc;
    GPtrArray *disks; /* QemuBackupDisk */
    gboolean pull, aborted;
    gint64 since;     /* real time, microseconds */
};

/* What is told of a backup. */
struct QemuBackupFigures {
    int type; /* VIREO_DOMAIN_JOB_...; 0: there was none */
    gboolean pull;
    guint64 elapsed_ms, total, done;
    gboolean success;
    const char *problem;
};

QemuBackup *qemu_backup_new(VireoDomainBackup *doc); /* takes doc */
void qemu_backup_free(QemuBackup *backup);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuBackup, qemu_backup_free)
QemuBackupDisk *qemu_backup_add(QemuBackup *backup, const char *dev);

/* Saved with the live state; dom->lock held. NULL: none. */
JsonObject *qemu_backup_saved(QemuDomain *dom);
void qemu_backup_restore(QemuDomain *dom, JsonObject *saved);

/* A file that was pushed to is whole before anybody hears of it. */
void qemu_backup_job_dismissed(QemuDomain *dom, VireoQmp *qmp, const QemuBlockJob *job);
/* One disk is done; the last one ends the backup. qmp: NULL when the guest has ended. */
void qemu_backup_job_over(QemuDomain *dom, VireoQmp *qmp, const QemuBlockJob *job, int status);
/* What was opened for it goes: exports, bitmaps, nodes, and files, all that were made or only those
 * with scratch data. */
void qemu_backup_close(QemuDomain *dom, VireoQmp *qmp, QemuBackup *backup, gboolean all_files);
/* Asks QEMU to end its jobs; their end ends it. FALSE: there is none. */
gboolean qemu_backup_abort(QemuDomain *dom);
/* For domjobinfo. FALSE: no backup runs, or, when completed, none has ended. */
gboolean qemu_backup_figures(QemuDomain *dom, gboolean completed, gboolean keep,
                             QemuBackupFigures *figures);
