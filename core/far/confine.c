/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "far/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "ops/catalogue.h"
#include "util/error.h"

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define NATIVE AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define NATIVE AUDIT_ARCH_S390X
#endif

#define X32_BIT 0x40000000u /* x86-64's second set of numbers */

static const struct {
    const char *group;
    int number;
} calls[] = {
    {"clock", SYS_clock_settime},
    {"clock", SYS_settimeofday},
    {"clock", SYS_adjtimex},
    {"clock", SYS_clock_adjtime},
    {"kexec", SYS_kexec_load},
#ifdef SYS_kexec_file_load
    {"kexec", SYS_kexec_file_load},
#endif
    {"modules", SYS_init_module},
    {"modules", SYS_finit_module},
    {"modules", SYS_delete_module},
    {"mount", SYS_mount},
    {"mount", SYS_umount2},
    {"mount", SYS_pivot_root},
    {"mount", SYS_move_mount},
    {"mount", SYS_fsmount},
    {"mount", SYS_fsopen},
    {"mount", SYS_open_tree},
#ifdef SYS_mount_setattr
    {"mount", SYS_mount_setattr},
#endif
    {"ptrace", SYS_ptrace},
    {"ptrace", SYS_process_vm_readv},
    {"ptrace", SYS_process_vm_writev},
    {"reboot", SYS_reboot},
    {"swap", SYS_swapon},
    {"swap", SYS_swapoff},
};

char *vireo_confine_groups(void)
{
    GString *text = g_string_new(calls[0].group);

    for (guint i = 1; i < G_N_ELEMENTS(calls); i++)
        if (strcmp(calls[i].group, calls[i - 1].group) != 0)
            g_string_append_printf(text, ", %s", calls[i].group);
    return g_string_free(text, FALSE);
}

gboolean vireo_confine_is_group(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(calls); i++)
        if (strcmp(calls[i].group, name) == 0)
            return TRUE;
    return FALSE;
}

static gboolean fail(GError **error, const char *what)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "%s: %s", what, g_strerror(errno));
    return FALSE;
}

#ifdef NATIVE
static void add(GArray *program, struct sock_filter instruction)
{
    g_array_append_val(program, instruction);
}

static gboolean install(const char *const *deny, GError **error)
{
    const guint32 refuse = SECCOMP_RET_ERRNO | EPERM;
    g_autoptr(GArray) program = g_array_new(FALSE, FALSE, sizeof(struct sock_filter));
    struct sock_fprog whole;

    add(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                              offsetof(struct seccomp_data, arch)));
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0));
    add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, refuse));
    add(program,
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
#ifdef __x86_64__
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1));
    add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, refuse));
#endif
    for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
        if (!g_strv_contains(deny, calls[i].group))
            continue;
        add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                  (guint32)calls[i].number, 0, 1));
        add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, refuse));
    }
    add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    whole = (struct sock_fprog){(unsigned short)program->len,
                                (struct sock_filter *)(void *)program->data};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) == 0 ||
           fail(error,
                "system calls cannot be denied (without the right to, no_new_privs is needed)");
}
#else
static gboolean install(const char *const *deny, GError **error)
{
    errno = ENOSYS;
    return fail(error, "system calls cannot be denied on this kind of machine");
}
#endif

gboolean vireo_confine(const VireoConfine *confine, GError **error)
{
    struct rlimit limit;

    if (confine->memory_max) {
        /* The soft limit alone: host->spawn gives it back to children. */
        if (getrlimit(RLIMIT_DATA, &limit) != 0)
            return fail(error, "memory cannot be limited");
        limit.rlim_cur = MIN(limit.rlim_max, confine->memory_max);
        if (setrlimit(RLIMIT_DATA, &limit) != 0)
            return fail(error, "memory cannot be limited");
    }
    if (confine->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(error, "no_new_privs");
    return !confine->deny || !confine->deny[0] || install(confine->deny, error);
}
