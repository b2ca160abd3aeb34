/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Facts of the host the daemon runs on, read from /proc and /sys each time they are asked for.
 * Thread safe; errors are G_FILE_ERROR. Shared by every driver whose guests run on this host. */

typedef struct {
    char model[32];        /* machine architecture, "x86_64" */
    guint64 memory_kib;
    int cpus, mhz;         /* active CPUs; 0 MHz when unknown */
    int nodes, sockets, cores, threads; /* per node, per socket, per core */
} VireoNodeInfo;
gboolean vireo_node_info(VireoNodeInfo *info, GError **error);

/* Nanoseconds since boot. cpu: a number, or -1 for the sum of all. */
typedef struct {
    guint64 kernel, user, idle, iowait;
} VireoNodeCpuStats;
gboolean vireo_node_cpu_stats(int cpu, VireoNodeCpuStats *stats, GError **error);

/* KiB. cell: NUMA node, or -1 for the whole host; buffers and cached are 0 for a single node. */
typedef struct {
    guint64 total, free, buffers, cached;
} VireoNodeMemoryStats;
gboolean vireo_node_memory_stats(int cell, VireoNodeMemoryStats *stats, GError **error);

/* Number of CPUs present; *map: one bit per present CPU that is online, caller frees, *len bytes. */
int vireo_node_cpu_map(guint8 **map, gsize *len, guint *online, GError **error);

/* Numbers of the NUMA nodes, ascending (gint); there is always at least node 0. */
GArray *vireo_node_cells(void);
/* Free pages of a size (KiB) in a NUMA node. */
gboolean vireo_node_free_pages(int cell, guint page_kib, guint64 *count, GError **error);

/* Identity of the host: /sys/class/dmi product_uuid, else machine-id, else that of this boot. */
char *vireo_node_uuid(void);
char *vireo_node_hostname(void);
/* The <host> element of a capabilities document, indented by two blanks. */
char *vireo_node_capabilities_host(void);
/* A <sysinfo type='smbios'> document of what /sys/class/dmi shows; NULL when it shows nothing. */
char *vireo_node_sysinfo(void);

G_END_DECLS
