/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "router/session.h"

#include <string.h>

#include "ops/codec.h"
#include "router/error.h"
#include "router/session-private.h"
#include "util/error.h"

static gint calls_running;

/* One call between its packet and its reply; lives in the call's arena. */
typedef struct {
    VireoSession *session;
    VireoRpcRequest *request;
} Exchange;

VireoSession *vireo_session_ref(VireoSession *session)
{
    g_atomic_int_inc(&session->refs);
    return session;
}

void vireo_session_unref(VireoSession *session)
{
    if (!g_atomic_int_dec_and_test(&session->refs))
        return;
    g_hash_table_unref(session->calls);
    g_hash_table_unref(session->callbacks);
    g_mutex_clear(&session->lock);
    vireo_rpc_client_unref(session->client);
    vireo_identity_unref(session->identity);
    g_free(session);
}

VireoConn *vireo_session_conn(VireoSession *session)
{
    VireoConn *conn;

    g_mutex_lock(&session->lock);
    conn = session->conn ? vireo_conn_ref(session->conn) : NULL;
    g_mutex_unlock(&session->lock);
    return conn;
}

VireoEventHub *vireo_session_hub(VireoSession *session)
{
    return vireo_host_events(vireo_router_host(session->config->router));
}

guint vireo_session_calls_running(void)
{
    return (guint)g_atomic_int_get(&calls_running);
}

static const char *identity_of(gconstpointer opaque, const char *what)
{
    return vireo_identity_get(((const VireoSession *)opaque)->identity, what);
}

static void note_identity(VireoSession *session)
{
    pid_t pid;
    uid_t uid;
    gid_t gid;

    if (vireo_rpc_client_peer(session->client, &pid, &uid, &gid, NULL))
        session->identity = vireo_identity_new_unix(pid, uid, gid, session->readonly);
}

gboolean vireo_session_is_readonly(VireoSession *session)
{
    return session->readonly;
}

VireoIdentity *vireo_session_identity(VireoSession *session)
{
    return session->identity;
}

static void opened(VireoRpcClient *client, gpointer opaque)
{
    VireoSession *session = g_new0(VireoSession, 1);

    session->refs = 1;
    session->config = opaque;
    session->client = vireo_rpc_client_ref(client);
    session->readonly = vireo_rpc_client_kind(client) == VIREO_RPC_SOCKET_RO;
    g_mutex_init(&session->lock);
    session->calls = g_hash_table_new(g_direct_hash, g_direct_equal);
    session->callbacks = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    note_identity(session);
    vireo_rpc_client_set_data(client, session);
    vireo_rpc_client_set_authenticated(client);
}

static void closed(VireoRpcClient *client, gpointer opaque)
{
    VireoSession *session = vireo_rpc_client_data(client);
    VireoConn *conn;
    GHashTableIter iter;
    gpointer call;

    g_mutex_lock(&session->lock);
    session->gone = TRUE;
    conn = g_steal_pointer(&session->conn);
    g_hash_table_iter_init(&iter, session->calls);
    while (g_hash_table_iter_next(&iter, &call, NULL))
        vireo_call_cancel(call);
    g_mutex_unlock(&session->lock);
    vireo_session_drop_events(session);
    vireo_conn_unref(conn);
    vireo_rpc_client_set_data(client, NULL);
    vireo_session_unref(session);
}

/* ---- refusals before a call exists ---- */

static void refuse(VireoRpcClient *client, const VireoRpcHeader *header, gint code, const char *message)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    vireo_error wire;

    vireo_error_fill(&wire, arena, code, VIREO_FROM_RPC, message);
    vireo_rpc_reply_error(client, header, &wire);
}

static const VireoOp *find_op(VireoRpcClient *client, const VireoRpcHeader *header)
{
    gboolean admin = vireo_rpc_client_kind(client) == VIREO_RPC_SOCKET_ADMIN;
    g_autofree char *text = NULL;
    VireoProgram program;
    const VireoOp *op;

    if (!vireo_program_find(header->program, header->version, &program) || program == VIREO_PROGRAM_KEEPALIVE ||
        (program == VIREO_PROGRAM_ADMIN) != admin) {
        text = g_strdup_printf("Cannot find program %u version %u", header->program, header->version);
        refuse(client, header, VIREO_ERR_RPC, text);
        return NULL;
    }
    op = vireo_op_by_proc(program, header->proc);
    if (op && op->kind == VIREO_OP_CALL)
        return op;
    text = g_strdup_printf("unknown procedure: %d", header->proc);
    refuse(client, header, VIREO_ERR_RPC, text);
    return NULL;
}

/* ---- the reply ---- */

static void reply_failure(Exchange *exchange, vireo_call *call)
{
    gint domain = vireo_error_domain(call->driver);
    vireo_error wire;

    if (call->error_code == VIREO_ERR_RPC)
        domain = VIREO_FROM_RPC;
    else if (call->error_code == VIREO_ERR_OPERATION_DENIED)
        domain = VIREO_FROM_DOMAIN;
    else if (strcmp(call->driver, "none") == 0 && call->error_code == VIREO_ERR_INTERNAL_ERROR)
        domain = VIREO_FROM_RPC;
    vireo_error_fill(&wire, call->arena, call->error_code ? call->error_code : VIREO_ERR_INTERNAL_ERROR, domain,
                     call->error_message ? call->error_message : "no reason was given");
    vireo_rpc_reply_error(exchange->session->client, &exchange->request->header, &wire);
}

