/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names that a container has chosen are looked up one by one, never through a link, and never more than a few directories
 * are open: what is in a container's root is not to be trusted. */
#include "snapshot_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "driver.h"

#define CHUNK (1u << 20)
#define SUBVOLUME_INODE 256
#define SPOT_SIZE (32 + 256)

static void fd_close(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    errno = saved;
}
#define autofd __attribute__((cleanup(fd_close))) int

static void dir_close(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}
#define autodir __attribute__((cleanup(dir_close))) DIR

static gboolean fail(GError **error, const char *what, const char *path)
{
    lxc_error(error, errno == ECANCELED ? VIREO_ERR_OPERATION_ABORTED : VIREO_ERR_SYSTEM_ERROR, "cannot %s %s: %s", what,
              path, g_strerror(errno));
    return FALSE;
}

/* A name in an open directory as a path, for calls that take no descriptor. Never through a link. */
static const char *spot(char buffer[SPOT_SIZE], int dir, const char *name)
{
    snprintf(buffer, SPOT_SIZE, "/proc/self/fd/%d/%s", dir, name);
    return buffer;
}

/* An own descriptor of an open directory, to read it with. */
static DIR *dir_of(int fd)
{
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own < 0 ? NULL : fdopendir(own);

    if (own >= 0 && !dir)
        close(own);
    return dir;
}

static const char *next_name(DIR *dir)
{
    struct dirent *entry;

    do {
        errno = 0;
        entry = readdir(dir);
    } while (entry && (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, "..")));
    return entry ? entry->d_name : NULL;
}

/* ---- btrfs --------------------------------------------------------------------- */

static gboolean is_subvolume(int fd)
{
    struct statfs system;
    struct stat info;

    return fstatfs(fd, &system) == 0 && system.f_type == BTRFS_SUPER_MAGIC && fstat(fd, &info) == 0 &&
           info.st_ino == SUBVOLUME_INODE;
}

/* A snapshot would have empty directories in their places. */
static gboolean holds_subvolumes(int fd)
{
    g_autofree struct btrfs_ioctl_get_subvol_rootref_args *refs = g_new0(struct btrfs_ioctl_get_subvol_rootref_args, 1);

    return ioctl(fd, BTRFS_IOC_GET_SUBVOL_ROOTREF, refs) < 0 || refs->num_items > 0;
}

/* FALSE: it has to be copied. */
static gboolean snapshot_subvolume(int from, const char *to)
{
    g_autofree char *folder = g_path_get_dirname(to), *name = g_path_get_basename(to);
    struct btrfs_ioctl_vol_args_v2 args = { .fd = from };
    autofd dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0 || !is_subvolume(from) || holds_subvolumes(from) || strlen(name) >= sizeof args.name)
        return FALSE;
    g_strlcpy(args.name, name, sizeof args.name);
    return ioctl(dir, BTRFS_IOC_SNAP_CREATE_V2, &args) == 0;
}

static gboolean remove_subvolume(int dir, const char *name)
{
    struct btrfs_ioctl_vol_args args = { 0 };

    if (strlen(name) >= sizeof args.name)
        return FALSE;
    g_strlcpy(args.name, name, sizeof args.name);
    return ioctl(dir, BTRFS_IOC_SNAP_DESTROY, &args) == 0;
}

/* ---- copying ------------------------------------------------------------------- */

typedef struct {
    const LxcCopy *copy;
    const char *shown;    /* for messages */
    int from, to;         /* the directories at the top */
    GPtrArray *dirs;      /* below them, "a/b"; parents first */
    GHashTable *linked;   /* "DEVICE:INODE" of files with several names -> the first one's path */
    gboolean shares;      /* files can share their blocks, as far as is known */
} Walk;

static gboolean copy_attributes(const char *from, const char *to)
{
    gssize size = llistxattr(from, NULL, 0);
    g_autofree char *names = size > 0 ? g_malloc((gsize)size) : NULL;

    if (size <= 0)
        return size == 0 || errno == ENOTSUP;
    size = llistxattr(from, names, (gsize)size);
    for (const char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
        gssize length = lgetxattr(from, name, NULL, 0);
        g_autofree char *value = g_malloc((gsize)MAX(length, 0) + 1);

        if (length >= 0)
            length = lgetxattr(from, name, value, (gsize)length);
        if (length < 0 && errno == ENODATA)
            continue;
        /* Labels are the host's to give. */
        if ((length < 0 || lsetxattr(to, name, value, (gsize)length, 0) < 0) && !g_str_equal(name, "security.selinux"))
            return FALSE;
    }
    return size >= 0;
}

