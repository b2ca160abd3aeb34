/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest's state in a file: one line of JSON, the definition, then at the next page QEMU's
 * migration stream. The line says how long the file is, once it is whole; older files do not say. */
#include "save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain.h"
#include "engine.h"
#include "events.h"
#include "images.h"
#include "kit/file.h"
#include "ops.h"
#include "process.h"
#include "saving.h"

#define SAVE_MAGIC "vireo-save-1"
#define SAVE_ALIGN 4096u
#define HEAD_MAX (4u * 1024 * 1024 + 65536)
#define LINE_MAX_LEN 4096u
#define SIZE_ROOM 32 /* in the line, for the size */

typedef struct {
    gboolean running;
    char *xml;
    guint64 offset; /* of the stream */
} SaveHead;

static void save_head_free(SaveHead *head)
{
    g_free(head->xml);
    g_free(head);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SaveHead, save_head_free)

static guint64 stream_offset(gsize head)
{
    return (head + SAVE_ALIGN - 1) / SAVE_ALIGN * SAVE_ALIGN;
}

/* ---- writing ------------------------------------------------------------------- */

static gboolean write_head(int fd, const char *path, const char *xml, gboolean running,
                           GError **error)
{
    g_autoptr(JsonObject) head = vireo_json_new('s', "format", SAVE_MAGIC, 'b', "running", running,
                                                'i', "xml", (gint64)strlen(xml), 0);
    g_autofree char *line = vireo_json_text(head);
    g_autofree char *text = g_strdup_printf("%s%*s\n%s", line, SIZE_ROOM, "", xml);
    gsize len = strlen(text);

    if (write(fd, text, len) == (ssize_t)len &&
        lseek(fd, (off_t)stream_offset(len), SEEK_SET) >= 0)
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot write %s: %s", path, g_strerror(errno));
    return FALSE;
}

/* The line at the beginning of such a file, and its length without the line break; NULL: it is none. */
static JsonObject *parse_line(const char *text, ssize_t got, gsize *len)
{
    const char *end = got > 0 ? memchr(text, '\n', MIN((gsize)got, LINE_MAX_LEN)) : NULL;
    g_autoptr(JsonObject) line = end && *text == '{' ? vireo_json_parse(text, end - text, NULL) : NULL;

    if (!line || g_strcmp0(vireo_json_string(line, "format"), SAVE_MAGIC))
        return NULL;
    *len = (gsize)(end - text);
    return g_steal_pointer(&line);
}

static gboolean write_size(int fd, off_t size)
{
    char text[LINE_MAX_LEN];
    gsize len;
    g_autoptr(JsonObject) line = parse_line(text, pread(fd, text, sizeof text, 0), &len);

    if (!line)
        return FALSE;
    json_object_set_int_member(line, "size", size);
    g_autofree char *said = vireo_json_text(line);
    g_autofree char *padded = g_strdup_printf("%-*s", (int)len, said);
    return strlen(padded) == len && pwrite(fd, padded, len, 0) == (ssize_t)len;
}

gboolean qemu_save_finish(int fd, const char *path, GError **error)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && ftruncate(fd, st.st_size) == 0 && write_size(fd, st.st_size) && fsync(fd) == 0)
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot write %s: %s", path, g_strerror(errno));
    return FALSE;
}

static gboolean migrate_out(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, int fd, int operation,
                            GError **error)
{
    if (qemu_live_let_go(qmp)) {
        qemu_error(error, VIREO_ERR_OPERATION_INVALID,
                   "domain '%s' has not run since its memory was saved last, and QEMU does not save it "
                   "twice: resume it first, or take a snapshot without a memory file", dom->name);
        return FALSE;
    }
    qemu_saving_begin(dom, operation);
    gboolean done = qemu_saving_pass(qmp, fd, error) && qemu_saving_start(qmp, error) &&
                    qemu_saving_wait(dom, call, qmp, "completed", error);
    qemu_saving_end(dom, done);
    return done;
}

