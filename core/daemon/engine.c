/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/engine.h"

#include <string.h>

#include "daemon/instance.h"
#include "daemon/proxy.h"
#include "util/error.h"

struct VireoEngine {
    VireoHostDirs dirs;
    char *default_uri, *only, *title;
    gboolean session;
    VireoWorkers *workers;
    VireoEventHub *hub;
    VireoHost *host;
    VireoRouter *router;
    VireoLoader *loader;
    VireoProxies *proxies; /* NULL: this daemon is somebody's proxy itself */
    GStrv masked;
    VireoSettings *drivers; /* NULL: none is isolated */
    VireoIsolateConfig isolation;
    char *driver_host;
    GMutex lock;          /* what follows */
    GHashTable *isolates; /* name -> VireoIsolate */
    GHashTable *claims; /* drivers of this process: the path of a lock -> its descriptor */
};

/* ---- which process runs a driver ---- */

static char *claim_path(const VireoEngine *engine, const char *name)
{
    g_autofree char *file = g_strconcat(name, ".lock", NULL);

    return g_build_filename(engine->dirs.state, file, NULL);
}

static gboolean is_mine(VireoEngine *engine, const char *path)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&engine->lock);

    return g_hash_table_contains(engine->claims, path);
}

static char *run_by_another(VireoEngine *engine, const char *name)
{
    g_autofree char *path = claim_path(engine, name);
    g_autofree char *holder = !engine->title || is_mine(engine, path) ? NULL : vireo_instance_holder(path);

    return holder ? g_strdup_printf("another daemon runs it: %s", holder) : NULL;
}

/* Why the driver is not this process's; NULL: it is, from now on. */
static char *claim(VireoEngine *engine, const char *name)
{
    g_autofree char *path = claim_path(engine, name);
    g_autoptr(GError) error = NULL;
    char *why;
    int fd;

    if (!engine->title || is_mine(engine, path))
        return NULL;
    fd = vireo_instance_lock(path, engine->title, &error);
    if (fd < 0) {
        why = run_by_another(engine, name);
        return why ? why : g_strdup(error->message);
    }
    g_mutex_lock(&engine->lock);
    g_hash_table_insert(engine->claims, g_steal_pointer(&path), GINT_TO_POINTER(fd));
    g_mutex_unlock(&engine->lock);
    return NULL;
}

/* Where the driver has a daemon of its own; NULL: it has none, or is not to be used. */
static char *proxied_at(VireoEngine *engine, const char *name)
{
    gboolean masked = engine->masked && g_strv_contains((const char *const *)engine->masked, name);

    return engine->proxies && !masked ? vireo_proxies_path(engine->proxies, name) : NULL;
}

static char *reserve(const char *name, gboolean take, gpointer opaque)
{
    VireoEngine *engine = opaque;
    g_autofree char *path = proxied_at(engine, name);

    if (path)
        return g_strdup_printf("it has a daemon of its own, at %s", path);
    if (engine->only && strcmp(engine->only, name) != 0)
        return g_strdup_printf("this daemon serves the driver '%s' alone", engine->only);
    return take ? claim(engine, name) : run_by_another(engine, name);
}

static gboolean give_back(gpointer path, gpointer fd, gpointer unused)
{
    vireo_instance_unlock(path, GPOINTER_TO_INT(fd));
    return TRUE;
}

gboolean vireo_engine_claim(VireoEngine *engine, GError **error)
{
    VireoModule *module = vireo_loader_by_name(engine->loader, engine->only);
    g_autofree char *why = NULL;

    if (!module) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_NO_CONNECT,
                    "no module of a driver '%s' is in the driver directories", engine->only);
        return FALSE;
    }
    why = claim(engine, engine->only);
    if (why)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_OPERATION_INVALID,
                    "driver '%s': %s; stop it, or set masked_drivers = %s there", engine->only, why, engine->only);
    return !why;
}

/* Which driver a connection without URI gets, in this order. */
static const struct {
    const char *scheme, *system_uri, *session_uri;
} preferred[] = {
    { "qemu", "qemu:///system", "qemu:///session" },
    { "lxc", "lxc:///system", NULL },
    { "vbox", "vbox:///system", "vbox:///session" },
    { "test", "test:///default", "test:///default" },
};

