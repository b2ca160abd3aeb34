/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Runs a program to its end without a shell, as the user QEMU runs as when as_qemu is set.
 * Returns its exit status (128 + signal when killed), or -1 with error when it could not be started,
 * the time was over or the call was cancelled (it is killed then). output: what it printed on both
 * outputs, caller frees; may be NULL. call may be NULL. */
int qemu_run(QemuDriver *driver, vireo_call *call, const char *const *argv, gboolean as_qemu,
             int timeout_ms, char **output, GError **error);
/* The same for a domain whose job is held; gives way when it is to (qemu_domain_must_yield). */
int qemu_run_for(QemuDomain *dom, vireo_call *call, const char *const *argv, int timeout_ms,
                 char **output, GError **error);
