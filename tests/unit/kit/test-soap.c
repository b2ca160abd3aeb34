/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client against a server that misbehaves: soap-server.py. */
#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "soap-fixture.h"

#define PASSWORD "open sesame"

static Server server;

static void expect(VireoSoap *soap, const char *filter, const VireoHttpWait *wait, VireoHttpError code, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(list_simple(soap, filter, wait, NULL, NULL, &error));
    g_assert_error(error, VIREO_HTTP_ERROR, (int)code);
    if (!strstr(error->message, words))
        g_error("\"%s\" does not say \"%s\"", error->message, words);
}

static void expect_works(VireoSoap *soap)
{
    g_autoptr(GError) error = NULL;

    list_simple(soap, "names", NULL, NULL, NULL, &error);
    g_assert_no_error(error);
}

static guint opened(VireoSoap *soap)
{
    guint now, all;

    vireo_http_connections(vireo_soap_http(soap), &now, &all);
    return all;
}

/* ---- connections ----------------------------------------------------------------- */

static void test_keep_alive(void)
{
    g_autoptr(VireoSoap) soap = client_new(&server, (VireoSoapOptions){ 0 });
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 20; i++)
        expect_works(soap);
    g_assert_cmpuint(opened(soap), ==, 1);
    ZooListRet *ret = list(soap, "names", NULL, arena, &error);
    g_assert_cmpstr(ret->returnval.items[1]->name, ==, "\"urn:zoo/1.0\"");
    g_assert_cmpstr(ret->returnval.items[2]->name, ==, "direct");
    /* a fault does not cost the connection */
    g_assert_false(list_simple(soap, "session", NULL, NULL, NULL, &error));
    g_assert_true(vireo_soap_is_fault(error, "NotAuthenticated"));
    expect_works(soap);
    g_assert_cmpuint(opened(soap), ==, 1);
}

static void test_reconnect(void)
{
    g_autoptr(VireoSoap) soap = client_new(&server, (VireoSoapOptions){ 0 });
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 5; i++) {
        list_simple(soap, "close", NULL, NULL, NULL, &error);
        g_assert_no_error(error);
    }
    expect_works(soap);
    g_assert_cmpuint(opened(soap), ==, 6);
    /* the server hangs up on a kept connection instead of answering: asked again, it is a query */
    g_assert_true(list_simple(soap, "drop:one", NULL, NULL, NULL, &error));
    g_assert_no_error(error);
}

/* What changes something is not sent twice. */
static void test_unsafe(void)
{
    g_autoptr(VireoSoap) soap = client_new(&server, (VireoSoapOptions){ 0 });
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;
    ZooRef self = { .type = "Zoo", .value = "z" };
    ZooAnimal animal = { .name = "x" };
    ZooFeedArgs args = { ._this = &self, .animal = &animal };
    int before, after;

    g_assert_true(list_simple(soap, "count:feed", NULL, &before, NULL, &error));
    g_assert_null(zoo_feed(soap, &args, NULL, arena, &error));
    g_assert_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_CLOSED);
    g_clear_error(&error);
    g_assert_true(list_simple(soap, "count:feed", NULL, &after, NULL, &error));
    g_assert_cmpint(after, ==, before + 1);
}

static void test_server_gone(void)
{
    Server mortal = { 0 };
    g_autoptr(GError) error = NULL;

    server_start(&mortal, "http", NULL, NULL);
    g_autoptr(VireoSoap) soap = client_new(&mortal, (VireoSoapOptions){ 0 });
    expect_works(soap);
    server_stop(&mortal);
    expect(soap, "names", NULL, VIREO_HTTP_ERROR_CONNECT, "127.0.0.1");
}

static gpointer start_again(gpointer opaque)
{
    Server *mortal = opaque;
    g_autofree char *port = g_strdup_printf("%d", mortal->port);

    g_usleep(300 * 1000);
    server_start(mortal, "again", port, NULL);
    return NULL;
}

