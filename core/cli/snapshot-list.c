/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot-list: as a table, as names, as a tree. */
#include <string.h>

#include "cli/cli.h"

typedef struct {
    const char *name;
    char *parent, *state;
    gint64 created;
    gboolean shown; /* the tree: its parent is among the listed */
} Row;

static void row_clear(gpointer data)
{
    Row *row = data;

    g_free(row->parent);
    g_free(row->state);
}

static gboolean fetch(VireoCli *cli, const vireo_domain_snapshot_ref *snap, Row *row, GError **error)
{
    vireo_domain_snapshot_get_xml_desc_args args = { .snap = *snap };
    vireo_domain_snapshot_get_xml_desc_ret ret;
    g_autofree char *created = NULL;

    if (!VIREO_CALL(cli->client, domain_snapshot_get_xml_desc, cli->arena, error, &args, &ret))
        return FALSE;
    row->name = snap->name;
    row->parent = vireo_cli_xpath_text(ret.xml, "/domainsnapshot/parent/name");
    row->state = vireo_cli_xpath_text(ret.xml, "/domainsnapshot/state");
    created = vireo_cli_xpath_text(ret.xml, "/domainsnapshot/creationTime");
    row->created = created ? g_ascii_strtoll(created, NULL, 10) : 0;
    return TRUE;
}

/* A snapshot deleted since it was listed is left out. */
static gboolean fetch_all(VireoCli *cli, const vireo_domain_snapshot_ref *snaps, guint n, GArray *rows,
                          GError **error)
{
    for (guint i = 0; i < n; i++) {
        g_autoptr(GError) problem = NULL;
        Row row = { 0 };

        if (fetch(cli, &snaps[i], &row, &problem)) {
            g_array_append_val(rows, row);
        } else if (!g_error_matches(problem, VIREO_ERROR, VIREO_ERR_NO_DOMAIN_SNAPSHOT)) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return FALSE;
        }
    }
    return TRUE;
}

/* ---- which ---- */

static gboolean list_all(VireoCli *cli, guint32 flags, vireo_domain_snapshot_ref **snaps, guint *n,
                         GError **error)
{
    vireo_domain_list_all_snapshots_args args = { .need_results = 1, .flags = flags };
    vireo_domain_list_all_snapshots_ret ret;

    if (!vireo_cli_domain(cli, &args.dom, error) ||
        !VIREO_CALL(cli->client, domain_list_all_snapshots, cli->arena, error, &args, &ret))
        return FALSE;
    *snaps = ret.snapshots.val;
    *n = ret.snapshots.len;
    return TRUE;
}

static gboolean find_start(VireoCli *cli, vireo_domain_snapshot_ref *ret, GError **error)
{
    vireo_domain_snapshot_lookup_by_name_args find = { .name = (char *)vireo_cli_text(cli, "from") };
    vireo_domain_snapshot_lookup_by_name_ret found;
    vireo_domain_snapshot_current_args current = { 0 };
    vireo_domain_snapshot_current_ret current_ret;

    if (!vireo_cli_domain(cli, &find.dom, error))
        return FALSE;
    if (find.name) {
        if (!VIREO_CALL(cli->client, domain_snapshot_lookup_by_name, cli->arena, error, &find, &found))
            return FALSE;
        *ret = found.snap;
        return TRUE;
    }
    current.dom = find.dom;
    if (!VIREO_CALL(cli->client, domain_snapshot_current, cli->arena, error, &current, &current_ret))
        return FALSE;
    *ret = current_ret.snap;
    return TRUE;
}

static gboolean list_from(VireoCli *cli, guint32 flags, vireo_domain_snapshot_ref **snaps, guint *n,
                          GError **error)
{
    vireo_domain_snapshot_list_all_children_args args = { .need_results = 1, .flags = flags };
    vireo_domain_snapshot_list_all_children_ret ret;

    if (!find_start(cli, &args.snapshot, error) ||
        !VIREO_CALL(cli->client, domain_snapshot_list_all_children, cli->arena, error, &args, &ret))
        return FALSE;
    *snaps = ret.snapshots.val;
    *n = ret.snapshots.len;
    return TRUE;
}

/* ---- how ---- */

static char *format_time(gint64 seconds)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(seconds);

    return time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S %z") : g_strdup("");
}

