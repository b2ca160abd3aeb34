/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes wrong there, in the numbers of clients here. */
#include "driver.h"

static const struct {
    guint32 number;
    int code;
} codes[] = {
    {5, VIREO_ERR_OPERATION_DENIED},          {32769, VIREO_ERR_OPERATION_DENIED},
    {32770, VIREO_ERR_OPERATION_UNSUPPORTED}, {32772, VIREO_ERR_OPERATION_TIMEOUT},
    {32773, VIREO_ERR_INVALID_ARG},           {32774, VIREO_ERR_RESOURCE_BUSY},
    {32775, VIREO_ERR_OPERATION_INVALID},     {32778, VIREO_ERR_NO_MEMORY},
    {2150858793u, VIREO_ERR_OPERATION_TIMEOUT},
};

static int code_of(const GError *error)
{
    guint32 number = vireo_wsman_error_number(error);

    if (error->domain == VIREO_HTTP_ERROR)
        return vireo_http_error_number(error);
    if (error->domain == VIREO_ERROR)
        return error->code;
    for (guint i = 0; i < G_N_ELEMENTS(codes); i++)
        if (codes[i].number == number)
            return codes[i].code;
    return error->code == VIREO_WSMAN_ERROR_ANSWER ? VIREO_ERR_HTTP_ERROR : VIREO_ERR_OPERATION_FAILED;
}

int hyperv_fail(HypervDriver *driver, vireo_call *call, GError *error)
{
    g_autoptr(GError) given = error;

    return driver->host->fail(call, code_of(given), "%s", given->message);
}
