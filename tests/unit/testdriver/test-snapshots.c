/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state machine of snapshots, cell by cell, and checkpoints. */
#include "common.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLAG(name) VIREO_DOMAIN_SNAPSHOT_##name
#define SNAP(name) "<domainsnapshot><name>" name "</name></domainsnapshot>"
#define DISKS(name, disks)                                                                         \
    "<domainsnapshot><name>" name "</name><disks>" disks "</disks></domainsnapshot>"

static void up(Fixture *f)
{
    g_autofree char *xml = guest_xml("vm", NULL);

    fixture_up(f, "test:///default");
    g_assert_cmpint(define(f, xml), ==, 0);
}

static void up_running(Fixture *f)
{
    up(f);
    g_assert_cmpint(simple(f, "domain_create_with_flags", "vm"), ==, 0);
}

/* Types a line on the console and waits for its echo. */
static void type_line(Fixture *f, const char *line)
{
    g_autoptr(vireo_call) call = fake_call_new(f->host);
    vireo_domain_open_console_args args = {.dom = domain(f, "vm")};
    g_autofree char *echo = g_strdup(line);

    args.flags = VIREO_DOMAIN_CONSOLE_FORCE;
    g_assert_cmpint(fake_call_run(call, f->conn, "domain_open_console", &args, NULL), ==, VIREO_OK);
    g_assert_cmpint(send(call->stream_fd, line, strlen(line), 0), ==, (ssize_t)strlen(line));
    g_assert_cmpint(recv(call->stream_fd, echo, strlen(line), MSG_WAITALL), ==,
                    (ssize_t)strlen(line));
    g_assert_cmpstr(echo, ==, line);
}

static char *memory_of(Fixture *f)
{
    g_autoptr(vireo_call) call = fake_call_new(f->host);
    vireo_domain_memory_peek_args args = {domain(f, "vm"), 0, 64, VIREO_MEMORY_PHYSICAL};
    vireo_domain_memory_peek_ret ret = {0};

    fake_call_run(call, f->conn, "domain_memory_peek", &args, &ret);
    return g_strndup((char *)ret.buffer.val, ret.buffer.len);
}

static char *disk_of(Fixture *f, const char *disk)
{
    g_autoptr(vireo_call) call = fake_call_new(f->host);
    vireo_domain_block_peek_args args = {domain(f, "vm"), (char *)disk, 0, 64, 0};
    vireo_domain_block_peek_ret ret = {0};

    g_assert_cmpint(fake_call_run(call, f->conn, "domain_block_peek", &args, &ret), ==, VIREO_OK);
    return g_strndup((char *)ret.buffer.val, ret.buffer.len);
}

#define assert_memory(f, text)                                                                     \
    do {                                                                                           \
        g_autofree char *m_ = memory_of(f);                                                        \
        g_assert_cmpstr(m_, ==, text);                                                             \
    } while (0)
#define assert_disk(f, disk, text)                                                                 \
    do {                                                                                           \
        g_autofree char *d_ = disk_of(f, disk);                                                    \
        g_assert_cmpstr(d_, ==, text);                                                             \
    } while (0)

static guint node_flags(Fixture *f, const char *name)
{
    vireo_domain_ref dom = domain(f, "vm");
    const FakeNode *node = fake_node(f->space, VIREO_CLASS_DOMAIN_SNAPSHOT, dom.uuid, name);

    g_assert_nonnull(node);
    return node->flags & ~(guint)VIREO_TREE_CURRENT;
}

