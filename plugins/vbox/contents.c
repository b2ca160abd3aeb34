/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in a volume, as a machine sees it: VirtualBox reads and writes its own formats. A stream's own thread moves the
 * bytes, and neither side is answered before the other has said that all is well. */
#include "ops.h"

#include <string.h>

#define PIECE (256u << 10) /* more VirtualBox does not read at once */

typedef struct {
    VboxServer *server;
    VireoFeed *feed;
    char *disk; /* VirtualBox's object for reading and writing */
    guint64 at, end;
    gboolean writes, sparse;
} Transfer;

/* ---- one piece ------------------------------------------------------------------------------- */

/* Caller frees; never NULL without an error. */
static guint8 *read_piece(VboxTalk *talk, const char *disk, guint64 at, gsize len)
{
    const char *text =
        VBOX_CALL(talk, i_medium_io_read, ._this = disk, .offset = (gint64)at, .size = (guint)len)->returnval;
    gsize got;
    g_autofree guint8 *data = g_base64_decode(text, &got);

    if (!talk->error && got == len)
        return g_steal_pointer(&data);
    vbox_talk_refuse(talk, VIREO_ERR_OPERATION_FAILED, "VirtualBox reads %zu bytes where it should %zu", got, len);
    return NULL;
}

static void write_piece(VboxTalk *talk, const char *disk, guint64 at, const guint8 *data, gsize len)
{
    for (guint n; len && !talk->error; data += n, at += n, len -= n) {
        g_autofree char *text = g_base64_encode(data, len);

        n = VBOX_CALL(talk, i_medium_io_write, ._this = disk, .offset = (gint64)at, .data = text)->returnval;
        if (n == 0 || n > len)
            vbox_talk_refuse(talk, VIREO_ERR_OPERATION_FAILED, "VirtualBox writes %u bytes of %zu", n, len);
        n = (guint)MIN(n, len);
    }
}

static gboolean is_zero(const guint8 *data, gsize len)
{
    return !*data && memcmp(data, data + 1, len - 1) == 0;
}

/* Nothing of the pieces before is kept: a volume may be larger than memory. */
static gboolean to_client(Transfer *transfer, const VireoHttpWait *wait, gsize len, GError **error)
{
    VboxTalk talk;

    vbox_talk_begin(&talk, transfer->server, wait);
    g_autofree guint8 *data = read_piece(&talk, transfer->disk, transfer->at, len);
    if (!vbox_talk_end(&talk, error))
        return FALSE;
    return transfer->sparse && is_zero(data, len) ? vireo_feed_send_hole(transfer->feed, len, error)
                                                  : vireo_feed_send(transfer->feed, data, len, error);
}

static gboolean to_server(Transfer *transfer, const VireoHttpWait *wait, const guint8 *data, gsize len, GError **error)
{
    VboxTalk talk;

    vbox_talk_begin(&talk, transfer->server, wait);
    write_piece(&talk, transfer->disk, transfer->at, data, len);
    return vbox_talk_end(&talk, error);
}

/* ---- a stream ---------------------------------------------------------------------------------- */

