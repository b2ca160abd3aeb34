/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/workers.h"

typedef struct {
    VireoWork work;
    gpointer opaque;
} Job;

/* One of the two crews: ordinary threads take any work, priority threads only the urgent. */
typedef struct {
    VireoWorkers *pool;
    gboolean urgent_only;
    GCond wake;
    guint max, threads, idle;
    gboolean coming; /* one was woken up or hired and has not looked for work yet */
} Crew;

struct VireoWorkers {
    GMutex lock;
    GCond gone;
    GQueue urgent, ordinary;
    Crew crew, priority_crew;
    guint min;
    gboolean closing;
};

static Job *take(VireoWorkers *pool, const Crew *crew)
{
    Job *job = g_queue_pop_head(&pool->urgent);

    return job || crew->urgent_only ? job : g_queue_pop_head(&pool->ordinary);
}

static gpointer worker(gpointer opaque);

/* With the lock held. */
static gboolean hire(Crew *crew, const char *name)
{
    g_autoptr(GThread) thread = g_thread_try_new(name, worker, crew, NULL);

    if (thread)
        crew->threads++;
    return thread != NULL;
}

/* With the lock held: whom to wake up for what is queued, once the lock is released; NULL: nobody.
 * One at a time: who comes and finds more work than his own calls the next one. */
static GCond *summon(VireoWorkers *pool)
{
    Crew *crew = &pool->crew, *priority = &pool->priority_crew;

    if ((!pool->urgent.length && !pool->ordinary.length) || crew->coming)
        return NULL;
    if (crew->idle || crew->threads < crew->max) {
        gboolean sleeps = crew->idle > 0;

        crew->coming = sleeps || hire(crew, "worker");
        return sleeps ? &crew->wake : NULL;
    }
    if (!pool->urgent.length || priority->coming)
        return NULL;
    if (priority->idle) {
        priority->coming = TRUE;
        return &priority->wake;
    }
    if (priority->threads < priority->max)
        priority->coming = hire(priority, "priority");
    return NULL;
}

static void wake(GCond *cond)
{
    if (cond)
        g_cond_signal(cond);
}

static gpointer worker(gpointer opaque)
{
    Crew *crew = opaque;
    VireoWorkers *pool = crew->pool;

    g_mutex_lock(&pool->lock);
    crew->coming = FALSE;
    for (;;) {
        Job *job = take(pool, crew);

        if (job) {
            GCond *next = summon(pool);

            g_mutex_unlock(&pool->lock);
            wake(next);
            job->work(job->opaque);
            g_free(job);
            g_mutex_lock(&pool->lock);
        } else if (pool->closing || crew->threads > crew->max) {
            break;
        } else {
            crew->idle++;
            g_cond_wait(&crew->wake, &pool->lock);
            crew->idle--;
            crew->coming = FALSE;
        }
    }
    crew->threads--;
    g_cond_signal(&pool->gone);
    g_mutex_unlock(&pool->lock);
    return NULL;
}

VireoWorkers *vireo_workers_new(guint min, guint max, guint priority)
{
    VireoWorkers *pool = g_new0(VireoWorkers, 1);

    g_mutex_init(&pool->lock);
    g_cond_init(&pool->gone);
    g_queue_init(&pool->urgent);
    g_queue_init(&pool->ordinary);
    pool->crew = (Crew){ .pool = pool, .max = MAX(max, 1) };
    pool->priority_crew = (Crew){ .pool = pool, .max = priority, .urgent_only = TRUE };
    g_cond_init(&pool->crew.wake);
    g_cond_init(&pool->priority_crew.wake);
    pool->min = min;
    return pool;
}

void vireo_workers_free(VireoWorkers *pool)
{
    if (!pool)
        return;
    g_mutex_lock(&pool->lock);
    pool->closing = TRUE;
    g_cond_broadcast(&pool->crew.wake);
    g_cond_broadcast(&pool->priority_crew.wake);
    while (pool->crew.threads || pool->priority_crew.threads)
        g_cond_wait(&pool->gone, &pool->lock);
    g_mutex_unlock(&pool->lock);
    g_cond_clear(&pool->crew.wake);
    g_cond_clear(&pool->priority_crew.wake);
    g_cond_clear(&pool->gone);
    g_mutex_clear(&pool->lock);
    g_free(pool);
}

void vireo_workers_push(VireoWorkers *pool, gboolean high, VireoWork work, gpointer opaque)
{
    Job *job = g_new(Job, 1);
    GCond *next;

    *job = (Job){ work, opaque };
    g_mutex_lock(&pool->lock);
    g_queue_push_tail(high ? &pool->urgent : &pool->ordinary, job);
    next = summon(pool);
    g_mutex_unlock(&pool->lock);
    wake(next);
}

void vireo_workers_info(VireoWorkers *pool, VireoWorkersInfo *info)
{
    g_mutex_lock(&pool->lock);
    *info = (VireoWorkersInfo){
        .min = pool->min,
        .max = pool->crew.max,
        .priority = pool->priority_crew.max,
        .threads = pool->crew.threads + pool->priority_crew.threads,
        .idle = pool->crew.idle + pool->priority_crew.idle,
        .queued = pool->urgent.length + pool->ordinary.length,
    };
    g_mutex_unlock(&pool->lock);
}

void vireo_workers_resize(VireoWorkers *pool, guint min, guint max, guint priority)
{
    g_mutex_lock(&pool->lock);
    pool->min = min;
    pool->crew.max = MAX(max, 1);
    pool->priority_crew.max = priority;
    g_cond_broadcast(&pool->crew.wake);
    g_cond_broadcast(&pool->priority_crew.wake);
    g_mutex_unlock(&pool->lock);
}
