/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots are the server's alone: nothing about them is kept here. To the server they are named by their UUIDs. */
#include "ops.h"

#include <string.h>

#include "kit/document.h"

static const VboxSnapshot *snapshot_named(const VboxMachine *machine, const char *name)
{
    for (guint i = 0; i < machine->snapshots->len; i++)
        if (g_str_equal(((VboxSnapshot *)machine->snapshots->pdata[i])->name, name))
            return machine->snapshots->pdata[i];
    return NULL;
}

/* *snapshot belongs to the machine that is returned. NULL: failed. */
static VboxMachine *find(VboxConn *conn, vireo_call *call, const vireo_domain_snapshot_ref *ref,
                         const VboxSnapshot **snapshot)
{
    g_autoptr(VboxMachine) machine = vbox_machine_find(conn->server, ref->dom.uuid);

    *snapshot = machine ? snapshot_named(machine, ref->name) : NULL;
    if (!machine)
        conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", ref->dom.name);
    else if (!*snapshot)
        conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN_SNAPSHOT, "domain '%s' has no snapshot '%s'", machine->name,
                                 ref->name);
    return *snapshot ? g_steal_pointer(&machine) : NULL;
}

/* ---- create -------------------------------------------------------------------------- */

static gboolean acceptable(VboxTalk *talk, const VireoDomainSnapshot *doc, gboolean runs)
{
    if (doc->disks && doc->disks->disks.n)
        vbox_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                         "domainsnapshot.disks: a snapshot is of all disks, and VirtualBox names its files");
    else if (doc->memory && (doc->memory->file || doc->memory->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL))
        vbox_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                         "domainsnapshot.memory: VirtualBox keeps the memory with the snapshot");
    else if (runs && doc->memory && doc->memory->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_NO)
        vbox_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                         "domainsnapshot.memory: VirtualBox takes a running machine's snapshot with its memory");
    return talk->error == NULL;
}

static void take_snapshot(VboxTalk *talk, vireo_call *call, const guint8 uuid[16], const VireoDomainSnapshot *doc,
                          const char *name, gboolean live)
{
    const char *machine = vbox_machine_ref(talk, uuid);
    VboxHold hold;

    /* Nobody here may have seen yet what others have taken just now. */
    vbox_inventory_read(talk, uuid);
    g_autoptr(VboxMachine) known = vbox_machine_find(talk->server, uuid);
    if (known && snapshot_named(known, name))
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' has a snapshot '%s' already", known->name,
                         name);
    if (talk->error || !known || !acceptable(talk, doc, vbox_state_is_active(known->state)) ||
        !vbox_hold(talk, machine, &hold))
        return;
    const char *progress = VBOX_CALL(talk, i_machine_take_snapshot, ._this = hold.machine, .name = name,
                                     .description = doc->description ? doc->description : "", .pause = !live)
                               ->returnval;
    if (!talk->error)
        vbox_talk_follow(talk, call, progress);
    vbox_let_go(talk, &hold);
    vbox_inventory_read(talk, uuid);
}

/* ---- redefine -------------------------------------------------------------------------- */

static const char *parent_of(const VboxMachine *machine, const VboxSnapshot *snapshot)
{
    return snapshot->parent < 0 ? NULL : ((VboxSnapshot *)machine->snapshots->pdata[snapshot->parent])->name;
}

static VireoDomainSnapshotState state_of(const VboxSnapshot *snapshot)
{
    return snapshot->online ? VIREO_DOMAIN_SNAPSHOT_STATE_RUNNING : VIREO_DOMAIN_SNAPSHOT_STATE_SHUTOFF;
}

/* Whether the document is that of this snapshot, but for what VirtualBox lets change. */
static gboolean describes(const VireoDomainSnapshot *doc, const VboxMachine *machine, const VboxSnapshot *snapshot)
{
    return doc->has_creation_time && doc->creation_time == snapshot->created && doc->state == state_of(snapshot) &&
           g_strcmp0(doc->parent ? doc->parent->name : NULL, parent_of(machine, snapshot)) == 0;
}

/* The one that the document is of. With another name that is a renaming, when there is no doubt whose. */
static const VboxSnapshot *described(VboxTalk *talk, const VireoDomainSnapshot *doc, const VboxMachine *machine)
{
    const VboxSnapshot *named = doc->name ? snapshot_named(machine, doc->name) : NULL, *found = NULL;
    guint n = 0;

    for (guint i = 0; i < machine->snapshots->len; i++)
        if (describes(doc, machine, machine->snapshots->pdata[i]) && n++ == 0)
            found = machine->snapshots->pdata[i];
    if (named && !describes(doc, machine, named))
        vbox_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                         "snapshot '%s': VirtualBox changes its name and description only, not its parent, state or "
                         "creationTime",
                         named->name);
    else if (!named && n != 1)
        vbox_talk_refuse(talk, VIREO_ERR_CONFIG_UNSUPPORTED,
                         "domain '%s' has %u snapshots with this parent, state and creationTime: one can be redefined "
                         "under its name, or renamed when there is no other like it; none can be added",
                         machine->name, n);
    return named ? named : found;
}