/* A query waits for a server that is being restarted; what changes something fails at once. */
static void test_restart(void)
{
    Server mortal = { 0 };
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;
    ZooLoginArgs args = { .user = "me", .password = "x" };

    server_start(&mortal, "http", NULL, NULL);
    g_autoptr(VireoSoap) soap = client_new(&mortal, (VireoSoapOptions){ .tries = 10 });
    expect_works(soap);
    server_stop(&mortal);
    gint64 begin = g_get_monotonic_time();
    g_assert_null(zoo_login(soap, &args, NULL, arena, &error));
    g_assert_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_CONNECT);
    g_assert_cmpint(ms_since(begin), <, 200);
    GThread *thread = g_thread_new("again", start_again, &mortal);
    expect_works(soap);
    g_thread_join(thread);
    server_stop(&mortal);
}

static gpointer slow_call(gpointer soap)
{
    g_autoptr(GError) error = NULL;

    list_simple(soap, "slow:4000", NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    return NULL;
}

static void test_parallel(void)
{
    g_autoptr(VireoSoap) soap = client_new(&server, (VireoSoapOptions){ 0 });
    gint64 begin = g_get_monotonic_time(), longest = 0;
    GThread *thread = g_thread_new("slow", slow_call, soap);

    g_usleep(100 * 1000);
    for (guint i = 0; i < 50; i++) {
        gint64 one = g_get_monotonic_time();

        expect_works(soap);
        longest = MAX(longest, ms_since(one));
    }
    g_test_message("the longest of 50 calls beside one of 4000 ms took %d ms", (int)longest);
    g_assert_cmpint(longest, <, 500);
    g_assert_cmpuint(opened(soap), ==, 1);
    g_thread_join(thread);
    g_assert_cmpint(ms_since(begin), >=, 4000);
    g_assert_cmpuint(opened(soap), ==, 2);
}

static void test_connection_limit(void)
{
    VireoSoapOptions options = { .http.max_connections = 1 };
    g_autoptr(VireoSoap) soap = client_new(&server, options);
    VireoHttpWait impatient = { .timeout_ms = 300 };
    GThread *thread = g_thread_new("slow", slow_call, soap);

    g_usleep(100 * 1000);
    expect(soap, "names", &impatient, VIREO_HTTP_ERROR_TIMEOUT, "in time");
    expect_works(soap); /* after the slow one */
    g_thread_join(thread);
    g_assert_cmpuint(opened(soap), ==, 1);
}

/* ---- time ------------------------------------------------------------------------ */

static void test_timeouts(void)
{
    VireoSoapOptions options = { .http.timeout_ms = 300 };
    g_autoptr(VireoSoap) soap = client_new(&server, options);
    VireoHttpWait longer = { .timeout_ms = 600 };
    gint64 begin = g_get_monotonic_time();

    expect(soap, "slow:5000", NULL, VIREO_HTTP_ERROR_TIMEOUT, "in time");
    g_assert_cmpint(ms_since(begin), >=, 300);
    g_assert_cmpint(ms_since(begin), <, 2000);
    begin = g_get_monotonic_time();
    expect(soap, "loris", &longer, VIREO_HTTP_ERROR_TIMEOUT, "in time");
    g_assert_cmpint(ms_since(begin), >=, 600);
    g_assert_cmpint(ms_since(begin), <, 2000);
    expect_works(soap);
}

/* A listener whose queue is full does not answer at all. */
static void test_connect_timeout(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), filler[4];

    g_assert_cmpint(bind(listener, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(listener, 0), ==, 0);
    g_assert_cmpint(getsockname(listener, (struct sockaddr *)&address, &size), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(filler); i++) {
        filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(filler[i], (struct sockaddr *)&address, sizeof address) != 0)
            g_assert_cmpint(errno, ==, EINPROGRESS);
    }
    g_usleep(50 * 1000);
    Server silent = { .port = ntohs(address.sin_port) };
    VireoSoapOptions options = { .http.connect_timeout_ms = 300 };
    g_autoptr(VireoSoap) soap = client_new(&silent, options);
    gint64 begin = g_get_monotonic_time();
    expect(soap, "names", NULL, VIREO_HTTP_ERROR_TIMEOUT, "in time");
    g_assert_cmpint(ms_since(begin), <, 3000);
    for (guint i = 0; i < G_N_ELEMENTS(filler); i++)
        close(filler[i]);
    close(listener);
}

