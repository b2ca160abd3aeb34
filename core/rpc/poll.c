/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One wait for everything: instead of polling the server's epoll set from outside and then asking
 * it what happened, the main context waits in that set. What else the context polls, its own
 * wake-up and other servers' sets, is in it too; as soon as there is anything more, GLib's own poll
 * does the work.
 */
#include "rpc/internal.h"

#define MAX_OTHERS 4
#define AWAKE_US   60

static VireoRpcServer *driver; /* set and read on the context's thread */
static struct {
    RpcWatch watch;
    int fd;
} others[MAX_OTHERS];
static guint n_others;

static void other_ready(RpcWatch *watch, guint events)
{
}

/* Puts in what the context polls the first time: these stay open as long as it runs. */
static void adopt(const GPollFD *fds, guint n)
{
    for (guint i = 0; i < n && n_others < MAX_OTHERS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &others[n_others].watch};

        if (fds[i].fd == driver->epoll_fd || fds[i].events != G_IO_IN ||
            epoll_ctl(driver->epoll_fd, EPOLL_CTL_ADD, fds[i].fd, &event) < 0)
            continue;
        others[n_others].watch.ready = other_ready;
        others[n_others++].fd = fds[i].fd;
    }
}

static guint find_other(int fd)
{
    guint i = 0;

    while (i < n_others && others[i].fd != fd)
        i++;
    return i;
}

/* The place of the server's own set among the fds; -1 when something is there that it lacks. */
static gint place_of_driver(const GPollFD *fds, guint n)
{
    gint place = -1;

    for (guint i = 0; i < n; i++) {
        if (fds[i].fd == driver->epoll_fd)
            place = (gint)i;
        else if (find_other(fds[i].fd) == n_others)
            return -1;
    }
    return place;
}

static void mark(GPollFD *fds, guint n, int fd)
{
    for (guint i = 0; i < n; i++)
        if (fds[i].fd == fd)
            fds[i].revents = G_IO_IN;
}

/* A call is usually followed by the next within microseconds: looking out for it that long spares its
 * client the time this thread takes to wake up. Nothing follows: asleep until something does. */
static gint wait_a_moment(VireoRpcServer *server, gint timeout)
{
    static gint64 awake_until;
    gint found = 0;

    while (found == 0 && timeout != 0 && g_get_monotonic_time() < awake_until)
        found = epoll_wait(server->epoll_fd, server->pending, RPC_EVENTS_PER_TURN, 0);
    if (found == 0)
        found = epoll_wait(server->epoll_fd, server->pending, RPC_EVENTS_PER_TURN, timeout);
    if (found > 0)
        awake_until = g_get_monotonic_time() + AWAKE_US;
    return found;
}

static gint wait_in_set(GPollFD *fds, guint n, gint timeout)
{
    VireoRpcServer *server = driver;
    gint place, found, ready = 0;

    if (server && n_others == 0)
        adopt(fds, n);
    place = server && server->n_pending == 0 ? place_of_driver(fds, n) : -1;
    if (place < 0)
        return g_poll(fds, n, timeout);
    for (guint i = 0; i < n; i++)
        fds[i].revents = 0;
    found = wait_a_moment(server, timeout);
    for (gint i = 0; i < found; i++) {
        RpcWatch *watch = server->pending[i].data.ptr;

        if (watch->ready == other_ready) {
            mark(fds, n, ((typeof(&others[0]))watch)->fd);
            ready++;
        } else {
            server->pending[server->n_pending++] = server->pending[i];
        }
    }
    if (server->n_pending > 0) {
        fds[place].revents = G_IO_IN;
        ready++;
    }
    return found < 0 ? -1 : ready;
}

void vireo_rpc_server_drive(VireoRpcServer *server)
{
    g_return_if_fail(!driver);
    driver = server;
    g_main_context_set_poll_func(server->context, wait_in_set);
}

void rpc_poll_stop(VireoRpcServer *server)
{
    if (driver != server)
        return;
    g_main_context_set_poll_func(server->context, NULL);
    driver = NULL;
    n_others = 0;
}
