/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The admin program: servers, their clients and limits, the log, and the end of the daemon. All of
 * it runs on the I/O thread and none of it waits.
 */
#include "daemon/daemon.h"

#include <string.h>
#include <unistd.h>

#include "daemon/log.h"
#include "host/call.h"
#include "router/session.h"

#define MAIN_SERVER       "vireod"
#define MAIN_SERVER_ALIAS "libvirtd" /* what scripts written for libvirtd ask for */
#define ADMIN_SERVER      "admin"
#define WIRE_VERSION      9000000 /* of libvirt, whose calls are served */
#define TRANSPORT_UNIX    0

typedef struct {
    VireoDaemon *daemon;
    VireoRpcClient *client; /* who asks */
    vireo_call *call;
} Admin;

/* ---- typed parameters ---- */

typedef struct {
    vireo_call *call;
    vireo_admin_typed_param *val;
    guint32 len;
} Params;

static vireo_admin_typed_param *add(Params *params, const char *field, gint type)
{
    vireo_admin_typed_param *param = &params->val[params->len++];

    param->field = (char *)field;
    param->value.type = type;
    return param;
}

static void add_uint(Params *params, const char *field, guint value)
{
    add(params, field, VIREO_TYPED_PARAM_UINT)->value.ui = value;
}

static void add_int(Params *params, const char *field, gint value)
{
    add(params, field, VIREO_TYPED_PARAM_INT)->value.i = value;
}

static void add_text(Params *params, const char *field, const char *value)
{
    if (value)
        add(params, field, VIREO_TYPED_PARAM_STRING)->value.s =
            vireo_arena_strdup(params->call->arena, value);
}

static Params params_new(vireo_call *call, guint most)
{
    return (Params){call, vireo_arena_alloc(call->arena, most * sizeof(vireo_admin_typed_param)),
                    0};
}

/* One parameter that may be set. */
typedef struct {
    const char *field;
    guint *value;
} Settable;

static int take_params(vireo_call *call, const vireo_admin_typed_param *params, guint n,
                       const Settable *settable, guint n_settable)
{
    for (guint i = 0; i < n; i++) {
        guint k = 0;

        while (k < n_settable && strcmp(settable[k].field, params[i].field) != 0)
            k++;
        if (k == n_settable)
            return vireo_call_fail(call, VIREO_ERR_INVALID_ARG, "parameter '%s' cannot be set",
                                   params[i].field);
        if (params[i].value.type != VIREO_TYPED_PARAM_UINT)
            return vireo_call_fail(call, VIREO_ERR_INVALID_ARG,
                                   "parameter '%s' is an unsigned integer", params[i].field);
        *settable[k].value = params[i].value.ui;
    }
    return VIREO_OK;
}

/* ---- servers ---- */

static VireoRpcServer *find_server(Admin *admin, const char *name)
{
    const char *alias = admin->daemon->paths->driver ? admin->daemon->paths->compat_sockets : MAIN_SERVER_ALIAS;

    if (strcmp(name, MAIN_SERVER) == 0 || strcmp(name, alias) == 0)
        return admin->daemon->server;
    if (strcmp(name, ADMIN_SERVER) == 0)
        return admin->daemon->admin_server;
    vireo_call_fail(admin->call, VIREO_ERR_NO_SERVER, "No server named '%s'", name);
    return NULL;
}

static int list_servers(Admin *admin)
{
    static const char *const names[] = {MAIN_SERVER, ADMIN_SERVER};
    const vireo_admin_connect_list_servers_args *args = admin->call->args;
    vireo_admin_connect_list_servers_ret *ret = admin->call->ret;

    ret->ret = G_N_ELEMENTS(names);
    if (!args->need_results)
        return VIREO_OK;
    ret->servers.len = G_N_ELEMENTS(names);
    ret->servers.val =
        vireo_arena_alloc(admin->call->arena, ret->servers.len * sizeof *ret->servers.val);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        ret->servers.val[i].name = (char *)names[i];
    return VIREO_OK;
}

static int lookup_server(Admin *admin)
{
    const vireo_admin_connect_lookup_server_args *args = admin->call->args;
    vireo_admin_connect_lookup_server_ret *ret = admin->call->ret;

    ret->srv.name = args->name;
    return find_server(admin, args->name) ? VIREO_OK : VIREO_FAIL;
}

