/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of services: thin, each handing over to the file that does the work. */
#include <string.h>

#include "host/call.h"
#include "host/core-private.h"
#include "host/given.h"

static void service_log(vireo_core *core, int prio, const char *where, const char *format, ...)
{
    static const GLogLevelFlags levels[] = { G_LOG_LEVEL_DEBUG, G_LOG_LEVEL_INFO, G_LOG_LEVEL_WARNING,
                                             G_LOG_LEVEL_WARNING };
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_log("vireo", levels[CLAMP(prio, 0, 3)], "%s: %s%s%s", core->name, where ? where : "", where ? ": " : "", text);
    if (prio < VIREO_LOG_WARNING)
        return;
    g_mutex_lock(&core->lock);
    g_free(core->last_error);
    core->last_error = g_steal_pointer(&text);
    g_mutex_unlock(&core->lock);
}

static int service_fail(vireo_call *call, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vireo_call_vfail(call, code, format, args);
    va_end(args);
    return VIREO_FAIL;
}

static void *service_alloc(vireo_call *call, size_t size)
{
    return vireo_arena_alloc(call->arena, size);
}

static char *service_strdup(vireo_call *call, const char *text)
{
    return vireo_arena_strdup(call->arena, text);
}

static const char *service_dir(vireo_core *core, int which)
{
    return which >= 0 && which <= VIREO_DIR_CACHE ? core->dirs[which] : NULL;
}

static const char *service_config(vireo_core *core, const char *group, const char *key)
{
    g_autofree char *value = NULL;

    if (!core->config)
        return NULL;
    value = g_key_file_get_string(core->config, group, key, NULL);
    return g_intern_string(value);
}

static const char *service_identity(vireo_call *call, const char *what)
{
    return call->identity_get ? call->identity_get(call->identity, what) : NULL;
}

static int service_cancelled(vireo_call *call)
{
    return vireo_call_is_cancelled(call);
}

static void service_complete(vireo_call *call, int status)
{
    if (!vireo_call_finish(call, status))
        g_warning("driver '%s': %s was completed twice", call->driver, call->op->name);
}

static void service_progress(vireo_call *call, uint64_t done, uint64_t total, const char *what)
{
    if (call->on_progress) {
        call->on_progress(call, done, total, what);
        return;
    }
    g_debug("%s: %s: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " %s", call->driver, call->op->name, done,
            total, what ? what : "");
}

static void emit(vireo_space *space, guint32 event, gconstpointer msg, gpointer opaque)
{
    vireo_core *core = opaque;

    vireo_event_emit(vireo_host_events(core->host), space, event, msg);
}

vireo_space *vireo_core_space(vireo_core *core, const char *name)
{
    vireo_space *space;

    g_mutex_lock(&core->lock);
    space = g_hash_table_lookup(core->spaces, name);
    if (!space) {
        space = vireo_space_new(name, emit, core);
        vireo_host_space_made(core->host, space);
        g_hash_table_insert(core->spaces, (gpointer)vireo_space_name(space), space);
    }
    g_mutex_unlock(&core->lock);
    return space;
}

static void service_publish(vireo_space *space, const struct vireo_object *given)
{
    struct vireo_object object;

    if (!vireo_given_copy(&object, sizeof object, VIREO_OBJECT_LEAST, given))
        g_warning("%s: an object was published whose size is %u, less than ABI 1.0 has", vireo_space_name(space),
                  given->size);
    else if (object.klass == VIREO_CLASS_NONE || object.klass > VIREO_CLASS_ADMIN_CLIENT)
        g_debug("%s: objects of class %u are unknown here and left out", vireo_space_name(space), object.klass);
    else
        vireo_space_publish(space, &object);
}

static void service_withdraw(vireo_space *space, uint32_t klass, const char *name, const uint8_t uuid[16])
{
    vireo_space_withdraw(space, klass, name, uuid);
}

static gboolean is_tree_class(vireo_space *space, guint32 klass)
{
    if (klass == VIREO_CLASS_DOMAIN_SNAPSHOT || klass == VIREO_CLASS_DOMAIN_CHECKPOINT)
        return TRUE;
    g_debug("%s: trees of class %u are unknown here and left out", vireo_space_name(space), klass);
    return FALSE;
}

