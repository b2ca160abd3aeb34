/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is answered without asking QEMU. */
#include "ops.h"

#include <string.h>

#include "events.h"
#include "kit/node.h"
#include "kit/process.h"
#include "kit/params.h"

guint64 qemu_domain_cpu_time(QemuDomain *dom)
{
    VireoProcessUsage usage;

    g_mutex_lock(&dom->lock);
    pid_t pid = dom->id != -1 ? dom->pid : 0;
    g_mutex_unlock(&dom->lock);
    if (!pid || !vireo_process_usage(pid, 0, &usage))
        return 0;
    return usage.user_ns + usage.system_ns;
}

int qemu_domain_get_info(void *handle, vireo_call *call, const vireo_domain_get_info_args *args,
                         vireo_domain_get_info_ret *ret)
{
    g_autoptr(QemuDomain) dom = qemu_domain_find(qemu_conn(handle), call, &args->dom);
    g_autoptr(QemuDef) def = dom ? qemu_domain_current(dom) : NULL;

    if (!dom)
        return VIREO_FAIL;
    if (def) {
        ret->maxMem = def->doc->memory->text;
        ret->memory = def->doc->current_memory;
        ret->nrVirtCpu = (guint16)(def->doc->vcpu->has_current ? def->doc->vcpu->current
                                                               : def->doc->vcpu->text);
    }
    g_mutex_lock(&dom->lock);
    ret->state = (guint8)dom->state;
    if (dom->id != -1 && dom->balloon_kib)
        ret->memory = dom->balloon_kib;
    g_mutex_unlock(&dom->lock);
    ret->cpuTime = qemu_domain_cpu_time(dom);
    return VIREO_OK;
}

int qemu_domain_get_control_info(void *handle, vireo_call *call,
                                 const vireo_domain_get_control_info_args *args,
                                 vireo_domain_get_control_info_ret *ret)
{
    g_autoptr(QemuDomain) dom = qemu_domain_find(qemu_conn(handle), call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    g_mutex_lock(&dom->lock);
    gboolean active = dom->id != -1, open = dom->qmp && vireo_qmp_is_open(dom->qmp);
    g_mutex_unlock(&dom->lock);
    if (!active)
        return qemu_conn(handle)->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                                     "domain '%s' is not running", dom->name);
    ret->state = open ? VIREO_DOMAIN_CONTROL_OK : VIREO_DOMAIN_CONTROL_ERROR;
    ret->details = open ? 0 : VIREO_DOMAIN_CONTROL_ERROR_REASON_MONITOR;
    return VIREO_OK;
}

/* ---- security: nothing but the user QEMU runs as -------------------------------- */

int qemu_domain_get_security_label(void *handle, vireo_call *call,
                                   const vireo_domain_get_security_label_args *args,
                                   vireo_domain_get_security_label_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    ret->label.val = conn->driver->host->alloc(call, 1);
    ret->label.len = 1;
    ret->enforcing = 0;
    return VIREO_OK;
}

int qemu_domain_get_security_label_list(void *handle, vireo_call *call,
                                        const vireo_domain_get_security_label_list_args *args,
                                        vireo_domain_get_security_label_list_ret *ret)
{
    g_autoptr(QemuDomain) dom = qemu_domain_find(qemu_conn(handle), call, &args->dom);

    ret->ret = 0;
    return dom ? VIREO_OK : VIREO_FAIL;
}

int qemu_domain_get_messages(void *handle, vireo_call *call,
                             const vireo_domain_get_messages_args *args,
                             vireo_domain_get_messages_ret *ret)
{
    g_autoptr(QemuDomain) dom = qemu_domain_find(qemu_conn(handle), call, &args->dom);

    return dom ? VIREO_OK : VIREO_FAIL; /* nothing taints a guest here */
}

/* ---- CPUs ---------------------------------------------------------------------- */

int qemu_domain_get_vcpus(void *handle, vireo_call *call, const vireo_domain_get_vcpus_args *args,
                          vireo_domain_get_vcpus_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(GArray) tids = NULL;
    g_autofree guint8 *online = NULL;
    gsize map_len = 0;

    if (!dom)
        return VIREO_FAIL;
    g_mutex_lock(&dom->lock);
    pid_t pid = dom->id != -1 ? dom->pid : 0;
    if (pid)
        tids = g_array_copy(dom->vcpu_tids);
    g_mutex_unlock(&dom->lock);
    if (!pid)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                        "domain '%s' is not running", dom->name);
    vireo_node_cpu_map(&online, &map_len, NULL, NULL);
    guint count = MIN(tids->len, (guint)MAX(args->maxinfo, 0));
    ret->info.len = count;
    ret->info.val = conn->driver->host->alloc(call, sizeof *ret->info.val * (count + 1));
    ret->cpumaps.len = count * (guint)MAX(args->maplen, 0);
    ret->cpumaps.val = conn->driver->host->alloc(call, ret->cpumaps.len + 1);
    for (guint i = 0; i < count; i++) {
        VireoProcessUsage usage = { 0 };

        vireo_process_usage(pid, g_array_index(tids, gint, i), &usage);
        ret->info.val[i].number = i;
        ret->info.val[i].state = VIREO_VCPU_RUNNING;
        ret->info.val[i].cpu_time = usage.user_ns + usage.system_ns;
        ret->info.val[i].cpu = usage.last_cpu;
        if (args->maplen > 0)
            memcpy(ret->cpumaps.val + i * (guint)args->maplen, online,
                   MIN(map_len, (gsize)args->maplen));
    }
    return VIREO_OK;
}

