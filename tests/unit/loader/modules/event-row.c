/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A row for what cannot be called. */
#include "base.h"
#define VIREO_OP_not_a_call    VIREO_EVENT_domain_event_lifecycle
#define VIREO_FLAGS_not_a_call 0
#undef VIREO__FN
#define VIREO__FN(op, f)                                                                           \
    {                                                                                              \
        .any = (void (*)(void))(f)                                                                 \
    }

#define OPS(X)                                                                                     \
    BASE_OPS(X)                                                                                    \
    X(not_a_call, base_close, 0, 0, 0, 0)
MODULE(eventrow, OPS)
