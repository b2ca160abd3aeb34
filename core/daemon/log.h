/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's log. Levels are numbered as in the settings: 1 debug, 2 info, 3 warning, 4 error.
 * Outputs and filters are written as libvirt's administrators know them:
 *   outputs  "LEVEL:stderr LEVEL:journald LEVEL:syslog:IDENT LEVEL:file:/PATH"
 *   filters  "LEVEL:WHERE ..."; WHERE is a driver's name, or another word that messages begin with
 * All functions may be called from any thread.
 */
#pragma once

#include <glib.h>

enum {
    VIREO_LOG_LEVEL_DEBUG = 1,
    VIREO_LOG_LEVEL_INFO,
    VIREO_LOG_LEVEL_WARNING,
    VIREO_LOG_LEVEL_ERROR
};

/* Takes over GLib's log. Until outputs are set it goes to stderr, or the journal when stderr does.
 * ident: the name in the system log; must live as long as the process. */
void vireo_log_start(const char *ident);

/* "debug" ... "error" or a number; 0 when it is neither. */
int vireo_log_level_parse(const char *text);
void vireo_log_set_level(int level);

/* NULL or "": the default. On failure nothing changes. */
gboolean vireo_log_set_outputs(const char *outputs, GError **error);
gboolean vireo_log_set_filters(const char *filters, GError **error);
/* Free with g_free; *n gets the number of entries. */
char *vireo_log_get_outputs(guint *n);
char *vireo_log_get_filters(guint *n);
/* Opens files again, after a rotation. */
void vireo_log_reopen(void);
