/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/answer.h"

#include <string.h>

#include "kit/node.h"

static int fail(const struct vireo_host *host, vireo_call *call, const GError *error)
{
    return host->fail(call, VIREO_ERR_SYSTEM_ERROR, "%s", error->message);
}

int vireo_answer_node_get_info(const struct vireo_host *host, vireo_call *call,
                               vireo_node_get_info_ret *ret)
{
    g_autoptr(GError) error = NULL;
    VireoNodeInfo info;

    if (!vireo_node_info(&info, &error))
        return fail(host, call, error);
    memcpy(ret->model, info.model, sizeof ret->model);
    ret->memory = info.memory_kib;
    ret->cpus = info.cpus;
    ret->mhz = info.mhz;
    ret->nodes = info.nodes;
    ret->sockets = info.sockets;
    ret->cores = info.cores;
    ret->threads = info.threads;
    return VIREO_OK;
}

int vireo_answer_node_get_cpu_stats(const struct vireo_host *host, vireo_call *call,
                                    const vireo_node_get_cpu_stats_args *args,
                                    vireo_node_get_cpu_stats_ret *ret)
{
    g_autoptr(GError) error = NULL;
    VireoNodeCpuStats stats;

    if (!vireo_node_cpu_stats(args->cpuNum, &stats, &error))
        return host->fail(call, VIREO_ERR_INVALID_ARG, "%s", error->message);
    const struct {
        const char *name;
        guint64 value;
    } fields[] = { { "kernel", stats.kernel }, { "user", stats.user }, { "idle", stats.idle },
                   { "iowait", stats.iowait } };
    ret->params.len = G_N_ELEMENTS(fields);
    ret->params.val = host->alloc(call, sizeof *ret->params.val * G_N_ELEMENTS(fields));
    for (guint i = 0; i < ret->params.len; i++) {
        ret->params.val[i].field = host->strdup(call, fields[i].name);
        ret->params.val[i].value = fields[i].value;
    }
    return VIREO_OK;
}

int vireo_answer_node_get_memory_stats(const struct vireo_host *host, vireo_call *call,
                                       const vireo_node_get_memory_stats_args *args,
                                       vireo_node_get_memory_stats_ret *ret)
{
    g_autoptr(GError) error = NULL;
    VireoNodeMemoryStats stats;
    guint count = args->cellNum < 0 ? 4 : 2;

    if (!vireo_node_memory_stats(args->cellNum, &stats, &error))
        return host->fail(call, VIREO_ERR_INVALID_ARG, "%s", error->message);
    const struct {
        const char *name;
        guint64 value;
    } fields[] = { { "total", stats.total }, { "free", stats.free }, { "buffers", stats.buffers },
                   { "cached", stats.cached } };
    ret->params.len = count;
    ret->params.val = host->alloc(call, sizeof *ret->params.val * G_N_ELEMENTS(fields));
    for (guint i = 0; i < ret->params.len; i++) {
        ret->params.val[i].field = host->strdup(call, fields[i].name);
        ret->params.val[i].value = fields[i].value;
    }
    return VIREO_OK;
}

int vireo_answer_node_get_cpu_map(const struct vireo_host *host, vireo_call *call,
                                  const vireo_node_get_cpu_map_args *args,
                                  vireo_node_get_cpu_map_ret *ret)
{
    g_autoptr(GError) error = NULL;
    g_autofree guint8 *map = NULL;
    gsize len = 0;
    guint online = 0;

    ret->ret = vireo_node_cpu_map(&map, &len, &online, &error);
    if (ret->ret < 0)
        return fail(host, call, error);
    ret->online = online;
    if (!args->need_map)
        return VIREO_OK;
    ret->cpumap.len = (guint32)len;
    ret->cpumap.val = host->alloc(call, len);
    memcpy(ret->cpumap.val, map, len);
    return VIREO_OK;
}

int vireo_answer_node_get_free_memory(const struct vireo_host *host, vireo_call *call,
                                      vireo_node_get_free_memory_ret *ret)
{
    g_autoptr(GError) error = NULL;
    VireoNodeMemoryStats stats;

    if (!vireo_node_memory_stats(-1, &stats, &error))
        return fail(host, call, error);
    ret->freeMem = stats.free * 1024;
    return VIREO_OK;
}

int vireo_answer_node_get_cells_free_memory(const struct vireo_host *host, vireo_call *call,
                                            const vireo_node_get_cells_free_memory_args *args,
                                            vireo_node_get_cells_free_memory_ret *ret)
{
    g_autoptr(GArray) cells = vireo_node_cells();
    g_autoptr(GError) error = NULL;
    VireoNodeMemoryStats stats;

    if (args->startCell < 0 || (guint)args->startCell >= cells->len || args->maxcells < 1)
        return host->fail(call, VIREO_ERR_INVALID_ARG, "the host has NUMA cells 0 to %u",
                          cells->len - 1);
    guint count = MIN((guint)args->maxcells, cells->len - (guint)args->startCell);
    ret->cells.val = host->alloc(call, sizeof *ret->cells.val * count);
    for (guint i = 0; i < count; i++) {
        gint cell = g_array_index(cells, gint, i + (guint)args->startCell);

        if (!vireo_node_memory_stats(cell, &stats, &error))
            return fail(host, call, error);
        ret->cells.val[i] = stats.free * 1024;
    }
    ret->cells.len = count;
    return VIREO_OK;
}

int vireo_answer_node_get_free_pages(const struct vireo_host *host, vireo_call *call,
                                     const vireo_node_get_free_pages_args *args,
                                     vireo_node_get_free_pages_ret *ret)
{
    g_autoptr(GError) error = NULL;
    guint64 total = (guint64)args->cellCount * args->pages.len;

    if (!total || total > 1024)
        return host->fail(call, VIREO_ERR_INVALID_ARG, "%u cells of %u page sizes are asked for",
                          args->cellCount, args->pages.len);
    ret->counts.val = host->alloc(call, sizeof *ret->counts.val * total);
    for (guint c = 0; c < args->cellCount; c++)
        for (guint p = 0; p < args->pages.len; p++) {
            guint64 count;

            if (!vireo_node_free_pages(args->startCell + (gint)c, args->pages.val[p], &count,
                                       &error))
                return host->fail(call, VIREO_ERR_OPERATION_FAILED, "%s", error->message);
            ret->counts.val[ret->counts.len++] = count;
        }
    return VIREO_OK;
}

/* No mandatory access control is applied to guests: the empty model says so. */
int vireo_answer_node_get_security_model(const struct vireo_host *host, vireo_call *call,
                                         vireo_node_get_security_model_ret *ret)
{
    ret->model.val = host->alloc(call, 8);
    ret->doi.val = host->alloc(call, 8);
    memcpy(ret->model.val, "none", 5);
    memcpy(ret->doi.val, "0", 2);
    ret->model.len = 5;
    ret->doi.len = 2;
    return VIREO_OK;
}
