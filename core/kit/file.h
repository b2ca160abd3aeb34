/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Durable files, and paths that others could bend; shared with the daemon. */
#include "util/file.h"
