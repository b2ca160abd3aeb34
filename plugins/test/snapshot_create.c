/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taking a snapshot: what it holds is decided and checked first, then captured in one go. */
#include "moment.h"
#include "ops.h"

#include <string.h>
#include <time.h>

#define NO       VIREO_DOMAIN_SNAPSHOT_LOCATION_NO
#define INTERNAL VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL
#define EXTERNAL VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL
#define MANUAL   VIREO_DOMAIN_SNAPSHOT_LOCATION_MANUAL
#define UNSET    VIREO_DOMAIN_SNAPSHOT_LOCATION_UNSET

/* A snapshot being taken. */
typedef struct {
    TestDomain *dom;
    vireo_call *call;
    VireoDomainSnapshot *doc;
    VireoDomain *domain; /* in force */
    gboolean active, disk_only, reuse;
} Taking;

#define REFUSE(taking, ...) FAIL((taking)->call, __VA_ARGS__)

/* ---- memory -----------------------------------------------------------------------------------
 */

static int decide_memory(Taking *taking)
{
    gboolean possible = taking->active && !taking->disk_only;
    VireoDomainSnapshotMemory *memory = taking->doc->memory;

    if (!memory)
        memory = taking->doc->memory = g_new0(VireoDomainSnapshotMemory, 1);
    if (memory->snapshot == UNSET)
        memory->snapshot = memory->file ? EXTERNAL : possible ? INTERNAL : NO;
    if (memory->snapshot == MANUAL)
        return REFUSE(taking, VIREO_ERR_XML_ERROR, "memory cannot be captured manually");
    if (memory->snapshot != NO && !possible)
        return REFUSE(taking, VIREO_ERR_XML_ERROR,
                      "the memory of a domain that is off, or of a disk-only snapshot, cannot be "
                      "captured");
    if (memory->snapshot == EXTERNAL && !memory->file)
        return REFUSE(taking, VIREO_ERR_XML_ERROR, "external memory needs a file");
    if (memory->snapshot != EXTERNAL && memory->file)
        return REFUSE(taking, VIREO_ERR_XML_ERROR, "a memory file is for external memory only");
    if (memory->snapshot == NO && possible)
        return REFUSE(taking, VIREO_ERR_OPERATION_UNSUPPORTED,
                      "a snapshot of a running domain without its memory is a disk-only one: flag "
                      "DISK_ONLY");
    return VIREO_OK;
}

/* ---- disks ------------------------------------------------------------------------------------
 */

static VireoDomainSnapshotLocation default_location(const Taking *taking,
                                                    const VireoDomainDisk *disk)
{
    switch (disk->snapshot) {
    case VIREO_DOMAIN_DISK_SNAPSHOT_NO:
        return NO;
    case VIREO_DOMAIN_DISK_SNAPSHOT_INTERNAL:
        return INTERNAL;
    case VIREO_DOMAIN_DISK_SNAPSHOT_EXTERNAL:
        return EXTERNAL;
    case VIREO_DOMAIN_DISK_SNAPSHOT_MANUAL:
        return MANUAL;
    default:
        break;
    }
    if (!test_disk_has_data(disk))
        return NO;
    return taking->disk_only || taking->doc->memory->snapshot == EXTERNAL ? EXTERNAL : INTERNAL;
}

static VireoDomainSnapshotDisk *entry_of(VireoDomainSnapshotDisks *disks, const char *target)
{
    for (guint i = 0; i < disks->disks.n; i++)
        if (g_strcmp0(disks->disks.items[i]->name, target) == 0)
            return disks->disks.items[i];
    return NULL;
}

