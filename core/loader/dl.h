/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <vireo/driver.h>

/*
 * Links a module into the process, for good: nothing is ever unlinked. FALSE with the dynamic
 * linker's own words (the undefined symbol, the missing library), or TRUE with the module's driver
 * struct, NULL when it does not export the entry function. Calls from several threads follow each
 * other. The path is absolute and has been checked by vireo_scan_dir.
 */
gboolean vireo_link_module(const char *path, const struct vireo_driver **ret, GError **error);
