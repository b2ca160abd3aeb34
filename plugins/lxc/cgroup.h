/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Control groups: version 1, version 2, and hosts where some controllers are in the one and some in the other. */
#pragma once

#include "driver.h"

/* A file of a controller, under its names in both versions; NULL: there is none. */
typedef struct {
    const char *controller, *v1, *v2;
} LxcItem;

/* 1, 2, or 0: this host has no such controller. */
int lxc_cgroup_version(const char *controller);

/* Of a container; cgroup: LxcDomain.cgroup. Errors name the file. */
gboolean lxc_cgroup_read(const char *cgroup, const LxcItem *item, char **text, GError **error);
gboolean lxc_cgroup_write(const char *cgroup, const LxcItem *item, const char *text, GError **error);
/* The number in a file, or behind `key` in a file of several lines; FALSE: there is none. */
gboolean lxc_cgroup_number(const char *cgroup, const LxcItem *item, const char *key, guint64 *value);

/* Removes what a container left behind; nothing when it runs. */
void lxc_cgroup_remove(const char *cgroup);

/* "MAJOR:MINOR" by which the work of a block device is counted: a partition's is its disk's. NULL: it is gone. Caller
 * frees. */
char *lxc_cgroup_disk(const char *path);
/* Kernels since 6.11 count with version 1 only what somebody has set a limit for: each disk gets one that limits
 * nothing, unless it has one. */
void lxc_cgroup_count(const char *cgroup, const VireoDomain *doc);

/* Stops all processes of a container where they are, or lets them go on, and waits until that is so. */
gboolean lxc_cgroup_freeze(const char *cgroup, gboolean freeze, GError **error);
/* Kills all of them; what is frozen dies when it is thawed, at the latest. */
void lxc_cgroup_kill(const char *cgroup);
/* Lets them go on, and does not wait. */
void lxc_cgroup_thaw(const char *cgroup);
gboolean lxc_cgroup_frozen(const char *cgroup);

/* A limit as one file wants it. */
typedef struct {
    const char *controller;
    int version;
    char *file, *value;
} LxcLimit;
void lxc_limit_free(gpointer limit);
/* All limits of a definition (LxcLimit), in an order in which they can be written. */
GPtrArray *lxc_cgroup_limits(const VireoDomain *doc, GError **error);
/* Changes a running container from one definition's limits to another's. */
gboolean lxc_cgroup_apply(const char *cgroup, const VireoDomain *now, const VireoDomain *then, GError **error);
/* "0-3,^2" as the kernel wants it: "0-1,3". NULL: it has no member. */
char *lxc_cgroup_cpus(const char *text);
