/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

G_BEGIN_DECLS

struct vireo_core;
struct vireo_host;

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
    /* Opens it; opaque: of vireo_shares_open(). Blocks; no lock is held. */
    gboolean (*open)(VireoShared *thing, gconstpointer opaque, GError **error);
    /* Closes and frees the thing, also one that was never opened, but not what is in its VireoShared. Blocks; no lock is
     * held. */
    void (*free)(VireoShared *thing);
} VireoShareOptions;

/* Of the daemon's services, timer, unwatch and defer are used. */
VireoShares *vireo_shares_new(const VireoShareOptions *options, const struct vireo_host *host, struct vireo_core *core);
/* Lets all go that nobody uses, waits until that is done, and frees. NULL is fine. */
void vireo_shares_free(VireoShares *shares);

/* One more user of the thing that is open, or that somebody is about to open: then this waits. When there is none, `fresh`
 * (with nothing set in its VireoShared) is opened and stands for the key from now on. Takes secret, which may be NULL,
 * and fresh, in any case. NULL: it could not be opened. */
VireoShared *vireo_shares_open(VireoShares *shares, const char *key, char *secret, VireoShared *fresh,
                               gconstpointer opaque, GError **error);
void vireo_shared_unref(VireoShared *thing);
/* Whether another is open with the same key and a different secret. */
gboolean vireo_shared_has_twin(VireoShared *thing);

G_END_DECLS
