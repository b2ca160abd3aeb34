/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/log.h"

#include <fcntl.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "util/error.h"
#include "ops/catalogue.h"

typedef enum { TO_STDERR, TO_JOURNAL, TO_SYSLOG, TO_FILE } Where;

typedef struct {
    int level;
    Where where;
    char *what; /* file: its path; syslog: the name */
    int fd;     /* file */
} Output;

typedef struct {
    int level;
    char *what;
} Filter;

static const char *const where_names[] = {"stderr", "journald", "syslog", "file"};
static const char *const level_names[] = {"", "debug", "info", "warning", "error"};

static GMutex lock;
static int level = VIREO_LOG_LEVEL_INFO;
static int least_filter = VIREO_LOG_LEVEL_ERROR + 1; /* lowest level of any filter */
static GPtrArray *outputs, *filters;

static void output_free(gpointer opaque)
{
    Output *output = opaque;

    if (output->fd >= 0)
        close(output->fd);
    g_free(output->what);
    g_free(output);
}

static void filter_free(gpointer opaque)
{
    g_free(((Filter *)opaque)->what);
    g_free(opaque);
}

/* ---- writing ---- */

static int level_of(GLogLevelFlags flags)
{
    if (flags & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
        return VIREO_LOG_LEVEL_ERROR;
    if (flags & G_LOG_LEVEL_WARNING)
        return VIREO_LOG_LEVEL_WARNING;
    return flags & G_LOG_LEVEL_DEBUG ? VIREO_LOG_LEVEL_DEBUG : VIREO_LOG_LEVEL_INFO;
}

static gboolean begins_with_word(const char *text, const char *word)
{
    gsize size = strlen(word);

    return strncmp(text, word, size) == 0 && !g_ascii_isalnum(text[size]);
}

static gboolean wanted_locked(const char *text, int of)
{
    for (guint i = 0; i < filters->len; i++) {
        const Filter *filter = filters->pdata[i];

        if (begins_with_word(text, filter->what))
            return of >= filter->level;
    }
    return of >= level;
}

static void write_fd(int fd, const char *line)
{
    gssize n = write(fd, line, strlen(line));

    (void)n; /* nowhere to complain */
}

static char *line_of(const char *text, int of)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%d %H:%M:%S");

    return g_strdup_printf("%s.%03d %s: %s\n", time, g_date_time_get_microsecond(now) / 1000,
                           level_names[of], text);
}

static void write_out(Output *output, GLogLevelFlags flags, const GLogField *fields, gsize n,
                      const char *text, const char *line, int of)
{
    static const int priorities[] = {0, LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR};

    switch (output->where) {
    case TO_STDERR:
        write_fd(STDERR_FILENO, line);
        break;
    case TO_JOURNAL:
        g_log_writer_journald(flags, fields, n, NULL);
        break;
    case TO_SYSLOG:
        syslog(LOG_DAEMON | priorities[of], "%s", text);
        break;
    case TO_FILE:
        if (output->fd >= 0)
            write_fd(output->fd, line);
    }
}

static GLogWriterOutput writer(GLogLevelFlags flags, const GLogField *fields, gsize n,
                               gpointer unused)
{
    const char *text = NULL;
    g_autofree char *line = NULL;
    int of = level_of(flags);

    if (of < level && of < least_filter)
        return G_LOG_WRITER_HANDLED;
    for (gsize i = 0; i < n && !text; i++)
        if (strcmp(fields[i].key, "MESSAGE") == 0)
            text = fields[i].value;
    if (!text)
        return G_LOG_WRITER_HANDLED;
    g_mutex_lock(&lock);
    if (wanted_locked(text, of)) {
        line = line_of(text, of);
        for (guint i = 0; i < outputs->len; i++) {
            Output *output = outputs->pdata[i];

            if (of >= output->level)
                write_out(output, flags, fields, n, text, line, of);
        }
    }
    g_mutex_unlock(&lock);
    return G_LOG_WRITER_HANDLED;
}

/* ---- settings ---- */

int vireo_log_level_parse(const char *text)
{
    for (int i = VIREO_LOG_LEVEL_DEBUG; i <= VIREO_LOG_LEVEL_ERROR; i++)
        if (strcmp(text, level_names[i]) == 0 || (text[0] == '0' + i && !text[1]))
            return i;
    return 0;
}

void vireo_log_set_level(int to)
{
    g_mutex_lock(&lock);
    level = to;
    g_mutex_unlock(&lock);
}

