/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/client.h"
#include "ops/codec.h"

static gboolean encode_call(const VireoClientCall *call, guint32 serial, GByteArray **ret,
                            GError **error)
{
    VireoRpcHeader header = {
        .program = vireo_program_number(call->op->program),
        .version = 1,
        .proc = call->op->proc,
        .type = call->n_fds ? VIREO_RPC_CALL_WITH_FDS : VIREO_RPC_CALL,
        .serial = serial,
        .status = VIREO_RPC_OK,
    };
    g_autoptr(GByteArray) bytes = vireo_packet_new(&header);

    if (call->n_fds) {
        guint32 count = GUINT32_TO_BE(call->n_fds);

        g_byte_array_append(bytes, (const guint8 *)&count, sizeof(count));
    }
    if (!vireo_wire_encode(call->op->args, call->args, bytes, error))
        return FALSE;
    if (bytes->len > VIREO_CLIENT_MAX_LENGTH) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_RPC, "%s: the arguments are too large to send",
                    call->op->name);
        return FALSE;
    }
    vireo_packet_seal(bytes);
    *ret = g_steal_pointer(&bytes);
    return TRUE;
}

static gboolean duplicate_fds(const VireoClientCall *call, int *fds, GError **error)
{
    if (call->n_fds > VIREO_CLIENT_MAX_FDS) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "more than %d descriptors in one call",
                    VIREO_CLIENT_MAX_FDS);
        return FALSE;
    }
    for (guint i = 0; i < call->n_fds; i++) {
        fds[i] = fcntl(call->fds[i], F_DUPFD_CLOEXEC, 3);
        if (fds[i] >= 0)
            continue;
        g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "descriptor %d: %s", call->fds[i],
                    g_strerror(errno));
        while (i--)
            close(fds[i]);
        return FALSE;
    }
    return TRUE;
}

static void hand_over_fds(VireoClientCall *call, VireoPending *pending, gboolean wanted)
{
    for (guint i = 0; i < pending->n_fds; i++)
        if (wanted && call->n_reply_fds < call->max_reply_fds)
            call->reply_fds[call->n_reply_fds++] = pending->fds[i];
        else
            close(pending->fds[i]);
}

static gboolean decode_reply(VireoClientCall *call, VireoPending *pending, GError **error)
{
    const guint8 *payload = pending->reply->data + RPC_HEADER;
    gsize size = pending->reply->len - RPC_HEADER;

    if (pending->header.status != VIREO_RPC_OK) {
        vireo_packet_error(payload, size, call->arena, call->remote, error);
        return FALSE;
    }
    return vireo_wire_decode(call->op->ret, payload, size, call->arena, call->ret, NULL, error);
}

/* Sends the packet and waits; FALSE with an error when the connection ended before the reply. */
static gboolean exchange(VireoClient *client, VireoClientCall *call, VireoPending *pending,
                         const int *fds, VireoStream **stream, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&client->lock);
    GByteArray *bytes = NULL;
    gboolean sent = FALSE;

    pending->program = vireo_program_number(call->op->program);
    pending->serial = client->next_serial++;
    if (client->failure) {
        g_propagate_error(error, g_error_copy(client->failure));
    } else if (encode_call(call, pending->serial, &bytes, error)) {
        g_hash_table_insert(client->calls, GUINT_TO_POINTER(pending->serial), pending);
        if (call->stream)
            *stream = vireo_stream_new(client, call->op, pending->serial);
        vireo_client_queue(client, bytes, fds, call->n_fds);
        if (client->stream_bytes)
            vireo_client_wake(client);
        sent = TRUE;
    }
    if (!sent) {
        for (guint i = 0; i < call->n_fds; i++)
            close(fds[i]);
        return FALSE;
    }
    while (!pending->done)
        g_cond_wait(&pending->done_cond, &client->lock);
    if (pending->reply)
        return TRUE;
    g_propagate_error(error, g_error_copy(client->failure));
    return FALSE;
}

gboolean vireo_client_call_full(VireoClient *client, VireoClientCall *call, GError **error)
{
    g_autoptr(VireoStream) stream = NULL;
    VireoPending pending = { 0 };
    int fds[VIREO_CLIENT_MAX_FDS];
    gboolean ok;

    g_return_val_if_fail(call->op && call->op->kind == VIREO_OP_CALL, FALSE);
    g_return_val_if_fail(!call->op->args || call->args, FALSE);
    g_return_val_if_fail(!call->op->ret || (call->ret && call->arena), FALSE);
    call->n_reply_fds = 0;
    if (call->remote)
        memset(call->remote, 0, sizeof(*call->remote));
    if (call->op->ret)
        memset(call->ret, 0, call->op->ret->size);
    if (!duplicate_fds(call, fds, error))
        return FALSE;
    g_cond_init(&pending.done_cond);
    ok = exchange(client, call, &pending, fds, &stream, error) && decode_reply(call, &pending, error);
    g_cond_clear(&pending.done_cond);
    hand_over_fds(call, &pending, ok);
    if (pending.reply)
        g_byte_array_unref(pending.reply);
    if (ok && call->stream)
        *call->stream = g_steal_pointer(&stream);
    return ok;
}

gboolean vireo_client_call(VireoClient *client, const VireoOp *op, gconstpointer args,
                           VireoArena *arena, gpointer ret, GError **error)
{
    VireoClientCall call = { .op = op, .args = args, .arena = arena, .ret = ret };

    return vireo_client_call_full(client, &call, error);
}

gboolean vireo_client_call_parts(VireoClient *client, guint32 id, VireoArena *arena, GError **error,
                                 const void *const *parts)
{
    VireoClientCall call = { .op = vireo_op_by_id(id), .arena = arena };

    if (call.op->args)
        call.args = *parts++;
    if (call.op->ret)
        call.ret = (gpointer)*parts;
    return vireo_client_call_full(client, &call, error);
}
