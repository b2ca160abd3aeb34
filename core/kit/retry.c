/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/retry.h"

#define FIRST_MS 100
#define MOST_MS  10000
#define SLICE_MS 100 /* between two looks at `cancelled` */

static guint pause_now(const VireoRetry *retry)
{
    guint64 most = retry->most_ms ? retry->most_ms : MOST_MS;
    guint64 pause = retry->first_ms ? retry->first_ms : FIRST_MS;

    for (guint i = 1; i < retry->failed && pause < most; i++)
        pause *= 2;
    pause = MIN(pause, most);
    return (guint)(pause - pause / 2 + (guint64)(g_random_double() * (double)(pause / 2 + 1)));
}

int vireo_retry_next(VireoRetry *retry)
{
    gint64 now = g_get_monotonic_time();

    if (!retry->failed++)
        retry->since = now;
    guint pause = pause_now(retry);
    if (retry->tries && retry->failed >= retry->tries)
        return -1;
    if (retry->deadline_ms && now - retry->since + pause * 1000LL > retry->deadline_ms * 1000LL)
        return -1;
    return (int)MIN(pause, G_MAXINT);
}

gboolean vireo_retry_again(VireoRetry *retry)
{
    int left = vireo_retry_next(retry);

    for (int slice; left >= 0; left -= slice) {
        if (retry->cancelled && retry->cancelled(retry->opaque))
            return FALSE;
        if (left == 0)
            return TRUE;
        slice = retry->cancelled ? MIN(left, SLICE_MS) : left;
        g_usleep((gulong)slice * 1000);
    }
    return FALSE;
}

void vireo_retry_reset(VireoRetry *retry)
{
    retry->failed = 0;
}