/* In this order: who changes the owner loses capabilities and set-uid bits. */
static gboolean copy_metadata(int from, int to, const char *name, const struct stat *info)
{
    struct timespec times[] = { info->st_atim, info->st_mtim };
    char source[SPOT_SIZE], target[SPOT_SIZE];

    return fchownat(to, name, info->st_uid, info->st_gid, AT_SYMLINK_NOFOLLOW) == 0 &&
           copy_attributes(spot(source, from, name), spot(target, to, name)) &&
           (S_ISLNK(info->st_mode) || fchmodat(to, name, info->st_mode & 07777, 0) == 0) &&
           utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) == 0;
}

static gboolean stopped(const LxcCopy *copy)
{
    if (!copy || !copy->stop || !copy->stop(copy->opaque))
        return FALSE;
    errno = ECANCELED;
    return TRUE;
}

static gboolean copy_range(int from, int to, off_t at, off_t end, const LxcCopy *copy)
{
    g_autofree char *buffer = NULL;

    while (at < end) {
        off_t in = at, out = at;
        gsize want = (gsize)MIN(end - at, (off_t)CHUNK);
        gssize n = buffer ? -1 : copy_file_range(from, &in, to, &out, want, 0);

        if (stopped(copy))
            return FALSE;
        if (n < 0 && (buffer || errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
            if (!buffer)
                buffer = g_malloc(CHUNK);
            n = pread(from, buffer, want, at);
            for (gssize put = 0, done; n > 0 && put < n; put += done)
                if ((done = pwrite(to, buffer + put, (gsize)(n - put), at + put)) < 0)
                    return FALSE;
        }
        if (n < 0)
            return FALSE;
        if (n == 0) /* it has become shorter */
            return TRUE;
        at += n;
    }
    return TRUE;
}

static gboolean copy_content(Walk *walk, int from, int to, off_t size)
{
    if (walk->shares && ioctl(to, FICLONE, from) == 0)
        return TRUE;
    walk->shares = walk->shares && errno != EOPNOTSUPP && errno != EXDEV && errno != ENOTTY && errno != EINVAL;
    if (ftruncate(to, size) < 0)
        return FALSE;
    for (off_t at = 0; at < size;) {
        off_t begin = lseek(from, at, SEEK_DATA), end;

        if (begin < 0)
            return errno == ENXIO; /* a hole up to the end */
        if ((end = lseek(from, begin, SEEK_HOLE)) < 0 || !copy_range(from, to, begin, MIN(end, size), walk->copy))
            return FALSE;
        at = end;
    }
    return TRUE;
}

static gboolean copy_file(Walk *walk, int from, int to, const char *name)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    autofd in = openat(from, name, flags | O_NOATIME);
    struct stat info;

    if (in < 0 && errno == EPERM)
        in = openat(from, name, flags);
    autofd out = in < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return out >= 0 && fstat(in, &info) == 0 && copy_content(walk, in, out, info.st_size);
}

static gboolean copy_link(int from, int to, const char *name)
{
    char target[4097];
    gssize n = readlinkat(from, name, target, sizeof target - 1);

    if (n < 0)
        return FALSE;
    target[n] = '\0';
    return symlinkat(target, to, name) == 0;
}

