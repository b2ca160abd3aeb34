/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine.h"
#include "qcow2.h"

/* One look at all a domain's images and snapshots consist of, whoever made them. Unlike the engine it goes on
 * behind whatever is broken. Nothing is changed by looking. */

typedef struct {
    const char *kind;
    int severity; /* VIREO_DOCTOR_... */
    char *file, *snapshot, *text, *remedy;
    gboolean repairable;
} QemuFinding;

/* An image file as it was found; text NULL: nothing is wrong with it and with what it is based on. */
typedef struct {
    char *path;
    QemuImageInfo *info; /* NULL: it cannot be read */
    gboolean missing, broken; /* the file itself; it or something below it */
} QemuLooked;

typedef struct {
    QemuDomain *dom;
    vireo_call *call;
    const VireoDomain *doc; /* what runs, or else the stored definition */
    QemuFiles *files;
    GPtrArray *findings; /* QemuFinding */
    GHashTable *images;  /* path -> QemuLooked */
    GHashTable *dirs;    /* of images that are there */
    GPtrArray *ghosts;   /* char *: snapshots of which nothing is left */
    GPtrArray *points;   /* char *: images with a point that an operation left behind */
    GPtrArray *leaks;    /* char *: files of ours that nothing needs */
    gboolean whole;      /* the definition's own images are all right */
    gboolean unfinished; /* an operation was cut short, and has not been finished or undone */
} QemuDoctor;

void qemu_doctor_find(QemuDoctor *doctor, const char *kind, int severity, const char *file,
                      const char *snapshot, char *text, char *remedy, gboolean repairable);
/* doctor_chain.c: looks at an image and all below it, once. wants_qcow2: as a definition says. */
const QemuLooked *qemu_doctor_look(QemuDoctor *doctor, const char *path, gboolean wants_qcow2);
void qemu_looked_free(gpointer looked);
/* doctor_snapshots.c */
void qemu_doctor_snapshots(QemuDoctor *doctor);
void qemu_doctor_metadata(QemuDoctor *doctor);
/* doctor_left.c: what nobody refers to, and what others refer to. */
void qemu_doctor_left(QemuDoctor *doctor, const QemuGraph *graph);
