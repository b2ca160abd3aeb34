/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guests as they were: managed save, save files, core dumps. */
#include "ops.h"

#include <errno.h>
#include <string.h>

#include "kit/file.h"

#define SAVE_GROUP "vireo-test-save"
#define SAVE_MOST  (8u * 1024 * 1024)

TestSaved *test_saved_ref(TestSaved *saved)
{
    g_atomic_int_inc(&saved->refs);
    return saved;
}

void test_saved_free(TestSaved *saved)
{
    if (!saved || !g_atomic_int_dec_and_test(&saved->refs))
        return;
    g_clear_pointer(&saved->config, g_ref_string_release);
    g_clear_pointer(&saved->live, g_ref_string_release);
    g_clear_pointer(&saved->disks, g_hash_table_unref);
    g_free(saved->ram);
    g_free(saved);
}

static TestSaved *saved_new(void)
{
    TestSaved *saved = g_new0(TestSaved, 1);

    saved->refs = 1;
    return saved;
}

static GHashTable *capture_disks(TestDomain *dom)
{
    g_autoptr(VireoDomain) doc = test_domain_document(dom);
    GHashTable *disks =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);

    for (guint i = 0; doc->devices && i < doc->devices->disks.n; i++) {
        const VireoDomainDisk *disk = doc->devices->disks.items[i];
        GBytes *content;

        if (!test_disk_has_data(disk))
            continue;
        content = g_hash_table_lookup(dom->node->images, test_disk_path(disk));
        g_hash_table_insert(disks, g_strdup(test_disk_path(disk)),
                            content ? g_bytes_ref(content) : g_bytes_new(NULL, 0));
    }
    return disks;
}

TestSaved *test_domain_capture(TestDomain *dom, guint what)
{
    TestSaved *saved = saved_new();

    saved->config = dom->config ? g_ref_string_acquire(dom->config) : NULL;
    saved->live = dom->live ? g_ref_string_acquire(dom->live) : NULL;
    saved->state = dom->state;
    saved->nvram = dom->nvram;
    if (what & TEST_CAPTURE_MEMORY) {
        saved->memory = TRUE;
        saved->ram = g_strdup(dom->guest.ram);
        saved->boots = dom->guest.boots;
        saved->cpu_ns = test_domain_cpu_ns(dom);
    }
    if (what & TEST_CAPTURE_DISKS)
        saved->disks = capture_disks(dom);
    return saved;
}

void test_domain_put_memory(TestDomain *dom, const TestSaved *saved)
{
    g_free(dom->guest.ram);
    dom->guest.ram = g_strdup(saved->ram);
    dom->guest.boots = saved->boots;
    dom->guest.cpu_ns = saved->cpu_ns;
    dom->guest.start_us = dom->state == VIREO_DOMAIN_RUNNING ? g_get_monotonic_time() : 0;
}

/* Starts a domain that is off from a saved guest. */
int test_domain_restore(TestDomain *dom, TestSaved *saved, int state, int running_reason,
                        int paused_reason)
{
    gboolean paused = state == VIREO_DOMAIN_PAUSED;

    g_clear_pointer(&dom->live, g_ref_string_release);
    dom->live = g_ref_string_acquire(saved->live);
    dom->id = dom->node->next_id++;
    dom->state = paused ? VIREO_DOMAIN_PAUSED : VIREO_DOMAIN_RUNNING;
    dom->reason = paused ? paused_reason : running_reason;
    dom->nvram = saved->nvram;
    test_domain_put_memory(dom, saved);
    test_domain_refresh(dom);
    test_domain_publish(dom);
    return VIREO_OK;
}

static int wanted_state(guint flags, int state)
{
    if (flags & VIREO_DOMAIN_SAVE_RUNNING)
        return VIREO_DOMAIN_RUNNING;
    if (flags & VIREO_DOMAIN_SAVE_PAUSED)
        return VIREO_DOMAIN_PAUSED;
    return state == VIREO_DOMAIN_PAUSED ? VIREO_DOMAIN_PAUSED : VIREO_DOMAIN_RUNNING;
}

static TestSaved *capture_for_save(TestDomain *dom, guint flags)
{
    TestSaved *saved = test_domain_capture(dom, TEST_CAPTURE_MEMORY);

    saved->state = wanted_state(flags, dom->state);
    return saved;
}

/* ---- managed save -----------------------------------------------------------------------------
 */

int test_domain_managed_save(TestConn *conn, vireo_call *call,
                             const vireo_domain_managed_save_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    if (!dom->config)
        return FAIL(call, VIREO_ERR_OPERATION_INVALID,
                    "domain '%s' is transient: nothing could start it again", dom->name);
    test_saved_free(dom->managed_save);
    dom->managed_save = capture_for_save(dom, args->flags);
    test_domain_stop(dom, VIREO_DOMAIN_SHUTOFF_SAVED);
    return VIREO_OK;
}

