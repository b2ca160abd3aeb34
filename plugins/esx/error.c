/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes wrong there, in the words and numbers of clients here. */
#include "driver.h"

#include <string.h>

static const struct {
    const char *fault;
    int code;
} codes[] = {
    { "InvalidLogin", VIREO_ERR_AUTH_FAILED },
    { "NoPermission", VIREO_ERR_OPERATION_DENIED },
    { "NotAuthenticated", VIREO_ERR_AUTH_FAILED },
    { "InvalidPowerState", VIREO_ERR_OPERATION_INVALID },
    { "InvalidState", VIREO_ERR_OPERATION_INVALID },
    { "ToolsUnavailable", VIREO_ERR_AGENT_UNRESPONSIVE },
    { "TaskInProgress", VIREO_ERR_RESOURCE_BUSY },
    { "ConcurrentAccess", VIREO_ERR_RESOURCE_BUSY },
    { "RequestCanceled", VIREO_ERR_OPERATION_ABORTED },
    { "ManagedObjectNotFound", VIREO_ERR_OPERATION_FAILED },
    { "FileNotFound", VIREO_ERR_NO_STORAGE_VOL },
    { "FileAlreadyExists", VIREO_ERR_STORAGE_VOL_EXIST },
    { "NotSupported", VIREO_ERR_OPERATION_UNSUPPORTED },
    { "MethodNotFound", VIREO_ERR_OPERATION_UNSUPPORTED },
    { "RestrictedVersion", VIREO_ERR_OPERATION_DENIED },
    { "InvalidArgument", VIREO_ERR_INVALID_ARG },
    { "DuplicateName", VIREO_ERR_DOM_EXIST },
};

static int code_of_fault(const char *type)
{
    for (guint i = 0; i < G_N_ELEMENTS(codes); i++)
        if (g_str_equal(codes[i].fault, type))
            return codes[i].code;
    return VIREO_ERR_OPERATION_FAILED;
}

static const char *power_name(int state)
{
    const char *name = vireo_soap_enum_name(&vim_virtual_machine_power_state_names, state);

    return name ? name : "in an unknown state";
}

void esx_error_from_fault(GError **error, const char *type, const char *text, const VireoSoapValue *detail)
{
    VimInvalidPowerState *power = vireo_soap_value_struct(detail, &vim_invalid_power_state_type);
    int code = code_of_fault(type);

    if (power)
        g_set_error(error, VIREO_ERROR, code, "the machine is %s", power_name(power->existing_state));
    else if (text && *text && !strstr(text, type))
        g_set_error(error, VIREO_ERROR, code, "%s (%s)", text, type);
    else
        g_set_error(error, VIREO_ERROR, code, "the server answers %s", *type ? type : text);
}

int esx_error_number(const GError *error, char **text)
{
    g_autoptr(GError) made = NULL;
    const VireoSoapFault *fault = vireo_soap_fault(error);

    if (fault)
        esx_error_from_fault(&made, fault->type, fault->text, fault->detail);
    *text = g_strdup(made ? made->message : error->message);
    return made                                ? made->code
           : error->domain == VIREO_HTTP_ERROR ? vireo_http_error_number(error)
           : error->domain == VIREO_ERROR      ? error->code
                                               : VIREO_ERR_OPERATION_FAILED;
}

int esx_fail(EsxDriver *driver, vireo_call *call, GError *error)
{
    g_autoptr(GError) given = error;
    g_autofree char *text = NULL;
    int code = esx_error_number(given, &text);

    return driver->host->fail(call, code, "%s", text);
}
