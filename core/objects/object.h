/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a driver published of one object. Immutable once built and reference counted, so a reader
 * keeps a consistent view without any lock. */
#pragma once

#include <glib.h>
#include <vireo/driver.h>
#include "objects/tree.h"

typedef struct {
    gint refs;
    guint klass;
    char *name;
    guint8 uuid[16];
    gint32 id;
    gint32 state, reason;
    guint32 flags; /* enum vireo_object_flags */
    guint32 vcpus;
    guint64 max_memory_kib, memory_kib;
    char *os_type; /* interned; may be NULL */
    char *key;     /* may be NULL */
    gint32 kind;
    VireoTree *snapshots, *checkpoints; /* NULL: none */
} VireoObject;

VireoObject *vireo_object_new(const struct vireo_object *published);
/* As its driver published it; strings are borrowed, no event is asked for. */
void vireo_object_describe(const VireoObject *object, struct vireo_object *ret);
/* The same object with another tree; takes the tree's reference. */
VireoObject *vireo_object_with_tree(const VireoObject *object, guint klass, VireoTree *tree);
VireoObject *vireo_object_ref(VireoObject *object);
void vireo_object_unref(VireoObject *object);

gboolean vireo_object_is_active(const VireoObject *object);
gboolean vireo_object_has_uuid(const VireoObject *object);
/* The tree of VIREO_CLASS_DOMAIN_SNAPSHOT or VIREO_CLASS_DOMAIN_CHECKPOINT; borrowed, may be NULL. */
VireoTree *vireo_object_tree(const VireoObject *object, guint klass);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoObject, vireo_object_unref)
