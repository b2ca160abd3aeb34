/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"
#define vireo_driver_entry_1 true_entry

#define OPS(X)                                                                                     \
    BASE_OPS(X)                                                                                    \
    UNDEFINE(X, VIREO_DOMAIN_UNDEFINE_NVRAM, 0, 0, 0)
MODULE(mask, OPS)
#undef vireo_driver_entry_1

OTHER_TABLE(ops[2].native |= VIREO_DOMAIN_UNDEFINE_TPM)
