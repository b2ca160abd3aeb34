/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices, resources, metadata, descriptors. */
#include "common.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NIC    "<interface type='user'><mac address='52:54:00:00:00:%s'/></interface>"
#define LIVE   VIREO_DOMAIN_AFFECT_LIVE
#define CONFIG VIREO_DOMAIN_AFFECT_CONFIG

static void up(Fixture *f)
{
    g_autofree char *xml = guest_xml("vm", "<graphics type='vnc'/>");

    fixture_up(f, "test:///default");
    g_assert_cmpint(define(f, xml), ==, 0);
    g_assert_cmpint(simple(f, "domain_create_with_flags", "vm"), ==, 0);
}

typedef struct {
    vireo_domain_ref dom;
    char *xml;
    uint32_t flags;
} DeviceArgs;

static int device(Fixture *f, const char *op, const char *xml, guint flags)
{
    DeviceArgs args = {domain(f, "vm"), (char *)xml, flags};
    int code = 0;

    fake_run(f->host, f->conn, op, &args, NULL, &code);
    return code;
}

static void test_attach(void)
{
    static const char disk[] = "<disk type='file' device='disk'><source file='/images/new'/>"
                               "<target dev='vdc' bus='virtio'/></disk>";
    static const char other[] = "<disk type='file' device='disk'><source file='/images/other'/>"
                                "<target dev='vdc' bus='virtio'/></disk>";
    Fixture f;
    g_autofree char *live = NULL;
    g_autofree char *config = NULL;
    g_autofree char *events = NULL;

    up(&f);
    g_free(fake_events(f.space));
    g_assert_cmpint(device(&f, "domain_attach_device_flags", disk, LIVE), ==, 0);
    g_assert_cmpuint(fake_object(f.space, VIREO_CLASS_DOMAIN, "vm")->flags & VIREO_OBJECT_UPDATED,
                     !=, 0);
    g_assert_cmpint(device(&f, "domain_attach_device_flags", disk, LIVE | CONFIG), ==,
                    VIREO_ERR_OPERATION_FAILED); /* both or none */
    config = dumpxml(&f, "vm", VIREO_DOMAIN_XML_INACTIVE);
    assert_hasnt(config, "vdc");
    g_assert_cmpint(device(&f, "domain_update_device_flags", other, 0), ==, 0);
    live = dumpxml(&f, "vm", 0);
    assert_has(live, "/images/other");
    g_assert_cmpint(device(&f, "domain_detach_device_flags", disk, LIVE), ==, 0);
    g_assert_cmpint(device(&f, "domain_detach_device_flags", disk, LIVE), ==,
                    VIREO_ERR_DEVICE_MISSING);
    events = fake_events(f.space);
    g_assert_cmpstr(events, ==, "354 311"); /* added, removed */
    g_assert_cmpint(device(&f, "domain_attach_device_flags", "<nonsense/>", LIVE), ==,
                    VIREO_ERR_CONFIG_UNSUPPORTED);
    fixture_down(&f);
}

static void test_attach_nic(void)
{
    Fixture f;
    vireo_domain_interface_stats_args args = {.device = (char *)"52:54:00:00:00:07"};
    vireo_domain_interface_stats_ret ret = {0};
    int code;

    up(&f);
    args.dom = domain(&f, "vm");
    fake_run(f.host, f.conn, "domain_interface_stats", &args, &ret, &code);
    g_assert_cmpint(code, ==, VIREO_ERR_INVALID_ARG);
    g_assert_cmpint(device(&f, "domain_attach_device_flags",
                           "<interface type='user'><mac address='52:54:00:00:00:07'/></interface>",
                           LIVE),
                    ==, 0);
    fake_run(f.host, f.conn, "domain_interface_stats", &args, &ret, &code);
    g_assert_cmpint(code, ==, 0);
    fixture_down(&f);
}

