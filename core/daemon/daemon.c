/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/daemon.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/build.h"
#include "daemon/log.h"
#include "daemon/systemd.h"
#include "router/session.h"
#include "util/error.h"

#define FIRST_FD 3 /* of those handed over */

static VireoSessionConfig session_config;

/* ---- ending when nobody is there ---- */

static gboolean idle_over(gpointer opaque)
{
    VireoDaemon *daemon = opaque;
    VireoHost *host = vireo_router_host(vireo_engine_router(daemon->engine));

    if (vireo_host_n_active(host) > 0 || vireo_session_calls_running() > 0)
        return G_SOURCE_CONTINUE;
    g_message("no client for %u seconds: ending", daemon->timeout);
    g_main_loop_quit(daemon->loop);
    return G_SOURCE_REMOVE;
}

static void watch_idleness(VireoDaemon *daemon)
{
    gboolean idle = daemon->timeout > 0 && vireo_rpc_server_n_clients(daemon->server, NULL) == 0 &&
                    vireo_rpc_server_n_clients(daemon->admin_server, NULL) == 0;

    if (daemon->idle && !idle) {
        g_source_destroy(daemon->idle);
        g_clear_pointer(&daemon->idle, g_source_unref);
    }
    if (daemon->idle || !idle)
        return;
    daemon->idle = g_timeout_source_new_seconds(daemon->timeout);
    g_source_set_callback(daemon->idle, idle_over, daemon, NULL);
    g_source_attach(daemon->idle, NULL);
}

void vireo_daemon_set_timeout(VireoDaemon *daemon, guint seconds)
{
    if (daemon->idle) {
        g_source_destroy(daemon->idle);
        g_clear_pointer(&daemon->idle, g_source_unref);
    }
    daemon->timeout = seconds;
    watch_idleness(daemon);
}

/* ---- between the transport and the sessions ---- */

static VireoDaemon *the_daemon; /* the handler's opaque is the session's config */

static void opened(VireoRpcClient *client, gpointer opaque)
{
    vireo_session_handler.opened(client, opaque);
    watch_idleness(the_daemon);
}

static void closed(VireoRpcClient *client, gpointer opaque)
{
    vireo_session_handler.closed(client, opaque);
    watch_idleness(the_daemon);
}

static int introspect(VireoRpcClient *client, vireo_call *call, gpointer opaque)
{
    return vireo_engine_introspect(opaque, call);
}

/* ---- sockets ---- */

/* Whether somebody accepts connections there: their socket must not be taken away. */
static gboolean in_use(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    gboolean answered;
    int fd;

    if (strlen(path) >= sizeof address.sun_path)
        return FALSE;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    answered = fd >= 0 && (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ||
                           errno == EAGAIN || errno == EACCES || errno == EPERM);
    if (fd >= 0)
        close(fd);
    return answered;
}

static gboolean listen_in(VireoDaemon *daemon, const char *dir, const char *name, GError **error)
{
    const VireoDaemonConfig *config = daemon->config;
    const struct {
        VireoRpcSocketKind kind;
        const char *suffix;
        guint mode;
    } sockets[] = {
        {VIREO_RPC_SOCKET_RW, "sock", config->rw_mode},
        {VIREO_RPC_SOCKET_RO, "sock-ro", config->ro_mode},
        {VIREO_RPC_SOCKET_ADMIN, "admin-sock", config->admin_mode},
    };

    for (guint i = 0; i < G_N_ELEMENTS(sockets); i++) {
        VireoRpcSocketKind kind = sockets[i].kind;
        gboolean admin = kind == VIREO_RPC_SOCKET_ADMIN;
        g_autofree char *file = g_strdup_printf("%s-%s", name, sockets[i].suffix);
        g_autofree char *path = g_build_filename(dir, file, NULL);

        if (daemon->paths->session && kind == VIREO_RPC_SOCKET_RO)
            continue;
        if (in_use(path)) {
            g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID,
                        "%s belongs to another daemon that is running%s", path,
                        strcmp(name, "libvirt") == 0 ? "; stop it, or set compat_sockets = no"
                                                     : "");
            return FALSE;
        }
        if (!vireo_rpc_server_listen(admin ? daemon->admin_server : daemon->server, kind, path,
                                     sockets[i].mode, admin ? -1 : config->gid, error))
            return FALSE;
    }
    return TRUE;
}

/* A handed-over socket is what its name says. */
static gboolean listen_given(VireoDaemon *daemon, int fd, GError **error)
{
    struct sockaddr_un address = {0};
    socklen_t size = sizeof address - 1;
    VireoRpcSocketKind kind = VIREO_RPC_SOCKET_RW;

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 || address.sun_family != AF_UNIX) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG,
                    "descriptor %d, handed over by the service manager, is no UNIX socket", fd);
        return FALSE;
    }
    if (g_str_has_suffix(address.sun_path, "-ro"))
        kind = VIREO_RPC_SOCKET_RO;
    else if (strstr(address.sun_path, "admin-sock"))
        kind = VIREO_RPC_SOCKET_ADMIN;
    return vireo_rpc_server_listen_fd(
        kind == VIREO_RPC_SOCKET_ADMIN ? daemon->admin_server : daemon->server, kind, fd, error);
}

