/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sockets of the daemon: its own, libvirt's names for them, or those the service manager hands over. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/systemd.h"
#include "util/error.h"

#define FIRST_FD 3 /* of those handed over */

/* What the end of a path, or the name given by the service manager, says about a socket. The last one is opened
 * last: whoever finds it finds the others. */
static const struct {
    VireoRpcSocketKind kind;
    const char *role, *suffix;
} roles[] = {
    {VIREO_RPC_SOCKET_ADMIN, "admin", "-admin-sock"},
    {VIREO_RPC_SOCKET_RO, "ro", "-sock-ro"},
    {VIREO_RPC_SOCKET_RW, "rw", "-sock"},
};

static VireoRpcServer *server_of(VireoDaemon *daemon, VireoRpcSocketKind kind)
{
    return kind == VIREO_RPC_SOCKET_ADMIN ? daemon->admin_server : daemon->server;
}

/* ---- our own ---- */

/* Whether somebody accepts connections there: their socket must not be taken away. */
static gboolean in_use(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    gboolean answered;
    int fd;

    if (strlen(path) >= sizeof address.sun_path)
        return FALSE;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    answered = fd >= 0 && (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ||
                           errno == EAGAIN || errno == EACCES || errno == EPERM);
    if (fd >= 0)
        close(fd);
    return answered;
}

static gboolean refuse_used(const char *path, gboolean compat, GError **error)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID, "%s belongs to another daemon that is running%s",
                path, compat ? "; stop it, or set compat_sockets = no" : "");
    return FALSE;
}

/* Where the daemon for all drivers comes to. */
static gboolean listen_for_proxies(VireoDaemon *daemon, GError **error)
{
    const VireoPaths *paths = daemon->paths;
    g_autofree char *path = NULL;

    if (!daemon->share)
        return TRUE;
    path = g_build_filename(paths->drivers, paths->driver, NULL);
    if (in_use(path, SOCK_SEQPACKET))
        return refuse_used(path, FALSE, error);
    return vireo_share_listen(daemon->share, path, error);
}

static gboolean listen_in(VireoDaemon *daemon, const char *dir, const char *name, gboolean compat, GError **error)
{
    const VireoDaemonConfig *config = daemon->config;
    const guint modes[] = {config->admin_mode, config->ro_mode, config->rw_mode};

    for (guint i = 0; i < G_N_ELEMENTS(roles); i++) {
        VireoRpcSocketKind kind = roles[i].kind;
        g_autofree char *file = g_strconcat(name, roles[i].suffix, NULL);
        g_autofree char *path = g_build_filename(dir, file, NULL);

        if (daemon->paths->session && kind == VIREO_RPC_SOCKET_RO)
            continue;
        if (in_use(path, SOCK_STREAM))
            return refuse_used(path, compat, error);
        if (!vireo_rpc_server_listen(server_of(daemon, kind), kind, path, modes[i],
                                     kind == VIREO_RPC_SOCKET_ADMIN ? -1 : config->gid, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- handed over ---- */

/* A socket is what its name says; without a name of ours, its path. */
static VireoRpcSocketKind kind_of(const char *name, const char *path)
{
    for (guint i = 0; i < G_N_ELEMENTS(roles); i++)
        if (strcmp(name, roles[i].role) == 0)
            return roles[i].kind;
    for (guint i = 0; i < G_N_ELEMENTS(roles); i++)
        if (g_str_has_suffix(path, roles[i].suffix))
            return roles[i].kind;
    return g_str_has_suffix(path, "-ro") ? VIREO_RPC_SOCKET_RO : VIREO_RPC_SOCKET_RW;
}

static gboolean is_for_proxies(const char *name, int fd)
{
    int type = 0;
    socklen_t size = sizeof type;

    return strcmp(name, "driver") == 0 ||
           (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET);
}

static gboolean share_given(VireoDaemon *daemon, int fd, GError **error)
{
    if (daemon->share)
        return vireo_share_listen_fd(daemon->share, fd, error);
    g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG,
                "descriptor %d, handed over by the service manager, is for the daemon of one driver (--driver)", fd);
    return FALSE;
}

static gboolean listen_given(VireoDaemon *daemon, guint i, GError **error)
{
    const char *name = vireo_systemd_fd_name(i);
    struct sockaddr_un address = {0};
    socklen_t size = sizeof address - 1;
    int fd = FIRST_FD + (int)i;
    VireoRpcSocketKind kind;

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 || address.sun_family != AF_UNIX) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG,
                    "descriptor %d ('%s'), handed over by the service manager, is no UNIX socket", fd, name);
        return FALSE;
    }
    if (is_for_proxies(name, fd))
        return share_given(daemon, fd, error);
    kind = kind_of(name, address.sun_path);
    return vireo_rpc_server_listen_fd(server_of(daemon, kind), kind, fd, error);
}

gboolean vireo_daemon_listen(VireoDaemon *daemon, GError **error)
{
    const VireoPaths *paths = daemon->paths;
    guint given = vireo_systemd_n_fds();

    for (guint i = 0; i < given; i++)
        if (!listen_given(daemon, i, error))
            return FALSE;
    if (given > 0)
        return TRUE;
    if (!listen_in(daemon, paths->dirs.run, paths->sockets, FALSE, error) || !listen_for_proxies(daemon, error))
        return FALSE;
    return !daemon->config->compat_sockets ||
           listen_in(daemon, paths->compat, paths->compat_sockets, TRUE, error);
}
