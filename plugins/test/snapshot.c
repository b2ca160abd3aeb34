/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots: documents, delete, revert. */
#include "ops.h"

#include <string.h>

#include "moment.h"

#define SNAPSHOTS VIREO_CLASS_DOMAIN_SNAPSHOT

int test_domain_snapshot_create_xml(TestConn *conn, vireo_call *call,
                                    const vireo_domain_snapshot_create_xml_args *args,
                                    vireo_domain_snapshot_create_xml_ret *ret)
{
    guint how =
        args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0;
    gboolean redefine = args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_REDEFINE;
    GError *error = NULL;
    g_autoptr(VireoDomainSnapshot) doc = vireo_domain_snapshot_parse(args->xml_desc, how, &error);
    g_autofree char *name = NULL;
    TestDomain *dom;
    int status;

    if (!doc)
        return test_fail_error(call, error);
    TEST_LOCK(conn);
    dom = test_domain_find(node, call, &args->dom);
    if (!dom)
        return VIREO_FAIL;
    ret->snap.dom = test_domain_ref(call, dom);
    if (redefine) {
        name = g_strdup(doc->name);
        status = test_snapshot_redefine(dom, call, g_steal_pointer(&doc), args->flags);
    } else
        status = test_snapshot_take(dom, call, g_steal_pointer(&doc), args->flags, &name);
    if (status == VIREO_OK)
        ret->snap.name = DUP(call, name);
    return status;
}

int test_domain_snapshot_get_xml_desc(TestConn *conn, vireo_call *call,
                                      const vireo_domain_snapshot_get_xml_desc_args *args,
                                      vireo_domain_snapshot_get_xml_desc_ret *ret)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->snap.dom);
    TestMoment *moment = dom ? test_moment_of(dom, call, SNAPSHOTS, args->snap.name) : NULL;
    g_autoptr(VireoDomainSnapshot) doc = NULL;
    g_autofree char *text = NULL;

    if (!moment)
        return VIREO_FAIL;
    doc = vireo_domain_snapshot_copy(moment->doc);
    doc->domain = moment->domain ? test_definition_of(moment->domain) : NULL;
    doc->inactive_domain = moment->inactive ? test_definition_of(moment->inactive) : NULL;
    if (moment->parent) {
        doc->parent = g_new0(VireoDomainSnapshotParent, 1);
        doc->parent->name = g_strdup(moment->parent);
    }
    text = vireo_domain_snapshot_format(
        doc, args->flags & VIREO_DOMAIN_SNAPSHOT_XML_SECURE ? VIREO_MODEL_FORMAT_SECURE : 0);
    ret->xml = DUP(call, text);
    return VIREO_OK;
}

int test_domain_snapshot_delete(TestConn *conn, vireo_call *call,
                                const vireo_domain_snapshot_delete_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->snap.dom);
    TestMoment *moment = dom ? test_moment_of(dom, call, SNAPSHOTS, args->snap.name) : NULL;

    if (!moment)
        return VIREO_FAIL;
    return test_moment_delete(dom, dom->snapshots, moment,
                              args->flags & VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN,
                              args->flags & VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY,
                              args->flags & VIREO_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY);
}

/* ---- revert -----------------------------------------------------------------------------------
 */

static int wanted_state(const TestMoment *moment, guint flags)
{
    if (flags & VIREO_DOMAIN_SNAPSHOT_REVERT_RUNNING)
        return VIREO_DOMAIN_RUNNING;
    if (flags & VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED)
        return VIREO_DOMAIN_PAUSED;
    if (moment->tree_flags & VIREO_TREE_DISK_ONLY)
        return VIREO_DOMAIN_SHUTOFF;
    return moment->state;
}

static gboolean has_nvram(const VireoDomain *doc)
{
    return doc->os->nvram || doc->os->firmware == VIREO_DOMAIN_OS_FIRMWARE_EFI ||
           (doc->os->loader && doc->os->loader->type == VIREO_DOMAIN_LOADER_TYPE_PFLASH);
}

