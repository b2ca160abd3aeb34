/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls about the connection itself. */
#include <string.h>
#include <unistd.h>

#include "router/session-private.h"

/* The API level whose clients are served in full: what a client asks to know which calls exist. */
#define API_VERSION 11003000

enum {
    FEATURE_MIGRATION_V1 = 1,
    FEATURE_FD_PASSING = 8,
    FEATURE_STRING_PARAMS = 9,
    FEATURE_KEEPALIVE = 10,
    FEATURE_MIGRATION_OFFLINE = 12,
    FEATURE_EVENT_CALLBACKS = 14,
    FEATURE_CLOSE_CALLBACK = 15,
    FEATURE_NETWORK_UPDATE_ORDER = 16,
};

typedef struct {
    VireoSession *session;
    vireo_call *call;
} Opening;

static void keep_conn(VireoSession *session, VireoConn *conn)
{
    g_mutex_lock(&session->lock);
    session->opening = FALSE;
    if (!session->gone)
        session->conn = g_steal_pointer(&conn);
    g_mutex_unlock(&session->lock);
    vireo_conn_unref(conn);
}

static void open_on_worker(gpointer opaque)
{
    g_autofree Opening *opening = opaque;
    VireoSession *session = opening->session;
    vireo_call *call = opening->call;
    const vireo_connect_open_args *args = call->args;
    VireoConnCaller caller = { session->readonly, call->identity_get, call->identity };
    g_autoptr(GError) error = NULL;
    VireoConn *conn = vireo_conn_open(session->config->router, args->name, &caller, &error);

    if (!conn)
        vireo_call_fail(call, error->code, "%s", error->message);
    keep_conn(session, conn);
    vireo_call_finish(call, conn ? VIREO_OK : VIREO_FAIL);
    vireo_session_unref(session);
}

static int open_connection(VireoSession *session, vireo_call *call)
{
    const vireo_connect_open_args *args = call->args;
    gboolean busy;
    Opening *opening;

    /* Only "" asks for the default. Clients never leave it out; libvirtd answers the same. */
    if (!args->name)
        return vireo_call_fail(call, VIREO_ERR_INTERNAL_ERROR, "connection not open");
    g_mutex_lock(&session->lock);
    busy = session->conn || session->opening;
    session->opening = TRUE;
    g_mutex_unlock(&session->lock);
    if (busy)
        return vireo_call_fail(call, VIREO_ERR_INTERNAL_ERROR, "connection already open");
    if (args->flags & VIREO_CONNECT_RO)
        session->readonly = TRUE;
    opening = g_new(Opening, 1);
    *opening = (Opening){ vireo_session_ref(session), call };
    vireo_workers_push(vireo_host_workers(vireo_router_host(session->config->router)), TRUE, open_on_worker, opening);
    return VIREO_PENDING;
}

static int close_connection(VireoSession *session, vireo_call *call)
{
    VireoRpcClient *client = vireo_rpc_client_ref(session->client);
    VireoConn *conn;

    g_mutex_lock(&session->lock);
    conn = g_steal_pointer(&session->conn);
    g_mutex_unlock(&session->lock);
    vireo_session_drop_events(session);
    vireo_conn_unref(conn);
    vireo_call_finish(call, VIREO_OK);
    vireo_rpc_client_close(client);
    vireo_rpc_client_unref(client);
    return VIREO_PENDING;
}

static gboolean is_offered(VireoSession *session, guint32 op, guint64 flags)
{
    g_auto(VireoAnswer) answer = { 0 };

    g_mutex_lock(&session->lock);
    VireoConn *conn = session->conn ? vireo_conn_ref(session->conn) : NULL;
    g_mutex_unlock(&session->lock);
    if (conn)
        vireo_offer_ask(vireo_conn_offer(conn), vireo_op_by_id(op), flags, &(VireoCase){ 0 }, &answer);
    vireo_conn_unref(conn);
    return answer.answer == VIREO_CAN_NATIVE;
}

