/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-table MODULE.so...: every operation of the catalogue against a driver's table. The driver's
 * own functions are replaced by spies, so that it is seen whether, and with which flags, a call
 * would have reached it. What the router must do follows from the catalogue and the table alone.
 */
#include "tools/check/bench.h"
#include "tools/check/spy.h"

#include <stdio.h>
#include <string.h>

static gboolean in_trouble;

static char *trouble(gconstpointer table)
{
    return in_trouble ? g_strdup("it is out of order") : NULL;
}

/* ---- one call ---------------------------------------------------------------------------------
 */

typedef enum { RUNNING, STOPPED, BOGUS, BOGUS_MOMENT } About;

typedef struct {
    VireoConn *rw, *ro;
    VireoBackend *backend;
    Outcome outcome;
    guint checks, answers;
} Table;

typedef struct {
    About about;
    guint64 flags;
    const char *int_name; /* a number to set, NULL: none */
    gint32 int_value;
} Ask;

static void fill(const VireoOp *op, gpointer args, VireoArena *arena, gconstpointer opaque)
{
    const Ask *ask = opaque;
    const VireoWireField *number = ask->int_name ? vireo_wire_field(op->args, ask->int_name) : NULL;
    char *at = (char *)args + op->object_offset;
    vireo_domain_ref *dom = NULL;

    if (op->object == VIREO_CLASS_DOMAIN)
        dom = (gpointer)at;
    if (op->object == VIREO_CLASS_DOMAIN_SNAPSHOT || op->object == VIREO_CLASS_DOMAIN_CHECKPOINT) {
        vireo_domain_snapshot_ref *moment = (gpointer)at;

        moment->name = vireo_arena_strdup(arena, ask->about == BOGUS_MOMENT ? "bogus" : "one");
        dom = &moment->dom;
    }
    if (dom && ask->about != BOGUS) {
        gboolean off = ask->about == STOPPED;

        dom->name = vireo_arena_strdup(arena, off ? "off" : "on");
        memcpy(dom->uuid, off ? spy_off_uuid : spy_on_uuid, 16);
    }
    spy_fill_other(op, args);
    if (op->flags_offset >= 0)
        vireo_op_set_flags(op, args, ask->flags);
    if (number)
        *(gint32 *)((char *)args + number->offset) = ask->int_value;
}

static gboolean is_about_domain(const VireoOp *op)
{
    return op->object == VIREO_CLASS_DOMAIN || op->object == VIREO_CLASS_DOMAIN_SNAPSHOT ||
           op->object == VIREO_CLASS_DOMAIN_CHECKPOINT;
}

/* Whether the core refuses, as one who only asks is told, with the same words. */
static void compare_answer(Table *table, VireoConn *conn, const VireoOp *op, const Ask *ask)
{
    g_autoptr(VireoObject) object = NULL;
    g_auto(VireoAnswer) answer = {0};
    const Outcome *outcome = &table->outcome;
    gboolean refused = !spy_seen.op && outcome->code;

    if (ask->int_name || ask->about >= BOGUS || in_trouble || op->program == VIREO_PROGRAM_ADMIN)
        return;
    object = vireo_space_by_name(spy_seen.space, VIREO_CLASS_DOMAIN,
                                 ask->about == RUNNING ? "on" : "off");
    vireo_offer_ask(vireo_conn_offer(conn), op, ask->flags,
                    &(VireoCase){vireo_conn_is_readonly(conn), is_about_domain(op) ? object : NULL},
                    &answer);
    if (answer.answer == VIREO_CAN_CORE)
        return; /* what is refused there depends on what is asked for */
    if (refused != (answer.answer == VIREO_CAN_NO) ||
        (refused && strcmp(answer.reason, outcome->message) != 0))
        g_error("%s, flags 0x%" G_GINT64_MODIFIER "x: asked: %s (%d); called: %s", op->name,
                ask->flags, answer.reason, answer.answer,
                outcome->message ? outcome->message : "done");
    table->answers++;
}

static void call(Table *table, VireoConn *conn, const VireoOp *op, const Ask *ask)
{
    spy_seen.op = 0;
    spy_seen.flags = 0;
    bench_call(conn, op, fill, ask, &table->outcome);
    compare_answer(table, conn, op, ask);
    table->checks++;
}