static int check_nvram(const TestMoment *moment, TestDomain *dom, vireo_call *call, int state)
{
    g_autoptr(VireoDomain) doc =
        moment->domain ? test_definition_of(moment->domain) : test_domain_document(dom);

    if (!has_nvram(doc))
        return FAIL(call, VIREO_ERR_OPERATION_UNSUPPORTED,
                    "domain '%s' has no NVRAM that could be reset", dom->name);
    if (state == VIREO_DOMAIN_SHUTOFF)
        return FAIL(call, VIREO_ERR_OPERATION_INVALID,
                    "the domain will not run: its NVRAM cannot be reset");
    return VIREO_OK;
}

/* Everything that can refuse a revert, before anything is touched. */
static int check_revert(const TestMoment *moment, TestDomain *dom, vireo_call *call, guint flags,
                        int state)
{
    gboolean force = flags & VIREO_DOMAIN_SNAPSHOT_REVERT_FORCE;

    if (!moment->domain && !force)
        return FAIL(call, VIREO_ERR_SNAPSHOT_REVERT_RISKY,
                    "snapshot '%s' holds no definition of the domain (flag FORCE keeps the present "
                    "one)",
                    moment->name);
    if (!moment->data && test_snapshot_needs_data(moment))
        return FAIL(call, VIREO_ERR_OPERATION_FAILED,
                    "there is no data for snapshot '%s', only its description", moment->name);
    if (!dom->config && state == VIREO_DOMAIN_SHUTOFF)
        return FAIL(call, VIREO_ERR_OPERATION_INVALID,
                    "a transient domain must run: flag RUNNING or PAUSED is needed");
    if (dom->managed_save && !force)
        return FAIL(call, VIREO_ERR_SNAPSHOT_REVERT_RISKY,
                    "domain '%s' has a managed save image (flag FORCE drops it)", dom->name);
    if (flags & VIREO_DOMAIN_SNAPSHOT_REVERT_RESET_NVRAM)
        return check_nvram(moment, dom, call, state);
    return VIREO_OK;
}

static char *revert_path(TestNode *node, const char *base)
{
    for (guint i = 1;; i++) {
        g_autofree char *path = g_strdup_printf("%s.revert-%u", base, i);

        if (!g_hash_table_contains(node->images, path))
            return g_steal_pointer(&path);
    }
}

static gboolean is_external(const TestMoment *moment, const char *target)
{
    const VireoDomainSnapshotDisks *disks = moment->doc->disks;

    for (guint i = 0; disks && i < disks->disks.n; i++)
        if (g_strcmp0(disks->disks.items[i]->name, target) == 0)
            return disks->disks.items[i]->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL;
    return FALSE;
}

static void set_path(VireoDomain *doc, const char *target, const char *path)
{
    VireoDomainDisk *disk = doc ? test_disk_find(doc, target) : NULL;

    if (!disk || !disk->source)
        return;
    g_free(disk->source->file);
    disk->source->file = g_strdup(path);
}

/* Contents go back; a disk that was captured externally continues on a new image above the old. */
static void put_disks(const TestMoment *moment, TestDomain *dom, VireoDomain *live,
                      VireoDomain *config)
{
    for (guint i = 0;
         moment->data && moment->data->disks && live->devices && i < live->devices->disks.n; i++) {
        VireoDomainDisk *disk = live->devices->disks.items[i];
        g_autofree char *path = g_strdup(test_disk_path(disk));
        GBytes *content = path ? g_hash_table_lookup(moment->data->disks, path) : NULL;

        if (!content)
            continue;
        if (is_external(moment, disk->target->dev)) {
            char *fresh = revert_path(dom->node, path);

            set_path(live, disk->target->dev, fresh);
            set_path(config, disk->target->dev, fresh);
            g_free(path);
            path = fresh;
        }
        g_hash_table_insert(dom->node->images, g_steal_pointer(&path), g_bytes_ref(content));
    }
}

static VireoDomain *named_as_now(const GRefString *text, const TestDomain *dom)
{
    VireoDomain *doc = text ? test_definition_of(text) : NULL;

    if (doc) {
        g_free(doc->name);
        doc->name = g_strdup(dom->name);
    }
    return doc;
}

static void replace(GRefString **slot, const VireoDomain *doc)
{
    g_clear_pointer(slot, g_ref_string_release);
    *slot = doc ? test_definition_text(doc) : NULL;
}

