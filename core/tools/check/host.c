/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/check/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/host.h"
#include "tools/check/check.h"
#include "tools/check/loop.h"

struct vireo_space {
    CheckHost *host;
    char *name;
    GPtrArray *objects; /* CheckObject */
};

struct vireo_core {
    CheckHost *host;
};

struct CheckHost {
    vireo_core core;
    pthread_mutex_t lock; /* everything below */
    GPtrArray *spaces, *complaints, *ended;
    GPtrArray *late[2]; /* of calls that were not cancelled, and of those that were */
    char *last_log;
    CheckService broken;
    guint times_broken, saves, detached;
    CheckLoop *loop;
    /* the real host behind state, spawn, dir and config */
    VireoHostDirs dirs;
    VireoWorkers *workers;
    VireoEventHub *hub;
    VireoHost *real;
    vireo_core *real_core;
};

struct vireo_call {
    CheckHost *host;
    const VireoOp *op;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    gpointer args, ret;
    GPtrArray *memory;
    int code, status, completions, cancelled, stream_fd, ended, hangs;
    char *message;
};

#define WITH_LOCK(mutex) \
    __attribute__((cleanup(unlock))) pthread_mutex_t *locked_ = (pthread_mutex_lock(mutex), mutex)

static void unlock(pthread_mutex_t **mutex)
{
    pthread_mutex_unlock(*mutex);
}

