/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/argv.h"

#define ODD "it's a \"b\" $HOME `id` \\ \n\t*"

static void test_build(void)
{
    g_autoptr(VireoArgv) argv = vireo_argv_new("/usr/bin/tool");

    vireo_argv_add(argv, "-a", "", NULL);
    vireo_argv_addf(argv, "-n", "%d,%s", 5, "x");
    vireo_argv_addf(argv, NULL, "%u", 6u);
    vireo_argv_take(argv, "-t", g_strdup("last"));
    const char *expected[] = { "/usr/bin/tool", "-a", "", "-n", "5,x", "6", "-t", "last", NULL };
    g_assert_true(g_strv_equal(vireo_argv_get(argv), expected));
    g_assert_cmpuint(vireo_argv_length(argv), ==, 8);
}

static void test_empty(void)
{
    g_autoptr(VireoArgv) argv = vireo_argv_new(NULL);
    g_autofree char *shown = vireo_argv_show(argv);

    g_assert_cmpuint(vireo_argv_length(argv), ==, 0);
    g_assert_null(vireo_argv_get(argv)[0]);
    g_assert_cmpstr(shown, ==, "");
}

/* What is shown is what a shell would read. */
static void test_round_trip(void)
{
    g_autoptr(VireoArgv) argv = vireo_argv_new("tool");
    g_autoptr(GError) error = NULL;

    vireo_argv_add(argv, ODD, "", "plain-1.0,x=/y", "ü", "#no comment", "~", NULL);
    g_autofree char *shown = vireo_argv_show(argv);
    g_autoptr(VireoArgv) again = vireo_argv_parse(shown, &error);
    g_assert_no_error(error);
    g_assert_true(g_strv_equal(vireo_argv_get(argv), vireo_argv_get(again)));
    g_assert_nonnull(strstr(shown, " plain-1.0,x=/y "));

    g_autofree char *echo = g_strdup_printf("printf '%%s|' %s", shown), *out = NULL;
    const char *shell[] = { "/bin/sh", "-c", echo, NULL };
    g_spawn_sync(NULL, (char **)shell, NULL, 0, NULL, NULL, &out, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(out, ==, "tool|" ODD "||plain-1.0,x=/y|ü|#no comment|~|");
}

static void test_secret(void)
{
    g_autoptr(VireoArgv) argv = vireo_argv_new("tool");

    vireo_argv_add(argv, "-object", NULL);
    vireo_argv_add_secret(argv, "secret,id=s,data=", "hunter2");
    vireo_argv_add_secret(argv, NULL, "hunter2");
    g_autofree char *shown = vireo_argv_show(argv);
    g_assert_cmpstr(vireo_argv_get(argv)[2], ==, "secret,id=s,data=hunter2");
    g_assert_cmpstr(vireo_argv_get(argv)[3], ==, "hunter2");
    g_assert_cmpstr(shown, ==, "tool -object 'secret,id=s,data=*****' '*****'");
}

static void test_parse_errors(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoArgv) none = vireo_argv_parse("  ", &error);

    g_assert_no_error(error);
    g_assert_cmpuint(vireo_argv_length(none), ==, 0);
    g_assert_null(vireo_argv_parse("tool 'open", &error));
    g_assert_error(error, G_SHELL_ERROR, G_SHELL_ERROR_BAD_QUOTING);
}

static void test_options(void)
{
    g_autoptr(GString) options = g_string_new(NULL);

    vireo_options_add(options, NULL, "socket");
    vireo_options_add(options, "path", "/a,b,,c");
    vireo_options_add(options, "absent", NULL);
    vireo_options_addf(options, "port", "%d", 5);
    vireo_options_switch(options, "server", TRUE);
    vireo_options_switch(options, "wait", FALSE);
    g_assert_cmpstr(options->str, ==, "socket,path=/a,,b,,,,c,port=5,server=on,wait=off");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/argv/build", test_build);
    g_test_add_func("/argv/empty", test_empty);
    g_test_add_func("/argv/round-trip", test_round_trip);
    g_test_add_func("/argv/secret", test_secret);
    g_test_add_func("/argv/parse-errors", test_parse_errors);
    g_test_add_func("/argv/options", test_options);
    return g_test_run();
}
