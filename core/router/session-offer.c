/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a client's own connection can do: asked of the router, not of the driver. */
#include "router/private.h"
#include "router/session-private.h"
#include "util/uuid.h"

typedef struct {
    VireoConn *conn;
    vireo_call *call;
} Asking;

static VireoObject *find(const VireoConn *conn, vireo_call *call, guint klass, const char *text)
{
    VireoObject *object = NULL;
    guint8 uuid[16];

    if (klass == VIREO_CLASS_NONE || klass > VIREO_CLASS_ADMIN_CLIENT)
        vireo_call_fail(call, VIREO_ERR_INVALID_ARG, "of which class is '%s'? klass is enum vireo_class", text);
    else if (!conn->space)
        vireo_call_fail(call, VIREO_ERR_NO_SUPPORT, "driver '%s' does not tell the state of its objects", conn->offer.driver);
    else if (vireo_uuid_parse(text, uuid))
        object = vireo_space_by_uuid(conn->space, klass, uuid);
    if (!object && !call->error_code)
        object = vireo_space_by_name(conn->space, klass, text);
    if (!object && !call->error_code)
        vireo_refuse_missing(call, klass, text, NULL);
    return object;
}

static vireo_offer_object *tell_object(vireo_call *call, const VireoObject *object)
{
    vireo_offer_object *told = vireo_arena_alloc(call->arena, sizeof *told);
    char uuid[VIREO_UUID_TEXT] = "";

    if (vireo_object_has_uuid(object))
        vireo_uuid_format(object->uuid, uuid);
    *told = (vireo_offer_object){
        .klass = object->klass,
        .name = vireo_arena_strdup(call->arena, object->name),
        .uuid = vireo_arena_strdup(call->arena, uuid),
        .active = vireo_object_is_active(object),
        .state = object->state,
        .reason = object->reason,
    };
    return told;
}

static int answer_one(VireoConn *conn, vireo_call *call)
{
    const vireo_vireo_conn_can_args *args = call->args;
    vireo_vireo_conn_can_ret *ret = call->ret;
    g_autoptr(VireoObject) object = NULL;
    const VireoOp *op;
    guint64 flags;

    if (vireo_offer_read(call, args->op, args->flags, &op, &flags) != VIREO_OK)
        return VIREO_FAIL;
    if (args->object && *args->object && !(object = find(conn, call, args->klass, args->object)))
        return VIREO_FAIL;
    ret->driver = (char *)conn->offer.driver;
    ret->uri = vireo_arena_strdup(call->arena, conn->uri);
    ret->readonly = conn->readonly;
    ret->object = object ? tell_object(call, object) : NULL;
    vireo_offer_tell(call, &conn->offer, op, flags, &(VireoCase){ conn->readonly, object }, &ret->op);
    return VIREO_OK;
}

static int answer_all(VireoConn *conn, vireo_call *call)
{
    const vireo_vireo_conn_ops_args *args = call->args;
    vireo_vireo_conn_ops_ret *ret = call->ret;
    g_autoptr(VireoObject) object = NULL;

    if (args->object && *args->object && !(object = find(conn, call, args->klass, args->object)))
        return VIREO_FAIL;
    ret->driver = (char *)conn->offer.driver;
    ret->uri = vireo_arena_strdup(call->arena, conn->uri);
    ret->readonly = conn->readonly;
    ret->object = object ? tell_object(call, object) : NULL;
    ret->ops.len = vireo_offer_tell_all(call, &conn->offer, &(VireoCase){ conn->readonly, object }, &ret->ops.val);
    return VIREO_OK;
}

static void answer(gpointer opaque)
{
    g_autofree Asking *asking = opaque;
    vireo_call *call = asking->call;
    g_autofree char *trouble = vireo_conn_trouble(asking->conn);
    int status;

    if (trouble)
        status = vireo_call_fail(call, VIREO_ERR_OPERATION_FAILED, "driver '%s': %s", call->driver, trouble);
    else
        status = call->op->id == VIREO_OP_vireo_conn_can ? answer_one(asking->conn, call)
                                                         : answer_all(asking->conn, call);
    vireo_conn_unref(asking->conn);
    vireo_call_finish(call, status);
}

int vireo_session_offer(VireoSession *session, VireoConn *conn, vireo_call *call)
{
    Asking *asking = g_new(Asking, 1);

    *asking = (Asking){ vireo_conn_ref(conn), call };
    vireo_workers_push(vireo_host_workers(vireo_router_host(session->config->router)), TRUE, answer, asking);
    return VIREO_PENDING;
}
