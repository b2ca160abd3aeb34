/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ops/json.h"

#include <string.h>

#include "util/error.h"

/* ---- to JSON ---- */

static JsonNode *text_node(const char *text)
{
    g_autofree char *valid = NULL;
    JsonNode *node;

    if (!text)
        return json_node_new(JSON_NODE_NULL);
    /* The wire promises UTF-8, but a guest's console log or a file name may not keep to it. */
    valid = g_utf8_make_valid(text, -1);
    node = json_node_new(JSON_NODE_VALUE);
    json_node_set_string(node, valid);
    return node;
}

static JsonNode *int_node(gint64 value)
{
    JsonNode *node = json_node_new(JSON_NODE_VALUE);

    json_node_set_int(node, value);
    return node;
}

static JsonNode *unsigned_node(guint64 value)
{
    g_autofree char *text = NULL;

    if (value <= G_MAXINT64)
        return int_node((gint64)value);
    text = g_strdup_printf("%" G_GUINT64_FORMAT, value);
    return text_node(text);
}

static JsonNode *base64_node(const void *data, gsize size)
{
    g_autofree char *text = g_base64_encode(data, size);

    return text_node(text);
}

static JsonNode *one_node(const VireoWireField *field, const char *at)
{
    char uuid[37];
    JsonNode *node;

    switch (field->kind) {
    case VIREO_WIRE_INT:
        return int_node(*(const gint32 *)at);
    case VIREO_WIRE_UINT:
        return int_node(*(const guint32 *)at);
    case VIREO_WIRE_HYPER:
        return int_node(*(const gint64 *)at);
    case VIREO_WIRE_UHYPER:
        return unsigned_node(*(const guint64 *)at);
    case VIREO_WIRE_DOUBLE:
        node = json_node_new(JSON_NODE_VALUE);
        json_node_set_double(node, *(const double *)at);
        return node;
    case VIREO_WIRE_CHAR:
        return int_node(*(const gint8 *)at);
    case VIREO_WIRE_UCHAR:
        return int_node(*(const guint8 *)at);
    case VIREO_WIRE_SHORT:
        return int_node(*(const gint16 *)at);
    case VIREO_WIRE_USHORT:
        return int_node(*(const guint16 *)at);
    case VIREO_WIRE_STRING:
        return text_node(*(char *const *)at);
    case VIREO_WIRE_UUID:
        vireo_uuid_format((const guint8 *)at, uuid);
        return text_node(uuid);
    case VIREO_WIRE_OPAQUE:
        return base64_node(((const VireoWireArray *)at)->val, ((const VireoWireArray *)at)->len);
    case VIREO_WIRE_STRUCT:
        return vireo_wire_to_json(field->type, at);
    default:
        return json_node_new(JSON_NODE_NULL);
    }
}

/* Whether n chars read back the same from a string: text, and then nothing but NULs if fixed. */
static gboolean is_text(const char *at, gsize n, gboolean padded)
{
    gsize length = strnlen(at, n);

    for (gsize i = length; i < n; i++)
        if (!padded || at[i])
            return FALSE;
    return g_utf8_validate(at, length, NULL);
}

static JsonNode *list_node(const VireoWireField *field, const char *at, gsize n)
{
    gsize size = vireo_wire_element_size(field);
    JsonArray *array;
    JsonNode *node;

    if (field->kind == VIREO_WIRE_CHAR && is_text(at, n, field->form == VIREO_WIRE_FIXED)) {
        g_autofree char *text = g_strndup(at, n);

        return text_node(text);
    }
    array = json_array_sized_new(n);
    for (gsize i = 0; i < n; i++)
        json_array_add_element(array, one_node(field, at + i * size));
    node = json_node_new(JSON_NODE_ARRAY);
    json_node_take_array(node, array);
    return node;
}

static JsonNode *field_node(const VireoWireField *field, const char *at)
{
    const VireoWireArray *array = (const VireoWireArray *)at;
    const char *target;

    switch (field->form) {
    case VIREO_WIRE_OPTIONAL:
        target = *(char *const *)at;
        if (!target)
            return json_node_new(JSON_NODE_NULL);
        return one_node(field, field->kind == VIREO_WIRE_STRING ? at : target);
    case VIREO_WIRE_ARRAY:
        return list_node(field, array->val, array->len);
    case VIREO_WIRE_FIXED:
        if (field->kind == VIREO_WIRE_OPAQUE)
            return base64_node(at, field->limit);
        return list_node(field, at, field->limit);
    default:
        return one_node(field, at);
    }
}

