/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands about driver modules and what can be done through them, over our own program. */
#include <string.h>

#include "cli/cli.h"

/* Names of flags; an empty array when the operation is not in this client's catalogue. */
static JsonArray *flags_array(const VireoOp *op, guint64 flags)
{
    JsonArray *array = json_array_new();

    for (const VireoFlag *f = op ? op->flags : NULL; f && f->name; f++)
        if (flags & f->bit)
            json_array_add_string_element(array, f->name);
    return array;
}

static char *flags_text(const VireoOp *op, guint64 flags)
{
    if (!flags)
        return g_strdup("-");
    return op ? vireo_op_flag_names(op, flags) : g_strdup_printf("0x%" G_GINT64_MODIFIER "x", flags);
}

/* ---- where drivers run ---- */

/* None when the daemon is too old to tell. */
static const vireo_driver_place *place_of(const vireo_vireo_driver_places_ret *places, const char *name)
{
    for (guint i = 0; i < places->places.len; i++)
        if (strcmp(places->places.val[i].name, name) == 0)
            return &places->places.val[i];
    return NULL;
}

static void ask_places(VireoCli *cli, vireo_vireo_driver_places_ret *places)
{
    g_autoptr(GError) ignored = NULL;

    if (!VIREO_CALL(cli->client, vireo_driver_places, cli->arena, &ignored, places))
        *places = (vireo_vireo_driver_places_ret){ 0 };
}

static char *place_text(const vireo_driver_place *place)
{
    if (!place || strcmp(place->isolation, "process") != 0)
        return g_strdup("-");
    return place->pid ? g_strdup_printf("%d", place->pid) : g_strdup("none");
}

static void add_place(JsonObject *object, const vireo_driver_place *place)
{
    if (!place)
        return;
    json_object_set_string_member(object, "isolation", place->isolation);
    json_object_set_string_member(object, "user", place->user);
    json_object_set_int_member(object, "pid", place->pid);
    json_object_set_int_member(object, "starts", place->starts);
    json_object_set_int_member(object, "since", place->since);
}

static void add_places(JsonNode *drivers, const vireo_vireo_driver_places_ret *places)
{
    JsonArray *array = json_node_get_array(drivers);

    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonObject *object = json_array_get_object_element(array, i);

        add_place(object, place_of(places, json_object_get_string_member(object, "name")));
    }
}

/* ---- drivers ---- */

static gboolean run_drivers(VireoCli *cli, GError **error)
{
    vireo_vireo_driver_list_ret ret;
    vireo_vireo_driver_places_ret places;
    g_autoptr(VireoCliTable) table = NULL;
    JsonNode *node;

    if (!VIREO_CALL(cli->client, vireo_driver_list, cli->arena, error, &ret))
        return FALSE;
    ask_places(cli, &places);
    if (cli->json) {
        g_autoptr(JsonNode) all = vireo_wire_to_json(vireo_op_by_id(VIREO_OP_vireo_driver_list)->ret, &ret);

        node = json_object_dup_member(json_node_get_object(all), "drivers");
        add_places(node, &places);
        vireo_cli_print_json(node, TRUE);
        return TRUE;
    }
    table = vireo_cli_table_new("Name", "Version", "State", "Process", "Schemes", "Operations", "Reason", NULL);
    for (guint i = 0; i < ret.drivers.len; i++) {
        const vireo_driver_info *driver = &ret.drivers.val[i];
        g_autofree char *n_ops = g_strdup_printf("%u", driver->n_ops);
        g_autofree char *process = place_text(place_of(&places, driver->name));

        vireo_cli_table_row(table, driver->name, driver->version, driver->state, process, driver->schemes, n_ops,
                            driver->reason, NULL);
    }
    vireo_cli_table_print(cli, table);
    return TRUE;
}

/* ---- how operations are offered ---- */

static const char *answer_word(int answer)
{
    static const char *const words[] = { "no", "native", "trivial", "derived", "core" };

    return answer >= 0 && answer < (int)G_N_ELEMENTS(words) ? words[answer] : "unknown";
}

static char *spoken(const char *name)
{
    return g_strdelimit(g_strdup(name), "_", '-');
}

