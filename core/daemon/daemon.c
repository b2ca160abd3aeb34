/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/daemon.h"

#include "daemon/build.h"
#include "daemon/log.h"
#include "daemon/systemd.h"
#include "router/session.h"
#include "util/error.h"

#define START_SECONDS 90 /* for drivers that find many guests again */

static VireoSessionConfig session_config;

/* ---- ending when nobody is there ---- */

static gboolean idle_over(gpointer opaque)
{
    VireoDaemon *daemon = opaque;
    VireoHost *host = vireo_router_host(vireo_engine_router(daemon->engine));

    if (vireo_host_n_active(host) > 0 || vireo_session_calls_running() > 0 ||
        (daemon->share && vireo_share_n_conns(daemon->share) > 0))
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

/* ---- start, reload, stop ---- */

static gboolean apply_log(VireoDaemon *daemon, const VireoDaemonConfig *config, GError **error)
{
    if (!vireo_log_set_outputs(config->log_outputs, error) ||
        !vireo_log_set_filters(config->log_filters, error))
        return FALSE;
    vireo_log_set_level(daemon->verbose ? VIREO_LOG_LEVEL_DEBUG : config->log_level);
    return TRUE;
}

/* For "systemctl status". */
static void tell_status(VireoDaemon *daemon)
{
    g_autoptr(GPtrArray) modules = vireo_engine_drivers(daemon->engine);
    g_autoptr(GString) running = g_string_new(NULL);

    for (guint i = 0; i < modules->len; i++) {
        const VireoModuleInfo *info = modules->pdata[i];

        if (vireo_module_state_serves(info->state))
            g_string_append_printf(running, "%s%s", running->len ? ", " : "", info->name);
    }
    vireo_systemd_status("%s", running->len ? running->str : "no driver has been needed yet");
}

static void scan(gpointer opaque)
{
    vireo_engine_scan(opaque);
}

/* A package has been installed or removed, perhaps. */
static void directories_changed(gpointer opaque)
{
    VireoDaemon *daemon = opaque;

    vireo_workers_push(vireo_engine_workers(daemon->engine), FALSE, scan, daemon->engine);
}

/* Of modules, and of the sockets of drivers with daemons of their own. */
static VireoWatch *watch_directories(VireoDaemon *daemon)
{
    g_autoptr(GPtrArray) dirs = g_ptr_array_new();

    for (GStrv dir = daemon->paths->driver_dirs; *dir; dir++)
        g_ptr_array_add(dirs, *dir);
    if (!daemon->paths->driver)
        g_ptr_array_add(dirs, daemon->paths->drivers);
    g_ptr_array_add(dirs, NULL);
    return vireo_watch_new((const char *const *)dirs->pdata, directories_changed, daemon);
}

static gpointer start_drivers(gpointer opaque)
{
    VireoDaemon *daemon = opaque;

    vireo_systemd_status("starting drivers");
    vireo_systemd_extend(START_SECONDS);
    vireo_engine_start(daemon->engine);
    vireo_systemd_notify("READY=1");
    tell_status(daemon);
    return NULL;
}

static VireoEngine *make_engine(VireoDaemon *daemon)
{
    const VireoDaemonConfig *config = daemon->config;
    VireoEngineConfig engine = {
        .dirs = daemon->paths->dirs,
        .driver_dirs = (const char *const *)daemon->paths->driver_dirs,
        .masked = (const char *const *)config->masked_drivers,
        .only = daemon->paths->driver,
        .proxies = daemon->paths->driver ? NULL : daemon->paths->drivers,
        .drivers = config->drivers,
        .driver_host = daemon->paths->driver_host,
        .verbose = daemon->verbose || config->log_level == VIREO_LOG_LEVEL_DEBUG,
        .title = daemon->paths->title,
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
    vireo_router_set_deadlines(vireo_engine_router(daemon->engine), daemon->config->query_timeout,
                               daemon->config->modify_timeout);
    if (daemon->paths->driver && !vireo_engine_claim(daemon->engine, error))
        return FALSE;
    if (daemon->paths->driver)
        daemon->share = vireo_share_new(daemon->engine, daemon->paths->driver);
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
    if (!vireo_daemon_listen(daemon, error))
        return FALSE;
    daemon->starter = g_thread_new("start", start_drivers, daemon);
    daemon->watch = watch_directories(daemon);
    vireo_systemd_watch();
    watch_idleness(daemon);
    g_message("%s " VIREO_VERSION ": serving %s", daemon->paths->title, daemon->paths->dirs.run);
    return TRUE;
}

void vireo_daemon_reload(VireoDaemon *daemon)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDaemonConfig) config =
        vireo_daemon_config_load(daemon->paths->config_file, daemon->paths->driver, &error);

    vireo_systemd_notify_reloading();
    vireo_log_reopen();
    if (config && apply_log(daemon, config, &error)) {
        vireo_rpc_server_set_limits(daemon->server, &config->limits);
        vireo_rpc_server_set_limits(daemon->admin_server, &config->admin_limits);
        vireo_workers_resize(vireo_engine_workers(daemon->engine), config->min_workers,
                             config->max_workers, config->priority_workers);
        vireo_router_set_deadlines(vireo_engine_router(daemon->engine), config->query_timeout,
                                   config->modify_timeout);
        vireo_daemon_config_free(daemon->config);
        daemon->config = g_steal_pointer(&config);
        g_message("settings read again");
    } else {
        g_warning("the old settings stay: %s", error->message);
    }
    vireo_engine_scan(daemon->engine);
    vireo_systemd_notify("READY=1");
    tell_status(daemon);
}

void vireo_daemon_stop(VireoDaemon *daemon)
{
    vireo_systemd_notify("STOPPING=1");
    daemon->timeout = 0;
    g_clear_pointer(&daemon->watch, vireo_watch_free);
    if (daemon->starter)
        g_thread_join(daemon->starter);
    daemon->starter = NULL;
    if (daemon->admin_server)
        vireo_rpc_server_close_listeners(daemon->admin_server);
    if (daemon->server)
        vireo_rpc_server_close_listeners(daemon->server);
    g_clear_pointer(&daemon->share, vireo_share_free);
    g_clear_pointer(&daemon->admin_server, vireo_rpc_server_free);
    g_clear_pointer(&daemon->server, vireo_rpc_server_free);
    g_clear_pointer(&daemon->engine, vireo_engine_free);
    g_clear_pointer(&daemon->config, vireo_daemon_config_free);
}
