/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shows what a driver module says about itself, without running any of it. */
#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loader/check.h"
#include "loader/note.h"
#include "tools/matrix.h"
#include "tools/version.h"

enum { EXIT_NOT_A_DRIVER = 1, EXIT_USAGE = 2, EXIT_OTHER_ABI = 3 };

typedef struct {
    gboolean json, deb, rpm, version;
    char *matrix;
    char **files;
} Options;

static VireoNote *read_file(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    VireoNote *note;

    if (fd < 0) {
        g_set_error_literal(error, VIREO_NOTE_ERROR, VIREO_NOTE_ERROR_IO, g_strerror(errno));
        return NULL;
    }
    note = vireo_note_read(fd, error);
    close(fd);
    return note;
}

static char *op_name(guint32 id)
{
    const VireoOp *op = vireo_op_by_id(id);

    return op ? g_strdelimit(g_strdup(op->name), "_", '-') : g_strdup_printf("0x%x", id);
}

/* The names of a mask's flags; an operation of a newer core has numbers. */
static GStrv flag_names(guint32 id, guint64 flags)
{
    const VireoOp *op = vireo_op_by_id(id);
    g_autofree char *joined = NULL;

    if (!flags)
        return g_new0(char *, 1);
    joined =
        op ? vireo_op_flag_names(op, flags) : g_strdup_printf("0x%" G_GINT64_MODIFIER "x", flags);
    return g_strsplit(joined, ", ", -1);
}

static void print_flags(const char *label, guint32 id, guint64 flags)
{
    g_auto(GStrv) names = flag_names(id, flags);
    g_autofree char *joined = g_strjoinv(", ", names);

    if (flags)
        printf("      %-9s %s\n", label, joined);
}

static void print_table(const char *path, const VireoNote *note)
{
    printf("file:       %s\n", path);
    printf("name:       %s\n", note->name);
    printf("version:    %s\n", note->version);
    printf("schemes:    %s\n", note->schemes);
    printf("ABI:        %u.%u\n", note->abi_major, note->abi_target);
    printf("threads:    %s\n", vireo_note_threads_name(note->threads));
    printf("operations: %u\n", note->n_ops);
    for (guint i = 0; i < note->n_ops; i++) {
        const VireoNoteOp *op = &note->ops[i];
        g_autofree char *name = op_name(op->id);

        printf("  %s\n", name);
        print_flags("native", op->id, op->native);
        print_flags("trivial", op->id, op->trivial);
        print_flags("active", op->id, op->active);
        print_flags("inactive", op->id, op->inactive);
    }
}

static void add_text(JsonBuilder *json, const char *name, const char *value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, value);
}

static void add_number(JsonBuilder *json, const char *name, gint64 value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_int_value(json, value);
}

static void add_list(JsonBuilder *json, const char *name, GStrv values)
{
    json_builder_set_member_name(json, name);
    json_builder_begin_array(json);
    for (char **value = values; *value; value++)
        if (**value)
            json_builder_add_string_value(json, *value);
    json_builder_end_array(json);
}

static void add_flags(JsonBuilder *json, const char *name, guint32 id, guint64 flags)
{
    g_auto(GStrv) names = flag_names(id, flags);

    add_list(json, name, names);
}

static void add_op(JsonBuilder *json, const VireoNoteOp *op)
{
    g_autofree char *name = op_name(op->id);

    json_builder_begin_object(json);
    add_number(json, "id", op->id);
    add_text(json, "name", name);
    add_flags(json, "native", op->id, op->native);
    add_flags(json, "trivial", op->id, op->trivial);
    add_flags(json, "active", op->id, op->active);
    add_flags(json, "inactive", op->id, op->inactive);
    json_builder_end_object(json);
}

static void add_module(JsonBuilder *json, const char *path, const VireoNote *note)
{
    g_auto(GStrv) schemes = g_strsplit(note->schemes, " ", -1);

    json_builder_begin_object(json);
    add_text(json, "file", path);
    add_text(json, "name", note->name);
    add_text(json, "version", note->version);
    add_list(json, "schemes", schemes);
    add_number(json, "abi_major", note->abi_major);
    add_number(json, "abi_target", note->abi_target);
    add_text(json, "threads", vireo_note_threads_name(note->threads));
    json_builder_set_member_name(json, "operations");
    json_builder_begin_array(json);
    for (guint i = 0; i < note->n_ops; i++)
        add_op(json, &note->ops[i]);
    json_builder_end_array(json);
    json_builder_end_object(json);
}

static void print_json(JsonBuilder *json)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    g_autofree char *text = NULL;

    json_generator_set_root(generator, root);
    json_generator_set_pretty(generator, TRUE);
    text = json_generator_to_data(generator, NULL);
    puts(text);
}

