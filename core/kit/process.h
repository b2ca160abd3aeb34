/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* Processes that are not our children (they outlived an earlier daemon) but must be recognised,
 * watched and ended without ever hitting a stranger that got the same number. */

/* Start time in clock ticks since boot; 0 when there is no such process, or it has ended and only
 * waits for its parent to notice. */
guint64 vireo_process_start_time(pid_t pid);
/* A descriptor of the process if it exists and was started then (start_time 0: any); else -1.
 * Owned by the caller; readable when the process has ended. */
int vireo_process_open(pid_t pid, guint64 start_time);
/* Sends a signal through the descriptor; FALSE when the process is gone. */
gboolean vireo_process_signal(int pidfd, int signal);
/* Waits at most timeout_ms for its end; TRUE when it has ended. */
gboolean vireo_process_wait(int pidfd, int timeout_ms);

typedef struct {
    guint64 user_ns, system_ns; /* CPU time used */
    guint64 resident_kib;
    int last_cpu;
} VireoProcessUsage;
/* Of a process, or of one of its threads (tid > 0). FALSE when it is gone. */
gboolean vireo_process_usage(pid_t pid, pid_t tid, VireoProcessUsage *usage);

G_END_DECLS
