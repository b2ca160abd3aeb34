/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Migration from one host to another, in the three steps of clients that talk to both: the destination says who it is, the
 * source checks and moves, the destination shows what has come. */
#include <string.h>

#include "ops.h"

#define SERVICE "Msvm_VirtualSystemMigrationService"
#define SCHEME  "hyperv-migration://"
#define MACHINE             32768 /* MigrationType */
#define MACHINE_AND_STORAGE 32771
#define TCP                 5
#define PAUSE               9 /* RequestedState */

/* The catalogue lets them through, as they are queries there. */
static gboolean may_write(HypervConn *conn, vireo_call *call)
{
    if (conn->readonly)
        conn->driver->host->fail(call, VIREO_ERR_OPERATION_DENIED, "a read-only connection does not migrate");
    return !conn->readonly;
}

int hyperv_domain_migrate_prepare(void *handle, vireo_call *call, const vireo_domain_migrate_prepare_args *args,
                                  vireo_domain_migrate_prepare_ret *ret)
{
    HypervConn *conn = handle;
    VireoHttpWait wait = hyperv_wait(call);
    HypervTalk talk;

    if (!may_write(conn, call))
        return VIREO_FAIL;
    if (args->resource)
        return conn->driver->host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED,
                                        "how fast a machine is moved is set on the hosts");
    if (args->uri_in)
        return VIREO_OK; /* what it was told */
    hyperv_talk_begin(&talk, conn->server, call, &wait);
    const VireoCim *system = hyperv_query_one(&talk, HYPERV_CIMV2, "Win32_ComputerSystem",
                                              "select DNSHostName,Domain,PartOfDomain from Win32_ComputerSystem");
    gboolean joined = vireo_cim_flag(system, "PartOfDomain");
    g_autofree char *uri = g_strconcat(SCHEME, vireo_cim_string(system, "DNSHostName"), joined ? "." : "",
                                       joined ? vireo_cim_string(system, "Domain") : "", NULL);
    ret->uri_out = conn->driver->host->strdup(call, uri);
    return hyperv_talk_finish(&talk, call);
}

static VireoCim *arguments(HypervTalk *talk, const HypervMachine *machine, const char *host, gboolean storage)
{
    VireoCim *args = vireo_cim_add_path(vireo_cim_new(""), "ComputerSystem", hyperv_machine_path(talk, machine->guid));
    g_autoptr(VireoCim) how = vireo_cim_new("Msvm_VirtualSystemMigrationSettingData");

    vireo_cim_add_number(how, "MigrationType", "uint16", storage ? MACHINE_AND_STORAGE : MACHINE);
    vireo_cim_add_number(how, "TransportType", "uint16", TCP);
    vireo_cim_add(args, "DestinationHost", NULL, host);
    return vireo_cim_add_embedded(args, "MigrationSettingData", how);
}

int hyperv_domain_migrate_perform(void *handle, vireo_call *call, const vireo_domain_migrate_perform_args *args)
{
    HypervConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    g_autoptr(GUri) uri = g_uri_parse(args->uri, G_URI_FLAGS_NONE, NULL);
    const char *to = uri ? g_uri_get_host(uri) : NULL;
    gboolean storage = args->flags & VIREO_MIGRATE_NON_SHARED_DISK;
    HypervTalk talk;

    if (!may_write(conn, call))
        return VIREO_FAIL;
    if (!to || !*to)
        return host->fail(call, VIREO_ERR_INVALID_ARG, "'%s' names no host: a destination is " SCHEME "HOST", args->uri);
    if (args->dname && !g_str_equal(args->dname, args->dom.name))
        return host->fail(call, VIREO_ERR_ARGUMENT_UNSUPPORTED, "a machine keeps its name when it is moved");
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);
    if (!machine)
        return VIREO_FAIL;
    const VireoCim *service = hyperv_service(&talk, SERVICE);
    hyperv_invoke(&talk, service, "CheckVirtualSystemIsMigratable", arguments(&talk, machine, to, storage));
    hyperv_invoke(&talk, service, "MigrateVirtualSystemToHost", arguments(&talk, machine, to, storage));
    hyperv_inventory_read(&talk, machine->guid, FALSE);
    return hyperv_talk_finish(&talk, call);
}

int hyperv_domain_migrate_finish(void *handle, vireo_call *call, const vireo_domain_migrate_finish_args *args,
                                 vireo_domain_migrate_finish_ret *ret)
{
    HypervConn *conn = handle;
    VireoHttpWait wait = hyperv_wait(call);
    HypervTalk talk;

    if (!may_write(conn, call))
        return VIREO_FAIL;
    hyperv_talk_begin(&talk, conn->server, call, &wait);
    hyperv_inventory_read(&talk, NULL, FALSE);
    g_autoptr(GPtrArray) machines = vireo_machines_all(conn->server->machines);
    const HypervMachine *come = NULL;
    for (guint i = 0; i < machines->len; i++)
        if (g_str_equal(((HypervMachine *)machines->pdata[i])->name, args->dname))
            come = machines->pdata[i];
    if (!come)
        hyperv_talk_refuse(&talk, VIREO_ERR_NO_DOMAIN, "the machine '%s' has not come to %s", args->dname,
                           conn->server->uri->host);
    else if ((args->flags & VIREO_MIGRATE_PAUSED) && hyperv_state_of(come->state) == VIREO_DOMAIN_RUNNING)
        hyperv_machine_request(&talk, come->guid, PAUSE);
    if (come) {
        hyperv_inventory_read(&talk, come->guid, FALSE);
        ret->ddom.name = conn->driver->host->strdup(call, come->name);
        memcpy(ret->ddom.uuid, come->uuid, 16);
        ret->ddom = hyperv_machine_dom(conn, call, &ret->ddom);
    }
    return hyperv_talk_finish(&talk, call);
}
