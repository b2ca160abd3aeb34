/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vireod: the command line, the process, its signals. */
#include <glib-unix.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/build.h"
#include "daemon/daemon.h"
#include "daemon/instance.h"
#include "daemon/log.h"
#include "daemon/systemd.h"

#define STOP_SECONDS 20 /* then a driver that does not end is left behind */
#define ARENAS       2  /* malloc's; many threads would otherwise keep a heap each */

#define MAX_NAME     32 /* of a driver */

enum { EXIT_USAGE = 2 };

static struct {
    char *root, *config, *driver, **driver_dirs;
    int timeout;
    gboolean verbose, version, daemon;
} options;

static const GOptionEntry entries[] = {
    {"root", 0, 0, G_OPTION_ARG_FILENAME, &options.root, "Keep every path below DIR", "DIR"},
    {"config", 'f', 0, G_OPTION_ARG_FILENAME, &options.config, "Read settings from FILE", "FILE"},
    {"driver-dir", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.driver_dirs,
     "Take driver modules from DIR; may be given several times", "DIR"},
    {"driver", 0, 0, G_OPTION_ARG_STRING, &options.driver,
     "Serve the driver NAME alone, on sockets of its own", "NAME"},
    {"timeout", 't', 0, G_OPTION_ARG_INT, &options.timeout,
     "End after so many seconds without a client or a running guest", "SECONDS"},
    {"verbose", 'v', 0, G_OPTION_ARG_NONE, &options.verbose, "Log everything", NULL},
    {"daemon", 'd', 0, G_OPTION_ARG_NONE, &options.daemon,
     "Accepted and ignored: the service manager keeps the daemon in the background", NULL},
    {"version", 'V', 0, G_OPTION_ARG_NONE, &options.version, "Print the version", NULL},
    {NULL},
};

static gboolean is_driver_name(const char *text)
{
    return *text && strlen(text) <= MAX_NAME &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(text);
}

static gboolean parse_options(int *argc, char ***argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_set_summary(context, "Vireo's daemon: manages virtual machines of many kinds, "
                                          "each by a driver module, for libvirt's clients.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, &error)) {
        g_printerr("vireod: %s\n", error->message);
        return FALSE;
    }
    if (*argc > 1) {
        g_printerr("vireod: unknown argument '%s'\n", (*argv)[1]);
        return FALSE;
    }
    if (options.driver && !is_driver_name(options.driver)) {
        g_printerr("vireod: --driver takes a driver's name, such as qemu, not '%s'\n", options.driver);
        return FALSE;
    }
    if (options.timeout < 0) {
        g_printerr("vireod: --timeout is a number of seconds\n");
        return FALSE;
    }
    return TRUE;
}

static gboolean on_stop(gpointer opaque)
{
    VireoDaemon *daemon = opaque;

    g_message("asked to stop");
    g_main_loop_quit(daemon->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean on_reload(gpointer opaque)
{
    vireo_daemon_reload(opaque);
    return G_SOURCE_CONTINUE;
}

static void on_late(int signal)
{
    static const char text[] = "vireod: a driver does not end; left behind\n";
    gssize n = write(STDERR_FILENO, text, sizeof text - 1);

    (void)n;
    _exit(EXIT_FAILURE);
}

/* As many descriptors as are allowed: each client needs one. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static gboolean run(VireoDaemon *daemon, GError **error)
{
    g_autoptr(VireoPaths) paths =
        vireo_paths_new(options.root, options.config, (const char *const *)options.driver_dirs, options.driver, error);
    gboolean started;
    int lock;

    if (!paths)
        return FALSE;
    daemon->paths = paths;
    daemon->config = vireo_daemon_config_load(paths->config_file, paths->driver, error);
    if (!daemon->config || !vireo_paths_make(paths, daemon->config->compat_sockets, error))
        return FALSE;
    lock = vireo_instance_lock(paths->lock, NULL, error);
    if (lock < 0) {
        g_prefix_error(error, "another daemon runs here: ");
        return FALSE;
    }
    /* From the first socket on, a signal finds its handler; it runs once the loop does. */
    g_unix_signal_add(SIGTERM, on_stop, daemon);
    g_unix_signal_add(SIGINT, on_stop, daemon);
    g_unix_signal_add(SIGHUP, on_reload, daemon);
    started = vireo_daemon_start(daemon, error);
    if (started)
        g_main_loop_run(daemon->loop);
    signal(SIGALRM, on_late);
    alarm(STOP_SECONDS);
    vireo_daemon_stop(daemon);
    alarm(0);
    vireo_instance_unlock(paths->lock, lock);
    return started;
}

int main(int argc, char **argv)
{
    VireoDaemon daemon = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *ident = NULL;
    gboolean ok;

    setlocale(LC_ALL, "");
    if (!parse_options(&argc, &argv))
        return EXIT_USAGE;
    if (options.version) {
        g_print("vireod " VIREO_VERSION "\n");
        return EXIT_SUCCESS;
    }
    mallopt(M_ARENA_MAX, ARENAS);
    signal(SIGPIPE, SIG_IGN);
    umask(0022);
    raise_file_limit();
    vireo_systemd_start();
    ident = options.driver ? g_strconcat("vireod-", options.driver, NULL) : g_strdup("vireod");
    vireo_log_start(ident);
    daemon.verbose = options.verbose;
    daemon.timeout = options.timeout;
    daemon.loop = g_main_loop_new(NULL, FALSE);
    ok = run(&daemon, &error);
    if (!ok)
        g_critical("cannot start: %s", error->message);
    g_main_loop_unref(daemon.loop);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
