/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XDR encoding and decoding of wire structs, driven by their descriptors, on libtirpc's primitives.
 * Every limit of the catalogue is enforced both ways, before anything is allocated.
 */
#pragma once

#include <glib.h>
#include "ops/catalogue.h"
#include "util/arena.h"

/* Decodes `size` bytes into `out` (type->size bytes, zeroed); pointers come from the arena. *used,
 * when not NULL, gets the number of bytes read: what follows is left alone. Error: VIREO_ERROR with
 * VIREO_ERR_RPC, naming the field. type NULL decodes nothing. */
gboolean vireo_wire_decode(const VireoWireType *type, const void *data, gsize size,
                           VireoArena *arena, gpointer out, gsize *used, GError **error);

/* Appends the encoding of `in` to `buffer`; on failure the buffer is as before. Errors: a NULL string
 * that is not optional, a value over its limit. */
gboolean vireo_wire_encode(const VireoWireType *type, gconstpointer in, GByteArray *buffer,
                           GError **error);

/* A copy of a struct with all it points to, in the arena. */
void vireo_wire_copy(const VireoWireType *type, gconstpointer from, VireoArena *arena, gpointer to);

/* Whether two structs would be encoded alike. */
gboolean vireo_wire_equal(const VireoWireType *type, gconstpointer a, gconstpointer b);
