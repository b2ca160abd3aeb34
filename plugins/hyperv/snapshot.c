/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checkpoints as snapshots. They are the server's alone: nothing about them is kept here. */
#include "ops.h"

#include <string.h>

#include "kit/document.h"

#define SERVICE "Msvm_VirtualSystemSnapshotService"
#define CLASS   "Msvm_VirtualSystemSettingData"
#define FULL    2 /* SnapshotType: the settings, the disks, and the memory of one that runs */

/* What is known now of the machine that a call means; *snapshot belongs to it. Where there is an error, it may be NULL. */
static HypervMachine *find(HypervTalk *talk, HypervConn *conn, vireo_call *call, const vireo_domain_snapshot_ref *ref,
                           const HypervSnapshot **snapshot)
{
    g_autoptr(HypervMachine) known = hyperv_begin(talk, conn, call, &ref->dom);

    if (!known)
        return NULL;
    hyperv_inventory_read(talk, known->guid, FALSE);
    HypervMachine *machine = hyperv_machine_find(conn->server, ref->dom.uuid);
    *snapshot = machine ? hyperv_snapshot_named(machine, ref->name) : NULL;
    if (!*snapshot)
        hyperv_talk_refuse(talk, VIREO_ERR_NO_DOMAIN_SNAPSHOT, "domain '%s' has no snapshot '%s'", known->name, ref->name);
    return machine ? machine : g_steal_pointer(&known);
}

/* ---- create -------------------------------------------------------------------------- */

static void set_words(HypervTalk *talk, const char *id, const char *name, const char *description)
{
    g_autoptr(VireoCim) settings = hyperv_settings_of(id);

    vireo_cim_add(settings, "ElementName", NULL, name);
    hyperv_settings_put_notes(settings, description);
    hyperv_settings_apply(talk, settings);
}

static gboolean acceptable(HypervTalk *talk, const VireoDomainSnapshot *doc, gboolean runs)
{
    if (doc->disks && doc->disks->disks.n)
        hyperv_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                           "domainsnapshot.disks: a snapshot is of all disks, and Hyper-V names its files");
    else if (doc->memory && (doc->memory->file || doc->memory->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL))
        hyperv_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                           "domainsnapshot.memory: Hyper-V keeps the memory with the snapshot");
    else if (runs && doc->memory && doc->memory->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_NO)
        hyperv_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                           "domainsnapshot.memory: a running machine's snapshot is taken with its memory");
    return talk->error == NULL;
}

/* The name is given afterwards: there is no argument for it. */
static void take_snapshot(HypervTalk *talk, const HypervMachine *machine, const VireoDomainSnapshot *doc, const char *name)
{
    VireoCim *args = vireo_cim_new("");
    const VireoCim *made = NULL;

    if (hyperv_snapshot_named(machine, name))
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' has a snapshot '%s' already", machine->name,
                           name);
    acceptable(talk, doc, hyperv_state_is_active(machine->state));
    vireo_cim_add_path(args, "AffectedSystem", hyperv_machine_path(talk, machine->guid));
    vireo_cim_add(args, "SnapshotSettings", NULL, "");
    vireo_cim_add_number(args, "SnapshotType", "uint16", FULL);
    hyperv_invoke_made(talk, hyperv_service(talk, SERVICE), "CreateSnapshot", args, "ResultingSnapshot", CLASS, &made);
    if (!talk->error)
        set_words(talk, vireo_cim_string(made, "InstanceID"), name, doc->description);
}

/* ---- redefine: another name or description --------------------------------------------- */

static const char *parent_of(const HypervMachine *machine, const HypervSnapshot *snapshot)
{
    const HypervSnapshot *parent = snapshot->parent ? hyperv_snapshot_with(machine, snapshot->parent) : NULL;

    return parent ? parent->name : NULL;
}

static VireoDomainSnapshotState state_of(const HypervSnapshot *snapshot)
{
    return snapshot->online ? VIREO_DOMAIN_SNAPSHOT_STATE_RUNNING : VIREO_DOMAIN_SNAPSHOT_STATE_SHUTOFF;
}

