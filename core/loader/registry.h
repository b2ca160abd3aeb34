/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All driver modules of the daemon: found in directories, linked when needed, each with a state and
 * a reason. Whatever is wrong with one of them, the others and the daemon go on. All functions may
 * be called from any thread.
 */
#pragma once

#include <sys/types.h>

#include "loader/module.h"

typedef struct VireoLoader VireoLoader;

/* Runs a module's init, once, on a thread of its own that may block as long as it likes; past the
 * loader's deadline the module is reported as blocked, and taken into service should init return
 * well after all. FALSE with the reason. vireo_module_op and _driver work already. driver NULL: the
 * module's code is not in this process; starting it means to start it where it is. */
typedef gboolean (*VireoModuleStart)(VireoModule *module, const struct vireo_driver *driver,
                                     gpointer user_data, GError **error);

/* Why a driver is left alone that could be used: it runs in another process, say. Free with g_free;
 * NULL: nothing is in the way. take: the module is about to be linked, the driver becomes this
 * process's. The module stays MASKED with that reason for as long as there is one. Called with the
 * loader's lock held unless `take`. */
typedef char *(*VireoModuleReserve)(const char *name, gboolean take, gpointer user_data);

/* Whether the code of a driver stays out of this process. The module is then taken at the word of its note. */
typedef gboolean (*VireoModuleOutside)(const char *name, gpointer user_data);

/* Told of every new state, in order, on the thread that brought it about, without a lock held. */
typedef void (*VireoModuleChanged)(VireoModule *module, VireoModuleInfo *info, gpointer user_data);

typedef struct {
    const char *const *dirs; /* where modules lie, NULL terminated; an earlier one wins */
    const char *const
        *masked;        /* names of drivers or files (without ".so") that stay unused; or NULL */
    const uid_t *owner; /* who besides root may own modules; NULL: vireo_scan_default_owner() */
    guint init_ms;      /* how long init may take; 0: 30 seconds */
    VireoModuleReserve reserve; /* or NULL */
    VireoModuleOutside outside; /* or NULL: none */
    VireoModuleStart start;
    VireoModuleChanged changed; /* or NULL */
    gpointer user_data;
} VireoLoaderConfig;

/* Copies the config; looks at nothing yet. */
VireoLoader *vireo_loader_new(const VireoLoaderConfig *config);
/* Does not stop drivers. Modules must not be used afterwards. NULL allowed. */
void vireo_loader_free(VireoLoader *loader);

/* Looks at the directories, at start and whenever packages may have come or gone. New files become
 * FOUND, changed or removed ones are looked at anew, or become STALE when they are in use. */
void vireo_loader_scan(VireoLoader *loader);

/* Links and starts every module that is FOUND, all at once, and waits for them. */
void vireo_loader_start_all(VireoLoader *loader);

/* A snapshot: VireoModuleInfo in order of name; a directory without modules is a row of its own,
 * named
 * "-" and ABSENT or REFUSED_PERM. Free with g_ptr_array_unref. */
GPtrArray *vireo_loader_list(VireoLoader *loader);

/* The module for a URI scheme or of a name; NULL when there is none. Constant time. One that cannot
 * be used is found too when no other serves the scheme: vireo_module_ensure then tells the reason.
 */
VireoModule *vireo_loader_by_scheme(VireoLoader *loader, const char *scheme);
VireoModule *vireo_loader_by_name(VireoLoader *loader, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoLoader, vireo_loader_free)
