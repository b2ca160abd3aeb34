/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the tree of one member of an answer to structs, by the descriptors. */
#include <string.h>

#include "kit/soap-decode.h"

static VireoSoapValue *decode_value(VireoSoapDecoder *decoder, VireoArena *arena,
                                    const SoapNode *node, const char *type);

/* ---- refusing, and what memory it takes ------------------------------------------ */

void soap_fail(VireoSoapDecoder *decoder, const char *format, ...)
{
    va_list list;

    if (!decoder->error) {
        va_start(list, format);
        g_autofree char *text = g_strdup_vprintf(format, list);
        va_end(list);
        decoder->error = g_error_new(VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_PROTOCOL,
                                     "the answer to %s: %s", decoder->operation->name, text);
    }
    if (decoder->parser)
        xmlStopParser(decoder->parser);
}

static gboolean fail_at(VireoSoapDecoder *decoder, const SoapNode *node, const char *why)
{
    g_autoptr(GString) path = g_string_new(node->name);

    for (const SoapNode *at = node->parent; at; at = at->parent) {
        g_string_prepend_c(path, '.');
        g_string_prepend(path, at->name);
    }
    soap_fail(decoder, "%s %s", path->str, why);
    return FALSE;
}

gpointer soap_take(VireoSoapDecoder *decoder, VireoArena *arena, gsize size)
{
    decoder->memory += size;
    if (arena == decoder->nodes)
        decoder->nodes_memory += size;
    if (decoder->memory > decoder->max_memory)
        soap_fail(decoder, "it would take more than %" G_GSIZE_FORMAT " bytes of memory",
                  decoder->max_memory);
    return vireo_arena_alloc(arena, size);
}

const char *soap_take_text(VireoSoapDecoder *decoder, VireoArena *arena, const char *text,
                           gsize len)
{
    char *copy = soap_take(decoder, arena, len + 1);

    memcpy(copy, text, len);
    return copy;
}

const char *soap_copy_text(VireoSoapDecoder *decoder, VireoArena *arena, const char *text)
{
    return text ? soap_take_text(decoder, arena, text, strlen(text)) : NULL;
}

/* ---- scalars --------------------------------------------------------------------- */

static gboolean parse_boolean(const char *text, gboolean *value)
{
    *value = !strcmp(text, "true") || !strcmp(text, "1");
    return *value || !strcmp(text, "false") || !strcmp(text, "0");
}

static gboolean parse_double(const char *text, double *value)
{
    char *end;

    *value = g_ascii_strtod(!strcmp(text, "INF")    ? "inf"
                            : !strcmp(text, "-INF") ? "-inf"
                                                    : text,
                            &end);
    return end != text && !*end;
}

static gboolean parse_time(const char *text, gint64 *value)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, utc);

    if (!time)
        return FALSE;
    *value = g_date_time_to_unix(time) * G_USEC_PER_SEC + g_date_time_get_microsecond(time);
    return TRUE;
}

static gboolean parse_bytes(VireoSoapDecoder *decoder, VireoArena *arena, const char *text,
                            VireoSoapBytes *bytes)
{
    gsize len = strlen(text);
    guint8 *data = soap_take(decoder, arena, len / 4 * 3 + 4);
    guint save = 0;
    int state = 0;

    if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \t\r\n") !=
        len)
        return FALSE;
    bytes->len = g_base64_decode_step(text, len, data, &state, &save);
    bytes->data = data;
    return TRUE;
}

/* Text without the blanks around it. */
static gboolean parse_scalar(VireoSoapDecoder *decoder, VireoArena *arena, VireoSoapKind kind,
                             const char *text, gpointer slot)
{
    gint64 number;
    guint64 natural;

    switch (kind) {
    case VIREO_SOAP_BOOLEAN:
        return parse_boolean(text, slot);
    case VIREO_SOAP_INT:
        if (!g_ascii_string_to_signed(text, 10, G_MININT32, G_MAXINT32, &number, NULL))
            return FALSE;
        *(gint32 *)slot = (gint32)number;
        return TRUE;
    case VIREO_SOAP_UINT:
        if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32, &natural, NULL))
            return FALSE;
        *(guint32 *)slot = (guint32)natural;
        return TRUE;
    case VIREO_SOAP_LONG:
        return g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, slot, NULL);
    case VIREO_SOAP_ULONG:
        return g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, slot, NULL);
    case VIREO_SOAP_DOUBLE:
        return parse_double(text, slot);
    case VIREO_SOAP_TIME:
        return parse_time(text, slot);
    default:
        return parse_bytes(decoder, arena, text, slot);
    }
}

