/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define GONE_S 5

enum { DEVICE, CLIENT };

/* What one side has said and the other not taken yet. */
typedef struct {
    char bytes[4096];
    gsize begin, end;
    gboolean over; /* nothing more comes */
} Way;

typedef struct {
    QemuDriver *driver;
    char *key;
    int fds[2];
    uint64_t watches[2];
    int events[2]; /* that are watched for */
    Way from[2];
} Terminal;

static gssize put(int fd, const char *bytes, gsize size)
{
    gssize n = send(fd, bytes, size, MSG_NOSIGNAL);

    return n < 0 && errno == ENOTSOCK ? write(fd, bytes, size) : n;
}

/* Whether there may be more to move; FALSE at the end or when the receiver is full. */
static gboolean move_some(Way *way, int from, int to)
{
    gssize n;

    if (way->begin == way->end && !way->over) {
        n = read(from, way->bytes, sizeof way->bytes);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return FALSE;
        way->over = n <= 0;
        way->begin = 0;
        way->end = n > 0 ? (gsize)n : 0;
    }
    if (way->begin == way->end)
        return FALSE;
    n = put(to, way->bytes + way->begin, way->end - way->begin);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        way->over = TRUE;
        way->begin = way->end = 0;
    }
    way->begin += n > 0 ? (gsize)n : 0;
    return way->begin == way->end && !way->over;
}

static gboolean has_ended(const Terminal *terminal)
{
    for (guint side = 0; side < 2; side++)
        if (terminal->from[side].over && terminal->from[side].begin == terminal->from[side].end)
            return TRUE;
    return FALSE;
}

static void unwatch(Terminal *terminal, guint side)
{
    if (terminal->watches[side])
        terminal->driver->host->unwatch(terminal->driver->core, terminal->watches[side]);
    terminal->watches[side] = 0;
}

/* Of one that nobody finds any more. */
static void terminal_free(Terminal *terminal)
{
    for (guint side = 0; side < 2; side++)
        unwatch(terminal, side);
    for (guint side = 0; side < 2; side++)
        close(terminal->fds[side]);
    g_free(terminal->key);
    g_free(terminal);
}

static void ready(int fd, int events, void *opaque);

/* Reading while there is room, writing while something waits; a side that is over would only tell so
 * again and again. With the lock held. */
static void watch(Terminal *terminal)
{
    QemuDriver *driver = terminal->driver;

    for (guint side = 0; side < 2; side++) {
        const Way *in = &terminal->from[side], *out = &terminal->from[!side];
        int events = VIREO_WATCH_HANGUP | (in->begin == in->end ? VIREO_WATCH_IN : 0) |
                     (out->begin < out->end ? VIREO_WATCH_OUT : 0);

        if (in->over)
            events = 0;
        if (events == terminal->events[side])
            continue;
        unwatch(terminal, side);
        terminal->watches[side] =
            events ? driver->host->watch(driver->core, terminal->fds[side], events, ready, terminal) : 0;
        terminal->events[side] = events;
    }
}

static void ready(int fd, int events, void *opaque)
{
    Terminal *terminal = opaque;
    QemuDriver *driver = terminal->driver;
    gboolean ended;

    g_mutex_lock(&driver->terminals_lock);
    if (!g_ptr_array_find(driver->terminals, terminal, NULL)) {
        g_mutex_unlock(&driver->terminals_lock); /* who ends it has it */
        return;
    }
    for (guint side = 0; side < 2; side++)
        while (move_some(&terminal->from[side], terminal->fds[side], terminal->fds[!side]))
            continue;
    /* A side that hung up may have nothing to read and nobody who could tell. */
    if (events & (VIREO_WATCH_HANGUP | VIREO_WATCH_ERROR) && !(events & VIREO_WATCH_IN))
        terminal->from[fd == terminal->fds[CLIENT]].over = TRUE;
    ended = has_ended(terminal);
    if (ended) {
        g_ptr_array_remove_fast(driver->terminals, terminal);
        g_cond_broadcast(&driver->terminals_gone);
    } else {
        watch(terminal);
    }
    g_mutex_unlock(&driver->terminals_lock);
    if (ended)
        terminal_free(terminal);
}

static Terminal *find(QemuDriver *driver, const char *key)
{
    for (guint i = 0; i < driver->terminals->len; i++) {
        Terminal *terminal = driver->terminals->pdata[i];

        if (g_str_equal(terminal->key, key))
            return terminal;
    }
    return NULL;
}

/* Nobody has the device when TRUE; with the lock held. */
static gboolean make_room(QemuDriver *driver, const char *key, gboolean force)
{
    gint64 until = g_get_monotonic_time() + GONE_S * G_USEC_PER_SEC;
    Terminal *other;

    while ((other = find(driver, key))) {
        if (!force)
            return FALSE;
        shutdown(other->fds[CLIENT], SHUT_RDWR); /* the I/O thread does the rest */
        if (!g_cond_wait_until(&driver->terminals_gone, &driver->terminals_lock, until))
            return FALSE;
    }
    return TRUE;
}

gboolean qemu_terminal_join(QemuDriver *driver, vireo_call *call, const char *key, int fd, gboolean force,
                            GError **error)
{
    Terminal *terminal;
    int ends[2];
    gboolean free_now;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "socketpair: %s", g_strerror(errno));
        close(fd);
        return FALSE;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK);
    terminal = g_new0(Terminal, 1);
    *terminal = (Terminal){ .driver = driver, .key = g_strdup(key), .fds = { [DEVICE] = fd, [CLIENT] = ends[0] } };
    g_mutex_lock(&driver->terminals_lock);
    free_now = make_room(driver, key, force);
    if (free_now) {
        g_ptr_array_add(driver->terminals, terminal);
        watch(terminal);
    }
    g_mutex_unlock(&driver->terminals_lock);
    if (!free_now) {
        terminal_free(terminal);
        close(ends[1]);
        return FALSE;
    }
    if (driver->host->stream(call, ends[1], VIREO_STREAM_FROM_FD | VIREO_STREAM_TO_FD, 0, 0) == VIREO_OK)
        return TRUE;
    qemu_error(error, VIREO_ERR_INTERNAL_ERROR, "the stream could not be joined");
    return FALSE;
}

void qemu_terminals_end(QemuDriver *driver)
{
    while (TRUE) {
        Terminal *terminal;

        g_mutex_lock(&driver->terminals_lock);
        terminal = driver->terminals->len ? g_ptr_array_steal_index_fast(driver->terminals, 0) : NULL;
        g_mutex_unlock(&driver->terminals_lock);
        if (!terminal)
            return;
        terminal_free(terminal);
    }
}
