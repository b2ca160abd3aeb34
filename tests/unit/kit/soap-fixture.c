/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "soap-fixture.h"

void server_start(Server *server, const char *kind, const char *cert, const char *key)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *script = g_test_build_filename(G_TEST_DIST, "soap-server.py", NULL);

    server->process = g_subprocess_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error,
                                       "python3", "-B", script, kind, cert, key, NULL);
    g_assert_no_error(error);
    server->out = g_data_input_stream_new(g_subprocess_get_stdout_pipe(server->process));
    g_autofree char *port = server_line(server);
    g_assert_nonnull(port);
    server->port = atoi(port);
}

void server_stop(Server *server)
{
    if (!server->process)
        return;
    g_subprocess_force_exit(server->process);
    g_subprocess_wait(server->process, NULL, NULL);
    g_clear_object(&server->out);
    g_clear_object(&server->process);
}

char *server_line(Server *server)
{
    return g_data_input_stream_read_line(server->out, NULL, NULL, NULL);
}

char *server_url(const Server *server, const char *scheme)
{
    return g_strdup_printf("%s://127.0.0.1:%d", scheme, server->port);
}

VireoSoap *client_new(const Server *server, VireoSoapOptions options)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *url = server_url(server, "http");

    options.service = &zoo_service;
    if (!options.http.url)
        options.http.url = url;
    VireoSoap *soap = vireo_soap_new(&options, &error);
    g_assert_no_error(error);
    return soap;
}

ZooListRet *list(VireoSoap *soap, const char *filter, const VireoHttpWait *wait, VireoArena *arena, GError **error)
{
    ZooListArgs args = { .filter = filter };

    return zoo_list(soap, &args, wait, arena, error);
}

gboolean list_simple(VireoSoap *soap, const char *filter, const VireoHttpWait *wait, int *total, char **name,
                     GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    ZooListRet *ret = list(soap, filter, wait, arena, error);

    if (!ret)
        return FALSE;
    if (total)
        *total = ret->has_total ? ret->total : -1;
    if (name)
        *name = ret->returnval.n ? g_strdup(ret->returnval.items[0]->name) : NULL;
    return TRUE;
}

gint64 ms_since(gint64 begin)
{
    return (g_get_monotonic_time() - begin) / 1000;
}
