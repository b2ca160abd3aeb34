/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* When a process started, in clock ticks since boot; 0 when it does not exist or /proc does not
 * say. With the pid it names one process for good. */
guint64 vireo_process_start_time(pid_t pid);
