/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-matrix VIREO-DRIVER-INSPECT MODULE.so...: the page that compares drivers, cell by cell, against
 * vireo_router_can on the tables of the loaded modules.
 */
#include "tools/check/bench.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const struct vireo_driver **drivers; /* in the order of the columns */
    guint n_drivers;
    const VireoOp *op; /* of the last row that named one */
    GHashTable *seen;  /* operations of the page */
    guint cells;
} Check;

static const struct vireo_op *row(gconstpointer table, guint32 id)
{
    const struct vireo_driver *driver = table;

    for (guint i = 0; i < driver->n_ops; i++) {
        const struct vireo_op *at =
            (const void *)((const char *)driver->ops + (gsize)i * driver->op_size);

        if (at->id == id)
            return at;
    }
    return NULL;
}

static char *page_of(char **argv, const char *format)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    char *page = NULL;
    int status = -1;

    g_ptr_array_add(words, argv[1]);
    g_ptr_array_add(words, (char *)"--matrix");
    g_ptr_array_add(words, (char *)format);
    for (char **module = argv + 2; *module; module++)
        g_ptr_array_add(words, *module);
    g_ptr_array_add(words, NULL);
    if (!g_spawn_sync(NULL, (char **)words->pdata, NULL, 0, NULL, NULL, &page, NULL, &status,
                      &error))
        g_error("%s", error->message);
    g_assert_cmpint(status, ==, 0);
    return page;
}

/* The flags that a flag must come with, itself included. */
static guint64 with_required(const VireoOp *op, guint64 bit)
{
    for (const VireoFlagRule *rule = op->flag_rules; rule && rule->kind; rule++)
        if (rule->kind == VIREO_FLAGS_REQUIRES && (bit & rule->first))
            bit |= rule->second;
    return bit;
}

static const char *expected(const struct vireo_driver *driver, const VireoOp *op, guint64 flag)
{
    static const char *const words[] = {"-", "native", "native", "derived", "core"};
    const struct vireo_op *at = row(driver, op->id);
    g_autofree char *reason = NULL;
    int answer = vireo_router_can(op, with_required(op, flag), driver->name, row, driver, &reason);

    g_assert_nonnull(reason);
    if (!at && answer == VIREO_CAN_DERIVED && op->derive_from)
        at = row(driver, op->derive_from->id);
    if (!flag || answer == VIREO_CAN_NO || !at)
        return words[answer];
    if (at->native & flag)
        return at->active & flag ? "running" : at->inactive & flag ? "off" : "native";
    return at->trivial & flag ? "trivial" : "core";
}

static guint64 flag_of(const VireoOp *op, const char *name)
{
    for (const VireoFlag *flag = op->flags; flag && flag->name; flag++)
        if (strcmp(flag->name, name) == 0)
            return flag->bit;
    g_error("%s has no flag '%s'", op->name, name);
}

static void check_line(Check *check, const char *line)
{
    g_auto(GStrv) parts = g_strsplit(line, "|", -1);
    guint64 flag = 0;
    const char *first;

    if (!parts[0] || !parts[1])
        return;
    first = g_strstrip(parts[1]);
    if (g_str_has_prefix(first, "**")) {
        g_autofree char *name = g_strndup(first + 2, strcspn(first + 2, "*"));

        check->op = vireo_op_by_name(name);
        g_assert_nonnull(check->op);
        g_assert_true(g_hash_table_add(check->seen, (gpointer)check->op));
    } else if (first[0] == '`') {
        g_autofree char *name = g_strndup(first + 1, strcspn(first + 1, "`"));

        flag = flag_of(check->op, name);
    } else {
        return;
    }
    g_assert_cmpuint(g_strv_length(parts), ==, check->n_drivers + 3);
    for (guint i = 0; i < check->n_drivers; i++) {
        const char *cell = g_strstrip(parts[i + 2]);
        const char *right = expected(check->drivers[i], check->op, flag);

        if (strcmp(cell, right) != 0)
            g_error("%s, flag 0x%" G_GINT64_MODIFIER "x, %s: the page says %s, the router %s",
                    check->op->name, flag, check->drivers[i]->name, cell, right);
        check->cells++;
    }
}

/* What the page leaves out is served by nobody. */
static void check_missing(const Check *check)
{
    for (guint i = 0; i < vireo_n_ops; i++) {
        const VireoOp *op = &vireo_ops[i];

        if (g_hash_table_contains(check->seen, op) || !vireo_op_is_for_clients(op) ||
            op->program == VIREO_PROGRAM_VIREO)
            continue;
        for (guint j = 0; j < check->n_drivers; j++)
            if (strcmp(expected(check->drivers[j], op, 0), "-") != 0)
                g_error("%s of %s is not on the page", op->name, check->drivers[j]->name);
    }
}

static guint times(const char *text, const char *part)
{
    guint n = 0;

    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

/* The other form has the same cells; the legend has one of each word. */
static void check_html(const char *html, const char *markdown)
{
    static const char *const words[] = {"native", "trivial", "derived", "core", "running", "off"};

    for (guint i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autofree char *cell = g_strdup_printf("<td class=\"%s\">%s</td>", words[i], words[i]);
        g_autofree char *other = g_strdup_printf(" %s |", words[i]);
        /* those three are also headings of the table of drivers */
        guint headings = i == 0 || i == 2 || i == 3;

        g_assert_cmpuint(times(html, cell), ==, times(markdown, other) - headings);
        g_assert_cmpuint(times(html, cell), >, 0);
    }
    g_assert_cmpuint(times(html, "<table"), ==, times(html, "</table>"));
    g_assert_cmpuint(times(html, "<tr"), ==, times(html, "</tr>"));
}

int main(int argc, char **argv)
{
    Check check = {.n_drivers = argc > 2 ? (guint)argc - 2 : 0};
    g_autofree char *markdown = NULL;
    g_autofree char *html = NULL;
    g_auto(GStrv) lines = NULL;

    if (argc < 3)
        g_error("usage: test-matrix VIREO-DRIVER-INSPECT MODULE.so...");
    check.seen = g_hash_table_new(NULL, NULL);
    check.drivers = g_new0(const struct vireo_driver *, check.n_drivers);
    for (guint i = 0; i < check.n_drivers; i++)
        check.drivers[i] = bench_load(argv[i + 2]);
    markdown = page_of(argv, "markdown");
    html = page_of(argv, "html");
    lines = g_strsplit(markdown, "\n", -1);
    for (char **line = lines; *line; line++)
        check_line(&check, *line);
    check_missing(&check);
    check_html(html, markdown);
    printf("%u operations, %u cells\n", g_hash_table_size(check.seen), check.cells);
    g_assert_cmpuint(check.cells, >, 500);
    g_hash_table_unref(check.seen);
    g_free(check.drivers);
    return 0;
}
