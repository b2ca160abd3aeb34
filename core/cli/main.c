/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vireo: exit status 0 done, 1 refused or failed, 2 wrong usage. */
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static void cli_clear(VireoCli *cli)
{
    g_clear_pointer(&cli->client, vireo_client_unref);
    g_clear_pointer(&cli->arena, vireo_arena_free);
    g_clear_pointer(&cli->values, g_hash_table_unref);
    g_clear_pointer(&cli->rest, g_ptr_array_unref);
    g_clear_pointer(&cli->many, g_ptr_array_unref);
}

static gboolean set_escape(VireoCli *cli, GError **error)
{
    const char *text = vireo_cli_text(cli, "escape");

    cli->escape = 0x1d;
    if (!text)
        return TRUE;
    if (text[0] == '^' && text[1] && !text[2])
        cli->escape = g_ascii_toupper(text[1]) & 0x1f;
    else if (text[0] && !text[1])
        cli->escape = text[0];
    else
        return vireo_cli_usage(error, "'--escape %s' is not one character, nor ^ and a character", text);
    return TRUE;
}

static void take_switches(VireoCli *cli)
{
    cli->json = vireo_cli_on(cli, "json");
    cli->quiet = vireo_cli_on(cli, "quiet");
}

static gboolean run_command(VireoCli *cli, const char *name, char **words, GError **error)
{
    cli->planning = strcmp(name, "plan") == 0 && words[0] && words[0][0] != '-';
    if (cli->planning && !vireo_cli_plan_of(words[0], error))
        return FALSE;
    if (cli->planning)
        name = *words++;
    cli->command = vireo_cli_find(name);
    if (!cli->command)
        return vireo_cli_usage(error, "there is no command '%s'", name);
    if (!vireo_cli_parse(cli, words, error)) {
        take_switches(cli);
        return FALSE;
    }
    take_switches(cli);
    if (vireo_cli_on(cli, "help")) {
        vireo_cli_print_command_help(cli->command, stdout);
        return TRUE;
    }
    return set_escape(cli, error) && vireo_cli_connect(cli, cli->command->needs, error) &&
           cli->command->run(cli, error);
}

static gboolean run(VireoCli *cli, char ***argv, GError **error)
{
    char **words;

    if (!vireo_cli_parse_globals(cli, argv, error))
        return FALSE;
    take_switches(cli);
    words = *argv + 1;
    if (*words && strcmp(*words, "--") == 0)
        words++;
    if (vireo_cli_on(cli, "version")) {
        printf("vireo %s\n", VIREO_VERSION);
        return TRUE;
    }
    if (*words)
        return run_command(cli, words[0], words + 1, error);
    if (!vireo_cli_on(cli, "help"))
        return vireo_cli_usage(error, "a command is missing");
    vireo_cli_print_help(stdout);
    return TRUE;
}

int main(int argc, char **argv)
{
    g_auto(GStrv) words = g_strdupv(argv);
    g_autoptr(GError) error = NULL;
    VireoCli cli = {
        .arena = vireo_arena_new(),
        .values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .rest = g_ptr_array_new_with_free_func(g_free),
        .many = g_ptr_array_new_with_free_func(g_free),
        .colour = isatty(STDOUT_FILENO) && !g_getenv("NO_COLOR") && g_strcmp0(g_getenv("TERM"), "dumb"),
    };
    int code;

    setlocale(LC_ALL, "");
    if (run(&cli, &words, &error)) {
        code = cli.exit_code;
    } else {
        vireo_cli_print_error(&cli, error);
        code = error->domain == VIREO_CLI_USAGE ? EXIT_USAGE : cli.failure_code ? cli.failure_code : EXIT_FAILED;
    }
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE) {
        fprintf(stderr, "vireo: cannot write the output\n");
        code = EXIT_FAILED;
    }
    cli_clear(&cli);
    return code;
}
