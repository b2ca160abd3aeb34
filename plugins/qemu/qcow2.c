/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The little of the qcow2 format a manager must read itself: what an image is, what it is based on
 * and which snapshots it holds, without starting a program per image. */
#include "qcow2.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#define EXT_BACKING_FORMAT 0xe2792acau
#define SNAPSHOTS_MAX      65536u
#define SNAPSHOT_HEAD      40
#define L1_MAX             65536u
#define TABLE_OFFSET       0x00fffffffffffe00ull
#define TABLE_COPIED       (1ull << 63)
#define HEAD_WINDOW        4096u /* holds all of a header, as a rule */
#define WINDOW             65536u

static guint16 be16(const guint8 *at)
{
    return (guint16)(at[0] << 8 | at[1]);
}

static void snapshot_free(gpointer opaque)
{
    QemuImageSnapshot *snapshot = opaque;

    g_free(snapshot->id);
    g_free(snapshot->name);
    g_free(snapshot);
}

QemuImageInfo *qemu_image_info_new(void)
{
    QemuImageInfo *info = g_new0(QemuImageInfo, 1);

    info->refs = 1;
    info->snapshots = g_ptr_array_new_with_free_func(snapshot_free);
    return info;
}

QemuImageSnapshot *qemu_image_info_add(GPtrArray *snapshots, const char *id, const char *name)
{
    QemuImageSnapshot *snapshot = g_new0(QemuImageSnapshot, 1);

    snapshot->id = g_strdup(id);
    snapshot->name = g_strdup(name);
    g_ptr_array_add(snapshots, snapshot);
    return snapshot;
}

QemuImageInfo *qemu_image_info_ref(QemuImageInfo *info)
{
    g_atomic_int_inc(&info->refs);
    return info;
}

void qemu_image_info_free(QemuImageInfo *info)
{
    if (!info || !g_atomic_int_dec_and_test(&info->refs))
        return;
    g_free(info->backing);
    g_free(info->backing_format);
    g_ptr_array_unref(info->snapshots);
    g_free(info);
}

const QemuImageSnapshot *qemu_image_info_snapshot(const QemuImageInfo *info, const char *name)
{
    for (guint i = 0; i < info->snapshots->len; i++) {
        const QemuImageSnapshot *snapshot = info->snapshots->pdata[i];

        if (g_str_equal(snapshot->name, name))
            return snapshot;
    }
    return NULL;
}

gboolean qemu_image_info_misleads(const QemuImageInfo *info, const char *name)
{
    for (guint i = 0; i < info->snapshots->len; i++) {
        const QemuImageSnapshot *snapshot = info->snapshots->pdata[i];

        if (!g_strcmp0(snapshot->id, name) && !g_str_equal(snapshot->name, name))
            return TRUE;
    }
    return FALSE;
}

