/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/uuid.h"

void vireo_uuid_format(const guint8 uuid[16], char text[VIREO_UUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    char *at = text;

    for (guint i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = digits[uuid[i] >> 4];
        *at++ = digits[uuid[i] & 15];
    }
    *at = '\0';
}

gboolean vireo_uuid_parse(const char *text, guint8 uuid[16])
{
    guint n = 0;

    for (; *text; text++) {
        int digit = g_ascii_xdigit_value(*text);

        if (*text == '-')
            continue;
        if (digit < 0 || n == 32)
            return FALSE;
        uuid[n / 2] = n % 2 ? (guint8)(uuid[n / 2] | digit) : (guint8)(digit << 4);
        n++;
    }
    return n == 32;
}