/* Entries are known by the disk's target from here on. */
static int settle_names(Taking *taking)
{
    VireoDomainSnapshotDisks *disks = taking->doc->disks;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < disks->disks.n; i++) {
        VireoDomainSnapshotDisk *entry = disks->disks.items[i];
        VireoDomainDisk *disk = test_disk_find(taking->domain, entry->name);

        if (!disk)
            return REFUSE(taking, VIREO_ERR_CONFIG_UNSUPPORTED, "the domain has no disk '%s'",
                          entry->name);
        g_free(entry->name);
        entry->name = g_strdup(disk->target->dev);
        if (!g_hash_table_add(seen, entry->name))
            return REFUSE(taking, VIREO_ERR_CONFIG_UNSUPPORTED, "disk '%s' is named twice",
                          entry->name);
    }
    return VIREO_OK;
}

static char *overlay_path(const char *base, const char *name)
{
    const char *slash = strrchr(base, '/'), *dot = strrchr(base, '.');
    gsize stem = dot && (!slash || dot > slash) ? (gsize)(dot - base) : strlen(base);

    return g_strdup_printf("%.*s.%s", (int)stem, base, name);
}

static gboolean image_exists(TestNode *node, const char *path)
{
    return g_hash_table_contains(node->images, path) || g_file_test(path, G_FILE_TEST_EXISTS);
}

static int settle_overlay(Taking *taking, VireoDomainSnapshotDisk *entry, VireoDomainDisk *disk)
{
    const char *base = test_disk_path(disk);
    gboolean exists;

    if (!entry->source)
        entry->source = g_new0(VireoDomainDiskSource, 1);
    if (!entry->source->file && disk->type != VIREO_DOMAIN_DISK_TYPE_FILE)
        return REFUSE(taking, VIREO_ERR_CONFIG_UNSUPPORTED,
                      "disk '%s' is no file: its new image needs a <source>", entry->name);
    if (!entry->source->file)
        entry->source->file = overlay_path(base, taking->doc->name);
    exists = image_exists(taking->dom->node, entry->source->file);
    if (g_strcmp0(entry->source->file, base) == 0 || (exists && !taking->reuse))
        return REFUSE(taking, VIREO_ERR_CONFIG_UNSUPPORTED,
                      "image '%s' for disk '%s' exists already", entry->source->file, entry->name);
    if (!exists && taking->reuse)
        return REFUSE(taking, VIREO_ERR_CONFIG_UNSUPPORTED,
                      "image '%s' for disk '%s' does not exist", entry->source->file, entry->name);
    return VIREO_OK;
}

static int settle_disk(Taking *taking, VireoDomainDisk *disk)
{
    VireoDomainSnapshotDisks *disks = taking->doc->disks;
    VireoDomainSnapshotDisk *entry = entry_of(disks, disk->target->dev);

    if (!entry) {
        entry = g_new0(VireoDomainSnapshotDisk, 1);
        entry->name = g_strdup(disk->target->dev);
        vireo_list_append(&disks->disks, entry);
    }
    if (entry->snapshot == UNSET)
        entry->snapshot = entry->source ? EXTERNAL : default_location(taking, disk);
    if (entry->snapshot != EXTERNAL && entry->source)
        return REFUSE(taking, VIREO_ERR_XML_ERROR,
                      "disk '%s' has a <source>, which is for external snapshots only",
                      entry->name);
    if (entry->snapshot == NO || entry->snapshot == MANUAL)
        return VIREO_OK;
    if (!test_disk_path(disk))
        return REFUSE(taking, VIREO_ERR_CONFIG_UNSUPPORTED, "disk '%s' has no image", entry->name);
    return entry->snapshot == EXTERNAL ? settle_overlay(taking, entry, disk) : VIREO_OK;
}

static int decide_disks(Taking *taking)
{
    gboolean any = FALSE;

    if (!taking->doc->disks)
        taking->doc->disks = g_new0(VireoDomainSnapshotDisks, 1);
    if (settle_names(taking) != VIREO_OK)
        return VIREO_FAIL;
    for (guint i = 0; taking->domain->devices && i < taking->domain->devices->disks.n; i++)
        if (settle_disk(taking, taking->domain->devices->disks.items[i]) != VIREO_OK)
            return VIREO_FAIL;
    for (guint i = 0; i < taking->doc->disks->disks.n; i++)
        any = any || taking->doc->disks->disks.items[i]->snapshot != NO;
    if (!any && taking->disk_only)
        return REFUSE(taking, VIREO_ERR_CONFIG_UNSUPPORTED,
                      "a disk-only snapshot needs a disk, and no disk is selected");
    return VIREO_OK;
}

