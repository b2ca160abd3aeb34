/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be said of a module without running any of it: its note, its symbols, its page. */
#include <elf.h>
#include <link.h>
#include <string.h>

#include "loader/check.h"
#include "tools/check/check.h"

#define ENTRY "vireo_driver_entry_1"

/* ---- the note ---- */

static char *op_name(guint32 id)
{
    const VireoOp *op = vireo_op_by_id(id);

    return op ? g_strdup(op->name) : g_strdup_printf("operation 0x%x", id);
}

void check_manifest(const CheckTask *task)
{
    const VireoNote *note = task->note;

    if (!note) {
        check_fail("%s", task->note_error);
        return;
    }
    if (!note->native)
        check_fail("built for another machine (ELF%u, machine %u)", note->bits, note->machine);
    if (note->abi_major != VIREO_ABI_MAJOR || note->abi_target > VIREO_ABI_MINOR)
        check_fail("built for driver ABI %u.%u; a daemon of this version has %u.%u", note->abi_major,
                   note->abi_target, VIREO_ABI_MAJOR, VIREO_ABI_MINOR);
    if (note->threads > VIREO_PARALLEL)
        check_fail("thread model %u is none of enum vireo_threads", note->threads);
    check_note("%u operations, driver ABI %u.%u, thread model %s", note->n_ops, note->abi_major, note->abi_target,
               vireo_note_threads_name(note->threads));
}

void check_duplicates(const CheckTask *task)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < task->note->n_ops; i++) {
        g_autofree char *name = op_name(task->note->ops[i].id);

        if (!g_hash_table_add(seen, GUINT_TO_POINTER(task->note->ops[i].id)))
            check_fail("%s is in the table twice", name);
    }
}

void check_mandatory(const CheckTask *task)
{
    const guint32 needed[] = { VIREO_OP_conn_open, VIREO_OP_conn_close };

    for (guint i = 0; i < G_N_ELEMENTS(needed); i++) {
        gboolean found = FALSE;

        for (guint j = 0; j < task->note->n_ops; j++)
            found |= task->note->ops[j].id == needed[i];
        if (!found)
            check_fail("%s is missing, which every driver has", vireo_op_by_id(needed[i])->name);
    }
}

void check_ids(const CheckTask *task)
{
    guint unknown = 0;

    for (guint i = 0; i < task->note->n_ops; i++) {
        const VireoOp *op = vireo_op_by_id(task->note->ops[i].id);
        g_autofree char *why = op ? vireo_check_op_is_for_drivers(op) : NULL;

        unknown += op == NULL;
        if (why)
            check_fail("%s %s", op->name, why);
    }
    if (unknown)
        check_note("%u operations of a newer ABI are not known here, and not checked", unknown);
}

static void fail_flags(const VireoNoteOp *row, guint64 flags, const char *what)
{
    const VireoOp *op = vireo_op_by_id(row->id);
    g_autofree char *name = op_name(row->id);
    g_autofree char *names = op ? vireo_op_flag_names(op, flags) : NULL;

    if (flags)
        check_fail("%s: %s %s", name, names ? names : "a flag", what);
}

void check_masks(const CheckTask *task)
{
    for (guint i = 0; i < task->note->n_ops; i++) {
        const VireoNoteOp *row = &task->note->ops[i];
        const VireoOp *op = vireo_op_by_id(row->id);

        fail_flags(row, row->native & row->trivial, "is both native and trivial");
        fail_flags(row, (row->active | row->inactive) & ~row->native, "has a state rule and is not native");
        fail_flags(row, row->active & row->inactive, "needs a running and a stopped object at once");
        if (op && op->flags_offset < 0)
            fail_flags(row, row->native | row->trivial, "is a flag of an operation that takes none");
        else if (op)
            fail_flags(row, (row->native | row->trivial) & ~op->known_flags, "is not known here");
    }
}

/* ---- the object file ---- */

typedef struct {
    char *bytes;
    gsize size;
    const ElfW(Ehdr) *head;
    const ElfW(Shdr) *sections;
} Object;

static const void *at(const Object *object, guint64 offset, guint64 size)
{
    return offset > object->size || size > object->size - offset ? NULL : object->bytes + offset;
}

static gboolean object_read(const char *path, Object *object)
{
    g_autoptr(GError) error = NULL;

    if (!g_file_get_contents(path, &object->bytes, &object->size, &error)) {
        check_fail("%s", error->message);
        return FALSE;
    }
    object->head = at(object, 0, sizeof *object->head);
    if (object->head && object->head->e_shentsize == sizeof(ElfW(Shdr)))
        object->sections = at(object, object->head->e_shoff, (guint64)object->head->e_shnum * sizeof(ElfW(Shdr)));
    if (!object->sections)
        check_skip("the file has no section headers, so its symbols cannot be listed");
    return object->sections != NULL;
}

