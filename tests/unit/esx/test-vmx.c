/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* VMX files become domain documents and come back. The files in vmx/ are read as what stands beside them, and whatever
 * a file says survives both ways. */
#include <string.h>

#include "plugins/esx/vmx.h"

#define FILES_MAX 400

static const EsxVmxHost host = { .hardware = 13 };

static char *text_of(const VireoDomain *domain)
{
    return vireo_domain_format(domain, VIREO_MODEL_FORMAT_SECURE);
}

static VireoDomain *read_text(const char *vmx)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(EsxVmx) parsed = esx_vmx_parse(vmx, &error);

    g_assert_no_error(error);
    VireoDomain *domain = esx_vmx_read(parsed, &host, &error);
    if (error)
        g_error("%s in\n%s", error->message, vmx);
    return domain;
}

/* As a document, as a file again, and as a document again. */
static void round_trip(const char *vmx)
{
    VireoDomain *first = read_text(vmx);
    g_autofree char *xml = text_of(first);
    g_autoptr(GError) error = NULL;
    VireoDomain *parsed = vireo_domain_parse(xml, VIREO_MODEL_PARSE_INACTIVE, &error);

    if (error)
        g_error("%s in\n%s", error->message, xml);
    g_autoptr(EsxVmx) written = esx_vmx_write(parsed, &host, &error);
    if (error)
        g_error("%s in\n%s", error->message, xml);
    g_autofree char *again = esx_vmx_format(written);
    VireoDomain *second = read_text(again);
    g_autofree char *other = text_of(second);
    if (!g_str_equal(xml, other))
        g_error("of\n%s\ncame\n%s\nand then\n%s", vmx, xml, other);
    vireo_domain_free(first);
    vireo_domain_free(parsed);
    vireo_domain_free(second);
}

