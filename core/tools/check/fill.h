/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arguments for a call of any operation. */
#pragma once

#include "tools/check/session.h"

#define CHECK_DOMAIN         "vireo-check-1" /* the domain that the walk is about */
#define CHECK_CANCEL_SECONDS 10

typedef enum { ABOUT_BOGUS, ABOUT_STOPPED, ABOUT_RUNNING, ABOUT_N } CheckAbout;

gboolean check_is_about_domain(const VireoOp *op);
gboolean check_has_objects(const VireoOp *op);
/* Zeroes, with a text in every string that must not be NULL; its object is CHECK_DOMAIN, or one that
 * does not exist. */
void check_fill(Session *session, vireo_call *call, const VireoOp *op, CheckAbout about);
/* The same about a domain of that name. */
void check_fill_domain(Session *session, vireo_call *call, const VireoOp *op, const char *name);
