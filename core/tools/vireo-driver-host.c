/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vireo-driver-host: one driver in a process of its own. vireod starts it with a channel as
 * descriptor 3; it ends when the channel does.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "far/confine.h"
#include "far/server.h"
#include "loader/registry.h"
#include "tools/version.h"
#include "util/error.h"

#define CHANNEL_FD   3
#define END_SECONDS  5     /* for a driver to end; then it is left behind */
#define LOCK_MS      20000 /* for the process before this one to end */
#define NEVER_MS     (24 * 60 * 60 * 1000)
#define PRIORITY_MAX 5
#define ARENAS       2

enum { EXIT_USAGE = 2 };

static struct {
    char *driver, *name, *config, *state, *run, *log, *cache, *deny;
    int workers, memory_mib;
    gboolean verbose, no_new_privs, version;
} options = {.workers = 20};

static const GOptionEntry entries[] = {
    {"driver", 0, 0, G_OPTION_ARG_FILENAME, &options.driver, "The module's file", "FILE"},
    {"name", 0, 0, G_OPTION_ARG_STRING, &options.name, "The driver's name", "NAME"},
    {"config", 0, 0, G_OPTION_ARG_FILENAME, &options.config, "Directory of settings", "DIR"},
    {"state", 0, 0, G_OPTION_ARG_FILENAME, &options.state, "Directory of state", "DIR"},
    {"run", 0, 0, G_OPTION_ARG_FILENAME, &options.run,
     "Directory of what lasts until the next boot", "DIR"},
    {"log", 0, 0, G_OPTION_ARG_FILENAME, &options.log, "Directory of logs", "DIR"},
    {"cache", 0, 0, G_OPTION_ARG_FILENAME, &options.cache, "Directory of caches", "DIR"},
    {"workers", 0, 0, G_OPTION_ARG_INT, &options.workers, "Worker threads at most", "N"},
    {"memory-max", 0, 0, G_OPTION_ARG_INT, &options.memory_mib, "Limit of its memory (0: none)",
     "MIB"},
    {"no-new-privs", 0, 0, G_OPTION_ARG_NONE, &options.no_new_privs,
     "Gain no rights from setuid programs", NULL},
    {"deny", 0, 0, G_OPTION_ARG_STRING, &options.deny, "Groups of system calls that are refused",
     "GROUP[,GROUP]"},
    {"verbose", 'v', 0, G_OPTION_ARG_NONE, &options.verbose, "Report everything", NULL},
    {"version", 'V', 0, G_OPTION_ARG_NONE, &options.version, "Print the version", NULL},
    {NULL},
};

static struct {
    VireoHost *host;
    VireoRouter *router;
    VireoFarServer *server;
    GMutex lock;
    GCond over;
    gboolean gone;
    gboolean greeted; /* the server has the channel */
} process;

static gboolean parse_options(int *argc, char ***argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_set_summary(context,
                                 "One driver in a process of its own. vireod starts this.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, &error)) {
        g_printerr("vireo-driver-host: %s\n", error->message);
        return FALSE;
    }
    if (options.version)
        return TRUE;
    if (*argc > 1 || !options.driver || !options.name || !options.config || !options.state ||
        !options.run || !options.log || !options.cache || options.workers < 1 ||
        options.memory_mib < 0) {
        g_printerr("vireo-driver-host: it needs --driver, --name and the five directories; vireod "
                   "gives them\n");
        return FALSE;
    }
    return TRUE;
}

/* ---- what the daemon is told ---- */

static void say_goodbye(VireoFarStage stage, const char *reason)
{
    VireoFarChannel *channel;

    if (process.greeted) {
        vireo_far_server_goodbye(process.server, reason);
        return;
    }
    channel = vireo_far_channel_new(CHANNEL_FD);
    vireo_far_channel_tell(channel, VIREO_FAR_GOODBYE, 0, 0, &vireo_far_type_goodbye,
                           &(VireoFarGoodbye){stage, (char *)reason});
    vireo_far_channel_unref(channel);
}

static GLogWriterOutput write_log(GLogLevelFlags level, const GLogField *fields, gsize n,
                                  gpointer opaque)
{
    int prio = level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL) ? VIREO_LOG_ERROR
               : level & G_LOG_LEVEL_WARNING                      ? VIREO_LOG_WARNING
               : level & (G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO) ? VIREO_LOG_INFO
                                                                  : VIREO_LOG_DEBUG;

    if (prio == VIREO_LOG_DEBUG && !options.verbose)
        return G_LOG_WRITER_HANDLED;
    for (gsize i = 0; i < n; i++) {
        if (strcmp(fields[i].key, "MESSAGE") != 0)
            continue;
        if (process.server)
            vireo_far_server_log(process.server, prio, fields[i].value);
        else
            fprintf(stderr, "vireo-driver-host: %s\n", (const char *)fields[i].value);
    }
    return G_LOG_WRITER_HANDLED;
}

static void gone(VireoFarServer *server, guint left, gpointer opaque)
{
    g_mutex_lock(&process.lock);
    process.gone = TRUE;
    g_cond_signal(&process.over);
    g_mutex_unlock(&process.lock);
}

/* ---- the driver ---- */

