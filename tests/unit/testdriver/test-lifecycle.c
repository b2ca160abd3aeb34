/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Domains: definitions, states, what ends with what. */
#include "common.h"

#include <glib/gstdio.h>
#include <string.h>

#define DEFAULT "test:///default"

static void test_default(void)
{
    static const guint8 uuid[16] = {0x66, 0x95, 0xeb, 0x01, 0xf6, 0xa4, 0x83, 0x04,
                                    0x79, 0xaa, 0x97, 0xf2, 0x50, 0x2e, 0x19, 0x3f};
    Fixture f;
    const FakeObject *object;
    g_autofree char *xml = NULL;

    fixture_up(&f, DEFAULT);
    object = fake_object(f.space, VIREO_CLASS_DOMAIN, "test");
    g_assert_nonnull(object);
    g_assert_cmpmem(object->uuid, 16, uuid, 16);
    g_assert_cmpint(object->id, ==, 1);
    g_assert_cmpint(object->state, ==, VIREO_DOMAIN_RUNNING);
    g_assert_cmpuint(object->max_memory, ==, 8388608);
    g_assert_cmpuint(object->vcpus, ==, 2);
    g_assert_cmpstr(object->os_type, ==, "hvm");
    g_assert_cmpuint(object->flags, ==, VIREO_OBJECT_PERSISTENT);
    xml = dumpxml(&f, "test", 0);
    assert_has(xml, "<domain type='test' id='1'>");
    fixture_down(&f);
}

static void test_states(void)
{
    Fixture f;

    fixture_up(&f, DEFAULT);
    g_assert_cmpint(simple(&f, "domain_suspend", "test"), ==, 0);
    assert_state(&f, "test", PAUSED, USER);
    g_assert_cmpint(simple(&f, "domain_resume", "test"), ==, 0);
    assert_state(&f, "test", RUNNING, UNPAUSED);
    g_assert_cmpint(simple(&f, "domain_shutdown_flags", "test"), ==, 0);
    assert_state(&f, "test", SHUTOFF, SHUTDOWN);
    g_assert_cmpint(simple(&f, "domain_shutdown_flags", "test"), ==, VIREO_ERR_OPERATION_INVALID);
    g_assert_cmpint(simple(&f, "domain_suspend", "test"), ==, VIREO_ERR_OPERATION_INVALID);
    g_assert_cmpint(flagged(&f, "domain_create_with_flags", "test", VIREO_DOMAIN_START_PAUSED), ==,
                    0);
    assert_state(&f, "test", PAUSED, USER);
    g_assert_cmpint(simple(&f, "domain_create_with_flags", "test"), ==,
                    VIREO_ERR_OPERATION_INVALID);
    g_assert_cmpint(simple(&f, "domain_destroy_flags", "test"), ==, 0);
    assert_state(&f, "test", SHUTOFF, DESTROYED);
    g_assert_cmpint(domain(&f, "test").id, ==, -1);
    fixture_down(&f);
}

static void test_reboot_and_actions(void)
{
    vireo_domain_set_lifecycle_action_args action = {
        .type = VIREO_DOMAIN_LIFECYCLE_POWEROFF, .action = VIREO_DOMAIN_LIFECYCLE_ACTION_RESTART};
    Fixture f;
    g_autofree char *events = NULL;

    fixture_up(&f, DEFAULT);
    g_free(fake_events(f.space));
    g_assert_cmpint(simple(&f, "domain_reboot", "test"), ==, 0);
    assert_state(&f, "test", RUNNING, BOOTED);
    events = fake_events(f.space);
    g_assert_cmpstr(events, ==, "169");
    action.dom = domain(&f, "test");
    fake_run(f.host, f.conn, "domain_set_lifecycle_action", &action, NULL, NULL);
    g_assert_cmpint(simple(&f, "domain_shutdown_flags", "test"), ==, 0);
    assert_state(&f, "test", RUNNING, BOOTED); /* powering off restarts it */
    fixture_down(&f);
}

