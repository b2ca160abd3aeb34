/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core notes DIRECTORY        reading the notes of all modules there
 * core calls TEST.so [COUNT]  what the router adds to a call of the test driver
 * core routed|direct TEST.so OP COUNT  so many calls and nothing else, for counting instructions
 *
 * Prints `name unit value` lines. Medians, so that what else the machine does counts little.
 */
#include "tools/check/bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "loader/check.h"
#include "loader/registry.h"

enum { ROUNDS = 15 };

static double now_us(clockid_t clock)
{
    struct timespec at;

    clock_gettime(clock, &at);
    return at.tv_sec * 1e6 + at.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *values, guint n)
{
    qsort(values, n, sizeof *values, compare);
    return values[n / 2];
}

/* ---- notes ---- */

static guint read_notes(GPtrArray *paths)
{
    guint good = 0;

    for (guint i = 0; i < paths->len; i++) {
        int fd = open(paths->pdata[i], O_RDONLY | O_CLOEXEC);
        g_autoptr(VireoNote) note = fd >= 0 ? vireo_note_read(fd, NULL) : NULL;

        good += note && vireo_check_note(note, NULL);
        if (fd >= 0)
            close(fd);
    }
    return good;
}

static guint scan(const char *dir)
{
    const char *const dirs[] = { dir, NULL };
    uid_t owner = geteuid();
    VireoLoaderConfig config = { .dirs = dirs, .owner = &owner };
    g_autoptr(VireoLoader) loader = vireo_loader_new(&config);
    g_autoptr(GPtrArray) list = NULL;

    vireo_loader_scan(loader);
    list = vireo_loader_list(loader);
    return list->len;
}

static int notes(const char *directory)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
    double took[ROUNDS], scanned[ROUNDS];
    const char *name;

    while (dir && (name = g_dir_read_name(dir)))
        g_ptr_array_add(paths, g_build_filename(directory, name, NULL));
    for (guint i = 0; i < ROUNDS; i++) {
        double begin = now_us(CLOCK_MONOTONIC);

        if (read_notes(paths) != paths->len)
            g_error("%s: not every file is a driver", directory);
        took[i] = now_us(CLOCK_MONOTONIC) - begin;
        begin = now_us(CLOCK_MONOTONIC);
        if (scan(directory) != paths->len)
            g_error("%s: the loader does not see every file", directory);
        scanned[i] = now_us(CLOCK_MONOTONIC) - begin;
    }
    printf("notes ms %.3f\nscan ms %.3f\n", median(took, ROUNDS) / 1e3, median(scanned, ROUNDS) / 1e3);
    return 0;
}

/* ---- calls ---- */

typedef struct {
    GMutex lock;
    GCond cond;
    guint left;
} Wait;

static void done(vireo_call *call, int status, gpointer opaque)
{
    Wait *wait = opaque;

    if (status != VIREO_OK)
        g_error("%s: %s", call->op->name, call->error_message);
    vireo_call_unref(call);
    g_mutex_lock(&wait->lock);
    if (--wait->left == 0)
        g_cond_signal(&wait->cond);
    g_mutex_unlock(&wait->lock);
}

static vireo_call *prepare(const VireoOp *op)
{
    static const guint8 uuid[16] = { 0x66, 0x95, 0xeb, 0x01, 0xf6, 0xa4, 0x83, 0x04,
                                     0x79, 0xaa, 0x97, 0xf2, 0x50, 0x2e, 0x19, 0x3f };
    VireoArena *arena = vireo_arena_new();
    gpointer args = op->args ? vireo_arena_alloc(arena, op->args->size) : NULL;

    if (op->object == VIREO_CLASS_DOMAIN) {
        vireo_domain_ref *dom = (gpointer)((char *)args + op->object_offset);

        dom->name = (char *)"test";
        memcpy(dom->uuid, uuid, sizeof uuid);
        vireo_op_set_flags(op, args, VIREO_DOMAIN_GET_HOSTNAME_LEASE & op->known_flags);
    }
    return vireo_call_new(op, arena, args);
}

/* The driver's function alone, with the call's own costs. */
static void direct(VireoConn *conn, void *handle, const VireoOp *op, guint count)
{
    const struct vireo_op *row = vireo_backend_row(vireo_conn_backend(conn), op->id);
    Wait wait = { .left = count + 1 };

    for (guint i = 0; i < count; i++) {
        vireo_call *call = prepare(op);
        int status;

        call->done = done;
        call->opaque = &wait;
        status = vireo_dispatch(row->id, row->fn, handle, call, call->args, call->ret);
        vireo_call_finish(call, status);
    }
}

