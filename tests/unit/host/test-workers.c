/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/strand.h"
#include "host/workers.h"

static gint ran, together, most_together;

/* Stays until `opaque` of its kind have been at work together, or two seconds. */
static void work(gpointer opaque)
{
    gint now = g_atomic_int_add(&together, 1) + 1;

    if (now > g_atomic_int_get(&most_together))
        g_atomic_int_set(&most_together, now);
    for (guint i = 0; i < 2000 && g_atomic_int_get(&most_together) < GPOINTER_TO_INT(opaque); i++)
        g_usleep(1000);
    g_atomic_int_add(&together, -1);
    g_atomic_int_inc(&ran);
}

static void reset(void)
{
    ran = together = most_together = 0;
}

static void test_bounds(void)
{
    VireoWorkers *workers = vireo_workers_new(0, 3, 1);

    reset();
    for (guint i = 0; i < 30; i++)
        vireo_workers_push(workers, FALSE, work, GINT_TO_POINTER(3));
    vireo_workers_free(workers); /* finishes what is queued */
    g_assert_cmpint(ran, ==, 30);
    g_assert_cmpint(most_together, ==, 3);
}

/* Work that comes in quick succession gets a thread each, also when but one of them is asleep: it is
 * still on its way when the second piece is queued. */
static void test_quick_succession(void)
{
    for (guint round = 0; round < 20; round++) {
        VireoWorkers *workers = vireo_workers_new(0, 2, 0);
        VireoWorkersInfo info = {0};

        reset();
        vireo_workers_push(workers, FALSE, work, NULL);
        while (!info.idle)
            vireo_workers_info(workers, &info);
        reset();
        vireo_workers_push(workers, FALSE, work, GINT_TO_POINTER(2));
        vireo_workers_push(workers, FALSE, work, GINT_TO_POINTER(2));
        vireo_workers_free(workers);
        g_assert_cmpint(ran, ==, 2);
        g_assert_cmpint(most_together, ==, 2);
    }
}

static GMutex gate;

static void wait_at_gate(gpointer opaque)
{
    g_mutex_lock(&gate);
    g_mutex_unlock(&gate);
}

/* Urgent work is served while every ordinary worker is stuck. */
static void test_priority(void)
{
    VireoWorkers *workers = vireo_workers_new(0, 2, 1);
    VireoWorkersInfo info;

    reset();
    g_mutex_lock(&gate);
    for (guint i = 0; i < 4; i++)
        vireo_workers_push(workers, FALSE, wait_at_gate, NULL);
    for (guint i = 0; i < 2000; i++) {
        vireo_workers_info(workers, &info);
        if (info.queued == 2)
            break;
        g_usleep(1000); /* a worker has not taken its first item yet */
    }
    vireo_workers_push(workers, TRUE, work, NULL);
    for (guint i = 0; i < 2000 && !g_atomic_int_get(&ran); i++)
        g_usleep(1000);
    g_assert_cmpint(ran, ==, 1);
    vireo_workers_info(workers, &info);
    g_assert_cmpuint(info.threads, ==, 3);
    g_assert_cmpuint(info.queued, ==, 2);
    g_mutex_unlock(&gate);
    vireo_workers_free(workers);
}

typedef struct {
    VireoStrand *strand;
    guint number;
} Step;

static GString *order;

static void step(gpointer opaque)
{
    Step *this = opaque;

    g_assert_cmpint(g_atomic_int_add(&together, 1), ==, 0);
    g_usleep(500);
    g_string_append_c(order, (gchar)('a' + this->number));
    g_atomic_int_add(&together, -1);
    g_atomic_int_inc(&ran);
    vireo_strand_done(this->strand);
}

static void test_strand(void)
{
    VireoWorkers *workers = vireo_workers_new(0, 4, 0);
    VireoStrand *strand = vireo_strand_new(workers);
    Step steps[10];

    reset();
    order = g_string_new(NULL);
    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        steps[i] = (Step){ strand, i };
        vireo_strand_push(strand, FALSE, step, &steps[i]);
    }
    for (guint i = 0; i < 5000 && g_atomic_int_get(&ran) < 10; i++)
        g_usleep(1000);
    vireo_workers_free(workers);
    g_assert_cmpstr(order->str, ==, "abcdefghij");
    g_assert_true(vireo_strand_idle(strand));
    vireo_strand_unref(strand);
    g_string_free(order, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/workers/bounds", test_bounds);
    g_test_add_func("/workers/quick-succession", test_quick_succession);
    g_test_add_func("/workers/priority", test_priority);
    g_test_add_func("/workers/strand", test_strand);
    return g_test_run();
}
