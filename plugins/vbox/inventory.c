/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machines of a server: read one by one, and published. */
#include "driver.h"

#include <string.h>

#define OBJECT_NOT_FOUND 0x80bb0001u

/* ---- states -------------------------------------------------------------------------- */

/* Of what lasts only while something is done, the state it is done in: nobody takes a snapshot for a start. */
int vbox_state_of(VwMachineState state)
{
    switch (state) {
    case VW_MACHINE_STATE_RUNNING:
    case VW_MACHINE_STATE_LIVE_SNAPSHOTTING:
    case VW_MACHINE_STATE_DELETING_SNAPSHOT_ONLINE:
    case VW_MACHINE_STATE_TELEPORTING:
        return VIREO_DOMAIN_RUNNING;
    case VW_MACHINE_STATE_STUCK:
        return VIREO_DOMAIN_BLOCKED;
    case VW_MACHINE_STATE_PAUSED:
    case VW_MACHINE_STATE_ONLINE_SNAPSHOTTING:
    case VW_MACHINE_STATE_DELETING_SNAPSHOT_PAUSED:
    case VW_MACHINE_STATE_TELEPORTING_PAUSED_VM:
    case VW_MACHINE_STATE_SAVING:
        return VIREO_DOMAIN_PAUSED;
    case VW_MACHINE_STATE_STOPPING:
        return VIREO_DOMAIN_SHUTDOWN;
    case VW_MACHINE_STATE_ABORTED:
        return VIREO_DOMAIN_CRASHED;
    case VW_MACHINE_STATE_POWERED_OFF:
    case VW_MACHINE_STATE_SAVED:
    case VW_MACHINE_STATE_ABORTED_SAVED:
    case VW_MACHINE_STATE_TELEPORTED:
    case VW_MACHINE_STATE_STARTING:
    case VW_MACHINE_STATE_RESTORING:
    case VW_MACHINE_STATE_TELEPORTING_IN:
    case VW_MACHINE_STATE_RESTORING_SNAPSHOT:
    case VW_MACHINE_STATE_DELETING_SNAPSHOT:
    case VW_MACHINE_STATE_SETTING_UP:
    case VW_MACHINE_STATE_SNAPSHOTTING:
        return VIREO_DOMAIN_SHUTOFF;
    default:
        return VIREO_DOMAIN_NOSTATE;
    }
}

gboolean vbox_state_is_active(VwMachineState state)
{
    int shown = vbox_state_of(state);

    return shown != VIREO_DOMAIN_SHUTOFF && shown != VIREO_DOMAIN_CRASHED && shown != VIREO_DOMAIN_NOSTATE;
}

static int reason_of(const VboxMachine *machine, VwMachineState before, int expected)
{
    gboolean was_active = before && vbox_state_is_active(before), was_saved = before == VW_MACHINE_STATE_RESTORING;

    switch (vbox_state_of(machine->state)) {
    case VIREO_DOMAIN_RUNNING:
        return was_active  ? VIREO_DOMAIN_RUNNING_UNPAUSED
               : was_saved ? VIREO_DOMAIN_RUNNING_RESTORED
               : before    ? VIREO_DOMAIN_RUNNING_BOOTED
                           : VIREO_DOMAIN_RUNNING_UNKNOWN;
    case VIREO_DOMAIN_PAUSED:
        return machine->state == VW_MACHINE_STATE_SAVING                ? VIREO_DOMAIN_PAUSED_SAVE
               : machine->state == VW_MACHINE_STATE_ONLINE_SNAPSHOTTING ? VIREO_DOMAIN_PAUSED_SNAPSHOT
               : before                                                 ? VIREO_DOMAIN_PAUSED_USER
                                                                        : VIREO_DOMAIN_PAUSED_UNKNOWN;
    case VIREO_DOMAIN_SHUTDOWN:
        return VIREO_DOMAIN_SHUTDOWN_USER;
    case VIREO_DOMAIN_CRASHED:
        return VIREO_DOMAIN_CRASHED_UNKNOWN;
    case VIREO_DOMAIN_SHUTOFF:
        return machine->state == VW_MACHINE_STATE_SAVED ? VIREO_DOMAIN_SHUTOFF_SAVED
               : expected                               ? expected
               : was_active                             ? VIREO_DOMAIN_SHUTOFF_SHUTDOWN
                                                        : VIREO_DOMAIN_SHUTOFF_UNKNOWN;
    default:
        return 0;
    }
}

