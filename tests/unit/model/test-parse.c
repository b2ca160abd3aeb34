/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is read from a document, and how bad ones are refused. */
#include "fixture.h"

#include <string.h>
#include <time.h>

static void test_values(void)
{
    g_autofree char *xml = fixture_domain(
        "<disk type='block' device='cdrom'>"
        "<source dev='/dev/sr0'/><target dev='sda' bus='sata'/><readonly/><serial> a </serial>"
        "<boot order='2'/><address type='pci' slot='0x1f' function='2'/></disk>"
        "<interface type='bridge'><mac address='52:54:00:AA:bb:cc'/><source bridge='br0'/>"
        "<model type='virtio'/></interface>");
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDomain) domain = vireo_domain_parse(xml, 0, &error);
    const VireoDomainDisk *disk;
    const VireoDomainInterface *interface;

    g_assert_no_error(error);
    g_assert_cmpint(domain->type, ==, VIREO_DOMAIN_VIRT_KVM);
    g_assert_cmpstr(domain->name, ==, "one");
    g_assert_false(domain->has_uuid);
    g_assert_true(domain->memory->has_text);
    g_assert_cmpuint(domain->memory->text, ==, 64 * 1024);
    g_assert_cmpuint(domain->vcpu->text, ==, 1);
    g_assert_null(domain->cpu);
    g_assert_cmpint(domain->os->type->text, ==, VIREO_DOMAIN_OS_TYPE_HVM);
    g_assert_cmpint(domain->on_reboot, ==, VIREO_DOMAIN_LIFECYCLE_RESTART);
    g_assert_cmpuint(domain->devices->disks.n, ==, 1);
    disk = domain->devices->disks.items[0];
    g_assert_cmpint(disk->type, ==, VIREO_DOMAIN_DISK_TYPE_BLOCK);
    g_assert_cmpstr(vireo_domain_disk_device_to_string(disk->device), ==, "cdrom");
    g_assert_cmpstr(disk->source->dev, ==, "/dev/sr0");
    g_assert_cmpstr(disk->serial, ==, " a ");
    g_assert_true(disk->readonly);
    g_assert_false(disk->shareable);
    g_assert_cmpuint(disk->boot->order, ==, 2);
    g_assert_cmpuint(disk->address->slot, ==, 31);
    g_assert_false(disk->address->has_bus);
    g_assert_cmpuint(disk->line, ==, 7);
    interface = domain->devices->interfaces.items[0];
    g_assert_cmpstr(interface->mac->address, ==, "52:54:00:aa:bb:cc");
    g_assert_cmpstr(interface->source->bridge, ==, "br0");
    g_assert_cmpstr(interface->model, ==, "virtio");
}

