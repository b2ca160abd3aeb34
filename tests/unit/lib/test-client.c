/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client against a daemon that answers late, out of order, wrongly, or not at all. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake.h"

extern const VireoWireType vireo_type_domain_event_callback_lifecycle_msg, vireo_type_stream_hole;

static VireoClient *connect_to(Fake *fake)
{
    g_autoptr(GError) error = NULL;
    VireoClient *client = vireo_client_open("test:///default", fake_socket(fake), 0, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(vireo_client_uri(client), ==, "test:///default");
    return client;
}

static void expect_goodbye(int fd)
{
    FakePacket call;

    fake_expect(fd, &call, VIREO_OP_connect_close, NULL, NULL);
    fake_reply(fd, &call, NULL);
}

static void finish(VireoClient *client, Fake *fake)
{
    vireo_client_unref(client);
    fake_free(fake);
}

/* ---- replies ---- */

#define N_CALLS 8

static void answer_backwards(int fd)
{
    FakePacket calls[N_CALLS];
    vireo_domain_lookup_by_name_args args[N_CALLS];
    g_autoptr(VireoArena) arena = vireo_arena_new();

    fake_welcome(fd);
    for (guint i = 0; i < N_CALLS; i++)
        fake_expect(fd, &calls[i], VIREO_OP_domain_lookup_by_name, arena, &args[i]);
    for (guint i = N_CALLS; i-- > 0;) {
        vireo_domain_lookup_by_name_ret ret = { .dom = { .name = args[i].name, .id = (gint32)i } };

        fake_reply(fd, &calls[i], &ret);
    }
    expect_goodbye(fd);
}

typedef struct {
    VireoClient *client;
    guint n;
} Caller;

static gpointer look_up(gpointer data)
{
    Caller *caller = data;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strdup_printf("domain %u", caller->n);
    vireo_domain_lookup_by_name_args args = { .name = name };
    vireo_domain_lookup_by_name_ret ret;

    g_assert_true(VIREO_CALL(caller->client, domain_lookup_by_name, arena, &error, &args, &ret));
    g_assert_cmpstr(ret.dom.name, ==, name);
    return NULL;
}

static void test_out_of_order(void)
{
    Fake *fake = fake_new(answer_backwards);
    VireoClient *client = connect_to(fake);
    GThread *threads[N_CALLS];
    Caller callers[N_CALLS];

    for (guint i = 0; i < N_CALLS; i++) {
        callers[i] = (Caller){ client, i };
        threads[i] = g_thread_new("caller", look_up, &callers[i]);
    }
    for (guint i = 0; i < N_CALLS; i++)
        g_thread_join(threads[i]);
    finish(client, fake);
}

static void answer_errors(int fd)
{
    FakePacket call;

    fake_welcome(fd);
    fake_expect(fd, &call, VIREO_OP_connect_get_type, NULL, NULL);
    fake_error(fd, &call, VIREO_ERR_NO_DOMAIN, VIREO_FROM_TEST, "no such thing");
    fake_expect(fd, &call, VIREO_OP_connect_get_type, NULL, NULL);
    fake_error(fd, &call, VIREO_ERR_RPC, VIREO_FROM_RPC, "unknown procedure: 3");
    fake_expect(fd, &call, VIREO_OP_connect_get_type, NULL, NULL);
    fake_send(fd, call.program, call.proc, 1, call.serial, 0, "\0\0\0\7abc", 7);
    fake_expect(fd, &call, VIREO_OP_connect_get_type, NULL, NULL);
    fake_reply(fd, &call, &(vireo_connect_get_type_ret){ .type = (char *)"TEST" });
    expect_goodbye(fd);
}

static void test_errors(void)
{
    Fake *fake = fake_new(answer_errors);
    VireoClient *client = connect_to(fake);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;
    vireo_connect_get_type_ret ret;
    vireo_error remote;
    VireoClientCall call = { .op = vireo_op_by_id(VIREO_OP_connect_get_type), .ret = &ret,
                             .arena = arena, .remote = &remote };

    g_assert_false(vireo_client_call_full(client, &call, &error));
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_NO_DOMAIN);
    g_assert_cmpstr(error->message, ==, "no such thing");
    g_assert_cmpint(remote.domain, ==, VIREO_FROM_TEST);
    g_assert_cmpstr(remote.str1, ==, "%s");
    g_clear_error(&error);
    /* An old daemon that does not have the call. */
    g_assert_false(VIREO_CALL(client, connect_get_type, arena, &error, &ret));
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_NO_SUPPORT);
    g_clear_error(&error);
    /* A reply that does not decode costs that call only. */
    g_assert_false(VIREO_CALL(client, connect_get_type, arena, &error, &ret));
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_RPC);
    g_clear_error(&error);
    g_assert_true(VIREO_CALL(client, connect_get_type, arena, &error, &ret));
    g_assert_cmpstr(ret.type, ==, "TEST");
    finish(client, fake);
}