static gboolean scalar_into(VireoSoapDecoder *decoder, VireoArena *arena,
                            const VireoSoapField *field, const char *text, gpointer slot)
{
    if (field->kind == VIREO_SOAP_STRING) {
        *(const char **)slot = soap_copy_text(decoder, arena, text);
        return TRUE;
    }
    g_autofree char *trimmed = g_strstrip(g_strdup(text));
    if (field->kind != VIREO_SOAP_ENUM)
        return parse_scalar(decoder, arena, field->kind, trimmed, slot);
    int value = vireo_soap_enum_value(field->names, trimmed);
    *(int *)slot = value ? value : -1;
    return TRUE;
}

/* ---- structs --------------------------------------------------------------------- */

/* What a list has room for doubles; the room left behind is the arena's. */
static gpointer list_grow(VireoSoapDecoder *decoder, VireoArena *arena, SoapList *list, gsize size)
{
    if ((list->n & (list->n - 1)) == 0) {
        gpointer items = soap_take(decoder, arena, (list->n ? list->n * 2 : 1) * size);

        if (list->n)
            memcpy(items, list->items, list->n * size);
        list->items = items;
    }
    return (char *)list->items + list->n++ * size;
}

static void mark_present(const VireoSoapField *field, gpointer object)
{
    if (field->has_offset != VIREO_SOAP_NO_OFFSET)
        *(gboolean *)SOAP_AT(object, field->has_offset) = TRUE;
}

/* A text that is not there is an empty one; a struct that must be there is missed. */
const char *soap_missing_member(const VireoSoapType *type, gpointer object)
{
    const char *missing = type->base ? soap_missing_member(type->base, object) : NULL;

    for (guint i = 0; !missing && i < type->n_fields; i++) {
        const VireoSoapField *field = &type->fields[i];
        gpointer slot = SOAP_AT(object, field->offset);

        if (field->flags & (VIREO_SOAP_OPTIONAL | VIREO_SOAP_MANY))
            continue;
        if (field->kind == VIREO_SOAP_STRING && !*(const char **)slot)
            *(const char **)slot = "";
        else if (field->kind == VIREO_SOAP_BYTES && !((VireoSoapBytes *)slot)->data)
            ((VireoSoapBytes *)slot)->data = (const guint8 *)"";
        else if ((field->kind == VIREO_SOAP_STRUCT || field->kind == VIREO_SOAP_ANY) &&
                 !*(gpointer *)slot)
            missing = field->name;
    }
    return missing;
}

static gboolean already_there(const VireoSoapField *field, gconstpointer object)
{
    return (field->kind == VIREO_SOAP_STRING || field->kind == VIREO_SOAP_STRUCT ||
            field->kind == VIREO_SOAP_ANY) &&
           *(const gconstpointer *)SOAP_AT(object, field->offset);
}

/* A child element into its member. */
gboolean soap_member_into(VireoSoapDecoder *decoder, VireoArena *arena, const VireoSoapType *type,
                          gpointer object, const SoapNode *node)
{
    const VireoSoapField *field = soap_find_field(type, node->name, 0);

    if (!field || node->nil)
        return TRUE;
    if (field->flags & VIREO_SOAP_MANY)
        return soap_slot_into(
            decoder, arena, field, node,
            list_grow(decoder, arena, SOAP_AT(object, field->offset), soap_kind_size(field->kind)));
    if (already_there(field, object))
        return fail_at(decoder, node, "is there twice");
    mark_present(field, object);
    return soap_slot_into(decoder, arena, field, node, SOAP_AT(object, field->offset));
}

/* The type to make of an element: what it says it is when the table knows that. */
static const VireoSoapType *type_of(VireoSoapDecoder *decoder, const VireoSoapType *declared,
                                    const SoapNode *node)
{
    const VireoSoapType *type = node->type ? soap_find_type(decoder->service, node->type) : NULL;

    if (!type)
        return declared;
    if (soap_is_a(type, declared))
        return type;
    fail_at(decoder, node, "is of a type that does not belong there");
    return NULL;
}

