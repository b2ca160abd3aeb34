/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

G_BEGIN_DECLS

struct vireo_core;

/* Things that are opened by their first user, shared with all who mean the same, and let go some time after the last:
 * a driver's connections to its servers. Two are the same when key and secret are.
 *
 * The struct of such a thing begins with a VireoShared. All functions may be called from any thread. */
typedef struct VireoShares VireoShares;
typedef struct VireoShared VireoShared;

struct VireoShared {
    char *key, *secret;
    gboolean ready; /* was opened */
    /* of shared.c */
    VireoShares *shares;
    guint users;
    gboolean failed;
    gint64 idle_since;
    uint64_t timer; /* runs; 0: none does */
};

typedef struct {
    guint linger_ms; /* how long an unused one is kept: commands come one after the other */
    /* Closes and frees the thing, but not what is in its VireoShared. Blocks; no lock is held. */
    void (*free)(VireoShared *thing);
    /* The daemon's services of these names, and what they are asked with. */
    uint64_t (*timer)(struct vireo_core *core, uint32_t milliseconds, void (*func)(void *opaque), void *opaque);
    void (*unwatch)(struct vireo_core *core, uint64_t timer);
    void (*defer)(struct vireo_core *core, void (*func)(void *opaque), void *opaque);
    struct vireo_core *core;
} VireoShareOptions;

VireoShares *vireo_shares_new(const VireoShareOptions *options);
/* Lets all go that nobody uses, waits until that is done, and frees. NULL is fine. */
void vireo_shares_free(VireoShares *shares);

/* One that is open, or that somebody is about to open: then this waits. NULL: there is none, and `fresh` (with nothing
 * set in its VireoShared) stands for the key from now on: open it, and say how that ended. secret: may be NULL. */
VireoShared *vireo_shares_join(VireoShares *shares, const char *key, const char *secret, VireoShared *fresh);
/* After a NULL. FALSE: it is gone with this. */
void vireo_shared_opened(VireoShared *thing, gboolean good);
void vireo_shared_unref(VireoShared *thing);
/* Whether another is open with the same key and a different secret. */
gboolean vireo_shared_has_twin(VireoShared *thing);

G_END_DECLS
