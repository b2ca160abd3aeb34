/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <libxml/parser.h>
#include <libxml/xpath.h>

#include "cli/cli.h"

static xmlXPathObject *evaluate(const char *xml, const char *expression, xmlDoc **doc,
                                xmlXPathContext **context)
{
    *doc = xmlReadDoc((const xmlChar *)xml, NULL, NULL,
                      XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    *context = *doc ? xmlXPathNewContext(*doc) : NULL;
    return *context ? xmlXPathEval((const xmlChar *)expression, *context) : NULL;
}

static void clear(xmlXPathObject *found, xmlXPathContext *context, xmlDoc *doc)
{
    xmlXPathFreeObject(found);
    xmlXPathFreeContext(context);
    xmlFreeDoc(doc);
}

char *vireo_cli_xpath_text(const char *xml, const char *expression)
{
    xmlDoc *doc;
    xmlXPathContext *context;
    xmlXPathObject *found = evaluate(xml, expression, &doc, &context);
    char *text = NULL;

    if (found && found->nodesetval && found->nodesetval->nodeNr > 0) {
        xmlChar *content = xmlNodeGetContent(found->nodesetval->nodeTab[0]);

        text = g_strdup((const char *)content);
        xmlFree(content);
    }
    clear(found, context, doc);
    return text;
}

static char *join_nodes(const xmlDoc *doc, const xmlNodeSet *nodes, gboolean wrap)
{
    g_autoptr(GString) text = g_string_new(wrap ? "<nodes>\n" : "");

    for (int i = 0; i < nodes->nodeNr; i++) {
        xmlBuffer *buffer = xmlBufferCreate();

        xmlNodeDump(buffer, (xmlDoc *)doc, nodes->nodeTab[i], 0, 0);
        g_string_append_printf(text, "%s%s\n", wrap ? "  " : "", (const char *)xmlBufferContent(buffer));
        xmlBufferFree(buffer);
    }
    g_string_append(text, wrap ? "</nodes>\n" : "");
    return g_strdup(text->str);
}

/* The nodes it finds as documents, one after the other; wrap: below one <nodes>. */
static gboolean find_nodes(const char *xml, const char *expression, gboolean wrap, char **ret,
                           GError **error)
{
    xmlDoc *doc;
    xmlXPathContext *context;
    xmlXPathObject *found = evaluate(xml, expression, &doc, &context);
    gboolean valid = found != NULL;

    *ret = NULL;
    if (valid && found->type != XPATH_NODESET) {
        xmlChar *text = xmlXPathCastToString(found);

        *ret = g_strdup((const char *)text);
        xmlFree(text);
    } else if (valid && found->nodesetval && found->nodesetval->nodeNr > 0) {
        *ret = join_nodes(doc, found->nodesetval, wrap);
    }
    clear(found, context, doc);
    if (*ret)
        return TRUE;
    g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "the XPath expression '%s' %s", expression,
                valid ? "finds nothing" : "is not valid");
    return FALSE;
}

gboolean vireo_cli_print_document(VireoCli *cli, const char *xml, GError **error)
{
    const char *xpath = vireo_cli_text(cli, "xpath");
    g_autofree char *nodes = NULL;

    if (xpath && !find_nodes(xml, xpath, vireo_cli_on(cli, "wrap"), &nodes, error))
        return FALSE;
    vireo_cli_print_xml(cli, nodes ? nodes : xml);
    return TRUE;
}
