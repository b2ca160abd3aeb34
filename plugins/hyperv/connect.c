/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections, and what the server itself is. */
#include "ops.h"

#include <stdio.h>

VireoHttpWait hyperv_wait(vireo_call *call)
{
    return (VireoHttpWait){.cancelled = hyperv_call_cancelled, .opaque = call};
}

HypervMachine *hyperv_begin(HypervTalk *talk, HypervConn *conn, vireo_call *call, const vireo_domain_ref *dom)
{
    HypervMachine *machine = hyperv_machine_find(conn->server, dom->uuid);
    VireoHttpWait wait = hyperv_wait(call);

    if (machine)
        hyperv_talk_begin(talk, conn->server, call, &wait);
    else
        conn->driver->host->fail(call, VIREO_ERR_NO_DOMAIN, "there is no machine '%s' any more", dom->name);
    return machine;
}

int hyperv_conn_open(void *self, vireo_call *call, const vireo_conn_open_args *args, vireo_conn_open_ret *ret)
{
    HypervDriver *driver = self;
    VireoHttpWait wait = hyperv_wait(call);
    GError *error = NULL;
    HypervUri *uri = hyperv_uri_parse(driver, args->uri, &error);
    HypervServer *server = NULL;

    if (uri && args->readonly && !hyperv_uri_is_safe(uri, &error))
        hyperv_uri_free(uri);
    else if (uri)
        server = hyperv_server_open(driver, uri, &wait, &error);
    if (!server)
        return hyperv_fail(driver, call, error);
    HypervConn *conn = g_new0(HypervConn, 1);
    conn->driver = driver;
    conn->server = server;
    conn->readonly = args->readonly;
    ret->conn = conn;
    ret->space = server->space;
    ret->uri = driver->host->strdup(call, server->uri->text);
    return VIREO_OK;
}

int hyperv_conn_close(void *handle, vireo_call *call)
{
    HypervConn *conn = handle;

    (void)call;
    vireo_shared_unref(&conn->server->shared);
    g_free(conn);
    return VIREO_OK;
}

int hyperv_connect_get_type(void *handle, vireo_call *call, vireo_connect_get_type_ret *ret)
{
    HypervConn *conn = handle;

    ret->type = conn->driver->host->strdup(call, "Hyper-V");
    return VIREO_OK;
}

/* 10.0.20348 has no room in three digits each: as libvirt packs it. */
int hyperv_connect_get_version(void *handle, vireo_call *call, vireo_connect_get_version_ret *ret)
{
    HypervConn *conn = handle;
    VireoHttpWait wait = hyperv_wait(call);
    guint part[3] = {0};
    HypervTalk talk;

    hyperv_talk_begin(&talk, conn->server, call, &wait);
    const VireoCim *system =
        hyperv_query_one(&talk, HYPERV_CIMV2, "Win32_OperatingSystem", "select Version from Win32_OperatingSystem");
    sscanf(vireo_cim_string(system, "Version"), "%u.%u.%u", &part[0], &part[1], &part[2]);
    ret->hv_ver = part[0] * 100000000ull + part[1] * 1000000ull + part[2];
    return hyperv_talk_finish(&talk, call);
}

int hyperv_connect_get_hostname(void *handle, vireo_call *call, vireo_connect_get_hostname_ret *ret)
{
    HypervConn *conn = handle;
    VireoHttpWait wait = hyperv_wait(call);
    HypervTalk talk;

    hyperv_talk_begin(&talk, conn->server, call, &wait);
    const VireoCim *system =
        hyperv_query_one(&talk, HYPERV_CIMV2, "Win32_ComputerSystem", "select DNSHostName from Win32_ComputerSystem");
    ret->hostname = conn->driver->host->strdup(call, vireo_cim_string(system, "DNSHostName"));
    return hyperv_talk_finish(&talk, call);
}

/* Over http it is so with NTLM and Kerberos, whose messages are encrypted. */
int hyperv_connect_is_secure(void *handle, vireo_call *call, vireo_connect_is_secure_ret *ret)
{
    HypervConn *conn = handle;

    (void)call;
    ret->secure = conn->server->uri->https || conn->server->uri->auth != VIREO_WSMAN_BASIC;
    return VIREO_OK;
}

int hyperv_connect_get_max_vcpus(void *handle, vireo_call *call, const vireo_connect_get_max_vcpus_args *args,
                                 vireo_connect_get_max_vcpus_ret *ret)
{
    HypervConn *conn = handle;
    VireoHttpWait wait = hyperv_wait(call);
    HypervTalk talk;

    if (args->type && g_ascii_strcasecmp(args->type, "hyperv") != 0)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "unknown domain type '%s': there is hyperv",
                                        args->type);
    hyperv_talk_begin(&talk, conn->server, call, &wait);
    const VireoCim *most =
        hyperv_query_one(&talk, HYPERV_SPACE, "greatest number of processors",
                         "select VirtualQuantity from Msvm_ProcessorSettingData where InstanceID like "
                         "'Microsoft:Definition%%Maximum'");
    ret->max_vcpus = (int)vireo_cim_number(most, "VirtualQuantity");
    return hyperv_talk_finish(&talk, call);
}

/* ---- the host ------------------------------------------------------------------------ */

static void shorten(const char *model, char *into, gsize size)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (; *model; model++) /* 31 bytes: no room for two blanks */
        if (*model != ' ' || model[1] != ' ')
            g_string_append_c(text, *model);
    g_strlcpy(into, text->str, size);
}

