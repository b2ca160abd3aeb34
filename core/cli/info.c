/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that show domains. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const VireoCliOperand one_domain[] = {
    { "domain", VIREO_CLI_DOMAIN, FALSE, FALSE, "name, id or UUID" },
    { NULL, 0, FALSE, FALSE, NULL },
};

/* ---- list ---- */

static int by_id_then_name(gconstpointer a, gconstpointer b)
{
    const vireo_domain_ref *one = a, *other = b;

    if ((one->id < 0) != (other->id < 0))
        return one->id < 0 ? 1 : -1;
    if (one->id != other->id)
        return one->id < other->id ? -1 : 1;
    return strcmp(one->name, other->name);
}

static gboolean get_state(VireoCli *cli, const vireo_domain_ref *dom, vireo_domain_get_state_ret *ret,
                          GError **error)
{
    vireo_domain_get_state_args args = { .dom = *dom };

    return VIREO_CALL(cli->client, domain_get_state, cli->arena, error, &args, ret);
}

/* A domain that went away between the list and the question is left out, as if it never was there. */
static gboolean is_gone(GError *error)
{
    return g_error_matches(error, VIREO_ERROR, VIREO_ERR_NO_DOMAIN);
}

static JsonObject *domain_object(const vireo_domain_ref *dom)
{
    JsonObject *object = json_object_new();
    char uuid[37];

    vireo_uuid_format(dom->uuid, uuid);
    if (dom->id < 0)
        json_object_set_null_member(object, "id");
    else
        json_object_set_int_member(object, "id", dom->id);
    json_object_set_string_member(object, "name", dom->name);
    json_object_set_string_member(object, "uuid", uuid);
    return object;
}

static gboolean list_rows(VireoCli *cli, const vireo_connect_list_all_domains_ret *list, GError **error)
{
    g_autoptr(JsonArray) array = json_array_new();
    g_autoptr(VireoCliTable) table = vireo_cli_table_new("Id", "Name", "State", NULL);
    JsonNode *node;

    for (guint i = 0; i < list->domains.len; i++) {
        const vireo_domain_ref *dom = &list->domains.val[i];
        g_autofree char *id = dom->id < 0 ? g_strdup("-") : g_strdup_printf("%d", dom->id);
        g_autoptr(GError) problem = NULL;
        vireo_domain_get_state_ret state;
        JsonObject *object;

        if (!get_state(cli, dom, &state, &problem)) {
            if (is_gone(problem))
                continue;
            g_propagate_error(error, g_steal_pointer(&problem));
            return FALSE;
        }
        object = domain_object(dom);
        json_object_set_string_member(object, "state", vireo_cli_state_name(state.state));
        json_object_set_string_member(object, "reason",
                                      vireo_cli_reason_name(state.state, state.reason));
        json_array_add_object_element(array, object);
        vireo_cli_table_row(table, id, dom->name, vireo_cli_state_name(state.state), NULL);
    }
    if (!cli->json) {
        vireo_cli_table_print(cli, table);
        return TRUE;
    }
    node = json_node_new(JSON_NODE_ARRAY);
    json_node_set_array(node, array);
    vireo_cli_print_json(node, TRUE);
    return TRUE;
}

static gboolean list_plain(VireoCli *cli, const vireo_connect_list_all_domains_ret *list)
{
    gboolean uuid = vireo_cli_on(cli, "uuid"), name = vireo_cli_on(cli, "name");
    gboolean id = vireo_cli_on(cli, "id");

    if (!uuid && !name && !id)
        return FALSE;
    for (guint i = 0; i < list->domains.len; i++) {
        const vireo_domain_ref *dom = &list->domains.val[i];
        char text[37];

        vireo_uuid_format(dom->uuid, text);
        if (id && dom->id >= 0)
            printf("%d%s", dom->id, uuid || name ? " " : "");
        else if (id)
            printf("-%s", uuid || name ? " " : "");
        printf("%s%s%s\n", uuid ? text : "", uuid && name ? " " : "", name ? dom->name : "");
    }
    return TRUE;
}

static gboolean run_list(VireoCli *cli, GError **error)
{
    vireo_connect_list_all_domains_args args = { .need_results = 1 };
    vireo_connect_list_all_domains_ret ret;
    guint64 flags;

    if (!vireo_cli_flags(cli, &flags, error))
        return FALSE;
    args.flags = (guint32)flags;
    if (!vireo_cli_on(cli, "all") && !vireo_cli_on(cli, "inactive"))
        args.flags |= VIREO_CONNECT_LIST_DOMAINS_ACTIVE;
    if (vireo_cli_on(cli, "all"))
        args.flags &= ~(guint32)VIREO_CONNECT_LIST_DOMAINS_INACTIVE;
    if (!VIREO_CALL(cli->client, connect_list_all_domains, cli->arena, error, &args, &ret))
        return FALSE;
    qsort(ret.domains.val, ret.domains.len, sizeof(vireo_domain_ref), by_id_then_name);
    return (!cli->json && list_plain(cli, &ret)) || list_rows(cli, &ret, error);
}

