/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "document.h"

#include <stdlib.h>
#include <string.h>

char *esx_escape_name(const char *name)
{
    GString *text = g_string_new(NULL);

    for (; *name; name++)
        if (strchr("%/\\", *name))
            g_string_append_printf(text, "%%%02x", (guint)(guchar)*name);
        else
            g_string_append_c(text, *name);
    return g_string_free(text, FALSE);
}

char *esx_plain_name(const char *escaped)
{
    char *name = g_strdup(escaped), *into = name;

    for (const char *at = name; *at; at++) {
        char hex[3] = { at[1], at[1] ? at[2] : 0, 0 };
        int code = *at == '%' && strlen(hex) == 2 ? (int)strtol(hex, NULL, 16) : 0;

        if (code == '%' || code == '/' || code == '\\') {
            *into++ = (char)code;
            at += 2;
        } else
            *into++ = *at;
    }
    *into = 0;
    return name;
}

gboolean esx_read_uuid(const char *text, guint8 uuid[16])
{
    g_autoptr(GString) digits = g_string_new(NULL);

    for (; *text; text++)
        if (*text != ' ' && *text != '-')
            g_string_append_c(digits, *text);
    return vireo_model_uuid_parse(digits->str, uuid);
}

void esx_describe_os(VireoDomain *domain, const char *guest, const char *firmware)
{
    domain->os = g_new0(VireoDomainOs, 1);
    domain->os->type = g_new0(VireoDomainOsMachine, 1);
    domain->os->type->text = VIREO_DOMAIN_OS_TYPE_HVM;
    domain->os->type->arch = g_strdup(guest && strstr(guest, "64") ? "x86_64" : "i686");
    if (g_strcmp0(firmware, "efi") == 0)
        domain->os->firmware = VIREO_DOMAIN_OS_FIRMWARE_EFI;
    domain->clock = g_new0(VireoDomainClock, 1);
    domain->clock->offset = VIREO_DOMAIN_CLOCK_OFFSET_UTC;
    domain->on_poweroff = domain->on_crash = VIREO_DOMAIN_LIFECYCLE_DESTROY;
    domain->on_reboot = VIREO_DOMAIN_LIFECYCLE_RESTART;
}

gboolean esx_acceptable(const VireoDomain *domain, GError **error)
{
    if (domain->type != VIREO_DOMAIN_VIRT_VMWARE)
        return vireo_refuse(error, domain->line, "domain type '%s': this driver runs domains of type 'vmware' only",
                            vireo_domain_virt_to_string(domain->type));
    if (!domain->os->type || domain->os->type->text != VIREO_DOMAIN_OS_TYPE_HVM)
        return vireo_refuse(error, domain->os->line, "the <os> needs <type>hvm</type>");
    if (domain->os->type->arch && !g_str_equal(domain->os->type->arch, "i686") &&
        !g_str_equal(domain->os->type->arch, "x86_64"))
        return vireo_refuse(error, domain->os->line, "arch '%s': there are i686 and x86_64", domain->os->type->arch);
    if (!domain->memory || !domain->memory->has_text)
        return vireo_refuse(error, domain->line, "the domain has no <memory>");
    if (domain->clock && domain->clock->offset != VIREO_DOMAIN_CLOCK_OFFSET_UTC)
        return vireo_refuse(error, domain->clock->line, "the clock offset is utc");
    return TRUE;
}

gboolean esx_cores(const VireoDomain *domain, guint *cpus, guint *cores, GError **error)
{
    const VireoDomainCpuTopology *topology = domain->cpu ? domain->cpu->topology : NULL;
    guint sockets = topology && topology->has_sockets ? topology->sockets : 1;

    *cpus = domain->vcpu && domain->vcpu->has_text ? domain->vcpu->text : 1;
    *cores = topology && topology->has_cores ? topology->cores : 1;
    if (topology && ((topology->has_threads && topology->threads != 1) || (guint64)*cores * sockets != *cpus))
        return vireo_refuse(error, topology->line,
                            "the topology has to be sockets times cores with one thread, %u in all", *cpus);
    if (!topology)
        *cores = 0;
    return TRUE;
}
