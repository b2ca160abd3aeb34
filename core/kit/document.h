/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kit/model.h"

G_BEGIN_DECLS

/* What drivers of other people's hypervisors say about documents in the same words. */

/* CONFIG_UNSUPPORTED, with the line of the domain document. Returns FALSE. */
gboolean vireo_refuse(GError **error, guint line, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* A snapshot of which a hypervisor tells no more than this. */
typedef struct {
    const char *name;
    const char *description; /* NULL and "": none */
    const char *parent;      /* NULL: a root */
    VireoDomainSnapshotState state;
    gint64 created;          /* seconds since 1970 */
    guint8 uuid[16];         /* the domain's */
    const char *domain;      /* its name; NULL: not told */
    VireoDomainVirt type;    /* its type; 0: not told. Only with both can the document be read again */
} VireoPlainSnapshot;
/* The document; caller frees. */
char *vireo_plain_snapshot_format(const VireoPlainSnapshot *snapshot);

G_END_DECLS