static const VireoCliOption list_options[] = {
    { "all", VIREO_CLI_BOOL, NULL, "domains that run and domains that do not" },
    { "inactive", VIREO_CLI_FLAG, "INACTIVE", "domains that do not run" },
    { "persistent", VIREO_CLI_FLAG, "PERSISTENT", "with a stored definition" },
    { "transient", VIREO_CLI_FLAG, "TRANSIENT", "without one" },
    { "state-running", VIREO_CLI_FLAG, "RUNNING", "running ones" },
    { "state-paused", VIREO_CLI_FLAG, "PAUSED", "paused ones" },
    { "state-shutoff", VIREO_CLI_FLAG, "SHUTOFF", "shut off ones" },
    { "state-other", VIREO_CLI_FLAG, "OTHER", "in any other state" },
    { "autostart", VIREO_CLI_FLAG, "AUTOSTART", "that start with the host" },
    { "no-autostart", VIREO_CLI_FLAG, "NO_AUTOSTART", "that do not" },
    { "with-snapshot", VIREO_CLI_FLAG, "HAS_SNAPSHOT", "with snapshots" },
    { "without-snapshot", VIREO_CLI_FLAG, "NO_SNAPSHOT", "without" },
    { "with-checkpoint", VIREO_CLI_FLAG, "HAS_CHECKPOINT", "with checkpoints" },
    { "without-checkpoint", VIREO_CLI_FLAG, "NO_CHECKPOINT", "without" },
    { "with-managed-save", VIREO_CLI_FLAG, "MANAGEDSAVE", "with a saved state" },
    { "without-managed-save", VIREO_CLI_FLAG, "NO_MANAGEDSAVE", "without" },
    { "name", VIREO_CLI_BOOL, NULL, "print names only" },
    { "uuid", VIREO_CLI_BOOL, NULL, "print UUIDs only" },
    { "id", VIREO_CLI_BOOL, NULL, "print ids only" },
    { "table", VIREO_CLI_BOOL, NULL, "print a table (default)" },
    { NULL, 0, NULL, NULL },
};

/* ---- state, information, XML ---- */

static gboolean run_domstate(VireoCli *cli, GError **error)
{
    vireo_domain_ref dom;
    vireo_domain_get_state_ret ret;
    JsonObject *object;

    if (!vireo_cli_domain(cli, &dom, error) || !get_state(cli, &dom, &ret, error))
        return FALSE;
    if (cli->json) {
        object = json_object_new();
        json_object_set_string_member(object, "state", vireo_cli_state_name(ret.state));
        json_object_set_string_member(object, "reason", vireo_cli_reason_name(ret.state, ret.reason));
        vireo_cli_print_object(object);
    } else if (vireo_cli_on(cli, "reason")) {
        printf("%s (%s)\n", vireo_cli_state_name(ret.state), vireo_cli_reason_name(ret.state, ret.reason));
    } else {
        printf("%s\n", vireo_cli_state_name(ret.state));
    }
    return TRUE;
}

/* What a driver need not offer is left out, not an error. */
static void add_optional_facts(VireoCli *cli, VireoCliFacts *facts, const vireo_domain_ref *dom)
{
    vireo_domain_is_persistent_args persistent = { .dom = *dom };
    vireo_domain_is_persistent_ret persistent_ret;
    vireo_domain_get_autostart_args autostart = { .dom = *dom };
    vireo_domain_get_autostart_ret autostart_ret;
    vireo_domain_has_managed_save_image_args saved = { .dom = *dom };
    vireo_domain_has_managed_save_image_ret saved_ret;

    if (VIREO_CALL(cli->client, domain_is_persistent, cli->arena, NULL, &persistent, &persistent_ret))
        vireo_cli_fact_bool(facts, "Persistent", "persistent", persistent_ret.persistent, "yes", "no");
    if (VIREO_CALL(cli->client, domain_get_autostart, cli->arena, NULL, &autostart, &autostart_ret))
        vireo_cli_fact_bool(facts, "Autostart", "autostart", autostart_ret.autostart, "enable", "disable");
    if (VIREO_CALL(cli->client, domain_has_managed_save_image, cli->arena, NULL, &saved, &saved_ret))
        vireo_cli_fact_bool(facts, "Managed save", "managed_save", saved_ret.result, "yes", "no");
}

