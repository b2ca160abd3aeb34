/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holds a driver module to the contract of the driver ABI. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/check/report.h"
#include "tools/version.h"

#define NO_HOARDS "glibc.malloc.tcache_count=0"

enum { EXIT_WRONG = 1, EXIT_USAGE = 2 };

typedef struct {
    gboolean list, verbose, version;
    char **only, **skip, **files;
    char *uri, *config, *define, *man, *format, *sanitize;
    int jobs, seconds;
} Options;

static void options_clear(Options *options)
{
    g_strfreev(options->only);
    g_strfreev(options->skip);
    g_strfreev(options->files);
    g_free(options->uri);
    g_free(options->config);
    g_free(options->define);
    g_free(options->man);
    g_free(options->format);
    g_free(options->sanitize);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static gboolean wrong(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static gboolean wrong(GError **error, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, text);
    return FALSE;
}

static gboolean parse(int *argc, char ***argv, Options *options, GError **error)
{
    const GOptionEntry entries[] = {
        { "list", 'l', 0, G_OPTION_ARG_NONE, &options->list, "List the checks and exit", NULL },
        { "only", 'o', 0, G_OPTION_ARG_STRING_ARRAY, &options->only, "Make this check (may be repeated)", "NAME" },
        { "skip", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options->skip, "Leave this check out (may be repeated)", "NAME" },
        { "uri", 'u', 0, G_OPTION_ARG_STRING, &options->uri, "Connect to this URI", "URI" },
        { "config", 'c', 0, G_OPTION_ARG_FILENAME, &options->config, "Take the driver's settings from DIR/DRIVER.conf",
          "DIR" },
        { "define", 'd', 0, G_OPTION_ARG_FILENAME, &options->define, "A domain to make objects of", "FILE.xml" },
        { "man", 'm', 0, G_OPTION_ARG_FILENAME, &options->man, "Check the source of the manual page", "PAGE.rst" },
        { "sanitize", 0, 0, G_OPTION_ARG_STRING, &options->sanitize, "Run under a sanitizer: address or thread",
          "KIND" },
        { "jobs", 'j', 0, G_OPTION_ARG_INT, &options->jobs, "How many checks at a time (1)", "N" },
        { "timeout", 't', 0, G_OPTION_ARG_INT, &options->seconds, "How long one call may take (30)", "SECONDS" },
        { "format", 'f', 0, G_OPTION_ARG_STRING, &options->format, "Report as human (the default), json or tap",
          "FORMAT" },
        { "verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose, "Show what the driver writes and logs", NULL },
        { "version", 'V', 0, G_OPTION_ARG_NONE, &options->version, "Print the version and exit", NULL },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->files, NULL, "FILE.so" },
        { 0 },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(context, "Holds a Vireo driver module to the contract of the driver ABI. Its code "
                                          "runs, each check in a process of its own.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return FALSE;
    if (options->list || options->version)
        return TRUE;
    if (!options->files || options->files[1])
        return wrong(error, "give one module, FILE.so");
    if (options->jobs < 1 || options->jobs > 64)
        return wrong(error, "--jobs is a number from 1 to 64");
    if (options->seconds < 1 || options->seconds > 3600)
        return wrong(error, "--timeout is a number of seconds from 1 to 3600");
    return TRUE;
}

static gboolean mark(char **names, gboolean value, gboolean *chosen, GError **error)
{
    for (char **name = names; name && *name; name++) {
        gboolean found = FALSE;

        for (guint i = 0; i < n_checks; i++)
            if (strcmp(checks[i].name, *name) == 0) {
                chosen[i] = value;
                found = TRUE;
            }
        if (!found)
            return wrong(error, "there is no check '%s'; see --list", *name);
    }
    return TRUE;
}

static gboolean choose(const Options *options, gboolean *chosen, GError **error)
{
    for (guint i = 0; i < n_checks; i++)
        chosen[i] = options->only == NULL;
    return mark(options->only, TRUE, chosen, error) && mark(options->skip, FALSE, chosen, error);
}

static char *absolute(const char *path)
{
    return path ? g_canonicalize_filename(path, NULL) : NULL;
}

static gboolean read_task(const Options *options, CheckTask *task, GError **error)
{
    g_autoptr(GError) note_error = NULL;
    int fd;

    task->file = absolute(options->files[0]);
    task->config = absolute(options->config);
    task->man = absolute(options->man);
    task->uri = g_strdup(options->uri);
    task->seconds = (guint)options->seconds;
    if (options->define && !g_file_get_contents(options->define, &task->define, NULL, error))
        return FALSE;
    if (task->man && access(task->man, R_OK) != 0)
        return wrong(error, "%s: %s", options->man, g_strerror(errno));
    if (task->config && !g_file_test(task->config, G_FILE_TEST_IS_DIR))
        return wrong(error, "%s is no directory", options->config);
    fd = open(task->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd == -1)
        return wrong(error, "%s: %s", options->files[0], g_strerror(errno));
    task->note = vireo_note_read(fd, &note_error);
    task->note_error = note_error ? g_strdup(note_error->message) : NULL;
    close(fd);
    return TRUE;
}

static void task_clear(CheckTask *task)
{
    g_free(task->file);
    g_free(task->uri);
    g_free(task->config);
    g_free(task->define);
    g_free(task->man);
    g_free(task->note_error);
    vireo_note_unref(task->note);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CheckTask, task_clear)

/* Becomes the build of this program that was made with the sanitizer. Returns when it cannot. */
static gboolean become(const char *kind, char **argv, GError **error)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = self ? g_path_get_dirname(self) : g_strdup(".");
    g_autofree char *name = g_strdup_printf("vireo-driver-check-%s", kind);
    g_autofree char *beside = g_build_filename(dir, name, NULL);
    g_autofree char *installed = g_build_filename(dir, "..", LIBEXEC_FROM_BIN, name, NULL);

    if (strcmp(kind, check_sanitizer()) == 0)
        return TRUE;
    if (strcmp(check_sanitizer(), "none") != 0)
        return wrong(error, "this is the build for --sanitize=%s", check_sanitizer());
    if (strcmp(kind, "address") != 0 && strcmp(kind, "thread") != 0)
        return wrong(error, "--sanitize is address or thread, not '%s'", kind);
    /* What GLib hands from thread to thread by itself looks like a race. */
    g_setenv("G_SLICE", "always-malloc", TRUE);
    execv(beside, argv);
    execv(installed, argv);
    return wrong(error, "%s: %s", installed, g_strerror(errno));
}

/* What a thread has freed and keeps at hand counts as memory in use. Without such hoards the count is exact; the C
 * library is told so as a program begins. */
static void without_hoards(char **argv)
{
    const char *tunables = g_getenv("GLIBC_TUNABLES");
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *ours = NULL;

    if (!self || strcmp(check_sanitizer(), "none") != 0 || (tunables && strstr(tunables, NO_HOARDS)))
        return;
    ours = tunables ? g_strconcat(tunables, ":", NO_HOARDS, NULL) : g_strdup(NO_HOARDS);
    g_setenv("GLIBC_TUNABLES", ours, TRUE);
    execv(self, argv); /* where it cannot, memory is counted as before */
}

static void list(void)
{
    for (guint i = 0; i < n_checks; i++)
        printf("%-16s %s\n", checks[i].name, checks[i].about);
}

static int usage(const GError *error)
{
    fprintf(stderr, "vireo-driver-check: %s\nTry 'vireo-driver-check --help'.\n", error->message);
    return EXIT_USAGE;
}

static int run(const Options *options)
{
    g_autofree gboolean *chosen = g_new0(gboolean, n_checks);
    g_auto(CheckTask) task = { 0 };
    g_autoptr(GPtrArray) results = NULL;
    g_autoptr(GError) error = NULL;
    Report report = { .verbose = options->verbose };
    gboolean good;

    if (options->format && !report_format_parse(options->format, &report.format))
        wrong(&error, "--format is human, json or tap, not '%s'", options->format);
    if (error || !choose(options, chosen, &error) || !read_task(options, &task, &error))
        return usage(error);
    report_begin(&report, &task);
    results = check_run_all(&task, chosen, (guint)options->jobs, report_result, &report);
    good = report_end(&report, &task, results);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "vireo-driver-check: cannot write: %s\n", g_strerror(errno));
        return EXIT_WRONG;
    }
    return good ? 0 : EXIT_WRONG;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_auto(Options) options = { .jobs = 1, .seconds = 30 };
    g_auto(GStrv) given = g_strdupv(argv);

    if (!parse(&argc, &argv, &options, &error))
        return usage(error);
    if (options.sanitize && !become(options.sanitize, given, &error))
        return usage(error);
    without_hoards(given);
    if (options.version)
        printf("vireo-driver-check %s (driver ABI %u.%u)\n", VIREO_VERSION, VIREO_ABI_MAJOR, VIREO_ABI_MINOR);
    else if (options.list)
        list();
    else
        return run(&options);
    return 0;
}
