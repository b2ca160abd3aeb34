/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Machines come and go. */
#include "ops.h"

#include <string.h>

#include "spec.h"

/* The datastore with the most room that the host can reach; NULL: failed. */
static const char *roomiest_datastore(EsxServer *server, const VireoHttpWait *wait, VireoArena *arena, GError **error)
{
    g_autoptr(GPtrArray) stores = esx_datastores(server, wait, arena, error);
    const VimDatastoreSummary *best = NULL;

    for (guint i = 0; stores && i < stores->len; i++) {
        const VimDatastoreSummary *one = stores->pdata[i];

        if (one->accessible && (!best || one->free_space > best->free_space))
            best = one;
    }
    if (stores && !best)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED, "the host has no datastore that can be reached");
    return best ? best->name : NULL;
}

/* Beside the first disk. */
static const char *path_beside(const char *disk, const char *name, VireoArena *arena)
{
    const char *slash = strrchr(disk, '/'), *end = slash ? slash + 1 : strstr(disk, "] ") + 2;
    g_autofree char *path = g_strdup_printf("%.*s%s.vmx", (int)(end - disk), disk, name);

    return vireo_arena_strdup(arena, path);
}

/* In a folder that the server makes, in the datastore of that disk or, without one, wherever there is room. NULL: failed. */
static const char *path_apart(EsxServer *server, const char *disk, const VireoHttpWait *wait, VireoArena *arena,
                              GError **error)
{
    const char *store = disk ? NULL : roomiest_datastore(server, wait, arena, error);
    g_autofree char *path = disk ? g_strndup(disk, strcspn(disk, "]") + 1) : store ? g_strdup_printf("[%s]", store) : NULL;

    return path ? vireo_arena_strdup(arena, path) : NULL;
}

static EsxRef *create_at(EsxConn *conn, vireo_call *call, EsxSpec *spec, const char *path, VireoArena *arena, GError **error)
{
    EsxServer *server = conn->server;
    VireoHttpWait wait = esx_wait(call);
    VimVirtualMachineFileInfo files = { .vm_path_name = path };
    VimCreateVMTaskArgs args = { ._this = server->vm_folder, .config = &spec->config, .pool = server->pool,
                                 .host = server->host };

    spec->config.files = &files;
    VimCreateVMTaskRet *ret = vim_create_vm_task(server->soap, &args, &wait, arena, error);
    spec->config.files = NULL;
    return ret ? esx_task_result(conn, call, ret->returnval, arena, error) : NULL;
}

static gboolean is_taken(const GError *error)
{
    g_autofree char *text = NULL;

    return esx_error_number(error, &text) == VIREO_ERR_STORAGE_VOL_EXIST;
}

/* What a machine that was undefined has left beside its disk stays, and is in nobody's way. */
static gboolean create_machine(EsxConn *conn, vireo_call *call, EsxSpec *spec, VireoArena *arena, GError **error)
{
    VireoHttpWait wait = esx_wait(call);
    const char *disk = spec->first_file, *path = NULL;
    g_autoptr(GError) wrong = NULL;
    EsxRef *made = NULL;

    if (disk)
        made = create_at(conn, call, spec, path_beside(disk, spec->config.name, arena), arena, &wrong);
    if (!disk || (!made && is_taken(wrong))) {
        g_clear_error(&wrong);
        path = path_apart(conn->server, disk, &wait, arena, &wrong);
        made = path ? create_at(conn, call, spec, path, arena, &wrong) : NULL;
    }
    if (!made)
        g_propagate_error(error, g_steal_pointer(&wrong));
    return made && esx_inventory_read(conn->server, &made, 1, &wait, error);
}

/* ---- an existing machine ------------------------------------------------------------- */

static gboolean same_lists(const VireoModelType *type, const char *element, gpointer const *one, guint n_one,
                           gpointer const *other, guint n_other)
{
    gboolean same = n_one == n_other;

    for (guint i = 0; same && i < n_one; i++) {
        g_autofree char *left = vireo_model_format(type, element, one[i], VIREO_MODEL_FORMAT_INACTIVE);
        g_autofree char *right = vireo_model_format(type, element, other[i], VIREO_MODEL_FORMAT_INACTIVE);

        same = g_str_equal(left, right);
    }
    return same;
}

static gboolean same_devices(const VireoDomain *one, const VireoDomain *other)
{
    return same_lists(&vireo_domain_disk_type, "disk", (gpointer *)one->devices->disks.items, one->devices->disks.n,
                      (gpointer *)other->devices->disks.items, other->devices->disks.n) &&
           same_lists(&vireo_domain_interface_type, "interface", (gpointer *)one->devices->interfaces.items,
                      one->devices->interfaces.n, (gpointer *)other->devices->interfaces.items,
                      other->devices->interfaces.n);
}

