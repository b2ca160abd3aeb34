/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Migration from one host of a vCenter to another. The vCenter does all of it: the client's two connections only tell it
 * where to. What they pass on between them is vpxmigr://SERVER[:PORT]/RESOURCE-POOL/HOST, in the server's references. */
#include "ops.h"

#include <string.h>

#define SEEN_MS   20
#define SEEN_MOST 500 /* times */

static gboolean refuse(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static gboolean refuse(GError **error, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(VIREO_ERROR, code, format, args));
    va_end(args);
    return FALSE;
}

int esx_conn_narrow(void *handle, vireo_call *call, vireo_conn_narrow_ret *ret)
{
    static const uint32_t of_centers[] = { VIREO_OP_domain_migrate_prepare, VIREO_OP_domain_migrate_perform,
                                           VIREO_OP_domain_migrate_finish };
    EsxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;

    if (conn->server->uri->center)
        return VIREO_OK;
    ret->narrowed.val = host->alloc(call, sizeof *ret->narrowed.val * G_N_ELEMENTS(of_centers));
    for (guint i = 0; i < G_N_ELEMENTS(of_centers); i++)
        ret->narrowed.val[ret->narrowed.len++] = (vireo_conn_narrowing){
            .op = of_centers[i],
            .reason = host->strdup(call, "a vCenter moves machines between its hosts: connect to it, as vpx://"),
        };
    return VIREO_OK;
}

static char *place_of(const EsxServer *server)
{
    const EsxUri *uri = server->uri;

    return g_strdup_printf(strchr(uri->host, ':') ? "vpxmigr://[%s]:%u/%s/%s" : "vpxmigr://%s:%u/%s/%s", uri->host,
                           uri->port, server->pool->value, server->host->value);
}

/* What a client may ask for, and a vCenter cannot do. */
static gboolean is_possible(const char *name, const char *dname, guint64 bandwidth, GError **error)
{
    if (dname && *dname && (!name || !g_str_equal(name, dname)))
        return refuse(error, VIREO_ERR_ARGUMENT_UNSUPPORTED, "a machine keeps its name when it moves: rename it before or after");
    return bandwidth == 0 ||
           refuse(error, VIREO_ERR_ARGUMENT_UNSUPPORTED, "the vCenter decides about the bandwidth: leave it out");
}

/* ---- where it goes to: asked first --------------------------------------------------------- */

int esx_domain_migrate_prepare(void *handle, vireo_call *call, const vireo_domain_migrate_prepare_args *args,
                               vireo_domain_migrate_prepare_ret *ret)
{
    EsxConn *conn = handle;
    g_autofree char *place = place_of(conn->server);

    if (args->uri_in && *args->uri_in && !g_str_equal(args->uri_in, place))
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG,
                                        "migration URI %s: leave it out, this connection's is %s", args->uri_in, place);
    ret->uri_out = conn->driver->host->strdup(call, place);
    return VIREO_OK;
}

/* ---- where it is ----------------------------------------------------------------------------- */

static gboolean read_place(EsxServer *server, const char *text, VireoArena *arena, VimVirtualMachineRelocateSpec *spec,
                           GError **error)
{
    g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_NONE, NULL);
    g_auto(GStrv) parts = uri ? g_strsplit(g_uri_get_path(uri), "/", -1) : NULL;
    EsxRef pool = { .type = "ResourcePool" }, host = { .type = "HostSystem" };

    if (!uri || !g_str_equal(g_uri_get_scheme(uri), "vpxmigr") || g_strv_length(parts) != 3 || !*parts[1] || !*parts[2])
        return refuse(error, VIREO_ERR_INVALID_ARG, "%s is no place in a vCenter: the other connection has to be one, too", text);
    if (g_strcmp0(g_uri_get_host(uri), server->uri->host) != 0 || (guint)g_uri_get_port(uri) != server->uri->port)
        return refuse(error, VIREO_ERR_INVALID_ARG,
                      "the other connection is to %s:%d, this one to %s:%u: a machine moves within one vCenter",
                      g_uri_get_host(uri), g_uri_get_port(uri), server->uri->host, server->uri->port);
    if (g_str_equal(parts[2], server->host->value))
        return refuse(error, VIREO_ERR_OPERATION_INVALID, "the machine is on that host already");
    pool.value = parts[1];
    host.value = parts[2];
    spec->pool = esx_ref_in(arena, &pool);
    spec->host = esx_ref_in(arena, &host);
    return TRUE;
}

/* One that is off moves when that is said; one that runs arrives running. */
static gboolean suits(const EsxMachine *machine, guint64 flags, GError **error)
{
    gboolean off = machine->power == VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF;

    if (off && !(flags & VIREO_MIGRATE_OFFLINE))
        return refuse(error, VIREO_ERR_OPERATION_INVALID, "domain '%s' is not running", machine->name);
    if ((flags & VIREO_MIGRATE_PAUSED) && esx_machine_state(machine) != VIREO_DOMAIN_PAUSED)
        return refuse(error, VIREO_ERR_OPERATION_INVALID,
                      "domain '%s' is running, and runs when it arrives: suspend it before or after", machine->name);
    return TRUE;
}

int esx_domain_migrate_perform(void *handle, vireo_call *call, const vireo_domain_migrate_perform_args *args)
{
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimVirtualMachineRelocateSpec spec = { 0 };
    EsxMachine *machine = esx_machine_find(conn->server, args->dom.uuid);
    GError *error = NULL;

    if (!machine)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", args->dom.name);
    gboolean good = is_possible(machine->name, args->dname, args->resource, &error) && suits(machine, args->flags, &error) &&
                    read_place(conn->server, args->uri, arena, &spec, &error);
    VimRelocateVMTaskArgs relocate = { ._this = machine->ref, .spec = &spec };
    int status = good ? esx_task_run(conn, call, machine->ref, &vim_relocate_vm_task_operation, &relocate)
                      : esx_fail(conn->driver, call, error);
    esx_machine_free(machine);
    return status;
}

/* ---- where it has come to ----------------------------------------------------------------------- */

static EsxMachine *machine_named(EsxServer *server, const char *name)
{
    g_autoptr(GPtrArray) all = vireo_machines_all(server->machines);

    for (guint i = 0; i < all->len; i++)
        if (g_str_equal(((EsxMachine *)all->pdata[i])->name, name))
            return g_atomic_rc_box_acquire(all->pdata[i]);
    return NULL;
}

/* The server has told this connection, or is about to. */
int esx_domain_migrate_finish(void *handle, vireo_call *call, const vireo_domain_migrate_finish_args *args,
                              vireo_domain_migrate_finish_ret *ret)
{
    EsxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    EsxMachine *machine = machine_named(conn->server, args->dname);

    for (guint i = 0; !machine && conn->server->uri->center && i < SEEN_MOST && !host->cancelled(call); i++) {
        g_usleep(SEEN_MS * 1000);
        machine = machine_named(conn->server, args->dname);
    }
    if (!machine)
        return host->fail(call, VIREO_ERR_OPERATION_TIMEOUT,
                          "machine '%s' has moved, but the vCenter has not told yet that it is here", args->dname);
    ret->ddom.name = host->strdup(call, machine->name);
    memcpy(ret->ddom.uuid, machine->uuid, 16);
    ret->ddom.id = machine->power == VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF ? -1 : machine->id;
    esx_machine_free(machine);
    return VIREO_OK;
}
