/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

#define QEMU_AGENT_CHANNEL "org.qemu.guest_agent.0"

/* The agent inside the guest, by way of the channel org.qemu.guest_agent.0. It may be missing, dead or
 * lying: what it says is taken as it is, what it does not say ends with the time given. */

/* Whether an agent may answer: without asking it, so not for sure. Else why it does not, as qemu_agent_command would say. */
gboolean qemu_agent_connected(QemuDomain *dom, GError **error);
/* Sends one command (a JSON object as text) and waits for its answer; seconds < 0: without limit.
 * One command at a time per guest. The answer ({"return": ...}) is owned by the caller. An error the
 * agent reports is AGENT_COMMAND_FAILED, silence AGENT_UNRESPONSIVE. */
JsonObject *qemu_agent_command(QemuDomain *dom, vireo_call *call, const char *text, int seconds,
                               GError **error);
