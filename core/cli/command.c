/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From words to values: every command's options are parsed by GOption, from the command's own row. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

G_DEFINE_QUARK(vireo-cli-usage, vireo_cli_usage)

const VireoCliTopic vireo_cli_topics[] = {
    { "Domains", vireo_cli_domain_commands },
    { "What there is to know about domains", vireo_cli_info_commands },
    { "The console", vireo_cli_console_commands },
    { "Snapshots", vireo_cli_snapshot_commands },
    { "Looking before leaping", vireo_cli_plan_commands },
    { "Setting things right", vireo_cli_doctor_commands },
    { "What happens", vireo_cli_event_commands },
    { "The host", vireo_cli_host_commands },
    { "Driver modules", vireo_cli_driver_commands },
    { "Any operation", vireo_cli_call_commands },
    { "Getting help", vireo_cli_help_commands },
    { NULL, NULL },
};

const VireoCliOption vireo_cli_global_options[] = {
    { "connect", VIREO_CLI_STRING, "URI", "the hypervisor, such as qemu:///system" },
    { "socket", VIREO_CLI_STRING, "PATH", "the daemon's socket (default: VIREO_SOCKET, then the "
                                          "well-known paths)" },
    { "readonly", VIREO_CLI_BOOL, NULL, "connect read-only" },
    { "json", VIREO_CLI_BOOL, NULL, "print JSON" },
    { "quiet", VIREO_CLI_BOOL, NULL, "print results only" },
    { "escape", VIREO_CLI_STRING, "CHAR", "what leaves the console, ^] unless given" },
    { "help", VIREO_CLI_BOOL, NULL, "show help" },
    { NULL, 0, NULL, NULL },
};

char vireo_cli_global_letter(const char *name)
{
    static const char letters[] = "cSrjqeh";

    for (guint i = 0; vireo_cli_global_options[i].name; i++)
        if (strcmp(vireo_cli_global_options[i].name, name) == 0)
            return letters[i];
    return 0;
}

gboolean vireo_cli_usage(GError **error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(VIREO_CLI_USAGE, 2, format, args));
    va_end(args);
    return FALSE;
}

const VireoCliCommand *vireo_cli_find(const char *name)
{
    for (const VireoCliTopic *topic = vireo_cli_topics; topic->title; topic++)
        for (const VireoCliCommand *c = topic->commands; c->name; c++)
            if (strcmp(c->name, name) == 0 || g_strcmp0(c->alias, name) == 0)
                return c;
    return NULL;
}

const VireoOp *vireo_cli_op(const VireoCliCommand *command)
{
    return command->op ? vireo_op_by_name(command->op) : NULL;
}

/* ---- GOption entries of a command ---- */

/* Every option is read as text or as a switch into `values`, by a callback that knows its name. */
static gboolean take_value(const char *name, const char *value, gpointer data, GError **error)
{
    VireoCli *cli = data;
    const char *key = name + strspn(name, "-");

    if (name[0] == '-' && name[1] != '-')
        for (const VireoCliOption *o = vireo_cli_global_options; o->name; o++)
            if (vireo_cli_global_letter(o->name) == name[1])
                key = o->name;
    g_hash_table_replace(cli->values, g_strdup(key), g_strdup(value ? value : ""));
    return TRUE;
}

static gboolean take_rest(const char *name, const char *value, gpointer data, GError **error)
{
    g_ptr_array_add(((VireoCli *)data)->rest, g_strdup(value));
    return TRUE;
}

static gboolean take_many(const char *name, const char *value, gpointer data, GError **error)
{
    g_ptr_array_add(((VireoCli *)data)->many, g_strdup(value));
    return TRUE;
}

static void add_entry(GArray *entries, const char *name, char letter, gboolean has_value)
{
    GOptionEntry entry = {
        .long_name = name,
        .short_name = letter,
        .flags = has_value ? 0 : G_OPTION_FLAG_NO_ARG,
        .arg = G_OPTION_ARG_CALLBACK,
        .arg_data = (gpointer)take_value,
    };

    g_array_append_val(entries, entry);
}

static void add_options(GArray *entries, const VireoCliOption *options, gboolean global)
{
    for (const VireoCliOption *o = options; o && o->name; o++)
        add_entry(entries, o->name, global ? vireo_cli_global_letter(o->name) : 0,
                  o->kind == VIREO_CLI_STRING || o->kind == VIREO_CLI_INT);
}

static gboolean has_option(const VireoCliCommand *command, const char *name)
{
    for (const VireoCliOption *o = command->options; o && o->name; o++)
        if (strcmp(o->name, name) == 0)
            return TRUE;
    return FALSE;
}

