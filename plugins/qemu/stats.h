/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* A disk by target or by the path of its image; fails with INVALID_ARG. */
const VireoDomainDisk *qemu_find_disk(const VireoDomain *doc, const char *name, GError **error);