int qemu_domain_get_vcpus_flags(void *handle, vireo_call *call,
                                const vireo_domain_get_vcpus_flags_args *args,
                                vireo_domain_get_vcpus_flags_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    gboolean live, config;

    if (!dom)
        return VIREO_FAIL;
    if (!qemu_domain_impact(dom, args->flags, &live, &config, &error))
        return qemu_fail(conn->driver, call, error);
    g_autoptr(QemuDef) def = live ? qemu_domain_live(dom) : qemu_domain_config(dom);
    if (!def)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                        "domain '%s' is not running", dom->name);
    const VireoDomainVcpu *vcpu = def->doc->vcpu;
    gboolean maximum = (args->flags & VIREO_DOMAIN_VCPU_MAXIMUM) || !vcpu->has_current;
    ret->num = (gint32)(maximum ? vcpu->text : vcpu->current);
    return VIREO_OK;
}

int qemu_domain_get_cpu_stats(void *handle, vireo_call *call,
                              const vireo_domain_get_cpu_stats_args *args,
                              vireo_domain_get_cpu_stats_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_auto(VireoParams) params = { 0 };
    VireoProcessUsage usage;

    if (!dom)
        return VIREO_FAIL;
    g_mutex_lock(&dom->lock);
    pid_t pid = dom->id != -1 ? dom->pid : 0;
    g_mutex_unlock(&dom->lock);
    if (!pid || !vireo_process_usage(pid, 0, &usage))
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_INVALID,
                                        "domain '%s' is not running", dom->name);
    if (args->start_cpu != -1)
        return conn->driver->host->fail(call, VIREO_ERR_OPERATION_UNSUPPORTED,
                                        "CPU time is known in total only, not per host CPU");
    vireo_params_init(&params, conn->driver->host, call);
    vireo_param_ullong(&params, "cpu_time", usage.user_ns + usage.system_ns);
    vireo_param_ullong(&params, "user_time", usage.user_ns);
    vireo_param_ullong(&params, "system_time", usage.system_ns);
    ret->params.val = vireo_params_take(&params, &ret->params.len);
    return VIREO_OK;
}

int qemu_domain_get_scheduler_type(void *handle, vireo_call *call,
                                   const vireo_domain_get_scheduler_type_args *args,
                                   vireo_domain_get_scheduler_type_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);

    if (!dom)
        return VIREO_FAIL;
    ret->type = conn->driver->host->strdup(call, "posix");
    ret->nparams = 0;
    return VIREO_OK;
}

/* A guest that goes on after an error tells nobody which disk it was; one that stopped does. */
int qemu_domain_get_disk_errors(void *handle, vireo_call *call,
                                const vireo_domain_get_disk_errors_args *args,
                                vireo_domain_get_disk_errors_ret *ret)
{
    QemuConn *conn = qemu_conn(handle);
    g_autoptr(QemuDomain) dom = qemu_domain_find(conn, call, &args->dom);
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoQmp) qmp = dom ? qemu_domain_monitor(dom, &error) : NULL;
    g_autoptr(QemuDef) live = dom ? qemu_domain_live(dom) : NULL;
    VireoQmpWait wait = qemu_wait(conn->driver, call, 30);

    if (!dom)
        return VIREO_FAIL;
    g_autoptr(JsonNode) node =
        qmp && live ? vireo_qmp_call(qmp, "query-block", NULL, &wait, &error) : NULL;
    if (!node)
        return qemu_fail(conn->driver, call, error);
    JsonArray *blocks = vireo_json_node_array(node);
    if (args->maxerrors == 0) { /* asked how many there can be */
        ret->nerrors = (gint32)live->doc->devices->disks.n;
        return VIREO_OK;
    }
    ret->errors.val = conn->driver->host->alloc(
        call, sizeof *ret->errors.val * (live->doc->devices->disks.n + 1));
    VEC_EACH(live->doc->devices->disks, d)
    for (guint i = 0; i < vireo_json_length(blocks); i++) {
        const VireoDomainDisk *disk = live->doc->devices->disks.items[d];
        JsonObject *block = vireo_json_element(blocks, i);
        const char *qdev = vireo_json_string(block, "qdev");
        const char *status = vireo_json_string(block, "io-status");

        if (!qdev || !strstr(qdev, disk->alias) || !status || g_str_equal(status, "ok"))
            continue;
        ret->errors.val[ret->errors.len].disk =
            conn->driver->host->strdup(call, disk->target->dev);
        ret->errors.val[ret->errors.len++].error =
            g_str_equal(status, "nospace") ? VIREO_DOMAIN_DISK_ERROR_NO_SPACE
                                           : VIREO_DOMAIN_DISK_ERROR_UNSPEC;
    }
    ret->errors.len = MIN(ret->errors.len, args->maxerrors);
    ret->nerrors = (gint32)ret->errors.len;
    return VIREO_OK;
}
