/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lifecycle events as they follow from what was published before and what is published now. */
#pragma once

#include "objects/object.h"

typedef struct {
    gint32 event, detail; /* VIREO_DOMAIN_EVENT_... */
} VireoLifecycle;

#define VIREO_LIFECYCLE_MOST 4

/* before NULL: a new object; after NULL: withdrawn. Returns how many were written. */
guint vireo_lifecycle_of_domain(const VireoObject *before, const VireoObject *after,
                                VireoLifecycle events[VIREO_LIFECYCLE_MOST]);