static void test_tree_and_delete(void)
{
    Fixture f;

    up_running(&f);
    g_assert_cmpint(snapshot(&f, "vm", SNAP("s1"), 0), ==, 0);
    g_assert_cmpint(snapshot(&f, "vm", SNAP("s2"), 0), ==, 0);
    g_assert_cmpint(snapshot(&f, "vm", SNAP("s3"), FLAG(CREATE_ATOMIC)), ==, 0);
    assert_tree(&f, "vm", "s1 s1/s2 s1/s2/s3*");
    g_assert_cmpint(snapshot(&f, "vm", SNAP("s2"), 0), ==, VIREO_ERR_OPERATION_FAILED);
    g_assert_cmpint(snapshot(&f, "vm", SNAP(".x"), 0), ==, VIREO_ERR_XML_DETAIL);
    g_assert_cmpint(revert(&f, "vm", "s1", 0), ==, 0);
    assert_tree(&f, "vm", "s1* s1/s2 s1/s2/s3");
    g_assert_cmpint(snapshot(&f, "vm", SNAP("s4"), 0), ==, 0);
    assert_tree(&f, "vm", "s1 s1/s2 s1/s2/s3 s1/s4*");
    g_assert_cmpint(snapshot_delete(&f, "vm", "s2", 0), ==, 0);
    assert_tree(&f, "vm", "s1 s1/s3 s1/s4*");
    g_assert_cmpint(snapshot_delete(&f, "vm", "s4", 0), ==, 0);
    assert_tree(&f, "vm", "s1* s1/s3");
    g_assert_cmpint(snapshot_delete(&f, "vm", "s2", 0), ==, VIREO_ERR_NO_DOMAIN_SNAPSHOT);
    g_assert_cmpint(snapshot_delete(&f, "vm", "s1", FLAG(DELETE_CHILDREN_ONLY)), ==, 0);
    assert_tree(&f, "vm", "s1*");
    g_assert_cmpint(snapshot(&f, "vm", SNAP("s5"), 0), ==, 0);
    g_assert_cmpint(snapshot_delete(&f, "vm", "s1", FLAG(DELETE_CHILDREN)), ==, 0);
    assert_tree(&f, "vm", "");
    fixture_down(&f);
}

/* A revert brings back memory, disks and definition. */
static void test_revert_restores(void)
{
    vireo_domain_set_metadata_args title = {.type = VIREO_DOMAIN_METADATA_TITLE,
                                            .metadata = (char *)"after",
                                            .flags = VIREO_DOMAIN_AFFECT_CONFIG};
    Fixture f;
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;

    up_running(&f);
    type_line(&f, "one\n");
    g_assert_cmpint(snapshot(&f, "vm", SNAP("s1"), 0), ==, 0);
    type_line(&f, "two\n");
    title.dom = domain(&f, "vm");
    fake_run(f.host, f.conn, "domain_set_metadata", &title, NULL, NULL);
    before = dumpxml(&f, "vm", VIREO_DOMAIN_XML_INACTIVE);
    assert_has(before, "<title>after</title>");
    assert_memory(&f, "one\ntwo\n");
    assert_disk(&f, "vdb", "one\ntwo\n");
    g_assert_cmpint(revert(&f, "vm", "s1", 0), ==, 0);
    assert_state(&f, "vm", RUNNING, FROM_SNAPSHOT);
    assert_memory(&f, "one\n");
    assert_disk(&f, "vda", "one\n");
    assert_disk(&f, "/images/vm-b.qcow2", "one\n");
    after = dumpxml(&f, "vm", VIREO_DOMAIN_XML_INACTIVE);
    assert_hasnt(after, "<title>");
    fixture_down(&f);
}

/* Kind of snapshot x state of the domain x flags: what state comes out. */
static void test_revert_states(void)
{
    static const struct {
        gboolean taken_running;
        guint create, revert;
        int state;
    } cells[] = {
        {TRUE, 0, 0, VIREO_DOMAIN_RUNNING},
        {TRUE, 0, FLAG(REVERT_PAUSED), VIREO_DOMAIN_PAUSED},
        {TRUE, 0, FLAG(REVERT_RUNNING), VIREO_DOMAIN_RUNNING},
        {TRUE, 0, FLAG(REVERT_FORCE), VIREO_DOMAIN_RUNNING},
        {FALSE, 0, 0, VIREO_DOMAIN_SHUTOFF},
        {FALSE, 0, FLAG(REVERT_RUNNING), VIREO_DOMAIN_RUNNING},
        {FALSE, 0, FLAG(REVERT_PAUSED), VIREO_DOMAIN_PAUSED},
        {TRUE, FLAG(CREATE_DISK_ONLY), 0, VIREO_DOMAIN_SHUTOFF},
        {TRUE, FLAG(CREATE_DISK_ONLY), FLAG(REVERT_RUNNING), VIREO_DOMAIN_RUNNING},
        {FALSE, FLAG(CREATE_DISK_ONLY), 0, VIREO_DOMAIN_SHUTOFF},
        {FALSE, FLAG(CREATE_DISK_ONLY), FLAG(REVERT_PAUSED), VIREO_DOMAIN_PAUSED},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cells); i++)
        for (guint now = 0; now < 3; now++) { /* off, running, paused */
            Fixture f;

            up(&f);
            if (cells[i].taken_running)
                simple(&f, "domain_create_with_flags", "vm");
            g_assert_cmpint(snapshot(&f, "vm", SNAP("s"), cells[i].create), ==, 0);
            if (fake_object(f.space, VIREO_CLASS_DOMAIN, "vm")->id != -1)
                simple(&f, "domain_destroy_flags", "vm");
            if (now)
                flagged(&f, "domain_create_with_flags", "vm",
                        now == 2 ? VIREO_DOMAIN_START_PAUSED : 0);
            g_assert_cmpint(revert(&f, "vm", "s", cells[i].revert), ==, 0);
            g_assert_cmpint(fake_object(f.space, VIREO_CLASS_DOMAIN, "vm")->state, ==,
                            cells[i].state);
            g_assert_true((domain(&f, "vm").id == -1) == (cells[i].state == VIREO_DOMAIN_SHUTOFF));
            assert_tree(&f, "vm", "s*");
            fixture_down(&f);
        }
}

