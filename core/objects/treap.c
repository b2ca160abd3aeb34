/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects/treap.h"

/* Sorted from left to right, and by weight from top to bottom: so its shape is that of a tree built at random. */
struct VireoTreap {
    gint refs;
    VireoTreapItem *item;
    VireoTreap *left, *right;
};

VireoTreapItem *vireo_treap_item_ref(gpointer item)
{
    g_atomic_int_inc(&((VireoTreapItem *)item)->refs);
    return item;
}

void vireo_treap_item_unref(gpointer data)
{
    VireoTreapItem *item = data;

    if (item && g_atomic_int_dec_and_test(&item->refs))
        item->free(item);
}

VireoTreap *vireo_treap_ref(VireoTreap *set)
{
    if (set)
        g_atomic_int_inc(&set->refs);
    return set;
}

void vireo_treap_unref(VireoTreap *set)
{
    if (!set || !g_atomic_int_dec_and_test(&set->refs))
        return;
    vireo_treap_unref(set->left);
    vireo_treap_unref(set->right);
    vireo_treap_item_unref(set->item);
    g_slice_free(VireoTreap, set);
}

static VireoTreap *alone(gpointer item)
{
    VireoTreap *set = g_slice_new0(VireoTreap);

    set->refs = 1;
    set->item = vireo_treap_item_ref(item);
    return set;
}

/* The same, and nobody else's: what hangs below it is shared, and copied in its turn. */
static VireoTreap *own(VireoTreap *set)
{
    VireoTreap *copy;

    if (g_atomic_int_get(&set->refs) == 1)
        return set;
    copy = alone(set->item);
    copy->left = vireo_treap_ref(set->left);
    copy->right = vireo_treap_ref(set->right);
    vireo_treap_unref(set);
    return copy;
}

/* All of left is before all of right. */
static VireoTreap *join(VireoTreap *left, VireoTreap *right)
{
    if (!left || !right)
        return left ? left : right;
    if (left->item->weight > right->item->weight) {
        left = own(left);
        left->right = join(left->right, right);
        return left;
    }
    right = own(right);
    right->left = join(left, right->left);
    return right;
}

static VireoTreap *lift_left(VireoTreap *top)
{
    VireoTreap *lifted = top->left;

    top->left = lifted->right;
    lifted->right = top;
    return lifted;
}

static VireoTreap *lift_right(VireoTreap *top)
{
    VireoTreap *lifted = top->right;

    top->right = lifted->left;
    lifted->left = top;
    return lifted;
}

VireoTreap *vireo_treap_put(VireoTreap *set, gpointer item, gconstpointer key, VireoTreapOrder order)
{
    gint side;

    if (!set)
        return alone(item);
    set = own(set);
    side = order(key, set->item);
    if (side < 0) {
        set->left = vireo_treap_put(set->left, item, key, order);
        return set->left->item->weight > set->item->weight ? lift_left(set) : set;
    }
    if (side > 0) {
        set->right = vireo_treap_put(set->right, item, key, order);
        return set->right->item->weight > set->item->weight ? lift_right(set) : set;
    }
    vireo_treap_item_ref(item);
    vireo_treap_item_unref(set->item);
    set->item = item;
    return set;
}

VireoTreap *vireo_treap_drop(VireoTreap *set, gconstpointer key, VireoTreapOrder order)
{
    VireoTreap *rest;
    gint side;

    if (!set)
        return NULL;
    set = own(set);
    side = order(key, set->item);
    if (side < 0)
        set->left = vireo_treap_drop(set->left, key, order);
    if (side > 0)
        set->right = vireo_treap_drop(set->right, key, order);
    if (side)
        return set;
    rest = join(g_steal_pointer(&set->left), g_steal_pointer(&set->right));
    vireo_treap_unref(set);
    return rest;
}

gpointer vireo_treap_find(const VireoTreap *set, gconstpointer key, VireoTreapOrder order)
{
    while (set) {
        gint side = order(key, set->item);

        if (!side)
            return set->item;
        set = side < 0 ? set->left : set->right;
    }
    return NULL;
}

void vireo_treap_each(const VireoTreap *set, void (*fn)(gpointer item, gpointer opaque), gpointer opaque)
{
    for (; set; set = set->right) {
        vireo_treap_each(set->left, fn, opaque);
        fn(set->item, opaque);
    }
}

gpointer vireo_treap_from(const VireoTreap *set, gconstpointer key, VireoTreapOrder order)
{
    gpointer found = NULL;

    while (set) {
        if (order(key, set->item) <= 0) {
            found = set->item;
            set = set->left;
        } else {
            set = set->right;
        }
    }
    return found;
}