static gboolean download(Transfer *transfer, const VireoHttpWait *wait, GError **error)
{
    for (gsize len; transfer->at < transfer->end; transfer->at += len) {
        len = (gsize)MIN(PIECE, transfer->end - transfer->at);
        if (!to_client(transfer, wait, len, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean upload(Transfer *transfer, const VireoHttpWait *wait, GError **error)
{
    g_autofree guint8 *data = g_malloc(PIECE);
    gssize n;

    do {
        gsize len = 0;

        while ((n = vireo_feed_receive(transfer->feed, data + len, PIECE - len, error)) > 0 && (len += (gsize)n) < PIECE)
            ;
        if (n >= 0 && len > transfer->end - transfer->at) {
            g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "more was sent than there is room for");
            return FALSE;
        }
        if (n < 0 || !to_server(transfer, wait, data, len, error))
            return FALSE;
        transfer->at += len;
    } while (n > 0);
    return TRUE;
}

static int client_has_gone(void *opaque)
{
    return vireo_feed_is_broken(((Transfer *)opaque)->feed);
}

/* Until then the medium is locked. */
static gboolean close_disk(VboxServer *server, const char *disk, GError **error)
{
    VireoHttpWait wait = {.timeout_ms = 20000};
    VboxTalk talk;

    vbox_talk_begin(&talk, server, &wait);
    VBOX_CALL(&talk, i_medium_io_close, ._this = disk);
    vbox_talk_take(&talk, disk);
    return vbox_talk_end(&talk, error);
}

static int transfer_move(VireoFeed *feed, void *opaque, char **text)
{
    Transfer *transfer = opaque;
    VireoHttpWait wait = {.cancellable = transfer->server->stop, .cancelled = client_has_gone, .opaque = transfer};
    g_autoptr(GError) error = NULL;

    transfer->feed = feed;
    gboolean good = transfer->writes ? upload(transfer, &wait, &error) : download(transfer, &wait, &error);
    good &= close_disk(transfer->server, transfer->disk, good ? &error : NULL);
    g_clear_pointer(&transfer->disk, g_free);
    if (good)
        return 0;
    int code = vbox_error_number(&error);
    *text = g_strdup(error->message);
    return code;
}

static void transfer_free(void *opaque)
{
    Transfer *transfer = opaque;

    if (transfer->disk && *transfer->disk)
        close_disk(transfer->server, transfer->disk, NULL);
    g_free(transfer->disk);
    g_free(transfer);
}

static const VireoFeedWork work = {.move = transfer_move, .free = transfer_free};

/* ---- the calls ----------------------------------------------------------------------------------- */

/* VirtualBox's object for it; "" and an error otherwise. What is written below snapshots would change them all. */
static const char *open_disk(VboxTalk *talk, const vireo_storage_vol_ref *vol, gboolean writable, guint64 *size)
{
    const char *medium = vbox_volume_medium(talk, vol);
    VwMediumState state = VBOX_GET(talk, i_medium_refresh_state, medium);

    *size = (guint64)VBOX_GET(talk, i_medium_get_logical_size, medium);
    if (writable && VBOX_CALL(talk, i_medium_get_children, ._this = medium)->returnval.n)
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID,
                         "volume '%s' is what the disks of snapshots are made of: it can only be read", vol->name);
    if (state == VW_MEDIUM_STATE_LOCKED_WRITE || (writable && state == VW_MEDIUM_STATE_LOCKED_READ))
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID, "volume '%s' is in use just now", vol->name);
    return VBOX_CALL(talk, i_medium_open_for_io, ._this = medium, .writable = writable, .password = "")->returnval;
}

/* length 0: to the end. */
static int begin(VboxConn *conn, vireo_call *call, const vireo_storage_vol_ref *vol, guint64 offset, guint64 length,
                 gboolean writes, gboolean sparse)
{
    guint64 size = 0;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const char *disk = open_disk(&talk, vol, writes, &size);
    if (!talk.error && (offset > size || length > size - offset))
        vbox_talk_refuse(&talk, VIREO_ERR_INVALID_ARG, "volume '%s' has %" G_GUINT64_FORMAT " bytes", vol->name, size);
    Transfer *transfer = g_new(Transfer, 1);
    *transfer = (Transfer){.server = conn->server,
                           .disk = g_strdup(disk),
                           .at = offset,
                           .end = length ? offset + length : size,
                           .writes = writes,
                           .sparse = sparse};
    int how = (sparse ? VIREO_STREAM_SPARSE : 0) | (writes ? VIREO_STREAM_TO_FD : VIREO_STREAM_FROM_FD);
    int status = vbox_talk_finish(&talk, call);
    if (status == VIREO_OK)
        return vireo_feeds_start(conn->server->transfers, conn->driver->host, call, how, &work, transfer);
    transfer_free(transfer);
    return status;
}

int vbox_storage_vol_download(void *handle, vireo_call *call, const vireo_storage_vol_download_args *args)
{
    return begin(handle, call, &args->vol, args->offset, args->length, FALSE,
                 (args->flags & VIREO_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM) != 0);
}

int vbox_storage_vol_upload(void *handle, vireo_call *call, const vireo_storage_vol_upload_args *args)
{
    return begin(handle, call, &args->vol, args->offset, args->length, TRUE,
                 (args->flags & VIREO_STORAGE_VOL_UPLOAD_SPARSE_STREAM) != 0);
}

/* ---- wipe ------------------------------------------------------------------------------------------ */

/* What is read as zeros is not in the file, or is zeros there: the file does not grow. */
static gboolean wipe_piece(VboxConn *conn, vireo_call *call, const char *disk, guint64 at, gsize len, GError **error)
{
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    g_autofree guint8 *data = read_piece(&talk, disk, at, len);
    if (data && !is_zero(data, len)) {
        memset(data, 0, len);
        write_piece(&talk, disk, at, data, len);
    }
    return vbox_talk_end(&talk, error);
}

static int wipe(VboxConn *conn, vireo_call *call, const vireo_storage_vol_ref *vol)
{
    const struct vireo_host *host = conn->driver->host;
    GError *error = NULL;
    guint64 size = 0;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    g_autofree char *disk = g_strdup(open_disk(&talk, vol, TRUE, &size));
    if (!vbox_talk_end(&talk, &error))
        return vbox_fail(conn->driver, call, error);
    for (guint64 at = 0; at < size && !error; at += PIECE) {
        wipe_piece(conn, call, disk, at, (gsize)MIN(PIECE, size - at), &error);
        host->progress(call, at, size, "wipe");
    }
    close_disk(conn->server, disk, error ? NULL : &error);
    return error ? vbox_fail(conn->driver, call, error) : VIREO_OK;
}

int vbox_storage_vol_wipe(void *handle, vireo_call *call, const vireo_storage_vol_wipe_args *args)
{
    return wipe(handle, call, &args->vol);
}

int vbox_storage_vol_wipe_pattern(void *handle, vireo_call *call, const vireo_storage_vol_wipe_pattern_args *args)
{
    VboxConn *conn = handle;

    if (args->algorithm != VIREO_STORAGE_VOL_WIPE_ALG_ZERO)
        return conn->driver->host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED,
                                        "volumes are wiped with zeros (algorithm 'zero'), once");
    return wipe(conn, call, &args->vol);
}