int hyperv_node_get_info(void *handle, vireo_call *call, vireo_node_get_info_ret *ret)
{
    HypervConn *conn = handle;
    VireoHttpWait wait = hyperv_wait(call);
    HypervTalk talk;

    hyperv_talk_begin(&talk, conn->server, call, &wait);
    const VireoCim *system = hyperv_query_one(&talk, HYPERV_CIMV2, "Win32_ComputerSystem",
                                              "select TotalPhysicalMemory from Win32_ComputerSystem");
    const GPtrArray *cpus = hyperv_query(
        &talk, HYPERV_CIMV2, "select Name,MaxClockSpeed,NumberOfCores,NumberOfLogicalProcessors from Win32_Processor");
    guint cores = 0, threads = 0;
    for (guint i = 0; i < cpus->len; i++) {
        cores += (guint)vireo_cim_number(cpus->pdata[i], "NumberOfCores");
        threads += (guint)vireo_cim_number(cpus->pdata[i], "NumberOfLogicalProcessors");
    }
    ret->memory = vireo_cim_number(system, "TotalPhysicalMemory") / 1024;
    ret->nodes = 1;
    ret->sockets = (int)MAX(1, cpus->len);
    ret->cores = (int)MAX(1, cores / (guint)ret->sockets);
    ret->threads = (int)MAX(1, threads / MAX(1, cores));
    ret->cpus = ret->sockets * ret->cores * ret->threads;
    if (cpus->len) {
        ret->mhz = (int)vireo_cim_number(cpus->pdata[0], "MaxClockSpeed");
        shorten(vireo_cim_string(cpus->pdata[0], "Name"), (char *)ret->model, sizeof ret->model);
    }
    return hyperv_talk_finish(&talk, call);
}

/* All of them are online: Windows does not switch them off. */
int hyperv_node_get_cpu_map(void *handle, vireo_call *call, const vireo_node_get_cpu_map_args *args,
                            vireo_node_get_cpu_map_ret *ret)
{
    HypervConn *conn = handle;
    VireoHttpWait wait = hyperv_wait(call);
    HypervTalk talk;
    guint64 all = 0;

    hyperv_talk_begin(&talk, conn->server, call, &wait);
    const GPtrArray *cpus = hyperv_query(&talk, HYPERV_CIMV2, "select NumberOfLogicalProcessors from Win32_Processor");
    for (guint i = 0; i < cpus->len; i++)
        all += vireo_cim_number(cpus->pdata[i], "NumberOfLogicalProcessors");
    all = MIN(all, VIREO_LIMIT_CPUMAP_MAX * 8);
    ret->ret = (int)all;
    ret->online = args->need_online ? (guint32)all : 0;
    ret->cpumap.len = args->need_map ? (guint32)(all + 7) / 8 : 0;
    ret->cpumap.val = conn->driver->host->alloc(call, ret->cpumap.len + 1);
    for (guint i = 0; args->need_map && i < all; i++)
        ret->cpumap.val[i / 8] |= (guint8)(1u << (i % 8));
    return hyperv_talk_finish(&talk, call);
}

int hyperv_node_get_free_memory(void *handle, vireo_call *call, vireo_node_get_free_memory_ret *ret)
{
    HypervConn *conn = handle;
    VireoHttpWait wait = hyperv_wait(call);
    HypervTalk talk;

    hyperv_talk_begin(&talk, conn->server, call, &wait);
    const VireoCim *system = hyperv_query_one(&talk, HYPERV_CIMV2, "Win32_OperatingSystem",
                                              "select FreePhysicalMemory from Win32_OperatingSystem");
    ret->freeMem = vireo_cim_number(system, "FreePhysicalMemory") * 1024;
    return hyperv_talk_finish(&talk, call);
}

int hyperv_connect_get_capabilities(void *handle, vireo_call *call, vireo_connect_get_capabilities_ret *ret)
{
    HypervConn *conn = handle;
    VireoHttpWait wait = hyperv_wait(call);
    HypervTalk talk;

    hyperv_talk_begin(&talk, conn->server, call, &wait);
    const VireoCim *product = hyperv_query_one(&talk, HYPERV_CIMV2, "Win32_ComputerSystemProduct",
                                               "select UUID from Win32_ComputerSystemProduct");
    g_autofree char *uuid = g_ascii_strdown(vireo_cim_string(product, "UUID"), -1);
    GString *text = g_string_new("<capabilities>\n  <host>\n");
    if (hyperv_is_guid(uuid))
        g_string_append_printf(text, "    <uuid>%s</uuid>\n", uuid);
    g_string_append(text, "    <cpu>\n      <arch>x86_64</arch>\n    </cpu>\n  </host>\n");
    for (guint i = 0; i < 2; i++)
        g_string_append_printf(text,
                               "  <guest>\n    <os_type>hvm</os_type>\n    <arch name='%s'>\n"
                               "      <wordsize>%d</wordsize>\n      <domain type='hyperv'/>\n    </arch>\n  </guest>\n",
                               i ? "x86_64" : "i686", i ? 64 : 32);
    g_string_append(text, "</capabilities>\n");
    ret->capabilities = conn->driver->host->strdup(call, text->str);
    g_string_free(text, TRUE);
    return hyperv_talk_finish(&talk, call);
}