JsonNode *vireo_wire_to_json(const VireoWireType *type, gconstpointer in)
{
    JsonObject *object = json_object_new();
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);

    for (guint i = 0; type && i < type->n_fields; i++) {
        const VireoWireField *field = &type->fields[i];

        if (type->tags && type->tags[i] != *(const gint32 *)in)
            continue;
        json_object_set_member(object, field->name,
                               field_node(field, (const char *)in + field->offset));
    }
    json_node_take_object(node, object);
    return node;
}

/* ---- from JSON ---- */

static gboolean refuse(const VireoWireField *field, const char *what, GError **error)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "'%s' %s", field->name, what);
    return FALSE;
}

static const char *node_text(JsonNode *node)
{
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING
               ? json_node_get_string(node)
               : NULL;
}

/* A whole number between low and high, in two's complement. */
static gboolean read_number(const VireoWireField *field, JsonNode *node, gint64 low, guint64 high,
                            guint64 *ret, GError **error)
{
    const char *text = node_text(node);
    gboolean ok = FALSE, negative = FALSE;
    char *end = NULL;

    *ret = 0;
    if (text && *text) {
        negative = *text == '-';
        *ret = negative ? (guint64)g_ascii_strtoll(text, &end, 0) : g_ascii_strtoull(text, &end, 0);
        ok = end != text && !*end;
    } else if (JSON_NODE_HOLDS_VALUE(node)) {
        GType type = json_node_get_value_type(node);

        ok = type == G_TYPE_INT64 || type == G_TYPE_BOOLEAN;
        *ret = type == G_TYPE_BOOLEAN ? (guint64)json_node_get_boolean(node)
                                      : (guint64)json_node_get_int(node);
        negative = (gint64)*ret < 0;
    }
    if (!ok)
        return refuse(field, "must be a whole number", error);
    if (negative ? (gint64)*ret < low : *ret > high)
        return refuse(field, "is out of range", error);
    return TRUE;
}

static gboolean read_double(const VireoWireField *field, JsonNode *node, double *ret, GError **error)
{
    const char *text = node_text(node);
    char *end = NULL;

    if (text) {
        *ret = g_ascii_strtod(text, &end);
        return (end != text && !*end) || refuse(field, "must be a number", error);
    }
    if (!JSON_NODE_HOLDS_VALUE(node))
        return refuse(field, "must be a number", error);
    *ret = json_node_get_double(node);
    return TRUE;
}

static gboolean read_base64(const VireoWireField *field, JsonNode *node, VireoArena *arena,
                            VireoWireArray *ret, GError **error)
{
    const char *text = node_text(node);
    g_autofree guchar *bytes = NULL;
    gsize size = 0;

    if (!text)
        return refuse(field, "must be a base64 string", error);
    if (*text)
        bytes = g_base64_decode(text, &size);
    if (size > field->limit)
        return refuse(field, "is too long", error);
    ret->len = size;
    ret->val = vireo_arena_alloc(arena, size);
    if (size)
        memcpy(ret->val, bytes, size);
    return TRUE;
}

static gboolean read_string(const VireoWireField *field, JsonNode *node, VireoArena *arena, char **ret,
                            GError **error)
{
    const char *text = node_text(node);

    if (text)
        *ret = vireo_arena_strdup(arena, text);
    else if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64)
        *ret = vireo_arena_printf(arena, "%" G_GINT64_FORMAT, json_node_get_int(node));
    else
        return refuse(field, "must be a string", error);
    return TRUE;
}

static gboolean read_one(const VireoWireField *field, JsonNode *node, VireoArena *arena, char *at,
                         GError **error);

static gboolean read_small(const VireoWireField *field, JsonNode *node, char *at, GError **error)
{
    static const struct {
        gint64 low;
        guint64 high;
    } ranges[] = {
        [VIREO_WIRE_INT] = { G_MININT32, G_MAXINT32 },  [VIREO_WIRE_UINT] = { 0, G_MAXUINT32 },
        [VIREO_WIRE_CHAR] = { G_MININT8, G_MAXINT8 },   [VIREO_WIRE_UCHAR] = { 0, G_MAXUINT8 },
        [VIREO_WIRE_SHORT] = { G_MININT16, G_MAXINT16 }, [VIREO_WIRE_USHORT] = { 0, G_MAXUINT16 },
        [VIREO_WIRE_HYPER] = { G_MININT64, G_MAXINT64 }, [VIREO_WIRE_UHYPER] = { 0, G_MAXUINT64 },
    };
    guint64 value;

    if (!read_number(field, node, ranges[field->kind].low, ranges[field->kind].high, &value, error))
        return FALSE;
    switch (vireo_wire_element_size(field)) {
    case 1:
        *(guint8 *)at = (guint8)value;
        break;
    case 2:
        *(guint16 *)at = (guint16)value;
        break;
    case 4:
        *(guint32 *)at = (guint32)value;
        break;
    default:
        *(guint64 *)at = value;
    }
    return TRUE;
}

