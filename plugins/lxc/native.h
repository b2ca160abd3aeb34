/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Definitions as liblxc wants them. */
#pragma once

#include "driver.h"

/* The configuration of a container that is about to start. doc: what will run, with the names of its host interfaces.
 * Errors are those of a document. Caller frees. */
char *lxc_native_config(LxcDomain *dom, const VireoDomain *doc, GError **error);
/* "b 8:0" of a device node. NULL: it is none. Caller frees. */
char *lxc_native_device(const char *path, GError **error);
/* Where the container's control groups are, below liblxc's base. Caller frees. */
char *lxc_native_cgroup(const LxcDomain *dom, const VireoDomain *doc);
