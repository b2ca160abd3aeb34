/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting, stopping and everything in between. */
#include "ops.h"

#include <string.h>

guint64 test_domain_cpu_ns(const TestDomain *dom)
{
    guint64 ns = dom->guest.cpu_ns;

    if (dom->guest.start_us)
        ns += (guint64)(g_get_monotonic_time() - dom->guest.start_us) * 1000 * dom->vcpus;
    return ns;
}

static void clock_stop(TestDomain *dom)
{
    dom->guest.cpu_ns = test_domain_cpu_ns(dom);
    dom->guest.start_us = 0;
}

static void set_state(TestDomain *dom, int state, int reason)
{
    clock_stop(dom);
    dom->state = state;
    dom->reason = reason;
    if (state == VIREO_DOMAIN_RUNNING)
        dom->guest.start_us = g_get_monotonic_time();
}

static void boot(TestDomain *dom)
{
    g_clear_pointer(&dom->guest.ram, g_free);
    dom->guest.boots++;
    dom->nvram++;
}

void test_domain_start(TestDomain *dom, int reason, guint flags)
{
    gboolean paused = flags & TEST_START_PAUSED;
    gboolean booted = reason == VIREO_DOMAIN_RUNNING_BOOTED;

    if (!dom->live)
        dom->live = g_ref_string_acquire(dom->config);
    if (flags & TEST_START_RESET_NVRAM)
        dom->nvram = 0;
    dom->guest = (TestGuest){0};
    dom->id = dom->node->next_id++;
    boot(dom);
    if (paused)
        set_state(dom, VIREO_DOMAIN_PAUSED,
                  booted ? VIREO_DOMAIN_PAUSED_USER : VIREO_DOMAIN_PAUSED_FROM_SNAPSHOT);
    else
        set_state(dom, VIREO_DOMAIN_RUNNING, reason);
    test_domain_refresh(dom);
    test_domain_publish(dom);
}

void test_domain_stop(TestDomain *dom, int reason)
{
    test_console_close(dom);
    set_state(dom, VIREO_DOMAIN_SHUTOFF, reason);
    dom->id = -1;
    g_clear_pointer(&dom->live, g_ref_string_release);
    g_free(dom->guest.ram);
    dom->guest = (TestGuest){0};
    if (dom->extra)
        dom->extra->frozen = 0;
    if (dom->config)
        test_domain_refresh(dom);
    test_domain_publish(dom);
    if (!dom->config)
        test_domain_drop(dom);
}

void test_domain_run(TestDomain *dom, int reason)
{
    set_state(dom, VIREO_DOMAIN_RUNNING, reason);
    test_domain_publish(dom);
}

void test_domain_pause(TestDomain *dom, int reason)
{
    set_state(dom, VIREO_DOMAIN_PAUSED, reason);
    test_domain_publish(dom);
}

/* ---- create -----------------------------------------------------------------------------------
 */

static void remember_mine(TestConn *conn, const TestDomain *dom, guint flags)
{
    if (flags & VIREO_DOMAIN_START_AUTODESTROY)
        g_hash_table_add(conn->mine, g_memdup2(dom->uuid, sizeof dom->uuid));
}

static guint start_flags(guint flags)
{
    return (flags & VIREO_DOMAIN_START_PAUSED ? TEST_START_PAUSED : 0) |
           (flags & VIREO_DOMAIN_START_RESET_NVRAM ? TEST_START_RESET_NVRAM : 0);
}

static int create_xml(TestConn *conn, vireo_call *call, const char *xml, guint flags,
                      vireo_domain_ref *ref)
{
    GError *error = NULL;
    guint how = flags & VIREO_DOMAIN_START_VALIDATE ? TEST_DEFINE_VALIDATE : 0;
    g_autoptr(VireoDomain) doc = test_definition_parse(xml, how, &error);
    TestDomain *dom;

    if (!doc)
        return test_fail_error(call, error);
    TEST_LOCK(conn);
    dom = test_domain_set(node, doc, TRUE, &error);
    if (!dom)
        return test_fail_error(call, error);
    test_domain_start(dom, VIREO_DOMAIN_RUNNING_BOOTED, start_flags(flags));
    remember_mine(conn, dom, flags);
    *ref = test_domain_ref(call, dom);
    return VIREO_OK;
}

int test_domain_create_xml(TestConn *conn, vireo_call *call,
                           const vireo_domain_create_xml_args *args,
                           vireo_domain_create_xml_ret *ret)
{
    return create_xml(conn, call, args->xml_desc, args->flags, &ret->dom);
}

