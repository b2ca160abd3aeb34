/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/shared.h"

#include <vireo/driver.h>

#include "kit/password.h"

struct VireoShares {
    VireoShareOptions options;
    const struct vireo_host *host;
    struct vireo_core *core;
    GMutex lock;
    GCond changed;
    GHashTable *open; /* key -> thing: those that can be joined */
    GHashTable *all;  /* the same and those whose secret is an old one */
    guint closing;    /* things that are being let go */
};

VireoShares *vireo_shares_new(const VireoShareOptions *options, const struct vireo_host *host, struct vireo_core *core)
{
    VireoShares *shares = g_new0(VireoShares, 1);

    shares->options = *options;
    shares->host = host;
    shares->core = core;
    g_mutex_init(&shares->lock);
    g_cond_init(&shares->changed);
    shares->open = g_hash_table_new(g_str_hash, g_str_equal);
    shares->all = g_hash_table_new(NULL, NULL);
    return shares;
}

/* With the lock held: nobody finds it any more. */
static void leave(VireoShares *shares, VireoShared *thing)
{
    if (g_hash_table_lookup(shares->open, thing->key) == thing)
        g_hash_table_remove(shares->open, thing->key);
}

static void take_out(VireoShares *shares, VireoShared *thing)
{
    leave(shares, thing);
    g_hash_table_remove(shares->all, thing);
    shares->closing++;
}

static void close_thing(void *opaque)
{
    VireoShared *thing = opaque;
    VireoShares *shares = thing->shares;
    char *key = thing->key, *secret = thing->secret;

    shares->options.free(thing);
    g_free(key);
    vireo_password_free(secret);
    g_mutex_lock(&shares->lock);
    shares->closing--;
    g_cond_broadcast(&shares->changed);
    g_mutex_unlock(&shares->lock);
}

/* ---- opening ------------------------------------------------------------------------- */

/* One that is open. NULL: there is none, and fresh, which takes secret, stands for the key from now on. */
static VireoShared *join(VireoShares *shares, const char *key, char *secret, VireoShared *fresh)
{
    g_mutex_lock(&shares->lock);
    VireoShared *thing = g_hash_table_lookup(shares->open, key);

    if (thing && g_strcmp0(thing->secret, secret) == 0) {
        thing->users++;
        while (!thing->ready && !thing->failed)
            g_cond_wait(&shares->changed, &shares->lock);
        gboolean good = thing->ready;
        g_mutex_unlock(&shares->lock);
        if (good)
            return thing;
        vireo_shared_unref(thing);
        g_mutex_lock(&shares->lock);
    }
    fresh->shares = shares;
    fresh->key = g_strdup(key);
    fresh->secret = secret;
    fresh->users = 1;
    if (!g_hash_table_contains(shares->open, key))
        g_hash_table_insert(shares->open, fresh->key, fresh);
    g_hash_table_add(shares->all, fresh);
    g_mutex_unlock(&shares->lock);
    return NULL;
}

static void opened(VireoShared *thing, gboolean good)
{
    VireoShares *shares = thing->shares;

    g_mutex_lock(&shares->lock);
    thing->ready = good;
    thing->failed = !good;
    if (good)
        g_hash_table_replace(shares->open, thing->key, thing);
    else
        leave(shares, thing);
    g_cond_broadcast(&shares->changed);
    g_mutex_unlock(&shares->lock);
    if (!good)
        vireo_shared_unref(thing);
}

VireoShared *vireo_shares_open(VireoShares *shares, const char *key, char *secret, VireoShared *fresh,
                               gconstpointer opaque, GError **error)
{
    VireoShared *thing = join(shares, key, secret, fresh);

    if (thing) {
        vireo_password_free(secret);
        shares->options.free(fresh);
        return thing;
    }
    gboolean good = shares->options.open(fresh, opaque, error);
    opened(fresh, good);
    return good ? fresh : NULL;
}

gboolean vireo_shared_has_twin(VireoShared *thing)
{
    GHashTableIter iter;
    gpointer item;

    if (!thing->shares)
        return FALSE;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&thing->shares->lock);
    g_hash_table_iter_init(&iter, thing->shares->all);
    while (g_hash_table_iter_next(&iter, &item, NULL)) {
        const VireoShared *other = item;

        if (other != thing && other->ready && g_str_equal(other->key, thing->key))
            return TRUE;
    }
    return FALSE;
}

/* ---- letting go ---------------------------------------------------------------------- */

static void on_idle(void *opaque)
{
    VireoShared *thing = opaque;
    VireoShares *shares = thing->shares;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&shares->lock);
    gint64 rest = thing->idle_since / 1000 + shares->options.linger_ms - g_get_monotonic_time() / 1000;

    thing->timer = 0;
    if (thing->users)
        return;
    if (rest > 0) {
        thing->timer = shares->host->timer(shares->core, (uint32_t)rest, on_idle, thing);
        return;
    }
    take_out(shares, thing);
    shares->host->defer(shares->core, close_thing, thing);
}

void vireo_shared_unref(VireoShared *thing)
{
    VireoShares *shares = thing->shares;

    g_mutex_lock(&shares->lock);
    gboolean last = --thing->users == 0;
    if (last)
        thing->idle_since = g_get_monotonic_time();
    if (last && thing->ready && !thing->timer)
        thing->timer = shares->host->timer(shares->core, shares->options.linger_ms, on_idle, thing);
    gboolean now = last && !thing->timer;
    if (now)
        take_out(shares, thing);
    g_mutex_unlock(&shares->lock);
    if (now)
        close_thing(thing);
}

static VireoShared *any_left(VireoShares *shares, uint64_t *timer)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&shares->lock);
    GHashTableIter iter;
    gpointer thing = NULL;

    g_hash_table_iter_init(&iter, shares->all);
    if (g_hash_table_iter_next(&iter, &thing, NULL))
        *timer = ((VireoShared *)thing)->timer;
    return thing;
}

/* FALSE: its timer was faster. */
static gboolean take_out_now(VireoShares *shares, VireoShared *thing)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&shares->lock);

    if (!g_hash_table_contains(shares->all, thing))
        return FALSE;
    take_out(shares, thing);
    return TRUE;
}

void vireo_shares_free(VireoShares *shares)
{
    uint64_t timer = 0;

    if (!shares)
        return;
    for (VireoShared *thing; (thing = any_left(shares, &timer));) {
        if (timer)
            shares->host->unwatch(shares->core, timer);
        if (take_out_now(shares, thing))
            close_thing(thing);
    }
    g_mutex_lock(&shares->lock);
    while (shares->closing)
        g_cond_wait(&shares->changed, &shares->lock);
    g_mutex_unlock(&shares->lock);
    g_hash_table_unref(shares->open);
    g_hash_table_unref(shares->all);
    g_cond_clear(&shares->changed);
    g_mutex_clear(&shares->lock);
    g_free(shares);
}