static const struct vireo_op *row_of(gconstpointer module, guint32 id)
{
    return vireo_module_op((VireoModule *)module, id);
}

static char *trouble_of(gconstpointer opaque)
{
    VireoModule *module = (VireoModule *)opaque;
    g_autoptr(VireoModuleInfo) info = NULL;

    if (vireo_module_serves(module))
        return NULL;
    info = vireo_module_info(module);
    return g_strdup_printf("%s: %s", vireo_module_state_name(info->state), info->reason);
}

/* ---- drivers in processes of their own ---- */

static gboolean is_outside(const char *name, gpointer opaque)
{
    VireoEngine *engine = opaque;

    return engine->drivers && vireo_settings_of(engine->drivers, name)->process;
}

static gboolean start_outside(VireoEngine *engine, VireoModule *module, GError **error)
{
    g_autoptr(VireoModuleInfo) info = vireo_module_info(module);
    VireoIsolateConfig config = engine->isolation;
    VireoIsolate *isolate;

    config.settings = vireo_settings_of(engine->drivers, info->name);
    isolate = vireo_isolate_new(module, &config);
    g_mutex_lock(&engine->lock);
    g_hash_table_insert(engine->isolates, g_strdup(info->name), isolate);
    g_mutex_unlock(&engine->lock);
    return vireo_isolate_start(isolate, error);
}

const VireoDriverSettings *vireo_engine_settings(VireoEngine *engine, const char *name)
{
    return engine->drivers ? vireo_settings_of(engine->drivers, name) : NULL;
}

VireoIsolate *vireo_engine_isolate(VireoEngine *engine, const char *name)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&engine->lock);

    return g_hash_table_lookup(engine->isolates, name);
}

static void isolate_free(gpointer isolate)
{
    vireo_isolate_free(isolate);
}

/* All at once: each may take a moment. */
static void stop_outside(VireoEngine *engine)
{
    GHashTableIter iter;
    gpointer isolate;

    g_mutex_lock(&engine->lock);
    g_hash_table_iter_init(&iter, engine->isolates);
    while (g_hash_table_iter_next(&iter, NULL, &isolate))
        vireo_isolate_stop(isolate);
    g_mutex_unlock(&engine->lock);
}

/* ---- drivers in this process ---- */

/* The module is linked and checked: run its init, then let the router know it. */
static gboolean start_module(VireoModule *module, const struct vireo_driver *driver, gpointer opaque,
                             GError **error)
{
    VireoEngine *engine = opaque;
    vireo_core *core;

    if (!driver)
        return start_outside(engine, module, error);
    core = vireo_host_core(engine->host, driver->name);
    if (!vireo_core_start(core, driver, error))
        return FALSE;
    vireo_module_set_host(module, core);
    vireo_router_add(engine->router, driver->name, driver->schemes, driver->threads, core, row_of, trouble_of,
                     module);
    return TRUE;
}

static void changed(VireoModule *module, VireoModuleInfo *info, gpointer opaque)
{
    gboolean fine = info->state == VIREO_MODULE_FOUND || info->state == VIREO_MODULE_LOADED ||
                    info->state == VIREO_MODULE_ACTIVE || info->state == VIREO_MODULE_MASKED;

    g_log("vireo", fine ? G_LOG_LEVEL_INFO : G_LOG_LEVEL_WARNING, "driver '%s': %s%s%s", info->name,
          vireo_module_state_name(info->state), *info->reason ? ": " : "", info->reason);
}

/* ---- from a scheme to a driver ---- */

/* The name of the driver with a daemon of its own that is in charge of a scheme; NULL: none. */
static char *proxied_by_scheme(VireoEngine *engine, VireoModule *module, const char *scheme)
{
    g_autoptr(VireoModuleInfo) info = module ? vireo_module_info(module) : NULL;
    g_autofree char *name = NULL;
    g_autofree char *path = NULL;

    if (info)
        name = g_strdup(info->name);
    else if (engine->proxies)
        name = vireo_proxies_by_scheme(engine->proxies, scheme);
    path = name ? proxied_at(engine, name) : NULL;
    return path ? g_steal_pointer(&name) : NULL;
}