static void complain(CheckHost *host, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* With the lock held. */
static void complain(CheckHost *host, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(host->complaints, g_strdup_vprintf(format, args));
    va_end(args);
}

/* ---- objects ---- */

void check_object_clear(CheckObject *object)
{
    g_clear_pointer(&object->name, g_free);
}

static void object_free(gpointer data)
{
    check_object_clear(data);
    g_free(data);
}

static void space_free(gpointer data)
{
    vireo_space *space = data;

    g_free(space->name);
    g_ptr_array_unref(space->objects);
    g_free(space);
}

static vireo_space *host_space(vireo_core *core, const char *name)
{
    CheckHost *host = core->host;
    WITH_LOCK(&host->lock);
    vireo_space *space;

    for (guint i = 0; i < host->spaces->len; i++) {
        space = host->spaces->pdata[i];
        if (strcmp(space->name, name) == 0)
            return space;
    }
    space = g_new0(vireo_space, 1);
    space->host = host;
    space->name = g_strdup(name);
    space->objects = g_ptr_array_new_with_free_func(object_free);
    g_ptr_array_add(host->spaces, space);
    return space;
}

static gboolean has_uuid(const guint8 *uuid)
{
    static const guint8 none[16];

    return uuid && memcmp(uuid, none, 16) != 0;
}

static CheckObject *find(vireo_space *space, guint klass, const char *name, const guint8 *uuid)
{
    for (guint i = 0; i < space->objects->len; i++) {
        CheckObject *object = space->objects->pdata[i];

        if (object->klass != klass)
            continue;
        if (has_uuid(uuid) ? memcmp(object->uuid, uuid, 16) == 0 : !name || strcmp(object->name, name) == 0)
            return object;
    }
    return NULL;
}

static gboolean is_active_state(int state)
{
    return state != VIREO_DOMAIN_SHUTOFF && state != VIREO_DOMAIN_NOSTATE && state != VIREO_DOMAIN_CRASHED;
}

/* FALSE when nothing can be made of it. */
static gboolean check_published(vireo_space *space, const struct vireo_object *object)
{
    CheckHost *host = space->host;
    CheckObject *same;

    if (object->size != sizeof *object)
        complain(host, "publish: `size` is %u, which is not that of any struct vireo_object", object->size);
    if (!object->name || !*object->name) {
        complain(host, "publish: an object of class %u without a name", object->klass);
        return FALSE;
    }
    if (object->klass <= VIREO_CLASS_NONE || object->klass >= VIREO_CLASS_ADMIN_SERVER ||
        object->klass == VIREO_CLASS_DOMAIN_SNAPSHOT || object->klass == VIREO_CLASS_DOMAIN_CHECKPOINT)
        complain(host, "publish: '%s' has class %u, of which nothing is published", object->name, object->klass);
    if (object->klass != VIREO_CLASS_DOMAIN)
        return TRUE;
    if (!has_uuid(object->uuid))
        complain(host, "publish: domain '%s' has no uuid", object->name);
    if (is_active_state(object->state) && object->id == -1)
        complain(host, "publish: domain '%s' is in state %d, which is a running one, with id -1", object->name,
                 object->state);
    if (object->state == VIREO_DOMAIN_SHUTOFF && object->id != -1)
        complain(host, "publish: domain '%s' is shut off with id %d, not -1", object->name, object->id);
    same = find(space, VIREO_CLASS_DOMAIN, object->name, NULL);
    if (same && has_uuid(object->uuid) && memcmp(same->uuid, object->uuid, 16) != 0)
        complain(host, "publish: a second domain named '%s', with another uuid", object->name);
    return TRUE;
}

static void host_publish(vireo_space *space, const struct vireo_object *object)
{
    WITH_LOCK(&space->host->lock);
    CheckObject *known;

    if (!check_published(space, object))
        return;
    known = find(space, object->klass, object->name, object->uuid);
    if (!known) {
        known = g_new0(CheckObject, 1);
        g_ptr_array_add(space->objects, known);
    }
    g_free(known->name);
    known->klass = object->klass;
    known->name = g_strdup(object->name);
    memcpy(known->uuid, object->uuid, 16);
    known->id = object->id;
    known->state = object->state;
    known->flags = object->flags;
}

static void host_withdraw(vireo_space *space, uint32_t klass, const char *name, const uint8_t uuid[16])
{
    WITH_LOCK(&space->host->lock);
    CheckObject *known = find(space, klass, name, uuid);

    if (!name && !has_uuid(uuid))
        complain(space->host, "withdraw: neither a name nor a uuid");
    else if (!known)
        complain(space->host, "withdraw: '%s' of class %u is not published", name ? name : "(no name)", klass);
    else
        g_ptr_array_remove(space->objects, known);
}

static gboolean has_node(const struct vireo_tree_node *nodes, guint n, const char *name)
{
    for (guint i = 0; i < n; i++)
        if (nodes[i].name && strcmp(nodes[i].name, name) == 0)
            return TRUE;
    return FALSE;
}

/* With the lock held. */
static void check_tree(vireo_space *space, const char *what, guint klass, const guint8 *uuid)
{
    if (klass != VIREO_CLASS_DOMAIN_SNAPSHOT && klass != VIREO_CLASS_DOMAIN_CHECKPOINT)
        complain(space->host, "%s: class %u is neither that of snapshots nor of checkpoints", what, klass);
    if (!find(space, VIREO_CLASS_DOMAIN, NULL, uuid) || !has_uuid(uuid))
        complain(space->host, "%s: the domain of the tree is not published", what);
}

static void host_publish_node(vireo_space *space, uint32_t klass, const uint8_t uuid[16],
                              const struct vireo_tree_node *node)
{
    CheckHost *host = space->host;
    WITH_LOCK(&host->lock);

    check_tree(space, "publish_node", klass, uuid);
    if (node->size != sizeof *node)
        complain(host, "publish_node: `size` is %u", node->size);
    else if (!node->name || !*node->name)
        complain(host, "publish_node: the node has no name");
    else if (g_strcmp0(node->name, node->parent) == 0)
        complain(host, "publish_node: '%s' is its own parent", node->name);
}

static void host_withdraw_node(vireo_space *space, uint32_t klass, const uint8_t uuid[16], const char *name)
{
    WITH_LOCK(&space->host->lock);

    check_tree(space, "withdraw_node", klass, uuid);
    if (!name || !*name)
        complain(space->host, "withdraw_node: no name is given");
}

static void host_publish_tree(vireo_space *space, uint32_t klass, const uint8_t uuid[16], uint32_t n,
                              const struct vireo_tree_node *nodes)
{
    CheckHost *host = space->host;
    WITH_LOCK(&host->lock);
    guint current = 0;

    check_tree(space, "publish_tree", klass, uuid);
    for (guint i = 0; i < n; i++) {
        current += (nodes[i].flags & VIREO_TREE_CURRENT) != 0;
        if (nodes[i].size != sizeof nodes[i])
            complain(host, "publish_tree: `size` of node %u is %u", i, nodes[i].size);
        else if (!nodes[i].name || !*nodes[i].name)
            complain(host, "publish_tree: node %u has no name", i);
        else if (has_node(nodes, i, nodes[i].name))
            complain(host, "publish_tree: two nodes are named '%s'", nodes[i].name);
        else if (nodes[i].parent && !has_node(nodes, n, nodes[i].parent))
            complain(host, "publish_tree: '%s' has a parent '%s', which is not in the tree", nodes[i].name,
                     nodes[i].parent);
    }
    if (current > 1)
        complain(host, "publish_tree: %u nodes are the current one", current);
}

static void host_event(vireo_space *space, uint32_t event, const void *msg)
{
    const VireoOp *op = vireo_op_by_id(event);
    WITH_LOCK(&space->host->lock);

    if (!op || op->kind != VIREO_OP_EVENT)
        complain(space->host, "event: %u is the number of no event", event);
    else if (!msg)
        complain(space->host, "event: %s without a message", op->name);
}

gboolean check_object_find(vireo_space *space, guint klass, const char *name, CheckObject *ret)
{
    WITH_LOCK(&space->host->lock);
    CheckObject *found = find(space, klass, name, NULL);

    if (!found)
        return FALSE;
    *ret = *found;
    ret->name = g_strdup(found->name);
    return TRUE;
}

static int by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **check_host_published(CheckHost *host)
{
    WITH_LOCK(&host->lock);
    GPtrArray *lines = g_ptr_array_new();

    for (guint i = 0; i < host->spaces->len; i++) {
        vireo_space *space = host->spaces->pdata[i];

        for (guint j = 0; j < space->objects->len; j++) {
            const CheckObject *object = space->objects->pdata[j];
            GString *line = g_string_new(NULL);

            g_string_printf(line, "'%s' of class %u, ", object->name, object->klass);
            for (guint k = 0; k < 16; k++)
                g_string_append_printf(line, "%02x", object->uuid[k]);
            g_string_append_printf(line, ", state %d, %s%s", object->state,
                                   object->flags & VIREO_OBJECT_PERSISTENT ? "persistent" : "transient",
                                   object->flags & VIREO_OBJECT_AUTOSTART ? ", autostart" : "");
            g_ptr_array_add(lines, g_string_free(line, FALSE));
        }
    }
    g_ptr_array_sort(lines, by_text);
    g_ptr_array_add(lines, NULL);
    return (char **)g_ptr_array_free(lines, FALSE);
}

/* ---- calls ---- */

static int host_fail(vireo_call *call, int code, const char *format, ...)
{
    WITH_LOCK(&call->lock);
    va_list args;

    va_start(args, format);
    if (!call->message) {
        call->code = code;
        call->message = g_strdup_vprintf(format, args);
    }
    va_end(args);
    return VIREO_FAIL;
}

void *check_call_alloc(vireo_call *call, gsize size)
{
    WITH_LOCK(&call->lock);
    gpointer memory = g_malloc0(size ? size : 1);

    g_ptr_array_add(call->memory, memory);
    return memory;
}

static void *host_alloc(vireo_call *call, size_t size)
{
    return check_call_alloc(call, size);
}

static char *host_strdup(vireo_call *call, const char *text)
{
    return text ? strcpy(check_call_alloc(call, strlen(text) + 1), text) : NULL;
}

static const char *host_identity(vireo_call *call, const char *what)
{
    return NULL;
}

static int host_cancelled(vireo_call *call)
{
    WITH_LOCK(&call->lock);

    return call->cancelled;
}

/* A completion of a call that has ended. */
static void note_late(vireo_call *call)
{
    WITH_LOCK(&call->host->lock);

    g_ptr_array_add(call->host->late[call->cancelled != 0], (gpointer)call->op->name);
}

static void host_complete(vireo_call *call, int status)
{
    WITH_LOCK(&call->lock);

    call->completions++;
    if (call->ended || call->completions > 1) {
        note_late(call);
        return;
    }
    call->status = status;
    pthread_cond_signal(&call->changed);
}

static void host_progress(vireo_call *call, uint64_t done, uint64_t total, const char *what)
{
}

static int host_stream(vireo_call *call, int fd, int how, uint64_t offset, uint64_t length)
{
    WITH_LOCK(&call->lock);

    if (call->stream_fd != -1)
        close(call->stream_fd);
    call->stream_fd = fd;
    return 0;
}

static const int *host_fds(vireo_call *call, uint32_t *n)
{
    *n = 0;
    return NULL;
}

static void host_reply_fd(vireo_call *call, int fd)
{
    close(fd);
}

vireo_call *check_call_new(CheckHost *host, const VireoOp *op)
{
    vireo_call *call = g_new0(vireo_call, 1);
    pthread_condattr_t attributes;

    call->host = host;
    call->op = op;
    call->stream_fd = -1;
    pthread_mutex_init(&call->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&call->changed, &attributes);
    call->memory = g_ptr_array_new_with_free_func(g_free);
    call->args = op->args ? check_call_alloc(call, op->args->size) : NULL;
    call->ret = op->ret ? check_call_alloc(call, op->ret->size) : NULL;
    return call;
}

gpointer check_call_args(vireo_call *call)
{
    return call->args;
}

void check_call_cancel(vireo_call *call)
{
    WITH_LOCK(&call->lock);

    call->cancelled = !call->completions && !call->ended;
}

guint check_call_completions(vireo_call *call)
{
    WITH_LOCK(&call->lock);

    return (guint)call->completions;
}

/* The struct stays until the host goes: a driver may complete it once more. */
void check_call_free(vireo_call *call)
{
    if (!call)
        return;
    pthread_mutex_lock(&call->lock);
    if (!call->hangs) { /* else the driver may still look at it */
        g_ptr_array_set_size(call->memory, 0);
        call->args = call->ret = NULL;
    }
    if (call->stream_fd != -1)
        close(call->stream_fd);
    call->stream_fd = -1;
    pthread_mutex_unlock(&call->lock);
    pthread_mutex_lock(&call->host->lock);
    g_ptr_array_add(call->host->ended, call);
    pthread_mutex_unlock(&call->host->lock);
}

static void call_destroy(gpointer data)
{
    vireo_call *call = data;

    g_ptr_array_unref(call->memory);
    g_free(call->message);
    pthread_mutex_destroy(&call->lock);
    pthread_cond_destroy(&call->changed);
    g_free(call);
}

static int wait_for_completion(vireo_call *call, guint milliseconds)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!call->completions)
        if (pthread_cond_timedwait(&call->changed, &call->lock, &until) == ETIMEDOUT)
            break;
    return call->completions ? call->status : CHECK_HANGS;
}

