/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A server: the connection to its web service, the session there, and who uses it. */
#include "driver.h"

#include <stdlib.h>

#include "kit/place.h"

#define LINGER_MS 60000

/* ---- the session --------------------------------------------------------------------- */

/* A new session has new objects, so that no call can simply be sent again; see vbox_talk_call(). */
static gboolean expired(const GError *error, void *opaque)
{
    (void)error;
    (void)opaque;
    return FALSE;
}

static gboolean login(VireoSoap *soap, const VireoHttpWait *wait, void *opaque, GError **error)
{
    VboxServer *server = opaque;
    vw_i_websession_manager_logon_args args = {.username = server->uri->user ? server->uri->user : "",
                                               .password = server->shared.secret};
    g_autoptr(VireoArena) arena = vireo_arena_new();
    vw_i_websession_manager_logon_ret *ret =
        vireo_soap_call_plain(soap, &vw_i_websession_manager_logon_operation, &args, wait, arena, error);

    if (!ret) {
        if (error && vireo_soap_fault(*error)) { /* which has no words: that of a wrong password is no other one */
            g_clear_error(error);
            g_set_error(error, VIREO_ERROR, VIREO_ERR_AUTH_FAILED,
                        "%s does not let %s in. When name and password are right, its web service has lost VBoxSVC, and "
                        "has to be started again",
                        server->uri->host, server->uri->user ? server->uri->user : "nobody in particular");
        }
        return FALSE;
    }
    g_mutex_lock(&server->lock);
    g_free(server->web);
    server->web = g_strdup(ret->returnval);
    g_mutex_unlock(&server->lock);
    return TRUE;
}

static const VireoSoapSession session = {.expired = expired, .login = login};

gboolean vbox_server_renew(VboxServer *server, const char *ended, const VireoHttpWait *wait, GError **error)
{
    g_mutex_lock(&server->lock);
    gboolean done = server->web && !g_str_equal(server->web, ended);
    g_mutex_unlock(&server->lock);
    return done || vireo_soap_login(server->soap, wait, error);
}

static void log_out(VboxServer *server)
{
    vw_i_websession_manager_logoff_args args = {.ref_i_virtual_box = server->web};
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VireoHttpWait wait = {.timeout_ms = 5000};

    vw_i_websession_manager_logoff(server->soap, &args, &wait, arena, NULL);
}

/* ---- life ---------------------------------------------------------------------------- */

static void server_free(VireoShared *shared)
{
    VboxServer *server = (VboxServer *)shared;

    vbox_watch_stop(server);
    vireo_feeds_free(server->transfers);
    if (shared->ready)
        log_out(server);
    if (!vireo_shared_has_twin(shared)) { /* what is published is that one's as well */
        vireo_machines_keep(server->machines, G_MAXUINT64, NULL);
        vbox_network_clear(server);
        if (shared->ready)
            vbox_storage_clear(server);
    }
    vireo_soap_free(server->soap);
    vireo_machines_free(server->machines);
    g_hash_table_unref(server->networks);
    g_clear_object(&server->stop);
    g_mutex_clear(&server->lock);
    vbox_uri_free(server->uri);
    g_free(server->version);
    g_free(server->web);
    g_free(server);
}

static VboxServer *server_new(VboxDriver *driver, VboxUri *uri)
{
    VboxServer *server = g_new0(VboxServer, 1);

    server->driver = driver;
    server->uri = uri;
    server->space = driver->host->space(driver->core, uri->text);
    server->stop = g_cancellable_new();
    g_mutex_init(&server->lock);
    server->transfers = vireo_feeds_new("vbox-transfer", server->stop);
    server->machines = vbox_inventory_new(server);
    server->networks = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, vbox_network_free);
    return server;
}

static gboolean bring_up(VireoShared *shared, gconstpointer opaque, GError **error)
{
    VboxServer *server = (VboxServer *)shared;
    const VireoHttpWait *wait = opaque;
    const VboxUri *uri = server->uri;
    g_autofree char *url = vireo_place_url(uri->https ? "https" : "http", uri->host, uri->port);
    VireoSoapOptions options = {.service = &vw_service,
                                .session = &session,
                                .opaque = server,
                                .tries = 2,
                                .http = {.url = url,
                                         .insecure = uri->no_verify,
                                         .ca_file = uri->ca_file,
                                         .proxy = uri->proxy,
                                         .user_agent = "vireo-vbox"}};
    VboxTalk talk;

    server->soap = vireo_soap_new(&options, error);
    if (!server->soap || !vireo_soap_login(server->soap, wait, error))
        return FALSE;
    vbox_talk_begin(&talk, server, wait);
    server->version = g_strdup(VBOX_GET(&talk, i_virtual_box_get_version, talk.web));
    if (strtol(server->version, NULL, 10) < 7)
        vbox_talk_refuse(&talk, VIREO_ERR_NO_CONNECT, "%s is VirtualBox %s: the driver needs 7.1 or newer", uri->host,
                         server->version);
    vbox_inventory_read_all(&talk, TRUE);
    vbox_network_read_all(&talk, TRUE);
    if (!vbox_talk_end(&talk, error))
        return FALSE;
    vbox_storage_publish(server);
    vbox_watch_start(server);
    return TRUE;
}

VboxServer *vbox_server_open(VboxDriver *driver, VboxUri *given, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(VboxUri) uri = given;
    char *password = vbox_uri_password(driver, uri, error);

    if (!password)
        return NULL;
    VboxServer *fresh = server_new(driver, g_steal_pointer(&uri));
    return (VboxServer *)vireo_shares_open(driver->servers, fresh->uri->text, password, &fresh->shared, wait, error);
}

VireoShares *vbox_servers_new(VboxDriver *driver)
{
    VireoShareOptions options = {.linger_ms = LINGER_MS, .open = bring_up, .free = server_free};

    return vireo_shares_new(&options, driver->host, driver->core);
}