/* ---- snapshots ----------------------------------------------------------------------- */

static void snapshot_free(gpointer opaque)
{
    VboxSnapshot *snapshot = opaque;

    g_free(snapshot->ref);
    g_free(snapshot->id);
    g_free(snapshot->name);
    g_free(snapshot->description);
    g_free(snapshot);
}

static const VboxSnapshot *snapshot_with(const GPtrArray *snapshots, const char *name, const char *ref)
{
    for (guint i = 0; i < snapshots->len; i++) {
        const VboxSnapshot *snapshot = snapshots->pdata[i];

        if ((name && g_str_equal(snapshot->name, name)) || (ref && g_str_equal(snapshot->ref, ref)))
            return snapshot;
    }
    return NULL;
}

/* VirtualBox takes any name any number of times, also an empty one. */
static char *unique_name(const GPtrArray *snapshots, const char *name, const char *id)
{
    if (*name && !snapshot_with(snapshots, name, NULL))
        return g_strdup(name);
    return *name ? g_strdup_printf("%s (%s)", name, id) : g_strdup(id);
}

/* Breadth first, so that parents come before their children without recursion: trees may be deep. */
static GPtrArray *read_snapshots(VboxTalk *talk, const char *machine)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(snapshot_free);
    const char *current = VBOX_GET(talk, i_machine_get_current_snapshot, machine);

    if (*current) {
        VboxSnapshot *root = g_new0(VboxSnapshot, 1);

        root->ref = g_strdup(VBOX_CALL(talk, i_machine_find_snapshot, ._this = machine, .name_or_id = "")->returnval);
        root->name = g_strdup("");
        root->parent = -1;
        g_ptr_array_add(all, root);
    }
    for (guint i = 0; !talk->error && i < all->len; i++) {
        VboxSnapshot *snapshot = all->pdata[i];
        const vw_i_snapshot_get_children_ret *children =
            VBOX_CALL(talk, i_snapshot_get_children, ._this = snapshot->ref);

        snapshot->id = g_strdup(VBOX_GET(talk, i_snapshot_get_id, snapshot->ref));
        char *name = unique_name(all, VBOX_GET(talk, i_snapshot_get_name, snapshot->ref), snapshot->id);
        g_free(snapshot->name);
        snapshot->name = name;
        snapshot->description = g_strdup(VBOX_GET(talk, i_snapshot_get_description, snapshot->ref));
        snapshot->created = VBOX_GET(talk, i_snapshot_get_time_stamp, snapshot->ref) / 1000;
        snapshot->online = VBOX_GET(talk, i_snapshot_get_online, snapshot->ref);
        snapshot->current = g_str_equal(snapshot->ref, current);
        for (guint j = 0; j < children->returnval.n; j++) {
            VboxSnapshot *child = g_new0(VboxSnapshot, 1);

            child->ref = g_strdup(children->returnval.items[j]);
            child->name = g_strdup("");
            child->parent = (int)i;
            g_ptr_array_add(all, child);
        }
    }
    return all;
}

/* ---- machines ------------------------------------------------------------------------ */

static void machine_clear(gpointer opaque)
{
    VboxMachine *machine = opaque;

    g_free(machine->ref);
    g_free(machine->name);
    g_clear_pointer(&machine->snapshots, g_ptr_array_unref);
}

void vbox_machine_unref(gpointer machine)
{
    if (machine)
        g_atomic_rc_box_release_full(machine, machine_clear);
}

static void names_of(gconstpointer opaque, VireoMachineNames *names)
{
    const VboxMachine *machine = opaque;

    *names = (VireoMachineNames){.key = machine->key, .name = machine->name, .uuid = machine->uuid};
}

