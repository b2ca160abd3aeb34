/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/check/report.h"

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

static const char *const verdicts[] = { "ok", "failed", "skipped" };

gboolean report_format_parse(const char *name, ReportFormat *ret)
{
    const char *const names[] = { "human", "json", "tap" };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *ret = i;
            return TRUE;
        }
    return FALSE;
}

void report_begin(Report *report, const CheckTask *task)
{
    for (guint i = 0; i < n_checks; i++)
        report->width = MAX(report->width, (guint)strlen(checks[i].name));
    if (report->format == REPORT_TAP)
        printf("TAP version 13\n");
    if (report->format == REPORT_HUMAN && task->note)
        printf("%s: driver %s %s, ABI %u.%u, thread model %s, %u operations%s%s\n", task->file, task->note->name,
               task->note->version, task->note->abi_major, task->note->abi_target,
               vireo_note_threads_name(task->note->threads), task->note->n_ops,
               strcmp(check_sanitizer(), "none") == 0 ? "" : "; sanitizer: ",
               strcmp(check_sanitizer(), "none") == 0 ? "" : check_sanitizer());
    fflush(stdout);
}

static void print_output(const CheckResult *result, const char *indent)
{
    g_auto(GStrv) lines = result->output ? g_strsplit(g_strchomp(result->output), "\n", -1) : NULL;

    for (char **line = lines; line && *line; line++)
        printf("%s| %s\n", indent, *line);
}

static void print_human(const Report *report, const CheckResult *result)
{
    static const char *const words[] = { "ok  ", "FAIL", "skip" };

    printf("%s %-*s  %s", words[result->verdict], (int)report->width, result->check->name,
           result->verdict == CHECK_SKIPPED ? result->reason : result->check->about);
    if (result->verdict == CHECK_OK && result->remark)
        printf(" (%s)", result->remark);
    putchar('\n');
    for (guint i = 0; i < result->findings->len; i++)
        printf("     %*s  - %s\n", (int)report->width, "", (char *)result->findings->pdata[i]);
    if (report->verbose)
        print_output(result, "       ");
}

static void print_tap(const Report *report, const CheckResult *result)
{
    printf("%sok %u - %s: %s%s%s\n", result->verdict == CHECK_FAILED ? "not " : "", report->told, result->check->name,
           result->check->about, result->verdict == CHECK_SKIPPED ? " # SKIP " : "",
           result->verdict == CHECK_SKIPPED ? result->reason : "");
    for (guint i = 0; i < result->findings->len; i++)
        printf("# %s\n", (char *)result->findings->pdata[i]);
    if (report->verbose)
        print_output(result, "# ");
}

void report_result(const CheckResult *result, gpointer opaque)
{
    Report *report = opaque;

    report->told++;
    if (report->format == REPORT_HUMAN)
        print_human(report, result);
    else if (report->format == REPORT_TAP)
        print_tap(report, result);
    fflush(stdout);
}

static void add_text(JsonBuilder *json, const char *name, const char *value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, value);
}

static void add_result(JsonBuilder *json, const CheckResult *result, gboolean verbose)
{
    json_builder_begin_object(json);
    add_text(json, "name", result->check->name);
    add_text(json, "about", result->check->about);
    add_text(json, "result", verdicts[result->verdict]);
    if (result->reason)
        add_text(json, "reason", result->reason);
    if (result->remark)
        add_text(json, "remark", result->remark);
    json_builder_set_member_name(json, "milliseconds");
    json_builder_add_int_value(json, result->milliseconds);
    json_builder_set_member_name(json, "findings");
    json_builder_begin_array(json);
    for (guint i = 0; i < result->findings->len; i++)
        json_builder_add_string_value(json, result->findings->pdata[i]);
    json_builder_end_array(json);
    if (verbose && result->output) {
        g_autofree char *text = g_utf8_make_valid(result->output, -1);

        add_text(json, "output", text);
    }
    json_builder_end_object(json);
}

static void print_json(const Report *report, const CheckTask *task, GPtrArray *results)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *text = NULL;

    json_builder_begin_object(json);
    add_text(json, "file", task->file);
    if (task->note) {
        add_text(json, "driver", task->note->name);
        add_text(json, "version", task->note->version);
    }
    add_text(json, "sanitizer", check_sanitizer());
    json_builder_set_member_name(json, "checks");
    json_builder_begin_array(json);
    for (guint i = 0; i < results->len; i++)
        add_result(json, results->pdata[i], report->verbose);
    json_builder_end_array(json);
    json_builder_end_object(json);
    root = json_builder_get_root(json);
    json_generator_set_root(generator, root);
    json_generator_set_pretty(generator, TRUE);
    text = json_generator_to_data(generator, NULL);
    puts(text);
}

gboolean report_end(Report *report, const CheckTask *task, GPtrArray *results)
{
    guint n[3] = { 0 };

    for (guint i = 0; i < results->len; i++)
        n[((CheckResult *)results->pdata[i])->verdict]++;
    if (report->format == REPORT_JSON)
        print_json(report, task, results);
    else if (report->format == REPORT_TAP)
        printf("1..%u\n", report->told);
    else
        printf("%u checks: %u ok, %u failed, %u skipped\n", results->len, n[CHECK_OK], n[CHECK_FAILED],
               n[CHECK_SKIPPED]);
    return n[CHECK_FAILED] == 0;
}
