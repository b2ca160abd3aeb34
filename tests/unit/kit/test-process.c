/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_identity(void)
{
    const char *argv[] = { "sleep", "30", NULL };
    VireoProcessUsage usage;
    GPid pid;

    g_assert_true(g_spawn_async(NULL, (char **)argv, NULL,
                                G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                    G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                                NULL, NULL, &pid, NULL));
    guint64 start = vireo_process_start_time(pid);
    g_assert_cmpuint(start, >, 0);
    /* The kernel counts the first pages of a new program late. */
    for (guint i = 0; i < 2000; i++) {
        g_assert_true(vireo_process_usage(pid, 0, &usage));
        if (usage.resident_kib > 0)
            break;
        g_usleep(1000);
    }
    g_assert_cmpuint(usage.resident_kib, >, 0);
    g_assert_cmpint(vireo_process_open(pid, start + 1), ==, -1);
    int fd = vireo_process_open(pid, start);
    g_assert_cmpint(fd, >=, 0);
    g_assert_false(vireo_process_wait(fd, 0));
    g_assert_true(vireo_process_signal(fd, SIGKILL));
    g_assert_true(vireo_process_wait(fd, 5000));
    /* Ended but not yet collected: gone all the same. */
    g_assert_cmpint(vireo_process_open(pid, start), ==, -1);
    waitpid(pid, NULL, 0);
    g_assert_false(vireo_process_signal(fd, 0));
    g_assert_cmpuint(vireo_process_start_time(pid), ==, 0);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/process/identity", test_identity);
    return g_test_run();
}
