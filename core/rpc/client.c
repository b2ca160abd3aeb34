/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rpc/internal.h"

#include <sys/socket.h>
#include <unistd.h>

#include "util/process.h"

static guint64 last_id;

static void client_ready(RpcWatch *watch, guint events)
{
    VireoRpcClient *client = (VireoRpcClient *)watch;

    if (client->fd < 0)
        return;
    if (client->broken) {
        rpc_client_disconnect(client);
        return;
    }
    if (!client->stalled && !client->closing && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        rpc_input_ready(client);
    else if (events & (EPOLLHUP | EPOLLERR))
        rpc_client_disconnect(client);
    if (client->fd >= 0 && (events & EPOLLOUT))
        rpc_output_flush(client);
}

VireoRpcClient *rpc_client_new(VireoRpcServer *server, int fd, VireoRpcSocketKind kind)
{
    VireoRpcClient *client = g_new0(VireoRpcClient, 1);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &client->watch};

    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        close(fd);
        g_free(client);
        return NULL;
    }

    client->watch.ready = client_ready;
    client->refs = 1;
    client->server = server;
    client->id = ++last_id;
    client->kind = kind;
    client->since = g_get_real_time() / G_USEC_PER_SEC;
    client->slot = -1;
    client->timer.data = client;
    client->link.data = client;
    client->fd = fd;
    client->out_tail = &client->out;
    g_mutex_init(&client->lock);
    client->events = EPOLLIN;
    g_queue_push_tail_link(&server->clients, &client->link);
    server->n_anonymous++;
    return client;
}

VireoRpcClient *vireo_rpc_client_ref(VireoRpcClient *client)
{
    g_atomic_int_inc(&client->refs);
    return client;
}

void vireo_rpc_client_unref(VireoRpcClient *client)
{
    if (!client || !g_atomic_int_dec_and_test(&client->refs))
        return;
    g_mutex_clear(&client->lock);
    g_free(client);
}

void rpc_client_disconnect(VireoRpcClient *client)
{
    VireoRpcServer *server = client->server;

    if (client->fd < 0)
        return;
    g_mutex_lock(&client->lock);
    epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
    close(client->fd);
    client->fd = -1;
    rpc_output_clear_locked(client);
    g_mutex_unlock(&client->lock);

    g_queue_unlink(&server->clients, &client->link);
    if (!client->authenticated)
        server->n_anonymous--;
    rpc_timer_clear(client);
    rpc_input_clear(client);
    rpc_streams_abandon(client);
    if (server->handler.closed)
        server->handler.closed(client, server->opaque);
    server->accept_retry = 0;
    rpc_listeners_update(server);
    rpc_server_bury(server, client, (GDestroyNotify)vireo_rpc_client_unref);
}

void rpc_client_kick(VireoRpcClient *client, const char *why)
{
    g_info("client %" G_GUINT64_FORMAT ": connection closed: %s", client->id, why);
    rpc_client_disconnect(client);
}

void rpc_client_rearm_locked(VireoRpcClient *client)
{
    guint events = (client->stalled || client->closing ? 0 : EPOLLIN) |
                   (client->out && !client->corked ? EPOLLOUT : 0);
    struct epoll_event event = {.events = events, .data.ptr = &client->watch};

    if (client->fd < 0 || client->events == events)
        return;
    client->events = events;
    epoll_ctl(client->server->epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
}

/* ---- request slots ---- */

static void resume(gpointer what)
{
    VireoRpcClient *client = what;

    g_mutex_lock(&client->lock);
    client->resume_posted = FALSE;
    g_mutex_unlock(&client->lock);
    if (client->fd >= 0 && client->stalled && !client->closing)
        rpc_input_resume(client);
    vireo_rpc_client_unref(client);
}

void rpc_client_resume_locked(VireoRpcClient *client)
{
    if (client->fd < 0 || !client->stalled || client->resume_posted)
        return;
    client->resume_posted = TRUE;
    rpc_server_post(client->server, resume, vireo_rpc_client_ref(client));
}

void rpc_client_take_slot(VireoRpcClient *client)
{
    g_mutex_lock(&client->lock);
    client->slots++;
    g_mutex_unlock(&client->lock);
}

void rpc_client_give_slot(VireoRpcClient *client)
{
    g_mutex_lock(&client->lock);
    client->slots--;
    rpc_client_resume_locked(client);
    g_mutex_unlock(&client->lock);
}

void vireo_rpc_request_release(VireoRpcClient *client, VireoRpcRequest *request)
{
    RpcRequest *own = (RpcRequest *)request;

    g_mutex_lock(&client->lock);
    for (RpcRequest **at = &client->requests; *at; at = &(*at)->next) {
        if (*at == own) {
            *at = own->next;
            break;
        }
    }
    client->slots--;
    rpc_client_resume_locked(client);
    g_mutex_unlock(&client->lock);
    rpc_request_free(own);
}

/* ---- what others ask and set ---- */

void vireo_rpc_client_set_data(VireoRpcClient *client, gpointer data)
{
    client->data = data;
}

gpointer vireo_rpc_client_data(VireoRpcClient *client)
{
    return client->data;
}

guint64 vireo_rpc_client_id(const VireoRpcClient *client)
{
    return client->id;
}

VireoRpcSocketKind vireo_rpc_client_kind(const VireoRpcClient *client)
{
    return client->kind;
}

gint64 vireo_rpc_client_since(const VireoRpcClient *client)
{
    return client->since;
}

gboolean vireo_rpc_client_peer(const VireoRpcClient *client, pid_t *pid, uid_t *uid, gid_t *gid,
                               guint64 *start_time)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (client->fd < 0 || getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return FALSE;
    if (pid)
        *pid = peer.pid;
    if (uid)
        *uid = peer.uid;
    if (gid)
        *gid = peer.gid;
    if (start_time)
        *start_time = vireo_pid_start_time(peer.pid);
    return TRUE;
}

void vireo_rpc_client_set_authenticated(VireoRpcClient *client)
{
    if (client->authenticated || client->fd < 0)
        return;
    client->authenticated = TRUE;
    client->server->n_anonymous--;
    rpc_listeners_update(client->server);
}

static void close_drained(gpointer what)
{
    VireoRpcClient *client = what;

    if (client->fd >= 0) {
        if (client->out && !client->broken)
            rpc_timer_set(client, rpc_now() + RPC_LINGER);
        else
            rpc_client_disconnect(client);
    }
    vireo_rpc_client_unref(client);
}

void vireo_rpc_client_close(VireoRpcClient *client)
{
    g_mutex_lock(&client->lock);
    if (client->fd >= 0 && !client->closing) {
        client->closing = TRUE;
        rpc_client_rearm_locked(client);
        rpc_server_post(client->server, close_drained, vireo_rpc_client_ref(client));
    }
    g_mutex_unlock(&client->lock);
}
