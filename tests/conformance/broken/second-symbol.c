/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sound.h"

int helper_of_mine(void);
__attribute__((visibility("default"))) int helper_of_mine(void)
{
    return 1;
}
#include "table.h"
