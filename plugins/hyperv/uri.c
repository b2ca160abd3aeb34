/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* URIs: hyperv://[USER@]HOST[:PORT]/?...; where the client keeps the host to itself, hyperv:///?server=HOST[:PORT]&user=...,
 * or hyperv:///NAME of the settings. */
#include "driver.h"

#include <string.h>

#include "kit/place.h"

#define PORT_HTTP  5985
#define PORT_HTTPS 5986

static const char *const auths[] = {[VIREO_WSMAN_BASIC] = "basic",
                                    [VIREO_WSMAN_KERBEROS] = "kerberos",
                                    [VIREO_WSMAN_NTLM] = "ntlm"};

static gboolean refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    *error = g_error_new_valist(VIREO_ERROR, VIREO_ERR_INVALID_ARG, format, args);
    va_end(args);
    return FALSE;
}

static gboolean read_auth(HypervUri *uri, const char *name, const char *value, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(auths); i++)
        if (g_str_equal(auths[i], value)) {
            uri->auth = (VireoWsmanAuth)i;
            uri->auth_given = TRUE;
            return TRUE;
        }
    return refuse(error, "URI parameter %s=%s: the value is basic, ntlm or kerberos", name, value);
}

static gboolean read_parameter(const char *name, const char *value, void *opaque, GError **error)
{
    HypervUri *uri = opaque;

    if (g_str_equal(name, "no_verify") || g_str_equal(name, "insecure"))
        return vireo_place_switch(name, value, &uri->no_verify, error);
    if (g_str_equal(name, "proxy"))
        return vireo_place_proxy(value, &uri->proxy, error);
    if (g_str_equal(name, "server"))
        return vireo_place_server(value, &uri->host, &uri->port, error);
    if (g_str_equal(name, "auth") || g_str_equal(name, "authentication")) /* clients keep the first for themselves */
        return read_auth(uri, name, value, error);
    if (g_str_equal(name, "transport")) {
        uri->transport_given = TRUE;
        uri->https = g_str_equal(value, "https");
        return uri->https || g_str_equal(value, "http") ||
               refuse(error, "URI parameter transport=%s: the value is http or https", value);
    }
    if (!g_str_equal(name, "user"))
        return refuse(error,
                      "URI parameter %s is not known: there are authentication, no_verify, transport, proxy, and server, user",
                      name);
    g_free(uri->user);
    uri->user = *value ? g_strdup(value) : NULL;
    return TRUE;
}

static gboolean read_text(HypervUri *uri, const char *text, GError **error)
{
    g_autoptr(GUri) parsed = g_uri_parse(text, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED_QUERY, NULL);

    if (!parsed || !g_str_equal(g_uri_get_scheme(parsed), "hyperv"))
        return refuse(error, "this is no URI of the form hyperv://HOST/");
    if (g_uri_get_password(parsed))
        return refuse(error, "the URI holds a password, where others can read it: put it into auth.conf");
    if (g_uri_get_fragment(parsed))
        return refuse(error, "there is no fragment '#%s' in this driver's URIs", g_uri_get_fragment(parsed));
    uri->https = TRUE;
    uri->host = g_strdup(g_uri_get_host(parsed));
    uri->port = g_uri_get_port(parsed) > 0 ? (guint)g_uri_get_port(parsed) : 0;
    uri->user = g_uri_get_user(parsed) && *g_uri_get_user(parsed) ? g_strdup(g_uri_get_user(parsed)) : NULL;
    uri->path = g_strdup(g_uri_get_path(parsed));
    vireo_place_strip(&uri->path);
    return !g_uri_get_query(parsed) || vireo_place_query(g_uri_get_query(parsed), read_parameter, uri, error);
}

/* NAME in hyperv:///NAME. */
static gboolean read_named(HypervDriver *driver, HypervUri *uri, GError **error)
{
    g_autofree char *name = g_steal_pointer(&uri->path);
    g_autofree char *group = g_strconcat("connection ", name, NULL);
    const char *text = driver->host->config(driver->core, group, "uri");

    if (!text)
        return refuse(error,
                      "the path of hyperv:// is NAME of a [connection NAME]: hyperv.conf has no [%s] with a uri", group);
    if (uri->user || uri->transport_given || uri->auth_given || uri->proxy || uri->no_verify)
        return refuse(error, "the connection '%s' is set in hyperv.conf: parameters cannot be added to it", name);
    g_clear_pointer(&uri->host, g_free);
    if (!read_text(uri, text, error)) {
        g_prefix_error(error, "hyperv.conf, [%s]: ", group);
        return FALSE;
    }
    uri->named = TRUE;
    g_free(uri->ca_file);
    uri->ca_file = g_strdup(driver->host->config(driver->core, group, "ca_file"));
    return TRUE;
}

