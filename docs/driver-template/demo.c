/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A complete driver: domains that exist in memory alone. docs/driver-howto.md walks through it. */
#include <glib.h>
#include <libxml/parser.h>
#include <string.h>

#include <vireo/driver.h>

typedef struct {
    char *name, *xml;
    uint8_t uuid[16];
    uint64_t memory_kib;
    int id; /* -1 while off */
    gint64 started;
} Domain;

/* One for the whole process. VIREO_SERIAL keeps operations apart, so there is no lock. */
typedef struct {
    const struct vireo_host *host;
    vireo_space *space;
    GPtrArray *domains;
    int last_id;
} Driver;

static void domain_free(gpointer data)
{
    Domain *domain = data;

    g_free(domain->name);
    g_free(domain->xml);
    g_free(domain);
}

/* ---- what the core shows ---- */

/* Lookups, lists, states and events are all answered from this one call. */
static void publish(Driver *driver, const Domain *domain, int off_reason)
{
    int on = domain->id != -1;
    struct vireo_object object = {
        .size = sizeof object,
        .klass = VIREO_CLASS_DOMAIN,
        .name = domain->name,
        .id = domain->id,
        .state = on ? VIREO_DOMAIN_RUNNING : VIREO_DOMAIN_SHUTOFF,
        .reason = on ? VIREO_DOMAIN_RUNNING_BOOTED : off_reason,
        .flags = VIREO_OBJECT_PERSISTENT,
        .vcpus = 1,
        .max_memory_kib = domain->memory_kib,
        .memory_kib = domain->memory_kib,
        .os_type = "hvm",
        .event = -1,
    };

    memcpy(object.uuid, domain->uuid, 16);
    driver->host->publish(driver->space, &object);
}

static void refer(Driver *driver, vireo_call *call, const Domain *domain, vireo_domain_ref *out)
{
    out->name = driver->host->strdup(call, domain->name);
    memcpy(out->uuid, domain->uuid, 16);
    out->id = domain->id;
}

/* The core has looked the domain up already; it may have gone since. */
static Domain *find(Driver *driver, vireo_call *call, const vireo_domain_ref *dom)
{
    for (guint i = 0; i < driver->domains->len; i++) {
        Domain *domain = g_ptr_array_index(driver->domains, i);

        if (memcmp(domain->uuid, dom->uuid, 16) == 0)
            return domain;
    }
    driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "no domain with matching name '%s'", dom->name);
    return NULL;
}

/* ---- the document ---- */

static char *text_of(xmlNode *root, const char *name)
{
    for (xmlNode *node = root->children; node; node = node->next)
        if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0)
            return (char *)xmlNodeGetContent(node);
    return NULL;
}

