/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects/lifecycle.h"

#include <string.h>

typedef struct {
    gint32 reason, detail;
} Detail;

static const Detail started[] = {
    { VIREO_DOMAIN_RUNNING_BOOTED, VIREO_DOMAIN_EVENT_STARTED_BOOTED },
    { VIREO_DOMAIN_RUNNING_MIGRATED, VIREO_DOMAIN_EVENT_STARTED_MIGRATED },
    { VIREO_DOMAIN_RUNNING_RESTORED, VIREO_DOMAIN_EVENT_STARTED_RESTORED },
    { VIREO_DOMAIN_RUNNING_FROM_SNAPSHOT, VIREO_DOMAIN_EVENT_STARTED_FROM_SNAPSHOT },
    { VIREO_DOMAIN_RUNNING_WAKEUP, VIREO_DOMAIN_EVENT_STARTED_WAKEUP },
};
static const Detail started_paused[] = {
    { VIREO_DOMAIN_PAUSED_MIGRATION, VIREO_DOMAIN_EVENT_STARTED_MIGRATED },
    { VIREO_DOMAIN_PAUSED_FROM_SNAPSHOT, VIREO_DOMAIN_EVENT_STARTED_FROM_SNAPSHOT },
};
static const Detail resumed[] = {
    { VIREO_DOMAIN_RUNNING_MIGRATED, VIREO_DOMAIN_EVENT_RESUMED_MIGRATED },
    { VIREO_DOMAIN_RUNNING_FROM_SNAPSHOT, VIREO_DOMAIN_EVENT_RESUMED_FROM_SNAPSHOT },
    { VIREO_DOMAIN_RUNNING_POSTCOPY, VIREO_DOMAIN_EVENT_RESUMED_POSTCOPY },
};
static const Detail suspended[] = {
    { VIREO_DOMAIN_PAUSED_USER, VIREO_DOMAIN_EVENT_SUSPENDED_PAUSED },
    { VIREO_DOMAIN_PAUSED_MIGRATION, VIREO_DOMAIN_EVENT_SUSPENDED_MIGRATED },
    { VIREO_DOMAIN_PAUSED_IOERROR, VIREO_DOMAIN_EVENT_SUSPENDED_IOERROR },
    { VIREO_DOMAIN_PAUSED_WATCHDOG, VIREO_DOMAIN_EVENT_SUSPENDED_WATCHDOG },
    { VIREO_DOMAIN_PAUSED_FROM_SNAPSHOT, VIREO_DOMAIN_EVENT_SUSPENDED_FROM_SNAPSHOT },
    { VIREO_DOMAIN_PAUSED_POSTCOPY, VIREO_DOMAIN_EVENT_SUSPENDED_POSTCOPY },
    { VIREO_DOMAIN_PAUSED_POSTCOPY_FAILED, VIREO_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED },
};
static const Detail stopped[] = {
    { VIREO_DOMAIN_SHUTOFF_SHUTDOWN, VIREO_DOMAIN_EVENT_STOPPED_SHUTDOWN },
    { VIREO_DOMAIN_SHUTOFF_DESTROYED, VIREO_DOMAIN_EVENT_STOPPED_DESTROYED },
    { VIREO_DOMAIN_SHUTOFF_CRASHED, VIREO_DOMAIN_EVENT_STOPPED_CRASHED },
    { VIREO_DOMAIN_SHUTOFF_MIGRATED, VIREO_DOMAIN_EVENT_STOPPED_MIGRATED },
    { VIREO_DOMAIN_SHUTOFF_SAVED, VIREO_DOMAIN_EVENT_STOPPED_SAVED },
    { VIREO_DOMAIN_SHUTOFF_FAILED, VIREO_DOMAIN_EVENT_STOPPED_FAILED },
    { VIREO_DOMAIN_SHUTOFF_FROM_SNAPSHOT, VIREO_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT },
};

static gint32 detail_of(const Detail *table, guint n, gint32 reason)
{
    for (guint i = 0; i < n; i++)
        if (table[i].reason == reason)
            return table[i].detail;
    return 0;
}
#define DETAIL(table, reason) detail_of(table, G_N_ELEMENTS(table), reason)

