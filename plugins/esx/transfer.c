/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in a volume, and what a machine shows, over HTTP. A stream's own thread moves the bytes: neither side is
 * answered before the other has said that all is well. */
#include "ops.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "volume.h"

#define BLOCK 4096

typedef struct {
    EsxServer *server;
    VireoFeed *feed;
    char *url;
    guint64 offset, length; /* of a download */
    gboolean sparse;
    guint64 hole; /* zeros that have not been passed on yet */
    gint64 size;  /* of an upload; -1: not known */
    gboolean pad; /* zeros behind what the client sends, up to size */
    gboolean all; /* the client has sent everything */
    guint64 done;
} Transfer;

/* ---- moving bytes -------------------------------------------------------------------- */

static gboolean is_zero(const char *data, gsize len)
{
    return !*data && memcmp(data, data + 1, len - 1) == 0;
}

/* How much of data is like its first block: of zeros, or not. */
static gsize run_of(const Transfer *transfer, const char *data, gsize len, gboolean *zeros)
{
    gsize used = 0;

    *zeros = FALSE;
    while (used < len) {
        gsize part = MIN(len - used, BLOCK - (transfer->done + used) % BLOCK);
        gboolean zero = transfer->sparse && is_zero(data + used, part);

        if (used && zero != *zeros)
            break;
        *zeros = zero;
        used += part;
    }
    return used;
}

static gboolean to_client(const void *data, gsize len, void *opaque, GError **error)
{
    Transfer *transfer = opaque;

    for (gsize used; len; data = (const char *)data + used, len -= used) {
        gboolean zeros;

        used = run_of(transfer, data, len, &zeros);
        transfer->done += used;
        if (zeros)
            transfer->hole += used;
        else if (!vireo_feed_send_hole(transfer->feed, transfer->hole, error) ||
                 !vireo_feed_send(transfer->feed, data, used, error))
            return FALSE;
        else
            transfer->hole = 0;
    }
    return TRUE;
}

static gssize too_much(const Transfer *transfer, GError **error)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "more was sent than the %" G_GINT64_FORMAT " bytes there is room for",
                transfer->size);
    return -1;
}

static gssize from_client(void *data, gsize len, void *opaque, GError **error)
{
    Transfer *transfer = opaque;
    gssize n = transfer->all ? 0 : vireo_feed_receive(transfer->feed, data, len, error);

    if (n < 0)
        return -1;
    if (n == 0)
        transfer->all = TRUE;
    if (n == 0 && transfer->pad) {
        n = (gssize)MIN(len, (guint64)transfer->size - transfer->done);
        memset(data, 0, (gsize)n);
    } else if (n == 0 && transfer->size > (gint64)transfer->done) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "of %" G_GINT64_FORMAT " bytes %" G_GUINT64_FORMAT " were sent",
                    transfer->size, transfer->done);
        return -1;
    }
    transfer->done += (guint64)n;
    return transfer->size >= 0 && transfer->done > (guint64)transfer->size ? too_much(transfer, error) : n;
}

static int client_has_gone(void *opaque)
{
    return vireo_feed_is_broken(((Transfer *)opaque)->feed);
}

static gboolean download(Transfer *transfer, const VireoHttpWait *wait, GError **error)
{
    VireoHttpTransfer get = { .method = "GET", .path = transfer->url, .offset = transfer->offset,
                              .length = transfer->length, .sink = to_client, .opaque = transfer };

    return vireo_http_transfer(vireo_soap_http(transfer->server->soap), &get, wait, error) &&
           vireo_feed_send_hole(transfer->feed, transfer->hole, error);
}

static gboolean upload(Transfer *transfer, const VireoHttpWait *wait, GError **error)
{
    VireoHttpTransfer put = { .method = "PUT", .path = transfer->url, .size = transfer->size, .source = from_client,
                              .opaque = transfer };
    char more[1];

    return vireo_http_transfer(vireo_soap_http(transfer->server->soap), &put, wait, error) &&
           /* Nobody asks for more once all has come that was announced. */
           (transfer->all || from_client(more, sizeof more, transfer, error) == 0);
}

