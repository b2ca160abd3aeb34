/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A row for an event, as if a driver could be asked for one. */
#include "sound.h"

#define VIREO_OP_not_a_call    VIREO_EVENT_domain_event_lifecycle
#define VIREO_FLAGS_not_a_call 0
#undef VIREO__FN
#define VIREO__FN(op, f) { .any = (void (*)(void))(f) }
#define MORE_ROWS(X) X(not_a_call, sound_close, 0, 0, 0, 0)
#include "table.h"
