/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <unistd.h>
#include <vireo/ops.h>

#include "lib/uri.h"
#include "util/error.h"

static void test_names(void)
{
    static const struct {
        const char *text, *scheme, *name, *socket;
    } cases[] = {
        { "qemu:///system", "qemu", "qemu:///system", NULL },
        { "qemu+unix:///system?socket=/run/x", "qemu", "qemu:///system", "/run/x" },
        { "test:///default?socket=/a%20b&x=1", "test", "test:///default?x=1", "/a b" },
        { "test:///default?x=1&mode=legacy&y=2&authfile=/c", "test", "test:///default?x=1&y=2", NULL },
        { "qemu:///embed?root=/r&socket=/s", "qemu", "qemu:///embed?root=/r", "/s" },
        { "esx://root@host.example/?no_verify=1&socket=/s", "esx", "esx://root@host.example/?no_verify=1", "/s" },
        { "esx:///", "esx", "esx:///", NULL },
        { "vpx://u@h:444/dc/cluster/node?auto_answer=1", "vpx", "vpx://u@h:444/dc/cluster/node?auto_answer=1", NULL },
        { "vbox:///system?socket=/s", "vbox", "vbox:///system", "/s" },
        { "vbox://me@host.example:18084/", "vbox", "vbox://me@host.example:18084/", NULL },
        { "qemu+unix:///system?name=test:///default", "qemu", "test:///default", NULL },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VireoUri) uri = vireo_uri_parse(cases[i].text, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(uri->scheme, ==, cases[i].scheme);
        g_assert_cmpstr(uri->name, ==, cases[i].name);
        g_assert_cmpstr(uri->socket, ==, cases[i].socket);
    }
}

static void test_none(void)
{
    g_autoptr(VireoUri) uri = vireo_uri_parse(NULL, NULL);

    g_assert_cmpstr(uri->name, ==, "");
    g_assert_null(uri->scheme);
    g_assert_cmpint(uri->session, ==, geteuid() != 0);
}

static void test_refused(void)
{
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        { "qemu+ssh://host/system", VIREO_ERR_NO_SUPPORT },
        { "qemu://host/system", VIREO_ERR_NO_SUPPORT },
        { "qemu+tcp://host/system", VIREO_ERR_NO_SUPPORT },
        { "system", VIREO_ERR_INVALID_ARG },
        { "://", VIREO_ERR_INVALID_ARG },
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(vireo_uri_parse(cases[i].text, &error));
        g_assert_error(error, VIREO_ERROR, cases[i].code);
    }
}

/* No daemon has a driver of that name: the path where its socket should be. */
static void test_direct(void)
{
    g_autoptr(VireoUri) uri = vireo_uri_parse("nodriver:///system?mode=direct", NULL);
    g_autofree char *path = vireo_uri_find_socket(uri, FALSE);
    g_autofree char *readonly = vireo_uri_find_socket(uri, TRUE);

    g_assert_cmpstr(uri->name, ==, "nodriver:///system");
    g_assert_cmpstr(path, ==, "/run/vireo/vireod-nodriver-sock");
    g_assert_cmpstr(readonly, ==, "/run/vireo/vireod-nodriver-sock-ro");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uri/names", test_names);
    g_test_add_func("/uri/none", test_none);
    g_test_add_func("/uri/refused", test_refused);
    g_test_add_func("/uri/direct", test_direct);
    return g_test_run();
}
