/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting, stopping and what is between. */
#include "ops.h"

#include <string.h>

#include "kit/retry.h"

#define PATIENCE_MS 3000

#define BIT(state) (1u << VW_MACHINE_STATE_##state)
#define OFF        (BIT(POWERED_OFF) | BIT(ABORTED) | BIT(TELEPORTED) | SAVED)
#define SAVED      (BIT(SAVED) | BIT(ABORTED_SAVED))
#define ON         (BIT(RUNNING) | BIT(PAUSED) | BIT(STUCK))

/* The machine that a call means, when it is now in one of those states; "" when there is an error. */
static const char *need(VboxTalk *talk, const vireo_domain_ref *dom, guint states, const char *otherwise)
{
    const char *machine = vbox_machine_ref(talk, dom->uuid);
    int state = VBOX_GET(talk, i_machine_get_state, machine);

    if (!talk->error && (state < 0 || !(states & (1u << state))))
        vbox_talk_refuse(talk, VIREO_ERR_OPERATION_INVALID, "domain '%s': %s (it is %s)", dom->name, otherwise,
                         state > 0 ? vireo_soap_enum_name(&vw_machine_state_names, state) : "in an unknown state");
    return machine;
}

typedef enum { PAUSE, RESUME, RESET, POWER_BUTTON, POWER_DOWN, SAVE, DISCARD } Action;

static void act(VboxTalk *talk, vireo_call *call, const VboxHold *hold, Action what)
{
    switch (what) {
    case PAUSE:
        VBOX_CALL(talk, i_console_pause, ._this = hold->console);
        break;
    case RESUME:
        VBOX_CALL(talk, i_console_resume, ._this = hold->console);
        break;
    case RESET:
        VBOX_CALL(talk, i_console_reset, ._this = hold->console);
        break;
    case POWER_BUTTON:
        VBOX_CALL(talk, i_console_power_button, ._this = hold->console);
        break;
    case POWER_DOWN:
        vbox_talk_follow(talk, call, VBOX_GET(talk, i_console_power_down, hold->console));
        break;
    case SAVE:
        vbox_talk_follow(talk, call, VBOX_GET(talk, i_machine_save_state, hold->machine));
        break;
    case DISCARD:
        VBOX_CALL(talk, i_machine_discard_saved_state, ._this = hold->machine, .f_remove_file = TRUE);
        break;
    }
}

/* The whole of it: returns the call's status, when what is published is up to date. */
static int run(void *handle, vireo_call *call, const vireo_domain_ref *dom, guint states, const char *otherwise,
               Action what)
{
    VboxConn *conn = handle;
    VboxHold hold;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const char *machine = need(&talk, dom, states, otherwise);
    if (!talk.error && vbox_hold(&talk, machine, &hold)) {
        act(&talk, call, &hold, what);
        vbox_let_go(&talk, &hold);
    }
    vbox_inventory_read(&talk, dom->uuid);
    return vbox_talk_finish(&talk, call);
}

/* A daemon has no screen: what VirtualBox's own setting for the next start says holds when it needs none. */
static const char *front_end(VboxTalk *talk, const char *machine)
{
    const char *wanted = VBOX_CALL(talk, i_machine_get_extra_data, ._this = machine, .key = "FRONTEND/Type")->returnval;

    return g_str_equal(wanted, "vrdp") ? "vrdp" : "headless";
}

/* One that has just been turned off is let go a moment later. */
static const char *launch(VboxTalk *talk, const char *machine, const char *session, const char *front)
{
    VireoRetry retry = {.first_ms = 20,
                        .most_ms = 200,
                        .deadline_ms = PATIENCE_MS,
                        .cancelled = talk->wait.cancelled,
                        .opaque = talk->wait.opaque};
    const char *progress;

    if (talk->error)
        return "";
    do {
        g_clear_error(&talk->error);
        progress = VBOX_CALL(talk, i_machine_launch_vm_process, ._this = machine, .session = session, .name = front)
                       ->returnval;
    } while (vbox_error_result(talk->error) == VBOX_INVALID_OBJECT_STATE && vireo_retry_again(&retry));
    return progress;
}

void vbox_machine_start(VboxTalk *talk, vireo_call *call, const guint8 uuid[16])
{
    const char *machine = vbox_machine_ref(talk, uuid);
    const char *front = front_end(talk, machine);
    VboxHold hold = {
        .session = VBOX_CALL(talk, i_websession_manager_get_session_object, .ref_i_virtual_box = talk->web)->returnval};

    vbox_talk_take(talk, hold.session);
    const char *progress = launch(talk, machine, hold.session, front);
    if (!talk->error)
        vbox_talk_follow(talk, call, progress);
    vbox_let_go(talk, &hold);
    vbox_inventory_read(talk, uuid);
}

