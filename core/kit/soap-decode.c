/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From an answer to structs. libxml2's push parser makes a small tree of one member of the answer at a
 * time; when the member is complete it becomes a struct, and the tree is gone. */
#include <libxml/parser.h>
#include <string.h>

#include "kit/soap-private.h"

#define DEPTH_MAX  100
#define OPEN_MAX   2 /* the ret struct, and with `each` a struct in it whose lists are given out */
#define CHUNK_MAX  (1 << 20) /* libxml2 takes an int */
#define MEMORY_MIN 65536

typedef struct Attribute Attribute;
struct Attribute {
    const char *name, *value;
    Attribute *next;
};

typedef struct Node Node;
struct Node {
    const char *name;
    const char *type; /* xsi:type without prefix */
    const char *text;
    gboolean nil;
    Attribute *attributes;
    Node *parent, *first, *last, *next;
};

struct VireoSoapDecoder {
    const VireoSoapService *service;
    const VireoSoapOperation *operation;
    VireoArena *arena;
    VireoSoapEach each;
    void *opaque;
    xmlParserCtxt *parser;
    GError *error, *fault; /* a fault is read to its end, so that the connection can be kept */
    gsize memory, max_memory; /* bytes of structs and nodes */
    guint depth, skip;        /* skip: the depth above which nothing is looked at; 0: none */
    guint body;               /* elements seen in the body */
    gboolean in_body, in_fault;
    struct {
        VireoSoapObject *object;
        const VireoSoapType *type;
        guint depth;
    } open[OPEN_MAX];
    guint n_open;
    VireoArena *nodes; /* of the tree that is being made */
    gsize nodes_memory;
    Node *node;
    GString *text[DEPTH_MAX + 1];
    gpointer ret;
};

static gboolean decode_slot(VireoSoapDecoder *decoder, VireoArena *arena, const VireoSoapField *field,
                            const Node *node, gpointer slot);
static VireoSoapValue *decode_value(VireoSoapDecoder *decoder, VireoArena *arena, const Node *node,
                                    const char *type);

/* ---- refusing, and what memory it takes ------------------------------------------ */