/* GOption would silently drop the value of `--switch=value`. */
static gboolean refuse_values_of_switches(GArray *entries, char **words, GError **error)
{
    for (; *words && strcmp(*words, "--") != 0; words++) {
        const char *equals = g_str_has_prefix(*words, "--") ? strchr(*words, '=') : NULL;
        g_autofree char *name = equals ? g_strndup(*words + 2, equals - *words - 2) : NULL;

        for (guint i = 0; name && i < entries->len; i++) {
            const GOptionEntry *entry = &g_array_index(entries, GOptionEntry, i);

            if (strcmp(entry->long_name, name) == 0 && (entry->flags & G_OPTION_FLAG_NO_ARG))
                return vireo_cli_usage(error, "'--%s' takes no value", name);
        }
    }
    return TRUE;
}

static gboolean parse_entries(VireoCli *cli, GArray *entries, gboolean posix, char ***words,
                              GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    GOptionGroup *group = g_option_group_new("vireo", "", "", cli, NULL);
    GError *problem = NULL;

    if (!refuse_values_of_switches(entries, *words + 1, error)) {
        g_option_group_unref(group);
        return FALSE;
    }
    if (!posix) {
        GOptionEntry rest = {
            .long_name = G_OPTION_REMAINING,
            .arg = G_OPTION_ARG_CALLBACK,
            .arg_data = (gpointer)take_rest,
        };

        g_array_append_val(entries, rest);
    }
    g_option_group_add_entries(group, (const GOptionEntry *)(void *)entries->data);
    g_option_context_set_main_group(context, group);
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_strict_posix(context, posix);
    if (g_option_context_parse_strv(context, words, &problem))
        return TRUE;
    vireo_cli_usage(error, "%s", problem->message);
    g_error_free(problem);
    return FALSE;
}

gboolean vireo_cli_parse_globals(VireoCli *cli, char ***argv, GError **error)
{
    g_autoptr(GArray) entries = g_array_new(TRUE, TRUE, sizeof(GOptionEntry));

    add_options(entries, vireo_cli_global_options, TRUE);
    add_entry(entries, "version", 'v', FALSE);
    return parse_entries(cli, entries, TRUE, argv, error);
}

/* The words that are no options go to the operands, in order, past those given as options. */
static gboolean assign_operands(VireoCli *cli, GError **error)
{
    guint used = 0;

    for (const VireoCliOperand *o = cli->command->operands; o && o->name; o++) {
        if (o->many) {
            while (used < cli->rest->len)
                g_ptr_array_add(cli->many, g_strdup(cli->rest->pdata[used++]));
            if (!cli->many->len && !o->optional)
                return vireo_cli_usage(error, "'%s' is missing", o->name);
            return TRUE;
        }
        if (g_hash_table_contains(cli->values, o->name))
            continue;
        if (used < cli->rest->len)
            g_hash_table_replace(cli->values, g_strdup(o->name), g_strdup(cli->rest->pdata[used++]));
        else if (!o->optional)
            return vireo_cli_usage(error, "'%s' is missing", o->name);
    }
    if (used < cli->rest->len)
        return vireo_cli_usage(error, "what is '%s' for?", (char *)cli->rest->pdata[used]);
    return TRUE;
}

gboolean vireo_cli_parse(VireoCli *cli, char **words, GError **error)
{
    const VireoCliCommand *command = cli->command;
    g_autoptr(GArray) entries = g_array_new(TRUE, TRUE, sizeof(GOptionEntry));
    /* GOption takes the first word for the program's name. */
    g_autoptr(GPtrArray) copy = g_ptr_array_new();
    g_auto(GStrv) list = NULL;
    const VireoOp *op = vireo_cli_op(command);

    add_options(entries, command->options, FALSE);
    for (const VireoCliOperand *o = command->operands; o && o->name; o++)
        if (!has_option(command, o->name)) {
            add_entry(entries, o->name, 0, TRUE);
            if (o->many)
                g_array_index(entries, GOptionEntry, entries->len - 1).arg_data = (gpointer)take_many;
        }
    if (op && op->flags && !has_option(command, "flags"))
        add_entry(entries, "flags", 0, TRUE);
    add_options(entries, vireo_cli_global_options, TRUE);
    g_ptr_array_add(copy, g_strdup(command->name));
    for (; *words; words++)
        g_ptr_array_add(copy, g_strdup(*words));
    g_ptr_array_add(copy, NULL);
    list = (char **)g_ptr_array_free(g_steal_pointer(&copy), FALSE);
    if (!parse_entries(cli, entries, FALSE, &list, error))
        return FALSE;
    return vireo_cli_on(cli, "help") || assign_operands(cli, error);
}