static void reply_success(Exchange *exchange, vireo_call *call)
{
    VireoRpcClient *client = exchange->session->client;
    const int *fds = call->reply_fds ? (const int *)call->reply_fds->data : NULL;

    vireo_rpc_reply(client, &exchange->request->header, call->op, call->ret, fds,
                    call->reply_fds ? call->reply_fds->len : 0);
    if (call->stream_fd != -1)
        vireo_rpc_stream_start(client, &exchange->request->header, call->stream_fd, call->stream_how,
                               call->stream_offset, call->stream_length, NULL, NULL);
    call->stream_fd = -1;
}

static void finished(vireo_call *call, int status, gpointer opaque)
{
    Exchange *exchange = opaque;
    VireoSession *session = exchange->session;

    if (status == VIREO_OK && call->op->stream != VIREO_STREAM_NONE && call->stream_fd == -1)
        status = vireo_call_fail(call, VIREO_ERR_INTERNAL_ERROR, "driver '%s': %s gave no stream", call->driver,
                                 call->op->name);
    if (status == VIREO_OK)
        reply_success(exchange, call);
    else
        reply_failure(exchange, call);
    vireo_rpc_request_release(session->client, exchange->request);
    g_mutex_lock(&session->lock);
    g_hash_table_remove(session->calls, call);
    g_mutex_unlock(&session->lock);
    g_atomic_int_add(&calls_running, -1);
    vireo_call_unref(call);
    vireo_session_unref(session);
}

/* ---- the call ---- */

static vireo_call *begin(VireoSession *session, const VireoOp *op, VireoRpcRequest *request, VireoArena *arena,
                         gpointer args)
{
    vireo_call *call = vireo_call_new(op, arena, args);
    Exchange *exchange = vireo_arena_alloc(arena, sizeof *exchange);

    exchange->session = vireo_session_ref(session);
    exchange->request = request;
    call->identity_get = identity_of;
    call->identity = session;
    call->fds = request->fds;
    call->n_fds = request->n_fds;
    call->done = finished;
    call->opaque = exchange;
    g_atomic_int_inc(&calls_running);
    g_mutex_lock(&session->lock);
    g_hash_table_add(session->calls, call);
    g_mutex_unlock(&session->lock);
    return call;
}

static gboolean is_served_here(VireoSession *session, VireoConn *conn, const VireoOp *op)
{
    if (!op->serve || (conn && vireo_backend_row(vireo_conn_backend(conn), op->id)))
        return FALSE;
    return strcmp(op->serve, "connection") == 0;
}

static gboolean is_served_by(const VireoOp *op, const char *part)
{
    return op->serve && strcmp(op->serve, part) == 0;
}

static void ask(VireoSession *session, vireo_call *call, VireoDaemonCall answer, gpointer opaque)
{
    vireo_call_finish(call, answer ? answer(session->client, call, opaque)
                                   : vireo_call_fail(call, VIREO_ERR_NO_SUPPORT, "%s", call->op->name));
}

static void ask_daemon(gpointer opaque)
{
    vireo_call *call = opaque;
    VireoSession *session = ((Exchange *)call->opaque)->session;

    ask(session, call, session->config->daemon_call, session->config->daemon_opaque);
}

static void carry_out(VireoSession *session, vireo_call *call)
{
    VireoConn *conn = vireo_session_conn(session);
    int status;

    if (is_served_by(call->op, "admin")) {
        ask(session, call, session->config->admin_call, session->config->admin_opaque);
    } else if (is_served_by(call->op, "daemon")) {
        vireo_workers_push(vireo_host_workers(vireo_router_host(session->config->router)), TRUE, ask_daemon, call);
    } else if (is_served_here(session, conn, call->op)) {
        status = vireo_session_serve(session, call);
        if (status != VIREO_PENDING)
            vireo_call_finish(call, status);
    } else if (!conn) {
        vireo_call_fail(call, VIREO_ERR_INTERNAL_ERROR, "connection not open");
        call->driver = "none";
        vireo_call_finish(call, VIREO_FAIL);
    } else {
        vireo_router_call(conn, vireo_call_ref(call));
    }
    vireo_conn_unref(conn);
}

static void on_call(VireoRpcClient *client, VireoRpcRequest *request, gpointer opaque)
{
    VireoSession *session = vireo_rpc_client_data(client);
    const VireoOp *op = find_op(client, &request->header);
    VireoArena *arena;
    g_autoptr(GError) error = NULL;
    gpointer args;

    if (!op) {
        vireo_rpc_request_release(client, request);
        return;
    }
    arena = vireo_arena_new();
    args = op->args ? vireo_arena_alloc(arena, op->args->size) : NULL;
    if (!vireo_wire_decode(op->args, request->payload, request->size, arena, args, NULL, &error)) {
        refuse(client, &request->header, VIREO_ERR_RPC, error->message);
        vireo_rpc_request_release(client, request);
        vireo_arena_free(arena);
        return;
    }
    carry_out(session, begin(session, op, request, arena, args));
}

const VireoRpcHandler vireo_session_handler = { .opened = opened, .call = on_call, .closed = closed };
