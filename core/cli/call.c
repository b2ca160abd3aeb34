/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any operation of the catalogue, with JSON for arguments and result. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

/* ---- what there is ---- */

static const char *kind_name(const VireoWireField *field)
{
    static const char *const names[] = {
        [VIREO_WIRE_INT] = "int",       [VIREO_WIRE_UINT] = "uint",     [VIREO_WIRE_HYPER] = "hyper",
        [VIREO_WIRE_UHYPER] = "uhyper", [VIREO_WIRE_DOUBLE] = "double", [VIREO_WIRE_CHAR] = "char",
        [VIREO_WIRE_UCHAR] = "uchar",   [VIREO_WIRE_SHORT] = "short",   [VIREO_WIRE_USHORT] = "ushort",
        [VIREO_WIRE_STRING] = "string", [VIREO_WIRE_UUID] = "uuid",     [VIREO_WIRE_OPAQUE] = "base64",
        [VIREO_WIRE_HANDLE] = "handle",
    };

    return field->kind == VIREO_WIRE_STRUCT ? field->type->name : names[field->kind];
}

static void print_fields(const char *title, const VireoWireType *type)
{
    printf("%s:%s\n", title, type && type->n_fields ? "" : " none");
    for (guint i = 0; type && i < type->n_fields; i++) {
        static const char *const marks[] = { "", "?", "[]", "[]" };

        printf("  %s: %s%s\n", type->fields[i].name, kind_name(&type->fields[i]),
               marks[type->fields[i].form]);
    }
}

static void describe(const VireoOp *op)
{
    static const char *const lanes[] = { "query", "modify", "control" };
    g_autofree char *flags = vireo_op_flag_names(op, op->known_flags);

    printf("%s%s%s%s (%s)\n", op->name, op->api ? " (" : "", op->api ? op->api : "",
           op->api ? ")" : "", lanes[op->lane]);
    print_fields("Arguments", op->args);
    print_fields("Result", op->ret);
    printf("Flags: %s\n", flags);
    if (op->stream)
        printf("Stream: %s\n", op->stream == VIREO_STREAM_SEND ? "sends --input" : "receives --output");
}

static gboolean callable(const VireoOp *op)
{
    return op->kind == VIREO_OP_CALL && op->program != VIREO_PROGRAM_DRIVER &&
           op->program != VIREO_PROGRAM_KEEPALIVE && op->program != VIREO_PROGRAM_ADMIN;
}

static gboolean list_ops(VireoCli *cli)
{
    JsonArray *array = json_array_new();
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);
    const char *part = vireo_cli_text(cli, "op");
    const VireoOp *op;

    json_node_take_array(node, array);
    for (guint i = 0; (op = vireo_op_at(i)); i++) {
        if (!callable(op) || (part && !strstr(op->name, part)))
            continue;
        if (cli->json)
            json_array_add_string_element(array, op->name);
        else
            printf("%s\n", op->name);
    }
    if (cli->json)
        vireo_cli_print_json(node, TRUE);
    else
        json_node_unref(node);
    return TRUE;
}

/* ---- arguments ---- */

/* `value` as JSON when it looks like it, the contents of a file after '@', else the text itself. */
static JsonNode *value_node(VireoCli *cli, const char *value, GError **error)
{
    JsonNode *node;

    if (*value == '{' || *value == '[' || *value == '"' || strcmp(value, "null") == 0)
        return json_from_string(value, error);
    if (*value == '@') {
        value = vireo_cli_read_file(cli, value + 1, error);
        if (!value)
            return NULL;
    }
    node = json_node_new(JSON_NODE_VALUE);
    json_node_set_string(node, value);
    return node;
}

static gboolean add_word(VireoCli *cli, const char *word, JsonObject *object, GError **error)
{
    const char *equals = strchr(word, '=');
    g_autofree char *name = NULL;
    JsonNode *node;

    if (!equals || equals == word)
        return vireo_cli_usage(error, "'%s' is neither field=value nor a JSON object", word);
    name = g_strndup(word, equals - word);
    node = value_node(cli, equals + 1, error);
    if (!node) {
        g_prefix_error(error, "%s: ", name);
        return FALSE;
    }
    json_object_set_member(object, name, node);
    return TRUE;
}

static JsonNode *read_arguments(VireoCli *cli, GError **error)
{
    JsonObject *object;
    JsonNode *node;

    if (cli->many->len == 1 && *(char *)cli->many->pdata[0] == '{')
        return json_from_string(cli->many->pdata[0], error);
    object = json_object_new();
    node = json_node_new(JSON_NODE_OBJECT);
    json_node_take_object(node, object);
    for (guint i = 0; i < cli->many->len; i++)
        if (!add_word(cli, cli->many->pdata[i], object, error)) {
            json_node_unref(node);
            return NULL;
        }
    return node;
}

/* A reference given as a name, looked up by <type>_lookup_by_name. NULL with error when it fails. */
static JsonNode *look_up(VireoCli *cli, const char *type, const char *name, GError **error)
{
    g_autofree char *op_name = g_strdup_printf("%s_lookup_by_name", type);
    const VireoOp *op = vireo_op_by_name(op_name);
    g_autoptr(JsonNode) all = NULL;
    gpointer args, ret;

    if (!op || op->args->n_fields != 1 || op->args->fields[0].kind != VIREO_WIRE_STRING) {
        vireo_cli_usage(error, "a %s cannot be given by its name alone", type);
        return NULL;
    }
    args = vireo_arena_alloc(cli->arena, op->args->size);
    ret = vireo_arena_alloc(cli->arena, op->ret->size);
    *(char **)((char *)args + op->args->fields[0].offset) = (char *)name;
    if (!vireo_client_call(cli->client, op, args, cli->arena, ret, error))
        return NULL;
    all = vireo_wire_to_json(op->ret, ret);
    return json_object_dup_member(json_node_get_object(all), op->ret->fields[0].name);
}

