/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trust, proxies and files. The certificates are made here, by openssl(1). */
#include <glib/gstdio.h>
#include <string.h>

#include "soap-fixture.h"

#define SIZE (8 * 1024 * 1024 + 3)

static Server plain, secure, proxy;
static char *dir, *ca, *other_ca, *cert, *key, *pin;

static char *shell(const char *format, ...) G_GNUC_PRINTF(1, 2);
static char *shell(const char *format, ...)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *out = NULL;
    va_list list;
    int status;

    va_start(list, format);
    g_autofree char *line = g_strdup_vprintf(format, list);
    va_end(list);
    const char *argv[] = { "/bin/sh", "-ec", line, NULL };
    g_spawn_sync(dir, (char **)argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out, NULL, &status, &error);
    g_assert_no_error(error);
    g_assert_true(g_spawn_check_wait_status(status, NULL));
    return g_strdup(g_strstrip(out));
}

static void make_certificates(void)
{
    g_autofree char *made = shell(
        "for name in ca other; do openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$name -keyout $name.key"
        " -out $name.pem; done\n"
        "openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr\n"
        "echo subjectAltName=IP:127.0.0.1 > names\n"
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem");

    g_assert_nonnull(made);
    ca = g_build_filename(dir, "ca.pem", NULL);
    other_ca = g_build_filename(dir, "other.pem", NULL);
    cert = g_build_filename(dir, "server.pem", NULL);
    key = g_build_filename(dir, "server.key", NULL);
    g_autofree char *digest = shell("openssl x509 -in server.pem -pubkey -noout | openssl pkey -pubin -outform der |"
                                    " openssl dgst -sha256 -binary | base64");
    pin = g_strconcat("sha256//", digest, NULL);
}

/* ---- trust ----------------------------------------------------------------------- */

static void try_tls(const char *host, VireoHttpOptions http, gboolean trusted)
{
    g_autofree char *url = g_strdup_printf("https://%s:%d", host, secure.port);
    g_autoptr(GError) error = NULL;

    http.url = url;
    g_autoptr(VireoSoap) soap = client_new(&secure, (VireoSoapOptions){ .http = http });
    gboolean done = list_simple(soap, "names", NULL, NULL, NULL, &error);
    if (trusted)
        g_assert_no_error(error);
    else
        g_assert_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_TLS);
    g_assert_cmpint(done, ==, trusted);
}

static void test_tls(void)
{
    const char *wrong_pin = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    try_tls("127.0.0.1", (VireoHttpOptions){ .ca_file = ca }, TRUE);
    try_tls("127.0.0.1", (VireoHttpOptions){ .ca_file = other_ca }, FALSE);
    try_tls("127.0.0.1", (VireoHttpOptions){ 0 }, FALSE);
    try_tls("localhost", (VireoHttpOptions){ .ca_file = ca }, FALSE); /* not the name it is certified for */
    try_tls("127.0.0.1", (VireoHttpOptions){ .insecure = TRUE }, TRUE);
    try_tls("127.0.0.1", (VireoHttpOptions){ .pin = pin }, TRUE);
    try_tls("127.0.0.1", (VireoHttpOptions){ .pin = wrong_pin }, FALSE);
    try_tls("127.0.0.1", (VireoHttpOptions){ .pin = wrong_pin, .insecure = TRUE }, FALSE);
    try_tls("127.0.0.1", (VireoHttpOptions){ .pin = wrong_pin, .ca_file = ca }, FALSE);
}

/* ---- proxies --------------------------------------------------------------------- */

static void test_proxy(void)
{
    g_autofree char *way = server_url(&proxy, "http"), *url = server_url(&secure, "https"), *told = NULL;
    VireoSoapOptions options = { .http.proxy = way };
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;

    g_autoptr(VireoSoap) soap = client_new(&plain, options);
    ZooListRet *ret = list(soap, "names", NULL, arena, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(ret->returnval.items[2]->name, ==, "the-proxy");
    told = server_line(&proxy);
    g_assert_cmpstr(told, ==, "POST");
    g_free(told);

    options.http.url = url;
    options.http.ca_file = ca;
    g_autoptr(VireoSoap) tunnel = client_new(&secure, options);
    g_assert_true(list_simple(tunnel, "names", NULL, NULL, NULL, &error));
    g_assert_no_error(error);
    told = server_line(&proxy);
    g_assert_cmpstr(told, ==, "CONNECT");

    options.http.proxy = "http://user:secret@127.0.0.1:1";
    g_autoptr(VireoSoap) dead = client_new(&secure, options);
    g_assert_false(list_simple(dead, "names", NULL, NULL, NULL, &error));
    g_assert_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_CONNECT);
    g_assert_null(strstr(error->message, "secret"));
}

/* ---- files ----------------------------------------------------------------------- */

typedef struct {
    guint64 at, stop_at;
    gboolean wrong, silent;
} Position;

static guint8 byte_at(guint64 at)
{
    return (guint8)(at * 2654435761u >> 13);
}

static gssize give(void *data, gsize len, void *opaque, GError **error)
{
    Position *position = opaque;

    if (position->stop_at && position->at >= position->stop_at) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_IO, "the disk is gone");
        return -1;
    }
    len = MIN(len, SIZE - position->at);
    for (gsize i = 0; i < len; i++)
        ((guint8 *)data)[i] = byte_at(position->at++);
    return (gssize)len;
}

static gboolean receive(const void *data, gsize len, void *opaque, GError **error)
{
    Position *position = opaque;

    if (position->stop_at && position->at >= position->stop_at) {
        if (!position->silent)
            g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "the disk is full");
        return FALSE;
    }
    for (gsize i = 0; i < len; i++)
        position->wrong |= ((const guint8 *)data)[i] != byte_at(position->at++);
    return TRUE;
}