static gboolean pause_for_save(QemuDomain *dom, VireoQmp *qmp, GError **error)
{
    g_mutex_lock(&dom->lock);
    dom->quiet_states = TRUE;
    g_mutex_unlock(&dom->lock);
    return vireo_qmp_run(qmp, "stop", NULL, NULL, error);
}

static void unpause_after_failure(QemuDomain *dom, VireoQmp *qmp, gboolean was_running)
{
    if (was_running)
        vireo_qmp_run(qmp, "cont", NULL, NULL, NULL);
    g_mutex_lock(&dom->lock);
    dom->quiet_states = FALSE;
    g_mutex_unlock(&dom->lock);
}

int qemu_save_create(QemuDomain *dom, const char *path, gboolean running, GError **error)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    g_autofree char *xml = live ? vireo_domain_format(live->doc, VIREO_MODEL_FORMAT_SECURE | VIREO_MODEL_FORMAT_INACTIVE)
                                : NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot create %s: %s", path, g_strerror(errno));
    if (fd < 0 || write_head(fd, path, xml ? xml : "", running, error))
        return fd;
    close(fd);
    unlink(path);
    return -1;
}

gboolean qemu_save_memory(QemuDomain *dom, vireo_call *call, VireoQmp *qmp, const char *path,
                          gboolean running, GError **error)
{
    int fd = qemu_save_create(dom, path, running, error);

    if (fd < 0)
        return FALSE;
    gboolean saved = migrate_out(dom, call, qmp, fd, VIREO_DOMAIN_JOB_OPERATION_SNAPSHOT, error) &&
                     qemu_save_finish(fd, path, error);
    close(fd);
    if (!saved)
        unlink(path);
    return saved;
}

static gboolean save_to(QemuDomain *dom, vireo_call *call, const char *path, const char *dxml,
                        guint flags, GError **error)
{
    g_autoptr(VireoQmp) qmp = qemu_domain_monitor(dom, error);
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    g_autofree char *temp = g_strconcat(path, ".partial", NULL);
    gboolean was_running = dom->state == VIREO_DOMAIN_RUNNING, running = was_running;

    if (!qmp || !live || !qemu_blockjobs_none(dom, NULL, error))
        return FALSE;
    if (flags & VIREO_DOMAIN_SAVE_RUNNING)
        running = TRUE;
    if (flags & VIREO_DOMAIN_SAVE_PAUSED)
        running = FALSE;
    g_autofree char *own = vireo_domain_format(
        live->doc, VIREO_MODEL_FORMAT_SECURE | VIREO_MODEL_FORMAT_INACTIVE);
    int fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot create %s: %s", temp, g_strerror(errno));
        return FALSE;
    }
    gboolean saved = write_head(fd, temp, dxml ? dxml : own, running, error) &&
                     pause_for_save(dom, qmp, error) &&
                     migrate_out(dom, call, qmp, fd, VIREO_DOMAIN_JOB_OPERATION_SAVE, error) &&
                     qemu_save_finish(fd, temp, error);
    if (saved && rename(temp, path) < 0) {
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot write %s: %s", path, g_strerror(errno));
        saved = FALSE;
    }
    close(fd);
    if (saved)
        return TRUE;
    unlink(temp);
    unpause_after_failure(dom, qmp, was_running);
    return FALSE;
}

/* ---- reading ------------------------------------------------------------------- */

