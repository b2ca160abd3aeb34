/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "graph.h"

G_BEGIN_DECLS

typedef enum {
    QEMU_STEP_OVERLAY,    /* make image on top of other */
    QEMU_STEP_ADOPT,      /* image is there already and becomes an overlay of other */
    QEMU_STEP_POINT,      /* take internal snapshot tag in image */
    QEMU_STEP_STATE,      /* write memory of the guest to image */
    QEMU_STEP_COPY,       /* make image a copy of other, a file beside the disks; tag: how */
    QEMU_STEP_EXTRACT,    /* make image from internal snapshot tag of other */
    QEMU_STEP_CLONE,      /* the same, and it holds that internal snapshot with its memory too */
    QEMU_STEP_APPLY,      /* make internal snapshot tag the content of image */
    QEMU_STEP_SWITCH,     /* the active definition's slot is image from now on */
    QEMU_STEP_REPLACE,    /* image, a file beside the disks, is other from now on; that name goes */
    QEMU_STEP_KEEP,       /* the snapshot tag is entered into the tree */
    QEMU_STEP_FORGET,     /* the snapshot tag is taken out of the tree */
    QEMU_STEP_CURRENT,    /* the snapshot tag is the current one */
    QEMU_STEP_DROP_POINT, /* remove internal snapshot tag from image */
    QEMU_STEP_PULL,       /* copy what lies between image and other up into image; other may be NULL */
    QEMU_STEP_COMMIT,     /* write the data of image down into other, its backing file */
    QEMU_STEP_REPOINT,    /* image is based on other, which reads the same, from now on */
    QEMU_STEP_UNLINK,     /* remove image */
} QemuStepKind;
const char *qemu_step_kind_name(QemuStepKind kind);

/* One step. Carrying it out twice is the same as once, and so is cutting it short and beginning
 * again. */
typedef struct {
    QemuStepKind kind;
    char *image, *other, *tag, *slot;
    guint64 bytes; /* estimate of what is copied */
} QemuStep;

/* Steps before no_return are undone when the plan is cut short, the others are carried through. */
typedef struct {
    GPtrArray *steps; /* QemuStep */
    guint no_return;
} QemuPlan;

QemuPlan *qemu_plan_new(void);
void qemu_plan_free(QemuPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuPlan, qemu_plan_free)
const QemuStep *qemu_plan_step(const QemuPlan *plan, guint index);
/* For journals. */
char *qemu_plan_text(const QemuPlan *plan);
QemuPlan *qemu_plan_parse(const char *text, gsize len, GError **error);
/* What undoes the first done steps (begun counts as done); NULL: there is no way back. */
QemuPlan *qemu_plan_rollback(const QemuPlan *plan, guint done);
guint64 qemu_plan_bytes(const QemuPlan *plan);

/* The tag under which the content is kept that an APPLY overwrites. */
#define QEMU_UNDO_TAG "vireo-undo"

/* ---- planning: the graph is afterwards what it will be once the plan is carried out --------------
 * A function that fails leaves the graph in no useful state. */

typedef enum { QEMU_SNAP_NO, QEMU_SNAP_INTERNAL, QEMU_SNAP_EXTERNAL, QEMU_SNAP_MANUAL } QemuSnapKind;

typedef struct {
    const char *slot;
    QemuSnapKind kind;
    const char *overlay; /* of an external one */
    gboolean reuse;      /* the overlay is there already */
} QemuSnapDisk;

/* A file beside the disks that belongs to the guest, such as its firmware's variables. */
typedef struct {
    const char *slot;
    const char *live;  /* what the guest uses */
    const char *copy;  /* what the snapshot keeps of it */
    const char *fresh; /* reverting: the name of a new file that becomes live */
    const char *how;   /* for whoever copies */
} QemuSideFile;

typedef struct {
    const char *name;
    const QemuSnapDisk *disks;
    guint n_disks;
    QemuSnapKind memory;     /* INTERNAL is inside one of the disks' points */
    const char *memory_file; /* of EXTERNAL */
    gboolean forget;         /* no metadata is kept */
    const QemuSideFile *sides;
    guint n_sides;
} QemuSnapRequest;

gboolean qemu_plan_create(QemuGraph *graph, QemuPlan *plan, const QemuSnapRequest *request,
                          GError **error);

/* How files that nobody needs any more are collected. */
typedef enum {
    QEMU_COLLECT_COMMIT = 1 << 0, /* may write down into an image that only its one overlay reads */
} QemuCollectFlags;
/* Drops the references of these snapshots, then collects. */
gboolean qemu_plan_delete(QemuGraph *graph, QemuPlan *plan, const char *const *names,
                          guint n_names, guint flags, GError **error);
/* Forgets snapshots; their files stay whatever happens. */
void qemu_plan_forget(QemuGraph *graph, QemuPlan *plan, const char *const *names, guint n_names);
/* Removes an internal snapshot that nothing refers to. */
void qemu_plan_drop_point(QemuGraph *graph, QemuPlan *plan, const char *path, const char *tag);
/* Released files: gone, merged or left as hidden nodes. */
void qemu_plan_collect(QemuGraph *graph, QemuPlan *plan, guint flags);
/* After collecting: the present's chains with more than so many images lose a released one that several are based
 * on, one each. It is copied into the side of the present, and stays for the others. */
void qemu_plan_shorten(QemuGraph *graph, QemuPlan *plan, guint above);

typedef struct {
    const char *name; /* the snapshot */
    gboolean discard; /* overlays with a present that no snapshot holds are given up */
    gboolean memory;  /* one of its internal snapshots holds the guest's memory */
    /* The name of a new image for a slot; the caller frees it. */
    char *(*new_image)(const char *slot, void *opaque);
    void *opaque;
    const QemuSideFile *sides;
    guint n_sides;
    GHashTable *misleading; /* paths: there QEMU would load the memory of another one. NULL: none */
} QemuRevertRequest;
gboolean qemu_plan_revert(QemuGraph *graph, QemuPlan *plan, const QemuRevertRequest *request,
                          GError **error);

G_END_DECLS
