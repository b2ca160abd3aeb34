/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A server: the connection to it, its session, and who uses it. */
#include "driver.h"

#include <string.h>

#define LINGER_MS 60000

/* ---- the session --------------------------------------------------------------------- */

static gboolean expired(const GError *error, void *opaque)
{
    (void)opaque;
    return vireo_soap_is_fault(error, "NotAuthenticated");
}

static gboolean login(VireoSoap *soap, const VireoHttpWait *wait, void *opaque, GError **error)
{
    EsxServer *server = opaque;
    VimLoginArgs args = { ._this = server->content->session_manager, .user_name = server->uri->user,
                          .password = server->password };
    g_autoptr(VireoArena) arena = vireo_arena_new();

    return vireo_soap_call_plain(soap, &vim_login_operation, &args, wait, arena, error) != NULL;
}

static const VireoSoapSession session = { .expired = expired, .login = login };

/* ---- life ---------------------------------------------------------------------------- */

/* Also the name of its space. */
static char *key_of(const EsxUri *uri)
{
    return g_strconcat(uri->text, uri->ca_file ? "#" : NULL, uri->ca_file, NULL);
}

static void log_out(EsxServer *server)
{
    VimLogoutArgs args = { ._this = server->content->session_manager };
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VireoHttpWait wait = { .timeout_ms = 5000 };

    vireo_soap_call_plain(server->soap, &vim_logout_operation, &args, &wait, arena, NULL);
}

/* With another password, before or after: what is published is that one's as well. */
static gboolean has_twin(EsxServer *server)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->driver->lock);
    GHashTableIter iter;
    gpointer other;

    g_hash_table_iter_init(&iter, server->driver->all);
    while (g_hash_table_iter_next(&iter, &other, NULL))
        if (other != server && ((EsxServer *)other)->space == server->space && ((EsxServer *)other)->ready)
            return TRUE;
    return FALSE;
}

static void server_free(EsxServer *server)
{
    esx_watch_stop(server);
    if (server->ready)
        log_out(server);
    if (!has_twin(server))
        esx_inventory_clear(server);
    vireo_soap_free(server->soap);
    vireo_arena_free(server->arena);
    g_clear_pointer(&server->watch_arena, vireo_arena_free);
    g_hash_table_unref(server->machines);
    g_clear_object(&server->stop);
    g_mutex_clear(&server->lock);
    esx_secret_free(server->password);
    esx_uri_free(server->uri);
    g_free(server->datacenter_path);
    g_free(server->version);
    g_free(server);
}

static EsxServer *server_new(EsxDriver *driver, EsxUri *uri, char *password)
{
    EsxServer *server = g_new0(EsxServer, 1);

    server->driver = driver;
    server->uri = uri;
    server->password = password;
    server->users = 1;
    server->arena = vireo_arena_new();
    server->stop = g_cancellable_new();
    g_mutex_init(&server->lock);
    server->machines = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, esx_machine_free);
    return server;
}

/* ---- opening ------------------------------------------------------------------------- */

static gboolean ask_what_it_is(EsxServer *server, const VireoHttpWait *wait, GError **error)
{
    EsxRef self = { .type = "ServiceInstance", .value = "ServiceInstance" };
    VimRetrieveServiceContentArgs args = { ._this = &self };
    VimRetrieveServiceContentRet *ret = vireo_soap_call_plain(
        server->soap, &vim_retrieve_service_content_operation, &args, wait, server->arena, error);

    if (!ret)
        return FALSE;
    server->content = ret->returnval;
    gboolean center = g_str_equal(server->content->about->api_type, "VirtualCenter");
    if (center == server->uri->center)
        return TRUE;
    g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT, "%s is %s (%s): connect to it as %s://", server->uri->host,
                center ? "a vCenter" : "a host", server->content->about->full_name, center ? "vpx" : "esx");
    return FALSE;
}

static gboolean bring_up(EsxServer *server, const VireoHttpWait *wait, GError **error)
{
    const EsxUri *uri = server->uri;
    g_autofree char *url = g_strdup_printf(strchr(uri->host, ':') ? "%s://[%s]:%u" : "%s://%s:%u",
                                           uri->http ? "http" : "https", uri->host, uri->port);
    VireoSoapOptions options = { .service = &vim_service, .path = "/sdk", .session = &session, .opaque = server, .tries = 2,
                                 .http = { .url = url, .insecure = uri->no_verify, .ca_file = uri->ca_file,
                                           .proxy = uri->proxy, .user_agent = "vireo-esx" } };

    server->soap = vireo_soap_new(&options, error);
    return server->soap && ask_what_it_is(server, wait, error) && vireo_soap_login(server->soap, wait, error) &&
           esx_place_find(server, wait, error) && esx_watch_begin(server, TRUE, wait, error);
}