static void put_parameter(GString *text, const char *name, const char *value)
{
    g_string_append_printf(text, "%s%s=%s", strchr(text->str, '?') ? "&" : "?", name, value);
}

static char *canonical(const HypervUri *uri)
{
    g_autofree char *user = uri->user ? g_uri_escape_string(uri->user, NULL, FALSE) : NULL;
    GString *text = g_string_new("hyperv://");

    if (user)
        g_string_append_printf(text, "%s@", user);
    g_string_append_printf(text, strchr(uri->host, ':') ? "[%s]" : "%s", uri->host);
    if (uri->port != (uri->https ? PORT_HTTPS : PORT_HTTP))
        g_string_append_printf(text, ":%u", uri->port);
    g_string_append_c(text, '/');
    if (!uri->https)
        put_parameter(text, "transport", "http");
    if (uri->auth != (uri->https ? VIREO_WSMAN_BASIC : VIREO_WSMAN_NTLM))
        put_parameter(text, "authentication", auths[uri->auth]);
    if (uri->no_verify)
        put_parameter(text, "no_verify", "1");
    if (uri->proxy)
        put_parameter(text, "proxy", uri->proxy);
    if (uri->ca_file)
        put_parameter(text, "ca_file", uri->ca_file);
    return g_string_free(text, FALSE);
}

static gboolean complete(HypervUri *uri, GError **error)
{
    if (!uri->host || !*uri->host)
        return refuse(error, "the URI names no server: write hyperv://HOST/, or hyperv:///?server=HOST where the client "
                             "keeps the host for itself");
    if (*uri->path)
        return refuse(error, "hyperv://%s/ means one server: there is no path '/%s' in it", uri->host, uri->path);
    if (!uri->auth_given)
        uri->auth = uri->https ? VIREO_WSMAN_BASIC : VIREO_WSMAN_NTLM;
    if (!uri->port)
        uri->port = uri->https ? PORT_HTTPS : PORT_HTTP;
    uri->text = canonical(uri);
    return TRUE;
}

HypervUri *hyperv_uri_parse(HypervDriver *driver, const char *text, GError **error)
{
    g_autoptr(HypervUri) uri = g_new0(HypervUri, 1);
    g_autoptr(GError) wrong = NULL;
    gboolean good = read_text(uri, text, &wrong);

    if (good && (!uri->host || !*uri->host) && *uri->path)
        good = read_named(driver, uri, &wrong);
    if (good && complete(uri, &wrong))
        return g_steal_pointer(&uri);
    g_propagate_error(error, g_steal_pointer(&wrong));
    return NULL;
}

char *hyperv_uri_password(HypervDriver *driver, HypervUri *uri, GError **error)
{
    const char *folder = driver->host->dir(driver->core, VIREO_DIR_CONFIG);

    if (uri->auth == VIREO_WSMAN_KERBEROS)
        return g_strdup("");
    char *password = vireo_password_find(folder, "hyperv", uri->host, &uri->user, error);
    if (!password && (!error || !*error))
        vireo_password_missing(folder, "hyperv", uri->host, uri->user, error);
    if (!password)
        return NULL;
    g_free(uri->text);
    uri->text = canonical(uri); /* the user may be that of the file */
    return password;
}

gboolean hyperv_uri_is_safe(const HypervUri *uri, GError **error)
{
    const char *what = uri->named                                        ? NULL
                       : uri->proxy                                      ? "proxy"
                       : uri->no_verify                                  ? "no_verify=1"
                       : !uri->https && uri->auth == VIREO_WSMAN_BASIC ? "transport=http and authentication=basic"
                                                                         : NULL;

    if (what)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_DENIED,
                    "a read-only connection cannot have %s: the server's password would go over a way it chooses",
                    what);
    return what == NULL;
}

void hyperv_uri_free(HypervUri *uri)
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