static VireoHttp *http_new(guint stall_ms)
{
    g_autofree char *url = server_url(&plain, "http");
    VireoHttpOptions options = { .url = url, .stall_ms = stall_ms, .max_answer = 1000 };
    g_autoptr(GError) error = NULL;
    VireoHttp *http = vireo_http_new(&options, &error);

    g_assert_no_error(error);
    return http;
}

static void upload(VireoHttp *http, const char *path)
{
    Position position = { 0 };
    VireoHttpTransfer put = { .method = "PUT", .path = path, .size = SIZE, .source = give, .opaque = &position };
    g_autoptr(GError) error = NULL;

    vireo_http_transfer(http, &put, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(position.at, ==, SIZE);
}

static void test_files(void)
{
    g_autoptr(VireoHttp) http = http_new(0);
    g_autofree char *path = vireo_http_escape("/folder/a disk?.vmdk");
    g_autoptr(GError) error = NULL;
    Position position = { 0 };
    VireoHttpTransfer head = { .method = "HEAD", .path = path };
    VireoHttpTransfer get = { .method = "GET", .path = path, .sink = receive, .opaque = &position };
    VireoHttpTransfer delete = { .method = "DELETE", .path = path };

    g_assert_cmpstr(path, ==, "/folder/a%20disk%3F.vmdk");
    upload(http, path);
    g_assert_true(vireo_http_transfer(http, &head, NULL, &error));
    g_assert_cmpint(head.answer_size, ==, SIZE);
    g_assert_true(vireo_http_transfer(http, &get, NULL, &error)); /* max_answer is not for files */
    g_assert_cmpuint(position.at, ==, SIZE);
    g_assert_false(position.wrong);
    g_assert_true(vireo_http_transfer(http, &delete, NULL, &error));
    g_assert_no_error(error);
    g_assert_false(vireo_http_transfer(http, &get, NULL, &error));
    g_assert_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_NOT_FOUND);
}

static void test_parts(void)
{
    g_autoptr(VireoHttp) http = http_new(0);
    g_autoptr(GError) error = NULL;
    Position position = { .at = 1000000 };
    VireoHttpTransfer part = { .method = "GET", .path = "/part", .offset = 1000000, .length = 5000, .sink = receive,
                               .opaque = &position };

    upload(http, "/part");
    upload(http, "/whole");
    g_assert_true(vireo_http_transfer(http, &part, NULL, &error));
    g_assert_cmpuint(position.at, ==, 1005000);
    g_assert_false(position.wrong);
    part.length = 0;
    position.at = 1000000;
    g_assert_true(vireo_http_transfer(http, &part, NULL, &error));
    g_assert_cmpuint(position.at, ==, SIZE);
    g_assert_false(position.wrong);
    /* a server that sends all of it instead */
    part.path = "/whole";
    position.at = 7;
    g_assert_false(vireo_http_transfer(http, &part, NULL, &error));
    g_assert_nonnull(strstr(error->message, "does not serve parts"));
    g_assert_cmpuint(position.at, ==, 7);
}

static void test_broken_transfers(void)
{
    g_autoptr(VireoHttp) http = http_new(1000);
    g_autoptr(GError) error = NULL;
    Position position = { .stop_at = 100000 };
    VireoHttpTransfer put = { .method = "PUT", .path = "/never", .size = SIZE, .source = give, .opaque = &position };
    VireoHttpTransfer get = { .method = "GET", .path = "/whole2", .sink = receive, .opaque = &position };

    g_assert_false(vireo_http_transfer(http, &put, NULL, &error));
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_IO);
    g_clear_error(&error);
    upload(http, "/whole2");
    position.at = 0;
    g_assert_false(vireo_http_transfer(http, &get, NULL, &error));
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC);
    g_clear_error(&error);
    position = (Position){ .stop_at = 100000, .silent = TRUE };
    g_assert_false(vireo_http_transfer(http, &get, NULL, &error));
    g_assert_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_FILE);
    g_clear_error(&error);
    get.path = "/stall";
    position = (Position){ 0 };
    gint64 begin = g_get_monotonic_time();
    g_assert_false(vireo_http_transfer(http, &get, NULL, &error));
    g_assert_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_TIMEOUT);
    g_assert_cmpint(ms_since(begin), <, 8000);
    g_clear_error(&error);
    get.method = "BREW";
    g_assert_false(vireo_http_transfer(http, &get, NULL, &error));
    g_assert_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_INVALID);
    g_clear_error(&error);
    get.path = "/a b\r\nX-Injected: 1";
    g_assert_false(vireo_http_transfer(http, &get, NULL, &error));
    g_assert_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_INVALID);
}

#define ADD(name, func) g_test_add_func("/http/" name, func)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* The environment has no say. */
    g_setenv("http_proxy", "http://127.0.0.1:1", TRUE);
    g_setenv("ALL_PROXY", "http://127.0.0.1:1", TRUE);
    dir = g_dir_make_tmp("vireo-http-XXXXXX", NULL);
    make_certificates();
    server_start(&plain, "http", NULL, NULL);
    server_start(&secure, "https", cert, key);
    server_start(&proxy, "proxy", NULL, NULL);
    ADD("tls", test_tls);
    ADD("proxy", test_proxy);
    ADD("files", test_files);
    ADD("parts", test_parts);
    ADD("broken-transfers", test_broken_transfers);
    int result = g_test_run();
    server_stop(&plain);
    server_stop(&secure);
    server_stop(&proxy);
    g_autofree char *removed = shell("rm -r \"$PWD\"");
    return result;
}