static void ping_first(int fd)
{
    FakePacket call, pong;

    fake_welcome(fd);
    fake_expect(fd, &call, VIREO_OP_connect_get_type, NULL, NULL);
    fake_send(fd, FAKE_KEEPALIVE, 1, 2, 0, 0, NULL, 0);
    g_assert_true(fake_read(fd, &pong));
    g_free(pong.payload);
    g_assert_cmpuint(pong.program, ==, FAKE_KEEPALIVE);
    g_assert_cmpuint(pong.proc, ==, 2);
    g_assert_cmpuint(pong.type, ==, 2);
    g_assert_cmpuint(pong.serial, ==, 0);
    g_assert_cmpuint(pong.size, ==, 0);
    fake_reply(fd, &call, &(vireo_connect_get_type_ret){ .type = (char *)"TEST" });
    expect_goodbye(fd);
}

static void test_keepalive(void)
{
    Fake *fake = fake_new(ping_first);
    VireoClient *client = connect_to(fake);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    vireo_connect_get_type_ret ret;

    g_assert_true(VIREO_CALL(client, connect_get_type, arena, NULL, &ret));
    finish(client, fake);
}

/* ---- events ---- */

static void send_lifecycle(int fd, int detail)
{
    FakePacket event = { .program = FAKE_REMOTE, .proc = 318, .serial = 1 };
    vireo_domain_event_callback_lifecycle_msg msg = {
        .callbackID = 7, .msg = { .dom = { .name = (char *)"x" }, .event = 2, .detail = detail },
    };

    fake_send_struct(fd, &event, 2, 0, &vireo_type_domain_event_callback_lifecycle_msg, &msg);
}

static void send_events(int fd)
{
    FakePacket call;

    fake_welcome(fd);
    fake_expect(fd, &call, VIREO_OP_connect_get_type, NULL, NULL);
    send_lifecycle(fd, 0);
    fake_send(fd, 0x12345678, 1, 2, 1, 0, "abcd", 4);  /* no program of ours */
    fake_send(fd, FAKE_REMOTE, 318, 2, 1, 0, "abcd", 4); /* cannot be decoded */
    send_lifecycle(fd, 1);
    fake_reply(fd, &call, &(vireo_connect_get_type_ret){ .type = (char *)"TEST" });
    send_lifecycle(fd, 2);
}

typedef struct {
    guint n, ended;
    GMainLoop *loop;
} Seen;

static void on_event(VireoClient *client, const VireoOp *op, gconstpointer data, gpointer opaque)
{
    const vireo_domain_event_callback_lifecycle_msg *msg = data;
    Seen *seen = opaque;

    if (!op) {
        seen->ended++;
        g_main_loop_quit(seen->loop);
        return;
    }
    g_assert_cmpuint(op->id, ==, 318);
    g_assert_cmpint(msg->callbackID, ==, 7);
    g_assert_cmpint(msg->msg.detail, ==, (gint)seen->n);
    seen->n++;
}

static void count_destroy(gpointer opaque)
{
    ((Seen *)opaque)->ended += 10;
}

static void test_events(void)
{
    Fake *fake = fake_new(send_events);
    VireoClient *client = connect_to(fake);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    Seen seen = { .loop = loop }, other = { .loop = loop };
    vireo_connect_get_type_ret ret;
    guint unwanted;

    vireo_client_add_handler(client, NULL, vireo_op_by_id(318), on_event, &seen, count_destroy);
    unwanted = vireo_client_add_handler(client, NULL, NULL, on_event, &other, count_destroy);
    g_assert_true(VIREO_CALL(client, connect_get_type, arena, NULL, &ret));
    vireo_client_remove_handler(client, unwanted);
    g_assert_cmpuint(other.ended, ==, 10);
    g_main_loop_run(loop);
    g_assert_cmpuint(seen.n, ==, 3);
    g_assert_cmpuint(seen.ended, ==, 1);
    g_assert_cmpuint(other.n, ==, 0);
    g_assert_false(vireo_client_is_alive(client));
    finish(client, fake);
    g_assert_cmpuint(seen.ended, ==, 11);
}

