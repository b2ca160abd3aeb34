/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thread for each server asks it what changes. That also keeps the session from ending for want of use. */
#include "driver.h"

#include <string.h>

#include "kit/retry.h"

#define WAIT_MS 3000 /* also how long a web service that is to end may have to wait */

typedef struct {
    VboxServer *server;
    char *web; /* the session it belongs to */
    char *source, *listener;
} Feed;

static void feed_clear(Feed *feed)
{
    g_clear_pointer(&feed->web, g_free);
    g_clear_pointer(&feed->source, g_free);
    g_clear_pointer(&feed->listener, g_free);
}

/* From now on changes wait there until they are asked for. */
static void subscribe(Feed *feed, VboxTalk *talk)
{
    VwVBoxEventType types[] = {
        VW_V_BOX_EVENT_TYPE_ON_MACHINE_STATE_CHANGED, VW_V_BOX_EVENT_TYPE_ON_MACHINE_DATA_CHANGED,
        VW_V_BOX_EVENT_TYPE_ON_MACHINE_REGISTERED,    VW_V_BOX_EVENT_TYPE_ON_SNAPSHOT_TAKEN,
        VW_V_BOX_EVENT_TYPE_ON_SNAPSHOT_DELETED,      VW_V_BOX_EVENT_TYPE_ON_SNAPSHOT_CHANGED,
        VW_V_BOX_EVENT_TYPE_ON_SNAPSHOT_RESTORED,     VW_V_BOX_EVENT_TYPE_ON_EXTRA_DATA_CHANGED,
        VW_V_BOX_EVENT_TYPE_ON_MEDIUM_REGISTERED,     VW_V_BOX_EVENT_TYPE_ON_MEDIUM_CONFIG_CHANGED,
    };
    const char *source = VBOX_GET(talk, i_virtual_box_get_event_source, talk->web);
    const char *listener = VBOX_GET(talk, i_event_source_create_listener, source);

    VBOX_CALL(talk, i_event_source_register_listener, ._this = source, .listener = listener,
              .interesting = {G_N_ELEMENTS(types), types}, .active = FALSE);
    if (talk->error)
        return;
    feed->web = g_strdup(talk->web);
    feed->source = g_strdup(source);
    feed->listener = g_strdup(listener);
}

typedef struct {
    GHashTable *machines; /* uuids */
    gboolean networks, media;
} Changed;

/* What it is about goes into changed. Host-only adapters are kept as extra data that belongs to no machine. */
static void note(VboxTalk *talk, const char *event, Changed *changed)
{
    VwVBoxEventType type = VBOX_GET(talk, i_event_get_type, event);
    guint8 uuid[16];

    if (type == VW_V_BOX_EVENT_TYPE_ON_MEDIUM_REGISTERED || type == VW_V_BOX_EVENT_TYPE_ON_MEDIUM_CONFIG_CHANGED)
        changed->media = TRUE;
    else if (type == VW_V_BOX_EVENT_TYPE_ON_EXTRA_DATA_CHANGED)
        changed->networks |=
            g_str_has_prefix(VBOX_GET(talk, i_extra_data_changed_event_get_key, event), "HostOnly/");
    else if (vireo_model_uuid_parse(VBOX_GET(talk, i_machine_event_get_machine_id, event), uuid) && !talk->error)
        g_hash_table_add(changed->machines, g_memdup2(uuid, sizeof uuid));
}

/* FALSE: there was no event. */
static gboolean next_event(Feed *feed, VboxTalk *talk, int wait_ms, Changed *changed)
{
    const char *event =
        VBOX_CALL(talk, i_event_source_get_event, ._this = feed->source, .listener = feed->listener, .timeout = wait_ms)
            ->returnval;

    if (!*event)
        return FALSE;
    note(talk, event, changed);
    VBOX_CALL(talk, i_event_source_event_processed, ._this = feed->source, .listener = feed->listener, .event = event);
    vbox_talk_take(talk, event);
    return talk->error == NULL;
}

static guint hash_uuid(gconstpointer uuid)
{
    return *(const guint *)uuid;
}

static gboolean same_uuid(gconstpointer one, gconstpointer other)
{
    return memcmp(one, other, 16) == 0;
}

/* Only who has changed matters: what they are now is read after that. */
static gboolean watch_once(Feed *feed, GError **error)
{
    VireoHttpWait wait = {.timeout_ms = WAIT_MS + 30000, .cancellable = feed->server->stop};
    g_autoptr(GHashTable) machines = g_hash_table_new_full(hash_uuid, same_uuid, g_free, NULL);
    Changed changed = {.machines = machines};
    GHashTableIter iter;
    gpointer uuid;
    VboxTalk talk;

    vbox_talk_begin(&talk, feed->server, &wait);
    if (g_strcmp0(feed->web, talk.web) != 0)
        feed_clear(feed);
    if (!feed->web) {
        subscribe(feed, &talk);
        vbox_inventory_read_all(&talk, FALSE); /* what has happened until now */
        vbox_network_read_all(&talk, FALSE);
    }
    for (int wait_ms = WAIT_MS; !talk.error && next_event(feed, &talk, wait_ms, &changed);)
        wait_ms = 0;
    g_hash_table_iter_init(&iter, machines);
    while (g_hash_table_iter_next(&iter, &uuid, NULL))
        vbox_inventory_read(&talk, uuid);
    if (changed.networks && !talk.error)
        vbox_network_read_all(&talk, FALSE);
    if (changed.media)
        vbox_storage_changed(talk.server);
    return vbox_talk_end(&talk, error);
}

static int stopped(void *opaque)
{
    return g_cancellable_is_cancelled(opaque);
}

static gpointer watch(gpointer opaque)
{
    Feed feed = {.server = opaque};
    VboxServer *server = opaque;
    VireoRetry retry = {.first_ms = 200, .most_ms = 10000, .cancelled = stopped, .opaque = server->stop};

    while (!stopped(server->stop)) {
        g_autoptr(GError) error = NULL;

        if (watch_once(&feed, &error)) {
            vireo_retry_reset(&retry);
            continue;
        }
        feed_clear(&feed);
        if (stopped(server->stop))
            break;
        vbox_error_translate(&error);
        server->driver->host->log(server->driver->core, VIREO_LOG_WARNING, server->uri->text,
                                  "changes are not seen for a while: %s", error->message);
        vireo_retry_again(&retry);
    }
    feed_clear(&feed);
    return NULL;
}

void vbox_watch_start(VboxServer *server)
{
    server->watcher = g_thread_new("vbox-watch", watch, server);
}

void vbox_watch_stop(VboxServer *server)
{
    g_cancellable_cancel(server->stop);
    if (server->watcher)
        g_thread_join(g_steal_pointer(&server->watcher));
}
