/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ops.h"

#include <string.h>

guint test_uuid_hash(gconstpointer uuid)
{
    guint32 head;

    memcpy(&head, uuid, sizeof head);
    return head;
}

gboolean test_uuid_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, 16) == 0;
}

TestDomain *test_domain_find(TestNode *node, vireo_call *call, const vireo_domain_ref *ref)
{
    TestDomain *dom = g_hash_table_lookup(node->by_uuid, ref->uuid);
    char uuid[37];

    if (dom)
        return dom;
    vireo_model_uuid_format(ref->uuid, uuid);
    FAIL(call, VIREO_ERR_NO_DOMAIN, "no domain with uuid '%s' (%s)", uuid, ref->name);
    return NULL;
}

gboolean test_domain_active(const TestDomain *dom)
{
    return dom->id != -1;
}

int test_domain_need_active(const TestDomain *dom, vireo_call *call)
{
    if (test_domain_active(dom))
        return VIREO_OK;
    return FAIL(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", dom->name);
}

TestExtra *test_domain_extra(TestDomain *dom)
{
    if (!dom->extra)
        dom->extra = g_new0(TestExtra, 1);
    return dom->extra;
}

static void extra_free(TestExtra *extra)
{
    if (!extra)
        return;
    g_free(extra->user_password);
    if (extra->keys)
        g_string_free(extra->keys, TRUE);
    g_clear_pointer(&extra->ssh_keys, g_hash_table_unref);
    g_clear_pointer(&extra->fds, g_hash_table_unref);
    g_free(extra);
}

void test_domain_free(TestDomain *dom)
{
    if (!dom)
        return;
    test_console_close(dom);
    test_snapshots_free(dom->snapshots);
    test_snapshots_free(dom->checkpoints);
    test_saved_free(dom->managed_save);
    test_rules_free(dom->rules);
    extra_free(dom->extra);
    g_clear_pointer(&dom->config, g_ref_string_release);
    g_clear_pointer(&dom->live, g_ref_string_release);
    g_free(dom->guest.ram);
    g_free(dom->name);
    g_free(dom);
}

void test_domain_drop(TestDomain *dom)
{
    TestNode *node = dom->node;

    test->host->withdraw(node->space, VIREO_CLASS_DOMAIN, dom->name, dom->uuid);
    g_hash_table_remove(node->by_name, dom->name);
    g_hash_table_remove(node->by_uuid, dom->uuid);
}

static guint32 object_flags(const TestDomain *dom)
{
    guint32 flags = 0;

    flags |= dom->config ? VIREO_OBJECT_PERSISTENT : 0;
    flags |= dom->autostart ? VIREO_OBJECT_AUTOSTART : 0;
    flags |= dom->managed_save ? VIREO_OBJECT_MANAGED_SAVE : 0;
    if (dom->config && dom->live && strcmp(dom->config, dom->live) != 0)
        flags |= VIREO_OBJECT_UPDATED;
    return flags;
}

void test_domain_publish_as(TestDomain *dom, int event, int detail)
{
    struct vireo_object object = {
        .size = sizeof object,
        .klass = VIREO_CLASS_DOMAIN,
        .name = dom->name,
        .id = dom->id,
        .state = dom->state,
        .reason = dom->reason,
        .flags = object_flags(dom),
        .vcpus = dom->vcpus,
        .max_memory_kib = dom->max_memory,
        .memory_kib = dom->memory,
        .os_type = dom->os_type,
        .event = event,
        .detail = detail,
    };

    memcpy(object.uuid, dom->uuid, sizeof object.uuid);
    test->host->publish(dom->node->space, &object);
}

void test_domain_publish(TestDomain *dom)
{
    test_domain_publish_as(dom, -1, 0);
}

void test_domain_event(TestDomain *dom, guint event, void *msg, vireo_domain_ref *into)
{
    into->name = dom->name;
    into->id = dom->id;
    memcpy(into->uuid, dom->uuid, sizeof into->uuid);
    test->host->event(dom->node->space, event, msg);
}

vireo_domain_ref test_domain_ref(vireo_call *call, const TestDomain *dom)
{
    vireo_domain_ref ref = {.name = DUP(call, dom->name), .id = dom->id};

    memcpy(ref.uuid, dom->uuid, sizeof ref.uuid);
    return ref;
}

static void refresh_from(TestDomain *dom, const VireoDomain *doc)
{
    dom->os_type = vireo_domain_os_type_to_string(doc->os->type->text);
    dom->vcpus = doc->vcpu->has_current ? doc->vcpu->current : doc->vcpu->text;
    dom->max_memory = doc->memory->text;
    dom->memory = doc->current_memory;
    test_rules_free(dom->rules);
    dom->rules = test_rules_from_metadata(doc->metadata);
}

void test_domain_refresh(TestDomain *dom)
{
    g_autoptr(VireoDomain) doc = test_domain_document(dom);

    refresh_from(dom, doc);
}

static gboolean clash(GError **error, const char *name, const guint8 *uuid)
{
    char text[37];

    vireo_model_uuid_format(uuid, text);
    g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED,
                "domain '%s' already exists with uuid %s", name, text);
    return FALSE;
}

