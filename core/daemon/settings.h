/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How each driver is run: sections [driver NAME] of vireod.conf, and default_isolation. */
#pragma once

#include "daemon/isolate.h"

typedef struct VireoSettings VireoSettings;

VireoSettings *vireo_settings_new(void);
VireoSettings *vireo_settings_ref(VireoSettings *settings);
void vireo_settings_unref(VireoSettings *settings); /* NULL allowed */

/* Whether the text says "process"; FALSE when it does not say "in-process" either. */
gboolean vireo_settings_read_isolation(const char *text, gboolean *process);
/* What holds for drivers without a setting of their own. */
void vireo_settings_set_default(VireoSettings *settings, gboolean process);
/* Sets a key of a driver's section; NULL, or what is wrong with it (free with g_free). */
char *vireo_settings_set(VireoSettings *settings, const char *driver, const char *key,
                         const char *text);
/* Of a driver; lives as long as the settings. */
const VireoDriverSettings *vireo_settings_of(VireoSettings *settings, const char *driver);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VireoSettings, vireo_settings_unref)