static gboolean take_node(vireo_space *space, struct vireo_tree_node *node, const void *given)
{
    if (vireo_given_copy(node, sizeof *node, VIREO_TREE_NODE_LEAST, given))
        return TRUE;
    g_warning("%s: a tree was published whose nodes' size is less than ABI 1.0 has", vireo_space_name(space));
    return FALSE;
}

static void service_publish_tree(vireo_space *space, uint32_t klass, const uint8_t uuid[16], uint32_t n,
                                 const struct vireo_tree_node *given)
{
    g_autofree struct vireo_tree_node *nodes = g_new(struct vireo_tree_node, MAX(n, 1));

    if (!is_tree_class(space, klass))
        return;
    for (guint i = 0; i < n; i++)
        if (!take_node(space, &nodes[i], (const char *)given + (gsize)i * given->size))
            return;
    if (vireo_tree_is_forest(n, nodes))
        vireo_space_publish_tree(space, klass, uuid, n, nodes);
    else
        g_warning("%s: a tree was published in which a name is twice, or a node below itself; it is left out",
                  vireo_space_name(space));
}

static void service_publish_node(vireo_space *space, uint32_t klass, const uint8_t uuid[16],
                                 const struct vireo_tree_node *given)
{
    struct vireo_tree_node node;

    if (is_tree_class(space, klass) && take_node(space, &node, given) &&
        !vireo_space_publish_node(space, klass, uuid, &node))
        g_warning("%s: node '%s' was published below '%s', which is below it; it is left out",
                  vireo_space_name(space), node.name, node.parent);
}

static void service_withdraw_node(vireo_space *space, uint32_t klass, const uint8_t uuid[16], const char *name)
{
    if (is_tree_class(space, klass))
        vireo_space_withdraw_node(space, klass, uuid, name);
}

static uint64_t service_watch(vireo_core *core, int fd, int events, vireo_watch_fn *fn, void *opaque)
{
    return vireo_io_watch(vireo_core_io(core), fd, events, fn, opaque);
}

static uint64_t service_timer(vireo_core *core, uint32_t milliseconds, vireo_timer_fn *fn, void *opaque)
{
    return vireo_io_timer(vireo_core_io(core), milliseconds, fn, opaque);
}

static void service_unwatch(vireo_core *core, uint64_t id)
{
    if (id)
        vireo_io_remove(vireo_core_io(core), id);
}

static void service_defer(vireo_core *core, vireo_timer_fn *fn, void *opaque)
{
    vireo_workers_push(vireo_host_workers(core->host), FALSE, fn, opaque);
}

static int service_stream(vireo_call *call, int fd, int how, uint64_t offset, uint64_t length)
{
    if (call->op->stream == VIREO_STREAM_NONE)
        return vireo_call_fail(call, VIREO_ERR_INTERNAL_ERROR, "driver '%s': %s has no stream", call->driver,
                               call->op->name);
    call->stream_fd = fd;
    call->stream_how = how;
    call->stream_offset = offset;
    call->stream_length = length;
    return VIREO_OK;
}

static const int *service_fds(vireo_call *call, uint32_t *n)
{
    *n = call->n_fds;
    return call->fds;
}

static void service_reply_fd(vireo_call *call, int fd)
{
    if (!call->reply_fds)
        call->reply_fds = g_array_new(FALSE, FALSE, sizeof(int));
    g_array_append_val(call->reply_fds, fd);
}

const struct vireo_host vireo_host_services = {
    .size = sizeof(struct vireo_host),
    .abi_major = VIREO_ABI_MAJOR,
    .abi_minor = VIREO_ABI_MINOR,
    .log = service_log,
    .fail = service_fail,
    .alloc = service_alloc,
    .strdup = service_strdup,
    .dir = service_dir,
    .config = service_config,
    .identity = service_identity,
    .cancelled = service_cancelled,
    .complete = service_complete,
    .progress = service_progress,
    .space = vireo_core_space,
    .publish = service_publish,
    .withdraw = service_withdraw,
    .publish_tree = service_publish_tree,
    .event = vireo_space_event,
    .state_save = vireo_state_save,
    .state_drop = vireo_state_drop,
    .state_each = vireo_state_each,
    .watch = service_watch,
    .unwatch = service_unwatch,
    .timer = service_timer,
    .defer = service_defer,
    .spawn = vireo_spawn_child,
    .stream = service_stream,
    .fds = service_fds,
    .reply_fd = service_reply_fd,
    .publish_node = service_publish_node,
    .withdraw_node = service_withdraw_node,
};
