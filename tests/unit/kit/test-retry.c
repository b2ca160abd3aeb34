/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/retry.h"

static void test_pauses(void)
{
    VireoRetry retry = { .tries = 6, .first_ms = 100, .most_ms = 500 };
    const int pauses[] = { 100, 200, 400, 500, 500 };

    for (guint i = 0; i < G_N_ELEMENTS(pauses); i++) {
        int pause = vireo_retry_next(&retry);

        g_assert_cmpint(pause, >=, pauses[i] / 2);
        g_assert_cmpint(pause, <=, pauses[i]);
    }
    g_assert_cmpint(vireo_retry_next(&retry), ==, -1);
    vireo_retry_reset(&retry);
    g_assert_cmpint(vireo_retry_next(&retry), <=, 100);
}

static void test_jitter(void)
{
    guint seen = 0;

    for (guint i = 0, last = 0; i < 50; i++) {
        VireoRetry retry = { .first_ms = 10000 };
        guint pause = (guint)vireo_retry_next(&retry);

        seen += pause != last;
        last = pause;
    }
    g_assert_cmpuint(seen, >, 10);
}

static void test_waits(void)
{
    VireoRetry retry = { .tries = 3, .first_ms = 40 };
    gint64 begin = g_get_monotonic_time();
    guint attempts = 0;

    do
        attempts++;
    while (vireo_retry_again(&retry));
    g_assert_cmpuint(attempts, ==, 3);
    g_assert_cmpint(g_get_monotonic_time() - begin, >=, 60 * 1000); /* half of 40 and of 80 */
}

static void test_deadline(void)
{
    VireoRetry retry = { .first_ms = 20, .most_ms = 20, .deadline_ms = 200 };
    gint64 begin = g_get_monotonic_time();

    while (vireo_retry_again(&retry))
        ;
    g_assert_cmpuint(retry.failed, >, 5);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 2 * G_USEC_PER_SEC);
}

static int cancel_later(void *opaque)
{
    return g_get_monotonic_time() > *(gint64 *)opaque;
}

static void test_cancelled(void)
{
    gint64 begin = g_get_monotonic_time(), when = begin + 150 * 1000;
    VireoRetry retry = { .first_ms = 60000, .most_ms = 60000, .cancelled = cancel_later, .opaque = &when };

    g_assert_false(vireo_retry_again(&retry));
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 5 * G_USEC_PER_SEC);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/retry/pauses", test_pauses);
    g_test_add_func("/retry/jitter", test_jitter);
    g_test_add_func("/retry/waits", test_waits);
    g_test_add_func("/retry/deadline", test_deadline);
    g_test_add_func("/retry/cancelled", test_cancelled);
    return g_test_run();
}