VireoSoapObject *soap_object_new(VireoSoapDecoder *decoder, VireoArena *arena,
                                 const VireoSoapType *type, const char *said)
{
    VireoSoapObject *object = soap_take(decoder, arena, type->size);

    object->type = type;
    if (said && strcmp(said, type->name) != 0)
        object->name = soap_copy_text(decoder, arena, said);
    return object;
}

static gboolean attributes_into(VireoSoapDecoder *decoder, VireoArena *arena,
                                const VireoSoapType *type, gpointer object, const SoapNode *node)
{
    for (const SoapAttribute *at = node->attributes; at; at = at->next) {
        const VireoSoapField *field = soap_find_field(type, at->name, VIREO_SOAP_ATTRIBUTE);

        if (!field)
            continue;
        mark_present(field, object);
        if (!scalar_into(decoder, arena, field, at->value, SOAP_AT(object, field->offset)))
            return fail_at(decoder, node, "has an attribute that is not of its type");
    }
    return TRUE;
}

static VireoSoapObject *decode_struct(VireoSoapDecoder *decoder, VireoArena *arena,
                                      const VireoSoapType *declared, const SoapNode *node)
{
    const VireoSoapType *type = type_of(decoder, declared, node);

    if (!type)
        return NULL;
    VireoSoapObject *object = soap_object_new(decoder, arena, type, node->type);
    const VireoSoapField *text = soap_find_field(type, NULL, VIREO_SOAP_TEXT);
    if (!attributes_into(decoder, arena, type, object, node))
        return NULL;
    if (text && !scalar_into(decoder, arena, text, node->text ? node->text : "",
                             SOAP_AT(object, text->offset))) {
        fail_at(decoder, node, "is not of its type");
        return NULL;
    }
    for (const SoapNode *child = node->first; child && !decoder->error; child = child->next)
        soap_member_into(decoder, arena, type, object, child);
    const char *missing = decoder->error ? NULL : soap_missing_member(type, object);
    if (missing) {
        g_autofree char *why = g_strdup_printf("lacks its member %s", missing);
        fail_at(decoder, node, why);
    }
    return decoder->error ? NULL : object;
}

gboolean soap_slot_into(VireoSoapDecoder *decoder, VireoArena *arena, const VireoSoapField *field,
                        const SoapNode *node, gpointer slot)
{
    if (decoder->error)
        return FALSE;
    if (field->kind == VIREO_SOAP_STRUCT)
        return (*(gpointer *)slot = decode_struct(decoder, arena, field->type, node)) != NULL;
    if (field->kind == VIREO_SOAP_ANY)
        return (*(gpointer *)slot = decode_value(decoder, arena, node, node->type)) != NULL;
    if (node->first)
        return fail_at(decoder, node, "holds elements where there should be a text");
    if (!scalar_into(decoder, arena, field, node->text ? node->text : "", slot))
        return fail_at(decoder, node, "is not of its type");
    return TRUE;
}

/* ---- values of any type ---------------------------------------------------------- */

static void put_raw(GString *out, const SoapNode *node)
{
    g_string_append_printf(out, "<%s", node->name);
    if (node->type)
        g_string_append_printf(out, " type=\"%s\"", node->type);
    for (const SoapAttribute *at = node->attributes; at; at = at->next) {
        g_autofree char *value = g_markup_escape_text(at->value, -1);
        g_string_append_printf(out, " %s=\"%s\"", at->name, value);
    }
    g_string_append_c(out, '>');
    if (node->text) {
        g_autofree char *text = g_markup_escape_text(node->text, -1);
        g_string_append(out, text);
    }
    for (const SoapNode *child = node->first; child; child = child->next)
        put_raw(out, child);
    g_string_append_printf(out, "</%s>", node->name);
}

static gboolean simple_value(VireoSoapDecoder *decoder, VireoArena *arena, const SoapNode *node,
                             VireoSoapKind kind, VireoSoapValue *value)
{
    g_autofree char *text = g_strstrip(g_strdup(node->text ? node->text : ""));
    union {
        gboolean boolean;
        gint32 small;
        guint32 natural;
    } slot = {0};
    gpointer into = kind == VIREO_SOAP_BOOLEAN || kind == VIREO_SOAP_INT || kind == VIREO_SOAP_UINT
                        ? (gpointer)&slot
                        : (gpointer)&value->integer; /* where all the others begin, too */

    value->kind = kind;
    if (kind == VIREO_SOAP_STRING)
        return TRUE;
    if (!parse_scalar(decoder, arena, kind, text, into))
        return fail_at(decoder, node, "is not of its type");
    if (kind == VIREO_SOAP_BOOLEAN)
        value->boolean = slot.boolean;
    else if (kind == VIREO_SOAP_INT)
        value->integer = slot.small;
    else if (kind == VIREO_SOAP_UINT)
        value->integer = slot.natural;
    return TRUE;
}

