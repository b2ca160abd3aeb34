/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots are the server's alone: nothing about them is kept here. */
#include "ops.h"

#include <string.h>

#include "document.h"

#define OFF       (1u << VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF)
#define SUSPENDED (1u << VIM_VIRTUAL_MACHINE_POWER_STATE_SUSPENDED)

static EsxSnapshot *snapshot_named(const EsxMachine *machine, const char *name)
{
    for (guint i = 0; i < machine->snapshots->len; i++)
        if (g_str_equal(((EsxSnapshot *)machine->snapshots->pdata[i])->name, name))
            return machine->snapshots->pdata[i];
    return NULL;
}

/* *snapshot belongs to the machine that is returned. NULL: failed. */
static EsxMachine *find(EsxConn *conn, vireo_call *call, const vireo_domain_snapshot_ref *ref, EsxSnapshot **snapshot)
{
    EsxMachine *machine = esx_machine_find(conn->server, ref->dom.uuid);

    *snapshot = machine ? snapshot_named(machine, ref->name) : NULL;
    if (*snapshot)
        return machine;
    if (machine)
        conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN_SNAPSHOT, "domain '%s' has no snapshot '%s'", machine->name,
                                 ref->name);
    else
        conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", ref->dom.name);
    g_clear_pointer(&machine, esx_machine_free);
    return NULL;
}

/* ---- create -------------------------------------------------------------------------- */

static gboolean refuse(GError **error, const char *text)
{
    g_set_error_literal(error, VIREO_ERROR, VIREO_ERR_CONFIG_UNSUPPORTED, text);
    return FALSE;
}

static gboolean acceptable(const VireoDomainSnapshot *doc, GError **error)
{
    if (doc->disks && doc->disks->disks.n)
        return refuse(error, "domainsnapshot.disks: a snapshot is of all disks, and the server names its files");
    if (doc->memory && (doc->memory->file || doc->memory->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL))
        return refuse(error, "domainsnapshot.memory: the server keeps the memory with the snapshot");
    return TRUE;
}

static gboolean wants_memory(const VireoDomainSnapshot *doc, guint flags)
{
    return !(flags & VIREO_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY) &&
           !(doc->memory && doc->memory->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_NO);
}

static gboolean name_is_free(EsxConn *conn, const vireo_domain_ref *dom, const char *name, GError **error)
{
    EsxMachine *machine = esx_machine_find(conn->server, dom->uuid);
    gboolean taken = machine && snapshot_named(machine, name);

    if (taken)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID, "domain '%s' has a snapshot '%s' already",
                    machine->name, name);
    g_clear_pointer(&machine, esx_machine_free);
    return !taken;
}

int esx_domain_snapshot_create_xml(void *handle, vireo_call *call, const vireo_domain_snapshot_create_xml_args *args,
                                   vireo_domain_snapshot_create_xml_ret *ret)
{
    EsxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    guint how = args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0;
    EsxRef *machine = esx_machine_ref(conn, call, &args->dom);
    GError *error = NULL;

    if (!machine)
        return VIREO_FAIL;
    VireoDomainSnapshot *doc = vireo_domain_snapshot_parse(args->xml_desc, how, &error);
    g_autofree char *name = doc && doc->name ? g_strdup(doc->name)
                                             : g_strdup_printf("%" G_GINT64_FORMAT, g_get_real_time() / G_USEC_PER_SEC);
    if (!doc || !acceptable(doc, &error) || !name_is_free(conn, &args->dom, name, &error)) {
        vireo_domain_snapshot_free(doc);
        return esx_fail(conn->driver, call, error);
    }
    g_autofree char *escaped = esx_escape_name(name);
    VimCreateSnapshotTaskArgs create = { ._this = machine, .name = escaped, .description = doc->description,
                                         .memory = wants_memory(doc, args->flags),
                                         .quiesce = (args->flags & VIREO_DOMAIN_SNAPSHOT_CREATE_QUIESCE) != 0 };
    ret->snap.name = host->strdup(call, name);
    ret->snap.dom = esx_machine_dom(conn, call, &args->dom);
    int status = esx_task_run(conn, call, machine, &vim_create_snapshot_task_operation, &create);
    vireo_domain_snapshot_free(doc);
    return status;
}

/* ---- describe ------------------------------------------------------------------------ */

static VireoDomainSnapshotState state_of(int state)
{
    return state == VIREO_DOMAIN_RUNNING  ? VIREO_DOMAIN_SNAPSHOT_STATE_RUNNING
           : state == VIREO_DOMAIN_PAUSED ? VIREO_DOMAIN_SNAPSHOT_STATE_PAUSED
                                          : VIREO_DOMAIN_SNAPSHOT_STATE_SHUTOFF;
}

