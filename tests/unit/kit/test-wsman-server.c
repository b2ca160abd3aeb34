/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client with the test server of the hyperv driver (sim): what it asks, and what it makes of answers that are none. */
#include <glib/gstdio.h>
#include <string.h>

#include "kit/wsman.h"

#define V2       "root/virtualization/v2"
#define USER     "admin"
#define PASSWORD "Secret,1"

typedef struct {
    char *folder, *url;
    VireoHttp *control;
    GSubprocess *process;
} Server;

static char *read_ports(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "ports", NULL);
    char *text = NULL;

    for (guint i = 0; i < 1000 && !g_file_get_contents(path, &text, NULL, NULL); i++)
        g_usleep(20000);
    g_assert_nonnull(text);
    return text;
}

static Server *server;

static void server_start(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *program = g_build_filename(g_getenv("VIREO_HYPERVD"), "hypervd.py", NULL);

    server = g_new0(Server, 1);
    server->folder = g_dir_make_tmp("wsman.XXXXXX", &error);
    g_assert_no_error(error);
    server->process = g_subprocess_new(G_SUBPROCESS_FLAGS_STDERR_SILENCE, &error, g_getenv("VIREO_PYTHON"), "-B", program,
                                      server->folder, "--http", "--events", "--machines=7", NULL);
    g_assert_no_error(error);
    g_autofree char *text = read_ports(server->folder);
    g_auto(GStrv) ports = g_strsplit(text, " ", 2);
    g_autofree char *control = g_strdup_printf("http://127.0.0.1:%s", ports[1]);
    server->url = g_strdup_printf("http://127.0.0.1:%s", ports[0]);
    server->control = vireo_http_new(&(VireoHttpOptions){.url = control}, &error);
    g_assert_no_error(error);
}

static void server_stop(void)
{
    g_autofree char *ports = g_build_filename(server->folder, "ports", NULL);

    g_subprocess_force_exit(server->process);
    g_subprocess_wait(server->process, NULL, NULL);
    g_object_unref(server->process);
    vireo_http_free(server->control);
    g_unlink(ports);
    g_rmdir(server->folder);
    g_free(server->folder);
    g_free(server->url);
    g_free(server);
}

static gboolean take(const void *data, gsize len, void *opaque, GError **error)
{
    (void)error;
    g_string_append_len(opaque, data, (gssize)len);
    return TRUE;
}

/* The value of that expression, as JSON. */
static char *ask(const char *expression)
{
    g_autoptr(GError) error = NULL;
    GString *answer = g_string_new(NULL);
    VireoHttpPost post = {.path = "/", .body = expression, .len = strlen(expression), .sink = take, .opaque = answer};

    vireo_http_post(server->control, &post, NULL, &error);
    g_assert_no_error(error);
    return g_string_free(answer, FALSE);
}

static void asked_is(const char *expression, const char *value)
{
    g_autofree char *is = ask(expression);

    g_assert_cmpstr(is, ==, value);
}

static VireoWsman *client_new(guint batch)
{
    g_autoptr(GError) error = NULL;
    VireoWsmanOptions options = {
        .http = {.url = server->url, .user = USER, .password = PASSWORD, .max_answer = 1 << 20}, .batch = batch, .job_ms = 20};
    VireoWsman *wsman = vireo_wsman_new(&options, &error);

    g_assert_no_error(error);
    return wsman;
}

/* ---- what there is to ask ---------------------------------------------------------- */

static void test_identify(void)
{
    g_autoptr(VireoWsman) wsman = client_new(0);
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoCim) is = vireo_wsman_identify(wsman, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(vireo_cim_text(is, "ProductVendor"), ==, "Microsoft Corporation");
    g_assert_cmpstr(vireo_cim_text(is, "ProductVersion"), ==, "OS: 10.0.20348 SP: 0.0 Stack: 3.0");
    g_assert_cmpstr(vireo_cim_text(is, "ProtocolVersion"), ==, "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd");
    g_assert_cmpuint(vireo_wsman_requests(wsman), ==, 1);
}