int vbox_domain_create_with_flags(void *handle, vireo_call *call, const vireo_domain_create_with_flags_args *args,
                                  vireo_domain_create_with_flags_ret *ret)
{
    VboxConn *conn = handle;
    VboxHold hold;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const char *machine = need(&talk, &args->dom, OFF, "domain is already running");
    int state = VBOX_GET(&talk, i_machine_get_state, machine);
    if (state > 0 && (SAVED & (1u << state)) && (args->flags & VIREO_DOMAIN_START_FORCE_BOOT) &&
        vbox_hold(&talk, machine, &hold)) {
        act(&talk, call, &hold, DISCARD);
        vbox_let_go(&talk, &hold);
    }
    vbox_machine_start(&talk, call, args->dom.uuid);
    int status = vbox_talk_finish(&talk, call);
    if (status == VIREO_OK)
        ret->dom = vbox_machine_dom(conn, call, &args->dom);
    return status;
}

int vbox_domain_suspend(void *handle, vireo_call *call, const vireo_domain_suspend_args *args)
{
    return run(handle, call, &args->dom, BIT(RUNNING), "machine not in running state to suspend it", PAUSE);
}

int vbox_domain_resume(void *handle, vireo_call *call, const vireo_domain_resume_args *args)
{
    return run(handle, call, &args->dom, BIT(PAUSED), "machine not paused, so can't resume it", RESUME);
}

/* The guest does it, when it listens; it ends some time later. */
int vbox_domain_shutdown_flags(void *handle, vireo_call *call, const vireo_domain_shutdown_flags_args *args)
{
    return run(handle, call, &args->dom, BIT(RUNNING), "machine not running, so can't power it down", POWER_BUTTON);
}

int vbox_domain_destroy_flags(void *handle, vireo_call *call, const vireo_domain_destroy_flags_args *args)
{
    VboxConn *conn = handle;

    vireo_machines_expect(conn->server->machines, args->dom.uuid, VIREO_DOMAIN_SHUTOFF_DESTROYED);
    int status = run(handle, call, &args->dom, ON, "domain is not running", POWER_DOWN);
    if (status != VIREO_OK)
        vireo_machines_expect(conn->server->machines, args->dom.uuid, 0);
    return status;
}

static int reset(void *handle, vireo_call *call, const vireo_domain_ref *dom)
{
    VboxConn *conn = handle;
    int status = run(handle, call, dom, BIT(RUNNING), "machine not running, so can't reboot it", RESET);

    if (status == VIREO_OK) {
        vireo_domain_event_reboot_msg msg = {.dom = vbox_machine_dom(conn, call, dom)};

        conn->driver->host->event(conn->server->space, VIREO_EVENT_domain_event_reboot, &msg);
    }
    return status;
}

int vbox_domain_reboot(void *handle, vireo_call *call, const vireo_domain_reboot_args *args)
{
    return reset(handle, call, &args->dom);
}

int vbox_domain_reset(void *handle, vireo_call *call, const vireo_domain_reset_args *args)
{
    return reset(handle, call, &args->dom);
}

/* ---- the state on disk ----------------------------------------------------------------- */

int vbox_domain_managed_save(void *handle, vireo_call *call, const vireo_domain_managed_save_args *args)
{
    return run(handle, call, &args->dom, BIT(RUNNING) | BIT(PAUSED), "machine not running, so can't save it", SAVE);
}

int vbox_domain_managed_save_remove(void *handle, vireo_call *call, const vireo_domain_managed_save_remove_args *args)
{
    return run(handle, call, &args->dom, SAVED, "domain has no saved state", DISCARD);
}

int vbox_domain_set_autostart(void *handle, vireo_call *call, const vireo_domain_set_autostart_args *args)
{
    VboxConn *conn = handle;
    VboxHold hold;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const char *machine = vbox_machine_ref(&talk, args->dom.uuid);
    if (!talk.error && vbox_hold(&talk, machine, &hold)) {
        VBOX_CALL(&talk, i_machine_set_autostart_enabled, ._this = hold.machine,
                  .autostart_enabled = args->autostart != 0);
        VBOX_CALL(&talk, i_machine_save_settings, ._this = hold.machine);
        vbox_let_go(&talk, &hold);
    }
    vbox_inventory_read(&talk, args->dom.uuid);
    return vbox_talk_finish(&talk, call);
}
