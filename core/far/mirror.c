/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "far/mirror.h"

#include <string.h>

#include "ops/codec.h"
#include "util/uuid.h"

#define SPACES_MAX  4096
#define OBJECTS_MAX 262144 /* of all spaces */
#define OBJECT_FLAGS                                                                               \
    (VIREO_OBJECT_PERSISTENT | VIREO_OBJECT_AUTOSTART | VIREO_OBJECT_UPDATED |                     \
     VIREO_OBJECT_MANAGED_SAVE | VIREO_OBJECT_ACTIVE | VIREO_OBJECT_QUIET)

typedef struct {
    vireo_space *space;
    GHashTable
        *seen; /* marks of what was named since the far end began; NULL: nothing is to be swept */
    guint awaited;
    gboolean
        unsure; /* a connection could not be opened again: who knows what it would have shown */
} Space;

struct VireoFarMirror {
    vireo_core *core;
    GHashTable *by_name;   /* Space */
    GHashTable *by_number; /* Space; of the present far end */
    guint n_objects;
    gboolean telling;
};

static void space_free(gpointer data)
{
    Space *space = data;

    g_clear_pointer(&space->seen, g_hash_table_unref);
    g_free(space);
}

VireoFarMirror *vireo_far_mirror_new(vireo_core *core)
{
    VireoFarMirror *mirror = g_new0(VireoFarMirror, 1);

    mirror->core = core;
    mirror->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, space_free);
    mirror->by_number = g_hash_table_new(NULL, NULL);
    return mirror;
}

void vireo_far_mirror_free(VireoFarMirror *mirror)
{
    if (!mirror)
        return;
    g_hash_table_unref(mirror->by_number);
    g_hash_table_unref(mirror->by_name);
    g_free(mirror);
}

/* ---- marks ---- */

static void mark_object(Space *space, guint klass, const char *name)
{
    if (space->seen)
        g_hash_table_add(space->seen, g_strdup_printf("%u %s", klass, name));
}

static void mark_tree(Space *space, guint klass, const guint8 *uuid)
{
    char text[VIREO_UUID_TEXT];

    vireo_uuid_format(uuid, text);
    mark_object(space, klass, text);
}

static gboolean is_marked(const Space *space, guint klass, const char *name)
{
    g_autofree char *mark = g_strdup_printf("%u %s", klass, name);

    return g_hash_table_contains(space->seen, mark);
}

static void sweep_trees(const Space *space, const VireoObject *domain)
{
    static const guint classes[] = {VIREO_CLASS_DOMAIN_SNAPSHOT, VIREO_CLASS_DOMAIN_CHECKPOINT};
    char text[VIREO_UUID_TEXT];

    vireo_uuid_format(domain->uuid, text);
    for (guint i = 0; i < G_N_ELEMENTS(classes); i++)
        if (vireo_object_tree(domain, classes[i]) && !is_marked(space, classes[i], text))
            vireo_space_publish_tree(space->space, classes[i], domain->uuid, 0, NULL);
}

static void sweep(VireoFarMirror *mirror, Space *space)
{
    for (guint klass = 0; !space->unsure && klass <= VIREO_CLASS_ADMIN_CLIENT; klass++) {
        g_autoptr(GPtrArray) objects = vireo_space_list(space->space, klass, NULL, NULL);

        for (guint i = 0; i < objects->len; i++) {
            const VireoObject *object = objects->pdata[i];

            if (is_marked(space, klass, object->name)) {
                sweep_trees(space, object);
                continue;
            }
            vireo_space_withdraw(space->space, klass, object->name,
                                 vireo_object_has_uuid(object) ? object->uuid : NULL);
            mirror->n_objects--;
        }
    }
    space->unsure = FALSE;
    g_clear_pointer(&space->seen, g_hash_table_unref);
}

static void sweep_when_due(VireoFarMirror *mirror, Space *space)
{
    if (space->seen && !mirror->telling && !space->awaited)
        sweep(mirror, space);
}

void vireo_far_mirror_begin(VireoFarMirror *mirror)
{
    GHashTableIter iter;
    gpointer space;

    mirror->telling = TRUE;
    g_hash_table_remove_all(mirror->by_number);
    g_hash_table_iter_init(&iter, mirror->by_name);
    while (g_hash_table_iter_next(&iter, NULL, &space)) {
        Space *at = space;

        g_clear_pointer(&at->seen, g_hash_table_unref);
        at->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        at->awaited = 0;
        at->unsure = FALSE;
    }
}

void vireo_far_mirror_end(VireoFarMirror *mirror)
{
    GHashTableIter iter;
    gpointer space;

    mirror->telling = FALSE;
    g_hash_table_iter_init(&iter, mirror->by_name);
    while (g_hash_table_iter_next(&iter, NULL, &space))
        sweep_when_due(mirror, space);
}

