/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/uri.h"

#include <string.h>
#include <unistd.h>
#include <vireo/ops.h>

#include "util/error.h"

/* Parameters that steer the client and that the daemon never sees. */
static const char *const client_params[] = {
    "name",  "command",     "socket",     "auth",        "sshauth",            "netcat",
    "mode",  "keyfile",     "pkipath",    "known_hosts", "known_hosts_verify", "tls_priority",
    "proxy", "no_sanity",   "no_verify",  "no_tty",      "authfile",           NULL,
};

/* The host in these names the hypervisor, which the daemon's driver talks to. */
static const char *const remote_hypervisors[] = { "esx", "vpx", "gsx", "hyperv", "vbox", NULL };

static gboolean is_client_param(const char *name, gboolean remote_hypervisor)
{
    if (remote_hypervisor)
        return strcmp(name, "socket") == 0 || strcmp(name, "mode") == 0;
    return g_strv_contains(client_params, name);
}

/* Takes the client's parameters out of the query; NULL when nothing remains. */
static char *filter_query(const char *query, gboolean remote_hypervisor, VireoUri *uri)
{
    g_auto(GStrv) params = g_strsplit_set(query ? query : "", "&;", -1);
    g_autoptr(GString) rest = g_string_new(NULL);

    for (char **param = params; *param; param++) {
        g_auto(GStrv) pair = g_strsplit(*param, "=", 2);

        if (!pair[0])
            continue;
        if (!is_client_param(pair[0], remote_hypervisor)) {
            g_string_append_printf(rest, "%s%s", rest->len ? "&" : "", *param);
        } else if (strcmp(pair[0], "socket") == 0 && pair[1]) {
            g_free(uri->socket);
            uri->socket = g_uri_unescape_string(pair[1], NULL);
        } else if (strcmp(pair[0], "mode") == 0) {
            uri->direct = g_strcmp0(pair[1], "direct") == 0;
        }
    }
    return rest->len ? g_strdup(rest->str) : NULL;
}

/* The parameter `name=` replaces the whole URI that is sent. */
static char *name_param(const char *query)
{
    g_auto(GStrv) params = g_strsplit_set(query ? query : "", "&;", -1);

    for (char **param = params; *param; param++)
        if (g_str_has_prefix(*param, "name="))
            return g_uri_unescape_string(*param + strlen("name="), NULL);
    return NULL;
}

static gboolean check_transport(const char *text, const char *transport, const char *host,
                                gboolean remote_hypervisor, GError **error)
{
    const char *wanted = transport;

    if (!wanted && host && *host && !remote_hypervisor)
        wanted = "tls";
    if (!wanted || strcmp(wanted, "unix") == 0)
        return TRUE;
    g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_SUPPORT,
                "'%s': the transport '%s' is not supported, only UNIX sockets are; on another host "
                "run this command there, or forward its socket and add ?socket=PATH",
                text, wanted);
    return FALSE;
}

static char *join_name(const char *scheme, const char *authority, const char *path, const char *query)
{
    return g_strdup_printf("%s://%s%s%s%s", scheme, authority ? authority : "", path ? path : "",
                           query ? "?" : "", query ? query : "");
}

/* What stands between "//" and the path. */
static char *authority_of(const char *text)
{
    const char *start = strstr(text, "://");

    if (!start)
        return NULL;
    start += 3;
    return g_strndup(start, strcspn(start, "/?#"));
}

VireoUri *vireo_uri_parse(const char *text, GError **error)
{
    g_autoptr(VireoUri) uri = g_new0(VireoUri, 1);
    g_autofree char *scheme = NULL, *host = NULL, *path = NULL, *query = NULL, *rest = NULL;
    g_autofree char *authority = NULL;
    char *transport;
    gboolean remote_hypervisor;

    if (!text || !*text) {
        uri->name = g_strdup("");
        uri->session = geteuid() != 0;
        return g_steal_pointer(&uri);
    }
    if (!g_uri_split(text, G_URI_FLAGS_ENCODED, &scheme, NULL, &host, NULL, &path, &query, NULL, NULL) ||
        !scheme) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG,
                    "'%s' is no connection URI; one looks like qemu:///system or test:///default",
                    text);
        return NULL;
    }
    uri->session = g_strcmp0(path, "/session") == 0 || g_str_has_prefix(scheme, "test+");
    uri->session = uri->session && geteuid() != 0;
    transport = strchr(scheme, '+');
    if (transport)
        *transport++ = '\0';
    remote_hypervisor = g_strv_contains(remote_hypervisors, scheme);
    if (!check_transport(text, transport, host, remote_hypervisor, error))
        return NULL;

    authority = remote_hypervisor ? authority_of(text) : NULL;
    rest = filter_query(query, remote_hypervisor, uri);
    uri->name = remote_hypervisor ? NULL : name_param(query);
    if (!uri->name)
        uri->name = join_name(scheme, authority, path, rest);
    uri->scheme = g_steal_pointer(&scheme);
    return g_steal_pointer(&uri);
}

void vireo_uri_free(VireoUri *uri)
{
    if (!uri)
        return;
    g_free(uri->scheme);
    g_free(uri->name);
    g_free(uri->socket);
    g_free(uri);
}

char *vireo_uri_from_environment(void)
{
    static const char *const names[] = { "VIREO_DEFAULT_URI", "LIBVIRT_DEFAULT_URI" };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *value = g_getenv(names[i]);

        if (value && *value)
            return g_strdup(value);
    }
    return NULL;
}

/* Where sockets are looked for: those of the daemon for all, then those of the driver's own daemon. */
static char *socket_name(const VireoUri *uri, guint i)
{
    switch (i) {
    case 0:
        return g_strdup("vireo/vireo");
    case 1:
        return g_strdup("libvirt/libvirt");
    case 2:
        return uri->scheme ? g_strconcat("vireo/vireod-", uri->scheme, NULL) : NULL;
    case 3:
        return uri->scheme ? g_strconcat("libvirt/virt", uri->scheme, "d", NULL) : NULL;
    default:
        return NULL;
    }
}

char *vireo_uri_find_socket(const VireoUri *uri, gboolean readonly)
{
    const char *suffix = readonly && !uri->session ? "-sock-ro" : "-sock";
    const char *base = uri->session ? g_get_user_runtime_dir() : "/run";
    g_autofree char *first = NULL;
    char *name;

    if (uri->socket)
        return g_strdup(uri->socket);
    for (guint i = uri->direct ? 2 : 0; (name = socket_name(uri, i)); i++) {
        g_autofree char *path = g_strconcat(base, "/", name, suffix, NULL);

        g_free(name);
        if (g_file_test(path, G_FILE_TEST_EXISTS))
            return g_steal_pointer(&path);
        if (!first)
            first = g_steal_pointer(&path);
    }
    return g_steal_pointer(&first);
}
