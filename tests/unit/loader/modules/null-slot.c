/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"

#define OPS(X)                                                                                     \
    BASE_OPS(X)                                                                                    \
    X(domain_undefine_flags, 0, 0, 0, 0, 0)
MODULE(nullslot, OPS)