static Space *find(VireoFarMirror *mirror, vireo_space *space)
{
    return space ? g_hash_table_lookup(mirror->by_name, vireo_space_name(space)) : NULL;
}

void vireo_far_mirror_await(VireoFarMirror *mirror, vireo_space *space)
{
    Space *at = find(mirror, space);

    if (at)
        at->awaited++;
}

void vireo_far_mirror_settle(VireoFarMirror *mirror, vireo_space *space, gboolean told)
{
    Space *at = find(mirror, space);

    if (!at || !at->awaited)
        return;
    at->awaited--;
    at->unsure |= !told;
    sweep_when_due(mirror, at);
}

vireo_space *vireo_far_mirror_space(VireoFarMirror *mirror, guint32 number)
{
    const Space *space = g_hash_table_lookup(mirror->by_number, GUINT_TO_POINTER(number));

    return space ? space->space : NULL;
}

/* ---- messages ---- */

static gboolean take_space(VireoFarMirror *mirror, const VireoFarMessage *message,
                           VireoArena *arena, GError **error)
{
    VireoFarSpace told;
    Space *space;

    if (!vireo_far_message_read(message, &vireo_far_type_space, arena, &told, NULL, error))
        return FALSE;
    if (!message->id || g_hash_table_contains(mirror->by_number, GUINT_TO_POINTER(message->id)))
        return vireo_far_refuse(error, "names space %u twice", message->id);
    if (g_hash_table_size(mirror->by_number) >= SPACES_MAX)
        return vireo_far_refuse(error, "makes more than %u spaces", SPACES_MAX);
    space = g_hash_table_lookup(mirror->by_name, told.name);
    if (!space) {
        space = g_new0(Space, 1);
        space->space = vireo_core_space(mirror->core, told.name);
        g_hash_table_insert(mirror->by_name, (char *)vireo_space_name(space->space), space);
    }
    g_hash_table_insert(mirror->by_number, GUINT_TO_POINTER(message->id), space);
    return TRUE;
}

static gboolean is_object_class(guint klass)
{
    return klass >= VIREO_CLASS_DOMAIN && klass <= VIREO_CLASS_ADMIN_CLIENT;
}

static gboolean take_object(VireoFarMirror *mirror, Space *space, const VireoFarMessage *message,
                            VireoArena *arena, GError **error)
{
    struct vireo_object object;
    g_autoptr(VireoObject) before = NULL;

    if (!vireo_far_message_read(message, &vireo_far_type_object, arena, &object, NULL, error))
        return FALSE;
    if (!is_object_class(object.klass) || !*object.name || object.flags & ~(guint32)OBJECT_FLAGS)
        return vireo_far_refuse(error, "publishes what is no object (class %u, name '%s', flags 0x%x)",
                                object.klass, object.name, object.flags);
    before = vireo_space_by_name(space->space, object.klass, object.name);
    if (!before && ++mirror->n_objects > OBJECTS_MAX)
        return vireo_far_refuse(error, "publishes more than %u objects", OBJECTS_MAX);
    object.size = sizeof object;
    /* Quiet for a far end that starts; but who is here already wants to know what changed
     * meanwhile. */
    if (space->seen)
        object.flags &= ~(guint32)VIREO_OBJECT_QUIET;
    mark_object(space, object.klass, object.name);
    vireo_space_publish(space->space, &object);
    return TRUE;
}

static gboolean take_withdrawal(VireoFarMirror *mirror, Space *space,
                                const VireoFarMessage *message, VireoArena *arena, GError **error)
{
    VireoFarWithdraw what;

    if (!vireo_far_message_read(message, &vireo_far_type_withdraw, arena, &what, NULL, error))
        return FALSE;
    if (!is_object_class(what.klass) || (!what.name && !what.has_uuid))
        return vireo_far_refuse(error, "withdraws what is no object (class %u)", what.klass);
    if (mirror->n_objects)
        mirror->n_objects--;
    vireo_space_withdraw(space->space, what.klass, what.name, what.has_uuid ? what.uuid : NULL);
    return TRUE;
}

static gboolean is_tree_class(guint klass)
{
    return klass == VIREO_CLASS_DOMAIN_SNAPSHOT || klass == VIREO_CLASS_DOMAIN_CHECKPOINT;
}

static gboolean are_named(const VireoFarTree *tree)
{
    for (guint i = 0; i < tree->nodes.len; i++)
        if (!*tree->nodes.val[i].name)
            return FALSE;
    return TRUE;
}

static gboolean read_tree(const VireoFarMessage *message, VireoArena *arena, VireoFarTree *tree,
                          GError **error)
{
    if (!vireo_far_message_read(message, &vireo_far_type_tree, arena, tree, NULL, error))
        return FALSE;
    if (!is_tree_class(tree->klass) || !are_named(tree) ||
        !vireo_tree_is_forest(tree->nodes.len, tree->nodes.val))
        return vireo_far_refuse(error, "publishes a tree of class %u with %u nodes that is none",
                                tree->klass, tree->nodes.len);
    for (guint i = 0; i < tree->nodes.len; i++)
        tree->nodes.val[i].size = sizeof *tree->nodes.val;
    return TRUE;
}

