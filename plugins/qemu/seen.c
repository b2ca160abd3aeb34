/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "seen.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#define XFS_MAGIC 0x58465342
#define ZFS_MAGIC 0x2fc12fc1
#define BCACHEFS_MAGIC 0xca451a4e
#define FILES_MAX 100000 /* then it begins anew */
/* The clock of changes ticks every 10 ms at worst; the rest is for data on its way after that was read. */
#define MOMENT_NS (G_GINT64_CONSTANT(200) * 1000 * 1000)
#define WHOLE_SECONDS_NS (G_GINT64_CONSTANT(2500) * 1000 * 1000) /* where it counts only these, two at a time */

typedef struct {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed, written;
    QemuImageInfo *info;
} Entry;

struct QemuSeen {
    GMutex lock;
    GHashTable *entries; /* path -> Entry */
};

static void entry_free(gpointer opaque)
{
    Entry *entry = opaque;

    qemu_image_info_free(entry->info);
    g_free(entry);
}

QemuSeen *qemu_seen_new(void)
{
    QemuSeen *seen = g_new0(QemuSeen, 1);

    g_mutex_init(&seen->lock);
    seen->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
    return seen;
}

void qemu_seen_free(QemuSeen *seen)
{
    if (!seen)
        return;
    g_hash_table_unref(seen->entries);
    g_mutex_clear(&seen->lock);
    g_free(seen);
}

static gboolean same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static gboolean is_of(const Entry *entry, const struct stat *st)
{
    return entry->dev == st->st_dev && entry->ino == st->st_ino && entry->size == st->st_size &&
           same_time(&entry->changed, &st->st_ctim) && same_time(&entry->written, &st->st_mtim);
}

QemuImageInfo *qemu_seen_find(QemuSeen *seen, const char *path, const struct stat *st)
{
    QemuImageInfo *info = NULL;

    g_mutex_lock(&seen->lock);
    const Entry *entry = g_hash_table_lookup(seen->entries, path);
    if (entry && is_of(entry, st))
        info = qemu_image_info_ref(entry->info);
    else if (entry)
        g_hash_table_remove(seen->entries, path);
    g_mutex_unlock(&seen->lock);
    return info;
}

static gboolean tells_changes(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return FALSE;
    switch ((guint32)fs.f_type) {
    case EXT4_SUPER_MAGIC: /* and ext2, ext3 */
    case XFS_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case ZFS_MAGIC:
    case BCACHEFS_MAGIC:
        return TRUE;
    default:
        return FALSE;
    }
}

/* Long enough before now, by the clock that stamps are taken from. */
static gboolean is_past(const struct timespec *at)
{
    gint64 age = g_get_real_time() * 1000 - ((gint64)at->tv_sec * 1000000000 + at->tv_nsec);

    return age > (at->tv_nsec ? MOMENT_NS : WHOLE_SECONDS_NS);
}

void qemu_seen_note(QemuSeen *seen, const char *path, int fd, const struct stat *st, QemuImageInfo *info)
{
    Entry *entry;

    if (!S_ISREG(st->st_mode) || !is_past(&st->st_ctim) || !is_past(&st->st_mtim) || !tells_changes(fd))
        return;
    entry = g_new0(Entry, 1);
    *entry = (Entry){ st->st_dev, st->st_ino, st->st_size, st->st_ctim, st->st_mtim, qemu_image_info_ref(info) };
    g_mutex_lock(&seen->lock);
    if (g_hash_table_size(seen->entries) >= FILES_MAX)
        g_hash_table_remove_all(seen->entries);
    g_hash_table_insert(seen->entries, g_strdup(path), entry);
    g_mutex_unlock(&seen->lock);
}

guint qemu_seen_count(QemuSeen *seen)
{
    g_mutex_lock(&seen->lock);
    guint count = g_hash_table_size(seen->entries);
    g_mutex_unlock(&seen->lock);
    return count;
}
