/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machines of a server: read in one request however many they are, and published. */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

#include "document.h"

const char *const esx_inventory_paths[] = {
    "name", "runtime.powerState", "runtime.host", "snapshot", "config.uuid", "config.hardware.numCPU",
    "config.hardware.memoryMB", "config.memoryAllocation.limit", "runtime.question",
};
const guint esx_inventory_n_paths = G_N_ELEMENTS(esx_inventory_paths);

/* ---- snapshots ----------------------------------------------------------------------- */

void esx_snapshot_free(gpointer opaque)
{
    EsxSnapshot *snapshot = opaque;

    esx_ref_free(snapshot->ref);
    g_free(snapshot->name);
    g_free(snapshot->description);
    g_free(snapshot);
}

static int state_of(VimVirtualMachinePowerState power)
{
    switch (power) {
    case VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_ON:
        return VIREO_DOMAIN_RUNNING;
    case VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF:
        return VIREO_DOMAIN_SHUTOFF;
    case VIM_VIRTUAL_MACHINE_POWER_STATE_SUSPENDED:
        return VIREO_DOMAIN_PAUSED;
    default:
        return VIREO_DOMAIN_NOSTATE;
    }
}

static gboolean has_snapshot(const GPtrArray *snapshots, const char *name)
{
    for (guint i = 0; i < snapshots->len; i++)
        if (g_str_equal(((EsxSnapshot *)snapshots->pdata[i])->name, name))
            return TRUE;
    return FALSE;
}

static void take_snapshots(GPtrArray *into, VimVirtualMachineSnapshotTree *const *trees, guint n, int parent,
                           const char *current)
{
    for (guint i = 0; i < n; i++) {
        const VimVirtualMachineSnapshotTree *tree = trees[i];
        EsxSnapshot *snapshot = g_new0(EsxSnapshot, 1);
        int index = (int)into->len;

        snapshot->ref = esx_ref_copy(tree->snapshot);
        snapshot->name = esx_plain_name(tree->name);
        if (has_snapshot(into, snapshot->name)) {
            char *twin = g_strdup_printf("%s (%s)", snapshot->name, tree->snapshot->value);
            g_free(snapshot->name);
            snapshot->name = twin;
        }
        snapshot->description = g_strdup(tree->description);
        snapshot->parent = parent;
        snapshot->created = tree->create_time / G_USEC_PER_SEC;
        snapshot->state = state_of(tree->state);
        snapshot->current = g_strcmp0(current, tree->snapshot->value) == 0;
        g_ptr_array_add(into, snapshot);
        take_snapshots(into, tree->child_snapshot_list.items, tree->child_snapshot_list.n, index, current);
    }
}

static GPtrArray *snapshots_of(const VimObjectContent *object)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(esx_snapshot_free);
    const VimVirtualMachineSnapshotInfo *info =
        vireo_soap_value_struct(esx_property(object, "snapshot"), &vim_virtual_machine_snapshot_info_type);

    if (info)
        take_snapshots(all, info->root_snapshot_list.items, info->root_snapshot_list.n, -1,
                       info->current_snapshot ? info->current_snapshot->value : NULL);
    return all;
}

static void machine_clear(gpointer opaque)
{
    EsxMachine *machine = opaque;

    esx_ref_free(machine->ref);
    g_free(machine->name);
    g_clear_pointer(&machine->snapshots, g_ptr_array_unref);
    esx_question_unref(machine->question);
}

void esx_machine_free(gpointer machine)
{
    if (machine)
        g_atomic_rc_box_release_full(machine, machine_clear);
}

static void names_of(gconstpointer opaque, VireoMachineNames *names)
{
    const EsxMachine *machine = opaque;

    *names = (VireoMachineNames){ .key = machine->ref->value, .name = machine->name, .uuid = machine->uuid };
}

EsxMachine *esx_machine_find(EsxServer *server, const guint8 uuid[16])
{
    return vireo_machines_find(server->machines, uuid);
}

