/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every header of the kit, and a call into each part of the archive. */
#include <kit/argv.h>
#include <kit/file.h>
#include <kit/json.h>
#include <kit/loop.h>
#include <kit/model.h>
#include <kit/node.h>
#include <kit/process.h>
#include <kit/qmp.h>
#include <kit/retry.h>
#include <util/uuid.h>

#include <unistd.h>

static void called(void *opaque)
{
    g_async_queue_push(opaque, opaque);
}

int main(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) object = vireo_json_new('s', "id", "x", 'i', "size", (gint64)7, 0);
    g_autofree char *text = vireo_json_text(object);
    g_autoptr(VireoLoop) loop = vireo_loop_new("kit");
    g_autoptr(GAsyncQueue) calls = g_async_queue_new();
    VireoNodeInfo node;
    VireoDomain *domain;

    g_assert_cmpstr(text, ==, "{\"id\":\"x\",\"size\":7}");
    g_assert_true(vireo_node_info(&node, &error));
    g_assert_cmpint(node.cpus, >, 0);
    g_assert_false(vireo_file_read("/proc/no such file", 10, &text, NULL, &error));
    g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
    g_clear_error(&error);
    g_assert_cmpuint(vireo_process_start_time(getpid()), >, 0);
    g_assert_cmpstr(g_quark_to_string(VIREO_QMP_ERROR), !=, NULL);
    vireo_loop_later(loop, 0, called, calls, NULL);
    g_assert_true(g_async_queue_timeout_pop(calls, 10 * G_TIME_SPAN_SECOND) == calls);

    g_autoptr(VireoArgv) command = vireo_argv_new("tool");
    vireo_argv_add_secret(command, "key=", "hidden");
    g_autofree char *shown = vireo_argv_show(command);
    g_assert_cmpstr(shown, ==, "tool 'key=*****'");
    VireoRetry retry = { .tries = 1 };
    g_assert_false(vireo_retry_again(&retry));

    domain = vireo_domain_parse("<domain type='test'><name>vm</name></domain>", 0, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(domain->name, ==, "vm");
    vireo_domain_free(domain);
    VireoDomainVirt own = vireo_domain_virt_add("acme");
    domain = vireo_domain_parse("<domain type='acme'><name>vm</name></domain>", VIREO_MODEL_PARSE_VALIDATE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(domain->type, ==, own);
    vireo_domain_free(domain);
    g_assert_null(vireo_domain_parse("<domain", 0, &error));
    g_assert_cmpint(error->domain, ==, VIREO_ERROR);
    return 0;
}
