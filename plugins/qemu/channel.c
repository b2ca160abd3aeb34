/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "channel.h"

#include <string.h>

#include "agent.h"
#include "change.h"

#define OPEN '+'
#define CLOSED '-'

static gboolean is_virtio(const VireoDomainChardev *channel)
{
    return channel->target && channel->target->type == VIREO_DOMAIN_CHARDEV_TARGET_TYPE_VIRTIO;
}

static VireoDomainChannelState state_of(gboolean open)
{
    return open ? VIREO_DOMAIN_CHANNEL_STATE_CONNECTED : VIREO_DOMAIN_CHANNEL_STATE_DISCONNECTED;
}

void qemu_channel_learn(VireoDomain *doc, JsonArray *chardevs)
{
    VEC_EACH(doc->devices->channels, i)
    {
        VireoDomainChardev *channel = doc->devices->channels.items[i];
        g_autofree char *label = g_strconcat("char", channel->alias, NULL);

        if (!is_virtio(channel))
            continue;
        for (guint n = 0; n < vireo_json_length(chardevs); n++) {
            JsonObject *entry = vireo_json_element(chardevs, n);

            if (!g_strcmp0(vireo_json_string(entry, "label"), label))
                channel->target->state = state_of(vireo_json_bool(entry, "frontend-open"));
        }
    }
}

/* ---- what clients are told ----------------------------------------------------- */

static void tell(QemuDomain *dom, const char *name, VireoDomainChannelState state, int reason)
{
    vireo_domain_event_callback_agent_lifecycle_msg message = {
        .dom = { .name = dom->name, .id = dom->id },
        .state = state == VIREO_DOMAIN_CHANNEL_STATE_CONNECTED
                     ? VIREO_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED
                     : VIREO_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_DISCONNECTED,
        .reason = reason,
    };

    if (g_strcmp0(name, QEMU_AGENT_CHANNEL))
        return;
    memcpy(message.dom.uuid, dom->uuid, 16);
    dom->space->driver->host->event(dom->space->published, VIREO_EVENT_domain_event_callback_agent_lifecycle,
                                    &message);
}

void qemu_channel_started(QemuDomain *dom)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);

    for (guint i = 0; live && i < live->doc->devices->channels.n; i++) {
        const VireoDomainChardev *channel = live->doc->devices->channels.items[i];

        if (is_virtio(channel))
            tell(dom, channel->target->name, channel->target->state,
                 VIREO_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_DOMAIN_STARTED);
    }
}

/* Job held. */
static void follow(QemuDomain *dom, const char *alias, gboolean open)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    g_autoptr(VireoDomain) doc = live ? vireo_domain_copy(live->doc) : NULL;

    for (guint i = 0; doc && i < doc->devices->channels.n; i++) {
        VireoDomainChardev *channel = doc->devices->channels.items[i];

        if (!is_virtio(channel) || g_strcmp0(channel->alias, alias) || channel->target->state == state_of(open))
            continue;
        channel->target->state = state_of(open);
        qemu_change_live_to(dom, g_steal_pointer(&doc));
        tell(dom, live->doc->devices->channels.items[i]->target->name, state_of(open),
             VIREO_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL);
        return;
    }
}

static char *next_report(QemuDomain *dom)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&dom->lock);

    return g_queue_pop_head(&dom->ports);
}

static void changed_work(void *opaque)
{
    QemuDomain *dom = opaque;

    g_autofree char *report = NULL;

    qemu_domain_take_job(dom);
    report = next_report(dom); /* in their order, whichever worker comes first */
    if (report)
        follow(dom, report + 1, *report == OPEN);
    qemu_domain_give_job(dom);
    qemu_domain_unref(dom);
}

void qemu_channel_changed(QemuDomain *dom, const char *alias, gboolean open)
{
    QemuDriver *driver = dom->space->driver;

    g_mutex_lock(&dom->lock);
    g_queue_push_tail(&dom->ports, g_strdup_printf("%c%s", open ? OPEN : CLOSED, alias));
    g_mutex_unlock(&dom->lock);
    driver->host->defer(driver->core, changed_work, qemu_domain_ref(dom));
}