EsxQuestion *esx_machine_question(EsxServer *server, const EsxRef *ref)
{
    EsxMachine *machine = vireo_machines_with_key(server->machines, ref->value);
    EsxQuestion *question = machine ? esx_question_ref(machine->question) : NULL;

    esx_machine_free(machine);
    return question;
}

/* A question keeps a machine from running. */
static gboolean stands_still(const EsxMachine *machine)
{
    return machine->question && machine->power == VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_ON;
}

int esx_machine_state(const EsxMachine *machine)
{
    return stands_still(machine) ? VIREO_DOMAIN_PAUSED : state_of(machine->power);
}

/* ---- publishing: it is cheap and calls nothing back ------------------------------------ */

static void publish_tree(EsxServer *server, const EsxMachine *machine)
{
    guint n = machine->snapshots->len;
    g_autofree struct vireo_tree_node *nodes = g_new0(struct vireo_tree_node, n + 1);

    for (guint i = 0; i < n; i++) {
        const EsxSnapshot *snapshot = machine->snapshots->pdata[i];

        nodes[i] = (struct vireo_tree_node){
            .size = sizeof nodes[i],
            .flags = VIREO_TREE_INTERNAL | (snapshot->current ? VIREO_TREE_CURRENT : 0),
            .name = snapshot->name,
            .parent = snapshot->parent < 0 ? NULL : ((EsxSnapshot *)machine->snapshots->pdata[snapshot->parent])->name,
            .creation_time = snapshot->created,
            .state = snapshot->state,
        };
    }
    server->driver->host->publish_tree(server->space, VIREO_CLASS_DOMAIN_SNAPSHOT, machine->uuid, n, nodes);
}

/* Why a machine is in its new state; nobody knows of one that is seen for the first time. */
static int reason_of(const EsxMachine *machine, VimVirtualMachinePowerState before, int expected)
{
    switch (machine->power) {
    case VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_ON:
        return before == VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF ? VIREO_DOMAIN_RUNNING_BOOTED
               : before == VIM_VIRTUAL_MACHINE_POWER_STATE_SUSPENDED ? VIREO_DOMAIN_RUNNING_UNPAUSED
                                                                     : VIREO_DOMAIN_RUNNING_UNKNOWN;
    case VIM_VIRTUAL_MACHINE_POWER_STATE_SUSPENDED:
        return before ? VIREO_DOMAIN_PAUSED_USER : VIREO_DOMAIN_PAUSED_UNKNOWN;
    default:
        return expected ? expected : before ? VIREO_DOMAIN_SHUTOFF_SHUTDOWN : VIREO_DOMAIN_SHUTOFF_UNKNOWN;
    }
}

