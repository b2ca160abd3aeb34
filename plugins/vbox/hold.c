/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server lets one at a time do something with a machine. */
#include "driver.h"

#include "kit/retry.h"

#define OBJECT_NOT_FOUND 0x80bb0001u
#define VM_ERROR         0x80bb0003u /* of locking: the machine's process has no console any more, or none yet */
#define PATIENCE_MS      10000

const char *vbox_machine_ref(VboxTalk *talk, const guint8 uuid[16])
{
    char text[37];

    vireo_model_uuid_format(uuid, text);
    const char *ref = VBOX_CALL(talk, i_virtual_box_find_machine, ._this = talk->web, .name_or_id = text)->returnval;
    if (vbox_error_result(talk->error) == OBJECT_NOT_FOUND) {
        g_clear_error(&talk->error);
        vbox_talk_refuse(talk, VIREO_ERR_NO_DOMAIN, "there is no machine %s any more", text);
    }
    return ref;
}

static void hold_once(VboxTalk *talk, const char *machine, VboxHold *hold)
{
    *hold = (VboxHold){.session = "", .machine = "", .console = ""};
    const char *session =
        VBOX_CALL(talk, i_websession_manager_get_session_object, .ref_i_virtual_box = talk->web)->returnval;
    vbox_talk_take(talk, session);
    VBOX_CALL(talk, i_machine_lock_machine, ._this = machine, .session = session, .lock_type = VW_LOCK_TYPE_SHARED);
    if (talk->error)
        return;
    hold->session = session;
    hold->machine = VBOX_TAKE(talk, i_session_get_machine, session);
    hold->console = VBOX_TAKE(talk, i_session_get_console, session);
    if (talk->error)
        vbox_let_go(talk, hold);
}

/* Who has just finished with it needs a moment, and so does a machine that is ending: it can be locked and has nothing to
 * be held by. */
static gboolean may_pass(const GError *error)
{
    guint32 result = vbox_error_result(error);

    return result == VBOX_INVALID_OBJECT_STATE || result == VM_ERROR;
}

static gboolean take_hold(VboxTalk *talk, const char *machine, guint patience_ms, VboxHold *hold)
{
    VireoRetry retry = {.first_ms = 20,
                        .most_ms = 500,
                        .deadline_ms = patience_ms,
                        .cancelled = talk->wait.cancelled,
                        .opaque = talk->wait.opaque};

    if (talk->error)
        return FALSE;
    hold_once(talk, machine, hold);
    while (may_pass(talk->error) && vireo_retry_again(&retry)) {
        g_clear_error(&talk->error);
        hold_once(talk, machine, hold);
    }
    if (may_pass(talk->error)) {
        vbox_error_translate(&talk->error);
        talk->error->code = VIREO_ERR_RESOURCE_BUSY;
    }
    return talk->error == NULL;
}

gboolean vbox_hold(VboxTalk *talk, const char *machine, VboxHold *hold)
{
    return take_hold(talk, machine, PATIENCE_MS, hold);
}

gboolean vbox_hold_briefly(VboxTalk *talk, const char *machine, VboxHold *hold)
{
    return take_hold(talk, machine, 1, hold);
}

void vbox_let_go(VboxTalk *talk, VboxHold *hold)
{
    vw_i_session_unlock_machine_args args = {._this = hold->session};

    /* When the machine has ended meanwhile it may not be held any more; and a call that is over still lets go. */
    if (*hold->session)
        vw_i_session_unlock_machine(talk->server->soap, &args, NULL, talk->arena, NULL);
    hold->session = "";
}
