/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "remote.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>

/* A server that is started anew is waited for; the monitor may have to wait as long. */
#define RECONNECT_S 10
#define CONNECT_S 3

typedef enum {
    TAKES_SOCKET = 1 << 0,
    TAKES_USER = 1 << 1,
    TAKES_QUERY = 1 << 2,
    MAY_BE_UNNAMED = 1 << 3,
    IS_READONLY = 1 << 4,
    IS_WEB = 1 << 5, /* the URI is told QEMU as it is */
    IS_RBD = 1 << 6,
} Traits;

typedef struct {
    const char *scheme;
    VireoDomainDiskProtocol protocol;
    guint port;
    guint traits;
} Protocol;

static const Protocol protocols[] = {
    { "nbd", VIREO_DOMAIN_DISK_PROTOCOL_NBD, 10809, TAKES_SOCKET | MAY_BE_UNNAMED },
    { "iscsi", VIREO_DOMAIN_DISK_PROTOCOL_ISCSI, 3260, 0 },
    { "rbd", VIREO_DOMAIN_DISK_PROTOCOL_RBD, 6789, IS_RBD },
    { "http", VIREO_DOMAIN_DISK_PROTOCOL_HTTP, 80, IS_WEB | IS_READONLY | TAKES_QUERY | MAY_BE_UNNAMED },
    { "https", VIREO_DOMAIN_DISK_PROTOCOL_HTTPS, 443, IS_WEB | IS_READONLY | TAKES_QUERY | MAY_BE_UNNAMED },
    { "ftp", VIREO_DOMAIN_DISK_PROTOCOL_FTP, 21, IS_WEB | IS_READONLY },
    { "ftps", VIREO_DOMAIN_DISK_PROTOCOL_FTPS, 990, IS_WEB | IS_READONLY },
    { "ssh", VIREO_DOMAIN_DISK_PROTOCOL_SSH, 22, TAKES_USER },
};

/* rbd: hosts is "h1:6789;h2:6789" or NULL, name "pool/image", query the configuration file. */
typedef struct {
    const Protocol *protocol;
    char *user, *host, *socket, *name, *query;
    guint port;
} Place;

static void place_clear(Place *place)
{
    g_free(place->user);
    g_free(place->host);
    g_free(place->socket);
    g_free(place->name);
    g_free(place->query);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_clear)

static const Protocol *by_scheme(const char *scheme)
{
    for (guint i = 0; scheme && i < G_N_ELEMENTS(protocols); i++)
        if (!g_ascii_strcasecmp(protocols[i].scheme, scheme))
            return &protocols[i];
    return NULL;
}

gboolean qemu_is_remote_driver(const char *driver)
{
    return by_scheme(driver) != NULL;
}

static gboolean has(const Place *place, Traits trait)
{
    return (place->protocol->traits & trait) != 0;
}

/* ---- what may be said -------------------------------------------------------------- */

/* Nothing that a URI, QEMU's options or a shell-like list would read as something else. */
static gboolean is_plain(const char *text, const char *more)
{
    for (const char *c = text; c && *c; c++)
        if (!g_ascii_isalnum(*c) && !strchr("-._~/", *c) && !strchr(more, *c))
            return FALSE;
    return TRUE;
}

static gboolean is_host(const char *text, const char *more)
{
    return is_plain(text, more) && !strpbrk(text ? text : "", "/~");
}

