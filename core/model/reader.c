/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/reader.h"
#include "model/model.h"

#include <string.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>

#define SHOWN_COLUMNS 80
#define MAX_ATTRIBUTES 256
#define MAX_CHILDREN 10000

typedef struct {
    gboolean has_dtd;
    int line, column;
    char *message;
} Reader;

static void on_error(void *data, xmlErrorPtr problem)
{
    xmlParserCtxt *context = data;
    Reader *reader = context->_private;

    if (reader->message || problem->level < XML_ERR_ERROR)
        return;
    reader->line = problem->line;
    reader->column = problem->int2;
    if (problem->code == XML_ERR_INTERNAL_ERROR && xmlParserMaxDepth <= (guint)context->nameNr)
        reader->message = g_strdup_printf("elements are nested more than %u deep",
                                          xmlParserMaxDepth);
    else
        reader->message = g_strchomp(g_strdup(problem->message ? problem->message : "malformed"));
}

/* Stopping here means that no entity is ever declared, let alone expanded. */
static void on_dtd(void *data, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    xmlParserCtxt *context = data;
    Reader *reader = context->_private;

    reader->has_dtd = TRUE;
    reader->line = context->input->line;
    xmlStopParser(context);
}

/* The line with the mistake and a caret below the place. */
static char *point_at(const char *xml, gsize length, int line, int column)
{
    const char *start = xml, *limit = xml + length, *stop;
    int first = 0;
    g_autofree char *shown = NULL;
    g_autofree char *dashes = NULL;

    for (int i = 1; i < line && start < limit; i++) {
        const char *next = memchr(start, '\n', (gsize)(limit - start));

        start = next ? next + 1 : limit;
    }
    stop = memchr(start, '\n', (gsize)(limit - start));
    stop = stop ? stop : limit;
    column = CLAMP(column - 1, 0, (int)(stop - start));
    if (column > SHOWN_COLUMNS)
        first = column - SHOWN_COLUMNS;
    stop = MIN(stop, start + first + SHOWN_COLUMNS);
    shown = g_utf8_make_valid(start + first, stop - start - first);
    dashes = g_strnfill((gsize)(column - first), '-');
    return g_strconcat(shown, "\n", dashes, "^", NULL);
}

/* Where @text ends, or @limit. */
static const char *after(const char *at, const char *limit, const char *text)
{
    const char *found = memmem(at, (gsize)(limit - at), text, strlen(text));

    return found ? found + strlen(text) : limit;
}

/* The end of the tag that starts at @at, or NULL when it holds too many attributes. */
static const char *skip_tag(const char *at, const char *limit)
{
    guint attributes = 0;

    while (at < limit && *at != '>') {
        if (*at == '\'' || *at == '"') {
            const char *close = memchr(at + 1, *at, (gsize)(limit - at - 1));

            if (++attributes > MAX_ATTRIBUTES)
                return NULL;
            at = close ? close : limit - 1;
        }
        at++;
    }
    return at;
}

/* libxml2 compares every attribute of an element with every other: a single crowded tag would keep
 * it busy for minutes. Returns the place of such a tag, or NULL. */
static const char *crowded_tag(const char *xml, gsize length)
{
    const char *limit = xml + length;
    const char *at = xml;

    while ((at = memchr(at, '<', (gsize)(limit - at)))) {
        gsize left = (gsize)(limit - at);
        const char *end;

        if (left >= 4 && memcmp(at, "<!--", 4) == 0) {
            at = after(at + 4, limit, "-->");
        } else if (left >= 9 && memcmp(at, "<![CDATA[", 9) == 0) {
            at = after(at + 9, limit, "]]>");
        } else if (left >= 2 && at[1] == '?') {
            at = after(at + 2, limit, "?>");
        } else {
            end = skip_tag(at, limit);
            if (!end)
                return at;
            at = end;
        }
    }
    return NULL;
}

static int line_of(const char *xml, const char *place)
{
    int line = 1;

    for (; xml < place; xml++)
        line += *xml == '\n';
    return line;
}