static void test_kinds(void)
{
    Fixture f;
    g_autofree char *xml = NULL;
    g_autofree char *dump = NULL;

    up_running(&f);
    type_line(&f, "one\n");
    g_assert_cmpint(snapshot(&f, "vm", SNAP("e1"), FLAG(CREATE_DISK_ONLY)), ==, 0);
    g_assert_cmpuint(node_flags(&f, "e1"), ==,
                     VIREO_TREE_METADATA | VIREO_TREE_EXTERNAL | VIREO_TREE_DISK_ONLY);
    dump = dumpxml(&f, "vm", 0);
    assert_has(dump, "/images/vm-a.e1");
    assert_has(dump, "/images/cd.iso");
    xml = snapshot_xml(&f, "vm", "e1");
    assert_has(xml, "<state>disk-snapshot</state>");
    assert_has(xml, "<disk name='sda' snapshot='no'");
    assert_has(xml, "/images/vm-a.qcow2"); /* the definition of that moment */
    type_line(&f, "two\n");
    assert_disk(&f, "vda", "one\ntwo\n");
    g_assert_cmpint(snapshot(&f, "vm",
                             DISKS("mixed", "<disk name='vda' snapshot='internal'/>"
                                            "<disk name='vdb' snapshot='external'/>"),
                             FLAG(CREATE_DISK_ONLY)),
                    ==, 0);
    g_assert_cmpuint(node_flags(&f, "mixed"), ==,
                     VIREO_TREE_METADATA | VIREO_TREE_EXTERNAL | VIREO_TREE_INTERNAL |
                         VIREO_TREE_DISK_ONLY);
    g_assert_cmpint(snapshot(&f, "vm",
                             "<domainsnapshot><name>mem</name>"
                             "<memory snapshot='external' file='/m'/></domainsnapshot>",
                             FLAG(CREATE_LIVE)),
                    ==, 0);
    g_assert_cmpuint(node_flags(&f, "mem"), ==, VIREO_TREE_METADATA | VIREO_TREE_EXTERNAL);
    g_assert_cmpint(revert(&f, "vm", "e1", FLAG(REVERT_RUNNING)), ==, 0);
    assert_disk(&f, "vda", "one\n");
    assert_memory(&f, "");
    g_assert_cmpint(revert(&f, "vm", "mem", 0), ==, 0);
    assert_memory(&f, "one\ntwo\n");
    assert_disk(&f, "vda", "one\ntwo\n");
    fixture_down(&f);
}

