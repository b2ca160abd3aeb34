/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls one after the other, with one look at what went wrong. */
#include "driver.h"

#include <string.h>

#include "kit/retry.h"

#define E_ACCESSDENIED 0x80070005u /* also: the object is not ready, as while a machine's process ends */
#define SLICE_MS       500

void vbox_talk_begin(VboxTalk *talk, VboxServer *server, const VireoHttpWait *wait)
{
    *talk = (VboxTalk){.server = server, .wait = *wait, .arena = vireo_arena_new(), .taken = g_ptr_array_new()};
    g_mutex_lock(&server->lock);
    talk->web = vireo_arena_strdup(talk->arena, server->web ? server->web : "");
    g_mutex_unlock(&server->lock);
}

gboolean vbox_talk_end(VboxTalk *talk, GError **error)
{
    VireoHttpWait wait = {.timeout_ms = 5000};

    for (guint i = talk->taken->len; i > 0; i--) {
        vw_i_managed_object_ref_release_args args = {._this = talk->taken->pdata[i - 1]};

        vw_i_managed_object_ref_release(talk->server->soap, &args, &wait, talk->arena, NULL);
    }
    g_ptr_array_unref(talk->taken);
    vireo_arena_free(talk->arena);
    gboolean good = talk->error == NULL;
    if (talk->error)
        g_propagate_error(error, g_steal_pointer(&talk->error));
    return good;
}

int vbox_talk_finish(VboxTalk *talk, vireo_call *call)
{
    VboxServer *server = talk->server;
    GError *error = NULL;

    return vbox_talk_end(talk, &error) ? VIREO_OK : vbox_fail(server->driver, call, error);
}

const char *vbox_talk_take(VboxTalk *talk, const char *ref)
{
    if (*ref)
        g_ptr_array_add(talk->taken, (char *)ref);
    return ref;
}

void vbox_talk_refuse(VboxTalk *talk, int code, const char *format, ...)
{
    va_list args;

    if (talk->error)
        return;
    va_start(args, format);
    talk->error = g_error_new_valist(VIREO_ERROR, code, format, args);
    va_end(args);
}

/* ---- one call ------------------------------------------------------------------------ */

/* What an answer without anything in it is. */
static gpointer nothing(VboxTalk *talk, const VireoSoapOperation *operation)
{
    char *ret = vireo_arena_alloc(talk->arena, operation->ret->size);

    for (guint i = 0; i < operation->ret->n_fields; i++) {
        const VireoSoapField *field = &operation->ret->fields[i];

        if (field->kind == VIREO_SOAP_STRING && !(field->flags & VIREO_SOAP_MANY))
            *(const char **)(ret + field->offset) = "";
    }
    return ret;
}

/* The first member of the arguments is the object that is asked. */
static const char **object_of(const VireoSoapOperation *operation, gpointer args)
{
    return (const char **)((char *)args + operation->args->fields[0].offset);
}

/* The session has ended: everything before this was of another one. */
static gboolean begin_again(VboxTalk *talk, const VireoSoapOperation *operation, gpointer args, GError **error)
{
    VboxServer *server = talk->server;

    if (!vireo_soap_is_fault(*error, "InvalidObjectFault") || g_strcmp0(*object_of(operation, args), talk->web) != 0)
        return FALSE;
    g_clear_error(error);
    if (!vbox_server_renew(server, talk->web, &talk->wait, error))
        return FALSE;
    g_mutex_lock(&server->lock);
    talk->web = vireo_arena_strdup(talk->arena, server->web);
    g_mutex_unlock(&server->lock);
    *object_of(operation, args) = talk->web;
    return TRUE;
}

gpointer vbox_talk_call(VboxTalk *talk, const VireoSoapOperation *operation, gconstpointer given)
{
    VireoRetry retry = {
        .tries = 8, .first_ms = 20, .most_ms = 400, .cancelled = talk->wait.cancelled, .opaque = talk->wait.opaque};
    gpointer args = vireo_arena_alloc(talk->arena, operation->args->size), ret = NULL;
    gboolean renewed = FALSE;

    memcpy(args, given, operation->args->size);
    while (!talk->error && !ret) {
        ret = vireo_soap_call(talk->server->soap, operation, args, &talk->wait, talk->arena, &talk->error);
        if (ret)
            return ret;
        if (!renewed && begin_again(talk, operation, args, &talk->error))
            renewed = TRUE;
        else if (operation->safe && vbox_error_result(talk->error) == E_ACCESSDENIED && vireo_retry_again(&retry))
            g_clear_error(&talk->error);
    }
    return nothing(talk, operation);
}

/* ---- long work ------------------------------------------------------------------------- */

static const char *why(VboxTalk *talk, const char *progress)
{
    const char *info = VBOX_TAKE(talk, i_progress_get_error_info, progress);

    return *info ? VBOX_GET(talk, i_virtual_box_error_info_get_text, info) : "";
}

gboolean vbox_talk_follow(VboxTalk *talk, vireo_call *call, const char *progress)
{
    const struct vireo_host *host = talk->server->driver->host;
    VireoHttpWait patient = {0};
    gboolean cancelled = FALSE;

    vbox_talk_take(talk, progress);
    for (;;) {
        gboolean done = VBOX_GET(talk, i_progress_get_completed, progress);

        if (call && !cancelled && !done && host->cancelled(call)) {
            talk->wait = patient; /* what is under way is seen to its end */
            g_clear_error(&talk->error);
            VBOX_CALL(talk, i_progress_cancel, ._this = progress);
            g_clear_error(&talk->error); /* not everything can be cancelled */
            cancelled = TRUE;
            continue;
        }
        if (done || talk->error)
            break;
        if (call)
            host->progress(call, VBOX_GET(talk, i_progress_get_percent, progress), 100, "progress");
        VBOX_CALL(talk, i_progress_wait_for_completion, ._this = progress, .timeout = SLICE_MS);
    }
    gint32 result = VBOX_GET(talk, i_progress_get_result_code, progress);
    if (!talk->error && result) {
        const char *text = why(talk, progress);

        g_clear_error(&talk->error);
        vbox_error_from_result(&talk->error, (guint32)result, text);
    }
    return talk->error == NULL;
}
