/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The QMP client against a scripted peer, and against a real QEMU when one is installed. */
#include "kit/loop.h"
#include "kit/qmp.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 3, \"minor\": 2, \"major\": 7}}}}\r\n"

/* The peer: a blocking socket driven by the test itself. */
typedef struct {
    VireoLoop *loop;
    VireoQmp *qmp;
    int fd;
    GMutex lock;
    GCond cond;
    GPtrArray *events;
    char *closed;
} Fix;

static void on_event(VireoQmp *qmp, const char *name, JsonObject *data, gint64 usec, void *opaque)
{
    Fix *fix = opaque;

    g_mutex_lock(&fix->lock);
    g_ptr_array_add(fix->events,
                    g_strdup_printf("%s/%s/%" G_GINT64_FORMAT, name,
                                    data ? vireo_json_string(data, "device") : "", usec));
    g_cond_broadcast(&fix->cond);
    g_mutex_unlock(&fix->lock);
}

static void on_closed(VireoQmp *qmp, const GError *why, void *opaque)
{
    Fix *fix = opaque;

    g_mutex_lock(&fix->lock);
    g_assert_null(fix->closed);
    fix->closed = g_strdup(why->message);
    g_cond_broadcast(&fix->cond);
    g_mutex_unlock(&fix->lock);
}

static const VireoQmpCallbacks callbacks = { on_event, on_closed, NULL };

static void peer_write(Fix *fix, const char *text)
{
    g_assert_cmpint(write(fix->fd, text, strlen(text)), ==, (ssize_t)strlen(text));
}

/* One line of what the client sent, byte by byte so that nothing is read ahead. */
static char *peer_read(Fix *fix)
{
    GString *line = g_string_new(NULL);
    char c;

    while (read(fix->fd, &c, 1) == 1 && c != '\n')
        g_string_append_c(line, c);
    return g_string_free(line, FALSE);
}

static gint64 peer_expect(Fix *fix, const char *command)
{
    g_autofree char *line = peer_read(fix);
    g_autoptr(JsonObject) message = vireo_json_parse(line, -1, NULL);

    g_assert_nonnull(message);
    g_assert_cmpstr(vireo_json_string(message, "execute"), ==, command);
    return vireo_json_int(message, "id", -1);
}

static void peer_answer(Fix *fix, gint64 id, const char *ret)
{
    g_autofree char *text =
        g_strdup_printf("{\"return\": %s, \"id\": %" G_GINT64_FORMAT "}\r\n", ret, id);
    peer_write(fix, text);
}

static void set_up(Fix *fix, gconstpointer data)
{
    int pair[2];

    memset(fix, 0, sizeof *fix);
    g_mutex_init(&fix->lock);
    g_cond_init(&fix->cond);
    fix->events = g_ptr_array_new_with_free_func(g_free);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    fix->fd = pair[1];
    fix->loop = vireo_loop_new("test");
    fix->qmp = vireo_qmp_new(vireo_loop_context(fix->loop), pair[0], &callbacks, fix);
    peer_write(fix, GREETING);
    peer_answer(fix, peer_expect(fix, "qmp_capabilities"), "{}");
}

static void tear_down(Fix *fix, gconstpointer data)
{
    vireo_qmp_close(fix->qmp);
    vireo_qmp_unref(fix->qmp);
    vireo_loop_free(fix->loop);
    if (fix->fd >= 0)
        close(fix->fd);
    g_ptr_array_unref(fix->events);
    g_free(fix->closed);
}

static void wait_closed(Fix *fix)
{
    gint64 until = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;

    g_mutex_lock(&fix->lock);
    while (!fix->closed)
        g_assert_true(g_cond_wait_until(&fix->cond, &fix->lock, until));
    g_mutex_unlock(&fix->lock);
}