/* NULL: nothing is wrong; otherwise which part of it, and why. */
static const char *place_fault(const Place *place)
{
    if (!place->host && !place->socket && !has(place, IS_RBD))
        return "<host>: the server is not named";
    if (!is_host(place->host, has(place, IS_RBD) ? ":;[]" : ":"))
        return "host@name: not the name or address of a host";
    if (place->socket && !has(place, TAKES_SOCKET))
        return "host@transport: this protocol has no UNIX sockets";
    if (place->socket && (!g_path_is_absolute(place->socket) || !is_plain(place->socket, ":+,=@")))
        return "host@socket: not an absolute path of letters, digits and -._~/:+,=@";
    if (!place->name && !has(place, MAY_BE_UNNAMED))
        return "@name: it is not named";
    if (!is_plain(place->name, has(place, IS_WEB) ? ":+,=@%!$'()*;&" : ":+,=@"))
        return "@name: other characters than letters, digits and -._~/:+,=@ are not served";
    if (!has(place, IS_RBD) && !is_plain(place->query, ":+,=@%!$'()*;&?"))
        return "@query: other characters than those of a URI";
    if (place->query && !has(place, TAKES_QUERY) && !has(place, IS_RBD))
        return "@query: this protocol has none";
    if (!is_plain(place->user, "@") || (place->user && !has(place, TAKES_USER)))
        return "identity@username: this protocol, or such a name, is not served";
    if (place->protocol->protocol == VIREO_DOMAIN_DISK_PROTOCOL_ISCSI && !g_str_has_prefix(place->name, "iqn."))
        return "@name: not 'iqn.DATE.NAME:TARGET/LUN'";
    if (has(place, IS_RBD) && (!strchr(place->name, '/') || strchr(place->name, '@') || strchr(place->name, ':')))
        return "@name: not 'POOL/IMAGE'";
    return NULL;
}

/* ---- as a URI ---------------------------------------------------------------------- */

static void append_escaped(GString *text, const char *value)
{
    for (; *value; value++) {
        if (strchr(":;@\\", *value))
            g_string_append_c(text, '\\');
        g_string_append_c(text, *value);
    }
}

static char *rbd_text(const Place *place)
{
    GString *text = g_string_new("rbd:");

    g_string_append(text, place->name);
    if (place->host) {
        g_string_append(text, ":mon_host=");
        append_escaped(text, place->host);
    }
    if (place->query) {
        g_string_append(text, ":conf=");
        append_escaped(text, place->query);
    }
    return g_string_free(text, FALSE);
}

static char *place_text(const Place *place)
{
    const char *name = place->name ? place->name : "";

    if (has(place, IS_RBD))
        return rbd_text(place);
    if (place->socket)
        return g_strdup_printf("%s+unix:///%s?socket=%s", place->protocol->scheme, name, place->socket);
    gboolean v6 = strchr(place->host, ':') != NULL;
    return g_strdup_printf("%s://%s%s%s%s%s:%u/%s%s%s", place->protocol->scheme, place->user ? place->user : "",
                           place->user ? "@" : "", v6 ? "[" : "", place->host, v6 ? "]" : "", place->port, name,
                           place->query ? "?" : "", place->query ? place->query : "");
}

/* Export names and paths without the slash that the URI begins them with. */
static char *bare(const char *path)
{
    while (path && *path == '/')
        path++;
    return path && *path ? g_strdup(path) : NULL;
}

static char *rbd_value(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    GString *value = at ? g_string_new(NULL) : NULL;

    for (at = at ? at + strlen(key) : NULL; at && *at && *at != ':'; at++) {
        if (*at == '\\' && at[1])
            at++;
        g_string_append_c(value, *at);
    }
    return value ? g_string_free(value, FALSE) : NULL;
}

static gboolean read_rbd(const char *text, Place *place)
{
    text += strlen("rbd:");
    place->protocol = by_scheme("rbd");
    place->name = g_strndup(text, strcspn(text, ":"));
    place->host = rbd_value(text, ":mon_host=");
    place->query = rbd_value(text, ":conf=");
    /* As somebody else: that needs a key. */
    return !strstr(text, ":id=") && !strstr(text, ":key=") && !strstr(text, ":keyring=");
}

/* nbd:host:port:exportname=x, nbd:unix:/path:exportname=x */
static gboolean read_old_nbd(const char *text, Place *place)
{
    const char *name = strstr(text, ":exportname=");
    g_autofree char *where = name ? g_strndup(text, (gsize)(name - text)) : g_strdup(text);
    char *at = where + strlen("nbd:"), *colon = strrchr(at, ':');
    guint64 port = 0;

    place->protocol = by_scheme("nbd");
    place->name = bare(name ? name + strlen(":exportname=") : NULL);
    if (g_str_has_prefix(at, "unix:")) {
        place->socket = g_strdup(at + strlen("unix:"));
        return TRUE;
    }
    if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &port, NULL))
        return FALSE;
    place->host = g_strndup(at, (gsize)(colon - at));
    place->port = (guint)port;
    return TRUE;
}