static const struct vireo_op *row_of(gconstpointer module, guint32 id)
{
    return vireo_module_op((VireoModule *)module, id);
}

static gboolean start_driver(VireoModule *module, const struct vireo_driver *driver,
                             gpointer unused, GError **error)
{
    vireo_core *core = vireo_host_core(process.host, driver->name);

    vireo_far_server_set_driver(process.server, VIREO_VERSION, driver->name, driver->version,
                                driver->schemes, driver->threads, row_of, module);
    process.greeted = TRUE;
    vireo_far_server_add(process.server, CHANNEL_FD);
    if (!vireo_core_start(core, driver, error))
        return FALSE;
    vireo_router_add(process.router, driver->name, driver->schemes, driver->threads, core, row_of,
                     NULL, module);
    vireo_far_server_ready(process.server);
    return TRUE;
}

/* The module of that file and name. */
static VireoModule *find_module(VireoLoader *loader, GError **error)
{
    VireoModule *module = vireo_loader_by_name(loader, options.name);
    g_autoptr(VireoModuleInfo) info = module ? vireo_module_info(module) : NULL;

    if (info && strcmp(info->path, options.driver) == 0)
        return module;
    g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT,
                "%s is not the module of driver '%s' any more", options.driver, options.name);
    return NULL;
}

/* ---- the process ---- */

/* The one before this one may still be ending, and what it works on is ours only then. */
static gboolean take_lock(GError **error)
{
    g_autofree char *folder = g_build_filename(options.run, options.name, NULL);
    g_autofree char *path = g_build_filename(folder, "host.lock", NULL);
    int fd;

    if (g_mkdir_with_parents(folder, 0711) != 0 ||
        (fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "%s: %s", path, g_strerror(errno));
        return FALSE;
    }
    for (guint waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += 20) {
        if (errno != EWOULDBLOCK || waited >= LOCK_MS) {
            g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_FAILED,
                        "%s is held by another process that runs this driver and does not end",
                        path);
            close(fd);
            return FALSE;
        }
        g_usleep(20000);
    }
    return TRUE; /* held until the process ends */
}

static gboolean confine(GError **error)
{
    g_auto(GStrv) deny = g_strsplit_set(options.deny ? options.deny : "", ",", -1);
    VireoConfine what = {options.no_new_privs, (guint64)options.memory_mib << 20,
                         (const char *const *)deny};

    return vireo_confine(&what, error);
}

static void await_end(void)
{
    g_mutex_lock(&process.lock);
    while (!process.gone)
        g_cond_wait(&process.over, &process.lock);
    g_mutex_unlock(&process.lock);
}

static void on_late(int signal)
{
    _exit(EXIT_FAILURE);
}

/* Until the channel ends; FALSE when the driver does not serve at all. */
static gboolean serve(VireoLoader *loader, VireoFarStage *stage, GError **error)
{
    VireoModule *module;
    g_autoptr(VireoModuleInfo) info = NULL;

    vireo_loader_scan(loader);
    module = find_module(loader, error);
    if (!module)
        return FALSE;
    if (vireo_module_ensure(module, NULL)) {
        await_end();
        return TRUE;
    }
    info = vireo_module_info(module);
    *stage = info->state == VIREO_MODULE_FAILED_LINK   ? VIREO_FAR_NOT_LINKED
             : info->state == VIREO_MODULE_FAILED_INIT ? 0
                                                       : VIREO_FAR_NOT_VALID;
    g_set_error_literal(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT, info->reason);
    return FALSE;
}

static void run(void)
{
    g_autofree char *folder = g_path_get_dirname(options.driver);
    const char *dirs[] = {folder, NULL};
    VireoHostDirs host_dirs = {options.config, options.state, options.run, options.log,
                               options.cache};
    VireoLoaderConfig modules = {.dirs = dirs, .init_ms = NEVER_MS, .start = start_driver};
    VireoEventHub *hub = vireo_event_hub_new();
    VireoWorkers *workers = vireo_workers_new(0, (guint)options.workers, PRIORITY_MAX);
    VireoLoader *loader = vireo_loader_new(&modules);
    g_autoptr(GError) error = NULL;
    VireoFarStage stage = 0;

    process.host = vireo_host_new(&host_dirs, workers, hub);
    process.router = vireo_router_new(process.host);
    process.server = vireo_far_server_new(process.router, gone, NULL);
    if (!serve(loader, &stage, &error))
        say_goodbye(stage, error->message);
    signal(SIGALRM, on_late);
    alarm(END_SECONDS);
    vireo_far_server_free(g_steal_pointer(&process.server));
    vireo_workers_free(workers);
    vireo_host_free(process.host);
    vireo_router_free(process.router);
    vireo_loader_free(loader);
    vireo_event_hub_free(hub);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;

    if (!parse_options(&argc, &argv))
        return EXIT_USAGE;
    if (options.version) {
        g_print("vireo-driver-host " VIREO_VERSION "\n");
        return EXIT_SUCCESS;
    }
    mallopt(M_ARENA_MAX, ARENAS);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    umask(0022);
    g_log_set_writer_func(write_log, NULL, NULL);
    if (take_lock(&error) && confine(&error))
        run();
    else
        say_goodbye(0, error->message);
    return EXIT_SUCCESS;
}