/* How much of it there is. */
static gsize read_some(int fd, guint64 offset, void *data, gsize len)
{
    gsize done = 0;

    while (done < len) {
        ssize_t got = pread(fd, (char *)data + done, len - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (gsize)got;
    }
    return done;
}

gboolean qemu_qcow2_read(int fd, guint64 offset, void *data, gsize len)
{
    return read_some(fd, offset, data, len) == len;
}

/* A file of which small pieces are read, most of them one behind the other. */
typedef struct {
    int fd;
    guint64 at; /* of the window */
    gsize have, room;
    guint8 *window;
} Pieces;

static void pieces_clear(Pieces *pieces)
{
    g_free(pieces->window);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pieces, pieces_clear)

static void move_window(Pieces *pieces, guint64 offset)
{
    gsize room = offset ? WINDOW : HEAD_WINDOW;

    if (room > pieces->room)
        pieces->window = g_realloc(pieces->window, pieces->room = room);
    pieces->at = offset;
    pieces->have = read_some(pieces->fd, offset, pieces->window, room);
}

static gboolean read_at(Pieces *pieces, guint64 offset, void *data, gsize len)
{
    if (len > HEAD_WINDOW)
        return qemu_qcow2_read(pieces->fd, offset, data, len);
    if (offset < pieces->at || offset - pieces->at + len > pieces->have)
        move_window(pieces, offset);
    if (len > pieces->have)
        return FALSE;
    memcpy(data, pieces->window + (offset - pieces->at), len);
    return TRUE;
}

static gboolean damaged(GError **error, const char *shown, const char *what)
{
    qemu_error(error, VIREO_ERR_OPERATION_FAILED, "image %s is damaged: %s", shown, what);
    return FALSE;
}

static gboolean read_backing(Pieces *pieces, const guint8 *head, guint32 head_len,
                             QemuImageInfo *info, const char *shown, GError **error)
{
    guint64 offset = qemu_qcow2_be64(head + 8), at = head_len;
    guint32 len = qemu_qcow2_be32(head + 16);
    guint8 ext[8];

    if (!offset)
        return TRUE;
    if (len == 0 || len > 1023)
        return damaged(error, shown, "the name of its backing file");
    info->backing = g_malloc0(len + 1);
    if (!read_at(pieces, offset, info->backing, len))
        return damaged(error, shown, "the name of its backing file");
    for (guint i = 0; i < 64 && at < offset && read_at(pieces, at, ext, sizeof ext); i++) {
        guint32 type = qemu_qcow2_be32(ext), size = qemu_qcow2_be32(ext + 4);

        if (!type)
            break;
        if (type == EXT_BACKING_FORMAT && size < 64) {
            info->backing_format = g_malloc0(size + 1);
            if (!read_at(pieces, at + 8, info->backing_format, size))
                return damaged(error, shown, "the format of its backing file");
        }
        at += 8 + (((guint64)size + 7) & ~7ull);
    }
    return TRUE;
}

static gboolean read_snapshots(Pieces *pieces, const guint8 *head, QemuImageInfo *info,
                               const char *shown, GError **error)
{
    guint32 count = qemu_qcow2_be32(head + 60);
    guint64 at = qemu_qcow2_be64(head + 64);

    if (count > SNAPSHOTS_MAX)
        return damaged(error, shown, "its snapshot table");
    for (guint32 i = 0; i < count; i++) {
        guint8 entry[SNAPSHOT_HEAD], extra[8] = {0};

        if (!read_at(pieces, at, entry, sizeof entry))
            return damaged(error, shown, "its snapshot table");
        guint32 id_len = be16(entry + 12), name_len = be16(entry + 14);
        guint32 extra_len = qemu_qcow2_be32(entry + 36);
        if (extra_len > 1024 ||
            (extra_len >= 8 && !read_at(pieces, at + SNAPSHOT_HEAD, extra, sizeof extra)))
            return damaged(error, shown, "its snapshot table");
        QemuImageSnapshot *snapshot = g_new0(QemuImageSnapshot, 1);
        snapshot->id = g_malloc0(id_len + 1u);
        snapshot->name = g_malloc0(name_len + 1u);
        snapshot->map_at = qemu_qcow2_be64(entry);
        snapshot->map_len = qemu_qcow2_be32(entry + 8);
        snapshot->has_vmstate = qemu_qcow2_be32(entry + 32) || qemu_qcow2_be64(extra);
        g_ptr_array_add(info->snapshots, snapshot);
        if ((id_len && !read_at(pieces, at + SNAPSHOT_HEAD + extra_len, snapshot->id, id_len)) ||
            (name_len && !read_at(pieces, at + SNAPSHOT_HEAD + extra_len + id_len, snapshot->name, name_len)))
            return damaged(error, shown, "its snapshot table");
        at += (SNAPSHOT_HEAD + extra_len + id_len + name_len + 7) & ~7ull;
    }
    return TRUE;
}

/* Where its clusters are: what lies behind the end of the file would be read as if it had never been written. *empty:
 * there are none; not said when it would take long to find out. */
static gboolean read_map(int fd, const guint8 *head, gboolean *empty, const char *shown, GError **error)
{
    guint32 count = qemu_qcow2_be32(head + 36);
    guint64 at = qemu_qcow2_be64(head + 40), len = count * sizeof(guint64);
    g_autofree guint64 *table = count <= L1_MAX ? g_new(guint64, count + 1) : NULL;

    *empty = FALSE;
    if (!table)
        return TRUE;
    if (!qemu_qcow2_read(fd, at, table, len))
        return damaged(error, shown, "it is cut off");
    guint64 size = (guint64)lseek(fd, 0, SEEK_END); /* now: a guest may make it longer */
    *empty = !qemu_qcow2_be32(head + 60);
    for (guint32 i = 0; i < count; i++) {
        *empty = *empty && !table[i];
        if ((GUINT64_FROM_BE(table[i]) & TABLE_OFFSET) >= size)
            return damaged(error, shown, "it is cut off");
    }
    return TRUE;
}

gboolean qemu_qcow2_is_shared(int fd, const QemuImageSnapshot *snapshot)
{
    guint8 head[72];

    if (!qemu_qcow2_read(fd, 0, head, sizeof head))
        return FALSE;
    guint32 count = MIN(qemu_qcow2_be32(head + 36), snapshot->map_len);
    g_autofree guint8 *now = g_malloc(count * 8ull + 1), *then = g_malloc(count * 8ull + 1);
    if (!qemu_qcow2_read(fd, qemu_qcow2_be64(head + 40), now, count * 8ull) ||
        !qemu_qcow2_read(fd, snapshot->map_at, then, count * 8ull))
        return FALSE;
    for (guint32 i = 0; i < count; i++) {
        guint64 entry = qemu_qcow2_be64(now + i * 8ull), place = entry & TABLE_OFFSET;

        if (place && (entry & TABLE_COPIED) && place == (qemu_qcow2_be64(then + i * 8ull) & TABLE_OFFSET))
            return TRUE;
    }
    return FALSE;
}

QemuImageInfo *qemu_image_info_raw(int fd, const char *shown, GError **error)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "image %s: %s", shown, g_strerror(errno));
        return NULL;
    }
    QemuImageInfo *info = qemu_image_info_new();
    info->virtual_size = (guint64)st.st_size;
    if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &info->virtual_size) < 0)
        info->virtual_size = 0;
    return info;
}

QemuImageInfo *qemu_image_info_read(int fd, const char *shown, gboolean snapshots, GError **error)
{
    g_auto(Pieces) pieces = { .fd = fd };
    g_autoptr(QemuImageInfo) info = qemu_image_info_raw(fd, shown, error);
    guint8 head[104] = { 0 };

    if (!info)
        return NULL;
    if (!read_at(&pieces, 0, head, 72) || qemu_qcow2_be32(head) != QCOW2_MAGIC ||
        qemu_qcow2_be32(head + 4) < 2)
        return g_steal_pointer(&info);
    guint32 head_len = 72;
    if (qemu_qcow2_be32(head + 4) >= 3 && read_at(&pieces, 72, head + 72, 32))
        head_len = qemu_qcow2_be32(head + 100);
    info->is_qcow2 = TRUE;
    info->virtual_size = qemu_qcow2_be64(head + 24);
    if (!read_backing(&pieces, head, head_len, info, shown, error))
        return NULL;
    if (snapshots && !read_snapshots(&pieces, head, info, shown, error))
        return NULL;
    if (snapshots && !read_map(fd, head, &info->is_empty, shown, error))
        return NULL;
    return g_steal_pointer(&info);
}
