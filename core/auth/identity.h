/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who makes a call. Immutable and reference counted; any thread may use it. What takes time to find
 * out (names, the start of a process) is looked up when it is first asked for.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct VireoIdentity VireoIdentity;

/* The peer of a UNIX socket, as the kernel told it at connect time. */
VireoIdentity *vireo_identity_new_unix(pid_t pid, uid_t uid, gid_t gid, gboolean readonly);
VireoIdentity *vireo_identity_ref(VireoIdentity *identity);
void vireo_identity_unref(VireoIdentity *identity);

/* A property as text, or NULL when it is unknown or identity is NULL. Names: "unix-user-id",
 * "unix-group-id", "user-name", "group-name", "process-id", "process-time" (clock ticks since boot;
 * with the pid it names one process). The text lives as long as the identity. */
const char *vireo_identity_get(const VireoIdentity *identity, const char *what);

/* These names; the last is NULL. */
extern const char *const vireo_identity_names[];

/* FALSE when it is unknown or identity is NULL. */
gboolean vireo_identity_uid(const VireoIdentity *identity, uid_t *uid);
/* NULL counts as read-only. */
gboolean vireo_identity_is_readonly(const VireoIdentity *identity);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoIdentity, vireo_identity_unref)