static gboolean run_dominfo(VireoCli *cli, GError **error)
{
    vireo_domain_get_info_args args = { 0 };
    vireo_domain_get_info_ret info;
    vireo_domain_get_os_type_args os_args;
    vireo_domain_get_os_type_ret os;
    VireoCliFacts *facts;
    char uuid[37];

    if (!vireo_cli_domain(cli, &args.dom, error) ||
        !VIREO_CALL(cli->client, domain_get_info, cli->arena, error, &args, &info))
        return FALSE;
    facts = vireo_cli_facts_new();
    vireo_uuid_format(args.dom.uuid, uuid);
    if (args.dom.id >= 0)
        vireo_cli_fact_int(facts, "Id", "id", args.dom.id, NULL);
    else if (!cli->json)
        vireo_cli_fact(facts, "Id", "id", "-");
    vireo_cli_fact(facts, "Name", "name", "%s", args.dom.name);
    vireo_cli_fact(facts, "UUID", "uuid", "%s", uuid);
    os_args.dom = args.dom;
    if (VIREO_CALL(cli->client, domain_get_os_type, cli->arena, NULL, &os_args, &os))
        vireo_cli_fact(facts, "OS Type", "os_type", "%s", os.type);
    vireo_cli_fact(facts, "State", "state", "%s", vireo_cli_state_name(info.state));
    vireo_cli_fact_int(facts, "CPU(s)", "vcpus", info.nrVirtCpu, NULL);
    if (cli->json)
        vireo_cli_fact_int(facts, "CPU time", "cpu_time_ns", (gint64)info.cpuTime, NULL);
    else if (info.cpuTime)
        vireo_cli_fact(facts, "CPU time", "cpu_time", "%.1fs", (double)info.cpuTime / 1e9);
    vireo_cli_fact_int(facts, "Max memory", "max_memory_kib", (gint64)info.maxMem, "KiB");
    vireo_cli_fact_int(facts, "Used memory", "memory_kib", (gint64)info.memory, "KiB");
    add_optional_facts(cli, facts, &args.dom);
    vireo_cli_facts_print(cli, facts);
    return TRUE;
}

static gboolean run_dumpxml(VireoCli *cli, GError **error)
{
    vireo_domain_get_xml_desc_args args = { 0 };
    vireo_domain_get_xml_desc_ret ret;
    guint64 flags;

    if (!vireo_cli_flags(cli, &flags, error) || !vireo_cli_domain(cli, &args.dom, error))
        return FALSE;
    args.flags = (guint32)flags;
    return VIREO_CALL(cli->client, domain_get_xml_desc, cli->arena, error, &args, &ret) &&
           vireo_cli_print_document(cli, ret.xml, error);
}

static const VireoCliOption domstate_options[] = {
    { "reason", VIREO_CLI_BOOL, NULL, "say why, too" },
    { NULL, 0, NULL, NULL },
};
static const VireoCliOption dumpxml_options[] = {
    { "inactive", VIREO_CLI_FLAG, "INACTIVE", "the stored definition of a running domain" },
    { "security-info", VIREO_CLI_FLAG, "SECURE", "with passwords" },
    { "update-cpu", VIREO_CLI_FLAG, "UPDATE_CPU", "with the CPU expanded for this host" },
    { "migratable", VIREO_CLI_FLAG, "MIGRATABLE", "fit for another host" },
    VIREO_CLI_XPATH_OPTIONS,
    { NULL, 0, NULL, NULL },
};

/* ---- statistics ---- */

static const struct {
    const char *option;
    guint32 bit;
} stats_kinds[] = {
    { "state", VIREO_DOMAIN_STATS_STATE },         { "cpu-total", VIREO_DOMAIN_STATS_CPU_TOTAL },
    { "balloon", VIREO_DOMAIN_STATS_BALLOON },     { "vcpu", VIREO_DOMAIN_STATS_VCPU },
    { "interface", VIREO_DOMAIN_STATS_INTERFACE }, { "block", VIREO_DOMAIN_STATS_BLOCK },
    { "perf", VIREO_DOMAIN_STATS_PERF },           { "iothread", VIREO_DOMAIN_STATS_IOTHREAD },
    { "memory", VIREO_DOMAIN_STATS_MEMORY },       { "dirtyrate", VIREO_DOMAIN_STATS_DIRTYRATE },
    { "vm", VIREO_DOMAIN_STATS_VM },
};