/* Several in flight, answered out of order and split at odd places, events between. */
static void test_pipeline(Fix *fix, gconstpointer data)
{
    g_autoptr(VireoQmpBatch) batch = vireo_qmp_batch_new(fix->qmp);
    g_autoptr(GError) error = NULL;

    vireo_qmp_batch_add(batch, "query-a", NULL);
    vireo_qmp_batch_add(batch, "query-b", vireo_json_new('s', "x", "\n\"", 'i', "n", (gint64)7, 0));
    gint64 a = peer_expect(fix, "query-a");
    g_autofree char *line = peer_read(fix);
    g_autoptr(JsonObject) second = vireo_json_parse(line, -1, NULL);
    g_assert_cmpstr(vireo_json_string(vireo_json_object(second, "arguments"), "x"), ==, "\n\"");
    gint64 b = vireo_json_int(second, "id", -1);
    g_assert_cmpint(a, !=, b);

    peer_answer(fix, 4711, "\"nobody asked\"");
    peer_answer(fix, a, "{\"value\": 1}");
    peer_write(fix, "{\"timestamp\": {\"seconds\": 2, \"microseconds\": 5}, \"event\": \"MO");
    g_usleep(20000);
    peer_write(fix, "VED\", \"data\": {\"device\": \"d0\"}}\r\n{\"ret");
    g_usleep(20000);
    g_autofree char *rest = g_strdup_printf("urn\": [1, 2], \"id\": %" G_GINT64_FORMAT "}\r\n", b);
    peer_write(fix, rest);

    g_assert_true(vireo_qmp_batch_wait(batch, NULL, &error));
    g_assert_no_error(error);
    g_assert_cmpint(
        vireo_json_int(vireo_json_node_object(vireo_qmp_batch_get(batch, 0)), "value", 0), ==, 1);
    g_assert_cmpint(vireo_json_length(vireo_json_node_array(vireo_qmp_batch_get(batch, 1))), ==, 2);
    g_assert_cmpuint(fix->events->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(fix->events, 0), ==, "MOVED/d0/2000005");
    g_assert_cmpuint(vireo_qmp_version(fix->qmp), ==, 7002003);
}

static void test_changes(Fix *fix, gconstpointer data)
{
    static const char *const harmless[] = { "query-status", "stop", "cont", "snapshot-save" };
    static const char *const changes[] = { "blockdev-add", "transaction", "human-monitor-command" };
    guint64 before = vireo_qmp_changes(fix->qmp);
    int ends[2];

    for (guint i = 0; i < G_N_ELEMENTS(harmless); i++)
        vireo_qmp_send(fix->qmp, harmless[i], NULL, -1, NULL, NULL);
    g_assert_cmpuint(vireo_qmp_changes(fix->qmp), ==, before);
    for (guint i = 0; i < G_N_ELEMENTS(changes); i++)
        vireo_qmp_send(fix->qmp, changes[i], NULL, -1, NULL, NULL);
    g_assert_cmpuint(vireo_qmp_changes(fix->qmp), ==, before + G_N_ELEMENTS(changes));

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    g_autoptr(VireoQmp) other = vireo_qmp_new(vireo_loop_context(fix->loop), ends[0], NULL, NULL);
    g_assert_cmpuint(vireo_qmp_changes(other) >> 32, !=, before >> 32);
    vireo_qmp_close(other);
    close(ends[1]);
}

static void test_refused(Fix *fix, gconstpointer data)
{
    g_autoptr(VireoQmpBatch) batch = vireo_qmp_batch_new(fix->qmp);
    g_autoptr(GError) error = NULL;

    vireo_qmp_batch_add(batch, "stop", NULL);
    gint64 id = peer_expect(fix, "stop");
    g_autofree char *text = g_strdup_printf("{\"error\": {\"class\": \"CommandNotFound\", \"desc\": "
                                            "\"no such thing\"}, \"id\": %" G_GINT64_FORMAT "}\n", id);
    peer_write(fix, text);
    g_assert_false(vireo_qmp_batch_wait(batch, NULL, &error));
    g_assert_error(error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_NOT_FOUND);
    g_assert_cmpstr(error->message, ==, "stop: no such thing");
    g_assert_true(vireo_qmp_is_open(fix->qmp));
}