static void test_memory_units(void)
{
    static const struct {
        const char *text;
        guint64 kib;
    } cases[] = {
        { "<memory>2048</memory>", 2048 },
        { "<memory unit='b'>1025</memory>", 2 },
        { "<memory unit='bytes'>1024</memory>", 1 },
        { "<memory unit='KB'>1024</memory>", 1000 },
        { "<memory unit='k'>7</memory>", 7 },
        { "<memory unit='MB'>1</memory>", 977 },
        { "<memory unit='mib'>3</memory>", 3072 },
        { "<memory unit='GiB'>2</memory>", 2097152 },
        { "<memory unit='T'>1</memory>", 1073741824 },
        { "<memory unit='KiB'>\n 5 \n</memory>", 5 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *xml = g_strdup_printf("<domain type='qemu'><name>a</name>%s</domain>",
                                               cases[i].text);
        g_autoptr(GError) error = NULL;
        g_autoptr(VireoDomain) domain = vireo_domain_parse(xml, 0, &error);

        g_assert_no_error(error);
        g_assert_cmpuint(domain->memory->text, ==, cases[i].kib);
    }
}

typedef struct {
    const char *more;
    int code;
    const char *parts[5];
} Refusal;

static const Refusal refusals[] = {
    { "^<vcpus><vcpu id='x' enabled='yes'/></vcpus>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_BESIDE, "domain.vcpus.vcpu.id", "'x'", "whole number" } },
    { "^<iothreads>-1</iothreads>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_BESIDE, "domain.iothreads:", "'-1'" } },
    { "^<iothreads>99999999999999999999999</iothreads>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_BESIDE, "domain.iothreads:", "65535" } },
    { "^<currentMemory unit='EiB'>99999</currentMemory>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_BESIDE, "domain.currentMemory:", "'99999'" } },
    { "^<currentMemory unit='parsec'>9</currentMemory>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_BESIDE, "domain.currentMemory.unit:", "'parsec'", "KiB" } },
    { "^<uuid>1234</uuid>", VIREO_ERROR_XML_ERROR, { FIXTURE_LINE_BESIDE, "domain.uuid:", "UUID" } },
    { "^<name>two</name>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_BESIDE, "domain.name:", "more than once" } },
    { "^<on_crash>explode</on_crash>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_BESIDE, "domain.on_crash:", "'explode'", "coredump-restart" } },
    { "^<gadget/>", VIREO_ERROR_CONFIG_UNSUPPORTED,
      { FIXTURE_LINE_BESIDE, "domain.gadget:", "unknown element" } },
    { "^<f:gadget xmlns:f='urn:f'/>", VIREO_ERROR_CONFIG_UNSUPPORTED,
      { FIXTURE_LINE_BESIDE, "domain.f:gadget:", "unknown element" } },
    { "^stray", VIREO_ERROR_XML_ERROR, { "domain:", "unexpected text" } },
    { "^<cpu mode='host-model'>x</cpu>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_BESIDE, "domain.cpu:", "unexpected text" } },
    { "<disk type='fiel'/>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_INSIDE, "domain.devices.disk.type", "'fiel'", "file, block" } },
    { "<disk colour='red'/>", VIREO_ERROR_CONFIG_UNSUPPORTED,
      { FIXTURE_LINE_INSIDE, "domain.devices.disk.colour", "unknown attribute" } },
    { "\n<disk>\n<target bus='virtio'/></disk>", VIREO_ERROR_XML_ERROR,
      { ":9:", "domain.devices.disk.target.dev", "missing attribute" } },
    { "<disk/>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_INSIDE, "domain.devices.disk.target", "missing element" } },
    { "<disk><readonly>no</readonly></disk>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_INSIDE, "domain.devices.disk.readonly", "unexpected text" } },
    { "<disk><alias><x/></alias></disk>", VIREO_ERROR_CONFIG_UNSUPPORTED,
      { FIXTURE_LINE_INSIDE, "domain.devices.disk.alias.x", "unknown element" } },
    { "<disk><source dev='/dev/sda'/></disk>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_INSIDE, "domain.devices.disk.source.dev", "no meaning", "'file'" } },
    { "<graphics type='vnc' tlsPort='1'/>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_INSIDE, "domain.devices.graphics.tlsPort", "no meaning", "'vnc'" } },
    { "<graphics type='vnc' port='65536'/>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_INSIDE, "domain.devices.graphics.port", "-1 to 65535" } },
    { "<interface type='user'><mac address='52:54:00:1:2:3'/></interface>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_INSIDE, "domain.devices.interface.mac.address", "MAC" } },
    { "<emulator>qemu</emulator>", VIREO_ERROR_XML_ERROR,
      { FIXTURE_LINE_INSIDE, "domain.devices.emulator", "absolute path" } },
};

static void test_refusals(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autofree char *xml = fixture_domain(refusals[i].more);

        fixture_refused(xml, 0, refusals[i].code, refusals[i].parts);
    }
}

static void test_malformed(void)
{
    const char *const mismatch[] = { "(domain_definition):2: ", "mismatch",
                                     "\n <name>x</nam>\n--------------^", NULL };
    const char *const empty[] = { "(domain_definition):1: ", NULL };
    const char *const root[] = { "<network>", "expecting <domain>", NULL };

    fixture_refused("<domain type='kvm'>\n <name>x</nam>\n</domain>", 0, VIREO_ERROR_XML_DETAIL,
                    mismatch);
    fixture_refused("", 0, VIREO_ERROR_XML_DETAIL, empty);
    fixture_refused("   ", 0, VIREO_ERROR_XML_DETAIL, empty);
    fixture_refused("<domain>\xff\xfe</domain>", 0, VIREO_ERROR_XML_DETAIL, empty);
    fixture_refused("<domain>&#0;</domain>", 0, VIREO_ERROR_XML_DETAIL, empty);
    fixture_refused("<domain>&nbsp;</domain>", 0, VIREO_ERROR_XML_DETAIL, empty);
    fixture_refused("<domain type='kvm'><name>a</name><qemu:commandline/></domain>", 0,
                    VIREO_ERROR_XML_DETAIL, empty);
    fixture_refused("<network/>", 0, VIREO_ERROR_XML_ERROR, root);
}

static void test_schema(void)
{
    g_autofree char *good = fixture_domain("<disk><target dev='vda'/></disk>");
    g_autofree char *bad = fixture_domain("\n<disk><target bus='x'/></disk>");
    const char *const parts[] = { "schema", ":8:", "domain.devices.disk.target.bus", NULL };
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDomain) domain = vireo_domain_parse(good, VIREO_MODEL_PARSE_VALIDATE, &error);

    g_assert_no_error(error);
    g_assert_nonnull(domain);
    fixture_refused(bad, VIREO_MODEL_PARSE_VALIDATE, VIREO_ERROR_XML_INVALID_SCHEMA, parts);
}

static void test_bomb(void)
{
    g_autoptr(GString) xml = g_string_new("<!DOCTYPE d [<!ENTITY e0 'ha'>");
    const char *const parts[] = { "document type", NULL };
    clock_t start = clock();

    for (int i = 1; i < 40; i++)
        g_string_append_printf(xml, "<!ENTITY e%d '&e%d;&e%d;&e%d;&e%d;'>", i, i - 1, i - 1, i - 1,
                               i - 1);
    g_string_append(xml, "]><domain type='kvm'><name>&e39;</name></domain>");
    fixture_refused(xml->str, 0, VIREO_ERROR_XML_ERROR, parts);
    fixture_refused("<!DOCTYPE d SYSTEM 'http://127.0.0.1:9/x'><domain type='kvm'/>", 0,
                    VIREO_ERROR_XML_ERROR, parts);
    fixture_refused("<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
                    "<domain type='kvm'><name>&x;</name></domain>",
                    0, VIREO_ERROR_XML_ERROR, parts);
    g_assert_cmpint(clock() - start, <, CLOCKS_PER_SEC);
}

static void test_depth(void)
{
    g_autoptr(GString) inner = g_string_new("<disk><target dev='vda'/>");
    const char *const parts[] = { "(domain_definition):", "nested more than 256 deep", NULL };
    g_autofree char *xml = NULL;

    for (int i = 0; i < 100000; i++)
        g_string_append(inner, "<backingStore>");
    xml = fixture_domain(inner->str);
    fixture_refused(xml, 0, VIREO_ERROR_XML_DETAIL, parts);
}

static void test_crowded(void)
{
    g_autoptr(GString) attributes = g_string_new(NULL);
    g_autoptr(GString) spaces = g_string_new(NULL);
    g_autofree char *many = NULL;
    g_autofree char *declared = NULL;
    g_autofree char *fine = fixture_domain("^<!-- '' < '' -->\n<title><![CDATA[a < '' b]]></title>");
    const char *const parts[] = { "(domain_definition):3:", "attributes", NULL };
    clock_t start = clock();
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDomain) domain = NULL;

    for (int i = 0; i < 150000; i++) {
        g_string_append_printf(attributes, " a%x='<>'", i);
        g_string_append_printf(spaces, " xmlns:a%x='u'", i);
    }
    many = g_strdup_printf("<!-- <x '' -->\n\n<domain%s/>", attributes->str);
    declared = g_strdup_printf("\n\n<domain%s/>", spaces->str);
    fixture_refused(many, 0, VIREO_ERROR_XML_ERROR, parts);
    fixture_refused(declared, 0, VIREO_ERROR_XML_ERROR, parts);
    g_assert_cmpint(clock() - start, <, 2 * CLOCKS_PER_SEC);
    domain = vireo_domain_parse(fine, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(domain->title, ==, "a < '' b");
}

/* A declared encoding could hide markup from the scan for crowded tags. */
static void test_encoding(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDomain) domain = vireo_domain_parse(
        "<?xml version='1.0' encoding='UTF-7'?><domain type='kvm'><name>a+ADw-</name></domain>", 0,
        &error);

    g_assert_no_error(error);
    g_assert_cmpstr(domain->name, ==, "a+ADw-");
}

static void test_many_children(void)
{
    g_autoptr(GString) hubs = g_string_new(NULL);
    g_autofree char *xml = NULL;
    const char *const parts[] = { FIXTURE_LINE_INSIDE, "elements in <devices>", NULL };

    for (int i = 0; i < 10001; i++)
        g_string_append(hubs, "<hub type='usb'/>");
    xml = fixture_domain(hubs->str);
    fixture_refused(xml, VIREO_MODEL_PARSE_VALIDATE, VIREO_ERROR_XML_ERROR, parts);
}

static void test_size(void)
{
    const char nul[] = "<domain type='kvm'><name>a\0b</name></domain>";
    g_autofree char *huge = g_strnfill(VIREO_MODEL_MAX_SIZE + 1, ' ');
    g_autofree char *name = g_strnfill(300, 'n');
    g_autofree char *xml = g_strdup_printf("<domain type='kvm'><name>%s</name></domain>", name);
    const char *const parts[] = { "accepted", NULL };
    const char *const shorter[] = { "domain.name", "shorter", NULL };
    g_autoptr(GError) error = NULL;

    fixture_refused(huge, 0, VIREO_ERROR_INVALID_ARG, parts);
    fixture_refused(xml, 0, VIREO_ERROR_XML_ERROR, shorter);
    g_assert_null(vireo_model_parse(&vireo_domain_type, NULL, nul, sizeof(nul) - 1, 0, &error));
    g_assert_error(error, VIREO_ERROR, VIREO_ERROR_INVALID_ARG);
}

static void test_line_after_64k(void)
{
    g_autofree char *blank = g_strnfill(70000, '\n');
    g_autofree char *xml = g_strdup_printf("<domain type='kvm'>%s<gadget/></domain>", blank);
    const char *const parts[] = { ":70001:", "domain.gadget", NULL };

    fixture_refused(xml, 0, VIREO_ERROR_CONFIG_UNSUPPORTED, parts);
}

static void test_inactive(void)
{
    g_autofree char *xml = fixture_domain(
        "<serial type='pty'><source path='/dev/pts/3'/><alias name='serial0'/></serial>"
        "<serial type='file'><source path='/log'/><alias name='ua-log'/></serial>"
        "<interface type='user'><target dev='vnet3'/></interface>"
        "<interface type='user'><target dev='mine'/></interface>"
        "<console type='pty' tty='/dev/pts/3'/>");
    g_autoptr(VireoDomain) all = vireo_domain_parse(xml, 0, NULL);
    g_autoptr(VireoDomain) kept = vireo_domain_parse(xml, VIREO_MODEL_PARSE_INACTIVE, NULL);
    VireoDomainChardev **serials = all->devices->serials.items;
    g_autofree char *same = vireo_domain_format(kept, 0);
    g_autofree char *left = vireo_domain_format(all, VIREO_MODEL_FORMAT_INACTIVE);

    g_assert_cmpstr(serials[0]->sources.items[0]->path, ==, "/dev/pts/3");
    g_assert_cmpstr(serials[0]->alias, ==, "serial0");
    g_assert_cmpstr(all->devices->consoles.items[0]->tty, ==, "/dev/pts/3");
    serials = kept->devices->serials.items;
    g_assert_cmpuint(serials[0]->sources.n, ==, 0);
    g_assert_null(serials[0]->alias);
    g_assert_cmpstr(serials[1]->sources.items[0]->path, ==, "/log");
    g_assert_cmpstr(serials[1]->alias, ==, "ua-log");
    g_assert_null(kept->devices->interfaces.items[0]->target);
    g_assert_cmpstr(kept->devices->interfaces.items[1]->target->dev, ==, "mine");
    g_assert_null(kept->devices->consoles.items[0]->tty);
    g_assert_cmpstr(same, ==, left);
}

static void test_members(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDomainDisk) disk =
        vireo_domain_disk_parse("<disk><target dev='vda'/></disk>", 0, &error);
    g_autoptr(VireoDomainDevices) any = vireo_domain_devices_parse_member(
        "<console type='pty'/>", VIREO_MODEL_PARSE_VALIDATE, &error);
    g_autoptr(VireoDomainDevices) none = NULL;

    g_assert_no_error(error);
    g_assert_cmpstr(disk->target->dev, ==, "vda");
    g_assert_cmpuint(any->consoles.n, ==, 1);
    g_assert_cmpuint(any->serials.n, ==, 0);
    none = vireo_domain_devices_parse_member("<pool/>", 0, &error);
    g_assert_null(none);
    g_assert_error(error, VIREO_ERROR, VIREO_ERROR_XML_ERROR);
    g_assert_nonnull(strstr(error->message, "(device_definition):1: pool:"));
}

static void test_unknown_flags(void)
{
    const char *const parts[] = { "0x80", NULL };

    fixture_refused("<domain/>", 0x80, VIREO_ERROR_INVALID_ARG, parts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/model/parse/values", test_values);
    g_test_add_func("/model/parse/memory-units", test_memory_units);
    g_test_add_func("/model/parse/refusals", test_refusals);
    g_test_add_func("/model/parse/malformed", test_malformed);
    g_test_add_func("/model/parse/schema", test_schema);
    g_test_add_func("/model/parse/bomb", test_bomb);
    g_test_add_func("/model/parse/depth", test_depth);
    g_test_add_func("/model/parse/crowded", test_crowded);
    g_test_add_func("/model/parse/encoding", test_encoding);
    g_test_add_func("/model/parse/many-children", test_many_children);
    g_test_add_func("/model/parse/size", test_size);
    g_test_add_func("/model/parse/line-after-64k", test_line_after_64k);
    g_test_add_func("/model/parse/inactive", test_inactive);
    g_test_add_func("/model/parse/members", test_members);
    g_test_add_func("/model/parse/unknown-flags", test_unknown_flags);
    return g_test_run();
}
