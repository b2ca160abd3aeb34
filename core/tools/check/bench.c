/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/check/bench.h"

#include <dlfcn.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

Bench *bench_new(void)
{
    Bench *bench = g_new0(Bench, 1);
    char **slots[] = {&bench->dirs.config, &bench->dirs.state, &bench->dirs.run, &bench->dirs.log,
                      &bench->dirs.cache};
    const char *names[] = {"config", "state", "run", "log", "cache"};

    bench->dir = g_dir_make_tmp("vireo-conformance-XXXXXX", NULL);
    g_assert_nonnull(bench->dir);
    for (guint i = 0; i < G_N_ELEMENTS(slots); i++)
        *slots[i] = g_build_filename(bench->dir, names[i], NULL);
    bench->workers = vireo_workers_new(0, 4, 2);
    bench->hub = vireo_event_hub_new();
    bench->host = vireo_host_new(&bench->dirs, bench->workers, bench->hub);
    bench->router = vireo_router_new(bench->host);
    return bench;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    return remove(path);
}

void bench_free(Bench *bench)
{
    vireo_workers_free(bench->workers);
    vireo_router_free(bench->router);
    vireo_host_free(bench->host);
    vireo_event_hub_free(bench->hub);
    nftw(bench->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    g_free(bench->dirs.config);
    g_free(bench->dirs.state);
    g_free(bench->dirs.run);
    g_free(bench->dirs.log);
    g_free(bench->dirs.cache);
    g_free(bench->dir);
    g_free(bench);
}

static const struct vireo_op *row(gconstpointer table, guint32 id)
{
    const struct vireo_driver *driver = table;

    for (guint i = 0; i < driver->n_ops; i++) {
        const struct vireo_op *at =
            (const void *)((const char *)driver->ops + (gsize)i * driver->op_size);

        if (at->id == id)
            return at;
    }
    return NULL;
}

void bench_add(Bench *bench, const struct vireo_driver *driver, VireoBackendTrouble trouble)
{
    vireo_core *core = vireo_host_core(bench->host, driver->name);
    g_autoptr(GError) error = NULL;

    if (!vireo_core_start(core, driver, &error))
        g_error("driver '%s': %s", driver->name, error->message);
    vireo_router_add(bench->router, driver->name, driver->schemes, driver->threads, core, row,
                     trouble, driver);
}

const struct vireo_driver *bench_load(const char *path)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct vireo_driver *(*entry)(void) =
        module ? (const struct vireo_driver *(*)(void))dlsym(module, "vireo_driver_entry_1") : NULL;

    if (!entry)
        g_error("%s: %s", path, dlerror());
    return entry();
}

VireoConn *bench_open(Bench *bench, const char *uri, gboolean readonly)
{
    VireoConnCaller caller = {.readonly = readonly};
    g_autoptr(GError) error = NULL;
    VireoConn *conn = vireo_conn_open(bench->router, uri, &caller, &error);

    if (!conn)
        g_error("%s: %s", uri, error->message);
    return conn;
}

/* ---- calls ------------------------------------------------------------------------------------
 */

typedef struct {
    GMutex lock;
    GCond cond;
    gboolean ended;
    guint ends;
    int status;
} Wait;

static void done(vireo_call *call, int status, gpointer opaque)
{
    Wait *wait = opaque;

    g_mutex_lock(&wait->lock);
    wait->ended = TRUE;
    wait->ends++;
    wait->status = status;
    g_cond_signal(&wait->cond);
    g_mutex_unlock(&wait->lock);
}

void outcome_clear(Outcome *outcome)
{
    g_clear_pointer(&outcome->message, g_free);
    g_clear_pointer(&outcome->call, vireo_call_unref);
    *outcome = (Outcome){0};
}

static void carry_out(VireoConn *conn, vireo_call *call, Outcome *outcome)
{
    Wait wait = {0};

    g_mutex_init(&wait.lock);
    g_cond_init(&wait.cond);
    call->done = done;
    call->opaque = &wait;
    vireo_router_call(conn, vireo_call_ref(call));
    g_mutex_lock(&wait.lock);
    while (!wait.ended)
        g_cond_wait(&wait.cond, &wait.lock);
    g_mutex_unlock(&wait.lock);
    g_assert_cmpuint(wait.ends, ==, 1);
    outcome->call = call;
    outcome->status = wait.status;
    outcome->code = call->error_code;
    outcome->message = g_strdup(call->error_message);
    outcome->ret = call->ret;
    if ((outcome->status == VIREO_OK) != (outcome->code == 0))
        g_error("%s: status %d with error %d", call->op->name, outcome->status, outcome->code);
    g_mutex_clear(&wait.lock);
    g_cond_clear(&wait.cond);
}

static void fill_strings(const VireoWireType *type, void *at, VireoArena *arena)
{
    for (guint i = 0; type && i < type->n_fields; i++) {
        const VireoWireField *field = &type->fields[i];
        void *member = (char *)at + field->offset;

        if (field->form != VIREO_WIRE_ONE)
            continue;
        if (field->kind == VIREO_WIRE_STRING)
            *(char **)member = vireo_arena_strdup(arena, "x");
        else if (field->kind == VIREO_WIRE_STRUCT && !field->type->tags)
            fill_strings(field->type, member, arena);
    }
}

static vireo_call *prepare(const VireoOp *op)
{
    VireoArena *arena = vireo_arena_new();
    gpointer args = op->args ? vireo_arena_alloc(arena, op->args->size) : NULL;
    vireo_call *call = vireo_call_new(op, arena, args);

    if (op->ret && !call->ret)
        call->ret = vireo_arena_alloc(arena, op->ret->size);
    return call;
}

void bench_call(VireoConn *conn, const VireoOp *op, BenchFill fill, gconstpointer opaque,
                Outcome *outcome)
{
    vireo_call *call = prepare(op);

    outcome_clear(outcome);
    if (op->args)
        fill_strings(op->args, call->args, call->arena);
    if (fill && op->args)
        fill(op, call->args, call->arena, opaque);
    carry_out(conn, call, outcome);
}

gpointer bench_run(VireoConn *conn, guint32 id, gconstpointer args, Outcome *outcome)
{
    const VireoOp *op = vireo_op_by_id(id);
    vireo_call *call = prepare(op);

    outcome_clear(outcome);
    if (op->args && args)
        memcpy(call->args, args, op->args->size);
    carry_out(conn, call, outcome);
    return outcome->ret;
}
