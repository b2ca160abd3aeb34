/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* URIs: vbox:///system and vbox:///session, the web service of this host; vbox://[USER@]HOST[:PORT]/?...; where the
 * client keeps the host to itself, vbox:///?server=HOST[:PORT]&user=USER&..., or vbox:///NAME of the settings. */
#include "driver.h"

#include <string.h>

#include "kit/place.h"

#define PORT 18083

static gboolean refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean refuse(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    *error = g_error_new_valist(VIREO_ERROR, VIREO_ERR_INVALID_ARG, format, args);
    va_end(args);
    return FALSE;
}

static gboolean read_parameter(const char *name, const char *value, void *opaque, GError **error)
{
    VboxUri *uri = opaque;

    if (g_str_equal(name, "no_verify") || g_str_equal(name, "insecure"))
        return vireo_place_switch(name, value, &uri->no_verify, error);
    if (g_str_equal(name, "proxy"))
        return vireo_place_proxy(value, &uri->proxy, error);
    if (g_str_equal(name, "server"))
        return vireo_place_server(value, &uri->host, &uri->port, error);
    if (g_str_equal(name, "transport")) {
        uri->transport_given = TRUE;
        uri->https = g_str_equal(value, "https");
        return uri->https || g_str_equal(value, "http") ||
               refuse(error, "URI parameter transport=%s: the value is http or https", value);
    }
    if (!g_str_equal(name, "user"))
        return refuse(error, "URI parameter %s is not known: there are no_verify, transport, proxy, and server, user",
                      name);
    g_free(uri->user);
    uri->user = *value ? g_strdup(value) : NULL;
    return TRUE;
}

static gboolean read_text(VboxUri *uri, const char *text, GError **error)
{
    g_autoptr(GUri) parsed = g_uri_parse(text, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED_QUERY, NULL);

    if (!parsed || !g_str_equal(g_uri_get_scheme(parsed), "vbox"))
        return refuse(error, "this is no URI of the form vbox:///system, vbox:///session or vbox://HOST/");
    if (g_uri_get_password(parsed))
        return refuse(error, "the URI holds a password, where others can read it: put it into auth.conf");
    if (g_uri_get_fragment(parsed))
        return refuse(error, "there is no fragment '#%s' in this driver's URIs", g_uri_get_fragment(parsed));
    uri->host = g_strdup(g_uri_get_host(parsed));
    uri->port = g_uri_get_port(parsed) > 0 ? (guint)g_uri_get_port(parsed) : 0;
    uri->user = g_uri_get_user(parsed) && *g_uri_get_user(parsed) ? g_strdup(g_uri_get_user(parsed)) : NULL;
    uri->path = g_strdup(g_uri_get_path(parsed));
    vireo_place_strip(&uri->path);
    return !g_uri_get_query(parsed) || vireo_place_query(g_uri_get_query(parsed), read_parameter, uri, error);
}

static gboolean is_local_path(const char *path)
{
    return g_str_equal(path, "system") || g_str_equal(path, "session");
}

/* NAME in vbox:///NAME. */
static gboolean read_named(VboxDriver *driver, VboxUri *uri, GError **error)
{
    g_autofree char *name = g_steal_pointer(&uri->path);
    g_autofree char *group = g_strconcat("connection ", name, NULL);
    const char *text = driver->host->config(driver->core, group, "uri");

    if (!text)
        return refuse(error,
                      "the path of vbox:// is /system or /session, or NAME of a [connection NAME]: vbox.conf has no "
                      "[%s] with a uri",
                      group);
    if (uri->user || uri->transport_given || uri->proxy || uri->no_verify)
        return refuse(error, "the connection '%s' is set in vbox.conf: parameters cannot be added to it", name);
    g_clear_pointer(&uri->host, g_free);
    if (!read_text(uri, text, error)) {
        g_prefix_error(error, "vbox.conf, [%s]: ", group);
        return FALSE;
    }
    uri->named = uri->transport_given = TRUE;
    g_free(uri->ca_file);
    uri->ca_file = g_strdup(driver->host->config(driver->core, group, "ca_file"));
    return TRUE;
}

