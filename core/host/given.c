/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/given.h"

#include <string.h>

gboolean vireo_given_copy(gpointer to, gsize size, gsize least, gconstpointer given)
{
    guint32 told;

    memcpy(&told, given, sizeof told);
    if (told < least)
        return FALSE;
    memset(to, 0, size);
    memcpy(to, given, MIN(size, told));
    return TRUE;
}
