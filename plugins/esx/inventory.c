/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machines of a server: read in one request however many they are, and published. */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

#include "document.h"

const char *const esx_inventory_paths[] = {
    "name", "runtime.powerState", "runtime.host", "snapshot", "config.uuid", "config.hardware.numCPU",
    "config.hardware.memoryMB", "config.memoryAllocation.limit",
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

void esx_machine_free(gpointer opaque)
{
    EsxMachine *machine = opaque;

    esx_ref_free(machine->ref);
    g_free(machine->name);
    g_clear_pointer(&machine->snapshots, g_ptr_array_unref);
    g_free(machine);
}

/* ---- publishing, with EsxServer.lock held: it is cheap and calls nothing back ---------- */

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
static int reason_of(const EsxMachine *machine, VimVirtualMachinePowerState before)
{
    switch (machine->power) {
    case VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_ON:
        return before == VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF ? VIREO_DOMAIN_RUNNING_BOOTED
               : before == VIM_VIRTUAL_MACHINE_POWER_STATE_SUSPENDED ? VIREO_DOMAIN_RUNNING_UNPAUSED
                                                                     : VIREO_DOMAIN_RUNNING_UNKNOWN;
    case VIM_VIRTUAL_MACHINE_POWER_STATE_SUSPENDED:
        return before ? VIREO_DOMAIN_PAUSED_USER : VIREO_DOMAIN_PAUSED_UNKNOWN;
    default:
        return machine->expected ? machine->expected : before ? VIREO_DOMAIN_SHUTOFF_SHUTDOWN : VIREO_DOMAIN_SHUTOFF_UNKNOWN;
    }
}

static void publish(EsxServer *server, const EsxMachine *machine, gboolean quiet)
{
    struct vireo_object object = {
        .size = sizeof object,
        .klass = VIREO_CLASS_DOMAIN,
        .name = machine->name,
        .id = machine->power == VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF ? -1 : machine->id,
        .state = state_of(machine->power),
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

static void drop(EsxServer *server, EsxMachine *machine)
{
    server->driver->host->withdraw(server->space, VIREO_CLASS_DOMAIN, machine->name, machine->uuid);
    g_hash_table_remove(server->machines, machine->ref->value);
}

/* ---- taking in what the server says ---------------------------------------------------- */

static const EsxMachine *other_with(EsxServer *server, const char *value, const char *name, const guint8 *uuid)
{
    GHashTableIter iter;
    gpointer item;

    g_hash_table_iter_init(&iter, server->machines);
    while (g_hash_table_iter_next(&iter, NULL, &item)) {
        const EsxMachine *machine = item;

        if (!g_str_equal(machine->ref->value, value) &&
            ((name && g_str_equal(machine->name, name)) || (uuid && memcmp(machine->uuid, uuid, 16) == 0)))
            return machine;
    }
    return NULL;
}

static EsxMachine *machine_copy(const EsxMachine *known)
{
    EsxMachine *copy = g_memdup2(known, sizeof *known);

    copy->ref = esx_ref_copy(known->ref);
    copy->name = g_strdup(known->name);
    copy->snapshots = g_ptr_array_ref(known->snapshots);
    return copy;
}

EsxMachine *esx_machine_find(EsxServer *server, const guint8 uuid[16])
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    const EsxMachine *known = other_with(server, "", NULL, uuid);

    return known ? machine_copy(known) : NULL;
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(EsxMachine *const *)a)->name, (*(EsxMachine *const *)b)->name);
}

GPtrArray *esx_machine_all(EsxServer *server)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    GPtrArray *all = g_ptr_array_new_with_free_func(esx_machine_free);
    GHashTableIter iter;
    gpointer machine;

    g_hash_table_iter_init(&iter, server->machines);
    while (g_hash_table_iter_next(&iter, NULL, &machine))
        g_ptr_array_add(all, machine_copy(machine));
    g_ptr_array_sort(all, by_name);
    return all;
}

