/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "router/router.h"

#include <string.h>

#include "router/private.h"
#include "util/error.h"

struct VireoRouter {
    VireoHost *host;
    VireoStrands *strands;
    GRWLock lock;
    GHashTable *by_scheme; /* char * -> VireoBackend * */
    GPtrArray *backends;
    guint deadlines[VIREO_LANE_CONTROL + 1]; /* seconds */
    VireoRouterFind find;
    gpointer find_opaque;
};

static void backend_free(gpointer data)
{
    VireoBackend *backend = data;

    vireo_strand_unref(backend->strand);
    g_free(backend);
}

VireoRouter *vireo_router_new(VireoHost *host)
{
    VireoRouter *router = g_new0(VireoRouter, 1);

    router->host = host;
    router->strands = vireo_strands_new(vireo_host_workers(host));
    g_rw_lock_init(&router->lock);
    router->by_scheme = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    router->backends = g_ptr_array_new_with_free_func(backend_free);
    return router;
}

void vireo_router_free(VireoRouter *router)
{
    if (!router)
        return;
    g_hash_table_unref(router->by_scheme);
    g_ptr_array_unref(router->backends);
    vireo_strands_free(router->strands);
    g_rw_lock_clear(&router->lock);
    g_free(router);
}

VireoHost *vireo_router_host(VireoRouter *router)
{
    return router->host;
}

VireoStrands *vireo_router_strands(VireoRouter *router)
{
    return router->strands;
}

static VireoBackend *backend_new(VireoRouter *router, const char *name, guint threads, VireoBackendRow row,
                                 VireoBackendTrouble trouble, gconstpointer table)
{
    VireoBackend *backend = g_new0(VireoBackend, 1);

    backend->router = router;
    backend->offer = vireo_offer_of(name, row, table);
    backend->threads = threads;
    backend->trouble = trouble;
    if (threads == VIREO_SERIAL)
        backend->strand = vireo_strand_new(vireo_host_workers(router->host));
    return backend;
}

static VireoBackend *enter(VireoRouter *router, VireoBackend *backend, const char *schemes)
{
    g_auto(GStrv) each = g_strsplit(schemes, " ", -1);

    g_rw_lock_writer_lock(&router->lock);
    g_ptr_array_add(router->backends, backend);
    for (char **scheme = each; *scheme; scheme++)
        if (**scheme)
            g_hash_table_insert(router->by_scheme, g_strdup(*scheme), backend);
    g_rw_lock_writer_unlock(&router->lock);
    return backend;
}

VireoBackend *vireo_router_add(VireoRouter *router, const char *name, const char *schemes, guint threads,
                               vireo_core *core, VireoBackendRow row, VireoBackendTrouble trouble,
                               gconstpointer table)
{
    VireoBackend *backend = backend_new(router, name, threads, row, trouble, table);

    backend->core = core;
    return enter(router, backend, schemes);
}

VireoBackend *vireo_router_add_far(VireoRouter *router, const char *name, const char *schemes, guint threads,
                                   VireoBackendRow row, VireoBackendTrouble trouble, gconstpointer table,
                                   VireoBackendCall call, void *self)
{
    VireoBackend *backend = backend_new(router, name, threads, row, trouble, table);

    backend->call = call;
    backend->self = self;
    return enter(router, backend, schemes);
}

int vireo_backend_ask(const VireoBackend *backend, const struct vireo_op *row, void *handle, vireo_call *call)
{
    if (backend->call)
        return backend->call(handle, call);
    return vireo_dispatch(row->id, row->fn, handle, call, call->args, call->ret);
}

void vireo_router_set_deadlines(VireoRouter *router, guint query, guint modify)
{
    router->deadlines[VIREO_LANE_QUERY] = query;
    router->deadlines[VIREO_LANE_MODIFY] = modify;
}

gint64 vireo_router_deadline(VireoRouter *router, VireoLane lane)
{
    guint seconds = router->deadlines[lane];

    return seconds ? g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC : 0;
}

void vireo_router_set_finder(VireoRouter *router, VireoRouterFind find, gpointer opaque)
{
    router->find = find;
    router->find_opaque = opaque;
}

VireoBackend *vireo_router_backend(VireoRouter *router, const char *scheme)
{
    VireoBackend *backend;

    g_rw_lock_reader_lock(&router->lock);
    backend = g_hash_table_lookup(router->by_scheme, scheme);
    g_rw_lock_reader_unlock(&router->lock);
    return backend;
}

const char *vireo_backend_name(const VireoBackend *backend)
{
    return backend->offer.driver;
}

