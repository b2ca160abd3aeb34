/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/paths.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"
#include "daemon/build.h"

static void below_root(VireoPaths *paths, const char *root)
{
    paths->dirs = (VireoHostDirs){
        .config = g_build_filename(root, "etc/vireo", NULL),
        .state = g_build_filename(root, "var/lib/vireo", NULL),
        .run = g_build_filename(root, "run/vireo", NULL),
        .log = g_build_filename(root, "var/log/vireo", NULL),
        .cache = g_build_filename(root, "var/cache/vireo", NULL),
    };
    paths->compat = g_build_filename(root, "run/libvirt", NULL);
}

static gboolean below_home(VireoPaths *paths, GError **error)
{
    const char *run = g_getenv("XDG_RUNTIME_DIR");

    if (!run || !g_path_is_absolute(run)) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_INTERNAL_ERROR,
                    "a daemon of your own needs XDG_RUNTIME_DIR (or give --root)");
        return FALSE;
    }
    paths->dirs = (VireoHostDirs){
        .config = g_build_filename(g_get_user_config_dir(), "vireo", NULL),
        .state = g_build_filename(g_get_user_state_dir(), "vireo", NULL),
        .run = g_build_filename(run, "vireo", NULL),
        .log = g_build_filename(g_get_user_cache_dir(), "vireo", "log", NULL),
        .cache = g_build_filename(g_get_user_cache_dir(), "vireo", NULL),
    };
    paths->compat = g_build_filename(run, "libvirt", NULL);
    return TRUE;
}

/* The program as built, started where it was built, uses the modules built with it. */
static gboolean is_as_built(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

    return self && g_str_has_prefix(self, VIREO_BUILD_DIR "/");
}

static GStrv built_in_driver_dirs(void)
{
    g_autofree char *plugins = g_build_filename(VIREO_BUILD_DIR, "plugins", NULL);
    const char *dirs[] = { is_as_built() ? plugins : VIREO_DRIVER_DIR, NULL };

    return g_strdupv((GStrv)dirs);
}

/* The names libvirt's clients look for are those of its daemons: libvirtd, virtqemud, virtlxcd ... */
static void name_sockets(VireoPaths *paths, const char *driver)
{
    paths->driver = g_strdup(driver);
    paths->title = driver ? g_strconcat("vireod --driver=", driver, NULL) : g_strdup("vireod");
    paths->sockets = driver ? g_strconcat("vireod-", driver, NULL) : g_strdup("vireo");
    paths->compat_sockets = driver ? g_strconcat("virt", driver, "d", NULL) : g_strdup("libvirt");
}

VireoPaths *vireo_paths_new(const char *root, const char *config_file, const char *const *driver_dirs,
                            const char *driver, GError **error)
{
    g_autoptr(VireoPaths) paths = g_new0(VireoPaths, 1);
    g_autofree char *absolute = root ? g_canonicalize_filename(root, NULL) : NULL;
    g_autofree char *lock = NULL;

    paths->session = geteuid() != 0;
    if (absolute || !paths->session)
        below_root(paths, absolute ? absolute : "/");
    else if (!below_home(paths, error))
        return NULL;
    paths->config_file = config_file ? g_canonicalize_filename(config_file, NULL)
                                     : g_build_filename(paths->dirs.config, "vireod.conf", NULL);
    paths->drivers = g_build_filename(paths->dirs.run, "drivers", NULL);
    name_sockets(paths, driver);
    lock = g_strconcat(driver ? paths->sockets : "vireod", ".pid", NULL);
    paths->lock = g_build_filename(paths->dirs.run, lock, NULL);
    paths->driver_dirs = driver_dirs ? g_strdupv((GStrv)driver_dirs) : built_in_driver_dirs();
    paths->driver_host =
        is_as_built() ? g_build_filename(VIREO_BUILD_DIR, "core", "tools", "vireo-driver-host", NULL)
                      : g_build_filename(VIREO_LIBEXEC_DIR, "vireo-driver-host", NULL);
    return g_steal_pointer(&paths);
}

void vireo_paths_free(VireoPaths *paths)
{
    if (!paths)
        return;
    g_free(paths->dirs.config);
    g_free(paths->dirs.state);
    g_free(paths->dirs.run);
    g_free(paths->dirs.log);
    g_free(paths->dirs.cache);
    g_free(paths->compat);
    g_free(paths->drivers);
    g_free(paths->driver);
    g_free(paths->title);
    g_free(paths->sockets);
    g_free(paths->compat_sockets);
    g_free(paths->config_file);
    g_free(paths->lock);
    g_strfreev(paths->driver_dirs);
    g_free(paths->driver_host);
    g_free(paths);
}

gboolean vireo_paths_make(VireoPaths *paths, gboolean compat, GError **error)
{
    const char *dirs[] = {
        paths->dirs.config, paths->dirs.state, paths->dirs.run,
        paths->dirs.log,    paths->dirs.cache, compat ? paths->compat : paths->dirs.run,
    };

    for (guint i = 0; i < G_N_ELEMENTS(dirs); i++) {
        if (g_mkdir_with_parents(dirs[i], paths->session ? 0700 : 0755) == 0)
            continue;
        g_set_error(error, VIREO_ERROR, VIREO_ERR_SYSTEM_ERROR, "cannot make %s: %s", dirs[i],
                    g_strerror(errno));
        return FALSE;
    }
    return TRUE;
}