static int transfer_move(VireoFeed *feed, void *opaque, char **text)
{
    Transfer *transfer = opaque;
    VireoHttpWait wait = { .cancellable = transfer->server->stop, .cancelled = client_has_gone, .opaque = transfer };
    g_autoptr(GError) error = NULL;

    transfer->feed = feed;
    if (transfer->size ? upload(transfer, &wait, &error) : download(transfer, &wait, &error))
        return 0;
    return esx_error_number(error, text);
}

static void transfer_free(void *opaque)
{
    Transfer *transfer = opaque;

    g_free(transfer->url);
    g_free(transfer);
}

static const VireoFeedWork work = { .move = transfer_move, .free = transfer_free };

/* Takes what of it is the transfer's; size 0: a download. */
static int start(EsxConn *conn, vireo_call *call, const Transfer *given, GError *error)
{
    Transfer *transfer = g_memdup2(given, sizeof *given);
    int how = (transfer->sparse ? VIREO_STREAM_SPARSE : 0) | (transfer->size ? VIREO_STREAM_TO_FD : VIREO_STREAM_FROM_FD);

    transfer->server = conn->server;
    if (!error)
        return vireo_feeds_start(conn->server->transfers, conn->driver->host, call, how, &work, transfer);
    transfer_free(transfer);
    return esx_fail(conn->driver, call, error);
}

/* ---- volumes ------------------------------------------------------------------------- */

/* "/folder/FILE?dcPath=DATACENTER&dsName=POOL" */
static char *url_of(EsxServer *server, const char *pool, const char *file)
{
    g_autofree char *path = vireo_http_escape(file);
    g_autofree char *datacenter = g_uri_escape_string(server->datacenter_path, NULL, FALSE);
    g_autofree char *store = g_uri_escape_string(pool, NULL, FALSE);

    return g_strdup_printf("/folder/%s?dcPath=%s&dsName=%s", path, datacenter, store);
}

/* The same, with a session. */
static gboolean move(EsxServer *server, VireoHttpTransfer *transfer, const VireoHttpWait *wait, GError **error)
{
    VireoHttp *http = vireo_soap_http(server->soap);
    g_autoptr(GError) why = NULL;

    if (vireo_http_transfer(http, transfer, wait, &why))
        return TRUE;
    if (g_error_matches(why, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_AUTH))
        return vireo_soap_login(server->soap, wait, error) && vireo_http_transfer(http, transfer, wait, error);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* The contents of a disk are in another file than what describes them. */
static char *contents_of(const EsxVolume *volume)
{
    return volume->disk ? g_strdup_printf("%.*s-flat.vmdk", (int)(strlen(volume->name) - strlen(".vmdk")), volume->name)
                        : g_strdup(volume->name);
}

/* Where a volume's contents are, and how large they are: what is wrong is told by the call itself, not in the middle
 * of its stream. Caller frees. */
static char *look_up(EsxConn *conn, vireo_call *call, const vireo_storage_vol_ref *vol, EsxVolume *volume, gint64 *size,
                     GError **error)
{
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(EsxThing) pool = esx_thing_find(conn->server, ESX_POOLS, vol->pool);
    const EsxVolume *found = pool && esx_volume_is_file(pool, error) ? esx_volume_find(conn, call, pool, vol->name, arena, error) : NULL;

    if (!pool)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_STORAGE_POOL, "there is no datastore '%s' any more", vol->pool);
    if (!found)
        return NULL;
    *volume = *found;
    volume->name = NULL;
    g_autofree char *contents = contents_of(found);
    g_autofree char *url = url_of(conn->server, pool->name, contents);
    VireoHttpTransfer head = { .method = "HEAD", .path = url };
    if (!move(conn->server, &head, &wait, error))
        return NULL;
    *size = head.answer_size;
    return g_steal_pointer(&url);
}

