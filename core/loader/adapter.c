/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/adapter.h"

/* There is no major before the first. */
const VireoAdapter *const vireo_adapter = NULL;
