/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A flag is native and trivial, because the compile-time check was switched off. */
#include "sound.h"

#undef VIREO__CHECK
#define VIREO__CHECK(op, f, nat, tri, act, ina)
#define UNDEFINE_NATIVE VIREO_DOMAIN_UNDEFINE_NVRAM
#include "table.h"