static gboolean text_acceptable(const char *xml, gsize length, const char *label, GError **error)
{
    const char *crowded;

    if (length > VIREO_MODEL_MAX_SIZE) {
        g_set_error(error, VIREO_ERROR, VIREO_ERROR_INVALID_ARG,
                    "XML document has %" G_GSIZE_FORMAT " bytes, at most %u are accepted", length,
                    VIREO_MODEL_MAX_SIZE);
        return FALSE;
    }
    if (memchr(xml, '\0', length)) {
        g_set_error(error, VIREO_ERROR, VIREO_ERROR_INVALID_ARG, "XML document holds a NUL byte");
        return FALSE;
    }
    crowded = crowded_tag(xml, length);
    if (crowded) {
        g_set_error(error, VIREO_ERROR, VIREO_ERROR_XML_ERROR,
                    "(%s):%d: more than %d attributes in one element", label,
                    line_of(xml, crowded), MAX_ATTRIBUTES);
        return FALSE;
    }
    return TRUE;
}

static void set_reader_error(const Reader *reader, const char *xml, gsize length, const char *label,
                             GError **error)
{
    g_autofree char *pointer = NULL;

    if (reader->has_dtd) {
        g_set_error(error, VIREO_ERROR, VIREO_ERROR_XML_ERROR,
                    "(%s):%d: document type declarations are not accepted", label, reader->line);
        return;
    }
    pointer = point_at(xml, length, reader->line, reader->column);
    g_set_error(error, VIREO_ERROR, VIREO_ERROR_XML_DETAIL, "(%s):%d: %s\n%s", label, reader->line,
                reader->message ? reader->message : "not an XML document", pointer);
}

/* An element below @node with too many children, or NULL: validating takes the square of their number. */
static const xmlNode *crowded_element(const xmlNode *node)
{
    const xmlNode *found = NULL;
    guint children = 0;

    for (const xmlNode *child = node->children; child && !found; child = child->next) {
        if (child->type != XML_ELEMENT_NODE)
            continue;
        found = ++children > MAX_CHILDREN ? node : crowded_element(child);
    }
    return found;
}

static gboolean tree_acceptable(const xmlDoc *tree, const char *label, GError **error)
{
    const xmlNode *crowded = crowded_element(xmlDocGetRootElement((xmlDoc *)tree));

    if (crowded)
        g_set_error(error, VIREO_ERROR, VIREO_ERROR_XML_ERROR,
                    "(%s):%ld: more than %d elements in <%s>", label, xmlGetLineNo(crowded),
                    MAX_CHILDREN, (const char *)crowded->name);
    return !crowded;
}

xmlDoc *vireo_model_read(const char *xml, gssize length, const char *label, GError **error)
{
    static gsize once;
    gsize size = length < 0 ? strlen(xml) : (gsize)length;
    Reader reader = { .line = 1 };
    xmlParserCtxt *context;
    xmlDoc *tree;

    if (g_once_init_enter(&once)) {
        xmlInitParser();
        g_once_init_leave(&once, 1);
    }
    if (!text_acceptable(xml, size, label, error))
        return NULL;
    context = xmlNewParserCtxt();
    context->_private = &reader;
    context->sax->serror = on_error;
    context->sax->internalSubset = on_dtd;
    tree = xmlCtxtReadMemory(context, xml, (int)size, NULL, "UTF-8",
                             XML_PARSE_NONET | XML_PARSE_NOWARNING | XML_PARSE_NOERROR |
                                 XML_PARSE_COMPACT | XML_PARSE_BIG_LINES);
    if (reader.has_dtd || !tree || !context->nsWellFormed || !xmlDocGetRootElement(tree)) {
        set_reader_error(&reader, xml, size, label, error);
        g_clear_pointer(&tree, xmlFreeDoc);
    } else if (!tree_acceptable(tree, label, error)) {
        g_clear_pointer(&tree, xmlFreeDoc);
    } else {
        tree->_private = (void *)label;
    }
    g_free(reader.message);
    xmlFreeParserCtxt(context);
    return tree;
}
