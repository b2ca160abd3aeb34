/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Disks in memory: what each image holds, cell by cell, and what everybody expects to read. Plans are
 * carried out here step by step; each step is followed by a look at everything. */
#include <glib.h>

#include "qemu/graph/plan.h"

#define CELLS 8

typedef struct Model Model;

Model *model_new(guint seed);
void model_free(Model *model);
GRand *model_rand(Model *model);

/* A disk of the domain, its image given by the user. */
void model_add_disk(Model *model, const char *slot, const char *path, QemuFileKind kind);
/* The guest writes. */
void model_write(Model *model, const char *slot);
/* Something else reads path: a file of somebody else's on top of it (overlay) or a domain. */
void model_add_outside(Model *model, const char *name, const char *path, gboolean overlay);
void model_drop_outside(Model *model, const char *name);

/* What a daemon would find. */
QemuGraph *model_graph(Model *model);

/* Operations: planned on a fresh graph and carried out. crash: after how many steps the daemon dies (in
 * the middle of the last one) and recovers; G_MAXUINT: never. FALSE: refused with error. */
typedef struct {
    guint crash;
    guint collect; /* QemuCollectFlags */
    QemuPlan *plan; /* of the last operation; owned by the model */
} ModelWay;
gboolean model_create(Model *model, ModelWay *way, const char *name, const char *kinds,
                      QemuSnapKind memory, GError **error);
gboolean model_delete(Model *model, ModelWay *way, const char *const *names, guint n, GError **error);
gboolean model_forget(Model *model, ModelWay *way, const char *name);
gboolean model_revert(Model *model, ModelWay *way, const char *name, gboolean discard,
                      GError **error);
gboolean model_collect(Model *model, ModelWay *way);
gboolean model_shorten(Model *model, ModelWay *way, guint above);

/* Names of all snapshots, parents before children. The strings are the model's. */
GPtrArray *model_snapshots(Model *model);
/* The snapshot and all below it, children first. */
GPtrArray *model_subtree(Model *model, const char *name);
/* What the guest reads on a disk is what it read when the snapshot was taken. */
gboolean model_reads_as(Model *model, const char *slot, const char *snapshot);
gboolean model_exists(Model *model, const char *path);
const char *model_active(Model *model, const char *slot);
guint model_files(Model *model);
/* Everybody reads what is his; no file is left that should be gone. Aborts otherwise. */
void model_check(Model *model, gboolean collected);
guint64 model_steps(void);
