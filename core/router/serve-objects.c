/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lookups, lists, counts and states of every class, from what drivers published. */
#include <string.h>

#include "router/private.h"

enum { ANY, ACTIVE, INACTIVE };
enum { BY_NAME, BY_UUID, BY_ID, BY_KEY };
enum { IS_ACTIVE, IS_PERSISTENT, IS_UPDATED, IS_AUTOSTART, HAS_SAVE };

/* ---- which objects ---- */

typedef struct {
    guint active;         /* ANY, ACTIVE, INACTIVE */
    const VireoOp *op;    /* with flags */
    guint64 flags;
} Wanted;

static gboolean has_tree(const VireoObject *object, guint klass)
{
    return vireo_tree_size(vireo_object_tree(object, klass)) > 0;
}

/* What a filter flag of that name says about an object; groups are pairs or sets of such flags. */
typedef enum { G_KIND, G_ACTIVE, G_PERSISTENT, G_STATE, G_AUTOSTART, G_SAVE, G_SNAPSHOT, G_CHECKPOINT, N_GROUPS } Group;

typedef struct {
    const char *name;
    Group group;
} FilterFlag;

static const FilterFlag filter_flags[] = {
    { "ACTIVE", G_ACTIVE },           { "INACTIVE", G_ACTIVE },
    { "PERSISTENT", G_PERSISTENT },   { "TRANSIENT", G_PERSISTENT },
    { "RUNNING", G_STATE },           { "PAUSED", G_STATE },
    { "SHUTOFF", G_STATE },           { "OTHER", G_STATE },
    { "AUTOSTART", G_AUTOSTART },     { "NO_AUTOSTART", G_AUTOSTART },
    { "MANAGEDSAVE", G_SAVE },        { "NO_MANAGEDSAVE", G_SAVE },
    { "HAS_SNAPSHOT", G_SNAPSHOT },   { "NO_SNAPSHOT", G_SNAPSHOT },
    { "HAS_CHECKPOINT", G_CHECKPOINT }, { "NO_CHECKPOINT", G_CHECKPOINT },
};

static const char *state_flag(const VireoObject *object)
{
    switch (object->state) {
    case VIREO_DOMAIN_RUNNING:
        return "RUNNING";
    case VIREO_DOMAIN_PAUSED:
        return "PAUSED";
    case VIREO_DOMAIN_SHUTOFF:
        return "SHUTOFF";
    default:
        return "OTHER";
    }
}

/* The flag of the group that holds for an object. */
static const char *holds(const VireoObject *object, Group group)
{
    switch (group) {
    case G_ACTIVE:
        return vireo_object_is_active(object) ? "ACTIVE" : "INACTIVE";
    case G_PERSISTENT:
        return object->flags & VIREO_OBJECT_PERSISTENT ? "PERSISTENT" : "TRANSIENT";
    case G_STATE:
        return state_flag(object);
    case G_AUTOSTART:
        return object->flags & VIREO_OBJECT_AUTOSTART ? "AUTOSTART" : "NO_AUTOSTART";
    case G_SAVE:
        return object->flags & VIREO_OBJECT_MANAGED_SAVE ? "MANAGEDSAVE" : "NO_MANAGEDSAVE";
    case G_SNAPSHOT:
        return has_tree(object, VIREO_CLASS_DOMAIN_SNAPSHOT) ? "HAS_SNAPSHOT" : "NO_SNAPSHOT";
    default:
        return has_tree(object, VIREO_CLASS_DOMAIN_CHECKPOINT) ? "HAS_CHECKPOINT" : "NO_CHECKPOINT";
    }
}

static Group group_of(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(filter_flags); i++)
        if (strcmp(filter_flags[i].name, name) == 0)
            return filter_flags[i].group;
    return G_KIND;
}

/* Whether a flag of the filter holds for an object. */
static gboolean is_so(const VireoObject *object, const VireoFlag *flag, Group group)
{
    return group == G_KIND ? ((guint32)object->kind & flag->bit) != 0 : strcmp(holds(object, group), flag->name) == 0;
}