int esx_machine_state(const EsxMachine *machine)
{
    return state_of(machine->power);
}

gboolean esx_machine_has_name(EsxServer *server, const char *name)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    return other_with(server, "", name, NULL) != NULL;
}

static EsxMachine *machine_for(EsxServer *server, const EsxRef *ref)
{
    EsxMachine *machine = g_hash_table_lookup(server->machines, ref->value);
    const char *digits = ref->value + strlen(ref->value);

    if (machine)
        return machine;
    machine = g_new0(EsxMachine, 1);
    machine->ref = esx_ref_copy(ref);
    while (digits > ref->value && g_ascii_isdigit(digits[-1]))
        digits--;
    machine->id = (int)strtol(digits, NULL, 10);
    machine->snapshots = g_ptr_array_new_with_free_func(esx_snapshot_free);
    g_hash_table_insert(server->machines, (char *)machine->ref->value, machine);
    return machine;
}

static char *unique_name(EsxServer *server, const VimObjectContent *object)
{
    g_autofree char *name = esx_plain_name(vireo_soap_value_text(esx_property(object, "name")));

    if (!other_with(server, object->obj->value, name, NULL))
        return g_steal_pointer(&name);
    return g_strdup_printf("%s (%s)", name, object->obj->value);
}

static guint64 memory_of(const VimObjectContent *object, guint64 most)
{
    gint64 limit = vireo_soap_value_int(esx_property(object, "config.memoryAllocation.limit"), -1);

    return limit < 0 ? most : MIN((guint64)limit * 1024, most);
}

static void fill(EsxServer *server, EsxMachine *machine, const VimObjectContent *object, const guint8 uuid[16])
{
    char *name = unique_name(server, object);
    VimVirtualMachinePowerState before = machine->power;

    g_free(machine->name);
    machine->name = name;
    memcpy(machine->uuid, uuid, 16);
    machine->power = (VimVirtualMachinePowerState)vireo_soap_value_enum(esx_property(object, "runtime.powerState"),
                                                                        &vim_virtual_machine_power_state_names);
    if (machine->power != before) {
        machine->reason = reason_of(machine, before);
        machine->expected = 0;
    }
    machine->vcpus = (guint)vireo_soap_value_int(esx_property(object, "config.hardware.numCPU"), 1);
    machine->max_memory = (guint64)vireo_soap_value_int(esx_property(object, "config.hardware.memoryMB"), 0) * 1024;
    machine->memory = memory_of(object, machine->max_memory);
    machine->autostart = server->autostart && g_hash_table_contains(server->autostart, object->obj->value);
    g_ptr_array_unref(machine->snapshots);
    machine->snapshots = snapshots_of(object);
}

/* A machine that is being made has no configuration yet; one that is somewhere else is not shown here. */
static gboolean is_ours(EsxServer *server, const VimObjectContent *object, guint8 uuid[16])
{
    const EsxRef *host = esx_property_ref(object, "runtime.host");
    const char *text = vireo_soap_value_text(esx_property(object, "config.uuid"));

    return host && g_str_equal(host->value, server->host->value) &&
           vireo_soap_value_text(esx_property(object, "name")) && text && vireo_model_uuid_parse(text, uuid);
}

static void take(EsxServer *server, guint64 number, const VimObjectContent *object, gboolean quiet)
{
    EsxMachine *known = g_hash_table_lookup(server->machines, object->obj->value);
    guint8 uuid[16];

    if ((known && known->seen > number) || g_hash_table_contains(server->gone, object->obj->value))
        return; /* something newer has been taken in already */
    if (!is_ours(server, object, uuid)) {
        if (known)
            drop(server, known);
        return;
    }
    const EsxMachine *twin = other_with(server, object->obj->value, NULL, uuid);
    if (twin) {
        server->driver->host->log(server->driver->core, VIREO_LOG_WARNING, server->uri->text,
                                  "machine %s has the UUID of '%s' and is not shown: give it another one",
                                  object->obj->value, twin->name);
        return;
    }
    if (known && memcmp(known->uuid, uuid, 16) != 0)
        drop(server, known);
    EsxMachine *machine = machine_for(server, object->obj);
    fill(server, machine, object, uuid);
    machine->seen = number;
    publish(server, machine, quiet);
}