static void test_query(void)
{
    g_autoptr(VireoWsman) wsman = client_new(3); /* 7 machines and the host: 3, 3, and 2 */
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) all = vireo_wsman_query(wsman, V2, "select * from Msvm_ComputerSystem", NULL, &error);
    guint machines = 0;

    g_assert_no_error(error);
    for (guint i = 0; i < all->len; i++)
        machines += g_str_has_prefix(vireo_cim_string(all->pdata[i], "ElementName"), "vm00");
    g_assert_cmpuint(all->len, ==, 8);
    g_assert_cmpuint(machines, ==, 7);
    g_assert_cmpuint(vireo_wsman_requests(wsman), ==, 3);
    g_assert_null(vireo_wsman_query(wsman, V2, "select from", NULL, &error));
    g_assert_error(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_FAULT);
    g_assert_cmpstr(vireo_wsman_error_subcode(error), ==, "CannotProcessFilter");
    asked_is("len(service.contexts)", "0");
}

/* What happens between two parts of an enumeration. */
static void test_query_broken(void)
{
    static const struct {
        const char *trouble;
        gboolean good;
    } between[] = {{"fault:2150858793", TRUE}, /* nothing yet: asked again */
                   {"garbage", FALSE},
                   {"fault:2150858774", FALSE}}; /* the server has forgotten it */
    g_autoptr(VireoWsman) wsman = client_new(3);

    for (guint i = 0; i < G_N_ELEMENTS(between); i++) {
        g_autofree char *make = g_strdup_printf("service.trouble.extend(['sleep:0', '%s'])", between[i].trouble);
        g_autoptr(GError) error = NULL;

        g_free(ask(make));
        g_autoptr(GPtrArray) all = vireo_wsman_query(wsman, V2, "select * from Msvm_ComputerSystem", NULL, &error);
        g_assert_cmpint(all != NULL, ==, between[i].good);
        g_assert_cmpint(error == NULL, ==, between[i].good);
        g_assert_true(!all || all->len == 8);
        asked_is("len(service.contexts)", "0"); /* what is not wanted any more was given back */
    }
}

/* Asks for a state of that machine, and gets what the method has answered. */
static VireoCim *request_state(VireoWsman *wsman, const char *name, guint state, VireoCim **machine)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *query = g_strdup_printf("select * from Msvm_ComputerSystem where ElementName='%s'", name);
    g_autoptr(GPtrArray) found = vireo_wsman_query(wsman, V2, query, NULL, &error);
    g_autoptr(VireoCim) path =
        vireo_wsman_path(V2, "Msvm_ComputerSystem", "CreationClassName", "Msvm_ComputerSystem");
    g_autoptr(VireoCim) args = vireo_cim_add_number(vireo_cim_new(""), "RequestedState", "uint16", state);

    g_assert_no_error(error);
    vireo_cim_add(path, "Name", NULL, vireo_cim_text(found->pdata[0], "Name"));
    VireoCim *answer = vireo_wsman_invoke(wsman, path, "RequestStateChange", args, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(vireo_cim_number(answer, "ReturnValue"), ==, 4096);
    *machine = g_steal_pointer(&path);
    return answer;
}

