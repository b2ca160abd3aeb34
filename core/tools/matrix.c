/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/matrix.h"

#include <string.h>

#include "router/offer.h"
#include "tools/version.h"

/* Groups of the catalogue in the order of the page. */
static const struct {
    const char *group, *title;
} chapters[] = {
    { "connect", "Connection and capabilities" },
    { "node", "Host" },
    { "domain", "Domains" },
    { "domain_device", "Devices, block jobs, console" },
    { "domain_tuning", "Resources and statistics" },
    { "domain_snapshot", "Snapshots" },
    { "domain_checkpoint", "Checkpoints" },
    { "domain_migrate", "Migration" },
    { "qemu", "QEMU's own" },
    { "lxc", "Containers' own" },
    { "network", "Networks" },
    { "network_port", "Network ports" },
    { "interface", "Interfaces" },
    { "storage_pool", "Storage pools" },
    { "storage_vol", "Storage volumes" },
    { "node_device", "Node devices" },
    { "secret", "Secrets" },
    { "nwfilter", "Network filters" },
    { "event", "Events" },
    { "auth", "Authentication" },
};

static const struct {
    const char *word, *meaning;
} legend[] = {
    { "native", "the driver does it; of a flag: the driver acts on it" },
    { "trivial", "the flag is accepted, and the driver's ordinary behaviour satisfies it" },
    { "derived", "made from another operation of the driver, with the same effect" },
    { "core", "answered by the daemon from what the driver published, or by the connection itself" },
    { "running", "the flag is taken while the object runs, and refused otherwise" },
    { "off", "the flag is taken while the object does not run, and refused otherwise" },
    { "-", "refused, by name and before anything is done" },
};

typedef struct {
    const VireoNote *note;
    VireoNoteTable *table;
    VireoOffer offer;
} Column;

typedef struct {
    GString *out;
    gboolean html;
    GArray *columns; /* of Column */
} Page;

/* ---- cells ---- */

static const char *answer_word(int answer)
{
    switch (answer) {
    case VIREO_CAN_NATIVE:
        return "native";
    case VIREO_CAN_DERIVED:
        return "derived";
    case VIREO_CAN_CORE:
        return "core";
    default:
        return "-";
    }
}

static const char *flag_word(const VireoAnswer *answer, guint64 flag)
{
    gboolean native = (answer->native & flag) != 0;

    if (!(answer->now & flag))
        return "-";
    if (native && answer->active & flag)
        return "running";
    if (native && answer->inactive & flag)
        return "off";
    if (native)
        return "native";
    return answer->trivial & flag ? "trivial" : "core";
}

/* What each driver makes of an operation, in the order of the columns. */
static GArray *ask(const Page *page, const VireoOp *op)
{
    GArray *answers = g_array_new(FALSE, TRUE, sizeof(VireoAnswer));

    g_array_set_clear_func(answers, (GDestroyNotify)vireo_answer_clear);
    g_array_set_size(answers, page->columns->len);
    for (guint i = 0; i < page->columns->len; i++)
        vireo_offer_ask(&g_array_index(page->columns, Column, i).offer, op, 0, &(VireoCase){ 0 },
                        &g_array_index(answers, VireoAnswer, i));
    return answers;
}

static gboolean is_served(const GArray *answers)
{
    for (guint i = 0; i < answers->len; i++)
        if (g_array_index(answers, VireoAnswer, i).answer != VIREO_CAN_NO)
            return TRUE;
    return FALSE;
}

static guint64 flags_of_any(const GArray *answers)
{
    guint64 flags = 0;

    for (guint i = 0; i < answers->len; i++)
        flags |= g_array_index(answers, VireoAnswer, i).now;
    return flags;
}

static char *spoken(const char *name)
{
    return g_strdelimit(g_strdup(name), "_", '-');
}

/* ---- the two forms ---- */

static void cell(Page *page, const char *word)
{
    if (!page->html)
        g_string_append_printf(page->out, " %s |", word);
    else
        g_string_append_printf(page->out, "<td class=\"%s\">%s</td>", *word == '-' ? "no" : word,
                               *word == '-' ? "\342\200\223" : word);
}

static void op_row(Page *page, const VireoOp *op, const GArray *answers)
{
    g_autofree char *name = spoken(op->name);
    const char *api = op->api ? op->api : "";

    if (page->html)
        g_string_append_printf(page->out, "<tr class=\"op\" id=\"%s\"><th scope=\"row\">%s<small>%s</small></th>",
                               name, name, api);
    else
        g_string_append_printf(page->out, "| **%s** %s |", name, api);
    for (guint i = 0; i < answers->len; i++)
        cell(page, answer_word(g_array_index(answers, VireoAnswer, i).answer));
    g_string_append(page->out, page->html ? "</tr>\n" : "\n");
}

