/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections, and what the server's host is. */
#include "ops.h"

#include <string.h>

static VireoHttpWait wait_of(vireo_call *call)
{
    return (VireoHttpWait){.cancelled = vbox_call_cancelled, .opaque = call};
}

void vbox_begin(VboxTalk *talk, VboxConn *conn, vireo_call *call)
{
    VireoHttpWait wait = wait_of(call);

    vbox_talk_begin(talk, conn->server, &wait);
}

int vbox_conn_open(void *self, vireo_call *call, const vireo_conn_open_args *args, vireo_conn_open_ret *ret)
{
    VboxDriver *driver = self;
    VireoHttpWait wait = wait_of(call);
    GError *error = NULL;
    VboxUri *uri = vbox_uri_parse(driver, args->uri, &error);
    VboxServer *server = NULL;

    if (uri && args->readonly && !vbox_uri_is_safe(uri, &error))
        vbox_uri_free(uri);
    else if (uri)
        server = vbox_server_open(driver, uri, &wait, &error);
    if (!server)
        return vbox_fail(driver, call, error);
    VboxConn *conn = g_new0(VboxConn, 1);
    conn->driver = driver;
    conn->server = server;
    ret->conn = conn;
    ret->space = server->space;
    ret->uri = driver->host->strdup(call, server->uri->text);
    return VIREO_OK;
}

int vbox_conn_close(void *handle, vireo_call *call)
{
    VboxConn *conn = handle;

    (void)call;
    vireo_shared_unref(&conn->server->shared);
    g_free(conn);
    return VIREO_OK;
}

int vbox_connect_get_type(void *handle, vireo_call *call, vireo_connect_get_type_ret *ret)
{
    VboxConn *conn = handle;

    ret->type = conn->driver->host->strdup(call, "VBOX");
    return VIREO_OK;
}

int vbox_connect_get_version(void *handle, vireo_call *call, vireo_connect_get_version_ret *ret)
{
    VboxConn *conn = handle;
    g_auto(GStrv) parts = g_strsplit(conn->server->version, ".", 3);

    (void)call;
    for (guint i = 0; i < 3; i++)
        ret->hv_ver = ret->hv_ver * 1000 + (i < g_strv_length(parts) ? g_ascii_strtoull(parts[i], NULL, 10) : 0);
    return VIREO_OK;
}

/* The service does not say what its host is called. */
int vbox_connect_get_hostname(void *handle, vireo_call *call, vireo_connect_get_hostname_ret *ret)
{
    VboxConn *conn = handle;
    const char *name = *conn->server->uri->path ? g_get_host_name() : conn->server->uri->host;

    ret->hostname = conn->driver->host->strdup(call, name);
    return VIREO_OK;
}

int vbox_connect_is_secure(void *handle, vireo_call *call, vireo_connect_is_secure_ret *ret)
{
    VboxConn *conn = handle;

    (void)call;
    ret->secure = conn->server->uri->https || *conn->server->uri->path;
    return VIREO_OK;
}

int vbox_connect_get_max_vcpus(void *handle, vireo_call *call, const vireo_connect_get_max_vcpus_args *args,
                               vireo_connect_get_max_vcpus_ret *ret)
{
    VboxConn *conn = handle;
    VboxTalk talk;

    if (args->type && g_ascii_strcasecmp(args->type, "vbox") != 0)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "unknown domain type '%s': there is vbox",
                                        args->type);
    vbox_begin(&talk, conn, call);
    const char *properties = VBOX_GET(&talk, i_virtual_box_get_system_properties, talk.web);
    ret->max_vcpus = (int)VBOX_GET(&talk, i_system_properties_get_max_guest_cpu_count, properties);
    return vbox_talk_finish(&talk, call);
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

int vbox_node_get_info(void *handle, vireo_call *call, vireo_node_get_info_ret *ret)
{
    VboxConn *conn = handle;
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const char *host = VBOX_GET(&talk, i_virtual_box_get_host, talk.web);
    guint cpus = VBOX_GET(&talk, i_host_get_processor_online_count, host);
    guint cores = VBOX_GET(&talk, i_host_get_processor_online_core_count, host);
    shorten(VBOX_CALL(&talk, i_host_get_processor_description, ._this = host)->returnval, (char *)ret->model,
            sizeof ret->model);
    ret->memory = (uint64_t)VBOX_GET(&talk, i_host_get_memory_size, host) * 1024;
    ret->cpus = (int)cpus;
    ret->mhz = (int)VBOX_CALL(&talk, i_host_get_processor_speed, ._this = host)->returnval;
    ret->nodes = ret->sockets = 1;
    ret->cores = (int)MAX(1, cores);
    ret->threads = (int)MAX(1, cpus / MAX(1, cores));
    return vbox_talk_finish(&talk, call);
}

/* The host's memory, in MiB. */
static int read_memory(VboxConn *conn, vireo_call *call, guint64 *total, guint64 *free)
{
    VboxTalk talk;

    vbox_begin(&talk, conn, call);
    const char *host = VBOX_GET(&talk, i_virtual_box_get_host, talk.web);
    *total = VBOX_GET(&talk, i_host_get_memory_size, host);
    *free = VBOX_GET(&talk, i_host_get_memory_available, host);
    return vbox_talk_finish(&talk, call);
}

