/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <vireo/driver.h>

#include "kit/model.h"

G_BEGIN_DECLS

/* Title, description and other people's elements in a definition. type: VIREO_DOMAIN_METADATA_*. */

/* NULL: there is none. An element is returned without the namespace uri, as it was once given. Caller frees. */
char *vireo_metadata_get(const VireoDomain *doc, int type, const char *uri);
/* Errors are of VIREO_ERROR. */
gboolean vireo_metadata_set(VireoDomain *doc, const vireo_domain_set_metadata_args *args, GError **error);

G_END_DECLS
