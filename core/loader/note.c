/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/note.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vireo/driver.h>

G_DEFINE_QUARK(vireo - note - error - quark, vireo_note_error)

/* Sizes of 1.0: what grew since is behind them. */
#define HEAD_SIZE (offsetof(struct vireo_note_head, schemes) + 64)
#define ROW_SIZE  (offsetof(struct vireo_note_op, inactive) + 8)

#define MAX_HEADERS 4096
#define MAX_NOTES   (4u << 20) /* bytes of all note segments together */
#define MAX_OPS     8192

/* Where the bytes come from, and how its numbers are written. */
typedef struct {
    int fd; /* -1: data */
    const guint8 *data;
    guint64 size;
    guint64 budget; /* bytes of notes that may still be read */
    gboolean wide;  /* ELF64 */
    gboolean swap;
} Source;

typedef struct {
    guint64 offset, size;
    gboolean aligned8;
} Span;

/* Offsets within the headers, for both classes. */
typedef struct {
    guint offset, entry_size, count; /* within the ELF header: of a table of headers */
    guint at, length, align;         /* within one of its entries */
    guint least;                     /* size of an entry */
    guint type_at;
    guint32 type;
} Table;

static const Table segments[2] = {
    {offsetof(Elf32_Ehdr, e_phoff), offsetof(Elf32_Ehdr, e_phentsize),
     offsetof(Elf32_Ehdr, e_phnum), offsetof(Elf32_Phdr, p_offset), offsetof(Elf32_Phdr, p_filesz),
     offsetof(Elf32_Phdr, p_align), sizeof(Elf32_Phdr), offsetof(Elf32_Phdr, p_type), PT_NOTE},
    {offsetof(Elf64_Ehdr, e_phoff), offsetof(Elf64_Ehdr, e_phentsize),
     offsetof(Elf64_Ehdr, e_phnum), offsetof(Elf64_Phdr, p_offset), offsetof(Elf64_Phdr, p_filesz),
     offsetof(Elf64_Phdr, p_align), sizeof(Elf64_Phdr), offsetof(Elf64_Phdr, p_type), PT_NOTE},
};

static const Table sections[2] = {
    {offsetof(Elf32_Ehdr, e_shoff), offsetof(Elf32_Ehdr, e_shentsize),
     offsetof(Elf32_Ehdr, e_shnum), offsetof(Elf32_Shdr, sh_offset), offsetof(Elf32_Shdr, sh_size),
     offsetof(Elf32_Shdr, sh_addralign), sizeof(Elf32_Shdr), offsetof(Elf32_Shdr, sh_type),
     SHT_NOTE},
    {offsetof(Elf64_Ehdr, e_shoff), offsetof(Elf64_Ehdr, e_shentsize),
     offsetof(Elf64_Ehdr, e_shnum), offsetof(Elf64_Shdr, sh_offset), offsetof(Elf64_Shdr, sh_size),
     offsetof(Elf64_Shdr, sh_addralign), sizeof(Elf64_Shdr), offsetof(Elf64_Shdr, sh_type),
     SHT_NOTE},
};