/* Definitions and contents as they were; TRUE when the stored definition is another now. */
static gboolean put_definitions(const TestMoment *moment, TestDomain *dom, gboolean active)
{
    const GRefString *now = dom->live ? dom->live : dom->config;
    const GRefString *then = moment->domain ? moment->domain : now;
    g_autoptr(VireoDomain) live = named_as_now(then, dom);
    g_autoptr(VireoDomain) config =
        dom->config ? named_as_now(moment->inactive ? moment->inactive : then, dom) : NULL;
    g_autofree char *before = g_strdup(dom->config);

    put_disks(moment, dom, live, config);
    if (config)
        replace(&dom->config, config);
    replace(&dom->live, active ? live : NULL);
    return dom->config && g_strcmp0(before, dom->config) != 0;
}

static void to_active(const TestMoment *moment, TestDomain *dom, int state, guint flags)
{
    gboolean was_active = test_domain_active(dom), paused = state == VIREO_DOMAIN_PAUSED;
    gboolean memory = moment->data && moment->data->memory;
    TestSaved empty = {.boots = 1};

    if (!was_active)
        dom->id = dom->node->next_id++;
    dom->nvram = moment->data ? moment->data->nvram : dom->nvram;
    if (flags & VIREO_DOMAIN_SNAPSHOT_REVERT_RESET_NVRAM)
        dom->nvram = 0;
    dom->state = paused ? VIREO_DOMAIN_PAUSED : VIREO_DOMAIN_RUNNING;
    dom->reason = paused ? VIREO_DOMAIN_PAUSED_FROM_SNAPSHOT : VIREO_DOMAIN_RUNNING_FROM_SNAPSHOT;
    test_domain_put_memory(dom, memory ? moment->data : &empty);
    test_domain_refresh(dom);
    if (!was_active)
        test_domain_publish(dom);
    else if (paused)
        test_domain_publish_as(dom, VIREO_DOMAIN_EVENT_SUSPENDED,
                               VIREO_DOMAIN_EVENT_SUSPENDED_FROM_SNAPSHOT);
    else
        test_domain_publish_as(dom, VIREO_DOMAIN_EVENT_RESUMED,
                               VIREO_DOMAIN_EVENT_RESUMED_FROM_SNAPSHOT);
}

static void to_off(const TestMoment *moment, TestDomain *dom)
{
    dom->nvram = moment->data ? moment->data->nvram : dom->nvram;
    if (test_domain_active(dom)) {
        test_domain_stop(dom, VIREO_DOMAIN_SHUTOFF_FROM_SNAPSHOT);
        return;
    }
    dom->reason = VIREO_DOMAIN_SHUTOFF_FROM_SNAPSHOT;
    test_domain_refresh(dom);
    test_domain_publish(dom);
}

int test_domain_revert_to_snapshot(TestConn *conn, vireo_call *call,
                                   const vireo_domain_revert_to_snapshot_args *args)
{
    TEST_LOCK(conn);
    TestDomain *dom = test_domain_find(node, call, &args->snap.dom);
    TestMoment *moment = dom ? test_moment_of(dom, call, SNAPSHOTS, args->snap.name) : NULL;
    int state = moment ? wanted_state(moment, args->flags) : 0;
    gboolean redefined;

    if (!moment || check_revert(moment, dom, call, args->flags, state) != VIREO_OK)
        return VIREO_FAIL;
    g_clear_pointer(&dom->managed_save, test_saved_free);
    redefined = put_definitions(moment, dom, state != VIREO_DOMAIN_SHUTOFF);
    test_moments_set_current(dom->snapshots, moment->name);
    if (state == VIREO_DOMAIN_SHUTOFF)
        to_off(moment, dom);
    else
        to_active(moment, dom, state, args->flags);
    if (redefined)
        test_domain_publish_as(dom, VIREO_DOMAIN_EVENT_DEFINED,
                               VIREO_DOMAIN_EVENT_DEFINED_FROM_SNAPSHOT);
    test_moment_publish(dom, dom->snapshots, moment);
    return VIREO_OK;
}