/* ---- descriptors ---- */

static void pass_fds(int fd)
{
    FakePacket call;
    int got[2], pair[2];
    guint32 count = GUINT32_TO_BE(1);

    fake_welcome(fd);
    g_assert_true(fake_read(fd, &call));
    g_assert_cmpuint(call.type, ==, 4);
    g_assert_cmpuint(GUINT32_FROM_BE(*(guint32 *)(void *)call.payload), ==, 2);
    g_free(call.payload);
    for (guint i = 0; i < 2; i++)
        got[i] = fake_receive_fd(fd);
    g_assert_cmpint(write(got[0], "one", 3), ==, 3);
    g_assert_cmpint(write(got[1], "two", 3), ==, 3);
    close(got[0]);
    close(got[1]);
    fake_reply(fd, &call, NULL);

    fake_expect(fd, &call, VIREO_OP_domain_open_graphics_fd, NULL, NULL);
    g_assert_no_errno(pipe(pair));
    fake_send(fd, call.program, call.proc, 5, call.serial, 0, &count, sizeof(count));
    fake_send_fd(fd, pair[0]);
    g_assert_cmpint(write(pair[1], "back", 4), ==, 4);
    close(pair[0]);
    close(pair[1]);
    expect_goodbye(fd);
}

static void expect_text(int fd, const char *text)
{
    char buffer[16] = "";

    g_assert_cmpint(read(fd, buffer, sizeof(buffer) - 1), ==, (gssize)strlen(text));
    g_assert_cmpstr(buffer, ==, text);
    close(fd);
}

static void test_fds(void)
{
    Fake *fake = fake_new(pass_fds);
    VireoClient *client = connect_to(fake);
    g_autoptr(GError) error = NULL;
    int one[2], two[2], back = -1;
    vireo_domain_fd_associate_args args = { .dom = { .name = (char *)"x" }, .name = (char *)"group" };
    vireo_domain_open_graphics_fd_args graphics = { .dom = { .name = (char *)"x" } };
    VireoClientCall call = { .op = vireo_op_by_id(VIREO_OP_domain_fd_associate), .args = &args };
    VireoClientCall open = { .op = vireo_op_by_id(VIREO_OP_domain_open_graphics_fd), .args = &graphics,
                             .reply_fds = &back, .max_reply_fds = 1 };

    g_assert_no_errno(pipe(one));
    g_assert_no_errno(pipe(two));
    call.fds = (int[]){ one[1], two[1] };
    call.n_fds = 2;
    g_assert_true(vireo_client_call_full(client, &call, &error));
    close(one[1]);
    close(two[1]);
    expect_text(one[0], "one");
    expect_text(two[0], "two");
    g_assert_true(vireo_client_call_full(client, &open, &error));
    g_assert_cmpuint(open.n_reply_fds, ==, 1);
    expect_text(back, "back");
    finish(client, fake);
}

/* ---- streams ---- */

static void begin_stream(int fd, FakePacket *call)
{
    fake_welcome(fd);
    fake_expect(fd, call, VIREO_OP_domain_screenshot, NULL, NULL);
    fake_reply(fd, call, &(vireo_domain_screenshot_ret){ .mime = (char *)"image/png" });
    call->type = 3;
}

static void send_stream(int fd)
{
    FakePacket call, end;

    begin_stream(fd, &call);
    fake_send(fd, call.program, call.proc, 3, call.serial, 2, "hello ", 6);
    fake_send_struct(fd, &call, 6, 2, &vireo_type_stream_hole, &(vireo_stream_hole){ .length = 5 });
    fake_send(fd, call.program, call.proc, 3, call.serial, 2, "world", 5);
    fake_send(fd, call.program, call.proc, 3, call.serial, 2, NULL, 0);
    g_assert_true(fake_read(fd, &end));
    g_free(end.payload);
    g_assert_cmpuint(end.type, ==, 3);
    g_assert_cmpuint(end.status, ==, 0);
    g_assert_cmpuint(end.serial, ==, call.serial);
    g_assert_cmpuint(end.size, ==, 0);
    fake_send(fd, call.program, call.proc, 3, call.serial, 0, NULL, 0);
    expect_goodbye(fd);
}