static void wrong(const Table *table, const VireoOp *op, const Ask *ask, const char *expected)
{
    g_autofree char *names = vireo_op_flag_names(op, ask->flags);

    g_error("%s: %s, flags %s, object %d: expected %s; got error %d (%s), %s", "table", op->name,
            names, ask->about, expected, table->outcome.code,
            table->outcome.message ? table->outcome.message : "none",
            spy_seen.op ? "the driver was reached" : "the driver was not reached");
}

static void expect_error(Table *table, VireoConn *conn, const VireoOp *op, Ask ask, int code,
                         const char *part)
{
    call(table, conn, op, &ask);
    if (spy_seen.op || table->outcome.code != code || (part && !strstr(table->outcome.message, part))) {
        g_autofree char *expected = g_strdup_printf("error %d with '%s'", code, part ? part : "");

        wrong(table, op, &ask, expected);
    }
}

static void expect_reached_by(Table *table, VireoConn *conn, const VireoOp *op, Ask ask, guint32 by,
                              guint64 flags)
{
    call(table, conn, op, &ask);
    if (spy_seen.op != by || spy_seen.flags != flags || table->outcome.code != SPY_REACHED) {
        g_autofree char *names = vireo_op_flag_names(vireo_op_by_id(by), flags);
        g_autofree char *expected = g_strdup_printf(
            "the driver to see flags %s, not 0x%" G_GINT64_MODIFIER "x", names, spy_seen.flags);

        wrong(table, op, &ask, expected);
    }
}

static void expect_reached(Table *table, const VireoOp *op, Ask ask, guint32 by, guint64 flags)
{
    expect_reached_by(table, table->rw, op, ask, by, flags);
}

/* ---- what must happen -------------------------------------------------------------------------
 */

/* The string that a getter's client understands is for the core. */
static guint64 for_the_core(const VireoOp *op)
{
    guint64 bits = 0;

    for (const VireoFlag *flag = op->flags; flag && flag->name; flag++)
        if (strcmp(flag->name, "STRING_OKAY") == 0)
            bits |= flag->bit;
    return bits;
}

/* The flags that must come with a bit, the bit included; 0 when the driver cannot take them all. */
static guint64 with_required(const VireoOp *op, const struct vireo_op *row, guint64 bit)
{
    guint64 all = bit;

    for (const VireoFlagRule *rule = op->flag_rules; rule && rule->kind; rule++)
        if (rule->kind == VIREO_FLAGS_REQUIRES && (all & rule->first))
            all |= rule->second;
    return all & ~(row->native | row->trivial) ? 0 : all;
}

static void check_flag(Table *table, const VireoOp *op, const struct vireo_op *row, guint64 bit)
{
    guint64 taken = row->native | row->trivial, all;
    g_autofree char *name = vireo_op_flag_names(op, bit);

    if (bit & for_the_core(op))
        return;
    if (!(bit & taken))
        return expect_error(table, table->rw, op, (Ask){RUNNING, bit}, VIREO_ERR_INVALID_ARG, name);
    all = with_required(op, row, bit);
    if (all != bit)
        expect_error(table, table->rw, op, (Ask){RUNNING, bit}, VIREO_ERR_INVALID_ARG, "requires");
    if (!all)
        return;
    for (About about = RUNNING; about <= STOPPED; about++) {
        guint64 bound = about == RUNNING ? row->inactive : row->active;

        if (about == STOPPED && !is_about_domain(op))
            continue;
        if (is_about_domain(op) && (all & bound))
            expect_error(table, table->rw, op, (Ask){about, all}, VIREO_ERR_OPERATION_INVALID,
                         NULL);
        else if (all & row->trivial & op->trivial_completes) {
            Ask ask = {about, all};

            call(table, table->rw, op, &ask);
            if (spy_seen.op || table->outcome.code)
                wrong(table, op, &ask, "an end without the driver");
        } else
            expect_reached(table, op, (Ask){about, all}, op->id, all & row->native);
    }
}

