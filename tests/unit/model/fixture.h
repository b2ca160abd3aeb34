/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "model/documents.h"

/* A small valid domain with @more inside <devices> or, when it starts with '^', beside it. */
static inline char *fixture_domain(const char *more)
{
    gboolean beside = more[0] == '^';

    return g_strdup_printf("<domain type='kvm'>\n"
                           "  <name>one</name>\n"
                           "  <memory unit='MiB'>64</memory>\n"
                           "  <vcpu>1</vcpu>\n"
                           "  <os><type arch='x86_64'>hvm</type></os>\n"
                           "%s\n"
                           "  <devices>%s</devices>\n"
                           "</domain>\n",
                           beside ? more + 1 : "", beside ? "" : more);
}

/* The @more of fixture_domain() stands on this line when beside, on the next when inside. */
#define FIXTURE_LINE_BESIDE ":6:"
#define FIXTURE_LINE_INSIDE ":7:"

/* @xml is refused with @code and a message that holds all of @parts, which end with NULL. */
static inline void fixture_refused(const char *xml, guint flags, int code, const char *const *parts)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDomain) domain = vireo_domain_parse(xml, flags, &error);

    g_assert_null(domain);
    g_assert_error(error, VIREO_ERROR, code);
    for (; *parts; parts++)
        if (!strstr(error->message, *parts))
            g_error("'%s' is not in '%s'", *parts, error->message);
}
