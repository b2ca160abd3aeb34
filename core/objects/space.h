/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A space: the published objects that the connections of one canonical URI see.
 *
 * Any thread may read or publish. Tables are guarded by a lock that is held for a few pointer
 * operations only, never over a callback, so no reader waits for a driver. Publishers of one space
 * follow each other, so that events leave in the order of the changes.
 */
#pragma once

#include <glib.h>
#include "objects/object.h"

/* Called for each event, with the publishers of the space held back. event: enum vireo_event_id; msg:
 * its message struct, valid during the call. */
typedef void (*VireoSpaceSink)(vireo_space *space, guint32 event, gconstpointer msg, gpointer opaque);

vireo_space *vireo_space_new(const char *name, VireoSpaceSink sink, gpointer opaque);
void vireo_space_free(vireo_space *space);
const char *vireo_space_name(const vireo_space *space);

void vireo_space_publish(vireo_space *space, const struct vireo_object *object);
void vireo_space_withdraw(vireo_space *space, guint klass, const char *name, const guint8 *uuid);
void vireo_space_publish_tree(vireo_space *space, guint klass, const guint8 *domain_uuid, guint n,
                              const struct vireo_tree_node *nodes);
/* One node of it more, or another one of that name. FALSE: it would be below itself. */
gboolean vireo_space_publish_node(vireo_space *space, guint klass, const guint8 *domain_uuid,
                                  const struct vireo_tree_node *node);
void vireo_space_withdraw_node(vireo_space *space, guint klass, const guint8 *domain_uuid, const char *name);
/* Hands another event to the sink, in order with the derived ones. */
void vireo_space_event(vireo_space *space, guint32 event, gconstpointer msg);

/* Who is told of what is done to a space, after it is done and before the next change. Must not block, nor
 * publish. */
typedef struct {
    void (*published)(vireo_space *space, const struct vireo_object *object, gpointer opaque);
    void (*withdrawn)(vireo_space *space, guint klass, const char *name, const guint8 *uuid, gpointer opaque);
    void (*tree)(vireo_space *space, guint klass, const guint8 *domain_uuid, guint n,
                 const struct vireo_tree_node *nodes, gpointer opaque);
    void (*node)(vireo_space *space, guint klass, const guint8 *domain_uuid, const struct vireo_tree_node *node,
                 gpointer opaque);
    void (*node_withdrawn)(vireo_space *space, guint klass, const guint8 *domain_uuid, const char *name,
                           gpointer opaque);
    void (*event)(vireo_space *space, guint32 event, gconstpointer msg, gpointer opaque); /* not the derived ones */
} VireoSpaceTap;
/* Before anything is published. */
void vireo_space_set_tap(vireo_space *space, const VireoSpaceTap *tap, gpointer opaque);
/* Runs fn while nothing changes; fn may read the space. */
void vireo_space_hold(vireo_space *space, void (*fn)(vireo_space *space, gpointer opaque), gpointer opaque);

/* Whether any object of that class has ever been published here. */
gboolean vireo_space_serves(vireo_space *space, guint klass);

/* A new reference, or NULL. O(1). */
VireoObject *vireo_space_by_uuid(vireo_space *space, guint klass, const guint8 *uuid);
VireoObject *vireo_space_by_name(vireo_space *space, guint klass, const char *name);
VireoObject *vireo_space_by_id(vireo_space *space, guint klass, gint32 id);

/* Whether an object is wanted; opaque is the caller's. */
typedef gboolean (*VireoObjectFilter)(const VireoObject *object, gconstpointer opaque);
/* References to the wanted objects (filter NULL: all), in no particular order. */
GPtrArray *vireo_space_list(vireo_space *space, guint klass, VireoObjectFilter filter,
                            gconstpointer opaque);