void check_call_run(vireo_call *call, const struct vireo_op *row, void *conn, guint milliseconds,
                    CheckOutcome *outcome)
{
    int status;

    check_enter(call->op->name);
    status = vireo_dispatch(row->id, row->fn, conn, call, call->args, call->ret);
    check_leave();
    pthread_mutex_lock(&call->lock);
    *outcome = (CheckOutcome){ .call = call, .returned = status, .args = call->args, .ret = call->ret };
    outcome->status = status == VIREO_PENDING ? wait_for_completion(call, milliseconds) : status;
    call->hangs = outcome->status == CHECK_HANGS;
    outcome->code = call->code;
    outcome->message = call->message;
    if (status != VIREO_PENDING && call->completions)
        note_late(call);
    call->ended = TRUE;
    pthread_mutex_unlock(&call->lock);
}

/* ---- services ---- */

static gboolean breaks(CheckHost *host, CheckService service)
{
    WITH_LOCK(&host->lock);

    if (host->broken != service)
        return FALSE;
    host->times_broken++;
    return TRUE;
}

static int host_state_save(vireo_core *core, const char *key, const void *data, size_t len)
{
    if (breaks(core->host, CHECK_SERVICE_STATE_SAVE)) {
        errno = ENOSPC;
        return -1;
    }
    pthread_mutex_lock(&core->host->lock);
    core->host->saves++;
    pthread_mutex_unlock(&core->host->lock);
    return vireo_host_services.state_save(core->host->real_core, key, data, len);
}

