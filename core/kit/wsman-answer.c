/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Envelopes that services send. What belongs to the protocol is known by its namespace, nothing by its prefix. Properties
 * and what faults have inside are known by their names: services differ in those namespaces. */
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <string.h>

#include "kit/wsman-private.h"

#define XSI        "http://www.w3.org/2001/XMLSchema-instance"
#define SOAP       "http://www.w3.org/2003/05/soap-envelope"
#define ADDRESSING "http://schemas.xmlsoap.org/ws/2004/08/addressing"
#define EVENTING   "http://schemas.xmlsoap.org/ws/2004/08/eventing"
#define WSMAN      "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
#define CIM        "http://schemas.dmtf.org/wbem/wscim/1/common"

/* ---- errors ---------------------------------------------------------------------- */

typedef struct {
    guint32 number;
    char *subcode;
} VireoWsmanErrorPrivate;

static void vireo_wsman_error_private_init(VireoWsmanErrorPrivate *private)
{
    *private = (VireoWsmanErrorPrivate){0};
}

static void vireo_wsman_error_private_copy(const VireoWsmanErrorPrivate *from, VireoWsmanErrorPrivate *to)
{
    to->number = from->number;
    to->subcode = g_strdup(from->subcode);
}

static void vireo_wsman_error_private_clear(VireoWsmanErrorPrivate *private)
{
    g_free(private->subcode);
}

G_DEFINE_EXTENDED_ERROR(VireoWsmanError, vireo_wsman_error)

GError *wsman_error_new(VireoWsmanError code, guint32 number, const char *subcode, const char *text)
{
    GError *error = g_error_new_literal(VIREO_WSMAN_ERROR, code, text);
    VireoWsmanErrorPrivate *private = vireo_wsman_error_get_private(error);

    private->number = number;
    private->subcode = g_strdup(subcode);
    return error;
}

guint32 vireo_wsman_error_number(const GError *error)
{
    return error && error->domain == VIREO_WSMAN_ERROR ? vireo_wsman_error_get_private(error)->number : 0;
}

const char *vireo_wsman_error_subcode(const GError *error)
{
    const char *subcode =
        error && error->domain == VIREO_WSMAN_ERROR ? vireo_wsman_error_get_private(error)->subcode : NULL;

    return subcode ? subcode : "";
}

/* ---- elements -------------------------------------------------------------------- */

/* space NULL: of any. */
static gboolean is(const xmlNode *node, const char *space, const char *name)
{
    return node->type == XML_ELEMENT_NODE && g_str_equal((const char *)node->name, name) &&
           (!space || (node->ns && node->ns->href && g_str_equal((const char *)node->ns->href, space)));
}

static const xmlNode *first(const xmlNode *node)
{
    for (node = node ? node->children : NULL; node && node->type != XML_ELEMENT_NODE;)
        node = node->next;
    return node;
}

static const xmlNode *child(const xmlNode *node, const char *space, const char *name)
{
    for (node = first(node); node && !is(node, space, name);)
        node = node->next;
    return node;
}

/* The first of that name, at any depth. */
static const xmlNode *below(const xmlNode *node, const char *name)
{
    for (node = first(node); node; node = node->next) {
        const xmlNode *found = is(node, NULL, name) ? node : below(node, name);

        if (found)
            return found;
    }
    return NULL;
}

static char *text_of(const xmlNode *node)
{
    char *text = node ? (char *)xmlNodeGetContent(node) : NULL;

    return text ? g_strstrip(text) : NULL;
}

static char *attribute(const xmlNode *node, const char *name, const char *space)
{
    return (char *)(space ? xmlGetNsProp(node, (const xmlChar *)name, (const xmlChar *)space)
                            : xmlGetNoNsProp(node, (const xmlChar *)name));
}

/* ---- instances ------------------------------------------------------------------- */

