/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The far end: near ends, and what all of them are told. What one of them asks for is in serve.c.
 */
#include "far/server.h"

#include <string.h>
#include <unistd.h>

#include "far/serve.h"
#include "ops/codec.h"

struct VireoFarServer {
    VireoRouter *router;
    VireoFarServerGone gone;
    gpointer opaque;
    VireoFarHello hello;
    GMutex lock; /* what follows; comes after the locks of core and space */
    GCond left;
    GPtrArray *spaces; /* Tapped; number - 1 is the index */
    GPtrArray *nears;  /* Near */
    guint n_serving;   /* of them, and of those that are just going */
    gboolean ready;
    guint n_conns;
};

/* The tap's opaque: a space and its number. */
typedef struct {
    VireoFarServer *server;
    vireo_space *space;
    guint32 number;
} Tapped;

/* One near end as the server sees it. */
typedef struct {
    VireoFarServer *server;
    VireoFarChannel *channel;
    GHashTable *told; /* numbers of the spaces it knows */
    gboolean synced;
} Near;

/* space 0: to everybody. Sending does not block, so the lock may be held. */
static void tell(VireoFarServer *server, VireoFarKind kind, guint32 id, guint32 space,
                 const GByteArray *body)
{
    g_mutex_lock(&server->lock);
    for (guint i = 0; i < server->nears->len; i++) {
        const Near *near = server->nears->pdata[i];

        if (!space || g_hash_table_contains(near->told, GUINT_TO_POINTER(space)))
            vireo_far_channel_send(near->channel, kind, 0, id, body, NULL, 0);
    }
    g_mutex_unlock(&server->lock);
}

static void tell_struct(VireoFarServer *server, VireoFarKind kind, guint32 space,
                        const VireoWireType *type, gconstpointer what)
{
    g_autoptr(GByteArray) body = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    if (vireo_wire_encode(type, what, body, &error))
        tell(server, kind, space, space, body);
    else
        g_log("vireo", G_LOG_LEVEL_WARNING, "driver '%s': %s cannot be passed on: %s",
              server->hello.name, vireo_far_kind_name(kind), error->message);
}

/* ---- connections ---- */

void vireo_far_server_count(VireoFarServer *server, int more)
{
    g_mutex_lock(&server->lock);
    server->n_conns += (guint)more;
    g_mutex_unlock(&server->lock);
}

guint vireo_far_server_n_conns(VireoFarServer *server)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    return server->n_conns;
}

/* ---- spaces ---- */

guint32 vireo_far_server_space(VireoFarServer *server, const vireo_space *space)
{
    guint32 number = 0;

    g_mutex_lock(&server->lock);
    for (guint i = 0; i < server->spaces->len && !number; i++)
        if (((const Tapped *)server->spaces->pdata[i])->space == space)
            number = i + 1;
    g_mutex_unlock(&server->lock);
    return number;
}

static void published(vireo_space *space, const struct vireo_object *object, gpointer opaque)
{
    const Tapped *tapped = opaque;

    tell_struct(tapped->server, VIREO_FAR_PUBLISH, tapped->number, &vireo_far_type_object, object);
}

static void withdrawn(vireo_space *space, guint klass, const char *name, const guint8 *uuid,
                      gpointer opaque)
{
    const Tapped *tapped = opaque;
    VireoFarWithdraw what = {.klass = klass, .name = (char *)name, .has_uuid = uuid != NULL};

    if (uuid)
        memcpy(what.uuid, uuid, sizeof what.uuid);
    tell_struct(tapped->server, VIREO_FAR_WITHDRAW, tapped->number, &vireo_far_type_withdraw,
                &what);
}

static VireoFarTree tree_message(guint klass, const guint8 *uuid, guint n,
                                 const struct vireo_tree_node *nodes)
{
    VireoFarTree tree = {.klass = klass, .nodes = {n, (struct vireo_tree_node *)nodes}};

    memcpy(tree.uuid, uuid, sizeof tree.uuid);
    return tree;
}

