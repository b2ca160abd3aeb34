/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a shell may offer for the word under the cursor, one candidate per line. */
#include <string.h>

#include "cli/cli.h"

typedef struct {
    VireoCli *cli;
    const VireoCliCommand *command;
    const char *word;      /* to be completed */
    guint n_operands;      /* given before it */
    const char *domain;    /* the first operand */
} Cursor;

static void offer(const Cursor *at, const char *text)
{
    if (g_str_has_prefix(text, at->word))
        printf("%s\n", text);
}

static void offer_option(const Cursor *at, const char *name)
{
    g_autofree char *text = g_strdup_printf("--%s", name);

    offer(at, text);
}

static void offer_commands(const Cursor *at)
{
    for (const VireoCliTopic *topic = vireo_cli_topics; topic->title; topic++)
        for (const VireoCliCommand *c = topic->commands; c->name; c++) {
            if (c->name[0] != '_')
                offer(at, c->name);
            if (c->alias)
                offer(at, c->alias);
        }
}

static void offer_planned(const Cursor *at)
{
    for (const VireoCliTopic *topic = vireo_cli_topics; topic->title; topic++)
        for (const VireoCliCommand *c = topic->commands; c->name; c++) {
            const VireoOp *op = vireo_cli_op(c);

            if (op && vireo_op_plan(op))
                offer(at, c->name);
        }
}

static void offer_options(const Cursor *at)
{
    const VireoOp *op = at->command ? vireo_cli_op(at->command) : NULL;

    for (const VireoCliOption *o = at->command ? at->command->options : NULL; o && o->name; o++)
        offer_option(at, o->name);
    if (op && op->flags)
        offer_option(at, "flags");
    for (const VireoCliOption *o = vireo_cli_global_options; o->name; o++)
        offer_option(at, o->name);
    if (!at->command)
        offer_option(at, "version");
}

/* A shell waits meanwhile: what the daemon does not answer is simply not offered. */
static void offer_domains(const Cursor *at)
{
    vireo_connect_list_all_domains_args args = { .need_results = 1 };
    vireo_connect_list_all_domains_ret ret;

    if (!vireo_cli_connect(at->cli, VIREO_CLI_CONNECT, NULL) ||
        !VIREO_CALL(at->cli->client, connect_list_all_domains, at->cli->arena, NULL, &args, &ret))
        return;
    for (guint i = 0; i < ret.domains.len; i++)
        offer(at, ret.domains.val[i].name);
}

static void offer_snapshots(const Cursor *at)
{
    vireo_domain_list_all_snapshots_args args = { .need_results = 1 };
    vireo_domain_list_all_snapshots_ret ret;

    if (!at->domain || !vireo_cli_connect(at->cli, VIREO_CLI_CONNECT, NULL) ||
        !vireo_client_find_domain(at->cli->client, at->domain, at->cli->arena, &args.dom, NULL) ||
        !VIREO_CALL(at->cli->client, domain_list_all_snapshots, at->cli->arena, NULL, &args, &ret))
        return;
    for (guint i = 0; i < ret.snapshots.len; i++)
        offer(at, ret.snapshots.val[i].name);
}

static void offer_drivers(const Cursor *at)
{
    vireo_vireo_driver_list_ret ret;

    if (!vireo_cli_connect(at->cli, VIREO_CLI_DAEMON, NULL) ||
        !VIREO_CALL(at->cli->client, vireo_driver_list, at->cli->arena, NULL, &ret))
        return;
    for (guint i = 0; i < ret.drivers.len; i++)
        offer(at, ret.drivers.val[i].name);
}

static void offer_operations(const Cursor *at)
{
    const VireoOp *op;

    for (guint i = 0; (op = vireo_op_at(i)); i++) {
        g_autofree char *name = g_strdelimit(g_strdup(op->name), "_", '-');

        if (op->kind == VIREO_OP_CALL && op->program != VIREO_PROGRAM_DRIVER)
            offer(at, name);
    }
}

/* The last of a list: what stands before it is kept. */
static void offer_flags(const Cursor *at, const VireoOp *op)
{
    const char *last = at->word + strlen(at->word);
    g_autofree char *before = NULL;

    while (last > at->word && !strchr(",|", last[-1]))
        last--;
    before = g_strndup(at->word, (gsize)(last - at->word));
    for (const VireoFlag *f = op ? op->flags : NULL; f && f->name; f++) {
        g_autofree char *text = g_strconcat(before, f->name, NULL);

        offer(at, text);
    }
}