static void read_uuid(const char *text, uint8_t uuid[16])
{
    for (int i = 0; i < 16; i++, text += 2) {
        text += *text == '-';
        uuid[i] = (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
    }
}

/* Reads name, uuid and memory, and gives a uuid to a document that has none. NULL with *why. */
static Domain *read_root(xmlDoc *doc, xmlNode *root, const char **why)
{
    char *name = text_of(root, "name"), *uuid = text_of(root, "uuid"), *memory = text_of(root, "memory");
    g_autofree char *fresh = g_uuid_string_random();
    Domain *domain = NULL;

    if (strcmp((const char *)root->name, "domain") != 0 || !name || !*name) {
        *why = "a <domain> with a <name> is needed";
    } else if (uuid && !g_uuid_string_is_valid(uuid)) {
        *why = "the uuid is malformed";
    } else {
        xmlChar *whole;
        int len;

        if (!uuid)
            xmlNewTextChild(root, NULL, (const xmlChar *)"uuid", (const xmlChar *)fresh);
        xmlDocDumpMemory(doc, &whole, &len);
        domain = g_new0(Domain, 1);
        domain->name = g_strdup(name);
        domain->xml = g_strdup((const char *)whole);
        read_uuid(uuid ? uuid : fresh, domain->uuid);
        domain->memory_kib = memory ? g_ascii_strtoull(memory, NULL, 10) : 65536;
        domain->id = -1;
        xmlFree(whole);
    }
    xmlFree(name);
    xmlFree(uuid);
    xmlFree(memory);
    return domain;
}

static Domain *read_xml(const char *text, const char **why)
{
    int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
    xmlDoc *doc = xmlReadMemory(text, (int)strlen(text), "domain.xml", NULL, options);
    Domain *domain = NULL;

    *why = "the document is not well-formed";
    if (doc)
        domain = read_root(doc, xmlDocGetRootElement(doc), why);
    xmlFreeDoc(doc);
    return domain;
}

/* ---- operations ---- */

static int conn_open(void *self, vireo_call *call, const vireo_conn_open_args *args, vireo_conn_open_ret *ret)
{
    Driver *driver = self;

    if (strcmp(args->uri, "demo:///default") != 0)
        return driver->host->fail(call, VIREO_ERR_INVALID_ARG, "the only URI is demo:///default");
    ret->conn = driver;
    ret->space = driver->space;
    return VIREO_OK;
}

static int conn_close(void *conn, vireo_call *call)
{
    (void)conn;
    (void)call;
    return VIREO_OK;
}

static int get_type(void *conn, vireo_call *call, vireo_connect_get_type_ret *ret)
{
    Driver *driver = conn;

    ret->type = driver->host->strdup(call, "Demo");
    return VIREO_OK;
}

static int get_version(void *conn, vireo_call *call, vireo_connect_get_version_ret *ret)
{
    (void)conn;
    (void)call;
    ret->hv_ver = 1000000; /* major * 1,000,000 + minor * 1,000 + release */
    return VIREO_OK;
}

static int define(void *conn, vireo_call *call, const vireo_domain_define_xml_flags_args *args,
                  vireo_domain_define_xml_flags_ret *ret)
{
    Driver *driver = conn;
    const char *why;
    Domain *domain = read_xml(args->xml, &why);

    if (!domain)
        return driver->host->fail(call, VIREO_ERR_XML_ERROR, "%s", why);
    for (guint i = 0; i < driver->domains->len; i++) {
        Domain *old = g_ptr_array_index(driver->domains, i);
        gboolean same = memcmp(old->uuid, domain->uuid, 16) == 0;

        if (!same && strcmp(old->name, domain->name) == 0) {
            domain_free(domain);
            return driver->host->fail(call, VIREO_ERR_DOM_EXIST, "domain '%s' exists with another uuid", old->name);
        }
        if (same) { /* a new definition of a domain that may be running */
            domain->id = old->id;
            domain->started = old->started;
            g_ptr_array_remove_index(driver->domains, i--);
        }
    }
    g_ptr_array_add(driver->domains, domain);
    publish(driver, domain, VIREO_DOMAIN_SHUTOFF_UNKNOWN);
    refer(driver, call, domain, &ret->dom);
    return VIREO_OK;
}

static int undefine(void *conn, vireo_call *call, const vireo_domain_undefine_flags_args *args)
{
    Driver *driver = conn;
    Domain *domain = find(driver, call, &args->dom);

    if (!domain)
        return VIREO_FAIL;
    if (domain->id != -1)
        return driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "stop domain '%s' first", domain->name);
    driver->host->withdraw(driver->space, VIREO_CLASS_DOMAIN, domain->name, domain->uuid);
    g_ptr_array_remove(driver->domains, domain);
    return VIREO_OK;
}

static int create(void *conn, vireo_call *call, const vireo_domain_create_with_flags_args *args,
                  vireo_domain_create_with_flags_ret *ret)
{
    Driver *driver = conn;
    Domain *domain = find(driver, call, &args->dom);

    if (!domain)
        return VIREO_FAIL;
    if (domain->id != -1)
        return driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain is already running");
    domain->id = ++driver->last_id;
    domain->started = g_get_monotonic_time();
    publish(driver, domain, 0);
    refer(driver, call, domain, &ret->dom);
    return VIREO_OK;
}

