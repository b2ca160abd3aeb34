/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service manager's protocol: readiness messages and handed-over sockets. */
#pragma once

#include <glib.h>

/* Reads NOTIFY_SOCKET and LISTEN_* once and takes them out of the environment, where child
 * processes would find them. */
void vireo_systemd_start(void);
/* Sends "READY=1" or the like; nothing happens without a service manager. */
void vireo_systemd_notify(const char *state);
/* Tells that settings are being read again. */
void vireo_systemd_notify_reloading(void);
/* Says in words what the daemon does at present. */
void vireo_systemd_status(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* Asks for so many seconds more before a start or an end counts as failed. */
void vireo_systemd_extend(guint seconds);
/* Tells in time, from the main loop, that the daemon lives, when the service manager wants that. */
void vireo_systemd_watch(void);

/* Handed-over descriptors are 3 .. 3 + n - 1. */
guint vireo_systemd_n_fds(void);
/* What the service manager calls the i-th of them, or "". */
const char *vireo_systemd_fd_name(guint i);
