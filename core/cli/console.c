/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The console: standard input and output joined to a stream. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };

/* Set once while a console runs: a signal's handler has no other way to reach it. */
static int signal_pipe[2] = { -1, -1 };

typedef struct {
    VireoStream *stream;
    char escape;
    gboolean is_terminal, input_ended, done;
    struct termios saved;
    struct sigaction old[G_N_ELEMENTS(ending_signals)];
    int signal_number;
} Console;

static void on_signal(int number)
{
    int saved = errno;
    guint8 byte = (guint8)number;

    if (write(signal_pipe[1], &byte, 1) < 0)
        byte = 0; /* full: one signal is as good as many */
    errno = saved;
}

static gboolean catch_signals(Console *console, GError **error)
{
    struct sigaction action = { .sa_handler = on_signal };

    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "cannot make a pipe: %m");
        return FALSE;
    }
    for (guint i = 0; i < G_N_ELEMENTS(ending_signals); i++)
        sigaction(ending_signals[i], &action, &console->old[i]);
    return TRUE;
}

static void release_signals(Console *console)
{
    for (guint i = 0; i < G_N_ELEMENTS(ending_signals); i++)
        sigaction(ending_signals[i], &console->old[i], NULL);
    close(signal_pipe[0]);
    close(signal_pipe[1]);
    signal_pipe[0] = signal_pipe[1] = -1;
}

static void set_raw(Console *console)
{
    struct termios raw;

    console->is_terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &console->saved) == 0;
    if (!console->is_terminal)
        return;
    raw = console->saved;
    cfmakeraw(&raw);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
}

static void restore(Console *console)
{
    if (console->is_terminal)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &console->saved);
}

static gboolean from_user(Console *console, GError **error)
{
    char buffer[4096];
    gssize n = read(STDIN_FILENO, buffer, sizeof(buffer));
    char *escape;

    if (n < 0)
        return errno == EINTR || errno == EAGAIN || (console->done = TRUE);
    if (n == 0) {
        /* A pipe that ended may still want to see the answer: the guest's side decides. */
        console->input_ended = TRUE;
        console->done = console->is_terminal;
        return TRUE;
    }
    escape = memchr(buffer, console->escape, n);
    if (escape) {
        console->done = TRUE;
        n = escape - buffer;
    }
    return vireo_stream_send(console->stream, buffer, n, error);
}

static gboolean from_guest(Console *console, GError **error)
{
    char buffer[16384];
    gssize n = vireo_stream_recv(console->stream, buffer, sizeof(buffer), NULL, error);

    if (n < 0)
        return FALSE;
    console->done = n == 0;
    return vireo_cli_write_all(STDOUT_FILENO, buffer, n, error);
}

static gboolean pump(Console *console, GError **error)
{
    struct pollfd polls[] = { { signal_pipe[0], POLLIN, 0 },
                              { vireo_stream_fd(console->stream), POLLIN, 0 },
                              { STDIN_FILENO, POLLIN, 0 } };
    guint8 number;

    while (!console->done) {
        if (console->input_ended)
            polls[2].fd = -1;
        if (poll(polls, G_N_ELEMENTS(polls), -1) < 0 && errno != EINTR) {
            g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "cannot wait: %m");
            return FALSE;
        }
        if (polls[0].revents && read(signal_pipe[0], &number, 1) == 1) {
            console->signal_number = number;
            return TRUE;
        }
        if (polls[1].revents && !from_guest(console, error))
            return FALSE;
        if (!console->done && polls[2].revents && !from_user(console, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean open_console(VireoCli *cli, const vireo_domain_ref *dom, const char *device,
                             guint32 flags, VireoStream **stream, GError **error)
{
    vireo_domain_open_console_args args = { .dom = *dom, .dev_name = (char *)device, .flags = flags };
    VireoClientCall call = { .op = vireo_op_by_id(VIREO_OP_domain_open_console), .args = &args,
                             .arena = cli->arena, .stream = stream };

    return vireo_client_call_full(cli->client, &call, error);
}

static void greet(VireoCli *cli, const char *name)
{
    if (cli->quiet)
        return;
    fflush(stdout);
    if (cli->escape >= 0x20)
        fprintf(stderr, "Connected to domain '%s'\nEscape character is %c\n", name, cli->escape);
    else
        fprintf(stderr, "Connected to domain '%s'\nEscape character is ^%c (Ctrl + %c)\n", name,
                cli->escape | 0x40, cli->escape | 0x40);
}

gboolean vireo_cli_attach_console(VireoCli *cli, const vireo_domain_ref *dom, const char *device,
                                  guint32 flags, GError **error)
{
    g_autoptr(VireoStream) stream = NULL;
    Console console = { .escape = cli->escape };
    gboolean ok;

    if (!open_console(cli, dom, device, flags, &stream, error))
        return FALSE;
    console.stream = stream;
    greet(cli, dom->name);
    if (!catch_signals(&console, error))
        return FALSE;
    set_raw(&console);
    ok = pump(&console, error);
    restore(&console);
    release_signals(&console);
    if (console.is_terminal && !cli->quiet)
        fputc('\n', stderr);
    if (console.signal_number)
        cli->exit_code = 128 + console.signal_number;
    /* Leaving is no failure, whatever the daemon has to say about the end. */
    return ok && (vireo_stream_finish(stream, NULL) || TRUE);
}

static gboolean run_console(VireoCli *cli, GError **error)
{
    vireo_domain_ref dom;
    guint64 flags;

    return vireo_cli_flags(cli, &flags, error) && vireo_cli_domain(cli, &dom, error) &&
           vireo_cli_attach_console(cli, &dom, vireo_cli_text(cli, "devname"), (guint32)flags, error);
}

static const VireoCliOperand operands[] = {
    { "domain", VIREO_CLI_DOMAIN, FALSE, FALSE, "name, id or UUID" },
    { NULL, 0, FALSE, FALSE, NULL },
};
static const VireoCliOption options[] = {
    { "devname", VIREO_CLI_STRING, "ALIAS", "which device, the first console unless given" },
    { "force", VIREO_CLI_FLAG, "FORCE", "take it from whoever is connected" },
    { "safe", VIREO_CLI_FLAG, "SAFE", "only if the driver keeps others out" },
    { NULL, 0, NULL, NULL },
};

const VireoCliCommand vireo_cli_console_commands[] = {
    { "console", NULL, "connect to a domain's console", "domain_open_console", operands, options,
      run_console, VIREO_CLI_CONNECT,
      "^] leaves (see --escape). In a pipe the end of the input is not the end: the command goes on\n"
      "until the guest's side closes, the input holds the escape character, or a signal comes." },
    { NULL },
};
