/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

/* ---- tables ---- */

struct VireoCliTable {
    guint n_columns;
    GPtrArray *cells; /* the heading first */
};

static guint text_width(const char *text)
{
    guint width = 0;

    if (!g_utf8_validate(text, -1, NULL))
        return strlen(text);
    for (; *text; text = g_utf8_next_char(text)) {
        gunichar c = g_utf8_get_char(text);

        width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
    }
    return width;
}

static void add_cells(VireoCliTable *table, const char *first, va_list args)
{
    for (const char *cell = first; cell; cell = va_arg(args, const char *))
        g_ptr_array_add(table->cells, g_strdup(cell));
}

VireoCliTable *vireo_cli_table_new(const char *first_column, ...)
{
    VireoCliTable *table = g_new0(VireoCliTable, 1);
    va_list args;

    table->cells = g_ptr_array_new_with_free_func(g_free);
    va_start(args, first_column);
    add_cells(table, first_column, args);
    va_end(args);
    table->n_columns = table->cells->len;
    return table;
}

void vireo_cli_table_row(VireoCliTable *table, const char *first_cell, ...)
{
    va_list args;

    va_start(args, first_cell);
    add_cells(table, first_cell, args);
    va_end(args);
    g_assert(table->cells->len % table->n_columns == 0);
}

static const char *cell_colour(VireoCli *cli, guint row, const char *text)
{
    if (!cli->colour || row == 0)
        return "";
    if (strcmp(text, "running") == 0 || strcmp(text, "ACTIVE") == 0)
        return "\033[32m";
    if (strcmp(text, "paused") == 0)
        return "\033[33m";
    if (strcmp(text, "crashed") == 0 || g_str_has_prefix(text, "FAILED_") ||
        g_str_has_prefix(text, "REFUSED_") || strcmp(text, "QUARANTINED") == 0)
        return "\033[31m";
    return "";
}

void vireo_cli_table_print(VireoCli *cli, VireoCliTable *table)
{
    g_autofree guint *widths = g_new0(guint, table->n_columns);
    guint n_rows = table->cells->len / table->n_columns, total = 0;

    for (guint i = 0; i < table->cells->len; i++)
        widths[i % table->n_columns] = MAX(widths[i % table->n_columns], text_width(table->cells->pdata[i]));
    for (guint i = 0; i < table->n_columns; i++)
        total += widths[i] + 3;
    for (guint row = cli->quiet ? 1 : 0; row < n_rows; row++) {
        for (guint i = 0; i < table->n_columns; i++) {
            const char *text = table->cells->pdata[row * table->n_columns + i];
            const char *colour = cell_colour(cli, row, text);
            gboolean last = i + 1 == table->n_columns;

            printf(" %s%s%s%*s", colour, text, *colour ? "\033[0m" : "",
                   last ? 0 : (int)(widths[i] - text_width(text) + 2), "");
        }
        putchar('\n');
        if (row == 0) {
            for (guint i = 0; i < total; i++)
                putchar('-');
            putchar('\n');
        }
    }
}

void vireo_cli_table_free(VireoCliTable *table)
{
    if (!table)
        return;
    g_ptr_array_unref(table->cells);
    g_free(table);
}

/* ---- JSON ---- */

void vireo_cli_print_json(JsonNode *node, gboolean pretty)
{
    g_autofree char *text = json_to_string(node, pretty);

    puts(text);
    json_node_unref(node);
}

void vireo_cli_print_object(JsonObject *object)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, object);
    vireo_cli_print_json(node, TRUE);
}

void vireo_cli_done(VireoCli *cli, const char *verb, const char *domain, const char *snapshot,
                    const char *format, ...)
{
    JsonObject *object;
    va_list args;

    if (cli->json) {
        object = json_object_new();
        json_object_set_string_member(object, "done", verb);
        if (domain)
            json_object_set_string_member(object, "domain", domain);
        if (snapshot)
            json_object_set_string_member(object, "snapshot", snapshot);
        vireo_cli_print_object(object);
        return;
    }
    if (cli->quiet)
        return;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void vireo_cli_print_xml(VireoCli *cli, const char *text)
{
    gsize length = strlen(text);

    if (cli->json) {
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "xml", text);
        vireo_cli_print_object(object);
        return;
    }
    fputs(text, stdout);
    if (length == 0 || text[length - 1] != '\n')
        putchar('\n');
}

/* ---- facts ---- */

typedef struct {
    const char *label;
    char *text;
} Fact;

struct VireoCliFacts {
    GArray *lines; /* Fact */
    JsonObject *object;
};