int vbox_node_get_free_memory(void *handle, vireo_call *call, vireo_node_get_free_memory_ret *ret)
{
    guint64 total, free;
    int status = read_memory(handle, call, &total, &free);

    ret->freeMem = free << 20;
    return status;
}

/* VirtualBox tells of no cells: all is one. */
int vbox_node_get_cells_free_memory(void *handle, vireo_call *call, const vireo_node_get_cells_free_memory_args *args,
                                    vireo_node_get_cells_free_memory_ret *ret)
{
    VboxConn *conn = handle;
    guint64 total, free;

    if (args->startCell != 0 || args->maxcells < 1)
        return conn->driver->host->fail(call, VIREO_ERR_INVALID_ARG, "there is one cell, 0, and not %d", args->startCell);
    int status = read_memory(conn, call, &total, &free);
    ret->cells.val = conn->driver->host->alloc(call, sizeof *ret->cells.val);
    ret->cells.val[0] = free << 20;
    ret->cells.len = 1;
    return status;
}

int vbox_node_get_memory_stats(void *handle, vireo_call *call, const vireo_node_get_memory_stats_args *args,
                               vireo_node_get_memory_stats_ret *ret)
{
    VboxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    guint64 total, free;

    if (args->cellNum > 0)
        return host->fail(call, VIREO_ERR_INVALID_ARG, "there is one cell, 0, and not %d", args->cellNum);
    ret->nparams = 2;
    if (args->nparams == 0)
        return VIREO_OK;
    int status = read_memory(conn, call, &total, &free);
    ret->params.len = (guint)CLAMP(args->nparams, 0, 2);
    ret->params.val = host->alloc(call, sizeof *ret->params.val * 2);
    ret->params.val[0] = (vireo_node_get_memory_stats){.field = host->strdup(call, "total"), .value = total << 10};
    ret->params.val[1] = (vireo_node_get_memory_stats){.field = host->strdup(call, "free"), .value = free << 10};
    return status;
}

int vbox_connect_get_capabilities(void *handle, vireo_call *call, vireo_connect_get_capabilities_ret *ret)
{
    VboxConn *conn = handle;
    g_autoptr(GString) text =
        g_string_new("<capabilities>\n  <host>\n    <cpu>\n      <arch>x86_64</arch>\n    </cpu>\n"
                     "  </host>\n");

    for (guint i = 0; i < 2; i++)
        g_string_append_printf(text,
                               "  <guest>\n    <os_type>hvm</os_type>\n    <arch name='%s'>\n"
                               "      <wordsize>%d</wordsize>\n      <domain type='vbox'/>\n    </arch>\n  </guest>\n",
                               i ? "x86_64" : "i686", i ? 64 : 32);
    g_string_append(text, "</capabilities>\n");
    ret->capabilities = conn->driver->host->strdup(call, text->str);
    return VIREO_OK;
}

static const char domain_devices[] =
    "  <devices>\n    <disk supported='yes'>\n"
    "      <enum name='diskDevice'>\n        <value>disk</value>\n        <value>cdrom</value>\n"
    "        <value>floppy</value>\n      </enum>\n"
    "      <enum name='bus'>\n        <value>ide</value>\n        <value>fdc</value>\n        <value>scsi</value>\n"
    "        <value>sata</value>\n      </enum>\n    </disk>\n"
    "    <graphics supported='yes'>\n      <enum name='type'>\n        <value>rdp</value>\n      </enum>\n"
    "    </graphics>\n    <video supported='yes'>\n      <enum name='modelType'>\n        <value>vbox</value>\n"
    "      </enum>\n    </video>\n    <hostdev supported='no'/>\n  </devices>\n";

int vbox_connect_get_domain_capabilities(void *handle, vireo_call *call,
                                         const vireo_connect_get_domain_capabilities_args *args,
                                         vireo_connect_get_domain_capabilities_ret *ret)
{
    VboxConn *conn = handle;
    const struct vireo_host *host = conn->driver->host;
    const char *arch = args->arch ? args->arch : "x86_64";
    vireo_connect_get_max_vcpus_args of = {.type = args->virttype};
    vireo_connect_get_max_vcpus_ret most = {0};

    if (!g_str_equal(arch, "x86_64") && !g_str_equal(arch, "i686"))
        return host->fail(call, VIREO_ERR_INVALID_ARG, "arch '%s': there are i686 and x86_64", arch);
    if (args->emulatorbin || args->machine)
        return host->fail(call, VIREO_ERR_INVALID_ARG, "VirtualBox has neither emulators nor machine types to choose");
    if (vbox_connect_get_max_vcpus(conn, call, &of, &most) != VIREO_OK)
        return VIREO_FAIL;
    g_autofree char *text = g_strdup_printf(
        "<domainCapabilities>\n  <domain>vbox</domain>\n  <arch>%s</arch>\n  <vcpu max='%d'/>\n"
        "  <os supported='yes'>\n    <enum name='firmware'>\n      <value>bios</value>\n      <value>efi</value>\n"
        "    </enum>\n  </os>\n%s</domainCapabilities>\n",
        arch, most.max_vcpus, domain_devices);
    ret->capabilities = host->strdup(call, text);
    return VIREO_OK;
}