static const ElfW(Shdr) *section_of(const Object *object, guint type)
{
    for (guint i = 0; i < object->head->e_shnum; i++)
        if (object->sections[i].sh_type == type)
            return &object->sections[i];
    return NULL;
}

/* A string of the table that belongs to a section; "" when it is out of bounds. */
static const char *string(const Object *object, const ElfW(Shdr) *section, guint64 offset)
{
    const ElfW(Shdr) *strings = section->sh_link < object->head->e_shnum ? &object->sections[section->sh_link] : NULL;
    const char *table = strings ? at(object, strings->sh_offset, strings->sh_size) : NULL;

    if (!table || offset >= strings->sh_size || !memchr(table + offset, 0, strings->sh_size - offset))
        return "";
    return table + offset;
}

typedef void (*OnSymbol)(const char *name, const ElfW(Sym) *symbol, guint *count);

static void each_symbol(const Object *object, OnSymbol told, guint *count)
{
    const ElfW(Shdr) *section = section_of(object, SHT_DYNSYM);
    const ElfW(Sym) *symbols = section ? at(object, section->sh_offset, section->sh_size) : NULL;

    for (guint i = 1; symbols && i < section->sh_size / sizeof *symbols; i++)
        if (ELF64_ST_BIND(symbols[i].st_info) != STB_LOCAL)
            told(string(object, section, symbols[i].st_name), &symbols[i], count);
}

/* Sanitizers put theirs into every module. */
static gboolean is_instrumentation(const char *name)
{
    return g_str_has_prefix(name, "__asan_") || g_str_has_prefix(name, "__tsan_") ||
           g_str_has_prefix(name, "__odr_asan") || g_str_has_prefix(name, "__sanitizer") ||
           g_str_has_prefix(name, "__gcov") || g_str_has_prefix(name, "__start_") || g_str_has_prefix(name, "__stop_");
}

static void see_exported(const char *name, const ElfW(Sym) *symbol, guint *count)
{
    if (symbol->st_shndx == SHN_UNDEF || is_instrumentation(name))
        return;
    if (strcmp(name, ENTRY) == 0)
        (*count)++;
    else
        check_fail("exports %s; a module exports its entry function alone: build with -fvisibility=hidden, and link "
                   "static archives with -Wl,--exclude-libs,ALL", name);
}

void check_exports(const CheckTask *task)
{
    Object object = { 0 };
    guint entries = 0;

    if (object_read(task->file, &object)) {
        each_symbol(&object, see_exported, &entries);
        if (!entries)
            check_fail("does not export %s, which VIREO_DRIVER writes", ENTRY);
    }
    g_free(object.bytes);
}

static void see_needed(const char *name, const ElfW(Sym) *symbol, guint *count)
{
    if (symbol->st_shndx == SHN_UNDEF && g_str_has_prefix(name, "vireo"))
        check_fail("takes %s from the program that loads it; a driver gets everything from struct vireo_host", name);
}

static void check_dynamic(const Object *object)
{
    const ElfW(Shdr) *section = section_of(object, SHT_DYNAMIC);
    const ElfW(Dyn) *entries = section ? at(object, section->sh_offset, section->sh_size) : NULL;
    gboolean now = FALSE, nodelete = FALSE, text = FALSE;

    for (guint i = 0; entries && i < section->sh_size / sizeof *entries; i++) {
        guint64 value = entries[i].d_un.d_val;
        const char *name = entries[i].d_tag == DT_NEEDED ? string(object, section, value) : "";

        if (strstr(name, "libvir"))
            check_fail("links %s; a driver links nothing of Vireo, and no client library", name);
        now |= entries[i].d_tag == DT_BIND_NOW || (entries[i].d_tag == DT_FLAGS && (value & DF_BIND_NOW)) ||
               (entries[i].d_tag == DT_FLAGS_1 && (value & DF_1_NOW));
        nodelete |= entries[i].d_tag == DT_FLAGS_1 && (value & DF_1_NODELETE);
        text |= entries[i].d_tag == DT_TEXTREL || (entries[i].d_tag == DT_FLAGS && (value & DF_TEXTREL));
    }
    if (!now)
        check_fail("is bound lazily: link it with -Wl,-z,now");
    if (!nodelete)
        check_fail("can be unloaded while its threads run: link it with -Wl,-z,nodelete");
    if (text)
        check_fail("has text relocations: compile it with -fPIC and link it with -Wl,-z,text");
}

static void check_stack(const Object *object)
{
    const ElfW(Phdr) *segments =
        at(object, object->head->e_phoff, (guint64)object->head->e_phnum * sizeof(ElfW(Phdr)));

    for (guint i = 0; segments && i < object->head->e_phnum; i++)
        if (segments[i].p_type == PT_GNU_STACK && (segments[i].p_flags & PF_X))
            check_fail("wants an executable stack");
}