static void note_files(TestDomain *dom, guint n)
{
    TestExtra *extra = test_domain_extra(dom);

    if (!extra->fds)
        extra->fds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_replace(extra->fds, g_strdup("create"), GUINT_TO_POINTER(n));
}

int test_domain_create_xml_with_files(TestConn *conn, vireo_call *call,
                                      const vireo_domain_create_xml_with_files_args *args,
                                      vireo_domain_create_xml_with_files_ret *ret)
{
    uint32_t n = 0;

    test->host->fds(call, &n);
    if (create_xml(conn, call, args->xml_desc, args->flags, &ret->dom) != VIREO_OK)
        return VIREO_FAIL;
    TEST_LOCK(conn);
    TestDomain *dom = g_hash_table_lookup(node->by_uuid, ret->dom.uuid);

    if (dom)
        note_files(dom, n);
    return VIREO_OK;
}

static int wake_saved(TestDomain *dom, vireo_call *call, guint flags)
{
    g_autoptr(TestSaved) saved = g_steal_pointer(&dom->managed_save);
    int state = flags & VIREO_DOMAIN_START_PAUSED ? VIREO_DOMAIN_PAUSED : saved->state;

    (void)call;
    return test_domain_restore(dom, saved, state, VIREO_DOMAIN_RUNNING_RESTORED,
                               VIREO_DOMAIN_PAUSED_USER);
}