static void test_create_refusals(void)
{
    Fixture f;
    g_autofree char *passing = guest_xml("passing", NULL);

    up_running(&f);
    /* a running domain without its memory is a disk-only snapshot */
    g_assert_cmpint(
        snapshot(&f, "vm", "<domainsnapshot><memory snapshot='no'/></domainsnapshot>", 0), ==,
        VIREO_ERR_OPERATION_UNSUPPORTED);
    g_assert_cmpint(
        snapshot(&f, "vm", "<domainsnapshot><memory snapshot='manual'/></domainsnapshot>", 0), ==,
        VIREO_ERR_XML_ERROR);
    g_assert_cmpint(snapshot(&f, "vm",
                             "<domainsnapshot><memory snapshot='internal'/></domainsnapshot>",
                             FLAG(CREATE_DISK_ONLY)),
                    ==, VIREO_ERR_XML_ERROR);
    g_assert_cmpint(
        snapshot(&f, "vm", "<domainsnapshot><memory snapshot='external'/></domainsnapshot>", 0), ==,
        VIREO_ERR_XML_ERROR);
    g_assert_cmpint(snapshot(&f, "vm", DISKS("x", "<disk name='vdz'/>"), 0), ==,
                    VIREO_ERR_CONFIG_UNSUPPORTED);
    g_assert_cmpint(snapshot(&f, "vm",
                             DISKS("x", "<disk name='vda'/>"
                                        "<disk name='/images/vm-a.qcow2'/>"),
                             0),
                    ==, VIREO_ERR_CONFIG_UNSUPPORTED);
    g_assert_cmpint(snapshot(&f, "vm",
                             DISKS("x", "<disk name='vda' snapshot='no'/>"
                                        "<disk name='vdb' snapshot='no'/>"),
                             FLAG(CREATE_DISK_ONLY)),
                    ==, VIREO_ERR_CONFIG_UNSUPPORTED);
    g_assert_cmpint(snapshot(&f, "test", SNAP("x"), FLAG(CREATE_DISK_ONLY)), ==,
                    VIREO_ERR_CONFIG_UNSUPPORTED); /* it has no disk */
    g_assert_cmpint(snapshot(&f, "vm", SNAP("x"), FLAG(CREATE_DISK_ONLY) | FLAG(CREATE_REUSE_EXT)),
                    ==, VIREO_ERR_CONFIG_UNSUPPORTED); /* nothing there to reuse */
    g_assert_cmpint(snapshot(&f, "vm", SNAP("x"), FLAG(CREATE_DISK_ONLY) | FLAG(CREATE_LIVE)), ==,
                    VIREO_ERR_OPERATION_UNSUPPORTED);
    g_assert_cmpint(snapshot(&f, "vm", SNAP("e"), FLAG(CREATE_DISK_ONLY)), ==, 0);
    g_assert_cmpint(revert(&f, "vm", "e", FLAG(REVERT_RUNNING)), ==, 0);
    g_assert_cmpint(snapshot_delete(&f, "vm", "e", 0), ==, 0);
    g_assert_cmpint(snapshot(&f, "vm",
                             DISKS("e", "<disk name='vda'><source file='/images/vm-a.e'/>"
                                        "</disk>"),
                             FLAG(CREATE_DISK_ONLY)),
                    ==, VIREO_ERR_CONFIG_UNSUPPORTED); /* that image exists */
    g_assert_cmpint(snapshot(&f, "vm",
                             DISKS("e", "<disk name='vda'><source file='/images/vm-a.e'/>"
                                        "</disk><disk name='vdb' snapshot='no'/>"),
                             FLAG(CREATE_DISK_ONLY) | FLAG(CREATE_REUSE_EXT)),
                    ==, 0);
    simple(&f, "domain_suspend", "vm");
    g_assert_cmpint(snapshot(&f, "vm", SNAP("x"), FLAG(CREATE_QUIESCE)), ==,
                    VIREO_ERR_OPERATION_INVALID);
    create_xml(&f, passing, 0);
    g_assert_cmpint(snapshot(&f, "passing", SNAP("x"), FLAG(CREATE_HALT)), ==,
                    VIREO_ERR_OPERATION_INVALID);
    simple(&f, "domain_destroy_flags", "vm");
    g_assert_cmpint(snapshot(&f, "vm",
                             "<domainsnapshot><memory snapshot='internal'/>"
                             "</domainsnapshot>",
                             0),
                    ==, VIREO_ERR_XML_ERROR);
    fixture_down(&f);
}