static void flag_row(Page *page, const VireoFlag *flag, const GArray *answers)
{
    g_string_append_printf(page->out,
                           page->html ? "<tr class=\"flag\"><th scope=\"row\">%s</th>" : "| `%s` |", flag->name);
    for (guint i = 0; i < answers->len; i++)
        cell(page, flag_word(&g_array_index(answers, VireoAnswer, i), flag->bit));
    g_string_append(page->out, page->html ? "</tr>\n" : "\n");
}

static void table_head(Page *page, const char *first)
{
    g_string_append_printf(page->out, page->html ? "<table>\n<thead><tr><th>%s</th>" : "| %s |", first);
    for (guint i = 0; i < page->columns->len; i++)
        g_string_append_printf(page->out, page->html ? "<th>%s</th>" : " %s |",
                               g_array_index(page->columns, Column, i).note->name);
    g_string_append(page->out, page->html ? "</tr></thead>\n<tbody>\n" : "\n|---|");
    for (guint i = 0; !page->html && i < page->columns->len; i++)
        g_string_append(page->out, "---|");
    if (!page->html)
        g_string_append_c(page->out, '\n');
}

static void table_end(Page *page)
{
    g_string_append(page->out, page->html ? "</tbody></table>\n" : "\n");
}

static void heading(Page *page, const char *id, const char *title)
{
    if (page->html)
        g_string_append_printf(page->out, "<h2 id=\"%s\">%s</h2>\n", id, title);
    else
        g_string_append_printf(page->out, "## %s\n\n", title);
}

static void refused_list(Page *page, const GPtrArray *refused)
{
    g_autofree char *names = NULL;

    if (refused->len == 1) /* the terminator */
        return;
    names = g_strjoinv(", ", (char **)refused->pdata);
    g_string_append_printf(page->out, page->html ? "<p class=\"none\">No driver here serves: %s.</p>\n"
                                                 : "No driver here serves: %s.\n\n", names);
}

/* ---- the page ---- */

static gboolean belongs(const VireoOp *op, const char *group)
{
    return vireo_op_is_for_clients(op) && op->program != VIREO_PROGRAM_VIREO && strcmp(op->group, group) == 0;
}

static void chapter(Page *page, const char *group, const char *title)
{
    g_autoptr(GPtrArray) refused = g_ptr_array_new_with_free_func(g_free);
    gboolean begun = FALSE;

    heading(page, group, title);
    for (guint i = 0; i < vireo_n_ops; i++) {
        const VireoOp *op = &vireo_ops[i];
        g_autoptr(GArray) answers = NULL;
        guint64 shown;

        if (!belongs(op, group))
            continue;
        answers = ask(page, op);
        if (!is_served(answers)) {
            g_ptr_array_add(refused, spoken(op->name));
            continue;
        }
        if (!begun)
            table_head(page, "Operation");
        begun = TRUE;
        op_row(page, op, answers);
        shown = flags_of_any(answers);
        for (const VireoFlag *flag = op->flags; flag && flag->name; flag++)
            if (flag->bit & shown)
                flag_row(page, flag, answers);
    }
    if (begun)
        table_end(page);
    g_ptr_array_add(refused, NULL);
    refused_list(page, refused);
}

static guint count(const Column *column, int answer)
{
    guint n = 0;

    for (guint i = 0; i < vireo_n_ops; i++) {
        g_auto(VireoAnswer) got = { 0 };

        if (!vireo_op_is_for_clients(&vireo_ops[i]) || vireo_ops[i].program == VIREO_PROGRAM_VIREO)
            continue;
        vireo_offer_ask(&column->offer, &vireo_ops[i], 0, &(VireoCase){ 0 }, &got);
        n += got.answer == answer;
    }
    return n;
}