static gboolean among(VimObjectContent *const *objects, guint n, const char *value)
{
    for (guint i = 0; i < n; i++)
        if (g_str_equal(objects[i]->obj->value, value))
            return TRUE;
    return FALSE;
}

/* Those of refs that the answer does not know any more. */
static void drop_missing(EsxServer *server, EsxRef *const *refs, guint n, const VimRetrievePropertiesRet *ret)
{
    for (guint i = 0; i < n; i++) {
        EsxMachine *machine = g_hash_table_lookup(server->machines, refs[i]->value);

        if (machine && !among(ret->returnval.items, ret->returnval.n, refs[i]->value))
            drop(server, machine);
    }
}

gboolean esx_inventory_read(EsxServer *server, EsxRef *const *refs, guint n, const VireoHttpWait *wait, GError **error)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();

    g_mutex_lock(&server->lock);
    guint64 number = ++server->requests;
    g_mutex_unlock(&server->lock);
    VimRetrievePropertiesRet *ret = esx_properties(server, "VirtualMachine", refs, n, esx_inventory_paths,
                                                   esx_inventory_n_paths, wait, arena, error);
    if (!ret)
        return FALSE;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    for (guint i = 0; i < ret->returnval.n; i++)
        take(server, number, ret->returnval.items[i], FALSE);
    drop_missing(server, refs, n, ret);
    return TRUE;
}

void esx_inventory_set_all(EsxServer *server, guint64 number, VimObjectContent *const *objects, guint n, gboolean quiet)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    g_autoptr(GHashTable) there = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GList) known = g_hash_table_get_values(server->machines);

    g_hash_table_remove_all(server->gone);
    for (guint i = 0; i < n; i++)
        g_hash_table_add(there, (char *)objects[i]->obj->value);
    for (GList *item = known; item; item = item->next)
        if (!g_hash_table_contains(there, ((EsxMachine *)item->data)->ref->value))
            drop(server, item->data);
    for (guint i = 0; i < n; i++)
        take(server, number, objects[i], quiet);
}

void esx_inventory_expect(EsxServer *server, const guint8 uuid[16], int reason)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    EsxMachine *machine = (EsxMachine *)other_with(server, "", NULL, uuid);

    if (machine)
        machine->expected = reason;
}

void esx_inventory_set_autostart(EsxServer *server, GHashTable *values)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    GHashTableIter iter;
    gpointer item;

    g_clear_pointer(&server->autostart, g_hash_table_unref);
    server->autostart = values;
    g_hash_table_iter_init(&iter, server->machines);
    while (g_hash_table_iter_next(&iter, NULL, &item)) {
        EsxMachine *machine = item;
        gboolean starts = g_hash_table_contains(values, machine->ref->value);

        if (machine->autostart == starts)
            continue;
        machine->autostart = starts;
        publish(server, machine, FALSE);
    }
}

static void drop_value(EsxServer *server, const char *value)
{
    EsxMachine *machine = g_hash_table_lookup(server->machines, value);

    if (machine)
        drop(server, machine);
}

void esx_inventory_gone(EsxServer *server, const char *value)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    g_hash_table_add(server->gone, g_strdup(value));
    drop_value(server, value);
}

void esx_inventory_left(EsxServer *server, const char *value)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);

    g_hash_table_remove(server->gone, value);
    drop_value(server, value);
}

void esx_inventory_clear(EsxServer *server)
{
    esx_inventory_set_all(server, 0, NULL, 0, TRUE);
}