static gboolean find_domains(VireoCli *cli, vireo_connect_get_all_domain_stats_args *args,
                             GError **error)
{
    guint n = cli->many->len;

    args->doms.val = vireo_arena_alloc(cli->arena, n * sizeof(vireo_domain_ref));
    args->doms.len = n;
    for (guint i = 0; i < n; i++)
        if (!vireo_client_find_domain(cli->client, cli->many->pdata[i], cli->arena, &args->doms.val[i],
                                      error))
            return FALSE;
    return TRUE;
}

/* One typed parameter as text, and as a member of the object. */
static char *take_param(const vireo_typed_param *param, JsonObject *object)
{
    const vireo_typed_param_value *value = &param->value;

    switch (value->type) {
    case VIREO_TYPED_PARAM_INT:
        json_object_set_int_member(object, param->field, value->i);
        return g_strdup_printf("%d", value->i);
    case VIREO_TYPED_PARAM_UINT:
        json_object_set_int_member(object, param->field, value->ui);
        return g_strdup_printf("%u", value->ui);
    case VIREO_TYPED_PARAM_LLONG:
        json_object_set_int_member(object, param->field, value->l);
        return g_strdup_printf("%" G_GINT64_FORMAT, value->l);
    case VIREO_TYPED_PARAM_ULLONG:
        json_object_set_int_member(object, param->field, (gint64)MIN(value->ul, G_MAXINT64));
        return g_strdup_printf("%" G_GUINT64_FORMAT, value->ul);
    case VIREO_TYPED_PARAM_DOUBLE:
        json_object_set_double_member(object, param->field, value->d);
        return g_strdup_printf("%g", value->d);
    case VIREO_TYPED_PARAM_BOOLEAN:
        json_object_set_boolean_member(object, param->field, value->b != 0);
        return g_strdup(value->b ? "yes" : "no");
    default:
        json_object_set_string_member(object, param->field, value->s);
        return g_strdup(value->s);
    }
}

static gboolean run_domstats(VireoCli *cli, GError **error)
{
    vireo_connect_get_all_domain_stats_args args = { 0 };
    vireo_connect_get_all_domain_stats_ret ret;
    JsonArray *array;
    JsonNode *node;
    guint64 flags;

    if (!vireo_cli_flags(cli, &flags, error) || !find_domains(cli, &args, error))
        return FALSE;
    args.flags = (guint32)flags;
    for (guint i = 0; i < G_N_ELEMENTS(stats_kinds); i++)
        if (vireo_cli_on(cli, stats_kinds[i].option))
            args.stats |= stats_kinds[i].bit;
    if (!VIREO_CALL(cli->client, connect_get_all_domain_stats, cli->arena, error, &args, &ret))
        return FALSE;
    array = json_array_new();
    for (guint i = 0; i < ret.retStats.len; i++) {
        const vireo_domain_stats_record *record = &ret.retStats.val[i];
        JsonObject *object = domain_object(&record->dom), *values = json_object_new();

        if (!cli->json)
            printf("Domain: '%s'\n", record->dom.name);
        for (guint j = 0; j < record->params.len; j++) {
            g_autofree char *text = take_param(&record->params.val[j], values);

            if (!cli->json)
                printf("  %s=%s\n", record->params.val[j].field, text);
        }
        json_object_set_object_member(object, "stats", values);
        json_array_add_object_element(array, object);
        if (!cli->json)
            putchar('\n');
    }
    node = json_node_new(JSON_NODE_ARRAY);
    json_node_take_array(node, array);
    if (cli->json)
        vireo_cli_print_json(node, TRUE);
    else
        json_node_unref(node);
    return TRUE;
}

/* ---- screenshot ---- */

static char *screenshot_name(const char *domain, const char *mime)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now, "%Y-%m-%d-%H:%M:%S");
    const char *kind = g_str_has_suffix(mime, "png") ? "png" : "ppm";
    char *name = g_strdup_printf("%s-%s.%s", domain, time, kind);

    /* A domain's name is not ours: it must not lead out of this folder. */
    return g_strdelimit(name, "/", '_');
}

