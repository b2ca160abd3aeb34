/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Table, init and fini of the test driver. */
#include "ops.h"

#include <string.h>

TestDriver *test;

/* An entry function per operation: the core calls it, the rules of behave.c decide when the
 * driver's own function runs. */
#define RUN_N(op, a, r)  test_##op(conn, call)
#define RUN_R(op, a, r)  test_##op(conn, call, r)
#define RUN_A(op, a, r)  test_##op(conn, call, a)
#define RUN_AR(op, a, r) test_##op(conn, call, a, r)
#define RUN_DA           RUN_A
#define RUN_SA           RUN_A
#define RUN_CA           RUN_A
#define RUN_DAR          RUN_AR
#define RUN_SAR          RUN_AR
#define RUN_CAR          RUN_AR

#define ENTER_N(op, who)                                                                           \
    static int enter_##op(void *conn, vireo_call *call)                                            \
    {                                                                                              \
        return test_enter(#op, run_##op, conn, call, NULL, NULL, NULL);                            \
    }
#define ENTER_R(op, who)                                                                           \
    static int enter_##op(void *conn, vireo_call *call, vireo_##op##_ret *ret)                     \
    {                                                                                              \
        return test_enter(#op, run_##op, conn, call, NULL, NULL, ret);                             \
    }
#define ENTER_A(op, who)                                                                           \
    static int enter_##op(void *conn, vireo_call *call, const vireo_##op##_args *args)             \
    {                                                                                              \
        return test_enter(#op, run_##op, conn, call, who, args, NULL);                             \
    }
#define ENTER_AR(op, who)                                                                          \
    static int enter_##op(void *conn, vireo_call *call, const vireo_##op##_args *args,             \
                          vireo_##op##_ret *ret)                                                   \
    {                                                                                              \
        return test_enter(#op, run_##op, conn, call, who, args, ret);                              \
    }
#define ENTER_DA(op, who)  ENTER_A(op, &args->dom)
#define ENTER_SA(op, who)  ENTER_A(op, &args->snap.dom)
#define ENTER_CA(op, who)  ENTER_A(op, &args->checkpoint.dom)
#define ENTER_DAR(op, who) ENTER_AR(op, &args->dom)
#define ENTER_SAR(op, who) ENTER_AR(op, &args->snap.dom)
#define ENTER_CAR(op, who) ENTER_AR(op, &args->checkpoint.dom)

#define DEFINE_ENTRY(X, shape, op, nat, tri, act, ina)                                             \
    static int run_##op(TestConn *conn, vireo_call *call, const void *args, void *ret)             \
    {                                                                                              \
        return RUN_##shape(op, args, ret);                                                         \
    }                                                                                              \
    ENTER_##shape(op, NULL)

TEST_OPS(DEFINE_ENTRY, 0)

#define NAME_ENTRY(X, shape, op, nat, tri, act, ina) {#op, VIREO_OP_##op},
static const struct {
    const char *name;
    guint32 id;
} operations[] = {{"conn_open", VIREO_OP_conn_open}, TEST_OPS(NAME_ENTRY, 0)};

guint32 test_operation(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(operations); i++)
        if (strcmp(operations[i].name, name) == 0)
            return operations[i].id;
    return 0;
}

static int test_init(const struct vireo_host *host, vireo_core *core, void **self)
{
    g_autoptr(GError) error = NULL;

    test = g_new0(TestDriver, 1);
    test->host = host;
    test->core = core;
    g_mutex_init(&test->lock);
    test->private = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    test->consoles = g_ptr_array_new();
    if (test_harm_init() != VIREO_OK)
        return VIREO_FAIL;
    test->shared = test_node_new(TEST_DEFAULT_URI, TRUE);
    if (!test_node_load_default(test->shared, &error)) {
        host->log(core, VIREO_LOG_ERROR, "test", "%s", error->message);
        return VIREO_FAIL;
    }
    *self = test;
    return VIREO_OK;
}

static void test_fini(void *self)
{
    TestDriver *driver = self;

    if (!driver)
        return;
    test_node_free(driver->shared);
    test_consoles_end();
    g_ptr_array_unref(driver->consoles);
    g_hash_table_unref(driver->private);
    g_mutex_clear(&driver->lock);
    g_free(driver);
    test = NULL;
}

#define TEST_ROW(X, shape, op, nat, tri, act, ina) X(op, enter_##op, nat, tri, act, ina)
#define OPS(X)                                                                                     \
    X(conn_open, test_conn_open, 0, 0, 0, 0)                                                       \
    X(conn_narrow, test_conn_narrow, 0, 0, 0, 0)                                                   \
    TEST_OPS(TEST_ROW, X)

VIREO_DRIVER(test, "0.1.0", "test", VIREO_PARALLEL, OPS, test_init, test_fini)