static gboolean ensure(VireoEngine *engine, const char *scheme, GError **error)
{
    VireoModule *module = vireo_loader_by_scheme(engine->loader, scheme);
    g_autofree char *proxied = NULL;

    if (module && vireo_module_serves(module))
        return TRUE;
    proxied = proxied_by_scheme(engine, module, scheme);
    if (proxied)
        return vireo_proxies_ensure(engine->proxies, proxied, error);
    if (!module) {
        vireo_loader_scan(engine->loader);
        module = vireo_loader_by_scheme(engine->loader, scheme);
    }
    return module && vireo_module_ensure(module, error);
}

static char *choose_uri(VireoEngine *engine)
{
    if (engine->default_uri)
        return g_strdup(engine->default_uri);
    for (guint i = 0; i < G_N_ELEMENTS(preferred); i++) {
        const char *uri = engine->session ? preferred[i].session_uri : preferred[i].system_uri;

        if (uri && ensure(engine, preferred[i].scheme, NULL))
            return g_strdup(uri);
    }
    return NULL;
}

static char *find(VireoRouter *router, const char *scheme, gpointer opaque, GError **error)
{
    VireoEngine *engine = opaque;

    if (!scheme)
        return choose_uri(engine);
    return ensure(engine, scheme, error) ? g_strdup(scheme) : NULL;
}

VireoEngine *vireo_engine_new(const VireoEngineConfig *config)
{
    VireoEngine *engine = g_new0(VireoEngine, 1);
    VireoLoaderConfig modules = {
        .dirs = config->driver_dirs,
        .masked = config->masked,
        .init_ms = config->init_ms,
        .reserve = reserve,
        .outside = is_outside,
        .start = start_module,
        .changed = changed,
        .user_data = engine,
    };

    engine->dirs = (VireoHostDirs){
        g_strdup(config->dirs.config), g_strdup(config->dirs.state), g_strdup(config->dirs.run),
        g_strdup(config->dirs.log),    g_strdup(config->dirs.cache),
    };
    engine->default_uri = g_strdup(config->default_uri);
    engine->only = g_strdup(config->only);
    engine->title = g_strdup(config->title);
    engine->session = config->session;
    g_mutex_init(&engine->lock);
    engine->claims = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    engine->workers = vireo_workers_new(config->min_workers, config->max_workers, config->priority_workers);
    engine->hub = vireo_event_hub_new();
    engine->host = vireo_host_new(&engine->dirs, engine->workers, engine->hub);
    engine->router = vireo_router_new(engine->host);
    engine->drivers = config->drivers ? vireo_settings_ref(config->drivers) : NULL;
    engine->driver_host = g_strdup(config->driver_host);
    engine->isolates = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, isolate_free);
    engine->isolation = (VireoIsolateConfig){
        .program = engine->driver_host,
        .dirs = &engine->dirs,
        .host = engine->host,
        .router = engine->router,
        .verbose = config->verbose,
        .workers = config->max_workers,
    };
    vireo_router_set_finder(engine->router, find, engine);
    engine->masked = g_strdupv((GStrv)config->masked);
    if (config->proxies)
        engine->proxies = vireo_proxies_new(engine->router, config->proxies);
    engine->loader = vireo_loader_new(&modules);
    vireo_loader_scan(engine->loader);
    return engine;
}

void vireo_engine_free(VireoEngine *engine)
{
    if (!engine)
        return;
    if (engine->proxies)
        vireo_proxies_stop(engine->proxies);
    stop_outside(engine);
    vireo_workers_free(engine->workers);
    vireo_proxies_free(engine->proxies);
    g_hash_table_unref(engine->isolates);
    vireo_host_free(engine->host);
    vireo_router_free(engine->router);
    vireo_loader_free(engine->loader);
    vireo_event_hub_free(engine->hub);
    g_hash_table_foreach_remove(engine->claims, give_back, NULL);
    g_hash_table_unref(engine->claims);
    g_mutex_clear(&engine->lock);
    g_free(engine->dirs.config);
    g_free(engine->dirs.state);
    g_free(engine->dirs.run);
    g_free(engine->dirs.log);
    g_free(engine->dirs.cache);
    g_free(engine->default_uri);
    g_strfreev(engine->masked);
    g_free(engine->only);
    g_free(engine->driver_host);
    vireo_settings_unref(engine->drivers);
    g_free(engine->title);
    g_free(engine);
}

