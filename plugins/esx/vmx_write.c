/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain document as a VMX file. */
#include <string.h>

#include "vmx_devices.h"

const char *const esx_vmx_honoured[] = {
    "domain.type", "domain.id", "domain.name", "domain.uuid", "domain.genid", "domain.description", "domain.memory",
    "domain.currentMemory", "domain.vcpu", "domain.vcpu.placement", "domain.vcpu.cpuset", "domain.cputune.shares",
    "domain.os.type", "domain.os.type.arch", "domain.os.firmware", "domain.cpu.topology.*", "domain.clock.offset",
    "domain.on_poweroff", "domain.on_reboot", "domain.on_crash", "domain.vmware:datacenterpath", "domain.vmware:moref",
    "domain.devices.disk.type", "domain.devices.disk.device", "domain.devices.disk.driver.cache",
    "domain.devices.disk.source.file", "domain.devices.disk.source.dev", "domain.devices.disk.source.startupPolicy",
    "domain.devices.disk.target.dev", "domain.devices.disk.target.bus", "domain.devices.disk.readonly",
    "domain.devices.disk.address.*", "domain.devices.controller.type", "domain.devices.controller.index",
    "domain.devices.controller.model", "domain.devices.filesystem.type", "domain.devices.filesystem.source.dir",
    "domain.devices.filesystem.target.dir", "domain.devices.filesystem.readonly", "domain.devices.interface.type",
    "domain.devices.interface.mac.*", "domain.devices.interface.source.bridge", "domain.devices.interface.source.switchid",
    "domain.devices.interface.source.portid",
    "domain.devices.interface.source.portgroupid", "domain.devices.interface.source.connectionid",
    "domain.devices.interface.target.dev", "domain.devices.interface.model.type", "domain.devices.serial.type",
    "domain.devices.serial.source.*", "domain.devices.serial.protocol.type", "domain.devices.serial.target.port",
    "domain.devices.parallel.type", "domain.devices.parallel.source.*", "domain.devices.parallel.target.port",
    "domain.devices.console.*", /* the first serial port once more */
    "domain.devices.graphics.type", "domain.devices.graphics.port", "domain.devices.graphics.autoport",
    "domain.devices.graphics.listen.*", "domain.devices.graphics.keymap", "domain.devices.graphics.passwd",
    "domain.devices.video.model.type", "domain.devices.video.model.vram", "domain.devices.video.model.primary", NULL,
};

char *esx_vmx_uuid_text(const guint8 uuid[16])
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < 16; i++)
        g_string_append_printf(text, i == 8 ? "-%02x" : i ? " %02x" : "%02x", uuid[i]);
    return g_string_free(text, FALSE);
}

static void set_number(EsxVmx *vmx, const char *key, guint64 value)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);

    esx_vmx_set(vmx, text, "%s", key);
}

/* Two signed numbers. */
static gboolean write_generation(EsxVmx *vmx, const VireoDomain *domain, GError **error)
{
    guint8 bytes[16];
    guint64 halves[2] = { 0, 0 };

    if (!domain->genid)
        return TRUE;
    if (!vireo_model_uuid_parse(domain->genid, bytes))
        return vireo_refuse(error, domain->line, "genid '%s': a VMX file needs one that is written out", domain->genid);
    for (guint i = 0; i < 16; i++)
        halves[i / 8] = halves[i / 8] << 8 | bytes[i];
    g_autofree char *high = g_strdup_printf("%" G_GINT64_FORMAT, (gint64)halves[0]);
    g_autofree char *low = g_strdup_printf("%" G_GINT64_FORMAT, (gint64)halves[1]);
    esx_vmx_set(vmx, high, "vm.genid");
    esx_vmx_set(vmx, low, "vm.genidX");
    return TRUE;
}

static gboolean write_memory(EsxVmx *vmx, const VireoDomain *domain, GError **error)
{
    if (!domain->memory || !domain->memory->has_text)
        return vireo_refuse(error, domain->line, "the domain has no <memory>");
    guint64 size = ESX_MEMORY_MIB(domain->memory->text);
    guint64 now = domain->has_current_memory ? domain->current_memory / 1024 : size;
    set_number(vmx, "memsize", size);
    if (now < size)
        set_number(vmx, "sched.mem.max", now);
    return TRUE;
}