static VireoCim *read_path(const xmlNode *node)
{
    const xmlNode *inner = child(node, ADDRESSING, "EndpointReference");
    const xmlNode *parameters = child(inner ? inner : node, ADDRESSING, "ReferenceParameters");
    const xmlNode *selectors = child(parameters, WSMAN, "SelectorSet");
    g_autofree char *uri = text_of(child(parameters, WSMAN, "ResourceURI"));
    VireoCim *path = vireo_cim_new(uri ? uri : "");

    for (const xmlNode *one = first(selectors); one; one = one->next) {
        g_autofree char *name = one->type == XML_ELEMENT_NODE ? attribute(one, "Name", NULL) : NULL;
        g_autofree char *text = name ? text_of(one) : NULL;

        if (name)
            vireo_cim_add(path, name, NULL, text);
    }
    return path;
}

static VireoCim *read_instance(const xmlNode *node);

static void read_property(VireoCim *cim, const xmlNode *node)
{
    const char *name = (const char *)node->name;
    g_autofree char *nil = attribute(node, "nil", XSI);
    const xmlNode *inner = first(node);
    g_autoptr(VireoCim) made = NULL;

    if (nil && (g_str_equal(nil, "true") || g_str_equal(nil, "1"))) {
        vireo_cim_add_null(cim, name);
        return;
    }
    if (!inner || is(inner, CIM, "Datetime") || is(inner, CIM, "Interval") || is(inner, CIM, "Date") ||
        is(inner, CIM, "Time") || is(inner, CIM, "CIM_DateTime")) {
        g_autofree char *text = (char *)xmlNodeGetContent(inner ? inner : node);

        vireo_cim_add(cim, name, NULL, text);
        return;
    }
    if (is(inner, ADDRESSING, "EndpointReference") || child(node, ADDRESSING, "ReferenceParameters"))
        vireo_cim_add_path(cim, name, made = read_path(node));
    else
        vireo_cim_add_object(cim, name, made = read_instance(node));
}

static VireoCim *read_instance(const xmlNode *node)
{
    g_autofree char *type = attribute(node, "type", XSI);
    const char *colon = type ? strrchr(type, ':') : NULL;
    VireoCim *cim;

    if (!type)
        cim = vireo_cim_new(node->ns && node->ns->href ? (const char *)node->ns->href : "");
    else {
        char *class = (char *)(colon ? colon + 1 : type);
        gboolean own = g_str_has_prefix(class, (const char *)node->name);

        if (g_str_has_suffix(class, "_Type"))
            class[strlen(class) - 5] = 0;
        cim = vireo_cim_new(own && node->ns && node->ns->href ? (const char *)node->ns->href : class);
    }
    for (const xmlNode *one = first(node); one; one = one->next)
        if (one->type == XML_ELEMENT_NODE)
            read_property(cim, one);
    return cim;
}

/* ---- bodies ---------------------------------------------------------------------- */

static void read_fault(const xmlNode *fault, GError **error)
{
    const xmlNode *code = child(fault, SOAP, "Code"), *detail = child(fault, SOAP, "Detail");
    const xmlNode *inner = below(detail, "WSManFault");
    const xmlNode *provider = below(inner, "ProviderFault");
    const xmlNode *deepest = below(provider, "WSManFault");
    g_autofree char *subcode = text_of(child(child(code, SOAP, "Subcode"), SOAP, "Value"));
    g_autofree char *reason = text_of(child(child(fault, SOAP, "Reason"), SOAP, "Text"));
    g_autofree char *more = text_of(provider ? provider : child(inner, NULL, "Message"));
    g_autofree char *number = inner ? attribute(deepest ? deepest : inner, "Code", NULL) : NULL;
    const char *colon = subcode ? strrchr(subcode, ':') : NULL;
    g_autofree char *text = more && *more        ? g_strdup(more)
                            : reason && *reason ? g_strdup(reason)
                                                : g_strdup("the service gave no reason");

    g_propagate_error(error, wsman_error_new(VIREO_WSMAN_ERROR_FAULT,
                                             number ? (guint32)g_ascii_strtoull(number, NULL, 10) : 0,
                                             colon ? colon + 1 : subcode, text));
}

