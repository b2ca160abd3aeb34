/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Command lines of programs that are run without a shell. Not locked: one thread at a time. */
typedef struct VireoArgv VireoArgv;

/* program: the first argument, may be NULL. */
VireoArgv *vireo_argv_new(const char *program);
void vireo_argv_free(VireoArgv *argv);

/* Arguments as they are, ended by NULL. */
void vireo_argv_add(VireoArgv *argv, ...) G_GNUC_NULL_TERMINATED;
/* One argument; with option, the option in front of it as an argument of its own. */
void vireo_argv_addf(VireoArgv *argv, const char *option, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* The same, text is taken. */
void vireo_argv_take(VireoArgv *argv, const char *option, char *text);
/* One argument made of prefix and secret; vireo_argv_show writes "*****" for the secret. Other users
 * of the host see it as long as the program runs: a descriptor is better where there is a choice. */
void vireo_argv_add_secret(VireoArgv *argv, const char *prefix, const char *secret);

guint vireo_argv_length(const VireoArgv *argv);
/* NULL terminated, owned by argv, valid until the next change. */
const char *const *vireo_argv_get(const VireoArgv *argv);
/* As one line that a shell would take apart again, without secrets: for logs. Caller frees. */
char *vireo_argv_show(const VireoArgv *argv);
/* Takes a line apart as a shell would, without expanding anything. An empty line has no arguments.
 * Errors are G_SHELL_ERROR. */
VireoArgv *vireo_argv_parse(const char *line, GError **error);

/* Strings of options, "driver,key=value,key=value", as QEMU and its tools read them: a comma inside
 * a value is doubled. key NULL: the value alone, for the first one. NULL as value: left out. */
void vireo_options_add(GString *options, const char *key, const char *value);
void vireo_options_addf(GString *options, const char *key, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* key=on or key=off */
void vireo_options_switch(GString *options, const char *key, gboolean on);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoArgv, vireo_argv_free)

G_END_DECLS