static void test_files(void)
{
    g_autofree char *folder = g_test_build_filename(G_TEST_DIST, "vmx", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    guint files = 0;

    for (const char *name; (name = g_dir_read_name(dir));) {
        if (!g_str_has_suffix(name, ".vmx"))
            continue;
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *beside = g_strdup_printf("%.*s.xml", (int)strlen(path) - 4, path);
        g_autofree char *vmx = NULL, *xml = NULL;

        g_assert_true(g_file_get_contents(path, &vmx, NULL, NULL));
        VireoDomain *domain = read_text(vmx);
        g_autofree char *is = text_of(domain);
        if (g_getenv("VIREO_TEST_WRITE"))
            g_assert_true(g_file_set_contents(beside, is, -1, NULL));
        g_assert_true(g_file_get_contents(beside, &xml, NULL, NULL));
        g_assert_cmpstr(is, ==, xml);
        vireo_domain_free(domain);
        round_trip(vmx);
        files++;
    }
    g_assert_cmpuint(files, >=, 3);
}

/* ---- files as they come ------------------------------------------------------------------- */

#define ONE_OF(words) words[g_test_rand_int_range(0, G_N_ELEMENTS(words))]

static gboolean maybe(void)
{
    return g_test_rand_int_range(0, 2);
}

static void put(GString *text, const char *key, const char *value)
{
    g_string_append_printf(text, "%s = \"%s\"\n", key, value);
}

static void put_number(GString *text, const char *key, guint64 value)
{
    g_string_append_printf(text, "%s = \"%" G_GUINT64_FORMAT "\"\n", key, value);
}

static void put_disks(GString *text)
{
    static const char *const models[] = { "buslogic", "lsilogic", "lsisas1068", "pvscsi" };
    static const char *const types[] = { "hardDisk", "cdrom-image", "atapi-cdrom", "cdrom-raw" };
    static const char *const files[] = { "a.vmdk", "/vmfs/volumes/ds 1/x/y.iso", "emptyBackingString", "auto detect" };
    static const guint buses[] = { 4, 4, 2 }, units[] = { 16, 30, 2 };
    static const char *const prefixes[] = { "scsi", "sata", "ide" };

    for (guint kind = 0; kind < 3; kind++)
        for (guint bus = 0; bus < buses[kind]; bus++) {
            if (!maybe())
                continue;
            g_string_append_printf(text, "%s%u.present = \"TRUE\"\n", prefixes[kind], bus);
            if (kind == 0)
                g_string_append_printf(text, "scsi%u.virtualDev = \"%s\"\n", bus, ONE_OF(models));
            for (guint unit = 0; unit < units[kind]; unit++) {
                const char *type = ONE_OF(types);

                if (g_test_rand_int_range(0, 4) || (kind == 0 && unit == 7))
                    continue;
                gboolean disk = g_str_equal(type, "hardDisk");
                g_string_append_printf(text, "%s%u:%u.present = \"true\"\n%s%u:%u.fileName = \"%s\"\n", prefixes[kind], bus, unit,
                                       prefixes[kind], bus, unit, disk ? "a b.vmdk" : ONE_OF(files));
                g_string_append_printf(text, "%s%u:%u.deviceType = \"%s%s\"\n", prefixes[kind], bus, unit,
                                       !disk ? "" : kind ? "ata-" : "scsi-", type);
                if (maybe())
                    g_string_append_printf(text, "%s%u:%u.writeThrough = \"true\"\n", prefixes[kind], bus, unit);
            }
        }
}

static void put_cards(GString *text)
{
    static const char *const models[] = { "vlance", "vmxnet", "vmxnet3", "e1000", "e1000e" };
    static const char *const networks[] = { "networkName = \"VM Network\"", "connectionType = \"nat\"",
                                            "dvs.switchId = \"50 34 26 b2 94 e9 3b 16-1d 68 87 bf ff 4a 54 40\"" };
    static const char *const addresses[] = { "generatedAddress = \"00:0c:29:01:02:03\"", "generatedAddress = \"00:50:56:9b:00:01\"" };

    for (guint i = 0; i < 10; i++) {
        if (maybe())
            continue;
        g_string_append_printf(text, "ethernet%u.present = \"1\"\nethernet%u.virtualDev = \"%s\"\nethernet%u.%s\n", i, i,
                               ONE_OF(models), i, ONE_OF(networks));
        if (maybe())
            g_string_append_printf(text, "ethernet%u.addressType = \"static\"\nethernet%u.address = \"00:50:56:01:02:%02x\"\n", i, i, i);
        else
            g_string_append_printf(text, "ethernet%u.%s\n", i, ONE_OF(addresses));
    }
}

static void put_rest(GString *text)
{
    static const char *const ports[] = { "fileType = \"file\"", "fileType = \"device\"", "fileType = \"pipe\"" };

    for (guint i = 0; i < 4; i++)
        if (maybe())
            g_string_append_printf(text, "serial%u.present = \"true\"\nserial%u.%s\nserial%u.fileName = \"/x/s%u\"\n", i, i,
                                   ONE_OF(ports), i, i);
    if (maybe()) {
        put(text, "RemoteDisplay.vnc.enabled", "true");
        put_number(text, "RemoteDisplay.vnc.port", (guint64)g_test_rand_int_range(5900, 6000));
        put(text, "RemoteDisplay.vnc.password", "|22secret|7C");
    }
    if (maybe())
        put_number(text, "svga.vramSize", (guint64)g_test_rand_int_range(1, 9) * 1024 * 1024);
    put(text, "unknown.to.us", "whatever = \\ it |22says|22");
}

static void test_random(void)
{
    for (guint i = 0; i < FILES_MAX; i++) {
        g_autoptr(GString) text = g_string_new("#!/usr/bin/vmware\n.encoding = \"UTF-8\"\n\n");
        guint cores = (guint)g_test_rand_int_range(1, 5), cpus = cores * (guint)g_test_rand_int_range(1, 5);

        put(text, "displayName", maybe() ? "näme|22 %25" : "m");
        put(text, "guestOS", maybe() ? "debian11-64" : "other");
        if (maybe())
            put(text, "uuid.bios", "50 11 5e 16 9b dc 49 d7-f1 71 53 c4 d7 f9 17 10");
        if (maybe())
            put(text, "annotation", "line|0Aand <another>");
        put_number(text, "memsize", (guint64)g_test_rand_int_range(1, 4000) * 4);
        if (maybe())
            put_number(text, "sched.mem.max", (guint64)g_test_rand_int_range(1, 9000));
        put_number(text, "numvcpus", cpus);
        put_number(text, "cpuid.coresPerSocket", cores);
        put(text, "sched.cpu.shares", maybe() ? "high" : "1234");
        put(text, "sched.cpu.affinity", maybe() ? "all" : "0,1,2,7,9,10");
        if (maybe()) {
            put(text, "vm.genid", "-8536691797830587195");
            put(text, "vm.genidX", "1723453263670062919");
        }
        put_disks(text);
        put_cards(text);
        put_rest(text);
        round_trip(text->str);
    }
}

/* ---- what is no such file --------------------------------------------------------------------- */

static void refused(const char *vmx, const char *why)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(EsxVmx) parsed = esx_vmx_parse(vmx, &error);
    VireoDomain *domain = parsed ? esx_vmx_read(parsed, &host, &error) : NULL;

    g_assert_null(domain);
    g_assert_error(error, VIREO_ERROR, VIREO_ERROR_INVALID_ARG);
    if (!strstr(error->message, why))
        g_error("'%s' does not say '%s'", error->message, why);
}

