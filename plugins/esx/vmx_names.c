/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What VMX files and domain documents call differently. */
#include <string.h>

#include "vmx.h"

#define VOLUMES "/vmfs/volumes/"
#define NO_FOLDER "[?] ?/"

const EsxVmxName esx_vmx_scsi_models[] = {
    { "buslogic", "buslogic" }, { "lsilogic", "lsilogic" }, { "lsisas1068", "lsisas1068" }, { "pvscsi", "vmpvscsi" }, { 0 },
};

/* The first of several spellings is the one that is written. */
const EsxVmxName esx_vmx_schemes[] = {
    { "tcp", "raw" },       { "tcp4", "raw" },     { "tcp6", "raw" },      { "telnet", "telnet" }, { "telnets", "telnets" },
    { "ssl", "tls" },       { "tcp+ssl", "tls" },  { "tcp4+ssl", "tls" },  { "tcp6+ssl", "tls" },  { 0 },
};

const char *esx_vmx_name_in(const EsxVmxName *names, const char *vmx)
{
    for (; vmx && names->vmx; names++)
        if (g_ascii_strcasecmp(names->vmx, vmx) == 0)
            return names->xml;
    return NULL;
}

const char *esx_vmx_name_out(const EsxVmxName *names, const char *xml)
{
    for (; xml && names->vmx; names++)
        if (g_str_equal(names->xml, xml))
            return names->vmx;
    return NULL;
}

static const char *name_of_folder(const EsxVmxHost *host, const char *folder)
{
    const char *name = host->stores ? g_hash_table_lookup(host->stores, folder) : NULL;

    return name ? name : folder;
}

char *esx_vmx_file_in(const EsxVmxHost *host, const char *file)
{
    const char *rest = g_str_has_prefix(file, VOLUMES) ? strchr(file + strlen(VOLUMES), '/') : NULL;

    if (rest) {
        g_autofree char *folder = g_strndup(file + strlen(VOLUMES), (gsize)(rest - file) - strlen(VOLUMES));
        return g_strdup_printf("[%s] %s", name_of_folder(host, folder), rest + 1);
    }
    return *file == '/' ? g_strdup(file) : g_strconcat(NO_FOLDER, file, NULL);
}

char *esx_vmx_file_out(const EsxVmxHost *host, const char *file)
{
    const char *end = *file == '[' ? strstr(file, "] ") : NULL;

    if (g_str_has_prefix(file, NO_FOLDER))
        return g_strdup(file + strlen(NO_FOLDER));
    return end ? g_strdup_printf(VOLUMES "%.*s/%s", (int)(end - file - 1), file + 1, end + 2) : g_strdup(file);
}
