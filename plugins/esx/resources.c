/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CPUs and memory. A machine has one configuration, whether it runs or not. */
#include "ops.h"

#include "spec.h"

int esx_machine_reconfigure(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom,
                            VimVirtualMachineConfigSpec *spec)
{
    EsxRef *machine = esx_machine_ref(conn, call, dom);
    VimReconfigVMTaskArgs args = { ._this = machine, .spec = spec };

    if (!machine)
        return VIREO_FAIL;
    return esx_task_run(conn, call, machine, &vim_reconfig_vm_task_operation, &args);
}

int esx_domain_set_vcpus_flags(void *handle, vireo_call *call, const vireo_domain_set_vcpus_flags_args *args)
{
    VimVirtualMachineConfigSpec spec = { .has_num_cpus = TRUE, .num_cpus = (gint32)args->nvcpus };
    EsxConn *conn = handle;

    if (args->nvcpus == 0 || args->nvcpus > 1024)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "%u virtual CPUs: give a number from 1 to 1024",
                                        args->nvcpus);
    return esx_machine_reconfigure(conn, call, &args->dom, &spec);
}

int esx_domain_get_vcpus_flags(void *handle, vireo_call *call, const vireo_domain_get_vcpus_flags_args *args,
                               vireo_domain_get_vcpus_flags_ret *ret)
{
    EsxConn *conn = handle;
    EsxMachine *machine = esx_machine_find(conn->server, args->dom.uuid);
    vireo_connect_get_max_vcpus_args any = { .type = NULL };
    vireo_connect_get_max_vcpus_ret most = { 0 };

    if (!machine)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", args->dom.name);
    ret->num = (int)machine->vcpus;
    esx_machine_free(machine);
    if (!(args->flags & VIREO_DOMAIN_VCPU_MAXIMUM))
        return VIREO_OK;
    int status = esx_connect_get_max_vcpus(handle, call, &any, &most);
    if (status == VIREO_OK)
        ret->num = MAX(ret->num, most.max_vcpus);
    return status;
}

/* The most is what the guest is told it has; below it, vSphere limits what it gets of that. */
int esx_domain_set_memory_flags(void *handle, vireo_call *call, const vireo_domain_set_memory_flags_args *args)
{
    EsxConn *conn = handle;
    EsxMachine *machine = esx_machine_find(conn->server, args->dom.uuid);
    VimResourceAllocationInfo allocation = { .has_limit = TRUE, .limit = (gint64)(args->memory / 1024) };
    VimVirtualMachineConfigSpec spec = { 0 };

    if (!machine)
        return conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", args->dom.name);
    guint64 most = machine->max_memory;
    esx_machine_free(machine);
    if (args->memory < 4096)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "the least memory is 4096 KiB");
    if (args->flags & VIREO_DOMAIN_MEM_MAXIMUM) {
        spec.has_memory_mb = TRUE;
        spec.memory_mb = (gint64)ESX_MEMORY_MIB(args->memory);
        return esx_machine_reconfigure(conn, call, &args->dom, &spec);
    }
    if (args->memory > most)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "the machine has %" G_GUINT64_FORMAT " KiB at most", most);
    spec.memory_allocation = &allocation;
    return esx_machine_reconfigure(conn, call, &args->dom, &spec);
}