/* It is open, or somebody else is about to open it: his success is ours. */
static EsxServer *join(EsxDriver *driver, const char *key, const char *password)
{
    EsxServer *server = g_hash_table_lookup(driver->servers, key);

    if (!server || strcmp(server->password, password) != 0)
        return NULL;
    server->users++;
    while (!server->ready && !server->failed)
        g_cond_wait(&driver->opened, &driver->lock);
    if (server->ready)
        return server;
    g_mutex_unlock(&driver->lock);
    esx_server_unref(server);
    g_mutex_lock(&driver->lock);
    return NULL;
}

EsxServer *esx_server_open(EsxDriver *driver, EsxUri *given, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(EsxUri) uri = given;
    char *password = esx_auth_password(driver, uri, error);
    g_autofree char *key = key_of(uri);

    if (!password)
        return NULL;
    g_mutex_lock(&driver->lock);
    EsxServer *server = join(driver, key, password);
    if (server) {
        g_mutex_unlock(&driver->lock);
        esx_secret_free(password);
        return server;
    }
    server = server_new(driver, g_steal_pointer(&uri), password);
    server->space = driver->host->space(driver->core, key);
    if (!g_hash_table_contains(driver->servers, key))
        g_hash_table_insert(driver->servers, g_strdup(key), server);
    g_hash_table_add(driver->all, server);
    g_mutex_unlock(&driver->lock);

    gboolean good = bring_up(server, wait, error);
    g_mutex_lock(&driver->lock);
    server->ready = good;
    server->failed = !good;
    if (good)
        g_hash_table_replace(driver->servers, g_strdup(key), server);
    else if (g_hash_table_lookup(driver->servers, key) == server)
        g_hash_table_remove(driver->servers, key);
    g_cond_broadcast(&driver->opened);
    g_mutex_unlock(&driver->lock);
    if (good) {
        esx_watch_start(server);
        return server;
    }
    esx_server_unref(server);
    return NULL;
}

/* ---- letting go ---------------------------------------------------------------------- */

/* With EsxDriver.lock held: nobody finds it any more. */
static void take_out(EsxServer *server)
{
    g_autofree char *key = key_of(server->uri);

    if (g_hash_table_lookup(server->driver->servers, key) == server)
        g_hash_table_remove(server->driver->servers, key);
    g_hash_table_remove(server->driver->all, server);
    server->driver->closing++;
}

static void close_server(void *opaque)
{
    EsxServer *server = opaque;
    EsxDriver *driver = server->driver;

    server_free(server);
    g_mutex_lock(&driver->lock);
    driver->closing--;
    g_cond_broadcast(&driver->opened);
    g_mutex_unlock(&driver->lock);
}

static void on_idle(void *opaque)
{
    EsxServer *server = opaque;
    EsxDriver *driver = server->driver;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&driver->lock);
    gint64 rest = server->idle_since / 1000 + LINGER_MS - g_get_monotonic_time() / 1000;

    server->timer = 0;
    if (server->users)
        return;
    if (rest > 0) {
        server->timer = driver->host->timer(driver->core, (guint)rest, on_idle, server);
        return;
    }
    take_out(server);
    driver->host->defer(driver->core, close_server, server);
}

void esx_server_unref(EsxServer *server)
{
    EsxDriver *driver = server->driver;

    g_mutex_lock(&driver->lock);
    gboolean last = --server->users == 0;
    if (last)
        server->idle_since = g_get_monotonic_time();
    if (last && server->ready && !server->timer)
        server->timer = driver->host->timer(driver->core, LINGER_MS, on_idle, server);
    gboolean now = last && !server->timer;
    if (now)
        take_out(server);
    g_mutex_unlock(&driver->lock);
    if (now)
        close_server(server);
}

static EsxServer *any_left(EsxDriver *driver, uint64_t *timer)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&driver->lock);
    GHashTableIter iter;
    gpointer server = NULL;

    g_hash_table_iter_init(&iter, driver->all);
    if (g_hash_table_iter_next(&iter, &server, NULL))
        *timer = ((EsxServer *)server)->timer;
    return server;
}

/* FALSE: its timer was faster. */
static gboolean take_out_now(EsxDriver *driver, EsxServer *server)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&driver->lock);

    if (!g_hash_table_contains(driver->all, server))
        return FALSE;
    take_out(server);
    return TRUE;
}

void esx_servers_end(EsxDriver *driver)
{
    uint64_t timer = 0;

    for (EsxServer *server; (server = any_left(driver, &timer));) {
        if (timer)
            driver->host->unwatch(driver->core, timer);
        if (take_out_now(driver, server))
            close_server(server);
    }
    g_mutex_lock(&driver->lock);
    while (driver->closing)
        g_cond_wait(&driver->opened, &driver->lock);
    g_mutex_unlock(&driver->lock);
}