static VireoStream *take_screenshot(VireoClient *client, VireoArena *arena)
{
    vireo_domain_screenshot_args args = { .dom = { .name = (char *)"x" } };
    vireo_domain_screenshot_ret ret;
    VireoStream *stream = NULL;
    VireoClientCall call = { .op = vireo_op_by_id(VIREO_OP_domain_screenshot), .args = &args,
                             .ret = &ret, .arena = arena, .stream = &stream };

    g_assert_true(vireo_client_call_full(client, &call, NULL));
    g_assert_nonnull(stream);
    g_assert_cmpint(vireo_stream_fd(stream), >=, 0);
    return stream;
}

static void test_stream_receive(void)
{
    Fake *fake = fake_new(send_stream);
    VireoClient *client = connect_to(fake);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;
    VireoStream *stream = take_screenshot(client, arena);
    g_autoptr(GByteArray) all = g_byte_array_new();
    char buffer[4];
    gssize n;

    /* Smaller than the packets: nothing may be lost between them. */
    while ((n = vireo_stream_recv(stream, buffer, sizeof(buffer), NULL, &error)) > 0)
        g_byte_array_append(all, (guint8 *)buffer, n);
    g_assert_no_error(error);
    g_assert_cmpmem(all->data, all->len, "hello \0\0\0\0\0world", 16);
    g_assert_true(vireo_stream_finish(stream, &error));
    vireo_stream_free(stream);
    finish(client, fake);
}

static void fail_stream(int fd)
{
    FakePacket call;

    begin_stream(fd, &call);
    fake_send(fd, call.program, call.proc, 3, call.serial, 2, "part", 4);
    fake_error(fd, &call, VIREO_ERR_OPERATION_FAILED, VIREO_FROM_STREAMS, "the disk caught fire");
    expect_goodbye(fd);
}

static void test_stream_error(void)
{
    Fake *fake = fake_new(fail_stream);
    VireoClient *client = connect_to(fake);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;
    VireoStream *stream = take_screenshot(client, arena);
    char buffer[64];

    g_assert_cmpint(vireo_stream_recv(stream, buffer, sizeof(buffer), NULL, &error), ==, 4);
    g_assert_cmpint(vireo_stream_recv(stream, buffer, sizeof(buffer), NULL, &error), ==, -1);
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED);
    g_clear_error(&error);
    g_assert_false(vireo_stream_finish(stream, &error));
    g_assert_cmpstr(error->message, ==, "the disk caught fire");
    vireo_stream_free(stream);
    finish(client, fake);
}

#define UPLOAD_SIZE (6 * 1024 * 1024 + 5)

static void swallow_slowly(int fd)
{
    FakePacket call, part;
    gsize total = 0, holes = 0;

    fake_welcome(fd);
    fake_expect(fd, &call, VIREO_OP_storage_vol_upload, NULL, NULL);
    fake_reply(fd, &call, NULL);
    g_usleep(100 * 1000);
    for (;;) {
        g_assert_true(fake_read(fd, &part));
        g_assert_cmpuint(part.serial, ==, call.serial);
        if (part.status == 0) {
            g_free(part.payload);
            break;
        }
        holes += part.type == 6;
        for (guint i = 0; part.type == 3 && i < part.size; i++)
            g_assert_cmpuint(part.payload[i], ==, (guint8)((total + i) % 251));
        total += part.type == 3 ? part.size : 0;
        g_assert_cmpuint(part.size, <=, 262120);
        g_free(part.payload);
    }
    g_assert_cmpuint(total, ==, UPLOAD_SIZE);
    g_assert_cmpuint(holes, ==, 1);
    fake_send(fd, call.program, call.proc, 3, call.serial, 0, NULL, 0);
    expect_goodbye(fd);
}

static void test_stream_send(void)
{
    Fake *fake = fake_new(swallow_slowly);
    VireoClient *client = connect_to(fake);
    g_autoptr(GError) error = NULL;
    g_autofree guint8 *data = g_malloc(UPLOAD_SIZE);
    g_autoptr(VireoStream) stream = NULL;
    vireo_storage_vol_upload_args args = {
        .vol = { .pool = (char *)"p", .name = (char *)"v", .key = (char *)"k" },
    };
    VireoClientCall call = { .op = vireo_op_by_id(VIREO_OP_storage_vol_upload), .args = &args,
                             .stream = &stream };

    for (gsize i = 0; i < UPLOAD_SIZE; i++)
        data[i] = (guint8)(i % 251);
    g_assert_true(vireo_client_call_full(client, &call, &error));
    g_assert_true(vireo_stream_send(stream, data, UPLOAD_SIZE, &error));
    g_assert_true(vireo_stream_send_hole(stream, 4096, &error));
    g_assert_true(vireo_stream_finish(stream, &error));
    g_assert_false(vireo_stream_send(stream, data, 1, &error));
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID);
    g_clear_pointer(&stream, vireo_stream_free);
    finish(client, fake);
}

