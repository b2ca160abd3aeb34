/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/call.h"

#include <unistd.h>

vireo_call *vireo_call_new(const VireoOp *op, VireoArena *arena, gpointer args)
{
    vireo_call *call = vireo_arena_alloc(arena, sizeof *call);

    call->refs = 1;
    call->op = op;
    call->arena = arena;
    call->args = args;
    call->ret = op->ret ? vireo_arena_alloc(arena, op->ret->size) : NULL;
    call->stream_fd = -1;
    call->driver = "none";
    return call;
}

vireo_call *vireo_call_ref(vireo_call *call)
{
    g_atomic_int_inc(&call->refs);
    return call;
}

void vireo_call_unref(vireo_call *call)
{
    if (!call || !g_atomic_int_dec_and_test(&call->refs))
        return;
    for (guint i = 0; call->reply_fds && i < call->reply_fds->len; i++)
        close(g_array_index(call->reply_fds, int, i));
    g_clear_pointer(&call->reply_fds, g_array_unref);
    if (call->stream_fd != -1)
        close(call->stream_fd);
    vireo_arena_free(call->arena); /* the call itself lives in it */
}

int vireo_call_vfail(vireo_call *call, int code, const char *format, va_list args)
{
    g_autofree char *message = NULL;

    if (call->error_code)
        return VIREO_FAIL;
    message = g_strdup_vprintf(format, args);
    call->error_code = code ? code : VIREO_ERR_INTERNAL_ERROR;
    call->error_message = vireo_arena_strdup(call->arena, message);
    return VIREO_FAIL;
}

int vireo_call_fail(vireo_call *call, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vireo_call_vfail(call, code, format, args);
    va_end(args);
    return VIREO_FAIL;
}

gboolean vireo_call_is_cancelled(vireo_call *call)
{
    if (g_atomic_int_get(&call->cancelled))
        return TRUE;
    return call->deadline && g_get_monotonic_time() > call->deadline;
}

void vireo_call_cancel(vireo_call *call)
{
    VireoCallCancelled tell;

    if (!g_atomic_int_compare_and_exchange(&call->cancelled, FALSE, TRUE))
        return;
    tell = g_atomic_pointer_get(&call->on_cancel);
    if (tell)
        tell(call, call->cancel_opaque);
}

gboolean vireo_call_finish(vireo_call *call, int status)
{
    if (!g_atomic_int_compare_and_exchange(&call->finished, 0, 1))
        return FALSE;
    call->done(call, status, call->opaque);
    return TRUE;
}
