/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Containers as processes: starting, ending, finding again. */
#pragma once

#include "driver.h"

void lxc_process_close(LxcProcess *process);

/* Runs a program to its end, or until it takes too long: then FALSE. spec: what is run; its out is taken, and its err, too,
 * unless that is -1. */
gboolean lxc_program_run(LxcDriver *driver, struct vireo_spawn *spec, int timeout_s, char **out, int *status,
                         GError **error);
/* Runs vireo-lxc-run for a container: a command, and what follows the container's name, which NULL ends. *out (NULL:
 * not wanted) is what it said. */
gboolean lxc_helper(LxcDomain *dom, int timeout_s, char **out, GError **error, const char *command, ...)
    G_GNUC_NULL_TERMINATED;
/* The same; given: the command, and what follows the container's name. */
gboolean lxc_helper_run(LxcDomain *dom, int timeout_s, char **out, GPtrArray *given, GError **error);

/* With its job. def: what is to run. */
gboolean lxc_process_start(LxcDomain *dom, LxcDef *def, int reason, GError **error);
/* The same, from the directory that CRIU wrote. */
gboolean lxc_process_restore(LxcDomain *dom, LxcDef *def, const char *images, GError **error);
/* Kills it, and returns when nothing is left of it. reason: VIREO_DOMAIN_SHUTOFF_*. No lock is needed. */
gboolean lxc_process_kill(LxcDomain *dom, int reason, GError **error);
/* Looks how a container whose init has ended goes on. FALSE: it was to reboot, and its monitor has ended. */
gboolean lxc_process_settle(LxcDomain *dom, guint generation);

/* What runs is found again after a restart of the daemon. */
void lxc_live_save(LxcDomain *dom);
void lxc_live_reattach(LxcSpace *space);
/* Forgets all watches; containers run on. */
void lxc_live_let_go(LxcDomain *dom);
