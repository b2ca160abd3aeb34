/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a process can no longer do once it is confined, each time in a child. */
#include "far/confine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int in_child(const VireoConfine *what, int (*act)(void))
{
    pid_t child = fork();
    int status;

    g_assert_cmpint(child, >=, 0);
    if (child == 0)
        _exit(vireo_confine(what, NULL) ? act() : 99);
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Neither does anything: the file is missing, the magic number is wrong. */
static int try_swapoff(void)
{
    return swapoff("/nonexistent/swap") == 0 ? 0 : errno;
}

static int try_reboot(void)
{
    return syscall(SYS_reboot, 0, 0, 0, NULL) == 0 ? 0 : errno;
}

static int try_64_mib(void)
{
    gsize size = 64 << 20;
    gpointer there = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return there == MAP_FAILED ? errno : 0;
}

static int has_no_new_privs(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static void test_deny(void)
{
    const VireoConfine nothing = {.no_new_privs = TRUE};
    const VireoConfine swap = {.no_new_privs = TRUE, .deny = (const char *const[]){"swap", NULL}};

    if (in_child(&nothing, try_swapoff) == EPERM) {
        g_test_skip("this user may not anyway");
        return;
    }
    g_assert_cmpint(in_child(&nothing, try_swapoff), ==, ENOENT);
    g_assert_cmpint(in_child(&swap, try_swapoff), ==, EPERM);
    g_assert_cmpint(in_child(&swap, try_reboot), ==, in_child(&nothing, try_reboot));
}

static void test_memory(void)
{
#ifdef __SANITIZE_ADDRESS__
    g_test_skip("a sanitizer has more memory than the limit already");
#else
    g_assert_cmpint(in_child(&(VireoConfine){.memory_max = 512 << 20}, try_64_mib), ==, 0);
    g_assert_cmpint(in_child(&(VireoConfine){.memory_max = 32 << 20}, try_64_mib), ==, ENOMEM);
#endif
}

static void test_no_new_privs(void)
{
    g_assert_cmpint(in_child(&(VireoConfine){0}, has_no_new_privs), ==, has_no_new_privs());
    g_assert_cmpint(in_child(&(VireoConfine){.no_new_privs = TRUE}, has_no_new_privs), ==, 1);
}

static void test_groups(void)
{
    g_autofree char *groups = vireo_confine_groups();
    g_auto(GStrv) names = g_strsplit(groups, ", ", -1);

    g_assert_cmpuint(g_strv_length(names), ==, 7);
    for (GStrv name = names; *name; name++)
        g_assert_true(vireo_confine_is_group(*name));
    g_assert_false(vireo_confine_is_group("sleep"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/confine/deny", test_deny);
    g_test_add_func("/confine/memory", test_memory);
    g_test_add_func("/confine/no-new-privs", test_no_new_privs);
    g_test_add_func("/confine/groups", test_groups);
    return g_test_run();
}
