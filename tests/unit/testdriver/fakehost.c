/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fakehost.h"

#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

struct vireo_space {
    char *name;
    GPtrArray *objects; /* FakeObject */
    GHashTable *trees;  /* "klass/hex uuid" -> GPtrArray of FakeNode */
    GString *events;
};

struct vireo_core {
    FakeHost *host;
};

struct FakeHost {
    struct vireo_host api;
    struct vireo_core core;
    const struct vireo_driver *driver;
    void *self;
    GMutex lock;
    GRecMutex running; /* held over each callback of the I/O thread */
    GHashTable *spaces;
    GString *log;
    GMainContext *context;
    GMainLoop *loop;
    GThread *thread;
    GHashTable *sources; /* id -> GSource */
    guint64 next_id;
};

/* ---- spaces -----------------------------------------------------------------------------------
 */

static void object_free(gpointer data)
{
    FakeObject *object = data;

    g_free(object->name);
    g_free(object->os_type);
    g_free(object);
}

static void node_free(gpointer data)
{
    FakeNode *node = data;

    g_free(node->name);
    g_free(node->parent);
    g_free(node);
}

static void space_free(gpointer data)
{
    vireo_space *space = data;

    g_free(space->name);
    g_ptr_array_unref(space->objects);
    g_hash_table_unref(space->trees);
    g_string_free(space->events, TRUE);
    g_free(space);
}

static GMutex spaces_lock; /* publishing comes from any thread */

static vireo_space *host_space(vireo_core *core, const char *name)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&core->host->lock);
    vireo_space *space = g_hash_table_lookup(core->host->spaces, name);

    if (space)
        return space;
    space = g_new0(vireo_space, 1);
    space->name = g_strdup(name);
    space->objects = g_ptr_array_new_with_free_func(object_free);
    space->trees =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    space->events = g_string_new(NULL);
    g_hash_table_insert(core->host->spaces, space->name, space);
    return space;
}

static void remove_object(vireo_space *space, guint klass, const guint8 *uuid)
{
    for (guint i = 0; i < space->objects->len; i++) {
        FakeObject *object = space->objects->pdata[i];

        if (object->klass == klass && memcmp(object->uuid, uuid, 16) == 0) {
            g_ptr_array_remove_index(space->objects, i);
            return;
        }
    }
}

static void host_publish(vireo_space *space, const struct vireo_object *from)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&spaces_lock);
    FakeObject *object = g_new0(FakeObject, 1);

    g_assert_cmpuint(from->size, ==, sizeof *from);
    object->klass = from->klass;
    object->name = g_strdup(from->name);
    object->os_type = g_strdup(from->os_type);
    memcpy(object->uuid, from->uuid, 16);
    object->id = from->id;
    object->state = from->state;
    object->reason = from->reason;
    object->flags = from->flags;
    object->vcpus = from->vcpus;
    object->max_memory = from->max_memory_kib;
    object->memory = from->memory_kib;
    remove_object(space, from->klass, from->uuid);
    g_ptr_array_add(space->objects, object);
    if (from->event >= 0)
        g_string_append_printf(space->events, "%d/%d ", from->event, from->detail);
}

static void host_withdraw(vireo_space *space, uint32_t klass, const char *name,
                          const uint8_t uuid[16])
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&spaces_lock);

    (void)name;
    remove_object(space, klass, uuid);
}

static char *tree_key(guint klass, const guint8 *uuid)
{
    GString *key = g_string_new(NULL);

    g_string_printf(key, "%u/", klass);
    for (guint i = 0; i < 16; i++)
        g_string_append_printf(key, "%02x", uuid[i]);
    return g_string_free(key, FALSE);
}

static FakeNode *node_of(const struct vireo_tree_node *given)
{
    FakeNode *node = g_new0(FakeNode, 1);

    node->flags = given->flags;
    node->name = g_strdup(given->name);
    node->parent = g_strdup(given->parent);
    node->creation = given->creation_time;
    node->state = given->state;
    return node;
}

