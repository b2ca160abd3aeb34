/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <vireo/driver.h>

#include "loader/check.h"
#include "loader/note.h"

static char *module_path(const char *name)
{
    return g_strdup_printf("%s/%s.so", g_getenv("VIREO_TEST_MODULES"), name);
}

static VireoNote *read_module(const char *name, GError **error)
{
    g_autofree char *path = module_path(name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    VireoNote *note;

    g_assert_cmpint(fd, >=, 0);
    note = vireo_note_read(fd, error);
    close(fd);
    return note;
}

static void test_good(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoNote) note = read_module("good", &error);

    g_assert_no_error(error);
    g_assert_cmpstr(note->name, ==, "good");
    g_assert_cmpstr(note->version, ==, "1.2.3");
    g_assert_cmpstr(note->schemes, ==, "good");
    g_assert_cmpuint(note->abi_major, ==, VIREO_ABI_MAJOR);
    g_assert_cmpuint(note->abi_target, ==, VIREO_ABI_TARGET);
    g_assert_cmpuint(note->threads, ==, VIREO_PER_OBJECT);
    g_assert_true(note->native);
    g_assert_cmpuint(note->n_ops, ==, 3);
    g_assert_cmpuint(note->ops[0].id, ==, VIREO_OP_conn_open);
    g_assert_cmpuint(note->ops[2].id, ==, VIREO_OP_domain_undefine_flags);
    g_assert_cmpuint(note->ops[2].native, ==, VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE);
    g_assert_cmpuint(note->ops[2].trivial, ==, VIREO_DOMAIN_UNDEFINE_NVRAM);
    g_assert_cmpuint(note->ops[2].active, ==, VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE);
    g_assert_cmpuint(note->ops[2].inactive, ==, 0);
    g_assert_true(vireo_check_note(note, &error));
}

static void test_abi_numbers(void)
{
    g_autoptr(VireoNote) major = read_module("other-major", NULL);
    g_autoptr(VireoNote) target = read_module("newer-target", NULL);

    g_assert_cmpuint(major->abi_major, ==, 2);
    g_assert_cmpuint(target->abi_major, ==, VIREO_ABI_MAJOR);
    g_assert_cmpuint(target->abi_target, ==, 7);
}

static void test_no_note(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(read_module("no-note", &error));
    g_assert_error(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_NO_NOTE);
}

static void test_not_regular(void)
{
    g_autoptr(GError) error = NULL;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    g_assert_null(vireo_note_read(fd, &error));
    g_assert_error(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_IO);
    close(fd);
}

static char *load_bytes(gsize *len)
{
    g_autofree char *path = module_path("good");
    char *bytes;

    g_assert_true(g_file_get_contents(path, &bytes, len, NULL));
    return bytes;
}

/* With its segments hidden, the note is still found by its section. */
static void test_sections(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoNote) note = NULL;
    gsize len;
    g_autofree char *bytes = load_bytes(&len);

    if (bytes[EI_CLASS] == ELFCLASS64)
        memset(bytes + offsetof(Elf64_Ehdr, e_phnum), 0, 2);
    else
        memset(bytes + offsetof(Elf32_Ehdr, e_phnum), 0, 2);
    note = vireo_note_parse(bytes, len, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(note->name, ==, "good");
}

/* A big-endian 32-bit module, as a cross build makes: readable, and known not to be for us. */
static void put32(GByteArray *to, guint32 value)
{
    value = GUINT32_TO_BE(value);
    g_byte_array_append(to, (guint8 *)&value, 4);
}

static void put16(GByteArray *to, guint16 value)
{
    value = GUINT16_TO_BE(value);
    g_byte_array_append(to, (guint8 *)&value, 2);
}

static void put_text(GByteArray *to, const char *text, gsize len)
{
    g_autofree char *field = g_malloc0(len);

    memcpy(field, text, strlen(text));
    g_byte_array_append(to, (guint8 *)field, (guint)len);
}

static GByteArray *foreign_module(void)
{
    GByteArray *elf = g_byte_array_new();
    const guint8 ident[EI_NIDENT] = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2MSB, EV_CURRENT};
    const guint desc = 148 + 36;

    g_byte_array_append(elf, ident, sizeof ident);
    put16(elf, ET_DYN);
    put16(elf, EM_PPC);
    put32(elf, EV_CURRENT);
    put32(elf, 0);  /* entry */
    put32(elf, 52); /* program headers */
    put32(elf, 0);  /* section headers */
    put32(elf, 0);
    put16(elf, 52);
    put16(elf, 32);
    put16(elf, 1);
    put16(elf, 0);
    put16(elf, 0);
    put16(elf, 0);
    g_assert_cmpuint(elf->len, ==, 52);
    put32(elf, PT_NOTE);
    put32(elf, 84); /* offset */
    put32(elf, 0);
    put32(elf, 0);
    put32(elf, 12 + 8 + desc);
    put32(elf, 0);
    put32(elf, 0);
    put32(elf, 4);
    put32(elf, 6);
    put32(elf, desc);
    put32(elf, VIREO_NOTE_DRIVER);
    put_text(elf, "vireo", 8);
    put32(elf, 148);
    put32(elf, 36);
    put32(elf, 1);
    put16(elf, 1);
    put16(elf, 0);
    put32(elf, VIREO_PARALLEL);
    put_text(elf, "foreign", 32);
    put_text(elf, "9", 32);
    put_text(elf, " a  b ", 64);
    put32(elf, VIREO_OP_conn_open);
    for (guint i = 0; i < 8; i++)
        put32(elf, i);
    return elf;
}

