/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ops.h"
#include "snapshot.h"

#include <string.h>

#include "agent.h"
#include "engine.h"
#include "firmware.h"
#include "machine.h"
#include "process.h"
#include "sidefile.h"
#include "take.h"
#include "tell.h"
#include "tpm.h"

/* There may be several in a second. Caller frees. */
static char *name_of_now(QemuDomain *dom)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    char *name = g_strdup_printf("%" G_GINT64_FORMAT, now);

    for (guint n = 2;; n++) {
        g_autoptr(QemuSnap) taken = qemu_tree_find(dom->tree, name);

        if (!taken)
            return name;
        g_free(name);
        name = g_strdup_printf("%" G_GINT64_FORMAT "-%u", now, n);
    }
}

static gboolean check_name(QemuDomain *dom, VireoDomainSnapshot *doc, GError **error)
{
    if (!doc->name)
        doc->name = name_of_now(dom);
    if (g_str_equal(doc->name, QEMU_UNDO_TAG)) {
        qemu_refuse(error, VIREO_ERR_XML_DETAIL, "give it another name",
                    "'%s' is what an image holds for as long as a revert takes", doc->name);
        return FALSE;
    }
    if (*doc->name && *doc->name != '.' && !strchr(doc->name, '/') && strlen(doc->name) <= 200)
        return TRUE;
    qemu_refuse(error, VIREO_ERR_XML_DETAIL,
                "give it another name, or none: then it is the time",
                "'%s' is no name for a snapshot: it is empty, too long, begins with '.' or has a '/'",
               doc->name);
    return FALSE;
}

static VireoDomainSnapshotState shown_state(const QemuRequest *request, gboolean running)
{
    if (!request->active)
        return VIREO_DOMAIN_SNAPSHOT_STATE_SHUTOFF;
    if (request->memory == QEMU_SNAP_NO)
        return VIREO_DOMAIN_SNAPSHOT_STATE_DISK_SNAPSHOT;
    return running ? VIREO_DOMAIN_SNAPSHOT_STATE_RUNNING : VIREO_DOMAIN_SNAPSHOT_STATE_PAUSED;
}

static VireoDomainSnapshotLocation location(QemuSnapKind kind)
{
    static const VireoDomainSnapshotLocation locations[] = {
        [QEMU_SNAP_NO] = VIREO_DOMAIN_SNAPSHOT_LOCATION_NO,
        [QEMU_SNAP_INTERNAL] = VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL,
        [QEMU_SNAP_EXTERNAL] = VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL,
        [QEMU_SNAP_MANUAL] = VIREO_DOMAIN_SNAPSHOT_LOCATION_MANUAL,
    };

    return locations[kind];
}

static VireoDomainSnapshotDisk *describe_disk(const QemuSnapDisk *disk)
{
    VireoDomainSnapshotDisk *entry = g_new0(VireoDomainSnapshotDisk, 1);

    entry->name = g_strdup(disk->slot);
    entry->snapshot = location(disk->kind);
    if (disk->kind != QEMU_SNAP_EXTERNAL)
        return entry;
    entry->type = VIREO_DOMAIN_DISK_TYPE_FILE;
    entry->driver = g_new0(VireoDomainSnapshotDriver, 1);
    entry->driver->type = VIREO_DOMAIN_STORAGE_FORMAT_QCOW2;
    entry->source = g_new0(VireoDomainDiskSource, 1);
    entry->source->file = g_strdup(disk->overlay);
    return entry;
}

static void describe(QemuDomain *dom, VireoDomainSnapshot *doc, const QemuDef *machine,
                     const QemuRequest *request, gboolean running)
{
    g_autofree char *current = qemu_tree_current(dom->tree);
    g_autoptr(QemuDef) config = qemu_domain_config(dom);

    doc->state = shown_state(request, running);
    doc->creation_time = g_get_real_time() / G_USEC_PER_SEC;
    doc->has_creation_time = TRUE;
    g_clear_pointer(&doc->parent, vireo_domain_snapshot_parent_free);
    if (current) {
        doc->parent = g_new0(VireoDomainSnapshotParent, 1);
        doc->parent->name = g_strdup(current);
    }
    g_clear_pointer(&doc->memory, vireo_domain_snapshot_memory_free);
    doc->memory = g_new0(VireoDomainSnapshotMemory, 1);
    doc->memory->snapshot = location(request->memory);
    doc->memory->file = g_strdup(request->memory_file);
    g_clear_pointer(&doc->disks, vireo_domain_snapshot_disks_free);
    doc->disks = g_new0(VireoDomainSnapshotDisks, 1);
    for (guint i = 0; i < request->disks->len; i++)
        vireo_list_append(&doc->disks->disks,
                          describe_disk(&g_array_index(request->disks, QemuSnapDisk, i)));
    g_clear_pointer(&doc->domain, vireo_domain_free);
    g_clear_pointer(&doc->inactive_domain, vireo_domain_free);
    doc->domain = qemu_doc_inactive(machine->doc);
    if (request->active && config && !qemu_same_machine(config->doc, doc->domain))
        doc->inactive_domain = vireo_domain_copy(config->doc);
}

