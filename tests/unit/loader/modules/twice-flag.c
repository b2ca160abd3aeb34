/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"
#undef VIREO__CHECK
#define VIREO__CHECK(op, f, nat, tri, act, ina)

#define OPS(X)                                                                                     \
    BASE_OPS(X)                                                                                    \
    UNDEFINE(X, VIREO_DOMAIN_UNDEFINE_NVRAM, VIREO_DOMAIN_UNDEFINE_NVRAM, 0, 0)
MODULE(twiceflag, OPS)