static int host_state_drop(vireo_core *core, const char *key)
{
    if (breaks(core->host, CHECK_SERVICE_STATE_DROP)) {
        errno = EIO;
        return -1;
    }
    return vireo_host_services.state_drop(core->host->real_core, key);
}

static void host_state_each(vireo_core *core, const char *prefix, vireo_state_fn *fn, void *opaque)
{
    vireo_host_services.state_each(core->host->real_core, prefix, fn, opaque);
}

static int host_spawn(vireo_core *core, const struct vireo_spawn *spec, struct vireo_child *child)
{
    if (breaks(core->host, CHECK_SERVICE_SPAWN)) {
        errno = EAGAIN;
        return -1;
    }
    if (spec->flags & VIREO_SPAWN_DETACH) {
        WITH_LOCK(&core->host->lock);

        core->host->detached++;
    }
    return vireo_host_services.spawn(core->host->real_core, spec, child);
}

static uint64_t host_watch(vireo_core *core, int fd, int events, vireo_watch_fn *fn, void *opaque)
{
    return breaks(core->host, CHECK_SERVICE_WATCH) ? 0 : check_loop_watch(core->host->loop, fd, events, fn, opaque);
}

static uint64_t host_timer(vireo_core *core, uint32_t milliseconds, vireo_timer_fn *fn, void *opaque)
{
    return breaks(core->host, CHECK_SERVICE_TIMER) ? 0
                                                   : check_loop_timer(core->host->loop, milliseconds, fn, opaque);
}

