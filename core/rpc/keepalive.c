/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pings, and the time a closing client has to read its answers. Clients wait on a wheel of seconds;
 * the loop wakes up for the next occupied slot only, and input merely notes the time: a deadline
 * that has moved is found when its old slot comes up.
 */
#include "rpc/internal.h"

#include "ops/catalogue.h"

#define PROC_PING 1
#define PROC_PONG 2

static void send_message(VireoRpcClient *client, gint32 proc)
{
    VireoRpcHeader header = {
        .program = vireo_program_number(VIREO_PROGRAM_KEEPALIVE),
        .version = 1,
        .proc = proc,
    };

    rpc_send_empty(client, &header, VIREO_RPC_MESSAGE, VIREO_RPC_OK);
}

void rpc_keepalive_packet(VireoRpcClient *client, const VireoRpcHeader *header)
{
    if (header->type == VIREO_RPC_CALL || header->type == VIREO_RPC_CALL_WITH_FDS) {
        g_autofree char *text =
            g_strdup_printf("Cannot find program %u version %u", header->program, header->version);

        rpc_send_error(client, header, VIREO_RPC_REPLY, VIREO_ERR_RPC, VIREO_FROM_RPC, text);
        return;
    }
    if (header->type == VIREO_RPC_MESSAGE && header->proc == PROC_PING)
        send_message(client, PROC_PONG);
}

void vireo_rpc_client_enable_keepalive(VireoRpcClient *client)
{
    const VireoRpcLimits *limits = &client->server->limits;

    if (client->fd < 0 || client->keepalive || limits->keepalive_interval <= 0)
        return;
    client->keepalive = TRUE;
    client->pings_left = limits->keepalive_count;
    client->last_input = rpc_now();
    rpc_timer_set(client, client->last_input + limits->keepalive_interval);
}

static void check_keepalive(VireoRpcClient *client, gint64 now)
{
    const VireoRpcLimits *limits = &client->server->limits;
    gint64 silence_ends = client->last_input + limits->keepalive_interval;

    if (limits->keepalive_interval <= 0) {
        client->keepalive = FALSE;
        return;
    }
    /* Who is not read from cannot be heard; a peer that died shows as a hang-up. */
    if (client->stalled || client->heard) {
        client->heard = FALSE;
        client->pings_left = limits->keepalive_count;
        rpc_timer_set(client, client->stalled ? now + limits->keepalive_interval
                                              : MAX(silence_ends, now + 1));
        return;
    }
    if (client->pings_left <= 0) {
        rpc_client_kick(client, "no answer to keepalive messages");
        return;
    }
    client->pings_left--;
    send_message(client, PROC_PING);
    rpc_timer_set(client, now + limits->keepalive_interval);
}

/* ---- the wheel ---- */

static void wheel_insert(VireoRpcClient *client)
{
    VireoRpcServer *server = client->server;
    gint64 second =
        CLAMP(client->deadline, server->wheel_second, server->wheel_second + RPC_WHEEL - 2);

    client->slot = second % RPC_WHEEL;
    g_queue_push_tail_link(&server->wheel[client->slot], &client->timer);
    server->wheel_used++;
}

void rpc_timer_clear(VireoRpcClient *client)
{
    if (client->slot < 0)
        return;
    g_queue_unlink(&client->server->wheel[client->slot], &client->timer);
    client->server->wheel_used--;
    client->slot = -1;
}

void rpc_timer_set(VireoRpcClient *client, gint64 second)
{
    VireoRpcServer *server = client->server;

    rpc_timer_clear(client);
    if (server->wheel_used == 0)
        server->wheel_second = rpc_now();
    client->deadline = second;
    wheel_insert(client);
    if (!rpc_server_is_current(server))
        rpc_timers_arm(server);
}

static void expire(VireoRpcClient *client, gint64 now)
{
    if (client->deadline > now)
        wheel_insert(client);
    else if (client->closing)
        rpc_client_kick(client, "the last answers were not read in time");
    else if (client->keepalive)
        check_keepalive(client, now);
}

void rpc_timers_run(VireoRpcServer *server)
{
    gint64 now;

    if (server->accept_retry && server->accept_retry <= g_get_monotonic_time()) {
        server->accept_retry = 0;
        rpc_listeners_update(server);
    }
    if (server->wheel_used == 0)
        return;
    now = rpc_now();
    while (server->wheel_second <= now && server->wheel_used > 0) {
        GQueue *slot = &server->wheel[server->wheel_second % RPC_WHEEL];

        server->wheel_second++;
        while (slot->head) {
            VireoRpcClient *client = g_queue_pop_head_link(slot)->data;

            server->wheel_used--;
            client->slot = -1;
            expire(client, now);
        }
    }
}

void rpc_timers_arm(VireoRpcServer *server)
{
    gint64 at = server->accept_retry ? server->accept_retry : -1;

    for (guint i = 0; server->wheel_used > 0 && i < RPC_WHEEL; i++) {
        gint64 second = server->wheel_second + i;

        if (server->wheel[second % RPC_WHEEL].length == 0)
            continue;
        if (at < 0 || second * G_USEC_PER_SEC < at)
            at = second * G_USEC_PER_SEC;
        break;
    }
    if (at != g_source_get_ready_time(server->source))
        g_source_set_ready_time(server->source, at);
}
