/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether somebody in the guest holds a virtio channel open; of the agent's, clients are told. */
#pragma once

#include "driver.h"

/* Reads QEMU's list of character devices into the definition. */
void qemu_channel_learn(VireoDomain *doc, JsonArray *chardevs);
/* QEMU reported a change; on the monitor's thread. The definition follows when the domain's job is free. */
void qemu_channel_changed(QemuDomain *dom, const char *alias, gboolean open);
/* The guest was started: what clients are told of it. */
void qemu_channel_started(QemuDomain *dom);