static void test_detach_alias(void)
{
    Fixture f;
    vireo_domain_detach_device_alias_args args = {.alias = (char *)"ua-mine", .flags = LIVE};
    int code;

    up(&f);
    args.dom = domain(&f, "vm");
    fake_run(f.host, f.conn, "domain_detach_device_alias", &args, NULL, &code);
    g_assert_cmpint(code, ==, VIREO_ERR_DEVICE_MISSING);
    g_assert_cmpint(device(&f, "domain_attach_device_flags",
                           "<interface type='user'><alias name='ua-mine'/></interface>", LIVE),
                    ==, 0);
    fake_run(f.host, f.conn, "domain_detach_device_alias", &args, NULL, &code);
    g_assert_cmpint(code, ==, 0);
    fixture_down(&f);
}

static int set_memory(Fixture *f, guint64 kib, guint flags)
{
    vireo_domain_set_memory_flags_args args = {domain(f, "vm"), kib, flags};
    int code = 0;

    fake_run(f->host, f->conn, "domain_set_memory_flags", &args, NULL, &code);
    return code;
}

static void test_memory(void)
{
    Fixture f;

    up(&f);
    g_assert_cmpint(set_memory(&f, 32768, LIVE), ==, 0);
    g_assert_cmpuint(fake_object(f.space, VIREO_CLASS_DOMAIN, "vm")->memory, ==, 32768);
    g_assert_cmpint(set_memory(&f, 1 << 20, LIVE), ==, VIREO_ERR_INVALID_ARG);
    g_assert_cmpint(set_memory(&f, 1 << 20, VIREO_DOMAIN_MEM_MAXIMUM), ==,
                    VIREO_ERR_OPERATION_INVALID); /* it runs */
    g_assert_cmpint(set_memory(&f, 1 << 20, VIREO_DOMAIN_MEM_MAXIMUM | CONFIG), ==, 0);
    simple(&f, "domain_destroy_flags", "vm");
    g_assert_cmpuint(fake_object(f.space, VIREO_CLASS_DOMAIN, "vm")->max_memory, ==, 1 << 20);
    fixture_down(&f);
}

static void test_pinning(void)
{
    Fixture f;
    guint8 map[2] = {0x0e, 0x80}; /* 1-3,15 */
    vireo_domain_pin_vcpu_flags_args pin = {.vcpu = 1, .cpumap = {2, map}, .flags = LIVE};
    vireo_domain_get_vcpu_pin_info_args get = {.ncpumaps = 4, .maplen = 2, .flags = LIVE};
    vireo_domain_get_vcpu_pin_info_ret got = {0};
    g_autoptr(vireo_call) call = NULL;
    g_autofree char *xml = NULL;
    int code;

    up(&f);
    pin.dom = get.dom = domain(&f, "vm");
    fake_run(f.host, f.conn, "domain_pin_vcpu_flags", &pin, NULL, &code);
    g_assert_cmpint(code, ==, 0);
    xml = dumpxml(&f, "vm", 0);
    assert_has(xml, "<vcpupin vcpu='1' cpuset='1-3,15'/>");
    call = fake_call_new(f.host);
    fake_call_run(call, f.conn, "domain_get_vcpu_pin_info", &get, &got);
    g_assert_cmpint(got.num, ==, 2);
    g_assert_cmpuint(got.cpumaps.len, ==, 4);
    g_assert_cmpmem(got.cpumaps.val + 2, 2, map, 2);
    g_assert_cmphex(got.cpumaps.val[0], ==, 0xff);
    pin.vcpu = 9;
    fake_run(f.host, f.conn, "domain_pin_vcpu_flags", &pin, NULL, &code);
    g_assert_cmpint(code, ==, VIREO_ERR_INVALID_ARG);
    fixture_down(&f);
}

static int set_metadata(Fixture *f, int type, const char *text, const char *key, const char *uri)
{
    vireo_domain_set_metadata_args args = {domain(f, "vm"), type,        (char *)text,
                                           (char *)key,     (char *)uri, CONFIG};
    int code = 0;

    fake_run(f->host, f->conn, "domain_set_metadata", &args, NULL, &code);
    return code;
}

