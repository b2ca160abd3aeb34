/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-narrow TEST.so: a connection that can do less than its driver's table says, opened through the
 * test driver's URI.
 */
#include "tools/check/bench.h"

#include <string.h>

static const char *module;

typedef struct {
    Bench *bench;
    VireoConn *conn;
    Outcome outcome;
} Case;

static void set_up(Case *at, const char *uri)
{
    at->bench = bench_new();
    bench_add(at->bench, bench_load(module), NULL);
    at->conn = bench_open(at->bench, uri, FALSE);
}

static void tear_down(Case *at)
{
    outcome_clear(&at->outcome);
    vireo_conn_unref(at->conn);
    bench_free(at->bench);
}

static void fill(const VireoOp *op, gpointer args, VireoArena *arena, gconstpointer opaque)
{
    static const guint8 uuid[16] = {0x66, 0x95, 0xeb, 0x01, 0xf6, 0xa4, 0x83, 0x04,
                                    0x79, 0xaa, 0x97, 0xf2, 0x50, 0x2e, 0x19, 0x3f};
    vireo_domain_ref *dom = (gpointer)((char *)args + op->object_offset);

    memcpy(dom->uuid, uuid, sizeof uuid);
    if (op->flags_offset >= 0)
        vireo_op_set_flags(op, args, *(const guint64 *)opaque);
}

static void call(Case *at, guint32 op, guint64 flags, int code, const char *words)
{
    bench_call(at->conn, vireo_op_by_id(op), fill, &flags, &at->outcome);
    g_assert_cmpint(at->outcome.code, ==, code);
    if (words && !strstr(at->outcome.message, words))
        g_error("'%s' is not in '%s'", words, at->outcome.message);
}

static void test_operation(void)
{
    Case at = {0};

    set_up(&at, "test:///default?narrow.domain_suspend=all");
    call(&at, VIREO_OP_domain_suspend, 0, VIREO_ERR_NO_SUPPORT,
         "driver 'test': domain-suspend is not available on this connection: it was opened without");
    call(&at, VIREO_OP_domain_reset, 0, 0, NULL);
    tear_down(&at);
}

static void test_flags(void)
{
    Case at = {0};

    set_up(&at, "test:///default?narrow.domain_shutdown_flags=0x3");
    call(&at, VIREO_OP_domain_shutdown_flags, VIREO_DOMAIN_SHUTDOWN_GUEST_AGENT,
         VIREO_ERR_INVALID_ARG, "GUEST_AGENT is not available on this connection");
    call(&at, VIREO_OP_domain_shutdown_flags, VIREO_DOMAIN_SHUTDOWN_ACPI_POWER_BTN,
         VIREO_ERR_INVALID_ARG, "ACPI_POWER_BTN is not available on this connection");
    /* a flag that the table has not either is refused as ever, and says what is left */
    call(&at, VIREO_OP_domain_shutdown_flags,
         VIREO_DOMAIN_SHUTDOWN_SIGNAL | VIREO_DOMAIN_SHUTDOWN_GUEST_AGENT, VIREO_ERR_INVALID_ARG,
         "flag SIGNAL is not supported (supported: none)");
    call(&at, VIREO_OP_domain_shutdown_flags, 0, 0, NULL);
    tear_down(&at);
}

static void test_derived(void)
{
    Case at = {0};

    set_up(&at, "test:///default?narrow.domain_create_with_flags=all");
    call(&at, VIREO_OP_domain_create, 0, VIREO_ERR_NO_SUPPORT,
         "domain-create is not available on this connection");
    tear_down(&at);
}

