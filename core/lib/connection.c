/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/client.h"
#include "lib/uri.h"

#define FEATURE_KEEPALIVE 10

static VireoClient *client_new(int fd, const char *socket_path)
{
    VireoClient *client = g_new0(VireoClient, 1);

    g_atomic_ref_count_init(&client->refs);
    client->fd = fd;
    client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    client->socket = g_strdup(socket_path);
    client->uri = g_strdup("");
    g_mutex_init(&client->lock);
    g_cond_init(&client->writable);
    g_queue_init(&client->out);
    client->calls = g_hash_table_new(NULL, NULL);
    client->streams = g_hash_table_new(NULL, NULL);
    client->handlers = g_ptr_array_new();
    client->thread = g_thread_new("vireo-client", vireo_client_io_thread, client);
    return client;
}

static void end_thread(VireoClient *client)
{
    g_mutex_lock(&client->lock);
    client->stop = TRUE;
    vireo_client_wake(client);
    g_mutex_unlock(&client->lock);
}

static void client_free(VireoClient *client)
{
    end_thread(client);
    g_thread_join(client->thread);
    vireo_client_free_handlers(client);
    g_queue_clear_full(&client->out, (GDestroyNotify)vireo_packet_free);
    g_hash_table_unref(client->calls);
    g_hash_table_unref(client->streams);
    g_clear_error(&client->failure);
    close(client->fd);
    close(client->wake_fd);
    g_cond_clear(&client->writable);
    g_mutex_clear(&client->lock);
    g_free(client->socket);
    g_free(client->uri);
    g_free(client);
}

VireoClient *vireo_client_ref(VireoClient *client)
{
    g_atomic_ref_count_inc(&client->refs);
    return client;
}

void vireo_client_unref(VireoClient *client)
{
    if (client && g_atomic_ref_count_dec(&client->refs)) {
        vireo_client_close(client);
        client_free(client);
    }
}

const char *vireo_client_uri(VireoClient *client)
{
    return client->uri;
}

const char *vireo_client_socket(VireoClient *client)
{
    return client->socket;
}

gboolean vireo_client_is_alive(VireoClient *client)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&client->lock);

    return !client->failure && !client->stop;
}

static int connect_socket(const char *path, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd, failed;

    if (strlen(path) >= sizeof(address.sun_path)) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "the socket path '%s' is too long", path);
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    failed = errno;
    if (fd >= 0)
        close(fd);
    g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "cannot connect to the daemon at '%s': %s",
                path, g_strerror(failed));
    return -1;
}

static gboolean authenticate(VireoClient *client, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    vireo_auth_list_ret types = { 0 };
    vireo_auth_polkit_ret polkit = { 0 };

    if (!VIREO_CALL(client, auth_list, arena, error, &types))
        return FALSE;
    if (types.types.len == 0 || types.types.val[0] == VIREO_AUTH_NONE)
        return TRUE;
    if (types.types.val[0] == VIREO_AUTH_POLKIT)
        return VIREO_CALL(client, auth_polkit, arena, error, &polkit);
    g_set_error(error, VIREO_ERROR, VIREO_ERR_AUTH_UNAVAILABLE,
                "the daemon asks for an authentication (type %d) that this client does not have",
                types.types.val[0]);
    return FALSE;
}

static void ask_keepalive(VireoClient *client)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    vireo_connect_supports_feature_args args = { .feature = FEATURE_KEEPALIVE };
    vireo_connect_supports_feature_ret ret;

    /* A daemon that cannot is as good. */
    (void)VIREO_CALL(client, connect_supports_feature, arena, NULL, &args, &ret);
}

static gboolean open_hypervisor(VireoClient *client, const char *name, gboolean readonly,
                                GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    vireo_connect_open_args args = { .name = (char *)name, .flags = readonly ? 1 : 0 };
    vireo_connect_get_uri_ret ret;

    if (!VIREO_CALL(client, connect_open, arena, error, &args))
        return FALSE;
    client->opened = TRUE;
    if (!VIREO_CALL(client, connect_get_uri, arena, error, &ret))
        return FALSE;
    g_free(client->uri);
    client->uri = g_strdup(ret.uri);
    return TRUE;
}

VireoClient *vireo_client_open(const char *text, const char *socket_path, VireoClientFlags flags,
                               GError **error)
{
    g_autofree char *from_environment = text ? NULL : vireo_uri_from_environment();
    g_autoptr(VireoUri) uri = vireo_uri_parse(text ? text : from_environment, error);
    g_autoptr(VireoClient) client = NULL;
    g_autofree char *path = NULL;
    gboolean readonly = (flags & VIREO_CLIENT_READONLY) != 0;
    int fd;

    if (!uri)
        return NULL;
    path = socket_path ? g_strdup(socket_path) : vireo_uri_find_socket(uri, readonly);
    fd = connect_socket(path, error);
    if (fd < 0)
        return NULL;
    client = client_new(fd, path);
    if (!authenticate(client, error))
        return NULL;
    if (flags & VIREO_CLIENT_KEEPALIVE)
        ask_keepalive(client);
    if (!(flags & VIREO_CLIENT_NO_OPEN) && !open_hypervisor(client, uri->name, readonly, error))
        return NULL;
    return g_steal_pointer(&client);
}

void vireo_client_close(VireoClient *client)
{
    gboolean alive = vireo_client_is_alive(client);

    if (alive && client->opened)
        (void)VIREO_CALL(client, connect_close, NULL, NULL);
    end_thread(client);
}
