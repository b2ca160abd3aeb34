/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the reference in a call's first argument to the published object. */
#include <string.h>

#include "router/private.h"
#include "util/uuid.h"

/* How a class is looked up, and the error when it is not there. */
typedef struct {
    guint klass;
    guint32 lookup_op; /* a driver with a row of its own for this keeps its objects to itself */
    gint error;
    const char *what;
} Class;

static const Class classes[] = {
    { VIREO_CLASS_DOMAIN, VIREO_OP_domain_lookup_by_uuid, VIREO_ERR_NO_DOMAIN, "domain" },
    { VIREO_CLASS_NETWORK, VIREO_OP_network_lookup_by_uuid, VIREO_ERR_NO_NETWORK, "network" },
    { VIREO_CLASS_STORAGE_POOL, VIREO_OP_storage_pool_lookup_by_uuid, VIREO_ERR_NO_STORAGE_POOL, "storage pool" },
    { VIREO_CLASS_INTERFACE, VIREO_OP_interface_lookup_by_name, VIREO_ERR_NO_INTERFACE, "interface" },
    { VIREO_CLASS_SECRET, VIREO_OP_secret_lookup_by_uuid, VIREO_ERR_NO_SECRET, "secret" },
    { VIREO_CLASS_NWFILTER, VIREO_OP_nwfilter_lookup_by_uuid, VIREO_ERR_NO_NWFILTER, "network filter" },
    { VIREO_CLASS_NODE_DEVICE, VIREO_OP_node_device_lookup_by_name, VIREO_ERR_NO_NODE_DEVICE, "node device" },
};

static const Class *class_of(guint klass)
{
    for (guint i = 0; i < G_N_ELEMENTS(classes); i++)
        if (classes[i].klass == klass)
            return &classes[i];
    return NULL;
}

int vireo_refuse_missing(vireo_call *call, guint klass, const char *name, const guint8 *uuid)
{
    const Class *class = class_of(klass);
    const char *what = class ? class->what : "object";
    int error = class ? class->error : VIREO_ERR_INVALID_ARG;
    char text[VIREO_UUID_TEXT];

    if (!uuid)
        return vireo_call_fail(call, error, "no %s with matching name '%s'", what, name ? name : "");
    vireo_uuid_format(uuid, text);
    if (!name)
        return vireo_call_fail(call, error, "no %s with matching uuid '%s'", what, text);
    return vireo_call_fail(call, error, "no %s with matching uuid '%s' (name '%s')", what, text, name);
}

static int find_domain(VireoConn *conn, vireo_call *call, vireo_domain_ref *ref, VireoTarget *target)
{
    target->object = vireo_space_by_uuid(conn->space, VIREO_CLASS_DOMAIN, ref->uuid);
    if (!target->object)
        return vireo_refuse_missing(call, VIREO_CLASS_DOMAIN, ref->name, ref->uuid);
    if (strcmp(ref->name, target->object->name) != 0)
        ref->name = vireo_arena_strdup(call->arena, target->object->name);
    ref->id = target->object->id;
    return VIREO_OK;
}

static int find_node(VireoConn *conn, vireo_call *call, guint klass, VireoTarget *target)
{
    gboolean snapshot = klass == VIREO_CLASS_DOMAIN_SNAPSHOT;
    /* Both references have the same layout: name, then domain. */
    vireo_domain_snapshot_ref *ref = (gpointer)((char *)call->args + call->op->object_offset);

    if (find_domain(conn, call, &ref->dom, target) != VIREO_OK)
        return VIREO_FAIL;
    target->node = vireo_tree_find(vireo_object_tree(target->object, klass), ref->name);
    if (target->node)
        return VIREO_OK;
    return vireo_call_fail(call, snapshot ? VIREO_ERR_NO_DOMAIN_SNAPSHOT : VIREO_ERR_NO_DOMAIN_CHECKPOINT,
                           "domain '%s' has no %s '%s'", target->object->name,
                           snapshot ? "snapshot" : "checkpoint", ref->name);
}

/* References of the other classes start with a name, a uuid, or both. */
static int find_other(VireoConn *conn, vireo_call *call, const Class *class, VireoTarget *target)
{
    const VireoWireType *type = call->op->args->fields[0].type;
    const VireoWireField *uuid = vireo_wire_field(type, "uuid");
    const VireoWireField *name = vireo_wire_field(type, "name");
    char *ref = (char *)call->args + call->op->object_offset;
    const guint8 *key = uuid ? (guint8 *)ref + uuid->offset : NULL;
    const char *text = name ? *(char **)(ref + name->offset) : NULL;

    target->object = key ? vireo_space_by_uuid(conn->space, class->klass, key)
                         : vireo_space_by_name(conn->space, class->klass, text);
    return target->object ? VIREO_OK : vireo_refuse_missing(call, class->klass, text, key);
}

int vireo_target_find(VireoConn *conn, vireo_call *call, VireoTarget *target)
{
    guint klass = call->op->object;
    const Class *class;

    if (klass == VIREO_CLASS_DOMAIN_SNAPSHOT || klass == VIREO_CLASS_DOMAIN_CHECKPOINT) {
        if (vireo_backend_row(conn->backend, VIREO_OP_domain_lookup_by_uuid))
            return VIREO_OK;
        return find_node(conn, call, klass, target);
    }
    class = class_of(klass);
    if (!class || !vireo_backend_has_class(conn->backend, klass) ||
        vireo_backend_row(conn->backend, class->lookup_op))
        return VIREO_OK;
    if (klass == VIREO_CLASS_DOMAIN)
        return find_domain(conn, call, (gpointer)((char *)call->args + call->op->object_offset), target);
    return find_other(conn, call, class, target);
}

void vireo_target_clear(VireoTarget *target)
{
    g_clear_pointer(&target->object, vireo_object_unref);
    target->node = NULL;
}