static int after_a_while(void *opaque)
{
    return ms_since(*(gint64 *)opaque) > 200;
}

static gpointer cancel_soon(gpointer cancellable)
{
    g_usleep(200 * 1000);
    g_cancellable_cancel(cancellable);
    return NULL;
}

static gpointer close_soon(gpointer soap)
{
    g_usleep(200 * 1000);
    vireo_soap_close(soap);
    return NULL;
}

static void test_cancel(void)
{
    g_autoptr(VireoSoap) soap = client_new(&server, (VireoSoapOptions){ 0 });
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    gint64 begin = g_get_monotonic_time();
    VireoHttpWait asked = { .cancelled = after_a_while, .opaque = &begin }, told = { .cancellable = cancellable };

    expect(soap, "slow:5000", &asked, VIREO_HTTP_ERROR_CANCELLED, "was cancelled");
    g_assert_cmpint(ms_since(begin), <, 1000);

    begin = g_get_monotonic_time();
    GThread *thread = g_thread_new("cancel", cancel_soon, cancellable);
    expect(soap, "slow:5000", &told, VIREO_HTTP_ERROR_CANCELLED, "was cancelled");
    g_assert_cmpint(ms_since(begin), <, 1000);
    g_thread_join(thread);
    expect(soap, "names", &told, VIREO_HTTP_ERROR_CANCELLED, "was cancelled");
    expect_works(soap);

    begin = g_get_monotonic_time();
    thread = g_thread_new("close", close_soon, soap);
    expect(soap, "slow:5000", NULL, VIREO_HTTP_ERROR_CANCELLED, "was cancelled");
    g_assert_cmpint(ms_since(begin), <, 1000);
    g_thread_join(thread);
    expect(soap, "names", NULL, VIREO_HTTP_ERROR_CANCELLED, "was cancelled");
}

/* ---- bad answers ----------------------------------------------------------------- */

static void test_bad_answers(void)
{
    VireoSoapOptions options = { .http.max_answer = 100000 };
    g_autoptr(VireoSoap) soap = client_new(&server, options);
    g_autoptr(GError) error = NULL;

    expect(soap, "truncated", NULL, VIREO_HTTP_ERROR_CLOSED, "ended before its answer");
    expect(soap, "html", NULL, VIREO_HTTP_ERROR_STATUS, "status 500 and no fault");
    expect(soap, "big:1000", NULL, VIREO_HTTP_ERROR_TOO_LARGE, "100000 bytes");
    expect(soap, "zip:1000", NULL, VIREO_HTTP_ERROR_TOO_LARGE, "100000 bytes");
    g_assert_true(list_simple(soap, "zip:10", NULL, NULL, NULL, &error));
    g_assert_false(list_simple(soap, "cut", NULL, NULL, NULL, &error));
    g_assert_error(error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_PROTOCOL);
    g_clear_error(&error);
    g_assert_false(list_simple(soap, "garbage", NULL, NULL, NULL, &error));
    g_assert_error(error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_PROTOCOL);
    expect_works(soap);
    options.path = "/missing?key=secret";
    g_autoptr(VireoSoap) lost = client_new(&server, options);
    expect(lost, "names", NULL, VIREO_HTTP_ERROR_NOT_FOUND, "not found) to /missing");
}

static gboolean count_item(const char *field, gpointer item, void *opaque, GError **error)
{
    ++*(guint *)opaque;
    return TRUE;
}

