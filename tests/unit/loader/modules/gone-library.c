/* SPDX-License-Identifier: LGPL-2.1-or-later */
int library_that_goes_missing(void);
__attribute__((visibility("default"))) int library_that_goes_missing(void)
{
    return 0;
}