static gboolean listen_all(VireoDaemon *daemon, GError **error)
{
    guint given = vireo_systemd_n_fds();

    for (guint i = 0; i < given; i++)
        if (!listen_given(daemon, FIRST_FD + i, error))
            return FALSE;
    if (given > 0)
        return TRUE;
    if (!listen_in(daemon, daemon->paths->dirs.run, "vireo", error))
        return FALSE;
    return !daemon->config->compat_sockets ||
           listen_in(daemon, daemon->paths->compat, "libvirt", error);
}

/* ---- start, reload, stop ---- */

static gboolean apply_log(VireoDaemon *daemon, const VireoDaemonConfig *config, GError **error)
{
    if (!vireo_log_set_outputs(config->log_outputs, error) ||
        !vireo_log_set_filters(config->log_filters, error))
        return FALSE;
    vireo_log_set_level(daemon->verbose ? VIREO_LOG_LEVEL_DEBUG : config->log_level);
    return TRUE;
}

static gpointer start_drivers(gpointer opaque)
{
    VireoDaemon *daemon = opaque;

    vireo_engine_start(daemon->engine);
    vireo_systemd_notify("READY=1");
    return NULL;
}

static VireoEngine *make_engine(VireoDaemon *daemon)
{
    const VireoDaemonConfig *config = daemon->config;
    VireoEngineConfig engine = {
        .dirs = daemon->paths->dirs,
        .driver_dirs = (const char *const *)daemon->paths->driver_dirs,
        .masked = (const char *const *)config->masked_drivers,
        .default_uri = config->default_uri,
        .session = daemon->paths->session,
        .min_workers = config->min_workers,
        .max_workers = config->max_workers,
        .priority_workers = config->priority_workers,
    };

    return vireo_engine_new(&engine);
}

gboolean vireo_daemon_start(VireoDaemon *daemon, GError **error)
{
    VireoRpcHandler handler = vireo_session_handler;

    if (!apply_log(daemon, daemon->config, error))
        return FALSE;
    handler.opened = opened;
    handler.closed = closed;
    the_daemon = daemon;
    daemon->engine = make_engine(daemon);
    session_config = (VireoSessionConfig){
        .router = vireo_engine_router(daemon->engine),
        .admin_call = vireo_admin_call,
        .admin_opaque = daemon,
        .daemon_call = introspect,
        .daemon_opaque = daemon->engine,
    };
    daemon->server = vireo_rpc_server_new(NULL, &daemon->config->limits, &handler, &session_config);
    daemon->admin_server =
        vireo_rpc_server_new(NULL, &daemon->config->admin_limits, &handler, &session_config);
    vireo_rpc_server_drive(daemon->server);
    if (!listen_all(daemon, error))
        return FALSE;
    daemon->starter = g_thread_new("start", start_drivers, daemon);
    watch_idleness(daemon);
    g_message("vireod " VIREO_VERSION ": serving %s", daemon->paths->dirs.run);
    return TRUE;
}

void vireo_daemon_reload(VireoDaemon *daemon)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDaemonConfig) config =
        vireo_daemon_config_load(daemon->paths->config_file, &error);

    vireo_systemd_notify_reloading();
    vireo_log_reopen();
    if (config && apply_log(daemon, config, &error)) {
        vireo_rpc_server_set_limits(daemon->server, &config->limits);
        vireo_rpc_server_set_limits(daemon->admin_server, &config->admin_limits);
        vireo_workers_resize(vireo_engine_workers(daemon->engine), config->min_workers,
                             config->max_workers, config->priority_workers);
        vireo_daemon_config_free(daemon->config);
        daemon->config = g_steal_pointer(&config);
        g_message("settings read again");
    } else {
        g_warning("the old settings stay: %s", error->message);
    }
    vireo_loader_scan(vireo_engine_loader(daemon->engine));
    vireo_systemd_notify("READY=1");
}

void vireo_daemon_stop(VireoDaemon *daemon)
{
    vireo_systemd_notify("STOPPING=1");
    daemon->timeout = 0;
    if (daemon->starter)
        g_thread_join(daemon->starter);
    daemon->starter = NULL;
    if (daemon->admin_server)
        vireo_rpc_server_close_listeners(daemon->admin_server);
    if (daemon->server)
        vireo_rpc_server_close_listeners(daemon->server);
    g_clear_pointer(&daemon->admin_server, vireo_rpc_server_free);
    g_clear_pointer(&daemon->server, vireo_rpc_server_free);
    g_clear_pointer(&daemon->engine, vireo_engine_free);
    g_clear_pointer(&daemon->config, vireo_daemon_config_free);
}