static SaveHead *read_head(int fd, const char *path, GError **error)
{
    g_autofree char *text = g_malloc0(HEAD_MAX + 1);
    g_autoptr(SaveHead) head = g_new0(SaveHead, 1);
    ssize_t got = pread(fd, text, HEAD_MAX, 0);
    gsize at;
    g_autoptr(JsonObject) line = parse_line(text, got, &at);
    gint64 len = vireo_json_int(line, "xml", -1), size = vireo_json_int(line, "size", 0);
    struct stat st;

    if (!line || len <= 0 || len > got - (gint64)at - 1) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "%s is not a guest that was saved here", path);
        return NULL;
    }
    if (fstat(fd, &st) == 0 && st.st_size < size) {
        qemu_error(error, VIREO_ERR_OPERATION_FAILED,
                   "%s was cut off: of %" G_GINT64_FORMAT " bytes %" G_GINT64_FORMAT " are there", path, size,
                   (gint64)st.st_size);
        return NULL;
    }
    head->running = vireo_json_bool(line, "running");
    head->xml = g_strndup(text + at + 1, (gsize)len);
    head->offset = stream_offset(at + 1 + (gsize)len);
    return g_steal_pointer(&head);
}

static int open_saved(const char *path, SaveHead **head, GError **error)
{
    int fd = qemu_image_open(path, O_RDONLY, error);

    if (fd < 0)
        return -1;
    *head = read_head(fd, path, error);
    if (*head && lseek(fd, (off_t)(*head)->offset, SEEK_SET) >= 0)
        return fd;
    close(fd);
    return -1;
}

int qemu_save_open(const char *path, GError **error)
{
    g_autoptr(SaveHead) head = NULL;

    return open_saved(path, &head, error);
}

gboolean qemu_save_check(const char *path, GError **error)
{
    int fd = qemu_save_open(path, error);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static QemuStart restore_start(const SaveHead *head, guint flags, int fd, QemuDef *def)
{
    gboolean running = head->running;

    if (flags & VIREO_DOMAIN_SAVE_RUNNING)
        running = TRUE;
    if (flags & VIREO_DOMAIN_SAVE_PAUSED)
        running = FALSE;
    QemuStart how = { .paused = !running, .incoming_fd = fd, .def = def,
                      .running_reason = VIREO_DOMAIN_RUNNING_RESTORED,
                      .paused_reason = VIREO_DOMAIN_PAUSED_STARTING_UP,
                      .reset_nvram = (flags & VIREO_DOMAIN_SAVE_RESET_NVRAM) != 0 };
    return how;
}

/* ---- managed ------------------------------------------------------------------- */

gboolean qemu_managed_drop(QemuDomain *dom, GError **error)
{
    g_autofree char *path = qemu_domain_path(dom, dom->space->save_dir, ".save");

    if (!vireo_file_remove(path, error))
        return FALSE;
    g_mutex_lock(&dom->lock);
    dom->managed_save = FALSE;
    g_mutex_unlock(&dom->lock);
    return TRUE;
}

gboolean qemu_managed_restore(QemuDomain *dom, vireo_call *call, guint flags, GError **error)
{
    g_autofree char *path = qemu_domain_path(dom, dom->space->save_dir, ".save");
    g_autoptr(SaveHead) head = NULL;
    int fd = open_saved(path, &head, error);

    if (fd < 0)
        return FALSE;
    g_autoptr(QemuDef) def = qemu_def_parse(dom->space, head->xml, QEMU_DEF_TRUSTED, error);
    if (!def) {
        close(fd);
        return FALSE;
    }
    QemuStart how = restore_start(head, flags, fd, def);
    if (!qemu_process_start(dom, call, &how, error)) /* the image stays: nothing is lost */
        return FALSE;
    qemu_managed_drop(dom, NULL);
    qemu_domain_publish(dom);
    return TRUE;
}

int qemu_domain_managed_save(void *handle, vireo_call *call,
                             const vireo_domain_managed_save_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_persistent(dom, "it cannot be saved here", &error))
        return qemu_fail(conn->driver, call, error);
    g_autofree char *path = qemu_domain_path(dom, conn->space->save_dir, ".save");
    if (!save_to(dom, call, path, NULL, args->flags, &error))
        return qemu_fail(conn->driver, call, error);
    g_mutex_lock(&dom->lock);
    dom->managed_save = TRUE;
    g_mutex_unlock(&dom->lock);
    qemu_process_kill(dom, VIREO_DOMAIN_SHUTOFF_SAVED);
    return VIREO_OK;
}

