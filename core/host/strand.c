/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/strand.h"

typedef struct {
    gboolean high;
    VireoWork work;
    gpointer opaque;
} Item;

struct VireoStrand {
    gint refs;
    VireoWorkers *workers;
    GMutex lock;
    GQueue waiting;
    gboolean running;
};

VireoStrand *vireo_strand_new(VireoWorkers *workers)
{
    VireoStrand *strand = g_new0(VireoStrand, 1);

    strand->refs = 1;
    strand->workers = workers;
    g_mutex_init(&strand->lock);
    g_queue_init(&strand->waiting);
    return strand;
}

VireoStrand *vireo_strand_ref(VireoStrand *strand)
{
    g_atomic_int_inc(&strand->refs);
    return strand;
}

void vireo_strand_unref(VireoStrand *strand)
{
    if (!strand || !g_atomic_int_dec_and_test(&strand->refs))
        return;
    g_queue_clear_full(&strand->waiting, g_free);
    g_mutex_clear(&strand->lock);
    g_free(strand);
}

void vireo_strand_push(VireoStrand *strand, gboolean high, VireoWork work, gpointer opaque)
{
    Item *item;

    g_mutex_lock(&strand->lock);
    if (strand->running) {
        item = g_new(Item, 1);
        *item = (Item){ high, work, opaque };
        g_queue_push_tail(&strand->waiting, item);
        g_mutex_unlock(&strand->lock);
        return;
    }
    strand->running = TRUE;
    g_mutex_unlock(&strand->lock);
    vireo_workers_push(strand->workers, high, work, opaque);
}

gboolean vireo_strand_enter(VireoStrand *strand)
{
    gboolean mine;

    g_mutex_lock(&strand->lock);
    mine = !strand->running;
    strand->running = TRUE;
    g_mutex_unlock(&strand->lock);
    return mine;
}

void vireo_strand_done(VireoStrand *strand)
{
    g_autofree Item *next = NULL;

    g_mutex_lock(&strand->lock);
    next = g_queue_pop_head(&strand->waiting);
    strand->running = next != NULL;
    g_mutex_unlock(&strand->lock);
    if (next)
        vireo_workers_push(strand->workers, next->high, next->work, next->opaque);
}

gboolean vireo_strand_idle(VireoStrand *strand)
{
    gboolean idle;

    g_mutex_lock(&strand->lock);
    idle = !strand->running;
    g_mutex_unlock(&strand->lock);
    return idle;
}