static int supports_feature(VireoSession *session, vireo_call *call)
{
    const vireo_connect_supports_feature_args *args = call->args;
    vireo_connect_supports_feature_ret *ret = call->ret;

    switch (args->feature) {
    case FEATURE_KEEPALIVE:
        vireo_rpc_client_enable_keepalive(session->client);
        ret->supported = 1;
        break;
    case FEATURE_FD_PASSING:
    case FEATURE_STRING_PARAMS:
    case FEATURE_EVENT_CALLBACKS:
    case FEATURE_CLOSE_CALLBACK:
    case FEATURE_NETWORK_UPDATE_ORDER:
        ret->supported = 1;
        break;
    case FEATURE_MIGRATION_V1:
        ret->supported = is_offered(session, VIREO_OP_domain_migrate_perform, 0);
        break;
    case FEATURE_MIGRATION_OFFLINE:
        ret->supported = is_offered(session, VIREO_OP_domain_migrate_perform, VIREO_MIGRATE_OFFLINE);
        break;
    default:
        ret->supported = 0;
    }
    return VIREO_OK;
}

static int auth_list(vireo_call *call)
{
    vireo_auth_list_ret *ret = call->ret;

    ret->types.val = vireo_arena_alloc(call->arena, sizeof *ret->types.val);
    ret->types.val[0] = VIREO_AUTH_NONE;
    ret->types.len = 1;
    return VIREO_OK;
}

static int get_hostname(vireo_call *call)
{
    vireo_connect_get_hostname_ret *ret = call->ret;
    char name[256] = "";

    if (gethostname(name, sizeof name - 1) != 0)
        return vireo_call_fail(call, VIREO_ERR_SYSTEM_ERROR, "cannot find out the host's name: %s", g_strerror(errno));
    ret->hostname = vireo_arena_strdup(call->arena, name);
    return VIREO_OK;
}

static int serve_open(VireoSession *session, VireoConn *conn, vireo_call *call)
{
    switch (call->op->id) {
    case VIREO_OP_connect_get_uri:
        ((vireo_connect_get_uri_ret *)call->ret)->uri = vireo_arena_strdup(call->arena, vireo_conn_uri(conn));
        return VIREO_OK;
    case VIREO_OP_connect_get_lib_version:
        ((vireo_connect_get_lib_version_ret *)call->ret)->lib_ver = API_VERSION;
        return VIREO_OK;
    case VIREO_OP_connect_get_hostname:
        return get_hostname(call);
    case VIREO_OP_connect_is_secure:
        ((vireo_connect_is_secure_ret *)call->ret)->secure = 1;
        return VIREO_OK;
    case VIREO_OP_connect_register_close_callback:
    case VIREO_OP_connect_unregister_close_callback:
        return VIREO_OK;
    case VIREO_OP_vireo_conn_can:
    case VIREO_OP_vireo_conn_ops:
        return vireo_session_offer(session, conn, call);
    default:
        return vireo_session_events(session, conn, call);
    }
}

int vireo_session_serve(VireoSession *session, vireo_call *call)
{
    VireoConn *conn;
    int status;

    switch (call->op->id) {
    case VIREO_OP_auth_list:
        return auth_list(call);
    case VIREO_OP_auth_polkit:
    case VIREO_OP_auth_sasl_init:
    case VIREO_OP_auth_sasl_start:
    case VIREO_OP_auth_sasl_step:
        return vireo_call_fail(call, VIREO_ERR_AUTH_FAILED, "no authentication is asked for on this socket");
    case VIREO_OP_connect_open:
        return open_connection(session, call);
    case VIREO_OP_connect_close:
        return close_connection(session, call);
    case VIREO_OP_connect_supports_feature:
        return supports_feature(session, call);
    default:
        break;
    }
    conn = vireo_session_conn(session);
    if (!conn)
        return vireo_call_fail(call, VIREO_ERR_INTERNAL_ERROR, "connection not open");
    call->driver = vireo_backend_name(vireo_conn_backend(conn));
    status = serve_open(session, conn, call);
    vireo_conn_unref(conn);
    return status;
}