static char *get_metadata(Fixture *f, int type, const char *uri, int *code)
{
    g_autoptr(vireo_call) call = fake_call_new(f->host);
    vireo_domain_get_metadata_args args = {domain(f, "vm"), type, (char *)uri, CONFIG};
    vireo_domain_get_metadata_ret ret = {0};

    fake_call_run(call, f->conn, "domain_get_metadata", &args, &ret);
    *code = call->code;
    return g_strdup(ret.metadata);
}

static void test_metadata(void)
{
    const int element = VIREO_DOMAIN_METADATA_ELEMENT;
    Fixture f;
    int code;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    up(&f);
    g_free(get_metadata(&f, VIREO_DOMAIN_METADATA_TITLE, NULL, &code));
    g_assert_cmpint(code, ==, VIREO_ERR_NO_DOMAIN_METADATA);
    g_assert_cmpint(set_metadata(&f, VIREO_DOMAIN_METADATA_TITLE, "a\nb", NULL, NULL), ==,
                    VIREO_ERR_XML_ERROR);
    g_assert_cmpint(set_metadata(&f, element, "<a x='1'><b/></a>", "k", "urn:k"), ==, 0);
    g_assert_cmpint(set_metadata(&f, element, "<other/>", "o", "urn:o"), ==, 0);
    first = get_metadata(&f, element, "urn:k", &code);
    g_assert_cmpstr(first, ==, "<a x=\"1\"><b/></a>");
    g_assert_cmpint(set_metadata(&f, element, NULL, "k", "urn:k"), ==, 0);
    g_free(get_metadata(&f, element, "urn:k", &code));
    g_assert_cmpint(code, ==, VIREO_ERR_NO_DOMAIN_METADATA);
    second = get_metadata(&f, element, "urn:o", &code);
    g_assert_cmpstr(second, ==, "<other/>");
    g_assert_cmpint(set_metadata(&f, element, "<broken", "o", "urn:o"), ==, VIREO_ERR_XML_ERROR);
    fixture_down(&f);
}

static void test_descriptors(void)
{
    Fixture f;
    g_autoptr(vireo_call) out = NULL;
    g_autoptr(vireo_call) in = NULL;
    vireo_domain_open_graphics_fd_args get = {0};
    vireo_domain_fd_associate_args give = {.name = (char *)"group"};
    char text[32] = "";

    up(&f);
    get.dom = give.dom = domain(&f, "vm");
    out = fake_call_new(f.host);
    g_assert_cmpint(fake_call_run(out, f.conn, "domain_open_graphics_fd", &get, NULL), ==,
                    VIREO_OK);
    g_assert_cmpint(out->reply_fd, >=, 0);
    g_assert_cmpint(read(out->reply_fd, text, sizeof text - 1), ==, 12);
    g_assert_cmpstr(text, ==, "RFB 003.008\n");
    in = fake_call_new(f.host);
    g_assert_cmpint(fake_call_run(in, f.conn, "domain_fd_associate", &give, NULL), ==, VIREO_FAIL);
    fake_call_free(g_steal_pointer(&in));
    in = fake_call_new(f.host);
    in->fds[0] = out->reply_fd;
    in->n_fds = 1;
    g_assert_cmpint(fake_call_run(in, f.conn, "domain_fd_associate", &give, NULL), ==, VIREO_OK);
    fixture_down(&f);
}

static void test_console(void)
{
    Fixture f;
    g_autoptr(vireo_call) first = NULL;
    g_autoptr(vireo_call) second = NULL;
    g_autoptr(vireo_call) third = NULL;
    vireo_domain_open_console_args args = {0};
    char text[8];

    up(&f);
    args.dom = domain(&f, "vm");
    first = fake_call_new(f.host);
    g_assert_cmpint(fake_call_run(first, f.conn, "domain_open_console", &args, NULL), ==, VIREO_OK);
    g_assert_cmpint(first->stream_how, ==, VIREO_STREAM_FROM_FD | VIREO_STREAM_TO_FD);
    second = fake_call_new(f.host);
    fake_call_run(second, f.conn, "domain_open_console", &args, NULL);
    g_assert_cmpint(second->code, ==, VIREO_ERR_OPERATION_FAILED); /* in use */
    args.flags = VIREO_DOMAIN_CONSOLE_FORCE;
    third = fake_call_new(f.host);
    g_assert_cmpint(fake_call_run(third, f.conn, "domain_open_console", &args, NULL), ==, VIREO_OK);
    g_assert_cmpint(recv(first->stream_fd, text, sizeof text, 0), ==, 0); /* the first one ends */
    simple(&f, "domain_destroy_flags", "vm");
    g_assert_cmpint(recv(third->stream_fd, text, sizeof text, 0), ==, 0); /* with its guest */
    fixture_down(&f);
}

