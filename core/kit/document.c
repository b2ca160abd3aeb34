/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/document.h"

#include <string.h>

gboolean vireo_refuse(GError **error, guint line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VIREO_ERROR, VIREO_ERROR_CONFIG_UNSUPPORTED, "(domain_definition):%u: %s", line, text);
    return FALSE;
}

char *vireo_plain_snapshot_format(const VireoPlainSnapshot *snapshot)
{
    VireoDomain domain = { .type = snapshot->type, .name = (char *)snapshot->domain, .has_uuid = TRUE };
    VireoDomainSnapshotParent parent = { .name = (char *)snapshot->parent };
    VireoDomainSnapshot doc = {
        .name = (char *)snapshot->name,
        .description = snapshot->description && *snapshot->description ? (char *)snapshot->description : NULL,
        .state = snapshot->state,
        .parent = snapshot->parent ? &parent : NULL,
        .has_creation_time = TRUE,
        .creation_time = snapshot->created,
        .domain = &domain,
    };

    memcpy(domain.uuid, snapshot->uuid, sizeof domain.uuid);
    return vireo_domain_snapshot_format(&doc, 0);
}
