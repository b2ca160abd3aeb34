/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A server: how it is talked to, and who uses it. */
#include "driver.h"

#include "kit/place.h"

#define LINGER_MS 60000

static void server_free(VireoShared *shared)
{
    HypervServer *server = (HypervServer *)shared;

    hyperv_watch_stop(server);
    if (!vireo_shared_has_twin(shared)) { /* what is published is that one's as well */
        vireo_machines_keep(server->machines, G_MAXUINT64, NULL);
        hyperv_network_clear(server);
        if (shared->ready)
            hyperv_volume_clear(server);
    }
    vireo_wsman_free(server->wsman);
    vireo_machines_free(server->machines);
    g_hash_table_unref(server->networks);
    g_clear_object(&server->stop);
    g_mutex_clear(&server->lock);
    hyperv_uri_free(server->uri);
    g_free(server->digest);
    g_free(server);
}

static HypervServer *server_new(HypervDriver *driver, HypervUri *uri)
{
    HypervServer *server = g_new0(HypervServer, 1);

    server->driver = driver;
    server->uri = uri;
    server->space = driver->host->space(driver->core, uri->text);
    server->stop = g_cancellable_new();
    g_mutex_init(&server->lock);
    server->machines = hyperv_inventory_new(server);
    server->networks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return server;
}

static gboolean bring_up(VireoShared *shared, gconstpointer opaque, GError **error)
{
    HypervServer *server = (HypervServer *)shared;
    const VireoHttpWait *wait = opaque;
    const HypervUri *uri = server->uri;
    g_autofree char *url = vireo_place_url(uri->https ? "https" : "http", uri->host, uri->port);
    VireoWsmanOptions options = {.auth = uri->auth,
                                 .host = uri->host,
                                 .http = {.url = url,
                                          .insecure = uri->no_verify,
                                          .ca_file = uri->ca_file,
                                          .proxy = uri->proxy,
                                          .user = uri->user,
                                          .password = server->shared.secret,
                                          .user_agent = "vireo-hyperv"}};
    HypervTalk talk;

    server->wsman = vireo_wsman_new(&options, error);
    if (!server->wsman)
        return FALSE;
    hyperv_talk_begin(&talk, server, NULL, wait);
    hyperv_inventory_read(&talk, NULL, TRUE);
    hyperv_network_read_all(&talk);
    if (!hyperv_talk_end(&talk, error))
        return FALSE;
    hyperv_volume_publish(server);
    hyperv_watch_start(server);
    return TRUE;
}

HypervServer *hyperv_server_open(HypervDriver *driver, HypervUri *given, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(HypervUri) uri = given;
    char *password = hyperv_uri_password(driver, uri, error);

    if (!password)
        return NULL;
    HypervServer *fresh = server_new(driver, g_steal_pointer(&uri));
    return (HypervServer *)vireo_shares_open(driver->servers, fresh->uri->text, password, &fresh->shared, wait, error);
}

VireoShares *hyperv_servers_new(HypervDriver *driver)
{
    VireoShareOptions options = {.linger_ms = LINGER_MS, .open = bring_up, .free = server_free};

    return vireo_shares_new(&options, driver->host, driver->core);
}