static void test_streamed(void)
{
    g_autoptr(VireoSoap) soap = client_new(&server, (VireoSoapOptions){ 0 });
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;
    ZooListArgs args = { .filter = "big:20000" };
    guint count = 0;

    g_assert_nonnull(vireo_soap_call_each(soap, &zoo_list_operation, &args, NULL, count_item, &count, arena, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(count, ==, 20000);
}

/* ---- who one is ------------------------------------------------------------------ */

typedef struct {
    const char *password;
    int calls;
} Login;

static gboolean login(VireoSoap *soap, const VireoHttpWait *wait, void *opaque, GError **error)
{
    Login *state = opaque;
    ZooLoginArgs args = { .user = "me", .password = state->password };
    g_autoptr(VireoArena) arena = vireo_arena_new();

    g_atomic_int_inc(&state->calls);
    return vireo_soap_call_plain(soap, &zoo_login_operation, &args, wait, arena, error) != NULL;
}

static gboolean expired(const GError *error, void *opaque)
{
    return vireo_soap_is_fault(error, "NotAuthenticated");
}

static gpointer session_call(gpointer soap)
{
    GError *error = NULL;

    list_simple(soap, "session", NULL, NULL, NULL, &error);
    return error;
}

/* The errors of n calls at once, freed by the caller. */
static GPtrArray *at_once(VireoSoap *soap, guint n)
{
    GPtrArray *errors = g_ptr_array_new_with_free_func((GDestroyNotify)g_error_free);
    GThread *threads[32];

    for (guint i = 0; i < n; i++)
        threads[i] = g_thread_new("session", session_call, soap);
    for (guint i = 0; i < n; i++) {
        GError *error = g_thread_join(threads[i]);

        if (error)
            g_ptr_array_add(errors, error);
    }
    return errors;
}

static const VireoSoapSession session = { .expired = expired, .login = login, .login_pause_ms = 1000 };

static void test_session(void)
{
    Login state = { .password = PASSWORD };
    g_autoptr(VireoSoap) soap = client_new(&server, (VireoSoapOptions){ .session = &session, .opaque = &state });
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) errors = NULL;

    g_assert_true(list_simple(soap, "session", NULL, NULL, NULL, &error));
    g_assert_true(list_simple(soap, "session", NULL, NULL, NULL, &error));
    g_assert_cmpint(state.calls, ==, 1);
    for (int round = 2; round < 5; round++) { /* it ends for many threads at once: one of them logs in */
        g_assert_true(list_simple(soap, "expire", NULL, NULL, NULL, &error));
        g_clear_pointer(&errors, g_ptr_array_unref);
        errors = at_once(soap, 24);
        g_assert_cmpuint(errors->len, ==, 0);
        g_assert_cmpint(state.calls, ==, round);
    }
    g_assert_true(vireo_soap_login(soap, NULL, &error));
    g_assert_cmpint(state.calls, ==, 5);
}

static void test_bad_login(void)
{
    Login state = { .password = "my wrong guess" };
    g_autoptr(VireoSoap) soap = client_new(&server, (VireoSoapOptions){ .session = &session, .opaque = &state });
    g_autoptr(GPtrArray) errors = at_once(soap, 24);
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(errors->len, ==, 24);
    for (guint i = 0; i < errors->len; i++) {
        g_assert_true(vireo_soap_is_fault(errors->pdata[i], "BadLogin"));
        g_assert_null(strstr(((GError *)errors->pdata[i])->message, "guess"));
    }
    g_assert_cmpint(state.calls, ==, 1); /* an account is not locked by one wrong password */
    g_usleep(1100 * 1000);
    state.password = PASSWORD;
    g_assert_true(list_simple(soap, "session", NULL, NULL, NULL, &error));
    g_assert_cmpint(state.calls, ==, 2);
}

static void test_basic(void)
{
    VireoSoapOptions options = { .path = "/basic", .http = { .auth = VIREO_HTTP_AUTH_BASIC, .user = "me",
                                                             .password = PASSWORD } };
    g_autofree char *url = g_strdup_printf("http://me:topsecret@127.0.0.1:%d/path", server.port);
    g_autoptr(GError) error = NULL;

    options.http.url = url;
    g_autoptr(VireoSoap) soap = client_new(&server, options);
    expect_works(soap);
    options.http.password = "topsecret";
    g_autoptr(VireoSoap) wrong = client_new(&server, options);
    g_assert_false(list_simple(wrong, "names", NULL, NULL, NULL, &error));
    g_assert_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_AUTH);
    g_assert_null(strstr(error->message, "topsecret"));
    g_assert_null(strstr(vireo_http_server(vireo_soap_http(wrong)), "topsecret"));
}

