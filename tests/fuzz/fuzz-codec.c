/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Damaged payloads of every operation: decoding refuses, or yields a value that can be sent on and
 * read again as the same. What a client may cost is bounded: nothing is allocated on a mere
 * promise.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../unit/ops/values.h"
#include "ops/codec.h"

static guint decoded, refused;

static void look(const VireoWireType *type, const guint8 *bytes, gsize len)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    gpointer value = vireo_arena_alloc(arena, type->size);
    gpointer again = vireo_arena_alloc(arena, type->size);
    g_autoptr(GByteArray) sent = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    gsize used = 0;

    if (!vireo_wire_decode(type, bytes, len, arena, value, &used, &error)) {
        g_assert_nonnull(error);
        refused++;
        return;
    }
    decoded++;
    g_assert_cmpuint(used, <=, len);
    g_assert_true(vireo_wire_encode(type, value, sent, &error));
    g_assert_cmpuint(sent->len, ==, used);
    g_assert_true(vireo_wire_decode(type, sent->data, sent->len, arena, again, &used, &error));
    g_assert_true(values_same(type, value, again));
}

static void damage(GRand *rand, guint8 *bytes, gsize len)
{
    static const guint32 odd[] = {0,       1,        2,          3,           0xff,
                                  0x10000, 0x400000, 0x7fffffff, 0x80000000u, 0xffffffffu};
    gint hits = g_rand_int_range(rand, 1, 4);

    for (gint i = 0; len >= 4 && i < hits; i++) {
        gsize at = (gsize)g_rand_int_range(rand, 0, (gint32)(len / 4)) * 4;
        guint32 word = GUINT32_TO_BE(odd[g_rand_int_range(rand, 0, G_N_ELEMENTS(odd))]);

        if (g_rand_int_range(rand, 0, 4))
            memcpy(bytes + at, &word, 4);
        else
            bytes[at + (gsize)g_rand_int_range(rand, 0, 4)] = (guint8)g_rand_int(rand);
    }
}

static void one_round(GRand *rand, const VireoWireType *type)
{
    g_autoptr(VireoArena) arena = vireo_arena_new();
    Values values = {rand, arena, (guint)g_rand_int_range(rand, 0, 4), VALUES_MIXED, G_MAXUINT, 0};
    gpointer value = vireo_arena_alloc(arena, type->size);
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    values_fill(&values, type, value);
    g_assert_true(vireo_wire_encode(type, value, bytes, NULL));
    for (gint i = 0; i < 4; i++) {
        gsize len = g_rand_int_range(rand, 0, 8)
                        ? bytes->len
                        : (gsize)g_rand_int_range(rand, 0, (gint32)bytes->len + 1);
        g_autofree guint8 *bad = g_memdup2(bytes->data, len);

        damage(rand, bad, len);
        look(type, bad, len);
    }
}

int main(void)
{
    const char *seed_text = g_getenv("VIREO_FUZZ_SEED");
    const char *seconds_text = g_getenv("VIREO_FUZZ_SECONDS");
    guint seed = seed_text ? (guint)strtoul(seed_text, NULL, 0) : 1;
    double seconds = seconds_text ? g_ascii_strtod(seconds_text, NULL) : 3;
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autoptr(GPtrArray) types = values_all_types();
    g_autoptr(GTimer) timer = g_timer_new();
    struct rusage usage;

    while (g_timer_elapsed(timer, NULL) < seconds)
        one_round(rand, types->pdata[g_rand_int_range(rand, 0, (gint32)types->len)]);
    getrusage(RUSAGE_SELF, &usage);
    printf("seed %u: %u read, %u refused, %ld KiB at most\n", seed, decoded, refused,
           usage.ru_maxrss);
    g_assert_cmpuint(decoded, >, 1000);
    g_assert_cmpuint(refused, >, 1000);
    /* The payloads are a few KiB; the limits of arrays alone would allow hundreds of MiB. */
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
    g_assert_cmpint(usage.ru_maxrss, <, 256 * 1024);
#endif
    return 0;
}
