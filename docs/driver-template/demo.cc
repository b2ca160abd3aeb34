/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A complete driver in C++: domains that exist in memory alone. */
#include <glib.h>
#include <libxml/parser.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <vireo/driver.h>

namespace {

using Clock = std::chrono::steady_clock;

struct Domain {
    std::string name, xml;
    uint8_t uuid[16];
    uint64_t memory_kib = 65536;
    int id = -1; /* while off */
    Clock::time_point started;
};

/* One for the whole process. VIREO_SERIAL keeps operations apart, so there is no lock. */
struct Driver {
    const struct vireo_host *host;
    vireo_space *space;
    std::vector<std::unique_ptr<Domain>> domains;
    int last_id = 0;
};

/* What an operation ends with instead of a result: the error's number and a sentence. */
struct Failure : std::runtime_error {
    int code;
    Failure(int number, const std::string &text) : std::runtime_error(text), code(number) {}
};

/* No exception may leave a module: every operation runs in here. */
template <typename Body> int guarded(const Driver *driver, vireo_call *call, Body body)
{
    try {
        body();
        return VIREO_OK;
    } catch (const Failure &failure) {
        return driver->host->fail(call, failure.code, "%s", failure.what());
    } catch (const std::exception &e) {
        return driver->host->fail(call, VIREO_ERR_INTERNAL_ERROR, "%s", e.what());
    }
}

/* ---- what the core shows ---- */

/* Lookups, lists, states and events are all answered from this one call. */
void publish(const Driver *driver, const Domain &domain, int off_reason)
{
    bool on = domain.id != -1;
    struct vireo_object object = {};

    object.size = sizeof object;
    object.klass = VIREO_CLASS_DOMAIN;
    object.name = domain.name.c_str();
    object.id = domain.id;
    object.state = on ? VIREO_DOMAIN_RUNNING : VIREO_DOMAIN_SHUTOFF;
    object.reason = on ? int(VIREO_DOMAIN_RUNNING_BOOTED) : off_reason;
    object.flags = VIREO_OBJECT_PERSISTENT;
    object.vcpus = 1;
    object.max_memory_kib = object.memory_kib = domain.memory_kib;
    object.os_type = "hvm";
    object.event = -1;
    std::memcpy(object.uuid, domain.uuid, sizeof domain.uuid);
    driver->host->publish(driver->space, &object);
}

void refer(const Driver *driver, vireo_call *call, const Domain &domain, vireo_domain_ref *out)
{
    out->name = driver->host->strdup(call, domain.name.c_str());
    std::memcpy(out->uuid, domain.uuid, sizeof domain.uuid);
    out->id = domain.id;
}

/* The core has looked the domain up already; it may have gone since. */
Domain &find(const Driver *driver, const vireo_domain_ref &dom)
{
    for (const auto &domain : driver->domains)
        if (std::memcmp(domain->uuid, dom.uuid, sizeof domain->uuid) == 0)
            return *domain;
    throw Failure(VIREO_ERR_NO_DOMAIN, std::string("no domain with matching name '") + dom.name + "'");
}

/* ---- the document ---- */

std::string text_of(const xmlNode *root, const char *name)
{
    for (xmlNode *node = root->children; node; node = node->next)
        if (node->type == XML_ELEMENT_NODE && !std::strcmp(reinterpret_cast<const char *>(node->name), name)) {
            std::unique_ptr<xmlChar, void (*)(void *)> text(xmlNodeGetContent(node), xmlFree);

            return text ? reinterpret_cast<const char *>(text.get()) : "";
        }
    return "";
}

void read_uuid(const char *text, uint8_t uuid[16])
{
    for (int i = 0; i < 16; i++, text += 2) {
        text += *text == '-';
        uuid[i] = uint8_t(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
    }
}

/* Reads name, uuid and memory, and gives a uuid to a document that has none. */
std::unique_ptr<Domain> read_xml(const char *text)
{
    int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
    std::unique_ptr<xmlDoc, void (*)(xmlDoc *)> doc(
        xmlReadMemory(text, int(std::strlen(text)), "domain.xml", nullptr, options), xmlFreeDoc);
    auto domain = std::make_unique<Domain>();

    if (!doc)
        throw Failure(VIREO_ERR_XML_ERROR, "the document is not well-formed");
    xmlNode *root = xmlDocGetRootElement(doc.get());
    std::string uuid = text_of(root, "uuid"), memory = text_of(root, "memory");

    domain->name = text_of(root, "name");
    if (std::strcmp(reinterpret_cast<const char *>(root->name), "domain") != 0 || domain->name.empty())
        throw Failure(VIREO_ERR_XML_ERROR, "a <domain> with a <name> is needed");
    if (uuid.empty()) {
        std::unique_ptr<char, void (*)(void *)> fresh(g_uuid_string_random(), g_free);

        uuid = fresh.get();
        xmlNewTextChild(root, nullptr, BAD_CAST "uuid", BAD_CAST uuid.c_str());
    } else if (!g_uuid_string_is_valid(uuid.c_str())) {
        throw Failure(VIREO_ERR_XML_ERROR, "the uuid is malformed");
    }
    read_uuid(uuid.c_str(), domain->uuid);
    if (!memory.empty())
        domain->memory_kib = g_ascii_strtoull(memory.c_str(), nullptr, 10);

    xmlChar *whole;
    int len;
    xmlDocDumpMemory(doc.get(), &whole, &len);
    std::unique_ptr<xmlChar, void (*)(void *)> owned(whole, xmlFree);
    domain->xml.assign(reinterpret_cast<const char *>(whole), size_t(len));
    return domain;
}

/* ---- operations ---- */

int conn_open(void *self, vireo_call *call, const vireo_conn_open_args *args, vireo_conn_open_ret *ret)
{
    auto *driver = static_cast<Driver *>(self);

    return guarded(driver, call, [&] {
        if (std::strcmp(args->uri, "demo:///default") != 0)
            throw Failure(VIREO_ERR_INVALID_ARG, "the only URI is demo:///default");
        ret->conn = driver;
        ret->space = driver->space;
    });
}

int conn_close(void *, vireo_call *)
{
    return VIREO_OK;
}

int get_type(void *conn, vireo_call *call, vireo_connect_get_type_ret *ret)
{
    ret->type = static_cast<Driver *>(conn)->host->strdup(call, "Demo");
    return VIREO_OK;
}

int get_version(void *, vireo_call *, vireo_connect_get_version_ret *ret)
{
    ret->hv_ver = 1000000; /* major * 1,000,000 + minor * 1,000 + release */
    return VIREO_OK;
}

int define(void *conn, vireo_call *call, const vireo_domain_define_xml_flags_args *args,
           vireo_domain_define_xml_flags_ret *ret)
{
    auto *driver = static_cast<Driver *>(conn);

    return guarded(driver, call, [&] {
        auto fresh = read_xml(args->xml);
        std::unique_ptr<Domain> *place = nullptr;

        for (auto &old : driver->domains) {
            bool same = std::memcmp(old->uuid, fresh->uuid, sizeof fresh->uuid) == 0;

            if (!same && old->name == fresh->name)
                throw Failure(VIREO_ERR_DOM_EXIST, "domain '" + old->name + "' exists with another uuid");
            if (same)
                place = &old;
        }
        if (place) { /* a new definition of a domain that may be running */
            fresh->id = (*place)->id;
            fresh->started = (*place)->started;
        } else {
            place = &driver->domains.emplace_back();
        }
        *place = std::move(fresh);
        publish(driver, **place, VIREO_DOMAIN_SHUTOFF_UNKNOWN);
        refer(driver, call, **place, &ret->dom);
    });
}

int undefine(void *conn, vireo_call *call, const vireo_domain_undefine_flags_args *args)
{
    auto *driver = static_cast<Driver *>(conn);

    return guarded(driver, call, [&] {
        Domain &domain = find(driver, args->dom);

        if (domain.id != -1)
            throw Failure(VIREO_ERR_OPERATION_INVALID, "stop domain '" + domain.name + "' first");
        driver->host->withdraw(driver->space, VIREO_CLASS_DOMAIN, domain.name.c_str(), domain.uuid);
        for (auto i = driver->domains.begin(); i != driver->domains.end(); i++)
            if (i->get() == &domain) {
                driver->domains.erase(i);
                break;
            }
    });
}

int create(void *conn, vireo_call *call, const vireo_domain_create_with_flags_args *args,
           vireo_domain_create_with_flags_ret *ret)
{
    auto *driver = static_cast<Driver *>(conn);

    return guarded(driver, call, [&] {
        Domain &domain = find(driver, args->dom);

        if (domain.id != -1)
            throw Failure(VIREO_ERR_OPERATION_INVALID, "domain is already running");
        domain.id = ++driver->last_id;
        domain.started = Clock::now();
        publish(driver, domain, 0);
        refer(driver, call, domain, &ret->dom);
    });
}

int destroy(void *conn, vireo_call *call, const vireo_domain_destroy_flags_args *args)
{
    auto *driver = static_cast<Driver *>(conn);

    return guarded(driver, call, [&] {
        Domain &domain = find(driver, args->dom);

        if (domain.id == -1)
            throw Failure(VIREO_ERR_OPERATION_INVALID, "domain is not running");
        domain.id = -1;
        publish(driver, domain, VIREO_DOMAIN_SHUTOFF_DESTROYED);
    });
}

int get_xml(void *conn, vireo_call *call, const vireo_domain_get_xml_desc_args *args,
            vireo_domain_get_xml_desc_ret *ret)
{
    auto *driver = static_cast<Driver *>(conn);

    return guarded(driver, call,
                   [&] { ret->xml = driver->host->strdup(call, find(driver, args->dom).xml.c_str()); });
}

/* The core would answer this from what was published, were it not for the processor time. */
int get_info(void *conn, vireo_call *call, const vireo_domain_get_info_args *args, vireo_domain_get_info_ret *ret)
{
    auto *driver = static_cast<Driver *>(conn);

    return guarded(driver, call, [&] {
        const Domain &domain = find(driver, args->dom);

        ret->state = domain.id != -1 ? VIREO_DOMAIN_RUNNING : VIREO_DOMAIN_SHUTOFF;
        ret->maxMem = ret->memory = domain.memory_kib;
        ret->nrVirtCpu = 1;
        if (domain.id != -1)
            ret->cpuTime = uint64_t(std::chrono::nanoseconds(Clock::now() - domain.started).count());
    });
}

/* ---- the driver ---- */

int init(const struct vireo_host *host, vireo_core *core, void **self)
{
    auto *driver = new Driver;

    driver->host = host;
    driver->space = host->space(core, "demo:///default");
    *self = driver;
    return VIREO_OK;
}

void fini(void *self)
{
    delete static_cast<Driver *>(self);
}

} // namespace

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
