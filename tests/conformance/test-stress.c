/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-stress TEST.so: many clients change the same few domains at once. Every call ends once, and
 * in the end what was published is what the driver holds. */
#include "tools/check/bench.h"

#include <stdio.h>
#include <string.h>

#define THREADS 8
#define TURNS   2000
#define DOMAINS 4

static Bench *bench;
static gint done_well; /* calls that succeeded */

static char *xml_of(guint n)
{
    return g_strdup_printf("<domain type='test'><name>vm%u</name>"
                           "<uuid>00000000-0000-4000-8000-00000000000%u</uuid>"
                           "<memory>65536</memory><os><type>hvm</type></os><devices>"
                           "<disk type='file' device='disk'><source file='/images/%u'/>"
                           "<target dev='vda' bus='virtio'/></disk></devices></domain>",
                           n, n, n);
}

static vireo_domain_ref ref(guint n)
{
    vireo_domain_ref dom = {.name = (char *)"vm", .id = -1};

    dom.uuid[6] = 0x40;
    dom.uuid[8] = 0x80;
    dom.uuid[15] = (guint8)n;
    return dom;
}

typedef struct {
    vireo_domain_ref dom;
    guint32 flags;
} Args;

static void on_domain(VireoConn *conn, guint32 op, guint n, guint32 flags)
{
    g_auto(Outcome) o = {0};
    Args args = {ref(n), flags};

    bench_run(conn, op, &args, &o);
    g_atomic_int_add(&done_well, o.code == 0);
}

static void define(VireoConn *conn, guint n)
{
    g_auto(Outcome) o = {0};
    g_autofree char *xml = xml_of(n);
    vireo_domain_define_xml_flags_args args = {.xml = xml};

    bench_run(conn, VIREO_OP_domain_define_xml_flags, &args, &o);
    g_atomic_int_add(&done_well, o.code == 0);
}

static void snapshot(VireoConn *conn, guint n, GRand *dice)
{
    g_auto(Outcome) o = {0};
    g_autofree char *xml = g_strdup_printf("<domainsnapshot><name>s%d</name></domainsnapshot>",
                                           g_rand_int_range(dice, 0, 5));
    vireo_domain_snapshot_create_xml_args args = {ref(n), xml, 0};

    bench_run(conn, VIREO_OP_domain_snapshot_create_xml, &args, &o);
    g_atomic_int_add(&done_well, o.code == 0);
}

static void moment(VireoConn *conn, guint32 op, guint n, GRand *dice, guint flags)
{
    g_auto(Outcome) o = {0};
    g_autofree char *name = g_strdup_printf("s%d", g_rand_int_range(dice, 0, 5));
    vireo_domain_snapshot_delete_args args = {{name, ref(n)}, flags};

    bench_run(conn, op, &args, &o);
}

static void list(VireoConn *conn, guint n)
{
    g_auto(Outcome) o = {0};
    vireo_domain_list_all_snapshots_args args = {ref(n), 1, 0};
    vireo_connect_get_all_domain_stats_args stats = {0};

    bench_run(conn, VIREO_OP_domain_list_all_snapshots, &args, &o);
    bench_run(conn, VIREO_OP_connect_get_all_domain_stats, &stats, &o);
    g_assert_cmpint(o.code, ==, 0);
}

static void one_turn(VireoConn *conn, GRand *dice)
{
    guint n = (guint)g_rand_int_range(dice, 0, DOMAINS);

    switch (g_rand_int_range(dice, 0, 10)) {
    case 0:
        define(conn, n);
        break;
    case 1:
    case 2:
        on_domain(conn, VIREO_OP_domain_create, n, 0);
        break;
    case 3:
        on_domain(conn, VIREO_OP_domain_suspend, n, 0);
        break;
    case 4:
        on_domain(conn, VIREO_OP_domain_destroy, n, 0);
        break;
    case 5:
        snapshot(conn, n, dice);
        break;
    case 6:
        moment(conn, VIREO_OP_domain_revert_to_snapshot, n, dice, 0);
        break;
    case 7:
        moment(conn, VIREO_OP_domain_snapshot_delete, n, dice, 0);
        break;
    case 8:
        on_domain(conn, VIREO_OP_domain_undefine_flags, n,
                  VIREO_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA);
        break;
    default:
        list(conn, n);
        break;
    }
}

static gpointer client(gpointer data)
{
    GRand *dice = g_rand_new_with_seed(GPOINTER_TO_UINT(data));
    VireoConn *conn = bench_open(bench, "test:///default?later.domain_suspend=1ms", FALSE);

    for (guint i = 0; i < TURNS; i++)
        one_turn(conn, dice);
    vireo_conn_unref(conn);
    g_rand_free(dice);
    return NULL;
}

/* The driver's own answer and the published one. */
static void compare(VireoConn *conn, guint n)
{
    g_auto(Outcome) a = {0};
    g_auto(Outcome) b = {0};
    vireo_domain_get_info_args info = {ref(n)};
    vireo_domain_get_state_args state = {ref(n), 0};
    vireo_domain_get_info_ret *own = bench_run(conn, VIREO_OP_domain_get_info, &info, &a);
    vireo_domain_get_state_ret *published = bench_run(conn, VIREO_OP_domain_get_state, &state, &b);

    g_assert_cmpint(a.code, ==, b.code);
    if (!a.code)
        g_assert_cmpint(own->state, ==, published->state);
}

int main(int argc, char **argv)
{
    GThread *threads[THREADS];
    VireoConn *conn;

    g_assert_cmpint(argc, ==, 2);
    bench = bench_new();
    bench_add(bench, bench_load(argv[1]), NULL);
    for (guint i = 0; i < THREADS; i++)
        threads[i] = g_thread_new("client", client, GUINT_TO_POINTER(i + 1));
    for (guint i = 0; i < THREADS; i++)
        g_thread_join(threads[i]);
    printf("%d of %d changes succeeded\n", done_well, THREADS * TURNS);
    g_assert_cmpint(done_well, >, THREADS * TURNS / 10);
    conn = bench_open(bench, "test:///default", FALSE);
    for (guint n = 0; n < DOMAINS; n++)
        compare(conn, n);
    vireo_conn_unref(conn);
    bench_free(bench);
    return 0;
}