static gboolean take_tree(Space *space, const VireoFarMessage *message, VireoArena *arena,
                          GError **error)
{
    VireoFarTree tree;

    if (!read_tree(message, arena, &tree, error))
        return FALSE;
    mark_tree(space, tree.klass, tree.uuid);
    vireo_space_publish_tree(space->space, tree.klass, tree.uuid, tree.nodes.len, tree.nodes.val);
    return TRUE;
}

/* What an earlier far end published of a tree is not what this one adds to. */
static void begin_tree(Space *space, guint klass, const guint8 *uuid)
{
    char text[VIREO_UUID_TEXT];

    if (!space->seen)
        return;
    vireo_uuid_format(uuid, text);
    if (!is_marked(space, klass, text))
        vireo_space_publish_tree(space->space, klass, uuid, 0, NULL);
    mark_tree(space, klass, uuid);
}

static gboolean take_node(Space *space, const VireoFarMessage *message, VireoArena *arena,
                          GError **error)
{
    g_autoptr(VireoObject) domain = NULL;
    const VireoTree *there;
    VireoFarTree tree;

    if (!read_tree(message, arena, &tree, error))
        return FALSE;
    if (tree.nodes.len != 1)
        return vireo_far_refuse(error, "publishes %u nodes as one", tree.nodes.len);
    domain = vireo_space_by_uuid(space->space, VIREO_CLASS_DOMAIN, tree.uuid);
    there = domain ? vireo_object_tree(domain, tree.klass) : NULL;
    if (vireo_tree_size(there) >= VIREO_FAR_NODES_MAX && !vireo_tree_find(there, tree.nodes.val->name))
        return vireo_far_refuse(error, "publishes more than %u nodes of one tree", VIREO_FAR_NODES_MAX);
    begin_tree(space, tree.klass, tree.uuid);
    return vireo_space_publish_node(space->space, tree.klass, tree.uuid, tree.nodes.val) ||
           vireo_far_refuse(error, "publishes node '%s' below itself", tree.nodes.val->name);
}

static gboolean take_node_withdrawal(Space *space, const VireoFarMessage *message, VireoArena *arena,
                                     GError **error)
{
    VireoFarNodeWithdraw what;

    if (!vireo_far_message_read(message, &vireo_far_type_node_withdraw, arena, &what, NULL, error))
        return FALSE;
    if (!is_tree_class(what.klass))
        return vireo_far_refuse(error, "withdraws a node of class %u", what.klass);
    begin_tree(space, what.klass, what.uuid);
    vireo_space_withdraw_node(space->space, what.klass, what.uuid, what.name);
    return TRUE;
}

static gboolean take_event(VireoFarMirror *mirror, const VireoFarMessage *message,
                           VireoArena *arena, GError **error)
{
    const VireoOp *op = vireo_op_by_id(message->id);
    VireoFarEvent head;
    vireo_space *space;
    gpointer msg;
    gsize used, more = 0;

    if (!op || op->kind != VIREO_OP_EVENT || !op->ret)
        return vireo_far_refuse(error, "raises %u, which is no event", message->id);
    if (!vireo_far_message_read(message, &vireo_far_type_event, arena, &head, &used, error))
        return FALSE;
    msg = vireo_arena_alloc(arena, op->ret->size);
    if (!vireo_wire_decode(op->ret, message->body + used, message->size - used, arena, msg, &more,
                           error))
        return FALSE;
    space = vireo_far_mirror_space(mirror, head.space);
    if (!space || used + more != message->size)
        return vireo_far_refuse(error, "raises %s in space %u, which it has not named", op->name,
                                head.space);
    vireo_space_event(space, message->id, msg);
    return TRUE;
}

gboolean vireo_far_mirror_take(VireoFarMirror *mirror, const VireoFarMessage *message,
                               GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    Space *space;

    if (message->kind == VIREO_FAR_SPACE)
        return take_space(mirror, message, arena, error);
    if (message->kind == VIREO_FAR_EVENT)
        return take_event(mirror, message, arena, error);
    space = g_hash_table_lookup(mirror->by_number, GUINT_TO_POINTER(message->id));
    if (!space)
        return vireo_far_refuse(error, "publishes in space %u, which it has not named", message->id);
    if (message->kind == VIREO_FAR_PUBLISH)
        return take_object(mirror, space, message, arena, error);
    if (message->kind == VIREO_FAR_WITHDRAW)
        return take_withdrawal(mirror, space, message, arena, error);
    if (message->kind == VIREO_FAR_NODE)
        return take_node(space, message, arena, error);
    if (message->kind == VIREO_FAR_NODE_WITHDRAW)
        return take_node_withdrawal(space, message, arena, error);
    return take_tree(space, message, arena, error);
}
