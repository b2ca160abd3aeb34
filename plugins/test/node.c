/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The simulated host: connections to it and what it is made of. */
#include "ops.h"

#include <string.h>

TestNode *test_node_new(const char *space_name, gboolean shared)
{
    TestNode *node = g_new0(TestNode, 1);

    node->refs = 1;
    g_mutex_init(&node->lock);
    node->space_name = g_strdup(space_name);
    node->space = test->host->space(test->core, space_name);
    node->shared = shared;
    node->by_uuid = g_hash_table_new_full(test_uuid_hash, test_uuid_equal, NULL,
                                          (GDestroyNotify)test_domain_free);
    node->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    node->images =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    node->next_id = 1;
    node->info = (TestNodeInfo){"i686", 3145728, 16, 1400, 2, 2, 2, 2};
    return node;
}

TestNode *test_node_ref(TestNode *node)
{
    g_atomic_int_inc(&node->refs);
    return node;
}

void test_node_unref(TestNode *node)
{
    if (!g_atomic_int_dec_and_test(&node->refs))
        return;
    g_hash_table_unref(node->by_name);
    g_hash_table_unref(node->by_uuid);
    g_hash_table_unref(node->images);
    g_mutex_clear(&node->lock);
    g_free(node->space_name);
    g_free(node);
}

static void node_empty(TestNode *node)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&node->lock);
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, node->by_uuid);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        TestDomain *dom = value;

        if (!node->shared)
            test->host->withdraw(node->space, VIREO_CLASS_DOMAIN, dom->name, dom->uuid);
    }
    g_hash_table_remove_all(node->by_name);
    g_hash_table_remove_all(node->by_uuid);
}

void test_node_free(TestNode *node)
{
    if (!node)
        return;
    node_empty(node);
    test_node_unref(node);
}

/* ---- connections ------------------------------------------------------------------------------
 */

/* Spaces are never freed, so the names of private ones are used again. */
static char *private_name(const char *path)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&test->lock);

    for (guint i = 1;; i++) {
        g_autofree char *name = g_strdup_printf("test://%s#%u", path, i);

        if (g_hash_table_add(test->private, g_strdup(name)))
            return g_steal_pointer(&name);
    }
}

static void private_release(const char *name)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&test->lock);

    g_hash_table_remove(test->private, name);
}

static char *path_of(const char *uri, GError **error)
{
    g_autoptr(GUri) parsed = g_uri_parse(uri, G_URI_FLAGS_NONE, NULL);
    const char *path = parsed ? g_uri_get_path(parsed) : NULL;

    if (!path || path[0] != '/' || !path[1] ||
        (g_uri_get_host(parsed) && *g_uri_get_host(parsed))) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG,
                    "'%s': expected " TEST_DEFAULT_URI " or test:///path/to/node.xml", uri);
        return NULL;
    }
    return g_strdup(path);
}

static TestNode *private_node(const char *path, GError **error)
{
    g_autofree char *name = private_name(path);
    TestNode *node = test_node_new(name, FALSE);

    if (test_node_load_file(node, path, error))
        return node;
    test_node_free(node);
    private_release(name);
    return NULL;
}

int test_conn_open(void *self, vireo_call *call, const vireo_conn_open_args *args,
                   vireo_conn_open_ret *ret)
{
    TestDriver *driver = self;
    GError *error = NULL;
    g_autofree char *path = path_of(args->uri, &error);
    g_autoptr(TestRules) rules = path ? test_rules_from_uri(args->uri, &error) : NULL;
    TestConn *conn;
    TestNode *node;

    if (error)
        return test_fail_error(call, error);
    if (test_obey(rules, "conn_open", call) != VIREO_OK)
        return VIREO_FAIL;
    node = strcmp(path, "/default") == 0 ? driver->shared : private_node(path, &error);
    if (!node)
        return test_fail_error(call, error);
    conn = g_new0(TestConn, 1);
    conn->node = node;
    conn->rules = g_steal_pointer(&rules);
    conn->mine = g_hash_table_new_full(test_uuid_hash, test_uuid_equal, g_free, NULL);
    ret->conn = conn;
    ret->space = node->space;
    return VIREO_OK;
}