static void test_sleep(void)
{
    vireo_domain_pm_suspend_for_duration_args args = {.target = VIREO_NODE_SUSPEND_TARGET_MEM};
    Fixture f;

    fixture_up(&f, DEFAULT);
    args.dom = domain(&f, "test");
    fake_run(f.host, f.conn, "domain_pm_suspend_for_duration", &args, NULL, NULL);
    assert_state(&f, "test", PMSUSPENDED, UNKNOWN);
    g_assert_cmpint(simple(&f, "domain_resume", "test"), ==, VIREO_ERR_OPERATION_INVALID);
    g_assert_cmpint(simple(&f, "domain_pm_wakeup", "test"), ==, 0);
    assert_state(&f, "test", RUNNING, WAKEUP);
    fixture_down(&f);
}

static void test_define(void)
{
    Fixture f;
    g_autofree char *xml = guest_xml("one", NULL);
    g_autofree char *again = NULL;
    g_autofree char *other = NULL;
    g_autofree char *wrong = NULL;
    g_autofree char *events = NULL;
    g_auto(GStrv) parts = NULL;

    fixture_up(&f, DEFAULT);
    g_assert_cmpint(define(&f, xml), ==, 0);
    assert_state(&f, "one", SHUTOFF, UNKNOWN);
    g_assert_cmpint(define(&f, xml), ==, VIREO_ERR_OPERATION_FAILED); /* another uuid */
    again = dumpxml(&f, "one", VIREO_DOMAIN_XML_INACTIVE);
    g_free(fake_events(f.space));
    g_assert_cmpint(define(&f, again), ==, 0);
    events = fake_events(f.space);
    g_assert_cmpstr(events, ==, "0/1"); /* DEFINED UPDATED */
    parts = g_strsplit(again, "<name>one</name>", 2);
    other = g_strjoinv("<name>two</name>", parts);
    g_assert_cmpint(define(&f, other), ==, VIREO_ERR_OPERATION_FAILED); /* the same uuid */
    wrong = g_strdup("<domain type='kvm'><name>x</name><memory>1</memory>"
                     "<os><type>hvm</type></os></domain>");
    g_assert_cmpint(define(&f, wrong), ==, VIREO_ERR_CONFIG_UNSUPPORTED);
    g_assert_cmpint(define(&f, "<domain type='test'><name>x</name><memory>1</memory></domain>"), ==,
                    VIREO_ERR_XML_ERROR);
    g_assert_cmpint(define(&f, "<domain"), ==, VIREO_ERR_XML_DETAIL);
    g_assert_cmpint(simple(&f, "domain_undefine_flags", "one"), ==, 0);
    g_assert_null(fake_object(f.space, VIREO_CLASS_DOMAIN, "one"));
    fixture_down(&f);
}

static void test_transient(void)
{
    Fixture f;
    g_autofree char *xml = guest_xml("passing", NULL);
    g_autofree char *dump = NULL;
    void *second;

    fixture_up(&f, DEFAULT);
    g_assert_cmpint(create_xml(&f, xml, 0), ==, 0);
    g_assert_cmpuint(fake_object(f.space, VIREO_CLASS_DOMAIN, "passing")->flags, ==, 0);
    g_assert_cmpint(simple(&f, "domain_undefine_flags", "passing"), ==,
                    VIREO_ERR_OPERATION_INVALID);
    g_assert_cmpint(simple(&f, "domain_managed_save", "passing"), ==, VIREO_ERR_OPERATION_INVALID);
    dump = dumpxml(&f, "passing", VIREO_DOMAIN_XML_INACTIVE);
    g_assert_cmpint(define(&f, dump), ==, 0); /* becomes persistent, keeps running */
    g_assert_cmpuint(fake_object(f.space, VIREO_CLASS_DOMAIN, "passing")->flags, ==,
                     VIREO_OBJECT_PERSISTENT);
    assert_state(&f, "passing", RUNNING, BOOTED);
    g_assert_cmpint(simple(&f, "domain_undefine_flags", "passing"), ==,
                    0); /* and transient again */
    g_assert_cmpint(simple(&f, "domain_destroy_flags", "passing"), ==, 0);
    g_assert_null(fake_object(f.space, VIREO_CLASS_DOMAIN, "passing"));

    second = fake_open(f.host, DEFAULT, NULL, NULL);
    {
        vireo_domain_create_xml_args args = {xml, VIREO_DOMAIN_START_AUTODESTROY};
        vireo_domain_create_xml_ret ret = {0};

        fake_run(f.host, second, "domain_create_xml", &args, &ret, NULL);
    }
    g_assert_nonnull(fake_object(f.space, VIREO_CLASS_DOMAIN, "passing"));
    fake_close(f.host, second);
    g_assert_null(fake_object(f.space, VIREO_CLASS_DOMAIN, "passing"));
    fixture_down(&f);
}

