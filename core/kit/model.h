/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The XML model for drivers: documents as structs, and the error domain they are refused with. */
#include "model/documents.h"
#include "util/error.h"
