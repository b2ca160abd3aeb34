/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* The bitmaps in image files, whether QEMU has a file open or not. What was written since a checkpoint is
 * what the bitmaps of one name say together, in all images of a chain: moving them from one image of a
 * chain to another changes nothing. Job held. */

typedef struct {
    char *name;
    gboolean recording; /* notes are being taken, or were when the image was covered by another */
    gboolean broken;    /* QEMU died while it was in use: it says nothing */
} QemuBitmap;

/* Those an image holds (QemuBitmap). qmp: NULL when no QEMU has it open. */
GPtrArray *qemu_bitmaps_of(VireoQmp *qmp, const char *path, GError **error);
/* The same from the file alone (qcow2_bitmaps.c). */
GPtrArray *qemu_bitmaps_read(const char *path, GError **error);
const QemuBitmap *qemu_bitmaps_find(GPtrArray *bitmaps, const char *name);
void qemu_bitmap_new(GPtrArray *bitmaps, const char *name, gboolean recording, gboolean broken);
GPtrArray *qemu_bitmaps_new(void);

typedef enum {
    QEMU_BITMAP_ADD,     /* one that takes notes */
    QEMU_BITMAP_ADD_OFF, /* one that takes none */
    QEMU_BITMAP_ENABLE,
    QEMU_BITMAP_DISABLE,
    QEMU_BITMAP_MERGE,   /* adds what `other` in image `from` says */
    QEMU_BITMAP_REMOVE,
} QemuBitmapOp;

typedef struct {
    QemuBitmapOp op;
    char *name, *from, *other;
} QemuBitmapEdit;
GPtrArray *qemu_bitmap_edits(void);
/* from: NULL: the image itself. */
void qemu_bitmap_edit(GPtrArray *edits, QemuBitmapOp op, const char *name, const char *from,
                      const char *other);
/* Changes one image, in QEMU at once, in a file one after the other. */
gboolean qemu_bitmaps_change(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *path,
                             GPtrArray *edits, GError **error);

/* ---- what happens to images ------------------------------------------------------------------------ */

/* A new overlay goes on with the notes of the image it covers. Files only. */
gboolean qemu_bitmaps_carry(QemuDomain *dom, vireo_call *call, const char *covered,
                            const char *overlay, GError **error);
/* What the images below `image`, down to but without `base` (NULL: all), note down is noted down in it:
 * before they go. What cannot be saved is not relied on any more. */
void qemu_bitmaps_raise(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *image,
                        const char *base);
/* Files only, while data is copied up into the image: nothing but `aside` has them until they are put back.
 * Either may be done again after it was cut short. */
gboolean qemu_bitmaps_set_aside(QemuDomain *dom, vireo_call *call, const char *image, const char *aside,
                                GError **error);
gboolean qemu_bitmaps_put_back(QemuDomain *dom, const char *image, const char *aside, GError **error);
/* The disk moves from the images of `chain` (paths, the disk's own first) to `target`, which is written to
 * already: notes are taken there from now on. */
gboolean qemu_bitmaps_move(QemuDomain *dom, VireoQmp *qmp, const char *const *chain,
                           const char *target, GError **error);
/* The content of the image becomes another one, from which on they would be wrong. */
gboolean qemu_bitmaps_drop(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *path,
                           GError **error);