static int get_threadpool(Admin *admin)
{
    const vireo_admin_server_get_threadpool_parameters_args *args = admin->call->args;
    vireo_admin_server_get_threadpool_parameters_ret *ret = admin->call->ret;
    VireoRpcServer *server = find_server(admin, args->srv.name);
    Params params = params_new(admin->call, 6);
    VireoWorkersInfo info = {0};

    if (!server)
        return VIREO_FAIL;
    /* The admin server answers without workers: all its numbers are 0. */
    if (server == admin->daemon->server)
        vireo_workers_info(vireo_engine_workers(admin->daemon->engine), &info);
    add_uint(&params, "minWorkers", info.min);
    add_uint(&params, "maxWorkers", info.max);
    add_uint(&params, "nWorkers", info.threads);
    add_uint(&params, "freeWorkers", info.idle);
    add_uint(&params, "prioWorkers", info.priority);
    add_uint(&params, "jobQueueDepth", info.queued);
    ret->params.len = params.len;
    ret->params.val = params.val;
    return VIREO_OK;
}

static int set_threadpool(Admin *admin)
{
    const vireo_admin_server_set_threadpool_parameters_args *args = admin->call->args;
    VireoRpcServer *server = find_server(admin, args->srv.name);
    VireoWorkers *workers = vireo_engine_workers(admin->daemon->engine);
    VireoWorkersInfo info;

    if (!server)
        return VIREO_FAIL;
    if (server != admin->daemon->server)
        return vireo_call_fail(admin->call, VIREO_ERR_OPERATION_INVALID,
                               "server '%s' has no workers", args->srv.name);
    vireo_workers_info(workers, &info);
    const Settable settable[] = {
        {"minWorkers", &info.min},
        {"maxWorkers", &info.max},
        {"prioWorkers", &info.priority},
    };
    if (take_params(admin->call, args->params.val, args->params.len, settable,
                    G_N_ELEMENTS(settable)) != VIREO_OK)
        return VIREO_FAIL;
    if (info.max == 0 || info.min > info.max)
        return vireo_call_fail(admin->call, VIREO_ERR_INVALID_ARG,
                               "minWorkers %u and maxWorkers %u do not go together", info.min,
                               info.max);
    vireo_workers_resize(workers, info.min, info.max, info.priority);
    return VIREO_OK;
}

static int get_limits(Admin *admin)
{
    const vireo_admin_server_get_client_limits_args *args = admin->call->args;
    vireo_admin_server_get_client_limits_ret *ret = admin->call->ret;
    VireoRpcServer *server = find_server(admin, args->srv.name);
    Params params = params_new(admin->call, 4);
    VireoRpcLimits limits;
    guint clients, anonymous;

    if (!server)
        return VIREO_FAIL;
    vireo_rpc_server_get_limits(server, &limits);
    clients = vireo_rpc_server_n_clients(server, &anonymous);
    add_uint(&params, "nclients_max", limits.max_clients);
    add_uint(&params, "nclients", clients);
    add_uint(&params, "nclients_unauth_max", limits.max_anonymous_clients);
    add_uint(&params, "nclients_unauth", anonymous);
    ret->params.len = params.len;
    ret->params.val = params.val;
    return VIREO_OK;
}

static int set_limits(Admin *admin)
{
    const vireo_admin_server_set_client_limits_args *args = admin->call->args;
    VireoRpcServer *server = find_server(admin, args->srv.name);
    VireoRpcLimits limits;
    const Settable settable[] = {
        {"nclients_max", &limits.max_clients},
        {"nclients_unauth_max", &limits.max_anonymous_clients},
    };

    if (!server)
        return VIREO_FAIL;
    vireo_rpc_server_get_limits(server, &limits);
    if (take_params(admin->call, args->params.val, args->params.len, settable,
                    G_N_ELEMENTS(settable)) != VIREO_OK)
        return VIREO_FAIL;
    if (limits.max_clients == 0 || limits.max_anonymous_clients > limits.max_clients)
        return vireo_call_fail(admin->call, VIREO_ERR_INVALID_ARG,
                               "nclients_max %u and nclients_unauth_max %u do not go together",
                               limits.max_clients, limits.max_anonymous_clients);
    vireo_rpc_server_set_limits(server, &limits);
    return VIREO_OK;
}

/* ---- clients ---- */

static vireo_admin_client_ref describe(VireoRpcClient *client, char *server)
{
    return (vireo_admin_client_ref){
        .srv.name = server,
        .id = vireo_rpc_client_id(client),
        .timestamp = vireo_rpc_client_since(client),
        .transport = TRANSPORT_UNIX,
    };
}