/* ---- values ---- */

const char *vireo_cli_text(VireoCli *cli, const char *name)
{
    return g_hash_table_lookup(cli->values, name);
}

gboolean vireo_cli_on(VireoCli *cli, const char *name)
{
    return g_hash_table_contains(cli->values, name);
}

gboolean vireo_cli_number(VireoCli *cli, const char *name, gint64 fallback, gint64 *ret, GError **error)
{
    const char *text = vireo_cli_text(cli, name);

    *ret = fallback;
    if (text && !g_ascii_string_to_signed(text, 10, 0, G_MAXINT32, ret, NULL))
        return vireo_cli_usage(error, "'--%s %s' is no number from 0 to %d", name, text, G_MAXINT32);
    return TRUE;
}

static gboolean add_flags(const VireoOp *op, const char *names, guint64 *flags, GError **error)
{
    g_autofree char *unknown = NULL, *known = NULL;
    guint64 bits;

    if (vireo_op_parse_flags(op, names, &bits, &unknown)) {
        *flags |= bits;
        return TRUE;
    }
    known = vireo_op_flag_names(op, op->known_flags);
    return vireo_cli_usage(error, "%s has no flag '%s' (known: %s)", op->name, unknown, known);
}

gboolean vireo_cli_flags(VireoCli *cli, guint64 *ret, GError **error)
{
    const VireoOp *op = vireo_cli_op(cli->command);
    const char *extra = vireo_cli_text(cli, "flags");

    *ret = 0;
    for (const VireoCliOption *o = cli->command->options; o && o->name; o++)
        if (o->kind == VIREO_CLI_FLAG && vireo_cli_on(cli, o->name) &&
            !add_flags(op, o->value, ret, error))
            return FALSE;
    return !extra || add_flags(op, extra, ret, error);
}

gboolean vireo_cli_domain(VireoCli *cli, vireo_domain_ref *ret, GError **error)
{
    return vireo_client_find_domain(cli->client, vireo_cli_text(cli, "domain"), cli->arena, ret, error);
}

/* ---- connection and files ---- */

gboolean vireo_cli_connect(VireoCli *cli, VireoCliNeeds needs, GError **error)
{
    const char *uri = vireo_cli_text(cli, "connect");
    const char *socket = vireo_cli_text(cli, "socket");
    VireoClientFlags flags = 0;

    if (needs == VIREO_CLI_ALONE)
        return TRUE;
    if (!socket)
        socket = g_getenv("VIREO_SOCKET");
    if (socket && !*socket)
        socket = NULL;
    if (vireo_cli_on(cli, "readonly"))
        flags |= VIREO_CLIENT_READONLY;
    if (needs == VIREO_CLI_DAEMON) {
        flags |= VIREO_CLIENT_NO_OPEN;
        /* `vireo can -c esx`: a driver's bare name. */
        if (uri && !strstr(uri, "://"))
            uri = NULL;
    }
    cli->client = vireo_client_open(uri, socket, flags, error);
    return cli->client != NULL;
}

char *vireo_cli_read_file(VireoCli *cli, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) problem = NULL;

    /* Also opens pipes, such as the shell's <(...). */
    if (!g_file_get_contents(strcmp(path, "-") == 0 ? "/dev/stdin" : path, &text, NULL, &problem)) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPEN_FAILED, "%s", problem->message);
        return NULL;
    }
    return vireo_arena_strdup(cli->arena, text);
}

gboolean vireo_cli_write_all(int fd, const void *data, gsize size, GError **error)
{
    const char *at = data;

    while (size > 0) {
        gssize n = write(fd, at, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "cannot write: %s",
                        g_strerror(errno));
            return FALSE;
        }
        at += n;
        size -= n;
    }
    return TRUE;
}

gboolean vireo_cli_move_stream(VireoStream *stream, gboolean sending, int fd, GError **error)
{
    g_autofree char *buffer = g_malloc(65536);
    gssize n;

    for (;;) {
        n = sending ? read(fd, buffer, 65536) : vireo_stream_recv(stream, buffer, 65536, NULL, error);
        if (n < 0 && sending)
            g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "cannot read: %m");
        if (n < 0)
            return FALSE;
        if (n == 0)
            return vireo_stream_finish(stream, error);
        if (sending ? !vireo_stream_send(stream, buffer, n, error)
                    : !vireo_cli_write_all(fd, buffer, n, error))
            return FALSE;
    }
}