static gboolean left_state(const VireoEngine *engine, const char *name)
{
    g_autofree char *path = g_build_filename(engine->dirs.state, name, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

    return dir && g_dir_read_name(dir) != NULL;
}

void vireo_engine_start(VireoEngine *engine)
{
    g_autoptr(GPtrArray) modules = vireo_loader_list(engine->loader);

    for (guint i = 0; i < modules->len; i++) {
        const VireoModuleInfo *info = modules->pdata[i];
        gboolean wanted = engine->only ? strcmp(info->name, engine->only) == 0 : left_state(engine, info->name);

        if (info->state == VIREO_MODULE_FOUND && wanted)
            vireo_module_ensure(vireo_loader_by_name(engine->loader, info->name), NULL);
    }
}

VireoLoader *vireo_engine_loader(VireoEngine *engine)
{
    return engine->loader;
}

VireoRouter *vireo_engine_router(VireoEngine *engine)
{
    return engine->router;
}

VireoWorkers *vireo_engine_workers(VireoEngine *engine)
{
    return engine->workers;
}

void vireo_engine_scan(VireoEngine *engine)
{
    if (engine->proxies)
        vireo_proxies_look(engine->proxies);
    vireo_loader_scan(engine->loader);
}

/* ---- what there is to say ---- */

/* Of a driver with a daemon of its own that has not been asked yet, the module here may know more. */
static VireoModuleInfo *merge(VireoModuleInfo *here, VireoModuleInfo *there)
{
    if (!here || there->note || !here->note)
        return vireo_module_info_ref(there);
    return vireo_module_info_new(there->state, there->name, there->path, there->reason, here->note, NULL);
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    const VireoModuleInfo *const *left = a;
    const VireoModuleInfo *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

GPtrArray *vireo_engine_drivers(VireoEngine *engine)
{
    GPtrArray *list = vireo_loader_list(engine->loader);
    g_autoptr(GPtrArray) others = engine->proxies ? vireo_proxies_list(engine->proxies) : g_ptr_array_new();

    for (guint i = 0; i < others->len; i++) {
        VireoModuleInfo *there = others->pdata[i], *here = NULL;
        g_autofree char *path = proxied_at(engine, there->name);
        guint k = 0;

        while (k < list->len && strcmp(((VireoModuleInfo *)list->pdata[k])->name, there->name) != 0)
            k++;
        here = k < list->len ? list->pdata[k] : NULL;
        if (!path || (here && vireo_module_state_serves(here->state)))
            continue;
        g_ptr_array_add(list, merge(here, there));
        if (here)
            g_ptr_array_remove_index(list, k);
    }
    g_ptr_array_sort(list, by_name);
    return list;
}

VireoModuleInfo *vireo_engine_driver(VireoEngine *engine, const char *name)
{
    VireoModule *module = vireo_loader_by_name(engine->loader, name);
    g_autoptr(VireoModuleInfo) here = NULL;
    g_autoptr(VireoModuleInfo) there = NULL;
    g_autofree char *proxied = NULL;

    if (!module)
        module = vireo_loader_by_scheme(engine->loader, name);
    here = module ? vireo_module_info(module) : NULL;
    if (here && vireo_module_state_serves(here->state))
        return g_steal_pointer(&here);
    proxied = proxied_by_scheme(engine, module, name);
    if (!proxied)
        return g_steal_pointer(&here);
    if (!here)
        vireo_proxies_ensure(engine->proxies, proxied, NULL);
    there = vireo_proxies_info(engine->proxies, proxied);
    return there ? merge(here, there) : g_steal_pointer(&here);
}
