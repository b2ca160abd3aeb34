/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "event/hub.h"

static int there, elsewhere;
#define SPACE ((const vireo_space *)&there)
#define OTHER_SPACE ((const vireo_space *)&elsewhere)

typedef struct {
    const VireoOp *op;
    gint callback_id;
    gint event;
    guint n;
} Heard;

static void hear_lifecycle(const VireoOp *op, gconstpointer data, gpointer opaque)
{
    const vireo_domain_event_callback_lifecycle_msg *msg = data;

    *(Heard *)opaque = (Heard){ op, msg->callbackID, msg->msg.event, ((Heard *)opaque)->n + 1 };
}

static void hear_legacy(const VireoOp *op, gconstpointer data, gpointer opaque)
{
    const vireo_domain_event_lifecycle_msg *msg = data;

    *(Heard *)opaque = (Heard){ op, -1, msg->event, ((Heard *)opaque)->n + 1 };
}

static void hear_added(const VireoOp *op, gconstpointer data, gpointer opaque)
{
    const vireo_domain_event_callback_device_added_msg *msg = data;

    g_assert_cmpstr(msg->devAlias, ==, "virtio-disk1");
    *(Heard *)opaque = (Heard){ op, msg->callbackID, 0, ((Heard *)opaque)->n + 1 };
}

static vireo_domain_event_lifecycle_msg lifecycle(guint8 tag, gint event)
{
    vireo_domain_event_lifecycle_msg msg = { .event = event };

    msg.dom.name = (char *)"d";
    memset(msg.dom.uuid, tag, sizeof msg.dom.uuid);
    return msg;
}

static void emit(VireoEventHub *hub, const vireo_space *space, guint8 tag, gint event)
{
    vireo_domain_event_lifecycle_msg msg = lifecycle(tag, event);

    vireo_event_emit(hub, space, VIREO_EVENT_domain_event_lifecycle, &msg);
}

static void test_forms(void)
{
    VireoEventHub *hub = vireo_event_hub_new();
    const VireoOp *event = vireo_event_find(VIREO_CLASS_DOMAIN, VIREO_DOMAIN_EVENT_ID_LIFECYCLE);
    Heard modern = { 0 }, legacy = { 0 };
    guint64 handle;

    g_assert_cmpstr(event->name, ==, "domain_event_callback_lifecycle");
    g_assert_cmpstr(vireo_event_legacy(event)->name, ==, "domain_event_lifecycle");
    handle = vireo_event_subscribe(hub, SPACE, event, 42, NULL, hear_lifecycle, &modern);
    vireo_event_subscribe(hub, SPACE, event, -1, NULL, hear_legacy, &legacy);
    emit(hub, SPACE, 1, 4);
    g_assert_cmpstr(modern.op->name, ==, "domain_event_callback_lifecycle");
    g_assert_cmpint(modern.callback_id, ==, 42);
    g_assert_cmpint(modern.event, ==, 4);
    g_assert_cmpstr(legacy.op->name, ==, "domain_event_lifecycle");
    g_assert_cmpint(legacy.event, ==, 4);
    vireo_event_unsubscribe(hub, handle);
    emit(hub, SPACE, 1, 5);
    g_assert_cmpuint(modern.n, ==, 1);
    g_assert_cmpuint(legacy.n, ==, 2);
    g_assert_cmpuint(vireo_event_sequence(hub), ==, 2);
    vireo_event_hub_free(hub);
}

static void test_filters(void)
{
    VireoEventHub *hub = vireo_event_hub_new();
    const VireoOp *event = vireo_event_find(VIREO_CLASS_DOMAIN, VIREO_DOMAIN_EVENT_ID_LIFECYCLE);
    Heard heard = { 0 };
    guint8 uuid[16];

    memset(uuid, 7, sizeof uuid);
    vireo_event_subscribe(hub, SPACE, event, 1, uuid, hear_lifecycle, &heard);
    emit(hub, SPACE, 8, 1);
    emit(hub, OTHER_SPACE, 7, 1);
    g_assert_cmpuint(heard.n, ==, 0);
    emit(hub, SPACE, 7, 1);
    g_assert_cmpuint(heard.n, ==, 1);
    vireo_event_hub_free(hub);
}

/* An event that only exists with a callback id: the driver leaves it 0, each subscriber gets its own. */
static void test_own_id(void)
{
    VireoEventHub *hub = vireo_event_hub_new();
    const VireoOp *event = vireo_event_find(VIREO_CLASS_DOMAIN, VIREO_DOMAIN_EVENT_ID_DEVICE_ADDED);
    vireo_domain_event_callback_device_added_msg msg = { .devAlias = (char *)"virtio-disk1" };
    Heard heard = { 0 };

    g_assert_null(vireo_event_legacy(event));
    vireo_event_subscribe(hub, SPACE, event, 9, NULL, hear_added, &heard);
    msg.dom.name = (char *)"d";
    vireo_event_emit(hub, SPACE, VIREO_EVENT_domain_event_callback_device_added, &msg);
    g_assert_cmpint(heard.callback_id, ==, 9);
    g_assert_cmpint(msg.callbackID, ==, 0);
    vireo_event_hub_free(hub);
}

static void test_every_event(void)
{
    guint found = 0;

    for (gint id = 0; id < 64; id++)
        found += vireo_event_find(VIREO_CLASS_DOMAIN, id) != NULL;
    g_assert_cmpuint(found, ==, 28);
    g_assert_null(vireo_event_find(VIREO_CLASS_DOMAIN, 64));
    g_assert_null(vireo_event_find(VIREO_CLASS_DOMAIN, -1));
    g_assert_nonnull(vireo_event_find(VIREO_CLASS_NETWORK, 0));
    g_assert_nonnull(vireo_event_find(VIREO_CLASS_SECRET, 1));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hub/forms", test_forms);
    g_test_add_func("/hub/filters", test_filters);
    g_test_add_func("/hub/own-id", test_own_id);
    g_test_add_func("/hub/every-event", test_every_event);
    return g_test_run();
}
