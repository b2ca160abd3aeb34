/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thread for each server asks for a summary of all machines, and reads them again when it is another one: now and then,
 * or when the server says that something has changed. */
#include "driver.h"

#include "kit/retry.h"

#define RARELY 10 /* times as long between two looks, when the server says what happens */

/* Name, element name, processors, state, snapshots: what is published. */
static const guint wanted[] = {0, 1, 4, 100, 107};

static gint compare_texts(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

/* The answer has no order. NULL: the server has no summary, so machines have to be read. */
static char *digest_of(const VireoCim *answer)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    guint n = vireo_cim_count(answer, "SummaryInformation");

    for (guint i = 0; i < n; i++) {
        g_autoptr(VireoCim) one = vireo_cim_dup_object(answer, "SummaryInformation", i);

        if (!one)
            return NULL;
        g_ptr_array_add(texts, vireo_cim_print(one));
    }
    g_ptr_array_sort(texts, compare_texts);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    for (guint i = 0; i < n; i++)
        g_checksum_update(sum, texts->pdata[i], -1);
    return g_strdup(g_checksum_get_string(sum));
}

/* readings: how many there were before. When calls have read machines since the last summary was looked at, it says
 * nothing about what is published now. */
static gboolean changed(HypervTalk *talk, guint64 readings)
{
    HypervServer *server = talk->server;
    VireoCim *args = vireo_cim_new("");

    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++)
        vireo_cim_add_number(args, "RequestedInformation", "uint32", wanted[i]);
    const VireoCim *answer = hyperv_invoke(talk, hyperv_service(talk, HYPERV_VSMS), "GetSummaryInformation", args);
    if (talk->error && talk->error->domain == VIREO_WSMAN_ERROR)
        g_clear_error(&talk->error); /* too much for one answer, say */
    else if (talk->error)
        return FALSE;
    g_autofree char *digest = digest_of(answer);
    gboolean same = digest && g_strcmp0(digest, server->digest) == 0 && server->digest_readings == readings;
    g_free(server->digest);
    server->digest = g_steal_pointer(&digest);
    return !same;
}

/* sure: no need to ask whether something has changed. */
static gboolean watch_once(HypervServer *server, gboolean sure, GError **error)
{
    VireoHttpWait wait = {.cancellable = server->stop};
    guint64 readings = vireo_machines_last(server->machines);
    HypervTalk talk;

    hyperv_talk_begin(&talk, server, NULL, &wait);
    if (sure)
        g_clear_pointer(&server->digest, g_free);
    if (sure || changed(&talk, readings)) {
        hyperv_inventory_read(&talk, NULL, FALSE);
        server->digest_readings = readings + 1;
        hyperv_network_read_all(&talk);
    }
    if (talk.error)
        g_clear_pointer(&server->digest, g_free);
    return hyperv_talk_end(&talk, error);
}

static int stopped(void *opaque)
{
    return g_cancellable_is_cancelled(opaque);
}

static gboolean pause_for(HypervServer *server)
{
    return hyperv_listen_wait(server->listener, server->driver->poll_ms, server->driver->poll_ms * RARELY);
}

static gpointer watch(gpointer opaque)
{
    HypervServer *server = opaque;
    VireoRetry retry = {.first_ms = 500, .most_ms = 30000, .cancelled = stopped, .opaque = server->stop};

    for (gboolean sure = pause_for(server); !stopped(server->stop); sure = pause_for(server)) {
        g_autoptr(GError) error = NULL;

        if (watch_once(server, sure, &error)) {
            vireo_retry_reset(&retry);
            continue;
        }
        if (stopped(server->stop))
            break;
        server->driver->host->log(server->driver->core, VIREO_LOG_WARNING, server->uri->text,
                                  "changes are not seen for a while: %s", error->message);
        vireo_retry_again(&retry);
    }
    return NULL;
}

void hyperv_watch_start(HypervServer *server)
{
    server->listener = hyperv_listen_start(server);
    server->watcher = g_thread_new("hyperv-watch", watch, server);
}

void hyperv_watch_stop(HypervServer *server)
{
    g_cancellable_cancel(server->stop);
    if (!server->watcher)
        return;
    hyperv_listen_wake(server->listener);
    g_thread_join(g_steal_pointer(&server->watcher));
    hyperv_listen_stop(g_steal_pointer(&server->listener));
}