/* A look at a job may fail; one that is gone, or that ends badly, is told; one with warnings has worked. */
static void test_job_troubles(void)
{
    static const struct {
        const char *make, *words;
        int code;
    } ends[] = {{"service.trouble.extend(['garbage', 'empty', 'fault:2150858793'])", NULL, 0},
                {"[one.values.update(JobState=32768, ErrorCode=32770) for one in host.all('Msvm_ConcreteJob')] and 1", NULL, 0},
                {"[one.values.update(JobState=8, ErrorCode=32775) for one in host.all('Msvm_ConcreteJob')] and 1",
                 "RequestStateChange ended with error 32775: the state does not allow it", VIREO_WSMAN_ERROR_JOB},
                {"[one.values.update(JobState=10, ErrorDescription='broken') for one in host.all('Msvm_ConcreteJob')] and 1",
                 "RequestStateChange: broken", VIREO_WSMAN_ERROR_JOB},
                {"host.remove(host.all('Msvm_ConcreteJob'))",
                 "RequestStateChange was started, but how it ended is not known: ", VIREO_WSMAN_ERROR_FAULT}};
    g_autoptr(VireoWsman) wsman = client_new(0);

    for (guint i = 0; i < G_N_ELEMENTS(ends); i++) {
        g_autoptr(VireoCim) machine = NULL;
        g_autoptr(GError) error = NULL;

        g_free(ask("host.remove(host.all('Msvm_ConcreteJob')) or host.set_state(host.machine('vm004'), 3)"));
        g_autoptr(VireoCim) answer = request_state(wsman, "vm004", 2, &machine);
        g_free(ask(ends[i].make));
        gboolean good = vireo_wsman_follow(wsman, "RequestStateChange", answer, NULL, NULL, NULL, &error);
        g_assert_cmpint(good, ==, ends[i].words == NULL);
        if (ends[i].words) {
            g_assert_error(error, VIREO_WSMAN_ERROR, ends[i].code);
            g_assert_true(g_str_has_prefix(error->message, ends[i].words));
        }
    }
}

static void test_job(void)
{
    g_autoptr(VireoWsman) wsman = client_new(0);
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoCim) path = NULL, job = NULL;
    g_autoptr(VireoCim) answer = request_state(wsman, "vm003", 2, &path);

    g_assert_true(vireo_wsman_follow(wsman, "RequestStateChange", answer, NULL, NULL, &job, &error));
    g_assert_cmpstr(vireo_cim_class(job), ==, "Msvm_ConcreteJob");
    g_autoptr(VireoCim) now = vireo_wsman_get(wsman, path, NULL, &error);
    g_assert_cmpuint(vireo_cim_number(now, "EnabledState"), ==, 2);
}

static guint pull(VireoWsmanEvents *events, guint timeout_ms)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) some = vireo_wsman_events_pull(events, timeout_ms, NULL, &error);

    g_assert_no_error(error);
    return some->len;
}