static gssize nothing(void *data, gsize len, void *opaque, GError **error)
{
    return 0;
}

gboolean esx_volume_put_empty(EsxServer *server, const char *pool, const char *file, const VireoHttpWait *wait,
                              GError **error)
{
    g_autofree char *url = url_of(server, pool, file);
    VireoHttpTransfer put = { .method = "PUT", .path = url, .source = nothing };

    return move(server, &put, wait, error);
}

int esx_storage_vol_download(void *handle, vireo_call *call, const vireo_storage_vol_download_args *args)
{
    Transfer transfer = { .offset = args->offset, .length = args->length,
                          .sparse = (args->flags & VIREO_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM) != 0 };
    EsxVolume volume;
    gint64 size = -1;
    GError *error = NULL;

    transfer.url = look_up(handle, call, &args->vol, &volume, &size, &error);
    if (!error && size >= 0 && args->offset > (guint64)size)
        g_set_error(&error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "volume '%s' has %" G_GINT64_FORMAT " bytes", args->vol.name, size);
    return start(handle, call, &transfer, error);
}

int esx_storage_vol_upload(void *handle, vireo_call *call, const vireo_storage_vol_upload_args *args)
{
    Transfer transfer = { .sparse = (args->flags & VIREO_STORAGE_VOL_UPLOAD_SPARSE_STREAM) != 0 };
    EsxConn *conn = handle;
    EsxVolume volume;
    gint64 size = -1;
    GError *error = NULL;

    if (args->offset)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED,
                                        "the server takes a volume as a whole: upload from offset 0");
    transfer.url = look_up(handle, call, &args->vol, &volume, &size, &error);
    if (!error && volume.disk) {
        transfer.size = (gint64)(volume.capacity ? volume.capacity : (guint64)MAX(size, 0));
        transfer.pad = transfer.size > 0;
    } else
        transfer.size = (gint64)args->length;
    if (!error && transfer.pad && args->length > (guint64)transfer.size)
        too_much(&transfer, &error);
    if (!transfer.size)
        transfer.size = -1;
    return start(handle, call, &transfer, error);
}

/* ---- screens ------------------------------------------------------------------------- */

static gboolean to_file(const void *data, gsize len, void *opaque, GError **error)
{
    if (write(*(int *)opaque, data, len) == (gssize)len)
        return TRUE;
    g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "cannot keep the image: %s", g_strerror(errno));
    return FALSE;
}

int esx_domain_screenshot(void *handle, vireo_call *call, const vireo_domain_screenshot_args *args,
                          vireo_domain_screenshot_ret *ret)
{
    EsxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    EsxRef *machine = esx_machine_need(conn, call, &args->dom, 1u << VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_ON);
    VireoHttpWait wait = esx_wait(call);
    GError *error = NULL;

    if (!machine)
        return VIREO_FAIL;
    if (args->screen)
        return host->fail(call, VIREO_ERR_INVALID_ARG, "domain '%s' has no screen %u: there is 0", args->dom.name, args->screen);
    g_autofree char *id = g_uri_escape_string(machine->value, NULL, FALSE);
    g_autofree char *url = g_strdup_printf("/screen?id=%s", id);
    int file = memfd_create("screenshot", MFD_CLOEXEC);
    VireoHttpTransfer get = { .method = "GET", .path = url, .sink = to_file, .opaque = &file };
    if (file < 0)
        return host->fail(call, VIREO_ERR_SYSTEM_ERROR, "cannot keep the image: %s", g_strerror(errno));
    if (!move(conn->server, &get, &wait, &error)) {
        close(file);
        return esx_fail(conn->driver, call, error);
    }
    ret->mime = host->strdup(call, "image/png");
    return host->stream(call, file, VIREO_STREAM_FROM_FD, 0, 0);
}
