/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two documents that tell a client what guests can be. */
#include "ops.h"

#include <string.h>

#include "firmware.h"
#include "kit/node.h"
#include "probe.h"
#include "tpm.h"

static void add_machines(GString *out, const QemuEmulator *emulator)
{
    for (guint i = 0; i < emulator->machines->len; i++) {
        const QemuMachine *machine = emulator->machines->pdata[i];

        g_string_append_printf(out, "      <machine maxCpus='%d'%s>%s</machine>\n",
                               machine->cpus_max,
                               machine->deprecated ? " deprecated='yes'" : "", machine->name);
        if (machine->alias)
            g_string_append_printf(out, "      <machine canonical='%s' maxCpus='%d'>%s</machine>\n",
                                   machine->name, machine->cpus_max, machine->alias);
    }
}

static void add_guest(GString *out, QemuDriver *driver, const char *arch, QemuEmulator *emulator)
{
    gboolean x86 = g_str_equal(arch, "x86_64") || g_str_equal(arch, "i686");

    g_string_append_printf(out,
                           "  <guest>\n    <os_type>hvm</os_type>\n    <arch name='%s'>\n"
                           "      <wordsize>%d</wordsize>\n      <emulator>%s</emulator>\n",
                           arch, g_str_equal(arch, "i686") || g_str_equal(arch, "armv7l") ? 32 : 64,
                           emulator->path);
    add_machines(out, emulator);
    g_string_append(out, "      <domain type='qemu'/>\n");
    if (qemu_emulator_kvm(driver, emulator, NULL))
        g_string_append(out, "      <domain type='kvm'/>\n");
    g_string_append(out, "    </arch>\n    <features>\n");
    if (g_str_equal(arch, "i686"))
        g_string_append(out, "      <pae/>\n      <nonpae/>\n");
    if (x86)
        g_string_append(out, "      <acpi default='on' toggle='yes'/>\n"
                             "      <apic default='on' toggle='no'/>\n");
    g_string_append(out, "      <cpuselection/>\n      <deviceboot/>\n"
                         "      <disksnapshot default='on' toggle='no'/>\n"
                         "    </features>\n  </guest>\n");
}

int qemu_connect_get_capabilities(void *handle, vireo_call *call,
                                  vireo_connect_get_capabilities_ret *ret)
{
    QemuDriver *driver = qemu_conn(handle)->driver;
    g_autofree char *host_part = vireo_node_capabilities_host();
    g_auto(GStrv) archs = qemu_emulator_archs(driver);
    g_autoptr(GString) out = g_string_new("<capabilities>\n");

    g_string_append(out, host_part);
    for (guint i = 0; archs[i]; i++) {
        g_autoptr(GError) error = NULL;
        QemuEmulator *emulator = qemu_emulator_for_arch(driver, archs[i], &error);

        if (emulator)
            add_guest(out, driver, archs[i], emulator);
        else
            driver->host->log(driver->core, VIREO_LOG_WARNING, "capabilities", "%s",
                              error->message);
    }
    g_string_append(out, "</capabilities>\n");
    ret->capabilities = driver->host->strdup(call, out->str);
    return VIREO_OK;
}

/* ---- domain capabilities ------------------------------------------------------- */

static void add_enum(GString *out, const char *name, const char *values)
{
    g_auto(GStrv) value = g_strsplit(values, " ", -1);

    g_string_append_printf(out, "      <enum name='%s'>\n", name);
    for (guint i = 0; value[i]; i++)
        if (*value[i])
            g_string_append_printf(out, "        <value>%s</value>\n", value[i]);
    g_string_append(out, "      </enum>\n");
}

