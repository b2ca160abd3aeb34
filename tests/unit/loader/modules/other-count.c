/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"
#define vireo_driver_entry_1 true_entry

#define OPS(X)                                                                                     \
    BASE_OPS(X)                                                                                    \
    UNDEFINE(X, 0, 0, 0, 0)
MODULE(count, OPS)
#undef vireo_driver_entry_1

OTHER_TABLE(driver.n_ops = 2)