static void publish(gconstpointer opaque, gboolean quiet, void *of)
{
    const EsxMachine *machine = opaque;
    EsxServer *server = of;
    struct vireo_object object = {
        .size = sizeof object,
        .klass = VIREO_CLASS_DOMAIN,
        .name = machine->name,
        .id = machine->power == VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF ? -1 : machine->id,
        .state = esx_machine_state(machine),
        .reason = machine->reason,
        .flags = VIREO_OBJECT_PERSISTENT | (quiet ? VIREO_OBJECT_QUIET : 0) |
                 (machine->autostart ? VIREO_OBJECT_AUTOSTART : 0) |
                 (machine->power == VIM_VIRTUAL_MACHINE_POWER_STATE_SUSPENDED ? VIREO_OBJECT_MANAGED_SAVE : 0),
        .vcpus = machine->vcpus,
        .max_memory_kib = machine->max_memory,
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
    const EsxMachine *machine = opaque;
    EsxServer *server = of;

    server->driver->host->withdraw(server->space, VIREO_CLASS_DOMAIN, machine->name, machine->uuid);
}

/* ---- taking in what the server says ---------------------------------------------------- */

static void settle(gpointer opaque, gconstpointer before, gboolean is_twin, int *expected, void *of)
{
    EsxMachine *machine = opaque;
    const EsxMachine *known = before;

    (void)of;
    if (is_twin) {
        char *other = g_strdup_printf("%s (%s)", machine->name, machine->ref->value);
        g_free(machine->name);
        machine->name = other;
    }
    machine->reason = known ? known->reason : 0;
    if (!known || known->power != machine->power) {
        machine->reason = reason_of(machine, known ? known->power : 0, *expected);
        *expected = 0;
    } else if (stands_still(known))
        machine->reason = VIREO_DOMAIN_RUNNING_UNPAUSED;
    if (stands_still(machine))
        machine->reason = VIREO_DOMAIN_PAUSED_UNKNOWN;
}

VireoMachines *esx_inventory_new(EsxServer *server)
{
    VireoMachinesOptions options = { .names = names_of, .settle = settle, .publish = publish, .withdraw = withdraw,
                                     .unref = esx_machine_free, .opaque = server };

    return vireo_machines_new(&options);
}

/* The number in the reference. */
static int id_of(const EsxRef *ref)
{
    const char *digits = ref->value + strlen(ref->value);

    while (digits > ref->value && g_ascii_isdigit(digits[-1]))
        digits--;
    return (int)strtol(digits, NULL, 10);
}

static guint64 memory_of(const VimObjectContent *object, guint64 most)
{
    gint64 limit = vireo_soap_value_int(esx_property(object, "config.memoryAllocation.limit"), -1);

    return limit < 0 ? most : MIN((guint64)limit * 1024, most);
}

static EsxMachine *read_machine(EsxServer *server, const VimObjectContent *object, const guint8 uuid[16])
{
    EsxMachine *machine = g_atomic_rc_box_new0(EsxMachine);

    machine->ref = esx_ref_copy(object->obj);
    machine->id = id_of(machine->ref);
    machine->name = esx_plain_name(vireo_soap_value_text(esx_property(object, "name")));
    memcpy(machine->uuid, uuid, 16);
    machine->power = (VimVirtualMachinePowerState)vireo_soap_value_enum(esx_property(object, "runtime.powerState"),
                                                                        &vim_virtual_machine_power_state_names);
    machine->vcpus = (guint)vireo_soap_value_int(esx_property(object, "config.hardware.numCPU"), 1);
    machine->max_memory = (guint64)vireo_soap_value_int(esx_property(object, "config.hardware.memoryMB"), 0) * 1024;
    machine->memory = memory_of(object, machine->max_memory);
    machine->autostart = server->autostart && g_hash_table_contains(server->autostart, object->obj->value);
    machine->snapshots = snapshots_of(object);
    machine->question = esx_question_of(object);
    return machine;
}

static gboolean is_elsewhere(EsxServer *server, const VimObjectContent *object)
{
    const EsxRef *host = esx_property_ref(object, "runtime.host");

    return host && !g_str_equal(host->value, server->host->value);
}

/* A machine that is being made has no configuration yet; one that is somewhere else is not shown here. */
static gboolean is_ours(EsxServer *server, const VimObjectContent *object, guint8 uuid[16])
{
    const char *text = vireo_soap_value_text(esx_property(object, "config.uuid"));

    return esx_property_ref(object, "runtime.host") && !is_elsewhere(server, object) &&
           vireo_soap_value_text(esx_property(object, "name")) && text && vireo_model_uuid_parse(text, uuid);
}

static EsxMachine *copy_of(const EsxMachine *known)
{
    EsxMachine *copy = g_atomic_rc_box_dup(sizeof *known, (EsxMachine *)known);

    copy->ref = esx_ref_copy(known->ref);
    copy->name = g_strdup(known->name);
    copy->snapshots = g_ptr_array_ref(known->snapshots);
    copy->question = esx_question_ref(known->question);
    return copy;
}

/* What runs goes on on another host. */
static void take_moved(EsxServer *server, guint64 number, const char *value)
{
    EsxMachine *known = vireo_machines_with_key(server->machines, value);

    if (known && known->power != VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF) {
        EsxMachine *left = copy_of(known);

        left->power = VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF;
        vireo_machines_expect(server->machines, known->uuid, VIREO_DOMAIN_SHUTOFF_MIGRATED);
        vireo_machines_take(server->machines, number, left, FALSE, NULL);
    }
    esx_machine_free(known);
}

/* With the lock held, so that what has been removed stays away. */
static void take(EsxServer *server, guint64 number, const VimObjectContent *object, gboolean quiet)
{
    guint8 uuid[16];
    gpointer other;

    if (g_hash_table_contains(server->gone, object->obj->value))
        return;
    if (!is_ours(server, object, uuid)) {
        if (is_elsewhere(server, object))
            take_moved(server, number, object->obj->value);
        vireo_machines_drop(server->machines, number, object->obj->value);
        return;
    }
    if (!vireo_machines_take(server->machines, number, read_machine(server, object, uuid), quiet, &other) && other)
        server->driver->host->log(server->driver->core, VIREO_LOG_WARNING, server->uri->text,
                                  "machine %s has the UUID of '%s' and is not shown: give it another one",
                                  object->obj->value, ((EsxMachine *)other)->name);
    esx_machine_free(other);
}

static gboolean among(VimObjectContent *const *objects, guint n, const char *value)
{
    for (guint i = 0; i < n; i++)
        if (g_str_equal(objects[i]->obj->value, value))
            return TRUE;
    return FALSE;
}

gboolean esx_inventory_read(EsxServer *server, EsxRef *const *refs, guint n, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    guint64 number = vireo_machines_number(server->machines);
    VimRetrievePropertiesRet *ret = esx_properties(server, "VirtualMachine", refs, n, esx_inventory_paths,
                                                   esx_inventory_n_paths, wait, arena, error);

    if (!ret)
        return FALSE;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    for (guint i = 0; i < ret->returnval.n; i++)
        take(server, number, ret->returnval.items[i], FALSE);
    for (guint i = 0; i < n; i++)
        if (!among(ret->returnval.items, ret->returnval.n, refs[i]->value))
            vireo_machines_drop(server->machines, number, refs[i]->value);
    return TRUE;
}

void esx_inventory_set_all(EsxServer *server, guint64 number, VimObjectContent *const *objects, guint n, gboolean quiet)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    g_autoptr(GHashTable) there = g_hash_table_new(g_str_hash, g_str_equal);

    g_hash_table_remove_all(server->gone);
    for (guint i = 0; i < n; i++)
        g_hash_table_add(there, (char *)objects[i]->obj->value);
    vireo_machines_keep(server->machines, number, there);
    for (guint i = 0; i < n; i++)
        take(server, number, objects[i], quiet);
}

void esx_inventory_set_autostart(EsxServer *server, GHashTable *values)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    g_autoptr(GPtrArray) all = vireo_machines_all(server->machines);

    g_clear_pointer(&server->autostart, g_hash_table_unref);
    server->autostart = values;
    for (guint i = 0; i < all->len; i++) {
        const EsxMachine *machine = all->pdata[i];
        gboolean starts = g_hash_table_contains(values, machine->ref->value);

        if (machine->autostart == starts)
            continue;
        EsxMachine *changed = copy_of(machine);
        changed->autostart = starts;
        vireo_machines_take(server->machines, 0, changed, FALSE, NULL);
    }
}

void esx_inventory_gone(EsxServer *server, const char *value)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    g_hash_table_add(server->gone, g_strdup(value));
    vireo_machines_drop(server->machines, G_MAXUINT64, value);
}

void esx_inventory_left(EsxServer *server, const char *value)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    g_hash_table_remove(server->gone, value);
    vireo_machines_drop(server->machines, G_MAXUINT64, value);
}
