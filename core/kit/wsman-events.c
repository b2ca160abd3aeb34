/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events: a service collects them for us, and hands them out when they are pulled. */
#include <string.h>

#include "kit/wsman-private.h"

#define EVENTING "http://schemas.xmlsoap.org/ws/2004/08/eventing"
#define PULLED   "http://schemas.dmtf.org/wbem/wsman/1/wsman/Pull"
#define NAMED    "<e:Identifier xmlns:e=\"" EVENTING "\">"
#define EXPIRES  "PT3600.000S" /* of a subscription that nobody gives up */
#define LEAVE_MS 1000

struct VireoWsmanEvents {
    VireoWsman *wsman;
    char *uri, *context;
    char *identifier; /* as XML */
};

/* NULL is nothing. */
static char *escaped(const char *text)
{
    GString *into = g_string_new(NULL);

    vireo_cim_escape(into, text ? text : "");
    return g_string_free(into, FALSE);
}

VireoWsmanEvents *vireo_wsman_subscribe(VireoWsman *wsman, const char *space, const char *wql, const VireoHttpWait *wait,
                                        GError **error)
{
    g_autofree char *uri = g_strconcat(VIREO_WSMAN_WMI, space, "/*", NULL);
    g_auto(VireoWsmanAnswer) answer = {0};
    char *id;
    GString *message = wsman_begin(wsman, uri, EVENTING "/Subscribe", NULL, "", WSMAN_SLACK_MS, &id);

    g_string_append(message, "<e:Subscribe xmlns:e=\"" EVENTING "\"><e:Delivery Mode=\"" PULLED "\"/><e:Expires>" EXPIRES
                             "</e:Expires><w:Filter Dialect=\"" WSMAN_WQL "\">");
    vireo_cim_escape(message, wql);
    g_string_append(message, "</w:Filter></e:Subscribe>");
    if (!wsman_talk(wsman, message, id, FALSE, &answer, wait, error))
        return NULL;
    if (!answer.body || !*vireo_cim_string(answer.body, "EnumerationContext")) {
        wsman_no_body(wsman, error);
        return NULL;
    }
    VireoWsmanEvents *events = g_new0(VireoWsmanEvents, 1);
    events->wsman = wsman;
    events->uri = g_steal_pointer(&uri);
    events->context = g_strdup(vireo_cim_string(answer.body, "EnumerationContext"));
    events->identifier = escaped(vireo_cim_text(answer.body, "Identifier"));
    return events;
}

GPtrArray *vireo_wsman_events_pull(VireoWsmanEvents *events, guint timeout_ms, const VireoHttpWait *wait, GError **error)
{
    VireoHttpWait patience = wait ? *wait : (VireoHttpWait){0};
    g_auto(VireoWsmanAnswer) answer = {0};
    GError *wrong = NULL;
    char *id;
    GString *message =
        wsman_begin(events->wsman, events->uri, WSMAN_ENUMERATION "/Pull", NULL, "", timeout_ms, &id);

    g_string_append(message, "<n:Pull><n:EnumerationContext>");
    vireo_cim_escape(message, events->context);
    g_string_append(message, "</n:EnumerationContext><n:MaxElements>1000</n:MaxElements></n:Pull>");
    patience.timeout_ms = (gint64)timeout_ms + WSMAN_SLACK_MS;
    if (!wsman_talk(events->wsman, message, id, FALSE, &answer, &patience, &wrong)) {
        if (vireo_wsman_error_number(wrong) != WSMAN_FAULT_TIMED_OUT) {
            g_propagate_error(error, wrong);
            return NULL;
        }
        g_error_free(wrong); /* nothing has happened */
        return g_ptr_array_new_with_free_func((GDestroyNotify)vireo_cim_unref);
    }
    if (!answer.items || !answer.context) {
        wsman_no_body(events->wsman, error);
        return NULL;
    }
    g_free(events->context);
    events->context = g_steal_pointer(&answer.context);
    return g_steal_pointer(&answer.items);
}

void vireo_wsman_unsubscribe(VireoWsmanEvents *events)
{
    g_auto(VireoWsmanAnswer) answer = {0};
    VireoHttpWait wait = {.timeout_ms = LEAVE_MS};
    char *id;

    if (!events)
        return;
    if (*events->identifier) {
        g_autofree char *named = g_strconcat(NAMED, events->identifier, "</e:Identifier>", NULL);
        GString *message =
            wsman_begin(events->wsman, events->uri, EVENTING "/Unsubscribe", NULL, named, LEAVE_MS, &id);

        g_string_append(message, "<e:Unsubscribe xmlns:e=\"" EVENTING "\"/>");
        wsman_talk(events->wsman, message, id, FALSE, &answer, &wait, NULL);
    }
    g_free(events->uri);
    g_free(events->context);
    g_free(events->identifier);
    g_free(events);
}