/* One of several names of a file that is there already under another one. */
static gboolean is_linked(Walk *walk, int to, const char *name, const char *path, const struct stat *info)
{
    g_autofree char *key = NULL;

    if (info->st_nlink < 2 || S_ISDIR(info->st_mode))
        return FALSE;
    key = g_strdup_printf("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, (guint64)info->st_dev, (guint64)info->st_ino);
    const char *first = g_hash_table_lookup(walk->linked, key);
    if (first && linkat(walk->to, first, to, name, 0) == 0)
        return TRUE;
    g_hash_table_replace(walk->linked, g_steal_pointer(&key), g_strdup(path));
    return FALSE;
}

static gboolean is_mounted(int dir, const char *name)
{
    struct statx info;

    return statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &info) == 0 &&
           (info.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* A directory's metadata comes when nothing is put into it any more. path: below the top; taken. */
static gboolean copy_entry(Walk *walk, int from, int to, const char *name, char *taken)
{
    g_autofree char *path = taken;
    struct stat info;

    if (fstatat(from, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT;
    if (is_linked(walk, to, name, path, &info))
        return TRUE;
    switch (info.st_mode & S_IFMT) {
    case S_IFDIR:
        if (mkdirat(to, name, 0700) < 0)
            return FALSE;
        if (is_mounted(from, name))
            return copy_metadata(from, to, name, &info);
        g_ptr_array_add(walk->dirs, g_steal_pointer(&path));
        return TRUE;
    case S_IFREG:
        if (!copy_file(walk, from, to, name))
            return FALSE;
        break;
    case S_IFLNK:
        if (!copy_link(from, to, name))
            return FALSE;
        break;
    default:
        if (mknodat(to, name, (info.st_mode & S_IFMT) | 0600, info.st_rdev) < 0)
            return FALSE;
    }
    return copy_metadata(from, to, name, &info);
}

static int open_below(int top, const char *path)
{
    struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };

    return (int)syscall(SYS_openat2, top, path, &how, sizeof how);
}

static gboolean walk_failed(const Walk *walk, const char *dir, const char *name, GError **error)
{
    int saved = errno;
    g_autofree char *path = g_build_filename(walk->shown, dir, name, NULL);

    errno = saved;
    return fail(error, "copy", path);
}

static gboolean copy_dir(Walk *walk, const char *path, GError **error)
{
    autofd from = open_below(walk->from, path), to = from < 0 ? -1 : open_below(walk->to, path);
    autodir *dir = to < 0 ? NULL : dir_of(from);
    const char *name;

    if (!dir)
        return walk_failed(walk, path, NULL, error);
    while ((name = next_name(dir)))
        if (stopped(walk->copy) ||
            !copy_entry(walk, from, to, name, g_str_equal(path, ".") ? g_strdup(name) : g_strconcat(path, "/", name, NULL)))
            return walk_failed(walk, path, name, error);
    return errno == 0 || walk_failed(walk, path, NULL, error);
}

static gboolean finish_dir(Walk *walk, const char *path, GError **error)
{
    autofd from = open_below(walk->from, path), to = from < 0 ? -1 : open_below(walk->to, path);
    struct stat info;

    return (to >= 0 && fstat(from, &info) == 0 && copy_metadata(from, to, ".", &info)) ||
           walk_failed(walk, path, NULL, error);
}

static gboolean copy_tree(Walk *walk, GError **error)
{
    g_ptr_array_add(walk->dirs, g_strdup("."));
    for (guint i = 0; i < walk->dirs->len; i++)
        if (!copy_dir(walk, walk->dirs->pdata[i], error))
            return FALSE;
    for (guint i = walk->dirs->len; i-- > 0;)
        if (!finish_dir(walk, walk->dirs->pdata[i], error))
            return FALSE;
    return TRUE;
}

static gboolean copy_image(Walk *walk, const char *from, const char *to, GError **error)
{
    autofd in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    autofd out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct stat info;

    if (out >= 0 && fstat(in, &info) == 0 && copy_content(walk, in, out, info.st_size) &&
        fchown(out, info.st_uid, info.st_gid) == 0 && copy_attributes(from, to) && fchmod(out, info.st_mode & 07777) == 0)
        return TRUE;
    return fail(error, "copy", from);
}

static gboolean copy_any(Walk *walk, const char *from, const char *to, GError **error)
{
    struct stat info;

    if (stat(from, &info) < 0)
        return fail(error, "copy", from);
    if (S_ISREG(info.st_mode))
        return copy_image(walk, from, to, error);
    autofd source = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (source < 0)
        return fail(error, "copy", from);
    if (snapshot_subvolume(source, to))
        return TRUE;
    autofd target = mkdir(to, 0700) < 0 ? -1 : open(to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0)
        return fail(error, "create", to);
    walk->from = source;
    walk->to = target;
    return copy_tree(walk, error);
}

gboolean lxc_copy(const char *from, const char *to, const LxcCopy *copy, GError **error)
{
    g_autoptr(GPtrArray) dirs = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) linked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    Walk walk = { .copy = copy, .shown = from, .dirs = dirs, .linked = linked, .shares = TRUE };

    return copy_any(&walk, from, to, error);
}

gboolean lxc_flush(const char *path, GError **error)
{
    autofd fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    return (fd >= 0 && syncfs(fd) == 0) || fail(error, "write", path);
}

/* ---- removing ------------------------------------------------------------------ */

/* What a container has protected against changes is not protected against ours. Devices are not even opened. */
static void unprotect(int dir, const char *name)
{
    struct stat info;
    int flags;

    if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0 || !(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)))
        return;
    autofd fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL))) {
        flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
        ioctl(fd, FS_IOC_SETFLAGS, &flags);
    }
}

