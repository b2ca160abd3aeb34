/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Title, description and other people's elements in a definition. */
#include "ops.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <string.h>

#include "livestate.h"

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
        qemu_error(error, VIREO_ERR_INVALID_ARG, "an element needs the URI of its namespace");
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
            qemu_error(error, element ? VIREO_ERR_INVALID_ARG : VIREO_ERR_XML_ERROR,
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

static gboolean change(VireoDomain *doc, const vireo_domain_set_metadata_args *args, GError **error)
{
    const char *text = args->metadata && *args->metadata ? args->metadata : NULL;

    switch (args->type) {
    case VIREO_DOMAIN_METADATA_TITLE:
        if (text && strchr(text, '\n')) {
            qemu_error(error, VIREO_ERR_INVALID_ARG, "a title is one line");
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
        qemu_error(error, VIREO_ERR_INVALID_ARG, "unknown kind of metadata %d", args->type);
        return FALSE;
    }
}

int qemu_domain_set_metadata(void *handle, vireo_call *call,
                             const vireo_domain_set_metadata_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    gboolean live, config;

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_impact(dom, args->flags, &live, &config, &error))
        return qemu_fail(conn->driver, call, error);
    if (config) {
        g_autoptr(QemuDef) stored = qemu_domain_config(dom);
        VireoDomain *doc = vireo_domain_copy(stored->doc);
        g_autoptr(QemuDef) def = qemu_def_new(doc);

        if (!change(doc, args, &error) || !qemu_domain_store(dom, def, &error))
            return qemu_fail(conn->driver, call, error);
    }
    if (live) {
        g_autoptr(QemuDef) now = qemu_domain_live(dom);
        VireoDomain *doc = vireo_domain_copy(now->doc);

        if (!change(doc, args, &error)) {
            vireo_domain_free(doc);
            return qemu_fail(conn->driver, call, error);
        }
        qemu_domain_set_live(dom, qemu_def_new(doc));
        if (!qemu_live_save(dom, &error))
            return qemu_fail(conn->driver, call, error);
    }
    vireo_domain_event_callback_metadata_change_msg message = { .type = args->type,
                                                                .nsuri = args->uri };
    qemu_domain_fill_ref(dom, call, &message.dom);
    conn->driver->host->event(conn->space->published,
                              VIREO_EVENT_domain_event_callback_metadata_change, &message);
    return VIREO_OK;
}

int qemu_domain_get_metadata(void *handle, vireo_call *call,
                             const vireo_domain_get_metadata_args *args,
                             vireo_domain_get_metadata_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    gboolean live, config;

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_impact(dom, args->flags, &live, &config, &error))
        return qemu_fail(conn->driver, call, error);
    g_autoptr(QemuDef) def = live ? qemu_domain_live(dom) : qemu_domain_config(dom);
    if (def && args->type == VIREO_DOMAIN_METADATA_TITLE)
        text = g_strdup(def->doc->title);
    else if (def && args->type == VIREO_DOMAIN_METADATA_DESCRIPTION)
        text = g_strdup(def->doc->description);
    else if (def && args->type == VIREO_DOMAIN_METADATA_ELEMENT)
        text = get_element(def->doc, args->uri);
    if (!text)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN_METADATA,
                                        "domain '%s' has no such metadata", dom->name);
    ret->metadata = conn->driver->host->strdup(call, text);
    return VIREO_OK;
}
