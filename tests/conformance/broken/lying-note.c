/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The note, which the daemon reads first, is silent on the trivial flags of the table. */
#include "sound.h"

#undef VIREO__NOTE
#define VIREO__NOTE(op, f, nat, tri, act, ina) \
    { VIREO_OP_##op, VIREO__64(nat), VIREO__64(0), VIREO__64(act), VIREO__64(ina) },
#include "table.h"