static int create(TestConn *conn, vireo_call *call, TestDomain *dom, guint flags,
                  vireo_domain_ref *ref)
{
    int status = VIREO_OK;

    if (test_domain_active(dom))
        return FAIL(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is already running", dom->name);
    if (flags & VIREO_DOMAIN_START_FORCE_BOOT)
        g_clear_pointer(&dom->managed_save, test_saved_free);
    if (dom->managed_save)
        status = wake_saved(dom, call, flags);
    else
        test_domain_start(dom, VIREO_DOMAIN_RUNNING_BOOTED, start_flags(flags));
    if (status != VIREO_OK)
        return status;
    remember_mine(conn, dom, flags);
    *ref = test_domain_ref(call, dom);
    return VIREO_OK;
}

int test_domain_create_with_flags(TestConn *conn, vireo_call *call,
                                  const vireo_domain_create_with_flags_args *args,
                                  vireo_domain_create_with_flags_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    return dom ? create(conn, call, dom, args->flags, &ret->dom) : VIREO_FAIL;
}

int test_domain_create_with_files(TestConn *conn, vireo_call *call,
                                  const vireo_domain_create_with_files_args *args,
                                  vireo_domain_create_with_files_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    uint32_t n = 0;

    if (!dom || create(conn, call, dom, args->flags, &ret->dom) != VIREO_OK)
        return VIREO_FAIL;
    test->host->fds(call, &n);
    note_files(dom, n);
    return VIREO_OK;
}

/* ---- what happens to a running guest ----------------------------------------------------------
 */

static TestDomain *find_active(TestNode *node, vireo_call *call, const vireo_domain_ref *ref)
{
    TestDomain *dom = test_domain_find(node, call, ref);

    return dom && test_domain_need_active(dom, call) == VIREO_OK ? dom : NULL;
}

static void restart(TestDomain *dom)
{
    vireo_domain_event_reboot_msg msg = {0};

    boot(dom);
    set_state(dom, VIREO_DOMAIN_RUNNING, VIREO_DOMAIN_RUNNING_BOOTED);
    test_domain_publish(dom);
    test_domain_event(dom, VIREO_EVENT_domain_event_reboot, &msg, &msg.dom);
}

/* What the definition wants done when the guest powers off or reboots. */
static void obey(TestDomain *dom, VireoDomainLifecycle action, int reason)
{
    switch (action) {
    case VIREO_DOMAIN_LIFECYCLE_RESTART:
    case VIREO_DOMAIN_LIFECYCLE_RENAME_RESTART:
    case VIREO_DOMAIN_LIFECYCLE_COREDUMP_RESTART:
        restart(dom);
        break;
    case VIREO_DOMAIN_LIFECYCLE_PRESERVE:
        test_domain_pause(dom, VIREO_DOMAIN_PAUSED_SHUTTING_DOWN);
        break;
    default:
        test_domain_stop(dom, reason);
        break;
    }
}

int test_domain_destroy_flags(TestConn *conn, vireo_call *call,
                              const vireo_domain_destroy_flags_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_active(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (dom->extra && dom->extra->job.outcome == VIREO_DOMAIN_JOB_BOUNDED)
        dom->extra->job.abort = TRUE;
    test_domain_stop(dom, VIREO_DOMAIN_SHUTOFF_DESTROYED);
    return VIREO_OK;
}

static int need_executing(const TestDomain *dom, vireo_call *call)
{
    if (dom->state == VIREO_DOMAIN_RUNNING)
        return VIREO_OK;
    return FAIL(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' does not execute: it cannot react",
                dom->name);
}

int test_domain_shutdown_flags(TestConn *conn, vireo_call *call,
                               const vireo_domain_shutdown_flags_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_active(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = dom ? test_domain_document(dom) : NULL;

    if (!dom || need_executing(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    if ((args->flags & VIREO_DOMAIN_SHUTDOWN_GUEST_AGENT) &&
        test_agent_check(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    obey(dom, doc->on_poweroff, VIREO_DOMAIN_SHUTOFF_SHUTDOWN);
    return VIREO_OK;
}

int test_domain_reboot(TestConn *conn, vireo_call *call, const vireo_domain_reboot_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_active(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = dom ? test_domain_document(dom) : NULL;

    if (!dom || need_executing(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    if ((args->flags & VIREO_DOMAIN_REBOOT_GUEST_AGENT) && test_agent_check(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    obey(dom, doc->on_reboot, VIREO_DOMAIN_SHUTOFF_SHUTDOWN);
    return VIREO_OK;
}

int test_domain_reset(TestConn *conn, vireo_call *call, const vireo_domain_reset_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_active(node, call, &args->dom);
    vireo_domain_event_reboot_msg msg = {0};

    if (!dom)
        return VIREO_FAIL;
    boot(dom);
    test_domain_event(dom, VIREO_EVENT_domain_event_reboot, &msg, &msg.dom);
    return VIREO_OK;
}

int test_domain_suspend(TestConn *conn, vireo_call *call, const vireo_domain_suspend_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_active(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (dom->state == VIREO_DOMAIN_PMSUSPENDED)
        return FAIL(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' sleeps", dom->name);
    if (dom->state != VIREO_DOMAIN_PAUSED)
        test_domain_pause(dom, VIREO_DOMAIN_PAUSED_USER);
    return VIREO_OK;
}

int test_domain_resume(TestConn *conn, vireo_call *call, const vireo_domain_resume_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_active(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (dom->state == VIREO_DOMAIN_PMSUSPENDED)
        return FAIL(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' sleeps: wake it up", dom->name);
    if (dom->state != VIREO_DOMAIN_RUNNING)
        test_domain_run(dom, VIREO_DOMAIN_RUNNING_UNPAUSED);
    return VIREO_OK;
}

int test_domain_pm_suspend_for_duration(TestConn *conn, vireo_call *call,
                                        const vireo_domain_pm_suspend_for_duration_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_active(node, call, &args->dom);
    vireo_domain_event_pmsuspend_msg msg = {0};

    if (!dom || need_executing(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    if (args->duration != 0)
        return FAIL(call, VIREO_ERR_ARGUMENT_UNSUPPORTED,
                    "the guest sleeps until it is woken up: "
                    "a duration cannot be given");
    if (args->target == VIREO_NODE_SUSPEND_TARGET_DISK) {
        vireo_domain_event_pmsuspend_disk_msg disk = {0};

        test_domain_event(dom, VIREO_EVENT_domain_event_pmsuspend_disk, &disk, &disk.dom);
        test_domain_stop(dom, VIREO_DOMAIN_SHUTOFF_SHUTDOWN);
        return VIREO_OK;
    }
    if (args->target != VIREO_NODE_SUSPEND_TARGET_MEM)
        return FAIL(call, VIREO_ERR_ARGUMENT_UNSUPPORTED, "suspend target %u is not supported",
                    args->target);
    set_state(dom, VIREO_DOMAIN_PMSUSPENDED, VIREO_DOMAIN_PMSUSPENDED_UNKNOWN);
    test_domain_publish(dom);
    test_domain_event(dom, VIREO_EVENT_domain_event_pmsuspend, &msg, &msg.dom);
    return VIREO_OK;
}

int test_domain_pm_wakeup(TestConn *conn, vireo_call *call, const vireo_domain_pm_wakeup_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_active(node, call, &args->dom);
    vireo_domain_event_pmwakeup_msg msg = {0};

    if (!dom)
        return VIREO_FAIL;
    if (dom->state != VIREO_DOMAIN_PMSUSPENDED)
        return FAIL(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' does not sleep", dom->name);
    test_domain_run(dom, VIREO_DOMAIN_RUNNING_WAKEUP);
    test_domain_event(dom, VIREO_EVENT_domain_event_pmwakeup, &msg, &msg.dom);
    return VIREO_OK;
}
