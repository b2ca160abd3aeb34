/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attaching, detaching and changing devices: the definitions are edited. */
#include "ops.h"

#include <string.h>

/* Every list of <devices> starts like this one. */
typedef struct {
    guint n;
    gpointer *items;
} List;

typedef struct {
    const char *element;
    const VireoModelType *type;
    gsize list, alias; /* offsets; where the items are, and an item's alias */
} Kind;

#define KIND(element, type, list, Struct)                                                          \
    {                                                                                              \
        element, &vireo_domain_##type##_type, G_STRUCT_OFFSET(VireoDomainDevices, list),           \
            G_STRUCT_OFFSET(VireoDomain##Struct, alias)                                            \
    }

static const Kind kinds[] = {
    KIND("disk", disk, disks, Disk),
    KIND("interface", interface, interfaces, Interface),
    KIND("controller", controller, controllers, Controller),
    KIND("filesystem", filesystem, filesystems, Filesystem),
    KIND("hostdev", hostdev, hostdevs, Hostdev),
    KIND("input", input, inputs, Input),
    KIND("sound", sound, sounds, Sound),
    KIND("video", video, videos, Video),
    KIND("watchdog", watchdog, watchdogs, Watchdog),
    KIND("rng", rng, rngs, Rng),
    KIND("redirdev", redirdev, redirdevs, Redirdev),
    KIND("channel", chardev, channels, Chardev),
    KIND("serial", chardev, serials, Chardev),
    KIND("console", chardev, consoles, Chardev),
};

typedef struct {
    const Kind *kind;
    gpointer item; /* owned until it is put into a document */
} Device;

static void device_clear(Device *device)
{
    if (device->item)
        vireo_model_free(device->kind->type, device->item);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Device, device_clear)

static const Kind *kind_of(const char *xml)
{
    const char *at = strchr(xml, '<');

    while (at && (at[1] == '?' || at[1] == '!'))
        at = strchr(at + 1, '<');
    for (guint i = 0; at && i < G_N_ELEMENTS(kinds); i++) {
        gsize len = strlen(kinds[i].element);

        if (strncmp(at + 1, kinds[i].element, len) == 0 && !g_ascii_isalnum(at[1 + len]))
            return &kinds[i];
    }
    return NULL;
}

static int device_parse(vireo_call *call, const char *xml, Device *device)
{
    GError *error = NULL;

    device->kind = kind_of(xml);
    if (!device->kind)
        return FAIL(call, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "the document describes no device that can be attached");
    device->item = vireo_model_parse(device->kind->type, device->kind->element, xml, -1, 0, &error);
    if (!device->item)
        return test_fail_error(call, error);
    return VIREO_OK;
}

static List *list_of(VireoDomain *doc, const Kind *kind)
{
    return (List *)((char *)doc->devices + kind->list);
}

static char **alias_of(const Kind *kind, gpointer item)
{
    return (char **)((char *)item + kind->alias);
}

static char *text_of(const Kind *kind, gconstpointer item)
{
    return vireo_model_format(kind->type, kind->element, item, 0);
}

/* What makes two descriptions the same device. */
static gboolean same(const Kind *kind, gpointer given, gpointer have)
{
    const char *alias = *alias_of(kind, given);
    g_autofree char *a = NULL;
    g_autofree char *b = NULL;

    if (alias && g_strcmp0(alias, *alias_of(kind, have)) == 0)
        return TRUE;
    if (kind->type == &vireo_domain_disk_type)
        return g_strcmp0(((VireoDomainDisk *)given)->target->dev,
                         ((VireoDomainDisk *)have)->target->dev) == 0;
    if (kind->type == &vireo_domain_interface_type) {
        const VireoDomainInterfaceMac *mac = ((VireoDomainInterface *)given)->mac;
        const VireoDomainInterfaceMac *other = ((VireoDomainInterface *)have)->mac;

        return mac && other && g_ascii_strcasecmp(mac->address, other->address) == 0;
    }
    a = text_of(kind, given);
    b = text_of(kind, have);
    return strcmp(a, b) == 0;
}

static int find(VireoDomain *doc, const Device *device)
{
    List *list = list_of(doc, device->kind);

    for (guint i = 0; i < list->n; i++)
        if (same(device->kind, device->item, list->items[i]))
            return (int)i;
    return -1;
}

static void take_out(List *list, guint index)
{
    memmove(list->items + index, list->items + index + 1,
            (list->n - index - 1) * sizeof *list->items);
    list->n--;
}

static int missing(vireo_call *call, const Device *device)
{
    return FAIL(call, VIREO_ERR_DEVICE_MISSING, "the domain has no such <%s>",
                device->kind->element);
}

/* ---- edits ------------------------------------------------------------------------------------
 */

static int edit_attach(vireo_call *call, VireoDomain *doc, gboolean live, void *opaque)
{
    const Device *device = opaque;
    List *list = list_of(doc, device->kind);
    gboolean keyed = device->kind->type == &vireo_domain_disk_type ||
                     device->kind->type == &vireo_domain_interface_type;

    (void)live;
    if (keyed && find(doc, device) >= 0)
        return FAIL(call, VIREO_ERR_OPERATION_FAILED, "the domain has such a <%s> already",
                    device->kind->element);
    vireo_list_append(list, vireo_model_copy(device->kind->type, device->item));
    return VIREO_OK;
}

static int edit_detach(vireo_call *call, VireoDomain *doc, gboolean live, void *opaque)
{
    const Device *device = opaque;
    List *list = list_of(doc, device->kind);
    int index = find(doc, device);

    (void)live;
    if (index < 0)
        return missing(call, device);
    vireo_model_free(device->kind->type, list->items[index]);
    take_out(list, (guint)index);
    return VIREO_OK;
}

static int edit_update(vireo_call *call, VireoDomain *doc, gboolean live, void *opaque)
{
    const Device *device = opaque;
    List *list = list_of(doc, device->kind);
    int index = find(doc, device);

    (void)live;
    if (index < 0)
        return missing(call, device);
    vireo_model_free(device->kind->type, list->items[index]);
    list->items[index] = vireo_model_copy(device->kind->type, device->item);
    return VIREO_OK;
}

static int edit_detach_alias(vireo_call *call, VireoDomain *doc, gboolean live, void *opaque)
{
    const char *alias = opaque;

    (void)live;
    for (guint k = 0; k < G_N_ELEMENTS(kinds); k++) {
        List *list = list_of(doc, &kinds[k]);

        for (guint i = 0; i < list->n; i++)
            if (g_strcmp0(*alias_of(&kinds[k], list->items[i]), alias) == 0) {
                vireo_model_free(kinds[k].type, list->items[i]);
                take_out(list, i);
                return VIREO_OK;
            }
    }
    return FAIL(call, VIREO_ERR_DEVICE_MISSING, "the domain has no device with the alias '%s'",
                alias);
}

/* ---- operations -------------------------------------------------------------------------------
 */

static gboolean touches_live(const TestDomain *dom, guint flags)
{
    return test_domain_active(dom) &&
           !((flags & VIREO_DOMAIN_AFFECT_CONFIG) && !(flags & VIREO_DOMAIN_AFFECT_LIVE));
}

/* A new device gets an alias the way a running guest would name it. */
static void give_alias(Device *device)
{
    char **alias = alias_of(device->kind, device->item);
    static guint counter;

    if (device->kind->type == &vireo_domain_interface_type) {
        VireoDomainInterface *nic = device->item;

        if (!nic->mac) {
            nic->mac = g_new0(VireoDomainInterfaceMac, 1);
            nic->mac->address =
                g_strdup_printf("52:54:00:%02x:%02x:%02x", g_random_int_range(0, 256),
                                g_random_int_range(0, 256), g_random_int_range(0, 256));
        }
    }
    if (!*alias)
        *alias = g_strdup_printf("ua-%s%u", device->kind->element,
                                 (guint)g_atomic_int_add((gint *)&counter, 1));
}

static char *shown_alias(const Device *device)
{
    char *alias = *alias_of(device->kind, device->item);

    if (!alias && device->kind->type == &vireo_domain_disk_type)
        return ((VireoDomainDisk *)device->item)->target->dev;
    return alias ? alias : (char *)device->kind->element;
}

int test_domain_attach_device_flags(TestConn *conn, vireo_call *call,
                                    const vireo_domain_attach_device_flags_args *args)
{
    g_auto(Device) device = {0};

    if (device_parse(call, args->xml, &device) != VIREO_OK)
        return VIREO_FAIL;
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    give_alias(&device);
    if (test_domain_edit(dom, call, args->flags, edit_attach, &device) != VIREO_OK)
        return VIREO_FAIL;
    if (touches_live(dom, args->flags)) {
        vireo_domain_event_callback_device_added_msg msg = {.devAlias = shown_alias(&device)};

        test_domain_event(dom, VIREO_EVENT_domain_event_callback_device_added, &msg, &msg.dom);
    }
    return VIREO_OK;
}

static void removed(TestDomain *dom, guint flags, char *alias)
{
    vireo_domain_event_device_removed_msg msg = {.devAlias = alias};

    if (touches_live(dom, flags))
        test_domain_event(dom, VIREO_EVENT_domain_event_device_removed, &msg, &msg.dom);
}

/* The alias under which the domain knows the device; caller frees. */
static char *known_alias(TestDomain *dom, const Device *device)
{
    g_autoptr(VireoDomain) doc = test_domain_document(dom);
    int index = find(doc, device);
    Device known = {device->kind,
                    index < 0 ? device->item : list_of(doc, device->kind)->items[index]};

    return g_strdup(shown_alias(&known));
}

int test_domain_detach_device_flags(TestConn *conn, vireo_call *call,
                                    const vireo_domain_detach_device_flags_args *args)
{
    g_auto(Device) device = {0};
    g_autofree char *alias = NULL;

    if (device_parse(call, args->xml, &device) != VIREO_OK)
        return VIREO_FAIL;
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    alias = known_alias(dom, &device);
    if (test_domain_edit(dom, call, args->flags, edit_detach, &device) != VIREO_OK)
        return VIREO_FAIL;
    removed(dom, args->flags, alias);
    return VIREO_OK;
}

int test_domain_update_device_flags(TestConn *conn, vireo_call *call,
                                    const vireo_domain_update_device_flags_args *args)
{
    g_auto(Device) device = {0};

    if (device_parse(call, args->xml, &device) != VIREO_OK)
        return VIREO_FAIL;
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    return dom ? test_domain_edit(dom, call, args->flags, edit_update, &device) : VIREO_FAIL;
}

int test_domain_detach_device_alias(TestConn *conn, vireo_call *call,
                                    const vireo_domain_detach_device_alias_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom ||
        test_domain_edit(dom, call, args->flags, edit_detach_alias, args->alias) != VIREO_OK)
        return VIREO_FAIL;
    removed(dom, args->flags, args->alias);
    return VIREO_OK;
}