static void test_create_flags(void)
{
    Fixture f;

    up_running(&f);
    g_assert_cmpint(
        snapshot(&f, "vm", SNAP("quiet"), FLAG(CREATE_QUIESCE) | FLAG(CREATE_DISK_ONLY)), ==, 0);
    g_assert_cmpint(snapshot(&f, "vm", SNAP("hidden"), FLAG(CREATE_NO_METADATA)), ==, 0);
    assert_tree(&f, "vm", "quiet*");
    g_assert_cmpint(snapshot(&f, "vm", SNAP("hidden"), 0), ==, VIREO_ERR_OPERATION_FAILED);
    g_assert_cmpint(snapshot(&f, "vm", DISKS("hand", "<disk name='vda' snapshot='manual'/>"), 0),
                    ==, 0);
    assert_state(&f, "vm", PAUSED, SNAPSHOT);
    simple(&f, "domain_resume", "vm");
    g_assert_cmpint(snapshot(&f, "vm", SNAP("last"), FLAG(CREATE_HALT)), ==, 0);
    assert_state(&f, "vm", SHUTOFF, FROM_SNAPSHOT);
    g_assert_cmpint(
        snapshot(&f, "vm", "<domainsnapshot><garbage/></domainsnapshot>", FLAG(CREATE_VALIDATE)),
        ==, VIREO_ERR_XML_INVALID_SCHEMA);
    g_assert_cmpint(snapshot(&f, "vm", "<domainsnapshot/>", 0), ==, 0); /* named by the time */
    g_assert_cmpint(simple(&f, "domain_undefine_flags", "vm"), ==, VIREO_ERR_OPERATION_INVALID);
    g_assert_cmpint(
        flagged(&f, "domain_undefine_flags", "vm", VIREO_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA), ==,
        0);
    fixture_down(&f);
}

static char *described(const char *name, const char *state, const char *parent, const char *more)
{
    g_autofree char *above =
        parent ? g_strdup_printf("<parent><name>%s</name></parent>", parent) : g_strdup("");

    return g_strdup_printf("<domainsnapshot><name>%s</name><state>%s</state>%s"
                           "<creationTime>1000</creationTime>%s</domainsnapshot>",
                           name, state, above, more ? more : "");
}

static int redefine(Fixture *f, guint flags, char *taken_xml)
{
    g_autofree char *xml = taken_xml;

    return snapshot(f, "vm", xml, flags | FLAG(CREATE_REDEFINE));
}

static void test_redefine(void)
{
    Fixture f;
    char *same;

    up_running(&f);
    snapshot(&f, "vm", SNAP("s1"), 0);
    snapshot(&f, "vm", SNAP("s2"), 0);
    same = snapshot_xml(&f, "vm", "s1");
    g_assert_cmpint(redefine(&f, FLAG(CREATE_VALIDATE), g_strdup(same)), ==, 0);
    assert_tree(&f, "vm", "s1 s1/s2*");
    g_assert_cmpint(redefine(&f, FLAG(CREATE_CURRENT), same), ==, 0);
    assert_tree(&f, "vm", "s1* s1/s2");
    /* running to paused, and the definition left out: the old one is kept */
    g_assert_cmpint(redefine(&f, 0, described("s1", "paused", NULL, NULL)), ==, 0);
    g_assert_cmpint(revert(&f, "vm", "s1", 0), ==, 0);
    assert_state(&f, "vm", PAUSED, FROM_SNAPSHOT);

    g_assert_cmpint(redefine(&f, 0, described("s1", "running", "s1", NULL)), ==,
                    VIREO_ERR_INVALID_ARG);
    g_assert_cmpint(redefine(&f, 0, described("s1", "running", "nobody", NULL)), ==,
                    VIREO_ERR_INVALID_ARG);
    g_assert_cmpint(redefine(&f, 0, described("s1", "running", "s2", NULL)), ==,
                    VIREO_ERR_INVALID_ARG);
    g_assert_cmpint(redefine(&f, 0, described("s1", "shutoff", NULL, NULL)), ==,
                    VIREO_ERR_INVALID_ARG);
    g_assert_cmpint(redefine(&f, 0, described("s1", "disk-snapshot", NULL, NULL)), ==,
                    VIREO_ERR_INVALID_ARG);
    g_assert_cmpint(redefine(&f, FLAG(CREATE_DISK_ONLY), described("s9", "running", NULL, NULL)),
                    ==, VIREO_ERR_INVALID_ARG);
    g_assert_cmpint(redefine(&f, 0,
                             g_strdup("<domainsnapshot><name>x</name>"
                                      "<creationTime>1</creationTime></domainsnapshot>")),
                    ==, VIREO_ERR_XML_ERROR);
    g_assert_cmpint(redefine(&f, 0,
                             g_strdup("<domainsnapshot><state>running</state>"
                                      "<creationTime>1</creationTime></domainsnapshot>")),
                    ==, VIREO_ERR_XML_ERROR);
    g_assert_cmpint(redefine(&f, 0,
                             g_strdup("<domainsnapshot><name>x</name><state>running</state>"
                                      "</domainsnapshot>")),
                    ==, VIREO_ERR_INTERNAL_ERROR);
    g_assert_cmpint(redefine(&f, 0,
                             described("s9", "running", NULL,
                                       "<domain type='test'><name>vm</name><uuid>"
                                       "11111111-2222-3333-4444-555555555555</uuid>"
                                       "<memory>1</memory><os><type>hvm</type></os>"
                                       "</domain>")),
                    ==, VIREO_ERR_INVALID_ARG);
    fixture_down(&f);
}

