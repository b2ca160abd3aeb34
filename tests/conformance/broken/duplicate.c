/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One operation has two rows. */
#include "sound.h"

#define MORE_ROWS(X) X(domain_get_info, sound_info, 0, 0, 0, 0)
#include "table.h"
