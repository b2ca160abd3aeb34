/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a server says of its own accord. Each kind of event has a thread that waits for it; what it is about is not looked
 * at: the summary is read then, as without events. */
#include "driver.h"
#include "kit/retry.h"

#define PATIENCE_MS 30000 /* of one request */

/* A machine's instance changes all the time, as it holds for how long that has run. That machines come and go is seen by
 * their settings. */
static const struct {
    const char *what, *when;
} queries[] = {
    {"__InstanceModificationEvent", "TargetInstance isa 'Msvm_ComputerSystem' and "
                                    "TargetInstance.EnabledState <> PreviousInstance.EnabledState"},
    {"__InstanceOperationEvent", "TargetInstance isa 'Msvm_VirtualSystemSettingData'"},
};

struct HypervListener {
    HypervServer *server;
    GThread *threads[G_N_ELEMENTS(queries)];
    GMutex lock; /* of what follows */
    GCond said;
    guint listening; /* how many are subscribed */
    gboolean news, events;
};

typedef struct {
    HypervListener *listener;
    guint query;
} Ear;

static int stopped(void *opaque)
{
    return g_cancellable_is_cancelled(opaque);
}

/* What has happened while nobody listened is not known: also a change of who listens is news. */
static void tell(HypervListener *listener, int change)
{
    g_mutex_lock(&listener->lock);
    listener->events |= change == 0;
    listener->listening = (guint)((int)listener->listening + change);
    listener->news = TRUE;
    g_cond_signal(&listener->said);
    g_mutex_unlock(&listener->lock);
}

/* Until there is nothing more to come. */
static void hear(HypervListener *listener, VireoWsmanEvents *events, GError **error)
{
    VireoHttpWait wait = {.cancellable = listener->server->stop};

    for (;;) {
        g_autoptr(GPtrArray) some = vireo_wsman_events_pull(events, PATIENCE_MS, &wait, error);

        if (!some)
            return;
        if (some->len)
            tell(listener, 0);
    }
}

/* FALSE: this server has no events. */
static gboolean listen_once(Ear *ear, VireoRetry *retry)
{
    HypervServer *server = ear->listener->server;
    guint seconds = MAX(1, server->driver->poll_ms / 1000);
    VireoHttpWait wait = {.cancellable = server->stop};
    g_autofree char *wql = g_strdup_printf("select * from %s within %u where %s", queries[ear->query].what, seconds,
                                           queries[ear->query].when);
    g_autoptr(GError) error = NULL;
    VireoWsmanEvents *events = vireo_wsman_subscribe(server->wsman, HYPERV_SPACE, wql, &wait, &error);

    if (!events)
        return !g_error_matches(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_FAULT);
    tell(ear->listener, 1);
    vireo_retry_reset(retry);
    hear(ear->listener, events, &error);
    tell(ear->listener, -1);
    vireo_wsman_unsubscribe(events);
    return TRUE;
}

static gpointer listen(gpointer opaque)
{
    g_autofree Ear *ear = opaque;
    HypervServer *server = ear->listener->server;
    VireoRetry retry = {.first_ms = 1000, .most_ms = 60000, .cancelled = stopped, .opaque = server->stop};

    while (!stopped(server->stop) && listen_once(ear, &retry) && vireo_retry_again(&retry))
        ;
    return NULL;
}

HypervListener *hyperv_listen_start(HypervServer *server)
{
    HypervListener *listener = g_new0(HypervListener, 1);

    listener->server = server;
    g_mutex_init(&listener->lock);
    g_cond_init(&listener->said);
    for (guint i = 0; i < G_N_ELEMENTS(queries) && server->driver->subscribe; i++) {
        Ear *ear = g_new0(Ear, 1);

        *ear = (Ear){listener, i};
        listener->threads[i] = g_thread_new("hyperv-listen", listen, ear);
    }
    return listener;
}

gboolean hyperv_listen_wait(HypervListener *listener, guint poll_ms, guint rarely_ms)
{
    gint64 begin = g_get_monotonic_time();

    g_mutex_lock(&listener->lock);
    while (!stopped(listener->server->stop)) {
        guint most = listener->listening == G_N_ELEMENTS(queries) ? rarely_ms : poll_ms;
        gint64 end = begin + (listener->news ? poll_ms / 10 : most) * 1000ll; /* also news has its limit */

        if (!g_cond_wait_until(&listener->said, &listener->lock, end) && g_get_monotonic_time() >= end)
            break;
    }
    gboolean events = listener->events;
    listener->news = listener->events = FALSE;
    g_mutex_unlock(&listener->lock);
    return events;
}

void hyperv_listen_wake(HypervListener *listener)
{
    g_mutex_lock(&listener->lock);
    g_cond_signal(&listener->said);
    g_mutex_unlock(&listener->lock);
}

void hyperv_listen_stop(HypervListener *listener)
{
    for (guint i = 0; i < G_N_ELEMENTS(queries); i++)
        if (listener->threads[i])
            g_thread_join(listener->threads[i]);
    g_mutex_clear(&listener->lock);
    g_cond_clear(&listener->said);
    g_free(listener);
}