static void host_publish_tree(vireo_space *space, uint32_t klass, const uint8_t uuid[16],
                              uint32_t n, const struct vireo_tree_node *nodes)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&spaces_lock);
    GPtrArray *tree = g_ptr_array_new_with_free_func(node_free);

    for (guint i = 0; i < n; i++)
        g_ptr_array_add(tree, node_of(&nodes[i]));
    g_hash_table_replace(space->trees, tree_key(klass, uuid), tree);
}

static void host_publish_node(vireo_space *space, uint32_t klass, const uint8_t uuid[16],
                              const struct vireo_tree_node *given)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&spaces_lock);
    g_autofree char *key = tree_key(klass, uuid);
    GPtrArray *tree = g_hash_table_lookup(space->trees, key);

    if (!tree) {
        tree = g_ptr_array_new_with_free_func(node_free);
        g_hash_table_replace(space->trees, g_steal_pointer(&key), tree);
    }
    for (guint i = tree->len; i-- > 0;) {
        FakeNode *node = tree->pdata[i];

        if (given->flags & VIREO_TREE_CURRENT)
            node->flags &= ~(guint)VIREO_TREE_CURRENT;
        if (strcmp(node->name, given->name) == 0)
            g_ptr_array_remove_index(tree, i);
    }
    g_ptr_array_add(tree, node_of(given));
}

static void host_event(vireo_space *space, uint32_t event, const void *msg)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&spaces_lock);

    g_assert_nonnull(msg);
    g_string_append_printf(space->events, "%u ", event);
}

const FakeObject *fake_object(vireo_space *space, guint klass, const char *name)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&spaces_lock);

    for (guint i = 0; i < space->objects->len; i++) {
        const FakeObject *object = space->objects->pdata[i];

        if (object->klass == klass && strcmp(object->name, name) == 0)
            return object;
    }
    return NULL;
}

guint fake_object_count(vireo_space *space, guint klass)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&spaces_lock);
    guint n = 0;

    for (guint i = 0; i < space->objects->len; i++)
        n += ((FakeObject *)space->objects->pdata[i])->klass == klass;
    return n;
}

GPtrArray *fake_tree(vireo_space *space, guint klass, const guint8 uuid[16])
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&spaces_lock);
    g_autofree char *key = tree_key(klass, uuid);

    return g_hash_table_lookup(space->trees, key);
}

const FakeNode *fake_node(vireo_space *space, guint klass, const guint8 uuid[16], const char *name)
{
    GPtrArray *tree = fake_tree(space, klass, uuid);

    for (guint i = 0; tree && i < tree->len; i++)
        if (strcmp(((FakeNode *)tree->pdata[i])->name, name) == 0)
            return tree->pdata[i];
    return NULL;
}

char *fake_events(vireo_space *space)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&spaces_lock);
    char *events = g_strdup(g_strchomp(space->events->str));

    g_string_truncate(space->events, 0);
    return events;
}

/* ---- calls ------------------------------------------------------------------------------------
 */

static int host_fail(vireo_call *call, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!call->code) {
        call->code = code;
        call->message = g_strdup_vprintf(format, args);
    }
    va_end(args);
    return VIREO_FAIL;
}

static void *host_alloc(vireo_call *call, size_t n)
{
    void *memory = g_malloc0(n ? n : 1);

    g_ptr_array_add(call->memory, memory);
    return memory;
}

static char *host_strdup(vireo_call *call, const char *text)
{
    gsize len = text ? strlen(text) + 1 : 0;

    return text ? memcpy(host_alloc(call, len), text, len) : NULL;
}

static const char *host_identity(vireo_call *call, const char *what)
{
    (void)call;
    return strcmp(what, "user-name") == 0 ? "tester" : NULL;
}

static int host_cancelled(vireo_call *call)
{
    return g_atomic_int_get(&call->cancelled);
}

static void host_complete(vireo_call *call, int status)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&call->lock);

    call->status = status;
    call->complete = TRUE;
    call->completions++;
    g_cond_signal(&call->ended);
}

