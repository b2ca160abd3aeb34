/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taking a snapshot, and metadata from outside. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ops.h"
#include "process.h"
#include "snapshot.h"
#include "snapshot_copy.h"

/* ---- what is asked for --------------------------------------------------------- */

/* All that a snapshot can hold is the root. */
static gboolean settle_parts(LxcDomain *dom, VireoDomainSnapshot *doc, guint flags, GError **error)
{
    gboolean without_memory = doc->memory && doc->memory->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_NO;

    if (doc->memory && !without_memory) {
        lxc_error(error, VIREO_ERR_OPERATION_UNSUPPORTED, "the memory of a container is in no snapshot: leave out <memory>");
        return FALSE;
    }
    if (lxc_domain_active(dom) && !without_memory && !(flags & VIREO_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)) {
        lxc_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                  "domain '%s' runs, and its memory is in no snapshot: flag DISK_ONLY takes its root", dom->name);
        return FALSE;
    }
    if (!doc->memory)
        doc->memory = g_new0(VireoDomainSnapshotMemory, 1);
    doc->memory->snapshot = VIREO_DOMAIN_SNAPSHOT_LOCATION_NO;
    if (!doc->disks)
        doc->disks = g_new0(VireoDomainSnapshotDisks, 1);
    for (guint i = 0; i < doc->disks->disks.n; i++) {
        const VireoDomainSnapshotDisk *disk = doc->disks->disks.items[i];

        if (g_str_equal(disk->name, "/") && i == 0 && !disk->source &&
            (!disk->snapshot || disk->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL))
            continue;
        lxc_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                  "a container's snapshot holds its root: the only <disk> is the one called '/', and it is internal");
        return FALSE;
    }
    if (!doc->disks->disks.n) {
        VireoDomainSnapshotDisk *disk = g_new0(VireoDomainSnapshotDisk, 1);

        disk->name = g_strdup("/");
        vireo_list_append(&doc->disks->disks, disk);
    }
    doc->disks->disks.items[0]->snapshot = VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL;
    return TRUE;
}

static void fill_in(LxcDomain *dom, VireoDomainSnapshot *doc, guint flags)
{
    g_autofree char *current = vireo_snapshots_current(dom->snapshots);
    g_autoptr(LxcDef) live = lxc_domain_live(dom), config = lxc_domain_config(dom);
    gboolean whole = !live && !(flags & VIREO_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY);

    doc->state = whole ? VIREO_DOMAIN_SNAPSHOT_STATE_SHUTOFF : VIREO_DOMAIN_SNAPSHOT_STATE_DISK_SNAPSHOT;
    doc->creation_time = g_get_real_time() / G_USEC_PER_SEC;
    doc->has_creation_time = TRUE;
    doc->has_active = FALSE;
    vireo_snapshot_set_parent(doc, current);
    g_clear_pointer(&doc->domain, vireo_domain_free);
    g_clear_pointer(&doc->inactive_domain, vireo_domain_free);
    doc->domain = vireo_domain_copy((live ? live : config)->doc);
    if (live && config)
        doc->inactive_domain = vireo_domain_copy(config->doc);
}

/* ---- taking it ----------------------------------------------------------------- */

static gboolean is_free(const char *place, const char *name, GError **error)
{
    if (access(place, F_OK) < 0 && errno == ENOENT)
        return TRUE;
    lxc_error(error, VIREO_ERR_OPERATION_FAILED,
              "there is a copy of a snapshot '%s' that has no metadata, %s: redefine it, remove it, or take another name",
              name, place);
    return FALSE;
}

