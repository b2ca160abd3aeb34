/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machines of a server: read in a few queries for all of them, and published. */
#include "ops.h"

#include <string.h>

#define RUNNING 2
#define OFF     3
#define SAVED   6
#define PAUSED  9
#define START_AUTOMATICALLY 4 /* AutomaticStartupAction: always */

/* ---- what a state is here: those of the namespace v2 -------------------------------------- */

static gboolean is_saved(guint state)
{
    return state == SAVED || state == 32769 || state == 32779;
}

int hyperv_state_of(guint state)
{
    switch (state) {
    case RUNNING:
    case 10:    /* starting */
    case 32770: /* starting */
    case 32773: /* saving */
    case 32776: /* pausing */
    case 32777: /* resuming */
    case 32771: /* taking a snapshot */
        return VIREO_DOMAIN_RUNNING;
    case 4:     /* stopping */
    case 32774: /* stopping */
        return VIREO_DOMAIN_SHUTDOWN;
    case PAUSED:
    case 32768:
        return VIREO_DOMAIN_PAUSED;
    case OFF:
        return VIREO_DOMAIN_SHUTOFF;
    default:
        if (is_saved(state))
            return VIREO_DOMAIN_SHUTOFF;
        return state >= 32781 && state <= 32789 ? VIREO_DOMAIN_PAUSED : VIREO_DOMAIN_NOSTATE;
    }
}

gboolean hyperv_state_is_active(guint state)
{
    int here = hyperv_state_of(state);

    return here != VIREO_DOMAIN_SHUTOFF && here != VIREO_DOMAIN_NOSTATE;
}

static int reason_of(const HypervMachine *machine, guint before, int expected)
{
    switch (hyperv_state_of(machine->state)) {
    case VIREO_DOMAIN_RUNNING:
        return before == PAUSED    ? VIREO_DOMAIN_RUNNING_UNPAUSED
               : is_saved(before)  ? VIREO_DOMAIN_RUNNING_RESTORED
               : before            ? VIREO_DOMAIN_RUNNING_BOOTED
                                   : VIREO_DOMAIN_RUNNING_UNKNOWN;
    case VIREO_DOMAIN_PAUSED:
        return machine->state >= 32781 ? VIREO_DOMAIN_PAUSED_IOERROR : VIREO_DOMAIN_PAUSED_USER;
    case VIREO_DOMAIN_SHUTOFF:
        return is_saved(machine->state) ? VIREO_DOMAIN_SHUTOFF_SAVED
               : expected               ? expected
               : before                 ? VIREO_DOMAIN_SHUTOFF_SHUTDOWN
                                        : VIREO_DOMAIN_SHUTOFF_UNKNOWN;
    default:
        return 0;
    }
}

gboolean hyperv_is_guid(const char *text)
{
    guint8 uuid[16];

    return strlen(text) == 36 && vireo_model_uuid_parse(text, uuid);
}

/* ---- what is known ------------------------------------------------------------------------- */

static void snapshot_free(gpointer opaque)
{
    HypervSnapshot *snapshot = opaque;

    g_free(snapshot->id);
    g_free(snapshot->name);
    g_free(snapshot->description);
    g_free(snapshot->parent);
    g_free(snapshot);
}

static void machine_clear(gpointer opaque)
{
    HypervMachine *machine = opaque;

    g_free(machine->name);
    g_free(machine->guid);
    g_clear_pointer(&machine->snapshots, g_ptr_array_unref);
}

void hyperv_machine_unref(gpointer machine)
{
    if (machine)
        g_atomic_rc_box_release_full(machine, machine_clear);
}

static void names_of(gconstpointer opaque, VireoMachineNames *names)
{
    const HypervMachine *machine = opaque;

    *names = (VireoMachineNames){.key = machine->guid, .name = machine->name, .uuid = machine->uuid};
}

HypervMachine *hyperv_machine_find(HypervServer *server, const guint8 uuid[16])
{
    return vireo_machines_find(server->machines, uuid);
}

