/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Wire structs as JSON, and back, driven by their descriptors. A struct is an object with the
 * catalogue's field names. Exactly reversible:
 *   numbers          numbers; unsigned ones above 2^63-1 are decimal strings
 *   strings          strings; absent optional members are null
 *   uuid             "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
 *   opaque           base64
 *   char arrays      a string where they hold text, else an array of numbers
 *   unions           an object with one member, named by the variant
 * Reading is more generous: numbers also as decimal or 0x strings and as booleans, flags also as names;
 * numbers, optional members and arrays may be left out.
 */
#pragma once

#include <json-glib/json-glib.h>
#include "ops/catalogue.h"
#include "util/arena.h"
#include "util/uuid.h"

/* type NULL: an empty object. Caller owns the node. */
JsonNode *vireo_wire_to_json(const VireoWireType *type, gconstpointer in);
/* Fills `out` (type->size bytes, zeroed); pointers come from the arena. Error:
 * VIREO_ERR_INVALID_ARG that names the field. */
gboolean vireo_wire_from_json(const VireoWireType *type, JsonNode *node, VireoArena *arena,
                              gpointer out, GError **error);
/* The arguments of an operation; its flags may be "NAME|NAME" or an array of names. */
gboolean vireo_op_args_from_json(const VireoOp *op, JsonNode *node, VireoArena *arena, gpointer out,
                                 GError **error);