static JsonArray *not_now_array(const VireoOp *op, const vireo_op_offer *offer)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < offer->not_now.len; i++) {
        JsonObject *one = json_object_new();

        json_object_set_array_member(one, "flags", flags_array(op, offer->not_now.val[i].flags));
        json_object_set_string_member(one, "reason", offer->not_now.val[i].reason);
        json_array_add_object_element(array, one);
    }
    return array;
}

static JsonObject *offer_object(const vireo_op_offer *offer)
{
    const VireoOp *op = vireo_op_by_id(offer->id);
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "op", offer->name);
    json_object_set_boolean_member(object, "can", offer->answer != VIREO_CAN_NO);
    json_object_set_string_member(object, "how", answer_word(offer->answer));
    json_object_set_string_member(object, "by", offer->by);
    json_object_set_array_member(object, "native", flags_array(op, offer->native));
    json_object_set_array_member(object, "trivial", flags_array(op, offer->trivial));
    json_object_set_array_member(object, "active", flags_array(op, offer->active));
    json_object_set_array_member(object, "inactive", flags_array(op, offer->inactive));
    json_object_set_array_member(object, "known", flags_array(op, offer->known));
    json_object_set_array_member(object, "now", flags_array(op, offer->now));
    json_object_set_array_member(object, "not_now", not_now_array(op, offer));
    json_object_set_string_member(object, "reason", offer->reason);
    return object;
}

/* "derived from domain-create-with-flags", "native" ... */
static char *offer_how(const vireo_op_offer *offer)
{
    g_autofree char *by = spoken(offer->by);

    return offer->answer == VIREO_CAN_DERIVED ? g_strdup_printf("derived from %s", by)
                                              : g_strdup(answer_word(offer->answer));
}

/* ---- driver NAME ---- */

static void print_driver_json(const vireo_vireo_driver_get_ret *ret, const vireo_vireo_driver_ops_ret *offers,
                              const vireo_driver_place *place)
{
    g_autoptr(JsonNode) all = vireo_wire_to_json(vireo_op_by_id(VIREO_OP_vireo_driver_get)->ret, ret);
    JsonObject *root = json_node_get_object(all), *object;
    JsonArray *ops = json_array_new(), *offered = json_array_new();

    object = json_object_ref(json_object_get_object_member(root, "driver"));
    for (guint i = 0; i < ret->ops.len; i++) {
        const vireo_driver_op *row = &ret->ops.val[i];
        const VireoOp *op = vireo_op_by_id(row->id);
        JsonObject *one = json_object_new();

        json_object_set_int_member(one, "id", row->id);
        json_object_set_string_member(one, "name", row->name);
        json_object_set_array_member(one, "native", flags_array(op, row->native));
        json_object_set_array_member(one, "trivial", flags_array(op, row->trivial));
        json_object_set_array_member(one, "active", flags_array(op, row->active));
        json_object_set_array_member(one, "inactive", flags_array(op, row->inactive));
        json_array_add_object_element(ops, one);
    }
    for (guint i = 0; i < offers->ops.len; i++)
        json_array_add_object_element(offered, offer_object(&offers->ops.val[i]));
    add_place(object, place);
    json_object_set_array_member(object, "ops", ops);
    json_object_set_array_member(object, "offers", offered);
    vireo_cli_print_object(object);
}

static void print_driver_facts(VireoCli *cli, const vireo_driver_info *driver, const vireo_driver_place *place)
{
    VireoCliFacts *facts = vireo_cli_facts_new();

    vireo_cli_fact(facts, "Name", "name", "%s", driver->name);
    vireo_cli_fact(facts, "Version", "version", "%s", driver->version);
    vireo_cli_fact(facts, "State", "state", "%s", driver->state);
    if (*driver->reason)
        vireo_cli_fact(facts, "Reason", "reason", "%s", driver->reason);
    vireo_cli_fact(facts, "URI schemes", "schemes", "%s", driver->schemes);
    vireo_cli_fact(facts, "Module", "path", "%s", driver->path);
    if (g_str_has_suffix(driver->path, ".so")) /* not the socket of a daemon */
        vireo_cli_fact(facts, "ABI", "abi", "%u.%u", driver->abi_major, driver->abi_target);
    vireo_cli_fact(facts, "Threads", "threads", "%s", driver->threads);
    if (place)
        vireo_cli_fact(facts, "Isolation", "isolation", "%s", place->isolation);
    if (place && *place->user)
        vireo_cli_fact(facts, "User", "user", "%s", place->user);
    if (place && place->pid)
        vireo_cli_fact(facts, "Process", "pid", "%d", place->pid);
    if (place && place->starts > 1)
        vireo_cli_fact(facts, "Starts", "starts", "%u", place->starts);
    vireo_cli_facts_print(cli, facts);
    putchar('\n');
}