/* Through the router; so many under way at once. */
static void routed(VireoConn *conn, const VireoOp *op, guint count, guint at_once)
{
    Wait wait = { 0 };

    g_mutex_init(&wait.lock);
    g_cond_init(&wait.cond);
    for (guint i = 0; i < count; i += at_once) {
        wait.left = at_once;
        for (guint j = 0; j < at_once; j++) {
            vireo_call *call = prepare(op);

            call->done = done;
            call->opaque = &wait;
            vireo_router_call(conn, vireo_call_ref(call));
        }
        g_mutex_lock(&wait.lock);
        while (wait.left)
            g_cond_wait(&wait.cond, &wait.lock);
        g_mutex_unlock(&wait.lock);
    }
    g_mutex_clear(&wait.lock);
    g_cond_clear(&wait.cond);
}

static void *handle; /* the driver's connection, seen when it is opened */
static vireo_conn_open_fn *driver_open;

static int spy_open(void *self, vireo_call *call, const vireo_conn_open_args *args, vireo_conn_open_ret *ret)
{
    int status = driver_open(self, call, args, ret);

    handle = ret->conn;
    return status;
}

/* The module's table, with our eyes on conn_open. */
static struct vireo_driver *watched(const struct vireo_driver *driver)
{
    struct vireo_driver *copy = g_memdup2(driver, sizeof *driver);
    struct vireo_op *rows = g_memdup2(driver->ops, (gsize)driver->n_ops * driver->op_size);

    for (guint i = 0; i < driver->n_ops; i++)
        if (rows[i].id == VIREO_OP_conn_open) {
            driver_open = rows[i].fn.conn_open;
            rows[i].fn.conn_open = spy_open;
        }
    copy->ops = rows;
    return copy;
}

static const struct vireo_op *row_of(gconstpointer table, guint32 id)
{
    return vireo_op_table_get(table, id);
}

/* Rows are found as in the daemon. */
static VireoConn *open_conn(Bench *bench, const char *module)
{
    const struct vireo_driver *driver = watched(bench_load(module));
    vireo_core *core = vireo_host_core(bench->host, driver->name);
    g_autoptr(GPtrArray) remarks = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;

    if (!vireo_core_start(core, driver, &error))
        g_error("%s", error->message);
    vireo_router_add(bench->router, driver->name, driver->schemes, driver->threads, core, row_of, NULL,
                     vireo_op_table_new(driver, remarks));
    return bench_open(bench, "test:///default", FALSE);
}

static void measure(VireoConn *conn, guint32 id, guint count)
{
    const VireoOp *op = vireo_op_by_id(id);
    double alone[ROUNDS], together[ROUNDS], cpu[ROUNDS], one_by_one[ROUNDS];
    double base;

    for (guint i = 0; i < ROUNDS; i++) {
        double begin = now_us(CLOCK_PROCESS_CPUTIME_ID), wall;

        direct(conn, handle, op, count);
        alone[i] = (now_us(CLOCK_PROCESS_CPUTIME_ID) - begin) / count;
        begin = now_us(CLOCK_PROCESS_CPUTIME_ID);
        wall = now_us(CLOCK_MONOTONIC);
        routed(conn, op, count, 100);
        cpu[i] = (now_us(CLOCK_PROCESS_CPUTIME_ID) - begin) / count;
        together[i] = (now_us(CLOCK_MONOTONIC) - wall) / count;
        wall = now_us(CLOCK_MONOTONIC);
        routed(conn, op, count / 10, 1);
        one_by_one[i] = (now_us(CLOCK_MONOTONIC) - wall) / (count / 10);
    }
    base = median(alone, ROUNDS);
    printf("%s-direct us %.3f\n", op->name, base);
    printf("%s-added-cpu us %.3f\n", op->name, median(cpu, ROUNDS) - base);
    printf("%s-added-100-at-once us %.3f\n", op->name, median(together, ROUNDS) - base);
    printf("%s-added-one-by-one us %.3f\n", op->name, median(one_by_one, ROUNDS) - base);
}

static int calls(const char *module, guint count)
{
    Bench *bench = bench_new();
    VireoConn *conn = open_conn(bench, module);

    measure(conn, VIREO_OP_connect_get_version, count);
    measure(conn, VIREO_OP_domain_get_hostname, count);
    vireo_conn_unref(conn);
    bench_free(bench);
    return 0;
}

static int run(gboolean through, const char *module, const char *name, guint count)
{
    Bench *bench = bench_new();
    const VireoOp *op = vireo_op_by_name(name);
    VireoConn *conn = open_conn(bench, module);

    if (through)
        routed(conn, op, count, 100);
    else
        direct(conn, handle, op, count);
    vireo_conn_unref(conn);
    bench_free(bench);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "notes") == 0)
        return notes(argv[2]);
    if (argc >= 3 && strcmp(argv[1], "calls") == 0)
        return calls(argv[2], argc > 3 ? (guint)atoi(argv[3]) : 10000);
    if (argc == 5 && (strcmp(argv[1], "routed") == 0 || strcmp(argv[1], "direct") == 0))
        return run(argv[1][0] == 'r', argv[2], argv[3], (guint)atoi(argv[4]));
    fprintf(stderr, "usage: core notes DIRECTORY | core calls TEST.so [COUNT] | "
                    "core routed|direct TEST.so OP COUNT\n");
    return 2;
}
