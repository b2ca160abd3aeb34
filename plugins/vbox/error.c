/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes wrong there, in the words and numbers of clients here. */
#include "driver.h"

#include <string.h>

static const struct {
    guint32 result;
    int code;
} codes[] = {
    {0x80bb0002u, VIREO_ERR_OPERATION_INVALID}, /* state of the machine */
    {0x80bb0007u, VIREO_ERR_OPERATION_INVALID}, /* state of an object */
    {0x80bb0009u, VIREO_ERR_OPERATION_UNSUPPORTED}, {0x80bb000cu, VIREO_ERR_RESOURCE_BUSY},
    {0x80004001u, VIREO_ERR_OPERATION_UNSUPPORTED}, {0x80070005u, VIREO_ERR_OPERATION_DENIED},
    {0x80070057u, VIREO_ERR_INVALID_ARG},
};

#define E_ABORT 0x80004004u

void vbox_error_from_result(GError **error, guint32 result, const char *text)
{
    int code = VIREO_ERR_OPERATION_FAILED;

    if (result == E_ABORT)
        text = "the web service of VirtualBox has lost VBoxSVC, which has ended: it has to be started again";

    for (guint i = 0; i < G_N_ELEMENTS(codes); i++)
        if (codes[i].result == result)
            code = codes[i].code;
    if (text && *text)
        g_set_error(error, VIREO_ERROR, code, "%s", text);
    else
        g_set_error(error, VIREO_ERROR, code, "VirtualBox fails with 0x%08x and says no more", result);
}

guint32 vbox_error_result(const GError *error)
{
    const VireoSoapFault *fault = error ? vireo_soap_fault(error) : NULL;
    const VwRuntimeFault *detail = fault ? vireo_soap_value_struct(fault->detail, &vw_runtime_fault_type) : NULL;

    return detail ? (guint32)detail->result_code : 0;
}

/* "VirtualBox error: apirc=0x80bb0001 Could not find ... (0x80bb0001)": what stands between the numbers. */
static char *plain_text(const char *text)
{
    const char *number = strstr(text, "rc=0x"), *begin = number ? strchr(number, ' ') : NULL;
    char *plain = g_strdup(begin ? begin + 1 : text), *end = strrchr(plain, '(');

    if (end && g_str_has_prefix(end, "(0x"))
        *end = 0;
    return g_strstrip(plain);
}

void vbox_error_translate(GError **error)
{
    const VireoSoapFault *fault = *error ? vireo_soap_fault(*error) : NULL;
    guint32 result = vbox_error_result(*error);
    GError *made = NULL;

    if (!fault)
        return;
    g_autofree char *text = plain_text(fault->text);
    if (result)
        vbox_error_from_result(&made, result, text);
    else
        g_set_error(&made, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED, "%s",
                    *text ? text : "the web service of VirtualBox says no more than that it failed");
    g_error_free(*error);
    *error = made;
}

int vbox_error_number(GError **error)
{
    vbox_error_translate(error);
    return (*error)->domain == VIREO_HTTP_ERROR ? vireo_http_error_number(*error)
           : (*error)->domain == VIREO_ERROR    ? (*error)->code
                                                : VIREO_ERR_OPERATION_FAILED;
}

int vbox_fail(VboxDriver *driver, vireo_call *call, GError *error)
{
    int code = vbox_error_number(&error);
    int status = driver->host->fail(call, code, "%s", error->message);

    g_error_free(error);
    return status;
}
