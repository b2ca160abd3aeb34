/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rpc/internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/error.h"

#define BACKLOG 1000

static gboolean room_for_more(VireoRpcServer *server)
{
    const VireoRpcLimits *limits = &server->limits;

    if (server->accept_retry || server->clients.length >= limits->max_clients)
        return FALSE;
    return !limits->max_anonymous_clients || server->n_anonymous < limits->max_anonymous_clients;
}

void rpc_listeners_update(VireoRpcServer *server)
{
    gboolean want = room_for_more(server);

    for (guint i = 0; i < server->listeners->len; i++) {
        RpcListener *listener = g_ptr_array_index(server->listeners, i);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener->watch};

        if (want == listener->polled)
            continue;
        epoll_ctl(server->epoll_fd, want ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener->fd, &event);
        listener->polled = want;
    }
}

static void listener_ready(RpcWatch *watch, guint events)
{
    RpcListener *listener = (RpcListener *)watch;
    VireoRpcServer *server = listener->server;
    VireoRpcClient *client;
    int fd;

    if (!room_for_more(server)) {
        rpc_listeners_update(server);
        return;
    }
    fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            g_warning("cannot accept a client, waiting: %s", g_strerror(errno));
            server->accept_retry = g_get_monotonic_time() + G_USEC_PER_SEC;
            rpc_listeners_update(server);
        }
        return;
    }
    client = rpc_client_new(server, fd, listener->kind);
    if (client && server->handler.opened)
        server->handler.opened(client, server->opaque);
    if (!room_for_more(server))
        rpc_listeners_update(server);
}

static void add_listener(VireoRpcServer *server, VireoRpcSocketKind kind, int fd, const char *path)
{
    RpcListener *listener = g_new0(RpcListener, 1);

    listener->watch.ready = listener_ready;
    listener->server = server;
    listener->kind = kind;
    listener->fd = fd;
    listener->path = g_strdup(path);
    g_ptr_array_add(server->listeners, listener);
    rpc_listeners_update(server);
}

static gboolean fail(GError **error, const char *path, const char *what)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "socket %s: %s: %s", path, what,
                g_strerror(errno));
    return FALSE;
}

/* The file has its final mode from the moment it can be reached: on Linux the inode of an unbound
 * socket hands its mode to the name it is bound to. */
static gboolean bind_path(int fd, const char *path, guint mode, gint gid, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    strcpy(address.sun_path, path);
    if (fchmod(fd, gid < 0 ? mode : mode & 0700) < 0)
        return fail(error, path, "cannot set the mode");
    if (unlink(path) < 0 && errno != ENOENT)
        return fail(error, path, "cannot replace the old one");
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return fail(error, path, "cannot bind");
    if (gid >= 0 && lchown(path, -1, gid) < 0)
        return fail(error, path, "cannot set the group");
    if (chmod(path, mode) < 0)
        return fail(error, path, "cannot set the mode");
    return TRUE;
}

gboolean vireo_rpc_server_listen(VireoRpcServer *server, VireoRpcSocketKind kind, const char *path,
                                 guint mode, gint gid, GError **error)
{
    int fd;

    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG,
                    "socket %s: the path is longer than the %zu bytes a socket may have", path,
                    sizeof((struct sockaddr_un *)0)->sun_path - 1);
        return FALSE;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(error, path, "cannot create");
    if (!bind_path(fd, path, mode, gid, error)) {
        close(fd);
        return FALSE;
    }
    if (listen(fd, BACKLOG) < 0) {
        fail(error, path, "cannot listen");
        unlink(path);
        close(fd);
        return FALSE;
    }
    add_listener(server, kind, fd, path);
    return TRUE;
}

gboolean vireo_rpc_server_listen_fd(VireoRpcServer *server, VireoRpcSocketKind kind, int fd,
                                    GError **error)
{
    int listening = 0, domain = 0;
    socklen_t size = sizeof listening;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening ||
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_UNIX) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG,
                    "descriptor %d is not a listening UNIX socket", fd);
        return FALSE;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return fail(error, "handed over", "cannot set flags");
    add_listener(server, kind, fd, NULL);
    return TRUE;
}

void rpc_listener_free(RpcListener *listener)
{
    if (!listener)
        return;
    close(listener->fd); /* leaves the epoll set with it */
    if (listener->path)
        unlink(listener->path);
    g_free(listener->path);
    g_free(listener);
}

void vireo_rpc_server_close_listeners(VireoRpcServer *server)
{
    while (server->listeners->len > 0) {
        RpcListener *listener =
            g_ptr_array_steal_index(server->listeners, server->listeners->len - 1);

        /* An event of this turn may still name it. */
        if (rpc_server_is_current(server) || server->n_pending > 0)
            rpc_server_bury(server, listener, (GDestroyNotify)rpc_listener_free);
        else
            rpc_listener_free(listener);
    }
}