static void host_progress(vireo_call *call, uint64_t done, uint64_t total, const char *what)
{
    (void)call;
    (void)done;
    (void)total;
    (void)what;
}

static int host_stream(vireo_call *call, int fd, int how, uint64_t offset, uint64_t length)
{
    (void)offset;
    (void)length;
    g_assert_cmpint(call->stream_fd, ==, -1);
    call->stream_fd = fd;
    call->stream_how = how;
    return 0;
}

static const int *host_fds(vireo_call *call, uint32_t *n)
{
    *n = call->n_fds;
    return call->fds;
}

static void host_reply_fd(vireo_call *call, int fd)
{
    g_assert_cmpint(call->reply_fd, ==, -1);
    call->reply_fd = fd;
}

vireo_call *fake_call_new(FakeHost *host)
{
    vireo_call *call = g_new0(vireo_call, 1);

    call->host = host;
    call->memory = g_ptr_array_new_with_free_func(g_free);
    call->stream_fd = call->reply_fd = -1;
    g_mutex_init(&call->lock);
    g_cond_init(&call->ended);
    return call;
}

void fake_call_free(vireo_call *call)
{
    if (!call)
        return;
    if (call->stream_fd >= 0)
        close(call->stream_fd);
    if (call->reply_fd >= 0)
        close(call->reply_fd);
    g_ptr_array_unref(call->memory);
    g_mutex_clear(&call->lock);
    g_cond_clear(&call->ended);
    g_free(call->message);
    g_free(call);
}

#define NAME_OF(op_id, op_name) {op_id, #op_name},
static const struct {
    guint id;
    const char *name;
} operations[] = {VIREO_OP_LIST(NAME_OF)};

const struct vireo_op *fake_host_row(FakeHost *host, const char *op)
{
    guint id = 0;

    for (guint i = 0; i < G_N_ELEMENTS(operations); i++)
        if (strcmp(operations[i].name, op) == 0)
            id = operations[i].id;
    for (guint i = 0; id && i < host->driver->n_ops; i++) {
        const struct vireo_op *row =
            (const void *)((const char *)host->driver->ops + i * host->driver->op_size);

        if (row->id == id)
            return row;
    }
    return NULL;
}

static int invoke(const struct vireo_op *row, void *conn, vireo_call *call, const void *args,
                  void *ret)
{
    if (args && ret)
        return ((int (*)(void *, vireo_call *, const void *, void *))row->fn.any)(conn, call, args,
                                                                                  ret);
    if (args || ret)
        return ((int (*)(void *, vireo_call *, const void *))row->fn.any)(conn, call,
                                                                          args ? args : ret);
    return ((int (*)(void *, vireo_call *))row->fn.any)(conn, call);
}

int fake_call_run(vireo_call *call, void *conn, const char *op, const void *args, void *ret)
{
    const struct vireo_op *row = fake_host_row(call->host, op);
    int status;

    if (!row)
        g_error("the driver has no operation '%s'", op);
    status = invoke(row, conn, call, args, ret);
    if (status == VIREO_PENDING) {
        g_mutex_lock(&call->lock);
        call->pending = TRUE;
        while (!call->complete)
            g_cond_wait(&call->ended, &call->lock);
        status = call->status;
        g_mutex_unlock(&call->lock);
    }
    call->status = status;
    if ((status == VIREO_OK) != (call->code == 0))
        g_error("%s: status %d with error code %d (%s)", op, status, call->code, call->message);
    return status;
}

int fake_run(FakeHost *host, void *conn, const char *op, const void *args, void *ret, int *code)
{
    g_autoptr(vireo_call) call = fake_call_new(host);
    int status = fake_call_run(call, conn, op, args, ret);

    if (code)
        *code = call->code;
    else if (call->code)
        g_test_message("%s: %d %s", op, call->code, call->message);
    return status;
}

