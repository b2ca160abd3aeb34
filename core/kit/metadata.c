/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/metadata.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <string.h>

typedef xmlDoc XmlDoc;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(XmlDoc, xmlFreeDoc)

static XmlDoc *parse(const char *text)
{
    return xmlReadMemory(text, (int)strlen(text), NULL, NULL,
                         XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
}

static char *node_text(XmlDoc *doc, xmlNode *node)
{
    xmlBuffer *buffer = xmlBufferCreate();

    xmlNodeDump(buffer, doc, node, 0, 0);
    char *text = g_strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    return text;
}

static xmlNode *find_element(XmlDoc *doc, const char *uri)
{
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;

    for (xmlNode *node = root ? root->children : NULL; node; node = node->next)
        if (node->type == XML_ELEMENT_NODE && node->ns &&
            !g_strcmp0((const char *)node->ns->href, uri))
            return node;
    return NULL;
}

static void forget_namespace(xmlNode *node, const char *uri)
{
    for (; node; node = node->next) {
        if (node->type != XML_ELEMENT_NODE)
            continue;
        if (node->ns && !g_strcmp0((const char *)node->ns->href, uri))
            node->ns = NULL;
        forget_namespace(node->children, uri);
    }
}

/* The element of that namespace, without its namespace, as it was once given. */
static char *get_element(const VireoDomain *def, const char *uri)
{
    g_autoptr(XmlDoc) doc = parse(def->metadata ? def->metadata : "<metadata/>");
    xmlNode *found = find_element(doc, uri);

    if (!found)
        return NULL;
    xmlNode *copy = xmlDocCopyNode(found, doc, 1);
    forget_namespace(copy, uri);
    for (xmlNs **ns = &copy->nsDef; *ns;) {
        if (g_strcmp0((const char *)(*ns)->href, uri)) {
            ns = &(*ns)->next;
            continue;
        }
        xmlNs *dropped = *ns;
        *ns = dropped->next;
        dropped->next = NULL;
        xmlFreeNs(dropped);
    }
    char *text = node_text(doc, copy);
    xmlFreeNode(copy);
    return text;
}

static gboolean set_element(VireoDomain *def, const char *text, const char *key, const char *uri,
                            GError **error)
{
    g_autoptr(XmlDoc) doc = parse(def->metadata ? def->metadata : "<metadata/>");
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL, *old = find_element(doc, uri);

    if (!doc || !uri) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "an element needs the URI of its namespace");
        return FALSE;
    }
    if (old) {
        xmlUnlinkNode(old);
        xmlFreeNode(old);
    }
    if (text) {
        g_autoptr(XmlDoc) given = parse(text);
        xmlNode *element = given ? xmlDocGetRootElement(given) : NULL;

        if (!element || !key) {
            g_set_error(error, VIREO_ERROR, element ? VIREO_ERR_INVALID_ARG : VIREO_ERR_XML_ERROR,
                       element ? "an element needs a prefix for its namespace"
                               : "the metadata is not one well-formed element");
            return FALSE;
        }
        xmlNode *copy = xmlDocCopyNode(element, doc, 1);
        xmlSetNs(copy, xmlNewNs(copy, (const xmlChar *)uri, (const xmlChar *)key));
        xmlAddChild(root, copy);
    }
    g_free(def->metadata);
    def->metadata = root->children ? node_text(doc, root) : NULL;
    return TRUE;
}

gboolean vireo_metadata_set(VireoDomain *doc, const vireo_domain_set_metadata_args *args, GError **error)
{
    const char *text = args->metadata && *args->metadata ? args->metadata : NULL;

    switch (args->type) {
    case VIREO_DOMAIN_METADATA_TITLE:
        if (text && strchr(text, '\n')) {
            g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "a title is one line");
            return FALSE;
        }
        g_free(doc->title);
        doc->title = g_strdup(text);
        return TRUE;
    case VIREO_DOMAIN_METADATA_DESCRIPTION:
        g_free(doc->description);
        doc->description = g_strdup(text);
        return TRUE;
    case VIREO_DOMAIN_METADATA_ELEMENT:
        return set_element(doc, text, args->key, args->uri, error);
    default:
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "unknown kind of metadata %d", args->type);
        return FALSE;
    }
}

char *vireo_metadata_get(const VireoDomain *doc, int type, const char *uri)
{
    if (type == VIREO_DOMAIN_METADATA_TITLE)
        return g_strdup(doc->title);
    if (type == VIREO_DOMAIN_METADATA_DESCRIPTION)
        return g_strdup(doc->description);
    return type == VIREO_DOMAIN_METADATA_ELEMENT ? get_element(doc, uri) : NULL;
}