VboxMachine *vbox_machine_find(VboxServer *server, const guint8 uuid[16])
{
    return vireo_machines_find(server->machines, uuid);
}

vireo_domain_ref vbox_machine_dom(VboxConn *conn, vireo_call *call, const vireo_domain_ref *dom)
{
    g_autoptr(VboxMachine) machine = vbox_machine_find(conn->server, dom->uuid);
    vireo_domain_ref now = *dom;

    if (machine) {
        now.name = conn->driver->host->strdup(call, machine->name);
        now.id = vbox_state_is_active(machine->state) ? machine->id : -1;
    }
    return now;
}

/* ---- publishing: it is cheap and calls nothing back ------------------------------------ */

static void publish_tree(VboxServer *server, const VboxMachine *machine)
{
    guint n = machine->snapshots->len;
    g_autofree struct vireo_tree_node *nodes = g_new0(struct vireo_tree_node, n + 1);

    for (guint i = 0; i < n; i++) {
        const VboxSnapshot *snapshot = machine->snapshots->pdata[i];

        nodes[i] = (struct vireo_tree_node){
            .size = sizeof nodes[i],
            .flags = VIREO_TREE_INTERNAL | (snapshot->current ? VIREO_TREE_CURRENT : 0),
            .name = snapshot->name,
            .parent = snapshot->parent < 0 ? NULL : ((VboxSnapshot *)machine->snapshots->pdata[snapshot->parent])->name,
            .creation_time = snapshot->created,
            .state = snapshot->online ? VIREO_DOMAIN_RUNNING : VIREO_DOMAIN_SHUTOFF,
        };
    }
    server->driver->host->publish_tree(server->space, VIREO_CLASS_DOMAIN_SNAPSHOT, machine->uuid, n, nodes);
}

static void publish(gconstpointer opaque, gboolean quiet, void *of)
{
    const VboxMachine *machine = opaque;
    VboxServer *server = of;
    struct vireo_object object = {
        .size = sizeof object,
        .klass = VIREO_CLASS_DOMAIN,
        .name = machine->name,
        .id = vbox_state_is_active(machine->state) ? machine->id : -1,
        .state = vbox_state_of(machine->state),
        .reason = machine->reason,
        .flags = VIREO_OBJECT_PERSISTENT | (quiet ? VIREO_OBJECT_QUIET : 0) |
                 (machine->autostart ? VIREO_OBJECT_AUTOSTART : 0) |
                 (machine->state == VW_MACHINE_STATE_SAVED ? VIREO_OBJECT_MANAGED_SAVE : 0),
        .vcpus = machine->vcpus,
        .max_memory_kib = machine->memory,
        .memory_kib = machine->memory,
        .os_type = "hvm",
        .event = -1,
    };

    memcpy(object.uuid, machine->uuid, 16);
    server->driver->host->publish(server->space, &object);
    publish_tree(server, machine);
}

static void withdraw(gconstpointer opaque, void *of)
{
    const VboxMachine *machine = opaque;
    VboxServer *server = of;

    server->driver->host->withdraw(server->space, VIREO_CLASS_DOMAIN, machine->name, machine->uuid);
}

/* ---- taking in what the server says ---------------------------------------------------- */

/* What was read; NULL: there is nothing to show of it. */
static VboxMachine *read_machine(VboxTalk *talk, const char *ref)
{
    g_autoptr(VboxMachine) machine = g_atomic_rc_box_new0(VboxMachine);

    /* Of one whose file cannot be read nothing but the UUID is known. */
    if (!VBOX_GET(talk, i_machine_get_accessible, ref) ||
        !vireo_model_uuid_parse(VBOX_GET(talk, i_machine_get_id, ref), machine->uuid))
        return NULL;
    vireo_model_uuid_format(machine->uuid, machine->key);
    machine->ref = g_strdup(ref);
    machine->name = g_strdup(VBOX_GET(talk, i_machine_get_name, ref));
    machine->state = VBOX_GET(talk, i_machine_get_state, ref);
    machine->vcpus = VBOX_GET(talk, i_machine_get_cpu_count, ref);
    machine->memory = (guint64)VBOX_GET(talk, i_machine_get_memory_size, ref) * 1024;
    machine->autostart = VBOX_GET(talk, i_machine_get_autostart_enabled, ref);
    machine->snapshots = read_snapshots(talk, ref);
    return talk->error ? NULL : g_steal_pointer(&machine);
}

