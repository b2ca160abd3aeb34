/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From an answer to structs. libxml2's push parser makes a small tree of one member of the answer
 * at a time; when the member is complete it becomes a struct, and the tree is gone. */
#include "kit/soap-decode.h"

#include <string.h>

#define CHUNK_MAX  (1 << 20) /* libxml2 takes an int */
#define MEMORY_MIN 65536
#define TOKEN_MAX  (4 << 20) /* libxml2 looks through an unfinished one again with each piece that comes */

/* ---- the tree of one member -------------------------------------------------------- */

static void node_begin(VireoSoapDecoder *decoder, const char *name, int n_attributes,
                       const xmlChar **attributes)
{
    if (!decoder->node) {
        decoder->nodes = vireo_arena_new();
        decoder->nodes_memory = 0;
    }
    SoapNode *node = soap_take(decoder, decoder->nodes, sizeof *node);
    SoapNode *parent = decoder->node;

    node->name = soap_copy_text(decoder, decoder->nodes, name);
    node->parent = parent;
    if (parent && parent->last)
        parent->last = parent->last->next = node;
    else if (parent)
        parent->first = parent->last = node;
    decoder->node = node;
    for (int i = 0; i < n_attributes; i++) {
        const xmlChar **at = attributes + i * 5; /* name, prefix, namespace, value, end */
        const char *value =
            soap_take_text(decoder, decoder->nodes, (const char *)at[3], (gsize)(at[4] - at[3]));

        if (at[2] && !strcmp((const char *)at[2], XSI_NS)) {
            const char *colon = strchr(value, ':');

            if (!strcmp((const char *)at[0], "type"))
                node->type = colon ? colon + 1 : value;
            else if (!strcmp((const char *)at[0], "nil"))
                node->nil = !strcmp(value, "true") || !strcmp(value, "1");
            continue;
        }
        SoapAttribute *attribute = soap_take(decoder, decoder->nodes, sizeof *attribute);
        attribute->name = soap_copy_text(decoder, decoder->nodes, (const char *)at[0]);
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

static void give_out(VireoSoapDecoder *decoder, const VireoSoapField *field, const SoapNode *node)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    gsize before = decoder->memory;
    gpointer slot = soap_take(decoder, arena, soap_kind_size(field->kind));

    if (node->nil || !soap_slot_into(decoder, arena, field, node, slot))
        return;
    gpointer item = field->kind == VIREO_SOAP_STRUCT || field->kind == VIREO_SOAP_ANY
                        ? *(gpointer *)slot
                        : slot;
    g_autoptr(GError) error = NULL;
    if (!decoder->each(field->name, item, decoder->opaque, &error)) {
        decoder->error = error ? g_steal_pointer(&error)
                               : g_error_new(VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_PROTOCOL,
                                             "the receiver of the answer to %s gave up",
                                             decoder->operation->name);
        xmlStopParser(decoder->parser);
    }
    decoder->memory = before;
}

/* A member of the answer is complete. */
static void member_complete(VireoSoapDecoder *decoder, const SoapNode *node)
{
    gpointer object = decoder->open[decoder->n_open - 1].object;
    const VireoSoapType *type = decoder->open[decoder->n_open - 1].type;
    const VireoSoapField *field = soap_find_field(type, node->name, 0);

    if (decoder->each && field && (field->flags & VIREO_SOAP_MANY))
        give_out(decoder, field, node);
    else
        soap_member_into(decoder, decoder->arena, type, object, node);
}

static gboolean all_blank(const char *text)
{
    return !text[strspn(text, " \t\r\n")];
}

static void node_end(VireoSoapDecoder *decoder)
{
    SoapNode *node = decoder->node;
    const GString *text = decoder->text[decoder->depth];

    if (text && text->len && !(node->first && all_blank(text->str)))
        node->text = soap_take_text(decoder, decoder->nodes, text->str, text->len);
    decoder->node = node->parent;
    if (node->parent)
        return;
    if (!decoder->error && decoder->in_fault)
        soap_take_fault(decoder, node);
    else if (!decoder->error)
        member_complete(decoder, node);
    drop_nodes(decoder);
}

/* ---- what the parser says ---------------------------------------------------------- */

static void open_object(VireoSoapDecoder *decoder, const VireoSoapType *type,
                        VireoSoapObject *object)
{
    decoder->open[decoder->n_open].object = object;
    decoder->open[decoder->n_open].type = type;
    decoder->open[decoder->n_open++].depth = decoder->depth;
}

static void close_object(VireoSoapDecoder *decoder)
{
    const char *missing = soap_missing_member(decoder->open[decoder->n_open - 1].type,
                                              decoder->open[decoder->n_open - 1].object);

    if (missing)
        soap_fail(decoder, "%s lacks its member %s", decoder->open[decoder->n_open - 1].type->name,
                  missing);
    if (--decoder->n_open == 0)
        decoder->ret = decoder->open[0].object;
}

static void begin_answer(VireoSoapDecoder *decoder, const char *name, const char *uri)
{
    const char *operation = decoder->operation->name;
    gsize len = strlen(operation);

    if (decoder->body++) {
        soap_fail(decoder, "there is something behind it");
    } else if (uri && !strcmp(uri, SOAP_NS) && !strcmp(name, "Fault")) {
        decoder->in_fault = TRUE;
        node_begin(decoder, name, 0, NULL);
    } else if (strncmp(name, operation, len) != 0 || strcmp(name + len, "Response") != 0) {
        soap_fail(decoder, "it is one to another request, <%s>", name);
    } else {
        open_object(decoder, decoder->operation->ret,
                    soap_object_new(decoder, decoder->arena, decoder->operation->ret, NULL));
    }
}

/* A struct of which the lists are given out is not made into a tree first. */
static gboolean begin_open(VireoSoapDecoder *decoder, const char *name, int n_attributes,
                           const xmlChar **attributes)
{
    const VireoSoapField *field =
        decoder->each && decoder->n_open < SOAP_OPEN_MAX
            ? soap_find_field(decoder->open[decoder->n_open - 1].type, name, 0)
            : NULL;

    if (!field || field->kind != VIREO_SOAP_STRUCT || (field->flags & VIREO_SOAP_MANY) ||
        n_attributes)
        return FALSE;
    gpointer *slot = SOAP_AT(decoder->open[decoder->n_open - 1].object, field->offset);
    if (*slot)
        soap_fail(decoder, "%s is there twice", name);
    *slot = soap_object_new(decoder, decoder->arena, field->type, NULL);
    open_object(decoder, field->type, *slot);
    return TRUE;
}

static void on_start(void *opaque, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri,
                     int n_namespaces, const xmlChar **namespaces, int n_attributes,
                     int n_defaulted, const xmlChar **attributes)
{
    VireoSoapDecoder *decoder = opaque;
    const char *name = (const char *)local;
    gboolean ours = uri && !strcmp((const char *)uri, SOAP_NS);

    if (decoder->error || decoder->fault)
        return;
    if (++decoder->depth > SOAP_DEPTH_MAX) {
        soap_fail(decoder, "it has more than %d levels", SOAP_DEPTH_MAX);
        return;
    }
    if (decoder->text[decoder->depth])
        g_string_truncate(decoder->text[decoder->depth], 0);
    if (decoder->skip)
        return;
    if (decoder->depth == 1) {
        if (!ours || strcmp(name, "Envelope") != 0)
            soap_fail(decoder, "<%s> is no SOAP 1.1 envelope", name);
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
        soap_fail(decoder, "a text in it is too long");
}

static void on_doctype(void *opaque, const xmlChar *name, const xmlChar *external,
                       const xmlChar *system)
{
    soap_fail(opaque, "it has a document type declaration, which SOAP forbids");
}

static void on_error(void *opaque, xmlErrorPtr error)
{
}

/* ---- for callers ------------------------------------------------------------------- */

VireoSoapDecoder *vireo_soap_decoder_new(const VireoSoapService *service,
                                         const VireoSoapOperation *operation, VireoArena *arena,
                                         gsize max_memory, VireoSoapEach each, void *opaque)
{
    VireoSoapDecoder *decoder = g_new0(VireoSoapDecoder, 1);
    xmlSAXHandler sax = {.initialized = XML_SAX2_MAGIC,
                         .startElementNs = on_start,
                         .endElementNs = on_end,
                         .characters = on_text,
                         .ignorableWhitespace = on_text,
                         .cdataBlock = on_text,
                         .internalSubset = on_doctype,
                         .serror = on_error};

    decoder->service = service;
    decoder->operation = operation;
    decoder->arena = arena;
    decoder->max_memory = MAX(max_memory, MEMORY_MIN);
    decoder->each = each;
    decoder->opaque = opaque;
    decoder->parser = xmlCreatePushParserCtxt(&sax, decoder, NULL, 0, NULL);
    g_assert(decoder->parser);
    /* NOENT: an '&' in an attribute comes as it is. There is nothing else to replace, since there
     * are no declarations. HUGE: the limits are ours. */
    xmlCtxtUseOptions(decoder->parser, XML_PARSE_NONET | XML_PARSE_NOENT | XML_PARSE_HUGE);
    return decoder;
}

static gboolean check(VireoSoapDecoder *decoder, GError **error)
{
    xmlErrorPtr last = decoder->parser->wellFormed ? NULL : xmlCtxtGetLastError(decoder->parser);

    if (!decoder->error && !decoder->parser->wellFormed) {
        g_autofree char *why =
            g_strdup(last && last->message ? last->message : "not well-formed XML");
        soap_fail(decoder, "line %d: %s", last ? last->line : 0, g_strstrip(why));
    }
    if (decoder->error)
        g_propagate_error(error, g_error_copy(decoder->error));
    return !decoder->error;
}

gboolean vireo_soap_decoder_feed(VireoSoapDecoder *decoder, const void *data, gsize len,
                                 GError **error)
{
    for (const char *at = data; len && !decoder->error;) {
        gsize part = MIN(len, CHUNK_MAX);

        xmlParseChunk(decoder->parser, at, (int)part, 0);
        if (!decoder->parser->wellFormed)
            break;
        at += part;
        len -= part;
        const xmlParserInput *input = decoder->parser->input;
        if (input && input->end - input->cur > TOKEN_MAX)
            soap_fail(decoder, "it has a tag, comment or section of more than %d MiB", TOKEN_MAX >> 20);
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
    soap_fail(decoder, "there is none in the envelope");
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
