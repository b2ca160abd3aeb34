/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"
#include "qcow2.h"

/* One image of a disk's chain, the disk's own first. */
typedef struct {
    char *path; /* absolute, or a location: see remote.h */
    VireoDomainStorageFormat format;
    gboolean readonly;
    gboolean named; /* by the definition, not only by the header of the image above */
    gboolean is_block; /* of a running guest, see qemu_chains_look */
} QemuImage;

/* The image of a disk, NULL for an empty drive. */
const char *qemu_disk_path(const VireoDomainDisk *disk);
/* By its target; NULL: there is none. */
VireoDomainDisk *qemu_disk_named(const VireoDomain *doc, const char *dev);
gboolean qemu_is_block(const char *path);
/* How a document names an image; caller frees. block: it is a block device. */
VireoDomainDiskSource *qemu_image_source(const char *path, gboolean block, VireoDomainDiskType *type);
/* Another image; what the document said of the chain is no longer so. */
void qemu_disk_set_image(VireoDomainDisk *disk, const char *path, gboolean block, VireoDomainStorageFormat format);
/* There is such a file; of a server's images nothing is known without asking: they are. */
gboolean qemu_image_is_there(const char *path);
/* What an image is based on, which its header names; format may be NULL. Caller frees. */
char *qemu_image_below(const char *image, const QemuImageInfo *info, VireoDomainStorageFormat *format, GError **error);
/* All files of a disk's chain (QemuImage), checked: present, and what they are said to be.
 * An empty drive has an empty chain. */
GPtrArray *qemu_image_chain(const VireoDomainDisk *disk, GError **error);
/* The same for showing it: what has not changed since it was read is not read again. NULL: it cannot be told. */
GPtrArray *qemu_image_chain_seen(QemuDriver *driver, const VireoDomainDisk *disk);
/* The same without looking at anything. */
GPtrArray *qemu_image_alone(const VireoDomainDisk *disk);
/* Whether what the document says of the chain is what the images say, as far as they can be read; then it is dropped. */
gboolean qemu_backing_check(VireoDomainDisk *disk, GError **error);
/* Opens a file an image or a directory owner may have a hand in; only regular files and block
 * devices. Returns a descriptor or -1. */
int qemu_image_open(const char *path, int flags, GError **error);
/* Opens and reads in one go. */
QemuImageInfo *qemu_image_inspect(const char *path, gboolean snapshots, GError **error);

/* The same of an image that is said to be of a format (NULL: nobody says). Of a raw one nothing is read, since it is the
 * guest that writes it; one that is no qcow2 although it should be is refused. */
QemuImageInfo *qemu_image_inspect_as(const char *path, const char *said, gboolean snapshots, GError **error);

/* The same with snapshots, but a file that has not changed since it was last read so is not read again. used: the bytes it
 * takes; NULL allowed. */
QemuImageInfo *qemu_image_look(QemuDriver *driver, const char *path, const char *said, guint64 *used, GError **error);

/* Makes a file usable by QEMU for a holder (a domain's uuid): gives it to QEMU's user when that user
 * could not use it otherwise. The first owner is recorded on disk before anything is changed. */
gboolean qemu_image_give(QemuDriver *driver, const char *holder, const QemuImage *image,
                         GError **error);
/* Who had a file before it was given to QEMU's user, or has it now. */
gboolean qemu_image_first_owner(QemuDriver *driver, const char *path, uid_t *uid, gid_t *gid,
                                mode_t *mode);
/* Gives back what the holder had and nobody else holds. */
void qemu_image_take_back(QemuDriver *driver, const char *holder);
/* The same of one file. */
void qemu_image_take_back_one(QemuDriver *driver, const char *holder, const char *path);
/* Reads the records an earlier daemon left. */
void qemu_image_recall(QemuDriver *driver);
/* Takes back from every holder for which alive says no. */
void qemu_image_take_back_lost(QemuDriver *driver, gboolean (*alive)(const char *, void *),
                               void *opaque);
void qemu_image_owner_free(gpointer owner);