static gboolean wanted(const VireoObject *object, gconstpointer opaque)
{
    const Wanted *want = opaque;
    guint asked = 0, met = 0; /* bit per group */

    if (want->active != ANY && vireo_object_is_active(object) != (want->active == ACTIVE))
        return FALSE;
    for (const VireoFlag *flag = want->flags ? want->op->flags : NULL; flag && flag->name; flag++) {
        Group group = group_of(flag->name);

        if (!(want->flags & flag->bit))
            continue;
        asked |= 1u << group;
        if (is_so(object, flag, group))
            met |= 1u << group;
    }
    return asked == met;
}

/* ---- the answers ---- */

static VireoWireArray *list_of(vireo_call *call, const VireoWireField **field)
{
    for (guint i = 0; i < call->op->ret->n_fields; i++)
        if (call->op->ret->fields[i].form == VIREO_WIRE_ARRAY) {
            *field = &call->op->ret->fields[i];
            return (VireoWireArray *)((char *)call->ret + (*field)->offset);
        }
    g_assert_not_reached();
}

static void answer_int(vireo_call *call, gint32 value)
{
    *(gint32 *)((char *)call->ret + call->op->ret->fields[0].offset) = value;
}

static gboolean says_no_kind(const VireoObject *object, gconstpointer unused)
{
    return object->kind == 0;
}

/* A filter by something that was not published is refused: it would look like an empty list. */
static int check_kinds(VireoConn *conn, vireo_call *call, guint klass, guint64 flags)
{
    gboolean have_kinds = klass == VIREO_CLASS_STORAGE_POOL || klass == VIREO_CLASS_NODE_DEVICE;

    for (const VireoFlag *flag = flags ? call->op->flags : NULL; flag && flag->name; flag++) {
        g_autoptr(GPtrArray) silent = NULL;

        if (!(flags & flag->bit) || group_of(flag->name) != G_KIND)
            continue;
        silent = have_kinds ? vireo_space_list(conn->space, klass, says_no_kind, NULL) : NULL;
        if (!silent || silent->len)
            return vireo_call_fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED,
                                   "driver '%s': %s: flag %s is not supported: the driver does not tell this of its objects",
                                   call->driver, call->op->name, flag->name);
    }
    return VIREO_OK;
}

static int list_all(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    Wanted want = { ANY, call->op, vireo_op_get_flags(call->op, call->args) };
    const VireoWireField *field;
    VireoWireArray *list = list_of(call, &field);

    if (check_kinds(conn, call, row->klass, want.flags) != VIREO_OK)
        return VIREO_FAIL;
    g_autoptr(GPtrArray) objects = vireo_space_list(conn->space, row->klass, wanted, &want);
    if (objects->len > field->limit)
        return vireo_call_fail(call, VIREO_ERR_RPC, "%u objects are more than the protocol can list (%u)",
                               objects->len, field->limit);
    list->len = objects->len;
    list->val = vireo_arena_alloc(call->arena, (gsize)objects->len * field->element_size);
    for (guint i = 0; i < objects->len; i++)
        vireo_reference_fill(call, field->type, (char *)list->val + (gsize)i * field->element_size, objects->pdata[i]);
    return VIREO_OK;
}

static int list_names(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    Wanted want = { row->which, call->op, 0 };
    g_autoptr(GPtrArray) objects = vireo_space_list(conn->space, row->klass, wanted, &want);
    const VireoWireField *field;
    VireoWireArray *list = list_of(call, &field);
    char **names;

    list->len = MIN(objects->len, field->limit);
    list->val = names = vireo_arena_alloc(call->arena, (gsize)list->len * sizeof *names);
    for (guint i = 0; i < list->len; i++)
        names[i] = vireo_arena_strdup(call->arena, ((VireoObject *)objects->pdata[i])->name);
    return VIREO_OK;
}

static int list_ids(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    Wanted want = { ACTIVE, call->op, 0 };
    g_autoptr(GPtrArray) objects = vireo_space_list(conn->space, row->klass, wanted, &want);
    const VireoWireField *field;
    VireoWireArray *list = list_of(call, &field);
    gint32 *ids;

    list->len = MIN(objects->len, field->limit);
    list->val = ids = vireo_arena_alloc(call->arena, (gsize)list->len * sizeof *ids);
    for (guint i = 0; i < list->len; i++)
        ids[i] = ((VireoObject *)objects->pdata[i])->id;
    return VIREO_OK;
}

static int count(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    Wanted want = { row->which, call->op, 0 };
    g_autoptr(GPtrArray) objects = vireo_space_list(conn->space, row->klass, wanted, &want);

    answer_int(call, (gint32)objects->len);
    return VIREO_OK;
}