/* ---- taking it ----------------------------------------------------------------- */

static gboolean check_flags(QemuDomain *dom, guint flags, gboolean active, GError **error)
{
    const guint quiesce = VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE;

    if ((flags & VIREO_DOMAIN_SNAPSHOT_CREATE_HALT) && !dom->config) {
        qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                    "leave out HALT, or define the domain first",
                    "domain '%s' is transient: halted after the snapshot it would be gone, and the "
                    "snapshot with it", dom->name);
        return FALSE;
    }
    if ((flags & VIREO_DOMAIN_SNAPSHOT_CREATE_LIVE) && dom->state != VIREO_DOMAIN_RUNNING) {
        qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                    "leave out LIVE, or let it run first",
                    "flag LIVE cannot take effect: the guest of domain '%s' does not run now", dom->name);
        return FALSE;
    }
    if ((flags & quiesce) && (!active || dom->state != VIREO_DOMAIN_RUNNING)) {
        qemu_refuse(error, VIREO_ERR_OPERATION_INVALID,
                    "leave out QUIESCE, or let it run first",
                    "flag QUIESCE cannot take effect: the guest of domain '%s' does not run",
                   dom->name);
        return FALSE;
    }
    return TRUE;
}

/* A guest with a 'manual' disk stands still until its owner has copied that. */
static gboolean check_standing(const QemuRequest *request, int state, guint flags, GError **error)
{
    if ((flags & VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE) && request->kinds[QEMU_SNAP_MANUAL]) {
        qemu_refuse(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                    "leave out QUIESCE, or give the disk another kind of snapshot",
                    "flag QUIESCE cannot take effect: a guest with a 'manual' disk stands still, and "
                    "could not let go of its file systems");
        return FALSE;
    }
    if (state == VIREO_DOMAIN_PMSUSPENDED && request->memory != QEMU_SNAP_NO) {
        qemu_error(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                   "the guest is suspended, and would not be when its memory is loaded again: wake it first, or leave its "
                   "memory out (flag DISK_ONLY)");
        return FALSE;
    }
    if (!(flags & VIREO_DOMAIN_SNAPSHOT_CREATE_LIVE))
        return TRUE;
    if (request->memory == QEMU_SNAP_EXTERNAL && !request->kinds[QEMU_SNAP_MANUAL])
        return TRUE;
    qemu_refuse(error, VIREO_ERR_OPERATION_UNSUPPORTED,
                "leave out LIVE",
                request->memory == QEMU_SNAP_EXTERNAL
                   ? "flag LIVE cannot take effect: a guest with a 'manual' disk stands still"
               : request->memory == QEMU_SNAP_NO
                   ? "flag LIVE cannot take effect: no memory is saved, so the guest does not stop anyway"
                   : "flag LIVE takes effect only with memory in a file (<memory snapshot='external' file='...'/>)");
    return FALSE;
}

/* Every start of the guest opens all of a chain. */
static gboolean check_chains(QemuDomain *dom, const QemuGraph *graph, const QemuRequest *request,
                             GError **error)
{
    guint limit = (guint)dom->space->driver->config.chain_limit;

    for (guint i = 0; i < request->disks->len; i++) {
        const QemuSnapDisk *disk = &g_array_index(request->disks, QemuSnapDisk, i);
        const char *top = qemu_graph_held(graph, QEMU_HOLD_ACTIVE, "", disk->slot, NULL);
        guint depth = top ? qemu_graph_depth(graph, top) : 0;

        if (disk->kind != QEMU_SNAP_EXTERNAL || depth < limit)
            continue;
        qemu_error(error, VIREO_ERR_OPERATION_INVALID,
                   "disk '%s' of domain '%s' consists of %u images based on each other, and 'chain_limit' in "
                   "[snapshots] of qemu.conf allows %u: delete snapshots that are not needed any more "
                   "(snapshot-delete), or take this one inside the image (snapshot='internal')",
                   disk->slot, dom->name, depth, limit);
        return FALSE;
    }
    return TRUE;
}

