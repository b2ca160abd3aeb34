/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"

#define OPS(X)                                                                                     \
    BASE_OPS(X)                                                                                    \
    UNDEFINE(X, 0, 0, 0, 0)                                                                        \
    UNDEFINE(X, 0, 0, 0, 0)
MODULE(duplicate, OPS)