/* What of a definition an existing machine can take on: not its name, its devices or what it boots with. */
static gboolean can_become(const VireoDomain *is, const VireoDomain *wanted, GError **error)
{
    const char *what = !g_str_equal(is->name, wanted->name)                       ? "name (domrename does that)"
                       : g_strcmp0(is->os->type->arch, wanted->os->type->arch) != 0 && wanted->os->type->arch
                           ? "architecture"
                       : is->os->firmware != wanted->os->firmware && wanted->os->firmware ? "firmware"
                       : !same_devices(is, wanted)                                ? "disks and interfaces"
                                                                                  : NULL;

    if (what)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_UNSUPPORTED,
                    "domain '%s' exists: a definition does not change its %s", is->name, what);
    return what == NULL;
}

static gboolean reconfigure(EsxConn *conn, vireo_call *call, EsxMachine *machine, const VireoDomain *wanted, EsxSpec *spec,
                            GError **error)
{
    EsxServer *server = conn->server;
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimResourceAllocationInfo unlimited = { .has_limit = TRUE, .limit = -1 };
    VimReconfigVMTaskArgs args = { ._this = machine->ref, .spec = &spec->config };
    VimObjectContent *object =
        esx_properties_of(server, machine->ref, esx_describe_paths, esx_describe_n_paths, &wait, arena, error);
    VireoDomain *is = object ? esx_describe(server, machine, object) : NULL;
    gboolean good = is && can_become(is, wanted, error);

    vireo_domain_free(is);
    if (!good)
        return FALSE;
    spec->config.name = spec->config.uuid = spec->config.guest_id = spec->config.firmware = NULL;
    if (!spec->config.annotation)
        spec->config.annotation = "";
    if (!spec->config.memory_allocation)
        spec->config.memory_allocation = &unlimited;
    VimReconfigVMTaskRet *ret = vim_reconfig_vm_task(server->soap, &args, &wait, arena, error);
    return ret && esx_task_end(conn, call, ret->returnval, error) &&
           esx_inventory_read(server, &machine->ref, 1, &wait, error);
}

static gboolean make(EsxConn *conn, vireo_call *call, const VireoDomain *domain, GError **error)
{
    EsxMachine *known = esx_machine_find(conn->server, domain->uuid);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    EsxSpec spec;
    gboolean good = esx_spec_make(&spec, domain, known == NULL, arena, error);

    if (good && known)
        good = reconfigure(conn, call, known, domain, &spec, error);
    else if (good && vireo_machines_has_name(conn->server->machines, domain->name)) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_DOM_EXIST, "there is a domain '%s' already, with another UUID",
                    domain->name);
        good = FALSE;
    } else if (good)
        good = create_machine(conn, call, &spec, arena, error);
    esx_spec_clear(&spec);
    g_clear_pointer(&known, esx_machine_free);
    return good;
}

int esx_domain_define_xml_flags(void *handle, vireo_call *call, const vireo_domain_define_xml_flags_args *args,
                                vireo_domain_define_xml_flags_ret *ret)
{
    EsxConn *conn = handle;
    guint how = VIREO_MODEL_PARSE_INACTIVE |
                (args->flags & VIREO_DOMAIN_DEFINE_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0);
    GError *error = NULL;
    VireoDomain *domain = vireo_domain_parse(args->xml, how, &error);
    gboolean good = domain != NULL;

    if (good && !domain->has_uuid) {
        g_autofree char *uuid = g_uuid_string_random();
        domain->has_uuid = vireo_model_uuid_parse(uuid, domain->uuid);
    }
    good = good && vireo_model_path_set_check(conn->driver->honoured, domain, &error) && make(conn, call, domain, &error);
    if (good) {
        vireo_domain_ref dom = { .name = conn->driver->host->strdup(call, domain->name), .id = -1 };

        memcpy(dom.uuid, domain->uuid, 16);
        ret->dom = esx_machine_dom(conn, call, &dom);
    }
    vireo_domain_free(domain);
    return good ? VIREO_OK : esx_fail(conn->driver, call, error);
}

/* The machine's files stay where they are. */
int esx_domain_undefine_flags(void *handle, vireo_call *call, const vireo_domain_undefine_flags_args *args)
{
    EsxConn *conn = handle;
    EsxRef *machine = esx_machine_ref(conn, call, &args->dom);
    VimUnregisterVMArgs unregister = { ._this = machine };
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    GError *error = NULL;

    if (!machine)
        return VIREO_FAIL;
    if (!vim_unregister_vm(conn->server->soap, &unregister, &wait, arena, &error))
        return esx_fail(conn->driver, call, error);
    esx_inventory_gone(conn->server, machine->value);
    return VIREO_OK;
}

int esx_domain_rename(void *handle, vireo_call *call, const vireo_domain_rename_args *args, vireo_domain_rename_ret *ret)
{
    EsxConn *conn = handle;
    EsxRef *machine = esx_machine_ref(conn, call, &args->dom);
    g_autofree char *name = args->new_name ? esx_escape_name(args->new_name) : NULL;
    VimRenameTaskArgs rename = { ._this = machine, .new_name = name };

    if (!machine)
        return VIREO_FAIL;
    if (!name || !*name)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "a machine needs a name");
    if (vireo_machines_has_name(conn->server->machines, args->new_name))
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "there is a domain '%s' already", args->new_name);
    ret->retcode = 0;
    return esx_task_run(conn, call, machine, &vim_rename_task_operation, &rename);
}