static int list_clients(Admin *admin)
{
    const vireo_admin_server_list_clients_args *args = admin->call->args;
    vireo_admin_server_list_clients_ret *ret = admin->call->ret;
    VireoRpcServer *server = find_server(admin, args->srv.name);
    g_autoptr(GPtrArray) clients = server ? vireo_rpc_server_clients(server) : NULL;

    if (!server)
        return VIREO_FAIL;
    ret->ret = clients->len;
    if (!args->need_results)
        return VIREO_OK;
    ret->clients.len = MIN(clients->len, VIREO_LIMIT_ADMIN_CLIENT_LIST_MAX);
    ret->clients.val =
        vireo_arena_alloc(admin->call->arena, ret->clients.len * sizeof *ret->clients.val);
    for (guint i = 0; i < ret->clients.len; i++)
        ret->clients.val[i] = describe(clients->pdata[i], args->srv.name);
    return VIREO_OK;
}

/* A new reference, or NULL with the call failed. */
static VireoRpcClient *find_client(Admin *admin, const char *server_name, guint64 id)
{
    VireoRpcServer *server = find_server(admin, server_name);
    g_autoptr(GPtrArray) clients = server ? vireo_rpc_server_clients(server) : NULL;

    for (guint i = 0; clients && i < clients->len; i++)
        if (vireo_rpc_client_id(clients->pdata[i]) == id)
            return vireo_rpc_client_ref(clients->pdata[i]);
    if (server)
        vireo_call_fail(admin->call, VIREO_ERR_NO_CLIENT,
                        "No client with id '%" G_GUINT64_FORMAT "'", id);
    return NULL;
}

static int lookup_client(Admin *admin)
{
    const vireo_admin_server_lookup_client_args *args = admin->call->args;
    vireo_admin_server_lookup_client_ret *ret = admin->call->ret;
    VireoRpcClient *client = find_client(admin, args->srv.name, args->id);

    if (!client)
        return VIREO_FAIL;
    ret->clnt = describe(client, args->srv.name);
    vireo_rpc_client_unref(client);
    return VIREO_OK;
}