/* Objects of snapshots that are gone: the server keeps what stands for them until it is told. */
static void take_over_refs(VboxTalk *talk, const VboxMachine *known, const VboxMachine *machine)
{
    for (guint i = 0; i < known->snapshots->len; i++) {
        const VboxSnapshot *old = known->snapshots->pdata[i];

        if (!snapshot_with(machine->snapshots, NULL, old->ref))
            vbox_talk_take(talk, vireo_arena_strdup(talk->arena, old->ref));
    }
}

static void settle(gpointer opaque, gconstpointer before, gboolean is_twin, int *expected, void *of)
{
    VboxMachine *machine = opaque;
    const VboxMachine *known = before;
    VboxServer *server = of;

    if (is_twin) {
        char *other = g_strdup_printf("%s (%s)", machine->name, machine->key);
        g_free(machine->name);
        machine->name = other;
    }
    machine->id = known ? known->id : ++server->last_id;
    machine->reason = known ? known->reason : 0;
    if (!known || known->state != machine->state)
        machine->reason = reason_of(machine, known ? known->state : 0, *expected);
    if (vbox_state_of(machine->state) == VIREO_DOMAIN_SHUTOFF && known && known->state != machine->state)
        *expected = 0;
}

VireoMachines *vbox_inventory_new(VboxServer *server)
{
    VireoMachinesOptions options = {.names = names_of,
                                    .settle = settle,
                                    .publish = publish,
                                    .withdraw = withdraw,
                                    .unref = vbox_machine_unref,
                                    .opaque = server};

    return vireo_machines_new(&options);
}

/* Takes machine. */
static void take(VboxTalk *talk, guint64 number, VboxMachine *machine, gboolean quiet)
{
    g_autoptr(VboxMachine) mine = g_atomic_rc_box_acquire(machine);
    gpointer other;

    if (vireo_machines_take(talk->server->machines, number, machine, quiet, &other) && other)
        take_over_refs(talk, other, mine);
    vbox_machine_unref(other);
}

/* Also after a failure: it may say what has changed all the same. */
void vbox_inventory_read(VboxTalk *talk, const guint8 uuid[16])
{
    GError *before = g_steal_pointer(&talk->error);
    guint64 number = vireo_machines_number(talk->server->machines);
    char text[37];

    vireo_model_uuid_format(uuid, text);
    const char *ref = VBOX_CALL(talk, i_virtual_box_find_machine, ._this = talk->web, .name_or_id = text)->returnval;
    VboxMachine *machine = talk->error ? NULL : read_machine(talk, ref);
    if (machine)
        take(talk, number, machine, FALSE);
    else if (!talk->error || vbox_error_result(talk->error) == OBJECT_NOT_FOUND) {
        g_clear_error(&talk->error);
        vireo_machines_drop(talk->server->machines, number, text);
    }
    if (!before)
        return;
    g_clear_error(&talk->error);
    talk->error = before;
}

void vbox_inventory_read_all(VboxTalk *talk, gboolean quiet)
{
    VireoMachines *machines = talk->server->machines;
    g_autoptr(GHashTable) there = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const vw_i_virtual_box_get_machines_ret *refs = VBOX_CALL(talk, i_virtual_box_get_machines, ._this = talk->web);
    guint64 number = vireo_machines_number(machines);

    for (guint i = 0; !talk->error && i < refs->returnval.n; i++) {
        VboxMachine *machine = read_machine(talk, refs->returnval.items[i]);

        if (!machine && vbox_error_result(talk->error) == OBJECT_NOT_FOUND)
            g_clear_error(&talk->error); /* it has gone while the others were read */
        if (!machine)
            continue;
        g_hash_table_add(there, g_strdup(machine->key));
        take(talk, number, machine, quiet);
    }
    if (!talk->error)
        vireo_machines_keep(machines, number, there);
}
