/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"

#include <string.h>

int test_fail_error(vireo_call *call, GError *error)
{
    int code = error->domain == VIREO_ERROR ? error->code : VIREO_ERR_OPERATION_FAILED;

    FAIL(call, code, "%s", error->message);
    g_error_free(error);
    return VIREO_FAIL;
}

static gboolean refuse(GError **error, int code, const char *text)
{
    g_set_error_literal(error, VIREO_ERROR, code, text);
    return FALSE;
}

static void fill_mac(VireoDomainInterface *nic)
{
    if (nic->mac)
        return;
    nic->mac = g_new0(VireoDomainInterfaceMac, 1);
    nic->mac->address = g_strdup_printf("52:54:00:%02x:%02x:%02x", g_random_int_range(0, 256),
                                        g_random_int_range(0, 256), g_random_int_range(0, 256));
}

static void fill_aliases(VireoDomainDevices *devices)
{
    for (guint i = 0; i < devices->interfaces.n; i++)
        fill_mac(devices->interfaces.items[i]);
}

static void fill(VireoDomain *doc)
{
    if (!doc->has_uuid) {
        g_autofree char *uuid = g_uuid_string_random();

        vireo_model_uuid_parse(uuid, doc->uuid);
        doc->has_uuid = TRUE;
    }
    if (!doc->has_current_memory || doc->current_memory > doc->memory->text) {
        doc->current_memory = doc->memory->text;
        doc->has_current_memory = TRUE;
    }
    if (!doc->vcpu) {
        doc->vcpu = g_new0(VireoDomainVcpu, 1);
        doc->vcpu->placement = VIREO_DOMAIN_VCPU_PLACEMENT_STATIC;
        doc->vcpu->text = 1;
        doc->vcpu->has_text = TRUE;
    }
    if (!doc->os->type->arch)
        doc->os->type->arch = g_strdup("i686");
    if (doc->os->boots.n == 0 && !doc->os->kernel)
        vireo_list_append(&doc->os->boots, VIREO_DOMAIN_BOOT_DEVICE_HD);
    doc->has_id = FALSE;
    if (doc->devices)
        fill_aliases(doc->devices);
}

static gboolean targets_are_unique(const VireoDomain *doc, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < doc->devices->disks.n; i++) {
        const char *target = doc->devices->disks.items[i]->target->dev;

        if (!g_hash_table_add(seen, (gpointer)target)) {
            g_set_error(error, VIREO_ERROR, VIREO_ERR_XML_ERROR, "two disks have the target '%s'",
                        target);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean acceptable(const VireoDomain *doc, GError **error)
{
    if (doc->type != VIREO_DOMAIN_VIRT_TEST) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "domain type '%s': this driver runs domains of type 'test' only",
                    vireo_domain_virt_to_string(doc->type));
        return FALSE;
    }
    if (!doc->os || !doc->os->type || !doc->os->type->text)
        return refuse(error, VIREO_ERR_XML_ERROR, "the domain names no <os><type>");
    if (!doc->memory || !doc->memory->text)
        return refuse(error, VIREO_ERR_XML_ERROR, "the domain has no <memory>");
    if (doc->vcpu && doc->vcpu->has_current && doc->vcpu->current > doc->vcpu->text)
        return refuse(error, VIREO_ERR_XML_ERROR, "more current than maximum virtual CPUs");
    return !doc->devices || targets_are_unique(doc, error);
}

VireoDomain *test_definition_parse(const char *xml, guint flags, GError **error)
{
    guint how = VIREO_MODEL_PARSE_INACTIVE |
                (flags & TEST_DEFINE_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0);
    VireoDomain *doc = vireo_domain_parse(xml, how, error);

    if (!doc)
        return NULL;
    if (!acceptable(doc, error)) {
        vireo_domain_free(doc);
        return NULL;
    }
    fill(doc);
    return doc;
}

GRefString *test_definition_text(const VireoDomain *doc)
{
    g_autofree char *text = vireo_domain_format(doc, VIREO_MODEL_FORMAT_SECURE);

    return g_ref_string_new(text);
}

VireoDomain *test_definition_of(const GRefString *text)
{
    g_autoptr(GError) error = NULL;
    VireoDomain *doc = vireo_domain_parse(text, 0, &error);

    if (!doc)
        g_error("test driver: own text does not parse: %s", error->message);
    return doc;
}

VireoDomain *test_domain_document(const TestDomain *dom)
{
    return test_definition_of(dom->live ? dom->live : dom->config);
}

const char *test_disk_path(const VireoDomainDisk *disk)
{
    if (!disk->source)
        return NULL;
    if (disk->source->file)
        return disk->source->file;
    return disk->source->dev ? disk->source->dev : disk->source->name;
}

gboolean test_disk_has_data(const VireoDomainDisk *disk)
{
    return test_disk_path(disk) && !disk->readonly &&
           disk->device != VIREO_DOMAIN_DISK_DEVICE_CDROM;
}

VireoDomainDisk *test_disk_find(VireoDomain *doc, const char *name)
{
    for (guint i = 0; doc->devices && i < doc->devices->disks.n; i++) {
        VireoDomainDisk *disk = doc->devices->disks.items[i];

        if (g_strcmp0(disk->target->dev, name) == 0 || g_strcmp0(test_disk_path(disk), name) == 0)
            return disk;
    }
    return NULL;
}
