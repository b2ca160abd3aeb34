/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "params.h"

#include <string.h>

static vireo_typed_param_value *add(TestParams *params, const char *name, int type)
{
    vireo_typed_param *at;

    if (params->len == params->room) {
        guint room = params->room ? params->room * 2 : 16;
        vireo_typed_param *bigger = NEW(params->call, vireo_typed_param, room);

        if (params->len)
            memcpy(bigger, params->val, params->len * sizeof *bigger);
        params->val = bigger;
        params->room = room;
    }
    at = &params->val[params->len++];
    at->field = DUP(params->call, name);
    at->value.type = type;
    return &at->value;
}

void test_params_int(TestParams *params, const char *name, gint32 value)
{
    add(params, name, VIREO_TYPED_PARAM_INT)->i = value;
}

void test_params_uint(TestParams *params, const char *name, guint32 value)
{
    add(params, name, VIREO_TYPED_PARAM_UINT)->ui = value;
}

void test_params_ullong(TestParams *params, const char *name, guint64 value)
{
    add(params, name, VIREO_TYPED_PARAM_ULLONG)->ul = value;
}

void test_params_llong(TestParams *params, const char *name, gint64 value)
{
    add(params, name, VIREO_TYPED_PARAM_LLONG)->l = value;
}

void test_params_boolean(TestParams *params, const char *name, gboolean value)
{
    add(params, name, VIREO_TYPED_PARAM_BOOLEAN)->b = value;
}

void test_params_string(TestParams *params, const char *name, const char *value)
{
    add(params, name, VIREO_TYPED_PARAM_STRING)->s = DUP(params->call, value);
}

gboolean test_params_signed(const vireo_typed_param *val, guint len, const char *name,
                            gint64 *number)
{
    for (guint i = 0; i < len; i++) {
        const vireo_typed_param_value *value = &val[i].value;

        if (strcmp(val[i].field, name) != 0)
            continue;
        if (value->type == VIREO_TYPED_PARAM_INT)
            *number = value->i;
        else if (value->type == VIREO_TYPED_PARAM_UINT)
            *number = value->ui;
        else if (value->type == VIREO_TYPED_PARAM_LLONG)
            *number = value->l;
        else if (value->type == VIREO_TYPED_PARAM_ULLONG)
            *number = (gint64)value->ul;
        else
            return FALSE;
        return TRUE;
    }
    return FALSE;
}

gboolean test_params_number(const vireo_typed_param *val, guint len, const char *name,
                            guint64 *number)
{
    gint64 value;

    if (!test_params_signed(val, len, name, &value) || value < 0)
        return FALSE;
    *number = (guint64)value;
    return TRUE;
}

int test_params_only(vireo_call *call, const vireo_typed_param *val, guint len,
                     const char *const *known)
{
    for (guint i = 0; i < len; i++)
        if (!g_strv_contains(known, val[i].field))
            return FAIL(call, VIREO_ERR_INVALID_ARG, "parameter '%s' is not supported",
                        val[i].field);
    return VIREO_OK;
}