static void test_rename(void)
{
    vireo_domain_rename_args args = {.new_name = (char *)"fresh"};
    vireo_domain_rename_ret ret = {0};
    Fixture f;
    int code;

    fixture_up(&f, DEFAULT);
    args.dom = domain(&f, "test");
    fake_run(f.host, f.conn, "domain_rename", &args, &ret, &code);
    g_assert_cmpint(code, ==, VIREO_ERR_OPERATION_INVALID); /* it runs */
    simple(&f, "domain_destroy_flags", "test");
    fake_run(f.host, f.conn, "domain_rename", &args, &ret, &code);
    g_assert_cmpint(code, ==, 0);
    g_assert_null(fake_object(f.space, VIREO_CLASS_DOMAIN, "test"));
    g_assert_nonnull(fake_object(f.space, VIREO_CLASS_DOMAIN, "fresh"));
    fixture_down(&f);
}

static void test_managed_save(void)
{
    Fixture f;

    fixture_up(&f, DEFAULT);
    g_assert_cmpint(flagged(&f, "domain_managed_save", "test", VIREO_DOMAIN_SAVE_PAUSED), ==, 0);
    assert_state(&f, "test", SHUTOFF, SAVED);
    g_assert_cmpuint(fake_object(f.space, VIREO_CLASS_DOMAIN, "test")->flags, ==,
                     VIREO_OBJECT_PERSISTENT | VIREO_OBJECT_MANAGED_SAVE);
    g_assert_cmpint(simple(&f, "domain_undefine_flags", "test"), ==, VIREO_ERR_OPERATION_INVALID);
    g_assert_cmpint(simple(&f, "domain_create_with_flags", "test"), ==, 0);
    assert_state(&f, "test", PAUSED, USER);
    g_assert_cmpuint(fake_object(f.space, VIREO_CLASS_DOMAIN, "test")->flags, ==,
                     VIREO_OBJECT_PERSISTENT);
    simple(&f, "domain_managed_save", "test");
    g_assert_cmpint(flagged(&f, "domain_create_with_flags", "test", VIREO_DOMAIN_START_FORCE_BOOT),
                    ==, 0);
    assert_state(&f, "test", RUNNING, BOOTED);
    simple(&f, "domain_managed_save", "test");
    g_assert_cmpint(simple(&f, "domain_managed_save_remove", "test"), ==, 0);
    g_assert_cmpint(simple(&f, "domain_undefine_flags", "test"), ==, 0);
    fixture_down(&f);
}

