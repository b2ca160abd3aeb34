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

static gpointer worker(gpointer opaque)
{
    Crew *crew = opaque;
    VireoWorkers *pool = crew->pool;

    g_mutex_lock(&pool->lock);
    for (;;) {
        Job *job = take(pool, crew);

        if (job) {
            g_mutex_unlock(&pool->lock);
            job->work(job->opaque);
            g_free(job);
            g_mutex_lock(&pool->lock);
        } else if (pool->closing || crew->threads > crew->max) {
            break;
        } else {
            crew->idle++;
            g_cond_wait(&crew->wake, &pool->lock);
            crew->idle--;
        }
    }
    crew->threads--;
    g_cond_signal(&pool->gone);
    g_mutex_unlock(&pool->lock);
    return NULL;
}

/* With the lock held. */
static void hire(Crew *crew, const char *name)
{
    g_autoptr(GThread) thread = NULL;

    thread = g_thread_try_new(name, worker, crew, NULL);
    if (thread)
        crew->threads++;
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

    *job = (Job){ work, opaque };
    g_mutex_lock(&pool->lock);
    g_queue_push_tail(high ? &pool->urgent : &pool->ordinary, job);
    if (pool->crew.idle)
        g_cond_signal(&pool->crew.wake);
    else if (pool->crew.threads < pool->crew.max)
        hire(&pool->crew, "worker");
    else if (high && pool->priority_crew.idle)
        g_cond_signal(&pool->priority_crew.wake);
    else if (high && pool->priority_crew.threads < pool->priority_crew.max)
        hire(&pool->priority_crew, "priority");
    g_mutex_unlock(&pool->lock);
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