/* ---- what the flags ask for, given the domain -------------------------------------------------
 */

static int check_flags(Taking *taking, guint flags)
{
    TestDomain *dom = taking->dom;

    if ((flags & VIREO_DOMAIN_SNAPSHOT_CREATE_HALT) && !dom->config)
        return REFUSE(taking, VIREO_ERR_OPERATION_INVALID,
                      "domain '%s' is transient: halted it would be lost, with its snapshots",
                      dom->name);
    if ((flags & VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE) && dom->state != VIREO_DOMAIN_RUNNING)
        return REFUSE(taking, VIREO_ERR_OPERATION_INVALID,
                      "domain '%s' does not execute: it cannot be quiesced", dom->name);
    if ((flags & VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE) &&
        test_agent_check(dom, taking->call) != VIREO_OK)
        return VIREO_FAIL;
    if (!(flags & VIREO_DOMAIN_SNAPSHOT_CREATE_LIVE))
        return VIREO_OK;
    if (taking->disk_only)
        return REFUSE(taking, VIREO_ERR_OPERATION_UNSUPPORTED,
                      "flag LIVE is about capturing memory, and a disk-only snapshot has none");
    if (dom->state != VIREO_DOMAIN_RUNNING)
        return REFUSE(taking, VIREO_ERR_OPERATION_INVALID,
                      "domain '%s' does not execute: there is nothing to keep alive", dom->name);
    return VIREO_OK;
}

static int decide(Taking *taking, guint flags, char **name)
{
    *name = test_moment_new_name(test_moments_get(taking->dom, VIREO_CLASS_DOMAIN_SNAPSHOT),
                                 taking->call, taking->doc->name);
    if (!*name)
        return VIREO_FAIL;
    g_free(taking->doc->name);
    taking->doc->name = g_strdup(*name);
    if (taking->dom->state == VIREO_DOMAIN_PMSUSPENDED && !taking->disk_only)
        return REFUSE(taking, VIREO_ERR_OPERATION_UNSUPPORTED,
                      "domain '%s' sleeps: only its disks can be captured", taking->dom->name);
    if (check_flags(taking, flags) != VIREO_OK || decide_memory(taking) != VIREO_OK)
        return VIREO_FAIL;
    return decide_disks(taking);
}

/* ---- doing it ---------------------------------------------------------------------------------
 */

static void keep_selected(TestSaved *data, const Taking *taking)
{
    for (guint i = 0; taking->domain->devices && i < taking->domain->devices->disks.n; i++) {
        const VireoDomainDisk *disk = taking->domain->devices->disks.items[i];
        const VireoDomainSnapshotDisk *entry = entry_of(taking->doc->disks, disk->target->dev);

        if (test_disk_path(disk) && entry->snapshot != INTERNAL && entry->snapshot != EXTERNAL)
            g_hash_table_remove(data->disks, test_disk_path(disk));
    }
}

static void move_to(VireoDomain *doc, const char *target, const char *from, const char *to)
{
    VireoDomainDisk *disk = test_disk_find(doc, target);

    if (!disk || g_strcmp0(test_disk_path(disk), from) != 0)
        return;
    vireo_domain_disk_source_free(disk->source);
    disk->source = g_new0(VireoDomainDiskSource, 1);
    disk->source->file = g_strdup(to);
    disk->type = VIREO_DOMAIN_DISK_TYPE_FILE;
}

static void move_text(GRefString **text, const char *target, const char *from, const char *to)
{
    g_autoptr(VireoDomain) doc = *text ? test_definition_of(*text) : NULL;

    if (!doc)
        return;
    move_to(doc, target, from, to);
    g_ref_string_release(*text);
    *text = test_definition_text(doc);
}

