/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections, and what the server is. */
#include "ops.h"

#include <string.h>

VireoHttpWait esx_wait(vireo_call *call)
{
    return (VireoHttpWait){ .cancelled = esx_call_cancelled, .opaque = call };
}

int esx_conn_open(void *self, vireo_call *call, const vireo_conn_open_args *args, vireo_conn_open_ret *ret)
{
    EsxDriver *driver = self;
    VireoHttpWait wait = esx_wait(call);
    GError *error = NULL;
    EsxUri *uri = esx_uri_parse(driver, args->uri, &error);
    EsxServer *server = NULL;

    if (uri && args->readonly && !esx_uri_is_safe(uri, &error))
        esx_uri_free(uri);
    else if (uri)
        server = esx_server_open(driver, uri, &wait, &error);
    if (!server)
        return esx_fail(driver, call, error);
    EsxConn *conn = g_new0(EsxConn, 1);
    conn->driver = driver;
    conn->server = server;
    ret->conn = conn;
    ret->space = server->space;
    ret->uri = driver->host->strdup(call, server->uri->text);
    return VIREO_OK;
}

int esx_conn_close(void *handle, vireo_call *call)
{
    EsxConn *conn = handle;

    (void)call;
    vireo_shared_unref(&conn->server->shared);
    g_free(conn);
    return VIREO_OK;
}

int esx_connect_get_type(void *handle, vireo_call *call, vireo_connect_get_type_ret *ret)
{
    EsxConn *conn = handle;

    ret->type = conn->driver->host->strdup(call, "ESX");
    return VIREO_OK;
}

int esx_connect_get_version(void *handle, vireo_call *call, vireo_connect_get_version_ret *ret)
{
    EsxConn *conn = handle;
    g_auto(GStrv) parts = g_strsplit(conn->server->content->about->version, ".", 3);

    (void)call;
    for (guint i = 0; i < 3; i++)
        ret->hv_ver = ret->hv_ver * 1000 + (i < g_strv_length(parts) ? g_ascii_strtoull(parts[i], NULL, 10) : 0);
    return VIREO_OK;
}

/* ---- the host ------------------------------------------------------------------------ */

/* Properties of the connection's host; NULL: failed. */
static VimObjectContent *host_properties(EsxConn *conn, vireo_call *call, const char *const *paths, guint n,
                                         VireoArena *arena)
{
    VireoHttpWait wait = esx_wait(call);
    GError *error = NULL;
    VimObjectContent *found = esx_properties_of(conn->server, conn->server->host, paths, n, &wait, arena, &error);

    if (!found)
        esx_fail(conn->driver, call, error);
    return found;
}

int esx_connect_get_hostname(void *handle, vireo_call *call, vireo_connect_get_hostname_ret *ret)
{
    static const char *const paths[] = { "config.network.dnsConfig.hostName", "config.network.dnsConfig.domainName", "name" };
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimObjectContent *found = host_properties(conn, call, paths, 3, arena);

    if (!found)
        return VIREO_FAIL;
    const char *name = vireo_soap_value_text(esx_property(found, paths[0]));
    const char *domain = vireo_soap_value_text(esx_property(found, paths[1]));
    if (!name || !*name)
        name = vireo_soap_value_text(esx_property(found, paths[2])), domain = NULL;
    if (!name || !*name)
        return conn->driver->host->fail(call, VIREO_ERR_NO_HOSTNAME, "the host has no name");
    g_autofree char *full = domain && *domain ? g_strdup_printf("%s.%s", name, domain) : g_strdup(name);
    ret->hostname = conn->driver->host->strdup(call, full);
    return VIREO_OK;
}

int esx_connect_is_secure(void *handle, vireo_call *call, vireo_connect_is_secure_ret *ret)
{
    EsxConn *conn = handle;

    (void)call;
    ret->secure = !conn->server->uri->http;
    return VIREO_OK;
}

int esx_connect_get_max_vcpus(void *handle, vireo_call *call, const vireo_connect_get_max_vcpus_args *args,
                              vireo_connect_get_max_vcpus_ret *ret)
{
    static const char *const paths[] = { "capability.maxSupportedVcpus" };
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();

    if (args->type && g_ascii_strcasecmp(args->type, "vmware") != 0)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "unknown domain type '%s': there is vmware",
                                        args->type);
    VimObjectContent *found = host_properties(conn, call, paths, 1, arena);
    if (!found)
        return VIREO_FAIL;
    ret->max_vcpus = (int)vireo_soap_value_int(esx_property(found, paths[0]), 0);
    if (ret->max_vcpus <= 0)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED,
                                        "this server does not say how many virtual CPUs a machine may have");
    return VIREO_OK;
}

static const char *const hardware_paths[] = { "summary.hardware", "hardware.numaInfo" };

static VimHostHardwareSummary *hardware(EsxConn *conn, vireo_call *call, VireoArena *arena, int *nodes)
{
    VimObjectContent *found = host_properties(conn, call, hardware_paths, 2, arena);
    VimHostHardwareSummary *summary =
        found ? vireo_soap_value_struct(esx_property(found, "summary.hardware"), &vim_host_hardware_summary_type) : NULL;
    VimHostNumaInfo *numa =
        found ? vireo_soap_value_struct(esx_property(found, "hardware.numaInfo"), &vim_host_numa_info_type) : NULL;

    if (nodes)
        *nodes = numa && numa->num_nodes > 0 ? numa->num_nodes : 1;
    if (found && !summary)
        conn->driver->host->fail(call, VIREO_ERR_OPERATION_FAILED, "the server does not describe its hardware");
    return summary;
}

