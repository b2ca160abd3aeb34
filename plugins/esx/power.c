/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting, stopping and what is between. vSphere suspends to disk; clients see such a machine as paused. */
#include "ops.h"

#define OFF       (1u << VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF)
#define ON        (1u << VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_ON)
#define SUSPENDED (1u << VIM_VIRTUAL_MACHINE_POWER_STATE_SUSPENDED)

static const char *power_words(VimVirtualMachinePowerState power)
{
    return power == VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_ON    ? "running"
           : power == VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF ? "not running"
                                                                  : "suspended";
}

EsxRef *esx_machine_need(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom, guint states)
{
    EsxRef *ref = esx_machine_ref(conn, call, dom);
    VireoHttpWait wait = esx_wait(call);
    GError *error = NULL;

    if (!ref)
        return NULL;
    if (!esx_inventory_read(conn->server, &ref, 1, &wait, &error)) {
        esx_fail(conn->driver, call, error);
        return NULL;
    }
    EsxMachine *machine = esx_machine_find(conn->server, dom->uuid);
    if (!machine)
        conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", dom->name);
    else if (!(states & (1u << machine->power))) {
        conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID, "domain '%s' is %s", machine->name,
                                 power_words(machine->power));
        g_clear_pointer(&machine, esx_machine_free);
    }
    if (!machine)
        return NULL;
    esx_machine_free(machine);
    return ref;
}

int esx_machine_power_on(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom, guint states)
{
    EsxRef *machine = esx_machine_need(conn, call, dom, states);
    VimPowerOnVMTaskArgs args = { ._this = machine, .host = conn->server->host };

    if (!machine)
        return VIREO_FAIL;
    return esx_task_run(conn, call, machine, &vim_power_on_vm_task_operation, &args);
}

static int power_off(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom, guint states)
{
    EsxRef *machine = esx_machine_need(conn, call, dom, states);
    VimPowerOffVMTaskArgs off = { ._this = machine };

    if (!machine)
        return VIREO_FAIL;
    vireo_machines_expect(conn->server->machines, dom->uuid, VIREO_DOMAIN_SHUTOFF_DESTROYED);
    int status = esx_task_run(conn, call, machine, &vim_power_off_vm_task_operation, &off);
    if (status != VIREO_OK)
        vireo_machines_expect(conn->server->machines, dom->uuid, 0);
    return status;
}

/* One that is suspended goes on, as from a saved image. */
int esx_domain_create_with_flags(void *handle, vireo_call *call, const vireo_domain_create_with_flags_args *args,
                                 vireo_domain_create_with_flags_ret *ret)
{
    EsxConn *conn = handle;
    EsxMachine *machine = esx_machine_find(conn->server, args->dom.uuid);
    gboolean saved = machine && machine->power == VIM_VIRTUAL_MACHINE_POWER_STATE_SUSPENDED;
    int status = VIREO_OK;

    g_clear_pointer(&machine, esx_machine_free);
    if (saved && args->flags & VIREO_DOMAIN_START_FORCE_BOOT)
        status = power_off(conn, call, &args->dom, SUSPENDED);
    if (status == VIREO_OK)
        status = esx_machine_power_on(conn, call, &args->dom, OFF | SUSPENDED);
    if (status == VIREO_OK)
        ret->dom = esx_machine_dom(conn, call, &args->dom);
    return status;
}

/* One that stands still because of a question goes on with the answer the server suggests. */
int esx_domain_resume(void *handle, vireo_call *call, const vireo_domain_resume_args *args)
{
    EsxConn *conn = handle;
    EsxMachine *machine = esx_machine_find(conn->server, args->dom.uuid);
    gboolean asks = machine && machine->question && (ON & (1u << machine->power));
    int status = asks ? esx_machine_answer(conn, call, machine) : VIREO_OK;

    g_clear_pointer(&machine, esx_machine_free);
    return asks ? status : esx_machine_power_on(conn, call, &args->dom, SUSPENDED);
}

int esx_machine_suspend(EsxConn *conn, vireo_call *call, const vireo_domain_ref *dom)
{
    EsxRef *machine = esx_machine_need(conn, call, dom, ON);
    VimSuspendVMTaskArgs suspend = { ._this = machine };

    if (!machine)
        return VIREO_FAIL;
    return esx_task_run(conn, call, machine, &vim_suspend_vm_task_operation, &suspend);
}

int esx_domain_suspend(void *handle, vireo_call *call, const vireo_domain_suspend_args *args)
{
    return esx_machine_suspend(handle, call, &args->dom);
}

/* The memory goes to disk either way. */
int esx_domain_managed_save(void *handle, vireo_call *call, const vireo_domain_managed_save_args *args)
{
    return esx_machine_suspend(handle, call, &args->dom);
}

int esx_domain_managed_save_remove(void *handle, vireo_call *call, const vireo_domain_managed_save_remove_args *args)
{
    return power_off(handle, call, &args->dom, SUSPENDED);
}

int esx_domain_destroy_flags(void *handle, vireo_call *call, const vireo_domain_destroy_flags_args *args)
{
    return power_off(handle, call, &args->dom, ON | SUSPENDED);
}

int esx_domain_reset(void *handle, vireo_call *call, const vireo_domain_reset_args *args)
{
    EsxConn *conn = handle;
    EsxRef *machine = esx_machine_need(conn, call, &args->dom, ON);
    VimResetVMTaskArgs reset = { ._this = machine };

    if (!machine)
        return VIREO_FAIL;
    int status = esx_task_run(conn, call, machine, &vim_reset_vm_task_operation, &reset);
    if (status == VIREO_OK) {
        vireo_domain_event_reboot_msg msg = { .dom = esx_machine_dom(conn, call, &args->dom) };

        conn->driver->host->event(conn->server->space, VIREO_EVENT_domain_event_reboot, &msg);
    }
    return status;
}

/* The guest's tools do it, when they run; it ends some time later. */
int esx_domain_shutdown_flags(void *handle, vireo_call *call, const vireo_domain_shutdown_flags_args *args)
{
    EsxConn *conn = handle;
    EsxRef *machine = esx_machine_need(conn, call, &args->dom, ON);
    VimShutdownGuestArgs down = { ._this = machine };
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    GError *error = NULL;

    if (!machine)
        return VIREO_FAIL;
    if (!vim_shutdown_guest(conn->server->soap, &down, &wait, arena, &error))
        return esx_fail(conn->driver, call, error);
    return VIREO_OK;
}

int esx_domain_reboot(void *handle, vireo_call *call, const vireo_domain_reboot_args *args)
{
    EsxConn *conn = handle;
    EsxRef *machine = esx_machine_need(conn, call, &args->dom, ON);
    VimRebootGuestArgs again = { ._this = machine };
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    GError *error = NULL;

    if (!machine)
        return VIREO_FAIL;
    if (!vim_reboot_guest(conn->server->soap, &again, &wait, arena, &error))
        return esx_fail(conn->driver, call, error);
    return VIREO_OK;
}
