/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"

#include <stdarg.h>

void lxc_error(GError **error, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    GError *made = g_error_new_valist(VIREO_ERROR, code, format, args);
    va_end(args);
    g_propagate_error(error, made);
}

int lxc_fail(LxcDriver *driver, vireo_call *call, const GError *error)
{
    int code = error->domain == VIREO_ERROR    ? error->code
               : error->domain == G_FILE_ERROR ? VIREO_ERR_SYSTEM_ERROR
                                               : VIREO_ERR_INTERNAL_ERROR;

    return driver->host->fail(call, code, "%s", error->message);
}
