/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the router makes of a driver that does not keep to the contract of a call. */
#include <string.h>

#include "tools/check/bench.h"

static const struct vireo_host *host;
static vireo_space *space;
static int (*answer)(vireo_call *call); /* of the next call */
static gint twice; /* atomic: it has been completed for the second time */

static int lying_open(void *self, vireo_call *call, const vireo_conn_open_args *args, vireo_conn_open_ret *ret)
{
    ret->conn = &space;
    ret->space = space;
    return VIREO_OK;
}

static int lying_close(void *conn, vireo_call *call)
{
    return VIREO_OK;
}

static int lying_type(void *conn, vireo_call *call, vireo_connect_get_type_ret *ret)
{
    ret->type = host->strdup(call, "liar");
    return answer(call);
}

static int lying_init(const struct vireo_host *given, vireo_core *core, void **self)
{
    host = given;
    space = host->space(core, "liar:///");
    return VIREO_OK;
}

static void lying_fini(void *self)
{
}

#define OPS(X)                             \
    X(conn_open, lying_open, 0, 0, 0, 0)   \
    X(conn_close, lying_close, 0, 0, 0, 0) \
    X(connect_get_type, lying_type, 0, 0, 0, 0)
VIREO_DRIVER(liar, "1", "liar", VIREO_PARALLEL, OPS, lying_init, lying_fini)

static int fail_silently(vireo_call *call)
{
    return VIREO_FAIL;
}

static int answer_seven(vireo_call *call)
{
    return 7;
}

static int complete_twice(vireo_call *call)
{
    host->complete(call, VIREO_OK);
    host->complete(call, VIREO_OK);
    g_atomic_int_set(&twice, TRUE);
    return VIREO_PENDING;
}

static int complete_and_return(vireo_call *call)
{
    host->complete(call, VIREO_OK);
    return VIREO_OK;
}

static int ok(vireo_call *call)
{
    return VIREO_OK;
}

static void expect(VireoConn *conn, int (*how)(vireo_call *call), int code, const char *words)
{
    g_auto(Outcome) outcome = { 0 };

    answer = how;
    bench_run(conn, VIREO_OP_connect_get_type, NULL, &outcome);
    g_assert_cmpint(outcome.code, ==, code);
    if (words && !strstr(outcome.message, words))
        g_error("no '%s' in '%s'", words, outcome.message);
}

int main(void)
{
    Bench *bench = bench_new();
    VireoConn *conn;

    g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
    bench_add(bench, vireo_driver_entry_1(), NULL);
    conn = bench_open(bench, "liar:///", FALSE);
    expect(conn, ok, 0, NULL);
    expect(conn, fail_silently, VIREO_ERR_INTERNAL_ERROR,
           "driver 'liar': connect_get_type failed without giving a reason, which is a bug of the driver");
    expect(conn, answer_seven, VIREO_ERR_INTERNAL_ERROR,
           "driver 'liar': connect_get_type ended with 7, which is neither success nor failure");
    g_test_expect_message("vireo", G_LOG_LEVEL_WARNING, "*'liar': connect_get_type was completed twice*");
    expect(conn, complete_twice, 0, NULL);
    while (!g_atomic_int_get(&twice)) /* the first one has answered already */
        g_usleep(1000);
    expect(conn, ok, 0, NULL);
    g_test_assert_expected_messages();
    expect(conn, complete_and_return, 0, NULL);
    expect(conn, ok, 0, NULL);
    vireo_conn_unref(conn);
    bench_free(bench);
    return 0;
}
