/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/check/loop.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "tools/check/check.h"

typedef struct {
    guint64 id;
    int fd, events; /* fd -1: a timer */
    gint64 due;     /* milliseconds */
    vireo_watch_fn *watch;
    vireo_timer_fn *timer;
    void *opaque;
} Source;

struct CheckLoop {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    GArray *sources; /* Source */
    guint64 last_id, running; /* running: the source whose callback runs, 0: none */
    guint deferred;
    gboolean ending;
    int wake[2];
};

static gint64 now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (gint64)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void wake(CheckLoop *loop)
{
    if (write(loop->wake[1], "", 1) != 1)
        return; /* the pipe is full: it wakes up anyway */
}

static int index_of(CheckLoop *loop, guint64 id)
{
    for (guint i = 0; i < loop->sources->len; i++)
        if (g_array_index(loop->sources, Source, i).id == id)
            return (int)i;
    return -1;
}

static short poll_events(int events)
{
    return (short)((events & VIREO_WATCH_IN ? POLLIN : 0) | (events & VIREO_WATCH_OUT ? POLLOUT : 0));
}

static int watch_events(short events)
{
    return (events & POLLIN ? VIREO_WATCH_IN : 0) | (events & POLLOUT ? VIREO_WATCH_OUT : 0) |
           (events & POLLHUP ? VIREO_WATCH_HANGUP : 0) | (events & (POLLERR | POLLNVAL) ? VIREO_WATCH_ERROR : 0);
}

/* With the lock held; lets go of it while the callback runs. */
static void fire(CheckLoop *loop, guint64 id, int events)
{
    int at = index_of(loop, id);
    Source source;

    if (at < 0 || loop->ending)
        return;
    source = g_array_index(loop->sources, Source, at);
    if (source.fd < 0)
        g_array_remove_index(loop->sources, (guint)at);
    loop->running = id;
    pthread_mutex_unlock(&loop->lock);
    check_enter(source.fd < 0 ? "a timer's function" : "a watch's function");
    if (source.fd < 0)
        source.timer(source.opaque);
    else
        source.watch(source.fd, events, source.opaque);
    check_leave();
    pthread_mutex_lock(&loop->lock);
    loop->running = 0;
    pthread_cond_broadcast(&loop->idle);
}

/* Fills one pollfd for each source, the pipe first; returns how long to wait. */
static int prepare(CheckLoop *loop, GArray *fds, GArray *ids)
{
    struct pollfd first = { .fd = loop->wake[0], .events = POLLIN };
    gint64 soonest = -1;

    g_array_set_size(fds, 0);
    g_array_set_size(ids, 0);
    g_array_append_val(fds, first);
    for (guint i = 0; i < loop->sources->len; i++) {
        const Source *source = &g_array_index(loop->sources, Source, i);
        struct pollfd one = { .fd = source->fd, .events = poll_events(source->events) };

        g_array_append_val(fds, one);
        g_array_append_val(ids, source->id);
        if (source->fd < 0 && (soonest < 0 || source->due < soonest))
            soonest = source->due;
    }
    return soonest < 0 ? -1 : (int)MAX(soonest - now(), 0);
}

static void fire_all(CheckLoop *loop, GArray *fds, GArray *ids)
{
    for (guint i = 0; i < ids->len; i++) {
        guint64 id = g_array_index(ids, guint64, i);
        const struct pollfd *fd = &g_array_index(fds, struct pollfd, i + 1);
        int at = index_of(loop, id);

        if (at < 0)
            continue;
        if (fd->fd < 0 && g_array_index(loop->sources, Source, at).due <= now())
            fire(loop, id, 0);
        else if (fd->fd >= 0 && fd->revents)
            fire(loop, id, watch_events(fd->revents));
    }
}

static void *run(void *opaque)
{
    CheckLoop *loop = opaque;
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(guint64));
    char bytes[64];

    pthread_mutex_lock(&loop->lock);
    while (!loop->ending) {
        int timeout = prepare(loop, fds, ids);

        pthread_mutex_unlock(&loop->lock);
        poll((struct pollfd *)(void *)fds->data, fds->len, timeout);
        while (read(loop->wake[0], bytes, sizeof bytes) > 0)
            ;
        pthread_mutex_lock(&loop->lock);
        fire_all(loop, fds, ids);
    }
    pthread_mutex_unlock(&loop->lock);
    return NULL;
}

