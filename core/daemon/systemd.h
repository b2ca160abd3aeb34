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
/* Handed-over descriptors are 3 .. 3 + n - 1. */
guint vireo_systemd_n_fds(void);