static gboolean list_value(VireoSoapDecoder *decoder, VireoArena *arena, const SoapNode *node,
                           const char *item, VireoSoapValue *value)
{
    SoapList list = {0};

    value->kind = VIREO_SOAP_LIST;
    for (const SoapNode *child = node->first; child && !decoder->error; child = child->next) {
        gpointer *slot = list_grow(decoder, arena, &list, sizeof(gpointer));

        *slot = decode_value(decoder, arena, child, child->type ? child->type : item);
    }
    value->list.n = list.n;
    value->list.items = list.items;
    return !decoder->error;
}

/* type: what the element says it is, or what it must be where it does not say. */
static VireoSoapValue *decode_value(VireoSoapDecoder *decoder, VireoArena *arena,
                                    const SoapNode *node, const char *type)
{
    VireoSoapValue *value = soap_take(decoder, arena, sizeof *value);
    const VireoSoapType *known = type ? soap_find_type(decoder->service, type) : NULL;
    const VireoSoapEnum *names = type ? soap_find_enum(decoder->service, type) : NULL;
    g_autofree char *item = soap_array_item(type);
    VireoSoapKind kind = VIREO_SOAP_STRING;

    value->type = soap_copy_text(decoder, arena, type);
    if (known) {
        value->kind = VIREO_SOAP_STRUCT;
        value->object = decode_struct(decoder, arena, known, node);
        return value->object ? value : NULL;
    }
    if (item)
        return list_value(decoder, arena, node, item, value) ? value : NULL;
    if (type)
        soap_kind_named(type, &kind);
    if (node->first) {
        g_autoptr(GString) raw = g_string_new(NULL);

        put_raw(raw, node);
        value->kind = VIREO_SOAP_RAW;
        value->text = soap_take_text(decoder, arena, raw->str, raw->len);
        return value;
    }
    value->text = soap_take_text(decoder, arena, node->text ? node->text : "",
                                 node->text ? strlen(node->text) : 0);
    if (names) {
        int choice = vireo_soap_enum_value(names, value->text);

        value->kind = VIREO_SOAP_ENUM;
        value->choice.names = names;
        value->choice.value = choice ? choice : -1;
        return value;
    }
    if (kind == VIREO_SOAP_ANY)
        kind = VIREO_SOAP_STRING;
    return simple_value(decoder, arena, node, kind, value) ? value : NULL;
}

/* ---- faults ----------------------------------------------------------------------- */

static const SoapNode *child_named(const SoapNode *node, const char *name)
{
    for (const SoapNode *child = node ? node->first : NULL; child; child = child->next)
        if (!strcmp(child->name, name))
            return child;
    return NULL;
}

static const char *fault_text(VireoSoapDecoder *decoder, VireoArena *arena, const SoapNode *node)
{
    return soap_copy_text(decoder, arena, node && node->text ? node->text : "");
}

void soap_take_fault(VireoSoapDecoder *decoder, const SoapNode *node)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    const SoapNode *code = child_named(node, "faultcode"), *detail = child_named(node, "detail");
    const SoapNode *what = detail ? detail->first : NULL;
    VireoSoapFault fault = {0};

    if (!code) {
        fail_at(decoder, node, "has no faultcode");
        return;
    }
    const char *text = fault_text(decoder, arena, code), *colon = strrchr(text, ':');
    fault.code = colon ? colon + 1 : text;
    fault.text = fault_text(decoder, arena, child_named(node, "faultstring"));
    fault.type = "";
    if (what) {
        xmlParserCtxt *parser = g_steal_pointer(&decoder->parser);

        /* A detail that makes no sense does not hide the fault. */
        fault.type = soap_copy_text(decoder, arena, what->type ? what->type : what->name);
        fault.detail = decode_value(decoder, arena, what, fault.type);
        g_clear_error(&decoder->error);
        decoder->parser = parser;
    }
    decoder->fault = soap_fault_error(&fault, g_steal_pointer(&arena));
}
