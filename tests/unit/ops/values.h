/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Generated values of any wire type, and a comparison that does not go through the codec. */
#pragma once

#include "ops/catalogue.h"
#include "util/arena.h"

typedef enum { VALUES_ABSENT, VALUES_PRESENT, VALUES_MIXED } ValuesOptional;

typedef struct {
    GRand *rand;
    VireoArena *arena;
    guint elements;          /* of every array, as far as its limit and the depth allow */
    ValuesOptional optional; /* members that may be missing */
    guint arm;               /* which arm of every union; G_MAXUINT: any */
    guint depth;
    gboolean ascii;          /* strings hold ASCII only, not just any bytes */
} Values;

/* Fills a zeroed struct. */
void values_fill(Values *values, const VireoWireType *type, gpointer out);
/* Fills one element of a field: what an array holds, or an optional member points to. */
void values_fill_one(Values *values, const VireoWireField *field, gpointer out);
/* Bytes of such an element in memory. */
gsize values_element_size(const VireoWireField *field);
/* Whether two structs say the same. */
gboolean values_same(const VireoWireType *type, gconstpointer a, gconstpointer b);

/* Every type that an operation, an error or a stream uses, at any depth: GPtrArray of
 * VireoWireType. */
GPtrArray *values_all_types(void);