static int cancel_third(void *opaque)
{
    return ++*(int *)opaque >= 3;
}

static void test_patience(Fix *fix, gconstpointer data)
{
    VireoQmpWait wait = { .timeout_ms = 150 };
    g_autoptr(GError) error = NULL;
    int asked = 0;

    gint64 start = g_get_monotonic_time();
    g_assert_null(vireo_qmp_call(fix->qmp, "query-slow", NULL, &wait, &error));
    g_assert_error(error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_TIMEOUT);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 140000);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 2000000);
    g_clear_error(&error);

    wait = (VireoQmpWait){ .cancelled = cancel_third, .opaque = &asked };
    g_assert_null(vireo_qmp_call(fix->qmp, "query-slow", NULL, &wait, &error));
    g_assert_error(error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_CANCELLED);
    g_clear_error(&error);

    /* The answer that comes too late disturbs nothing. */
    peer_answer(fix, peer_expect(fix, "query-slow"), "{}");
    g_autoptr(VireoQmpBatch) batch = vireo_qmp_batch_new(fix->qmp);
    vireo_qmp_batch_add(batch, "query-next", NULL);
    g_autofree char *skipped = peer_read(fix);
    peer_answer(fix, peer_expect(fix, "query-next"), "3");
    g_assert_true(vireo_qmp_batch_wait(batch, NULL, &error));
    g_assert_cmpint(json_node_get_int(vireo_qmp_batch_get(batch, 0)), ==, 3);
}

static void test_end(Fix *fix, gconstpointer data)
{
    g_autoptr(VireoQmpBatch) batch = vireo_qmp_batch_new(fix->qmp);
    g_autoptr(GError) error = NULL;

    vireo_qmp_batch_add(batch, "quit", NULL);
    peer_expect(fix, "quit");
    close(fix->fd);
    fix->fd = -1;
    g_assert_false(vireo_qmp_batch_wait(batch, NULL, &error));
    g_assert_error(error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_CLOSED);
    wait_closed(fix);
    g_clear_error(&error);
    g_assert_false(vireo_qmp_run(fix->qmp, "query-status", NULL, NULL, &error));
    g_assert_error(error, VIREO_QMP_ERROR, VIREO_QMP_ERROR_CLOSED);
    g_assert_false(vireo_qmp_is_open(fix->qmp));
}

static void test_garbage(Fix *fix, gconstpointer data)
{
    peer_write(fix, data);
    wait_closed(fix);
    g_assert_nonnull(strstr(fix->closed, "monitor sent"));
}

static gpointer flood(gpointer opaque)
{
    Fix *fix = opaque;
    g_autofree char *block = g_strnfill(1 << 20, 'x');

    for (int i = 0; i < 80; i++)
        if (send(fix->fd, block, 1 << 20, MSG_NOSIGNAL) < 0)
            break;
    return NULL;
}

static void test_oversized(Fix *fix, gconstpointer data)
{
    GThread *thread = g_thread_new("flood", flood, fix);

    wait_closed(fix);
    g_thread_join(thread);
    g_assert_nonnull(strstr(fix->closed, "more than"));
}

/* More than a socket buffer holds while the peer does not read: the sender never blocks. */
static void test_back_pressure(Fix *fix, gconstpointer data)
{
    g_autofree char *big = g_strnfill(100000, 'y');
    g_autoptr(VireoQmpBatch) batch = vireo_qmp_batch_new(fix->qmp);
    g_autoptr(GError) error = NULL;

    gint64 start = g_get_monotonic_time();
    for (int i = 0; i < 20; i++)
        vireo_qmp_batch_add(batch, "echo", vireo_json_new('s', "x", big, 0));
    g_assert_cmpint(g_get_monotonic_time() - start, <, 2000000);
    for (int i = 0; i < 20; i++) {
        GString *line = g_string_new(NULL);
        char buffer[4096];
        ssize_t got;

        while ((got = recv(fix->fd, buffer, sizeof buffer, MSG_PEEK)) > 0) {
            char *end = memchr(buffer, '\n', (size_t)got);
            size_t take = end ? (size_t)(end - buffer) + 1 : (size_t)got;

            g_assert_cmpint(read(fix->fd, buffer, take), ==, (ssize_t)take);
            g_string_append_len(line, buffer, (gssize)take);
            if (end)
                break;
        }
        g_autoptr(JsonObject) message = vireo_json_parse(line->str, (gssize)line->len, NULL);
        g_assert_nonnull(message);
        peer_answer(fix, vireo_json_int(message, "id", -1), "{}");
        g_string_free(line, TRUE);
    }
    g_assert_true(vireo_qmp_batch_wait(batch, NULL, &error));
}