static void test_refused(void)
{
    refused("", "there is nothing in it");
    refused("<domain/>", "line 1");
    refused("a = \"b\"\nno equals", "line 2");
    refused("a = b", "quotation marks");
    refused("a = \"b", "quotation marks");
    refused("a = \"b\"", "displayName");
    refused("displayName = \"\xff\"", "UTF-8");
    refused(".encoding = \"klingon\"\ndisplayName = \"x\"", "klingon");
    refused("displayName = \"x\"\nmemsize = \"lots\"", "memsize = \"lots\"");
    refused("displayName = \"x\"\nnumvcpus = \"3\"\ncpuid.coresPerSocket = \"2\"", "coresPerSocket");
    refused("displayName = \"x\"\nsched.cpu.affinity = \"1,x\"", "affinity");
    refused("displayName = \"x\"\nuuid.bios = \"1 2 3\"", "uuid.bios");
    refused("displayName = \"x\"\nscsi0.present = \"true\"\nscsi0.virtualDev = \"pvsc\"", "scsi0.virtualDev");
    refused("displayName = \"x\"\nide0:0.present = \"true\"\nide0:0.deviceType = \"tape\"", "ide0:0.deviceType");
    refused("displayName = \"x\"\nserial1.present = \"true\"\nserial1.fileType = \"network\"\nserial1.fileName = \"ftp://x:1\"",
            "serial1.fileName");
}

static void refused_document(const char *devices, const char *why)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = g_strdup_printf("<domain type='vmware'><name>n</name><memory>4096</memory>"
                                           "<os><type>hvm</type></os><devices>%s</devices></domain>", devices);
    VireoDomain *domain = vireo_domain_parse(xml, VIREO_MODEL_PARSE_INACTIVE, &error);

    g_assert_no_error(error);
    g_autoptr(EsxVmx) vmx = esx_vmx_write(domain, &host, &error);
    g_assert_null(vmx);
    g_assert_error(error, VIREO_ERROR, VIREO_ERROR_CONFIG_UNSUPPORTED);
    if (!strstr(error->message, why))
        g_error("'%s' does not say '%s'", error->message, why);
    vireo_domain_free(domain);
}

static void test_refused_documents(void)
{
    refused_document("<disk type='network' device='disk'><source protocol='nbd' name='x'/><target dev='sda' bus='scsi'/></disk>",
                     "source");
    refused_document("<disk type='block' device='disk'><source dev='/dev/x'/><target dev='sda' bus='scsi'/></disk>", "sda");
    refused_document("<disk type='file' device='disk'><source file='x'/><target dev='vda' bus='virtio'/></disk>", "vda");
    refused_document("<disk type='file' device='disk'><source file='x'/><target dev='hde' bus='ide'/></disk>", "hde");
    refused_document("<disk type='file' device='disk'><source file='x'/><target dev='sda' bus='scsi'/></disk>"
                     "<disk type='file' device='cdrom'><target dev='sdb' bus='scsi'/>"
                     "<address type='drive' controller='0' bus='0' target='0' unit='0'/></disk>", "scsi0:0");
    refused_document("<interface type='bridge'><source bridge='b'/><model type='virtio'/></interface>", "virtio");
    refused_document("<interface type='network'><source network='b'/></interface>", "network");
    refused_document("<graphics type='spice'/>", "vnc");
    refused_document("<serial type='pty'/>", "pipe");
    refused_document("<rng model='virtio'><backend model='random'>/dev/random</backend></rng>", "rng");
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmx/files", test_files);
    g_test_add_func("/vmx/random", test_random);
    g_test_add_func("/vmx/refused", test_refused);
    g_test_add_func("/vmx/refused-documents", test_refused_documents);
    return g_test_run();
}
