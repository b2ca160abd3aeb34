/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"

#define OPS(X)                                                                                     \
    BASE_OPS(X)                                                                                    \
    UNDEFINE(X, VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE, VIREO_DOMAIN_UNDEFINE_NVRAM,                   \
             VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE, 0)
MODULE(good, OPS)