vireo_domain_ref hyperv_machine_dom(HypervConn *conn, vireo_call *call, const vireo_domain_ref *dom)
{
    g_autoptr(HypervMachine) machine = hyperv_machine_find(conn->server, dom->uuid);
    vireo_domain_ref now = *dom;

    if (machine) {
        now.name = conn->driver->host->strdup(call, machine->name);
        now.id = hyperv_state_is_active(machine->state) ? machine->id : -1;
    }
    return now;
}

static const HypervSnapshot *snapshot_in(const GPtrArray *all, const char *name, const char *id)
{
    for (guint i = 0; i < all->len; i++) {
        const HypervSnapshot *one = all->pdata[i];

        if ((!name || g_str_equal(one->name, name)) && (!id || g_ascii_strcasecmp(one->id, id) == 0))
            return one;
    }
    return NULL;
}

const HypervSnapshot *hyperv_snapshot_named(const HypervMachine *machine, const char *name)
{
    return snapshot_in(machine->snapshots, name, NULL);
}

const HypervSnapshot *hyperv_snapshot_with(const HypervMachine *machine, const char *id)
{
    return snapshot_in(machine->snapshots, NULL, id);
}

/* ---- publishing: it is cheap and calls nothing back ------------------------------------------ */

static void publish_tree(HypervServer *server, const HypervMachine *machine)
{
    guint n = machine->snapshots->len;
    g_autofree struct vireo_tree_node *nodes = g_new0(struct vireo_tree_node, n + 1);

    for (guint i = 0; i < n; i++) {
        const HypervSnapshot *one = machine->snapshots->pdata[i];
        const HypervSnapshot *parent = one->parent ? hyperv_snapshot_with(machine, one->parent) : NULL;

        nodes[i] = (struct vireo_tree_node){
            .size = sizeof nodes[i],
            .flags = VIREO_TREE_INTERNAL | (one->current ? VIREO_TREE_CURRENT : 0),
            .name = one->name,
            .parent = parent ? parent->name : NULL,
            .creation_time = one->created,
            .state = one->online ? VIREO_DOMAIN_RUNNING : VIREO_DOMAIN_SHUTOFF,
        };
    }
    server->driver->host->publish_tree(server->space, VIREO_CLASS_DOMAIN_SNAPSHOT, machine->uuid, n, nodes);
}

