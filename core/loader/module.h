/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One driver module of a loader. Modules live as long as their loader and are never unloaded. All
 * functions may be called from any thread.
 */
#pragma once

#include "loader/info.h"

#include <vireo/driver.h>

typedef struct VireoModule VireoModule;

/* What there is to say about it now. Free with vireo_module_info_unref. */
VireoModuleInfo *vireo_module_info(VireoModule *module);

/* Links and starts the module unless that has happened. Blocks while its init runs, at most for the
 * loader's deadline. FALSE with VIREO_ERR_NO_CONNECT and the reason when the module does not serve.
 * A module that could not be linked is tried again after the next scan; init is never run twice. */
gboolean vireo_module_ensure(VireoModule *module, GError **error);

/* Whether it has started and may be called. Without a lock. */
gboolean vireo_module_serves(VireoModule *module);

/* The row of an operation, with the flags this core knows; NULL when the driver has none, or is not
 * linked. Constant time, without a lock; the row lives as long as the module. */
const struct vireo_op *vireo_module_op(VireoModule *module, guint32 id);

/* The driver's own struct; NULL until linked and checked, and for one outside this process. */
const struct vireo_driver *vireo_module_driver(VireoModule *module);

/* Takes a module out of service, with a reason in words: for good, unless it is resumed. */
void vireo_module_quarantine(VireoModule *module, const char *reason);
/* In the loader's start function: why the module cannot be used, as a state that says more than FAILED_INIT. */
void vireo_module_fail(VireoModule *module, VireoModuleState state, const char *reason);
/* Takes it into service again. */
void vireo_module_resume(VireoModule *module);

/* Whatever the one who starts modules keeps with it (its vireo_core); the loader does not look. */
void vireo_module_set_host(VireoModule *module, gpointer host);
gpointer vireo_module_host(VireoModule *module);