static void add_cpus(GString *out, QemuEmulator *emulator, gboolean kvm)
{
    g_string_append_printf(out, "  <cpu>\n    <mode name='host-passthrough' supported='%s'>\n",
                           kvm ? "yes" : "no");
    if (kvm)
        add_enum(out, "hostPassthroughMigratable", "on off");
    g_string_append(out, "    </mode>\n    <mode name='maximum' supported='yes'>\n");
    add_enum(out, "maximumMigratable", "on off");
    g_string_append(out, "    </mode>\n    <mode name='host-model' supported='yes'>\n"
                         "      <model fallback='allow'>max</model>\n    </mode>\n"
                         "    <mode name='custom' supported='yes'>\n");
    for (guint i = 0; i < emulator->cpus->len; i++) {
        const QemuCpu *cpu = emulator->cpus->pdata[i];

        if (!g_str_equal(cpu->name, "max") && !g_str_equal(cpu->name, "host") &&
            !g_str_equal(cpu->name, "base"))
            g_string_append_printf(out, "      <model usable='%s'>%s</model>\n",
                                   cpu->usable ? "yes" : "no", cpu->name);
    }
    g_string_append(out, "    </mode>\n  </cpu>\n");
}

static void add_firmware(GString *out, QemuDriver *driver, const char *arch, const char *machine)
{
    g_autoptr(GPtrArray) all = qemu_firmware_all(driver);
    gboolean secure = FALSE;
    guint count = 0;

    for (guint i = 0; i < all->len; i++)
        count += qemu_firmware_suits(all->pdata[i], arch, machine);
    g_string_append_printf(out, "    <enum name='firmware'>\n%s    </enum>\n    <loader supported='yes'>\n",
                           count ? "      <value>efi</value>\n" : "");
    for (guint i = 0; i < all->len; i++) {
        const QemuFirmware *firmware = all->pdata[i];

        if (!qemu_firmware_suits(firmware, arch, machine))
            continue;
        g_string_append_printf(out, "      <value>%s</value>\n", firmware->executable);
        secure |= g_hash_table_contains(firmware->features, "requires-smm");
    }
    add_enum(out, "type", "rom pflash");
    add_enum(out, "readonly", "yes");
    add_enum(out, "secure", secure ? "yes no" : "no");
    g_string_append(out, "    </loader>\n");
}

static void add_devices(GString *out, QemuEmulator *emulator, gboolean q35)
{
    g_autoptr(GString) video = g_string_new(NULL);

    g_string_append(out, "  <devices>\n    <disk supported='yes'>\n");
    add_enum(out, "diskDevice", "disk cdrom floppy");
    add_enum(out, "bus", q35 ? "fdc scsi virtio sata" : "ide fdc scsi virtio sata");
    add_enum(out, "model", "virtio");
    g_string_append(out, "    </disk>\n    <graphics supported='yes'>\n");
    add_enum(out, "type", "vnc");
    g_string_append(out, "    </graphics>\n    <video supported='yes'>\n");
    if (qemu_emulator_has(emulator, "VGA"))
        g_string_append(video, "vga ");
    if (qemu_emulator_has(emulator, "cirrus-vga"))
        g_string_append(video, "cirrus ");
    if (qemu_emulator_has(emulator, "virtio-vga"))
        g_string_append(video, "virtio ");
    if (qemu_emulator_has(emulator, "bochs-display"))
        g_string_append(video, "bochs ");
    g_string_append(video, "none");
    add_enum(out, "modelType", video->str);
    g_string_append(out, "    </video>\n    <hostdev supported='no'/>\n    <rng supported='yes'>\n");
    add_enum(out, "model", "virtio");
    add_enum(out, "backendModel", "random builtin");
    g_string_append(out, "    </rng>\n    <filesystem supported='no'/>\n"
                         "    <redirdev supported='no'/>\n");
    if (qemu_tpm_is_installed()) {
        g_string_append(out, "    <tpm supported='yes'>\n");
        add_enum(out, "model", "tpm-tis tpm-crb");
        add_enum(out, "backendModel", "emulator");
        add_enum(out, "backendVersion", "2.0");
    }
    g_string_append(out, qemu_tpm_is_installed() ? "    </tpm>\n" : "    <tpm supported='no'/>\n");
    g_string_append(out, "    <channel supported='yes'>\n");
    add_enum(out, "type", "pty unix");
    g_string_append(out, "    </channel>\n  </devices>\n");
}