/* Out of the deep, next to what is removed already. */
static gboolean move_up(int dir, const char *name, int top)
{
    static gint number;

    for (;;) {
        char fresh[32];

        snprintf(fresh, sizeof fresh, ".vireo-%u", (guint)g_atomic_int_add(&number, 1));
        if (renameat2(dir, name, top, fresh, RENAME_NOREPLACE) == 0)
            return TRUE;
        if (errno != EEXIST)
            return FALSE;
    }
}

static gboolean remove_at(int dir, const char *name, GError **error);

/* A file, an empty directory, or else one that goes up to the top. */
static gboolean clear_entry(int dir, const char *name, int top)
{
    for (guint try = 0; try < 2; try++) {
        if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
            return TRUE;
        if (errno == EISDIR && (unlinkat(dir, name, AT_REMOVEDIR) == 0 || move_up(dir, name, top)))
            return TRUE;
        if (errno == EXDEV)
            return remove_at(dir, name, NULL);
        if (errno != EPERM)
            return FALSE;
        unprotect(dir, name);
        unprotect(dir, ".");
    }
    return FALSE;
}

/* One level: what is left of it is at the top. */
static gboolean clear_dir(int top, const char *name)
{
    autofd fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    autodir *dir = fd < 0 ? NULL : dir_of(fd);
    const char *entry;

    if (!dir)
        return FALSE;
    if (is_subvolume(fd))
        return remove_at(top, name, NULL);
    while ((entry = next_name(dir)))
        if (!clear_entry(fd, entry, top))
            return FALSE;
    return errno == 0 && unlinkat(top, name, AT_REMOVEDIR) == 0;
}

/* Everything in it, level by level, however deep it is. */
static gboolean clear_all(int top)
{
    for (;;) {
        autodir *dir = dir_of(top);
        const char *name;
        gboolean any = FALSE;

        while (dir && (name = next_name(dir))) {
            any = TRUE;
            if (unlinkat(top, name, 0) == 0 || errno == ENOENT)
                continue;
            unprotect(top, name);
            unprotect(top, ".");
            if (unlinkat(top, name, 0) < 0 && (errno != EISDIR || !clear_dir(top, name)))
                return FALSE;
        }
        if (!dir || errno || !any)
            return dir && !errno;
    }
}

static gboolean remove_at(int dir, const char *name, GError **error)
{
    char path[SPOT_SIZE];

    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return TRUE;
    unprotect(dir, name);
    if (unlinkat(dir, name, 0) == 0)
        return TRUE;
    autofd top = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top >= 0 && is_subvolume(top) && remove_subvolume(dir, name))
        return TRUE;
    return (top >= 0 && clear_all(top) && unlinkat(dir, name, AT_REMOVEDIR) == 0) ||
           fail(error, "remove", spot(path, dir, name));
}

gboolean lxc_remove(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path), *name = g_path_get_basename(path);
    g_autoptr(GError) failure = NULL;
    autofd dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0)
        return errno == ENOENT || fail(error, "remove", path);
    if (remove_at(dir, name, &failure))
        return TRUE;
    lxc_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot remove all of %s: %s", path, g_strerror(errno));
    return FALSE;
}
