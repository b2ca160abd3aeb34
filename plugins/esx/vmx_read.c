/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A VMX file as a domain document. Settings that a document has no place for are left out. */
#include <string.h>

#include "drive.h"
#include "vmx.h"
#include "vmx_devices.h"

gboolean esx_vmx_refuse(GError **error, const char *key, const char *value, const char *wanted)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERROR_INVALID_ARG, "VMX file: %s = \"%s\": it should be %s", key,
                value ? value : "", wanted);
    return FALSE;
}

gboolean esx_vmx_number(const EsxVmx *vmx, const char *key, guint64 absent, guint64 least, guint64 most, guint64 *into,
                        GError **error)
{
    const char *value = esx_vmx_get(vmx, "%s", key);
    g_autofree char *wanted = NULL;

    *into = absent;
    if (!value || g_ascii_string_to_unsigned(value, 10, least, most, into, NULL))
        return TRUE;
    wanted = g_strdup_printf("a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, least, most);
    return esx_vmx_refuse(error, key, value, wanted);
}

static gboolean read_memory(const EsxVmx *vmx, VireoDomain *domain, GError **error)
{
    guint64 size, limit;

    if (!esx_vmx_number(vmx, "memsize", 32, 4, G_MAXUINT32, &size, error))
        return FALSE;
    if (g_strcmp0(esx_vmx_get(vmx, "sched.mem.max"), "unlimited") == 0)
        limit = size;
    else if (!esx_vmx_number(vmx, "sched.mem.max", size, 0, G_MAXUINT32, &limit, error))
        return FALSE;
    domain->memory = g_new0(VireoDomainMemory, 1);
    domain->memory->has_text = domain->has_current_memory = TRUE;
    domain->memory->text = size * 1024;
    domain->current_memory = MIN(limit, size) * 1024;
    return TRUE;
}

/* "0,1,2,5" as "0-2,5". */
static char *ranges(const char *list, GError **error)
{
    g_auto(GStrv) words = g_strsplit(list, ",", -1);
    g_autoptr(GArray) cpus = g_array_new(FALSE, FALSE, sizeof(guint));
    GString *text = g_string_new(NULL);

    for (guint i = 0; words[i]; i++) {
        guint64 cpu;
        if (!g_ascii_string_to_unsigned(g_strstrip(words[i]), 10, 0, 4095, &cpu, NULL)) {
            esx_vmx_refuse(error, "sched.cpu.affinity", list, "\"all\" or numbers of CPUs with commas between them");
            g_string_free(text, TRUE);
            return NULL;
        }
        guint one = (guint)cpu;
        g_array_append_val(cpus, one);
    }
    for (guint i = 0, end; i < cpus->len; i = end) {
        guint first = g_array_index(cpus, guint, i);
        for (end = i + 1; end < cpus->len && g_array_index(cpus, guint, end) == first + (end - i); end++)
            ;
        g_string_append_printf(text, text->len ? ",%u" : "%u", first);
        if (end - i > 1)
            g_string_append_printf(text, "-%u", first + (end - i) - 1);
    }
    return g_string_free(text, FALSE);
}

static gboolean read_shares(const EsxVmx *vmx, VireoDomain *domain, guint64 cpus, GError **error)
{
    static const char key[] = "sched.cpu.shares";
    const char *value = esx_vmx_get(vmx, key);
    guint64 shares = g_strcmp0(value, "low") == 0      ? cpus * ESX_VMX_CPU_SHARES / 2
                     : g_strcmp0(value, "normal") == 0 ? cpus * ESX_VMX_CPU_SHARES
                     : g_strcmp0(value, "high") == 0   ? cpus * ESX_VMX_CPU_SHARES * 2
                                                       : 0;

    if (!value)
        return TRUE;
    if (!shares && !esx_vmx_number(vmx, key, 0, 0, 1000000, &shares, error))
        return FALSE;
    domain->cputune = g_new0(VireoDomainCputune, 1);
    domain->cputune->has_shares = TRUE;
    domain->cputune->shares = shares;
    return TRUE;
}

static gboolean read_cpus(const EsxVmx *vmx, VireoDomain *domain, GError **error)
{
    const char *affinity = esx_vmx_get(vmx, "sched.cpu.affinity");
    guint64 cpus, cores;

    if (!esx_vmx_number(vmx, "numvcpus", 1, 1, 768, &cpus, error) ||
        !esx_vmx_number(vmx, "cpuid.coresPerSocket", 1, 1, 768, &cores, error) ||
        !read_shares(vmx, domain, cpus, error))
        return FALSE;
    if (cpus % cores)
        return esx_vmx_refuse(error, "cpuid.coresPerSocket", esx_vmx_get(vmx, "cpuid.coresPerSocket"),
                              "a divisor of numvcpus");
    domain->vcpu = g_new0(VireoDomainVcpu, 1);
    domain->vcpu->placement = VIREO_DOMAIN_VCPU_PLACEMENT_STATIC;
    domain->vcpu->has_text = TRUE;
    domain->vcpu->text = (guint32)cpus;
    if (affinity && g_ascii_strcasecmp(affinity, "all") != 0 && !(domain->vcpu->cpuset = ranges(affinity, error)))
        return FALSE;
    if (cores > 1) {
        domain->cpu = g_new0(VireoDomainCpu, 1);
        domain->cpu->topology = g_new0(VireoDomainCpuTopology, 1);
        *domain->cpu->topology = (VireoDomainCpuTopology){
            .has_sockets = TRUE, .sockets = (guint32)(cpus / cores), .has_cores = TRUE, .cores = (guint32)cores,
            .has_threads = TRUE, .threads = 1,
        };
    }
    return TRUE;
}

/* Two signed numbers. */
static gboolean read_generation(const EsxVmx *vmx, VireoDomain *domain, GError **error)
{
    const char *high = esx_vmx_get(vmx, "vm.genid"), *low = esx_vmx_get(vmx, "vm.genidX");
    gint64 one, two;

    if (!high || !low)
        return TRUE;
    if (!g_ascii_string_to_signed(high, 10, G_MININT64, G_MAXINT64, &one, NULL))
        return esx_vmx_refuse(error, "vm.genid", high, "a number of 64 bits");
    if (!g_ascii_string_to_signed(low, 10, G_MININT64, G_MAXINT64, &two, NULL))
        return esx_vmx_refuse(error, "vm.genidX", low, "a number of 64 bits");
    domain->genid = g_strdup_printf("%08x-%04x-%04x-%04x-%012" G_GINT64_MODIFIER "x", (guint)((guint64)one >> 32),
                                    (guint)((guint64)one >> 16 & 0xffff), (guint)((guint64)one & 0xffff),
                                    (guint)((guint64)two >> 48), (guint64)two & 0xffffffffffff);
    return TRUE;
}

static gboolean read_names(const EsxVmx *vmx, VireoDomain *domain, GError **error)
{
    const char *name = esx_vmx_get(vmx, "displayName"), *uuid = esx_vmx_get(vmx, "uuid.bios");

    if (!name)
        return esx_vmx_refuse(error, "displayName", name, "the machine's name");
    domain->type = VIREO_DOMAIN_VIRT_VMWARE;
    domain->name = esx_plain_name(name);
    domain->description = g_strdup(esx_vmx_get(vmx, "annotation"));
    domain->has_uuid = TRUE; /* one of zeroes without */
    return !uuid || esx_read_uuid(uuid, domain->uuid) ||
           esx_vmx_refuse(error, "uuid.bios", uuid, "16 pairs of hexadecimal digits");
}

VireoDomain *esx_vmx_read(const EsxVmx *vmx, const EsxVmxHost *host, GError **error)
{
    VireoDomain *domain = g_new0(VireoDomain, 1);

    domain->devices = g_new0(VireoDomainDevices, 1);
    esx_describe_os(domain, esx_vmx_get(vmx, "guestOS"), esx_vmx_get(vmx, "firmware"));
    if (read_names(vmx, domain, error) && read_generation(vmx, domain, error) && read_memory(vmx, domain, error) &&
        read_cpus(vmx, domain, error) && esx_vmx_read_disks(vmx, host, domain->devices, error) &&
        esx_vmx_read_devices(vmx, host, domain->devices, error))
        return domain;
    vireo_domain_free(domain);
    return NULL;
}
