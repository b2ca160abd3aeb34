/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/json.h"

#include <stdarg.h>

static void json_add(JsonObject *object, int type, const char *name, va_list *args)
{
    const char *string;
    JsonObject *child;
    JsonArray *array;

    switch (type) {
    case 's':
        string = va_arg(*args, const char *);
        if (string)
            json_object_set_string_member(object, name, string);
        break;
    case 'i':
        json_object_set_int_member(object, name, va_arg(*args, gint64));
        break;
    case 'b':
        json_object_set_boolean_member(object, name, va_arg(*args, int) != 0);
        break;
    case 'd':
        json_object_set_double_member(object, name, va_arg(*args, double));
        break;
    case 'o':
        child = va_arg(*args, JsonObject *);
        if (child)
            json_object_set_object_member(object, name, child);
        break;
    case 'a':
        array = va_arg(*args, JsonArray *);
        if (array)
            json_object_set_array_member(object, name, array);
        break;
    default:
        g_error("vireo_json_new: unknown type '%c' for member '%s'", type, name);
    }
}

JsonObject *vireo_json_new(int type, ...)
{
    JsonObject *object = json_object_new();
    va_list args;

    va_start(args, type);
    while (type) {
        const char *name = va_arg(args, const char *);

        json_add(object, type, name, &args);
        type = va_arg(args, int);
    }
    va_end(args);
    return object;
}

JsonArray *vireo_json_strings(const char *first, ...)
{
    JsonArray *array = json_array_new();
    va_list args;

    va_start(args, first);
    for (const char *string = first; string; string = va_arg(args, const char *))
        json_array_add_string_element(array, string);
    va_end(args);
    return array;
}

char *vireo_json_text(JsonObject *object)
{
    g_autoptr(JsonNode) node = json_node_alloc();

    json_node_init_object(node, object);
    return json_to_string(node, FALSE);
}

JsonObject *vireo_json_parse(const char *text, gssize len, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();

    if (!json_parser_load_from_data(parser, text, len, error))
        return NULL;
    JsonNode *root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        g_set_error_literal(error, JSON_PARSER_ERROR, JSON_PARSER_ERROR_INVALID_DATA,
                            "not a JSON object");
        return NULL;
    }
    return json_node_dup_object(root);
}

static JsonNode *json_member(JsonObject *object, const char *name)
{
    return object ? json_object_get_member(object, name) : NULL;
}

const char *vireo_json_string(JsonObject *object, const char *name)
{
    JsonNode *node = json_member(object, name);

    if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
        return NULL;
    return json_node_get_string(node);
}

gint64 vireo_json_int(JsonObject *object, const char *name, gint64 fallback)
{
    JsonNode *node = json_member(object, name);

    if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) == G_TYPE_STRING)
        return fallback;
    return json_node_get_int(node);
}

gboolean vireo_json_bool(JsonObject *object, const char *name)
{
    JsonNode *node = json_member(object, name);

    if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_BOOLEAN)
        return FALSE;
    return json_node_get_boolean(node);
}

JsonObject *vireo_json_node_object(JsonNode *node)
{
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *vireo_json_node_array(JsonNode *node)
{
    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

JsonObject *vireo_json_object(JsonObject *object, const char *name)
{
    return vireo_json_node_object(json_member(object, name));
}

JsonArray *vireo_json_array(JsonObject *object, const char *name)
{
    return vireo_json_node_array(json_member(object, name));
}

guint vireo_json_length(JsonArray *array)
{
    return array ? json_array_get_length(array) : 0;
}

JsonObject *vireo_json_element(JsonArray *array, guint index)
{
    if (index >= vireo_json_length(array))
        return NULL;
    return vireo_json_node_object(json_array_get_element(array, index));
}
