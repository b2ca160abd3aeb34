/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who wants to hear of what. */
#include <string.h>

#include "router/session-private.h"

typedef struct {
    VireoSession *session;
    guint64 handle;      /* of the subscription */
    const VireoOp *event;
    char *only;          /* monitor events: this name; NULL any */
} Callback;

/* Registrations of the time before callback ids are kept under negative keys. */
#define LEGACY_KEY(event_id) GINT_TO_POINTER(-1 - (event_id))

static void deliver(const VireoOp *op, gconstpointer msg, gpointer opaque)
{
    const Callback *callback = opaque;

    if (callback->only && strcmp(((const vireo_qemu_domain_monitor_event_msg *)msg)->event, callback->only) != 0)
        return;
    vireo_rpc_send_event(callback->session->client, op, msg);
}

static void subscribe(VireoSession *session, VireoConn *conn, gpointer key, const VireoOp *event, gint id,
                      const guint8 *uuid, const char *only)
{
    Callback *callback = g_new0(Callback, 1);

    callback->session = session;
    callback->event = event;
    callback->only = g_strdup(only);
    g_mutex_lock(&session->lock);
    g_hash_table_insert(session->callbacks, key, callback);
    g_mutex_unlock(&session->lock);
    callback->handle = vireo_event_subscribe(vireo_session_hub(session), vireo_conn_space(conn), event, id, uuid,
                                             deliver, callback);
}

/* FALSE when there is none under that key. */
static gboolean unsubscribe(VireoSession *session, gpointer key)
{
    Callback *callback = NULL;

    g_mutex_lock(&session->lock);
    g_hash_table_steal_extended(session->callbacks, key, NULL, (gpointer *)&callback);
    g_mutex_unlock(&session->lock);
    if (!callback)
        return FALSE;
    vireo_event_unsubscribe(vireo_session_hub(session), callback->handle);
    g_free(callback->only);
    g_free(callback);
    return TRUE;
}

void vireo_session_drop_events(VireoSession *session)
{
    g_autoptr(GList) keys = NULL;

    g_mutex_lock(&session->lock);
    keys = g_hash_table_get_keys(session->callbacks);
    g_mutex_unlock(&session->lock);
    for (GList *key = keys; key; key = key->next)
        unsubscribe(session, key->data);
}

static int register_any(VireoSession *session, VireoConn *conn, vireo_call *call, const VireoOp *event,
                        const guint8 *uuid, const char *only)
{
    gint id;

    g_mutex_lock(&session->lock);
    id = session->next_callback++;
    g_mutex_unlock(&session->lock);
    subscribe(session, conn, GINT_TO_POINTER(id), event, id, uuid, only);
    /* Every one of these results is the one number. */
    *(gint32 *)((char *)call->ret + vireo_wire_field(call->op->ret, "callbackID")->offset) = id;
    return VIREO_OK;
}

static int unknown_event(vireo_call *call, gint id)
{
    return vireo_call_fail(call, VIREO_ERR_INVALID_ARG, "unsupported event ID %d", id);
}

static int deregister_any(VireoSession *session, vireo_call *call)
{
    gint id = *(gint32 *)((char *)call->args + vireo_wire_field(call->op->args, "callbackID")->offset);

    if (id >= 0 && unsubscribe(session, GINT_TO_POINTER(id)))
        return VIREO_OK;
    return vireo_call_fail(call, VIREO_ERR_INVALID_ARG, "no callback with id %d is registered", id);
}

static int register_legacy(VireoSession *session, VireoConn *conn, vireo_call *call, gint event_id)
{
    const VireoOp *event = vireo_event_find(VIREO_CLASS_DOMAIN, event_id);

    if (!event || !vireo_event_legacy(event))
        return unknown_event(call, event_id);
    unsubscribe(session, LEGACY_KEY(event_id));
    subscribe(session, conn, LEGACY_KEY(event_id), event, -1, NULL, NULL);
    return VIREO_OK;
}

static int deregister_legacy(VireoSession *session, vireo_call *call, gint event_id)
{
    if (unsubscribe(session, LEGACY_KEY(event_id)))
        return VIREO_OK;
    return vireo_call_fail(call, VIREO_ERR_INTERNAL_ERROR, "domain event %d is not registered", event_id);
}