CheckLoop *check_loop_new(void)
{
    CheckLoop *loop = g_new0(CheckLoop, 1);

    pthread_mutex_init(&loop->lock, NULL);
    pthread_cond_init(&loop->idle, NULL);
    loop->sources = g_array_new(FALSE, FALSE, sizeof(Source));
    if (pipe2(loop->wake, O_CLOEXEC | O_NONBLOCK) != 0 || pthread_create(&loop->thread, NULL, run, loop) != 0)
        g_error("cannot start a thread");
    return loop;
}

void check_loop_free(CheckLoop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->ending = TRUE;
    wake(loop);
    pthread_mutex_unlock(&loop->lock);
    check_loop_drain(loop);
    pthread_join(loop->thread, NULL);
    close(loop->wake[0]);
    close(loop->wake[1]);
    g_array_unref(loop->sources);
    pthread_mutex_destroy(&loop->lock);
    pthread_cond_destroy(&loop->idle);
    g_free(loop);
}

static guint64 add(CheckLoop *loop, Source source)
{
    pthread_mutex_lock(&loop->lock);
    source.id = ++loop->last_id;
    g_array_append_val(loop->sources, source);
    pthread_mutex_unlock(&loop->lock);
    wake(loop);
    return source.id;
}

guint64 check_loop_watch(CheckLoop *loop, int fd, int events, vireo_watch_fn *fn, void *opaque)
{
    return add(loop, (Source){ .fd = fd, .events = events, .watch = fn, .opaque = opaque });
}

guint64 check_loop_timer(CheckLoop *loop, guint milliseconds, vireo_timer_fn *fn, void *opaque)
{
    return add(loop, (Source){ .fd = -1, .due = now() + milliseconds, .timer = fn, .opaque = opaque });
}

void check_loop_remove(CheckLoop *loop, guint64 id)
{
    int at;

    pthread_mutex_lock(&loop->lock);
    at = index_of(loop, id);
    if (at >= 0)
        g_array_remove_index(loop->sources, (guint)at);
    while (loop->running == id && id && !pthread_equal(pthread_self(), loop->thread))
        pthread_cond_wait(&loop->idle, &loop->lock);
    pthread_mutex_unlock(&loop->lock);
    wake(loop);
}

typedef struct {
    CheckLoop *loop;
    vireo_timer_fn *fn;
    void *opaque;
} Deferred;

static void *run_deferred(void *opaque)
{
    Deferred *deferred = opaque;
    CheckLoop *loop = deferred->loop;

    check_enter("a deferred function");
    deferred->fn(deferred->opaque);
    check_leave();
    g_free(deferred);
    pthread_mutex_lock(&loop->lock);
    loop->deferred--;
    pthread_cond_broadcast(&loop->idle);
    pthread_mutex_unlock(&loop->lock);
    return NULL;
}

void check_loop_defer(CheckLoop *loop, vireo_timer_fn *fn, void *opaque)
{
    Deferred *deferred = g_new0(Deferred, 1);
    pthread_t thread;

    *deferred = (Deferred){ loop, fn, opaque };
    pthread_mutex_lock(&loop->lock);
    loop->deferred++;
    pthread_mutex_unlock(&loop->lock);
    if (pthread_create(&thread, NULL, run_deferred, deferred) != 0)
        g_error("cannot start a thread");
    pthread_detach(thread);
}

void check_loop_drain(CheckLoop *loop)
{
    pthread_mutex_lock(&loop->lock);
    while (loop->deferred)
        pthread_cond_wait(&loop->idle, &loop->lock);
    pthread_mutex_unlock(&loop->lock);
}

guint check_loop_n_sources(CheckLoop *loop)
{
    guint n;

    pthread_mutex_lock(&loop->lock);
    n = loop->sources->len;
    pthread_mutex_unlock(&loop->lock);
    return n;
}