static gboolean fail(GError **error, const char *entry, const char *why)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "log setting '%s': %s", entry, why);
    return FALSE;
}

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static gboolean parse_output(const char *entry, GPtrArray *to, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(entry, ":", 3);
    guint n = g_strv_length(parts);
    Output *output;
    guint where = 0;

    if (n < 2 || !vireo_log_level_parse(parts[0]))
        return fail(error, entry, "expected LEVEL:WHERE");
    while (where < G_N_ELEMENTS(where_names) && strcmp(where_names[where], parts[1]) != 0)
        where++;
    if (where == G_N_ELEMENTS(where_names))
        return fail(error, entry, "expected stderr, journald, syslog or file");
    if (where == TO_FILE && (n < 3 || !g_path_is_absolute(parts[2])))
        return fail(error, entry, "a file needs an absolute path");
    output = g_new0(Output, 1);
    output->level = vireo_log_level_parse(parts[0]);
    output->where = where;
    output->what = g_strdup(n > 2 ? parts[2] : NULL);
    output->fd = where == TO_FILE ? open_file(parts[2]) : -1;
    g_ptr_array_add(to, output);
    return where != TO_FILE || output->fd >= 0 || fail(error, entry, g_strerror(errno));
}

static gboolean parse_filter(const char *entry, GPtrArray *to, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(entry, ":", 2);
    Filter *filter;

    if (g_strv_length(parts) != 2 || !vireo_log_level_parse(parts[0]) || !parts[1][0])
        return fail(error, entry, "expected LEVEL:WHERE");
    filter = g_new0(Filter, 1);
    filter->level = vireo_log_level_parse(parts[0]);
    filter->what = g_strdup(parts[1]);
    g_ptr_array_add(to, filter);
    return TRUE;
}

static GPtrArray *parse(const char *text, GDestroyNotify free_one,
                        gboolean (*parse_one)(const char *, GPtrArray *, GError **), GError **error)
{
    g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(free_one);
    g_auto(GStrv) words = g_strsplit_set(text ? text : "", " \t\n", -1);

    for (GStrv word = words; *word; word++)
        if (**word && !parse_one(*word, entries, error))
            return NULL;
    return g_steal_pointer(&entries);
}

static GPtrArray *default_outputs(void)
{
    return parse(g_log_writer_is_journald(STDERR_FILENO) ? "1:journald" : "1:stderr", output_free,
                 parse_output, NULL);
}

static void replace(GPtrArray **what, GPtrArray *by)
{
    GPtrArray *old;

    g_mutex_lock(&lock);
    old = *what;
    *what = by;
    least_filter = VIREO_LOG_LEVEL_ERROR + 1;
    for (guint i = 0; filters && i < filters->len; i++)
        least_filter = MIN(least_filter, ((Filter *)filters->pdata[i])->level);
    g_mutex_unlock(&lock);
    if (old)
        g_ptr_array_unref(old);
}

gboolean vireo_log_set_outputs(const char *text, GError **error)
{
    g_autoptr(GPtrArray) entries = parse(text, output_free, parse_output, error);

    if (!entries)
        return FALSE;
    if (entries->len == 0) {
        g_ptr_array_unref(entries);
        entries = default_outputs();
    }
    replace(&outputs, g_steal_pointer(&entries));
    return TRUE;
}

gboolean vireo_log_set_filters(const char *text, GError **error)
{
    g_autoptr(GPtrArray) entries = parse(text, filter_free, parse_filter, error);

    if (!entries)
        return FALSE;
    replace(&filters, g_steal_pointer(&entries));
    return TRUE;
}

char *vireo_log_get_outputs(guint *n)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_mutex_lock(&lock);
    *n = outputs->len;
    for (guint i = 0; i < outputs->len; i++) {
        const Output *output = outputs->pdata[i];

        g_string_append_printf(text, "%s%d:%s%s%s", i ? " " : "", output->level,
                               where_names[output->where], output->what ? ":" : "",
                               output->what ? output->what : "");
    }
    g_mutex_unlock(&lock);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

char *vireo_log_get_filters(guint *n)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_mutex_lock(&lock);
    *n = filters->len;
    for (guint i = 0; i < filters->len; i++) {
        const Filter *filter = filters->pdata[i];

        g_string_append_printf(text, "%s%d:%s", i ? " " : "", filter->level, filter->what);
    }
    g_mutex_unlock(&lock);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

void vireo_log_reopen(void)
{
    g_mutex_lock(&lock);
    for (guint i = 0; i < outputs->len; i++) {
        Output *output = outputs->pdata[i];
        int fd = output->where == TO_FILE ? open_file(output->what) : -1;

        if (fd < 0)
            continue;
        close(output->fd);
        output->fd = fd;
    }
    g_mutex_unlock(&lock);
}

void vireo_log_start(const char *ident)
{
    openlog(ident, LOG_PID, LOG_DAEMON);
    replace(&filters, g_ptr_array_new_with_free_func(filter_free));
    replace(&outputs, default_outputs());
    g_log_set_writer_func(writer, NULL, NULL);
}
