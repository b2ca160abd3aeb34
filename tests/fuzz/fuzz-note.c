/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads ELF notes of damaged modules: any outcome but a crash or a manifest out of its bounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loader/check.h"
#include "loader/note.h"

static guint parsed, refused;

static void look(const char *bytes, gsize len)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoNote) note = vireo_note_parse(bytes, len, &error);
    guint n;

    g_assert_true(!note == !!error);
    if (!note) {
        g_assert_cmpuint(error->domain, ==, VIREO_NOTE_ERROR);
        refused++;
        return;
    }
    parsed++;
    g_assert_cmpuint(strlen(note->name), <, 32);
    g_assert_cmpuint(strlen(note->version), <, 32);
    g_assert_cmpuint(strlen(note->schemes), <, 64);
    g_assert_cmpuint((guint64)note->n_ops * 36, <=, len);
    g_free(vireo_note_effective_ops(note, &n));
    g_assert_cmpuint(n, <=, note->n_ops);
    vireo_check_note(note, NULL);
}

/* The headers and the note are where damage matters: half of all hits go there. */
static gsize pick_offset(GRand *rand, gsize len, gsize note_at)
{
    switch (g_rand_int_range(rand, 0, 4)) {
    case 0:
        return (gsize)g_rand_int_range(rand, 0, 64);
    case 1:
        return (gsize)g_rand_int_range(rand, 64, 64 + 56 * 12);
    case 2:
        return MIN(len - 1, note_at + (gsize)g_rand_int_range(rand, 0, 300));
    default:
        return (gsize)g_rand_int_range(rand, 0, (gint32)len);
    }
}

static void damage(GRand *rand, char *bytes, gsize len, gsize note_at)
{
    static const guint32 odd[] = {0,      1,          7,           0x7f,       0xff,
                                  0xffff, 0x7fffffff, 0x80000000u, 0xffffffffu};
    gint hits = g_rand_int_range(rand, 1, 6);

    for (gint i = 0; i < hits; i++) {
        gsize at = pick_offset(rand, len, note_at);

        if (g_rand_boolean(rand) && at + 4 <= len)
            memcpy(bytes + at, &odd[g_rand_int_range(rand, 0, G_N_ELEMENTS(odd))], 4);
        else
            bytes[at] = (char)g_rand_int(rand);
    }
}

static void look_at_file(const char *bytes, gsize len)
{
    int fd = memfd_create("note", MFD_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, bytes, len), ==, (gssize)len);
    vireo_note_unref(vireo_note_read(fd, NULL));
    close(fd);
}

int main(void)
{
    const char *seed_text = g_getenv("VIREO_FUZZ_SEED");
    const char *seconds_text = g_getenv("VIREO_FUZZ_SECONDS");
    guint seed = seed_text ? (guint)strtoul(seed_text, NULL, 0) : 1;
    double seconds = seconds_text ? g_ascii_strtod(seconds_text, NULL) : 2;
    g_autofree char *path = g_build_filename(g_getenv("VIREO_TEST_MODULES"), "good.so", NULL);
    g_autofree char *good = NULL;
    g_autofree char *bad = NULL;
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autoptr(GTimer) timer = g_timer_new();
    gsize len, note_at;
    char *found;

    g_assert_true(g_file_get_contents(path, &good, &len, NULL));
    found = memmem(good, len, "vireo\0\0\0", 8);
    g_assert_nonnull(found);
    note_at = (gsize)(found - good) - 12;
    look(good, len);
    g_assert_cmpuint(parsed, ==, 1);
    for (gsize cut = 0; cut < MIN(len, 4096); cut++) {
        g_autofree char *part = g_memdup2(good, cut);

        look(part, cut);
    }
    bad = g_malloc(len);
    for (guint i = 0; g_timer_elapsed(timer, NULL) < seconds && i < 2000000; i++) {
        memcpy(bad, good, len);
        damage(rand, bad, len, note_at);
        look(bad, len);
        if (i % 64 == 0)
            look_at_file(bad, len);
    }
    printf("seed %u: %u read, %u refused\n", seed, parsed, refused);
    g_assert_cmpuint(parsed, >, 100);
    g_assert_cmpuint(refused, >, 1000);
    return 0;
}
