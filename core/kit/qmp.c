/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* One message of QEMU; query-named-block-nodes with thousands of snapshots stays well below. */
#define QMP_MESSAGE_MAX (64u * 1024 * 1024)
#define QMP_READ_CHUNK 65536

typedef struct {
    gint64 id;
    char *command;
    VireoQmpReply reply;
    void *opaque;
} Pending;

typedef struct {
    GBytes *bytes;
    gsize done;
    int fd; /* goes with the first byte, -1 for none; owned */
} Chunk;

struct VireoQmp {
    gint refs;
    GMainContext *context;
    VireoQmpCallbacks callbacks;
    void *opaque;

    GMutex lock;
    int fd;             /* -1 once closed */
    GError *why;        /* set once closed */
    GHashTable *pending; /* id -> Pending */
    gint64 next_id;
    GQueue out; /* Chunk; only what the socket did not take at once */
    GSource *read_source, *write_source;
    unsigned version;
    guint64 changes;

    GByteArray *in; /* context thread only */
    gsize scanned;
};

G_DEFINE_QUARK(vireo-qmp-error-quark, vireo_qmp_error)

static void pending_free(gpointer opaque)
{
    Pending *pending = opaque;

    g_free(pending->command);
    g_free(pending);
}

static void chunk_free(gpointer opaque)
{
    Chunk *chunk = opaque;

    g_bytes_unref(chunk->bytes);
    if (chunk->fd >= 0)
        close(chunk->fd);
    g_free(chunk);
}

VireoQmp *vireo_qmp_ref(VireoQmp *qmp)
{
    g_atomic_int_inc(&qmp->refs);
    return qmp;
}

void vireo_qmp_unref(VireoQmp *qmp)
{
    if (!qmp || !g_atomic_int_dec_and_test(&qmp->refs))
        return;
    /* The sources hold references, so they are gone by now. */
    if (qmp->fd >= 0)
        close(qmp->fd);
    g_clear_error(&qmp->why);
    g_hash_table_unref(qmp->pending);
    g_queue_clear_full(&qmp->out, chunk_free);
    g_byte_array_unref(qmp->in);
    g_main_context_unref(qmp->context);
    g_mutex_clear(&qmp->lock);
    if (qmp->callbacks.free_opaque)
        qmp->callbacks.free_opaque(qmp->opaque);
    g_free(qmp);
}

static void source_drop(GSource **source)
{
    if (!*source)
        return;
    g_source_destroy(*source);
    g_source_unref(*source);
    *source = NULL;
}

/* Ends the connection; only the first reason counts. */
static void qmp_end(VireoQmp *qmp, const GError *why, gboolean tell)
{
    g_autoptr(GHashTable) pending = NULL;
    GSource *reader = NULL, *writer = NULL;
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&qmp->lock);
    if (qmp->fd < 0) {
        g_mutex_unlock(&qmp->lock);
        return;
    }
    close(qmp->fd);
    qmp->fd = -1;
    qmp->why = g_error_new(VIREO_QMP_ERROR, VIREO_QMP_ERROR_CLOSED, "%s", why->message);
    pending = qmp->pending;
    qmp->pending = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, pending_free);
    g_queue_clear_full(&qmp->out, chunk_free);
    reader = g_steal_pointer(&qmp->read_source);
    writer = g_steal_pointer(&qmp->write_source);
    g_mutex_unlock(&qmp->lock);

    g_hash_table_iter_init(&iter, pending);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Pending *entry = value;

        if (entry->reply)
            entry->reply(qmp, NULL, qmp->why, entry->opaque);
    }
    if (tell && qmp->callbacks.closed)
        qmp->callbacks.closed(qmp, qmp->why, qmp->opaque);
    source_drop(&reader);
    source_drop(&writer);
}

void vireo_qmp_close(VireoQmp *qmp)
{
    if (!qmp)
        return;
    g_autoptr(GError) why =
        g_error_new_literal(VIREO_QMP_ERROR, VIREO_QMP_ERROR_CLOSED, "the monitor was closed");

    vireo_qmp_ref(qmp);
    qmp_end(qmp, why, FALSE);
    vireo_qmp_unref(qmp);
}

gboolean vireo_qmp_is_open(VireoQmp *qmp)
{
    g_mutex_lock(&qmp->lock);
    gboolean open = qmp->fd >= 0;
    g_mutex_unlock(&qmp->lock);
    return open;
}

unsigned vireo_qmp_version(VireoQmp *qmp)
{
    g_mutex_lock(&qmp->lock);
    unsigned version = qmp->version;
    g_mutex_unlock(&qmp->lock);
    return version;
}