static gboolean read_uri(const char *text, Place *place)
{
    g_autofree char *scheme = NULL, *user = NULL, *host = NULL, *path = NULL, *query = NULL, *fragment = NULL;
    int port = -1;

    if (!g_uri_split(text, G_URI_FLAGS_ENCODED, &scheme, &user, &host, &port, &path, &query, &fragment, NULL) ||
        fragment)
        return FALSE;
    char *plus = strchr(scheme, '+');
    gboolean is_unix = plus && g_str_equal(plus, "+unix");
    if (plus && !is_unix && !g_str_equal(plus, "+tcp"))
        return FALSE;
    if (plus)
        *plus = 0;
    if (!(place->protocol = by_scheme(scheme)) || has(place, IS_RBD))
        return FALSE;
    place->name = bare(path);
    place->user = user && *user ? g_steal_pointer(&user) : NULL;
    if (is_unix) {
        if (query && g_str_has_prefix(query, "socket="))
            place->socket = g_strdup(query + strlen("socket="));
        return place->socket != NULL;
    }
    place->host = host && *host ? g_steal_pointer(&host) : NULL;
    place->port = port > 0 ? (guint)port : 0;
    if (query && has(place, TAKES_QUERY))
        place->query = g_steal_pointer(&query);
    return TRUE;
}

/* ---- as QEMU's options --------------------------------------------------------------- */

/* "server": {"host": ...}, or "server.host": as options were written before there was JSON. */
static const char *option(JsonObject *options, const char *group, const char *key)
{
    JsonObject *inner = vireo_json_object(options, group);
    g_autofree char *flat = g_strdup_printf("%s.%s", group, key);
    const char *value = inner ? vireo_json_string(inner, key) : NULL;

    return value ? value : vireo_json_string(options, flat);
}

static gboolean read_port(const char *text, Place *place)
{
    guint64 port = 0;

    if (text && !g_ascii_string_to_unsigned(text, 10, 1, 65535, &port, NULL))
        return FALSE;
    place->port = (guint)port;
    return TRUE;
}

static gboolean read_server(JsonObject *options, Place *place)
{
    const char *host = option(options, "server", "host");

    place->socket = g_strdup(option(options, "server", "path"));
    place->host = place->socket ? NULL : g_strdup(host ? host : vireo_json_string(options, "host"));
    return read_port(host ? option(options, "server", "port") : vireo_json_string(options, "port"), place);
}

static gboolean read_iscsi(JsonObject *options, Place *place)
{
    const char *portal = vireo_json_string(options, "portal"), *target = vireo_json_string(options, "target");
    g_autofree char *uri = g_strdup_printf("iscsi://%s/%s/%" G_GINT64_FORMAT, portal, target,
                                           vireo_json_int(options, "lun", 0));

    return portal && target && !vireo_json_string(options, "user") && read_uri(uri, place);
}

/* "server": [{"host": ...}, ...], or "server.0.host", ...; NULL: the configuration file names them. */
static char *read_monitors(JsonObject *options)
{
    JsonArray *list = vireo_json_array(options, "server");
    GString *text = g_string_new(NULL);

    for (guint i = 0;; i++) {
        JsonObject *one = i < vireo_json_length(list) ? vireo_json_element(list, i) : NULL;
        g_autofree char *group = g_strdup_printf("server.%u", i);
        const char *host = one ? vireo_json_string(one, "host") : option(options, group, "host");
        const char *port = one ? vireo_json_string(one, "port") : option(options, group, "port");

        if (!host)
            break;
        g_string_append_printf(text, "%s%s:%s", i ? ";" : "", host, port ? port : "6789");
    }
    return g_string_free(text, text->len == 0);
}