static char *canonical(const VboxUri *uri, gboolean local)
{
    g_autofree char *user = uri->user ? g_uri_escape_string(uri->user, NULL, FALSE) : NULL;
    GString *text = g_string_new("vbox://");

    if (!local && user)
        g_string_append_printf(text, "%s@", user);
    if (!local)
        g_string_append_printf(text, strchr(uri->host, ':') ? "[%s]" : "%s", uri->host);
    if (!local && uri->port != PORT)
        g_string_append_printf(text, ":%u", uri->port);
    g_string_append_printf(text, "/%s", uri->path);
    const char *sign = "?";
    if (local && user)
        g_string_append_printf(text, "%suser=%s", sign, user), sign = "&";
    if (uri->https)
        g_string_append_printf(text, "%stransport=https", sign), sign = "&";
    if (uri->no_verify)
        g_string_append_printf(text, "%sno_verify=1", sign), sign = "&";
    if (uri->proxy)
        g_string_append_printf(text, "%sproxy=%s", sign, uri->proxy), sign = "&";
    if (uri->ca_file)
        g_string_append_printf(text, "%sca_file=%s", sign, uri->ca_file);
    return g_string_free(text, FALSE);
}

static gboolean complete(VboxUri *uri, GError **error)
{
    gboolean local = !uri->host || !*uri->host;

    if (local && !is_local_path(uri->path))
        return refuse(error,
                      "the URI names no server: write vbox:///system or vbox:///session for the web service of this "
                      "host, vbox://HOST/, or vbox:///?server=HOST where the client keeps the host for itself");
    if (!local && *uri->path && !is_local_path(uri->path))
        return refuse(error, "vbox://%s/ means one web service: there is no path '/%s' in it", uri->host, uri->path);
    if (!local)
        *uri->path = 0;
    if (local) {
        g_free(uri->host);
        uri->host = g_strdup("127.0.0.1");
    }
    if (!uri->port)
        uri->port = PORT;
    uri->text = canonical(uri, local);
    return TRUE;
}

VboxUri *vbox_uri_parse(VboxDriver *driver, const char *text, GError **error)
{
    g_autoptr(VboxUri) uri = g_new0(VboxUri, 1);
    g_autoptr(GError) wrong = NULL;
    gboolean good = read_text(uri, text, &wrong);

    if (good && (!uri->host || !*uri->host) && *uri->path && !is_local_path(uri->path))
        good = read_named(driver, uri, &wrong);
    if (good && complete(uri, &wrong))
        return g_steal_pointer(&uri);
    g_propagate_error(error, g_steal_pointer(&wrong));
    return NULL;
}

static gboolean is_this_host(const VboxUri *uri)
{
    return g_str_equal(uri->host, "127.0.0.1") || g_str_equal(uri->host, "::1") || g_str_equal(uri->host, "localhost");
}

char *vbox_uri_password(VboxDriver *driver, VboxUri *uri, GError **error)
{
    const char *folder = driver->host->dir(driver->core, VIREO_DIR_CONFIG);
    g_autofree char *user = g_strdup(uri->user);
    g_autoptr(GError) wrong = NULL;
    char *password = vireo_password_find(folder, "vbox", uri->host, &user, &wrong);

    if (!password && !wrong && user)
        vireo_password_missing(folder, "vbox", uri->host, user, &wrong);
    else if (!password && !wrong)
        return g_strdup(""); /* the web service decides whether that is enough */
    else if (password && !uri->https && !uri->transport_given && !is_this_host(uri))
        g_set_error(
            &wrong, VIREO_ERROR, VIREO_ERR_AUTH_FAILED,
            "the password for %s would be sent in clear: add transport=https to the URI, or transport=http when "
            "that is meant",
            uri->host);
    if (wrong) {
        vireo_password_free(password);
        g_propagate_error(error, g_steal_pointer(&wrong));
        return NULL;
    }
    gboolean fresh = !uri->user && user;
    if (fresh) {
        gboolean local = *uri->path != 0;

        uri->user = g_steal_pointer(&user);
        g_free(uri->text);
        uri->text = canonical(uri, local);
    }
    return password;
}

gboolean vbox_uri_is_safe(const VboxUri *uri, GError **error)
{
    gboolean here = is_this_host(uri);
    const char *what = uri->named                                     ? NULL
                       : uri->proxy                                   ? "proxy"
                       : uri->no_verify                               ? "no_verify=1"
                       : !here && !uri->https && uri->transport_given ? "transport=http"
                                                                      : NULL;

    if (what)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_DENIED,
                    "a read-only connection cannot have %s: the server's password would go over a way it chooses",
                    what);
    return what == NULL;
}

void vbox_uri_free(VboxUri *uri)
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
