/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* Small conveniences over json-glib for the two things drivers do all day: build an object in one
 * expression and read members of a peer's answer that may be missing or of another type. */

/* Builds an object from triples (type, name, value), ended by 0:
 *   's' const char * (NULL: member left out)   'i' gint64   'b' int as boolean   'd' double
 *   'o' JsonObject * (taken; NULL: left out)   'a' JsonArray * (taken; NULL: left out)
 * vireo_json_new('s', "id", id, 'i', "size", (gint64)n, 0). Caller owns the result. */
JsonObject *vireo_json_new(int type, ...);
/* Same, an array of strings ended by NULL. */
JsonArray *vireo_json_strings(const char *first, ...) G_GNUC_NULL_TERMINATED;

/* Compact text of an object; caller frees. */
char *vireo_json_text(JsonObject *object);
/* Parses text; NULL and error when it is no JSON object. Caller owns the result. */
JsonObject *vireo_json_parse(const char *text, gssize len, GError **error);

/* Readers: never fail, give the fallback (NULL, 0, FALSE) when the member is missing or of another
 * type. Strings, objects and arrays stay owned by the object. object may be NULL. */
const char *vireo_json_string(JsonObject *object, const char *name);
gint64 vireo_json_int(JsonObject *object, const char *name, gint64 fallback);
gboolean vireo_json_bool(JsonObject *object, const char *name);
JsonObject *vireo_json_object(JsonObject *object, const char *name);
JsonArray *vireo_json_array(JsonObject *object, const char *name);
/* Length of an array, 0 for NULL; element as object, NULL when it is none. */
guint vireo_json_length(JsonArray *array);
JsonObject *vireo_json_element(JsonArray *array, guint index);
/* The node as object or array, NULL when it is none. */
JsonObject *vireo_json_node_object(JsonNode *node);
JsonArray *vireo_json_node_array(JsonNode *node);

G_END_DECLS