static void add_peer(Params *params, const VireoIdentity *who)
{
    static const struct {
        const char *field, *property;
        gboolean number;
    } fields[] = {
        {"unix_user_id", "unix-user-id", TRUE},   {"unix_user_name", "user-name", FALSE},
        {"unix_group_id", "unix-group-id", TRUE}, {"unix_group_name", "group-name", FALSE},
        {"unix_process_id", "process-id", TRUE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        const char *text = vireo_identity_get(who, fields[i].property);

        if (text && fields[i].number)
            add_int(params, fields[i].field, (gint)g_ascii_strtoll(text, NULL, 10));
        else
            add_text(params, fields[i].field, text);
    }
}

static int client_info(Admin *admin)
{
    const vireo_admin_client_get_info_args *args = admin->call->args;
    vireo_admin_client_get_info_ret *ret = admin->call->ret;
    VireoRpcClient *client = find_client(admin, args->clnt.srv.name, args->clnt.id);
    VireoSession *session = client ? vireo_rpc_client_data(client) : NULL;
    Params params = params_new(admin->call, 6);

    if (!client)
        return VIREO_FAIL;
    add(&params, "readonly", VIREO_TYPED_PARAM_BOOLEAN)->value.b =
        vireo_session_is_readonly(session);
    add_peer(&params, vireo_session_identity(session));
    ret->params.len = params.len;
    ret->params.val = params.val;
    vireo_rpc_client_unref(client);
    return VIREO_OK;
}

static int client_close(Admin *admin)
{
    const vireo_admin_client_close_args *args = admin->call->args;
    VireoRpcClient *client = find_client(admin, args->clnt.srv.name, args->clnt.id);

    if (!client)
        return VIREO_FAIL;
    vireo_rpc_client_close(client);
    vireo_rpc_client_unref(client);
    return VIREO_OK;
}

/* ---- the log ---- */

static int get_outputs(Admin *admin)
{
    vireo_admin_connect_get_logging_outputs_ret *ret = admin->call->ret;
    guint n;
    g_autofree char *text = vireo_log_get_outputs(&n);

    ret->outputs = vireo_arena_strdup(admin->call->arena, text);
    ret->noutputs = n;
    return VIREO_OK;
}

static int get_filters(Admin *admin)
{
    vireo_admin_connect_get_logging_filters_ret *ret = admin->call->ret;
    guint n;
    g_autofree char *text = vireo_log_get_filters(&n);

    ret->filters = n > 0 ? vireo_arena_strdup(admin->call->arena, text) : NULL;
    ret->nfilters = n;
    return VIREO_OK;
}

static int set_log(Admin *admin, gboolean (*set)(const char *, GError **), const char *text)
{
    g_autoptr(GError) error = NULL;

    if (set(text, &error))
        return VIREO_OK;
    return vireo_call_fail(admin->call, VIREO_ERR_INVALID_ARG, "%s", error->message);
}

static int set_outputs(Admin *admin)
{
    const vireo_admin_connect_set_logging_outputs_args *args = admin->call->args;

    return set_log(admin, vireo_log_set_outputs, args->outputs);
}

static int set_filters(Admin *admin)
{
    const vireo_admin_connect_set_logging_filters_args *args = admin->call->args;

    return set_log(admin, vireo_log_set_filters, args->filters);
}

/* ---- the daemon ---- */

static int connect_open(Admin *admin)
{
    return VIREO_OK;
}

static int connect_close(Admin *admin)
{
    vireo_rpc_client_close(admin->client);
    return VIREO_OK;
}

static int lib_version(Admin *admin)
{
    vireo_admin_connect_get_lib_version_ret *ret = admin->call->ret;

    ret->libVer = WIRE_VERSION;
    return VIREO_OK;
}

static int update_tls(Admin *admin)
{
    return vireo_call_fail(admin->call, VIREO_ERR_OPERATION_UNSUPPORTED,
                           "this server has no TLS sockets");
}

static int set_timeout(Admin *admin)
{
    const vireo_admin_connect_set_daemon_timeout_args *args = admin->call->args;

    vireo_daemon_set_timeout(admin->daemon, args->timeout);
    return VIREO_OK;
}

static int shut_down(Admin *admin)
{
    g_message("asked to stop by an administrator");
    g_main_loop_quit(admin->daemon->loop);
    return VIREO_OK;
}

static const struct {
    guint32 op;
    int (*answer)(Admin *admin);
} table[] = {
    {VIREO_OP_admin_connect_open, connect_open},
    {VIREO_OP_admin_connect_close, connect_close},
    {VIREO_OP_admin_connect_get_lib_version, lib_version},
    {VIREO_OP_admin_connect_list_servers, list_servers},
    {VIREO_OP_admin_connect_lookup_server, lookup_server},
    {VIREO_OP_admin_server_get_threadpool_parameters, get_threadpool},
    {VIREO_OP_admin_server_set_threadpool_parameters, set_threadpool},
    {VIREO_OP_admin_server_list_clients, list_clients},
    {VIREO_OP_admin_server_lookup_client, lookup_client},
    {VIREO_OP_admin_client_get_info, client_info},
    {VIREO_OP_admin_client_close, client_close},
    {VIREO_OP_admin_server_get_client_limits, get_limits},
    {VIREO_OP_admin_server_set_client_limits, set_limits},
    {VIREO_OP_admin_connect_get_logging_outputs, get_outputs},
    {VIREO_OP_admin_connect_get_logging_filters, get_filters},
    {VIREO_OP_admin_connect_set_logging_outputs, set_outputs},
    {VIREO_OP_admin_connect_set_logging_filters, set_filters},
    {VIREO_OP_admin_server_update_tls_files, update_tls},
    {VIREO_OP_admin_connect_set_daemon_timeout, set_timeout},
    {VIREO_OP_admin_connect_daemon_shutdown, shut_down},
};

/* Flags outside the catalogue's are refused here: no router is in the way. */
static gboolean flags_are_known(vireo_call *call)
{
    guint64 unknown = 0;
    g_autofree char *names = NULL;

    if (call->op->flags_offset >= 0)
        unknown = vireo_op_get_flags(call->op, call->args) & ~call->op->known_flags;
    /* virt-admin hands on the connection flags of the client library. */
    if (unknown == 0 || call->op->id == VIREO_OP_admin_connect_open)
        return TRUE;
    names = vireo_op_flag_names(call->op, unknown);
    vireo_call_fail(call, VIREO_ERR_INVALID_ARG, "%s: flag %s is not supported", call->op->name,
                    names);
    return FALSE;
}

int vireo_admin_call(VireoRpcClient *client, vireo_call *call, gpointer opaque)
{
    Admin admin = {opaque, client, call};
    uid_t uid;

    call->driver = ADMIN_SERVER;
    if (!vireo_rpc_client_peer(client, NULL, &uid, NULL, NULL) || (uid != 0 && uid != geteuid()))
        return vireo_call_fail(call, VIREO_ERR_AUTH_FAILED,
                               "only root and the daemon's own user may administer it");
    if (!flags_are_known(call))
        return VIREO_FAIL;
    for (guint i = 0; i < G_N_ELEMENTS(table); i++)
        if (table[i].op == call->op->id)
            return table[i].answer(&admin);
    return vireo_call_fail(call, VIREO_ERR_NO_SUPPORT, "%s", call->op->name);
}
