/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <vireo/driver.h>

#include "kit/model.h"

G_BEGIN_DECLS

/* A domain's snapshots, for a driver that keeps their metadata itself: in a directory, a document of each, and one
 * file that says which there are, whose children they are and which is the current one. A change is that file's being
 * replaced: it takes place or it does not, wherever the daemon ends.
 *
 * The file has room for a note of the driver's, which is replaced with it: what is still to be done, or to be undone,
 * with what the metadata stands for.
 *
 * Errors are of VIREO_ERROR or G_FILE_ERROR. Any thread may read; one at a time may change. */
typedef struct VireoSnapshots VireoSnapshots;

/* Reads what is there. When that cannot be understood it is left alone, and every change is refused with the reason. */
VireoSnapshots *vireo_snapshots_load(const char *dir);
void vireo_snapshots_free(VireoSnapshots *snapshots);
/* The reason; NULL: all is well. */
const char *vireo_snapshots_trouble(const VireoSnapshots *snapshots);

guint vireo_snapshots_count(VireoSnapshots *snapshots);
gboolean vireo_snapshots_has(VireoSnapshots *snapshots, const char *name);
/* The name of the current one; NULL: none is. Caller frees. */
char *vireo_snapshots_current(VireoSnapshots *snapshots);
/* All below name (NULL: all there are) without itself, children before their parents. Array of char *. */
GPtrArray *vireo_snapshots_below(VireoSnapshots *snapshots, const char *name);
/* The document of one, with its parent. NO_DOMAIN_SNAPSHOT when there is none. */
VireoDomainSnapshot *vireo_snapshots_read(VireoSnapshots *snapshots, const char *name, GError **error);
/* Caller frees; NULL: there is none. */
char *vireo_snapshots_note(VireoSnapshots *snapshots);

/* ---- changes: on disk when they return TRUE; note: the new one, NULL for none ------------------ */

/* Adds one, or replaces the one of that name, which keeps its children. make_current: in place of the present one. */
gboolean vireo_snapshots_put(VireoSnapshots *snapshots, const VireoDomainSnapshot *doc, gboolean make_current,
                             const char *note, GError **error);
/* Children of those that go get the nearest ancestor that stays, and so does being current. */
gboolean vireo_snapshots_remove(VireoSnapshots *snapshots, GPtrArray *names, const char *note, GError **error);
/* name: NULL for none. */
gboolean vireo_snapshots_set_current(VireoSnapshots *snapshots, const char *name, const char *note, GError **error);
gboolean vireo_snapshots_set_note(VireoSnapshots *snapshots, const char *note, GError **error);
/* All of them, with the directory. */
gboolean vireo_snapshots_forget(VireoSnapshots *snapshots, GError **error);

/* ---- rules ------------------------------------------------------------------------------------- */

/* A new one's name: the given one, checked, or made of the time. Sets doc->name. */
gboolean vireo_snapshots_name(VireoSnapshots *snapshots, VireoDomainSnapshot *doc, GError **error);
/* Whether metadata from outside (flag REDEFINE) fits; it keeps the definitions of the one it replaces where it brings
 * none. uuid: of the domain. flags: VIREO_DOMAIN_SNAPSHOT_CREATE_*. */
gboolean vireo_snapshots_redefine(VireoSnapshots *snapshots, VireoDomainSnapshot *doc, const guint8 uuid[16], guint flags,
                                  GError **error);
/* What a file of that snapshot may be called: its name, or something shorter. Caller frees. */
char *vireo_snapshot_file_name(const char *name);

void vireo_snapshot_set_parent(VireoDomainSnapshot *doc, const char *parent); /* NULL: a root */

/* Shows them to the core, which has to know the domain. */
void vireo_snapshots_publish(VireoSnapshots *snapshots, const struct vireo_host *host, vireo_space *space,
                             const guint8 uuid[16]);

G_END_DECLS