static void print_offers(VireoCli *cli, const vireo_op_offer *offers, guint n, gboolean all)
{
    g_autoptr(VireoCliTable) table =
        vireo_cli_table_new("Operation", "Served", "Native flags", "Trivial flags", NULL);

    for (guint i = 0; i < n; i++) {
        const VireoOp *op = vireo_op_by_id(offers[i].id);
        g_autofree char *name = spoken(offers[i].name);
        g_autofree char *how = offer_how(&offers[i]);
        g_autofree char *native = flags_text(op, offers[i].native);
        g_autofree char *trivial = flags_text(op, offers[i].trivial);

        if (all || offers[i].answer != VIREO_CAN_NO)
            vireo_cli_table_row(table, name, how, native, trivial, NULL);
    }
    vireo_cli_table_print(cli, table);
}

static gboolean run_driver(VireoCli *cli, GError **error)
{
    vireo_vireo_driver_get_args args = { .name = (char *)vireo_cli_text(cli, "driver") };
    vireo_vireo_driver_ops_args which = { .name = args.name };
    vireo_vireo_driver_get_ret ret;
    vireo_vireo_driver_ops_ret offers = { 0 };
    vireo_vireo_driver_places_ret places;
    const vireo_driver_place *place;

    if (!VIREO_CALL(cli->client, vireo_driver_get, cli->arena, error, &args, &ret))
        return FALSE;
    /* A module without a readable note has none. */
    if (ret.ops.len && !VIREO_CALL(cli->client, vireo_driver_ops, cli->arena, error, &which, &offers))
        return FALSE;
    ask_places(cli, &places);
    place = place_of(&places, ret.driver.name);
    if (cli->json) {
        print_driver_json(&ret, &offers, place);
        return TRUE;
    }
    print_driver_facts(cli, &ret.driver, place);
    print_offers(cli, offers.ops.val, offers.ops.len, vireo_cli_on(cli, "all"));
    return TRUE;
}

/* ---- can ---- */

enum { EXIT_NO = 1, EXIT_NO_ANSWER = 3 };

static const char *wanted_uri(VireoCli *cli)
{
    const char *uri = vireo_cli_text(cli, "connect");

    if (!uri)
        uri = g_getenv("VIREO_DEFAULT_URI");
    if (!uri || !*uri)
        uri = g_getenv("LIBVIRT_DEFAULT_URI");
    return uri && *uri ? uri : NULL;
}

static const char *wanted_flags(VireoCli *cli)
{
    const char *flags = vireo_cli_text(cli, "flags");

    return flags && (strcmp(flags, "none") == 0 || strcmp(flags, "-") == 0) ? "" : flags;
}

static void print_answer(VireoCli *cli, const vireo_op_offer *offer, JsonObject *about)
{
    const VireoOp *op = vireo_op_by_id(offer->id);

    cli->exit_code = offer->answer == VIREO_CAN_NO ? EXIT_NO : 0;
    if (cli->json) {
        JsonObject *object = offer_object(offer);
        g_autoptr(GList) members = json_object_get_members(about);

        for (GList *member = members; member; member = member->next)
            json_object_set_member(object, member->data, json_object_dup_member(about, member->data));
        vireo_cli_print_object(object);
    } else if (offer->answer == VIREO_CAN_NO) {
        printf("no: %s\n", offer->reason);
    } else {
        printf("yes (%s)%s%s\n", answer_word(offer->answer), *offer->reason ? ": " : "", offer->reason);
    }
    for (guint i = 0; !cli->json && !cli->quiet && offer->answer != VIREO_CAN_NO && i < offer->not_now.len; i++) {
        g_autofree char *names = flags_text(op, offer->not_now.val[i].flags);

        printf("but not with %s: %s\n", names, offer->not_now.val[i].reason);
    }
    json_object_unref(about);
}