/* Metadata and data are two things. */
static void test_metadata(void)
{
    Fixture f;
    char *xml;

    up_running(&f);
    type_line(&f, "one\n");
    snapshot(&f, "vm", SNAP("s1"), 0);
    type_line(&f, "two\n");
    xml = snapshot_xml(&f, "vm", "s1");
    g_assert_cmpint(snapshot_delete(&f, "vm", "s1", FLAG(DELETE_METADATA_ONLY)), ==, 0);
    assert_tree(&f, "vm", "");
    g_assert_cmpint(redefine(&f, 0, g_strdup(xml)), ==, 0); /* finds its data again */
    g_assert_cmpint(revert(&f, "vm", "s1", 0), ==, 0);
    assert_memory(&f, "one\n");
    g_assert_cmpint(snapshot_delete(&f, "vm", "s1", 0), ==, 0);
    g_assert_cmpint(redefine(&f, 0, xml), ==, 0); /* its data is gone */
    g_assert_cmpint(revert(&f, "vm", "s1", 0), ==, VIREO_ERR_OPERATION_FAILED);
    assert_state(&f, "vm", RUNNING, FROM_SNAPSHOT); /* and nothing was disturbed */
    g_assert_cmpint(redefine(&f, 0, described("bare", "shutoff", NULL, NULL)), ==, 0);
    g_assert_cmpint(revert(&f, "vm", "bare", 0), ==, VIREO_ERR_SNAPSHOT_REVERT_RISKY);
    g_assert_cmpint(revert(&f, "vm", "bare", FLAG(REVERT_FORCE)), ==, 0);
    assert_state(&f, "vm", SHUTOFF, FROM_SNAPSHOT);
    fixture_down(&f);
}

static void test_revert_refusals(void)
{
    static const char efi[] = "<domain type='test'><name>vm</name><memory>1024</memory>"
                              "<os firmware='efi'><type>hvm</type></os></domain>";
    Fixture f;
    g_autofree char *passing = guest_xml("passing", NULL);

    up(&f);
    snapshot(&f, "vm", SNAP("off"), 0);
    simple(&f, "domain_create_with_flags", "vm");
    simple(&f, "domain_managed_save", "vm");
    g_assert_cmpint(revert(&f, "vm", "off", 0), ==, VIREO_ERR_SNAPSHOT_REVERT_RISKY);
    g_assert_cmpint(revert(&f, "vm", "off", FLAG(REVERT_FORCE)), ==, 0);
    g_assert_cmpint(revert(&f, "vm", "off", FLAG(REVERT_RESET_NVRAM) | FLAG(REVERT_RUNNING)), ==,
                    VIREO_ERR_OPERATION_UNSUPPORTED); /* there is none */
    create_xml(&f, passing, 0);
    snapshot(&f, "passing", SNAP("d"), FLAG(CREATE_DISK_ONLY));
    g_assert_cmpint(revert(&f, "passing", "d", 0), ==, VIREO_ERR_OPERATION_INVALID);
    g_assert_cmpint(revert(&f, "passing", "d", FLAG(REVERT_RUNNING)), ==, 0);
    flagged(&f, "domain_undefine_flags", "vm", VIREO_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA);
    g_assert_cmpint(define(&f, efi), ==, 0);
    snapshot(&f, "vm", SNAP("off"), 0);
    g_assert_cmpint(revert(&f, "vm", "off", FLAG(REVERT_RESET_NVRAM)), ==,
                    VIREO_ERR_OPERATION_INVALID); /* it would not run */
    g_assert_cmpint(revert(&f, "vm", "off", FLAG(REVERT_RESET_NVRAM) | FLAG(REVERT_PAUSED)), ==, 0);
    fixture_down(&f);
}

