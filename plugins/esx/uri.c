/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* URIs: esx://[USER@]HOST[:PORT]/?..., vpx://[USER@]HOST[:PORT]/DATACENTER/.../HOST?...; where the client keeps
 * the host to itself, esx:///?server=HOST[:PORT]&user=USER&path=..., or esx:///NAME of the settings. */
#include "driver.h"

#include <string.h>

#include "kit/place.h"

static gboolean refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    *error = g_error_new_valist(VIREO_ERROR, VIREO_ERR_INVALID_ARG, format, args);
    va_end(args);
    return FALSE;
}

static void set(char **into, const char *value)
{
    g_free(*into);
    *into = g_strdup(value);
}

static gboolean read_parameter(const char *name, const char *value, void *opaque, GError **error)
{
    EsxUri *uri = opaque;

    if (g_str_equal(name, "no_verify") || g_str_equal(name, "insecure"))
        return vireo_place_switch(name, value, &uri->no_verify, error);
    if (g_str_equal(name, "transport")) {
        uri->http = g_str_equal(value, "http");
        return uri->http || g_str_equal(value, "https") ||
               refuse(error, "URI parameter transport=%s: the value is http or https", value);
    }
    if (g_str_equal(name, "auto_answer"))
        return vireo_place_switch(name, value, &uri->auto_answer, error);
    if (g_str_equal(name, "proxy"))
        return vireo_place_proxy(value, &uri->proxy, error);
    if (g_str_equal(name, "server"))
        return vireo_place_server(value, &uri->host, &uri->port, error);
    if (g_str_equal(name, "user"))
        set(&uri->user, value);
    else if (g_str_equal(name, "path"))
        set(&uri->path, value);
    else if (g_str_equal(name, "vcenter"))
        return refuse(error, "URI parameter vcenter=%s is not taken: a connection has one server; machines of a vCenter are "
                      "reached, and moved, with vpx://VCENTER/DATACENTER/.../HOST", value);
    else
        return refuse(error, "URI parameter %s is not known: there are no_verify, transport, proxy, auto_answer, and "
                      "server, user, path", name);
    return TRUE;
}

static char *canonical(const EsxUri *uri)
{
    g_autofree char *user = uri->user ? g_uri_escape_string(uri->user, NULL, FALSE) : NULL;
    g_autofree char *path = g_uri_escape_string(uri->path, "/", FALSE);
    gboolean v6 = strchr(uri->host, ':') != NULL;
    GString *text = g_string_new(uri->center ? "vpx://" : "esx://");

    if (user)
        g_string_append_printf(text, "%s@", user);
    g_string_append_printf(text, v6 ? "[%s]" : "%s", uri->host);
    if (uri->port != (uri->http ? 80 : 443))
        g_string_append_printf(text, ":%u", uri->port);
    g_string_append_printf(text, "/%s", path);
    const char *sign = "?";
    if (uri->http)
        g_string_append_printf(text, "%stransport=http", sign), sign = "&";
    if (uri->no_verify)
        g_string_append_printf(text, "%sno_verify=1", sign), sign = "&";
    if (uri->auto_answer)
        g_string_append_printf(text, "%sauto_answer=1", sign), sign = "&";
    if (uri->proxy)
        g_string_append_printf(text, "%sproxy=%s", sign, uri->proxy);
    return g_string_free(text, FALSE);
}

static gboolean complete(EsxUri *uri, GError **error)
{
    if (!uri->host || !*uri->host)
        return refuse(error, "the URI names no server: write %s://HOST/, or %s:///?server=HOST where the client keeps "
                      "the host for itself, or a [connection NAME] of esx.conf as %s:///NAME",
                      uri->center ? "vpx" : "esx", uri->center ? "vpx" : "esx", uri->center ? "vpx" : "esx");
    vireo_place_strip(&uri->path);
    if (!uri->center && *uri->path)
        return refuse(error, "esx:// means one host: there is no path '/%s' in it (vpx:// is for a vCenter)", uri->path);
    if (uri->center && !strchr(uri->path, '/'))
        return refuse(error, "vpx:// needs the path of a host: vpx://%s/DATACENTER/[FOLDER/...][CLUSTER/]HOST", uri->host);
    if (!uri->port)
        uri->port = uri->http ? 80 : 443;
    uri->text = canonical(uri);
    return TRUE;
}