void *fake_open(FakeHost *host, const char *uri, vireo_space **space, int *code)
{
    vireo_conn_open_args args = {.uri = (char *)uri};
    vireo_conn_open_ret ret = {0};

    if (fake_run(host, host->self, "conn_open", &args, &ret, code) != VIREO_OK)
        return NULL;
    if (space)
        *space = ret.space;
    return ret.conn;
}

void fake_close(FakeHost *host, void *conn)
{
    g_assert_cmpint(fake_run(host, conn, "conn_close", NULL, NULL, NULL), ==, VIREO_OK);
}

/* ---- the driver's I/O thread ------------------------------------------------------------------
 */

typedef struct {
    FakeHost *host;
    guint64 id;
    gboolean once;
    vireo_watch_fn *watch;
    vireo_timer_fn *timer;
    void *opaque;
} Source;

static void source_forget(FakeHost *host, guint64 id)
{
    /* Waits for a callback that is running, unless it is the caller: what the ABI promises. */
    g_rec_mutex_lock(&host->running);
    g_mutex_lock(&host->lock);
    g_hash_table_remove(host->sources, &id);
    g_mutex_unlock(&host->lock);
    g_rec_mutex_unlock(&host->running);
}

/* With `running` held. */
static gboolean source_lives(FakeHost *host, guint64 id)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&host->lock);

    return g_hash_table_contains(host->sources, &id);
}

static gboolean on_fd(int fd, GIOCondition condition, gpointer opaque)
{
    const Source *source = opaque;
    FakeHost *host = source->host;
    int events = 0;

    events |= condition & G_IO_IN ? VIREO_WATCH_IN : 0;
    events |= condition & G_IO_OUT ? VIREO_WATCH_OUT : 0;
    events |= condition & G_IO_HUP ? VIREO_WATCH_HANGUP : 0;
    events |= condition & G_IO_ERR ? VIREO_WATCH_ERROR : 0;
    g_rec_mutex_lock(&host->running);
    if (source_lives(host, source->id))
        source->watch(fd, events, source->opaque);
    g_rec_mutex_unlock(&host->running);
    return G_SOURCE_CONTINUE;
}

static gboolean on_time(gpointer opaque)
{
    const Source *source = opaque;
    FakeHost *host = source->host;
    guint64 id = source->id;

    g_rec_mutex_lock(&host->running);
    if (source_lives(host, id))
        source->timer(source->opaque);
    source_forget(host, id);
    g_rec_mutex_unlock(&host->running);
    return G_SOURCE_REMOVE;
}

static guint64 add_source(FakeHost *host, GSource *gsource, GSourceFunc func, Source *source)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&host->lock);
    guint64 id = ++host->next_id;

    source->host = host;
    source->id = id;
    g_source_set_callback(gsource, func, source, g_free);
    g_hash_table_insert(host->sources, g_memdup2(&id, sizeof id), gsource);
    g_source_attach(gsource, host->context);
    return id;
}

static guint64 host_watch(vireo_core *core, int fd, int events, vireo_watch_fn *fn, void *opaque)
{
    GIOCondition condition = 0;
    Source *source = g_new0(Source, 1);

    condition |= events & VIREO_WATCH_IN ? G_IO_IN : 0;
    condition |= events & VIREO_WATCH_OUT ? G_IO_OUT : 0;
    source->watch = fn;
    source->opaque = opaque;
    return add_source(core->host, g_unix_fd_source_new(fd, condition | G_IO_HUP | G_IO_ERR),
                      (GSourceFunc)(void (*)(void))on_fd, source);
}

static guint64 host_timer(vireo_core *core, uint32_t ms, vireo_timer_fn *fn, void *opaque)
{
    Source *source = g_new0(Source, 1);

    source->timer = fn;
    source->opaque = opaque;
    return add_source(core->host, g_timeout_source_new(ms), on_time, source);
}

static void host_unwatch(vireo_core *core, uint64_t id)
{
    source_forget(core->host, id);
}

typedef struct {
    vireo_timer_fn *fn;
    void *opaque;
} Deferred;