static void host_unwatch(vireo_core *core, uint64_t id)
{
    check_loop_remove(core->host->loop, id);
}

static void host_defer(vireo_core *core, vireo_timer_fn *fn, void *opaque)
{
    check_loop_defer(core->host->loop, fn, opaque);
}

static const char *host_dir(vireo_core *core, int which)
{
    return vireo_host_services.dir(core->host->real_core, which);
}

static const char *host_config(vireo_core *core, const char *group, const char *key)
{
    return vireo_host_services.config(core->host->real_core, group, key);
}

static void host_log(vireo_core *core, int prio, const char *where, const char *format, ...)
{
    static const char *const names[] = { "debug", "info", "warning", "error" };
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(stderr, "%s: %s: %s\n", names[CLAMP(prio, 0, 3)], where ? where : "", text);
    if (prio >= VIREO_LOG_WARNING) {
        WITH_LOCK(&core->host->lock);

        g_free(core->host->last_log);
        core->host->last_log = g_steal_pointer(&text);
    }
}

static const struct vireo_host services = {
    .size = sizeof services,
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
    .event = host_event,
    .state_save = host_state_save,
    .state_drop = host_state_drop,
    .state_each = host_state_each,
    .watch = host_watch,
    .unwatch = host_unwatch,
    .timer = host_timer,
    .defer = host_defer,
    .spawn = host_spawn,
    .stream = host_stream,
    .fds = host_fds,
    .reply_fd = host_reply_fd,
    .publish_node = host_publish_node,
    .withdraw_node = host_withdraw_node,
};

/* ---- the host ---- */

const struct vireo_host *check_host_services(void)
{
    return &services;
}