/* The copy gets its name before the metadata tells of it: until then the note says that it is to be removed. */
static gboolean take_root(LxcDomain *dom, vireo_call *call, const LxcRoot *root, const VireoDomainSnapshot *doc,
                          gboolean metadata, GError **error)
{
    g_autofree char *fresh = lxc_root_place(root, LXC_PLACE_NEW), *place = lxc_root_place(root, doc->name);
    const char *paths[] = { fresh, place };
    g_autofree char *note = lxc_note_remove(paths, 2, lxc_domain_active(dom) && dom->state == VIREO_DOMAIN_RUNNING);
    g_autoptr(GError) failure = NULL;

    if (!is_free(place, doc->name, error) || !lxc_root_check(root, error) ||
        !vireo_snapshots_set_note(dom->snapshots, note, error))
        return FALSE;
    if (lxc_root_make_store(root, &failure) && lxc_remove(fresh, &failure) &&
        lxc_root_take(dom, call, root, fresh, &failure) && lxc_move(fresh, place, &failure) &&
        (metadata ? vireo_snapshots_put(dom->snapshots, doc, TRUE, NULL, &failure)
                  : vireo_snapshots_set_note(dom->snapshots, NULL, &failure)))
        return TRUE;
    lxc_snapshots_settle(dom, NULL);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* A name that is ours to choose is none of what has no metadata either. */
static void number_on(LxcDomain *dom, const LxcRoot *root, VireoDomainSnapshot *doc)
{
    for (gint64 number = g_ascii_strtoll(doc->name, NULL, 10);; number++) {
        g_autofree char *name = g_strdup_printf("%" G_GINT64_FORMAT, number), *place = lxc_root_place(root, name);

        if (vireo_snapshots_has(dom->snapshots, name) || access(place, F_OK) == 0)
            continue;
        g_free(doc->name);
        doc->name = g_steal_pointer(&name);
        return;
    }
}

static gboolean take(LxcDomain *dom, vireo_call *call, VireoDomainSnapshot *doc, guint flags, GError **error)
{
    gboolean halt = (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_HALT) != 0, named = doc->name != NULL;
    g_autoptr(LxcDef) now = lxc_domain_current(dom);

    if (!vireo_snapshots_name(dom->snapshots, doc, error) || !settle_parts(dom, doc, flags, error))
        return FALSE;
    if (halt && !lxc_domain_need_persistent(dom, "halted it would be gone", error))
        return FALSE;
    fill_in(dom, doc, flags);
    g_autoptr(LxcRoot) root = lxc_root_new(dom, now->doc, error);
    if (root && !named)
        number_on(dom, root, doc);
    if (!root || !take_root(dom, call, root, doc, !(flags & VIREO_DOMAIN_SNAPSHOT_CREATE_NO_METADATA), error))
        return FALSE;
    return !halt || !lxc_domain_active(dom) || lxc_process_kill(dom, VIREO_DOMAIN_SHUTOFF_FROM_SNAPSHOT, error);
}

/* ---- redefining ---------------------------------------------------------------- */

static gboolean check_copy(LxcDomain *dom, const VireoDomainSnapshot *doc, GError **error)
{
    g_autoptr(LxcDef) def = lxc_snapshot_definition(dom, doc, NULL), now = lxc_domain_current(dom);
    g_autoptr(LxcRoot) root = lxc_root_new(dom, (def ? def : now)->doc, error);
    g_autofree char *place = root ? lxc_root_place(root, doc->name) : NULL;

    if (root && access(place, F_OK) < 0)
        lxc_error(error, VIREO_ERR_CONFIG_UNSUPPORTED, "the copy that snapshot '%s' stands for is not there: %s", doc->name,
                  place);
    return root && access(place, F_OK) == 0;
}

static gboolean redefine(LxcDomain *dom, VireoDomainSnapshot *doc, guint flags, GError **error)
{
    g_autoptr(LxcDef) def = NULL;
    g_autoptr(GError) failure = NULL;

    if (!vireo_snapshots_redefine(dom->snapshots, doc, dom->uuid, flags, error))
        return FALSE;
    if (doc->state == VIREO_DOMAIN_SNAPSHOT_STATE_RUNNING || doc->state == VIREO_DOMAIN_SNAPSHOT_STATE_PAUSED) {
        lxc_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
                  "snapshot '%s': the memory of a container is in no snapshot, so its state can be shutoff or disk-snapshot",
                  doc->name);
        return FALSE;
    }
    def = lxc_snapshot_definition(dom, doc, &failure);
    if (failure) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if ((flags & VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE) && !check_copy(dom, doc, error))
        return FALSE;
    return vireo_snapshots_put(dom->snapshots, doc, (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_CURRENT) != 0, NULL, error);
}

int lxc_domain_snapshot_create_xml(void *handle, vireo_call *call, const vireo_domain_snapshot_create_xml_args *args,
                                   vireo_domain_snapshot_create_xml_ret *ret)
{
    LxcConn *conn = lxc_conn(handle);
    guint how = args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0;
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDomainSnapshot) doc = vireo_domain_snapshot_parse(args->xml_desc, how, &error);
    g_autoptr(LxcDomainJob) dom = doc ? lxc_domain_begin(conn, call, &args->dom) : NULL;

    if (!doc)
        return lxc_fail(conn->driver, call, error);
    if (!dom)
        return VIREO_FAIL;
    gboolean good = lxc_snapshots_settle(dom, &error) &&
                    (args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_REDEFINE ? redefine(dom, doc, args->flags, &error)
                                                                         : take(dom, call, doc, args->flags, &error));
    lxc_snapshots_publish(dom);
    if (!good)
        return lxc_fail(conn->driver, call, error);
    ret->snap.name = conn->driver->host->strdup(call, doc->name);
    lxc_domain_fill_ref(dom, call, &ret->snap.dom);
    return VIREO_OK;
}