static void fail(VireoSoapDecoder *decoder, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void fail(VireoSoapDecoder *decoder, const char *format, ...)
{
    va_list list;

    if (!decoder->error) {
        va_start(list, format);
        g_autofree char *text = g_strdup_vprintf(format, list);
        va_end(list);
        decoder->error = g_error_new(VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_PROTOCOL, "the answer to %s: %s",
                                     decoder->operation->name, text);
    }
    if (decoder->parser)
        xmlStopParser(decoder->parser);
}

static gboolean fail_at(VireoSoapDecoder *decoder, const Node *node, const char *why)
{
    g_autoptr(GString) path = g_string_new(node->name);

    for (const Node *at = node->parent; at; at = at->parent) {
        g_string_prepend_c(path, '.');
        g_string_prepend(path, at->name);
    }
    fail(decoder, "%s %s", path->str, why);
    return FALSE;
}

static gpointer take(VireoSoapDecoder *decoder, VireoArena *arena, gsize size)
{
    decoder->memory += size;
    if (arena == decoder->nodes)
        decoder->nodes_memory += size;
    if (decoder->memory > decoder->max_memory)
        fail(decoder, "it would take more than %" G_GSIZE_FORMAT " bytes of memory", decoder->max_memory);
    return vireo_arena_alloc(arena, size);
}

static const char *take_text(VireoSoapDecoder *decoder, VireoArena *arena, const char *text, gsize len)
{
    char *copy = take(decoder, arena, len + 1);

    memcpy(copy, text, len);
    return copy;
}

static const char *copy_text(VireoSoapDecoder *decoder, VireoArena *arena, const char *text)
{
    return text ? take_text(decoder, arena, text, strlen(text)) : NULL;
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

    *value = g_ascii_strtod(!strcmp(text, "INF") ? "inf" : !strcmp(text, "-INF") ? "-inf" : text, &end);
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

static gboolean parse_bytes(VireoSoapDecoder *decoder, VireoArena *arena, const char *text, VireoSoapBytes *bytes)
{
    gsize len = strlen(text);
    guint8 *data = take(decoder, arena, len / 4 * 3 + 4);
    guint save = 0;
    int state = 0;

    if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \t\r\n") != len)
        return FALSE;
    bytes->len = g_base64_decode_step(text, len, data, &state, &save);
    bytes->data = data;
    return TRUE;
}

/* Text without the blanks around it. */
static gboolean parse_scalar(VireoSoapDecoder *decoder, VireoArena *arena, VireoSoapKind kind, const char *text,
                             gpointer slot)
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

static gboolean scalar_into(VireoSoapDecoder *decoder, VireoArena *arena, const VireoSoapField *field,
                            const char *text, gpointer slot)
{
    if (field->kind == VIREO_SOAP_STRING) {
        *(const char **)slot = copy_text(decoder, arena, text);
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
        gpointer items = take(decoder, arena, (list->n ? list->n * 2 : 1) * size);

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
static const char *missing_member(const VireoSoapType *type, gpointer object)
{
    const char *missing = type->base ? missing_member(type->base, object) : NULL;

    for (guint i = 0; !missing && i < type->n_fields; i++) {
        const VireoSoapField *field = &type->fields[i];
        gpointer slot = SOAP_AT(object, field->offset);

        if (field->flags & (VIREO_SOAP_OPTIONAL | VIREO_SOAP_MANY))
            continue;
        if (field->kind == VIREO_SOAP_STRING && !*(const char **)slot)
            *(const char **)slot = "";
        else if (field->kind == VIREO_SOAP_BYTES && !((VireoSoapBytes *)slot)->data)
            ((VireoSoapBytes *)slot)->data = (const guint8 *)"";
        else if ((field->kind == VIREO_SOAP_STRUCT || field->kind == VIREO_SOAP_ANY) && !*(gpointer *)slot)
            missing = field->name;
    }
    return missing;
}

static gboolean already_there(const VireoSoapField *field, gconstpointer object)
{
    return (field->kind == VIREO_SOAP_STRING || field->kind == VIREO_SOAP_STRUCT || field->kind == VIREO_SOAP_ANY) &&
           *(const gconstpointer *)SOAP_AT(object, field->offset);
}

/* A child element into its member. */
static gboolean member_into(VireoSoapDecoder *decoder, VireoArena *arena, const VireoSoapType *type,
                            gpointer object, const Node *node)
{
    const VireoSoapField *field = soap_find_field(type, node->name, 0);

    if (!field || node->nil)
        return TRUE;
    if (field->flags & VIREO_SOAP_MANY)
        return decode_slot(decoder, arena, field, node,
                           list_grow(decoder, arena, SOAP_AT(object, field->offset), soap_kind_size(field->kind)));
    if (already_there(field, object))
        return fail_at(decoder, node, "is there twice");
    mark_present(field, object);
    return decode_slot(decoder, arena, field, node, SOAP_AT(object, field->offset));
}

/* The type to make of an element: what it says it is when the table knows that. */
static const VireoSoapType *type_of(VireoSoapDecoder *decoder, const VireoSoapType *declared, const Node *node)
{
    const VireoSoapType *type = node->type ? soap_find_type(decoder->service, node->type) : NULL;

    if (!type)
        return declared;
    if (soap_is_a(type, declared))
        return type;
    fail_at(decoder, node, "is of a type that does not belong there");
    return NULL;
}

static VireoSoapObject *object_new(VireoSoapDecoder *decoder, VireoArena *arena, const VireoSoapType *type,
                                   const char *said)
{
    VireoSoapObject *object = take(decoder, arena, type->size);

    object->type = type;
    if (said && strcmp(said, type->name) != 0)
        object->name = copy_text(decoder, arena, said);
    return object;
}

static gboolean attributes_into(VireoSoapDecoder *decoder, VireoArena *arena, const VireoSoapType *type,
                                gpointer object, const Node *node)
{
    for (const Attribute *at = node->attributes; at; at = at->next) {
        const VireoSoapField *field = soap_find_field(type, at->name, VIREO_SOAP_ATTRIBUTE);

        if (!field)
            continue;
        mark_present(field, object);
        if (!scalar_into(decoder, arena, field, at->value, SOAP_AT(object, field->offset)))
            return fail_at(decoder, node, "has an attribute that is not of its type");
    }
    return TRUE;
}

static VireoSoapObject *decode_struct(VireoSoapDecoder *decoder, VireoArena *arena, const VireoSoapType *declared,
                                      const Node *node)
{
    const VireoSoapType *type = type_of(decoder, declared, node);

    if (!type)
        return NULL;
    VireoSoapObject *object = object_new(decoder, arena, type, node->type);
    const VireoSoapField *text = soap_find_field(type, NULL, VIREO_SOAP_TEXT);
    if (!attributes_into(decoder, arena, type, object, node))
        return NULL;
    if (text && !scalar_into(decoder, arena, text, node->text ? node->text : "", SOAP_AT(object, text->offset))) {
        fail_at(decoder, node, "is not of its type");
        return NULL;
    }
    for (const Node *child = node->first; child && !decoder->error; child = child->next)
        member_into(decoder, arena, type, object, child);
    const char *missing = decoder->error ? NULL : missing_member(type, object);
    if (missing) {
        g_autofree char *why = g_strdup_printf("lacks its member %s", missing);
        fail_at(decoder, node, why);
    }
    return decoder->error ? NULL : object;
}

static gboolean decode_slot(VireoSoapDecoder *decoder, VireoArena *arena, const VireoSoapField *field,
                            const Node *node, gpointer slot)
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

static void put_raw(GString *out, const Node *node)
{
    g_string_append_printf(out, "<%s", node->name);
    if (node->type)
        g_string_append_printf(out, " type=\"%s\"", node->type);
    for (const Attribute *at = node->attributes; at; at = at->next) {
        g_autofree char *value = g_markup_escape_text(at->value, -1);
        g_string_append_printf(out, " %s=\"%s\"", at->name, value);
    }
    g_string_append_c(out, '>');
    if (node->text) {
        g_autofree char *text = g_markup_escape_text(node->text, -1);
        g_string_append(out, text);
    }
    for (const Node *child = node->first; child; child = child->next)
        put_raw(out, child);
    g_string_append_printf(out, "</%s>", node->name);
}

static gboolean simple_value(VireoSoapDecoder *decoder, VireoArena *arena, const Node *node, VireoSoapKind kind,
                             VireoSoapValue *value)
{
    g_autofree char *text = g_strstrip(g_strdup(node->text ? node->text : ""));
    union {
        gboolean boolean;
        gint32 small;
        guint32 natural;
    } slot = { 0 };
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

static gboolean list_value(VireoSoapDecoder *decoder, VireoArena *arena, const Node *node, const char *item,
                           VireoSoapValue *value)
{
    SoapList list = { 0 };

    value->kind = VIREO_SOAP_LIST;
    for (const Node *child = node->first; child && !decoder->error; child = child->next) {
        gpointer *slot = list_grow(decoder, arena, &list, sizeof(gpointer));

        *slot = decode_value(decoder, arena, child, child->type ? child->type : item);
    }
    value->list.n = list.n;
    value->list.items = list.items;
    return !decoder->error;
}

/* type: what the element says it is, or what it must be where it does not say. */
static VireoSoapValue *decode_value(VireoSoapDecoder *decoder, VireoArena *arena, const Node *node, const char *type)
{
    VireoSoapValue *value = take(decoder, arena, sizeof *value);
    const VireoSoapType *known = type ? soap_find_type(decoder->service, type) : NULL;
    const VireoSoapEnum *names = type ? soap_find_enum(decoder->service, type) : NULL;
    g_autofree char *item = soap_array_item(type);
    VireoSoapKind kind = VIREO_SOAP_STRING;

    value->type = copy_text(decoder, arena, type);
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
        value->text = take_text(decoder, arena, raw->str, raw->len);
        return value;
    }
    value->text = take_text(decoder, arena, node->text ? node->text : "", node->text ? strlen(node->text) : 0);
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

static const Node *child_named(const Node *node, const char *name)
{
    for (const Node *child = node ? node->first : NULL; child; child = child->next)
        if (!strcmp(child->name, name))
            return child;
    return NULL;
}

static const char *fault_text(VireoSoapDecoder *decoder, VireoArena *arena, const Node *node)
{
    return copy_text(decoder, arena, node && node->text ? node->text : "");
}

static void take_fault(VireoSoapDecoder *decoder, const Node *node)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    const Node *code = child_named(node, "faultcode"), *detail = child_named(node, "detail");
    const Node *what = detail ? detail->first : NULL;
    VireoSoapFault fault = { 0 };

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
        fault.type = copy_text(decoder, arena, what->type ? what->type : what->name);
        fault.detail = decode_value(decoder, arena, what, fault.type);
        g_clear_error(&decoder->error);
        decoder->parser = parser;
    }
    decoder->fault = soap_fault_error(&fault, g_steal_pointer(&arena));
}

/* ---- the tree of one member -------------------------------------------------------- */

static void node_begin(VireoSoapDecoder *decoder, const char *name, int n_attributes, const xmlChar **attributes)
{
    if (!decoder->node) {
        decoder->nodes = vireo_arena_new();
        decoder->nodes_memory = 0;
    }
    Node *node = take(decoder, decoder->nodes, sizeof *node);
    Node *parent = decoder->node;

    node->name = copy_text(decoder, decoder->nodes, name);
    node->parent = parent;
    if (parent && parent->last)
        parent->last = parent->last->next = node;
    else if (parent)
        parent->first = parent->last = node;
    decoder->node = node;
    for (int i = 0; i < n_attributes; i++) {
        const xmlChar **at = attributes + i * 5; /* name, prefix, namespace, value, end */
        const char *value = take_text(decoder, decoder->nodes, (const char *)at[3], (gsize)(at[4] - at[3]));

        if (at[2] && !strcmp((const char *)at[2], XSI_NS)) {
            const char *colon = strchr(value, ':');

            if (!strcmp((const char *)at[0], "type"))
                node->type = colon ? colon + 1 : value;
            else if (!strcmp((const char *)at[0], "nil"))
                parse_boolean(value, &node->nil);
            continue;
        }
        Attribute *attribute = take(decoder, decoder->nodes, sizeof *attribute);
        attribute->name = copy_text(decoder, decoder->nodes, (const char *)at[0]);
        attribute->value = value;
        attribute->next = node->attributes;
        node->attributes = attribute;
    }
}

static void drop_nodes(VireoSoapDecoder *decoder)
{
    vireo_arena_free(decoder->nodes);
    decoder->nodes = NULL;
    decoder->node = NULL;
    decoder->memory -= decoder->nodes_memory;
}

static void give_out(VireoSoapDecoder *decoder, const VireoSoapField *field, const Node *node)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    gsize before = decoder->memory;
    gpointer slot = take(decoder, arena, soap_kind_size(field->kind));

    if (node->nil || !decode_slot(decoder, arena, field, node, slot))
        return;
    gpointer item = field->kind == VIREO_SOAP_STRUCT || field->kind == VIREO_SOAP_ANY ? *(gpointer *)slot : slot;
    g_autoptr(GError) error = NULL;
    if (!decoder->each(field->name, item, decoder->opaque, &error)) {
        decoder->error = error ? g_steal_pointer(&error)
                               : g_error_new(VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_PROTOCOL,
                                             "the receiver of the answer to %s gave up", decoder->operation->name);
        xmlStopParser(decoder->parser);
    }
    decoder->memory = before;
}

/* A member of the answer is complete. */
static void member_complete(VireoSoapDecoder *decoder, const Node *node)
{
    gpointer object = decoder->open[decoder->n_open - 1].object;
    const VireoSoapType *type = decoder->open[decoder->n_open - 1].type;
    const VireoSoapField *field = soap_find_field(type, node->name, 0);

    if (decoder->each && field && (field->flags & VIREO_SOAP_MANY))
        give_out(decoder, field, node);
    else
        member_into(decoder, decoder->arena, type, object, node);
}

static gboolean all_blank(const char *text)
{
    return !text[strspn(text, " \t\r\n")];
}

static void node_end(VireoSoapDecoder *decoder)
{
    Node *node = decoder->node;
    const GString *text = decoder->text[decoder->depth];

    if (text && text->len && !(node->first && all_blank(text->str)))
        node->text = take_text(decoder, decoder->nodes, text->str, text->len);
    decoder->node = node->parent;
    if (node->parent)
        return;
    if (!decoder->error && decoder->in_fault)
        take_fault(decoder, node);
    else if (!decoder->error)
        member_complete(decoder, node);
    drop_nodes(decoder);
}

/* ---- what the parser says ---------------------------------------------------------- */

static void open_object(VireoSoapDecoder *decoder, const VireoSoapType *type, VireoSoapObject *object)
{
    decoder->open[decoder->n_open].object = object;
    decoder->open[decoder->n_open].type = type;
    decoder->open[decoder->n_open++].depth = decoder->depth;
}

static void close_object(VireoSoapDecoder *decoder)
{
    const char *missing = missing_member(decoder->open[decoder->n_open - 1].type,
                                         decoder->open[decoder->n_open - 1].object);

    if (missing)
        fail(decoder, "%s lacks its member %s", decoder->open[decoder->n_open - 1].type->name, missing);
    if (--decoder->n_open == 0)
        decoder->ret = decoder->open[0].object;
}

static void begin_answer(VireoSoapDecoder *decoder, const char *name, const char *uri)
{
    const char *operation = decoder->operation->name;
    gsize len = strlen(operation);

    if (decoder->body++) {
        fail(decoder, "there is something behind it");
    } else if (uri && !strcmp(uri, SOAP_NS) && !strcmp(name, "Fault")) {
        decoder->in_fault = TRUE;
        node_begin(decoder, name, 0, NULL);
    } else if (strncmp(name, operation, len) != 0 || strcmp(name + len, "Response") != 0) {
        fail(decoder, "it is one to another request, <%s>", name);
    } else {
        open_object(decoder, decoder->operation->ret,
                    object_new(decoder, decoder->arena, decoder->operation->ret, NULL));
    }
}

/* A struct of which the lists are given out is not made into a tree first. */
static gboolean begin_open(VireoSoapDecoder *decoder, const char *name, int n_attributes, const xmlChar **attributes)
{
    const VireoSoapField *field = decoder->each && decoder->n_open < OPEN_MAX
                                      ? soap_find_field(decoder->open[decoder->n_open - 1].type, name, 0)
                                      : NULL;

    if (!field || field->kind != VIREO_SOAP_STRUCT || (field->flags & VIREO_SOAP_MANY) || n_attributes)
        return FALSE;
    gpointer *slot = SOAP_AT(decoder->open[decoder->n_open - 1].object, field->offset);
    if (*slot)
        fail(decoder, "%s is there twice", name);
    *slot = object_new(decoder, decoder->arena, field->type, NULL);
    open_object(decoder, field->type, *slot);
    return TRUE;
}

static void on_start(void *opaque, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri, int n_namespaces,
                     const xmlChar **namespaces, int n_attributes, int n_defaulted, const xmlChar **attributes)
{
    VireoSoapDecoder *decoder = opaque;
    const char *name = (const char *)local;
    gboolean ours = uri && !strcmp((const char *)uri, SOAP_NS);

    if (decoder->error || decoder->fault)
        return;
    if (++decoder->depth > DEPTH_MAX) {
        fail(decoder, "it has more than %d levels", DEPTH_MAX);
        return;
    }
    if (decoder->text[decoder->depth])
        g_string_truncate(decoder->text[decoder->depth], 0);
    if (decoder->skip)
        return;
    if (decoder->depth == 1) {
        if (!ours || strcmp(name, "Envelope") != 0)
            fail(decoder, "<%s> is no SOAP 1.1 envelope", name);
    } else if (decoder->depth == 2) {
        decoder->in_body = ours && !strcmp(name, "Body");
        decoder->skip = decoder->in_body ? 0 : decoder->depth;
    } else if (decoder->depth == 3) {
        begin_answer(decoder, name, (const char *)uri);
    } else if (decoder->node || !begin_open(decoder, name, n_attributes, attributes)) {
        node_begin(decoder, name, n_attributes, attributes);
    }
}

static void on_end(void *opaque, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri)
{
    VireoSoapDecoder *decoder = opaque;

    if (decoder->error || decoder->fault)
        return;
    if (decoder->skip) {
        if (decoder->skip == decoder->depth)
            decoder->skip = 0;
    } else if (decoder->node) {
        node_end(decoder);
    } else if (decoder->n_open && decoder->open[decoder->n_open - 1].depth == decoder->depth) {
        close_object(decoder);
    }
    decoder->depth--;
}

static void on_text(void *opaque, const xmlChar *text, int len)
{
    VireoSoapDecoder *decoder = opaque;

    if (decoder->error || !decoder->node || decoder->skip)
        return;
    GString **into = &decoder->text[decoder->depth];
    if (!*into)
        *into = g_string_new(NULL);
    g_string_append_len(*into, (const char *)text, len);
    if ((*into)->len > decoder->max_memory)
        fail(decoder, "a text in it is too long");
}

static void on_doctype(void *opaque, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    fail(opaque, "it has a document type declaration, which SOAP forbids");
}

static void on_error(void *opaque, xmlErrorPtr error)
{
}

/* ---- for callers ------------------------------------------------------------------- */

VireoSoapDecoder *vireo_soap_decoder_new(const VireoSoapService *service, const VireoSoapOperation *operation,
                                         VireoArena *arena, gsize max_memory, VireoSoapEach each, void *opaque)
{
    VireoSoapDecoder *decoder = g_new0(VireoSoapDecoder, 1);
    xmlSAXHandler sax = { .initialized = XML_SAX2_MAGIC, .startElementNs = on_start, .endElementNs = on_end,
                          .characters = on_text, .ignorableWhitespace = on_text, .cdataBlock = on_text,
                          .internalSubset = on_doctype, .serror = on_error };

    decoder->service = service;
    decoder->operation = operation;
    decoder->arena = arena;
    decoder->max_memory = MAX(max_memory, MEMORY_MIN);
    decoder->each = each;
    decoder->opaque = opaque;
    decoder->parser = xmlCreatePushParserCtxt(&sax, decoder, NULL, 0, NULL);
    g_assert(decoder->parser);
    /* NOENT: an '&' in an attribute comes as it is. There is nothing else to replace, since there are no
     * declarations. HUGE: the limits are ours. */
    xmlCtxtUseOptions(decoder->parser, XML_PARSE_NONET | XML_PARSE_NOENT | XML_PARSE_HUGE);
    return decoder;
}

static gboolean check(VireoSoapDecoder *decoder, GError **error)
{
    xmlErrorPtr last = decoder->parser->wellFormed ? NULL : xmlCtxtGetLastError(decoder->parser);

    if (!decoder->error && !decoder->parser->wellFormed) {
        g_autofree char *why = g_strdup(last && last->message ? last->message : "not well-formed XML");
        fail(decoder, "line %d: %s", last ? last->line : 0, g_strstrip(why));
    }
    if (decoder->error)
        g_propagate_error(error, g_error_copy(decoder->error));
    return !decoder->error;
}

gboolean vireo_soap_decoder_feed(VireoSoapDecoder *decoder, const void *data, gsize len, GError **error)
{
    for (const char *at = data; len && !decoder->error; ) {
        gsize part = MIN(len, CHUNK_MAX);

        xmlParseChunk(decoder->parser, at, (int)part, 0);
        if (!decoder->parser->wellFormed)
            break;
        at += part;
        len -= part;
    }
    return check(decoder, error);
}

gpointer vireo_soap_decoder_finish(VireoSoapDecoder *decoder, GError **error)
{
    if (!decoder->error)
        xmlParseChunk(decoder->parser, "", 0, 1);
    if (!check(decoder, error))
        return NULL;
    if (decoder->fault) {
        g_propagate_error(error, g_error_copy(decoder->fault));
        return NULL;
    }
    if (decoder->ret)
        return decoder->ret;
    fail(decoder, "there is none in the envelope");
    check(decoder, error);
    return NULL;
}

void vireo_soap_decoder_free(VireoSoapDecoder *decoder)
{
    if (!decoder)
        return;
    xmlFreeParserCtxt(decoder->parser);
    vireo_arena_free(decoder->nodes);
    for (guint i = 0; i < G_N_ELEMENTS(decoder->text); i++)
        if (decoder->text[i])
            g_string_free(decoder->text[i], TRUE);
    g_clear_error(&decoder->error);
    g_clear_error(&decoder->fault);
    g_free(decoder);
}
