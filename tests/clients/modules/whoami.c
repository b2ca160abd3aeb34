/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A driver whose host is called after whoever asks: "user 0 process 123". */
#include <stdio.h>
#include <vireo/driver.h>

static const struct vireo_host *host;

static int whoami_init(const struct vireo_host *given, vireo_core *core, void **self)
{
    host = given;
    *self = core;
    return VIREO_OK;
}

static void whoami_fini(void *self)
{
    (void)self;
}

static int whoami_open(void *self, vireo_call *call, const vireo_conn_open_args *args, vireo_conn_open_ret *ret)
{
    (void)call;
    (void)args;
    ret->conn = self;
    ret->space = host->space(self, "whoami:///");
    return VIREO_OK;
}

static int whoami_close(void *conn, vireo_call *call)
{
    (void)conn;
    (void)call;
    return VIREO_OK;
}

static int whoami_hostname(void *conn, vireo_call *call, vireo_connect_get_hostname_ret *ret)
{
    const char *user = host->identity(call, "unix-user-id"), *process = host->identity(call, "process-id");
    char text[64];

    (void)conn;
    snprintf(text, sizeof text, "user %s process %s", user ? user : "?", process ? process : "?");
    ret->hostname = host->strdup(call, text);
    return VIREO_OK;
}

#define OPS(X)                                                                                     \
    X(conn_open, whoami_open, 0, 0, 0, 0)                                                          \
    X(conn_close, whoami_close, 0, 0, 0, 0)                                                        \
    X(connect_get_hostname, whoami_hostname, 0, 0, 0, 0)

VIREO_DRIVER(whoami, "1.0", "whoami", VIREO_PARALLEL, OPS, whoami_init, whoami_fini)