static gboolean choose(QemuDriver *driver, const vireo_connect_get_domain_capabilities_args *args,
                       QemuEmulator **emulator, const QemuMachine **machine, gboolean *kvm,
                       GError **error)
{
    const char *reason = NULL;

    if (args->emulatorbin)
        *emulator = qemu_emulator_at(driver, args->emulatorbin, error);
    else
        *emulator = qemu_emulator_for_arch(driver, args->arch ? args->arch : qemu_host_arch(), error);
    if (!*emulator)
        return FALSE;
    if (args->arch && !g_str_equal(args->arch, (*emulator)->arch)) {
        qemu_error(error, VIREO_ERR_INVALID_ARG, "emulator %s runs architecture '%s', not '%s'",
                   (*emulator)->path, (*emulator)->arch, args->arch);
        return FALSE;
    }
    *machine = qemu_emulator_machine(*emulator, args->machine);
    if (!*machine) {
        qemu_error(error, VIREO_ERR_INVALID_ARG, "machine type '%s' is not one of %s",
                   args->machine ? args->machine : "(default)", (*emulator)->path);
        return FALSE;
    }
    gboolean works = (!args->virttype || g_str_equal(args->virttype, "kvm")) &&
                     qemu_emulator_kvm(driver, *emulator, &reason);
    *kvm = args->virttype ? g_str_equal(args->virttype, "kvm") : works;
    if (args->virttype && !g_str_equal(args->virttype, "qemu") &&
        !g_str_equal(args->virttype, "kvm")) {
        qemu_error(error, VIREO_ERR_INVALID_ARG, "unknown domain type '%s'", args->virttype);
        return FALSE;
    }
    if (*kvm && !works) {
        qemu_error(error, VIREO_ERR_INVALID_ARG, "domain type 'kvm' cannot be run on this host: %s",
                   reason);
        return FALSE;
    }
    return TRUE;
}

int qemu_connect_get_domain_capabilities(void *handle, vireo_call *call,
                                         const vireo_connect_get_domain_capabilities_args *args,
                                         vireo_connect_get_domain_capabilities_ret *ret)
{
    QemuDriver *driver = qemu_conn(handle)->driver;
    g_autoptr(GString) out = g_string_new("<domainCapabilities>\n");
    g_autoptr(GError) error = NULL;
    const QemuMachine *machine;
    QemuEmulator *emulator;
    gboolean kvm;

    if (!choose(driver, args, &emulator, &machine, &kvm, &error))
        return qemu_fail(driver, call, error);
    gboolean q35 = strstr(machine->name, "q35") != NULL;
    g_string_append_printf(out,
                           "  <path>%s</path>\n  <domain>%s</domain>\n  <machine>%s</machine>\n"
                           "  <arch>%s</arch>\n  <vcpu max='%d'/>\n  <iothreads supported='no'/>\n"
                           "  <os supported='yes'>\n",
                           emulator->path, kvm ? "kvm" : "qemu", machine->name, emulator->arch,
                           machine->cpus_max);
    add_firmware(out, driver, emulator->arch, machine->name);
    g_string_append(out, "  </os>\n");
    add_cpus(out, emulator, kvm);
    add_devices(out, emulator, q35);
    g_string_append(out, "  <features>\n    <gic supported='no'/>\n    <vmcoreinfo supported='no'/>\n"
                         "    <genid supported='no'/>\n    <backingStoreInput supported='no'/>\n"
                         "    <backup supported='no'/>\n    <sev supported='no'/>\n"
                         "  </features>\n</domainCapabilities>\n");
    ret->capabilities = driver->host->strdup(call, out->str);
    return VIREO_OK;
}
