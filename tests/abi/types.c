/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nothing but the ABI's types: libabigail reads them out of the debug information of this module. */
#include <vireo/driver.h>

__attribute__((visibility("default"))) const struct vireo_driver *vireo_driver_entry_1(void);

const struct vireo_driver *vireo_driver_entry_1(void)
{
    return 0;
}