static void expect_invalid(VireoHttpOptions http)
{
    VireoSoapOptions options = { .service = &zoo_service, .http = http };
    g_autoptr(GError) error = NULL;

    g_assert_null(vireo_soap_new(&options, &error));
    g_assert_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_INVALID);
    g_assert_null(strstr(error->message, "secret"));
}

static void test_bad_options(void)
{
    expect_invalid((VireoHttpOptions){ 0 });
    expect_invalid((VireoHttpOptions){ .url = "ftp://u:secret@host" });
    expect_invalid((VireoHttpOptions){ .url = "https://u:secret@" });
    expect_invalid((VireoHttpOptions){ .url = "https://u:secret@host:99999" });
    expect_invalid((VireoHttpOptions){ .url = "https://host", .pin = "abc" });
    expect_invalid((VireoHttpOptions){ .url = "https://host", .ca_file = "/nonexistent" });
    expect_invalid((VireoHttpOptions){ .url = "https://host", .auth = VIREO_HTTP_AUTH_BASIC });
    expect_invalid((VireoHttpOptions){ .url = "https://host", .auth = 17, .user = "x" });
}

/* ---- recording ------------------------------------------------------------------- */

static void test_tape(void)
{
    g_autofree char *dir = g_dir_make_tmp("vireo-soap-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "tape", NULL), *text = NULL;
    Login state = { .password = PASSWORD };
    VireoSoapOptions options = { .session = &session, .opaque = &state, .record = path };
    g_autoptr(VireoSoap) recorder = client_new(&server, options);
    g_autoptr(GError) error = NULL;

    g_assert_true(list_simple(recorder, "expire", NULL, NULL, NULL, &error));
    g_assert_true(list_simple(recorder, "session", NULL, NULL, NULL, &error));
    g_assert_true(list_simple(recorder, "big:3", NULL, NULL, NULL, &error));
    g_assert_true(g_file_get_contents(path, &text, NULL, &error));
    g_assert_null(strstr(text, PASSWORD));
    g_assert_null(strstr(text, "secret-ticket"));
    g_assert_nonnull(strstr(text, "<user>me</user>"));

    Server nobody = { .port = 1 };
    options.record = NULL;
    options.replay = path;
    g_autoptr(VireoSoap) player = client_new(&nobody, options);
    g_autofree char *name = NULL;
    state = (Login){ .password = "another" };
    g_assert_true(list_simple(player, "big:3", NULL, NULL, NULL, &error));
    g_assert_true(list_simple(player, "session", NULL, NULL, &name, &error)); /* logs in, too */
    g_assert_cmpstr(name, ==, "in");
    g_assert_cmpint(state.calls, ==, 1);
    g_assert_false(list_simple(player, "big:3", NULL, NULL, NULL, &error));
    g_assert_error(error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_TAPE);
    g_assert_nonnull(strstr(error->message, "no further answer to this List"));
    g_unlink(path);
    g_rmdir(dir);
}

#define ADD(name, func) g_test_add_func("/soap/" name, func)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    server_start(&server, "http", NULL, NULL);
    ADD("keep-alive", test_keep_alive);
    ADD("reconnect", test_reconnect);
    ADD("unsafe", test_unsafe);
    ADD("server-gone", test_server_gone);
    ADD("restart", test_restart);
    ADD("parallel", test_parallel);
    ADD("connection-limit", test_connection_limit);
    ADD("timeouts", test_timeouts);
    ADD("connect-timeout", test_connect_timeout);
    ADD("cancel", test_cancel);
    ADD("bad-answers", test_bad_answers);
    ADD("streamed", test_streamed);
    ADD("session", test_session);
    ADD("bad-login", test_bad_login);
    ADD("basic", test_basic);
    ADD("bad-options", test_bad_options);
    ADD("tape", test_tape);
    int result = g_test_run();
    server_stop(&server);
    return result;
}