VireoCliFacts *vireo_cli_facts_new(void)
{
    VireoCliFacts *facts = g_new0(VireoCliFacts, 1);

    facts->lines = g_array_new(FALSE, FALSE, sizeof(Fact));
    facts->object = json_object_new();
    return facts;
}

static void add_line(VireoCliFacts *facts, const char *label, char *text)
{
    Fact fact = { label, text };

    g_array_append_val(facts->lines, fact);
}

void vireo_cli_fact(VireoCliFacts *facts, const char *label, const char *member, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    json_object_set_string_member(facts->object, member, text);
    add_line(facts, label, text);
}

void vireo_cli_fact_int(VireoCliFacts *facts, const char *label, const char *member, gint64 value,
                        const char *unit)
{
    json_object_set_int_member(facts->object, member, value);
    add_line(facts, label,
             g_strdup_printf("%" G_GINT64_FORMAT "%s%s", value, unit ? " " : "", unit ? unit : ""));
}

void vireo_cli_fact_bool(VireoCliFacts *facts, const char *label, const char *member, gboolean value,
                         const char *yes, const char *no)
{
    json_object_set_boolean_member(facts->object, member, value);
    add_line(facts, label, g_strdup(value ? yes : no));
}

void vireo_cli_facts_print(VireoCli *cli, VireoCliFacts *facts)
{
    guint width = 0;

    for (guint i = 0; i < facts->lines->len; i++)
        width = MAX(width, strlen(g_array_index(facts->lines, Fact, i).label));
    for (guint i = 0; i < facts->lines->len; i++) {
        Fact *fact = &g_array_index(facts->lines, Fact, i);

        if (!cli->json)
            printf("%s:%*s%s\n", fact->label, (int)(width - strlen(fact->label) + 2), "", fact->text);
        g_free(fact->text);
    }
    if (cli->json)
        vireo_cli_print_object(json_object_ref(facts->object));
    json_object_unref(facts->object);
    g_array_unref(facts->lines);
    g_free(facts);
}

/* ---- errors ---- */

/* What a user can do about it. */
static const char *hint(const GError *error)
{
    if (error->domain != VIREO_ERROR)
        return NULL;
    if (strstr(error->message, "cannot connect to the daemon"))
        return "is vireod running? another socket is named by --socket PATH or ?socket=PATH";
    if (strstr(error->message, "Cannot find program"))
        return "this daemon is not vireod; name the socket of vireod with --socket PATH";
    switch (error->code) {
    case VIREO_ERR_NO_DOMAIN:
        return "'vireo list --all' shows the domains there are";
    case VIREO_ERR_NO_DOMAIN_SNAPSHOT:
        return "'vireo snapshot-list DOMAIN' shows the snapshots there are";
    case VIREO_ERR_OPERATION_DENIED:
        return "the connection is read-only: leave out -r";
    case VIREO_ERR_AUTH_FAILED:
    case VIREO_ERR_AUTH_UNAVAILABLE:
    case VIREO_ERR_ACCESS_DENIED:
        return "run it as root, or ask the host's administrator for access";
    case VIREO_ERR_NO_CONNECT:
        return "'vireo drivers' shows the drivers and the URI schemes they serve";
    default:
        return NULL;
    }
}

static void print_json_error(const GError *error, const char *advice)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *text = NULL;
    JsonObject *outer = json_object_new(), *inner = json_object_new();

    json_object_set_string_member(inner, "kind",
                                  error->domain == VIREO_CLI_USAGE ? "usage" : "failed");
    json_object_set_int_member(inner, "code", error->domain == VIREO_ERROR ? error->code : 0);
    json_object_set_string_member(inner, "message", error->message);
    if (advice)
        json_object_set_string_member(inner, "hint", advice);
    json_object_set_object_member(outer, "error", inner);
    json_node_take_object(node, outer);
    text = json_to_string(node, FALSE);
    fprintf(stderr, "%s\n", text);
}

void vireo_cli_print_error(VireoCli *cli, const GError *error)
{
    gboolean colour = isatty(STDERR_FILENO) && !g_getenv("NO_COLOR");
    const char *advice = hint(error);

    fflush(stdout);
    if (cli->json) {
        print_json_error(error, advice);
        return;
    }
    fprintf(stderr, "%serror:%s %s\n", colour ? "\033[31m" : "", colour ? "\033[0m" : "",
            error->message);
    if (error->domain == VIREO_CLI_USAGE)
        fprintf(stderr, "hint: 'vireo %s%s--help' shows what can be said\n",
                cli->command ? cli->command->name : "", cli->command ? " " : "");
    else if (advice)
        fprintf(stderr, "hint: %s\n", advice);
}