static gboolean read_text(EsxUri *uri, const char *text, GError **error)
{
    g_autoptr(GUri) parsed = g_uri_parse(text, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED_QUERY, NULL);

    if (!parsed || (!g_str_equal(g_uri_get_scheme(parsed), "esx") && !g_str_equal(g_uri_get_scheme(parsed), "vpx")))
        return refuse(error, "this is no URI of the form esx://HOST/ or vpx://HOST/PATH");
    if (g_uri_get_password(parsed))
        return refuse(error, "the URI holds a password, where others can read it: put it into auth.conf");
    if (g_uri_get_fragment(parsed))
        return refuse(error, "there is no fragment '#%s' in this driver's URIs", g_uri_get_fragment(parsed));
    uri->center = g_str_equal(g_uri_get_scheme(parsed), "vpx");
    uri->host = g_strdup(g_uri_get_host(parsed));
    uri->port = g_uri_get_port(parsed) > 0 ? (guint)g_uri_get_port(parsed) : 0;
    uri->user = g_strdup(g_uri_get_user(parsed));
    uri->path = g_strdup(g_uri_get_path(parsed));
    return !g_uri_get_query(parsed) || vireo_place_query(g_uri_get_query(parsed), read_parameter, uri, error);
}

/* NAME in esx:///NAME, when it is no server otherwise. */
static gboolean read_named(EsxDriver *driver, EsxUri *uri, GError **error)
{
    g_autofree char *name = g_strdup(uri->path);
    gboolean center = uri->center, no_verify = uri->no_verify, auto_answer = uri->auto_answer;

    vireo_place_strip(&name);
    g_autofree char *group = g_strconcat("connection ", name, NULL);
    const char *text = driver->host->config(driver->core, group, "uri");
    if (!text)
        return refuse(error, "esx.conf has no [%s] with a uri", group);
    if (uri->user || uri->http || uri->proxy || no_verify || auto_answer)
        return refuse(error, "the connection '%s' is set in esx.conf: parameters cannot be added to it", name);
    g_clear_pointer(&uri->host, g_free);
    g_clear_pointer(&uri->path, g_free);
    if (!read_text(uri, text, error)) {
        g_prefix_error(error, "esx.conf, [%s]: ", group);
        return FALSE;
    }
    if (uri->center != center)
        return refuse(error, "the connection '%s' is one of %s://", name, uri->center ? "vpx" : "esx");
    uri->named = TRUE;
    set(&uri->ca_file, driver->host->config(driver->core, group, "ca_file"));
    return TRUE;
}

EsxUri *esx_uri_parse(EsxDriver *driver, const char *text, GError **error)
{
    g_autoptr(EsxUri) uri = g_new0(EsxUri, 1);
    g_autoptr(GError) wrong = NULL;
    gboolean good = read_text(uri, text, &wrong);

    if (good && (!uri->host || !*uri->host) && uri->path && strspn(uri->path, "/") < strlen(uri->path))
        good = read_named(driver, uri, &wrong);
    if (good && complete(uri, &wrong))
        return g_steal_pointer(&uri);
    g_propagate_error(error, g_steal_pointer(&wrong));
    return NULL;
}

gboolean esx_uri_is_safe(const EsxUri *uri, GError **error)
{
    const char *what = uri->named ? NULL : uri->no_verify ? "no_verify=1" : uri->http ? "transport=http"
                       : uri->proxy ? "proxy" : NULL;

    if (what)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_DENIED,
                    "a read-only connection cannot have %s: the server's password would go over a way it chooses", what);
    return what == NULL;
}

void esx_uri_set_user(EsxUri *uri, const char *user)
{
    char *copy = g_strdup(user);

    g_free(uri->user);
    uri->user = copy;
    g_free(uri->text);
    uri->text = canonical(uri);
}

void esx_uri_free(EsxUri *uri)
{
    if (!uri)
        return;
    g_free(uri->host);
    g_free(uri->user);
    g_free(uri->path);
    g_free(uri->proxy);
    g_free(uri->ca_file);
    g_free(uri->text);
    g_free(uri);
}
