/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define VIREO_ABI_TARGET 7
#include "base.h"

MODULE(target, BASE_OPS)
