/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests one after the other, with one look at what went wrong. */
#include "driver.h"

#include <string.h>

void hyperv_talk_begin(HypervTalk *talk, HypervServer *server, vireo_call *call, const VireoHttpWait *wait)
{
    *talk = (HypervTalk){.server = server,
                         .wait = *wait,
                         .call = call,
                         .lists = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref),
                         .owned = g_ptr_array_new_with_free_func((GDestroyNotify)vireo_cim_unref)};
}

gboolean hyperv_talk_end(HypervTalk *talk, GError **error)
{
    g_ptr_array_unref(talk->lists);
    g_ptr_array_unref(talk->owned);
    if (!talk->error)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&talk->error));
    return FALSE;
}

int hyperv_talk_finish(HypervTalk *talk, vireo_call *call)
{
    HypervServer *server = talk->server;
    GError *error = NULL;

    return hyperv_talk_end(talk, &error) ? VIREO_OK : hyperv_fail(server->driver, call, error);
}

void hyperv_talk_refuse(HypervTalk *talk, int code, const char *format, ...)
{
    va_list args;

    if (talk->error)
        return;
    va_start(args, format);
    talk->error = g_error_new_valist(VIREO_ERROR, code, format, args);
    va_end(args);
}

const VireoCim *hyperv_own(HypervTalk *talk, VireoCim *cim)
{
    g_ptr_array_add(talk->owned, cim);
    return cim;
}

/* ---- queries ------------------------------------------------------------------------- */

static GPtrArray *query(HypervTalk *talk, const char *space, const char *wql)
{
    GPtrArray *all = talk->error ? NULL
                                 : vireo_wsman_query(talk->server->wsman, space, wql, &talk->wait, &talk->error);

    return all ? all : g_ptr_array_new();
}

const GPtrArray *hyperv_query(HypervTalk *talk, const char *space, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *wql = g_strdup_vprintf(format, args);
    va_end(args);
    GPtrArray *all = query(talk, space, wql);
    g_ptr_array_add(talk->lists, all);
    return all;
}

const VireoCim *hyperv_query_one(HypervTalk *talk, const char *space, const char *what, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *wql = g_strdup_vprintf(format, args);
    va_end(args);
    g_autoptr(GPtrArray) all = query(talk, space, wql);
    if (all->len)
        return hyperv_own(talk, vireo_cim_hold(all->pdata[0]));
    if (what)
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_FAILED, "%s has no %s", talk->server->uri->host, what);
    return hyperv_own(talk, vireo_cim_new(""));
}

/* ---- paths --------------------------------------------------------------------------- */

const VireoCim *hyperv_service(HypervTalk *talk, const char *class)
{
    return hyperv_own(talk, vireo_wsman_path(HYPERV_SPACE, class, "CreationClassName", class));
}

const VireoCim *hyperv_at(HypervTalk *talk, const char *class, const char *instance_id)
{
    return hyperv_own(talk, vireo_wsman_path(HYPERV_SPACE, class, "InstanceID", instance_id));
}

const VireoCim *hyperv_machine_path(HypervTalk *talk, const char *guid)
{
    VireoCim *path = vireo_wsman_path(HYPERV_SPACE, "Msvm_ComputerSystem", "CreationClassName", "Msvm_ComputerSystem");

    return hyperv_own(talk, vireo_cim_add(path, "Name", NULL, guid));
}

const VireoCim *hyperv_path_of(HypervTalk *talk, const VireoCim *instance, const char *const *keys)
{
    VireoCim *path = vireo_cim_new(vireo_cim_uri(instance));

    for (; *keys; keys++)
        vireo_cim_add(path, *keys, NULL, vireo_cim_string(instance, *keys));
    return hyperv_own(talk, path);
}

/* ---- methods ------------------------------------------------------------------------- */

static void tell_progress(guint percent, void *opaque)
{
    HypervTalk *talk = opaque;

    if (talk->call)
        talk->server->driver->host->progress(talk->call, percent, 100, "job");
}

/* The job itself does not say what it has made. */
static const VireoCim *made_by(HypervTalk *talk, const VireoCim *job, const char *class)
{
    g_autoptr(GPtrArray) rows = query(talk, HYPERV_SPACE, "select * from Msvm_AffectedJobElement");

    for (guint i = 0; i < rows->len; i++) {
        const VireoCim *by = vireo_cim_path(rows->pdata[i], "AffectingElement");
        const VireoCim *what = vireo_cim_path(rows->pdata[i], "AffectedElement");

        if (by && what && g_ascii_strcasecmp(vireo_cim_class(what), class) == 0 &&
            g_ascii_strcasecmp(vireo_cim_string(by, "InstanceID"), vireo_cim_string(job, "InstanceID")) == 0)
            return hyperv_own(talk, vireo_cim_hold(what));
    }
    return NULL;
}

const VireoCim *hyperv_invoke_made(HypervTalk *talk, const VireoCim *target, const char *method, VireoCim *args,
                                   const char *parameter, const char *class, const VireoCim **made)
{
    VireoWsman *wsman = talk->server->wsman;
    g_autoptr(VireoCim) given = args, job = NULL;
    VireoCim *answer =
        talk->error ? NULL : vireo_wsman_invoke(wsman, target, method, given, &talk->wait, &talk->error);

    if (!answer)
        return hyperv_own(talk, vireo_cim_new(""));
    hyperv_own(talk, answer);
    if (!vireo_wsman_follow(wsman, method, answer, tell_progress, talk, &job, &talk->error) || !made)
        return answer;
    *made = vireo_cim_path(answer, parameter);
    if (!*made && job)
        *made = made_by(talk, job, class);
    if (!*made)
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_FAILED, "%s has worked, but %s does not say what it has made",
                           method, talk->server->uri->host);
    return answer;
}

const VireoCim *hyperv_invoke(HypervTalk *talk, const VireoCim *target, const char *method, VireoCim *args)
{
    return hyperv_invoke_made(talk, target, method, args, NULL, NULL, NULL);
}
