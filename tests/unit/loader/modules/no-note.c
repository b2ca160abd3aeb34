/* SPDX-License-Identifier: LGPL-2.1-or-later */
int just_a_library(void);
__attribute__((visibility("default"))) int just_a_library(void)
{
    return 1;
}