static gboolean read_one(const VireoWireField *field, JsonNode *node, VireoArena *arena, char *at,
                         GError **error)
{
    switch (field->kind) {
    case VIREO_WIRE_STRING:
        return read_string(field, node, arena, (char **)at, error);
    case VIREO_WIRE_DOUBLE:
        return read_double(field, node, (double *)at, error);
    case VIREO_WIRE_UUID:
        return (node_text(node) && vireo_uuid_parse(node_text(node), (guint8 *)at)) ||
               refuse(field, "must be a UUID", error);
    case VIREO_WIRE_OPAQUE:
        return read_base64(field, node, arena, (VireoWireArray *)at, error);
    case VIREO_WIRE_STRUCT:
        if (!vireo_wire_from_json(field->type, node, arena, at, error)) {
            g_prefix_error(error, "%s: ", field->name);
            return FALSE;
        }
        return TRUE;
    case VIREO_WIRE_HANDLE:
        return refuse(field, "cannot be given", error);
    default:
        return read_small(field, node, at, error);
    }
}

static gboolean read_chars(const VireoWireField *field, const char *text, VireoArena *arena, char *at,
                           GError **error)
{
    VireoWireArray *array = (VireoWireArray *)at;
    gsize n = strlen(text);

    if (n > field->limit)
        return refuse(field, "is too long", error);
    if (field->form == VIREO_WIRE_ARRAY) {
        array->len = n;
        array->val = at = vireo_arena_alloc(arena, n + 1);
    }
    memcpy(at, text, n);
    return TRUE;
}

static gboolean read_list(const VireoWireField *field, JsonNode *node, VireoArena *arena, char *at,
                          GError **error)
{
    VireoWireArray *ret = (VireoWireArray *)at;
    gsize size = vireo_wire_element_size(field);
    JsonArray *array;
    guint n;

    if (field->kind == VIREO_WIRE_CHAR && node_text(node))
        return read_chars(field, node_text(node), arena, at, error);
    if (!JSON_NODE_HOLDS_ARRAY(node))
        return refuse(field, "must be an array", error);
    array = json_node_get_array(node);
    n = json_array_get_length(array);
    if (n > field->limit || (field->form == VIREO_WIRE_FIXED && n != field->limit))
        return refuse(field, "has the wrong number of elements", error);
    if (field->form == VIREO_WIRE_ARRAY) {
        ret->len = n;
        ret->val = at = vireo_arena_alloc(arena, n * size);
    }
    for (guint i = 0; i < n; i++)
        if (!read_one(field, json_array_get_element(array, i), arena, at + i * size, error))
            return FALSE;
    return TRUE;
}

static gboolean read_fixed_bytes(const VireoWireField *field, JsonNode *node, VireoArena *arena,
                                 char *at, GError **error)
{
    VireoWireArray bytes = { 0 };

    if (!read_base64(field, node, arena, &bytes, error))
        return FALSE;
    if (bytes.len != field->limit)
        return refuse(field, "has the wrong length", error);
    memcpy(at, bytes.val, bytes.len);
    return TRUE;
}

static gboolean read_field(const VireoWireField *field, JsonNode *node, VireoArena *arena, char *at,
                           GError **error)
{
    gsize size = vireo_wire_element_size(field);

    if (field->form == VIREO_WIRE_FIXED && field->kind == VIREO_WIRE_OPAQUE)
        return read_fixed_bytes(field, node, arena, at, error);
    if (field->form == VIREO_WIRE_ARRAY || field->form == VIREO_WIRE_FIXED)
        return read_list(field, node, arena, at, error);
    if (field->form != VIREO_WIRE_OPTIONAL)
        return read_one(field, node, arena, at, error);
    if (JSON_NODE_HOLDS_NULL(node))
        return TRUE;
    if (field->kind != VIREO_WIRE_STRING)
        at = *(char **)at = vireo_arena_alloc(arena, size);
    return read_one(field, node, arena, at, error);
}