static gboolean has_key(const VireoObject *object, gconstpointer key)
{
    return g_strcmp0(object->key, key) == 0;
}

static int lookup(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    const VireoWireField *by = &call->op->args->fields[call->op->args->n_fields > 1 && row->which == BY_KEY ? 1 : 0];
    const char *key = (const char *)call->args + by->offset;
    g_autoptr(GPtrArray) keyed = NULL;
    g_autoptr(VireoObject) object = NULL;

    switch (row->which) {
    case BY_UUID:
        if (!(object = vireo_space_by_uuid(conn->space, row->klass, (const guint8 *)key)))
            return vireo_refuse_missing(call, row->klass, NULL, (const guint8 *)key);
        break;
    case BY_ID:
        if (!(object = vireo_space_by_id(conn->space, row->klass, *(const gint32 *)key)))
            return vireo_call_fail(call, VIREO_ERR_NO_DOMAIN, "no domain with matching id %d", *(const gint32 *)key);
        break;
    case BY_KEY:
        keyed = vireo_space_list(conn->space, row->klass, has_key, *(char *const *)key);
        if (!keyed->len)
            return vireo_refuse_missing(call, row->klass, *(char *const *)key, NULL);
        object = vireo_object_ref(keyed->pdata[0]);
        break;
    default:
        if (!(object = vireo_space_by_name(conn->space, row->klass, *(char *const *)key)))
            return vireo_refuse_missing(call, row->klass, *(char *const *)key, NULL);
    }
    vireo_reference_fill(call, call->op->ret->fields[0].type, (char *)call->ret + call->op->ret->fields[0].offset,
                         object);
    return VIREO_OK;
}

static int tell(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    static const guint32 bits[] = {
        [IS_PERSISTENT] = VIREO_OBJECT_PERSISTENT, [IS_UPDATED] = VIREO_OBJECT_UPDATED,
        [IS_AUTOSTART] = VIREO_OBJECT_AUTOSTART,   [HAS_SAVE] = VIREO_OBJECT_MANAGED_SAVE,
    };

    answer_int(call, row->which == IS_ACTIVE ? vireo_object_is_active(target->object)
                                             : (target->object->flags & bits[row->which]) != 0);
    return VIREO_OK;
}

static int domain_state(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    vireo_domain_get_state_ret *ret = call->ret;

    ret->state = target->object->state;
    ret->reason = target->object->reason;
    return VIREO_OK;
}

static int domain_info(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    vireo_domain_get_info_ret *ret = call->ret;

    ret->state = (guint8)target->object->state;
    ret->maxMem = target->object->max_memory_kib;
    ret->memory = target->object->memory_kib;
    ret->nrVirtCpu = (guint16)target->object->vcpus;
    return VIREO_OK;
}

static int domain_os_type(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    vireo_domain_get_os_type_ret *ret = call->ret;

    ret->type = target->object->os_type ? target->object->os_type : (char *)"hvm";
    return VIREO_OK;
}

static int domain_max_memory(VireoConn *conn, vireo_call *call, const VireoTarget *target, const VireoServeRow *row)
{
    vireo_domain_get_max_memory_ret *ret = call->ret;

    ret->memory = target->object->max_memory_kib;
    return VIREO_OK;
}

#define ROW(op, fn, class, which) { VIREO_OP_##op, fn, VIREO_CLASS_##class, which }