static void tree(vireo_space *space, guint klass, const guint8 *uuid, guint n,
                 const struct vireo_tree_node *nodes, gpointer opaque)
{
    const Tapped *tapped = opaque;
    VireoFarTree what = tree_message(klass, uuid, n, nodes);

    tell_struct(tapped->server, VIREO_FAR_TREE, tapped->number, &vireo_far_type_tree, &what);
}

static void node(vireo_space *space, guint klass, const guint8 *uuid, const struct vireo_tree_node *one,
                 gpointer opaque)
{
    const Tapped *tapped = opaque;
    VireoFarTree what = tree_message(klass, uuid, 1, one);

    tell_struct(tapped->server, VIREO_FAR_NODE, tapped->number, &vireo_far_type_tree, &what);
}

static void node_withdrawn(vireo_space *space, guint klass, const guint8 *uuid, const char *name, gpointer opaque)
{
    const Tapped *tapped = opaque;
    VireoFarNodeWithdraw what = {.klass = klass, .name = (char *)name};

    memcpy(what.uuid, uuid, sizeof what.uuid);
    tell_struct(tapped->server, VIREO_FAR_NODE_WITHDRAW, tapped->number, &vireo_far_type_node_withdraw, &what);
}

static void event(vireo_space *space, guint32 id, gconstpointer msg, gpointer opaque)
{
    const Tapped *tapped = opaque;
    const VireoOp *op = vireo_op_by_id(id);
    g_autoptr(GByteArray) body = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    if (!op || op->kind != VIREO_OP_EVENT ||
        !vireo_wire_encode(&vireo_far_type_event, &(VireoFarEvent){tapped->number}, body, &error) ||
        !vireo_wire_encode(op->ret, msg, body, &error)) {
        g_log("vireo", G_LOG_LEVEL_WARNING, "driver '%s': event %u cannot be passed on: %s",
              tapped->server->hello.name, id, error ? error->message : "there is no such event");
        return;
    }
    tell(tapped->server, VIREO_FAR_EVENT, id, tapped->number, body);
}

static const VireoSpaceTap tap = {published, withdrawn, tree, node, node_withdrawn, event};

/* With the lock held. */
static void name_space(Near *near, guint32 number, const vireo_space *space)
{
    VireoFarSpace what = {(char *)vireo_space_name(space)};

    g_hash_table_add(near->told, GUINT_TO_POINTER(number));
    vireo_far_channel_tell(near->channel, VIREO_FAR_SPACE, 0, number, &vireo_far_type_space, &what);
}

static void space_made(vireo_space *space, gpointer opaque)
{
    VireoFarServer *server = opaque;
    Tapped *tapped = g_new(Tapped, 1);

    g_mutex_lock(&server->lock);
    g_ptr_array_add(server->spaces, tapped);
    *tapped = (Tapped){server, space, server->spaces->len};
    vireo_space_set_tap(space, &tap, tapped);
    for (guint i = 0; i < server->nears->len; i++)
        name_space(server->nears->pdata[i], tapped->number, space);
    g_mutex_unlock(&server->lock);
}

/* ---- what a new near end is told ---- */

typedef struct {
    Near *near;
    guint32 number;
} Telling;

static void tell_object(const Telling *telling, const VireoObject *object)
{
    static const guint tree_classes[] = {VIREO_CLASS_DOMAIN_SNAPSHOT,
                                         VIREO_CLASS_DOMAIN_CHECKPOINT};
    VireoFarChannel *channel = telling->near->channel;
    struct vireo_object what;

    vireo_object_describe(object, &what);
    what.flags |= VIREO_OBJECT_QUIET;
    vireo_far_channel_tell(channel, VIREO_FAR_PUBLISH, 0, telling->number, &vireo_far_type_object,
                           &what);
    for (guint i = 0; i < G_N_ELEMENTS(tree_classes); i++) {
        VireoTree *own = vireo_object_tree(object, tree_classes[i]);
        g_autoptr(GArray) nodes = own ? vireo_tree_describe(own) : NULL;
        VireoFarTree message;

        if (!own)
            continue;
        message = tree_message(tree_classes[i], object->uuid, nodes->len,
                               (struct vireo_tree_node *)(void *)nodes->data);
        vireo_far_channel_tell(channel, VIREO_FAR_TREE, 0, telling->number, &vireo_far_type_tree,
                               &message);
    }
}

