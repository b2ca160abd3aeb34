/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kit/model.h"

G_BEGIN_DECLS

/* Names and addresses of disks on numbered places. */

/* "sd" and 27: "sdab". Caller frees. */
char *vireo_disk_name(const char *prefix, guint index);
/* "sdb" is 1. -1: no name of a disk with that prefix. */
int vireo_disk_number(const char *target, const char *prefix);
/* An address of type drive; the model frees it. */
VireoDeviceAddress *vireo_disk_address(guint controller, guint bus, guint unit);

G_END_DECLS