/* Enumerations end in one namespace when they are optimised, and in another one when they are not. */
static const xmlNode *of_either(const xmlNode *node, const char *name)
{
    const xmlNode *found = child(node, WSMAN_ENUMERATION, name);

    return found ? found : child(node, WSMAN, name);
}

static void read_enumeration(const xmlNode *node, VireoWsmanAnswer *answer)
{
    const xmlNode *items = of_either(node, "Items");
    g_autofree char *context = text_of(child(node, WSMAN_ENUMERATION, "EnumerationContext"));

    answer->items = g_ptr_array_new_with_free_func((GDestroyNotify)vireo_cim_unref);
    answer->end = of_either(node, "EndOfSequence") != NULL;
    answer->context = context && *context ? g_steal_pointer(&context) : NULL;
    for (const xmlNode *one = first(items); one; one = one->next)
        if (one->type == XML_ELEMENT_NODE)
            g_ptr_array_add(answer->items, is(one, ADDRESSING, "EndpointReference") ? read_path(one) : read_instance(one));
}

/* Where the events are to be had, and the name by which they are given up. */
static VireoCim *read_subscription(const xmlNode *node)
{
    g_autofree char *context = text_of(child(node, WSMAN_ENUMERATION, "EnumerationContext"));
    g_autofree char *identifier = text_of(below(child(node, EVENTING, "SubscriptionManager"), "Identifier"));
    VireoCim *subscription = vireo_cim_add(vireo_cim_new("SubscribeResponse"), "EnumerationContext", NULL, context);

    return vireo_cim_add(subscription, "Identifier", NULL, identifier);
}

static gboolean read_envelope(const xmlNode *root, VireoWsmanAnswer *answer, GError **error)
{
    const xmlNode *body = root && is(root, SOAP, "Envelope") ? child(root, SOAP, "Body") : NULL;
    const xmlNode *node = first(body);

    if (!body) {
        g_set_error_literal(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_ANSWER, "the answer is no SOAP envelope");
        return FALSE;
    }
    answer->relates_to = text_of(child(child(root, SOAP, "Header"), ADDRESSING, "RelatesTo"));
    if (!node)
        return TRUE; /* of Release */
    if (is(node, SOAP, "Fault")) {
        read_fault(node, error);
        return FALSE;
    }
    if (is(node, WSMAN_ENUMERATION, "EnumerateResponse") || is(node, WSMAN_ENUMERATION, "PullResponse"))
        read_enumeration(node, answer);
    else
        answer->body = is(node, EVENTING, "SubscribeResponse") ? read_subscription(node) : read_instance(node);
    return TRUE;
}

gboolean vireo_wsman_answer_read(const char *text, gsize len, VireoWsmanAnswer *answer, GError **error)
{
    xmlDoc *doc = len > G_MAXINT ? NULL
                                 : xmlReadMemory(text, (int)len, NULL, NULL,
                                                 XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    gboolean good = FALSE;

    *answer = (VireoWsmanAnswer){0};
    if (!doc || doc->intSubset) /* with a document type it could hold entities */
        g_set_error_literal(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_ANSWER,
                            len ? "the answer is not XML that can be read" : "the answer is empty");
    else
        good = read_envelope(xmlDocGetRootElement(doc), answer, error);
    xmlFreeDoc(doc);
    if (!good)
        vireo_wsman_answer_clear(answer);
    return good;
}

void vireo_wsman_answer_clear(VireoWsmanAnswer *answer)
{
    g_clear_pointer(&answer->relates_to, g_free);
    g_clear_pointer(&answer->context, g_free);
    g_clear_pointer(&answer->items, g_ptr_array_unref);
    g_clear_pointer(&answer->body, vireo_cim_unref);
}