vireo_core *check_host_core(CheckHost *host)
{
    return &host->core;
}

/* The driver may write into its directory, so it gets one of its own. */
static void copy_config(const char *dir, const char *from, const char *name)
{
    g_autofree char *file = g_strconcat(name, ".conf", NULL);
    g_autofree char *source = from ? g_build_filename(from, file, NULL) : NULL;
    g_autofree char *target = g_build_filename(dir, file, NULL);
    g_autofree char *text = NULL;
    gsize len;

    g_mkdir_with_parents(dir, 0700);
    if (source && g_file_get_contents(source, &text, &len, NULL))
        g_file_set_contents(target, text, (gssize)len, NULL);
}

CheckHost *check_host_new(const char *dir, const char *config, const char *name)
{
    CheckHost *host = g_new0(CheckHost, 1);
    char **slots[] = { &host->dirs.state, &host->dirs.run, &host->dirs.log, &host->dirs.cache };
    const char *names[] = { "state", "run", "log", "cache" };

    host->core.host = host;
    pthread_mutex_init(&host->lock, NULL);
    host->spaces = g_ptr_array_new_with_free_func(space_free);
    host->complaints = g_ptr_array_new_with_free_func(g_free);
    host->late[0] = g_ptr_array_new();
    host->late[1] = g_ptr_array_new();
    host->ended = g_ptr_array_new_with_free_func(call_destroy);
    host->loop = check_loop_new();
    for (guint i = 0; i < G_N_ELEMENTS(slots); i++)
        *slots[i] = g_build_filename(dir, names[i], NULL);
    host->dirs.config = g_build_filename(dir, "config", NULL);
    copy_config(host->dirs.config, config, name);
    host->workers = vireo_workers_new(0, 1, 0);
    host->hub = vireo_event_hub_new();
    host->real = vireo_host_new(&host->dirs, host->workers, host->hub);
    host->real_core = vireo_host_core(host->real, name);
    return host;
}

void check_host_free(CheckHost *host)
{
    if (!host)
        return;
    check_loop_free(host->loop);
    vireo_workers_free(host->workers);
    vireo_host_free(host->real);
    vireo_event_hub_free(host->hub);
    g_ptr_array_unref(host->ended);
    g_ptr_array_unref(host->late[0]);
    g_ptr_array_unref(host->late[1]);
    g_ptr_array_unref(host->complaints);
    g_ptr_array_unref(host->spaces);
    g_free(host->last_log);
    g_free(host->dirs.config);
    g_free(host->dirs.state);
    g_free(host->dirs.run);
    g_free(host->dirs.log);
    g_free(host->dirs.cache);
    pthread_mutex_destroy(&host->lock);
    g_free(host);
}

void check_host_break(CheckHost *host, CheckService service)
{
    WITH_LOCK(&host->lock);

    host->broken = service;
    host->times_broken = 0;
}

guint check_host_broken(CheckHost *host)
{
    WITH_LOCK(&host->lock);

    return host->times_broken;
}

const char *check_service_name(CheckService service)
{
    static const char *const names[] = { "none", "state_save", "state_drop", "spawn", "watch", "timer" };

    return names[service];
}

guint check_host_saves(CheckHost *host)
{
    WITH_LOCK(&host->lock);

    return host->saves;
}

guint check_host_detached(CheckHost *host)
{
    WITH_LOCK(&host->lock);

    return host->detached;
}

const char *check_host_last_log(CheckHost *host)
{
    WITH_LOCK(&host->lock);

    return host->last_log ? host->last_log : "";
}

void check_host_drain(CheckHost *host)
{
    check_loop_drain(host->loop);
}

guint check_host_n_sources(CheckHost *host)
{
    return check_loop_n_sources(host->loop);
}

GPtrArray *check_host_complaints(CheckHost *host)
{
    return host->complaints;
}

GPtrArray *check_host_late(CheckHost *host, gboolean cancelled)
{
    return host->late[cancelled];
}
