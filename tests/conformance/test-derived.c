/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-derived TEST.so: every operation that the core derives, answered from the test driver,
 * against the answer worked out by hand. At the end no derived operation on domains, snapshots or
 * checkpoints may have been left out.
 *
 * The domains, all but `test` with two disks:
 *   test  running, persistent, id 1
 *   off   shut off, persistent, autostart, snapshots a -> (b -> c*, d)
 *   pau   paused, persistent, with checkpoints k1 -> k2
 *   tra   running, transient
 *   sav   shut off, persistent, with a managed save image
 */
#include "tools/check/bench.h"

#include <stdio.h>
#include <string.h>

static Bench *bench;
static VireoConn *conn;
static GHashTable *covered; /* operations seen to answer */

/* Runs an operation, which is what most lines below do; ret is NULL when it failed. */
static gpointer run(guint32 id, gconstpointer args, Outcome *outcome)
{
    gpointer ret = bench_run(conn, id, args, outcome);

    g_hash_table_add(covered, GUINT_TO_POINTER(id));
    if (outcome->code)
        g_test_message("%s: %d %s", vireo_op_by_id(id)->name, outcome->code, outcome->message);
    return outcome->code ? NULL : ret;
}

#define RUN(op, ...) ((vireo_##op##_ret *)run(VIREO_OP_##op, &(vireo_##op##_args){__VA_ARGS__}, &o))
#define OK(op, ...)                                                                                \
    do {                                                                                           \
        run(VIREO_OP_##op, &(vireo_##op##_args){__VA_ARGS__}, &o);                                 \
        if (o.code)                                                                                \
            g_error("%s: %d %s", #op, o.code, o.message);                                          \
    } while (0)
#define FAILS(expected, op, ...)                                                                   \
    do {                                                                                           \
        run(VIREO_OP_##op, &(vireo_##op##_args){__VA_ARGS__}, &o);                                 \
        g_assert_cmpint(o.code, ==, expected);                                                     \
    } while (0)

static vireo_domain_ref ref(const char *name)
{
    g_auto(Outcome) o = {0};
    vireo_domain_lookup_by_name_ret *ret = RUN(domain_lookup_by_name, (char *)name);
    vireo_domain_ref dom = {0};

    if (!ret)
        g_error("no domain '%s'", name);
    dom = ret->dom;
    dom.name = (char *)name;
    return dom;
}

static char *xml_of(const char *name)
{
    return g_strdup_printf("<domain type='test'><name>%s</name><memory unit='MiB'>64</memory>"
                           "<currentMemory unit='MiB'>32</currentMemory>"
                           "<vcpu current='2'>4</vcpu><os><type>hvm</type></os><devices>"
                           "<disk type='file' device='disk'><source file='/images/%s-a'/>"
                           "<target dev='vda' bus='virtio'/></disk>"
                           "<disk type='file' device='disk'><source file='/images/%s-b'/>"
                           "<target dev='vdb' bus='virtio'/></disk></devices></domain>",
                           name, name, name);
}

static void define(const char *name)
{
    g_auto(Outcome) o = {0};
    g_autofree char *xml = xml_of(name);

    OK(domain_define_xml, xml);
}

static void take_snapshot(const char *domain, const char *name)
{
    g_auto(Outcome) o = {0};
    g_autofree char *xml =
        g_strdup_printf("<domainsnapshot><name>%s</name></domainsnapshot>", name);

    OK(domain_snapshot_create_xml, ref(domain), xml, 0);
}

static void take_checkpoint(const char *domain, const char *name)
{
    g_auto(Outcome) o = {0};
    g_autofree char *xml =
        g_strdup_printf("<domaincheckpoint><name>%s</name></domaincheckpoint>", name);

    OK(domain_checkpoint_create_xml, ref(domain), xml, 0);
}

static void set_up(void)
{
    g_auto(Outcome) o = {0};
    g_autofree char *transient = xml_of("tra");

    define("off");
    define("pau");
    define("sav");
    OK(domain_create_xml, transient, 0);
    OK(domain_create, ref("pau"));
    OK(domain_suspend, ref("pau"));
    OK(domain_create, ref("sav"));
    OK(domain_managed_save, ref("sav"), 0);
    OK(domain_set_autostart, ref("off"), 1);
    take_snapshot("off", "a");
    take_snapshot("off", "d");
    OK(domain_revert_to_snapshot, {(char *)"a", ref("off")}, 0);
    take_snapshot("off", "b");
    take_snapshot("off", "c");
    take_checkpoint("pau", "k1");
    take_checkpoint("pau", "k2");
}

/* ---- lists as sorted text ---------------------------------------------------------------------
 */

static gint by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *sorted(GPtrArray *names)
{
    char *text;

    g_ptr_array_sort(names, by_text);
    g_ptr_array_add(names, NULL);
    text = g_strjoinv(" ", (char **)names->pdata);
    g_ptr_array_unref(names);
    return text;
}

#define NAMES(array, member)                                                                       \
    ({                                                                                             \
        const __typeof__(array) *array_ = &(array);                                                \
        GPtrArray *names_ = g_ptr_array_new();                                                     \
        for (guint i_ = 0; i_ < array_->len; i_++)                                                 \
            g_ptr_array_add(names_, array_->val[i_] member);                                       \
        sorted(names_);                                                                            \
    })
#define EQUAL(got, expected)                                                                       \
    do {                                                                                           \
        g_autofree char *got_ = got;                                                               \
        g_assert_cmpstr(got_, ==, expected);                                                       \
    } while (0)

/* ---- domains ----------------------------------------------------------------------------------
 */

static void expect_list(guint flags, const char *expected)
{
    g_auto(Outcome) o = {0};
    vireo_connect_list_all_domains_ret *ret = RUN(connect_list_all_domains, 1, flags);

    g_assert_nonnull(ret);
    g_assert_cmpuint(ret->ret, ==, ret->domains.len);
    EQUAL(NAMES(ret->domains, .name), expected);
    ret = RUN(connect_list_all_domains, 0, flags); /* the count alone */
    g_assert_cmpuint(ret->domains.len, ==, 0);
}

static void test_lists(void)
{
#define LIST(name) VIREO_CONNECT_LIST_DOMAINS_##name
    g_auto(Outcome) o = {0};
    vireo_connect_list_defined_domains_ret *defined;
    vireo_connect_list_domains_ret *running;

    expect_list(0, "off pau sav test tra");
    expect_list(LIST(ACTIVE), "pau test tra");
    expect_list(LIST(INACTIVE), "off sav");
    expect_list(LIST(ACTIVE) | LIST(INACTIVE), "off pau sav test tra");
    expect_list(LIST(PERSISTENT), "off pau sav test");
    expect_list(LIST(TRANSIENT), "tra");
    expect_list(LIST(RUNNING), "test tra");
    expect_list(LIST(PAUSED), "pau");
    expect_list(LIST(SHUTOFF), "off sav");
    expect_list(LIST(OTHER), "");
    expect_list(LIST(RUNNING) | LIST(PAUSED), "pau test tra");
    expect_list(LIST(MANAGEDSAVE), "sav");
    expect_list(LIST(NO_MANAGEDSAVE), "off pau test tra");
    expect_list(LIST(AUTOSTART), "off");
    expect_list(LIST(NO_AUTOSTART), "pau sav test tra");
    expect_list(LIST(HAS_SNAPSHOT), "off");
    expect_list(LIST(NO_SNAPSHOT), "pau sav test tra");
    expect_list(LIST(HAS_CHECKPOINT), "pau");
    expect_list(LIST(NO_CHECKPOINT), "off sav test tra");
    expect_list(LIST(ACTIVE) | LIST(PERSISTENT) | LIST(NO_CHECKPOINT), "test");
    FAILS(VIREO_ERR_INVALID_ARG, connect_list_all_domains, 1, 1u << 30);

    g_assert_cmpint(
        ((vireo_connect_num_of_domains_ret *)run(VIREO_OP_connect_num_of_domains, NULL, &o))->num,
        ==, 3);
    g_assert_cmpint(((vireo_connect_num_of_defined_domains_ret *)run(
                         VIREO_OP_connect_num_of_defined_domains, NULL, &o))
                        ->num,
                    ==, 2);
    defined = RUN(connect_list_defined_domains, 100);
    EQUAL(NAMES(defined->names, ), "off sav");
    defined = RUN(connect_list_defined_domains, 1);
    g_assert_cmpuint(defined->names.len, ==, 1);
    running = RUN(connect_list_domains, 100);
    g_assert_cmpuint(running->ids.len, ==, 3);
    for (guint i = 0; i < 3; i++)
        g_assert_cmpint(running->ids.val[i], >, 0);
}

static void test_lookups(void)
{
    g_auto(Outcome) o = {0};
    vireo_domain_ref pau = ref("pau");
    vireo_domain_lookup_by_id_ret *by_id = RUN(domain_lookup_by_id, pau.id);
    vireo_domain_lookup_by_uuid_args uuid;
    vireo_domain_lookup_by_uuid_ret *by_uuid;

    g_assert_cmpstr(by_id->dom.name, ==, "pau");
    g_assert_cmpmem(by_id->dom.uuid, 16, pau.uuid, 16);
    memcpy(uuid.uuid, pau.uuid, 16);
    by_uuid = run(VIREO_OP_domain_lookup_by_uuid, &uuid, &o);
    g_assert_cmpstr(by_uuid->dom.name, ==, "pau");
    g_assert_cmpint(by_uuid->dom.id, ==, pau.id);
    g_assert_cmpint(ref("off").id, ==, -1);
    FAILS(VIREO_ERR_NO_DOMAIN, domain_lookup_by_name, (char *)"nobody");
    FAILS(VIREO_ERR_NO_DOMAIN, domain_lookup_by_id, 4711);
    uuid.uuid[3] ^= 1;
    run(VIREO_OP_domain_lookup_by_uuid, &uuid, &o);
    g_assert_cmpint(o.code, ==, VIREO_ERR_NO_DOMAIN);
}

typedef struct {
    const char *name;
    int active, persistent, updated, autostart, saved, state, reason;
} Facts;

static void test_facts(void)
{
    static const Facts all[] = {
        {"test", 1, 1, 0, 0, 0, VIREO_DOMAIN_RUNNING, VIREO_DOMAIN_RUNNING_BOOTED},
        {"off", 0, 1, 0, 1, 0, VIREO_DOMAIN_SHUTOFF, VIREO_DOMAIN_SHUTOFF_FROM_SNAPSHOT},
        {"pau", 1, 1, 0, 0, 0, VIREO_DOMAIN_PAUSED, VIREO_DOMAIN_PAUSED_USER},
        {"tra", 1, 0, 0, 0, 0, VIREO_DOMAIN_RUNNING, VIREO_DOMAIN_RUNNING_BOOTED},
        {"sav", 0, 1, 0, 0, 1, VIREO_DOMAIN_SHUTOFF, VIREO_DOMAIN_SHUTOFF_SAVED},
    };

    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        const Facts *f = &all[i];
        vireo_domain_ref dom = ref(f->name);
        g_auto(Outcome) o = {0};
        vireo_domain_get_state_ret *state;
        vireo_domain_get_info_ret *info;

        g_assert_cmpint(RUN(domain_is_active, dom)->active, ==, f->active);
        g_assert_cmpint(RUN(domain_is_persistent, dom)->persistent, ==, f->persistent);
        g_assert_cmpint(RUN(domain_is_updated, dom)->updated, ==, f->updated);
        g_assert_cmpint(RUN(domain_get_autostart, dom)->autostart, ==, f->autostart);
        g_assert_cmpint(RUN(domain_has_managed_save_image, dom)->result, ==, f->saved);
        state = RUN(domain_get_state, dom, 0);
        g_assert_cmpint(state->state, ==, f->state);
        g_assert_cmpint(state->reason, ==, f->reason);
        info = RUN(domain_get_info, dom);
        g_assert_cmpint(info->state, ==, f->state);
        g_assert_cmpstr(RUN(domain_get_os_type, dom)->type, ==, "hvm");
    }
}

/* ---- narrow variants --------------------------------------------------------------------------
 */

static void test_sizes(void)
{
    g_auto(Outcome) o = {0};
    vireo_domain_ref off = ref("off"), tra = ref("tra");
    vireo_domain_get_info_ret *info;

    g_assert_cmpuint(RUN(domain_get_max_memory, off)->memory, ==, 65536);
    g_assert_cmpint(RUN(domain_get_max_vcpus, tra)->num, ==, 4);
    FAILS(VIREO_ERR_OPERATION_INVALID, domain_get_max_vcpus, off);
    OK(domain_set_max_memory, off, 131072);
    g_assert_cmpuint(RUN(domain_get_max_memory, off)->memory, ==, 131072);
    OK(domain_set_memory, tra, 16384);
    OK(domain_set_vcpus, tra, 3);
    info = RUN(domain_get_info, tra);
    g_assert_cmpuint(info->maxMem, ==, 65536);
    g_assert_cmpuint(info->memory, ==, 16384);
    g_assert_cmpuint(info->nrVirtCpu, ==, 3);
    FAILS(VIREO_ERR_OPERATION_INVALID, domain_set_memory, off,
          16384); /* LIVE on a domain that is off */
    FAILS(VIREO_ERR_OPERATION_INVALID, domain_set_vcpus, off, 1);
    OK(domain_set_max_memory, off, 65536);
}

static const char *dump(vireo_domain_ref dom, guint flags, Outcome *outcome)
{
    vireo_domain_get_xml_desc_args args = {dom, flags};
    vireo_domain_get_xml_desc_ret *ret = run(VIREO_OP_domain_get_xml_desc, &args, outcome);

    return ret->xml;
}

static void test_devices(void)
{
    static const char disk[] = "<disk type='file' device='disk'><source file='/images/c'/>"
                               "<target dev='vdc' bus='virtio'/></disk>";
    g_auto(Outcome) o = {0};
    vireo_domain_ref tra = ref("tra");
    guint8 map = 0x02;

    OK(domain_attach_device, tra, (char *)disk);
    g_assert_nonnull(strstr(dump(tra, 0, &o), "vdc"));
    OK(domain_detach_device, tra, (char *)disk);
    g_assert_null(strstr(dump(tra, 0, &o), "vdc"));
    FAILS(VIREO_ERR_OPERATION_INVALID, domain_attach_device, ref("off"), (char *)disk);
    OK(domain_pin_vcpu, tra, 1, {1, &map});
    g_assert_nonnull(strstr(dump(tra, 0, &o), "<vcpupin vcpu='1' cpuset='1'/>"));
    FAILS(VIREO_ERR_NO_SUPPORT, domain_block_pull, tra, (char *)"vda", 0, 0); /* nor block_rebase */
}

static void test_figures(void)
{
    g_auto(Outcome) o = {0};
    vireo_domain_ref tra = ref("tra");
    vireo_domain_block_stats_ret *block = RUN(domain_block_stats, tra, (char *)"vda");
    vireo_domain_get_job_info_ret *job;
    vireo_domain_get_scheduler_parameters_ret *sched;
    vireo_typed_param shares = {.field = (char *)"cpu_shares",
                                .value = {.type = VIREO_TYPED_PARAM_ULLONG, .ul = 2048}};

    g_assert_cmpint(block->rd_req, >=, 0);
    g_assert_cmpint(block->wr_bytes, >=, 0);
    g_assert_cmpint(block->errs, ==, 0);
    FAILS(VIREO_ERR_OPERATION_INVALID, domain_block_stats, ref("off"), (char *)"vda");
    job = RUN(domain_get_job_info, tra);
    g_assert_cmpint(job->type, ==, VIREO_DOMAIN_JOB_NONE);
    g_assert_cmpuint(job->dataTotal, ==, 0);
    FAILS(VIREO_ERR_OPERATION_INVALID, domain_abort_job, tra); /* there is none */
    OK(domain_set_scheduler_parameters, tra, {1, &shares});
    sched = RUN(domain_get_scheduler_parameters, tra, 3);
    g_assert_cmpuint(sched->params.len, ==, 3);
    g_assert_cmpstr(sched->params.val[0].field, ==, "cpu_shares");
    g_assert_cmpuint(sched->params.val[0].value.ul, ==, 2048);
}

static void test_life(void)
{
    g_auto(Outcome) o = {0};
    g_autofree char *saved = g_build_filename(bench->dir, "saved", NULL);
    g_autofree char *core = g_build_filename(bench->dir, "core", NULL);

    define("life");
    FAILS(VIREO_ERR_OPERATION_INVALID, domain_shutdown, ref("life"));
    OK(domain_create, ref("life"));
    g_assert_cmpint(ref("life").id, >, 0);
    OK(domain_core_dump, ref("life"), core, 0);
    g_assert_true(g_file_test(core, G_FILE_TEST_EXISTS));
    OK(domain_save, ref("life"), saved);
    g_assert_cmpint(RUN(domain_get_state, ref("life"), 0)->reason, ==, VIREO_DOMAIN_SHUTOFF_SAVED);
    OK(domain_restore, saved);
    g_assert_cmpint(RUN(domain_get_state, ref("life"), 0)->reason, ==,
                    VIREO_DOMAIN_RUNNING_RESTORED);
    OK(domain_shutdown, ref("life"));
    g_assert_cmpint(RUN(domain_get_state, ref("life"), 0)->reason, ==,
                    VIREO_DOMAIN_SHUTOFF_SHUTDOWN);
    OK(domain_create, ref("life"));
    OK(domain_destroy, ref("life"));
    g_assert_cmpint(RUN(domain_get_state, ref("life"), 0)->reason, ==,
                    VIREO_DOMAIN_SHUTOFF_DESTROYED);
    OK(domain_undefine, ref("life"));
    FAILS(VIREO_ERR_NO_DOMAIN, domain_lookup_by_name, (char *)"life");
    FAILS(VIREO_ERR_OPERATION_INVALID, domain_undefine, ref("off")); /* it has snapshots */
}

/* ---- snapshots: a -> (b -> c*, d) -------------------------------------------------------------
 */

static vireo_domain_snapshot_ref snap(const char *name)
{
    return (vireo_domain_snapshot_ref){(char *)name, ref("off")};
}

/* The same question in its four forms. */
static void expect_tree(guint flags, const char *expected)
{
    g_auto(Outcome) o = {0};
    vireo_domain_list_all_snapshots_ret *all = RUN(domain_list_all_snapshots, ref("off"), 1, flags);
    int n = all->ret;

    g_assert_cmpint(n, ==, (int)all->snapshots.len);
    EQUAL(NAMES(all->snapshots, .name), expected);
    g_assert_cmpint(RUN(domain_list_all_snapshots, ref("off"), 0, flags)->ret, ==, n);
    g_assert_cmpint(RUN(domain_snapshot_num, ref("off"), flags)->num, ==, n);
    EQUAL(NAMES(RUN(domain_snapshot_list_names, ref("off"), 100, flags)->names, ), expected);
}

static void expect_below(const char *name, guint flags, const char *expected)
{
    g_auto(Outcome) o = {0};
    vireo_domain_snapshot_list_all_children_ret *all =
        RUN(domain_snapshot_list_all_children, snap(name), 1, flags);
    int n = all->ret;

    EQUAL(NAMES(all->snapshots, .name), expected);
    g_assert_cmpint(RUN(domain_snapshot_num_children, snap(name), flags)->num, ==, n);
    EQUAL(NAMES(RUN(domain_snapshot_list_children_names, snap(name), 100, flags)->names, ),
          expected);
}

static void test_snapshot_lists(void)
{
#define SNAP(name) VIREO_DOMAIN_SNAPSHOT_LIST_##name
    g_auto(Outcome) o = {0};

    expect_tree(0, "a b c d");
    expect_tree(SNAP(ROOTS), "a");
    expect_tree(SNAP(LEAVES), "c d");
    expect_tree(SNAP(NO_LEAVES), "a b");
    expect_tree(SNAP(METADATA), "a b c d");
    expect_tree(SNAP(NO_METADATA), "");
    expect_tree(SNAP(INACTIVE), "a b c d");
    expect_tree(SNAP(ACTIVE), "");
    expect_tree(SNAP(DISK_ONLY), "");
    expect_tree(SNAP(INTERNAL), "a b c d");
    expect_tree(SNAP(EXTERNAL), "");
    expect_tree(SNAP(TOPOLOGICAL), "a b c d");
    expect_below("a", 0, "b d");
    expect_below("a", SNAP(DESCENDANTS), "b c d");
    expect_below("a", SNAP(DESCENDANTS) | SNAP(LEAVES), "c d");
    expect_below("b", 0, "c");
    expect_below("c", SNAP(DESCENDANTS), "");
    g_assert_cmpuint(RUN(domain_snapshot_list_names, ref("off"), 2, 0)->names.len, ==, 2);
}

/* Parents come before their children when that is asked for. */
static void test_snapshot_order(void)
{
    g_auto(Outcome) o = {0};
    vireo_domain_list_all_snapshots_ret *all =
        RUN(domain_list_all_snapshots, ref("off"), 1, SNAP(TOPOLOGICAL));
    int place[4] = {-1, -1, -1, -1};

    for (guint i = 0; i < all->snapshots.len; i++)
        place[all->snapshots.val[i].name[0] - 'a'] = (int)i;
    g_assert_cmpint(place[0], <, place[1]);
    g_assert_cmpint(place[1], <, place[2]);
    g_assert_cmpint(place[0], <, place[3]);
}

static void test_snapshot_facts(void)
{
    g_auto(Outcome) o = {0};

    g_assert_cmpint(RUN(domain_has_current_snapshot, ref("off"), 0)->result, ==, 1);
    g_assert_cmpint(RUN(domain_has_current_snapshot, ref("test"), 0)->result, ==, 0);
    g_assert_cmpstr(RUN(domain_snapshot_current, ref("off"), 0)->snap.name, ==, "c");
    FAILS(VIREO_ERR_NO_DOMAIN_SNAPSHOT, domain_snapshot_current, ref("test"), 0);
    g_assert_cmpint(RUN(domain_snapshot_is_current, snap("c"), 0)->current, ==, 1);
    g_assert_cmpint(RUN(domain_snapshot_is_current, snap("b"), 0)->current, ==, 0);
    g_assert_cmpint(RUN(domain_snapshot_has_metadata, snap("b"), 0)->metadata, ==, 1);
    g_assert_cmpstr(RUN(domain_snapshot_get_parent, snap("c"), 0)->snap.name, ==, "b");
    g_assert_cmpstr(RUN(domain_snapshot_get_parent, snap("d"), 0)->snap.name, ==, "a");
    FAILS(VIREO_ERR_NO_DOMAIN_SNAPSHOT, domain_snapshot_get_parent, snap("a"), 0);
    g_assert_cmpstr(RUN(domain_snapshot_lookup_by_name, ref("off"), (char *)"d", 0)->snap.name, ==,
                    "d");
    FAILS(VIREO_ERR_NO_DOMAIN_SNAPSHOT, domain_snapshot_lookup_by_name, ref("off"), (char *)"x", 0);
    FAILS(VIREO_ERR_NO_DOMAIN_SNAPSHOT, domain_snapshot_lookup_by_name, ref("test"), (char *)"a",
          0);
}

/* ---- checkpoints: k1 -> k2 --------------------------------------------------------------------
 */

static vireo_domain_checkpoint_ref check(const char *name)
{
    return (vireo_domain_checkpoint_ref){(char *)name, ref("pau")};
}

static void expect_checkpoints(guint flags, const char *expected)
{
    g_auto(Outcome) o = {0};

    EQUAL(NAMES(RUN(domain_list_all_checkpoints, ref("pau"), 1, flags)->checkpoints, .name),
          expected);
}

static void test_checkpoints(void)
{
    g_auto(Outcome) o = {0};

    expect_checkpoints(0, "k1 k2");
    expect_checkpoints(VIREO_DOMAIN_CHECKPOINT_LIST_ROOTS, "k1");
    expect_checkpoints(VIREO_DOMAIN_CHECKPOINT_LIST_LEAVES, "k2");
    expect_checkpoints(VIREO_DOMAIN_CHECKPOINT_LIST_NO_LEAVES, "k1");
    EQUAL(NAMES(RUN(domain_checkpoint_list_all_children, check("k1"), 1, 0)->checkpoints, .name),
          "k2");
    g_assert_cmpint(RUN(domain_checkpoint_list_all_children, check("k2"), 1, 0)->ret, ==, 0);
    g_assert_cmpstr(RUN(domain_checkpoint_get_parent, check("k2"), 0)->parent.name, ==, "k1");
    FAILS(VIREO_ERR_NO_DOMAIN_CHECKPOINT, domain_checkpoint_get_parent, check("k1"), 0);
    g_assert_cmpstr(
        RUN(domain_checkpoint_lookup_by_name, ref("pau"), (char *)"k2", 0)->checkpoint.name, ==,
        "k2");
    FAILS(VIREO_ERR_NO_DOMAIN_CHECKPOINT, domain_checkpoint_lookup_by_name, ref("pau"), (char *)"x",
          0);
}

/* ---- nothing was left out ---------------------------------------------------------------------
 */

static gboolean is_derived(const VireoOp *op)
{
    static const char *const parts[] = {"objects", "snapshots", "convert", NULL};

    if (op->kind != VIREO_OP_CALL)
        return FALSE;
    return op->derive_from || (op->serve && g_strv_contains(parts, op->serve));
}

static gboolean is_about_domains(const VireoOp *op)
{
    return g_str_has_prefix(op->name, "domain_") || g_str_has_suffix(op->name, "_domains");
}

static void test_complete(void)
{
    guint n = 0;

    for (guint i = 0; i < vireo_n_ops; i++) {
        const VireoOp *op = &vireo_ops[i];

        if (!is_derived(op) || !is_about_domains(op))
            continue;
        if (!g_hash_table_contains(covered, GUINT_TO_POINTER(op->id)))
            g_error("%s is derived and was not looked at", op->name);
        n++;
    }
    g_test_message("%u derived operations", n);
    g_assert_cmpuint(n, >=, 50);
}

int main(int argc, char **argv)
{
    int failed;

    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 2);
    covered = g_hash_table_new(NULL, NULL);
    bench = bench_new();
    bench_add(bench, bench_load(argv[1]), NULL);
    conn = bench_open(bench, "test:///default", FALSE);
    set_up();
    g_test_add_func("/lists", test_lists);
    g_test_add_func("/lookups", test_lookups);
    g_test_add_func("/facts", test_facts);
    g_test_add_func("/sizes", test_sizes);
    g_test_add_func("/devices", test_devices);
    g_test_add_func("/figures", test_figures);
    g_test_add_func("/life", test_life);
    g_test_add_func("/snapshot-lists", test_snapshot_lists);
    g_test_add_func("/snapshot-order", test_snapshot_order);
    g_test_add_func("/snapshot-facts", test_snapshot_facts);
    g_test_add_func("/checkpoints", test_checkpoints);
    g_test_add_func("/complete", test_complete);
    failed = g_test_run();
    vireo_conn_unref(conn);
    bench_free(bench);
    g_hash_table_unref(covered);
    return failed;
}