const struct vireo_op *vireo_backend_row(const VireoBackend *backend, guint32 op_id)
{
    return backend->offer.row(backend->offer.table, op_id);
}

gboolean vireo_backend_has_class(const VireoBackend *backend, guint klass)
{
    return (backend->offer.classes >> klass) & 1;
}

/* "qemu" of "qemu+unix://..."; transports are the client's business. */
static char *scheme_of(const char *uri)
{
    const char *end = strstr(uri, ":");
    g_autofree char *scheme = end ? g_strndup(uri, (gsize)(end - uri)) : NULL;
    char *plus = scheme ? strchr(scheme, '+') : NULL;

    if (plus)
        *plus = 0;
    return g_steal_pointer(&scheme);
}

static VireoBackend *find_backend(VireoRouter *router, char **uri, GError **error)
{
    g_autofree char *scheme = NULL;
    g_autofree char *found = NULL;
    VireoBackend *backend;

    if (!*uri && router->find)
        *uri = router->find(router, NULL, router->find_opaque, error);
    if (!*uri) {
        if (error && !*error)
            g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT, "no driver is there to connect to");
        return NULL;
    }
    scheme = scheme_of(*uri);
    if (!scheme || !*scheme) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT, "'%s' is not a URI: it has no scheme", *uri);
        return NULL;
    }
    backend = vireo_router_backend(router, scheme);
    if (!backend && router->find) {
        found = router->find(router, scheme, router->find_opaque, error);
        backend = found ? vireo_router_backend(router, scheme) : NULL;
    }
    if (!backend && error && !*error)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT, "no driver for the scheme '%s' of %s", scheme, *uri);
    return backend;
}

typedef struct {
    GMutex lock;
    GCond ended;
    gboolean done;
    int status;
} Wait;

static void wake_up(vireo_call *call, int status, gpointer opaque)
{
    Wait *wait = opaque;

    g_mutex_lock(&wait->lock);
    wait->done = TRUE;
    wait->status = status;
    g_cond_signal(&wait->ended);
    g_mutex_unlock(&wait->lock);
}

static int call_and_wait(VireoBackend *backend, const struct vireo_op *row, void *handle, vireo_call *call)
{
    Wait wait = { 0 };
    int status;

    g_mutex_init(&wait.lock);
    g_cond_init(&wait.ended);
    call->done = wake_up;
    call->opaque = &wait;
    status = vireo_backend_ask(backend, row, handle, call);
    if (status == VIREO_PENDING) {
        g_mutex_lock(&wait.lock);
        while (!wait.done)
            g_cond_wait(&wait.ended, &wait.lock);
        g_mutex_unlock(&wait.lock);
        status = wait.status;
    }
    g_cond_clear(&wait.ended);
    g_mutex_clear(&wait.lock);
    return status;
}

/* A call between core and driver that no client made. */
static vireo_call *own_call(VireoBackend *backend, guint32 op_id, gpointer args, const VireoConnCaller *caller)
{
    vireo_call *call = vireo_call_new(vireo_op_by_id(op_id), vireo_arena_new(), args);

    call->driver = backend->offer.driver;
    if (caller) {
        call->identity_get = caller->identity_get;
        call->identity = caller->identity;
    }
    return call;
}

static gboolean take_error(const vireo_call *call, const char *otherwise, GError **error)
{
    g_set_error(error, VIREO_ERROR, call->error_code ? call->error_code : VIREO_ERR_INTERNAL_ERROR, "%s",
                call->error_message ? call->error_message : otherwise);
    return FALSE;
}

/* What the connection can not do although its driver's table says so. */
static gboolean narrow(VireoConn *conn, const VireoConnCaller *caller, GError **error)
{
    const struct vireo_op *row = vireo_backend_row(conn->backend, VIREO_OP_conn_narrow);
    vireo_call *call;
    gboolean good = TRUE;

    if (!row)
        return TRUE;
    call = own_call(conn->backend, VIREO_OP_conn_narrow, NULL, caller);
    if (call_and_wait(conn->backend, row, conn->handle, call) == VIREO_OK)
        conn->narrowing = vireo_narrowing_new(&conn->offer, call->ret);
    else
        good = take_error(call, "the driver did not say what the connection can do, and gave no reason", error);
    conn->offer.narrowing = conn->narrowing;
    vireo_call_unref(call);
    return good;
}

