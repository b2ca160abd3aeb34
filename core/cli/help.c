/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "cli/cli.h"

#define COLUMN 28

static void print_line(FILE *out, const char *left, const char *right)
{
    if (strlen(left) + 2 > COLUMN)
        fprintf(out, "%s\n%*s%s\n", left, COLUMN, "", right);
    else
        fprintf(out, "%-*s%s\n", COLUMN, left, right);
}

static void print_option(FILE *out, const VireoCliOption *option, char letter)
{
    gboolean value = option->kind == VIREO_CLI_STRING || option->kind == VIREO_CLI_INT;
    g_autofree char *left = g_strdup_printf("  %c%c%s--%s%s%s", letter ? '-' : ' ', letter ? letter : ' ',
                                            letter ? ", " : "  ", option->name, value ? " " : "",
                                            value ? option->value : "");

    print_line(out, left, option->help);
}

static void print_globals(FILE *out)
{
    fprintf(out, "\nOptions for every command, before or after its name:\n");
    for (const VireoCliOption *o = vireo_cli_global_options; o->name; o++)
        print_option(out, o, vireo_cli_global_letter(o->name));
    print_line(out, "  -v, --version", "print the version of this program (before the command)");
}

void vireo_cli_print_help(FILE *out)
{
    fprintf(out, "Usage: vireo [OPTION...] COMMAND [ARGUMENT...]\n");
    for (const VireoCliTopic *topic = vireo_cli_topics; topic->title; topic++) {
        fprintf(out, "\n%s:\n", topic->title);
        for (const VireoCliCommand *c = topic->commands; c->name; c++) {
            g_autofree char *left = g_strdup_printf("  %s%s%s", c->name, c->alias ? ", " : "",
                                                    c->alias ? c->alias : "");

            if (c->name[0] != '_')
                print_line(out, left, c->summary);
        }
    }
    print_globals(out);
    fprintf(out, "\n'vireo COMMAND --help' explains a command. Exit status: 0 done, 1 refused or failed,\n"
                 "2 wrong usage.\n");
}

static void print_usage(const VireoCliCommand *command, FILE *out)
{
    fprintf(out, "Usage: vireo %s", command->name);
    if (command->options || command->op)
        fprintf(out, " [OPTION...]");
    for (const VireoCliOperand *o = command->operands; o && o->name; o++) {
        g_autofree char *upper = g_ascii_strup(o->name, -1);

        fprintf(out, o->optional ? " [%s%s]" : " %s%s", upper, o->many ? "..." : "");
    }
    fprintf(out, "\n\n%s\n", command->summary);
}

void vireo_cli_print_command_help(const VireoCliCommand *command, FILE *out)
{
    const VireoOp *op = vireo_cli_op(command);

    print_usage(command, out);
    if (command->notes)
        fprintf(out, "\n%s\n", command->notes);
    if (command->alias)
        fprintf(out, "\n'%s' is another name for it.\n", command->alias);
    if (command->operands)
        fprintf(out, "\nOperands, also taken as options of that name (--%s VALUE):\n",
                command->operands[0].name);
    for (const VireoCliOperand *o = command->operands; o && o->name; o++) {
        g_autofree char *upper = g_ascii_strup(o->name, -1);
        g_autofree char *left = g_strdup_printf("  %s", upper);

        print_line(out, left, o->help);
    }
    if (command->options || (op && op->flags))
        fprintf(out, "\nOptions:\n");
    for (const VireoCliOption *o = command->options; o && o->name; o++)
        print_option(out, o, 0);
    if (op && op->flags) {
        g_autofree char *names = vireo_op_flag_names(op, op->known_flags);
        g_autofree char *help = g_strdup_printf("further flags of %s: %s", op->name, names);

        print_line(out, "      --flags NAME[|NAME]", help);
    }
    print_globals(out);
}

static gboolean run_help(VireoCli *cli, GError **error)
{
    const char *name = vireo_cli_text(cli, "command");
    const VireoCliCommand *command = name ? vireo_cli_find(name) : NULL;

    if (name && !command)
        return vireo_cli_usage(error, "there is no command '%s'", name);
    if (command)
        vireo_cli_print_command_help(command, stdout);
    else
        vireo_cli_print_help(stdout);
    return TRUE;
}

/* For the manual's test: "command" and "command --option" lines; fails when a row names a flag that
 * its operation does not have. */
static gboolean run_options(VireoCli *cli, GError **error)
{
    for (const VireoCliOption *o = vireo_cli_global_options; o->name; o++)
        printf("- --%s\n", o->name);
    printf("- --version\n");
    for (const VireoCliTopic *topic = vireo_cli_topics; topic->title; topic++)
        for (const VireoCliCommand *c = topic->commands; c->name; c++) {
            const VireoOp *op = vireo_cli_op(c);

            if (c->name[0] == '_')
                continue;
            if (c->op && !op)
                return vireo_cli_usage(error, "%s: no operation '%s'", c->name, c->op);
            printf("%s\n", c->name);
            for (const VireoCliOption *o = c->options; o && o->name; o++) {
                guint64 bit;

                printf("%s --%s\n", c->name, o->name);
                if (o->kind == VIREO_CLI_FLAG && (!op || !vireo_op_parse_flags(op, o->value, &bit, NULL)))
                    return vireo_cli_usage(error, "%s --%s: no flag '%s'", c->name, o->name, o->value);
            }
            if (op && op->flags)
                printf("%s --flags\n", c->name);
        }
    return TRUE;
}

static const VireoCliOperand help_operands[] = {
    { "command", VIREO_CLI_COMMAND, TRUE, FALSE, "the one to explain" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOperand complete_operands[] = {
    { "word", VIREO_CLI_TEXT, TRUE, TRUE, "the words so far, the last one to be completed" },
    { NULL, 0, FALSE, FALSE, NULL },
};

const VireoCliCommand vireo_cli_help_commands[] = {
    { "help", NULL, "explain the commands, or one of them", NULL, help_operands, NULL, run_help,
      VIREO_CLI_ALONE, NULL },
    { "__complete", NULL, "", NULL, complete_operands, NULL, vireo_cli_complete, VIREO_CLI_ALONE, NULL },
    { "__options", NULL, "", NULL, NULL, NULL, run_options, VIREO_CLI_ALONE, NULL },
    { NULL },
};