/* The space does not change meanwhile: what comes later reaches the near end by the tap. */
static void tell_space(vireo_space *space, gpointer opaque)
{
    const Telling *telling = opaque;
    VireoFarServer *server = telling->near->server;
    gboolean known;

    g_mutex_lock(&server->lock);
    known = g_hash_table_contains(telling->near->told, GUINT_TO_POINTER(telling->number));
    if (!known)
        name_space(telling->near, telling->number, space);
    g_mutex_unlock(&server->lock);
    for (guint klass = 0; !known && klass <= VIREO_CLASS_ADMIN_CLIENT; klass++) {
        g_autoptr(GPtrArray) objects = vireo_space_list(space, klass, NULL, NULL);

        for (guint i = 0; i < objects->len; i++)
            tell_object(telling, objects->pdata[i]);
    }
}

static void near_free(gpointer data)
{
    Near *near = data;

    vireo_far_channel_unref(near->channel);
    g_hash_table_unref(near->told);
    g_free(near);
}

static void forget(VireoFarServer *server)
{
    g_mutex_lock(&server->lock);
    server->n_serving--;
    g_cond_broadcast(&server->left);
    g_mutex_unlock(&server->lock);
}

static void gone(VireoFarChannel *channel, gboolean last, gpointer opaque)
{
    VireoFarServer *server = opaque;
    guint left;

    if (last)
        return forget(server);
    g_mutex_lock(&server->lock);
    for (guint i = 0; i < server->nears->len; i++)
        if (((Near *)server->nears->pdata[i])->channel == channel)
            g_ptr_array_remove_index_fast(server->nears, i--);
    left = server->nears->len;
    g_mutex_unlock(&server->lock);
    if (server->gone)
        server->gone(server, left, server->opaque);
}

/* A new near end learns what there is, space by space; what changes meanwhile in the others comes
 * later. */
static void introduce(VireoFarServer *server, Near *near)
{
    g_autoptr(GPtrArray) spaces = g_ptr_array_new();

    g_mutex_lock(&server->lock);
    server->n_serving++;
    g_ptr_array_add(server->nears, near);
    for (guint i = 0; i < server->spaces->len; i++)
        g_ptr_array_add(spaces, server->spaces->pdata[i]);
    g_mutex_unlock(&server->lock);
    for (guint i = 0; i < spaces->len; i++) {
        const Tapped *tapped = spaces->pdata[i];

        vireo_space_hold(tapped->space, tell_space, &(Telling){near, tapped->number});
    }
    g_mutex_lock(&server->lock);
    near->synced = TRUE;
    if (server->ready)
        vireo_far_channel_send(near->channel, VIREO_FAR_SYNC_END, 0, 0, NULL, NULL, 0);
    g_mutex_unlock(&server->lock);
}

void vireo_far_server_add(VireoFarServer *server, int fd)
{
    Near *near = g_new0(Near, 1);
    g_autoptr(VireoFarChannel) channel = vireo_far_channel_new(fd);

    near->server = server;
    near->channel = vireo_far_channel_ref(channel);
    near->told = g_hash_table_new(NULL, NULL);
    vireo_far_channel_tell(channel, VIREO_FAR_HELLO, 0, 0, &vireo_far_type_hello, &server->hello);
    vireo_far_channel_send(channel, VIREO_FAR_SYNC_BEGIN, 0, 0, NULL, NULL, 0);
    introduce(server, near);
    vireo_far_serve(server, server->router, channel, gone, server);
}