guint64 vireo_qmp_changes(VireoQmp *qmp)
{
    g_mutex_lock(&qmp->lock);
    guint64 changes = qmp->changes;
    g_mutex_unlock(&qmp->lock);
    return changes;
}

/* ---- reading ------------------------------------------------------------------- */

static GError *reply_error(JsonObject *error, const char *command)
{
    const char *class = vireo_json_string(error, "class");
    const char *text = vireo_json_string(error, "desc");
    int code = VIREO_QMP_ERROR_COMMAND;

    if (!g_strcmp0(class, "CommandNotFound"))
        code = VIREO_QMP_ERROR_NOT_FOUND;
    else if (!g_strcmp0(class, "DeviceNotFound"))
        code = VIREO_QMP_ERROR_DEVICE;
    return g_error_new(VIREO_QMP_ERROR, code, "%s: %s", command, text ? text : "no reason given");
}

static void qmp_take_reply(VireoQmp *qmp, JsonObject *message)
{
    gint64 id = vireo_json_int(message, "id", -1);
    JsonObject *refused = vireo_json_object(message, "error");
    g_autoptr(GError) error = NULL;

    g_mutex_lock(&qmp->lock);
    Pending *entry = g_hash_table_lookup(qmp->pending, &id);
    if (entry)
        g_hash_table_steal(qmp->pending, &id);
    g_mutex_unlock(&qmp->lock);
    if (!entry)
        return;
    if (refused)
        error = reply_error(refused, entry->command);
    if (entry->reply)
        entry->reply(qmp, error ? NULL : json_object_get_member(message, "return"), error,
                     entry->opaque);
    pending_free(entry);
}

static void qmp_take_greeting(VireoQmp *qmp, JsonObject *greeting)
{
    JsonObject *number = vireo_json_object(vireo_json_object(greeting, "version"), "qemu");

    g_mutex_lock(&qmp->lock);
    qmp->version = vireo_json_int(number, "major", 0) * 1000000 +
                   vireo_json_int(number, "minor", 0) * 1000 + vireo_json_int(number, "micro", 0);
    g_mutex_unlock(&qmp->lock);
}

static void qmp_take_event(VireoQmp *qmp, JsonObject *message)
{
    JsonObject *when = vireo_json_object(message, "timestamp");
    gint64 usec = vireo_json_int(when, "seconds", 0) * G_USEC_PER_SEC +
                  vireo_json_int(when, "microseconds", 0);

    if (qmp->callbacks.event)
        qmp->callbacks.event(qmp, vireo_json_string(message, "event"),
                             vireo_json_object(message, "data"), usec, qmp->opaque);
}

static gboolean qmp_take_line(VireoQmp *qmp, const char *line, gsize len, GError **error)
{
    while (len && (line[len - 1] == '\r' || line[len - 1] == ' '))
        len--;
    if (!len)
        return TRUE;
    g_autoptr(GError) bad = NULL;
    g_autoptr(JsonObject) message = vireo_json_parse(line, (gssize)len, &bad);
    if (!message) {
        g_autofree char *shown = g_strescape(line, NULL);

        g_set_error(error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_PROTOCOL,
                    "the monitor sent something that is not its protocol: %.80s", shown);
        return FALSE;
    }
    if (vireo_json_string(message, "event"))
        qmp_take_event(qmp, message);
    else if (vireo_json_object(message, "QMP"))
        qmp_take_greeting(qmp, vireo_json_object(message, "QMP"));
    else if (json_object_has_member(message, "return") || json_object_has_member(message, "error"))
        qmp_take_reply(qmp, message);
    else {
        g_set_error_literal(error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_PROTOCOL,
                            "the monitor sent a message that is neither answer nor event");
        return FALSE;
    }
    return TRUE;
}

/* Cuts what has arrived into lines. The buffer always ends in a NUL that is not counted. */
static gboolean qmp_take_input(VireoQmp *qmp, GError **error)
{
    gsize start = 0;

    for (;;) {
        const guint8 *from = qmp->in->data + qmp->scanned;
        const guint8 *end = memchr(from, '\n', qmp->in->len - qmp->scanned);

        if (!end)
            break;
        gsize at = (gsize)(end - qmp->in->data);
        qmp->in->data[at] = 0;
        if (!qmp_take_line(qmp, (char *)qmp->in->data + start, at - start, error))
            return FALSE;
        if (!vireo_qmp_is_open(qmp))
            return TRUE;
        start = at + 1;
        qmp->scanned = start;
    }
    if (start) {
        g_byte_array_remove_range(qmp->in, 0, (guint)start);
    }
    qmp->scanned = qmp->in->len;
    if (qmp->in->len <= QMP_MESSAGE_MAX)
        return TRUE;
    g_set_error(error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_PROTOCOL,
                "the monitor sent a message of more than %u bytes", QMP_MESSAGE_MAX);
    return FALSE;
}

