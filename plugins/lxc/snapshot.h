/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots of a container: its metadata is kept by the kit (dom->snapshots), what it stands for is a copy of the
 * container's root beside that root, in .vireo-snapshots/UUID/NAME. */
#pragma once

#include "kit/snapshots.h"
#include "driver.h"

#define LXC_STORE ".vireo-snapshots"

/* Where a container's root is, and where copies of it are kept. */
typedef struct {
    char *path;  /* a directory (of a template: the layer above it), or an image */
    char *store; /* on the same file system */
} LxcRoot;
LxcRoot *lxc_root_new(LxcDomain *dom, const VireoDomain *doc, GError **error);
void lxc_root_free(LxcRoot *root);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LxcRoot, lxc_root_free)
/* A place in the store; name: of a snapshot, or one of those below. Caller frees. */
char *lxc_root_place(const LxcRoot *root, const char *name);
#define LXC_PLACE_NEW ".new"  /* being copied */
#define LXC_PLACE_BACK ".back" /* the root that is about to be */
#define LXC_PLACE_WAS ".was"  /* the root that is no more */

/* ---- what is still to be done, in the metadata's note ---------------------------------------- */

/* These are to be removed (const char *), and the container to be let go on. Caller frees. */
char *lxc_note_remove(const char *const *paths, guint n_paths, gboolean thaw);
/* The same, unless there is a domain with that uuid. Caller frees. */
char *lxc_note_clone(const char *const *paths, guint n_paths, gboolean thaw, const char *uuid);
/* The root is being exchanged for that of a snapshot. Caller frees. */
char *lxc_note_revert(const LxcRoot *root, const char *name);

/* Does what the note says, and takes it back. With the domain's job, or before anybody else knows it. FALSE: it stays,
 * and is tried again before the next change. */
gboolean lxc_snapshots_settle(LxcDomain *dom, GError **error);
/* The same for a domain that has just been found or made; what cannot be done is logged. */
void lxc_snapshots_attach(LxcDomain *dom);
void lxc_snapshots_publish(LxcDomain *dom);
/* At undefining: refuses while there are some, unless they are to be forgotten. */
gboolean lxc_snapshots_forget(LxcDomain *dom, guint undefine_flags, GError **error);
/* The definition that a snapshot brings back, under the domain's present name. NULL without error: it has none. */
LxcDef *lxc_snapshot_definition(LxcDomain *dom, const VireoDomainSnapshot *doc, GError **error);

/* ---- the root (snapshot_root.c) ---------------------------------------------------------------- */

/* Whether it can be taken and exchanged: it is no mount point, and nothing is mounted below. */
gboolean lxc_root_check(const LxcRoot *root, GError **error);
/* Another container that runs with this root; NULL: none does. */
LxcDomain *lxc_root_user(LxcDomain *dom, const LxcRoot *root);
/* Makes the store. */
gboolean lxc_root_make_store(const LxcRoot *root, GError **error);
/* Copies the root to a place of the store; a container that runs stands still meanwhile. */
gboolean lxc_root_take(LxcDomain *dom, vireo_call *call, const LxcRoot *root, const char *to, GError **error);
/* Copies what nobody changes. */
gboolean lxc_root_copy(LxcDomain *dom, vireo_call *call, const char *from, const char *to, GError **error);
/* Copies a place of the store to LXC_PLACE_BACK. */
gboolean lxc_root_bring(LxcDomain *dom, vireo_call *call, const LxcRoot *root, const char *from, GError **error);
/* Puts what is at LXC_PLACE_BACK in the place of the root, which is at LXC_PLACE_WAS then. */
gboolean lxc_root_exchange(const LxcRoot *root, GError **error);
/* The other way round, as far as it is like that. */
void lxc_root_exchange_back(const LxcRoot *root);
/* Lets a container go on that was made to stand still. */
void lxc_root_let_go(LxcDomain *dom);
/* rename(), and both directories on disk. */
gboolean lxc_move(const char *from, const char *to, GError **error);
