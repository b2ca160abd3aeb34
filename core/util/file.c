/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINKS_MAX 40

static gboolean file_error(GError **error, const char *what, const char *path)
{
    int saved = errno;

    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(saved), "cannot %s %s: %s", what, path,
                g_strerror(saved));
    errno = saved;
    return FALSE;
}

static int fd_error(GError **error, const char *path)
{
    file_error(error, "open", path);
    return -1;
}

static void fd_close(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}
#define autofd __attribute__((cleanup(fd_close))) int

static gboolean sync_parent(const char *path, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(path);
    autofd fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return file_error(error, "sync", parent);
    return TRUE;
}

static gboolean write_all(int fd, const char *data, gsize len)
{
    while (len) {
        ssize_t put = write(fd, data, len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return FALSE;
        data += put;
        len -= (gsize)put;
    }
    return TRUE;
}

static gboolean drop_temporary(const char *temp, const char *what, const char *path, GError **error)
{
    int saved = errno;

    unlink(temp);
    errno = saved;
    return file_error(error, what, path);
}

gboolean vireo_file_write(const char *path, const void *data, gsize len, mode_t mode,
                          GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *temp = g_build_filename(folder, ".writing-XXXXXX", NULL);
    autofd fd = g_mkstemp_full(temp, O_WRONLY | O_CLOEXEC, 0600);

    if (fd < 0)
        return file_error(error, "create", temp);
    if (!write_all(fd, data, len) || fchmod(fd, mode) < 0 || fsync(fd) < 0)
        return drop_temporary(temp, "write", path, error);
    if (rename(temp, path) < 0)
        return drop_temporary(temp, "replace", path, error);
    return sync_parent(path, error);
}

gboolean vireo_file_remove(const char *path, GError **error)
{
    if (unlink(path) < 0)
        return errno == ENOENT ? TRUE : file_error(error, "remove", path);
    return sync_parent(path, error);
}

gboolean vireo_file_read(const char *path, gsize max, char **data, gsize *len, GError **error)
{
    autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return file_error(error, "open", path);
    if (!S_ISREG(st.st_mode)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s is not a regular file", path);
        return FALSE;
    }
    /* Files below /sys and /proc do not know their size: read until the end, within the limit. */
    g_autoptr(GByteArray) content = g_byte_array_new();
    guint8 buffer[16384];
    for (;;) {
        ssize_t got = read(fd, buffer, sizeof buffer);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return file_error(error, "read", path);
        if (!got)
            break;
        g_byte_array_append(content, buffer, (guint)got);
        if (content->len > max) {
            g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                        "%s is larger than the %" G_GSIZE_FORMAT " bytes allowed", path, max);
            return FALSE;
        }
    }
    if (len)
        *len = content->len;
    g_byte_array_append(content, (const guint8 *)"", 1);
    *data = (char *)g_byte_array_free(g_steal_pointer(&content), FALSE);
    return TRUE;
}

gboolean vireo_file_mkdir(const char *path, mode_t mode, GError **error)
{
    if (g_mkdir_with_parents(path, (int)mode) < 0)
        return file_error(error, "create directory", path);
    return TRUE;
}

/* ---- trusted walk -------------------------------------------------------------- */

static gboolean owner_trusted(const struct stat *st)
{
    return st->st_uid == 0 || st->st_uid == geteuid();
}

/* Nobody else can put another entry in the place of this one. In a sticky directory others may
 * only add names, and an entry that is owned by a trusted user stays. */
static gboolean link_trusted(const struct stat *dir, const struct stat *entry)
{
    if (!owner_trusted(dir) || !owner_trusted(entry))
        return FALSE;
    return !(dir->st_mode & (S_IWGRP | S_IWOTH)) || (dir->st_mode & S_ISVTX);
}

/* Prepends the target of a link to what is left of the path. */
static gboolean take_link(int dirfd, const char *name, const char *shown, GString *rest,
                          gboolean *absolute, GError **error)
{
    struct stat dir, entry;
    char target[4096];

    if (fstat(dirfd, &dir) < 0 || fstatat(dirfd, name, &entry, AT_SYMLINK_NOFOLLOW) < 0)
        return file_error(error, "look at", shown);
    ssize_t len = readlinkat(dirfd, name, target, sizeof target - 1);
    if (len < 0)
        return file_error(error, "read link", shown);
    target[len] = 0;
    if (!link_trusted(&dir, &entry)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM,
                    "refusing to follow the symbolic link %s in %s: other users can change it",
                    name, shown);
        return FALSE;
    }
    *absolute = target[0] == '/';
    g_string_prepend(rest, "/");
    g_string_prepend(rest, target);
    return TRUE;
}

/* Cuts the first component off rest; NULL at the end. */
static char *next_component(GString *rest)
{
    gsize skip = strspn(rest->str, "/");

    g_string_erase(rest, 0, (gssize)skip);
    if (!rest->len)
        return NULL;
    gsize len = strcspn(rest->str, "/");
    char *name = g_strndup(rest->str, len);
    g_string_erase(rest, 0, (gssize)len);
    return name;
}

/* In one go, where there is no link to be looked at; -1: find out why. */
static int open_straight(const char *path, int flags)
{
    struct open_how how = {.flags = (guint64)(flags | O_CLOEXEC), .resolve = RESOLVE_NO_SYMLINKS};

    return g_path_is_absolute(path) ? (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how) : -1;
}

gboolean vireo_file_is_real(const char *path)
{
    for (const char *at = path; *at; at += strcspn(at, "/")) {
        gsize len = strcspn(++at, "/");

        if (at[-1] != '/' || len == 0 || (at[0] == '.' && (len == 1 || (len == 2 && at[1] == '.'))))
            return FALSE;
    }
    autofd fd = open_straight(path, O_PATH);
    return fd >= 0;
}

static int walk_trusted(const char *path, int flags, GError **error)
{
    g_autoptr(GString) rest = g_string_new(path);
    autofd at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int links = 0;

    if (!g_path_is_absolute(path)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s is not an absolute path", path);
        return -1;
    }
    for (;;) {
        g_autofree char *name = next_component(rest);
        gboolean last = name && strspn(rest->str, "/") == rest->len;
        gboolean absolute = FALSE;
        struct stat st;

        if (!name)
            break;
        autofd entry = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (entry < 0 || fstat(entry, &st) < 0)
            return fd_error(error, path);
        if (S_ISLNK(st.st_mode)) {
            if (++links > LINKS_MAX) {
                errno = ELOOP;
                return fd_error(error, path);
            }
            if (!take_link(at, name, path, rest, &absolute, error))
                return -1;
            if (absolute) {
                fd_close(&at);
                at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
            }
            continue;
        }
        if (last && !(flags & O_PATH)) {
            int fd = openat(at, name, (flags & ~O_CREAT) | O_NOFOLLOW | O_CLOEXEC);

            return fd >= 0 ? fd : fd_error(error, path);
        }
        fd_close(&at);
        at = entry;
        entry = -1;
    }
    int fd = at;
    at = -1;
    return fd;
}

int vireo_file_open_trusted(const char *path, int flags, GError **error)
{
    int fd = open_straight(path, flags & ~O_CREAT);

    return fd >= 0 ? fd : walk_trusted(path, flags, error);
}

gboolean vireo_file_set_owner(int fd, const char *shown, uid_t uid, gid_t gid, GError **error)
{
    if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
        return file_error(error, "change the owner of", shown);
    return TRUE;
}
