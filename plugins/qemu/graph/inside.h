/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of this folder share. */
#include "plan.h"

void qemu_error(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
void qemu_refuse(GError **error, int code, const char *instead, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

typedef struct QemuNode QemuNode;

typedef struct {
    char *tag;
    guint64 bytes;
    guint holds;
    gboolean released; /* given up by a snapshot: may be collected */
    gboolean waits;    /* but not yet */
    gboolean given;    /* a snapshot without metadata: the user's */
} QemuPoint;

struct QemuNode {
    char *path;
    QemuFileKind kind;
    guint flags; /* QemuFileFlags */
    guint64 bytes;
    QemuNode *backing;
    GPtrArray *children;
    GHashTable *points; /* tag -> QemuPoint */
    guint holds;        /* of the present content */
    guint outside;      /* how many of these, and of those of its points, are not ours */
    guint running;      /* and have it open */
    gboolean given;     /* it, or a point in it, is a snapshot without metadata */
};

typedef struct {
    char *slot;
    QemuNode *node;
    QemuPoint *point; /* NULL: the present content */
} QemuRef;

typedef struct {
    QemuHoldKind kind;
    char *name;
    GPtrArray *refs; /* QemuRef */
} QemuHolder;

struct QemuGraph {
    GHashTable *nodes;   /* path -> QemuNode */
    GHashTable *holders; /* key -> QemuHolder */
    char *incomplete; /* why there may be more that needs what is there; NULL: there is not */
    gboolean has_released_points;
    GHashTable *no_points; /* of all nodes without any: most have none */
};

QemuNode *qemu_graph_node(const QemuGraph *graph, const char *path);
QemuHolder *qemu_graph_holder(const QemuGraph *graph, QemuHoldKind kind, const char *name);
/* One reference of a holder; NULL: none. */
QemuRef *qemu_holder_ref(const QemuHolder *holder, const char *slot);
/* Drops one reference. released: files that lose one are marked so. */
void qemu_holder_drop(QemuHolder *holder, QemuRef *ref, gboolean released);
/* Drops a holder with all its references. */
void qemu_graph_drop(QemuGraph *graph, QemuHoldKind kind, const char *name, gboolean released);
void qemu_node_rebase(QemuNode *node, QemuNode *backing);
void qemu_node_drop_point(QemuNode *node, const char *tag);
void qemu_graph_mark_point(QemuGraph *graph, QemuPoint *point);
void qemu_graph_remove(QemuGraph *graph, QemuNode *node);
gboolean qemu_node_shared(const QemuNode *node);
/* Whether a guest that is not ours has it open, so that nobody else can write to it. */
gboolean qemu_node_is_open(const QemuNode *node);
gboolean qemu_node_has_held_points(const QemuNode *node);

QemuStep *qemu_plan_add(QemuPlan *plan, QemuStepKind kind, const char *image, const char *other,
                        const char *tag, const char *slot, guint64 bytes);
/* The active definition's slot moves to node. released: what it leaves may be collected. */
void qemu_plan_switch(QemuGraph *graph, QemuPlan *plan, const char *slot, QemuNode *node,
                      gboolean released);
