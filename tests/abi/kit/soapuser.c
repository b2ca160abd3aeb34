/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A driver whose connection is a SOAP call to the server its URI names. */
#include <vireo/driver.h>

#include "park.h"

static const struct vireo_host *host;

static int conn_open(void *self, vireo_call *call, const vireo_conn_open_args *args, vireo_conn_open_ret *ret)
{
    VireoSoapOptions options = { .service = &park_service, .http = { .url = args->uri } };
    ParkTree tree = { .name = "oak" };
    ParkPlantArgs plant = { .tree = &tree };
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(VireoSoap) soap = vireo_soap_new(&options, &error);
    ParkPlantRet *planted = soap ? park_plant(soap, &plant, NULL, arena, &error) : NULL;

    (void)self;
    ret->conn = NULL;
    if (!planted)
        return host->fail(call, VIREO_ERR_NO_CONNECT, "%s", error->message);
    return host->fail(call, VIREO_ERR_NO_CONNECT, "%u trees", planted->returnval.n);
}

static int conn_close(void *conn, vireo_call *call)
{
    (void)conn;
    (void)call;
    return VIREO_OK;
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

#define OPERATIONS(X)                   \
    X(conn_open, conn_open, 0, 0, 0, 0) \
    X(conn_close, conn_close, 0, 0, 0, 0)

VIREO_DRIVER(soapuser, "1", "soapuser", VIREO_SERIAL, OPERATIONS, init, fini)