static int checkpoint(Fixture *f, const char *name, const char *xml, guint flags)
{
    vireo_domain_checkpoint_create_xml_args args = {domain(f, name), (char *)xml, flags};
    vireo_domain_checkpoint_create_xml_ret ret = {0};
    int code = 0;

    fake_run(f->host, f->conn, "domain_checkpoint_create_xml", &args, &ret, &code);
    return code;
}

static void test_checkpoints(void)
{
    Fixture f;
    g_autoptr(vireo_call) call = NULL;
    vireo_domain_checkpoint_get_xml_desc_args get = {0};
    vireo_domain_checkpoint_get_xml_desc_ret got = {0};
    vireo_domain_checkpoint_delete_args del = {0};
    vireo_domain_ref dom;

    up(&f);
#define CHECK(name) "<domaincheckpoint><name>" name "</name></domaincheckpoint>"
    g_assert_cmpint(checkpoint(&f, "vm", CHECK("c1"), 0), ==, VIREO_ERR_OPERATION_INVALID);
    simple(&f, "domain_create_with_flags", "vm");
    g_assert_cmpint(checkpoint(&f, "vm", CHECK("c1"), 0), ==, 0);
    g_assert_cmpint(checkpoint(&f, "vm", CHECK("c1"), 0), ==, VIREO_ERR_OPERATION_FAILED);
    g_assert_cmpint(checkpoint(&f, "vm", CHECK("c2"), 0), ==, 0);
    g_assert_cmpint(checkpoint(&f, "test", CHECK("c"), 0), ==, VIREO_ERR_CONFIG_UNSUPPORTED);
    g_assert_cmpint(checkpoint(&f, "vm", "<nonsense/>", 0), ==, VIREO_ERR_XML_ERROR);
    dom = domain(&f, "vm");
    g_assert_cmpstr(fake_node(f.space, VIREO_CLASS_DOMAIN_CHECKPOINT, dom.uuid, "c2")->parent, ==,
                    "c1");
    call = fake_call_new(f.host);
    get.checkpoint = (vireo_domain_checkpoint_ref){(char *)"c2", dom};
    get.flags = VIREO_DOMAIN_CHECKPOINT_XML_SIZE | VIREO_DOMAIN_CHECKPOINT_XML_NO_DOMAIN;
    fake_call_run(call, f.conn, "domain_checkpoint_get_xml_desc", &get, &got);
    assert_has(got.xml, "<disk name='vda' checkpoint='bitmap' bitmap='c2' size='0'/>");
    assert_has(got.xml, "<disk name='sda' checkpoint='no'/>");
    assert_hasnt(got.xml, "<domain ");
    del.checkpoint = (vireo_domain_checkpoint_ref){(char *)"c1", dom};
    fake_run(f.host, f.conn, "domain_checkpoint_delete", &del, NULL, NULL);
    g_assert_null(fake_node(f.space, VIREO_CLASS_DOMAIN_CHECKPOINT, dom.uuid, "c2")->parent);
    fixture_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tree-and-delete", test_tree_and_delete);
    g_test_add_func("/revert-restores", test_revert_restores);
    g_test_add_func("/revert-states", test_revert_states);
    g_test_add_func("/kinds", test_kinds);
    g_test_add_func("/create-refusals", test_create_refusals);
    g_test_add_func("/create-flags", test_create_flags);
    g_test_add_func("/redefine", test_redefine);
    g_test_add_func("/metadata", test_metadata);
    g_test_add_func("/revert-refusals", test_revert_refusals);
    g_test_add_func("/checkpoints", test_checkpoints);
    return g_test_run();
}
