/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base.h"

#define OPS(X) X(conn_close, base_close, 0, 0, 0, 0)
MODULE(lacksopen, OPS)
