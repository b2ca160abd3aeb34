/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "event/hub.h"

#include <string.h>

typedef struct {
    guint64 handle;
    const vireo_space *space;
    const VireoOp *event; /* the form with callback id where there are two */
    gint32 callback_id;
    gboolean one_object;
    guint8 uuid[16];
    VireoEventDeliver deliver;
    gpointer opaque;
} Subscription;

struct VireoEventHub {
    GRWLock lock;
    GHashTable *by_event;  /* VireoOp * -> GPtrArray of Subscription * */
    GHashTable *by_handle; /* guint64 * -> Subscription * */
    guint64 last_handle;
    guint64 sequence;
};

VireoEventHub *vireo_event_hub_new(void)
{
    VireoEventHub *hub = g_new0(VireoEventHub, 1);

    g_rw_lock_init(&hub->lock);
    hub->by_event = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
    hub->by_handle = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    return hub;
}

void vireo_event_hub_free(VireoEventHub *hub)
{
    if (!hub)
        return;
    g_hash_table_unref(hub->by_event);
    g_hash_table_unref(hub->by_handle);
    g_rw_lock_clear(&hub->lock);
    g_free(hub);
}

static const struct {
    guint klass;
    const char *prefix;
} families[] = {
    { VIREO_CLASS_DOMAIN, "domain_event_" },
    { VIREO_CLASS_NETWORK, "network_event_" },
    { VIREO_CLASS_STORAGE_POOL, "storage_pool_event_" },
    { VIREO_CLASS_NODE_DEVICE, "node_device_event_" },
    { VIREO_CLASS_SECRET, "secret_event_" },
};

static gboolean has_callback_id(const VireoOp *event)
{
    return event->ret && vireo_wire_field(event->ret, "callbackID") != NULL;
}

/* The events of a family with that number; the one with and the one without callback id. */
static const VireoOp *search(const char *prefix, gint event_id, gboolean with_id)
{
    for (guint i = 0; i < vireo_n_ops; i++) {
        const VireoOp *op = &vireo_ops[i];

        if (op->kind == VIREO_OP_EVENT && op->event_id == event_id &&
            g_str_has_prefix(op->name, prefix) && has_callback_id(op) == with_id)
            return op;
    }
    return NULL;
}

const VireoOp *vireo_event_find(guint klass, gint event_id)
{
    for (guint i = 0; event_id >= 0 && i < G_N_ELEMENTS(families); i++)
        if (families[i].klass == klass)
            return search(families[i].prefix, event_id, TRUE);
    return NULL;
}

static const char *family_of(const VireoOp *event)
{
    for (guint i = 0; i < G_N_ELEMENTS(families); i++)
        if (g_str_has_prefix(event->name, families[i].prefix))
            return families[i].prefix;
    return NULL;
}

const VireoOp *vireo_event_legacy(const VireoOp *event)
{
    const char *prefix = family_of(event);

    return prefix && event->event_id >= 0 ? search(prefix, event->event_id, FALSE) : NULL;
}

static const VireoOp *find_modern(const VireoOp *event)
{
    const char *prefix = family_of(event);
    const VireoOp *found = NULL;

    if (!has_callback_id(event) && prefix && event->event_id >= 0)
        found = search(prefix, event->event_id, TRUE);
    return found ? found : event;
}

/* The form with callback id of what a driver raised; remembered, as events are frequent. */
static const VireoOp *modern(const VireoOp *event)
{
    static const VireoOp **known;
    static gsize once;

    if (g_once_init_enter(&once)) {
        known = g_new0(const VireoOp *, vireo_n_ops);
        for (guint i = 0; i < vireo_n_ops; i++)
            if (vireo_ops[i].kind == VIREO_OP_EVENT)
                known[i] = find_modern(&vireo_ops[i]);
        g_once_init_leave(&once, 1);
    }
    return known[event - vireo_ops] ? known[event - vireo_ops] : event;
}