static void driver_table(Page *page)
{
    static const char *const titles[] = { "Driver", "Version", "URI schemes", "Driver ABI", "Threads", "native",
                                          "derived", "core" };

    heading(page, "drivers", "Drivers");
    g_string_append(page->out, page->html ? "<table>\n<thead><tr>" : "|");
    for (guint i = 0; i < G_N_ELEMENTS(titles); i++)
        g_string_append_printf(page->out, page->html ? "<th>%s</th>" : " %s |", titles[i]);
    g_string_append(page->out, page->html ? "</tr></thead>\n<tbody>\n" : "\n|---|---|---|---|---|---|---|---|\n");
    for (guint i = 0; i < page->columns->len; i++) {
        const Column *column = &g_array_index(page->columns, Column, i);
        const VireoNote *note = column->note;

        g_string_append_printf(page->out,
                               page->html ? "<tr><th scope=\"row\">%s</th><td>%s</td><td>%s</td><td>%u.%u</td><td>%s</td>"
                                            "<td>%u</td><td>%u</td><td>%u</td></tr>\n"
                                          : "| %s | %s | %s | %u.%u | %s | %u | %u | %u |\n",
                               note->name, note->version, note->schemes, note->abi_major, note->abi_target,
                               vireo_note_threads_name(note->threads), count(column, VIREO_CAN_NATIVE),
                               count(column, VIREO_CAN_DERIVED), count(column, VIREO_CAN_CORE));
    }
    table_end(page);
}

static void legend_table(Page *page)
{
    heading(page, "legend", "Legend");
    g_string_append(page->out, page->html ? "<table class=\"legend\"><tbody>\n" : "| | |\n|---|---|\n");
    for (guint i = 0; i < G_N_ELEMENTS(legend); i++) {
        g_string_append(page->out, page->html ? "<tr>" : "|");
        cell(page, legend[i].word);
        g_string_append_printf(page->out, page->html ? "<td>%s</td></tr>\n" : " %s |\n", legend[i].meaning);
    }
    table_end(page);
}

#define STYLE                                                                                                        \
    "body{font:16px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}"           \
    "table{border-collapse:collapse;margin:1rem 0}th,td{padding:.2rem .7rem;border-bottom:1px solid #ddd;"           \
    "text-align:left}thead th{position:sticky;top:0;background:#fff;border-bottom:2px solid #888}"                   \
    "tbody th{font-weight:600}th small{display:block;font-weight:400;color:#777}tr.flag th{font-weight:400;"         \
    "padding-left:2rem;font-family:monospace}td.native{background:#cdeccd}td.trivial{background:#e6f4d7}"            \
    "td.running,td.off{background:#d8eef7}td.derived{background:#e2e6fa}td.core{background:#f0e6fa}td.no{color:#999}"\
    "nav a{margin-right:1rem}p.none{color:#777;font-size:.9rem}"

static void page_head(Page *page)
{
    static const char about[] =
        "What each driver serves, by the table in its module; nothing was run. A connection may have less: "
        "'vireo can' tells what, and why.";

    if (!page->html) {
        g_string_append_printf(page->out, "# Support matrix\n\n%s Vireo %s.\n\n", about, VIREO_VERSION);
        return;
    }
    g_string_append_printf(page->out,
                           "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Vireo: support "
                           "matrix</title>\n<meta name=\"viewport\" content=\"width=device-width\">\n<style>" STYLE
                           "</style></head>\n<body>\n<h1>Support matrix</h1>\n<p>%s Vireo %s.</p>\n<nav>", about,
                           VIREO_VERSION);
    for (guint i = 0; i < G_N_ELEMENTS(chapters); i++)
        g_string_append_printf(page->out, "<a href=\"#%s\">%s</a>\n", chapters[i].group, chapters[i].title);
    g_string_append(page->out, "</nav>\n");
}

static void column_clear(gpointer data)
{
    vireo_note_table_free(((Column *)data)->table);
}

char *vireo_matrix_page(const GPtrArray *notes, VireoMatrixFormat format)
{
    g_autoptr(GArray) columns = g_array_new(FALSE, TRUE, sizeof(Column));
    Page page = { g_string_new(NULL), format == VIREO_MATRIX_HTML, columns };

    g_array_set_clear_func(columns, column_clear);
    for (guint i = 0; i < notes->len; i++) {
        Column column = { .note = notes->pdata[i], .table = vireo_note_table_new(notes->pdata[i]) };

        column.offer = vireo_note_table_offer(column.table);
        g_array_append_val(columns, column);
    }
    page_head(&page);
    legend_table(&page);
    driver_table(&page);
    for (guint i = 0; i < G_N_ELEMENTS(chapters); i++)
        chapter(&page, chapters[i].group, chapters[i].title);
    if (page.html)
        g_string_append(page.out, "</body>\n</html>\n");
    return g_string_free(page.out, FALSE);
}