static gpointer run_deferred(gpointer opaque)
{
    g_autofree Deferred *deferred = opaque;

    deferred->fn(deferred->opaque);
    return NULL;
}

static void host_defer(vireo_core *core, vireo_timer_fn *fn, void *opaque)
{
    Deferred *deferred = g_new0(Deferred, 1);

    (void)core;
    *deferred = (Deferred){fn, opaque};
    g_thread_unref(g_thread_new("deferred", run_deferred, deferred));
}

static gpointer run_loop(gpointer opaque)
{
    FakeHost *host = opaque;

    g_main_context_push_thread_default(host->context);
    g_main_loop_run(host->loop);
    g_main_context_pop_thread_default(host->context);
    return NULL;
}

/* ---- the rest ---------------------------------------------------------------------------------
 */

static void host_log(vireo_core *core, int prio, const char *where, const char *format, ...)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&core->host->lock);
    va_list args;

    if (prio < VIREO_LOG_WARNING)
        return;
    va_start(args, format);
    g_string_append_printf(core->host->log, "%s: ", where);
    g_string_append_vprintf(core->host->log, format, args);
    g_string_append_c(core->host->log, '\n');
    va_end(args);
}

char *fake_log(FakeHost *host)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&host->lock);
    char *text = g_strdup(host->log->str);

    g_string_truncate(host->log, 0);
    return text;
}

static const char *host_dir(vireo_core *core, int which)
{
    (void)core;
    (void)which;
    return g_get_tmp_dir();
}

static const char *host_config(vireo_core *core, const char *group, const char *key)
{
    (void)core;
    (void)group;
    (void)key;
    return NULL;
}

static void source_end(gpointer data)
{
    GSource *source = data;

    g_source_destroy(source);
    g_source_unref(source);
}

FakeHost *fake_host_new(const struct vireo_driver *driver)
{
    FakeHost *host = g_new0(FakeHost, 1);

    host->api = (struct vireo_host){
        .size = sizeof host->api,
        .abi_major = VIREO_ABI_MAJOR,
        .abi_minor = VIREO_ABI_MINOR,
        .log = host_log,
        .fail = host_fail,
        .alloc = host_alloc,
        .strdup = host_strdup,
        .dir = host_dir,
        .config = host_config,
        .identity = host_identity,
        .cancelled = host_cancelled,
        .complete = host_complete,
        .progress = host_progress,
        .space = host_space,
        .publish = host_publish,
        .withdraw = host_withdraw,
        .publish_tree = host_publish_tree,
        .publish_node = host_publish_node,
        .event = host_event,
        .watch = host_watch,
        .unwatch = host_unwatch,
        .timer = host_timer,
        .defer = host_defer,
        .stream = host_stream,
        .fds = host_fds,
        .reply_fd = host_reply_fd,
    };
    host->core.host = host;
    host->driver = driver;
    g_mutex_init(&host->lock);
    g_rec_mutex_init(&host->running);
    host->spaces = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, space_free);
    host->log = g_string_new(NULL);
    host->sources = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, source_end);
    host->context = g_main_context_new();
    host->loop = g_main_loop_new(host->context, FALSE);
    host->thread = g_thread_new("fake-io", run_loop, host);
    if (driver->init(&host->api, &host->core, &host->self) == VIREO_OK)
        return host;
    host->driver = NULL;
    fake_host_free(host);
    return NULL;
}

void fake_host_free(FakeHost *host)
{
    if (!host)
        return;
    if (host->driver)
        host->driver->fini(host->self);
    while (!g_main_loop_is_running(host->loop))
        g_thread_yield();
    g_main_loop_quit(host->loop);
    g_thread_join(host->thread);
    g_hash_table_unref(host->sources);
    g_main_loop_unref(host->loop);
    g_main_context_unref(host->context);
    g_hash_table_unref(host->spaces);
    g_string_free(host->log, TRUE);
    g_mutex_clear(&host->lock);
    g_rec_mutex_clear(&host->running);
    g_free(host);
}
