/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host, as clients ask for it. */
#include "ops.h"

#include "kit/answer.h"

VIREO_ANSWER_NODE(qemu, qemu_conn(handle)->driver->host)