static gboolean carry_out(QemuWork *work, const QemuRequest *request, const VireoDomain *machine,
                          guint flags, GError **error)
{
    gboolean forget = (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_NO_METADATA) != 0;
    g_auto(QemuSides) sides = { 0 };

    qemu_sides_taken(&sides, work->dom, work->keep, machine);
    QemuSnapRequest ask = { request->name,
                            (const QemuSnapDisk *)(void *)request->disks->data,
                            request->disks->len,
                            request->memory,
                            request->memory_file,
                            forget,
                            sides.files,
                            sides.n };
    QemuTake take = { .work = work,
                      .request = request,
                      .machine = machine,
                      .running = work->dom->state == VIREO_DOMAIN_RUNNING,
                      .quiesce = (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE) != 0,
                      .live = (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_LIVE) != 0 };

    work->given = forget ? request->name : NULL;
    if (!qemu_plan_create(work->after, work->plan, &ask, error))
        return FALSE;
    if (work->qmp) {
        work->before_by_hand = TRUE;
        work->middle = qemu_take_live;
        work->opaque = &take;
        work->goes_on = take.live;
        work->stops = take.running && !request->kinds[QEMU_SNAP_MANUAL];
        work->freezes = take.quiesce;
    }
    /* Noted before: whoever goes back to it must let the guest go on. */
    if (work->qmp && !work->tell && !forget)
        qemu_quiesce_note(work->dom, request->name, take.quiesce && request->memory != QEMU_SNAP_NO);
    gboolean done = qemu_work_run(work, error);
    if (!done && take.quiesce && !work->tell)
        qemu_quiesce_note(work->dom, request->name, FALSE);
    return done;
}

/* What carry_out does besides the plan. */
static void tell_guest(QemuTell *tell, QemuDomain *dom, const QemuRequest *request, guint flags)
{
    gboolean memory = request->memory != QEMU_SNAP_NO;

    if (!request->active)
        return;
    if (request->memory == QEMU_SNAP_INTERNAL)
        qemu_tell_step(tell, "memory", VIREO_PLAN_CHANGES, NULL, NULL, qemu_tell_memory(dom),
                       "write the guest's memory into its internal snapshot");
    if (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_HALT)
        qemu_tell_guest(tell, VIREO_PLAN_GUEST_STOPPED, -1);
    else if (request->kinds[QEMU_SNAP_MANUAL])
        qemu_tell_guest(tell, VIREO_PLAN_GUEST_PAUSED, -1);
    else
        qemu_tell_guest(tell, VIREO_PLAN_GUEST_PAUSED,
                        qemu_tell_pause(memory && !(flags & VIREO_DOMAIN_SNAPSHOT_CREATE_LIVE)
                                            ? qemu_tell_memory(dom) : 0));
}

