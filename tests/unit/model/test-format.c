/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is written, copied and freed. */
#include "fixture.h"

#include <string.h>

static VireoDomain *must_parse(const char *more)
{
    g_autofree char *xml = fixture_domain(more);
    g_autoptr(GError) error = NULL;
    VireoDomain *domain = vireo_domain_parse(xml, 0, &error);

    g_assert_no_error(error);
    return domain;
}

static void test_by_hand(void)
{
    g_autoptr(VireoDomainDisk) disk = g_new0(VireoDomainDisk, 1);
    g_autofree char *text = NULL;

    disk->type = VIREO_DOMAIN_DISK_TYPE_FILE;
    disk->source = g_new0(VireoDomainDiskSource, 1);
    disk->source->file = g_strdup("/a'b\"<&>\n\t\x01.img");
    disk->target = g_new0(VireoDomainDiskTarget, 1);
    disk->target->dev = g_strdup("vda");
    disk->address = g_new0(VireoDeviceAddress, 1);
    disk->address->type = VIREO_ADDRESS_TYPE_DRIVE;
    disk->address->bus = 17;
    disk->address->has_bus = TRUE;
    text = vireo_domain_disk_format(disk, 0);
    g_assert_cmpstr(text, ==,
                    "<disk type='file'>\n"
                    "  <source file='/a&apos;b&quot;&lt;&amp;&gt;&#10;&#9;?.img'/>\n"
                    "  <target dev='vda'/>\n"
                    "  <address type='drive' bus='17'/>\n"
                    "</disk>\n");
}

static void test_lists(void)
{
    g_autoptr(VireoDomain) domain = must_parse("");
    g_autofree char *text = NULL;

    for (guint i = 1; i <= 5; i++) {
        VireoDomainController *controller = g_new0(VireoDomainController, 1);

        controller->type = VIREO_DOMAIN_CONTROLLER_TYPE_PCI;
        controller->index = i;
        controller->has_index = TRUE;
        vireo_list_append(&domain->devices->controllers, controller);
        vireo_list_append(&domain->os->boots, (VireoDomainBootDevice)(i % 4 + 1));
    }
    text = vireo_domain_format(domain, 0);
    g_assert_nonnull(strstr(text, "    <boot dev='hd'/>\n    <boot dev='cdrom'/>\n"));
    g_assert_nonnull(strstr(text, "    <controller type='pci' index='5'/>\n"));
}

static void test_flags(void)
{
    g_autoptr(VireoDomain) domain =
        must_parse("<serial type='pty'><source path='/dev/pts/3'/></serial>"
                   "<graphics type='vnc' passwd='hush'/>");
    g_autofree char *plain = vireo_domain_format(domain, 0);
    g_autofree char *secure = vireo_domain_format(domain, VIREO_MODEL_FORMAT_SECURE);
    g_autofree char *migratable = vireo_domain_format(domain, VIREO_MODEL_FORMAT_MIGRATABLE);
    g_autofree char *inactive = NULL;

    g_assert_nonnull(strstr(migratable, "passwd='hush'"));
    g_assert_null(strstr(migratable, "/dev/pts/3"));
    g_assert_null(strstr(plain, "hush"));
    g_assert_nonnull(strstr(secure, "passwd='hush'"));
    domain->id = 7;
    domain->has_id = TRUE;
    g_free(plain);
    plain = vireo_domain_format(domain, 0);
    inactive = vireo_domain_format(domain, VIREO_MODEL_FORMAT_INACTIVE);
    g_assert_nonnull(strstr(plain, "<domain type='kvm' id='7'>"));
    g_assert_nonnull(strstr(plain, "/dev/pts/3"));
    g_assert_nonnull(strstr(inactive, "<domain type='kvm'>"));
    g_assert_null(strstr(inactive, "/dev/pts/3"));
}

static void test_metadata(void)
{
    g_autoptr(VireoDomain) domain =
        must_parse("^<metadata><a:x xmlns:a='urn:a' t='&lt;'> <!-- kept --> <a:y/>\n"
                   "&amp; text</a:x></metadata>");
    g_autofree char *text = vireo_domain_format(domain, 0);

    g_assert_nonnull(strstr(text, "  <metadata><a:x xmlns:a=\"urn:a\" t=\"&lt;\"> <!-- kept -->"
                                  " <a:y/>\n&amp; text</a:x></metadata>\n"));
}

/* A namespace declared on <domain> still means the same inside <metadata>. */
static void test_metadata_namespace(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDomain) domain =
        vireo_domain_parse("<domain type='kvm' xmlns:a='urn:a'><name>n</name>"
                           "<metadata><a:x/></metadata></domain>",
                           0, &error);
    g_autofree char *text = domain ? vireo_domain_format(domain, 0) : NULL;
    g_autoptr(VireoDomain) again = NULL;

    g_assert_no_error(error);
    g_assert_nonnull(strstr(text, "urn:a"));
    again = vireo_domain_parse(text, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(again->metadata, ==, domain->metadata);
}

static void test_copy(void)
{
    g_autoptr(VireoDomain) domain =
        must_parse("<disk><target dev='vda'/><backingStore><backingStore/></backingStore></disk>"
                   "<disk><target dev='vdb'/></disk><disk><target dev='vdc'/></disk>");
    g_autofree char *before = vireo_domain_format(domain, 0);
    g_autoptr(VireoDomain) copy = vireo_domain_copy(domain);
    g_autofree char *after = NULL;
    g_autofree char *changed = NULL;

    g_clear_pointer(&domain, vireo_domain_free);
    after = vireo_domain_format(copy, 0);
    g_assert_cmpstr(before, ==, after);
    vireo_list_append(&copy->devices->disks, g_new0(VireoDomainDisk, 1));
    changed = vireo_domain_format(copy, 0);
    g_assert_nonnull(strstr(changed, "    <disk/>\n"));
    g_assert_null(vireo_domain_copy(NULL));
    vireo_domain_free(NULL);
}

static void test_uuid(void)
{
    guint8 uuid[16];
    char text[37];

    g_assert_true(vireo_model_uuid_parse("6695eb01f6a4830479aa97f2502e193F", uuid));
    vireo_model_uuid_format(uuid, text);
    g_assert_cmpstr(text, ==, "6695eb01-f6a4-8304-79aa-97f2502e193f");
    g_assert_false(vireo_model_uuid_parse("6695eb01-f6a4-8304-79aa-97f2502e193", uuid));
    g_assert_false(vireo_model_uuid_parse("6695eb01-f6a4-8304-79aa-97f2502e193ff", uuid));
    g_assert_false(vireo_model_uuid_parse("", uuid));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/model/format/by-hand", test_by_hand);
    g_test_add_func("/model/format/lists", test_lists);
    g_test_add_func("/model/format/flags", test_flags);
    g_test_add_func("/model/format/metadata", test_metadata);
    g_test_add_func("/model/format/metadata-namespace", test_metadata_namespace);
    g_test_add_func("/model/format/copy", test_copy);
    g_test_add_func("/model/format/uuid", test_uuid);
    return g_test_run();
}
