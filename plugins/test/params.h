/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Typed parameters on their way out, collected in a call's memory. */
typedef struct {
    vireo_call *call;
    vireo_typed_param *val;
    guint len, room;
} TestParams;

void test_params_int(TestParams *params, const char *name, gint32 value);
void test_params_uint(TestParams *params, const char *name, guint32 value);
void test_params_ullong(TestParams *params, const char *name, guint64 value);
void test_params_llong(TestParams *params, const char *name, gint64 value);
void test_params_boolean(TestParams *params, const char *name, gboolean value);
void test_params_string(TestParams *params, const char *name, const char *value);

/* Fills a `params` member. */
#define TEST_PARAMS_GIVE(list, member)                                                             \
    do {                                                                                           \
        (member).len = (list)->len;                                                                \
        (member).val = (list)->val;                                                                \
    } while (0)

/* For calls that tell how many parameters there are (wanted 0) before they are asked for. */
#define TEST_PARAMS_COUNTED(list, wanted, ret)                                                     \
    do {                                                                                           \
        (ret)->nparams = (gint32)(list)->len;                                                      \
        if (wanted)                                                                                \
            TEST_PARAMS_GIVE(list, (ret)->params);                                                 \
        if ((ret)->params.len > (guint)(wanted))                                                   \
            (ret)->params.len = (guint)(wanted);                                                   \
    } while (0)

/* Reads an unsigned number of any integer type; FALSE: no such parameter. */
gboolean test_params_number(const vireo_typed_param *val, guint len, const char *name,
                            guint64 *number);
gboolean test_params_signed(const vireo_typed_param *val, guint len, const char *name,
                            gint64 *number);
/* Refuses parameters outside known (NULL-terminated). */
int test_params_only(vireo_call *call, const vireo_typed_param *val, guint len,
                     const char *const *known);