static void end_mine(TestConn *conn)
{
    TEST_LOCK(conn);
    GHashTableIter iter;
    gpointer uuid;

    g_hash_table_iter_init(&iter, conn->mine);
    while (g_hash_table_iter_next(&iter, &uuid, NULL)) {
        TestDomain *dom = g_hash_table_lookup(node->by_uuid, uuid);

        if (dom && test_domain_active(dom))
            test_domain_stop(dom, VIREO_DOMAIN_SHUTOFF_DESTROYED);
    }
}

int test_conn_close(TestConn *conn, vireo_call *call)
{
    TestNode *node = conn->node;

    (void)call;
    end_mine(conn);
    g_hash_table_unref(conn->mine);
    test_rules_free(conn->rules);
    g_free(conn);
    if (!node->shared) {
        g_autofree char *name = g_strdup(node->space_name);

        test_node_free(node);
        private_release(name);
    }
    return VIREO_OK;
}

/* ---- facts ------------------------------------------------------------------------------------
 */

int test_connect_get_type(TestConn *conn, vireo_call *call, vireo_connect_get_type_ret *ret)
{
    (void)conn;
    ret->type = DUP(call, "Test");
    return VIREO_OK;
}

int test_connect_get_version(TestConn *conn, vireo_call *call, vireo_connect_get_version_ret *ret)
{
    (void)conn;
    (void)call;
    ret->hv_ver = 2;
    return VIREO_OK;
}

int test_connect_get_max_vcpus(TestConn *conn, vireo_call *call,
                               const vireo_connect_get_max_vcpus_args *args,
                               vireo_connect_get_max_vcpus_ret *ret)
{
    (void)conn;
    if (args->type && g_ascii_strcasecmp(args->type, "test") != 0)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "unknown domain type '%s'", args->type);
    ret->max_vcpus = 32;
    return VIREO_OK;
}

int test_node_get_info(TestConn *conn, vireo_call *call, vireo_node_get_info_ret *ret)
{
    const TestNodeInfo *info = &conn->node->info;

    (void)call;
    memcpy(ret->model, info->model, sizeof ret->model);
    ret->memory = info->memory;
    ret->cpus = info->cpus;
    ret->mhz = info->mhz;
    ret->nodes = info->nodes;
    ret->sockets = info->sockets;
    ret->cores = info->cores;
    ret->threads = info->threads;
    return VIREO_OK;
}

static guint64 free_kib(TestConn *conn)
{
    TEST_LOCK(conn);
    GHashTableIter iter;
    gpointer value;
    guint64 used = 0;

    g_hash_table_iter_init(&iter, node->by_uuid);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const TestDomain *dom = value;

        used += test_domain_active(dom) ? dom->memory : 0;
    }
    return node->info.memory - MIN(used, node->info.memory);
}

int test_node_get_free_memory(TestConn *conn, vireo_call *call, vireo_node_get_free_memory_ret *ret)
{
    (void)call;
    ret->freeMem = free_kib(conn) * 1024;
    return VIREO_OK;
}

static int check_cells(TestConn *conn, vireo_call *call, int start)
{
    if (start >= 0 && start < conn->node->info.nodes)
        return VIREO_OK;
    return FAIL(call, VIREO_ERR_INVALID_ARG, "no NUMA cell %d: there are %d", start,
                conn->node->info.nodes);
}

int test_node_get_cells_free_memory(TestConn *conn, vireo_call *call,
                                    const vireo_node_get_cells_free_memory_args *args,
                                    vireo_node_get_cells_free_memory_ret *ret)
{
    int nodes = conn->node->info.nodes;
    guint64 each = free_kib(conn) * 1024 / (guint64)nodes;

    if (check_cells(conn, call, args->startCell) != VIREO_OK)
        return VIREO_FAIL;
    ret->cells.len = (guint)CLAMP(args->maxcells, 0, nodes - args->startCell);
    ret->cells.val = NEW(call, uint64_t, ret->cells.len + 1);
    for (guint i = 0; i < ret->cells.len; i++)
        ret->cells.val[i] = each;
    return VIREO_OK;
}

