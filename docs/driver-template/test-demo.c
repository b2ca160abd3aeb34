/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the driver without a daemon, with as much of a host as it uses. */
#include <assert.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vireo/driver.h>

struct vireo_call {
    int code;
    char text[200];
    void *memory[16];
    int n;
};

static struct vireo_object shown; /* what was published last */
static int withdrawn;

static void host_log(vireo_core *core, int prio, const char *where, const char *fmt, ...)
{
    (void)core;
    (void)prio;
    (void)fmt;
    fprintf(stderr, "log from %s\n", where);
}

static int host_fail(vireo_call *call, int code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    call->code = code;
    vsnprintf(call->text, sizeof call->text, fmt, args);
    va_end(args);
    return VIREO_FAIL;
}

static void *host_alloc(vireo_call *call, size_t size)
{
    assert(call->n < 16);
    return call->memory[call->n++] = calloc(1, size);
}

static char *host_strdup(vireo_call *call, const char *text)
{
    return strcpy(host_alloc(call, strlen(text) + 1), text);
}

static vireo_space *host_space(vireo_core *core, const char *name)
{
    (void)core;
    assert(strcmp(name, "demo:///default") == 0);
    return (vireo_space *)&shown;
}

static void host_publish(vireo_space *space, const struct vireo_object *object)
{
    assert(space == (vireo_space *)&shown);
    shown = *object;
}

static void host_withdraw(vireo_space *space, uint32_t klass, const char *name, const uint8_t uuid[16])
{
    (void)uuid;
    assert(space == (vireo_space *)&shown && klass == VIREO_CLASS_DOMAIN && strcmp(name, "vm") == 0);
    withdrawn++;
}

static const struct vireo_host host = {
    .size = sizeof host,
    .abi_major = VIREO_ABI_MAJOR,
    .abi_minor = VIREO_ABI_MINOR,
    .log = host_log,
    .fail = host_fail,
    .alloc = host_alloc,
    .strdup = host_strdup,
    .space = host_space,
    .publish = host_publish,
    .withdraw = host_withdraw,
};

static union vireo_fn slot(const struct vireo_driver *driver, uint32_t id)
{
    for (uint32_t i = 0; i < driver->n_ops; i++)
        if (driver->ops[i].id == id)
            return driver->ops[i].fn;
    abort();
}

/* Ends a call: what it allocated goes, what it failed with stays for the next assertion. */
static int code_of(vireo_call *call)
{
    int code = call->code;

    while (call->n)
        free(call->memory[--call->n]);
    call->code = 0;
    return code;
}

#define FN(op) slot(driver, VIREO_OP_##op).op

static void life(const struct vireo_driver *driver, void *conn, vireo_call *call)
{
    char xml[] = "<domain><name>vm</name><memory>1024</memory></domain>", broken[] = "<domain>";
    vireo_domain_define_xml_flags_args define = { xml, 0 }, wrong = { broken, 0 };
    vireo_domain_define_xml_flags_ret defined;
    vireo_domain_create_with_flags_ret created;
    vireo_domain_get_xml_desc_ret described;
    vireo_domain_get_info_ret info;
    vireo_domain_ref dom = { .id = -1 };

    assert(FN(domain_define_xml_flags)(conn, call, &wrong, &defined) == VIREO_FAIL);
    assert(code_of(call) == VIREO_ERR_XML_ERROR);
    assert(FN(domain_define_xml_flags)(conn, call, &define, &defined) == VIREO_OK);
    memcpy(dom.uuid, defined.dom.uuid, 16);
    dom.name = (char[]){ "vm" };
    assert(shown.state == VIREO_DOMAIN_SHUTOFF && shown.id == -1 && shown.max_memory_kib == 1024);
    assert(FN(domain_define_xml_flags)(conn, call, &define, &defined) == VIREO_FAIL);
    assert(code_of(call) == VIREO_ERR_DOM_EXIST);

    vireo_domain_create_with_flags_args create = { dom, 0 };
    vireo_domain_destroy_flags_args destroy = { dom, 0 };
    vireo_domain_undefine_flags_args undefine = { dom, 0 };
    vireo_domain_get_xml_desc_args describe = { dom, 0 };
    vireo_domain_get_info_args ask = { dom };

    assert(FN(domain_create_with_flags)(conn, call, &create, &created) == VIREO_OK && created.dom.id == 1);
    assert(shown.state == VIREO_DOMAIN_RUNNING && shown.id == 1);
    assert(FN(domain_create_with_flags)(conn, call, &create, &created) == VIREO_FAIL);
    assert(code_of(call) == VIREO_ERR_OPERATION_INVALID);
    memset(&info, 0, sizeof info);
    assert(FN(domain_get_info)(conn, call, &ask, &info) == VIREO_OK && info.state == VIREO_DOMAIN_RUNNING);
    assert(FN(domain_undefine_flags)(conn, call, &undefine) == VIREO_FAIL);
    assert(code_of(call) == VIREO_ERR_OPERATION_INVALID);
    assert(FN(domain_destroy_flags)(conn, call, &destroy) == VIREO_OK);
    assert(shown.state == VIREO_DOMAIN_SHUTOFF && shown.reason == VIREO_DOMAIN_SHUTOFF_DESTROYED);
    assert(FN(domain_get_xml_desc)(conn, call, &describe, &described) == VIREO_OK);
    assert(strstr(described.xml, "<name>vm</name>") && strstr(described.xml, "<uuid>"));
    assert(FN(domain_undefine_flags)(conn, call, &undefine) == VIREO_OK && withdrawn == 1);
    assert(FN(domain_destroy_flags)(conn, call, &destroy) == VIREO_FAIL);
    assert(code_of(call) == VIREO_ERR_NO_DOMAIN);
}

int main(int argc, char **argv)
{
    void *module = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    const struct vireo_driver *(*entry)(void) = NULL;
    const struct vireo_driver *driver;
    vireo_conn_open_args good = { (char[]){ "demo:///default" }, 0 }, bad = { (char[]){ "demo:///other" }, 0 };
    vireo_conn_open_ret opened;
    vireo_call call = { 0 };
    void *self;

    if (!module) {
        fprintf(stderr, "%s\n", argc == 2 ? dlerror() : "usage: test-demo MODULE");
        return 2;
    }
    *(void **)&entry = dlsym(module, "vireo_driver_entry_1");
    assert(entry);
    driver = entry();
    assert(driver->init(&host, NULL, &self) == VIREO_OK);
    assert(FN(conn_open)(self, &call, &bad, &opened) == VIREO_FAIL);
    assert(code_of(&call) == VIREO_ERR_INVALID_ARG);
    assert(FN(conn_open)(self, &call, &good, &opened) == VIREO_OK);
    life(driver, opened.conn, &call);
    assert(FN(conn_close)(opened.conn, &call) == VIREO_OK);
    code_of(&call);
    driver->fini(self);
    puts("demo driver: fine");
    return 0;
}