static gboolean read_options(JsonObject *options, Place *place)
{
    const char *driver = vireo_json_string(options, "driver"), *url = vireo_json_string(options, "url");
    const Protocol *protocol = by_scheme(driver);

    if (!protocol || vireo_json_string(options, "tls-creds") || vireo_json_string(options, "password-secret") ||
        vireo_json_string(options, "cookie") || vireo_json_string(options, "cookie-secret"))
        return FALSE;
    if (protocol->traits & IS_WEB)
        return url && read_uri(url, place);
    if (protocol->protocol == VIREO_DOMAIN_DISK_PROTOCOL_ISCSI)
        return read_iscsi(options, place);
    place->protocol = protocol;
    if (protocol->traits & IS_RBD) {
        if (!vireo_json_string(options, "pool") || !vireo_json_string(options, "image"))
            return FALSE;
        place->name = g_strdup_printf("%s/%s", vireo_json_string(options, "pool"), vireo_json_string(options, "image"));
        place->query = g_strdup(vireo_json_string(options, "conf"));
        place->host = read_monitors(options);
        return !vireo_json_string(options, "user") && !vireo_json_string(options, "namespace") &&
               !vireo_json_string(options, "snapshot") &&
               (place->host || !json_object_has_member(options, "server"));
    }
    place->user = g_strdup(vireo_json_string(options, "user"));
    place->name = bare(vireo_json_string(options, protocol->traits & TAKES_USER ? "path" : "export"));
    return read_server(options, place);
}

/* {"driver": "qcow2", "file": {...}}: what is opened in the end. */
static JsonObject *innermost(JsonObject *options, VireoDomainStorageFormat *format)
{
    JsonObject *file;

    while (options && (file = vireo_json_object(options, "file"))) {
        if (format)
            *format = vireo_domain_storage_format_from_string(vireo_json_string(options, "driver"));
        options = file;
    }
    return options;
}

static gboolean read_json(const char *text, Place *place)
{
    g_autoptr(JsonObject) options = vireo_json_parse(text, -1, NULL);
    JsonObject *inner = innermost(options, NULL);

    return inner && read_options(inner, place);
}

static void complete(Place *place)
{
    if (!place->port)
        place->port = place->protocol->port;
    if (place->protocol->protocol != VIREO_DOMAIN_DISK_PROTOCOL_ISCSI || !place->name || strchr(place->name, '/'))
        return;
    char *name = g_strconcat(place->name, "/0", NULL);
    g_free(place->name);
    place->name = name;
}

static gboolean read_text(const char *text, Place *place)
{
    gboolean known;

    if (g_str_has_prefix(text, "json:"))
        known = read_json(text + strlen("json:"), place);
    else if (g_str_has_prefix(text, "rbd:"))
        known = read_rbd(text, place);
    else if (g_str_has_prefix(text, "nbd:") && !g_str_has_prefix(text, "nbd:/"))
        known = read_old_nbd(text, place);
    else
        known = read_uri(text, place);
    if (known)
        complete(place);
    return known && !place_fault(place);
}

gboolean qemu_is_remote(const char *path)
{
    const char *colon = path ? strchr(path, ':') : NULL;

    /* QEMU reads a name so, too: what comes before the first slash. */
    return colon && colon != path && colon < strchrnul(path, '/');
}

char *qemu_remote_canonical(const char *text, VireoDomainStorageFormat *format)
{
    g_auto(Place) place = { 0 };
    g_autoptr(JsonObject) options =
        g_str_has_prefix(text, "json:") ? vireo_json_parse(text + strlen("json:"), -1, NULL) : NULL;
    JsonObject *inner = innermost(options, format);
    const char *file = vireo_json_string(inner, "filename"), *driver = vireo_json_string(inner, "driver");

    /* QEMU writes such a name of a local file, too, when what that is based on was named otherwise. */
    if (file && g_path_is_absolute(file) && (!g_strcmp0(driver, "file") || !g_strcmp0(driver, "host_device")))
        return g_strdup(file);
    return read_text(text, &place) ? place_text(&place) : NULL;
}

gboolean qemu_remote_is_readonly(const char *location)
{
    g_auto(Place) place = { 0 };

    return read_text(location, &place) && has(&place, IS_READONLY);
}

