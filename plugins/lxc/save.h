/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Containers with their memory, in files: one line of JSON, the definition, then what CRIU made, file by file. */
#pragma once

#include "driver.h"

/* ---- save_file.c ----------------------------------------------------------------------------- */

typedef struct LxcSaved LxcSaved;

/* Makes path of what is in the directory images. */
gboolean lxc_saved_write(const char *path, const char *images, const char *xml, gboolean running, GError **error);
LxcSaved *lxc_saved_open(const char *path, GError **error);
void lxc_saved_close(LxcSaved *saved);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LxcSaved, lxc_saved_close)
const char *lxc_saved_xml(const LxcSaved *saved);
gboolean lxc_saved_running(const LxcSaved *saved);
/* Fills the directory images, which is made. */
gboolean lxc_saved_unpack(LxcSaved *saved, const char *images, GError **error);
/* A directory of files, and what is in it. */
void lxc_saved_remove_images(const char *images);

/* ---- save.c: with the domain's job ----------------------------------------------------------- */

/* Starts a stored domain: from its managed save image, where it has one. */
gboolean lxc_domain_boot(LxcDomain *dom, gboolean afresh, GError **error);
gboolean lxc_managed_drop(LxcDomain *dom, GError **error);
/* Whether there is a managed save image. */
gboolean lxc_managed_is_there(LxcDomain *dom);

/* ---- criu.c ---------------------------------------------------------------------------------- */

/* Why containers cannot be saved here; NULL: they can. Caller frees. */
char *lxc_criu_trouble(LxcDriver *driver);