static void offer_kind(const Cursor *at, VireoCliOperandKind kind)
{
    switch (kind) {
    case VIREO_CLI_DOMAIN:
        offer_domains(at);
        break;
    case VIREO_CLI_SNAPSHOT:
        offer_snapshots(at);
        break;
    case VIREO_CLI_DRIVER:
        offer_drivers(at);
        break;
    case VIREO_CLI_FLAGS:
        offer_flags(at, at->domain ? vireo_op_by_name(at->domain) : NULL);
        break;
    case VIREO_CLI_OPERATION:
        offer_operations(at);
        break;
    case VIREO_CLI_COMMAND:
        offer_commands(at);
        break;
    case VIREO_CLI_PLANNED:
        offer_planned(at);
        break;
    case VIREO_CLI_FILE:
        printf(":files\n"); /* the shell knows better */
        break;
    default:
        break;
    }
}

static void offer_operand(const Cursor *at)
{
    guint i = 0;

    for (const VireoCliOperand *o = at->command->operands; o && o->name; o++, i++)
        if (i == at->n_operands || o->many) {
            offer_kind(at, o->kind);
            return;
        }
}

/* The value of an option: what its name says. */
static void offer_value(const Cursor *at, const char *option)
{
    const VireoCliOperand *o = at->command ? at->command->operands : NULL;

    if (strcmp(option, "flags") == 0) {
        const VireoOp *op = at->command ? vireo_cli_op(at->command) : NULL;

        offer_flags(at, op ? op : at->domain ? vireo_op_by_name(at->domain) : NULL);
        return;
    }
    for (; o && o->name; o++)
        if (strcmp(o->name, option) == 0) {
            offer_kind(at, o->kind);
            return;
        }
    if (strcmp(option, "domain") == 0)
        offer_domains(at);
    else if (strcmp(option, "from") == 0)
        offer_snapshots(at);
    else if (strcmp(option, "socket") == 0 || strcmp(option, "input") == 0 ||
             strcmp(option, "output") == 0)
        printf(":files\n");
}

/* ---- the words before the cursor ---- */

static const char *long_name(const char *word)
{
    if (g_str_has_prefix(word, "--"))
        return word + 2;
    for (const VireoCliOption *o = vireo_cli_global_options; o->name; o++)
        if (word[0] == '-' && word[1] && vireo_cli_global_letter(o->name) == word[1] && !word[2])
            return o->name;
    return word + 1;
}

static const VireoCliOption *find_option(const VireoCliOption *options, const char *name)
{
    for (; options && options->name; options++)
        if (strcmp(options->name, name) == 0)
            return options;
    return NULL;
}

static gboolean takes_value(const VireoCliCommand *command, const char *name)
{
    const VireoCliOption *option = command ? find_option(command->options, name) : NULL;

    if (!option)
        option = find_option(vireo_cli_global_options, name);
    if (option)
        return option->kind == VIREO_CLI_STRING || option->kind == VIREO_CLI_INT;
    if (strcmp(name, "flags") == 0)
        return TRUE;
    for (const VireoCliOperand *o = command ? command->operands : NULL; o && o->name; o++)
        if (strcmp(o->name, name) == 0)
            return TRUE;
    return FALSE;
}

/* Walks over the words; returns the option whose value is due, or NULL. */
static const char *walk(Cursor *at, GPtrArray *words)
{
    for (guint i = 0; i + 1 < words->len; i++) {
        const char *word = words->pdata[i], *name;

        if (word[0] != '-') {
            /* What stands behind `plan` is a command of its own. */
            if (!at->command || strcmp(at->command->name, "plan") == 0)
                at->command = vireo_cli_find(word);
            else if (at->n_operands++ == 0)
                at->domain = word;
            continue;
        }
        name = long_name(word);
        if (strchr(name, '=') || !takes_value(at->command, name))
            continue;
        if (i + 2 == words->len)
            return name;
        i++;
        if (find_option(vireo_cli_global_options, name))
            g_hash_table_replace(at->cli->values, g_strdup(name), g_strdup(words->pdata[i]));
        else if (strcmp(name, "domain") == 0)
            at->domain = words->pdata[i];
    }
    return NULL;
}

gboolean vireo_cli_complete(VireoCli *cli, GError **error)
{
    Cursor at = { .cli = cli, .word = "" };
    const char *option;

    if (cli->many->len)
        at.word = cli->many->pdata[cli->many->len - 1];
    option = walk(&at, cli->many);
    if (option)
        offer_value(&at, option);
    else if (at.word[0] == '-')
        offer_options(&at);
    else if (at.command)
        offer_operand(&at);
    else
        offer_commands(&at);
    return TRUE;
}