gboolean qemu_remote_reach(const char *location, GError **error)
{
    g_auto(Place) place = { 0 };
    g_autoptr(GError) failure = NULL;

    if (!read_text(location, &place) || has(&place, IS_RBD))
        return TRUE;
    g_autoptr(GSocketConnectable) server = place.socket
                                               ? G_SOCKET_CONNECTABLE(g_unix_socket_address_new(place.socket))
                                               : g_network_address_new(place.host, (guint16)place.port);
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_socket_client_set_timeout(client, CONNECT_S);
    g_socket_client_set_enable_proxy(client, FALSE);
    g_autoptr(GSocketConnection) connection = g_socket_client_connect(client, server, NULL, &failure);
    if (!connection)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "cannot open image %s: %s", location, failure->message);
    return connection != NULL;
}

static JsonObject *server_options(const Place *place)
{
    g_autofree char *port = g_strdup_printf("%u", place->port);

    if (place->socket)
        return vireo_json_new('s', "type", "unix", 's', "path", place->socket, 0);
    return vireo_json_new('s', "type", place->protocol->traits & TAKES_SOCKET ? "inet" : NULL, 's', "host",
                          place->host, 's', "port", port, 0);
}

static JsonObject *iscsi_options(const Place *place)
{
    const char *slash = strchr(place->name, '/');
    g_autofree char *target = slash ? g_strndup(place->name, (gsize)(slash - place->name)) : g_strdup(place->name);
    gboolean v6 = strchr(place->host, ':') != NULL;
    g_autofree char *portal = g_strdup_printf(v6 ? "[%s]:%u" : "%s:%u", place->host, place->port);

    return vireo_json_new('s', "driver", "iscsi", 's', "transport", "tcp", 's', "portal", portal, 's', "target",
                          target, 'i', "lun", slash ? g_ascii_strtoll(slash + 1, NULL, 10) : (gint64)0, 0);
}

static JsonObject *rbd_options(const Place *place)
{
    const char *slash = strchr(place->name, '/');
    g_autofree char *pool = g_strndup(place->name, (gsize)(slash - place->name));
    g_auto(GStrv) hosts = place->host ? g_strsplit(place->host, ";", -1) : NULL;
    JsonArray *servers = hosts ? json_array_new() : NULL;

    for (guint i = 0; hosts && hosts[i]; i++) {
        char *colon = strrchr(hosts[i], ':');

        if (colon)
            *colon = 0;
        json_array_add_object_element(
            servers, vireo_json_new('s', "host", hosts[i], 's', "port", colon ? colon + 1 : "6789", 0));
    }
    return vireo_json_new('s', "driver", "rbd", 's', "pool", pool, 's', "image", slash + 1, 's', "conf", place->query,
                          'a', "server", servers, 0);
}

JsonObject *qemu_remote_options(const char *location)
{
    g_auto(Place) place = { 0 };

    if (!read_text(location, &place))
        return vireo_json_new('s', "driver", "null-co", 0); /* never: locations were checked */
    if (has(&place, IS_WEB))
        return vireo_json_new('s', "driver", place.protocol->scheme, 's', "url", location, 0);
    if (has(&place, IS_RBD))
        return rbd_options(&place);
    if (place.protocol->protocol == VIREO_DOMAIN_DISK_PROTOCOL_ISCSI)
        return iscsi_options(&place);
    if (place.protocol->protocol == VIREO_DOMAIN_DISK_PROTOCOL_SSH) {
        g_autofree char *path = g_strconcat("/", place.name, NULL);

        return vireo_json_new('s', "driver", "ssh", 'o', "server", server_options(&place), 's', "path", path, 's',
                              "user", place.user, 0);
    }
    return vireo_json_new('s', "driver", "nbd", 'o', "server", server_options(&place), 's', "export", place.name, 'i',
                          "reconnect-delay", (gint64)RECONNECT_S, 0);
}

/* ---- as a definition -------------------------------------------------------------------- */

static const Protocol *by_number(VireoDomainDiskProtocol number)
{
    for (guint i = 0; i < G_N_ELEMENTS(protocols); i++)
        if (protocols[i].protocol == number)
            return &protocols[i];
    return NULL;
}

/* Monitors of rbd; others have one server. */
static char *many_hosts(const VireoDomainDiskSource *source)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < source->hosts.n; i++) {
        const VireoDomainNetworkHost *host = source->hosts.items[i];

        g_string_append_printf(text, "%s%s:%u", i ? ";" : "", host->name ? host->name : "",
                               host->has_port && host->port ? host->port : 6789);
    }
    return g_string_free(text, FALSE);
}

