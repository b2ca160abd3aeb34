/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Domain types that a driver has of its own. */
#include <string.h>

#include "model/documents.h"

#define ACME "<domain type='acme-1'><name>vm</name><memory>1024</memory><os><type>hvm</type></os></domain>"

static void refused(const char *xml, guint flags, int code)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(vireo_domain_parse(xml, flags, &error));
    g_assert_error(error, VIREO_ERROR, code);
}

/* Nobody has added anything yet. */
static void test_closed(void)
{
    refused(ACME, 0, VIREO_ERROR_XML_ERROR);
    g_assert_cmpint(vireo_domain_virt_from_string("acme-1"), ==, 0);
    g_assert_null(vireo_domain_virt_to_string((VireoDomainVirt)100));
}

static void test_own(void)
{
    VireoDomainVirt acme = vireo_domain_virt_add("acme-1");
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(acme, >, VIREO_DOMAIN_VIRT_UML);
    g_assert_cmpint(vireo_domain_virt_add("acme-1"), ==, acme);
    g_assert_cmpstr(vireo_domain_virt_to_string(acme), ==, "acme-1");
    for (guint i = 0; i < 2; i++) {
        g_autoptr(VireoDomain) domain = vireo_domain_parse(ACME, i ? VIREO_MODEL_PARSE_VALIDATE : 0, &error);

        g_assert_no_error(error);
        g_assert_cmpint(domain->type, ==, acme);
        g_autofree char *text = vireo_domain_format(domain, 0);
        g_assert_true(g_str_has_prefix(text, "<domain type='acme-1'>"));
    }
    refused("<domain type='acme-2'><name>vm</name></domain>", 0, VIREO_ERROR_XML_ERROR);
    refused("<domain type='acme-2'><name>vm</name></domain>", VIREO_MODEL_PARSE_VALIDATE,
            VIREO_ERROR_XML_INVALID_SCHEMA);
    g_assert_null(vireo_domain_parse("<domain type='no'><name>vm</name></domain>", 0, &error));
    g_assert_nonnull(strstr(error->message, "uml, acme-1"));
}

static void test_not_added(void)
{
    g_assert_cmpint(vireo_domain_virt_add("kvm"), ==, VIREO_DOMAIN_VIRT_KVM);
    g_assert_cmpint(vireo_domain_virt_add(""), ==, 0);
    g_assert_cmpint(vireo_domain_virt_add("a'b"), ==, 0);
    g_assert_cmpint(vireo_domain_virt_add("a<b"), ==, 0);
    g_assert_cmpint(vireo_domain_virt_add("abcdefghijklmnopqrstuvwxyz0123456"), ==, 0);
    g_assert_cmpint(vireo_model_enum_add(&vireo_domain_disk_device_names, "tape"), ==, 0); /* a closed one */
    for (guint i = 1; i < VIREO_MODEL_OWN_VALUES; i++) {
        g_autofree char *name = g_strdup_printf("own%u", i);

        g_assert_cmpint(vireo_domain_virt_add(name), >, 0);
    }
    g_assert_cmpint(vireo_domain_virt_add("one-too-many"), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/model-own/closed", test_closed);
    g_test_add_func("/model-own/own", test_own);
    g_test_add_func("/model-own/not-added", test_not_added);
    return g_test_run();
}
