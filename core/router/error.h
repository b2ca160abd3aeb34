/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A failure in the shape in which it crosses the wire. */
#pragma once

#include "router/router.h"

/* The error domain (VIREO_FROM_...) that belongs to a driver's name; VIREO_FROM_NONE when unknown. */
gint vireo_error_domain(const char *driver);
/* Fills in a wire error; the strings live in the arena. `detail` gets its code's usual lead-in. */
void vireo_error_fill(vireo_error *wire, VireoArena *arena, gint code, gint domain, const char *detail);
