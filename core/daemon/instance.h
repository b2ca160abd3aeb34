/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that say which process has something for itself: a daemon its paths, or a driver. */
#pragma once

#include <glib.h>

/* Takes the file's lock and writes the pid into it, and a title; the descriptor keeps it. -1:
 * another process has it, which the error names. */
int vireo_instance_lock(const char *path, const char *title, GError **error);
/* Gives it back and removes the file; -1: there is nothing to give back. */
void vireo_instance_unlock(const char *path, int fd);
/* Which process has it: "process 123 (vireod)", free with g_free; NULL: none. The lock is not touched. */
char *vireo_instance_holder(const char *path);
