/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What registry.c and module.c share; nobody else includes it. */
#pragma once

#include "loader/check.h"
#include "loader/registry.h"
#include "loader/scan.h"

struct VireoModule {
    VireoLoader *loader;
    char *path;
    char *stem; /* file name without ".so" */

    /* under the loader's lock */
    VireoFileMark mark;
    VireoNote *note;
    VireoModuleState state; /* STALE is told by `outdated` instead */
    char *reason;
    char *outdated; /* why what runs is not what lies in the directory any more */
    GPtrArray *remarks;
    VireoModuleInfo *info;
    gboolean seen;      /* by the scan at work */
    guint rank;         /* of its directory */
    gboolean busy;      /* being linked or started */
    gboolean linked;    /* its code is in the process, or in one of its own */
    gboolean returned;  /* init has come back */
    gboolean try_again; /* link once more after a failure */
    gboolean elsewhere; /* MASKED because of the reserve function, which may change its mind */

    /* set once, read without the lock */
    const struct vireo_driver *driver;
    VireoOpTable *table;
    gint serves;
    gpointer host;
};

struct VireoLoader {
    gint refs; /* the owner's, and one for each thread in an init */
    GMutex lock;
    GCond settled;
    GMutex scanning;
    GRecMutex telling;
    GQueue news; /* VireoNews, under the lock */
    char **dirs, **masked;
    uid_t owner;
    guint init_ms;
    VireoModuleReserve reserve;
    VireoModuleOutside outside;
    VireoModuleStart start;
    VireoModuleChanged changed;
    gpointer user_data;
    GPtrArray *modules; /* in order of directory and file name */
    GHashTable *by_path, *by_name, *by_scheme;
    GPtrArray *troubles; /* VireoModuleInfo of directories */
};

VireoModule *vireo_module_new(VireoLoader *loader, const char *path);
void vireo_module_free(gpointer module);
const char *vireo_module_name(const VireoModule *module);
/* With the lock held: sets the state, and makes it known when it differs from the one shown. */
void vireo_module_set(VireoModule *module, VireoModuleState state, const char *reason);
void vireo_module_publish(VireoModule *module);

VireoLoader *vireo_loader_ref(VireoLoader *loader);
void vireo_loader_unref(VireoLoader *loader);
/* Without the lock: runs `changed` for what vireo_module_publish queued. */
void vireo_loader_tell(VireoLoader *loader);

typedef struct {
    VireoModule *module;
    VireoModuleInfo *info;
} VireoNews;
