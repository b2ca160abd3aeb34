/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Slow and failing on demand; cancelling and aborting. */
#include "common.h"

#include <string.h>

#define MS 1000

static int timed(Fixture *f, const char *op, gint64 *us, gboolean *pending)
{
    g_autoptr(vireo_call) call = fake_call_new(f->host);
    vireo_domain_suspend_args args = {domain(f, "test")};
    gint64 begin = g_get_monotonic_time();

    fake_call_run(call, f->conn, op, &args, NULL);
    *us = g_get_monotonic_time() - begin;
    *pending = call->pending;
    g_assert_cmpuint(call->completions, ==, call->pending ? 1 : 0);
    return call->code;
}

static void test_uri(void)
{
    Fixture f;
    gint64 us;
    gboolean pending;

    fixture_up(&f, "test:///default?delay.domain_suspend=60ms&later.domain_resume=60ms"
                   "&fail.domain_reset=38");
    g_assert_cmpint(timed(&f, "domain_suspend", &us, &pending), ==, 0);
    g_assert_cmpint(us, >=, 60 * MS);
    g_assert_false(pending);
    assert_state(&f, "test", PAUSED, USER);
    g_assert_cmpint(timed(&f, "domain_resume", &us, &pending), ==, 0);
    g_assert_cmpint(us, >=, 60 * MS);
    g_assert_true(pending);
    assert_state(&f, "test", RUNNING, UNPAUSED);
    g_assert_cmpint(simple(&f, "domain_reset", "test"), ==, 38);
    fixture_down(&f);
}

static void test_open(void)
{
    Fixture f;
    int code = 0;

    fixture_up(&f, "test:///default");
    g_assert_null(fake_open(f.host, "test:///default?fail.conn_open=45", NULL, &code));
    g_assert_cmpint(code, ==, VIREO_ERR_AUTH_FAILED);
    fixture_down(&f);
}

static void test_metadata(void)
{
    static const char xml[] =
        "<domain type='test'><name>odd</name><metadata>"
        "<t:behaviour xmlns:t='urn:vireo:test' op='domain_create_with_flags' fail='9'/>"
        "</metadata><memory>1024</memory><os><type>hvm</type></os></domain>";
    Fixture f;

    fixture_up(&f, "test:///default");
    g_assert_cmpint(define(&f, xml), ==, 0);
    g_assert_cmpint(simple(&f, "domain_create_with_flags", "odd"), ==, VIREO_ERR_OPERATION_FAILED);
    assert_state(&f, "odd", SHUTOFF, UNKNOWN);
    g_assert_cmpint(simple(&f, "domain_suspend", "test"), ==, 0); /* the others are as ever */
    fixture_down(&f);
}

typedef struct {
    Fixture *f;
    vireo_call *call;
    const char *op;
} Slow;

static gpointer run_slow(gpointer data)
{
    Slow *slow = data;
    vireo_domain_managed_save_args args = {domain(slow->f, "test"), 0};

    fake_call_run(slow->call, slow->f->conn, slow->op, &args, NULL);
    return NULL;
}

static void cancel_one(const char *uri)
{
    Fixture f;
    Slow slow = {.f = &f, .op = "domain_managed_save"};
    GThread *thread;
    gint64 begin = g_get_monotonic_time();

    fixture_up(&f, uri);
    slow.call = fake_call_new(f.host);
    thread = g_thread_new("slow", run_slow, &slow);
    g_usleep(50 * MS);
    assert_state(&f, "test", RUNNING, BOOTED);
    g_atomic_int_set(&slow.call->cancelled, 1);
    g_thread_join(thread);
    g_assert_cmpint(slow.call->code, ==, VIREO_ERR_OPERATION_ABORTED);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 5000 * MS);
    assert_state(&f, "test", RUNNING, BOOTED);
    g_assert_cmpuint(slow.call->completions, ==, slow.call->pending ? 1 : 0);
    fake_call_free(slow.call);
    fixture_down(&f);
}

static void test_cancel(void)
{
    cancel_one("test:///default?delay.domain_managed_save=60s");
    cancel_one("test:///default?later.domain_managed_save=60s");
}

static int job_type(Fixture *f, guint flags, int *operation)
{
    g_autoptr(vireo_call) call = fake_call_new(f->host);
    vireo_domain_get_job_stats_args args = {domain(f, "test"), flags};
    vireo_domain_get_job_stats_ret ret = {0};

    fake_call_run(call, f->conn, "domain_get_job_stats", &args, &ret);
    *operation = ret.params.len ? ret.params.val[0].value.i : -1;
    return ret.type;
}

static void test_job(void)
{
    Fixture f;
    Slow slow = {.f = &f, .op = "domain_managed_save"};
    GThread *thread;
    int operation;

    fixture_up(&f, "test:///default?delay.domain_managed_save=60s");
    g_assert_cmpint(job_type(&f, 0, &operation), ==, VIREO_DOMAIN_JOB_NONE);
    g_assert_cmpint(simple(&f, "domain_abort_job_flags", "test"), ==, VIREO_ERR_OPERATION_INVALID);
    slow.call = fake_call_new(f.host);
    thread = g_thread_new("slow", run_slow, &slow);
    while (job_type(&f, 0, &operation) == VIREO_DOMAIN_JOB_NONE)
        g_usleep(5 * MS);
    g_assert_cmpint(operation, ==, VIREO_DOMAIN_JOB_OPERATION_SAVE);
    g_assert_cmpint(simple(&f, "domain_abort_job_flags", "test"), ==, 0);
    g_thread_join(thread);
    g_assert_cmpint(slow.call->code, ==, VIREO_ERR_OPERATION_ABORTED);
    g_assert_cmpint(job_type(&f, VIREO_DOMAIN_JOB_STATS_COMPLETED, &operation), ==,
                    VIREO_DOMAIN_JOB_CANCELLED);
    fake_call_free(slow.call);
    fixture_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uri", test_uri);
    g_test_add_func("/open", test_open);
    g_test_add_func("/metadata", test_metadata);
    g_test_add_func("/cancel", test_cancel);
    g_test_add_func("/job", test_job);
    return g_test_run();
}