/* From the driver's table, without a connection. */
static gboolean can_table(VireoCli *cli, const char *uri, GError **error)
{
    vireo_vireo_can_args args = { .uri = (char *)uri, .op = (char *)vireo_cli_text(cli, "op"),
                                  .flags = (char *)wanted_flags(cli) };
    JsonObject *about = json_object_new();
    vireo_vireo_can_ret ret;
    vireo_op_offer offer;

    if (!VIREO_CALL(cli->client, vireo_can, cli->arena, error, &args, &ret)) {
        json_object_unref(about);
        return FALSE;
    }
    offer = (vireo_op_offer){
        .name = ret.op, .answer = ret.answer, .by = "", .native = ret.native, .trivial = ret.trivial,
        .active = ret.active, .inactive = ret.inactive, .known = ret.known, .now = ret.native | ret.trivial,
        .reason = ret.reason,
    };
    if (vireo_op_by_name(ret.op))
        offer.id = vireo_op_by_name(ret.op)->id;
    json_object_set_string_member(about, "driver", ret.driver);
    print_answer(cli, &offer, about);
    return TRUE;
}

static JsonObject *about_json(const char *driver, const char *uri, gboolean readonly, const vireo_offer_object *on)
{
    JsonObject *about = json_object_new();
    JsonObject *object;

    json_object_set_string_member(about, "driver", driver);
    json_object_set_string_member(about, "uri", uri);
    json_object_set_boolean_member(about, "readonly", readonly);
    if (!on)
        return about;
    object = json_object_new();
    json_object_set_string_member(object, "name", on->name);
    json_object_set_string_member(object, "uuid", on->uuid);
    json_object_set_boolean_member(object, "active", on->active != 0);
    json_object_set_string_member(object, "state", vireo_cli_state_name(on->state));
    json_object_set_object_member(about, "domain", object);
    return about;
}

static gboolean can_one(VireoCli *cli, GError **error)
{
    char *domain = (char *)vireo_cli_text(cli, "domain");
    vireo_vireo_conn_can_args args = { .op = (char *)vireo_cli_text(cli, "op"), .flags = (char *)wanted_flags(cli),
                                       .klass = domain ? VIREO_CLASS_DOMAIN : VIREO_CLASS_NONE, .object = domain };
    vireo_vireo_conn_can_ret ret;

    if (!VIREO_CALL(cli->client, vireo_conn_can, cli->arena, error, &args, &ret))
        return FALSE;
    print_answer(cli, &ret.op, about_json(ret.driver, ret.uri, ret.readonly, ret.object));
    return TRUE;
}

static void print_possible(VireoCli *cli, const vireo_vireo_conn_ops_ret *ret)
{
    g_autoptr(VireoCliTable) table = vireo_cli_table_new("Operation", "Served", "Flags now", "Not now", NULL);
    gboolean all = vireo_cli_on(cli, "all");

    for (guint i = 0; i < ret->ops.len; i++) {
        const vireo_op_offer *offer = &ret->ops.val[i];
        const VireoOp *op = vireo_op_by_id(offer->id);
        g_autofree char *name = spoken(offer->name);
        g_autofree char *how = offer_how(offer);
        g_autofree char *now = flags_text(op, offer->now);
        guint64 barred = 0;
        g_autofree char *not_now = NULL;

        if (!all && offer->answer == VIREO_CAN_NO)
            continue;
        for (guint j = 0; j < offer->not_now.len; j++)
            barred |= offer->not_now.val[j].flags;
        not_now = offer->answer == VIREO_CAN_NO ? g_strdup(offer->reason) : flags_text(op, barred);
        vireo_cli_table_row(table, name, how, now, not_now, NULL);
    }
    vireo_cli_table_print(cli, table);
}