static void test_foreign(void)
{
    g_autoptr(GByteArray) elf = foreign_module();
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoNote) note = vireo_note_parse(elf->data, elf->len, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(note->name, ==, "foreign");
    g_assert_cmpstr(note->schemes, ==, "a b");
    g_assert_cmpuint(note->bits, ==, 32);
    g_assert_cmpuint(note->machine, ==, EM_PPC);
    g_assert_false(note->native);
    g_assert_cmpuint(note->ops[0].native, ==, (guint64)1 << 32);
    g_assert_cmpuint(note->ops[0].inactive, ==, 6 | (guint64)7 << 32);
    g_assert_false(vireo_check_note(note, &error));
    g_assert_cmpstr(error->message, ==, "built for another machine (ELF32, machine 20)");
}

typedef struct {
    guint offset; /* from the start of the note's head */
    guint32 value;
    const char *what;
} Spoil;

/* Each number of the note that could lead astray, one after the other. */
static void test_broken(void)
{
    static const Spoil spoils[] = {
        {0, 147, "the size of its head"},
        {0, 0xffffffff, "the size of its head"},
        {4, 35, "the size of its rows"},
        {4, 0xffffffff, "the size of its rows"},
        {8, 2, "it has fewer rows than it says"},
        {8, 0x80000000, "it has fewer rows than it says"},
        {20, 0, "the name"},
        {20, 0x41424344, "the name"},
        {52, 0x0a0a0a0a, "the version"},
        {84, 0x2f2f2f2f, "the URI schemes"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(spoils); i++) {
        g_autoptr(GByteArray) elf = foreign_module();
        g_autoptr(GError) error = NULL;
        guint32 value = GUINT32_TO_BE(spoils[i].value);

        memcpy(elf->data + 84 + 20 + spoils[i].offset, &value, 4);
        g_assert_null(vireo_note_parse(elf->data, elf->len, &error));
        g_assert_error(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_BROKEN);
        g_assert_nonnull(strstr(error->message, spoils[i].what));
    }
}

/* A name that fills its field has no end: refused, not read beyond. */
static void test_unterminated(void)
{
    g_autoptr(GByteArray) elf = foreign_module();
    g_autoptr(GError) error = NULL;

    memset(elf->data + 84 + 20 + 20, 'a', 32);
    g_assert_null(vireo_note_parse(elf->data, elf->len, &error));
    g_assert_error(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_BROKEN);
}

static void test_truncated(void)
{
    gsize len;
    g_autofree char *bytes = load_bytes(&len);

    for (gsize cut = 0; cut < len; cut += cut < 1000 ? 1 : 97) {
        g_autoptr(GError) error = NULL;
        g_autofree char *part = g_memdup2(bytes, cut);

        g_assert_null(vireo_note_parse(part, cut, &error));
        g_assert_error(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_NOT_ELF);
    }
}

static void test_quick(void)
{
    g_autofree char *path = module_path("good");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    gint64 begun = g_get_monotonic_time();
    gint64 took;

    for (guint i = 0; i < 1000; i++)
        vireo_note_unref(vireo_note_read(fd, NULL));
    took = g_get_monotonic_time() - begun;
    close(fd);
    g_test_message("%" G_GINT64_FORMAT " ns each", took);
    g_assert_cmpint(took / 1000, <,
                    2000); /* microseconds each: far from a dlopen, sanitizers included */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/note/good", test_good);
    g_test_add_func("/note/abi-numbers", test_abi_numbers);
    g_test_add_func("/note/no-note", test_no_note);
    g_test_add_func("/note/not-regular", test_not_regular);
    g_test_add_func("/note/sections", test_sections);
    g_test_add_func("/note/foreign", test_foreign);
    g_test_add_func("/note/broken", test_broken);
    g_test_add_func("/note/unterminated", test_unterminated);
    g_test_add_func("/note/truncated", test_truncated);
    g_test_add_func("/note/quick", test_quick);
    return g_test_run();
}
