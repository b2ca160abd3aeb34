/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"
#define vireo_driver_entry_1 true_entry

MODULE(otherop, BASE_OPS)
#undef vireo_driver_entry_1

OTHER_TABLE(ops[1].id = VIREO_OP_domain_create)