int qemu_domain_managed_save_remove(void *handle, vireo_call *call,
                                    const vireo_domain_managed_save_remove_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_managed_drop(dom, &error))
        return qemu_fail(conn->driver, call, error);
    qemu_domain_publish(dom);
    return VIREO_OK;
}

static int saved_xml(QemuConn *conn, vireo_call *call, const char *path, guint flags, char **xml)
{
    g_autoptr(SaveHead) head = NULL;
    g_autoptr(GError) error = NULL;
    int fd = open_saved(path, &head, &error);

    if (fd < 0)
        return qemu_fail(conn->driver, call, error);
    close(fd);
    g_autoptr(VireoDomain) doc = vireo_domain_parse(head->xml, 0, &error);
    if (!doc)
        return qemu_fail(conn->driver, call, error);
    g_autofree char *text = vireo_domain_format(
        doc, VIREO_MODEL_FORMAT_INACTIVE |
                 (flags & VIREO_DOMAIN_SAVE_IMAGE_XML_SECURE ? VIREO_MODEL_FORMAT_SECURE : 0));
    *xml = conn->driver->host->strdup(call, text);
    return VIREO_OK;
}

int qemu_domain_managed_save_get_xml_desc(void *handle, vireo_call *call,
                                          const vireo_domain_managed_save_get_xml_desc_args *args,
                                          vireo_domain_managed_save_get_xml_desc_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (!dom->managed_save)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                        "domain '%s' has no managed save image", dom->name);
    g_autofree char *path = qemu_domain_path(dom, conn->space->save_dir, ".save");
    return saved_xml(conn, call, path, args->flags, &ret->xml);
}

/* ---- files of the user --------------------------------------------------------- */

int qemu_domain_save_flags(void *handle, vireo_call *call, const vireo_domain_save_flags_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (!g_path_is_absolute(args->to))
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "'%s' is not an absolute path",
                                        args->to);
    const char *dxml = args->dxml && *args->dxml ? args->dxml : NULL;
    if (!save_to(dom, call, args->to, dxml, args->flags, &error))
        return qemu_fail(conn->driver, call, error);
    qemu_process_kill(dom, VIREO_DOMAIN_SHUTOFF_SAVED);
    return VIREO_OK;
}

int qemu_domain_restore_flags(void *handle, vireo_call *call,
                              const vireo_domain_restore_flags_args *args)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(SaveHead) head = NULL;
    g_autoptr(GError) error = NULL;
    int fd = open_saved(args->from, &head, &error);
    gboolean fresh;

    if (fd < 0)
        return qemu_fail(conn->driver, call, error);
    const char *xml = args->dxml && *args->dxml ? args->dxml : head->xml;
    g_autoptr(QemuDef) def = qemu_def_parse(conn->space, xml, 0, &error);
    g_autoptr(QemuDomainJob) dom =
        def ? qemu_domain_admit(conn->space, def->doc, &fresh, &error) : NULL;
    if (dom && qemu_domain_active(dom))
        qemu_error(&error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is already running",
                   dom->name);
    if (error) {
        close(fd);
        return qemu_fail(conn->driver, call, error);
    }
    QemuStart how = restore_start(head, args->flags, fd, def);
    if (qemu_process_start(dom, call, &how, &error))
        return VIREO_OK;
    if (fresh)
        qemu_domain_forget(dom);
    return qemu_fail(conn->driver, call, error);
}

int qemu_domain_save_image_get_xml_desc(void *handle, vireo_call *call,
                                        const vireo_domain_save_image_get_xml_desc_args *args,
                                        vireo_domain_save_image_get_xml_desc_ret *ret)
{
    return saved_xml(qemu_conn(handle), call, args->file, args->flags, &ret->xml);
}