int esx_domain_snapshot_get_xml_desc(void *handle, vireo_call *call, const vireo_domain_snapshot_get_xml_desc_args *args,
                                     vireo_domain_snapshot_get_xml_desc_ret *ret)
{
    EsxConn *conn = handle;
    EsxSnapshot *snapshot;
    EsxMachine *machine = find(conn, call, &args->snap, &snapshot);

    if (!machine)
        return VIREO_FAIL;
    VireoPlainSnapshot plain = { .name = snapshot->name, .description = snapshot->description,
                                 .state = state_of(snapshot->state), .created = snapshot->created };
    if (snapshot->parent >= 0)
        plain.parent = ((EsxSnapshot *)machine->snapshots->pdata[snapshot->parent])->name;
    memcpy(plain.uuid, machine->uuid, sizeof plain.uuid);
    g_autofree char *text = vireo_plain_snapshot_format(&plain);
    ret->xml = conn->driver->host->strdup(call, text);
    esx_machine_free(machine);
    return VIREO_OK;
}

/* ---- revert and delete --------------------------------------------------------------- */

static EsxRef *ref_for_call(EsxConn *conn, vireo_call *call, const EsxRef *ref)
{
    EsxRef *copy = conn->driver->host->alloc(call, sizeof *copy);

    copy->type = conn->driver->host->strdup(call, ref->type);
    copy->value = conn->driver->host->strdup(call, ref->value);
    return copy;
}

static int revert(EsxConn *conn, vireo_call *call, EsxRef *snapshot, EsxRef *machine)
{
    VimRevertToSnapshotTaskArgs args = { ._this = snapshot };

    return esx_task_run(conn, call, machine, &vim_revert_to_snapshot_task_operation, &args);
}

int esx_domain_revert_to_snapshot(void *handle, vireo_call *call, const vireo_domain_revert_to_snapshot_args *args)
{
    EsxConn *conn = handle;
    EsxSnapshot *snapshot;
    EsxMachine *machine = find(conn, call, &args->snap, &snapshot);

    if (!machine)
        return VIREO_FAIL;
    EsxRef *ref = ref_for_call(conn, call, machine->ref);
    gboolean off = snapshot->state == VIREO_DOMAIN_SHUTOFF, paused = (args->flags & VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED) != 0;
    if (off && paused) {
        esx_machine_free(machine);
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED, "snapshot '%s' is of a machine that was off: "
                                        "it can be started, but not paused before it begins", args->snap.name);
    }
    int status = revert(conn, call, ref_for_call(conn, call, snapshot->ref), ref);
    esx_machine_free(machine);
    if (status != VIREO_OK || !(args->flags & (VIREO_DOMAIN_SNAPSHOT_REVERT_RUNNING | VIREO_DOMAIN_SNAPSHOT_REVERT_PAUSED)))
        return status;
    machine = esx_machine_find(conn->server, args->snap.dom.uuid);
    VimVirtualMachinePowerState power = machine ? machine->power : VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF;
    g_clear_pointer(&machine, esx_machine_free);
    if (paused)
        return power == VIM_VIRTUAL_MACHINE_POWER_STATE_SUSPENDED ? VIREO_OK : esx_machine_suspend(conn, call, &args->snap.dom);
    return power == VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_ON
               ? VIREO_OK : esx_machine_power_on(conn, call, &args->snap.dom, OFF | SUSPENDED);
}

static int delete(EsxConn *conn, vireo_call *call, EsxRef *snapshot, EsxRef *machine, gboolean children)
{
    VimRemoveSnapshotTaskArgs args = { ._this = snapshot, .remove_children = children };

    return esx_task_run(conn, call, machine, &vim_remove_snapshot_task_operation, &args);
}

/* Each child with all below it, in the tree's order; the first that fails is the last. */
static int delete_children(EsxConn *conn, vireo_call *call, const EsxMachine *machine, const EsxSnapshot *parent, EsxRef *ref)
{
    int status = VIREO_OK;

    for (guint i = 0; status == VIREO_OK && i < machine->snapshots->len; i++) {
        const EsxSnapshot *child = machine->snapshots->pdata[i];

        if (child->parent >= 0 && machine->snapshots->pdata[child->parent] == parent)
            status = delete(conn, call, ref_for_call(conn, call, child->ref), ref, TRUE);
    }
    return status;
}

int esx_domain_snapshot_delete(void *handle, vireo_call *call, const vireo_domain_snapshot_delete_args *args)
{
    EsxConn *conn = handle;
    EsxSnapshot *snapshot;
    EsxMachine *machine = find(conn, call, &args->snap, &snapshot);

    if (!machine)
        return VIREO_FAIL;
    EsxRef *ref = ref_for_call(conn, call, machine->ref);
    int status = args->flags & VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY
                     ? delete_children(conn, call, machine, snapshot, ref)
                     : delete(conn, call, ref_for_call(conn, call, snapshot->ref), ref,
                              (args->flags & VIREO_DOMAIN_SNAPSHOT_DELETE_CHILDREN) != 0);
    esx_machine_free(machine);
    return status;
}