static gboolean run_screenshot(VireoCli *cli, GError **error)
{
    vireo_domain_screenshot_args args = { 0 };
    vireo_domain_screenshot_ret ret;
    g_autoptr(VireoStream) stream = NULL;
    g_autofree char *path = NULL;
    VireoClientCall call = { .op = vireo_op_by_id(VIREO_OP_domain_screenshot), .args = &args,
                             .ret = &ret, .arena = cli->arena, .stream = &stream };
    gint64 screen;
    gboolean ok;
    int fd;

    if (!vireo_cli_number(cli, "screen", 0, &screen, error) || !vireo_cli_domain(cli, &args.dom, error))
        return FALSE;
    args.screen = (guint32)screen;
    if (!vireo_client_call_full(cli->client, &call, error))
        return FALSE;
    path = vireo_cli_text(cli, "file") ? g_strdup(vireo_cli_text(cli, "file"))
                                       : screenshot_name(args.dom.name, ret.mime ? ret.mime : "");
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPEN_FAILED, "cannot write '%s': %m", path);
        return FALSE;
    }
    ok = vireo_cli_move_stream(stream, FALSE, fd, error);
    close(fd);
    if (ok)
        vireo_cli_done(cli, "screenshot", args.dom.name, NULL, "Screenshot saved to %s, with type of %s",
                       path, ret.mime ? ret.mime : "unknown");
    return ok;
}

static const VireoCliOperand screenshot_operands[] = {
    { "domain", VIREO_CLI_DOMAIN, FALSE, FALSE, "name, id or UUID" },
    { "file", VIREO_CLI_FILE, TRUE, FALSE, "where to; a name with the time unless given" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOption screenshot_options[] = {
    { "screen", VIREO_CLI_INT, "N", "which screen, the first unless given" },
    { NULL, 0, NULL, NULL },
};
static const VireoCliOperand domstats_operands[] = {
    { "domain", VIREO_CLI_DOMAIN, TRUE, TRUE, "only these" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOption domstats_options[] = {
    { "state", VIREO_CLI_BOOL, NULL, "state" },
    { "cpu-total", VIREO_CLI_BOOL, NULL, "CPU time" },
    { "balloon", VIREO_CLI_BOOL, NULL, "memory balloon" },
    { "vcpu", VIREO_CLI_BOOL, NULL, "virtual CPUs" },
    { "interface", VIREO_CLI_BOOL, NULL, "network interfaces" },
    { "block", VIREO_CLI_BOOL, NULL, "block devices" },
    { "perf", VIREO_CLI_BOOL, NULL, "performance events" },
    { "iothread", VIREO_CLI_BOOL, NULL, "I/O threads" },
    { "memory", VIREO_CLI_BOOL, NULL, "memory bandwidth" },
    { "dirtyrate", VIREO_CLI_BOOL, NULL, "rate of memory writes" },
    { "vm", VIREO_CLI_BOOL, NULL, "what only this hypervisor knows" },
    { "list-active", VIREO_CLI_FLAG, "ACTIVE", "domains that run" },
    { "list-inactive", VIREO_CLI_FLAG, "INACTIVE", "domains that do not" },
    { "list-persistent", VIREO_CLI_FLAG, "PERSISTENT", "with a stored definition" },
    { "list-transient", VIREO_CLI_FLAG, "TRANSIENT", "without one" },
    { "list-running", VIREO_CLI_FLAG, "RUNNING", "running ones" },
    { "list-paused", VIREO_CLI_FLAG, "PAUSED", "paused ones" },
    { "list-shutoff", VIREO_CLI_FLAG, "SHUTOFF", "shut off ones" },
    { "list-other", VIREO_CLI_FLAG, "OTHER", "in any other state" },
    { "backing", VIREO_CLI_FLAG, "BACKING", "with the backing chain of block devices" },
    { "nowait", VIREO_CLI_FLAG, "NOWAIT", "only what can be had at once" },
    { "enforce", VIREO_CLI_FLAG, "ENFORCE_STATS", "fail when a kind asked for is not supported" },
    { NULL, 0, NULL, NULL },
};

const VireoCliCommand vireo_cli_info_commands[] = {
    { "list", NULL, "list domains", "connect_list_all_domains", NULL, list_options, run_list,
      VIREO_CLI_CONNECT, "Running domains are listed unless --all or --inactive is given." },
    { "domstate", NULL, "show a domain's state", NULL, one_domain, domstate_options, run_domstate,
      VIREO_CLI_CONNECT, NULL },
    { "dominfo", NULL, "show a domain's basic facts", NULL, one_domain, NULL, run_dominfo,
      VIREO_CLI_CONNECT, NULL },
    { "dumpxml", NULL, "print a domain's XML", "domain_get_xml_desc", one_domain, dumpxml_options,
      run_dumpxml, VIREO_CLI_CONNECT, NULL },
    { "domstats", NULL, "print statistics of domains", "connect_get_all_domain_stats",
      domstats_operands, domstats_options, run_domstats, VIREO_CLI_CONNECT,
      "Without a kind of statistics all kinds are printed." },
    { "screenshot", NULL, "save a picture of a domain's screen", "domain_screenshot",
      screenshot_operands, screenshot_options, run_screenshot, VIREO_CLI_CONNECT, NULL },
    { NULL },
};