static void redefine(VboxTalk *talk, const guint8 uuid[16], const VireoDomainSnapshot *doc, gboolean current)
{
    if (!doc->name)
        vbox_talk_refuse(talk, VIREO_ERR_XML_ERROR, "a snapshot that is redefined has a <name>");
    if (doc->domain && doc->domain->has_uuid && memcmp(doc->domain->uuid, uuid, 16) != 0)
        vbox_talk_refuse(talk, VIREO_ERR_INVALID_ARG, "the snapshot '%s' is of another domain", doc->name);
    vbox_inventory_read(talk, uuid);
    g_autoptr(VboxMachine) known = vbox_machine_find(talk->server, uuid);
    const VboxSnapshot *snapshot = known ? described(talk, doc, known) : NULL;

    if (snapshot && current && !snapshot->current)
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_UNSUPPORTED,
                         "snapshot '%s' becomes the current one by reverting to it", snapshot->name);
    if (talk->error || !snapshot || !acceptable(talk, doc, snapshot->online))
        return;
    if (!g_str_equal(snapshot->name, doc->name))
        VBOX_CALL(talk, i_snapshot_set_name, ._this = snapshot->ref, .name = doc->name);
    if (g_strcmp0(snapshot->description, doc->description ? doc->description : "") != 0)
        VBOX_CALL(talk, i_snapshot_set_description, ._this = snapshot->ref,
                  .description = doc->description ? doc->description : "");
    vbox_inventory_read(talk, uuid);
}

int vbox_domain_snapshot_create_xml(void *handle, vireo_call *call, const vireo_domain_snapshot_create_xml_args *args,
                                    vireo_domain_snapshot_create_xml_ret *ret)
{
    VboxConn *conn = handle;
    guint how = args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0;
    GError *error = NULL;
    VireoDomainSnapshot *doc = vireo_domain_snapshot_parse(args->xml_desc, how, &error);
    VboxTalk talk;

    if (!doc)
        return vbox_fail(conn->driver, call, error);
    g_autofree char *name =
        doc->name ? g_strdup(doc->name) : g_strdup_printf("%" G_GINT64_FORMAT, g_get_real_time() / G_USEC_PER_SEC);
    vbox_begin(&talk, conn, call);
    if (args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_REDEFINE)
        redefine(&talk, args->dom.uuid, doc, (args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_CURRENT) != 0);
    else
        take_snapshot(&talk, call, args->dom.uuid, doc, name, (args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_LIVE) != 0);
    vireo_domain_snapshot_free(doc);
    ret->snap.name = conn->driver->host->strdup(call, name);
    ret->snap.dom = vbox_machine_dom(conn, call, &args->dom);
    return vbox_talk_finish(&talk, call);
}

/* ---- describe ------------------------------------------------------------------------ */

int vbox_domain_snapshot_get_xml_desc(void *handle, vireo_call *call,
                                      const vireo_domain_snapshot_get_xml_desc_args *args,
                                      vireo_domain_snapshot_get_xml_desc_ret *ret)
{
    VboxConn *conn = handle;
    const VboxSnapshot *snapshot;
    g_autoptr(VboxMachine) machine = find(conn, call, &args->snap, &snapshot);

    if (!machine)
        return VIREO_FAIL;
    VireoPlainSnapshot plain = {
        .name = snapshot->name,
        .description = snapshot->description,
        .parent = parent_of(machine, snapshot),
        .state = state_of(snapshot),
        .created = snapshot->created,
        .domain = machine->name,
        .type = VIREO_DOMAIN_VIRT_VBOX,
    };
    memcpy(plain.uuid, machine->uuid, sizeof plain.uuid);
    g_autofree char *text = vireo_plain_snapshot_format(&plain);
    ret->xml = conn->driver->host->strdup(call, text);
    return VIREO_OK;
}

/* ---- revert -------------------------------------------------------------------------- */

/* VirtualBox puts back only what is off, and what had memory is then off with its state saved. */
void vbox_snapshot_restore(VboxTalk *talk, vireo_call *call, const char *machine, const VboxSnapshot *snapshot)
{
    VboxHold hold;

    if (talk->error || !vbox_hold(talk, machine, &hold))
        return;
    const char *object =
        VBOX_CALL(talk, i_machine_find_snapshot, ._this = hold.machine, .name_or_id = snapshot->id)->returnval;
    const char *progress =
        VBOX_CALL(talk, i_machine_restore_snapshot, ._this = hold.machine, .snapshot = object)->returnval;
    if (!talk->error)
        vbox_talk_follow(talk, call, progress);
    vbox_let_go(talk, &hold);
}

static void on_console(VboxTalk *talk, vireo_call *call, const char *machine, gboolean down)
{
    VboxHold hold;

    if (talk->error || !vbox_hold(talk, machine, &hold))
        return;
    if (down)
        vbox_talk_follow(talk, call, VBOX_GET(talk, i_console_power_down, hold.console));
    else
        VBOX_CALL(talk, i_console_pause, ._this = hold.console);
    vbox_let_go(talk, &hold);
}