static gboolean qmp_read(gint fd, GIOCondition condition, gpointer opaque)
{
    VireoQmp *qmp = opaque;
    g_autoptr(GError) error = NULL;
    guint8 buffer[QMP_READ_CHUNK];

    if (!vireo_qmp_is_open(qmp))
        return G_SOURCE_REMOVE;
    ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == ENOTSOCK)
        got = read(fd, buffer, sizeof buffer);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (got > 0) {
        g_byte_array_append(qmp->in, buffer, (guint)got);
        if (qmp_take_input(qmp, &error))
            return vireo_qmp_is_open(qmp) ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
    } else {
        g_set_error(&error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_CLOSED, "the monitor was closed%s%s",
                    got < 0 ? ": " : " by QEMU", got < 0 ? g_strerror(errno) : "");
    }
    qmp_end(qmp, error, TRUE);
    return G_SOURCE_REMOVE;
}

/* ---- writing ------------------------------------------------------------------- */

static ssize_t qmp_write_once(int fd, const void *data, gsize len, int pass)
{
    struct iovec iov = { (void *)data, len };
    union {
        char buffer[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { { 0 } };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (pass >= 0) {
        message.msg_control = control.buffer;
        message.msg_controllen = sizeof control.buffer;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &pass, sizeof(int));
    }
    ssize_t put = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && errno == ENOTSOCK)
        put = write(fd, data, len);
    return put;
}

/* Writes what the socket takes. Lock held. FALSE: the connection is broken (errno). */
static gboolean qmp_flush(VireoQmp *qmp)
{
    Chunk *chunk;

    while ((chunk = g_queue_peek_head(&qmp->out))) {
        gsize len;
        const char *data = g_bytes_get_data(chunk->bytes, &len);
        ssize_t put = qmp_write_once(qmp->fd, data + chunk->done, len - chunk->done, chunk->fd);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno == EAGAIN;
        if (chunk->fd >= 0) {
            close(chunk->fd);
            chunk->fd = -1;
        }
        chunk->done += (gsize)put;
        if (chunk->done == len) {
            g_queue_pop_head(&qmp->out);
            chunk_free(chunk);
        }
    }
    return TRUE;
}

