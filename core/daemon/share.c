/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/share.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/build.h"
#include "far/server.h"
#include "util/error.h"

#define BACKLOG 16

struct VireoShare {
    VireoEngine *engine;
    char *driver;
    VireoFarServer *server;
    int fd;
    char *path; /* that we bound; NULL: none */
    guint source;
    GMutex lock; /* what follows */
    GCond idle;
    guint n_taking;
    VireoModuleInfo *ready; /* as the near ends know it; NULL: the driver does not serve yet */
};

/* ---- one that has come ---- */

typedef struct {
    VireoShare *share;
    int fd;
} Caller;

static const struct vireo_op *row_of(gconstpointer module, guint32 id)
{
    return vireo_module_op((VireoModule *)module, id);
}

/* Whether the driver serves; starts it when nobody has. */
static gboolean is_ready(VireoShare *share, GError **error)
{
    VireoModule *module = vireo_loader_by_name(vireo_engine_loader(share->engine), share->driver);
    g_autoptr(GMutexLocker) locker = NULL;

    if (!module || !vireo_module_ensure(module, error))
        return FALSE;
    locker = g_mutex_locker_new(&share->lock);
    if (!share->ready) {
        share->ready = vireo_module_info(module);
        vireo_far_server_set_driver(share->server, VIREO_VERSION, share->ready->name, share->ready->version,
                                    share->ready->schemes, share->ready->threads, row_of, module);
        vireo_far_server_ready(share->server);
    }
    return TRUE;
}

static void send_away(int fd, const char *reason)
{
    g_autoptr(VireoFarChannel) channel = vireo_far_channel_new(fd);
    g_autofree char *text = g_utf8_make_valid(reason, -1);

    vireo_far_channel_tell(channel, VIREO_FAR_GOODBYE, 0, 0, &vireo_far_type_goodbye, &(VireoFarGoodbye){0, text});
}

/* On a worker. */
static void take(gpointer opaque)
{
    Caller *caller = opaque;
    VireoShare *share = caller->share;
    g_autoptr(GError) error = NULL;

    if (is_ready(share, &error))
        vireo_far_server_add(share->server, caller->fd);
    else
        send_away(caller->fd, error ? error->message : "its module is gone");
    g_mutex_lock(&share->lock);
    share->n_taking--;
    g_cond_signal(&share->idle);
    g_mutex_unlock(&share->lock);
    g_free(caller);
}

/* A near end says for whom it speaks and is believed: only this daemon's user and root may be one. */
static gboolean is_trusted(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static gboolean came(gint listener, GIOCondition condition, gpointer opaque)
{
    VireoShare *share = opaque;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    Caller *caller;

    if (fd < 0)
        return G_SOURCE_CONTINUE;
    if (!is_trusted(fd)) {
        g_warning("somebody who is neither root nor the daemon's user came to the socket of driver '%s'", share->driver);
        close(fd);
        return G_SOURCE_CONTINUE;
    }
    caller = g_new(Caller, 1);
    *caller = (Caller){share, fd};
    g_mutex_lock(&share->lock);
    share->n_taking++;
    g_mutex_unlock(&share->lock);
    vireo_workers_push(vireo_engine_workers(share->engine), TRUE, take, caller);
    return G_SOURCE_CONTINUE;
}

/* ---- the socket ---- */

static gboolean fail(GError **error, const char *path, const char *what)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "socket %s: %s: %s", path, what, g_strerror(errno));
    return FALSE;
}

static void listen_on(VireoShare *share, int fd)
{
    share->fd = fd;
    share->source = g_unix_fd_add(fd, G_IO_IN, came, share);
}

gboolean vireo_share_listen(VireoShare *share, const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_autofree char *folder = g_path_get_dirname(path);
    int fd;

    if (strlen(path) >= sizeof address.sun_path) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG,
                    "socket %s: the path is longer than the %zu bytes a socket may have", path,
                    sizeof address.sun_path - 1);
        return FALSE;
    }
    strcpy(address.sun_path, path);
    if (g_mkdir_with_parents(folder, 0755) < 0)
        return fail(error, path, "cannot make its directory");
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(error, path, "cannot create");
    /* The file has this mode from the beginning: an unbound socket hands its own to it. */
    if (fchmod(fd, 0600) < 0 || (unlink(path) < 0 && errno != ENOENT) ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(path, 0600) < 0 ||
        listen(fd, BACKLOG) < 0) {
        fail(error, path, "cannot listen");
        close(fd);
        return FALSE;
    }
    share->path = g_strdup(path);
    listen_on(share, fd);
    return TRUE;
}

gboolean vireo_share_listen_fd(VireoShare *share, int fd, GError **error)
{
    int listening = 0, type = 0;
    socklen_t size = sizeof listening;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET || share->fd >= 0) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG,
                    "descriptor %d is not the one listening socket of sequential packets that a driver has", fd);
        return FALSE;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return fail(error, "handed over", "cannot set flags");
    listen_on(share, fd);
    return TRUE;
}

/* ---- from beginning to end ---- */

VireoShare *vireo_share_new(VireoEngine *engine, const char *driver)
{
    VireoShare *share = g_new0(VireoShare, 1);

    share->engine = engine;
    share->driver = g_strdup(driver);
    share->fd = -1;
    g_mutex_init(&share->lock);
    g_cond_init(&share->idle);
    share->server = vireo_far_server_new(vireo_engine_router(engine), NULL, NULL);
    return share;
}

static void stop_listening(VireoShare *share)
{
    if (share->source)
        g_source_remove(share->source);
    if (share->path)
        unlink(share->path);
    if (share->fd >= 0)
        close(share->fd);
}

void vireo_share_free(VireoShare *share)
{
    if (!share)
        return;
    stop_listening(share);
    g_mutex_lock(&share->lock);
    while (share->n_taking > 0)
        g_cond_wait(&share->idle, &share->lock);
    g_mutex_unlock(&share->lock);
    vireo_far_server_goodbye(share->server, "its daemon has ended");
    vireo_far_server_free(share->server);
    vireo_module_info_unref(share->ready);
    g_free(share->path);
    g_free(share->driver);
    g_cond_clear(&share->idle);
    g_mutex_clear(&share->lock);
    g_free(share);
}

guint vireo_share_n_conns(VireoShare *share)
{
    return vireo_far_server_n_conns(share->server);
}
