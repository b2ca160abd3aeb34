/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Uses an operation and a flag of a core that does not exist yet. */
#include "base.h"
#define VIREO_OP_operation_of_tomorrow    0x7abc
#define VIREO_FLAGS_operation_of_tomorrow 0
#undef VIREO_FLAGS_domain_undefine_flags
#define VIREO_FLAGS_domain_undefine_flags UINT64_MAX
#undef VIREO__FN
#define VIREO__FN(op, f)                                                                           \
    {                                                                                              \
        .any = (void (*)(void))(f)                                                                 \
    }

#define OPS(X)                                                                                     \
    BASE_OPS(X)                                                                                    \
    X(operation_of_tomorrow, base_close, 0, 0, 0, 0)                                               \
    UNDEFINE(X, VIREO_DOMAIN_UNDEFINE_NVRAM | 0x40000000u, 0, 0x40000000u, 0)
MODULE(future, OPS)
