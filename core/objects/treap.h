/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A sorted set that is changed by making another one: what two sets have in common they share. Whoever holds a
 * reference reads without a lock. Looking up and changing take O(log n).
 *
 * NULL is the empty set.
 */
#pragma once

#include <glib.h>

typedef struct VireoTreap VireoTreap;

/* What is in it begins with this. */
typedef struct {
    gint refs;
    guint64 weight; /* at random, the same in all that compare as equal */
    void (*free)(gpointer item);
} VireoTreapItem;

/* A key against an item: negative, 0 or positive. */
typedef gint (*VireoTreapOrder)(gconstpointer key, gconstpointer item);

VireoTreap *vireo_treap_ref(VireoTreap *set);
void vireo_treap_unref(VireoTreap *set);
VireoTreapItem *vireo_treap_item_ref(gpointer item);
void vireo_treap_item_unref(gpointer item);

/* These take the reference to the set and return one to the changed set; a set that nobody else has is changed in
 * place. key: the item's own, as order wants it. */
VireoTreap *vireo_treap_put(VireoTreap *set, gpointer item, gconstpointer key, VireoTreapOrder order);
VireoTreap *vireo_treap_drop(VireoTreap *set, gconstpointer key, VireoTreapOrder order);

/* Borrowed; NULL: there is none. */
gpointer vireo_treap_find(const VireoTreap *set, gconstpointer key, VireoTreapOrder order);
/* In order. */
void vireo_treap_each(const VireoTreap *set, void (*fn)(gpointer item, gpointer opaque), gpointer opaque);
/* The first item that is not before key. */
gpointer vireo_treap_from(const VireoTreap *set, gconstpointer key, VireoTreapOrder order);