void check_links(const CheckTask *task)
{
    Object object = { 0 };

    if (object_read(task->file, &object)) {
        each_symbol(&object, see_needed, NULL);
        check_dynamic(&object);
        check_stack(&object);
    }
    g_free(object.bytes);
}

/* ---- the manual page ---- */

static const char *const headings[] = { "WHAT IT MANAGES", "URI", "CONFIGURATION", "HOST ACCESS",
                                        "FLAGS TAKEN TRIVIALLY", "LIMITS", "VERSIONS TESTED" };
#define TRIVIAL_HEADING 4

static gboolean is_underline(const char *line, gsize least)
{
    gsize n = strspn(line, "=");

    return n >= least && n > 0 && line[n] == 0;
}

/* The text below a heading, up to the next one; NULL without that heading. */
static char *section(char **lines, const char *heading)
{
    GString *text = NULL;

    for (guint i = 0; lines[i]; i++) {
        gboolean title = lines[i][0] && lines[i + 1] && is_underline(lines[i + 1], strlen(lines[i]));

        if (title && text)
            break;
        if (title && g_ascii_strcasecmp(lines[i], heading) == 0)
            text = g_string_new(NULL);
        else if (text && !is_underline(lines[i], 1))
            g_string_append_printf(text, "%s\n", lines[i]);
    }
    return text ? g_string_free(text, FALSE) : NULL;
}

static gboolean has_word(const char *text, const char *word)
{
    gsize len = strlen(word);

    for (const char *p = text; (p = strstr(p, word)); p++)
        if ((p == text || (!g_ascii_isalnum(p[-1]) && p[-1] != '_')) && !g_ascii_isalnum(p[len]) && p[len] != '_')
            return TRUE;
    return FALSE;
}

/* The terms of a definition list that have a definition: what is explained. */
static char *explained_terms(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GString *terms = g_string_new(NULL);

    for (guint i = 0; lines[i]; i++)
        if (lines[i][0] && lines[i][0] != ' ' && lines[i + 1] && lines[i + 1][0] == ' ' &&
            *g_strstrip(lines[i + 1] + 1 - 1))
            g_string_append_printf(terms, "%s\n", lines[i]);
    return g_string_free(terms, FALSE);
}

/* Flag names in the terms: two and more capitals, digits and '_'. */
static void check_named(const CheckTask *task, const char *terms)
{
    g_auto(GStrv) words = g_strsplit_set(terms, " ,;:`*\n()|", -1);
    g_autoptr(GString) taken = g_string_new(" ");

    for (guint i = 0; i < task->note->n_ops; i++) {
        const VireoOp *op = vireo_op_by_id(task->note->ops[i].id);
        g_autofree char *names = op ? vireo_op_flag_names(op, task->note->ops[i].trivial) : NULL;

        g_string_append_printf(taken, "%s ", names ? names : "");
    }
    for (char **word = words; *word; word++)
        if (strlen(*word) >= 3 && strspn(*word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(*word) &&
            strcmp(*word, "XML") != 0 && !has_word(taken->str, *word))
            check_fail("the page explains flag %s, which no operation takes trivially", *word);
}

static void check_trivial_flags(const CheckTask *task, const char *text)
{
    g_autofree char *terms = explained_terms(text);
    guint n = 0;

    for (guint i = 0; i < task->note->n_ops; i++) {
        const VireoOp *op = vireo_op_by_id(task->note->ops[i].id);

        for (const VireoFlag *flag = op ? op->flags : NULL; flag && flag->name; flag++) {
            if (!(task->note->ops[i].trivial & flag->bit))
                continue;
            n++;
            if (!has_word(terms, flag->name))
                check_fail("the page does not say why %s takes %s trivially", op->name, flag->name);
        }
    }
    check_named(task, terms);
    check_note("%u flags taken trivially, all explained", n);
}

void check_page(const CheckTask *task)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    g_autoptr(GError) error = NULL;

    if (!task->man) {
        check_skip("which page? Give --man=PAGE.rst");
        return;
    }
    if (!g_file_get_contents(task->man, &text, NULL, &error)) {
        check_fail("%s", error->message);
        return;
    }
    lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; i < G_N_ELEMENTS(headings); i++) {
        g_autofree char *body = section(lines, headings[i]);

        if (!body)
            check_fail("the page has no heading %s", headings[i]);
        else if (!*g_strstrip(body))
            check_fail("the page says nothing under %s", headings[i]);
    }
    if (task->note) {
        g_autofree char *body = section(lines, headings[TRIVIAL_HEADING]);

        if (body)
            check_trivial_flags(task, body);
    }
}