static gboolean can_all(VireoCli *cli, GError **error)
{
    char *domain = (char *)vireo_cli_text(cli, "domain");
    vireo_vireo_conn_ops_args args = { .klass = domain ? VIREO_CLASS_DOMAIN : VIREO_CLASS_NONE, .object = domain };
    vireo_vireo_conn_ops_ret ret;
    JsonArray *ops;
    JsonObject *object;

    if (!VIREO_CALL(cli->client, vireo_conn_ops, cli->arena, error, &args, &ret))
        return FALSE;
    if (!cli->json) {
        print_possible(cli, &ret);
        return TRUE;
    }
    ops = json_array_new();
    for (guint i = 0; i < ret.ops.len; i++)
        json_array_add_object_element(ops, offer_object(&ret.ops.val[i]));
    object = about_json(ret.driver, ret.uri, ret.readonly, ret.object);
    json_object_set_array_member(object, "offers", ops);
    vireo_cli_print_object(object);
    return TRUE;
}

static gboolean run_can(VireoCli *cli, GError **error)
{
    const char *uri = wanted_uri(cli);
    gboolean table = vireo_cli_on(cli, "table") || (uri && !strchr(uri, ':'));

    if (table && !uri)
        return vireo_cli_usage(error, "which driver? give -c URI or -c NAME");
    if (table && (!vireo_cli_text(cli, "op") || vireo_cli_text(cli, "domain")))
        return vireo_cli_usage(error, "a driver's table answers for one operation and no domain; 'vireo driver' "
                                      "shows the whole of it");
    cli->failure_code = EXIT_NO_ANSWER;
    if (!vireo_cli_connect(cli, table ? VIREO_CLI_DAEMON : VIREO_CLI_CONNECT, error))
        return FALSE;
    if (table)
        return can_table(cli, uri, error);
    return vireo_cli_text(cli, "op") ? can_one(cli, error) : can_all(cli, error);
}

static const VireoCliOperand driver_operands[] = {
    { "driver", VIREO_CLI_DRIVER, FALSE, FALSE, "its name" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOption driver_options[] = {
    { "all", VIREO_CLI_BOOL, NULL, "operations that are not served, too" },
    { NULL, 0, NULL, NULL },
};
static const VireoCliOperand can_operands[] = {
    { "op", VIREO_CLI_OPERATION, TRUE, FALSE, "an operation, such as domain-snapshot-delete" },
    { "flags", VIREO_CLI_FLAGS, TRUE, FALSE, "NAME[,NAME]: with these flags; none" },
    { "domain", VIREO_CLI_DOMAIN, TRUE, FALSE, "on this domain, as it is now" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOption can_options[] = {
    { "table", VIREO_CLI_BOOL, NULL, "ask the driver's table only: connect to nothing" },
    { "all", VIREO_CLI_BOOL, NULL, "without OP: what can not be done, too" },
    { NULL, 0, NULL, NULL },
};

const VireoCliCommand vireo_cli_driver_commands[] = {
    { "drivers", NULL, "list driver modules, their state and its reason", NULL, NULL, NULL, run_drivers,
      VIREO_CLI_DAEMON, NULL },
    { "driver", NULL, "show one driver and how it serves each operation", NULL, driver_operands, driver_options,
      run_driver, VIREO_CLI_DAEMON, NULL },
    { "can", NULL, "ask what can be done here, and if not, why", NULL, can_operands,
      can_options, run_can, VIREO_CLI_ALONE,
      "Asks whether this connection serves OP with these flags, on that domain as it is now; nothing\n"
      "is done. Without OP: everything that it can do. native: the driver acts on the flags; trivial:\n"
      "its ordinary behaviour satisfies them; derived, core: the core serves the operation. With\n"
      "--table, or when -c is the bare name of a driver, its table answers and nothing is connected.\n"
      "What OP itself asks of a domain (that it runs, to be reset) is for the call to say.\n"
      "Exit status 0 for yes, 1 for no, 3 when there is no answer: no such operation, flag, driver,\n"
      "domain or daemon." },
    { NULL },
};
