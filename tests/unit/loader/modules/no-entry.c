/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"
#define vireo_driver_entry_1 entry_under_another_name

MODULE(noentry, BASE_OPS)
