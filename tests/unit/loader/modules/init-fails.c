/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"

VIREO_DRIVER(initfails, "1", "initfails", VIREO_SERIAL, BASE_OPS, failing_init, base_fini)