static void test_events(void)
{
    g_autoptr(VireoWsman) wsman = client_new(0);
    g_autoptr(GError) error = NULL;
    VireoWsmanEvents *events = vireo_wsman_subscribe(
        wsman, V2,
        "select * from __InstanceModificationEvent within 1 where TargetInstance isa 'Msvm_ComputerSystem' and "
        "TargetInstance.EnabledState <> PreviousInstance.EnabledState",
        NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(pull(events, 100), ==, 0); /* a fault */
    g_assert_cmpuint(pull(events, 100), ==, 0); /* an answer without items */
    g_free(ask("host.machine('vm001').__setitem__('OnTimeInMilliseconds', 5)"));
    g_assert_cmpuint(pull(events, 100), ==, 0);
    g_free(ask("host.set_state(host.machine('vm001'), 9)"));
    g_autoptr(GPtrArray) some = vireo_wsman_events_pull(events, 5000, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(some->len, ==, 1);
    g_assert_cmpstr(vireo_cim_class(some->pdata[0]), ==, "__InstanceModificationEvent");
    g_autoptr(VireoCim) target = vireo_cim_dup_object(some->pdata[0], "TargetInstance", 0);
    g_assert_cmpstr(vireo_cim_text(target, "ElementName"), ==, "vm001");
    g_assert_cmpuint(vireo_cim_number(target, "EnabledState"), ==, 9);
    asked_is("len(service.subscriptions)", "1");
    vireo_wsman_unsubscribe(events);
    asked_is("len(service.subscriptions)", "0");
    g_assert_null(vireo_wsman_subscribe(wsman, V2, "select * from __InstanceCreationEvent", NULL, &error));
    g_assert_error(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_FAULT);
}

/* ---- what goes wrong --------------------------------------------------------------- */

static void test_troubles(void)
{
    static const struct {
        const char *trouble;
        const char *words;
    } troubles[] = {{"close", "ended before its answer"}, {"die", "ended before its answer"},
                    {"garbage", "not XML"},               {"truncate", "not XML"},
                    {"empty", "is empty"},                {"html", "no SOAP envelope"},
                    {"relates", "another message"},       {"huge:2000000", "more than the 1048576 bytes"},
                    {"bomb:5000000", "more than the 1048576 bytes"},
                    {"deep:100000", "not XML"},           {"drip:3", "did not answer in time"},
                    {"sleep:3", "did not answer in time"}};
    g_autoptr(VireoWsman) wsman = client_new(0);

    for (guint i = 0; i < G_N_ELEMENTS(troubles); i++) {
        g_autofree char *make = g_strdup_printf("service.trouble.extend(['%s'] * 2)", troubles[i].trouble);
        g_autoptr(GError) error = NULL;
        VireoHttpWait wait = {.timeout_ms = 700};

        g_free(ask(make));
        g_assert_null(vireo_wsman_query(wsman, "root/cimv2", "select * from Win32_ComputerSystem", &wait, &error));
        g_assert_nonnull(error);
        if (!strstr(error->message, troubles[i].words))
            g_error("%s: %s", troubles[i].trouble, error->message);
        g_free(ask("service.trouble.clear()"));
        g_clear_error(&error);
        g_autoptr(GPtrArray) all =
            vireo_wsman_query(wsman, "root/cimv2", "select * from Win32_ComputerSystem", NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(all->len, ==, 1);
    }
}

/* Recordings with some bytes changed are read or refused. */
static void test_mutations(void)
{
    static const char *const names[] = {"recorded_computersystem_pull_vm_running_a.xml",
                                        "recorded_affectedjobelement_pull_created.xml"};
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    guint good = 0, bad = 0;

    for (guint n = 0; n < 3000; n++) {
        g_autofree char *path = g_build_filename(g_getenv("VIREO_RECORDINGS"), names[n % 2], NULL), *text = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(VireoWsmanAnswer) answer = {0};
        gsize len;

        g_assert_true(g_file_get_contents(path, &text, &len, NULL));
        for (guint i = n % 4; i < 4; i++)
            text[g_rand_int_range(rand, 0, (gint32)len)] = (char)g_rand_int_range(rand, ' ', 127);
        if (n % 5 == 0)
            len = (gsize)g_rand_int_range(rand, 0, (gint32)len);
        if (vireo_wsman_answer_read(text, len, &answer, &error)) {
            good++;
            g_assert_no_error(error);
            for (guint i = 0; answer.items && i < answer.items->len; i++)
                g_free(vireo_cim_print(answer.items->pdata[i]));
        } else {
            bad++;
            g_assert_nonnull(error);
        }
    }
    g_assert_cmpuint(good, >, 100);
    g_assert_cmpuint(bad, >, 100);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wsman/mutations", test_mutations);
    g_test_add_func("/wsman/sim/identify", test_identify);
    g_test_add_func("/wsman/sim/query", test_query);
    g_test_add_func("/wsman/sim/query-broken", test_query_broken);
    g_test_add_func("/wsman/sim/job", test_job);
    g_test_add_func("/wsman/sim/job-troubles", test_job_troubles);
    g_test_add_func("/wsman/sim/events", test_events);
    g_test_add_func("/wsman/sim/troubles", test_troubles);
    server_start();
    int failed = g_test_run();
    if (!failed)
        asked_is("service.strict", "[]");
    server_stop();
    return failed;
}
