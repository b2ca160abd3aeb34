/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"

#include <stdarg.h>

void qemu_error(GError **error, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    GError *made = g_error_new_valist(VIREO_ERROR, code, format, args);
    va_end(args);
    g_propagate_error(error, made);
}

void qemu_refuse(GError **error, int code, const char *instead, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    qemu_error(error, code, "%s; instead: %s", what, instead);
}

static int error_code(const GError *error)
{
    if (error->domain == VIREO_ERROR)
        return error->code;
    if (error->domain == G_FILE_ERROR)
        return VIREO_ERR_SYSTEM_ERROR;
    if (error->domain != VIREO_QMP_ERROR)
        return VIREO_ERR_INTERNAL_ERROR;
    switch (error->code) {
    case VIREO_QMP_ERROR_TIMEOUT:
        return VIREO_ERR_OPERATION_TIMEOUT;
    case VIREO_QMP_ERROR_CANCELLED:
        return VIREO_ERR_OPERATION_ABORTED;
    case VIREO_QMP_ERROR_CLOSED:
        return VIREO_ERR_OPERATION_FAILED;
    default:
        return VIREO_ERR_INTERNAL_ERROR;
    }
}

int qemu_fail(QemuDriver *driver, vireo_call *call, const GError *error)
{
    if (!error)
        return driver->host->fail(call, VIREO_ERR_INTERNAL_ERROR, "no reason was recorded");
    return driver->host->fail(call, error_code(error), "%s", error->message);
}