static gboolean take(QemuDomain *dom, vireo_call *call, VireoDomainSnapshot *doc, guint flags,
                     QemuTell *tell, GError **error)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);
    g_autoptr(QemuDef) machine = live ? qemu_def_ref(live) : qemu_domain_current(dom);
    gboolean active = live != NULL, running = dom->state == VIREO_DOMAIN_RUNNING;
    g_autoptr(VireoQmp) qmp = active ? qemu_domain_monitor(dom, error) : NULL;
    g_autoptr(QemuSnap) known = qemu_tree_find(dom->tree, doc->name);

    if (active && !qmp)
        return FALSE;
    if (known) {
        qemu_refuse(error, VIREO_ERR_OPERATION_FAILED,
                    "another name; or snapshot-delete it first",
                    "domain '%s' already has a snapshot '%s'",
                   dom->name, doc->name);
        return FALSE;
    }
    g_autoptr(QemuRequest) request =
        check_flags(dom, flags, active, error)
            ? qemu_request_new(dom->space->driver, doc, machine->doc, flags, active, error)
            : NULL;
    if (!request || !check_standing(request, dom->state, flags, error))
        return FALSE;
    if ((flags & VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE) && !qemu_agent_connected(dom, error))
        return FALSE;
    describe(dom, doc, machine, request, running);
    if (!doc->domain) {
        qemu_error(error, VIREO_ERR_INTERNAL_ERROR,
                   "the definition of domain '%s' cannot be written down", dom->name);
        return FALSE;
    }
    if (!qemu_sides_describe(dom, doc, machine->doc, !(flags & VIREO_DOMAIN_SNAPSHOT_CREATE_NO_METADATA), error))
        return FALSE;
    /* One that was never started has the variables it will be started with. */
    if (doc->nvram && !tell && !qemu_nvram_prepare(dom, call, machine->doc, FALSE, error))
        return FALSE;
    if (doc->tpm && !tell && !qemu_tpm_prepare(dom, machine->doc, error))
        return FALSE;
    g_autoptr(GHashTable) reused = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < request->texts->len; i++)
        g_hash_table_add(reused, request->texts->pdata[i]);
    /* Who else may need what is there makes no difference to what is put on top; except to a file that is there already. */
    gboolean only_adds = !request->reuse && !tell;
    g_autoptr(QemuGraph) graph =
        only_adds ? qemu_engine_present(dom, machine->doc, request->kinds[QEMU_SNAP_INTERNAL] > 0, error)
                  : qemu_engine_graph(dom, machine->doc, reused, error);
    g_autoptr(QemuPlan) plan = qemu_plan_new();
    QemuWork work = { .dom = dom, .call = call, .qmp = qmp, .plan = plan, .after = graph,
                      .only_adds = only_adds, .keep = doc, .tell = tell };
    if (tell)
        tell_guest(tell, dom, request, flags);
    return graph && check_chains(dom, graph, request, error) &&
           carry_out(&work, request, machine->doc, flags, error);
}

static gboolean redefine(QemuDomain *dom, VireoDomainSnapshot *doc, guint flags, QemuTell *tell,
                         GError **error)
{
    QemuSnap *snap = qemu_snapshot_redefine(dom, doc, flags, error);

    if (snap && tell) {
        qemu_tell_step(tell, "keep", VIREO_PLAN_RECORDS, NULL, NULL, 0, "remember snapshot '%s'",
                       snap->doc->name);
        qemu_snap_unref(snap);
        return TRUE;
    }
    g_autofree char *name = snap ? g_strdup(snap->doc->name) : NULL;

    return snap && qemu_tree_put(dom, snap, error) && qemu_files_take_back(dom, name, error) &&
           (!(flags & VIREO_DOMAIN_SNAPSHOT_CREATE_CURRENT) ||
            qemu_tree_set_current(dom, name, error));
}

int qemu_snapshot_create(QemuConn *conn, vireo_call *call,
                         const vireo_domain_snapshot_create_xml_args *args,
                         vireo_domain_snapshot_create_xml_ret *ret, vireo_plan *told)
{
    const struct vireo_host *host = conn->driver->host;
    gboolean again = (args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_REDEFINE) != 0;
    g_autoptr(GError) error = NULL;
    g_autoptr(QemuDomainJob) dom = qemu_domain_begin(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(VireoDomainSnapshot) doc = vireo_domain_snapshot_parse(
        args->xml_desc,
        args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0,
        &error);
    if (!doc || ((!again || doc->name) && !check_name(dom, doc, &error)) ||
        (!again && !qemu_blockjobs_none(dom, NULL, &error)))
        return qemu_fail(conn->driver, call, error);
    g_autoptr(QemuTell) tell = told ? qemu_tell_new(dom, call) : NULL;
    char *name = host->strdup(call, doc->name ? doc->name : "");
    if (!again)
        qemu_reap_for(dom, call, doc);
    gboolean done = again ? redefine(dom, g_steal_pointer(&doc), args->flags, tell, &error)
                          : take(dom, call, doc, args->flags, tell, &error);
    if (!done)
        return qemu_fail(conn->driver, call, error);
    if (tell) {
        qemu_tell_fill(tell, told);
        return VIREO_OK;
    }
    qemu_tree_publish(dom);
    if (args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_HALT)
        qemu_process_kill(dom, VIREO_DOMAIN_SHUTOFF_FROM_SNAPSHOT);
    ret->snap.name = name;
    qemu_domain_fill_ref(dom, call, &ret->snap.dom);
    return VIREO_OK;
}
