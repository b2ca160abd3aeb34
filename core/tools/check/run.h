/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Carries out checks, each in a child of its own. */
#pragma once

#include "tools/check/check.h"

typedef enum { CHECK_OK, CHECK_FAILED, CHECK_SKIPPED } CheckVerdict;

typedef struct {
    const Check *check;
    CheckVerdict verdict;
    GPtrArray *findings; /* char * */
    char *reason;        /* why it was skipped, or NULL */
    char *remark;        /* what was done, or NULL */
    char *output;        /* what the driver wrote, or NULL */
    gint64 milliseconds;
} CheckResult;

/* Told of each result as soon as it and all before it are there. */
typedef void (*CheckTold)(const CheckResult *result, gpointer opaque);

/* Runs the chosen checks (one gboolean for each of `checks`), at most `jobs` at a time. What a chosen
 * check needs runs too. Results of the chosen ones; free with g_ptr_array_unref. */
GPtrArray *check_run_all(const CheckTask *task, const gboolean *chosen, guint jobs, CheckTold told,
                         gpointer opaque);

/* "none", "address", "thread": what this build of the program was made with. */
const char *check_sanitizer(void);