static VireoConn *conn_new(VireoBackend *backend, const char *uri, gboolean readonly, const vireo_conn_open_ret *opened)
{
    VireoConn *conn = g_new0(VireoConn, 1);

    conn->refs = 1;
    conn->router = backend->router;
    conn->backend = backend;
    conn->offer = backend->offer;
    conn->offer.keeps_to_itself = !opened->space;
    conn->handle = opened->conn;
    conn->space = opened->space;
    conn->uri = g_strdup(opened->uri ? opened->uri : uri);
    conn->readonly = readonly;
    if (backend->threads == VIREO_PER_CONN)
        conn->strand = vireo_strand_new(vireo_host_workers(backend->router->host));
    return conn;
}

static VireoConn *open_on(VireoBackend *backend, const char *uri, const VireoConnCaller *caller, GError **error)
{
    const struct vireo_op *row = vireo_backend_row(backend, VIREO_OP_conn_open);
    vireo_conn_open_args args = { .uri = (char *)uri, .readonly = caller->readonly };
    vireo_call *call = own_call(backend, VIREO_OP_conn_open, &args, caller);
    VireoConn *conn = NULL;

    if (row && call_and_wait(backend, row, backend->call ? backend->self : vireo_core_self(backend->core), call) ==
                   VIREO_OK)
        conn = conn_new(backend, uri, caller->readonly, call->ret);
    else
        take_error(call, "the driver refused the connection and gave no reason", error);
    vireo_call_unref(call);
    if (conn && !narrow(conn, caller, error))
        g_clear_pointer(&conn, vireo_conn_unref);
    return conn;
}

static char *trouble_of(const VireoBackend *backend)
{
    return backend->trouble ? backend->trouble(backend->offer.table) : NULL;
}

/* What is still wrong when whoever finds drivers has been asked for this one. */
static char *trouble_after_help(VireoRouter *router, const VireoBackend *backend, const char *uri)
{
    g_autofree char *trouble = trouble_of(backend);
    g_autofree char *scheme = trouble ? scheme_of(uri) : NULL;
    g_autofree char *found = scheme && router->find ? router->find(router, scheme, router->find_opaque, NULL) : NULL;

    return found ? trouble_of(backend) : g_steal_pointer(&trouble);
}

VireoConn *vireo_conn_open(VireoRouter *router, const char *uri, const VireoConnCaller *caller, GError **error)
{
    g_autofree char *wanted = uri && *uri ? g_strdup(uri) : NULL;
    VireoBackend *backend = find_backend(router, &wanted, error);

    /* A driver whose daemon has ended because nobody needed it comes back, also when it ends just now. */
    for (guint tries = 0; backend && tries < 2; tries++) {
        g_autofree char *trouble = trouble_after_help(router, backend, wanted);
        g_autofree char *later = NULL;
        VireoConn *conn;

        if (trouble && error && !*error)
            g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT, "driver '%s': %s", backend->offer.driver, trouble);
        if (trouble)
            return NULL;
        g_clear_error(error);
        conn = open_on(backend, wanted, caller, error);
        later = conn ? NULL : trouble_of(backend);
        if (!later)
            return conn;
    }
    return NULL;
}

VireoConn *vireo_conn_ref(VireoConn *conn)
{
    g_atomic_int_inc(&conn->refs);
    return conn;
}

static void close_conn(gpointer opaque)
{
    VireoConn *conn = opaque;
    const struct vireo_op *row = vireo_backend_row(conn->backend, VIREO_OP_conn_close);

    if (row) {
        vireo_call *call = own_call(conn->backend, VIREO_OP_conn_close, NULL, NULL);

        call_and_wait(conn->backend, row, conn->handle, call);
        vireo_call_unref(call);
    }
    vireo_strand_unref(conn->strand);
    vireo_narrowing_free(conn->narrowing);
    g_free(conn->uri);
    g_free(conn);
}

void vireo_conn_unref(VireoConn *conn)
{
    if (conn && g_atomic_int_dec_and_test(&conn->refs))
        vireo_workers_push(vireo_host_workers(vireo_router_host(conn->router)), TRUE, close_conn, conn);
}

const char *vireo_conn_uri(const VireoConn *conn)
{
    return conn->uri;
}

VireoBackend *vireo_conn_backend(const VireoConn *conn)
{
    return conn->backend;
}

vireo_space *vireo_conn_space(const VireoConn *conn)
{
    return conn->space;
}

VireoRouter *vireo_conn_router(const VireoConn *conn)
{
    return conn->router;
}

gboolean vireo_conn_is_readonly(const VireoConn *conn)
{
    return conn->readonly;
}

const VireoOffer *vireo_conn_offer(const VireoConn *conn)
{
    return &conn->offer;
}

char *vireo_conn_trouble(const VireoConn *conn)
{
    return conn->backend->trouble ? conn->backend->trouble(conn->offer.table) : NULL;
}