/* Puts objects where a name stands for one. */
static gboolean resolve(VireoCli *cli, const VireoWireType *type, JsonNode *node, GError **error)
{
    JsonObject *object;

    if (!type || !JSON_NODE_HOLDS_OBJECT(node))
        return TRUE;
    object = json_node_get_object(node);
    for (guint i = 0; i < type->n_fields; i++) {
        const VireoWireField *field = &type->fields[i];
        JsonNode *member = json_object_get_member(object, field->name);
        JsonNode *found;

        if (!member || field->kind != VIREO_WIRE_STRUCT)
            continue;
        if (!JSON_NODE_HOLDS_VALUE(member)) {
            if (!resolve(cli, field->type, member, error))
                return FALSE;
            continue;
        }
        found = look_up(cli, field->type->name, json_node_get_string(member), error);
        if (!found)
            return FALSE;
        json_object_set_member(object, field->name, found);
    }
    return TRUE;
}

/* ---- streams ---- */

static int open_end(VireoCli *cli, const char *option, int flags, int standard, GError **error)
{
    const char *path = vireo_cli_text(cli, option);
    int fd;

    if (!path) {
        vireo_cli_usage(error, "this operation opens a stream: give --%s FILE", option);
        return -1;
    }
    fd = strcmp(path, "-") == 0 ? dup(standard) : open(path, flags | O_CLOEXEC, 0666);
    if (fd < 0)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPEN_FAILED, "cannot open '%s': %m", path);
    return fd;
}

/* ---- the command ---- */

static gboolean make_call(VireoCli *cli, const VireoOp *op, gpointer args, int fd, GError **error)
{
    g_autoptr(VireoStream) stream = NULL;
    gpointer ret = op->ret ? vireo_arena_alloc(cli->arena, op->ret->size) : NULL;
    VireoClientCall call = { .op = op, .args = args, .ret = ret, .arena = cli->arena,
                             .stream = op->stream ? &stream : NULL };

    if (!vireo_client_call_full(cli->client, &call, error))
        return FALSE;
    if (stream && !vireo_cli_move_stream(stream, op->stream == VIREO_STREAM_SEND, fd, error))
        return FALSE;
    vireo_cli_print_json(vireo_wire_to_json(op->ret, ret), TRUE);
    return TRUE;
}

static gboolean call_op(VireoCli *cli, const VireoOp *op, GError **error)
{
    gpointer args = op->args ? vireo_arena_alloc(cli->arena, op->args->size) : NULL;
    g_autoptr(JsonNode) given = read_arguments(cli, error);
    gboolean ok;
    int fd = -1;

    if (!given || !vireo_cli_connect(cli, g_strcmp0(op->serve, "daemon") == 0 ? VIREO_CLI_DAEMON
                                                                          : VIREO_CLI_CONNECT,
                                    error))
        return FALSE;
    if (!resolve(cli, op->args, given, error) ||
        (op->args && !vireo_op_args_from_json(op, given, cli->arena, args, error)))
        return FALSE;
    if (op->stream == VIREO_STREAM_SEND)
        fd = open_end(cli, "input", O_RDONLY, STDIN_FILENO, error);
    else if (op->stream == VIREO_STREAM_RECEIVE)
        fd = open_end(cli, "output", O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO, error);
    if (op->stream && fd < 0)
        return FALSE;
    ok = make_call(cli, op, args, fd, error);
    if (fd >= 0)
        close(fd);
    return ok;
}

static gboolean run_call(VireoCli *cli, GError **error)
{
    const char *name = vireo_cli_text(cli, "op");
    const VireoOp *op;

    if (vireo_cli_on(cli, "list"))
        return list_ops(cli);
    if (!name)
        return vireo_cli_usage(error, "'op' is missing; 'vireo call --list' shows all operations");
    op = vireo_op_by_name(name);
    if (!op || !callable(op))
        return vireo_cli_usage(error, "there is no operation '%s'; 'vireo call --list' shows all", name);
    if (vireo_cli_on(cli, "describe")) {
        describe(op);
        return TRUE;
    }
    return call_op(cli, op, error);
}

static const VireoCliOperand operands[] = {
    { "op", VIREO_CLI_OPERATION, TRUE, FALSE, "the operation; with --list a part of its name" },
    { "field", VIREO_CLI_TEXT, TRUE, TRUE, "FIELD=VALUE, or all of them as one JSON object" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOption options[] = {
    { "list", VIREO_CLI_BOOL, NULL, "print the operations there are" },
    { "describe", VIREO_CLI_BOOL, NULL, "print the operation's arguments, result and flags" },
    { "input", VIREO_CLI_STRING, "FILE", "what goes into the stream; - is standard input" },
    { "output", VIREO_CLI_STRING, "FILE", "where the stream goes; - is standard output" },
    { NULL, 0, NULL, NULL },
};

const VireoCliCommand vireo_cli_call_commands[] = {
    { "call", NULL, "make any call of the catalogue and print its result as JSON", NULL, operands,
      options, run_call, VIREO_CLI_ALONE,
      "VALUE is text, a number, JSON, or @FILE for a file's contents. Objects may be given by name:\n"
      "dom=NAME. Flags are names joined by '|'. Fields left out are 0, absent or empty." },
    { NULL },
};
