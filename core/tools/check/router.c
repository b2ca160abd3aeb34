/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real router in front of the driver's table: which flags get through, and which do not. */
#include <string.h>

#include "tools/check/bench.h"
#include "tools/check/session.h"
#include "tools/check/spy.h"

typedef struct {
    Bench *bench;
    struct vireo_driver *driver;
    VireoConn *conn;
    guint calls;
} Table;

typedef struct {
    gboolean stopped;
    guint64 flags;
} Ask;

static gboolean table_open(const CheckTask *task, Table *table)
{
    table->bench = bench_new();
    table->driver = spy_driver_new(session_load(task));
    bench_add(table->bench, table->driver, NULL);
    table->conn = bench_open(table->bench, "spied:///", FALSE);
    return TRUE;
}

static void table_close(Table *table)
{
    vireo_conn_unref(table->conn);
    bench_free(table->bench);
    spy_driver_free(table->driver);
}

static void fill(const VireoOp *op, gpointer args, VireoArena *arena, gconstpointer opaque)
{
    const Ask *ask = opaque;
    char *at = (char *)args + op->object_offset;
    vireo_domain_ref *dom = op->object == VIREO_CLASS_DOMAIN ? (gpointer)at : NULL;

    if (op->object == VIREO_CLASS_DOMAIN_SNAPSHOT || op->object == VIREO_CLASS_DOMAIN_CHECKPOINT) {
        vireo_domain_snapshot_ref *moment = (gpointer)at;

        moment->name = vireo_arena_strdup(arena, "one");
        dom = &moment->dom;
    }
    if (dom) {
        dom->name = vireo_arena_strdup(arena, ask->stopped ? "off" : "on");
        memcpy(dom->uuid, ask->stopped ? spy_off_uuid : spy_on_uuid, 16);
    }
    spy_fill_other(op, args);
    vireo_op_set_flags(op, args, ask->flags);
}

static void call(Table *table, const VireoOp *op, const Ask *ask, Outcome *outcome)
{
    spy_seen.op = 0;
    spy_seen.flags = 0;
    check_enter(op->name);
    bench_call(table->conn, op, fill, ask, outcome);
    check_leave();
    table->calls++;
}

/* The flag with those that it does not go without; 0 when no set of known flags has it. */
static guint64 with_required(const VireoOp *op, const struct vireo_op *row, guint64 bit)
{
    guint64 all = bit;

    for (const VireoFlagRule *rule = op->flag_rules; rule && rule->kind; rule++)
        if (rule->kind == VIREO_FLAGS_REQUIRES && (all & rule->first) && !(all & rule->second))
            all |= rule->second & -rule->second;
    return all & ~(row->native | row->trivial) ? 0 : all;
}

typedef void (*OnRow)(Table *table, const VireoOp *op, const struct vireo_op *row);

static void each_row(Table *table, OnRow told)
{
    for (guint i = 0; i < table->driver->n_ops; i++) {
        const struct vireo_op *row = &table->driver->ops[i];
        const VireoOp *op = vireo_op_by_id(row->id);

        if (op && op->kind == VIREO_OP_CALL && op->flags_offset >= 0 && op->program != VIREO_PROGRAM_DRIVER)
            told(table, op, row);
    }
}

/* What the router lets pass for every driver: the note that a client takes strings. */
static guint64 core_flags(const VireoOp *op)
{
    for (const VireoFlag *flag = op->flags; flag && flag->name; flag++)
        if (strcmp(flag->name, "STRING_OKAY") == 0)
            return flag->bit;
    return 0;
}

static void see_undeclared(Table *table, const VireoOp *op, const struct vireo_op *row)
{
    for (guint i = 0; i < op->flags_size * 8; i++) {
        const Ask ask = { .flags = G_GUINT64_CONSTANT(1) << i };
        g_autofree char *name = vireo_op_flag_names(op, ask.flags);
        g_auto(Outcome) outcome = { 0 };

        if (ask.flags & (row->native | row->trivial | core_flags(op)))
            continue;
        call(table, op, &ask, &outcome);
        if (spy_seen.op)
            check_fail("%s with the undeclared flag %s reached the driver", op->name, name);
        else if (outcome.code != VIREO_ERR_INVALID_ARG || !strstr(outcome.message, name))
            check_fail("%s with the undeclared flag %s was refused with %d '%s', which does not name it", op->name,
                       name, outcome.code, outcome.message);
    }
}

void check_undeclared(const CheckTask *task)
{
    Table table = { 0 };

    table_open(task, &table);
    each_row(&table, see_undeclared);
    check_note("%u flags refused by name, none reached the driver", table.calls);
    table_close(&table);
}

static void see_one(Table *table, const VireoOp *op, const struct vireo_op *row, guint64 bit)
{
    guint64 all = with_required(op, row, bit);
    const Ask ask = { .stopped = (all & row->inactive) != 0, .flags = all };
    g_autofree char *name = vireo_op_flag_names(op, bit);
    g_auto(Outcome) outcome = { 0 };
    gboolean without_driver = (all & row->trivial & op->trivial_completes) != 0;

    if (!all || (all & row->inactive && all & row->active))
        return;
    call(table, op, &ask, &outcome);
    if (without_driver && (spy_seen.op || outcome.code))
        check_fail("%s with %s, which leaves nothing to do, ended with %d and %s", op->name, name, outcome.code,
                   spy_seen.op ? "reached the driver" : "did not reach the driver");
    else if (!without_driver && (!spy_seen.op || spy_seen.flags != (all & row->native)))
        check_fail("%s with %s: %s (%s)", op->name, name,
                   spy_seen.op ? "other flags than the native ones reached the driver" : "it did not reach the driver",
                   outcome.message);
}

static void see_declared(Table *table, const VireoOp *op, const struct vireo_op *row)
{
    guint64 declared = row->native | row->trivial;

    for (guint i = 0; i < op->flags_size * 8; i++)
        if (declared >> i & 1)
            see_one(table, op, row, G_GUINT64_CONSTANT(1) << i);
}

void check_stripped(const CheckTask *task)
{
    Table table = { 0 };

    table_open(task, &table);
    each_row(&table, see_declared);
    check_note("%u declared flags, the native ones passed on and the trivial ones as 0", table.calls);
    table_close(&table);
}