static void check_pairs(Table *table, const VireoOp *op, const struct vireo_op *row)
{
    guint64 taken = row->native | row->trivial;

    for (const VireoFlagRule *rule = op->flag_rules; rule && rule->kind; rule++) {
        guint64 both = rule->first | rule->second;

        if (rule->kind == VIREO_FLAGS_EXCLUSIVE && !(both & ~taken))
            expect_error(table, table->rw, op, (Ask){RUNNING, both}, VIREO_ERR_INVALID_ARG, NULL);
    }
}

static void check_readonly(Table *table, const VireoOp *op)
{
    if (op->readonly_refused)
        return expect_error(table, table->ro, op, (Ask){BOGUS, G_GUINT64_CONSTANT(1) << 31},
                            VIREO_ERR_OPERATION_DENIED, NULL); /* before everything else */
    for (guint i = 0; i < 64; i++)
        if (op->readonly_flags >> i & 1)
            expect_error(table, table->ro, op, (Ask){RUNNING, G_GUINT64_CONSTANT(1) << i},
                         VIREO_ERR_OPERATION_DENIED, NULL);
    if (op->readonly_arg)
        expect_error(table, table->ro, op, (Ask){RUNNING, 0, op->readonly_arg, op->readonly_value},
                     VIREO_ERR_OPERATION_DENIED, NULL);
}

static void check_bogus(Table *table, const VireoOp *op)
{
    guint64 bad = op->flags_offset >= 0 ? G_GUINT64_CONSTANT(1) << 31 : 0;

    if (!is_about_domain(op))
        return;
    /* not found comes before "not supported" and before flags */
    expect_error(table, table->rw, op, (Ask){BOGUS, bad}, VIREO_ERR_NO_DOMAIN, NULL);
    if (op->object == VIREO_CLASS_DOMAIN_SNAPSHOT)
        expect_error(table, table->rw, op, (Ask){BOGUS_MOMENT, bad}, VIREO_ERR_NO_DOMAIN_SNAPSHOT,
                     "bogus");
    if (op->object == VIREO_CLASS_DOMAIN_CHECKPOINT)
        expect_error(table, table->rw, op, (Ask){BOGUS_MOMENT, bad}, VIREO_ERR_NO_DOMAIN_CHECKPOINT,
                     "bogus");
}

/* The driver's own state comes after "not found" and before "not supported" and flags. */
static void check_trouble(Table *table, const VireoOp *op)
{
    guint64 bad = op->flags_offset >= 0 ? G_GUINT64_CONSTANT(1) << 31 : 0;

    in_trouble = TRUE;
    expect_error(table, table->rw, op, (Ask){RUNNING, bad}, VIREO_ERR_OPERATION_FAILED,
                 "out of order");
    if (is_about_domain(op))
        expect_error(table, table->rw, op, (Ask){BOGUS, bad}, VIREO_ERR_NO_DOMAIN, NULL);
    in_trouble = FALSE;
}

static void check_row(Table *table, const VireoOp *op, const struct vireo_op *row)
{
    guint bits = op->flags_size * 8;

    expect_reached(table, op, (Ask){RUNNING, 0}, op->id, 0);
    if (!op->readonly_refused && !(op->readonly_arg && op->readonly_value == 0))
        expect_reached_by(table, table->ro, op, (Ask){RUNNING, 0}, op->id, 0);
    if (op->flags_offset < 0)
        return;
    for (guint i = 0; i < bits; i++)
        check_flag(table, op, row, G_GUINT64_CONSTANT(1) << i);
    check_pairs(table, op, row);
}

/* What another operation serves: it is reached with the flags that the catalogue sets. */
static void check_derived(Table *table, const VireoOp *op, const struct vireo_op *source)
{
    const VireoOp *from = vireo_op_by_id(source->id);
    guint64 set = 0;

    for (const VireoDeriveSet *at = op->derive_set; at && at->field; at++)
        if (strcmp(at->field, "flags") == 0)
            set = at->value;
    if (set & ~(source->native | source->trivial))
        return expect_error(table, table->rw, op, (Ask){RUNNING, 0}, VIREO_ERR_INVALID_ARG, NULL);
    expect_reached(table, op, (Ask){RUNNING, 0}, from->id, set & source->native);
    if (is_about_domain(op) && (set & source->active))
        expect_error(table, table->rw, op, (Ask){STOPPED, 0}, VIREO_ERR_OPERATION_INVALID, NULL);
}