typedef struct {
    VireoLifecycle *at;
    guint n;
} Events;

static void add(Events *events, gint32 event, gint32 detail)
{
    if (events->n < VIREO_LIFECYCLE_MOST)
        events->at[events->n++] = (VireoLifecycle){ event, detail };
}

static gboolean runs(const VireoObject *object)
{
    return object && object->id != -1;
}

static gboolean paused(const VireoObject *object)
{
    return object->state == VIREO_DOMAIN_PAUSED;
}

static void definition_changes(const VireoObject *before, const VireoObject *after, Events *events)
{
    gboolean had = before && (before->flags & VIREO_OBJECT_PERSISTENT);
    gboolean has = after && (after->flags & VIREO_OBJECT_PERSISTENT);

    if (has && !had)
        add(events, VIREO_DOMAIN_EVENT_DEFINED, VIREO_DOMAIN_EVENT_DEFINED_ADDED);
    else if (had && has && strcmp(before->name, after->name) != 0) {
        add(events, VIREO_DOMAIN_EVENT_UNDEFINED, VIREO_DOMAIN_EVENT_UNDEFINED_RENAMED);
        add(events, VIREO_DOMAIN_EVENT_DEFINED, VIREO_DOMAIN_EVENT_DEFINED_RENAMED);
    } else if (had && !has)
        add(events, VIREO_DOMAIN_EVENT_UNDEFINED, VIREO_DOMAIN_EVENT_UNDEFINED_REMOVED);
}

static void starts(const VireoObject *after, Events *events)
{
    if (paused(after)) {
        add(events, VIREO_DOMAIN_EVENT_STARTED, DETAIL(started_paused, after->reason));
        add(events, VIREO_DOMAIN_EVENT_SUSPENDED, DETAIL(suspended, after->reason));
        return;
    }
    add(events, VIREO_DOMAIN_EVENT_STARTED, DETAIL(started, after->reason));
    add(events, VIREO_DOMAIN_EVENT_RESUMED, DETAIL(resumed, after->reason));
}

static void runs_on(const VireoObject *before, const VireoObject *after, Events *events)
{
    if (before->state == after->state)
        return;
    switch (after->state) {
    case VIREO_DOMAIN_RUNNING:
        if (before->state == VIREO_DOMAIN_PMSUSPENDED)
            add(events, VIREO_DOMAIN_EVENT_STARTED, VIREO_DOMAIN_EVENT_STARTED_WAKEUP);
        else
            add(events, VIREO_DOMAIN_EVENT_RESUMED, DETAIL(resumed, after->reason));
        break;
    case VIREO_DOMAIN_PAUSED:
        add(events, VIREO_DOMAIN_EVENT_SUSPENDED, DETAIL(suspended, after->reason));
        break;
    case VIREO_DOMAIN_SHUTDOWN:
        add(events, VIREO_DOMAIN_EVENT_SHUTDOWN, VIREO_DOMAIN_EVENT_SHUTDOWN_FINISHED);
        break;
    case VIREO_DOMAIN_PMSUSPENDED:
        add(events, VIREO_DOMAIN_EVENT_PMSUSPENDED, VIREO_DOMAIN_EVENT_PMSUSPENDED_MEMORY);
        break;
    case VIREO_DOMAIN_CRASHED:
        add(events, VIREO_DOMAIN_EVENT_CRASHED, VIREO_DOMAIN_EVENT_CRASHED_PANICKED);
        break;
    default:
        break;
    }
}

guint vireo_lifecycle_of_domain(const VireoObject *before, const VireoObject *after,
                                VireoLifecycle at[VIREO_LIFECYCLE_MOST])
{
    Events events = { .at = at };

    if (runs(before) && !runs(after))
        add(&events, VIREO_DOMAIN_EVENT_STOPPED,
            after ? DETAIL(stopped, after->reason) : VIREO_DOMAIN_EVENT_STOPPED_DESTROYED);
    definition_changes(before, after, &events);
    if (runs(after) && !runs(before))
        starts(after, &events);
    else if (runs(after) && runs(before))
        runs_on(before, after, &events);
    return events.n;
}