int vbox_domain_revert_to_snapshot(void *handle, vireo_call *call, const vireo_domain_revert_to_snapshot_args *args)
{
    VboxConn *conn = handle;
    const guint8 *uuid = args->snap.dom.uuid;
    const VboxSnapshot *snapshot;
    g_autoptr(VboxMachine) known = find(conn, call, &args->snap, &snapshot);
    gboolean wants_paused = (args->flags & VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED) != 0;
    VboxTalk talk;

    if (!known)
        return VIREO_FAIL;
    vbox_begin(&talk, conn, call);
    const char *machine = vbox_machine_ref(&talk, uuid);
    if (vbox_state_is_active(VBOX_GET(&talk, i_machine_get_state, machine))) {
        vireo_machines_expect(conn->server->machines, uuid, VIREO_DOMAIN_SHUTOFF_FROM_SNAPSHOT);
        on_console(&talk, call, machine, TRUE);
    }
    vbox_snapshot_restore(&talk, call, machine, snapshot);
    if (!talk.error && (snapshot->online || (args->flags & VIREO_DOMAIN_SNAPSHOT_REVERT_RUNNING) || wants_paused))
        vbox_machine_start(&talk, call, uuid);
    if (!talk.error && wants_paused && VBOX_GET(&talk, i_machine_get_state, machine) == VW_MACHINE_STATE_RUNNING)
        on_console(&talk, call, machine, FALSE);
    vbox_inventory_read(&talk, uuid);
    return vbox_talk_finish(&talk, call);
}

/* ---- delete -------------------------------------------------------------------------- */

/* Their names, for people: "'b', 'd'". Caller frees. */
static char *children_of(const VboxMachine *machine, const VboxSnapshot *snapshot, guint *n)
{
    GString *names = g_string_new(NULL);

    *n = 0;
    for (guint i = 0; i < machine->snapshots->len; i++) {
        const VboxSnapshot *one = machine->snapshots->pdata[i];

        if (one->parent >= 0 && machine->snapshots->pdata[one->parent] == snapshot)
            g_string_append_printf(names, "%s'%s'", (*n)++ ? ", " : "", one->name);
    }
    return g_string_free(names, FALSE);
}

/* What VirtualBox would refuse: one thing can be done about it here, and of the other it is said what can be done. */
static void make_deletable(VboxTalk *talk, vireo_call *call, const VboxMachine *machine, const VboxSnapshot *snapshot)
{
    guint n;
    g_autofree char *names = children_of(machine, snapshot, &n);

    if (n > 1)
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID,
                         "snapshot '%s' has %u children (%s), and VirtualBox can merge its disks into one only: delete it "
                         "with CHILDREN, or all but one of them first",
                         snapshot->name, n, names);
    else if (n == 1 && snapshot->current)
        vbox_reparent(talk, call, machine, snapshot);
}

static gboolean is_below(const VboxMachine *machine, guint index, const VboxSnapshot *above)
{
    int at = (int)index;

    do
        at = ((VboxSnapshot *)machine->snapshots->pdata[at])->parent;
    while (at >= 0 && machine->snapshots->pdata[at] != above);
    return at >= 0;
}

static void delete_one(VboxTalk *talk, vireo_call *call, const char *machine, const VboxSnapshot *snapshot)
{
    VboxHold hold;

    if (talk->error || !vbox_hold(talk, machine, &hold))
        return;
    const char *progress =
        VBOX_CALL(talk, i_machine_delete_snapshot, ._this = hold.machine, .id = snapshot->id)->returnval;
    if (!talk->error)
        vbox_talk_follow(talk, call, progress);
    vbox_let_go(talk, &hold);
}

int vbox_domain_snapshot_delete(void *handle, vireo_call *call, const vireo_domain_snapshot_delete_args *args)
{
    VboxConn *conn = handle;
    const VboxSnapshot *snapshot;
    gboolean below =
        (args->flags & (VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN | VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY)) != 0;
    gboolean itself = !(args->flags & VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY);
    GError *error = NULL;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    vbox_inventory_read(&talk, args->snap.dom.uuid);
    g_autoptr(VboxMachine) known = talk.error ? NULL : find(conn, call, &args->snap, &snapshot);
    if (!known) {
        gboolean told = vbox_talk_end(&talk, &error);
        return told ? VIREO_FAIL : vbox_fail(conn->driver, call, error);
    }
    const char *machine = vbox_machine_ref(&talk, args->snap.dom.uuid);
    if (!below)
        make_deletable(&talk, call, known, snapshot);
    /* Parents stand before their children: backwards, every one has none left when its turn comes. */
    for (guint i = known->snapshots->len; below && i > 0; i--)
        if (is_below(known, i - 1, snapshot))
            delete_one(&talk, call, machine, known->snapshots->pdata[i - 1]);
    if (itself)
        delete_one(&talk, call, machine, snapshot);
    vbox_inventory_read(&talk, args->snap.dom.uuid);
    return vbox_talk_finish(&talk, call);
}