/* The order of refusals: an object that is not there comes first, flags come after the operation. */
static void test_order(void)
{
    Case at = {0};
    guint64 flags = 0x80000000;

    set_up(&at, "test:///default?narrow.domain_shutdown_flags=all");
    bench_call(at.conn, vireo_op_by_id(VIREO_OP_domain_shutdown_flags), NULL, NULL, &at.outcome);
    g_assert_cmpint(at.outcome.code, ==, VIREO_ERR_NO_DOMAIN);
    call(&at, VIREO_OP_domain_shutdown_flags, flags, VIREO_ERR_NO_SUPPORT, NULL);
    tear_down(&at);
}

static void test_each_connection_for_itself(void)
{
    Case at = {0};
    VireoConn *other;

    set_up(&at, "test:///default?narrow.domain_suspend=all");
    other = bench_open(at.bench, "test:///default", FALSE);
    bench_call(other, vireo_op_by_id(VIREO_OP_domain_suspend), fill, &(guint64){0}, &at.outcome);
    g_assert_cmpint(at.outcome.code, ==, 0);
    call(&at, VIREO_OP_domain_suspend, 0, VIREO_ERR_NO_SUPPORT, NULL);
    vireo_conn_unref(other);
    tear_down(&at);
}

static VireoObject *domain(const Case *at)
{
    return vireo_space_by_name(vireo_conn_space(at->conn), VIREO_CLASS_DOMAIN, "test");
}

static void test_asking(void)
{
    Case at = {0};
    const VireoOp *shutdown = vireo_op_by_id(VIREO_OP_domain_shutdown_flags);
    g_autoptr(VireoObject) object = NULL;
    g_auto(VireoAnswer) answer = {0};

    set_up(&at, "test:///default?narrow.domain_shutdown_flags=1");
    object = domain(&at);
    vireo_offer_ask(vireo_conn_offer(at.conn), shutdown, 0, &(VireoCase){FALSE, object}, &answer);
    g_assert_cmpint(answer.answer, ==, VIREO_CAN_NATIVE);
    g_assert_cmphex(answer.trivial, ==, 0);
    g_assert_cmphex(answer.now, ==, VIREO_DOMAIN_SHUTDOWN_GUEST_AGENT);
    vireo_answer_clear(&answer);
    call(&at, VIREO_OP_domain_destroy_flags, 0, 0, NULL);
    g_clear_pointer(&object, vireo_object_unref);
    object = domain(&at);
    vireo_offer_ask(vireo_conn_offer(at.conn), shutdown, VIREO_DOMAIN_SHUTDOWN_GUEST_AGENT,
                    &(VireoCase){FALSE, object}, &answer);
    g_assert_cmpint(answer.answer, ==, VIREO_CAN_NO);
    g_assert_cmphex(answer.now, ==, 0);
    g_assert_nonnull(strstr(answer.reason, "not running"));
    tear_down(&at);
}

static void refused_uri(const char *uri, int code)
{
    Bench *bench = bench_new();
    VireoConnCaller caller = {0};
    g_autoptr(GError) error = NULL;

    bench_add(bench, bench_load(module), NULL);
    g_assert_null(vireo_conn_open(bench->router, uri, &caller, &error));
    g_assert_cmpint(error->code, ==, code);
    bench_free(bench);
}

static void test_bad_uri(void)
{
    refused_uri("test:///default?narrow.domain_suspend=some", VIREO_ERR_INVALID_ARG);
    refused_uri("test:///default?narrow.no_such=all", VIREO_ERR_INVALID_ARG);
    refused_uri("test:///default?narrow.*=all", VIREO_ERR_INVALID_ARG);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (argc < 2)
        g_error("usage: test-narrow TEST.so");
    module = argv[1];
    g_test_add_func("/narrow/operation", test_operation);
    g_test_add_func("/narrow/flags", test_flags);
    g_test_add_func("/narrow/derived", test_derived);
    g_test_add_func("/narrow/order", test_order);
    g_test_add_func("/narrow/each-connection", test_each_connection_for_itself);
    g_test_add_func("/narrow/asking", test_asking);
    g_test_add_func("/narrow/bad-uri", test_bad_uri);
    return g_test_run();
}