static const VireoOp *source_of(const VireoOp *op)
{
    if (op->id == VIREO_OP_domain_block_stats)
        return vireo_op_by_id(VIREO_OP_domain_block_stats_flags);
    if (op->id == VIREO_OP_domain_get_job_info)
        return vireo_op_by_id(VIREO_OP_domain_get_job_stats);
    if (op->id == VIREO_OP_storage_pool_num_of_volumes || op->id == VIREO_OP_storage_pool_list_volumes)
        return vireo_op_by_id(VIREO_OP_storage_pool_list_all_volumes);
    return op->derive_from;
}

static gboolean is_for_drivers(const VireoOp *op)
{
    if (op->kind != VIREO_OP_CALL || op->program == VIREO_PROGRAM_DRIVER ||
        op->program == VIREO_PROGRAM_KEEPALIVE)
        return FALSE;
    return !op->serve || (strcmp(op->serve, "connection") != 0 && strcmp(op->serve, "admin") != 0 &&
                          strcmp(op->serve, "daemon") != 0);
}

/* Trees are answered for drivers that have operations on them. */
static gboolean core_answers(const Table *table, const VireoOp *op)
{
    guint klass = op->object == VIREO_CLASS_NONE ? VIREO_CLASS_DOMAIN : op->object;

    if (!op->serve || strcmp(op->serve, "convert") == 0)
        return FALSE;
    if (strstr(op->name, "snapshot"))
        klass = VIREO_CLASS_DOMAIN_SNAPSHOT;
    else if (strstr(op->name, "checkpoint"))
        klass = VIREO_CLASS_DOMAIN_CHECKPOINT;
    return vireo_backend_has_class(table->backend, klass);
}

static void check_op(Table *table, const VireoOp *op)
{
    const struct vireo_op *row = vireo_backend_row(table->backend, op->id);
    const VireoOp *source = source_of(op);
    const struct vireo_op *source_row =
        source ? vireo_backend_row(table->backend, source->id) : NULL;
    gboolean served = core_answers(table, op);

    check_readonly(table, op);
    check_bogus(table, op);
    check_trouble(table, op);
    if (row)
        check_row(table, op, row);
    else if (source_row)
        check_derived(table, op, source_row);
    else if (!served)
        expect_error(table, table->rw, op, (Ask){RUNNING, 0}, VIREO_ERR_NO_SUPPORT, NULL);
    else if (is_about_domain(op)) { /* the core's own answer, whatever it is */
        Ask ask = {RUNNING, 0};

        call(table, table->rw, op, &ask);
        if (spy_seen.op)
            wrong(table, op, &ask, "an answer of the core");
        if (op->flags_offset >= 0 && !(op->known_flags >> 30 & 1))
            expect_error(table, table->rw, op, (Ask){RUNNING, G_GUINT64_CONSTANT(1) << 30},
                         VIREO_ERR_INVALID_ARG, NULL);
    }
}

static void check_table(const char *path)
{
    Bench *bench = bench_new();
    struct vireo_driver *driver = spy_driver_new(bench_load(path));
    Table table = {0};
    guint rows = 0, n = 0;

    bench_add(bench, driver, trouble);
    table.backend = vireo_router_backend(bench->router, "spied");
    table.rw = bench_open(bench, "spied:///", FALSE);
    table.ro = bench_open(bench, "spied:///", TRUE);
    for (guint i = 0; i < vireo_n_ops; i++)
        if (is_for_drivers(&vireo_ops[i])) {
            check_op(&table, &vireo_ops[i]);
            rows += vireo_backend_row(table.backend, vireo_ops[i].id) != NULL;
            n++;
        }
    printf("%s: %u operations, %u rows, %u calls, %u like the answer beforehand\n", driver->name, n,
           rows, table.checks, table.answers);
    g_assert_cmpuint(table.checks, >, n);
    g_assert_cmpuint(table.answers, >, n);
    outcome_clear(&table.outcome);
    vireo_conn_unref(table.rw);
    vireo_conn_unref(table.ro);
    bench_free(bench);
    spy_driver_free(driver);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        g_error("usage: test-table MODULE.so...");
    for (int i = 1; i < argc; i++)
        check_table(argv[i]);
    return 0;
}