/* "0-2,5" as "0,1,2,5". */
static gboolean write_affinity(EsxVmx *vmx, const VireoDomainVcpu *vcpu, GError **error)
{
    g_auto(GStrv) parts = vcpu->cpuset ? g_strsplit(vcpu->cpuset, ",", -1) : NULL;
    g_autoptr(GString) list = g_string_new(NULL);

    for (guint i = 0; parts && parts[i]; i++) {
        g_auto(GStrv) ends = g_strsplit(parts[i], "-", 2);
        guint64 first, last;

        if (!g_ascii_string_to_unsigned(ends[0], 10, 0, 4095, &first, NULL) ||
            !g_ascii_string_to_unsigned(ends[1] ? ends[1] : ends[0], 10, first, 4095, &last, NULL))
            return vireo_refuse(error, vcpu->line, "vcpu cpuset '%s': it should be like '0-2,5'", vcpu->cpuset);
        for (; first <= last; first++)
            g_string_append_printf(list, list->len ? ",%" G_GUINT64_FORMAT : "%" G_GUINT64_FORMAT, first);
    }
    esx_vmx_set(vmx, list->len ? list->str : NULL, "sched.cpu.affinity");
    return TRUE;
}

static gboolean write_cpus(EsxVmx *vmx, const VireoDomain *domain, GError **error)
{
    guint cpus, cores;

    if (!esx_cores(domain, &cpus, &cores, error))
        return FALSE;
    set_number(vmx, "numvcpus", cpus);
    if (cores)
        set_number(vmx, "cpuid.coresPerSocket", cores);
    if (domain->cputune && domain->cputune->has_shares)
        set_number(vmx, "sched.cpu.shares", domain->cputune->shares);
    return !domain->vcpu || write_affinity(vmx, domain->vcpu, error);
}

/* What every machine of today has: the places where PCI Express cards go. */
static void write_bridges(EsxVmx *vmx)
{
    esx_vmx_set(vmx, "true", "pciBridge0.present");
    for (guint i = 4; i <= 7; i++) {
        esx_vmx_set(vmx, "true", "pciBridge%u.present", i);
        esx_vmx_set(vmx, "pcieRootPort", "pciBridge%u.virtualDev", i);
        esx_vmx_set(vmx, "8", "pciBridge%u.functions", i);
    }
    esx_vmx_set(vmx, "true", "vmci0.present");
}

static gboolean write_machine(EsxVmx *vmx, const VireoDomain *domain, const EsxVmxHost *host, GError **error)
{
    g_autofree char *name = esx_escape_name(domain->name), *uuid = esx_vmx_uuid_text(domain->uuid);

    if (!esx_acceptable(domain, error))
        return FALSE;
    esx_vmx_set(vmx, "UTF-8", ".encoding");
    esx_vmx_set(vmx, "8", "config.version");
    set_number(vmx, "virtualHW.version", host->hardware);
    esx_vmx_set(vmx, g_strcmp0(domain->os->type->arch, "i686") == 0 ? "other" : "other-64", "guestOS");
    esx_vmx_set(vmx, domain->has_uuid ? uuid : NULL, "uuid.bios");
    esx_vmx_set(vmx, name, "displayName");
    esx_vmx_set(vmx, domain->description, "annotation");
    if (domain->os->firmware == VIREO_DOMAIN_OS_FIRMWARE_EFI)
        esx_vmx_set(vmx, "efi", "firmware");
    return write_generation(vmx, domain, error) && write_memory(vmx, domain, error) && write_cpus(vmx, domain, error);
}

EsxVmx *esx_vmx_write(const VireoDomain *domain, const EsxVmxHost *host, GError **error)
{
    g_autoptr(EsxVmx) vmx = esx_vmx_new();

    if (!vireo_model_check(&vireo_domain_type, domain, esx_vmx_honoured, error) ||
        !write_machine(vmx, domain, host, error) || !esx_vmx_write_disks(vmx, host, domain->devices, error) ||
        !esx_vmx_write_devices(vmx, host, domain->devices, error))
        return NULL;
    write_bridges(vmx);
    return g_steal_pointer(&vmx);
}
