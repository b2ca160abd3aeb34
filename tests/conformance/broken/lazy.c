/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linked without -z now; the rest is as it should be. */
#include "sound.h"

#include "table.h"
