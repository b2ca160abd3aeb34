/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting, stopping and what is between. */
#include "ops.h"

#define RUN   2
#define OFF   3
#define SAVE  6
#define PAUSE 9
#define RESET 11

#define START_NEVER  2
#define START_ALWAYS 4

#define BIT(state) (1u << VIREO_DOMAIN_##state)
#define ON         (BIT(RUNNING) | BIT(PAUSED) | BIT(SHUTDOWN))

void hyperv_machine_request(HypervTalk *talk, const char *guid, guint state)
{
    VireoCim *args = vireo_cim_add_number(vireo_cim_new(""), "RequestedState", "uint16", state);

    hyperv_invoke(talk, hyperv_machine_path(talk, guid), "RequestStateChange", args);
}

/* The state it has now, whatever was published last. */
static int need(HypervTalk *talk, const HypervMachine *machine, guint states, const char *otherwise, guint *state)
{
    const VireoCim *system = hyperv_query_one(talk, HYPERV_SPACE, NULL,
                                              "select EnabledState from Msvm_ComputerSystem where Name='%s'",
                                              machine->guid);

    *state = (guint)vireo_cim_number(system, "EnabledState");
    if (!vireo_cim_text(system, "EnabledState"))
        hyperv_talk_refuse(talk, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", machine->name);
    else if (!(states & (1u << hyperv_state_of(*state))))
        hyperv_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID, "domain '%s': %s", machine->name, otherwise);
    return talk->error == NULL;
}

/* The whole of it: returns the call's status, when what is published is up to date. */
static int run(void *handle, vireo_call *call, const vireo_domain_ref *dom, guint states, const char *otherwise,
               guint wanted, int reason)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, dom);
    guint state;

    if (!machine)
        return VIREO_FAIL;
    need(&talk, machine, states, otherwise, &state);
    if (reason)
        vireo_machines_expect(conn->server->machines, machine->uuid, reason);
    hyperv_machine_request(&talk, machine->guid, wanted);
    if (talk.error)
        vireo_machines_expect(conn->server->machines, machine->uuid, 0);
    hyperv_inventory_read(&talk, machine->guid, FALSE);
    return hyperv_talk_finish(&talk, call);
}

int hyperv_domain_create_with_flags(void *handle, vireo_call *call, const vireo_domain_create_with_flags_args *args,
                                    vireo_domain_create_with_flags_ret *ret)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);
    guint state;

    if (!machine)
        return VIREO_FAIL;
    if (need(&talk, machine, BIT(SHUTOFF), "domain is already running", &state) && state == SAVE &&
        (args->flags & VIREO_DOMAIN_START_FORCE_BOOT))
        hyperv_machine_request(&talk, machine->guid, OFF);
    hyperv_machine_request(&talk, machine->guid, RUN);
    if ((args->flags & VIREO_DOMAIN_START_PAUSED) && !talk.error)
        hyperv_machine_request(&talk, machine->guid, PAUSE);
    hyperv_inventory_read(&talk, machine->guid, FALSE);
    int status = hyperv_talk_finish(&talk, call);
    if (status == VIREO_OK)
        ret->dom = hyperv_machine_dom(conn, call, &args->dom);
    return status;
}

int hyperv_domain_suspend(void *handle, vireo_call *call, const vireo_domain_suspend_args *args)
{
    return run(handle, call, &args->dom, BIT(RUNNING), "it is not running, so it cannot be suspended", PAUSE, 0);
}

int hyperv_domain_resume(void *handle, vireo_call *call, const vireo_domain_resume_args *args)
{
    return run(handle, call, &args->dom, BIT(PAUSED), "it is not paused, so it cannot be resumed", RUN, 0);
}

int hyperv_domain_destroy_flags(void *handle, vireo_call *call, const vireo_domain_destroy_flags_args *args)
{
    return run(handle, call, &args->dom, ON, "domain is not running", OFF, VIREO_DOMAIN_SHUTOFF_DESTROYED);
}

static int reset(void *handle, vireo_call *call, const vireo_domain_ref *dom)
{
    HypervConn *conn = handle;
    int status = run(handle, call, dom, BIT(RUNNING) | BIT(PAUSED), "it is not running, so it cannot be reset", RESET, 0);

    if (status == VIREO_OK) {
        vireo_domain_event_reboot_msg msg = {.dom = hyperv_machine_dom(conn, call, dom)};

        conn->driver->host->event(conn->server->space, VIREO_EVENT_domain_event_reboot, &msg);
    }
    return status;
}

int hyperv_domain_reboot(void *handle, vireo_call *call, const vireo_domain_reboot_args *args)
{
    return reset(handle, call, &args->dom);
}

int hyperv_domain_reset(void *handle, vireo_call *call, const vireo_domain_reset_args *args)
{
    return reset(handle, call, &args->dom);
}

/* The guest does it, when its integration services listen; it ends some time later. */
int hyperv_domain_shutdown_flags(void *handle, vireo_call *call, const vireo_domain_shutdown_flags_args *args)
{
    static const char *const keys[] = {"CreationClassName", "DeviceID", "SystemCreationClassName", "SystemName", NULL};
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);
    guint state;

    if (!machine)
        return VIREO_FAIL;
    need(&talk, machine, BIT(RUNNING), "it is not running, so it cannot be shut down", &state);
    const VireoCim *part = hyperv_query_one(&talk, HYPERV_SPACE, "shutdown service in this machine",
                                            "select * from Msvm_ShutdownComponent where SystemName='%s'", machine->guid);
    VireoCim *how = vireo_cim_add(vireo_cim_new(""), "Force", "boolean", "false");
    hyperv_invoke(&talk, hyperv_path_of(&talk, part, keys), "InitiateShutdown",
                  vireo_cim_add(how, "Reason", NULL, "asked for by an administrator"));
    hyperv_inventory_read(&talk, machine->guid, FALSE);
    return hyperv_talk_finish(&talk, call);
}

/* ---- the state on disk ----------------------------------------------------------------- */

int hyperv_domain_managed_save(void *handle, vireo_call *call, const vireo_domain_managed_save_args *args)
{
    return run(handle, call, &args->dom, BIT(RUNNING) | BIT(PAUSED), "it is not running, so it cannot be saved", SAVE, 0);
}

int hyperv_domain_managed_save_remove(void *handle, vireo_call *call, const vireo_domain_managed_save_remove_args *args)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);
    guint state;

    if (!machine)
        return VIREO_FAIL;
    if (need(&talk, machine, ~0u, "", &state) && state != SAVE)
        hyperv_talk_refuse(&talk, VIREO_ERR_OPERATION_INVALID, "domain '%s' has no saved state", machine->name);
    hyperv_machine_request(&talk, machine->guid, OFF);
    hyperv_inventory_read(&talk, machine->guid, FALSE);
    return hyperv_talk_finish(&talk, call);
}

int hyperv_domain_set_autostart(void *handle, vireo_call *call, const vireo_domain_set_autostart_args *args)
{
    HypervConn *conn = handle;
    HypervTalk talk;
    g_autoptr(HypervMachine) machine = hyperv_begin(&talk, conn, call, &args->dom);

    if (!machine)
        return VIREO_FAIL;
    g_autoptr(VireoCim) settings = hyperv_settings_new(machine->guid);
    vireo_cim_add_number(settings, "AutomaticStartupAction", "uint16", args->autostart ? START_ALWAYS : START_NEVER);
    hyperv_settings_apply(&talk, settings);
    hyperv_inventory_read(&talk, machine->guid, FALSE);
    return hyperv_talk_finish(&talk, call);
}
