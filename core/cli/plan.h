/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/cli.h"

void vireo_cli_plan_print(const vireo_plan *plan);
/* The caller owns it. */
JsonObject *vireo_cli_plan_object(const vireo_plan *plan);
