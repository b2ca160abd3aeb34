/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/json.h"

#define MAGIC "vireo-lxc-save-1"
#define HEAD_MAX (8u * 1024 * 1024)
#define CHUNK (256u * 1024)

struct LxcSaved {
    int fd;
    char *path, *xml;
    JsonObject *head;
    guint64 offset, size; /* where the first file begins; of all */
};

static gboolean fail_errno(GError **error, const char *what, const char *path)
{
    lxc_error(error, VIREO_ERR_SYSTEM_ERROR, "%s %s: %s", what, path, g_strerror(errno));
    return FALSE;
}

static gboolean write_all(int fd, const char *bytes, gsize n)
{
    while (n > 0) {
        gssize done = write(fd, bytes, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return FALSE;
        bytes += done;
        n -= (gsize)done;
    }
    return TRUE;
}

/* n bytes from where both are. */
static gboolean copy(int from, const char *from_path, int to, const char *to_path, guint64 n, GError **error)
{
    g_autofree char *chunk = g_malloc(CHUNK);

    while (n > 0) {
        gssize got = read(from, chunk, MIN(n, CHUNK));

        if (got == 0)
            errno = ENODATA;
        if (got <= 0)
            return fail_errno(error, "cannot read", from_path);
        if (!write_all(to, chunk, (gsize)got))
            return fail_errno(error, "cannot write", to_path);
        n -= (guint64)got;
    }
    return TRUE;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static JsonArray *list(const char *images)
{
    g_autoptr(GDir) dir = g_dir_open(images, 0, NULL);
    g_autoptr(JsonArray) files = json_array_new();
    struct stat info;
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(images, name, NULL);

        if (!g_str_has_suffix(name, ".log") && lstat(path, &info) == 0 && S_ISREG(info.st_mode))
            json_array_add_object_element(files, vireo_json_new('s', "name", name, 'i', "size", (gint64)info.st_size, 0));
    }
    return g_steal_pointer(&files);
}

static gboolean add_files(int fd, const char *path, const char *images, JsonArray *files, GError **error)
{
    for (guint i = 0; i < vireo_json_length(files); i++) {
        JsonObject *file = vireo_json_element(files, i);
        g_autofree char *from = g_build_filename(images, vireo_json_string(file, "name"), NULL);
        int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        if (in < 0)
            return fail_errno(error, "cannot read", from);
        gboolean copied = copy(in, from, fd, path, (guint64)vireo_json_int(file, "size", 0), error);
        close(in);
        if (!copied)
            return FALSE;
    }
    return TRUE;
}

gboolean lxc_saved_write(const char *path, const char *images, const char *xml, gboolean running, GError **error)
{
    g_autofree char *temp = g_strconcat(path, ".partial", NULL);
    JsonArray *files = list(images);
    g_autoptr(JsonObject) head = vireo_json_new('s', "format", MAGIC, 'b', "running", running, 'i', "xml",
                                                (gint64)strlen(xml), 'a', "files", files, 0);
    g_autofree char *line = vireo_json_text(head), *text = g_strconcat(line, "\n", xml, NULL);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return fail_errno(error, "cannot create", temp);
    gboolean written = (write_all(fd, text, strlen(text)) || fail_errno(error, "cannot write", temp)) &&
                       add_files(fd, temp, images, files, error) &&
                       ((fsync(fd) == 0 && rename(temp, path) == 0) || fail_errno(error, "cannot write", path));
    close(fd);
    if (!written)
        unlink(temp);
    return written;
}

/* ---- reading ----------------------------------------------------------------------------------- */

void lxc_saved_close(LxcSaved *saved)
{
    if (!saved)
        return;
    if (saved->fd >= 0)
        close(saved->fd);
    g_clear_pointer(&saved->head, json_object_unref);
    g_free(saved->path);
    g_free(saved->xml);
    g_free(saved);
}

/* Whether the files that the head tells of are all there, and nothing else. */
static gboolean whole(const LxcSaved *saved)
{
    JsonArray *files = vireo_json_array(saved->head, "files");
    guint64 left = saved->size - saved->offset;

    for (guint i = 0; i < vireo_json_length(files); i++) {
        JsonObject *file = vireo_json_element(files, i);
        const char *name = vireo_json_string(file, "name");
        gint64 size = vireo_json_int(file, "size", -1);

        if (!name || !*name || *name == '.' || strchr(name, '/') || size < 0 || (guint64)size > left)
            return FALSE;
        left -= (guint64)size;
    }
    return vireo_json_length(files) > 0 && left == 0;
}

static gboolean read_head(LxcSaved *saved)
{
    g_autofree char *text = g_malloc0(HEAD_MAX + 1);
    gssize got = pread(saved->fd, text, HEAD_MAX, 0);
    char *end = got > 0 && *text == '{' ? memchr(text, '\n', (gsize)got) : NULL;

    saved->head = end ? vireo_json_parse(text, end - text, NULL) : NULL;
    gint64 len = vireo_json_int(saved->head, "xml", -1);
    if (!saved->head || g_strcmp0(vireo_json_string(saved->head, "format"), MAGIC) || len <= 0 ||
        len > got - (end + 1 - text))
        return FALSE;
    saved->xml = g_strndup(end + 1, (gsize)len);
    saved->offset = (guint64)(end + 1 - text) + (guint64)len;
    return whole(saved);
}

LxcSaved *lxc_saved_open(const char *path, GError **error)
{
    g_autoptr(LxcSaved) saved = g_new0(LxcSaved, 1);
    struct stat info;

    saved->path = g_strdup(path);
    saved->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (saved->fd < 0 || fstat(saved->fd, &info) < 0) {
        fail_errno(error, "cannot open", path);
        return NULL;
    }
    saved->size = (guint64)info.st_size;
    if (S_ISREG(info.st_mode) && read_head(saved))
        return g_steal_pointer(&saved);
    lxc_error(error, VIREO_ERR_OPERATION_FAILED, "%s is not a saved container, or not all of one", path);
    return NULL;
}

const char *lxc_saved_xml(const LxcSaved *saved)
{
    return saved->xml;
}

gboolean lxc_saved_running(const LxcSaved *saved)
{
    return vireo_json_bool(saved->head, "running");
}

gboolean lxc_saved_unpack(LxcSaved *saved, const char *images, GError **error)
{
    JsonArray *files = vireo_json_array(saved->head, "files");

    /* Read by the root of the container, who may be somebody else here; above is a directory that is closed to all. */
    if (mkdir(images, 0755) < 0 || chmod(images, 0755) < 0)
        return fail_errno(error, "cannot make", images);
    if (lseek(saved->fd, (off_t)saved->offset, SEEK_SET) < 0)
        return fail_errno(error, "cannot read", saved->path);
    for (guint i = 0; i < vireo_json_length(files); i++) {
        JsonObject *file = vireo_json_element(files, i);
        g_autofree char *to = g_build_filename(images, vireo_json_string(file, "name"), NULL);
        int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (out < 0 || fchmod(out, 0644) < 0) {
            fail_errno(error, "cannot create", to);
            if (out >= 0)
                close(out);
            return FALSE;
        }
        gboolean copied = copy(saved->fd, saved->path, out, to, (guint64)vireo_json_int(file, "size", 0), error);
        close(out);
        if (!copied)
            return FALSE;
    }
    return TRUE;
}

void lxc_saved_remove_images(const char *images)
{
    g_autoptr(GDir) dir = g_dir_open(images, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(images, name, NULL);

        unlink(path);
    }
    if (dir)
        rmdir(images);
}