static gboolean may_be_missing(const VireoWireField *field)
{
    if (field->form == VIREO_WIRE_OPTIONAL || field->form == VIREO_WIRE_ARRAY)
        return TRUE;
    return field->kind != VIREO_WIRE_STRING && field->kind != VIREO_WIRE_UUID &&
           field->kind != VIREO_WIRE_STRUCT;
}

static gboolean check_members(const VireoWireType *type, JsonObject *object, GError **error)
{
    g_autoptr(GList) members = json_object_get_members(object);

    for (GList *m = members; m; m = m->next) {
        g_autoptr(GString) known = g_string_new(NULL);

        if (vireo_wire_field(type, m->data))
            continue;
        for (guint i = 0; i < type->n_fields; i++)
            g_string_append_printf(known, "%s%s", i ? ", " : "", type->fields[i].name);
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "there is no field '%s' (known: %s)",
                    (char *)m->data, known->len ? known->str : "none");
        return FALSE;
    }
    return TRUE;
}

static gboolean read_union(const VireoWireType *type, JsonObject *object, VireoArena *arena, char *out,
                           GError **error)
{
    for (guint i = 0; i < type->n_fields; i++) {
        JsonNode *node = json_object_get_member(object, type->fields[i].name);

        if (!node)
            continue;
        *(gint32 *)out = type->tags[i];
        return read_field(&type->fields[i], node, arena, out + type->fields[i].offset, error);
    }
    return refuse(&type->fields[0], "or another variant is missing", error);
}

gboolean vireo_wire_from_json(const VireoWireType *type, JsonNode *node, VireoArena *arena,
                              gpointer out, GError **error)
{
    JsonObject *object;

    if (!type)
        return TRUE;
    if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "a JSON object is needed for '%s'",
                    type->name);
        return FALSE;
    }
    object = json_node_get_object(node);
    if (!check_members(type, object, error))
        return FALSE;
    if (type->tags)
        return read_union(type, object, arena, out, error);
    for (guint i = 0; i < type->n_fields; i++) {
        const VireoWireField *field = &type->fields[i];
        JsonNode *member = json_object_get_member(object, field->name);

        if (!member && !may_be_missing(field))
            return refuse(field, "is missing", error);
        if (member && !read_field(field, member, arena, (char *)out + field->offset, error))
            return FALSE;
    }
    return TRUE;
}

/* The names in a node, joined; NULL when it holds none. */
static char *flag_names(JsonNode *node)
{
    JsonArray *array;
    g_autoptr(GString) names = NULL;

    if (node_text(node))
        return g_ascii_isdigit(*node_text(node)) ? NULL : g_strdup(node_text(node));
    if (!JSON_NODE_HOLDS_ARRAY(node))
        return NULL;
    names = g_string_new(NULL);
    array = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        const char *name = node_text(json_array_get_element(array, i));

        g_string_append_printf(names, "%s ", name ? name : "?");
    }
    return g_strdup(names->str);
}

/* A new object with the same members: the caller's stays as it is. */
static JsonObject *shallow_copy(JsonObject *object)
{
    g_autoptr(GList) members = json_object_get_members(object);
    JsonObject *copy = json_object_new();

    for (GList *m = members; m; m = m->next)
        json_object_set_member(copy, m->data, json_object_dup_member(object, m->data));
    return copy;
}

gboolean vireo_op_args_from_json(const VireoOp *op, JsonNode *node, VireoArena *arena, gpointer out,
                                 GError **error)
{
    g_autoptr(JsonNode) copy = NULL;
    g_autofree char *names = NULL, *unknown = NULL, *known = NULL;
    JsonNode *flags = NULL;
    JsonObject *object;
    guint64 bits;

    if (op->flags && node && JSON_NODE_HOLDS_OBJECT(node))
        flags = json_object_get_member(json_node_get_object(node), "flags");
    names = flags ? flag_names(flags) : NULL;
    if (!names)
        return vireo_wire_from_json(op->args, node, arena, out, error);
    if (!vireo_op_parse_flags(op, names, &bits, &unknown)) {
        known = vireo_op_flag_names(op, op->known_flags);
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "%s has no flag '%s' (known: %s)",
                    op->name, unknown, known);
        return FALSE;
    }
    object = shallow_copy(json_node_get_object(node));
    json_object_set_member(object, "flags", unsigned_node(bits));
    copy = json_node_new(JSON_NODE_OBJECT);
    json_node_take_object(copy, object);
    return vireo_wire_from_json(op->args, copy, arena, out, error);
}
