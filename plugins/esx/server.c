/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A server: the connection to it, its session, and who uses it. */
#include "driver.h"

#include "kit/place.h"

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
                          .password = server->shared.secret };
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

static void server_free(VireoShared *shared)
{
    EsxServer *server = (EsxServer *)shared;

    esx_watch_stop(server);
    vireo_feeds_free(server->transfers);
    if (shared->ready)
        log_out(server);
    if (!vireo_shared_has_twin(shared)) { /* what is published is that one's as well */
        vireo_machines_keep(server->machines, G_MAXUINT64, NULL);
        esx_things_clear(server);
    }
    esx_things_free(server);
    vireo_soap_free(server->soap);
    vireo_arena_free(server->arena);
    g_clear_pointer(&server->watch_arena, vireo_arena_free);
    vireo_machines_free(server->machines);
    g_hash_table_unref(server->gone);
    esx_figures_free(server->figures);
    g_clear_object(&server->stop);
    g_clear_pointer(&server->autostart, g_hash_table_unref);
    g_mutex_clear(&server->lock);
    esx_uri_free(server->uri);
    g_free(server->datacenter_path);
    g_free(server->version);
    g_free(server);
}

static EsxServer *server_new(EsxDriver *driver, EsxUri *uri, const char *key)
{
    EsxServer *server = g_new0(EsxServer, 1);

    server->driver = driver;
    server->uri = uri;
    server->space = driver->host->space(driver->core, key);
    server->arena = vireo_arena_new();
    server->stop = g_cancellable_new();
    g_mutex_init(&server->lock);
    server->transfers = vireo_feeds_new("esx-transfer", server->stop);
    server->machines = esx_inventory_new(server);
    server->gone = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    server->figures = esx_figures_new();
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

static gboolean bring_up(VireoShared *shared, gconstpointer opaque, GError **error)
{
    EsxServer *server = (EsxServer *)shared;
    const VireoHttpWait *wait = opaque;
    const EsxUri *uri = server->uri;
    g_autofree char *url = vireo_place_url(uri->http ? "http" : "https", uri->host, uri->port);
    VireoSoapOptions options = { .service = &vim_service, .path = "/sdk", .session = &session, .opaque = server, .tries = 2,
                                 .http = { .url = url, .insecure = uri->no_verify, .ca_file = uri->ca_file,
                                           .proxy = uri->proxy, .user_agent = "vireo-esx" } };

    server->soap = vireo_soap_new(&options, error);
    if (!server->soap || !ask_what_it_is(server, wait, error) || !vireo_soap_login(server->soap, wait, error) ||
        !esx_place_find(server, wait, error) || !esx_autostart_find(server, wait, error) ||
        !esx_watch_begin(server, TRUE, wait, error) || !esx_things_read(server, TRUE, wait, error))
        return FALSE;
    esx_watch_start(server);
    return TRUE;
}

EsxServer *esx_server_open(EsxDriver *driver, EsxUri *given, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(EsxUri) uri = given;
    char *password = esx_auth_password(driver, uri, error);
    g_autofree char *key = key_of(uri);

    if (!password)
        return NULL;
    EsxServer *fresh = server_new(driver, g_steal_pointer(&uri), key);
    return (EsxServer *)vireo_shares_open(driver->servers, key, password, &fresh->shared, wait, error);
}

VireoShares *esx_servers_new(EsxDriver *driver)
{
    VireoShareOptions options = { .linger_ms = LINGER_MS, .open = bring_up, .free = server_free };

    return vireo_shares_new(&options, driver->host, driver->core);
}