static int destroy(void *conn, vireo_call *call, const vireo_domain_destroy_flags_args *args)
{
    Driver *driver = conn;
    Domain *domain = find(driver, call, &args->dom);

    if (!domain)
        return VIREO_FAIL;
    if (domain->id == -1)
        return driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain is not running");
    domain->id = -1;
    publish(driver, domain, VIREO_DOMAIN_SHUTOFF_DESTROYED);
    return VIREO_OK;
}

static int get_xml(void *conn, vireo_call *call, const vireo_domain_get_xml_desc_args *args,
                   vireo_domain_get_xml_desc_ret *ret)
{
    Driver *driver = conn;
    Domain *domain = find(driver, call, &args->dom);

    if (!domain)
        return VIREO_FAIL;
    ret->xml = driver->host->strdup(call, domain->xml);
    return VIREO_OK;
}

/* The core would answer this from what was published, were it not for the processor time. */
static int get_info(void *conn, vireo_call *call, const vireo_domain_get_info_args *args,
                    vireo_domain_get_info_ret *ret)
{
    Driver *driver = conn;
    Domain *domain = find(driver, call, &args->dom);

    if (!domain)
        return VIREO_FAIL;
    ret->state = domain->id != -1 ? VIREO_DOMAIN_RUNNING : VIREO_DOMAIN_SHUTOFF;
    ret->maxMem = ret->memory = domain->memory_kib;
    ret->nrVirtCpu = 1;
    if (domain->id != -1)
        ret->cpuTime = (uint64_t)(g_get_monotonic_time() - domain->started) * 1000;
    return VIREO_OK;
}

/* ---- the driver ---- */

static int init(const struct vireo_host *host, vireo_core *core, void **self)
{
    Driver *driver = g_new0(Driver, 1);

    driver->host = host;
    driver->space = host->space(core, "demo:///default");
    driver->domains = g_ptr_array_new_with_free_func(domain_free);
    *self = driver;
    return VIREO_OK;
}

static void fini(void *self)
{
    Driver *driver = self;

    g_ptr_array_unref(driver->domains);
    g_free(driver);
}

/* A domain has none of these, so none is left behind. */
#define NOTHING_TO_LEAVE                                                                   \
    (VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE | VIREO_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |       \
     VIREO_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIREO_DOMAIN_UNDEFINE_NVRAM |            \
     VIREO_DOMAIN_UNDEFINE_TPM)
/* There is one document for both states, and no secret in it. */
#define ONE_DOCUMENT (VIREO_DOMAIN_XML_SECURE | VIREO_DOMAIN_XML_INACTIVE)

/*    operation                 function     native  trivial    active  inactive */
#define OPERATIONS(X)                                                              \
    X(conn_open,                conn_open,   0, 0,                             0, 0) \
    X(conn_close,               conn_close,  0, 0,                             0, 0) \
    X(connect_get_type,         get_type,    0, 0,                             0, 0) \
    X(connect_get_version,      get_version, 0, 0,                             0, 0) \
    X(domain_define_xml_flags,  define,      0, 0,                             0, 0) \
    X(domain_undefine_flags,    undefine,    0, NOTHING_TO_LEAVE,              0, 0) \
    X(domain_create_with_flags, create,      0, 0,                             0, 0) \
    X(domain_destroy_flags,     destroy,     0, VIREO_DOMAIN_DESTROY_GRACEFUL, 0, 0) \
    X(domain_get_xml_desc,      get_xml,     0, ONE_DOCUMENT,                  0, 0) \
    X(domain_get_info,          get_info,    0, 0,                             0, 0)

VIREO_DRIVER(demo, "1.0", "demo", VIREO_SERIAL, OPERATIONS, init, fini)
