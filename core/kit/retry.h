/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Doing something again until it works: pauses that double, with jitter, up to a limit.
 *
 *     VireoRetry retry = { .tries = 5, .first_ms = 50, .cancelled = cancelled, .opaque = call };
 *
 *     while (!attempt(&error) && worth_another(error) && vireo_retry_again(&retry))
 *         g_clear_error(&error);
 *
 * One struct belongs to one loop in one thread. */
typedef struct {
    guint tries;       /* attempts in all; 0: no limit */
    guint first_ms;    /* pause after the first failure; 0: 100 */
    guint most_ms;     /* longest pause; 0: 10000 */
    guint deadline_ms; /* none is begun later than this after the first failure; 0: no limit */
    int (*cancelled)(void *opaque); /* asked about ten times a second, may be NULL */
    void *opaque;
    /* kept by the functions below; leave it 0 */
    guint failed;
    gint64 since; /* monotonic microseconds */
} VireoRetry;

/* Counts a failure. Returns how many milliseconds to wait before the next attempt, between half
 * and all of the current pause, or -1 when there is to be none. For those who do not sleep. */
int vireo_retry_next(VireoRetry *retry);
/* The same, and waits. FALSE: tries or time used up, or cancelled. */
gboolean vireo_retry_again(VireoRetry *retry);
/* It worked: the next failure is a first one again. */
void vireo_retry_reset(VireoRetry *retry);

G_END_DECLS