static void test_stats(void)
{
    Fixture f;
    g_autoptr(vireo_call) call = NULL;
    vireo_connect_get_all_domain_stats_args args = {0};
    vireo_connect_get_all_domain_stats_ret ret = {0};

    up(&f);
    call = fake_call_new(f.host);
    fake_call_run(call, f.conn, "connect_get_all_domain_stats", &args, &ret);
    g_assert_cmpuint(ret.retStats.len, ==, 2);
    simple(&f, "domain_destroy_flags", "vm");
    args.flags = VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE;
    args.stats = VIREO_DOMAIN_STATS_STATE;
    ret = (vireo_connect_get_all_domain_stats_ret){0};
    fake_call_run(call, f.conn, "connect_get_all_domain_stats", &args, &ret);
    g_assert_cmpuint(ret.retStats.len, ==, 1);
    g_assert_cmpstr(ret.retStats.val[0].dom.name, ==, "test");
    g_assert_cmpuint(ret.retStats.val[0].params.len, ==, 2);
    g_assert_cmpstr(ret.retStats.val[0].params.val[0].field, ==, "state.state");
    g_assert_cmpint(ret.retStats.val[0].params.val[0].value.i, ==, VIREO_DOMAIN_RUNNING);
    args.stats = VIREO_DOMAIN_STATS_PERF;
    args.flags = VIREO_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS;
    {
        g_autoptr(vireo_call) refused = fake_call_new(f.host);

        fake_call_run(refused, f.conn, "connect_get_all_domain_stats", &args, &ret);
        g_assert_cmpint(refused->code, ==, VIREO_ERR_ARGUMENT_UNSUPPORTED);
    }
    fixture_down(&f);
}

static void test_freeze(void)
{
    Fixture f;
    vireo_domain_fsfreeze_args args = {0};
    vireo_domain_fsfreeze_ret ret = {0};
    vireo_domain_fsthaw_args thaw = {0};
    vireo_domain_fsthaw_ret thawed = {0};

    up(&f);
    args.dom = thaw.dom = domain(&f, "vm");
    fake_run(f.host, f.conn, "domain_fsfreeze", &args, &ret, NULL);
    g_assert_cmpint(ret.filesystems, ==, 2);
    g_assert_cmpint(flagged(&f, "domain_shutdown_flags", "vm", VIREO_DOMAIN_SHUTDOWN_GUEST_AGENT),
                    ==, VIREO_ERR_AGENT_COMMAND_FAILED);
    fake_run(f.host, f.conn, "domain_fsthaw", &thaw, &thawed, NULL);
    g_assert_cmpint(thawed.filesystems, ==, 2);
    g_assert_cmpint(flagged(&f, "domain_shutdown_flags", "vm", VIREO_DOMAIN_SHUTDOWN_GUEST_AGENT),
                    ==, 0);
    fixture_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/attach", test_attach);
    g_test_add_func("/attach-nic", test_attach_nic);
    g_test_add_func("/detach-alias", test_detach_alias);
    g_test_add_func("/memory", test_memory);
    g_test_add_func("/pinning", test_pinning);
    g_test_add_func("/metadata", test_metadata);
    g_test_add_func("/descriptors", test_descriptors);
    g_test_add_func("/console", test_console);
    g_test_add_func("/stats", test_stats);
    g_test_add_func("/freeze", test_freeze);
    return g_test_run();
}
