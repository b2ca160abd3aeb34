/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a driver's own process does without, and its children with it. */
#pragma once

#include <glib.h>

typedef struct {
    gboolean no_new_privs;   /* programs it starts gain no rights from setuid bits */
    guint64 memory_max;      /* bytes of data; its children are free of it again. 0: no limit */
    const char *const *deny; /* groups of system calls that fail with EPERM; NULL terminated */
} VireoConfine;

/* The groups there are, for messages: "kexec, modules, ..." Free with g_free. */
char *vireo_confine_groups(void);
gboolean vireo_confine_is_group(const char *name);

/* Confines this process; before it has threads. FALSE with the reason. */
gboolean vireo_confine(const VireoConfine *confine, GError **error);
