/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/argv.h"

#include <string.h>

#define MASK "*****"

struct VireoArgv {
    GPtrArray *args;  /* char *, NULL terminated at all times */
    GPtrArray *shown; /* char * or NULL: what stands for the argument in a log */
};

VireoArgv *vireo_argv_new(const char *program)
{
    VireoArgv *argv = g_new0(VireoArgv, 1);

    argv->args = g_ptr_array_new_null_terminated(16, g_free, TRUE);
    argv->shown = g_ptr_array_new_with_free_func(g_free);
    if (program)
        vireo_argv_take(argv, NULL, g_strdup(program));
    return argv;
}

void vireo_argv_free(VireoArgv *argv)
{
    if (!argv)
        return;
    g_ptr_array_unref(argv->args);
    g_ptr_array_unref(argv->shown);
    g_free(argv);
}

static void take(VireoArgv *argv, char *text, char *shown)
{
    g_ptr_array_add(argv->args, text);
    g_ptr_array_add(argv->shown, shown);
}

void vireo_argv_take(VireoArgv *argv, const char *option, char *text)
{
    if (option)
        take(argv, g_strdup(option), NULL);
    take(argv, text, NULL);
}

void vireo_argv_add(VireoArgv *argv, ...)
{
    const char *text;
    va_list list;

    va_start(list, argv);
    while ((text = va_arg(list, const char *)))
        take(argv, g_strdup(text), NULL);
    va_end(list);
}

void vireo_argv_addf(VireoArgv *argv, const char *option, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vireo_argv_take(argv, option, g_strdup_vprintf(format, list));
    va_end(list);
}

void vireo_argv_add_secret(VireoArgv *argv, const char *prefix, const char *secret)
{
    take(argv, g_strconcat(prefix ? prefix : "", secret, NULL),
         g_strconcat(prefix ? prefix : "", MASK, NULL));
}

guint vireo_argv_length(const VireoArgv *argv)
{
    return argv->args->len;
}

const char *const *vireo_argv_get(const VireoArgv *argv)
{
    return (const char *const *)argv->args->pdata;
}

/* Bare where a shell takes the word as it is. */
static void append_quoted(GString *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "%+,-./:=@_";

    if (*word && strspn(word, plain) == strlen(word)) {
        g_string_append(out, word);
        return;
    }
    g_autofree char *quoted = g_shell_quote(word);
    g_string_append(out, quoted);
}

char *vireo_argv_show(const VireoArgv *argv)
{
    GString *out = g_string_new(NULL);

    for (guint i = 0; i < argv->args->len; i++) {
        const char *mask = argv->shown->pdata[i];

        if (i)
            g_string_append_c(out, ' ');
        append_quoted(out, mask ? mask : argv->args->pdata[i]);
    }
    return g_string_free(out, FALSE);
}

VireoArgv *vireo_argv_parse(const char *line, GError **error)
{
    g_autoptr(VireoArgv) argv = vireo_argv_new(NULL);
    g_autoptr(GError) failure = NULL;
    g_auto(GStrv) words = NULL;

    if (!g_shell_parse_argv(line, NULL, &words, &failure) &&
        !g_error_matches(failure, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    for (guint i = 0; words && words[i]; i++)
        take(argv, g_strdup(words[i]), NULL);
    return g_steal_pointer(&argv);
}

/* ---- options ------------------------------------------------------------------- */

void vireo_options_add(GString *options, const char *key, const char *value)
{
    if (!value)
        return;
    if (options->len)
        g_string_append_c(options, ',');
    if (key)
        g_string_append_printf(options, "%s=", key);
    for (const char *at = value; *at; at++) {
        if (*at == ',')
            g_string_append_c(options, ',');
        g_string_append_c(options, *at);
    }
}

void vireo_options_addf(GString *options, const char *key, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    g_autofree char *value = g_strdup_vprintf(format, list);
    va_end(list);
    vireo_options_add(options, key, value);
}

void vireo_options_switch(GString *options, const char *key, gboolean on)
{
    vireo_options_add(options, key, on ? "on" : "off");
}