void vireo_far_server_ready(VireoFarServer *server)
{
    g_mutex_lock(&server->lock);
    server->ready = TRUE;
    for (guint i = 0; i < server->nears->len; i++) {
        const Near *near = server->nears->pdata[i];

        if (near->synced)
            vireo_far_channel_send(near->channel, VIREO_FAR_SYNC_END, 0, 0, NULL, NULL, 0);
    }
    g_mutex_unlock(&server->lock);
}

/* ---- words ---- */

/* As much of the text as may travel. */
static char *cut_off(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, MIN(strlen(text), VIREO_FAR_TEXT_MAX / 4));

    return g_steal_pointer(&valid);
}

void vireo_far_server_goodbye(VireoFarServer *server, const char *reason)
{
    g_autofree char *text = cut_off(reason);

    tell_struct(server, VIREO_FAR_GOODBYE, 0, &vireo_far_type_goodbye, &(VireoFarGoodbye){0, text});
}

void vireo_far_server_log(VireoFarServer *server, int prio, const char *text)
{
    g_autofree char *line = cut_off(text);

    tell_struct(server, VIREO_FAR_LOG, 0, &vireo_far_type_log, &(VireoFarLog){prio, line});
}

/* ---- from beginning to end ---- */

static void list_rows(VireoFarHello *hello, VireoBackendRow row, gconstpointer table)
{
    g_free(hello->rows.val);
    hello->rows.len = 0;
    hello->rows.val = g_new0(VireoFarRow, vireo_n_ops);
    for (guint i = 0; i < vireo_n_ops; i++) {
        const struct vireo_op *from =
            vireo_ops[i].kind == VIREO_OP_CALL ? row(table, vireo_ops[i].id) : NULL;

        if (from)
            hello->rows.val[hello->rows.len++] =
                (VireoFarRow){from->id, from->native, from->trivial, from->active, from->inactive};
    }
}

VireoFarServer *vireo_far_server_new(VireoRouter *router, VireoFarServerGone report,
                                     gpointer opaque)
{
    VireoFarServer *server = g_new0(VireoFarServer, 1);

    server->router = router;
    server->gone = report;
    server->opaque = opaque;
    g_mutex_init(&server->lock);
    g_cond_init(&server->left);
    server->spaces = g_ptr_array_new_with_free_func(g_free);
    server->nears = g_ptr_array_new_with_free_func(near_free);
    vireo_host_watch_spaces(vireo_router_host(router), space_made, server);
    return server;
}

void vireo_far_server_set_driver(VireoFarServer *server, const char *core_version, const char *name,
                                 const char *version, const char *schemes, guint threads,
                                 VireoBackendRow row, gconstpointer table)
{
    server->hello.protocol = VIREO_FAR_PROTOCOL;
    server->hello.core = (char *)core_version;
    server->hello.name = (char *)name;
    server->hello.version = (char *)version;
    server->hello.schemes = (char *)schemes;
    server->hello.threads = threads;
    server->hello.pid = getpid();
    list_rows(&server->hello, row, table);
}

static void untap(vireo_space *space, gpointer opaque)
{
    vireo_space_set_tap(space, NULL, NULL);
}

void vireo_far_server_free(VireoFarServer *server)
{
    if (!server)
        return;
    vireo_host_watch_spaces(vireo_router_host(server->router), NULL, NULL);
    g_mutex_lock(&server->lock);
    for (guint i = 0; i < server->nears->len; i++)
        vireo_far_channel_cut(((Near *)server->nears->pdata[i])->channel);
    while (server->n_serving)
        g_cond_wait(&server->left, &server->lock);
    g_mutex_unlock(&server->lock);
    for (guint i = 0; i < server->spaces->len; i++)
        vireo_space_hold(((Tapped *)server->spaces->pdata[i])->space, untap, NULL);
    g_ptr_array_unref(server->nears);
    g_ptr_array_unref(server->spaces);
    g_cond_clear(&server->left);
    g_mutex_clear(&server->lock);
    g_free(server->hello.rows.val);
    g_free(server);
}