static gboolean may_set(TestNode *node, const VireoDomain *doc, gboolean live, GError **error)
{
    TestDomain *named = g_hash_table_lookup(node->by_name, doc->name);
    TestDomain *known = g_hash_table_lookup(node->by_uuid, doc->uuid);

    if (named && named != known)
        return clash(error, named->name, named->uuid);
    if (known && known != named)
        return clash(error, known->name, known->uuid);
    if (known && live && test_domain_active(known)) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID,
                    "domain '%s' is already running", known->name);
        return FALSE;
    }
    return TRUE;
}

static TestDomain *domain_new(TestNode *node, const VireoDomain *doc)
{
    TestDomain *dom = g_new0(TestDomain, 1);

    dom->node = node;
    dom->name = g_strdup(doc->name);
    memcpy(dom->uuid, doc->uuid, sizeof dom->uuid);
    dom->id = -1;
    dom->state = VIREO_DOMAIN_SHUTOFF;
    g_hash_table_insert(node->by_uuid, dom->uuid, dom);
    g_hash_table_insert(node->by_name, dom->name, dom);
    return dom;
}

TestDomain *test_domain_set(TestNode *node, const VireoDomain *doc, gboolean live, GError **error)
{
    TestDomain *dom;
    GRefString **slot;

    if (!may_set(node, doc, live, error))
        return NULL;
    dom = g_hash_table_lookup(node->by_uuid, doc->uuid);
    if (!dom)
        dom = domain_new(node, doc);
    slot = live ? &dom->live : &dom->config;
    g_clear_pointer(slot, g_ref_string_release);
    *slot = test_definition_text(doc);
    if (live || !dom->live)
        refresh_from(dom, doc);
    return dom;
}

int test_domain_define_xml_flags(TestConn *conn, vireo_call *call,
                                 const vireo_domain_define_xml_flags_args *args,
                                 vireo_domain_define_xml_flags_ret *ret)
{
    GError *error = NULL;
    guint how = args->flags & VIREO_DOMAIN_DEFINE_VALIDATE ? TEST_DEFINE_VALIDATE : 0;
    g_autoptr(VireoDomain) doc = test_definition_parse(args->xml, how, &error);
    TestDomain *dom;
    gboolean had;

    if (!doc)
        return test_fail_error(call, error);
    TEST_LOCK(conn);
    dom = g_hash_table_lookup(node->by_uuid, doc->uuid);
    had = dom && dom->config;
    dom = test_domain_set(node, doc, FALSE, &error);
    if (!dom)
        return test_fail_error(call, error);
    if (had)
        test_domain_publish_as(dom, VIREO_DOMAIN_EVENT_DEFINED, VIREO_DOMAIN_EVENT_DEFINED_UPDATED);
    else
        test_domain_publish(dom);
    ret->dom = test_domain_ref(call, dom);
    return VIREO_OK;
}

static int may_undefine(TestDomain *dom, vireo_call *call, guint flags)
{
    guint snapshots = test_snapshots_count(dom), checkpoints = test_checkpoints_count(dom);

    if (!dom->config)
        return FAIL(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is transient", dom->name);
    if (dom->managed_save && !(flags & VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE))
        return FAIL(call, VIREO_ERR_OPERATION_INVALID,
                    "domain '%s' has a managed save image (flag MANAGED_SAVE removes it)",
                    dom->name);
    if (snapshots && !test_domain_active(dom) &&
        !(flags & VIREO_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA))
        return FAIL(call, VIREO_ERR_OPERATION_INVALID,
                    "domain '%s' has %u snapshots (flag SNAPSHOTS_METADATA forgets them)",
                    dom->name, snapshots);
    if (checkpoints && !test_domain_active(dom) &&
        !(flags & VIREO_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA))
        return FAIL(call, VIREO_ERR_OPERATION_INVALID,
                    "domain '%s' has %u checkpoints (flag CHECKPOINTS_METADATA forgets them)",
                    dom->name, checkpoints);
    return VIREO_OK;
}

int test_domain_undefine_flags(TestConn *conn, vireo_call *call,
                               const vireo_domain_undefine_flags_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom || may_undefine(dom, call, args->flags) != VIREO_OK)
        return VIREO_FAIL;
    g_clear_pointer(&dom->managed_save, test_saved_free);
    dom->autostart = dom->autostart_once = FALSE;
    if (!test_domain_active(dom)) {
        test_domain_drop(dom);
        return VIREO_OK;
    }
    g_clear_pointer(&dom->config, g_ref_string_release);
    test_domain_refresh(dom);
    test_domain_publish(dom);
    return VIREO_OK;
}