/* ---- the real thing ------------------------------------------------------------ */

static void test_real(void)
{
    g_autofree char *binary = g_find_program_in_path("qemu-system-x86_64");
    g_autofree char *dir = g_dir_make_tmp("vireo-qmp-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "qmp", NULL);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    Fix fix = { .fd = -1 };
    g_autoptr(GError) error = NULL;

    if (!binary) {
        g_test_skip("qemu-system-x86_64 is not installed");
        g_rmdir(dir);
        return;
    }
    g_mutex_init(&fix.lock);
    g_cond_init(&fix.cond);
    fix.events = g_ptr_array_new_with_free_func(g_free);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, path);
    g_assert_cmpint(bind(listener, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    g_autofree char *chardev = g_strdup_printf("socket,id=m,fd=%d,server=on,wait=off", listener);
    const char *argv[] = { binary, "-M", "none", "-nodefaults", "-display", "none", "-S",
                           "-chardev", chardev, "-mon", "chardev=m,mode=control", NULL };
    GPid pid;
    g_assert_true(g_spawn_async(NULL, (char **)argv, NULL,
                                G_SPAWN_LEAVE_DESCRIPTORS_OPEN | G_SPAWN_DO_NOT_REAP_CHILD, NULL,
                                NULL, &pid, &error));
    close(listener);

    /* Connected before QEMU is up: the commands wait in the socket. */
    fix.loop = vireo_loop_new("real");
    fix.qmp = vireo_qmp_connect(vireo_loop_context(fix.loop), path, &callbacks, &fix, &error);
    g_assert_no_error(error);
    g_autoptr(JsonNode) status = vireo_qmp_call(fix.qmp, "query-status", NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(vireo_json_string(vireo_json_node_object(status), "status"), ==, "prelaunch");
    g_assert_cmpuint(vireo_qmp_version(fix.qmp), >, 2000000);

    int file = open("/dev/null", O_RDONLY);
    g_autoptr(JsonNode) set =
        vireo_qmp_call_fd(fix.qmp, "add-fd", vireo_json_new('i', "fdset-id", (gint64)1, 0), file,
                          NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(vireo_json_int(vireo_json_node_object(set), "fdset-id", 0), ==, 1);
    close(file);
    g_assert_true(vireo_qmp_run(fix.qmp, "getfd", vireo_json_new('s', "fdname", "f", 0), NULL,
                                &error) == FALSE);
    g_clear_error(&error);

    vireo_qmp_run(fix.qmp, "quit", NULL, NULL, NULL);
    wait_closed(&fix);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    g_unlink(path);
    g_rmdir(dir);
    tear_down(&fix, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define FIX(name, data, func) g_test_add("/qmp/" name, Fix, data, set_up, func, tear_down)
    FIX("pipeline", NULL, test_pipeline);
    FIX("changes", NULL, test_changes);
    FIX("refused", NULL, test_refused);
    FIX("patience", NULL, test_patience);
    FIX("end", NULL, test_end);
    FIX("garbage", "SSH-2.0-nothing\r\n", test_garbage);
    FIX("not-qmp", "{\"hello\": 1}\r\n", test_garbage);
    FIX("array", "[1, 2]\n", test_garbage);
    FIX("oversized", NULL, test_oversized);
    FIX("back-pressure", NULL, test_back_pressure);
    g_test_add_func("/qmp/real", test_real);
    return g_test_run();
}