/* Whether the document is that of this snapshot, but for what lets itself be changed. */
static gboolean describes(const VireoDomainSnapshot *doc, const HypervMachine *machine, const HypervSnapshot *snapshot)
{
    return doc->has_creation_time && doc->creation_time == snapshot->created && doc->state == state_of(snapshot) &&
           g_strcmp0(doc->parent ? doc->parent->name : NULL, parent_of(machine, snapshot)) == 0;
}

static const HypervSnapshot *described(HypervTalk *talk, const VireoDomainSnapshot *doc, const HypervMachine *machine)
{
    const HypervSnapshot *named = hyperv_snapshot_named(machine, doc->name), *found = NULL;
    guint n = 0;

    for (guint i = 0; i < machine->snapshots->len; i++)
        if (describes(doc, machine, machine->snapshots->pdata[i]) && n++ == 0)
            found = machine->snapshots->pdata[i];
    if (named && !describes(doc, machine, named))
        hyperv_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                           "snapshot '%s': its name and description can be changed, not its parent, state or creationTime",
                           named->name);
    else if (!named && n != 1)
        hyperv_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                           "domain '%s' has %u snapshots with this parent, state and creationTime: one can be redefined "
                           "under its name, or renamed when there is no other like it; none can be added",
                           machine->name, n);
    return named ? named : found;
}

static void redefine(HypervTalk *talk, const HypervMachine *machine, const VireoDomainSnapshot *doc, gboolean current)
{
    if (!doc->name)
        hyperv_talk_refuse(talk, VIREO_ERR_XML_ERROR, "a snapshot that is redefined has a <name>");
    if (doc->domain && doc->domain->has_uuid && memcmp(doc->domain->uuid, machine->uuid, 16) != 0)
        hyperv_talk_refuse(talk, VIREO_ERR_INVALID_ARG, "the snapshot '%s' is of another domain", doc->name);
    const HypervSnapshot *snapshot = talk->error ? NULL : described(talk, doc, machine);
    if (!snapshot || talk->error)
        return;
    if (current && !snapshot->current)
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_UNSUPPORTED,
                           "snapshot '%s' becomes the current one by reverting to it", snapshot->name);
    if (acceptable(talk, doc, snapshot->online))
        set_words(talk, snapshot->id, doc->name, doc->description);
}

int hyperv_domain_snapshot_create_xml(void *handle, vireo_call *call,
                                      const vireo_domain_snapshot_create_xml_args *args,
                                      vireo_domain_snapshot_create_xml_ret *ret)
{
    HypervConn *conn = handle;
    guint how = args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0;
    GError *error = NULL;
    VireoDomainSnapshot *doc = vireo_domain_snapshot_parse(args->xml_desc, how, &error);
    HypervTalk talk;

    if (!doc)
        return hyperv_fail(conn->driver, call, error);
    g_autofree char *name =
        doc->name ? g_strdup(doc->name) : g_strdup_printf("%" G_GINT64_FORMAT, g_get_real_time() / G_USEC_PER_SEC);
    g_autoptr(HypervMachine) known = hyperv_begin(&talk, conn, call, &args->dom);
    if (known) {
        hyperv_inventory_read(&talk, known->guid, FALSE); /* what others have taken just now */
        g_autoptr(HypervMachine) now = hyperv_machine_find(conn->server, args->dom.uuid);
        const HypervMachine *machine = now ? now : known;

        if (args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_REDEFINE)
            redefine(&talk, machine, doc, (args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_CURRENT) != 0);
        else
            take_snapshot(&talk, machine, doc, name);
        hyperv_inventory_read(&talk, known->guid, FALSE);
    }
    vireo_domain_snapshot_free(doc);
    ret->snap.name = conn->driver->host->strdup(call, name);
    ret->snap.dom = hyperv_machine_dom(conn, call, &args->dom);
    return known ? hyperv_talk_finish(&talk, call) : VIREO_FAIL;
}

/* ---- describe ------------------------------------------------------------------------ */

