/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Modules of the major before this one. An adapter turns what their entry function returns into today's
 * struct vireo_driver; docs/abi-policy.md says when there is one, and what it does.
 */
#pragma once

#include <glib.h>
#include <vireo/driver.h>

#define VIREO_ENTRY "vireo_driver_entry_1" /* the name carries VIREO_ABI_MAJOR */

typedef struct {
    guint major, minor; /* the last minor of that major */
    const char *entry;  /* the name of its entry function */
    /* For what that returned, never NULL: a driver whose numbers, names, rows and masks are those of its
     * note, and whose functions have today's signatures. Lives as long as the process. NULL with error. */
    const struct vireo_driver *(*adapt)(gconstpointer theirs, GError **error);
} VireoAdapter;

/* NULL: there is none. Alone in adapter.c, so that a test can be linked with another. */
extern const VireoAdapter *const vireo_adapter;

/* The adapter for modules of that major, or NULL. */
static inline const VireoAdapter *vireo_adapter_for(guint major)
{
    gboolean previous = major + 1 == VIREO_ABI_MAJOR;

    return previous && vireo_adapter && vireo_adapter->major == major ? vireo_adapter : NULL;
}