/* Networks, pools, node devices, secrets: an event id and perhaps an object, whose uuid is the filter. */
static int register_other(VireoSession *session, VireoConn *conn, vireo_call *call, guint klass)
{
    gint event_id = *(gint32 *)((char *)call->args + vireo_wire_field(call->op->args, "eventID")->offset);
    const VireoOp *event = vireo_event_find(klass, event_id);
    const guint8 *uuid = NULL;

    if (!vireo_backend_has_class(vireo_conn_backend(conn), klass))
        return vireo_call_fail(call, VIREO_ERR_NO_SUPPORT, "driver '%s' has no objects of that kind (%s)", call->driver,
                               call->op->api);
    if (!event)
        return unknown_event(call, event_id);
    for (guint i = 0; i < call->op->args->n_fields; i++) {
        const VireoWireField *field = &call->op->args->fields[i];
        const VireoWireField *inner = field->kind == VIREO_WIRE_STRUCT ? vireo_wire_field(field->type, "uuid") : NULL;
        char *object = inner ? *(char **)((char *)call->args + field->offset) : NULL;

        if (object)
            uuid = (guint8 *)object + inner->offset;
    }
    return register_any(session, conn, call, event, uuid, NULL);
}

static int register_domain(VireoSession *session, VireoConn *conn, vireo_call *call)
{
    const vireo_connect_domain_event_callback_register_any_args *args = call->args;
    const VireoOp *event = vireo_event_find(VIREO_CLASS_DOMAIN, args->eventID);

    if (!event)
        return unknown_event(call, args->eventID);
    return register_any(session, conn, call, event, args->dom ? args->dom->uuid : NULL, NULL);
}

static int register_monitor(VireoSession *session, VireoConn *conn, vireo_call *call)
{
    const vireo_qemu_connect_domain_monitor_event_register_args *args = call->args;

    if (args->flags)
        return vireo_call_fail(call, VIREO_ERR_INVALID_ARG, "patterns are not supported: give a whole event name");
    return register_any(session, conn, call, vireo_op_by_id(VIREO_EVENT_qemu_domain_monitor_event),
                        args->dom ? args->dom->uuid : NULL, args->event);
}

int vireo_session_events(VireoSession *session, VireoConn *conn, vireo_call *call)
{
    switch (call->op->id) {
    case VIREO_OP_connect_domain_event_callback_register_any:
        return register_domain(session, conn, call);
    case VIREO_OP_qemu_connect_domain_monitor_event_register:
        return register_monitor(session, conn, call);
    case VIREO_OP_connect_domain_event_register:
        ((vireo_connect_domain_event_register_ret *)call->ret)->cb_registered = 1;
        return register_legacy(session, conn, call, VIREO_DOMAIN_EVENT_ID_LIFECYCLE);
    case VIREO_OP_connect_domain_event_deregister:
        ((vireo_connect_domain_event_deregister_ret *)call->ret)->cb_registered = 0;
        return deregister_legacy(session, call, VIREO_DOMAIN_EVENT_ID_LIFECYCLE);
    case VIREO_OP_connect_domain_event_register_any:
        return register_legacy(session, conn, call,
                               ((const vireo_connect_domain_event_register_any_args *)call->args)->eventID);
    case VIREO_OP_connect_domain_event_deregister_any:
        return deregister_legacy(session, call,
                                 ((const vireo_connect_domain_event_deregister_any_args *)call->args)->eventID);
    case VIREO_OP_connect_network_event_register_any:
        return register_other(session, conn, call, VIREO_CLASS_NETWORK);
    case VIREO_OP_connect_storage_pool_event_register_any:
        return register_other(session, conn, call, VIREO_CLASS_STORAGE_POOL);
    case VIREO_OP_connect_node_device_event_register_any:
        return register_other(session, conn, call, VIREO_CLASS_NODE_DEVICE);
    case VIREO_OP_connect_secret_event_register_any:
        return register_other(session, conn, call, VIREO_CLASS_SECRET);
    case VIREO_OP_connect_domain_event_callback_deregister_any:
    case VIREO_OP_connect_network_event_deregister_any:
    case VIREO_OP_connect_storage_pool_event_deregister_any:
    case VIREO_OP_connect_node_device_event_deregister_any:
    case VIREO_OP_connect_secret_event_deregister_any:
    case VIREO_OP_qemu_connect_domain_monitor_event_deregister:
        return deregister_any(session, call);
    default:
        return vireo_call_fail(call, VIREO_ERR_NO_SUPPORT, "%s", call->op->api ? call->op->api : call->op->name);
    }
}