static guint format_flags(guint flags)
{
    guint how = 0;

    how |= flags & VIREO_DOMAIN_XML_SECURE ? VIREO_MODEL_FORMAT_SECURE : 0;
    how |= flags & VIREO_DOMAIN_XML_INACTIVE ? VIREO_MODEL_FORMAT_INACTIVE : 0;
    how |= flags & VIREO_DOMAIN_XML_MIGRATABLE
               ? VIREO_MODEL_FORMAT_MIGRATABLE | VIREO_MODEL_FORMAT_SECURE
               : 0;
    return how;
}

int test_domain_get_xml_desc(TestConn *conn, vireo_call *call,
                             const vireo_domain_get_xml_desc_args *args,
                             vireo_domain_get_xml_desc_ret *ret)
{
    g_autoptr(GRefString) source = NULL;
    g_autoptr(VireoDomain) doc = NULL;
    g_autofree char *text = NULL;
    int id;

    {
        TEST_LOCK(conn);
        TestDomain *dom = test_domain_find(node, call, &args->dom);
        gboolean stored;

        if (!dom)
            return VIREO_FAIL;
        stored = !dom->live || (dom->config && (args->flags & VIREO_DOMAIN_XML_INACTIVE));
        source = g_ref_string_acquire(stored ? dom->config : dom->live);
        id = stored ? -1 : dom->id;
    }
    doc = test_definition_of(source);
    doc->has_id = id != -1;
    doc->id = id;
    text = vireo_domain_format(doc, format_flags(args->flags));
    ret->xml = DUP(call, text);
    return VIREO_OK;
}

int test_domain_rename(TestConn *conn, vireo_call *call, const vireo_domain_rename_args *args,
                       vireo_domain_rename_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(VireoDomain) doc = NULL;

    if (!dom)
        return VIREO_FAIL;
    if (!args->new_name || !*args->new_name || strchr(args->new_name, '/'))
        return FAIL(call, VIREO_ERR_INVALID_ARG, "'%s' is no name for a domain",
                    args->new_name ? args->new_name : "");
    if (test_domain_active(dom))
        return FAIL(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is running", dom->name);
    if (g_hash_table_contains(node->by_name, args->new_name))
        return FAIL(call, VIREO_ERR_OPERATION_INVALID, "there is a domain '%s' already",
                    args->new_name);
    doc = test_definition_of(dom->config);
    g_free(doc->name);
    doc->name = g_strdup(args->new_name);
    g_ref_string_release(dom->config);
    dom->config = test_definition_text(doc);
    g_hash_table_remove(node->by_name, dom->name);
    g_free(dom->name);
    dom->name = g_strdup(args->new_name);
    g_hash_table_insert(node->by_name, dom->name, dom);
    test_domain_publish(dom);
    ret->retcode = 0;
    return VIREO_OK;
}

static int need_persistent(const TestDomain *dom, vireo_call *call)
{
    if (dom->config)
        return VIREO_OK;
    return FAIL(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is transient", dom->name);
}

int test_domain_set_autostart(TestConn *conn, vireo_call *call,
                              const vireo_domain_set_autostart_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom || need_persistent(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    dom->autostart = args->autostart != 0;
    test_domain_publish(dom);
    return VIREO_OK;
}

int test_domain_set_autostart_once(TestConn *conn, vireo_call *call,
                                   const vireo_domain_set_autostart_once_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom || need_persistent(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    dom->autostart_once = args->autostart != 0;
    return VIREO_OK;
}

int test_domain_get_autostart_once(TestConn *conn, vireo_call *call,
                                   const vireo_domain_get_autostart_once_args *args,
                                   vireo_domain_get_autostart_once_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    ret->autostart = dom->autostart_once;
    return VIREO_OK;
}