static void test_save_file(void)
{
    Fixture f;
    int code;
    g_autofree char *dir = g_dir_make_tmp("vireo-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "saved", NULL);
    vireo_domain_save_flags_args save = {.to = path};
    vireo_domain_restore_flags_args restore = {.from = path};

    fixture_up(&f, DEFAULT);
    save.dom = domain(&f, "test");
    fake_run(f.host, f.conn, "domain_save_flags", &save, NULL, NULL);
    assert_state(&f, "test", SHUTOFF, SAVED);
    fake_run(f.host, f.conn, "domain_restore_flags", &restore, NULL, &code);
    g_assert_cmpint(code, ==, 0);
    assert_state(&f, "test", RUNNING, RESTORED);
    fake_run(f.host, f.conn, "domain_restore_flags", &restore, NULL, &code);
    g_assert_cmpint(code, ==, VIREO_ERR_OPERATION_INVALID); /* it runs */
    g_file_set_contents(path, "nonsense", -1, NULL);
    fake_run(f.host, f.conn, "domain_restore_flags", &restore, NULL, &code);
    g_assert_cmpint(code, ==, VIREO_ERR_OPERATION_FAILED);
    g_unlink(path);
    g_rmdir(dir);
    fixture_down(&f);
}

static void test_node_document(void)
{
    static const char document[] =
        "<node><cpu><mhz>6000</mhz><model>i986</model><active>50</active><nodes>4</nodes>"
        "<sockets>4</sockets><cores>4</cores><threads>2</threads></cpu><memory>8192000</memory>"
        "<network><name>n</name></network><domain file='other.xml'/>"
        "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>"
        "<name>off</name><memory>1024</memory><os><type>hvm</type></os>"
        "<test:runstate>5</test:runstate></domain></node>";
    g_autofree char *dir = g_dir_make_tmp("vireo-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "node.xml", NULL);
    g_autofree char *other = g_build_filename(dir, "other.xml", NULL);
    g_autofree char *uri = g_strconcat("test://", path, NULL);
    g_autofree char *xml = guest_xml("inside", NULL);
    g_autofree char *log = NULL;
    Fixture f;
    vireo_node_get_info_ret info = {0};
    vireo_space *space = NULL;
    void *second;

    g_file_set_contents(path, document, -1, NULL);
    g_file_set_contents(other, xml, -1, NULL);
    fixture_up(&f, uri);
    log = fake_log(f.host);
    assert_has(log, "<network> is ignored");
    assert_state(&f, "inside", RUNNING, BOOTED);
    assert_state(&f, "off", SHUTOFF, UNKNOWN);
    fake_run(f.host, f.conn, "node_get_info", NULL, &info, NULL);
    g_assert_cmpint(info.cpus, ==, 50);
    g_assert_cmpuint(info.memory, ==, 8192000);
    second = fake_open(f.host, uri, &space, NULL);
    g_assert_true(space != f.space); /* each connection has a node of its own */
    fake_close(f.host, second);
    g_assert_cmpuint(fake_object_count(space, VIREO_CLASS_DOMAIN), ==, 0);
    g_unlink(path);
    g_unlink(other);
    g_rmdir(dir);
    fixture_down(&f);
}

static void test_bad_uris(void)
{
    static const char *const uris[] = {
        "test:///",
        "test:///nowhere/at/all.xml",
        "test://host/default",
        "test:///default?delay.no_such_call=1s",
        "test:///default?fail.domain_suspend=x",
        "test:///default?delay.domain_suspend=1h",
        "test:///default?nonsense",
    };
    Fixture f;

    fixture_up(&f, DEFAULT);
    for (guint i = 0; i < G_N_ELEMENTS(uris); i++) {
        int code = 0;

        g_assert_null(fake_open(f.host, uris[i], NULL, &code));
        g_assert_cmpint(code, !=, 0);
    }
    fixture_down(&f);
}

/* Memory of a thousand defined domains, figures on stdout. */
static void test_thousand(void)
{
    Fixture f;

    fixture_up(&f, DEFAULT);
    for (guint i = 0; i < 1000; i++) {
        g_autofree char *name = g_strdup_printf("many-%u", i);
        g_autofree char *xml = guest_xml(name, NULL);

        g_assert_cmpint(define(&f, xml), ==, 0);
    }
    g_assert_cmpuint(fake_object_count(f.space, VIREO_CLASS_DOMAIN), ==, 1001);
    fixture_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/default", test_default);
    g_test_add_func("/states", test_states);
    g_test_add_func("/reboot", test_reboot_and_actions);
    g_test_add_func("/sleep", test_sleep);
    g_test_add_func("/define", test_define);
    g_test_add_func("/transient", test_transient);
    g_test_add_func("/rename", test_rename);
    g_test_add_func("/managed-save", test_managed_save);
    g_test_add_func("/save-file", test_save_file);
    g_test_add_func("/node-document", test_node_document);
    g_test_add_func("/bad-uris", test_bad_uris);
    g_test_add_func("/thousand", test_thousand);
    return g_test_run();
}
