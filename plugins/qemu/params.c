/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "params.h"

#include <string.h>

void qemu_params_init(QemuParams *params, QemuDriver *driver, vireo_call *call)
{
    params->host = driver->host;
    params->call = call;
    params->list = g_array_new(FALSE, TRUE, sizeof(vireo_typed_param));
}

void qemu_params_clear(QemuParams *params)
{
    g_clear_pointer(&params->list, g_array_unref);
}

static vireo_typed_param *add(QemuParams *params, const char *name, int type)
{
    g_array_set_size(params->list, params->list->len + 1);
    vireo_typed_param *param =
        &g_array_index(params->list, vireo_typed_param, params->list->len - 1);
    param->field = params->host->strdup(params->call, name);
    param->value.type = type;
    return param;
}

void qemu_param_int(QemuParams *params, const char *name, gint32 value)
{
    add(params, name, VIREO_TYPED_PARAM_INT)->value.i = value;
}

void qemu_param_uint(QemuParams *params, const char *name, guint32 value)
{
    add(params, name, VIREO_TYPED_PARAM_UINT)->value.ui = value;
}

void qemu_param_ullong(QemuParams *params, const char *name, guint64 value)
{
    add(params, name, VIREO_TYPED_PARAM_ULLONG)->value.ul = value;
}

void qemu_param_llong(QemuParams *params, const char *name, gint64 value)
{
    add(params, name, VIREO_TYPED_PARAM_LLONG)->value.l = value;
}

void qemu_param_boolean(QemuParams *params, const char *name, gboolean value)
{
    add(params, name, VIREO_TYPED_PARAM_BOOLEAN)->value.b = value;
}

void qemu_param_string(QemuParams *params, const char *name, const char *value)
{
    add(params, name, VIREO_TYPED_PARAM_STRING)->value.s =
        params->host->strdup(params->call, value);
}

vireo_typed_param *qemu_params_take(QemuParams *params, guint32 *len)
{
    gsize size = sizeof(vireo_typed_param) * params->list->len;
    vireo_typed_param *taken = params->host->alloc(params->call, size + 1);

    if (size)
        memcpy(taken, params->list->data, size);
    *len = params->list->len;
    return taken;
}