int esx_node_get_info(void *handle, vireo_call *call, vireo_node_get_info_ret *ret)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    int nodes;
    VimHostHardwareSummary *summary = hardware(handle, call, arena, &nodes);

    if (!summary)
        return VIREO_FAIL;
    g_autoptr(GString) model = g_string_new(NULL);
    for (const char *at = summary->cpu_model; *at; at++) /* 31 bytes: no room for two blanks */
        if (*at != ' ' || at[1] != ' ')
            g_string_append_c(model, *at);
    g_strlcpy((char *)ret->model, model->str, sizeof ret->model);
    ret->memory = (uint64_t)summary->memory_size / 1024;
    ret->cpus = summary->num_cpu_threads;
    ret->mhz = summary->cpu_mhz;
    ret->nodes = nodes;
    ret->sockets = MAX(1, summary->num_cpu_pkgs / nodes);
    ret->cores = MAX(1, summary->num_cpu_cores / MAX(1, summary->num_cpu_pkgs));
    ret->threads = MAX(1, summary->num_cpu_threads / MAX(1, summary->num_cpu_cores));
    return VIREO_OK;
}

int esx_node_get_free_memory(void *handle, vireo_call *call, vireo_node_get_free_memory_ret *ret)
{
    static const char *const paths[] = { "summary.hardware", "summary.quickStats" };
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimObjectContent *found = host_properties(conn, call, paths, 2, arena);
    VimHostHardwareSummary *summary =
        found ? vireo_soap_value_struct(esx_property(found, paths[0]), &vim_host_hardware_summary_type) : NULL;
    VimHostListSummaryQuickStats *now =
        found ? vireo_soap_value_struct(esx_property(found, paths[1]), &vim_host_list_summary_quick_stats_type) : NULL;

    if (!found)
        return VIREO_FAIL;
    if (!summary || !now || !now->has_overall_memory_usage)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED,
                                        "this server does not say how much memory is in use");
    guint64 used = (guint64)now->overall_memory_usage * 1024 * 1024;
    ret->freeMem = (guint64)summary->memory_size - MIN(used, (guint64)summary->memory_size);
    return VIREO_OK;
}

/* ---- capabilities -------------------------------------------------------------------- */

int esx_connect_get_capabilities(void *handle, vireo_call *call, vireo_connect_get_capabilities_ret *ret)
{
    EsxConn *conn = handle;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimHostHardwareSummary *summary = hardware(conn, call, arena, NULL);
    g_autoptr(GString) text = g_string_new("<capabilities>\n  <host>\n");
    guint8 uuid[16];

    if (!summary)
        return VIREO_FAIL;
    if (summary->uuid && vireo_model_uuid_parse(summary->uuid, uuid))
        g_string_append_printf(text, "    <uuid>%s</uuid>\n", summary->uuid);
    g_string_append(text, "    <cpu>\n      <arch>x86_64</arch>\n    </cpu>\n  </host>\n");
    for (guint i = 0; i < 2; i++)
        g_string_append_printf(text,
                               "  <guest>\n    <os_type>hvm</os_type>\n    <arch name='%s'>\n"
                               "      <wordsize>%d</wordsize>\n      <domain type='vmware'/>\n    </arch>\n  </guest>\n",
                               i ? "x86_64" : "i686", i ? 64 : 32);
    g_string_append(text, "</capabilities>\n");
    ret->capabilities = conn->driver->host->strdup(call, text->str);
    return VIREO_OK;
}

/* What a definition may ask for, of spec.c. */
static const char domain_devices[] =
    "  <devices>\n"
    "    <disk supported='yes'>\n"
    "      <enum name='diskDevice'>\n        <value>disk</value>\n        <value>cdrom</value>\n      </enum>\n"
    "      <enum name='bus'>\n        <value>ide</value>\n        <value>scsi</value>\n        <value>sata</value>\n"
    "      </enum>\n    </disk>\n"
    "    <video supported='yes'>\n"
    "      <enum name='modelType'>\n        <value>vmvga</value>\n      </enum>\n    </video>\n"
    "    <hostdev supported='no'/>\n"
    "  </devices>\n";

int esx_connect_get_domain_capabilities(void *handle, vireo_call *call, const vireo_connect_get_domain_capabilities_args *args,
                                        vireo_connect_get_domain_capabilities_ret *ret)
{
    EsxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    const char *arch = args->arch ? args->arch : "x86_64";
    vireo_connect_get_max_vcpus_args any = { .type = NULL };
    vireo_connect_get_max_vcpus_ret most = { 0 };
    g_autoptr(GString) text = g_string_new("<domainCapabilities>\n  <domain>vmware</domain>\n");

    if (args->virttype && g_ascii_strcasecmp(args->virttype, "vmware") != 0)
        return host->fail(call, VIREO_ERR_INVALID_ARG, "virttype '%s': there is vmware", args->virttype);
    if (!g_str_equal(arch, "x86_64") && !g_str_equal(arch, "i686"))
        return host->fail(call, VIREO_ERR_INVALID_ARG, "arch '%s': there are i686 and x86_64", arch);
    if (args->emulatorbin || args->machine)
        return host->fail(call, VIREO_ERR_INVALID_ARG, "%s '%s': machines here have none",
                          args->emulatorbin ? "emulator" : "machine type",
                          args->emulatorbin ? args->emulatorbin : args->machine);
    if (esx_connect_get_max_vcpus(conn, call, &any, &most) != VIREO_OK)
        return VIREO_FAIL;
    g_string_append_printf(text,
                           "  <arch>%s</arch>\n  <vcpu max='%d'/>\n  <os supported='yes'>\n    <enum name='firmware'>\n"
                           "      <value>bios</value>\n      <value>efi</value>\n    </enum>\n  </os>\n%s</domainCapabilities>\n",
                           arch, most.max_vcpus, domain_devices);
    ret->capabilities = host->strdup(call, text->str);
    return VIREO_OK;
}
