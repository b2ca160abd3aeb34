/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* A checkpoint is a bitmap in the image of each disk that takes part: what was written since. Only the
 * latest one of a disk notes anything down; older ones are frozen, and what changed since one of them
 * is what it and all later ones say together. */

/* ---- metadata (checkpoint_tree.c): thread safe; changes are on disk when a function returns ---------- */

QemuCheckpoints *qemu_checkpoints_new(void);
void qemu_checkpoints_free(QemuCheckpoints *points);
void qemu_checkpoints_load(QemuDomain *dom);
void qemu_checkpoints_publish(QemuDomain *dom);
guint qemu_checkpoints_count(QemuDomain *dom);
/* A copy; NULL: there is none of that name. */
VireoDomainCheckpoint *qemu_checkpoint_find(QemuDomain *dom, const char *name);
/* The one that takes notes, hidden or not; NULL: none. Caller frees. */
char *qemu_checkpoint_current(QemuDomain *dom);
/* The latest that clients see. */
char *qemu_checkpoint_current_seen(QemuDomain *dom);

/* A checkpoint that clients do not see any more stays where others need what it noted down. */
typedef enum {
    QEMU_CHECKPOINT_GONE,
    QEMU_CHECKPOINT_SEEN,
    QEMU_CHECKPOINT_FORGOTTEN, /* its bitmaps are all there */
    QEMU_CHECKPOINT_DELETED,   /* its bitmaps went into those before it where they could */
} QemuCheckpointFate;
QemuCheckpointFate qemu_checkpoint_fate(QemuDomain *dom, const char *name);
/* Clients do not see it any more; it goes when nothing comes before it. */
gboolean qemu_checkpoint_hide(QemuDomain *dom, const char *name, QemuCheckpointFate fate,
                              GError **error);
/* What name (NULL: any) noted down is lost: nobody relies on it, or on those before it, any more. */
void qemu_checkpoint_cut(QemuDomain *dom, const char *name);
gboolean qemu_checkpoint_set_current(QemuDomain *dom, const char *name, GError **error);
/* Names below name, children before parents. */
GPtrArray *qemu_checkpoint_below(QemuDomain *dom, const char *name);
/* name and those before it, hidden ones too (copies, latest first); empty: there is none. */
GPtrArray *qemu_checkpoint_before(QemuDomain *dom, const char *name);
/* The current one and those before it down to name; NULL: name is not among them. name NULL: all. */
GPtrArray *qemu_checkpoint_line(QemuDomain *dom, const char *name);
/* Adds or replaces; takes doc. current: it is the latest now. */
gboolean qemu_checkpoint_put(QemuDomain *dom, VireoDomainCheckpoint *doc, gboolean current,
                             GError **error);
/* Its children get its parent, which becomes the latest if it was. */
gboolean qemu_checkpoint_remove(QemuDomain *dom, const char *name, GError **error);
gboolean qemu_checkpoints_remove_all(QemuDomain *dom, GError **error);
/* The bitmap a checkpoint has of a disk. */
gboolean qemu_checkpoint_has(const VireoDomainCheckpoint *doc, const char *dev);

/* ---- images (checkpoint_images.c) -------------------------------------------------------------------- */

/* After the domain's disks got other images: the latest is the one that takes notes in them. */
void qemu_checkpoints_reseat(QemuDomain *dom);
/* Whether that is so on all disks of the new one: otherwise it follows nothing. */
gboolean qemu_checkpoint_continues(QemuDomain *dom, VireoQmp *qmp, const VireoDomain *machine,
                                   const VireoDomainCheckpoint *doc);
/* Refuses a name that a bitmap in one of the domain's images has. */
gboolean qemu_checkpoint_name_free(QemuDomain *dom, VireoQmp *qmp, const VireoDomain *machine,
                                   const char *name, GError **error);
/* Its bitmaps go into those before it, in every image the domain or a snapshot has. *left: not in all. */
gboolean qemu_checkpoint_dissolve(QemuDomain *dom, vireo_call *call, VireoQmp *qmp,
                                  const VireoDomain *machine, const char *name, gboolean *left,
                                  GError **error);
/* Every image of the disks has its bitmap, of a domain that is off. */
gboolean qemu_checkpoint_make_off(QemuDomain *dom, vireo_call *call, const VireoDomain *machine,
                                  const VireoDomainCheckpoint *doc, GError **error);

/* ---- making (checkpoint.c) ------------------------------------------------------------------------- */

/* Name, disks and parent of a new checkpoint, checked. */
gboolean qemu_checkpoint_prepare(QemuDomain *dom, VireoQmp *qmp, const VireoDomain *machine,
                                 VireoDomainCheckpoint *doc, GError **error);
/* What QEMU is to do for it, for a transaction; NULL with error. */
JsonArray *qemu_checkpoint_actions(QemuDomain *dom, VireoQmp *qmp, const VireoDomain *machine,
                                   const VireoDomainCheckpoint *doc, GError **error);

/* ---- bitmaps (checkpoint_bitmaps.c): job held ------------------------------------------------------ */

/* One image of a disk's chain in QEMU. */
typedef struct {
    char *node;
    JsonNode *owner;
    JsonArray *bitmaps; /* as QEMU lists them */
} QemuLayer;
/* The disk's own image first (QemuLayer). */
GPtrArray *qemu_bitmap_layers(VireoQmp *qmp, const VireoDomainDisk *disk, GError **error);
JsonObject *qemu_bitmap_in(const QemuLayer *layer, const char *name);
/* An entry of a transaction. */
JsonObject *qemu_bitmap_action(const char *type, const char *node, const char *name);
/* Makes `into` in the disk's image: what was written since checkpoint `since`. Refused with
 * CHECKPOINT_INCONSISTENT when that cannot be told. */
gboolean qemu_bitmap_since(QemuDomain *dom, VireoQmp *qmp, const VireoDomainDisk *disk,
                           const char *since, const char *into, GError **error);
/* The same as part of a transaction. */
gboolean qemu_bitmap_since_actions(QemuDomain *dom, GPtrArray *layers, const VireoDomainDisk *disk,
                                   const char *since, const char *into, JsonArray *actions,
                                   GError **error);
void qemu_bitmap_drop(VireoQmp *qmp, const char *node, const char *name);
gboolean qemu_transaction(VireoQmp *qmp, JsonArray *actions, GError **error);
