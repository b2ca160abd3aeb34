/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <vireo/driver.h>

G_BEGIN_DECLS

/* Operations about the host, which all drivers whose guests run on it answer alike. */
int vireo_answer_node_get_info(const struct vireo_host *host, vireo_call *call,
                               vireo_node_get_info_ret *ret);
int vireo_answer_node_get_cpu_stats(const struct vireo_host *host, vireo_call *call,
                                    const vireo_node_get_cpu_stats_args *args,
                                    vireo_node_get_cpu_stats_ret *ret);
int vireo_answer_node_get_memory_stats(const struct vireo_host *host, vireo_call *call,
                                       const vireo_node_get_memory_stats_args *args,
                                       vireo_node_get_memory_stats_ret *ret);
int vireo_answer_node_get_cpu_map(const struct vireo_host *host, vireo_call *call,
                                  const vireo_node_get_cpu_map_args *args,
                                  vireo_node_get_cpu_map_ret *ret);
int vireo_answer_node_get_free_memory(const struct vireo_host *host, vireo_call *call,
                                      vireo_node_get_free_memory_ret *ret);
int vireo_answer_node_get_cells_free_memory(const struct vireo_host *host, vireo_call *call,
                                            const vireo_node_get_cells_free_memory_args *args,
                                            vireo_node_get_cells_free_memory_ret *ret);
int vireo_answer_node_get_free_pages(const struct vireo_host *host, vireo_call *call,
                                     const vireo_node_get_free_pages_args *args,
                                     vireo_node_get_free_pages_ret *ret);
/* No mandatory access control is applied to guests: the empty model says so. */
int vireo_answer_node_get_security_model(const struct vireo_host *host, vireo_call *call,
                                         vireo_node_get_security_model_ret *ret);

#define VIREO__ANSWER(prefix, op, host)                                                            \
    int prefix##_##op(void *handle, vireo_call *call, vireo_##op##_ret *ret)                       \
    {                                                                                              \
        return vireo_answer_##op((host), call, ret);                                               \
    }
#define VIREO__ANSWER_TO(prefix, op, host)                                                         \
    int prefix##_##op(void *handle, vireo_call *call, const vireo_##op##_args *args,               \
                      vireo_##op##_ret *ret)                                                       \
    {                                                                                              \
        return vireo_answer_##op((host), call, args, ret);                                         \
    }
/* Writes prefix_node_get_info() and the others as operations; host: found by `handle`, the connection. */
#define VIREO_ANSWER_NODE(prefix, host)                                                            \
    VIREO__ANSWER(prefix, node_get_info, host)                                                     \
    VIREO__ANSWER_TO(prefix, node_get_cpu_stats, host)                                             \
    VIREO__ANSWER_TO(prefix, node_get_memory_stats, host)                                          \
    VIREO__ANSWER_TO(prefix, node_get_cpu_map, host)                                               \
    VIREO__ANSWER(prefix, node_get_free_memory, host)                                              \
    VIREO__ANSWER_TO(prefix, node_get_cells_free_memory, host)                                     \
    VIREO__ANSWER_TO(prefix, node_get_free_pages, host)                                            \
    VIREO__ANSWER(prefix, node_get_security_model, host)

G_END_DECLS
