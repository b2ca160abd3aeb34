/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define VIREO_ABI_TARGET 0
#include "base.h"
#undef VIREO_ABI_MAJOR
#define VIREO_ABI_MAJOR 2

MODULE(major, BASE_OPS)
