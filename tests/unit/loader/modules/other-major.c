/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"
#undef VIREO_ABI_MAJOR
#define VIREO_ABI_MAJOR 2

MODULE(major, BASE_OPS)
