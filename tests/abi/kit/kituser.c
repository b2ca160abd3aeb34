/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The least of a driver, with the kit linked into it. */
#include <kit/json.h>
#include <kit/model.h>
#include <kit/qmp.h>

#include <vireo/driver.h>

static const struct vireo_host *host;

static int conn_open(void *self, vireo_call *call, const vireo_conn_open_args *args, vireo_conn_open_ret *ret)
{
    (void)self;
    (void)args;
    (void)ret;
    return host->fail(call, VIREO_ERR_NO_CONNECT, "nothing is there");
}

static int conn_close(void *conn, vireo_call *call)
{
    (void)conn;
    (void)call;
    return VIREO_OK;
}

static int define(void *conn, vireo_call *call, const vireo_domain_define_xml_flags_args *args,
                  vireo_domain_define_xml_flags_ret *ret)
{
    g_autoptr(GError) error = NULL;
    VireoDomain *domain = vireo_domain_parse(args->xml, 0, &error);
    g_autoptr(JsonObject) object = NULL;
    g_autofree char *text = NULL;

    (void)conn;
    (void)ret;
    if (!domain)
        return host->fail(call, error->code, "%s", error->message);
    object = vireo_json_new('s', "name", domain->name, 0);
    text = vireo_json_text(object);
    vireo_domain_free(domain);
    return host->fail(call, VIREO_ERR_OPERATION_FAILED, "%s: %s", text, g_quark_to_string(VIREO_QMP_ERROR));
}

static int init(const struct vireo_host *given, vireo_core *core, void **self)
{
    (void)core;
    host = given;
    *self = NULL;
    return VIREO_OK;
}

static void fini(void *self)
{
    (void)self;
}

#define OPERATIONS(X)                            \
    X(conn_open, conn_open, 0, 0, 0, 0)          \
    X(conn_close, conn_close, 0, 0, 0, 0)        \
    X(domain_define_xml_flags, define, 0, 0, 0, 0)

VIREO_DRIVER(kituser, "1", "kituser", VIREO_SERIAL, OPERATIONS, init, fini)