static gboolean qmp_writable(gint fd, GIOCondition condition, gpointer opaque)
{
    VireoQmp *qmp = opaque;
    gboolean more = FALSE;

    g_mutex_lock(&qmp->lock);
    /* A broken pipe is reported by the reading side, which also has QEMU's last words. */
    if (qmp->fd >= 0 && qmp_flush(qmp))
        more = !g_queue_is_empty(&qmp->out);
    if (!more && qmp->write_source) {
        g_source_unref(qmp->write_source);
        qmp->write_source = NULL;
    }
    g_mutex_unlock(&qmp->lock);
    return more ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static GSource *qmp_source(VireoQmp *qmp, GIOCondition condition, GUnixFDSourceFunc func)
{
    GSource *source = g_unix_fd_source_new(qmp->fd, condition);

    g_source_set_callback(source, G_SOURCE_FUNC(func), vireo_qmp_ref(qmp),
                          (GDestroyNotify)vireo_qmp_unref);
    g_source_attach(source, qmp->context);
    return source;
}

/* Lock held. */
static void qmp_queue(VireoQmp *qmp, char *text, int fd)
{
    Chunk *chunk = g_new0(Chunk, 1);

    chunk->bytes = g_bytes_new_take(text, strlen(text));
    chunk->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    g_queue_push_tail(&qmp->out, chunk);
    if (qmp->write_source)
        return;
    if (qmp_flush(qmp) && !g_queue_is_empty(&qmp->out))
        qmp->write_source = qmp_source(qmp, G_IO_OUT, qmp_writable);
}

static char *qmp_command_text(const char *command, JsonObject *args, gint64 id)
{
    g_autoptr(JsonObject) message =
        vireo_json_new('s', "execute", command, 'o', "arguments", args, 'i', "id", id, 0);
    g_autofree char *text = vireo_json_text(message);

    return g_strconcat(text, "\n", NULL);
}

static gboolean may_change(const char *command)
{
    static const char *const harmless[] = { "stop", "cont", "migrate", "migrate-set-parameters", "getfd",
                                            "migrate-set-capabilities", "snapshot-save", "job-dismiss", NULL };

    return !g_str_has_prefix(command, "query-") && !g_strv_contains(harmless, command);
}

void vireo_qmp_send(VireoQmp *qmp, const char *command, JsonObject *args, int fd,
                    VireoQmpReply reply, void *opaque)
{
    Pending *entry = g_new0(Pending, 1);

    entry->command = g_strdup(command);
    entry->reply = reply;
    entry->opaque = opaque;
    entry->id = __atomic_add_fetch(&qmp->next_id, 1, __ATOMIC_RELAXED);
    g_autofree char *text = qmp_command_text(command, args, entry->id);

    g_mutex_lock(&qmp->lock);
    gboolean open = qmp->fd >= 0;
    if (open) {
        qmp->changes += may_change(command);
        g_hash_table_insert(qmp->pending, &entry->id, entry);
        qmp_queue(qmp, g_steal_pointer(&text), fd);
    }
    g_mutex_unlock(&qmp->lock);
    if (open)
        return;
    if (reply)
        reply(qmp, NULL, qmp->why, opaque);
    pending_free(entry);
}

/* ---- construction -------------------------------------------------------------- */

static void qmp_negotiated(VireoQmp *qmp, JsonNode *ret, const GError *error, void *opaque)
{
    if (!error || error->code == VIREO_QMP_ERROR_CLOSED)
        return;
    g_autoptr(GError) why = g_error_new(VIREO_QMP_ERROR, VIREO_QMP_ERROR_PROTOCOL,
                                        "the monitor refused to negotiate: %s", error->message);
    qmp_end(qmp, why, TRUE);
}

VireoQmp *vireo_qmp_new(GMainContext *context, int fd, const VireoQmpCallbacks *callbacks,
                        void *opaque)
{
    static guint connections;
    VireoQmp *qmp = g_new0(VireoQmp, 1);

    qmp->changes = (guint64)__atomic_add_fetch(&connections, 1, __ATOMIC_RELAXED) << 32;
    g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    qmp->refs = 1;
    qmp->context = g_main_context_ref(context);
    if (callbacks)
        qmp->callbacks = *callbacks;
    qmp->opaque = opaque;
    qmp->fd = fd;
    qmp->pending = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, pending_free);
    qmp->in = g_byte_array_new();
    g_mutex_init(&qmp->lock);
    g_queue_init(&qmp->out);
    vireo_qmp_send(qmp, "qmp_capabilities", NULL, -1, qmp_negotiated, NULL);
    g_mutex_lock(&qmp->lock);
    if (qmp->fd >= 0)
        qmp->read_source = qmp_source(qmp, G_IO_IN | G_IO_HUP | G_IO_ERR, qmp_read);
    g_mutex_unlock(&qmp->lock);
    return qmp;
}

VireoQmp *vireo_qmp_connect(GMainContext *context, const char *path,
                            const VireoQmpCallbacks *callbacks, void *opaque, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof address.sun_path) {
        g_set_error(error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_CLOSED,
                    "monitor socket path is too long: %s", path);
        return NULL;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int saved = errno;

        if (fd >= 0)
            close(fd);
        g_set_error(error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_CLOSED,
                    "cannot connect to monitor socket %s: %s", path, g_strerror(saved));
        return NULL;
    }
    return vireo_qmp_new(context, fd, callbacks, opaque);
}

/* ---- blocking ------------------------------------------------------------------ */

/* Shared by the waiting thread and the reply callback; whoever is last frees it. */
struct VireoQmpBatch {
    gint refs;
    VireoQmp *qmp;
    GMutex lock;
    GCond cond;
    guint sent, answered;
    GPtrArray *answers; /* JsonNode or NULL */
    GError *error;      /* the first one */
};

static void batch_unref(VireoQmpBatch *batch)
{
    if (!g_atomic_int_dec_and_test(&batch->refs))
        return;
    g_ptr_array_unref(batch->answers);
    g_clear_error(&batch->error);
    vireo_qmp_unref(batch->qmp);
    g_mutex_clear(&batch->lock);
    g_cond_clear(&batch->cond);
    g_free(batch);
}

static void node_free(gpointer node)
{
    if (node)
        json_node_unref(node);
}

VireoQmpBatch *vireo_qmp_batch_new(VireoQmp *qmp)
{
    VireoQmpBatch *batch = g_new0(VireoQmpBatch, 1);

    batch->refs = 1;
    batch->qmp = vireo_qmp_ref(qmp);
    batch->answers = g_ptr_array_new_with_free_func(node_free);
    g_mutex_init(&batch->lock);
    g_cond_init(&batch->cond);
    return batch;
}

