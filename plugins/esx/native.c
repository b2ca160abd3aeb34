/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* VMX files to domain documents, and back. */
#include "ops.h"

#include <stdlib.h>
#include <string.h>

#include "vmx.h"

#define FORMAT "vmware-vmx"

/* What virtual hardware a host of that version makes. */
static guint hardware_of(const char *version)
{
    static const struct {
        guint major, minor, hardware;
    } known[] = { { 8, 0, 20 }, { 7, 0, 17 }, { 6, 7, 14 }, { 6, 5, 13 }, { 6, 0, 11 }, { 5, 5, 10 }, { 5, 1, 9 }, { 5, 0, 8 } };
    char *rest = NULL;
    guint major = (guint)strtoul(version, &rest, 10), minor = *rest == '.' ? (guint)strtoul(rest + 1, NULL, 10) : 0;

    for (guint i = 0; i < G_N_ELEMENTS(known); i++)
        if (major > known[i].major || (major == known[i].major && minor >= known[i].minor))
            return known[i].hardware;
    return 7;
}

/* "ds:///vmfs/volumes/5f3c.../" -> "5f3c..." */
static char *last_folder(const char *url)
{
    g_auto(GStrv) parts = g_strsplit(url, "/", -1);
    const char *last = "";

    for (guint i = 0; parts[i]; i++)
        last = *parts[i] ? parts[i] : last;
    return g_strdup(last);
}

static gboolean know_host(EsxConn *conn, vireo_call *call, EsxVmxHost *host, GError **error)
{
    VireoHttpWait wait = esx_wait(call);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GPtrArray) stores = esx_datastores(conn->server, &wait, arena, error);

    if (!stores)
        return FALSE;
    host->hardware = hardware_of(conn->server->content->about->api_version);
    host->stores = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (guint i = 0; i < stores->len; i++) {
        const VimDatastoreSummary *one = stores->pdata[i];

        g_hash_table_replace(host->stores, last_folder(one->url), g_strdup(one->name));
    }
    return TRUE;
}

static gboolean is_format(EsxConn *conn, vireo_call *call, const char *format)
{
    if (g_strcmp0(format, FORMAT) == 0)
        return TRUE;
    conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "format '%s': this driver knows '" FORMAT "'", format ? format : "");
    return FALSE;
}

int esx_connect_domain_xml_from_native(void *handle, vireo_call *call, const vireo_connect_domain_xml_from_native_args *args,
                                       vireo_connect_domain_xml_from_native_ret *ret)
{
    EsxConn *conn = handle;
    EsxVmxHost host = { 0 };
    GError *error = NULL;

    if (!is_format(conn, call, args->nativeFormat))
        return VIREO_FAIL;
    g_autoptr(EsxVmx) vmx = esx_vmx_parse(args->nativeConfig, &error);
    VireoDomain *domain = vmx && know_host(conn, call, &host, &error) ? esx_vmx_read(vmx, &host, &error) : NULL;
    g_autofree char *xml = domain ? vireo_domain_format(domain, VIREO_MODEL_FORMAT_INACTIVE) : NULL;
    ret->domainXml = xml ? conn->driver->host->strdup(call, xml) : NULL;
    vireo_domain_free(domain);
    g_clear_pointer(&host.stores, g_hash_table_unref);
    return xml ? VIREO_OK : esx_fail(conn->driver, call, error);
}

int esx_connect_domain_xml_to_native(void *handle, vireo_call *call, const vireo_connect_domain_xml_to_native_args *args,
                                     vireo_connect_domain_xml_to_native_ret *ret)
{
    EsxConn *conn = handle;
    EsxVmxHost host = { .hardware = hardware_of(conn->server->content->about->api_version) };
    GError *error = NULL;

    if (!is_format(conn, call, args->nativeFormat))
        return VIREO_FAIL;
    VireoDomain *domain = vireo_domain_parse(args->domainXml, VIREO_MODEL_PARSE_INACTIVE, &error);
    g_autoptr(EsxVmx) vmx = domain ? esx_vmx_write(domain, &host, &error) : NULL;
    g_autofree char *text = vmx ? esx_vmx_format(vmx) : NULL;
    ret->nativeConfig = text ? conn->driver->host->strdup(call, text) : NULL;
    vireo_domain_free(domain);
    return text ? VIREO_OK : esx_fail(conn->driver, call, error);
}