static void print_table(VireoCli *cli, GArray *rows)
{
    gboolean parent = vireo_cli_on(cli, "parent");
    g_autoptr(VireoCliTable) table =
        vireo_cli_table_new("Name", "Creation Time", "State", parent ? "Parent" : NULL, NULL);

    for (guint i = 0; i < rows->len; i++) {
        const Row *row = &g_array_index(rows, Row, i);
        g_autofree char *time = format_time(row->created);

        vireo_cli_table_row(table, row->name, time, row->state ? row->state : "",
                            parent ? (row->parent ? row->parent : "") : NULL, NULL);
    }
    vireo_cli_table_print(cli, table);
}

static void print_json(GArray *rows)
{
    JsonArray *array = json_array_new();
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);

    for (guint i = 0; i < rows->len; i++) {
        const Row *row = &g_array_index(rows, Row, i);
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "name", row->name);
        if (row->parent)
            json_object_set_string_member(object, "parent", row->parent);
        else
            json_object_set_null_member(object, "parent");
        json_object_set_string_member(object, "state", row->state ? row->state : "");
        json_object_set_int_member(object, "creation_time", row->created);
        json_array_add_object_element(array, object);
    }
    json_node_take_array(node, array);
    vireo_cli_print_json(node, TRUE);
}

static gboolean is_child(const Row *row, const char *parent)
{
    return parent ? g_strcmp0(row->parent, parent) == 0 : !row->shown;
}

/* prefix: what stands before the branches at this depth. A name is visited once: it has one parent. */
static void print_branches(GArray *rows, const char *parent, const char *prefix)
{
    gint last = -1;

    for (guint i = 0; i < rows->len; i++)
        if (is_child(&g_array_index(rows, Row, i), parent))
            last = i;
    for (gint i = 0; i <= last; i++) {
        const Row *row = &g_array_index(rows, Row, i);
        g_autofree char *deeper = NULL;

        if (!is_child(row, parent))
            continue;
        if (!parent) {
            printf("%s\n", row->name);
            deeper = g_strdup("  ");
        } else {
            printf("%s|\n%s+- %s\n", prefix, prefix, row->name);
            deeper = g_strdup_printf("%s%s   ", prefix, i == last ? " " : "|");
        }
        print_branches(rows, row->name, deeper);
        if (!parent)
            putchar('\n');
    }
}

static void print_tree(GArray *rows)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < rows->len; i++)
        g_hash_table_add(names, (gpointer)g_array_index(rows, Row, i).name);
    for (guint i = 0; i < rows->len; i++) {
        Row *row = &g_array_index(rows, Row, i);

        row->shown = row->parent && g_hash_table_contains(names, row->parent);
    }
    print_branches(rows, NULL, "");
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(((const vireo_domain_snapshot_ref *)a)->name,
                  ((const vireo_domain_snapshot_ref *)b)->name);
}

static gboolean check_options(VireoCli *cli, GError **error)
{
    gboolean from = vireo_cli_on(cli, "from"), current = vireo_cli_on(cli, "current");

    if (from && current)
        return vireo_cli_usage(error, "'--from' and '--current' exclude each other");
    if (vireo_cli_on(cli, "descendants") && !from && !current)
        return vireo_cli_usage(error, "'--descendants' needs --from or --current");
    if (from && current + vireo_cli_on(cli, "roots"))
        return vireo_cli_usage(error, "'--from' and '--roots' exclude each other");
    if (vireo_cli_on(cli, "tree") + vireo_cli_on(cli, "parent") + vireo_cli_on(cli, "name") > 1)
        return vireo_cli_usage(error, "'--tree', '--parent' and '--name' exclude each other");
    return TRUE;
}

gboolean vireo_cli_snapshot_list(VireoCli *cli, GError **error)
{
    g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(Row));
    gboolean below = vireo_cli_on(cli, "from") || vireo_cli_on(cli, "current");
    vireo_domain_snapshot_ref *snaps = NULL;
    guint64 flags;
    guint n = 0;

    g_array_set_clear_func(rows, row_clear);
    if (!check_options(cli, error) || !vireo_cli_flags(cli, &flags, error))
        return FALSE;
    if (below ? !list_from(cli, (guint32)flags, &snaps, &n, error)
              : !list_all(cli, (guint32)flags, &snaps, &n, error))
        return FALSE;
    if (!vireo_cli_on(cli, "topological"))
        qsort(snaps, n, sizeof(*snaps), by_name);
    if (vireo_cli_on(cli, "name") && !cli->json) {
        for (guint i = 0; i < n; i++)
            printf("%s\n", snaps[i].name);
        return TRUE;
    }
    if (!fetch_all(cli, snaps, n, rows, error))
        return FALSE;
    if (cli->json)
        print_json(rows);
    else if (vireo_cli_on(cli, "tree"))
        print_tree(rows);
    else
        print_table(cli, rows);
    return TRUE;
}
