/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/place.h"

#include <gio/gio.h>
#include <string.h>

#include "util/error.h"

static gboolean refuse(GError **error, const char *name, const char *value, const char *what)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERROR_INVALID_ARG, "URI parameter %s=%s: the value is %s", name, value, what);
    return FALSE;
}

gboolean vireo_place_switch(const char *name, const char *value, gboolean *into, GError **error)
{
    if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
        return refuse(error, name, value, "0 or 1");
    *into = *value == '1';
    return TRUE;
}

static GUri *read_place(const char *value)
{
    g_autofree char *text = g_strconcat("x://", value, NULL);
    g_autoptr(GUri) parsed = g_uri_parse(text, G_URI_FLAGS_NONE, NULL);

    return parsed && g_uri_get_host(parsed) && *g_uri_get_host(parsed) ? g_steal_pointer(&parsed) : NULL;
}

gboolean vireo_place_server(const char *value, char **host, guint *port, GError **error)
{
    g_autoptr(GUri) parsed = read_place(value);

    if (!parsed || *g_uri_get_path(parsed) || g_uri_get_userinfo(parsed))
        return refuse(error, "server", value, "HOST or HOST:PORT");
    g_free(*host);
    *host = g_strdup(g_uri_get_host(parsed));
    *port = g_uri_get_port(parsed) > 0 ? (guint)g_uri_get_port(parsed) : 0;
    return TRUE;
}

gboolean vireo_place_proxy(const char *value, char **proxy, GError **error)
{
    static const char *const kinds[] = {"http", "socks", "socks4", "socks4a", "socks5", NULL};
    const char *sign = strstr(value, "://");
    g_autofree char *kind = sign ? g_strndup(value, (gsize)(sign - value)) : g_strdup("http");
    g_autoptr(GUri) parsed = read_place(sign ? sign + 3 : value);

    if (!parsed || !g_strv_contains(kinds, kind))
        return refuse(error, "proxy", value, "[http|socks|socks4|socks4a|socks5://]HOST[:PORT]");
    g_free(*proxy);
    *proxy = g_strdup_printf("%s://%s:%d", g_str_equal(kind, "socks") ? "socks5" : kind, g_uri_get_host(parsed),
                             g_uri_get_port(parsed) > 0 ? g_uri_get_port(parsed) : 1080);
    return TRUE;
}

gboolean vireo_place_query(const char *query, VireoPlaceParameter parameter, void *opaque, GError **error)
{
    g_autoptr(GError) wrong = NULL;
    GUriParamsIter iter;
    char *name, *value;
    gboolean good = TRUE;

    g_uri_params_iter_init(&iter, query, -1, "&", G_URI_PARAMS_NONE);
    while (good && g_uri_params_iter_next(&iter, &name, &value, &wrong)) {
        good = parameter(name, value, opaque, error);
        g_free(name);
        g_free(value);
    }
    if (!wrong)
        return good;
    g_propagate_error(error, g_steal_pointer(&wrong));
    return FALSE;
}

char *vireo_place_url(const char *scheme, const char *host, guint port)
{
    return g_strdup_printf(strchr(host, ':') ? "%s://[%s]:%u" : "%s://%s:%u", scheme, host, port);
}

void vireo_place_strip(char **path)
{
    char *begin = *path + strspn(*path, "/");
    gsize len = strlen(begin);

    while (len && begin[len - 1] == '/')
        len--;
    char *kept = g_strndup(begin, len);
    g_free(*path);
    *path = kept;
}
