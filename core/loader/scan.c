/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

gboolean vireo_file_mark_equal(const VireoFileMark *a, const VireoFileMark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified == b->modified && a->changed == b->changed;
}

static void mark_file(VireoFileMark *mark, const struct stat *st)
{
    mark->device = st->st_dev;
    mark->inode = st->st_ino;
    mark->size = (guint64)st->st_size;
    mark->modified = st->st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + st->st_mtim.tv_nsec;
    mark->changed = st->st_ctim.tv_sec * G_GINT64_CONSTANT(1000000000) + st->st_ctim.tv_nsec;
}

gboolean vireo_scan_unchanged(const char *path, const VireoFileMark *mark)
{
    VireoFileMark now;
    struct stat st;

    if (lstat(path, &st) < 0)
        return FALSE;
    mark_file(&now, &st);
    return vireo_file_mark_equal(&now, mark);
}

static void entry_free(gpointer data)
{
    VireoScanEntry *entry = data;

    if (entry->fd >= 0)
        close(entry->fd);
    g_free(entry->path);
    g_free(entry->refused);
    g_free(entry);
}

void vireo_scan_free(VireoScan *scan)
{
    if (!scan)
        return;
    g_free(scan->dir);
    g_free(scan->trouble);
    g_ptr_array_unref(scan->entries);
    g_free(scan);
}

uid_t vireo_scan_default_owner(void)
{
    struct stat st;

    return stat("/proc/self/exe", &st) == 0 ? st.st_uid : geteuid();
}

/* Why somebody else could change a file or directory; NULL when nobody can. */
static char *untrusted(const struct stat *st, uid_t owner, gboolean sticky_serves)
{
    guint mode = st->st_mode & 07777;

    if (st->st_uid != 0 && st->st_uid != owner) {
        if (owner == 0)
            return g_strdup_printf("owned by user %u, not by root", (guint)st->st_uid);
        return g_strdup_printf("owned by user %u, not by root or user %u", (guint)st->st_uid,
                               (guint)owner);
    }
    if (sticky_serves && (mode & S_ISVTX))
        return NULL;
    if (mode & S_IWOTH)
        return g_strdup_printf("anybody may write to it (mode %04o)", mode);
    if (mode & S_IWGRP)
        return g_strdup_printf("its group may write to it (mode %04o)", mode);
    return NULL;
}

/* The same for a directory and those above it. */
static char *untrusted_dir(const char *real, uid_t owner)
{
    g_autofree char *at = g_strdup(real);

    for (;;) {
        gboolean top = strcmp(at, "/") == 0;
        g_autofree char *why = NULL;
        struct stat st;
        char *slash;

        if (stat(at, &st) < 0)
            return g_strdup_printf("directory %s: %s", at, g_strerror(errno));
        why = untrusted(&st, owner, strcmp(at, real) != 0);
        if (why)
            return g_strdup_printf("directory %s: %s", at, why);
        if (top)
            return NULL;
        slash = strrchr(at, '/');
        slash[slash == at ? 1 : 0] = '\0';
    }
}

static void examine(VireoScanEntry *entry, uid_t owner)
{
    g_autofree char *why = NULL;
    struct stat st;

    if (lstat(entry->path, &st) < 0) {
        entry->refused = g_strdup(g_strerror(errno));
        return;
    }
    mark_file(&entry->mark, &st);
    if (S_ISLNK(st.st_mode)) {
        entry->refused = g_strdup("a symbolic link; a module must be a regular file");
        return;
    }
    if (!S_ISREG(st.st_mode)) {
        entry->refused = g_strdup("not a regular file");
        return;
    }
    entry->fd = open(entry->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (entry->fd < 0 || fstat(entry->fd, &st) < 0) {
        entry->refused = g_strdup_printf("cannot be opened: %s", g_strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        entry->refused = g_strdup("not a regular file");
    } else {
        mark_file(&entry->mark, &st);
        entry->refused = untrusted(&st, owner, FALSE);
    }
    if (entry->refused && entry->fd >= 0) {
        close(entry->fd);
        entry->fd = -1;
    }
}

static gint by_path(gconstpointer a, gconstpointer b)
{
    const VireoScanEntry *const *left = a;
    const VireoScanEntry *const *right = b;

    return strcmp((*left)->path, (*right)->path);
}

static void read_names(VireoScan *scan, const char *real, GDir *open_dir)
{
    const char *name;

    while ((name = g_dir_read_name(open_dir))) {
        VireoScanEntry *entry;

        if (*name == '.' || !g_str_has_suffix(name, ".so"))
            continue;
        entry = g_new0(VireoScanEntry, 1);
        entry->fd = -1;
        entry->path = g_build_filename(real, name, NULL);
        g_ptr_array_add(scan->entries, entry);
    }
    g_ptr_array_sort(scan->entries, by_path);
}

VireoScan *vireo_scan_dir(const char *dir, uid_t owner)
{
    VireoScan *scan = g_new0(VireoScan, 1);
    g_autofree char *real = NULL;
    GDir *open_dir;

    scan->dir = g_strdup(dir);
    scan->entries = g_ptr_array_new_with_free_func(entry_free);
    real = realpath(dir, NULL);
    if (!real) {
        scan->trouble = g_strdup(errno == ENOENT ? "no such directory" : g_strerror(errno));
        return scan;
    }
    open_dir = g_dir_open(real, 0, NULL);
    if (!open_dir) {
        scan->trouble = g_strdup_printf("cannot be read: %s", g_strerror(errno));
        return scan;
    }
    read_names(scan, real, open_dir);
    g_dir_close(open_dir);
    scan->trouble = untrusted_dir(real, owner);
    scan->insecure = scan->trouble != NULL;
    for (guint i = 0; i < scan->entries->len; i++) {
        VireoScanEntry *entry = g_ptr_array_index(scan->entries, i);

        examine(entry, owner);
        if (scan->insecure && entry->fd >= 0) {
            close(entry->fd);
            entry->fd = -1;
            entry->refused = g_strdup(scan->trouble);
        }
    }
    if (!scan->trouble && scan->entries->len == 0)
        scan->trouble = g_strdup("holds no driver module");
    return scan;
}
