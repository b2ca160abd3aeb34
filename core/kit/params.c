/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/params.h"

#include <string.h>

void vireo_params_init(VireoParams *params, const struct vireo_host *host, vireo_call *call)
{
    params->host = host;
    params->call = call;
    params->list = g_array_new(FALSE, TRUE, sizeof(vireo_typed_param));
}

void vireo_params_clear(VireoParams *params)
{
    g_clear_pointer(&params->list, g_array_unref);
}

static vireo_typed_param *add(VireoParams *params, const char *name, int type)
{
    g_array_set_size(params->list, params->list->len + 1);
    vireo_typed_param *param =
        &g_array_index(params->list, vireo_typed_param, params->list->len - 1);
    param->field = params->host->strdup(params->call, name);
    param->value.type = type;
    return param;
}

void vireo_param_int(VireoParams *params, const char *name, gint32 value)
{
    add(params, name, VIREO_TYPED_PARAM_INT)->value.i = value;
}

void vireo_param_uint(VireoParams *params, const char *name, guint32 value)
{
    add(params, name, VIREO_TYPED_PARAM_UINT)->value.ui = value;
}

void vireo_param_ullong(VireoParams *params, const char *name, guint64 value)
{
    add(params, name, VIREO_TYPED_PARAM_ULLONG)->value.ul = value;
}

void vireo_param_llong(VireoParams *params, const char *name, gint64 value)
{
    add(params, name, VIREO_TYPED_PARAM_LLONG)->value.l = value;
}

void vireo_param_boolean(VireoParams *params, const char *name, gboolean value)
{
    add(params, name, VIREO_TYPED_PARAM_BOOLEAN)->value.b = value;
}

void vireo_param_string(VireoParams *params, const char *name, const char *value)
{
    add(params, name, VIREO_TYPED_PARAM_STRING)->value.s =
        params->host->strdup(params->call, value);
}

vireo_typed_param *vireo_params_take(VireoParams *params, guint32 *len)
{
    gsize size = sizeof(vireo_typed_param) * params->list->len;
    vireo_typed_param *taken = params->host->alloc(params->call, size + 1);

    if (size)
        memcpy(taken, params->list->data, size);
    *len = params->list->len;
    return taken;
}
