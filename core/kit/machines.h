/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The machines of a server somewhere else, as it told of them last: found by UUID, by name, and by what the server calls
 * them. A machine is a box of g_atomic_rc_box_new0() that is never changed once it is here, only replaced: who has found
 * one holds a reference, and no lock. Who looks waits neither for who asks the server nor for who publishes.
 *
 * Readings of the server have numbers, taken before the server is asked. Of two that tell of the same machine the one that
 * began later holds, in whatever order their answers come. All functions may be called from any thread. */
typedef struct VireoMachines VireoMachines;

typedef struct {
    const char *key;  /* what the server calls it; never changes */
    const char *name; /* what it is called here */
    const guint8 *uuid;
} VireoMachineNames;

/* None of them may call back into the room. What changes comes one at a time, in the order in which it holds. */
typedef struct {
    /* Its names: of the machine's own memory. */
    void (*names)(gconstpointer machine, VireoMachineNames *names);
    /* A machine is about to come, or to take the place of `before` (NULL: there was none): the last moment in which it may
     * be changed. is_twin: another one has its name, so that it needs a different one. *expected: see
     * vireo_machines_expect(); what is left there is kept for the next time. */
    void (*settle)(gpointer machine, gconstpointer before, gboolean is_twin, int *expected, void *opaque);
    /* It is here now; it has gone. quiet: as it was given. */
    void (*publish)(gconstpointer machine, gboolean quiet, void *opaque);
    void (*withdraw)(gconstpointer machine, void *opaque);
    /* Gives a reference back: g_atomic_rc_box_release_full(). */
    GDestroyNotify unref;
    void *opaque;
} VireoMachinesOptions;

VireoMachines *vireo_machines_new(const VireoMachinesOptions *options);
/* Withdraws nothing. NULL is fine. */
void vireo_machines_free(VireoMachines *machines);

/* ---- what the server tells ------------------------------------------------------------- */

/* The number of a reading that is about to begin. */
guint64 vireo_machines_number(VireoMachines *machines);
/* That of the last one. */
guint64 vireo_machines_last(VireoMachines *machines);
/* Takes the machine, which that reading told of; 0: none did, what is known is put differently. TRUE: it is here, and *other
 * is the one whose place it has taken, or NULL. FALSE: it has been left out, since *other has its UUID; NULL: since
 * something newer is known of it. *other is a reference; other may be NULL. */
gboolean vireo_machines_take(VireoMachines *machines, guint64 number, gpointer machine, gboolean quiet, gpointer *other);
/* That reading did not find it, if something newer did not. G_MAXUINT64: whatever did. */
void vireo_machines_drop(VireoMachines *machines, guint64 number, const char *key);
/* The same of all whose key is not in the table; NULL: of all. */
void vireo_machines_keep(VireoMachines *machines, guint64 number, GHashTable *keys);
/* A note about a machine, for the next settle(): why it will be off, say. */
void vireo_machines_expect(VireoMachines *machines, const guint8 uuid[16], int what);

/* ---- looking --------------------------------------------------------------------------- */

/* A reference; NULL: there is none. */
gpointer vireo_machines_find(VireoMachines *machines, const guint8 uuid[16]);
gpointer vireo_machines_with_key(VireoMachines *machines, const char *key);
gboolean vireo_machines_has_name(VireoMachines *machines, const char *name);
/* References to all, by name. */
GPtrArray *vireo_machines_all(VireoMachines *machines);

G_END_DECLS