int hyperv_domain_snapshot_get_xml_desc(void *handle, vireo_call *call,
                                        const vireo_domain_snapshot_get_xml_desc_args *args,
                                        vireo_domain_snapshot_get_xml_desc_ret *ret)
{
    HypervConn *conn = handle;
    g_autoptr(HypervMachine) machine = hyperv_machine_find(conn->server, args->snap.dom.uuid);
    const HypervSnapshot *snapshot = machine ? hyperv_snapshot_named(machine, args->snap.name) : NULL;

    if (!snapshot)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN_SNAPSHOT, "domain '%s' has no snapshot '%s'",
                                        args->snap.dom.name, args->snap.name);
    VireoPlainSnapshot plain = {
        .name = snapshot->name,
        .description = snapshot->description,
        .parent = parent_of(machine, snapshot),
        .state = state_of(snapshot),
        .created = snapshot->created,
        .domain = machine->name,
        .type = VIREO_DOMAIN_VIRT_HYPERV,
    };
    memcpy(plain.uuid, machine->uuid, sizeof plain.uuid);
    g_autofree char *text = vireo_plain_snapshot_format(&plain);
    ret->xml = conn->driver->host->strdup(call, text);
    return VIREO_OK;
}

/* ---- revert -------------------------------------------------------------------------- */

int hyperv_domain_revert_to_snapshot(void *handle, vireo_call *call, const vireo_domain_revert_to_snapshot_args *args)
{
    HypervConn *conn = handle;
    const HypervSnapshot *snapshot = NULL;
    gboolean pause = (args->flags & VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED) != 0;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = find(&talk, conn, call, &args->snap, &snapshot);

    if (!machine)
        return VIREO_FAIL;
    if (!talk.error && hyperv_state_is_active(machine->state)) {
        vireo_machines_expect(conn->server->machines, machine->uuid, VIREO_DOMAIN_SHUTOFF_FROM_SNAPSHOT);
        hyperv_machine_request(&talk, machine->guid, 3);
    }
    if (!talk.error)
        hyperv_invoke(&talk, hyperv_service(&talk, SERVICE), "ApplySnapshot",
                      vireo_cim_add_path(vireo_cim_new(""), "Snapshot", hyperv_at(&talk, CLASS, snapshot->id)));
    if (!talk.error && (snapshot->online || pause || (args->flags & VIREO_DOMAIN_SNAPSHOT_REVERT_RUNNING)))
        hyperv_machine_request(&talk, machine->guid, 2);
    if (!talk.error && pause)
        hyperv_machine_request(&talk, machine->guid, 9);
    hyperv_inventory_read(&talk, machine->guid, FALSE);
    return hyperv_talk_finish(&talk, call);
}

/* ---- delete -------------------------------------------------------------------------- */

static gboolean is_below(const HypervMachine *machine, const HypervSnapshot *one, const HypervSnapshot *above)
{
    while (one->parent && (one = hyperv_snapshot_with(machine, one->parent)))
        if (one == above)
            return TRUE;
    return FALSE;
}

static void destroy(HypervTalk *talk, const char *method, const char *argument, const HypervSnapshot *snapshot)
{
    hyperv_invoke(talk, hyperv_service(talk, SERVICE), method,
                  vireo_cim_add_path(vireo_cim_new(""), argument, hyperv_at(talk, CLASS, snapshot->id)));
}

int hyperv_domain_snapshot_delete(void *handle, vireo_call *call, const vireo_domain_snapshot_delete_args *args)
{
    HypervConn *conn = handle;
    const HypervSnapshot *snapshot = NULL;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = find(&talk, conn, call, &args->snap, &snapshot);

    if (!machine)
        return VIREO_FAIL;
    if (talk.error)
        return hyperv_talk_finish(&talk, call);
    if (args->flags & VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN)
        destroy(&talk, "DestroySnapshotTree", "SnapshotSettingData", snapshot);
    else if (args->flags & VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY) {
        /* Parents stand before their children: backwards, every one has none left when its turn comes. */
        for (guint i = machine->snapshots->len; i > 0; i--)
            if (is_below(machine, machine->snapshots->pdata[i - 1], snapshot))
                destroy(&talk, "DestroySnapshot", "AffectedSnapshot", machine->snapshots->pdata[i - 1]);
    } else
        destroy(&talk, "DestroySnapshot", "AffectedSnapshot", snapshot);
    hyperv_inventory_read(&talk, machine->guid, FALSE);
    return hyperv_talk_finish(&talk, call);
}
