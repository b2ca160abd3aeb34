/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Room for a UUID as text, with its NUL. */
#define VIREO_UUID_TEXT 37

/* Writes 36 characters and a NUL. */
void vireo_uuid_format(const guint8 uuid[16], char text[VIREO_UUID_TEXT]);
/* Reads hexadecimal digits with any hyphens between them. */
gboolean vireo_uuid_parse(const char *text, guint8 uuid[16]);

G_END_DECLS
