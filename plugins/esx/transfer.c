/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in a volume, over HTTP. It is fetched whole before it goes on to the client: a stream cannot say that it
 * broke off. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "volume.h"

#define BLOCK 4096

typedef struct {
    int fd;
    guint64 size;
} File;

static gboolean is_zero(const char *data, gsize len)
{
    return !*data && memcmp(data, data + 1, len - 1) == 0;
}

/* Blocks of zeros are left out. */
static gboolean to_file(const void *data, gsize len, void *opaque, GError **error)
{
    File *file = opaque;
    const char *at = data;

    while (len) {
        gsize part = MIN(len, BLOCK - file->size % BLOCK);
        gssize n = is_zero(at, part) ? (gssize)part : pwrite(file->fd, at, part, (off_t)file->size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "cannot keep what the server sends: %s",
                        g_strerror(n ? errno : ENOSPC));
            return FALSE;
        }
        file->size += (guint64)n;
        at += n;
        len -= (gsize)n;
    }
    return TRUE;
}

/* "/folder/FILE?dcPath=DATACENTER&dsName=POOL" */
static char *url_of(EsxServer *server, const char *pool, const char *file)
{
    g_autofree char *path = vireo_http_escape(file);
    g_autofree char *datacenter = g_uri_escape_string(server->datacenter_path, NULL, FALSE);
    g_autofree char *store = g_uri_escape_string(pool, NULL, FALSE);

    return g_strdup_printf("/folder/%s?dcPath=%s&dsName=%s", path, datacenter, store);
}

static gboolean fetch(EsxServer *server, const char *url, const vireo_storage_vol_download_args *args, File *file,
                      const VireoHttpWait *wait, GError **error)
{
    VireoHttpTransfer transfer = { .method = "GET", .path = url, .offset = args->offset, .length = args->length,
                                   .sink = to_file, .opaque = file };
    VireoHttp *http = vireo_soap_http(server->soap);
    g_autoptr(GError) why = NULL;

    if (vireo_http_transfer(http, &transfer, wait, &why))
        return TRUE;
    if (!g_error_matches(why, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_AUTH)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return vireo_soap_login(server->soap, wait, error) && vireo_http_transfer(http, &transfer, wait, error);
}

/* The contents of a disk are in another file than what describes them. */
static char *contents_of(const EsxVolume *volume)
{
    return volume->disk ? g_strdup_printf("%.*s-flat.vmdk", (int)(strlen(volume->name) - strlen(".vmdk")), volume->name)
                        : g_strdup(volume->name);
}

static int open_file(EsxConn *conn, GError **error)
{
    const char *folder = conn->driver->host->dir(conn->driver->core, VIREO_DIR_CACHE);
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "cannot make a file in '%s': %s", folder, g_strerror(errno));
    return fd;
}

int esx_storage_vol_download(void *handle, vireo_call *call, const vireo_storage_vol_download_args *args)
{
    EsxConn *conn = handle;
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = esx_pool_find(conn, call, args->vol.pool);
    GError *error = NULL;

    if (!pool)
        return VIREO_FAIL;
    const EsxVolume *volume = esx_volume_find(conn, call, pool, args->vol.name, arena, &error);
    File file = { .fd = volume ? open_file(conn, &error) : -1 };
    if (file.fd < 0)
        return esx_fail(conn->driver, call, error);
    g_autofree char *contents = contents_of(volume);
    g_autofree char *url = url_of(conn->server, pool->name, contents);
    if (!fetch(conn->server, url, args, &file, &wait, &error) || ftruncate(file.fd, (off_t)file.size) < 0) {
        close(file.fd);
        if (!error)
            g_set_error(&error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "cannot keep what the server sends: %s",
                        g_strerror(errno));
        return esx_fail(conn->driver, call, error);
    }
    gboolean sparse = (args->flags & VIREO_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM) != 0;
    return conn->driver->host->stream(call, file.fd, VIREO_STREAM_FROM_FD | (sparse ? VIREO_STREAM_SPARSE : 0), 0, 0);
}
