/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-trivial TRIVIAL.so: flags that a driver takes trivially never reach it. */
#include "tools/check/bench.h"

#include <string.h>

static Bench *bench;
static VireoConn *conn;

static char *calls(void)
{
    g_autofree char *path = g_build_filename(bench->dirs.state, "trivial", "calls", NULL);
    char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return g_strdup("");
    g_file_set_contents(path, "", 0, NULL);
    return text;
}

static void expect_calls(const char *expected)
{
    g_autofree char *got = calls();

    g_assert_cmpstr(got, ==, expected);
}

static vireo_domain_ref vm(void)
{
    g_auto(Outcome) outcome = {0};
    vireo_domain_lookup_by_name_args args = {(char *)"vm"};
    vireo_domain_lookup_by_name_ret *ret =
        bench_run(conn, VIREO_OP_domain_lookup_by_name, &args, &outcome);
    vireo_domain_ref ref = {.name = (char *)"vm", .id = -1};

    g_assert_cmpint(outcome.code, ==, 0);
    memcpy(ref.uuid, ret->dom.uuid, 16);
    return ref;
}

static int delete (const char *name, guint flags)
{
    g_auto(Outcome) outcome = {0};
    vireo_domain_snapshot_delete_args args = {{(char *)name, vm()}, flags};

    bench_run(conn, VIREO_OP_domain_snapshot_delete, &args, &outcome);
    return outcome.code;
}

static int create(guint flags)
{
    g_auto(Outcome) outcome = {0};
    vireo_domain_snapshot_create_xml_args args = {vm(), (char *)"<domainsnapshot/>", flags};

    bench_run(conn, VIREO_OP_domain_snapshot_create_xml, &args, &outcome);
    return outcome.code;
}

int main(int argc, char **argv)
{
    g_assert_cmpint(argc, ==, 2);
    bench = bench_new();
    bench_add(bench, bench_load(argv[1]), NULL);
    conn = bench_open(bench, "trivial:///system", FALSE);

    g_assert_cmpint(delete ("one", 0), ==, 0);
    expect_calls("delete 0 one\n");
    g_assert_cmpint(delete ("one", VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY), ==, 0);
    expect_calls("");
    g_assert_cmpint(delete ("none", VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY), ==,
                    VIREO_ERR_NO_DOMAIN_SNAPSHOT);
    expect_calls("");
    g_assert_cmpint(delete ("one", VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN), ==, 0);
    expect_calls("delete 1 one\n");
    g_assert_cmpint(delete ("one", VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN |
                                       VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY),
                    ==, 0);
    expect_calls("");
    g_assert_cmpint(delete ("one", VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY), ==,
                    VIREO_ERR_INVALID_ARG);
    expect_calls("");
    g_assert_cmpint(create(VIREO_DOMAIN_SNAPSHOT_CREATE_NO_METADATA), ==, 0);
    expect_calls("create 0 -\n"); /* the flag is gone, the work remains */

    vireo_conn_unref(conn);
    bench_free(bench);
    return 0;
}