void vireo_qmp_batch_free(VireoQmpBatch *batch)
{
    if (batch)
        batch_unref(batch);
}

/* Answers come in the order of sending, except when the connection ends, and then all fail. */
static void batch_reply(VireoQmp *qmp, JsonNode *ret, const GError *error, void *opaque)
{
    VireoQmpBatch *batch = opaque;

    g_mutex_lock(&batch->lock);
    g_ptr_array_add(batch->answers, ret && !error ? json_node_ref(ret) : NULL);
    if (error && !batch->error)
        batch->error = g_error_copy(error);
    batch->answered++;
    g_cond_signal(&batch->cond);
    g_mutex_unlock(&batch->lock);
    batch_unref(batch);
}

static void batch_send(VireoQmpBatch *batch, const char *command, JsonObject *args, int fd)
{
    g_mutex_lock(&batch->lock);
    batch->sent++;
    g_mutex_unlock(&batch->lock);
    g_atomic_int_inc(&batch->refs);
    vireo_qmp_send(batch->qmp, command, args, fd, batch_reply, batch);
}

void vireo_qmp_batch_add(VireoQmpBatch *batch, const char *command, JsonObject *args)
{
    batch_send(batch, command, args, -1);
}

static gboolean wait_over(const VireoQmpWait *wait, gint64 deadline, GError **error)
{
    if (wait && wait->cancelled && wait->cancelled(wait->opaque)) {
        g_set_error_literal(error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_CANCELLED,
                            "the request was cancelled");
        return TRUE;
    }
    if (deadline && g_get_monotonic_time() >= deadline) {
        g_set_error_literal(error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_TIMEOUT,
                            "QEMU's monitor did not answer in time");
        return TRUE;
    }
    return FALSE;
}

gboolean vireo_qmp_batch_wait(VireoQmpBatch *batch, const VireoQmpWait *wait, GError **error)
{
    gint64 timeout_ms = wait ? wait->timeout_ms : 30000;
    gint64 deadline = timeout_ms > 0 ? g_get_monotonic_time() + timeout_ms * 1000 : 0;
    gboolean done = FALSE;

    g_mutex_lock(&batch->lock);
    while (batch->answered < batch->sent) {
        gint64 until = g_get_monotonic_time() + 100000;

        if (wait_over(wait, deadline, error)) {
            g_mutex_unlock(&batch->lock);
            return FALSE;
        }
        if (deadline && (until > deadline || !wait || !wait->cancelled))
            until = deadline;
        if (deadline || (wait && wait->cancelled))
            g_cond_wait_until(&batch->cond, &batch->lock, until);
        else
            g_cond_wait(&batch->cond, &batch->lock);
    }
    done = !batch->error;
    if (batch->error && error)
        *error = g_error_copy(batch->error);
    g_mutex_unlock(&batch->lock);
    return done;
}

JsonNode *vireo_qmp_batch_get(VireoQmpBatch *batch, guint index)
{
    g_mutex_lock(&batch->lock);
    JsonNode *node = index < batch->answers->len ? g_ptr_array_index(batch->answers, index) : NULL;
    g_mutex_unlock(&batch->lock);
    return node;
}

JsonNode *vireo_qmp_call_fd(VireoQmp *qmp, const char *command, JsonObject *args, int fd,
                            const VireoQmpWait *wait, GError **error)
{
    g_autoptr(VireoQmpBatch) batch = vireo_qmp_batch_new(qmp);

    batch_send(batch, command, args, fd);
    if (!vireo_qmp_batch_wait(batch, wait, error))
        return NULL;
    JsonNode *answer = vireo_qmp_batch_get(batch, 0);
    if (answer)
        return json_node_ref(answer);
    g_set_error(error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_PROTOCOL, "%s: QEMU's answer is empty",
                command);
    return NULL;
}

JsonNode *vireo_qmp_call(VireoQmp *qmp, const char *command, JsonObject *args,
                         const VireoQmpWait *wait, GError **error)
{
    return vireo_qmp_call_fd(qmp, command, args, -1, wait, error);
}

gboolean vireo_qmp_run(VireoQmp *qmp, const char *command, JsonObject *args,
                       const VireoQmpWait *wait, GError **error)
{
    g_autoptr(JsonNode) answer = vireo_qmp_call(qmp, command, args, wait, error);

    return answer != NULL;
}
