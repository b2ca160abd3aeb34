/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Results for people, for programs and for test harnesses. */
#pragma once

#include "tools/check/run.h"

typedef enum { REPORT_HUMAN, REPORT_JSON, REPORT_TAP } ReportFormat;

typedef struct {
    ReportFormat format;
    gboolean verbose;
    guint told; /* results so far */
    guint width;
} Report;

gboolean report_format_parse(const char *name, ReportFormat *ret);
void report_begin(Report *report, const CheckTask *task);
void report_result(const CheckResult *result, gpointer report);
/* FALSE when something failed. */
gboolean report_end(Report *report, const CheckTask *task, GPtrArray *results);