static void expect_abort(int fd)
{
    FakePacket call, end;

    begin_stream(fd, &call);
    g_assert_true(fake_read(fd, &end));
    g_free(end.payload);
    g_assert_cmpuint(end.type, ==, 3);
    g_assert_cmpuint(end.status, ==, 1);
    g_assert_cmpuint(end.size, ==, 0);
    /* What was on its way already. */
    fake_send(fd, call.program, call.proc, 3, call.serial, 2, "late", 4);
    fake_send(fd, call.program, call.proc, 3, call.serial, 0, NULL, 0);
    expect_goodbye(fd);
}

static void test_stream_dropped(void)
{
    Fake *fake = fake_new(expect_abort);
    VireoClient *client = connect_to(fake);
    g_autoptr(VireoArena) arena = vireo_arena_new();

    vireo_stream_free(take_screenshot(client, arena));
    finish(client, fake);
}

/* ---- endings ---- */

static void vanish(int fd)
{
    FakePacket call;

    fake_welcome(fd);
    for (guint i = 0; i < N_CALLS; i++)
        fake_expect(fd, &call, VIREO_OP_connect_get_type, NULL, NULL);
}

static gpointer expect_end(gpointer client)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;
    vireo_connect_get_type_ret ret;

    g_assert_false(VIREO_CALL(client, connect_get_type, arena, &error, &ret));
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR);
    return NULL;
}

static void test_vanishing_daemon(void)
{
    Fake *fake = fake_new(vanish);
    VireoClient *client = connect_to(fake);
    GThread *threads[N_CALLS];

    for (guint i = 0; i < N_CALLS; i++)
        threads[i] = g_thread_new("caller", expect_end, client);
    for (guint i = 0; i < N_CALLS; i++)
        g_thread_join(threads[i]);
    expect_end(client);
    g_assert_false(vireo_client_is_alive(client));
    finish(client, fake);
}

static guint32 bad_length;

static void send_bad_length(int fd)
{
    FakePacket call;
    guint32 length = GUINT32_TO_BE(bad_length);

    fake_welcome(fd);
    fake_expect(fd, &call, VIREO_OP_connect_get_type, NULL, NULL);
    g_assert_cmpint(write(fd, &length, 4), ==, 4);
    /* The client leaves by itself. */
    g_assert_false(fake_read(fd, &call));
}

static void test_bad_lengths(void)
{
    static const guint32 lengths[] = { 0, 3, 27, 33554437, 0xffffffff };

    for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autoptr(VireoArena) arena = vireo_arena_new();
        g_autoptr(GError) error = NULL;
        vireo_connect_get_type_ret ret;
        VireoClient *client;
        Fake *fake;

        bad_length = lengths[i];
        fake = fake_new(send_bad_length);
        client = connect_to(fake);
        g_assert_false(VIREO_CALL(client, connect_get_type, arena, &error, &ret));
        g_assert_error(error, VIREO_ERROR, VIREO_ERR_RPC);
        finish(client, fake);
    }
}

static void test_no_daemon(void)
{
    g_autofree char *folder = g_dir_make_tmp("vireo-lib-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "none", NULL);
    g_autofree char *much = g_strnfill(200, 'x');
    g_autoptr(GError) error = NULL;

    g_assert_null(vireo_client_open("test:///default", path, 0, &error));
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR);
    g_assert_nonnull(strstr(error->message, path));
    g_clear_error(&error);
    g_assert_null(vireo_client_open("test:///default", much, 0, &error));
    g_assert_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/client/replies-out-of-order", test_out_of_order);
    g_test_add_func("/client/errors", test_errors);
    g_test_add_func("/client/keepalive", test_keepalive);
    g_test_add_func("/client/events", test_events);
    g_test_add_func("/client/fds", test_fds);
    g_test_add_func("/client/stream/receive", test_stream_receive);
    g_test_add_func("/client/stream/error", test_stream_error);
    g_test_add_func("/client/stream/send", test_stream_send);
    g_test_add_func("/client/stream/dropped", test_stream_dropped);
    g_test_add_func("/client/vanishing-daemon", test_vanishing_daemon);
    g_test_add_func("/client/bad-lengths", test_bad_lengths);
    g_test_add_func("/client/no-daemon", test_no_daemon);
    return g_test_run();
}
