/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/process.h"

#include <string.h>

#include "util/file.h"

#define STAT_MAX 65536

char **vireo_proc_stat(pid_t pid, pid_t tid)
{
    g_autofree char *path = tid > 0 ? g_strdup_printf("/proc/%d/task/%d/stat", (int)pid, (int)tid)
                                    : g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *text = NULL;

    if (!vireo_file_read(path, STAT_MAX, &text, NULL, NULL))
        return NULL;
    /* The second field is the program's name in parentheses and may hold anything. */
    const char *end = strrchr(text, ')');
    return end && end[1] ? g_strsplit(end + 2, " ", -1) : NULL;
}

guint64 vireo_pid_start_time(pid_t pid)
{
    g_auto(GStrv) field = vireo_proc_stat(pid, 0);

    if (!field || g_strv_length(field) <= VIREO_PROC_STAT_START_TIME)
        return 0;
    return g_ascii_strtoull(field[VIREO_PROC_STAT_START_TIME], NULL, 10);
}