/* From now on the guest writes to the new images. */
static void switch_images(const Taking *taking)
{
    TestNode *node = taking->dom->node;

    for (guint i = 0; i < taking->doc->disks->disks.n; i++) {
        const VireoDomainSnapshotDisk *entry = taking->doc->disks->disks.items[i];
        const VireoDomainDisk *disk = test_disk_find(taking->domain, entry->name);
        GBytes *content;

        if (entry->snapshot != EXTERNAL)
            continue;
        content = g_hash_table_lookup(node->images, test_disk_path(disk));
        g_hash_table_insert(node->images, g_strdup(entry->source->file),
                            content ? g_bytes_ref(content) : g_bytes_new(NULL, 0));
        move_text(&taking->dom->live, entry->name, test_disk_path(disk), entry->source->file);
        move_text(&taking->dom->config, entry->name, test_disk_path(disk), entry->source->file);
    }
}

static VireoDomainSnapshotState shown_state(const Taking *taking)
{
    if (taking->disk_only)
        return VIREO_DOMAIN_SNAPSHOT_STATE_DISK_SNAPSHOT;
    return (VireoDomainSnapshotState)(taking->dom->state - VIREO_DOMAIN_NOSTATE +
                                      VIREO_DOMAIN_SNAPSHOT_STATE_NOSTATE);
}

static void record(const Taking *taking, TestSaved *data, guint flags)
{
    TestDomain *dom = taking->dom;
    TestMoments *moments = dom->snapshots;
    TestMoment *moment;

    if (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_NO_METADATA) {
        g_hash_table_insert(moments->hidden, g_strdup(taking->doc->name), data);
        return;
    }
    moment = test_snapshot_moment(vireo_domain_snapshot_copy(taking->doc));
    g_free(moment->parent);
    moment->parent = g_strdup(moments->current);
    moment->domain = g_ref_string_acquire(data->live ? data->live : data->config);
    moment->inactive = data->live && data->config ? g_ref_string_acquire(data->config) : NULL;
    moment->data = data;
    test_moments_put(moments, moment);
    test_moments_set_current(moments, moment->name);
    test_moment_publish(dom, moments, moment);
}

static gboolean waits_for_user(const Taking *taking)
{
    for (guint i = 0; i < taking->doc->disks->disks.n; i++)
        if (taking->doc->disks->disks.items[i]->snapshot == MANUAL)
            return taking->dom->state == VIREO_DOMAIN_RUNNING;
    return FALSE;
}

static void take(Taking *taking, guint flags)
{
    TestDomain *dom = taking->dom;
    gboolean memory = taking->doc->memory->snapshot != NO;
    TestSaved *data =
        test_domain_capture(dom, TEST_CAPTURE_DISKS | (memory ? TEST_CAPTURE_MEMORY : 0));

    keep_selected(data, taking);
    taking->doc->state = shown_state(taking);
    taking->doc->creation_time = (gint64)time(NULL);
    taking->doc->has_creation_time = TRUE;
    record(taking, data, flags);
    switch_images(taking);
    if (test_domain_active(dom) && (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_HALT))
        test_domain_stop(dom, VIREO_DOMAIN_SHUTOFF_FROM_SNAPSHOT);
    else if (waits_for_user(taking))
        test_domain_pause(dom, VIREO_DOMAIN_PAUSED_SNAPSHOT);
    else
        test_domain_publish(dom);
}

int test_snapshot_take(TestDomain *dom, vireo_call *call, VireoDomainSnapshot *doc, guint flags,
                       char **name)
{
    g_autoptr(VireoDomainSnapshot) mine = doc;
    g_autoptr(VireoDomain) domain = test_domain_document(dom);
    Taking taking = {
        .dom = dom,
        .call = call,
        .doc = mine,
        .domain = domain,
        .active = test_domain_active(dom),
        .disk_only = (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY) != 0,
        .reuse = (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT) != 0,
    };

    if (decide(&taking, flags, name) != VIREO_OK)
        return VIREO_FAIL;
    take(&taking, flags);
    return VIREO_OK;
}