const VireoServeRow vireo_serve_objects[] = {
    ROW(connect_list_all_domains, list_all, DOMAIN, ANY),
    ROW(connect_list_domains, list_ids, DOMAIN, ACTIVE),
    ROW(connect_list_defined_domains, list_names, DOMAIN, INACTIVE),
    ROW(connect_num_of_domains, count, DOMAIN, ACTIVE),
    ROW(connect_num_of_defined_domains, count, DOMAIN, INACTIVE),
    ROW(domain_lookup_by_id, lookup, DOMAIN, BY_ID),
    ROW(domain_lookup_by_uuid, lookup, DOMAIN, BY_UUID),
    ROW(domain_lookup_by_name, lookup, DOMAIN, BY_NAME),
    ROW(domain_get_state, domain_state, DOMAIN, 0),
    ROW(domain_get_info, domain_info, DOMAIN, 0),
    ROW(domain_get_os_type, domain_os_type, DOMAIN, 0),
    ROW(domain_get_max_memory, domain_max_memory, DOMAIN, 0),
    ROW(domain_is_active, tell, DOMAIN, IS_ACTIVE),
    ROW(domain_is_persistent, tell, DOMAIN, IS_PERSISTENT),
    ROW(domain_is_updated, tell, DOMAIN, IS_UPDATED),
    ROW(domain_get_autostart, tell, DOMAIN, IS_AUTOSTART),
    ROW(domain_has_managed_save_image, tell, DOMAIN, HAS_SAVE),

    ROW(connect_list_all_networks, list_all, NETWORK, ANY),
    ROW(connect_list_networks, list_names, NETWORK, ACTIVE),
    ROW(connect_list_defined_networks, list_names, NETWORK, INACTIVE),
    ROW(connect_num_of_networks, count, NETWORK, ACTIVE),
    ROW(connect_num_of_defined_networks, count, NETWORK, INACTIVE),
    ROW(network_lookup_by_uuid, lookup, NETWORK, BY_UUID),
    ROW(network_lookup_by_name, lookup, NETWORK, BY_NAME),
    ROW(network_is_active, tell, NETWORK, IS_ACTIVE),
    ROW(network_is_persistent, tell, NETWORK, IS_PERSISTENT),
    ROW(network_get_autostart, tell, NETWORK, IS_AUTOSTART),

    ROW(connect_list_all_interfaces, list_all, INTERFACE, ANY),
    ROW(connect_list_interfaces, list_names, INTERFACE, ACTIVE),
    ROW(connect_list_defined_interfaces, list_names, INTERFACE, INACTIVE),
    ROW(connect_num_of_interfaces, count, INTERFACE, ACTIVE),
    ROW(connect_num_of_defined_interfaces, count, INTERFACE, INACTIVE),
    ROW(interface_lookup_by_name, lookup, INTERFACE, BY_NAME),
    ROW(interface_lookup_by_mac_string, lookup, INTERFACE, BY_KEY),
    ROW(interface_is_active, tell, INTERFACE, IS_ACTIVE),

    ROW(connect_list_all_storage_pools, list_all, STORAGE_POOL, ANY),
    ROW(connect_list_storage_pools, list_names, STORAGE_POOL, ACTIVE),
    ROW(connect_list_defined_storage_pools, list_names, STORAGE_POOL, INACTIVE),
    ROW(connect_num_of_storage_pools, count, STORAGE_POOL, ACTIVE),
    ROW(connect_num_of_defined_storage_pools, count, STORAGE_POOL, INACTIVE),
    ROW(storage_pool_lookup_by_uuid, lookup, STORAGE_POOL, BY_UUID),
    ROW(storage_pool_lookup_by_name, lookup, STORAGE_POOL, BY_NAME),
    ROW(storage_pool_is_active, tell, STORAGE_POOL, IS_ACTIVE),
    ROW(storage_pool_is_persistent, tell, STORAGE_POOL, IS_PERSISTENT),
    ROW(storage_pool_get_autostart, tell, STORAGE_POOL, IS_AUTOSTART),

    ROW(connect_list_all_secrets, list_all, SECRET, ANY),
    ROW(connect_num_of_secrets, count, SECRET, ANY),
    ROW(secret_lookup_by_uuid, lookup, SECRET, BY_UUID),
    ROW(secret_lookup_by_usage, lookup, SECRET, BY_KEY),

    ROW(connect_list_all_nwfilters, list_all, NWFILTER, ANY),
    ROW(connect_list_nwfilters, list_names, NWFILTER, ANY),
    ROW(connect_num_of_nwfilters, count, NWFILTER, ANY),
    ROW(nwfilter_lookup_by_uuid, lookup, NWFILTER, BY_UUID),
    ROW(nwfilter_lookup_by_name, lookup, NWFILTER, BY_NAME),

    ROW(connect_list_all_node_devices, list_all, NODE_DEVICE, ANY),
    ROW(node_num_of_devices, count, NODE_DEVICE, ANY),
    ROW(node_list_devices, list_names, NODE_DEVICE, ANY),
    ROW(node_device_lookup_by_name, lookup, NODE_DEVICE, BY_NAME),
    { 0 },
};