static void publish(gconstpointer opaque, gboolean quiet, void *of)
{
    const HypervMachine *machine = opaque;
    HypervServer *server = of;
    struct vireo_object object = {
        .size = sizeof object,
        .klass = VIREO_CLASS_DOMAIN,
        .name = machine->name,
        .id = hyperv_state_is_active(machine->state) ? machine->id : -1,
        .state = hyperv_state_of(machine->state),
        .reason = machine->reason,
        .flags = VIREO_OBJECT_PERSISTENT | (quiet ? VIREO_OBJECT_QUIET : 0) |
                 (machine->autostart ? VIREO_OBJECT_AUTOSTART : 0) |
                 (is_saved(machine->state) ? VIREO_OBJECT_MANAGED_SAVE : 0),
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
    const HypervMachine *machine = opaque;
    HypervServer *server = of;

    server->driver->host->withdraw(server->space, VIREO_CLASS_DOMAIN, machine->name, machine->uuid);
}

/* Two of them may have one name there. */
static void settle(gpointer opaque, gconstpointer before, gboolean is_twin, int *expected, void *of)
{
    HypervMachine *machine = opaque;
    const HypervMachine *known = before;

    (void)of;
    if (is_twin) {
        char *other = g_strdup_printf("%s (%s)", machine->name, machine->guid);
        g_free(machine->name);
        machine->name = other;
    }
    machine->reason = known ? known->reason : 0;
    if (!known || known->state != machine->state)
        machine->reason = reason_of(machine, known ? known->state : 0, *expected);
    if (known && known->state != machine->state && hyperv_state_of(machine->state) == VIREO_DOMAIN_SHUTOFF)
        *expected = 0;
}

VireoMachines *hyperv_inventory_new(HypervServer *server)
{
    VireoMachinesOptions options = {.names = names_of,
                                    .settle = settle,
                                    .publish = publish,
                                    .withdraw = withdraw,
                                    .unref = hyperv_machine_unref,
                                    .opaque = server};

    return vireo_machines_new(&options);
}

/* ---- reading ------------------------------------------------------------------------------- */

char *hyperv_owner_of(const char *instance_id)
{
    const char *from = strchr(instance_id, ':');

    return from ? g_ascii_strup(from + 1, (gssize)strcspn(from + 1, "\\")) : g_strdup("");
}

static HypervMachine *read_machine(const VireoCim *system)
{
    HypervMachine *machine = g_atomic_rc_box_new0(HypervMachine);

    machine->name = g_strdup(vireo_cim_string(system, "ElementName"));
    machine->guid = g_ascii_strup(vireo_cim_string(system, "Name"), -1);
    vireo_model_uuid_parse(machine->guid, machine->uuid);
    machine->state = (guint)vireo_cim_number(system, "EnabledState");
    machine->id = (int)vireo_cim_number(system, "ProcessID");
    machine->snapshots = g_ptr_array_new_with_free_func(snapshot_free);
    return machine;
}

static void read_snapshot(HypervMachine *machine, const VireoCim *settings)
{
    HypervSnapshot *snapshot = g_new0(HypervSnapshot, 1);
    const char *parent = vireo_cim_string(settings, "Parent");

    snapshot->id = g_strdup(vireo_cim_string(settings, "InstanceID"));
    snapshot->name = g_strdup(vireo_cim_string(settings, "ElementName"));
    snapshot->parent = *parent ? vireo_cim_path_value(parent, "InstanceID") : NULL;
    snapshot->created = vireo_cim_time(settings, "CreationTime") / G_USEC_PER_SEC;
    snapshot->online = vireo_cim_flag(settings, "IsSaved");
    snapshot->description = hyperv_notes_of(settings);
    g_ptr_array_add(machine->snapshots, snapshot);
}

static void read_settings(GHashTable *there, const GPtrArray *all)
{
    for (guint i = 0; i < all->len; i++) {
        const VireoCim *settings = all->pdata[i];
        g_autofree char *guid = g_ascii_strup(vireo_cim_string(settings, "VirtualSystemIdentifier"), -1);
        HypervMachine *machine = g_hash_table_lookup(there, guid);
        const char *type = vireo_cim_string(settings, "VirtualSystemType");

        if (machine && strstr(type, ":Snapshot:"))
            read_snapshot(machine, settings);
        else if (machine && g_str_has_suffix(type, ":Realized"))
            machine->autostart = vireo_cim_number(settings, "AutomaticStartupAction") == START_AUTOMATICALLY;
    }
}

static void read_resources(GHashTable *there, const GPtrArray *all)
{
    for (guint i = 0; i < all->len; i++) {
        g_autofree char *owner = hyperv_owner_of(vireo_cim_string(all->pdata[i], "InstanceID"));
        HypervMachine *machine = g_hash_table_lookup(there, owner);
        guint64 quantity = vireo_cim_number(all->pdata[i], "VirtualQuantity");

        if (machine && vireo_cim_number(all->pdata[i], "ResourceType") == 3)
            machine->vcpus = (guint)quantity;
        else if (machine)
            machine->memory = quantity * 1024;
    }
}

static void read_current(GHashTable *there, const GPtrArray *all)
{
    for (guint i = 0; i < all->len; i++) {
        const VireoCim *of = vireo_cim_path(all->pdata[i], "Antecedent");
        const VireoCim *what = vireo_cim_path(all->pdata[i], "Dependent");
        g_autofree char *guid = g_ascii_strup(of ? vireo_cim_string(of, "Name") : "", -1);
        HypervMachine *machine = g_hash_table_lookup(there, guid);
        HypervSnapshot *snapshot =
            machine && what
                ? (HypervSnapshot *)hyperv_snapshot_with(machine, vireo_cim_string(what, "InstanceID"))
                : NULL;

        if (snapshot)
            snapshot->current = TRUE;
    }
}

static gint by_time(gconstpointer a, gconstpointer b)
{
    const HypervSnapshot *one = *(HypervSnapshot *const *)a, *other = *(HypervSnapshot *const *)b;

    return one->created != other->created ? (one->created > other->created ? 1 : -1) : strcmp(one->id, other->id);
}

/* Parents before their children, and each name once. */
static void sort_snapshots(HypervMachine *machine)
{
    g_autoptr(GPtrArray) rest = machine->snapshots;
    GPtrArray *sorted = g_ptr_array_new_with_free_func(snapshot_free);
    gboolean moved = TRUE;

    g_ptr_array_sort(rest, by_time);
    for (machine->snapshots = sorted; rest->len && moved;) {
        moved = FALSE;
        for (guint i = 0; i < rest->len;) {
            HypervSnapshot *one = rest->pdata[i];

            if (one->parent && snapshot_in(rest, NULL, one->parent) && snapshot_in(rest, NULL, one->parent) != one) {
                i++;
                continue;
            }
            if (one->parent && !snapshot_in(sorted, NULL, one->parent))
                g_clear_pointer(&one->parent, g_free);
            if (snapshot_in(sorted, one->name, NULL)) {
                char *other = g_strdup_printf("%s (%s)", one->name, one->id);
                g_free(one->name);
                one->name = other;
            }
            g_ptr_array_add(sorted, g_ptr_array_steal_index(rest, i));
            moved = TRUE;
        }
    }
}

static gboolean has_snapshots(GHashTable *there)
{
    GHashTableIter iter;
    gpointer machine;

    g_hash_table_iter_init(&iter, there);
    while (g_hash_table_iter_next(&iter, NULL, &machine))
        if (((HypervMachine *)machine)->snapshots->len)
            return TRUE;
    return FALSE;
}

static GHashTable *read_machines(HypervTalk *talk, const char *guid)
{
    GHashTable *there = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, hyperv_machine_unref);
    g_autofree char *name = guid ? g_strdup_printf(" where Name='%s'", guid) : g_strdup("");
    g_autofree char *owner = guid ? g_strdup_printf(" where VirtualSystemIdentifier='%s'", guid) : g_strdup("");
    const GPtrArray *systems = hyperv_query(
        talk, HYPERV_SPACE, "select Name,ElementName,EnabledState,ProcessID from Msvm_ComputerSystem%s", name);

    for (guint i = 0; i < systems->len; i++)
        if (hyperv_is_guid(vireo_cim_string(systems->pdata[i], "Name"))) { /* the host is one of them */
            HypervMachine *machine = read_machine(systems->pdata[i]);

            g_hash_table_replace(there, machine->guid, machine);
        }
    if (guid && !g_hash_table_size(there))
        return there;
    read_settings(there, hyperv_query(talk, HYPERV_SPACE,
                                      "select InstanceID,ElementName,VirtualSystemIdentifier,VirtualSystemType,Parent,"
                                      "CreationTime,IsSaved,Notes,AutomaticStartupAction from "
                                      "Msvm_VirtualSystemSettingData%s",
                                      owner));
    g_autofree char *like = guid ? g_strdup_printf(" and InstanceID like 'Microsoft:%s%%'", guid) : g_strdup("");
    read_resources(there, hyperv_query(talk, HYPERV_SPACE,
                                       "select InstanceID,ResourceType,VirtualQuantity from "
                                       "CIM_ResourceAllocationSettingData where (ResourceType=3 or ResourceType=4)%s",
                                       like));
    if (has_snapshots(there))
        read_current(there, hyperv_query(talk, HYPERV_SPACE, "select * from Msvm_MostCurrentSnapshotInBranch"));
    return there;
}

void hyperv_inventory_read(HypervTalk *talk, const char *guid, gboolean quiet)
{
    VireoMachines *machines = talk->server->machines;
    GError *before = g_steal_pointer(&talk->error);
    guint64 number = vireo_machines_number(machines);
    g_autoptr(GHashTable) there = read_machines(talk, guid);
    gboolean good = !talk->error;
    GHashTableIter iter;
    gpointer machine;

    if (before) {
        g_clear_error(&talk->error);
        talk->error = before;
    }
    if (!good)
        return;
    if (!guid)
        vireo_machines_keep(machines, number, there);
    else if (!g_hash_table_contains(there, guid))
        vireo_machines_drop(machines, number, guid);
    g_hash_table_iter_init(&iter, there);
    while (g_hash_table_iter_next(&iter, NULL, &machine)) {
        g_hash_table_iter_steal(&iter);
        sort_snapshots(machine);
        vireo_machines_take(machines, number, machine, quiet, NULL);
    }
}