guint64 vireo_event_subscribe(VireoEventHub *hub, const vireo_space *space, const VireoOp *event,
                              gint32 callback_id, const guint8 *domain_uuid,
                              VireoEventDeliver deliver, gpointer opaque)
{
    Subscription *subscription = g_new0(Subscription, 1);
    GPtrArray *list;

    subscription->space = space;
    subscription->event = event;
    subscription->callback_id = callback_id;
    subscription->one_object = domain_uuid != NULL;
    if (domain_uuid)
        memcpy(subscription->uuid, domain_uuid, sizeof subscription->uuid);
    subscription->deliver = deliver;
    subscription->opaque = opaque;

    g_rw_lock_writer_lock(&hub->lock);
    subscription->handle = ++hub->last_handle;
    list = g_hash_table_lookup(hub->by_event, event);
    if (!list) {
        list = g_ptr_array_new();
        g_hash_table_insert(hub->by_event, (gpointer)event, list);
    }
    g_ptr_array_add(list, subscription);
    g_hash_table_insert(hub->by_handle, &subscription->handle, subscription);
    g_rw_lock_writer_unlock(&hub->lock);
    return subscription->handle;
}

void vireo_event_unsubscribe(VireoEventHub *hub, guint64 handle)
{
    Subscription *subscription;

    g_rw_lock_writer_lock(&hub->lock);
    subscription = g_hash_table_lookup(hub->by_handle, &handle);
    if (subscription) {
        g_ptr_array_remove(g_hash_table_lookup(hub->by_event, subscription->event), subscription);
        g_hash_table_remove(hub->by_handle, &handle);
    }
    g_rw_lock_writer_unlock(&hub->lock);
}

/* The uuid of the object a message is about, or NULL. */
static const guint8 *subject(const VireoWireType *type, gconstpointer msg)
{
    for (guint i = 0; i < type->n_fields; i++) {
        const VireoWireField *field = &type->fields[i];
        const char *at = (const char *)msg + field->offset;
        const guint8 *nested;

        if (field->kind == VIREO_WIRE_UUID)
            return (const guint8 *)at;
        if (field->kind == VIREO_WIRE_STRUCT && field->form == VIREO_WIRE_ONE &&
            (nested = subject(field->type, at)))
            return nested;
    }
    return NULL;
}

static void deliver(const Subscription *to, const VireoOp *raised, gconstpointer msg)
{
    const VireoOp *sent = to->callback_id < 0 ? raised : to->event;
    const VireoWireField *id = vireo_wire_field(sent->ret, "callbackID");
    const VireoWireField *inner = vireo_wire_field(sent->ret, "msg");
    g_autofree char *copy = NULL;

    if (to->callback_id < 0 || !id) {
        to->deliver(sent, msg, to->opaque);
        return;
    }
    copy = g_malloc0(sent->ret->size);
    if (sent == raised)
        memcpy(copy, msg, sent->ret->size);
    else if (inner)
        memcpy(copy + inner->offset, msg, raised->ret->size);
    *(gint32 *)(copy + id->offset) = to->callback_id;
    to->deliver(sent, copy, to->opaque);
}

void vireo_event_emit(VireoEventHub *hub, const vireo_space *space, guint32 event, gconstpointer msg)
{
    const VireoOp *raised = vireo_op_by_id(event);
    const guint8 *uuid;
    GPtrArray *list;

    if (!raised || !raised->ret)
        return;
    uuid = subject(raised->ret, msg);
    __atomic_add_fetch(&hub->sequence, 1, __ATOMIC_RELAXED);
    g_rw_lock_reader_lock(&hub->lock);
    list = g_hash_table_lookup(hub->by_event, modern(raised));
    for (guint i = 0; list && i < list->len; i++) {
        const Subscription *to = list->pdata[i];

        if (to->space == space && (!to->one_object || (uuid && memcmp(uuid, to->uuid, 16) == 0)))
            deliver(to, raised, msg);
    }
    g_rw_lock_reader_unlock(&hub->lock);
}

guint64 vireo_event_sequence(VireoEventHub *hub)
{
    return __atomic_load_n(&hub->sequence, __ATOMIC_RELAXED);
}