int test_node_get_cpu_stats(TestConn *conn, vireo_call *call,
                            const vireo_node_get_cpu_stats_args *args,
                            vireo_node_get_cpu_stats_ret *ret)
{
    static const struct {
        const char *name;
        guint64 seconds;
    } facts[] = {
        {"kernel", 1000},
        {"user", 4000},
        {"idle", 90000},
        {"iowait", 500},
    };
    int cpus = conn->node->info.cpus;
    guint64 scale = args->cpuNum == -1 ? (guint64)cpus : 1;

    if (args->cpuNum < -1 || args->cpuNum >= cpus)
        return FAIL(call, VIREO_ERR_INVALID_ARG, "no CPU %d: there are %d", args->cpuNum, cpus);
    ret->nparams = G_N_ELEMENTS(facts);
    ret->params.len = (guint)CLAMP(args->nparams, 0, ret->nparams);
    ret->params.val = NEW(call, vireo_node_get_cpu_stats, ret->params.len + 1);
    for (guint i = 0; i < ret->params.len; i++) {
        ret->params.val[i].field = DUP(call, facts[i].name);
        ret->params.val[i].value = facts[i].seconds * scale * G_GUINT64_CONSTANT(1000000000);
    }
    return VIREO_OK;
}

int test_node_get_memory_stats(TestConn *conn, vireo_call *call,
                               const vireo_node_get_memory_stats_args *args,
                               vireo_node_get_memory_stats_ret *ret)
{
    guint64 share = args->cellNum == -1 ? 1 : (guint64)conn->node->info.nodes;
    const struct {
        const char *name;
        guint64 kib;
    } facts[] = {
        {"total", conn->node->info.memory / share},
        {"free", free_kib(conn) / share},
        {"buffers", 0},
        {"cached", 0},
    };

    if (args->cellNum != -1 && check_cells(conn, call, args->cellNum) != VIREO_OK)
        return VIREO_FAIL;
    ret->nparams = G_N_ELEMENTS(facts);
    ret->params.len = (guint)CLAMP(args->nparams, 0, ret->nparams);
    ret->params.val = NEW(call, vireo_node_get_memory_stats, ret->params.len + 1);
    for (guint i = 0; i < ret->params.len; i++) {
        ret->params.val[i].field = DUP(call, facts[i].name);
        ret->params.val[i].value = facts[i].kib;
    }
    return VIREO_OK;
}

int test_node_get_cpu_map(TestConn *conn, vireo_call *call, const vireo_node_get_cpu_map_args *args,
                          vireo_node_get_cpu_map_ret *ret)
{
    int cpus = conn->node->info.cpus;

    ret->ret = cpus;
    ret->online = args->need_online ? (guint)cpus : 0;
    if (!args->need_map)
        return VIREO_OK;
    ret->cpumap.len = (guint)(cpus + 7) / 8;
    ret->cpumap.val = NEW(call, uint8_t, ret->cpumap.len);
    for (int i = 0; i < cpus; i++)
        ret->cpumap.val[i / 8] |= (uint8_t)(1u << (i % 8));
    return VIREO_OK;
}

int test_node_get_free_pages(TestConn *conn, vireo_call *call,
                             const vireo_node_get_free_pages_args *args,
                             vireo_node_get_free_pages_ret *ret)
{
    guint64 each = free_kib(conn) / (guint64)conn->node->info.nodes;
    guint cells;

    if (check_cells(conn, call, args->startCell) != VIREO_OK)
        return VIREO_FAIL;
    cells = MIN(args->cellCount, (guint)(conn->node->info.nodes - args->startCell));
    ret->counts.val = NEW(call, uint64_t, (gsize)cells * args->pages.len + 1);
    for (guint cell = 0; cell < cells; cell++)
        for (guint i = 0; i < args->pages.len; i++) {
            guint size = args->pages.val[i];

            if (size != 4 && size != 2048)
                return FAIL(call, VIREO_ERR_INVALID_ARG, "there are no pages of %u KiB", size);
            ret->counts.val[ret->counts.len++] = size == 4 ? each / size : 0;
        }
    return VIREO_OK;
}