static gboolean source_get(const Source *source, guint64 offset, void *out, gsize len)
{
    gsize done = 0;

    if (offset > source->size || len > source->size - offset)
        return FALSE;
    if (source->fd < 0) {
        memcpy(out, source->data + offset, len);
        return TRUE;
    }
    while (done < len) {
        gssize n = pread(source->fd, (char *)out + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FALSE;
        done += (gsize)n;
    }
    return TRUE;
}

static guint16 get16(const Source *source, const guint8 *at)
{
    guint16 value;

    memcpy(&value, at, sizeof value);
    return source->swap ? GUINT16_SWAP_LE_BE(value) : value;
}

static guint32 get32(const Source *source, const guint8 *at)
{
    guint32 value;

    memcpy(&value, at, sizeof value);
    return source->swap ? GUINT32_SWAP_LE_BE(value) : value;
}

/* An address-sized number of a header. */
static guint64 get_word(const Source *source, const guint8 *at)
{
    guint64 value;

    if (!source->wide)
        return get32(source, at);
    memcpy(&value, at, sizeof value);
    return source->swap ? GUINT64_SWAP_LE_BE(value) : value;
}

/* A mask: two 32-bit halves, the low one first. */
static guint64 get_mask(const Source *source, const guint8 *at)
{
    return get32(source, at) | (guint64)get32(source, at + 4) << 32;
}

/* A terminated text of a fixed field, made of characters from `also` and letters, or printable. */
static char *get_text(const guint8 *at, gsize len, const char *also)
{
    const guint8 *end = memchr(at, 0, len);

    if (!end)
        return NULL;
    for (const guint8 *c = at; c < end; c++) {
        gboolean ok = also ? g_ascii_islower(*c) || g_ascii_isdigit(*c) || strchr(also, *c)
                           : g_ascii_isprint(*c);

        if (!ok)
            return NULL;
    }
    return g_strndup((const char *)at, (gsize)(end - at));
}

static char *get_schemes(const guint8 *at, gsize len)
{
    g_autofree char *text = get_text(at, len, " +.-");
    g_auto(GStrv) words = NULL;
    g_autoptr(GPtrArray) kept = g_ptr_array_new();

    if (!text)
        return NULL;
    words = g_strsplit(text, " ", -1);
    for (char **word = words; *word; word++)
        if (**word)
            g_ptr_array_add(kept, *word);
    g_ptr_array_add(kept, NULL);
    return g_strjoinv(" ", (char **)kept->pdata);
}

static gboolean cut_off(GError **error)
{
    g_set_error_literal(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_NOT_ELF, "the file is cut off");
    return FALSE;
}

static gpointer broken(GError **error, const char *what)
{
    g_set_error(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_BROKEN, "its driver note is broken: %s",
                what);
    return NULL;
}

static void clear_note(gpointer data)
{
    VireoNote *note = data;

    g_free(note->name);
    g_free(note->version);
    g_free(note->schemes);
    g_free(note->ops);
}

static void read_ops(const Source *source, VireoNote *note, const guint8 *at, guint32 op_size)
{
    note->ops = g_new0(VireoNoteOp, note->n_ops);
    for (guint i = 0; i < note->n_ops; i++, at += op_size) {
        VireoNoteOp *op = &note->ops[i];

        op->id = get32(source, at + offsetof(struct vireo_note_op, id));
        op->native = get_mask(source, at + offsetof(struct vireo_note_op, native));
        op->trivial = get_mask(source, at + offsetof(struct vireo_note_op, trivial));
        op->active = get_mask(source, at + offsetof(struct vireo_note_op, active));
        op->inactive = get_mask(source, at + offsetof(struct vireo_note_op, inactive));
    }
}

static VireoNote *read_manifest(const Source *source, const guint8 *at, guint32 len, GError **error)
{
    g_autoptr(VireoNote) note = NULL;
    guint32 head_size, op_size, n_ops;

    if (len < HEAD_SIZE)
        return broken(error, "it is too short");
    head_size = get32(source, at + offsetof(struct vireo_note_head, head_size));
    op_size = get32(source, at + offsetof(struct vireo_note_head, op_size));
    n_ops = get32(source, at + offsetof(struct vireo_note_head, n_ops));
    if (head_size < HEAD_SIZE || head_size > len)
        return broken(error, "the size of its head");
    if (op_size < ROW_SIZE || op_size > len)
        return broken(error, "the size of its rows");
    if (n_ops > MAX_OPS || (guint64)n_ops * op_size > len - head_size)
        return broken(error, "it has fewer rows than it says");
    note = g_atomic_rc_box_new0(VireoNote);
    note->abi_major = get16(source, at + offsetof(struct vireo_note_head, abi_major));
    note->abi_target = get16(source, at + offsetof(struct vireo_note_head, abi_target));
    note->threads = get32(source, at + offsetof(struct vireo_note_head, threads));
    note->name = get_text(at + offsetof(struct vireo_note_head, name), 32, "_-");
    note->version = get_text(at + offsetof(struct vireo_note_head, version), 32, NULL);
    note->schemes = get_schemes(at + offsetof(struct vireo_note_head, schemes), 64);
    if (!note->name || !*note->name)
        return broken(error, "the name");
    if (!note->version)
        return broken(error, "the version");
    if (!note->schemes)
        return broken(error, "the URI schemes");
    note->n_ops = n_ops;
    read_ops(source, note, at + head_size, op_size);
    return g_steal_pointer(&note);
}

/* Looks through a row of ELF notes for ours. NULL without error: it is not there. */
static VireoNote *search_notes(const Source *source, const guint8 *at, gsize len, gsize align,
                               GError **error)
{
    while (len >= sizeof(Elf32_Nhdr)) {
        gsize name_size = get32(source, at);
        gsize desc_size = get32(source, at + 4);
        guint32 type = get32(source, at + 8);
        gsize desc_at, next;

        if (name_size > len || desc_size > len)
            return NULL;
        desc_at = sizeof(Elf32_Nhdr) + ((name_size + 3) & ~(gsize)3);
        desc_at = (desc_at + align - 1) & ~(align - 1);
        if (desc_at > len || desc_size > len - desc_at)
            return NULL;
        if (type == VIREO_NOTE_DRIVER && name_size == sizeof VIREO_NOTE_OWNER &&
            memcmp(at + sizeof(Elf32_Nhdr), VIREO_NOTE_OWNER, name_size) == 0)
            return read_manifest(source, at + desc_at, (guint32)desc_size, error);
        next = desc_at + ((desc_size + align - 1) & ~(align - 1));
        if (next >= len)
            return NULL;
        at += next;
        len -= next;
    }
    return NULL;
}

static VireoNote *search_span(Source *source, const Span *span, GError **error)
{
    g_autofree guint8 *bytes = NULL;

    if (span->size < sizeof(Elf32_Nhdr) || span->size > source->budget)
        return NULL;
    if (span->offset > source->size || span->size > source->size - span->offset) {
        cut_off(error);
        return NULL;
    }
    source->budget -= span->size;
    bytes = g_malloc(span->size);
    if (!source_get(source, span->offset, bytes, span->size)) {
        g_set_error_literal(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_IO,
                            "the file cannot be read");
        return NULL;
    }
    return search_notes(source, bytes, span->size, span->aligned8 ? 8 : 4, error);
}

/* Everything the headers speak of is in the file. The dynamic linker does not ask: a program that
 * maps a segment behind the end of a file dies of SIGBUS. */
static gboolean check_whole(const Source *source, const guint8 *header, GError **error)
{
    const Table *table = &segments[source->wide];
    guint64 sections_at = get_word(source, header + sections[source->wide].offset);
    guint64 sections_len = (guint64)get16(source, header + sections[source->wide].entry_size) *
                           get16(source, header + sections[source->wide].count);
    guint64 offset = get_word(source, header + table->offset);
    guint entry_size = get16(source, header + table->entry_size);
    guint count = get16(source, header + table->count);

    if (sections_at && (sections_at > source->size || sections_len > source->size - sections_at))
        return cut_off(error);
    if (offset > source->size || (guint64)count * entry_size > source->size - offset)
        return cut_off(error);
    for (guint i = 0; entry_size >= table->least && count <= MAX_HEADERS && i < count; i++) {
        guint8 entry[sizeof(Elf64_Phdr)];
        guint64 at, len;

        if (!source_get(source, offset + (guint64)i * entry_size, entry, table->least))
            return cut_off(error);
        at = get_word(source, entry + table->at);
        len = get_word(source, entry + table->length);
        if (get32(source, entry + table->type_at) == PT_LOAD &&
            (at > source->size || len > source->size - at))
            return cut_off(error);
    }
    return TRUE;
}

static VireoNote *search_table(Source *source, const guint8 *header, const Table *table,
                               GError **error)
{
    guint64 offset = get_word(source, header + table->offset);
    guint entry_size = get16(source, header + table->entry_size);
    guint count = get16(source, header + table->count);

    if (!offset || entry_size < table->least || count > MAX_HEADERS)
        return NULL;
    for (guint i = 0; i < count; i++) {
        guint8 entry[sizeof(Elf64_Shdr)];
        VireoNote *note;
        Span span;

        if (offset > source->size ||
            !source_get(source, offset + (guint64)i * entry_size, entry, table->least)) {
            cut_off(error);
            return NULL;
        }
        if (get32(source, entry + table->type_at) != table->type)
            continue;
        span.offset = get_word(source, entry + table->at);
        span.size = get_word(source, entry + table->length);
        span.aligned8 = get_word(source, entry + table->align) == 8;
        note = search_span(source, &span, error);
        if (note || (error && *error))
            return note;
    }
    return NULL;
}

static gboolean read_header(Source *source, guint8 *header, GError **error)
{
    gsize least;

    memset(header, 0, sizeof(Elf64_Ehdr));
    if (!source_get(source, 0, header, EI_NIDENT) || memcmp(header, ELFMAG, SELFMAG) != 0) {
        g_set_error_literal(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_NOT_ELF, "not an ELF file");
        return FALSE;
    }
    source->wide = header[EI_CLASS] == ELFCLASS64;
    source->swap = header[EI_DATA] != (G_BYTE_ORDER == G_LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB);
    least = source->wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
    if ((header[EI_CLASS] != ELFCLASS64 && header[EI_CLASS] != ELFCLASS32) ||
        (header[EI_DATA] != ELFDATA2LSB && header[EI_DATA] != ELFDATA2MSB)) {
        g_set_error_literal(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_NOT_ELF,
                            "an ELF file of no known class");
        return FALSE;
    }
    if (!source_get(source, 0, header, least))
        return cut_off(error);
    if (get16(source, header + offsetof(Elf64_Ehdr, e_type)) != ET_DYN) {
        g_set_error_literal(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_NOT_ELF,
                            "an ELF file, but not a shared object");
        return FALSE;
    }
    return TRUE;
}

/* The ELF header of this very program or library, as the link editor names it. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((weak, visibility("hidden")));

static gboolean is_own_machine(guint machine)
{
    return !&__ehdr_start || __ehdr_start.e_machine == machine;
}

static VireoNote *read_source(Source *source, GError **error)
{
    guint8 header[sizeof(Elf64_Ehdr)];
    g_autoptr(GError) problem = NULL;
    VireoNote *note;

    source->budget = MAX_NOTES;
    if (!read_header(source, header, error) || !check_whole(source, header, error))
        return NULL;
    note = search_table(source, header, &segments[source->wide], &problem);
    if (!note && !problem)
        note = search_table(source, header, &sections[source->wide], &problem);
    if (problem) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
    }
    if (!note) {
        g_set_error_literal(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_NO_NOTE,
                            "a shared object without a driver note");
        return NULL;
    }
    note->bits = source->wide ? 64 : 32;
    note->machine = get16(source, header + offsetof(Elf64_Ehdr, e_machine));
    note->native =
        !source->swap && note->bits == sizeof(void *) * 8 && is_own_machine(note->machine);
    return note;
}

VireoNote *vireo_note_read(int fd, GError **error)
{
    Source source = {.fd = fd};
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_size < 0) {
        g_set_error(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_IO, "the file cannot be read: %s",
                    g_strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        g_set_error_literal(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_IO, "not a regular file");
        return NULL;
    }
    source.size = (guint64)st.st_size;
    return read_source(&source, error);
}

VireoNote *vireo_note_parse(const void *data, gsize size, GError **error)
{
    Source source = {.fd = -1, .data = data, .size = size};

    return read_source(&source, error);
}

VireoNote *vireo_note_new(const char *name, const char *version, const char *schemes, guint threads, guint n_ops,
                          const VireoNoteOp *ops)
{
    VireoNote *note = g_atomic_rc_box_new0(VireoNote);

    note->name = g_strdup(name);
    note->version = g_strdup(version);
    note->schemes = g_strdup(schemes);
    note->threads = threads;
    note->n_ops = n_ops;
    note->ops = g_memdup2(ops, n_ops * sizeof *ops);
    return note;
}

VireoNote *vireo_note_ref(VireoNote *note)
{
    return g_atomic_rc_box_acquire(note);
}

void vireo_note_unref(VireoNote *note)
{
    if (note)
        g_atomic_rc_box_release_full(note, clear_note);
}

const char *vireo_note_threads_name(guint threads)
{
    static const char *const names[] = {
        [VIREO_SERIAL] = "serial",
        [VIREO_PER_CONN] = "per-connection",
        [VIREO_PER_OBJECT] = "per-object",
        [VIREO_PARALLEL] = "parallel",
    };

    return threads < G_N_ELEMENTS(names) ? names[threads] : "unknown";
}
