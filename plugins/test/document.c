/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A simulated host as a document: <node> with <cpu>, <memory> and <domain>. */
#include "driver.h"

#include <libxml/parser.h>
#include <string.h>

#define DOMAIN_NS     "http://libvirt.org/schemas/domain/test/1.0"
#define DOCUMENT_MOST (16 * 1024 * 1024)

static const char default_domain[] = "<domain type='test'>"
                                     "<name>test</name>"
                                     "<uuid>6695eb01-f6a4-8304-79aa-97f2502e193f</uuid>"
                                     "<memory>8388608</memory>"
                                     "<currentMemory>2097152</currentMemory>"
                                     "<vcpu>2</vcpu>"
                                     "<os><type>hvm</type></os>"
                                     "</domain>";

/* A domain's own <test:...> elements, taken out before the rest is parsed. */
typedef struct {
    int state; /* VIREO_DOMAIN_... */
    gboolean transient, managed_save;
    GPtrArray *snapshots; /* XML texts */
} Extras;

static void extras_clear(Extras *extras)
{
    g_clear_pointer(&extras->snapshots, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Extras, extras_clear)

static gboolean add_domain(TestNode *node, const char *xml, Extras *extras, GError **error)
{
    g_autoptr(VireoDomain) doc = test_definition_parse(xml, 0, error);
    TestDomain *dom = doc ? test_domain_set(node, doc, extras->transient, error) : NULL;

    if (!dom)
        return FALSE;
    if (extras->state != VIREO_DOMAIN_SHUTOFF)
        test_domain_start(dom, VIREO_DOMAIN_RUNNING_BOOTED,
                          extras->state == VIREO_DOMAIN_PAUSED ? TEST_START_PAUSED : 0);
    else
        test_domain_publish(dom);
    for (guint i = 0; extras->snapshots && i < extras->snapshots->len; i++)
        if (!test_snapshot_load(dom, extras->snapshots->pdata[i], error))
            return FALSE;
    if (extras->managed_save) {
        dom->managed_save = test_domain_capture(dom, TEST_CAPTURE_MEMORY);
        if (!dom->managed_save->live)
            dom->managed_save->live = g_ref_string_acquire(dom->config);
        dom->managed_save->state = VIREO_DOMAIN_RUNNING;
        test_domain_publish(dom);
    }
    return TRUE;
}

gboolean test_node_load_default(TestNode *node, GError **error)
{
    g_auto(Extras) extras = {.state = VIREO_DOMAIN_RUNNING};

    return add_domain(node, default_domain, &extras, error);
}

static xmlDoc *read_document(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    gsize len;
    xmlDoc *doc;

    if (!g_file_get_contents(path, &text, &len, error))
        return NULL;
    doc = len <= DOCUMENT_MOST ? xmlReadMemory(text, (int)len, path, NULL,
                                               XML_PARSE_NONET | XML_PARSE_NOERROR |
                                                   XML_PARSE_NOWARNING | XML_PARSE_NOCDATA)
                               : NULL;
    if (doc && xmlGetIntSubset(doc) == NULL)
        return doc;
    xmlFreeDoc(doc);
    g_set_error(error, VIREO_ERROR, VIREO_ERR_XML_ERROR,
                "'%s' is no XML document without "
                "document type: line %d",
                path, xmlGetLastError() ? xmlGetLastError()->line : 0);
    return NULL;
}

static char *node_text(xmlNode *element)
{
    xmlBuffer *buffer = xmlBufferCreate();
    xmlNode *copy = xmlDocCopyNode(element, element->doc, 1);
    char *text;

    xmlReconciliateNs(element->doc, copy);
    xmlNodeDump(buffer, element->doc, copy, 0, 0);
    text = g_strdup((const char *)xmlBufferContent(buffer));
    xmlFreeNode(copy);
    xmlBufferFree(buffer);
    return text;
}

static gboolean is_named(const xmlNode *at, const char *name)
{
    return at->type == XML_ELEMENT_NODE && strcmp((const char *)at->name, name) == 0;
}

static gint64 number_in(xmlNode *element)
{
    xmlChar *text = xmlNodeGetContent(element);
    gint64 value = g_ascii_strtoll((const char *)text, NULL, 10);

    xmlFree(text);
    return value;
}

static int state_from_number(gint64 number)
{
    if (number == VIREO_DOMAIN_SHUTOFF || number == VIREO_DOMAIN_PAUSED)
        return (int)number;
    return VIREO_DOMAIN_RUNNING;
}

static void take_snapshot(xmlNode *element, Extras *extras)
{
    xmlSetNs(element, NULL);
    for (xmlNs **at = &element->nsDef;
         *at;) /* the wrapper's own declarations are not the model's */
        if (strcmp((const char *)(*at)->href, DOMAIN_NS) == 0) {
            xmlNs *gone = *at;

            *at = gone->next;
            gone->next = NULL;
            xmlFreeNs(gone);
        } else
            at = &(*at)->next;
    if (!extras->snapshots)
        extras->snapshots = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(extras->snapshots, node_text(element));
}

static void take_extras(xmlNode *domain, Extras *extras)
{
    for (xmlNode *at = domain->children, *next; at; at = next) {
        next = at->next;
        if (at->type != XML_ELEMENT_NODE || !at->ns ||
            strcmp((const char *)at->ns->href, DOMAIN_NS) != 0)
            continue;
        if (is_named(at, "runstate"))
            extras->state = state_from_number(number_in(at));
        else if (is_named(at, "transient"))
            extras->transient = TRUE;
        else if (is_named(at, "hasmanagedsave"))
            extras->managed_save = TRUE;
        else if (is_named(at, "domainsnapshot"))
            take_snapshot(at, extras);
        xmlUnlinkNode(at);
        xmlFreeNode(at);
    }
    if (extras->managed_save)
        extras->state = VIREO_DOMAIN_SHUTOFF;
}

static gboolean load_domain(TestNode *node, xmlNode *element, const char *dir, GError **error)
{
    g_auto(Extras) extras = {.state = VIREO_DOMAIN_RUNNING};
    xmlChar *file = xmlGetNoNsProp(element, BAD_CAST "file");
    g_autofree char *path = NULL;
    g_autofree char *xml = NULL;
    xmlDoc *other = NULL;

    if (file) {
        path = g_path_is_absolute((char *)file) ? g_strdup((char *)file)
                                                : g_build_filename(dir, (char *)file, NULL);
        xmlFree(file);
        other = read_document(path, error);
        if (!other)
            return FALSE;
        element = xmlDocGetRootElement(other);
    }
    take_extras(element, &extras);
    xml = node_text(element);
    xmlFreeDoc(other);
    return add_domain(node, xml, &extras, error);
}

static void set_number(int *into, xmlNode *element)
{
    gint64 value = number_in(element);

    if (value > 0 && value <= 4096)
        *into = (int)value;
}

static void load_cpu(TestNodeInfo *info, xmlNode *cpu)
{
    for (xmlNode *at = cpu->children; at; at = at->next) {
        if (is_named(at, "nodes"))
            set_number(&info->nodes, at);
        else if (is_named(at, "sockets"))
            set_number(&info->sockets, at);
        else if (is_named(at, "cores"))
            set_number(&info->cores, at);
        else if (is_named(at, "threads"))
            set_number(&info->threads, at);
        else if (is_named(at, "active"))
            set_number(&info->cpus, at);
        else if (is_named(at, "mhz"))
            info->mhz = (int)CLAMP(number_in(at), 1, 1000000);
        else if (is_named(at, "model")) {
            xmlChar *text = xmlNodeGetContent(at);

            g_strlcpy(info->model, (const char *)text, sizeof info->model);
            xmlFree(text);
        }
    }
}

static gboolean load_element(TestNode *node, xmlNode *at, const char *path, const char *dir,
                             GError **error)
{
    if (is_named(at, "domain"))
        return load_domain(node, at, dir, error);
    if (is_named(at, "cpu"))
        load_cpu(&node->info, at);
    else if (is_named(at, "memory"))
        node->info.memory = (guint64)MAX(number_in(at), 1024);
    else
        test->host->log(test->core, VIREO_LOG_WARNING, "test",
                        "%s:%ld: <%s> is ignored: this driver simulates domains only", path,
                        xmlGetLineNo(at), (const char *)at->name);
    return TRUE;
}

gboolean test_node_load_file(TestNode *node, const char *path, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path);
    xmlDoc *doc = read_document(path, error);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    gboolean ok = root != NULL;

    if (ok && !is_named(root, "node")) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_XML_ERROR,
                    "'%s': the root element is <%s>, expected <node>", path,
                    (const char *)root->name);
        ok = FALSE;
    }
    for (xmlNode *at = ok ? root->children : NULL; ok && at; at = at->next)
        if (at->type == XML_ELEMENT_NODE)
            ok = load_element(node, at, path, dir, error);
    xmlFreeDoc(doc);
    return ok;
}
