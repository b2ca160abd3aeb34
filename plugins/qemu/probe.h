/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

typedef struct {
    char *name, *alias;
    int cpus_max;
    gboolean is_default, deprecated;
} QemuMachine;

typedef struct {
    char *name;
    gboolean usable; /* everything it needs is there, with TCG */
} QemuCpu;

/* One qemu-system-* binary and what it told about itself. Never changes once it is shared. */
struct QemuEmulator {
    char *path, *arch;
    unsigned version; /* major * 1000000 + minor * 1000 + micro */
    GPtrArray *machines; /* QemuMachine */
    GPtrArray *cpus;     /* QemuCpu */
    GHashTable *types;   /* device type names */
    gboolean kvm_built_in;
    char *identity;      /* of the binary, when it was asked */
    GMutex kvm_lock;
    int kvm_works; /* -1: not tried yet */
    char *kvm_reason;
};
void qemu_emulator_free(gpointer emulator);

/* The emulator for an architecture, or of a path; probed once, from the cache when the binary is
 * the one that was probed. Owned by the driver; stays valid. */
QemuEmulator *qemu_emulator_for_arch(QemuDriver *driver, const char *arch, GError **error);
QemuEmulator *qemu_emulator_at(QemuDriver *driver, const char *path, GError **error);
/* Architectures for which there is a binary on this host, the host's own first; free with
 * g_strfreev. */
char **qemu_emulator_archs(QemuDriver *driver);
const char *qemu_host_arch(void);

/* By name or alias; NULL when unknown. name NULL: the default. */
const QemuMachine *qemu_emulator_machine(QemuEmulator *emulator, const char *name);
gboolean qemu_emulator_has(QemuEmulator *emulator, const char *type);

/* Whether a guest really runs with KVM: tried once per boot by running one. *reason (owned by the
 * emulator) says why not. */
gboolean qemu_emulator_kvm(QemuDriver *driver, QemuEmulator *emulator, const char **reason);
