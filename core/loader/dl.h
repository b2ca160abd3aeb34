/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * Links a module into the process, for good: nothing is ever unlinked. FALSE with the dynamic
 * linker's own words (the undefined symbol, the missing library), or TRUE with what its entry function
 * of that name returns, NULL when it does not export it. Calls from several threads follow each
 * other. The path is absolute and has been checked by vireo_scan_dir.
 */
gboolean vireo_link_module(const char *path, const char *entry, gconstpointer *ret, GError **error);
