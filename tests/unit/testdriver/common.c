/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common.h"

#include <string.h>

void fixture_up(Fixture *f, const char *uri)
{
    f->host = fake_host_new(vireo_driver_entry_1());
    g_assert_nonnull(f->host);
    f->conn = fake_open(f->host, uri, &f->space, NULL);
    g_assert_nonnull(f->conn);
}

void fixture_down(Fixture *f)
{
    fake_close(f->host, f->conn);
    fake_host_free(f->host);
}

vireo_domain_ref domain(Fixture *f, const char *name)
{
    const FakeObject *object = fake_object(f->space, VIREO_CLASS_DOMAIN, name);
    vireo_domain_ref ref = {.name = (char *)name, .id = object ? object->id : -1};

    if (!object)
        g_error("no domain '%s' is published", name);
    memcpy(ref.uuid, object->uuid, 16);
    return ref;
}

typedef struct {
    vireo_domain_ref dom;
    uint32_t flags;
} DomainArgs;

int flagged(Fixture *f, const char *op, const char *name, guint flags)
{
    DomainArgs args = {domain(f, name), flags};
    vireo_domain_create_with_flags_ret ret = {0};
    gboolean returns = strcmp(op, "domain_create_with_flags") == 0;
    int code = 0;

    fake_run(f->host, f->conn, op, &args, returns ? &ret : NULL, &code);
    return code;
}

int simple(Fixture *f, const char *op, const char *name)
{
    return flagged(f, op, name, 0);
}

char *guest_xml(const char *name, const char *extra_devices)
{
    return g_strdup_printf(
        "<domain type='test'><name>%s</name><memory unit='MiB'>64</memory><vcpu>2</vcpu>"
        "<os><type>hvm</type></os><devices>"
        "<disk type='file' device='disk'><source file='/images/%s-a.qcow2'/>"
        "<target dev='vda' bus='virtio'/></disk>"
        "<disk type='file' device='disk'><source file='/images/%s-b.qcow2'/>"
        "<target dev='vdb' bus='virtio'/></disk>"
        "<disk type='file' device='cdrom'><source file='/images/cd.iso'/>"
        "<target dev='sda' bus='sata'/><readonly/></disk>"
        "%s</devices></domain>",
        name, name, name, extra_devices ? extra_devices : "");
}

int define(Fixture *f, const char *xml)
{
    vireo_domain_define_xml_flags_args args = {.xml = (char *)xml};
    vireo_domain_define_xml_flags_ret ret = {0};
    int code = 0;

    fake_run(f->host, f->conn, "domain_define_xml_flags", &args, &ret, &code);
    return code;
}

int create_xml(Fixture *f, const char *xml, guint flags)
{
    vireo_domain_create_xml_args args = {.xml_desc = (char *)xml, .flags = flags};
    vireo_domain_create_xml_ret ret = {0};
    int code = 0;

    fake_run(f->host, f->conn, "domain_create_xml", &args, &ret, &code);
    return code;
}

char *dumpxml(Fixture *f, const char *name, guint flags)
{
    g_autoptr(vireo_call) call = fake_call_new(f->host);
    vireo_domain_get_xml_desc_args args = {domain(f, name), flags};
    vireo_domain_get_xml_desc_ret ret = {0};

    g_assert_cmpint(fake_call_run(call, f->conn, "domain_get_xml_desc", &args, &ret), ==, VIREO_OK);
    return g_strdup(ret.xml);
}

int snapshot(Fixture *f, const char *name, const char *xml, guint flags)
{
    g_autoptr(vireo_call) call = fake_call_new(f->host);
    vireo_domain_snapshot_create_xml_args args = {domain(f, name), (char *)xml, flags};
    vireo_domain_snapshot_create_xml_ret ret = {0};

    fake_call_run(call, f->conn, "domain_snapshot_create_xml", &args, &ret);
    if (call->code)
        g_test_message("%d: %s", call->code, call->message);
    return call->code;
}

static vireo_domain_snapshot_ref snap(Fixture *f, const char *domain_name, const char *name)
{
    return (vireo_domain_snapshot_ref){(char *)name, domain(f, domain_name)};
}

int snapshot_delete(Fixture *f, const char *domain_name, const char *name, guint flags)
{
    vireo_domain_snapshot_delete_args args = {snap(f, domain_name, name), flags};
    int code = 0;

    fake_run(f->host, f->conn, "domain_snapshot_delete", &args, NULL, &code);
    return code;
}

int revert(Fixture *f, const char *domain_name, const char *name, guint flags)
{
    vireo_domain_revert_to_snapshot_args args = {snap(f, domain_name, name), flags};
    int code = 0;

    fake_run(f->host, f->conn, "domain_revert_to_snapshot", &args, NULL, &code);
    return code;
}

char *snapshot_xml(Fixture *f, const char *domain_name, const char *name)
{
    g_autoptr(vireo_call) call = fake_call_new(f->host);
    vireo_domain_snapshot_get_xml_desc_args args = {snap(f, domain_name, name), 0};
    vireo_domain_snapshot_get_xml_desc_ret ret = {0};

    g_assert_cmpint(fake_call_run(call, f->conn, "domain_snapshot_get_xml_desc", &args, &ret), ==,
                    VIREO_OK);
    return g_strdup(ret.xml);
}

static const FakeNode *node_in(GPtrArray *nodes, const char *name)
{
    for (guint i = 0; i < nodes->len; i++)
        if (strcmp(((FakeNode *)nodes->pdata[i])->name, name) == 0)
            return nodes->pdata[i];
    return NULL;
}

static char *path_of(GPtrArray *nodes, const FakeNode *node)
{
    g_autofree char *above = NULL;

    if (!node->parent)
        return g_strdup(node->name);
    above = path_of(nodes, node_in(nodes, node->parent));
    return g_strconcat(above, "/", node->name, NULL);
}

static gint by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *tree(Fixture *f, const char *domain_name)
{
    vireo_domain_ref dom = domain(f, domain_name);
    GPtrArray *nodes = fake_tree(f->space, VIREO_CLASS_DOMAIN_SNAPSHOT, dom.uuid);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; nodes && i < nodes->len; i++) {
        const FakeNode *node = nodes->pdata[i];
        g_autofree char *path = path_of(nodes, node);

        g_ptr_array_add(paths,
                        g_strconcat(path, node->flags & VIREO_TREE_CURRENT ? "*" : "", NULL));
    }
    g_ptr_array_sort(paths, by_text);
    g_ptr_array_add(paths, NULL);
    return g_strjoinv(" ", (char **)paths->pdata);
}
