/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* The fields of /proc/PID/stat (tid > 0: of that thread) that follow the program's name: [0] is the
 * state, which proc(5) counts as field 3. NULL when there is none. Free with g_strfreev. */
char **vireo_proc_stat(pid_t pid, pid_t tid);
#define VIREO_PROC_STAT_STATE      0
#define VIREO_PROC_STAT_START_TIME 19

/* When a process started, in clock ticks since boot, also of one that ended and was not waited for;
 * 0 when it does not exist or /proc does not say. With the pid it names one process for good. */
guint64 vireo_pid_start_time(pid_t pid);
