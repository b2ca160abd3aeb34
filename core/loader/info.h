/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What there is to say about one module at one moment: immutable, reference counted, free of locks.
 */
#pragma once

#include <glib.h>

#include "loader/note.h"

typedef enum {
    VIREO_MODULE_ABSENT,       /* known, but its file is gone; or a directory that holds none */
    VIREO_MODULE_FOUND,        /* may be loaded */
    VIREO_MODULE_REFUSED_ABI,  /* not a driver, not for this core, or its note and table disagree */
    VIREO_MODULE_REFUSED_PERM, /* somebody else could change it */
    VIREO_MODULE_MASKED,      /* switched off by config, or another module has its name or scheme */
    VIREO_MODULE_LOADED,      /* linked and checked; init has not returned yet */
    VIREO_MODULE_ACTIVE,      /* serves */
    VIREO_MODULE_FAILED_LINK, /* an undefined symbol, a missing library */
    VIREO_MODULE_FAILED_INIT, /* init said no, or does not return */
    VIREO_MODULE_STALE,       /* serves, but its file has changed or gone since */
    VIREO_MODULE_QUARANTINED, /* misbehaved; gets no more calls */
} VireoModuleState;

typedef struct {
    char *name; /* of the note; of the file without ".so" when there is none to trust */
    char *path; /* absolute; of the directory for a row about one */
    VireoModuleState state;
    char *reason;   /* in words; "" when there is nothing to add */
    char **remarks; /* what was left out and why; NULL terminated */
    char *version;  /* "" when unknown, like those below */
    char *schemes;  /* separated by blanks */
    guint abi_major, abi_target;
    guint threads;   /* enum vireo_threads */
    VireoNote *note; /* NULL when it could not be read */
} VireoModuleInfo;

/* "ABSENT", "FOUND", "REFUSED_ABI" ... */
const char *vireo_module_state_name(VireoModuleState state);
/* Whether calls may be routed to a module in that state. */
gboolean vireo_module_state_serves(VireoModuleState state);

VireoModuleInfo *vireo_module_info_new(VireoModuleState state, const char *name, const char *path,
                                       const char *reason, VireoNote *note, char **remarks);
VireoModuleInfo *vireo_module_info_ref(VireoModuleInfo *info);
void vireo_module_info_unref(VireoModuleInfo *info); /* NULL allowed */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoModuleInfo, vireo_module_info_unref)
