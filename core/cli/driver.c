/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands about driver modules, over our own program. */
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

/* ---- drivers ---- */

static gboolean run_drivers(VireoCli *cli, GError **error)
{
    vireo_vireo_driver_list_ret ret;
    g_autoptr(VireoCliTable) table = NULL;
    JsonNode *node;

    if (!VIREO_CALL(cli->client, vireo_driver_list, cli->arena, error, &ret))
        return FALSE;
    if (cli->json) {
        g_autoptr(JsonNode) all = vireo_wire_to_json(vireo_op_by_id(VIREO_OP_vireo_driver_list)->ret, &ret);

        node = json_object_dup_member(json_node_get_object(all), "drivers");
        vireo_cli_print_json(node, TRUE);
        return TRUE;
    }
    table = vireo_cli_table_new("Name", "Version", "State", "Schemes", "Operations", "Reason", NULL);
    for (guint i = 0; i < ret.drivers.len; i++) {
        const vireo_driver_info *driver = &ret.drivers.val[i];
        g_autofree char *n_ops = g_strdup_printf("%u", driver->n_ops);

        vireo_cli_table_row(table, driver->name, driver->version, driver->state, driver->schemes, n_ops,
                            driver->reason, NULL);
    }
    vireo_cli_table_print(cli, table);
    return TRUE;
}

/* ---- driver NAME ---- */

static void print_driver_json(const vireo_vireo_driver_get_ret *ret)
{
    g_autoptr(JsonNode) all = vireo_wire_to_json(vireo_op_by_id(VIREO_OP_vireo_driver_get)->ret, ret);
    JsonObject *root = json_node_get_object(all), *object;
    JsonArray *ops = json_array_new();

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
    json_object_set_array_member(object, "ops", ops);
    vireo_cli_print_object(object);
}

static gboolean run_driver(VireoCli *cli, GError **error)
{
    vireo_vireo_driver_get_args args = { .name = (char *)vireo_cli_text(cli, "driver") };
    vireo_vireo_driver_get_ret ret;
    g_autoptr(VireoCliTable) table = NULL;
    VireoCliFacts *facts;

    if (!VIREO_CALL(cli->client, vireo_driver_get, cli->arena, error, &args, &ret))
        return FALSE;
    if (cli->json) {
        print_driver_json(&ret);
        return TRUE;
    }
    facts = vireo_cli_facts_new();
    vireo_cli_fact(facts, "Name", "name", "%s", ret.driver.name);
    vireo_cli_fact(facts, "Version", "version", "%s", ret.driver.version);
    vireo_cli_fact(facts, "State", "state", "%s", ret.driver.state);
    if (*ret.driver.reason)
        vireo_cli_fact(facts, "Reason", "reason", "%s", ret.driver.reason);
    vireo_cli_fact(facts, "URI schemes", "schemes", "%s", ret.driver.schemes);
    vireo_cli_fact(facts, "Module", "path", "%s", ret.driver.path);
    vireo_cli_fact(facts, "ABI", "abi", "%u.%u", ret.driver.abi_major, ret.driver.abi_target);
    vireo_cli_fact(facts, "Threads", "threads", "%s", ret.driver.threads);
    vireo_cli_facts_print(cli, facts);
    putchar('\n');
    table = vireo_cli_table_new("Operation", "Native flags", "Trivial flags", NULL);
    for (guint i = 0; i < ret.ops.len; i++) {
        const vireo_driver_op *row = &ret.ops.val[i];
        const VireoOp *op = vireo_op_by_id(row->id);
        g_autofree char *native = flags_text(op, row->native);
        g_autofree char *trivial = flags_text(op, row->trivial);

        vireo_cli_table_row(table, row->name, native, trivial, NULL);
    }
    vireo_cli_table_print(cli, table);
    return TRUE;
}

/* ---- can ---- */

static const char *answer_word(int answer)
{
    static const char *const words[] = { "no", "native", "trivial", "derived", "core" };

    return answer >= 0 && answer < (int)G_N_ELEMENTS(words) ? words[answer] : "unknown";
}

static void print_can_json(const vireo_vireo_can_ret *ret, const VireoOp *op)
{
    JsonObject *object = json_object_new();

    json_object_set_boolean_member(object, "can", ret->answer != VIREO_CAN_NO);
    json_object_set_string_member(object, "how", answer_word(ret->answer));
    json_object_set_string_member(object, "driver", ret->driver);
    json_object_set_string_member(object, "op", ret->op);
    json_object_set_array_member(object, "native", flags_array(op, ret->native));
    json_object_set_array_member(object, "trivial", flags_array(op, ret->trivial));
    json_object_set_array_member(object, "active", flags_array(op, ret->active));
    json_object_set_array_member(object, "inactive", flags_array(op, ret->inactive));
    json_object_set_array_member(object, "known", flags_array(op, ret->known));
    json_object_set_string_member(object, "reason", ret->reason);
    vireo_cli_print_object(object);
}

static gboolean run_can(VireoCli *cli, GError **error)
{
    const char *uri = vireo_cli_text(cli, "connect");
    vireo_vireo_can_args args = { .op = (char *)vireo_cli_text(cli, "op"),
                                  .flags = (char *)vireo_cli_text(cli, "flags") };
    vireo_vireo_can_ret ret;
    const VireoOp *op;

    if (!uri)
        uri = g_getenv("VIREO_DEFAULT_URI");
    if (!uri || !*uri)
        uri = g_getenv("LIBVIRT_DEFAULT_URI");
    if (!uri || !*uri)
        return vireo_cli_usage(error, "which driver? give -c URI or -c NAME");
    args.uri = (char *)uri;
    if (!VIREO_CALL(cli->client, vireo_can, cli->arena, error, &args, &ret))
        return FALSE;
    cli->exit_code = ret.answer == VIREO_CAN_NO;
    op = vireo_op_by_name(ret.op);
    if (cli->json)
        print_can_json(&ret, op);
    else if (ret.answer == VIREO_CAN_NO)
        printf("no: %s\n", ret.reason);
    else
        printf("yes (%s)%s%s\n", answer_word(ret.answer), *ret.reason ? ": " : "", ret.reason);
    return TRUE;
}

static const VireoCliOperand driver_operands[] = {
    { "driver", VIREO_CLI_DRIVER, FALSE, FALSE, "its name" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOperand can_operands[] = {
    { "op", VIREO_CLI_OPERATION, FALSE, FALSE, "an operation, such as domain-snapshot-delete" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOption can_options[] = {
    { "flags", VIREO_CLI_STRING, "NAME[,NAME]", "with these flags" },
    { NULL, 0, NULL, NULL },
};

const VireoCliCommand vireo_cli_driver_commands[] = {
    { "drivers", NULL, "list driver modules, their state and its reason", NULL, NULL, NULL, run_drivers,
      VIREO_CLI_DAEMON, NULL },
    { "driver", NULL, "show one driver and the operations it serves", NULL, driver_operands, NULL,
      run_driver, VIREO_CLI_DAEMON, NULL },
    { "can", NULL, "ask whether a driver serves an operation with these flags", NULL, can_operands,
      can_options, run_can, VIREO_CLI_DAEMON,
      "Answered from the driver's table: nothing is connected and nothing is done. -c takes a URI or\n"
      "the bare name of a driver. native: the driver acts on the flags; trivial: its ordinary\n"
      "behaviour satisfies them; derived, core: the core serves the operation. Exit status 0 for\n"
      "yes, 1 for no." },
    { NULL },
};