static const char *fill_hosts(const VireoDomainDiskSource *source, Place *place)
{
    const VireoDomainNetworkHost *host = source->hosts.n ? source->hosts.items[0] : NULL;

    if (has(place, IS_RBD)) {
        place->host = host ? many_hosts(source) : NULL;
        return NULL;
    }
    if (source->hosts.n > 1)
        return "<host>: more than one server";
    if (!host)
        return NULL;
    if (host->transport == VIREO_DOMAIN_NET_TRANSPORT_RDMA)
        return "host@transport: rdma is not served (tcp, unix)";
    if (host->transport == VIREO_DOMAIN_NET_TRANSPORT_UNIX) {
        place->socket = g_strdup(host->socket ? host->socket : "");
        return NULL;
    }
    if (host->socket)
        return "host@socket: only with transport='unix'";
    place->host = g_strdup(host->name);
    if (host->has_port && host->port)
        place->port = host->port;
    return NULL;
}

char *qemu_remote_location(const VireoDomainDiskSource *source, const char *dev, GError **error)
{
    g_auto(Place) place = { .protocol = source ? by_number(source->protocol) : NULL };

    if (!place.protocol) {
        qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                   "disk '%s': source@protocol '%s' is not served (nbd, iscsi, rbd, http, https, ftp, ftps, ssh)",
                   dev, source ? vireo_domain_disk_protocol_to_string(source->protocol) : "");
        return NULL;
    }
    place.name = has(&place, IS_RBD) ? g_strdup(source->name) : bare(source->name);
    if (source->query)
        place.query = g_strdup(source->query + (*source->query == '?'));
    if (has(&place, IS_RBD) && source->config)
        place.query = g_strdup(source->config);
    place.user = g_strdup(source->identity ? source->identity->username : NULL);
    const char *fault = fill_hosts(source, &place);
    complete(&place);
    if (!fault)
        fault = place_fault(&place);
    if (!fault && source->tls == VIREO_TRISTATE_YES)
        fault = "@tls: there is no setting for a client's certificates";
    if (!fault)
        return place_text(&place);
    qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "disk '%s': source (%s) %s", dev, place.protocol->scheme, fault);
    return NULL;
}

static VireoDomainNetworkHost *new_host(VireoDomainDiskSource *source)
{
    VireoDomainNetworkHost *host = g_new0(VireoDomainNetworkHost, 1);

    vireo_list_append(&source->hosts, host);
    return host;
}

static void fill_source_hosts(const Place *place, VireoDomainDiskSource *source)
{
    g_auto(GStrv) hosts = has(place, IS_RBD) && place->host ? g_strsplit(place->host, ";", -1) : NULL;

    for (guint i = 0; hosts && hosts[i]; i++) {
        VireoDomainNetworkHost *host = new_host(source);
        char *colon = strrchr(hosts[i], ':');

        host->has_port = colon != NULL;
        host->port = colon ? (guint)g_ascii_strtoull(colon + 1, NULL, 10) : 0;
        host->name = colon ? g_strndup(hosts[i], (gsize)(colon - hosts[i])) : g_strdup(hosts[i]);
    }
    if (has(place, IS_RBD))
        return;
    VireoDomainNetworkHost *host = new_host(source);
    if (place->socket) {
        host->transport = VIREO_DOMAIN_NET_TRANSPORT_UNIX;
        host->socket = g_strdup(place->socket);
        return;
    }
    host->name = g_strdup(place->host);
    host->port = place->port;
    host->has_port = TRUE;
}

void qemu_remote_source(const char *location, VireoDomainDiskSource *source)
{
    g_auto(Place) place = { 0 };

    if (!read_text(location, &place))
        return;
    source->protocol = place.protocol->protocol;
    source->name = g_strdup(place.name);
    *(has(&place, IS_RBD) ? &source->config : &source->query) = g_strdup(place.query);
    fill_source_hosts(&place, source);
    if (!place.user)
        return;
    source->identity = g_new0(VireoDomainSourceIdentity, 1);
    source->identity->username = g_strdup(place.user);
}