int test_domain_managed_save_remove(TestConn *conn, vireo_call *call,
                                    const vireo_domain_managed_save_remove_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    g_clear_pointer(&dom->managed_save, test_saved_free);
    test_domain_publish(dom);
    return VIREO_OK;
}

static TestDomain *find_saved(TestNode *node, vireo_call *call, const vireo_domain_ref *ref)
{
    TestDomain *dom = test_domain_find(node, call, ref);

    if (!dom || dom->managed_save)
        return dom;
    FAIL(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' has no managed save image", dom->name);
    return NULL;
}

static char *saved_xml(vireo_call *call, const TestSaved *saved, guint flags)
{
    g_autoptr(VireoDomain) doc = test_definition_of(saved->live);
    g_autofree char *text = vireo_domain_format(
        doc, flags & VIREO_DOMAIN_SAVE_IMAGE_XML_SECURE ? VIREO_MODEL_FORMAT_SECURE : 0);

    return DUP(call, text);
}

int test_domain_managed_save_get_xml_desc(TestConn *conn, vireo_call *call,
                                          const vireo_domain_managed_save_get_xml_desc_args *args,
                                          vireo_domain_managed_save_get_xml_desc_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_saved(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    ret->xml = saved_xml(call, dom->managed_save, args->flags);
    return VIREO_OK;
}

/* A saved guest may get another definition as long as it stays the same guest. */
static int replace_definition(TestSaved *saved, vireo_call *call, const char *xml)
{
    GError *error = NULL;
    g_autoptr(VireoDomain) doc = test_definition_parse(xml, 0, &error);
    g_autoptr(VireoDomain) old = test_definition_of(saved->live);

    if (!doc)
        return test_fail_error(call, error);
    if (strcmp(doc->name, old->name) != 0 || memcmp(doc->uuid, old->uuid, 16) != 0)
        return FAIL(call, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "the saved domain is '%s': neither name nor uuid can change", old->name);
    if (doc->memory->text != old->memory->text || doc->vcpu->text != old->vcpu->text)
        return FAIL(call, VIREO_ERR_CONFIG_UNSUPPORTED,
                    "memory and virtual CPUs of a saved domain cannot change");
    g_ref_string_release(saved->live);
    saved->live = test_definition_text(doc);
    return VIREO_OK;
}

int test_domain_managed_save_define_xml(TestConn *conn, vireo_call *call,
                                        const vireo_domain_managed_save_define_xml_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = find_saved(node, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    if (args->dxml && replace_definition(dom->managed_save, call, args->dxml) != VIREO_OK)
        return VIREO_FAIL;
    dom->managed_save->state = wanted_state(args->flags, dom->managed_save->state);
    return VIREO_OK;
}

/* ---- save files -------------------------------------------------------------------------------
 */

static int write_file(vireo_call *call, const char *path, const char *text, gsize len)
{
    g_autoptr(GError) error = NULL;

    if (path[0] != '/')
        return FAIL(call, VIREO_ERR_INVALID_ARG, "'%s' is no absolute path", path);
    if (!vireo_file_write(path, text, len, 0600, &error))
        return FAIL(call, VIREO_ERR_OPERATION_FAILED, "%s", error->message);
    return VIREO_OK;
}

static int saved_write(const TestSaved *saved, vireo_call *call, const char *path)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = NULL;
    gsize len;

    g_key_file_set_string(file, SAVE_GROUP, "definition", saved->live);
    g_key_file_set_string(file, SAVE_GROUP, "ram", saved->ram ? saved->ram : "");
    g_key_file_set_integer(file, SAVE_GROUP, "state", saved->state);
    g_key_file_set_uint64(file, SAVE_GROUP, "boots", saved->boots);
    g_key_file_set_uint64(file, SAVE_GROUP, "nvram", saved->nvram);
    g_key_file_set_uint64(file, SAVE_GROUP, "cpu", saved->cpu_ns);
    text = g_key_file_to_data(file, &len, NULL);
    return write_file(call, path, text, len);
}

static TestSaved *saved_of(GKeyFile *file, vireo_call *call, const char *path)
{
    g_autofree char *xml = g_key_file_get_string(file, SAVE_GROUP, "definition", NULL);
    g_autoptr(VireoDomain) doc = xml ? test_definition_parse(xml, 0, NULL) : NULL;
    TestSaved *saved;

    if (!doc) {
        FAIL(call, VIREO_ERR_OPERATION_FAILED, "'%s' is no save file of this driver", path);
        return NULL;
    }
    saved = saved_new();
    saved->live = test_definition_text(doc);
    saved->memory = TRUE;
    saved->ram = g_key_file_get_string(file, SAVE_GROUP, "ram", NULL);
    saved->state = wanted_state(0, g_key_file_get_integer(file, SAVE_GROUP, "state", NULL));
    saved->boots = (guint)g_key_file_get_uint64(file, SAVE_GROUP, "boots", NULL);
    saved->nvram = (guint)g_key_file_get_uint64(file, SAVE_GROUP, "nvram", NULL);
    saved->cpu_ns = g_key_file_get_uint64(file, SAVE_GROUP, "cpu", NULL);
    return saved;
}

static TestSaved *saved_read(vireo_call *call, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = NULL;
    gsize len;

    if (!vireo_file_read(path, SAVE_MOST, &text, &len, &error)) {
        FAIL(call, VIREO_ERR_OPERATION_FAILED, "%s", error->message);
        return NULL;
    }
    g_key_file_load_from_data(file, text, len, G_KEY_FILE_NONE, NULL);
    return saved_of(file, call, path);
}

int test_domain_save_flags(TestConn *conn, vireo_call *call,
                           const vireo_domain_save_flags_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    g_autoptr(TestSaved) saved = NULL;

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    saved = capture_for_save(dom, args->flags);
    if (args->dxml && replace_definition(saved, call, args->dxml) != VIREO_OK)
        return VIREO_FAIL;
    if (saved_write(saved, call, args->to) != VIREO_OK)
        return VIREO_FAIL;
    test_domain_stop(dom, VIREO_DOMAIN_SHUTOFF_SAVED);
    return VIREO_OK;
}

int test_domain_restore_flags(TestConn *conn, vireo_call *call,
                              const vireo_domain_restore_flags_args *args)
{
    g_autoptr(TestSaved) saved = saved_read(call, args->from);
    g_autoptr(VireoDomain) doc = NULL;
    GError *error = NULL;
    TestDomain *dom;

    if (!saved || (args->dxml && replace_definition(saved, call, args->dxml) != VIREO_OK))
        return VIREO_FAIL;
    doc = test_definition_of(saved->live);
    TEST_LOCK(conn);
    dom = test_domain_set(node, doc, TRUE, &error);
    if (!dom)
        return test_fail_error(call, error);
    return test_domain_restore(dom, saved, wanted_state(args->flags, saved->state),
                               VIREO_DOMAIN_RUNNING_RESTORED, VIREO_DOMAIN_PAUSED_USER);
}

int test_domain_save_image_get_xml_desc(TestConn *conn, vireo_call *call,
                                        const vireo_domain_save_image_get_xml_desc_args *args,
                                        vireo_domain_save_image_get_xml_desc_ret *ret)
{
    g_autoptr(TestSaved) saved = saved_read(call, args->file);

    (void)conn;
    if (!saved)
        return VIREO_FAIL;
    ret->xml = saved_xml(call, saved, args->flags);
    return VIREO_OK;
}

int test_domain_save_image_define_xml(TestConn *conn, vireo_call *call,
                                      const vireo_domain_save_image_define_xml_args *args)
{
    g_autoptr(TestSaved) saved = saved_read(call, args->file);

    (void)conn;
    if (!saved || replace_definition(saved, call, args->dxml) != VIREO_OK)
        return VIREO_FAIL;
    saved->state = wanted_state(args->flags, saved->state);
    return saved_write(saved, call, args->file);
}

/* ---- core dump --------------------------------------------------------------------------------
 */

static void after_dump(TestDomain *dom, guint flags)
{
    if (flags & VIREO_DUMP_CRASH)
        test_domain_stop(dom, VIREO_DOMAIN_SHUTOFF_CRASHED);
    else if (flags & VIREO_DUMP_RESET) {
        vireo_domain_event_reboot_msg msg = {0};

        g_clear_pointer(&dom->guest.ram, g_free);
        dom->guest.boots++;
        test_domain_event(dom, VIREO_EVENT_domain_event_reboot, &msg, &msg.dom);
    }
}

int test_domain_core_dump_with_format(TestConn *conn, vireo_call *call,
                                      const vireo_domain_core_dump_with_format_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->dom);
    gboolean stopped;
    g_autofree char *text = NULL;

    if (!dom || test_domain_need_active(dom, call) != VIREO_OK)
        return VIREO_FAIL;
    if (args->dumpformat != VIREO_DOMAIN_CORE_DUMP_FORMAT_RAW)
        return FAIL(call, VIREO_ERR_OPERATION_UNSUPPORTED, "dump format %u is not supported",
                    args->dumpformat);
    stopped =
        dom->state == VIREO_DOMAIN_RUNNING && !(args->flags & (VIREO_DUMP_LIVE | VIREO_DUMP_CRASH));
    if (stopped)
        test_domain_pause(dom, VIREO_DOMAIN_PAUSED_DUMP);
    text =
        g_strdup_printf("vireo-test-dump %s\n%s", dom->name, dom->guest.ram ? dom->guest.ram : "");
    if (write_file(call, args->to, text, strlen(text)) != VIREO_OK) {
        if (stopped)
            test_domain_run(dom, VIREO_DOMAIN_RUNNING_UNPAUSED);
        return VIREO_FAIL;
    }
    if (stopped)
        test_domain_run(dom, VIREO_DOMAIN_RUNNING_UNPAUSED);
    after_dump(dom, args->flags);
    return VIREO_OK;
}