static void show(const Options *options, JsonBuilder *json, const char *path, const VireoNote *note)
{
    if (options->deb)
        printf("vireo-driver-abi-%u (>= %u.%u)\n", note->abi_major, note->abi_major,
               note->abi_target);
    else if (options->rpm)
        printf("vireo-driver-abi(%u) >= %u.%u\n", note->abi_major, note->abi_major,
               note->abi_target);
    else if (options->json)
        add_module(json, path, note);
    else
        print_table(path, note);
}

static int inspect(const Options *options, JsonBuilder *json, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoNote) note = read_file(path, &error);

    if (!note) {
        fprintf(stderr, "vireo-driver-inspect: %s: %s\n", path, error->message);
        return EXIT_NOT_A_DRIVER;
    }
    show(options, json, path, note);
    if (vireo_check_note(note, &error))
        return 0;
    fprintf(stderr, "vireo-driver-inspect: %s: would be refused: %s\n", path, error->message);
    return EXIT_OTHER_ABI;
}

static int print_matrix(const Options *options)
{
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func((GDestroyNotify)vireo_note_unref);
    g_autofree char *page = NULL;

    for (char **file = options->files; *file; file++) {
        g_autoptr(GError) error = NULL;
        VireoNote *note = read_file(*file, &error);

        if (!note) {
            fprintf(stderr, "vireo-driver-inspect: %s: %s\n", *file, error->message);
            return EXIT_NOT_A_DRIVER;
        }
        g_ptr_array_add(notes, note);
        if (!vireo_check_note(note, &error)) {
            fprintf(stderr, "vireo-driver-inspect: %s: would be refused: %s\n", *file, error->message);
            return EXIT_OTHER_ABI;
        }
    }
    page = vireo_matrix_page(notes, strcmp(options->matrix, "html") == 0 ? VIREO_MATRIX_HTML : VIREO_MATRIX_MARKDOWN);
    fputs(page, stdout);
    return 0;
}

/* 0, or what it means that the output was lost. */
static int end_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    fprintf(stderr, "vireo-driver-inspect: cannot write: %s\n", g_strerror(errno));
    return EXIT_NOT_A_DRIVER;
}

static int inspect_all(const Options *options)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    int worst = 0;

    json_builder_begin_array(json);
    for (char **file = options->files; *file; file++) {
        int status = inspect(options, json, *file);

        if (worst == 0 || status == EXIT_NOT_A_DRIVER)
            worst = status ? status : worst;
        if (!options->json && !options->deb && !options->rpm && file[1])
            putchar('\n');
    }
    json_builder_end_array(json);
    if (options->json)
        print_json(json);
    return worst;
}

static gboolean parse(int *argc, char ***argv, Options *options, GError **error)
{
    const GOptionEntry entries[] = {
        {"json", 'j', 0, G_OPTION_ARG_NONE, &options->json,
         "Print a JSON array, one object per file", NULL},
        {"deb-depends", 0, 0, G_OPTION_ARG_NONE, &options->deb,
         "Print the Depends entry of a Debian package", NULL},
        {"rpm-requires", 0, 0, G_OPTION_ARG_NONE, &options->rpm,
         "Print the Requires entry of an RPM package", NULL},
        {"matrix", 0, 0, G_OPTION_ARG_STRING, &options->matrix,
         "Print a page that compares the drivers: html or markdown", "FORMAT"},
        {"version", 'V', 0, G_OPTION_ARG_NONE, &options->version, "Print the version and exit",
         NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->files, NULL, "FILE..."},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(
        context, "Shows the manifest of Vireo driver modules. No code of a module is run.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return FALSE;
    if (options->version)
        return TRUE;
    if (!options->files) {
        g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "no file given");
        return FALSE;
    }
    if (options->json + options->deb + options->rpm + (options->matrix != NULL) > 1) {
        g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                            "--json, --deb-depends, --rpm-requires and --matrix exclude each other");
        return FALSE;
    }
    if (options->matrix && strcmp(options->matrix, "html") != 0 && strcmp(options->matrix, "markdown") != 0) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "--matrix %s: html and markdown are known",
                    options->matrix);
        return FALSE;
    }
    return TRUE;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    Options options = {0};
    int status;

    if (!parse(&argc, &argv, &options, &error)) {
        fprintf(stderr, "vireo-driver-inspect: %s\nTry 'vireo-driver-inspect --help'.\n",
                error->message);
        g_free(options.matrix);
        g_strfreev(options.files);
        return EXIT_USAGE;
    }
    if (options.version) {
        printf("vireo-driver-inspect %s (driver ABI %u.%u)\n", VIREO_VERSION, VIREO_ABI_MAJOR,
               VIREO_ABI_MINOR);
        status = 0;
    } else {
        int lost;

        status = options.matrix ? print_matrix(&options) : inspect_all(&options);
        lost = end_output();
        status = lost ? lost : status;
    }
    g_free(options.matrix);
    g_strfreev(options.files);
    return status;
}
