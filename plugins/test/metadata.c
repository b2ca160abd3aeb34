/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Title, description and the elements of <metadata>, one per namespace. */
#include "ops.h"

#include <libxml/parser.h>
#include <string.h>

#define QUIET (XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING)

/* The whole <metadata> element, which the model keeps as text. */
static xmlDoc *wrap(const char *metadata)
{
    const char *text = metadata ? metadata : "<metadata/>";

    return xmlReadMemory(text, (int)strlen(text), NULL, NULL, QUIET);
}

static char *unwrap(xmlNode *root)
{
    xmlBuffer *buffer;
    char *text;

    if (!xmlFirstElementChild(root))
        return NULL;
    buffer = xmlBufferCreate();
    xmlNodeDump(buffer, root->doc, root, 0, 0);
    text = g_strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    return text;
}

static xmlNode *element_of(xmlDoc *doc, const char *uri)
{
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;

    for (xmlNode *at = root ? root->children : NULL; at; at = at->next)
        if (at->type == XML_ELEMENT_NODE && at->ns && strcmp((const char *)at->ns->href, uri) == 0)
            return at;
    return NULL;
}

static int set_element(vireo_call *call, VireoDomain *doc, const char *xml, const char *key,
                       const char *uri)
{
    xmlDoc *all = wrap(doc->metadata);
    xmlDoc *given = xml ? xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, QUIET) : NULL;
    xmlNode *old = element_of(all, uri);

    if (xml && !given) {
        xmlFreeDoc(all);
        return FAIL(call, VIREO_ERR_XML_ERROR, "the metadata is no well-formed XML element");
    }
    if (old) {
        xmlUnlinkNode(old);
        xmlFreeNode(old);
    }
    if (given) {
        xmlNode *copy = xmlDocCopyNode(xmlDocGetRootElement(given), all, 1);

        xmlSetNs(copy, xmlNewNs(copy, BAD_CAST uri, BAD_CAST key));
        xmlAddChild(xmlDocGetRootElement(all), copy);
    }
    g_free(doc->metadata);
    doc->metadata = unwrap(xmlDocGetRootElement(all));
    xmlFreeDoc(given);
    xmlFreeDoc(all);
    return VIREO_OK;
}

static int set_text(vireo_call *call, char **slot, const char *text, gboolean one_line)
{
    if (one_line && text && strchr(text, '\n'))
        return FAIL(call, VIREO_ERR_XML_ERROR, "a title is one line");
    g_free(*slot);
    *slot = text && *text ? g_strdup(text) : NULL;
    return VIREO_OK;
}

static int edit_metadata(vireo_call *call, VireoDomain *doc, gboolean live, void *opaque)
{
    const vireo_domain_set_metadata_args *args = opaque;

    (void)live;
    switch (args->type) {
    case VIREO_DOMAIN_METADATA_DESCRIPTION:
        return set_text(call, &doc->description, args->metadata, FALSE);
    case VIREO_DOMAIN_METADATA_TITLE:
        return set_text(call, &doc->title, args->metadata, TRUE);
    case VIREO_DOMAIN_METADATA_ELEMENT:
        if (!args->uri || !*args->uri || (args->metadata && (!args->key || !*args->key)))
            return FAIL(call, VIREO_ERR_INVALID_ARG,
                        "a metadata element needs a namespace and "
                        "a prefix");
        return set_element(call, doc, args->metadata, args->key, args->uri);
    default:
        return FAIL(call, VIREO_ERR_INVALID_ARG, "metadata type %d does not exist", args->type);
    }
}

int test_domain_set_metadata(TestConn *conn, vireo_call *call,
                             const vireo_domain_set_metadata_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    vireo_domain_event_callback_metadata_change_msg msg = {.type = args->type};

    if (!dom || test_domain_edit(dom, call, args->flags, edit_metadata, (void *)args) != VIREO_OK)
        return VIREO_FAIL;
    msg.nsuri = (char *)args->uri;
    test_domain_event(dom, VIREO_EVENT_domain_event_callback_metadata_change, &msg, &msg.dom);
    return VIREO_OK;
}

static void strip_namespace(xmlNode *at, const char *uri)
{
    if (at->type != XML_ELEMENT_NODE)
        return;
    if (at->ns && strcmp((const char *)at->ns->href, uri) == 0)
        at->ns = NULL;
    for (xmlNode *child = at->children; child; child = child->next)
        strip_namespace(child, uri);
}

static char *get_element(vireo_call *call, const char *metadata, const char *uri)
{
    xmlDoc *all = wrap(metadata);
    xmlNode *element = element_of(all, uri);
    char *text = NULL;

    if (element) {
        xmlBuffer *buffer = xmlBufferCreate();

        strip_namespace(element, uri);
        for (xmlNs **at = &element->nsDef; *at;)
            if (strcmp((const char *)(*at)->href, uri) == 0) {
                xmlNs *gone = *at;

                *at = gone->next;
                gone->next = NULL;
                xmlFreeNs(gone);
            } else
                at = &(*at)->next;
        xmlNodeDump(buffer, all, element, 0, 0);
        text = DUP(call, (const char *)xmlBufferContent(buffer));
        xmlBufferFree(buffer);
    }
    xmlFreeDoc(all);
    return text;
}

int test_domain_get_metadata(TestConn *conn, vireo_call *call,
                             const vireo_domain_get_metadata_args *args,
                             vireo_domain_get_metadata_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = dom ? test_domain_view(dom, call, args->flags) : NULL;

    if (!doc)
        return VIREO_FAIL;
    if (args->type == VIREO_DOMAIN_METADATA_DESCRIPTION && doc->description)
        ret->metadata = DUP(call, doc->description);
    else if (args->type == VIREO_DOMAIN_METADATA_TITLE && doc->title)
        ret->metadata = DUP(call, doc->title);
    else if (args->type == VIREO_DOMAIN_METADATA_ELEMENT && args->uri && doc->metadata)
        ret->metadata = get_element(call, doc->metadata, args->uri);
    else if (args->type < 0 || args->type > VIREO_DOMAIN_METADATA_ELEMENT)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "metadata type %d does not exist", args->type);
    if (!ret->metadata)
        return FAIL(call, VIREO_ERR_NO_DOMAIN_METADATA, "domain '%s' has no such metadata",
                    dom->name);
    return VIREO_OK;
}
