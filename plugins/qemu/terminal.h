/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streams between clients and the character devices of guests: one client at a time for each. */
#pragma once

#include "driver.h"

/* Joins the call's stream with fd, which is taken. key names the device among all of the driver's. FALSE
 * without an error: another client has it; with force that one's stream ends. */
gboolean qemu_terminal_join(QemuDriver *driver, vireo_call *call, const char *key, int fd, gboolean force,
                            GError **error);
/* Ends all of them. */
void qemu_terminals_end(QemuDriver *driver);
